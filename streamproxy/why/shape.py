"""An explanation as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import Facts, TlsFacts
from ..rules.explain import Considered, Explanation
from .text import text_of
from .values import CertificateSeen, ListenerSeen, UpstreamSeen, Why


def shaped(why: Why) -> dict[str, Any]:
    """Everything in it, and the same in words as ``text``."""
    return {
        "session": why.session or None,
        "revision": why.revision,
        "source": why.source.value,
        "connection": facts_json(why.facts),
        "listener": None if why.listener is None else _listener(why.listener),
        "notes": list(why.notes),
        "certificate": None if why.certificate is None else _certificate(why.certificate),
        "rules": None if why.rules is None else _rules(why.rules),
        "plugins": [
            {"name": each.name, "verdict": each.verdict.value, "why": each.why, "code": each.code}
            for each in why.plugins
        ],
        "upstream": None if why.upstream is None else _upstream(why.upstream),
        "ending": {
            "ending": why.ending.value,
            "detail": why.ending.detail or None,
            "words": why.ending.words,
            "advice": why.ending.advice,
        },
        "text": text_of(why),
    }


def facts_json(facts: Facts) -> dict[str, Any]:
    """What a connection was decided on by."""
    return {
        "transport": facts.listener.transport.value,
        "listener": str(facts.listener),
        "peer": str(facts.peer),
        "local": str(facts.local),
        "tls": facts.tls,
        "sni": facts.sni,
        "alpn": list(facts.alpn),
        "http_host": facts.http_host,
        "claimed": None if facts.claimed is None else str(facts.claimed),
        "via": None if facts.via is None else str(facts.via),
        "handshake": None if facts.handshake is None else _handshake(facts.handshake),
    }


def _handshake(agreed: TlsFacts) -> Mapping[str, Any]:
    client = agreed.client
    return {
        "version": agreed.version or None,
        "cipher": agreed.cipher or None,
        "alpn": agreed.alpn,
        "resumed": agreed.resumed,
        "client": None
        if client is None
        else {"subject": client.subject, "sans": list(client.sans), "fingerprint": client.fingerprint},
    }


def _listener(listener: ListenerSeen) -> Mapping[str, Any]:
    return {
        "address": listener.address,
        "owner": listener.owner,
        "documents": [str(key) for key in listener.documents],
        "tls": listener.tls.value,
        "client_auth": listener.client_auth.value,
        "state": listener.state or None,
        "error": listener.error or None,
    }


def _certificate(certificate: CertificateSeen) -> Mapping[str, Any]:
    return {
        "id": certificate.id,
        "why": certificate.why,
        "candidates": [
            {"id": each.id, "name": each.name, "won": each.won, "why": each.why} for each in certificate.candidates
        ],
    }


def _rules(rules: Explanation) -> Mapping[str, Any]:
    return {
        "order": rules.order.value,
        "winner": None if rules.winner is None else rules.winner.id,
        "considered": [_considered(each) for each in rules.considered],
        "left_out": rules.left_out,
    }


def _considered(each: Considered) -> Mapping[str, Any]:
    return {
        "route": each.route.id,
        "name": each.route.name or None,
        "document": None if each.route.document is None else str(each.route.document),
        "upstream": each.route.upstream or None,
        "place": each.index,
        "outcome": each.outcome.value,
        "verdict": each.verdict,
        "conditions": [
            {
                "field": condition.field,
                "wants": condition.wants,
                "saw": condition.saw,
                "held": condition.held,
                "by": condition.by or None,
            }
            for condition in each.conditions
        ],
    }


def _upstream(upstream: UpstreamSeen) -> Mapping[str, Any]:
    return {
        "id": upstream.id,
        "policy": upstream.policy,
        "hashed": upstream.hashed,
        "chosen_by": upstream.by or None,
        "nodes": [
            {
                "label": node.label,
                "weight": node.weight,
                "priority": node.priority,
                "health": None if node.health is None else node.health.value,
                "sessions": node.sessions,
                "latency": node.latency,
                "picked": node.picked,
                "why": node.why,
            }
            for node in upstream.nodes
        ],
    }
