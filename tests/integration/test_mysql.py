"""MariaDB and its client, through a service that ends TLS and through services that pass it on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tls.pki import Authority

from . import servers
from .harness import Proxy, rule, target
from .servers import Running
from .test_tls import ROOT, install

Make = Callable[..., Proxy]

# The client finds out by its resolver where that is, and verifies the certificate for it.
NAME = "localhost"
# Another vouches for the database, so that who trusts the one has not been shown the certificate of the other.
INSIDE = Authority.root("inside")
DATABASE = INSIDE.issue("db.example.com", sans=["db.example.com", NAME])


@pytest.fixture(scope="module")
def database() -> Iterator[Running]:
    with servers.mariadb(DATABASE) as running:
        yield running


def ask(port: int, *options: str, statement: str = "select 6 * 7") -> subprocess.CompletedProcess[str]:
    """What the client answers to a statement."""
    command = [servers.program("mariadb"), "--no-defaults", "--protocol=tcp", "-h", NAME, "-P", str(port), "-N"]
    return subprocess.run(
        [*command, "-u", servers.MARIADB_USER, *options, "-e", statement],
        env={**os.environ, "MYSQL_PWD": servers.MARIADB_PASSWORD},
        capture_output=True,
        text=True,
        timeout=servers.ERRAND,
        check=False,
    )


def trusting(authority: Authority, directory: Path) -> list[str]:
    """How the client is told to verify whom it talks to."""
    path = directory / "trusted.pem"
    path.write_bytes(authority.pem)
    return [f"--ssl-ca={path}", "--ssl-verify-server-cert"]


def test_tls_ends_at_the_proxy_and_begins_anew(make_proxy: Make, database: Running, tmp_path: Path) -> None:
    """The client is shown our certificate; the database's is verified by us, for another name."""
    install(tmp_path / "certs", "here", ROOT.issue(NAME))
    proxy = make_proxy({"tls": {"certificates": str(tmp_path / "certs"), "fallback_sni": NAME}}).start()
    there = {
        **target(database.port, tls=True),
        "tlsConfig": {"ca": INSIDE.pem.decode(), "serverName": "db.example.com"},
    }
    port = proxy.create(tls="Enabled", starttls="mysql", rules=[rule("*", there)])["port"]
    secured = ask(port, *trusting(ROOT, tmp_path))
    assert secured.stdout == "42\n", secured.stderr
    status = ask(port, *trusting(ROOT, tmp_path), statement="show status like 'Ssl_cipher'")
    assert status.stdout.startswith("Ssl_cipher\tTLS_"), "the database was reached without TLS"
    long = ask(port, *trusting(ROOT, tmp_path), statement="select repeat('streamproxy', 500000)")
    assert long.stdout == "streamproxy" * 500_000 + "\n", long.stderr
    plain = ask(port, "--skip-ssl")
    assert plain.returncode != 0
    assert "insecure transport are prohibited" in plain.stderr
    listener = proxy.listener(port)
    assert listener is not None
    assert listener["ended"].get("sniff_failed") == 1, listener["ended"]


def test_a_database_that_is_another_gets_no_password(make_proxy: Make, database: Running, tmp_path: Path) -> None:
    install(tmp_path / "certs", "here", ROOT.issue(NAME))
    proxy = make_proxy({"tls": {"certificates": str(tmp_path / "certs"), "fallback_sni": NAME}}).start()
    there = {**target(database.port, tls=True), "tlsConfig": {"ca": INSIDE.pem.decode(), "serverName": "other.com"}}
    port = proxy.create(tls="Enabled", starttls="mysql", rules=[rule("*", there)])["port"]
    assert ask(port, *trusting(ROOT, tmp_path)).returncode != 0
    listener = proxy.listener(port)
    assert listener is not None
    assert listener["ended"] == {"target_tls_failed": 1}


@pytest.mark.parametrize("tls", ["Disabled", "PassThrough"])
def test_what_is_passed_on_is_the_databases_own(make_proxy: Make, database: Running, tmp_path: Path, tls: str) -> None:
    proxy = make_proxy().start()
    port = proxy.create(tls=tls, starttls="mysql", rules=[rule("*", target(database.port))])["port"]
    verified = ask(port, *trusting(INSIDE, tmp_path))
    assert verified.stdout == "42\n", verified.stderr
    assert ask(port, *trusting(ROOT, tmp_path)).returncode != 0


def test_a_name_cannot_choose_the_database(make_proxy: Make) -> None:
    proxy = make_proxy().start()
    body = {
        "name": "mysql",
        "description": "",
        "port": 3306,
        "tls": "PassThrough",
        "starttls": "mysql",
        "sni": {"enabled": True},
    }
    answer = proxy.post("/api/tcp/services", body)
    assert answer.status == 400
    assert "no name is known when the target is chosen" in answer.text
