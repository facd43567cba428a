"""An explanation as values."""

from __future__ import annotations

import enum

from attrs import frozen

from ..model import ClientAuth, Facts, Key, NodeHealth, TlsMode
from ..rules.explain import Explanation


class Source(enum.Enum):
    """
    Which configuration was asked: the very one the session was decided by; the same, put together again from the
    store's history and the files of today; that of now, since the other is forgotten; one that is not in force.
    """

    PINNED = "pinned"
    RESTORED = "restored"
    CURRENT = "current"
    CANDIDATE = "candidate"


@frozen
class ListenerSeen:
    """Where the client came in."""

    address: str
    owner: str
    documents: tuple[Key, ...]
    tls: TlsMode
    client_auth: ClientAuth
    state: str = ""
    error: str = ""


@frozen
class CertificateCandidateSeen:
    id: str
    name: str
    won: bool
    why: str


@frozen
class CertificateSeen:
    """Which certificate the client was or would be shown (``None``: none), and why."""

    id: str | None
    why: str
    candidates: tuple[CertificateCandidateSeen, ...] = ()


class Verdict(enum.Enum):
    """``SKIPPED``: its filter does not hold. ``UNKNOWN``: only a real session would find out."""

    PASSED = "passed"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    NOT_ASKED = "not asked"
    UNKNOWN = "unknown"


@frozen
class PluginSeen:
    """What a plugin of the route said. ``code`` is the status it rejects with."""

    name: str
    verdict: Verdict
    why: str
    code: int | None = None


@frozen
class NodeSeen:
    """
    A node, as it is now: ``None`` where nobody knows, because nothing runs. ``picked``: the session went there, or
    would go. ``why`` says why, or why not.
    """

    label: str
    weight: int
    priority: int
    health: NodeHealth | None
    sessions: int | None
    latency: float | None
    picked: bool
    why: str


@frozen
class UpstreamSeen:
    """``policy`` is how its nodes are chosen, ``hashed`` what by, where that is by a hash."""

    id: str
    policy: str
    nodes: tuple[NodeSeen, ...]
    hashed: str | None = None
    by: str = ""


@frozen
class EndingSeen:
    """
    How it ended (``value`` is one of :class:`~streamproxy.model.Ending`), or, of what goes on or is made up, how it is:
    ``relayed`` or a phase. ``words`` say it in a sentence, ``advice`` what can be done about it.
    """

    value: str
    detail: str
    words: str
    advice: str


@frozen
class Why:
    """
    ``facts`` are those that were decided on, ``notes`` how they were learnt and what else to know. Of what was not
    reached there is nothing: ``rules`` where it was not asked for a route, ``upstream`` where there was none.
    ``session`` is empty for a connection that is made up.
    """

    facts: Facts
    revision: int
    source: Source
    ending: EndingSeen
    session: str = ""
    listener: ListenerSeen | None = None
    notes: tuple[str, ...] = ()
    certificate: CertificateSeen | None = None
    rules: Explanation | None = None
    plugins: tuple[PluginSeen, ...] = ()
    upstream: UpstreamSeen | None = None
