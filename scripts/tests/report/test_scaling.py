"""Thread scaling, as if this machine had cores for them; and what an idle connection costs."""

import pytest
from conftest import SMALL, cell_of

from echobench_lib import result
from echobench_lib.analyse import connections, scaling, summary
from echobench_lib.plan.topology import Topology
from echobench_lib.report import charts, tables
from echobench_lib.report.palette import Palette
from echobench_lib.report.notes import notes
from echobench_lib.report.scaling import tables as scaling_tables
from echobench_lib.run import servers, verb

SCALING = {**SMALL, "restarts": 2, "reference": "epoll@1", "placement": {"server_threads": "all"},
           "variants": [{"name": name, "variant": name, "threads": "1.."} for name in ("asio-callback", "epoll")],
           "loads": [{"load": "closed-loop", "connections": [10]}, {"load": "saturation", "connections": [4000]}]}


@pytest.fixture
def many_cores(monkeypatch):
    monkeypatch.setattr(verb, "read_topology", lambda: Topology(tuple((cpu,) for cpu in range(12))))
    monkeypatch.setattr(servers.Server, "_prepare", lambda _: None)


def test_every_step_is_measured_on_as_many_cores_and_set_against_the_first(measure, many_cores):
    stored = result.load(measure("scaling", {**SCALING, "loads": SCALING["loads"][:1]}))
    commands = {cell.variant: cell.server.command for cell in stored.cells}
    assert set(commands) == {f"{name}@{threads}" for name in ("asio-callback", "epoll") for threads in (1, 2, 4)}
    assert {name: (command[command.index("--threads") + 1], command[command.index("--cpus") + 1])
            for name, command in commands.items() if name.startswith("epoll")} == {
                "epoll@1": ("1", "0"), "epoll@2": ("2", "0-1"), "epoll@4": ("4", "0-3")}
    groups = summary.summarise(stored, "epoll@1")
    steps = {(step.of, step.threads): step for step in scaling.steps(groups[0])}
    assert steps["epoll", 1].is_first and steps["epoll", 4].speed_up.estimate == pytest.approx(4, rel=0.05)
    assert steps["asio-callback", 2].speed_up.estimate == pytest.approx(2, rel=0.05)
    assert steps["epoll", 4].speed_up.units == 2
    [table] = scaling_tables(groups)
    assert [texts[:2] for _, texts in table.rows] == [
        [name, threads] for name in ("asio-callback", "epoll") for threads in "124"]
    assert "scaling" in [chart["name"] for chart in charts.build(groups, Palette())]
    assert any(note.startswith("NAME@THREADS") for note in notes(groups, stored))
    assert not any("nothing to scale to" in note for note in notes(groups, stored))


def test_a_step_without_a_figure_is_not_the_first(measure, many_cores):
    document = result.load(measure("scaling", {**SCALING, "loads": SCALING["loads"][:1]})).document
    for cell in document["cells"]:
        if cell["variant"] == "epoll@4":
            cell["verdict"] = "starved"
    groups = summary.summarise(result.from_json(document), "epoll@1")
    texts = {(texts[0], texts[1]): texts[3:5] for _, texts in scaling_tables(groups)[0].rows}
    assert texts["epoll", "4"] == ["–", ""] and texts["epoll", "1"] == ["1", "its first step"]
    drawn = charts.build(groups, Palette())
    points = next(chart["spec"]["data"]["values"] for chart in drawn if chart["name"] == "scaling")
    assert ("epoll", 4) not in {(point["variant"], point["threads"]) for point in points}


def test_all_steps_of_a_variant_are_in_one_block_however_many_blocks_there_are(measure, many_cores):
    loads = [{"load": "closed-loop", "connections": [2500]}]
    blocks = {}
    for cell in result.load(measure("large", {**SCALING, "restarts": 1, "loads": loads})).cells:
        blocks.setdefault(cell.block, []).append(cell.variant)
    assert list(blocks.values()) == [
        [f"{name}@{threads}" for name in ("asio-callback", "epoll") for threads in (1, 2, 4)]]


def test_one_core_has_one_step_and_a_note(measure, monkeypatch):
    monkeypatch.setattr(verb, "read_topology", lambda: Topology(((0,), (1,))))
    stored = result.load(measure("one", {**SCALING, "loads": SCALING["loads"][:1]}))
    groups = summary.summarise(stored, "epoll@1")
    assert [texts[3:5] for _, texts in scaling_tables(groups)[0].rows] == [["1", "its first step"]] * 2
    assert any("nothing to scale to" in note for note in notes(groups, stored))
    assert "scaling" not in [chart["name"] for chart in charts.build(groups, Palette())]


def test_the_shares_of_loops_are_as_the_server_reports_else_as_the_client_saw():
    fairness = {"connections_per_loop": [10, 30]}
    by_client = cell_of({"fairness": fairness, "server": {"stopped": {}}})
    by_server = cell_of({"fairness": fairness, "server": {"stopped": {"requests_per_loop": [100, 100, 200]}}})
    assert scaling.loop_shares([by_client]) == [0.25, 0.75]
    assert scaling.loop_shares([cell_of({"server": {"stopped": None}})]) == []
    assert scaling.loop_shares([by_client, by_server]) == [0.25, 0.25, 0.5]
    assert scaling.Step("epoll", 3, None, None, [0.25, 0.25, 0.5]).imbalance == 1.5


def test_an_idle_connection_costs_memory_of_the_server_and_of_the_kernel(measure):
    stored = result.load(measure("idle", {**SMALL, "restarts": 1, "variants": ["thread-per-connection", "epoll"],
                                          "loads": [{"load": "idle", "connections": [1000]}]}))
    assert all("--idle-connections" in run.argv and run.argv[run.argv.index("-c") + 1] == "10" for run in stored.runs)
    [group] = summary.summarise(stored, "epoll")
    assert group.workload.connections == 1000
    threads, epoll = (group.row(name) for name in ("thread-per-connection", "epoll"))
    assert epoll.user_memory_bytes == 700 and epoll.kernel_memory_bytes == 4096 and epoll.threads_per_connection == 0
    assert threads.kernel_memory_bytes == 4096 + 16 * 1024 and threads.threads_per_connection == 1
    [table] = tables.build([group])
    assert [name for name, _ in table.columns] == [
        "variant", "user mem/conn", "kernel mem/conn", "threads/conn", "connects/s", "connect p50", "connect p99",
        "p50", "p99", "verdict"]
    assert [texts[0] for _, texts in table.rows] == ["thread-per-connection", "epoll"]


def test_without_socket_buffers_kernel_memory_is_absent():
    server = {"pss_base_bytes": 0, "pss_bytes": 100_000, "page_table_base_bytes": 0, "page_table_bytes": 4000,
              "threads_base": 1, "threads": 1, "kernel_stack_estimate_base_bytes": 16384,
              "kernel_stack_estimate_bytes": 16384}
    idle = cell_of({"load": "idle", "connections": {"opened": 200}, "server": server})
    assert connections.kernel_memory(idle) is None and connections.memory(idle) == 520
    assert connections.memory(cell_of({"load": "idle", "connections": {"opened": 10}, "server": server})) is None, "few"
