"""echobench micro: what the primitives under the models cost.

Knows the program echo-microbench only by Google Benchmark's command line and JSON.  From data to figures:

    questions   which question each file of bench/ answers, and what the name of a row says
    measure     rounds over all files, one process per file and round
    document    a result: Google Benchmark's own JSON, with its aggregates
    figures     the rows of a table: all repetitions of one benchmark put together
    answers     sentences with figures in them
    report      tables, charts, index.html
    readme      bench/README.md
    agreement   how two results agree
    verb        what the command line asks for
"""

from .agreement import LIMIT
from .verb import BUDGET_S, MIN_TIME_S, ROUNDS, run

__all__ = ["BUDGET_S", "LIMIT", "MIN_TIME_S", "ROUNDS", "run"]
