"""Tables, one text for the terminal and the page: rows of figures as strings, with what they mean.

A load has the columns that answer its question; which those are is data.  Costs at several rates over the same
connections stand side by side in one table.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any

from ..analyse.recovery import NO_CONTROL, Recovery
from ..analyse.summary import COST, FIGURES, TIME, Group, Row
from ..result import TITLES
from ..units import format_time_ns, listed
from . import blocking
from .chart_data import MAIN_RATE
from .columns import (ABSENT, COLUMNS, INTERVAL, P50, P99, RANK, RATIO, USER, VARIANT, VERDICT, WAKEUPS, Heading,
                      cost_text, optional, plus_minus, plus_minus_percent, verdict_of_all)
from .table import Line, Table, unavailable_rows


def build(groups: Sequence[Group], side_by_side: bool = True) -> list[Table]:
    """The tables of a result, in the order of its workloads.  `side_by_side` puts rates into one table; what was
    measured with and without a background load is always in one."""
    blocked = {group.workload.without_background for group in groups if group.workload.background}
    gathered: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        workload, alone = group.workload, group.workload.without_background
        key = workload.order_without_rate if side_by_side and workload.load == "equal-load" else workload.order
        gathered.setdefault(alone.order if alone in blocked else key, []).append(group)
    made = []
    for together in gathered.values():
        if any(group.workload.background for group in together):
            made.append(blocking.table(together))
            continue
        made.append(_by_rate(together) if len(together) > 1 else _single(together[0]))
        made += [_by_operation(group) for group in together if any(row.by_operation_ns for row in group.rows)]
    return made


def _single(group: Group) -> Table:
    columns = [column for column in COLUMNS[group.workload.load] if column is VARIANT or
               any(column.text(row, group) != ABSENT for row in group.rows)]
    rows: list[Line] = [(row, [column.text(row, group) for column in columns]) for row in group.rows]
    return Table(title(group), [column.heading for column in columns], rows + unavailable_rows(group, len(columns)),
                 remarks(group), [group], group.workload.load)


def _by_operation(group: Group) -> Table:
    """Of a mix of operations: the latency of each."""
    operations = list(dict.fromkeys(op for row in group.rows for op in row.by_operation_ns))
    names = ("p50", "p99")
    columns: list[Heading] = [VARIANT.heading, *((f"{op} {name}", "right") for op in operations for name in names)]
    rows: list[Line] = [(row, [row.variant, *(optional(row.by_operation_ns.get(op, {}).get(name), format_time_ns)
                                              for op in operations for name in names)]) for row in group.rows]
    return Table(f"Latency by operation, {group.workload.describe(group.rate_per_s)}", columns, rows, groups=[group],
                 kind=group.workload.load)


def _by_rate(groups: list[Group]) -> Table:
    """Costs at each rate; the ratio, its interval and the rest at the main one."""
    main = next((group for group in groups if group.workload.rate == MAIN_RATE), groups[len(groups) // 2])
    columns, texts = [VARIANT.heading], {row.variant: [row.variant] for row in main.rows}
    for group in groups:
        label = "\n".join(filter(None, (_rate(group), group.unranked(COST))))
        columns.append((label, "right"))
        for variant, cells in texts.items():
            other = group.row(variant)
            cells.append(cost_text(other) if other else ABSENT)
        if group is main:
            for column in (RATIO, INTERVAL, RANK, USER, WAKEUPS, P50, P99):
                columns.append(column.heading)
                for row in main.rows:
                    texts[row.variant].append(column.text(row, main))
    columns.append(VERDICT.heading)
    for row in main.rows:
        texts[row.variant].append(verdict_of_all([other for group in groups if (other := group.row(row.variant))]))
    rows: list[Line] = [(row, texts[row.variant]) for row in main.rows]
    return Table(f"{TITLES['equal-load']}, {main.workload.shape}; ratio, rank, wake-ups and response time at "
                 f"{_rate(main)} to each", columns, rows + unavailable_rows(main, len(columns)),
                 [text for group in groups for text in remarks(group, f"{_rate(group)}: ")], groups, "equal-load")


def remarks(group: Group, prefix: str = "") -> list[str]:
    """What the group's figures show of the known slow-downs, a sentence for each; and which restarts do not count."""
    what = {COST: "of CPU", TIME: "of a CPU's time, by throughput"}
    lines = [f"{prefix}{text}" for text in _left_out(group)]
    for figure in FIGURES[group.workload.load]:
        for recovery in group.recoveries.get(figure, []):
            lines.append(f"{prefix}{recovery_text(recovery, what[figure])}")
        if not group.recoveries.get(figure) and figure == COST and any(row.cost_ratio for row in group.rows):
            unsound = [f"{row.variant} was {row.verdict}" for row in group.controls]
            why = listed(unsound) if unsound else f"{NO_CONTROL} for {group.reference}"
            lines.append(f"{prefix}recovery of {figure} not known: {why}")
    return lines


