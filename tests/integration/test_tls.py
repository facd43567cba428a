"""TLS as its users meet it: openssl, curl, psql, and certificates that change while sessions are open."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.tls.pki import Authority, Issued, rsa_key

from . import servers
from .harness import Proxy, free_port, is_dropped, read_exactly, rule, target, tcp_service
from .targets import Echo

Echoes = Callable[..., Echo]
Make = Callable[..., Proxy]

ROOT = Authority.root("integration root")
SNI = {"enabled": True, "forwardIfNoMatch": False}


@pytest.fixture(scope="module")
def root_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pki") / "root.pem"
    path.write_bytes(ROOT.pem)
    return path


def install(directory: Path, name: str, issued: Issued) -> None:
    """Put a certificate where the proxy watches, as certbot does: whole files, renamed into place."""
    directory.mkdir(exist_ok=True)
    for ending, data in ((".crt", issued.chain_pem), (".key", issued.key_pem)):
        beside = directory / f".{name}{ending}.new"
        beside.write_bytes(data)
        beside.rename(directory / f"{name}{ending}")


def ssl_object(name: str, issued: Issued, *snis: str) -> dict[str, Any]:
    return {"id": name, "cert": issued.chain_pem.decode(), "key": issued.key_pem.decode(), "snis": list(snis)}


def client_context(**options: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem.decode())
    for key, value in options.items():
        setattr(context, key, value)
    return context


def s_client(port: int, *options: str, root: Path) -> subprocess.CompletedProcess[str]:
    """``openssl s_client`` that verifies, says nothing and goes."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(root), "-verify_return_error"]
    return subprocess.run(
        [*command, *options], input="", capture_output=True, text=True, timeout=20, check=False
    )


