import json

import pytest

from echobench_lib import REPOSITORY, Usage, pattern
from echobench_lib.plan import blocks, experiment, variants
from echobench_lib.plan.placement import place
from echobench_lib.plan.topology import Topology
from echobench_lib.report.palette import Palette
from echobench_lib.run.runner import Runner
from echobench_lib.units import parse_time_ns

LISTED = [
    {"name": name, "summary": "", "holds": holds, "unavailable_reason": reason, "program": "echo-server"}
    for name, holds, reason in (
        ("iterative", "one", ""), ("prethreaded", "threads", ""), ("thread-per-connection", "any", ""),
        ("thread-pool", "any", ""), ("asio-callback", "any", ""), ("asio-coroutine", "any", ""), ("epoll", "any", ""),
        ("io-uring", "any", "the kernel forbids it"))]


def expand_document(name, document, listed=LISTED, cores=2):
    """As if on a machine with that many cores."""
    placement = place(Topology(tuple((cpu,) for cpu in range(cores))), **document["placement"])
    return experiment.expand(name, document, listed, placement)


def expand(write, loads, variants=("iterative", "epoll", "thread-pool"), **more):
    path = write({"summary": "s", "variants": list(variants), "loads": loads, "controls": [], **more})
    return expand_document(*experiment.load_document(path))


def closed_loop(*connections, **more):
    return [{"load": "closed-loop", "connections": list(connections), **more}]


@pytest.fixture
def known_runtimes(tmp_path, monkeypatch):
    """Two servers, as if servers/other_runtimes had them; one cannot run here."""
    entries = [{"name": "python-streams", "command": ["python3", "servers/other_runtimes/streams.py", "{port}"],
                "framing": "raw"},
               {"name": "python-uvloop", "command": ["python3", "servers/other_runtimes/uvloop_server.py", "{port}"],
                "framing": "raw", "needs": {"command": ["false"], "reason": "python3-uvloop is not installed"}}]
    monkeypatch.setattr(variants, "OTHER_RUNTIMES_FILE", tmp_path / "other_runtimes.json")
    variants.OTHER_RUNTIMES_FILE.write_text(json.dumps(entries))
    return entries


@pytest.fixture
def quick():
    return expand_document(*experiment.load_document("quick"))


def test_all_is_every_variant_of_ours_in_the_order_of_the_list(write, known_runtimes):
    pool = {"name": "thread-pool", "variant": "thread-pool", "threads": 2}
    deep = {"name": "deep-queue", "variant": "epoll", "options": ["--backlog", "9"]}
    expanded = expand(write, closed_loop(1), [deep, "all", pool, "python-streams", "epoll"])
    names = [entry["name"] for entry in expanded.document["variants"]]
    assert names == ["deep-queue", *(entry["name"] for entry in LISTED), "python-streams"]
    assert pool in expanded.document["variants"] and expanded.variants["thread-pool"].threads == 2
    assert expanded.unavailable == {"io-uring": "the kernel forbids it"}


def test_every_variant_of_ours_is_in_models(known_runtimes):
    document = experiment.load_document("models")[1]
    document["variants"] = [entry for entry in document["variants"] if isinstance(entry, dict) or entry == "all"]
    newer = {**LISTED[0], "name": "newer", "holds": "any", "family": "threads", "colour": "#000000"}
    expanded = expand_document("models", document, [*LISTED, newer])
    assert {"newer", *(entry["name"] for entry in LISTED)} == {
        *(block_variant.split("+")[0] for block_variant in expanded.variants), *expanded.unavailable}
    assert expanded.models[-1] == {key: newer[key] for key in ("name", "summary", "holds", "family", "colour")}


def test_quick_is_the_matrix_that_it_should_be(quick):
    cells = {(block.load, block.rate, block.connections, variant)
             for block in quick.blocks for variant in block.variants}
    holders = {"thread-per-connection", "thread-pool", "asio-callback", "asio-coroutine", "epoll", "epoll+20%"}
    expected = {("equal-load", rate, c, v) for rate in ("10%", "50%", "70%") for c in (100, 1000) for v in holders}
    expected |= {("saturation", None, c, v) for c in (100, 1000) for v in holders}
    expected |= {("ping-pong", None, 1, v) for v in holders | {"iterative"}}
    assert cells == expected
    assert all(block.payload_bytes == 64 and block.framing == "frame" for block in quick.blocks)


def test_every_block_holds_the_reference_and_its_control_and_fits_one_process(quick):
    for block in quick.blocks:
        assert {"epoll", "epoll+20%"} <= set(block.variants)
        assert block.load == "crr" or block.connections * len(block.variants) <= 15_000


