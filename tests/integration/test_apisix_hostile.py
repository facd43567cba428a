"""
What strangers and broken programs send to APISIX's Admin API of a running process: each is told why it is refused, in
APISIX's words, and nothing has changed.
"""

from __future__ import annotations

import contextlib
import copy
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from streamproxy.dialects.apisix.schema import SCHEMAS
from tests.admin.apisix_kit import CERT, PRIVATE, error, roundrobin

from .apisix_caller import KINDS, Caller, calling
from .harness import PATIENCE, Proxy

# A value of each type, and what a validator calls its type.
ODD: Mapping[str, Any] = {
    "string": "\u2603",
    "number": -1.5,
    "boolean": True,
    "userdata": None,
    "table": {"odd": {"odder": []}},
    "list": [[{}]],
}
UPSTREAM: dict[str, Any] = {
    "name": "n",
    "desc": "d",
    "labels": {"a": "b"},
    "nodes": [{"host": "127.0.0.1", "port": 1, "weight": 1, "priority": 0, "metadata": {}}],
    "type": "chash",
    "hash_on": "vars",
    "key": "remote_addr",
    "retries": 1,
    "retry_timeout": 1,
    "timeout": {"connect": 1, "send": 1, "read": 1},
    "scheme": "tls",
    "tls": {"client_cert": CERT, "client_key": PRIVATE, "verify": True, "ca_certs": [CERT]},
    "keepalive_pool": {"size": 1, "idle_timeout": 1, "requests": 1},
    "pass_host": "rewrite",
    "upstream_host": "h",
    "checks": {
        "active": {
            "type": "https",
            "timeout": 1,
            "concurrency": 1,
            "host": "a",
            "port": 1,
            "http_method": "GET",
            "http_path": "/",
            "http_req_body": "",
            "https_verify_certificate": True,
            "req_headers": ["a: b"],
            "healthy": {"interval": 1, "http_statuses": [200], "successes": 1},
            "unhealthy": {"interval": 1, "http_statuses": [500], "tcp_failures": 1, "timeouts": 1, "http_failures": 1},
        },
        "passive": {
            "type": "tcp",
            "healthy": {"http_statuses": [200], "successes": 1},
            "unhealthy": {"http_statuses": [500], "tcp_failures": 1, "timeouts": 1, "http_failures": 1},
        },
        "close_sessions": False,
        "slow_start": 1,
    },
}
PLUGINS: dict[str, Any] = {
    "ip-restriction": {"whitelist": ["127.0.0.1"], "message": "no", "_meta": {"disable": False, "filter": []}},
    "limit-conn": {"conn": 1, "burst": 1, "default_conn_delay": 1, "key": "remote_addr", "key_type": "var"},
    "mqtt-proxy": {"protocol_name": "MQTT", "protocol_level": 4},
    "traffic-split": {"rules": [{"weighted_upstreams": [{"upstream": roundrobin(), "weight": 1}, {"weight": 2}]}]},
    "syslog": {"host": "h", "port": 1, "log_format": {"a": "$b"}, "flush_limit": 1, "tls": False},
    "prometheus": {"prefer_name": True},
}
WHOLE: dict[str, dict[str, Any]] = {
    "upstreams": UPSTREAM,
    "ssls": {
        "type": "server",
        "cert": CERT,
        "key": PRIVATE,
        "snis": ["test.com"],
        "certs": [CERT],
        "keys": [PRIVATE],
        "client": {"ca": CERT, "depth": 1, "skip_mtls_uri_regex": ["a"]},
        "status": 1,
        "ssl_protocols": ["TLSv1.2"],
        "labels": {"a": "b"},
    },
    "services": {"upstream": UPSTREAM, "plugins": PLUGINS, "hosts": ["a"], "enable_websocket": True},
    "stream_routes": {
        "name": "n",
        "desc": "d",
        "labels": {"a": "b"},
        "remote_addr": "127.0.0.1",
        "server_addr": "::1",
        "server_port": 1,
        "snis": ["a"],
        "tls_passthrough": True,
        "upstream": UPSTREAM,
        "plugins": PLUGINS,
    },
    "plugin_metadata": {"log_format": {"a": "$b"}, "max_pending_entries": 1},
}
# Anything may stand in the members of this.
FREE = "log_format"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    changed = copy.copy(value)
    changed[path[0]] = replaced(changed[path[0]], path[1:], by) if path[1:] else by
    return changed


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, dict):
        return "table"
    if isinstance(value, list):
        return "list"
    return "string" if isinstance(value, str) else "userdata" if value is None else "number"


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    yield from calling(Proxy(tmp_path_factory.mktemp("proxy")))


