"""Tables, charts and page, from a measured result and from plain echo-load output."""

import json
import re
import subprocess
from dataclasses import replace
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import SMALL, result_of, run_experiment

from echobench_lib import result
from echobench_lib.analyse import summary
from echobench_lib.report import chart_data, charts, columns, page, tables
from echobench_lib.report.notes import notes as notes_on
from echobench_lib.report.palette import OTHERS, Palette
from echobench_lib.result.model import ExperimentVariant, Model

EVERYTHING = {**SMALL, "restarts": 2, "variants": ["iterative", "asio-callback", "thread-per-connection", "epoll"],
              "controls": ["epoll", "asio-callback"], "loads": [
    {"load": "equal-load", "connections": [100], "rates": ["10%", "50%", "80%"]},
    {"load": "saturation", "connections": [100]},
    {"load": "closed-loop", "connections": [1, 100, 1000], "duration": "1s"},
    {"load": "open-loop", "connections": [1000], "rates": ["50%"], "duration": "1s"},
    {"load": "crr", "connections": [100], "duration": "1s"}]}


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A measured result with its report, and what was printed; measured once: every test only reads it."""
    return run_experiment(tmp_path_factory.mktemp("reported"), EVERYTHING)


DRAWN = ("cost-by-model", "cost-ratio", "cost-curve", "cpu-split", "recovery", "throughput", "latency-by-load",
         "latency", "fairness", "memory", "connecting", "closed-loop-cost")  # the others have experiments of their own
WITHOUT = {**dict.fromkeys(("cost-by-model", "latency-by-load", "memory", "fairness", "cpu-split", "cost-ratio",
                            "cost-curve"), {"iterative"}), "recovery": {"iterative", "thread-per-connection"}}


def groups_of(folder):
    stored = result.load(folder)
    return stored, summary.summarise(stored, "epoll")


def test_every_chart_is_drawn_and_shows_every_variant(reported):
    folder, _ = reported
    for name in DRAWN:
        svg = (folder / "charts" / f"{name}.svg").read_text()
        ElementTree.fromstring(svg)
        for variant in set(EVERYTHING["variants"]) - WITHOUT.get(name, set()):
            assert variant in svg, f"{variant} is not in {name}"


def test_panels_next_to_each_other_share_the_width_of_a_chart():
    def width(name, *points):
        return charts.complete(name, list(points))["spec"]["width"]
    one = {"panel": "100 connections", "figure": "CPU"}
    others = [{**one, "panel": panel} for panel in ("1,000 connections", "5,000 connections")]
    whole = width("cost-curve", one)
    assert whole == 2 * width("cost-curve", one, others[0]) == width("cost-curve", one, {**one, "figure": "user"})
    assert width("memory", one) == 2 * width("memory", one, *others), "a third is in the next row"
    assert width("cost-by-model", one) == width("cost-by-model", one, *others), "one below the other"


def test_a_chart_is_the_same_each_time():
    points = [{"variant": name, "panel": "p", "order": 0, "requests": 1}
              for name in ("node", "go", "uvloop-protocol", "epoll")]
    spec = json.dumps(charts.coloured("throughput", points, Palette([Model("iterative"), Model("epoll")]))["spec"])
    assert '"domain": ["epoll", "node", "go", "uvloop-protocol"]' in spec, "not as a set happens to be ordered"


def test_a_variant_has_one_colour_everywhere(reported):
    folder, _ = reported
    stored, groups = groups_of(folder)
    scales = []

    def collect(node):
        if isinstance(node, dict):
            if node.get("field") == "variant" and "scale" in node:
                scales.append(dict(zip(node["scale"]["domain"], node["scale"]["range"])))
            for key, child in node.items():
                if key != "data":
                    collect(child)
        elif isinstance(node, list):
            for child in node:
                collect(child)

    collect(charts.build(groups, Palette.of(stored)))
    assert len(scales) >= len(DRAWN) - 3, "all but recovery, and what shows parts: their colours are those"
    described = {model.name: model.colour for model in stored.models}
    for variant in EVERYTHING["variants"]:
        assert {scale[variant] for scale in scales if variant in scale} == {described[variant]}


def test_what_a_variant_looks_like_is_what_its_model_said_of_itself():
    palette = Palette([Model("epoll", "event loops", "#000001"), Model("libuv", "callbacks", "#000002")],
                      [ExperimentVariant("epoll"), ExperimentVariant("deep-queue", variant="epoll"),
                       ExperimentVariant("mine", command=["mine"])])
    loops = ("epoll", "epoll@4", "epoll+20%", "deep-queue", "deep-queue+1us")
    assert {palette.family(name) for name in loops} == {"event loops"} and palette.family("mine") == OTHERS
    assert sorted(("mine", "deep-queue", "libuv", "epoll"), key=palette.place) == [
        "epoll", "libuv", "deep-queue", "mine"]
    colours = palette.colours(("mine", "epoll", "epoll@4", "deep-queue", "libuv", "mine@2"))
    assert (colours["epoll"], colours["epoll@4"], colours["libuv"]) == ("#000001", "#000001", "#000002")
    assert colours["mine@2"] == colours["mine"] and len(set(colours.values())) == 4, "another queue, another colour"


def test_a_result_keeps_what_the_models_said(reported):
    stored, _ = groups_of(reported[0])
    assert [model.name for model in stored.models][:3] == ["iterative", "thread-per-connection", "thread-pool"]
    assert stored.document["models"][0] == {
        "name": "iterative", "summary": "fake iterative", "holds": "one", "family": "threads", "waits": "a fake",
        "threads": "N fakes", "colour": "#b8a100", "remark": ""}
    assert result.described(stored, lambda: [{"name": "newer"}]) is stored
    older = result.from_json({key: value for key, value in stored.document.items() if key != "models"})
    assert [model.name for model in result.described(older, lambda: [{"name": "newer"}]).models] == ["newer"]


def test_a_remark_of_a_model_is_a_note_where_it_is_shown(reported):
    stored, groups = groups_of(reported[0])
    patched = ("asio-callback", "epoll", "asio-coroutine")
    remarked = [replace(model, remark="patched: it is" if model.name in patched else "") for model in stored.models]
    assert "epoll and asio-callback: patched: it is." in notes_on(groups, replace(stored, models=remarked))


def test_the_page_needs_no_network(reported):
    folder, _ = reported
    text = (folder / "index.html").read_text()
    libraries = charts.libraries()
    assert all(page._inert_script(library) in text for library in libraries), "the libraries are in the page"
    for library in libraries:
        text = text.replace(page._inert_script(library), "")
    loads = re.findall(r"""(?:src|href|xlink:href)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)""", text)
    loads += re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", text)
    assert loads == []
    names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
             "https://vega.github.io/schema/vega-lite/v5.json"}
    assert set(re.findall(r"""https?://[^"'\s<>\\)]+""", text)) <= names


