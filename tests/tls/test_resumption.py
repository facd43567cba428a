"""Sessions: taken up again where that saves work, and of no use to whoever wants to get past a demand."""

from __future__ import annotations

import itertools

import pytest
from OpenSSL import SSL

from streamproxy.model import ClientAuth, ClientVerification, ServerPolicy, TlsVersion
from streamproxy.tls import Contexts, handshake_facts
from streamproxy.tls.context import MAX_AGE, server_context

from .conftest import Pki
from .talk import Talk, client_context, client_of, talk

VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])

POLICIES = ("open", "open, other name", "wants", "needs", "needs another", "needs, with a list", "needs, shallow")


def policy(pki: Pki, kind: str) -> ServerPolicy:
    """All but one show the same certificate, so that nothing but the demand on clients sets them apart."""
    demands = {
        "open": ClientVerification(),
        "open, other name": ClientVerification(),
        "wants": ClientVerification(ClientAuth.WANT, (pki.root.der,)),
        "needs": ClientVerification(ClientAuth.NEED, (pki.root.der,)),
        "needs another": ClientVerification(ClientAuth.NEED, (pki.stranger.der,)),
        "needs, with a list": ClientVerification(ClientAuth.NEED, (pki.root.der,), crls=(pki.root.revoke(),)),
        "needs, shallow": ClientVerification(ClientAuth.NEED, (pki.root.der,), depth=0),
    }
    name = "b.example.com" if kind == "open, other name" else "a.example.com"
    return ServerPolicy((pki.server(name).pair,), demands[kind])


def greet(server: SSL.Context, client: SSL.Context, name: str, session: SSL.Session | None = None) -> Talk:
    connection = client_of(client, session=session)
    connection.set_tlsext_host_name(name.encode())
    return talk(server, connection)


@VERSIONS
@pytest.mark.parametrize(("given_by", "shown_to"), list(itertools.product(POLICIES, POLICIES)))
def test_a_session_opens_no_door_that_is_closed_without_it(
    pki: Pki, given_by: str, shown_to: str, version: int
) -> None:
    contexts = Contexts()
    giver, other = contexts.server(policy(pki, given_by)), contexts.server(policy(pki, shown_to))
    client = client_context(version=version)
    # Whoever gets a session proves what is asked for; whoever shows it has nothing to prove it with.
    proof = pki.stranger.issue("mallory") if given_by == "needs another" else pki.client()
    first = talk(giver, client_of(client, proof))
    assert first.worked, first.server.why
    without = talk(other, client_of(client))
    again = talk(other, client_of(client, session=first.session))
    assert again.worked is without.worked is (not shown_to.startswith("needs")), again.server.why
    assert again.server.why == without.server.why
    if again.server.finished:
        assert again.resumed is (given_by == shown_to and given_by.startswith("open"))
        assert handshake_facts(again.server.connection).client is None


@VERSIONS
@pytest.mark.parametrize("auth", [ClientAuth.WANT, ClientAuth.NEED])
def test_who_has_to_prove_itself_does_so_in_every_handshake(pki: Pki, auth: ClientAuth, version: int) -> None:
    context = server_context(ServerPolicy((pki.server().pair,), ClientVerification(auth, (pki.root.der,))))
    client = client_context(version=version)
    first = talk(context, client_of(client, pki.client()))
    again = talk(context, client_of(client, pki.client(), first.session))
    assert again.worked
    assert not again.resumed
    assert again.server.connection.get_verified_chain(), "its certificate was not verified anew"
    replaced = talk(context, client_of(client, pki.client("expired"), first.session))
    assert not replaced.worked, "an expired certificate came through with an earlier session"


@VERSIONS
def test_a_resumed_session_says_so(pki: Pki, version: int) -> None:
    context = server_context(policy(pki, "open"))
    client = client_context(version=version)
    first = greet(context, client, "a.example.com")
    assert not handshake_facts(first.server.connection).resumed
    again = greet(context, client, "a.example.com", first.session)
    facts = handshake_facts(again.server.connection)
    assert again.worked
    assert facts.resumed
    assert again.server.connection.get_servername() == b"a.example.com", "the name is known all the same"


def test_a_session_of_tls_1_2_keeps_the_name_it_was_made_for(pki: Pki) -> None:
    """So whoever compares it with the name in the hello finds out."""
    context = server_context(policy(pki, "open"))
    client = client_context(version=SSL.TLS1_2_VERSION)
    first = greet(context, client, "a.example.com")
    again = greet(context, client, "b.example.com", first.session)
    assert again.server.connection.get_servername() == b"a.example.com"


@VERSIONS
def test_equal_policies_share_sessions(pki: Pki, version: int) -> None:
    contexts = Contexts()
    client = client_context(version=version)
    first = talk(contexts.server(policy(pki, "open")), client_of(client))
    again = talk(contexts.server(policy(pki, "open")), client_of(client, session=first.session))
    assert again.worked
    assert again.resumed


@VERSIONS
def test_no_ticket_outlives_the_keys_it_was_made_with(pki: Pki, version: int) -> None:
    now = [1000.0]
    contexts = Contexts(clock=lambda: now[0])
    client = client_context(version=version)
    first = talk(contexts.server(policy(pki, "open")), client_of(client))
    now[0] += MAX_AGE - 1
    assert talk(contexts.server(policy(pki, "open")), client_of(client, session=first.session)).resumed
    now[0] += 1
    late = talk(contexts.server(policy(pki, "open")), client_of(client, session=first.session))
    assert late.worked, "whoever comes with an old ticket gets a new handshake"
    assert not late.resumed


def test_nothing_is_kept_of_sessions(pki: Pki) -> None:
    for kind in POLICIES:
        assert server_context(policy(pki, kind)).get_session_cache_mode() == SSL.SESS_CACHE_OFF


def test_a_session_without_a_ticket_is_not_resumed(pki: Pki) -> None:
    context = server_context(policy(pki, "open"))
    client = client_context(version=SSL.TLS1_2_VERSION)
    client.set_options(SSL.OP_NO_TICKET)
    first = talk(context, client_of(client))
    again = talk(context, client_of(client, session=first.session))
    assert again.worked
    assert not again.resumed


def test_two_versions_of_one_policy_are_two_policies(pki: Pki) -> None:
    contexts = Contexts()
    both = policy(pki, "open")
    old = ServerPolicy(both.pairs, versions=frozenset({TlsVersion.TLS1_2}))
    client = client_context(version=SSL.TLS1_2_VERSION)
    first = talk(contexts.server(both), client_of(client))
    assert talk(contexts.server(both), client_of(client, session=first.session)).resumed
    other = talk(contexts.server(old), client_of(client, session=first.session))
    assert other.worked
    assert not other.resumed
