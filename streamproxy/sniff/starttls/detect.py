"""Which protocol a client is about to upgrade, where the client speaks first."""

from __future__ import annotations

from ..verdict import Hit, Need, Verdict, Window
from .ldap import sniff_start_tls
from .postgres import GSSENC_REQUEST, SSL_REQUEST


def detect(window: Window) -> Verdict[str]:
    """
    ``postgres`` for SSLRequest or GSSENCRequest, ``ldap`` for StartTLS, as they are named in ``PREAMBLES``;
    ``consumed`` is that message. The first bytes tell everything else: a client of SMTP, IMAP, POP3 or MySQL waits to
    be greeted, and one that is silent cannot be told from another. A PostgreSQL client that begins with its
    ClientHello is TLS as any other.
    """
    data = bytes(window)
    for request in (SSL_REQUEST, GSSENC_REQUEST):
        if data.startswith(request):
            return Hit("postgres", len(request))
        if request.startswith(data):
            # Both have the same length, and an LDAP message is no shorter.
            return Need(len(request) if data else 1)
    verdict = sniff_start_tls(data)
    return Hit("ldap", verdict.consumed) if isinstance(verdict, Hit) else verdict
