"""
Bodies of requests: bytes from a stranger to plain JSON values, bounded.

What comes out is ``None``, booleans, integers of at most 20 digits, finite floats, encodable text, lists, and objects
with text keys, nested at most ``DEPTH`` deep: everything downstream may walk, compare, copy and write it carelessly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, cast
from urllib.parse import parse_qsl

import yaml
from attrs import frozen

from streamproxy.errors import StreamProxyError
from streamproxy.model import Json

# An Otoroshi service is five deep, an APISIX route perhaps ten.
DEPTH = 64
# PyYAML builds some 50,000 nodes a second at worst, and nothing else runs meanwhile.
YAML_NODES = 50_000


@frozen(auto_exc=True)
class BodyError(StreamProxyError):
    """The body is not what it should be; ``why`` is for its author."""

    why: str

    def __str__(self) -> str:
        return self.why


def parse_json(data: bytes) -> Json:
    """Raises :class:`BodyError`. Of a key that is given twice, the last one counts."""
    text = _text(data)
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_int=_small)
    except json.JSONDecodeError as error:
        raise BodyError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except ValueError as error:
        raise BodyError(f"not JSON: {error}") from None
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None
    return checked(value)


def parse_yaml(data: bytes) -> Json:
    """
    YAML 1.2's core schema, one document: ``yes`` and ``2020-01-01`` are text. Aliases count as what they stand for.

    Raises :class:`BodyError`.
    """
    text = _text(data)
    try:
        _weigh(yaml.parse(text, Loader=_BASE))
        value = yaml.load(text, Loader=_Loader)  # noqa: S506 - builds nothing but JSON values, see the class
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BodyError(f"not YAML: {error.problem or 'malformed'}{where}") from None
    except yaml.YAMLError:
        raise BodyError("not YAML: it holds characters that YAML does not allow") from None
    except RecursionError:
        raise BodyError(_TOO_DEEP) from None
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


def checked(value: object) -> Json:
    """
    ``value``, if it is a JSON value that can be written as UTF-8 and nests no deeper than it may. Raises
    :class:`BodyError`.
    """
    pending: list[tuple[object, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if depth > DEPTH:
            raise BodyError(_TOO_DEEP)
        inner: Iterable[object] = ()
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                raise BodyError("the keys of an object have to be text")
            inner = item.values()
        elif isinstance(item, list):
            inner = item
        pending.extend((value, depth + 1) for value in inner if isinstance(value, (dict, list)))
    try:
        # The C encoder looks at every scalar far faster than a loop here could.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise BodyError("half of a surrogate pair is no text") from None
    except ValueError:
        raise BodyError("a number is too large") from None
    return cast("Json", value)


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


# libyaml's parser and ours understand the same; ours is for where PyYAML was built without it.
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BASE):
    """Knows the tags of JSON values and no others."""

    yaml_constructors: dict[str | None, Any] = {}  # noqa: RUF012 - PyYAML's own registries, filled below
    yaml_multi_constructors: dict[str | None, Any] = {}  # noqa: RUF012
    yaml_implicit_resolvers: dict[str | None, Any] = {}  # noqa: RUF012


def _integer(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    if not _INTEGER.fullmatch(text) or len(text) > 20:
        raise BodyError(f"{text[:80]!r} is no integer of at most 20 digits")
    return int(text)


def _number(loader: Any, node: Any) -> float:
    text = loader.construct_scalar(node)
    if not _NUMBER.fullmatch(text):
        raise BodyError(f"{text[:80]!r} is no number")
    return float(text)


def _boolean(loader: Any, node: Any) -> bool:
    text = str(loader.construct_scalar(node)).lower()
    if text not in ("true", "false"):
        raise BodyError(f"{text[:80]!r} is neither true nor false")
    return text == "true"


def _unknown(_: Any, node: Any) -> NoReturn:
    raise BodyError(f"the tag {str(node.tag)[:80]!r} is not accepted")


_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

for _tag, _construct in {
    "null": lambda _loader, _node: None,
    "bool": _boolean,
    "int": _integer,
    "float": _number,
    "str": yaml.constructor.SafeConstructor.construct_yaml_str,
    "seq": yaml.constructor.SafeConstructor.construct_yaml_seq,
    "map": yaml.constructor.SafeConstructor.construct_yaml_map,
}.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)
_Loader.add_constructor(None, _unknown)

# The tag of a plain scalar is that of the first pattern it matches, so integers come before other numbers.
_CORE_SCHEMA = (
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", _INTEGER.pattern, list("-+0123456789")),
    ("float", _NUMBER.pattern, list("-+.0123456789")),
    ("merge", "<<", ["<"]),
)


def resolve_as_core_schema(class_: Any) -> None:
    """Make a loader or a dumper of PyYAML's take plain scalars for what they are in YAML 1.2's core schema, too."""
    for tag, pattern, first in _CORE_SCHEMA:
        class_.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), first)


resolve_as_core_schema(_Loader)


def _weigh(events: Iterator[Any]) -> None:
    """
    Go through the events of a document and refuse it before anything is built, if what it stands for is too much: ten
    aliases of ten aliases of ten aliases are few bytes and many nodes.
    """
    weights: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                weights[anchor] = total - before
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in weights:
                raise BodyError("an alias stands for nothing that came before it")
            total += weights[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, total - 1))
            elif event.anchor is not None:
                weights[event.anchor] = 1
        if total > YAML_NODES:
            raise BodyError(f"more than {YAML_NODES} values: send JSON")
        if len(open_) > DEPTH:
            raise BodyError(_TOO_DEEP)
