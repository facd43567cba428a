"""What a log says of a session, where its author says what that is: a JSON object with ``$variables`` in its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from ..rules.variables import expand

MOST_NESTED: Final = 8
"""How deeply its objects and arrays may be nested."""

Lookup: TypeAlias = Callable[[str], str | None]
Entry: TypeAlias = Callable[[Lookup], dict[str, Any]]
_Value: TypeAlias = Callable[[Lookup], Any]

_WHOLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)


def compile_entry(format: Mapping[str, Any]) -> Entry:  # noqa: A002 - as it is called
    """
    What makes the entry of a session, given what looks its variables up.

    A text that is one variable is that variable, and is left out where the session has none; in longer text variables
    are replaced, by nothing where there is none. Other values stand for themselves.

    Raises ``ValueError`` where it is nested too deeply.
    """
    return _object(format, 1)


def _object(format: Mapping[str, Any], depth: int) -> Entry:  # noqa: A002
    values = {str(name): _value(value, depth) for name, value in format.items()}

    def entry(lookup: Lookup) -> dict[str, Any]:
        found = ((name, value(lookup)) for name, value in values.items())
        return {name: value for name, value in found if value is not None}

    return entry


def _value(value: object, depth: int) -> _Value:
    if isinstance(value, (Mapping, list)) and depth >= MOST_NESTED:
        raise ValueError(f"it is nested more than {MOST_NESTED} deep")
    if isinstance(value, Mapping):
        return _object(value, depth + 1)
    if isinstance(value, list):
        values = [_value(each, depth + 1) for each in value]
        return lambda lookup: [each(lookup) for each in values]
    if not isinstance(value, str) or "$" not in value:
        return lambda _: value
    text = value
    whole = _WHOLE.fullmatch(text)
    if whole is not None:
        name = whole[1] or whole[2]
        return lambda lookup: lookup(name)
    return lambda lookup: expand(text, lookup)[0]
