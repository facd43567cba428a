"""The package ``apisix-client``, whose dependencies are older than ours, and so has an interpreter of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tls.pki import self_signed

from . import servers
from .harness import KEY, Proxy

ERRAND = Path(__file__).with_name("apisix_client_errand.py")


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What it met."""
    servers.program("python-with-apisix-client")
    directory = tmp_path_factory.mktemp("proxy")
    issued = self_signed("test.com")
    pair = directory / "pair.json"
    pair.write_text(json.dumps({"cert": issued.pem.decode(), "key": issued.key_pem.decode()}))
    proxy = Proxy(directory).start()
    try:
        url = f"http://127.0.0.1:{proxy.admin_port}/"
        yield json.loads(servers.run("python-with-apisix-client", ERRAND, url, KEY, pair))
    finally:
        proxy.stop()


def test_upstreams(met: dict[str, Any]) -> None:
    found = met["upstreams"]
    posted = found.pop("posted")
    assert (len(posted), posted.isdecimal()) == (20, True)
    assert found == {
        "put": "1",
        "found": ["/apisix/upstreams/1", "1", "first", True, {"a": "b"}],
        "changed": ["1", "changed", True],
        "created first": True,
        "page": True,
        "all": 2,
        "count": 2,
        "refused": None,
        "without nodes": "2",
        "without a port": "2",
        "deleted": [1, 0, None],
        "left": 2,
    }


def test_services(met: dict[str, Any]) -> None:
    found = met["services"]
    made = found.pop("made")
    assert found == {
        "found": "a",
        "changed": True,
        "all": ["b"],
        "nowhere": None,
        "in use": {"error_msg": f"can not delete this upstream, service [{made}] is still using it now"},
        "count": 1,
        "deleted": [True, False],
    }


def test_ssls(met: dict[str, Any]) -> None:
    assert met["ssls"] == {
        "codes": [201, 200, 200, 201],
        "total": 2,
        "one": [["a.test.com", "*.test.com"], {"a": "b"}, False],
        "in the clear": False,
        "wrong": {"error_msg": "invalid configuration: then clause did not match"},
        "deleted": [{"deleted": "1", "key": "/apisix/ssls/1"}, {"message": "Key not found"}],
    }


def test_the_rest(met: dict[str, Any]) -> None:
    assert met["others"] == {"plugins": True, "reloaded": True, "routes": [0, [], None], "consumers": [0, 0]}
