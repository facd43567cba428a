from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.otoroshi import canonical, decode, encode
from streamproxy.model import ClientAuth, PatternKind, TlsMode

from ..test_codec import json_values

MINIMAL: dict[str, Any] = {"name": "a", "description": "b", "port": 1234}


def stored(**fields: Any) -> dict[str, Any]:
    """What becomes of the minimal document with ``fields``."""
    body, problems = canonical({**MINIMAL, **fields}, id="a")
    assert body is not None, problems
    return body


def refusals(**fields: Any) -> dict[str, str]:
    body, problems = canonical({**MINIMAL, **fields}, id="a")
    assert body is None
    return {problem.path: problem.message for problem in problems}


def test_the_minimal_document_gets_every_default_in_order() -> None:
    body, problems = canonical(MINIMAL, id="tcp-service_dev_1")
    assert problems == ()
    assert list((body or {}).items()) == [
        ("_loc", {"tenant": "default", "teams": ["default"]}),
        ("id", "tcp-service_dev_1"),
        ("name", "a"),
        ("description", "b"),
        ("enabled", False),
        ("tls", "Disabled"),
        (
            "sni",
            {
                "enabled": False,
                "forwardIfNoMatch": False,
                "forwardsTo": {"host": "127.0.0.1", "ip": None, "port": 8080, "tls": False},
            },
        ),
        ("clientAuth", "None"),
        ("port", 1234),
        ("interface", "0.0.0.0"),
        ("rules", []),
        ("metadata", {}),
        ("tags", []),
    ]


def test_a_full_document_is_kept_as_it_is() -> None:
    body = {
        "_loc": {"tenant": "acme", "teams": ["dba", "ops"]},
        "id": "pg",
        "name": "PostgreSQL",
        "description": "",
        "enabled": True,
        "tls": "PassThrough",
        "sni": {
            "enabled": True,
            "forwardIfNoMatch": True,
            "forwardsTo": {"host": "Other.Example", "ip": "10.0.0.1", "port": 1, "tls": True},
        },
        "clientAuth": "Want",
        "port": 65535,
        "interface": "::1",
        "rules": [{"domain": ".*Read.*", "targets": [{"host": "h", "ip": "db.internal", "port": 2, "tls": True}]}],
        "metadata": {"k": "v"},
        "tags": ["t"],
    }
    assert canonical(body, id="pg") == (body, ())


def test_unknown_keys_are_dropped_and_null_is_not_given() -> None:
    assert stored(kind="TcpService", sni={"enabled": None, "x": 1}, rules=None, tls=None, enabled=None) == stored()


def test_the_id_is_the_one_it_is_stored_under() -> None:
    assert stored(id="other")["id"] == "a"
    assert stored(id=5)["id"] == "a"


@pytest.mark.parametrize("id", ["", "x" * 257, "a\nb", "\ud800"])
def test_an_id_is_some_printable_text(id: str) -> None:  # noqa: A002
    _, problems = canonical(MINIMAL, id=id)
    assert [problem.path for problem in problems] == ["id"]


@pytest.mark.parametrize(
    ("spelling", "mode"),
    [
        ("Disabled", "Disabled"),
        ("disabled", "Disabled"),
        ("Enabled", "Enabled"),
        ("enabled", "Enabled"),
        ("PassThrough", "PassThrough"),
        ("passthrough", "PassThrough"),
    ],
)
def test_spellings_of_tls(spelling: str, mode: str) -> None:
    assert stored(tls=spelling)["tls"] == mode


@pytest.mark.parametrize("spelling", ["PASSTHROUGH", "passThrough", "", "true"])
def test_what_is_no_tls_mode(spelling: str) -> None:
    assert refusals(tls=spelling) == {"tls": f'expected Disabled, PassThrough or Enabled, got "{spelling}"'}


@pytest.mark.parametrize(("spelling", "auth"), [("none", "None"), ("NEED", "Need"), ("wAnT", "Want")])
def test_client_auth_in_any_case(spelling: str, auth: str) -> None:
    assert stored(clientAuth=spelling)["clientAuth"] == auth
    assert stored(clientAuth=spelling, tls="Disabled")["clientAuth"] == auth


def test_tenants_and_teams_are_trimmed_lower_case_and_unique() -> None:
    assert stored(_loc={"tenant": " ACME ", "teams": ["Ops", " ops", "dba"]})["_loc"] == {
        "tenant": "acme",
        "teams": ["ops", "dba"],
    }


def test_an_empty_ip_is_none_and_a_port_of_its_own_has_a_default() -> None:
    (rule,) = stored(rules=[{"targets": [{"host": "h", "ip": ""}]}])["rules"]
    assert rule == {"domain": "*", "targets": [{"host": "h", "ip": None, "port": 8080, "tls": False}]}


