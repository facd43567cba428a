"""A process that commits until it is killed or done, and prints each revision that was acknowledged."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import react

from streamproxy.control.store.sqlite import SqliteStore
from streamproxy.model import Key, Put


@inlineCallbacks
def main(used_reactor: Any, path: str, name: str, count: str) -> Generator[Any, Any, None]:
    store = SqliteStore(path, used_reactor, busy_timeout=60)
    for number in range(int(count)):
        key = Key("otoroshi", "tcp-services", f"{name}-{number}")
        loaded = yield store.commit([Put(key, {"name": name, "number": number})], author=name)
        written = next(document for document in loaded.documents if document.key == key)
        # One system call a line: what has left this process was acknowledged.
        os.write(1, f"{written.revision} {key.id}\n".encode())
    yield store.close()


if __name__ == "__main__":
    react(main, sys.argv[1:], _reactor=reactor)
