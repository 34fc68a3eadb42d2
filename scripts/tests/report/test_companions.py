"""Counts, primitives and the gate's power in the report of the result in the same folder; and a report as a result."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import SMALL, result_of, run_echobench, run_experiment

from echobench_lib import result
from echobench_lib.analyse import summary
from echobench_lib.gate import power
from echobench_lib.micro import questions

QUESTIONS = [{"file": "switch_bench", "topics": ["Switch"], "question": "What does handing over cost?",
              "answer": "A futex takes {time:BM_Switch_Futex/cpus:2}."},
             {"file": "spawn_bench", "topics": ["Spawn", "SpawnMemory"], "question": "What does a task hold?"},
             {"file": "codec_bench", "topics": ["Codec", "Session"], "floor": "Codec",
              "question": "What does the codec cost?",
              "answer": "{time:BM_Session_Echo/payload:64}"}]


def figure(value):
    return {"per_request": value, "values": [value], "scatter": 0, "exact": value != 700}


COUNTS = {"schema_version": 1, "kind": "count",
          "tool": {"valgrind": "3", "strace": "6", "server": "echo-server", "sha256": "0"}, "host": {},
          "config": {"framing": "frame", "payload_bytes": 64, "repeats": 1}, "argv": [], "started_at": "2026-11-28",
          "unavailable": {}, "unserved": [], "cells": [
              {"variant": variant, "connections": connections, "rounds": [1, 2], "system_calls": {}, "functions": [],
               "inexact": "", "refused": {}, "runs": [],
               "figures": {"instructions": figure(count), "system_calls": figure(2), "allocations": figure(0)}}
              for variant, count in (("epoll", 366), ("thread-pool", 700)) for connections in (1, 64)]}
POWER = {"schema_version": power.SCHEMA_VERSION, "kind": "power", "variant": "epoll", "connections": 100,
         "load": "saturation", "budget_s": 60, "margin": 0.01, "cost_ns": 6000,
         "asked": {"same-1": 0, "base+600ns": 0.1}, "tries": [
             {"side": side, "slow_down": slow, "verdict": "unchanged", "figure": "1",
              "flagged": dict.fromkeys(power.RULES, slow > 0)}
             for side, slow in (("same-1", 0), ("base+600ns", 0.1)) for _ in range(4)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a report that tests may copy, and not change."""
    base = tmp_path_factory.mktemp("companions")
    with pytest.MonkeyPatch.context() as patch:
        (base / "questions.json").write_text(json.dumps(QUESTIONS))
        patch.setattr(questions, "FILE", base / "questions.json")
        loads = [{"load": "closed-loop", "connections": [100], "duration": "1s"}]
        made, _ = run_experiment(base, {**SMALL, "loads": loads}, "--no-report")
        (made / "count.json").write_text(json.dumps(COUNTS))
        (made / "power.json").write_text(json.dumps(POWER))
        done = run_echobench("micro", "--out", made, "--no-report", "--rounds", "2",
                             FAKE_PROCESSES=str(base / "processes"))
        assert done.returncode == 0, done.stderr
        done = run_echobench("report", made)
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(autouse=True)
def asked(monkeypatch, write):
    monkeypatch.setattr(questions, "FILE", write(QUESTIONS, "questions.json"))


def test_each_has_its_part_and_its_chart(folder):
    text = (folder / "index.html").read_text()
    for heading, chart, shown in (("Counts", "counts", "thread-pool"), ("Primitives", "primitives", "Futex/cpus:2"),
                                  ("What the gate finds", "power", "threshold 25 %")):
        assert f">{heading}</h2>" in text and f'id="chart-{chart}"' in text
        svg = (folder / "charts" / f"{chart}.svg").read_text()
        ElementTree.fromstring(svg)
        assert shown in svg
    assert "~ 700" in (folder / "charts" / "counts.svg").read_text(), "what is not exact is marked"
    assert "CoroutineResume" not in (folder / "charts" / "primitives.svg").read_text(), "no answer names it"


