from __future__ import annotations

import base64
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers

from streamproxy.admin.auth import Credentials, Identity, allowed, basic, is_cross_site, names_us, split_host
from streamproxy.model import AdminClient, AdminKey, Role, Secret

from .api import patient

CREDENTIALS = Credentials(
    keys=(AdminKey("root", Secret("k1"), Role.ADMIN), AdminKey("watcher", Secret("k2"), Role.VIEWER)),
    clients=(AdminClient("id", Secret("pass:word"), Role.ADMIN), AdminClient("é", Secret("ü"), Role.VIEWER)),
)


def headers(**values: str) -> Headers:
    return Headers({name.replace("_", "-"): [value] for name, value in values.items()})


def basic_header(text: str) -> Headers:
    return headers(Authorization="Basic " + base64.b64encode(text.encode()).decode())


@pytest.mark.parametrize(
    ("given_headers", "name"),
    [
        (headers(X_API_KEY="k1"), "root"),
        (headers(x_api_key="k2"), "watcher"),
        (headers(Otoroshi_Client_Id="id", Otoroshi_Client_Secret="pass:word"), "id"),
        (basic_header("id:pass:word"), "id"),
        (basic_header("é:ü"), "é"),
        (headers(Authorization="basic aWQ6cGFzczp3b3Jk"), "id"),
    ],
)
def test_who_proves_who_they_are(given_headers: Headers, name: str) -> None:
    identity = CREDENTIALS.identify(given_headers)

    assert identity is not None
    assert identity.name == name


@pytest.mark.parametrize(
    "given_headers",
    [
        headers(),
        headers(X_API_KEY=""),
        headers(X_API_KEY="k3"),
        headers(X_API_KEY="k1 k2"),
        headers(Otoroshi_Client_Id="id"),
        headers(Otoroshi_Client_Secret="pass:word"),
        headers(Otoroshi_Client_Id="other", Otoroshi_Client_Secret="pass:word"),
        headers(Otoroshi_Client_Id="id", Otoroshi_Client_Secret="k1"),
        basic_header("id"),
        basic_header("id:"),
        basic_header("id:pass"),
        headers(Authorization="Bearer k1"),
        headers(Authorization="Basic"),
        headers(Authorization="Basic %%%"),
        headers(Authorization="Basic aWQ"),
    ],
)
def test_who_does_not(given_headers: Headers) -> None:
    assert CREDENTIALS.identify(given_headers) is None


def test_an_empty_secret_lets_nobody_in() -> None:
    empty = Credentials((AdminKey("k", Secret(""), Role.ADMIN),), (AdminClient("id", Secret(""), Role.ADMIN),))

    assert empty.identify(headers(X_API_KEY="")) is None
    assert empty.identify(headers()) is None
    assert empty.identify(basic_header("id:")) is None


def test_every_key_is_compared_whatever_the_others_say(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    matches = Secret.matches

    def counting(self: Secret, offered: str) -> bool:
        compared.append(self.value)
        return matches(self, offered)

    monkeypatch.setattr(Secret, "matches", counting)
    CREDENTIALS.identify(headers(X_API_KEY="k1", Otoroshi_Client_Id="nobody", Otoroshi_Client_Secret="x"))

    assert compared == ["k1", "k2", "pass:word", "ü"]


def test_of_several_proofs_the_first_counts() -> None:
    both = headers(X_API_KEY="k2", Otoroshi_Client_Id="id", Otoroshi_Client_Secret="pass:word")

    assert CREDENTIALS.identify(both) == Identity("watcher", Role.VIEWER)


@patient
@given(st.binary())
def test_any_header_proves_nothing_at_worst(value: bytes) -> None:
    try:
        hostile = Headers({b"X-API-KEY": [value], b"Authorization": [b"Basic " + value]})
    except ValueError:
        return
    assert CREDENTIALS.identify(hostile) is None


@patient
@given(st.text())
def test_any_basic_header_is_read_or_not(value: str) -> None:
    assert basic(value) is None or value[:6].lower() == "basic "


@pytest.mark.parametrize(
    ("peer", "networks", "yes"),
    [
        ("10.0.0.1", [], True),
        ("10.0.0.1", ["10.0.0.0/8"], True),
        ("11.0.0.1", ["10.0.0.0/8"], False),
        ("::1", ["10.0.0.0/8", "::1/128"], True),
        ("::1", ["127.0.0.0/8"], False),
        ("::ffff:10.0.0.1", ["10.0.0.0/8"], True),
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("", ["10.0.0.0/8"], True),
    ],
)
def test_addresses(peer: str, networks: list[str], yes: bool) -> None:
    assert allowed(peer, [ip_network(network) for network in networks]) is yes


@pytest.mark.parametrize(
    ("value", "split"),
    [
        ("localhost", ("localhost", None)),
        ("LocalHost.:9180", ("localhost", "9180")),
        ("127.0.0.1:80", ("127.0.0.1", "80")),
        ("[::1]:9180", ("::1", "9180")),
        ("[::1]", ("::1", None)),
        ("", None),
        ("a b", None),
        ("a:b", None),
        ("a:80:80", None),
        ("user@host", None),
        ("host/path", None),
        ("::1", None),
        ("é", None),
    ],
)
def test_hosts(value: str, split: tuple[str, str | None] | None) -> None:
    assert split_host(value) == split


@pytest.mark.parametrize(
    ("host", "listen", "yes"),
    [
        ("localhost", "127.0.0.1", True),
        ("app.localhost", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("192.0.2.7", "127.0.0.1", True),
        ("attacker.example", "127.0.0.1", False),
        ("localhost.attacker.example", "::1", False),
        ("notlocalhost", "localhost", False),
        ("attacker.example", "0.0.0.0", True),
        ("admin.example", "admin.example", True),
    ],
)
def test_names_that_are_us(host: str, listen: str, yes: bool) -> None:
    assert names_us(host, listen) is yes


@pytest.mark.parametrize(
    ("given_headers", "host", "crossing"),
    [
        (headers(), "localhost:9180", False),
        (headers(Origin="http://localhost:9180"), "localhost:9180", False),
        (headers(Origin="http://LOCALHOST:9180"), "localhost:9180", False),
        (headers(Origin="https://admin.example"), "admin.example", False),
        (headers(Origin="https://admin.example"), "admin.example:443", False),
        (headers(Origin="http://[::1]:9180"), "[::1]:9180", False),
        (headers(Origin="http://localhost:8080"), "localhost:9180", True),
        (headers(Origin="http://attacker.example"), "localhost:9180", True),
        (headers(Origin="null"), "localhost:9180", True),
        (headers(Origin=""), "localhost:9180", True),
        (headers(Origin="http://[::1"), "[::1]", True),
        (headers(Origin="file://"), "localhost", True),
        (headers(Origin="ftp://localhost"), "localhost", True),
        (headers(Origin="http://localhost"), None, True),
        (headers(Sec_Fetch_Site="cross-site"), "localhost", True),
        (headers(Sec_Fetch_Site="same-origin", Origin="http://localhost"), "localhost", False),
    ],
)
def test_writes_of_other_sites(given_headers: Headers, host: str | None, crossing: bool) -> None:
    assert is_cross_site(given_headers, host) is crossing
