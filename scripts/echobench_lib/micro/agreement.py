"""How two results agree, row by row: whether a figure is reproducible.  A row's figure is its ratio to its floor; its time if it
has none, or one of the results does not record it."""

import math
import statistics
from dataclasses import dataclass

from ..report.terminal import plain_table
from ..units import format_time_ns, significant
from . import figures
from .questions import plain

LIMIT = 0.05  # figures that differ by less agree


@dataclass(frozen=True)
class Pair:
    """A row that both results have a figure of; of ratios, or of ns."""

    name: str
    a: float
    b: float
    is_ratio: bool

    @property
    def difference(self):
        """By how much the larger exceeds the smaller: 0.05 for five per cent."""
        return max(self.a, self.b) / min(self.a, self.b) - 1

    def text(self, value):
        return significant(value) if self.is_ratio else format_time_ns(value)


def pairs(first, second):
    """Pairs, worst first, of ratios where there are; then those of all times; and the names of rows that only one of the documents
    has a figure of."""
    a, b = ({row.name: row for row in figures.rows(document) if row.ns} for document in (first, second))
    floors = {row.floor for side in (a, b) for row in side.values()}  # which have no ratio but 1
    both = sorted((a.keys() & b.keys()) - floors)
    times = [Pair(name, a[name].ns, b[name].ns, False) for name in both]
    best = [Pair(name, a[name].ratio, b[name].ratio, True) if a[name].ratio and b[name].ratio and a[name].floor == b[name].floor else time
            for name, time in zip(both, times)]
    return sorted(best, key=lambda pair: (-pair.difference, pair.name)), times, sorted(a.keys() ^ b.keys())


def show(both, times, single, console):
    """Prints the share of rows that agree, then those that do not."""
    apart = [pair for pair in both if pair.difference > LIMIT]
    console.print(f"{_share(both)} agree within {100 * LIMIT:g} %", soft_wrap=True)
    if any(pair.is_ratio for pair in both):
        console.print(f"by their times alone {_share(times)} would agree", soft_wrap=True)
    console.print(f"over all rows the times of B are {significant(_middle(times))} times A's", soft_wrap=True)
    if apart:
        table = plain_table("Rows that do not agree", (("row", "left"), ("A", "right"), ("B", "right"), ("B / A", "right")))
        for pair in apart:
            table.add_row(plain(pair.name), pair.text(pair.a), pair.text(pair.b), significant(pair.b / pair.a))
        console.print(table)
    for name in single:
        console.print(f"only in one: {plain(name)}", soft_wrap=True)


def _share(both):
    agree = sum(pair.difference <= LIMIT for pair in both)
    return f"{agree} of {len(both)} rows ({100 * agree / len(both):.1f} %)"


def _middle(times):
    """The median of the rows' ratios: how the whole machine was faster or slower."""
    return math.exp(statistics.median(math.log(pair.b / pair.a) for pair in times))