def test_quick_is_meant_to_take_five_minutes(quick, tmp_path):
    runner = Runner("quick", quick, place(Topology(((0,), (1,)))), tmp_path)
    assert parse_time_ns(quick.document["budget"]) == 300 * 10**9
    assert 180 < runner.estimate_s(quick.order()) <= 300


def test_restarts_are_spread_over_the_run_in_an_order_drawn_from_the_seed(quick):
    order = quick.order()
    assert order == quick.order()
    assert [restart for restart, _ in order] == sorted(restart for restart, _ in order)
    assert len(set(order)) == len(order) == sum(block.restarts for block in quick.blocks)
    names = [[block.name for restart, block in order if restart == n] for n in range(3)]
    assert names[1] != names[2] and sorted(names[1]) == sorted(names[2])


def test_rates_are_numbers_or_shares_of_a_capacity(write):
    made = expand(write, [{"load": "equal-load", "connections": [50], "rates": ["5k", 100, "23%"]}])
    assert [(block.rate, block.share, block.name) for block in made.blocks] == [
        (5000, None, "equal-load/5000/c50/64B/frame"), (100, None, "equal-load/100/c50/64B/frame"),
        ("23%", 0.23, "equal-load/23%/c50/64B/frame")]
    made = expand(write, [{"load": "equal-load", "connections": [50]}])
    assert [block.rate for block in made.blocks] == ["10%", "50%", "70%"]


def test_a_variant_and_its_controls_stand_in_one_block(write):
    made = expand(write, closed_loop(2500), ("thread-pool", "asio-callback", "epoll"),
                  controls=["epoll", "thread-pool"], burns=["1us", "2us"])
    assert [block.variants for block in made.blocks] == [
        ("thread-pool", "thread-pool+1us", "thread-pool+2us", "epoll", "epoll+1us", "epoll+2us"),
        ("asio-callback", "epoll", "epoll+1us", "epoll+2us")]
    control = made.variants["thread-pool+2us"]
    assert control.burn_ns == 2000 and control.control_of == "thread-pool"


def test_a_control_burns_a_time_or_a_share_of_what_its_variant_costs(write):
    made = expand(write, closed_loop(5), ("epoll",), controls=["epoll"], burns=["20%", "300ns"])
    assert [(v.name, v.burn_ns, v.burn_share) for v in made.variants.values()] == [
        ("epoll", 0, None), ("epoll+20%", 0, 0.2), ("epoll+300ns", 300, None)]


def test_what_a_server_burns_is_the_added_work_and_what_its_control_burns(write):
    loads = [{"load": "saturation", "connections": [5], "added_work": "6us"},
             {"load": "saturation", "connections": [6]}]
    other = {"name": "other", "variant": "epoll", "options": ["--backlog", "7"]}
    made = expand(write, loads, ("epoll", other), controls=["epoll"], burns=["1us"])
    first, second = made.blocks
    options = {name: blocks.server_options(variant, first) for name, variant in made.variants.items()}
    assert options == {"epoll": ["--burn", "6us"], "epoll+1us": ["--burn", "7us"],
                       "other": ["--backlog", "7", "--burn", "6us"]}
    assert second.added_work_ns == blocks.ADDED_WORK_NS


def test_a_foreign_server_is_left_out_where_it_would_have_to_burn(write):
    mine = {"name": "mine", "command": ["./mine", "{port}"], "framing": "raw"}
    made = expand(write, [{"load": "saturation", "connections": [5]}], ("epoll", mine))
    assert all("mine" not in block.variants for block in made.blocks)
    assert made.unserved == ("mine cannot burn added work, so it is left out of saturation with 5 connections",)
    with pytest.raises(Usage, match="'mine' is not one of our servers, and cannot burn"):
        expand(write, closed_loop(5), ("epoll", mine), controls=["mine"])


def test_a_variant_gets_only_what_it_holds(write):
    made = expand(write, closed_loop(1, 2, 100), ("iterative", "prethreaded", "epoll"), placement={"server_threads": 2})
    assert [block.variants for block in made.blocks] == [
        ("iterative", "prethreaded", "epoll"), ("prethreaded", "epoll"), ("epoll",)]
    assert made.unserved == (
        "iterative serves one client at a time, so it is left out of the tables for 2 and 100 connections",
        "prethreaded serves one client per thread or process, so it is left out of the tables for 100 connections")


def test_an_unavailable_variant_is_reported_not_measured(write):
    made = expand(write, closed_loop(1), ("io-uring", "epoll"))
    assert made.unavailable == {"io-uring": "the kernel forbids it"}
    assert made.blocks[0].variants == ("epoll",)


