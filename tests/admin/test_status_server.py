"""APISIX's status server."""

from __future__ import annotations

import pytest

from streamproxy.admin.status_server import StatusPages

from .open import Caller

NOT_READY = {"status": "error", "error": "worker id: 0 has not received configuration"}


@pytest.mark.parametrize("ready", [True, False])
def test_a_process_is_there_whether_it_is_ready_or_not(ready: bool) -> None:
    reply = Caller(StatusPages(lambda: ready)).get("/status")
    assert (reply.code, reply.json) == (200, {"status": "ok"})


def test_it_is_ready_with_a_configuration() -> None:
    reply = Caller(StatusPages(lambda: True)).get("/status/ready")
    assert (reply.code, reply.json) == (200, {"status": "ok"})
    reply = Caller(StatusPages(lambda: False)).get("/status/ready")
    assert (reply.code, reply.json) == (503, NOT_READY)


@pytest.mark.parametrize("path", ["/", "/status/", "/apisix/status", "/status/readyness"])
def test_there_is_nothing_else(path: str) -> None:
    assert Caller(StatusPages(lambda: True)).get(path).code == 404
