"""``streamproxy explain``."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from streamproxy.cli import main
from streamproxy.testing import hello_bytes

from .sniff.test_pcap import CLIENT, SERVER, conversation, ether, pcap
from .tls.pki import Authority

Output = pytest.CaptureFixture[str]

CONFIG = """
admin: false
store: {type: memory}
stream_proxy: {tcp: [{addr: "127.0.0.1:9443", tls: true}], udp: ["127.0.0.1:53"]}
tls: {certificates: certs}
resources:
  tcp_services:
    - id: pg
      name: pg
      description: d
      enabled: true
      interface: 0.0.0.0
      port: 443
      tls: PassThrough
      sni: {enabled: true}
      rules:
        - {domain: a.example.com, targets: [{host: 10.0.0.1, port: 5432}]}
        - {domain: "*.example.com", targets: [{host: 10.0.0.2, port: 5432}]}
  stream_routes:
    - {id: 1, server_port: 9443, upstream: {type: roundrobin, nodes: {"127.0.0.1:1": 1}}}
    - {id: 2, server_port: 53, upstream: {type: roundrobin, nodes: {"127.0.0.1:53": 1}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    certificates = tmp_path / "certs"
    certificates.mkdir()
    issued = Authority.root("r").issue("tls.example.com")
    (certificates / "a.pem").write_bytes(issued.chain_pem + issued.key_pem)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_the_winning_line_is_marked(file: str, capsys: Output) -> None:
    assert main(["explain", "--config", file, "--listener", "443", "--sni", "b.example.com"]) == 0
    lines = capsys.readouterr().out.splitlines()
    marked = [line for line in lines if line.startswith(" => ")]
    assert len(marked) == 2
    assert "rules[1]" in marked[0]
    assert marked[1].startswith(" => 10.0.0.2:5432")


def test_one_that_would_be_refused(file: str, capsys: Output) -> None:
    assert main(["explain", "--config", file, "--listener", "443", "--tls", "--alpn", "h2"]) == 1
    assert "no_route" in capsys.readouterr().out


def test_as_json(file: str, capsys: Output) -> None:
    arguments = ["explain", "-c", file, "--listener", "0.0.0.0:443", "--http-host", "a.example.com", "--json"]
    assert main([*arguments, "--peer", "192.0.2.1:7", "--local", "10.0.0.9"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rules"]["winner"] == "otoroshi:tcp-services/pg rules[0]"
    assert (answer["connection"]["peer"], answer["connection"]["local"]) == ("192.0.2.1:7", "10.0.0.9:443")


def test_datagrams(file: str, capsys: Output) -> None:
    assert main(["explain", "-c", file, "--listener", "53", "--udp"]) == 0
    assert "apisix:stream_routes/2" in capsys.readouterr().out


def test_a_certificate_of_the_directory(file: str, capsys: Output) -> None:
    arguments = ["explain", "-c", file, "--listener", "9443"]
    assert main([*arguments, "--sni", "tls.example.com", "--client-subject", "CN=me"]) == 0
    assert "a.pem: exact name" in capsys.readouterr().out
    assert main([*arguments, "--sni", "other.example.com"]) == 1
    assert "no certificate for other.example.com" in capsys.readouterr().out


def test_from_a_hello(file: str, tmp_path: Path, capsys: Output) -> None:
    hello = tmp_path / "hello"
    hello.write_bytes(hello_bytes("a.example.com"))
    assert main(["explain", "-c", file, "--listener", "443", "--hello", str(hello)]) == 0
    assert "rules[0]  won" in capsys.readouterr().out


def test_from_a_capture(file: str, tmp_path: Path, capsys: Output) -> None:
    capture = tmp_path / "capture.pcap"
    hello = hello_bytes("b.example.com", post_quantum=True)
    capture.write_bytes(pcap([ether(packet) for packet in conversation(CLIENT, SERVER, hello[:1000], hello[1000:])]))
    assert main(["explain", "-c", file, "--pcap", str(capture)]) == 0
    out = capsys.readouterr().out
    assert "from 192.0.2.1:40000 to 192.0.2.2:443" in out
    assert "rules[1]  won" in out
    assert main(["explain", "-c", file, "--pcap", str(capture), "--listener", "80"]) == 1, "another listener"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--listener", "nowhere"], "listener: expected an address"),
        ([], "listener: say where it connects to"),
        (["--listener", "1", "--hello", "/nowhere"], "/nowhere: No such file"),
        (["--listener", "1", "--pcap", "config.yaml"], "neither pcap nor pcapng"),
        (["--session", "a-1"], "give its --url"),
    ],
)
def test_what_cannot_be_found_out(
    file: str, capsys: Output, arguments: list[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(file).parent)
    assert main(["explain", "--config", file, *arguments]) == 2
    assert why in capsys.readouterr().err


def test_a_file_that_is_wrong(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("limts: {}")
    assert main(["explain", "--config", str(path), "--listener", "1"]) == 2
    assert "limts" in capsys.readouterr().err


def test_what_is_not_served_is_said(tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        """
        stream_proxy: {tcp: [9100]}
        deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}
        """
    )
    (tmp_path / "apisix.yaml").write_text("stream_routes: [{id: 1, upstream_id: 7}]\n#END\n")
    main(["explain", "--config", str(path), "--listener", "9100"])
    assert "not served: apisix:stream_routes/1" in capsys.readouterr().err


# By a running proxy


@define
class Admin:
    """As much of an Admin API as is asked here."""

    answers: list[tuple[int, bytes]] = field(factory=list)
    asked: list[tuple[str, str, Any]] = field(factory=list)
    url: str = ""


@pytest.fixture
def admin() -> Iterator[Admin]:
    made = Admin()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size)) if size else None
            made.asked.append((self.path, self.headers.get("X-API-KEY", ""), body))
            code, data = made.answers.pop(0)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}/"
    yield made
    server.shutdown()
    server.server_close()


def test_a_running_proxy_is_asked(admin: Admin, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMPROXY_KEY", "hush-hush")
    admin.answers.append((200, json.dumps({"text": "because\n", "ending": {"ending": "relayed"}}).encode()))
    assert main(["explain", "--url", admin.url, "--listener", "443", "--sni", "a", "--udp"]) == 0
    assert capsys.readouterr().out == "because\n"
    question = {"listener": "443", "sni": "a", "transport": "udp"}
    assert admin.asked == [("/streamproxy/v1/explain", "hush-hush", question)]


def test_a_session_of_a_running_proxy(admin: Admin, capsys: Output) -> None:
    admin.answers.append((200, json.dumps({"text": "because\n", "ending": {"ending": "no_route"}}).encode()))
    assert main(["explain", "--url", admin.url, "--key", "k", "--session", "a/1"]) == 0
    assert admin.asked == [("/streamproxy/v1/sessions/a%2F1/why", "k", None)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((401, b'{"error_description": "no or wrong credentials"}'), "no or wrong credentials (give a key"),
        ((400, b'{"problems": [{"path": "sni", "message": "expected a host name"}]}'), "sni: expected a host name"),
        ((500, b"?"), "the proxy answers 500: it does not say why"),
        ((200, b"?"), "does not answer"),
    ],
)
def test_a_proxy_that_does_not_say(admin: Admin, capsys: Output, answer: tuple[int, bytes], why: str) -> None:
    admin.answers.append(answer)
    assert main(["explain", "--url", admin.url, "--listener", "1"]) == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:1"])
def test_a_proxy_there_is_not(capsys: Output, url: str) -> None:
    assert main(["explain", "--url", url, "--listener", "1"]) == 2
    assert capsys.readouterr().err


def test_an_answer_that_is_none(admin: Admin, capsys: Output) -> None:
    admin.answers.append((200, b"[]"))
    assert main(["explain", "--url", admin.url, "--listener", "1"]) == 1
