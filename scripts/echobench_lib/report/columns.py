"""Columns of tables: figures of a row as text, and which columns answer the question of a load."""

from ..analyse.summary import COST, PRECEDENCE
from ..units import format_bytes, format_time_ns, significant

ABSENT = "–"


def cost_text(row):
    return f"{row.cost_ns / 1000:.2f}" if row.cost_ns is not None else ABSENT


def throughput_text(row):
    if row.throughput is None:
        return ABSENT
    return ("≥ " if row.is_bound else "") + f"{row.throughput:,.0f}"


def ratio_texts(row, group):
    """Ratio and interval of the cost; or why there is none."""
    if group.is_biased:
        return ABSENT, group.unranked(COST)
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


def percentile(name, with_range=False):
    def text(row, _):
        if name not in row.latency_ns:
            return ABSENT
        value = format_time_ns(row.latency_ns[name])
        low, high = row.latency_ranges.get(name, (0, 0))
        if not with_range or low == high:
            return value
        return f"{value} ({format_time_ns(low)} to {format_time_ns(high)})"
    return text


def optional(value, form):
    return form(value) if value is not None else ABSENT


def percent(value):
    return optional(value, lambda share: f"{100 * share:.0f} %")


def verdict_text(row):
    """The worst of the restarts, and in how many of them, if not in all."""
    return verdict_of_all([row])


def verdict_of_all(rows):
    """The same over several rows of one variant."""
    cells = [cell for row in rows for cell in row.cells]
    not_valid = sum(cell["verdict"] != "valid" for cell in cells)
    worst = min((row.verdict for row in rows), key=PRECEDENCE.index)
    return worst + (f" ({not_valid} of {len(cells)})" if 0 < not_valid < len(cells) else "")


def plus_minus_percent(interval):
    """`86 ± 29 %`, of a ratio."""
    return f"{100 * interval.estimate:.0f}" + (f" ± {100 * interval.half_width:.0f} %" if interval.has_bounds else " % (no interval)")


def plus_minus(interval):
    return f"{interval.estimate:.2f}" + (f" ± {interval.half_width:.2f}" if interval.has_bounds else " (no interval)")


VARIANT = ("variant", "left", lambda row, _: row.variant)
COST_COLUMN = ("CPU µs/req", "right", lambda row, _: cost_text(row))
RATIO = ("ratio", "right", lambda row, group: ratio_texts(row, group)[0])
INTERVAL = ("95 % interval", "left", lambda row, group: ratio_texts(row, group)[1])
RANK = ("rank", "right", lambda row, _: optional(row.rank, lambda rank: rank.text))
USER = ("user", "right", lambda row, _: percent(row.user_share))
WAKEUPS = ("wake-ups/req", "right", lambda row, _: optional(row.wakeups, lambda n: f"{n:.2f}"))
SERVER_BUSY = ("server busy", "right", lambda row, _: percent(row.server_busy))
CLIENT_BUSY = ("client busy", "right", lambda row, _: percent(row.client_busy))
CAPACITY = ("req/s of one CPU", "right", lambda row, _: optional(row.cost_ns, lambda ns: significant(1e9 / ns) if ns > 0 else ABSENT))
THROUGHPUT = ("requests/s", "right", lambda row, _: throughput_text(row))
SENT, RECEIVED = ((f"MB/s {way}", "right", lambda row, _, of=of: optional(getattr(row, of), lambda rate: f"{rate / 1e6:,.1f}"))
                  for way, of in (("to the server", "bytes_out_per_s"), ("from it", "bytes_in_per_s")))
MEMORY = ("mem/conn", "right", lambda row, _: optional(row.memory_bytes, format_bytes))
THREADS = ("threads", "right", lambda row, _: optional(row.threads, "{:,}".format))
CLOSED_LOOP_COST = ("CPU µs/req (closed loop)", "right", lambda row, _: cost_text(row))
VERDICT = ("verdict", "left", lambda row, _: verdict_text(row))
P50, P99, P999 = ((name, "right", percentile(name)) for name in ("p50", "p99", "p99.9"))
USER_MEMORY = ("user mem/conn", "right", lambda row, _: optional(row.user_memory_bytes, format_bytes))
KERNEL_MEMORY = ("kernel mem/conn", "right", lambda row, _: optional(row.kernel_memory_bytes, format_bytes))
THREADS_EACH = ("threads/conn", "right", lambda row, _: optional(row.threads_per_connection, lambda n: f"{n:.2f}"))
CONNECTS = ("connects/s", "right", lambda row, _: optional(row.connects_per_s, "{:,.0f}".format))
CONNECT_P50, CONNECT_P99 = ((f"connect {name}", "right", lambda row, _, name=name: optional(row.connect_ns.get(name), format_time_ns))
                            for name in ("p50", "p99"))
COLUMNS = {
    "equal-load": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, USER, WAKEUPS, CLIENT_BUSY, P50, P99, VERDICT),
    "saturation": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, CAPACITY, USER, WAKEUPS, SERVER_BUSY, CLIENT_BUSY, VERDICT),
    "ping-pong": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, USER, WAKEUPS, P50, P99, P999, VERDICT),
    "open-loop": (VARIANT, *((name, "left", percentile(name, True)) for name in ("p50", "p99")), P999, VERDICT),
    "closed-loop": (VARIANT, THROUGHPUT, P50, P99, P999, MEMORY, THREADS, CLOSED_LOOP_COST, VERDICT),
    "stream": (VARIANT, SENT, RECEIVED, THROUGHPUT, SERVER_BUSY, CLIENT_BUSY, VERDICT),
    "idle": (VARIANT, USER_MEMORY, KERNEL_MEMORY, THREADS_EACH, CONNECTS, CONNECT_P50, CONNECT_P99, P50, P99, VERDICT),
    "crr": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, THROUGHPUT, P50, P99, P999, VERDICT)}
