"""What echo-load reports compared with the truth, with the real programs: never better than the server's own account of
it."""

import os
from dataclasses import replace

import pytest
from conftest import SCRIPTS, run_echobench

from echobench_lib import accuracy
from echobench_lib.accuracy import Reading
from echobench_lib.plan.placement import place
from echobench_lib.plan.topology import read_topology

BUILD = SCRIPTS.parent / "build" / "release"
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / "loadgen" / name, os.X_OK)
                                        for name in ("echo-scheduled-server", "echo-observe")),
                                reason="the build has no echo-scheduled-server and echo-observe")
BUCKET = 0.001  # of a value: how exact a histogram is
DELAYS = {50: 1_000_000, 99: 1_000_000, 99.9: 1_000_000, "max": 1_000_000}
READING = Reading({50: 1_000_000, 99: 1_000_000}, {50: 1_030_000, 99: 1_030_001}, "valid", 1, DELAYS, DELAYS)


@pytest.fixture(autouse=True)
def real_programs(monkeypatch):
    monkeypatch.setenv("ECHOBENCH_BUILD", str(BUILD))


@pytest.mark.parametrize("schedule", accuracy.SCHEDULES)
@pytest.mark.parametrize("engine", accuracy.ENGINES)
def test_no_percentile_is_below_the_truth(schedule, engine):
    reading = accuracy.read(schedule, 2, place(read_topology()), engine, 1_000)
    assert reading.requests > 1_000
    for percent in accuracy.PERCENTS:
        assert reading.reported[percent] >= reading.truth[percent] * (1 - BUCKET), percent


def test_schedules_are_kept():
    placement = place(read_topology())
    assert min(accuracy.read("constant", 1, placement, "auto", 500).truth[50] for _ in range(3)) >= 1_000_000
    bimodal = accuracy.read("bimodal", 2, placement, "auto", 2_000)
    assert bimodal.truth[99.9] >= 10_000_000 and bimodal.truth[50] >= 200_000
    # Of two stalls: whether one in a hundred waits as long as that depends on where the load begins between them.
    assert any(accuracy.read("stalls", 2, placement, "auto", 500).truth[99] >= 30_000_000 for _ in range(3))


def test_what_is_reported_is_near_the_truth():
    placement = place(read_topology())
    for _ in range(5):
        reading = accuracy.read("constant", 1, placement, "auto", 1_000)
        if reading.verdict != "client-bound":
            assert reading.off(50) < reading.truth[50]
            return
    pytest.skip("the client was kept from its CPU")


def test_the_send_delay_of_a_burst_is_what_the_observer_saw():
    """The best of three tries: the observer takes its shortest delay for none, which is wrong where every burst found
    the client off its CPU."""
    burst = {"rate": 4_000, "connections": 2_000, "options": ("--bursts", "2ms/498ms")}
    ratios = []
    for _ in range(3):
        reading = accuracy.read("none", 2, place(read_topology()), "epoll", **burst)
        assert reading.observed_delay[50] > 500_000  # nobody sends 2,000 requests in 2 ms
        ratios.append(reading.delay[50] / reading.observed_delay[50])
    assert any(0.5 < ratio < 1.5 for ratio in ratios), ratios


def test_the_tables_have_a_row_for_each_engine_and_load():
    done = run_echobench("accuracy", "--duration", "0.5", "--rounds", "1", ECHOBENCH_BUILD=str(BUILD))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for engine in accuracy.ENGINES:
        rows = [line for line in lines if line.startswith(f"{engine} ")]
        for schedule in accuracy.SCHEDULES:
            assert sum(f" {schedule} " in row for row in rows) == 2
        assert sum(" bursts " in row for row in rows) == 1
        for arrivals in accuracy.ARRIVALS:
            assert sum(f" {arrivals} " in row for row in rows) == len(accuracy.ARRIVAL_RATES)
        assert f"Send delay, {engine}: " in done.stdout
    assert "of 36 percentiles are within 1 % and 20 µs of the truth" in done.stdout


def test_what_is_as_good_as_the_truth():
    assert READING.is_true(50) and not READING.is_true(99)
    assert not replace(READING, reported={50: 969_999}).is_true(50)


def test_when_a_send_delay_agrees_with_the_observer():
    for delay, agrees in ((1_120_000, True), (1_120_001, False), (880_000, True), (879_999, False)):
        assert replace(READING, delay={50: delay}).delay_agrees(50) is agrees


def test_requests_that_the_log_does_not_hold_are_no_basis(monkeypatch):
    monkeypatch.setattr(accuracy, "LOG_LIMIT", 100)
    with pytest.raises(accuracy.Failure, match="use a shorter --duration"):
        accuracy.read("none", 1, place(read_topology()), "epoll", 1_000)


def test_a_server_that_is_not_built_is_named(tmp_path):
    done = run_echobench("accuracy", ECHOBENCH_BUILD=str(tmp_path))
    assert done.returncode == 1 and "echo-scheduled-server: not built" in done.stderr
