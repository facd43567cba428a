"""What OpenSSL can do and pyOpenSSL does not offer yet: through its bindings, and left undone where those lack it."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

# SSL_MODE_NO_AUTO_CHAIN (ssl.h), which pyOpenSSL has no name for.
MODE_NO_AUTO_CHAIN = 0x8

# SSL_MODE_ENABLE_PARTIAL_WRITE (ssl.h), which pyOpenSSL sets in every context.
_PARTIAL_WRITE = 0x1

# SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, which pyOpenSSL sets by itself only from 25.2 on.
MODE_MOVING_BUFFER = 0x2

# SSL_MODE_AUTO_RETRY, which pyOpenSSL sets in every connection.
_AUTO_RETRY = 0x4

# Group names of OpenSSL, the first that it knows all of is taken: hybrid ML-KEM came with OpenSSL 3.5.
_GROUPS = (b"X25519MLKEM768:X25519:P-256:P-384", b"X25519:P-256:P-384")

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001  (there is no public way to what is below)


def limit_groups(context: SSL.Context) -> None:
    """Leave the key exchanges that are both strong and cheap, so that no client can ask for costly ones."""
    set_groups = getattr(_lib, "SSL_CTX_set1_curves_list", None)
    if set_groups is not None:
        native = context._context  # noqa: SLF001
        any(set_groups(native, groups) == 1 for groups in _GROUPS)


def write_whole(context: SSL.Context) -> None:
    """
    Have OpenSSL make all records of what it is given in one call, rather than one record a call. What it could not
    send has to be given to it again, as it always had; there may be more of it then.
    """
    clear_mode = getattr(context, "clear_mode", None)
    if clear_mode is not None:
        clear_mode(_PARTIAL_WRITE)


def leave_no_loop(connection: SSL.Connection) -> None:
    """
    Have a read come back after a record that holds no data (a KeyUpdate, a ticket, a refused renegotiation). OpenSSL
    else goes on to the next as long as there is one, and so a peer that sends nothing but these, as fast as it can,
    would be all that anybody looks after.
    """
    clear_mode = getattr(_lib, "SSL_clear_mode", None)
    if clear_mode is not None:
        clear_mode(connection._ssl, _AUTO_RETRY)  # noqa: SLF001


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake took up an earlier session instead of proving anything anew."""
    reused = getattr(_lib, "SSL_session_reused", None)
    return reused is not None and reused(connection._ssl) == 1  # noqa: SLF001
