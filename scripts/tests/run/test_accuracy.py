"""Reported latencies and the truth, with the real programs: never lower than what the server reports."""

import os

import pytest
from conftest import SCRIPTS, run_echobench

from echobench_lib import accuracy
from echobench_lib.accuracy import Reading
from echobench_lib.plan.placement import place
from echobench_lib.plan.topology import read_topology

BUILD = SCRIPTS.parent / "build" / "release"
pytestmark = pytest.mark.skipif(not os.access(BUILD / "loadgen" / "echo-scheduled-server", os.X_OK),
                                reason="the build has no echo-scheduled-server")
BUCKET = 0.001  # of a value: how exact a histogram is


@pytest.fixture(autouse=True)
def real_programs(monkeypatch):
    monkeypatch.setenv("ECHOBENCH_BUILD", str(BUILD))


@pytest.mark.parametrize("schedule", accuracy.SCHEDULES)
def test_no_percentile_is_below_the_truth(schedule):
    reading = accuracy.read(schedule, 1_000, 2, place(read_topology()))
    assert reading.requests == 2_000
    for percent in accuracy.PERCENTS:
        assert reading.reported[percent] >= reading.truth[percent] * (1 - BUCKET), percent


def test_schedules_are_kept():
    placement = place(read_topology())
    assert min(accuracy.read("constant", 500, 1, placement).truth[50] for _ in range(3)) >= 1_000_000
    bimodal = accuracy.read("bimodal", 2_000, 2, placement)
    assert bimodal.truth[99.9] >= 10_000_000 and bimodal.truth[50] >= 200_000
    assert accuracy.read("stalls", 500, 2, placement).truth[99] >= 30_000_000


def test_what_is_reported_is_near_the_truth():
    placement = place(read_topology())
    assert any(abs(accuracy.read("constant", 1_000, 1, placement).off(50)) < 2_000_000 for _ in range(5))


def test_the_table_has_a_row_for_each_schedule_and_rate():
    done = run_echobench("accuracy", "--duration", "0.5", "--rounds", "1", ECHOBENCH_BUILD=str(BUILD))
    assert done.returncode == 0, done.stderr
    for schedule in accuracy.SCHEDULES:
        assert done.stdout.count(f"\n{schedule} ") == 2
    assert "of 18 percentiles are within 1 % and 20 µs of the truth" in done.stdout


def test_what_is_as_good_as_the_truth():
    reading = Reading({50: 1_000_000, 99: 1_000_000}, {50: 1_030_000, 99: 1_030_001}, 0, "valid", 1)
    assert reading.is_true(50) and not reading.is_true(99)
    assert Reading({50: 1_000_000}, {50: 969_999}, 0, "valid", 1).is_true(50) is False


def test_a_server_that_is_not_built_is_named(tmp_path):
    done = run_echobench("accuracy", ECHOBENCH_BUILD=str(tmp_path))
    assert done.returncode == 1 and "echo-scheduled-server: not built" in done.stderr
