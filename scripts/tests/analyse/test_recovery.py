"""How much of a known slow-down a figure shows, and what follows for ranking it."""

import pytest

from echobench_lib.analyse import recovery, summary
from echobench_lib.analyse.recovery import Recovery, burnt_ns_per_request, doubt
from echobench_lib.analyse.statistics import Interval


def interval(low, high):
    return Interval((low + high) / 2, low, high, 5, "restart")


def of(low, high, base="epoll", known=1000):
    return Recovery(base, f"{base}+1us", known, interval(low * known, high * known), interval(low, high))


@pytest.mark.parametrize("low, high, outcome", [
    (0.9, 1.1, "passed"), (0.7, 1.2, "passed"), (0.75, 0.85, "passed"), (0.5, 0.79, "biased"), (1.26, 1.4, "biased"), (0.5, 1.31, "inconclusive"),
    (-3, 0.7, "biased"), (0.61, 1.39, "passed"), (1.2, 1.5, "passed")])
def test_only_a_control_that_passed_leaves_no_doubt(low, high, outcome):
    assert of(low, high).outcome == outcome
    assert of(low, high).doubt == ("" if outcome == "passed" else f"control {outcome}")


def test_without_an_interval_nothing_is_shown():
    assert Recovery("epoll", "epoll+1us", 1000, Interval(1000, None, None, 1), Interval(1, None, None, 1)).outcome == "inconclusive"


def test_the_narrowest_recovery_of_the_reference_decides():
    candidates = [of(0.2, 1.9, known=200), of(0.95, 1.05, known=2000), of(0.1, 0.2, base="thread-pool")]
    assert doubt(candidates, "epoll") == "" and doubt(candidates, "thread-pool") == "control biased" and doubt(candidates, "fiber") == "no control"


def cell(variant, cpu_us, burnt_ns=0, restart=0, control=None, **more):
    return {"block": "b", "restart": restart, "variant": variant, "load": "equal-load", "verdict": "valid", "workload": {},
            "server": {"stopped": {"burnt_ns": burnt_ns * 500, "requests": 500}},
            "slices": [{"index": index, "requests": 100, "requests_total": 100, "elapsed_ns": 1_000_000,
                        "server_cpu_ns": round(100 * 1000 * us)} for index, us in enumerate(cpu_us)],
            **({"control": {"of": control, "burn_ns": 1000}} if control else {}), **more}


def test_recovery_is_the_rise_divided_by_what_was_really_burnt():
    cells = [cell("epoll", [8, 9, 10]), cell("epoll+1us", [9.05, 10.1, 11.0], 1050, control="epoll"),
             cell("epoll", [7, 7, 7], restart=1), cell("epoll+1us", [8, 8, 8], 1000, restart=1, control="epoll")]
    measured, = recovery.recoveries(cells, summary.slice_cpu)
    assert measured.known_ns == 1025
    assert measured.ratio.units == 2 and measured.ratio.unit == "restart"
    assert measured.ratio.estimate == pytest.approx((1.05 / 1.05 + 1.0) / 2)
    assert measured.shown_ns.estimate == pytest.approx(1025)


def test_with_one_restart_the_interval_is_over_its_rounds():
    measured, = recovery.recoveries([cell("epoll", [8, 9, 10]), cell("epoll+1us", [9, 10, 11.3], 1000, control="epoll")], summary.slice_cpu)
    assert (measured.ratio.unit, measured.ratio.units) == ("round", 3)


def test_what_both_burn_is_no_known_slow_down():
    cells = [cell("epoll", [16, 16], 8000), cell("epoll+1us", [17, 17], 9000, control="epoll")]
    measured, = recovery.recoveries(cells, summary.slice_cpu)
    assert measured.known_ns == 1000 and measured.ratio.estimate == pytest.approx(1)


def test_a_control_that_says_nothing_of_its_burning_shows_nothing():
    control = cell("epoll+1us", [9, 9], control="epoll")
    assert recovery.recoveries([cell("epoll", [8, 8]), control], summary.slice_cpu) == [], "it burnt no more than the other"
    del control["server"]["stopped"]["burnt_ns"]
    assert recovery.recoveries([cell("epoll", [8, 8]), control], summary.slice_cpu) == []
    assert burnt_ns_per_request({"server": {"stopped": None}}) is None and burnt_ns_per_request({}) is None


def test_the_added_work_that_was_burnt_is_subtracted():
    plain = cell("epoll", [18, 18], 8100, load="saturation", workload={"added_work_ns": 8000})
    control = cell("epoll+1us", [19, 19], 9000, control="epoll", workload={"added_work_ns": 8000})
    assert summary.cost_of(plain) == pytest.approx(9900)
    assert summary.cost_of(control) == pytest.approx(19_000 - 8000), "its own burn is part of its cost"
    plain["server"]["stopped"] = None
    assert summary.cost_of(plain) is None


@pytest.mark.parametrize("load, verdict, server, client, said", [
    ("saturation", "valid", 0.96, 0.8, True), ("saturation", "valid", 0.94, 0.8, False), ("saturation", "valid", 0.96, 0.9, False),
    ("saturation", "client-bound", 0.99, 0.5, False), ("equal-load", "valid", 0.5, 0.99, True),
    ("equal-load", "client-bound", 0.5, 0.5, False), ("closed-loop", "client-bound", 0.5, 1, True), ("closed-loop", "starved", 1, 0.5, False),
    ("crr", "errors", 1, 0.5, False), ("open-loop", "client-bound", 0.5, 0.5, False), ("equal-load", "overloaded", 0.5, 0.5, False),
    ("open-loop", "overloaded", 0.5, 0.5, True)])
def test_which_cells_count(load, verdict, server, client, said):
    assert summary.is_sound({"load": load, "verdict": verdict, "server": {"busy": server}, "client_busy": client}) is said
