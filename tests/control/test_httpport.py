"""The port of an HTTP site."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

from streamproxy.control.httpport import RETRY, HttpPort
from streamproxy.model import Address


class Occupied(MemoryReactorClock):
    """Somebody else has the port, until he lets it go."""

    occupied = True

    def listenTCP(self, *args: Any, **options: Any) -> Any:
        if self.occupied:
            raise CannotListenError("::1", 9091, OSError(98, "Address already in use"))
        return super().listenTCP(*args, **options)


def test_it_listens_until_it_is_stopped() -> None:
    reactor = MemoryReactorClock()
    port = HttpPort(reactor, "a site", Address("::1", 9091), "site")
    port.start()
    servers: list[Any] = reactor.tcpServers
    assert [(server[0], server[1], server[3]) for server in servers] == [(9091, "site", "::1")]
    port.stop()
    assert reactor.getDelayedCalls() == []


def test_it_listens_as_soon_as_it_can() -> None:
    reactor = Occupied()
    port = HttpPort(reactor, "a site", Address("::1", 9091), "site")
    port.start()
    reactor.occupied = False
    assert not reactor.tcpServers
    reactor.advance(RETRY)
    assert len(reactor.tcpServers) == 1
    assert reactor.getDelayedCalls() == []
