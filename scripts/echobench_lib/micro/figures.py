"""The rows of a table: all repetitions of one benchmark put together."""

from dataclasses import dataclass

import numpy

from .document import FLOOR, TO_FLOOR, counters
from .questions import group, parts

_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True)
class Row:
    """One benchmark.  With an `error` in any repetition it has no figures: a wrong answer yields none.

    `ns`, `low` and `high` are the median and the quartiles over repetitions of the clock that decided how long the
    benchmark ran; `cpu_ns` is the CPU time of the whole process, of rows that ask for it.  Counters are medians.
    `ratios` are to the `floor`, each to that of its own process.
    """

    name: str
    error: str = ""
    ns: float | None = None
    low: float | None = None
    high: float | None = None
    cpu_ns: float | None = None
    counters: dict | None = None
    repetitions: int = 0
    ratios: tuple = ()
    floor: str = ""

    @property
    def is_wrong(self):
        """Only a row that says so itself is merely unavailable here."""
        return bool(self.error) and not self.error.startswith("unavailable")

    @property
    def spread(self):
        """The interquartile range by the median; None where there is nothing to spread."""
        return (self.high - self.low) / self.ns if self.ns and self.repetitions > 1 else None

    @property
    def ratio(self):
        """The median of the ratios; None without any."""
        return float(numpy.median(self.ratios)) if self.ratios else None

    @property
    def ratio_spread(self):
        """Likewise of them."""
        if len(self.ratios) < 2:
            return None
        low, high = numpy.percentile(self.ratios, [25, 75])
        return float(high - low) / self.ratio


@dataclass(frozen=True)
class Section:
    """A question and its rows."""

    question: object
    rows: list

    def floor(self, row):
        """The row that it is set against; None where there is none."""
        name = self.question.floor_of(row.name, [other.name for other in self.rows])
        return next((other for other in self.rows if other.name == name), None)

    def ratio(self, row):
        """To the floor within the same process; of a result that does not tell that, of the medians."""
        if row.ratio is not None:
            return row.ratio
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
    low, ns, high = (float(value) for value in numpy.percentile([time_ns(entry) for entry in entries], [25, 50, 75]))
    of_all = "process_time" in parts(name) and _clock(name) == "real_time"
    cpu_ns = _NS[entries[0]["time_unit"]] * _median(entries, "cpu_time") if of_all else None
    return Row(name, "", ns, low, high, cpu_ns, {key: _median(entries, key) for key in counters(entries[0])}, len(entries),
               tuple(entry[TO_FLOOR] for entry in entries if TO_FLOOR in entry), entries[0].get(FLOOR, ""))


def time_ns(entry):
    """Of one repetition, by the clock that decided how long it ran; None where it has no figure."""
    return None if entry.get("error_occurred") else _NS[entry["time_unit"]] * entry[_clock(entry["name"])]


def _clock(name):
    return "real_time" if parts(name) & {"real_time", "manual_time"} else "cpu_time"


def _median(entries, key):
    return float(numpy.median([entry[key] for entry in entries if key in entry]))
