"""The tier of the primitives of `gate`, with a program that makes its figures up."""

import json

import pytest
from conftest import FAKES, run_echobench

from echobench_lib.gate import builds, exact
from echobench_lib.gate.builds import Build


@pytest.fixture
def gate(monkeypatch, tmp_path):
    """Of two builds in folders of these names."""
    for name in ("base", "head"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bench").symlink_to(FAKES / "bench")
    sides = [Build(name, letter * 40, tmp_path / name) for name, letter in (("base", "a"), ("head", "b"))]
    monkeypatch.setattr(builds, "build", lambda names, console, **_: sides)
    monkeypatch.setattr(exact, "judge", lambda *_: [])

    def gate(pattern, **environment):
        done = run_echobench("gate", "--base", "main", "--micro", pattern, "--out", tmp_path / "out",
                             FAKE_PROCESSES=str(tmp_path / "processes"), **environment)
        stored = tmp_path / "out" / "gate.json"
        cells = json.loads(stored.read_text())["cells"] if stored.exists() else []
        return done, {cell["variant"]: cell for cell in cells}
    return gate


def test_rows_that_take_as_long_are_unchanged(gate):
    done, cells = gate(".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cells) == 11 and {cell["verdict"] for cell in cells.values()} == {"unchanged"}
    assert "connections" not in cells["BM_Switch_Null"] and "primitives tier" in done.stdout


def test_a_row_that_takes_longer_is_a_regression_and_the_others_are_not(gate, tmp_path):
    done, cells = gate("Session|Codec", FAKE_HEAD="BM_Session_Echo/payload:64=1.3")
    assert done.returncode == 1, done.stdout + done.stderr
    assert {name for name, cell in cells.items() if cell["verdict"] != "unchanged"} == {"BM_Session_Echo/payload:64"}
    assert "time per operation 1.3" in cells["BM_Session_Echo/payload:64"]["why"][0]
    processes = [json.loads(line) for line in (tmp_path / "processes").read_text().splitlines()]
    assert [len(rows) for rows in processes] == [5] * 20 + [1] * 20, "the second round is for what the first left open"


def test_a_row_that_takes_less_time_is_an_improvement(gate):
    done, cells = gate("Futex", FAKE_HEAD="BM_Switch_Futex/cpus:1/process_time/real_time=0.7")
    assert done.returncode == 0 and cells["BM_Switch_Futex/cpus:1"]["verdict"] == "improved", done.stdout


@pytest.mark.parametrize("only, status, verdict", [("/head/", 2, "broken"), ("/base/", 3, "not measurable")])
def test_a_wrong_answer_is_reported_of_its_side(gate, only, status, verdict):
    done, cells = gate("Switch", FAKE_WRONG_ROW="BM_Switch_AsioPost", FAKE_ONLY=only)
    assert done.returncode == status, done.stdout
    assert cells["BM_Switch_AsioPost"]["verdict"] == verdict
    assert "wrong answer: made to be" in cells["BM_Switch_AsioPost"]["why"][0]
    assert cells["BM_Switch_Null"]["verdict"] == "unchanged"


def test_the_order_of_rows_in_a_build_does_not_matter(gate):
    done, cells = gate("Switch", FAKE_REVERSED="/base/")
    assert done.returncode == 0 and {cell["verdict"] for cell in cells.values()} == {"unchanged"}, done.stdout


def test_rows_of_a_process_that_ended_early_are_measured_one_by_one(gate, tmp_path):
    done, cells = gate("Switch", FAKE_BENCH_FAILS_AT="3")
    assert done.returncode == 0 and {cell["verdict"] for cell in cells.values()} == {"unchanged"}, done.stdout
    processes = [json.loads(line) for line in (tmp_path / "processes").read_text().splitlines()]
    assert [len(rows) for rows in processes[:10]] == [5, 5, 5, 5, 1, 1, 1, 1, 1, 5]


def test_a_base_without_micro_benchmarks_compares_nothing(gate, tmp_path):
    (tmp_path / "base" / "bench").unlink()
    done, cells = gate("Switch")
    assert done.returncode == 2 and {cell["verdict"] for cell in cells.values()} == {"new"}, done.stdout


def test_a_row_that_is_wrong_on_both_sides_is_the_heads_fault_whichever_came_first(gate):
    done, cells = gate("Switch", FAKE_WRONG_ROW="BM_Switch_AsioPost")
    assert done.returncode == 2 and cells["BM_Switch_AsioPost"]["verdict"] == "broken"
    assert "HEAD" not in cells["BM_Switch_AsioPost"]["why"][0] and "head (bbbb" in cells["BM_Switch_AsioPost"]["why"][0]


@pytest.mark.parametrize("side, status", [("base", 3), ("head", 2)])
def test_a_program_that_does_not_start_is_reported_of_its_side(gate, tmp_path, side, status):
    (tmp_path / side / "bench").unlink()
    (tmp_path / side / "bench").mkdir()
    (tmp_path / side / "bench" / "echo-microbench").write_text("#!/bin/sh\necho no >&2; exit 7\n")
    (tmp_path / side / "bench" / "echo-microbench").chmod(0o755)
    done, _ = gate("Switch")
    assert done.returncode == status and f"{side} (" in done.stderr and "no" in done.stderr


def test_what_is_in_neither_is_a_mistake(gate):
    done, _ = gate("Nonsense")
    assert done.returncode == 2
    assert "--micro Nonsense: no row of echo-microbench matches, in either revision" in done.stderr