def serial_of(port: int, name: str) -> int:
    """The serial number of the certificate that a new client of this name is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        client_context().wrap_socket(raw, server_hostname=name) as wrapped,
    ):
        der = wrapped.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der).serial_number


@pytest.fixture
def serving(make_proxy: Make, echoes: Echoes, tmp_path: Path) -> tuple[Proxy, int, Echo]:
    """A process that terminates TLS with certificates of every source, for one echo."""
    certificates = tmp_path / "certs"
    install(certificates, "rsa", ROOT.issue("rsa.example.com", rsa_key()))
    install(certificates, "ec", ROOT.issue("ec.example.com"))
    wild = ROOT.issue("*.wild.example.com")
    both_ec = ROOT.issue("both.example.com")
    both_rsa = ROOT.issue("both.example.com", rsa_key())
    both = ssl_object("both", both_ec, "both.example.com")
    both["certs"], both["keys"] = [both_rsa.chain_pem.decode()], [both_rsa.key_pem.decode()]
    echo = echoes("E1")
    port = free_port()
    service = tcp_service(port=port, tls="Enabled", rules=[rule("*", target(echo.port))])
    proxy = make_proxy(
        {
            "tls": {"certificates": str(certificates), "fallback_sni": "ec.example.com"},
            "resources": {
                "ssls": [ssl_object("wild", wild, "*.wild.example.com"), both],
                "tcp_services": [{**service, "id": "tls"}],
            },
        }
    ).start()
    return proxy, port, echo


def test_rsa_and_ecdsa_of_one_name_by_what_the_client_can(
    serving: tuple[Proxy, int, Echo], root_file: Path
) -> None:
    _, port, _ = serving
    for signatures, kind in (("RSA-PSS+SHA256:RSA+SHA256", "RSA"), ("ECDSA+SHA256", "ECDSA")):
        done = s_client(port, "-servername", "both.example.com", "-sigalgs", signatures, "-tls1_3", root=root_file)
        assert f"Peer signature type: {kind}" in done.stdout.replace("id-ecPublicKey", "ECDSA").replace(
            "ecdsa_secp256r1_sha256", "ECDSA"
        ).replace("rsa_pss_rsae_sha256", "RSA").replace("RSA-PSS", "RSA"), done.stdout


def test_nothing_below_tls_1_2_and_nothing_weak(serving: tuple[Proxy, int, Echo], root_file: Path) -> None:
    _, port, _ = serving
    for options in (
        ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "NULL:eNULL:aNULL:EXPORT:DES:3DES:RC4:MD5:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0"),
        ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ):
        for name in ("rsa.example.com", "ec.example.com"):
            done = s_client(port, "-servername", name, *options, root=root_file)
            assert done.returncode != 0, f"{options} was accepted:\n{done.stdout}"


def test_termination_by_name_to_targets_by_name(make_proxy: Make, echoes: Echoes, tmp_path: Path) -> None:
    """Case 19: certificate and rule both follow the name."""
    certificates = tmp_path / "certs"
    for name in ("ssl.example.com", "ssl2.example.com"):
        install(certificates, name, ROOT.issue(name))
    one, two = echoes("E1"), echoes("E2")
    proxy = make_proxy({"tls": {"certificates": str(certificates)}}).start()
    service = proxy.create(
        tls="Enabled",
        sni=SNI,
        rules=[rule("ssl.example.com", target(one.port)), rule("ssl2.example.com", target(two.port))],
    )
    for name, says in (("ssl.example.com", b"E1\n"), ("ssl2.example.com", b"E2\n")):
        with proxy.connect(service["port"]) as raw, client_context().wrap_socket(raw, server_hostname=name) as client:
            assert client.recv(3) == says
    with proxy.connect(service["port"]) as raw, pytest.raises(ssl.SSLError):
        client_context().wrap_socket(raw, server_hostname="ssl3.example.com")


def test_case_14_and_21_tls_to_the_target(proxy: Proxy, echoes: Echoes, tmp_path: Path) -> None:
    issued = ROOT.issue("t1.example.com")
    path = tmp_path / "t1.pem"
    path.write_bytes(issued.chain_pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    echo = echoes("T1", context=context)
    secure = {
        **target(echo.port, host="t1.example.com", ip="127.0.0.1", tls=True),
        "tlsConfig": {"ca": ROOT.pem.decode()},
    }
    plain = proxy.create(rules=[rule("*", secure)])
    with proxy.connect(plain["port"]) as client:
        assert read_exactly(client, 3) == b"T1\n"
        client.sendall(b"decrypted")
        assert read_exactly(client, 9) == b"decrypted"
    assert names == ["t1.example.com"]
    forwarding = proxy.create(
        tls="PassThrough", sni={"enabled": True, "forwardIfNoMatch": True, "forwardsTo": secure}, rules=[]
    )
    with proxy.connect(forwarding["port"]) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: z.example.com\r\n\r\n")
        assert read_exactly(client, 3) == b"T1\n"
    # The system's authorities do not know this one: without its own it is refused.
    unknown = proxy.create(rules=[rule("*", target(echo.port, host="t1.example.com", ip="127.0.0.1", tls=True))])
    with proxy.connect(unknown["port"]) as client:
        assert is_dropped(client)
    listener = proxy.listener(unknown["port"])
    assert listener is not None
    assert listener["ended"] == {"target_tls_failed": 1}


def test_case_20_client_auth(make_proxy: Make, echoes: Echoes, tmp_path: Path) -> None:
    install(tmp_path / "certs", "a", ROOT.issue("a.example.com"))
    people, strangers = Authority.root("people"), Authority.root("strangers")
    (tmp_path / "people.pem").write_bytes(people.pem)
    echo = echoes("E1")
    proxy = make_proxy(
        {"tls": {"certificates": str(tmp_path / "certs"), "client_ca": str(tmp_path / "people.pem")}}
    ).start()
    shows = {"nothing": None, "good": people.issue("good"), "unknown": strangers.issue("unknown")}
    lets_in = {"None": {"nothing", "good", "unknown"}, "Want": {"nothing", "good"}, "Need": {"good"}}
    for auth, welcome in lets_in.items():
        service = proxy.create(tls="Enabled", clientAuth=auth, rules=[rule("*", target(echo.port))])
        for what, issued in shows.items():
            context = client_context()
            if issued is not None:
                path = tmp_path / f"{what}.pem"
                path.write_bytes(issued.chain_pem + issued.key_pem)
                context.load_cert_chain(path)
            try:
                with (
                    proxy.connect(service["port"]) as raw,
                    context.wrap_socket(raw, server_hostname="a.example.com") as client,
                ):
                    got_in = client.recv(3) == b"E1\n"
            except (ssl.SSLError, ConnectionError):
                got_in = False
            assert got_in is (what in welcome), f"clientAuth {auth}, {what}"


@pytest.mark.parametrize("way", ["termination", "pass through"])
def test_psql_verify_full_to_two_databases_by_name(make_proxy: Make, root_file: Path, tmp_path: Path, way: str) -> None:
    names = ("db1.example.com", "db2.example.com")
    issued = {name: ROOT.issue(name) for name in names}
    terminating = way == "termination"
    for name in names:
        install(tmp_path / "certs", name, issued[name])
    with contextlib.ExitStack() as stack:
        databases = {
            name: stack.enter_context(servers.postgres(name, None if terminating else issued[name])) for name in names
        }
        proxy = make_proxy({"tls": {"certificates": str(tmp_path / "certs")}}).start()
        service = proxy.create(
            tls="Enabled" if terminating else "PassThrough",
            sni=SNI,
            rules=[rule(name, target(databases[name].port)) for name in names],
        )
        for name in names:
            connection = (
                f"host={name} hostaddr=127.0.0.1 port={service['port']} user={servers.POSTGRES_USER} dbname=postgres"
                f" sslmode=verify-full sslrootcert={root_file}"
            )
            assert servers.run("psql", connection, "-Atc", "show cluster_name") == f"{name}\n"
            rows = servers.run("psql", connection, "-Atc", "select repeat('streamproxy', 100000)")
            assert rows == "streamproxy" * 100_000 + "\n"
