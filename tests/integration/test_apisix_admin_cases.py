"""The cases of APISIX's Admin API once more, by their numbers, over HTTP to a running process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.admin.apisix_kit import roundrobin
from tests.admin.test_apisix_cases import (  # noqa: F401 - they are found here, and ask the API of this module
    TestBeyondTheCases,
    TestEnvelope,
    TestIntrospection,
    TestSsls,
    TestStreamRoutes,
    TestUpstreams,
)

from .apisix_caller import Caller, calling
from .conftest import Make
from .harness import Proxy, until


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    yield from calling(Proxy(tmp_path_factory.mktemp("proxy")))


@pytest.fixture
def api(caller: Caller) -> Iterator[Caller]:
    yield caller
    caller.clean()


class TestSettings:
    def test_c02_auth_off(self, make_proxy: Make) -> None:
        proxy = make_proxy()
        host, _, port = proxy.config.pop("admin")["listen"].partition(":")
        proxy.config["deployment"] = {
            "admin": {"admin_key_required": False, "admin_listen": {"ip": host, "port": int(port)}}
        }
        proxy.start()
        answers = [proxy.get("/apisix/admin/routes", key=key) for key in ("right", "wrong", None)]
        assert [answer.status for answer in answers] == [200] * 3
        assert proxy.put("/apisix/admin/upstreams/1", roundrobin(), key=None).status == 201
        until(lambda: "Admin key is bypassed!" in proxy.output, "it was logged that no key is required")

    @pytest.mark.parametrize(("setting", "version"), [("v3", "v3"), ("v2", "v2"), (None, "v3")])
    def test_c03_headers(self, make_proxy: Make, setting: str | None, version: str) -> None:
        chosen = {} if setting is None else {"deployment": {"admin": {"admin_api_version": setting}}}
        proxy = make_proxy(chosen).start()
        answer = proxy.get("/apisix/admin/routes")
        told = {name.lower(): value for name, value in answer.headers.items()}
        assert (answer.status, told["server"], told["x-api-version"]) == (200, "APISIX/3.18.0", version)
        refused = proxy.get("/apisix/admin/routes", key=None)
        assert refused.status == 401
        assert "x-api-version" not in map(str.lower, refused.headers)

    def test_c04_stream_disabled(self, make_proxy: Make) -> None:
        proxy = make_proxy({"apisix": {"proxy_mode": "http"}}).start()
        route = {"remote_addr": "127.0.0.1", "upstream": roundrobin(), "desc": "new route"}
        for method in ("PUT", "GET", "DELETE"):
            answer = proxy.request(method, "/apisix/admin/stream_routes/1", route)
            assert (answer.status, answer.json) == (
                400,
                {"error_msg": "stream mode is disabled, can not add stream routes"},
            )
