"""The programs that are measured with: where they are, and how a server is started, watched and stopped."""

import contextlib
import json
import os
import resource
import selectors
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import REPOSITORY, Failure, Usage
from .placement import parse_cpu_list

BUILD_ENV = "ECHOBENCH_BUILD"
START_S = 20  # a server that has not begun to listen by then has failed
LAST_BYTES = 8192  # of stderr in which its last line is looked for
STOP_S = 20   # of waiting after SIGTERM: echo-server's drain time-out is shorter


def build_folder():
    return Path(os.environ.get(BUILD_ENV, REPOSITORY / "build" / "release"))


def program(folder, name):
    """The path of a built program, or a Failure that says how to build it."""
    path = build_folder() / folder / name
    if not os.access(path, os.X_OK):
        raise Failure(f"{path}: not built; run scripts/quickstart, or: cmake --preset release && "
                      f"cmake --build --preset release (or set {BUILD_ENV} to another build folder)")
    return path


def list_variants():
    """What `echo-server --list=json` says of every variant in this build."""
    command = [str(program("servers", "echo-server")), "--list=json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    try:
        if done.returncode == 0:
            return json.loads(done.stdout)
    except json.JSONDecodeError:
        pass
    raise Failure(f"{' '.join(command)}: exit status {done.returncode}: {last_line(done.stderr) or 'no JSON'}")


def run_to_end(command, limit_s):
    """Runs a program that ends by itself, within `limit_s` seconds; its exit status and what it said on stderr."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            _, said = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failure(f"{shlex.join(command)}: ended after {limit_s:.0f} s without a result") from None
        except BaseException:
            process.terminate()
            raise
    return process.returncode, said


def read_json(file, writer):
    """What a program wrote."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"{writer} left no JSON: {error}") from None


def describe_end(status):
    """How a process ended, by subprocess's return code."""
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


class Server:
    """A server process that listens on 127.0.0.1 for as long as the `with` block lasts.  `options` are echo-server's;
    a foreign server takes none."""

    def __init__(self, variant, framing, placement, options=()):
        self.variant = variant
        self.listening = {}  # what echo-server printed when it listened: its build, its loops
        self.stopped = None  # the totals that echo-server printed
        self._placement = placement
        self._stderr = tempfile.TemporaryFile()
        if variant.command is None:
            self.command = [str(program("servers", "echo-server")), "--variant", variant.variant, "--port", "0",
                            "--threads", str(placement.server_threads), "--cpus", placement.server_cpus,
                            "--framing", framing, *options]
        else:
            self._port = free_port()
            self.command = [part.replace("{port}", str(self._port)) for part in variant.command]

    def __enter__(self):
        try:
            # what a foreign server prints is nobody's: in a pipe that is not read it would block once that is full
            stdout = subprocess.PIPE if self.variant.command is None else subprocess.DEVNULL
            self._process = subprocess.Popen(self.command, cwd=REPOSITORY, stdin=subprocess.DEVNULL,
                                             stdout=stdout, stderr=self._stderr, text=True,
                                             preexec_fn=self._prepare)
        except OSError as error:
            raise Failure(f"{self.variant.name}: cannot start {self.command[0]}: {error.strerror}") from None
        try:
            self.address = self._address() if self.variant.command is None else self._answering_address()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """Asks the process to stop; ends it when it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            output, _ = self._process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        self._stderr.close()
        with contextlib.suppress(json.JSONDecodeError, AttributeError):
            event = json.loads(last_line(output or ""))
            if event.get("event") == "stopped":
                self.stopped = event

    @property
    def pid(self):
        return self._process.pid

    @property
    def loops(self):
        """Among how many queues the kernel divides the connections."""
        return self.listening.get("loops", 1)

    def _prepare(self):
        """In the child: a foreign server gets the same CPUs and descriptors as echo-server takes for itself."""
        os.sched_setaffinity(0, parse_cpu_list(self._placement.server_cpus))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def _address(self):
        """From the line that echo-server prints when it listens."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_S) else ""
        try:
            event = json.loads(line)
            if event["event"] == "listening":
                self.listening = event
                return event["addresses"][0]
        except (json.JSONDecodeError, KeyError, TypeError):
            pass
        raise self._failure(f"printed no listening line within {START_S} s")

    def _answering_address(self):
        """A foreign server says nothing: it listens when it accepts a connection."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return f"127.0.0.1:{self._port}"
            time.sleep(0.01)
        raise self._failure(f"did not accept on 127.0.0.1:{self._port} within {START_S} s")

    def end(self):
        """How the process ended, and its last line on stderr; empty while it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        return describe_end(status) + self._said()

    def _said(self):
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - LAST_BYTES))
        said = last_line(self._stderr.read().decode(errors="replace"))
        return f": {said}" if said else ""

    def _failure(self, what):
        return Failure(f"{self.variant.name}: {' '.join(self.command)}: {self.end() or what + self._said()}")


def free_port():
    """A port of 127.0.0.1 that is free now; for servers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def require_descriptors(connections):
    """Raises Usage when this process could not hold so many connections (children inherit the hard limit)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and connections + 200 > hard:
        raise Usage(f"{connections:,} connections need more than the {hard:,} descriptors that a process may have here; "
                    "raise the hard limit (ulimit -Hn, /etc/security/limits.conf) or lower the experiment's connections")
