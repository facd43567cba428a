"""What one process leaves to the next: its listening sockets, and documents that are on no disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from attrs import frozen

from ..model import Document, Key, ListenAddress, Put, Transport
from .inherited import Passed, adopted
from .wire import MOST_DESCRIPTORS, Message, WireError

# Two processes that mean different things by the same message must not try.
VERSION: Final = 1


@frozen(eq=False)
class Held:
    """A socket that is in use, by its descriptor. See :class:`Passed` for the rest."""

    address: ListenAddress
    descriptor: int
    name: str = ""
    lasting: bool = False


@frozen(eq=False)
class Estate:
    """``documents`` are those of a store in memory (``None``: the store can be read by whoever comes next)."""

    sockets: tuple[Held, ...] = ()
    documents: tuple[Document, ...] | None = None


def messages(estate: Estate) -> Iterator[tuple[dict[str, Any], tuple[int, ...]]]:
    """The estate, as bodies and descriptors of messages; the last one says that it is."""
    for start in range(0, len(estate.sockets), MOST_DESCRIPTORS):
        part = estate.sockets[start : start + MOST_DESCRIPTORS]
        yield {"sockets": [_described(held) for held in part]}, tuple(held.descriptor for held in part)
    documents = None
    if estate.documents is not None:
        documents = [
            {"key": [each.key.dialect, each.key.kind, each.key.id], "body": each.body, "expires": each.expires}
            for each in estate.documents
        ]
    yield {"complete": True, "documents": documents}, ()


def sockets(message: Message) -> list[Passed]:
    """Those that came with a message. Raises ``WireError`` or ``OSError``; then all of them are closed."""
    found: list[Passed] = []
    descriptors = list(message.descriptors)
    try:
        entries = message.body.get("sockets", [])
        for entry in entries:
            address = ListenAddress(Transport(entry["transport"]), str(entry["interface"]), int(entry["port"]))
            sock = adopted(descriptors.pop(0))
            found.append(Passed(address, sock, str(entry["name"]), bool(entry["lasting"])))
    except BaseException as error:
        Message({}, tuple(descriptors)).discard()
        for passed in found:
            passed.socket.close()
        if isinstance(error, (KeyError, TypeError, ValueError, IndexError)):
            raise WireError("sockets without a description") from error
        raise
    # Nobody said what these are.
    Message({}, tuple(descriptors)).discard()
    return found


def documents(message: Message) -> tuple[Put, ...] | None:
    """The documents in the last message, as changes to an empty store. Raises ``WireError``."""
    entries: Sequence[Any] | None = message.body.get("documents")
    if entries is None:
        return None
    try:
        return tuple(Put(Key(*map(str, each["key"])), each["body"], expires=each["expires"]) for each in entries)
    except (KeyError, TypeError, ValueError) as error:
        raise WireError("documents that are none") from error


def _described(held: Held) -> dict[str, Any]:
    address = held.address
    return {
        "transport": address.transport.value,
        "interface": address.interface,
        "port": address.port,
        "name": held.name,
        "lasting": held.lasting,
    }
