"""
Strict decoding of what users wrote (JSON or YAML, already parsed) into attrs classes.

Describe the document as frozen attrs classes and call :func:`structure`. Every problem is found, not just the first,
each with its path (``rules[0].targets[1].port``). Nothing is coerced: ``"80"`` and ``true`` are no integers, ``1``
is no boolean, a string is no list.

Types that can be described: ``str``, ``int``, ``bool``, ``float`` (takes an integer, too; always finite), enums and
``Literal`` of strings, attrs classes, ``tuple[X, ...]``, ``Mapping[str, X]``, ``X | None``, ``Any`` (taken as it is),
and ``Annotated[X, Via(wire, convert)]`` for everything else: the value is decoded as ``wire``, then ``convert`` makes
the ``X`` of it or raises ``ValueError`` (its text becomes the message) or ``InvalidConfiguration`` (its problems'
paths are relative to the value). The key of a field is its ``alias`` where it has one::

    @frozen
    class Listen:
        interface: Annotated[str, Via(str, canonical_interface)] = "0.0.0.0"
        port: Port
        client_auth: ClientAuth = field(default=ClientAuth.NONE, alias="clientAuth")

    listen, problems = structure({"port": 80}, Listen, forbid_extra=True)

What concerns several fields at once belongs into ``__attrs_post_init__``, which may raise the same two errors.
"""

from __future__ import annotations

import difflib
import enum
import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from attrs import fields, fields_dict, frozen, has
from cattrs import (
    BaseValidationError,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.cols import homogenous_tuple_structure_factory, is_mapping, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn

from streamproxy.errors import InvalidConfiguration, Problem

T = TypeVar("T")
_Hook = Callable[[Any, Any], Any]

# A document with more problems than this is not the document its author meant.
MOST_PROBLEMS = 200
# How much of a user's text an answer repeats.
MOST_SHOWN = 80
MOST_MESSAGE = 400


@frozen
class Via:
    """In ``Annotated[X, Via(wire, convert)]``: decode as ``wire``, then let ``convert`` make the ``X``."""

    wire: Any
    convert: Callable[[Any], Any]


def structure(
    value: object, type_: type[T], *, forbid_extra: bool = False, null_is_absent: bool = False
) -> tuple[T | None, tuple[Problem, ...]]:
    """
    Decode ``value``: the result and no problems, or ``None`` and what is wrong with it.

    ``forbid_extra``: a key that no field has is a problem (``unknown_key``), else it is ignored.
    ``null_is_absent``: a key whose value is ``null`` counts as not given.
    Codes: ``wrong_type``, ``missing``, ``unknown_key``, ``bad_value``, and whatever a ``convert`` uses.
    """
    try:
        result = _converter(forbid_extra, null_is_absent).structure(value, type_)
    except (BaseValidationError, InvalidConfiguration, ValueError) as error:
        return None, bounded(_problems(error, ""))
    return result, ()


def shown(text: str) -> str:
    """A user's text, quoted for a message and cut to a bounded length."""
    printable = _cut(text, MOST_SHOWN).encode("utf-8", "backslashreplace").decode()
    return json.dumps(printable, ensure_ascii=False)


def member(path: str, key: str) -> str:
    """The path of ``key`` in the object at ``path``: ``a.b``, or ``a["b.c"]`` where the key is no plain word."""
    if not _WORD.fullmatch(key):
        return f"{path}[{shown(key)}]"
    return f"{path}.{key}" if path else key


def kind_of(value: object) -> str:
    """What to call the type of a parsed value in a message."""
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


def between(low: int, high: int) -> Callable[[int], int]:
    """A ``convert`` that takes the integers from ``low`` to ``high``."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}, got {_number(value)}")
        return value

    return check


def bounded(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The first ``MOST_PROBLEMS`` of ``problems``, and a last one that says so where there are more."""
    kept: list[Problem] = []
    for problem in problems:
        if len(kept) == MOST_PROBLEMS:
            kept.append(Problem("", "bad_value", f"more than {MOST_PROBLEMS} problems: the rest is not shown"))
            break
        kept.append(problem)
    return tuple(kept)


Port = Annotated[int, Via(int, between(1, 65535))]

_WORD = re.compile(r"[A-Za-z0-9_-]+")
_WORDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (Mapping, "an object"),
    ((list, tuple), "a list"),
)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _number(value: int) -> str:
    """``str`` refuses to write integers of some thousand digits."""
    return str(value) if abs(value) < 10**20 else "a far larger number"


def _refused(code: str, message: str) -> InvalidConfiguration:
    return InvalidConfiguration((Problem("", code, message),))


