"""The life of a server of asyncio's streams: it serves until SIGINT or SIGTERM, answers what it has received, and ends."""

import asyncio
import signal
import sys

import contract


def report_lack_once():
    """An exception handler: asyncio would print a traceback for each attempt to accept while no descriptor is left."""
    reported = False

    def handler(loop, context):
        nonlocal reported
        if context["message"] != "socket.accept() out of system resource":
            loop.default_exception_handler(context)
        elif not reported:
            print(f"accepting pauses: {context['exception']}", file=sys.stderr)
            reported = True

    return handler


async def serve(converse, options, totals, limit=65536):
    """Runs converse(reader, writer, totals) for each connection until it returns; `limit` is that of a reader."""
    connections = {}  # task: writer

    async def handle(reader, writer):
        connections[asyncio.current_task()] = writer
        totals.accepted += 1
        try:
            try:
                await converse(reader, writer, totals)
            finally:
                writer.close()
                await writer.wait_closed()  # also of a connection that broke: nobody else takes its error, which asyncio would print
        except ConnectionError:  # the peer has gone
            pass
        finally:
            del connections[asyncio.current_task()]

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asyncio.get_running_loop().set_exception_handler(report_lack_once())
    with contract.listen(options.bind, options.port) as sock:
        # The backlog that asyncio knows is also how often it tries to accept when no descriptor is left, with a timer
        # for each time (cpython#151615): it gets its default, and the socket ours.
        server = await asyncio.start_server(handle, sock=sock, limit=limit)
        sock.listen(contract.BACKLOG)
        totals.print_listening(sock)
        await stop.wait()
        server.close()

    await asyncio.sleep(0.01)  # who was accepted just now begins
    for writer in connections.values():
        contract.end_input(writer.get_extra_info("socket"))
    if connections:
        await asyncio.wait(list(connections), timeout=contract.DRAIN_S)
    for writer in connections.values():
        writer.transport.abort()
    totals.print_stopped()
