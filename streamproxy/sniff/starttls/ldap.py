"""
StartTLS of LDAP (RFC 4511, 4.14). A message is ``SEQUENCE {messageID INTEGER, protocolOp CHOICE, controls [0]
OPTIONAL}``; the operation's tag says which it is.
"""

from __future__ import annotations

from attrs import frozen

from ..verdict import Hit, Miss, Need, Verdict
from .ber import (
    BOOLEAN,
    ENUMERATED,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    BerError,
    element,
    elements,
    integer,
    sniff_element,
)
from .machine import HANDSHAKE, MAX_PREAMBLE, Answering, Asking, Plain, Refuse, done, shown, upgrade

START_TLS = b"1.3.6.1.4.1.1466.20037"
_NOTICE_OF_DISCONNECTION = b"1.3.6.1.4.1.1466.20036"

_UNBIND, _EXTENDED, _EXTENDED_RESPONSE = 0x42, 0x77, 0x78
_REQUEST_NAME, _RESPONSE_NAME = 0x80, 0x8A

# What answers what: bind, search, modify, add, delete, rename, compare, extended. Abandon and unbind have no answer.
_RESPONSES = {0x60: 0x61, 0x63: 0x65, 0x66: 0x67, 0x68: 0x69, 0x4A: 0x6B, 0x6C: 0x6D, 0x6E: 0x6F, 0x77: 0x78}
_WITHOUT_RESPONSE = {_UNBIND, 0x50}

_SUCCESS = 0
_OPERATIONS_ERROR = 1
_PROTOCOL_ERROR = 2
_UNAVAILABLE_CRITICAL_EXTENSION = 12
_CONFIDENTIALITY_REQUIRED = 13

# A message id has at most 31 bits (RFC 4511, 4.1.1.1).
_MAX_ID_BYTES = 4


@frozen
class Head:
    """What is known of a message before its contents: its ``id``, its operation's tag and place, and where it ends."""

    id: int
    operation: int
    start: int
    end: int


class LdapPreamble:
    """
    Answers StartTLS as a directory would. Everything else needs a directory: it is refused with
    ``confidentialityRequired``, or passed on where TLS is ``optional``.
    """

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def opening(self) -> bytes:
        return b""

    def step(self, window: bytes) -> Answering:
        if window.startswith(HANDSHAKE):
            return Refuse("the client began TLS without asking for it")
        verdict = _sniff_request(window)
        if isinstance(verdict, Need):
            return verdict
        if isinstance(verdict, Miss):
            return Refuse(f"what the client sent is no LDAP: {verdict.why}", _notice(verdict.why))
        head = verdict.value
        if self._optional and head.operation != _EXTENDED:
            return Plain()
        if len(window) < head.end:
            return Need(head.end)
        result = _judge(window, head)
        if result == _SUCCESS:
            refusal = _response(head, _OPERATIONS_ERROR, "nothing may follow StartTLS before its answer")
            return upgrade(window, head.end, _response(head, result), refusal)
        if result == _CONFIDENTIALITY_REQUIRED and self._optional:
            return Plain()
        return _refuse(head, result)


class LdapAsk:
    """
    Sends StartTLS as the first message. The first one of the client after the handshake may have the same id, as the
    answer to ours has come by then (RFC 4511, 4.1.1.1).
    """

    def opening(self) -> bytes:
        return _message(1, element(_EXTENDED, element(_REQUEST_NAME, START_TLS)))

    def step(self, window: bytes) -> Asking:
        verdict = _sniff_head(window)
        if isinstance(verdict, Need):
            return verdict
        if isinstance(verdict, Miss):
            return Refuse(f"what the target sent is no LDAP: {verdict.why}")
        head = verdict.value
        if head.operation != _EXTENDED_RESPONSE or head.id not in (0, 1):
            return Refuse(f"the target answers StartTLS with operation 0x{head.operation:02x} of message {head.id}")
        if len(window) < head.end:
            return Need(head.end)
        try:
            result, words = _result(window, head)
        except BerError as error:
            return Refuse(f"what the target sent is no LDAP: {error}")
        if head.id == 0:
            return Refuse(f"the target hangs up with result {result}: {words}")
        if result != _SUCCESS:
            return Refuse(f"the target answers StartTLS with result {result}: {words}")
        return done(window, head.end)


def sniff_start_tls(window: bytes) -> Verdict[int]:
    """Whether a connection opens with a StartTLS request, and what id that has."""
    verdict = _sniff_request(window)
    if not isinstance(verdict, Hit):
        return verdict
    head = verdict.value
    if head.operation != _EXTENDED:
        return Miss("the operation is not StartTLS")
    if len(window) < head.end:
        return Need(head.end)
    return Hit(head.id, head.end) if _judge(window, head) == _SUCCESS else Miss("the operation is not StartTLS")


