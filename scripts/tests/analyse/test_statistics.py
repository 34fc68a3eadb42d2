import math

import numpy
import pytest

from conftest import published_scatter
from scipy import stats

from echobench_lib.analyse.statistics import (change, difference, holm, log_ratio, of_rounds, over_restarts, p_above,
                                              paired, ranks, trimmed_mean, trimmed_mean_interval)


def test_trimmed_mean_and_interval_by_hand():
    # trimmed 1, 2, 3, 4; winsorised 1, 1, 2, 3, 4, 4: squares 9.5; t(0.975; 3) = 3.182446
    interval = trimmed_mean_interval([2, 0, 4, 100, 1, 3])
    assert interval.estimate == 2.5
    assert interval.high - 2.5 == pytest.approx(3.182446 * math.sqrt(9.5 / (4 * 3)), rel=1e-6)


def test_below_six_values_it_is_students_interval():
    # mean 3, s = sqrt(2.5), t(0.975; 4) = 2.776445: 3 +- 1.963243
    interval = trimmed_mean_interval([1, 2, 3, 4, 5])
    assert interval.estimate == 3
    assert interval.high - 3 == pytest.approx(1.963243, abs=1e-6)


def test_a_quarter_of_the_rounds_may_be_disturbed():
    assert of_rounds([1.0] * 6 + [9.0] * 2) == 1 and of_rounds([-9.0, 1.0, 1.0, 9.0]) == 1
    assert math.exp(over_restarts([[math.log(1.1)] * 15 + [math.log(9)] * 5]).estimate) == pytest.approx(1.1)


def test_one_restart_in_another_mode_moves_neither_the_mean_nor_the_interval():
    restarts = [[value] for value in (0.99, 1.0, 1.0, 1.0, 1.01)]
    apart = over_restarts([*restarts, [9.0]])
    assert apart.estimate == pytest.approx(1.0025) and apart.half_width < 0.02


def test_rounds_pair_by_index_and_those_without_partner_are_left_out():
    pairs = paired({0: 2.0, 1: 4.0, 2: 8.0}, {1: 2.0, 2: 2.0, 3: 1.0}, log_ratio)
    assert pairs == pytest.approx([math.log(2), math.log(4)])
    assert paired({1: 5.0, 2: 4.0}, {1: 2.0, 2: 3.0}, difference) == [3.0, 1.0]


def test_a_slice_without_figure_makes_no_pair():
    assert paired({0: 0.0, 1: 3.0}, {0: 1.0, 1: 3.0}, log_ratio) == [0.0]


def test_several_restarts_are_the_unit():
    ratio = over_restarts([[math.log(1.1)] * 100, [math.log(1.2)] * 100, [math.log(1.3)] * 100]).exp()
    assert (ratio.units, ratio.unit) == (3, "restart")
    assert ratio.estimate == pytest.approx((1.1 * 1.2 * 1.3) ** (1 / 3))
    # t(0.975; 2) times the standard error of three logarithms: the 300 rounds do not narrow it
    logs = [math.log(value) for value in (1.1, 1.2, 1.3)]
    mean = sum(logs) / 3
    error = math.sqrt(sum((value - mean) ** 2 for value in logs) / 2 / 3)
    assert ratio.low == pytest.approx(math.exp(mean - 4.302653 * error), rel=1e-6)


def test_one_restart_falls_back_to_its_rounds_and_says_so():
    ratio = over_restarts([[0.1, 0.2, 0.3]])
    assert (ratio.units, ratio.unit, ratio.has_bounds) == (3, "round", True)


def test_one_round_has_no_interval():
    assert not over_restarts([[0.1]]).has_bounds and over_restarts([[0.1]]).half_width == math.inf
    assert over_restarts([[], []]) is None


@pytest.mark.parametrize("restarts", [2, 3, 4, 5, 6, 8, 10, 12])
def test_interval_covers_the_truth_as_often_as_it_says(restarts):
    random, runs = numpy.random.default_rng(restarts), 2000
    held = sum(interval.low <= 0 <= interval.high
               for interval in (over_restarts(published_scatter(random, restarts)) for _ in range(runs)))
    assert 0.92 <= held / runs <= 0.98


