"""Two result files side by side, by each cell's ratio to its own file's reference.

That ratio was paired slice by slice within a run, so that a slower day cancels out.  Restarts are
the unit; absolute figures are shown, without interval.  A figure is judged only if its control passed in both files."""

import math
from dataclasses import dataclass

from scipy.stats import norm

from ..result import reference_of, workload_of
from .statistics import change, of_rounds
from .summary import COST, FIGURES, TIME, cell_log_ratios, log_ratios, slice_cost, slice_rate, sound_verdicts, summarise

RATE_TOLERANCE = 0.1  # loads at rates further apart were not asked the same
LATENCY = "p50"        # response time, where arrivals are the same for all: it has no control
SEEN = 1 + norm.ppf(0.9) / norm.ppf(0.975)  # half widths of a 95 % interval: what nine of ten such intervals would show


@dataclass(frozen=True)
class Line:
    """One variant under one workload in both files: how its cost and throughput ratios changed, B over A; and why one of
    them is not judged ({figure: reason})."""

    variant: str
    workload: object
    rate_per_s: float | None  # in A
    changes: dict
    unjudged: dict
    rows: tuple

    @property
    def where(self):
        return f"{self.variant}, {self.workload.describe(self.rate_per_s)}"


@dataclass
class Comparison:
    reference: str
    lines: list
    missing: list      # cells that only one file has
    skipped: list      # cells that both have, and why they cannot be compared
    remarks: list
    references: dict   # workload -> the reference's rows in A and B, None where it has none

    def regressions(self, limit):
        """Sentences for every figure that is worse by more than `limit` (0.1: ten per cent) even at the bound of its
        interval that is nearest to no change.  Without an interval nothing is proven."""
        sentences = []
        for line in self.lines:
            for figure, interval in line.changes.items():
                if interval.has_bounds and (interval.high < 1 - limit if figure == TIME else interval.low > 1 + limit):
                    sentences.append(f"{line.where}: {figure} {change_text(interval)}")
        return sentences

    @property
    def undecided(self):
        """Sentences for every figure that should have been judged and has no interval to judge it by."""
        sentences = []
        for line in self.lines:
            without = [f"{what} has no interval" for what, interval in line.changes.items() if not interval.has_bounds]
            without += [f"{what} is missing" for what in figures_of(line.workload)
                        if what not in line.changes and what not in line.unjudged]
            if without:
                sentences.append(f"{line.where}: {', '.join(without)}")
        return sentences

    def judged(self, figure):
        """In how many lines the figure was judged."""
        return sum(figure in line.changes for line in self.lines)

    @property
    def unjudged(self):
        """{(figure, reason): in how many lines}, so that what is not judged is not taken for unchanged."""
        counts = {}
        for line in self.lines:
            for item in line.unjudged.items():
                counts[item] = counts.get(item, 0) + 1
        return counts


def why_not_comparable(first, second, across_hosts=False):
    """Why two documents have nothing to say about each other; empty when they have.  A ratio holds for the host that it was
    measured on: where system calls cost twice as much, models that make more of them cost more.  `across_hosts` takes it for all."""
    references = [reference_of(document) for document in (first, second)]
    if None in references:
        return "a file has no cells"
    if references[0] != references[1]:
        return f"ratios refer to {references[0]} in one file and to {references[1]} in the other"
    workloads = [{workload_of(cell) for cell in document["cells"]} for document in (first, second)]
    if not workloads[0] & workloads[1]:
        names = [", ".join(sorted(workload.name for workload in side)) for side in workloads]
        return f"no workload is in both: {names[0]} against {names[1]}"
    threads = [document.get("placement", {}).get("server_threads") for document in (first, second)]
    if None in threads and threads != [None, None]:
        return "one of them does not record how its servers were placed"
    if differing := _differences(setup, first, second):
        return "; ".join(differing)
    if not across_hosts and (differing := _differences(host, first, second)):
        return f"another host: {'; '.join(differing)} (--across-hosts compares the ratios nevertheless)"
    return ""


def setup(document):
    """How it was measured: {what: value}, of what a ratio may depend on; what a result does not record is left out."""
    placement = document.get("placement", {})
    configs = [document["config"], *(run.get("config", {}) for run in document.get("runs", []))]
    engines = sorted({config["engine"] for config in configs if "engine" in config})
    facts = {"threads of a server": placement.get("server_threads"), "threads of the client": placement.get("client_threads"),
             "client and servers on the same CPUs": placement.get("shared"), "the client's engine": " and ".join(engines)}
    return {what: value for what, value in facts.items() if value not in (None, "")}


def host(document):
    """Where it was measured: {what: value}; what a result does not record is left out."""
    known = document["host"]
    facts = {"CPU": known.get("cpu"), "kernel": known.get("kernel"),
             **{f"mitigation of {name}": state for name, state in known.get("mitigations", {}).items()}}
    return {what: value for what, value in facts.items() if value is not None}


