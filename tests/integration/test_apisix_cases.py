"""
APISIX's stream proxy as a client of it sees it: routes, services and upstreams written through the Admin API of a
running process, and what connections then meet. Each test is named after its conformance case.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tls.pki import CLIENT_ONLY, Authority, Issued

from .harness import PATIENCE, Answer, Proxy, free_port, read_all, until
from .targets import Echo, Server

ADMIN = "/apisix/admin"
ROOT = Authority.root("cases root")
STRANGERS = Authority.root("somebody else's root")
HELLO = b"hello world\n"
RR: dict[str, Any] = {"type": "roundrobin"}


class Hello(Server):
    """Reads a byte, says who it is and hangs up. Nobody is answered before ``answering`` is set."""

    def __init__(self, says: bytes = HELLO, host: str = "127.0.0.1", port: int = 0) -> None:
        self.says = says
        self.host = host
        self.answering = threading.Event()
        self.answering.set()
        super().__init__(self._hello, host=host, port=port)

    def _hello(self, sock: socket.socket) -> None:
        if sock.recv(1):
            self.answering.wait(PATIENCE)
            sock.sendall(self.says)
            # What is unread would turn the end into a reset, which may overtake the greeting.
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass


class Plane:
    """A running process with a plain and a TLS listener."""

    def __init__(self, proxy: Proxy, plain: int, tls: int) -> None:
        self.proxy = proxy
        self.plain = plain
        self.tls = tls

    def put(self, path: str, body: dict[str, Any]) -> Answer:
        """Write an object; it is served when this returns."""
        answer = self.proxy.put(ADMIN + path, body)
        assert answer.status in (200, 201), answer.text
        return answer

    def delete(self, path: str) -> None:
        answer = self.proxy.delete(ADMIN + path)
        assert answer.status == 200, answer.text

    def say(self, data: bytes = b"mmm", host: str = "127.0.0.1") -> bytes:
        """What a plain client gets: nothing where it is closed or reset."""
        try:
            with socket.create_connection((host, self.plain), timeout=PATIENCE) as sock:
                sock.sendall(data)
                return read_all(sock)
        except ConnectionError:
            # It may be reset before the client knows that it was there.
            return b""

    def handshake(self, name: str | None, **options: Any) -> ssl.SSLSocket:
        context = client_context(**options)
        raw = socket.create_connection(("127.0.0.1", self.tls), timeout=PATIENCE)
        try:
            return context.wrap_socket(raw, server_hostname=name, session=options.get("session"))
        except BaseException:
            raw.close()
            raise

    def say_tls(self, name: str | None, data: bytes = b"mmm", **options: Any) -> bytes:
        with self.handshake(name, **options) as secure:
            try:
                secure.sendall(data)
                return read_tls(secure)
            except (ConnectionError, ssl.SSLError):
                return b""

    def certify(self, number: str, *names: str, **more: Any) -> None:
        issued = ROOT.issue(names[0], sans=list(names))
        body = {"cert": issued.chain_pem.decode(), "key": issued.key_pem.decode(), "snis": list(names), **more}
        self.put(f"/ssls/{number}", body)

    def logged(self, text: str) -> None:
        until(lambda: text in self.proxy.output, f"the log says {text!r}; it says:\n{self.proxy.output[-4000:]}")


def read_tls(secure: ssl.SSLSocket) -> bytes:
    got = bytearray()
    while chunk := secure.recv(4096):
        got += chunk
    return bytes(got)


def client_context(shows: Path | None = None, check: bool = True, **_: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ROOT.pem.decode())
    context.check_hostname = check
    if shows is not None:
        context.load_cert_chain(shows)
    return context


def upstream(*servers: Hello, **more: Any) -> dict[str, Any]:
    return {"nodes": {f"{server.host}:{server.port}": 1 for server in servers}, **RR, **more}


@pytest.fixture
def hellos() -> Iterator[Callable[..., Hello]]:
    started: list[Hello] = []

    def start(**options: Any) -> Hello:
        server = Hello(**options)
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture
def three(hellos: Callable[..., Hello]) -> tuple[Hello, Hello, Hello]:
    """The same port on three addresses; each tells which it is."""
    first = hellos(says=b"one\n")
    return first, hellos(says=b"two\n", host="127.0.0.2"), hellos(says=b"three\n", host="127.0.0.3")


def start(make_proxy: Callable[..., Proxy], **config: Any) -> Plane:
    plain, tls = free_port(), free_port()
    listeners = {"tcp": [f"127.0.0.1:{plain}", {"addr": f"127.0.0.1:{tls}", "tls": True}]}
    proxy = make_proxy({"stream_proxy": listeners, **config}).start()
    return Plane(proxy, plain, tls)


@pytest.fixture
def plane(make_proxy: Callable[..., Proxy]) -> Plane:
    return start(make_proxy)


def test_c33_match_by_remote_addr(plane: Plane, hellos: Callable[..., Hello]) -> None:
    up = upstream(hellos())
    plane.put("/stream_routes/1", {"remote_addr": "127.0.0.1", "upstream": up})
    assert plane.say() == HELLO
    plane.put("/stream_routes/1", {"remote_addr": "127.0.0.2", "upstream": up})
    assert plane.say() == b""


def test_c34_upstream_id_cidr_and_tombstone(plane: Plane, hellos: Callable[..., Hello]) -> None:
    server = hellos()
    plane.put("/upstreams/1", upstream(server))
    plane.put("/stream_routes/1", {"remote_addr": "127.0.0.1", "upstream_id": "1"})
    assert plane.say() == HELLO
    plane.put("/stream_routes/1", {"remote_addr": "127.0.0.1/26", "upstream_id": "1"})
    assert plane.say() == HELLO
    plane.delete("/stream_routes/1")
    assert plane.say() == b""
    plane.put("/stream_routes/1", {"upstream": upstream(server)})
    assert plane.say() == HELLO
    second = hellos(host="127.0.0.2")
    plane.put("/upstreams/1", {**upstream(server, second), "pass_host": "node"})
    plane.put("/stream_routes/1", {"upstream_id": "1"})
    assert [plane.say() for _ in range(4)] == [HELLO] * 4


def test_c35_service_id(plane: Plane, hellos: Callable[..., Hello]) -> None:
    up = upstream(hellos())
    plane.put("/services/1", {"upstream": up})
    plane.put("/stream_routes/1", {"remote_addr": "127.0.0.1", "service_id": 1})
    assert plane.say() == HELLO
    plane.put("/upstreams/1", upstream(hellos(says=b"by upstream_id\n")))
    plane.put("/services/1", {"upstream_id": 1})
    assert plane.say() == b"by upstream_id\n"


def test_c36_route_and_service_deletion(plane: Plane, hellos: Callable[..., Hello]) -> None:
    up = upstream(hellos())
    plane.put("/services/99", {"upstream": up})
    plane.put("/stream_routes/99", {"service_id": "99"})
    assert plane.say() == HELLO
    plane.put("/services/99", {"upstream": up, "name": "svc99", "desc": "updated"})
    assert plane.say() == HELLO
    plane.delete("/stream_routes/99")
    plane.delete("/services/99")
    assert plane.say() == b""
    plane.logged("not hit any route")


def three_routes(plane: Plane, three: tuple[Hello, Hello, Hello]) -> None:
    one, two, other = three
    plane.certify("1", "*.test.com")
    plane.put("/stream_routes/1", {"sni": "a.test.com", "upstream": upstream(one)})
    plane.put("/stream_routes/2", {"sni": "*.test.com", "upstream": upstream(two)})
    plane.put("/stream_routes/3", {"upstream": upstream(other)})


def test_c37_sni_precedence(plane: Plane, three: tuple[Hello, Hello, Hello]) -> None:
    three_routes(plane, three)
    assert plane.say_tls("a.test.com") == b"one\n"
    assert plane.say_tls("b.test.com") == b"two\n"
    assert plane.say() == b"three\n", "a plain client named nothing"
    context = client_context()
    session: ssl.SSLSession | None = None
    resumed = []
    for _ in range(2):
        raw = socket.create_connection(("127.0.0.1", plane.tls), timeout=PATIENCE)
        with context.wrap_socket(raw, server_hostname="a.test.com", session=session) as secure:
            secure.sendall(b"mmm")
            assert read_tls(secure) == b"one\n"
            resumed.append(secure.session_reused)
            session = secure.session
    assert resumed == [False, True]


def test_c39_fallback_sni(make_proxy: Callable[..., Proxy], three: tuple[Hello, Hello, Hello]) -> None:
    plane = start(make_proxy, apisix={"ssl": {"fallback_sni": "a.test.com"}})
    one, two, other = three
    plane.certify("1", "*.test.com")
    plane.put("/stream_routes/1", {"sni": "a.test.com", "remote_addr": "127.0.0.9", "upstream": upstream(one)})
    plane.put("/stream_routes/2", {"sni": "*.test.com", "upstream": upstream(two)})
    plane.put("/stream_routes/3", {"upstream": upstream(other)})
    assert plane.say_tls(None, check=False) == b"two\n", "the name is the fallback, whose exact route is for others"


def test_c40_without_a_route_for_the_name_those_without_names_are_left(
    plane: Plane, three: tuple[Hello, Hello, Hello]
) -> None:
    three_routes(plane, three)
    plane.delete("/stream_routes/2")
    assert plane.say_tls("b.test.com") == b"three\n"


def test_c42_handshakes_that_fail(plane: Plane, hellos: Callable[..., Hello]) -> None:
    plane.certify("1", "test.com")
    plane.put("/stream_routes/1", {"upstream": upstream(hellos())})
    assert plane.say_tls("test.com") == HELLO
    with pytest.raises((ssl.SSLError, ConnectionError)):
        plane.handshake("xx.com")
    plane.logged("failed to match any SSL certificate by SNI: xx.com")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        plane.handshake(None, check=False)
    plane.logged("failed to find SNI")


class TlsHello(Server):
    """A TLS server that says which name it was asked for, and may want a certificate."""

    def __init__(self, directory: Path, demands: Authority | None = None, says: bytes = b"") -> None:
        issued = ROOT.issue("localhost", sans=["localhost", "test.com"])
        path = directory / "server.pem"
        path.write_bytes(issued.chain_pem + issued.key_pem)
        self.names: list[str | None] = []
        self.trouble: list[str] = []
        self.says = says
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path)
        self.context.sni_callback = self._named
        if demands is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(cadata=demands.pem.decode())
        super().__init__(self._hello)

    def _named(self, sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.names.append(name)

    def _hello(self, sock: socket.socket) -> None:
        try:
            with self.context.wrap_socket(sock, server_side=True) as secure:
                if secure.recv(1):
                    secure.sendall(self.says or b"hello " + str(self.names[-1]).encode())
                    secure.unwrap()
        except (ssl.SSLError, OSError) as error:
            self.trouble.append(str(error))


def test_c44_the_name_a_tls_upstream_is_asked_for(plane: Plane, tmp_path: Path) -> None:
    server = TlsHello(tmp_path)
    try:
        plane.certify("1", "test.com")
        plane.put("/upstreams/1", {"scheme": "tls", "nodes": {f"localhost:{server.port}": 1}, **RR})
        plane.put("/stream_routes/1", {"upstream_id": "1"})
        assert plane.say() == b"hello apisix_backend"
        assert plane.say_tls("test.com") == b"hello test.com"
    finally:
        server.close()


def test_c45_upstream_mtls(plane: Plane, tmp_path: Path) -> None:
    server = TlsHello(tmp_path, demands=ROOT, says=b"hello mtls upstream")
    shown = ROOT.issue("client", purpose=CLIENT_ONLY)
    pair = {"client_cert": shown.chain_pem.decode(), "client_key": shown.key_pem.decode()}
    up = {"scheme": "tls", "nodes": {f"127.0.0.1:{server.port}": 1}, **RR}
    try:
        plane.put("/upstreams/1", {**up, "tls": pair})
        plane.put("/stream_routes/1", {"upstream_id": "1"})
        assert plane.say() == b"hello mtls upstream"
        plane.put("/upstreams/1", up)
        assert plane.say() == b"", "without a certificate it is refused"
        client = {"type": "client", "cert": shown.chain_pem.decode(), "key": shown.key_pem.decode()}
        plane.put("/ssls/1", client)
        plane.put("/upstreams/1", {**up, "tls": {"client_cert_id": "1"}})
        assert plane.say() == b"hello mtls upstream"
        plane.put("/stream_routes/1", {"upstream": {**up, "tls": pair}})
        assert plane.say() == b"hello mtls upstream"
        assert "PRIVATE KEY" not in plane.proxy.get(f"{ADMIN}/stream_routes/1").text
    finally:
        server.close()


@pytest.mark.parametrize("inline", [True, False])
def test_c46_nodes_by_name(plane: Plane, hellos: Callable[..., Hello], inline: bool) -> None:
    server = hellos()
    known = {"nodes": {f"localhost:{server.port}": 1}, **RR}
    unknown = {"nodes": {f"local.invalid:{server.port}": 1}, **RR}
    for nodes, expected in ((known, HELLO), (unknown, b"")):
        if inline:
            plane.put("/stream_routes/1", {"upstream": nodes})
        else:
            plane.put("/upstreams/1", nodes)
            plane.put("/stream_routes/1", {"upstream_id": "1"})
        assert plane.say() == expected


def test_c51_ip_restriction(plane: Plane, hellos: Callable[..., Hello]) -> None:
    plane.put("/upstreams/1", upstream(hellos()))
    for conf, expected in (({"blacklist": ["127.0.0.0/24"]}, b""), ({"whitelist": ["127.0.0.0/24"]}, HELLO)):
        plane.put("/stream_routes/1", {"plugins": {"ip-restriction": conf}, "upstream_id": "1"})
        assert plane.say() == expected


@pytest.mark.parametrize(
    ("conf", "served"),
    [
        ({"conn": 100, "burst": 50, "default_conn_delay": 0.1, "key": "remote_addr"}, 5),
        ({"conn": 2, "burst": 1, "default_conn_delay": 0.1, "key": "remote_addr"}, 3),
        (
            {
                "conn": 2,
                "burst": 1,
                "default_conn_delay": 0.1,
                "key": "$remote_port $server_addr",
                "key_type": "var_combination",
            },
            5,
        ),
        (
            {
                "conn": 2,
                "burst": 1,
                "default_conn_delay": 0.1,
                "key": "$proxy_protocol_addr $proxy_protocol_port",
                "key_type": "var_combination",
            },
            3,
        ),
    ],
    ids=["far from it", "over it", "each its own", "nobody has one"],
)
def test_c52_limit_conn(plane: Plane, hellos: Callable[..., Hello], conf: dict[str, Any], served: int) -> None:
    server = hellos()
    # It answers when all five have been decided on, so that they are open at one time however slow the machine is.
    server.answering.clear()
    plane.put("/upstreams/1", upstream(server))
    plane.put("/stream_routes/1", {"plugins": {"limit-conn": conf}, "upstream_id": "1"})
    clients = [plane.proxy.connect(plane.plain) for _ in range(5)]
    for client in clients:
        with contextlib.suppress(ConnectionError):
            client.sendall(b"m")
    until(
        lambda: len(rejected(plane.proxy)) == 5 - served and server.open == served,
        f"{served} sessions were let in and the others refused",
    )
    server.answering.set()
    answers = []
    for client in clients:
        try:
            answers.append(read_all(client))
        except ConnectionError:
            answers.append(b"")
        client.close()
    assert sorted(answers) == [b""] * (5 - served) + [HELLO] * served
    if "proxy_protocol_addr" in conf["key"]:
        plane.logged("The value of the configured key is empty, use client IP instead")


def rejected(proxy: Proxy) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = proxy.get("/streamproxy/v1/sessions/recent").json["sessions"]
    return [session for session in sessions if session["ending"] == "rejected"]


MQTT_3 = bytes.fromhex("100f00044d51545404 02003c0003666f6f".replace(" ", ""))
MQTT_3_NAMELESS = bytes.fromhex("100c00044d51545404 02003c0000".replace(" ", ""))
MQTT_5_NAMELESS = bytes.fromhex("100d00044d51545405 02003c000000".replace(" ", ""))
MQTT_5 = bytes.fromhex("101b00044d51545405 02003c051100000e10 0009".replace(" ", "")) + b"clint-111"


def test_c53_mqtt(plane: Plane, hellos: Callable[..., Hello]) -> None:
    up = upstream(hellos())

    def route(level: int, **more: Any) -> None:
        plugins = {"mqtt-proxy": {"protocol_name": "MQTT", "protocol_level": level}}
        plane.put("/stream_routes/1", {"plugins": plugins, "upstream": up, **more})

    route(4)
    assert plane.say(b"mmmmmm") == b""
    plane.logged("Received unexpected MQTT packet type+flags")
    assert plane.say(MQTT_3) == HELLO
    plane.logged("mqtt client id: foo")
    assert plane.say(MQTT_3_NAMELESS) == HELLO
    assert plane.say(MQTT_5) == b"", "another version than the route's"
    route(5)
    assert plane.say(MQTT_5_NAMELESS) == HELLO
    assert plane.say(MQTT_5) == HELLO
    plane.logged("mqtt client id: clint-111")
    route(4, server_port=2000)
    assert plane.say(MQTT_3) == b""
    plane.logged("not hit any route")


def test_mqtt_clients_are_placed_by_their_id_as_apisix_places_them(plane: Plane, hellos: Callable[..., Hello]) -> None:
    port = free_port()
    try:
        one, two = hellos(says=b"wildcard\n", host="127.0.0.2", port=port), hellos(says=b"loopback\n", port=port)
    except OSError:
        pytest.skip("somebody took the port meanwhile")
    nodes = [{"host": server.host, "port": port, "weight": 1} for server in (one, two)]
    plugins = {"mqtt-proxy": {"protocol_name": "MQTT", "protocol_level": 4}}
    plane.put(
        "/stream_routes/1",
        {"plugins": plugins, "upstream": {"type": "chash", "key": "mqtt_client_id", "nodes": nodes}},
    )
    answers = {
        name: {plane.say(b"\x10" + bytes([12 + len(name)]) + b"\0\4MQTT\4\2\0\x3c\0" + bytes([len(name)]) + name)}
        for name in (b"a", b"bb", b"ccc", b"dddd", b"eeeee")
        for _ in range(2)
    }
    assert all(len(places) == 1 for places in answers.values()), answers


def test_ssl_mtls_of_an_object(plane: Plane, hellos: Callable[..., Hello], tmp_path: Path) -> None:
    plane.certify("1", "test.com", client={"ca": ROOT.pem.decode(), "depth": 2})
    plane.put("/stream_routes/1", {"upstream": upstream(hellos())})
    good, bad = ROOT.issue("me", purpose=CLIENT_ONLY), STRANGERS.issue("me", purpose=CLIENT_ONLY)
    assert plane.say_tls("test.com", shows=in_file(tmp_path, good)) == HELLO
    for shows in (None, in_file(tmp_path, bad)):
        try:
            assert plane.say_tls("test.com", shows=shows) == b"", "a client of TLS 1.3 learns it after its handshake"
        except (ssl.SSLError, ConnectionError):
            """A client of TLS 1.2 learns it in its handshake."""


def in_file(directory: Path, issued: Issued) -> Path:
    path = directory / f"{id(issued)}.pem"
    path.write_bytes(issued.chain_pem + issued.key_pem)
    return path


def test_a_change_is_live_at_once(plane: Plane, hellos: Callable[..., Hello]) -> None:
    servers = [hellos(says=f"{number}\n".encode()) for number in range(2)]
    for turn in range(10):
        server = servers[turn % 2]
        plane.put("/stream_routes/1", {"upstream": upstream(server)})
        assert plane.say() == server.says, "a change is live when its write is answered"


def test_no_session_is_lost_by_changes(plane: Plane) -> None:
    echo = Echo("E")
    try:
        plane.put("/stream_routes/1", {"upstream": {"nodes": {f"127.0.0.1:{echo.port}": 1}, **RR}})
        with plane.proxy.connect(plane.plain) as client:
            client.sendall(b"one")
            assert client.recv(100)
            plane.delete("/stream_routes/1")
            client.sendall(b"two")
            assert client.recv(100)
            assert plane.say() == b""
    finally:
        echo.close()


def test_what_apisix_stores_though_it_cannot_work_closes_what_it_matches(
    plane: Plane, hellos: Callable[..., Hello]
) -> None:
    up = upstream(hellos())
    portless = {"nodes": [{"host": "127.0.0.1", "weight": 1}], **RR}
    discovered = {"service_name": "s", "discovery_type": "dns", **RR}
    for odd in ({}, {"upstream": portless}, {"upstream": discovered}, {"upstream": {**up, "type": "unknown"}}):
        answer = plane.put("/stream_routes/1", odd)
        assert "upstream" in answer.headers["X-Streamproxy-Problems"], odd
        assert plane.say() == b""
        (problem,) = plane.proxy.get("/streamproxy/v1/problems").json["problems"]
        assert problem["path"].startswith("apisix:stream_routes/1.upstream"), problem
    plane.put("/upstreams/1", {"nodes": [*portless["nodes"], {"host": "127.0.0.1", "port": 1, "weight": 0}], **RR})
    plane.put("/stream_routes/1", {"upstream": up})
    assert plane.say() == HELLO


def test_a_plugin_may_be_all_that_leads_anywhere(plane: Plane, hellos: Callable[..., Hello]) -> None:
    one, other = hellos(says=b"one\n"), hellos(says=b"other\n")
    plane.put("/upstreams/b", upstream(one))
    split = {"rules": [{"weighted_upstreams": [{"upstream_id": "b"}]}]}
    plane.put("/stream_routes/1", {"plugins": {"traffic-split": split}})
    assert plane.say() == b"one\n"
    plane.put("/upstreams/b", upstream(other))
    assert plane.say() == b"other\n", "what it leads to is followed"
    plane.put("/stream_routes/1", {"plugins": {"traffic-split": split}, "upstream": upstream(one)})
    plane.put("/upstreams/b", upstream(one))
    assert plane.say() == b"one\n"


def test_an_upstream_that_a_route_leads_to_can_be_deleted(plane: Plane, hellos: Callable[..., Hello]) -> None:
    plane.put("/upstreams/1", upstream(hellos()))
    plane.put("/services/1", {"upstream_id": "1"})
    plane.put("/stream_routes/1", {"upstream_id": "1"})
    refused = plane.proxy.delete(f"{ADMIN}/upstreams/1")
    assert refused.json == {"error_msg": "can not delete this upstream, service [1] is still using it now"}
    plane.delete("/services/1")
    assert plane.say() == HELLO
    plane.delete("/upstreams/1")
    assert plane.say() == b""
    (problem,) = plane.proxy.get("/streamproxy/v1/problems").json["problems"]
    assert problem["message"] == "failed to fetch upstream info by upstream id [1], response code: 404"
    plane.put("/upstreams/1", upstream(hellos()))
    assert plane.say() == HELLO, "it is there again"
    assert plane.proxy.get("/streamproxy/v1/problems").json["problems"] == []
