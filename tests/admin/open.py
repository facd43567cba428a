"""A caller of the sites that ask nobody who he is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.web.resource import IResource

from streamproxy.admin.open_site import open_site

from .api import Reply


class Caller:
    """
    Calls ``resource``, which listens on ``listen_host``, without being helpful: no header is added, nothing unpacked.
    """

    def __init__(self, resource: IResource, listen_host: str = "127.0.0.1") -> None:
        reactor: Any = MemoryReactorClock()
        self._site = open_site(resource, reactor, listen_host)

    def call(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        protocol = self._site.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        lines = [f"{method} {path} HTTP/1.0"]
        lines += [f"{name}: {value}" for name, value in {"Host": "127.0.0.1", **(headers or {})}.items()]
        protocol.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
        head, _, data = transport.value().partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        found = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        return Reply(int(status.split()[1]), found, data, int(found.get("content-length", -1)))

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})
