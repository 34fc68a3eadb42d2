"""A result of `echobench count`: results/count.schema.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import REPOSITORY, documents
from ..documents import Json

SCHEMA_FILE = REPOSITORY / "results" / "count.schema.json"
FILE_NAME = "count.json"
KIND = "count"
EXACT_WITHIN = 0.001  # repeats of an exact figure lie no further apart
FIGURES = {  # in the order of a table: what they are called
    "instructions": "instructions", "system_calls": "system calls", "allocations": "allocations",
    "allocated_bytes": "bytes allocated", "voluntary_switches": "voluntary switches",
    "involuntary_switches": "involuntary switches"}
NEVER_EXACT = {"voluntary_switches", "involuntary_switches"}  # the system's load decides, too


@dataclass(frozen=True)
class Figure:
    """A count: `per_request` is the median of `values`, those of every repeat, and `scatter` how far they lie apart,
    divided by it; where it is 0, not divided."""

    per_request: float
    values: tuple[float, ...]
    scatter: float
    exact: bool


@dataclass(frozen=True)
class Function:
    """Instructions per request that it executes itself, and their share of all."""

    name: str
    instructions: float
    share: float


@dataclass(frozen=True)
class Counts:
    """Of one variant with so many connections.  `figures` by the names of FIGURES, without those that could not be
    counted, and `refused` {tool: why it could not count}; `system_calls` by name; `functions` the largest first.
    `inexact`: why the figures are not exact, empty where they are."""

    figures: Mapping[str, Figure]
    system_calls: Mapping[str, Figure]
    functions: tuple[Function, ...]
    inexact: str
    refused: Mapping[str, str]


Cells = dict[tuple[str, int], Counts]  # by variant and number of connections


@dataclass(frozen=True)
class Result:
    """`document` is the whole of it.  `build` and `host`: facts about the server's build and the machine, by name;
    `unavailable` {variant: why it cannot run here}; `unserved` sentences: what is left out, and why."""

    document: Json
    framing: str
    payload_bytes: int
    repeats: int
    valgrind: str
    sha256: str
    build: Mapping[str, object]
    host: Mapping[str, object]
    is_complete: bool
    unavailable: Mapping[str, str]
    unserved: tuple[str, ...]
    cells: Cells


def load(path: str | Path) -> Json:
    """The document of a result file, or of a folder that has one.  Raises Usage if it is not as the schema has it."""
    file = documents.locate(path, FILE_NAME)
    document = documents.read(file, "result-count")
    _validate(document, file)
    return document


def save(document: Json, file: Path) -> None:
    """Raises Usage, and writes nothing, if it is not as the schema has it."""
    _validate(document, file)
    documents.write(document, file)


def result_of(document: Json) -> Result:
    """Of a document that is as the schema has it."""
    tool, config = document["tool"], document["config"]
    return Result(document, config["framing"], config["payload_bytes"], config["repeats"], tool["valgrind"],
                  tool["sha256"], tool.get("build", {}), document["host"], document.get("complete", True),
                  document["unavailable"], tuple(document["unserved"]),
                  {(cell["variant"], cell["connections"]): counts_of(cell) for cell in document["cells"]})


def counts_of(cell: Json) -> Counts:
    """Of a cell as it is stored."""
    return Counts(_figures_of(cell["figures"]), _figures_of(cell["system_calls"]),
                  tuple(Function(entry["name"], entry["instructions"], entry["share"]) for entry in cell["functions"]),
                  cell["inexact"], cell["refused"])


def _figures_of(stored: Mapping[str, Json]) -> dict[str, Figure]:
    return {name: Figure(figure["per_request"], tuple(figure["values"]), figure["scatter"], figure["exact"])
            for name, figure in stored.items() if figure}


def _validate(document: object, file: Path) -> None:
    documents.check(document, SCHEMA_FILE, file)
