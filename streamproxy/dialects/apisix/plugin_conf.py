"""What stands under ``plugins`` of a route or a service."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import field, frozen

from streamproxy.errors import Problem
from streamproxy.model import PluginUse
from streamproxy.plugins.seam import Plugin
from streamproxy.rules.expression import compile_expression

from ..codec import kind_of, member, shown
from .jsonschema import Schema, Violation, violations
from .secrets import SecretError, Vault
from .upstream import UpstreamPlan, to_upstream
from .upstream_schema import UPSTREAM

# The descriptions are what those read who ask for a plugin's schema.
_META: Final[Schema] = {
    "type": "object",
    "properties": {
        "disable": {"type": "boolean"},
        "filter": {
            "description": "filter determines whether the plugin needs to be executed at runtime",
            "type": "array",
        },
        "priority": {"description": "priority of plugins by customized order", "type": "integer"},
        "error_response": {"oneOf": [{"type": "string"}, {"type": "object"}]},
        "pre_function": {
            "description": "function to be executed in each phase before execution of plugins. The pre_function will"
            " have access to two arguments: `conf` and `ctx`.",
            "type": "string",
        },
    },
    "additionalProperties": False,
}
# By this, APISIX's tools see that it is a plugin's schema.
_MARK: Final = "this is a mark for our injected plugin schema"
# Of plugins that have nothing to be configured for all uses.
_ANYTHING: Final[tuple[Schema, ...]] = ({}, {"type": "object"})
_STEP = re.compile(r'\[(?P<index>[0-9]+)\]|\["(?P<quoted>.*?)"\]|\.?(?P<name>[A-Za-z0-9_-]+)')

STREAM: Final = "stream plugin [{}]: "
SERVICE: Final = "plugin {} err: "
"""How APISIX names a plugin whose configuration is wrong, in a stream route and in a service."""


@frozen
class PluginPlan:
    """
    A plugin at one place but for what other documents hold: ``targets`` are the upstreams its configuration leads to,
    by the path there, each the id of an upstream object or one of its own.
    """

    use: PluginUse
    targets: Mapping[str, str | UpstreamPlan] = field(factory=dict)


def plugin_schema(plugin: Plugin) -> Schema:
    """The schema of a plugin's configuration, with the ``_meta`` that APISIX puts into each."""
    schema = plugin.schema
    return {"$comment": _MARK, **schema, "properties": {**schema.get("properties", {}), "_meta": _META}}


def described(plugin: Plugin) -> dict[str, Any]:
    """What APISIX's APIs tell of a plugin."""
    found = {"version": plugin.version, "priority": plugin.priority, "schema": plugin_schema(plugin)}
    return found if plugin.metadata_schema in _ANYTHING else {**found, "metadata_schema": plugin.metadata_schema}


def to_plugins(
    confs: Mapping[str, Any], plugins: Mapping[str, Plugin], vault: Vault, place: str, wording: str = STREAM
) -> tuple[Mapping[str, PluginPlan | None], tuple[Violation, ...]]:
    """
    What ``confs``, which stand under ``plugins`` of the document ``place``, describe, by name (``None``: switched off,
    whatever is wrong with it); and what is wrong with the others.
    """
    plans: dict[str, PluginPlan | None] = {}
    found: list[Violation] = []
    for name, conf in confs.items():
        path = member("plugins", name)
        plugin = plugins.get(name)
        if conf == []:
            conf = {}
        if not isinstance(conf, Mapping):
            text = f"invalid plugin conf {_encoded(conf)} for plugin {_bracketed(name)}"
            found.append(Violation(Problem(path, "wrong_type", f"expected an object, got {kind_of(conf)}"), text))
        elif plugin is None:
            found.append(Violation.plain(path, "unsupported", f"unknown plugin {_bracketed(name)}"))
        else:
            plan, refused = _to_plan(plugin, conf, vault, f"{place} {path}")
            prefix = f"failed to check the configuration of {wording.format(name)}"
            found += [Violation(each.problem.under(path), f"{prefix}{each.text}") for each in refused]
            plans[name] = plan
    return plans, tuple(found)


