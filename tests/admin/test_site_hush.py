"""The Admin API falls silent: what is being written is finished, and nobody is heard after that."""

from __future__ import annotations

from twisted.internet.task import Clock

from streamproxy.admin.site import AdminSite

from .api import Api
from .test_site import AUTH, HOST, POST, Caller, length

LIVE = b"GET /streamproxy/v1/live HTTP/1.1\r\n" + HOST + b"\r\n"


def site() -> AdminSite:
    return Api().app.site(Clock(), timeout=60)


def test_with_nobody_there_it_is_silent_at_once() -> None:
    assert site().hush().called


def test_who_was_answered_is_sent_away() -> None:
    quiet = site()
    caller = Caller(quiet)
    caller.send(LIVE)
    assert quiet.hush().called
    assert caller.closed


def test_who_has_not_said_what_he_wants_is_waited_for() -> None:
    quiet = site()
    caller = Caller(quiet)
    hushed = quiet.hush()
    assert not hushed.called
    caller.send(LIVE)
    assert hushed.called
    assert caller.codes() == [200]
    assert caller.closed, "it is answered, and no more than that"


def test_a_write_that_has_begun_is_finished() -> None:
    quiet = site()
    caller = Caller(quiet)
    caller.send(POST, AUTH, length(2), b"\r\n", b"{")
    hushed = quiet.hush()
    assert not hushed.called
    caller.send(b"}")
    assert len(caller.codes()) == 1
    assert hushed.called
    assert caller.closed


def test_it_can_be_undone() -> None:
    quiet = site()
    caller = Caller(quiet)
    hushed = quiet.hush()
    quiet.stir()
    caller.send(LIVE)
    assert not hushed.called, "nobody waits for it any more"
    assert not caller.closed
    caller.send(LIVE)
    assert caller.codes() == [200, 200]
