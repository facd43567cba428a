"""What certificates there are, in our own words and in Otoroshi's."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from streamproxy.model import (
    CertificateCandidate,
    CertificateChoice,
    CertificateStatus,
    ClientAuth,
    Key,
    LeafStatus,
    ListenAddress,
    Listener,
    ListenerState,
    ListenerStatus,
    TlsMode,
    TlsVersion,
    Transport,
)

from .api import NOW, Api, FakeRuntime

DAY = 86400.0


def leaf(number: int = 1, **fields: Any) -> LeafStatus:
    values: dict[str, Any] = {
        "subject": "CN=a.example.com",
        "issuer": "CN=Root",
        "serial": f"{number:x}",
        "key_type": "ECDSA",
        "key_size": 256,
        "not_before": NOW - DAY,
        "not_after": NOW + 30.5 * DAY,
        "sans": ("DNS:a.example.com", "IP:10.0.0.1", "URI:spiffe://a"),
        "fingerprint": f"{number:064x}",
        "is_self_signed": False,
        "is_authority": False,
        "chain": (b"leaf", b"above" * 20),
        **fields,
    }
    return LeafStatus(**values)


def status(id: str = "apisix:ssls/1", *leaves: LeafStatus, **fields: Any) -> CertificateStatus:  # noqa: A002
    every = leaves or (leaf(),)
    start, end = max(one.not_before for one in every), min(one.not_after for one in every)
    return CertificateStatus(id, ("a.example.com", "*.a.example.com"), every, start, end, **fields)


RSA = leaf(2, key_type="RSA", key_size=2048)
MODERN = frozenset({TlsVersion.TLS1_3, TlsVersion.TLS1_2})
OBJECT = status("apisix:ssls/1", leaf(), RSA, client_auth=ClientAuth.NEED, versions=MODERN)
FILE = status("file:/etc/certs/a b.pem", leaf(3, key_type="Ed25519", key_size=0, not_after=NOW - 0.5 * DAY))


def listening(port: int, tls: TlsMode) -> ListenerStatus:
    listener = Listener(
        ListenAddress(Transport.TCP, "127.0.0.1", port),
        "r",
        f"otoroshi:tcp-services/{port}",
        (Key("otoroshi", "tcp-services", str(port)),),
        tls=tls,
        client_auth=ClientAuth.WANT,
    )
    return ListenerStatus(listener, ListenerState.LISTENING, port)


@pytest.fixture
def api() -> Api:
    candidates = tuple(
        CertificateCandidate(one.id, "a.example.com", one is OBJECT, "exact name") for one in (OBJECT, FILE)
    )
    return Api(
        runtime=FakeRuntime(
            statuses=(listening(1, TlsMode.TERMINATE), listening(2, TlsMode.PASSTHROUGH)),
            served=(OBJECT, FILE),
            choices={
                "a.example.com": CertificateChoice(OBJECT, "exact name", candidates),
                "many": CertificateChoice(OBJECT, "exact name", candidates * 100),
                None: CertificateChoice(None, "the client sent no name, and there is no fallback for those"),
            },
        )
    )


class TestOurOwn:
    def test_all_of_them(self, api: Api) -> None:
        found = api.get("/streamproxy/v1/certificates").json

        assert found["total"] == 2
        assert found["listeners"] == [
            {"address": "tcp 127.0.0.1:1", "owner": "otoroshi:tcp-services/1", "client_auth": "Want"}
        ]
        first, second = found["certificates"]
        assert {**first, "leaves": []} == {
            "id": "apisix:ssls/1",
            "source": "document",
            "names": ["a.example.com", "*.a.example.com"],
            "key_types": ["ECDSA 256", "RSA 2048"],
            "client_auth": "Need",
            "versions": ["TLSv1.2", "TLSv1.3"],
            "not_before": "2024-01-01T03:04:05Z",
            "not_after": "2024-02-01T15:04:05Z",
            "days_left": 30,
            "valid": True,
            "leaves": [],
        }
        assert first["leaves"][0] == {
            "subject": "CN=a.example.com",
            "issuer": "CN=Root",
            "serial": "1",
            "key_type": "ECDSA 256",
            "sans": ["DNS:a.example.com", "IP:10.0.0.1", "URI:spiffe://a"],
            "fingerprint": f"{1:064x}",
            "self_signed": False,
            "authority": False,
            "chain_length": 2,
            "not_before": "2024-01-01T03:04:05Z",
            "not_after": "2024-02-01T15:04:05Z",
            "days_left": 30,
            "valid": True,
        }
        assert (second["source"], second["key_types"], second["versions"]) == ("file", ["Ed25519"], None)
        assert (second["days_left"], second["valid"]) == (-1, False)

    def test_one_page_of_them(self, api: Api) -> None:
        found = api.get("/streamproxy/v1/certificates?limit=1&offset=1").json
        assert ([one["id"] for one in found["certificates"]], found["total"]) == ([FILE.id], 2)
        assert api.get("/streamproxy/v1/certificates?offset=9").json["certificates"] == []
        for query in ("limit=x", "offset=-1"):
            assert api.get(f"/streamproxy/v1/certificates?{query}").code == 400

    def test_dates_that_are_none(self) -> None:
        api = Api(runtime=FakeRuntime(served=(status("a", leaf(not_before=-float("inf"), not_after=float("inf"))),)))
        (found,) = api.get("/streamproxy/v1/certificates").json["certificates"]
        assert (found["not_before"], found["not_after"], found["days_left"], found["valid"]) == (None, None, None, True)
        assert api.get("/api/certificates").json[0]["from"] is None

    def test_which_one_a_client_gets_and_why(self, api: Api) -> None:
        found = api.get("/streamproxy/v1/certificates/for?name=a.example.com").json
        assert (found["name"], found["certificate"]["id"], found["why"]) == ("a.example.com", OBJECT.id, "exact name")
        assert found["candidates"] == [
            {"id": OBJECT.id, "name": "a.example.com", "won": True, "why": "exact name"},
            {"id": FILE.id, "name": "a.example.com", "won": False, "why": "exact name"},
        ]
        assert len(api.get("/streamproxy/v1/certificates/for?name=many").json["candidates"]) == 100

    def test_a_client_that_sends_no_name(self, api: Api) -> None:
        assert api.get("/streamproxy/v1/certificates/for").json == {
            "name": None,
            "certificate": None,
            "why": "the client sent no name, and there is no fallback for those",
            "candidates": [],
        }

    @pytest.mark.parametrize("path", ["certificates", "certificates/for"])
    def test_not_for_everybody(self, api: Api, path: str) -> None:
        assert api.get(f"/streamproxy/v1/{path}", auth=None).code == 401
        assert api.call("POST", f"/streamproxy/v1/{path}", {}).code == 405


class TestOtoroshis:
    def test_all_of_them(self, api: Api) -> None:
        reply = api.get("/api/certificates")

        assert reply.headers["x-count"] == "3"
        first, second, third = reply.json
        assert first == {
            "_loc": {"tenant": "default", "teams": ["default"]},
            "id": "apisix:ssls/1",
            "domain": "a.example.com",
            "name": "a.example.com",
            "description": "",
            "chain": first["chain"],
            "caRef": None,
            "privateKey": "",
            "selfSigned": False,
            "ca": False,
            "valid": True,
            "exposed": False,
            "revoked": False,
            "autoRenew": False,
            "letsEncrypt": False,
            "client": False,
            "keypair": False,
            "subject": "CN=a.example.com",
            "from": int((NOW - DAY) * 1000),
            "to": int((NOW + 30.5 * DAY) * 1000),
            "sans": ["a.example.com", "10.0.0.1"],
            "metadata": {},
            "tags": [],
        }
        assert (second["id"], third["id"], third["valid"]) == ("apisix:ssls/1:2", FILE.id, False)

    def test_the_chain_is_pem(self, api: Api) -> None:
        lines = api.get("/api/certificates").json[0]["chain"].splitlines()
        assert [line for line in lines if "-----" in line] == [
            "-----BEGIN CERTIFICATE-----",
            "-----END CERTIFICATE-----",
        ] * 2
        assert base64.b64decode(lines[1]) == b"leaf"
        assert base64.b64decode("".join(lines[4:-1])) == b"above" * 20
        assert max(map(len, lines)) == 64

    @pytest.mark.parametrize(
        ("path", "serial"),
        [
            ("apisix:ssls/1", "apisix:ssls/1"),
            ("apisix:ssls/1:2", "apisix:ssls/1:2"),
            ("apisix%3Assls%2F1", "apisix:ssls/1"),
            ("file:/etc/certs/a%20b.pem", FILE.id),
        ],
    )
    def test_one_of_them(self, api: Api, path: str, serial: str) -> None:
        assert api.get(f"/api/certificates/{path}").json["id"] == serial
        assert list(api.get(f"/api/certificates/{path}?fields=id").json) == ["id"]

    @pytest.mark.parametrize("path", ["x", "apisix:ssls/1:3", "apisix:ssls/12"])
    def test_one_that_is_not_there(self, api: Api, path: str) -> None:
        reply = api.get(f"/api/certificates/{path}")
        assert (reply.code, reply.json["error"]) == (404, "not_found")

    def test_queries(self, api: Api) -> None:
        assert [one["id"] for one in api.get("/api/certificates?filter.valid=false&fields=id").json] == [FILE.id]
        assert len(api.get("/api/certificates?page=1&pageSize=2").json) == 2
        assert api.get("/api/certificates?filter.secret=x").code == 400

    def test_one_without_names(self) -> None:
        nameless = CertificateStatus("x", (), (leaf(),), 0, 1)
        assert Api(runtime=FakeRuntime(served=(nameless,))).get("/api/certificates").json[0]["domain"] == ""

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_they_are_not_changed_here(self, api: Api, method: str) -> None:
        for path in ("/api/certificates", "/api/certificates/apisix:ssls/1"):
            reply = api.call(method, path, {})
            assert (reply.code, reply.headers["allow"]) == (405, "GET, HEAD")
            assert "/apisix/admin/ssls" in reply.json["error_description"]
