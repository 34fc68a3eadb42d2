"""Fixtures: the command line run against fake programs that speak the contracts (no build, no load)."""

import contextlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

SCRIPTS = Path(__file__).resolve().parents[1]
FAKES = Path(__file__).resolve().parent / "fakes"
sys.path.insert(0, str(SCRIPTS))

from echobench_lib import cli, result  # noqa: E402

# A shell starts what it puts in the background with SIGINT ignored, and the programs under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as nohup has it

SMALL = {
    "summary": "three models, two sizes", "variants": ["asio-callback", "thread-pool", "epoll"], "controls": [],
    "burns": ["1us"],
    "loads": [{"load": "closed-loop", "connections": [10, 1000], "duration": "1s"}], "restarts": 3, "warmup": "100ms"}


PLAIN_CELL = {"variant": "epoll", "load": "closed-loop", "block": "b", "restart": 0, "verdict": "valid", "reasons": [],
              "throughput_per_s": 1.0, "slices": []}
PLAIN_PARTS = {"workload": {"payload_bytes": 64, "framing": "frame", "pipeline": 1},
               "connections": {"asked": 100, "opened": 100}}


def whole_cell(document):
    """A cell as a file has it, of which a test gives only what it is about."""
    slices = [{"index": index, "requests": 100, "requests_total": 100, "elapsed_ns": 1_000_000, **piece}
              for index, piece in enumerate(document.get("slices", []))]
    parts = {name: {**plain, **document.get(name, {})} for name, plain in PLAIN_PARTS.items()}
    return {**PLAIN_CELL, **document, **parts, "slices": slices}


def cell_of(document):
    return result.Cell.from_json(whole_cell(document))


def result_of(document):
    """A Result in the same way."""
    runs = [{"restart": 0, "started_at": "2026-11-30T00:00:00+00:00", **run} for run in document.get("runs", [])]
    return result.from_json({"tool": {}, "host": {}, "config": {}, "argv": [], **document, "runs": runs,
                             "cells": list(map(whole_cell, document["cells"]))})


def run_echobench(*arguments, **environment):
    """The command line in this process, with the fakes as programs; keyword arguments are environment variables of
    theirs.  As subprocess.run would: returncode, stdout, stderr."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, {"ECHOBENCH_BUILD": str(FAKES), **environment}), \
            contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_request:
            status = exit_request.code
    return SimpleNamespace(returncode=status, stdout=stdout.getvalue(), stderr=stderr.getvalue())


def run_experiment(folder, experiment, *options, **environment):
    """Measures an experiment against the fakes; the folder of its result, and what was printed."""
    (folder / "experiment.json").write_text(json.dumps(experiment))
    done = run_echobench("run", folder / "experiment.json", "--out", folder / "r", *options, **environment)
    assert done.returncode == 0, done.stderr
    return folder / "r", done.stdout


@pytest.fixture
def echobench():
    return run_echobench


@pytest.fixture
def write(tmp_path):
    """Writes a document as JSON and returns its path."""

    def write(document, name="experiment.json"):
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.fixture
def measure(echobench, write, tmp_path):
    """Runs an experiment against the fakes; returns the folder of its result."""

    def measure(name, experiment=SMALL, **environment):
        done = echobench("run", write(experiment, f"{name}-experiment.json"), "--out", tmp_path / name, "--no-report",
                         **environment)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return measure


# The published run: restarts scatter by 2.5 %, slices by 8 to 15 %, with the tails of Student's t of 3 degrees of
# freedom.
def published_scatter(random, restarts, rounds=5, mode=0.0):
    """Log ratios of a run; `mode`: the probability that a restart settles 20 % higher."""
    centres = random.normal(0, 0.025, restarts) + 0.2 * (random.random(restarts) < mode)
    return [list(centre + 0.08 * random.standard_t(3, rounds)) for centre in centres]
