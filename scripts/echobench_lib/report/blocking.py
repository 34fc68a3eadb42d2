"""The price of blocking: latency with and without a background load of slow requests, side by side."""

from collections.abc import Iterable, Sequence

from ..analyse.summary import Group, Row
from ..units import format_time_ns
from .columns import ABSENT, VARIANT, VERDICT, Heading, verdict_of_all
from .table import Line, Table, unavailable_rows

HEADING = "The price of blocking"
TEXTBOOK = (
    "What to expect: an event loop that does slow work itself makes all its connections wait; with the work offloaded "
    "it goes on. A pool goes on until it has as many slow requests as threads. A thread for each connection always "
    "goes on.",
    "sleep blocks the thread that waits for it, and takes no CPU; a model that waits by a timer is not affected. work "
    "takes CPU.")
ONE_CPU = ("All threads of a server share one CPU here: while one of them works, the others get what the kernel's "
           "scheduler leaves them. Offloading and threads divide that CPU more finely than an event loop does; they "
           "add no CPU. Only sleep shows the differences that are to be expected.")


def table(groups: Iterable[Group]) -> Table:
    """p50 and p99 of each variant, a column for each background load; `groups` differ in that only."""
    groups = in_order(groups)
    labels = short_labels(groups)
    variants = dict.fromkeys(row.variant for group in groups for row in group.rows)
    rows: list[Line] = []
    for variant in variants:
        of_variant = [group.row(variant) for group in groups]
        known = [row for row in of_variant if row]
        worst = min(known, key=lambda row: row.verdict == "valid")
        rows.append((worst, [variant, *map(_pair, of_variant), verdict_of_all(known)]))
    columns: list[Heading] = [VARIANT.heading, *((label, "right") for label in labels), VERDICT.heading]
    meant = "; ".join(group.workload.background for label, group in zip(labels, groups)
                      if label != group.workload.background != "")
    workload = groups[0].workload.without_background
    return Table(f"{HEADING}, p50 / p99: {workload.describe(groups[0].rate_per_s)}", columns,
                 rows + unavailable_rows(groups[0], len(columns)), [f"background load: {meant}"] if meant else [],
                 groups, "blocking")


def in_order(groups: Iterable[Group]) -> list[Group]:
    """No background load first, then what is asked inline before what is offloaded."""
    return sorted(groups, key=lambda group: [group.workload.background.split(",")[0], group.workload.background])


def short_labels(groups: Sequence[Group]) -> list[str]:
    """`alone`, `2 × work:10ms offloaded`; with all that is known of the background load where that is not enough."""
    short = [group.workload.background.split(",")[0] or "alone" for group in groups]
    return [label if short.count(label) == 1 else group.workload.background for label, group in zip(short, groups)]


def _pair(row: Row | None) -> str:
    if row is None or not row.latency_ns:
        return ABSENT
    return " / ".join(format_time_ns(row.latency_ns[name]) if name in row.latency_ns else ABSENT
                      for name in ("p50", "p99"))


def notes(groups: Iterable[Group], server_cpus: int) -> list[str]:
    """What the reader must know of such tables, if there are any."""
    if not any(group.workload.background for group in groups):
        return []
    return [*TEXTBOOK, *([ONE_CPU] if server_cpus == 1 else [])]
