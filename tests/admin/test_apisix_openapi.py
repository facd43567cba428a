"""The description of APISIX's API, and that it is one of what there is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from streamproxy.admin.apisix_kinds import KINDS
from streamproxy.admin.apisix_openapi import PREFIX, apisix_paths

from .apisix_kit import CERT, PRIVATE, Apisix, roundrobin

PATHS = apisix_paths()
BODIES: dict[str, Any] = {
    "stream_routes": {"upstream": roundrobin()},
    "upstreams": roundrobin(),
    "services": {"upstream": roundrobin()},
    "ssls": {"cert": CERT, "key": PRIVATE, "sni": "test.com"},
    "plugin_metadata": {},
}
OPERATIONS = [(path, method) for path, methods in PATHS.items() for method in methods]


def body_for(path: str) -> Any:
    kind = next((kind for kind in KINDS if kind in path), None)
    return {} if kind is None else BODIES[kind]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_is_described_is_there(path: str, method: str) -> None:
    api = Apisix()
    kind = next((kind for kind in KINDS if kind in path), "")
    name = "syslog" if kind == "plugin_metadata" else "1"
    if "{id}" in path and method != "put":
        assert api.put(f"/{kind}/{name}", BODIES[kind]).code == 201
    asked = path.removeprefix(PREFIX).replace("{id}", name).replace("{name}", "syslog?subsystem=stream")
    body = body_for(path) if "requestBody" in PATHS[path][method] else None
    if body == {} and "validate/plugin_metadata" in path:
        body = {"id": "syslog"}
    reply = api.call(method.upper(), asked, body)
    assert reply.code < 300, (asked, reply.data)
    answers = PATHS[path][method]["responses"]
    assert str(reply.code) in answers
    schema = answers[str(reply.code)].get("content", {}).get("application/json", {}).get("schema", {})
    assert set(schema.get("required", ())) <= set(reply.json if schema.get("type") == "object" else ()), reply.json


def test_each_has_a_name_of_its_own_and_all_its_parameters() -> None:
    every = [PATHS[path][method] for path, method in OPERATIONS]
    assert len({each["operationId"] for each in every}) == len(every)
    for path, method in OPERATIONS:
        named = {each["name"] for each in PATHS[path][method]["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), path


def test_it_is_in_the_document_of_our_own_api() -> None:
    found = Apisix().api.call("GET", "/streamproxy/v1/openapi.json").json["paths"]
    assert set(PATHS) < set(found)
    route = found["/apisix/admin/stream_routes/{id}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert "sni" in route["properties"]
