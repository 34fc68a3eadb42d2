#!/usr/bin/python3
"""Lines with asyncio's streams: each comes back as it is, or in upper case; one that is too long ends the connection."""

import asyncio

import contract
from stream_server import serve

MAX_LINE = 65536  # its end included
options = contract.options(service={"choices": ("echo", "upper"), "default": "echo", "help": "what comes back (%(default)s)"})


async def answer_lines(reader, writer, totals):
    try:
        while line := await reader.readline():
            totals.requests += 1
            totals.bytes_in += len(line)
            writer.write(line.upper() if options.service == "upper" else line)  # of bytes: ASCII only
            await writer.drain()
            totals.bytes_out += len(line)
    except ValueError:  # longer than the limit
        pass


asyncio.run(serve(answer_lines, options, contract.Totals("asyncio-lines"), limit=MAX_LINE - 1))
