"""A server process: started, watched, stopped."""

import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import tempfile
import time

from .. import REPOSITORY, Failure
from ..plan.placement import parse_cpu_list
from .programs import START_S, describe_end, last_line, program

LAST_BYTES = 8192  # of stderr in which its last line is looked for
STOP_S = 20   # of waiting after SIGTERM: echo-server's drain time-out is shorter


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