def _to_plan(
    plugin: Plugin, conf: Mapping[str, Any], vault: Vault, place: str
) -> tuple[PluginPlan | None, tuple[Violation, ...]]:
    try:
        return _checked(plugin, vault.opened(conf, plugin.encrypted), vault, place)
    except SecretError as error:
        return None, (Violation.plain("", error.code, str(error)),)
    except Exception as error:  # noqa: BLE001 - a plugin may be anybody's, and its bugs are not to stop everything else
        return None, (Violation.plain("", "bad_value", f"the plugin failed to check it: {type(error).__name__}"),)


def _checked(
    plugin: Plugin, conf: Mapping[str, Any], vault: Vault, place: str
) -> tuple[PluginPlan | None, tuple[Violation, ...]]:
    meta = conf.get("_meta") or {}
    if isinstance(meta, Mapping) and meta.get("disable") is True:
        return None, ()
    found = tuple(violations(conf, plugin_schema(plugin)))
    if found:
        return None, found
    own = {name: value for name, value in conf.items() if name != "_meta"}
    targets, refused = _targets(plugin, own, vault, place)
    objections = (
        *_meta_violations(meta),
        *(Violation(problem, problem.message) for problem in plugin.problems(own)),
        *refused,
    )
    if objections:
        return None, objections
    use = PluginUse(plugin.name, plugin.priority, vault.resolved(own), tuple(meta.get("filter") or ()))
    return PluginPlan(use, targets), ()


def _meta_violations(meta: Mapping[str, Any]) -> Iterator[Violation]:
    if "pre_function" in meta:
        yield Violation.plain("_meta.pre_function", "unsupported", "_meta.pre_function is Lua, which is not run here")
    try:
        compile_expression(meta.get("filter") or [])
    except ValueError as error:
        yield Violation.plain("_meta.filter", "bad_value", f"failed to validate the 'vars' expression: {error}")


def _targets(
    plugin: Plugin, conf: Mapping[str, Any], vault: Vault, place: str
) -> tuple[dict[str, str | UpstreamPlan], list[Violation]]:
    targets: dict[str, str | UpstreamPlan] = {}
    refused: list[Violation] = []
    for reference in plugin.references(conf):
        path, target = reference.path, reference.target
        if not isinstance(target, Mapping):
            targets[path] = str(target)
            continue
        found = tuple(violations(target, UPSTREAM))
        if not found:
            targets[path], found = to_upstream(target, f"{place}.{path}", vault)
        where = _place_of(target, conf, path)
        refused += [Violation(each.problem.under(where), _nested(where, each.text)) for each in found]
    return targets, refused


def _place_of(target: Mapping[str, Any], conf: Mapping[str, Any], path: str) -> str:
    """The path of ``target``, where it does not stand at ``path`` itself but in an object that does."""
    found: Any = conf
    for step in _STEP.finditer(path):
        inner = step["quoted"] or step["name"]
        found = found[inner] if step["index"] is None else found[int(step["index"])]
    holders = found.items() if isinstance(found, Mapping) else ()
    return next((member(path, name) for name, value in holders if value is target), path)


def _nested(path: str, text: str) -> str:
    """``text`` about what stands at ``path``, as APISIX puts it seen from outside."""
    for step in reversed(list(_STEP.finditer(path))):
        if step["index"] is None:
            text = f'property "{step["quoted"] or step["name"]}" validation failed: {text}'
        else:
            text = f"failed to validate item {int(step['index']) + 1}: {text}"
    return text


def _encoded(value: object) -> str:
    return shown(value) if isinstance(value, str) else shown(json.dumps(value))[1:-1].replace('\\"', '"')


def _bracketed(name: str) -> str:
    return f"[{shown(name)[1:-1]}]"
