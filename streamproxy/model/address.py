"""Where something listens or is reached."""

from __future__ import annotations

import enum
import ipaddress

from attrs import frozen


class Transport(enum.Enum):
    TCP = "tcp"
    UDP = "udp"


@frozen
class Address:
    """A host (an IP literal once it is a fact of a connection, else perhaps a name) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class ListenAddress:
    """
    What a listener binds: ``interface`` is a canonical IP literal, ``0.0.0.0`` and ``::`` mean every address of
    their family. (``::`` is bound for IPv6 only, so that both wildcards can stand side by side.)
    """

    transport: Transport
    interface: str
    port: int

    def __str__(self) -> str:
        return f"{self.transport.value} {Address(self.interface, self.port)}"

    def overlaps(self, other: ListenAddress) -> bool:
        """Would the kernel refuse to let both listen at once?"""
        if self.transport is not other.transport or self.port != other.port:
            return False
        if (":" in self.interface) != (":" in other.interface):
            return False
        wildcards = ("0.0.0.0", "::")
        return self.interface == other.interface or self.interface in wildcards or other.interface in wildcards


def canonical_interface(text: str) -> str:
    """
    The canonical spelling of an interface a user wrote: an IP literal, one in brackets, ``localhost`` or empty
    (every IPv4 address).

    Raises ``ValueError`` for anything else: a listener that waited for DNS could not start on a machine without it.
    """
    if text in ("", "*"):
        return "0.0.0.0"
    if text == "localhost":
        return "127.0.0.1"
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return str(ipaddress.ip_address(text))
