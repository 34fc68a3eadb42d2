from datetime import datetime, timedelta, timezone

import pytest
from conftest import result_of

from echobench_lib.analyse.drift import drift, sentence


def measured(costs_us, blocks=("a", "b"), load="equal-load", verdict="valid"):
    """Runs of the blocks in turn, half a minute apart, in which the reference cost as much; b costs twice as much as
    a."""
    begun = datetime(2026, 11, 30, tzinfo=timezone.utc)
    runs, cells = [], []
    for number, cost in enumerate(costs_us):
        block, restart = blocks[number % len(blocks)], number // len(blocks)
        started_at = (begun + timedelta(seconds=30 * number)).isoformat()
        runs.append({"block": block, "restart": restart, "started_at": started_at})
        cells.append({"block": block, "restart": restart, "load": load, "verdict": verdict,
                      "slices": [{"server_cpu_ns": round(100_000 * cost * (2 if block == "b" else 1))}]})
    return result_of({"runs": runs, "cells": list(reversed(cells))})


def test_drift_is_relative_to_the_same_load_in_the_order_of_time():
    points = drift(measured([10.0] * 10 + [12.0] * 10), "epoll")
    assert [point.minutes for point in points] == [number / 2 for number in range(20)]
    assert [round(point.deviation, 3) for point in points] == [-0.091] * 10 + [0.091] * 10, "the median lies between"
    assert {(point.block, point.restart) for point in points} == {
        (block, restart) for block in "ab" for restart in range(10)}


def test_one_run_is_not_drift_but_a_series_is():
    alone = drift(measured([10.0] * 7 + [15.0] + [10.0] * 8), "epoll")
    assert max(point.deviation for point in alone) == pytest.approx(0.5) and {point.smoothed for point in alone} == {0}
    assert sentence(alone, "epoll") == ""
    series = drift(measured([10.0] * 12 + [13.0] * 4), "epoll")
    assert sentence(series, "epoll").startswith(
        "the speed of the host drifted: a request cost epoll +0 to +30 % in the course of the run.")


def test_ten_percent_are_worth_a_line_and_less_is_not():
    assert sentence(drift(measured([10.0] * 12 + [10.9] * 6), "epoll"), "epoll") == ""
    assert "-11 to +0 %" in sentence(drift(measured([10.0] * 12 + [8.9] * 6), "epoll"), "epoll")


def test_too_few_runs_and_what_has_no_cost_show_no_drift():
    assert drift(measured([10.0] * 9), "epoll") == [] and sentence([], "epoll") == ""
    assert drift(measured([10.0] * 20, load="closed-loop"), "epoll") == [], "it follows the speed of the client"
    assert drift(measured([10.0] * 20, verdict="client-bound"), "epoll") == []
    assert drift(measured([10.0] * 20), "fiber") == []
