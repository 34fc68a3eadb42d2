"""The contract of every Python server here with the program that starts it: options, the listening line, the stopped line."""

import argparse
import json
import os
import socket
import sys

BACKLOG = 4096
DRAIN_S = 5  # how long stopping may take


def options(**more):
    """The command line: --bind, --port, and `more`, {name: keywords of add_argument}."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--bind", default="127.0.0.1", metavar="ADDR", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="TCP port; 0 takes any free one")
    for name, how in more.items():
        parser.add_argument(f"--{name}", **how)
    return parser.parse_args()


def listen(bind, port):
    """A listening socket, or the end of the program with what could not be done, on what, and why."""
    try:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        return socket.create_server((bind, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        sys.exit(f"listen on {bind}:{port}: {getattr(error, 'strerror', None) or error}")


def end_input(sock):
    """No more input: what the system has received already can still be read, then comes the end (shutdown(2))."""
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError:  # the peer has gone
        pass


class Totals:
    """What the server has done; one line of JSON when it begins and one when it ends."""

    def __init__(self, variant):
        self.variant, self.accepted, self.requests, self.bytes_in, self.bytes_out = variant, 0, 0, 0, 0

    def print_listening(self, sock):
        host, port = sock.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._print("listening", addresses=[address], pid=os.getpid())

    def print_stopped(self):
        self._print("stopped", accepted=self.accepted, requests=self.requests, bytes_in=self.bytes_in,
                    bytes_out=self.bytes_out)

    def _print(self, event, **more):
        try:
            os.write(1, f"{json.dumps({'event': event, 'variant': self.variant, **more})}\n".encode())
        except OSError as error:
            sys.exit(f"cannot write to standard output: {error.strerror}")
