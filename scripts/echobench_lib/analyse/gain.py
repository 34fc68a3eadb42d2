"""Gain: what a figure shows of a known slow-down.

Beside a variant stands its control, which burns a little for each request and says how much that was.  What the figure
rose by, divided by that, is the gain.  A figure that hides a slow-down (gain below 1) or exaggerates it is no measure
of a server's cost, however narrow its interval: it bends.
"""

from dataclasses import dataclass
from statistics import median

from .statistics import Interval, difference, over_restarts, paired

LEAST, MOST = 0.8, 1.25  # a gain whose interval lies outside: the figure bends
WIDEST = 0.4             # half of the interval; wider, and the gain is not shown
BENDS, NOT_SHOWN, NO_CONTROL = "bends", "not shown", "no control"


@dataclass(frozen=True)
class Gain:
    """Of one figure, by one control.  `known_ns` a request is what the control burnt more, by its own account; `shown_ns` what
    the figure rose by."""

    of: str
    control: str
    known_ns: float
    shown_ns: Interval
    gain: Interval

    @property
    def doubt(self):
        """Why the figure must not be ranked or judged; empty where its gain is near 1."""
        if self.gain.has_bounds and (self.gain.high < LEAST or self.gain.low > MOST):
            return BENDS
        return NOT_SHOWN if self.gain.half_width > WIDEST else ""


def burnt_ns_per_request(cell):
    """What the server burnt for a request on average, by its last line; None where it said nothing."""
    stopped = (cell.get("server") or {}).get("stopped") or {}
    if "burnt_ns" not in stopped or not stopped.get("requests"):
        return None
    return stopped["burnt_ns"] / stopped["requests"]


def gains(cells, time_of_slice):
    """A Gain for every control among the cells of a workload, the smallest burn first.  `time_of_slice` is the figure as
    nanoseconds a request: of CPU, or of one CPU's time; 0 where it is not known."""
    by_place = {(cell["block"], cell["restart"], cell["variant"]): cell for cell in cells}
    controls = {}
    for cell in cells:
        if "control" in cell:
            controls.setdefault(cell["variant"], []).append(cell)
    found = []
    for control, own in controls.items():
        known, shown, relative = [], [], []
        for cell in own:
            base = by_place.get((cell["block"], cell["restart"], cell["control"]["of"]))
            burnt = [burnt_ns_per_request(each) for each in (cell, base)] if base else [None]
            if None in burnt or burnt[0] <= burnt[1]:
                continue
            sides = [{piece["index"]: time_of_slice(piece) for piece in each["slices"]} for each in (cell, base)]
            if rises := paired(*sides, difference):
                known.append(burnt[0] - burnt[1])
                shown.append(rises)
                relative.append([rise / known[-1] for rise in rises])
        if known:
            found.append(Gain(own[0]["control"]["of"], control, median(known), over_restarts(shown), over_restarts(relative)))
    return sorted(found, key=lambda gain: (gain.of, gain.known_ns))


def doubt(found, reference):
    """Of a figure, by the gains of the reference's controls: the narrowest of them decides."""
    own = [gain for gain in found if gain.of == reference]
    return min(own, key=lambda gain: gain.gain.half_width).doubt if own else NO_CONTROL
