"""Measures: round after round, and in each round a process for every few rows of a file of bench/, in an order drawn from a seed.

The repetitions of a row are thus spread over the whole run and over processes: drift of the machine and the luck of
one process (where its memory lies) show as spread, not as a difference between rows.  Every process measures the floors of its
rows, too, well within a second of them: both meet the same host."""

import math
import os
import random
import re
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from .. import Failure, Usage, doctor
from ..documents import now
from ..run.programs import answer, describe_end, last_line, program, read_json, run_to_end
from . import document, figures

LIMIT_S = 120        # of a process, plus ...
LIMIT_TIMES = 100    # ... this many times what its rows should take
GUESSED_TIMES = 4    # until a process was timed: how often the least time goes into measuring one row
LEAST_ROUNDS = 3     # whatever the budget
TOGETHER = 8         # rows of a process, not counting their floors


def list_rows(pattern):
    """The names of the rows that match `pattern`, an expression of Google Benchmark; all when it is empty."""
    command = [str(program("bench", "echo-microbench")), "--benchmark_list_tests=true",
               f"--benchmark_filter={pattern or '.'}"]
    rows = answer(command).splitlines()
    if not rows:
        raise Usage(f"--filter {pattern}: no row of echo-microbench matches")
    return rows


@dataclass(frozen=True)
class Process:
    """What one process measures: `rows` of a file; `names` are these and their floors, in the program's order."""

    question: object
    rows: tuple
    names: tuple


def in_chunks(names):
    """As many rows as a process measures at a time."""
    return [tuple(names[first:first + TOGETHER]) for first in range(0, len(names), TOGETHER)]


def processes(rows):
    """For {question: its rows}."""
    result, every = [], [name for names in rows.values() for name in names]
    for question, names in rows.items():
        for chunk in in_chunks(names):
            wanted = {*chunk, *(question.floor_of(name, every) for name in chunk)}
            result.append(Process(question, chunk, tuple(name for name in every if name in wanted)))
    return result


@dataclass(frozen=True)
class Plan:
    """What is measured: `rows` are the names of each question; no round is begun that would end after `budget_s`."""

    rows: dict
    rounds: int
    min_time_s: float
    seed: int
    pattern: str = ""
    budget_s: float | None = None

    def steps(self):
        """(round, process) pairs."""
        draw, every = random.Random(self.seed), processes(self.rows)
        return [(number, process) for number in range(self.rounds) for process in draw.sample(every, len(every))]


class Measurement:
    """Carries out a plan and keeps its result file up to date."""

    def __init__(self, plan, file):
        self._plan = plan
        self._asked = plan.rounds
        self._file = file
        self._context = {}
        self._took_s = {}  # process -> of each time
        self._began = {"started_at": now(), "load_average_before": round(os.getloadavg()[0], 2)}
        self._cpu_times = psutil.cpu_times()
        self.rounds = []   # those that are complete: {process: its rows}

    def run(self, progress):
        """Measures everything; `progress(done, steps, seconds_left)` is called before each step and at the end.
        Complete rounds are in the file whatever happens to later ones."""
        steps, every, measured, begun = self._plan.steps(), processes(self._plan.rows), {}, time.monotonic()
        budget_s = self._plan.budget_s or math.inf
        for done, (number, process) in enumerate(steps):
            spent_s = time.monotonic() - begun
            if not measured and len(self.rounds) >= LEAST_ROUNDS and spent_s * (1 + 1 / len(self.rounds)) > budget_s:
                self._asked = len(self.rounds)
                document.save(self._whole_context(), self.rounds, self._file)
                break
            progress(done, steps, min(self.estimate_s(steps[done:]), budget_s - spent_s))
            measured[process] = self._measure(number, process)
            if len(measured) == len(every):
                self.rounds.append({process: measured[process] for process in every})
                measured = {}
                document.save(self._whole_context(), self.rounds, self._file)
        progress(len(steps), steps, 0)

    def estimate_s(self, steps):
        """Seconds that (round, process) pairs will take: what each took, or, when it was not yet measured, what as many rows
        took elsewhere."""
        rows = sum(len(process.names) * len(took) for process, took in self._took_s.items())
        per_row = sum(map(sum, self._took_s.values())) / rows if rows else GUESSED_TIMES * self._plan.min_time_s
        return sum(sum(took) / len(took) if (took := self._took_s.get(process)) else per_row * len(process.names) for _, process in steps)

    def _measure(self, number, process):
        begun = time.monotonic()
        output = measure(process, self._plan.min_time_s, f"round {number + 1}")
        self._context = self._context or output["context"]
        self._took_s.setdefault(process, []).append(time.monotonic() - begun)
        return rows_of(process, output)

    def _whole_context(self):
        """Google Benchmark's context, of the first process, with what only we know."""
        known = {"cpu": doctor.cpu_model(), "filter": self._plan.pattern,
                 "steal_percent": round(doctor.steal_percent(self._cpu_times, psutil.cpu_times()), 2)}
        return {**self._context, **{key: value for key, value in known.items() if value not in (None, "")},
                "seed": self._plan.seed, "rounds": len(self.rounds), "rounds_asked": self._asked,
                "min_time_s": self._plan.min_time_s, **self._began, "finished_at": now()}


def measure(process, min_time_s, where):
    """The output of echo-microbench."""
    names, file_of = process.names, process.question.file
    with tempfile.TemporaryDirectory(prefix="echobench-") as scratch:
        file = Path(scratch) / "micro.json"
        command = _command(names, min_time_s, file)
        status, stderr = run_to_end(command, LIMIT_S + LIMIT_TIMES * len(names) * min_time_s)
        if status:
            raise Failure(f"{file_of}, {where}: echo-microbench {describe_end(status)}: {last_line(stderr) or 'no message'}; "
                          f"to see which row it was: {shlex.join(command[:2])}")
        output = read_json(file, "echo-microbench")
    if sorted(row["name"] for row in output["benchmarks"]) != sorted(names):
        raise Failure(f"{file_of}, {where}: echo-microbench measured other rows than it was asked for")
    return output


def _command(names, min_time_s, file):
    wanted = "|".join(re.sub(r"([][.*+?^$|(){}\\])", r"\\\1", name) for name in names)
    # in another format than JSON it prints its context to stderr, whose last line is to be the reason of a failure
    return [str(program("bench", "echo-microbench")), f"--benchmark_filter=^({wanted})$",
            f"--benchmark_min_time={min_time_s:g}", "--benchmark_repetitions=1",
            f"--benchmark_out={file}", "--benchmark_out_format=json", "--benchmark_format=json"]


def rows_of(process, output):
    """Its own rows, each with its ratio to the floor of this process, where it has another than itself."""
    by_name = {row["name"]: row for row in output["benchmarks"]}
    return [{**by_name[name], **_to_floor(by_name[name], by_name.get(process.question.floor_of(name, process.names)))} for name in process.rows]


def _to_floor(row, floor):
    if row is floor:
        return {}
    times = [figures.time_ns(measured) if measured else None for measured in (row, floor)]
    return {document.FLOOR: floor["name"], document.TO_FLOOR: times[0] / times[1]} if all(times) else {}
