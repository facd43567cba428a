"""Ten thousand stream routes, each with a name of its own. How long anything takes is the benchmark's affair."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import Make
from .harness import Proxy, free_port
from .targets import Echo

COUNT = 10_000
# Seconds to read so many, on a machine that has other work too.
LONG = 120.0
CHOSEN = (0, COUNT // 2, COUNT - 1)


def client_hello(name: str) -> bytes:
    """What a client sends first that asks for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    return sent.read()


def route(number: int, port: int) -> dict[str, Any]:
    nodes = {f"127.0.0.1:{port}": 1}
    return {"id": str(number), "sni": f"h{number}.example.com", "upstream": {"nodes": nodes, "type": "roundrobin"}}


class Named:
    """A process whose listener lets TLS pass, led by the name."""

    def __init__(self, make_proxy: Make, **config: Any) -> None:
        self.port = free_port()
        listener = {"addr": f"127.0.0.1:{self.port}", "tls_passthrough": True}
        self.proxy: Proxy = make_proxy({"stream_proxy": {"tcp": [listener]}, **config}).start(LONG)

    def greeting(self, name: str) -> str:
        """Of whoever a client that asks for ``name`` is led to; empty where it is closed."""
        try:
            with self.proxy.connect(self.port) as sock:
                sock.sendall(client_hello(name))
                return sock.recv(100).partition(b"\n")[0].decode()
        except ConnectionError:
            return ""


@pytest.fixture
def servers(echoes: Callable[..., Echo]) -> tuple[Echo, Echo, Echo, Echo]:
    """The last is for everybody that the others are not for."""
    first, middle, last, other = (echoes(name) for name in ("first", "middle", "last", "other"))
    return first, middle, last, other


def ports(servers: tuple[Echo, ...]) -> Iterator[int]:
    """Of each route."""
    chosen = dict(zip(CHOSEN, servers, strict=False))
    return (chosen.get(number, servers[-1]).port for number in range(COUNT))


def check(named: Named) -> None:
    found = [named.greeting(f"h{number}.example.com") for number in (*CHOSEN, 1, COUNT - 2)]
    assert found == ["first", "middle", "last", "other", "other"]
    assert named.greeting(f"h{COUNT}.example.com") == ""
    assert named.greeting("example.com") == ""


def test_of_a_whole_configuration(make_proxy: Make, servers: tuple[Echo, Echo, Echo, Echo]) -> None:
    standalone = {"deployment": {"role": "traditional", "role_traditional": {"config_provider": "yaml"}}}
    named = Named(make_proxy, **standalone)
    routes = [route(number, port) for number, port in enumerate(ports(servers))]
    put = named.proxy.put("/apisix/admin/configs", {"stream_routes": routes}, headers={"X-Digest": "1"})
    assert put.status == 202, put.text
    check(named)

    routes[COUNT // 2] = route(COUNT // 2, servers[0].port)
    put = named.proxy.put("/apisix/admin/configs", {"stream_routes": routes}, headers={"X-Digest": "2"})
    assert put.status == 202, put.text
    assert named.greeting(f"h{COUNT // 2}.example.com") == "first"
    assert named.greeting("h0.example.com") == "first"
    listed = named.proxy.get("/apisix/admin/stream_routes?page=20&page_size=500").json
    assert (listed["total"], len(listed["list"])) == (COUNT, 500)

    named.proxy.kill()
    named.proxy.start(LONG)
    assert named.greeting(f"h{COUNT - 1}.example.com") == "last", "it is all there again"


def test_of_a_file_and_one_more(make_proxy: Make, servers: tuple[Echo, Echo, Echo, Echo]) -> None:
    routes = [route(number, port) for number, port in enumerate(ports(servers))]
    named = Named(make_proxy, resources={"stream_routes": routes})
    check(named)
    for server, status in ((servers[0], 201), (servers[2], 200)):
        answer = named.proxy.put("/apisix/admin/stream_routes/more", {**route(COUNT, server.port), "id": "more"})
        assert answer.status == status, answer.text
        assert named.greeting(f"h{COUNT}.example.com") == server.name, "it is live when it is answered"
    assert named.proxy.delete("/apisix/admin/stream_routes/more").status == 200
    assert named.greeting(f"h{COUNT}.example.com") == ""
    check(named)
