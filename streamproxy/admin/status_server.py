"""APISIX's status server: is there a process, and has it a configuration?"""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.resource import Resource
from twisted.web.server import Request

from .respond import to_json

_NOT_READY = "worker id: 0 has not received configuration"


class StatusPages(Resource):
    """``/status`` and ``/status/ready``; ``ready`` says whether the configuration has been applied."""

    isLeaf = True

    def __init__(self, ready: Callable[[], bool]) -> None:
        super().__init__()
        self._ready = ready

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "application/json")
        if request.path == b"/status" or (request.path == b"/status/ready" and self._ready()):
            return to_json({"status": "ok"})
        if request.path == b"/status/ready":
            request.setResponseCode(503)
            return to_json({"status": "error", "error": _NOT_READY})
        request.setResponseCode(404)
        return to_json({"error_msg": "404 Not Found"})
