"""What a cell was asked to do: what identifies it, beside its variant and its restart."""

from dataclasses import dataclass, replace

from .. import pattern as patterns
from ..units import format_connections

LOADS = {  # in the order of a report; what stands in a title
    "equal-load": "cost at equal load", "saturation": "cost at saturation", "ping-pong": "cost of a ping-pong",
    "open-loop": "open loop", "closed-loop": "closed loop", "stream": "bytes each way", "crr": "connect, request, close", "idle": "idle connections"}
_RATE_ORDER = {"light": 10, "half": 50, "heavy": 80}


@dataclass(frozen=True)
class Workload:
    """What every variant was asked to do in a group of cells.  `rate` is the experiment's word for it, a share of the
    lowest capacity or a number; how many requests per second that came to stands apart, for it was measured."""

    load: str
    connections: int
    payload_bytes: int
    framing: str
    op: str = "echo"       # with its time: work:100us
    pipeline: int = 1
    offload: bool = False  # work is done on another thread of the server
    rate: str = ""
    added_work_ns: int = 0    # that every server burnt for each request
    pattern: tuple = ()    # of its requests, as pattern.items() gives it
    beside: str = ""       # what a second load asked of the same server: `2 × work:10ms, 20/s together`

    @property
    def order(self):
        return (*self.order_without_rate, self._rate_order)

    @property
    def order_without_rate(self):
        """Of workloads that differ in their rate only, the same."""
        return (list(LOADS).index(self.load), self.framing, self.payload_bytes, self.op, self.offload,
                self.pipeline, self.added_work_ns, self.connections, self.pattern, self.beside)

    @property
    def _rate_order(self):
        digits = self.rate.removesuffix("%")
        return (not self.rate.endswith("%") and self.rate not in _RATE_ORDER,
                _RATE_ORDER.get(self.rate, float(digits) if digits.isdigit() else 0))

    @property
    def is_number(self):
        """Whether the experiment gave its rate as a number of requests per second."""
        return self.rate.isdigit()

    @property
    def name(self):
        name = "/".join([self.load, *([self.rate] if self.rate else []), f"c{self.connections}",
                         f"{self.payload_bytes}B", self.framing])
        if self.op != "echo":
            name += f"/{self.op}" + ("/offload" if self.offload else "")
        name += f"/pipeline{self.pipeline}" if self.pipeline != 1 else ""
        name += "".join(f"/{part}" for part in patterns.name(self.pattern))
        return name + (f"/beside {self.beside}" if self.beside else "")

    def describe(self, rate_per_s=None):
        """For people: `cost at equal load, half (25,000/s each), 100 connections, 64-byte frame`."""
        rate = self.rate_text
        if self.is_number:
            rate += " each"
        elif rate and rate_per_s:
            rate += f" ({rate_per_s:,.0f}/s each)"
        text = LOADS[self.load] + (f", {rate}" if rate else "")
        return f"{text}, {self.shape}"

    @property
    def rate_text(self):
        """`half`, `23%`, `5,000/s`; empty where the client sets the pace."""
        return f"{int(self.rate):,}/s" if self.is_number else self.rate

    @property
    def without_beside(self):
        return replace(self, beside="")

    @property
    def shape(self):
        """`100 connections, 64-byte frame`."""
        pattern = dict(self.pattern)
        size = pattern.pop("payload", f"{self.payload_bytes:,}")
        text = f"{format_connections(self.connections)}, {size}-byte {self.framing}"
        if self.op != "echo":
            text += f", op {self.op}" + (" offloaded" if self.offload else "")
        text += f", pipeline {self.pipeline}" if self.pipeline != 1 else ""
        text += patterns.text(pattern.items())
        return text + (f", beside {self.beside}" if self.beside else "")


def workload_of(cell):
    workload = cell["workload"]
    return Workload(cell["load"], workload.get("held_connections", cell["connections"]["asked"]), workload["payload_bytes"], workload["framing"],
                    workload.get("op", "echo"), workload["pipeline"], workload.get("offload", False),
                    workload.get("rate", f"{workload['rate_per_s']:.0f}" if "rate_per_s" in workload else ""),
                    workload.get("added_work_ns", 0), patterns.items(workload.get("pattern", {})), _beside_text(workload.get("beside")))


def _beside_text(beside):
    """`2 × work:10ms offloaded, 20/s together`; empty where there is none."""
    if beside is None:
        return ""
    rate = f"{beside['rate_per_s']:,}/s together" if "rate_per_s" in beside else "always all of them"
    return f"{beside['connections']} × {beside['op']}{' offloaded' if beside['offload'] else ''}, {rate}"
