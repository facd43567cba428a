"""TLVs, and the TLVs inside the one for TLS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.sniff import ProxySsl, SslClient, SslTlvType, Tlv, TlvError, TlvType, write_ssl
from streamproxy.sniff.proxytlv import read_ssl, read_tlvs, write_tlvs

from .feeding import patient

tlvs = st.lists(st.builds(Tlv, st.integers(0, 255), st.binary(max_size=40))).map(tuple)


@patient
@given(tlvs)
def test_what_is_written_is_read(some: tuple[Tlv, ...]) -> None:
    assert read_tlvs(write_tlvs(some)) == some


@patient
@given(st.builds(ProxySsl, st.integers(0, 255), st.integers(0, 2**32 - 1), tlvs))
def test_what_is_written_of_tls_is_read(info: ProxySsl) -> None:
    tlv = write_ssl(info)
    assert tlv.type == TlvType.SSL
    assert read_ssl(tlv.value) == info


@patient
@given(st.binary(max_size=60))
def test_garbage_is_tlvs_or_an_error(garbage: bytes) -> None:
    try:
        read = read_tlvs(garbage)
    except TlvError:
        return
    assert write_tlvs(read) == garbage


def test_what_a_client_did() -> None:
    shown = SslClient.TLS | SslClient.CERTIFICATE_IN_SESSION
    sub = (Tlv(SslTlvType.VERSION, b"TLSv1.3"), Tlv(SslTlvType.COMMON_NAME, b"J\xe9r\xc3\xb4me"))
    info = ProxySsl(shown, 0, sub)
    assert info.verified
    assert info.text(SslTlvType.VERSION) == "TLSv1.3"
    assert info.text(SslTlvType.COMMON_NAME) == "J\ufffdrôme"
    assert info.text(SslTlvType.CIPHER) is None
    assert not ProxySsl(shown, 1).verified
    assert not ProxySsl(SslClient.TLS, 0).verified


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(TlvError, match="from 0 to 255, not 256"):
        write_tlvs([Tlv(256, b"")])
    with pytest.raises(TlvError, match="0xe0 holds more than 65535 bytes"):
        write_tlvs([Tlv(0xE0, bytes(65536))])
    with pytest.raises(TlvError, match="one byte"):
        write_ssl(ProxySsl(256, 0))
    with pytest.raises(TlvError, match="four bytes"):
        write_ssl(ProxySsl(0, -1))
