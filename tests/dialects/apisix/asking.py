"""What the tests of this package ask with: the plugins there are, one of their own, and stored documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streamproxy.dialects.apisix import Vault, refusal
from streamproxy.errors import Problem
from streamproxy.plugins.base import BasePlugin
from streamproxy.plugins.discovery import BUILT_IN
from streamproxy.plugins.seam import Plugin, UpstreamReference

from ...tls.pki import NOW, Authority

ROOT = Authority.root("Root")
LEAF = ROOT.issue("client")
CERT, PRIVATE = LEAF.pem.decode(), LEAF.key_pem.decode()
RR: dict[str, Any] = {"nodes": {"127.0.0.1:8080": 1}, "type": "roundrobin"}
VAULT = Vault(environ={"WORD": "open sesame"})


class Probe(BasePlugin):
    """A plugin with everything that a plugin may have."""

    name = "probe"
    priority = 2000
    schema: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "level": {"type": "integer"},
            "password": {"type": "string", "maxLength": 20},
            "inner": {"type": "object", "properties": {"secret": {"type": "string"}}},
            "to": {"type": "object"},
        },
    }
    metadata_schema: Mapping[str, Any] = {
        "type": "object",
        "properties": {"size": {"type": "integer"}},
        "additionalProperties": False,
    }
    encrypted: tuple[str, ...] = ("password", "inner.secret")

    def problems(self, conf: Mapping[str, Any]) -> Iterator[Problem]:
        if conf.get("level") == 13:
            yield Problem("level", "bad_value", "13 brings bad luck")
        if conf.get("level") == 666:
            raise RuntimeError(conf)

    def references(self, conf: Mapping[str, Any]) -> Iterator[UpstreamReference]:
        if "to" in conf:
            yield UpstreamReference("to", conf["to"])


PLUGINS: Mapping[str, Plugin] = {plugin.name: plugin for plugin in (*BUILT_IN, Probe())}


def refused(
    kind: str,
    body: object,
    *,
    id: str = "1",  # noqa: A002
    stored: Iterable[tuple[str, str, Mapping[str, Any]]] = (),
    plugins: Mapping[str, Plugin] = PLUGINS,
    vault: Vault = VAULT,
    now: float | None = NOW,
    protocols: frozenset[str] = frozenset(),
) -> str | None:
    """What is answered to storing ``body`` where ``stored`` documents (kind, id, body) are there already."""
    documents = {(kind, id): body for kind, id, body in stored}  # noqa: A001
    return refusal(
        kind,
        id,
        body,
        get=lambda kind, id: documents.get((kind, id)),  # noqa: A006
        plugins=plugins,
        vault=vault,
        now=now,
        protocols=protocols,
    )
