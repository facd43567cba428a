"""References to the environment in a configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from streamproxy.errors import Problem
from streamproxy.model import Json

from .scalar import resolve
from .trail import Trail, path_of

# Both dialects hold text under these keys, and a secret of digits alone has to stay what it is.
TEXT_KEYS: Final = frozenset({"id", "key", "name", "secret"})

_REFERENCE = re.compile(
    r"\$(?P<escaped>\$\{)"
    r"|\$\{\{\s*(?P<apisix>[A-Za-z_][A-Za-z0-9_]*)\s*(?::=\s*(?P<apisix_default>.*?))?\}\}"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::=(?P<default>[^}]*))?\}"
    r"|(?P<malformed>\$\{)",
    re.DOTALL,
)


class _NoTextError(Exception):
    """Says why there is nothing to put in place of a reference."""


def substitute(value: Json, environ: Mapping[str, str]) -> tuple[Json, tuple[Problem, ...]]:
    """
    ``value`` with every reference in its strings replaced: ``${NAME}``, ``${NAME:=default}`` and APISIX's
    ``${{NAME}}``, ``${{NAME:=default}}``; ``$${`` stands for ``${`` itself. What comes in is text and nothing else,
    except that a string that is one reference and becomes a number or a boolean is that number or boolean (but for
    the ``TEXT_KEYS``), so that a port can be given. A variable that is not set, without a default, is a problem.
    """
    problems: list[Problem] = []
    return _substituted(value, None, environ, problems), tuple(problems)


def _substituted(
    value: Json, trail: Trail, environ: Mapping[str, str], problems: list[Problem], typed: bool = True
) -> Json:
    if isinstance(value, dict):
        return {
            key: _substituted(item, (trail, key), environ, problems, key not in TEXT_KEYS)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_substituted(item, (trail, index), environ, problems) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    try:
        text = _REFERENCE.sub(lambda match: _replacement(match, environ), value)
    except _NoTextError as error:
        problems.append(Problem(path_of(trail), "bad_value", str(error)))
        return value
    first = _REFERENCE.match(value)
    if first is None or first.end() < len(value) or not typed:
        return text
    scalar = resolve(text)
    return scalar if isinstance(scalar, (bool, int, float)) else text


def _replacement(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match["escaped"]:
        return match["escaped"]
    if match["malformed"]:
        raise _NoTextError("expected a variable after ${, as in ${NAME} or ${NAME:=default}; $${ stands for ${ itself")
    name, default = match["name"], match["default"]
    if name is None:
        # Blanks within the braces are nothing to APISIX.
        name, default = match["apisix"], match["apisix_default"] and match["apisix_default"].rstrip()
    text = environ.get(name, default)
    if text is None:
        raise _NoTextError(f"the environment variable {name} is not set (${{{name}:=...}} gives it a default)")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _NoTextError(f"the environment variable {name} holds bytes that are no UTF-8 text") from None
    return text
