"""Whatever is sent, the answer is one that somebody thought of."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs

from .apisix_kit import CERT, KEY, PRIVATE, Apisix, roundrobin

hostile = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)

KINDS = st.sampled_from(["stream_routes", "upstreams", "services", "ssls", "plugin_metadata", "routes", "secrets"])
SEEDS: list[Any] = [
    roundrobin(),
    {**roundrobin(), "tls": {"client_cert": CERT, "client_key": PRIVATE, "client_cert_id": 1}, "scheme": "tls"},
    {"upstream": roundrobin(), "plugins": {"limit-conn": {"conn": 1, "burst": 0}, "mqtt-proxy": {}}},
    {"upstream_id": 1, "service_id": "1", "protocol": {"name": "redis", "superior_id": "1", "logger": []}},
    {"cert": CERT, "key": PRIVATE, "snis": ["a"], "certs": [CERT], "keys": [PRIVATE], "client": {"ca": CERT}},
    {"remote_addr": "::1/64", "server_addr": "1.2.3.4", "server_port": 1, "sni": "*.a", "labels": {"a": "b"}},
    {"log_format": {"a": "$b"}, "id": "syslog"},
    {**roundrobin(), "checks": {"active": {"type": "tcp", "healthy": {"interval": 1}}, "passive": {}}},
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=()), max_size=8)
    | st.sampled_from(["", "\x00", "\ud800", "1", "*", "::1/999", "$env://X", "a" * 300, 10**19, -1, 0, 1e308])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = changed(value[path[0]], path[1:], new)
    return copied


@st.composite
def bodies(draw: st.DrawFn) -> Any:
    """Something sensible with nonsense somewhere in it."""
    seed = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 2))):
        seed = changed(seed, draw(st.sampled_from(places(seed))), draw(JSON))
    return seed


@pytest.fixture(scope="module")
def api() -> Apisix:
    """One for all: what some left behind is what others find."""
    return Apisix()


@pytest.fixture(scope="module")
def standalone() -> Apisix:
    return Apisix(is_standalone=True)


def call(api: Apisix, method: str, path: str, data: bytes | None, **headers: str) -> int:
    with capturedLogs() as events:
        reply = api.call(method, path, data=data, headers={**KEY, **headers})
    assert reply.code < 500, (method, path, data, reply.data)
    assert not [event for event in events if event["log_level"] is LogLevel.critical], (method, path, data)
    if reply.headers.get("content-type") == "application/json" and method != "HEAD" and reply.data:
        json.loads(reply.data)
    return reply.code


@hostile
@given(KINDS, bodies(), st.sampled_from(["PUT", "POST", "PATCH"]), st.sampled_from(["", "/1", "/syslog"]))
def test_bodies(api: Apisix, kind: str, body: Any, method: str, id: str) -> None:  # noqa: A002
    call(api, method, f"/{kind}{id}", json.dumps(body).encode())
    call(api, "GET", f"/{kind}", None)


@hostile
@given(KINDS, bodies())
def test_bodies_against_schemas(api: Apisix, kind: str, body: Any) -> None:
    call(api, "POST", f"/schema/validate/{kind}", json.dumps(body).encode())


@hostile
@given(st.text(max_size=12), JSON)
def test_patches_at_any_path(api: Apisix, path: str, body: Any) -> None:
    call(api, "PUT", "/upstreams/p", json.dumps(roundrobin()).encode())
    encoded = quote(path.encode("utf-8", "ignore"), safe="/")
    call(api, "PATCH", f"/upstreams/p/{encoded}", json.dumps(body).encode())


@hostile
@given(
    st.dictionaries(
        st.sampled_from(["upstreams", "stream_routes", "services", "ssls", "plugin_metadata", "plugins", "routes"]),
        st.lists(bodies(), max_size=3) | JSON,
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(["upstreams_conf_version", "ssls_conf_version"]), SCALARS),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), min_size=1, max_size=5),
)
def test_whole_configurations(standalone: Apisix, config: Any, versions: Any, digest: str) -> None:
    data = json.dumps({**config, **versions}).encode()
    call(standalone, "POST", "/configs/validate", data)
    call(standalone, "PUT", "/configs", data, **{"X-Digest": digest})
    call(standalone, "GET", "/configs", None)
    call(standalone, "GET", "/configs", None, Accept="application/yaml")


@hostile
@given(st.binary(max_size=60), st.sampled_from(["/upstreams/1", "/configs/validate", "/schema/validate/ssls"]))
def test_bytes(api: Apisix, data: bytes, path: str) -> None:
    for kind in ("application/json", "application/yaml"):
        call(api, "POST", path, data, **{"Content-Type": kind})


@hostile
@given(st.lists(st.text(max_size=6), max_size=4), st.sampled_from(["GET", "PUT", "DELETE", "POST", "PATCH", "HEAD"]))
def test_paths(api: Apisix, steps: list[str], method: str) -> None:
    path = "/".join(quote(step.encode("utf-8", "ignore"), safe="") for step in steps)
    call(api, method, f"/{path}", b"{}")
    call(api, method, f"/upstreams/{path}", b"{}")


@hostile
@given(
    st.dictionaries(
        st.sampled_from(["page", "page_size", "name", "label", "uri", "filter", "ttl", "wait"]), st.text(max_size=10)
    )
)
def test_queries(api: Apisix, query: dict[str, str]) -> None:
    text = "&".join(f"{name}={quote(value.encode('utf-8', 'ignore'))}" for name, value in query.items())
    call(api, "GET", f"/upstreams?{text}", None)
    call(api, "PUT", f"/upstreams/1?{text}", json.dumps(roundrobin()).encode())


@pytest.mark.parametrize(
    "data",
    [
        b'{"nodes":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b'{"retries":' + b"9" * 100_000 + b"}",
        b'{"retries":1e999}',
        b'{"retries":NaN}',
        b'{"nodes":{},"nodes":{},"type":"roundrobin","type":5}',
        b'{"desc":"\\ud800"}',
        b'{"name":"' + b"x" * 150_000 + b'","nodes":{}}',
        b'{"__proto__":{},"nodes":{}}',
    ],
)
def test_what_has_broken_others(api: Apisix, data: bytes) -> None:
    for kind in ("upstreams", "stream_routes", "services", "ssls", "plugin_metadata"):
        assert call(api, "PUT", f"/{kind}/1", data) == 400
    assert call(api, "POST", "/configs/validate", b'{"upstreams":[' + data + b"]}") == 400


def test_what_is_stored_though_it_is_no_text_that_anybody_could_want(api: Apisix) -> None:
    data = b'{"desc":"\\u0000","nodes":{"a\\u0000\\r\\nb:80":1}}'
    assert call(api, "PUT", "/upstreams/odd", data) == 201
    assert api.get("/upstreams/odd").json["value"]["nodes"] == {"a\0\r\nb:80": 1}
