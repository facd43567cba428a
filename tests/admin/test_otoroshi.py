"""``/api``, as somebody who knows Otoroshi's would call it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail

from streamproxy.control.store.memory import MemoryStore
from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.interfaces import Loaded
from streamproxy.model import Document, Key

from .api import CLIENT, Api, Clock, live, service

ROUTE = "/api/tcp/services"


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def filled() -> Api:
    """Holds ``a`` and ``b``, and ``declared`` of a file."""
    declared = Document(
        Key("otoroshi", "tcp-services", "declared"),
        {"name": "declared", "description": "d", "port": 7000},
        origin="/etc/streamproxy.yaml",
    )
    api = Api(live(resources=[declared]))
    for number, name in enumerate("ab"):
        assert api.call("POST", ROUTE, service(name, 5000 + number)).code == 201
    return api


# The cases of compatibility


def test_case_30_post_get_list(api: Api) -> None:
    entity = api.get("/api/tcp/_template").json

    posted = api.call("POST", ROUTE, entity)
    listed = api.get(ROUTE)

    assert (posted.code, posted.json) == (201, entity)
    assert api.get(f"{ROUTE}/{entity['id']}").json == entity
    assert listed.json == [entity]
    assert {name: listed.headers[name] for name in ("x-count", "x-offset", "x-page", "x-page-size")} == {
        "x-count": "1",
        "x-offset": "0",
        "x-page": "1",
        "x-page-size": "2147483647",
    }


@pytest.mark.parametrize(("env_prod", "id_"), [(True, "tcp-service_u1"), (False, "tcp-service_dev_u1")])
def test_case_31_defaults(env_prod: bool, id_: str) -> None:
    reply = Api(env_prod=env_prod).call("POST", ROUTE, {"name": "a", "description": "b", "port": 1234})

    assert reply.code == 201
    assert reply.json == {
        "_loc": {"tenant": "default", "teams": ["default"]},
        "id": id_,
        "name": "a",
        "description": "b",
        "enabled": False,
        "tls": "Disabled",
        "sni": {
            "enabled": False,
            "forwardIfNoMatch": False,
            "forwardsTo": {"host": "127.0.0.1", "ip": None, "port": 8080, "tls": False},
        },
        "clientAuth": "None",
        "port": 1234,
        "interface": "0.0.0.0",
        "rules": [],
        "metadata": {},
        "tags": [],
    }


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"description": "b", "port": 1234}, "name"),
        ({"name": "a", "port": 1234}, "description"),
        ({"name": "a", "description": "b"}, "port"),
        ({"name": "a", "description": "b", "port": "1234"}, "port"),
        ([], ""),
        ("text", ""),
    ],
)
def test_case_32_bad_format(api: Api, body: Any, path: str) -> None:
    reply = api.call("POST", ROUTE, body)

    assert reply.code == 400
    answer = reply.json
    assert [problem["path"] for problem in answer.pop("problems")] == [path]
    assert answer == {"error": "bad_format", "error_description": "Bad entity format"}
    assert api.get(ROUTE).json == []


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'{"port": NaN}', b"\xff", b'{"name": "\\ud800"}'])
def test_case_32_not_json(api: Api, data: bytes) -> None:
    reply = api.call("POST", ROUTE, data=data)

    assert reply.code == 400
    assert reply.json["error"] == "bad_format"
    assert reply.json["error_description"] == "Bad entity format"
    assert reply.json["problems"][0]["message"]


def test_case_33_existing_id(filled: Api) -> None:
    reply = filled.call("POST", ROUTE, service("a", 6000))

    assert reply.code == 400
    assert reply.json == {"error": "not_found", "error_description": "Entity already exists"}
    assert filled.get(f"{ROUTE}/a").json["port"] == 5000


def test_case_35_a_stricter_400(api: Api) -> None:
    targets = [{"host": "e1"}, {"host": "e2", "port": "9000"}, {"port": 1}]
    reply = api.call("POST", ROUTE, service(rules=[{"domain": "*", "targets": targets}], tls="tls"))

    assert reply.code == 400
    assert reply.json["error"] == "bad_entity"
    assert {problem["path"] for problem in reply.json["problems"]} == {
        "rules[0].targets[1].port",
        "rules[0].targets[2].host",
        "tls",
    }
    assert reply.json["entity"]["tls"] == "tls"


def test_case_35_a_target_without_port(api: Api) -> None:
    reply = api.call("POST", ROUTE, service(rules=[{"targets": [{"host": "e1"}]}]))

    assert reply.json["rules"] == [{"domain": "*", "targets": [{"host": "e1", "ip": None, "port": 8080, "tls": False}]}]


def test_case_36_put_keeps_the_id_of_the_path(filled: Api) -> None:
    reply = filled.call("PUT", f"{ROUTE}/a", service("other", 5500))

    assert (reply.code, reply.json["id"], reply.json["port"]) == (200, "a", 5500)
    assert filled.get(f"{ROUTE}/other").code == 404


@pytest.mark.parametrize(
    ("method", "body", "answer"),
    [
        ("GET", None, {"error": "not_found", "error_description": "entity not found"}),
        ("PUT", service("x"), {"error": "not_found", "error_description": "Entity not found"}),
        ("PATCH", [], {"error": "not_found", "error_description": "Entity not found"}),
        ("DELETE", None, {"error": "delete_error", "error_description": "Entity not found"}),
    ],
)
def test_case_36_unknown_id(filled: Api, method: str, body: Any, answer: dict[str, str]) -> None:
    reply = filled.call(method, f"{ROUTE}/x", body)

    assert (reply.code, reply.json) == (404, answer)


def test_case_38_delete_twice(filled: Api) -> None:
    first, second = filled.call("DELETE", f"{ROUTE}/a"), filled.call("DELETE", f"{ROUTE}/a")

    assert (first.code, first.json) == (200, {"deleted": True})
    assert second.code == 404


@pytest.mark.parametrize("path", ["/api/new/tcp/service", "/api/tcp/_template"])
def test_case_41_template(api: Api, path: str) -> None:
    reply = api.get(path)

    assert reply.code == 200
    assert reply.json["id"] == "tcp_service_u1"
    assert reply.json["port"] == 4200
    assert reply.json["rules"][0]["targets"][0] == {"host": "42.42.42.42", "ip": None, "port": 4200, "tls": False}
    assert api.get(ROUTE).json == []


def test_case_41_template_with_parameters(api: Api) -> None:
    reply = api.get("/api/tcp/_template?name=x&port=9000", headers={"Otoroshi-Tenant": " ACME"})

    assert (reply.json["name"], reply.json["port"]) == ("x", "9000")
    assert reply.json["_loc"]["tenant"] == "acme"


def test_case_41_post_template(api: Api) -> None:
    reply = api.call("POST", f"{ROUTE}/_template", {"port": 1, "sni": {"enabled": True}})

    assert (reply.code, reply.json["port"]) == (201, 1)
    assert reply.json["sni"]["enabled"] is True
    assert reply.json["sni"]["forwardsTo"]["port"] == 8080
    assert api.get(ROUTE).json == [reply.json]


def test_case_41_post_template_that_cannot_work(api: Api) -> None:
    assert api.call("POST", f"{ROUTE}/_template", {"port": "1"}).json["error"] == "bad_format"
    assert api.call("POST", f"{ROUTE}/_template", []).code == 400
    assert api.call("POST", f"{ROUTE}/_template").json["port"] == 4200


def test_case_43_credentials(api: Api) -> None:
    by_headers = {"Otoroshi-Client-Id": CLIENT[0], "Otoroshi-Client-Secret": CLIENT[1]}

    assert api.get(ROUTE, auth=CLIENT).code == 200
    assert api.get(ROUTE, auth=None, headers=by_headers).code == 200
    for reply in (api.get(ROUTE, auth=None), api.get(ROUTE, auth=(CLIENT[0], "wrong"))):
        assert reply.code == 401
        assert reply.json["error"] == "unauthorized"
        assert "Otoroshi-Client-Id" in reply.json["error_description"]


def test_case_26_the_same_port_twice(filled: Api) -> None:
    reply = filled.call("POST", ROUTE, service("c", 5000, name="another"))

    assert reply.code == 400
    assert [(problem["path"], problem["code"]) for problem in reply.json["problems"]] == [("port", "conflict")]
    assert "otoroshi:tcp-services/a" in reply.json["error_description"]


# Beyond them


def test_an_unknown_key_is_dropped(api: Api) -> None:
    reply = api.call("POST", ROUTE, service(kind="TcpService", env="prod"))

    assert reply.json == service()


def test_the_id_may_come_by_other_names(api: Api) -> None:
    body = {"name": "a", "description": "b", "port": 1}

    assert api.call("POST", ROUTE, {**body, "clientId": "c"}).json["id"] == "c"


def test_an_id_may_hold_a_slash(api: Api) -> None:
    api.call("POST", ROUTE, service("team/pg"))

    assert api.get(f"{ROUTE}/team/pg").json["id"] == "team/pg"
    assert api.get(f"{ROUTE}/team%2Fpg").json["id"] == "team/pg"


def test_a_list_is_filtered_sorted_projected_and_paged(filled: Api) -> None:
    reply = filled.get(f"{ROUTE}?filter.enabled=true&sorted=port:true&fields=id,sni.enabled,env&page=2&pageSize=1")

    assert reply.json == [{"id": "a", "sni": {"enabled": False}}]
    assert reply.headers["x-count"] == "3"
    assert reply.headers["x-offset"] == "1"
    assert reply.headers["x-page-size"] == "1"


def test_a_list_as_lines(filled: Api) -> None:
    reply = filled.get(f"{ROUTE}?fields=id", headers={"Accept": "application/x-ndjson"})
    both = filled.get(f"{ROUTE}?fields=id", headers={"Accept": "application/json, application/x-ndjson"})

    assert reply.headers["content-type"] == "application/x-ndjson"
    assert [line["id"] for line in reply.lines] == ["declared", "a", "b"]
    assert both.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "query", ["page=abc", "page=0", "filter.nothing=1", "sorted=name", "filtered=name", "filter.name=%ff", "fields=$.a"]
)
def test_a_bad_query_is_400(filled: Api, query: str) -> None:
    reply = filled.get(f"{ROUTE}?{query}")

    assert reply.code == 400
    assert reply.json["error"] == "bad_query"


def test_one_of_them_is_projected(filled: Api) -> None:
    assert filled.get(f"{ROUTE}/a?fields=id,port").json == {"id": "a", "port": 5000}


def test_what_a_file_declares_is_shown_whole(filled: Api) -> None:
    assert filled.get(f"{ROUTE}/declared").json["sni"]["forwardsTo"]["port"] == 8080


@pytest.mark.parametrize(("method", "body"), [("PUT", service("x", 7000)), ("PATCH", []), ("DELETE", None)])
def test_what_a_file_declares_is_read_only(filled: Api, method: str, body: Any) -> None:
    reply = filled.call(method, f"{ROUTE}/declared", body)

    assert reply.code == 409
    assert reply.json["error"] == "read_only"
    assert "/etc/streamproxy.yaml" in reply.json["error_description"]


def test_a_patch_cannot_change_the_id(filled: Api) -> None:
    reply = filled.call("PATCH", f"{ROUTE}/a", [{"op": "replace", "path": "/id", "value": "z"}])

    assert (reply.code, reply.json["id"]) == (200, "a")


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ([{"op": "remove", "path": "/nothing"}], "bad_patch"),
        ({"name": "merged"}, "bad_patch"),
        ([{"op": "test", "path": "/name", "value": "?"}], "bad_patch"),
        ([{"op": "replace", "path": "", "value": 1}], "bad_entity"),
        ([{"op": "replace", "path": "/port", "value": "1"}], "bad_entity"),
        ([{"op": "replace", "path": "/port", "value": 5001}], "bad_entity"),
    ],
)
def test_a_patch_that_does_not_fit_changes_nothing(filled: Api, patch: Any, error: str) -> None:
    reply = filled.call("PATCH", f"{ROUTE}/a", patch)

    assert (reply.code, reply.json["error"]) == (400, error)
    assert filled.get(f"{ROUTE}/a").json == service("a", 5000)


def test_a_put_that_does_not_fit_shows_what_was_sent(filled: Api) -> None:
    reply = filled.call("PUT", f"{ROUTE}/a", {"name": "a"})

    assert reply.code == 400
    assert reply.json["error"] == "bad_entity"
    assert reply.json["entity"] == {"name": "a"}
    assert len(reply.json["problems"]) == 2


def test_who_changes_what_they_saw_says_so(filled: Api) -> None:
    seen = filled.get(f"{ROUTE}/a").headers["etag"]
    filled.call("PUT", f"{ROUTE}/b", service("b", 5001, name="changed meanwhile"))

    ours = filled.call("PUT", f"{ROUTE}/a", service("a", 5000, name="first"), headers={"If-Match": seen})
    theirs = filled.call("PUT", f"{ROUTE}/a", service("a", 5000, name="second"), headers={"If-Match": seen})

    assert (ours.code, theirs.code) == (200, 412)
    assert filled.get(f"{ROUTE}/a").json["name"] == "first"
    assert ours.headers["etag"] != seen
    assert theirs.json["error"] == "conflict"


def test_the_revision_of_the_configuration_may_be_expected(filled: Api) -> None:
    revision = filled.configuration.revision()

    assert filled.call("DELETE", f"{ROUTE}/a?expect={revision - 1}").code == 409
    assert filled.call("DELETE", f"{ROUTE}/a?expect={revision}").code == 200
    assert filled.call("POST", ROUTE, service("c"), headers={"If-Match": f'"{revision}"'}).code == 412
    assert filled.call("POST", ROUTE, service("c"), headers={"If-Match": f'W/"7", "{revision + 1}"'}).code == 201
    assert filled.call("DELETE", f"{ROUTE}/b", headers={"If-Match": "*"}).code == 200


@pytest.mark.parametrize(
    ("query", "headers"), [("?expect=x", {}), ("", {"If-Match": "abc"}), ("", {"If-Match": '"1", x'})]
)
def test_a_revision_that_is_none(filled: Api, query: str, headers: dict[str, str]) -> None:
    assert filled.call("DELETE", f"{ROUTE}/a{query}", headers=headers).code == 400


def test_every_write_is_a_revision_with_its_author() -> None:
    store = MemoryStore(clock=Clock())
    api = Api(live(store))

    api.call("POST", ROUTE, service("a"), auth=None, headers={"X-API-KEY": "root-key"})

    revisions: list[Any] = []
    store.revisions().addCallback(revisions.extend)
    assert [(revision.author, revision.reason) for revision in revisions] == [("root", "POST /api/tcp/services")]


def test_a_store_that_fails() -> None:
    store = MemoryStore()
    api = Api(live(store))
    api.call("POST", ROUTE, service("a"))
    store.close()

    post, put = api.call("POST", ROUTE, service("b", 1)), api.call("PUT", f"{ROUTE}/a", service("a", 2))

    assert (post.code, post.json["error"]) == (500, "creation_error")
    assert (put.code, put.json["error"]) == (500, "store_error")


def test_what_nobody_thought_of_is_500_and_tells_nothing(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    def change(*_: Any, **__: Any) -> Deferred[Any]:
        return fail(ZeroDivisionError("the inner secret"))

    monkeypatch.setattr(api.configuration, "change", change)

    reply = api.call("POST", ROUTE, service("a"))

    assert reply.code == 500
    assert reply.json["error"] == "internal_error"
    assert b"secret" not in reply.data
    assert b"Traceback" not in reply.data


def test_two_who_create_the_same_at_once() -> None:
    """The second one's turn comes when the first one's service is there."""
    store = SlowStore()
    api = Api(live(store))
    first, second = api.start("POST", ROUTE, service("a", 1)), api.start("POST", ROUTE, service("a", 2))
    api.treq.flush()
    store.go_on()
    store.go_on()

    replies = [api.reply(first), api.reply(second)]

    assert [reply.code for reply in replies] == [201, 400]
    assert replies[1].json["error_description"] == "Entity already exists"
    assert api.get(f"{ROUTE}/a").json["port"] == 1


def test_two_patches_at_once_both_count() -> None:
    store = SlowStore()
    api = Api(live(store))
    creating = api.start("POST", ROUTE, service("a"))
    store.go_on()
    api.reply(creating)
    started = [
        api.start("PATCH", f"{ROUTE}/a", [{"op": "add", "path": "/tags/-", "value": tag}]) for tag in ("one", "two")
    ]
    store.go_on()
    store.go_on()

    assert [api.reply(deferred).code for deferred in started] == [200, 200]
    assert api.get(f"{ROUTE}/a").json["tags"] == ["one", "two"]


class SlowStore(MemoryStore):
    """Commits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Deferred[None]] = []

    def commit(self, *arguments: Any, **options: Any) -> Deferred[Loaded]:
        turn: Deferred[None] = Deferred()
        self._waiting.append(turn)
        commit = super().commit
        return turn.addCallback(lambda _: commit(*arguments, **options))

    def go_on(self) -> None:
        if self._waiting:
            self._waiting.pop(0).callback(None)


