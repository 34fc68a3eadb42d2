"""What an open connection costs its server: memory, threads, and the time until it is accepted."""

from ..result import Cell

LEAST = 100  # connections; with fewer, pages and allocator noise outweigh them


def held(cell: Cell) -> int:
    """How many connections were open: those that were driven, and those that were idle."""
    return cell.connections.opened


def memory(cell: Cell) -> float | None:
    """Bytes per open connection: user memory, page tables and kernel stacks.  Socket buffers are not in it.  None where
    it is not known."""
    user = user_memory(cell)
    return None if user is None else user + (page_tables(cell) or 0) + (stacks(cell) or 0)


def user_memory(cell: Cell) -> float | None:
    """Growth of the server's memory, divided by the connections; pages that processes share count once, if the kernel
    reports that."""
    proportional = _growth(cell, cell.server.pss_base_bytes, cell.server.pss_bytes)
    return resident(cell) if proportional is None else proportional


def resident(cell: Cell) -> float | None:
    """The same without regard to what other processes share."""
    return _growth(cell, cell.server.rss_base_bytes, cell.server.rss_bytes)


def kernel_memory(cell: Cell) -> float | None:
    """Bytes per open connection of kernel stacks, page tables and socket buffers; None where the last are not known."""
    buffers = socket_buffers(cell)
    return None if buffers is None else buffers + (page_tables(cell) or 0) + (stacks(cell) or 0)


def page_tables(cell: Cell) -> float | None:
    return _growth(cell, cell.server.page_table_base_bytes, cell.server.page_table_bytes)


def stacks(cell: Cell) -> float | None:
    """Kernel stacks of the threads that came with the connections, by their usual size."""
    return _growth(cell, cell.server.kernel_stack_estimate_base_bytes, cell.server.kernel_stack_estimate_bytes)


def socket_buffers(cell: Cell) -> float | None:
    """Of the whole system, the client's ends included where it is on the same host: no file shows it for a process."""
    return _growth(cell, cell.server.system.tcp_memory_base_bytes, cell.server.system.tcp_memory_bytes)


def threads(cell: Cell) -> float | None:
    """Threads that came with a connection."""
    return _growth(cell, cell.server.threads_base, cell.server.threads)


def _growth(cell: Cell, before: int | None, now: int | None) -> float | None:
    """By which a figure of the server grew, divided by the connections."""
    if cell.load == "crr" or held(cell) < LEAST or before is None or now is None:
        return None
    return (now - before) / held(cell)