def test_a_foreign_server_meets_the_reference_in_its_own_framing(write):
    mine = {"name": "mine", "command": ["./mine", "{port}"], "framing": "raw"}
    made = expand(write, closed_loop(10), ("thread-pool", "epoll", mine))
    assert {(block.framing, block.variants) for block in made.blocks} == {
        ("frame", ("thread-pool", "epoll")), ("raw", ("epoll", "mine"))}


def test_a_server_in_another_runtime_joins_by_its_name(write, known_runtimes):
    made = expand(write, closed_loop(10), ("epoll", "python-streams", "python-uvloop"))
    assert made.variants["python-streams"].command == tuple(known_runtimes[0]["command"])
    assert {block.framing: block.variants for block in made.blocks} == {
        "raw": ("epoll", "python-streams"), "frame": ("epoll",)}
    assert made.unavailable == {"python-uvloop": "python3-uvloop is not installed"}
    assert made.document["variants"][1:] == known_runtimes, "a result is whole without the file"
    with pytest.raises(Usage, match="there are .*io-uring; other runtimes python-streams, python-uvloop"):
        expand(write, closed_loop(10), ("epoll", "python-stream"))


def test_a_mistake_in_their_file_is_named_with_its_place(write, known_runtimes):
    del known_runtimes[1]["framing"]
    variants.OTHER_RUNTIMES_FILE.write_text(json.dumps(known_runtimes))
    with pytest.raises(Usage, match=r"other_runtimes.json: at 1: 'framing' is a required"):
        expand(write, closed_loop(10), ("epoll", "python-uvloop"))


def test_a_variant_of_the_second_program_joins_where_it_was_built(write):
    ring = {"name": "asio-callback-uring", "summary": "", "holds": "any", "unavailable_reason": "",
            "program": "echo-server-uring"}
    document = experiment.load_document(write({
        "summary": "s", "variants": ["epoll", "asio-callback-uring"], "loads": closed_loop(1)}))
    assert expand_document(*document, [*LISTED, ring]).variants["asio-callback-uring"].program == "echo-server-uring"
    with pytest.raises(Usage, match="no variant 'asio-callback-uring'.*echo-server-uring is not in this build"):
        expand_document(*document)


def test_threads_are_scaled_up_to_the_servers_cores(write):
    scaled = {"name": "epoll", "variant": "epoll", "threads": "1.."}
    document = {"summary": "s", "variants": [scaled, {"name": "four", "variant": "epoll", "threads": 4}],
                "loads": closed_loop(8), "reference": "epoll@1", "placement": {"server_threads": "all"}}
    made = expand_document(*experiment.load_document(write(document)), cores=21)
    assert [(v.name, v.threads, v.cores, v.scaled_of) for v in made.variants.values()] == [
        ("epoll@1", 1, 1, "epoll"), ("epoll@1+20%", 1, 1, "epoll"), ("epoll@2", 2, 2, "epoll"),
        ("epoll@4", 4, 4, "epoll"), ("epoll@7", 7, 7, "epoll"), ("four", 4, None, None)]
    assert made.unserved == ()
    made = expand_document(*experiment.load_document(write(document)), cores=2)
    assert list(made.variants) == ["epoll@1", "epoll@1+20%", "four"]
    assert made.unserved == ("the servers have 1 core here, so epoll is measured with no more threads than that",)
    assert variants.thread_counts(1, 1) == [1]
    assert variants.thread_counts(1, 64) == [1, 2, 4, 8, 16, 32, 64]
    assert variants.thread_counts(3, 7) == [3, 6, 7]


def test_threads_of_its_own_give_a_server_as_many_clients_as_it_holds(write):
    prethreaded = {"name": "prethreaded", "variant": "prethreaded", "threads": 64}
    document = {"summary": "s", "variants": ["epoll", prethreaded], "loads": closed_loop(50)}
    assert "prethreaded" in expand_document(*experiment.load_document(write(document))).blocks[0].variants


SLOW = {"op": "work:10ms", "connections": 2, "rate": 20}


def test_with_a_background_load_one_server_is_measured_at_a_time(write):
    loads = [{"load": "open-loop", "connections": [50], "rates": [1000], **more}
             for more in ({"sliced": False}, {"background": SLOW}, {})]
    made = expand(write, loads, controls=["epoll"])
    assert [(block.name, block.variants) for block in made.blocks] == [
        ("open-loop/1000/c50/64B/frame/epoll", ("epoll",)),
        ("open-loop/1000/c50/64B/frame/thread-pool", ("thread-pool",)),
        ("open-loop/1000/c50/64B/frame/background-work:10ms+c2+20/epoll", ("epoll",)),
        ("open-loop/1000/c50/64B/frame/background-work:10ms+c2+20/thread-pool", ("thread-pool",)),
        ("open-loop/1000/c50/64B/frame", ("epoll", "epoll+20%", "thread-pool"))]


