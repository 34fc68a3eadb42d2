"""Tables for the terminal."""

from ..report.columns import ABSENT
from ..report.terminal import plain_table
from ..units import format_connections
from .document import FIGURES, NEVER_EXACT

SHOWN_FUNCTIONS = 8
COLUMNS = (("variant", "left"), ("instructions", "right"), ("allocations", "right"), ("bytes", "right"), ("switches", "right"),
           ("system calls", "right"), ("which", "left"))


def number(value):
    """`609.17`, `2,121.6`, `0.0156`, `1`: as many digits as distinguish counts."""
    text = f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def figure_text(figure):
    """`609.2`; `~ 2,680` where it is not exact."""
    if figure is None:
        return ABSENT
    return ("" if figure["exact"] else "~ ") + number(figure["per_request"])


def show(stored, console, with_functions=False):
    """Prints a table for each number of connections, and how far the repeats lie apart."""
    config = stored["config"]
    for connections in dict.fromkeys(cell["connections"] for cell in stored["cells"]):
        cells = [cell for cell in stored["cells"] if cell["connections"] == connections]
        ready = ", all of them ready at each wake-up" if connections > 1 else ""
        shape = f"{format_connections(connections)}{ready}, {config['payload_bytes']:,}-byte {config['framing']}"
        table = plain_table(f"Counts per request, {shape}", COLUMNS)
        table.columns[-1].no_wrap = False  # there can be many
        for cell in cells:
            table.add_row(*_texts(cell))
        console.print(table)
        if with_functions:
            for cell in cells:
                console.print()
                console.print(_functions(cell))
        console.print()
    for text in notes(stored):
        console.print(text, soft_wrap=True, markup=False)


def _texts(cell):
    figures = cell["figures"]
    calls = sorted(cell["system_calls"].items(), key=lambda item: (-item[1]["per_request"], item[0]))
    switches = [figures[name]["per_request"] for name in FIGURES if name in NEVER_EXACT and name in figures]
    return [cell["variant"], *(figure_text(figures.get(name)) for name in ("instructions", "allocations", "allocated_bytes")),
            f"~ {number(sum(switches))}" if switches else ABSENT, figure_text(figures.get("system_calls")),
            ", ".join(_call(name, call["per_request"]) for name, call in calls if call["per_request"]) or ABSENT]


def _call(name, per_request):
    return name if per_request == 1 else f"{name} {number(per_request)}"


def _functions(cell):
    table = plain_table(f"{cell['variant']}, {format_connections(cell['connections'])}: instructions by function",
                               (("self", "right"), ("share", "right"), ("function", "left")))
    for function in cell["functions"][:SHOWN_FUNCTIONS]:
        table.add_row(number(function["instructions"]), f"{100 * function['share']:.1f} %", function["name"])
    return table


def notes(stored):
    """How far repeats lie apart, what is not exact, and what is missing."""
    lines, repeats = [], stored["config"]["repeats"]
    if repeats > 1:
        largest = [text for name in FIGURES if name not in NEVER_EXACT and (text := _largest(stored, name))]
        lines.append(f"largest difference of {repeats} repeats, exact figures: {', '.join(largest) or 'there is none'}")
    else:
        lines.append("one repeat: it cannot show that figures are exact")
    reasons = {}
    for cell in stored["cells"]:
        loose = {FIGURES[name]: figure["scatter"] for name, figure in cell["figures"].items()
                 if name not in NEVER_EXACT and not figure["exact"]}
        if loose:
            apart = ", ".join(f"{name} within {100 * scatter:.2g} %" for name, scatter in loose.items() if scatter)
            where = f"{cell['variant']}, {format_connections(cell['connections'])}" + (f" ({apart})" if apart else "")
            reasons.setdefault(cell["inexact"] or "the repeats differ", []).append(where)
    lines += [f"~ not exact: {'; '.join(where)}: {reason}" for reason, where in reasons.items()]
    lines.append("~ switches: counted natively, of all threads; other load on the machine adds some, so they are never judged")
    for cell in stored["cells"]:
        lines += [f"not counted: {cell['variant']}, {format_connections(cell['connections'])}, {tool}: {reason}"
                  for tool, reason in cell["refused"].items()]
    lines += [f"{name} cannot run here: {reason}" for name, reason in stored["unavailable"].items()]
    return lines + stored["unserved"]


def _largest(stored, name):
    """`instructions 0.02 % (epoll, 64)`; the cell only where there is a difference."""
    exact = [(cell["figures"][name]["scatter"], cell) for cell in stored["cells"]
             if name in cell["figures"] and cell["figures"][name]["exact"]]
    if not exact:
        return ""
    scatter, cell = max(exact, key=lambda item: item[0])
    where = f" ({cell['variant']}, {format_connections(cell['connections'])})" if scatter else ""
    return f"{FIGURES[name]} {100 * scatter:.2g} %{where}"
