"""What `echobench count` is asked for: to count, or what changed between two results."""

import sys
import time
from argparse import Namespace
from pathlib import Path

from rich.console import Console

from .. import Usage
from ..documents import new_folder
from ..plan.variants import Framing, Variant
from ..progress import Progress
from ..run.programs import list_variants, require_descriptors
from ..units import format_connections, format_seconds
from . import changes, document, report
from .measure import Cell, Measurement, Plan

CONNECTIONS = (1, 64)
PAYLOAD = 64       # bytes
MAX_PAYLOAD = 16 * 1024  # what one send takes, and one segment of the loopback carries
REPEATS = 3


def run(options: Namespace, console: Console) -> int:
    """The exit status: of counting 0, of comparing two results 1 for a regression, 2 where something cannot be
    judged."""
    names = options.names
    if options.fail_over is not None and len(names) != 2:
        raise Usage("--fail-over: give two results, A and B")
    if len(names) == 2 and (options.fail_over is not None or all(Path(name).exists() for name in names)):
        return _compare(options, console)
    planned = plan(options)
    file = new_folder(options.out, document.KIND, document.FILE_NAME) / document.FILE_NAME
    measurement = Measurement(planned, sys.argv[1:], file)
    console.print(f"cells: {len(planned.cells)}, each counted {planned.repeats} times by four tools: {file}",
                  soft_wrap=True)
    begun = time.monotonic()
    try:
        with Progress(console, lambda cell: f"{cell.variant}, {format_connections(cell.connections)}") as progress:
            measurement.run(progress)
    finally:
        done, took = len(measurement.document["cells"]), format_seconds(time.monotonic() - begun)
        console.print(f"counted {done} of {len(planned.cells)} cells in {took} (min:s): {file}\n" if done else
                      "stopped before the first cell was counted: there is no result", soft_wrap=True)
    report.show(document.result_of(measurement.document), console, options.functions)
    return 0


def _compare(options: Namespace, console: Console) -> int:
    measuring = ("out", "connections", "framing", "payload", "repeats", "functions")
    if given := [f"--{name}" for name in measuring if getattr(options, name)]:
        raise Usage(f"{', '.join(given)}: has no effect with two results, because nothing is counted")
    first, second = (document.result_of(document.load(name)) for name in options.names)
    if reason := changes.why_not_comparable(first, second):
        console.print(f"not comparable: {reason}", soft_wrap=True)
        return 2
    comparison = changes.compare(first, second)
    changes.show(comparison, console)
    if options.fail_over is None:
        return 0
    regressions, undecided = comparison.regressions(options.fail_over), comparison.undecided
    for text in regressions:
        console.print(f"regression: {text}", style="red", soft_wrap=True)
    for text in undecided:
        console.print(f"undecided: {text}", soft_wrap=True)
    if regressions or undecided:
        return 1 if regressions else 2
    console.print(f"no count rose by more than {100 * options.fail_over:g} %, and no system call was added: "
                  f"{len(comparison.changes)} cells judged", soft_wrap=True)
    return 0


def plan(options: Namespace) -> Plan:
    """What is to be counted; Usage and Failure before anything is."""
    listed = {entry["name"]: entry for entry in list_variants()}
    if unknown := [name for name in options.names if name not in listed]:
        raise Usage(f"no variant '{unknown[0]}': there are {', '.join(listed)}; or give two results to compare")
    names = list(dict.fromkeys(options.names)) or list(listed)
    framing: Framing = options.framing or "frame"
    payload = PAYLOAD if options.payload is None else options.payload
    least = 0 if framing == "frame" else 1
    if not least <= payload <= MAX_PAYLOAD:
        raise Usage(f"--payload {payload}: with --framing {framing} from {least} to {MAX_PAYLOAD:,} bytes")
    connections = list(dict.fromkeys(options.connections or CONNECTIONS))
    require_descriptors(2 * max(connections))  # each has a socket that asks the kernel about it
    unavailable = {name: reason for name in names if (reason := listed[name]["unavailable_reason"])}
    cells, unserved = [], []
    for name in names:
        if name in unavailable:
            continue
        variant = Variant(name, name, holds=listed[name]["holds"])
        for count in connections:
            if reason := variant.refuses("closed-loop", count, threads=1):
                unserved.append(f"{name} {reason}, so it is not counted with {format_connections(count)}")
            else:
                cells.append(Cell(name, count, listed[name]["program"]))
    if not cells:
        reasons = [*(f"{name}: {why}" for name, why in unavailable.items()), *unserved]
        raise Usage(f"nothing to count: {'; '.join(reasons)}")
    return Plan(cells, framing, payload, options.repeats or REPEATS, unavailable, unserved)
