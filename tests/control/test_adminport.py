"""The port of the Admin API."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory

from streamproxy.control.adminport import AdminPort
from streamproxy.control.httpport import RETRY
from streamproxy.errors import StoreError
from streamproxy.model import Address, AdminSettings, AdminTls
from tests.tls.pki import Authority

ROOT = Authority.root("the admins' root")


@pytest.fixture
def tls(tmp_path: Path) -> AdminTls:
    issued = ROOT.intermediate("an intermediate").issue("localhost")
    for name, data in (("cert", issued.chain_pem), ("key", issued.key_pem), ("ca", ROOT.pem * 2)):
        (tmp_path / name).write_bytes(data)
    return AdminTls(str(tmp_path / "cert"), str(tmp_path / "key"), str(tmp_path / "ca"))


def test_it_listens_where_it_is_told(tls: AdminTls) -> None:
    reactor = MemoryReactorClock()
    plain = AdminPort(reactor, AdminSettings(Address("127.0.0.1", 0)), "site")
    plain.start()
    secured = AdminPort(reactor, AdminSettings(Address("::1", 0), tls=tls), "site")
    secured.start()
    (_, first, site), (_, second, wrapped) = reactor.adoptedPorts
    assert (first, second, site) == (socket.AF_INET, socket.AF_INET6, "site")
    assert isinstance(wrapped, TLSMemoryBIOFactory)
    assert wrapped.wrappedFactory == "site"
    plain.stop()
    secured.stop()


def test_a_busy_port_is_tried_again_until_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        reactor = MemoryReactorClock()
        port = AdminPort(reactor, AdminSettings(Address("127.0.0.1", int(holder.getsockname()[1]))), "site")
        port.start()
        reactor.advance(RETRY)
        assert len(reactor.getDelayedCalls()) == 1
        assert port.stop() is None
        assert reactor.getDelayedCalls() == []
    assert not reactor.adoptedPorts


class Site:
    """An admin site that only remembers."""

    def __init__(self) -> None:
        self.settled: Deferred[None] = Deferred()
        self.stirred = 0

    def hush(self) -> Deferred[None]:
        return self.settled

    def stir(self) -> None:
        self.stirred += 1


def test_it_can_be_hushed_and_stirred() -> None:
    site = Site()
    port = AdminPort(MemoryReactorClock(), AdminSettings(Address("127.0.0.1", 0)), site)
    hushed = port.hush()
    assert not hushed.called
    site.settled.callback(None)
    assert hushed.called
    port.stir()
    assert site.stirred == 1


@pytest.mark.parametrize("broken", ["cert", "key", "ca"])
def test_material_that_cannot_be_used_is_named(tls: AdminTls, tmp_path: Path, broken: str) -> None:
    (tmp_path / broken).write_text("nothing of the kind")
    with pytest.raises(StoreError) as caught:
        AdminPort(MemoryReactorClock(), AdminSettings(tls=tls), "site")
    assert "admin.tls" in str(caught.value)
