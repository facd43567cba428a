"""The opening of a connection: the first bytes, read by every sniffer that may know them."""

from __future__ import annotations

import re
from collections.abc import Collection

from attrs import frozen

from ..model import FactKind
from .clienthello import sniff_client_hello
from .httphead import sniff_http_host
from .verdict import Hit, Miss, Need, Verdict

# The content type of a TLS handshake record (RFC 8446, 5.1). What begins with it is TLS or nothing.
_HANDSHAKE = 0x16

# What begins with such a line is HTTP, in however bad a shape the rest may be (RFC 9112, 3).
_REQUEST_LINE = re.compile(rb"[!-~]{1,20} [^\r\n]+ HTTP/1\.[01]\r?\n")


@frozen
class Opening:
    """What the first bytes said. Without ``tls`` and ``http_host`` they said nothing anybody here understands."""

    tls: bool = False
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    http_host: str | None = None


def read_opening(window: bytes, kinds: Collection[FactKind], *, complete: bool = False) -> Verdict[Opening]:
    """
    Look for the facts ``kinds`` asks for. ``complete``: the client will send no more, so there is no waiting.

    Broken TLS and broken HTTP are a ``Miss``: nobody should act on half a hello or on one of two hosts. Bytes of any
    other protocol are a ``Hit`` with nothing in it: such a client has named nothing.
    """
    if FactKind.SNI in kinds:
        hello = sniff_client_hello(window)
        if isinstance(hello, Hit):
            value = hello.value
            return Hit(Opening(tls=True, sni=value.sni, alpn=value.alpn), hello.consumed)
        if isinstance(hello, Need) and not complete:
            return hello
        if window and window[0] == _HANDSHAKE:
            return hello if isinstance(hello, Miss) else Miss("the ClientHello is cut off")
    if FactKind.HTTP_HOST in kinds:
        head = sniff_http_host(window)
        if isinstance(head, Hit):
            return Hit(Opening(http_host=head.value.host), head.consumed)
        if isinstance(head, Need) and not complete:
            return head
        if isinstance(head, Miss) and _REQUEST_LINE.match(window):
            return head
    return Hit(Opening(), 0)
