"""Bound UDP sockets, and the addresses datagrams arrive at."""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import Any

import pytest
from attrs import define, field

from streamproxy.model import Address, ListenAddress, Transport
from streamproxy.relay.pktinfo import ExactSocket, WildcardSocket, bind_udp, bound_socket


def udp(interface: str, port: int = 0) -> ListenAddress:
    return ListenAddress(Transport.UDP, interface, port)


class TestBinding:
    @pytest.mark.parametrize("interface", ["127.0.0.1", "0.0.0.0", "::1", "::"])
    def test_it_does_not_block(self, interface: str) -> None:
        with bind_udp(udp(interface)) as sock:
            assert sock.getsockname()[0] == interface
            assert sock.getsockname()[1] > 0
            with pytest.raises(BlockingIOError):
                sock.recv(1)

    def test_both_wildcards_stand_side_by_side(self) -> None:
        with bind_udp(udp("::")) as six, bind_udp(udp("0.0.0.0", six.getsockname()[1])) as four:
            assert four.getsockname()[1] == six.getsockname()[1]

    def test_it_has_room_for_a_burst(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain, bind_udp(udp("127.0.0.1")) as sock:
            roomy, usual = (each.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for each in (sock, plain))
            assert roomy >= usual

    def test_an_address_in_use(self) -> None:
        with bind_udp(udp("127.0.0.1")) as first:
            with pytest.raises(OSError) as caught:
                bind_udp(udp("127.0.0.1", first.getsockname()[1]))
            assert caught.value.errno == errno.EADDRINUSE

    def test_unless_it_is_shared(self) -> None:
        with bind_udp(udp("127.0.0.1"), reuse_port=True) as first:
            port = first.getsockname()[1]
            with bind_udp(udp("127.0.0.1", port), reuse_port=True) as second:
                assert second.getsockname() == first.getsockname()

    @pytest.mark.parametrize("interface", ["192.0.2.77", "2001:db8::77"])
    def test_an_address_that_is_not_ours(self, interface: str) -> None:
        with pytest.raises(OSError, match=r"assign|support"):
            bind_udp(udp(interface))

    def test_a_name_is_not_looked_up(self) -> None:
        with pytest.raises(socket.gaierror):
            bind_udp(udp("localhost"))


class TestKinds:
    @pytest.mark.parametrize(
        ("interface", "kind"),
        [("127.0.0.1", ExactSocket), ("::1", ExactSocket), ("0.0.0.0", WildcardSocket), ("::", WildcardSocket)],
    )
    def test_a_wildcard_has_to_ask_for_addresses(self, interface: str, kind: type) -> None:
        with bind_udp(udp(interface)) as sock:
            assert isinstance(bound_socket(sock), kind)

    @pytest.mark.parametrize(
        ("interface", "asked"),
        [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.5"), ("::1", "::1"), ("::", "::1")],
    )
    def test_who_asked_where(self, interface: str, asked: str) -> None:
        family = socket.AF_INET6 if ":" in asked else socket.AF_INET
        with bind_udp(udp(interface)) as sock, socket.socket(family, socket.SOCK_DGRAM) as client:
            client.bind(("::1" if ":" in asked else "127.0.0.1", 0))
            port = sock.getsockname()[1]
            client.sendto(b"12345", (asked, port))
            bound = bound_socket(sock)
            buffer = memoryview(bytearray(3))
            assert select.select([sock], [], [], 5)[0], "the datagram has come"
            size, origin = bound.receive(buffer)

            assert size == 5, "the size tells that the buffer was too small"
            assert bytes(buffer) == b"123"
            assert bound.ends(origin) == (Address(*client.getsockname()[:2]), Address(asked, port))
            assert hash(origin) == hash(origin)

            bound.replier(origin)(memoryview(b"answer"))
            client.settimeout(5)
            answer, answerer = client.recvfrom(100)
            assert (answer, answerer[:2]) == (b"answer", (asked, port))

    def test_a_socket_that_somebody_else_bound(self) -> None:
        """Nobody asked the kernel for addresses before; it is asked now."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("", 0))
            bound = bound_socket(sock)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", ("127.0.0.4", sock.getsockname()[1]))
                _, origin = bound.receive(memoryview(bytearray(10)))
                assert bound.ends(origin)[1].host == "127.0.0.4"


@define
class Recorder:
    """Stands in for a kernel socket where the kernel cannot be had to do what the test needs."""

    family: socket.AddressFamily
    peer: Any
    ancillary: list[tuple[int, int, bytes]] = field(factory=list)
    sent: list[Any] = field(factory=list)

    def getsockname(self) -> Any:
        return ("::", 53, 0, 0) if self.family is socket.AF_INET6 else ("0.0.0.0", 53)

    def setsockopt(self, *_: int) -> None: ...

    def recvfrom_into(self, buffer: memoryview, size: int, flags: int) -> tuple[int, Any]:
        return 0, self.peer

    def recvmsg_into(self, buffers: Any, space: int, flags: int) -> tuple[int, Any, int, Any]:
        return 0, self.ancillary, 0, self.peer

    def sendto(self, data: memoryview, address: Any) -> int:
        self.sent.append((bytes(data), address))
        return len(data)

    def sendmsg(self, buffers: tuple[memoryview], ancillary: Any, flags: int, address: Any) -> int:
        self.sent.append((b"".join(buffers), ancillary, address))
        return len(buffers[0])


LINK_LOCAL = ("fe80::1", 4242, 0, 3)
PACKED_V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::53")


def v6_info(local: bytes, interface: int) -> bytes:
    return local + struct.pack("=i", interface)


class TestScopes:
    def test_an_exact_socket_answers_on_the_clients_link(self) -> None:
        sock: Any = Recorder(socket.AF_INET6, LINK_LOCAL)
        bound = ExactSocket(sock)
        _, origin = bound.receive(memoryview(b""))
        bound.replier(origin)(memoryview(b"x"))
        assert sock.sent == [(b"x", LINK_LOCAL)]

    def test_a_wildcard_answers_on_the_clients_link(self) -> None:
        kind = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
        sock: Any = Recorder(socket.AF_INET6, LINK_LOCAL, [(*kind, v6_info(PACKED_V6, 3))])
        bound = WildcardSocket(sock)
        _, origin = bound.receive(memoryview(b""))
        bound.replier(origin)(memoryview(b"x"))
        assert sock.sent == [(b"x", ((*kind, v6_info(PACKED_V6, 3)),), LINK_LOCAL)]

    def test_other_clients_are_answered_by_the_routing_table(self) -> None:
        kind = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
        client = ("2001:db8::9", 4242, 0, 0)
        sock: Any = Recorder(socket.AF_INET6, client, [(*kind, v6_info(PACKED_V6, 2))])
        bound = WildcardSocket(sock)
        _, here = bound.receive(memoryview(b""))
        sock.ancillary = [(*kind, v6_info(PACKED_V6, 9))]
        _, there = bound.receive(memoryview(b""))
        assert here == there, "by whichever interface it came, it is the same client"
        bound.replier(here)(memoryview(b"x"))
        assert sock.sent == [(b"x", ((*kind, v6_info(PACKED_V6, 0)),), client)]

    def test_a_multicast_address_is_not_answered_from(self) -> None:
        kind = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)
        group = socket.inet_pton(socket.AF_INET6, "ff02::1")
        sock: Any = Recorder(socket.AF_INET6, LINK_LOCAL, [(*kind, v6_info(group, 3))])
        bound = WildcardSocket(sock)
        _, origin = bound.receive(memoryview(b""))
        assert bound.ends(origin)[1] == Address("ff02::1", 53)
        bound.replier(origin)(memoryview(b"x"))
        assert sock.sent == [(b"x", ((*kind, v6_info(bytes(16), 3)),), LINK_LOCAL)]

    @pytest.mark.parametrize(
        ("family", "client", "anywhere"),
        [(socket.AF_INET, ("192.0.2.1", 5), "0.0.0.0"), (socket.AF_INET6, LINK_LOCAL, "::")],
    )
    def test_a_kernel_that_does_not_tell(self, family: socket.AddressFamily, client: Any, anywhere: str) -> None:
        sock: Any = Recorder(family, client, [(socket.SOL_SOCKET, 29, b"a timestamp")])
        bound = WildcardSocket(sock)
        _, origin = bound.receive(memoryview(b""))
        assert bound.ends(origin) == (Address(*client[:2]), Address(anywhere, 53))
        bound.replier(origin)(memoryview(b"x"))
        assert [sent[0] for sent in sock.sent] == [b"x"], "it is answered all the same"

    def test_the_address_to_answer_from_is_not_a_broadcast_address(self) -> None:
        """``ipi_spec_dst``, not ``ipi_addr``: ip(7)."""
        info = struct.pack("=i4s4s", 2, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 255]))
        sock: Any = Recorder(socket.AF_INET, ("192.0.2.9", 5), [(socket.IPPROTO_IP, 8, info)])
        bound = WildcardSocket(sock)
        _, origin = bound.receive(memoryview(b""))
        assert bound.ends(origin)[1] == Address("192.0.2.1", 53)
        bound.replier(origin)(memoryview(b"x"))
        expected = struct.pack("=i4s4s", 0, bytes([192, 0, 2, 1]), bytes(4))
        assert sock.sent == [(b"x", ((socket.IPPROTO_IP, 8, expected),), ("192.0.2.9", 5))]
