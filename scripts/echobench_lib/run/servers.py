"""A server process: started, watched, stopped."""

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from .. import REPOSITORY, Failure
from ..documents import Json
from ..plan.placement import Placement
from ..plan.topology import parse_cpu_list
from ..plan.variants import Variant
from .programs import START_S, describe_end, last_line, program

LAST_BYTES = 8192  # of what it prints in which the last line is looked for
STOP_S = 20   # of waiting after SIGTERM: echo-server's drain time-out is shorter
LOOK_S = 0.005  # between two looks at whether it listens
UNAVAILABLE = 77  # the exit status of a server that cannot run here


class Unavailable(Failure):
    """A server reports that it cannot run here."""


class Server:
    """A server process that listens on 127.0.0.1 for as long as the `with` block lasts.  `options` are echo-server's;
    a foreign server takes none."""

    address: str        # host:port
    _process: subprocess.Popen[bytes]
    _stdout: IO[bytes]  # of one that announces itself
    _stderr: IO[bytes]

    def __init__(self, variant: Variant, framing: str, placement: Placement, options: Sequence[str] = ()) -> None:
        self.variant = variant
        self.listening: Json = {}  # what echo-server printed when it listened: its build, its loops
        self.stopped: Json | None = None  # the totals that echo-server printed
        self._announces = variant.announces or not variant.is_foreign
        self._port = 0 if self._announces else free_port()
        self._cpus = placement.cpus_of(variant.cores)
        threads = variant.threads or placement.server_threads
        if variant.command is not None:
            known = {"port": self._port, "threads": threads, "cpus": self._cpus, "framing": framing}
            self.command = [fill_in(part, known) for part in variant.command]
        else:
            self.command = [str(program("servers", variant.program, variant.build)), "--variant", variant.variant,
                            "--port", "0", "--threads", str(threads), "--cpus", self._cpus,
                            "--framing", framing, *options]

    def __enter__(self) -> "Server":
        with contextlib.ExitStack() as files:
            self._stderr = files.enter_context(tempfile.TemporaryFile())
            stdout: IO[bytes] | int = subprocess.DEVNULL
            if self._announces:
                # a file: nobody reads what a chatty server prints, and a pipe would block it once that is full
                stdout = self._stdout = files.enter_context(tempfile.TemporaryFile())
            try:
                self._process = subprocess.Popen(self.command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=stdout,
                                                 stderr=self._stderr, preexec_fn=self._prepare, start_new_session=True,
                                                 env={**os.environ, **dict(self.variant.environment)})
            except OSError as error:
                raise Failure(f"{self.variant.name}: cannot start {self.command[0]}: {error.strerror}") from None
            self._files = files.pop_all()
        try:
            self.address = self._announced_address() if self._announces else self._answering_address()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Asks the process to stop; ends it when it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # what it started and left behind
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._announces:
            with contextlib.suppress(json.JSONDecodeError, AttributeError):
                event = json.loads(last_line(_tail(self._stdout)))
                if event.get("event") == "stopped":
                    self.stopped = event
        self._files.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def loops(self) -> int:
        """Among how many queues the kernel divides the connections."""
        return self.listening.get("loops", 1)

    def _prepare(self) -> None:
        """In the child: a foreign server gets the same CPUs and descriptors as echo-server takes for itself."""
        os.sched_setaffinity(0, parse_cpu_list(self._cpus))
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def _announced_address(self) -> str:
        """From the line that echo-server prints when it listens."""
        self._wait(lambda: b"\n" in self._first_bytes(), f"printed no listening line within {START_S} s")
        with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError, KeyError, IndexError, TypeError):
            event = json.loads(self._first_bytes().split(b"\n")[0])
            if event["event"] == "listening":
                self.listening = event
                return event["addresses"][0]
        raise self._failure("its first line on stdout is not a listening line")

    def _first_bytes(self) -> bytes:
        return os.pread(self._stdout.fileno(), LAST_BYTES, 0)

    def _answering_address(self) -> str:
        """Any other server reports nothing: it listens when it accepts a connection."""
        def accepts() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return True
            return False
        self._wait(accepts, f"did not accept on 127.0.0.1:{self._port} within {START_S} s")
        return f"127.0.0.1:{self._port}"

    def _wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Until the condition holds; raises when the server ends first, or takes too long."""
        deadline = time.monotonic() + START_S
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise self._failure(otherwise)
            time.sleep(LOOK_S)

    def end(self) -> str:
        """How the process ended, and its last line on stderr; empty while it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        return describe_end(status) + self._said()

    def _said(self) -> str:
        line = last_line(_tail(self._stderr))
        return f": {line}" if line else ""

    def _failure(self, what: str) -> Failure:
        if self._process.poll() == UNAVAILABLE:
            return Unavailable(last_line(_tail(self._stderr)) or "it gave no reason")
        return Failure(f"{self.variant.name}: {' '.join(self.command)}: {self.end() or what + self._said()}")


def fill_in(text: str, known: Mapping[str, object]) -> str:
    """Replaces {port} and what else is known; other braces stay."""
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _tail(file: IO[bytes]) -> str:
    """The end of what a process wrote; its own place in the file stays where it is."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), LAST_BYTES, max(0, size - LAST_BYTES)).decode(errors="replace")


def free_port() -> int:
    """A port of 127.0.0.1 that is free now; for servers that cannot choose one themselves.  Below those that the kernel
    gives to whoever names none (ip_local_port_range), so that nobody is given it until the server listens."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = random.randrange(1024, first)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Failure(f"no port of 127.0.0.1 from 1024 to {first - 1} is free: 100 were tried")
