"""The fields that Otoroshi does not have."""

from __future__ import annotations

from typing import Any

from streamproxy.dialects import otoroshi
from streamproxy.model import ClientPolicy, Key, TlsVersion
from tests.tls.pki import Authority

ROOT = Authority.root("a root")


def service(**more: Any) -> dict[str, Any]:
    return {"id": "x", "name": "x", "description": "", "port": 1, **more}


def with_target(**more: Any) -> dict[str, Any]:
    return service(rules=[{"domain": "*", "targets": [{"host": "db.example.com", "tls": True, **more}]}])


def policy(body: dict[str, Any]) -> ClientPolicy | None:
    decoded, problems = otoroshi.decode(body, id="x")
    assert decoded is not None, problems
    (upstream,) = otoroshi.expose(Key("otoroshi", "tcp-services", "x"), decoded).upstreams
    return upstream.nodes[0].tls


def paths(body: dict[str, Any]) -> list[str]:
    return [problem.path for problem in otoroshi.canonical(body, id="x")[1]]


def test_a_target_is_verified_by_its_host_unless_told_otherwise() -> None:
    assert policy(with_target()) == ClientPolicy("db.example.com")
    config = {"verify": False, "serverName": "other.example.com", "ca": ROOT.pem.decode(), "minVersion": "TLSv1.3"}
    assert policy(with_target(tlsConfig=config)) == ClientPolicy(
        "other.example.com", verify=False, ca=(ROOT.der,), minimum=TlsVersion.TLS1_3
    )


def test_they_are_written_where_they_say_something_and_only_there() -> None:
    config = {"verify": False, "serverName": "other.example.com", "ca": ROOT.pem.decode(), "minVersion": "TLSv1.3"}
    body, problems = otoroshi.canonical({**with_target(tlsConfig=config), "starttls": "smtp"}, id="x")
    assert body is not None, problems
    assert body["starttls"] == "smtp"
    assert body["rules"][0]["targets"][0]["tlsConfig"] == config  # type: ignore[index, call-overload]
    plain, _ = otoroshi.canonical({**with_target(tlsConfig={"verify": True}), "starttls": ""}, id="x")
    assert plain is not None
    assert "starttls" not in plain
    assert "tlsConfig" not in plain["rules"][0]["targets"][0]  # type: ignore[index, call-overload, operator]


def test_what_makes_no_sense_is_refused_where_it_stands() -> None:
    assert paths(service(starttls="gopher")) == ["starttls"]
    bad = {"verify": "no", "serverName": "no name", "ca": "no certificate", "minVersion": "SSLv3"}
    assert sorted(paths(with_target(tlsConfig=bad))) == [
        f"rules[0].targets[0].tlsConfig.{key}" for key in ("ca", "minVersion", "serverName", "verify")
    ]


def test_services_that_share_a_port_begin_alike() -> None:
    one, other = (
        otoroshi.expose(
            Key("otoroshi", "tcp-services", name),
            otoroshi.decode(service(tls="PassThrough", sni={"enabled": True}, starttls=protocol), id=name)[0],  # type: ignore[arg-type]
        )
        for name, protocol in (("one", "smtp"), ("other", "imap"))
    )
    assert not one.merges_with(other)
