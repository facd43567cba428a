"""openssl and curl against every kind of name, with and without a fallback, in each version."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.tls.pki import rsa_key

from . import servers
from .harness import Proxy, free_port, rule, target, tcp_service
from .targets import Server
from .test_tls import ROOT, install, s_client, ssl_object

# How each program is kept to a version.
VERSIONS = {
    "TLSv1.2": (("-tls1_2",), ("--tlsv1.2", "--tls-max", "1.2")),
    "TLSv1.3": (("-tls1_3",), ("--tlsv1.3",)),
}
SERVED = {
    "rsa.example.com": "RSA",
    "ec.example.com": "ECDSA",
    "a.wild.example.com": "ECDSA",
    "both.example.com": "ECDSA",
}
REFUSED = ["unknown.example.org", "a.b.wild.example.com", "wild.example.com"]
FALLBACK = "ec.example.com"

# What curl ends with when the handshake failed, and when it does not trust the certificate.
HANDSHAKE_FAILED, NOT_TRUSTED = 35, 60

versions = pytest.mark.parametrize("version", VERSIONS)


@frozen
class Site:
    """``port`` of a process with ``tls.fallback_sni``, ``bare`` of one without; ``root`` is whom clients trust."""

    port: int
    bare: int
    root: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    certificates, root = directory / "certs", directory / "root.pem"
    root.write_bytes(ROOT.pem)
    install(certificates, "rsa", ROOT.issue("rsa.example.com", rsa_key()))
    install(certificates, "ec", ROOT.issue("ec.example.com"))
    both = ssl_object("both", ROOT.issue("both.example.com"), "both.example.com")
    second = ROOT.issue("both.example.com", rsa_key())
    both["certs"], both["keys"] = [second.chain_pem.decode()], [second.key_pem.decode()]
    wild = ssl_object("wild", ROOT.issue("*.wild.example.com"), "*.wild.example.com")
    server = Server(answer)
    ports: list[int] = []
    proxies: list[Proxy] = []
    try:
        for fallback in ({"fallback_sni": FALLBACK}, {}):
            port = free_port()
            service = {**tcp_service(port=port, tls="Enabled", rules=[rule("*", target(server.port))]), "id": "site"}
            config = {
                "tls": {"certificates": str(certificates), **fallback},
                "resources": {"ssls": [wild, both], "tcp_services": [service]},
            }
            ports.append(port)
            proxies.append(Proxy(tmp_path_factory.mktemp("proxy"), config))
            proxies[-1].start()
        yield Site(port=ports[0], bare=ports[1], root=root)
    finally:
        for proxy in proxies:
            proxy.stop()
        server.close()


def answer(sock: socket.socket) -> None:
    if sock.recv(65536):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")


def openssl(site: Site, port: int, name: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    named = ("-noservername",) if name is None else ("-servername", name, "-verify_hostname", name)
    return s_client(port, *named, *options, root=site.root)


def curl(site: Site, port: int, name: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    """One request. Curl sends no name where it is given an address."""
    shown = "%{http_version} %{ssl_verify_result}"
    command = [servers.program("curl"), "-sS", "--noproxy", "*", "--cacert", str(site.root), "-w", shown]
    if name is not None:
        command += ["--resolve", f"{name}:{port}:127.0.0.1"]
    command += [*options, f"https://{name or '127.0.0.1'}:{port}/"]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@versions
@pytest.mark.parametrize("name", SERVED)
def test_openssl_is_shown_the_certificate_of_the_name(site: Site, name: str, version: str) -> None:
    for port in (site.port, site.bare):
        done = openssl(site, port, name, *VERSIONS[version][0])
        assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr
        assert f"New, {version}, Cipher is " in done.stdout, done.stdout
        signature = done.stdout.split("Peer signature type: ")[1].split("\n")[0]
        assert ("RSA" if "rsa" in signature.lower() and "ecdsa" not in signature.lower() else "ECDSA") == SERVED[name]


@versions
@pytest.mark.parametrize("name", REFUSED)
def test_openssl_is_told_that_nobody_has_that_name(site: Site, name: str, version: str) -> None:
    for port in (site.port, site.bare):
        done = openssl(site, port, name, *VERSIONS[version][0])
        assert done.returncode != 0, done.stdout
        assert "unrecognized name" in done.stderr, "the fallback is for those who send no name at all"


@versions
def test_openssl_without_a_name_gets_the_fallback_where_there_is_one(site: Site, version: str) -> None:
    options = VERSIONS[version][0]
    done = openssl(site, site.port, None, "-verify_hostname", FALLBACK, *options)
    assert "Verify return code: 0 (ok)" in done.stdout, done.stdout + done.stderr
    refused = openssl(site, site.bare, None, *options)
    assert refused.returncode != 0
    assert "unrecognized name" in refused.stderr, refused.stderr


@versions
def test_no_application_protocol_is_agreed_on_but_the_insistent_one(site: Site, version: str) -> None:
    """Which one is spoken is the target's affair; a PostgreSQL client that begins with TLS goes away without."""
    options = VERSIONS[version][0]
    web = openssl(site, site.port, "ec.example.com", "-alpn", "h2,http/1.1", *options)
    assert "No ALPN negotiated" in web.stdout, web.stdout
    database = openssl(site, site.port, "ec.example.com", "-alpn", "postgresql", *options)
    assert "ALPN protocol: postgresql" in database.stdout, database.stdout
    none = openssl(site, site.port, "ec.example.com", *options)
    assert "No ALPN negotiated" in none.stdout, none.stdout


