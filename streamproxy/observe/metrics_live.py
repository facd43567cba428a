"""What is true at the moment it is scraped, as metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from attrs import field, frozen
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric, UnknownMetricFamily

from ..errors import Problem
from ..model import CertificateStatus, Ending, ListenAddress, ListenerState, ListenerStatus, Transport, UpstreamStatus
from .metrics_ended import EndedSessions, listen_label
from .sessions import Live

Numbers = Mapping[tuple[str, ...], float]

_ENDINGS: Final = frozenset(ending.value for ending in Ending)
_REFUSED: Final = "refused:"
_PAUSED: Final = "accept_paused"
_LISTENER: Final = ("listener", "transport")


class Running(Protocol):
    """What runs."""

    def listeners(self) -> tuple[ListenerStatus, ...]: ...

    def certificates(self) -> tuple[CertificateStatus, ...]: ...


class Asked(Protocol):
    """What was asked for."""

    def revision(self) -> int: ...

    def problems(self) -> tuple[Problem, ...]: ...


@frozen
class Sources:
    """
    Where numbers are read. ``table`` are the open TCP sessions, ``ended`` those that were. ``build`` says what this is
    (``version`` and others), ``hostname`` where. ``gauges`` are further ones by their name: what it is, and its value
    now; ``totals`` the same of what only grows.
    """

    running: Running
    upstreams: Callable[[], Iterable[UpstreamStatus]]
    asked: Asked
    table: Iterable[Live]
    ended: EndedSessions
    build: Mapping[str, str]
    hostname: str
    gauges: Mapping[str, tuple[str, Callable[[], float]]] = field(factory=dict)
    totals: Mapping[str, tuple[str, Callable[[], float]]] = field(factory=dict)


class LiveCollector:
    """Reads the sources each time it is asked; in the thread that owns them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        sources = self._sources
        yield from sources.ended.collect()
        yield InfoMetricFamily("streamproxy_build", "What runs here.", value=dict(sources.build))
        yield _gauge(
            "apisix_node_info",
            "Where this runs.",
            ("hostname", "version"),
            {(sources.hostname, sources.build.get("version", "")): 1},
        )
        yield _gauge("streamproxy_config_revision", "What is asked for.", (), {(): sources.asked.revision()})
        problems = len(sources.asked.problems())
        yield _gauge("streamproxy_config_problems", "What of it cannot be served.", (), {(): problems})
        yield from _listeners(sources)
        yield from _upstreams(sources.upstreams())
        yield _certificates(sources.running.certificates())
        for name, (what, read) in sources.gauges.items():
            yield _gauge(name, what, (), {(): read()})
        for name, (what, read) in sources.totals.items():
            yield _counter(name, what, (), {(): read()})


def _listeners(sources: Sources) -> Iterator[Metric]:
    """Listeners that are served, and those whose last sessions go on."""
    statuses = sources.running.listeners()
    traffic = _Traffic(sources, statuses)
    up: dict[tuple[str, ...], float] = {}
    accepted: dict[tuple[str, ...], float] = {}
    refused: dict[tuple[str, ...], float] = {}
    pauses: dict[tuple[str, ...], float] = {}
    datagrams: dict[tuple[str, ...], float] = {}
    drops: dict[tuple[str, ...], float] = {}
    for status in statuses:
        address = status.listener.address
        label, transport = listen_label(address), address.transport.value
        up[label, transport, status.listener.owner] = status.state is ListenerState.LISTENING
        accepted[label, transport] = status.accepted
        if address.transport is Transport.UDP:
            datagrams[label, "in"], datagrams[label, "out"] = status.datagrams_in, status.datagrams_out
        for name, count in status.ended:
            if name.startswith(_REFUSED):
                refused[label, transport, name.removeprefix(_REFUSED)] = count
            elif name == _PAUSED:
                pauses[label, transport] = count
            elif name not in _ENDINGS and address.transport is Transport.UDP:
                drops[label, name.removeprefix("dropped_")] = count
    yield _gauge("streamproxy_listener_up", "1: listens, 0: cannot.", (*_LISTENER, "owner"), up)
    yield _gauge("streamproxy_sessions", "Open sessions.", _LISTENER, traffic.sessions)
    yield _counter("streamproxy_sessions_accepted", "Sessions that began.", _LISTENER, accepted)
    yield _counter("streamproxy_sessions_refused", "Connections that became none.", (*_LISTENER, "limit"), refused)
    yield _counter("streamproxy_accept_pauses", "Times no descriptor was left to accept with.", _LISTENER, pauses)
    what = "Bytes relayed to targets (in) and to clients (out), of open sessions too."
    yield _counter("streamproxy_bytes", what, (*_LISTENER, "direction"), traffic.bytes)
    what = "Datagrams from clients (in) and to clients (out)."
    yield _counter("streamproxy_udp_datagrams", what, ("listener", "direction"), datagrams)
    what = "Datagrams that were dropped, and errors, by why."
    yield _counter("streamproxy_udp_dropped", what, ("listener", "reason"), drops)
    yield _gauge("apisix_stream_active_connections", "Open sessions.", ("listen_addr",), traffic.apisix_sessions())
    family = UnknownMetricFamily(
        "apisix_stream_bandwidth", "Bytes, of open sessions too.", labels=("listen_addr", "type", "side")
    )
    for labels, number in traffic.apisix_bytes().items():
        family.add_metric(labels, number)
    yield family