def test_who_speaks_no_frames_cannot_be_asked_for_work(write):
    mine = {"name": "mine", "command": ["./mine", "{port}"], "framing": "raw"}
    loads = [{"load": "open-loop", "connections": [5], "rates": [10], "background": SLOW}]
    made = expand(write, loads, ("epoll", mine))
    assert {block.framing for block in made.blocks} == {"frame"}
    assert made.unserved == ("mine speaks only raw, in which work and sleep cannot be requested, so it is left out of "
                             "open loop with 5 connections",)


def test_a_load_has_a_framing_of_its_own_if_it_names_one(write):
    mine = {"name": "mine", "command": ["./mine", "{port}"], "framing": "raw"}
    made = expand(write, closed_loop(1) + closed_loop(5, framing="frame"), ("epoll", mine), framing="raw")
    assert [(block.name, block.variants) for block in made.blocks] == [
        ("closed-loop/c1/64B/raw", ("epoll", "mine")), ("closed-loop/c5/64B/frame", ("epoll",))]
    assert made.unserved == ("mine speaks only raw, and the load uses frame, so it is left out of closed loop with 5 "
                             "connections",)


def test_patterns_distinguish_cells_and_become_options(write):
    loads = [{"load": "closed-loop", "connections": [5], **more} for more in (
        {}, {"pattern": {"think": "5ms", "payload": "uniform:16-4k"}}, {"op": "mix:echo@99,work:1ms@1"},
        {"pattern": {"slow_readers": 2}})]
    made = expand(write, loads, ("epoll",))
    assert [block.name for block in made.blocks] == [
        "closed-loop/c5/64B/frame", "closed-loop/c5/64B/frame/payload=uniform:16-4k/think=5ms",
        "closed-loop/c5/64B/frame/mix:echo@99,work:1ms@1", "closed-loop/c5/64B/frame/slow-readers=2"]
    assert len({block.setting for block in made.blocks}) == 4
    assert pattern.arguments(made.blocks[1].pattern) == ["--payload", "uniform:16-4k", "--think", "5ms"]


def test_the_idle_are_driven_by_one_in_a_hundred(write):
    loads = [{"load": "idle", "connections": [10, 1000]}, {"load": "idle", "connections": [200], "active": "5%"}]
    made = expand(write, loads, ("epoll",))
    assert [(block.connections, block.active, block.alone) for block in made.blocks] == [
        (10, 1, True), (1000, 10, True), (200, 10, True)]


def test_slices_are_echo_loads_affair_but_for_costs_at_equal_load(write):
    def slice_ns(load, **more):
        return expand(write, [{"load": load, "connections": [10], **more}], ("epoll",)).blocks[0].slice_ns
    assert slice_ns("closed-loop") is None and slice_ns("open-loop", rates=[10]) is None
    assert slice_ns("equal-load", rates=[10]) == 100_000_000
    assert slice_ns("equal-load", rates=[10], slice="1s") == slice_ns("closed-loop", slice="1s") == 1_000_000_000


