"""Blocks: an experiment's loads, divided into runs of echo-load.

A block is one run of echo-load: the targets that it drives in turn, slice by slice.  Every block holds the
reference, because ratios are taken within a block, and the reference's twin, because what the block's figures show
of a known slow-down is measured in it.
"""

import math
from dataclasses import dataclass

from .. import Usage
from ..units import format_time_option, parse_count, parse_time_ns

MAX_CONNECTIONS = 15_000  # of one sliced run, all targets together: a process has 20,000 descriptors
SHARES = {"light": 0.1, "half": 0.5, "heavy": 0.8}  # of the lowest capacity
BALLAST_NS = 8_000       # more than a round of the slowest client takes, so that it has time to spare
COST_SLICE_NS = 100_000_000
POLLING = ("equal-load", "saturation", "ping-pong", "open")  # loads whose client never sleeps while it measures


@dataclass(frozen=True)
class Block:
    """One run of echo-load.  Times in nanoseconds; `rate` as the experiment says it: a share or a number."""

    load: str
    connections: int
    payload_bytes: int
    framing: str
    op: str
    part: int
    parts: int
    variants: tuple[str, ...]
    restarts: int
    duration_ns: int
    rounds: int
    warmup_ns: int
    slice_ns: int | None
    ballast_ns: int
    rate: str | int | None

    @property
    def name(self):
        """`closed/c5000/64B/frame/part2`: an identity, the same in every run of the experiment."""
        name = "/".join([self.load, *([str(self.rate)] if self.rate else []), f"c{self.connections}",
                         f"{self.payload_bytes}B", self.framing, *([self.op] if self.op != "echo" else [])])
        return name if self.parts == 1 else f"{name}/part{self.part + 1}"

    @property
    def setting(self):
        """What this block shares with its other parts, and with the blocks of other loads that ask the same of the servers."""
        return (self.connections, self.payload_bytes, self.framing, self.op)

    @property
    def share(self):
        """Of the lowest capacity; None where the rate is a number, or there is none."""
        if not isinstance(self.rate, str):
            return None
        return SHARES.get(self.rate) or int(self.rate.removesuffix("%")) / 100


def blocks_of(name, document, variants, load, connections, payload):
    """The blocks of one load, connection count and payload; and which variants cannot serve it."""
    threads = document["placement"]["server_threads"]
    reference = document["reference"]
    able = [v for v in variants.values() if v.serves(load["load"], connections, threads)]
    unserved = [(v, load["load"], connections) for v in variants.values() if v not in able]
    by_framing = {}
    for variant in able:
        by_framing.setdefault(variant.framing or document["framing"], []).append(variant)
    blocks = []
    for framing, group in by_framing.items():
        families = {}  # a variant and its twins stand in one block
        for variant in group:
            families.setdefault(variant.twin_of or variant.name, []).append(variant.name)
        # echo-server speaks every framing: the reference joins the foreign servers in theirs
        if reference not in families and variants[reference] in able and not variants[reference].is_foreign:
            families[reference] = [v.name for v in able if reference in (v.name, v.twin_of)]
        for part, parts, members in _parts(name, load["load"], connections, families, reference):
            for rate in load.get("rates", [None]):
                blocks.append(Block(
                    load=load["load"], connections=connections, payload_bytes=payload, framing=framing, op=load["op"],
                    part=part, parts=parts, variants=tuple(v for v in variants if v in members),
                    restarts=load.get("restarts", document["restarts"]), duration_ns=parse_time_ns(load["duration"]),
                    rounds=load["rounds"], warmup_ns=parse_time_ns(load.get("warmup", document["warmup"])),
                    slice_ns=_slice_ns(load), ballast_ns=_ballast_ns(load),
                    rate=rate if rate is None or isinstance(rate, str) and (rate in SHARES or rate.endswith("%"))
                    else parse_count(rate)))
    return blocks, unserved


def _parts(name, load, connections, families, reference):
    """(part, parts, the names in it): as many families a run as one process can hold, the reference's in each."""
    always = families.get(reference, [])
    others = [family for of, family in families.items() if of != reference]
    room = math.inf if load == "crr" else MAX_CONNECTIONS // connections - len(always)
    parts, members = [], None
    for family in others:
        if len(family) > room:
            raise Usage(f"experiment {name}: {connections:,} connections to each of {len(always) + len(family)} servers: a "
                        f"sliced run holds at most {MAX_CONNECTIONS:,}; use at most "
                        f"{MAX_CONNECTIONS // (len(always) + len(family)):,}")
        if members is None or len(members) + len(family) > room:
            members = []
            parts.append(members)
        members += family
    return [(number, max(1, len(parts)), {*always, *members}) for number, members in enumerate(parts or [[]])]


def _slice_ns(load):
    if "slice" in load:
        return parse_time_ns(load["slice"])
    return COST_SLICE_NS if load["load"] == "equal-load" else None


def _ballast_ns(load):
    if load["load"] != "saturation":
        return 0
    return parse_time_ns(load["ballast"]) if "ballast" in load else BALLAST_NS


def server_options(variant, block):
    """What echo-server is told beside its variant: the experiment's options, and what it burns for each request."""
    burn_ns = block.ballast_ns + variant.burn_ns
    return [*variant.options, *(["--burn", format_time_option(burn_ns)] if burn_ns else [])]


def sentences(unserved):
    """What is left out, one sentence per variant and load."""
    sizes = {}
    for variant, load, connections in unserved:
        if variant.twin_of is None:
            sizes.setdefault((variant, load), {})[f"{connections:,}"] = None
    return tuple(f"{variant.name} cannot burn a ballast: not measured in saturation" if variant.is_foreign and load == "saturation"
                 else f"{variant.name} holds {variant.holds}: not measured over {', '.join(at)} connections, {load}"
                 for (variant, load), at in sizes.items())
