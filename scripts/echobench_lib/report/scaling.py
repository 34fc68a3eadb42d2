"""Throughput by threads: a table for each workload under which variants were scaled."""

from collections.abc import Iterable

from ..analyse.scaling import Step, steps
from ..analyse.summary import Group
from .columns import ABSENT, VERDICT, Heading, cost_text, interval_text, percent, throughput_text, verdict_text
from .table import Table

COLUMNS: list[Heading] = [
    ("variant", "left"), ("threads", "right"), ("requests/s", "right"), ("speed-up", "right"),
    ("95 % interval", "left"), ("CPU µs/req", "right"), ("loops' shares", "left"), ("busiest/mean", "right"),
    ("server busy", "right"), VERDICT.heading]


def tables(groups: Iterable[Group]) -> list[Table]:
    made = []
    for group in groups:
        if measured := steps(group):
            made.append(Table(f"Thread scaling, {group.workload.describe(group.rate_per_s)}", COLUMNS,
                              [(step.row, _texts(step)) for step in measured], groups=[group]))
    return made


def _texts(step: Step) -> list[str]:
    row = step.row
    if step.is_first:
        speed_up, interval = "1", "its first step"
    elif step.speed_up is None:
        speed_up, interval = ABSENT, ""
    else:
        speed_up = ("≥ " if row.is_bound else "") + f"{step.speed_up.estimate:.2f}"
        interval = interval_text(step.speed_up, "{:.2f}".format)
    shares = f"{100 * min(step.shares):.0f} to {100 * max(step.shares):.0f} %" if len(step.shares) > 1 else ABSENT
    return [step.of, f"{step.threads:,}", throughput_text(row), speed_up, interval, cost_text(row), shares,
            f"{step.imbalance:.2f}" if step.imbalance else ABSENT, percent(row.server_busy), verdict_text(row)]


def notes(groups: Iterable[Group]) -> list[str]:
    """What the reader must know of such tables, if there are any."""
    threads = [row.scaled.threads for group in groups for row in group.rows if row.scaled]
    if not threads:
        return []
    lines = ["NAME@THREADS: that many threads on as many cores, all steps in one run; speed-up: throughput divided by "
             "that of the first step.",
             "loops' shares: of the least busy and the busiest event loop, of requests if the server reports them, "
             "else of connections; the kernel distributes connections by a hash (SO_REUSEPORT)."]
    if max(threads) == 1:
        lines.append("the servers have one core here, so there is nothing to scale to; use a machine with more cores.")
    return lines
