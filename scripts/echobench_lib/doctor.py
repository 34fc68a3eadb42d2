"""What on this host distorts figures, and what to do about it; the same facts go into every result."""

import ctypes
import errno
import os
import re
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from .documents import Json
from .plan.topology import read_quota, read_topology

LEAST_DESCRIPTORS = 15_200   # a sliced run of 15,000 connections and what the programs need in addition
LEAST_BACKLOG = 4096         # what echo-server asks listen(2) for
SYS_IO_URING_SETUP = 425     # the same on every architecture
LEAST_LINUX = (5, 19)
# What a kernel before each version does not have, and what it is needed for; the latest first.
LOST_BEFORE = {(6, 1): "io-uring, coroutine-uring and io_uring in echo-load are unavailable (DEFER_TASKRUN)",
               (5, 19): "asio-*-uring and plain-io-uring are unavailable (COOP_TASKRUN)",
               (5, 11): "echo-load and the servers on epoll do not start (epoll_pwait2)"}


@dataclass(frozen=True)
class Finding:
    """`level`: ok, note (know it when you read figures) or warning (mend it first)."""

    level: Literal["ok", "note", "warning"]
    subject: str
    what: str
    advice: str = ""


def host_facts() -> Json:
    """Facts in addition to those that echo-load records of the host."""
    return {"physical_cores": len(read_topology().cores), "cpu_quota": read_quota(),
            "load_average_before": round(os.getloadavg()[0], 2)}


def examine(seconds: float = 1.0) -> list[Finding]:
    """All findings; watches the CPUs for `seconds`."""
    return [kernel(os.uname().release), *_cpus(), *_activity(seconds), *_power(), _mitigations(), *_limits(),
            *_network(), _io_uring(), _memory()]


def kernel(release: str) -> Finding:
    """What this version of Linux (`6.1.0-18-amd64`) cannot do."""
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    lost = [what for least, what in LOST_BEFORE.items() if version < least]
    if not lost:
        return Finding("ok", "Linux", release)
    return Finding("warning" if version < LEAST_LINUX else "note", "Linux", f"{release}: {'; '.join(lost)}",
                   f"Linux {'.'.join(map(str, next(iter(LOST_BEFORE))))} or later has all of it")


def _cpus() -> Iterator[Finding]:
    cores, allowed = read_topology().cores, len(os.sched_getaffinity(0))
    if len(cores) == 1:
        yield Finding("warning", "cores", "one core: client and server compete for it",
                      "use a machine with two cores or more; figures from this one cannot be trusted")
    elif len(cores) < 4:
        yield Finding("note", "cores", f"{len(cores)} cores: one each for client and server, none for the system",
                      "read the cost of a request at equal load and at saturation, not requests/s nor CPU per request "
                      "in a closed loop: the fastest servers are faster than the client here, so both figures follow "
                      "the client's speed")
    else:
        yield Finding("ok", "cores", f"{len(cores)} cores, {allowed} hardware threads")
    if quota := read_quota():
        yield Finding("warning", "CPU quota", f"this cgroup is limited to {quota} CPUs",
                      "run outside the container's limit (docker: without --cpus)")
    if virtualised():
        yield Finding("note", "virtual machine", "other guests share the hardware, and cannot be seen from here",
                      "compare only within one run (ratios); use bare metal for absolute figures")


def _activity(seconds: float) -> Iterator[Finding]:
    before, used_before = psutil.cpu_times(), _used_by_process()
    time.sleep(seconds)
    after = psutil.cpu_times()
    passed = sum(after) - sum(before) or 1
    steal = steal_percent(before, after)
    busy = 100 * (1 - ((after.idle + after.iowait) - (before.idle + before.iowait)) / passed)
    if steal > 1:
        yield Finding("warning", "steal", f"{steal:.1f} % of CPU time was taken by the hypervisor",
                      "wait, or move to a machine of your own")
    if busy > 10:
        used = {key: total - used_before.get(key, 0) for key, total in _used_by_process().items()}
        worst = ", ".join(f"{name} ({pid})" for pid, name in sorted(used, key=used.__getitem__)[:-4:-1])
        yield Finding("warning", "load", f"the CPUs are {busy:.0f} % busy before anything runs; most by {worst}",
                      "stop what is running and measure again")
    else:
        yield Finding("ok", "load", f"CPUs {busy:.0f} % busy, steal {steal:.1f} %")


def steal_percent(before: tuple[float, ...], after: tuple[float, ...]) -> float:
    """How much of the CPUs' time between two of psutil.cpu_times() the hypervisor took."""
    passed = sum(after) - sum(before) or 1
    return 100 * (getattr(after, "steal", 0) - getattr(before, "steal", 0)) / passed


def _used_by_process() -> dict[tuple[int, str], float]:
    """{(pid, name): CPU seconds} of every other process."""
    infos = [process.info for process in psutil.process_iter(["pid", "name", "cpu_times"])]
    return {(info["pid"], info["name"]): info["cpu_times"].user + info["cpu_times"].system
            for info in infos if info["cpu_times"] and info["pid"] != os.getpid()}


