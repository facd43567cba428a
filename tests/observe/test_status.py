"""What nginx and APISIX would say of an ending."""

from __future__ import annotations

import re

import pytest

from streamproxy.model import Ending, ListenAddress, Transport
from streamproxy.observe.status import CODES, log_status, metrics_code

from .records import record


def test_every_ending_has_a_status_and_a_code() -> None:
    assert {log_status(record(ending=ending)) for ending in Ending} <= CODES | {"001"}
    assert {metrics_code(record(ending=ending)) for ending in Ending} <= CODES


@pytest.mark.parametrize(
    ("ending", "status", "code"),
    [
        (Ending.CLIENT_CLOSED, "200", "200"),
        (Ending.SHUTDOWN, "200", "200"),
        (Ending.CLIENT_RESET, "200", "400"),
        (Ending.TARGET_RESET, "200", "502"),
        (Ending.IDLE_TIMEOUT, "200", "502"),
        (Ending.CONNECT_FAILED, "502", "502"),
        (Ending.CONNECT_TIMEOUT, "502", "502"),
        (Ending.SNIFF_FAILED, "400", "400"),
        (Ending.OVER_LIMIT, "503", "503"),
        (Ending.NO_ROUTE, "001", "500"),
    ],
)
def test_metrics_tell_apart_what_the_log_calls_200(ending: Ending, status: str, code: str) -> None:
    ended = record(ending=ending)
    assert (log_status(ended), metrics_code(ended)) == (status, code)


def test_datagrams_end_well_when_no_more_come() -> None:
    ended = record(ending=Ending.IDLE_TIMEOUT, listener=ListenAddress(Transport.UDP, "0.0.0.0", 53))
    assert (log_status(ended), metrics_code(ended)) == ("200", "200")


@pytest.mark.parametrize(
    ("said", "code"),
    [(403, "403"), (503, "503"), (400, "400"), (404, "400"), (429, "400"), (200, "500"), (204, "500"), (599, "500")],
)
def test_what_a_plugin_says_becomes_one_of_few(said: int, code: str) -> None:
    rejected = record(ending=Ending.REJECTED, code=said)
    assert (log_status(rejected), metrics_code(rejected)) == ("001", code)
    assert re.fullmatch(r"\d{3}", code)
