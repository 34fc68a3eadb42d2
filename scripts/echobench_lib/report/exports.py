"""A result in the form that other tools track over time, only its valid figures: rows that are valid, costs whose
control passed; counts, which are exact.

    bmf     Bencher Metric Format: {benchmark: {measure: {value, lower_value, upper_value}}}
    github  github-action-benchmark's customSmallerIsBetter: [{name, unit, value, range}]
    otava   a row of a CSV file that Apache Otava reads, and next to it Otava's configuration
"""

import csv
import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .. import Usage, documents, result
from ..analyse.statistics import Interval
from ..analyse.summary import COST, TIME, summarise
from ..count import document as counts
from ..documents import Json
from ..result import Result
from .terminal import UNFINISHED

FORMATS = ("bmf", "github", "otava")
WHEN, COMMIT, HOST = "time", "commit", "host"  # of a history
NOT_THERE = "nan"  # as Otava reads it
UNKNOWN = "unknown"  # a commit
PERCENTILES = ("p50", "p99")


@dataclass(frozen=True)
class Figure:
    """`benchmark` is a model under a load; bounds are absent where there is one restart, or nothing to scatter."""

    benchmark: str
    measure: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    less_is_better: bool = True


@dataclass(frozen=True)
class Origin:
    """Where figures come from: a commit, a CPU, and when they were measured (ISO 8601, UTC)."""

    commit: str
    cpu: str
    time: str


def export(options: Namespace, console: Console) -> int:
    """The verb; its exit status."""
    path = options.result
    has_result = any((path / name).is_file() for name in (result.FILE_NAME, documents.PAGE))
    if path.name == counts.FILE_NAME or (path / counts.FILE_NAME).is_file() and not has_result:
        counted = counts.result_of(counts.load(path))
        figures, origin = of_counts(counted), origin_of_counts(counted)
    else:
        stored = result.load(path)
        figures, origin = of_result(stored, result.reference_of(stored)), origin_of_result(stored)
        if not stored.complete:
            print(f"echobench: {path}: {UNFINISHED}", file=sys.stderr)
        if any(cell.workload.rate.endswith("%") for cell in stored.cells):
            print("echobench: rates are percentages of a capacity that the run measured, so its series are not "
                  "those of another run: for a history, give the experiment's rates as numbers", file=sys.stderr)
    if not figures:
        raise Usage(f"{path}: it has no valid figure to export")
    if options.form == "otava":
        if not options.append:
            raise Usage("--as otava adds a row to a file: name it by --append FILE.csv")
        columns = append_row(options.append, origin, figures)
        configuration = configure(options.append, columns)
        console.print(f"{options.append}: {len(figures)} figures of {origin.commit}", soft_wrap=True)
        console.print(f"OTAVA_CONFIG={configuration} otava analyze {options.append.stem}", soft_wrap=True)
        return 0
    if options.append:
        raise Usage("--append is for --as otava")
    print(json.dumps(bmf(figures) if options.form == "bmf" else github(figures), indent=1))
    return 0


def of_result(stored: Result, reference: str) -> list[Figure]:
    figures = []
    for group in summarise(stored, reference):
        workload = group.workload
        for row in group.rows:
            if row.verdict != "valid" or row.control_of:
                continue
            name = f"{row.variant}/{workload.at(group.rate_per_s).name}"  # 50 % is another load in each run
            if workload.load != "closed-loop" and not group.doubt(COST):
                if row.cost_ns is not None and row.cost_interval:
                    figures.append(_with_bounds(name, "cpu-per-request", "ns", row.cost_interval))
                if row.cost_ratio:
                    figures.append(_with_bounds(name, f"cpu-per-request-to-{reference}", "ratio", row.cost_ratio))
            for percentile in PERCENTILES if workload.load in ("open-loop", "equal-load") else ():
                if percentile in row.latency_ns:
                    low, high = row.latency_ranges.get(percentile, (None, None))
                    figures.append(Figure(name, percentile, "ns", row.latency_ns[percentile], low, high))
            if workload.load == "closed-loop" and not group.doubt(TIME) and row.throughput is not None:
                figures.append(Figure(name, "throughput", "requests/s", row.throughput, less_is_better=False))
            if row.memory_bytes is not None:
                figures.append(Figure(name, "memory-per-connection", "bytes", row.memory_bytes))
    return figures


