"""The documents a file declares."""

from __future__ import annotations

import json

from streamproxy.dialects.apisix.secrets import DEFAULT_KEYRING, seal
from streamproxy.dialects.native.resources import declared
from streamproxy.model import Document, Key

from ...tls.pki import Authority
from .reading import codes, config, problems

SERVICE = "{id: %s, name: a, description: b, port: %d, rules: [{targets: [{host: 10.0.0.1}]}]}"
UPSTREAM = "{type: roundrobin, nodes: {'10.0.0.1:80': 1}%s}"


def test_documents_are_kept_as_they_are_and_say_where_they_are_from() -> None:
    text = """
        resources:
          tcp_services:
            - {id: pg, name: a, description: b, port: 5432, enabled: true, extra: {kept: [1, null]}}
          stream_routes:
            - {id: 7, upstream_id: x}
            - {upstream: {type: roundrobin, nodes: {"10.0.0.1:80": 1}}}
          upstreams:
            - {type: roundrobin, nodes: {"10.0.0.1:80": 1}, id: x}
    """
    origin = "/etc/streamproxy/config.yaml"

    assert config(text).resources == (
        Document(
            Key("otoroshi", "tcp-services", "pg"),
            {"id": "pg", "name": "a", "description": "b", "port": 5432, "enabled": True, "extra": {"kept": [1, None]}},
            origin=origin,
        ),
        Document(Key("apisix", "stream_routes", "7"), {"id": 7, "upstream_id": "x"}, origin=origin),
        Document(
            Key("apisix", "stream_routes", "arr_2"),
            {"upstream": {"type": "roundrobin", "nodes": {"10.0.0.1:80": 1}}},
            origin=origin,
        ),
        Document(
            Key("apisix", "upstreams", "x"),
            {"type": "roundrobin", "nodes": {"10.0.0.1:80": 1}, "id": "x"},
            origin=origin,
        ),
    )


def test_certificates() -> None:
    leaf = Authority.root("Root").issue("test.com")
    ssl = {"sni": "test.com", "cert": leaf.pem.decode(), "key": leaf.key_pem.decode()}
    text = json.dumps({"resources": {"ssls": [ssl, {**ssl, "id": "e", "key": "$env://KEY"}]}})

    first, second = config(text, {"KEY": leaf.key_pem.decode()}).resources

    assert (first.key, second.key) == (Key("apisix", "ssls", "arr_1"), Key("apisix", "ssls", "e"))
    assert first.body == {**ssl, "key": seal(leaf.key_pem.decode(), DEFAULT_KEYRING)}, "an API shows what is in here"
    assert second.body["key"] == "$env://KEY"
    assert problems(text) == ['resources.ssls[1].key: the environment variable "KEY" is not set']


def test_certificates_in_the_file_are_sealed_with_its_keyring() -> None:
    leaf = Authority.root("Root").issue("test.com")
    ring = ["0123456789abcdef", "qeddd145sfvddff3"]
    old = seal(leaf.key_pem.decode(), ring[1:])
    ssls = [{"sni": "test.com", "cert": leaf.pem.decode(), "key": key} for key in (leaf.key_pem.decode(), old)]
    text = json.dumps({"apisix": {"data_encryption": {"keyring": ring}}, "resources": {"ssls": ssls}})

    assert [document.body["key"] for document in config(text).resources] == [seal(leaf.key_pem.decode(), ring), old]


def test_no_documents() -> None:
    assert config("resources: {tcp_services: , upstreams: [], services: [], ssls: []}").resources == ()
    assert config("resources:").resources == ()


def test_a_tcp_service_has_an_id() -> None:
    services = "[{name: a}, {id: , name: a}, {id: '', name: a}, {id: 7, name: a}, [], ~]"

    assert codes(f"resources: {{tcp_services: {services}}}") == {
        "resources.tcp_services[0].id": "missing",
        "resources.tcp_services[1].id": "missing",
        "resources.tcp_services[2].id": "wrong_type",
        "resources.tcp_services[3].id": "wrong_type",
        "resources.tcp_services[4]": "wrong_type",
        "resources.tcp_services[5]": "wrong_type",
    }


def test_an_id_of_apisix_is_text_or_a_number() -> None:
    assert codes(f"resources: {{upstreams: [{UPSTREAM % ', id: true'}, {UPSTREAM % ', id: []'}]}}") == {
        "resources.upstreams[0].id": "wrong_type",
        "resources.upstreams[1].id": "wrong_type",
    }


def test_an_id_stands_there_once() -> None:
    upstreams = [UPSTREAM % more for more in (", id: arr_3", ", id: 1", "", ", id: '1'", "")]

    assert problems(f"resources: {{upstreams: [{', '.join(upstreams)}]}}") == [
        'resources.upstreams[2].id: "arr_3" is the id of resources.upstreams[0] already',
        'resources.upstreams[3].id: "1" is the id of resources.upstreams[1] already',
    ]


def test_kinds_of_every_dialect() -> None:
    found = declared(
        {
            "services": [{"id": "s"}],
            "plugin_metadata": [{"id": "syslog"}],
            "listeners": [{"id": 7, "addr": 9100}, {"addr": 9101}],
        },
        "a.yaml",
    )

    assert found.problems == ()
    assert found.paths == {
        Key("apisix", "services", "s"): "resources.services[0]",
        Key("apisix", "plugin_metadata", "syslog"): "resources.plugin_metadata[0]",
        Key("native", "listeners", "7"): "resources.listeners[0]",
        Key("native", "listeners", "arr_2"): "resources.listeners[1]",
    }


def test_everything_is_told_at_once() -> None:
    text = f"""
        resources:
          tcp_service: []
          upstreams: {{}}
          stream_routes: [{{id: a, upstream_id: b}}]
          tcp_services: [{SERVICE % ("a", 1000)}, {SERVICE % ("a", 1000)}]
    """

    assert problems(text) == [
        "resources.stream_routes[0].upstream_id: failed to fetch upstream info by upstream id [b], response code: 404",
        "resources.tcp_service: is not known here: did you mean tcp_services?",
        'resources.tcp_services[1].id: "a" is the id of resources.tcp_services[0] already',
        "resources.upstreams: expected a list, got an object",
    ]


def test_a_problem_in_a_document_has_its_path_in_the_file() -> None:
    service = "{id: a, name: a, description: b, port: 1000, rules: [{domain: '[', targets: [{host: h, port: 0}]}]}"

    found = problems(f"resources: {{tcp_services: [{SERVICE % ('b', 1)}, {service}]}}")

    assert [problem.partition(": ")[0] for problem in found] == [
        "resources.tcp_services[1].rules[0].domain",
        "resources.tcp_services[1].rules[0].targets[0].port",
    ]


def test_the_resources_are_an_object() -> None:
    assert codes("resources: []") == {"resources": "wrong_type"}
