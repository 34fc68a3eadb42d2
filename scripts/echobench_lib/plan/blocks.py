"""Blocks: an experiment's loads, divided into runs of echo-load.

A block is one run of echo-load: the targets that it drives in turn, slice by slice.  Every block holds the
reference, because ratios are taken within a block, and the reference's control, because the control shows for each block
whether its figures can be trusted.
"""

import math
from dataclasses import dataclass

from .. import Usage, pattern
from ..result import LOADS
from ..units import format_time_option, listed, parse_count, parse_share, parse_time_ns

MAX_CONNECTIONS = 15_000  # of one sliced run, all targets together: a process has 20,000 descriptors
ADDED_WORK_NS = 8_000       # more than a round of the slowest client takes, so that it has time to spare
COST_SLICE_NS = 100_000_000
ALONE = ("idle",)         # loads that are never sliced: what a server holds is to be its own
POLLING = ("equal-load", "saturation", "ping-pong", "open-loop")  # loads whose client never sleeps while it measures


@dataclass(frozen=True)
class Background:
    """The background load: a second one on the same server, which asks for what takes long.  Without a rate a closed loop: every
    connection always has a request in the server."""

    op: str
    connections: int
    rate_per_s: int | None
    offload: bool

    @property
    def name(self):
        return "+".join([f"background-{self.op}", f"c{self.connections}", *([str(self.rate_per_s)] if self.rate_per_s else []),
                         *(["offload"] if self.offload else [])])

    def as_json(self):
        return {"op": self.op, "connections": self.connections, "offload": self.offload,
                **({"rate_per_s": self.rate_per_s} if self.rate_per_s else {})}


@dataclass(frozen=True)
class Block:
    """One run of echo-load.  Times in nanoseconds; `rate` as the experiment gives it: a percentage or a number."""

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
    added_work_ns: int
    rate: str | int | None
    background: Background | None = None
    alone: bool = False       # one server at a time: nothing of the others falls into its slices
    active: int = 0           # of `connections` that are driven, the others idle; 0: all
    pattern: tuple = ()       # of its requests, as pattern.items() gives it

    @property
    def name(self):
        """`closed-loop/c5000/64B/frame/part2`: an identity, the same in every run of the experiment."""
        name = "/".join([self.load, *([str(self.rate)] if self.rate else []), f"c{self.connections}",
                         f"{self.payload_bytes}B", self.framing, *([self.op] if self.op != "echo" else []),
                         *pattern.name(self.pattern), *([self.background.name] if self.background else []), *(self.variants if self.alone else [])])
        return name if self.parts == 1 else f"{name}/part{self.part + 1}"

    @property
    def setting(self):
        """What this block shares with its other parts, and with the blocks of other loads that ask the same of the servers."""
        return (self.connections, self.payload_bytes, self.framing, self.op, self.pattern)

    @property
    def share(self):
        """Of the lowest capacity; None where the rate is a number, or there is none."""
        return parse_share(self.rate) if isinstance(self.rate, str) else None


