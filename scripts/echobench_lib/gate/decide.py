"""From the restarts of two rounds to a verdict: pure functions, no input or output.

A figure is one number for each restart: the mean of the middle half of the log ratios, head over base, of its slices.
The restart is the unit, for the slices of one share what a start settles (memory, ports, places in caches).  Every
restart has as many slices: the mean over restarts has the scatter of both levels in it, and Student's interval of it
has its nominal coverage.  Percentile bootstrap, of restarts and then of slices, is too narrow with so few of them if
restarts scatter more than slices: tests/gate/test_decide.py measures the coverage of both.

The first round screens and the second decides.  What is beyond the margin in the first, as it is estimated, is a
candidate; of the second round, which knows nothing of the first, the candidates alone are tested, by Holm's method
(Scandinavian Journal of Statistics 6, 1979): that any of them is flagged without cause has a probability of 5 % at
most, over all of them, and much less where no cost is at the margin.  How strictly the first round screens does not
bear on that, but on what is found: one that demanded a proof, too, missed a third of those that rose by 2 %.  And the
one-sided bound over all restarts must be beyond the margin.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..analyse.statistics import ERROR, Interval, Key, holm, p_above, trimmed_mean_interval
from .judgement import IMPROVED, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED, Verdict

SCREEN = 0.5  # of the first round's p: its estimate is beyond the margin


@dataclass(frozen=True)
class Figure:
    """`rounds`: the log ratios of each round, one for each restart.  `margin`: as a ratio's distance from 1.  An
    advisory figure is printed and decides nothing; of one that scatters too much to be shown unchanged `only_rises`
    count.  `doubt`: why it is not to be used; empty if it is."""

    name: str
    margin: float
    rounds: tuple[list[float], ...]
    advisory: bool = False
    only_rises: bool = False
    doubt: str = ""

    @property
    def limit(self) -> float:
        return math.log1p(self.margin)

    @property
    def interval(self) -> Interval | None:
        """Of the ratio, over the restarts of all rounds; None without any."""
        values = [value for values in self.rounds for value in values]
        return trimmed_mean_interval(values).exp() if values else None

    def p_value(self, number: int) -> float:
        """Of no rise beyond the margin, by one round."""
        return p_above(self.rounds[number], self.limit)

    @property
    def is_candidate(self) -> bool:
        return bool(self.rounds) and not self.advisory and not self.doubt and self.p_value(0) < SCREEN

    @property
    def is_open(self) -> bool:
        """Whether a second round has something to settle."""
        return not self.advisory and self.verdict(False) not in (UNCHANGED, IMPROVED)

    @property
    def rises(self) -> bool:
        """Over all rounds beyond the margin."""
        return bool(self.rounds) and p_above([value for values in self.rounds for value in values], self.limit) < ERROR

    def verdict(self, confirmed: bool) -> Verdict:
        """What was found.  What is beyond the margin over all rounds, and was not confirmed by the second, is no
        regression, and not unchanged."""
        if self.doubt:
            return UNMEASURED
        if confirmed:
            return REGRESSED
        if self.rises or self.is_candidate and len(self.rounds) == 1:
            return UNDECIDED
        if self.only_rises:
            return UNCHANGED
        interval = self.interval
        if interval is None or interval.bounds is None:
            return UNDECIDED
        low, high = interval.bounds
        if high < math.exp(-self.limit):
            return IMPROVED
        return UNCHANGED if low > math.exp(-self.limit) and high < math.exp(self.limit) else UNDECIDED

    @property
    def text(self) -> str:
        interval = self.interval
        if interval is None:
            return "no figure"
        return f"{interval.estimate:.3f}" + (f" ± {interval.half_width:.3f}" if interval.has_bounds else "")

    def why(self, verdict: Verdict) -> str:
        """A sentence to that verdict."""
        if verdict == UNMEASURED:
            return f"{self.name}: {self.doubt}: it did not show a known slow-down, so it cannot show this one"
        figure = f"{self.name} {self.text}"
        if verdict == REGRESSED:
            return f"{figure}: above the margin of {100 * self.margin:g} %, and again in an independent second round"
        if verdict == UNDECIDED:
            unconfirmed = ", above it over all, but not in two rounds" if self.rises else ""
            return f"{figure}: margin {100 * self.margin:g} %{unconfirmed}"
        return figure


def confirmed(figures: Mapping[Key, Figure]) -> set[Key]:
    """The keys of those that regressed, of {key: Figure}: candidates of the first round that the second confirms."""
    rejected = holm({key: figure.p_value(1) for key, figure in figures.items()
                     if figure.is_candidate and len(figure.rounds) > 1})
    return {key for key in rejected if figures[key].rises}
