"""Tables, one text for the terminal and the page: rows of figures as strings, with what they mean.

A load has the columns that answer its question; which those are is data.  Costs at several rates over the same
connections stand side by side in one table.
"""

import statistics as plain
from dataclasses import dataclass, field

from rich.table import Table as RichTable

from .gain import NO_TWIN
from .result import LOADS
from .summary import COST, FIGURES, PRECEDENCE, TIME, verdict_of
from .units import format_bytes, format_time_ns, significant

WIDTH = 150  # columns of a terminal that the widest table needs
ABSENT = "–"
MAIN_RATES = ("half", "50%")  # whose ratio is the headline


@dataclass
class Table:
    """`columns` are (name, justify) pairs; `rows` are (Row, its texts), in the table's order; `remarks` stand below."""

    title: str
    columns: list
    rows: list
    remarks: list = field(default_factory=list)
    groups: list = field(default_factory=list)


def cost_text(row):
    return f"{row.cost_ns / 1000:.2f}" if row.cost_ns is not None else ABSENT


def throughput_text(row):
    if row.throughput is None:
        return ABSENT
    return ("≥ " if row.is_bound else "") + f"{row.throughput:,.0f}"


def ratio_texts(row, group):
    """Ratio and interval of the cost; or why there is none."""
    if doubt := group.unranked(COST):
        return ABSENT, doubt
    if row.cost_ratio is None:
        return ("1", "reference") if row.variant == group.reference and row.cost_ns is not None else (ABSENT, "")
    return f"{row.cost_ratio.estimate:.3f}", interval_text(row.cost_ratio)


def interval_text(interval, form="{:.3f}".format):
    if not interval.has_bounds:
        return "one run: no interval"
    return f"{form(interval.low)} to {form(interval.high)}" + (" *" if over_rounds(interval) else "")


def over_rounds(interval):
    """The interval is over the rounds of one restart: narrower than what restarts would show."""
    return interval.has_bounds and interval.unit == "round"


def percentile(name, with_interval=False):
    def text(row, _):
        if name not in row.latency_ns:
            return ABSENT
        value = format_time_ns(row.latency_ns[name])
        interval = row.latency_intervals.get(name)
        if not with_interval or interval is None or not interval.has_bounds:
            return value
        return f"{value} ({format_time_ns(interval.low)} to {format_time_ns(interval.high)})"
    return text


def optional(value, form):
    return form(value) if value is not None else ABSENT


def percent(value):
    return optional(value, lambda share: f"{100 * share:.0f} %")


def verdict_text(row):
    """The worst of the restarts, and in how many of them, where not in all."""
    return verdict_of_all([row])


def verdict_of_all(rows):
    """The same over several rows of one variant."""
    cells = [cell for row in rows for cell in row.cells]
    spoilt = sum(verdict_of(cell) != "valid" for cell in cells)
    worst = min((row.verdict for row in rows), key=PRECEDENCE.index)
    return worst + (f" ({spoilt} of {len(cells)})" if 0 < spoilt < len(cells) else "")


VARIANT = ("variant", "left", lambda row, _: row.variant)
COST_COLUMN = ("CPU µs/req", "right", lambda row, _: cost_text(row))
RATIO = ("ratio", "right", lambda row, group: ratio_texts(row, group)[0])
INTERVAL = ("95 % interval", "left", lambda row, group: ratio_texts(row, group)[1])
USER = ("user", "right", lambda row, _: percent(row.user_share))
WAKEUPS = ("wake-ups/req", "right", lambda row, _: optional(row.wakeups, lambda n: f"{n:.2f}"))
SERVER_BUSY = ("server busy", "right", lambda row, _: percent(row.server_busy))
CLIENT_BUSY = ("client busy", "right", lambda row, _: percent(row.client_busy))
CAPACITY = ("req/s of one CPU", "right", lambda row, _: optional(row.cost_ns, lambda ns: significant(1e9 / ns) if ns > 0 else ABSENT))
THROUGHPUT = ("requests/s", "right", lambda row, _: throughput_text(row))
MEMORY = ("mem/conn", "right", lambda row, _: optional(row.memory_bytes, format_bytes))
THREADS = ("threads", "right", lambda row, _: optional(row.threads, "{:,}".format))
BENT_COST = ("bent CPU µs/req", "right", lambda row, _: cost_text(row))
VERDICT = ("verdict", "left", lambda row, _: verdict_text(row))
P50, P99, P999 = ((name, "right", percentile(name)) for name in ("p50", "p99", "p99.9"))
COLUMNS = {
    "equal-load": (VARIANT, COST_COLUMN, RATIO, INTERVAL, USER, WAKEUPS, CLIENT_BUSY, P50, P99, VERDICT),
    "saturation": (VARIANT, COST_COLUMN, RATIO, INTERVAL, CAPACITY, USER, WAKEUPS, SERVER_BUSY, CLIENT_BUSY, VERDICT),
    "ping-pong": (VARIANT, COST_COLUMN, RATIO, INTERVAL, USER, WAKEUPS, P50, P99, P999, VERDICT),
    "open": (VARIANT, *((name, "left", percentile(name, True)) for name in ("p50", "p99")), P999, VERDICT),
    "closed": (VARIANT, THROUGHPUT, P50, P99, P999, MEMORY, THREADS, BENT_COST, VERDICT),
    "crr": (VARIANT, COST_COLUMN, RATIO, INTERVAL, THROUGHPUT, P50, P99, P999, VERDICT)}


