"""
The whole life of objects through the package ``apisix-client``. Run by an interpreter that has it, with the URL and the
key of an Admin API and a file with a certificate and its key; it prints what it met, as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def _module(name: str = "") -> Any:
    return importlib.import_module(f"apisix_client{name}")


def _upstreams(client: Any) -> dict[str, Any]:
    models = _module(".upstream.models")
    node = models.Node(host="127.0.0.1", port=8080, weight=1)
    upstream = models.Upstream(name="first", nodes=[node], labels={"a": "b"}, retries=1, scheme="tcp")
    put = client.upstream.create_or_update(upstream, "1")
    posted = client.upstream.create_with_id_generation(upstream)
    found = client.upstream.get("1")
    upstream.desc = "changed"
    changed = client.upstream.create_or_update(upstream, "1")
    again = client.upstream.get("1")
    return {
        "put": put,
        "posted": posted,
        "found": [found.key, found.value.id, found.value.name, found.value.nodes == [node], found.value.labels],
        "changed": [changed, again.value.desc, again.modified_index > found.modified_index],
        "created first": found.created_index < client.upstream.get(posted).created_index,
        "page": [each.value.id for each in client.upstream.get_all((1, 10))] == ["1", posted],
        "all": len(client.upstream.get_all()),
        "count": client.upstream.count(),
        "refused": client.upstream.create_or_update(models.Upstream(nodes=[node], retries=-1), "3"),
        "without nodes": client.upstream.create_or_update(models.Upstream(), "2"),
        "without a port": client.upstream.create_or_update(
            models.Upstream(nodes=[models.Node(host="127.0.0.1", weight=1)]), "2"
        ),
        "deleted": [client.upstream.delete(posted), client.upstream.delete(posted), client.upstream.get(posted)],
        "left": client.upstream.count(),
    }


def _services(client: Any) -> dict[str, Any]:
    service, models = _module(".service.models").Service, _module(".upstream.models")
    upstream = models.Upstream(nodes=[models.Node(host="127.0.0.1", port=8080, weight=1)])
    made = client.service.create_with_id_generation(service(name="a", upstream=upstream, enable_websocket=True))
    return {
        "made": made,
        "found": client.service.get(made).value.name,
        "changed": client.service.create_or_update(service(name="b", upstream_id="1"), made) == made,
        "all": [each.value.name for each in client.service.get_all()],
        "nowhere": client.service.create_or_update(service(name="c", upstream_id="nope"), "c"),
        "in use": client._httpx_client.delete("/upstreams/1").json(),
        "count": client.service.count(),
        "deleted": [client.service.delete(made), client.service.delete(made)],
    }


def _ssls(client: Any, pair: Mapping[str, str]) -> dict[str, Any]:
    """The package has the place for them and not yet the methods; its session has the URL and the key."""
    session, path = client._httpx_client, client.ssl.url_postfix
    put = session.put(f"{path}/1", json={**pair, "sni": "test.com"})
    changed = session.put(f"{path}/1", json={**pair, "snis": ["a.test.com", "*.test.com"]})
    patched = session.patch(f"{path}/1", json={"labels": {"a": "b"}})
    posted = session.post(path, json={**pair, "type": "client"})
    listed = session.get(path, params={"page": 1, "page_size": 10}).json()
    one = session.get(f"{path}/1").json()
    return {
        "codes": [each.status_code for each in (put, changed, patched, posted)],
        "total": listed["total"],
        "one": [one["value"]["snis"], one["value"]["labels"], "key" in one["value"]],
        "in the clear": "PRIVATE KEY" in put.text + json.dumps(listed) + json.dumps(one),
        "wrong": session.put(f"{path}/2", json={"sni": "test.com"}).json(),
        "deleted": [session.delete(f"{path}/1").json(), session.delete(f"{path}/1").json()],
    }


def _others(client: Any) -> dict[str, Any]:
    return {
        "plugins": "limit-conn" in client.plugin.get_available(),
        "reloaded": client.plugin.reload(),
        "routes": [client.route.count(), client.route.get_all(), client.route.get("1")],
        "consumers": [client.consumer.count(), client.consumer.delete("jack")],
    }


def main(url: str, key: str, file: str) -> None:
    client = _module().ApisixClient(base_url=url, api_key=key)
    pair = json.loads(Path(file).read_text())
    errands: Mapping[str, Callable[[], dict[str, Any]]] = {
        "upstreams": lambda: _upstreams(client),
        "services": lambda: _services(client),
        "ssls": lambda: _ssls(client, pair),
        "others": lambda: _others(client),
    }
    print(json.dumps({name: errand() for name, errand in errands.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