def _differences(facts_of, first, second):
    """Sentences for what both results record, with different values."""
    a, b = facts_of(first), facts_of(second)
    return [f"{what}: {a[what]} against {b[what]}" for what in a if what in b and a[what] != b[what]]


def compare(first, second):
    """A Comparison of two documents for which why_not_comparable is empty."""
    reference = reference_of(first)
    sides = [{group.workload: group for group in summarise(document, reference)} for document in (first, second)]
    result = Comparison(reference, [], [], [], _remarks(first, second), {})
    for workload in sorted(sides[0].keys() | sides[1].keys(), key=lambda workload: workload.order):
        groups = [side.get(workload) for side in sides]
        result.references[workload] = tuple(group.row(reference) if group else None for group in groups)
        variants = dict.fromkeys(row.variant for group in groups if group for row in group.rows)
        for variant in variants:
            rows = [group.row(variant) if group else None for group in groups]
            where = f"{variant}, {workload.describe(next(group.rate_per_s for group in groups if group))}"
            if None in rows:
                result.missing.append(f"{where}: only in {'A' if rows[0] else 'B'}")
            elif not _same_rate(groups):
                result.skipped.append(f"{where}: {groups[0].rate_per_s:,.0f} requests/s in A, {groups[1].rate_per_s:,.0f} in B")
            elif doubt := _doubt(variant, groups):
                result.skipped.append(f"{where}: {doubt}")
            elif variant != reference and rows[0].control_of is None:
                _add_line(result, variant, workload, groups, rows)
    return result


def _add_line(result, variant, workload, groups, rows):
    changes, unjudged = {}, {}
    figures = {COST: slice_cost, TIME: lambda _: slice_rate}
    for figure in figures_of(workload):
        if reason := _why_unjudged(figure, workload, groups, rows):
            unjudged[figure] = reason
            continue
        sides = []
        for group in groups:
            cells = [cell for row in group.rows for cell in row.kept]
            sides.append(list(cell_log_ratios(cells, variant, group.reference, _latency).values()) if figure == LATENCY else
                         [of_rounds(rounds) for rounds in log_ratios(cells, variant, group.reference, figures[figure]).values()])
        if all(sides):
            changes[figure] = change(*sides)
    if figures_of(workload):
        result.lines.append(Line(variant, workload, groups[0].rate_per_s, changes, unjudged, tuple(rows)))


def figures_of(workload):
    """What is judged under a workload."""
    return (*FIGURES[workload.load], *((LATENCY,) if workload.load in ("equal-load", "open-loop") else ()))


def _latency(cell):
    return cell.get("response_ns", {}).get(LATENCY)


def _why_unjudged(figure, workload, groups, rows):
    """Why a figure says nothing about the server; empty where it does."""
    if figure == LATENCY:
        return ""
    if figure == COST and workload.load == "closed-loop":
        return "biased by the closed loop"
    if figure == TIME and any(row.is_bound or group.row(group.reference).is_bound for row, group in zip(rows, groups)):
        return "client-bound"
    return next((f"{doubt} in {side}" for side, group in zip("AB", groups) if (doubt := group.doubt(figure))), "")


def _doubt(variant, groups):
    """The verdict, of the variant or of the reference, that forbids to compare a cell; empty when there is none."""
    for side, group in zip("AB", groups):
        for name in (variant, group.reference):
            verdict = group.row(name).verdict if group.row(name) else "not measured"
            if verdict not in sound_verdicts(group.workload.load):
                return f"{name} is {verdict} in {side}"
    return ""


def _same_rate(groups):
    rates = [group.rate_per_s for group in groups]
    if None in rates:
        return rates[0] == rates[1]
    return abs(math.log(rates[0] / rates[1])) <= math.log(1 + RATE_TOLERANCE)


def _remarks(first, second):
    """What differs between the files without making them incomparable."""
    remarks = [f"different {difference}; ratios are compared, absolute figures cannot be" for difference in _differences(host, first, second)]
    commits = [document["tool"].get("commit") for document in (first, second)]
    if commits[0] != commits[1]:
        remarks.append(f"commits: {commits[0]} against {commits[1]}")
    for side, document in (("A", first), ("B", second)):
        if document["tool"].get("dirty"):
            remarks.append(f"{side} was built from a changed tree")
        if document.get("complete") is False:
            remarks.append(f"{side} was not finished")
    return remarks


def change_text(interval):
    """A ratio as a change: `4.0 ± 1.0 % higher`, or `no difference (1.5 % would have shown)`."""
    percent, direction = 100 * abs(interval.estimate - 1), "higher" if interval.estimate > 1 else "lower"
    if not interval.has_bounds:
        return f"{percent:.1f} % {direction} (one run: no interval)"
    if interval.low <= 1 <= interval.high:
        return f"no difference ({100 * SEEN * interval.half_width:.1f} % would have shown)"
    return f"{percent:.1f} ± {100 * interval.half_width:.1f} % {direction}"
