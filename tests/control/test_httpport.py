"""The port of an HTTP site."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock

from streamproxy.control.httpport import RETRY, HttpPort
from streamproxy.control.inherited import Inherited, Passed
from streamproxy.control.sockets import Sockets, server_address
from streamproxy.model import Address


def free() -> tuple[Address, socket.socket]:
    """An address, and somebody who has it."""
    holder = socket.create_server(("127.0.0.1", 0))
    return Address("127.0.0.1", int(holder.getsockname()[1])), holder


def test_it_listens_until_it_is_stopped() -> None:
    reactor = MemoryReactorClock()
    listen, holder = free()
    holder.close()
    port = HttpPort(reactor, "a site", listen, "site")
    assert port.held() == ()
    port.start()
    ((descriptor, family, site),) = reactor.adoptedPorts
    assert (family, site) == (socket.AF_INET, "site")
    (held,) = port.held()
    assert (held.address, held.descriptor, held.name) == (server_address(listen), descriptor, "a site")
    with socket.socket(fileno=socket.dup(descriptor)) as sock:
        assert sock.getsockname()[1] == listen.port
    port.stop()
    assert port.held() == ()
    assert reactor.getDelayedCalls() == []


def test_it_listens_as_soon_as_it_can() -> None:
    reactor = MemoryReactorClock()
    listen, holder = free()
    port = HttpPort(reactor, "a site", listen, "site")
    port.start()
    holder.close()
    assert not reactor.adoptedPorts
    reactor.advance(RETRY)
    assert len(reactor.adoptedPorts) == 1
    assert reactor.getDelayedCalls() == []
    port.stop()


def test_one_that_is_stopped_before_it_listens_tries_no_more() -> None:
    reactor = MemoryReactorClock()
    listen, holder = free()
    with holder:
        port = HttpPort(reactor, "a site", listen, "site")
        port.start()
        assert port.stop() is None
    assert reactor.getDelayedCalls() == []
    port.pause()
    port.resume()


def test_a_socket_that_was_left_to_it_is_used() -> None:
    reactor = MemoryReactorClock()
    listen, holder = free()
    inherited = Inherited()
    inherited.add([Passed(server_address(listen), holder, "a site")])
    port = HttpPort(reactor, "a site", listen, "site", sockets=Sockets(inherited))
    port.start()
    assert [held.descriptor for held in port.held()] == [holder.fileno()]
    port.stop()
    assert Path(f"/proc/self/fd/{reactor.adoptedPorts[0][0]}").exists() is False


def test_another_servers_socket_is_not() -> None:
    reactor = MemoryReactorClock()
    listen, holder = free()
    inherited = Inherited()
    inherited.add([Passed(server_address(listen), holder, "another site")])
    port = HttpPort(reactor, "a site", listen, "site", sockets=Sockets(inherited))
    port.start()
    assert port.held() == ()
    port.stop()
    (left,) = inherited.rest()
    left.socket.close()
    assert inherited.rest() == []
