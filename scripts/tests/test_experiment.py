import json

import pytest

from echobench_lib import Usage, experiment
from echobench_lib.placement import format_cpu_list, parse_cpu_list, place
from echobench_lib.runner import Runner
from echobench_lib.units import parse_time_ns

LISTED = [{"name": name, "summary": "", "holds": holds, "unavailable_reason": reason} for name, holds, reason in (
    ("iterative", "one", ""), ("prethreaded", "threads", ""), ("thread-per-connection", "any", ""),
    ("thread-pool", "any", ""), ("asio-callback", "any", ""), ("asio-coroutine", "any", ""), ("epoll", "any", ""),
    ("io-uring", "any", "the kernel forbids it"))]


def expand(write, loads, variants=("iterative", "epoll", "thread-pool"), **more):
    path = write({"summary": "s", "variants": list(variants), "loads": loads, **more})
    return experiment.expand(*experiment.load_document(path), LISTED)


def closed(*connections, **more):
    return [{"load": "closed", "connections": list(connections), **more}]


@pytest.fixture
def quick():
    return experiment.expand(*experiment.load_document("quick"), LISTED)


def test_quick_is_the_matrix_that_it_should_be(quick):
    cells = {(block.load, block.connections, variant) for block in quick.blocks for variant in block.variants}
    holders = {"thread-per-connection", "thread-pool", "asio-callback", "asio-coroutine", "epoll"}
    expected = {("closed", c, v) for c in (1, 100, 1000, 5000) for v in holders}
    expected |= {("open", 1000, v) for v in holders} | {("crr", 100, v) for v in holders}
    expected |= {("closed", 1, "iterative"), ("crr", 100, "iterative")}
    assert cells == expected
    assert all(block.payload_bytes == 64 and block.framing == "frame" for block in quick.blocks)


def test_every_block_holds_the_reference_and_fits_one_process(quick):
    for block in quick.blocks:
        assert "epoll" in block.variants
        assert block.load == "crr" or block.connections * len(block.variants) <= 15_000


def test_quick_fits_its_five_minutes(quick, tmp_path):
    runner = Runner("quick", quick, place([(0,), (1,)]), tmp_path)
    assert parse_time_ns(quick.document["budget"]) == 300 * 10**9
    assert 120 < runner.estimate_s(quick.order()) <= 300


def test_restarts_are_spread_over_the_run_in_an_order_drawn_from_the_seed(quick):
    order = quick.order()
    assert order == quick.order()
    assert [restart for restart, _ in order] == sorted(restart for restart, _ in order)
    assert len(set(order)) == len(order) == sum(block.restarts for block in quick.blocks)
    names = [[block.name for restart, block in order if restart == n] for n in range(3)]
    assert names[1] != names[2] and sorted(names[1]) == sorted(names[2])


def test_a_rate_that_is_half_of_a_capacity_waits_for_the_capacity(quick):
    first = [block for restart, block in quick.order() if restart == 0]
    assert first[-1].load == "open"


def test_a_variant_gets_only_what_it_holds(write):
    made = expand(write, closed(1, 2, 100), ("iterative", "prethreaded", "epoll"), placement={"server_threads": 2})
    assert [block.variants for block in made.blocks] == [
        ("iterative", "prethreaded", "epoll"), ("prethreaded", "epoll"), ("epoll",)]
    assert any("iterative" in text and "100" in text for text in made.unserved)


def test_an_unavailable_variant_is_told_not_measured(write):
    made = expand(write, closed(1), ("io-uring", "epoll"))
    assert made.unavailable == {"io-uring": "the kernel forbids it"}
    assert made.blocks[0].variants == ("epoll",)


def test_a_foreign_server_meets_the_reference_in_its_own_framing(write):
    mine = {"name": "mine", "command": ["./mine", "{port}"], "framing": "raw"}
    made = expand(write, closed(10), ("thread-pool", "epoll", mine))
    assert {(block.framing, block.variants) for block in made.blocks} == {
        ("frame", ("thread-pool", "epoll")), ("raw", ("epoll", "mine"))}


def test_slices_follow_the_rule_of_echo_load(write):
    def slice_ns(load, connections, assumed, **more):
        return expand(write, [{"load": load, "connections": [connections], "assumed_rate": assumed, **more}],
                      ("epoll",)).blocks[0].slice_ns()
    assert slice_ns("closed", 1, "20k") == 20_000_000                 # the floor
    assert slice_ns("closed", 5000, "50k") == 2_000_000_000           # 20 turns of 100 ms
    assert slice_ns("open", 1000, "1M", rate=10) == 1_000_000_000     # open loop: queues must build


def test_a_run_is_long_enough_for_its_rounds(write):
    block, = expand(write, closed(5000, rounds=3, duration="1s", assumed_rate="50k"), ("thread-pool", "epoll")).blocks
    assert 2 * 3 * 2_000_000_000 * 1.1 < block.duration_ns() < 2 * 4 * 2_000_000_000
    assert block.duration_ns(stretch=4) == 4 * block.duration_ns()
    block, = expand(write, closed(1, rounds=3, duration="1s"), ("thread-pool", "epoll")).blocks
    assert block.duration_ns() == 1_000_000_000


@pytest.mark.parametrize("change, place_in_file, complaint", [
    ({"loads": [{"load": "closed", "connections": ["many"]}]}, "loads/0/connections/0", "many"),
    ({"loads": [{"load": "open", "connections": [1]}]}, "loads/0", "rate"),
    ({"loads": [{"load": "closed", "connections": [1], "rate": 5}]}, "loads/0", "rate"),
    ({"restarts": 0}, "restarts", "minimum"),
    ({"colour": 1}, "top level", "colour"),
    ({"warmup": "soon"}, "warmup", "soon"),
    ({"variants": [{"name": "mine", "command": ["./mine"], "framing": "raw"}]}, "variants/0/command", "port")])
def test_a_mistake_is_named_with_its_place(write, change, place_in_file, complaint):
    path = write({"summary": "s", "variants": ["epoll"], "loads": closed(1), **change})
    with pytest.raises(Usage) as error:
        experiment.load_document(path)
    assert str(path) in str(error.value) and f"at {place_in_file}:" in str(error.value)
    assert complaint in str(error.value)


@pytest.mark.parametrize("variants, loads, complaint", [
    (("epol", "epoll"), closed(1), "no variant 'epol'"), (("thread-pool",), closed(1), "reference 'epoll'"),
    (("epoll", "epoll"), closed(1), "named twice"), (("thread-pool", "epoll"), closed(10_000), "at most 7,500"),
    (("epoll",), closed(5) + closed(5), "same cells"), (("epoll",), closed(0), "1 or more")])
def test_what_cannot_be_measured_is_refused(write, variants, loads, complaint):
    with pytest.raises(Usage, match=complaint):
        expand(write, loads, variants)


def test_defaults_are_filled_in(write):
    _, document = experiment.load_document(write({"summary": "s", "variants": ["epoll"], "loads": closed(1)}))
    assert document["framing"] == "frame" and document["payloads"] == [64] and document["reference"] == "epoll"
    assert document["placement"] == {"server_threads": 1, "server_cpus": "auto", "client_cpus": "auto"}
    assert document["loads"][0]["rounds"] == 5


def test_every_stored_experiment_is_valid():
    for name in experiment.names():
        assert experiment.load_document(name)[1]["summary"]
    json.loads(experiment.SCHEMA_FILE.read_text())


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
