"""What a write says about open sessions."""

from __future__ import annotations

import pytest

from streamproxy.admin.incoming import Query
from streamproxy.admin.respond import RefusedError
from streamproxy.admin.terms import _policy
from streamproxy.model import Fate, SessionPolicy


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, SessionPolicy()),
        ({"sessions": ("keep",)}, SessionPolicy()),
        ({"sessions": ("close",)}, SessionPolicy(Fate.CLOSE)),
        ({"sessions": ("drain",)}, SessionPolicy(Fate.DRAIN)),
        ({"sessions": ("drain",), "drain_time": ("2m",)}, SessionPolicy(Fate.DRAIN, 120.0)),
    ],
)
def test_policies(query: Query, expected: SessionPolicy) -> None:
    assert _policy(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        {"sessions": ("",)},
        {"sessions": ("end",)},
        {"drain_time": ("2m",)},
        {"sessions": ("close",), "drain_time": ("2m",)},
        {"sessions": ("drain",), "drain_time": ("0s",)},
    ],
)
def test_what_is_none(query: Query) -> None:
    with pytest.raises(RefusedError):
        _policy(query)