def blocks_of(name, document, variants, load, connections, payload, placement):
    """The blocks of one load, connection count and payload; and which variants cannot serve it: (variant, load, connections, why)."""
    reference = document["reference"]
    background = _background(load)
    alone = load["load"] in ALONE or background is not None or not load["sliced"]
    ops = [load["op"], *([background.op] if background else [])]
    refused = {v.name: v.refuses(load["load"], connections + (background.connections if background else 0), placement.server_threads, ops, load.get("framing"))
               for v in variants.values() if not (alone and v.control_of)}
    able = [variants[v] for v, reason in refused.items() if not reason]
    unserved = [(variants[v], load["load"], connections, reason) for v, reason in refused.items() if reason]
    by_framing = {}
    for variant in able:
        by_framing.setdefault(variant.framing or load.get("framing", document["framing"]), []).append(variant)
    blocks = []
    for framing, group in by_framing.items():
        def block(**more):
            return Block(
                load=load["load"], connections=connections, payload_bytes=payload, framing=framing, op=load["op"],
                restarts=load.get("restarts", document["restarts"]), duration_ns=parse_time_ns(load["duration"]),
                rounds=load["rounds"], warmup_ns=parse_time_ns(load.get("warmup", document["warmup"])),
                slice_ns=_slice_ns(load), added_work_ns=_added_work_ns(load), background=background, alone=alone,
                pattern=pattern.items(load.get("pattern", {})),
                active=max(1, round(connections * parse_share(load["active"]))) if load["load"] == "idle" else 0, **more)
        rates = [_rate(rate) for rate in load.get("rates", [None])]
        if alone:
            blocks += [block(part=0, parts=1, variants=(variant.name,), rate=rate) for variant in group for rate in rates]
            continue
        families = {}  # a variant, its controls and its steps stand in one block
        for variant in group:
            families.setdefault(variant.family, []).append(variant.name)
        # echo-server speaks every framing: the reference joins the foreign servers in theirs
        always = variants[reference].family
        if always not in families and variants[reference] in able and not variants[reference].is_foreign:
            families[always] = [v.name for v in able if v.family == always]
        for part, parts, members in _parts(name, load["load"], connections, families, always):
            blocks += [block(part=part, parts=parts, variants=tuple(v for v in variants if v in members), rate=rate) for rate in rates]
    return blocks, unserved


def _rate(rate):
    """As the experiment gives it: a percentage stays text, a number becomes one."""
    return rate if rate is None or isinstance(rate, str) and rate.endswith("%") else parse_count(rate)


def _background(load):
    background = load.get("background")
    return background and Background(background["op"], parse_count(background["connections"]),
                                    parse_count(background["rate"]) if "rate" in background else None, background.get("offload", False))


def _parts(name, load, connections, families, everywhere):
    """(part, parts, the names in it): as many families a run as one process can hold, one of them everywhere."""
    always = families.get(everywhere, [])
    others = [family for of, family in families.items() if of != everywhere]
    room = math.inf if load == "crr" else MAX_CONNECTIONS // connections - len(always)
    parts, members = [], None
    for family in others:
        if len(family) > room:
            raise Usage(f"experiment {name}: {connections:,} connections to each of {len(always) + len(family)} servers are more than a "
                        f"sliced run can hold ({MAX_CONNECTIONS:,}); use at most "
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


def _added_work_ns(load):
    if load["load"] != "saturation":
        return 0
    return parse_time_ns(load["added_work"]) if "added_work" in load else ADDED_WORK_NS


def server_options(variant, block):
    """Options of echo-server in addition to its variant: the experiment's, and what it burns for each request."""
    burn_ns = block.added_work_ns + variant.burn_ns
    return [*variant.options, *(["--burn", format_time_option(burn_ns)] if burn_ns else [])]


def sentences(unserved):
    """What is left out, and why: a sentence for each reason."""
    by_variant = {}
    for variant, load, connections, reason in unserved:
        if variant.control_of is None:
            by_variant.setdefault((variant.name, reason), {}).setdefault(load, {})[connections] = None
    by_reason = {}
    for (name, reason), loads in by_variant.items():
        by_reason.setdefault((reason, _places(reason, loads)), []).append(name)
    return tuple(_left_out(names, reason, places) for (reason, places), names in by_reason.items())


def _places(reason, loads):
    """`loads` is {load: its numbers of connections}.  What a server cannot hold it is left out of under every load but crr."""
    if reason.startswith("serves"):
        return f"the tables for {_counts(count for counts in loads.values() for count in counts)} connections"
    by_counts = {}
    for load, counts in loads.items():
        by_counts.setdefault(_counts(counts), []).append(LOADS[load])
    return listed([f"{listed(names)} with {counts} connections" for counts, names in by_counts.items()])


def _counts(numbers):
    return listed([f"{number:,}" for number in sorted(set(numbers))])


def _left_out(names, reason, places):
    """`go and node cannot burn added work, so they are left out of saturation with 100 connections`"""
    verb, rest = reason.split(" ", 1)
    if len(names) > 1:
        return f"{listed(names)} {verb.removesuffix('s')} {rest}, so they are left out of {places}"
    return f"{names[0]} {reason}, so it is left out of {places}"
