"""What a connection opens with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import STARTTLS
from streamproxy.sniff import Hit, Miss, Need
from streamproxy.sniff.starttls import ASKS, PREAMBLES, TARGET_FIRST, detect

from ..feeding import feed, is_final, patient
from .playing import HELLO
from .test_ldap import ANONYMOUS_BIND, START_TLS
from .test_postgres import CANCEL, GSSENC_REQUEST, SSL_REQUEST, STARTUP

openings = st.sampled_from([SSL_REQUEST, GSSENC_REQUEST, CANCEL, STARTUP, START_TLS, ANONYMOUS_BIND, HELLO])


@pytest.mark.parametrize(
    ("opening", "name"), [(SSL_REQUEST, "postgres"), (GSSENC_REQUEST, "postgres"), (START_TLS, "ldap")]
)
@pytest.mark.parametrize("behind", [b"", b"anything"])
def test_requests_for_tls_are_known(opening: bytes, name: str, behind: bytes) -> None:
    assert detect(opening + behind) == Hit(name, len(opening))
    assert name in PREAMBLES


@pytest.mark.parametrize(
    "opening", [HELLO, CANCEL, STARTUP, ANONYMOUS_BIND, b"EHLO x", b"GET /", b"SSH-2.0-x", b"\0\1"]
)
def test_nothing_else_is(opening: bytes) -> None:
    assert isinstance(detect(opening), Miss)


@pytest.mark.parametrize("first", [b"\x16", b"G", b"E", b"S", b"\x10", b"\x80", b"\xff"])
def test_one_byte_may_be_enough(first: bytes) -> None:
    assert isinstance(detect(first), Miss)


@patient
@given(openings, st.binary(max_size=4), st.data())
def test_any_beginning_agrees_with_the_whole(opening: bytes, more: bytes, data: st.DataObject) -> None:
    assert is_final(detect, opening + more, data.draw(st.integers(0, len(opening + more))))


@patient
@given(openings)
def test_it_asks_few_times(opening: bytes) -> None:
    fed = feed(detect, opening)
    assert not isinstance(fed.verdict, Need)
    assert fed.asks <= 6


@patient
@given(st.binary(max_size=40))
def test_nothing_raises(window: bytes) -> None:
    assert isinstance(detect(window), (Need, Miss, Hit))


def test_every_protocol_a_listener_can_name_can_be_answered_and_asked() -> None:
    assert sorted(PREAMBLES) == sorted(ASKS)
    assert sorted((*PREAMBLES, *TARGET_FIRST)) == sorted(STARTTLS)
