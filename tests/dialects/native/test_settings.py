"""The sections of a file that say how the process works."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from attrs import fields

from streamproxy.dialects.native.settings import LimitsSection
from streamproxy.model import (
    Access,
    AccessLogSettings,
    Address,
    AdminClient,
    AdminKey,
    AdminSettings,
    AdminTls,
    Limits,
    MetricsSettings,
    Rate,
    ResolverSettings,
    Role,
    Secret,
    StoreSettings,
    StoreType,
    TlsSettings,
)

from .reading import codes, config, problems

# The Admin API


def test_admin_says_where_it_listens_and_to_whom() -> None:
    text = """
        admin:
          listen: "[::1]:9280"
          keys:
            - {name: admin, key: hush-hush-1, role: admin}
            - {name: ops, key: hush-hush-2, role: viewer}
          clients: [{id: admin-api-apikey-id, secret: hush-hush-3, role: admin}]
          allow: [127.0.0.0/8, "::1"]
          tls: {cert: certs/admin.crt, key: /srv/admin.key, client_ca: ../ca.pem}
    """

    assert config(text).admin == AdminSettings(
        listen=Address("::1", 9280),
        keys=(
            AdminKey("admin", Secret("hush-hush-1"), Role.ADMIN),
            AdminKey("ops", Secret("hush-hush-2"), Role.VIEWER),
        ),
        clients=(AdminClient("admin-api-apikey-id", Secret("hush-hush-3"), Role.ADMIN),),
        allow=(ip_network("127.0.0.0/8"), ip_network("::1")),
        tls=AdminTls("/etc/streamproxy/certs/admin.crt", "/srv/admin.key", "/etc/ca.pem"),
    )


@pytest.mark.parametrize("text", ["{}", "admin:", "admin: {}", "admin: {listen: , keys: , tls: }"])
def test_what_is_not_given_has_its_default(text: str) -> None:
    assert config(text).admin == AdminSettings()


def test_admin_can_be_switched_off() -> None:
    assert config("admin: false").admin is None


@pytest.mark.parametrize("value", ["true", "0", "off", "[]"])
def test_admin_is_switched_off_by_false_alone(value: str) -> None:
    assert codes(f"admin: {value}") == {"admin": "wrong_type"}


@pytest.mark.parametrize("listen", ["0.0.0.0:9180", "[::]:9180", ":9180", "192.0.2.1:9180"])
def test_admin_is_not_for_everybody_without_credentials(listen: str) -> None:
    (problem,) = problems(f"admin: {{listen: '{listen}'}}")

    assert problem.startswith("admin.listen: ")
    assert "can be reached from elsewhere: configure admin.keys or admin.clients, or listen on 127.0.0.1" in problem


@pytest.mark.parametrize(
    "credentials",
    ["keys: [{name: a, key: hushhush, role: viewer}]", "clients: [{id: a, secret: hushhush, role: admin}]"],
)
def test_admin_is_for_everybody_who_proves_something(credentials: str) -> None:
    admin = config(f"admin: {{listen: '0.0.0.0:9180', {credentials}}}").admin

    assert admin is not None
    assert admin.listen == Address("0.0.0.0", 9180)


@pytest.mark.parametrize("listen", ["127.0.0.1:9180", "127.9.9.9:9180", "localhost:0", "[::1]:9180"])
def test_admin_needs_no_credentials_for_this_machine(listen: str) -> None:
    assert config(f"admin: {{listen: '{listen}'}}").admin is not None


def test_every_problem_of_admin_is_told_and_no_secret() -> None:
    text = """
        admin:
          listen: 9180
          keys:
            - {name: admin, key: hush, role: admin}
            - {name: "", key: [hushhush], role: root}
            - {nmae: a, key: hushhush, role: viewer}
          clients: {id: hushhush}
          allow: [10.0.0.0/99]
          tls: {key: hush.key}
          keyz: []
    """

    found = problems(text)

    assert found == [
        'admin.allow[0]: expected an IP address or a network like 10.0.0.0/8, got "10.0.0.0/99"',
        "admin.clients: expected a list, got an object",
        "admin.keys[0].key: expected 8 to 1000 characters, got 4",
        "admin.keys[1].key: expected a string, got a list",
        'admin.keys[1].name: expected 1 to 1000 printable characters, got ""',
        'admin.keys[1].role: expected one of admin, viewer, got "root"',
        "admin.keys[2].name: is required",
        "admin.keys[2].nmae: is not known here: did you mean name?",
        "admin.keyz: is not known here: did you mean keys?",
        "admin.listen: expected a string, got an integer",
        "admin.tls.cert: is required",
    ]
    assert "hush" not in " ".join(found).replace("hush.key", "")


def test_a_key_has_one_name_and_one_role() -> None:
    text = """
        admin:
          keys:
            - {name: a, key: hush-hush-1, role: admin}
            - {name: b, key: hush-hush-1, role: viewer}
          clients:
            - {id: c, secret: hush-hush-2, role: admin}
            - {id: d, secret: hush-hush-2, role: admin}
            - {id: c, secret: hush-hush-3, role: viewer}
    """

    assert problems(text) == [
        "admin.clients[2].id: is the id of [0] already",
        "admin.keys[1].key: is the key of [0] already",
    ]
    assert problems(text.replace("name: b", "name: a").replace("role: viewer", "role: admin"))[1:] == [
        "admin.keys[1].name: is the name of [0] already",
    ]


# The store


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", StoreSettings(StoreType.SQLITE, "/etc/streamproxy/streamproxy.db")),
        ("store: {type: sqlite, path: ../state/a.db}", StoreSettings(StoreType.SQLITE, "/etc/state/a.db")),
        ("store: {path: /var/lib/a.db}", StoreSettings(StoreType.SQLITE, "/var/lib/a.db")),
        ("store: {type: memory}", StoreSettings(StoreType.MEMORY, "/etc/streamproxy/streamproxy.db")),
    ],
)
def test_the_store(text: str, expected: StoreSettings) -> None:
    assert config(text).store == expected


def test_a_store_that_does_not_exist() -> None:
    assert problems("store: {type: etcd, path: 3, pth: x}") == [
        "store.path: expected a string, got an integer",
        "store.pth: is not known here: did you mean path?",
        'store.type: expected one of memory, sqlite, got "etcd"',
    ]


# TLS, logs, metrics


def test_tls_files_are_found_from_the_file() -> None:
    assert config("tls: {certificates: certs/, client_ca: ca.pem, fallback_sni: A.Example.com}").tls == TlsSettings(
        "/etc/streamproxy/certs", "/etc/streamproxy/ca.pem", "a.example.com"
    )
    assert config("tls: {}").tls == TlsSettings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("access_log: {path: '-'}", AccessLogSettings("-", "json")),
        ("access_log: {path: a.log, format: otoroshi}", AccessLogSettings("/etc/streamproxy/a.log", "otoroshi")),
        ("access_log: {path: /a.log, format: $status}", AccessLogSettings("/a.log", "$status")),
        ("access_log: {path: 'syslog:server=a:1,tag=b'}", AccessLogSettings("syslog:server=a:1,tag=b")),
        ("access_log: {path: 'https://a/b'}", AccessLogSettings("https://a/b")),
        ("access_log:", None),
    ],
)
def test_the_access_log(text: str, expected: AccessLogSettings | None) -> None:
    assert config(text).access_log == expected


def test_an_access_log_that_cannot_be_written() -> None:
    assert problems("access_log: {path: 'syslog:server=127.0.0.1', format: \"a\\nb\"}") == [
        "access_log.format: expected 1 to 10000 printable characters",
    ]
    assert problems("access_log: {path: ''}") == ['access_log.path: expected a path, got ""']
    assert problems("access_log: {format: json}") == ["access_log.path: is required"]


def test_metrics() -> None:
    assert config("metrics: {listen: 127.0.0.1:9091}").metrics == MetricsSettings(Address("127.0.0.1", 9091))
    assert config("metrics: {listen: ':1', path: /m/x, prefix: our_}").metrics == MetricsSettings(
        Address("0.0.0.0", 1), "/m/x", "our_"
    )
    assert config("{}").metrics is None
    assert problems("metrics: {}") == ["metrics.listen: is required"]
    assert problems("metrics: {listen: ':1', path: metrics, prefix: a-}") == [
        'metrics.path: expected a path like /metrics, got "metrics"',
        'metrics.prefix: expected letters, digits and underscores, no digit first, got "a-"',
    ]


@pytest.mark.parametrize("name", ["control", "status"])
def test_a_server_of_its_own(name: str) -> None:
    assert getattr(config(f"{name}: {{listen: '[::1]:9090'}}"), name) == Address("::1", 9090)
    assert getattr(config(f"{name}:"), name) is None
    assert problems(f"{name}: {{lisen: '[::1]:9090'}}") == [
        f"{name}.lisen: is not known here: did you mean listen?",
        f"{name}.listen: is required",
    ]
    assert problems(f"{name}: {{listen: 127.0.0.1:9180}}") == [
        f"{name}.listen: 127.0.0.1:9180 is already taken by admin.listen"
    ]


def test_values_in_the_access_log_are_escaped_for_json_when_told_so() -> None:
    assert config("access_log: {path: /a, escape: json}").access_log == AccessLogSettings("/a", "json", "json")
    assert problems("access_log: {path: /a, escape: none}") == [
        'access_log.escape: expected one of default, json, got "none"'
    ]


def test_whose_proxy_protocol_headers_are_believed() -> None:
    read = config("proxy_protocol: {trusted: [10.0.0.0/8, '::1']}")

    assert read.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1"))
    assert config("proxy_protocol: {trusted: }").trusted_proxies == ()
    assert codes("proxy_protocol: {trust: [], trusted: [here]}") == {
        "proxy_protocol.trust": "unknown_key",
        "proxy_protocol.trusted[0]": "bad_value",
    }


def test_the_resolver() -> None:
    text = "resolver: {servers: [10.0.0.53, '[::1]:54'], valid: 30s, timeout: 500ms, ipv6: false}"

    assert config(text).resolver == ResolverSettings((Address("10.0.0.53", 53), Address("::1", 54)), 30.0, 0.5, False)
    assert config("resolver: {}").resolver == config("{}").resolver == ResolverSettings()
    assert problems("resolver: {servers: here, valid: 0}") == [
        "resolver.servers: expected a list, got a string",
        "resolver.valid: expected 1ms to 8784h",
    ]


# Limits


def test_limits() -> None:
    text = """
        limits:
          max_sessions: 1000
          max_sessions_per_listener: 500
          max_sessions_per_client: 10
          max_udp_sessions: 100
          session_rate: {rate: 100, burst: 1000}
          session_rate_per_client: 0.5
          bandwidth: 10m
          bandwidth_per_client: 1000
          sniff_timeout: 500ms
          handshake_timeout: 1
          connect_timeout: 2.5
          idle_timeout: 1h
          udp_idle_timeout: "30"
          max_duration: 24h
          max_sessions_per_node: 20
          max_queue: 0
          queue_timeout: 1
          shutdown_timeout: 2m
    """

    assert config(text).limits == Limits(
        max_sessions=1000,
        max_sessions_per_listener=500,
        max_sessions_per_client=10,
        max_udp_sessions=100,
        session_rate=Rate(100, 1000),
        session_rate_per_client=Rate(0.5, 1),
        bandwidth=10 << 20,
        bandwidth_per_client=1000,
        sniff_timeout=0.5,
        handshake_timeout=1.0,
        connect_timeout=2.5,
        idle_timeout=3600.0,
        udp_idle_timeout=30.0,
        max_duration=86400.0,
        max_sessions_per_node=20,
        max_queue=0,
        queue_timeout=1.0,
        shutdown_timeout=120.0,
    )
    assert config("limits: {max_sessions: null}").limits == Limits()


def test_who_may_come_in() -> None:
    assert config("access: {allow: [10.0.0.0/8], deny: [10.6.6.6, '::1']}").access == Access(
        (ip_network("10.0.0.0/8"),), (ip_network("10.6.6.6"), ip_network("::1"))
    )
    assert config("access: null").access == config("{}").access == Access()
    assert problems("access: {allow: [localhost], deny: 5}") == [
        'access.allow[0]: expected an IP address or a network like 10.0.0.0/8, got "localhost"',
        "access.deny: expected a list, got an integer",
    ]


def test_limits_that_limit_nothing() -> None:
    assert problems("limits: {max_sessions: 0, max_udp_sessions: '5', idle_timeout: 0, sniff_timeout: soon}") == [
        "limits.idle_timeout: expected 1ms to 8784h",
        "limits.max_sessions: expected 1 to 10000000, got 0",
        "limits.max_udp_sessions: expected an integer, got a string",
        "limits.sniff_timeout: expected a number of seconds, or a text like 3s, 500ms, 10m, 1h",
    ]


def test_every_limit_there_is_can_be_set() -> None:
    assert [field.name for field in fields(LimitsSection)] == [field.name for field in fields(Limits)]
    assert LimitsSection().settings() == Limits()
