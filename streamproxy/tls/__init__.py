"""
TLS: policies to OpenSSL contexts, certificates to an index.

Who shakes hands does it like this: the name is read from the ClientHello (``sniff``), ``CertificateIndex.select`` finds
the certificate, :func:`server_policy` says what goes with it, and ``Contexts.server`` has the context from which the
connection is made. No connection ever changes its context, so there is nothing that could be left behind in doing so; a
name without a certificate gets an :func:`alert` and never meets OpenSSL.
"""

from .alerts import Alert, alert
from .certificates import NO_CERTIFICATE, NO_NAME, Candidate, CertificateIndex, Selection, server_policy
from .client import client_connection, name_to_send, verify_server
from .context import Contexts
from .description import Description, certificate_name, describe, identity, names_of, validity
from .errors import MaterialError, PeerRefused, reason
from .facts import handshake_facts
from .material import certificates, crls, key_pair
from .openssl import leave_no_loop

__all__ = [
    "NO_CERTIFICATE",
    "NO_NAME",
    "Alert",
    "alert",
    "Candidate",
    "CertificateIndex",
    "Selection",
    "server_policy",
    "Contexts",
    "client_connection",
    "name_to_send",
    "verify_server",
    "handshake_facts",
    "Description",
    "certificate_name",
    "describe",
    "identity",
    "names_of",
    "validity",
    "certificates",
    "crls",
    "key_pair",
    "leave_no_loop",
    "MaterialError",
    "PeerRefused",
    "reason",
]
