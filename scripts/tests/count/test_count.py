"""`count`: what is read, differences, comparison, exit statuses; and once the real thing."""

import copy
import os
import shutil
from pathlib import Path
from unittest import mock

import pytest
from conftest import SCRIPTS
from rich.console import Console

from echobench_lib import Failure, Usage
from echobench_lib.count import changes, document, drive, measure, names, report, tools
from echobench_lib.count.drive import Driven, SeveralProcesses, Shape
from echobench_lib.count.measure import Cell, Run, stored_cell
from echobench_lib.count.tools import Totals
from echobench_lib.run.programs import list_variants

BUILD = Path(os.environ.get("ECHOBENCH_BUILD", SCRIPTS.parent / "build" / "release"))

CALLGRIND = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir
summary: 160

ob=(1) /usr/lib/libc.so.6
fl=(1) ???
fn=(1) send
0 30
fn=(2) 0x0000000000012340
0 5

ob=(2) /build/echo-server
fl=(1)
fn=(3) void echobench::(anonymous namespace)::loop<int>::run(std::stop_token const&)
0 100
cob=(1)
cfn=(1)
calls=7 0
0 30
fi=(2) inlined.hpp
+3 20
-1 5
totals: 160
"""
MEMCHECK = "==7== HEAP SUMMARY:\n==7==   total heap usage: 1,756 allocs, 524 frees, 130,600 bytes allocated\n"
STRACE = """\
    calls    errors syscall
--------- --------- ----------------
      256           sendto
      128        64 accept4
--------- --------- ----------------
      384        64 total
