"""What the system knows of names: ``/etc/hosts`` and ``/etc/resolv.conf``, followed as they change."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from attrs import frozen

from ...model import Address

HOSTS = "/etc/hosts"
RESOLV_CONF = "/etc/resolv.conf"

# Of either file this much is read, and no more of what is in it is kept: somebody else writes them.
MOST_BYTES = 4 << 20
MOST_SERVERS = 8
MOST_SEARCHED = 32
MOST_NDOTS = 15
MOST_ADDRESSES = 64

_PORT = 53
_MOST_CHARACTERS = 253

Hosts = Mapping[str, tuple[str, ...]]
T = TypeVar("T")


@frozen
class ResolvConf:
    """As resolv.conf(5) has it: ``search`` is tried first with names of fewer than ``ndots`` dots."""

    servers: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1


def parse_hosts(text: str) -> Hosts:
    """The addresses of each name, in their order. Lines that say nothing of the kind are passed over."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if names and (literal := _literal(address)):
            for name in names:
                addresses = found.setdefault(name.lower().removesuffix("."), [])
                if literal not in addresses and len(addresses) < MOST_ADDRESSES:
                    addresses.append(literal)
    return {name: tuple(addresses) for name, addresses in found.items()}


def parse_resolv_conf(text: str) -> ResolvConf:
    """Of ``search`` and ``domain`` the last one counts. What is not understood is passed over."""
    servers: list[Address] = []
    search: Sequence[str] = ()
    ndots = 1
    for line in text.splitlines():
        if line[:1] in "#;":
            continue
        keyword, *words = line.split() or [""]
        if keyword == "nameserver" and words and (literal := _literal(words[0])):
            servers.append(Address(literal, _PORT))
        elif keyword in ("search", "domain"):
            search = words if keyword == "search" else words[:1]
        elif keyword == "options":
            given = [word[6:] for word in words if word.startswith("ndots:")]
            ndots = next((min(int(n), MOST_NDOTS) for n in given if n.isdecimal() and len(n) < 9), ndots)
    domains = (domain.lower().strip(".") for domain in search[:MOST_SEARCHED])
    return ResolvConf(tuple(servers[:MOST_SERVERS]), tuple(filter(None, domains)), ndots)


def candidates(host: str, conf: ResolvConf) -> tuple[str, ...]:
    """The names that ``host`` may mean, the first one first; a dot at its end says that it means itself."""
    if host.endswith("."):
        return (host[:-1],)
    searched = [f"{host}.{domain}" for domain in conf.search]
    every = [host, *searched] if host.count(".") >= conf.ndots else [*searched, host]
    return tuple(name for name in dict.fromkeys(every) if len(name) <= _MOST_CHARACTERS)


class Followed(Generic[T]):
    """What a small file says; one that cannot be read says nothing. It is looked at whenever somebody asks."""

    def __init__(self, path: str, parse: Callable[[str], T]) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, ...] = ()
        self._said = parse("")

    def __call__(self) -> T:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - asked for often
        except OSError:
            seen: tuple[int, ...] = ()
        else:
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen != self._seen:
            self._said = self._parse(self._read() if seen else "")
            self._seen = seen
        return self._said

    def _read(self) -> str:
        try:
            with Path(self._path).open("rb") as file:
                return file.read(MOST_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""


def _literal(text: str) -> str:
    """An IP address as one writes it, its zone kept; empty if it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
