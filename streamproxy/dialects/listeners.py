"""
Listeners that are documents, so that they can be opened, changed and closed while the process runs.

Each says what an entry of ``stream_proxy`` can say, and what stands there holds here too: all of them, whatever asked
for them, share the one table of stream routes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from attrs import frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Access, Json, Key, ListenerLimits, StaticListener, Transport

from .codec import Via, shown, structure
from .restrictions import AccessText, LimitsText
from .stream_proxy import ProxyVersion, Range, listen_range

LISTENERS: Final = ("native", "listeners")
"""Dialect and kind of these documents."""

# Ports of one document: they are bound in one go, in which nothing else runs.
MOST_PORTS: Final = 1000
MOST_CHARACTERS: Final = 256
MOST_LABELS: Final = 64

_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_TCP_ONLY = ("tls", "tls_passthrough")


@frozen
class ListenerDocument:
    """What one document asks for: a listener for each port of its range."""

    key: Key
    listeners: tuple[StaticListener, ...]


def _identifier(value: object) -> str:
    is_id = isinstance(value, (str, int)) and not isinstance(value, bool)
    text = str(value) if is_id else ""
    problem = wrong_id(text)
    if problem:
        raise ValueError(problem)
    return text


def wrong_id(text: str) -> str:
    """What is wrong with an id, nothing if it is empty."""
    if 1 <= len(text) <= 64 and _ID_CHARACTERS.issuperset(text):
        return ""
    return f"expected 1 to 64 of the characters a-z, A-Z, 0-9, -, _ and ., got {shown(text)}"


def _text(value: str) -> str:
    if not 1 <= len(value) <= MOST_CHARACTERS or not value.isprintable():
        raise ValueError(f"expected 1 to {MOST_CHARACTERS} printable characters")
    return value


def _labels(value: Mapping[str, str]) -> Mapping[str, str]:
    if len(value) > MOST_LABELS:
        raise ValueError(f"expected at most {MOST_LABELS} labels")
    for name in value:
        _text(name)
    return value


def _ports(value: object) -> Range:
    found = listen_range(value)
    if len(found) > MOST_PORTS:
        raise ValueError(f"more than {MOST_PORTS} ports in one listener are too many")
    return found


Text = Annotated[str, Via(str, _text)]


@frozen
class _Body:
    addr: Annotated[Range, Via(Any, _ports)]
    id: Annotated[str, Via(Any, _identifier)] | None = None
    transport: Transport = Transport.TCP
    tls: bool = False
    tls_passthrough: bool = False
    proxy_protocol: bool = False
    proxy_protocol_to_upstream: ProxyVersion = 0
    access: AccessText = Access()
    limits: LimitsText = ListenerLimits()
    name: Text | None = None
    labels: Annotated[Mapping[str, str], Via(Mapping[str, Text], _labels)] | None = None

    def __attrs_post_init__(self) -> None:
        problems = tuple(self._problems())
        if problems:
            raise InvalidConfiguration(problems)

    def _problems(self) -> Iterator[Problem]:
        if self.transport is Transport.UDP:
            for name in _TCP_ONLY:
                if getattr(self, name):
                    yield Problem(name, "unsupported", "is for TCP only")


def decode_listener(key: Key, body: object) -> tuple[ListenerDocument | None, tuple[Problem, ...]]:
    """What ``body`` asks for, or what is wrong with it. Who else has its addresses is not looked at."""
    found, problems = structure(body, _Body, forbid_extra=True, null_is_absent=True)
    wrong = wrong_id(key.id)
    if wrong:
        problems = (*problems, Problem("id", "bad_value", wrong))
    elif found is not None and found.id not in (None, key.id):
        problems = (*problems, Problem("id", "conflict", f"this listener is called {shown(key.id)}"))
    if found is None or problems:
        return None, problems
    return (
        ListenerDocument(
            key,
            tuple(
                StaticListener(
                    address,
                    str(key),
                    tls=found.tls,
                    proxy_protocol=found.proxy_protocol,
                    proxy_protocol_to_upstream=found.proxy_protocol_to_upstream,
                    tls_passthrough=found.tls_passthrough,
                    access=found.access,
                    limits=found.limits,
                )
                for address in found.addr.addresses(found.transport)
            ),
        ),
        (),
    )


def canonical_listener(key: Key, body: object) -> tuple[dict[str, Json] | None, tuple[Problem, ...]]:
    """``body`` as it is to be stored: as it is, with its id."""
    found, problems = decode_listener(key, body)
    if found is None or not isinstance(body, Mapping):
        return None, problems
    return {"id": key.id, **{name: value for name, value in body.items() if name != "id"}}, ()