"""


# ---- what tools print ----

def test_callgrind_is_read_by_function_without_what_they_call():
    totals = tools.read_callgrind(CALLGRIND)
    assert totals.counts == {"instructions": 160}
    assert totals.functions == {"send": 30, "without a name, in libc.so.6": 5, "echobench::loop::run": 125}


def test_what_does_not_add_up_is_no_figure():
    with pytest.raises(Failure, match="159 instructions in functions, 160 in all"):
        tools.read_callgrind(CALLGRIND.replace("0 100", "0 99"))


def test_memcheck_and_strace_are_read():
    assert tools.read_memcheck(MEMCHECK).counts == {"allocations": 1756, "allocated_bytes": 130600}
    assert tools.read_strace(STRACE).counts == {"call:sendto": 256, "call:accept4": 128}


@pytest.mark.parametrize("read", [tools.read_callgrind, tools.read_memcheck, tools.read_strace])
def test_output_that_is_not_understood_is_a_failure(read):
    with pytest.raises(Failure):
        read("Killed\n")


@pytest.mark.parametrize("name, short", [
    ("main", "main"), ("0x0000000000012340", "0x0000000000012340"),
    ("void echobench::(anonymous namespace)::loop<int>::run(std::stop_token const&)", "echobench::loop::run"),
    ("echobench::reactor::run(std::function<void (echobench::reactor::connection&)> const&)",
     "echobench::reactor::run"),
    ("std::_Function_handler<void (int&), f(int)::{lambda(int&)#1}>::_M_invoke(std::_Any_data const&, int&)",
     "std::_Function_handler::_M_invoke"),
    ("boost::asio::detail::epoll_reactor::run(long, "
     "boost::asio::detail::op_queue<boost::asio::detail::scheduler_operation>&)", "detail::epoll_reactor::run"),
    ("std::ostream& operator<< <char>(std::ostream&, char const*)", "operator<<"),
    ("echobench::(anonymous namespace)::f(int)::{lambda()#1}::operator()() const", "f::{lambda#1}::operator()"),
    ("echobench::connection::serve(echobench::connection*) [clone .actor]", "echobench::connection::serve")])
def test_names_are_short(name, short):
    assert names.shorten(name) == short


# ---- requests ----

def test_a_request_and_its_reply_are_those_of_the_protocol():
    request, reply = Shape(2, "frame", 3).exchange(1, 5)
    assert request == b"\0\0\0\x03" b"\x01\0\0\0" b"\0\0\0\0" b"\0\0\0\x05" b"ghi"
    assert reply == request[:6] + b"\x80" + request[7:]
    assert Shape(1, "line", 4).exchange(0, 0) == (b"abc\n", b"abc\n")
    assert Shape(1, "raw", 4).exchange(0, 1) == (b"bcde", b"bcde")
    assert Shape(2, "raw", 4).exchange(0, 0) != Shape(2, "raw", 4).exchange(1, 0), "a swapped reply cannot pass"


def test_lengths_are_rounds_of_all_connections():
    assert Cell("epoll", 1).lengths == (20, 120)
    assert Cell("epoll", 64).lengths == (4, 12)


# ---- from totals to figures ----

def runs(tool, repeats, functions=None, connections=1, waits=1.0):
    """Pairs of runs of 100 and 600 requests; each of `repeats` is {name: per request}, over a start of 1,000."""
    def total(value, rounds, start=1000):
        return round(start + rounds * value)

    return [Run(tool, repeat, rounds, rounds * connections, ["echo-server"],
                Totals({name: total(value, rounds) for name, value in counts.items()},
                       {name: total(value, rounds, 7) for name, value in (functions or {}).items()}),
                total(waits, rounds))
            for repeat, counts in enumerate(repeats) for rounds in (100, 600)]


def cell(instructions=(500, 500, 500), calls=None, allocations=0, size=0, functions=None, variant="epoll",
         refused=None):
    calls = {"recvfrom": 1, "sendto": 1} if calls is None else calls
    repeats = len(instructions)
    switches = [{"voluntary_switches": 1, "involuntary_switches": 0.1 * number} for number in range(repeats)]
    by_function = functions or {"f": 400, "g": 100}
    counted = [*runs("callgrind", [{"instructions": value} for value in instructions], by_function),
               *runs("memcheck", [{"allocations": allocations, "allocated_bytes": size}] * repeats),
               *runs("strace", [{f"call:{name}": value for name, value in calls.items()}] * repeats),
               *runs("native", switches)]
    refused = refused or {}
    return stored_cell(Cell(variant, 1), [run for run in counted if run.tool not in refused], refused)


def result(*cells, **config):
    return {"schema_version": 1, "kind": "count",
            "tool": {"valgrind": "valgrind-3.19.0", "strace": "strace 6.1", "server": "echo-server", "sha256": "00"},
            "host": {"cpu": "some", "libc": "glibc 2.36"},
            "config": {"framing": "frame", "payload_bytes": 64, "repeats": 3, **config}, "argv": [], "started_at": "",
            "finished_at": "", "unavailable": {}, "unserved": [], "cells": list(cells)}


def test_what_start_and_stop_cost_cancels_out():
    figures = cell(allocations=2, size=160)["figures"]
    assert {name: figure["per_request"] for name, figure in figures.items()} == {
        "instructions": 500, "system_calls": 2, "allocations": 2, "allocated_bytes": 160, "voluntary_switches": 1,
        "involuntary_switches": 0.1}
    assert figures["instructions"] == {"per_request": 500, "values": [500, 500, 500], "scatter": 0, "exact": True}
    assert not figures["voluntary_switches"]["exact"] and not figures["involuntary_switches"]["exact"]


def test_calls_that_do_not_grow_with_requests_are_not_shown():
    assert list(cell(calls={"sendto": 1, "mmap": 0, "epoll_wait": 1 / 64})["system_calls"]) == ["epoll_wait", "sendto"]


def test_the_table_shows_what_is_exact(capsys):
    console = Console(width=130, markup=False)
    loose = cell((1000, 1001, 1021), {"futex": 3}, variant="thread-pool")
    exact = cell(calls={"recvfrom": 1, "epoll_wait": 0.016})
    report.show(document.result_of(result(exact, loose)), console, with_functions=True)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "epoll 500 0 0 ~ 1.1 1.016 recvfrom, epoll_wait 0.016" in lines
    assert "thread-pool ~ 1,001 ~ 0 ~ 0 ~ 1.1 ~ 3 futex 3" in lines
    assert "400 80.0 % f" in lines
    assert any(line.startswith("largest difference of 3 repeats, exact figures: instructions 0 %,") for line in lines)
    loose = "~ not exact: thread-pool, 1 connection (instructions within 2.1 %): its threads"
    assert any(line.startswith(loose) for line in lines)


def test_a_call_that_the_longer_run_happened_to_make_less_often_is_stored(tmp_path):
    counted = runs("strace", [{"call:sendto": 1, "call:munmap": value} for value in (-0.01, 0, -0.01)])
    stored = stored_cell(Cell("epoll", 1), counted, {})
    assert stored["system_calls"]["munmap"]["per_request"] < 0 < stored["system_calls"]["munmap"]["scatter"]
    document.save(result(stored), tmp_path / "count.json")


def test_functions_are_sorted_by_what_a_request_costs_in_them():
    assert cell(functions={"start": 0, "g": 100, "f": 300})["functions"] == [
        {"name": "f", "instructions": 300, "share": 0.75}, {"name": "g", "instructions": 100, "share": 0.25}]


@pytest.mark.parametrize("instructions, calls, exact", [
    ((1000, 1000, 1000.5), {"sendto": 1}, True), ((1000, 1000, 1002), {"sendto": 1}, False),
    ((1000, 1000, 1000), {"sendto": 1, "futex": 0.02}, False)])
def test_exact_is_what_repeats_and_is_not_up_to_the_scheduler(instructions, calls, exact):
    stored = cell(instructions, calls)
    assert stored["figures"]["instructions"]["exact"] is exact
    assert bool(stored["inexact"]) is ("futex" in calls)


def test_where_wakeups_found_less_to_do_nothing_is_exact():
    counted = [*runs("callgrind", [{"instructions": 500}], waits=1 / 64),
               *runs("memcheck", [{"allocations": 0}], waits=2 / 64)]
    stored = stored_cell(Cell("epoll", 1), counted, {})
    assert stored["inexact"] and not any(figure["exact"] for figure in stored["figures"].values())


def test_a_tool_that_cannot_count_leaves_the_other_counts(tmp_path):
    stored = result(cell(refused={"callgrind": "echo-server: ended by SIGILL"}))
    document.save(stored, tmp_path / "count.json")
    assert "instructions" not in stored["cells"][0]["figures"] and "system_calls" in stored["cells"][0]["figures"]
    notes = report.notes(document.result_of(stored))
    assert "not counted: epoll, 1 connection, callgrind: echo-server: ended by SIGILL" in notes


def test_a_result_is_checked_when_written_and_when_read(tmp_path, write):
    stored = result(cell())
    document.save(stored, tmp_path / "count.json")
    assert document.load(tmp_path) == document.load(tmp_path / "count.json") == stored
    broken = copy.deepcopy(stored)
    broken["cells"][0]["figures"]["instructions"]["per_request"] = "many"
    with pytest.raises(Usage, match="per_request"):
        document.save(broken, tmp_path / "other.json")
    with pytest.raises(Usage, match="per_request"):
        document.load(write(broken, "other.json"))
    assert not (tmp_path / "other.json.part").exists()


# ---- two results ----

@pytest.fixture
def count(echobench, write):
    """`count A B` of two results."""
    def count(first, second, *options):
        return echobench("count", write(first, "a.json"), write(second, "b.json"), *options)
    return count


def test_what_has_not_changed_passes(count):
    done = count(result(cell()), result(cell()), "--fail-over", "1%")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no count rose by more than 1 %" in done.stdout and "1 cells judged" in done.stdout


@pytest.mark.parametrize("after, status, says", [
    (dict(instructions=(504, 504, 504)), 0, "+0.80 %"),
    (dict(instructions=(506, 506, 506)), 1, "regression: epoll, 1 connection: instructions 500 to 506 (+1.20 %)"),
    (dict(instructions=(450, 450, 450)), 0, "-10.00 %"),
    (dict(calls={"recvfrom": 1, "sendto": 1, "epoll_wait": 0.016}), 1, "system call epoll_wait 0 to 0.016 (new)"),
    (dict(calls={"recvfrom": 1, "sendto": 2}), 1, "system call sendto 1 to 2 (+100.00 %)"),
    (dict(calls={"recvfrom": 1, "read": 1}), 1, "system call read 0 to 1 (new)"),
    (dict(calls={"recvfrom": 1}), 0, "system call sendto 1 to 0 (-100.00 %)"),
    (dict(allocations=1, size=64), 1, "allocations 0 to 1 (new)"),
    (dict(refused={"callgrind": "cannot"}), 2, "undecided: epoll, 1 connection: instructions missing in B"),
    (dict(variant="poll"), 2, "not comparable: no variant")])
def test_a_rise_beyond_the_margin_fails(count, after, status, says):
    done = count(result(cell()), result(cell(**after)), "--fail-over", "1%")
    assert done.returncode == status and says in done.stdout, done.stdout


def test_without_a_margin_nothing_fails(count):
    done = count(result(cell()), result(cell((600,) * 3, functions={"f": 400, "g": 150, "memcpy": 50})))
    assert done.returncode == 0 and "memcpy +50, g +50" not in done.stdout and "g +50, memcpy +50" in done.stdout


def test_what_is_not_exact_is_judged_with_its_scatter_and_more(count):
    loose = {"recvfrom": 1, "futex": 4.0}
    before = result(cell((1000, 1020, 1040), loose))
    more_calls = result(cell((1030, 1045, 1050), {"recvfrom": 1, "futex": 4.3}))
    assert count(before, more_calls, "--fail-over", "1%").returncode == 0
    more_instructions = result(cell((1060, 1070, 1080), loose))
    assert count(before, more_instructions, "--fail-over", "1%").returncode == 0, "within 5 % it may be the load"
    done = count(before, result(cell((1100, 1110, 1120), loose)), "--fail-over", "1%")
    assert done.returncode == 1 and "instructions ~ 1,020 to ~ 1,110 (+8.82 %)" in done.stdout
    many_more_calls = result(cell((1030, 1045, 1050), {"recvfrom": 1, "futex": 5.0}))
    assert count(before, many_more_calls, "--fail-over", "1%").returncode == 1


def test_what_is_not_exact_and_was_counted_once_cannot_be_judged(count):
    once = result(cell((1000,), {"futex": 4.0}), repeats=1)
    done = count(once, once, "--fail-over", "1%")
    assert done.returncode == 2 and "not exact, and counted once in A and B" in done.stdout


def test_a_cell_that_one_result_lacks_cannot_be_judged(count):
    done = count(result(cell(), cell(variant="poll")), result(cell()), "--fail-over", "1%")
    assert done.returncode == 2 and "undecided: poll, 1 connection: only in A" in done.stdout


def test_a_regression_outranks_what_cannot_be_judged(count):
    done = count(result(cell(), cell(variant="poll")), result(cell((600,) * 3)), "--fail-over", "1%")
    assert done.returncode == 1 and "undecided" in done.stdout and "regression" in done.stdout


def test_other_requests_are_not_compared(count):
    done = count(result(cell()), result(cell(), payload_bytes=65), "--fail-over", "1%")
    assert done.returncode == 2 and "not comparable: payload: 64 in one and 65 in the other" in done.stdout


def test_what_differs_apart_from_the_code_is_reported():
    first, second = result(cell()), result(cell())
    second["host"]["libc"], second["tool"]["sha256"] = "glibc 2.41", "01"
    second["tool"]["build"] = {"flags": "-O2"}
    assert changes.compare(document.result_of(first), document.result_of(second)).remarks == [
        "different C library: glibc 2.36 against glibc 2.41", "different flags: None against -O2"]


# ---- the command line ----

@pytest.mark.parametrize("arguments, complaint", [
    (["nobody"], "no variant 'nobody': there are iterative"), (["--fail-over", "1%"], "--fail-over: give two results"),
    (["epoll", "epoll", "--fail-over", "1%"], "epoll: there is no result"), (["--payload", "1M"], "--payload"),
    (["--payload", "0", "--framing", "line"], "from 1 to"),
    (["iterative", "--connections", "2"], "iterative serves one client at a time"),
    (["--connections", "1,x"], "not a whole number"), (["a", "b", "c"], "no variant 'a'")])
def test_mistakes_are_refused(echobench, arguments, complaint):
    done = echobench("count", *arguments)
    assert done.returncode == 2 and complaint in done.stderr


def test_options_of_counting_are_refused_with_two_results(count):
    done = count(result(cell()), result(cell()), "--repeats", "2")
    assert done.returncode == 2 and "--repeats: has no effect" in done.stderr


@pytest.mark.parametrize("missing", ["valgrind", "strace"])
def test_a_missing_tool_is_named_with_what_installs_it(echobench, tmp_path, missing):
    for program in {"valgrind", "strace"} - {missing}:
        (tmp_path / program).write_text(f"#!/bin/sh\necho {program}-1.0\n")
        (tmp_path / program).chmod(0o755)
    done = echobench("count", "epoll", "--out", tmp_path / "r", PATH=str(tmp_path))
    assert done.returncode == 1 and f"needs {missing}" in done.stderr and "scripts/dependencies" in done.stderr


def test_a_server_that_serves_nobody_is_a_failure(echobench, tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "TOOLS", (tools.NATIVE,))
    done = echobench("count", "epoll", "--out", tmp_path / "r", FAKE_BROKEN_SERVER="epoll")
    assert done.returncode == 1 and "cannot listen: made to fail" in done.stderr
    assert not (tmp_path / "r" / "count.json").exists()


TWO_PROCESSES = """\
import json, os, signal, socket
listener = socket.create_server(("127.0.0.1", 0))
child = os.fork()
if child:
    address = "127.0.0.1:%d" % listener.getsockname()[1]
    print(json.dumps({"event": "listening", "addresses": [address], "pid": os.getpid()}), flush=True)
