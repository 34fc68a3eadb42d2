"""Tables for the terminal."""

from rich.console import Console
from rich.table import Table

from ..report.columns import ABSENT
from ..report.terminal import plain_table
from ..units import format_connections
from .document import FIGURES, NEVER_EXACT, Counts, Figure, Result

SHOWN_FUNCTIONS = 8
COLUMNS = (("variant", "left"), ("instructions", "right"), ("allocations", "right"), ("bytes", "right"),
           ("switches", "right"), ("system calls", "right"), ("which", "left"))


def number(value: float) -> str:
    """`609.17`, `2,121.6`, `0.0156`, `1`: as many digits as distinguish counts."""
    text = f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def figure_text(figure: Figure | None) -> str:
    """`609.2`; `~ 2,680` where it is not exact."""
    if figure is None:
        return ABSENT
    return ("" if figure.exact else "~ ") + number(figure.per_request)


def show(result: Result, console: Console, with_functions: bool = False) -> None:
    """Prints a table for each number of connections, and how far the repeats lie apart."""
    for connections in dict.fromkeys(connections for _, connections in result.cells):
        cells = {variant: cell for (variant, count), cell in result.cells.items() if count == connections}
        ready = ", all of them ready at each wake-up" if connections > 1 else ""
        shape = f"{format_connections(connections)}{ready}, {result.payload_bytes:,}-byte {result.framing}"
        table = plain_table(f"Counts per request, {shape}", COLUMNS)
        table.columns[-1].no_wrap = False  # there can be many
        for variant, cell in cells.items():
            table.add_row(variant, *_texts(cell))
        console.print(table)
        if with_functions:
            for variant, cell in cells.items():
                console.print()
                console.print(_functions(_where(variant, connections), cell))
        console.print()
    for text in notes(result):
        console.print(text, soft_wrap=True)


def _texts(cell: Counts) -> list[str]:
    """Of the columns after the variant."""
    figures = cell.figures
    calls = sorted(cell.system_calls.items(), key=lambda item: (-item[1].per_request, item[0]))
    switches = [figures[name].per_request for name in FIGURES if name in NEVER_EXACT and name in figures]
    return [*(figure_text(figures.get(name)) for name in ("instructions", "allocations", "allocated_bytes")),
            f"~ {number(sum(switches))}" if switches else ABSENT, figure_text(figures.get("system_calls")),
            ", ".join(_call(name, call.per_request) for name, call in calls if call.per_request) or ABSENT]


def _call(name: str, per_request: float) -> str:
    return name if per_request == 1 else f"{name} {number(per_request)}"


def _where(variant: str, connections: int) -> str:
    return f"{variant}, {format_connections(connections)}"


def _functions(where: str, cell: Counts) -> Table:
    table = plain_table(f"{where}: instructions by function",
                        (("self", "right"), ("share", "right"), ("function", "left")))
    for function in cell.functions[:SHOWN_FUNCTIONS]:
        table.add_row(number(function.instructions), f"{100 * function.share:.1f} %", function.name)
    return table


def notes(result: Result) -> list[str]:
    """How far repeats lie apart, what is not exact, and what is missing."""
    lines = []
    if result.repeats > 1:
        largest = [text for name in FIGURES if name not in NEVER_EXACT and (text := _largest(result, name))]
        lines.append(f"largest difference of {result.repeats} repeats, exact figures: "
                     f"{', '.join(largest) or 'there is none'}")
    else:
        lines.append("one repeat: it cannot show that figures are exact")
    reasons: dict[str, list[str]] = {}
    for key, cell in result.cells.items():
        loose = {FIGURES[name]: figure.scatter for name, figure in cell.figures.items()
                 if name not in NEVER_EXACT and not figure.exact}
        if loose:
            apart = ", ".join(f"{name} within {100 * scatter:.2g} %" for name, scatter in loose.items() if scatter)
            where = _where(*key) + (f" ({apart})" if apart else "")
            reasons.setdefault(cell.inexact or "the repeats differ", []).append(where)
    lines += [f"~ not exact: {'; '.join(where)}: {reason}" for reason, where in reasons.items()]
    lines.append("~ switches: counted natively, of all threads; other load on the machine adds some, so they are never "
                 "judged")
    lines += [f"not counted: {_where(*key)}, {tool}: {reason}"
              for key, cell in result.cells.items() for tool, reason in cell.refused.items()]
    lines += [f"{name} cannot run here: {reason}" for name, reason in result.unavailable.items()]
    return [*lines, *result.unserved]


def _largest(result: Result, name: str) -> str:
    """`instructions 0.02 % (epoll, 64)`; the cell only where there is a difference."""
    exact = [(cell.figures[name].scatter, key) for key, cell in result.cells.items()
             if name in cell.figures and cell.figures[name].exact]
    if not exact:
        return ""
    scatter, key = max(exact, key=lambda item: item[0])
    return f"{FIGURES[name]} {100 * scatter:.2g} %" + (f" ({_where(*key)})" if scatter else "")
