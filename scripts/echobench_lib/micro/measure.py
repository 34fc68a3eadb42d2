"""Measures: round after round, and in each round one process per file of bench/, in an order drawn from a seed.

The repetitions of a row are thus spread over the whole run and over processes: drift of the machine and the luck of
one process (where its memory lies) show as spread, not as a difference between rows."""

import os
import random
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from .. import Failure, Usage, doctor
from ..documents import now
from ..run.programs import START_S, describe_end, last_line, program, read_json, run_to_end
from . import document

LIMIT_S = 120        # of a process, beside ...
LIMIT_TIMES = 100    # ... so many times what its rows should take
GUESSED_TIMES = 4    # until a process was timed: how often the least time goes into measuring one row


def list_rows(pattern):
    """The names of the rows that match `pattern`, an expression of Google Benchmark; all when it is empty."""
    command = [str(program("bench", "echo-microbench")), "--benchmark_list_tests=true",
               f"--benchmark_filter={pattern or '.'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {describe_end(done.returncode)}: {last_line(done.stderr) or 'no message'}")
    rows = done.stdout.splitlines()
    if not rows:
        raise Usage(f"--filter {pattern}: no row of echo-microbench matches")
    return rows


@dataclass(frozen=True)
class Plan:
    """What is measured: `rows` are the names of each question."""

    rows: dict
    rounds: int
    min_time_s: float
    seed: int
    pattern: str = ""

    def steps(self):
        """(round, question) pairs."""
        draw = random.Random(self.seed)
        return [(number, question) for number in range(self.rounds)
                for question in draw.sample(list(self.rows), len(self.rows))]


class Measurement:
    """Carries out a plan and keeps its result file up to date."""

    def __init__(self, plan, file):
        self._plan = plan
        self._file = file
        self._context = {}
        self._took_s = {}  # question -> of its processes
        self._began = {"started_at": now(), "load_average_before": round(os.getloadavg()[0], 2)}
        self._cpu_times = psutil.cpu_times()
        self.rounds = []   # those that are complete: {question: its rows}

    def run(self, progress):
        """Measures everything; `progress(done, steps, seconds_left)` is called before each step and at the end.
        Complete rounds are in the file whatever happens to later ones."""
        steps, measured = self._plan.steps(), {}
        for done, (number, question) in enumerate(steps):
            progress(done, steps, self.estimate_s(steps[done:]))
            measured[question] = self._measure(number, question)
            if len(measured) == len(self._plan.rows):
                self.rounds.append(measured)
                measured = {}
                document.save(self._whole_context(), self.rounds, self._file)
        progress(len(steps), steps, 0)

    def estimate_s(self, steps):
        """Seconds that (round, question) pairs will take: what that file took, or, when it was not yet measured, what
        its rows took elsewhere."""
        rows = sum(len(self._plan.rows[question]) * len(took) for question, took in self._took_s.items())
        per_row = sum(map(sum, self._took_s.values())) / rows if rows else GUESSED_TIMES * self._plan.min_time_s
        expected = {question: sum(took) / len(took) if (took := self._took_s.get(question)) else per_row * len(names)
                    for question, names in self._plan.rows.items()}
        return sum(expected[question] for _, question in steps)

    def _measure(self, number, question):
        """The rows of one process."""
        names = self._plan.rows[question]
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="echobench-") as scratch:
            file = Path(scratch) / "micro.json"
            status, said = run_to_end(self._command(names, file),
                                      LIMIT_S + LIMIT_TIMES * len(names) * self._plan.min_time_s)
            if status:
                raise Failure(f"{question.file}, round {number + 1}: echo-microbench {describe_end(status)}: "
                              f"{last_line(said) or 'no message'}; to see which row it was: "
                              f"build/release/bench/echo-microbench --benchmark_filter='^BM_({'|'.join(question.topics)})_'")
            output = read_json(file, "echo-microbench")
        if [row["name"] for row in output["benchmarks"]] != names:
            raise Failure(f"{question.file}, round {number + 1}: echo-microbench measured other rows than it was asked for")
        self._context = self._context or output["context"]
        self._took_s.setdefault(question, []).append(time.monotonic() - begun)
        return output["benchmarks"]

    def _command(self, names, file):
        wanted = "|".join(re.sub(r"([][.*+?^$|(){}\\])", r"\\\1", name) for name in names)
        # in another format than JSON it prints its context to stderr, where the last line is to tell of a failure
        return [str(program("bench", "echo-microbench")), f"--benchmark_filter=^({wanted})$",
                f"--benchmark_min_time={self._plan.min_time_s:g}", "--benchmark_repetitions=1",
                f"--benchmark_out={file}", "--benchmark_out_format=json", "--benchmark_format=json"]

    def _whole_context(self):
        """Google Benchmark's context, of the first process, with what only we know."""
        known = {"cpu": doctor.cpu_model(), "filter": self._plan.pattern,
                 "steal_percent": round(doctor.steal_percent(self._cpu_times, psutil.cpu_times()), 2)}
        return {**self._context, **{key: value for key, value in known.items() if value not in (None, "")},
                "seed": self._plan.seed, "rounds": len(self.rounds), "rounds_asked": self._plan.rounds,
                "min_time_s": self._plan.min_time_s, **self._began, "finished_at": now()}
