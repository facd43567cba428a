"""APISIX's Admin API of a real process, as its users' programs call it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

from tests.tls.pki import self_signed

from .conftest import Make
from .harness import KEY, VIEWER_KEY, Proxy, free_port, is_dropped, read_exactly, until
from .targets import Echo

ADMIN = "/apisix/admin"


def roundrobin(port: int = 8080) -> dict[str, Any]:
    return {"type": "roundrobin", "nodes": {f"127.0.0.1:{port}": 1}}


def is_turned_away(proxy: Proxy, port: int) -> bool:
    try:
        with proxy.connect(port) as sock:
            return is_dropped(sock)
    except ConnectionResetError:
        # So fast that the connection never seemed to be there.
        return True


class TestDeclarativeTools:
    """What ADC asks for and sends: everything is listed, then upstreams, services and routes are put by their ids."""

    def test_a_synchronization(self, make_proxy: Make, echoes: Callable[..., Echo]) -> None:
        echo, port = echoes("E1"), free_port()
        proxy = make_proxy({"stream_proxy": {"tcp": [f"127.0.0.1:{port}"]}}).start()
        listed = proxy.get(f"{ADMIN}/routes")
        assert listed.headers["Server"] == "APISIX/3.18.0"
        kinds = "services routes upstreams ssls consumers plugin_configs global_rules plugin_metadata stream_routes"
        for kind in kinds.split():
            assert proxy.get(f"{ADMIN}/{kind}").json == {"list": [], "total": 0}

        id, labels = "7b5a1c2d", {"__ADC_NAME": "pg"}  # noqa: A001
        nodes = [{"host": "127.0.0.1", "port": echo.port, "weight": 100}]
        bodies: dict[str, Any] = {
            "upstreams": {"name": "pg", "nodes": nodes, "type": "roundrobin", "scheme": "tcp"},
            "services": {"name": "pg", "labels": labels, "upstream_id": id},
            "stream_routes": {"name": "pg", "labels": labels, "server_port": port, "service_id": id},
        }
        whole = {kind: [{"id": id, **body}] for kind, body in bodies.items()}
        assert proxy.post(f"{ADMIN}/configs/validate", {**whole, "routes": []}).status == 200
        for kind, body in bodies.items():
            assert proxy.put(f"{ADMIN}/{kind}/{id}", body).status == 201, kind
        with proxy.connect(port) as sock:
            assert read_exactly(sock, 3) == b"E1\n"
        for kind, body in bodies.items():
            (item,) = proxy.get(f"{ADMIN}/{kind}").json["list"]
            assert {name: item["value"][name] for name in body} == body

        for kind in reversed(bodies):
            answer = proxy.delete(f"{ADMIN}/{kind}/{id}", headers={"Content-Type": "application/json"})
            assert answer.json == {"deleted": "1", "key": f"/apisix/{kind}/{id}"}
        assert is_turned_away(proxy, port)

    def test_standalone(self, make_proxy: Make, echoes: Callable[..., Echo]) -> None:
        echo, port = echoes("E1"), free_port()
        config = {
            "stream_proxy": {"tcp": [f"127.0.0.1:{port}"]},
            "deployment": {"role": "traditional", "role_traditional": {"config_provider": "yaml"}},
        }
        proxy = make_proxy(config).start()
        whole = {
            "stream_routes": [{"id": "r", "modifiedIndex": 1, "upstream": roundrobin(echo.port)}],
            "stream_routes_conf_version": 1,
        }
        put = proxy.put(f"{ADMIN}/configs", whole, headers={"X-Digest": "d1"})
        assert (put.status, put.headers["X-Digest"]) == (202, "d1")
        with proxy.connect(port) as sock:
            assert read_exactly(sock, 3) == b"E1\n"

        proxy.restart()

        assert proxy.request("HEAD", f"{ADMIN}/configs").headers["X-Digest"] == "d1"
        assert proxy.get(f"{ADMIN}/configs").json["stream_routes"] == whole["stream_routes"]
        assert proxy.put(f"{ADMIN}/configs", whole, headers={"X-Digest": "d1"}).status == 204
        with proxy.connect(port) as sock:
            assert read_exactly(sock, 3) == b"E1\n"
        assert proxy.put(f"{ADMIN}/configs", {}, headers={"X-Digest": "d2"}).status == 202
        assert is_turned_away(proxy, port)


class TestCurl:
    def test_a_life(self, proxy: Proxy) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        put = proxy.put(f"{ADMIN}/stream_routes/1", {"upstream": roundrobin()}, headers=form)
        assert put.status == 201
        assert put.text.endswith("}\n")
        assert proxy.put(f"{ADMIN}/stream_routes/1", {"upstream": roundrobin()}).status == 200
        posted = proxy.post(f"{ADMIN}/upstreams", roundrobin()).json["value"]["id"]
        patched = proxy.request("PATCH", f"{ADMIN}/upstreams/{posted}/nodes", {"127.0.0.1:1": 2})
        assert patched.json["value"]["nodes"] == {"127.0.0.1:1": 2}

        proxy.kill()
        proxy.start()

        assert proxy.get(f"{ADMIN}/upstreams/{posted}").json["value"] == patched.json["value"]
        assert proxy.delete(f"{ADMIN}/stream_routes/1").status == 200
        assert proxy.get(f"{ADMIN}/stream_routes/1").json == {"message": "Key not found"}

    def test_keys(self, proxy: Proxy) -> None:
        path = f"{ADMIN}/upstreams/1"
        assert proxy.get(path, key=None).json["description"] == "missing apikey"
        assert proxy.put(path, roundrobin(), key=VIEWER_KEY).json["description"] == "invalid method for role viewer"
        assert proxy.put(f"{path}?api_key={KEY}", roundrobin(), key=None).status == 201
        assert proxy.put(path, roundrobin(), key=None, headers={"Cookie": f"x_api_key={KEY}"}).status == 200
        assert proxy.request("HEAD", ADMIN, key=None).status == 200
        assert KEY not in proxy.output

    def test_too_large(self, proxy: Proxy) -> None:
        answer = proxy.put(f"{ADMIN}/upstreams/1", b" " * 1_572_865)
        assert (answer.status, answer.json) == (
            400,
            {
                "error_msg": "invalid request body: request size 1572865 is greater than the maximum size 1572864"
                " allowed"
            },
        )

    def test_private_keys_are_on_no_disk(self, proxy: Proxy) -> None:
        issued = self_signed("test.com")
        body = {"cert": issued.pem.decode(), "key": issued.key_pem.decode(), "sni": "test.com"}
        assert "PRIVATE KEY" not in proxy.put(f"{ADMIN}/ssls/1", body).text
        assert "key" not in proxy.get(f"{ADMIN}/ssls/1").json["value"]
        proxy.stop()
        files = [path for path in proxy.directory.iterdir() if path.is_file()]
        assert any(b"BEGIN CERTIFICATE" in path.read_bytes() or b"test.com" in path.read_bytes() for path in files)
        assert not [path for path in files if b"PRIVATE KEY" in path.read_bytes()]

    def test_what_lives_for_a_time(self, proxy: Proxy) -> None:
        assert proxy.put(f"{ADMIN}/upstreams/1?ttl=600", roundrobin()).status == 201
        assert proxy.put(f"{ADMIN}/upstreams/2?ttl=1", roundrobin()).status == 201

        proxy.restart()

        until(lambda: proxy.get(f"{ADMIN}/upstreams/2").status == 404, "the second upstream was gone")
        assert proxy.get(f"{ADMIN}/upstreams/1").status == 200

    def test_one_connection_for_everything(self, proxy: Proxy) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=20)
        for number in range(20):
            connection.request("PUT", f"{ADMIN}/upstreams/{number}", json.dumps(roundrobin()), {"X-API-KEY": KEY})
            response = connection.getresponse()
            assert (response.status, response.read()[:6]) == (201, b'{"key"')
        connection.close()
        assert proxy.get(f"{ADMIN}/upstreams?page=2&page_size=10").json["total"] == 20


class TestItsOwnConfiguration:
    def test_what_the_file_declares(self, make_proxy: Make) -> None:
        proxy = make_proxy({"resources": {"upstreams": [{"id": "f", **roundrobin()}]}}).start()
        answer = proxy.put(f"{ADMIN}/upstreams/f", roundrobin())
        assert answer.status == 409
        assert str(proxy.path) in answer.json["error_msg"]
