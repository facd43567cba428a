"""Our own API, ``/streamproxy/v1``: what runs, what does not, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.web.server import Request

from streamproxy import __version__
from streamproxy.interfaces import Configuration, Runtime
from streamproxy.model import Ended, ListenerStatus

from . import incoming
from .respond import Answer, RefusedError, json_answer, problems_json, router

_MOST_RECENT = 1000


class NativeApi:
    """
    ``clock`` gives seconds since the epoch. ``ready`` says whether the configuration has been applied once;
    ``failed_logins`` how many there were.
    """

    app: Klein = router()

    def __init__(
        self,
        configuration: Configuration,
        runtime: Runtime,
        clock: Callable[[], float],
        ready: Callable[[], bool],
        failed_logins: Callable[[], int],
    ) -> None:
        self._configuration = configuration
        self._runtime = runtime
        self._clock = clock
        self._started = clock()
        self._ready = ready
        self._failed_logins = failed_logins

    @app.route("/status", methods=["GET"])
    def status(self, _request: Request) -> Answer:
        return json_answer(
            {
                "version": __version__,
                "ready": self._ready(),
                "revision": self._configuration.revision(),
                "uptime": round(max(self._clock() - self._started, 0.0), 3),
                "sessions": self._runtime.sessions(),
                "problems": len(self._configuration.problems()),
            }
        )

    @app.route("/live", methods=["GET"])
    def live(self, _request: Request) -> Answer:
        return json_answer({"live": True})

    @app.route("/ready", methods=["GET"])
    def ready(self, _request: Request) -> Answer:
        ready = self._ready()
        return json_answer({"ready": ready}, 200 if ready else 503)

    @app.route("/listeners", methods=["GET"])
    def listeners(self, _request: Request) -> Answer:
        return json_answer({"listeners": [listener_json(status) for status in self._runtime.listeners()]})

    @app.route("/problems", methods=["GET"])
    def problems(self, _request: Request) -> Answer:
        found = problems_json(self._configuration.problems())
        return json_answer({"problems": found, "failed_logins": self._failed_logins()})

    @app.route("/sessions/recent", methods=["GET"])
    def recent(self, request: Request) -> Answer:
        """The last ended sessions, the newest first."""
        limit = incoming.query(request).get("limit", ("100",))[-1]
        if not limit.isdecimal() or len(limit) > 9:
            raise RefusedError(400, "bad_query", "limit is a number")
        newest = list(reversed(self._runtime.recent()))[: min(int(limit), _MOST_RECENT)]
        return json_answer({"sessions": [ended_json(ended) for ended in newest]})


def listener_json(status: ListenerStatus) -> Mapping[str, Any]:
    listener = status.listener
    return {
        "address": str(listener.address),
        "transport": listener.address.transport.value,
        "interface": listener.address.interface,
        "port": listener.address.port,
        "bound_port": status.bound_port,
        "owner": listener.owner,
        "documents": [{"dialect": key.dialect, "kind": key.kind, "id": key.id} for key in listener.documents],
        "tls": listener.tls.value,
        "client_auth": listener.client_auth.value,
        "state": status.state.value,
        "error": status.error or None,
        "retry_in": status.retry_in,
        "revision": status.revision,
        "sessions": status.sessions,
        "accepted": status.accepted,
        "bytes_in": status.bytes_in,
        "bytes_out": status.bytes_out,
        "ended": dict(status.ended),
    }


def ended_json(ended: Ended) -> Mapping[str, Any]:
    facts = ended.facts
    return {
        "id": ended.id,
        "listener": str(facts.listener),
        "client": str(facts.peer),
        "local": str(facts.local),
        "name": facts.name,
        "owner": ended.owner,
        "revision": ended.revision,
        "route": ended.route,
        "upstream": ended.upstream,
        "node": ended.node,
        "ending": ended.ending.value,
        "detail": ended.detail or None,
        "started": ended.started,
        "duration": ended.duration,
        "sniff_time": ended.sniff_time,
        "connect_time": ended.connect_time,
        "bytes_in": ended.bytes_in,
        "bytes_out": ended.bytes_out,
        "attempts": ended.attempts,
    }
