"""``/streamproxy/v1/listeners``: ports that are opened and closed while the proxy runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.admin.native_listeners import merged
from streamproxy.control.configuration import LiveConfiguration
from streamproxy.control.store.memory import MemoryStore
from streamproxy.interfaces import Configuration
from streamproxy.model import (
    Config,
    Document,
    Key,
    ListenAddress,
    ListenerState,
    ListenerStatus,
    Snapshot,
    StaticListener,
    TlsMode,
    Transport,
)

from ..dialects.test_codec import json_values
from .api import Api, Clock, FakeRuntime, patient, result_of, service

PATH = "/streamproxy/v1/listeners"
KEY = {"X-API-KEY": "root-key"}


class Scene:
    """An API, and listeners that listen as soon as they are asked for."""

    def __init__(self, *resources: Document, static: tuple[StaticListener, ...] = ()) -> None:
        self.runtime = FakeRuntime()
        self.snapshot = Snapshot()
        configuration = LiveConfiguration(
            MemoryStore(clock=Clock()), Config("proxy.yaml", resources=resources, stream_proxy=static), self.apply
        )
        result_of(configuration.start())
        self.configuration: Configuration = configuration
        self.api = Api(self.configuration, runtime=self.runtime)

    def apply(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.runtime.statuses = tuple(
            ListenerStatus(listener, ListenerState.LISTENING, listener.address.port) for listener in snapshot.listeners
        )

    @property
    def addresses(self) -> list[str]:
        return [str(listener.address) for listener in self.snapshot.listeners]

    def call(self, method: str, path: str = "", body: Any = None, **options: Any) -> Any:
        return self.api.call(method, PATH + path, body, **options)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_one_is_opened_looked_at_changed_and_closed(scene: Scene) -> None:
    opened = scene.call("POST", body={"id": "mail", "addr": "127.0.0.1:9101", "name": "for mail"})

    assert opened.code == 201
    assert opened.headers["location"] == f"{PATH}/mail"
    assert opened.headers["etag"] == '"1"'
    assert opened.json["listener"] == {"id": "mail", "addr": "127.0.0.1:9101", "name": "for mail"}
    assert [(each["address"], each["state"]) for each in opened.json["status"]] == [("tcp 127.0.0.1:9101", "listening")]
    assert scene.addresses == ["tcp 127.0.0.1:9101"]
    (listener,) = scene.snapshot.listeners
    assert (listener.routing, listener.owner) == ("apisix", "native:listeners/mail")
    assert listener.documents == (Key("native", "listeners", "mail"),)

    assert scene.call("GET", "/mail").json == opened.json

    moved = scene.call("PATCH", "/mail", {"addr": 9102, "name": None, "labels": {"team": "a"}})
    assert (moved.code, moved.headers["etag"]) == (200, '"2"')
    assert moved.json["listener"] == {"id": "mail", "addr": 9102, "labels": {"team": "a"}}
    assert scene.addresses == ["tcp 0.0.0.0:9102"]

    assert scene.call("PUT", "/mail", {"addr": 9103, "transport": "udp"}).code == 200
    assert scene.addresses == ["udp 0.0.0.0:9103"]

    closed = scene.call("DELETE", "/mail")
    assert (closed.code, closed.json) == (200, {"deleted": True})
    assert scene.addresses == []
    assert scene.call("GET", "/mail").code == 404


def test_the_list_shows_all_that_listens_and_what_was_asked_for_here(scene: Scene) -> None:
    scene.api.call("POST", "/api/tcp/services", service("pg"))
    scene.call("POST", body={"id": "a", "addr": "9101-9102"})

    reply = scene.call("GET").json

    assert [each["address"] for each in reply["listeners"]] == [
        "tcp 127.0.0.1:5432",
        "tcp 0.0.0.0:9101",
        "tcp 0.0.0.0:9102",
    ]
    (configured,) = reply["configured"]
    assert (configured["id"], configured["origin"], configured["revision"]) == ("a", None, 2)
    assert [status["port"] for status in configured["status"]] == [9101, 9102]


def test_an_id_is_made_where_none_is_given(scene: Scene) -> None:
    assert scene.call("POST", body={"addr": 9101}).json["id"] == "u1"
    assert scene.call("POST", body={"addr": 9102, "id": 7}).json["listener"] == {"id": "7", "addr": 9102}


def test_put_opens_what_is_not_there(scene: Scene) -> None:
    assert scene.call("PUT", "/a", {"addr": 9101}).code == 201
    assert scene.call("PUT", "/a", {"addr": 9101}).code == 200


def test_what_tls_does_there(scene: Scene) -> None:
    scene.call("PUT", "/a", {"addr": 9101, "tls": True})
    assert [listener.tls for listener in scene.snapshot.listeners] == [TlsMode.TERMINATE]
    scene.call("PUT", "/a", {"addr": 9101, "tls_passthrough": True})
    assert [listener.tls for listener in scene.snapshot.listeners] == [TlsMode.PASSTHROUGH]


def test_the_proxy_protocol(scene: Scene) -> None:
    scene.call("PUT", "/a", {"addr": 9101, "proxy_protocol": True, "proxy_protocol_to_upstream": 2})
    (listener,) = scene.snapshot.listeners
    assert listener.proxy_in is not None
    assert listener.proxy_out == 2


def test_a_body_may_be_yaml(scene: Scene) -> None:
    reply = scene.call("PUT", "/a", data=b"addr: 9101 # for mail", headers={"Content-Type": "application/yaml"})

    assert reply.code == 201
    assert scene.addresses == ["tcp 0.0.0.0:9101"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "addr"),
        ([], ""),
        ({"addr": 0}, "addr"),
        ({"addr": "9100-1"}, "addr"),
        ({"addr": "1-65535"}, "addr"),
        ({"addr": 9101, "transport": "sctp"}, "transport"),
        ({"addr": 9101, "tls": 1}, "tls"),
        ({"addr": 9101, "transport": "udp", "tls": True}, "tls"),
        ({"addr": 9101, "proxy_protocol_to_upstream": 3}, "proxy_protocol_to_upstream"),
        ({"addr": 9101, "adr": 9101}, "adr"),
        ({"addr": 9101, "id": "b"}, "id"),
        ({"addr": 9101, "labels": {"": "x"}}, "labels"),
        ({"addr": 9101, "name": ""}, "name"),
    ],
)
def test_what_makes_no_listener_is_refused_with_its_place(scene: Scene, body: Any, path: str) -> None:
    reply = scene.call("PUT", "/a", body)

    assert (reply.code, reply.json["error"]) == (400, "bad_entity")
    assert [problem["path"] for problem in reply.json["problems"]] == [path]
    assert scene.addresses == []


def test_an_id_is_a_word(scene: Scene) -> None:
    assert scene.call("PUT", "/a%20b", {"addr": 9101}).code == 400
    assert scene.call("POST", body={"id": "x" * 65, "addr": 9101}).code == 400


@pytest.mark.parametrize("data", [b"{", b"", b"\xff"])
def test_what_is_no_json(scene: Scene, data: bytes) -> None:
    for method, path in (("POST", ""), ("PUT", "/a"), ("PATCH", "/a")):
        assert scene.call(method, path, data=data).code == 400


def test_a_patch_is_an_object_and_for_what_is_there(scene: Scene) -> None:
    assert scene.call("PATCH", "/a", {"addr": 9101}).code == 404
    scene.call("PUT", "/a", {"addr": 9101})
    assert scene.call("PATCH", "/a", [9102]).code == 400
    assert scene.call("PATCH", "/a", {"addr": None}).code == 400
    assert scene.addresses == ["tcp 0.0.0.0:9101"]


def test_what_is_not_there_cannot_be_closed(scene: Scene) -> None:
    assert scene.call("DELETE", "/a").code == 404


def test_two_do_not_have_one_id(scene: Scene) -> None:
    scene.call("POST", body={"id": "a", "addr": 9101})
    reply = scene.call("POST", body={"id": "a", "addr": 9102})

    assert reply.code == 409
    assert "PUT replaces it" in reply.json["error_description"]


# Who has an address


def refusal(reply: Any) -> tuple[int, str]:
    return reply.code, reply.json["error_description"]


def test_the_address_of_another_listener_is_refused(scene: Scene) -> None:
    scene.call("PUT", "/a", {"addr": "127.0.0.1:9100-9105"})

    assert refusal(scene.call("PUT", "/b", {"addr": 9103})) == (
        400,
        "addr: port 9103 on 0.0.0.0 is already taken by native:listeners/a",
    )
    assert scene.call("PUT", "/b", {"addr": 9103, "transport": "udp"}).code == 201
    assert scene.call("PUT", "/c", {"addr": "[::]:9103"}).code == 201


def test_the_address_of_a_tcp_service_is_refused(scene: Scene) -> None:
    scene.api.call("POST", "/api/tcp/services", service("pg", 5432))

    assert refusal(scene.call("PUT", "/a", {"addr": 5432})) == (
        400,
        "addr: port 5432 on 0.0.0.0 is already taken by otoroshi:tcp-services/pg",
    )
    assert scene.api.call("POST", "/api/tcp/services", service("off", 5433, enabled=False)).code == 201
    assert scene.call("PUT", "/b", {"addr": 5433}).code == 201


def test_a_tcp_service_does_not_get_the_address_of_a_listener(scene: Scene) -> None:
    scene.call("PUT", "/a", {"addr": 5432})

    reply = scene.api.call("POST", "/api/tcp/services", service("pg", 5432))

    assert reply.code == 400
    assert "port 5432 on 127.0.0.1 is already taken by native:listeners/a" in reply.json["error_description"]
    assert scene.addresses == ["tcp 0.0.0.0:5432"]


def test_the_address_of_a_static_listener_is_refused() -> None:
    static = StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9100), "stream_proxy.tcp[0]")

    reply = Scene(static=(static,)).call("PUT", "/a", {"addr": "127.0.0.1:9100"})

    assert refusal(reply) == (400, "addr: port 9100 on 127.0.0.1 is already taken by stream_proxy.tcp[0]")


def test_the_address_of_the_api_itself_is_refused(scene: Scene) -> None:
    assert refusal(scene.call("PUT", "/a", {"addr": "9179-9181"})) == (
        400,
        "addr: port 9180 on 0.0.0.0 is already taken by admin.listen",
    )


def test_after_a_restart_who_was_first_is_first_still() -> None:
    """A file that takes somebody's address decides; of those that were stored, the one that was written first."""
    scene = Scene()
    scene.call("PUT", "/first", {"addr": 9101})
    scene.call("PUT", "/second", {"addr": 9102})
    assert isinstance(scene.configuration, LiveConfiguration)
    own = Document(Key("native", "listeners", "own"), {"addr": 9102}, origin="proxy.yaml")

    scene.configuration.reload(Config("proxy.yaml", resources=(own,)))

    assert [listener.owner for listener in scene.snapshot.listeners] == [
        "native:listeners/first",
        "native:listeners/own",
    ]
    assert [str(problem) for problem in scene.configuration.problems()] == [
        "native:listeners/second.addr: port 9102 on 0.0.0.0 is already taken by native:listeners/own"
    ]


