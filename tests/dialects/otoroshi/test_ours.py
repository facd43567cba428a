"""The fields that Otoroshi does not have."""

from __future__ import annotations

from typing import Any

from streamproxy.dialects import otoroshi
from streamproxy.dialects.claims import Claims
from streamproxy.model import ClientPolicy, FactKind, Key, Probe, TlsVersion
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
    written = {**with_target(tlsConfig=config), "starttls": "smtp", "sni": {"httpHost": True}}
    body, problems = otoroshi.canonical(written, id="x")
    assert body is not None, problems
    assert body["starttls"] == "smtp"
    assert body["sni"]["httpHost"] is True  # type: ignore[index, call-overload]
    assert body["rules"][0]["targets"][0]["tlsConfig"] == config  # type: ignore[index, call-overload]
    plain, _ = otoroshi.canonical({**with_target(tlsConfig={"verify": True}), "starttls": ""}, id="x")
    assert plain is not None
    assert "starttls" not in plain
    assert "httpHost" not in plain["sni"]  # type: ignore[operator]
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


def test_a_name_in_http_is_looked_for_behind_tls_where_that_was_asked_for() -> None:
    def kinds(*services: dict[str, Any]) -> frozenset[FactKind]:
        exposures = []
        for index, body in enumerate(services):
            decoded, problems = otoroshi.decode({**body, "enabled": True}, id=str(index))
            assert decoded is not None, problems
            exposures.append(otoroshi.expose(Key("otoroshi", "tcp-services", str(index)), decoded))
        (listener,) = otoroshi.compose(exposures, Claims()).listeners
        return listener.sniff

    asking = service(tls="Enabled", sni={"enabled": True, "httpHost": True})
    silent = service(tls="Enabled", sni={"enabled": True})
    assert kinds(silent) == {FactKind.SNI}
    assert kinds(asking) == kinds(silent, asking) == {FactKind.SNI, FactKind.HTTP_HOST}
    assert kinds(service(tls="Enabled", sni={"httpHost": True})) == frozenset()


class TestMysql:
    """Its greeting is the target's own: that one has to be known, and to speak TLS, before the client does."""

    def test_behind_termination_every_target_speaks_tls(self) -> None:
        body = with_target()
        assert paths({**body, "tls": "Enabled", "starttls": "mysql"}) == []
        body["rules"][0]["targets"].append({"host": "plain.example.com"})
        assert paths({**body, "tls": "Enabled", "starttls": "mysql"}) == ["rules[0].targets[1].tls"]

    def test_no_name_can_choose_the_target(self) -> None:
        body = {**with_target(), "starttls": "mysql", "sni": {"enabled": True}}
        for tls in ("PassThrough", "Enabled"):
            assert paths({**body, "tls": tls}) == ["sni.enabled"]
        assert paths({**body, "tls": "Disabled"}) == [], "nobody looks at names without TLS"

    def test_passed_through_it_needs_nothing(self) -> None:
        assert paths(service(tls="PassThrough", starttls="mysql", rules=[{"targets": [{"host": "db"}]}])) == []


CHECKS = {"active": {"type": "tcp", "healthy": {"interval": 2, "successes": 1}}, "passive": {}}


def test_targets_are_checked_as_apisixs_nodes_are() -> None:
    body = with_target()
    body |= {"checks": CHECKS, "tls": "Enabled", "sni": {"enabled": True, "forwardIfNoMatch": True}}
    decoded, problems = otoroshi.decode(body, id="x")
    assert decoded is not None, problems
    upstreams = otoroshi.expose(Key("otoroshi", "tcp-services", "x"), decoded).upstreams
    assert len(upstreams) == 2, "a rule's targets, and those of sni.forwardsTo"
    for upstream in upstreams:
        assert upstream.checks is not None
        assert upstream.checks.active is not None
        assert (upstream.checks.active.probe, upstream.checks.active.healthy_interval) == (Probe.TCP, 2.0)
        assert upstream.checks.passive is not None
    stored, _ = otoroshi.canonical(body, id="x")
    assert stored is not None
    assert stored["checks"] == CHECKS
    assert "checks" not in otoroshi.encode(otoroshi.decode(service(), id="x")[0])  # type: ignore[arg-type]


def test_checks_that_cannot_be_are_refused_where_they_stand() -> None:
    for wrong, path in (
        (7, "checks"),
        ({"passive": {}}, "checks"),
        ({"active": {"type": "gopher"}}, "checks.active.type"),
        ({"active": {"timeout": 0}}, "checks.active.timeout"),
    ):
        assert paths(service(checks=wrong)) == [path], wrong
