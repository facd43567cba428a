"""
From the events of a YAML parser to plain values: what JSON can hold, bounded, with text for keys.

PyYAML is asked for events only. What it makes of them by itself knows dates and bytes, lets the last of two equal keys
win without a word, and follows nesting and aliases wherever they lead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Json

from ..codec import shown
from .scalar import resolve
from .trail import Trail, path_of

# Objects and lists within one another. The deepest documents of either dialect need about ten.
MOST_DEPTH: Final = 64
# Values in one file, those that an alias repeats counted again: 100,000 routes of 20 values each.
MOST_VALUES: Final = 2_000_000


class Composer:
    """Composes the values of one document from its events. ``problems`` are those that do not end it."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.problems: list[Problem] = []
        self._events = events
        self._anchors: dict[str, tuple[Json, int]] = {}
        self._count = 0

    def document(self) -> Json:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), None, 0)
        next(self._events)
        end = next(self._events)
        if not isinstance(end, yaml.StreamEndEvent):
            raise refused(end.start_mark, "a second document begins here, and one file holds one")
        return value

    def _value(self, event: Any, trail: Trail, depth: int) -> Json:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MOST_DEPTH:
            raise too_deep(event.start_mark)
        before = self._count
        self._counted(1, event)
        value: Json
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, trail)
        elif isinstance(event, yaml.MappingStartEvent):
            self._tagged(event, trail, "map")
            value = self._mapping(trail, depth)
        else:
            self._tagged(event, trail, "seq")
            value = self._sequence(trail, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._count - before
        return value

    def _alias(self, event: Any) -> Json:
        if event.anchor not in self._anchors:
            raise refused(event.start_mark, f"no value before this one is called &{event.anchor}")
        value, size = self._anchors[event.anchor]
        self._counted(size, event)
        return value

    def _counted(self, size: int, event: Any) -> None:
        self._count += size
        if self._count > MOST_VALUES:
            raise refused(event.start_mark, f"more than {MOST_VALUES} values (aliases repeat theirs) are too many")

    def _scalar(self, event: Any, trail: Trail) -> Json:
        if event.implicit[0] and event.tag is None:
            return resolve(event.value)
        self._tagged(event, trail, "str")
        return str(event.value)

    def _tagged(self, event: Any, trail: Trail, kind: str) -> None:
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{kind}"):
            message = f"{_line(event.start_mark)}: the tag {shown(event.tag)} has no meaning here"
            self.problems.append(Problem(path_of(trail), "unsupported", message))

    def _sequence(self, trail: Trail, depth: int) -> list[Json]:
        items: list[Json] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (trail, len(items)), depth + 1))
        return items

    def _mapping(self, trail: Trail, depth: int) -> dict[str, Json]:
        own: dict[str, Json] = {}
        merged: dict[str, Json] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
                event = next(self._events)
                self._merge(merged, self._value(event, trail, depth + 1), trail, event)
                continue
            key = self._key(event, trail, depth + 1)
            where = trail if key is None else (trail, key)
            if key in own:
                message = f"stands a second time in {_line(event.start_mark)}"
                self.problems.append(Problem(path_of(where), "conflict", message))
            item = self._value(next(self._events), where, depth + 1)
            if key is not None:
                own.setdefault(key, item)
        return {**merged, **own}

    def _key(self, event: Any, trail: Trail, depth: int) -> str | None:
        key = self._value(event, trail, depth)
        if isinstance(key, str):
            return key
        message = f"{_line(event.start_mark)}: a key has to be text: put it in quotes"
        self.problems.append(Problem(path_of(trail), "wrong_type", message))
        return None

    def _merge(self, merged: dict[str, Json], value: Json, trail: Trail, event: Any) -> None:
        """The objects behind ``<<``, of which the first that has a key gives it."""
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                message = f"{_line(event.start_mark)}: << takes an object or a list of objects"
                self.problems.append(Problem(path_of(trail), "wrong_type", message))
                return
            for key, item in each.items():
                merged.setdefault(key, item)


def _line(mark: Any) -> str:
    return f"line {mark.line + 1}"


def refused(mark: Any, message: str) -> InvalidConfiguration:
    """The error that ends reading. ``mark`` is where PyYAML stood, if it is known."""
    where = f"{_line(mark)}, column {mark.column + 1}: " if mark is not None else ""
    return InvalidConfiguration((Problem("", "bad_value", where + message),))


def too_deep(mark: Any) -> InvalidConfiguration:
    return refused(mark, f"objects and lists stand deeper than {MOST_DEPTH} within one another")
