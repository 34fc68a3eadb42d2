"""`echobench explain`: why a model costs more than the reference, in sentences, from what was seen and counted.  It
names what differs; what each difference costs it does not know."""

from argparse import Namespace
from collections.abc import Mapping

from rich.console import Console

from .. import documents, result
from ..analyse.behaviour import Behaviour, behaviour
from ..analyse.statistics import Interval
from ..analyse.summary import COST, RANKED, Group, Row, summarise
from ..count import document as counts
from ..units import format_connections, format_time_ns, listed, significant
from . import companions
from .chart_data import MAIN_RATE
from .columns import optional, plus_minus

LEAST = 0.05       # of the larger of two figures: what differs by less is not worth a sentence
LEAST_SAMPLED = 0.3  # of a time that the kernel samples at its ticks
LEAST_WAKEUPS = 0.01  # a request: of a server that sleeps less, requests per wake-up mean nothing
LEAST_CALL = 0.01  # of one kind a request
MOST_CALLS = 4     # that a sentence names


def explain(options: Namespace, console: Console) -> int:
    """The verb; its exit status."""
    file = documents.locate(options.result, result.FILE_NAME)
    stored = result.load(file)
    reference = result.reference_of(stored, options.reference)
    document = companions.load(file).get("count")
    counted = counts.result_of(document) if document else None
    groups = [group for group in summarise(stored, reference) if group.workload.load in RANKED and (
        group.workload.rate in ("", MAIN_RATE) or group.workload.is_number)]
    lines = [line for group in groups for line in _of_group(group, counted)]
    for text in lines or ["no cost was measured, so there is nothing to explain"]:
        console.print(text, soft_wrap=True, highlight=False)
    if groups:
        console.print(_where_counted(counted), soft_wrap=True, highlight=False)
    return 0


def _where_counted(counted: counts.Result | None) -> str:
    if not counted:
        return ("System calls and instructions were not counted: `scripts/echobench count --out DIR` writes a "
                "count.json; put it next to the result.")
    every = [format_connections(many) for many in sorted({many for _, many in counted.cells})]
    return (f"System calls and instructions are those of count.json: with {listed(every)}, all of them ready at each "
            "wake-up.")


def _of_group(group: Group, counted: counts.Result | None) -> list[str]:
    """The lines of one table: a title, then each model with what it does more, or less, than the reference."""
    of = group.row(group.reference)
    if of is None or of.cost_ns is None or not any(row.cost_ratio for row in group.rows):
        return []
    lines = [group.workload.title(group.rate_per_s)]
    cells = _counted_cells(group.workload.connections, counted)
    reference = behaviour(of, cells.get(of.variant))
    for row in group.rows:
        if row.control_of is None and row.cost_ratio:
            lines.append(f"  {_cost(row, row.cost_ratio, of, group.unranked(COST))}")
            seen = behaviour(row, cells.get(row.variant))
            lines += [f"    {text}" for text in differences(seen, reference, of.variant)]
    return [*lines, ""]


def _cost(row: Row, ratio: Interval, of: Row, doubt: str) -> str:
    if doubt:
        return f"{row.variant}: {doubt}, so it is not compared with {of.variant}"
    figures = " and ".join(optional(side.cost_ns, lambda ns: significant(ns / 1000)) for side in (row, of))
    if not ratio.has_bounds or ratio.contains(1):
        return (f"{row.variant} is not distinguished from {of.variant}: {plus_minus(ratio)} times its cost, "
                f"{figures} µs a request")
    return f"{row.variant} costs {plus_minus(ratio)} times what {of.variant} costs, {figures} µs a request:"


def _counted_cells(connections: int, counted: counts.Result | None) -> dict[str, counts.Counts]:
    """{variant: what was counted} where the number of connections is most like this."""
    if not counted:
        return {}
    nearest = min((many for _, many in counted.cells), key=lambda many: abs(many - connections))
    return {variant: cell for (variant, many), cell in counted.cells.items() if many == nearest}


def differences(row: Behaviour, of: Behaviour, name: str) -> list[str]:
    """Sentences; `name` is the one that it is compared with."""
    texts = []
    if pair := _differing(row.wakeups, of.wakeups):
        texts.append(f"its threads are woken {pair[0]:.2f} times a request, those of {name} {pair[1]:.2f} times"
                     + _requests_each(*pair))
    if pair := _differing(row.turns, of.turns):
        texts.append(f"its loop asks the kernel {pair[0]:.2f} times a request which connections are ready, that of "
                     f"{name} {pair[1]:.2f} times")
    if pair := _differing(row.idle_ns, of.idle_ns):
        texts.append(f"before each wake-up its CPU is idle for {format_time_ns(pair[0])}, that of {name} for "
                     f"{format_time_ns(pair[1])}")
    if pair := _differing(row.system_calls, of.system_calls):
        texts.append(f"it makes {pair[0]:.2f} system calls a request, {name} {pair[1]:.2f}"
                     + _calls(row.calls, of.calls))
    if pair := _differing(row.instructions, of.instructions):
        texts.append(f"it executes {significant(pair[0])} instructions a request outside the kernel, {name} "
                     f"{significant(pair[1])}")
    if pair := _differing(row.user_ns, of.user_ns, LEAST_SAMPLED):
        texts.append(f"outside the kernel it spends {significant(pair[0] / 1000, 2)} µs a request, {name} "
                     f"{significant(pair[1] / 1000, 2)} µs")
    return texts or ["nothing of what was seen or counted differs"]


def _differing(one: float | None, other: float | None, least: float = LEAST) -> tuple[float, float] | None:
    """Both, if both are known and differ by `least` of the larger."""
    if one is None or other is None or abs(one - other) < least * max(one, other):
        return None
    return one, other


def _requests_each(one: float, other: float) -> str:
    """Where several requests share a wake-up."""
    return f" ({1 / one:.1f} and {1 / other:.1f} requests a wake-up)" if LEAST_WAKEUPS < min(one, other) < 1 else ""


def _calls(row: Mapping[str, float], of: Mapping[str, float]) -> str:
    """`: futex 1.2 more, epoll_wait 0.5 fewer`."""
    more = {call: row.get(call, 0) - of.get(call, 0) for call in row.keys() | of.keys()}
    named = sorted((call for call in more if abs(more[call]) >= LEAST_CALL), key=lambda call: (-abs(more[call]), call))
    texts = [f"{call} {abs(more[call]):.2f} {'more' if more[call] > 0 else 'fewer'}" for call in named[:MOST_CALLS]]
    return ": " + ", ".join(texts) if texts else ""
