"""Which CPUs the servers and the load generator get."""

import pytest

from echobench_lib import Usage
from echobench_lib.plan.placement import place
from echobench_lib.plan.topology import Topology, format_cpu_list, parse_cpu_list, read_topology


def cores(*siblings):
    return Topology(siblings)


@pytest.fixture
def machine(tmp_path):
    """Makes what the kernel would show of a machine: {node: its cores}, and the quotas of its cgroups."""
    def machine(nodes, quotas={}, group="/"):
        for node, members in nodes.items():
            for core in members:
                for cpu in core:
                    file = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
                    file.parent.mkdir(parents=True)
                    file.write_text(format_cpu_list(core) + "\n")
            file = tmp_path / f"sys/devices/system/node/node{node}/cpulist"
            file.parent.mkdir(parents=True)
            file.write_text(format_cpu_list([cpu for core in members for cpu in core]) + "\n")
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(f"0::{group}\n")
        for path, text in quotas.items():
            file = tmp_path / "sys/fs/cgroup" / path / "cpu.max"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        return read_topology(tmp_path, [cpu for members in nodes.values() for core in members for cpu in core])
    return machine


def smt(first, count, offset):
    """`count` cores of two siblings each, as Linux numbers them."""
    return [(cpu, cpu + offset) for cpu in range(first, first + count)]


def test_two_cores_are_one_each():
    placed = place(cores((0,), (1,)))
    assert (placed.server_cpus, placed.client_cpus, placed.shared) == ("0", "1", False)


def test_siblings_stay_together_and_sets_stay_disjoint():
    placed = place(cores((0, 4), (1, 5), (2, 6), (3, 7)), server_threads=2)
    assert (placed.server_cpus, placed.client_cpus, placed.client_threads) == ("0-1,4-5", "2-3,6-7", 2)
    with pytest.raises(Usage, match="siblings"):
        place(cores((0, 1), (2, 3)), 1, "0", "1")
    with pytest.raises(Usage, match="share CPU 2"):
        place(cores((0,), (1,), (2,)), 1, "0,2", "1-2")
    with pytest.raises(Usage, match="CPUs 9"):
        place(cores((0,), (1,)), 1, "0", "9")


def test_one_core_is_shared():
    assert place(cores((0,))).shared


def test_cpu_lists_read_as_they_are_written():
    assert parse_cpu_list("0,2-4") == [0, 2, 3, 4]
    assert format_cpu_list([4, 0, 2, 3]) == "0,2-4"


@pytest.mark.parametrize("text", ["", "a", "1-", "1-0", "0,3-2"])
def test_what_is_no_cpu_list_is_refused(text):
    with pytest.raises(ValueError):
        parse_cpu_list(text)
    with pytest.raises(Usage, match="must be lists of CPUs such as 0,2-3"):
        place(cores((0,), (1,)), 1, "0", text)


def test_a_server_that_fits_one_node_stays_there(machine):
    """Two nodes of 16 cores with SMT: what is wanted fits one node, then the server alone does, then neither."""
    topology = machine({0: smt(0, 16, 32), 1: smt(16, 16, 32)})
    assert len(topology.cores) == 32 and topology.cores[0] == (0, 32) and topology.node((16, 48)) == 1
    placed = place(topology, 4)
    assert (placed.server_cpus, placed.client_cpus, placed.server_nodes) == ("0-3,32-35", "4-11,36-43", (0,))
    placed = place(topology, 16)
    assert (placed.server_cpus, placed.client_cpus, placed.server_nodes) == ("0-15,32-47", "16-31,48-63", (0,))
    placed = place(topology, "all")
    assert (placed.server_threads, placed.server_nodes, placed.client_threads) == (10, (0,), 20)
    assert placed.warnings == []


def test_the_node_that_holds_all_is_taken_and_else_the_largest_first(machine):
    topology = machine({0: smt(0, 2, 100), 1: smt(2, 6, 100)})
    placed = place(topology, 2)
    assert (placed.server_cpus, placed.client_cpus) == ("2-3,102-103", "4-7,104-107")
    placed = place(topology, 4)
    assert (placed.server_cpus, placed.server_nodes) == ("2-5,102-105", (1,))


def test_a_server_that_must_span_nodes_is_a_warning(machine):
    placed = place(machine({0: [(0,), (1,)], 1: [(2,), (3,)], 2: [(4,), (5,)]}), 3)
    assert placed.server_nodes == (0, 1) and placed.warnings == ["the servers span the NUMA nodes 0, 1"]


def test_the_servers_first_cores_are_those_of_fewer_threads(machine):
    placed = place(machine({0: smt(0, 12, 12)}), "all")
    assert [placed.cpus_of(cores) for cores in (1, 2, None)] == ["0,12", "0-1,12-13", "0-3,12-15"]


def test_no_more_cores_are_used_than_the_cgroup_allows(machine):
    quotas = {"docker": "400000 100000", "": "max 100000", "docker/abc": "max 100000"}
    topology = machine({0: [(cpu,) for cpu in range(8)]}, quotas, "/docker/abc")
    assert topology.quota == 4
    placed = place(topology, 8)
    assert (placed.server_cpus, placed.client_cpus, placed.throttled) == ("0-1", "2-3", False)
    assert place(topology, 1).warnings == []
    assert place(topology, 2, "0-3", "4-7").throttled, "explicit lists are taken as they are, with a warning"


def test_siblings_count_towards_the_quota(machine):
    placed = place(machine({0: smt(0, 8, 8)}, {"": "600000 100000"}), 2)
    assert (placed.server_cpus, placed.client_cpus) == ("0,8", "1-2,9-10")


def test_a_quota_below_two_cores_is_a_warning(machine):
    topology = machine({0: [(0,), (1,), (2,)]}, {"": "150000 100000"})
    placed = place(topology)
    assert (placed.server_cpus, placed.client_cpus, placed.shared) == ("0", "1", False)
    assert placed.warnings == ["the cgroup allows 1.5 CPUs, and more are in use: the kernel will stop threads, which "
                               "distorts every figure"]


def test_a_machine_that_shows_nothing_is_taken_as_it_is(tmp_path):
    assert read_topology(tmp_path, [0, 1]) == Topology(((0,), (1,)), (0, 0), None)