@pytest.mark.parametrize(
    ("written", "kept"),
    [("", "0.0.0.0"), ("localhost", "localhost"), ("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("::", "::")],
)
def test_interfaces(written: str, kept: str) -> None:
    assert stored(interface=written)["interface"] == kept


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"rules": [{"targets": [{"port": 1}]}]}, "rules[0].targets[0].host", "is required"),
        (
            {"rules": [{"targets": [{"host": ""}]}]},
            "rules[0].targets[0].host",
            "expected a host name or an IP address, got nothing",
        ),
        (
            {"rules": [{}, {"targets": [{"host": "h"}, {"host": "h", "port": "9000"}]}]},
            "rules[1].targets[1].port",
            "expected an integer, got a string",
        ),
        (
            {"sni": {"forwardsTo": {"host": "h", "port": 0}}},
            "sni.forwardsTo.port",
            "expected 1 to 65535, got 0",
        ),
        ({"sni": {"forwardsTo": {}}}, "sni.forwardsTo.host", "is required"),
        ({"sni": []}, "sni", "expected an object, got a list"),
        ({"port": 65536}, "port", "expected 1 to 65535, got 65536"),
        ({"port": 0}, "port", "expected 1 to 65535, got 0"),
        ({"enabled": "true"}, "enabled", "expected a boolean, got a string"),
        ({"clientAuth": "Maybe"}, "clientAuth", 'expected None, Want or Need, got "Maybe"'),
        ({"metadata": {"k": 1}}, "metadata.k", "expected a string, got an integer"),
        ({"tags": ["a", 1]}, "tags[1]", "expected a string, got an integer"),
        ({"rules": {}}, "rules", "expected a list, got an object"),
        (
            {"interface": "eth0"},
            "interface",
            'expected an IP address or localhost, got "eth0"',
        ),
        (
            {"rules": [{"domain": "["}]},
            "rules[0].domain",
            '"[" is neither a wildcard nor a regular expression: missing ]: [',
        ),
        (
            {"rules": [{"targets": [{"host": "h", "ip": "a b"}]}]},
            "rules[0].targets[0].ip",
            'expected a host name or an IP address, got "a b"',
        ),
        ({"_loc": {"tenant": 1}}, "_loc.tenant", "expected a string, got an integer"),
    ],
)
def test_what_could_not_work_is_refused_with_its_path(fields: dict[str, Any], path: str, message: str) -> None:
    assert refusals(**fields) == {path: message}


@pytest.mark.parametrize(
    "body",
    [
        {"description": "b", "port": 1},
        {"name": "a", "port": 1},
        {"name": "a", "description": "b"},
        {"name": "a", "description": "b", "port": "1234"},
        {"name": "a", "description": "b", "port": None},
        {"name": 1, "description": "b", "port": 1},
        [],
        None,
    ],
)
def test_what_otoroshi_calls_a_bad_entity_format(body: Any) -> None:
    _, problems = canonical(body, id="a")
    assert [problem.code for problem in problems] == ["bad_format"]


def test_no_other_problem_is_a_bad_format() -> None:
    _, problems = canonical({**MINIMAL, "port": 0, "tls": 1, "rules": [{"targets": [{}]}]}, id="a")
    assert {problem.path: problem.code for problem in problems} == {
        "port": "bad_value",
        "tls": "wrong_type",
        "rules[0].targets[0].host": "missing",
    }


def test_the_decoded_service() -> None:
    service, _ = decode({**MINIMAL, "tls": "enabled", "clientAuth": "need", "rules": [{"domain": "a.b"}]}, id="a")
    assert service is not None
    assert (service.tls, service.client_auth) == (TlsMode.TERMINATE, ClientAuth.NEED)
    assert service.rules[0].domain.kind is PatternKind.EXACT


targets = st.fixed_dictionaries(
    {"host": st.sampled_from(["127.0.0.1", "DB.example", "::1", ""])},
    optional={"ip": st.sampled_from([None, "", "10.0.0.1"]), "port": st.integers(0, 65536), "tls": st.booleans()},
)
bodies = st.fixed_dictionaries(
    {"name": st.text(max_size=5), "description": st.text(max_size=5), "port": st.integers(-1, 70000)},
    optional={
        "_loc": st.fixed_dictionaries({}, optional={"tenant": st.text(), "teams": st.lists(st.text(max_size=3))}),
        "enabled": st.booleans(),
        "tls": st.sampled_from(["Disabled", "passthrough", "enabled", "Foo"]),
        "clientAuth": st.sampled_from(["none", "WANT", "Need"]),
        "interface": st.sampled_from(["", "localhost", "::", "10.0.0.1"]),
        "sni": st.fixed_dictionaries({}, optional={"enabled": st.booleans(), "forwardsTo": targets}),
        "rules": st.lists(
            st.fixed_dictionaries(
                {}, optional={"domain": st.sampled_from(["*", "*.a", "(a|b)", "["]), "targets": st.lists(targets)}
            ),
            max_size=3,
        ),
        "metadata": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        "tags": st.lists(st.text(max_size=3), max_size=3),
        "unknown": json_values,
    },
)


@given(bodies)
def test_canonical_is_canonical(body: dict[str, Any]) -> None:
    first, problems = canonical(body, id="a")
    if first is None:
        assert problems
    else:
        assert canonical(first, id="a") == (first, ())
        service, _ = decode(body, id="a")
        assert service is not None
        assert encode(service) == first


@given(st.dictionaries(st.sampled_from([*stored(), "x"]), json_values) | json_values, st.text(max_size=4))
def test_any_body_is_taken_or_refused(body: Any, id: str) -> None:  # noqa: A002
    result, problems = canonical(body, id=id)
    assert (result is None) == bool(problems)
    str(problems).encode()
