"""Somebody who calls APISIX's Admin API of a running process."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping
from typing import Any

from streamproxy.admin.respond import to_json
from tests.admin.api import Reply
from tests.admin.apisix_kit import KEY, Verbs

from .harness import PATIENCE, Proxy

ADMIN = "/apisix/admin"
KINDS = ("stream_routes", "services", "upstreams", "ssls", "plugin_metadata")
PLUGINS = ["ip-restriction", "limit-conn", "mqtt-proxy", "traffic-split", "prometheus", "syslog"]
CONFIG: Mapping[str, Any] = {
    "admin": {
        "keys": [
            {"name": "root", "key": "root-key", "role": "admin"},
            {"name": "watcher", "key": "watcher-key", "role": "viewer"},
        ]
    },
    "stream_plugins": PLUGINS,
}
"""What a process has to be configured with beside its listeners."""


def configured(proxy: Proxy) -> Proxy:
    """With the keys that its callers have."""
    proxy.config.update({**CONFIG, "admin": {**proxy.config["admin"], **CONFIG["admin"]}})
    return proxy


class Caller(Verbs):
    """Over one connection for everything."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._connection = http.client.HTTPConnection("127.0.0.1", proxy.admin_port, timeout=PATIENCE)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        data = options.get("data", None if body is None else to_json(body))
        headers = dict(options.get("headers", KEY))
        try:
            self._connection.request(method, ADMIN + path, data, headers)
            response = self._connection.getresponse()
            read = response.read()
        except (http.client.HTTPException, OSError):
            # Whoever is refused may be hung up on.
            self._connection.close()
            raise
        told = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, told, read, int(told.get("content-length", len(read))))

    def is_now(self, at: float) -> bool:
        return abs(time.time() - at) < PATIENCE

    def wait(self) -> None:
        # Times are in whole seconds.
        time.sleep(1.01)

    def at_rest(self) -> str:
        files = (path for path in self.proxy.directory.iterdir() if path.is_file() and ".db" in path.name)
        return "".join(path.read_bytes().decode("latin-1") for path in sorted(files))

    def everything(self) -> dict[str, Any]:
        """What every list says."""
        return {kind: self.get(f"/{kind}").json for kind in KINDS}

    def clean(self) -> None:
        """Delete everything."""
        for kind in KINDS:
            for item in self.get(f"/{kind}").json["list"]:
                name = item["key"].rpartition("/")[2]
                assert self.delete(f"/{kind}/{name}?force=true").code == 200

    def close(self) -> None:
        self._connection.close()


def calling(proxy: Proxy) -> Iterator[Caller]:
    """For a fixture."""
    caller = Caller(configured(proxy).start())
    try:
        yield caller
    finally:
        caller.close()
        proxy.stop()
