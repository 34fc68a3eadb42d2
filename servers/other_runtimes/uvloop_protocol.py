#!/usr/bin/python3
"""An echo server with uvloop's protocols: a callback for each piece of input, one loop (libuv's), one thread."""

import asyncio
import os
import signal
import socket
import sys

import contract

try:
    import uvloop
except ImportError:
    print("uvloop_protocol.py: python3-uvloop is not installed; scripts/dependencies --other-runtimes", file=sys.stderr)
    sys.exit(77)

totals = contract.Totals("uvloop-protocol")


class Echo(asyncio.Protocol):
    connections = set()

    def connection_made(self, transport):
        totals.accepted += 1
        self.transport = transport
        self.closed = asyncio.get_running_loop().create_future()
        Echo.connections.add(self)

    def data_received(self, data):
        totals.requests += 1
        totals.bytes_in += len(data)
        totals.bytes_out += len(data)
        self.transport.write(data)

    def pause_writing(self):  # the peer does not read: nor do we
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()

    def connection_lost(self, error):
        totals.bytes_out -= self.transport.get_write_buffer_size()
        self.closed.set_result(None)
        Echo.connections.discard(self)

    def end_input(self):
        descriptor = os.dup(self.transport.get_extra_info("socket").fileno())  # uvloop's own object cannot shut down
        with socket.socket(fileno=descriptor) as sock:
            contract.end_input(sock)


async def main():
    options = contract.options()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with contract.listen(options.bind, options.port) as sock:
        server = await loop.create_server(Echo, sock=sock, backlog=contract.BACKLOG)
        totals.print_listening(sock)
        await stop.wait()
        server.close()

    await asyncio.sleep(0.01)  # who was accepted just now begins
    for connection in Echo.connections:
        connection.end_input()
    if Echo.connections:
        await asyncio.wait([connection.closed for connection in Echo.connections], timeout=contract.DRAIN_S)
    for connection in list(Echo.connections):
        connection.transport.abort()
    totals.print_stopped()


uvloop.install()
asyncio.run(main())
