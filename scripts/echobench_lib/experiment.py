"""What to measure, as data: an experiment file, checked and expanded into blocks.

A block is one run of echo-load: the targets that it drives in turn, slice by slice.  Every block holds the
reference, because ratios are taken within a block, and the reference's twin, because what the block's figures show
of a known slow-down is measured in it.
"""

import json
import math
import random
from dataclasses import dataclass, replace

import jsonschema

from . import REPOSITORY, Usage
from .units import format_time_option, parse_count, parse_time_ns

FOLDER = REPOSITORY / "scripts" / "experiments"
SCHEMA_FILE = FOLDER / "experiment.schema.json"
MAX_CONNECTIONS = 15_000  # of one sliced run, all targets together: a process has 20,000 descriptors
SHARES = {"light": 0.1, "half": 0.5, "heavy": 0.8}  # of the lowest capacity
BALLAST_NS = 8_000       # more than a round of the slowest client takes, so that it has time to spare
COST_SLICE_NS = 100_000_000
POLLING = ("equal-load", "saturation", "ping-pong", "open")  # loads whose client never sleeps while it measures


@dataclass(frozen=True)
class Variant:
    """A server that an experiment names: echo-server's `variant` with `options`, or any program's `command`.
    A twin burns `burn_ns` for each request more than the variant that it is the twin of."""

    name: str
    variant: str = ""
    options: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    framing: str | None = None
    holds: str = "any"
    twin_of: str | None = None
    burn_ns: int = 0

    def twin(self, burn):
        return replace(self, name=f"{self.name}+{burn}", twin_of=self.name, burn_ns=parse_time_ns(burn))

    def serves(self, load, connections, threads):
        """Whether the model can hold that many clients at once; every model can serve crr.  A foreign server cannot
        burn a ballast."""
        limit = {"one": 1, "threads": threads, "any": math.inf}[self.holds]
        return load == "crr" or connections <= limit and not (load == "saturation" and self.command)


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
    def servers(self):
        """What this block shares with its other parts, and with the blocks of other loads on the same servers."""
        return (self.connections, self.payload_bytes, self.framing, self.op)

    @property
    def share(self):
        """Of the lowest capacity; None where the rate is a number, or there is none."""
        if not isinstance(self.rate, str):
            return None
        return SHARES.get(self.rate) or int(self.rate.removesuffix("%")) / 100


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
        restarts of a block are spread over the run.  Rates that are a share of a measured capacity come last in
        restart 0, when that capacity is known."""
        draw = random.Random(self.document["seed"])
        pairs = []
        for restart in range(max(block.restarts for block in self.blocks)):
            blocks = [block for block in self.blocks if restart < block.restarts]
            draw.shuffle(blocks)
            if restart == 0:
                blocks.sort(key=lambda block: block.share is not None)
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
    document.setdefault("twins", [document["reference"]])
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
    variants, unavailable = _variants(name, document, {entry["name"]: entry for entry in listed})
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
    measured = {block.servers for block in blocks if block.load == "closed"}
    for block in blocks:
        if block.share is not None and block.servers not in measured:
            raise Usage(f"experiment {name}: {block.name}: a share of what capacity? Add a closed load over "
                        f"{block.connections:,} connections, or give the rate as a number")
    return Experiment(name, document, reference, variants, tuple(blocks), unavailable, _sentences(unserved))


def _variants(name, document, listed):
    """{name: Variant} with each twin behind its own, and {name: why it cannot be measured here}."""
    variants, unavailable = {}, {}
    for entry in document["variants"]:
        if isinstance(entry, str):
            entry = {"name": entry, "variant": entry}
        if entry["name"] in variants or entry["name"] in unavailable:
            raise Usage(f"experiment {name}: variant '{entry['name']}' is named twice")
        if "command" in entry:
            variants[entry["name"]] = Variant(entry["name"], command=tuple(entry["command"]), framing=entry["framing"],
                                              holds=entry.get("holds", "any"))
            continue
        own = listed.get(entry["variant"])
        if own is None:
            raise Usage(f"experiment {name}: no variant '{entry['variant']}': there are {', '.join(listed)}; or give an "
                        'object with "name", "command" and "framing"')
        if own["unavailable_reason"]:
            unavailable[entry["name"]] = own["unavailable_reason"]
            continue
        variants[entry["name"]] = Variant(entry["name"], entry["variant"], tuple(entry.get("options", ())),
                                          holds=own["holds"])
    for of in document["twins"]:
        if of not in variants and of not in unavailable:
            raise Usage(f"experiment {name}: a twin of '{of}': it is not among the variants")
        if of in variants and variants[of].command:
            raise Usage(f"experiment {name}: a twin of '{of}': a server that is not ours cannot burn a known time")
    return {each.name: each for variant in variants.values() for each in
            (variant, *(variant.twin(burn) for burn in document["burns"] if variant.name in document["twins"]))}, unavailable


def _sentences(unserved):
    """What is left out, one sentence per variant and load."""
    sizes = {}
    for variant, load, connections in unserved:
        if variant.twin_of is None:
            sizes.setdefault((variant, load), {})[f"{connections:,}"] = None
    return tuple(f"{variant.name} cannot burn a ballast: not measured in saturation" if variant.command and load == "saturation"
                 else f"{variant.name} holds {variant.holds}: not measured over {', '.join(at)} connections, {load}"
                 for (variant, load), at in sizes.items())


def _blocks_of(name, document, variants, load, connections, payload):
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
        if reference not in families and variants[reference] in able and variants[reference].command is None:
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
