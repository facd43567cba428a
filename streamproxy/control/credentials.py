"""The admin key of a process that was configured without one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ..errors import StoreError
from ..model import AdminKey, Role, Secret


def generated_key(path: Path | None) -> tuple[AdminKey, bool]:
    """
    The key kept in the file ``path`` (mode 0600), made on first use; without a path one that ends with the process.
    The second value says whether it is new, so that it has to be shown.

    Raises ``StoreError`` when the file cannot be read or made.
    """
    if path is None:
        return AdminKey("admin", Secret(secrets.token_urlsafe(24)), Role.ADMIN), True
    try:
        if path.exists():
            text = path.read_text(encoding="ascii").strip()
            if len(text) < 16:
                raise StoreError(f"{path} holds no admin key: remove it, and a new one is made")
            return AdminKey("admin", Secret(text), Role.ADMIN), False
        text = secrets.token_urlsafe(24)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the admin key cannot be kept in {path}: {error}; set admin.keys instead") from error
    return AdminKey("admin", Secret(text), Role.ADMIN), True
