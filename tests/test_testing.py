"""The hellos we make are good enough for a real server."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from streamproxy.testing import TLS_1_2, TLS_1_3, hello_bytes

SERVER_HELLO = 2
ML_KEM_CIPHERTEXT = 1088


@pytest.fixture(scope="module")
def context() -> SSL.Context:
    """A server for one name, with whatever OpenSSL takes by default."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2120, 1, 1))
        .sign(key, hashes.SHA256())
    )
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_privatekey(key)
    context.use_certificate(certificate)
    return context


def answer(context: SSL.Context, hello: bytes) -> tuple[bytes, bytes | None]:
    """What the server sends back, and the name it understood."""
    server = SSL.Connection(context, None)
    server.set_accept_state()
    server.bio_write(hello)
    with pytest.raises(SSL.WantReadError):
        server.do_handshake()
    return server.bio_read(65536), server.get_servername()


def test_a_server_answers_and_knows_the_name(context: SSL.Context) -> None:
    sent, name = answer(context, hello_bytes("www.example.com", alpn=("h2",)))
    assert sent[5] == SERVER_HELLO
    assert name == b"www.example.com"


@pytest.mark.parametrize(
    "hello",
    [
        hello_bytes(None),
        hello_bytes(b"example.com", grease=True),
        hello_bytes(versions=(TLS_1_2,)),
        hello_bytes(versions=(TLS_1_3,), padding=1000),
        hello_bytes(fragment=100),
        hello_bytes(extra=[(0xFFFE, b"anything")]),
    ],
)
def test_every_variety_is_answered(context: SSL.Context, hello: bytes) -> None:
    sent, _ = answer(context, hello)
    assert sent[5] == SERVER_HELLO


def test_the_post_quantum_share_is_used(context: SSL.Context) -> None:
    hello = hello_bytes(post_quantum=True)
    assert len(hello) > 1600
    sent, _ = answer(context, hello)
    if SSL.OPENSSL_VERSION_NUMBER < 0x30500000:
        pytest.skip("this OpenSSL has no ML-KEM")
    assert int.from_bytes(sent[3:5], "big") > ML_KEM_CIPHERTEXT


def test_records_hold_no_more_than_asked_for() -> None:
    hello = hello_bytes(fragment=100)
    lengths = []
    while hello:
        length = int.from_bytes(hello[3:5], "big")
        lengths.append(length)
        hello = hello[5 + length :]
    assert set(lengths[:-1]) == {100}
    assert 0 < lengths[-1] <= 100


def test_the_same_arguments_make_the_same_bytes() -> None:
    assert hello_bytes("a.example", grease=True) == hello_bytes("a.example", grease=True)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        hello_bytes(padding=65536)
