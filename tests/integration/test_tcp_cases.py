"""Otoroshi's cases for the proxy itself, each named after its number, over a real process."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamproxy.testing import hello_bytes

from .harness import Proxy, free_port, is_dropped, read_all, read_exactly, rule, target, until
from .targets import Echo, Server

Echoes = Callable[..., Echo]

SNI = {"enabled": True, "forwardIfNoMatch": False, "forwardsTo": {"host": "127.0.0.1", "port": 8080}}


def names(*rules: dict[str, Any], sni: dict[str, Any] = SNI) -> dict[str, Any]:
    """A service that passes through and routes by name."""
    return {"tls": "PassThrough", "sni": sni, "rules": list(rules)}


def says(proxy: Proxy, port: int, data: bytes) -> str:
    """Which target a client that says this gets to; empty when it is dropped."""
    with proxy.connect(port) as client:
        client.sendall(data)
        try:
            line = b""
            while not line.endswith(b"\n"):
                byte = client.recv(1)
                if not byte:
                    return ""
                line += byte
        except ConnectionResetError:
            return ""
        # The target echoes what it heard: the very bytes of the client.
        assert read_exactly(client, len(data)) == data
        return line.decode().strip()


def http(host: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def test_case_1_plain_forward(proxy: Proxy, echoes: Echoes) -> None:
    echo = echoes("E1")
    service = proxy.create(rules=[rule("*", target(echo.port))])
    data = os.urandom(10_000_000)
    with proxy.connect(service["port"]) as client:
        assert read_exactly(client, 3) == b"E1\n"
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert read_exactly(client, len(data)) == data
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    until(lambda: echo.open == 0, "the target's side was closed when the client closed")


def test_case_2_server_speaks_first(proxy: Proxy, echoes: Echoes) -> None:
    service = proxy.create(rules=[rule("*", target(echoes("banner").port))])
    with proxy.connect(service["port"]) as client:
        assert read_exactly(client, 7) == b"banner\n"


def test_case_3_round_robin(proxy: Proxy, echoes: Echoes) -> None:
    first, second = echoes("E1"), echoes("E2")
    service = proxy.create(rules=[rule("*", target(first.port), target(second.port))])
    heard = [says(proxy, service["port"], b"hi") for _ in range(10)]
    assert sorted(heard) == ["E1"] * 5 + ["E2"] * 5


@pytest.mark.parametrize("enabled", [True, False])
def test_case_4_domains_are_ignored_without_sni(proxy: Proxy, echoes: Echoes, enabled: bool) -> None:
    first, second = echoes("E1"), echoes("E2")
    service = proxy.create(
        sni={**SNI, "enabled": enabled},
        rules=[rule("a.example.com", target(first.port)), rule("b.example.com", target(second.port))],
    )
    assert {says(proxy, service["port"], http("a.example.com")) for _ in range(4)} == {"E1", "E2"}


def test_case_5_pass_through_without_sni(proxy: Proxy, tls_target: Callable[[str], Echo]) -> None:
    service = proxy.create(tls="PassThrough", rules=[rule("*", target(tls_target("t1.example.com").port))])
    assert certificate_of(proxy, service["port"], "whatever.example.org") == "t1.example.com"
    assert certificate_of(proxy, service["port"], None) == "t1.example.com"


def test_case_6_pass_through_by_sni(proxy: Proxy, tls_target: Callable[[str], Echo], echoes: Echoes) -> None:
    one, two, plain = tls_target("a.example.com"), tls_target("b.example.com"), echoes("E3")
    service = proxy.create(
        **names(
            rule("a.example.com", target(one.port)),
            rule("b.example.com", target(two.port)),
            rule("raw.example.com", target(plain.port)),
        )
    )
    assert certificate_of(proxy, service["port"], "a.example.com") == "a.example.com"
    assert certificate_of(proxy, service["port"], "b.example.com") == "b.example.com"
    assert says(proxy, service["port"], hello_bytes("raw.example.com", post_quantum=True, fragment=200)) == "E3"


def test_case_7_first_match_wins(proxy: Proxy, echoes: Echoes) -> None:
    wild, exact = rule("*.example.com", target(echoes("E1").port)), rule("a.example.com", target(echoes("E2").port))
    service = proxy.create(**names(wild, exact))
    assert says(proxy, service["port"], hello_bytes("a.example.com")) == "E1"
    swapped = proxy.put(f"/api/tcp/services/{service['id']}", {**service, "rules": [exact, wild]})
    assert swapped.status == 200, swapped
    # Not within a second, but when it is answered.
    assert says(proxy, service["port"], hello_bytes("a.example.com")) == "E2"


def test_case_9_regex_fragments(proxy: Proxy, echoes: Echoes) -> None:
    service = proxy.create(
        **names(
            rule("(a|b).example.com", target(echoes("either").port)),
            rule("example", target(echoes("bare").port)),
            rule("[a-z]+.example.com", target(echoes("letters").port)),
            rule("*", target(echoes("any").port)),
        )
    )
    port = service["port"]
    assert says(proxy, port, hello_bytes("b.example.com")) == "either"
    assert says(proxy, port, hello_bytes("abc.example.com")) == "letters"
    assert says(proxy, port, hello_bytes("example")) == "bare"
    assert says(proxy, port, hello_bytes("example.org")) == "any"
    # Otoroshi stores a pattern that cannot be compiled and drops connections; here it is refused.
    refused = proxy.put(f"/api/tcp/services/{service['id']}", {**service, "rules": [rule("[", target(1))]})
    assert refused.status == 400
    assert "rules[0].domain" in refused.text
    assert says(proxy, port, hello_bytes("b.example.com")) == "either"


def test_case_10_the_documented_example(proxy: Proxy, echoes: Echoes) -> None:
    for domain in (".*read.*", "*read*", "Regex(.*read.*)", "Wildcard(*read*)"):
        service = proxy.create(**names(rule(domain, target(echoes("read").port))))
        assert says(proxy, service["port"], hello_bytes("pg-read.example.com")) == "read", domain
        assert says(proxy, service["port"], hello_bytes("pg-write.example.com")) == "", domain


@pytest.mark.parametrize("domains", [["a.example.com"], []])
def test_case_11_no_match_forward(proxy: Proxy, echoes: Echoes, domains: list[str]) -> None:
    other = echoes("E3")
    sni = {"enabled": True, "forwardIfNoMatch": True, "forwardsTo": target(other.port)}
    service = proxy.create(**names(*(rule(d, target(echoes("E1").port)) for d in domains), sni=sni))
    assert says(proxy, service["port"], hello_bytes("z.example.com")) == "E3"
    # The documented meaning, which Otoroshi's code lacks: no name at all is no match either.
    assert says(proxy, service["port"], hello_bytes(None)) == "E3"


def test_case_12_no_match_no_forward(make_proxy: Callable[..., Proxy], echoes: Echoes, tmp_path: Path) -> None:
    log = tmp_path / "events.json"
    proxy = make_proxy({"access_log": {"path": str(log), "format": "otoroshi"}}).start()
    echo = echoes("E1")
    service = proxy.create(**names(rule("a.example.com", target(echo.port))))
    with proxy.connect(service["port"]) as client:
        client.sendall(hello_bytes("z.example.com"))
        assert is_dropped(client)
    assert echo.connections == 0
    until(lambda: log.exists() and "no route matches" in log.read_text(), "the event was written")


def test_case_15_http_host(proxy: Proxy, echoes: Echoes) -> None:
    service = proxy.create(**names(rule("www.foo.com", target(echoes("E1").port))))
    for request in (
        http("www.foo.com", "/index.html"),
        http("www.foo.com"),
        http("www.foo.com:8080"),
        http("WWW.Foo.com"),
    ):
        assert says(proxy, service["port"], request) == "E1", request
    assert says(proxy, service["port"], http("index.html")) == ""


def test_case_17_ip_override(proxy: Proxy, echoes: Echoes) -> None:
    echo = echoes("E1")
    service = proxy.create(rules=[rule("*", target(echo.port, host="does-not-resolve.invalid", ip="127.0.0.1"))])
    assert says(proxy, service["port"], b"hi") == "E1"


def test_case_24_a_disabled_service_does_not_listen(proxy: Proxy, echoes: Echoes) -> None:
    other = proxy.create(rules=[rule("*", target(echoes("other").port))])
    with proxy.connect(other["port"]) as bystander:
        assert read_exactly(bystander, 6) == b"other\n"
        service = proxy.create(enabled=False, rules=[rule("*", target(echoes("E1").port))])
        with pytest.raises(ConnectionRefusedError):
            proxy.connect(service["port"])
        enable = proxy.request(
            "PATCH", f"/api/tcp/services/{service['id']}", [{"op": "replace", "path": "/enabled", "value": True}]
        )
        assert enable.status == 200, enable
        assert says(proxy, service["port"], b"hi") == "E1"
        bystander.sendall(b"untouched")
        assert read_exactly(bystander, 9) == b"untouched"


def test_case_26_the_same_port_twice_is_refused(proxy: Proxy, echoes: Echoes) -> None:
    service = proxy.create(rules=[rule("*", target(echoes("E1").port))])
    second = proxy.post("/api/tcp/services", {**service, "id": "second", "name": "second"})
    assert second.status == 400, second
    assert str(service["port"]) in second.text
    assert says(proxy, service["port"], b"hi") == "E1"
    # Two services that route by name with the same settings share a port.
    one = proxy.create(**names(rule("a.example.com", target(echoes("A").port))), id="one")
    proxy.create(**names(rule("b.example.com", target(echoes("B").port))), id="two", port=one["port"])
    until(lambda: says(proxy, one["port"], hello_bytes("b.example.com")) == "B", "both services share the port")
    assert says(proxy, one["port"], hello_bytes("a.example.com")) == "A"


def test_case_27_a_busy_port_is_status_and_is_retried(proxy: Proxy, echoes: Echoes) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        created = proxy.post(
            "/api/tcp/services",
            {
                "name": "busy",
                "description": "",
                "enabled": True,
                "interface": "127.0.0.1",
                "port": port,
                "rules": [rule("*", target(echoes("E1").port))],
            },
        )
        assert created.status == 201, created
        status = until(lambda: proxy.listener(port), "the listener is shown")
        assert status["state"] == "failed"
        assert "Address already in use" in status["error"]
        assert status["retry_in"] is not None
        other = proxy.create(rules=[rule("*", target(echoes("E2").port))])
        assert says(proxy, other["port"], b"hi") == "E2"
    until(lambda: (proxy.listener(port) or {}).get("state") == "listening", "the port was bound when it was free")
    assert says(proxy, port, b"hi") == "E1"


def test_case_29_the_event(make_proxy: Callable[..., Proxy], tmp_path: Path) -> None:
    log = tmp_path / "events.json"
    proxy = make_proxy({"access_log": {"path": str(log), "format": "otoroshi"}}).start()

    def answer(sock: socket.socket) -> None:
        read_exactly(sock, 10)
        sock.sendall(b"x" * 20)
        read_all(sock)

    answerer = Server(answer)
    service = proxy.create(rules=[rule("*", target(answerer.port, host="localhost"))])
    with proxy.connect(service["port"]) as client:
        client.sendall(b"0123456789")
        assert read_exactly(client, 20) == b"x" * 20
    lines = until(lambda: log.exists() and log.read_text().splitlines(), "the event was written")
    event = json.loads(lines[0])
    assert event["@type"] == "TcpEvent"
    assert event["protocol"] == "Tcp"
    assert event["port"] == service["port"]
    assert event["to"] == {"host": "*", "scheme": "Tcp", "uri": ""}
    assert event["target"] == {"host": f"localhost:{answerer.port}", "scheme": "Tcp", "uri": ""}
    assert event["data"] == {"dataIn": 10, "dataOut": 20}
    assert event["gwError"] is None
    assert event["@serviceId"] == service["id"]
    answerer.close()


def test_case_29_of_services_that_share_a_port_the_event_is_of_the_one_that_won(
    make_proxy: Callable[..., Proxy], echoes: Echoes, tmp_path: Path
) -> None:
    log = tmp_path / "events.json"
    proxy = make_proxy({"access_log": {"path": str(log), "format": "otoroshi"}}).start()
    port = free_port()
    for name in ("a", "b"):
        proxy.create(id=name, name=f"of {name}", port=port, **names(rule(f"{name}.foo.com", target(echoes().port))))
    for host in ("a.foo.com", "b.foo.com"):
        assert says(proxy, port, http(host))

    lines = until(
        lambda: log.exists() and len(log.read_text().splitlines()) == 2 and log.read_text().splitlines(),
        "both events were written",
    )
    events = sorted(map(json.loads, lines), key=lambda event: str(event["to"]["host"]))
    assert [(event["to"]["host"], event["@serviceId"], event["@service"]) for event in events] == [
        (f"a.foo.com:{port}", "a", "of a"),
        (f"b.foo.com:{port}", "b", "of b"),
    ]
    assert [event["service"]["id"] for event in events] == ["a", "b"]


@pytest.fixture
def tls_target(tmp_path: Path, echoes: Echoes) -> Callable[[str], Echo]:
    """TLS servers with a certificate of their own for a name."""

    def start(name: str) -> Echo:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(make_certificate(tmp_path, name))
        return echoes(name, context=context)

    return start


def make_certificate(directory: Path, name: str) -> Path:
    """A self-signed certificate and its key in one file."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=10))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def certificate_of(proxy: Proxy, port: int, name: str | None) -> str:
    """The common name of the certificate that a TLS client of this name sees."""
    from cryptography import x509

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with proxy.connect(port) as raw, context.wrap_socket(raw, server_hostname=name) as wrapped:
        der = wrapped.getpeercert(binary_form=True)
        assert der is not None
        (attribute,) = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(attribute.value)
