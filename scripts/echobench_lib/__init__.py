"""echobench: run experiments, and turn their results into tables, charts and verdicts.

Knows the programs echo-server and echo-load only by their command lines and their JSON.  From data to figures:

    experiment  what to measure: loaded, validated, expanded into blocks
    placement   which CPUs the server and the client get
    runner      starts servers, drives them, stores every cell
    result      a result file: schema, access, what a cell's identity is
    statistics  ratios and intervals; pure functions
    summary     the rows of a table: restarts of one cell put together
    report      tables, charts, index.html
    compare     two result files side by side
    doctor      what on this host spoils figures
    gain        what a figure shows of a known slow-down
    count       another kind of result: instructions, system calls, allocations, exact on any host
    micro       another kind of result: what the primitives under the models cost
"""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """What the user must know to go on: what was attempted, on what, and what to do.  Exit status 1."""

    exit_status = 1


class Usage(Failure):
    """The command line, an experiment or a file is not what it must be.  Exit status 2."""

    exit_status = 2
