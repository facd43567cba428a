"""What the system's files say of names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.model import Address
from streamproxy.relay.dns.system import (
    MOST_ADDRESSES,
    MOST_NDOTS,
    MOST_SEARCHED,
    MOST_SERVERS,
    Followed,
    ResolvConf,
    candidates,
    parse_hosts,
    parse_resolv_conf,
)


def test_hosts() -> None:
    found = parse_hosts(
        "# a comment\n"
        "127.0.0.1  localhost Local.Example. # and another\n"
        "::1\tlocalhost\n"
        "fe80::1%eth0 zoned\n"
        "127.0.0.1 localhost\n"
        "10.0.0.1\n"
        "not-an-address name\n"
        "\n"
    )
    assert found == {
        "localhost": ("127.0.0.1", "::1"),
        "local.example": ("127.0.0.1",),
        "zoned": ("fe80::1%eth0",),
    }


def test_a_host_has_so_many_addresses() -> None:
    assert len(parse_hosts("".join(f"10.0.0.{n} h\n" for n in range(200)))["h"]) == MOST_ADDRESSES


def test_resolv_conf() -> None:
    assert parse_resolv_conf(
        "; a comment\n#nameserver 10.0.0.9\n"
        "domain old.example\n"
        "nameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver dns.example\nnameserver\n"
        "search A.example. b.example\n"
        "options rotate ndots:5 ndots:x timeout:1\n"
        "sortlist 10.0.0.0\n"
    ) == ResolvConf((Address("10.0.0.1", 53), Address("fe80::1%eth0", 53)), ("a.example", "b.example"), 5)
    assert parse_resolv_conf("search a b\ndomain c d\n").search == ("c",)
    assert parse_resolv_conf("options ndots:99\n").ndots == MOST_NDOTS
    assert parse_resolv_conf("options ndots:999999999999\n").ndots == 1
    assert parse_resolv_conf("") == ResolvConf()


def test_of_everything_there_is_so_much() -> None:
    conf = parse_resolv_conf("nameserver 10.0.0.1\n" * 99 + "search " + "a " * 99)
    assert (len(conf.servers), len(conf.search)) == (MOST_SERVERS, MOST_SEARCHED)


@given(st.text())
def test_noise_is_passed_over(text: str) -> None:
    parse_hosts(text)
    parse_resolv_conf(text)


@pytest.mark.parametrize(
    ("host", "search", "ndots", "names"),
    [
        ("db", (), 1, ("db",)),
        ("db", ("a.x", "b.x"), 1, ("db.a.x", "db.b.x", "db")),
        ("db.c", ("a.x",), 1, ("db.c", "db.c.a.x")),
        ("db.c", ("a.x",), 2, ("db.c.a.x", "db.c")),
        ("db.c.", ("a.x",), 5, ("db.c",)),
        ("db", ("a.x",), 0, ("db", "db.a.x")),
        ("x" * 60 + ".y", ("z" * 200,), 5, ("x" * 60 + ".y",)),
    ],
)
def test_what_a_name_may_mean(host: str, search: tuple[str, ...], ndots: int, names: tuple[str, ...]) -> None:
    assert candidates(host, ResolvConf((), search, ndots)) == names


def test_a_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    reads = []

    def parse(text: str) -> str:
        reads.append(text)
        return text.upper()

    followed = Followed(str(path), parse)
    assert followed() == ""
    path.write_text("a\n")
    assert (followed(), followed()) == ("A\n", "A\n")
    assert reads == ["", "a\n"], "it is read when it has changed"
    beside = tmp_path / "new"
    beside.write_bytes(b"\xff\n")
    beside.rename(path)
    assert followed() == "\ufffd\n"
    path.unlink()
    assert followed() == ""


def test_one_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert Followed(str(tmp_path), parse_hosts)() == {}
