"""Names and addresses of hosts, as users write them."""

from __future__ import annotations

import ipaddress
import re

import idna

from .codec import shown

# RFC 1035, section 2.3.4; an underscore is no letter of a host name, but many private zones use it.
MOST_CHARACTERS = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


def a_labels(name: str) -> str:
    """
    ``name`` in lower case, with each label that is not ASCII as its A-label (``bücher.example`` becomes
    ``xn--bcher-kva.example``; UTS 46, then RFC 5891). ASCII labels are not looked into.

    Raises ``ValueError`` for what has no A-label.
    """
    if name.isascii():
        return name.lower()
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in mapped.split("."))
    except UnicodeError as error:
        raise ValueError(f"{shown(name)} is no name that DNS could know: {error}") from error


def canonical_host(text: str) -> str:
    """
    The canonical spelling of a host to connect to: an IP literal (brackets are taken off) or a name of A-labels.

    Raises ``ValueError`` for what can be neither, so also for ``host:port``.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not text:
        raise ValueError("expected a host name or an IP address, got nothing")
    name = a_labels(text) if len(text) <= MOST_CHARACTERS else text
    labels = name.removesuffix(".").split(".")
    # Resolvers read names that end in a number as addresses: 127.1 is 127.0.0.1 to them.
    if len(name) > MOST_CHARACTERS or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"expected a host name or an IP address, got {shown(text)}")
    return name
