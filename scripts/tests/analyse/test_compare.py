"""`compare`: what it says of two results, and its exit statuses."""

import json
import re

import pytest
from conftest import SMALL, run_experiment

from echobench_lib.analyse import compare

FOUR = {**SMALL, "restarts": 4, "controls": ["epoll"], "loads": [{"load": "crr", "connections": [10, 1000]}]}


@pytest.fixture(autouse=True)
def straight(monkeypatch):
    """The fake shows the control's slow-down in every load."""
    monkeypatch.setenv("FAKE_STRAIGHT", "1")


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """Measured once: every test only reads it."""
    return run_experiment(tmp_path_factory.mktemp("before"), FOUR, "--no-report", FAKE_STRAIGHT="1")[0]


def edited(folder, change, tmp_path, name="edited.json"):
    """A copy of a result with `change` applied to its document."""
    document = json.loads((folder / "result.json" if folder.is_dir() else folder).read_text())
    change(document)
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return path


def test_like_results_do_not_differ(echobench, before, measure):
    done = echobench("compare", before, measure("after", {**FOUR, "seed": 100}), "--fail-over", "10%")
    assert done.returncode == 0, done.stdout
    assert "connect, request, close, 1,000 connections" in done.stdout and "asio-callback" in done.stdout
    assert "% would have shown)" in done.stdout and "no figure is shown to be worse by more than 10 %" in done.stdout
    assert "CPU per request judged in 4 cells, throughput judged in 4 cells\n" in done.stdout


def test_a_regression_fails(echobench, before, measure):
    after = measure("after", FOUR, FAKE_SLOWER="thread-pool=1.3")
    done = echobench("compare", before, after, "--fail-over", "10%")
    assert done.returncode == 1
    regressions = [line for line in done.stdout.splitlines() if line.startswith("regression:")]
    assert len(regressions) == 4 and all("thread-pool" in line for line in regressions)
    assert sum(bool(re.search(r"CPU per request (29|30)\.\d ± \d+\.\d % higher$", line)) for line in regressions) == 2
    assert echobench("compare", before, after, "--fail-over", "50%").returncode == 0
    assert echobench("compare", before, after).returncode == 0, "it is printed, but no limit was given"


def test_an_improvement_does_not_fail(echobench, before, measure):
    after = measure("after", FOUR, FAKE_SLOWER="thread-pool=0.7")
    assert echobench("compare", before, after, "--fail-over", "10%").returncode == 0


def test_the_near_bound_decides_not_the_estimate(echobench, before, measure):
    after = measure("after", FOUR, FAKE_SLOWER="thread-pool=1.102")
    assert echobench("compare", before, after, "--fail-over", "10%").returncode == 0


def test_one_restart_has_no_interval_and_decides_nothing(echobench, before, measure):
    after = measure("after", {**FOUR, "restarts": 1}, FAKE_SLOWER="thread-pool=3")
    done = echobench("compare", before, after, "--fail-over", "10%")
    assert "control inconclusive in B" in done.stdout
    assert done.returncode == 2
    assert "undecided: CPU per request and throughput could not be judged in any cell" in done.stdout
    assert echobench("compare", before, after).returncode == 0


def test_a_missing_cell_is_reported_and_undecided(echobench, before, measure):
    after = measure("after", {**FOUR, "variants": ["thread-pool", "epoll"]})
    done = echobench("compare", before, after, "--fail-over", "10%")
    assert done.returncode == 2
    assert "missing: asio-callback, connect, request, close, 10 connections" in done.stdout
    assert "only in A" in done.stdout


def test_a_regression_outranks_a_missing_cell(echobench, before, measure):
    after = measure("after", {**FOUR, "variants": ["thread-pool", "epoll"]}, FAKE_SLOWER="thread-pool=2")
    assert echobench("compare", before, after, "--fail-over", "10%").returncode == 1


@pytest.mark.parametrize("change, reason", [
    ({"payloads": [1024]}, "no workload is in both"),
    ({"loads": [{"load": "closed-loop", "connections": [7], "duration": "1s"}]}, "no workload is in both"),
    ({"reference": "thread-pool"}, "ratios refer to epoll in one file and to thread-pool in the other")])
