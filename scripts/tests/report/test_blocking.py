"""The price of blocking: one server at a time, with and without a background load."""

import json
from dataclasses import replace

import pytest
from conftest import SMALL, run_echobench

from echobench_lib import result
from echobench_lib.analyse import summary
from echobench_lib.report import charts, page, tables
from echobench_lib.report.palette import Palette

WORK = {"op": "work:10ms", "connections": 2, "rate": 20}
BLOCKING = {**SMALL, "restarts": 2, "loads": [
    {"load": "open-loop", "connections": [50], "rates": [1000], "duration": "1s", **more} for more in (
        {"sliced": False}, {"background": WORK}, {"background": {**WORK, "offload": True}},
        {"background": {"op": "sleep:10ms", "connections": 4}})]}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocking")
    (folder / "blocking.json").write_text(json.dumps(BLOCKING))
    done = run_echobench("run", folder / "blocking.json", "--out", folder / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    return result.load(folder / "r")


def test_each_server_is_measured_by_itself_with_its_background_load(stored):
    places = [(cell.block, cell.restart) for cell in stored.cells]
    assert all(places.count((run.block, run.restart)) == 1 for run in stored.runs)
    background = {cell["block"]: cell["background"] for cell in stored.document["cells"] if "background" in cell}
    assert len(background) == 9 and all(load["requests"] == 20 for load in background.values())
    command = background["open-loop/1000/c50/64B/frame/background-work:10ms+c2+20+offload/epoll"]["command"]
    assert command[-1].startswith("127.0.0.1:") and "--offload" in command and command[command.index("-R") + 1] == "20"
    sleeping = background["open-loop/1000/c50/64B/frame/background-sleep:10ms+c4/epoll"]
    assert "-R" not in sleeping["command"], "a closed loop"


def test_one_table_holds_them_side_by_side_in_the_order_of_the_experiment(stored):
    groups = summary.summarise(stored, "epoll")
    [table] = tables.build(groups)
    assert [name for name, _ in table.columns] == [
        "variant", "alone", "2 × work:10ms", "2 × work:10ms offloaded", "4 × sleep:10ms", "verdict"]
    assert [texts[0] for _, texts in table.rows] == SMALL["variants"]
    assert all(" / " in text for _, texts in table.rows for text in texts[1:-1])
    assert table.title == ("The price of blocking, p50 / p99: open loop, 50 connections, 64-byte frame, "
                           "1,000 requests/s to each")
    assert "4 × sleep:10ms, closed loop" in table.remarks[0]


def test_the_page_says_what_to_expect_and_how_one_cpu_changes_it(stored):
    groups = summary.summarise(stored, "epoll")
    assert [chart["name"] for chart in charts.build(groups, Palette())] == ["latency", "blocking"]

    def rendered(server_cpus):
        placed = replace(stored, placement=replace(stored.placement, server_cpus=server_cpus))
        return page.render(placed, groups, {}, [], [], {})
    text = rendered("0")
    assert "<h3>The price of blocking</h3>" in text and "What to expect: an event loop" in text
    assert "share one CPU here" in text and "share one CPU here" not in rendered("0-3")


def test_a_background_load_that_fails_fails_its_run(echobench, write, tmp_path):
    done = echobench("run", write(BLOCKING), "--out", tmp_path / "r", "--no-report", FAKE_BACKGROUND="errors")
    assert done.returncode == 1 and "the background load had errors: made to" in done.stderr
    assert {cell.block.rsplit("/", 1)[0] for cell in result.load(tmp_path / "r").cells} == {
        "open-loop/1000/c50/64B/frame"}


def test_a_server_that_is_unavailable_leaves_no_failed_run(echobench, write, tmp_path):
    mine = {"name": "mine", "command": ["/bin/sh", "-c", "echo no such ring >&2; exit 77", "{port}"],
            "framing": "frame"}
    done = echobench("run", write({**BLOCKING, "variants": ["epoll", mine]}), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    stored = result.load(tmp_path / "r")
    assert stored.unavailable == {"mine": "no such ring"} and len(stored.runs) == 8
    [table] = tables.build(summary.summarise(stored, "epoll"))
    assert table.rows[-1] == (None, ["mine", "–", "–", "–", "–", "unavailable: no such ring"])
