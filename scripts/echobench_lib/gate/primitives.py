"""The tier of the primitives: the micro-benchmarks of both revisions, a process of one and a process of the other in
turn.  What a restart is to the timed tier is here a pair of processes; everything else is decided in the same way."""

import math
import random
from collections.abc import Mapping, Sequence

from .. import Failure, Usage
from ..micro.figures import time_ns
from ..micro.measure import GUESSED_TIMES, TOGETHER, Process, in_chunks, list_rows, measure
from ..micro.questions import Question, plain
from ..progress import Progress
from .builds import Build, ask
from .decide import Figure, confirmed
from .judgement import BROKE, MISSING, NEW, UNCHANGED, UNMEASURED, Judgement, Verdict

TIER = "primitives"
PROGRAM = "echo-microbench"
PAIRS = 10         # of processes, in each of the two rounds
MIN_TIME_S = 0.02  # of a row in each process
MARGIN = 0.1       # of a time: memory lies elsewhere in each process
FIGURE = "time per operation"


def rows(base: Build, head: Build, pattern: str) -> dict[Build, list[str]]:
    """{build: its rows that match `pattern`, an expression of Google Benchmark}; Usage where none does."""
    listed = ask(base, head, lambda build: _rows(build, pattern))
    if not any(listed.values()):
        raise Usage(f"--micro {pattern}: no row of {PROGRAM} matches, in either revision")
    return listed


def _rows(build: Build, pattern: str) -> list[str]:
    if not (build.folder / "bench" / PROGRAM).exists():  # the revision has no micro-benchmarks
        return []
    with build.in_use():
        try:
            return list_rows(pattern)
        except Usage:  # none
            return []


def judge(base: Build, head: Build, listed: Mapping[Build, list[str]], seed: int,
          progress: Progress) -> list[Judgement]:
    """A Judgement for each row of two builds, as `rows` lists them."""
    both = [name for name in listed[head] if name in listed[base]]
    errors, first = _measure(base, head, both, 0, seed, progress)
    figures = {name: Figure(FIGURE, MARGIN, (values,)) for name, values in first.items()}
    left = [name for name in both if name in figures and name not in errors and figures[name].is_open]
    more, second = _measure(base, head, left, 1, seed, progress)
    errors |= more
    figures |= {name: Figure(FIGURE, MARGIN, (first[name], values)) for name, values in second.items()}
    sure = confirmed({name: figure for name, figure in figures.items() if name not in errors})
    return [_judge(name, listed, base, head, errors.get(name), figures.get(name), name in sure)
            for name in dict.fromkeys(listed[base] + listed[head])]


def _measure(base: Build, head: Build, names: Sequence[str], number: int, seed: int,
             progress: Progress) -> tuple[dict[str, tuple[Verdict, str]], dict[str, list[float]]]:
    """({row: (what was found, why)}, {row: log ratios, one for each pair}) of one round.  A row that fails is not
    measured again."""
    chunks = in_chunks(names)
    draw = random.Random(1000 * number + seed)
    errors: dict[str, tuple[Verdict, str]] = {}
    values: dict[str, list[float]] = {}
    steps = [(pair, chunk) for pair in range(PAIRS) for chunk in draw.sample(chunks, len(chunks))]
    for done, (pair, chunk) in enumerate(steps):
        progress(done, steps, (len(steps) - done) * 2 * TOGETHER * GUESSED_TIMES * MIN_TIME_S)
        left = [name for name in chunk if name not in errors]
        times = {build: _run(build, left) for build in draw.sample((base, head), 2)}
        for name in left:
            before, after = times[base][name], times[head][name]
            if isinstance(after, str) and not after.startswith("unavailable"):  # the row says so itself; else it failed
                errors[name] = BROKE, f"{head.label}: {after}"
            elif isinstance(after, str):
                errors[name] = UNMEASURED, f"{head.label}: {after}"
            elif isinstance(before, str):
                errors[name] = UNMEASURED, f"{base.label}: {before}"
            elif before and after:
                values.setdefault(name, []).append(math.log(after / before))
    return errors, values


def _run(build: Build, names: Sequence[str]) -> dict[str, float | str | None]:
    """{row: its time (ns), or a sentence that says why it has none}.  Where a process ends early its rows are measured
    one by one, so that one does not take the others with it."""
    if not names:
        return {}
    chunk = Process(Question(PROGRAM, (), ""), tuple(names), tuple(names))
    try:
        with build.in_use():
            rows = measure(chunk, MIN_TIME_S, build.label)["benchmarks"]
    except Failure as failure:
        if len(names) == 1:
            return {names[0]: str(failure)}
        return {name: row for single in names for name, row in _run(build, [single]).items()}
    return {row["name"]: row.get("error_message") or "no message" if row.get("error_occurred") else time_ns(row)
            for row in rows}


def _judge(name: str, listed: Mapping[Build, list[str]], base: Build, head: Build, error: tuple[Verdict, str] | None,
           figure: Figure | None, is_sure: bool) -> Judgement:
    def judged(verdict: Verdict, why: Sequence[str] = ()) -> Judgement:
        return Judgement(TIER, plain(name), None, verdict, list(why), {FIGURE: figure.text} if figure else {})

    if name not in listed[head]:
        return judged(MISSING, ["the head does not have it"])
    if name not in listed[base]:
        return judged(NEW)
    if error:
        return judged(error[0], [error[1]])
    if figure is None:
        return judged(UNMEASURED, ["one of the sides gave no figure"])
    verdict = figure.verdict(is_sure)
    return judged(verdict, [] if verdict == UNCHANGED else [figure.why(verdict)])
