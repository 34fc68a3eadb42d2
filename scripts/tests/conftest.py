"""Fixtures: the command line run for real, against fake programs that speak the contracts (no build, no load)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1]
FAKES = Path(__file__).resolve().parent / "fakes"
sys.path.insert(0, str(SCRIPTS))

SMALL = {
    "summary": "three models, two sizes", "variants": ["asio-callback", "thread-pool", "epoll"],
    "loads": [{"load": "closed", "connections": [10, 1000], "duration": "1s"}], "restarts": 3, "warmup": "100ms"}


@pytest.fixture
def echobench():
    """Runs scripts/echobench; keyword arguments become environment variables of the fakes."""

    def run(*arguments, **environment):
        return subprocess.run([SCRIPTS / "echobench", *map(str, arguments)], capture_output=True, text=True, timeout=100,
                              env={**os.environ, "ECHOBENCH_BUILD": str(FAKES), **environment})

    return run


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
