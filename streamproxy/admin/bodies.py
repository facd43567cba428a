"""
Bodies of requests: bytes from a stranger to plain JSON values, bounded.

What comes out is ``None``, booleans, integers of at most 20 digits, finite floats, encodable text, lists, and objects
with text keys, nested at most ``DEPTH`` deep: everything downstream may walk, compare, copy and write it carelessly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import yaml
from attrs import frozen

from streamproxy.dialects.native.source import parse as read_text
from streamproxy.errors import InvalidConfiguration, StreamProxyError
from streamproxy.model import Json

# An Otoroshi service is five deep, an APISIX route perhaps ten.
DEPTH = 64
# Reading this much of YAML may take half a second, in which nothing else runs.
YAML_CHARACTERS = 500_000
YAML_VALUES = 25_000


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@frozen(auto_exc=True)
class BodyError(StreamProxyError):
    """The body is not what it should be; ``why`` is for its author."""

    why: str

    def __str__(self) -> str:
        return self.why


def parse_json(data: bytes, fraction: Callable[[str], float] = float) -> Json:
    """
    Raises :class:`BodyError`. Of a key that is given twice, the last one counts. ``fraction`` reads numbers that have
    a point or an exponent.
    """
    text = _text(data)
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_small, parse_float=fraction)
    except json.JSONDecodeError as error:
        raise BodyError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError as error:
        raise BodyError(f"not JSON: {error}") from None
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None
    return checked(value)


def parse_yaml(data: bytes) -> Json:
    """
    One document of YAML, which means what it would in the configuration file. Raises :class:`BodyError`.
    """
    text = _text(data)
    if len(text) > YAML_CHARACTERS:
        raise BodyError(f"more than {YAML_CHARACTERS} characters of YAML take too long to read: send JSON")
    try:
        # Where this is no YAML, the reader has the better words for it.
        with suppress(yaml.YAMLError):
            _weigh(yaml.parse(text, Loader=_LOADER))
        value, problems = read_text(text, is_json=False)
    except InvalidConfiguration as error:
        raise BodyError(str(error)) from None
    if problems:
        raise BodyError("; ".join(map(str, problems)))
    return checked(value)


def parse_lines(data: bytes) -> Iterator[tuple[int, Json | BodyError]]:
    """
    Newline-delimited JSON: the number of each line that is not blank (from 1), and its value or what is wrong with it.
    """
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            try:
                yield number, parse_json(line)
            except BodyError as error:
                yield number, error


def parse_form(data: bytes) -> tuple[tuple[str, str], ...]:
    """``a=1&b=2``, as browsers and ``curl -d`` send it. Raises :class:`BodyError`."""
    try:
        pairs = parse_qsl(_text(data), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise BodyError(f"not a form: {error}") from None
    return tuple(pairs)


def checked(value: Json) -> Json:
    """``value``, if it can be written as UTF-8 and nests no deeper than it may. Raises :class:`BodyError`."""
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > DEPTH:
            raise BodyError(_TOO_DEEP)
        inner: Iterable[object] = ()
        if isinstance(item, dict):
            inner = item.values()
        elif isinstance(item, list):
            inner = item
        pending.extend((each, depth + 1) for each in inner if isinstance(each, (dict, list)))
    try:
        # The C encoder looks at every scalar far faster than a loop here could.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise BodyError("half of a surrogate pair is no text") from None
    except ValueError:
        raise BodyError("a number is too large") from None
    return value


_TOO_DEEP = f"nested more than {DEPTH} deep"


def _small(text: str) -> int:
    # Longer ones are of no use to anybody, and converting them takes quadratic time.
    if len(text) > 20:
        raise ValueError("a number has more than 20 digits")
    return int(text)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BodyError(f"not UTF-8: byte {error.start} is wrong") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _weigh(events: Iterable[Any]) -> None:
    """
    Refuse what stands for more values than may be walked in one go, before anything is built of it: ten aliases of ten
    aliases of ten aliases are few bytes.
    """
    weights: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            total += weights.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                weights[anchor] = total - before
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, total - 1))
        if total > YAML_VALUES:
            raise BodyError(f"more than {YAML_VALUES} values of YAML take too long to read: send JSON")
        if len(open_) > DEPTH:
            raise BodyError(_TOO_DEEP)
