"""An explanation as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from ..model import Order
from ..rules.explain import Considered, Explanation, Outcome
from .values import NodeSeen, Source, UpstreamSeen, Verdict, Why

# Of the routes that lost or were not reached so many are written out.
MOST_ROUTES = 40

_INDENT = " " * 13
_MARK = " => "
_WIDTH = 120

_SOURCES = {
    Source.PINNED: "the one it was decided by",
    Source.RESTORED: "as it was then, put together again from the history and the files of today",
    Source.CURRENT: "that of now: the one it was decided by is forgotten",
    Source.CANDIDATE: "which is not in force",
}
_ORDERS = {Order.FIRST: "the first that matches wins", Order.SPECIFIC: "the most specific name wins, then the order"}


def text_of(why: Why) -> str:
    """Lines that end with a newline each; nothing in them can steer a terminal."""
    return "".join(f"{_printable(line).rstrip()}\n" for line in _lines(why))


def _lines(why: Why) -> Iterator[str]:
    facts = why.facts
    what = f"session {why.session}" if why.session else "a connection"
    yield f"{what} from {facts.peer} to {facts.local}"
    pinned = why.source is Source.CURRENT and not why.session
    yield _entry("revision", f"{why.revision}" + ("" if pinned else f", {_SOURCES[why.source]}"))
    yield from _listener(why)
    yield from _asked(why)
    for note in why.notes:
        yield _entry("note", note)
    if why.certificate is not None:
        yield _entry("certificate", f"{why.certificate.id or 'none'}: {why.certificate.why}")
        for candidate in why.certificate.candidates:
            if not candidate.won:
                yield f"{_INDENT}not {candidate.id} for {candidate.name}: {candidate.why}"
    if why.rules is not None:
        yield from _rules(why.rules)
    for number, plugin in enumerate(why.plugins):
        mark = _MARK if plugin.verdict is Verdict.REJECTED else "    "
        if not number:
            yield "plugins"
        code = f" ({plugin.code})" if plugin.code is not None else ""
        yield f"{mark}{plugin.name}  {plugin.verdict.value}{code}: {plugin.why}"
    if why.upstream is not None:
        yield from _upstream(why.upstream)
    yield _entry("ending", why.ending.value + (f": {why.ending.detail}" if why.ending.detail else ""))
    for paragraph in (why.ending.words, f"What to do: {why.ending.advice}"):
        yield from textwrap.wrap(paragraph, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _entry(name: str, text: str) -> str:
    return f"{name:<{len(_INDENT)}}{text}"


def _listener(why: Why) -> Iterator[str]:
    listener = why.listener
    if listener is None:
        yield _entry("listener", f"none at {why.facts.listener}")
        return
    words = f"{listener.address} of {listener.owner}, tls {listener.tls.value}"
    if listener.client_auth.value != "None":
        words += f", clientAuth {listener.client_auth.value}"
    yield _entry("listener", words)


def _asked(why: Why) -> Iterator[str]:
    facts = why.facts
    if facts.sni is not None:
        yield _entry("name", f"{facts.sni}, from the TLS handshake")
    elif facts.http_host is not None:
        yield _entry("name", f"{facts.http_host}, from the HTTP request")
    if facts.alpn:
        yield _entry("alpn", ", ".join(facts.alpn))
    agreed = facts.handshake
    if agreed is not None and agreed.version:
        client = "no client certificate" if agreed.client is None else f"client {agreed.client.subject}"
        yield _entry("handshake", f"{agreed.version}, {agreed.cipher}, {client}")


def _rules(rules: Explanation) -> Iterator[str]:
    yield _entry("rules", _ORDERS[rules.order])
    considered = rules.considered
    shown = _worth_showing(considered)
    width = max((len(considered[place].route.id) for place in shown), default=0)
    skipped = 0
    for place, each in enumerate(considered):
        if place not in shown:
            skipped += 1
            continue
        if skipped:
            yield f"    ... {skipped} more"
            skipped = 0
        mark = _MARK if each.outcome is Outcome.WON else "    "
        yield f"{mark}{each.index + 1:>3}  {each.route.id:<{width}}  {_verdict(each)}"
    skipped += rules.left_out
    if skipped:
        yield f"    ... {skipped} more"
    if rules.winner is None:
        yield f"{_MARK}     none of them matches" if considered else f"{_MARK}     there are none"


def _worth_showing(considered: Iterable[Considered]) -> set[int]:
    """The first ones, and the winner with those around it."""
    places = list(considered)
    shown = set(range(min(len(places), MOST_ROUTES)))
    won = next((place for place, each in enumerate(places) if each.outcome is Outcome.WON), None)
    if won is not None:
        shown |= set(range(max(0, won - 2), min(len(places), won + 3)))
    return shown


def _verdict(each: Considered) -> str:
    if each.outcome is not Outcome.WON:
        return each.verdict
    held = "; ".join(
        f"{condition.by} matches {condition.saw}" if condition.by else f"{condition.field} is {condition.saw}"
        for condition in each.conditions
    )
    return f"won: {held or 'it matches everything'}"


def _upstream(upstream: UpstreamSeen) -> Iterator[str]:
    hashed = f" of {upstream.hashed!r}" if upstream.hashed is not None else ""
    by = f", chosen by {upstream.by}" if upstream.by else ""
    yield _entry("nodes", f"of {upstream.id}, {upstream.policy}{hashed}{by}")
    for node in upstream.nodes:
        mark = _MARK if node.picked else "    "
        yield f"{mark}{node.label}  {_state(node)}: {node.why}"


def _state(node: NodeSeen) -> str:
    state = f"weight {node.weight}"
    if node.health is not None:
        state += f", {node.health.value}"
    if node.sessions is not None:
        state += f", {node.sessions} session{'' if node.sessions == 1 else 's'}"
    return state


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
