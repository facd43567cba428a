"""A whole Admin API in memory, and a caller of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from attrs import define, field, frozen
from hypothesis import settings
from treq.testing import StubTreq
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from streamproxy.admin import AdminApp
from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.store.memory import MemoryStore
from streamproxy.interfaces import ConfigStore, Configuration, Explained, SessionWatcher
from streamproxy.model import (
    AdminClient,
    AdminKey,
    AdminSettings,
    CertificateChoice,
    CertificateStatus,
    Config,
    Document,
    Ended,
    Json,
    ListenerStatus,
    NameStatus,
    Ongoing,
    Role,
    Secret,
    UpstreamStatus,
)

T = TypeVar("T")

# How long an example takes says nothing about whether it is right, least of all on a busy machine.
patient = settings(deadline=None)

CLIENT = ("admin-api-apikey-id", "admin-api-apikey-secret")
SETTINGS = AdminSettings(
    keys=(
        AdminKey("root", Secret("root-key"), Role.ADMIN),
        AdminKey("watcher", Secret("watcher-key"), Role.VIEWER),
    ),
    clients=(AdminClient(CLIENT[0], Secret(CLIENT[1]), Role.ADMIN),),
    max_body=200_000,
)
BASE = "http://127.0.0.1:9180"
# 2024-01-02T03:04:05.678Z
NOW = 1704164645.678


@define
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@define
class FakeRuntime:
    statuses: tuple[ListenerStatus, ...] = ()
    open: int = 0
    ended: list[Ended] = field(factory=list)
    served: tuple[CertificateStatus, ...] = ()
    choices: dict[str | None, CertificateChoice] = field(factory=dict)
    pools: tuple[UpstreamStatus, ...] = ()
    going_on: list[Ongoing] = field(factory=list)
    killed: list[tuple[str, str]] = field(factory=list)
    watchers: list[SessionWatcher] = field(factory=list)
    questions: list[Json] = field(factory=list)
    looked_up: tuple[NameStatus, ...] = ()

    def listeners(self) -> tuple[ListenerStatus, ...]:
        return self.statuses

    def upstreams(self) -> tuple[UpstreamStatus, ...]:
        return self.pools

    def sessions(self) -> int:
        return self.open

    def names(self) -> tuple[NameStatus, ...]:
        return self.looked_up

    def recent(self) -> Sequence[Ended]:
        return self.ended

    def refresh(self) -> Deferred[None]:
        return succeed(None)

    def live(self) -> Iterable[Ongoing]:
        return self.going_on

    def session(self, session_id: str) -> Ongoing | Ended | None:
        known: list[Ongoing | Ended] = [*self.going_on, *self.ended]
        return next((each for each in known if each.id == session_id), None)

    def kill(self, session_id: str, detail: str) -> bool:
        self.killed.append((session_id, detail))
        return any(each.id == session_id for each in self.going_on)

    def watch(self, watcher: SessionWatcher) -> Callable[[], None]:
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher)

    def why(self, session_id: str) -> Deferred[Explained | None]:
        return succeed(None if self.session(session_id) is None else Explained({"session": session_id}, "because\n"))

    def explain(self, question: Json) -> Deferred[Explained]:
        self.questions.append(question)
        return succeed(Explained({"session": None}, "it would\n"))

    def certificates(self) -> tuple[CertificateStatus, ...]:
        return self.served

    def certificate_for(self, name: str | None) -> CertificateChoice:
        return self.choices[name]


@frozen
class Reply:
    """``length`` is what ``Content-Length`` said."""

    code: int
    headers: Mapping[str, str]
    data: bytes
    length: int

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.data.split(b"\n") if line]


def result_of(deferred: Deferred[T]) -> T:
    """The result of a Deferred that has fired; its failure is raised."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    assert results, "the answer is not there yet"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    found: T = results[0]
    return found


def live(store: ConfigStore | None = None, resources: Sequence[Document] = ()) -> LiveConfiguration:
    """The real configuration, in memory."""
    made = store if store is not None else MemoryStore(clock=Clock())
    configuration = LiveConfiguration(made, Config(path="test.yaml", resources=tuple(resources)), lambda _: None)
    result_of(configuration.start())
    return configuration


class Api:
    """Calls the API as somebody with the client's credentials would, unless told otherwise."""

    def __init__(
        self,
        configuration: Configuration | None = None,
        *,
        settings: AdminSettings = SETTINGS,
        runtime: FakeRuntime | None = None,
        ready: bool = True,
        env_prod: bool = True,
        **options: Any,
    ) -> None:
        self.configuration = configuration if configuration is not None else live()
        self.runtime = runtime if runtime is not None else FakeRuntime()
        self.clock = Clock()
        self.made = 0
        self.app = AdminApp(
            self.configuration,
            self.runtime,
            settings,
            uuid=self._uuid,
            clock=self.clock,
            ready=lambda: ready,
            env_prod=env_prod,
            **options,
        )
        self.treq: Any = StubTreq(self.app.resource())

    def _uuid(self) -> str:
        self.made += 1
        return f"u{self.made}"

    def start(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = CLIENT,
    ) -> Deferred[Any]:
        """Send a request; ``body`` is sent as JSON."""
        given = dict(headers or {})
        if body is not None:
            data = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        deferred: Deferred[Any] = self.treq.request(method, f"{BASE}{path}", headers=given, data=data, auth=auth)
        return deferred

    def reply(self, deferred: Deferred[Any]) -> Reply:
        """The answer to a request that was sent."""
        self.treq.flush()
        response = result_of(deferred)
        headers = {name.decode().lower(): values[-1].decode() for name, values in response.headers.getAllRawHeaders()}
        return Reply(response.code, headers, result_of(self.treq.content(response)), response.length)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        return self.reply(self.start(method, path, body, **options))

    def get(self, path: str, **options: Any) -> Reply:
        return self.call("GET", path, **options)

    def lines(self, method: str, path: str, values: Sequence[Any], **options: Any) -> Reply:
        """Send ``values`` as newline-delimited JSON."""
        data = b"\n".join(json.dumps(value).encode() for value in values)
        headers = {"Content-Type": "application/x-ndjson", **options.pop("headers", {})}
        return self.call(method, path, data=data, headers=headers, **options)


def service(id: str = "pg", port: int = 5432, **fields: Any) -> dict[str, Any]:  # noqa: A002
    """A service with all its fields."""
    return {
        "_loc": {"tenant": "default", "teams": ["default"]},
        "id": id,
        "name": f"the {id}",
        "description": "",
        "enabled": True,
        "tls": "Disabled",
        "sni": {
            "enabled": False,
            "forwardIfNoMatch": False,
            "forwardsTo": {"host": "127.0.0.1", "ip": None, "port": 8080, "tls": False},
        },
        "clientAuth": "None",
        "port": port,
        "interface": "127.0.0.1",
        "rules": [{"domain": "*", "targets": [{"host": "10.0.0.1", "ip": None, "port": port, "tls": False}]}],
        "metadata": {},
        "tags": [],
        **fields,
    }
