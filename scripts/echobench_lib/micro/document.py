"""A result of `echobench micro`: Google Benchmark's JSON as its version 1.7.1 writes it for repetitions, so that its
own tools read it, and so that its own output can be read here."""

import numpy

from .. import Usage
from ..documents import locate, read, write
from ..units import shortened

FILE_NAME = "micro.json"
OF_EVERY_ROW = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
                "repetition_index", "threads", "aggregate_name", "aggregate_unit", "error_occurred", "error_message",
                "iterations", "real_time", "cpu_time", "time_unit", "label"}
FLOOR, TO_FLOOR = "floor", "ratio_to_floor"  # ours: of one repetition, to the floor that the same process measured
STATISTICS = {"mean": numpy.mean, "median": numpy.median, "stddev": lambda values: numpy.std(values, ddof=1),
              "cv": lambda values: numpy.std(values, ddof=1) / mean if (mean := numpy.mean(values)) else numpy.nan}


def load(path):
    """The document of a result file, or of a folder that has one."""
    file = locate(path, FILE_NAME)
    document = read(file, "result-micro")
    if not isinstance(document, dict) or not {"context", "benchmarks"} <= document.keys():
        raise Usage(f"{file}: not a result of `echobench micro`, nor JSON of Google Benchmark")
    return document


def lean(document):
    """For a report that is published: repetitions to five significant digits, from which their aggregates follow."""
    return {**document, "benchmarks": [shortened(row) for row in document["benchmarks"] if row.get("run_type") != "aggregate"]}


def about(document):
    """Where it comes from: commit, CPU, time."""
    return [document["context"].get(key) for key in ("commit", "cpu", "date")]


def is_partial(document):
    """Whether rows may be missing: --filter left them out, or it was not `echobench micro` that measured."""
    return "filter" in document["context"] or "rounds" not in document["context"]


def save(context, rounds, file):
    """Writes complete rounds, each {process: its rows}."""
    families, rows = {}, []  # a family: the rows of one function, which several processes may have measured
    for process in rounds[-1]:
        for repetitions in zip(*(measured[process] for measured in rounds)):
            function = repetitions[0]["run_name"].split("/")[0]
            families[function] = families.get(function, 0) + 1
            place = {"family_index": list(families).index(function), "per_family_instance_index": families[function] - 1}
            rows.append([{**row, **place, "repetitions": len(rounds), "repetition_index": index} for index, row in enumerate(repetitions)])
    write({"context": context, "benchmarks": [entry for repetitions in rows
                                              for entry in [*repetitions, *aggregates(repetitions)]]}, file)


def counters(row):
    """What a row records in addition to its times."""
    return {key: value for key, value in row.items() if key not in OF_EVERY_ROW | {FLOOR, TO_FLOOR}}


def over(statistic, rows, key):
    """Of the rows that have it."""
    return float(statistic([row[key] for row in rows if key in row]))


def aggregates(repetitions):
    """What Google Benchmark adds to the repetitions of a row, in its order and with its keys; nothing when fewer than
    two have figures."""
    sound = [row for row in repetitions if not row.get("error_occurred")]
    return [_aggregate(name, repetitions, sound) for name in STATISTICS] if len(sound) > 1 else []


def _aggregate(name, repetitions, sound):
    first = repetitions[0]
    known = ("family_index", "per_family_instance_index", "run_name")
    labels = {row.get("label") for row in repetitions}
    figures = dict.fromkeys(key for row in sound for key in counters(row))

    def over_sound(key):
        return over(STATISTICS[name], sound, key)
    return {"name": f"{first['run_name']}_{name}", **{key: first[key] for key in known}, "run_type": "aggregate",
            "repetitions": first["repetitions"], "threads": first["threads"], "aggregate_name": name,
            "aggregate_unit": "percentage" if name == "cv" else "time", "iterations": len(repetitions),
            "real_time": over_sound("real_time"), "cpu_time": over_sound("cpu_time"), "time_unit": first["time_unit"],
            **{key: over_sound(key) for key in figures},
            **({"label": first["label"]} if len(labels) == 1 and "label" in first else {})}
