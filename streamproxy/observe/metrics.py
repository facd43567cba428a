"""Metrics, as Prometheus scrapes them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from typing import Final

from attrs import evolve, frozen
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from .metrics_ended import EndedSessions
from .metrics_live import LiveCollector, Sources
from .metrics_merge import Plain, merged

APISIX_PREFIX: Final = "apisix_"
"""What the names of APISIX's metrics begin with, where nobody wants something else."""

_OPENMETRICS: Final = "application/openmetrics-text"
# Counters, though their names do not end in _total: OpenMetrics knows none such.
_APISIX_COUNTERS: Final = ("stream_status", "stream_bandwidth")
# In which order APISIX writes those labels that it does not write in alphabetical order: some look for whole lines.
_APISIX_LABELS: Final = {"stream_bandwidth": (1, 3, 2), "upstream_status": (2, 1, 3)}
_LABEL: Final = r'(\w+="(?:[^"\\\n]|\\.)*")'


@frozen
class Page:
    """An answer to a scrape."""

    content_type: str
    body: bytes


@frozen
class Scrape:
    """The numbers of one moment. They change no more, so any thread may write them down."""

    families: tuple[Metric, ...]
    prefix: str

    def collect(self) -> Iterable[Metric]:
        return self.families

    def plus(self, others: Iterable[Plain]) -> Scrape:
        """With what other processes counted."""
        return evolve(self, families=merged(self.families, others))

    def page(self, accept: str = "", *, compress: bool = False) -> Page:
        """In OpenMetrics where ``accept``, a header, asks for it, else in Prometheus' text format 0.0.4."""
        try:
            return self._page(accept, compress=compress)
        except UnicodeEncodeError:
            # Half of a surrogate pair, which JSON can spell and UTF-8 cannot, got into a label.
            clean = evolve(self, families=tuple(map(_encodable, self.families)))
            return clean.page(accept, compress=compress)

    def _page(self, accept: str, *, compress: bool) -> Page:
        if _accepts_openmetrics(accept):
            content_type = openmetrics.CONTENT_TYPE_LATEST
            body = openmetrics.generate_latest(self)
        else:
            content_type = CONTENT_TYPE_PLAIN_0_0_4
            body = generate_latest(self)
            for name in _APISIX_COUNTERS:
                line = f"# TYPE {self.prefix}{name} "
                body = body.replace(f"{line}untyped\n".encode(), f"{line}counter\n".encode(), 1)
            for name, places in _APISIX_LABELS.items():
                start = f"{self.prefix}{name}"
                found = re.compile(rf"^{re.escape(start)}{{{','.join([_LABEL] * 3)}}}".encode(), re.MULTILINE)
                labels = ",".join(rf"\g<{place}>" for place in places)
                body = found.sub(f"{start}{{{labels}}}".encode(), body)
        return Page(content_type, gzip.compress(body, 5) if compress else body)


class Metrics:
    """
    All metrics of a process. ``registry`` is for those of others, plugins', which begin APISIX's names with
    :data:`APISIX_PREFIX`: it becomes ``prefix`` where they are read. ``ended`` is to be called with each ended session.
    """

    def __init__(self, prefix: str = APISIX_PREFIX) -> None:
        self.registry = CollectorRegistry()
        self.ended = EndedSessions()
        self._prefix = prefix
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def read(self, sources: Sources) -> None:
        """What these say is scraped from now on; once."""
        self.registry.register(LiveCollector(sources))

    def scrape(self) -> Scrape:
        """What it is now. In the reactor's thread."""
        families = self.registry.collect()
        if self._prefix != APISIX_PREFIX:
            families = map(self._renamed, families)
        return Scrape(tuple(families), self._prefix)

    def _renamed(self, family: Metric) -> Metric:
        if not family.name.startswith(APISIX_PREFIX):
            return family
        renamed = Metric(self._name(family.name), family.documentation, family.type)
        renamed.samples = [sample._replace(name=self._name(sample.name)) for sample in family.samples]
        return renamed

    def _name(self, name: str) -> str:
        return self._prefix + name.removeprefix(APISIX_PREFIX)


def _encodable(family: Metric) -> Metric:
    clean = Metric(family.name, family.documentation, family.type)
    for sample in family.samples:
        labels = {name: value.encode("utf-8", "replace").decode() for name, value in sample.labels.items()}
        clean.samples.append(sample._replace(labels=labels))
    return clean


def _accepts_openmetrics(accept: str) -> bool:
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        if media_type == _OPENMETRICS:
            return not any(is_zero(parameter) for parameter in parameters)
    return False


def is_zero(parameter: str) -> bool:
    """Is it ``q=0``, which says: anything but this?"""
    name, _, value = parameter.replace(" ", "").partition("=")
    return name == "q" and value.rstrip("0") in ("", ".", "0.") and value != ""
