"""`micro`, against a fake echo-microbench and data made by hand."""

import json
import os
import re
import signal
import statistics
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import psutil
import pytest
from conftest import FAKES, SCRIPTS

from echobench_lib import Failure, Usage
from echobench_lib.micro import agreement, answers, document, figures, measure, questions, readme, verb
from echobench_lib.micro.questions import Question

SOURCES = sorted((SCRIPTS.parent / "bench").glob("*_bench.cpp"))
THREADED = "/process_time/real_time"
QUESTIONS = [
    {"file": "switch_bench", "topics": ["Switch"], "question": "What does handing over cost?",
     "caveat": "Two take turns.",
     "answer": "A futex takes {time:BM_Switch_Futex/cpus:2}, "
               "{ratio:BM_Switch_Futex/cpus:2|BM_Switch_Null} times a call."},
    {"file": "spawn_bench", "topics": ["Spawn", "SpawnMemory"], "question": "What does a task hold?"},
    {"file": "codec_bench", "topics": ["Codec", "Session"], "floor": "Codec", "question": "What does the codec cost?"}]


@pytest.fixture(autouse=True)
def asked(monkeypatch, write):
    """Questions of our own, so that those of bench/ may change."""
    monkeypatch.setattr(questions, "FILE", write(QUESTIONS, "questions.json"))


@pytest.fixture
def micro(echobench, tmp_path):
    def micro(*arguments, **environment):
        return echobench("micro", *arguments, FAKE_PROCESSES=str(tmp_path / "processes"), **environment)
    return micro


