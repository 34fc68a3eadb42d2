"""The life of a server of asyncio's streams: it serves until SIGINT or SIGTERM, answers what it has received, and ends."""

import asyncio
import signal

import contract


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
    with contract.listen(options.bind, options.port) as sock:
        server = await asyncio.start_server(handle, sock=sock, backlog=contract.BACKLOG, limit=limit)
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
