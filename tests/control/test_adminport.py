"""The port of the Admin API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

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
    AdminPort(reactor, AdminSettings(Address("127.0.0.1", 9180)), "site").start()
    servers: list[Any] = reactor.tcpServers
    assert [(server[0], server[1], server[3]) for server in servers] == [(9180, "site", "127.0.0.1")]
    AdminPort(reactor, AdminSettings(Address("::1", 9443), tls=tls), "site").start()
    ((port, site, context, _, interface),) = reactor.sslServers
    assert (port, site, interface) == (9443, "site", "::1")
    assert context.verify
    assert len(context.extraCertChain) == 1


def test_a_busy_port_is_tried_again_until_the_end() -> None:
    class Busy(MemoryReactorClock):
        tries = 0

        def listenTCP(self, *args: Any, **options: Any) -> Any:
            self.tries += 1
            raise CannotListenError("127.0.0.1", 9180, OSError(98, "Address already in use"))

    reactor = Busy()
    port = AdminPort(reactor, AdminSettings(), "site")
    port.start()
    reactor.advance(RETRY)
    assert reactor.tries == 2
    assert port.stop() is None
    reactor.advance(RETRY)
    assert reactor.tries == 2


@pytest.mark.parametrize("broken", ["cert", "key", "ca"])
def test_material_that_cannot_be_used_is_named(tls: AdminTls, tmp_path: Path, broken: str) -> None:
    (tmp_path / broken).write_text("nothing of the kind")
    with pytest.raises(StoreError) as caught:
        AdminPort(MemoryReactorClock(), AdminSettings(tls=tls), "site")
    assert "admin.tls" in str(caught.value)
