"""How the medians of two results agree, row by row: whether a figure can be had again."""

import math
import statistics
from dataclasses import dataclass

from ..report.terminal import plain_table
from ..units import format_time_ns, significant
from . import figures
from .questions import plain

LIMIT = 0.05  # medians that differ by less agree


@dataclass(frozen=True)
class Pair:
    """A row that both results have a figure of."""

    name: str
    a_ns: float
    b_ns: float

    @property
    def difference(self):
        """By how much the larger exceeds the smaller: 0.05 for five per cent."""
        return max(self.a_ns, self.b_ns) / min(self.a_ns, self.b_ns) - 1


def pairs(first, second):
    """Pairs, worst first, and the names of rows that only one of the documents has a figure of."""
    a, b = ({row.name: row.ns for row in figures.rows(document) if row.ns} for document in (first, second))
    both = [Pair(name, a[name], b[name]) for name in a.keys() & b.keys()]
    return sorted(both, key=lambda pair: (-pair.difference, pair.name)), sorted(a.keys() ^ b.keys())


def show(both, single, console):
    """Prints the share of rows that agree, then those that do not."""
    apart = [pair for pair in both if pair.difference > LIMIT]
    agree = len(both) - len(apart)
    console.print(f"{agree} of {len(both)} rows ({100 * agree / len(both):.1f} %) agree within {100 * LIMIT:g} %; "
                  f"over all rows B is {significant(_middle(both))} times A")
    if apart:
        table = plain_table("rows that do not", (("row", "left"), ("A", "right"), ("B", "right"), ("B by A", "right")))
        for pair in apart:
            table.add_row(plain(pair.name), format_time_ns(pair.a_ns), format_time_ns(pair.b_ns),
                          significant(pair.b_ns / pair.a_ns))
        console.print(table)
    for name in single:
        console.print(f"only in one: {plain(name)}", soft_wrap=True)


def _middle(both):
    """The median of the rows' ratios: how the whole machine was faster or slower."""
    return math.exp(statistics.median(math.log(pair.b_ns / pair.a_ns) for pair in both))
