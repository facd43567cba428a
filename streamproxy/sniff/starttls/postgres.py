"""
SSLRequest of PostgreSQL (its documentation, "Message Flow", "SSL Session Encryption").

The client speaks first, in messages without a type: a length that includes itself, and a code where others have the
version of the protocol.
"""

from __future__ import annotations

import struct

from attrs import define, field

from ..verdict import Need
from .machine import HANDSHAKE, Answering, Asking, Plain, Refuse, Reply, Upgrade, done, upgrade

SSL_REQUEST = struct.pack(">II", 8, 80877103)
GSSENC_REQUEST = struct.pack(">II", 8, 80877104)

_OPENING = struct.Struct(">II")
_CANCEL = 80877102
_VERSIONS = (2, 3)

# The longest startup message a server takes; its length therefore begins with two zeros.
_MAX_STARTUP = 10000
_ZEROS = b"\0\0"

_NO_AUTHORIZATION = "28000"
_PROTOCOL_VIOLATION = "08P01"


@define
class PostgresPreamble:
    """
    Answers as a database server. Encryption by GSSAPI is declined, after which the client asks for TLS. A client may
    begin with its ClientHello (``sslnegotiation=direct``); it then insists on the protocol ``postgresql`` being
    agreed on by ALPN.

    ``optional``: a client that begins with its startup message is passed on, and so is a request to cancel a query,
    which clients before version 17 send without TLS whatever else they do. Otherwise the first is refused with an
    error the client shows, the second without a word, as it waits for none.
    """

    optional: bool = False
    _declined: bool = field(default=False, init=False)

    def opening(self) -> bytes:
        return b""

    def step(self, window: bytes) -> Answering:
        if window.startswith(HANDSHAKE):
            return Upgrade(0, b"")
        if not window.startswith(_ZEROS[: len(window)]):
            return _stranger()
        if len(window) < _OPENING.size:
            return Need(_OPENING.size)
        opening = window[: _OPENING.size]
        if opening == SSL_REQUEST:
            refusal = error_response(_PROTOCOL_VIOLATION, "received unencrypted data after SSL request")
            return upgrade(window, _OPENING.size, b"S", refusal)
        if opening == GSSENC_REQUEST and not self._declined:
            self._declined = True
            return Reply(_OPENING.size, b"N")
        return self._without_tls(*_OPENING.unpack(opening))

    def _without_tls(self, length: int, code: int) -> Plain | Refuse:
        startup = code >> 16 in _VERSIONS
        if not (startup or code == _CANCEL) or not _OPENING.size < length <= _MAX_STARTUP:
            return _stranger()
        if self.optional:
            return Plain()
        if not startup:
            return Refuse("the client asked without TLS to cancel a query")
        refusal = error_response(_NO_AUTHORIZATION, "connections without TLS are not accepted: use sslmode=require")
        return Refuse("the client sent its startup message without TLS", refusal)


class PostgresAsk:
    """Sends SSLRequest, also for a client that began with its ClientHello: every server with TLS understands it."""

    def opening(self) -> bytes:
        return SSL_REQUEST

    def step(self, window: bytes) -> Asking:
        """What an error says is not told: nothing shows yet that it is the target's (CVE-2024-10977)."""
        match window[:1]:
            case b"":
                return Need(1)
            case b"S":
                return done(window, 1)
            case b"N":
                return Refuse("the target offers no TLS")
            case b"E":
                return Refuse("the target answers SSLRequest with an error")
        return Refuse("the target answers SSLRequest with what is no PostgreSQL")


def error_response(code: str, message: str) -> bytes:
    """A fatal ErrorResponse with an SQLSTATE ``code``."""
    fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": message}
    body = b"".join(name.encode() + text.encode() + b"\0" for name, text in fields.items()) + b"\0"
    return b"E" + struct.pack(">I", len(body) + 4) + body


def _stranger() -> Refuse:
    return Refuse("what the client sent is no PostgreSQL")
