"""
Expressions over a session's variables, as lua-resty-expr 1.3 and with it APISIX writes them: arrays of JSON.

``["remote_port", ">", 1024]`` compares a variable with a value; ``["remote_port", "!", ">", 1024]`` is the opposite.
``[[...], [...]]`` holds where all of it does, and so does ``["AND", [...], [...]]``; there are ``OR``, ``!AND`` and
``!OR`` too. Nothing at all always holds. The operators:

* ``==``, ``~=``: as text, or as numbers where the value is one; ``null`` is a variable that the session has not.
* ``<``, ``<=``, ``>``, ``>=``: as numbers; false where either is none.
* ``~~``, ``~*``: some of the text matches the regular expression (RE2's syntax); ``~*`` whatever the case.
* ``in``: equals, as ``==`` does, one of an array.
* ``has``: one of the comma-separated parts of the text is the value, as in ``ssl_preread_alpn_protocols``.
* ``ipmatch``: the address lies in a network, or in one of an array.

A variable that the session has not is unlike everything: only ``~=``, ``== null`` and ``!`` hold for it.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import re2
from attrs import define, frozen

from .networkset import NetworkSet, parse_network
from .regex import MAX_LENGTH, MAX_MEMORY

MAX_DEPTH: Final = 16
"""How deeply arrays may be nested."""

MAX_PARTS: Final = 10_000
"""How many arrays and values one expression may be made of."""

MAX_REGEXES: Final = 64
"""How many regular expressions may be in one, each of which may take ``MAX_MEMORY`` bytes."""

Lookup: TypeAlias = Callable[[str], str | None]
_Test: TypeAlias = Callable[[str | None], bool]

_JOINTS: Final = ("AND", "OR", "!AND", "!OR")
_SHOWN = 80

# What Lua takes for a number. Longer ones are none: nothing that is written so is meant as one.
_NUMBER = re.compile(r"\s*(?:([+-]?)0[xX]([0-9a-fA-F]+)|([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))\s*")
_LONGEST_NUMBER = 64


@frozen(eq=False)
class _Comparison:
    name: str
    test: _Test
    negated: bool

    def holds(self, lookup: Lookup) -> bool:
        return self.test(lookup(self.name)) is not self.negated


@frozen(eq=False)
class _Group:
    every: bool
    negated: bool
    parts: tuple[_Comparison | _Group, ...]

    def holds(self, lookup: Lookup) -> bool:
        held = (part.holds(lookup) for part in self.parts)
        return (all(held) if self.every else any(held)) is not self.negated


@frozen(eq=False)
class Expression:
    """Made by :func:`compile_expression`."""

    _root: _Comparison | _Group

    def holds(self, lookup: Lookup) -> bool:
        """
        Is it true of the session whose variables ``lookup`` finds, by their names without ``$``? ``None`` is a variable
        the session has not. It takes time linear in the length of the values, and raises only what ``lookup`` does.
        """
        return self._root.holds(lookup)


def compile_expression(source: object) -> Expression:
    """
    The expression that the parsed JSON array ``source`` describes.

    Raises ``ValueError`` with lua-resty-expr's words where it has some, else with ours.
    """
    rule = _array(source)
    if not rule:
        return Expression(_Group(every=True, negated=False, parts=()))
    if _array_or_none(rule[0]) is None and _joint(rule[0]) is None:
        raise ValueError("rule should be wrapped inside brackets")
    return Expression(_Compiler().part(rule, 1))


@define
class _Compiler:
    """What is left of the bounds, while one expression is compiled."""

    _parts: int = MAX_PARTS
    _regexes: int = MAX_REGEXES

    def part(self, rule: list[Any], depth: int) -> _Comparison | _Group:
        if depth > MAX_DEPTH:
            raise ValueError(f"the expression is nested more than {MAX_DEPTH} deep")
        self._count(rule)
        if not rule:
            raise ValueError("rule too short")
        if _array_or_none(rule[0]) is not None:
            return _Group(True, False, self._each(rule, depth))
        joint = _joint(rule[0])
        if joint is None:
            return self._comparison(rule)
        if len(rule) <= 2:
            raise ValueError("rule too short")
        return _Group(joint.endswith("AND"), joint.startswith("!"), self._each(rule[1:], depth))

    def _each(self, rules: list[Any], depth: int) -> tuple[_Comparison | _Group, ...]:
        return tuple(self.part(_array(rule), depth + 1) for rule in rules)

    def _count(self, rule: list[Any]) -> None:
        self._parts -= 1 + len(rule)
        if self._parts < 0:
            raise ValueError(f"the expression has more than {MAX_PARTS} parts")

    def _comparison(self, rule: list[Any]) -> _Comparison:
        if len(rule) == 4 and rule[1] != "!":
            raise ValueError("bad 'not' expression")
        negated = len(rule) == 4
        name, *rest = [rule[0], *rule[2:]] if negated else rule
        if not isinstance(name, str) or len(rest) not in (1, 2) or rest == [None]:
            raise ValueError("invalid expression")
        word = rest[0].lower() if isinstance(rest[0], str) else ""
        if len(rest) == 1 and word not in _OPERATORS:
            # An old way to write ==.
            word, value = "==", rest[0]
        else:
            value = rest[1] if len(rest) == 2 else None
        if word not in _OPERATORS:
            raise ValueError(f"invalid operator {_shown(rest[0])}")
        if _array_or_none(value) is not None:
            self._count(value)
        if word in ("~~", "~*"):
            self._regexes -= 1
            if self._regexes < 0:
                raise ValueError(f"the expression has more than {MAX_REGEXES} regular expressions")
        return _Comparison(name, _OPERATORS[word](value), negated)


def _array_or_none(value: object) -> list[Any] | None:
    return list(value) if isinstance(value, (list, tuple)) else None


def _array(value: object) -> list[Any]:
    array = _array_or_none(value)
    if array is None:
        # Lua takes an empty object for an empty array.
        if value == {}:
            return []
        raise ValueError("invalid expression: it is no array")
    return array


def _joint(word: object) -> str | None:
    upper = word.upper() if isinstance(word, str) else ""
    return upper if upper in _JOINTS else None


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else ascii(value)
    return f"'{text[:_SHOWN]}'" if text.isprintable() else ascii(text[:_SHOWN])


def _number(text: str | None) -> float | None:
    """What Lua's ``tonumber`` makes of a text."""
    if text is None or len(text) > _LONGEST_NUMBER:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, digits, decimal = found.groups()
    if digits is not None:
        return float(int(f"{sign}{digits}", 16))
    return float(decimal)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


