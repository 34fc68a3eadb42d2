"""From a result to its tables, its charts and its page."""

from . import charts, page, tables
from .summary import summarise


def show(document, reference, console):
    """Prints one table per workload, then what the reader must know.  Returns the groups."""
    groups = summarise(document, reference)
    for table in [*tables.build(groups), *tables.gains(groups)]:
        console.print(table.title, style="bold", highlight=False, soft_wrap=True)
        console.print(tables.for_terminal(table))
        for remark in table.remarks:
            console.print(remark, style="dim", highlight=False, soft_wrap=True)
        console.print()
    for note in tables.notes(groups, document):
        console.print(note, style="dim", highlight=False, soft_wrap=True)
    for group, row in tables.doubts(groups):
        if row.verdict not in ("valid", "client-bound", "unsaturated"):
            console.print(f"{row.variant}, {tables.title(group)}: {row.verdict}: {'; '.join(row.reasons[:2])}",
                          style="red", highlight=False, soft_wrap=True)
    return groups


def write(document, groups, folder):
    """Writes charts/*.svg and index.html into `folder` and returns the page's path."""
    charts.install()
    specs = charts.build(groups)
    drawn = charts.draw(specs, folder / "charts")
    path = folder / "index.html"
    path.write_text(page.render(document, groups, drawn, specs, charts.libraries()))
    return path
