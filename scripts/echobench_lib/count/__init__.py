"""echobench count: what a request costs in things that can be counted, exactly, however busy the host.

From data to figures:

    gate        holds a server where it waits, until all that it is to find is there
    drive       a server, a fixed number of requests, and when it has come to rest
    tools       what counts: a command before the server's, and how its output is read
    names       of functions, shortened
    measure     two lengths of each run, several times: counts per request
    document    a result: schema, access
    report      tables
    changes     two results side by side
    verb        what the command line asks for
"""

from .verb import CONNECTIONS, PAYLOAD, REPEATS, run

__all__ = ["CONNECTIONS", "PAYLOAD", "REPEATS", "run"]
