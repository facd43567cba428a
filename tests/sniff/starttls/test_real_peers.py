"""Clients and servers that others wrote."""

from __future__ import annotations

import imaplib
import poplib
import shutil
import smtplib
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from streamproxy.sniff.starttls import Done, Plain, Refuse, Upgrade
from streamproxy.sniff.starttls.imap import ImapPreamble
from streamproxy.sniff.starttls.ldap import LdapPreamble
from streamproxy.sniff.starttls.pop3 import Pop3Preamble
from streamproxy.sniff.starttls.postgres import PostgresAsk, PostgresPreamble, error_response
from streamproxy.sniff.starttls.smtp import SmtpPreamble

from ...integration import servers
from ...integration.harness import until
from ...tls.pki import self_signed
from .conducting import PATIENCE, Peeked, Server, conduct, serving

pytestmark = pytest.mark.integration


def client(program: str, *arguments: str, **environment: str) -> str:
    """What a client says on its standard error; it is to fail."""
    ran = subprocess.run(
        [program, *arguments],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode != 0, f"{program} was served: {ran.stdout}"
    return ran.stderr


class TestMail:
    def test_smtplib_sends_over_tls(self, tmp_path: Path) -> None:
        with serving(Server(lambda: SmtpPreamble("mx.example.com")), tmp_path) as server:
            mail = smtplib.SMTP("127.0.0.1", server.port, "a.example", timeout=PATIENCE)
            assert mail.starttls(context=server.client_context())[0] == 220
            assert mail.ehlo("b.example")[0] == 250
            mail.quit()
        outside, inside = server.steps
        assert isinstance(outside, Upgrade)
        assert outside.introduction == b"EHLO a.example"
        assert inside == Refuse("the client quit before TLS", b"221 mx.example.com Bye\r\n")

    def test_smtplib_is_refused_without(self, tmp_path: Path) -> None:
        with serving(Server(lambda: SmtpPreamble("mx.example.com")), tmp_path) as server:
            mail = smtplib.SMTP("127.0.0.1", server.port, "a.example", timeout=PATIENCE)
            mail.ehlo()
            assert mail.mail("a@a.example") == (530, b"Must issue a STARTTLS command first")
            mail.close()
        assert server.steps == [
            Refuse("the client sent MAIL without TLS", b"530 Must issue a STARTTLS command first\r\n")
        ]

    def test_smtplib_may_go_on_without(self, tmp_path: Path) -> None:
        with serving(Server(lambda: SmtpPreamble("mx.example.com", optional=True)), tmp_path) as server:
            mail = smtplib.SMTP("127.0.0.1", server.port, "a.example", timeout=PATIENCE)
            mail.ehlo()
            mail.putcmd("mail", "FROM:<a@a.example>")
            mail.close()
        assert server.steps == [Plain(b"EHLO a.example")]

    def test_imaplib_reads_over_tls(self, tmp_path: Path) -> None:
        with serving(Server(ImapPreamble), tmp_path) as server:
            mail = imaplib.IMAP4("127.0.0.1", server.port, timeout=PATIENCE)
            assert mail.starttls(server.client_context())[0] == "OK"
            assert mail.noop()[0] == "OK"
            mail.logout()
        outside, inside = server.steps
        assert isinstance(outside, Upgrade)
        assert isinstance(inside, Refuse)
        assert inside.why == "the client quit before TLS"

    def test_imaplib_is_refused_without(self, tmp_path: Path) -> None:
        with serving(Server(ImapPreamble), tmp_path) as server:
            mail = imaplib.IMAP4("127.0.0.1", server.port, timeout=PATIENCE)
            assert "LOGINDISABLED" in mail.capabilities
            with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
                mail.login("joe", "secret")
            mail.shutdown()
        (refusal,) = server.steps
        assert isinstance(refusal, Refuse)
        assert refusal.why == "the client sent LOGIN without TLS"

    def test_poplib_reads_over_tls(self, tmp_path: Path) -> None:
        with serving(Server(Pop3Preamble), tmp_path) as server:
            mail = poplib.POP3("127.0.0.1", server.port, timeout=PATIENCE)
            assert mail.stls(server.client_context()).startswith(b"+OK")
            assert mail.noop() == b"+OK"
            mail.quit()
        outside, inside = server.steps
        assert isinstance(outside, Upgrade)
        assert inside == Refuse("the client quit before TLS", b"+OK Bye\r\n")

    def test_poplib_is_refused_without(self, tmp_path: Path) -> None:
        with serving(Server(Pop3Preamble), tmp_path) as server:
            mail = poplib.POP3("127.0.0.1", server.port, timeout=PATIENCE)
            with pytest.raises(poplib.error_proto, match="Must issue STLS first"):
                mail.user("joe")
            mail.close()
        assert server.steps == [Refuse("the client sent USER without TLS", b"-ERR Must issue STLS first\r\n")]


def no_such_database(secured: ssl.SSLSocket) -> None:
    """Reads a startup message, as it comes over TLS, and answers with who is in it."""
    startup = secured.recv(65536)
    assert startup[4:8] == b"\0\3\0\0", f"{startup!r} is no startup message"
    user = startup[8:].split(b"\0")[1].decode()
    secured.sendall(error_response("3D000", f"hello {user}, over {secured.version()}"))


class TestPostgres:
    def test_psql_logs_in_over_tls(self, tmp_path: Path) -> None:
        with serving(Server(PostgresPreamble, no_such_database), tmp_path) as server:
            address = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "joe", "x"]
            errors = client(servers.program("psql"), *address, PGSSLMODE="require", HOME=str(tmp_path))
        assert "hello joe, over TLSv1.3" in errors
        assert server.steps == [Upgrade(8, b"S")]

    def test_psql_is_refused_without(self, tmp_path: Path) -> None:
        with serving(Server(PostgresPreamble), tmp_path) as server:
            address = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "joe", "x"]
            errors = client(servers.program("psql"), *address, PGSSLMODE="disable", HOME=str(tmp_path))
        assert "FATAL:  connections without TLS are not accepted: use sslmode=require" in errors
        (refusal,) = server.steps
        assert isinstance(refusal, Refuse)
        assert refusal.why == "the client sent its startup message without TLS"

    def test_a_server_is_asked(self) -> None:
        """First one that has no certificate, then the same with one."""
        with servers.postgres() as running:
            with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:
                assert conduct(Peeked(connection), PostgresAsk()) == Refuse("the target offers no TLS")
            identity = self_signed("db.example.com")
            data = running.directory / "data"
            for name, pem in (("server.crt", identity.pem), ("server.key", identity.key_pem)):
                (data / name).write_bytes(pem)
                (data / name).chmod(0o600)
                shutil.chown(data / name, data.owner(), data.group())
            at = servers.postgres_at(running.port)
            servers.run("psql", *at, "-c", "alter system set ssl = on", "-c", "select pg_reload_conf()")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(cadata=identity.der)
            version = until(lambda: _asked(running.port, context), "the server read its configuration and offers TLS")
            assert version == "TLSv1.3"


