"""The statistics of a comparison; pure functions, no input or output.

The unit is never the request: it is the round (one slice of each target) within a restart, and the restart in
everything that is published.  Ratios are handled as natural logarithms, so that a/b and b/a say the same; what a known
slow-down adds is handled as it is, in the unit of the figure.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy
from numpy.typing import NDArray
from scipy import stats

# Of the rounds of a restart: slices have heavy tails where the hypervisor takes the CPU for a while, and on the
# published run the middle half has an interval that is 12 to 17 % narrower than the mean's.
ROUND_TRIM = 0.25
# Of restarts: from six on one at each end, so that one that settled in another mode (8 standard deviations away) leaves
# an interval that is 1.04 instead of 2.49 standard deviations wide with eight; where none does it is 8 % wider than
# Student's.
RESTART_TRIM = 1 / 6
CONFIDENCE = 0.95
ERROR = 0.05  # over all pairs of a table: that any of them is distinguished without cause

Key = TypeVar("Key", bound=Hashable)


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
    def bounds(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def has_bounds(self) -> bool:
        return self.bounds is not None

    def contains(self, value: float) -> bool:
        """Whether it lies within the bounds; nothing does without bounds."""
        return self.bounds is not None and self.bounds[0] <= value <= self.bounds[1]

    @property
    def half_width(self) -> float:
        """Half of the distance between the bounds; infinite without bounds."""
        return (self.bounds[1] - self.bounds[0]) / 2 if self.bounds else math.inf

    @property
    def log_half_width(self) -> float:
        """The same on the log scale, of an interval of ratios: 0.02 is 2 % up and down."""
        low, high = self.bounds or (0.0, 0.0)
        return math.log(high / low) / 2 if low > 0 else math.inf

    def exp(self) -> "Interval":
        """Back from logarithms to ratios."""
        return self._map(math.exp)

    def scaled(self, factor: float) -> "Interval":
        """The same in another unit; `factor` is positive."""
        return self._map(lambda value: value * factor)

    def _map(self, function: Callable[[float], float]) -> "Interval":
        low, high = (None if bound is None else function(bound) for bound in (self.low, self.high))
        return Interval(function(self.estimate), low, high, self.units, self.unit)


def trimmed_mean(values: Sequence[float] | NDArray[numpy.float64], trim: float) -> float:
    """Mean without the lowest and the highest floor(trim * n) values."""
    return float(stats.trim_mean(values, trim))


def of_rounds(rounds: Sequence[float]) -> float:
    """What the rounds of one restart come to."""
    return trimmed_mean(rounds, ROUND_TRIM)


def trimmed_mean_interval(observed: Sequence[float], unit: str = "restart", trim: float = RESTART_TRIM,
                          confidence: float = CONFIDENCE) -> Interval:
    """Trimmed mean with Yuen's interval.

    Below 1/trim values nothing is trimmed, and it is Student's interval.  No bounds with fewer than two values.
    """
    values = numpy.asarray(observed, dtype=float)
    n = len(values)
    estimate = trimmed_mean(values, trim)
    if n < 2:
        return Interval(estimate, None, None, n, unit)
    error, degrees = _error(values, trim)
    half = float(stats.t.ppf(0.5 + confidence / 2, degrees)) * error
    return Interval(estimate, estimate - half, estimate + half, n, unit)


def p_above(observed: Sequence[float], limit: float = 0.0) -> float:
    """One-sided, of a trimmed mean not above `limit`: the test that belongs to the interval over restarts."""
    values = numpy.asarray(observed, dtype=float)
    if len(values) < 2:
        return 1.0
    error, degrees = _error(values, RESTART_TRIM)
    mean = trimmed_mean(values, RESTART_TRIM)
    if error == 0:
        return 0.0 if mean > limit else 1.0
    return float(stats.t.sf((mean - limit) / error, degrees))


def _error(values: NDArray[numpy.float64], trim: float) -> tuple[float, int]:
    """Of a trimmed mean: its standard error by the winsorised variance, and the degrees of freedom (Yuen, Biometrika
    61, 1974)."""
    n, cut = len(values), int(trim * len(values))
    left = n - 2 * cut
    winsorised = numpy.clip(values, *numpy.sort(values)[[cut, n - cut - 1]])
    return float(numpy.std(winsorised, ddof=1)) * math.sqrt((n - 1) / (left * (left - 1))), left - 1


def holm(p_values: Mapping[Key, float], error: float = ERROR) -> set[Key]:
    """The keys that are rejected, of {key: p}: in order of p, each against error / (how many are left), until one is
    not.  Holm, Scandinavian Journal of Statistics 6, 1979."""
    rejected = set()
    for done, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p >= error / (len(p_values) - done):
            break
        rejected.add(key)
    return rejected


@dataclass(frozen=True)
class Rank:
    """What is known of a place, 1 for the one that costs least: between `best` and `worst`."""

    best: int
    worst: int

    @property
    def text(self) -> str:
        """`1`, `2–4`."""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def ranks(values: Mapping[str, Mapping[int, float]]) -> dict[str, Rank]:
    """{name: Rank} of {name: {restart: value}}; empty if no pair has two restarts.

    A pair is distinguished by its differences within restarts, two-sided, by Holm's method over all pairs: that any
    order which follows from the ranks is false has a probability of 5 % at most.
    """
    pairs = {}
    for one, other in itertools.permutations(values, 2):
        both = sorted(values[one].keys() & values[other].keys())
        if len(both) > 1:
            pairs[one, other] = [values[other][restart] - values[one][restart] for restart in both]
    if not pairs:
        return {}
    p_values = {}
    for (one, other), differences in pairs.items():
        key = (one, other) if trimmed_mean(differences, RESTART_TRIM) >= 0 else (other, one)
        p_values[key] = min(1.0, 2 * p_above(pairs[key]))
    less = holm(p_values)
    return {name: Rank(1 + sum(other == name for _, other in less), len(values) - sum(one == name for one, _ in less))
            for name in values}


def paired(one: Mapping[int, float], other: Mapping[int, float],
           combine: Callable[[float, float], float]) -> list[float]:
    """combine(a, b) for every key (the round) that both mappings have with a positive value, in order of the key."""
    return [combine(one[key], other[key]) for key in sorted(one.keys() & other.keys())
            if one[key] > 0 and other[key] > 0]


def log_ratio(a: float, b: float) -> float:
    return math.log(a / b)


def difference(a: float, b: float) -> float:
    return a - b


def over_restarts(restarts: Sequence[Sequence[float]]) -> Interval | None:
    """The published value from a list (one entry per restart) of lists (one value per round).

    Several restarts: each contributes the trimmed mean of its rounds, and the interval is over restarts.  One
    restart: the interval is over its rounds, which `unit` records; it leaves out how restarts scatter.  None when
    there is no value at all.
    """
    known = [rounds for rounds in restarts if rounds]
    if not known:
        return None
    if len(known) == 1:
        return trimmed_mean_interval(known[0], "round", ROUND_TRIM)
    return trimmed_mean_interval([of_rounds(rounds) for rounds in known])


def change(before: Sequence[float], after: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
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
