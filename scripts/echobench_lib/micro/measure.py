"""Measures: round after round, and in each round a process for every few rows of a file of bench/, in an order drawn
from a seed.

The repetitions of a row are thus spread over the whole run and over processes: drift of the machine and the luck of one
process (where its memory lies) show as spread, not as a difference between rows.  Every process measures the floors of
its rows, too, well within a second of them: both meet the same host."""

import math
import os
import random
import re
import shlex
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from .. import Failure, Usage, doctor
from ..documents import Json, now
from ..progress import Progress
from ..run.programs import answer, describe_end, last_line, program, read_json, run_to_end
from . import document, figures
from .questions import Question

LIMIT_S = 120        # of a process, plus ...
LIMIT_TIMES = 100    # ... this many times what its rows should take
GUESSED_TIMES = 4    # until a process was timed: how often the least time goes into measuring one row
LEAST_ROUNDS = 3     # whatever the budget
TOGETHER = 8         # rows of a process, not counting their floors


def list_rows(pattern: str) -> list[str]:
    """The names of the rows that match `pattern`, an expression of Google Benchmark; all when it is empty.  Raises
    Usage where none does."""
    command = [str(program("bench", "echo-microbench")), "--benchmark_list_tests=true",
               f"--benchmark_filter={pattern or '.'}"]
    rows = answer(command).splitlines()
    if not rows:
        raise Usage(f"--filter {pattern}: no row of echo-microbench matches")
    return rows


@dataclass(frozen=True)
class Process:
    """What one process measures: `rows` of a file; `names` are these and their floors, in the program's order."""

    question: Question
    rows: tuple[str, ...]
    names: tuple[str, ...]


Step = tuple[int, Process]  # a round, counted from 0, and one of its processes


def in_chunks(names: Sequence[str]) -> list[tuple[str, ...]]:
    """As many rows as a process measures at a time."""
    return [tuple(names[first:first + TOGETHER]) for first in range(0, len(names), TOGETHER)]


def processes(rows: Mapping[Question, Sequence[str]]) -> list[Process]:
    """For {question: its rows}."""
    result = []
    every = [name for names in rows.values() for name in names]
    for question, names in rows.items():
        for chunk in in_chunks(names):
            wanted = {*chunk, *(question.floor_of(name, every) for name in chunk)}
            result.append(Process(question, chunk, tuple(name for name in every if name in wanted)))
    return result


@dataclass(frozen=True)
class Plan:
    """What is measured: `rows` are the names of each question; no round is begun that would end after `budget_s`."""

    rows: Mapping[Question, Sequence[str]]
    rounds: int
    min_time_s: float
    seed: int
    pattern: str = ""
    budget_s: float | None = None

    def steps(self) -> list[Step]:
        """All of them, in an order drawn from the seed within each round."""
        draw, every = random.Random(self.seed), processes(self.rows)
        return [(number, process) for number in range(self.rounds) for process in draw.sample(every, len(every))]


class Measurement:
    """Carries out a plan and keeps its result file up to date."""

    def __init__(self, plan: Plan, file: Path) -> None:
        self._plan = plan
        self._asked = plan.rounds
        self._file = file
        self._context: Json = {}
        self._took_s: dict[Process, list[float]] = {}  # of each time
        self._began = {"started_at": now(), "load_average_before": round(os.getloadavg()[0], 2)}
        self._cpu_times = psutil.cpu_times()
        self.rounds: list[dict[Process, list[Json]]] = []   # those that are complete: {process: its rows}

    def run(self, progress: Progress) -> None:
        """Measures everything; `progress(done, steps, seconds_left)` is called before each step and at the end.
        Complete rounds are in the file whatever happens to later ones."""
        steps, every, begun = self._plan.steps(), processes(self._plan.rows), time.monotonic()
        measured: dict[Process, list[Json]] = {}
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

    def estimate_s(self, steps: Iterable[Step]) -> float:
        """Seconds that steps will take: what each process took, or, when it was not yet measured, what as many rows
        took elsewhere."""
        rows = sum(len(process.names) * len(took) for process, took in self._took_s.items())
        spent = sum(sum(took) for took in self._took_s.values())
        per_row = spent / rows if rows else GUESSED_TIMES * self._plan.min_time_s
        return sum(sum(took) / len(took) if (took := self._took_s.get(process)) else per_row * len(process.names)
                   for _, process in steps)

    def _measure(self, number: int, process: Process) -> list[Json]:
        begun = time.monotonic()
        output = measure(process, self._plan.min_time_s, f"round {number + 1}")
        self._context = self._context or output["context"]
        self._took_s.setdefault(process, []).append(time.monotonic() - begun)
        return rows_of(process, output)

    def _whole_context(self) -> Json:
        """Google Benchmark's context, of the first process, with what only we know."""
        known = {"cpu": doctor.cpu_model(), "filter": self._plan.pattern,
                 "steal_percent": round(doctor.steal_percent(self._cpu_times, psutil.cpu_times()), 2)}
        return {**self._context, **{key: value for key, value in known.items() if value not in (None, "")},
                "seed": self._plan.seed, "rounds": len(self.rounds), "rounds_asked": self._asked,
                "min_time_s": self._plan.min_time_s, **self._began, "finished_at": now()}


def measure(process: Process, min_time_s: float, where: str) -> Json:
    """The output of echo-microbench.  Raises Failure, which says `where` it was measured."""
    names, file_of = process.names, process.question.file
    with tempfile.TemporaryDirectory(prefix="echobench-") as scratch:
        file = Path(scratch) / "micro.json"
        command = _command(names, min_time_s, file)
        status, stderr = run_to_end(command, LIMIT_S + LIMIT_TIMES * len(names) * min_time_s)
        if status:
            raise Failure(f"{file_of}, {where}: echo-microbench {describe_end(status)}: "
                          f"{last_line(stderr) or 'no message'}; to see which row it was: {shlex.join(command[:2])}")
        output = read_json(file, "echo-microbench")
    if sorted(row["name"] for row in output["benchmarks"]) != sorted(names):
        raise Failure(f"{file_of}, {where}: echo-microbench measured other rows than it was asked for")
    return output


def _command(names: Iterable[str], min_time_s: float, file: Path) -> list[str]:
    wanted = "|".join(re.sub(r"([][.*+?^$|(){}\\])", r"\\\1", name) for name in names)
    # in another format than JSON it prints its context to stderr, whose last line is to be the reason of a failure
    return [str(program("bench", "echo-microbench")), f"--benchmark_filter=^({wanted})$",
            f"--benchmark_min_time={min_time_s:g}", "--benchmark_repetitions=1",
            f"--benchmark_out={file}", "--benchmark_out_format=json", "--benchmark_format=json"]


def rows_of(process: Process, output: Json) -> list[Json]:
    """Its own rows, each with its ratio to the floor of this process, where it has another than itself."""
    by_name = {row["name"]: row for row in output["benchmarks"]}
    floors = {name: process.question.floor_of(name, process.names) for name in process.rows}
    return [{**by_name[name], **(_to_floor(by_name[name], by_name[floor]) if floor and floor != name else {})}
            for name, floor in floors.items()]


def _to_floor(row: Json, floor: Json) -> Json:
    """Empty where either has no figure."""
    time_ns, of_floor_ns = figures.time_ns(row), figures.time_ns(floor)
    return {document.FLOOR: floor["name"], document.TO_FLOOR: time_ns / of_floor_ns} if time_ns and of_floor_ns else {}
