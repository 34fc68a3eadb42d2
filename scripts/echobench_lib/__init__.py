"""echobench: run experiments, and turn their results into tables, charts and verdicts.

Knows the programs echo-server and echo-load only by their command lines and their JSON.  From data to figures:

    plan        what to measure: an experiment expanded into blocks of variants, and which CPUs they get
    run         starts servers, drives them, stores every cell
    result      a result file: schema, access, what a cell's identity is
    analyse     statistics, the rows of a table, recoveries, two results side by side
    report      tables, charts, index.html
    count       another kind of result: instructions, system calls, allocations, exact on a busy host, too
    micro       another kind of result: what the primitives under the models cost
    gate        judges a change: two revisions, built with one toolchain
    accuracy    how far the load generator's latencies are from the truth on this host
    doctor      what on this host distorts figures
"""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """What the user must know to go on: what was attempted, on what, and what to do.  Exit status 1."""

    exit_status = 1


def failure_of(error: Failure | OSError) -> Failure:
    """What the system refused, a file, or a program that is not there, as a Failure."""
    if isinstance(error, Failure):
        return error
    name = str(error.filename or "")
    if isinstance(error, FileNotFoundError) and name and "/" not in name:
        return Failure(f"{name} is not installed, or not on PATH: scripts/dependencies installs what is missing")
    return Failure(f"{name}: {error.strerror}" if name and error.strerror else str(error))


class Usage(Failure):
    """The command line, an experiment or a file is not what it must be.  Exit status 2."""

    exit_status = 2