def _asked(port: int, context: ssl.SSLContext) -> str | None:
    """The version of TLS that a server agrees on, if it agrees."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        if conduct(Peeked(connection), PostgresAsk()) != Done(1):
            return None
        with context.wrap_socket(connection, server_hostname="db.example.com") as secured:
            return secured.version()


def no_such_directory(secured: ssl.SSLSocket) -> None:
    """Reads a bind request, as it comes over TLS, and answers that it is busy."""
    assert secured.recv(65536)[5:6] == b"\x60"
    secured.sendall(bytes.fromhex("300c02010261070a013304000400"))


@pytest.fixture
def ldapsearch() -> str:
    return servers.program("ldapsearch")


class TestLdap:
    def test_ldapsearch_binds_over_tls(self, ldapsearch: str, tmp_path: Path) -> None:
        with serving(Server(LdapPreamble, no_such_directory), tmp_path) as server:
            uri = ["-H", f"ldap://127.0.0.1:{server.port}"]
            errors = client(ldapsearch, *uri, "-ZZ", "-x", LDAPTLS_REQCERT="never")
        assert "Server is busy (51)" in errors
        assert isinstance(server.steps[0], Upgrade)

    def test_ldapsearch_is_refused_without(self, ldapsearch: str, tmp_path: Path) -> None:
        with serving(Server(LdapPreamble), tmp_path) as server:
            errors = client(ldapsearch, "-H", f"ldap://127.0.0.1:{server.port}", "-x", "-w", "secret")
        assert "Confidentiality required (13)" in errors
        assert "StartTLS first" in errors
