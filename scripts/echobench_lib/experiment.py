"""What to measure, as data: an experiment file, checked and expanded into blocks.

A block is one run of echo-load: the targets that it drives in turn, slice by slice.  Every block holds the
reference, because ratios are taken within a block.
"""

import json
import math
import random
from dataclasses import dataclass

import jsonschema

from . import REPOSITORY, Usage
from .units import NS_PER_S, parse_count, parse_time_ns

FOLDER = REPOSITORY / "scripts" / "experiments"
SCHEMA_FILE = FOLDER / "experiment.schema.json"
MAX_CONNECTIONS = 15_000  # of one sliced run, all targets together: a process has 20,000 descriptors
DRAIN = 1.15  # a slice and its drain, by the slice: a drain takes about one turn of the twenty
HALF_CAPACITY = "half of the lowest capacity"


@dataclass(frozen=True)
class Variant:
    """A server that an experiment names.  `command` is None for a variant of echo-server."""

    name: str
    command: tuple[str, ...] | None = None
    framing: str | None = None
    holds: str = "any"

    def serves(self, load, connections, threads):
        """Whether the model can hold that many clients at once; every model can serve crr."""
        limit = {"one": 1, "threads": threads, "any": math.inf}[self.holds]
        return load == "crr" or connections <= limit


@dataclass(frozen=True)
class Block:
    """One run of echo-load.  Times in nanoseconds, rates in requests per second and target."""

    load: str
    connections: int
    payload_bytes: int
    framing: str
    part: int
    parts: int
    variants: tuple[str, ...]
    restarts: int
    least_duration_ns: int
    rounds: int
    assumed_rate: int
    rate: int | str | None

    @property
    def name(self):
        """`closed/c5000/64B/frame/part2`: an identity, the same in every run of the experiment."""
        name = f"{self.load}/c{self.connections}/{self.payload_bytes}B/{self.framing}"
        return name if self.parts == 1 else f"{name}/part{self.part + 1}"

    @property
    def workload(self):
        """What this block shares with its other parts, and with the blocks of other loads on the same servers."""
        return (self.connections, self.payload_bytes, self.framing)

    def slice_ns(self, stretch=1):
        """Length of one target's turn, whole milliseconds: echo-load's rule for `--slice auto`, applied to the rate
        that the experiment assumes, so that the time of a run is known beforehand.  `stretch` lengthens it where
        the servers turn out to be slower."""
        turn_ns = stretch * self.connections * NS_PER_S / self.assumed_rate
        least_ns = NS_PER_S if self.load == "open" else 20_000_000
        return math.ceil(max(least_ns, 20 * turn_ns) / 1_000_000) * 1_000_000

    def duration_ns(self, stretch=1):
        """Long enough for `rounds` slices of every target and the drains between them: echo-load begins a round only
        when all of it fits."""
        rounds_ns = self.rounds * len(self.variants) * self.slice_ns(stretch)
        return max(self.least_duration_ns, math.ceil(DRAIN * rounds_ns))


@dataclass(frozen=True)
class Experiment:
    name: str
    document: dict
    reference: str
    variants: dict[str, Variant]
    blocks: tuple[Block, ...]
    unavailable: dict[str, str]
    unserved: tuple[str, ...]

    def order(self):
        """(restart, block) pairs: each restart visits its blocks in an order drawn from the seed, so that the
        restarts of a block are spread over the run.  Open loops whose rate is a share of a measured capacity come
        last in restart 0, when that capacity is known."""
        draw = random.Random(self.document["seed"])
        pairs = []
        for restart in range(max(block.restarts for block in self.blocks)):
            blocks = [block for block in self.blocks if restart < block.restarts]
            draw.shuffle(blocks)
            if restart == 0:
                blocks.sort(key=lambda block: block.rate == HALF_CAPACITY)
            pairs += [(restart, block) for block in blocks]
        return pairs


def names():
    return sorted(path.stem for path in FOLDER.glob("*.json") if path != SCHEMA_FILE)


def load_document(name_or_path):
    """The experiment's name and its document with defaults filled in.  Usage errors say where and what."""
    path = FOLDER / f"{name_or_path}.json"
    if not path.is_file():
        path = FOLDER.__class__(name_or_path)
        if not path.is_file():
            raise Usage(f"no experiment '{name_or_path}': there are {', '.join(names())}; or give the path of a file")
    try:
        document = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Usage(f"{path}: not JSON: {error}") from None
    schema = json.loads(SCHEMA_FILE.read_text())
    explain(jsonschema.Draft202012Validator(schema).iter_errors(document), path)
    document.pop("$schema", None)
    fill_defaults(document, schema, schema)
    return path.stem, document


