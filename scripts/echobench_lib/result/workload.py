"""What a cell was asked to do: what identifies it, together with its variant and its restart."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from .. import pattern as patterns
from ..documents import Json
from ..units import format_connections

Load = Literal["equal-load", "saturation", "ping-pong", "open-loop", "closed-loop", "stream", "crr", "idle"]
LOADS = {  # in the order of a report, as a sentence names them
    "equal-load": "equal load", "saturation": "saturation", "ping-pong": "ping-pong", "open-loop": "open loop",
    "closed-loop": "closed loop", "stream": "stream", "crr": "connect, request, close", "idle": "idle connections"}
TITLES = {  # what a table of each load measures
    "equal-load": "Server CPU per request (µs) at equal load",
    "saturation": "Server CPU per request (µs) at saturation",
    "ping-pong": "Server CPU per request (µs), ping-pong", "open-loop": "Response time, open loop",
    "closed-loop": "Throughput and service time, closed loop", "stream": "Bytes per second each way, stream",
    "crr": "Server CPU per request (µs) and throughput: connect, request, close",
    "idle": "Memory and connect time of idle connections"}


@dataclass(frozen=True)
class Workload:
    """What every variant was asked to do in a group of cells.  `rate` as the experiment gives it: a percentage of the
    lowest capacity (`50%`), or a number of requests per second.  What a percentage came to was measured, and is not
    part of the identity."""

    load: Load
    connections: int
    payload_bytes: int
    framing: str
    op: str = "echo"        # with its time: work:100us
    pipeline: int = 1
    offload: bool = False   # work is done on another thread of the server
    rate: str = ""
    added_work_ns: int = 0  # that every server burnt for each request
    pattern: patterns.Pattern = ()  # of its requests
    background: str = ""    # what a second load asked of the same server: `2 × work:10ms, 20/s`

    @classmethod
    def from_json(cls, cell: Json) -> "Workload":
        """That of a whole cell."""
        workload = cell["workload"]
        rate = f"{workload['rate_per_s']:.0f}" if "rate_per_s" in workload else ""
        return cls(cell["load"], workload.get("held_connections", cell["connections"]["asked"]),
                   workload["payload_bytes"], workload["framing"], workload.get("op", "echo"), workload["pipeline"],
                   workload.get("offload", False), workload.get("rate", rate), workload.get("added_work_ns", 0),
                   patterns.items(workload.get("pattern", {})), _background_text(workload.get("background")))

    @property
    def order(self) -> tuple[Any, ...]:
        """What workloads are sorted by."""
        return (*self.order_without_rate, self._rate_order)

    @property
    def order_without_rate(self) -> tuple[Any, ...]:
        """Of workloads that differ in their rate only, the same."""
        return (list(LOADS).index(self.load), self.framing, self.payload_bytes, self.op, self.offload,
                self.pipeline, self.added_work_ns, self.connections, self.pattern, self.background)

    @property
    def _rate_order(self) -> tuple[bool, float]:
        return (not self.rate.endswith("%"), float(self.rate.removesuffix("%") or 0))

    @property
    def is_number(self) -> bool:
        """Whether the experiment gave its rate as a number of requests per second."""
        return self.rate.isdigit()

    @property
    def name(self) -> str:
        """An identity: `equal-load/50%/c100/64B/frame`."""
        name = "/".join([self.load, *([self.rate] if self.rate else []), f"c{self.connections}",
                         f"{self.payload_bytes}B", self.framing])
        if self.op != "echo":
            name += f"/{self.op}" + ("/offload" if self.offload else "")
        name += f"/pipeline{self.pipeline}" if self.pipeline != 1 else ""
        name += "".join(f"/{part}" for part in patterns.name(self.pattern))
        return name + (f"/background {self.background}" if self.background else "")

    def title(self, rate_per_s: float | None = None) -> str:
        """Of a table: `Server CPU per request (µs) at equal load, 100 connections, 64-byte frame, 25,000 requests/s to
        each (50 % of the lowest capacity)`."""
        return ", ".join([TITLES[self.load], *self._conditions(rate_per_s)])

    def describe(self, rate_per_s: float | None = None) -> str:
        """In a sentence: `equal load, 100 connections, 64-byte frame, 25,000 requests/s to each (50 % of the lowest
        capacity)`."""
        return ", ".join([LOADS[self.load], *self._conditions(rate_per_s)])

    def _conditions(self, rate_per_s: float | None) -> list[str]:
        if not self.rate:
            return [self.shape]
        if self.is_number:
            return [self.shape, f"{int(self.rate):,} requests/s to each"]
        return [self.shape, f"{rate_per_s:,.0f} requests/s to each ({self._percent} of the lowest capacity)"]

    @property
    def _percent(self) -> str:
        return self.rate.replace("%", " %")

    def rate_text(self, rate_per_s: float | None) -> str:
        """`50 % (25,000/s)`, `5,000/s`; empty where the client sets the pace."""
        if self.is_number or not self.rate:
            return f"{int(self.rate):,}/s" if self.rate else ""
        return f"{self._percent} ({rate_per_s:,.0f}/s)"

    def at(self, rate_per_s: float | None) -> "Workload":
        """The same, with its rate as a number."""
        return replace(self, rate=f"{rate_per_s:.0f}") if self.rate and rate_per_s else self

    @property
    def without_background(self) -> "Workload":
        return replace(self, background="")

    @property
    def shape(self) -> str:
        """`100 connections, 64-byte frame`."""
        pattern = dict(self.pattern)
        size = pattern.pop("payload", f"{self.payload_bytes:,}")
        text = f"{format_connections(self.connections)}, {size}-byte {self.framing}"
        if self.op != "echo":
            text += f", op {self.op}" + (" offloaded" if self.offload else "")
        text += f", pipeline {self.pipeline}" if self.pipeline != 1 else ""
        text += patterns.text(pattern.items())
        return text + (f", background load {self.background}" if self.background else "")


def _background_text(background: Json | None) -> str:
    """`2 × work:10ms offloaded, 20/s`; empty if there is none."""
    if background is None:
        return ""
    rate = f"{background['rate_per_s']:,}/s" if "rate_per_s" in background else "closed loop"
    return f"{background['connections']} × {background['op']}{' offloaded' if background['offload'] else ''}, {rate}"
