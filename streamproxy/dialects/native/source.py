"""A configuration file, read and made into plain values: what JSON can hold, bounded, with text for keys."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Json

from ..codec import bounded, shown
from .composer import MOST_DEPTH, Composer, refused, too_deep
from .trail import Trail, path_of

MOST_BYTES: Final = 16 * 1024 * 1024

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> str:
    """
    The text of the file ``path``.

    Raises ``InvalidConfiguration`` when it cannot be read, is too large, or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidConfiguration((Problem("", "missing", f"{path} cannot be read: {why}"),)) from error
    if len(content) > MOST_BYTES:
        raise refused(None, f"{path} is larger than {MOST_BYTES // 2**20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(None, f"{path} is no UTF-8 text: byte {error.start} is wrong") from None


def parse(text: str, *, is_json: bool) -> tuple[Json, tuple[Problem, ...]]:
    """
    The value that ``text`` holds (``None`` for nothing at all), and what stands in it that has no meaning.

    Raises ``InvalidConfiguration`` when it is no YAML, or no JSON, and when it is beyond the bounds.
    """
    value, problems = _json(text) if is_json else _yaml(text)
    if _depth(value) > MOST_DEPTH:
        raise too_deep(None)
    if "\\u" in text:
        problems += bounded(_halves(value, None))
    return value, problems


def _yaml(text: str) -> tuple[Json, tuple[Problem, ...]]:
    composer = Composer(yaml.parse(text, Loader=_Loader))
    try:
        value = composer.document()
    except yaml.MarkedYAMLError as error:
        raise refused(error.problem_mark, f"this is no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise refused(None, f"this is no YAML: {getattr(error, 'reason', 'it cannot be read')}") from None
    return value, bounded(composer.problems)


def _json(text: str) -> tuple[Json, tuple[Problem, ...]]:
    problems: list[Problem] = []

    def pairs(items: list[tuple[str, Json]]) -> dict[str, Json]:
        value = {}
        for name, item in items:
            if name in value:
                problems.append(Problem("", "conflict", f"{shown(name)} stands twice in one object"))
            value[name] = item
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_int=_integer, parse_float=_float, parse_constant=_float)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise refused(None, f"{where}: this is no JSON: {error.msg}") from None
    except ValueError as error:
        raise refused(None, f"this is no JSON: {error}") from None
    except RecursionError:
        raise too_deep(None) from None
    return value, bounded(problems)


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > 19:
        raise ValueError(f"the number {text[:40]} does not fit into 64 bits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _depth(value: Json) -> int:
    depth = 0
    layer = [value]
    while layer and depth <= MOST_DEPTH:
        layer = [
            item
            for outer in layer
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
    return depth


def _halves(value: Json, trail: Trail) -> Iterator[Problem]:
    """Strings that nothing can write: an escape named half of a surrogate pair."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _halves(key, trail)
            yield from _halves(item, (trail, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _halves(item, (trail, index))
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        yield Problem(path_of(trail), "bad_value", f"{shown(value)} holds half of a surrogate pair, which is no text")
