"""Restarts are added until intervals are as narrow as asked."""

import math

import numpy
import pytest
from conftest import SMALL, published_scatter

from echobench_lib import result
from echobench_lib.analyse.statistics import over_restarts
from echobench_lib.run import until
from echobench_lib.run.until import CONFIRMED_BY, LOOKS, Until, half_widths

COSTS = {**SMALL, "controls": ["epoll"], "loads": [{"load": "equal-load", "connections": [10, 1000], "rates": [1000]}]}


class Experiment:
    """As much of one as Until asks for: two blocks with costs and one without."""

    class Block:
        def __init__(self, name, load, restarts=3):
            self.name, self.load, self.restarts = name, load, restarts

        def __repr__(self):
            return self.name

    def __init__(self):
        self.blocks = (self.Block("a", "equal-load"), self.Block("b", "saturation"),
                       self.Block("memory", "closed-loop"))

    def order(self, restarts):
        return [(restart, block) for block, of in restarts.items() for restart in of]


def blocks_of(stored):
    """The experiment of a result, as far as half_widths asks."""
    experiment = Experiment()
    experiment.reference = "epoll"
    experiment.blocks = [Experiment.Block(name, None) for name in {cell.block for cell in stored.cells}]
    return experiment


def plan(monkeypatch, widths, budget_s=1000, asked=0.02, takes_s=1.0):
    """An Until whose looks see `widths` in turn: {name of a block: width}."""
    experiment, seen = Experiment(), iter(widths)
    monkeypatch.setattr(until, "half_widths", lambda *_: {
        block: (width, "thread-pool") for name, width in next(seen).items()
        for block in experiment.blocks if block.name == name})
    planned = Until(experiment, asked, budget_s, lambda pairs: takes_s * len(pairs))
    first = {"a": 5, "b": 5, "memory": 3}
    assert counts(planned.first()) == first, "where there are no costs the experiment's restarts"
    return planned


def counts(pairs):
    return {name: sum(block.name == name for _, block in pairs) for name in sorted({block.name for _, block in pairs})}


def test_restarts_are_added_where_intervals_are_wide_and_only_there(monkeypatch):
    planned = plan(monkeypatch,
                   [{"a": 0.05, "b": 0.01}, {"a": 0.03, "b": 0.01}, {"a": 0.02, "b": 0.01}, {"a": 0.02, "b": 0.01}])

    def more():
        return [(restart, block.name) for restart, block in planned.more({})]
    assert more() == [(5, "a"), (6, "a"), (5, "b"), (6, "b")]
    assert more() == [(7, "a"), (8, "a"), (9, "a")], "b was confirmed"
    assert more() == [(10, "a"), (11, "a")], "narrow once may be luck"
    assert planned.more({}) == []
    assert planned.record["stopped"] == "precise" and planned.record["reached"] == 0.02
    assert [look["half_width"] for look in planned.record["looks"]] == [0.05, 0.03, 0.02, 0.02]
    assert planned.record["looks"][-1]["restarts"] == {"a": 12, "b": 7, "memory": 3}
    assert planned.record["looks"][0]["block"] == "a"
    further = {"half_width": 0.01, "takes_s": 36}
    assert planned.record["further"] == further, "four times twelve restarts of a; b is as narrow already"


def test_what_is_wide_again_is_measured_until_the_next_look(monkeypatch):
    planned = plan(monkeypatch, [{"a": 0.02}, {"a": 0.021}, {"a": 0.02}, {"a": 0.02}])
    assert [counts(planned.more({})).get("a") for _ in range(4)] == [2, 3, 2, None]


def test_the_widest_comes_first_where_time_is_short(monkeypatch):
    planned = plan(monkeypatch, [{"a": 0.03, "b": 0.09}, {"a": 0.03, "b": 0.05}], budget_s=2.5)
    assert counts(planned.more({})) == {"b": 2}
    monkeypatch.setattr(planned, "_begun", planned._begun - 2)
    assert planned.more({}) == [] and planned.record["stopped"] == "budget" and planned.record["reached"] == 0.05
    further = {"half_width": 0.02, "takes_s": 7 + 37}
    assert planned.record["further"] == further, "a: 5 × (1.5² − 1), b: 7 × (2.5² − 1), rounded up"


