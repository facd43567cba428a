"""``services``."""

from __future__ import annotations

from typing import Any

from streamproxy.dialects.apisix import Service, decode_service
from streamproxy.model import Key

from .asking import PLUGINS, RR, VAULT

KEY = Key("apisix", "services", "1")


def made(**body: Any) -> Service:
    service, problems = decode_service(KEY, body, VAULT, PLUGINS)
    assert problems == ()
    assert service is not None
    return service


def problems(body: Any) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in decode_service(KEY, body, VAULT, PLUGINS)[1]]


def test_what_it_brings() -> None:
    service = made(upstream=RR, upstream_id=7, plugins={"prometheus": {}, "probe": {"_meta": {"disable": True}}})
    assert service.upstream is not None
    assert service.upstream.upstream.id == "apisix:services/1 upstream"
    assert service.upstream_id == "7"
    assert {name: plan is not None for name, plan in service.plugins.items()} == {"prometheus": True, "probe": False}


def test_what_is_for_http_is_accepted() -> None:
    more = {"hosts": ["a.example"], "enable_websocket": True, "script": "return true"}
    assert made(**more) == made(name="n", desc="d", labels={"a": "b"}) == Service(KEY)


def test_its_upstream_is_looked_at_as_closely_as_an_object() -> None:
    assert problems({"upstream": {**RR, "type": "chash"}}) == [("upstream.key", "missing")]


def test_one_whose_plugins_are_not_all_there_is_broken() -> None:
    service, _ = decode_service(KEY, {"upstream": RR, "plugins": {"nobody": {}}}, VAULT, PLUGINS)
    assert service is not None
    assert service.broken


def test_what_is_refused() -> None:
    assert problems([]) == [("", "wrong_type")]
    assert problems({"snis": ["a"]}) == [("snis", "unknown_key")]
    assert problems({"hosts": ["a", "a"], "plugins": {"nobody": {}}}) == [("hosts", "conflict")]
    assert problems({"plugins": {"nobody": {}}}) == [("plugins.nobody", "unsupported")]
