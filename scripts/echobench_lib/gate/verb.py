"""What `echobench gate` is asked for."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from .. import Failure, documents, failure_of
from ..micro.questions import plain
from ..progress import Progress
from ..run.programs import require_descriptors
from . import builds, exact, judgement, outputs, primitives, timed
from .builds import Build
from .judgement import Judgement

FILE_NAME = "gate.json"


def run(options: Namespace, console: Console) -> int:
    """The exit status; a failure of the gate itself is no regression, and is reported with what was judged until
    then."""
    folder = documents.new_folder(options.out, "gate", FILE_NAME, timed.TIER)
    judgements: list[Judgement] = []
    try:
        return _judge(options, folder, judgements, console)
    except (Failure, OSError) as error:
        failure = failure_of(error)
        _publish(folder, f"{options.head} against {options.base}: not finished", judgements, str(failure))
        raise failure from None


def _judge(options: Namespace, folder: Path, judgements: list[Judgement], console: Console) -> int:
    """Adds to `judgements` tier by tier."""
    require_descriptors(max([2 * max(options.connections), *(3 * clients for clients in options.timed)]))
    if options.head == "HEAD" and builds.has_changes():
        console.print("changes that are not committed are not part of HEAD, and are not judged", soft_wrap=True)
    base, head = builds.build([options.base, options.head], console,
                              more=(primitives.PROGRAM,) if options.micro else ())
    rows = primitives.rows(base, head, options.micro) if options.micro else {}
    driver = builds.load_generator([base, head], console) if options.timed else None
    with Progress(console, lambda build, cell: f"{build.label}: {cell.variant}, {cell.connections:,}") as progress:
        judgements += exact.judge(base, head, options, progress)
    if driver:
        judgements += timed.judge(base, head, driver, options, console, folder)
    if options.micro:
        def describe(pair: int, names: Sequence[str]) -> str:
            return f"{plain(names[0])} and {len(names) - 1} more, pair {pair + 1}"
        with Progress(console, describe) as progress:
            judgements += primitives.judge(base, head, rows, options.seed, progress)
    status = judgement.exit_status(judgements, options.strict)
    title = f"{head.label} against {base.label}, margin {100 * options.margin:g} %"
    outputs.show(title, judgements, console)
    _write(folder, title, base, head, judgements, status, options)
    console.print(f"{folder}: gate.json, gate.md, gate.xml (JUnit)", soft_wrap=True)
    return status


def _write(folder: Path, title: str, base: Build, head: Build, judgements: Sequence[Judgement], status: int,
           options: Namespace) -> None:
    documents.write({"schema_version": 2, "kind": "gate", "base": base.commit, "head": head.commit,
                     "margin": options.margin, "strict": options.strict, "exit_status": status,
                     "made_at": documents.now(),
                     "cells": [entry.as_json() for entry in judgements]}, folder / FILE_NAME)
    _publish(folder, title, judgements)


def _publish(folder: Path, title: str, judgements: Sequence[Judgement], error: str = "") -> None:
    """What people and CI systems read."""
    text = outputs.markdown(title, judgements, error)
    documents.write_text(text, folder / "gate.md")
    documents.write_text(outputs.junit(judgements, error), folder / "gate.xml")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in outputs.annotations(judgements, error):
            print(line)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(summary).open("a") as file:
                file.write(text)
        except OSError as refused:  # the verdict stands
            print(f"echobench: warning: GITHUB_STEP_SUMMARY: {failure_of(refused)}", file=sys.stderr)