def test_it_ends_after_the_last_look(monkeypatch):
    planned = plan(monkeypatch, [{"a": 0.5}] * len(LOOKS), budget_s=math.inf)
    while planned.more({}):
        pass
    assert planned.record["stopped"] == "restarts" and planned.record["looks"][-1]["restarts"]["a"] == LOOKS[-1]


def test_an_interval_of_one_restart_is_not_known(monkeypatch):
    planned = plan(monkeypatch, [{"a": math.inf}], budget_s=0)
    assert planned.more({}) == [] and planned.record["stopped"] == "budget"
    assert "reached" not in planned.record and "half_width" not in planned.record["looks"][0]


def test_where_no_cost_is_measured_there_is_nothing_to_wait_for(monkeypatch):
    planned = plan(monkeypatch, [{}])
    assert planned.more({}) == [] and planned.record["stopped"] == "precise" and "reached" not in planned.record


def test_a_run_until_it_is_precise(echobench, write, tmp_path):
    done = echobench("run", write(COSTS), "--until", "3%", "--budget", "30min", "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    stored = result.load(tmp_path / "r")
    assert stored.until.asked == 0.03 and stored.until.stopped == "precise" and stored.until.reached <= 0.03
    assert {cell.restart for cell in stored.cells} == set(range(7)), "not the experiment's three"
    widths = half_widths(stored, blocks_of(stored))
    block, (width, variant) = max(widths.items(), key=lambda item: item[1])
    assert stored.until.reached == pytest.approx(width)
    assert "± 3 % asked for, ± " in done.stdout and " would take " in done.stdout
    assert f" reached after 7 restarts (the widest: {variant} in {block.name}); ± " in done.stdout


def test_a_run_until_its_budget_is_spent(echobench, write, tmp_path):
    done = echobench("run", write({**COSTS, "until": "0.01%", "budget": "1s"}), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    until = result.load(tmp_path / "r").until
    assert until.stopped == "budget" and until.reached > 0.0001
    assert "reached after 5 restarts and all of the time (the widest: " in done.stdout
    assert "); ± 0.01 % would take" in done.stdout


def test_the_widest_is_of_all_rows_that_are_compared_the_control_too(measure):
    document = result.load(measure("costs", {**COSTS, "restarts": 5})).document
    for cell in document["cells"]:  # one that scatters more than the others
        for piece in cell["slices"]:
            piece["server_cpu_ns"] *= 1 + 0.1 * (cell["variant"] == "epoll+1us" and cell["restart"] % 2)
    stored = result.from_json(document)
    assert [variant for _, variant in half_widths(stored, blocks_of(stored)).values()] == ["epoll+1us"] * 2


def test_until_needs_to_know_how_long_it_may_take(echobench, write, tmp_path):
    done = echobench("run", write(COSTS), "--until", "3%", "--out", tmp_path / "r")
    assert done.returncode == 2 and "needs to know how long it may take: --budget 10min" in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("options, message", [
    (("--until", "3"), "'3' is not a percentage"), (("--budget", "ten"), "'ten' is not a time")])
def test_what_is_no_percentage_and_what_is_no_time(echobench, write, options, message):
    done = echobench("run", write(COSTS), *options)
    assert done.returncode == 2 and message in done.stderr


@pytest.mark.parametrize("asked", [0.01, 0.02, 0.04])
def test_intervals_that_are_looked_at_keep_their_coverage(asked):
    random, runs, held, restarts = numpy.random.default_rng(5), 1500, 0, []
    for _ in range(runs):
        drawn = published_scatter(random, LOOKS[-1] + CONFIRMED_BY)
        for look in LOOKS:
            interval = over_restarts(drawn[:look])
            if interval.half_width <= asked:
                interval = over_restarts(drawn[:look + CONFIRMED_BY])
                if interval.half_width <= asked:
                    break
        held += interval.low <= 0 <= interval.high
        restarts.append(look)
    assert 0.915 <= held / runs <= 0.97, f"after {numpy.mean(restarts):.0f} restarts"
