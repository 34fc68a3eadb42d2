#!/usr/bin/python3
"""An echo server as tutorials begin: blocking sockets, one client at a time."""

import signal
import socket

import contract

options = contract.options()
totals = contract.Totals("blocking-python")
listener = contract.listen(options.bind, options.port)
client = None
stopping = False


def stop(*_):
    """Whatever call is blocked ends: accept() with an error, recv() when it has returned what was received."""
    global stopping
    stopping = True
    signal.alarm(contract.DRAIN_S)
    contract.end_input(listener)
    if client:
        contract.end_input(client)


def give_up(*_):
    raise TimeoutError("the peer does not read")


def echo():
    while data := client.recv(65536):
        totals.requests += 1
        totals.bytes_in += len(data)
        client.sendall(data)
        totals.bytes_out += len(data)


for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
signal.signal(signal.SIGALRM, give_up)
totals.print_listening(listener)
while not stopping:
    try:
        client, _ = listener.accept()
    except OSError:
        if stopping:
            break
        raise
    totals.accepted += 1
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if stopping:
            contract.end_input(client)
        try:
            echo()
        except (ConnectionError, TimeoutError):
            pass
    client = None
signal.alarm(0)
totals.print_stopped()
