"""
DNS messages (RFC 1035, section 4): questions as bytes, replies as values.

Twisted's codec was looked at and left: it takes a message that ends too early for a whole one, believes a record's type
over its length, and reads names of any length and of labels with dots in them.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from attrs import field, frozen

A: Final = 1
CNAME: Final = 5
SOA: Final = 6
AAAA: Final = 28
SRV: Final = 33
_OPT: Final = 41
_INTERNET: Final = 1

NO_ERROR: Final = 0
FORMAT_ERROR: Final = 1
NO_SUCH_NAME: Final = 3
NOT_IMPLEMENTED: Final = 4
_CODES: Final = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_KINDS: Final = {A: "A", CNAME: "CNAME", SOA: "SOA", AAAA: "AAAA", SRV: "SRV"}

# What fits in a datagram on any path (DNS Flag Day 2020); more comes over TCP.
PAYLOAD = 1232

# More of these than any honest message has are an attack on the reader's time.
MOST_RECORDS = 1024
MOST_POINTERS = 32

_MOST_NAME = 255
_MOST_LABEL = 63
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_SERVICE = struct.Struct("!HHH")
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED = 0x8000, 0x0200, 0x0100
_OPCODE = 0x7800


class MessageError(ValueError):
    """These bytes are no message, or not one that answers anything."""


@frozen
class Question:
    """``name`` without the dot at its end, in lower case."""

    name: str
    kind: int

    def __str__(self) -> str:
        return f"{self.name} {_KINDS.get(self.kind, self.kind)}"


@frozen
class Service:
    """What an SRV record says (RFC 2782). Lower ``priority`` comes first. An empty ``target`` is the root: nobody."""

    priority: int
    weight: int
    port: int
    target: str


@frozen
class Record:
    """``ttl`` in seconds. ``data`` is an address, the name an alias stands for, or a service."""

    name: str
    kind: int
    ttl: int
    data: str | Service


@frozen
class Reply:
    """
    ``question`` is ``None`` where the server did not repeat it. ``negative_ttl``: how long it may be believed that
    there is nothing more than ``answers`` (RFC 2308, section 5); ``None`` where the server vouches for nothing.
    """

    id: int
    code: int
    truncated: bool = False
    question: Question | None = None
    answers: tuple[Record, ...] = field(default=())
    negative_ttl: int | None = None

    @property
    def code_name(self) -> str:
        return _CODES.get(self.code, f"code {self.code}")


@frozen
class Chain:
    """
    Where aliases led from a name: to ``name``, and what there is of it. ``ttl`` is the least on the way (``None``:
    there was nothing on the way).
    """

    name: str
    data: tuple[str | Service, ...]
    ttl: int | None


def encode_question(number: int, question: Question, *, extended: bool = True) -> bytes:
    """
    A message that asks. ``extended``: it says that :data:`PAYLOAD` bytes may come (RFC 6891). Raises ``ValueError`` for
    what is no name.
    """
    header = _HEADER.pack(number, _RECURSION_DESIRED, 1, 0, 0, 1 if extended else 0)
    asked = header + _encode_name(question.name) + struct.pack("!HH", question.kind, _INTERNET)
    return asked + b"\0" + _RECORD.pack(_OPT, PAYLOAD, 0, 0) if extended else asked


def decode_reply(data: bytes) -> Reply:
    """What a server said. Raises :class:`MessageError` for everything that is not wholly a reply."""
    try:
        return _decode_reply(data)
    except (struct.error, IndexError):
        raise MessageError("the message ends too early") from None


def follow(records: tuple[Record, ...], question: Question) -> Chain:
    """Go along the aliases in ``records``, however they are ordered, from ``question``'s name to what it asks for."""
    aliases = {record.name: record for record in records if record.kind == CNAME}
    wanted = [record for record in records if record.kind == question.kind]
    name, ttls, seen = question.name, list[int](), set[str]()
    while name not in seen:
        seen.add(name)
        found = [record for record in wanted if record.name == name]
        if found:
            data = tuple(dict.fromkeys(record.data for record in found))
            return Chain(name, data, min([*ttls, *(record.ttl for record in found)]))
        alias = aliases.get(name)
        if alias is None or not isinstance(alias.data, str):
            return Chain(name, (), min(ttls, default=None))
        ttls.append(alias.ttl)
        name = alias.data
    raise MessageError(f"the aliases of {question.name} go round in circles")


# Inside


