"""What is left of sessions when they are over, as numbers to be scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.utils import floatToGoString

from ..model import Address, Ended, Ending, ListenAddress, Transport
from .status import metrics_code

K = TypeVar("K")
V = TypeVar("V")

# Seconds.
PHASE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SESSION_BUCKETS: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)

# Labels come from the configuration, which may change for years. The oldest series beyond these is forgotten, and
# begins at zero where it comes back, which whoever scrapes takes for a restart.
MOST_LISTENERS: Final = 10_000
MOST_STATUSES: Final = 20_000


class Histogram:
    """How many values were at most so much. ``bounds`` ascend; the last bucket, for all else, goes without saying."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """As a sample of ``family``."""
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append((floatToGoString(bound), total))
        family.add_metric(labels, buckets, self._sum)


class Phases:
    """How long sessions of one transport took, and their parts."""

    __slots__ = ("connect", "handshake", "session", "sniff")

    def __init__(self) -> None:
        self.connect = Histogram(PHASE_BUCKETS)
        self.handshake = Histogram(PHASE_BUCKETS)
        self.sniff = Histogram(PHASE_BUCKETS)
        self.session = Histogram(SESSION_BUCKETS)


class Bygone:
    """The ended sessions of one listener. ``label`` is its address, as labels have it."""

    __slots__ = ("bytes_in", "bytes_out", "label", "reasons")

    def __init__(self, address: ListenAddress) -> None:
        self.label = listen_label(address)
        self.bytes_in = 0
        self.bytes_out = 0
        self.reasons: dict[Ending, int] = {}


class EndedSessions:
    """Counts the sessions that it is called with. It is called for each: so it is quick, and does not fail."""

    def __init__(self) -> None:
        self._listeners: dict[ListenAddress, Bygone] = {}
        self._statuses: dict[tuple[str, str, str], int] = {}
        self._tcp = Phases()
        self._udp = Phases()

    def __call__(self, record: Ended) -> None:
        facts = record.facts
        address = facts.listener
        bygone = self._listeners.get(address)
        if bygone is None:
            _make_room(self._listeners, MOST_LISTENERS)
            bygone = self._listeners[address] = Bygone(address)
        ending = record.ending
        bygone.reasons[ending] = bygone.reasons.get(ending, 0) + 1
        bygone.bytes_in += record.bytes_in
        bygone.bytes_out += record.bytes_out
        status = (bygone.label, metrics_code(record), record.node or "")
        count = self._statuses.get(status)
        if count is None:
            _make_room(self._statuses, MOST_STATUSES)
            count = 0
        self._statuses[status] = count + 1
        phases = self._tcp if address.transport is Transport.TCP else self._udp
        phases.session.observe(record.duration)
        if record.connect_time is not None:
            phases.connect.observe(record.connect_time)
        if record.sniff_time is not None:
            (phases.sniff if facts.handshake is None else phases.handshake).observe(record.sniff_time)

    def of(self, address: ListenAddress) -> Bygone | None:
        """What is counted of the listener, if any of its sessions has ended."""
        return self._listeners.get(address)

    def collect(self) -> Iterator[Metric]:
        """The families of metrics, as they are now."""
        yield self._apisix_status()
        ended = CounterMetricFamily(
            "streamproxy_sessions_ended", "Sessions that are over, by why.", labels=("listener", "transport", "reason")
        )
        for address, bygone in self._listeners.items():
            for ending, count in bygone.reasons.items():
                ended.add_metric((bygone.label, address.transport.value, ending.value), count)
        yield ended
        tcp, udp = ("tcp", self._tcp), ("udp", self._udp)
        yield _histogram("connect", "Until a node was reached, retries and TLS to it included.", tcp, udp)
        yield _histogram("handshake", "Until a client had shaken hands.", tcp)
        yield _histogram("sniff", "Until a client had said, in plain text or a ClientHello, what it wants.", tcp)
        yield _histogram("session", "From accepting a session to its end.", tcp, udp)

    def _apisix_status(self) -> Metric:
        family = UnknownMetricFamily(
            "apisix_stream_status", "Sessions that are over, by status.", labels=("code", "listen_addr", "node")
        )
        for (label, code, node), count in self._statuses.items():
            family.add_metric((code, label, node), count)
        return family


def _histogram(phase: str, what: str, *transports: tuple[str, Phases]) -> Metric:
    family = HistogramMetricFamily(f"streamproxy_{phase}_seconds", what, labels=("transport",))
    for transport, phases in transports:
        histogram: Histogram = getattr(phases, phase)
        histogram.add_to(family, (transport,))
    return family


def listen_label(address: ListenAddress) -> str:
    """A listener's address as it was configured: ``0.0.0.0:1985``."""
    return str(Address(address.interface, address.port))


def _make_room(counts: dict[K, V], most: int) -> None:
    if len(counts) >= most:
        del counts[next(iter(counts))]
