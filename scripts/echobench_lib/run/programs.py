"""The programs that are measured and measured with: where they are, and how one is run to its end."""

import json
import os
import resource
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import REPOSITORY, Failure, Usage
from ..documents import Json
from ..plan.variants import descriptions

BUILD_ENV = "ECHOBENCH_BUILD"
SERVERS = ("echo-server", "echo-server-uring")
START_S = 20  # a server that has not begun to listen by then has failed


def build_folder() -> Path:
    return Path(os.environ.get(BUILD_ENV, REPOSITORY / "build" / "release"))


def program(folder: str, name: str, build: Path | None = None) -> Path:
    """The path of a built program, or a Failure that says how to build it."""
    path = (build or build_folder()) / folder / name
    if not os.access(path, os.X_OK):
        raise Failure(f"{path}: not built; run scripts/quickstart, or: cmake --preset release && "
                      f"cmake --build --preset release (or set {BUILD_ENV} to another build folder)")
    return path


def list_variants() -> list[Json]:
    """What our server programs list of every variant in this build, {"name", "summary", "holds", "unavailable_reason"},
    and which "program" has it.  echo-server-uring is not built everywhere."""
    variants: list[Json] = []
    for name in SERVERS:
        if name == SERVERS[0] or (build_folder() / "servers" / name).exists():
            variants += [{**entry, "program": name} for entry in _listed(program("servers", name))]
    return variants


def models_of_this_build() -> list[Json]:
    """What its variants say of themselves; nothing if there is no build."""
    try:
        return list(descriptions(list_variants()))
    except Failure:
        return []


def _listed(path: Path) -> list[Json]:
    command = [str(path), "--list=json"]
    try:
        return json.loads(answer(command))
    except json.JSONDecodeError:
        raise Failure(f"{' '.join(command)}: it printed no JSON") from None


def answer(command: Sequence[str]) -> str:
    """What a program prints that describes itself and ends at once."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=START_S)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)}: no answer after {START_S} s") from None
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {describe_end(done.returncode)}: {last_line(done.stderr) or 'no message'}")
    return done.stdout


def run_to_end(command: Sequence[str], limit_s: float) -> tuple[int, str]:
    """Runs a program that ends by itself, within `limit_s` seconds; its exit status and what it said on stderr."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            _, stderr = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failure(f"{shlex.join(command)}: ended after {limit_s:.0f} s without a result") from None
        except BaseException:
            process.terminate()
            raise
    return process.returncode, stderr


def read_json(file: Path, writer: str) -> Any:
    """What a program wrote.  Raises Failure, which names the `writer`, when it is not JSON."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"{writer} left no JSON: {error}") from None


def describe_end(status: int) -> str:
    """How a process ended, by subprocess's return code."""
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def require_descriptors(connections: int) -> None:
    """Raises Usage when this process could not hold that many connections (children inherit the hard limit)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and connections + 200 > hard:
        raise Usage(f"{connections:,} connections need more than the {hard:,} descriptors that a process may have "
                    "here; raise the hard limit (ulimit -Hn, /etc/security/limits.conf) or lower the experiment's "
                    "connections")
