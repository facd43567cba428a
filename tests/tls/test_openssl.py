"""What goes past pyOpenSSL: it works here, and nothing breaks where it is missing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from OpenSSL import SSL

from streamproxy.tls import openssl


def test_groups_are_limited_to_those_the_library_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def old(context: object, groups: bytes) -> int:
        asked.append(groups)
        return int(b"MLKEM" not in groups)

    monkeypatch.setattr(openssl, "_lib", SimpleNamespace(SSL_CTX_set1_curves_list=old))
    openssl.limit_groups(SSL.Context(SSL.TLS_SERVER_METHOD))
    assert asked == [b"X25519MLKEM768:X25519:P-256:P-384", b"X25519:P-256:P-384"]


def test_bindings_without_these_functions_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl, "_lib", SimpleNamespace())
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    openssl.limit_groups(context)
    connection = SSL.Connection(context, None)
    openssl.leave_no_loop(connection)
    assert openssl.is_resumed(connection) is False
