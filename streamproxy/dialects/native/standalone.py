"""
APISIX without etcd: the file ``apisix.yaml`` or ``apisix.json`` that holds all documents.

It is APISIX's file and read as APISIX reads it: references to the environment are replaced in its text, whatever they
make of it; what is wrong with one document costs that document and no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Document, Json, Key

from ..codec import bounded, kind_of
from .resources import key_of
from .source import parse, read

KINDS: Final = ("stream_routes", "upstreams", "services", "ssls", "plugin_metadata")
"""The lists of documents that mean something here."""

PLUGINS: Final = "plugins"

# How much of an error a line of the log repeats.
MOST_SHOWN: Final = 1000

_END = re.compile(r"#END\s*\Z")
# The flag has to stand in this many of the last characters.
_TAIL = 10
_REFERENCE = re.compile(r"\$\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::=(.*?))?\}\}")

# What is wrong with the body of a document, and what is to be kept of it.
Check = Callable[[Key, Any], tuple[Mapping[str, Json] | None, tuple[Problem, ...]]]


@frozen
class Dropped:
    """An item that is not served. ``kind`` is the list it stands in."""

    kind: str
    problem: Problem

    def __str__(self) -> str:
        """In APISIX's words. What the item holds is not repeated: there may be a key in it."""
        text = f"{self.problem.message}"[:MOST_SHOWN]
        return f"failed to check item data of [{self.kind}] err:{text} ,at: {self.problem.path}"


@frozen
class Documents:
    """
    What the file holds: ``documents`` in its order; ``dropped`` is what is not among them. ``stream_plugins`` replaces
    the list of the configuration (``None``: it says nothing of them). ``ignored`` names keys without a meaning here.
    """

    documents: tuple[Document, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    stream_plugins: tuple[str, ...] | None = None
    ignored: tuple[str, ...] = ()


def load_documents(
    path: str, environ: Mapping[str, str], check: Callable[[tuple[str, ...] | None], Check]
) -> Documents:
    """
    What the file ``path`` holds: JSON where the name ends in ``.json``, else YAML, which ends in ``#END``. ``check``
    gives, for the stream plugins the file names (``None``: it names none), what looks at a document; or raises
    ``InvalidConfiguration`` where they are not to be had.

    Raises ``InvalidConfiguration`` where the file as a whole cannot be used.
    """
    return decode_documents(read(Path(path)), path, environ, check)


def decode_documents(
    text: str, path: str, environ: Mapping[str, str], check: Callable[[tuple[str, ...] | None], Check]
) -> Documents:
    """The same for the ``text`` of the file."""
    is_json = path.endswith(".json")
    if not is_json and not _END.search(text[-_TAIL:]):
        raise InvalidConfiguration((Problem("", "bad_value", f"missing valid end flag in file {path}"),))
    tree, problems = parse(_substituted(text, environ), is_json=is_json)
    if problems:
        raise InvalidConfiguration(problems)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise InvalidConfiguration((Problem("", "wrong_type", f"expected an object at the top, got {kind_of(tree)}"),))
    dropped: list[Dropped] = []
    plugins = _stream_plugins(tree.get(PLUGINS), dropped)
    try:
        looks = check(plugins)
    except InvalidConfiguration as error:
        raise InvalidConfiguration.of(Problem(PLUGINS, each.code, each.message) for each in error.problems) from None
    documents = tuple(_documents(tree, path, looks, dropped))
    ignored = tuple(key for key in tree if key not in (*KINDS, PLUGINS))
    return Documents(documents, tuple(dropped), plugins, ignored)


def _substituted(text: str, environ: Mapping[str, str]) -> str:
    unset: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1]
        default: str | None = match[2]
        found = environ.get(name, None if default is None else default.strip())
        if found is None:
            unset.append(name)
        return found or ""

    replaced = _REFERENCE.sub(value, text)
    if unset:
        raise InvalidConfiguration.of(
            Problem("", "bad_value", f"can't find environment variable {name}") for name in dict.fromkeys(unset)
        )
    return replaced


def _stream_plugins(written: Json, dropped: list[Dropped]) -> tuple[str, ...] | None:
    if written is None:
        return None
    names = []
    for index, item in enumerate(_listed(PLUGINS, written, dropped)):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(name, str):
            problem = Problem(f"plugins[{index}]", "wrong_type", "expected an object with a name")
            dropped.append(Dropped(PLUGINS, problem))
        elif item.get("stream") is True:
            names.append(name)
    return tuple(dict.fromkeys(names))


def _documents(tree: Mapping[str, Json], path: str, check: Check, dropped: list[Dropped]) -> Iterator[Document]:
    for kind in KINDS:
        seen: set[Key] = set()
        for index, body in enumerate(_listed(kind, tree.get(kind), dropped)):
            where = f"{kind}[{index}]"
            key = key_of("apisix", kind, index, body)
            if isinstance(key, Problem):
                dropped.append(Dropped(kind, key.under(where)))
                continue
            kept, problems = check(key, body)
            if key in seen:
                problems = (Problem("id", "conflict", f"found duplicate id {key.id} in {kind}"),)
            seen.add(key)
            dropped += [Dropped(kind, problem.under(where)) for problem in bounded(problems)]
            if kept is not None and not problems:
                yield Document(key, kept, origin=path)


def _listed(kind: str, value: Json, dropped: list[Dropped]) -> Sequence[Json]:
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    dropped.append(Dropped(kind, Problem(kind, "wrong_type", f"expected a list, got {kind_of(value)}")))
    return ()
