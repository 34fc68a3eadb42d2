"""Two result files side by side, by each cell's ratio to its own file's reference.

That ratio was paired slice by slice within a run, so that a slower day cancels out.  Restarts are
the unit; absolute figures are shown, without interval.  A figure is judged only if its control passed in both files."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scipy.stats import norm

from ..result import Cell, Result, Slice, Workload, reference_of
from .statistics import Interval, change, of_rounds
from .summary import (COST, FIGURES, TIME, Group, Row, cell_log_ratios, log_ratios, slice_cost, slice_rate,
                      sound_verdicts, summarise)

RATE_TOLERANCE = 0.1  # loads at rates further apart were not asked the same
LATENCY = "p50"        # response time, where arrivals are the same for all: it has no control
SEEN = 1 + norm.ppf(0.9) / norm.ppf(0.975)  # half widths of a 95 % interval: what nine of ten such intervals would show


@dataclass(frozen=True)
class Line:
    """One variant under one workload in both files: how its cost and throughput ratios changed, B over A; and why one
    of them is not judged ({figure: reason})."""

    variant: str
    workload: Workload
    rate_per_s: float | None  # in A
    changes: dict[str, Interval]
    unjudged: dict[str, str]
    rows: tuple[Row, Row]

    @property
    def where(self) -> str:
        return f"{self.variant}, {self.workload.describe(self.rate_per_s)}"


@dataclass
class Comparison:
    reference: str
    lines: list[Line]
    missing: list[str]  # cells that only one file has
    skipped: list[str]  # cells that both have, and why they cannot be compared
    remarks: list[str]
    references: dict[Workload, tuple[Row | None, Row | None]]  # the reference's rows in A and B, None where it has none

    def regressions(self, limit: float) -> list[str]:
        """Sentences for every figure that is worse by more than `limit` (0.1: ten per cent) even at the bound of its
        interval that is nearest to no change.  Without an interval nothing is proven."""
        sentences = []
        for line in self.lines:
            for figure, interval in line.changes.items():
                low, high = interval.bounds or (1, 1)
                if high < 1 - limit if figure == TIME else low > 1 + limit:
                    sentences.append(f"{line.where}: {figure} {change_text(interval)}")
        return sentences

    @property
    def undecided(self) -> list[str]:
        """Sentences for every figure that should have been judged and has no interval to judge it by."""
        sentences = []
        for line in self.lines:
            without = [f"{what} has no interval" for what, interval in line.changes.items() if not interval.has_bounds]
            without += [f"{what} is missing" for what in figures_of(line.workload)
                        if what not in line.changes and what not in line.unjudged]
            if without:
                sentences.append(f"{line.where}: {', '.join(without)}")
        return sentences

    def judged(self, figure: str) -> int:
        """In how many lines the figure was judged."""
        return sum(figure in line.changes for line in self.lines)

    @property
    def unjudged(self) -> dict[tuple[str, str], int]:
        """{(figure, reason): in how many lines}, so that what is not judged is not taken for unchanged."""
        counts: dict[tuple[str, str], int] = {}
        for line in self.lines:
            for item in line.unjudged.items():
                counts[item] = counts.get(item, 0) + 1
        return counts


def why_not_comparable(first: Result, second: Result, across_hosts: bool = False) -> str:
    """Why two results have nothing to say about each other; empty when they have.  A ratio holds for the host that it
    was measured on: where system calls cost twice as much, models that make more of them cost more.  `across_hosts`
    takes it for all."""
    references = [reference_of(result) for result in (first, second)]
    if "" in references:
        return "a file has no cells"
    if references[0] != references[1]:
        return f"ratios refer to {references[0]} in one file and to {references[1]} in the other"
    workloads = [{cell.workload for cell in result.cells} for result in (first, second)]
    if not workloads[0] & workloads[1]:
        names = [", ".join(sorted(workload.name for workload in side)) for side in workloads]
        return f"no workload is in both: {names[0]} against {names[1]}"
    if (first.placement is None) != (second.placement is None):
        return "one of them does not record how its servers were placed"
    if differing := _differences(setup, first, second):
        return "; ".join(differing)
    if not across_hosts and (differing := _differences(host, first, second)):
        return f"another host: {'; '.join(differing)} (--across-hosts compares the ratios nevertheless)"
    return ""


def setup(result: Result) -> dict[str, object]:
    """How it was measured: {what: value}, of what a ratio may depend on; what a result does not record is left out."""
    placement = result.placement
    engines = {config.engine for config in (result.config, *(run.config for run in result.runs)) if config.engine}
    facts = {"threads of a server": placement.server_threads, "threads of the client": placement.client_threads,
             "client and servers on the same CPUs": placement.shared} if placement else {}
    return {**facts, **({"the client's engine": " and ".join(sorted(engines))} if engines else {})}


def host(result: Result) -> dict[str, str]:
    """Where it was measured: {what: value}; what a result does not record is left out."""
    facts = {"CPU": result.host.cpu, "kernel": result.host.kernel,
             **{f"mitigation of {name}": state for name, state in result.host.mitigations.items()}}
    return {what: value for what, value in facts.items() if value is not None}


def _differences(facts_of: Callable[[Result], Mapping[str, object]], first: Result, second: Result) -> list[str]:
    """Sentences for what both results record, with different values."""
    a, b = facts_of(first), facts_of(second)
    return [f"{what}: {a[what]} against {b[what]}" for what in a if what in b and a[what] != b[what]]


def compare(first: Result, second: Result) -> Comparison:
    """Of two results for which why_not_comparable is empty."""
    reference = reference_of(first)
    sides = [{group.workload: group for group in summarise(result, reference)} for result in (first, second)]
    comparison = Comparison(reference, [], [], [], _remarks(first, second), {})
    for workload in sorted(sides[0].keys() | sides[1].keys(), key=lambda workload: workload.order):
        a, b = (side.get(workload) for side in sides)
        comparison.references[workload] = _rows(reference, a, b)
        groups = [group for group in (a, b) if group]
        for variant in dict.fromkeys(row.variant for group in groups for row in group.rows):
            row_a, row_b = _rows(variant, a, b)
            where = f"{variant}, {workload.describe(groups[0].rate_per_s)}"
            if a is None or b is None or row_a is None or row_b is None:
                comparison.missing.append(f"{where}: only in {'A' if row_a else 'B'}")
            elif not _same_rate(a.rate_per_s, b.rate_per_s):
                comparison.skipped.append(f"{where}: {a.rate_per_s:,.0f} requests/s in A, {b.rate_per_s:,.0f} in B")
            elif doubt := _doubt(variant, (a, b)):
                comparison.skipped.append(f"{where}: {doubt}")
            elif variant != reference and row_a.control_of is None and figures_of(workload):
                comparison.lines.append(_line((a, b), (row_a, row_b)))
    return comparison


def _rows(variant: str, a: Group | None, b: Group | None) -> tuple[Row | None, Row | None]:
    return a.row(variant) if a else None, b.row(variant) if b else None


def _line(groups: tuple[Group, Group], rows: tuple[Row, Row]) -> Line:
    """Of a variant that is sound in both groups, which are of one workload."""
    workload, variant = groups[0].workload, rows[0].variant
    changes, unjudged = {}, {}
    for figure in figures_of(workload):
        if reason := _why_unjudged(figure, workload, groups, rows):
            unjudged[figure] = reason
            continue
        before, after = (_restarts(figure, group, variant) for group in groups)
        if before and after:
            changes[figure] = change(before, after)
    return Line(variant, workload, groups[0].rate_per_s, changes, unjudged, rows)


def _restarts(figure: str, group: Group, variant: str) -> list[float]:
    """Of each restart, the log ratio of a figure to the reference."""
    cells = [cell for row in group.rows for cell in row.kept]
    if figure == LATENCY:
        return list(cell_log_ratios(cells, variant, group.reference, _latency).values())
    figure_of: Callable[[Cell], Callable[[Slice], float]] = slice_cost if figure == COST else lambda _: slice_rate
    return [of_rounds(rounds) for rounds in log_ratios(cells, variant, group.reference, figure_of).values()]


def figures_of(workload: Workload) -> tuple[str, ...]:
    """What is judged under a workload."""
    return (*FIGURES[workload.load], *((LATENCY,) if workload.load in ("equal-load", "open-loop") else ()))


def _latency(cell: Cell) -> float | None:
    return cell.response_ns.get(LATENCY)


def _why_unjudged(figure: str, workload: Workload, groups: tuple[Group, Group], rows: tuple[Row, Row]) -> str:
    """Why a figure says nothing about the server; empty where it does."""
    if figure == LATENCY:
        return ""
    if figure == COST and workload.load == "closed-loop":
        return "biased by the closed loop"
    references = [group.row(group.reference) for group in groups]
    if figure == TIME and any(row.is_bound for row in (*rows, *references) if row):
        return "client-bound"
    return next((f"{doubt} in {side}" for side, group in zip("AB", groups) if (doubt := group.doubt(figure))), "")


def _doubt(variant: str, groups: tuple[Group, Group]) -> str:
    """The verdict, of the variant or of the reference, that forbids to compare a cell; empty when there is none."""
    for side, group in zip("AB", groups):
        for name in (variant, group.reference):
            row = group.row(name)
            if row is None or row.verdict not in sound_verdicts(group.workload.load):
                return f"{name} is {row.verdict if row else 'not measured'} in {side}"
    return ""


def _same_rate(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(math.log(a / b)) <= math.log(1 + RATE_TOLERANCE)


def _remarks(first: Result, second: Result) -> list[str]:
    """What differs between the files without making them incomparable."""
    remarks = [f"different {difference}; ratios are compared, absolute figures cannot be"
               for difference in _differences(host, first, second)]
    commits = [result.tool.commit for result in (first, second)]
    if commits[0] != commits[1]:
        remarks.append(f"commits: {commits[0]} against {commits[1]}")
    for side, result in (("A", first), ("B", second)):
        if result.tool.dirty:
            remarks.append(f"{side} was built from a changed tree")
        if not result.complete:
            remarks.append(f"{side} was not finished")
    return remarks


def change_text(interval: Interval) -> str:
    """A ratio as a change: `4.0 ± 1.0 % higher`, or `no difference (1.5 % would have shown)`."""
    percent, direction = 100 * abs(interval.estimate - 1), "higher" if interval.estimate > 1 else "lower"
    if not interval.has_bounds:
        return f"{percent:.1f} % {direction} (one run: no interval)"
    if interval.contains(1):
        return f"no difference ({100 * SEEN * interval.half_width:.1f} % would have shown)"
    return f"{percent:.1f} ± {100 * interval.half_width:.1f} % {direction}"
