"""`run`, end to end, against the fakes."""

import os
import signal
import subprocess
import time

import psutil
import pytest
from conftest import FAKES, SCRIPTS, SMALL

from echobench_lib import result


def load(folder):
    """The document, as it is stored."""
    return result.load(folder).document


def test_a_run_stores_every_cell_with_what_produced_it(measure):
    document = load(measure("a"))
    cells = {(cell["load"], cell["connections"]["asked"], cell["variant"], cell["restart"])
             for cell in document["cells"]}
    assert cells == {("closed-loop", c, v, r) for c in (10, 1000) for v in SMALL["variants"] for r in range(3)}
    assert document["complete"] and document["finished_at"] >= document["started_at"]
    assert document["experiment"]["name"] == "a-experiment"
    for cell in document["cells"]:
        assert cell["server"]["stopped"]["event"] == "stopped"
        assert cell["variant"] in cell["server"]["command"]
        assert cell["workload"] == {"payload_bytes": 64, "framing": "frame", "op": "echo", "pipeline": 1}
        assert cell["checks"] == []
    pids = [cell["server"]["pid"] for cell in document["cells"]]
    assert len(set(pids)) == len(pids), "every restart has a new process"


def test_it_prints_progress_then_tables(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0
    assert "[1/6]" in done.stdout and "left" in done.stdout
    assert "closed loop, 1,000 connections, 64-byte frame" in done.stdout
    assert "asio-callback" in done.stdout and "CPU µs/req (closed loop)" in done.stdout and "mem/conn" in done.stdout


def test_servers_are_gone_afterwards(measure):
    for cell in load(measure("a"))["cells"]:
        assert not psutil.pid_exists(cell["server"]["pid"])


def test_an_open_loop_gets_its_share_of_the_lowest_capacity(measure):
    experiment = {**SMALL, "loads": [
        {"load": "open-loop", "connections": [100], "rates": ["50%"], "duration": "1s"}]}
    document = load(measure("open", experiment))
    capacity, = document["capacities"]
    counts = {name: len(rates) for name, rates in capacity["requests_per_s"].items()}
    assert counts == dict.fromkeys(SMALL["variants"], 3), "three restarts, no control"
    assert capacity["lowest_per_s"] == min(rate for rates in capacity["requests_per_s"].values() for rate in rates)
    rates = {cell["workload"]["rate_per_s"] for cell in document["cells"] if cell["load"] == "open-loop"}
    assert len(rates) == 1, "one rate for all, in every restart"
    assert rates.pop() == pytest.approx(capacity["lowest_per_s"] / 2, rel=0.05)
    assert {cell["restart"] for cell in document["cells"]} == {0, 1, 2}
    assert len(document["cells"]) == 9, "what was tried first is in no table"


@pytest.mark.parametrize("fault", ["FAKE_SILENT", "FAKE_WRONG"])
def test_a_server_that_failed_does_not_settle_the_rate_of_the_open_loop(echobench, write, tmp_path, fault):
    experiment = {**SMALL, "restarts": 1,
                  "loads": [{"load": "open-loop", "connections": [100], "rates": ["50%"], "duration": "1s"}]}
    echobench("run", write(experiment), "--out", tmp_path / "r", "--no-report", **{fault: "thread-pool"})
    document = load(tmp_path / "r")
    assert document["capacities"][0]["requests_per_s"].keys() == {"asio-callback", "epoll"}
    rates = {cell["workload"]["rate_per_s"] for cell in document["cells"]}
    assert len(rates) == 1 and rates.pop() == pytest.approx(document["capacities"][0]["lowest_per_s"] / 2, rel=0.05)


def test_a_control_burns_a_share_of_what_a_request_costs_under_that_load(measure):
    loads = [{"load": "saturation", "connections": [10]},
             {"load": "equal-load", "connections": [1000], "rates": [1000]}]
    experiment = {**SMALL, "controls": ["epoll", "thread-pool"], "burns": ["20%"], "loads": loads}
    cells = load(measure("share", experiment))["cells"]
    burns = {(cell["load"], cell["variant"]): cell["control"]["burn_ns"] for cell in cells if "control" in cell}
    for of, variant, cost_us in (("saturation", "epoll+20%", 6.0), ("saturation", "thread-pool+20%", 15.0),
                                 ("equal-load", "epoll+20%", 6.6)):
        assert burns[of, variant] == pytest.approx(200 * cost_us, rel=0.1), (of, variant)
    assert {cell["restart"] for cell in cells} == {0, 1, 2} and all(cell["server"]["stopped"] for cell in cells)


def test_a_control_of_a_reference_whose_cost_is_not_known_fails_its_block(echobench, write, tmp_path):
    experiment = {**SMALL, "controls": ["epoll"], "burns": ["20%"], "restarts": 2,
                  "loads": [{"load": "saturation", "connections": [10]}]}
    done = echobench("run", write(experiment), "--out", tmp_path / "r", "--no-report", FAKE_SILENT="epoll")
    assert done.returncode == 1
    assert "what a request costs epoll is not known, so epoll+20% has nothing to add to: no reply" in done.stderr


def test_a_failed_run_is_reported_and_the_others_are_kept(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report", FAKE_LOAD_FAILS_AT="1000")
    assert done.returncode == 1
    assert "closed-loop/c1000/64B/frame" in done.stderr and "made to fail" in done.stderr
    document = load(tmp_path / "r")
    assert {cell["connections"]["asked"] for cell in document["cells"]} == {10}
    assert sum("error" in run for run in document["runs"]) == 3


def test_one_silent_target_does_not_discard_its_block(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report", FAKE_SILENT="thread-pool")
    assert done.returncode == 1 and "thread-pool: not one verified reply" in done.stderr
    document = load(tmp_path / "r")
    assert {(cell["variant"], cell["verdict"]) for cell in document["cells"]} == {
        ("epoll", "valid"), ("asio-callback", "valid"), ("thread-pool", "errors")}
    assert len(document["cells"]) == 18 and not any("error" in run for run in document["runs"])
    assert "thread-pool, closed loop, 10 connections, 64-byte frame: errors: " in done.stdout


def test_an_interrupted_measurement_is_no_run(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report", FAKE_INTERRUPTED_AT="1000")
    assert done.returncode == 1 and "closed-loop/c1000/64B/frame, restart 1: echo-load was interrupted" in done.stderr
    document = load(tmp_path / "r")
    assert {cell["connections"]["asked"] for cell in document["cells"]} == {10}
    assert sum("error" in run for run in document["runs"]) == 3


def test_the_rule_for_slices_is_left_to_echo_load(measure):
    loads = [{"load": "closed-loop", "connections": [10], "rounds": 7},
             {"load": "equal-load", "connections": [10], "rates": [100]},
             {"load": "crr", "connections": [10], "slice": "300ms"}]
    document = load(measure("rounds", {**SMALL, "restarts": 1, "loads": loads}))
    commands = {run["block"].split("/")[0]: run["argv"] for run in document["runs"]}
    assert _after(commands["closed-loop"], "--rounds") == "7" and "--slice" not in commands["closed-loop"]
    assert _after(commands["equal-load"], "--slice") == "100ms" and _after(commands["crr"], "--slice") == "300ms"


def _after(words, option):
    return words[words.index(option) + 1]


def test_a_client_polls_where_a_cost_is_measured(measure):
    loads = [{"load": load, "connections": [10], **({"rates": [100]} if load in ("equal-load", "open-loop") else {})}
             for load in ("equal-load", "saturation", "ping-pong", "open-loop", "closed-loop", "crr")]
    document = load(measure("polling", {**SMALL, "restarts": 1, "loads": loads}))
    polling = {cell["load"] for cell in document["cells"] if cell["busy_poll"]}
    assert polling == {"equal-load", "saturation", "ping-pong", "open-loop"}


def test_servers_burn_the_added_work_and_controls_more(measure):
    experiment = {**SMALL, "restarts": 1, "controls": ["epoll", "thread-pool"], "burns": ["500ns", "2us"],
                  "loads": [{"load": "saturation", "connections": [10], "added_work": "6us"},
                            {"load": "closed-loop", "connections": [10]}]}
    burns = {(cell["load"], cell["variant"]): _after(cell["server"]["command"], "--burn")
             if "--burn" in cell["server"]["command"] else None
             for cell in load(measure("burning", experiment))["cells"]}
    assert burns == {("saturation", "asio-callback"): "6us", ("saturation", "thread-pool"): "6us",
                     ("saturation", "epoll"): "6us", ("saturation", "thread-pool+500ns"): "6500ns",
                     ("saturation", "thread-pool+2us"): "8us",
                     ("saturation", "epoll+500ns"): "6500ns", ("saturation", "epoll+2us"): "8us",
                     ("closed-loop", "asio-callback"): None, ("closed-loop", "thread-pool"): None,
                     ("closed-loop", "epoll"): None, ("closed-loop", "thread-pool+500ns"): "500ns",
                     ("closed-loop", "thread-pool+2us"): "2us",
                     ("closed-loop", "epoll+500ns"): "500ns", ("closed-loop", "epoll+2us"): "2us"}


def test_a_server_of_another_build_is_warned_of(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report", FAKE_SERVER_COMMIT="older")
    assert done.returncode == 0
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(warnings) == 1 and "not built like the load generator: commit older against fake" in warnings[0]
    assert {cell["server"]["build"]["commit"] for cell in load(tmp_path / "r")["cells"]} == {"older"}


def test_our_own_server_joins_by_variant_and_options(measure):
    experiment = {**SMALL, "restarts": 1, "variants": [
        "epoll", {"name": "deep-queue", "variant": "epoll", "options": ["--backlog", "9"]}]}
    cells = load(measure("own", experiment))["cells"]
    command = next(cell["server"]["command"] for cell in cells if cell["variant"] == "deep-queue")
    assert _after(command, "--variant") == "epoll" and command[-2:] == ["--backlog", "9"]


def test_a_server_that_cannot_start_is_reported_with_its_words_and_takes_no_other_with_it(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report", FAKE_BROKEN_SERVER="thread-pool")
    assert done.returncode == 1
    assert "thread-pool" in done.stderr and "cannot listen: made to fail" in done.stderr
    assert {cell["variant"] for cell in load(tmp_path / "r")["cells"]} == {"epoll", "asio-callback"}
    done = echobench("run", write(SMALL), "--out", tmp_path / "s", "--no-report", FAKE_BROKEN_SERVER="epoll")
    assert done.returncode == 1
    assert "nothing could be measured" in done.stderr, "without the reference there is nothing to say"


def test_a_foreign_program_that_is_missing_takes_no_other_with_it(echobench, write, tmp_path):
    experiment = {**SMALL, "restarts": 1, "framing": "raw", "variants": [
        "epoll", "thread-pool", {"name": "mine", "command": ["/nonexistent/server", "{port}"], "framing": "raw"}]}
    done = echobench("run", write(experiment), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 1 and "mine: cannot start /nonexistent/server" in done.stderr
    assert {cell["variant"] for cell in load(tmp_path / "r")["cells"]} == {"epoll", "thread-pool"}


def test_a_server_that_dies_during_the_run_is_reported_with_its_own_words(echobench, write, tmp_path):
    experiment = {**SMALL, "restarts": 1}
    death = "thread-pool died during the run: it ended with status 3: echo-server: out of memory: made to die"
    done = echobench("run", write(experiment), "--out", tmp_path / "a", "--no-report", FAKE_DYING_SERVER="thread-pool",
                     FAKE_SILENT="thread-pool")
    assert done.returncode == 1 and f"not one verified reply; {death}" in done.stderr
    checks = [cell["checks"] for cell in load(tmp_path / "a")["cells"] if cell["variant"] == "thread-pool"]
    assert checks == [["the server" + death.removeprefix("thread-pool")]] * 2
    done = echobench("run", write(experiment), "--out", tmp_path / "b", "--no-report", FAKE_DYING_SERVER="thread-pool",
                     FAKE_DIES_BY="signal")
    assert done.returncode == 1 and "thread-pool died during the run: it ended by SIGKILL: " in done.stderr


def test_wrong_replies_give_no_figure(echobench, write, tmp_path):
    done = echobench("run", write(SMALL), "--out", tmp_path / "r", "--no-report", FAKE_WRONG="thread-pool")
    row = next(line for line in done.stdout.splitlines() if line.startswith("thread-pool "))
    assert "wrong-replies" in row and not any(figure in row for figure in ".,")
    assert done.returncode == 1, "the exit status must show it"
    assert "closed-loop/c10/64B/frame, restart 1: wrong replies from thread-pool" in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_keeps_its_cells_and_leaves_no_server(write, tmp_path, stop):
    experiment = {**SMALL, "restarts": 1, "loads": [
        {"load": "closed-loop", "connections": [10], "duration": "1s"},
        {"load": "open-loop", "connections": [10], "rates": [100], "duration": "1s"}], "seed": 0}
    waits = tmp_path / "waits"
    with subprocess.Popen([SCRIPTS / "echobench", "run", write(experiment), "--out", tmp_path / "r", "--no-report"],
                          env={**os.environ, "ECHOBENCH_BUILD": str(FAKES), "FAKE_LOAD_WAITS": str(waits)},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: waits.exists() or process.poll() is not None)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 4, "three servers and echo-load"
        process.send_signal(stop)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    document = load(tmp_path / "r")
    assert document["complete"] is False
    assert [cell["load"] for cell in document["cells"]] == ["closed-loop"] * 3


def test_a_run_that_is_interrupted_at_once_claims_no_result(write, tmp_path):
    experiment = {**SMALL, "restarts": 1,
                  "loads": [{"load": "open-loop", "connections": [10], "rates": [9], "duration": "1s"}]}
    waits = tmp_path / "waits"
    with subprocess.Popen([SCRIPTS / "echobench", "run", write(experiment), "--out", tmp_path / "r", "--no-report"],
                          env={**os.environ, "ECHOBENCH_BUILD": str(FAKES), "FAKE_LOAD_WAITS": str(waits)},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: waits.exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=30)
    assert process.returncode == 130 and complaint == "echobench: interrupted\n"
    assert "there is no result" in output and "result.json" not in output
    assert not (tmp_path / "r" / "result.json").exists()


def until(done):
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_foreign_server_joins_by_its_command_line(measure, tmp_path):
    server = tmp_path / "mine.py"
    server.write_text("import socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
                      "while True: s.accept()\n")
    experiment = {**SMALL, "restarts": 1, "variants": [
        "epoll", {"name": "mine", "command": ["/usr/bin/python3", str(server), "{port}"], "framing": "raw"}]}
    cells = load(measure("foreign", experiment))["cells"]
    mine = [cell for cell in cells if cell["variant"] == "mine"]
    assert mine and all(cell["workload"]["framing"] == "raw" for cell in mine)
    assert {cell["variant"] for cell in cells if cell["block"] == mine[0]["block"]} == {"epoll", "mine"}


def foreign(write, script, **more):
    """An experiment with epoll and a server in Python."""
    (write({}).parent / "mine.py").write_text(script)
    mine = {"name": "mine", "command": ["/usr/bin/python3", str(write({}).parent / "mine.py"), "{port}"],
            "framing": "raw", **more}
    return {**SMALL, "restarts": 1, "variants": ["epoll", mine]}


def test_a_foreign_server_gets_the_options_of_echo_server(measure, write):
    script = ("import json, os, socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
              "print(json.dumps({'event': 'listening', 'addresses': ['127.0.0.1:%d' % s.getsockname()[1]], "
              "'said': os.environ['SAID']}), flush=True)\n"
              "print('x' * 1_000_000, flush=True)\nwhile True: s.accept()\n")
    experiment = foreign(write, script, announces=True, env={"SAID": "hello"})
    experiment["variants"][1]["command"] += ["--threads={threads}", "{cpus}", "{framing}", "{other}"]
    cells = [cell for cell in load(measure("foreign", experiment))["cells"] if cell["variant"] == "mine"]
    command = cells[0]["server"]["command"]
    assert command[2:4] == ["0", "--threads=1"] and command[5:] == ["raw", "{other}"] and command[4].isdigit()


@pytest.mark.parametrize("script, more, reason", [
    ("", {"needs": {"command": ["/usr/bin/python3", "-c", "import nosuch"],
                    "reason": "python3-nosuch is not installed"}}, "python3-nosuch is not installed"),
    ("", {"needs": ["/usr/bin/python3", "nosuch-program"]}, "nosuch-program is not installed"),
    ("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('no such [/ring] :x:', file=sys.stderr)\n"
     "sys.exit(77)", {}, "no such [/ring] :x:"),
    ("import sys\nsys.exit(77)", {"announces": True}, "it gave no reason")])
def test_an_unavailable_server_is_listed_and_fails_no_run(echobench, write, tmp_path, script, more, reason):
    done = echobench("run", write(foreign(write, script, **more)), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0, done.stderr
    document = load(tmp_path / "r")
    assert document["unavailable"] == {"mine": reason} and {cell["variant"] for cell in document["cells"]} == {"epoll"}
    rows = [line.split("  ")[0] for line in done.stdout.splitlines() if line.endswith(f"unavailable: {reason}")]
    assert rows == ["mine"] * 2, "in a table for each number of connections"
    assert f"mine cannot run here: {reason}" in done.stdout


def test_what_a_server_started_ends_with_it(measure, write, tmp_path):
    script = ("import os, socket, sys, time\nchild = os.fork()\nif child == 0: time.sleep(600)\n"
              f"open('{tmp_path}/child', 'a').write(f'{{child}}\\n')\n"
              "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile True: s.accept()\n")
    measure("left", {**foreign(write, script), "loads": [{"load": "closed-loop", "connections": [10]}]})
    children = [int(line) for line in (tmp_path / "child").read_text().splitlines()]
    assert children
    for pid in children:  # it was killed; nobody waits for it
        until(lambda pid=pid: not runs(pid))


def runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_unavailable_reference_is_a_failure(echobench, write, tmp_path):
    experiment = foreign(write, "import sys\nsys.exit(77)")
    done = echobench("run", write({**experiment, "reference": "mine"}), "--out", tmp_path / "r", "--no-report")
    assert done.returncode == 1 and "mine cannot run here: it gave no reason" in done.stderr


def test_what_an_announcing_server_prints_first_must_be_its_line(echobench, write, tmp_path):
    done = echobench("run", write(foreign(write, "print('hello')\nimport time\ntime.sleep(60)", announces=True)),
                     "--out", tmp_path / "r",
                     "--no-report")
    assert done.returncode == 1 and "its first line on stdout is not a listening line" in done.stderr


def test_a_foreign_server_may_print_as_much_as_it_likes(measure, tmp_path):
    server = tmp_path / "chatty.py"
    server.write_text("import socket, sys\nprint('x' * 1_000_000, flush=True)\n"
                      "s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile True: s.accept()\n")
    measure("chatty", {**SMALL, "restarts": 1, "variants": [
        "epoll", {"name": "mine", "command": ["/usr/bin/python3", str(server), "{port}"], "framing": "raw"}]})


def test_programs_that_are_not_built(echobench, tmp_path):
    done = echobench("run", "quick", ECHOBENCH_BUILD=str(tmp_path))
    assert done.returncode == 1 and "scripts/quickstart" in done.stderr


def test_a_result_is_never_written_over(echobench, measure, write):
    folder = measure("a")
    done = echobench("run", write(SMALL), "--out", folder)
    assert done.returncode == 2 and "already" in done.stderr


@pytest.mark.parametrize("bound_at, restarts", [
    ("", [0, 1, 2, 3]), ("2", [0, 1, 2, 3, 4]), ("2,5", [0, 1, 2, 3, 4, 5]),
    ("2,5,6", [0, 1, 2, 3, 4, 5]),       # not more than half as many again
    ("1,2,3,4", [0, 1, 2, 3])])          # nothing that could be completed
def test_a_restart_in_which_the_client_was_kept_from_its_cpu_is_replaced(measure, bound_at, restarts):
    experiment = {**SMALL, "restarts": 4, "loads": [{"load": "equal-load", "connections": [10], "rates": [100]},
                                                    {"load": "closed-loop", "connections": [10]}]}
    cells = load(measure("a", experiment, FAKE_CLIENT_BOUND_AT=bound_at))["cells"]
    assert sorted({cell["restart"] for cell in cells if cell["load"] == "equal-load"}) == restarts
    assert {cell["restart"] for cell in cells if cell["load"] == "closed-loop"} == {0, 1, 2, 3}, "not compared"
