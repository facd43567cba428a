"""The certificates there are, wherever they are from, brought to where handshakes are had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.x509 import BasicConstraints, ExtensionNotFound
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..dialects.memo import Memo
from ..errors import Problem
from ..model import (
    Certificate,
    CertificateCandidate,
    CertificateChoice,
    CertificateStatus,
    KeyPair,
    LeafStatus,
    Snapshot,
    TlsSettings,
)
from ..relay.termination import Terminator
from ..tls import CertificateIndex, MaterialError, certificates, crls, describe, validity
from ..tls.material import UNREADABLE, read_certificate
from .certdir import CertificateDirectory
from .pemfile import PemFile


class CertificateKeeper:
    """
    Keeps ``terminator`` in the certificates of the snapshot (``apply``) and of the directory in ``settings``, and in
    the authorities of ``settings.client_ca``; both are read at once and followed from ``start`` to ``stop``. A file
    that cannot be used is a problem, and what it held before stays in force; so does a directory until another that
    takes its place has been read. ``now`` is seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self, terminator: Terminator, clock: IReactorTime, settings: TlsSettings, now: Callable[[], float]
    ) -> None:
        self._terminator = terminator
        self._clock = clock
        self._settings = TlsSettings()
        self._now = now
        self._objects: tuple[Certificate, ...] = ()
        self._served: tuple[Certificate, ...] = ()
        self._directory: CertificateDirectory | None = None
        self._coming: CertificateDirectory | None = None
        self._authorities: PemFile | None = None
        self._revoked: PemFile | None = None
        self._is_started = False
        self._describe = Memo(_leaf)
        self.reload(settings)

    def start(self) -> None:
        """Begin to follow the files."""
        self._is_started = True
        for follower in self._followers():
            follower.start()
        if self._coming is not None:
            self._coming.begin()

    def stop(self) -> None:
        """Follow them no more."""
        self._is_started = False
        for follower in self._followers():
            follower.stop()
        if self._coming is not None:
            self._coming.stop()

    def apply(self, snapshot: Snapshot) -> None:
        """These are the certificates of documents now."""
        self._objects = snapshot.certificates
        self._serve()

    def reload(self, settings: TlsSettings) -> None:
        """The configuration file says this now."""
        before, self._settings = self._settings, settings
        if settings.certificates != before.certificates:
            self._open_directory(settings.certificates)
        if settings.client_ca != before.client_ca:
            self._authorities = self._follow(self._authorities, "tls.client_ca", settings.client_ca, self._trust)
        if settings.client_crl != before.client_crl:
            self._revoked = self._follow(self._revoked, "tls.client_crl", settings.client_crl, self._revoke)
        if settings.fallback_sni != before.fallback_sni:
            self._index()
        self._serve()

    # What the APIs see

    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files."""
        files = (file.problem for file in (self._authorities, self._revoked) if file is not None)
        found = tuple(problem for problem in files if problem is not None)
        return found if self._directory is None else (*found, *self._directory.problems)

    def certificates(self) -> tuple[CertificateStatus, ...]:
        """Those that are served, the objects before the files."""
        return tuple(map(self._status, self._served))

    def certificate_for(
        self, name: str | None, objects: tuple[Certificate, ...] | None = None
    ) -> CertificateChoice:
        """What a client gets that asks for ``name``, or for none; or would, if there were these ``objects``."""
        index, now = self._terminator.index, self._now()
        if objects is not None:
            files = () if self._directory is None else self._directory.certificates
            index = CertificateIndex((*objects, *files), fallback=self._settings.fallback_sni)
        selection = index.select(name, now)
        return CertificateChoice(
            None if selection.certificate is None else self._status(selection.certificate),
            selection.why,
            tuple(
                CertificateCandidate(each.certificate.id, each.name, each.won, each.why)
                for each in index.explain(name, now)
            ),
        )

    # Inside

    def _followers(self) -> list[CertificateDirectory | PemFile]:
        return [each for each in (self._directory, self._authorities, self._revoked) if each is not None]

    def _open_directory(self, path: str | None) -> None:
        for before in (self._directory, self._coming):
            if before is not None:
                before.stop()
        self._coming = None
        if path is None:
            self._directory = None
            return
        opened = CertificateDirectory(Path(path), self._clock, lambda: self._take_over(opened))
        if self._is_started:
            self._coming = opened
            opened.begin()
        else:
            self._directory = opened
            opened.load()

    def _take_over(self, directory: CertificateDirectory) -> None:
        """It has been read for the first time, or has changed."""
        if directory is self._coming:
            self._directory, self._coming = directory, None
        self._serve()

    def _follow(
        self, before: PemFile | None, name: str, path: str | None, use: Callable[[bytes | None], None]
    ) -> PemFile | None:
        """Follow another file in place of the one before, or none."""
        if before is not None:
            before.stop()
        if path is None:
            use(b"")
            return None
        # Until the file has been read nothing is known, which is not the same as nothing.
        use(None)
        file = PemFile(self._clock, name, path, use)
        if self._is_started:
            file.start()
        return file

    def _trust(self, pem: bytes | None) -> None:
        self._terminator.client_ca = certificates(pem) if pem else ()

    def _revoke(self, pem: bytes | None) -> None:
        self._terminator.client_crls = None if pem is None else crls(pem) if pem else ()

    def _serve(self) -> None:
        files = () if self._directory is None else self._directory.certificates
        if (*self._objects, *files) != self._served:
            self._served = (*self._objects, *files)
            self._index()

    def _index(self) -> None:
        self._terminator.index = CertificateIndex(self._served, fallback=self._settings.fallback_sni)

    def _status(self, certificate: Certificate) -> CertificateStatus:
        return CertificateStatus(
            certificate.id,
            certificate.names,
            tuple(map(self._describe, certificate.pairs)),
            certificate.not_before,
            certificate.not_after,
            None if certificate.client is None else certificate.client.auth,
            certificate.versions,
        )


def _leaf(pair: KeyPair) -> LeafStatus:
    """All that can be told of it, however odd it is."""
    leaf = pair.chain[0]
    try:
        found = describe(leaf)
    except MaterialError:
        start, end = validity(leaf)
        return LeafStatus("", "", "", "", 0, start, end, (), pair.fingerprint, False, False, pair.chain)
    return LeafStatus(
        found.subject,
        found.issuer,
        found.serial,
        found.key_type,
        found.key_size,
        found.not_before,
        found.not_after,
        found.sans,
        found.fingerprint,
        found.subject == found.issuer,
        _is_authority(leaf),
        pair.chain,
    )


def _is_authority(leaf: bytes) -> bool:
    try:
        return read_certificate(leaf).extensions.get_extension_for_class(BasicConstraints).value.ca
    except (ExtensionNotFound, *UNREADABLE):
        return False