@pytest.mark.parametrize("change, place_in_file, complaint", [
    ({"loads": [{"load": "closed-loop", "connections": ["many"]}]}, "loads/0/connections/0", "many"),
    ({"loads": [{"load": "open-loop", "connections": [1]}]}, "loads/0", "rate"),
    ({"loads": [{"load": "closed-loop", "connections": [1], "rates": [5]}]}, "loads/0", "rate"),
    ({"loads": [{"load": "closed-loop", "connections": [1], "added_work": "6us"}]}, "loads/0", "added_work"),
    ({"loads": [{"load": "open-loop", "connections": [1], "rates": ["most"]}]}, "loads/0/rates/0", "most"),
    ({"variants": [{"name": "mine", "variant": "epoll", "options": ["--burn", "1us"]}]}, "variants/0/options", "burn"),
    ({"loads": [{"load": "closed-loop", "connections": [1], "background": {"op": "sleep:1ms", "connections": 1}}]},
     "loads/0", "background"),
    ({"loads": [{"load": "open-loop", "connections": [1], "rates": [1],
                 "background": {"op": "sleep", "connections": 1}}]}, "loads/0/background/op", "sleep"),
    ({"variants": [{"name": "e", "variant": "epoll", "threads": "1-4"}]}, "variants/0/threads", "1-4"),
    ({"loads": [{"load": "saturation", "connections": [1], "pattern": {"pipeline": 2}}]}, "loads/0", "pattern"),
    ({"loads": [{"load": "stream", "connections": [1], "pattern": {"think": "1ms"}}]}, "loads/0/pattern", "think"),
    ({"loads": [{"load": "closed-loop", "connections": [1], "pattern": {"arrivals": "poisson"}}]},
     "loads/0/pattern", "arrivals"),
    ({"loads": [{"load": "closed-loop", "connections": [1], "pattern": {"bursts": "often"}}]},
     "loads/0/pattern/bursts", "often"),
    ({"loads": closed_loop("1.5")}, "loads/0/connections/0", "'1.5' is not a whole number"),
    ({"loads": closed_loop("0k")}, "loads/0/connections/0", "'0k' is less than 1"),
    ({"loads": closed_loop(0)}, "loads/0/connections/0", "0 is less than"),
    ({"payloads": ["1.5"]}, "payloads/0", "'1.5' is not a whole number"),
    ({"loads": [{"load": "equal-load", "connections": [1], "rates": [0]}]}, "loads/0/rates/0", "0 is less than"),
    ({"loads": [{"load": "equal-load", "connections": [1], "rates": ["0"]}]}, "loads/0/rates/0", "'0' is less than 1"),
    ({"loads": [{"load": "open-loop", "connections": [1], "rates": ["0%"]}]}, "loads/0/rates/0", "0%"),
    ({"loads": [{"load": "open-loop", "connections": [1], "rates": [1],
                 "background": {"op": "sleep:1ms", "connections": 1, "rate": "0.5"}}]},
     "loads/0/background/rate", "'0.5' is not a whole number"),
    ({"engine": "kqueue"}, "engine", "kqueue"),
    ({"restarts": 0}, "restarts", "minimum"),
    ({"colour": 1}, "top level", "colour"),
    ({"warmup": "soon"}, "warmup", "soon"),
    ({"variants": [{"name": "mine", "command": ["./mine"], "framing": "raw"}]}, "variants/0/command", "port")])
def test_a_mistake_is_named_with_its_place(write, change, place_in_file, complaint):
    path = write({"summary": "s", "variants": ["epoll"], "loads": closed_loop(1), **change})
    with pytest.raises(Usage) as error:
        experiment.load_document(path)
    assert str(path) in str(error.value) and f"at {place_in_file}:" in str(error.value)
    assert complaint in str(error.value)


@pytest.mark.parametrize("variants, loads, complaint", [
    (("epol", "epoll"), closed_loop(1), "no variant 'epol'"), (("thread-pool",), closed_loop(1), "reference 'epoll'"),
    (("epoll", "epoll"), closed_loop(1), "named twice"), (("all", "epoll", "epoll"), closed_loop(1), "named twice"),
    (("all", "all"), closed_loop(1), "'all' is named twice"),
    (("thread-pool", "epoll"), closed_loop(10_000), "at most 7,500"),
    (("epoll",), closed_loop(5) + closed_loop(5), "same cells")])
def test_what_cannot_be_measured_is_refused(write, variants, loads, complaint):
    with pytest.raises(Usage, match=complaint):
        expand(write, loads, variants)


def test_defaults_are_filled_in(write):
    _, document = experiment.load_document(write({"summary": "s", "variants": ["epoll"], "loads": closed_loop(1)}))
    assert document["framing"] == "frame" and document["payloads"] == [64] and document["reference"] == "epoll"
    assert document["placement"] == {"server_threads": 1, "server_cpus": "auto", "client_cpus": "auto"}
    assert document["loads"][0]["rounds"] == 5 and document["controls"] == ["epoll"] and document["burns"] == ["20%"]


def test_plain_has_every_plain_server_and_each_in_a_colour_of_its_own():
    document = experiment.load_document("plain")[1]
    plain = [entry["name"] for entry in document["variants"] if "command" in entry]
    files = {path.stem for path in (REPOSITORY / "servers" / "plain").glob("*.cpp")} - {"client", "plain_test"}
    assert {name.removeprefix("plain-").replace("-", "_") for name in plain} == files
    assert len(set(Palette().colours([*plain, "epoll+20%"]).values())) == len(plain) + 1


def test_every_stored_experiment_is_valid():
    for name in experiment.names():
        assert experiment.load_document(name)[1]["summary"]
    json.loads(experiment.SCHEMA_FILE.read_text())
