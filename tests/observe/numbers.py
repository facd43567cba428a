"""Metrics to be scraped, and what was scraped, by name and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field, frozen
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from streamproxy.errors import Problem
from streamproxy.model import (
    CertificateStatus,
    Ending,
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    Transport,
    UpstreamStatus,
)
from streamproxy.observe.metrics import Metrics
from streamproxy.observe.metrics_live import Sources

WEB = ListenAddress(Transport.TCP, "0.0.0.0", 1985)
DNS = ListenAddress(Transport.UDP, "0.0.0.0", 1985)


@frozen
class Open:
    """A session that goes on."""

    listener: ListenAddress = WEB
    bytes_in: int = 0
    bytes_out: int = 0
    number: int = 1

    def kill(self, ending: Ending, detail: str = "") -> None:
        """Nobody does that here."""


@define
class World:
    """Everything that metrics are read from."""

    statuses: list[ListenerStatus] = field(factory=list)
    served: tuple[CertificateStatus, ...] = ()
    nodes: tuple[UpstreamStatus, ...] = ()
    open: list[Open] = field(factory=list)
    wrong: tuple[Problem, ...] = ()
    metrics: Metrics = field(factory=Metrics)

    def listeners(self) -> tuple[ListenerStatus, ...]:
        return tuple(self.statuses)

    def certificates(self) -> tuple[CertificateStatus, ...]:
        return self.served

    def upstreams(self) -> tuple[UpstreamStatus, ...]:
        return self.nodes

    def revision(self) -> int:
        return 42

    def problems(self) -> tuple[Problem, ...]:
        return self.wrong

    def __iter__(self) -> Any:
        return iter(self.open)

    def ready(self, **further: Any) -> World:
        """Let it be scraped."""
        self.metrics.read(
            Sources(
                running=self,
                upstreams=self.upstreams,
                asked=self,
                table=self,
                ended=self.metrics.ended,
                build={"version": "1.2.3", "python": "3.11"},
                hostname="here",
                **further,
            )
        )
        return self

    def text(self) -> str:
        return self.metrics.scrape().page().body.decode()

    def numbers(self) -> Mapping[str, Mapping[str, float]]:
        return numbers_in(self.text())


def status(
    address: ListenAddress = WEB, state: ListenerState = ListenerState.LISTENING, **fields: Any
) -> ListenerStatus:
    """Of a listener that is there."""
    return ListenerStatus(Listener(address, "r", "stream_proxy.tcp[0]"), state, address.port, **fields)


def numbers_in(text: str, *, openmetrics: bool = False) -> dict[str, dict[str, float]]:
    """Each sample by its name, then by the values of its labels, those joined by blanks in order of their names."""
    found: dict[str, dict[str, float]] = {}
    families: Iterable[Any] = (parse_openmetrics if openmetrics else text_string_to_metric_families)(text)
    for family in families:
        for sample in family.samples:
            # The parser puts an end to names that APISIX's counters do without.
            name = sample.name if sample.name in text else sample.name.removesuffix("_total")
            values = " ".join(value for _, value in sorted(sample.labels.items()))
            of_name = found.setdefault(name, {})
            assert values not in of_name, f"{name} {values} is there twice"
            of_name[values] = sample.value
    return found
