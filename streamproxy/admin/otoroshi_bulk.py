"""
Otoroshi's bulk writes: newline-delimited JSON in, one outcome a line out.

Each line stands for itself, as if it had been sent alone after those above it; but all that are right become one
revision of the configuration, so that one assembly of the whole has to be made and one thing can be rolled back.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from attrs import define, evolve, field, frozen

from streamproxy.errors import InvalidConfiguration, Problem, ReadOnlyDocument
from streamproxy.model import Change, Delete, Document, Json, Put

from .bodies import BodyError
from .incoming import Intent
from .patching import PatchError, apply_patch
from .respond import problems_json
from .tcp_services import EntityError, TcpServices, entity_of, key_of

# How often the lines that do not go together with the rest are taken out and the rest is tried again.
_ROUNDS = 8

_INDEXED = re.compile(r"\[([0-9]+)\]\.?(.*)", re.DOTALL)

Outcome = Mapping[str, Any]


class Action(enum.Enum):
    """The value is what an outcome says was done."""

    CREATE = "created"
    UPDATE = "updated"
    PATCH = "patched"
    DELETE = "deleted"


@frozen
class Manners:
    """
    What the two APIs do differently. ``strict``: creating what is there and updating what is not is an error, where
    ``/api`` just stores it. ``extra`` is in every good outcome.
    """

    strict: bool
    extra: Mapping[str, Json] = field(factory=dict)


@frozen
class Line:
    """One line: what it asks for (``body``: of a patch the operations), or the outcome it already has."""

    number: int
    id: str = ""
    body: Json = None
    failed: Outcome | None = None


@define
class _Plan:
    """What the lines come to. ``changes`` holds the last change of each id, with the line it is of."""

    outcomes: list[Outcome] = field(factory=list)
    changes: dict[str, tuple[Change, Line]] = field(factory=dict)

    def blamed(self, problems: Iterable[Problem]) -> dict[int, tuple[Problem, ...]]:
        """The problems by the number of their line; where they are of no line, by all."""
        lines = [line for _, line in self.changes.values()]
        if len(lines) == 1:
            return {lines[0].number: tuple(problems)}
        blamed: dict[int, list[Problem]] = {}
        for problem in problems:
            match = _INDEXED.fullmatch(problem.path)
            if match and int(match[1]) < len(lines):
                blamed.setdefault(lines[int(match[1])].number, []).append(evolve(problem, path=match[2]))
        if not blamed:
            return {line.number: tuple(problems) for line in lines}
        return {number: tuple(found) for number, found in blamed.items()}


async def bulk(
    services: TcpServices,
    action: Action,
    lines: Iterable[tuple[int, Json | BodyError]],
    intent: Intent,
    manners: Manners,
) -> list[Outcome]:
    """Raises ``RevisionConflict`` and ``StoreError``: then nothing was changed."""
    read = [_read(services, action, number, value) for number, value in lines]
    refused: dict[int, tuple[Problem, ...]] = {}
    plan = _Plan()

    def decide() -> Sequence[Change]:
        nonlocal plan
        intent.check(None, services.configuration.revision())
        plan = _planned(services, action, read, refused, manners)
        return [change for change, _ in plan.changes.values()]

    for _ in range(_ROUNDS):
        try:
            await services.write(decide, intent)
        except InvalidConfiguration as error:
            refused.update(plan.blamed(error.problems))
        else:
            return plan.outcomes
    too_many = (Problem("", "conflict", "too many lines of this bulk conflict with each other: send fewer"),)
    refused.update({line.number: too_many for line in read if line.number not in refused})
    return _planned(services, action, read, refused, manners).outcomes


def _read(services: TcpServices, action: Action, number: int, value: Json | BodyError) -> Line:
    """What can be said of a line without looking at what there is."""
    if isinstance(value, BodyError):
        return Line(number, failed=_failure(400, "bad_format", f"line {number}: {value.why}"))
    identifier = value.get("id") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(identifier, str) or not identifier:
        return Line(number, failed=_failure(400, "bad_entity", f"line {number}: expected an object with an id", value))
    if action is Action.PATCH:
        return Line(number, identifier, value.get("patch"))
    if action is Action.DELETE:
        return Line(number, identifier)
    try:
        entity = services.checked(value, identifier, ["created_at" if action is Action.CREATE else "updated_at"])
    except EntityError as error:
        return Line(number, identifier, failed=_unsound(identifier, error.problems, value))
    return Line(number, identifier, cast("Json", entity))


def _planned(
    services: TcpServices,
    action: Action,
    lines: Iterable[Line],
    refused: Mapping[int, tuple[Problem, ...]],
    manners: Manners,
) -> _Plan:
    plan = _Plan()
    for line in lines:
        if line.failed is not None:
            plan.outcomes.append(line.failed)
        elif line.number in refused:
            plan.outcomes.append(_unsound(line.id, refused[line.number], line.body))
        else:
            plan.outcomes.append(_decided(services, action, line, plan.changes, manners))
    return plan


def _decided(
    services: TcpServices,
    action: Action,
    line: Line,
    changes: dict[str, tuple[Change, Line]],
    manners: Manners,
) -> Outcome:
    """The outcome of one line after those above it; its change is added to ``changes``."""
    document = services.configuration.get(key_of(line.id))
    if document is not None and document.origin:
        return _failure(409, "read_only", str(ReadOnlyDocument(str(document.key), document.origin)), id=line.id)
    current = _current(document, changes.get(line.id))
    missing = _out_of_place(action, line, manners, there=current is not None)
    if missing is not None:
        return missing
    try:
        change = _change(services, action, line, current)
    except PatchError as error:
        return _failure(400, "bad_patch", error.why, id=line.id)
    except EntityError as error:
        return _unsound(line.id, error.problems, error.body)
    # The last change of an id counts, in the place of the last line that has one.
    changes.pop(line.id, None)
    changes[line.id] = (change, line)
    verb = "updated" if action is Action.PATCH else action.value
    return {"status": 201 if action is Action.CREATE else 200, verb: True, "id": line.id, **manners.extra}


def _current(document: Document | None, changed: tuple[Change, Line] | None) -> Mapping[str, Json] | None:
    if changed is None:
        return None if document is None else entity_of(document)
    return changed[0].body if isinstance(changed[0], Put) else None


def _out_of_place(action: Action, line: Line, manners: Manners, *, there: bool) -> Outcome | None:
    if action is Action.CREATE:
        taken = there and manners.strict
        return _failure(400, "bad_entity", "entity already exists", line.body, id=line.id) if taken else None
    if there or (action is Action.UPDATE and not manners.strict):
        return None
    description = "Entity does not exists" if action is Action.UPDATE else "Entity not found"
    return _failure(404, "not_found", description, id=line.id)


def _change(services: TcpServices, action: Action, line: Line, current: Mapping[str, Json] | None) -> Change:
    key = key_of(line.id)
    if action is Action.DELETE:
        return Delete(key)
    if action is Action.PATCH:
        patched = apply_patch(dict(current or {}), line.body)
        return Put(key, services.checked(patched, line.id, ["updated_at"]))
    return Put(key, cast("Mapping[str, Json]", line.body))


def _failure(status: int, error: str, description: str, entity: Json = None, **extra: Json) -> Outcome:
    outcome: dict[str, Any] = {"status": status, "error": error, "error_description": description, **extra}
    return outcome if entity is None else {**outcome, "entity": entity}


def _unsound(identifier: str, problems: Iterable[Problem], entity: Json) -> Outcome:
    found = tuple(problems)
    description = "; ".join(map(str, found))
    return _failure(400, "bad_entity", description, entity, id=identifier, problems=problems_json(found))


ACTIONS: Mapping[bytes, Action] = {
    b"POST": Action.CREATE,
    b"PUT": Action.UPDATE,
    b"PATCH": Action.PATCH,
    b"DELETE": Action.DELETE,
}
