"""Which CPUs the servers and the load generator get: disjoint sets, SMT siblings kept together, a server on one NUMA
node where it fits, and no more than the cgroup's CPU quota allows."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from .. import Usage
from ..documents import Json
from .topology import Core, Topology, format_cpu_list, parse_cpu_list

Threads = int | Literal["all"]  # of a server; all: as many as there are cores for the servers


@dataclass(frozen=True)
class Placement:
    """CPU lists in the form of taskset; `shared`: client and server compete for the same CPU.  `quota`, in CPUs, is the
    cgroup's, and `throttled` means that more CPUs are in use than it allows: the kernel stops threads then."""

    server_cpus: str
    client_cpus: str
    server_threads: int
    client_threads: int
    shared: bool
    server_cores: tuple[Core, ...] = ()
    server_nodes: tuple[int, ...] = ()
    quota: float | None = None
    throttled: bool = False

    def as_json(self) -> Json:
        return asdict(self)

    def cpus_of(self, cores: int | None) -> str:
        """The CPUs of that many of the servers' cores, the first ones; all of them with None."""
        return self.server_cpus if cores is None else format_cpu_list(_cpus(self.server_cores[:cores]))

    @property
    def warnings(self) -> list[str]:
        """How this placement distorts figures: sentences."""
        sentences = []
        if self.shared:
            sentences.append("client and server share a CPU, which distorts every figure")
        if self.throttled:
            sentences.append(f"the cgroup allows {self.quota:g} CPUs, and more are in use: the kernel will stop "
                             "threads, which distorts every figure")
        if len(self.server_nodes) > 1:
            sentences.append(f"the servers span the NUMA nodes {', '.join(map(str, self.server_nodes))}")
        return sentences


def place(topology: Topology, server_threads: Threads = 1, server_cpus: str = "auto",
          client_cpus: str = "auto") -> Placement:
    """Divides the cores: the servers get one per thread, as far as half of the cores go (`all`: a third); the load
    generator as many as are left, at most twice those of the servers, since it must not be the bottleneck.  Explicit
    lists are taken as they are; Usage says where they overlap or cannot be used."""
    if (server_cpus == "auto") != (client_cpus == "auto"):
        raise Usage("placement: give both server_cpus and client_cpus, or neither")
    if server_cpus != "auto":
        return _explicit(topology, server_threads, server_cpus, client_cpus)
    cores = _allowed(topology)
    if len(cores) == 1:
        return _placement(topology, cores, cores, 1 if server_threads == "all" else server_threads, 1)
    most = max(1, len(cores) // (3 if server_threads == "all" else 2))
    for_servers = most if server_threads == "all" else min(server_threads, most)
    for_client = min(len(cores) - for_servers, 2 * for_servers)
    ordered = _by_node(topology, cores, for_servers + for_client)
    return _placement(topology, ordered[:for_servers], ordered[for_servers:for_servers + for_client],
                      for_servers if server_threads == "all" else server_threads, for_client)


def _cpus(cores: Iterable[Core]) -> list[int]:
    return [cpu for core in cores for cpu in core]


def _allowed(topology: Topology) -> tuple[Core, ...]:
    """As many cores as the quota allows, two at least if there are two: one each for client and server."""
    if topology.quota is None:
        return topology.cores
    kept: list[Core] = []
    used = 0
    for core in topology.cores:
        if len(kept) >= 2 and used + len(core) > topology.quota:
            break
        kept.append(core)
        used += len(core)
    return tuple(kept)


def _by_node(topology: Topology, cores: Iterable[Core], wanted: int) -> list[Core]:
    """Node by node: the first that holds all that is wanted, else the largest first, so that the servers span no more
    nodes than they must."""
    nodes: dict[int, list[Core]] = {}
    for core in cores:
        nodes.setdefault(topology.node(core), []).append(core)
    whole = next((members for members in nodes.values() if len(members) >= wanted), None)
    return whole or [core for members in sorted(nodes.values(), key=len, reverse=True) for core in members]


def _placement(topology: Topology, server: Sequence[Core], client: Sequence[Core], server_threads: int,
               client_threads: int) -> Placement:
    cpus = set(_cpus((*server, *client)))
    return Placement(format_cpu_list(_cpus(server)), format_cpu_list(_cpus(client)), server_threads, client_threads,
                     shared=bool(set(server) & set(client)), server_cores=tuple(server),
                     server_nodes=tuple(sorted({topology.node(core) for core in server})), quota=topology.quota,
                     throttled=topology.quota is not None and len(cpus) > topology.quota)


def _explicit(topology: Topology, server_threads: Threads, server_cpus: str, client_cpus: str) -> Placement:
    try:
        server, client = set(parse_cpu_list(server_cpus)), set(parse_cpu_list(client_cpus))
    except ValueError:
        raise Usage(f"placement: '{server_cpus}' and '{client_cpus}' must be lists of CPUs such as 0,2-3") from None
    usable = set(_cpus(topology.cores))
    if not server | client <= usable:
        raise Usage(f"placement: CPUs {format_cpu_list((server | client) - usable)} cannot be used here; "
                    f"usable: {format_cpu_list(usable)}")
    if server & client:
        raise Usage(f"placement: server and client share CPU {format_cpu_list(server & client)}; give disjoint lists")
    if any(server.intersection(core) and client.intersection(core) for core in topology.cores):
        raise Usage("placement: server and client are SMT siblings of one core; keep siblings together")
    cores = [core for core in topology.cores if server.intersection(core)]
    throttled = topology.quota is not None and len(server | client) > topology.quota
    return Placement(format_cpu_list(server), format_cpu_list(client),
                     len(cores) if server_threads == "all" else server_threads, len(client), False,
                     tuple(tuple(sorted(server.intersection(core))) for core in cores),
                     tuple(sorted({topology.node(core) for core in cores})), topology.quota, throttled)
