"""The port of the Admin API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger

from ..errors import StoreError
from ..model import AdminSettings, AdminTls

if TYPE_CHECKING:
    from twisted.internet.ssl import CertificateOptions

# Seconds between two tries to bind a port that somebody else has.
RETRY = 5.0


class AdminPort:
    """Listens for the Admin API's ``site``. A busy port is logged and tried again: it must not stop the proxy."""

    _log = Logger()

    def __init__(self, reactor: Any, settings: AdminSettings, site: Any) -> None:
        """Raises ``StoreError`` when the certificate cannot be read."""
        self._reactor = reactor
        self._settings = settings
        self._site = site
        self._context = _context(settings.tls) if settings.tls is not None else None
        self._port: IListeningPort | None = None
        self._retry: IDelayedCall | None = None

    def start(self) -> None:
        self._retry = None
        listen = self._settings.listen
        try:
            if self._context is not None:
                self._port = self._reactor.listenSSL(
                    listen.port, self._site, self._context, backlog=128, interface=listen.host
                )
            else:
                self._port = self._reactor.listenTCP(listen.port, self._site, backlog=128, interface=listen.host)
        except CannotListenError as error:
            self._log.error(
                "the Admin API cannot listen on {listen}: {why}; it is tried again in {seconds:g} s",
                listen=str(listen),
                why=error.socketError,
                seconds=RETRY,
            )
            self._retry = self._reactor.callLater(RETRY, self.start)
        else:
            self._log.info("the Admin API listens on {listen}", listen=str(listen))

    def stop(self) -> Deferred[None] | None:
        if self._retry is not None:
            self._retry.cancel()
        if self._port is not None:
            return self._port.stopListening()
        return None


def _context(tls: AdminTls) -> CertificateOptions:
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
