"""Alerts that are sent before there is any TLS."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from streamproxy.tls import Alert, alert, reason

from .talk import client_context, client_of


@pytest.mark.parametrize(
    ("description", "understood"),
    [
        (Alert.UNRECOGNIZED_NAME, "unrecognized name"),
        (Alert.HANDSHAKE_FAILURE, "handshake failure"),
        (Alert.PROTOCOL_VERSION, "protocol version"),
        (Alert.DECODE_ERROR, "decode error"),
        (Alert.ACCESS_DENIED, "access denied"),
        (Alert.INTERNAL_ERROR, "internal error"),
        (Alert.NO_APPLICATION_PROTOCOL, "no application protocol"),
    ],
)
def test_a_client_understands(description: Alert, understood: str) -> None:
    client = client_of(client_context())
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    client.bio_write(alert(description))
    with pytest.raises(SSL.Error) as raised:
        client.do_handshake()
    assert understood in reason(raised.value)


def test_on_the_wire() -> None:
    assert alert(Alert.UNRECOGNIZED_NAME) == bytes.fromhex("15 0303 0002 02 70")
