"""What holds for every protocol, and the two roles of each played against each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import Need
from streamproxy.sniff.starttls import ASKS, MAX_COMMANDS, MAX_PREAMBLE, PREAMBLES, Done, Plain, Preamble, Upgrade

from ..feeding import patient
from .playing import HELLO, lines, meet, pieces_of, play
from .test_ldap import ANONYMOUS_BIND, START_TLS, SUCCESS
from .test_postgres import GSSENC_REQUEST, SSL_REQUEST, STARTUP

NAMES = sorted(PREAMBLES)

# What a client says that upgrades, what it says that does not, and what a target answers.
UPGRADING = {
    "postgres": GSSENC_REQUEST + SSL_REQUEST,
    "smtp": lines(b"EHLO a.example", b"NOOP", b"STARTTLS"),
    "imap": lines(b"1 CAPABILITY", b'2 ID ("name" "x")', b"3 STARTTLS"),
    "pop3": lines(b"AUTH", b"CAPA", b"STLS"),
    "ldap": START_TLS,
}
PLAIN = {
    "postgres": STARTUP,
    "smtp": lines(b"EHLO a.example", b"MAIL FROM:<>"),
    "imap": lines(b"1 LOGIN joe secret"),
    "pop3": lines(b"USER joe"),
    "ldap": ANONYMOUS_BIND,
}
AGREEING = {
    "postgres": b"S",
    "smtp": lines(b"220-real", b"220 hi", b"250-real", b"250 STARTTLS", b"220 go"),
    "imap": lines(b"* OK hi", b"* CAPABILITY IMAP4rev1", b"starttls OK go"),
    "pop3": lines(b"+OK hi", b"+OK go"),
    "ldap": SUCCESS,
}

names = pytest.mark.parametrize("name", NAMES)


def preamble(name: str, *, optional: bool = False) -> Preamble:
    return PREAMBLES[name](host="mx.example.com", optional=optional)


def test_every_protocol_has_both_roles() -> None:
    assert sorted(ASKS) == NAMES == sorted(UPGRADING)


@names
def test_the_two_roles_understand_each_other(name: str) -> None:
    mine, theirs = meet(preamble(name), ASKS[name]())
    assert isinstance(mine, Upgrade), f"the preamble ended with {mine}"
    assert isinstance(theirs, Done), f"the ask ended with {theirs}"


@names
def test_a_greeted_client_needs_no_second_greeting(name: str) -> None:
    """The target greets as we did, and then neither has more to say: the client begins anew."""
    mine, theirs = meet(preamble(name), ASKS[name](upgrade=False))
    assert isinstance(mine, Need)
    assert theirs == Done(len(preamble(name).opening()), _greeting(name))


def _greeting(name: str) -> bytes:
    opening = preamble(name).opening()
    return b"* OK ready\r\n" if name == "imap" else opening


@names
def test_a_plain_client_is_repeated_to_the_target(name: str) -> None:
    """What the client said to us, said to another of us, leaves that where the first was."""
    played = play(preamble(name, optional=True), PLAIN[name])
    assert isinstance(played.last, Plain), f"the client was not passed on: {played}"
    target = preamble(name, optional=True)
    mine, theirs = meet(target, ASKS[name](introduction=played.last.introduction, upgrade=False))
    assert isinstance(mine, Need)
    assert isinstance(theirs, Done)
    assert target.step(played.window) == played.last


@names
@patient
@given(data=st.data())
def test_how_a_client_is_cut_changes_nothing(name: str, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([UPGRADING[name], UPGRADING[name] + HELLO, PLAIN[name]]))
    optional = data.draw(st.booleans())
    pieces = data.draw(pieces_of(whole))
    cut, uncut = play(preamble(name, optional=optional), *pieces), play(preamble(name, optional=optional), whole)
    assert (cut.last, cut.sent, cut.replies) == (uncut.last, uncut.sent, uncut.replies)


@names
@patient
@given(data=st.data())
def test_how_a_target_is_cut_changes_nothing(name: str, data: st.DataObject) -> None:
    pieces = data.draw(pieces_of(AGREEING[name]))
    cut, uncut = play(ASKS[name](), *pieces), play(ASKS[name](), AGREEING[name])
    assert isinstance(uncut.last, Done), f"not agreed: {uncut}"
    assert (cut.last, cut.sent, cut.window) == (uncut.last, uncut.sent, b"")


@names
@patient
@given(data=st.data())
def test_every_beginning_is_waited_for(name: str, data: st.DataObject) -> None:
    for machine, whole in ((preamble(name), UPGRADING[name]), (ASKS[name](), AGREEING[name])):
        beginning = whole[: data.draw(st.integers(0, len(whole) - 1))]
        played = play(machine, beginning)
        assert isinstance(played.last, Need), f"{beginning!r} is not waited for: {played.last}"
        assert len(played.window) < played.last.at_least <= len(played.window) + len(whole) - len(beginning)


@names
@patient
@given(data=st.data())
def test_only_a_hello_may_follow(name: str, data: st.DataObject) -> None:
    behind = data.draw(st.binary(min_size=1, max_size=20))
    played = play(preamble(name), UPGRADING[name] + behind)
    assert isinstance(played.last, Upgrade) == (behind[0] == 0x16), f"{behind!r} was taken for a hello: {played}"


garbage = st.lists(
    st.one_of(
        st.binary(max_size=64),
        st.sampled_from([*UPGRADING.values(), *PLAIN.values(), *AGREEING.values(), HELLO[:20], b"\r\n", b" "]),
        st.binary(min_size=1, max_size=3).map(lambda piece: piece * 1000),
    ),
    max_size=8,
).map(b"".join)


@names
@pytest.mark.parametrize("role", ["preamble", "ask"])
@patient
@given(data=st.data())
def test_garbage_ends_within_the_bounds(name: str, role: str, data: st.DataObject) -> None:
    said = data.draw(garbage)
    make: Callable[[], Preamble] = lambda: preamble(name, optional=data.draw(st.booleans()))  # noqa: E731
    played = play(make() if role == "preamble" else ASKS[name](), *data.draw(pieces_of(said)))
    assert role == "ask" or played.replies <= MAX_COMMANDS
    if isinstance(played.last, Need):
        assert played.last.at_least <= MAX_PREAMBLE
        assert len(said) <= MAX_PREAMBLE


@names
@pytest.mark.parametrize("role", ["preamble", "ask"])
@pytest.mark.parametrize(
    "noise", [b"\0", b"\xff", b"\r\n", b"0", b"A", b"220-\r\n", b"250-\r\n", b"* \r\n", b"NOOP\r\n"]
)
def test_endless_noise_ends(name: str, role: str, noise: bytes) -> None:
    machine = preamble(name) if role == "preamble" else ASKS[name]()
    played = play(machine, noise * (MAX_PREAMBLE // len(noise) + 1))
    assert not isinstance(played.last, Need), f"still waiting: {played.last}"
