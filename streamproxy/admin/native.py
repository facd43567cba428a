"""Our own API, ``/streamproxy/v1``: what runs, what does not, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klein import Klein
from twisted.web.server import Request

from streamproxy import __version__
from streamproxy.interfaces import Configuration, Pending, Runtime
from streamproxy.model import Ended, ListenerStatus, NameStatus, TlsMode

from . import incoming
from .certificate_json import certificate_json
from .native_openapi import FLAG, NUMBER, PAGE, Operation, Parameter, described, several, shape
from .respond import Answer, RefusedError, json_answer, problems_json, router
from .upstream_json import upstream_json

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
    @described(Operation("Version, revision, how much there is, and what waits to be confirmed.", is_public=True))
    def status(self, _request: Request) -> Answer:
        return json_answer(
            {
                "version": __version__,
                "ready": self._ready(),
                "revision": self._configuration.revision(),
                "uptime": round(max(self._clock() - self._started, 0.0), 3),
                "sessions": self._runtime.sessions(),
                "problems": len(self._configuration.problems()),
                "pending": [pending_json(each) for each in self._configuration.pending()],
            }
        )

    @app.route("/live", methods=["GET"])
    @described(Operation("Does the process answer?", is_public=True, answers={200: shape(live=FLAG)}))
    def live(self, _request: Request) -> Answer:
        return json_answer({"live": True})

    @app.route("/ready", methods=["GET"])
    @described(
        Operation(
            "Is the configuration in force?", is_public=True, answers={200: shape(ready=FLAG), 503: shape(ready=FLAG)}
        )
    )
    def ready(self, _request: Request) -> Answer:
        ready = self._ready()
        return json_answer({"ready": ready}, 200 if ready else 503)

    @app.route("/upstreams", methods=["GET"])
    @described(
        Operation(
            "The upstreams and how their nodes are.", PAGE, answers={200: shape(upstreams=several(), total=NUMBER)}
        )
    )
    def upstreams(self, request: Request) -> Answer:
        every = self._runtime.upstreams()
        limit, offset = number_in(request, "limit", len(every)), number_in(request, "offset", 0)
        shown = [upstream_json(each) for each in every[offset : offset + limit]]
        return json_answer({"upstreams": shown, "total": len(every)})

    @app.route("/upstreams/<path:name>", methods=["GET"])
    @described(Operation("One upstream.", refusals={404: "There is none of that name."}))
    def upstream(self, _request: Request, name: str) -> Answer:
        for each in self._runtime.upstreams():
            if each.id == name:
                return json_answer(upstream_json(each))
        raise RefusedError(404, "not_found", f"there is no upstream {name}")

    @app.route("/dns", methods=["GET"])
    @described(
        Operation(
            "The names of nodes, and the addresses they have.",
            PAGE,
            answers={200: shape(names=several(), total=NUMBER)},
        )
    )
    def names(self, request: Request) -> Answer:
        every = self._runtime.names()
        limit, offset = number_in(request, "limit", len(every)), number_in(request, "offset", 0)
        return json_answer({"names": [name_json(each) for each in every[offset : offset + limit]], "total": len(every)})

    @app.route("/certificates", methods=["GET"])
    @described(
        Operation(
            "The certificates that are served, and where.",
            PAGE,
            answers={200: shape(certificates=several(), total=NUMBER)},
        )
    )
    def certificates(self, request: Request) -> Answer:
        """All of them are for all listeners that terminate TLS."""
        now = self._clock()
        every = self._runtime.certificates()
        limit, offset = number_in(request, "limit", len(every)), number_in(request, "offset", 0)
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
    @described(
        Operation(
            "Which certificate a client gets that asks for a name, and why.",
            (Parameter("name", "Without one: for a client that sends none."),),
        )
    )
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
    @described(Operation("What is wrong with the configuration.", answers={200: shape(problems=several())}))
    def problems(self, _request: Request) -> Answer:
        found = problems_json(self._configuration.problems())
        return json_answer({"problems": found, "failed_logins": self._failed_logins()})


def number_in(request: Request, name: str, default: int) -> int:
    """Raises :class:`RefusedError` (400)."""
    text = incoming.query(request).get(name, (str(default),))[-1]
    if not text.isdecimal() or len(text) > 9:
        raise RefusedError(400, "bad_query", f"{name} is a number")
    return int(text)


def pending_json(pending: Pending) -> Mapping[str, Any]:
    return {"revision": pending.revision, "deadline": pending.deadline}


def name_json(status: NameStatus) -> Mapping[str, Any]:
    """Times in seconds from now."""
    return {
        "name": status.name,
        "kind": status.kind,
        "answers": list(status.answers),
        "ttl": None if status.ttl is None else round(status.ttl, 3),
        "stale": status.is_stale,
        "error": status.error or None,
        "next_lookup": None if status.next_lookup is None else round(status.next_lookup, 3),
    }


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
