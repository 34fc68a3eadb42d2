import math

import pytest

from scipy import stats

from echobench_lib.analyse.statistics import (change, difference, log_ratio, over_restarts, paired, trimmed_mean,
                                      trimmed_mean_interval)

# Wilcox, Introduction to Robust Estimation and Hypothesis Testing: self-awareness data (Dana, 1990)
SELF_AWARENESS = [77, 87, 88, 114, 151, 210, 219, 246, 253, 262, 296, 299, 306, 376, 428, 515, 666, 1310, 2611]


def test_twenty_per_cent_trimmed_mean_and_interval_as_published():
    interval = trimmed_mean_interval(SELF_AWARENESS, trim=0.2)
    assert interval.estimate == pytest.approx(282.692, abs=1e-3)
    assert interval.low == pytest.approx(160.3913, abs=1e-3)
    assert interval.high == pytest.approx(404.9933, abs=1e-3)


def test_below_ten_values_it_is_students_interval():
    # mean 3, s = sqrt(2.5), t(0.975; 4) = 2.776445: 3 +- 1.963243
    interval = trimmed_mean_interval([1, 2, 3, 4, 5])
    assert interval.estimate == 3
    assert interval.high - 3 == pytest.approx(1.963243, abs=1e-6)


def test_an_outlier_moves_the_trimmed_mean_little():
    rounds = [math.log(1.1)] * 19 + [math.log(9)]
    assert math.exp(over_restarts([rounds]).estimate) == pytest.approx(1.1)


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


def test_interval_covers_the_truth_as_often_as_it_says():
    import random
    draw = random.Random(1)
    held = 0
    for _ in range(400):
        interval = trimmed_mean_interval([draw.gauss(0, 1) for _ in range(20)])
        held += interval.low <= 0 <= interval.high
    assert 0.92 <= held / 400 <= 0.98


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
    assert trimmed_mean([1.0] * 9 + [100.0]) == 1.0