# Who may do what


def test_what_the_file_declares_is_shown_and_not_changed() -> None:
    scene = Scene(Document(Key("native", "listeners", "a"), {"addr": 9101}, origin="/etc/proxy.yaml"))

    assert scene.call("GET", "/a").json["origin"] == "/etc/proxy.yaml"
    for method, body in (("PUT", {"addr": 9102}), ("PATCH", {"addr": 9102}), ("DELETE", None)):
        reply = scene.call(method, "/a", body)
        assert reply.code == 409
        assert "/etc/proxy.yaml" in reply.json["error_description"]
    assert scene.addresses == ["tcp 0.0.0.0:9101"]


def test_a_viewer_looks_on(scene: Scene) -> None:
    viewer = {"X-API-KEY": "watcher-key"}

    assert scene.call("POST", body={"addr": 9101}, auth=None, headers=viewer).code == 403
    assert scene.call("GET", auth=None, headers=viewer).code == 200
    assert scene.call("GET", auth=None).code == 401


def test_who_saw_something_else_changes_nothing(scene: Scene) -> None:
    scene.call("PUT", "/a", {"addr": 9101})
    scene.call("PUT", "/a", {"addr": 9102})

    for method, body in (("PUT", {"addr": 9103}), ("PATCH", {"addr": 9103}), ("DELETE", None)):
        assert scene.call(method, "/a", body, headers={"If-Match": '"1"'}).code == 412
    assert scene.call("PUT", "/a?expect=1", {"addr": 9103}).code == 409
    assert scene.call("PUT", "/a", {"addr": 9103}, headers={"If-Match": '"2"'}).code == 200


def test_other_methods_are_told_what_there_is(scene: Scene) -> None:
    reply = scene.call("DELETE")

    assert (reply.code, reply.headers["allow"]) == (405, "GET, HEAD, POST")


# Merging


@pytest.mark.parametrize(
    ("value", "patch", "expected"),
    [
        # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_is_merged(value: Any, patch: Any, expected: Any) -> None:
    before = json.dumps(value)

    assert merged(value, patch) == expected
    assert json.dumps(value) == before


@patient
@given(body=json_values)
def test_whatever_is_sent_is_answered(body: Any) -> None:
    scene = Scene()
    for method, path in (("POST", ""), ("PUT", "/a"), ("PATCH", "/a")):
        assert scene.call(method, path, data=json.dumps(body).encode()).code in (200, 201, 400, 404)


@patient
@given(st.text(min_size=1, max_size=70))
def test_whatever_id_is_given(id: str) -> None:  # noqa: A002
    assert Scene().call("POST", body={"id": id, "addr": 9101}).code in (201, 400)