def _sniff_request(window: bytes) -> Verdict[Head]:
    """The head of a message that a client may send."""
    verdict = _sniff_head(window)
    if isinstance(verdict, Hit):
        if verdict.value.operation not in {*_RESPONSES, *_WITHOUT_RESPONSE}:
            return Miss("the operation is none of a client's")
        if verdict.value.id == 0:
            return Miss("a request has no id")
    return verdict


def _sniff_head(window: bytes) -> Verdict[Head]:
    """The head of a message, up to the tag of its operation; each byte is judged as soon as it is there."""
    if window and window[0] != SEQUENCE:
        return Miss("the first byte begins no message")
    whole = sniff_element(window, 0)
    if not isinstance(whole, Hit):
        return whole
    end = whole.value.end
    if end > MAX_PREAMBLE:
        return Miss(f"the message is longer than {MAX_PREAMBLE} bytes")
    if window[whole.consumed : whole.consumed + 1] not in (b"", bytes((INTEGER,))):
        return Miss("the message does not begin with its id")
    number = sniff_element(window, whole.consumed)
    if not isinstance(number, Hit):
        return _within(number, end)
    start, after = number.value.start, number.value.end
    if not 0 < after - start <= _MAX_ID_BYTES or after >= end:
        return Miss("the message's id or what follows it is missing or too long")
    if len(window) <= after:
        return Need(after + 1)
    identity = int.from_bytes(window[start:after], "big", signed=True)
    if identity < 0:
        return Miss("the message's id is negative")
    return Hit(Head(identity, window[after], after, end), after + 1)


def _within(verdict: Need | Miss, end: int) -> Need | Miss:
    """``verdict``, unless it asks for more than the message holds."""
    if isinstance(verdict, Need) and verdict.at_least > end:
        return Miss("the message is too short")
    return verdict


def _judge(window: bytes, head: Head) -> int:
    """The result code that a request deserves, all of which is there; success is for StartTLS."""
    try:
        operation, *controls = elements(window, head.start, head.end)
        if operation.tag != _EXTENDED:
            return _CONFIDENTIALITY_REQUIRED
        name, *value = elements(window, operation.start, operation.end)
        if name.tag != _REQUEST_NAME:
            return _PROTOCOL_ERROR
        if window[name.start : name.end] != START_TLS:
            return _CONFIDENTIALITY_REQUIRED
        if any(_is_critical(window, control.start, control.end) for control in controls):
            return _UNAVAILABLE_CRITICAL_EXTENSION
    except (BerError, ValueError):
        return _PROTOCOL_ERROR
    # StartTLS has no value (RFC 4511, 4.14.1).
    return _PROTOCOL_ERROR if value else _SUCCESS


def _is_critical(window: bytes, start: int, end: int) -> bool:
    """Whether one of these controls may not be ignored (RFC 4511, 4.1.11)."""
    return any(
        part.tag == BOOLEAN and window[part.start : part.end] != b"\0"
        for control in elements(window, start, end)
        for part in elements(window, control.start, control.end)
    )


def _result(window: bytes, head: Head) -> tuple[int, str]:
    """Code and diagnostic message of an LDAPResult (RFC 4511, 4.1.9). Raises :class:`BerError`."""
    response, *_ = elements(window, head.start, head.end)
    parts = list(elements(window, response.start, response.end))
    if [part.tag for part in parts[:3]] != [ENUMERATED, OCTET_STRING, OCTET_STRING]:
        raise BerError("a result lacks its code, name or message")
    code, _, words = (window[part.start : part.end] for part in parts[:3])
    return int.from_bytes(code, "big"), shown(words)


def _refuse(head: Head, result: int) -> Refuse:
    if head.operation == _UNBIND:
        return Refuse("the client quit before TLS")
    if head.operation not in _RESPONSES:
        return Refuse("the client went on without TLS")
    why = f"the client sent operation 0x{head.operation:02x} without TLS, which deserves result {result}"
    return Refuse(why, _response(head, result, "StartTLS first"))


def _response(head: Head, result: int, words: str = "") -> bytes:
    name = [element(_RESPONSE_NAME, START_TLS)] if result == _SUCCESS else []
    return _message(head.id, element(_RESPONSES[head.operation], _ldap_result(result, words), *name))


def _notice(words: str) -> bytes:
    """What a client is told that cannot be answered (RFC 4511, 4.1.1 and 4.4.1)."""
    name = element(_RESPONSE_NAME, _NOTICE_OF_DISCONNECTION)
    return _message(0, element(_EXTENDED_RESPONSE, _ldap_result(_PROTOCOL_ERROR, words), name))


def _ldap_result(code: int, words: str) -> bytes:
    matched = element(OCTET_STRING)
    return element(ENUMERATED, bytes((code,))) + matched + element(OCTET_STRING, words.encode())


def _message(identity: int, operation: bytes) -> bytes:
    return element(SEQUENCE, integer(identity), operation)
