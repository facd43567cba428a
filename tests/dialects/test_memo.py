from __future__ import annotations

import gc

from streamproxy.dialects.memo import Memo
from streamproxy.model import Document, Key

KEY = Key("otoroshi", "tcp-services", "a")


def test_an_object_is_asked_for_once() -> None:
    asked: list[Document] = []
    memo = Memo[Document, int](lambda document: asked.append(document) or len(asked))  # type: ignore[func-returns-value]
    first, second = Document(KEY, {"enabled": True}), Document(KEY, {"enabled": 1})
    assert first == second, "Python takes them for equal"
    assert [memo(first), memo(second), memo(first), memo(second)] == [1, 2, 1, 2]


def test_it_keeps_nothing_alive() -> None:
    memo = Memo[Document, Key](lambda document: document.key)
    documents = [Document(KEY, {}) for _ in range(100)]
    for document in documents:
        memo(document)
    assert len(memo) == 100
    del document
    documents.clear()
    gc.collect()
    assert len(memo) == 0


def test_what_is_known_of_one_can_be_said_to_hold_for_another() -> None:
    asked: list[Document] = []
    memo = Memo[Document, int](lambda document: asked.append(document) or len(asked))  # type: ignore[func-returns-value]
    first, second, third = (Document(KEY, {}) for _ in range(3))
    memo.adopt(second, first)
    assert len(memo) == 0, "nothing was known"
    assert memo(first) == 1
    memo.adopt(second, first)
    del first
    gc.collect()
    assert [memo(second), memo(third)] == [1, 2]