signal.pause()
"""


def test_a_server_of_several_processes_is_refused_not_miscounted(echobench, tmp_path, monkeypatch):
    (tmp_path / "two.py").write_text(TWO_PROCESSES)
    with pytest.raises(SeveralProcesses, match="serves with 2 processes"):
        with Driven(["/usr/bin/python3", str(tmp_path / "two.py")], Shape(1, "frame", 64)):
            pass
    monkeypatch.setattr(measure.Plan, "command", lambda *_: ["/usr/bin/python3", str(tmp_path / "two.py")])
    monkeypatch.setattr(tools, "TOOLS", (tools.NATIVE,))
    done = echobench("count", "epoll", "--connections", "1", "--out", tmp_path / "r")
    assert done.returncode == 1
    assert "nothing could be counted: epoll is not counted with 1 connection: it serves with 2" in done.stderr


def test_an_interrupted_count_keeps_what_it_has_counted(echobench, tmp_path, monkeypatch):
    def measure_one(_, which):
        if which.connections == 64:
            raise KeyboardInterrupt
        return cell()
    monkeypatch.setattr(measure.Measurement, "measure", measure_one)
    monkeypatch.setattr(tools, "versions", lambda: {"valgrind": "1", "strace": "1"})
    done = echobench("count", "epoll", "--out", tmp_path / "r")
    assert done.returncode == 130 and "counted 1 of 2 cells" in done.stdout
    stored = document.load(tmp_path / "r")
    assert stored["complete"] is False and [counted["connections"] for counted in stored["cells"]] == [1]
    unfinished = document.result_of(stored)
    assert "A was not finished" in changes.compare(unfinished, unfinished).remarks


def test_variants_of_the_second_program_are_counted_by_it():
    plan = measure.Plan([], "frame", 64, 1, {}, [])
    with mock.patch.object(measure, "program", lambda folder, name: Path(folder) / name):
        assert plan.command(Cell("asio-callback-uring", 1, "echo-server-uring"))[0] == "servers/echo-server-uring"


# ---- the real thing ----

@pytest.mark.skipif(not os.access(BUILD / "servers" / "echo-server", os.X_OK), reason=f"no echo-server in {BUILD}")
@pytest.mark.skipif(not (shutil.which("valgrind") and shutil.which("strace")), reason="valgrind or strace missing")
def test_counts_of_the_real_server_repeat(echobench, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "LENGTHS", ((10, 2), (60, 4)))
    done = echobench("count", "epoll", "--connections", "1", "--repeats", "2", "--out", tmp_path / "r",
                     ECHOBENCH_BUILD=str(BUILD))
    assert done.returncode == 0, done.stdout + done.stderr
    stored = document.load(tmp_path / "r")
    [counted] = stored["cells"]
    assert not counted["refused"] and not counted["inexact"]
    instructions = counted["figures"]["instructions"]
    assert instructions["exact"] and instructions["per_request"] > 100
    assert {name: call["values"] for name, call in counted["system_calls"].items()} == {
        "epoll_wait": [1, 1], "recvfrom": [1, 1], "sendto": [1, 1]}
    assert counted["figures"]["allocations"]["values"] == counted["figures"]["allocated_bytes"]["values"] == [0, 0]
    by_function = [function["instructions"] for function in counted["functions"]]
    assert sum(by_function) == pytest.approx(instructions["per_request"])
    assert any("readiness_loop" in function["name"] for function in counted["functions"][:8])
    assert "epoll_wait, recvfrom, sendto" in done.stdout
    assert echobench("count", tmp_path / "r", tmp_path / "r", "--fail-over", "1%").returncode == 0


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind missing")
@pytest.mark.skipif(not os.access(BUILD / "servers" / "echo-server", os.X_OK), reason=f"no echo-server in {BUILD}")
def test_a_server_that_waits_for_a_ring_is_ended_and_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOBENCH_BUILD", str(BUILD))
    if reason := next(entry["unavailable_reason"] for entry in list_variants() if entry["name"] == "io-uring"):
        pytest.skip(reason)
    monkeypatch.setattr(drive, "SIGNAL_S", 1)  # during which valgrind keeps the signal back
    totals = []
    for rounds in (2, 4, 4):
        out = tmp_path / "out"
        command = [BUILD / "servers" / "echo-server", "--variant", "io-uring", "--port", "0", "--threads", "1",
                   "--framing", "raw"]
        with Driven([*tools.CALLGRIND.command(out), *map(str, command)], Shape(1, "raw", 64)) as server:
            server.rounds(rounds)
            server.end()
        totals.append(tools.CALLGRIND.read(out.read_text()).counts["instructions"])
    assert totals[0] < totals[1] == totals[2]
