"""The configuration's past, and the ways back: ``/streamproxy/v1/revisions``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from klein import Klein
from twisted.web.server import Request

from streamproxy.interfaces import Configuration, Pending, Revision
from streamproxy.model import Change

from . import incoming
from .document_diff import Encrypted, changes_json
from .native import number_in, pending_json
from .native_openapi import NUMBER, OBJECT, PAGE, Operation, Parameter, described, several, shape
from .respond import Answer, RefusedError, json_answer, router
from .terms import TERMS
from .writer import Writer

_MOST = 200
_MOST_NAMED = 10
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"([0-9]{1,18})\.\.([0-9]{1,18})")
_NOT_FOUND = {404: "There is no such revision, or it is forgotten."}


class RevisionsApi:
    """``encrypted`` is what plugins keep secret."""

    app: Klein = router()

    def __init__(self, configuration: Configuration, writer: Writer, encrypted: Encrypted = dict) -> None:
        self._configuration = configuration
        self._writer = writer
        self._encrypted = encrypted

    @app.route("/", methods=["GET"])
    @described(
        Operation(
            "Every write, the newest first.",
            (PAGE[0], Parameter("before", "Those below this number: the `next` of the page before.", NUMBER)),
            answers={200: shape(revisions=several(), revision=NUMBER)},
        )
    )
    async def listed(self, request: Request) -> Answer:
        limit = min(number_in(request, "limit", 50), _MOST)
        given = incoming.query(request).get("before", (None,))[-1]
        before = None if given is None else number_in(request, "before", 0)
        found = await self._configuration.history.revisions(limit + 1, before)
        shown = found[:limit]
        pending = {each.revision: each for each in self._configuration.pending()}
        return json_answer(
            {
                "revisions": [_summary(revision, pending.get(revision.number)) for revision in shown],
                "next": shown[-1].number if len(found) > limit and shown else None,
                "revision": self._configuration.revision(),
            }
        )

    @app.route("/<which>", methods=["GET"])
    @described(
        Operation(
            "One write and what it changed (`12`), or how what there was at one revision became what there was at"
            " another (`12..15`).",
            answers={200: OBJECT},
            refusals=_NOT_FOUND,
        )
    )
    async def read(self, _request: Request, which: str) -> Answer:
        history = self._configuration.history
        ends = _RANGE.fullmatch(which)
        if ends is not None:
            first, last = int(ends[1]), int(ends[2])
            pairs = await history.between(first, last)
            return json_answer({"from": first, "to": last, "documents": changes_json(pairs, self._encrypted)})
        revision = await history.at(_number(which))
        pending = {each.revision: each for each in self._configuration.pending()}
        summary = _summary(revision, pending.get(revision.number))
        return json_answer({**summary, "documents": changes_json(revision.changes, self._encrypted)})

    @app.route("/<which>/rollback", methods=["POST"])
    @described(
        Operation(
            "Make everything what it was at a revision (0: nothing), as a new revision.",
            (Parameter("force", "Though something that is right now would be wrong then.", {"type": "boolean"}),),
            answers={200: shape(revision=NUMBER, restored=NUMBER, changes=NUMBER)},
            writes=True,
            refusals={**_NOT_FOUND, 409: "Somebody else was quicker."},
        )
    )
    async def roll_back(self, request: Request, which: str) -> Answer:
        number = _number(which)
        query = incoming.query(request)
        intent = incoming.intent(request, query)
        force = incoming.flag(query, "force", False)
        latest, changes = await self._configuration.history.restoring(number)
        written: Sequence[Change] = changes
        if intent.expect is not None and intent.expect != latest:
            latest = intent.expect
        given = incoming.header(request, "X-Reason")
        reason = intent.reason if given else f"back to revision {number}"
        outcome = await self._writer.write(
            lambda: written, author=intent.author, reason=reason, expect=latest, force=force
        )
        return json_answer({"revision": outcome.revision, "restored": number, "changes": len(changes)})

    @app.route("/<which>/confirm", methods=["POST"])
    @described(
        Operation(
            "What waits to be confirmed, up to this revision, stays.",
            answers={200: shape(confirmed=several(NUMBER))},
            refusals={**_NOT_FOUND, 409: "Nothing up to it waits."},
        )
    )
    async def confirm(self, _request: Request, which: str) -> Answer:
        number = _number(which)
        if TERMS.get().dry_run:
            waiting = [each.revision for each in self._configuration.pending() if each.revision <= number]
            return json_answer({"dry_run": True, "confirmed": waiting})
        return json_answer({"confirmed": list(await self._configuration.confirm(number))})


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise RefusedError(404, "not_found", "a revision is a number, and two of them are 12..15")
    return int(text)


def _summary(revision: Revision, pending: Pending | None) -> Mapping[str, Any]:
    named = [str(document.key) for pair in revision.changes for document in (pair[1] or pair[0],) if document]
    return {
        "number": revision.number,
        "time": revision.time,
        "author": revision.author,
        "reason": revision.reason,
        "changes": len(revision.changes),
        "names": named[:_MOST_NAMED],
        "pending": None if pending is None else pending_json(pending),
    }
