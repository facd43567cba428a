"""The port of the Admin API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from ..errors import StoreError
from ..model import AdminSettings, AdminTls
from .httpport import HttpPort
from .sockets import Sockets

if TYPE_CHECKING:
    from twisted.internet.ssl import CertificateOptions


class AdminPort(HttpPort):
    """Listens for the Admin API's ``site``."""

    def __init__(self, reactor: Any, settings: AdminSettings, site: Any, sockets: Sockets | None = None) -> None:
        """Raises ``StoreError`` when the certificate cannot be read."""
        context = tls_context(settings.tls) if settings.tls is not None else None
        super().__init__(reactor, "the Admin API", settings.listen, site, context, sockets)
        self._admin = site

    def hush(self) -> Deferred[None]:
        """Accept nobody, and let what is being written be finished: the Deferred fires when it is so."""
        self.pause()
        settled: Deferred[None] = self._admin.hush()
        return settled

    def stir(self) -> None:
        """Undo it."""
        self._admin.stir()
        self.resume()


def tls_context(tls: AdminTls) -> CertificateOptions:
    """What the Admin API shakes hands with. Raises ``StoreError`` when the files cannot be used."""
    from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate, trustRootFromCertificates

    try:
        chain = _certificates(Path(tls.cert).read_bytes())
        own = PrivateCertificate.loadPEM(chain[0] + b"\n" + Path(tls.key).read_bytes())
        trusted = None
        if tls.client_ca is not None:
            found = _certificates(Path(tls.client_ca).read_bytes())
            trusted = trustRootFromCertificates([Certificate.loadPEM(pem) for pem in found])
        return CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=own.original,
            extraCertChain=[Certificate.loadPEM(pem).original for pem in chain[1:]],
            trustRoot=trusted,
        )
    except Exception as error:  # OpenSSL raises its own, the files theirs: all mean the same here
        raise StoreError(f"admin.tls cannot be used ({tls.cert}, {tls.key}): {error}") from error


def _certificates(pem: bytes) -> list[bytes]:
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    parts = [part[part.index(begin) :] + end for part in pem.split(end) if begin in part]
    if not parts:
        raise ValueError("no certificate in the file")
    return parts
