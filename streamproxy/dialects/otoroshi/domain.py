"""
The pattern of ``rules[].domain``.

Otoroshi documents a regular expression and implements a wildcard; both are in use, so the spelling tells which one is
meant: what is made of the letters of host names and ``*`` alone, without a ``.*``, is a wildcard, the rest a regular
expression. ``Wildcard(...)`` and ``Regex(...)`` say it outright.
"""

from __future__ import annotations

import re

import re2

from streamproxy.model import NamePattern, PatternKind

from ..codec import shown
from ..hostname import a_labels

MOST_CHARACTERS = 1000
# Bytes RE2 may spend on one expression: thousands of instructions, where a pattern of host names takes dozens.
MOST_MEMORY = 256 * 1024

_WILDCARD = re.compile(r"[a-z0-9._*-]+")
_WILDCARD_OR_U_LABELS = re.compile(r"[A-Za-z0-9._*\u0080-\U0010ffff-]+")
_EXPLICIT = re.compile(r"(Regex|Wildcard)\((.*)\)", re.DOTALL)


def _options() -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MOST_MEMORY
    return options


_OPTIONS = _options()


def name_pattern(source: str) -> NamePattern:
    """
    What ``source`` matches. Names are compared lower-case as A-labels without trailing dot, so wildcards are made so;
    regular expressions stay as they are written and are meant case-insensitive, for the whole name.

    Raises ``ValueError`` for what could never match or is no expression.
    """
    if len(source) > MOST_CHARACTERS:
        raise ValueError(f"a pattern may have {MOST_CHARACTERS} characters, this one has {len(source)}")
    explicit = _EXPLICIT.fullmatch(source)
    if explicit is not None:
        return (_regex if explicit[1] == "Regex" else _wildcard)(explicit[2], source)
    if _WILDCARD_OR_U_LABELS.fullmatch(source) and ".*" not in source:
        return _wildcard(source, source)
    return _regex(source, source)


def _wildcard(text: str, source: str) -> NamePattern:
    text = re.sub(r"\*+", "*", a_labels(text)).removesuffix(".")
    if text == "*":
        return NamePattern(PatternKind.ANY, text, source)
    if not _WILDCARD.fullmatch(text):
        raise ValueError(f"expected letters, digits and . _ - *, got {shown(text)}")
    if "*" not in text:
        return NamePattern(PatternKind.EXACT, text, source)
    if text.startswith("*.") and text.count("*") == 1:
        return NamePattern(PatternKind.SUFFIX, text[1:], source)
    return _regex(text.replace(".", r"\.").replace("*", ".*"), source)


def _regex(text: str, source: str) -> NamePattern:
    if not text:
        raise ValueError("expected a pattern, got nothing")
    try:
        re2.compile(text, _OPTIONS)
    except re2.error as error:
        reason = error.args[0]
        why = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{shown(source)} is neither a wildcard nor a regular expression: {why[:200]}") from error
    return NamePattern(PatternKind.REGEX, text, source)