def test_problems_elsewhere_are_told_as_they_are(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    def change(*_: Any, **__: Any) -> Deferred[Any]:
        return fail(InvalidConfiguration((Problem("otoroshi:tcp-services/b.port", "conflict", "is taken"),)))

    monkeypatch.setattr(api.configuration, "change", change)

    reply = api.call("POST", ROUTE, service("a"))

    assert reply.code == 400
    assert reply.json["error_description"] == "otoroshi:tcp-services/b.port: is taken"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SERVICE_LIKE = st.fixed_dictionaries({}, optional=dict.fromkeys(service(), JSON))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE"]),
    path=st.sampled_from(["", "/a", "/_bulk", "/_template", "/x"]),
    body=JSON | SERVICE_LIKE | st.binary(),
    media=st.sampled_from(["application/json", "application/x-ndjson", "text/plain"]),
)
def test_no_body_is_an_internal_error(filled: Api, method: str, path: str, body: Any, media: str) -> None:
    options: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"body": body}

    reply = filled.call(method, f"{ROUTE}{path}", headers={"Content-Type": media}, **options)

    assert reply.code < 500, reply.data
    if reply.code >= 400:
        assert reply.json["error"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(st.sampled_from("abfilter.nsdorteidpgzS=&:,|$/%0129-+ \u00e9")))
def test_no_query_is_an_internal_error(filled: Api, query: str) -> None:
    reply = filled.get(f"{ROUTE}?{query}".replace(" ", "+").encode("ascii", "backslashreplace").decode())

    assert reply.code < 500, reply.data
