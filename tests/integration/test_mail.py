"""Mail through STARTTLS: swaks and smtplib before aiosmtpd."""

from __future__ import annotations

import contextlib
import os
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.tls.pki import Issued

from . import servers
from .harness import Proxy, free_port, rule, target
from .test_tls import ROOT, client_context, install

Make = Callable[..., Proxy]
Send = Callable[[int, str, Path], None]

BY_NAME = {"enabled": True, "forwardIfNoMatch": False}
SENDER, RECIPIENT = "sender@example.com", "recipient@example.com"
# Longer than what fits into one record, with a dot where SMTP has its own.
LINES = [f"line {number}: {'streamproxy ' * 5}" for number in range(2000)] + [".", "..", "the end"]


class MailServer:
    """aiosmtpd; with a certificate it offers STARTTLS and takes no mail without."""

    def __init__(self, directory: Path, name: str, issued: Issued | None = None) -> None:
        self.name = name
        self.received: list[tuple[Envelope, bool]] = []
        options: dict[str, Any] = {}
        if issued is not None:
            path = directory / f"{name}.server.pem"
            path.write_bytes(issued.chain_pem + issued.key_pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            options = {"tls_context": context, "require_starttls": True}
        self.port = free_port()
        self.controller = Controller(
            self, hostname="127.0.0.1", port=self.port, server_hostname=name, ready_timeout=20, **options
        )

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.received.append((envelope, session.ssl is not None))
        return f"250 taken by {self.name}"

    def take(self) -> tuple[Envelope, bool]:
        """The one mail that has come, and whether it came over TLS of the server's own."""
        ((envelope, secured),) = self.received
        self.received.clear()
        return envelope, secured


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[Callable[..., MailServer]]:
    with contextlib.ExitStack() as stack:

        def start(name: str, issued: Issued | None = None) -> MailServer:
            server = MailServer(tmp_path, name, issued)
            server.controller.start()
            stack.callback(server.controller.stop)
            return server

        yield start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(ROOT.pem)
    return path


def by_smtplib(port: int, name: str, root: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port, "client.example.com", timeout=20) as client:
        client._host = name  # type: ignore[attr-defined] # what it verifies is what it connected to
        client.starttls(context=client_context())
        client.sendmail(SENDER, [RECIPIENT], "Subject: a test\r\n\r\n" + "\r\n".join(LINES) + "\r\n")


def by_swaks(port: int, name: str, root: Path) -> None:
    """With ``--tls`` it goes away when it is not offered STARTTLS."""
    body = root.with_name("body")
    body.write_text("\n".join(LINES) + "\n")
    done = subprocess.run(
        [
            *(servers.program("swaks"), "--server", f"127.0.0.1:{port}", "--ehlo", "client.example.com"),
            *("--tls", "--tls-verify", "--tls-ca-path", str(root), "--tls-sni", name, "--suppress-data"),
            *("--from", SENDER, "--to", RECIPIENT, "--h-Subject", "a test", "--body", f"@{body}"),
        ],
        # It wants a home for its settings, and nobody's settings are the test's.
        env={**os.environ, "HOME": str(root.parent), "SWAKS_HOME": str(root.parent)},
        capture_output=True,
        text=True,
        timeout=servers.ERRAND,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "=== TLS started with cipher TLSv1.3" in done.stdout, done.stdout


def sent_mail_arrived(server: MailServer) -> bool:
    """Check it; whether it came over TLS of the server's own."""
    envelope, secured = server.take()
    assert envelope.mail_from == SENDER
    assert envelope.rcpt_tos == [RECIPIENT]
    assert isinstance(envelope.content, bytes)
    head, _, body = envelope.content.decode().replace("\r\n", "\n").partition("\n\n")
    assert "Subject: a test" in head
    assert body.rstrip("\n").split("\n") == LINES
    return secured


senders = pytest.mark.parametrize("send", [by_smtplib, by_swaks])


@senders
@pytest.mark.parametrize("onward", ["plain", "STARTTLS"])
def test_tls_ends_at_the_proxy_and_the_name_chooses_the_server(
    make_proxy: Make, mail_server: Callable[..., MailServer], tmp_path: Path, root: Path, send: Send, onward: str
) -> None:
    """The server has no TLS, or is asked for it by the proxy, which verifies who it is."""
    names = ("mx1.example.com", "mx2.example.com")
    secure = onward == "STARTTLS"
    rules, started = [], []
    for name in names:
        install(tmp_path / "certs", name, ROOT.issue(name))
        server = mail_server(name, ROOT.issue(f"inside.{name}") if secure else None)
        there = target(server.port, host=f"inside.{name}", ip="127.0.0.1", tls=secure)
        rules.append(rule(name, {**there, "tlsConfig": {"ca": ROOT.pem.decode()}}))
        started.append(server)
    proxy = make_proxy({"tls": {"certificates": str(tmp_path / "certs")}}).start()
    port = proxy.create(tls="Enabled", starttls="smtp", sni=BY_NAME, rules=rules)["port"]
    for name, server in zip(names, started, strict=True):
        send(port, name, root)
        assert sent_mail_arrived(server) is secure
    assert not any(server.received for server in started), "a mail came to a server that was not meant"


@senders
def test_the_servers_own_tls_is_passed_through_by_name(
    make_proxy: Make, mail_server: Callable[..., MailServer], root: Path, send: Send
) -> None:
    names = ("mx1.example.com", "mx2.example.com")
    started = [mail_server(name, ROOT.issue(name)) for name in names]
    proxy = make_proxy().start()
    rules = [rule(name, target(server.port)) for name, server in zip(names, started, strict=True)]
    port = proxy.create(tls="PassThrough", starttls="smtp", sni=BY_NAME, rules=rules)["port"]
    for name, server in zip(names, started, strict=True):
        send(port, name, root)
        assert sent_mail_arrived(server), "the mail did not come over the server's own TLS"
    assert not any(server.received for server in started), "a mail came to a server that was not meant"


def test_mail_without_tls_is_refused_before_any_server_hears_of_it(
    make_proxy: Make, mail_server: Callable[..., MailServer], tmp_path: Path
) -> None:
    install(tmp_path / "certs", "mx", ROOT.issue("mx.example.com"))
    server = mail_server("mx.example.com")
    proxy = make_proxy({"tls": {"certificates": str(tmp_path / "certs")}}).start()
    port = proxy.create(tls="Enabled", starttls="smtp", rules=[rule("*", target(server.port))])["port"]
    with smtplib.SMTP("127.0.0.1", port, "client.example.com", timeout=20) as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPSenderRefused, match="Must issue a STARTTLS command first"):
            client.sendmail(SENDER, [RECIPIENT], "Subject: a test\r\n\r\n")
    assert server.received == []
