from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.otoroshi import canonical, new_id, template


def test_the_template_is_otoroshis() -> None:
    assert json.dumps(template(uuid="0b9c"), separators=(",", ":")) == (
        '{"_loc":{"tenant":"default","teams":["default"]},"id":"tcp_service_dev_0b9c","name":"TCP Proxy",'
        '"description":"A TCP Proxy","enabled":true,"tls":"Disabled","sni":{"enabled":false,"forwardIfNoMatch":false,'
        '"forwardsTo":{"host":"127.0.0.1","ip":null,"port":8080,"tls":false}},"clientAuth":"None","port":4200,'
        '"interface":"0.0.0.0","rules":[{"domain":"*","targets":[{"host":"42.42.42.42","ip":null,"port":4200,'
        '"tls":false}]}],"metadata":{},"tags":[]}'
    )


def test_in_production_its_id_is_shorter() -> None:
    assert template(uuid="u", env_prod=True)["id"] == "tcp_service_u"


def test_it_belongs_to_the_caller() -> None:
    assert template(uuid="u", tenant="acme", team="ops")["_loc"] == {"tenant": "acme", "teams": ["ops"]}


def test_what_overrides_it_is_merged_in() -> None:
    made = template(uuid="u", overrides={"name": "x", "port": "9000", "sni": {"enabled": True}, "rules": [], "new": 1})
    assert made["name"] == "x"
    assert made["port"] == "9000", "a query parameter is text, which a later write refuses"
    assert made["rules"] == []
    assert made["new"] == 1
    assert made["sni"] == {**template(uuid="u")["sni"], "enabled": True}  # type: ignore[dict-item]
    assert template(uuid="u", overrides={"sni": "x"})["sni"] == "x"


@given(st.text("abcdef0123456789-", min_size=1), st.booleans())
def test_the_template_is_a_right_document(uuid: str, env_prod: bool) -> None:
    made = template(uuid=uuid, env_prod=env_prod)
    assert canonical(made, id=str(made["id"])) == (made, ())


def test_a_new_service_has_the_id_it_brings_or_a_new_one() -> None:
    assert new_id({"client_id": "a", "clientId": "b", "id": "c"}, uuid="u") == "a"
    assert new_id({"client_id": 1, "clientId": "b", "id": "c"}, uuid="u") == "b"
    assert new_id({"id": "c"}, uuid="u") == "c"
    assert new_id({"id": ""}, uuid="u") == "tcp-service_dev_u"
    assert new_id({}, uuid="u", env_prod=True) == "tcp-service_u"
