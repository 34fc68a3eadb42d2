"""`export`: what other tools get of a result, and what they do not."""

import csv
import json
import re

import pytest
from conftest import SMALL, run_echobench


EXPERIMENT = {**SMALL, "variants": ["thread-pool", "epoll"], "controls": ["epoll"], "restarts": 4, "loads": [
    {"load": "closed-loop", "connections": [100], "duration": "1s"},
    {"load": "equal-load", "connections": [100], "rates": ["50%"]}]}


@pytest.fixture
def result(measure):
    """Of two models under two loads, one of which outran its client."""
    return measure("run", EXPERIMENT, FAKE_STRAIGHT="1")


def exported(result, form, *more):
    done = run_echobench("export", result, "--as", form, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bencher_gets_benchmarks_with_measures_and_bounds(result):
    benchmarks = json.loads(exported(result, "bmf"))
    load, = {name.split("/", 1)[1] for name in benchmarks if "equal-load" in name}
    assert re.fullmatch(r"equal-load/[1-9]\d+/c100/64B/frame", load), "the rate that it was, not 50%"
    cost = benchmarks[f"thread-pool/{load}"]["cpu-per-request"]
    assert cost["lower_value"] < cost["value"] < cost["upper_value"]
    ratio = benchmarks[f"thread-pool/{load}"]["cpu-per-request-to-epoll"]["value"]
    assert 2.2 < ratio < 2.8
    assert benchmarks["thread-pool/closed-loop/c100/64B/frame"]["throughput"]["value"] > 0


def test_what_is_not_valid_is_not_exported(result, measure):
    biased = json.loads(exported(measure("biased", EXPERIMENT), "bmf"))
    assert "throughput" not in biased["thread-pool/closed-loop/c100/64B/frame"], "a slow-down does not show in it"
    benchmarks = json.loads(exported(result, "bmf"))
    assert "epoll/closed-loop/c100/64B/frame" not in benchmarks, "its client was the bottleneck"
    assert not any("+1us" in name for name in benchmarks), "a control is made slower on purpose"


def test_a_run_that_was_not_finished_is_called_that_everywhere(result):
    document = json.loads((result / "result.json").read_text())
    (result / "result.json").write_text(json.dumps({**document, "complete": False}))
    assert run_echobench("report", result, "--no-page").stdout.startswith("This run was not finished: ")
    assert "This run was not finished: " in run_echobench("export", result, "--as", "bmf").stderr


def test_github_gets_what_is_better_when_it_is_less(result):
    entries = json.loads(exported(result, "github"))
    assert {"name", "unit", "value"} <= entries[0].keys() and any("range" in entry for entry in entries)
    assert not any("throughput" in entry["name"] for entry in entries)


def test_otava_gets_a_row_for_each_result_and_a_column_for_each_figure(result, tmp_path):
    history = tmp_path / "history" / "all.csv"
    for _ in range(2):
        assert "figures of" in exported(result, "otava", "--append", history)
    rows = list(csv.DictReader(history.open()))
    assert len(rows) == 2 and rows[0] == rows[1] and rows[0]["commit"] == "fake" and rows[0]["time"].endswith("+00:00")
    assert all(float(value) > 0 for name, value in rows[0].items() if name not in ("time", "commit", "host"))
    test = json.loads(history.with_suffix(".otava.yaml").read_text())["tests"]["all"]
    assert (test["type"], test["file"], test["time_column"]) == ("csv", str(history), "time")
    assert test["attributes"] == ["commit", "host"]
    assert set(test["metrics"]) == rows[0].keys() - {"time", "commit", "host"}
    rising = {name.rsplit(" ", 1)[1] for name, metric in test["metrics"].items() if metric["direction"] == 1}
    assert rising == {"throughput"}
    history.write_text("time,commit,old\n2026-01-01T00:00:00+00:00,abc,3\n")
    exported(result, "otava", "--append", history)
    old, new = csv.DictReader(history.open())
    assert (old["old"], new["old"]) == ("3", "nan")
    assert old["thread-pool/closed-loop/c100/64B/frame throughput"] == "nan"


def test_a_history_is_of_one_host(result, tmp_path):
    history = tmp_path / "all.csv"
    exported(result, "otava", "--append", history)
    theirs = history.read_text().replace(next(csv.DictReader(history.open()))["host"], "another processor")
    history.write_text(theirs)
    done = run_echobench("export", result, "--as", "otava", "--append", history)
    assert done.returncode == 2 and "its rows are of another processor" in done.stderr and history.read_text() == theirs


@pytest.mark.parametrize("options, says", [
    (("--as", "otava"), "--append FILE.csv"), (("--as", "bmf", "--append", "x.csv"), "--append is for")])
def test_options_that_do_not_fit_are_refused(result, options, says):
    done = run_echobench("export", result, *options)
    assert done.returncode == 2 and says in done.stderr


def test_a_file_that_is_no_history_is_left_alone(result, tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    done = run_echobench("export", result, "--as", "otava", "--append", file)
    assert done.returncode == 2 and "not a history" in done.stderr and file.read_text() == "a,b\n1,2\n"
