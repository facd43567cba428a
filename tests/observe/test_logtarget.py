"""Access logs that go elsewhere."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.observe.logtarget import HttpTarget, SyslogTarget, log_target

HERE = socket.gethostname()


@pytest.mark.parametrize("path", ["-", "/var/log/a.log", "access.log", "syslog", "httpd.log", ""])
def test_a_file_is_a_file(path: str) -> None:
    assert log_target(path) is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("syslog:server=10.0.0.1", SyslogTarget("10.0.0.1", 514, hostname=HERE)),
        ("syslog:server=log.example.com:1514,nohostname", SyslogTarget("log.example.com", 1514)),
        (
            "syslog:server=[2001:db8::1]:6514,transport=tls,facility=user,severity=warn,tag=edge,nohostname",
            SyslogTarget("2001:db8::1", 6514, "tls", 12, "edge"),
        ),
        ("syslog:server=a,facility=ftp,severity=debug,nohostname", SyslogTarget("a", 514, "udp", 95)),
        ("https://logs.example.com/in?x=1", HttpTarget("https://logs.example.com/in?x=1")),
        ("http://[::1]:8080/", HttpTarget("http://[::1]:8080/")),
    ],
)
def test_servers(path: str, target: object) -> None:
    assert log_target(path) == target


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("syslog:", "'' is no option"),
        ("syslog:facility=user", "expected syslog:server=HOST"),
        ("syslog:server=a b", "expected syslog:server=HOST"),
        ("syslog:server=a:0", "expected syslog:server=HOST"),
        ("syslog:server=a:99999", "expected syslog:server=HOST"),
        ("syslog:server=a,server=b", "'server' is no option of syslog's, or is there twice"),
        ("syslog:server=a,colour=red", "'colour' is no option"),
        ("syslog:server=a,facility=local9", "facility: expected one of kern, user"),
        ("syslog:server=a,severity=loud", "severity: expected one of emerg"),
        ("syslog:server=a,transport=sctp", "transport: expected one of udp, tcp, tls"),
        ("syslog:server=a,tag=a b", "tag: expected"),
        ("https://", "expected a URL"),
        ("https:///path", "expected a URL"),
        ("https://a/ b", "expected a URL"),
        ("https://a:b/", "Port could not"),
        ("https://user:secret@a/", "leave them out"),
    ],
)
def test_what_is_no_server_is_refused(path: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        log_target(path)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=50))
def test_nothing_else_is_raised(text: str) -> None:
    for start in ("syslog:server=", "syslog:", "http://", "https://"):
        try:
            log_target(start + text)
        except ValueError:
            continue


def test_lines_are_framed_as_the_transport_wants() -> None:
    datagram = SyslogTarget("a", 514, tag="edge", hostname="here")
    head = f"<190>1 2023-11-14T22:13:20.123Z here edge {os.getpid()} - - "
    assert datagram.framed("line", 1_700_000_000.1234) == f"{head}line".encode()
    stream = SyslogTarget("a", 514, "tcp", tag="edge", hostname="here")
    assert stream.framed("line", 1_700_000_000.1234) == f"{head}line\n".encode()
