"""Holds a process whenever it is about to wait for several descriptors, until it is let through: so a wake-up finds
what the driver has prepared, and not what had come by then.  Stopping it by a signal would not do: the call returns
EINTR then, and is made again.  A seccomp filter stops the call before it begins; see seccomp_unotify(2)."""

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import select
import struct
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

from .. import Failure

WAITS = {  # by machine: of the calls that wait for several descriptors, or for a ring
    "x86_64": {"poll": 7, "select": 23, "epoll_wait": 232, "pselect6": 270, "ppoll": 271, "epoll_pwait": 281,
               "io_uring_enter": 426, "epoll_pwait2": 441},
    "aarch64": {"epoll_pwait": 22, "pselect6": 72, "ppoll": 73, "io_uring_enter": 426, "epoll_pwait2": 441}}
SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER, FLAG_NEW_LISTENER = 1, 1 << 3
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF; the number is seccomp_data's first word
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
RECEIVE, ANSWER = 0xC0502100, 0xC0182101  # ioctl(2): SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
NOTIFICATION = struct.Struct("Q72x")      # seccomp_notif, of which the id is all we want
RESPONSE = struct.Struct("QqiI")          # seccomp_notif_resp: id, value, error, flags
CONTINUE = 1                              # a flag: carry the call out


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class Gate:
    """Of one process and what it starts; closed when the `with` block ends, and then nobody must be left behind it."""

    def __init__(self) -> None:
        machine = platform.machine()
        if machine not in WAITS:
            raise Failure(f"count: knows the system calls of {', '.join(WAITS)}, not of {machine}")
        self._waits, self._seccomp = WAITS[machine], SYS_SECCOMP[machine]
        self._held: list[int] = []  # identities of calls
        self.passed = 0  # waits that were let through

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._listener)

    def spawn(self, command: Sequence[str], **keywords: Any) -> subprocess.Popen[str]:
        """subprocess.Popen of what is to stand behind the gate.  Raises what it raises, and Failure where no process
        can be held."""
        outcome: list[subprocess.Popen[str] | BaseException] = []

        def body() -> None:  # a thread of its own, because a filter is for ever
            try:
                self._install()
                outcome.append(subprocess.Popen(command, **keywords))
            except BaseException as error:
                outcome.append(error)
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def collect(self) -> int:
        """Notes who has come to the gate; how many are held now."""
        while select.select([self._listener], [], [], 0)[0]:
            notification = bytearray(NOTIFICATION.size)
            try:
                fcntl.ioctl(self._listener, RECEIVE, notification)
            except OSError as error:
                if error.errno == errno.ENOENT:  # it went away meanwhile, by a signal
                    continue
                raise
            self._held.append(NOTIFICATION.unpack(notification)[0])
        return len(self._held)

    def open(self) -> None:
        """Lets through who is held."""
        self.passed += self._answer(0, CONTINUE)

    def refuse(self) -> None:
        """Has the call of who is held fail, as if the descriptor were closed: nothing that waits goes on after that."""
        self._answer(-errno.EBADF, 0)

    def _answer(self, error: int, flags: int) -> int:
        """To all who are held; how many of them were still there."""
        answered = 0
        for held in self._held:
            with contextlib.suppress(FileNotFoundError):  # by a signal
                fcntl.ioctl(self._listener, ANSWER, RESPONSE.pack(held, 0, error, flags))
                answered += 1
        self._held.clear()
        return answered

    def _install(self) -> None:
        """For this thread, and the processes that it starts."""
        count = len(self._waits)
        code = [(LOAD_NUMBER, 0, 0, 0),
                *((JUMP_IF_EQUAL, count - index, 0, number) for index, number in enumerate(self._waits.values())),
                (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOTIFY)]
        packed = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
        buffer = ctypes.create_string_buffer(packed, len(packed))
        program = _Program(len(code), ctypes.addressof(buffer))
        libc = ctypes.CDLL(None, use_errno=True)
        listener = -1
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            listener = libc.syscall(self._seccomp, SET_MODE_FILTER, FLAG_NEW_LISTENER, ctypes.byref(program))
        if listener < 0:
            raise Failure("count: cannot hold a server where it waits (seccomp user notification, Linux 5.5): "
                          f"{os.strerror(ctypes.get_errno())}; in a container, allow seccomp(2)")
        self._listener = listener
