"""The server's end of a connection, as the kernel sees it: sock_diag(7)."""

import errno
import os
import socket
import struct

from .. import Failure

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLM_F_REQUEST = 4, 20, 2, 1
HEADER = struct.Struct("=IHHII")         # nlmsghdr: length, type, flags, sequence, port
REQUEST = struct.Struct("=BBBxI")        # inet_diag_req_v2 but its id: family, protocol, extensions, states
IDENTITY = struct.Struct("!HH16s16s4x8s")  # inet_diag_sockid: ports, addresses, interface, cookie
QUEUES = struct.Struct("=4x48x4xIIII")   # inet_diag_msg: state and timers, the id, expires; then what we want
ANY_COOKIE = b"\xff" * 8


class Peer:
    """The end at (host, port) of the IPv4 connection to `client_port` of the same host."""

    def __init__(self, host: str, port: int, client_port: int) -> None:
        address = socket.inet_aton(host).ljust(16, b"\0")
        body = (REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
                + IDENTITY.pack(port, client_port, address, address, ANY_COOKIE))
        self._request = HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + body
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)

    def close(self) -> None:
        self._kernel.close()

    def unread(self) -> int:
        """Bytes that have arrived, and that the server has not read."""
        return self._ask()[0]

    def was_accepted(self) -> bool:
        """What nobody has accepted yet belongs to no file."""
        return self._ask()[3] != 0

    def _ask(self) -> tuple[int, int, int, int]:
        """(bytes unread, bytes not acknowledged, user, inode); of no socket, noughts."""
        self._kernel.send(self._request)
        answer = self._kernel.recv(4096)
        if HEADER.unpack_from(answer)[1] == SOCK_DIAG_BY_FAMILY:
            unread, unacknowledged, user, inode = QUEUES.unpack_from(answer, HEADER.size)
            return unread, unacknowledged, user, inode
        error = -struct.unpack_from("=i", answer, HEADER.size)[0]
        if error == errno.ENOENT:
            return 0, 0, 0, 0
        raise Failure(f"count: cannot ask the kernel about a socket (sock_diag): {os.strerror(error)}")