def test_what_was_asked_differently_is_not_comparable(echobench, before, measure, change, reason):
    done = echobench("compare", before, measure("after", {**FOUR, **change}))
    assert done.returncode == 2
    assert done.stdout.startswith("not comparable: ") and reason in done.stdout


@pytest.mark.parametrize("change, name", [
    ({"op_param_us": 1000}, "/work:1ms"), ({"offload": True}, "/work:100us/offload"),
    ({"pipeline": 4}, "/work:100us/pipeline4"),
    ({"think_ns": 5_000_000, "think": "constant"}, "/work:100us/think=5ms"),
    ({"bursts": {"on_ns": 1_000_000, "off_ns": 9_000_000}}, "/work:100us/bursts=1ms/9ms"),
    ({"arrivals": "uniform"}, "/work:100us/arrivals=uniform"),
    ({"payload": "uniform:16-4Ki"}, "/work:100us/payload=uniform:16-4Ki")])
def test_another_operation_is_another_workload(echobench, before, tmp_path, change, name):
    config = {"payload_bytes": 64, "framing": "frame", "pipeline": 1, "op": "work", "op_param_us": 100,
              "offload": False}

    def plain(config, file):
        document = json.loads((before / "result.json").read_text())
        cells = [{key: value for key, value in cell.items() if key not in ("restart", "block", "load", "workload")}
                 for cell in document["cells"] if cell["block"] == "crr/c10/64B/frame" and cell["restart"] == 0]
        (tmp_path / file).write_text(json.dumps({"schema_version": 2, "tool": {}, "host": {}, "argv": [],
                                                 "config": config, "cells": cells}))
        return tmp_path / file
    a, b = plain(config, "a.json"), plain({**config, **change}, "b.json")
    assert echobench("compare", a, a).returncode == 0
    done = echobench("compare", a, b)
    assert done.returncode == 2
    assert ("no workload is in both: closed-loop/c10/64B/frame/work:100us against "
            f"closed-loop/c10/64B/frame{name}\n") in done.stdout


def test_other_server_threads_are_not_comparable(echobench, before, tmp_path):
    other = edited(before, lambda document: document["placement"].update(server_threads=4), tmp_path)
    done = echobench("compare", before, other)
    assert done.returncode == 2 and "threads" in done.stdout


@pytest.mark.parametrize("change, says", [
    ({"cpu": "another"}, "CPU: fake against another"),
    ({"mitigations": {"spectre_v2": "Mitigation: Retpolines"}},
     "mitigation of spectre_v2: Vulnerable against Mitigation: Retpolines")])
def test_another_host_is_not_comparable_unless_that_is_asked_for(echobench, before, tmp_path, change, says):
    first = edited(before, lambda document: document["host"].update(mitigations={"spectre_v2": "Vulnerable"}), tmp_path,
                   "a.json")
    other = edited(first, lambda document: document["host"].update(change), tmp_path, "b.json")
    done = echobench("compare", first, other, "--fail-over", "10%")
    assert done.returncode == 2 and f"not comparable: another host: {says}" in done.stdout
    done = echobench("compare", first, other, "--fail-over", "10%", "--across-hosts")
    assert done.returncode == 0 and f"different {says}" in done.stdout


def test_another_engine_of_the_client_is_not_comparable(echobench, before, tmp_path):
    def by(engine):
        def change(document):
            for run in document["runs"]:
                run["config"]["engine"] = engine
        return edited(before, change, tmp_path, f"{engine}.json")
    done = echobench("compare", by("epoll"), by("io-uring"))
    assert done.returncode == 2 and "not comparable: the client's engine: epoll against io-uring" in done.stdout


def test_a_slower_machine_is_no_regression(echobench, before, tmp_path):
    def slow_down(document):
        for cell in document["cells"]:
            cell["throughput_per_s"] /= 2
            for piece in cell["slices"]:
                piece["server_cpu_ns"] *= 2
                piece["elapsed_ns"] *= 2
            cell["server"]["stopped"]["burnt_ns"] *= 2
    assert echobench("compare", before, edited(before, slow_down, tmp_path), "--fail-over", "5%").returncode == 0


