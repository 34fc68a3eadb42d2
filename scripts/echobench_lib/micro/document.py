"""A result of `echobench micro`: Google Benchmark's JSON as its version 1.7.1 writes it for repetitions, so that its
own tools read it, and so that its own output can be read here."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy

from .. import Usage
from ..documents import Json, locate, read, write
from ..units import shortened

Process = TypeVar("Process")
Statistic = Callable[[list[float]], float]

FILE_NAME = "micro.json"
OF_EVERY_ROW = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
                "repetition_index", "threads", "aggregate_name", "aggregate_unit", "error_occurred", "error_message",
                "iterations", "real_time", "cpu_time", "time_unit", "label"}
FLOOR, TO_FLOOR = "floor", "ratio_to_floor"  # ours: of one repetition, to the floor that the same process measured


def mean(values: list[float]) -> float:
    return float(numpy.mean(values))


def median(values: list[float]) -> float:
    return float(numpy.median(values))


def stddev(values: list[float]) -> float:
    """Of a sample: the sum of squares is divided by one less than the number of values."""
    return float(numpy.std(values, ddof=1))


def variation(values: list[float]) -> float:
    """The coefficient of variation; not a number where the mean is 0."""
    return stddev(values) / mean(values) if mean(values) else math.nan


STATISTICS: dict[str, Statistic] = {"mean": mean, "median": median, "stddev": stddev, "cv": variation}


def load(path: str | Path) -> Json:
    """The document of a result file, or of a folder that has one.  Raises Usage if it is none of Google Benchmark."""
    file = locate(path, FILE_NAME)
    document = read(file, "result-micro")
    if not isinstance(document, dict) or not {"context", "benchmarks"} <= document.keys():
        raise Usage(f"{file}: not a result of `echobench micro`, nor JSON of Google Benchmark")
    return document


def lean(document: Json) -> Json:
    """For a report that is published: repetitions to five significant digits, from which their aggregates follow."""
    repetitions = [row for row in document["benchmarks"] if row.get("run_type") != "aggregate"]
    return {**document, "benchmarks": [shortened(row) for row in repetitions]}


def about(document: Json) -> tuple[str | None, str | None, str | None]:
    """Where it comes from: commit, CPU, time."""
    context = document["context"]
    return context.get("commit"), context.get("cpu"), context.get("date")


def is_partial(document: Json) -> bool:
    """Whether rows may be missing: --filter left them out, or it was not `echobench micro` that measured."""
    return "filter" in document["context"] or "rounds" not in document["context"]


def save(context: Json, rounds: Sequence[Mapping[Process, Sequence[Json]]], file: Path) -> None:
    """Writes complete rounds, each {process: its rows}."""
    families: dict[str, int] = {}  # the rows of one function, which several processes may have measured
    rows: list[list[Json]] = []
    for process in rounds[-1]:
        for repetitions in zip(*(measured[process] for measured in rounds)):
            function = repetitions[0]["run_name"].split("/")[0]
            families[function] = families.get(function, 0) + 1
            place = {"family_index": list(families).index(function),
                     "per_family_instance_index": families[function] - 1}
            rows.append([{**row, **place, "repetitions": len(rounds), "repetition_index": index}
                         for index, row in enumerate(repetitions)])
    write({"context": context, "benchmarks": [entry for repetitions in rows
                                              for entry in [*repetitions, *aggregates(repetitions)]]}, file)


def counters(row: Json) -> dict[str, float]:
    """What a row records in addition to its times."""
    return {key: value for key, value in row.items() if key not in OF_EVERY_ROW | {FLOOR, TO_FLOOR}}


def over(statistic: Statistic, rows: Iterable[Json], key: str) -> float:
    """Of the rows that have it."""
    return float(statistic([row[key] for row in rows if key in row]))


def aggregates(repetitions: Sequence[Json]) -> list[Json]:
    """What Google Benchmark adds to the repetitions of a row, in its order and with its keys; nothing when fewer than
    two have figures."""
    sound = [row for row in repetitions if not row.get("error_occurred")]
    return [_aggregate(name, repetitions, sound) for name in STATISTICS] if len(sound) > 1 else []


def _aggregate(name: str, repetitions: Sequence[Json], sound: Sequence[Json]) -> Json:
    first = repetitions[0]
    known = ("family_index", "per_family_instance_index", "run_name")
    labels = {row.get("label") for row in repetitions}
    figures = dict.fromkeys(key for row in sound for key in counters(row))

    def over_sound(key: str) -> float:
        return over(STATISTICS[name], sound, key)
    return {"name": f"{first['run_name']}_{name}", **{key: first[key] for key in known}, "run_type": "aggregate",
            "repetitions": first["repetitions"], "threads": first["threads"], "aggregate_name": name,
            "aggregate_unit": "percentage" if name == "cv" else "time", "iterations": len(repetitions),
            "real_time": over_sound("real_time"), "cpu_time": over_sound("cpu_time"), "time_unit": first["time_unit"],
            **{key: over_sound(key) for key in figures},
            **({"label": first["label"]} if len(labels) == 1 and "label" in first else {})}
