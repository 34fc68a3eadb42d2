"""Measures: each cell with each tool, in two lengths, several times; what a request costs is the difference of the two
divided by the requests between them, so that starting and connecting cancel out."""

import hashlib
import os
import platform
import shlex
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .. import Failure, doctor
from ..documents import Json, now
from ..plan.variants import Framing
from ..progress import Progress
from ..run.programs import program
from ..units import format_connections
from . import document, tools
from .drive import Driven, Endless, SeveralProcesses, Shape, Wrong
from .tools import NATIVE, Tool, Totals

LENGTHS = ((20, 4), (120, 12))  # requests of a run, and rounds, at least; the larger counts
CALL, WAITS = "call:", "waits"  # a system call, how often the server waited: names of totals
HANDOVER = "futex"  # the call by which a thread wakes another
HANDS_OVER = 0.01   # of them for a request, at least, where that belongs to the model and is no stray one
DEPENDS = ("its threads wake one another (futex): the scheduler decides how often, and which runs first; valgrind runs "
           "one thread at a time, so that instructions and allocations are those of one CPU")


@dataclass(frozen=True)
class Cell:
    """A variant with that many connections."""

    variant: str
    connections: int
    program: str = "echo-server"

    @property
    def lengths(self) -> tuple[int, int]:
        """Rounds of the short run and of the long one."""
        short, long = (max(rounds, requests // self.connections) for requests, rounds in LENGTHS)
        return short, long


@dataclass(frozen=True)
class Plan:
    """`cells` are measured; `unavailable` {variant: why not here} and `unserved` sentences are not.  `payload` in
    bytes."""

    cells: list[Cell]
    framing: Framing
    payload: int
    repeats: int
    unavailable: dict[str, str]
    unserved: list[str]

    def command(self, cell: Cell) -> list[str]:
        return [str(program("servers", cell.program)), "--variant", cell.variant, "--port", "0", "--threads", "1",
                "--framing", self.framing]

    def shape(self, cell: Cell) -> Shape:
        return Shape(cell.connections, self.framing, self.payload)


@dataclass(frozen=True)
class Run:
    """One run of a tool: `totals` of its whole process, and `waits`, how often the server was let go."""

    tool: str
    repeat: int
    rounds: int
    requests: int
    command: list[str]
    totals: Totals
    waits: int

    @property
    def counts(self) -> dict[str, int]:
        """All that were counted, by name."""
        return {**self.totals.counts, WAITS: self.waits}

    def as_json(self) -> Json:
        return {"tool": self.tool, "repeat": self.repeat, "rounds": self.rounds, "requests": self.requests,
                "command": self.command, "totals": self.counts}


class Measurement:
    """Carries out a plan and keeps its result file up to date; `file` is None where single cells are measured."""

    def __init__(self, plan: Plan, argv: Sequence[str], file: Path | None) -> None:
        self._plan = plan
        self._file = file
        self._took_s: list[float] = []
        self._endless: dict[str, dict[str, str]] = {}  # {variant: {tool: why}}
        binary = program("servers", "echo-server")
        other_names = sorted({cell.program for cell in plan.cells} - {binary.name})
        others = {name: _digest(program("servers", name)) for name in other_names}
        self.document: Json = {
            "schema_version": 1, "kind": document.KIND,
            "tool": {**tools.versions(), "server": str(binary), "sha256": _digest(binary),
                     **({"other_servers": others} if others else {})},
            "host": {**doctor.host_facts(), "cpu": doctor.cpu_model(), "kernel": platform.release(),
                     "libc": " ".join(platform.libc_ver())},
            "config": {"framing": plan.framing, "payload_bytes": plan.payload, "repeats": plan.repeats},
            "argv": argv, "started_at": now(), "complete": False, "unavailable": plan.unavailable,
            "unserved": plan.unserved, "cells": []}

    def run(self, progress: Progress) -> None:
        """`progress(done, steps, seconds_left)` is called before each cell and at the end.  Cells that were counted are
        in the file whatever happens to later ones."""
        steps = [(cell,) for cell in self._plan.cells]
        for done, (cell,) in enumerate(steps):
            per_cell_s = sum(self._took_s) / len(self._took_s) if self._took_s else self._guess_s()
            progress(done, steps, per_cell_s * (len(steps) - done))
            begun = time.monotonic()
            try:
                self.document["cells"].append(self.measure(cell))
            except SeveralProcesses as reason:
                self.document["unserved"].append(
                    f"{cell.variant} is not counted with {format_connections(cell.connections)}: {reason}")
                continue
            self._took_s.append(time.monotonic() - begun)
            self._save()
        if not self.document["cells"]:
            raise Failure(f"nothing could be counted: {'; '.join(self.document['unserved'])}")
        self.document.update(complete=True, finished_at=now())
        self._save()
        progress(len(steps), steps, 0)

    def _save(self) -> None:
        if self._file:
            document.save(self.document, self._file)

    def _guess_s(self) -> float:
        return 3 + 3 * self._plan.repeats

    def measure(self, cell: Cell) -> Json:
        """All runs of a cell, side by side: counting is not timing, so that they may.  A tool that fails is not asked
        again.  The cell as it is stored; Wrong, SeveralProcesses or Failure where nothing could be counted."""
        runs: list[Run] = []
        refused = dict(self._endless.get(cell.variant, {}))
        with tempfile.TemporaryDirectory(prefix="echobench-") as scratch, \
                ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            try:
                jobs = [(tool, pool.submit(self._run, cell, tool, repeat, Path(scratch)))
                        for tool in tools.TOOLS if tool.name not in refused for repeat in range(self._plan.repeats)]
                for tool, job in jobs:
                    if tool.name in refused:
                        job.cancel()
                        continue
                    try:
                        runs += job.result()
                    except (Wrong, SeveralProcesses):
                        raise
                    except Failure as failure:
                        refused[tool.name] = str(failure)
                        if isinstance(failure, Endless):
                            self._endless.setdefault(cell.variant, {})[tool.name] = str(failure)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        if len(refused) == len(tools.TOOLS):
            raise Failure(f"{cell.variant}, {format_connections(cell.connections)}: {refused[NATIVE.name]}")
        return stored_cell(cell, [run for run in runs if run.tool not in refused], refused)

    def _run(self, cell: Cell, tool: Tool, repeat: int, scratch: Path) -> list[Run]:
        """The short run and the long one."""
        if tool.read is None:
            return self._run_natively(cell, repeat)
        return [self._run_once(cell, tool, tool.read, repeat, rounds, scratch) for rounds in cell.lengths]

    def _run_once(self, cell: Cell, tool: Tool, read: Callable[[str], Totals], repeat: int, rounds: int,
                  scratch: Path) -> Run:
        out = scratch / f"{tool.name}-{repeat}-{rounds}"
        command = [*tool.command(out), *self._plan.command(cell)]
        with Driven(command, self._plan.shape(cell)) as server:
            server.rounds(rounds)
            waits = server.waits
            server.end()
            self._note_build(server)
        try:
            totals = read(out.read_text())
        except OSError as error:
            raise Failure(f"{shlex.join(command)}: it left no output: {error.strerror}") from None
        stored_command = tool.command("OUT") + self._plan.command(cell)
        return Run(tool.name, repeat, rounds, rounds * cell.connections, stored_command, totals, waits)

    def _run_natively(self, cell: Cell, repeat: int) -> list[Run]:
        command, runs = self._plan.command(cell), []
        with Driven(command, self._plan.shape(cell)) as server:
            for rounds in cell.lengths:
                server.rounds(rounds)
                voluntary, involuntary = server.switches()
                totals = Totals({"voluntary_switches": voluntary, "involuntary_switches": involuntary})
                runs.append(Run(NATIVE.name, repeat, rounds, rounds * cell.connections, command, totals, server.waits))
            server.end()
        return runs

    def _note_build(self, server: Driven) -> None:
        if build := server.listening.get("build"):
            self.document["tool"]["build"] = build


def _digest(binary: Path) -> str:
    return hashlib.sha256(binary.read_bytes()).hexdigest()


def stored_cell(cell: Cell, runs: Sequence[Run], refused: Mapping[str, str]) -> Json:
    """What a result holds of a cell: what was counted, and what comes to a request.  `runs` has a short one and a long
    one of each tool and repeat, but for the tools that are `refused`, {tool: why}."""
    by_repeat: dict[tuple[str, int], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.rounds):
        by_repeat.setdefault((run.tool, run.repeat), []).append(run)
    pairs = {key: (short, long) for key, (short, long) in sorted(by_repeat.items())}
    counted: dict[tuple[str, str], list[float]] = {}
    for (tool, _), (short, long) in pairs.items():
        requests = long.requests - short.requests
        for name in short.counts.keys() | long.counts.keys():
            difference = long.counts.get(name, 0) - short.counts.get(name, 0)
            counted.setdefault((tool, name), []).append(difference / requests)
    calls = {name.removeprefix(CALL): values for (tool, name), values in counted.items() if name.startswith(CALL)}
    repeats = sum(tool == tools.STRACE.name for tool, _ in pairs)
    calls = {name: values + [0.0] * (repeats - len(values)) for name, values in calls.items() if any(values)}
    inexact = DEPENDS if HANDOVER in calls and median(calls[HANDOVER]) > HANDS_OVER else ""
    figures = {name: figure(values, inexact) for (_, name), values in counted.items()
               if not name.startswith(CALL) and name != WAITS}
    if calls:
        figures["system_calls"] = figure([sum(repeat) for repeat in zip(*calls.values())], inexact)
    for name in document.NEVER_EXACT & figures.keys():
        figures[name]["exact"] = False
    waits = [value for (_, name), values in counted.items() if name == WAITS for value in values]
    if not inexact and waits and max(waits) != min(waits):
        inexact = "not every wake-up found as much to do"
        for repeat in figures.values():
            repeat["exact"] = False
    return {"variant": cell.variant, "connections": cell.connections, "rounds": list(cell.lengths),
            "figures": {name: figures[name] for name in document.FIGURES if name in figures},
            "system_calls": {name: figure(values, inexact) for name, values in sorted(calls.items())},
            **({"waits": figure(waits, inexact)} if waits else {}),
            "functions": _functions(pairs.values()), "inexact": inexact, "refused": refused,
            "runs": [run.as_json() for run in runs]}


def figure(values: list[float], inexact: str = "") -> Json:
    """Per request: the median of the repeats, and how far they lie apart.  As it is stored."""
    value = median(values)
    apart = max(values) - min(values)
    scatter = apart / abs(value) if value else apart
    return {"per_request": value, "values": values, "scatter": scatter,
            "exact": not inexact and scatter <= document.EXACT_WITHIN}


def _functions(pairs: Iterable[tuple[Run, Run]]) -> list[Json]:
    """Instructions per request of every function that has some, the largest first; mean over the repeats.  As
    stored."""
    instructions: dict[str, int] = {}
    requests = 0
    for short, long in pairs:
        if long.totals.functions:
            requests += long.requests - short.requests
            before, after = short.totals.functions, long.totals.functions
            for name in before.keys() | after.keys():
                instructions[name] = instructions.get(name, 0) + after.get(name, 0) - before.get(name, 0)
    total = sum(instructions.values())
    return [{"name": name, "instructions": number / requests, "share": number / total}
            for name, number in sorted(instructions.items(), key=lambda item: (-item[1], item[0])) if number > 0]
