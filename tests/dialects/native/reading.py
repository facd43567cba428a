"""Reads configuration from text, as the tests of this package do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from streamproxy.dialects.native.load import decode
from streamproxy.dialects.native.source import parse
from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Config

# How long an example takes is no part of any answer.
patient = settings(deadline=None)
FILE = Path("/etc/streamproxy/config.yaml")


def config(text: str, environ: Mapping[str, str] | None = None) -> Config:
    """What the YAML ``text`` says in the place of ``FILE``."""
    tree, problems = parse(text, is_json=False)
    return decode(tree, FILE, environ or {}, problems)


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with ``text``, as people see it, by path."""
    with pytest.raises(InvalidConfiguration) as caught:
        config(text, environ)
    return sorted(str(problem) for problem in caught.value.problems)


def codes(text: str) -> dict[str, str]:
    """What is wrong with ``text``, as programs see it: the code at each path."""
    with pytest.raises(InvalidConfiguration) as caught:
        config(text)
    return {problem.path: problem.code for problem in caught.value.problems}
