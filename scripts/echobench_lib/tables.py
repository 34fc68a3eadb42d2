"""Tables, one text for the terminal and the page: a row's figures as strings, with what they mean."""

from rich.table import Table

from .units import format_bytes, format_time_ns

COLUMNS = (("variant", "left"), ("CPU µs/req", "right"), ("ratio", "right"), ("95 % interval", "left"),
           ("requests/s", "right"), ("p50", "right"), ("p99", "right"), ("p99.9", "right"), ("mem/conn", "right"),
           ("threads", "right"), ("verdict", "left"))
WIDTH = 130  # columns of a terminal that the widest table needs
ABSENT = "–"


def texts(row, group):
    """The row's cells, in the order of COLUMNS."""
    return [row.variant, cpu_text(row), *ratio_texts(row, group), throughput_text(row),
            *(format_time_ns(row.latency_ns[name]) if name in row.latency_ns else ABSENT
              for name in ("p50", "p99", "p99.9")),
            format_bytes(row.memory_bytes) if row.memory_bytes is not None else ABSENT,
            f"{row.threads:,}" if row.threads is not None else ABSENT, row.verdict]


def cpu_text(row):
    return f"{row.cpu_ns / 1000:.2f}" if row.cpu_ns is not None else ABSENT


def throughput_text(row):
    if row.throughput is None:
        return ABSENT
    return ("≥ " if row.is_bound else "") + f"{row.throughput:,.0f}"


def ratio_texts(row, group):
    if row.cpu_ratio is None:
        return ("1", "reference") if row.variant == group.reference and row.cpu_ns is not None else (ABSENT, "")
    return f"{row.cpu_ratio.estimate:.3f}", interval_text(row.cpu_ratio)


def interval_text(interval):
    if not interval.has_bounds:
        return "one run: no interval"
    return f"{interval.low:.3f} to {interval.high:.3f}" + (" *" if over_rounds(interval) else "")


def over_rounds(interval):
    """The interval is over the rounds of one restart: narrower than what restarts would show."""
    return interval.has_bounds and interval.unit == "round"


def title(group):
    return group.workload.describe(group.rate)


def plain_table(heading, columns):
    """An empty table without lines; `columns` are (name, justify) pairs."""
    table = Table(title=heading, title_justify="left", title_style="bold", box=None, pad_edge=False,
                  header_style="dim", padding=(0, 2, 0, 0))
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def for_terminal(group):
    table = plain_table(title(group), COLUMNS)
    for row in group.rows:
        style = {"valid": "", "client-bound": "yellow"}.get(row.verdict, "red")
        cells = texts(row, group)
        table.add_row(*cells[:-1], f"[{style}]{cells[-1]}[/]" if style else cells[-1])
    return table


def notes(groups, document):
    """What the reader of these tables must know; only what applies to them."""
    rows = [row for group in groups for row in group.rows]
    reference = groups[0].reference if groups else None
    lines = [f"ratio: server CPU per request against {reference}, paired slice by slice within a run; "
             "absolute figures are medians over restarts, without interval."]
    units = {(row.cpu_ratio.unit, row.cpu_ratio.units) for row in rows if row.cpu_ratio}
    if any(row.cpu_ratio and over_rounds(row.cpu_ratio) for row in rows):
        lines.append("*: one restart only: the interval is over the rounds within it and does not cover how restarts "
                     "scatter.")
    if few := sorted({count for unit, count in units if unit == "restart" and count < 5}):
        lines.append(f"intervals are over restarts; some have only {', '.join(map(str, few))}, hence their width.")
    if any(row.is_bound for row in rows):
        lines.append("≥: the client was the bottleneck; the server could do at least this. Not for ranking.")
    if any(row.latency_ns for row in rows):
        how = {"merged": "of all restarts merged", "median": "medians over restarts"}
        kinds = " / ".join(sorted({how[row.latency_from] for row in rows if row.latency_ns}))
        lines.append(f"p50 to p99.9 ({kinds}): response time from the intended send in open loop, else service time; "
                     "absent with fewer than 100 samples beyond.")
    if any(row.memory_bytes is not None for row in rows):
        lines.append("mem/conn: growth of resident memory and page tables and 16 KiB of kernel stack per thread, by the "
                     "connections; socket buffers are not in it. Not told below 100 connections nor for crr.")
    lines += [f"not available here: {name}: {reason}" for name, reason in document.get("unavailable", {}).items()]
    lines += [f"left out: {text}" for text in document.get("unserved", [])]
    return lines


def doubts(groups):
    """(group, row) for every figure that is not plainly valid."""
    return [(group, row) for group in groups for row in group.rows if row.verdict != "valid" or row.reasons]


def change_text(interval):
    """A ratio as a change: `+3.2 % (+1.0 to +5.5)`."""
    def percent(ratio):
        return f"{100 * (ratio - 1):+.1f}"
    if not interval.has_bounds:
        return f"{percent(interval.estimate)} % (one run: no interval)"
    return f"{percent(interval.estimate)} % ({percent(interval.low)} to {percent(interval.high)})"
