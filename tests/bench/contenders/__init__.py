"""Whoever takes part: the order is that of the tables."""

from __future__ import annotations

from tests.bench.seams import Contender

from .direct import Direct
from .envoy import Envoy
from .haproxy import Haproxy
from .nginx import Nginx
from .ours import Ours
from .portforward import Portforward

CONTENDERS: tuple[Contender, ...] = (Ours(), Nginx(), Haproxy(), Envoy(), Portforward(), Direct())
OURS = Ours.name
# Whom we are compared with: what a user would choose instead.
PEERS = (Nginx.name, Haproxy.name, Envoy.name)

__all__ = ["CONTENDERS", "OURS", "PEERS"]
