"""Columns of tables: figures of a row as text, and which columns answer the question of a load."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeVar

from ..analyse.statistics import Interval
from ..analyse.summary import COST, PRECEDENCE, Group, Row
from ..result import Load
from ..units import format_bytes, format_time_ns, significant

Justify = Literal["left", "right"]
Heading = tuple[str, Justify]  # the name of a column, and how its texts are justified
Text = Callable[[Row, Group], str]
Value = TypeVar("Value")

ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """`text(row, group)` is what stands in it."""

    name: str
    justify: Justify
    text: Text

    @property
    def heading(self) -> Heading:
        return self.name, self.justify


def cost_text(row: Row) -> str:
    """Microseconds a request."""
    return f"{row.cost_ns / 1000:.2f}" if row.cost_ns is not None else ABSENT


def throughput_text(row: Row) -> str:
    """Requests per second."""
    if row.throughput is None:
        return ABSENT
    return ("≥ " if row.is_bound else "") + f"{row.throughput:,.0f}"


def ratio_texts(row: Row, group: Group) -> tuple[str, str]:
    """Ratio and interval of the cost; or why there is none."""
    if group.is_biased:
        return ABSENT, group.unranked(COST)
    if row.cost_ratio is None:
        return ("1", "reference") if row.variant == group.reference and row.cost_ns is not None else (ABSENT, "")
    return f"{row.cost_ratio.estimate:.3f}", interval_text(row.cost_ratio)


def interval_text(interval: Interval, form: Callable[[float], str] = "{:.3f}".format) -> str:
    if interval.bounds is None:
        return "one run: no interval"
    low, high = interval.bounds
    return f"{form(low)} to {form(high)}" + (" *" if over_rounds(interval) else "")


def over_rounds(interval: Interval) -> bool:
    """The interval is over the rounds of one restart: narrower than what restarts would show."""
    return interval.has_bounds and interval.unit == "round"


def percentile(name: str, with_range: bool = False) -> Text:
    """The text of a row's latency, `p50` for example; with its range over restarts."""
    def text(row: Row, _: Group) -> str:
        if name not in row.latency_ns:
            return ABSENT
        value = format_time_ns(row.latency_ns[name])
        low, high = row.latency_ranges.get(name, (0, 0))
        if not with_range or low == high:
            return value
        return f"{value} ({format_time_ns(low)} to {format_time_ns(high)})"
    return text


def connect_percentile(name: str) -> Text:
    return lambda row, _: optional(row.connect_ns.get(name), format_time_ns)


def optional(value: Value | None, form: Callable[[Value], str]) -> str:
    return form(value) if value is not None else ABSENT


def percent(value: float | None) -> str:
    """Of a share, 0 to 1."""
    return optional(value, lambda share: f"{100 * share:.0f} %")


def megabytes(bytes_per_s: float | None) -> str:
    return optional(bytes_per_s, lambda rate: f"{rate / 1e6:,.1f}")


def verdict_text(row: Row) -> str:
    """The worst of the restarts, and in how many of them, if not in all."""
    return verdict_of_all([row])


def verdict_of_all(rows: Collection[Row]) -> str:
    """The same over several rows of one variant."""
    cells = [cell for row in rows for cell in row.cells]
    not_valid = sum(cell.verdict != "valid" for cell in cells)
    worst = min((row.verdict for row in rows), key=PRECEDENCE.index)
    return worst + (f" ({not_valid} of {len(cells)})" if 0 < not_valid < len(cells) else "")


def plus_minus_percent(interval: Interval) -> str:
    """`86 ± 29 %`, of a ratio."""
    bounds = f" ± {100 * interval.half_width:.0f} %" if interval.has_bounds else " % (no interval)"
    return f"{100 * interval.estimate:.0f}{bounds}"


def plus_minus(interval: Interval) -> str:
    """`2.17 ± 0.15`."""
    return f"{interval.estimate:.2f}" + (f" ± {interval.half_width:.2f}" if interval.has_bounds else " (no interval)")


