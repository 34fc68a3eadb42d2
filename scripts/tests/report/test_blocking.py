"""The price of blocking: one server at a time, with and without a background load."""

import json

import pytest
from conftest import SMALL, run_echobench

from echobench_lib import result
from echobench_lib.analyse import summary
from echobench_lib.report import charts, page, tables

WORK = {"op": "work:10ms", "connections": 2, "rate": 20}
BLOCKING = {**SMALL, "restarts": 2, "loads": [
    {"load": "open-loop", "connections": [50], "rates": [1000], "duration": "1s", **more} for more in (
        {"sliced": False}, {"background": WORK}, {"background": {**WORK, "offload": True}}, {"background": {"op": "sleep:10ms", "connections": 4}})]}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocking")
    (folder / "blocking.json").write_text(json.dumps(BLOCKING))
    done = run_echobench("run", folder / "blocking.json", "--out", folder / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    return result.load(folder / "r")


def test_each_server_is_measured_by_itself_with_its_background_load(document):
    assert all(len([cell for cell in document["cells"] if (cell["block"], cell["restart"]) == (run["block"], run["restart"])]) == 1
               for run in document["runs"])
    background = {cell["block"]: cell["background"] for cell in document["cells"] if "background" in cell}
    assert len(background) == 9 and all(load["requests"] == 20 for load in background.values())
    command = background["open-loop/1000/c50/64B/frame/background-work:10ms+c2+20+offload/epoll"]["command"]
    assert command[-1].startswith("127.0.0.1:") and "--offload" in command and command[command.index("-R") + 1] == "20"
    assert "-R" not in background["open-loop/1000/c50/64B/frame/background-sleep:10ms+c4/epoll"]["command"], "a closed loop"


def test_one_table_holds_them_side_by_side_in_the_order_of_the_experiment(document):
    groups = summary.summarise(document, "epoll")
    [table] = tables.build(groups)
    assert [name for name, _ in table.columns] == ["variant", "alone", "2 × work:10ms", "2 × work:10ms offloaded", "4 × sleep:10ms", "verdict"]
    assert [texts[0] for _, texts in table.rows] == SMALL["variants"]
    assert all(" / " in text for _, texts in table.rows for text in texts[1:-1])
    assert table.title == "The price of blocking, p50 / p99: open loop, 50 connections, 64-byte frame, 1,000 requests/s to each"
    assert "4 × sleep:10ms, closed loop" in table.remarks[0]


def test_the_page_says_what_to_expect_and_how_one_cpu_changes_it(document):
    groups = summary.summarise(document, "epoll")
    assert [chart["name"] for chart in charts.build(groups)] == ["latency", "blocking"]
    document["placement"]["server_cpus"] = "0"
    text = page.render(document, groups, {}, [], [])
    assert "<h3>The price of blocking</h3>" in text and "What to expect: an event loop" in text and "share one CPU here" in text
    document["placement"]["server_cpus"] = "0-3"
    assert "share one CPU here" not in page.render(document, groups, {}, [], [])


def test_a_background_load_that_fails_fails_its_run(echobench, write, tmp_path):
    done = echobench("run", write(BLOCKING), "--out", tmp_path / "r", "--no-report", FAKE_BACKGROUND="errors")
    assert done.returncode == 1 and "the background load had errors: made to" in done.stderr
    assert {cell["block"].rsplit("/", 1)[0] for cell in result.load(tmp_path / "r")["cells"]} == {"open-loop/1000/c50/64B/frame"}


def test_a_server_that_is_unavailable_leaves_no_failed_run(echobench, write, tmp_path):
    mine = {"name": "mine", "command": ["/bin/sh", "-c", "echo no such ring >&2; exit 77", "{port}"], "framing": "frame"}
    done = echobench("run", write({**BLOCKING, "variants": ["epoll", mine]}), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    document = result.load(tmp_path / "r")
    assert document["unavailable"] == {"mine": "no such ring"} and len(document["runs"]) == 8
    [table] = tables.build(summary.summarise(document, "epoll"))
    assert table.rows[-1] == (None, ["mine", "–", "–", "–", "–", "unavailable: no such ring"])
