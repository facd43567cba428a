"""What one dialect brings to a snapshot."""

from __future__ import annotations

from attrs import frozen

from streamproxy.errors import Problem
from streamproxy.model import Key, Listener, Routing, Upstream


@frozen
class DocumentProblem:
    """A problem and the document it is in; its path is relative to the body. ``None``: a static listener's."""

    key: Key | None
    problem: Problem


@frozen
class Part:
    listeners: tuple[Listener, ...] = ()
    routings: tuple[Routing, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    problems: tuple[DocumentProblem, ...] = ()
