from __future__ import annotations

from streamproxy.model import NameStatus

from .api import Api, FakeRuntime


def test_the_names_that_are_looked_up() -> None:
    api = Api(
        runtime=FakeRuntime(
            looked_up=(
                NameStatus("a.test", "addresses", ("10.0.0.1",), 1.23456, next_lookup=0.23456),
                NameStatus("_b._tcp.test", "services", (), error="nobody answers"),
                NameStatus("c.test", "addresses", ("::1",), 0.0, is_stale=True, error="nobody answers"),
            )
        )
    )
    reply = api.get("/streamproxy/v1/dns")
    assert reply.json["total"] == 3
    first, second, third = reply.json["names"]
    assert first == {
        "name": "a.test",
        "kind": "addresses",
        "answers": ["10.0.0.1"],
        "ttl": 1.235,
        "stale": False,
        "error": None,
        "next_lookup": 0.235,
    }
    assert (second["ttl"], second["error"], second["next_lookup"]) == (None, "nobody answers", None)
    assert third["stale"]
    some = api.get("/streamproxy/v1/dns?limit=1&offset=1").json
    assert ([each["name"] for each in some["names"]], some["total"]) == (["_b._tcp.test"], 3)
