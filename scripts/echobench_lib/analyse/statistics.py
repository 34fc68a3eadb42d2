"""The statistics of a comparison; pure functions, no input or output.

The unit is never the request: it is the round (one slice of each target) within a restart, and the restart in
everything that is published.  Ratios are handled as natural logarithms, so that a/b and b/a say the same; what a known
slow-down adds is handled as it is, in the unit of the figure.
"""

import math
from dataclasses import dataclass

import numpy
from scipy import stats

TRIM = 0.1
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its two-sided bounds; `low` and `high` are None when there are too few units.

    `units` is how many independent observations stand behind it and `unit` what one of them is.
    """

    estimate: float
    low: float | None
    high: float | None
    units: int
    unit: str = ""

    @property
    def has_bounds(self):
        return self.low is not None

    @property
    def half_width(self):
        """Half of the distance between the bounds; infinite without bounds."""
        return (self.high - self.low) / 2 if self.has_bounds else math.inf

    def exp(self):
        """Back from logarithms to ratios."""
        return self._map(math.exp)

    def scaled(self, factor):
        """The same in another unit; `factor` is positive."""
        return self._map(lambda value: value * factor)

    def _map(self, function):
        bounds = (function(self.low), function(self.high)) if self.has_bounds else (None, None)
        return Interval(function(self.estimate), *bounds, self.units, self.unit)


def trimmed_mean(values, trim=TRIM):
    """Mean without the lowest and the highest floor(trim * n) values."""
    return float(stats.trim_mean(values, trim))


def trimmed_mean_interval(values, unit="", trim=TRIM, confidence=CONFIDENCE):
    """Trimmed mean with the Tukey-McLaughlin interval (Tukey and McLaughlin, Sankhya A 25, 1963).

    Below 1/trim values nothing is trimmed, and it is Student's interval.  No bounds with fewer than two values.
    """
    values = numpy.asarray(values, dtype=float)
    n = len(values)
    estimate = trimmed_mean(values, trim)
    if n < 2:
        return Interval(estimate, None, None, n, unit)
    if int(trim * n):
        low, high = stats.mstats.trimmed_mean_ci(values, limits=(trim, trim), inclusive=(True, True), alpha=1 - confidence)
    else:  # trimmed_mean_ci would divide by 1 - 2 trim although nothing is trimmed
        half = stats.t.ppf(0.5 + confidence / 2, n - 1) * stats.sem(values)
        low, high = estimate - half, estimate + half
    return Interval(estimate, float(low), float(high), n, unit)


def paired(one, other, combine):
    """combine(a, b) for every key (the round) that both mappings have with a positive value, in order of the key."""
    return [combine(one[key], other[key]) for key in sorted(one.keys() & other.keys()) if one[key] > 0 and other[key] > 0]


def log_ratio(a, b):
    return math.log(a / b)


def difference(a, b):
    return a - b


def over_restarts(restarts):
    """The published value from a list (one entry per restart) of lists (one value per round).

    Several restarts: each contributes the trimmed mean of its rounds, and the interval is over restarts.  One
    restart: the interval is over its rounds, which `unit` records; it leaves out how restarts scatter.  None when
    there is no value at all.
    """
    restarts = [rounds for rounds in restarts if rounds]
    if not restarts:
        return None
    if len(restarts) == 1:
        return trimmed_mean_interval(restarts[0], "round")
    return trimmed_mean_interval([trimmed_mean(rounds) for rounds in restarts], "restart")


def change(before, after, confidence=CONFIDENCE):
    """How the mean of `after` differs from that of `before`, both lists of logarithms, one per restart.

    Welch's interval (Biometrika 34, 1947).  No bounds when either side has fewer than two values.
    """
    estimate = float(numpy.mean(after) - numpy.mean(before))
    units = min(len(before), len(after))
    if units < 2:
        return Interval(estimate, None, None, units, "restart").exp()
    shares = [numpy.var(side, ddof=1) / len(side) for side in (before, after)]
    total = float(sum(shares))
    if total == 0:
        return Interval(estimate, estimate, estimate, units, "restart").exp()
    degrees = total**2 / sum(s**2 / (len(side) - 1) for s, side in zip(shares, (before, after)))
    half = float(stats.t.ppf(0.5 + confidence / 2, degrees)) * math.sqrt(total)
    return Interval(estimate, estimate - half, estimate + half, units, "restart").exp()