def test_verify_recomputes_them_too(folder, tmp_path):
    assert run_echobench("verify", folder).returncode == 0
    shutil.copytree(folder, tmp_path / "copy")
    page = tmp_path / "copy" / "index.html"
    page.write_text(page.read_text().replace('"count":366', '"count":367', 1))
    done = run_echobench("verify", page)
    assert done.returncode == 1 and "367" in done.stdout


def test_a_report_is_a_result(folder, tmp_path):
    """All that it holds can be had from it again: it may be kept alone."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(folder / "index.html", alone)
    done = run_echobench("compare", folder, alone)
    assert done.returncode == 0 and "thread-pool" in done.stdout
    exported = [run_echobench("export", source, "--as", "bmf") for source in (folder, alone)]
    assert exported[0].returncode == 0 and exported[0].stdout == exported[1].stdout
    assert "it is the same program" in run_echobench("count", folder, alone).stdout
    done = run_echobench("micro", "--from", folder, "--against", alone)
    assert "8 of 8 rows (100.0 %) agree" in done.stdout, done.stdout + done.stderr
    done = run_echobench("report", alone)
    assert done.returncode == 0, done.stderr
    assert (alone / "index.html").read_text() == (folder / "index.html").read_text()


def test_a_lean_report_has_the_same_figures_but_for_a_percent_of_latency(folder, tmp_path):
    done = run_echobench("report", folder, "--lean", "--out", tmp_path / "lean")
    assert done.returncode == 0, done.stderr
    assert run_echobench("verify", tmp_path / "lean").returncode == 0
    whole, lean = (summary.summarise(result.load(source / "index.html"), "epoll")
                   for source in (folder, tmp_path / "lean"))
    for one, other in ((one, other) for a, b in zip(whole, lean) for one, other in zip(a.rows, b.rows)):
        assert one.cost_ns == pytest.approx(other.cost_ns, rel=1e-4) and one.throughput == other.throughput
        assert one.latency_ns.keys() == other.latency_ns.keys()
        assert all(other.latency_ns[name] == pytest.approx(value, rel=0.01) for name, value in one.latency_ns.items())
    again = run_echobench("report", tmp_path / "lean", "--lean", "--out", tmp_path / "again")
    assert again.returncode == 0
    assert (tmp_path / "again" / "index.html").read_text() == (tmp_path / "lean" / "index.html").read_text()
    some = next(text for cell in result.load(folder).cells for text in cell.histograms.values())
    kinds = ("response", "service", "send_delay", "connect")
    cells = [{"load": load, "histograms": dict.fromkeys(kinds, some)} for load in ("equal-load", "open-loop", "crr")]
    lean = result.lean(result_of({"cells": [*cells, {"load": "idle"}]}))
    assert [list(cell.histograms) for cell in lean.cells] == [
        ["response"], ["response", "service"], ["response", "service"], []]
    done = run_echobench("report", tmp_path / "lean" / "index.html", "--lean")
    assert done.returncode == 2 and "only copy" in done.stderr


@pytest.mark.parametrize("text, says", [('{"kind": "other"}', "not a result of `echobench power`"), ("{", "not JSON"),
                                        ('{"kind": "power", "schema_version": 1}',
                                         "schema version 1, written by an older echobench; this one reads version 2")])
def test_a_companion_that_cannot_be_read_is_named(folder, tmp_path, text, says):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "power.json").write_text(text)
    done = run_echobench("report", tmp_path / "copy")
    assert done.returncode == 2 and f"power.json: {says}" in done.stderr


def test_a_page_that_holds_no_such_thing_is_refused(folder, tmp_path):
    page = tmp_path / "index.html"
    page.write_text(re.sub(r'<script type="application/gzip" id="result-count".*?</script>', "",
                           (folder / "index.html").read_text()))
    done = run_echobench("count", page, folder)
    assert done.returncode == 2 and "holds no result" in done.stderr