def name_in(kind: str) -> str:
    return "syslog" if kind == "plugin_metadata" else "1"


@pytest.fixture(scope="module")
def api(caller: Caller) -> Caller:
    for kind, body in WHOLE.items():
        reply = caller.put(f"/{kind}/{name_in(kind)}", body)
        assert reply.code in (200, 201), reply.data
        assert "x-streamproxy-problems" not in reply.headers, reply.headers
    return caller


def test_every_member_of_every_schema_is_there() -> None:
    for kind, schema in SCHEMAS.items():
        told = {"id", "create_time", "update_time", "upstream_id", "service_id", "protocol", "script"}
        told |= {"service_name", "discovery_type", "discovery_args", "sni"}
        ours = {"name", "desc", "labels"} if kind in ("ssls", "services") else set()
        assert set(schema["properties"]) - told - ours <= set(WHOLE[kind]), kind


@pytest.mark.parametrize("kind", list(WHOLE))
def test_wrong_types_at_every_depth(api: Caller, kind: str) -> None:
    before = api.everything()
    for path in places(WHOLE[kind]):
        if FREE in path[:-1]:
            continue
        for name, odd in ODD.items():
            if type_of(at(WHOLE[kind], path)) == name:
                continue
            reply = api.put(f"/{kind}/{name_in(kind)}", replaced(WHOLE[kind], path, odd))
            assert reply.code == 400, (path, name, reply.data)
            assert error(reply), (path, name)
    assert api.everything() == before


def grammar(api: Caller, kind: str, path: tuple[Any, ...], odd: Any) -> str:
    return error(api.put(f"/{kind}/1", replaced(WHOLE[kind], path, odd)))


def test_in_the_words_of_apisix(api: Caller) -> None:
    said = 'invalid configuration: property "checks" validation failed: property "active" validation failed: '
    deep = ("checks", "active", "unhealthy", "tcp_failures")
    assert grammar(api, "upstreams", deep, "x") == (
        f'{said}property "unhealthy" validation failed: property "tcp_failures" validation failed:'
        " wrong type: expected integer, got string"
    )
    assert grammar(api, "stream_routes", ("server_port",), 0).endswith("expected 0 to be at least 1")
    assert grammar(api, "stream_routes", ("labels",), {"a": "b c"}) == (
        'invalid configuration: property "labels" validation failed: failed to validate a (matching ".*"):'
        ' failed to match pattern "^\\S+$" with "b c"'
    )
    assert grammar(api, "stream_routes", ("snis", 0), "a b").startswith(
        'invalid configuration: property "snis" validation failed: failed to validate item 1: failed to match pattern'
    )
    assert grammar(api, "stream_routes", ("plugins", "nobody"), {}) == "unknown plugin [nobody]"
    assert grammar(api, "services", ("plugins", "nobody"), {}) == "unknown plugin [nobody]"
    assert grammar(api, "stream_routes", ("plugins", "syslog"), 1) == "invalid plugin conf 1 for plugin [syslog]"
    assert grammar(api, "stream_routes", ("vars",), []) == (
        "invalid configuration: additional properties forbidden, found vars"
    )
    assert grammar(api, "ssls", ("key",), PRIVATE[:100]) == ("failed to parse key: PEM_read_bio_PrivateKey() failed")


