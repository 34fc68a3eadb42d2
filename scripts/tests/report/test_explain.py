"""`explain`: what a model does differently from the reference."""

import json
import re

import pytest
from conftest import SMALL, cell_of, run_echobench

from echobench_lib.analyse.behaviour import Behaviour, idle_ns_per_wakeup, turns_per_request
from echobench_lib.report.explain import differences

COSTS = {**SMALL, "controls": ["epoll"],
         "loads": [{"load": "equal-load", "connections": [10], "rates": [1000]},
                   {"load": "saturation", "connections": [10]}, {"load": "closed-loop", "connections": [10]}]}
NOTHING = ["nothing of what was seen or counted differs"]


def test_only_what_differs_is_said():
    pool = Behaviour(wakeups=1.73, turns=0.5, idle_ns=13_800, user_ns=6200, instructions=1800, system_calls=4.5,
                     calls={"recv": 1, "send": 1, "futex": 2.5})
    epoll = Behaviour(wakeups=0.56, turns=0.52, idle_ns=72_300, user_ns=2200, instructions=600, system_calls=2.5,
                      calls={"recv": 1, "send": 1, "epoll_wait": 0.5})
    assert differences(pool, epoll, "epoll") == [
        "its threads are woken 1.73 times a request, those of epoll 0.56 times (0.6 and 1.8 requests a wake-up)",
        "before each wake-up its CPU is idle for 13.8 µs, that of epoll for 72.3 µs",
        "it makes 4.50 system calls a request, epoll 2.50: futex 2.50 more, epoll_wait 0.50 fewer",
        "it executes 1,800 instructions a request outside the kernel, epoll 600",
        "outside the kernel it spends 6.2 µs a request, epoll 2.2 µs"]
    assert differences(Behaviour(turns=0.9), Behaviour(turns=0.3), "epoll") == [
        "its loop asks the kernel 0.90 times a request which connections are ready, that of epoll 0.30 times"]
    assert differences(epoll, epoll, "epoll") == NOTHING


def test_what_is_sampled_or_next_to_nothing_is_not_overstated():
    assert differences(Behaviour(user_ns=2500), Behaviour(user_ns=2000), "epoll") == NOTHING
    assert differences(Behaviour(wakeups=1.0), Behaviour(wakeups=0.0003), "epoll") == [
        "its threads are woken 1.00 times a request, those of epoll 0.00 times"]
    assert differences(Behaviour(wakeups=1.0), Behaviour(), "epoll") == NOTHING, "not known is not 0"


def cell(busy=0.4, wakeups=500, stopped=None):
    return cell_of({"server": {"busy": busy, "voluntary_switches": wakeups, "stopped": stopped},
                    "slices": [{"server_cpu_ns": 2_000_000}] * 4})


def test_idle_is_the_rest_of_the_time_between_wakeups():
    assert idle_ns_per_wakeup(cell()) == pytest.approx(12_000_000 / 500)  # 8 ms are 0.4 of 20 ms
    assert idle_ns_per_wakeup(cell(busy=0.96)) is None and idle_ns_per_wakeup(cell(wakeups=0)) is None
    assert idle_ns_per_wakeup(cell_of({})) is None


def test_turns_are_those_of_the_servers_last_line():
    assert turns_per_request(cell(stopped={"turns": 30, "requests": 120})) == 0.25
    assert turns_per_request(cell(stopped={"requests": 120})) is None and turns_per_request(cell()) is None


def test_each_model_next_to_the_reference(measure, tmp_path):
    folder = measure("costs", {**COSTS, "restarts": 5})
    done = run_echobench("explain", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "Server CPU per request (µs) at equal load, 10 connections, 64-byte frame, 1,000 requests/s to each\n")
    assert re.search(r"\n  thread-pool costs 2\.\d\d ± 0\.\d\d times what epoll costs, "
                     r"1\d\.\d and 6\.\d\d µs a request:\n", done.stdout)
    assert "at saturation" in done.stdout and "closed loop" not in done.stdout and "epoll+1us" not in done.stdout
    assert "System calls and instructions were not counted: `scripts/echobench count --out DIR`" in done.stdout


def test_counts_next_to_the_result_are_used(measure, tmp_path):
    folder = measure("costs", {**COSTS, "restarts": 5})
    figure = {"values": [1], "scatter": 0, "exact": True}
    cells = [{"variant": variant, "connections": 1, "rounds": [1, 2],
              "figures": {"system_calls": {**figure, "per_request": calls}}, "functions": [],
              "system_calls": {"futex": {**figure, "per_request": calls - 2}}, "inexact": "", "refused": {}, "runs": []}
             for variant, calls in (("epoll", 3), ("thread-pool", 6))]
    (folder / "count.json").write_text(json.dumps(
        {"schema_version": 1, "kind": "count", "tool": {"valgrind": "3", "strace": "6", "server": "s", "sha256": "0"},
         "host": {}, "started_at": "2026-11-30", "config": {"framing": "frame", "payload_bytes": 64, "repeats": 1},
         "argv": [], "unavailable": {}, "unserved": [], "cells": cells}))
    done = run_echobench("explain", folder)
    assert done.returncode == 0, done.stderr
    assert "it makes 6.00 system calls a request, epoll 3.00: futex 3.00 more" in done.stdout
    assert "those of count.json: with 1 connection, all of them ready" in done.stdout


def test_a_result_without_costs(measure):
    done = run_echobench("explain", measure("closed"))
    assert done.returncode == 0 and done.stdout == "no cost was measured, so there is nothing to explain\n"
