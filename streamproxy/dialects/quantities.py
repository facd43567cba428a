"""Times, counts, rates, amounts of bytes and networks, as people write them."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from attrs import frozen

from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Network, Rate

from .codec import Via, between, shown, structure

FEWEST_SECONDS: Final = 0.001
MOST_SECONDS: Final = 366 * 86400.0
FEWEST_PER_SECOND: Final = 0.001
MOST: Final = 10_000_000
# Bytes a second. With less than the first a single packet would take longer than anybody waits.
NARROWEST: Final = 1000
WIDEST: Final = 1 << 40

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([0-9]{1,13})([kKmMgG])?")
_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def duration(value: Any) -> float:
    """Seconds, as a number or as text with a unit: ``3``, ``0.5``, ``3s``, ``500ms``, ``10m``, ``1h``."""
    match value:
        case bool():
            seconds = None
        case int() | float():
            seconds = value
        case str() if match := _DURATION.fullmatch(value):
            seconds = float(match[1]) * _UNITS[match[2] or "s"]
        case _:
            seconds = None
    if seconds is None:
        raise ValueError("expected a number of seconds, or a text like 3s, 500ms, 10m, 1h")
    if not FEWEST_SECONDS <= seconds <= MOST_SECONDS:
        raise ValueError(f"expected {FEWEST_SECONDS * 1000:g}ms to {MOST_SECONDS / 3600:g}h")
    return float(seconds)


def bandwidth(value: Any) -> int:
    """Bytes a second, as a number or as text with a unit, which is of 1024: ``65536``, ``64k``, ``10m``, ``1g``."""
    match value:
        case bool():
            size = None
        case int():
            size = value
        case str() if match := _SIZE.fullmatch(value):
            size = int(match[1]) * _SIZES.get((match[2] or "").lower(), 1)
        case _:
            size = None
    if size is None:
        raise ValueError("expected bytes a second: an integer, or a text like 64k, 10m, 1g")
    if not NARROWEST <= size <= WIDEST:
        raise ValueError(f"expected {NARROWEST} to {WIDEST} bytes a second")
    return size


@frozen
class _Rate:
    rate: float
    burst: Annotated[int, Via(int, between(1, MOST))] | None = None


def rate(value: Any) -> Rate:
    """
    How many a second, as a number or as ``{rate, burst}``. Without a ``burst`` as many may come at once as in a second.
    """
    found, problems = structure(value if isinstance(value, Mapping) else {"rate": value}, _Rate, forbid_extra=True)
    if found is None:
        if not isinstance(value, Mapping):
            raise ValueError("expected a number a second, or {rate, burst}")
        raise InvalidConfiguration(problems)
    if not FEWEST_PER_SECOND <= found.rate <= MOST:
        raise ValueError(f"expected {FEWEST_PER_SECOND:g} to {MOST} a second")
    return Rate(found.rate, found.burst or math.ceil(found.rate))


def network(text: str) -> Network:
    """An IP address or a CIDR."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"expected an IP address or a network like 10.0.0.0/8, got {shown(text)}") from None


Duration = Annotated[float, Via(Any, duration)]
Count = Annotated[int, Via(int, between(1, MOST))]
CountOrNone = Annotated[int, Via(int, between(0, MOST))]
"""0 is none of them."""
Bandwidth = Annotated[int, Via(Any, bandwidth)]
RateText = Annotated[Rate, Via(Any, rate)]
NetworkText = Annotated[Network, Via(str, network)]