@pytest.mark.parametrize("kind", KINDS)
def test_bodies_that_are_none(api: Caller, kind: str) -> None:
    before = api.everything()
    path = f"/{kind}/{name_in(kind)}"
    for data in (b"{", b'{"a":1', b"nodes", b"{'a': 1}", b"\xff\xfe", b"[1", b'{"a":1}{', b"\x00" * 50, b"{,}"):
        reply = api.call("PUT", path, data=data)
        assert (reply.code, reply.json["error_msg"][:22]) == (400, "invalid request body: "), data
    for data in (b"", b"null", b"1", b'"text"', b"true", b"[1]", b"false"):
        reply = api.call("PUT", path, data=data)
        assert reply.code == 400, data
        assert error(reply).startswith(("missing configurations", "invalid configuration: wrong type: ")), data
    assert api.everything() == before


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_two_megabytes(api: Caller, chunked: bool) -> None:
    before = api.everything()
    size = 2 * 1024 * 1024
    whole = json.dumps({**roundrobin(), "desc": "x" * size}).encode()
    with socket.create_connection(("127.0.0.1", api.proxy.admin_port), timeout=PATIENCE) as sock:
        head = "PUT /apisix/admin/upstreams/1 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-KEY: root-key\r\n"
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(whole)}"
        sock.sendall(f"{head}{length}\r\n\r\n".encode())
        body = f"{len(whole):x}\r\n".encode() + whole + b"\r\n0\r\n\r\n" if chunked else whole
        # Whoever is refused need not be heard out.
        with contextlib.suppress(ConnectionError):
            sock.sendall(body)
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert b"is greater than the maximum size 1572864 allowed" in answer
    assert api.everything() == before


def test_one_id_twice(api: Caller) -> None:
    before = api.everything()
    twice = {"upstreams": [{"id": "a", **roundrobin()}, {"id": "a", **roundrobin()}]}
    reply = api.post("/configs/validate", twice)
    assert (reply.code, reply.json["error_msg"]) == (400, "Configuration validation failed")
    (fault,) = reply.json["errors"]
    assert fault == {
        "resource_type": "upstreams",
        "resource_id": "a",
        "index": 1,
        "error": "found duplicate id a in upstreams",
    }
    assert error(api.put("/upstreams/1", {"id": "2", **roundrobin()})) == "wrong upstream id"
    assert error(api.post("/upstreams", {"id": "2", **roundrobin()})) == "wrong upstream id, do not need it"
    last = api.call("PUT", "/upstreams/1", data=b'{"desc":"a","desc":"b","nodes":{},"nodes":5}')
    assert last.code == 400, "the last of two members counts, as with everybody else"
    assert api.everything() == before


def test_paths_methods_and_queries(api: Caller) -> None:
    before = api.everything()
    for method, path, code in (
        ("PUT", "/upstreams/%00", 400),
        ("PUT", "/upstreams/..%2f..", 400),
        ("PUT", "/upstreams/" + "a" * 65, 400),
        ("PUT", "/upstreams/a%20b", 400),
        ("PUT", "/upstreams/%ff", 400),
        ("PUT", "/nothing/1", 404),
        ("PATCH", "/stream_routes/1", 405),
        ("PUT", "/upstreams/1/nodes", 400),
        ("DELETE", "/upstreams", 400),
        ("TRACE", "/upstreams/1", 404),
        ("GET", "/upstreams?page=1&page_size=9", 400),
        ("GET", "/upstreams?name=(", 400),
        ("PUT", "/upstreams/1?ttl=soon", 400),
    ):
        reply = api.call(method, path, None if method in ("GET", "TRACE") else roundrobin())
        assert reply.code == code, (method, path, reply.data)
    assert api.everything() == before
