"""What the command line says, and the way out where that is of no use."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from twisted.python import usage

from .. import __version__
from ..control.heir import PATIENCE, Heir, handover_path
from ..control.spawn import channel
from ..control.wire import Wire
from ..dialects.native import load_config
from ..errors import InvalidConfiguration, StoreError
from ..model import Config
from ..plugins.discovery import catalogue


class Options(usage.Options):
    """What stands after ``streamproxy`` on the command line."""

    synopsis = "[--config FILE] [--takeover]"
    longdesc = (
        "Proxies TCP and UDP as the configuration file says, and as the HTTP APIs it opens are told while it runs. "
        "SIGHUP reads the file again, SIGUSR1 reopens the access log, SIGTERM lets open sessions end. "
        "`streamproxy check FILE` says what is wrong with a file without starting anything, `streamproxy upgrade` "
        "replaces the running process without losing a connection."
    )
    optFlags = (
        ("takeover", None, "Take the listening sockets over from the running process, which ends with its sessions."),
        ("worker", None, "What a process with several workers starts them with; of no use otherwise."),
    )
    optParameters = (("config", "c", "streamproxy.yaml", "The configuration file, YAML or JSON."),)
    config: Config
    heir: Heir | None = None
    boss: Wire | None = None

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"streamproxy {__version__}")  # noqa: T201 - this is what it is asked for
        sys.exit(0)

    def postOptions(self) -> None:
        path = Path(self["config"])
        # Whoever started this process to be taken over by it wants to know why it ends.
        parent = channel(os.environ)
        if self["takeover"] and parent is not None:
            self.heir = Heir(parent)
        if self["worker"]:
            if parent is None:
                give_up("--worker is for processes that another one starts", None)
            self.boss = Wire(parent, PATIENCE)
        try:
            self.config = load_config(path, os.environ, catalogue)
            if self["takeover"] and self.heir is None:
                self.heir = Heir.of(handover_path(self.config))
        except InvalidConfiguration as error:
            count = len(error.problems)
            not_started = f"{path}: {count} {'problem' if count == 1 else 'problems'}; not started"
            give_up("\n".join([*map(str, error.problems), not_started]), self.heir)
        except StoreError as error:
            give_up(str(error), self.heir)


def give_up(why: str, heir: Heir | None) -> NoReturn:
    """Say why, to the successor that waits as well, and exit with status 1."""
    print(why, file=sys.stderr)  # noqa: T201 - nothing logs yet
    if heir is not None:
        heir.fail(why)
    sys.exit(1)
