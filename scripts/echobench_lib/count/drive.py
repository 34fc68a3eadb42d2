"""A server that is driven by a fixed number of requests, each round of which finds it at rest.

A closed loop: in a round every connection sends a request; when all have arrived, the server is let go; the round is
over when every reply has been checked and all the server's threads sleep again.  Time has thus no part in what the
server does.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from .. import Failure
from ..documents import Json
from ..plan.variants import Framing
from ..run.programs import describe_end, last_line
from .gate import Gate
from .peer import Peer

START_S = 60    # valgrind reads all symbols first
SIGNAL_S = 5    # what a signal does not end by then needs more than that
ROUND_S = 60    # a round that takes longer has stuck
END_S = 20      # an end that is not there then does not come
PAUSE_S = 0.0001  # between two looks at threads
HEADER = struct.Struct("!IBBBBII")  # length, version, op, flags, status, param, sequence
REPLY = 0x80


class Wrong(Failure):
    """A reply is not what it must be: no figure of this build may be believed."""


class Endless(Failure):
    """The server cannot be ended where it stands under this tool, however many connections it has."""


class SeveralProcesses(Failure):
    """The server has children: which of them serves a connection is the kernel's choice, and only one can be watched
    for being at rest."""


@dataclass(frozen=True)
class Shape:
    """What the clients send."""

    connections: int
    framing: Framing
    payload: int  # bytes

    def exchange(self, connection: int, number: int) -> tuple[bytes, bytes]:
        """The request of a connection in a round, and its reply; no two that follow one another are alike."""
        text = bytes(ord("a") + (connection + number + index) % 26 for index in range(self.payload))
        if self.framing == "frame":
            return (HEADER.pack(self.payload, 1, 0, 0, 0, 0, number) + text,
                    HEADER.pack(self.payload, 1, 0, REPLY, 0, 0, number) + text)
        whole = text[:-1] + b"\n" if self.framing == "line" else text
        return whole, whole


class _Thread(NamedTuple):
    """Of the server: the letter of its state, and its context switches so far."""

    state: str
    voluntary: int
    involuntary: int


class Driven:
    """A server behind a gate, with all its connections open, while the `with` block lasts.  `listening` is the line
    that it printed when it listened.  Raises Failure where it cannot be held, driven or watched."""

    def __init__(self, command: Sequence[str], shape: Shape) -> None:
        self.command = command
        self.listening: Json = {}
        self._shape = shape
        self._peers: dict[socket.socket, Peer] = {}  # each client's socket, and what is at the other end
        self._rounds = 0

    def __enter__(self) -> "Driven":
        self._gate = Gate()
        environment = {**os.environ, "LC_ALL": "C"}  # what tools print is read
        self._process = self._gate.spawn(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True,
                                         env=environment)
        try:
            self._listen()
            self._require_one_process()
            for _ in range(self._shape.connections):
                self._connect()
            self._require_one_process()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for client, peer in self._peers.items():
            client.close()
            peer.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
        self._gate.__exit__()

    @property
    def waits(self) -> int:
        """How often the server waited, for several descriptors at once, and was let go."""
        return self._gate.passed

    def rounds(self, until: int) -> None:
        """Serves rounds until there were so many in all."""
        while self._rounds < until:
            self._round(self._rounds)
            self._rounds += 1

    def switches(self) -> tuple[int, int]:
        """Context switches of all threads so far: (voluntary, involuntary)."""
        threads = self._threads().values()
        return sum(thread.voluntary for thread in threads), sum(thread.involuntary for thread in threads)

    def end(self) -> str:
        """Ends the server where it stands: stopping it takes turns, which belong to no request.  What the tool said."""
        os.kill(self._pid, signal.SIGUSR2)  # which no server handles, and nohup does not have ignored
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.communicate(timeout=SIGNAL_S)[1]
        self._end_by_an_error()
        try:
            return self._process.communicate(timeout=END_S)[1]
        except subprocess.TimeoutExpired:
            raise Endless(str(self._failure("did not end, by a signal or by an error of what it waits with"))) from None

    def _end_by_an_error(self) -> None:
        """Valgrind keeps signals back during io_uring_enter(2).  A request ends that call, and the next one is refused:
        always the same turns, so that they too are taken off with the start."""
        client = next(iter(self._peers))
        with contextlib.suppress(OSError):  # it has ended after all
            client.send(self._shape.exchange(0, self._rounds)[0])
        deadline = time.monotonic() + ROUND_S
        while not self._gate.collect() and self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        self._gate.refuse()

    def _listen(self) -> None:
        output = self._process.stdout
        assert output, "it is a pipe"
        line = output.readline() if select.select([output], [], [], START_S)[0] else ""
        try:
            self.listening = json.loads(line)
            host, port = self.listening["addresses"][0].rsplit(":", 1)
            self._address, self._pid = (host, int(port)), self.listening["pid"]
        except (ValueError, KeyError, TypeError):
            raise self._failure("printed no listening line") from None
        self._rest()

    def _require_one_process(self) -> None:
        if children := psutil.Process(self._pid).children(recursive=True):
            raise SeveralProcesses(f"it serves with {1 + len(children)} processes, and only one process can be held "
                                   "and counted")

    def _connect(self) -> None:
        """One at a time, until it has been accepted."""
        client = socket.create_connection(self._address, timeout=ROUND_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        port = client.getsockname()[1]
        self._peers[client] = Peer(*self._address, port)
        self._rest_until(self._peers[client].was_accepted, "accepted no connection")

    def _round(self, number: int) -> None:
        exchanges = {client: self._shape.exchange(index, number) for index, client in enumerate(self._peers)}
        for client, (request, _) in exchanges.items():
            try:
                sent = client.send(request)
            except OSError as error:
                raise self._failure(f"ended a connection: {error.strerror}") from None
            if sent != len(request):
                raise Failure(f"--payload {self._shape.payload}: larger than what one send takes here")
        self._arrive(exchanges)
        replies = dict.fromkeys(exchanges, b"")

        def answered() -> bool:
            for client, (_, expected) in exchanges.items():
                if len(replies[client]) < len(expected):
                    replies[client] += self._received(client)
                    if not expected.startswith(replies[client]):
                        raise Wrong(f"{' '.join(self.command)}: a wrong reply in round {number + 1}")
            return all(len(replies[client]) == len(expected) for client, (_, expected) in exchanges.items())
        self._rest_until(answered, "did not answer all requests")

    def _received(self, client: socket.socket) -> bytes:
        try:
            got = client.recv(1 << 16)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._failure(f"ended a connection: {error.strerror}") from None
        if not got:
            raise self._failure("closed a connection")
        return got

    def _arrive(self, exchanges: Mapping[socket.socket, tuple[bytes, bytes]]) -> None:
        """Waits until every request lies in the server's socket, or was taken from it: the kernel may deliver later,
        when the machine is busy.  What is acknowledged has arrived, but the acknowledgement may come late."""
        deadline = time.monotonic() + ROUND_S
        waiting = dict(exchanges)
        while True:
            answered = set(select.select(list(waiting), [], [], 0)[0])
            waiting = {client: (request, reply) for client, (request, reply) in waiting.items()
                       if client not in answered and _unacknowledged(client)
                       and self._peers[client].unread() < len(request)}
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise self._failure("did not receive all requests")

    def _rest_until(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Lets the server go on, from one rest to the next, until the condition holds at one."""
        deadline = time.monotonic() + ROUND_S
        while True:
            self._gate.open()
            self._rest()
            if condition():
                return
            if time.monotonic() > deadline:
                raise self._failure(f"{otherwise} within {ROUND_S} s")

    def _rest(self) -> None:
        """Waits until all threads sleep, and none ran between two looks."""
        deadline, before = time.monotonic() + ROUND_S, None
        while True:
            now = self._threads()
            if now == before and all(thread.state == "S" for thread in now.values()):
                break
            if not now or self._process.poll() is not None or time.monotonic() > deadline:
                raise self._failure("did not come to rest")
            before = now
            time.sleep(PAUSE_S)
        self._gate.collect()

    def _threads(self) -> dict[str, _Thread]:
        """By the thread's number."""
        threads = {}
        for status in Path(f"/proc/{self._pid}/task").glob("*/status"):
            try:
                text = status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            [state] = re.findall(r"^State:\s+(\S)", text, re.M)
            threads[status.parent.name] = _Thread(state, *map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))
        return threads

    def _failure(self, what: str) -> Failure:
        """Of a server, or of the tool before it, that is of no more use."""
        status = self._process.poll()
        if status is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        _, said = self._process.communicate()
        how = f"{what}: {describe_end(status)}" if status is not None else what
        return Failure(f"{' '.join(self.command)}: {how}" + (f": {last_line(said)}" if said.strip() else ""))


def _unacknowledged(client: socket.socket) -> int:
    """Bytes that it has sent, and that the server's end has not acknowledged."""
    [count] = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))
    return count
