"""What to measure, as data: an experiment file, checked and expanded into blocks."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import REPOSITORY, Usage, documents
from ..documents import Json
from ..units import listed, parse_count
from . import blocks as dividing
from .blocks import Block
from .placement import Placement
from .variants import SCHEMA_FILE, Variant, available, descriptions, resolve

EQUAL_LOAD_RATES = ("10%", "50%", "70%")  # of the lowest capacity
FOLDER = REPOSITORY / "scripts" / "experiments"


@dataclass(frozen=True)
class Experiment:
    """`variants` by name, controls and steps of thread scaling among them; `unavailable` {variant: why it cannot be
    measured here}; `unserved` sentences that say what is left out, and why; `models` what our programs say of all
    their variants.  `document` is the file with its defaults."""

    name: str
    document: Json
    reference: str
    variants: dict[str, Variant]
    blocks: tuple[Block, ...]
    unavailable: dict[str, str]
    unserved: tuple[str, ...]
    models: tuple[Json, ...]

    def order(self, restarts: Mapping[Block, range] | None = None) -> list[tuple[int, Block]]:
        """(restart, block) pairs of {Block: range of its restarts}, all of the experiment's by default: in each restart
        the blocks come in an order drawn from the seed, so that the restarts of a block are spread over the run."""
        restarts = {block: range(block.restarts) for block in self.blocks} if restarts is None else restarts
        draw = random.Random(self.document["seed"] + min((of.start for of in restarts.values()), default=0))
        pairs: list[tuple[int, Block]] = []
        for number in range(max(map(len, restarts.values()), default=0)):
            blocks = [block for block, of in restarts.items() if number < len(of)]
            draw.shuffle(blocks)
            pairs += [(restarts[block][number], block) for block in blocks]
        return pairs


def names() -> list[str]:
    """The experiments of scripts/experiments."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if path != SCHEMA_FILE)


def load_document(name_or_path: str | Path) -> tuple[str, Json]:
    """The experiment's name and its document with defaults filled in.  Usage errors say where and what."""
    path = FOLDER / f"{name_or_path}.json"
    if not path.is_file():
        path = Path(name_or_path)
        if not path.is_file():
            raise Usage(f"no experiment '{name_or_path}': there are {', '.join(names())}; or give the path of a file")
    return path.stem, completed(documents.read(path), path)


def completed(document: Json, where: str | Path) -> Json:
    """The document with defaults filled in; `where` it is from, for usage errors."""
    documents.check(document, SCHEMA_FILE, where)
    schema = json.loads(SCHEMA_FILE.read_text())
    document.pop("$schema", None)
    fill_defaults(document, schema, schema)
    document.setdefault("controls", [document["reference"]])
    for load in document["loads"]:
        if load["load"] == "equal-load":
            load.setdefault("rates", list(EQUAL_LOAD_RATES))
    return document


def fill_defaults(value: object, schema: Json, root: Json) -> None:
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


def expand(name: str, document: Json, listing: Iterable[Json], placement: Placement) -> Experiment:
    """The experiment's blocks.  `listing` is what list_variants gives for this build.  Raises Usage where the document
    asks for what cannot be measured."""
    listing = list(listing)
    entries = {entry["name"]: entry for entry in listing}
    document = {**document, "variants": resolve(name, document["variants"], entries)}
    cores = len(placement.server_cores)
    variants, unavailable = available(name, document, entries, cores)
    reference = document["reference"]
    if reference not in variants:
        why = unavailable.get(reference, "it is not among the variants")
        raise Usage(f"experiment {name}: the reference '{reference}' cannot be measured: {why}")
    blocks: list[Block] = []
    unserved: list[dividing.Unserved] = []
    for load in document["loads"]:
        for connections in map(parse_count, load["connections"]):
            for payload in map(parse_count, document["payloads"]):
                made, left = dividing.blocks_of(name, document, variants, load, connections, payload, placement)
                blocks += made
                unserved += left
    if not blocks:
        raise Usage(f"experiment {name}: no variant can serve any of its cells")
    if len({block.name for block in blocks}) < len(blocks):
        raise Usage(f"experiment {name}: two loads describe the same cells")
    return Experiment(name, document, reference, variants, tuple(blocks), unavailable,
                      (*_limited_scaling(document, cores), *dividing.sentences(unserved)), descriptions(listing))


def _limited_scaling(document: Json, cores: int) -> list[str]:
    """A sentence where the servers have too few cores for what is asked."""
    scaled = [entry for entry in document["variants"] if isinstance(entry.get("threads"), str)]
    short = [entry["name"] for entry in scaled
             if (last := entry["threads"].split("..")[1]) and int(last) > cores or cores == 1]
    if not short:
        return []
    have = "1 core" if cores == 1 else f"{cores} cores"
    return [f"the servers have {have} here, so {listed(short)} {'is' if len(short) == 1 else 'are'} measured with no "
            "more threads than that"]
