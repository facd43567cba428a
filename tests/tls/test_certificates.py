"""Which certificate a name gets."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Certificate, ClientAuth, ClientVerification, KeyPair, TlsVersion
from streamproxy.tls import CertificateIndex, server_policy

NOW = 1_700_000_000.0
DAY = 86400.0
PAIR = KeyPair((b"leaf",), b"key")


def certificate(id: str, *names: str, serial: int = 0, days: tuple[float, float] = (-1, 1)) -> Certificate:  # noqa: A002
    return Certificate(id, names, (PAIR,), serial=serial, not_before=NOW + days[0] * DAY, not_after=NOW + days[1] * DAY)


def chosen(index: CertificateIndex, name: str | None) -> str | None:
    found = index.select(name, NOW).certificate
    return None if found is None else found.id


class TestNames:
    INDEX = CertificateIndex(
        [
            certificate("every", "*"),
            certificate("wild", "*.example.com", "*.b.example.com"),
            certificate("exact", "a.example.com", "A.B.Example.com."),
        ]
    )

    @pytest.mark.parametrize(
        ("name", "id_", "why"),
        [
            ("a.example.com", "exact", "exact name"),
            ("A.Example.COM.", "exact", "exact name"),
            ("a.b.example.com", "exact", "exact name"),
            ("c.example.com", "wild", "wildcard *.example.com"),
            ("c.b.example.com", "wild", "wildcard *.b.example.com"),
            ("x.c.example.com", "every", "the certificate for every name"),
            ("example.com", "every", "the certificate for every name"),
            ("localhost", "every", "the certificate for every name"),
            ("10.0.0.1", "every", "the certificate for every name"),
            ("2001:DB8::1", "every", "the certificate for every name"),
        ],
    )
    def test_exact_before_wildcard_before_every(self, name: str, id_: str, why: str) -> None:
        selection = self.INDEX.select(name, NOW)
        assert selection.certificate is not None
        assert (selection.certificate.id, selection.why) == (id_, why)

    def test_a_wildcard_is_one_label_exactly(self) -> None:
        index = CertificateIndex([certificate("wild", "*.example.com")])
        assert chosen(index, "a.example.com") == "wild"
        for name in ("a.b.example.com", "example.com", "aexample.com", ".example.com", "com", "*.example.com"):
            assert chosen(index, name) is None, name

    def test_a_name_that_nobody_has(self) -> None:
        selection = CertificateIndex([certificate("a", "a.example.com")]).select("x.example.com", NOW)
        assert selection.certificate is None
        assert selection.why == "no certificate for x.example.com"

    @pytest.mark.parametrize("hostile", ["", "*", "*.example.com", "a b", "a\0.example.com", "." * 300, "x" * 70000])
    def test_what_is_no_name_gets_nothing_not_even_what_every_name_gets(self, hostile: str) -> None:
        assert chosen(self.INDEX, hostile) is None

    def test_names_of_certificates_that_are_none_are_passed_over(self) -> None:
        index = CertificateIndex([certificate("odd", "", "*.", "a b", "*.*.example.com", "a.example.com")])
        assert chosen(index, "a.example.com") == "odd"

    def test_an_index_of_nothing(self) -> None:
        assert chosen(CertificateIndex(()), "a.example.com") is None
        assert chosen(CertificateIndex(()), None) is None

    @given(name=st.text(max_size=300) | st.none())
    def test_no_name_breaks_it(self, name: str | None) -> None:
        assert self.INDEX.select(name, NOW).why
        assert sum(candidate.won for candidate in self.INDEX.explain(name, NOW)) <= 1


class TestNoName:
    def test_gets_what_the_fallback_gets(self) -> None:
        certificates = [
            certificate("a", "a.example.com"),
            certificate("wild", "*.example.com"),
            certificate("every", "*"),
        ]
        for fallback, id_, why in [
            ("A.example.com", "a", "no name sent, so a.example.com: exact name"),
            ("b.example.com", "wild", "no name sent, so b.example.com: wildcard *.example.com"),
            ("other", "every", "no name sent, so other: the certificate for every name"),
        ]:
            selection = CertificateIndex(certificates, fallback=fallback).select(None, NOW)
            assert selection.certificate is not None
            assert (selection.certificate.id, selection.why) == (id_, why)

    def test_or_without_one_what_every_name_gets(self) -> None:
        selection = CertificateIndex([certificate("every", "*"), certificate("a", "a.example.com")]).select(None, NOW)
        assert selection.certificate is not None
        assert (selection.certificate.id, selection.why) == ("every", "no name sent: the certificate for every name")

    def test_or_nothing(self) -> None:
        only = [certificate("a", "a.example.com")]
        assert (
            CertificateIndex(only).select(None, NOW).why
            == "the client sent no name, and there is no fallback for those"
        )
        missing = CertificateIndex(only, fallback="b.example.com").select(None, NOW)
        assert missing.why == "the client sent no name, and there is no certificate for the fallback b.example.com"

    def test_a_name_without_a_certificate_does_not_get_the_fallback(self) -> None:
        index = CertificateIndex([certificate("a", "a.example.com")], fallback="a.example.com")
        assert chosen(index, "b.example.com") is None

    def test_a_fallback_that_is_no_name_is_none(self) -> None:
        assert CertificateIndex([], fallback="a b").fallback is None


class TestSeveralOfOneName:
    def test_the_newest_wins(self) -> None:
        certificates = [certificate(str(serial), "a.example.com", serial=serial) for serial in (2, 7, 5)]
        assert chosen(CertificateIndex(certificates), "a.example.com") == "7"

    def test_of_equals_the_first(self) -> None:
        certificates = [certificate(id_, "a.example.com", serial=3) for id_ in ("x", "y")]
        assert chosen(CertificateIndex(certificates), "a.example.com") == "x"

    def test_not_one_that_has_expired_or_is_not_valid_yet(self) -> None:
        index = CertificateIndex(
            [
                certificate("old", "a.example.com", serial=1),
                certificate("expired", "a.example.com", serial=2, days=(-9, -1)),
                certificate("next", "a.example.com", serial=3, days=(1, 9)),
            ]
        )
        assert chosen(index, "a.example.com") == "old"

    def test_unless_no_other_is_valid(self) -> None:
        index = CertificateIndex(
            [
                certificate("older", "a.example.com", serial=1, days=(-9, -2)),
                certificate("expired", "a.example.com", serial=2, days=(-9, -1)),
                certificate("wild", "*.example.com", serial=9),
            ]
        )
        selection = index.select("a.example.com", NOW)
        assert selection.certificate is not None
        assert selection.certificate.id == "expired", "what is demanded of clients must not change with the date"
        assert selection.why == "exact name, though expired on 2023-11-13: none of this name is valid"

    def test_a_certificate_is_valid_on_its_first_and_last_second(self) -> None:
        for days in ((0.0, 1.0), (-1.0, 0.0)):
            newest = certificate("newest", "a.example.com", serial=2, days=days)
            index = CertificateIndex([certificate("old", "a.example.com", serial=1), newest])
            assert chosen(index, "a.example.com") == "newest"

    def test_a_name_said_twice_is_one(self) -> None:
        index = CertificateIndex([certificate("a", "a.example.com", "A.example.com.")])
        assert len(index.explain("a.example.com", NOW)) == 1

    def test_its_pairs_are_its_own(self) -> None:
        """Another object of that name does not lend it any."""
        rsa, ecdsa = KeyPair((b"rsa",), b""), KeyPair((b"ec",), b"")
        index = CertificateIndex(
            [
                Certificate("old", ("a.example.com",), (rsa,), serial=1),
                Certificate("new", ("a.example.com",), (ecdsa,), serial=2),
            ]
        )
        found = index.select("a.example.com", NOW).certificate
        assert found is not None
        assert found.pairs == (ecdsa,)


class TestExplain:
    INDEX = CertificateIndex(
        [
            certificate("every", "*"),
            certificate("wild", "*.example.com", "a.example.com", serial=1),
            certificate("newest", "a.example.com", serial=4, days=(2, 9)),
            certificate("winner", "a.example.com", serial=3),
            certificate("second", "a.example.com", serial=3),
            certificate("expired", "a.example.com", serial=0, days=(-9, -5)),
        ],
        fallback="a.example.com",
    )

    def test_every_candidate_and_what_became_of_it(self) -> None:
        told = [
            (each.certificate.id, each.name, each.won, each.why) for each in self.INDEX.explain("a.example.com", NOW)
        ]
        assert told == [
            ("newest", "a.example.com", False, "valid only from 2023-11-16"),
            ("winner", "a.example.com", True, "exact name"),
            ("second", "a.example.com", False, "winner comes before it"),
            ("wild", "a.example.com", False, "winner comes before it"),
            ("expired", "a.example.com", False, "expired on 2023-11-09"),
            ("wild", "*.example.com", False, "exact name is more specific"),
            ("every", "*", False, "exact name is more specific"),
        ]

    def test_of_a_name_that_nobody_has_there_is_nothing_to_tell(self) -> None:
        assert CertificateIndex([]).explain("a.example.com", NOW) == ()

    @pytest.mark.parametrize("name", ["a.example.com", "b.example.com", "c", None])
    def test_it_agrees_with_what_is_done(self, name: str | None) -> None:
        (winner,) = [candidate for candidate in self.INDEX.explain(name, NOW) if candidate.won]
        selection = self.INDEX.select(name, NOW)
        assert (winner.certificate, winner.why) == (selection.certificate, selection.why)


class TestPolicy:
    LISTENER = ClientVerification(ClientAuth.NEED, (b"listener's",))

    def test_the_listener_decides_where_the_certificate_does_not(self) -> None:
        policy = server_policy(certificate("a", "a.example.com"), self.LISTENER, ("mqtt",))
        assert policy.pairs == (PAIR,)
        assert policy.client is self.LISTENER
        assert policy.versions == {TlsVersion.TLS1_2, TlsVersion.TLS1_3}
        assert policy.alpn == ("mqtt",)

    def test_the_certificate_goes_before(self) -> None:
        own = ClientVerification(ClientAuth.WANT, (b"own",), depth=1)
        versions = frozenset({TlsVersion.TLS1_3})
        policy = server_policy(Certificate("a", ("a",), (PAIR,), client=own, versions=versions), self.LISTENER)
        assert policy.client is own
        assert policy.versions is versions


def steps(index: CertificateIndex, name: str) -> int:
    """How many lines of Python one selection takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        index.select(name, NOW)
    finally:
        sys.settrace(before)
    return count


def test_ten_thousand_certificates_cost_no_more_than_ten() -> None:
    def many(count: int) -> CertificateIndex:
        exact = [certificate(f"exact {number}", f"{number}.example.com") for number in range(count // 2)]
        wild = [certificate(f"wild {number}", f"*.{number}.example.com") for number in range(count // 2)]
        return CertificateIndex([*exact, *wild, certificate("every", "*")])

    few, lots = many(10), many(10_000)
    assert chosen(lots, "4999.example.com") == "exact 4999"
    assert chosen(lots, "x.4999.example.com") == "wild 4999"
    assert chosen(lots, "x.y.example.com") == "every"
    for name in ("3.example.com", "x.3.example.com", "elsewhere.org"):
        assert steps(lots, name) == steps(few, name) > 0
