"""Two results side by side: which counts changed, and by what.

A rise is measured from the largest of A's repeats to the least of B's.  The repeats of an exact figure are equal; a figure that is not
exact is judged with its scatter as its margin."""

from dataclasses import dataclass, field

from ..report.columns import ABSENT
from ..report.terminal import plain_table
from ..units import format_connections
from . import document
from .document import FIGURES, NEVER_EXACT
from .report import figure_text, number

ADDED_CALL = 1 / 80     # more of a system call per request than this is one that was added: 1/64 shows, one stray call not
LOOSE_CALL = 0.5        # where calls depend on the scheduler
LOOSE = 0.05            # how far inexact figures move with the load of the machine, in addition to the scatter of their repeats
LEAST = {"allocations": 0.01, "allocated_bytes": 1.0}  # a smaller rise is none, whatever its share
SHOWN_FUNCTIONS = 3
SHOWN_GROWTH = 0.5      # instructions per request; less is the difference of two roundings
ABSENT_CALL = {"per_request": 0.0, "values": [0.0], "scatter": 0.0, "exact": True}


@dataclass
class Change:
    """One variant with so many connections in both results."""

    variant: str
    connections: int
    cells: tuple

    @property
    def where(self):
        return f"{self.variant}, {format_connections(self.connections)}"

    def pair(self, name):
        return tuple(cell["figures"].get(name) for cell in self.cells)

    def calls(self):
        """{name: (A, B)} of every system call of either."""
        names = sorted(self.cells[0]["system_calls"].keys() | self.cells[1]["system_calls"].keys())
        return {name: tuple(cell["system_calls"].get(name, ABSENT_CALL) for cell in self.cells) for name in names}

    def functions(self):
        """[(instructions more in B, name)], what grew most first."""
        sides = [{function["name"]: function["instructions"] for function in cell["functions"]} for cell in self.cells]
        grown = [(sides[1].get(name, 0) - sides[0].get(name, 0), name) for name in sides[0].keys() | sides[1].keys()]
        return sorted((item for item in grown if abs(item[0]) >= SHOWN_GROWTH), key=lambda item: (-item[0], item[1]))

    def grew(self):
        """`loop::run +12, send +3`: the functions that have most instructions more in B; empty where none has."""
        return ", ".join(f"{name} {more:+.0f}" for more, name in self.functions()[:SHOWN_FUNCTIONS] if more > 0)

    def back(self):
        """From B to A."""
        return Change(self.variant, self.connections, self.cells[::-1])

    def rises(self, limit):
        """Sentences for each count that rose by more than `limit` (0.01: one per cent), and each system call added."""
        sentences = []
        for name in judged():
            before, after = self.pair(name)
            # calls are judged by name below: one that is gone does not pay for another
            if name != "system_calls" and before and after and rose(name, before, after, limit):
                sentences.append(f"{FIGURES[name]} {change_text(before, after)}")
        both_counted = None not in self.pair("system_calls")  # else every call of one side is new
        for name, (before, after) in self.calls().items() if both_counted else ():
            least = ADDED_CALL if before["exact"] and after["exact"] and not self._inexact() else LOOSE_CALL
            if min(after["values"]) - max(before["values"]) > least:
                sentences.append(f"system call {name} {change_text(before, after)}")
        return sentences

    def undecided(self):
        """Sentences for what cannot be judged."""
        sentences = []
        for name in judged():
            pair = self.pair(name)
            lacking = [side for side, figure in zip("AB", pair) if figure is None]
            if lacking:
                sentences.append(f"{FIGURES[name]} missing in {' and '.join(lacking)}")
            elif (single := [side for side, figure in zip("AB", pair)
                                             if not figure["exact"] and len(figure["values"]) == 1]):
                sentences.append(f"{FIGURES[name]} not exact, and counted once in {' and '.join(single)}: its scatter is not known")
        return sentences

    def _inexact(self):
        return any(cell["inexact"] for cell in self.cells)


@dataclass
class Comparison:
    changes: list
    remarks: list
    missing: list = field(default_factory=list)

    def regressions(self, limit):
        """Sentences, of all cells."""
        return [f"{change.where}: {text}" for change in self.changes for text in change.rises(limit)]

    @property
    def undecided(self):
        """Sentences for what cannot be judged."""
        return self.missing + [f"{change.where}: {text}" for change in self.changes for text in change.undecided()]


