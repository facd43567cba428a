"""The schema and what is really accepted say the same."""

from __future__ import annotations

from typing import Any

from streamproxy.admin.otoroshi_schema import TCP_SERVICE
from streamproxy.admin.tcp_services import FIELDS
from streamproxy.dialects.otoroshi import canonical

from .api import service

OURS = ("starttls", "access", "limits", "checks")


def test_it_has_the_fields_of_an_entity_in_their_order() -> None:
    assert tuple(service()) == FIELDS
    assert tuple(TCP_SERVICE["properties"]) == (*FIELDS, *OURS)


def test_ours_are_there_where_they_say_something() -> None:
    said: dict[str, Any] = {
        "starttls": "smtp",
        "access": {"deny": ["192.0.2.0/24"]},
        "limits": {"max_sessions_per_client": 1},
        "checks": {"active": {"type": "tcp"}},
    }
    entity, problems = canonical(service(**said), id="a")
    assert entity is not None, problems
    assert {name: entity[name] for name in OURS} == said


def test_what_it_requires_is_what_is_required() -> None:
    required = {name: service()[name] for name in TCP_SERVICE["required"]}

    assert canonical(required, id="a")[1] == ()
    for name in required:
        _, problems = canonical({key: value for key, value in required.items() if key != name}, id="a")
        assert [problem.path for problem in problems] == [name]


def test_its_defaults_are_the_defaults() -> None:
    entity, _ = canonical({"name": "a", "description": "b", "port": 1}, id="a")

    assert entity is not None
    for name, property_ in TCP_SERVICE["properties"].items():
        if "default" in property_ and name not in OURS:
            assert entity[name] == property_["default"]


def test_its_choices_are_the_choices() -> None:
    for name in ("tls", "clientAuth"):
        for choice in TCP_SERVICE["properties"][name]["enum"]:
            entity, _ = canonical(service(**{name: choice}), id="a")
            assert entity is not None
            assert entity[name] == choice
