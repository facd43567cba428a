"""Reading PROXY protocol headers, good and bad, whole and in pieces."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Address, Transport
from streamproxy.sniff import (
    MAX_V2_PAYLOAD,
    Endpoint,
    Hit,
    Need,
    ProxyHeader,
    ProxySsl,
    SslClient,
    SslTlvType,
    Tlv,
    TlvType,
    UnixAddress,
    encode_proxy_v1,
    encode_proxy_v2,
    sniff_proxy_header,
    write_ssl,
)
from streamproxy.sniff.crc32c import crc32c

from .feeding import feed, is_final, patient, value, why

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT4, SERVER4 = Address("192.0.2.1", 56324), Address("192.0.2.11", 443)
CLIENT6, SERVER6 = Address("2001:db8::1", 0), Address("2001:db8::11", 65535)
INET_BLOCK = bytes((192, 0, 2, 1, 192, 0, 2, 11)) + (56324).to_bytes(2, "big") + (443).to_bytes(2, "big")


def v2(payload: bytes, *, command: int = 0x21, family: int = 0x11, length: int | None = None) -> bytes:
    announced = len(payload) if length is None else length
    return SIGNATURE + bytes((command, family)) + announced.to_bytes(2, "big") + payload


def with_tlv(kind: int, content: bytes) -> bytes:
    return v2(INET_BLOCK + bytes((kind,)) + len(content).to_bytes(2, "big") + content)


ports = st.integers(0, 65535)
pairs: st.SearchStrategy[tuple[Endpoint, Endpoint]] = st.one_of(
    *(
        st.tuples(*[st.builds(lambda ip, port: Address(str(ip), port), st.ip_addresses(v=version), ports)] * 2)
        for version in (4, 6)
    )
)
paths = st.binary(max_size=108).map(
    lambda path: UnixAddress(path.rstrip(b"\0") if path.startswith(b"\0") else path.split(b"\0")[0])
)
unix_pairs = st.tuples(paths, paths)
tlvs = st.lists(
    st.builds(
        Tlv,
        st.integers(0, 255).filter(lambda kind: kind not in (TlvType.CRC32C, TlvType.UNIQUE_ID, TlvType.SSL)),
        st.binary(max_size=30),
    ),
    max_size=4,
)
headers = st.one_of(
    pairs.map(lambda pair: encode_proxy_v1(*pair)),
    st.just(encode_proxy_v1(None, None)),
    st.builds(
        lambda pair, transport, some, checksum: encode_proxy_v2(
            *pair, transport=transport, tlvs=some, checksum=checksum
        ),
        st.one_of(pairs, unix_pairs, st.just((None, None))),
        st.sampled_from(Transport),
        tlvs,
        st.booleans(),
    ),
)


class TestVersion1:
    def test_tcp_over_ipv4(self) -> None:
        line = b"PROXY TCP4 192.0.2.1 192.0.2.11 56324 443\r\n"
        header = ProxyHeader(1, transport=Transport.TCP, source=CLIENT4, destination=SERVER4)
        assert sniff_proxy_header(line + b"GET / HTTP/1.1\r\n") == Hit(header, len(line))

    def test_tcp_over_ipv6(self) -> None:
        header = value(sniff_proxy_header(b"PROXY TCP6 2001:DB8:0:0::1 2001:db8::11 0 65535\r\n"))
        assert (header.source, header.destination) == (CLIENT6, SERVER6)

    @pytest.mark.parametrize("rest", [b"", b" ", b" ffff::1 anything 1 2 3", b" \0\xff" + b"x" * 88])
    def test_unknown_ignores_the_rest_of_the_line(self, rest: bytes) -> None:
        line = b"PROXY UNKNOWN" + rest + b"\r\n"
        assert sniff_proxy_header(line + b"data") == Hit(ProxyHeader(1), len(line))

    def test_the_longest_line(self) -> None:
        address = "ffff:" * 7 + "ffff"
        line = f"PROXY UNKNOWN {address} {address} 65535 65535\r\n".encode()
        assert len(line) == 107
        assert sniff_proxy_header(line) == Hit(ProxyHeader(1), 107)
        longer = line.replace(b"UNKNOWN", b"UNKNOWN ")
        assert why(feed(sniff_proxy_header, longer).verdict) == "the PROXY line is longer than 107 bytes"
        assert why(sniff_proxy_header(b"PROXY TCP4 " + b"1" * 200)) == "the PROXY line is longer than 107 bytes"

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1 2\n", "does not end with CRLF"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1 2\rx", "does not end with CRLF"),
            (b"PROXY UNKNOWN x\ny\r\n", "does not end with CRLF"),
            (b"PROXY UDP4 192.0.2.1 192.0.2.11 1 2\r\n", "none of TCP4, TCP6 and UNKNOWN"),
            (b"PROXY UNKNOWNX 1 2 3 4\r\n", "none of TCP4, TCP6 and UNKNOWN"),
            (b"PROXY tcp4 192.0.2.1 192.0.2.11 1 2\r\n", "none of TCP4, TCP6 and UNKNOWN"),
            (b"PROXY        \r\n", "none of TCP4, TCP6 and UNKNOWN"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1\r\n", "two addresses and two ports"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1 2 3\r\n", "two addresses and two ports"),
            (b"PROXY TCP4 192.0.2.1  192.0.2.11 1 2\r\n", "two addresses and two ports"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1 2 \r\n", "two addresses and two ports"),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", "address that is none of TCP4"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.011 1 2\r\n", "address that is none of TCP4"),
            (b"PROXY TCP4 192.0.2.1 256.0.2.11 1 2\r\n", "address that is none of TCP4"),
            (b"PROXY TCP4 192.0.2.1 \xb2.0.2.11 1 2\r\n", "address that is none of TCP4"),
            (b"PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", "address that is none of TCP6"),
            (b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "address that is none of TCP6"),
            (b"PROXY TCP6 1::2::3 ::1 1 2\r\n", "address that is none of TCP6"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1 65536\r\n", "port that is none"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 01 2\r\n", "port that is none"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 -1 2\r\n", "port that is none"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 1 http\r\n", "port that is none"),
            (b"PROXY TCP4 192.0.2.1 192.0.2.11 \xb2 2\r\n", "port that is none"),
        ],
    )
    def test_each_refusal_has_its_own_words(self, line: bytes, reason: str) -> None:
        assert reason in why(sniff_proxy_header(line))


class TestVersion2:
    def test_tcp_over_ipv4(self) -> None:
        header = ProxyHeader(2, False, Transport.TCP, CLIENT4, SERVER4)
        assert sniff_proxy_header(v2(INET_BLOCK) + b"data") == Hit(header, 28)

    def test_udp_over_ipv6(self) -> None:
        block = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::11").packed + b"\0\0\xff\xff"
        header = ProxyHeader(2, False, Transport.UDP, CLIENT6, SERVER6)
        assert sniff_proxy_header(v2(block, family=0x22)) == Hit(header, 52)

    @pytest.mark.parametrize(
        ("raw", "path"),
        [(b"/run/x.sock", b"/run/x.sock"), (b"/a\0junk", b"/a"), (b"", b""), (b"\0abstract\0x", b"\0abstract\0x")],
    )
    def test_unix_sockets(self, raw: bytes, path: bytes) -> None:
        header = value(sniff_proxy_header(v2(raw.ljust(108, b"\0") + b"/server".ljust(108, b"\0"), family=0x31)))
        assert header.source == UnixAddress(path)
        assert header.destination == UnixAddress(b"/server")
        assert header.transport is Transport.TCP

    @pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x31, 0xFF])
    @pytest.mark.parametrize("payload", [b"", b"\xff", INET_BLOCK, bytes(500)])
    def test_local_says_nothing_but_that(self, family: int, payload: bytes) -> None:
        header = v2(payload, command=0x20, family=family)
        assert sniff_proxy_header(header + b"data") == Hit(ProxyHeader(2, local=True), len(header))

    @pytest.mark.parametrize(
        ("family", "block"), [(0x00, b""), (0x01, b""), (0x02, b""), (0x10, INET_BLOCK), (0x30, bytes(216))]
    )
    def test_unspecified_keeps_its_tlvs_only(self, family: int, block: bytes) -> None:
        header = v2(block + b"\xe0\0\3abc", family=family)
        assert value(sniff_proxy_header(header)) == ProxyHeader(2, tlvs=(Tlv(0xE0, b"abc"),))

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (SIGNATURE + b"\x11", "the binary PROXY header has version 1, not 2"),
            (SIGNATURE + b"\x31", "the binary PROXY header has version 3, not 2"),
            (SIGNATURE + b"\x22", "the PROXY header has the unknown command 2"),
            (SIGNATURE + b"\x21\x41", "the PROXY header has the unknown address family 4"),
            (SIGNATURE + b"\x21\x13", "the PROXY header has the unknown transport 3"),
            (v2(b"", length=0xFFFF), "the PROXY header is longer than 16400 bytes"),
            (v2(b"", command=0x20, length=0xFFFF), "the PROXY header is longer than 16400 bytes"),
            (v2(b"", length=11), "the PROXY header is too short for its addresses"),
            (v2(INET_BLOCK, family=0x21), "the PROXY header is too short for its addresses"),
            (v2(bytes(215), family=0x32), "the PROXY header is too short for its addresses"),
            (v2(INET_BLOCK + b"\xe0"), "a TLV ends in the middle of its header"),
            (v2(INET_BLOCK + b"\xe0\0"), "a TLV ends in the middle of its header"),
            (v2(INET_BLOCK + b"\xe0\0\1"), "the TLV of type 0xe0 overruns the header"),
            (v2(INET_BLOCK + b"\xe0\0\1") + b"x", "the TLV of type 0xe0 overruns the header"),
            (with_tlv(TlvType.UNIQUE_ID, bytes(129)), "the unique id is longer than 128 bytes"),
            (with_tlv(TlvType.CRC32C, bytes(3)), "the checksum of the PROXY header is not four bytes long"),
            (with_tlv(TlvType.CRC32C, bytes(4)), "the checksum of the PROXY header is wrong"),
            (with_tlv(TlvType.SSL, bytes(4)), "the SSL TLV is too short"),
            (with_tlv(TlvType.SSL, bytes(7)), "a TLV ends in the middle of its header"),
            (with_tlv(TlvType.SSL, bytes(5) + b"\x21\0\1"), "the TLV of type 0x21 overruns the header"),
        ],
    )
    def test_each_refusal_has_its_own_words(self, header: bytes, reason: str) -> None:
        assert why(sniff_proxy_header(header)) == reason

    def test_a_second_checksum_is_refused(self) -> None:
        first = bytearray(v2(INET_BLOCK + b"\3\0\4\0\0\0\0\3\0\4\0\0\0\0"))
        first[31:35] = crc32c(bytes(first)).to_bytes(4, "big")
        assert why(sniff_proxy_header(first)) == "the PROXY header holds two checksums"

    def test_the_bound_is_exact(self) -> None:
        room = MAX_V2_PAYLOAD - len(INET_BLOCK) - 3
        assert value(sniff_proxy_header(with_tlv(0xE0, bytes(room)))).value(0xE0) == bytes(room)
        assert "longer" in why(sniff_proxy_header(with_tlv(0xE0, bytes(room + 1))))


class TestTlvs:
    def test_each_known_one_is_told(self) -> None:
        ssl = ProxySsl(SslClient.TLS, 1, (Tlv(SslTlvType.VERSION, b"TLSv1.3"),))
        header = encode_proxy_v2(
            CLIENT4,
            SERVER4,
            tlvs=[
                Tlv(TlvType.ALPN, b"h2"),
                Tlv(TlvType.AUTHORITY, "bücher.example".encode()),
                Tlv(TlvType.NOOP, b"\0\0"),
                Tlv(TlvType.UNIQUE_ID, bytes(128)),
                write_ssl(ssl),
                Tlv(TlvType.NETNS, b"blue"),
                Tlv(0xEA, b"vpce-1"),
                Tlv(0xEA, b"another"),
            ],
        )
        told = value(sniff_proxy_header(header))
        assert told.alpn == b"h2"
        assert told.authority == "bücher.example"
        assert told.unique_id == bytes(128)
        assert told.ssl == ssl
        assert told.netns == "blue"
        assert told.value(0xEA) == b"vpce-1"
        assert [tlv.type for tlv in told.tlvs] == [1, 2, 4, 5, 0x20, 0x30, 0xEA, 0xEA]

    def test_absent_ones_are_none(self) -> None:
        told = value(sniff_proxy_header(v2(INET_BLOCK)))
        assert (told.alpn, told.authority, told.unique_id, told.ssl, told.netns) == (None,) * 5

    def test_text_that_is_none_does_no_harm(self) -> None:
        assert value(sniff_proxy_header(with_tlv(TlvType.AUTHORITY, b"\xff.example"))).authority == "\ufffd.example"

    def test_the_checksum_covers_the_whole_header(self) -> None:
        header = encode_proxy_v2(CLIENT4, SERVER4, tlvs=[Tlv(0xE0, b"x")], checksum=True)
        assert isinstance(sniff_proxy_header(header), Hit)
        for at in (*range(16, 28), 31, len(header) - 1):
            changed = bytearray(header)
            changed[at] ^= 1
            assert why(sniff_proxy_header(changed)) == "the checksum of the PROXY header is wrong", f"byte {at}"

    def test_the_checksum_may_stand_anywhere(self) -> None:
        header = bytearray(v2(INET_BLOCK + b"\3\0\4\0\0\0\0\xe0\0\1x"))
        header[31:35] = crc32c(bytes(header)).to_bytes(4, "big")
        assert value(sniff_proxy_header(header)).value(0xE0) == b"x"


class TestPieces:
    @pytest.mark.parametrize(
        ("opening", "verdict"),
        [
            (b"", Need(1)),
            (b"P", Need(2)),
            (b"PROXY", Need(6)),
            (b"PROXY ", Need(15)),
            (b"PROXY UNKNOWN ", Need(16)),
            (b"PROXY UNKNOWN\r", Need(15)),
            (b"PROXY UNKNOWN".ljust(106, b"x"), Need(107)),
            (b"\r", Need(2)),
            (SIGNATURE, Need(16)),
            (SIGNATURE + b"\x21", Need(16)),
            (SIGNATURE + b"\x21\x11\0", Need(16)),
            (SIGNATURE + b"\x21\x11\0\x0c", Need(28)),
            (SIGNATURE + b"\x20\0\0\x0c", Need(28)),
        ],
    )
    def test_it_asks_for_what_it_takes(self, opening: bytes, verdict: Need) -> None:
        assert sniff_proxy_header(opening) == verdict

    @patient
    @given(headers, st.data())
    def test_every_prefix_asks_for_more_but_not_for_too_much(self, header: bytes, data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(header) - 1))
        verdict = sniff_proxy_header(header[:cut])
        assert isinstance(verdict, Need), f"decided on {header[:cut]!r}: {verdict}"
        assert cut < verdict.at_least <= len(header)

    @patient
    @given(headers, st.binary(max_size=20))
    def test_exactly_the_header_is_consumed(self, header: bytes, rest: bytes) -> None:
        fed = feed(sniff_proxy_header, header + rest)
        assert isinstance(fed.verdict, Hit)
        assert fed.verdict.consumed == fed.seen == len(header)
        assert sniff_proxy_header(memoryview(header + rest)) == fed.verdict


class TestHostileBytes:
    @pytest.mark.parametrize(
        "opening", [b"GET / HTTP/1.1", b"POST", b"PROXX", b"PROXY\t", b"\x16\3\1", b"\r\n\r\n\r", b"\0", b"\xff"]
    )
    def test_other_protocols_are_told_at_once(self, opening: bytes) -> None:
        assert why(sniff_proxy_header(opening)) == "no PROXY protocol header"

    @patient
    @given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", SIGNATURE, v2(b"")[:14]]), st.data())
    def test_garbage_gets_a_verdict_that_lasts(self, opening: bytes, data: st.DataObject) -> None:
        whole = opening + data.draw(st.binary(max_size=150))
        assert is_final(sniff_proxy_header, whole, data.draw(st.integers(0, len(whole))))
        feed(sniff_proxy_header, whole)

    @patient
    @given(headers, st.data())
    def test_a_header_with_some_bytes_changed(self, header: bytes, data: st.DataObject) -> None:
        changed = bytearray(header)
        for at in data.draw(st.lists(st.integers(0, len(header) - 1), min_size=1, max_size=4)):
            changed[at] = data.draw(st.integers(0, 255))
        assert is_final(sniff_proxy_header, bytes(changed), data.draw(st.integers(0, len(header))))


class TestRoundTrip:
    @patient
    @given(pairs)
    def test_version_1(self, pair: tuple[Endpoint, Endpoint]) -> None:
        assert value(sniff_proxy_header(encode_proxy_v1(*pair))) == ProxyHeader(1, False, Transport.TCP, *pair)

    @patient
    @given(st.one_of(pairs, unix_pairs), st.sampled_from(Transport), tlvs)
    def test_version_2(self, pair: tuple[Endpoint, Endpoint], transport: Transport, some: list[Tlv]) -> None:
        header = encode_proxy_v2(*pair, transport=transport, tlvs=some)
        assert value(sniff_proxy_header(header)) == ProxyHeader(2, False, transport, *pair, tuple(some))

    @patient
    @given(pairs, tlvs)
    def test_version_2_with_a_checksum(self, pair: tuple[Endpoint, Endpoint], some: list[Tlv]) -> None:
        told = value(sniff_proxy_header(encode_proxy_v2(*pair, tlvs=some, checksum=True)))
        assert told.tlvs[:-1] == tuple(some)
        assert told.tlvs[-1].type == TlvType.CRC32C