def test_what_a_ratio_to_the_reference_cannot_show_is_said(echobench, before, tmp_path):
    def slow_down_everything(document):
        for cell in document["cells"]:
            for piece in cell["slices"]:
                piece["server_cpu_ns"] *= 2
            cell["server"]["stopped"]["burnt_ns"] *= 2
    done = echobench("compare", before, edited(before, slow_down_everything, tmp_path), "--fail-over", "10%")
    assert done.returncode == 0 and "by more than 10 % relative to epoll" in done.stdout
    assert "a change of epoll itself, or of code that all variants share, does not show" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("epoll ")]
    assert len(rows) == 2 and all(row[1:3] == ["reference", "reference"] for row in rows)
    for row in rows:
        assert float(row[5].strip(",")) == pytest.approx(2 * float(row[3].strip(",")), rel=0.01)


def test_throughput_of_a_bottlenecked_client_is_not_compared(echobench, measure):
    experiment = {**FOUR, "loads": [{"load": "crr", "connections": [100]}]}
    done = echobench("compare", measure("a", experiment), measure("b", experiment), "--fail-over", "10%")
    assert done.returncode == 0 and "throughput not judged in 2 of 2 cells: client-bound" in done.stdout
    assert "CPU per request judged in 2 cells, throughput judged in 0 cells" in done.stdout


def test_a_plain_closed_loop_judges_no_cost(echobench, measure):
    experiment = {**FOUR, "loads": [{"load": "closed-loop", "connections": [10], "duration": "1s"}]}
    after = measure("b", experiment, FAKE_SLOWER="thread-pool=2")
    done = echobench("compare", measure("a", experiment), after, "--fail-over", "10%")
    assert done.returncode == 1
    assert "CPU per request not judged in 2 of 2 cells: biased by the closed loop" in done.stdout
    assert re.search(r"^regression: .*throughput (49|50)\.\d ± \d+\.\d % lower$", done.stdout, re.M)


def test_a_figure_whose_control_did_not_pass_judges_nothing(echobench, measure, monkeypatch):
    monkeypatch.delenv("FAKE_STRAIGHT")
    done = echobench("compare", measure("a", FOUR), measure("b", FOUR, FAKE_SLOWER="thread-pool=2"), "--fail-over",
                     "10%")
    assert done.returncode == 2
    assert "undecided: CPU per request and throughput could not be judged in any cell" in done.stdout
    assert "CPU per request not judged in 4 of 4 cells: control biased in A" in done.stdout


def test_without_a_control_nothing_is_judged(echobench, measure):
    experiment = {**FOUR, "controls": []}
    done = echobench("compare", measure("a", experiment), measure("b", experiment), "--fail-over", "10%")
    assert done.returncode == 2 and "CPU per request not judged in 4 of 4 cells: no control in A" in done.stdout


def test_costs_at_equal_load_and_at_saturation_are_judged(echobench, measure):
    experiment = {**FOUR, "loads": [{"load": "equal-load", "connections": [10], "rates": [1000]},
                                    {"load": "saturation", "connections": [10]}]}
    after = measure("b", experiment, FAKE_SLOWER="thread-pool=1.3")
    done = echobench("compare", measure("a", experiment), after, "--fail-over", "10%")
    regressions = [line for line in done.stdout.splitlines() if line.startswith("regression:")]
    assert done.returncode == 1 and len(regressions) == 2
    assert "equal load, 10 connections" in regressions[0] and "saturation, 10 connections" in regressions[1]
    assert all(re.search(r"CPU per request \d+\.\d ± \d+\.\d % higher$", line) for line in regressions)


def only_thread_pool_over_10(document, change):
    for cell in document["cells"]:
        if cell["variant"] == "thread-pool" and cell["connections"]["asked"] == 10:
            change(cell)


def test_one_cell_without_an_interval_cannot_hide_behind_the_others(echobench, before, tmp_path):
    def keep_one(document):
        document["cells"] = [cell for cell in document["cells"] if cell["restart"] == 0 or
                             (cell["variant"], cell["connections"]["asked"]) != ("thread-pool", 10)]
    done = echobench("compare", before, edited(before, keep_one, tmp_path), "--fail-over", "10%")
    assert done.returncode == 2 and "no figure is" not in done.stdout
    assert [line.split(":")[1] for line in done.stdout.splitlines() if line.startswith("undecided")] == [
        " thread-pool, connect, request, close, 10 connections, 64-byte frame"]


