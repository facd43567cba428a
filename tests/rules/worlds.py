"""Small worlds of names and addresses, in which routes and connections meet often; and short ways to write them."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import settings
from hypothesis import strategies as st

from streamproxy.model import (
    Address,
    Facts,
    ListenAddress,
    Match,
    NamePattern,
    Network,
    Order,
    PatternKind,
    Route,
    Routing,
    Transport,
)

patient = settings(deadline=None)
"""How long an example takes is no reason to fail."""

LISTENER = ListenAddress(Transport.TCP, "0.0.0.0", 443)

# Valid for RE2 and, with the same meaning, for the standard library's re.
REGEXES = [
    ".*",
    "a.*",
    ".*a",
    ".*b.*",
    ".*?b",
    "a|b.*",
    ".*a|b",
    "(a|b).x",
    r"[ab]+\.x",
    r".*\.a",
    r"A\.b",
    "^a.*$",
    "a?b?x?",
    r"\S+",
    ".",
    ".+",
    r"\.*",
    r"a\.*",
]


def pattern(source: str) -> NamePattern:
    """``a.b`` is exact, ``*.b`` a suffix, ``*`` any name, ``/a.*/`` an expression."""
    if source == "*":
        return NamePattern(PatternKind.ANY, "", source)
    if source.startswith("*"):
        return NamePattern(PatternKind.SUFFIX, source[1:], source)
    if source.startswith("/"):
        return NamePattern(PatternKind.REGEX, source[1:-1], source)
    return NamePattern(PatternKind.EXACT, source, source)


def match(*names: str, remote: str | None = None, server: str | None = None, server_port: int | None = None) -> Match:
    return Match(
        tuple(pattern(name) for name in names),
        None if remote is None else ip_network(remote),
        None if server is None else ip_network(server),
        server_port,
    )


def routing(order: Order, *matches: Match) -> Routing:
    """Its routes are called ``r0``, ``r1`` and so on."""
    return Routing("table", order, tuple(Route(f"r{index}", each, "up") for index, each in enumerate(matches)))


def facts(
    name: str | None = None,
    peer: str = "198.51.100.7",
    local: str = "192.0.2.1",
    port: int = 443,
    host: str | None = None,
) -> Facts:
    return Facts(LISTENER, Address(peer, 50000), Address(local, port), sni=name, http_host=host)


labels = st.sampled_from(["a", "b", "x", "ab"])
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
suffixes = names.flatmap(lambda name: st.integers(0, len(name)).map(lambda cut: "." * (cut % 2) + name[cut:]))


def cased(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from([text, text, text.upper()])


exact_patterns = names.flatmap(cased).map(lambda text: NamePattern(PatternKind.EXACT, text, text))
suffix_patterns = suffixes.flatmap(cased).map(lambda text: NamePattern(PatternKind.SUFFIX, text, "*" + text))
regex_patterns = st.sampled_from(REGEXES).map(lambda text: NamePattern(PatternKind.REGEX, text, f"/{text}/"))
any_patterns = st.just(NamePattern(PatternKind.ANY, "*", "*"))

hosts = st.sampled_from(
    [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.1.1",
        "::ffff:10.0.0.1",
        "::ffff:a00:2",
        "2001:db8::1",
        "2001:DB8::2",
        "2001:db8:0:1::1",
        "fe80::1",
        "fe80::1%eth0",
        "::a00:1",
        "no address",
        "",
    ]
)


def _network(text: str) -> Network:
    return ip_network(text, strict=False)


networks = st.one_of(
    st.tuples(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.1"]), st.sampled_from([0, 8, 23, 24, 30, 32])),
    st.tuples(
        st.sampled_from(["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "fe80::1", "::a00:1", "::ffff:10.0.0.1"]),
        st.sampled_from([0, 10, 32, 64, 96, 120, 127, 128]),
    ),
).map(lambda parts: _network(f"{parts[0]}/{parts[1]}"))

ports = st.sampled_from([443, 9100])


def matches(patterns: st.SearchStrategy[NamePattern]) -> st.SearchStrategy[Match]:
    maybe_network = st.one_of(st.none(), st.none(), networks)
    return st.builds(
        Match,
        names=st.lists(patterns, max_size=3).map(tuple),
        remote=maybe_network,
        server=maybe_network,
        server_port=st.one_of(st.none(), st.none(), ports),
    )


def routings(order: Order) -> st.SearchStrategy[Routing]:
    kinds = [exact_patterns, suffix_patterns, any_patterns]
    if order is Order.FIRST:
        kinds.append(regex_patterns)
    return st.lists(matches(st.one_of(kinds)), max_size=8).map(lambda found: routing(order, *found))


connections = st.builds(
    facts,
    name=st.one_of(st.none(), names, names),
    host=st.one_of(st.none(), names),
    peer=hosts,
    local=hosts,
    port=ports,
)
