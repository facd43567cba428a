"""What is answered to writes: the conformance cases that need no process, by their numbers, and what is ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from streamproxy.dialects.apisix import deletion_refusal, schema_document, schema_refusal
from streamproxy.dialects.apisix.secrets import seal
from streamproxy.dialects.assemble import canonical
from streamproxy.model import Document, Key

from ...tls.pki import DAY, NOW, ec_key
from .asking import CERT, LEAF, PLUGINS, PRIVATE, ROOT, RR, VAULT, refused

MQTT: dict[str, Any] = {
    "remote_addr": "127.0.0.1",
    "plugins": {"mqtt-proxy": {"protocol_name": "MQTT", "protocol_level": 4}},
    "upstream": {"type": "chash", "key": "mqtt_client_id", "nodes": [{"host": "127.0.0.1", "port": 1980, "weight": 1}]},
}
UPSTREAM = ("upstreams", "1", RR)
SSL: dict[str, Any] = {"cert": CERT, "key": PRIVATE, "sni": "test.com"}
PATTERN = (
    "^((uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname|mqtt_client_id)"
    "|arg_[0-9a-zA-z_-]+)$"
)
STREAM_PLUGIN = "failed to check the configuration of stream plugin"


class TestCases:
    def test_c12_ids(self) -> None:
        assert refused("stream_routes", {"upstream": RR}, id="a-b-c-ABC_0123") is None
        assert refused("stream_routes", {"upstream": RR}, id="*invalid") == (
            'invalid configuration: property "id" validation failed: object matches none of the required'
        )

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"server_addr": "127.0.0.1", "server_port": 1982},
            {"remote_addr": "::1", "server_addr": "::1", "server_port": 1982},
        ],
    )
    def test_c13_accepted_shapes(self, more: dict[str, Any]) -> None:
        assert refused("stream_routes", {**MQTT, **more}) is None

    def test_c14_plugins(self) -> None:
        unknown = {"remote_addr": "127.0.0.1", "plugins": {"mqttt-proxy": {}}}
        assert refused("stream_routes", unknown) == "unknown plugin [mqttt-proxy]"
        empty = {"plugins": {"ip-restriction": {}}, "upstream_id": "1"}
        assert refused("stream_routes", empty, stored=[UPSTREAM]) == (
            f"{STREAM_PLUGIN} [ip-restriction]: value should match only one schema, but matches none"
        )
        for conf, text in (
            ({"protocol_name": "MQTT"}, f'{STREAM_PLUGIN} [mqtt-proxy]: property "protocol_level" is required'),
            ({"protocol_level": 4}, None),
        ):
            body = {"plugins": {"mqtt-proxy": conf}, "upstream_id": "1"}
            assert refused("stream_routes", body, stored=[UPSTREAM]) == text

    def test_c15_protocols(self) -> None:
        body = {"protocol": {"name": "xxx"}, "upstream": RR}
        assert refused("stream_routes", body) == "unknown protocol [xxx]"
        assert refused("stream_routes", body, protocols=frozenset({"xxx"})) is None

    def test_c16_keys_at_rest(self) -> None:
        tls = {"client_cert": CERT, "client_key": PRIVATE}
        body: dict[str, Any] = {"remote_addr": "127.0.0.1", "upstream": {**RR, "scheme": "tls", "tls": tls}}
        assert refused("stream_routes", body) is None
        stored, _ = canonical(Key("apisix", "stream_routes", "enc"), body, vault=VAULT)
        assert stored is not None
        assert "PRIVATE KEY" not in str(stored)
        assert refused("stream_routes", stored) is None

    @pytest.mark.parametrize("reference", ["upstream_id", "service_id"])
    def test_c18_a_bad_network(self, reference: str) -> None:
        stored = [UPSTREAM, ("services", "1", {"upstream": RR})]
        body = {"remote_addr": ":/8", reference: "1"}
        assert refused("stream_routes", body, stored=stored) == "invalid remote_addr: :/8"
        body = {"server_addr": ":/8", reference: "1"}
        assert refused("stream_routes", body, stored=stored) == "invalid server_addr: :/8"

    def test_c21_chash_keys(self) -> None:
        nodes = {"127.0.0.1:8080": 1, "127.0.0.1:8081": 2}
        assert refused("upstreams", {"nodes": nodes, "type": "chash"}) == "missing key"
        odd = {"nodes": nodes, "type": "chash", "key": "not_support", "desc": "new upstream"}
        assert refused("upstreams", odd) == (
            f'invalid configuration: failed to match pattern "{PATTERN}" with "not_support"'
        )
        nobody = {"key": "dsadas", "nodes": nodes, "type": "chash", "hash_on": "aabbcc"}
        assert refused("upstreams", nobody) == (
            'invalid configuration: property "hash_on" validation failed: matches none of the enum values'
        )

    def test_c22_certificates_of_objects_and_ipv6(self) -> None:
        body = {**RR, "tls": {"client_cert_id": 9999999}}
        assert refused("upstreams", body) == "failed to fetch ssl info by ssl id [9999999], response code: 404"
        body = {**RR, "tls": {"client_cert_id": 1}}
        assert refused("upstreams", body, stored=[("ssls", "1", SSL)]) == (
            "failed to fetch ssl info by ssl id [1], wrong ssl type"
        )
        assert refused("upstreams", body, stored=[("ssls", "1", {**SSL, "type": "client"})]) is None
        body = {"nodes": [{"host": "::1", "port": 80, "weight": 1}], "type": "roundrobin"}
        assert refused("upstreams", body) == ("invalid configuration: IPv6 address must be enclosed with '[' and ']'")

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            (
                {"timeout": {"connect": 0, "send": 0, "read": 0}},
                (
                    'property "timeout" validation failed: property "connect" validation failed: '
                    "expected 0 to be greater than 0"
                ),
            ),
            ({"retry_timeout": -1}, 'property "retry_timeout" validation failed: expected -1 to be at least 0'),
            ({"retries": -1}, 'property "retries" validation failed: expected -1 to be at least 0'),
            ({"retries": 0}, None),
        ],
    )
    def test_c23_numeric_limits(self, fields: dict[str, Any], text: str | None) -> None:
        expected = None if text is None else f"invalid configuration: {text}"
        assert refused("upstreams", {**RR, **fields}) == expected

    def test_c27_references(self) -> None:
        assert refused("stream_routes", {"upstream_id": "nope"}, id="9") == (
            "failed to fetch upstream info by upstream id [nope], response code: 404"
        )
        assert refused("stream_routes", {"service_id": "nope"}, id="9") == (
            "failed to fetch service info by service id [nope], response code: 404"
        )

    def test_c28_what_a_certificate_object_needs(self) -> None:
        other = ROOT.issue("test.com", ec_key())
        for body in (
            {"sni": "foo.com"},
            {"cert": CERT, "key": PRIVATE},
            {"sni": "test.com", "certs": [other.pem.decode()], "keys": []},
        ):
            assert refused("ssls", body) == "invalid configuration: then clause did not match"
        assert refused("ssls", {"type": "client", "cert": CERT, "key": PRIVATE}) is None
        assert refused("ssls", {"type": "client"}) == "invalid configuration: else clause did not match"

    def test_c29_several_pairs(self) -> None:
        other = ROOT.issue("test.com", ec_key())
        body = {**SSL, "certs": [other.pem.decode()], "keys": [other.key_pem.decode()]}
        assert refused("ssls", body) is None
        assert refused("ssls", {**body, "keys": []}) == "mismatched number of certs and keys"

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"cert": CERT[:200]}, "failed to parse cert: PEM_read_bio_X509_AUX() failed"),
            (
                {"sni": None, "snis": []},
                'invalid configuration: property "snis" validation failed: expect array to have at least 1 items',
            ),
            (
                {"ssl_protocols": ["TLSv1.0", "TLSv1.2"]},
                (
                    'invalid configuration: property "ssl_protocols" validation failed: '
                    "failed to validate item 1: matches none of the enum values"
                ),
            ),
        ],
    )
    def test_c30_bad_material(self, fields: dict[str, Any], text: str) -> None:
        body = {name: value for name, value in {**SSL, **fields}.items() if value is not None}
        assert refused("ssls", body) == text

    def test_c31_schemas(self) -> None:
        for name in ("stream_route", "upstream", "service", "ssl"):
            schema = schema_document(name)
            assert schema is not None
            for time in ("create_time", "update_time"):
                assert schema["properties"][time] == {"type": "integer"}
        assert schema_document("noexits") is None

    def test_c58_a_plugin_that_lacks_something(self) -> None:
        text = refused("stream_routes", {"plugins": {"mqtt-proxy": {}}, "upstream": RR})
        assert text is not None
        assert 'property "protocol_level" is required' in text
        text = refused("stream_routes", {"plugins": {"syslog": {}}, "upstream": RR}, plugins={})
        assert text == "unknown plugin [syslog]"


class TestOrder:
    """Of several things that are wrong, what APISIX would look at first."""

    def test_of_a_stream_route(self) -> None:
        body: dict[str, Any] = {
            "server_port": 0,
            "upstream_id": "nope",
            "service_id": "nope",
            "protocol": {"name": "redis", "superior_id": "1"},
            "plugins": {"nobody": {}},
            "remote_addr": ":/8",
            "server_addr": ":/8",
            "upstream": {**RR, "type": "x"},
        }
        said = []
        for repaired in (
            ("server_port",),
            ("upstream_id",),
            ("service_id",),
            ("protocol",),
            ("plugins",),
            ("remote_addr",),
            ("server_addr",),
            ("upstream",),
        ):
            said.append(refused("stream_routes", body))
            body = {name: value for name, value in body.items() if name not in repaired}
        assert said == [
            'invalid configuration: property "server_port" validation failed: expected 0 to be at least 1',
            "failed to fetch upstream info by upstream id [nope], response code: 404",
            "failed to fetch service info by service id [nope], response code: 404",
            "stream route can not set itself as superior_id",
            "unknown plugin [nobody]",
            "invalid remote_addr: :/8",
            "invalid server_addr: :/8",
            None,
        ]

    def test_of_a_service(self) -> None:
        body = {"upstream": {**RR, "type": "chash"}, "upstream_id": "nope", "plugins": {"probe": {"level": "x"}}}
        assert refused("services", body) == "missing key"
        body["upstream"] = {**RR, "tls": {"client_cert_id": "c"}}
        assert refused("services", body) == "failed to fetch ssl info by ssl id [c], response code: 404"
        del body["upstream"]
        assert refused("services", body) == "failed to fetch upstream info by upstream id [nope], response code: 404"
        del body["upstream_id"]
        assert refused("services", body) == (
            "failed to check the configuration of plugin probe err: "
            'property "level" validation failed: wrong type: expected integer, got string'
        )
        assert refused("services", {"script": "short"}) == (
            'invalid configuration: property "script" validation failed: string too short, expected at least 10, got 5'
        )
        assert refused("services", {"upstream": RR, "hosts": ["a"], "plugins": {}}) is None


class TestSuperiors:
    BODY: dict[str, Any] = {"upstream": RR, "protocol": {"name": "redis", "superior_id": 2}}  # noqa: RUF012

    def said(self, **superior: Any) -> str | None:
        stored = [("stream_routes", "2", superior)] if superior else []
        return refused("stream_routes", self.BODY, stored=stored, protocols=frozenset({"redis"}))

    def test_one_that_is_not_there(self) -> None:
        assert self.said() == "failed to fetch stream routes[2], response code: 404"

    def test_one_that_is_itself(self) -> None:
        text = refused("stream_routes", self.BODY, id="2", protocols=frozenset({"redis"}))
        assert text == "stream route can not set itself as superior_id"

    def test_one_that_speaks_something_else(self) -> None:
        mismatch = "protocol mismatch: subordinate protocol [redis] does not match superior protocol"
        assert self.said(protocol={"name": "dubbo"}) == f"{mismatch} [dubbo]"
        assert self.said(upstream=RR) == f"{mismatch} [nil]"

    def test_one_that_will_do(self) -> None:
        assert self.said(protocol={"name": "redis"}) is None


class TestUpstreams:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"nodes": {"a:65536": 1}}, "invalid port 65536"),
            ({"nodes": {"::1:80": 1}}, "invalid configuration: IPv6 address must be enclosed with '[' and ']'"),
            (
                {**RR, "pass_host": "rewrite"},
                "`upstream_host` can't be empty when `pass_host` is `rewrite`",
            ),
            (
                {**RR, "tls": {"client_cert": "x" * 128, "client_key": PRIVATE}},
                "failed to parse cert: PEM_read_bio_X509_AUX() failed",
            ),
            (
                {**RR, "type": "chash", "hash_on": "header", "key": "a|b"},
                'invalid configuration: failed to match pattern "^[a-zA-Z0-9-_]+$" with "a|b"',
            ),
            (
                {**RR, "checks": {"passive": {}}},
                (
                    'invalid configuration: property "checks" validation failed: '
                    'object matches none of the required: ["active"] or ["active","passive"]'
                ),
            ),
            (
                {"nodes": [{"host": "a", "port": 1, "weight": -1}]},
                'invalid configuration: property "nodes" validation failed: object matches none of the required',
            ),
            ({**RR, "type": "least_conn", "checks": {"active": {"type": "tcp"}}}, None),
        ],
    )
    def test_what_is_said(self, body: dict[str, Any], text: str | None) -> None:
        assert refused("upstreams", body) == text

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ({"nodes": {"localhost": 1}}, "nodes.localhost: needs a port: a stream has no default one"),
            (
                {"service_name": "s", "discovery_type": "dns"},
                "service_name: service discovery is not supported: write the nodes",
            ),
            ({**RR, "type": "x"}, 'type: type "x" is not known here: there is roundrobin, chash, least_conn, ewma'),
            ({"nodes": {"a b:80": 1}}, 'nodes["a b:80"]: expected a host name or an IP address, got "a b"'),
            (
                {**RR, "checks": {"active": {"timeout": 0}}},
                "checks.active.timeout: expected more than 0 seconds",
            ),
        ],
    )
    def test_what_is_stored_and_cannot_be_served(self, body: dict[str, Any], problem: str) -> None:
        for kind, whole in (
            ("upstreams", body),
            ("services", {"upstream": body}),
            ("stream_routes", {"upstream": body}),
        ):
            assert refused(kind, whole) is None
            _, problems = canonical(Key("apisix", kind, "1"), whole)
            found = [str(each).removeprefix("upstream.") for each in problems if each.tolerable]
            assert found == [problem], kind


class TestCertificates:
    def test_an_expired_one_is_for_no_new_write(self) -> None:
        assert refused("ssls", SSL, now=NOW + 365 * DAY) == "the certificate expired on " + _day()
        assert refused("ssls", SSL, now=None) is None

    def test_what_is_too_long_when_it_is_sealed(self) -> None:
        text = refused("ssls", {**SSL, "key": PRIVATE + "\n" * (65_000 - len(PRIVATE))})
        assert text is not None
        assert text.startswith("invalid configuration: ")


def _day() -> str:
    import time

    from streamproxy.tls import validity

    return time.strftime("%Y-%m-%d", time.gmtime(validity(LEAF.der)[1]))


class TestPluginMetadata:
    def test_what_is_said(self) -> None:
        assert refused("plugin_metadata", {"size": 1}, id="probe") is None
        assert refused("plugin_metadata", {}, id="nobody") == "invalid plugin name"
        assert refused("plugin_metadata", {"size": "x"}, id="probe") == (
            'invalid configuration: property "size" validation failed: wrong type: expected integer, got string'
        )


@pytest.mark.parametrize("kind", ["stream_routes", "upstreams", "services", "ssls", "plugin_metadata"])
def test_what_is_no_object(kind: str) -> None:
    assert refused(kind, 1) == "invalid configuration: wrong type: expected object, got number"
    for body in ([], [1]):
        assert refused(kind, body) == "invalid configuration: wrong type: expected object, got table"
    assert refused(kind, None) == "invalid configuration: wrong type: expected object, got userdata"


def test_other_kinds_are_not_there() -> None:
    assert refused("routes", {}) == "apisix documents of the kind routes are not supported"


def test_secrets_are_in_no_answer() -> None:
    body = {"upstream": RR, "plugins": {"probe": {"password": seal("x" * 21, VAULT.keyring)}}}
    assert refused("stream_routes", body) == (
        f'{STREAM_PLUGIN} [probe]: property "password" validation failed: string too long, expected at most 20, got 21'
    )


class TestSchemaAlone:
    def test_it_is_put_without_a_prefix(self) -> None:
        assert schema_refusal("upstreams", {"nodes": {}, "retries": -1}, PLUGINS) == (
            'property "retries" validation failed: expected -1 to be at least 0'
        )
        assert schema_refusal("upstreams", {"nodes": {}, "type": "chash"}, PLUGINS) is None
        assert schema_refusal("stream_routes", {"upstream_id": "nope"}, PLUGINS) is None
        assert schema_refusal("upstreams", 1, PLUGINS) == "wrong type: expected object, got number"

    def test_of_a_plugins_metadata(self) -> None:
        text = 'property "size" validation failed: wrong type: expected integer, got string'
        assert schema_refusal("plugin_metadata", {"id": "probe", "size": "x"}, PLUGINS) == text
        assert schema_refusal("plugin_metadata", {"id": "nobody", "size": "x"}, PLUGINS) is None

    def test_of_nothing_there_is(self) -> None:
        assert schema_refusal("routes", {}, PLUGINS) is None


def held(kind: str, user: str, body: Mapping[str, Any], id: str = "1", dialect: str = "apisix") -> str | None:  # noqa: A002
    return deletion_refusal(kind, id, [Document(Key(dialect, user, "u"), dict(body))])


class TestDeletion:
    @pytest.mark.parametrize("id_", [1, "1"])
    def test_what_services_use(self, id_: Any) -> None:
        assert held("upstreams", "services", {"upstream_id": id_}) == (
            "can not delete this upstream, service [u] is still using it now"
        )
        split = {"rules": [{}, {"weighted_upstreams": [{"weight": 1}, {"upstream_id": id_}]}]}
        assert held("upstreams", "services", {"plugins": {"traffic-split": split}}) == (
            "can not delete this upstream, plugin in service [u] is still using it now"
        )

    def test_what_stream_routes_use(self) -> None:
        assert held("services", "stream_routes", {"service_id": 1}) == (
            "can not delete this service directly, stream_route [u] is still using it now"
        )
        assert held("stream_routes", "stream_routes", {"protocol": {"name": "redis", "superior_id": "1"}}) == (
            "can not delete this stream route directly, stream route [u] is still using it as superior_id"
        )

    @pytest.mark.parametrize(
        ("kind", "user", "body"),
        [
            ("upstreams", "stream_routes", {"upstream_id": "1"}),
            ("upstreams", "services", {"upstream_id": "2"}),
            ("upstreams", "services", {"upstream_id": None, "plugins": {"traffic-split": {"rules": {}}}}),
            ("upstreams", "services", {"plugins": {"traffic-split": {"rules": [1, {"weighted_upstreams": 1}]}}}),
            ("services", "stream_routes", {"service_id": "2"}),
            ("services", "services", {"service_id": "1"}),
            ("stream_routes", "stream_routes", {"protocol": {"name": "redis"}}),
            ("stream_routes", "stream_routes", {"protocol": 1}),
            ("ssls", "upstreams", {"tls": {"client_cert_id": "1"}}),
        ],
    )
    def test_what_nobody_holds(self, kind: str, user: str, body: dict[str, Any]) -> None:
        assert held(kind, user, body) is None

    def test_other_dialects_use_nothing_of_it(self) -> None:
        assert held("services", "stream_routes", {"service_id": 1}, dialect="otoroshi") is None