@versions
@pytest.mark.parametrize("name", SERVED)
def test_curl_gets_its_page(site: Site, name: str, version: str) -> None:
    """It offers h2 by ALPN, and does with HTTP/1.1."""
    for port in (site.port, site.bare):
        done = curl(site, port, name, *VERSIONS[version][1])
        assert done.stdout == "hello\n1.1 0", done.stderr


@versions
@pytest.mark.parametrize("name", REFUSED)
def test_curl_gets_nothing_by_a_name_that_nobody_has(site: Site, name: str, version: str) -> None:
    for port in (site.port, site.bare):
        done = curl(site, port, name, *VERSIONS[version][1])
        assert done.returncode == HANDSHAKE_FAILED, done.stdout + done.stderr


@versions
def test_curl_without_a_name(site: Site, version: str) -> None:
    """The fallback's certificate is not for an address, so curl has to be told not to mind."""
    options = VERSIONS[version][1]
    assert curl(site, site.port, None, *options).returncode == NOT_TRUSTED
    assert curl(site, site.port, None, "--insecure", *options).stdout.startswith("hello\n")
    assert curl(site, site.bare, None, "--insecure", *options).returncode == HANDSHAKE_FAILED


def test_curl_without_a_name_is_routed_by_host_where_that_was_asked_for(
    tmp_path: Path, http_servers: dict[str, servers.Running]
) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(ROOT.pem)
    for name in http_servers:
        install(tmp_path / "certs", name, ROOT.issue(name))
    config = {"tls": {"certificates": str(tmp_path / "certs"), "fallback_sni": "a.example.com"}}
    proxy = Proxy(tmp_path, config)
    try:
        proxy.start()
        rules = [rule(name, target(server.port)) for name, server in http_servers.items()]
        sni = {"enabled": True, "forwardIfNoMatch": False, "httpHost": True}
        port = proxy.create(tls="Enabled", sni=sni, rules=rules)["port"]
        site = Site(port, port, root)
        for name in http_servers:
            done = curl(site, port, None, "--insecure", "--header", f"Host: {name}")
            assert done.stdout.startswith(name), done.stderr
            done = curl(site, port, name, "--header", "Host: b.example.com")
            assert done.stdout.startswith(name), "the name in the handshake comes first"
        assert curl(site, port, None, "--insecure", "--header", "Host: c.example.com").stdout.startswith("0 ")
    finally:
        proxy.stop()