def of_counts(counted: counts.Result) -> list[Figure]:
    return [Figure(f"{variant}/c{connections}", name.replace("_", "-") + "-per-request", counts.FIGURES[name],
                   figure.per_request)
            for (variant, connections), cell in counted.cells.items()
            for name, figure in cell.figures.items() if figure.exact]


def origin_of_result(stored: Result) -> Origin:
    return Origin(stored.tool.commit or UNKNOWN, stored.host.cpu or NOT_THERE,
                  stored.finished_at or stored.started_at or documents.now())


def origin_of_counts(counted: counts.Result) -> Origin:
    document = counted.document
    return Origin(str(counted.build.get("commit") or UNKNOWN), str(counted.host.get("cpu", NOT_THERE)),
                  document.get("finished_at") or document["started_at"])


def _with_bounds(benchmark: str, measure: str, unit: str, interval: Interval) -> Figure:
    return Figure(benchmark, measure, unit, interval.estimate, interval.low, interval.high)


def bmf(figures: Iterable[Figure]) -> Json:
    """{benchmark: {measure: {value, lower_value, upper_value}}}"""
    benchmarks: Json = {}
    for figure in figures:
        bounds: Json = {"lower_value": figure.low, "upper_value": figure.high} if figure.low is not None else {}
        benchmarks.setdefault(figure.benchmark, {})[figure.measure] = {"value": figure.value, **bounds}
    return benchmarks


def github(figures: Iterable[Figure]) -> list[Json]:
    """Of those that are better when they are less: one list has one direction."""
    return [{"name": f"{figure.benchmark} {figure.measure}", "unit": figure.unit, "value": figure.value,
             **({"range": f"± {(figure.high - figure.low) / 2:.3g}"}
                if figure.low is not None and figure.high is not None else {})}
            for figure in figures if figure.less_is_better]


def append_row(file: Path, origin: Origin, figures: Iterable[Figure]) -> list[str]:
    """Adds a row, and columns for figures that the file has not had before; what a row lacks is NOT_THERE in it.
    Returns the columns.  Raises Usage when the file is no history, or of another host."""
    rows = list(csv.DictReader(io.StringIO(file.read_text()))) if file.exists() else []
    if rows and not {WHEN, COMMIT} <= rows[0].keys():
        raise Usage(f"{file}: it has no columns {WHEN} and {COMMIT}, so it is not a history")
    if others := {row.get(HOST, NOT_THERE) for row in rows} - {origin.cpu, NOT_THERE}:
        raise Usage(f"{file}: its rows are of {' and '.join(sorted(others))}, and this result is of {origin.cpu}; name "
                    "another file, because absolute figures depend on the host")
    rows.append({WHEN: origin.time[:19] + "+00:00", COMMIT: origin.commit, HOST: origin.cpu,
                 **{f"{figure.benchmark} {figure.measure}": f"{figure.value:.6g}" for figure in figures}})
    columns = dict.fromkeys([WHEN, COMMIT, HOST, *(name for row in rows for name in row)])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval=NOT_THERE, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    documents.write_text(text.getvalue(), file)
    return list(columns)


def configure(file: Path, columns: Sequence[str]) -> Path:
    """Writes Otava's configuration for a history next to it (JSON, which is YAML), and returns its path."""
    metrics = {name: {"column": name, "direction": 1 if name.endswith(" throughput") else -1}
               for name in columns if name not in (WHEN, COMMIT, HOST)}
    path = file.with_suffix(".otava.yaml")
    test = {"type": "csv", "file": str(file), "time_column": WHEN, "attributes": [COMMIT, HOST], "metrics": metrics}
    documents.write({"tests": {file.stem: test}}, path)
    return path
