"""
The steps of an upgrade to TLS, and how much either side of it puts up with.

A machine is shown the *window*: what the peer has sent and nobody has taken yet, peeked at and not read. It says how
many of those bytes to take and what to send, one step after the other, so that the peer's TLS stays untouched in the
socket. It is asked at once, behind its opening and behind every ``Reply``, with whatever is there, be it nothing:
only a ``Need`` waits, and changes nothing in the machine. After ``Upgrade``, ``Plain``, ``Done`` or ``Refuse`` there
is nothing more to ask it.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from attrs import frozen

from ..verdict import Need

MAX_PREAMBLE = 16384
"""
Bytes that one peer may say before TLS begins. Clients say under 1,000 and servers with long banners under 4,000;
nobody has proved who they are yet, so nobody is given more.
"""

MAX_COMMANDS = 20
"""
Commands that a client may give before it asks for TLS: each costs us an answer. Clients in use give up to four (ID,
CAPABILITY, NOOP, STARTTLS).
"""

MAX_LINE = 2048
"""
Bytes of a line with its end. SMTP allows 512 (RFC 5321, 4.5.3.1), POP3 255 (RFC 2449, 4); an IMAP client's ID and a
server's capabilities stay under 1,000.
"""

HANDSHAKE = b"\x16"
"""The first byte of a ClientHello: the content type of a TLS record (RFC 8446, 5.1)."""

_MAX_SHOWN = 100


@frozen
class Reply:
    """Take ``consume`` bytes of the window, send ``send`` (which may be nothing), then ask again at once."""

    consume: int
    send: bytes


@frozen
class Upgrade:
    """
    Take ``consume`` bytes, send ``send``: the next byte of the client is that of its ClientHello, and may be there
    already.

    ``introduction`` is how the client introduced itself, for a target that is to be asked in its words; empty in
    protocols where nobody does. It holds no secret: a client that shows one before TLS is refused.
    """

    consume: int
    send: bytes
    introduction: bytes = b""


@frozen
class Plain:
    """The client goes on without TLS, and may. The window is left to the target; ``introduction`` as of ``Upgrade``."""

    introduction: bytes = b""


@frozen
class Done:
    """
    Take ``consume`` bytes: the target expects the ClientHello now, or, where it was not asked for TLS, the client's
    next command. ``greeting`` is what it said first, for a client that nobody has greeted yet, without what TLS makes
    untrue.
    """

    consume: int
    greeting: bytes = b""


@frozen
class Refuse:
    """
    There will be no upgrade: send ``send``, read what the peer has sent, close. Without that reading the kernel
    answers with a reset, which can take the message with it. ``why`` is a sentence for logs and shows no secret.
    """

    why: str
    send: bytes = b""


Answering: TypeAlias = Need | Reply | Upgrade | Plain | Refuse
Asking: TypeAlias = Need | Reply | Done | Refuse


class Preamble(Protocol):
    """Answers a client as its server would, until the client's next byte is that of a ClientHello."""

    def opening(self) -> bytes:
        """What to send before the client has said anything; nothing where the client speaks first."""
        ...

    def step(self, window: bytes) -> Answering: ...


class Ask(Protocol):
    """Asks a target for TLS as a client would, until the target's next byte is one of its handshake."""

    def opening(self) -> bytes:
        """What to send before the target has said anything; nothing where the server speaks first."""
        ...

    def step(self, window: bytes) -> Asking: ...


class NothingToAsk:
    """For a target that needs no word before the client's own."""

    def opening(self) -> bytes:
        return b""

    def step(self, window: bytes) -> Done:
        return Done(0)


def upgrade(window: bytes, consume: int, send: bytes, refusal: bytes, introduction: bytes = b"") -> Upgrade | Refuse:
    """
    Let the client begin, unless it has gone on in plain text behind its request, which ends in ``consume``. Whoever
    sits in the middle could have put that there to have it taken for what came over TLS (CVE-2011-0411). What comes
    later stays in the socket, too, and meets the handshake, which fails of it.
    """
    behind = window[consume : consume + 1]
    if behind not in (b"", HANDSHAKE):
        return Refuse("the client sent plain text behind its request for TLS", refusal)
    return Upgrade(consume, send, introduction)


def done(window: bytes, consume: int, greeting: bytes = b"") -> Done | Refuse:
    """The same for a target, which has nothing to say before the ClientHello (CVE-2021-23222)."""
    if len(window) > consume:
        return Refuse("the target sent more behind its consent to TLS")
    return Done(consume, greeting)


def shown(text: bytes) -> str:
    """What a peer said, for a log: short and printable."""
    words = text[:_MAX_SHOWN].decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in words)
