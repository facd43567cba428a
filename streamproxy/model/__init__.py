"""Frozen values that every layer shares. Nothing here does anything; nothing here imports a reactor."""

from .address import Address, ListenAddress, Transport, canonical_interface
from .config import (
    AccessLogSettings,
    AdminClient,
    AdminKey,
    AdminSettings,
    AdminTls,
    Config,
    Role,
    Secret,
    StaticListener,
    StoreSettings,
    StoreType,
    TlsSettings,
)
from .document import Change, Delete, Document, Json, Key, Put
from .ending import Ended, Ending
from .facts import FactKind, Facts
from .listener import ClientAuth, Listener, TlsMode
from .route import Decision, Match, NamePattern, Network, Order, PatternKind, Route, Routing
from .settings import Limits
from .snapshot import Snapshot
from .status import ListenerState, ListenerStatus
from .upstream import Node, Policy, TargetTls, Timeouts, Upstream

__all__ = [
    "AccessLogSettings",
    "Address",
    "AdminClient",
    "AdminKey",
    "AdminSettings",
    "AdminTls",
    "Change",
    "ClientAuth",
    "Config",
    "Decision",
    "Delete",
    "Document",
    "Ended",
    "Ending",
    "FactKind",
    "Facts",
    "Json",
    "Key",
    "Limits",
    "ListenAddress",
    "Listener",
    "ListenerState",
    "ListenerStatus",
    "Match",
    "NamePattern",
    "Network",
    "Node",
    "Order",
    "PatternKind",
    "Policy",
    "Put",
    "Role",
    "Route",
    "Routing",
    "Secret",
    "Snapshot",
    "StaticListener",
    "StoreSettings",
    "StoreType",
    "TargetTls",
    "Timeouts",
    "TlsMode",
    "TlsSettings",
    "Transport",
    "Upstream",
    "canonical_interface",
]