def _power() -> Iterator[Finding]:
    governors = {text for cpu in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
                 if (text := _read(cpu))}
    if not governors:
        yield Finding("note", "governor", "the kernel does not show how the CPU's clock is governed",
                      "on a virtual machine the host decides that; expect the clock to change")
    elif governors != {"performance"}:
        yield Finding("warning", "governor", f"CPU frequency governor: {', '.join(sorted(governors))}",
                      "cpupower frequency-set -g performance")
    else:
        yield Finding("ok", "governor", "performance")
    turbo = (_read("/sys/devices/system/cpu/intel_pstate/no_turbo"), _read("/sys/devices/system/cpu/cpufreq/boost"))
    if turbo[0] == "0" or turbo[1] == "1":
        yield Finding("note", "turbo", "the clock rises when few cores work",
                      "for steadier figures: echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo "
                      "(or 0 > .../cpufreq/boost)")


def _mitigations() -> Finding:
    active = sorted(path.name for path in Path("/sys/devices/system/cpu/vulnerabilities").glob("*")
                    if (_read(path) or "").startswith("Mitigation"))
    if not active:
        return Finding("ok", "mitigations", "none active")
    return Finding("note", "mitigations", f"{len(active)} active: {', '.join(active)}",
                   "they make system calls cost more; leave them on, and compare only hosts with the same ones")


def _limits() -> Iterator[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < LEAST_DESCRIPTORS:
        yield Finding("warning", "descriptors",
                      f"a process may open {hard:,} files; sliced runs need {LEAST_DESCRIPTORS:,}",
                      "raise the hard limit: ulimit -Hn, /etc/security/limits.conf, docker --ulimit nofile=20000")
    else:
        yield Finding("ok", "descriptors", "unlimited" if hard == resource.RLIM_INFINITY else f"{hard:,} per process")


def _network() -> Iterator[Finding]:
    backlog = int(_read("/proc/sys/net/core/somaxconn") or 0)
    if 0 < backlog < LEAST_BACKLOG:
        yield Finding("warning", "somaxconn", f"listen queues are cut to {backlog}; connecting will stall by seconds",
                      f"sysctl net.core.somaxconn={LEAST_BACKLOG}")
    else:
        yield Finding("ok", "somaxconn", f"{backlog:,}")
    low, high = map(int, (_read("/proc/sys/net/ipv4/ip_local_port_range") or "32768 60999").split())
    ports = local_ports(low, high, _read("/proc/sys/net/ipv4/ip_local_reserved_ports") or "")
    if ports < 15_000:
        yield Finding("warning", "ports", f"only {ports:,} local ports",
                      'sysctl net.ipv4.ip_local_port_range="32768 60999" net.ipv4.ip_local_reserved_ports=""')


def local_ports(first: int, last: int, reserved: str) -> int:
    """How many ports connect(2) may take, from `first` to `last`, both included, without those in the list `reserved`
    (`8080,9000-9010`)."""
    ranges = [list(map(int, part.split("-"))) for part in reserved.strip().split(",") if part]
    return last - first + 1 - sum(max(0, min(part[-1], last) - max(part[0], first) + 1) for part in ranges)


def _io_uring() -> Finding:
    reason = io_uring_reason()
    if reason:
        return Finding("note", "io_uring", reason, "variants on io_uring will be listed as unavailable; "
                       "sysctl kernel.io_uring_disabled=0, or a seccomp profile that allows it")
    return Finding("ok", "io_uring", "allowed")


def _memory() -> Finding:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    if swap.used > 64 << 20:
        return Finding("warning", "memory", f"{swap.used >> 20:,} MiB swapped out", "swapoff -a, or free memory")
    if memory.available < 2 << 30:
        return Finding("warning", "memory", f"{memory.available >> 20:,} MiB available",
                       "5,000 threads and 15,000 connections need 2 GiB")
    return Finding("ok", "memory", f"{memory.available >> 30:,} GiB available")


def io_uring_reason() -> str:
    """Why io_uring cannot be used here; empty when it can.  Asks the kernel for a ring with no parameters: EFAULT
    means that it would have looked at them."""
    if (setting := _read("/proc/sys/kernel/io_uring_disabled")) in ("1", "2"):
        return f"io_uring is disabled: sysctl kernel.io_uring_disabled is {setting}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(SYS_IO_URING_SETUP, 1, None) == -1 and ctypes.get_errno() != errno.EFAULT:
        return f"io_uring is refused: {os.strerror(ctypes.get_errno())}"
    return ""


def virtualised() -> bool:
    """Whether the kernel runs under a hypervisor."""
    flags = _read("/proc/cpuinfo") or ""
    return any(line.startswith("flags") and " hypervisor" in line for line in flags.splitlines())


def cpu_model() -> str | None:
    """What the kernel calls the processor, None where it does not say."""
    lines = (_read("/proc/cpuinfo") or "").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
