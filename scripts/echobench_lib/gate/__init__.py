"""Judges a change: two revisions, built with one toolchain, cell by cell.

    builds     a revision's programs, from a work tree of its own
    exact      what a request costs in counts, which have no noise
    timed      what it costs in time, measured side by side
    primitives what the primitives cost in time, measured in turn
    power      how large a change the timed tier finds on this host
    decide     from restarts of two rounds to a verdict
    judgement  what was found of a cell, and the exit status of all
    outputs    for terminals, pull requests, CI systems
"""

MARGIN = 0.01  # of a count: less is no change
REPEATS = 2    # of each count
BUDGET_S = 60  # of a timed cell
