"""Host names as they are compared: lower-case A-labels without a trailing dot, or canonical IP literals."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

import idna

MAX_NAME = 253
"""The longest name DNS can carry, in characters, its trailing dot not counted (RFC 1035 section 2.3.4)."""

_MAX_RAW = 4 * (MAX_NAME + 1)
"""No spelling in UTF-8 of a name that fits ``MAX_NAME`` is longer, so nothing longer is worth the work."""

_PLAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")


def normalize_name(raw: str | bytes) -> str | None:
    """
    The one spelling of the host name ``raw``, or ``None`` when it is none (empty, an empty or overlong label, a NUL,
    a space, ...).

    Letters become lower-case, one trailing dot is dropped, U-labels become A-labels (UTS 46, RFC 5891); bytes are
    read as UTF-8. Underscores are let through, since names of services have them. A-labels are not decoded: two names
    are the same when their letters are. IP literals are names too, because clients send them: IPv4 as it is, IPv6 (in
    brackets or not) in its canonical compressed form without brackets. The result is a fixed point of this function.
    """
    if len(raw) > _MAX_RAW:
        return None
    if isinstance(raw, bytes):
        try:
            raw = raw.decode()
        except UnicodeDecodeError:
            return None
    if len(raw) <= MAX_NAME and _PLAIN.fullmatch(raw):
        return raw
    if ":" in raw:
        return _ipv6(raw[1:-1] if raw.startswith("[") and raw.endswith("]") else raw)
    name = raw.lower() if raw.isascii() else _a_labels(raw)
    name = name.removesuffix(".")
    return name if len(name) <= MAX_NAME and _PLAIN.fullmatch(name) else None


def _ipv6(text: str) -> str | None:
    if not _IPV6.fullmatch(text):
        return None
    try:
        return str(IPv6Address(text))
    except ValueError:
        return None


def _a_labels(name: str) -> str:
    """``name`` in ASCII, empty when that cannot be. Labels that are ASCII after mapping stay what they are."""
    try:
        mapped = idna.uts46_remap(name, std3_rules=False)
        labels = mapped.split(".")
        # An A-label is longer than its U-label by four at least. Converting costs too much to do it for nothing.
        if len(mapped) + 4 * sum(not label.isascii() for label in labels) > MAX_NAME + 1:
            return ""
        return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in labels)
    except ValueError:
        return ""
