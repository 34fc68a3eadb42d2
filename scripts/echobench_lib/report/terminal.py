"""Tables on the terminal."""

from rich.table import Table

from ..analyse.summary import summarise
from . import scaling, tables
from .columns import ABSENT
from .notes import notes


WIDTH = 200  # columns of a terminal that the widest table needs


def plain_table(heading, columns):
    """An empty table without lines; `columns` are (name, justify) pairs."""
    table = Table(title=heading, title_justify="left", title_style="bold", box=None, pad_edge=False,
                      header_style="dim", padding=(0, 2, 0, 0))
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)
    return table


def for_terminal(table):
    """Without its title, which may be longer than the table is wide."""
    printed = plain_table(None, table.columns)
    printed.columns[-1].no_wrap = False  # why a variant could not run
    for row, texts in table.rows:
        style = {"valid": "", "client-bound": "yellow", "overloaded": "yellow", "unsaturated": "yellow"}.get(row.verdict, "red") if row else ""
        *cells, last = texts
        printed.add_row(*cells, f"[{style}]{last}[/]" if style and last != ABSENT else last)
    return printed


def show(document, reference, console):
    """Prints one table per workload, then what the reader must know.  Returns the groups."""
    groups = summarise(document, reference)
    for table in [*tables.build(groups), *scaling.tables(groups), *tables.recoveries(groups)]:
        console.print(table.title, style="bold", highlight=False, soft_wrap=True)
        console.print(for_terminal(table))
        for remark in table.remarks:
            console.print(remark, style="dim", highlight=False, soft_wrap=True)
        console.print()
    for note in notes(groups, document):
        console.print(note, style="dim", highlight=False, soft_wrap=True)
    for group, row in tables.doubts(groups):
        if row.verdict not in ("valid", "client-bound", "unsaturated"):
            console.print(f"{row.variant}, {group.workload.describe(group.rate_per_s)}: {row.verdict}: {'; '.join(row.reasons[:2])}",
                          style="red", highlight=False, soft_wrap=True)
    return groups
