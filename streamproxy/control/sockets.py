"""Where a process's listening sockets come from."""

from __future__ import annotations

import socket
from collections.abc import Callable

from attrs import define, field

from ..model import Address, ListenAddress, Transport
from ..relay.pktinfo import bind_udp, prepare_udp
from .estate import Held
from .inherited import Inherited
from .ports import bind_tcp, prepare_tcp


@define(eq=False)
class Sockets:
    """
    Binds addresses, unless somebody before us has. While they are ``held`` nothing is to be taken from them: another
    process still does.
    """

    inherited: Inherited = field(factory=Inherited)
    held: bool = False
    _bind_tcp: Callable[[ListenAddress], socket.socket] = bind_tcp
    _bind_udp: Callable[[ListenAddress], socket.socket] = bind_udp

    def bind(self, address: ListenAddress, name: str = "") -> socket.socket:
        """
        A non-blocking socket, which listens if it is a TCP socket. ``name`` as for :class:`~.inherited.Passed`. Raises
        ``OSError`` when the address cannot be had.
        """
        is_tcp = address.transport is Transport.TCP
        sock = self.inherited.take(address, name)
        if sock is None:
            return self._bind_tcp(address) if is_tcp else self._bind_udp(address)
        try:
            if is_tcp:
                prepare_tcp(sock)
            else:
                prepare_udp(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def lasting(self) -> tuple[Held, ...]:
        """Those that whoever gave them keeps for ever."""
        passed = self.inherited.lasting
        return tuple(Held(each.address, each.socket.fileno(), each.name, lasting=True) for each in passed)


def server_address(listen: Address) -> ListenAddress:
    """The address of one of the process's own servers."""
    return ListenAddress(Transport.TCP, listen.host, listen.port)
