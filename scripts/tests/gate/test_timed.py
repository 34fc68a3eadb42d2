"""The timed tier of `gate`, with programs that give figures made up for them."""

import json

import pytest
from conftest import FAKES, result_of, run_echobench

from echobench_lib.gate import builds, exact, timed
from echobench_lib.gate.builds import Build
from echobench_lib.gate.judgement import BROKE, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED

BASE, HEAD = (Build(name, commit * 40, FAKES) for name, commit in (("main", "a"), ("HEAD", "b")))


@pytest.fixture
def gate(monkeypatch, tmp_path):
    def gate(*options, **environment):
        monkeypatch.setattr(builds, "build", lambda names, console, **_: [BASE, HEAD])
        monkeypatch.setattr(builds, "load_generator", lambda sides, console: sides[1])
        monkeypatch.setattr(exact, "judge", lambda *_: [])
        done = run_echobench("gate", "--base", "main", "--timed", "100", "--budget", "16", "--out", tmp_path / "out",
                             *(options or ["--margin", "5%", "epoll"]), **environment)
        stored = tmp_path / "out" / "gate.json"
        return done, json.loads(stored.read_text())["cells"] if stored.exists() else [], tmp_path / "out" / "timed"

    return gate


def test_what_costs_the_same_is_unchanged_after_one_round(gate):
    done, cells, folder = gate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(cell["load"], cell["verdict"]) for cell in cells] == [
        ("equal-load", "unchanged"), ("saturation", "unchanged")]
    assert {"CPU per request", "p50", "p99"} <= cells[0]["figures"].keys()
    assert [path.name for path in (folder / "epoll-100").iterdir()] == ["round-1"]


def test_what_costs_more_is_a_regression_once_a_second_round_confirms_it(gate):
    done, cells, folder = gate(FAKE_SLOWER="head=1.15")
    assert done.returncode == 1, done.stdout + done.stderr
    assert [cell["verdict"] for cell in cells] == ["regressed"] * 2
    assert "epoll, 100 connections, equal-load: regressed: CPU per request 1.1" in done.stdout
    assert "again in an independent second round" in done.stdout
    assert sorted(path.name for path in (folder / "epoll-100").iterdir()) == ["round-1", "round-2"]


def test_what_costs_less_is_an_improvement(gate):
    done, cells, _ = gate(FAKE_SLOWER="head=0.85")
    assert done.returncode == 0 and [cell["verdict"] for cell in cells] == ["improved"] * 2, done.stdout


def test_a_regression_within_the_margin_is_none(gate):
    done, cells, _ = gate("--margin", "30%", "epoll", FAKE_SLOWER="head=1.15")
    assert done.returncode == 0 and [cell["verdict"] for cell in cells] == ["unchanged"] * 2, done.stdout


@pytest.mark.parametrize("what, status, verdict, says", [
    ({"FAKE_WRONG": "head"}, 2, "broken", ""), ({"FAKE_SILENT": "head"}, 2, "broken", ""),
    ({"FAKE_WRONG": "base"}, 3, "not measurable", "base: ")])
def test_a_side_that_fails_is_named(gate, what, status, verdict, says):
    done, cells, folder = gate(**what)
    assert done.returncode == status, done.stdout + done.stderr
    assert {cell["verdict"] for cell in cells} == {verdict}
    assert all(says in cell["why"][0] for cell in cells)
    rounds = 1 if verdict == "broken" else 2  # what could not be measured may be, a little later
    assert len(list((folder / "epoll-100").iterdir())) == rounds


def result(ratio, stolen=0, restarts=4):
    """Of a round at saturation in which the head costs `ratio` times the base: the part of it that `read` uses."""
    def piece(index, cost):
        return {"index": index, "requests_total": 1000, "requests": 1000, "elapsed_ns": 10_000_000,
                "server_cpu_ns": 1000 * (cost + 8000)}
    costs = {"base": 6000, timed.CONTROL: 7000, "head": 6000 * ratio}
    return {"runs": [], "cells": [
        {"variant": variant, "load": "saturation", "block": "saturation", "restart": restart, "client_busy": 0.5,
         "system": {"steal_ns": stolen}, "workload": {"added_work_ns": 8000},
         **({"control": {"of": "base", "burn_ns": 1000}} if "+" in variant else {}),
         "server": {"busy": 0.99, "stopped": {"requests": 1, "burnt_ns": 8000 + (1000 if "+" in variant else 0)}},
         "slices": [piece(index, cost + restart + index) for index in range(8)]}
        for variant, cost in costs.items() for restart in range(restarts)]}


CELL = timed.Cell("epoll", 100, "saturation")
MARGINS = {**timed.MARGINS, timed.CPU: 0.01}


def judged(*results):
    return timed.verdicts({CELL: [timed.read(result_of(document), [CELL]) for document in results]}, MARGINS)[0]


def test_a_cell_that_was_refused_in_the_first_round_goes_by_the_second():
    stolen, same, slower = result(1, stolen=30_000_000), result(1), result(1.2)
    assert judged(stolen).verdict == UNMEASURED and "steal" in judged(stolen).why[0]
    assert judged(stolen, same).verdict == UNCHANGED and judged(same, stolen).verdict == UNCHANGED
    assert judged(stolen, slower).verdict == UNDECIDED, "one round confirms nothing"
    assert judged(slower, slower).verdict == REGRESSED and judged(stolen, stolen).verdict == UNMEASURED


def test_a_server_that_was_not_saturated_is_reported_with_its_reason():
    idle = result(1)
    for cell in idle["cells"]:
        cell["server"]["busy"] = 0.5
    assert judged(idle).verdict == UNMEASURED
    assert judged(idle).why[0].startswith(
        "base is unsaturated: the server was not saturated: it was busy 50 % of the time")


def test_a_model_that_serves_one_client_is_refused_by_name(gate):
    done, [cell], _ = gate("iterative")
    assert done.returncode == 3 and cell["verdict"] == "not measurable"
    assert cell["why"] == ["it serves one client at a time, and the timed tier needs a model that serves any number"]


def test_a_failure_of_the_head_is_not_hidden_by_what_failed_before():
    stolen, died = result(1, stolen=30_000_000), result(1)
    for cell in died["cells"]:
        if cell["variant"] == "head":
            cell["checks"] = ["the server died during the run"]
    assert judged(stolen, died).verdict == BROKE
    errors = (f"{timed.CONTROL}: could not start", "head: could not start")
    failed = {**result(1), "runs": [{"block": "saturation/c100", "error": error} for error in errors]}
    assert judged(failed).verdict == BROKE and judged(failed).why == ["head: could not start"]


def test_nothing_is_unchanged_without_what_a_request_costs():
    silent = result(1)
    for cell in silent["cells"]:
        if cell["variant"] == "head":
            cell["server"]["stopped"] = None
    assert judged(silent).verdict == UNMEASURED
    assert judged(silent).why == ["CPU per request is missing on one of the sides"]


def test_memory_that_rises_from_below_the_noise_is_judged(monkeypatch):
    grown = {"base": 8_000, timed.CONTROL: 8_000, "head": 72_000}
    monkeypatch.setattr(timed.connections, "resident", lambda cell: grown[cell.variant])
    judgement = judged(result(1), result(1))
    assert judgement.verdict == REGRESSED and timed.MEMORY in judgement.why[0]
    grown["head"] = 9_000
    assert judged(result(1)).verdict == UNCHANGED and timed.MEMORY not in judged(result(1)).figures
