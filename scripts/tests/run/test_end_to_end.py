"""The real programs, through `scripts/echobench run`: from servers and load to a result, its figures and its report."""

import html.parser
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import SCRIPTS

from echobench_lib import result
from echobench_lib.analyse import summary
from echobench_lib.result.document import SCHEMA_FILE

BUILD = Path(os.environ.get("ECHOBENCH_BUILD", SCRIPTS.parent / "build" / "release"))
pytestmark = pytest.mark.skipif(not all(os.access(BUILD / program, os.X_OK) for program in (
    "servers/echo-server", "loadgen/echo-load")), reason="the build has no echo-server and echo-load")
EXPERIMENT = {
    "summary": "everything, briefly", "variants": ["asio-coroutine", "iterative", "epoll"], "restarts": 2,
    "warmup": "50ms",
    "loads": [
        {"load": "closed-loop", "connections": [4], "duration": "200ms", "rounds": 2},
        {"load": "equal-load", "connections": [4], "rates": ["10%", 1000], "rounds": 4},
        {"load": "equal-load", "connections": [4], "rates": [1000], "op": "work:100us", "rounds": 4},
        {"load": "saturation", "connections": [4], "rounds": 2, "duration": "200ms"},
        {"load": "ping-pong", "connections": [1], "rounds": 2, "duration": "200ms"},
        {"load": "crr", "connections": [2], "rounds": 2, "duration": "200ms"}]}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Measured once; every test only reads it."""
    folder = tmp_path_factory.mktemp("end-to-end")
    (folder / "everything.json").write_text(json.dumps(EXPERIMENT))
    done = subprocess.run([SCRIPTS / "echobench", "run", folder / "everything.json", "--out", folder / "r"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "r", done.stdout


def costs(stored, variant, block):
    """Of every restart, in nanoseconds."""
    return [summary.cost_of(cell) for cell in stored.cells if (cell.variant, cell.block) == (variant, block)]


def test_the_result_is_whole_and_no_reply_was_lost(measured):
    document = result.load(measured[0]).document
    assert document["complete"] and not [run for run in document["runs"] if "error" in run]
    loads = {(cell["load"], cell["variant"]) for cell in document["cells"]}
    for load in ("closed-loop", "equal-load", "saturation", "ping-pong", "crr"):
        assert {(load, "epoll"), (load, "epoll+20%"), (load, "asio-coroutine")} <= loads
    assert ("ping-pong", "iterative") in loads and ("equal-load", "iterative") not in loads
    for cell in document["cells"]:
        assert cell["errors"] == {} and cell["checks"] == [] and cell["requests_total"] > 0, cell["block"]
        assert cell["server"]["build"]["commit"] == document["tool"]["commit"]
        assert cell["busy_poll"] is (cell["load"] in ("equal-load", "saturation", "ping-pong"))


def test_the_schema_describes_all_that_is_in_a_cell(measured):
    cells = json.loads(SCHEMA_FILE.read_text())["$defs"]["cell"]["properties"]
    for cell in result.load(measured[0]).document["cells"]:
        assert set(cell) <= set(cells) and set(cell["server"]) <= set(cells["server"]["properties"])


def test_a_server_reports_what_it_burnt(measured):
    for cell in result.load(measured[0]).document["cells"]:
        burnt = cell["server"]["stopped"]["burnt_ns"] / cell["server"]["stopped"]["requests"]
        asked = cell["workload"].get("added_work_ns", 0) + cell.get("control", {}).get("burn_ns", 0)
        assert burnt == 0 if asked == 0 else asked <= burnt < 1.5 * asked


def test_work_is_in_the_cost_of_a_request(measured):
    stored = result.load(measured[0])
    echo = min(costs(stored, "epoll", "equal-load/1000/c4/64B/frame"))
    work = min(costs(stored, "epoll", "equal-load/1000/c4/64B/frame/work:100us"))
    # Where CPUs are busy, an echo costs more between two times of work, too.
    assert max(100_000, echo) < work < echo + 400_000


def test_the_report_opens(measured):
    folder, output = measured
    assert "at equal load, 4 connections, 64-byte frame" in output and "recovery " in output

    class Counter(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.tags = {}

        def handle_starttag(self, tag, _):
            self.tags[tag] = self.tags.get(tag, 0) + 1
    page = Counter()
    page.feed((folder / "index.html").read_text())
    assert page.tags["table"] == len({cell.block for cell in result.load(folder).cells})
    assert page.tags["svg"] >= 2, "throughput and latency, and what else has a control that passed"


def test_the_example_of_a_foreign_server_is_measured(tmp_path):
    """The example of CONTRIBUTING.md, as it is there."""
    example = json.loads(re.search(r"```json\n(.*?)```", (SCRIPTS.parent / "CONTRIBUTING.md").read_text(), re.S)[1])
    loads = [{**load, "duration": "100ms", "rounds": 2} for load in example["loads"]]
    (tmp_path / "example.json").write_text(json.dumps({**example, "loads": loads, "restarts": 1, "warmup": "20ms"}))
    done = subprocess.run([SCRIPTS / "echobench", "run", tmp_path / "example.json", "--out", tmp_path / "r",
                           "--no-report"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = {(cell["workload"]["framing"], cell["variant"]): cell
             for cell in result.load(tmp_path / "r").document["cells"]}
    raw = {variant for framing, variant in cells if framing == "raw"}
    assert raw == {"epoll", "epoll+20%", "tiny", "tiny-announced"}
    assert ("frame", "deep-queue") in cells
    assert all(cell["requests_total"] > 0 and cell["errors"] == {} for cell in cells.values())
    assert cells["raw", "tiny-announced"]["server"]["command"][-2:] == ["0", "--announce"]
