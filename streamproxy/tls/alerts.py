"""Refusing before there is anything to speak TLS with: alerts as they are on the wire."""

from __future__ import annotations

import enum
import struct

_RECORD = struct.Struct(">BHHBB")
_ALERT = 21
# A record that is sent before any version is agreed on (RFC 8446 section 5.1).
_TLS1_2 = 0x0303
_FATAL = 2


class Alert(enum.IntEnum):
    """Why there will be no handshake (RFC 8446 section 6.2, RFC 7301 section 3.2)."""

    HANDSHAKE_FAILURE = 40
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    PROTOCOL_VERSION = 70
    INTERNAL_ERROR = 80
    UNRECOGNIZED_NAME = 112
    NO_APPLICATION_PROTOCOL = 120


def alert(description: Alert) -> bytes:
    """The plaintext record of a fatal alert, to be the first and last that a client gets."""
    return _RECORD.pack(_ALERT, _TLS1_2, 2, _FATAL, description)
