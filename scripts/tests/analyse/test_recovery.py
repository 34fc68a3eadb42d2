"""How much of a known slow-down a figure shows, and what follows for ranking it."""

import pytest
from conftest import cell_of, result_of

from echobench_lib.report import tables
from echobench_lib.analyse import recovery, summary
from echobench_lib.analyse.recovery import Recovery, burnt_ns_per_request, deciding
from echobench_lib.analyse.statistics import Interval


def interval(low, high):
    return Interval((low + high) / 2, low, high, 5, "restart")


def of(low, high, base="epoll", known=1000, equivalent=True):
    return Recovery(base, f"{base}+1us", known, interval(low * known, high * known), interval(low, high), -0.07,
                    equivalent)


@pytest.mark.parametrize("low, high, outcome, doubt", [
    (0.9, 1.1, "passed", ""), (0.8, 1.25, "passed", ""), (0.79, 1.1, "inconclusive", ""),
    (0.9, 1.26, "inconclusive", ""), (0.5, 0.79, "biased", "control biased"),
    (1.26, 1.4, "biased", "control biased"), (0.1, 1.9, "inconclusive", ""),
    (-0.1, 2.1, "inconclusive", "control inconclusive"),
    (-3, 0.7, "biased", "control biased")])
def test_a_figure_that_must_be_equivalent_shows_what_was_added(low, high, outcome, doubt):
    assert (of(low, high).outcome, of(low, high).doubt) == (outcome, doubt)


@pytest.mark.parametrize("low, high, doubt", [
    (0.5, 0.6, ""), (0.01, 0.9, ""), (1.5, 1.6, ""), (-0.01, 0.9, "control inconclusive"),
    (-0.5, -0.1, "control inconclusive")])
def test_at_equal_load_the_control_only_has_to_cost_more(low, high, doubt):
    recovered = of(low, high, equivalent=False)
    assert recovered.doubt == doubt and recovered.outcome == ("inconclusive" if doubt else "passed")


@pytest.mark.parametrize("equivalent", [True, False])
def test_one_restart_distinguishes_nothing(equivalent):
    for ratio in (Interval(1, None, None, 1), Interval(1, 0.99, 1.01, 5, "round")):
        one = Recovery("epoll", "epoll+1us", 1000, ratio.scaled(1000), ratio, None, equivalent)
        assert one.doubt == "control inconclusive"


def test_a_recovery_that_is_not_shown_to_be_whole_widens_the_ratios():
    ratio = Interval(1.93, 1.79, 2.08, 8, "restart")
    widened = of(0.27, 1.21).widened(ratio)  # 0.74 ± 0.47
    assert widened.estimate == 1.93
    assert 1.93 - widened.low == pytest.approx((0.14**2 + (0.93 * 0.47)**2)**0.5)
    assert widened.high - 1.93 == pytest.approx((0.15**2 + (0.93 * 0.47)**2)**0.5)
    assert of(0.95, 1.05).widened(ratio) == ratio and of(0.27, 1.21, equivalent=False).widened(ratio) == ratio
    assert of(0.01, 20).widened(ratio).low == 0, "a cost is not negative"


def test_the_narrowest_recovery_of_the_reference_decides():
    candidates = [of(0.2, 1.9, known=200), of(0.95, 1.05, known=2000), of(0.1, 0.2, base="thread-pool")]
    assert deciding(candidates, "epoll").known_ns == 2000
    assert deciding(candidates, "thread-pool").doubt == "control biased"
    assert deciding(candidates, "fiber") is None


def stored(variant, cpu_us, burnt_ns=0, restart=0, control=None, **more):
    """A cell as a file has it."""
    return {"restart": restart, "variant": variant, "load": "equal-load",
            "server": {"stopped": {"burnt_ns": burnt_ns * 500, "requests": 500}},
            "slices": [{"server_cpu_ns": round(100 * 1000 * us)} for us in cpu_us],
            **({"control": {"of": control, "burn_ns": 1000}} if control else {}), **more}


def cell(*arguments, **more):
    return cell_of(stored(*arguments, **more))


def test_recovery_is_the_rise_divided_by_what_was_really_burnt():
    cells = [cell("epoll", [8, 9, 10]), cell("epoll+1us", [9.05, 10.1, 11.0], 1050, control="epoll"),
             cell("epoll", [7, 7, 7], restart=1), cell("epoll+1us", [8, 8, 8], 1000, restart=1, control="epoll")]
    measured, = recovery.recoveries(cells, summary.slice_cpu)
    assert measured.known_ns == 1025
    assert measured.ratio.units == 2 and measured.ratio.unit == "restart"
    assert measured.ratio.estimate == pytest.approx((1.05 / 1.05 + 1.0) / 2)
    assert measured.shown_ns.estimate == pytest.approx(1025)


def test_with_one_restart_the_interval_is_over_its_rounds():
    cells = [cell("epoll", [8, 9, 10]), cell("epoll+1us", [9, 10, 11.3], 1000, control="epoll")]
    measured, = recovery.recoveries(cells, summary.slice_cpu)
    assert (measured.ratio.unit, measured.ratio.units) == ("round", 3)


def test_what_both_burn_is_no_known_slow_down():
    cells = [cell("epoll", [16, 16], 8000), cell("epoll+1us", [17, 17], 9000, control="epoll")]
    measured, = recovery.recoveries(cells, summary.slice_cpu)
    assert measured.known_ns == 1000 and measured.ratio.estimate == pytest.approx(1)


