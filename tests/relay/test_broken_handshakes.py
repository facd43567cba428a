"""Ten thousand handshakes that break, at every byte and in every way: nothing of them is left."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamproxy.model import Limits
from streamproxy.testing import hello_bytes

from .loop import Loop
from .open_files import open_files
from .test_termination import TlsProxy

MANY = 10_000

# As many before as fill whatever is kept on purpose: records of ended sessions, contexts, the allocator's pools.
BEFORE = 2000

# Bytes of memory that one of them may leave; what OpenSSL has for one handshake is fifty times that.
MOST_LEFT = 1000


@pytest.fixture
def proxy(loop: Loop) -> Iterator[TlsProxy]:
    proxy = TlsProxy(loop)
    yield proxy
    proxy.close()
    loop.pump([0.5] * 20)


def client_hello() -> bytes:
    """That of Python's own TLS, so that a server goes on with it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(incoming, outgoing, server_hostname="a.example.com")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = client_hello()
BEHIND = [
    b"",
    b"\x15\x03\x03\x00\x02\x02\x28",  # a fatal alert
    b"\x15\x03\x03\x00\x02\x01\x00",  # close_notify
    b"\x14\x03\x03\x00\x01\x01" * 40,  # change_cipher_spec, again and again
    b"\x17\x03\x03\xff\xff" + bytes(100),  # an oversized record
    b"\x16\x03\x03\x00\x04\x00\x00\x00\x00",  # HelloRequest
    b"\x16\x03\x03\x00\x04\x14\x00\x00\x00",  # an empty Finished
    b"\x80" * 50,
]


def broken(number: int) -> bytes:
    """One of many."""
    kind = number % 4
    if kind == 0:
        return HELLO[: number % len(HELLO)]
    if kind == 1:
        return HELLO + BEHIND[number // 4 % len(BEHIND)]
    if kind == 2:
        place = number % len(HELLO)
        return HELLO[:place] + bytes([HELLO[place] ^ 0xFF]) + HELLO[place + 1 :]
    return hello_bytes("a.example.com", fragment=1 + number % 50, versions=[0x0303 + number % 2])


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_broken_handshakes_leave_nothing(proxy: TlsProxy) -> None:
    proxy.terminate(proxy.target(), limits=Limits(handshake_timeout=1))

    def round_of(count: int) -> None:
        for number in range(count):
            client = proxy.client()
            with contextlib.suppress(OSError):
                client.sendall(broken(number))
            if number % 3 == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            proxy.loop.turn()
            client.close()
            proxy.clients.clear()
            if number % 200 == 0:
                proxy.loop.settle()
                proxy.loop.pump([0.5] * 10)
        proxy.loop.settle()
        proxy.loop.pump([0.5] * 10)

    round_of(BEFORE)
    gc.collect()
    files, objects, memory = open_files(), len(gc.get_objects()), resident()
    round_of(MANY)
    gc.collect()
    assert len(proxy.table) == 0, "sessions are left"
    assert proxy.loop.descriptors == 0, "descriptors are left with the reactor"
    assert not open_files() - files, "descriptors leaked"
    # The records of the last sessions are remembered, a bounded number of them.
    grown = len(gc.get_objects()) - objects
    assert grown < MANY // 10, f"{grown} objects more than before"
    left = resident() - memory
    assert left < MANY * MOST_LEFT, f"{left} bytes more than before"
    assert sum(proxy.factory.tally.ended.values()) == BEFORE + MANY
