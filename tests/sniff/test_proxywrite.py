"""PROXY protocol headers as they go over the wire."""

from __future__ import annotations

import pytest

from streamproxy.model import Address, Transport
from streamproxy.sniff import MAX_V2_PAYLOAD, Endpoint, Tlv, TlvType, UnixAddress, encode_proxy_v1, encode_proxy_v2

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, SERVER = Address("192.0.2.1", 258), Address("192.0.2.2", 443)
UNIX = UnixAddress(b"/run/x.sock")


class TestVersion1:
    @pytest.mark.parametrize(
        ("source", "destination", "line"),
        [
            (CLIENT, SERVER, b"PROXY TCP4 192.0.2.1 192.0.2.2 258 443\r\n"),
            (Address("2001:DB8::1", 0), Address("::1", 65535), b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"),
            (Address("fe80::1%eth0", 1), Address("fe80::2", 2), b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"),
            (None, None, b"PROXY UNKNOWN\r\n"),
            (CLIENT, None, b"PROXY UNKNOWN\r\n"),
            (UNIX, UNIX, b"PROXY UNKNOWN\r\n"),
        ],
    )
    def test_lines(self, source: Endpoint | None, destination: Endpoint | None, line: bytes) -> None:
        assert encode_proxy_v1(source, destination) == line

    def test_two_families_become_one(self) -> None:
        line = encode_proxy_v1(CLIENT, Address("2001:db8::1", 443))
        assert line.startswith(b"PROXY TCP6 ::ffff:")
        assert line.endswith(b" 2001:db8::1 258 443\r\n")

    @pytest.mark.parametrize("source", [Address("a.example", 1), Address("192.0.2.1", 65536), Address("", 1)])
    def test_what_is_no_address_is_refused(self, source: Address) -> None:
        with pytest.raises(ValueError):
            encode_proxy_v1(source, SERVER)
        with pytest.raises(ValueError):
            encode_proxy_v2(source, SERVER)


class TestVersion2:
    def test_tcp_over_ipv4(self) -> None:
        header = encode_proxy_v2(CLIENT, SERVER)
        assert header == SIGNATURE + b"\x21\x11\0\x0c" + bytes((192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 1, 0xBB))

    def test_udp_over_ipv6(self) -> None:
        header = encode_proxy_v2(Address("::1", 1), Address("::2", 2), transport=Transport.UDP)
        assert header == SIGNATURE + b"\x21\x22\0\x24" + bytes(15) + b"\1" + bytes(15) + b"\2" + b"\0\1\0\2"

    def test_two_families_become_one(self) -> None:
        header = encode_proxy_v2(CLIENT, Address("::1", 443))
        assert header[13] == 0x21
        assert header[16:32] == bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 1))

    def test_unix_sockets(self) -> None:
        header = encode_proxy_v2(UNIX, UnixAddress(b""))
        assert header[12:16] == b"\x21\x31\0\xd8"
        assert header[16:] == b"/run/x.sock".ljust(216, b"\0")

    def test_no_addresses(self) -> None:
        assert encode_proxy_v2(None, None, transport=Transport.UDP) == SIGNATURE + b"\x21\0\0\0"
        assert encode_proxy_v2(CLIENT, None, tlvs=[Tlv(1, b"h2")]) == SIGNATURE + b"\x21\0\0\5\1\0\2h2"

    def test_a_connection_of_our_own(self) -> None:
        assert encode_proxy_v2(CLIENT, SERVER, local=True) == SIGNATURE + b"\x20\0\0\0"

    def test_the_checksum_comes_last(self) -> None:
        header = encode_proxy_v2(CLIENT, SERVER, tlvs=[Tlv(0xE0, b"")], checksum=True)
        assert header[:-4] == SIGNATURE + b"\x21\x11\0\x16" + encode_proxy_v2(CLIENT, SERVER)[16:] + b"\xe0\0\0\3\0\4"
        assert header[-4:] != bytes(4)

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ValueError, match="Unix socket at one end"):
            encode_proxy_v2(UNIX, SERVER)
        with pytest.raises(ValueError, match="at most 108 bytes"):
            encode_proxy_v2(UNIX, UnixAddress(b"x" * 109))
        with pytest.raises(ValueError, match="at most 16384 bytes"):
            encode_proxy_v2(None, None, tlvs=[Tlv(0xE0, bytes(MAX_V2_PAYLOAD - 2))])
        with pytest.raises(ValueError, match="asked for"):
            encode_proxy_v2(None, None, tlvs=[Tlv(TlvType.CRC32C, bytes(4))])
