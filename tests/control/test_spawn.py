"""Starting a process like this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from streamproxy.control import spawn
from streamproxy.control.wire import Wire


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            "python /bin/twistd -n --pidfile=x --uid 33 -g 33 streamproxy --config f.yaml",
            "python /bin/twistd -n --nodaemon --pidfile= streamproxy --config f.yaml --worker",
        ),
        (
            "python /bin/twistd --daemonize --uid=33 streamproxy -c streamproxy --takeover",
            "python /bin/twistd --nodaemon --pidfile= streamproxy -c streamproxy --worker",
        ),
        ("python /bin/twist streamproxy", "python /bin/twist streamproxy --worker"),
    ],
)
def test_the_same_command_in_the_foreground(arguments: str, expected: str) -> None:
    assert spawn.command(arguments.split(), "--worker") == expected.split()


def test_another_programs_command_cannot_be_repeated() -> None:
    with pytest.raises(ValueError, match="started in a way"):
        spawn.command(["python", "app.py"], "--takeover")


def test_what_systemd_said_to_this_process_is_not_for_the_next() -> None:
    given = {"PATH": "/bin", "LISTEN_PID": "1", "LISTEN_FDS": "1", "WATCHDOG_PID": "1", "NOTIFY_SOCKET": "/n"}
    assert spawn.environment(given, 7) == {"PATH": "/bin", "NOTIFY_SOCKET": "/n", spawn.CHANNEL: "7"}


def test_they_can_talk() -> None:
    program = (
        "import os; from streamproxy.control.spawn import channel; from streamproxy.control.wire import Wire\n"
        "wire = Wire(channel(os.environ), 5); wire.send({'heard': wire.receive().body})"
    )
    process, ours = spawn.spawn([sys.executable, "-c", program], {**os.environ, "PYTHONPATH": str(Path.cwd())})
    parent = Wire(ours, 20)
    parent.send({"hello": 1})
    assert parent.receive().body == {"heard": {"hello": 1}}
    assert process.wait(10) == 0
    parent.close()


def test_a_process_of_its_own_has_none() -> None:
    assert spawn.channel({}) is None
