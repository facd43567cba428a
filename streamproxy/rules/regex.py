"""
Regular expressions over names, by RE2: time is linear in the length of the name, which comes from a stranger.

An expression has to match the whole name, whatever the case; ``.`` stands for any character. Syntax:
https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import re2
from attrs import frozen

MAX_LENGTH = 4096
"""Characters of one expression; a host name has at most 253."""

MAX_MEMORY = 256 * 1024
"""Bytes RE2 may spend on one expression: some 4,000 instructions, many times what a pattern of host names takes."""

SET_MEMORY = 32 * 1024 * 1024
"""
Bytes RE2 may spend on one compiled set. A quarter is for its program (15,000 ordinary expressions), the rest for the
states it remembers; when that is full it forgets them and goes on.
"""

# RE2 takes a \Q without its \E, but nothing can be put behind one, so quotes are spelled out before that is done.
_QUOTE = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)


def _options(max_mem: int) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = max_mem
    options.never_capture = True
    return options


_ONE = _options(MAX_MEMORY)


def _why(error: re2.error) -> str:
    reason = error.args[0]
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def check_regex(text: str) -> str | None:
    """What is wrong with the expression ``text``, for people; ``None`` when it is fine."""
    if len(text) > MAX_LENGTH:
        return f"the expression has {len(text)} characters, more than {MAX_LENGTH}"
    try:
        re2.compile(text, _ONE)
        re2.compile(_searched(text), _ONE)
    except re2.error as error:
        return _why(error)
    except UnicodeEncodeError:
        return "the expression holds half of a surrogate pair"
    return None


def matches(text: str, name: str) -> bool:
    """
    Does the expression ``text`` match all of ``name``? For one question; :class:`RegexSet` is for many.

    Raises ``ValueError`` when ``text`` is no expression.
    """
    try:
        expression = re2.compile(text, _ONE)
    except re2.error as error:
        raise ValueError(f"{text!a:.200}: {_why(error)}") from error
    try:
        return expression.fullmatch(name) is not None
    except UnicodeEncodeError:
        return False


def _searched(text: str) -> str:
    """
    What to search for so that a hit is a match of ``text`` with the whole name.

    A leading or trailing ``.*`` becomes the absence of an anchor. A set of expressions that each bring their own
    ``.*`` has states of all their loops side by side, a new one for nearly every name: with 10,000 such expressions a
    lookup took 8 ms, and takes 5 us without them. Where it is not plain that the ``.*`` may go, it stays.
    """
    text = _QUOTE.sub(lambda token: token[0] if token[1] is None else re2.escape(token[1]), text)
    plain = "|" not in text and "(?" not in text
    any_head = plain and text.startswith(".*") and not text.startswith((".*?", ".*{"))
    any_tail = plain and text.endswith(".*") and not text.endswith("\\.*")
    core = text[2 if any_head else 0 : -2 if any_tail else None]
    return ("" if any_head else r"\A") + f"(?:{core})" + ("" if any_tail else r"\z")


def _parses(text: str, parser: re2.Set) -> bool:
    try:
        parser.Add(text)
    except (re2.error, UnicodeEncodeError):
        return False
    return True


@frozen(eq=False)
class RegexSet:
    """
    Many expressions, asked at once. ``parts`` are the compiled sets with the position of their first expression: one,
    or more when they are too large together.
    """

    parts: tuple[tuple[int, re2.Set], ...]

    @classmethod
    def compile(cls, texts: Sequence[str], max_mem: int = SET_MEMORY) -> RegexSet:
        """
        ``max_mem`` bytes bound each part. Raises ``ValueError`` naming the first expression that RE2 refuses or that
        is too large for a part of its own.
        """
        # Only parsing takes a tenth of the time. What we search for would not do: our parentheses may balance theirs.
        parser = re2.Set.FullMatchSet(_options(max_mem))
        for text in texts:
            if not _parses(text, parser):
                raise ValueError(f"{text!a:.200}: {check_regex(text)}")
        searched = [_searched(text) for text in texts]
        parts: list[tuple[int, re2.Set]] = []
        waiting = [(0, len(texts))] if texts else []
        while waiting:
            start, stop = waiting.pop()
            part = re2.Set.SearchSet(_options(max_mem))
            try:
                for text in searched[start:stop]:
                    part.Add(text)
                part.Compile()
            except re2.error as error:
                if stop - start == 1:
                    raise ValueError(f"{texts[start]!a:.200}: too large") from error
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]
            else:
                parts.append((start, part))
        return cls(tuple(parts))

    def match(self, name: str) -> list[int]:
        """The positions in ``texts`` of the expressions that match all of ``name`` (which is lower-case)."""
        try:
            text = name.encode()
        except UnicodeEncodeError:
            return []
        return [start + found for start, part in self.parts for found in part.Match(text) or ()]
