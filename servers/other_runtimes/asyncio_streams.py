#!/usr/bin/python3
"""An echo server with asyncio's streams: a coroutine for each connection, one loop, one thread."""

import asyncio

import contract
from stream_server import serve

options = contract.options(read={"type": int, "default": 65536, "metavar": "N", "help": "bytes asked for at once; "
                                 "the documentation's example asks for 100 (%(default)s)"})


async def echo(reader, writer, totals):
    while data := await reader.read(options.read):
        totals.requests += 1
        totals.bytes_in += len(data)
        writer.write(data)
        await writer.drain()
        totals.bytes_out += len(data)


name = "asyncio-streams" if options.read == 65536 else f"asyncio-streams-{options.read}"
asyncio.run(serve(echo, options, contract.Totals(name)))
