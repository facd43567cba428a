"""Errors in words."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from streamproxy.errors import StreamProxyError
from streamproxy.tls import MaterialError, PeerRefused, reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PeerRefused("it has expired"), "it has expired"),
        (SSL.Error([("SSL routines", "", "no shared cipher")]), "no shared cipher"),
        (SSL.Error([("a", "b", "first"), ("c", "d", ""), ("e", "f", "second")]), "first; second"),
        (SSL.Error([]), "the handshake failed"),
        (SSL.Error(), "the handshake failed"),
        (SSL.Error("unheard of"), "the handshake failed"),
        (SSL.ZeroReturnError(), "the handshake failed"),
        (SSL.SysCallError(104, "ECONNRESET"), "ECONNRESET"),
        (SSL.SysCallError(), "the connection broke"),
    ],
)
def test_every_error_of_a_handshake_has_words(error: SSL.Error, words: str) -> None:
    assert reason(error) == words


@pytest.mark.parametrize("kind", [MaterialError, PeerRefused])
def test_ours_say_what_they_know(kind: type[MaterialError] | type[PeerRefused]) -> None:
    error = kind("so it is")
    assert str(error) == error.why == "so it is"
    assert isinstance(error, StreamProxyError)
