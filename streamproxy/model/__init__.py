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
from .listener import Listener
from .route import Decision, Match, NamePattern, Network, Order, PatternKind, Route, Routing
from .settings import Limits
from .snapshot import Snapshot
from .status import ListenerState, ListenerStatus
from .tls import (
    STARTTLS,
    Certificate,
    ClientAuth,
    ClientPolicy,
    ClientVerification,
    KeyPair,
    PeerIdentity,
    ServerPolicy,
    TlsFacts,
    TlsMode,
    TlsVersion,
)
from .upstream import Node, Policy, Timeouts, Upstream

__all__ = [
    "STARTTLS",
    "AccessLogSettings",
    "Address",
    "AdminClient",
    "AdminKey",
    "AdminSettings",
    "AdminTls",
    "Certificate",
    "Change",
    "ClientAuth",
    "ClientPolicy",
    "ClientVerification",
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
    "KeyPair",
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
    "PeerIdentity",
    "Policy",
    "Put",
    "Role",
    "Route",
    "Routing",
    "Secret",
    "ServerPolicy",
    "Snapshot",
    "StaticListener",
    "StoreSettings",
    "StoreType",
    "Timeouts",
    "TlsFacts",
    "TlsMode",
    "TlsSettings",
    "TlsVersion",
    "Transport",
    "Upstream",
    "canonical_interface",
]
