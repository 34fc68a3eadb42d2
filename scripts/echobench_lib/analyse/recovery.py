"""Recovery: how much of a known slow-down a figure shows (spike recovery, as analytical chemistry calls it).

A control is the reference with a known CPU time added to each request; it reports how much that really was.  What the
figure rose by, divided by that, is the recovery.

At equal load a recovery below 100 % is no error: a server that is busier sleeps less often, and saves wake-ups.  CPU at
equal load is what a user pays, and the control only has to be distinguished from the reference.  A load that follows
the server's speed, or that is to show the cost of a request alone, must show what was added, neither less nor more:
otherwise the figure is biased, however narrow its interval.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, Literal

from ..result import Cell, Slice
from .statistics import Interval, difference, over_restarts, paired

Outcome = Literal["passed", "biased", "inconclusive"]  # what the control says of the figure

LEAST, MOST = 0.8, 1.25  # what a recovery's interval must lie within, or, of a biased figure, outside
PASSED: Final = "passed"
BIASED: Final = "biased"
INCONCLUSIVE: Final = "inconclusive"
NO_CONTROL = "no control"


@dataclass(frozen=True)
class Recovery:
    """Of one figure, by one control.  `known_ns` a request is what the control burnt more, as it reports; `shown_ns`
    what the figure rose by; `ratio` the second divided by the first.  `wakeups`: by how much the control woke up more
    often a request; None where it is not known.  `equivalent`: the figure must show what was added; else it is enough
    that it shows it."""

    of: str
    control: str
    known_ns: float
    shown_ns: Interval
    ratio: Interval
    wakeups: float | None = None
    equivalent: bool = True

    @property
    def is_distinguished(self) -> bool:
        """The control costs more than the reference beyond doubt; one restart shows nothing."""
        return self.ratio.bounds is not None and self.ratio.unit == "restart" and self.ratio.bounds[0] > 0

    @property
    def outcome(self) -> Outcome:
        if not self.equivalent:
            return PASSED if self.is_distinguished else INCONCLUSIVE
        if self.ratio.bounds is None:
            return INCONCLUSIVE
        low, high = self.ratio.bounds
        if high < LEAST or low > MOST:
            return BIASED
        return PASSED if LEAST <= low and high <= MOST else INCONCLUSIVE

    @property
    def doubt(self) -> str:
        """Why the figure must not be ranked or judged; empty where it may be."""
        if self.outcome == BIASED:
            return f"control {BIASED}"
        return "" if self.is_distinguished else f"control {INCONCLUSIVE}"

    def widened(self, ratio: Interval) -> Interval:
        """The interval of a ratio of costs with the uncertainty of this recovery in it, where it is inconclusive: what
        a server costs more may be that much more or less."""
        if self.outcome != INCONCLUSIVE or not self.equivalent or not ratio.bounds or not self.ratio.bounds:
            return ratio
        more = (ratio.estimate - 1) * self.ratio.half_width
        low, high = (math.hypot(ratio.estimate - bound, more) for bound in ratio.bounds)
        return replace(ratio, low=max(0.0, ratio.estimate - low), high=ratio.estimate + high)


def burnt_ns_per_request(cell: Cell) -> float | None:
    """What the server burnt for a request on average, by its last line; None where it said nothing."""
    stopped = cell.server.stopped
    if stopped is None or stopped.burnt_ns is None or not stopped.requests:
        return None
    return stopped.burnt_ns / stopped.requests


def wakeups_per_request(cell: Cell) -> float | None:
    """How often a thread of the server slept, divided by the requests that it answered; None where it is not known."""
    requests = sum(piece.requests_total for piece in cell.slices)
    switches = cell.server.voluntary_switches
    return switches / requests if requests and switches is not None else None


def recoveries(cells: Sequence[Cell], time_of_slice: Callable[[Slice], float]) -> list[Recovery]:
    """A Recovery for every control among the cells of a workload, the smallest burn first.  `time_of_slice` is the
    figure as nanoseconds a request: of CPU, or of one CPU's time; 0 where it is not known."""
    by_place = {(cell.block, cell.restart, cell.variant): cell for cell in cells}
    controls: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.control:
            controls.setdefault((cell.control.of, cell.variant), []).append(cell)
    results = []
    for (of, control), cells_of_control in controls.items():
        known: list[float] = []
        shown: list[list[float]] = []
        relative: list[list[float]] = []
        wakeups: list[float] = []
        for cell in cells_of_control:
            base = by_place.get((cell.block, cell.restart, of))
            burnt = _more(burnt_ns_per_request, cell, base)
            if base is None or burnt is None or burnt <= 0:
                continue
            own, others = ({piece.index: time_of_slice(piece) for piece in side.slices} for side in (cell, base))
            if rises := paired(own, others, difference):
                known.append(burnt)
                shown.append(rises)
                relative.append([rise / burnt for rise in rises])
                woken = _more(wakeups_per_request, cell, base)
                wakeups += [] if woken is None else [woken]
        shown_ns, ratio = over_restarts(shown), over_restarts(relative)
        if shown_ns and ratio:
            results.append(Recovery(of, control, median(known), shown_ns, ratio, median(wakeups) if wakeups else None,
                                    cells_of_control[0].load != "equal-load"))
    return sorted(results, key=lambda recovery: (recovery.of, recovery.known_ns))


def _more(figure_of: Callable[[Cell], float | None], cell: Cell, base: Cell | None) -> float | None:
    """What a cell has more of a figure than its base; None where it is not known of both."""
    one, other = figure_of(cell), figure_of(base) if base else None
    return None if one is None or other is None else one - other


def deciding(recoveries: Iterable[Recovery], reference: str) -> Recovery | None:
    """Of a figure, the control of the reference whose interval is narrowest; None without any."""
    of_reference = [recovery for recovery in recoveries if recovery.of == reference]
    return min(of_reference, key=lambda recovery: recovery.ratio.half_width) if of_reference else None