def test_the_scripts_of_the_page_are_whole(reported, tmp_path):
    """Inlining must not break them: V8 reads each, and in the end the page has its drawing function."""
    scripts = re.findall(r"<script>(.*?)</script>", (reported[0] / "index.html").read_text(), re.S)
    assert len(scripts) == len(charts.LIBRARIES) + 1 and "vegaEmbed(place" in scripts[-1]
    for number, script in enumerate(scripts):
        (tmp_path / f"{number}.js").write_text(script)
        done = subprocess.run(["node", "--check", tmp_path / f"{number}.js"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_page_has_tables_charts_reasons_and_host(reported):
    folder, _ = reported
    text = (folder / "index.html").read_text()
    for variant in EVERYTHING["variants"]:
        assert f"</span>{variant}</td>" in text
    assert "</span>epoll+1us</td>" in text
    for expected in ("Response time, open loop", "Server CPU per request (µs) and throughput: connect, request, close",
                     "The headline: the same arrivals", "(recovery 10", "the client was busy for 99 % of the time",
                     "Placement", "How to read this", "echo-load", "≥ "):
        assert expected in text
    for name in DRAWN:
        assert f'id="chart-{name}"' in text
    specs = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.S)[1])
    assert [chart["name"] for chart in specs] == list(DRAWN)


def test_a_lower_bound_is_marked_wherever_it_stands(reported):
    folder, output = reported
    table = output.split("closed loop, 100 connections, 64")[1].splitlines()
    epoll = next(line for line in table if line.startswith("epoll"))
    assert "≥ " in epoll and "client-bound" in epoll
    _, groups = groups_of(folder)
    throughput = next(chart for chart in charts.build(groups, Palette()) if chart["name"] == "throughput")
    bound = {(point["variant"], point["connections"])
             for point in throughput["spec"]["data"]["values"] if point["bound"]}
    assert bound == {("epoll", 100)}


