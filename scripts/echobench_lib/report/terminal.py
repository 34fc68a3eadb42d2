"""Tables on the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..analyse.summary import Group, summarise
from ..result import Result
from . import scaling, table, tables
from .columns import ABSENT
from .notes import notes

UNFINISHED = "This run was not finished: it holds the cells that were measured until then."
WIDTH = 200  # columns of a terminal that the widest table needs
STYLES = {"valid": "", "client-bound": "yellow", "overloaded": "yellow", "unsaturated": "yellow"}  # the others: red


def plain_table(heading: str | None, columns: Iterable[tuple[str, str]]) -> Table:
    """An empty table without lines; `columns` are (name, `left` or `right`) pairs."""
    printed = Table(title=heading, title_justify="left", title_style="bold", box=None, pad_edge=False,
                    header_style="dim", padding=(0, 2, 0, 0))
    for name, justify in columns:
        printed.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    return printed


def for_terminal(shown: table.Table) -> Table:
    """Without its title, which may be longer than the table is wide."""
    printed = plain_table(None, shown.columns)
    printed.columns[-1].no_wrap = False  # why a variant could not run
    for row, texts in shown.rows:
        style = STYLES.get(row.verdict, "red") if row else ""
        *cells, last = texts
        printed.add_row(*cells, Text(last, style if last != ABSENT else ""))
    return printed


def show(result: Result, reference: str, console: Console) -> list[Group]:
    """Prints one table per workload, then what the reader must know.  Returns the groups."""
    groups = summarise(result, reference)
    if not result.complete:
        console.print(UNFINISHED, style="red", soft_wrap=True)
    for made in [*tables.build(groups), *scaling.tables(groups), *tables.recoveries(groups)]:
        console.print(made.title, style="bold", highlight=False, soft_wrap=True)
        console.print(for_terminal(made))
        for remark in made.remarks:
            console.print(remark, style="dim", highlight=False, soft_wrap=True)
        console.print()
    for note in notes(groups, result):
        console.print(note, style="dim", highlight=False, soft_wrap=True)
    for group, row in tables.doubts(groups):
        if row.verdict not in ("valid", "client-bound", "unsaturated"):
            where = f"{row.variant}, {group.workload.describe(group.rate_per_s)}"
            console.print(f"{where}: {row.verdict}: {'; '.join(row.reasons[:2])}", style="red", highlight=False,
                          soft_wrap=True)
    return groups
