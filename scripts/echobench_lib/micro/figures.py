"""The rows of a table: all repetitions of one benchmark put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy

from ..documents import Json
from .document import FLOOR, TO_FLOOR, Statistic, counters, median, over
from .questions import OTHER_CPU, Question, group, parts

_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True)
class Row:
    """One benchmark.  With an `error` in any repetition it has no figures: a wrong answer yields none.

    `ns` is of the fastest repetition, by the clock that decided how long the benchmark ran: what disturbs only adds
    (Chen and Revels, "Robust benchmarking in noisy environments", 2016), and a busy neighbour slows different rows
    differently, for minutes.  What wakes the other CPU is fast by luck, too: of such rows it is the median.  `low` and
    `high`, in ns, are `ns` and the upper quartile, or the quartiles.  `cpu_ns` is the CPU time of the whole process, of
    rows that ask for it; `ratio` is to the `floor`, as the same processes measured it; both are chosen in the same
    way.  Counters are medians; rates are of the times that they go with.
    """

    name: str
    error: str = ""
    ns: float | None = None
    low: float = 0.0
    high: float = 0.0
    cpu_ns: float | None = None
    counters: Mapping[str, float] = field(default_factory=dict)
    repetitions: int = 0
    floor: str = ""
    ratio: float | None = None

    @property
    def is_wrong(self) -> bool:
        """A row reports itself that it is unavailable here; any other error is a wrong answer."""
        return bool(self.error) and not self.error.startswith("unavailable")

    @property
    def spread(self) -> float | None:
        """From `low` to `high`, divided by `ns`; None with one repetition."""
        return (self.high - self.low) / self.ns if self.ns and self.repetitions > 1 else None


@dataclass(frozen=True)
class Section:
    """A question and its rows."""

    question: Question
    rows: list[Row]

    def floor(self, row: Row) -> Row | None:
        """The row that it is set against; None where there is none."""
        name = self.question.floor_of(row.name, [other.name for other in self.rows])
        return next((other for other in self.rows if other.name == name), None)

    def ratio(self, row: Row) -> float | None:
        """To the floor that the result names, or else the question."""
        if row.ratio is not None:
            return row.ratio
        floor = self.floor(row)
        return row.ns / floor.ns if row.ns is not None and floor and floor.ns else None


def rows(document: Json) -> list[Row]:
    """A Row for every benchmark of a result, in its order."""
    repetitions: dict[str, list[Json]] = {}
    for entry in document["benchmarks"]:
        if entry.get("run_type") == "iteration":
            repetitions.setdefault(entry["name"], []).append(entry)
    return [_row(name, entries) for name, entries in repetitions.items()]


def sections(document: Json, questions: Sequence[Question]) -> list[Section]:
    """The rows by question, in the order of the questions."""
    by_name = {row.name: row for row in rows(document)}
    return [Section(question, [by_name[name] for name in names])
            for question, names in group(by_name, questions).items()]


def _row(name: str, entries: Sequence[Json]) -> Row:
    errors = [entry.get("error_message", "") for entry in entries if entry.get("error_occurred")]
    if errors:
        return Row(name, errors[0] or "no message")
    wakes = OTHER_CPU in parts(name)
    least: Statistic = median  # of times
    most: Statistic = median   # of rates
    if not wakes:
        least, most = min, max
    times = [_time_ns(entry) for entry in entries]
    ns, (low, high) = least(times), map(float, numpy.percentile(times, [25, 75]))
    of_all = "process_time" in parts(name) and _clock(name) == "real_time"
    cpu_ns = _NS[entries[0]["time_unit"]] * over(least, entries, "cpu_time") if of_all else None
    values = {key: over(most if key.endswith("_per_second") else median, entries, key)
              for key in counters(entries[0])}
    floor = next((entry[FLOOR] for entry in entries if FLOOR in entry), "")
    return Row(name, "", ns, min(ns, low), high, cpu_ns, values, len(entries), floor, _to_floor(entries, wakes))


def _to_floor(entries: Sequence[Json], wakes: bool) -> float | None:
    """Of the processes that measured both; None where none did."""
    known = [entry for entry in entries if TO_FLOOR in entry]
    if not known:
        return None
    if wakes:
        return over(median, known, TO_FLOOR)
    times = [_time_ns(entry) for entry in known]
    return min(times) / min(time / entry[TO_FLOOR] for time, entry in zip(times, known))


def time_ns(entry: Json) -> float | None:
    """Of one repetition, by the clock that decided how long it ran; None where it has no figure."""
    return None if entry.get("error_occurred") else _time_ns(entry)


def _time_ns(entry: Json) -> float:
    time: float = entry[_clock(entry["name"])]
    return _NS[entry["time_unit"]] * time


def _clock(name: str) -> str:
    return "real_time" if parts(name) & {"real_time", "manual_time"} else "cpu_time"
