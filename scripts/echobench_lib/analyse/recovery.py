"""Recovery: how much of a known slow-down a figure shows (spike recovery, as analytical chemistry calls it).

A control is the reference with a known CPU time added to each request; it reports how much that really was.  What the figure rose
by, divided by that, is the recovery.

At equal load a recovery below 100 % is no error: a server that is busier sleeps less often, and saves wake-ups.  CPU at equal load is
what a user pays, and the control only has to be distinguished from the reference.  A load that follows the server's speed, or that is
to show the cost of a request alone, must show what was added, neither less nor more: otherwise the figure is biased, however
narrow its interval.
"""

import math
from dataclasses import dataclass, replace
from statistics import median

from .statistics import Interval, difference, over_restarts, paired

LEAST, MOST = 0.8, 1.25  # what a recovery's interval must lie within, or, of a biased figure, outside
PASSED, BIASED, INCONCLUSIVE = "passed", "biased", "inconclusive"  # what the control says of the figure
NO_CONTROL = "no control"


@dataclass(frozen=True)
class Recovery:
    """Of one figure, by one control.  `known_ns` a request is what the control burnt more, as it reports; `shown_ns` what the
    figure rose by; `ratio` the second divided by the first.  `wakeups`: by how much the control woke up more often a request; None
    where it is not known.  `equivalent`: the figure must show what was added; else it is enough that it shows it."""

    of: str
    control: str
    known_ns: float
    shown_ns: Interval
    ratio: Interval
    wakeups: float | None = None
    equivalent: bool = True

    @property
    def is_distinguished(self):
        """The control costs more than the reference beyond doubt; one restart shows nothing."""
        return self.ratio.has_bounds and self.ratio.unit == "restart" and self.ratio.low > 0

    @property
    def outcome(self):
        if not self.equivalent:
            return PASSED if self.is_distinguished else INCONCLUSIVE
        if not self.ratio.has_bounds:
            return INCONCLUSIVE
        if self.ratio.high < LEAST or self.ratio.low > MOST:
            return BIASED
        return PASSED if LEAST <= self.ratio.low and self.ratio.high <= MOST else INCONCLUSIVE

    @property
    def doubt(self):
        """Why the figure must not be ranked or judged; empty where it may be."""
        if self.outcome == BIASED:
            return f"control {BIASED}"
        return "" if self.is_distinguished else f"control {INCONCLUSIVE}"

    def widened(self, ratio):
        """The interval of a ratio of costs with the uncertainty of this recovery in it, where it is not shown to be 100 %: what a
        server costs more may be that much more or less."""
        if self.outcome != INCONCLUSIVE or not self.equivalent or not ratio.has_bounds or not self.ratio.has_bounds:
            return ratio
        more = (ratio.estimate - 1) * self.ratio.half_width
        low, high = (math.hypot(ratio.estimate - bound, more) for bound in (ratio.low, ratio.high))
        return replace(ratio, low=max(0.0, ratio.estimate - low), high=ratio.estimate + high)


def burnt_ns_per_request(cell):
    """What the server burnt for a request on average, by its last line; None where it said nothing."""
    stopped = (cell.get("server") or {}).get("stopped") or {}
    if "burnt_ns" not in stopped or not stopped.get("requests"):
        return None
    return stopped["burnt_ns"] / stopped["requests"]


def wakeups_per_request(cell):
    """How often a thread of the server slept, divided by the requests that it answered; None where it is not known."""
    requests = sum(piece["requests_total"] for piece in cell["slices"])
    switches = cell.get("server", {}).get("voluntary_switches")
    return switches / requests if requests and switches is not None else None


def recoveries(cells, time_of_slice):
    """A Recovery for every control among the cells of a workload, the smallest burn first.  `time_of_slice` is the figure as
    nanoseconds a request: of CPU, or of one CPU's time; 0 where it is not known."""
    by_place = {(cell["block"], cell["restart"], cell["variant"]): cell for cell in cells}
    controls = {}
    for cell in cells:
        if "control" in cell:
            controls.setdefault(cell["variant"], []).append(cell)
    results = []
    for control, cells_of_control in controls.items():
        known, shown, relative, wakeups = [], [], [], []
        for cell in cells_of_control:
            base = by_place.get((cell["block"], cell["restart"], cell["control"]["of"]))
            burnt = [burnt_ns_per_request(side) for side in (cell, base)] if base else [None]
            if None in burnt or burnt[0] <= burnt[1]:
                continue
            sides = [{piece["index"]: time_of_slice(piece) for piece in side["slices"]} for side in (cell, base)]
            if rises := paired(*sides, difference):
                known.append(burnt[0] - burnt[1])
                shown.append(rises)
                relative.append([rise / known[-1] for rise in rises])
                woken = [wakeups_per_request(side) for side in (cell, base)]
                wakeups += [woken[0] - woken[1]] if None not in woken else []
        if known:
            first = cells_of_control[0]
            results.append(Recovery(first["control"]["of"], control, median(known), over_restarts(shown), over_restarts(relative),
                                    median(wakeups) if wakeups else None, first["load"] != "equal-load"))
    return sorted(results, key=lambda recovery: (recovery.of, recovery.known_ns))


def deciding(recoveries, reference):
    """Of a figure, the control of the reference whose interval is narrowest; None without any."""
    return min((recovery for recovery in recoveries if recovery.of == reference), key=lambda recovery: recovery.ratio.half_width, default=None)
