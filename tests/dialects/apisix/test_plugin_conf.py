"""``plugins`` of a route or a service."""

from __future__ import annotations

from typing import Any

import pytest

from streamproxy.dialects.apisix import UpstreamPlan, plugin_schema, violations
from streamproxy.dialects.apisix.plugin_conf import SERVICE, PluginPlan, to_plugins
from streamproxy.dialects.apisix.secrets import DEFAULT_KEYRING, seal
from streamproxy.model import Node, PluginUse, Upstream

from .asking import PLUGINS, RR, VAULT, Probe


def plan(name: str, conf: Any) -> PluginPlan:
    plans, found = to_plugins({name: conf}, PLUGINS, VAULT, "here")
    assert found == ()
    made = plans[name]
    assert made is not None
    return made


def said(name: str, conf: Any, **wording: str) -> list[tuple[str, str]]:
    """Where the problems are, and how APISIX puts them."""
    _, found = to_plugins({name: conf}, PLUGINS, VAULT, "here", **wording)
    return [(each.problem.path, each.text) for each in found]


def test_what_is_used() -> None:
    conf = {"whitelist": ["10.0.0.0/8"]}
    assert plan("ip-restriction", conf) == PluginPlan(PluginUse("ip-restriction", 3000, conf))


def test_an_empty_list_is_an_empty_object() -> None:
    assert plan("prometheus", []).use.conf == {}


def test_one_that_is_switched_off_may_be_anything() -> None:
    plans, found = to_plugins({"probe": {"level": "high", "_meta": {"disable": True}}}, PLUGINS, VAULT, "here")
    assert (plans, found) == ({"probe": None}, ())


class TestMeta:
    def test_a_filter(self) -> None:
        conf = {"level": 1, "_meta": {"filter": [["remote_port", ">", 1024]], "priority": 1, "disable": False}}
        assert plan("probe", conf).use == PluginUse("probe", 2000, {"level": 1}, (["remote_port", ">", 1024],))

    @pytest.mark.parametrize(
        ("meta", "path", "text"),
        [
            (1, "_meta", 'property "_meta" validation failed: wrong type: expected object, got number'),
            (
                {"x": 1},
                "_meta.x",
                'property "_meta" validation failed: additional properties forbidden, found x',
            ),
            (
                {"disable": 1},
                "_meta.disable",
                (
                    'property "_meta" validation failed: property "disable" validation failed: '
                    "wrong type: expected boolean, got number"
                ),
            ),
            ({"filter": [["a"]]}, "_meta.filter", "failed to validate the 'vars' expression: "),
            ({"pre_function": "return"}, "_meta.pre_function", "_meta.pre_function is Lua, which is not run here"),
        ],
    )
    def test_what_is_refused(self, meta: Any, path: str, text: str) -> None:
        ((where, words),) = said("probe", {"_meta": meta})
        assert where == f"plugins.probe.{path}"
        assert words.startswith(f"failed to check the configuration of stream plugin [probe]: {text}")

    def test_every_schema_has_it(self) -> None:
        for plugin in PLUGINS.values():
            schema = plugin_schema(plugin)
            assert [each.text for each in violations({"disable": 1}, schema["properties"]["_meta"])] == [
                'property "disable" validation failed: wrong type: expected boolean, got number'
            ]


@pytest.mark.parametrize(
    ("name", "conf", "path", "text"),
    [
        ("nobody", {}, "plugins.nobody", "unknown plugin [nobody]"),
        ("nobody", {"_meta": {"disable": True}}, "plugins.nobody", "unknown plugin [nobody]"),
        ("a.b", {}, 'plugins["a.b"]', "unknown plugin [a.b]"),
        ("probe", 1, "plugins.probe", "invalid plugin conf 1 for plugin [probe]"),
        ("probe", "x", "plugins.probe", 'invalid plugin conf "x" for plugin [probe]'),
        ("probe", ["x"], "plugins.probe", 'invalid plugin conf ["x"] for plugin [probe]'),
        (
            "probe",
            {"level": "x"},
            "plugins.probe.level",
            (
                "failed to check the configuration of stream plugin [probe]: "
                'property "level" validation failed: wrong type: expected integer, got string'
            ),
        ),
        (
            "probe",
            {"level": 13},
            "plugins.probe.level",
            "failed to check the configuration of stream plugin [probe]: 13 brings bad luck",
        ),
        (
            "probe",
            {"level": 666},
            "plugins.probe",
            "failed to check the configuration of stream plugin [probe]: the plugin failed to check it: RuntimeError",
        ),
        (
            "probe",
            {"password": "$env://NOT_THERE"},
            "plugins.probe",
            (
                "failed to check the configuration of stream plugin [probe]: "
                'the environment variable "NOT_THERE" is not set'
            ),
        ),
    ],
)
def test_what_is_refused(name: str, conf: Any, path: str, text: str) -> None:
    assert said(name, conf) == [(path, text)]


