"""What the plugins of a route said, or would say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry

from ..model import Ended, Ending, Facts, Ongoing, Phase, PluginUse, Route
from ..plugins.seam import Go, Host, More, Place, Plugin, Reject, Visit
from ..rules.expression import compile_expression
from ..rules.variables import variable
from .values import PluginSeen, Verdict


@define
class Asked:
    """
    What came of asking: ``seen``, in the order of asking; ``variables`` and ``upstream`` as plugins set them, ``by``
    whom; ``rejected`` is what the ending's detail would be.
    """

    seen: list[PluginSeen] = field(factory=list)
    variables: dict[str, str] = field(factory=dict)
    upstream: str | None = None
    by: str = ""
    rejected: str | None = None


def recorded(record: Ended | Ongoing, route: Route) -> Asked:
    """
    What they said to a session, as far as its record tells: who turned it back, and so that those before let it pass.
    """
    asked = Asked(variables=dict(record.variables))
    rejecting, why, code = "", "", None
    if isinstance(record, Ended) and record.ending is Ending.REJECTED:
        rejecting, _, why = record.detail.partition(": ")
        code = record.code
    passed = record.upstream is not None or _got_past(record)
    over = False
    for use in route.plugins:
        if not _holds(use, record.facts, route, asked.variables):
            asked.seen.append(PluginSeen(use.name, Verdict.SKIPPED, "its filter does not hold"))
        elif use.name == rejecting and not over:
            over = True
            asked.seen.append(PluginSeen(use.name, Verdict.REJECTED, why, code))
            asked.rejected = f"{use.name}: {why}"
        elif over:
            asked.seen.append(PluginSeen(use.name, Verdict.NOT_ASKED, f"{rejecting} had turned it back"))
        elif passed or rejecting:
            asked.seen.append(PluginSeen(use.name, Verdict.PASSED, _passed(use, record, route)))
        else:
            asked.seen.append(PluginSeen(use.name, Verdict.UNKNOWN, "it had not said anything when this ended"))
    if record.upstream is not None and record.upstream != route.upstream:
        asked.upstream = record.upstream
        asked.by = next((use.name for use in route.plugins if record.upstream in use.upstreams.values()), "a plugin")
    return asked


def _got_past(record: Ended | Ongoing) -> bool:
    return isinstance(record, Ongoing) and record.phase in (Phase.CONNECTING, Phase.RELAYING)


def _passed(use: PluginUse, record: Ended | Ongoing, route: Route) -> str:
    chose = record.upstream not in (None, route.upstream) and record.upstream in use.upstreams.values()
    return f"it let it pass, and chose the upstream {record.upstream}" if chose else "it let it pass"


def foreseen(facts: Facts, route: Route, window: bytes, plugins: Mapping[str, Plugin], host: Host | None) -> Asked:
    """
    What they would say to a made-up connection. Those are asked that say of themselves (``pure``) that their answer
    follows from what they are asked alone; what the others say only a session finds out.
    """
    asked = Asked()
    for use in route.plugins:
        if asked.rejected is not None:
            asked.seen.append(PluginSeen(use.name, Verdict.NOT_ASKED, "one before would have turned it back"))
        elif not _holds(use, facts, route, asked.variables):
            asked.seen.append(PluginSeen(use.name, Verdict.SKIPPED, "its filter does not hold"))
        else:
            asked.seen.append(_ask(use, facts, route, window, plugins.get(use.name), host or nobodys_host(), asked))
    return asked


def _ask(
    use: PluginUse, facts: Facts, route: Route, window: bytes, plugin: Plugin | None, host: Host, asked: Asked
) -> PluginSeen:
    if plugin is None:
        return _rejected(use, Reject(500, f"there is no plugin {use.name}"), asked)
    if not getattr(plugin, "pure", False):
        return PluginSeen(
            use.name, Verdict.UNKNOWN, "its answer depends on more than this connection: only a session finds out"
        )
    place = Place.of(route, use)
    try:
        gate = plugin.gate(use.conf, place, host)
        verdict = gate.admit(Visit(facts, route, window, False, asked.variables))
        gate.close()
    except Exception as error:  # noqa: BLE001 - a plugin is anybody's code
        return _rejected(use, Reject(500, f"it fails: {type(error).__name__}"), asked)
    if isinstance(verdict, Reject):
        return _rejected(use, verdict, asked)
    if isinstance(verdict, More):
        return PluginSeen(use.name, Verdict.UNKNOWN, f"it wants to see {verdict.at_least} bytes of the client first")
    return _went(use, verdict, asked)


def _went(use: PluginUse, verdict: Go, asked: Asked) -> PluginSeen:
    asked.variables.update(verdict.variables)
    words = ["it would let it pass"]
    if verdict.delay > 0:
        words.append(f"after {verdict.delay:g} s")
    if verdict.upstream is not None:
        asked.upstream, asked.by = verdict.upstream, use.name
        words.append(f"to the upstream {verdict.upstream}")
    return PluginSeen(use.name, Verdict.PASSED, " ".join(words))


def _rejected(use: PluginUse, verdict: Reject, asked: Asked) -> PluginSeen:
    asked.rejected = f"{use.name}: {verdict.why}"
    return PluginSeen(use.name, Verdict.REJECTED, verdict.why, verdict.code)


def _holds(use: PluginUse, facts: Facts, route: Route, variables: Mapping[str, str]) -> bool:
    if not use.filter:
        return True
    try:
        expression = compile_expression(list(use.filter))
    except ValueError:
        return True
    return expression.holds(lambda name: variable(name, facts, route, variables))


def nobodys_host() -> Host:
    """What plugins may use that are only asked for an opinion: nothing that runs or counts."""
    return Host(_Still(), lambda: 0.0, lambda: 0.5, lambda _: {}, lambda _level, _text: None, CollectorRegistry())


@frozen
class _Still:
    """A reactor on which nothing ever happens."""

    def seconds(self) -> float:
        return 0.0

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"a plugin that is pure does not use the reactor's {name}")
