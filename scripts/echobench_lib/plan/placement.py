"""Which CPUs the servers and the load generator get: disjoint sets, SMT siblings kept together."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .. import Usage

TOPOLOGY = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Placement:
    """CPU lists in the form of taskset; `shared` tells that client and server compete for the same CPU."""

    server_cpus: str
    client_cpus: str
    server_threads: int
    client_threads: int
    shared: bool

    def as_json(self):
        return asdict(self)


def parse_cpu_list(text):
    """`0,2-3` as a sorted list.  ValueError when it is not of that form."""
    cpus = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return sorted(cpus)


def format_cpu_list(cpus):
    """`[0, 2, 3]` as `0,2-3`."""
    runs = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def read_cores():
    """The cores that this process may use, each a sorted tuple of its allowed hardware threads."""
    allowed = os.sched_getaffinity(0)
    cores = set()
    for cpu in allowed:
        try:
            siblings = parse_cpu_list((TOPOLOGY / f"cpu{cpu}/topology/thread_siblings_list").read_text())
        except (OSError, ValueError):
            siblings = [cpu]
        cores.add(tuple(sorted(allowed.intersection(siblings))))
    return sorted(cores)


def place(cores, server_threads=1, server_cpus="auto", client_cpus="auto"):
    """Divides `cores` (tuples of sibling CPUs): the servers get one core per thread, as far as half of the cores go;
    the load generator as many as are left, at most twice those of the servers, since it must not be the bottleneck.
    Explicit lists are taken as they are and checked for overlap."""
    if (server_cpus == "auto") != (client_cpus == "auto"):
        raise Usage("placement: give both server_cpus and client_cpus, or neither")
    if server_cpus != "auto":
        return _explicit(cores, server_threads, server_cpus, client_cpus)
    if len(cores) == 1:
        cpus = format_cpu_list(cores[0])
        return Placement(cpus, cpus, server_threads, 1, shared=True)
    for_servers = min(server_threads, max(1, len(cores) // 2))
    server = cores[:for_servers]
    client = cores[for_servers:for_servers + 2 * for_servers]
    return Placement(format_cpu_list(sum(server, ())), format_cpu_list(sum(client, ())), server_threads,
                     len(client), shared=False)


def _explicit(cores, server_threads, server_cpus, client_cpus):
    try:
        server, client = set(parse_cpu_list(server_cpus)), set(parse_cpu_list(client_cpus))
    except ValueError:
        raise Usage(f"placement: '{server_cpus}' and '{client_cpus}' must be lists of CPUs such as 0,2-3") from None
    usable = {cpu for core in cores for cpu in core}
    if not server | client <= usable:
        raise Usage(f"placement: CPUs {format_cpu_list((server | client) - usable)} cannot be used here; "
                    f"usable: {format_cpu_list(usable)}")
    if server & client:
        raise Usage(f"placement: server and client share CPU {format_cpu_list(server & client)}; give disjoint lists")
    if any(server.intersection(core) and client.intersection(core) for core in cores):
        raise Usage("placement: server and client are SMT siblings of one core; keep siblings together")
    return Placement(format_cpu_list(server), format_cpu_list(client), server_threads, len(client), shared=False)
