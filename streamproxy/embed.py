"""For applications of your own: a proxy as a factory for any Twisted server endpoint."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .dialects.assemble import assemble
from .errors import InvalidConfiguration, Problem
from .model import Document, Ended, Json, Key, Limits, ListenAddress, TlsMode, Transport
from .observe.sessions import SessionTable
from .relay.engine import Engine
from .relay.factory import StreamProxyFactory
from .relay.node_closer import NodeCloser
from .relay.resolve import Resolver, system_lookup
from .relay.serving import Serving

__all__ = ["Embedded", "stream_proxy"]


class Embedded(StreamProxyFactory):
    """A :class:`StreamProxyFactory` that is told what to do in the words of a document."""

    def use(self, service: str | Sequence[str] | Mapping[str, Any], limits: Limits | None = None) -> None:
        """From now on serve new connections by this; as for :func:`stream_proxy`. Open sessions stay as they are."""
        self.serving = _serving(service, limits or self.serving.limits)

    @property
    def recent(self) -> Sequence[Ended]:
        """The records of the last sessions that ended, oldest first."""
        return self.engine.table.latest()


def stream_proxy(
    reactor: Any, service: str | Sequence[str] | Mapping[str, Any], limits: Limits = Limits()
) -> Embedded:
    """
    A factory that relays every connection as ``service`` says: ``"host:port"``, several of them to take turns, or an
    Otoroshi TCP service (``tls``, ``sni``, ``rules`` ...; where it listens is the endpoint's business, so ``port`` and
    ``interface`` may be left out).

    Raises :class:`~streamproxy.errors.InvalidConfiguration` with everything that is wrong with it.
    """
    table = SessionTable(prefix=secrets.token_hex(4))
    engine = Engine(reactor, Resolver(system_lookup(reactor), reactor.seconds), table, time.time)
    engine.pools.closer = NodeCloser(engine)
    return Embedded(engine, _serving(service, limits))


def _serving(service: str | Sequence[str] | Mapping[str, Any], limits: Limits) -> Serving:
    body: dict[str, Json]
    if isinstance(service, Mapping):
        body = dict(service)
    else:
        targets = [service] if isinstance(service, str) else list(service)
        body = {"rules": [{"domain": "*", "targets": [_target(text) for text in targets]}]}
    # An endpoint listens for it, so all that has to be said of the address is that there is one.
    body = {"name": "embedded", "description": "", **body, "port": 1, "interface": "127.0.0.1", "enabled": True}
    assembled = assemble([Document(Key("otoroshi", "tcp-services", "embedded"), body)], limits=limits)
    if assembled.problems:
        raise InvalidConfiguration(tuple(found.problem for found in assembled.problems))
    (listener,) = assembled.snapshot.listeners
    if listener.tls is TlsMode.TERMINATE:
        raise InvalidConfiguration((Problem("tls", "unsupported", "let your endpoint terminate TLS; say Disabled"),))
    if listener.address != ListenAddress(Transport.TCP, "127.0.0.1", 1):
        raise AssertionError("an embedded service has one listener")
    return Serving.of(assembled.snapshot, listener)


def _target(text: str) -> Json:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise InvalidConfiguration((Problem("", "bad_value", f"{text!r} is not of the form host:port"),))
    return {"host": host.strip("[]"), "port": int(port)}
