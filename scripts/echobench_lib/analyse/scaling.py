"""How a server's throughput grows with its threads: a variant with more and more threads, each step relative to the
first."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..result import Cell
from .statistics import Interval, over_restarts
from .summary import Group, Row, log_ratios, slice_rate


@dataclass(frozen=True)
class Step:
    """A variant with so many threads, on as many cores.  `speed_up` is its throughput divided by that of its first
    step, None for the first and where it is not known; `shares` is each loop's part of all requests, empty where the
    loops are not known."""

    of: str
    threads: int
    row: Row
    speed_up: Interval | None
    shares: list[float]
    is_first: bool = False

    @property
    def imbalance(self) -> float | None:
        """The busiest loop's share divided by the mean; None with one loop."""
        return max(self.shares) * len(self.shares) if len(self.shares) > 1 else None


def steps(group: Group) -> list[Step]:
    """Every step in a group, in the order of the experiment; controls are left out."""
    cells = [cell for row in group.rows for cell in row.kept]
    variants: dict[str, list[tuple[int, Row]]] = {}
    for row in group.rows:
        if row.scaled and row.control_of is None:
            variants.setdefault(row.scaled.of, []).append((row.scaled.threads, row))
    result = []
    for variant, rows in variants.items():
        rows.sort(key=lambda item: item[0])
        first = rows[0][1]
        for threads, row in rows:
            ratios = log_ratios(cells, row.variant, first.variant, lambda _: slice_rate)
            interval = over_restarts(list(ratios.values()))
            result.append(Step(variant, threads, row, interval.exp() if interval else None, loop_shares(row.cells),
                               row is first))
    return result


def loop_shares(cells: Sequence[Cell]) -> list[float]:
    """Of each loop: the requests that it answered, as the server reports, else the connections that the client saw it
    given; the last restart's, because the kernel deals connections out anew in each."""
    for cell in reversed(cells):
        by_server = cell.server.stopped.requests_per_loop if cell.server.stopped else []
        counts = by_server or cell.fairness.connections_per_loop
        if sum(counts):
            return [count / sum(counts) for count in counts]
    return []
