"""Which CPUs the servers and the load generator get."""

import pytest

from echobench_lib import Usage
from echobench_lib.plan.placement import format_cpu_list, parse_cpu_list, place


def test_two_cores_are_one_each():
    placed = place([(0,), (1,)])
    assert (placed.server_cpus, placed.client_cpus, placed.shared) == ("0", "1", False)


def test_siblings_stay_together_and_sets_stay_disjoint():
    placed = place([(0, 4), (1, 5), (2, 6), (3, 7)], server_threads=2)
    assert (placed.server_cpus, placed.client_cpus, placed.client_threads) == ("0-1,4-5", "2-3,6-7", 2)
    with pytest.raises(Usage, match="siblings"):
        place([(0, 1), (2, 3)], 1, "0", "1")
    with pytest.raises(Usage, match="share CPU 2"):
        place([(0,), (1,), (2,)], 1, "0,2", "1-2")
    with pytest.raises(Usage, match="CPUs 9"):
        place([(0,), (1,)], 1, "0", "9")


def test_one_core_is_shared_and_says_so():
    assert place([(0,)]).shared


def test_cpu_lists_read_as_they_are_written():
    assert parse_cpu_list("0,2-4") == [0, 2, 3, 4]
    assert format_cpu_list([4, 0, 2, 3]) == "0,2-4"