def build(groups, side_by_side=True):
    """The tables of a result, in the order of its workloads.  `side_by_side` puts rates into one table."""
    ladders = {}
    for group in groups:
        together = side_by_side and group.workload.load == "equal-load"
        ladders.setdefault(group.workload.ladder_order if together else group.workload.order, []).append(group)
    return [_by_rate(ladder) if len(ladder) > 1 else _single(ladder[0]) for ladder in ladders.values()]


def _single(group):
    columns = [column for column in COLUMNS[group.workload.load] if column is VARIANT or
               any(column[2](row, group) != ABSENT for row in group.rows)]
    return Table(title(group), [column[:2] for column in columns],
                 [(row, [text(row, group) for *_, text in columns]) for row in group.rows],
                 remarks(group), [group])


def _by_rate(ladder):
    """Costs at each rate; the ratio, its interval and the rest at the main one."""
    main = next((group for rate in MAIN_RATES for group in ladder if group.workload.rate == rate), ladder[len(ladder) // 2])
    columns, texts = [VARIANT[:2]], {row.variant: [row.variant] for row in main.rows}
    for group in ladder:
        label = f"{rate_text(group)}: µs/req" + (f" ({doubt})" if (doubt := group.unranked(COST)) else "")
        columns.append((label, "right"))
        for variant, cells in texts.items():
            row = group.row(variant)
            cells.append(cost_text(row) if row else ABSENT)
        if group is main:
            for column in (RATIO, INTERVAL, USER, WAKEUPS):
                columns.append(column[:2])
                for row in main.rows:
                    texts[row.variant].append(column[2](row, main))
    columns.append(VERDICT[:2])
    for row in main.rows:
        texts[row.variant].append(verdict_of_all([other for group in ladder if (other := group.row(row.variant))]))
    rates = ", ".join(rate_text(group) + ("" if group.workload.rate.isdigit() else f" {group.rate_per_s:,.0f}/s") for group in ladder)
    return Table(f"{LOADS['equal-load']}, {main.workload.shape}: {rates} each; ratio at {rate_text(main)}", columns,
                 [(row, texts[row.variant]) for row in main.rows],
                 [text for group in ladder for text in remarks(group, f"{rate_text(group)}: ")], ladder)


def rate_text(group):
    """`half`, `23%`, `5,000/s`."""
    rate = group.workload.rate
    return f"{int(rate):,}/s" if rate.isdigit() else rate


def remarks(group, prefix=""):
    """What the group's figures show of the known slow-downs, a sentence for each."""
    what = {COST: "of CPU", TIME: "of a CPU's time, by throughput"}
    lines = []
    for figure in FIGURES[group.workload.load]:
        for gain in group.gains.get(figure, []):
            lines.append(f"{prefix}{gain_text(gain, what[figure])}" + (f": {gain.doubt}" if gain.doubt else ""))
        if not group.gains.get(figure) and figure == COST and any(row.cost_ratio for row in group.rows):
            lines.append(f"{prefix}gain of {figure} not known: {NO_TWIN} of {group.reference} was measured")
    return lines


def gains(groups):
    """Where twins burn several times, or several variants have twins: a table for each variant, of what CPU per request
    shows of each burn."""
    found = {}
    for group in groups:
        for gain in group.gains.get(COST, []):
            found.setdefault(gain.of, {}).setdefault(gain.twin, {})[group.workload.name] = gain
    if sum(map(len, found.values())) < 2:
        return []
    made = []
    for of, twins in found.items():
        known = [plain.median(gain.known_ns for gain in by_load.values()) / 1000 for by_load in twins.values()]
        columns = [("load", "left"), *((f"{twin.removeprefix(of)}: {us:.2f} µs", "left") for twin, us in zip(twins, known))]
        loads = [group.workload.name for group in groups if any(group.workload.name in by_load for by_load in twins.values())]
        rows = [(None, [load, *(f"{plus_minus(gain.gain)} {gain.doubt}".rstrip() if (gain := by_load.get(load)) else ABSENT
                                for by_load in twins.values())]) for load in loads]
        made.append(Table(f"gain of CPU per request, {of}: what it shows of what a twin has really burnt", columns, rows))
    return made


def gain_text(gain, what="of CPU"):
    """`gain 1.11 ± 0.14: a known 1.05 µs (epoll+1us) shows as 1.17 ± 0.15 µs of CPU`."""
    return (f"gain {plus_minus(gain.gain)}: a known {gain.known_ns / 1000:.2f} µs ({gain.twin}) shows as "
            f"{plus_minus(gain.shown_ns.scaled(1e-3))} µs {what}")


def plus_minus(interval):
    return f"{interval.estimate:.2f}" + (f" ± {interval.half_width:.2f}" if interval.has_bounds else " (no interval)")


def title(group):
    return group.workload.describe(group.rate_per_s)


def plain_table(heading, columns):
    """An empty table without lines; `columns` are (name, justify) pairs."""
    table = RichTable(title=heading, title_justify="left", title_style="bold", box=None, pad_edge=False,
                      header_style="dim", padding=(0, 2, 0, 0))
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def for_terminal(table):
    """Without its title, which may be longer than the table is wide."""
    printed = plain_table(None, table.columns)
    for row, texts in table.rows:
        style = {"valid": "", "client-bound": "yellow", "unsaturated": "yellow"}.get(row.verdict, "red") if row else ""
        *cells, last = texts
        printed.add_row(*cells, f"[{style}]{last}[/]" if style and last != ABSENT else last)
    return printed


def notes(groups, document):
    """What the reader of these tables must know; only what applies to them."""
    rows = [row for group in groups for row in group.rows]
    loads = {group.workload.load for group in groups}
    reference = groups[0].reference if groups else None
    lines = []
    if any(row.cost_ratio for row in rows):
        lines.append(f"ratio: server CPU per request against {reference}, paired slice by slice within a run; "
                     "absolute figures are medians over restarts, without interval.")
    if any(group.gains for group in groups):
        lines.append("gain: what a figure shows of a known slow-down, which the twin NAME+TIME burns for each request; ranked "
                     "is only what has its gain near 1. bends: it has not. not shown: its interval is too wide to tell.")
    units = {(row.cost_ratio.unit, row.cost_ratio.units) for row in rows if row.cost_ratio}
    if any(row.cost_ratio and over_rounds(row.cost_ratio) for row in rows):
        lines.append("*: one restart only: the interval is over the rounds within it and does not cover how restarts "
                     "scatter.")
    if few := sorted({count for unit, count in units if unit == "restart" and count < 5}):
        lines.append(f"intervals are over restarts; some have only {', '.join(map(str, few))}, hence their width.")
    if "saturation" in loads:
        ballast = sorted({group.workload.ballast_ns for group in groups if group.workload.ballast_ns})
        lines.append(f"saturation: every server burns {' or '.join(format_time_ns(ns) for ns in ballast)} for each request, so "
                     "that it is the bottleneck; what it really burnt is taken off.")
    if "closed" in loads:
        lines.append("bent CPU µs/req: in a plain closed loop a server that outruns its client pays for waking up; stored, "
                     "shown, and never ranked.")
    if loads & {"equal-load", "saturation", "ping-pong", "open"}:
        lines.append("there the client polls and never sleeps; client busy is the time it spent in work.")
    if any(row.is_bound for row in rows):
        lines.append("≥: the client was the bottleneck; the server could do at least this. Not for ranking.")
    if any(row.latency_ns for row in rows):
        how = {"merged": "of all restarts merged", "median": "medians over restarts"}
        kinds = " / ".join(sorted({how[row.latency_from] for row in rows if row.latency_ns}))
        lines.append(f"p50 to p99.9 ({kinds}): response time from the intended send at equal load, else service time; "
                     "absent with fewer than 100 samples beyond.")
    if any(row.memory_bytes is not None for row in rows):
        lines.append("mem/conn: growth of memory and page tables and 16 KiB of kernel stack per thread, by the "
                     "connections; socket buffers are not in it. Not told below 100 connections nor for crr.")
    lines += [f"not available here: {name}: {reason}" for name, reason in document.get("unavailable", {}).items()]
    lines += [f"left out: {text}" for text in document.get("unserved", [])]
    lines += dict.fromkeys(run["warning"] for run in document.get("runs", []) if "warning" in run)
    return lines


def doubts(groups):
    """(group, row) for every figure that is not plainly valid."""
    return [(group, row) for group in groups for row in group.rows if row.verdict != "valid" or row.reasons]


def change_text(interval):
    """A ratio as a change: `+3.2 % (+1.0 to +5.5)`."""
    def as_percent(ratio):
        return f"{100 * (ratio - 1):+.1f}"
    if not interval.has_bounds:
        return f"{as_percent(interval.estimate)} % (one run: no interval)"
    return f"{as_percent(interval.estimate)} % ({as_percent(interval.low)} to {as_percent(interval.high)})"
