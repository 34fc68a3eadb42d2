"""What counts: a command that is put before the server's, and how its output is read.

A counter is run for a number of rounds and gives totals, {name: number} for the whole process.  They hold its start,
too, which the difference of two runs takes off."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .. import Failure
from .names import shorten

VALGRIND = "valgrind"
# Threads in the order in which they asked for valgrind's lock: where they wait for each other, counts repeat better.
COMMON = ("--vgdb=no", "--fair-sched=yes")


@dataclass
class Totals:
    """Of a run.  `functions` are instructions by the function that they were executed in."""

    counts: dict[str, int]
    functions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """`options` of the command may hold {out}, the file of whose text `read` makes Totals; None: it writes no file."""

    name: str
    options: tuple[str, ...]
    read: Callable[[str], Totals] | None

    def command(self, out: str | Path) -> list[str]:
        return [part.replace("{out}", str(out)) for part in self.options]


def read_callgrind(text: str) -> Totals:
    """Self cost of functions, from what --tool=callgrind wrote; see Callgrind Format Specification, with name
    compression.  Raises Failure where the sum is another than it says."""
    functions: dict[str, int] = {}
    names: dict[str, str] = {}
    objects: dict[str, str] = {}
    current, library, inclusive = None, "", False
    for line in text.splitlines():
        if line.startswith("fn="):
            current = _name(line[3:], names)
            current = f"without a name, in {library}" if re.match(r"0x[0-9a-f]+$", current) else shorten(current)
        elif line.startswith("cfn="):
            _name(line[4:], names)
        elif line.startswith(("ob=", "cob=")):
            name = Path(_name(line.split("=", 1)[1], objects)).name
            library = name if line.startswith("ob=") else library
        elif line.startswith("calls="):
            inclusive = True  # the next line is the cost of the call, which the function called has itself
        elif line[:1].isdigit() or line[:1] in "+-*":
            parts = line.split()
            if not inclusive and current is not None and len(parts) == 2:
                functions[current] = functions.get(current, 0) + int(parts[1])
            inclusive = False
    total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
    if total is None or sum(functions.values()) != int(total[1]):
        raise Failure(f"callgrind: its output is not as expected: {sum(functions.values())} instructions in functions, "
                      f"{total[1] if total else 'none'} in all")
    return Totals({"instructions": int(total[1])}, functions)


def _name(text: str, known: dict[str, str]) -> str:
    """`(3) main` defines what (3) is from now on."""
    number, _, name = text.partition(" ")
    if name:
        known[number] = name
    return known.get(number, number)


def read_memcheck(text: str) -> Totals:
    """Allocations and their bytes, from the log of --tool=memcheck."""
    match = re.search(r"total heap usage: ([\d,]+) allocs, [\d,]+ frees, ([\d,]+) bytes allocated", text)
    if match is None:
        raise Failure("memcheck: its output has no total heap usage")
    allocations, size = (int(number.replace(",", "")) for number in match.groups())
    return Totals({"allocations": allocations, "allocated_bytes": size})


def read_strace(text: str) -> Totals:
    """System calls by name, from the table of strace -c."""
    calls = {}
    for line in text.splitlines():  # calls, errors where there were any, name
        parts = line.split()
        if len(parts) in (2, 3) and all(part.isdigit() for part in parts[:-1]) and parts[-1] != "total":
            calls[parts[-1]] = int(parts[0])
    if not calls:
        raise Failure("strace: its output has no calls")
    return Totals({f"call:{name}": number for name, number in calls.items()})


CALLGRIND = Tool("callgrind", (VALGRIND, "--tool=callgrind", *COMMON, "--dump-line=no",
                               "--callgrind-out-file={out}", "-q"), read_callgrind)
MEMCHECK = Tool("memcheck", (VALGRIND, "--tool=memcheck", *COMMON, "--leak-check=no", "--undef-value-errors=no",
                             "--default-suppressions=no", "--log-file={out}"), read_memcheck)
STRACE = Tool("strace", ("strace", "-f", "-c", "-U", "calls,errors,name", "-o", "{out}"), read_strace)
NATIVE = Tool("native", (), None)  # context switches, which are asked for while it runs
TOOLS = (MEMCHECK, CALLGRIND, STRACE, NATIVE)  # those that take longest first


def versions() -> dict[str, str]:
    """{tool: what it says of itself}; a Failure where one is missing."""
    lines = {}
    for program in (VALGRIND, "strace"):
        try:
            output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
        except OSError:
            raise Failure(f"count needs {program}, which is not here: run scripts/dependencies") from None
        lines[program] = output.splitlines()[0] if output else "unknown"
    return lines
