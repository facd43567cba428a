"""The decision, taken again and noted down."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from ..model import (
    Address,
    CertificateChoice,
    ClientAuth,
    Ended,
    Ending,
    Facts,
    ListenAddress,
    Listener,
    ListenerStatus,
    Ongoing,
    Route,
    Snapshot,
    TlsMode,
    Transport,
    UpstreamStatus,
)
from ..plugins.seam import Plugin
from ..rules.explain import Explanation, explain
from ..tls import NO_CERTIFICATE
from . import words
from .connection import Connection
from .learn import Learnt, learn
from .nodes import upstream_seen
from .plugins import Asked, foreseen, recorded
from .values import (
    CertificateCandidateSeen,
    CertificateSeen,
    EndingSeen,
    ListenerSeen,
    Source,
    UpstreamSeen,
    Why,
)

# So many routes are shown; the winner always is.
MOST_ROUTES = 200
_MOST_CERTIFICATES = 20
_PASSES = "the route leaves TLS to its target, so no certificate is looked for here"


def _no_statuses(_: str) -> None:
    return None


@frozen
class World:
    """
    What an explanation is made of: ``snapshot``, which is from ``source``, and what is known of the rest. ``status``
    is how an upstream is now, by its id, ``listening`` how a listener is, ``certificate_for`` which certificate a name
    gets. Each may know nothing. ``plugins`` are those that there are.
    """

    snapshot: Snapshot
    source: Source
    status: Callable[[str], UpstreamStatus | None] = _no_statuses
    listening: Callable[[ListenAddress], ListenerStatus | None] = lambda _: None
    certificate_for: Callable[[str | None], CertificateChoice] | None = None
    plugins: Mapping[str, Plugin] = field(factory=dict)


def explain_session(world: World, record: Ended | Ongoing) -> Why:
    """Of a session that goes on or is over, by what its record says."""
    facts = record.facts
    listener = next((each for each in world.snapshot.listeners if each.address == facts.listener), None)
    seen = None if listener is None else _listener(world, listener)
    ending = words.ending_of(record, seen) if isinstance(record, Ended) else words.ongoing(record)
    why = Why(facts, record.revision, world.source, ending, session=record.id, listener=seen)
    if listener is None:
        if world.source is Source.CURRENT:
            return evolve(why, notes=("nothing listens there any more, and what was there then is forgotten",))
        return evolve(why, notes=("in that configuration nothing listens there",))
    passed = listener.passes and facts.handshake is None and _was_decided(record)
    certificate = None if passed else _certificate(world, listener, facts)
    notes = (*_notes(record, listener), *((_PASSES,) if passed else ()))
    why = evolve(why, certificate=certificate, notes=notes)
    if not _was_decided(record):
        return why
    rules = explain(world.snapshot.routings[listener.routing], facts, MOST_ROUTES)
    why = evolve(why, rules=rules)
    route = _route(world, listener, rules, record)
    if route is None:
        return why
    if rules.winner is None or rules.winner.id != record.route:
        note = f"it went by {record.route}, though the configuration that was asked says otherwise"
        why = evolve(why, notes=(*why.notes, note))
    asked = recorded(record, route)
    upstream = _upstream(world, facts, route, asked, record)
    return evolve(why, plugins=tuple(asked.seen), upstream=upstream)


def explain_connection(world: World, connection: Connection) -> Why:
    """Of one that nobody made."""
    listener, note = _listener_of(world.snapshot, connection)
    if listener is None:
        address = ListenAddress(connection.transport, connection.host or "0.0.0.0", connection.port)
        local = connection.local or Address(connection.host or "127.0.0.1", connection.port)
        facts = Facts(address, connection.peer, local)
        ending = EndingSeen(
            "refused",
            f"nothing listens on {_place(connection)}",
            f"Nothing listens on {_place(connection)}: the kernel would refuse it.",
            "See what listens (`/streamproxy/v1/listeners`), and open a listener or enable the service.",
        )
        return Why(facts, world.snapshot.revision, world.source, ending)
    seen = _listener(world, listener)
    learnt = learn(connection, listener, world.snapshot.routings[listener.routing], world.snapshot.limits)
    notes = (*((note,) if note else ()), *learnt.notes)
    facts = learnt.facts
    pending = EndingSeen("", "", "", "")
    why = Why(facts, world.snapshot.revision, world.source, pending, listener=seen, notes=notes)
    if seen.error:
        why = evolve(why, notes=(*notes, f"it does not listen at the moment: {seen.error}"))
    rules = explain(world.snapshot.routings[listener.routing], facts, MOST_ROUTES)
    passes = listener.passes and rules.winner is not None and rules.winner.passthrough
    if passes and learnt.ending is None:
        why = evolve(why, notes=(*why.notes, _PASSES), facts=evolve(facts, handshake=None))
    else:
        why = evolve(why, certificate=_certificate(world, listener, facts))
        refused = _refused(learnt, listener, why.certificate)
        if refused is not None:
            return _ends(why, *refused)
    why = evolve(why, rules=rules)
    if rules.winner is None:
        return _ends(why, Ending.NO_ROUTE, "no route matches")
    return _through(world, why, rules.winner, connection.window)


def _through(world: World, why: Why, route: Route, window: bytes) -> Why:
    """From the route to a node."""
    asked = foreseen(why.facts, route, window, world.plugins, None)
    why = evolve(why, plugins=tuple(asked.seen))
    if asked.rejected is not None:
        return _ends(why, Ending.REJECTED, asked.rejected)
    upstream = _upstream(world, why.facts, route, asked, None)
    if upstream is None:
        name = asked.upstream or route.upstream
        return _ends(why, Ending.NO_NODE, f"there is no upstream {name}".rstrip())
    why = evolve(why, upstream=upstream)
    if not any(node.weight for node in upstream.nodes):
        return _ends(why, Ending.NO_NODE, f"{upstream.id} has no node to connect to")
    picked = next((node.label for node in upstream.nodes if node.picked), None)
    return evolve(why, ending=words.relayed(picked))


def _ends(why: Why, ending: Ending, detail: str) -> Why:
    upstream = why.upstream.id if why.upstream is not None else None
    case = words.Case(detail, why.facts, why.listener, None, upstream)
    return evolve(why, ending=words.foretold(ending, case))


def _refused(learnt: Learnt, listener: Listener, certificate: CertificateSeen | None) -> tuple[Ending, str] | None:
    """Why it does not get as far as to be decided on."""
    if learnt.ending is not None:
        return learnt.ending, learnt.detail
    if listener.tls is not TlsMode.TERMINATE:
        return None
    if certificate is not None and certificate.id is None:
        return Ending.HANDSHAKE_FAILED, certificate.why or NO_CERTIFICATE
    agreed = learnt.facts.handshake
    if listener.client_auth is ClientAuth.NEED and (agreed is None or agreed.client is None):
        return Ending.HANDSHAKE_FAILED, "peer did not return a certificate"
    return None


def _place(connection: Connection) -> str:
    host = connection.host or "any address"
    return f"{connection.transport.value} port {connection.port} of {host}"


def _listener_of(snapshot: Snapshot, connection: Connection) -> tuple[Listener | None, str]:
    """The listener that the kernel would give it to, and what to say about that."""
    found = [
        listener
        for listener in snapshot.listeners
        if listener.address.transport is connection.transport and listener.address.port == connection.port
    ]
    host = connection.host or (connection.local.host if connection.local is not None else None)
    if host is None:
        if len(found) > 1:
            return found[0], f"{len(found)} listeners have this port: this is the first of them"
        return (found[0], "") if found else (None, "")
    exact = [listener for listener in found if listener.address.interface == host]
    wildcard = "::" if ":" in host else "0.0.0.0"
    everywhere = [listener for listener in found if listener.address.interface == wildcard]
    chosen = exact or everywhere
    return (chosen[0], "") if chosen else (None, "")


def _listener(world: World, listener: Listener) -> ListenerSeen:
    status = world.listening(listener.address)
    return ListenerSeen(
        str(listener.address),
        listener.owner,
        listener.documents,
        listener.tls,
        listener.client_auth,
        "" if status is None else status.state.value,
        "" if status is None else status.error,
    )


def _certificate(world: World, listener: Listener, facts: Facts) -> CertificateSeen | None:
    """By what is there now: whether it was so then is not known."""
    if listener.tls is not TlsMode.TERMINATE or world.certificate_for is None:
        return None
    choice = world.certificate_for(facts.sni)
    return CertificateSeen(
        None if choice.certificate is None else choice.certificate.id,
        choice.why,
        tuple(
            CertificateCandidateSeen(each.id, each.name, each.won, each.why)
            for each in choice.candidates[:_MOST_CERTIFICATES]
        ),
    )


def _notes(record: Ended | Ongoing, listener: Listener) -> tuple[str, ...]:
    facts = record.facts
    notes = []
    if facts.via is not None:
        notes.append(f"a PROXY protocol header from {facts.via} named the client")
    elif facts.claimed is not None:
        notes.append(f"a PROXY protocol header named {facts.claimed} as the client, but its sender is not trusted")
    if facts.listener.transport is Transport.TCP and facts.name is None and _was_decided(record):
        if listener.tls is TlsMode.TERMINATE:
            notes.append("the client sent no name in its handshake")
        elif listener.sniff:
            notes.append("no name was read: the client named none, or no rule looks at names")
    return tuple(notes)


def _was_decided(record: Ended | Ongoing) -> bool:
    """Was a route chosen, or found not to be there?"""
    if record.route is not None:
        return True
    return isinstance(record, Ended) and record.ending is Ending.NO_ROUTE


def _route(world: World, listener: Listener, rules: Explanation, record: Ended | Ongoing) -> Route | None:
    """The one the session took."""
    if record.route is None:
        return None
    if rules.winner is not None and rules.winner.id == record.route:
        return rules.winner
    routing = world.snapshot.routings[listener.routing]
    return next((route for route in routing.routes if route.id == record.route), None)


def _upstream(
    world: World, facts: Facts, route: Route, asked: Asked, record: Ended | Ongoing | None
) -> UpstreamSeen | None:
    if record is not None and record.upstream is None:
        return None
    chosen = world.snapshot.upstreams.get(asked.upstream or route.upstream)
    if chosen is None:
        return None
    status = world.status(chosen.id)
    if record is None:
        return upstream_seen(chosen, status, facts, route, asked.variables, is_made_up=True, by=asked.by)
    return upstream_seen(
        chosen,
        status,
        facts,
        route,
        asked.variables,
        picked=record.node,
        attempts=record.attempts,
        by=asked.by,
    )