def _wrong(expected: str, value: object) -> InvalidConfiguration:
    return _refused("wrong_type", f"expected {expected}, got {kind_of(value)}")


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    if not _is_unicode(value):
        raise _refused("bad_value", "half of a surrogate pair is no text")
    return value


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _integer(value: object, _: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong("an integer", value)
    return value


def _boolean(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("a boolean", value)
    return value


def _float(value: object, _: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _wrong("a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _refused("bad_value", "expected a finite number")
    return number


def _is_enum(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, enum.Enum)


def _enum_hook(type_: type[enum.Enum]) -> _Hook:
    return _choice({member.value: member for member in type_})


def _is_literal(type_: Any) -> bool:
    return get_origin(type_) is Literal


def _literal_hook(type_: Any) -> _Hook:
    return _choice({choice: choice for choice in get_args(type_)})


def _choice(choices: Mapping[str, Any]) -> _Hook:
    def hook(value: object, _: object) -> Any:
        text = _text(value, None)
        if text not in choices:
            raise _refused("bad_value", f"expected one of {', '.join(choices)}, got {shown(text)}")
        return choices[text]

    return hook


def _is_class(type_: Any) -> bool:
    return isinstance(type_, type) and has(type_)


def _class_hook(type_: type, converter: Converter, null_is_absent: bool) -> _Hook:
    generated: _Hook = make_dict_structure_fn(type_, converter)

    def hook(value: object, _: object) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong("an object", value)
        if null_is_absent:
            value = {key: item for key, item in value.items() if item is not None}
        return generated(value, type_)

    return hook


def _is_list(type_: Any) -> bool:
    return get_origin(type_) is tuple and get_args(type_)[1:] == (...,)


def _list_hook(type_: Any, converter: Converter) -> _Hook:
    generated: _Hook = homogenous_tuple_structure_factory(type_, converter)

    def hook(value: object, _: object) -> Any:
        if not isinstance(value, (list, tuple)):
            raise _wrong("a list", value)
        return generated(value, type_)

    return hook


def _mapping_hook(type_: Any, converter: Converter) -> _Hook:
    generated: _Hook = mapping_structure_factory(type_, converter)

    def hook(value: object, _: object) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong("an object", value)
        for key in value:
            if not isinstance(key, str):
                raise _refused("wrong_type", f"expected strings for keys, got {kind_of(key)}")
            if not _is_unicode(key):
                raise _refused("bad_value", f"the key {shown(key)} holds half of a surrogate pair, which is no text")
        return generated(value, type_)

    return hook


def _has_via(type_: Any) -> bool:
    return get_origin(type_) is Annotated and any(isinstance(extra, Via) for extra in type_.__metadata__)


def _via_hook(type_: Any, converter: Converter) -> _Hook:
    via = next(extra for extra in type_.__metadata__ if isinstance(extra, Via))
    decode, wire, convert = converter.get_structure_hook(via.wire), via.wire, via.convert
    return lambda value, _: convert(decode(value, wire))


@functools.cache
def _converter(forbid_extra: bool, null_is_absent: bool) -> Converter:
    converter = Converter(forbid_extra_keys=forbid_extra, use_alias=True, detailed_validation=True)
    for type_, hook in ((str, _text), (int, _integer), (bool, _boolean), (float, _float)):
        converter.register_structure_hook(type_, hook)
    register: Any = converter.register_structure_hook_factory
    register(_is_enum, _enum_hook)
    register(_is_literal, _literal_hook)
    register(_is_class, lambda type_: _class_hook(type_, converter, null_is_absent))
    register(_is_list, lambda type_: _list_hook(type_, converter))
    register(is_mapping, lambda type_: _mapping_hook(type_, converter))
    register(_has_via, lambda type_: _via_hook(type_, converter))
    return converter


def _problems(error: BaseException, path: str) -> Iterator[Problem]:
    """What one error out of cattrs says, as problems."""
    if isinstance(error, ClassValidationError):
        yield from _class_problems(error, path)
    elif isinstance(error, IterableValidationError):
        noted, _ = error.group_exceptions()
        for inner, note in noted:
            where = f"{path}[{note.index}]" if isinstance(note.index, int) else member(path, str(note.index))
            yield from _problems(inner, where)
    elif isinstance(error, InvalidConfiguration):
        for problem in error.problems:
            yield problem.under(path)
    elif isinstance(error, ValueError):
        yield Problem(path, "bad_value", _cut(str(error), MOST_MESSAGE))
    else:
        raise error


def _class_problems(error: ClassValidationError, path: str) -> Iterator[Problem]:
    noted, others = error.group_exceptions()
    attributes = fields_dict(error.cl)
    for inner, note in noted:
        key = member(path, attributes[note.name].alias or note.name)
        if isinstance(inner, KeyError):
            yield Problem(key, "missing", "is required")
        else:
            yield from _problems(inner, key)
    for inner in others:
        if isinstance(inner, ForbiddenExtraKeysError):
            yield from _unknown_keys(inner, path)
        else:
            yield from _problems(inner, path)


def _unknown_keys(error: ForbiddenExtraKeysError, path: str) -> Iterator[Problem]:
    known = [attribute.alias or attribute.name for attribute in fields(error.cl)]
    for key in sorted(map(str, error.extra_fields))[: MOST_PROBLEMS + 1]:
        close = difflib.get_close_matches(key[:MOST_SHOWN], known, n=1)
        message = f"is not known here: did you mean {close[0]}?" if close else "is not known here"
        yield Problem(member(path, key), "unknown_key", message)
