"""The description of our own API, and that it keeps what it says, whatever it is sent."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamproxy.admin.app import PARTS
from streamproxy.admin.gate import QUESTIONS
from streamproxy.admin.native_openapi import OpenApi, Part, described, document, operations
from streamproxy.admin.respond import router
from streamproxy.model import CertificateChoice, Ending, Phase

from .api import Api, FakeRuntime, service
from .sessions_kit import ended, live

SPECIFICATION: Any = document((*PARTS, Part("/streamproxy/v1", OpenApi)))
OPERATIONS = [
    (path, method) for path, methods in SPECIFICATION["paths"].items() for method in methods if "events" not in path
]


def api() -> Api:
    made = Api(
        runtime=FakeRuntime(going_on=[live("a-1", phase=Phase.SNIFFING)], ended=[ended("a-2", ending=Ending.KILLED)])
    )
    made.runtime.choices = Nothing()
    made.call("POST", "/api/tcp/services", service("a"))
    made.call("PUT", "/streamproxy/v1/listeners/l", {"addr": "127.0.0.1:900"})
    return made


class Nothing(dict[Any, Any]):
    """No name has a certificate."""

    def __missing__(self, name: Any) -> CertificateChoice:
        return CertificateChoice(None, f"no certificate for {name}")


def test_the_document_is_served() -> None:
    reply = Api().get("/streamproxy/v1/openapi.json")
    assert reply.code == 200
    served = reply.json
    served["paths"] = {path: each for path, each in served["paths"].items() if not path.startswith("/apisix/")}
    assert served == json.loads(json.dumps(SPECIFICATION))
    assert reply.json["openapi"].startswith("3.1")


def test_every_handler_is_described() -> None:
    found = list(operations(PARTS))
    assert len(found) > 20
    for path, method, _, operation in found:
        assert operation.summary[-1] in ".?", f"{method} {path} is described in a sentence"


def test_each_operation_has_a_name_of_its_own() -> None:
    names = [each["operationId"] for methods in SPECIFICATION["paths"].values() for each in methods.values()]
    assert len(set(names)) == len(names)


def test_what_is_in_a_path_is_a_parameter() -> None:
    for path, methods in SPECIFICATION["paths"].items():
        for each in methods.values():
            named = {parameter["name"] for parameter in each["parameters"] if parameter["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path)), path


def test_what_needs_no_credentials_says_so() -> None:
    public = {
        path
        for path, methods in SPECIFICATION["paths"].items()
        for each in methods.values()
        if each.get("security") == []
    }
    assert {"/streamproxy/v1/status", "/streamproxy/v1/live", "/streamproxy/v1/ready"} <= public
    for path in public:
        assert Api().get(path, auth=None).code in (200, 405), path


def test_a_handler_that_is_not_described_is_noticed() -> None:
    class Silent:
        app = router()

        @app.route("/", methods=["GET"])
        def silent(self, _request: Any) -> Any: ...

    with pytest.raises(AttributeError):
        list(operations([Part("/x", Silent)]))
    assert callable(described)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_viewers_only_read(path: str, method: str) -> None:
    reading = method == "get" or path.encode() in QUESTIONS
    url = re.sub(r"\{\w+\}", "1", path)
    reply = api().call(method.upper(), url, {}, auth=None, headers={"X-API-KEY": "watcher-key"})
    assert (reply.code == 403) is not reading, f"{method} {path}: {reply.code}"


names = st.one_of(
    st.sampled_from(["a", "a-1", "a-2", "l", "1", "2", "1..2", "0", "default", "recent", "..", "%00", "-1"]),
    st.text(max_size=12),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def of_schema(schema: Any) -> st.SearchStrategy[Any]:
    """Now what the schema wants, now anything."""
    kind = schema.get("type")
    if "anyOf" in schema:
        wanted = st.one_of([of_schema(each) for each in schema["anyOf"]])
    elif "enum" in schema:
        wanted = st.sampled_from(schema["enum"])
    elif kind == "object":
        wanted = st.fixed_dictionaries(
            {}, optional={name: of_schema(each) for name, each in schema.get("properties", {}).items()}
        )
    elif kind == "array":
        wanted = st.lists(of_schema(schema.get("items", {})), max_size=3)
    elif kind == "integer":
        wanted = st.integers(0, 70_000)
    elif kind == "boolean":
        wanted = st.booleans()
    elif kind == "number":
        wanted = st.floats(allow_nan=False)
    else:
        wanted = st.sampled_from(
            ["127.0.0.1", "127.0.0.1:443", "443", "a.example.com", "aGVsbG8=", "1.2.3.0/24", "60s"]
        )
    return st.one_of(wanted, values)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_that_is_sent_is_our_fault(path: str, method: str, data: st.DataObject) -> None:
    operation = SPECIFICATION["paths"][path][method]
    url = re.sub(r"\{\w+\}", lambda _: quote(data.draw(names, "a name in the path"), safe=""), path)
    query, headers = [], {}
    for parameter in operation["parameters"]:
        if parameter["in"] != "path" and data.draw(st.booleans(), f"is there {parameter['name']}?"):
            value = data.draw(of_schema(parameter["schema"]), parameter["name"])
            text = value if isinstance(value, str) else json.dumps(value)
            if parameter["in"] == "query":
                query.append((parameter["name"], text.encode("utf-8", "replace")))
            else:
                headers[parameter["name"]] = "".join(each for each in text if "\x20" <= each < "\x7f")
    body = None
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        body = json.dumps(data.draw(of_schema(schema), "the body")).encode()

    made = api()
    reply = made.call(method.upper(), f"{url}?{urlencode(query)}" if query else url, data=body, headers=headers)

    expected = {int(code) for code in operation["responses"]} | {404}
    assert reply.code < 500, reply.data
    assert reply.code in expected, f"{reply.code} is not among the answers that {method} {path} is said to give"
