"""Sessions to show."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from streamproxy.model import Address, Ended, Ending, Facts, ListenAddress, Ongoing, Phase, TlsFacts, Transport

ADDRESS = ListenAddress(Transport.TCP, "127.0.0.1", 443)
FACTS = Facts(ADDRESS, Address("192.0.2.1", 40_000), Address("127.0.0.1", 443))


def facts(**fields: Any) -> Facts:
    return evolve(FACTS, **fields)


def live(id: str, **fields: Any) -> Ongoing:  # noqa: A002
    known: dict[str, Any] = {"facts": FACTS, "owner": "otoroshi:tcp-services/pg", "revision": 3}
    known |= {"phase": Phase.RELAYING, "started": 100.0, "duration": 5.0, **fields}
    return Ongoing(id, **known)


def ended(id: str, **fields: Any) -> Ended:  # noqa: A002
    known: dict[str, Any] = {"facts": FACTS, "owner": "otoroshi:tcp-services/pg", "revision": 3}
    known |= {"ending": Ending.CLIENT_CLOSED, "started": 50.0, "duration": 7.0, **fields}
    return Ended(id, **known)


AGREED = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256")
