"""Blocks: an experiment's loads, divided into runs of echo-load.

A block is one run of echo-load: the targets that it drives in turn, slice by slice.  Every block holds the reference,
because ratios are taken within a block, and the reference's control, because the control shows for each block whether
its figures can be trusted.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .. import Usage, pattern
from ..documents import Json
from ..pattern import Pattern
from ..result import LOADS
from ..units import format_time_option, listed, parse_count, parse_share, parse_time_ns
from .placement import Placement
from .variants import Framing, Variant

Rate = str | int  # as an experiment gives it: a percentage of the lowest capacity (`50%`), or requests per second

MAX_CONNECTIONS = 15_000  # of one sliced run, all targets together: a process has 20,000 descriptors
ADDED_WORK_NS = 8_000       # more than a round of the slowest client takes, so that it has time to spare
COST_SLICE_NS = 100_000_000
ALONE = ("idle",)         # loads that are never sliced: what a server holds is to be its own
POLLING = ("equal-load", "saturation", "ping-pong", "open-loop")  # loads whose client never sleeps while it measures


@dataclass(frozen=True)
class Background:
    """The background load: a second one on the same server, which asks for what takes long.  Without a rate a closed
    loop: every connection always has a request in the server."""

    op: str
    connections: int
    rate_per_s: int | None
    offload: bool

    @property
    def name(self) -> str:
        return "+".join([f"background-{self.op}", f"c{self.connections}",
                         *([str(self.rate_per_s)] if self.rate_per_s else []), *(["offload"] if self.offload else [])])

    def as_json(self) -> Json:
        return {"op": self.op, "connections": self.connections, "offload": self.offload,
                **({"rate_per_s": self.rate_per_s} if self.rate_per_s else {})}


@dataclass(frozen=True)
class Block:
    """One run of echo-load.  Times in nanoseconds."""

    load: str
    connections: int
    payload_bytes: int
    framing: Framing
    op: str
    part: int
    parts: int
    variants: tuple[str, ...]
    restarts: int
    duration_ns: int
    rounds: int
    warmup_ns: int
    slice_ns: int | None
    added_work_ns: int
    rate: Rate | None
    background: Background | None = None
    alone: bool = False       # one server at a time: nothing of the others falls into its slices
    active: int = 0           # of `connections` that are driven, the others idle; 0: all
    pattern: Pattern = ()     # of its requests

    @property
    def name(self) -> str:
        """`closed-loop/c5000/64B/frame/part2`: an identity, the same in every run of the experiment."""
        name = "/".join([self.load, *([str(self.rate)] if self.rate else []), f"c{self.connections}",
                         f"{self.payload_bytes}B", self.framing, *([self.op] if self.op != "echo" else []),
                         *pattern.name(self.pattern), *([self.background.name] if self.background else []),
                         *(self.variants if self.alone else [])])
        return name if self.parts == 1 else f"{name}/part{self.part + 1}"

    @property
    def setting(self) -> tuple[int, int, Framing, str, Pattern]:
        """What this block shares with its other parts, and with the blocks of other loads that ask the same of the
        servers."""
        return (self.connections, self.payload_bytes, self.framing, self.op, self.pattern)

    @property
    def share(self) -> float | None:
        """Of the lowest capacity; None where the rate is a number, or there is none."""
        return parse_share(self.rate) if isinstance(self.rate, str) else None


@dataclass(frozen=True)
class Unserved:
    """A variant that cannot serve a load with that many connections; `reason` is a clause without its subject."""

    variant: Variant
    load: str
    connections: int
    reason: str


def blocks_of(name: str, document: Json, variants: Mapping[str, Variant], load: Json, connections: int, payload: int,
              placement: Placement) -> tuple[list[Block], list[Unserved]]:
    """The blocks of one load of the experiment called `name`, connection count and payload (bytes); and which variants
    cannot serve it."""
    reference = variants[document["reference"]]
    background = _background(load)
    alone = load["load"] in ALONE or background is not None or not load["sliced"]
    ops = [load["op"], *([background.op] if background else [])]
    clients = connections + (background.connections if background else 0)
    refused = {v.name: v.refuses(load["load"], clients, placement.server_threads, ops, load.get("framing"))
               for v in variants.values() if not (alone and v.control_of)}
    able = [variants[v] for v, reason in refused.items() if not reason]
    unserved = [Unserved(variants[v], load["load"], connections, reason) for v, reason in refused.items() if reason]
    framing_of_ours: Framing = load.get("framing", document["framing"])
    by_framing: dict[Framing, list[Variant]] = {}
    for variant in able:
        by_framing.setdefault(variant.framing or framing_of_ours, []).append(variant)
    rates = [_rate(rate) for rate in load.get("rates", [None])]
    blocks = []
    for framing, group in by_framing.items():
        def for_each_rate(part: int, parts: int, names: Iterable[str]) -> list[Block]:
            return [Block(
                load=load["load"], connections=connections, payload_bytes=payload, framing=framing, op=load["op"],
                part=part, parts=parts, variants=tuple(names), restarts=load.get("restarts", document["restarts"]),
                duration_ns=parse_time_ns(load["duration"]), rounds=load["rounds"],
                warmup_ns=parse_time_ns(load.get("warmup", document["warmup"])), slice_ns=_slice_ns(load),
                added_work_ns=_added_work_ns(load), rate=rate, background=background, alone=alone,
                active=max(1, round(connections * parse_share(load["active"]))) if load["load"] == "idle" else 0,
                pattern=pattern.items(load.get("pattern", {}))) for rate in rates]
        if alone:
            blocks += [block for variant in group for block in for_each_rate(0, 1, [variant.name])]
            continue
        families: dict[str, list[str]] = {}  # a variant, its controls and its steps stand in one block
        for variant in group:
            families.setdefault(variant.family, []).append(variant.name)
        # echo-server speaks every framing: the reference joins the foreign servers in theirs
        always = reference.family
        if always not in families and reference in able and not reference.is_foreign:
            families[always] = [v.name for v in able if v.family == always]
        for part, parts, members in _parts(name, load["load"], connections, families, always):
            blocks += for_each_rate(part, parts, [v for v in variants if v in members])
    return blocks, unserved


def _rate(rate: Rate | None) -> Rate | None:
    """As the experiment gives it: a percentage stays text, a number becomes one."""
    return rate if rate is None or isinstance(rate, str) and rate.endswith("%") else parse_count(rate)


def _background(load: Json) -> Background | None:
    background = load.get("background")
    if background is None:
        return None
    return Background(background["op"], parse_count(background["connections"]),
                      parse_count(background["rate"]) if "rate" in background else None,
                      background.get("offload", False))


def _parts(name: str, load: str, connections: int, families: Mapping[str, list[str]],
           everywhere: str) -> list[tuple[int, int, set[str]]]:
    """(part, parts, the names in it): as many families a run as one process can hold, one of them everywhere."""
    always = families.get(everywhere, [])
    others = [family for of, family in families.items() if of != everywhere]
    room = math.inf if load == "crr" else MAX_CONNECTIONS // connections - len(always)
    parts: list[list[str]] = []
    for family in others:
        if len(family) > room:
            raise Usage(f"experiment {name}: {connections:,} connections to each of {len(always) + len(family)} "
                        f"servers are more than a sliced run can hold ({MAX_CONNECTIONS:,}); use at most "
                        f"{MAX_CONNECTIONS // (len(always) + len(family)):,}")
        if not parts or len(parts[-1]) + len(family) > room:
            parts.append([])
        parts[-1] += family
    return [(number, max(1, len(parts)), {*always, *members}) for number, members in enumerate(parts or [[]])]


def _slice_ns(load: Json) -> int | None:
    if "slice" in load:
        return parse_time_ns(load["slice"])
    return COST_SLICE_NS if load["load"] == "equal-load" else None


def _added_work_ns(load: Json) -> int:
    if load["load"] != "saturation":
        return 0
    return parse_time_ns(load["added_work"]) if "added_work" in load else ADDED_WORK_NS


def server_options(variant: Variant, block: Block) -> list[str]:
    """Options of echo-server in addition to its variant: the experiment's, and what it burns for each request."""
    burn_ns = block.added_work_ns + variant.burn_ns
    return [*variant.options, *(["--burn", format_time_option(burn_ns)] if burn_ns else [])]