def judged():
    return [name for name in FIGURES if name not in NEVER_EXACT]


def rose(name, before, after, limit):
    rise = min(after["values"]) - max(before["values"])
    share = limit if before["exact"] and after["exact"] else max(limit, LOOSE)
    return rise > max(share * max(before["values"]), LEAST.get(name, 0))


def why_not_comparable(first, second):
    """Why two results have nothing to say about each other; empty when they have."""
    for key in ("framing", "payload_bytes"):
        values = [document["config"][key] for document in (first, second)]
        if values[0] != values[1]:
            return f"{key.removesuffix('_bytes')}: {values[0]} in one and {values[1]} in the other"
    if not document.cells(first).keys() & document.cells(second).keys():
        return "no variant with the same number of connections is in both"
    return ""


def compare(first, second):
    """A Comparison of two results for which why_not_comparable is empty."""
    a, b = document.cells(first), document.cells(second)
    both = [key for key in a if key in b]
    missing = [f"{variant}, {format_connections(connections)}: only in {side}" for side, cells, other in (("A", a, b), ("B", b, a))
               for variant, connections in cells if (variant, connections) not in other]
    return Comparison([Change(*key, (a[key], b[key])) for key in both], _remarks(first, second), missing)


def _remarks(first, second):
    """What differs apart from the code, and can change counts."""
    what = [("host", "cpu", "CPU (memcpy and its like are chosen by it)"), ("host", "libc", "C library"),
            ("tool", "valgrind", "valgrind")]
    facts = [(text, first[part].get(key), second[part].get(key)) for part, key, text in what]
    facts += [(key, *(document["tool"].get("build", {}).get(key) for document in (first, second)))
              for key in ("compiler", "flags", "commit")]
    lines = [f"different {text}: {a} against {b}" for text, a, b in facts if a != b]
    lines += [f"{side} was not finished" for side, document in zip("AB", (first, second)) if document.get("complete") is False]
    if first["tool"].get("sha256") == second["tool"].get("sha256"):
        lines.append("it is the same program, byte for byte")
    return lines


def change_text(before, after):
    """`609.2 to 640.4 (+5.1 %)`"""
    return f"{figure_text(before)} to {figure_text(after)} ({percent_text(before, after)})"


def percent_text(before, after):
    if before["per_request"] == 0:
        return "new" if after["per_request"] else "0 %"
    change = 100 * (after["per_request"] / before["per_request"] - 1)
    return f"{change:+.2f} %" if abs(change) >= 0.005 else "0 %"


def show(comparison, console):
    """Prints a table for each number of connections; below it, what changed, and by what."""
    for connections in dict.fromkeys(change.connections for change in comparison.changes):
        table = plain_table(f"Instructions per request, {format_connections(connections)}, changes from A to B", (
            ("variant", "left"), ("A", "right"), ("B", "right"), ("change", "right"), ("grew most", "left")))
        table.columns[-1].no_wrap = False
        changes = [change for change in comparison.changes if change.connections == connections]
        for change in changes:
            before, after = change.pair("instructions")
            table.add_row(change.variant, figure_text(before), figure_text(after),
                          percent_text(before, after) if before and after else ABSENT,
                          change.grew() or ABSENT)
        console.print(table)
        for change in changes:
            for text in _others(change):
                console.print(f"{change.variant}: {text}", soft_wrap=True, markup=False)
        console.print()
    for title, texts in (("missing", comparison.missing), ("note", comparison.remarks)):
        for text in texts:
            console.print(f"{title}: {text}", soft_wrap=True, markup=False)


def _others(change):
    """Sentences for system calls and allocations that are not what they were."""
    pairs = [(FIGURES[name], change.pair(name)) for name in ("allocations", "allocated_bytes")]
    pairs += [(f"system call {name}", pair) for name, pair in change.calls().items()]
    for what, (before, after) in pairs:
        if before and after and number(before["per_request"]) != number(after["per_request"]):
            yield f"{what} {change_text(before, after)}"