def test_on_a_service_it_is_put_otherwise() -> None:
    assert said("probe", {"level": 13}, wording=SERVICE) == [
        ("plugins.probe.level", "failed to check the configuration of plugin probe err: 13 brings bad luck")
    ]


class TestSecrets:
    def test_references_are_followed_however_deep(self) -> None:
        conf = {"password": "$env://WORD", "inner": {"secret": "$ENV://WORD", "list": ["$env://WORD", 1]}}
        assert plan("probe", conf).use.conf == {
            "password": "open sesame",
            "inner": {"secret": "open sesame", "list": ["open sesame", 1]},
        }

    def test_what_was_sealed_is_opened_before_anybody_looks_at_it(self) -> None:
        sealed = seal("x" * 20, DEFAULT_KEYRING)
        conf = {"password": sealed, "inner": {"secret": sealed}, "other": sealed}
        assert plan("probe", conf).use.conf == {"password": "x" * 20, "inner": {"secret": "x" * 20}, "other": sealed}

    def test_they_are_in_no_repr(self) -> None:
        assert "open sesame" not in repr(plan("probe", {"password": "$env://WORD"}))


class TestWhereItLeads:
    CONF: dict[str, Any] = {  # noqa: RUF012
        "rules": [{"weighted_upstreams": [{"upstream_id": 7}, {"upstream": {"nodes": {"a:1": 1}}}, {"weight": 1}]}]
    }

    def test_to_objects_and_upstreams_of_its_own(self) -> None:
        place = "here plugins.traffic-split.rules[0].weighted_upstreams[1]"
        assert plan("traffic-split", self.CONF).targets == {
            "rules[0].weighted_upstreams[0]": "7",
            "rules[0].weighted_upstreams[1]": UpstreamPlan(Upstream(place, (Node("a", 1),))),
        }

    @pytest.mark.parametrize(
        ("upstream", "path", "text"),
        [
            ({"x": 1, "nodes": {}}, "x", "additional properties forbidden, found x"),
            ({"nodes": {"a:0": 1}}, 'nodes["a:0"]', 'nodes["a:0"]: invalid port 0'),
        ],
    )
    def test_an_upstream_of_its_own_is_checked_like_any(self, upstream: Any, path: str, text: str) -> None:
        conf = {"rules": [{"weighted_upstreams": [{"upstream": upstream}]}]}
        assert said("traffic-split", conf) == [
            (
                f"plugins.traffic-split.rules[0].weighted_upstreams[0].upstream.{path}",
                (
                    "failed to check the configuration of stream plugin [traffic-split]: "
                    'property "rules" validation failed: failed to validate item 1: '
                    'property "weighted_upstreams" validation failed: failed to validate item 1: '
                    f'property "upstream" validation failed: {text}'
                ),
            )
        ]

    def test_the_place_may_be_the_upstream_itself(self) -> None:
        assert said("probe", {"to": {}}) == [
            (
                "plugins.probe.to",
                (
                    "failed to check the configuration of stream plugin [probe]: "
                    'property "to" validation failed: value should match only one schema, but matches none'
                ),
            )
        ]
        assert list(plan("probe", {"to": RR}).targets) == ["to"]

    def test_a_plugin_may_name_a_place_that_is_not_there(self) -> None:
        class Lost(Probe):
            def references(self, conf: Any) -> Any:
                for reference in super().references({"to": {"bad": 1}}):
                    object.__setattr__(reference, "path", "not.there[3]")
                    yield reference

        _, (found,) = to_plugins({"lost": {}}, {"lost": Lost()}, VAULT, "here")
        assert found.text.endswith("the plugin failed to check it: KeyError")
