"""The rows of a table: all repetitions of one benchmark put together."""

from dataclasses import dataclass

import numpy

from .document import counters
from .questions import group, parts, plain, topic

_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True)
class Row:
    """One benchmark.  With an `error` in any repetition it has no figures: a wrong answer yields none.

    `ns`, `low` and `high` are the median and the quartiles over repetitions of the clock that decided how long the
    benchmark ran; `cpu_ns` is the CPU time of the whole process, of rows that ask for it.  Counters are medians.
    """

    name: str
    error: str = ""
    ns: float | None = None
    low: float | None = None
    high: float | None = None
    cpu_ns: float | None = None
    counters: dict | None = None
    repetitions: int = 0

    @property
    def is_wrong(self):
        """Only a row that says so itself is merely unavailable here."""
        return bool(self.error) and not self.error.startswith("unavailable")

    @property
    def spread(self):
        """The interquartile range by the median; None where there is nothing to spread."""
        return (self.high - self.low) / self.ns if self.ns and self.repetitions > 1 else None


@dataclass(frozen=True)
class Section:
    """A question and its rows."""

    question: object
    rows: list

    def floor(self, row):
        """The cheapest thing that does the same work: BM_<Topic>_Null, of the row's topic or else of that which the
        question names, where all its arguments are the row's, too.  None where there is none."""
        for of in (topic(row.name), self.question.floor):
            for other in self.rows:
                function, *arguments = plain(other.name).split("/")
                if function == f"BM_{of}_Null" and set(arguments) <= parts(row.name):
                    return other
        return None

    def ratio(self, row):
        """The row's time by that of its floor."""
        floor = self.floor(row)
        return row.ns / floor.ns if row.ns is not None and floor and floor.ns else None


def rows(document):
    """A Row for every benchmark of a result, in its order."""
    repetitions = {}
    for entry in document["benchmarks"]:
        if entry.get("run_type") == "iteration":
            repetitions.setdefault(entry["name"], []).append(entry)
    return [_row(name, entries) for name, entries in repetitions.items()]


def sections(document, questions):
    """The rows by question, in the order of the questions."""
    by_name = {row.name: row for row in rows(document)}
    return [Section(question, [by_name[name] for name in names]) for question, names in group(by_name, questions).items()]


def _row(name, entries):
    errors = [entry.get("error_message", "") for entry in entries if entry.get("error_occurred")]
    if errors:
        return Row(name, errors[0] or "no message")
    scale = _NS[entries[0]["time_unit"]]
    timed = parts(name)
    clock = "real_time" if timed & {"real_time", "manual_time"} else "cpu_time"
    low, ns, high = (scale * float(value) for value in numpy.percentile([entry[clock] for entry in entries], [25, 50, 75]))
    cpu_ns = scale * _median(entries, "cpu_time") if "process_time" in timed and clock == "real_time" else None
    return Row(name, "", ns, low, high, cpu_ns, {key: _median(entries, key) for key in counters(entries[0])}, len(entries))


def _median(entries, key):
    return float(numpy.median([entry[key] for entry in entries if key in entry]))
