"""As much of BER (ITU-T X.690) as LDAP's messages need: tags of one byte, definite lengths (RFC 4511, 5.1)."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ..verdict import Hit, Miss, Need, Verdict

BOOLEAN, INTEGER, OCTET_STRING, ENUMERATED, SEQUENCE = 0x01, 0x02, 0x04, 0x0A, 0x30

# Four bytes of length are more than anybody may send.
_MAX_LENGTH_BYTES = 4
_LONG = 0x80


class BerError(Exception):
    """What is there in full is not what it should be; the text says how."""


@frozen
class Element:
    """A ``tag``, and where its contents are."""

    tag: int
    start: int
    end: int


def sniff_element(window: bytes, at: int) -> Verdict[Element]:
    """The element that begins ``at`` an offset of the window; its contents need not be there yet."""
    if len(window) < at + 2:
        return Need(at + 2)
    tag, length = window[at], window[at + 1]
    start = at + 2
    if length & _LONG:
        count = length & ~_LONG
        if not 0 < count <= _MAX_LENGTH_BYTES:
            return Miss("a length has no end or too many bytes")
        if len(window) < start + count:
            return Need(start + count)
        start += count
        length = int.from_bytes(window[start - count : start], "big")
    return Hit(Element(tag, start, start + length), start)


def elements(data: bytes, start: int, end: int) -> Iterator[Element]:
    """The elements between two offsets, which are there. Raises :class:`BerError` when one reaches over the end."""
    while start < end:
        verdict = sniff_element(data, start)
        if not isinstance(verdict, Hit) or verdict.value.end > end:
            raise BerError(verdict.why if isinstance(verdict, Miss) else "an element is longer than what holds it")
        yield verdict.value
        start = verdict.value.end


def element(tag: int, *contents: bytes) -> bytes:
    """An element with these contents, one after the other."""
    content = b"".join(contents)
    length = len(content)
    if length < _LONG:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(size))) + size + content


def integer(value: int) -> bytes:
    """An ``INTEGER`` that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))
