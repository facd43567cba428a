"""``apisix.yaml``: the file that is all of APISIX's documents (C58)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.apisix.secrets import DEFAULT_KEYRING, seal
from streamproxy.dialects.assemble import DEFAULT_VAULT, assemble, canonical
from streamproxy.dialects.native.standalone import Check, Documents, decode_documents, load_documents
from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Key
from streamproxy.plugins.discovery import catalogue

from ...tls.pki import Authority
from ..test_codec import json_values
from .reading import patient

PATH = "/etc/streamproxy/apisix.yaml"
C58 = """
stream_routes:
  - {server_addr: 127.0.0.1, server_port: 1985, id: 1, upstream: {nodes: {"127.0.0.1:1995": 1}, type: roundrobin}}
#END
"""
UPSTREAM = "upstream: {nodes: {'127.0.0.1:1995': 1}, type: roundrobin}"


def checking(names: tuple[str, ...] | None) -> Check:
    plugins = catalogue(names)
    return lambda key, body: canonical(key, body, vault=DEFAULT_VAULT, plugins=plugins)


def read(text: str, environ: Mapping[str, str] | None = None, path: str = PATH) -> Documents:
    """What YAML says that ends as it should."""
    return decode_documents(text if path.endswith(".json") else f"{text}\n#END\n", path, environ or {}, checking)


def refusal(text: str, environ: Mapping[str, str] | None = None, path: str = PATH) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        decode_documents(text, path, environ or {}, checking)
    return [str(problem) for problem in caught.value.problems]


def keys(documents: Documents) -> list[str]:
    return [f"{document.key.kind}/{document.key.id}" for document in documents.documents]


def dropped(documents: Documents) -> list[str]:
    return [str(item) for item in documents.dropped]


def test_c58_a_file_of_documents() -> None:
    found = decode_documents(C58, PATH, {}, checking)

    (route,) = found.documents
    assert route.key == Key("apisix", "stream_routes", "1")
    assert (route.origin, route.body["server_port"]) == (PATH, 1985)
    assert (found.dropped, found.stream_plugins, found.ignored) == ((), None, ())


def test_every_kind_in_order_and_what_has_no_id() -> None:
    text = f"""
        plugin_metadata: [{{id: syslog, log_format: {{a: $remote_addr}}}}]
        upstreams: [{{nodes: {{"127.0.0.1:1": 1}}}}, {{id: u, nodes: {{"127.0.0.1:1": 1}}}}]
        services: [{{id: s, upstream_id: u}}]
        stream_routes: [{{id: z, service_id: s}}, {{id: a, upstream_id: u}}, {{{UPSTREAM}}}]
        ssls:
        plugins:
    """

    assert keys(read(text)) == [
        "stream_routes/z",
        "stream_routes/a",
        "stream_routes/arr_3",
        "upstreams/arr_1",
        "upstreams/u",
        "services/s",
        "plugin_metadata/syslog",
    ]


def test_routes_are_tried_in_the_order_of_the_file() -> None:
    found = read(f"stream_routes: [{{id: z, {UPSTREAM}}}, {{id: a, {UPSTREAM}}}, {{id: m, {UPSTREAM}}}]")

    routing = assemble(found.documents).snapshot.routings["apisix"]

    assert [route.id for route in routing.routes] == [f"apisix:stream_routes/{name}" for name in ("z", "a", "m")]


def test_json_needs_no_flag_at_its_end() -> None:
    text = json.dumps({"upstreams": [{"id": 1, "nodes": {"127.0.0.1:1": 1}}]})

    assert keys(read(text, path="/etc/apisix.json")) == ["upstreams/1"]


@pytest.mark.parametrize("end", ["", "#EN", "# END", "#END of it", "#END\nstream_routes: []", "#END" + " " * 10])
def test_c58_without_the_flag_at_the_end_the_file_is_not_whole(end: str) -> None:
    assert refusal(f"stream_routes: []\n{end}") == [f"missing valid end flag in file {PATH}"]


@pytest.mark.parametrize("text", ["#END", "\n#END\n", "stream_routes: [] #END   \n"])
def test_the_flag_ends_the_file(text: str) -> None:
    assert decode_documents(text, PATH, {}, checking) == Documents()


# What is wrong with one document


def test_c58_a_bad_item_is_dropped_and_the_rest_is_served() -> None:
    text = f"""
        stream_routes:
          - {{id: 1, plugins: {{mqtt-proxy: {{protocol_name: MQTT}}}}, {UPSTREAM}}}
          - {{id: 2, {UPSTREAM}}}
    """

    found = read(text)

    assert keys(found) == ["stream_routes/2"]
    (line,) = dropped(found)
    assert line.startswith('failed to check item data of [stream_routes] err:property "protocol_level" is required')
    assert line.endswith("stream_routes[0].plugins.mqtt-proxy.protocol_level")


def test_c58_an_unknown_plugin_costs_the_route() -> None:
    text = f"plugins: [{{name: limit-conn, stream: true}}]\nstream_routes: [{{plugins: {{syslog: {{}}}}, {UPSTREAM}}}]"

    found = read(text)

    assert found.documents == ()
    assert "unknown plugin [syslog]" in dropped(found)[0]


def test_an_item_that_is_none_and_an_id_that_is_there_twice() -> None:
    up = "nodes: {'127.0.0.1:1': 1}"
    found = read(f"upstreams: [7, {{id: [], {up}}}, {{id: a, {up}}}, {{id: a, {up}}}, {{id: b, {up}}}]")

    assert keys(found) == ["upstreams/a", "upstreams/b"]
    assert [item.problem for item in found.dropped] == [
        Problem("upstreams[0]", "wrong_type", "expected an object, got an integer"),
        Problem("upstreams[1].id", "wrong_type", "expected a string or an integer that is not empty, got a list"),
        Problem("upstreams[3].id", "conflict", "found duplicate id a in upstreams"),
    ]


def test_a_list_that_is_none() -> None:
    found = read("{stream_routes: {}, plugins: a, upstreams: [{id: 1, nodes: {'127.0.0.1:1': 1}}]}")

    assert keys(found) == ["upstreams/1"]
    assert [item.problem.path for item in found.dropped] == ["plugins", "stream_routes"]


def test_what_an_item_holds_is_in_no_message_and_its_key_is_sealed() -> None:
    leaf = Authority.root("Root").issue("test.com")
    good = {"id": 1, "sni": "test.com", "cert": leaf.pem.decode(), "key": leaf.key_pem.decode()}
    text = yaml.safe_dump({"ssls": [good, {**good, "id": 2, "cert": 7}]})

    found = read(text)

    (ssl,) = found.documents
    assert ssl.body["key"] == seal(leaf.key_pem.decode(), DEFAULT_KEYRING)
    assert "PRIVATE" not in str(found)
    assert "PRIVATE" not in "".join(dropped(found))


# Beside documents


def test_the_plugins_for_streams_replace_the_list() -> None:
    assert read("plugins:").stream_plugins is None
    assert read("plugins: []").stream_plugins == ()
    syslog = "{name: syslog, stream: true}"
    assert read(f"plugins: [{syslog}, {{name: cors}}, {{name: x, stream: false}}, {syslog}]").stream_plugins == (
        "syslog",
    )


def test_a_plugin_without_a_name() -> None:
    found = read("plugins: [syslog, {stream: true}, {name: 7}, {name: syslog, stream: true}]")

    assert found.stream_plugins == ("syslog",)
    assert [item.problem.path for item in found.dropped] == ["plugins[0]", "plugins[1]", "plugins[2]"]


def test_a_plugin_that_nobody_has() -> None:
    (problem,) = refusal("plugins: [{name: cors}, {name: nosuch, stream: true}]\n#END")

    assert problem.startswith("plugins: unknown plugin [nosuch]: there are ")


def test_what_is_for_http_alone_is_named() -> None:
    assert read("{routes: [], global_rules: [{}], upstreams: [], stream_routes_conf_version: 1}").ignored == (
        "routes",
        "global_rules",
        "stream_routes_conf_version",
    )


# The environment


def test_references_are_replaced_in_the_text() -> None:
    text = """
        upstreams:
          - {id: "${{NAME}}", nodes: ${{ NODES }}, retries: ${{RETRIES:=2}}, desc: "a${{ GONE := b c }}${NAME}"}
    """

    (upstream,) = read(text, {"NAME": "u", "NODES": "{'127.0.0.1:1': 1}"}).documents

    assert upstream.body == {"id": "u", "nodes": {"127.0.0.1:1": 1}, "retries": 2, "desc": "ab c${NAME}"}


def test_a_variable_that_is_not_set() -> None:
    assert refusal("a: ${{ONE}}\nb: [${{TWO}}, ${{ONE}}]\n#END", {"THREE": ""}) == [
        "can't find environment variable ONE",
        "can't find environment variable TWO",
    ]
    assert read("routes: ${{EMPTY}}", {"EMPTY": ""}).ignored == ("routes",)


# The file as a whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stream_routes: [", "this is no YAML"),
        ("[]", "expected an object at the top, got a list"),
        ("a: 1\na: 2", "stands a second time"),
        ("a: !!python/object x", "has no meaning here"),
    ],
)
def test_a_broken_file_is_refused(text: str, words: str) -> None:
    assert words in refusal(f"{text}\n#END")[0]


def test_a_broken_file_of_json() -> None:
    assert "this is no JSON" in refusal("{,}", path="apisix.json")[0]


def test_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "apisix.yaml"
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        load_documents(str(path), {}, checking)
    path.write_text(C58)
    assert keys(load_documents(str(path), {}, checking)) == ["stream_routes/1"]


names = st.sampled_from(["stream_routes", "upstreams", "services", "ssls", "plugin_metadata", "plugins", "routes"])


@patient
@given(st.dictionaries(names | st.text(), json_values))
def test_whatever_the_file_holds_is_taken_or_refused(tree: dict[str, Any]) -> None:
    with suppress(InvalidConfiguration):
        found = decode_documents(json.dumps(tree), "/a.json", {}, checking)
        assert all(str(item) for item in found.dropped)
        assert len({document.key for document in found.documents}) == len(found.documents)


@patient
@given(st.text())
def test_whatever_text_it_is(text: str) -> None:
    with suppress(InvalidConfiguration):
        read(text)
