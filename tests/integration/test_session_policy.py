"""What becomes of open sessions when a write takes their way away."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from .harness import Proxy, read_exactly, rule, target, until
from .targets import Echo

Echoes = Callable[..., Echo]


def sessions(proxy: Proxy, port: int, count: int) -> list[socket.socket]:
    """Open so many, each greeted."""
    opened = [proxy.connect(port) for _ in range(count)]
    for sock in opened:
        assert read_exactly(sock, 3).endswith(b"\n")
    return opened


def is_alive(sock: socket.socket) -> bool:
    try:
        sock.sendall(b"?")
        return sock.recv(1) == b"?"
    except OSError:
        return False


def endings(proxy: Proxy) -> list[str]:
    return [each["ending"] for each in proxy.get("/streamproxy/v1/sessions/recent").json["sessions"]]


def replaced(proxy: Proxy, service: dict[str, Any], query: str, **changes: Any) -> None:
    answer = proxy.put(f"/api/tcp/services/{service['id']}{query}", {**service, **changes})
    assert answer.status == 200, answer


def test_they_are_kept_by_default_and_closed_or_drained_where_the_write_says_so(proxy: Proxy, echoes: Echoes) -> None:
    first, second = echoes("F1"), echoes("S1")
    service = proxy.create(rules=[rule("*", target(first.port))])
    other = proxy.create(rules=[rule("*", target(first.port))])
    (bystander,) = sessions(proxy, other["port"], 1)
    opened = sessions(proxy, service["port"], 3)
    replaced(proxy, service, "", rules=[rule("*", target(second.port))])
    replaced(proxy, service, "?sessions=keep", rules=[rule("*", target(first.port), target(second.port))])
    assert all(map(is_alive, opened))
    # A target more or less concerns those who are on it.
    replaced(proxy, service, "?sessions=close", rules=[rule("*", target(first.port))])
    assert all(map(is_alive, opened))
    replaced(proxy, service, "?sessions=close", rules=[rule("*", target(second.port))])
    until(lambda: endings(proxy) == ["drained"] * 3, "three sessions are over")
    assert not any(map(is_alive, opened))
    assert is_alive(bystander)
    opened = sessions(proxy, service["port"], 8)
    assert proxy.delete(f"/api/tcp/services/{service['id']}?sessions=drain&drain_time=2s").status in (200, 204)
    until(lambda: endings(proxy)[:8] == ["drained"] * 8, "all of them are over")
    records = proxy.get("/streamproxy/v1/sessions/recent").json["sessions"][:8]
    moments = sorted(record["started"] + record["duration"] for record in records)
    # Each in its own eighth of the time.
    assert moments[-1] - moments[0] > 1
    assert is_alive(bystander)
    for sock in (*opened, bystander):
        sock.close()


@pytest.mark.parametrize("query", ["?sessions=kill", "?drain_time=3s", "?sessions=drain&drain_time=soon"])
def test_what_is_no_policy_is_refused(proxy: Proxy, query: str) -> None:
    answer = proxy.post(f"/api/tcp/services{query}", {})
    assert answer.status == 400
    assert "sessions" in answer.text or "drain_time" in answer.text
