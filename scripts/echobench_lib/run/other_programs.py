"""How much of the servers' CPUs other programs use while a run is measured.  A CPU that is never idle changes what it
costs to wake a server: at equal load a busy loop at the lowest priority doubled the cost of an epoll loop, left that of
a thread per connection as it was, and so turned their order."""

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Reading:
    """Seconds: of the clock, of all programs on those CPUs (idle and stolen time are not), of our servers."""

    at: float
    busy: float
    ours: float


def read(cpus: Sequence[int], pids: Iterable[int]) -> Reading | None:
    """None where it is not known: no CPU is theirs alone, a server has ended, or this machine does not count such a
    CPU."""
    try:
        ours = sum(map(_used, pids))
    except psutil.NoSuchProcess:
        return None
    times = psutil.cpu_times(percpu=True)  # in the order of their numbers
    if not cpus or max(cpus) >= len(times):
        return None
    busy = sum(of.user + of.nice + of.system + of.irq + of.softirq for of in (times[cpu] for cpu in cpus))
    return Reading(time.monotonic(), busy, ours)


def share(before: Reading | None, after: Reading | None, cpus: int) -> float | None:
    """Of the time of that many CPUs, from 0 to 1; None where it is not known.  The kernel counts in ticks of up to
    10 ms."""
    if before is None or after is None or after.at <= before.at:
        return None
    others = (after.busy - before.busy) - (after.ours - before.ours)
    return min(1.0, max(0.0, others / (cpus * (after.at - before.at))))


def _used(pid: int) -> float:
    """By a process, and by those it started, ended or not."""
    process = psutil.Process(pid)
    children = process.children(recursive=True)
    times = [process.cpu_times()]
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile
            times.append(child.cpu_times())
    return sum(of.user + of.system + of.children_user + of.children_system for of in times)
