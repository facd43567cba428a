"""What goes wrong with TLS, each as a sentence for people. No sentence holds a secret."""

from __future__ import annotations

from attrs import frozen
from OpenSSL import SSL

from ..errors import StreamProxyError


@frozen(auto_exc=True)
class MaterialError(StreamProxyError, ValueError):
    """A certificate, key, revocation list or policy that cannot work."""

    why: str

    def __str__(self) -> str:
        return self.why


@frozen(auto_exc=True)
class PeerRefused(StreamProxyError, SSL.Error):
    """We ended a handshake, or what came of it, because of what the peer showed or asked for."""

    why: str

    def __str__(self) -> str:
        return self.why


def reason(error: SSL.Error) -> str:
    """Why a handshake failed, from what a :class:`~OpenSSL.SSL.Connection` raised."""
    if isinstance(error, PeerRefused):
        return error.why
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1]) if error.args else "the connection broke"
    # OpenSSL's queue of errors, each a library, a function and a text; it may be empty.
    queue = error.args[0] if error.args and isinstance(error.args[0], (list, tuple)) else ()
    texts = [entry[2] for entry in queue if isinstance(entry, tuple) and len(entry) == 3 and entry[2]]
    return "; ".join(texts) or "the handshake failed"
