"""How a server's throughput grows with its threads: a variant with more and more threads, each step relative to the first."""

from dataclasses import dataclass

from .statistics import Interval, over_restarts
from .summary import Row, log_ratios, slice_rate


@dataclass(frozen=True)
class Step:
    """A variant with so many threads, on as many cores.  `speed_up` is its throughput divided by that of its first step, None for the
    first and where it is not known; `shares` is each loop's part of all requests, empty where the loops are not known."""

    of: str
    threads: int
    row: Row
    speed_up: Interval | None
    shares: list
    is_first: bool = False

    @property
    def imbalance(self):
        """The busiest loop's share divided by the mean; None with one loop."""
        return max(self.shares) * len(self.shares) if len(self.shares) > 1 else None


def steps(group):
    """Every step in a group, in the order of the experiment; controls are left out."""
    cells = [cell for row in group.rows for cell in row.kept]
    variants = {}
    for row in group.rows:
        if "scaled" in row.cells[0] and row.control_of is None:
            scaled = row.cells[0]["scaled"]
            variants.setdefault(scaled["of"], []).append((scaled["threads"], row))
    result = []
    for variant, rows in variants.items():
        rows.sort(key=lambda item: item[0])
        for threads, row in rows:
            ratios = log_ratios(cells, row.variant, rows[0][1].variant, lambda _: slice_rate)
            interval = over_restarts(list(ratios.values()))
            result.append(Step(variant, threads, row, interval.exp() if interval else None, loop_shares(row.cells), row is rows[0][1]))
    return result


def loop_shares(cells):
    """Of each loop: the requests that it answered, as the server reports, else the connections that the client saw it given; the
    last restart's, because the kernel deals connections out anew in each."""
    for cell in reversed(cells):
        stopped = cell.get("server", {}).get("stopped") or {}
        counts = stopped.get("requests_per_loop") or cell.get("fairness", {}).get("connections_per_loop") or []
        if sum(counts):
            return [count / sum(counts) for count in counts]
    return []
