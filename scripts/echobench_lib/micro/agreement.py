"""How two results agree, row by row: whether a figure is reproducible.  A row's figure is its ratio to its floor; its
time if it has none, or one of the results does not record it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from ..documents import Json
from ..report.terminal import plain_table
from ..units import format_time_ns, significant
from . import figures
from .figures import Row
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
    def difference(self) -> float:
        """By how much the larger exceeds the smaller: 0.05 for five per cent."""
        return max(self.a, self.b) / min(self.a, self.b) - 1

    def text(self, value: float) -> str:
        return significant(value) if self.is_ratio else format_time_ns(value)


def pairs(first: Json, second: Json) -> tuple[list[Pair], list[Pair], list[str]]:
    """Pairs, worst first, of ratios where there are; then those of all times; and the names of rows that only one of
    the documents has a figure of."""
    a, b = _by_name(first), _by_name(second)
    floors = {row.floor for side in (a, b) for row, _ in side.values()}  # which have no ratio but 1
    best, times = [], []
    for name in sorted((a.keys() & b.keys()) - floors):
        (row, ns), (other, other_ns) = a[name], b[name]
        times.append(Pair(name, ns, other_ns, False))
        best.append(Pair(name, row.ratio, other.ratio, True)
                    if row.ratio and other.ratio and row.floor == other.floor else times[-1])
    return sorted(best, key=lambda pair: (-pair.difference, pair.name)), times, sorted(a.keys() ^ b.keys())


def _by_name(document: Json) -> dict[str, tuple[Row, float]]:
    """{name: (row, its ns)} of the rows that have a figure."""
    return {row.name: (row, row.ns) for row in figures.rows(document) if row.ns}


def show(both: Sequence[Pair], times: Sequence[Pair], single: Sequence[str], console: Console) -> None:
    """Prints the share of rows that agree, then those that do not."""
    apart = [pair for pair in both if pair.difference > LIMIT]
    console.print(f"{_share(both)} agree within {100 * LIMIT:g} %", soft_wrap=True)
    if any(pair.is_ratio for pair in both):
        console.print(f"by their times alone {_share(times)} would agree", soft_wrap=True)
    console.print(f"over all rows the times of B are {significant(_middle(times))} times A's", soft_wrap=True)
    if apart:
        table = plain_table("Rows that do not agree",
                            (("row", "left"), ("A", "right"), ("B", "right"), ("B / A", "right")))
        for pair in apart:
            table.add_row(plain(pair.name), pair.text(pair.a), pair.text(pair.b), significant(pair.b / pair.a))
        console.print(table)
    for name in single:
        console.print(f"only in one: {plain(name)}", soft_wrap=True)


def _share(both: Sequence[Pair]) -> str:
    agree = sum(pair.difference <= LIMIT for pair in both)
    return f"{agree} of {len(both)} rows ({100 * agree / len(both):.1f} %)"


def _middle(times: Sequence[Pair]) -> float:
    """The median of the rows' ratios: how the whole machine was faster or slower."""
    return math.exp(statistics.median(math.log(pair.b / pair.a) for pair in times))
