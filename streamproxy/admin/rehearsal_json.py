"""What a write would do, as it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from streamproxy.interfaces import Rehearsal, Rerouted

from .document_diff import Encrypted, Pair, changes_json
from .respond import RefusedError, problems_json


@frozen(auto_exc=True)
class RehearsedError(RefusedError):
    """Nothing was written, as was asked for. It is raised so that whoever wanted to write does not go on."""

    def body(self) -> dict[str, Any]:
        return dict(self.extra)


def rehearsed(rehearsal: Rehearsal, encrypted: Encrypted) -> RehearsedError:
    """200 for a write that would be done, 400 for one that would be refused."""
    answer = rehearsal_json(rehearsal, encrypted)
    if not rehearsal.problems:
        return RehearsedError(200, "", "nothing was written", answer)
    description = "; ".join(map(str, rehearsal.problems))
    refused = {"error": "bad_entity", "error_description": description, **answer}
    return RehearsedError(400, "bad_entity", description, refused)


def rehearsal_json(rehearsal: Rehearsal, encrypted: Encrypted) -> dict[str, Any]:
    pairs: tuple[Pair, ...] = rehearsal.changes
    return {
        "dry_run": True,
        "valid": not rehearsal.problems,
        "revision": rehearsal.revision,
        "problems": problems_json(rehearsal.problems),
        "documents": changes_json(pairs, encrypted),
        "listeners": [{"listener": name, "what": what} for name, what in rehearsal.listeners],
        "routes": [{"route": name, "what": what} for name, what in rehearsal.routes],
        "sessions": {
            "recent": rehearsal.sessions,
            "elsewhere": rehearsal.elsewhere,
            "unknown": rehearsal.unknown,
            "examples": list(_examples(rehearsal.examples)),
        },
    }


def _examples(moved: Iterable[Rerouted]) -> Iterable[Mapping[str, Any]]:
    for each in moved:
        facts = each.session.facts
        yield {
            "id": each.session.id,
            "client": str(facts.peer),
            "listener": str(facts.listener),
            "name": facts.name,
            "before": each.before,
            "after": each.after,
        }
