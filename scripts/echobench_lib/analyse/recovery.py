"""Recovery: how much of a known slow-down a figure shows (spike recovery, as analytical chemistry calls it).

A control is a variant with a known CPU time added to each request; it reports how much that really was.  What the figure rose by,
divided by that, is the recovery.  A figure that hides a slow-down (recovery below 100 %) or exaggerates it is no measure of a
server's cost, however narrow its interval: it is biased.
"""

from dataclasses import dataclass
from statistics import median

from .statistics import Interval, difference, over_restarts, paired

LEAST, MOST = 0.8, 1.25  # a recovery whose interval lies outside: the figure is biased
WIDEST = 0.4             # half of the interval; a wider one decides nothing
PASSED, BIASED, INCONCLUSIVE = "passed", "biased", "inconclusive"  # what the control says of the figure
NO_CONTROL = "no control"


@dataclass(frozen=True)
class Recovery:
    """Of one figure, by one control.  `known_ns` a request is what the control burnt more, as it reports; `shown_ns` what the
    figure rose by; `ratio` the second divided by the first."""

    of: str
    control: str
    known_ns: float
    shown_ns: Interval
    ratio: Interval

    @property
    def outcome(self):
        if self.ratio.has_bounds and (self.ratio.high < LEAST or self.ratio.low > MOST):
            return BIASED
        return INCONCLUSIVE if self.ratio.half_width > WIDEST else PASSED

    @property
    def doubt(self):
        """Why the figure must not be ranked or judged; empty if its control passed."""
        return "" if self.outcome == PASSED else f"control {self.outcome}"


def burnt_ns_per_request(cell):
    """What the server burnt for a request on average, by its last line; None where it said nothing."""
    stopped = (cell.get("server") or {}).get("stopped") or {}
    if "burnt_ns" not in stopped or not stopped.get("requests"):
        return None
    return stopped["burnt_ns"] / stopped["requests"]


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
        known, shown, relative = [], [], []
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
        if known:
            results.append(Recovery(cells_of_control[0]["control"]["of"], control, median(known), over_restarts(shown), over_restarts(relative)))
    return sorted(results, key=lambda recovery: (recovery.of, recovery.known_ns))


def doubt(recoveries, reference):
    """Of a figure, by the controls of the reference: the one whose interval is narrowest decides."""
    candidates = [recovery for recovery in recoveries if recovery.of == reference]
    return min(candidates, key=lambda recovery: recovery.ratio.half_width).doubt if candidates else NO_CONTROL
