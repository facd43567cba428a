"""The sections of a configuration file, all but its listeners and its documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from attrs import asdict, evolve, frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import (
    AccessLogSettings,
    Address,
    AdminClient,
    AdminKey,
    AdminSettings,
    AdminTls,
    Limits,
    Network,
    Role,
    Secret,
    StoreSettings,
    StoreType,
    TlsSettings,
)

from ..codec import Via
from .fields import ClientId, Count, Duration, Identifier, Listen, LogPath, NetworkText, PathText, SecretText, ServerName


@frozen
class KeyEntry:
    name: Identifier
    key: SecretText
    role: Role


@frozen
class ClientEntry:
    id: ClientId
    secret: SecretText
    role: Role


@frozen
class AdminTlsSection:
    cert: PathText
    key: PathText
    client_ca: PathText | None = None

    def settings(self, directory: Path) -> AdminTls:
        return AdminTls(
            resolved(directory, self.cert), resolved(directory, self.key), _optional(directory, self.client_ca)
        )


def _keys(entries: tuple[KeyEntry, ...]) -> tuple[AdminKey, ...]:
    """The keys, if neither a name nor a key stands there twice: the log names callers, and a key has one role."""
    _unique("name", [entry.name for entry in entries])
    _unique("key", [entry.key for entry in entries])
    return tuple(AdminKey(entry.name, entry.key, entry.role) for entry in entries)


def _clients(entries: tuple[ClientEntry, ...]) -> tuple[AdminClient, ...]:
    _unique("id", [entry.id for entry in entries])
    return tuple(AdminClient(entry.id, entry.secret, entry.role) for entry in entries)


def _unique(field: str, values: list[str] | list[Secret]) -> None:
    places: dict[str | Secret, int] = {}
    problems = [
        Problem(f"[{index}].{field}", "conflict", f"is that of [{places[value]}] too")
        for index, value in enumerate(values)
        if places.setdefault(value, index) != index
    ]
    if problems:
        raise InvalidConfiguration(tuple(problems))


Keys = Annotated[tuple[AdminKey, ...], Via(tuple[KeyEntry, ...], _keys)]
Clients = Annotated[tuple[AdminClient, ...], Via(tuple[ClientEntry, ...], _clients)]