def test_open_loop_latency_is_shown_corrected_and_not(reported):
    _, groups = groups_of(reported[0])
    latency = next(chart for chart in charts.build(groups, Palette()) if chart["name"] == "latency")
    kinds = {}
    for point in latency["spec"]["data"]["values"]:
        kinds.setdefault(point["panel"].split(",")[0], set()).add(point["kind"])
        assert point.get("low", point["us"]) <= point["us"] * 1.001 <= point.get("high", point["us"]) * 1.002
    assert kinds["open loop"] == {"corrected", "uncorrected"} and kinds["closed loop"] == {"service time"}


@pytest.mark.parametrize("latencies, turn", [
    ((1, 1, 1, 1, 4), 3), ((1, 2, 4, 5, 6), None), ((1, 2, 3, 4, 5), None), ((5, 4, 3, 2, 1), None), ((1, 1, 9), None),
    ((1, 1, 2, 6, 12), 2)])
def test_the_turning_point_is_where_a_curve_turns_up_most(latencies, turn):
    assert chart_data.turning_point(list(zip((10, 20, 30, 40, 50), latencies))) == turn


def named(groups, name):
    return next(group for group in groups if group.workload.name == name)


def test_ratios_come_from_the_slices_of_one_block(reported):
    folder, _ = reported
    _, groups = groups_of(folder)
    for name in ("equal-load/50%/c100/64B/frame", "saturation/c100/64B/frame"):
        group = named(groups, name)
        row = group.row("asio-callback")
        assert row.cost_ratio.estimate == pytest.approx(1.1, rel=0.03)
        assert (row.cost_ratio.unit, row.cost_ratio.units) == ("restart", 2)
        assert group.row("epoll").cost_ratio is None
        assert [row.variant for row in group.rows] == [
            "epoll", "asio-callback", "thread-per-connection", "epoll+1us", "asio-callback+1us"]


def test_recoveries_stand_below_each_table(reported):
    folder, output = reported
    _, groups = groups_of(folder)
    for name in ("equal-load/50%/c100/64B/frame", "saturation/c100/64B/frame"):
        by_variant = {recovery.of: recovery for recovery in named(groups, name).recoveries[summary.COST]}
        assert set(by_variant) == {"epoll", "asio-callback"}
        assert all(recovery.ratio.estimate == pytest.approx(1, abs=0.2) and recovery.known_ns == 1050
                   for recovery in by_variant.values())
    table = output.split("at saturation, 100")[1].split("Response time, open loop")[0]
    recovered, = re.findall(r"^epoll\+1us: 1\.05 µs of added work shows as (\d\.\d\d) ± \d\.\d\d µs of CPU "
                            r"\(recovery (\d+) ± \d+ %\): control (?:passed|inconclusive)$", table, re.M)
    assert float(recovered[0]) / 1.05 == pytest.approx(int(recovered[1]) / 100, abs=0.02)
    assert 80 < int(recovered[1]) < 120
    equal = output.split("at saturation, 100")[0]
    assert re.search(r"^50 % \(\S+/s\): epoll\+1us: 1\.05 µs of added work costs \d\.\d\d ± \d\.\d\d µs of CPU at this "
                     r"load: 0\.00 more wake-ups per request", equal, re.M)


def test_recoveries_of_several_controls_stand_in_tables_of_their_own(reported):
    folder, output = reported
    _, groups = groups_of(folder)
    made = tables.recoveries(groups)
    assert [table.title.split(":")[0] for table in made] == [
        "Recovery of CPU per request, asio-callback", "Recovery of CPU per request, epoll"]
    row = next(texts for _, texts in made[1].rows if texts[0] == "closed-loop/c1000/64B/frame")
    assert re.match(r"\d\d? ± \d+ % biased$", row[1]) and made[1].title in output
    row = next(texts for _, texts in made[1].rows if texts[0] == "equal-load/50%/c100/64B/frame")
    assert re.match(r"\d+ ± \d+ %, 0\.00 more wake-ups$", row[1]), "at equal load it need not be 100 %"
    assert made[1].columns[1] == ("+1us: 1.05 µs", "left")
    assert made[1].title in (folder / "index.html").read_text()