def _decode_reply(data: bytes) -> Reply:
    number, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if not flags & _RESPONSE or flags & _OPCODE or questions > 1:
        raise MessageError("the message is no reply to a question")
    code, truncated = flags & 0xF, bool(flags & _TRUNCATED)
    at, question = _HEADER.size, None
    if questions:
        name, at = _decode_name(data, at)
        kind, network = struct.unpack_from("!HH", data, at)
        if network != _INTERNET:
            raise MessageError("the message is of another network")
        question, at = Question(name, kind), at + 4
    if truncated:
        return Reply(number, code, truncated, question)
    if answers + authorities > MOST_RECORDS:
        raise MessageError(f"the message has {answers + authorities} records")
    found = []
    for _ in range(answers):
        record, _, at = _decode_record(data, at)
        if record is not None:
            found.append(record)
    negative_ttl = None
    for _ in range(authorities):
        _, least, at = _decode_record(data, at)
        if least is not None:
            negative_ttl = least
    return Reply(number, code, truncated, question, tuple(found), negative_ttl)


def _decode_record(data: bytes, at: int) -> tuple[Record | None, int | None, int]:
    """A record of a kind that is asked for, or for an SOA the negative TTL in it, and where the next one begins."""
    name, at = _decode_name(data, at)
    kind, network, ttl, length = _RECORD.unpack_from(data, at)
    at += _RECORD.size
    end = at + length
    if end > len(data):
        raise MessageError("the message ends too early")
    # RFC 2181, section 8: a TTL with the highest bit set is none.
    ttl = 0 if ttl >> 31 else ttl
    if network != _INTERNET:
        return None, None, end
    if kind == SOA:
        _, middle = _decode_name(data, at)
        _, middle = _decode_name(data, middle)
        _expect(middle + 20 == end, "SOA")
        (minimum,) = struct.unpack_from("!I", data, end - 4)
        return None, min(ttl, minimum), end
    found = _decode_data(data, kind, at, end)
    return None if found is None else Record(name, kind, ttl, found), None, end


def _decode_data(data: bytes, kind: int, at: int, end: int) -> str | Service | None:
    if kind == A:
        _expect(end - at == 4, "A")
        return socket.inet_ntop(socket.AF_INET, data[at:end])
    if kind == AAAA:
        _expect(end - at == 16, "AAAA")
        return socket.inet_ntop(socket.AF_INET6, data[at:end])
    if kind == CNAME:
        alias, after = _decode_name(data, at)
        _expect(after == end, "CNAME")
        return alias
    if kind == SRV:
        priority, weight, port = _SERVICE.unpack_from(data, at)
        target, after = _decode_name(data, at + _SERVICE.size)
        _expect(after == end, "SRV")
        return Service(priority, weight, port, target)
    return None


def _expect(fits: bool, kind: str) -> None:
    if not fits:
        raise MessageError(f"the message has an {kind} record of the wrong length")


def _encode_name(name: str) -> bytes:
    encoded = bytearray()
    for label in name.split(".") if name else ():
        raw = label.encode("ascii")
        if not 1 <= len(raw) <= _MOST_LABEL:
            raise ValueError(f"{name!r} is no name that DNS could know")
        encoded += bytes([len(raw)]) + raw
    encoded += b"\0"
    if len(encoded) > _MOST_NAME:
        raise ValueError(f"{name!r} is too long for DNS")
    return bytes(encoded)


def _decode_name(data: bytes, at: int) -> tuple[str, int]:
    """The name that begins at ``at``, and where what follows it does. It is in lower case."""
    labels: list[str] = []
    after, size, pointers = -1, 1, 0
    while length := data[at]:
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            pointers += 1
            if target >= at or pointers > MOST_POINTERS:
                raise MessageError("the message has a name that leads nowhere")
            after = at + 2 if after < 0 else after
            at = target
            continue
        if length > _MOST_LABEL:
            raise MessageError("the message has a label of an unknown kind")
        label = data[at + 1 : at + 1 + length]
        size += length + 1
        if len(label) < length or size > _MOST_NAME:
            raise MessageError("the message has a name that is too long")
        labels.append(_shown(label))
        at += 1 + length
    return ".".join(labels), at + 1 if after < 0 else after


def _shown(label: bytes) -> str:
    """A label as text; what no host name has is escaped (RFC 1035, section 5.1), so that no two look alike."""
    text = label.decode("latin-1")
    if text.isascii() and text.replace("-", "").replace("_", "").isalnum():
        return text.lower()
    return "".join(c.lower() if c.isascii() and (c.isalnum() or c in "-_") else f"\\{ord(c):03d}" for c in text)