VARIANT = Column("variant", "left", lambda row, _: row.variant)
COST_COLUMN = Column("CPU µs/req", "right", lambda row, _: cost_text(row))
RATIO = Column("ratio", "right", lambda row, group: ratio_texts(row, group)[0])
INTERVAL = Column("95 % interval", "left", lambda row, group: ratio_texts(row, group)[1])
RANK = Column("rank", "right", lambda row, _: optional(row.rank, lambda rank: rank.text))
USER = Column("user", "right", lambda row, _: percent(row.user_share))
WAKEUPS = Column("wake-ups/req", "right", lambda row, _: optional(row.wakeups, "{:.2f}".format))
SERVER_BUSY = Column("server busy", "right", lambda row, _: percent(row.server_busy))
CLIENT_BUSY = Column("client busy", "right", lambda row, _: percent(row.client_busy))
CAPACITY = Column("req/s of one CPU", "right",
                  lambda row, _: optional(row.cost_ns, lambda ns: significant(1e9 / ns) if ns > 0 else ABSENT))
THROUGHPUT = Column("requests/s", "right", lambda row, _: throughput_text(row))
SENT = Column("MB/s to the server", "right", lambda row, _: megabytes(row.bytes_out_per_s))
RECEIVED = Column("MB/s from it", "right", lambda row, _: megabytes(row.bytes_in_per_s))
MEMORY = Column("mem/conn", "right", lambda row, _: optional(row.memory_bytes, format_bytes))
THREADS = Column("threads", "right", lambda row, _: optional(row.threads, "{:,}".format))
CLOSED_LOOP_COST = Column("CPU µs/req (closed loop)", "right", lambda row, _: cost_text(row))
VERDICT = Column("verdict", "left", lambda row, _: verdict_text(row))
P50, P99, P999 = (Column(name, "right", percentile(name)) for name in ("p50", "p99", "p99.9"))
P50_RANGE, P99_RANGE = (Column(name, "left", percentile(name, True)) for name in ("p50", "p99"))
USER_MEMORY = Column("user mem/conn", "right", lambda row, _: optional(row.user_memory_bytes, format_bytes))
KERNEL_MEMORY = Column("kernel mem/conn", "right", lambda row, _: optional(row.kernel_memory_bytes, format_bytes))
THREADS_EACH = Column("threads/conn", "right", lambda row, _: optional(row.threads_per_connection, "{:.2f}".format))
CONNECTS = Column("connects/s", "right", lambda row, _: optional(row.connects_per_s, "{:,.0f}".format))
CONNECT_P50, CONNECT_P99 = (Column(f"connect {name}", "right", connect_percentile(name)) for name in ("p50", "p99"))
COLUMNS: dict[Load, tuple[Column, ...]] = {
    "equal-load": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, USER, WAKEUPS, CLIENT_BUSY, P50, P99, VERDICT),
    "saturation": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, CAPACITY, USER, WAKEUPS, SERVER_BUSY, CLIENT_BUSY,
                   VERDICT),
    "ping-pong": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, USER, WAKEUPS, P50, P99, P999, VERDICT),
    "open-loop": (VARIANT, P50_RANGE, P99_RANGE, P999, VERDICT),
    "closed-loop": (VARIANT, THROUGHPUT, P50, P99, P999, MEMORY, THREADS, CLOSED_LOOP_COST, VERDICT),
    "stream": (VARIANT, SENT, RECEIVED, THROUGHPUT, SERVER_BUSY, CLIENT_BUSY, VERDICT),
    "idle": (VARIANT, USER_MEMORY, KERNEL_MEMORY, THREADS_EACH, CONNECTS, CONNECT_P50, CONNECT_P99, P50, P99, VERDICT),
    "crr": (VARIANT, COST_COLUMN, RATIO, INTERVAL, RANK, THROUGHPUT, P50, P99, P999, VERDICT)}