def recoveries(groups: Sequence[Group]) -> list[Table]:
    """Where controls burn several times, or several variants have controls: a table for each variant, of what CPU per
    request shows of each burn."""
    by_variant: dict[str, dict[str, dict[str, Recovery]]] = {}  # {variant: {control: {name of the workload: Recovery}}}
    for group in groups:
        for recovery in group.recoveries.get(COST, []):
            by_variant.setdefault(recovery.of, {}).setdefault(recovery.control, {})[group.workload.name] = recovery
    if sum(map(len, by_variant.values())) < 2:
        return []
    made = []
    for of, controls in by_variant.items():
        known = [median(recovery.known_ns for recovery in by_load.values()) / 1000 for by_load in controls.values()]
        columns: list[Heading] = [("load", "left"), *((f"{control.removeprefix(of)}: {us:.2f} µs", "left")
                                                      for control, us in zip(controls, known))]
        loads = [group.workload.name for group in groups
                 if any(group.workload.name in by_load for by_load in controls.values())]
        rows: list[Line] = [(None, [load, *(_outcome_text(by_load.get(load)) for by_load in controls.values())])
                            for load in loads]
        made.append(Table(f"Recovery of CPU per request, {of}: % of the time that its controls burnt", columns, rows))
    return made


def _outcome_text(recovery: Recovery | None) -> str:
    """`101 ± 4 % passed`; at equal load, where it need not be 100 %, `87 ± 3 %, 0.03 fewer wake-ups`."""
    if recovery is None:
        return ABSENT
    percent = plus_minus_percent(recovery.ratio)
    if recovery.equivalent:
        return f"{percent} {recovery.outcome}"
    return ", ".join(filter(None, [percent, _woken(recovery)]))


def _woken(recovery: Recovery) -> str:
    """`0.07 fewer wake-ups`; empty where it is not known."""
    if recovery.wakeups is None:
        return ""
    return f"{abs(recovery.wakeups):.2f} {'fewer' if recovery.wakeups < 0 else 'more'} wake-ups"


def _left_out(group: Group) -> list[str]:
    """A sentence if costs are not over all restarts."""
    reference = group.row(group.reference)
    if reference is None or not 0 < len(reference.kept) < len(reference.cells):
        return []
    by_verdict: dict[str, dict[str, None]] = {}
    for row in group.rows:
        for cell in row.cells if row.kept else ():
            if cell.verdict != "valid":
                by_verdict.setdefault(cell.verdict, {})[row.variant] = None
    causes = [f"{listed(list(names))} {'were' if len(names) > 1 else 'was'} {verdict}"
              for verdict, names in by_verdict.items()]
    return [f"costs are over {len(reference.kept)} of {len(reference.cells)} restarts: in the others "
            f"{'; '.join(causes)}"]


def recovery_text(recovery: Recovery, what: str = "of CPU") -> str:
    """`epoll+20%: 2.05 µs of added work shows as 2.17 ± 0.15 µs of CPU (recovery 106 ± 7 %): control passed`; at equal
    load `epoll+20%: 1.04 µs of added work costs 0.81 ± 0.05 µs of CPU at this load: 0.07 fewer wake-ups per
    request`."""
    known = f"{recovery.control}: {recovery.known_ns / 1000:.2f} µs of added work"
    shown = f"{plus_minus(recovery.shown_ns.scaled(1e-3))} µs {what}"
    if recovery.equivalent:
        return f"{known} shows as {shown} (recovery {plus_minus_percent(recovery.ratio)}): control {recovery.outcome}"
    woken = f": {text} per request" if (text := _woken(recovery)) else ""
    doubt = "" if recovery.is_distinguished else f"; not distinguished from {recovery.of}, so nothing is ranked"
    return f"{known} costs {shown} at this load{woken}{doubt}"


def title(group: Group) -> str:
    return group.workload.title(group.rate_per_s)


def _rate(group: Group) -> str:
    return group.workload.rate_text(group.rate_per_s)


def doubts(groups: Sequence[Group]) -> list[tuple[Group, Row]]:
    """(group, row) for every figure that is not plainly valid."""
    return [(group, row) for group in groups for row in group.rows if row.verdict != "valid" or row.reasons]
