"""DNS messages as servers send them, put together by hand, and a server that says what a test wants."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Sequence

from streamproxy.relay.dns.message import AAAA, CNAME, SOA, SRV, A, Question

# Where the name in the question begins.
NAME_AT = 12


def name(text: str) -> bytes:
    labels = text.split(".") if text else []
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def record(owner: bytes, kind: int, data: bytes, ttl: int = 60, network: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, network, ttl, len(data)) + data


def address(owner: str, literal: str, ttl: int = 60) -> bytes:
    if ":" in literal:
        return record(name(owner), AAAA, socket.inet_pton(socket.AF_INET6, literal), ttl)
    return record(name(owner), A, socket.inet_pton(socket.AF_INET, literal), ttl)


def alias(owner: str, target: str, ttl: int = 60) -> bytes:
    return record(name(owner), CNAME, name(target), ttl)


def offer(owner: str, priority: int, weight: int, port: int, target: str, ttl: int = 60) -> bytes:
    return record(name(owner), SRV, struct.pack("!HHH", priority, weight, port) + name(target), ttl)


def soa(zone: str, ttl: int, minimum: int) -> bytes:
    return record(name(zone), SOA, name("ns") + name("h") + struct.pack("!IIIII", 1, 2, 3, 4, minimum), ttl)


def reply(
    question: Question | None,
    *answers: bytes,
    authority: Sequence[bytes] = (),
    code: int = 0,
    number: int = 1,
    flags: int = 0x8180,
) -> bytes:
    head = struct.pack("!HHHHHH", number, flags | code, question is not None, len(answers), len(authority), 0)
    asked = b"" if question is None else name(question.name) + struct.pack("!HH", question.kind, 1)
    return head + asked + b"".join((*answers, *authority))


def asked_in(data: bytes) -> tuple[int, Question]:
    """The number and the question of a message that asks."""
    at, labels = NAME_AT, []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return int.from_bytes(data[:2], "big"), Question(".".join(labels), int.from_bytes(data[at + 1 : at + 3], "big"))


# From the bytes of a question to the bytes of what is sent back; over TCP they are sent as they are.
Answer = Callable[[bytes], Sequence[bytes]]


def _on_one_port() -> tuple[socket.socket, socket.socket]:
    """Two sockets, bound. What is free over UDP may be somebody's over TCP: then another one is tried."""
    for _ in range(50):
        udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            udp.bind(("127.0.0.1", 0))
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp
    raise AssertionError("no port was free over both UDP and TCP")


class NameServer:
    """A UDP and a TCP socket on one port of loopback, answered in a thread."""

    def __init__(self, over_udp: Answer, over_tcp: Answer | None = None) -> None:
        self.asked: list[bytes] = []
        self.asked_over_tcp: list[bytes] = []
        self._over_udp, self._over_tcp = over_udp, over_tcp
        self._udp, self._tcp = _on_one_port()
        self.port = int(self._udp.getsockname()[1])
        if over_tcp is not None:
            self._tcp.listen()
            threading.Thread(target=self._serve_tcp, daemon=True).start()
        threading.Thread(target=self._serve_udp, daemon=True).start()

    def _serve_udp(self) -> None:
        with self._udp as sock:
            while True:
                data, peer = sock.recvfrom(65535)
                if not data:
                    return
                self.asked.append(data)
                for answer in self._over_udp(data):
                    sock.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            with sock:
                data = sock.recv(65535)
                self.asked_over_tcp.append(data)
                for answer in self._over_tcp(data[2:]) if self._over_tcp is not None else ():
                    sock.sendall(answer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        try:
            self._tcp.shutdown(socket.SHUT_RDWR)
        except OSError:
            """Nobody listens."""
        self._tcp.close()
