"""How sessions end, in sentences, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from attrs import frozen

from ..model import Ended, Ending, Facts, Ongoing, Phase
from ..tls import NO_CERTIFICATE, NO_NAME
from .values import EndingSeen, ListenerSeen


@frozen
class Case:
    """
    What an ending is explained by: it may be foretold of a connection that is made up, which has no bytes and no node.
    """

    detail: str
    facts: Facts
    listener: ListenerSeen | None = None
    node: str | None = None
    upstream: str | None = None
    attempts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


_Say: TypeAlias = Callable[[Case], tuple[str, str]]

_NOTHING = "Nothing: this is how sessions should end."
_TO_TLS = "Check that the client is meant to speak TLS here, and that the listener's `tls` is what you want."


def ending_of(record: Ended, listener: ListenerSeen | None) -> EndingSeen:
    """Of a session that is over."""
    case = Case(
        record.detail,
        record.facts,
        listener,
        record.node,
        record.upstream,
        record.attempts,
        record.bytes_in,
        record.bytes_out,
    )
    return foretold(record.ending, case)


def foretold(ending: Ending, case: Case) -> EndingSeen:
    words, advice = ENDINGS[ending](case)
    return EndingSeen(ending.value, case.detail, words, advice)


def ongoing(session: Ongoing) -> EndingSeen:
    """Of a session that goes on."""
    words, advice = PHASES[session.phase]
    moved = f" So far {session.bytes_in} bytes went to the target and {session.bytes_out} to the client."
    return EndingSeen(session.phase.value, "", words + (moved if session.phase is Phase.RELAYING else ""), advice)


def relayed(node: str | None) -> EndingSeen:
    """Of a connection that is made up."""
    where = "one of the nodes above" if node is None else node
    advice = "Nothing. Whether the node can be reached only a real connection shows."
    return EndingSeen("relayed", "", f"It would be relayed to {where}.", advice)


def _detail(case: Case) -> str:
    return f": {case.detail}" if case.detail else ""


def _asked(case: Case) -> str:
    return f"for {case.facts.name}" if case.facts.name else "for no name"


def _where(case: Case) -> str:
    return case.node or case.upstream or "the target"


def _client_closed(case: Case) -> tuple[str, str]:
    return f"The client ended the connection first, after {_moved(case)}.", _NOTHING


def _target_closed(case: Case) -> tuple[str, str]:
    words = f"The target {_where(case)} ended the connection first, after {_moved(case)}."
    if case.bytes_out or case.detail:
        return words, _NOTHING
    return words, "It said nothing before it hung up: if that was not meant, look at the target's log."


def _moved(case: Case) -> str:
    return f"{case.bytes_in} bytes to the target and {case.bytes_out} bytes to the client"


def _client_reset(case: Case) -> tuple[str, str]:
    return (
        f"The connection to the client broke{_detail(case)}. The target was reset, too.",
        "The client gave up or crashed, or something between it and the proxy cut the connection: look there.",
    )


def _target_reset(case: Case) -> tuple[str, str]:
    return (
        f"The connection to {_where(case)} broke{_detail(case)}. The client was reset, too.",
        "The target crashed or threw the client out, or something on the way cut the connection: look at its log.",
    )


def _idle(case: Case) -> tuple[str, str]:
    return (
        f"Nothing moved in either direction for too long{_detail(case)}.",
        (
            "If the connection should live longer without a byte, raise `limits.idle_timeout` (or the upstream's"
            " `timeout.read` and `timeout.send`), or let client or target send keep-alives."
        ),
    )


def _sniff_timeout(case: Case) -> tuple[str, str]:
    return (
        f"The client did not say in time what it wants{_detail(case)}.",
        (
            "Its protocol may be one in which the server speaks first, which cannot be routed by name: serve it without"
            " names (`tls: Disabled`, or a route without `sni`). Else raise `limits.sniff_timeout`."
        ),
    )


def _sniff_failed(case: Case) -> tuple[str, str]:
    return (f"The first bytes of the client could not be understood{_detail(case)}.", _TO_TLS)


def _client_gone(case: Case) -> tuple[str, str]:
    return (
        "The client closed the connection before it said anything.",
        "Nothing: health checks and port scans do this.",
    )


def _handshake_timeout(case: Case) -> tuple[str, str]:
    return (
        f"The client did not finish its TLS handshake in time{_detail(case)}.",
        (
            "A client that speaks no TLS waits like this for the server's first word. Check that it is meant to speak"
            " TLS here; raise `limits.handshake_timeout` if it is just slow."
        ),
    )


def _handshake_failed(case: Case) -> tuple[str, str]:
    words = f"The TLS handshake with the client, which asked {_asked(case)}, failed{_detail(case)}."
    if case.detail.startswith(NO_CERTIFICATE):
        return words, (
            f"Add a certificate {_asked(case)}: as an `ssls` object, or as a file in `tls.certificates`;"
            " `/streamproxy/v1/certificates/for?name=...` says what a name gets."
        )
    if case.detail.startswith(NO_NAME):
        return words, "Have the client send a name (SNI), or set `tls.fallback_sni` for those that send none."
    if "certificate" in case.detail:
        return words, (
            "Either the client did not trust ours, or its own was missing or not trusted by us: the listener's"
            " `clientAuth` and the `client.ca` of the certificate say what is demanded."
        )
    return words, "Compare the protocol versions and ciphers of both sides; `openssl s_client -connect` shows them."


def _no_route(case: Case) -> tuple[str, str]:
    if case.facts.name is None:
        return (
            "No rule matches, and the client asked for no name.",
            (
                "If such clients are to be served, add a rule without a name, or `sni.forwardIfNoMatch` with"
                " `sni.forwardsTo`. If the client should have sent a name, see how it connects: by address it sends"
                " none."
            ),
        )
    return (
        f"No rule matches {case.facts.name}.",
        (
            "The rules above say what each of them wanted and what it saw: correct the one that should have matched, or"
            " add one. `?dry_run=true` shows whom the change would move."
        ),
    )


def _rejected(case: Case) -> tuple[str, str]:
    plugin, _, why = case.detail.partition(": ")
    return (
        f"The plugin {plugin} turned the client back: {why or 'it gave no reason'}.",
        f"If it should have passed, change the configuration of {plugin} at this route, or its `_meta.filter`.",
    )


def _no_node(case: Case) -> tuple[str, str]:
    return (
        f"There was no node to connect to{_detail(case)}.",
        (
            "Give the upstream a node with a weight above 0; where nodes have as many sessions as they may,"
            " raise that number or add nodes."
        ),
    )


def _connect_timeout(case: Case) -> tuple[str, str]:
    return (
        f"{_tried(case)} did not answer in time{_detail(case)}.",
        (
            "Something drops the packets on the way (a firewall, a wrong route, a machine that is down): try it from"
            " the proxy's own machine. `limits.connect_timeout` or the upstream's `timeout.connect` is how long is"
            " waited."
        ),
    )


def _connect_failed(case: Case) -> tuple[str, str]:
    return (
        f"{_tried(case)} could not be connected to{_detail(case)}.",
        (
            f"See whether something listens at {_where(case)}, from the proxy's own machine, and whether host and port"
            " are right."
        ),
    )


def _tried(case: Case) -> str:
    tried = f" (after {case.attempts} tries)" if case.attempts > 1 else ""
    return f"{_where(case)}{tried}"


def _resolve_failed(case: Case) -> tuple[str, str]:
    return (
        f"The name of {_where(case)} has no address{_detail(case)}.",
        "Check the name, and ask the proxy's own resolver for it (`getent ahosts NAME`).",
    )


def _target_tls_failed(case: Case) -> tuple[str, str]:
    return (
        f"The TLS handshake with {_where(case)} failed{_detail(case)}.",
        (
            "If the target speaks no TLS, set `tls: false` (APISIX: scheme `tcp`). If its certificate is not trusted,"
            " name its authority, or the name it is for."
        ),
    )


def _over_limit(case: Case) -> tuple[str, str]:
    return (
        f"A limit was met{_detail(case)}.",
        "See who has so many sessions (`/streamproxy/v1/sessions?peer=...`), and raise the limit if that is right.",
    )


def _killed(case: Case) -> tuple[str, str]:
    return f"It was ended from outside{_detail(case)}.", "Nothing: somebody meant it. The audit log says who it was."


def _shutdown(case: Case) -> tuple[str, str]:
    return (
        f"The proxy, or this listener, was stopped while it went on{_detail(case)}.",
        "If sessions should have more time to end by themselves, raise `limits.shutdown_timeout`.",
    )


def _drained(case: Case) -> tuple[str, str]:
    return (
        f"A change took its way away, and whoever made it wanted the sessions ended{_detail(case)}.",
        "Nothing, if the client came back. A change keeps sessions where it says `?sessions=keep`, or nothing of it.",
    )


def _internal_error(case: Case) -> tuple[str, str]:
    return (
        f"Something went wrong in the proxy itself{_detail(case)}.",
        "This should not happen. The log has the details at this time: please report them.",
    )


def _denied(case: Case) -> tuple[str, str]:
    return (
        f"The client may not connect here{_detail(case)}.",
        "If it should, change the allow and deny lists that the detail names.",
    )


def _max_duration(case: Case) -> tuple[str, str]:
    return (
        f"It went on for as long as a session may{_detail(case)}.",
        "If sessions should last longer, raise the limit on their whole time.",
    )


def _queue_full(case: Case) -> tuple[str, str]:
    return (
        f"All nodes were busy, and as many sessions waited for one as may{_detail(case)}.",
        "Add nodes, let each have more sessions, or let more wait.",
    )


def _queue_timeout(case: Case) -> tuple[str, str]:
    return (
        f"All nodes were busy, and none became free in time{_detail(case)}.",
        "Add nodes, let each have more sessions, or let sessions wait longer.",
    )


def _node_down(case: Case) -> tuple[str, str]:
    return (
        f"{_where(case)} became unhealthy, and its upstream's sessions end then{_detail(case)}.",
        "See why its health check fails (`/streamproxy/v1/upstreams`).",
    )


ENDINGS: Final[Mapping[Ending, _Say]] = {
    Ending.CLIENT_CLOSED: _client_closed,
    Ending.TARGET_CLOSED: _target_closed,
    Ending.CLIENT_RESET: _client_reset,
    Ending.TARGET_RESET: _target_reset,
    Ending.IDLE_TIMEOUT: _idle,
    Ending.SNIFF_TIMEOUT: _sniff_timeout,
    Ending.SNIFF_FAILED: _sniff_failed,
    Ending.CLIENT_GONE: _client_gone,
    Ending.HANDSHAKE_TIMEOUT: _handshake_timeout,
    Ending.HANDSHAKE_FAILED: _handshake_failed,
    Ending.NO_ROUTE: _no_route,
    Ending.REJECTED: _rejected,
    Ending.NO_NODE: _no_node,
    Ending.CONNECT_TIMEOUT: _connect_timeout,
    Ending.CONNECT_FAILED: _connect_failed,
    Ending.RESOLVE_FAILED: _resolve_failed,
    Ending.TARGET_TLS_FAILED: _target_tls_failed,
    Ending.OVER_LIMIT: _over_limit,
    Ending.DENIED: _denied,
    Ending.MAX_DURATION: _max_duration,
    Ending.QUEUE_FULL: _queue_full,
    Ending.QUEUE_TIMEOUT: _queue_timeout,
    Ending.NODE_DOWN: _node_down,
    Ending.KILLED: _killed,
    Ending.SHUTDOWN: _shutdown,
    Ending.DRAINED: _drained,
    Ending.INTERNAL_ERROR: _internal_error,
}
"""What is said of each."""

PHASES: Final[Mapping[Phase, tuple[str, str]]] = {
    Phase.HEADER: ("It goes on: the PROXY protocol header has not come yet.", "Nothing yet."),
    Phase.SNIFFING: ("It goes on: the client has not said yet what it wants.", "Nothing yet."),
    Phase.HANDSHAKE: ("It goes on: the client has not finished its TLS handshake yet.", "Nothing yet."),
    Phase.PLUGINS: ("It goes on: a plugin waits, for its time or for more of the client's bytes.", "Nothing yet."),
    Phase.QUEUED: ("It goes on: all nodes have all the sessions they may have, and it waits.", "Nothing yet."),
    Phase.CONNECTING: ("It goes on: it is being connected to its node.", "Nothing yet."),
    Phase.RELAYING: ("It goes on, and is relayed.", "Nothing."),
}
