"""From two rounds of restarts to a verdict, by simulation."""

import math

import numpy
import pytest

from echobench_lib.analyse.statistics import of_rounds, over_restarts
from echobench_lib.gate.decide import Figure, confirmed
from echobench_lib.gate.judgement import IMPROVED, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED

RESTARTS, SLICES = 8, 4
OF_RESTARTS, OF_SLICES = 0.004, 0.012  # standard deviations of log ratios on a shared virtual machine


def restarts(random, rise=0.0, of_restarts=OF_RESTARTS, of_slices=OF_SLICES, number=RESTARTS):
    """Log ratios: [restart][slice]."""
    return [list(rise + shift + random.normal(0, of_slices, SLICES)) for shift in random.normal(0, of_restarts, number)]


def values(random, **keywords):
    return [of_rounds(slices) for slices in restarts(random, **keywords)]


def figure(*rounds, margin=0.01, **keywords):
    return Figure("CPU per request", margin, tuple(rounds), **keywords)


def percentile_bootstrap(random, data, resamples=400):
    """Hierarchical: restarts, then slices within each."""
    data = numpy.array(data)
    restarts_of = random.integers(0, len(data), (resamples, len(data), 1))
    slices_of = random.integers(0, SLICES, (resamples, len(data), SLICES))
    return numpy.percentile(data[restarts_of, slices_of].mean(axis=(1, 2)), (2.5, 97.5))


def test_the_interval_over_restarts_covers_and_percentile_bootstrap_does_not():
    """What the choice of the interval rests on: few restarts that scatter more than the slices within them."""
    random, tries = numpy.random.default_rng(1), 600
    student = bootstrap = 0
    for _ in range(tries):
        data = restarts(random, of_restarts=0.008, of_slices=0.004, number=5)
        interval = over_restarts(data)
        student += interval.low <= 0 <= interval.high
        low, high = percentile_bootstrap(random, data)
        bootstrap += low <= 0 <= high
    assert student / tries == pytest.approx(0.95, abs=0.025)
    assert bootstrap / tries < 0.9


@pytest.mark.parametrize("rise, most", [(0.0, 0), (math.log(1.01), 0.05)])
def test_the_family_wise_error_holds(rise, most):
    """Gates of 40 cells that are all alike, then all at the margin exactly: how many gates flag anything."""
    random, gates, flagged = numpy.random.default_rng(2), 200, 0
    for _ in range(gates):
        figures = {cell: figure(values(random, rise=rise), values(random, rise=rise)) for cell in range(40)}
        flagged += bool(confirmed(figures))
    assert flagged / gates <= most


def test_a_rise_beyond_the_margin_is_found_among_many_that_are_none():
    random, gates, successes = numpy.random.default_rng(3), 100, 0
    for _ in range(gates):
        figures = {cell: figure(*(values(random, rise=0.025 if cell == 7 else 0) for _ in range(2)))
                   for cell in range(20)}
        successes += confirmed(figures) == {7}
    assert successes / gates > 0.9


def test_how_strictly_the_first_round_screens_bears_on_what_is_found():
    """Of servers that cost more by twice the margin: both rounds at 5 % each, and as it is decided."""
    random, tries, strictly, successes = numpy.random.default_rng(5), 400, 0, 0
    for _ in range(tries):
        first, second = (values(random, rise=math.log(1.02), of_restarts=0.009, number=number) for number in (5, 11))
        it = figure(first, second)
        strictly += it.p_value(0) < 0.05 and it.p_value(1) < 0.05
        successes += bool(confirmed({"it": it}))
    assert successes / tries > 0.8 and strictly / tries < 0.7


NONE, LITTLE, MUCH = ([shift + tremble for tremble in (-0.001, 0, 0.001)] for shift in (0.0, 0.009, 0.05))


@pytest.mark.parametrize("rounds, sure, verdict", [
    ((NONE,), False, UNCHANGED), ((MUCH, MUCH), True, REGRESSED), ((MUCH, NONE), False, UNDECIDED),
    ((MUCH,), False, UNDECIDED), ((MUCH, MUCH), False, UNDECIDED), ((LITTLE,), False, UNDECIDED),
    (([-0.05, -0.05, -0.051],), False, IMPROVED), (([-0.05, 0, 0.05],), False, UNDECIDED),
    (([0.0],), False, UNDECIDED), ((), False, UNDECIDED)])
def test_what_is_found_of_a_figure(rounds, sure, verdict):
    assert figure(*rounds).verdict(sure) == verdict


def test_a_figure_that_shows_nothing_of_a_known_slow_down_decides_nothing():
    biased = figure(MUCH, MUCH, doubt="control biased")
    assert biased.verdict(False) == UNMEASURED and not confirmed({"it": biased})
    assert "control biased" in biased.why(UNMEASURED)


def test_an_advisory_figure_is_no_candidate():
    assert not confirmed({"it": figure(MUCH, MUCH, advisory=True)})
