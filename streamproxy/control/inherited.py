"""Listening sockets that somebody else bound: a process before this one, its parent, or systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from attrs import field, frozen

from ..model import ListenAddress, Transport


@frozen(eq=False)
class Passed:
    """
    A bound socket, and the ``address`` that was asked for when it was (its port may be 0). ``name`` says what of a
    process's own servers it is for; empty: a listener, or whatever fits. Whoever gave one that is ``lasting`` keeps the
    address for ever, so it has to be there each time the address is wanted.
    """

    address: ListenAddress
    socket: socket.socket
    name: str = ""
    lasting: bool = False


@frozen(eq=False)
class Inherited:
    """Those that nobody has taken yet."""

    _waiting: list[Passed] = field(factory=list)

    def add(self, passed: Iterable[Passed]) -> None:
        self._waiting.extend(passed)

    def take(self, address: ListenAddress, name: str = "") -> socket.socket | None:
        """
        A socket for this address, which is the caller's from now on. What is bound to every address of both families
        also does for every IPv4 address.
        """
        for wanted in (address, _both_families(address)):
            for passed in self._waiting:
                if passed.address != wanted or passed.name not in ("", name):
                    continue
                if wanted is not address and not _takes_ipv4(passed.socket):
                    continue
                if passed.lasting:
                    return passed.socket.dup()
                self._waiting.remove(passed)
                return passed.socket
        return None

    def discard(self, address: ListenAddress) -> None:
        """Nobody will want those of this address."""
        for passed in tuple(self._waiting):
            if passed.address == address and not passed.lasting:
                self._waiting.remove(passed)
                passed.socket.close()

    @property
    def lasting(self) -> tuple[Passed, ...]:
        return tuple(passed for passed in self._waiting if passed.lasting)

    def rest(self) -> list[Passed]:
        """Those that nobody has taken, and that do not last; they are the caller's."""
        rest = [passed for passed in self._waiting if not passed.lasting]
        self._waiting[:] = self.lasting
        return rest


def _both_families(address: ListenAddress) -> ListenAddress | None:
    if address.interface != "0.0.0.0" or address.transport is not Transport.TCP:
        return None
    return ListenAddress(address.transport, "::", address.port)


def _takes_ipv4(sock: socket.socket) -> bool:
    return not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def adopted(descriptor: int) -> socket.socket:
    """The socket of a descriptor, which belongs to it from now on. Raises ``OSError`` for what is none."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
    sock.setblocking(False)
    return sock