@pytest.mark.parametrize("restarts", [6, 8, 10, 12])
def test_now_and_then_a_restart_in_another_mode_does_not_break_the_interval(restarts):
    random, runs = numpy.random.default_rng(restarts), 1000
    intervals = [over_restarts(published_scatter(random, restarts, mode=0.05)) for _ in range(runs)]
    assert 0.92 <= sum(interval.low <= 0 <= interval.high for interval in intervals) / runs
    assert numpy.median([interval.half_width for interval in intervals]) < 1.5 * numpy.median(
        [over_restarts(published_scatter(random, restarts)).half_width for _ in range(runs)])


def test_the_test_belongs_to_the_interval():
    for sample in ([0.01, 0.03, 0.02], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 5]):
        interval = trimmed_mean_interval(sample)
        assert p_above(sample, interval.low) == pytest.approx(0.025)
        assert p_above(sample, interval.estimate) == pytest.approx(0.5)
    assert p_above([0.1]) == 1 and p_above([0.1, 0.1], 0.05) == 0 and p_above([0, 0]) == 1


def test_holm_rejects_from_the_smallest_and_stops():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.02}) == {"a", "c", "b"}
    assert holm({"a": 0.01, "b": 0.03, "c": 0.03}) == {"a"}
    assert holm({"a": 0.02, "b": 0.02, "c": 0.001}) == {"a", "b", "c"}
    assert holm({}) == set()


def ranked(**values):
    return {name: rank.text for name, rank in ranks({name: dict(enumerate(of)) for name, of in values.items()}).items()}


def test_a_rank_is_what_is_known():
    near = [0.001, -0.001, 0.002, -0.002, 0.0]
    assert ranked(reference=[0] * 5, same=near, more=[value + 0.2 for value in near]) == {
        "reference": "1–2", "same": "1–2", "more": "3"}
    assert ranked(a=[0] * 5, b=[0.1 + value for value in near], c=[0.2 + value for value in near[::-1]]) == {
        "a": "1", "b": "2", "c": "3"}


def test_what_lies_between_two_that_differ_may_be_either():
    wide = [-0.2, 0.3, 0.0, 0.25, -0.1]
    assert ranked(low=[0] * 5, wide=wide, high=[0.1, 0.101, 0.099, 0.1, 0.102]) == {
        "low": "1–2", "wide": "1–3", "high": "2–3"}


def test_one_restart_ranks_nothing():
    assert ranked(a=[0], b=[1]) == {} and ranked(a=[0, 0, 0]) == {}


def test_pairs_are_compared_within_the_restarts_that_both_have():
    drift = [0.0, 0.5, 1.0, 1.5]
    later = [value + 0.01 + error for value, error in zip(drift, (0.0001, -0.0001, 0.0002, 0))]
    assert ranked(a=drift, b=later) == {"a": "1", "b": "2"}


def test_among_six_equals_an_order_is_rare():
    random, tables = numpy.random.default_rng(1), 400
    ordered = 0
    for _ in range(tables):
        runs = {name: {restart: of_rounds(rounds) for restart, rounds in enumerate(published_scatter(random, 8))}
                for name in "abcde"}
        places = ranks({**runs, "reference": dict.fromkeys(range(8), 0.0)})
        ordered += any(rank.text != "1–6" for rank in places.values())
    assert ordered / tables < 0.08, "5 % are meant"


def test_welchs_interval_by_hand():
    # n = 3 and 4, variances 1 and 5/3
    interval = change([1, 2, 3], [2, 3, 4, 5])
    degrees = (1 / 3 + 5 / 12) ** 2 / ((1 / 3) ** 2 / 2 + (5 / 12) ** 2 / 3)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(1 / 3 + 5 / 12)
    assert interval.estimate == pytest.approx(math.exp(1.5))
    assert interval.low == pytest.approx(math.exp(1.5 - half))
    assert degrees == pytest.approx(4.9592, abs=1e-4)


def test_change_from_one_run_has_no_interval():
    assert not change([0.1], [0.2, 0.3]).has_bounds


def test_another_unit_keeps_the_shape():
    interval = trimmed_mean_interval([1.0, 2.0, 3.0])
    scaled = interval.scaled(0.5)
    assert (scaled.estimate, scaled.half_width) == (1.0, pytest.approx(interval.half_width / 2))
    assert trimmed_mean([1.0] * 9 + [100.0], 0.1) == 1.0
