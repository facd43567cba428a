"""The last descriptors of a process are for those who look after it."""

from __future__ import annotations

import errno
import os
import resource
import socket

import pytest

from streamproxy.relay.descriptors import last_descriptor, lowered, opener

from .open_files import open_files


@pytest.mark.parametrize(
    ("limit", "last"),
    [(20, 10), (64, 47), (128, 111), (256, 239), (1024, 959), (100_000, 99_935), (resource.RLIM_INFINITY, 1_048_511)],
)
def test_how_many_are_kept(limit: int, last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))

    assert last_descriptor() == last


def test_a_number_above_the_last_is_not_to_be_had() -> None:
    with socket.socket() as taken:
        number = taken.fileno()
    opener(number)(socket.AF_INET, socket.SOCK_STREAM).close()
    before = open_files()
    with pytest.raises(OSError) as caught:
        opener(number - 1)(socket.AF_INET, socket.SOCK_STREAM)
    assert caught.value.errno == errno.EMFILE
    assert open_files() == before


def test_a_socket_comes_down_when_there_is_a_place() -> None:
    low, high = socket.socket(), socket.create_server(("127.0.0.1", 0))
    number, address = low.fileno(), high.getsockname()
    assert number < high.fileno()
    assert lowered(high, number) is None, "there is none"
    low.close()
    again = lowered(high, number)
    assert again is not None
    assert again.fileno() == number
    assert again.getsockname() == address
    assert not again.getblocking()
    assert high.fileno() == -1
    again.close()


def test_where_not_one_more_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(number: int) -> int:
        raise OSError(errno.EMFILE, "none")

    monkeypatch.setattr(os, "dup", none)
    with socket.socket() as sock:
        assert lowered(sock, 1000) is None
        assert sock.fileno() >= 0
