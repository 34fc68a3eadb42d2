"""echo-load-mpi on hosts of their own: network namespaces, joined by veth pairs and a bridge, a rank in each."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import SCRIPTS

BUILD = Path(os.environ.get("ECHOBENCH_BUILD", SCRIPTS.parent / "build" / "release"))
PROGRAM = BUILD / "loadgen/echo-load-mpi"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
NET = "10.77.0"
# These hosts share a /tmp, where PMIx else keeps what ranks exchange, and now and then finds the files of another host.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "PMIX_MCA_gds": "hash"}
pytestmark = pytest.mark.skipif(not (os.access(PROGRAM, os.X_OK) and shutil.which("mpirun") and shutil.which("ip")
                                     and os.geteuid() == 0),
                                reason="needs echo-load-mpi, Open MPI, ip(8) and root")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """Four hosts, and what starts a program on one as ssh would."""
    numbers = range(2, 6)
    try:
        ip("link", "add", "eb-bridge", "type", "bridge")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        ip("address", "add", f"{NET}.1/24", "dev", "eb-bridge")
        ip("link", "set", "eb-bridge", "up")
        for number in numbers:
            ip("netns", "add", f"eb-{number}")
            ip("link", "add", f"eb-veth{number}", "type", "veth", "peer", "name", "eth0", "netns", f"eb-{number}")
            ip("link", "set", f"eb-veth{number}", "master", "eb-bridge", "up")
            ip("-n", f"eb-{number}", "address", "add", f"{NET}.{number}/24", "dev", "eth0")
            ip("-n", f"eb-{number}", "link", "set", "eth0", "up")
            ip("-n", f"eb-{number}", "link", "set", "lo", "up")
        agent = tmp_path_factory.mktemp("mpi") / "agent"
        agent.write_text('#!/bin/sh\nhost=$1\nshift\nexec ip netns exec "eb-${host##*.}" sh -c "$*"\n')
        agent.chmod(0o755)
        yield agent
    finally:
        for number in numbers:
            subprocess.run(["ip", "netns", "delete", f"eb-{number}"], capture_output=True)
        subprocess.run(["ip", "link", "delete", "eb-bridge"], capture_output=True)


@pytest.fixture
def server(hosts):
    with subprocess.Popen([BUILD / "servers/echo-server", "--variant", "epoll", "--bind", f"{NET}.1"],
                          stdout=subprocess.PIPE,
                          text=True) as process:
        yield json.loads(process.stdout.readline())["addresses"][0]
        process.terminate()


def mpirun(agent, ranks, *program, hosts=None):
    addresses = hosts or [f"{NET}.{2 + rank}" for rank in range(ranks)]
    return ["mpirun", "--mca", "rtc", "^hwloc", "--mca", "plm_rsh_agent", str(agent),
            "--mca", "oob_tcp_if_include", f"{NET}.0/24", "--mca", "btl", "tcp,self",
            "--mca", "btl_tcp_if_include", f"{NET}.0/24", "--host", ",".join(addresses), *map(str, program)]


def run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_connections_and_rate_and_give_one_result(hosts, server, tmp_path, ranks):
    done = run(mpirun(hosts, ranks, "-n", ranks, PROGRAM, "-c", "10", "-R", "1k", "--arrivals", "uniform", "-d",
                      "1500ms", "--warmup", "100ms", "--intervals", tmp_path / "r.ndjson", "--interval", "300ms",
                      "--json", tmp_path / "r.json", server))
    assert done.returncode == 0, done.stderr
    [interval] = map(json.loads, (tmp_path / "r.ndjson").read_text().splitlines())
    assert 1.4e9 <= interval["driven_ns"] <= interval["length_ns"], "ranks give what they recorded at the end"
    [cell] = json.loads((tmp_path / "r.json").read_text())["cells"]
    assert cell["errors"] == {} and cell["connections"] == {"asked": 10, "idle": 0, "opened": 10, "served": 10}
    assert cell["requests_due"] == cell["response_ns"]["count"] == pytest.approx(1500, abs=2)
    assert [rank["rank"] for rank in cell["ranks"]] == list(range(ranks))
    assert sum(rank["replies"] for rank in cell["ranks"]) == cell["requests_due"]
    assert cell["arrivals_sent"]["streams"] == ranks and cell["arrivals_sent"]["coefficient_of_variation"] > 0
    for rank in cell["ranks"]:
        connections = len(range(rank["rank"], 10, ranks))
        assert rank["replies"] == pytest.approx(1500 * connections / 10, abs=2), "its share of the connections"
        assert abs(rank["clock_ahead_ns"]) <= rank["clock_error_ns"] + 1_000_000
        assert rank["verdict"] in done.stdout


def test_targets_take_turns_on_all_ranks(hosts, server, tmp_path):
    done = run(mpirun(hosts, 2, "-n", 2, PROGRAM, "-c", "4", "-d", "300ms", "--rounds", "3", "--warmup", "100ms",
                      "--json",
                      tmp_path / "r.json", f"a={server}", f"b={server}"))
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "r.json").read_text())["cells"]
    assert [cell["variant"] for cell in cells] == ["a", "b"]
    for cell in cells:
        assert cell["errors"] == {} and len(cell["slices"]) >= 3 and cell["connections"]["served"] == 4


def test_a_rank_that_is_killed_fails_the_run_by_name(hosts, server):
    with subprocess.Popen(mpirun(hosts, 2, "-n", 2, PROGRAM, "-c", "4", "-d", "30s", server), env=ENVIRONMENT,
                          text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        victim = None
        while victim is None and process.poll() is None:
            for child in psutil.process_iter(["exe"]):
                if child.info["exe"] == str(PROGRAM.resolve()) and child.environ().get("OMPI_COMM_WORLD_RANK") == "1":
                    victim = child
            time.sleep(0.05)
        victim.kill()
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGKILL
    assert re.search(r"rank 1 with PID \d+ on node 10.77.0.3 exited on signal 9", errors), errors


def test_an_interrupt_prints_what_was_measured(hosts, server, tmp_path):
    """mpirun kills what has not ended a second after it was asked to: on a machine that is busy otherwise that may be
    too soon."""
    for attempt in range(5):
        started = tmp_path / f"started{attempt}"
        with subprocess.Popen(mpirun(hosts, 2, "-n", 2, PROGRAM, "-c", "4", "-d", "30s", "--warmup", "100ms",
                                     "--intervals", started, server),
                              env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while not started.exists() and process.poll() is None:
                time.sleep(0.05)
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=60)[0]
        if "interrupted" in output and "rank 1 on " in output:
            break
    assert "interrupted" in output and "rank 1 on " in output, output
    assert int(re.search(r"([\d,]+) verified replies", output)[1].replace(",", "")) > 0


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime")
def test_a_rank_with_a_wrong_clock_is_refused_by_name(hosts, server):
    wrong = ["-x", f"LD_PRELOAD={FAKETIME}", "-x", "FAKETIME=+2s", "-x", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
    load = [PROGRAM, "-c", "4", "-d", "1s", server]
    done = run(mpirun(hosts, 2, "-n", 1, *load, ":", "-n", 1, *wrong, *load))
    assert done.returncode == 1
    said = re.search(r"echo-load-mpi: rank 0 on \S+: the clock of rank 1 is (\S+) s ahead .* synchronise", done.stderr)
    assert said, done.stderr
    assert float(said[1]) == pytest.approx(2, abs=0.05)


def test_a_host_that_cannot_be_reached_fails_the_run(hosts, server):
    done = run(mpirun(hosts, 2, "-n", 2, PROGRAM, "-d", "1s", server, hosts=[f"{NET}.2", f"{NET}.99"]))
    assert done.returncode != 0
    assert 'Cannot open network namespace "eb-99"' in done.stderr and "unable to reliably start" in done.stderr


def test_a_mistake_is_reported_once(hosts):
    done = run(mpirun(hosts, 2, "-n", 2, PROGRAM, "-c", "0", f"{NET}.1:1"))
    assert done.returncode == 2
    assert done.stderr.count("--connections") == 1


def test_a_rank_without_a_connection_is_refused(hosts):
    done = run(mpirun(hosts, 2, "-n", 2, PROGRAM, "-c", "3", "--threads", "2", f"{NET}.1:1"))
    assert done.returncode == 2
    assert "--connections 3 is less than the 4 threads of 2 rank(s)" in done.stderr
