"""What an open connection costs its server: memory, threads, and the time until it is accepted."""

LEAST = 100  # connections; with fewer, pages and allocator noise outweigh them


def held(cell):
    """How many connections were open: those that were driven, and those that were idle."""
    return cell["connections"]["opened"]


def memory(cell):
    """Bytes per open connection: user memory, page tables and kernel stacks.  Socket buffers are not in it.  None where it
    is not known."""
    parts = [part(cell) for part in (user_memory, page_tables, stacks)]
    return sum(part or 0 for part in parts) if parts[0] is not None else None


def user_memory(cell):
    """Growth of the server's memory, divided by the connections; pages that processes share count once, if the kernel reports that."""
    return next((grown for kind in ("pss", "rss") if (grown := _growth(cell, kind)) is not None), None)


def resident(cell):
    """The same without regard to what other processes share."""
    return _growth(cell, "rss")


def kernel_memory(cell):
    """Kernel stacks, page tables and socket buffers; None where the last are not known."""
    buffers = socket_buffers(cell)
    return None if buffers is None else buffers + (page_tables(cell) or 0) + (stacks(cell) or 0)


def page_tables(cell):
    return _growth(cell, "page_table")


def stacks(cell):
    """Kernel stacks of the threads that came with the connections, by their usual size."""
    return _growth(cell, "kernel_stack_estimate")


def socket_buffers(cell):
    """Of the whole system, the client's ends included where it is on the same host: no file shows it for a process."""
    return _growth(cell, "tcp_memory", of=cell.get("server", {}).get("system", {}))


def threads(cell):
    """Threads that came with a connection."""
    return _growth(cell, "threads", unit="")


def _growth(cell, kind, unit="_bytes", of=None):
    server = cell.get("server", {}) if of is None else of
    now, before = f"{kind}{unit}", f"{kind}_base{unit}"
    if cell["load"] == "crr" or held(cell) < LEAST or not {now, before} <= server.keys():
        return None
    return (server[now] - server[before]) / held(cell)
