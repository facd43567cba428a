"""
The last descriptors of a process are for those who look after it: the Admin API, the store, names, logs.

The kernel gives the lowest number that is free. So whoever gets a high one knows how many are taken, without anybody
counting.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import TypeAlias

# One in so many descriptors, but neither fewer nor more than these.
RESERVED_SHARE = 16
FEWEST_RESERVED = 16
MOST_RESERVED = 64

# What the system says when there is nothing more to be had, whoever asks: descriptors, memory.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# Called with family and type; raises OSError.
OpenSocket: TypeAlias = Callable[[int, int], socket.socket]


def last_descriptor() -> int:
    """The highest number that a session may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    reserved = max(FEWEST_RESERVED, min(MOST_RESERVED, soft // RESERVED_SHARE))
    return max(soft // 2, soft - 1 - reserved)


def opener(last: int) -> OpenSocket:
    """Opens sockets, as long as their numbers are not above ``last``: ``EMFILE`` is raised before there are none."""

    def open_socket(family: int, kind: int) -> socket.socket:
        sock = socket.socket(family, kind)
        if sock.fileno() > last:
            sock.close()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return sock

    return open_socket


def lowered(sock: socket.socket, last: int) -> socket.socket | None:
    """The same socket under a number up to ``last``, if one has become free; the old one is closed then."""
    try:
        number = os.dup(sock.fileno())
    except OSError:
        return None
    if number > last:
        os.close(number)
        return None
    # Its family and type are known, so that nobody has to ask for them.
    again = socket.socket(sock.family, sock.type, sock.proto, fileno=number)
    sock.close()
    again.setblocking(False)
    return again
