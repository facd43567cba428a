"""Which certificate a name gets, at a cost that does not grow with how many there are."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from ..model import Certificate, ClientVerification, ServerPolicy
from ..sniff.names import normalize_name
from .description import certificate_name

EVERY = "*"

NO_CERTIFICATE: Final = "no certificate for"
NO_NAME: Final = "the client sent no name"
"""How a reason for no certificate begins."""


@frozen
class Selection:
    """The certificate for a client, or none and so no handshake. ``why`` is for people."""

    certificate: Certificate | None
    why: str


@frozen
class Candidate:
    """A certificate that could be for a client: the one of its ``names`` that fits, and why it won or lost."""

    certificate: Certificate
    name: str
    won: bool
    why: str


@frozen(eq=False, init=False)
class CertificateIndex:
    """
    Certificates by name. A name gets the certificates for exactly it, else those for its wildcard of one label, else
    those for ``*``. Of these the newest (greatest ``serial``, then the first given) that is valid wins. Where none is
    valid the newest is served all the same: a client that minds will say so, and what the certificate of another name
    demands of clients does not take its place.

    A client that sends no name is treated as if it had sent ``fallback``; without one it gets what is for ``*``.
    Immutable: a change is a new index.
    """

    fallback: str | None
    _by_name: dict[str, tuple[Certificate, ...]]

    def __init__(self, certificates: Iterable[Certificate], *, fallback: str | None = None) -> None:
        gathered: dict[str, list[Certificate]] = {}
        for certificate in certificates:
            for name in dict.fromkeys(map(certificate_name, certificate.names)):
                if name is not None:
                    gathered.setdefault(name, []).append(certificate)
        by_name = {
            name: tuple(sorted(found, key=lambda certificate: -certificate.serial)) for name, found in gathered.items()
        }
        self.__attrs_init__(fallback=None if fallback is None else normalize_name(fallback), by_name=by_name)

    def select(self, name: str | None, now: float) -> Selection:
        """For a client that sent ``name`` (``None``: none), at ``now`` (seconds since the epoch)."""
        for claim in self._claims(name):
            rivals = self._by_name.get(claim)
            if rivals is not None:
                winner = _winner(rivals, now)
                return Selection(winner, self._why_won(name, claim, winner, now))
        return Selection(None, self._why_none(name))

    def explain(self, name: str | None, now: float) -> tuple[Candidate, ...]:
        """All that could be for that client, from the most to the least specific, and what became of each."""
        claims = [claim for claim in self._claims(name) if claim in self._by_name]
        if not claims:
            return ()
        best = claims[0]
        winner = _winner(self._by_name[best], now)
        candidates = []
        for claim in claims:
            for certificate in self._by_name[claim]:
                won = claim == best and certificate is winner
                if won:
                    why = self._why_won(name, claim, winner, now)
                elif claim != best:
                    why = f"{_in_words(best)} is more specific"
                else:
                    why = _trouble(certificate, now) or _why_behind(certificate, winner)
                candidates.append(Candidate(certificate, claim, won, why))
        return tuple(candidates)

    def _claims(self, name: str | None) -> tuple[str, ...]:
        """The names of certificates that would do, best first."""
        if name is None:
            name = self.fallback
            if name is None:
                return (EVERY,)
        normalized = normalize_name(name)
        if normalized is None:
            return ()
        return (normalized, f"*.{normalized.partition('.')[2]}", EVERY)

    def _why_won(self, name: str | None, claim: str, winner: Certificate, now: float) -> str:
        if name is not None:
            preamble = ""
        else:
            preamble = "no name sent: " if self.fallback is None else f"no name sent, so {self.fallback}: "
        trouble = _trouble(winner, now)
        return preamble + _in_words(claim) + (f", though {trouble}: none of this name is valid" if trouble else "")

    def _why_none(self, name: str | None) -> str:
        if name is not None:
            return f"{NO_CERTIFICATE} {name}"
        if self.fallback is None:
            return f"{NO_NAME}, and there is no fallback for those"
        return f"{NO_NAME}, and there is no certificate for the fallback {self.fallback}"


def server_policy(certificate: Certificate, client: ClientVerification, alpn: tuple[str, ...] = ()) -> ServerPolicy:
    """How to shake hands with ``certificate`` where the listener demands ``client`` of its clients."""
    demanded = client if certificate.client is None else certificate.client
    if certificate.versions:
        return ServerPolicy(certificate.pairs, demanded, certificate.versions, alpn)
    return ServerPolicy(certificate.pairs, demanded, alpn=alpn)


def _winner(found: tuple[Certificate, ...], now: float) -> Certificate:
    return next((certificate for certificate in found if not _trouble(certificate, now)), found[0])


def _in_words(claim: str) -> str:
    if claim == EVERY:
        return "the certificate for every name"
    return f"wildcard {claim}" if claim.startswith("*") else "exact name"


def _why_behind(certificate: Certificate, winner: Certificate) -> str:
    return f"{winner.id} comes before it"


def _trouble(certificate: Certificate, now: float) -> str:
    if now < certificate.not_before:
        return f"valid only from {_day(certificate.not_before)}"
    if now > certificate.not_after:
        return f"expired on {_day(certificate.not_after)}"
    return ""


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))
