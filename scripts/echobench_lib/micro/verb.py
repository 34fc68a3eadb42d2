"""What `echobench micro` is asked for: to measure, to report what was measured, or how two results agree."""

import math
import random
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from .. import Usage
from ..documents import folder_of_report, locate, new_folder, require_no_report
from ..progress import Progress
from ..report import charts
from ..units import format_seconds
from . import agreement, answers, document, figures, questions, readme, report
from .measure import Measurement, Plan, list_rows
from .questions import Question

ROUNDS = 40          # many short ones: some of them are undisturbed, whatever the neighbours do ...
BUDGET_S = 540       # ... and fewer where they would take longer
MIN_TIME_S = 0.01
WRONG = 4  # exit status


def run(options: Namespace, console: Console) -> int:
    """The exit status: 0, or WRONG where a row gave a wrong answer."""
    _check(options)
    if options.against:
        return _compare(options, console)
    known = questions.load()
    file = locate(options.source, document.FILE_NAME) if options.source else _measure(options, known, console)
    stored = document.load(file)
    if options.readme and document.is_partial(stored):
        raise Usage(f"--readme needs all rows, and {file} has only some")
    sections = figures.sections(stored, known)
    rows = [row for section in sections for row in section.rows]
    sentences = {section.question: answers.answer(section.question, rows, document.is_partial(stored))
                 for section in sections}
    report.show(sections, sentences, console)
    if not options.no_report:
        folder = options.out or folder_of_report(file, document.FILE_NAME)
        console.print(f"\nreport: {report.write(stored, sections, sentences, folder)}", soft_wrap=True)
    if options.readme:
        console.print(f"written: {readme.write(stored, sections, sentences)}", soft_wrap=True)
    wrong = [row for row in rows if row.is_wrong]
    for row in wrong:
        print(f"echobench: {row.name}: {row.error}", file=sys.stderr)
    return WRONG if wrong else 0


def _check(options: Namespace) -> None:
    """Refuses options that would have no effect."""
    measuring = ("rounds", "min_time", "filter", "seed")
    if options.against and not options.source:
        raise Usage("--against B needs A: give --from A")
    ineffective = [*(measuring if options.source else ()), *(("out", "readme", "no_report") if options.against else ())]
    if given := [f"--{name.replace('_', '-')}" for name in ineffective if getattr(options, name)]:
        raise Usage(f"{', '.join(given)}: has no effect with {'--against' if options.against else '--from'}, because "
                    f"nothing is {'written' if options.against else 'measured'}")
    if options.readme and options.filter:
        raise Usage("--readme needs all rows: give it without --filter")


def _compare(options: Namespace, console: Console) -> int:
    both, times, single = agreement.pairs(document.load(options.source), document.load(options.against))
    if not both:
        raise Usage(f"{options.source} and {options.against} have no row in common")
    agreement.show(both, times, single, console)
    return 0


def _plan(options: Namespace, known: Sequence[Question]) -> Plan:
    """What is to be measured; Usage and Failure before anything is."""
    names = list_rows(options.filter or "")
    rows = questions.group(names, known)
    if not options.filter:
        answers.check(known, names)
    return Plan(rows, options.rounds or ROUNDS, options.min_time or MIN_TIME_S,
                options.seed or random.SystemRandom().randrange(1, 1 << 31), options.filter or "",
                None if options.rounds else BUDGET_S)


def _measure(options: Namespace, known: Sequence[Question], console: Console) -> Path:
    """The file of a new result."""
    plan = _plan(options, known)
    file = new_folder(options.out, "micro", document.FILE_NAME) / document.FILE_NAME
    if not options.no_report:
        require_no_report(file.parent)
        charts.install()  # before minutes are spent on measuring
    measurement = Measurement(plan, file)
    console.print(f"rows: {sum(map(len, plan.rows.values()))}, files: {len(plan.rows)}, rounds: {plan.rounds} of at "
                  f"least {plan.min_time_s:g} s a row, seed: {plan.seed}; about "
                  f"{format_seconds(min(measurement.estimate_s(plan.steps()), plan.budget_s or math.inf))} (min:s)")
    begun = time.monotonic()
    try:
        with Progress(console, lambda number, process:
                      f"{process.question.file}  round {number + 1} of {plan.rounds}") as progress:
            measurement.run(progress)
    finally:
        done, took = len(measurement.rounds), format_seconds(time.monotonic() - begun)
        spent = f", no more within {format_seconds(plan.budget_s)}" if plan.budget_s and done < plan.rounds else ""
        console.print(f"measured {done} of {plan.rounds} rounds in {took} (min:s){spent}: {file}" if done else
                      "stopped before the first round was finished: there is no result", soft_wrap=True)
    console.print()
    return file
