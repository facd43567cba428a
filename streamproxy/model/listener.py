"""A listener as it should be: an address, who asked for it, and how its connections are treated."""

from __future__ import annotations

from attrs import frozen

from .access import Access
from .address import ListenAddress
from .document import Key
from .facts import FactKind
from .route import Network
from .settings import ListenerLimits
from .tls import ClientAuth, TlsMode


@frozen
class ProxyAccept:
    """
    A PROXY protocol header, version 1 or 2, stands before everything else. The address in it is adopted from senders
    in ``trusted`` only; from others it is read and noted. Where it is not ``required``, only trusted senders may send
    one, and need not.
    """

    trusted: tuple[Network, ...] = ()
    required: bool = True


@frozen
class Listener:
    """
    ``routing`` names the routing of the snapshot that decides here. ``sniff`` is what may be learnt from the first
    bytes; what is learnt is this, as far as the routing looks at it. ``owner`` is for people
    (``otoroshi:tcp-services/pg``, ``stream_proxy.tcp[0]``), ``documents`` are the documents behind it. ``starttls``
    names the protocol in which clients ask for TLS where its server speaks first (``smtp``, ``imap``, ``pop3``,
    ``mysql``).
    ``proxy_in`` says whose PROXY protocol headers are read, ``proxy_out`` is the version sent to targets (0: none).
    With ``fallback_names`` a client that shook hands without saying a name is routed by the one whose certificate it
    was shown (``tls.fallback_sni``). Where TLS ends (``tls`` is ``TERMINATE``) and ``passes``, it does not for clients
    whose route says so. Each of ``access`` has to let a client in. ``limits`` stand in place of the
    process's.
    """

    address: ListenAddress
    routing: str
    owner: str
    documents: tuple[Key, ...] = ()
    tls: TlsMode = TlsMode.DISABLED
    client_auth: ClientAuth = ClientAuth.NONE
    sniff: frozenset[FactKind] = frozenset()
    starttls: str = ""
    proxy_in: ProxyAccept | None = None
    proxy_out: int = 0
    fallback_names: bool = False
    passes: bool = False
    access: tuple[Access, ...] = ()
    limits: ListenerLimits = ListenerLimits()
