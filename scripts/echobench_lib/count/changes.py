"""Two results side by side: which counts changed, and by what.

A rise is measured from the largest of A's repeats to the least of B's.  The repeats of an exact figure are equal; a
figure that is not exact is judged with its scatter as its margin."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console

from ..report.columns import ABSENT
from ..report.terminal import plain_table
from ..units import format_connections
from .document import FIGURES, NEVER_EXACT, Counts, Figure, Result
from .report import figure_text, number

ADDED_CALL = 1 / 80     # more of a system call per request is one that was added: 1/64 shows, one stray call does not
LOOSE_CALL = 0.5        # where calls depend on the scheduler
LOOSE = 0.05            # how far inexact figures move with the load of the machine, in addition to their scatter
LEAST = {"allocations": 0.01, "allocated_bytes": 1.0}  # a smaller rise is none, whatever its share
SHOWN_FUNCTIONS = 3
SHOWN_GROWTH = 0.5      # instructions per request; less is the difference of two roundings
ABSENT_CALL = Figure(0.0, (0.0,), 0.0, True)


@dataclass
class Change:
    """One variant with so many connections in both results, A and B."""

    variant: str
    connections: int
    cells: tuple[Counts, Counts]

    @property
    def where(self) -> str:
        return f"{self.variant}, {format_connections(self.connections)}"

    def pair(self, name: str) -> tuple[Figure | None, Figure | None]:
        """(A, B) of a figure; None where it was not counted."""
        a, b = self.cells
        return a.figures.get(name), b.figures.get(name)

    def calls(self) -> dict[str, tuple[Figure, Figure]]:
        """{name: (A, B)} of every system call of either."""
        a, b = (cell.system_calls for cell in self.cells)
        return {name: (a.get(name, ABSENT_CALL), b.get(name, ABSENT_CALL)) for name in sorted(a.keys() | b.keys())}

    def functions(self) -> list[tuple[float, str]]:
        """[(instructions per request more in B, name)], what grew most first."""
        a, b = ({function.name: function.instructions for function in cell.functions} for cell in self.cells)
        grown = [(b.get(name, 0) - a.get(name, 0), name) for name in a.keys() | b.keys()]
        return sorted((item for item in grown if abs(item[0]) >= SHOWN_GROWTH), key=lambda item: (-item[0], item[1]))

    def grew(self) -> str:
        """`loop::run +12, send +3`: the functions that have most instructions more in B; empty where none has."""
        return ", ".join(f"{name} {more:+.0f}" for more, name in self.functions()[:SHOWN_FUNCTIONS] if more > 0)

    def back(self) -> "Change":
        """From B to A."""
        a, b = self.cells
        return Change(self.variant, self.connections, (b, a))

    def rises(self, limit: float) -> list[str]:
        """Sentences for each count that rose by more than `limit` (0.01: one per cent), and each system call added."""
        sentences = []
        for name in judged():
            before, after = self.pair(name)
            # calls are judged by name below: one that is gone does not pay for another
            if name != "system_calls" and before and after and rose(name, before, after, limit):
                sentences.append(f"{FIGURES[name]} {change_text(before, after)}")
        both_counted = None not in self.pair("system_calls")  # else every call of one side is new
        for name, (a, b) in self.calls().items() if both_counted else ():
            least = ADDED_CALL if a.exact and b.exact and not self._inexact() else LOOSE_CALL
            if min(b.values) - max(a.values) > least:
                sentences.append(f"system call {name} {change_text(a, b)}")
        return sentences

    def undecided(self) -> list[str]:
        """Sentences for what cannot be judged."""
        sentences = []
        for name in judged():
            sides = dict(zip("AB", self.pair(name)))
            lacking = [side for side, figure in sides.items() if figure is None]
            single = [side for side, figure in sides.items() if figure and not figure.exact and len(figure.values) == 1]
            if lacking:
                sentences.append(f"{FIGURES[name]} missing in {' and '.join(lacking)}")
            elif single:
                sentences.append(f"{FIGURES[name]} not exact, and counted once in {' and '.join(single)}: "
                                 "its scatter is not known")
        return sentences

    def _inexact(self) -> bool:
        return any(cell.inexact for cell in self.cells)


@dataclass
class Comparison:
    """Of two results, A and B.  Sentences: `remarks` what differs apart from the code, `missing` which cells only one
    has."""

    changes: list[Change]
    remarks: list[str]
    missing: list[str] = field(default_factory=list)

    def regressions(self, limit: float) -> list[str]:
        """Sentences, of all cells."""
        return [f"{change.where}: {text}" for change in self.changes for text in change.rises(limit)]

    @property
    def undecided(self) -> list[str]:
        """Sentences for what cannot be judged."""
        return self.missing + [f"{change.where}: {text}" for change in self.changes for text in change.undecided()]


def judged() -> list[str]:
    """The figures of which a rise is a regression."""
    return [name for name in FIGURES if name not in NEVER_EXACT]


def rose(name: str, before: Figure, after: Figure, limit: float) -> bool:
    """Whether the figure of that name rose by more than `limit` (0.01: one per cent)."""
    rise = min(after.values) - max(before.values)
    share = limit if before.exact and after.exact else max(limit, LOOSE)
    return rise > max(share * max(before.values), LEAST.get(name, 0))


def why_not_comparable(first: Result, second: Result) -> str:
    """Why two results have nothing to say about each other; empty when they have."""
    asked = (("framing", first.framing, second.framing), ("payload", first.payload_bytes, second.payload_bytes))
    for what, a, b in asked:
        if a != b:
            return f"{what}: {a} in one and {b} in the other"
    if not first.cells.keys() & second.cells.keys():
        return "no variant with the same number of connections is in both"
    return ""


def compare(first: Result, second: Result) -> Comparison:
    """Of two results for which why_not_comparable is empty."""
    a, b = first.cells, second.cells
    changes = [Change(variant, connections, (cell, b[variant, connections]))
               for (variant, connections), cell in a.items() if (variant, connections) in b]
    missing = [f"{variant}, {format_connections(connections)}: only in {side}"
               for side, cells, other in (("A", a, b), ("B", b, a))
               for variant, connections in cells if (variant, connections) not in other]
    return Comparison(changes, _remarks(first, second), missing)


def _remarks(first: Result, second: Result) -> list[str]:
    """What differs apart from the code, and can change counts."""
    facts = [("CPU (memcpy and its like are chosen by it)", first.host.get("cpu"), second.host.get("cpu")),
             ("C library", first.host.get("libc"), second.host.get("libc")),
             ("valgrind", first.valgrind, second.valgrind),
             *((key, first.build.get(key), second.build.get(key)) for key in ("compiler", "flags", "commit"))]
    lines = [f"different {text}: {a} against {b}" for text, a, b in facts if a != b]
    lines += [f"{side} was not finished" for side, result in zip("AB", (first, second)) if not result.is_complete]
    if first.sha256 == second.sha256:
        lines.append("it is the same program, byte for byte")
    return lines


def change_text(before: Figure, after: Figure) -> str:
    """`609.2 to 640.4 (+5.1 %)`"""
    return f"{figure_text(before)} to {figure_text(after)} ({percent_text(before, after)})"


def percent_text(before: Figure, after: Figure) -> str:
    """`+5.10 %`; `new` where there was nothing before."""
    if before.per_request == 0:
        return "new" if after.per_request else "0 %"
    change = 100 * (after.per_request / before.per_request - 1)
    return f"{change:+.2f} %" if abs(change) >= 0.005 else "0 %"


def show(comparison: Comparison, console: Console) -> None:
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
                console.print(f"{change.variant}: {text}", soft_wrap=True)
        console.print()
    for title, texts in (("missing", comparison.missing), ("note", comparison.remarks)):
        for text in texts:
            console.print(f"{title}: {text}", soft_wrap=True)


def _others(change: Change) -> Iterator[str]:
    """Sentences for system calls and allocations that are not what they were."""
    pairs = {**{FIGURES[name]: change.pair(name) for name in ("allocations", "allocated_bytes")},
             **{f"system call {name}": pair for name, pair in change.calls().items()}}
    for what, (before, after) in pairs.items():
        if before and after and number(before.per_request) != number(after.per_request):
            yield f"{what} {change_text(before, after)}"
