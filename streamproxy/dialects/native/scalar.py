"""What a word of YAML means when it stands without quotes."""

from __future__ import annotations

import math
import re

# Within 64 bits, which is what other readers of the same document can be expected to hold.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_BASED = re.compile(r"0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,100}|[0-9]{1,100}(?:\.[0-9]{0,100}|(?=[eE])))(?:[eE][-+]?[0-9]{1,4})?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def resolve(text: str) -> bool | int | float | str | None:
    """
    The value of a plain scalar, by the core schema of YAML 1.2: ``yes``, ``on`` and ``12:30`` are text. So is what
    looks like a number and could be read as several (``0755``), or is none that JSON can write (``.inf``).
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and not _is_padded(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _is_padded(text: str) -> bool:
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
