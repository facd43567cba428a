"""Trails, written as paths."""

from __future__ import annotations

from streamproxy.dialects.native.trail import path_of


def test_a_trail_is_written_from_the_top() -> None:
    assert path_of(None) == ""
    assert path_of(((((None, "rules"), 0), "targets"), 1)) == "rules[0].targets[1]"
    assert path_of((None, 3)) == "[3]"


def test_a_key_that_is_no_plain_word_is_quoted() -> None:
    assert path_of(((None, "nodes"), "127.0.0.1:80")) == 'nodes["127.0.0.1:80"]'
