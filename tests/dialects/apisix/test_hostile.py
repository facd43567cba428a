"""Documents that are wrong anywhere, at any depth: there is always an answer, and it is a text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamproxy.dialects.assemble import assemble, canonical
from streamproxy.model import Document, Key

from ..test_codec import json_values
from .asking import CERT, LEAF, PLUGINS, PRIVATE, RR, VAULT, refused
from .test_check import MQTT, SSL

CHECKS: dict[str, Any] = {
    "active": {
        "type": "https",
        "timeout": 1,
        "concurrency": 1,
        "host": "a",
        "port": 1,
        "http_path": "/",
        "req_headers": ["a: b"],
        "healthy": {"interval": 1, "http_statuses": [200], "successes": 1},
        "unhealthy": {"interval": 1, "http_statuses": [500], "tcp_failures": 1, "timeouts": 1, "http_failures": 1},
    },
    "passive": {"healthy": {"successes": 1}, "unhealthy": {"tcp_failures": 1}},
    "slow_start": 1,
}
UPSTREAM: dict[str, Any] = {
    "id": "1",
    "name": "n",
    "labels": {"a": "b"},
    "nodes": [{"host": "a", "port": 1, "weight": 1, "priority": 0}],
    "type": "chash",
    "hash_on": "vars",
    "key": "remote_addr",
    "retries": 1,
    "retry_timeout": 1,
    "timeout": {"connect": 1, "send": 1, "read": 1},
    "scheme": "tls",
    "tls": {"client_cert": CERT, "client_key": PRIVATE, "verify": True, "ca_certs": [CERT]},
    "keepalive_pool": {"size": 1},
    "pass_host": "rewrite",
    "upstream_host": "h",
    "checks": CHECKS,
}
PLUGIN_CONFS: dict[str, Any] = {
    "probe": {"level": 1, "password": "p", "inner": {"secret": "s"}, "to": RR, "_meta": {"filter": [["a", "==", 1]]}},
    "ip-restriction": {"whitelist": ["127.0.0.1"]},
    "limit-conn": {"conn": 1, "burst": 1, "default_conn_delay": 1, "key": "remote_addr"},
    "mqtt-proxy": MQTT["plugins"]["mqtt-proxy"],
    "traffic-split": {"rules": [{"match": [{"vars": [["a", "==", "b"]]}], "weighted_upstreams": [{"upstream": RR}]}]},
    "syslog": {"host": "h", "port": 1, "log_format": {"a": "$b"}},
    "prometheus": {"prefer_name": True},
}
WHOLE: dict[str, dict[str, Any]] = {
    "stream_routes": {
        "id": "1",
        "name": "n",
        "remote_addr": "127.0.0.1",
        "server_addr": "::1",
        "server_port": 1,
        "snis": ["a"],
        "tls_passthrough": True,
        "upstream": UPSTREAM,
        "plugins": PLUGIN_CONFS,
    },
    "upstreams": UPSTREAM,
    "services": {"upstream": UPSTREAM, "plugins": PLUGIN_CONFS, "hosts": ["a"], "enable_websocket": True},
    "ssls": {
        **SSL,
        "certs": [CERT],
        "keys": [PRIVATE],
        "client": {"ca": CERT, "depth": 1, "skip_mtls_uri_regex": ["a"]},
        "status": 1,
        "ssl_protocols": ["TLSv1.2"],
    },
    "plugin_metadata": {"size": 1},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield from places(item, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


PLACES = [(kind, path) for kind, body in WHOLE.items() for path in places(body)]
odd = json_values | st.sampled_from(
    [10**30, -1, 0, "", "*", "$env://X", "$secret://x/y", [], {}, [[]], [{}], {"": None}]
)


def test_what_they_are_made_of_is_right() -> None:
    for kind, body in WHOLE.items():
        assert refused(kind, body, id="probe" if kind == "plugin_metadata" else "1") is None


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES), odd), min_size=1, max_size=2))
def test_there_is_always_an_answer(changes: list[tuple[tuple[str, tuple[Any, ...]], Any]]) -> None:
    documents = []
    for (kind, path), value in changes:
        body = replaced(WHOLE[kind], path, value)
        key = Key("apisix", kind, "probe" if kind == "plugin_metadata" else "1")
        text = refused(kind, body, id=key.id)
        stored, problems = canonical(key, body, vault=VAULT, plugins=PLUGINS)
        assert text is None or (isinstance(text, str) and text.encode())
        assert (stored is None) == bool(problems)
        if not all(problem.tolerable for problem in problems):
            assert text is not None, f"{kind}: nothing is said of {problems}"
        if stored is not None:
            assert PRIVATE not in str(stored)
            assert canonical(key, stored, vault=VAULT, plugins=PLUGINS) == (stored, ())
        documents.append(Document(key, body))
    assembled = assemble(documents, vault=VAULT, plugins=PLUGINS)
    for problem in assembled.problems:
        assert str(problem.problem).encode()
    assert LEAF.key_pem.decode() not in repr(assembled)
