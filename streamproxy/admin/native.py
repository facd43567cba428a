"""Our own API, ``/streamproxy/v1``: what runs, what does not, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.web.server import Request

from streamproxy import __version__
from streamproxy.interfaces import Configuration, Runtime
from streamproxy.model import Ended, ListenerStatus, TlsMode

from . import incoming
from .certificate_json import certificate_json
from .respond import Answer, RefusedError, json_answer, problems_json, router

_MOST_RECENT = 1000
_MOST_CANDIDATES = 100


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

    @app.route("/certificates", methods=["GET"])
    def certificates(self, request: Request) -> Answer:
        """All of them are for all listeners that terminate TLS."""
        now = self._clock()
        every = self._runtime.certificates()
        limit, offset = _number(request, "limit", len(every)), _number(request, "offset", 0)
        terminating = [each.listener for each in self._runtime.listeners() if each.listener.tls is TlsMode.TERMINATE]
        return json_answer(
            {
                "certificates": [certificate_json(each, now) for each in every[offset : offset + limit]],
                "total": len(every),
                "listeners": [
                    {"address": str(each.address), "owner": each.owner, "client_auth": each.client_auth.value}
                    for each in terminating
                ],
            }
        )

    @app.route("/certificates/for", methods=["GET"])
    def certificate_for(self, request: Request) -> Answer:
        """Without a name: for a client that sends none."""
        name = incoming.query(request).get("name", (None,))[-1]
        choice = self._runtime.certificate_for(name)
        chosen = choice.certificate
        return json_answer(
            {
                "name": name,
                "certificate": None if chosen is None else certificate_json(chosen, self._clock()),
                "why": choice.why,
                "candidates": [
                    {"id": each.id, "name": each.name, "won": each.won, "why": each.why}
                    for each in choice.candidates[:_MOST_CANDIDATES]
                ],
            }
        )

    @app.route("/problems", methods=["GET"])
    def problems(self, _request: Request) -> Answer:
        found = problems_json(self._configuration.problems())
        return json_answer({"problems": found, "failed_logins": self._failed_logins()})

    @app.route("/sessions/recent", methods=["GET"])
    def recent(self, request: Request) -> Answer:
        """The last ended sessions, the newest first."""
        newest = list(reversed(self._runtime.recent()))[: min(_number(request, "limit", 100), _MOST_RECENT)]
        return json_answer({"sessions": [ended_json(ended) for ended in newest]})


def _number(request: Request, name: str, default: int) -> int:
    """Raises :class:`RefusedError` (400)."""
    text = incoming.query(request).get(name, (str(default),))[-1]
    if not text.isdecimal() or len(text) > 9:
        raise RefusedError(400, "bad_query", f"{name} is a number")
    return int(text)


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
