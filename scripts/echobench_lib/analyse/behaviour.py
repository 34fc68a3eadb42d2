"""How a server went about a load: what can be seen next to what a request costs."""

from dataclasses import dataclass, field

from ..count.document import Counts
from ..result import Cell
from .recovery import wakeups_per_request
from .summary import SATURATED_SERVER, Row, median


@dataclass(frozen=True)
class Behaviour:
    """Of one variant under one workload, medians over restarts; None where it is not known.  Per request: `wakeups` of
    all its threads, `turns` of its loops, `user_ns` outside the kernel; `idle_ns` before each wake-up, of the server's
    CPUs.  As `echobench count` has them, per request: `instructions` outside the kernel and `system_calls`, `calls` by
    name."""

    wakeups: float | None = None
    turns: float | None = None
    idle_ns: float | None = None
    user_ns: float | None = None
    instructions: float | None = None
    system_calls: float | None = None
    calls: dict[str, float] = field(default_factory=dict)


def behaviour(row: Row, counted: Counts | None = None) -> Behaviour:
    """Of a Row; `counted`: of its variant, if a result of `echobench count` has it."""
    cells = row.kept or row.cells
    figures = {name: figure.per_request for name, figure in counted.figures.items()} if counted else {}
    return Behaviour(
        wakeups=median(map(wakeups_per_request, cells)), turns=median(map(turns_per_request, cells)),
        idle_ns=median(map(idle_ns_per_wakeup, cells)),
        user_ns=row.user_share * row.cost_ns if row.user_share is not None and row.cost_ns is not None else None,
        instructions=figures.get("instructions"), system_calls=figures.get("system_calls"),
        calls={name: call.per_request for name, call in counted.system_calls.items()} if counted else {})


def turns_per_request(cell: Cell) -> float | None:
    """By the server's last line; None of a server that has no loops, or does not say."""
    stopped = cell.server.stopped
    return stopped.turns / stopped.requests if stopped and stopped.turns and stopped.requests else None


def idle_ns_per_wakeup(cell: Cell) -> float | None:
    """What of the time in which it was driven its CPUs were idle, divided by how often one of its threads woke up; None
    of a server that was saturated."""
    wakeups, busy = cell.server.voluntary_switches, cell.server.busy
    used_ns = sum(piece.server_cpu_ns or 0 for piece in cell.slices)
    return used_ns * (1 / busy - 1) / wakeups if wakeups and busy and busy < SATURATED_SERVER else None
