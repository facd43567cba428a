"""Which sessions are meant, and in which order they are shown."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from attrs import frozen

from streamproxy.model import Ended, Ongoing

from .incoming import Query
from .native_openapi import Parameter
from .respond import RefusedError

Session: TypeAlias = Ongoing | Ended
Test: TypeAlias = Callable[[Session], bool]

_MOST_TEXT = 255
_MOST_VALUES = 20

LIVE, ENDED = "live", "ended"


def _listener(session: Session) -> str:
    return str(session.facts.listener)


_TEXTS: Final[Mapping[str, Callable[[Session], str | None]]] = {
    "id": lambda session: session.id,
    "transport": lambda session: session.facts.listener.transport.value,
    "owner": lambda session: session.owner,
    "route": lambda session: session.route,
    "upstream": lambda session: session.upstream,
    "node": lambda session: session.node,
    "name": lambda session: session.facts.name,
    "sni": lambda session: session.facts.sni,
    "http_host": lambda session: session.facts.http_host,
    "client": lambda session: str(session.facts.peer),
    "local": lambda session: str(session.facts.local),
    "revision": lambda session: str(session.revision),
    "ending": lambda session: session.ending.value if isinstance(session, Ended) else None,
    "detail": lambda session: session.detail if isinstance(session, Ended) else None,
    "phase": lambda session: None if isinstance(session, Ended) else session.phase.value,
}
_NUMBERS: Final[Mapping[str, Callable[[Session], float | None]]] = {
    "duration": lambda session: session.duration,
    "bytes_in": lambda session: session.bytes_in,
    "bytes_out": lambda session: session.bytes_out,
    "bytes": lambda session: session.bytes_in + session.bytes_out,
    "sniff_time": lambda session: session.sniff_time,
    "connect_time": lambda session: session.connect_time,
    "attempts": lambda session: session.attempts,
    "started": lambda session: session.started,
}
SORTS: Final = (*sorted({*_TEXTS, *_NUMBERS, "listener", "peer"}),)

FILTERS: Final = (
    Parameter("state", "`live` or `ended`.", {"type": "string", "enum": [LIVE, ENDED]}),
    Parameter("listener", "`tcp 127.0.0.1:443`, `127.0.0.1:443` or `443`."),
    Parameter("peer", "The client's address, or a network: `10.0.0.0/8`."),
    *(Parameter(name, "This, or with `*` for any run of characters.") for name in _TEXTS),
    *(Parameter(f"min_{name}", "At least so much.", {"type": "number"}) for name in _NUMBERS),
    Parameter("q", "Some text in any of the above."),
)
_NAMES = frozenset(parameter.name for parameter in FILTERS)


@frozen
class Selection:
    """Those that pass every test. ``states`` are those that are looked at; ``is_filtered``: not simply all."""

    tests: tuple[Test, ...]
    states: frozenset[str]
    is_filtered: bool

    def holds(self, session: Session) -> bool:
        return all(test(session) for test in self.tests)


def selection_of(query: Query, besides: Iterable[str] = ()) -> Selection:
    """``besides`` may stand in the query as well. Raises :class:`RefusedError` (400)."""
    unknown = sorted(query.keys() - _NAMES - set(besides))
    if unknown:
        raise RefusedError(400, "bad_query", f"{unknown[0][:80]} is no field to filter by: {', '.join(sorted(_NAMES))}")
    tests = [_test(name, values) for name, values in query.items() if name in _NAMES and name != "state"]
    states = set(query.get("state", (LIVE, ENDED)))
    if not states <= {LIVE, ENDED}:
        raise RefusedError(400, "bad_query", "state is live or ended")
    return Selection(tuple(tests), frozenset(states), bool(query.keys() & _NAMES))


def sorting_of(query: Query) -> tuple[Callable[[Session], Any], bool]:
    """By what to sort (``?sort=-duration``), and whether from the greatest. Raises :class:`RefusedError` (400)."""
    text = query.get("sort", ("-started",))[-1]
    name = text.removeprefix("-")
    if name not in SORTS:
        raise RefusedError(400, "bad_query", f"sort by one of {', '.join(SORTS)}, or by -NAME for the greatest first")
    read: Callable[[Session], Any]
    if name == "listener":
        read = _listener
    elif name == "peer":
        read = _peer_key
    else:
        read = _NUMBERS.get(name) or _TEXTS[name]
    # What is not known comes last, whichever way.
    backwards = text.startswith("-")

    def key(session: Session) -> tuple[bool, Any]:
        value = read(session)
        return (value is None) is not backwards, 0 if value is None else value

    def mixed(session: Session) -> tuple[bool, Any]:
        known, value = key(session)
        return known, "" if value == 0 else value

    return (mixed if name in _TEXTS else key), backwards


def _peer_key(session: Session) -> tuple[int, bytes]:
    host = session.facts.peer.host.partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return 0, host.encode("utf-8", "surrogatepass")
    return address.version, address.packed


def _test(name: str, values: tuple[str, ...]) -> Test:
    if len(values) > _MOST_VALUES or any(len(value) > _MOST_TEXT for value in values):
        raise RefusedError(400, "bad_query", f"{name} is too long")
    tests = [_one(name, value) for value in values]
    return tests[0] if len(tests) == 1 else lambda session: any(test(session) for test in tests)


def _one(name: str, value: str) -> Test:
    if name == "peer":
        return _in_network(value)
    if name == "listener":
        return lambda session: _is_at(_listener(session), value)
    if name == "q":
        needle = value.lower()
        return lambda session: any(needle in (text or "").lower() for text in _shown(session))
    if name.startswith("min_"):
        return _at_least(name.removeprefix("min_"), value)
    read = _TEXTS[name]
    if "*" in value:
        # Nothing but the stars is special.
        pattern = re.compile(fnmatch.translate(re.sub(r"([\[?])", r"[\1]", value)), re.IGNORECASE)
        return lambda session: pattern.match(read(session) or "") is not None
    wanted = value.lower()
    return lambda session: (read(session) or "").lower() == wanted


def _shown(session: Session) -> Iterable[str | None]:
    yield _listener(session)
    for read in _TEXTS.values():
        yield read(session)


def _is_at(listener: str, value: str) -> bool:
    address = listener.partition(" ")[2]
    return value in (listener, address, address.rpartition(":")[2]) or value == f":{address.rpartition(':')[2]}"


def _in_network(value: str) -> Test:
    try:
        network = ipaddress.ip_network(value.strip("[]"), strict=False)
    except ValueError:
        raise RefusedError(400, "bad_query", "peer is an IP address or a network like 10.0.0.0/8") from None

    def test(session: Session) -> bool:
        try:
            return ipaddress.ip_address(session.facts.peer.host.partition("%")[0]) in network
        except ValueError:
            return False

    return test


def _at_least(name: str, value: str) -> Test:
    try:
        least = float(value)
    except ValueError:
        raise RefusedError(400, "bad_query", f"min_{name} is a number") from None
    read = _NUMBERS[name]
    return lambda session: (read(session) or 0) >= least
