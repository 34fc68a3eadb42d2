"""Runs an experiment: block after block, restart after restart, each with new server processes."""

import contextlib
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .. import Failure, doctor, pattern, result
from ..analyse.summary import RANKED, comparable
from ..documents import Json, now
from ..plan.blocks import POLLING, Block, server_options
from ..plan.experiment import Experiment
from ..plan.placement import Placement
from ..plan.topology import parse_cpu_list
from ..plan.variants import Variant
from ..progress import Progress
from ..units import NS_PER_S, parse_time_ns
from . import other_programs
from .background_load import BackgroundLoad
from .checks import check_totals, deaths, other_builds
from .pilot import Pilot
from .programs import last_line, program, read_json, require_descriptors, run_to_end
from .servers import Server, Unavailable
from .until import Until

CONNECTS_PER_S = 15_000    # guess until a run was timed: connections set up per second
START_AND_STOP_S = 0.3     # guess until a run was timed: starting and stopping one block's programs
MEASURED = (0, 4)          # exit statuses of echo-load that come with cells
SILENT = 1                 # ... that may: a target gave not one verified reply, or nothing could be run
WRONG = 4                  # ... that means wrong replies
LEAST_LIMIT_S = 120        # after which echo-load is ended, plus three times its duration


class Runner:
    """Measures an expanded experiment and keeps its result file up to date."""

    def __init__(self, name: str, experiment: Experiment, placement: Placement, folder: Path) -> None:
        self._experiment = experiment
        self._placement = placement
        self._file = folder / result.FILE_NAME
        self._took_s: dict[str, float] = {}  # block name -> seconds of its last run
        self.document: Json = {
            "schema_version": result.SCHEMA_VERSION, "tool": {}, "host": doctor.host_facts(),
            "config": {"seed": experiment.document["seed"],
                       "warmup_ns": parse_time_ns(experiment.document["warmup"])},
            "argv": sys.argv, "started_at": now(), "complete": False,
            "experiment": {"name": name, **experiment.document},
            "placement": placement.as_json(), "models": list(experiment.models),
            "unavailable": dict(experiment.unavailable), "unserved": list(experiment.unserved), "capacities": [],
            "runs": [], "cells": []}
        self._pilot = Pilot(experiment, self._try, self.document["capacities"])

    def estimate_s(self, pairs: Sequence[tuple[int, Block]]) -> float:
        """Seconds that (restart, block) pairs will take: as long as the block's last run, else a guess; and what must
        be known first."""
        return sum(self._took_s.get(block.name) or self._guess_s(block) for _, block in pairs) + self._pilot.estimate_s(
            list(dict.fromkeys(block for _, block in pairs)), self._guess_s)

    def run(self, progress: Progress, until: Until | None = None) -> None:
        """Measures everything, or `until` its Until says; `progress(done, pairs, seconds_left)` is called before each
        run and at the end.  Cells of finished runs are in the file whatever happens to later ones."""
        for block in self._experiment.blocks:
            if block.load != "crr":
                require_descriptors(block.connections * len(block.variants))
        if until:
            self.document["until"] = until.record
        pairs = until.first() if until else self._experiment.order()
        for done, (restart, block) in enumerate(pairs):
            progress(done, pairs, self.estimate_s(pairs[done:]))
            known = len(self.document["cells"])
            self._measure(restart, block)
            if done + 1 == len(pairs):  # this loop goes on with those that are added
                so_far = result.from_json(self.document)
                pairs += until.more(so_far) if until else self._instead(so_far)
            result.save(self.document, self._file, known)
        self.document.update(complete=True, finished_at=now())
        result.save(self.document, self._file)
        progress(len(pairs), pairs, 0)

    def _instead(self, so_far: result.Result) -> list[tuple[int, Block]]:
        """Further restarts of costs, one for each that is left out of its block as a variant is not sound in it: as
        a rule the machine had something else to do.  At most half as many as were planned.  What was measured in one
        has no say in whether it is replaced."""
        more: dict[Block, range] = {}
        for block in self._experiment.blocks:
            kept = comparable(cell for cell in so_far.cells if cell.block == block.name and block.load in RANKED)
            done = 1 + max((run.restart for run in so_far.runs if run.block == block.name), default=0)
            lacking = block.restarts - len({cell.restart for cell in kept})
            left = block.restarts + block.restarts // 2 - done
            if kept and min(lacking, left) > 0:
                more[block] = range(done, done + min(lacking, left))
        return self._experiment.order(more)

    def _measure(self, restart: int, block: Block) -> None:
        if all(self._is_unavailable(name) for name in block.variants):
            return  # the tables show it
        run: Json = {"block": block.name, "restart": restart, "argv": [], "exit_status": 1, "started_at": now()}
        try:
            rate = self._pilot.rate(block)
            variants = self._variants(block, rate)
            begun = time.monotonic()
            self._store(self._drive(block, variants, rate, restart, run), run)
            self._took_s[block.name] = time.monotonic() - begun
        except Unavailable:
            return
        except Failure as failure:
            run["error"] = str(failure)
        run["finished_at"] = now()
        self.document["runs"].append(run)

    def _try(self, block: Block, rate: int | None, restart: int) -> list[result.Cell]:
        """The cells of a run that is not stored."""
        return result.from_json(self._drive(block, self._variants(block, rate), rate, restart, {})).cells

    def _variants(self, block: Block, rate: int | None) -> list[Variant]:
        """Those of the block that can run here, controls with what they are to burn."""
        every = [self._experiment.variants[name] for name in block.variants if not self._is_unavailable(name)]
        return [replace(variant, burn_ns=self._pilot.burn_ns(block, variant, variant.control_of, rate))
                if variant.control_of else variant for variant in every]

    def _store(self, document: Json, run: Json) -> None:
        self.document["tool"] = document["tool"]
        self.document["host"] = {**document["host"], **self.document["host"]}
        run["config"] = document["config"]
        run["host"] = {key: value for key, value in document["host"].items() if value != self.document["host"][key]}
        self.document["cells"] += document["cells"]

    def _drive(self, block: Block, variants: Sequence[Variant], rate: int | None, restart: int, run: Json) -> Json:
        """Starts the servers, runs echo-load against them, stops them.  Returns echo-load's document with what only we
        know added to each cell; adds to `run` what became of it."""
        with tempfile.TemporaryDirectory(prefix="echobench-") as scratch:
            file = Path(scratch) / "load.json"
            with contextlib.ExitStack() as stack:
                servers, lacking = self._start(variants, block, stack)
                run["argv"] = self._command(block, restart, rate, servers, file)
                background = None
                if block.background:
                    background = stack.enter_context(
                        BackgroundLoad(block.background, block, self._placement, servers[0]))
                cpus = [] if self._placement.shared else parse_cpu_list(self._placement.server_cpus)
                pids = [server.pid for server in servers]
                before = other_programs.read(cpus, pids)
                limit_s = LEAST_LIMIT_S + 3 * block.duration_ns / NS_PER_S
                try:
                    run["exit_status"], stderr = run_to_end(run["argv"], limit_s)
                except Failure as failure:
                    raise Failure("; ".join([str(failure), *deaths(servers)])) from None
                others = other_programs.share(before, other_programs.read(cpus, pids), len(cpus))
                if others is not None:
                    run["other_programs"] = round(others, 4)
                done_meanwhile = background.stop() if background else None
                ends, died = [server.end() for server in servers], deaths(servers)
            silent = run["exit_status"] == SILENT and file.exists()
            if run["exit_status"] not in MEASURED and not silent:
                raise Failure("; ".join([f"{shlex.join(run['argv'])}: exit status {run['exit_status']}: "
                                         f"{last_line(stderr) or 'no message'}", *died]))
            document: Json = read_json(file, "echo-load")
        result.validate(document, "the output of echo-load")
        if document.get("interrupted"):
            raise Failure("echo-load was interrupted, so the run is incomplete")
        remarks = lacking
        if silent:  # the other targets were measured: one dead server must not discard them
            remarks.append(last_line(stderr) or "a target gave no verified reply")
        if run["exit_status"] == WRONG:
            wrong = [cell["variant"] for cell in document["cells"] if cell["verdict"] == "wrong-replies"]
            remarks.append(f"wrong replies from {', '.join(wrong)}: a reply was not byte for byte what was sent")
        remarks += died
        if remarks:
            run["remark"] = "; ".join(remarks)
        if warnings := other_builds(document["tool"], servers):
            run["warning"] = "; ".join(warnings)
        for server, end, cell in zip(servers, ends, document["cells"], strict=True):
            self._complete(cell, block, restart, rate, server, end)
            if done_meanwhile:
                cell["background"] = done_meanwhile
        return document

    def _start(self, variants: Sequence[Variant], block: Block,
               stack: contextlib.ExitStack) -> tuple[list[Server], list[str]]:
        """The block's servers that could be started, and a sentence for each that could not: it must not take the
        others' figures with it.  Without the reference there is nothing to compare with.  One that reports that it
        cannot run here is not started again."""
        servers: list[Server] = []
        lacking: list[str] = []
        for variant in variants:
            name = variant.name
            try:
                servers.append(stack.enter_context(
                    Server(variant, block.framing, self._placement, server_options(variant, block))))
            except Unavailable as reason:
                if name == self._experiment.reference:
                    raise Failure(f"{name} cannot run here: {reason}") from None
                self.document["unavailable"][variant.scaled_of or name] = str(reason)
            except Failure as failure:
                if name == self._experiment.reference:
                    raise
                lacking.append(str(failure))
        if not servers:
            raise Failure("; ".join(lacking)) if lacking else Unavailable("all of the block's servers")
        return servers, lacking

    def _is_unavailable(self, name: str) -> bool:
        variant, known = self._experiment.variants[name], self.document["unavailable"]
        return not {name, variant.control_of, variant.scaled_of}.isdisjoint(known)

    def _complete(self, cell: Json, block: Block, restart: int, rate: int | None, server: Server, end: str) -> None:
        """Adds to echo-load's cell what only we know."""
        workload: Json = {"payload_bytes": block.payload_bytes, "framing": block.framing, "op": block.op,
                          "pipeline": self._experiment.document["pipeline"]}
        if rate:
            workload.update(rate=str(block.rate), rate_per_s=rate)
        if block.background:
            workload["background"] = block.background.as_json()
        if block.active:
            workload["held_connections"] = block.connections
        if block.added_work_ns:
            workload["added_work_ns"] = block.added_work_ns
        if block.pattern:
            workload["pattern"] = dict(block.pattern)
        cell.update(block=block.name, restart=restart, load=block.load, workload=workload)
        if server.variant.control_of:
            cell["control"] = {"of": server.variant.control_of, "burn_ns": server.variant.burn_ns}
        if server.variant.scaled_of:
            cell["scaled"] = {"of": server.variant.scaled_of, "threads": server.variant.threads}
        cell.setdefault("server", {}).update(command=server.command, stopped=server.stopped)
        if build := server.listening.get("build"):
            cell["server"]["build"] = build
        cell["checks"] = [f"the server died during the run: it {end}"] if end else check_totals(cell, server)

    def _command(self, block: Block, restart: int, rate: int | None, servers: Sequence[Server],
                 file: Path) -> list[str]:
        document, placement = self._experiment.document, self._placement
        command = [str(program("loadgen", "echo-load"))]
        for server in servers:
            command += ["--server-pid", str(server.pid)]
        if any(server.loops > 1 for server in servers):
            for server in servers:
                command += ["--server-loops", str(server.loops)]
        driven = block.active or block.connections
        if driven < block.connections:
            command += ["--idle-connections", str(block.connections - driven)]
        command += ["-c", str(driven), "-d", milliseconds(block.duration_ns),
                    "--warmup", milliseconds(block.warmup_ns),
                    "-t", str(min(placement.client_threads, driven)), "--cpus", placement.client_cpus,
                    "--framing", block.framing, "--op", block.op, "--engine", document["engine"],
                    "--workload", block.load if block.load in ("crr", "stream") else "rr",
                    "--seed", str(document["seed"] + restart), "--json", str(file)]
        plain = {"payload": block.payload_bytes}
        if block.load != "stream":
            plain["pipeline"] = document["pipeline"]
        command += pattern.arguments(pattern.items({**plain, **dict(block.pattern)}))
        if len(servers) > 1:
            command += ["--rounds", str(block.rounds)]
            if block.slice_ns:
                command += ["--slice", milliseconds(block.slice_ns)]
        if block.load in POLLING:
            command += ["--busy-poll"]
        if rate:
            command += ["-R", str(rate)]
        return command + [f"{server.variant.name}={server.address}" for server in servers]

    def _guess_s(self, block: Block) -> float:
        """Seconds of a run: measuring, starting, connecting, warming up each target, stopping."""
        targets = len(block.variants)
        slices_ns = block.rounds * targets * (block.slice_ns or 0)
        held = 0 if block.load == "crr" else targets * block.connections
        return ((max(block.duration_ns, slices_ns) + targets * block.warmup_ns) / NS_PER_S
                + START_AND_STOP_S + held / CONNECTS_PER_S)


def milliseconds(ns: int) -> str:
    return f"{ns // 1_000_000}ms"