def test_a_control_that_says_nothing_of_its_burning_shows_nothing():
    control = stored("epoll+1us", [9, 9], control="epoll")
    cells = [cell("epoll", [8, 8]), cell_of(control)]
    assert recovery.recoveries(cells, summary.slice_cpu) == [], "it burnt no more than the other"
    del control["server"]["stopped"]["burnt_ns"]
    assert recovery.recoveries([cell("epoll", [8, 8]), cell_of(control)], summary.slice_cpu) == []
    assert burnt_ns_per_request(cell_of({"server": {"stopped": None}})) is None
    assert burnt_ns_per_request(cell_of({})) is None


def test_the_added_work_that_was_burnt_is_subtracted():
    plain = stored("epoll", [18, 18], 8100, load="saturation", workload={"added_work_ns": 8000})
    control = cell("epoll+1us", [19, 19], 9000, control="epoll", workload={"added_work_ns": 8000})
    assert summary.cost_of(cell_of(plain)) == pytest.approx(9900)
    assert summary.cost_of(control) == pytest.approx(19_000 - 8000), "its own burn is part of its cost"
    plain["server"]["stopped"] = None
    assert summary.cost_of(cell_of(plain)) is None


def test_wake_ups_that_the_control_saves_are_in_its_recovery():
    def woken(switches, of):
        of["server"]["voluntary_switches"] = switches
        return cell_of(of)
    cells = [of for restart, saved in enumerate((10, 20, 30)) for of in (
        woken(150, stored("epoll", [8, 8, 8], restart=restart)),
        woken(150 - saved, stored("epoll+1us", [9, 9, 9], 1000, restart, control="epoll")))]
    measured, = recovery.recoveries(cells, summary.slice_cpu)
    assert measured.wakeups == pytest.approx(-20 / 300) and not measured.equivalent


@pytest.mark.parametrize("load, verdict, server, client, said", [
    ("saturation", "valid", 0.96, 0.8, True), ("saturation", "valid", 0.94, 0.8, False),
    ("saturation", "valid", 0.96, 0.9, False),
    ("saturation", "client-bound", 0.99, 0.5, False), ("equal-load", "valid", 0.5, 0.99, True),
    ("equal-load", "client-bound", 0.5, 0.5, False), ("closed-loop", "client-bound", 0.5, 1, True),
    ("closed-loop", "starved", 1, 0.5, False),
    ("crr", "errors", 1, 0.5, False), ("open-loop", "client-bound", 0.5, 0.5, False),
    ("equal-load", "overloaded", 0.5, 0.5, False),
    ("open-loop", "overloaded", 0.5, 0.5, True)])
def test_which_cells_count(load, verdict, server, client, said):
    cells = [cell_of({"load": load, "verdict": verdict, "server": {"busy": server}, "client_busy": client})]
    assert summary.comparable(cells) == (cells if said else [])


def cells_of(verdicts, load="equal-load", **busy):
    """{variant: a verdict for each restart} as cells."""
    return [cell_of({"load": load, "verdict": verdict, "variant": variant, "restart": restart, "client_busy": 0.5,
                     "server": {"busy": busy.get(variant, [0.99] * len(of))[restart]}})
            for variant, of in verdicts.items() for restart, verdict in enumerate(of)]


def kept_of(cells):
    kept = {}
    for cell in summary.comparable(cells):
        kept.setdefault(cell.variant, []).append(cell.restart)
    return kept


def test_all_rows_of_a_block_are_over_the_same_restarts():
    cells = cells_of({"epoll": ["valid"] * 4, "poll": ["valid", "client-bound", "valid", "valid"],
                      "fiber": ["valid", "valid", "overloaded", "valid"]})
    assert kept_of(cells) == {"epoll": [0, 3], "poll": [0, 3], "fiber": [0, 3]}
    del cells[1]  # a restart that a variant has not
    assert kept_of(cells) == {"epoll": [0, 3], "poll": [0, 3], "fiber": [0, 3]}


def test_a_variant_that_is_seldom_sound_takes_no_restart_from_the_others():
    cells = cells_of({"epoll": ["valid"] * 4, "poll": ["valid", "overloaded", "overloaded", "overloaded"]})
    assert kept_of(cells) == {"epoll": [0, 1, 2, 3]}


def test_no_restart_is_lost_by_a_hair_of_saturation():
    verdicts = {"epoll": ["valid"] * 3, "poll": ["valid"] * 3}
    by_a_hair, beyond = ([0.96, 0.949, last] for last in (0.97, 0.94))
    assert kept_of(cells_of(verdicts, "saturation", poll=by_a_hair)) == {"epoll": [0, 1, 2], "poll": [0, 1, 2]}
    assert kept_of(cells_of(verdicts, "saturation", poll=beyond)) == {"epoll": [0, 1, 2]}


def test_a_control_that_does_not_count_shows_nothing_and_nothing_is_ranked():
    def driven(variant, cpu_us, restart, busy, **more):
        burnt_ns = 500_000 if "control" in more else 0
        return stored(variant, cpu_us, 1000, restart, load="saturation", client_busy=0.5,
                      server={"busy": busy, "stopped": {"burnt_ns": burnt_ns, "requests": 500}}, **more)

    def group(busy):
        cells = [of for restart in range(3) for of in (
            driven("epoll", [8, 8, 8], restart, 0.99), driven("poll", [12, 12, 12.1], restart, 0.99),
            driven("epoll+1us", [9, 9, 9], restart, busy, control="epoll"))]
        [only] = summary.summarise(result_of({"cells": cells}), "epoll")
        return only

    assert group(0.99).doubt(summary.COST) == "" and group(0.99).row("poll").rank.text == "2"
    unsaturated = group(0.93)
    assert unsaturated.doubt(summary.COST) == "control inconclusive" and unsaturated.row("poll").rank is None
    assert tables.remarks(unsaturated)[-1] == "recovery of CPU per request not known: epoll+1us was unsaturated"
