"""A comparison of two results on the terminal."""

from rich.console import Console

from ..analyse.compare import LATENCY, Comparison, change_text, figures_of
from ..analyse.summary import COST, TIME, Row
from ..result import Workload
from .columns import ABSENT, Heading, cost_text, throughput_text
from .terminal import plain_table


def show(comparison: Comparison, console: Console) -> None:
    """Prints one table per workload, then what could not be compared."""
    for workload, rate_per_s in {line.workload: line.rate_per_s for line in comparison.lines}.items():
        columns: list[Heading] = [("variant", "left"), *((figure, "left") for figure in _figures(workload)),
                                  ("A: µs, req/s", "right"), ("B: µs, req/s", "right")]
        table = plain_table(f"Changes from A to B, {workload.describe(rate_per_s)}", columns)
        for line in comparison.lines:
            if line.workload == workload:
                table.add_row(line.variant, *(change_text(line.changes[figure]) if figure in line.changes else
                                              line.unjudged.get(figure, ABSENT) for figure in _figures(workload)),
                              *map(_absolute, line.rows))
        table.add_row(comparison.reference, *("reference" for _ in _figures(workload)),
                      *map(_absolute, comparison.references[workload]))
        console.print(table)
        console.print()
    for title, texts in (("missing", comparison.missing), ("not comparable", comparison.skipped),
                         ("note", comparison.remarks)):
        for text in texts:
            console.print(f"{title}: {text}", highlight=False, soft_wrap=True)
    if comparison.lines:
        name = comparison.reference
        console.print(f"changes are of ratios to {name}: a change of {name} itself, or of code that all variants "
                      f"share, does not show in them; the rows of {name} are absolute figures, which are not judged",
                      highlight=False, soft_wrap=True)


def _figures(workload: Workload) -> tuple[str, ...]:
    """In the order of a table: throughput has its column even where it is not judged."""
    return (COST, TIME, *(figure for figure in figures_of(workload) if figure == LATENCY))


def _absolute(row: Row | None) -> str:
    return f"{cost_text(row)}, {throughput_text(row)}" if row else ABSENT
