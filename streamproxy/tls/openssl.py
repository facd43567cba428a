"""What OpenSSL can do and pyOpenSSL does not offer yet: through its bindings, and left undone where those lack it."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

# SSL_MODE_NO_AUTO_CHAIN (ssl.h), which pyOpenSSL has no name for.
MODE_NO_AUTO_CHAIN = 0x8

# SSL_MODE_ENABLE_PARTIAL_WRITE (ssl.h), which pyOpenSSL sets in every context.
_PARTIAL_WRITE = 0x1

# Group names of OpenSSL, the first that it knows all of is taken: hybrid ML-KEM came with OpenSSL 3.5.
_GROUPS = (b"X25519MLKEM768:X25519:P-256:P-384", b"X25519:P-256:P-384")

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001  (there is no public way to the two functions below)


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


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake took up an earlier session instead of proving anything anew."""
    reused = getattr(_lib, "SSL_session_reused", None)
    return reused is not None and reused(connection._ssl) == 1  # noqa: SLF001