@pytest.fixture
def measured(micro, tmp_path):
    """Measures without a report; the folder of the result."""
    def measured(name="a", *arguments, **environment):
        done = micro("--out", tmp_path / name, "--no-report", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return tmp_path / name
    return measured


def entry(name, ns, index=0, **more):
    return {"name": name, "family_index": 0, "per_family_instance_index": 0, "run_name": name, "run_type": "iteration",
            "repetitions": 3, "repetition_index": index, "threads": 1, "iterations": 10, "real_time": 2.0 * ns,
            "cpu_time": float(ns), "time_unit": "ns", **more}


def result(**rows):
    """A document with rows {name: (ns, ...)}; names with their slashes as `__`."""
    return {"context": {}, "benchmarks": [entry(f"BM_{name.replace('__', '/')}", ns, index)
                                          for name, series in rows.items() for index, ns in enumerate(series)]}


# ---- questions ----

def test_every_row_of_the_sources_belongs_to_the_question_of_its_file(monkeypatch):
    monkeypatch.undo()
    asked = questions.load()
    assert SOURCES
    for source in SOURCES:
        code = re.sub(r"//.*", "", source.read_text())  # a comment may point to another file's row
        names = set(re.findall(r"\bBM_\w+", code))
        assert names and [question.file for question in questions.group(names, asked)] == [source.stem]


def test_answers_name_rows_of_the_sources(monkeypatch):
    monkeypatch.undo()
    known = {name for source in SOURCES for name in re.findall(r"\bBM_\w+", source.read_text())}
    for question in questions.load():
        assert {name.split("/")[0] for name in answers.names(question)} <= known, question.file


def test_rows_are_grouped_in_the_order_of_the_questions():
    names = ["BM_Session_Echo/payload:64", "BM_SpawnMemory_Thread", "BM_Codec_Null", "BM_Spawn_Null"]
    grouped = questions.group(names, questions.load())
    assert {question.file: rows for question, rows in grouped.items()} == {
        "spawn_bench": ["BM_SpawnMemory_Thread", "BM_Spawn_Null"],
        "codec_bench": ["BM_Session_Echo/payload:64", "BM_Codec_Null"]}


def test_a_row_without_a_question_is_refused_before_anything_is_measured(micro, tmp_path):
    done = micro(FAKE_EXTRA_ROW="BM_Strange_Thing")
    assert done.returncode == 1 and "BM_Strange_Thing: no file of" in done.stderr and "'Strange'" in done.stderr
    assert not (tmp_path / "processes").exists()
    with pytest.raises(Failure, match="topic ''"):
        questions.group(["Switch"], questions.load())


@pytest.mark.parametrize("entries, complaint", [
    ([*QUESTIONS, {"file": "x_bench", "topics": ["Codec"], "question": "?"}], "two files: Codec"),
    ([{"file": "x_bench", "topics": ["X"], "question": "why"}], "at 0/question"),
    ([{"file": "x_bench", "topics": ["X"], "question": "?", "anwser": ""}], "anwser"), ({}, "not of type 'array'")])
def test_mistakes_in_the_questions_are_refused(monkeypatch, write, entries, complaint):
    monkeypatch.setattr(questions, "FILE", write(entries, "mistaken.json"))
    with pytest.raises(Usage, match=complaint):
        questions.load()


@pytest.mark.parametrize("name, plain, label", [
    ("BM_Spawn_Null", "BM_Spawn_Null", "Null"),
    ("BM_Spawn_Pool/threads:2" + THREADED, "BM_Spawn_Pool/threads:2", "Pool/threads:2"),
    ("BM_SpawnMemory_X/n:9/iterations:3/manual_time", "BM_SpawnMemory_X/n:9", "SpawnMemory_X/n:9"),
    ("BM_Spawn_X/1/min_time:0.100/repeats:2/process_time/threads:4", "BM_Spawn_X/1/threads:4", "X/1/threads:4")])
def test_names_without_how_they_are_timed(name, plain, label):
    assert questions.plain(name) == plain
    assert questions.load()[1].label(name) == label


# ---- measuring ----

def test_every_round_runs_every_process_once_in_an_order_drawn_from_the_seed(measured, tmp_path):
    stored = document.load(measured("a", "--rounds", "4", "--seed", "7"))
    order = [json.loads(line)[0] for line in (tmp_path / "processes").read_text().splitlines()]
    assert len(order) == 12 and all(len(set(order[begin:begin + 3])) == 3 for begin in range(0, 12, 3))
    measured("b", "--rounds", "4", "--seed", "7")
    assert [json.loads(line)[0] for line in (tmp_path / "processes").read_text().splitlines()] == 2 * order
    rounds = [order[begin:begin + 3] for begin in range(0, 12, 3)]
    assert any(after != rounds[0] for after in rounds[1:])
    context = stored["context"]
    assert (context["seed"], context["rounds"], context["min_time_s"]) == (7, 4, 0.01)
    assert {"load_average_before", "steal_percent", "compiler", "finished_at"} <= context.keys()
    assert "--benchmark_min_time=0.01" in context["asked"] and "--benchmark_repetitions=1" in context["asked"]


def test_the_result_is_what_google_benchmark_would_have_written(measured):
    entries = document.load(measured("a", "--rounds", "3"))["benchmarks"]
    futex = [row for row in entries if row["run_name"] == "BM_Switch_Futex/cpus:2" + THREADED]
    assert [row["run_type"] for row in futex] == ["iteration"] * 3 + ["aggregate"] * 4
    assert [row.get("repetition_index") for row in futex] == [0, 1, 2] + [None] * 4
    assert {row["repetitions"] for row in futex} == {3}
    assert futex[4]["name"] == "BM_Switch_Futex/cpus:2" + THREADED + "_median"
    assert futex[4]["real_time"] == statistics.median(row["real_time"] for row in futex[:3])
    families = {row["run_name"].split("/")[0]: row["family_index"] for row in entries}
    assert sorted(families.values()) == list(range(len(families))), \
        "unique over the files, however many processes measured one"
    assert {row["per_family_instance_index"] for row in entries
            if row["run_name"].startswith("BM_Switch_Futex")} == {0, 1}
    memory = [row for row in entries if row.get("aggregate_name") and "SpawnMemory" in row["name"]]
    assert all("bytes_per_task" in row for row in memory)


def test_aggregates_are_those_of_google_benchmark():
    """Two repetitions and what version 1.7.1 made of them."""
    row = entry("BM_X", 0)
    both = [{**row, "real_time": 4.8604429542340322, "cpu_time": 4.8632554302801463,
             "items_per_second": 2.0562358163909876e+08},
            {**row, "real_time": 4.5805928635118196, "cpu_time": 4.5814675356537133,
             "items_per_second": 2.1827067249038434e+08}]
    mean, median, stddev, cv = document.aggregates(both)
    assert list(cv) == ["name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
                        "threads", "aggregate_name", "aggregate_unit", "iterations", "real_time", "cpu_time",
                        "time_unit", "items_per_second"]
    assert (mean["name"], mean["aggregate_unit"]) == ("BM_X_mean", "time")
    assert (cv["name"], cv["aggregate_unit"]) == ("BM_X_cv", "percentage")
    assert mean["iterations"] == 2 and mean["real_time"] == median["real_time"] == pytest.approx(4.7205179088729254)
    assert stddev["cpu_time"] == pytest.approx(1.9925413114662829e-01)
    assert cv["items_per_second"] == pytest.approx(4.2193748162930783e-02)
    failed = {**row, "error_occurred": True, "error_message": "unavailable"}
    assert document.aggregates([both[0], failed]) == [] and len(document.aggregates([*both, failed])) == 4


def test_progress_and_tables_are_printed(micro, tmp_path):
    done = micro("--out", tmp_path / "r", "--no-report", "--rounds", "2")
    assert "rows: 11, files: 3, rounds: 2 of at least 0.01 s a row, seed: " in done.stdout
    assert "[1/6]" in done.stdout and "left" in done.stdout and "round 2 of 2" in done.stdout
    assert re.search(r"^Futex/cpus:2 +3,\d\d\d +7\.\d\d µs +\d\.\d % +1[01]\.\d µs$", done.stdout, re.M)
    assert re.search(r"^A futex takes 7\.\d µs, 3,\d+0 times a call\.$", done.stdout, re.M)
    assert "bytes_per_task 8.40 KiB" in done.stdout


def test_a_filter_leaves_out_answers_whose_rows_are_missing(measured, micro):
    folder = measured("a", "--filter", "Futex.*cpus:2|Codec")
    assert {row["run_name"].split("/")[0] for row in document.load(folder)["benchmarks"]} == {
        "BM_Switch_Futex", "BM_Codec_Null", "BM_Codec_DecodeHeader"}
    done = micro("--from", folder, "--no-report")
    assert done.returncode == 0 and "What does handing over cost?" in done.stdout and "A futex takes" not in done.stdout


def test_a_wrong_answer_yields_no_figure_and_status_4(micro, tmp_path):
    done = micro("--out", tmp_path / "r", "--rounds", "1", "--no-report", FAKE_WRONG_ROW="BM_Switch_Null")
    assert done.returncode == 4 and "BM_Switch_Null: wrong answer: made to be" in done.stderr
    assert re.search(r"^Null +– +–? .*wrong answer: made to be$", done.stdout, re.M)
    assert "No answer here: BM_Switch_Null: wrong answer: made to be." in done.stdout


def test_what_is_unavailable_is_printed_and_no_failure(micro, tmp_path):
    done = micro("--out", tmp_path / "r", "--rounds", "1", "--no-report", FAKE_UNAVAILABLE_ROW="BM_Switch_AsioPost")
    assert done.returncode == 0 and re.search(r"^AsioPost .*unavailable: made to be$", done.stdout, re.M)


def test_no_round_is_begun_that_would_end_after_the_budget(micro, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "BUDGET_S", 1e-6)
    done = micro("--out", tmp_path / "r", "--no-report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "measured 3 of 40 rounds" in done.stdout and "no more within" in done.stdout, done.stdout + done.stderr
    context = document.load(tmp_path / "r")["context"]
    assert (context["rounds"], context["rounds_asked"]) == (3, 3), "it is complete"


def test_a_process_that_fails_is_named_and_complete_rounds_are_kept(micro, tmp_path):
    done = micro("--out", tmp_path / "r", "--rounds", "3", "--no-report", FAKE_BENCH_FAILS_AT="4")
    assert done.returncode == 1
    assert re.search(r"(switch|spawn|codec)_bench, round 2: echo-microbench ended by SIGABRT: terminate called: made "
                     r"to fail; to see which row it was: \S+ '--benchmark_filter=\^\(BM_", done.stderr)
    stored = document.load(tmp_path / "r")
    assert (stored["context"]["rounds"], stored["context"]["rounds_asked"]) == (1, 3)


@pytest.mark.parametrize("waits_at, kept", [(3, 1), (0, 0)])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_keeps_its_complete_rounds(tmp_path, waits_at, kept, stop):
    environment = {**os.environ, "ECHOBENCH_BUILD": str(FAKES), "FAKE_PROCESSES": str(tmp_path / "processes"),
                   "FAKE_BENCH_WAITS_AT": str(waits_at)}
    command = [SCRIPTS / "echobench", "micro", "--out", tmp_path / "r", "--no-report", "--filter", "Futex|AsioPost"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        while process.poll() is None and len(_lines(tmp_path / "processes")) <= waits_at:
            time.sleep(0.02)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(stop)
        output, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    if kept:
        assert "measured 3 of 40 rounds" in output
        assert document.load(tmp_path / "r")["context"]["rounds"] == 3
    else:
        assert "there is no result" in output and not (tmp_path / "r" / "micro.json").exists()


def _lines(file):
    return file.read_text().splitlines() if file.exists() else []


def test_floors_are_measured_by_every_process_that_needs_them(monkeypatch):
    monkeypatch.setattr(measure, "TOGETHER", 2)
    question = Question("codec_bench", ("Codec", "Session"), "?", floor="Codec")
    names = ["BM_Codec_Null/payload:64", "BM_Codec_Null/payload:4096", "BM_Codec_Decode", "BM_Session_Echo/payload:64",
             "BM_Session_Echo/payload:4096", "BM_Session_Upper/payload:4096"]
    assert [(process.rows, process.names) for process in measure.processes({question: names})] == [
        (tuple(names[:2]), tuple(names[:2])), (tuple(names[2:4]), (names[0], *names[2:4])),
        (tuple(names[4:]), (names[1], *names[4:]))]


def test_the_floor_of_what_wakes_a_cpu_is_a_wake_up_wherever_it_is():
    wake = "BM_Switch_Futex/cpus:2/real_time"
    switch, event = (Question(f"{name}_bench", (name.title(),), "?", wake="BM_Switch_Futex/cpus:2")
                     for name in ("switch", "event"))
    rows = {switch: ["BM_Switch_Null", wake],
            event: ["BM_Event_Null", "BM_Event_Latch/cpus:2/real_time", "BM_Event_Latch/cpus:1"]}
    assert [process.names for process in measure.processes(rows)] == [tuple(rows[switch]), (wake, *rows[event])]
    assert [event.floor_of(name, [wake, *rows[event]]) for name in rows[event]] == [
        "BM_Event_Null", wake, "BM_Event_Null"]


def test_ratios_bear_a_host_that_changes_its_speed(measured, micro, monkeypatch):
    """Every other process runs on a host of half the speed, and all of another run on one of a third."""
    folder = measured("a", "--rounds", "8", "--seed", "1", FAKE_OF_SPEEDS="1,2")
    stored = document.load(folder)
    entries = [entry for entry in stored["benchmarks"]
               if entry["name"] == "BM_Switch_AsioPost" and entry["run_type"] == "iteration"]
    times, ratios = ([entry[key] for entry in entries] for key in ("cpu_time", document.TO_FLOOR))
    row = next(row for row in figures.rows(stored) if row.name == "BM_Switch_AsioPost")
    assert max(times) > 1.8 * min(times) and max(ratios) < 1.2 * min(ratios)
    assert row.ns == min(times) and row.ratio == pytest.approx(25, rel=0.05)
    slow = measured("b", "--rounds", "8", "--seed", "1", FAKE_OF_SPEEDS="3")
    done = micro("--from", folder, "--against", slow)
    assert re.search(r"^6 of 8 rows \(75.0 %\) agree within 5 %\nby their times alone 0 of 8 rows",
                     done.stdout, re.M), done.stdout
    assert {line.split()[0] for line in done.stdout.splitlines() if line.startswith("BM_")} == {
        "BM_SpawnMemory_Thread/tasks:100", "BM_Codec_DecodeHeader"}, \
        "floors are no figures; what has none goes by its time"


# ---- figures ----

def test_the_clock_that_decided_is_the_figure():
    timed = {"BM_A_Cpu": 1, "BM_A_Real/real_time": 2, "BM_A_Manual/manual_time": 2, "BM_A_Threads" + THREADED: 2}
    rows = figures.rows({"context": {}, "benchmarks": [entry(name, ns) for name in timed for ns in (10, 9, 14)]})
    assert {row.name: row.ns for row in rows} == {name: 9.0 * clock for name, clock in timed.items()}
    assert [row.cpu_ns for row in rows] == [None, None, None, 9.0]


def repeated(name, *times, **more):
    return [entry(name, ns, time_unit="us", bytes_per_task=100 + ns, items_per_second=1000 / ns, **more)
            for ns in times]


def test_a_row_is_its_fastest_repetition_up_to_the_upper_quartile():
    aggregate = {**entry("BM_A_X", 1), "run_type": "aggregate"}
    repetitions = repeated("BM_A_X", 11, 10, 30, 12, 9)
    [row] = figures.rows({"context": {}, "benchmarks": [*repetitions, aggregate]})
    assert (row.ns, row.low, row.high) == (9_000, 9_000, 12_000)
    assert row.spread == pytest.approx(3 / 9) and row.counters == {"bytes_per_task": 111, "items_per_second": 1000 / 9}
    assert figures.rows(result(A_X=[5]))[0].spread is None, "one repetition has no spread"


def test_what_wakes_the_other_cpu_is_its_median_with_the_interquartile_range():
    row = figures.rows({"context": {}, "benchmarks": repeated("BM_A_X/cpus:2" + THREADED, 11, 10, 30, 12, 9)})[0]
    assert (row.ns, row.low, row.high, row.cpu_ns) == (22_000, 20_000, 24_000, 11_000)
    assert row.counters == {"bytes_per_task": 111, "items_per_second": 1000 / 11}


def test_the_ratio_is_of_the_fastest_repetitions_or_of_a_wake_up_within_each_process():
    """A neighbour slows the floor more than the row in the second and third process, and a wake-up as it likes."""
    floor, wake = "BM_A_Null", "BM_A_Wake/cpus:2"
    series = {floor: (floor, ((1, 1), (2, 2), (2, 2))), "BM_A_X": (floor, ((10, 1), (12, 2), (12, 2))),
              wake: (wake, ((40, 40), (90, 90), (50, 50))), "BM_A_Y/cpus:2": (wake, ((80, 40), (90, 90), (150, 50)))}
    benchmarks = [entry(name, ns, floor=of, ratio_to_floor=ns / by)
                  for name, (of, times) in series.items() for ns, by in times]
    assert {row.name: row.ratio for row in figures.rows({"context": {}, "benchmarks": benchmarks})} == {
        floor: 1, "BM_A_X": 10, wake: 1, "BM_A_Y/cpus:2": 2}
    [row] = figures.rows({"context": {}, "benchmarks": benchmarks[3:6]})
    assert row.ratio == 10, "where the floor's own row was filtered out"


def test_the_floor_is_the_null_of_the_topic_with_the_arguments_of_the_row():
    stored = result(Codec_Null__payload_64=[0], Switch_Null=[2], Switch_X__cpus_1=[7])
    stored["benchmarks"] += [entry(name, ns) for name, ns in (
        ("BM_Codec_Null/payload:64", 5), ("BM_Codec_Null/payload:4096", 50), ("BM_Codec_Decode", 3),
        ("BM_Session_Echo/payload:4096", 100), ("BM_Session_Echo/payload:9", 100), ("BM_SpawnMemory_X", 1))]
    ratios = {row.name: section.ratio(row) for section in figures.sections(stored, questions.load())
              for row in section.rows}
    assert ratios["BM_Switch_Null"] == 1 and ratios["BM_Switch_X/cpus_1"] == 3.5
    assert ratios["BM_Session_Echo/payload:4096"] == 2
    assert {ratios[name] for name in ("BM_Codec_Decode", "BM_Session_Echo/payload:9", "BM_SpawnMemory_X")} == {None}


# ---- answers ----

ROWS = [figures.Row("BM_A_X/cpus:2" + THREADED, "", 7432, 0, 0, 11_234,
                    {"bytes_per_task": 8812, "late_p50_ns": 52_345}),
        figures.Row("BM_A_Null", "", 1.234, 0, 0, None, {}), figures.Row("BM_A_Y", "unavailable: not here")]


def answer(template, **more):
    return answers.answer(Question("a_bench", ("A",), "?", template), ROWS, **more)


@pytest.mark.parametrize("template, text", [
    ("{time:BM_A_X/cpus:2}", "7.4 µs"), ("{cpu:BM_A_X/cpus:2}", "11 µs"), ("{time:BM_A_Null}", "1.2 ns"),
    ("{ratio:BM_A_X/cpus:2|BM_A_Null}", "6,020"), ("{ratio:BM_A_Null|BM_A_X/cpus:2}", "0.00017"),
    ("{counter:BM_A_X/cpus:2|bytes_per_task} {counter:BM_A_X/cpus:2|late_p50_ns}", "8.6 KiB 52 µs"),
    ("plain {{text}}", "plain {text}"), ("", "")])
def test_answers_have_two_or_three_digits_and_a_unit(template, text):
    assert answer(template) == text


@pytest.mark.parametrize("template, complaint", [
    ("{time:BM_A_Z}", "there is no row BM_A_Z"),
    ("{tiem:BM_A_X}", r"'\{tiem:...\}' is none of time, cpu, ratio, counter"),
    ("{ratio:BM_A_Null}", "two operands"), ("{counter:BM_A_Null|no}", "no such figure"),
    ("{cpu:BM_A_Null}", "no such figure"),
    ("{time:BM_A_X", "unmatched '{'"), ("time}", "Single '}'"), ("{}", "is none of")])
def test_mistakes_in_an_answer_name_its_file(template, complaint):
    with pytest.raises(Usage, match=f"questions.json: a_bench: answer: .*{complaint}"):
        answer(template)


def test_an_answer_is_left_out_where_rows_may_be_missing():
    assert answer("{time:BM_A_Z}", partial=True) == ""
    assert answer("{time:BM_A_Null}", partial=True) == "1.2 ns"
    assert answer("{time:BM_A_Y}") == "No answer here: BM_A_Y: unavailable: not here."


def test_an_answer_without_its_row_is_refused_before_anything_is_measured(micro, monkeypatch, write, tmp_path):
    monkeypatch.setattr(questions, "FILE", write([{**QUESTIONS[0], "answer": "{time:BM_Switch_Gone}"}, *QUESTIONS[1:]]))
    done = micro()
    assert done.returncode == 2 and "switch_bench: answer: there is no row BM_Switch_Gone" in done.stderr
    assert not (tmp_path / "processes").exists()


@pytest.mark.parametrize("key, value, text", [
    ("late_p99_ns", 1500, "1.50 µs"), ("bytes_per_task", 312, "312 B"), ("stack_bytes", 8192, "8.00 KiB"),
    ("bytes_per_second", 5 << 30, "5.00 GiB/s"), ("items_per_second", 2.1e8, "210 M/s"), ("wakeups", 0.25, "0.250")])
def test_the_key_of_a_counter_contains_its_unit(key, value, text):
    assert answers.quantity(key, value) == text


# ---- reports ----

def test_the_report_has_a_chart_a_table_and_the_answer_for_each_question(micro, measured, tmp_path):
    done = micro("--from", measured("a", FAKE_WRONG_ROW="none"), "--out", tmp_path / "report")
    assert done.returncode == 0 and f"report: {tmp_path / 'report' / 'index.html'}" in done.stdout
    text = (tmp_path / "report" / "index.html").read_text()
    for question in QUESTIONS:
        svg = (tmp_path / "report" / "charts" / f"{question['file']}.svg").read_text()
        ElementTree.fromstring(svg)
        assert f'id="chart-{question["file"]}"' in text and question["question"] in text
    assert "CoroutineResume" in (tmp_path / "report" / "charts" / "switch_bench.svg").read_text()
    assert "A futex takes 7." in text and "Two take turns." in text
    assert '<tr class="reference" data-name="Null"><td class="left">Null</td>' in text
    assert "of the fastest of the rounds" in text and "interquartile range" in text
    assert "rounds_asked" in text and 'src="http' not in text
    specs = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.S)[1])
    rows = [point["row"] for point in specs[0]["spec"]["data"]["values"]]
    assert rows == ["Null", "Futex/cpus:1", "Futex/cpus:2", "CoroutineResume", "AsioPost"], "as they are listed"


def test_the_readme_is_written_from_a_result(micro, measured, monkeypatch, tmp_path):
    monkeypatch.setattr(readme, "FILE", tmp_path / "README.md")
    done = micro("--from", measured("a", "--rounds", "2", "--seed", "3"), "--no-report", "--readme")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("<!-- Generated by")
    assert "`scripts/echobench micro --rounds 2 --min-time 0.01 --seed 3 --readme`" in text
    assert "Linux 6.1.0" in text and "GNU 12.2.0 -O3, Boost 1.81, commit 0123456789" in text
    sections = text.split("\n## ")[1:]
    assert [section.splitlines()[0] for section in sections] == [question["question"] for question in QUESTIONS]
    assert "A futex takes 7." in sections[0] and "Two take turns." in sections[0]
    assert re.search(r"^\| row \| ratio \| time \| spread \| process CPU \|\n\| --- \| ---: \| ---: ",
                     sections[0], re.M)
    assert re.search(r"^\| `Futex/cpus:2` \| 3,\d+ \| 7\.\d\d µs \| \d\.\d % \| 11\.\d µs \|$", sections[0], re.M)
    assert re.search(r"^\| `SpawnMemory_Thread/tasks:100` \| \S+ ms \| \S+ % \| bytes_per_task 8.40 KiB \|$",
                     sections[1], re.M)


def test_what_google_benchmark_wrote_itself_is_read_too(micro, write):
    plain = result(Switch_Null=[2, 2], Codec_Decode=[3, 4])
    done = micro("--from", write(plain, "plain.json"), "--no-report")
    assert done.returncode == 0 and re.search(r"^Decode +3\.00 ns", done.stdout, re.M)
    assert micro("--from", write(plain, "plain.json"), "--no-report", "--readme").returncode == 2


def test_a_report_that_holds_a_result_is_not_written_over(micro, measured, tmp_path):
    folder = measured("a", "--rounds", "1")
    (folder / "index.html").write_text('<script type="application/gzip" id="result" data-reference="epoll"></script>')
    done = micro("--from", folder)
    assert done.returncode == 2 and "would be overwritten" in done.stderr
    assert micro("--from", folder, "--out", tmp_path / "other").returncode == 0
    processes = (tmp_path / "processes").read_text()
    (folder / "micro.json").unlink()
    done = micro("--out", folder, "--rounds", "1")
    assert done.returncode == 2
    assert (tmp_path / "processes").read_text() == processes, "it is refused before anything is measured"


# ---- agreement ----

def test_agreement_lists_the_rows_that_differ_worst_first(micro, write):
    a = result(A_Same=[100, 100, 500], A_Near=[100], A_Slower=[100], A_Faster=[100], A_Gone=[1])
    b = result(A_Same=[100, 300, 100], A_Near=[104], A_Slower=[130], A_Faster=[50], A_New=[1])
    done = micro("--from", write(a, "a.json"), "--against", write(b, "b.json"))
    assert done.returncode == 0
    assert "2 of 4 rows (50.0 %) agree within 5 %\nover all rows the times of B are 1.02 times A's" in done.stdout
    listed = re.findall(r"^(BM_\w+) .* (\d\S+)$", done.stdout, re.M)
    assert listed == [("BM_A_Faster", "0.500"), ("BM_A_Slower", "1.30")]
    assert re.findall(r"^only in one: (\S+)$", done.stdout, re.M) == ["BM_A_Gone", "BM_A_New"]


def test_agreement_does_not_depend_on_which_is_first():
    a, b = result(A_X=[100], A_Y=[100]), result(A_X=[106], A_Y=[94.5])
    there, back = (agreement.pairs(*documents)[0] for documents in ((a, b), (b, a)))
    assert [pair.name for pair in there] == [pair.name for pair in back] == ["BM_A_X", "BM_A_Y"]
    assert [pair.difference for pair in there] == pytest.approx([pair.difference for pair in back])


@pytest.mark.parametrize("arguments, complaint", [
    (["--rounds", "0"], "not a whole number"), (["--min-time", "fast"], "not a number of seconds"),
    (["--against", "b.json"], "--from A"), (["--filter", "Nothing"], "no row of echo-microbench matches"),
    (["--readme", "--filter", "Switch"], "without --filter"), (["--from", "/nonexistent"], "there is no result"),
    (["--from", "a", "--rounds", "3", "--min-time", "1"], "--rounds, --min-time: has no effect with --from"),
    (["--from", "a", "--against", "b", "--out", "c"], "--out: has no effect with --against")])
def test_mistakes_on_the_command_line(micro, arguments, complaint):
    done = micro(*arguments)
    assert done.returncode == 2 and complaint in done.stderr


def test_a_result_is_never_written_over(micro, measured):
    done = micro("--out", measured("a", "--rounds", "1"), "--no-report")
    assert done.returncode == 2 and "already" in done.stderr
