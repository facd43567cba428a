"""The sessions there are and were: ``/streamproxy/v1/sessions``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from klein import Klein
from twisted.web.server import Request

from streamproxy.interfaces import Runtime

from . import incoming
from .native import ended_json, number_in
from .native_openapi import NUMBER, OBJECT, PAGE, TEXT, Operation, Parameter, described, several, shape
from .native_sessions_events import CallLater, Events
from .native_sessions_filter import ENDED, FILTERS, LIVE, SORTS, Selection, Session, selection_of, sorting_of
from .respond import Answer, RefusedError, answer, empty_answer, json_answer, router
from .session_json import session_json
from .terms import TERMS

_MOST = 1000
_MOST_RECENT = 1000
_PAGING = ("limit", "offset", "sort")
_NOT_FOUND = {404: "There is no such session, or it is forgotten."}


class SessionsApi:
    """``call_later`` is a reactor's; without one, event streams have no heartbeat."""

    app: Klein = router()

    def __init__(self, runtime: Runtime, call_later: CallLater | None = None) -> None:
        self._runtime = runtime
        self.events = Events(runtime, call_later)

    @app.route("/", methods=["GET"])
    @described(
        Operation(
            "The sessions that go on, and the last that ended.",
            (*FILTERS, Parameter("sort", f"One of {', '.join(SORTS)}; with - before it the greatest first."), *PAGE),
            answers={200: shape(sessions=several(), total=NUMBER, live=NUMBER)},
        )
    )
    async def listed(self, request: Request) -> Answer:
        await self._runtime.refresh()
        query = incoming.query(request)
        selection = selection_of(query, _PAGING)
        key, backwards = sorting_of(query)
        limit, offset = min(number_in(request, "limit", 100), _MOST), number_in(request, "offset", 0)
        found = sorted(self._selected(selection), key=key, reverse=backwards)
        shown = [session_json(session) for session in found[offset : offset + limit]]
        return json_answer({"sessions": shown, "total": len(found), "live": self._runtime.sessions()})

    @app.route("/", methods=["DELETE"])
    @described(
        Operation(
            "End all live sessions that the filters hold for, of which there has to be one.",
            FILTERS,
            answers={200: shape(killed=several(TEXT))},
        )
    )
    async def kill_several(self, request: Request) -> Answer:
        await self._runtime.refresh()
        selection = selection_of(incoming.query(request), ("dry_run",))
        if not selection.is_filtered:
            raise RefusedError(400, "bad_query", "say which: without a filter this would end every session")
        live = (LIVE in selection.states and self._runtime.live()) or ()
        names = [session.id for session in live if selection.holds(session)]
        if TERMS.get().dry_run:
            return json_answer({"dry_run": True, "killed": names})
        return json_answer({"killed": [name for name in names if self._runtime.kill(name, _by(request))]})

    @app.route("/recent", methods=["GET"])
    @described(
        Operation(
            "How the last sessions ended, the newest first.",
            (PAGE[0],),
            answers={200: shape(sessions=several())},
        )
    )
    async def recent(self, request: Request) -> Answer:
        await self._runtime.refresh()
        newest = list(reversed(self._runtime.recent()))[: min(number_in(request, "limit", 100), _MOST_RECENT)]
        return json_answer({"sessions": [ended_json(ended) for ended in newest]})

    @app.route("/events", methods=["GET"])
    @described(
        Operation(
            "What happens to sessions, as it happens: events `opened`, `routed` and `ended`, with the session as data.",
            FILTERS,
            answers={200: TEXT},
            media="text/event-stream",
            refusals={503: "There are too many who listen already."},
        )
    )
    def stream(self, request: Request) -> Answer:
        selection = selection_of(incoming.query(request))
        if request.method == b"HEAD":
            return answer(b"", "text/event-stream; charset=utf-8")
        return self.events.subscribe(request, selection).addCallback(lambda _: empty_answer(200))

    @app.route("/<id>", methods=["GET"])
    @described(Operation("One session.", answers={200: OBJECT}, refusals=_NOT_FOUND))
    async def read(self, _request: Request, id: str) -> Answer:  # noqa: A002
        await self._runtime.refresh()
        return json_answer(session_json(self._found(id)))

    @app.route("/<id>", methods=["DELETE"])
    @described(
        Operation(
            "End a session now: both its peers are reset.",
            answers={200: shape(killed=several(TEXT))},
            refusals={**_NOT_FOUND, 409: "It has ended by itself."},
        )
    )
    async def kill(self, request: Request, id: str) -> Answer:  # noqa: A002
        await self._runtime.refresh()
        session = session_json(self._found(id))
        if session["state"] != LIVE:
            raise RefusedError(409, "conflict", f"it is over: {session['ending']}")
        if TERMS.get().dry_run:
            return json_answer({"dry_run": True, "killed": [id]})
        self._runtime.kill(id, _by(request))
        return json_answer({"killed": [id]})

    @app.route("/<id>/why", methods=["GET"])
    @described(
        Operation(
            "Why a session goes, or went, where it does: every rule in order, what plugins said, the node, the ending."
            " As text for `Accept: text/plain`.",
            answers={200: OBJECT},
            refusals=_NOT_FOUND,
        )
    )
    async def why(self, request: Request, id: str) -> Answer:  # noqa: A002
        await self._runtime.refresh()
        explained = await self._runtime.why(id)
        if explained is None:
            raise _unknown()
        if "text/plain" in incoming.accepted(request):
            return answer(explained.text.encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8")
        return json_answer(explained.answer)

    # Inside

    def _selected(self, selection: Selection) -> Iterator[Session]:
        live = self._runtime.live() if LIVE in selection.states else ()
        ended = self._runtime.recent() if ENDED in selection.states else ()
        return filter(selection.holds, chain(live, ended))

    def _found(self, id: str) -> Session:  # noqa: A002
        session = self._runtime.session(id)
        if session is None:
            raise _unknown()
        return session


def _by(request: Request) -> str:
    return f"by {incoming.caller(request).name}"


def _unknown() -> RefusedError:
    return RefusedError(404, "not_found", "there is no such session, or it ended so long ago that it is forgotten")
