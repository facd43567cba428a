"""Who has which address."""

from __future__ import annotations

from collections import defaultdict

from streamproxy.model import ListenAddress, Transport

_WILDCARDS = {4: "0.0.0.0", 6: "::"}


class Claims:
    """
    Addresses that are taken, each by an owner with a name for people. Two addresses of which
    :meth:`ListenAddress.overlaps` says that they overlap cannot both be taken; the answer takes the same time however
    many there are.
    """

    def __init__(self) -> None:
        self._taken: defaultdict[tuple[Transport, int, int], dict[str, str]] = defaultdict(dict)

    def owner(self, address: ListenAddress) -> str | None:
        """Whose address overlaps ``address``, ``None`` if it is free."""
        family = 6 if ":" in address.interface else 4
        taken = self._taken.get((address.transport, address.port, family), {})
        wildcard = _WILDCARDS[family]
        if address.interface == wildcard:
            return taken.get(wildcard, next(iter(taken.values()), None))
        return taken.get(address.interface, taken.get(wildcard))

    def take(self, address: ListenAddress, owner: str) -> None:
        family = 6 if ":" in address.interface else 4
        self._taken[address.transport, address.port, family][address.interface] = owner
