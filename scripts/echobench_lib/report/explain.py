"""`echobench explain`: why a model costs more than the reference, in sentences, from what was seen and counted.  It names what
differs; what each difference costs it does not know."""

from .. import documents, result
from ..analyse.behaviour import behaviour
from ..analyse.summary import RANKED, summarise
from ..count import document as counts
from ..units import format_connections, format_time_ns, listed, significant
from . import companions
from .chart_data import MAIN_RATE
from .columns import plus_minus

LEAST = 0.05       # of the larger of two figures: what differs by less is not worth a sentence
LEAST_SAMPLED = 0.3  # of a time that the kernel samples at its ticks
LEAST_WAKEUPS = 0.01  # a request: of a server that sleeps less, requests per wake-up mean nothing
LEAST_CALL = 0.01  # of one kind a request
MOST_CALLS = 4     # that a sentence names


def explain(options, console):
    file = documents.locate(options.result, result.FILE_NAME)
    document = result.load(file)
    reference = result.reference_of(document, options.reference)
    counted = companions.load(file).get("count")
    groups = [group for group in summarise(document, reference) if group.workload.load in RANKED and (
        group.workload.rate in ("", MAIN_RATE) or group.workload.is_number)]
    for text in [line for group in groups for line in _of_group(group, counted)] or ["no cost was measured, so there is nothing to explain"]:
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    if groups:
        console.print(_where_counted(counted), soft_wrap=True, markup=False, highlight=False)
    return 0


def _where_counted(counted):
    if not counted:
        return "System calls and instructions were not counted: `scripts/echobench count --out DIR` writes a count.json; put it next to the result."
    every = [format_connections(many) for many in sorted({cell["connections"] for cell in counted["cells"]})]
    return f"System calls and instructions are those of count.json: with {listed(every)}, all of them ready at each wake-up."


def _of_group(group, counted):
    """The lines of one table: a title, then each model with what it does more, or less, than the reference."""
    of = group.row(group.reference)
    if of is None or of.cost_ns is None or not any(row.cost_ratio for row in group.rows):
        return []
    lines = [group.workload.title(group.rate_per_s)]
    cells = _counted_cells(group.workload.connections, counted)
    for row in group.rows:
        if row.control_of is None and row.cost_ratio:
            lines.append(f"  {_cost(row, of, group)}")
            lines += [f"    {text}" for text in differences(behaviour(row, cells.get(row.variant)), behaviour(of, cells.get(of.variant)), of.variant)]
    return [*lines, ""]


def _cost(row, of, group):
    ratio = row.cost_ratio
    figures = f"{significant(row.cost_ns / 1000)} and {significant(of.cost_ns / 1000)} µs a request"
    if group.unranked("CPU per request"):
        return f"{row.variant}: {group.unranked('CPU per request')}, so it is not compared with {of.variant}"
    if not ratio.has_bounds or ratio.low <= 1 <= ratio.high:
        return f"{row.variant} is not distinguished from {of.variant}: {plus_minus(ratio)} times its cost, {figures}"
    return f"{row.variant} costs {plus_minus(ratio)} times what {of.variant} costs, {figures}:"


def _counted_cells(connections, counted):
    """{variant: cell}: those whose connections are most like these."""
    if not counted:
        return {}
    cells = counts.cells(counted)
    nearest = min((many for _, many in cells), key=lambda many: abs(many - connections))
    return {variant: cell for (variant, many), cell in cells.items() if many == nearest}


def differences(row, of, name):
    """Sentences; `name` is the one that it is compared with."""
    texts = []
    if _differ(row.wakeups, of.wakeups):
        texts.append(f"its threads are woken {row.wakeups:.2f} times a request, those of {name} {of.wakeups:.2f} times"
                     + _requests_each(row.wakeups, of.wakeups))
    if _differ(row.turns, of.turns):
        texts.append(f"its loop asks the kernel {row.turns:.2f} times a request which connections are ready, that of {name} {of.turns:.2f} times")
    if _differ(row.idle_ns, of.idle_ns):
        texts.append(f"before each wake-up its CPU is idle for {format_time_ns(row.idle_ns)}, that of {name} for {format_time_ns(of.idle_ns)}")
    if _differ(row.system_calls, of.system_calls):
        texts.append(f"it makes {row.system_calls:.2f} system calls a request, {name} {of.system_calls:.2f}{_calls(row.calls, of.calls)}")
    if _differ(row.instructions, of.instructions):
        texts.append(f"it executes {significant(row.instructions)} instructions a request outside the kernel, {name} {significant(of.instructions)}")
    if _differ(row.user_ns, of.user_ns, LEAST_SAMPLED):
        texts.append(f"outside the kernel it spends {significant(row.user_ns / 1000, 2)} µs a request, {name} {significant(of.user_ns / 1000, 2)} µs")
    return texts or ["nothing of what was seen or counted differs"]


def _differ(one, other, least=LEAST):
    return None not in (one, other) and abs(one - other) >= least * max(one, other)


def _requests_each(one, other):
    """Where several requests share a wake-up."""
    return f" ({1 / one:.1f} and {1 / other:.1f} requests a wake-up)" if LEAST_WAKEUPS < min(one, other) < 1 else ""


def _calls(row, of):
    """`: futex 1.2 more, epoll_wait 0.5 fewer`."""
    more = {call: row.get(call, 0) - of.get(call, 0) for call in row.keys() | of.keys()}
    named = sorted((call for call in more if abs(more[call]) >= LEAST_CALL), key=lambda call: (-abs(more[call]), call))[:MOST_CALLS]
    return ": " + ", ".join(f"{call} {abs(more[call]):.2f} {'more' if more[call] > 0 else 'fewer'}" for call in named) if named else ""
