"""A server that joins an experiment by its command line, as in CONTRIBUTING.md: sends back every byte, one thread a
client.

    tiny_echo_server.py PORT [--announce]

With --announce it says where it listens, and PORT may be 0."""

import json
import socket
import sys
import threading


def serve(client):
    with client:
        while data := client.recv(65536):
            client.sendall(data)


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
if "--announce" in sys.argv:
    print(json.dumps({"event": "listening", "addresses": ["%s:%d" % listener.getsockname()]}), flush=True)
while True:
    accepted, _ = listener.accept()
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