def explain(errors, path):
    """Raises Usage for the error that lies deepest in the file, where the mistake most likely is."""
    errors = [leaf for error in errors for leaf in ([error, *error.context] if error.context else [error])]
    if errors:
        error = max(errors, key=lambda error: len(error.absolute_path))
        where = "/".join(str(part) for part in error.absolute_path) or "top level"
        meant = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
        raise Usage(f"{path}: at {where}: {error.message[:300]}" + (f" ({meant})" if meant else ""))


def fill_defaults(value, schema, root):
    """Sets every absent property of `value` that its schema gives a default for, in depth."""
    if "$ref" in schema:
        schema = {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}
    if isinstance(value, dict):
        for key, sub in schema.get("properties", {}).items():
            if "default" in sub:
                value.setdefault(key, json.loads(json.dumps(sub["default"])))
            if key in value:
                fill_defaults(value[key], sub, root)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            fill_defaults(item, schema["items"], root)


def expand(name, document, listed):
    """The experiment's blocks.  `listed` is what `echo-server --list=json` says: a list of
    {"name", "summary", "holds", "unavailable_reason"}."""
    listed = {entry["name"]: entry for entry in listed}
    variants, unavailable = {}, {}
    for entry in document["variants"]:
        if isinstance(entry, dict):
            variant = Variant(entry["name"], tuple(entry["command"]), entry["framing"], entry.get("holds", "any"))
        elif entry in listed:
            variant = Variant(entry, holds=listed[entry]["holds"])
        else:
            raise Usage(f"experiment {name}: no variant '{entry}': there are {', '.join(listed)}; or give an object "
                        'with "name", "command" and "framing"')
        if variant.name in variants or variant.name in unavailable:
            raise Usage(f"experiment {name}: variant '{variant.name}' is named twice")
        reason = "" if variant.command else listed[variant.name]["unavailable_reason"]
        if reason:
            unavailable[variant.name] = reason
        else:
            variants[variant.name] = variant
    reference = document["reference"]
    if reference not in variants:
        why = unavailable.get(reference, "it is not among the variants")
        raise Usage(f"experiment {name}: the reference '{reference}' cannot be measured: {why}")

    blocks, unserved = [], []
    for load in document["loads"]:
        for connections in map(parse_count, load["connections"]):
            if connections < 1:
                raise Usage(f"experiment {name}: connections must be 1 or more")
            for payload in map(parse_count, document["payloads"]):
                made, left = _blocks_of(name, document, variants, load, connections, payload)
                blocks += made
                unserved += left
    if not blocks:
        raise Usage(f"experiment {name}: no variant can serve any of its cells")
    if len({block.name for block in blocks}) < len(blocks):
        raise Usage(f"experiment {name}: two loads describe the same cells")
    return Experiment(name, document, reference, variants, tuple(blocks), unavailable, _sentences(unserved))


def _sentences(unserved):
    """What is left out, one sentence per variant and load."""
    sizes = {}
    for variant, load, connections in unserved:
        sizes.setdefault((variant, load), {})[f"{connections:,}"] = None
    return tuple(f"{variant.name} holds {variant.holds}: not measured over {', '.join(at)} connections, {load}"
                 for (variant, load), at in sizes.items())


def _blocks_of(name, document, variants, load, connections, payload):
    """The blocks of one load, connection count and payload; and which variants cannot serve it."""
    threads = document["placement"]["server_threads"]
    reference = document["reference"]
    unserved = [(v, load["load"], connections) for v in variants.values()
                if not v.serves(load["load"], connections, threads)]
    able = [v for v in variants.values() if v.serves(load["load"], connections, threads)]
    by_framing = {}
    for variant in able:
        by_framing.setdefault(variant.framing or document["framing"], []).append(variant.name)
    rate = load.get("rate")
    blocks = []
    for framing, group in by_framing.items():
        # echo-server speaks every framing: the reference joins the foreign servers in theirs
        if reference not in group and variants[reference] in able and variants[reference].command is None:
            group.append(reference)
        others = [member for member in group if member != reference]
        at_once = MAX_CONNECTIONS // connections if load["load"] != "crr" else len(group)
        if at_once < min(2, len(group)):
            raise Usage(f"experiment {name}: {connections:,} connections to each of two servers: a sliced run holds at "
                        f"most {MAX_CONNECTIONS:,}; use at most {MAX_CONNECTIONS // 2:,}")
        parts = max(1, math.ceil(len(others) / max(1, at_once - 1)))
        for part in range(parts):
            members = set(others[part::parts]) | {reference}
            blocks.append(Block(
                load=load["load"], connections=connections, payload_bytes=payload, framing=framing,
                part=part, parts=parts, variants=tuple(v for v in variants if v in members and v in group),
                restarts=load.get("restarts", document["restarts"]),
                least_duration_ns=parse_time_ns(load["duration"]), rounds=load["rounds"],
                assumed_rate=parse_count(load["assumed_rate"]),
                rate=rate if rate in (None, HALF_CAPACITY) else parse_count(rate)))
    return blocks, unserved