# What makes the test of a value, for each operator.


def _equal(value: object) -> _Test:
    if value is None:
        return lambda found: found is None
    if isinstance(value, str):
        return lambda found: found == value
    if _is_number(value):
        number = _finite(value)
        return lambda found: _number(found) == number
    raise ValueError("a variable can be compared with text, a number or null")


def _different(value: object) -> _Test:
    equal = _equal(value)
    return lambda found: not equal(found)


def _ordered(holds: Callable[[float, float], bool]) -> Callable[[object], _Test]:
    def test_of(value: object) -> _Test:
        number = _finite(value) if _is_number(value) else _number(value if isinstance(value, str) else None)
        if number is None:
            raise ValueError("less and greater are for numbers")
        limit = number

        def test(found: str | None) -> bool:
            number = _number(found)
            return number is not None and holds(number, limit)

        return test

    return test_of


def _matching(*, case_sensitive: bool) -> Callable[[object], _Test]:
    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    options.never_capture = True

    def test_of(value: object) -> _Test:
        if not isinstance(value, str) or len(value) > MAX_LENGTH:
            raise ValueError(f"a regular expression is text of at most {MAX_LENGTH} characters")
        try:
            pattern = re2.compile(value, options)
        except (re2.error, UnicodeEncodeError) as error:
            raise ValueError(f"the regular expression {_shown(value)} cannot be used: {_why(error)}") from error

        def test(found: str | None) -> bool:
            if found is None:
                return False
            try:
                return pattern.search(found) is not None
            except UnicodeEncodeError:
                return False

        return test

    return test_of


def _why(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else "it is no text"


def _one_of(value: object) -> _Test:
    values = _array_or_none(value)
    if values is None:
        raise ValueError("in wants an array")
    texts = frozenset(each for each in values if isinstance(each, str))
    others = [_equal(each) for each in values if not isinstance(each, str)]
    return lambda found: found in texts or any(equal(found) for equal in others)


def _having(value: object) -> _Test:
    equal = _equal(value)
    return lambda found: found is not None and any(equal(part.strip()) for part in found.split(","))


def _in_network(value: object) -> _Test:
    values = [value] if isinstance(value, str) else _array_or_none(value)
    if not values or values == [""] or not all(isinstance(each, str) for each in values):
        raise ValueError("invalid ip address")
    networks = NetworkSet.of(parse_network(each) for each in values)
    return lambda found: found is not None and found in networks


_OPERATORS: Final[Mapping[str, Callable[[object], _Test]]] = {
    "==": _equal,
    "~=": _different,
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    "~~": _matching(case_sensitive=True),
    "~*": _matching(case_sensitive=False),
    "in": _one_of,
    "has": _having,
    "ipmatch": _in_network,
}