class _Traffic:
    """Open sessions and bytes by listener."""

    def __init__(self, sources: Sources, statuses: Sequence[ListenerStatus]) -> None:
        # [open sessions, bytes in, bytes out]
        counts: dict[ListenAddress, list[int]] = {}
        for status in statuses:
            is_udp = status.listener.address.transport is Transport.UDP
            now = [status.sessions, status.bytes_in, status.bytes_out] if is_udp else [0, 0, 0]
            counts[status.listener.address] = now
        for session in sources.table:
            count = counts.get(session.listener)
            if count is None:
                count = counts[session.listener] = [0, 0, 0]
            count[0] += 1
            count[1] += session.bytes_in
            count[2] += session.bytes_out
        for address, count in counts.items():
            bygone = sources.ended.of(address)
            if bygone is not None and address.transport is Transport.TCP:
                count[1] += bygone.bytes_in
                count[2] += bygone.bytes_out
        self._counts = counts

    @property
    def sessions(self) -> Numbers:
        return {_labels(address): count[0] for address, count in self._counts.items()}

    @property
    def bytes(self) -> Numbers:
        numbers: dict[tuple[str, ...], float] = {}
        for address, (_, received, sent) in self._counts.items():
            label, transport = _labels(address)
            numbers[label, transport, "in"], numbers[label, transport, "out"] = received, sent
        return numbers

    def apisix_sessions(self) -> Numbers:
        """TCP and UDP of one address are one to APISIX."""
        numbers: Counter[tuple[str, ...]] = Counter()
        for address, count in self._counts.items():
            numbers[listen_label(address),] += count[0]
        return numbers

    def apisix_bytes(self) -> Numbers:
        """What came from a client went to its target, and the other way."""
        numbers: Counter[tuple[str, ...]] = Counter()
        for address, (_, received, sent) in self._counts.items():
            label = listen_label(address)
            numbers[label, "ingress", "downstream"] += received
            numbers[label, "egress", "upstream"] += received
            numbers[label, "ingress", "upstream"] += sent
            numbers[label, "egress", "downstream"] += sent
        return numbers


def _upstreams(upstreams: Iterable[UpstreamStatus]) -> Iterator[Metric]:
    """
    Nodes that somebody asks how they are, or has sessions open to: a configuration may have a hundred thousand others.
    """
    apisix: dict[tuple[str, ...], float] = {}
    healthy: dict[tuple[str, ...], float] = {}
    sessions: Counter[tuple[str, ...]] = Counter()
    latency: dict[tuple[str, ...], float] = {}
    for upstream in upstreams:
        name = apisix_name(upstream.id)
        for node in upstream.nodes:
            labels = (upstream.id, node.label)
            if upstream.checked:
                usable = float(node.health.usable)
                apisix[name, node.ip or node.host, str(node.port)] = usable
                healthy[labels] = usable
            if upstream.checked or node.sessions:
                sessions[labels] += node.sessions
                if node.latency is not None:
                    latency[labels] = node.latency
    yield _gauge("apisix_upstream_status", "1: healthy.", ("name", "ip", "port"), apisix)
    yield _gauge("streamproxy_upstream_node_healthy", "1: new sessions may go there.", ("upstream", "node"), healthy)
    yield _gauge("streamproxy_upstream_node_sessions", "Open sessions.", ("upstream", "node"), sessions)
    what = "Seconds a connect lately took, smoothed."
    yield _gauge("streamproxy_upstream_node_latency_seconds", what, ("upstream", "node"), latency)


def apisix_name(upstream: str) -> str:
    """What APISIX calls an upstream: ``/apisix/stream_routes/1`` of ``apisix:stream_routes/1 upstream``."""
    dialect, _, rest = upstream.partition(":")
    return f"/apisix/{rest.partition(' ')[0]}" if dialect == "apisix" else upstream


def _certificates(certificates: Iterable[CertificateStatus]) -> Metric:
    numbers: dict[tuple[str, ...], float] = {}
    for each in certificates:
        numbers[each.id, each.names[0] if each.names else ""] = each.not_after
    what = "When the first of its leaves expires, in seconds since the epoch."
    return _gauge("streamproxy_certificate_not_after_timestamp_seconds", what, ("certificate", "name"), numbers)


def _labels(address: ListenAddress) -> tuple[str, str]:
    return listen_label(address), address.transport.value


def _gauge(name: str, what: str, labels: Sequence[str], numbers: Numbers) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for values, number in numbers.items():
        family.add_metric(values, number)
    return family


def _counter(name: str, what: str, labels: Sequence[str], numbers: Numbers) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, number in numbers.items():
        family.add_metric(values, number)
    return family
