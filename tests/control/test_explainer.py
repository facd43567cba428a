"""Explanations by what a process knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed

from streamproxy.control import explainer
from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.explainer import Explainer
from streamproxy.control.store.memory import MemoryStore
from streamproxy.errors import InvalidConfiguration
from streamproxy.model import (
    Address,
    Certificate,
    CertificateChoice,
    Config,
    Ended,
    Ending,
    Facts,
    Key,
    ListenAddress,
    ListenerState,
    ListenerStatus,
    Put,
    Transport,
)

from ..admin.api import Clock, result_of
from .test_configuration import service

PG = Key("otoroshi", "tcp-services", "pg")
FACTS = Facts(ListenAddress(Transport.TCP, "127.0.0.1", 5432), Address("192.0.2.1", 1), Address("127.0.0.1", 5432))


@define
class Stage:
    clock: Clock = field(factory=Clock)
    listening: list[ListenerStatus] = field(factory=list)
    threads: int = 0
    asked: list[Any] = field(factory=list)
    history: int = 1000
    configuration: LiveConfiguration = field(init=False)
    explainer: Explainer = field(init=False)

    def __attrs_post_init__(self) -> None:
        store = MemoryStore(clock=self.clock, history=self.history)
        self.configuration = LiveConfiguration(store, Config("x.yaml"), lambda _: None, now=self.clock)
        result_of(self.configuration.start())
        self.explainer = Explainer(
            self.configuration, tuple, lambda: self.listening, self.certificate_for, self.in_thread
        )

    def in_thread(self, call: Callable[[], Any]) -> Deferred[Any]:
        self.threads += 1
        return succeed(call())

    def certificate_for(self, name: str | None, objects: tuple[Certificate, ...] | None = None) -> CertificateChoice:
        self.asked.append((name, objects))
        return CertificateChoice(None, "no certificate for it")

    def write(self, **fields: Any) -> None:
        self.clock.now += 1
        result_of(self.configuration.change([Put(PG, service(**fields))], author="x"))

    def session(self) -> Ended:
        """One of now."""
        route = "otoroshi:tcp-services/pg rules"
        return Ended(
            "s", FACTS, "pg", self.configuration.revision(), Ending.CLIENT_CLOSED, self.clock.now, 1.0, route, route
        )

    def source(self, record: Ended) -> str:
        explained = result_of(self.explainer.session(record))
        assert explained is not None
        return str(explained.answer["source"])


def test_the_configuration_a_session_was_decided_by_is_kept() -> None:
    stage = Stage()
    stage.write(port=5432)
    record = stage.session()
    stage.write(port=1)
    assert stage.source(record) == "pinned"


def test_a_session_that_is_forgotten() -> None:
    assert result_of(Stage().explainer.session(None)) is None


def test_one_that_is_kept_no_more_is_put_together_again() -> None:
    stage = Stage()
    stage.write(port=5432)
    record = stage.session()
    for number in range(60):
        stage.write(port=5432, description=str(number))
    assert stage.source(record) == "restored"


def test_where_nothing_changed_for_a_listener_the_configuration_of_now_is_the_one() -> None:
    stage = Stage()
    stage.write(port=5432)
    record = stage.session()
    for number in range(60):
        stage.write(port=5432, description=str(number))
    listener = stage.configuration.snapshot.listeners[0]
    stage.listening.append(ListenerStatus(listener, ListenerState.LISTENING, 5432, revision=record.revision))
    assert stage.source(record) == "pinned"


def test_where_even_the_history_has_forgotten_it_that_of_now_is_asked() -> None:
    stage = Stage(history=10)
    stage.write(port=5432)
    record = stage.session()
    for number in range(60):
        stage.write(port=5432, description=str(number))
    assert stage.source(record) == "current"
    assert stage.source(evolve(record, revision=999)) == "current"


def test_a_question() -> None:
    stage = Stage()
    stage.write(port=5432)
    answer = result_of(stage.explainer.question({"port": 5432})).answer
    assert (answer["source"], answer["ending"]["ending"], answer["problems"]) == ("current", "relayed", [])


def test_a_question_about_another_configuration() -> None:
    stage = Stage()
    stage.write(port=5432)
    other = service(5433, id="other", tls="Enabled")
    answer = result_of(stage.explainer.question({"port": 5433, "configuration": {"tcp_services": [other]}})).answer
    assert (answer["source"], answer["ending"]["ending"]) == ("candidate", "handshake_failed")
    assert stage.asked == [(None, ())], "with the certificates of that configuration"
    assert stage.configuration.revision() == 1
    rival = service(5432, id="rival")
    answer = result_of(stage.explainer.question({"port": 5432, "configuration": {"tcp_services": [rival]}})).answer
    assert [problem["path"] for problem in answer["problems"]] == ["port"]


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({}, "listener"),
        ({"port": 1, "configuration": {"tcp_services": [{}]}}, "configuration.tcp_services[0].id"),
        ({"port": 1, "configuration": {"tables": []}}, "configuration.tables"),
        ({"port": 1, "configuration": 7}, "configuration"),
    ],
)
def test_what_cannot_be_asked(question: Any, path: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        result_of(Stage().explainer.question(question))
    assert refused.value.problems[0].path == path


def test_with_very_many_routes_it_is_decided_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.write(port=5432)
    monkeypatch.setattr(explainer, "MOST_AT_ONCE", 0)
    assert stage.source(stage.session()) == "pinned"
    assert stage.threads == 1