@pytest.mark.parametrize("key, what", [("server_cpu_ns", "CPU per request"), ("requests", "throughput")])
def test_a_figure_that_is_missing_cannot_pass(echobench, before, tmp_path, key, what):
    def forget(cell):
        for piece in cell["slices"]:
            piece[key] = 0
    after = edited(before, lambda document: only_thread_pool_over_10(document, forget), tmp_path)
    done = echobench("compare", before, after, "--fail-over", "10%")
    assert done.returncode == 2
    assert ("undecided: thread-pool, connect, request, close, 10 connections, 64-byte frame: "
            f"{what} is missing") in done.stdout


@pytest.mark.parametrize("variant", ["thread-pool", "epoll"])
def test_a_cell_with_errors_cannot_pass_a_gate(echobench, before, tmp_path, variant):
    def fail(document):
        for cell in document["cells"]:
            if cell["variant"] == variant and cell["connections"]["asked"] == 10:
                cell.update(verdict="errors", reasons=["refused"])
    done = echobench("compare", before, edited(before, fail, tmp_path), "--fail-over", "10%")
    assert done.returncode == 2
    assert ("not comparable: thread-pool, connect, request, close, 10 connections, 64-byte frame: "
            f"{variant} is errors in B") in done.stdout


def test_equal_loads_at_other_rates_are_not_compared(echobench, measure, tmp_path):
    a = measure("a", {**FOUR, "loads": [{"load": "closed-loop", "connections": [10]},
                                        {"load": "equal-load", "connections": [10], "rates": ["50%"]}]})

    def faster(factor):
        def change(document):
            for cell in document["cells"]:
                if "rate_per_s" in cell["workload"]:
                    cell["workload"]["rate_per_s"] *= factor
        return change
    done = echobench("compare", a, edited(a, faster(2), tmp_path))
    assert re.search(r"equal load, 10 connections, 64-byte frame, \S+ requests/s to each "
                     r"\(50 % of the lowest capacity\): \S+ requests/s in A, ", done.stdout)
    assert "not comparable" not in echobench("compare", a, edited(a, faster(1.1), tmp_path)).stdout


def test_a_file_that_is_no_result_is_refused_with_the_place(echobench, before, tmp_path):
    broken = edited(before, lambda document: document["cells"][0].update(verdict="splendid"), tmp_path)
    done = echobench("compare", before, broken)
    assert done.returncode == 2 and "cells/0/verdict" in done.stderr and "splendid" in done.stderr


def test_a_damaged_histogram_is_refused_with_the_file_and_the_place(echobench, before, tmp_path):
    def damage(document):
        document["cells"][1]["histograms"]["service"] = document["cells"][1]["histograms"]["service"][:100]
    broken = edited(before, damage, tmp_path)
    for arguments in (("compare", before, broken), ("report", broken, "--no-page")):
        done = echobench(*arguments)
        assert done.returncode == 2 and f"{broken}: at cells/1/histograms/service: " in done.stderr


def test_latency_at_equal_load_is_judged_too(echobench, measure):
    equal = {**FOUR, "loads": [{"load": "closed-loop", "connections": [10], "duration": "1s", "restarts": 1},
                               {"load": "equal-load", "connections": [10], "rates": ["50%"]}]}
    before = measure("equal", equal)

    def slow(document):
        for number, cell in enumerate(document["cells"]):
            if cell["load"] == "equal-load" and cell["variant"] == "thread-pool":
                cell["response_ns"]["p50"] = round(cell["response_ns"]["p50"] * (1.3 + number / 1e4))
    done = echobench("compare", before, edited(before, slow, before), "--fail-over", "10%")
    assert done.returncode == 1
    assert re.search(r"regression: thread-pool, equal load, 10 connections, 64-byte frame, \S+ requests/s to each .*: "
                     r"p50 3\d\.\d ± \d+\.\d % higher", done.stdout)


@pytest.mark.parametrize("rates, same", [((1000, 1099), True), ((1000, 1101), False), ((1101, 1000), False),
                                         ((None, None), True), ((1000, None), False)])
def test_rates_that_are_more_than_a_tenth_apart_are_not_the_same_load(rates, same):
    assert compare._same_rate(*rates) is same
