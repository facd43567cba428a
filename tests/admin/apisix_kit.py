"""Somebody with a key who calls APISIX's Admin API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from streamproxy.admin.apisix_kinds import KINDS
from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.store.memory import MemoryStore
from streamproxy.model import Config, Document
from streamproxy.plugins.discovery import catalogue
from tests.tls.pki import rsa_key, self_signed

from .api import SETTINGS, Api, Clock, Reply, result_of

KEY = {"X-API-KEY": "root-key"}
VIEWER = {"X-API-KEY": "watcher-key"}

RSA = self_signed("test.com", key=rsa_key())
ECC = self_signed("test.com")
CERT, PRIVATE = RSA.pem.decode(), RSA.key_pem.decode()
ECC_CERT, ECC_PRIVATE = ECC.pem.decode(), ECC.key_pem.decode()


def roundrobin(port: int = 8080) -> dict[str, Any]:
    return {"nodes": {f"127.0.0.1:{port}": 1}, "type": "roundrobin"}


class Verbs:
    """Whoever can be called: the same tests are for the API in memory and for a process."""

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        raise NotImplementedError

    def get(self, path: str, **options: Any) -> Reply:
        return self.call("GET", path, **options)

    def put(self, path: str, body: Any, **options: Any) -> Reply:
        return self.call("PUT", path, body, **options)

    def post(self, path: str, body: Any, **options: Any) -> Reply:
        return self.call("POST", path, body, **options)

    def patch(self, path: str, body: Any, **options: Any) -> Reply:
        return self.call("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Reply:
        return self.call("DELETE", path, **options)

    def is_now(self, time: float) -> bool:
        """Is it about this time (seconds since the epoch)?"""
        raise NotImplementedError

    def wait(self) -> None:
        """Until it is another time."""
        raise NotImplementedError

    def at_rest(self) -> str:
        """Everything that is stored."""
        raise NotImplementedError


class Apisix(Verbs):
    """
    The API in memory, with all plugins. ``clock`` is what both it and the store go by. Options are those of
    ``AdminApp``, and ``settings`` changes to those of the Admin API.
    """

    def __init__(
        self, *, resources: Sequence[Document] = (), settings: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self.store = MemoryStore(clock=lambda: self.clock())
        config = Config(path="test.yaml", resources=tuple(resources))
        self.configuration = LiveConfiguration(self.store, config, lambda _: None)
        # What it starts with was written before.
        self.clock = Clock()
        result_of(self.configuration.start())
        everything = catalogue(("ip-restriction", "limit-conn", "mqtt-proxy", "traffic-split", "prometheus", "syslog"))
        self.api = Api(
            self.configuration,
            settings=evolve(SETTINGS, **(settings or {})),
            plugins=lambda: options.get("catalogue", everything),
            vault=lambda: self.configuration.vault,
            **{name: value for name, value in options.items() if name != "catalogue"},
        )
        self.clock = self.api.clock

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        options.setdefault("headers", KEY)
        options.setdefault("auth", None)
        return self.api.call(method, f"/apisix/admin{path}", body, **options)

    def is_now(self, time: float) -> bool:
        return time == int(self.clock())

    def wait(self) -> None:
        self.clock.now += 100

    def at_rest(self) -> str:
        return str([document.body for kind in KINDS for document in self.configuration.list("apisix", kind)])


def without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in value.items() if name not in names}


def undated(value: Mapping[str, Any]) -> dict[str, Any]:
    return without(value, "create_time", "update_time")


def error(reply: Reply) -> str:
    """The ``error_msg`` of an answer that has nothing else."""
    assert list(reply.json) == ["error_msg"], reply.data
    found: str = reply.json["error_msg"]
    return found
