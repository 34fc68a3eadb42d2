"""echo-load's HdrHistogram log, read and merged by hdr-histogram-js: the percentiles are those of the result."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import SCRIPTS

BUILD = Path(os.environ.get("ECHOBENCH_BUILD", SCRIPTS.parent / "build" / "release"))
CHARTS = SCRIPTS / "charts"
pytestmark = pytest.mark.skipif(
    not (os.access(BUILD / "loadgen/echo-load", os.X_OK) and shutil.which("node")
         and (CHARTS / "node_modules/hdr-histogram-js").is_dir()),
    reason="the build has no echo-load, or there is no hdr-histogram-js")


@pytest.fixture
def server():
    with subprocess.Popen([BUILD / "servers/echo-server", "--variant", "epoll"], stdout=subprocess.PIPE,
                          text=True) as process:
        yield json.loads(process.stdout.readline())["addresses"][0]
        process.terminate()


def drive(folder, *arguments):
    """What echo-load says, what hdr-histogram-js reads, and the intervals, a line each."""
    subprocess.run([BUILD / "loadgen/echo-load", "--warmup", "50ms", "-c", "10", "--json", folder / "r.json", "--hdr",
                    folder / "r.hlog", "--intervals", folder / "r.ndjson", "--interval", "200ms", *arguments],
                   check=True, capture_output=True, timeout=60)
    read = subprocess.run(["node", Path(__file__).with_name("hdr_log.mjs"), CHARTS, folder / "r.hlog"], check=True,
                          capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in (folder / "r.ndjson").read_text().splitlines()]
    return json.loads((folder / "r.json").read_text())["cells"], json.loads(read.stdout), lines


def assert_alike(merged, latencies):
    assert merged["count"] == latencies["count"]
    for name, value in latencies.items():
        if name.startswith("p"):
            assert merged.get(name, value) == value, name
    assert merged["p50"] == latencies["p50"]


def test_intervals_of_an_open_loop_merge_to_its_percentiles(server, tmp_path):
    [cell], read, lines = drive(tmp_path, "-R", "20k", "-d", "1200ms", f"it={server}")
    assert_alike(read["it/response"], cell["response_ns"])
    assert_alike(read["it/service"], cell["service_ns"])
    assert 2 <= read["it/response"]["intervals"] <= 7
    assert read["it/response"]["starts"] == sorted(read["it/response"]["starts"])
    assert sum(line["requests"] for line in lines) == cell["service_ns"]["count"]
    for line in lines:
        assert line["variant"] == "it" and line["errors"] == 0 and line["offered_per_s"] == 20_000
        assert line["driven_ns"] <= line["length_ns"] and ("p50_ns" in line) == (line["requests"] > 0)
    answered = [line for line in lines if line["requests"]]
    assert len(answered) == read["it/response"]["intervals"]
    for line in answered:
        assert 0 < line["p50_ns"] <= line["p99_ns"] <= line["max_ns"]
    assert sum(line["driven_ns"] for line in lines) == cell["measured_ns"]


def test_intervals_of_targets_in_turn_merge_to_theirs(server, tmp_path):
    cells, read, lines = drive(tmp_path, "-d", "1s", "--slice", "20ms", "--rounds", "3", "-t", "2", f"a={server}",
                               f"b={server}")
    for cell in cells:
        assert_alike(read[f"{cell['variant']}/service"], cell["service_ns"])
        of_target = [line for line in lines if line["variant"] == cell["variant"]]
        assert sum(line["driven_ns"] for line in of_target) == cell["measured_ns"], "not the other target's time"
        assert sum(line["length_ns"] for line in of_target) > 1.5 * cell["measured_ns"]
        assert sum(line["requests"] for line in of_target) == cell["service_ns"]["count"]
    assert set(read) == {"a/service", "b/service"}
