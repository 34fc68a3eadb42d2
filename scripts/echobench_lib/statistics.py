"""The statistics of a comparison; pure functions, no input or output.

The unit is never the request: it is the round (one slice of each target) within a restart, and the restart in
everything that is published.  Ratios are handled as natural logarithms, so that a/b and b/a say the same.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import mpmath
import numpy

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

    def exp(self):
        """Back from logarithms to ratios."""
        bounds = (math.exp(self.low), math.exp(self.high)) if self.has_bounds else (None, None)
        return Interval(math.exp(self.estimate), *bounds, self.units, self.unit)


@lru_cache(maxsize=None)
def t_quantile(probability, degrees):
    """Quantile of Student's t distribution, for probability in (0, 1) and degrees of freedom > 0.

    Inverts P(|T| > t) = I_x(v/2, 1/2), x = v / (v + t^2), I the regularised incomplete beta function (Abramowitz
    and Stegun 26.7.1), by bisection on x; accurate to about 1e-12.
    """
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(1 - probability, degrees)
    tails = 2 * (1 - probability)
    low, high = mpmath.mpf(0), mpmath.mpf(1)
    for _ in range(60):
        middle = (low + high) / 2
        if mpmath.betainc(mpmath.mpf(degrees) / 2, 0.5, 0, middle, regularized=True) < tails:
            low = middle
        else:
            high = middle
    x = (low + high) / 2
    return float(mpmath.sqrt(degrees * (1 - x) / x))


def trimmed_mean(values, trim=TRIM):
    """Mean without the lowest and the highest floor(trim * n) values."""
    ordered = numpy.sort(numpy.asarray(values, dtype=float))
    cut = int(trim * len(ordered))
    return float(ordered[cut:len(ordered) - cut].mean())


def winsorised_variance(values, trim=TRIM):
    """Sample variance (n - 1) after each trimmed value was replaced by the nearest that was kept."""
    ordered = numpy.sort(numpy.asarray(values, dtype=float))
    cut = int(trim * len(ordered))
    return float(numpy.clip(ordered, ordered[cut], ordered[len(ordered) - cut - 1]).var(ddof=1))


def trimmed_mean_interval(values, unit="", trim=TRIM, confidence=CONFIDENCE):
    """Trimmed mean with the Tukey-McLaughlin interval (Tukey and McLaughlin, Sankhya A 25, 1963).

    Standard error s_w / ((1 - 2 trim) sqrt(n)), s_w^2 the winsorised variance, n - 2g - 1 degrees of freedom; the
    same as scipy.stats.mstats.trimmed_mean_ci.  Below 1/trim values nothing is trimmed and it is Student's
    interval, with the divisor's (1 - 2 trim) left out accordingly.  No bounds with fewer than two values.
    """
    n = len(values)
    estimate = trimmed_mean(values, trim)
    if n < 2:
        return Interval(estimate, None, None, n, unit)
    cut = int(trim * n)
    share_kept = 1 - 2 * trim if cut else 1
    error = math.sqrt(winsorised_variance(values, trim)) / (share_kept * math.sqrt(n))
    half = t_quantile(0.5 + confidence / 2, n - 2 * cut - 1) * error
    return Interval(estimate, estimate - half, estimate + half, n, unit)


def paired_log_ratios(numerators, denominators):
    """log(a/b) for every key (the round) that both mappings have with a positive value, in order of the key."""
    return [math.log(numerators[key] / denominators[key])
            for key in sorted(numerators.keys() & denominators.keys())
            if numerators[key] > 0 and denominators[key] > 0]


def ratio_over_restarts(restarts):
    """The published ratio from a list (one entry per restart) of lists of paired log ratios (one per round).

    Several restarts: each contributes the trimmed mean of its rounds, and the interval is over restarts.  One
    restart: the interval is over its rounds, and `unit` says so; it leaves out how restarts scatter.  None when
    there is no pair at all.
    """
    restarts = [rounds for rounds in restarts if rounds]
    if not restarts:
        return None
    if len(restarts) == 1:
        return trimmed_mean_interval(restarts[0], "round").exp()
    return trimmed_mean_interval([trimmed_mean(rounds) for rounds in restarts], "restart").exp()


def change(before, after, confidence=CONFIDENCE):
    """How the mean of `after` differs from that of `before`, both lists of logarithms, one per restart.

    Welch's interval: standard error sqrt(s1^2/n1 + s2^2/n2), degrees of freedom by Welch and Satterthwaite
    (Biometrika 34, 1947).  No bounds when either side has fewer than two values.
    """
    estimate = float(numpy.mean(after) - numpy.mean(before))
    units = min(len(before), len(after))
    if units < 2:
        return Interval(estimate, None, None, units, "restart").exp()
    shares = [numpy.var(side, ddof=1) / len(side) for side in (before, after)]
    total = sum(shares)
    if total == 0:
        return Interval(estimate, estimate, estimate, units, "restart").exp()
    degrees = total**2 / sum(s**2 / (len(side) - 1) for s, side in zip(shares, (before, after)))
    half = t_quantile(0.5 + confidence / 2, float(degrees)) * math.sqrt(total)
    return Interval(estimate, estimate - half, estimate + half, units, "restart").exp()
