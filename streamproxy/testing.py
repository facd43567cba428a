"""Fakes and builders for tests: ours, and those of whoever embeds streamproxy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .interfaces import Receiver

TLS_1_2 = 0x0303
TLS_1_3 = 0x0304

_RECORD_LIMIT = 16384
_X25519, _X25519_MLKEM768, _SECP256R1 = 0x001D, 0x11EC, 0x0017
_GREASE_CIPHER, _GREASE_GROUP, _GREASE_VERSION = 0x0A0A, 0x1A1A, 0x2A2A
_GREASE_FIRST, _GREASE_LAST = 0x3A3A, 0x4A4A


def hello_bytes(
    server_name: str | bytes | None = "example.com",
    *,
    alpn: Sequence[str] = (),
    post_quantum: bool = False,
    versions: Sequence[int] = (TLS_1_3, TLS_1_2),
    fragment: int | None = None,
    grease: bool = False,
    padding: int | None = None,
    extra: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    """
    A well-formed TLS ClientHello as it comes over the wire; the same arguments make the same bytes.

    ``server_name``: bytes are sent as they are, so that it may be one no client should send; ``None`` sends no
    extension. ``post_quantum``: what makes the hello of a browser longer than one TCP segment (over 1,600 bytes).
    ``versions``: those offered, best first; without TLS 1.3 among them it is the hello of an older client.
    ``fragment``: payload bytes a record holds at most. ``grease``: reserved values in every list (RFC 8701).
    ``padding``: an extension of that many zeros (RFC 7685). ``extra``: further extensions, (type, content), put last.

    Raises ``OverflowError`` where something does not fit the length field in front of it.
    """
    groups = [_X25519_MLKEM768] * post_quantum + [_X25519, _SECP256R1]
    extensions: list[tuple[int, bytes]] = []
    if server_name is not None:
        name = server_name.encode() if isinstance(server_name, str) else server_name
        extensions.append((0, _sized(2, b"\0" + _sized(2, name))))
    extensions += [
        (23, b""),  # extended_master_secret
        (0xFF01, b"\0"),  # renegotiation_info
        (10, _sized(2, _numbers([_GREASE_GROUP] * grease + groups))),
        (11, _sized(1, b"\0")),  # ec_point_formats: uncompressed
        (13, _sized(2, _numbers([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]))),
    ]
    if alpn:
        extensions.append((16, _sized(2, b"".join(_sized(1, protocol.encode()) for protocol in alpn))))
    if TLS_1_3 in versions:
        extensions += [
            (51, _sized(2, _key_shares(post_quantum=post_quantum, grease=grease))),
            (45, _sized(1, b"\1")),  # psk_key_exchange_modes: with (EC)DHE
            (43, _sized(1, _numbers([_GREASE_VERSION] * grease + list(versions)))),
        ]
    if post_quantum:
        extensions.append((0xFE0D, _encrypted_hello()))
    if grease:
        extensions = [(_GREASE_FIRST, b""), *extensions, (_GREASE_LAST, b"\0")]
    if padding is not None:
        extensions.append((21, bytes(padding)))
    extensions += extra
    return _records(_message(extensions, min(TLS_1_2, max(versions)), grease=grease), fragment or _RECORD_LIMIT)


def _message(extensions: Iterable[tuple[int, bytes]], legacy_version: int, *, grease: bool) -> bytes:
    ciphers = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0x009C, 0x002F]
    body = (
        _numbers([legacy_version])
        + bytes(range(32))
        + _sized(1, bytes(range(32, 64)))
        + _sized(2, _numbers([_GREASE_CIPHER] * grease + ciphers))
        + _sized(1, b"\0")
        + _sized(2, b"".join(_numbers([kind]) + _sized(2, content) for kind, content in extensions))
    )
    return b"\1" + _sized(3, body)


def _key_shares(*, post_quantum: bool, grease: bool) -> bytes:
    """Public keys a server can really use: an ML-KEM-768 vector of small numbers, and any 32 bytes for X25519."""
    x25519 = bytes(range(1, 33))
    shares = [(_GREASE_GROUP, b"\0")] * grease
    shares += [(_X25519_MLKEM768, bytes(1152) + bytes(range(32)) + x25519)] * post_quantum
    shares += [(_X25519, x25519)]
    return b"".join(_numbers([group]) + _sized(2, key) for group, key in shares)


def _encrypted_hello() -> bytes:
    """The outer encrypted_client_hello extension browsers send even to servers that know nothing of it."""
    suite = _numbers([0x0001, 0x0001])
    return b"\0" + suite + b"\x2a" + _sized(2, bytes(range(32))) + _sized(2, bytes(239))


def _records(message: bytes, limit: int) -> bytes:
    pieces = (message[start : start + limit] for start in range(0, len(message), limit))
    return b"".join(b"\x16\3\1" + _sized(2, piece) for piece in pieces)


def _sized(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width, "big") + content


def _numbers(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


class MemoryLeg:
    """
    A leg whose peer is the test. ``capacity`` is how many bytes its peer's kernel holds before the peer reads; what is
    over that is kept in the leg, as a socket's leg keeps what the kernel did not take.

    The test plays the peer with ``peer_sends``, ``peer_ends``, ``peer_resets`` and ``peer_reads``; it looks at ``got``
    (what the peer has read), ``finished`` (the peer got our FIN, after everything else), ``closed`` and ``aborted``.
    """

    receiver: Receiver

    def __init__(self, *, capacity: int = 1 << 30, can_half_close: bool = True) -> None:
        self.can_half_close = can_half_close
        self.capacity = capacity
        self.got = bytearray()
        self.finished = False
        self.closed = False
        self.aborted = False
        self.paused = True
        self.most_kept = 0
        self._kernel = bytearray()
        self._kept = bytearray()
        self._finishing = False
        self._incoming: list[bytes | None] = []
        self._delivering = False

    # Leg

    def start(self) -> None:
        self.resume()

    def resume(self) -> None:
        self.paused = False
        self._deliver()

    def pause(self) -> None:
        self.paused = True

    def write(self, data: bytes) -> bool:
        if self._gone:
            return True
        if self._finishing:
            raise AssertionError("a leg was written to after it was told to finish")
        self._kept += data
        self._flush()
        self.most_kept = max(self.most_kept, len(self._kept))
        return not self._kept

    def finish(self) -> bool:
        if not self._gone:
            self._finishing = True
        return not self._kept

    def close(self) -> None:
        if self._kept:
            raise AssertionError("a leg was closed with bytes unsent")
        self.closed = True

    def abort(self) -> None:
        if not self._gone:
            self.aborted = True

    # The peer

    def peer_sends(self, data: bytes) -> None:
        """The peer sends this; it is told to the receiver as soon as the leg is not paused."""
        self._incoming.append(data)
        self._deliver()

    def peer_ends(self) -> None:
        """The peer's FIN, behind what it sent."""
        self._incoming.append(None)
        self._deliver()

    def peer_resets(self) -> None:
        """The peer's RST: what it sent and nobody took is gone."""
        if not self._gone:
            self._incoming.clear()
            self.closed = True
            self.receiver.lost("Connection reset by peer", reset=True)

    def peer_reads(self, size: int = 1 << 30) -> None:
        """The peer reads up to ``size`` bytes of what it was sent."""
        self.got += self._kernel[:size]
        del self._kernel[:size]
        had = bool(self._kept)
        self._flush()
        if had and not self._kept and not self._gone:
            self.receiver.drained()
        if self._finishing and not self._kept and not self._kernel:
            self.finished = True

    # Inside

    @property
    def _gone(self) -> bool:
        return self.closed or self.aborted

    def _flush(self) -> None:
        room = max(0, self.capacity - len(self._kernel))
        self._kernel += self._kept[:room]
        del self._kept[:room]

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        while self._incoming and not self.paused and not self._gone:
            data = self._incoming.pop(0)
            if data is None:
                self.receiver.ended()
            else:
                self.receiver.received(data)
        self._delivering = False
