"""What the kernel shows of this machine's CPUs: cores and their SMT siblings, NUMA nodes, and the cgroup's CPU
quota."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
Core = tuple[int, ...]  # its hardware threads, sorted


@dataclass(frozen=True)
class Topology:
    """`cores` are those that may be used here; `nodes` their NUMA nodes, in the same order.  `quota`: CPUs that the
    cgroup allows, None without a limit."""

    cores: tuple[Core, ...]
    nodes: tuple[int, ...] = ()
    quota: float | None = None

    def node(self, core: Core) -> int:
        return self.nodes[self.cores.index(core)] if self.nodes else 0


def read_topology(root: Path = ROOT, allowed: Iterable[int] | None = None) -> Topology:
    """As /sys and /proc below `root` have it; `allowed` are the CPUs that this process may use, by default those of its
    affinity."""
    usable = os.sched_getaffinity(0) if allowed is None else set(allowed)
    found = set()
    for cpu in usable:
        file = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        try:
            siblings = parse_cpu_list(file.read_text())
        except (OSError, ValueError):
            siblings = [cpu]
        found.add(tuple(sorted(usable.intersection(siblings))))
    cores, nodes = tuple(sorted(found)), _read_nodes(root)
    return Topology(cores, tuple(nodes.get(core[0], 0) for core in cores), read_quota(root))


def _read_nodes(root: Path) -> dict[int, int]:
    """{CPU: NUMA node}"""
    nodes: dict[int, int] = {}
    for file in (root / "sys/devices/system/node").glob("node[0-9]*/cpulist"):
        if text := file.read_text().strip():  # a node may have memory only
            nodes |= dict.fromkeys(parse_cpu_list(text), int(file.parent.name.removeprefix("node")))
    return nodes


def read_quota(root: Path = ROOT) -> float | None:
    """The least number of CPUs that this process's cgroup and those above it allow (cgroup v2); None without a
    limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    cgroup = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    quotas = []
    for group in (Path(cgroup), *Path(cgroup).parents):
        try:
            most, period = (root / "sys/fs/cgroup" / group / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if most != "max":
            quotas.append(round(int(most) / int(period), 2))
    return min(quotas, default=None)


def parse_cpu_list(text: str) -> list[int]:
    """`0,2-3` as a sorted list.  ValueError when it is not of that form."""
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        run = range(int(first), int(last if dash else first) + 1)
        if not run:
            raise ValueError(f"'{part}' ends before it begins")
        cpus.update(run)
    return sorted(cpus)


def format_cpu_list(cpus: Iterable[int]) -> str:
    """`[0, 2, 3]` as `0,2-3`."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
