"""Reading the name out of a ClientHello, however it is cut and whoever made it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from streamproxy.sniff import MAX_HELLO, ClientHello, Hit, Miss, Need, sniff_client_hello
from streamproxy.sniff.clienthello import MAX_RECORDS
from streamproxy.testing import TLS_1_2, TLS_1_3, hello_bytes

from .feeding import feed, is_final, patient, value, why


def sized(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width, "big") + content


def record(payload: bytes, kind: int = 22, version: bytes = b"\3\1") -> bytes:
    return bytes((kind,)) + version + sized(2, payload)


def message(body: bytes) -> bytes:
    return b"\1" + sized(3, body)


def body(
    *,
    version: bytes = b"\3\3",
    session: bytes = b"\0",
    suites: bytes = b"\0\2\x13\1",
    compressions: bytes = b"\1\0",
    extensions: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    block = b"".join(kind.to_bytes(2, "big") + sized(2, content) for kind, content in extensions)
    return version + bytes(32) + session + suites + compressions + sized(2, block)


def with_extension(kind: int, content: bytes) -> bytes:
    return record(message(body(extensions=[(kind, content)])))


def server_names(*names: tuple[int, bytes]) -> bytes:
    return sized(2, b"".join(bytes((kind,)) + sized(2, name) for kind, name in names))


hellos = st.builds(
    hello_bytes,
    st.sampled_from([None, "example.com", "a", "db_1.example.com", "a." * 100 + "example", "192.0.2.1"]),
    alpn=st.sampled_from([(), ("h2",), ("h2", "http/1.1"), ("postgresql",)]),
    post_quantum=st.booleans(),
    versions=st.sampled_from([(TLS_1_3, TLS_1_2), (TLS_1_3,), (TLS_1_2,)]),
    grease=st.booleans(),
    padding=st.one_of(st.none(), st.integers(0, 40)),
)


class TestFacts:
    def test_name_protocols_and_versions(self) -> None:
        hello = hello_bytes("www.example.com", alpn=("h2", "http/1.1"))
        facts = ClientHello("www.example.com", ("h2", "http/1.1"), (TLS_1_3, TLS_1_2))
        assert sniff_client_hello(hello) == Hit(facts, len(hello))

    def test_a_client_that_names_nothing(self) -> None:
        assert value(sniff_client_hello(hello_bytes(None))).sni is None

    def test_a_hello_without_any_extension(self) -> None:
        bare = record(message(body()[:-2]))
        assert value(sniff_client_hello(bare)) == ClientHello(None, (), (TLS_1_2,))

    def test_a_hello_with_an_empty_block_of_extensions(self) -> None:
        assert value(sniff_client_hello(record(message(body())))) == ClientHello(None, (), (TLS_1_2,))

    @pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302, 0x0303])
    def test_old_clients_offer_their_legacy_version(self, version: int) -> None:
        assert value(sniff_client_hello(hello_bytes(versions=(version,)))).versions == (version,)

    @pytest.mark.parametrize("version", [b"\3\0", b"\3\1", b"\3\2", b"\3\3", b"\3\4"])
    def test_the_version_of_the_record_says_nothing(self, version: bytes) -> None:
        hello = bytearray(hello_bytes())
        hello[1:3] = version
        assert value(sniff_client_hello(hello)).sni == "example.com"

    def test_grease_is_passed_over(self) -> None:
        hello = value(sniff_client_hello(hello_bytes(grease=True, alpn=("h2",))))
        assert hello == ClientHello("example.com", ("h2",), (TLS_1_3, TLS_1_2))

    @pytest.mark.parametrize(
        ("sent", "sni"),
        [
            ("Foo.Example.COM", "foo.example.com"),
            ("example.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8::0:1", "2001:db8::1"),
        ],
    )
    def test_names_are_normalized(self, sent: str, sni: str) -> None:
        assert value(sniff_client_hello(hello_bytes(sent))).sni == sni

    @pytest.mark.parametrize("length", [*range(44, 60), *range(95, 125), 250, 253])
    def test_the_length_in_front_of_a_name_is_no_part_of_it(self, length: int) -> None:
        name = ("a" * 49 + ".") * 5 + "b" * 50
        name = name[-length:].lstrip(".").rjust(length, "c")
        assert value(sniff_client_hello(hello_bytes(name))).sni == name

    def test_names_of_other_types_are_skipped(self) -> None:
        names = server_names((7, b"\xff\xff"), (0, b"example.com"), (9, b""))
        assert value(sniff_client_hello(with_extension(0, names))).sni == "example.com"
        assert value(sniff_client_hello(with_extension(0, server_names((7, b"x"))))).sni is None

    def test_protocols_outside_ascii_are_kept_apart(self) -> None:
        hello = with_extension(16, sized(2, sized(1, b"\xff\xfe") + sized(1, b"h2")))
        assert value(sniff_client_hello(hello)).alpn == ("\xff\xfe", "h2")

    def test_what_follows_the_hello_is_not_looked_at(self) -> None:
        hello = hello_bytes()
        assert sniff_client_hello(hello + b"\x17\3\3 early data") == sniff_client_hello(hello)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_view_of_the_bytes_will_do(self, kind: type[bytes | bytearray | memoryview]) -> None:
        hello = hello_bytes(fragment=50)
        assert sniff_client_hello(kind(hello)) == sniff_client_hello(hello)


class TestRealClients:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("name", ["www.example.com", "db_1.example.com", None])
    @pytest.mark.parametrize("alpn", [(), ("h2", "http/1.1")])
    def test_the_ssl_module(self, version: ssl.TLSVersion, name: str | None, alpn: tuple[str, ...]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if alpn:
            context.set_alpn_protocols(alpn)
        outgoing = ssl.MemoryBIO()
        client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        assert sniff_client_hello(hello) == Hit(ClientHello(name, alpn, (version.value,)), len(hello))

    @pytest.mark.parametrize("name", ["www.example.com", None])
    def test_pyopenssl(self, name: str | None) -> None:
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        if name:
            client.set_tlsext_host_name(name.encode())
        client.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        hello = client.bio_read(65536)
        facts = value(sniff_client_hello(hello))
        assert facts.sni == name
        assert TLS_1_3 in facts.versions


class TestPieces:
    @patient
    @given(hellos, st.one_of(st.none(), st.integers(1, 2000)), st.data())
    def test_every_prefix_asks_for_more_but_not_for_too_much(
        self, hello: bytes, fragment: int | None, data: st.DataObject
    ) -> None:
        whole = b"".join(recut(hello, [fragment or 16384]))
        cut = data.draw(st.integers(0, len(whole) - 1))
        verdict = sniff_client_hello(whole[:cut])
        assert isinstance(verdict, Need), f"decided after {cut} of {len(whole)} bytes: {verdict}"
        assert cut < verdict.at_least <= len(whole)

    @patient
    @given(hellos, st.lists(st.integers(1, 400), min_size=1, max_size=40))
    def test_however_it_is_cut_it_says_the_same(self, hello: bytes, sizes: list[int]) -> None:
        whole = b"".join(recut(hello, sizes))
        fed = feed(sniff_client_hello, whole)
        assert fed.verdict == Hit(value(sniff_client_hello(hello)), len(whole))
        assert fed.seen == len(whole)

    @pytest.mark.parametrize("post_quantum", [False, True])
    def test_one_byte_a_record(self, post_quantum: bool) -> None:
        hello = hello_bytes(post_quantum=post_quantum, fragment=1)
        assert value(sniff_client_hello(hello)).sni == "example.com"

    def test_cut_in_the_middle_of_the_name(self) -> None:
        hello = hello_bytes("www.example.com")
        middle = hello.index(b"example") + 3 - 5
        assert value(sniff_client_hello(b"".join(recut(hello, [middle, 16384])))).sni == "www.example.com"

    def test_one_byte_at_a_time(self) -> None:
        hello = hello_bytes(post_quantum=True)
        verdicts = [sniff_client_hello(hello[:seen]) for seen in range(len(hello) + 1)]
        assert all(isinstance(verdict, Need) for verdict in verdicts[:-1])
        assert value(verdicts[-1]).sni == "example.com"

    def test_it_asks_for_what_the_headers_announce(self) -> None:
        hello = hello_bytes(post_quantum=True)
        assert sniff_client_hello(b"") == Need(1)
        assert sniff_client_hello(hello[:1]) == Need(5)
        assert sniff_client_hello(hello[:5]) == Need(len(hello))
        assert feed(sniff_client_hello, hello).asks == 4

    def test_the_length_of_the_message_is_worth_more_than_that_of_the_record(self) -> None:
        hello = hello_bytes(post_quantum=True)
        pieces = list(recut(hello, [100, 16384]))
        assert sniff_client_hello(pieces[0][:9]) == Need(len(b"".join(pieces)))
        assert sniff_client_hello(pieces[0]) == Need(len(b"".join(pieces)))

    def test_the_largest_hello(self) -> None:
        room = MAX_HELLO - (len(hello_bytes(padding=0)) - 5)
        hello = hello_bytes(padding=room)
        assert value(sniff_client_hello(hello)).sni == "example.com"
        assert feed(sniff_client_hello, hello).asks <= 5
        assert "longer than 65536 bytes" in why(sniff_client_hello(record(b"\1" + (MAX_HELLO - 3).to_bytes(3, "big"))))

    def test_a_flood_of_tiny_records_is_not_read_to_its_end(self) -> None:
        flood = record(b"\1") + record(b"\0") + record(b"\xff") + record(b"\xfc") + record(b"\0") * 65532
        fed = feed(sniff_client_hello, flood)
        assert why(fed.verdict) == f"the ClientHello comes in more than {MAX_RECORDS} records"
        assert fed.asks < 20

    def test_the_bound_on_records_is_exact(self) -> None:
        hello = hello_bytes(padding=3000)
        sizes = [1] * (MAX_RECORDS - 1) + [16384]
        assert len(list(recut(hello, sizes))) == MAX_RECORDS
        assert value(sniff_client_hello(b"".join(recut(hello, sizes)))).sni == "example.com"
        assert "records" in why(sniff_client_hello(b"".join(recut(hello, [1, *sizes]))))


def recut(hello: bytes, sizes: list[int]) -> Iterable[bytes]:
    """The message of ``hello``, which is one record or more, in records of these sizes, the last for the rest."""
    payload = b""
    while hello:
        length = int.from_bytes(hello[3:5], "big")
        payload, hello = payload + hello[5 : 5 + length], hello[5 + length :]
    turn = 0
    while payload:
        size = sizes[min(turn, len(sizes) - 1)]
        yield record(payload[:size])
        payload, turn = payload[size:], turn + 1


class TestOtherProtocols:
    @pytest.mark.parametrize("first", [byte for byte in range(256) if byte != 22])
    def test_one_byte_is_enough(self, first: int) -> None:
        assert why(sniff_client_hello(bytes((first,)))) == f"the first byte, 0x{first:02x}, starts no TLS handshake"

    @pytest.mark.parametrize(
        "opening", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\0\0\0\x08\4\xd2\x16\x2f"]
    )
    def test_plain_protocols(self, opening: bytes) -> None:
        assert "starts no TLS handshake" in why(sniff_client_hello(opening))

    @pytest.mark.parametrize("version", [b"\0\2", b"\3\0", b"\3\1", b"\3\3"])
    def test_the_format_of_sslv2(self, version: bytes) -> None:
        old = b"\x80\x2e\1" + version + b"\0\x15\0\0\0\x10" + bytes(37)
        assert why(sniff_client_hello(old)) == "an SSLv2-format ClientHello, which cannot name a host"


REFUSED = {
    "the record names no TLS version": record(message(body()), version=b"\2\1"),
    "a record of the handshake is empty": record(b""),
    "a record is longer than TLS allows": b"\x16\3\1\x40\1",
    "a record of type 23 interrupts the ClientHello": record(message(body())[:20]) + record(b"x", kind=23),
    "the handshake starts with message type 2, not with a ClientHello": record(b"\2" + message(body())[1:]),
    "the ClientHello is longer than 65536 bytes": record(b"\1\1\0\0" + bytes(10)),
    "more follows the ClientHello in its record": record(message(body()) + b"\1"),
    "the ClientHello is too short": record(message(bytes(33))),
    "the ClientHello names no TLS version": record(message(body(version=b"\xfe\xfd"))),
    "the session id overruns what holds it": record(message(body()[:34] + b"\x20" + bytes(31))),
    "the session id is longer than 32 bytes": record(message(body(session=sized(1, bytes(33))))),
    "the list of cipher suites is empty or ends in the middle of one": record(message(body(suites=b"\0\3\1\2\3"))),
    "the list of cipher suites overruns what holds it": record(message(body()[:36])),
    "the list of compression methods is empty": record(message(body(compressions=b"\0"))),
    "the block of extensions overruns what holds it": record(message(body()[:-2] + b"\0\1")),
    "bytes are left over behind the extensions": record(message(body() + b"\0")),
    "an extension ends in the middle of its header": record(message(body()[:-2] + sized(2, b"\0\5\0"))),
    "an extension overruns what holds it": record(message(body()[:-2] + sized(2, b"\0\5\0\1"))),
    "two extensions of type 23": record(message(body(extensions=[(23, b""), (5, b""), (23, b"")]))),
    "two server_name extensions": hello_bytes(extra=[(0, server_names((0, b"b.example.com")))]),
    "the server_name list overruns what holds it": with_extension(0, b""),
    "the server_name list is empty": with_extension(0, server_names()),
    "bytes are left over behind the server_name list": with_extension(0, server_names((0, b"a.example")) + b"\0"),
    "the server name overruns what holds it": with_extension(0, sized(2, b"\0\0\5a.b")),
    "two host names in the server_name list": with_extension(0, server_names((0, b"a.example"), (0, b"b.example"))),
    "the list of ALPN protocols is empty": with_extension(16, b"\0\0"),
    "an ALPN protocol is empty": with_extension(16, sized(2, sized(1, b"h2") + b"\0")),
    "the ALPN protocol overruns what holds it": with_extension(16, sized(2, b"\3h2")),
    "bytes are left over behind the list of ALPN protocols": with_extension(16, sized(2, sized(1, b"h2")) + b"\0"),
    "the list of supported versions is empty": with_extension(43, b"\0"),
    "the list of supported versions ends in the middle of one": with_extension(43, sized(1, b"\3\4\3")),
}


class TestRefusals:
    @pytest.mark.parametrize("reason", REFUSED)
    def test_each_has_its_own_words(self, reason: str) -> None:
        assert why(sniff_client_hello(REFUSED[reason])) == reason

    def test_no_cipher_suite_at_all(self) -> None:
        assert "cipher suites is empty" in why(sniff_client_hello(record(message(body(suites=b"\0\0")))))

    @pytest.mark.parametrize(
        "name",
        [b"", b"a b", b"a\0b.example", b"a..b", b".", b"\xff", b"*.example.com", b"a" * 64, b"a:443", b"a." * 150],
    )
    def test_names_that_are_none(self, name: bytes) -> None:
        assert why(sniff_client_hello(hello_bytes(name))) == "the name in the ClientHello is no host name"

    def test_a_bad_record_is_told_before_it_is_complete(self) -> None:
        assert "no TLS version" in why(sniff_client_hello(b"\x16\2"))
        assert "message type 0" in why(sniff_client_hello(b"\x16\3\1\0\x50\0"))
        assert "interrupts" in why(sniff_client_hello(record(message(body())[:20]) + b"\x15"))


class TestHostileBytes:
    @patient
    @given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda tail: b"\x16\3\1" + tail)), st.data())
    def test_garbage_gets_a_verdict_that_lasts(self, garbage: bytes, data: st.DataObject) -> None:
        assert is_final(sniff_client_hello, garbage, data.draw(st.integers(0, len(garbage))))
        feed(sniff_client_hello, garbage)

    @patient
    @given(st.binary(max_size=120))
    def test_garbage_for_a_body(self, garbage: bytes) -> None:
        assert isinstance(sniff_client_hello(record(message(garbage))), Hit | Miss)

    @patient
    @given(st.integers(0, 60), st.binary(max_size=60))
    def test_garbage_in_an_extension(self, kind: int, garbage: bytes) -> None:
        assert isinstance(sniff_client_hello(with_extension(kind, garbage)), Hit | Miss)

    @patient
    @given(hellos, st.data())
    def test_a_hello_with_some_bytes_changed(self, hello: bytes, data: st.DataObject) -> None:
        changed = bytearray(hello)
        for at in data.draw(st.lists(st.integers(0, len(hello) - 1), min_size=1, max_size=4)):
            changed[at] = data.draw(st.integers(0, 255))
        assert is_final(sniff_client_hello, bytes(changed), data.draw(st.integers(0, len(hello))))
