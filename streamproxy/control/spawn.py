"""Starting a process like this one."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

# The number of the descriptor on which a process that we started talks to us, in its environment.
CHANNEL: Final = "STREAMPROXY_CHANNEL"

_SUBCOMMAND: Final = "streamproxy"
# What was done for this process need not be done again for those it starts, or cannot be: they inherit its user and
# directory, their parent waits for them, and a file of process ids has room for one.
_DONE: Final = ("--uid", "--gid", "--chroot", "--rundir", "--pidfile", "-u", "-g", "-d")
_DONE_FLAGS: Final = ("--daemonize", "--takeover", "--euid")
# systemd's own, which speak of the process they were given to.
_NOT_INHERITED: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", CHANNEL)


def command(arguments: Sequence[str], flag: str) -> list[str]:
    """
    ``arguments`` (of ``sys.orig_argv``: interpreter, program, its options, ``streamproxy``, ours) with ``flag`` among
    ours, to be run in the foreground. Raises ``ValueError`` for the command of another program.
    """
    places = [index for index, argument in enumerate(arguments) if argument == _SUBCOMMAND]
    if not places:
        raise ValueError(f"started in a way that cannot be repeated: {' '.join(arguments)}")
    before = list(_kept(arguments[: places[0]]))
    if any(os.path.basename(argument) == "twistd" for argument in before):  # noqa: PTH119 - it may be no path at all
        before += ["--nodaemon", "--pidfile="]
    ours = [argument for argument in arguments[places[0] + 1 :] if argument not in _DONE_FLAGS]
    return [*before, _SUBCOMMAND, *ours, flag]


def _kept(arguments: Sequence[str]) -> Iterator[str]:
    skip = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if skip:
            skip = False
        elif name in _DONE:
            skip = not equals
        elif argument not in _DONE_FLAGS:
            yield argument


def environment(environ: Mapping[str, str], descriptor: int) -> dict[str, str]:
    """``environ`` for a process that finds its channel there."""
    kept = {name: value for name, value in environ.items() if name not in _NOT_INHERITED}
    return {**kept, CHANNEL: str(descriptor)}


def spawn(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The process, and our end of what it talks to us on. Raises ``OSError``."""
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as undo:
        undo.callback(ours.close)
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - what this process was started with itself
                arguments,
                env=environment(environ, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        undo.pop_all()
    return process, ours


def channel(environ: Mapping[str, str]) -> socket.socket | None:
    """In a process that was started by ours: its end. Raises ``OSError`` when it is not there."""
    number = environ.get(CHANNEL, "")
    if not number.isdecimal():
        return None
    sock = socket.socket(fileno=int(number))
    sock.set_inheritable(False)
    return sock
