"""The metrics of several processes as those of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from prometheus_client.core import Metric

# What is the same in all processes, or of one of them: the first one's is shown.
_NOT_SUMMED: Final = frozenset(
    {
        "apisix_node_info",
        "apisix_upstream_status",
        "process_start_time_seconds",
        "process_max_fds",
        "python_info",
        "streamproxy_build",
        "streamproxy_certificate_not_after_timestamp_seconds",
        "streamproxy_config_problems",
        "streamproxy_config_revision",
        "streamproxy_listener_up",
        "streamproxy_upstream_node_healthy",
        "streamproxy_upstream_node_latency_seconds",
    }
)

Plain = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]


def plain(families: Iterable[Metric]) -> Plain:
    """The same as values that can be sent: name, what it is, type, and samples (name, labels, value)."""
    return [
        (each.name, each.documentation, each.type, [(s.name, s.labels, s.value) for s in each.samples])
        for each in families
    ]


def merged(families: Sequence[Metric], others: Iterable[Plain]) -> tuple[Metric, ...]:
    """``families``, with what other processes counted added up; what only others have is there, too."""
    found: dict[str, Metric] = {family.name: family for family in families}
    sums: dict[str, dict[Any, list[Any]]] = {}
    for other in others:
        for name, documentation, type_, samples in other:
            if name in _NOT_SUMMED and name in found:
                continue
            family = found.get(name)
            if family is None:
                family = found[name] = Metric(name, documentation, type_)
            held = sums.get(name)
            if held is None:
                held = sums[name] = {_key(s.name, s.labels): [s.name, s.labels, s.value] for s in family.samples}
            for sample, labels, value in samples:
                known = held.setdefault(_key(sample, labels), [sample, labels, 0.0])
                known[2] += value
    for name, held in sums.items():
        family = Metric(name, found[name].documentation, found[name].type)
        for sample, labels, value in held.values():
            family.add_sample(sample, labels, value)
        found[name] = family
    return tuple(found.values())


def _key(name: str, labels: dict[str, str]) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())
