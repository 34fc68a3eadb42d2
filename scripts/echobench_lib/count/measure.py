"""Measures: each cell with each tool, in two lengths, several times; what a request costs is the difference of the two divided
by the requests between them, so that starting and connecting cancel out."""

import hashlib
import os
import platform
import shlex
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .. import Failure, doctor
from ..documents import now
from ..run.programs import program
from ..units import format_connections
from . import document, tools
from .drive import Driven, Endless, SeveralProcesses, Shape, Wrong
from .tools import NATIVE, Totals

LENGTHS = ((20, 4), (120, 12))  # requests of a run, and rounds, at least; the larger counts
CALL = "call:"
HANDOVER = "futex"  # the call by which a thread wakes another
HANDS_OVER = 0.01   # of them for a request, at least, where that belongs to the model and is no stray one
DEPENDS = ("its threads wake one another (futex): the scheduler decides how often, and which runs first; valgrind runs one "
           "thread at a time, so that instructions and allocations are those of one CPU")


@dataclass(frozen=True)
class Cell:
    """A variant with that many connections."""

    variant: str
    connections: int
    program: str = "echo-server"

    @property
    def lengths(self):
        """Rounds of the short run and of the long one."""
        return tuple(max(rounds, requests // self.connections) for requests, rounds in LENGTHS)


@dataclass(frozen=True)
class Plan:
    """`cells` are measured; `unavailable` {variant: why not here} and `unserved` sentences are not."""

    cells: list
    framing: str
    payload: int
    repeats: int
    unavailable: dict
    unserved: list

    def command(self, cell):
        return [str(program("servers", cell.program)), "--variant", cell.variant, "--port", "0", "--threads", "1",
                "--framing", self.framing]

    def shape(self, cell):
        return Shape(cell.connections, self.framing, self.payload)


class Measurement:
    """Carries out a plan and keeps its result file up to date; `file` is None where single cells are measured."""

    def __init__(self, plan, argv, file):
        self._plan = plan
        self._file = file
        self._took_s = []
        self._endless = {}  # {variant: {tool: why}}
        binary = program("servers", "echo-server")
        others = {name: _digest(program("servers", name)) for name in sorted({cell.program for cell in plan.cells} - {binary.name})}
        self.document = {
            "schema_version": 1, "kind": document.KIND,
            "tool": {**tools.versions(), "server": str(binary), "sha256": _digest(binary),
                     **({"other_servers": others} if others else {})},
            "host": {**doctor.host_facts(), "cpu": doctor.cpu_model(), "kernel": platform.release(),
                     "libc": " ".join(platform.libc_ver())},
            "config": {"framing": plan.framing, "payload_bytes": plan.payload, "repeats": plan.repeats},
            "argv": argv, "started_at": now(), "complete": False, "unavailable": plan.unavailable, "unserved": plan.unserved, "cells": []}

    def run(self, progress):
        """`progress(done, steps, seconds_left)` is called before each cell and at the end.  Cells that were counted are in
        the file whatever happens to later ones."""
        steps = [(cell,) for cell in self._plan.cells]
        for done, (cell,) in enumerate(steps):
            per_cell_s = sum(self._took_s) / len(self._took_s) if self._took_s else self._guess_s()
            progress(done, steps, per_cell_s * (len(steps) - done))
            begun = time.monotonic()
            try:
                self.document["cells"].append(self.measure(cell))
            except SeveralProcesses as reason:
                self.document["unserved"].append(f"{cell.variant} is not counted with {format_connections(cell.connections)}: {reason}")
                continue
            self._took_s.append(time.monotonic() - begun)
            document.save(self.document, self._file)
        if not self.document["cells"]:
            raise Failure(f"nothing could be counted: {'; '.join(self.document['unserved'])}")
        self.document.update(complete=True, finished_at=now())
        document.save(self.document, self._file)
        progress(len(steps), steps, 0)

    def _guess_s(self):
        return 3 + 3 * self._plan.repeats

    def measure(self, cell):
        """All runs of a cell, side by side: counting is not timing, so that they may.  A tool that fails is not asked again."""
        runs, refused = [], dict(self._endless.get(cell.variant, {}))
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
        return stored_cell(cell, [run for run in runs if run["tool"] not in refused], refused)

    def _run(self, cell, tool, repeat, scratch):
        """The short run and the long one."""
        if tool is NATIVE:
            return self._run_natively(cell, repeat)
        return [self._run_once(cell, tool, repeat, rounds, scratch) for rounds in cell.lengths]

    def _run_once(self, cell, tool, repeat, rounds, scratch):
        out = scratch / f"{tool.name}-{repeat}-{rounds}"
        command = [*tool.command(out), *self._plan.command(cell)]
        with Driven(command, self._plan.shape(cell)) as server:
            server.rounds(rounds)
            waits = server.waits
            server.end()
            self._note_build(server)
        try:
            totals = tool.read(out.read_text())
        except OSError as error:
            raise Failure(f"{shlex.join(command)}: it left no output: {error.strerror}") from None
        return _run_entry(cell, tool, repeat, rounds, waits, totals, tool.command("OUT") + self._plan.command(cell))

    def _run_natively(self, cell, repeat):
        command, runs = self._plan.command(cell), []
        with Driven(command, self._plan.shape(cell)) as server:
            for rounds in cell.lengths:
                server.rounds(rounds)
                voluntary, involuntary = server.switches()
                totals = Totals({"voluntary_switches": voluntary, "involuntary_switches": involuntary})
                runs.append(_run_entry(cell, NATIVE, repeat, rounds, server.waits, totals, command))
            server.end()
        return runs

    def _note_build(self, server):
        if build := server.listening.get("build"):
            self.document["tool"]["build"] = build


def _digest(binary):
    return hashlib.sha256(binary.read_bytes()).hexdigest()


def _run_entry(cell, tool, repeat, rounds, waits, totals, command):
    return {"tool": tool.name, "repeat": repeat, "rounds": rounds, "requests": rounds * cell.connections,
            "command": command, "totals": {**totals.counts, "waits": waits},
            **({"functions": totals.functions} if totals.functions else {})}


def stored_cell(cell, runs, refused):
    """What a result holds of a cell: what was counted, and what comes to a request."""
    pairs = {}
    for run in sorted(runs, key=lambda run: run["rounds"]):
        pairs.setdefault((run["tool"], run["repeat"]), []).append(run)
    counted = {}
    for (tool, _), (short, long) in sorted(pairs.items()):
        requests = long["requests"] - short["requests"]
        for name in short["totals"].keys() | long["totals"].keys():
            difference = long["totals"].get(name, 0) - short["totals"].get(name, 0)
            counted.setdefault((tool, name), []).append(difference / requests)
    calls = {name.removeprefix(CALL): values for (tool, name), values in counted.items() if name.startswith(CALL)}
    repeats = sum(tool == tools.STRACE.name for tool, _ in pairs)
    calls = {name: values + [0.0] * (repeats - len(values)) for name, values in calls.items() if any(values)}
    inexact = DEPENDS if HANDOVER in calls and median(calls[HANDOVER]) > HANDS_OVER else ""
    figures = {name: figure(values, inexact) for (_, name), values in counted.items()
               if not name.startswith(CALL) and name != "waits"}
    if calls:
        figures["system_calls"] = figure([sum(repeat) for repeat in zip(*calls.values())], inexact)
    for name in document.NEVER_EXACT & figures.keys():
        figures[name]["exact"] = False
    waits = [value for (_, name), values in counted.items() if name == "waits" for value in values]
    if not inexact and waits and max(waits) != min(waits):
        inexact = "not every wake-up found as much to do"
        for repeat in figures.values():
            repeat["exact"] = False
    return {"variant": cell.variant, "connections": cell.connections, "rounds": list(cell.lengths),
            "figures": {name: figures[name] for name in document.FIGURES if name in figures},
            "system_calls": {name: figure(values, inexact) for name, values in sorted(calls.items())},
            **({"waits": figure(waits, inexact)} if waits else {}),
            "functions": _functions(pairs), "inexact": inexact, "refused": refused,
            "runs": [{key: value for key, value in run.items() if key != "functions"} for run in runs]}


def figure(values, inexact=""):
    """Per request: the median of the repeats, and how far they lie apart."""
    value = median(values)
    apart = max(values) - min(values)
    scatter = apart / abs(value) if value else apart
    return {"per_request": value, "values": values, "scatter": scatter,
            "exact": not inexact and scatter <= document.EXACT_WITHIN}


def _functions(pairs):
    """Instructions per request of every function that has some, the largest first; mean over the repeats."""
    instructions, requests = {}, 0
    for short, long in pairs.values():
        if "functions" in long:
            requests += long["requests"] - short["requests"]
            for name in short["functions"].keys() | long["functions"].keys():
                grown = long["functions"].get(name, 0) - short["functions"].get(name, 0)
                instructions[name] = instructions.get(name, 0) + grown
    total = sum(instructions.values())
    return [{"name": name, "instructions": number / requests, "share": number / total}
            for name, number in sorted(instructions.items(), key=lambda item: (-item[1], item[0])) if number > 0]
