"""
Bound UDP sockets: who sent a datagram, at which of our addresses it arrived, and how to answer from that very address.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from ..model import Address, ListenAddress

# From <linux/in.h>; the socket module has no name for it.
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
# struct in_pktinfo: interface index, the local address to answer from, the destination in the header.
_IN_PKTINFO = struct.Struct("=i4s4s")
# struct in6_pktinfo: the address, interface index.
_IN6_PKTINFO = struct.Struct("=16si")
# Asked for, not demanded: the kernel grants what net.core.rmem_max allows. A burst has to wait somewhere.
RECEIVE_BUFFER = 4 * 1024 * 1024

# Names a client and the address it asked: the kernel's socket address of the client, on a wildcard followed by the
# packed address it asked. IPv6 socket addresses keep their scope id. Hashable, and compared as a whole.
Origin: TypeAlias = tuple[Any, ...]
Send: TypeAlias = Callable[[memoryview], int]


class BoundSocket(Protocol):
    """A bound UDP socket as a proxy sees it. All calls may raise ``OSError``, ``BlockingIOError`` among them."""

    def receive(self, buffer: memoryview) -> tuple[int, Origin]:
        """
        One datagram into ``buffer``. The size is the datagram's, more than the buffer holds when it was cut short.
        """
        ...

    def replier(self, origin: Origin) -> Send:
        """What sends a datagram to that client, from the address that it asked."""
        ...

    def ends(self, origin: Origin) -> tuple[Address, Address]:
        """The client, and the local address it asked."""
        ...


class ExactSocket:
    """Bound to one address: every datagram was sent there, and every answer leaves from there."""

    __slots__ = ("_local", "_recvfrom_into", "_sendto")

    def __init__(self, sock: socket.socket) -> None:
        self._local = Address(*sock.getsockname()[:2])
        self._recvfrom_into = sock.recvfrom_into
        self._sendto = sock.sendto

    def receive(self, buffer: memoryview) -> tuple[int, Origin]:
        return self._recvfrom_into(buffer, 0, socket.MSG_TRUNC)

    def replier(self, origin: Origin) -> Send:
        sendto = self._sendto
        return lambda data: sendto(data, origin)

    def ends(self, origin: Origin) -> tuple[Address, Address]:
        return Address(origin[0], origin[1]), self._local


class WildcardSocket:
    """
    Bound to every address of its family. Left alone, the kernel would answer from the address its routing prefers,
    and a client that asked another one would throw the answer away; so each datagram's destination is asked for
    (``IP_PKTINFO``, RFC 3542 section 6 for IPv6) and given back with the answer.
    """

    __slots__ = ("_kind", "_local_part", "_port", "_recvmsg_into", "_sendmsg", "_space", "_v6")

    def __init__(self, sock: socket.socket) -> None:
        request_destination(sock)
        self._v6 = sock.family == socket.AF_INET6
        self._port: int = sock.getsockname()[1]
        self._recvmsg_into = sock.recvmsg_into
        self._sendmsg = sock.sendmsg
        if self._v6:
            self._kind = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
            self._local_part = slice(0, 16)
            self._space = socket.CMSG_SPACE(_IN6_PKTINFO.size)
        else:
            self._kind = (socket.IPPROTO_IP, IP_PKTINFO)
            # Not the destination in the header: that may be a broadcast address, from which nothing can be sent.
            self._local_part = slice(4, 8)
            self._space = socket.CMSG_SPACE(_IN_PKTINFO.size)

    def receive(self, buffer: memoryview) -> tuple[int, Origin]:
        size, ancillary, _, peer = self._recvmsg_into((buffer,), self._space, socket.MSG_TRUNC)
        for level, kind, data in ancillary:
            if (level, kind) == self._kind:
                return size, (peer, data[self._local_part])
        # Unknown: the client is served all the same, and the kernel chooses where the answer leaves.
        return size, (peer, bytes(16 if self._v6 else 4))

    def replier(self, origin: Origin) -> Send:
        peer, local = origin
        if self._v6:
            if local[0] == 0xFF:
                # Nothing can be sent from a multicast address.
                local = bytes(16)
            # A link-local client's scope id is the interface it is on; any other is answered by the routing table.
            info = _IN6_PKTINFO.pack(local, peer[3])
        else:
            info = _IN_PKTINFO.pack(0, local, bytes(4))
        ancillary = ((*self._kind, info),)
        sendmsg = self._sendmsg
        return lambda data: sendmsg((data,), ancillary, 0, peer)

    def ends(self, origin: Origin) -> tuple[Address, Address]:
        peer, local = origin
        return Address(peer[0], peer[1]), Address(socket.inet_ntop(self._family, local), self._port)

    @property
    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if self._v6 else socket.AF_INET


def request_destination(sock: socket.socket) -> None:
    """Have the kernel say with each datagram where it was sent to. Raises ``OSError``."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)


def bound_socket(sock: socket.socket) -> BoundSocket:
    """The cheaper of the two where it will do. ``sock`` is bound, whoever bound it."""
    return WildcardSocket(sock) if _is_wildcard(sock.getsockname()[0]) else ExactSocket(sock)


def bind_udp(address: ListenAddress, *, reuse_port: bool = False) -> socket.socket:
    """
    A non-blocking socket bound to ``address``; ``::`` takes IPv6 only. With ``reuse_port`` other processes may bind it
    as well, and the kernel spreads the clients over them. Raises ``OSError`` (address in use, not ours, not allowed).
    """
    found = socket.getaddrinfo(address.interface, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    family, kind, protocol, _, where = found[0]
    sock = socket.socket(family, kind, protocol)
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Before the first datagram can arrive, or its destination would not be recorded.
        _prepare(sock, address.interface)
        sock.bind(where)
        undo.pop_all()
    return sock


def prepare_udp(sock: socket.socket) -> None:
    """The same for a socket that somebody else has bound. Raises ``OSError``."""
    sock.setblocking(False)
    _prepare(sock, sock.getsockname()[0])


def _prepare(sock: socket.socket, interface: str) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    if _is_wildcard(interface):
        request_destination(sock)


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")
