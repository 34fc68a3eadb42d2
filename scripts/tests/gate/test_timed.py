"""The timed tier of `gate`, with programs that give figures made up for them."""

import json

import pytest
from conftest import FAKES, run_echobench

from echobench_lib.gate import builds, exact
from echobench_lib.gate.builds import Build

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
    assert [(cell["load"], cell["found"]) for cell in cells] == [("half", "unchanged"), ("saturation", "unchanged")]
    assert {"CPU per request", "p50", "p99"} <= cells[0]["figures"].keys()
    assert [path.name for path in (folder / "epoll-100").iterdir()] == ["round-1"]


def test_what_costs_more_is_a_regression_once_a_second_round_confirms_it(gate):
    done, cells, folder = gate(FAKE_SLOWER="head=1.15")
    assert done.returncode == 1, done.stdout + done.stderr
    assert [cell["found"] for cell in cells] == ["regressed"] * 2
    assert "epoll, 100 connections, half: regressed: CPU per request 1.1" in done.stdout and "again in an independent second round" in done.stdout
    assert sorted(path.name for path in (folder / "epoll-100").iterdir()) == ["round-1", "round-2"]


def test_what_costs_less_is_an_improvement(gate):
    done, cells, _ = gate(FAKE_SLOWER="head=0.85")
    assert done.returncode == 0 and [cell["found"] for cell in cells] == ["improved"] * 2, done.stdout


def test_a_regression_within_the_margin_is_none(gate):
    done, cells, _ = gate("--margin", "30%", "epoll", FAKE_SLOWER="head=1.15")
    assert done.returncode == 0 and [cell["found"] for cell in cells] == ["unchanged"] * 2, done.stdout


@pytest.mark.parametrize("what, status, found, says", [
    ({"FAKE_WRONG": "head"}, 2, "broken", ""), ({"FAKE_SILENT": "head"}, 2, "broken", ""),
    ({"FAKE_WRONG": "base"}, 3, "not measurable", "base: ")])
def test_a_side_that_fails_is_told_by_name(gate, what, status, found, says):
    done, cells, folder = gate(**what)
    assert done.returncode == status, done.stdout + done.stderr
    assert {cell["found"] for cell in cells} == {found}
    assert all(says in cell["why"][0] for cell in cells)
    rounds = 1 if found == "broken" else 2  # what could not be measured may be, a little later
    assert len(list((folder / "epoll-100").iterdir())) == rounds


def test_a_variant_of_neither_revision_is_a_mistake(gate):
    done, _, _ = gate("nonsense")
    assert done.returncode == 2 and "no variant 'nonsense' in either revision" in done.stderr