def sentences(unserved: Iterable[Unserved]) -> tuple[str, ...]:
    """What is left out, and why: a sentence for each reason."""
    by_variant: dict[tuple[str, str], dict[str, set[int]]] = {}
    for entry in unserved:
        if entry.variant.control_of is None:
            loads = by_variant.setdefault((entry.variant.name, entry.reason), {})
            loads.setdefault(entry.load, set()).add(entry.connections)
    by_reason: dict[tuple[str, str], list[str]] = {}
    for (name, reason), loads in by_variant.items():
        by_reason.setdefault((reason, _places(reason, loads)), []).append(name)
    return tuple(_left_out(names, reason, places) for (reason, places), names in by_reason.items())


def _places(reason: str, loads: Mapping[str, Collection[int]]) -> str:
    """`loads` is {load: its numbers of connections}.  What a server cannot hold it is left out of under every load but
    crr."""
    if reason.startswith("serves"):
        return f"the tables for {_counts(count for counts in loads.values() for count in counts)} connections"
    by_counts: dict[str, list[str]] = {}
    for load, counts in loads.items():
        by_counts.setdefault(_counts(counts), []).append(LOADS[load])
    return listed([f"{listed(names)} with {counts} connections" for counts, names in by_counts.items()])


def _counts(numbers: Iterable[int]) -> str:
    return listed([f"{number:,}" for number in sorted(set(numbers))])


def _left_out(names: list[str], reason: str, places: str) -> str:
    """`go and node cannot burn added work, so they are left out of saturation with 100 connections`"""
    verb, rest = reason.split(" ", 1)
    if len(names) > 1:
        return f"{listed(names)} {verb.removesuffix('s')} {rest}, so they are left out of {places}"
    return f"{names[0]} {reason}, so it is left out of {places}"
