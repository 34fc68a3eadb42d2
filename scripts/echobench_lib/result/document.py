"""A result file: reading it, checking it, and what `echobench run` alone records filled in."""

from collections.abc import Callable, Sequence
from pathlib import Path

from .. import REPOSITORY, Usage, documents
from ..documents import Json
from ..units import format_time_option, shortened
from . import histogram
from .model import Result

SCHEMA_FILE = REPOSITORY / "results" / "result.schema.json"
SCHEMA_VERSION = 2
FILE_NAME = "result.json"
LEAN_DIGITS = 2


def load(path: str | Path) -> Result:
    """The Result of a file, or of a folder that has one.  Raises Usage when there is none, or it is not valid."""
    file = documents.locate(path, FILE_NAME)
    document = documents.read(file)
    validate(document, file)
    result = from_json(document)
    for number, cell in enumerate(result.cells):
        for kind, text in cell.histograms.items():
            try:
                histogram.decode(text)
            except ValueError as error:
                raise Usage(f"{file}: at cells/{number}/histograms/{kind}: {error}") from None
    return result


def from_json(document: Json) -> Result:
    """The Result of a valid document, in which what only `echobench run` records is filled in."""
    for cell in document["cells"]:
        _complete(cell, document["config"])
    return Result.from_json(document)


def validate(document: Json, path: str | Path) -> None:
    """Raises Usage that names the place when the document is not valid by results/result.schema.json, and both versions
    when it is of another version of that schema."""
    documents.require_version(document, SCHEMA_VERSION, path)
    documents.check(document, SCHEMA_FILE, path)


def save(document: Json, path: Path, new: int = 0) -> None:
    """Checks and writes a document.  Cells before index `new` were checked when they were first saved."""
    validate({**document, "cells": document["cells"][new:]}, path)
    documents.write(document, path)


def described(result: Result, models: Callable[[], Sequence[Json]]) -> Result:
    """The result; one of echo-load itself, or of an older version, which describes no models, with those `models()`."""
    return result if result.models else from_json({**result.document, "models": list(models())})


def lean(result: Result) -> Result:
    """For a report that is published: paths relative to the project, slices to five significant digits, histograms to
    two, which is within 1 %, and none that no figure of a report is computed from: their summaries are in the cells
    anyway."""
    document = documents.portable(result.document)
    return from_json({**document, "lean": True, "cells": [_lean_cell(cell) for cell in document["cells"]]})


def _lean_cell(cell: Json) -> Json:
    needed = ("response",) if cell["load"] == "equal-load" else ("response", "service")
    lean_cell = dict(cell)
    if "slices" in cell:
        lean_cell["slices"] = [shortened(piece, int) for piece in cell["slices"]]
    if "histograms" in cell:
        lean_cell["histograms"] = {kind: histogram.coarser(text, LEAN_DIGITS)
                                   for kind, text in cell["histograms"].items() if kind in needed}
    return lean_cell


def _complete(cell: Json, config: Json) -> None:
    """A cell straight from echo-load has its workload in the file's config only."""
    cell.setdefault("restart", 0)
    cell.setdefault("block", "")
    open_loop = "equal-load" if config.get("busy_poll") else "open-loop"
    kind = config.get("workload")
    rate = cell.get("offered_per_s", config.get("rate_per_s"))  # of a sweep's or a search's cell
    cell.setdefault("load", kind if kind in ("crr", "stream") else open_loop if rate else "closed-loop")
    workload = cell.setdefault("workload", {"payload_bytes": config.get("payload_bytes", 0),
                                            "framing": config.get("framing", "frame"),
                                            "pipeline": config.get("pipeline", 1), "op": _operation(config)})
    if pattern := _pattern(config):
        workload.setdefault("pattern", pattern)
    if config.get("offload"):
        workload.setdefault("offload", True)
    if rate:
        workload.setdefault("rate_per_s", rate)


def _pattern(config: Json) -> Json:
    pattern = {"arrivals": config["arrivals"]} if config.get("arrivals") == "uniform" else {}
    if not config.get("payload", "0").replace("Ki", "").replace("Mi", "").replace("k", "").replace("M", "").isdigit():
        pattern["payload"] = config["payload"]
    if "think_ns" in config:
        pattern["think"] = ("exp:" if config["think"] == "exponential" else "") + format_time_option(config["think_ns"])
    if bursts := config.get("bursts"):
        pattern["bursts"] = "/".join(format_time_option(bursts[part]) for part in ("on_ns", "off_ns"))
    if config.get("slow_readers"):
        pattern.update(slow_readers=config["slow_readers"], slow_read_rate=config["slow_read_bytes_per_s"])
    return pattern


def _operation(config: Json) -> str:
    """`work:100us`: work of another length is another workload."""
    op, time_us = config.get("op", "echo"), config.get("op_param_us")
    if time_us is None:
        return op
    return f"{op}:{time_us}us" if time_us % 1000 else f"{op}:{time_us // 1000}ms"


def reference_of(result: Result, wanted: str | None = None) -> str:
    """The variant that ratios are to: `wanted`, the experiment's, epoll, or the first; empty if there are no cells.
    Raises Usage when the wanted one has no cell."""
    names = result.variants
    if wanted is not None:
        if wanted not in names:
            raise Usage(f"--reference {wanted}: not in the result; there are {', '.join(names)}")
        return wanted
    for name in (result.experiment.reference, "epoll"):
        if name in names:
            return name
    return names[0] if names else ""