def test_a_figure_that_is_biased_is_neither_ranked_nor_given_a_ratio(reported):
    folder, output = reported
    _, groups = groups_of(folder)
    group = named(groups, "crr/c100/64B/frame")
    assert group.doubt(summary.COST) == "control biased"
    as_in_the_experiment = [*EVERYTHING["variants"], "asio-callback+1us", "epoll+1us"]
    assert [row.variant for row in group.rows] == as_in_the_experiment
    table = output.split("connect, request, close, 100")[1].splitlines()
    line = next(line for line in table if line.startswith("asio-callback "))
    assert re.match(r"asio-callback +\d+\.\d\d +control biased ", line)


def test_what_is_over_the_sound_restarts_is_relied_on_and_said(measure):
    loads = [{"load": "equal-load", "connections": [100], "rates": ["50%"]}]
    document = json.loads((measure("sound", {**EVERYTHING, "restarts": 4, "loads": loads}) / "result.json").read_text())
    for cell in document["cells"]:
        if cell["restart"] == 0 and cell["variant"] in ("epoll", "asio-callback"):
            cell.update(verdict="client-bound", reasons=["the client was late"])
        if cell["restart"] == 3 and cell["variant"] == "epoll":
            cell.update(verdict="overloaded", reasons=["requests were left behind"])
    [group] = summary.summarise(result_of(document), "epoll")
    assert tables.remarks(group)[0] == ("costs are over 2 of 4 restarts: in the others epoll and asio-callback were "
                                        "client-bound; epoll was overloaded")
    [bar] = [point for point in chart_data.of_groups([group])["cost-by-model"] if point["variant"] == "asio-callback"]
    assert bar["doubt"] == "" and bar["text"].endswith(f"µs  ({group.row('asio-callback').rank.text})")
    [table] = [table for table in tables.build([group]) if table.kind == "equal-load"]
    cells = dict(zip((column[0] for column in table.columns), page._cells(table, *table.rows[1])))
    assert cells["verdict"][1] == "client-bound" and isinstance(cells["ratio"], str) and isinstance(cells["p50"], str)
    assert cells["client busy"][1].endswith(" doubt"), "that is of all restarts"


def test_a_cell_that_does_not_saturate_its_server_has_no_cost(measure):
    experiment = {**EVERYTHING, "loads": [{"load": "saturation", "connections": [100]}]}
    _, groups = groups_of(measure("busy", experiment, FAKE_CLIENT_BUSY="0.92"))
    row = groups[0].row("asio-callback")
    assert row.verdict == "unsaturated" and row.cost_ns is None and row.cost_ratio is None
    assert "the client 92 %: raise added_work in the experiment" in row.reasons[0]


def test_rates_stand_side_by_side_on_the_terminal(reported):
    folder, output = reported
    start = "Server CPU per request (µs) at equal load, 100 connections, 64-byte frame; "
    heading = next(line for line in output.splitlines() if line.startswith(start))
    assert re.search(r"ratio, rank, wake-ups and response time at 50 % \(\S+/s\) to each$", heading)
    for share in (10, 50, 80):
        assert re.search(rf"{share} % \(\S+/s\) .*\n(.*\n)+{share} % \(\S+/s\): "
                         r"epoll\+1us: 1.05 µs of added work costs ", output)


def test_memory_per_connection_counts_what_it_says(reported):
    folder, _ = reported
    _, groups = groups_of(folder)
    by_load = {(group.workload.load, group.workload.connections): group for group in groups}
    group = by_load["closed-loop", 1000]
    assert group.row("epoll").memory_bytes == 700
    assert group.row("thread-per-connection").memory_bytes == 700 + 16 * 1024
    assert by_load["closed-loop", 1].row("epoll").memory_bytes is None
    assert by_load["crr", 100].row("epoll").memory_bytes is None


def test_restarts_are_merged_in_latency(reported):
    folder, _ = reported
    _, groups = groups_of(folder)
    row = groups[0].row("epoll")
    assert row.latency_from == "merged" and row.histogram.total == 2 * 100_003
    assert row.latency_ns["p99.9"] == 99942399


def test_latency_is_response_time_in_open_loop_only(reported):
    _, groups = groups_of(reported[0])
    assert {(group.workload.load, row.latency_kind) for group in groups for row in group.rows} == {
        ("closed-loop", "service"), ("open-loop", "response"), ("crr", "service"), ("equal-load", "response"),
        ("saturation", "service")}


def test_percentiles_without_histogram_are_medians_and_absent_where_one_is(reported):
    document = result.load(reported[0]).document
    for cell in document["cells"]:
        del cell["histograms"]
    row = summary.summarise(result.from_json(document), "epoll")[0].row("epoll")
    assert row.latency_from == "median" and row.latency_ns == {"p50": 45_000, "p99": 100_000}


def test_an_interval_over_rounds_is_marked_among_others_over_restarts(reported):
    stored = result.load(reported[0])
    stored = replace(stored, cells=[cell for cell in stored.cells if cell.restart == 0 or
                                    (cell.variant, cell.load) != ("asio-callback", "saturation")])
    groups = summary.summarise(stored, "epoll")
    intervals = {(group.workload.name, row.variant): columns.ratio_texts(row, group)[1]
                 for group in groups for row in group.rows}
    marked = {where for where, text in intervals.items() if text.endswith(" *")}
    assert marked == {("saturation/c100/64B/frame", row.variant)
                      for row in groups[0].rows if row.variant not in ("epoll", "iterative")}
    notes = notes_on(groups, stored)
    assert any(note.startswith("*: one restart only") for note in notes)
    assert any("some have only 2" in note for note in notes)


def test_the_verdict_of_a_row_is_the_worst_of_its_restarts(reported):
    stored, before = groups_of(reported[0])
    cells = list(stored.cells)
    first = next(number for number, cell in enumerate(cells)
                 if (cell.variant, cell.load) == ("asio-callback", "saturation"))
    cells[first] = replace(cells[first], verdict="starved", reasons=["one got nothing"])
    groups = summary.summarise(replace(stored, cells=cells), "epoll")
    row = named(groups, "saturation/c100/64B/frame").row("asio-callback")
    assert row.verdict == "starved" and row.reasons == ["restart 1: one got nothing"]
    assert columns.verdict_text(row) == "starved (1 of 2)"
    assert row.cost_ratio.unit == "round", "the ratio is of the other restart alone"
    assert named(before, "saturation/c100/64B/frame").row("asio-callback").cost_ratio.unit == "restart"


def test_plain_echo_load_output_is_reported_too(echobench, reported, tmp_path):
    """What echo-load writes itself: no restarts, no experiment, workload in its config only."""
    document = json.loads((reported[0] / "result.json").read_text())
    cells = [cell for cell in document["cells"]
             if cell["restart"] == 0 and cell["block"] == "closed-loop/c1000/64B/frame"]
    for cell in cells:
        for key in ("restart", "block", "load", "workload", "checks", "control"):
            cell.pop(key, None)
    plain = {key: document[key] for key in ("schema_version", "tool", "host", "argv")}
    plain.update(config={"payload_bytes": 64, "framing": "frame", "pipeline": 1, "rate_per_s": 5000, "busy_poll": True},
                 cells=cells)
    path = tmp_path / "load.json"
    path.write_text(json.dumps(plain))
    done = echobench("report", path, "--reference", "asio-callback")
    assert done.returncode == 0, done.stderr
    title = "Server CPU per request (µs) at equal load, 1,000 connections, 64-byte frame, 5,000 requests/s to each"
    assert title in done.stdout
    assert re.search(r"^asio-callback +\S+ +1 +reference", done.stdout, re.M)
    assert re.search(r"^epoll +\S+ +0\.9\d\d +0\.9\d\d to ", done.stdout, re.M)
    assert "the interval is over the rounds within it" in done.stdout
    assert (tmp_path / "load-report" / "index.html").exists()
    assert echobench("report", path, "--reference", "nosuch").returncode == 2


def test_a_target_name_cannot_write_into_the_page(reported):
    document = result.load(reported[0]).document
    for cell in document["cells"]:
        cell["reasons"] = ["</script><script>alert(1)</script>"]
    stored = result.from_json(document)
    groups = summary.summarise(stored, "epoll")
    assert "<script>alert(1)" not in page.render(stored, groups, {}, [], [], {})


@pytest.mark.parametrize("shares, said", [([0.01, 0.02, 0.9], ""), ([0.2, 0.35, 0.9, None], "35 %"), ([None], "")])
def test_other_programs_on_the_servers_cpus_are_said_first(reported, shares, said):
    stored, groups = groups_of(reported[0])
    runs = [replace(stored.runs[0], other_programs=used) for used in shares]
    first = notes_on(groups, replace(stored, runs=runs))[0]
    assert first.startswith(f"other programs used the servers' CPUs for {said} of the time") == bool(said)
