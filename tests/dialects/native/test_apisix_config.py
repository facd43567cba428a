"""An APISIX ``config.yaml``, pasted."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from streamproxy.dialects.assemble import Assembled
from streamproxy.dialects.native import load
from streamproxy.model import (
    AccessLogSettings,
    Address,
    AdminKey,
    AdminSettings,
    AdminTls,
    Limits,
    MetricsSettings,
    ResolverSettings,
    Role,
    Secret,
    Snapshot,
    Standalone,
    StoreType,
    TlsSettings,
)

from .reading import codes, config, problems

LOCAL = (ip_network("127.0.0.0/24"),)
PASTED = """
    apisix:
      node_listen: 9080
      enable_ipv6: true
      enable_admin: true
      proxy_mode: http&stream
      stream_proxy:
        only: false
        tcp:
          - 9100
          - addr: "127.0.0.1:9101"
        udp: [9200]
      proxy_protocol: {listen_http_port: 9181, enable_tcp_pp: false, enable_tcp_pp_to_upstream: false}
      ssl: {enable: true, listen: [{port: 9443}], fallback_sni: a.test.com}
      data_encryption: {keyring: [qeddd145sfvddff3]}
    nginx_config:
      error_log: logs/error.log
      stream:
        enable_access_log: true
        access_log: /dev/stdout
        access_log_format: "$remote_addr $protocol test"
        access_log_format_escape: default
      http: {access_log: logs/access.log}
    deployment:
      role: traditional
      role_traditional: {config_provider: etcd}
      admin:
        admin_key_required: true
        admin_key:
          - {name: admin, key: edd1c9f034335f136f87ad84b625c8f1, role: admin}
          - {name: viewer, key: 4054f7cf07e344346cd3f287985e76a2, role: viewer}
        enable_admin_cors: true
        allow_admin: [127.0.0.0/24, "::1"]
        admin_listen: {ip: 0.0.0.0, port: 9280}
        admin_api_version: v3
      etcd: {host: ["http://127.0.0.1:2379"], prefix: /apisix, timeout: 30}
    plugins: [real-ip, limit-conn]
    stream_plugins: [ip-restriction, limit-conn]
    plugin_attr:
      log-rotate: {interval: 3600}
      prometheus: {export_uri: /metrics, export_addr: {ip: 127.0.0.1, port: 9092}}
    graphql: {max_size: 1048576}
    ext-plugin: {cmd: [a, b]}
    xrpc: {protocols: [{name: redis}]}
    wasm: {plugins: []}
    discovery: {dns: {servers: ["127.0.0.1:8600"]}}
"""


def test_a_whole_file_means_what_it_means_there() -> None:
    read = config(PASTED)

    assert [(str(each.address), each.path) for each in read.stream_proxy] == [
        ("tcp 0.0.0.0:9100", "apisix.stream_proxy.tcp[0]"),
        ("tcp 127.0.0.1:9101", "apisix.stream_proxy.tcp[1]"),
        ("udp 0.0.0.0:9200", "apisix.stream_proxy.udp[0]"),
    ]
    assert read.admin == AdminSettings(
        listen=Address("0.0.0.0", 9280),
        keys=(
            AdminKey("admin", Secret("edd1c9f034335f136f87ad84b625c8f1"), Role.ADMIN),
            AdminKey("viewer", Secret("4054f7cf07e344346cd3f287985e76a2"), Role.VIEWER),
        ),
        allow=(ip_network("127.0.0.0/24"), ip_network("::1")),
        cors=True,
    )
    assert read.tls == TlsSettings(fallback_sni="a.test.com")
    assert read.access_log == AccessLogSettings("/dev/stdout", "$remote_addr $protocol test")
    assert read.metrics == MetricsSettings(Address("127.0.0.1", 9092), "/metrics")


def test_what_has_no_meaning_here_is_named() -> None:
    assert config(PASTED).ignored == (
        "apisix.node_listen",
        "apisix.stream_proxy.only",
        "apisix.proxy_protocol.listen_http_port",
        "apisix.ssl.enable",
        "apisix.ssl.listen",
        "nginx_config.error_log",
        "nginx_config.http",
        "deployment.etcd",
        "plugins",
        "plugin_attr.log-rotate",
        "graphql",
        "ext-plugin",
        "xrpc",
        "wasm",
        "discovery",
    )


def test_nothing_of_ours_is_ignored() -> None:
    assert config("{admin: {}, store: {type: memory}, apisix: , plugin_attr: {prometheus: }}").ignored == ()


@pytest.mark.parametrize("section", ["apisix", "deployment", "nginx_config", "plugin_attr"])
def test_a_section_is_an_object(section: str) -> None:
    assert codes(f"{section}: 1") == {section: "wrong_type"}


def test_problems_are_told_where_they_stand() -> None:
    text = """
        apisix:
          proxy_mode: tcp
          ssl: {fallback_sni: a b}
        deployment:
          admin:
            admin_key: [{name: admin, key: short, role: admin}, {key: long-enough, role: root}]
            allow_admin: [here]
            admin_listen: {ip: example.com, port: 0}
        nginx_config: {stream: {enable_access_log: "yes"}}
        plugin_attr: {prometheus: {export_addr: {port: 70000}}}
    """

    assert problems(text) == [
        'apisix.proxy_mode: expected one of http, stream, http&stream, got "tcp"',
        'apisix.ssl.fallback_sni: expected a host name or an IP address, got "a b"',
        "deployment.admin.admin_key[0].key: expected 8 to 1000 characters, got 5",
        "deployment.admin.admin_key[1].name: is required",
        'deployment.admin.admin_key[1].role: expected one of admin, viewer, got "root"',
        'deployment.admin.admin_listen.ip: expected an IP address or localhost, got "example.com"',
        "deployment.admin.admin_listen.port: expected 1 to 65535, got 0",
        'deployment.admin.allow_admin[0]: expected an IP address or a network like 10.0.0.0/8, got "here"',
        "nginx_config.stream.enable_access_log: expected a boolean, got a string",
        "plugin_attr.prometheus.export_addr.port: expected 1 to 65535, got 70000",
    ]


def test_a_bad_listener_is_told_in_apisix_words() -> None:
    assert problems("apisix: {stream_proxy: {tcp: [0], udp: 9200}}") == [
        "apisix.stream_proxy.tcp[0]: invalid stream_proxy.tcp entry: port out of range (1-65535): 0",
        "apisix.stream_proxy.udp: expected a list, got an integer",
    ]


def test_the_proxy_protocol_is_for_the_tcp_listeners_that_do_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is supported is not asked here."""
    monkeypatch.setattr(load, "assemble", lambda _documents, **_: Assembled(Snapshot(), ()))
    listeners = "{tcp: [9100, {addr: 9101, proxy_protocol: false, tls: true}], udp: [9200]}"
    defaults = "proxy_protocol: {enable_tcp_pp: true, enable_tcp_pp_to_upstream: true}"
    inside = f"apisix: {{stream_proxy: {listeners}, {defaults}}}"
    beside = f"stream_proxy: {listeners}\napisix: {{{defaults}}}"

    for text in (inside, beside):
        assert [
            (each.tls, each.proxy_protocol, each.proxy_protocol_to_upstream) for each in config(text).stream_proxy
        ] == [
            (False, True, True),
            (True, False, True),
            (False, False, False),
        ]


# proxy_mode


def test_the_mode_http_serves_no_streams() -> None:
    """C04: whoever asks for a stream route is told so (the Admin API's part of it)."""
    read = config("apisix: {proxy_mode: http, stream_proxy: {tcp: [9100]}}")

    assert read.stream_proxy == ()
    assert not read.stream_enabled
    assert read.ignored == ("apisix.stream_proxy",)


def test_the_mode_stream_has_no_admin_api_but_one_that_is_asked_for() -> None:
    assert config("apisix: {proxy_mode: stream, stream_proxy: {tcp: [9100]}}").admin is None
    assert config("{apisix: {proxy_mode: stream}, admin: {listen: 127.0.0.1:1}}").admin == AdminSettings(
        Address("127.0.0.1", 1)
    )


def test_without_a_mode_everything_is_served() -> None:
    read = config("apisix: {stream_proxy: {tcp: [9100]}}")

    assert len(read.stream_proxy) == 1
    assert read.stream_enabled
    assert read.admin == AdminSettings()


# The Admin API


def test_the_admin_api_can_be_switched_off_here_too() -> None:
    assert config("apisix: {enable_admin: false}").admin is None
    assert config("{apisix: {enable_admin: false}, admin: false}").admin is None
    assert config("{apisix: {enable_admin: true}, admin: {}}").admin == AdminSettings()


@pytest.mark.parametrize(
    "text", ["{apisix: {enable_admin: false}, admin: {}}", "{apisix: {enable_admin: true}, admin: false}"]
)
def test_the_admin_api_is_on_or_off(text: str) -> None:
    assert codes(text) == {"apisix.enable_admin": "conflict"}


def test_apisix_defaults_hold_for_what_deployment_admin_does_not_say() -> None:
    admin = config("deployment: {admin: {admin_key: [{name: a, key: hushhush, role: viewer}]}}").admin

    assert admin == AdminSettings(
        Address("0.0.0.0", 9180), (AdminKey("a", Secret("hushhush"), Role.VIEWER),), allow=LOCAL, cors=True
    )


@pytest.mark.parametrize("key", ["{name: admin, key: '', role: admin}", "{name: admin, key: ~}", "{name: admin}"])
def test_an_empty_key_is_made_up_and_good_for_this_machine(key: str) -> None:
    assert config(f"deployment: {{admin: {{admin_key: [{key}]}}}}").admin == AdminSettings(allow=LOCAL, cors=True)


def test_no_list_of_keys_does_not_let_everybody_in() -> None:
    admin = config("deployment: {admin: {admin_key: ~, allow_admin: ~}}").admin

    assert admin == AdminSettings(allow=LOCAL, cors=True)


def test_keys_are_optional_when_told_so() -> None:
    assert config("deployment: {admin: {admin_key_required: false}}").admin == AdminSettings(
        allow=LOCAL, require_key=False
    )


@pytest.mark.parametrize(
    "more", ["", ", admin_key_required: false, admin_key: [{name: a, key: hushhush, role: admin}]"]
)
def test_nobody_from_elsewhere_gets_in_without_a_key(more: str) -> None:
    text = f"deployment: {{admin: {{allow_admin: [0.0.0.0/0], admin_listen: {{port: 9180}}{more}}}}}"

    assert codes(text) == {"deployment.admin.admin_listen": "bad_value"}


def test_an_empty_list_of_callers_is_no_list_of_all() -> None:
    assert problems("deployment: {admin: {allow_admin: []}}") == [
        "deployment.admin.allow_admin: lets nobody in: list networks, or set apisix.enable_admin: false"
    ]


def test_a_key_stands_there_once() -> None:
    keys = "{name: a, key: ''}, {name: b, key: hushhush}, {name: b, key: hush-hush}, {name: a, key: hushhush}"

    assert problems(f"deployment: {{admin: {{admin_key: [{keys}]}}}}") == [
        "deployment.admin.admin_key[2].name: is the name of [1] already"
    ]


def test_https() -> None:
    files = "admin_api_mtls: {admin_ssl_cert: a.crt, admin_ssl_cert_key: a.key, admin_ssl_ca_cert: ca.crt}"
    with_tls = config(f"deployment: {{admin: {{https_admin: true, {files}}}}}").admin
    without = config(f"deployment: {{admin: {{{files}}}}}").admin

    assert with_tls is not None
    assert with_tls.tls == AdminTls("/etc/streamproxy/a.crt", "/etc/streamproxy/a.key", "/etc/streamproxy/ca.crt")
    assert without is not None
    assert without.tls is None
    assert problems("deployment: {admin: {https_admin: true}}") == [
        "deployment.admin.https_admin: missing ssl cert for https admin"
    ]


@pytest.mark.parametrize(("text", "expected"), [("v3", "v3"), ("v2", "v2"), ("anything", "v2")])
def test_whatever_is_not_version_3_is_the_one_before(text: str, expected: str) -> None:
    admin = config(f"deployment: {{admin: {{admin_api_version: {text}}}}}").admin

    assert admin is not None
    assert admin.api_version == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", True),
        ("enable_admin_cors: true", True),
        ("enable_admin_cors: false", False),
        ("admin_key_required: false", False),
    ],
)
def test_pages_of_other_sites_are_for_those_who_have_a_key(text: str, expected: bool) -> None:
    admin = config(f"deployment: {{admin: {{allow_admin: ['::1'], {text}}}}}".replace(", {}", "")).admin

    assert admin is not None
    assert admin.cors is expected


def test_the_version_is_named_unless_told_otherwise() -> None:
    named, unnamed = (config(text).admin for text in ("{}", "apisix: {enable_server_tokens: false}"))

    assert named is not None
    assert named.server_tokens
    assert unnamed is not None
    assert not unnamed.server_tokens


# Roles


@pytest.mark.parametrize(
    ("text", "expected", "path"),
    [
        ("{}", None, None),
        ("{role: traditional}", None, None),
        ("{role: traditional, role_traditional: {config_provider: etcd}}", None, None),
        ("{role: traditional, role_traditional: {config_provider: yaml}}", Standalone.API, None),
        ("{role_traditional: {config_provider: yaml}}", Standalone.API, None),
        ("{role: control_plane, role_traditional: {config_provider: yaml}}", None, None),
        ("{role: data_plane, role_data_plane: {config_provider: yaml}}", Standalone.YAML, "apisix.yaml"),
        ("{role: data_plane, role_data_plane: {config_provider: json}}", Standalone.JSON, "apisix.json"),
        ("{role: traditional, role_data_plane: {config_provider: yaml}}", None, None),
    ],
)
def test_where_documents_come_from(text: str, expected: Standalone | None, path: str | None) -> None:
    read = config(f"deployment: {text}")

    assert read.standalone is expected
    assert read.documents_path == (path and f"/etc/streamproxy/{path}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{role: data_plane}", "deployment.role_data_plane.config_provider: is required for this role: yaml or json"),
        (
            "{role: data_plane, role_data_plane: {}}",
            "deployment.role_data_plane.config_provider: is required",
        ),
        (
            "{role: data_plane, role_data_plane: {config_provider: xds}}",
            "deployment.role_data_plane.config_provider: xds is not supported: use yaml or json",
        ),
        (
            "{role: data_plane, role_data_plane: {config_provider: toml}}",
            'deployment.role_data_plane.config_provider: expected one of etcd, yaml, json, xds, got "toml"',
        ),
        ("{role: plane}", 'deployment.role: expected one of traditional, control_plane, data_plane, got "plane"'),
        (
            "{role_control_plane: {config_provider: yaml}}",
            'deployment.role_control_plane.config_provider: expected one of etcd, got "yaml"',
        ),
    ],
)
def test_a_role_that_cannot_be_played(text: str, problem: str) -> None:
    assert problems(f"deployment: {text}") == [problem]


def test_a_data_plane_has_no_admin_api_but_one_that_is_asked_for() -> None:
    text = "deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}"

    assert config(text).admin is None
    assert config(text).store.type is StoreType.MEMORY
    assert config(f"{text}\nadmin: {{listen: 127.0.0.1:1}}").admin == AdminSettings(Address("127.0.0.1", 1))
    assert config(f"{text}\nstore: {{type: sqlite}}").store.type is StoreType.SQLITE


def test_a_control_plane_serves_no_streams() -> None:
    read = config("{deployment: {role: control_plane}, apisix: {stream_proxy: {tcp: [9100]}}}")

    assert read.stream_proxy == ()
    assert read.ignored == ("apisix.stream_proxy",)


def test_what_an_optional_section_holds_beside_is_ignored_by_name() -> None:
    text = "{apisix: {control: {port: 1, router: a}}, deployment: {role_data_plane: {config_provider: yaml, x: 1}}}"

    assert config(text).ignored == ("apisix.control.router", "deployment.role_data_plane.x")


# Other servers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", None),
        ("{enable_control: true}", Address("127.0.0.1", 9090)),
        ("{enable_control: false}", None),
        ("{enable_control: false, control: {port: 9092}}", None),
        ("{control: {}}", Address("127.0.0.1", 9090)),
        ("{control: {ip: '::1', port: 9092}}", Address("::1", 9092)),
        ("{enable_control: true, control: {port: 9092}}", Address("127.0.0.1", 9092)),
        ("{enable_control: true, proxy_mode: stream}", None),
    ],
)
def test_the_control_api_listens_where_it_is_spoken_of(text: str, expected: Address | None) -> None:
    assert config(f"apisix: {text}").control == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", None),
        ("{status: {}}", Address("127.0.0.1", 7085)),
        ("{status: {ip: 127.0.0.2, port: 7086}}", Address("127.0.0.2", 7086)),
        ("{status: {port: 7086}, proxy_mode: stream}", None),
    ],
)
def test_the_status_server_listens_where_it_is_spoken_of(text: str, expected: Address | None) -> None:
    assert config(f"apisix: {text}").status == expected


def test_servers_do_not_take_each_others_ports() -> None:
    text = "apisix: {control: {port: 9180}, status: {port: 9100}, stream_proxy: {tcp: [9100]}}"

    assert problems(text) == [
        "apisix.control: 127.0.0.1:9180 is already taken by admin.listen",
        "apisix.stream_proxy.tcp[0]: port 9100 on 0.0.0.0 is already taken by apisix.status",
    ]


# The rest


def test_the_resolver() -> None:
    text = """
        apisix:
          dns_resolver: [1.1.1.1, "127.0.0.1:5353", "::1", "[::2]:54", "[::3]"]
          dns_resolver_valid: 30
          resolver_timeout: 2
          enable_ipv6: false
    """

    servers = [("1.1.1.1", 53), ("127.0.0.1", 5353), ("::1", 53), ("::2", 54), ("::3", 53)]
    assert config(text).resolver == ResolverSettings(
        tuple(Address(host, port) for host, port in servers), valid=30.0, timeout=2.0, ipv6=False
    )
    assert config("apisix: {enable_ipv6: true}").resolver == ResolverSettings()


def test_a_resolver_that_cannot_be_asked() -> None:
    assert problems("apisix: {dns_resolver: []}") == ["apisix.dns_resolver: expected one server at least"]
    assert problems("apisix: {dns_resolver: [dns.example.com, '1.1.1.1:99999'], resolver_timeout: -1}") == [
        'apisix.dns_resolver[0]: expected host:port, got "dns.example.com"',
        'apisix.dns_resolver[1]: expected a port from 0 to 65535 after the last colon, got "1.1.1.1:99999"',
        "apisix.resolver_timeout: expected 1ms to 8784h",
    ]


def test_whom_the_proxy_protocol_is_believed() -> None:
    trusted = config("nginx_config: {stream: {real_ip_from: [127.0.0.1, '::/8']}}").trusted_proxies

    assert trusted == (ip_network("127.0.0.1"), ip_network("::/8"))


@pytest.mark.parametrize("text", ["{}", "stream_plugins:"])
def test_the_default_plugins(text: str) -> None:
    assert config(text).stream_plugins is None


def test_a_list_of_plugins_replaces_the_default() -> None:
    assert config("stream_plugins: [ip-restriction, limit-conn]").stream_plugins == ("ip-restriction", "limit-conn")
    assert config("stream_plugins: []").stream_plugins == ()
    assert problems("stream_plugins: [a, 1]") == ["stream_plugins[1]: expected a string, got an integer"]


def test_health_checks_can_be_switched_off() -> None:
    assert config("{}").health_checks
    assert not config("apisix: {disable_upstream_healthcheck: true}").health_checks


def test_how_long_workers_may_take_to_end() -> None:
    assert config("nginx_config: {worker_shutdown_timeout: 240s}").limits == Limits(shutdown_timeout=240.0)
    assert config("{limits: {idle_timeout: 5}, nginx_config: {worker_shutdown_timeout: 4m}}").limits == Limits(
        idle_timeout=5.0, shutdown_timeout=240.0
    )


def test_how_values_are_escaped_in_the_access_log() -> None:
    text = "nginx_config: {stream: {enable_access_log: true, access_log: /a, access_log_format: $status%s}}"

    assert config(text % "").access_log == AccessLogSettings("/a", "$status", "default")
    assert config(text % ", access_log_format_escape: json").access_log == AccessLogSettings("/a", "$status", "json")


def test_the_access_log_is_off_unless_it_is_on() -> None:
    assert config("nginx_config: {stream: {access_log: a.log}}").access_log is None
    assert config("nginx_config: {stream: {enable_access_log: true}}").access_log == AccessLogSettings(
        "/etc/streamproxy/logs/access_stream.log",
        "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time",
    )


def test_metrics_are_exported_where_an_address_is_given() -> None:
    read = config("plugin_attr: {prometheus: {export_addr: {ip: 0.0.0.0}, metric_prefix: a_, refresh_interval: 5}}")
    assert read.metrics == MetricsSettings(Address("0.0.0.0", 9091), "/apisix/prometheus/metrics", "a_")
    assert read.ignored == ()
    assert config("plugin_attr: {prometheus: {metric_prefix: a_}}").metrics is None
    off = "plugin_attr: {prometheus: {enable_export_server: false, export_addr: {port: 9091}}}"
    assert config(off).metrics is None


@pytest.mark.parametrize(
    ("ours", "theirs", "path"),
    [
        ("stream_proxy: {tcp: [1]}", "apisix: {stream_proxy: {tcp: [2]}}", "apisix.stream_proxy"),
        ("tls: {fallback_sni: a}", "apisix: {ssl: {fallback_sni: a}}", "apisix.ssl.fallback_sni"),
        (
            "admin: {listen: 127.0.0.1:1}",
            "deployment: {admin: {admin_listen: {ip: 127.0.0.1}}}",
            "deployment.admin.admin_listen",
        ),
        ("admin: {keys: []}", "deployment: {admin: {admin_key: []}}", "deployment.admin.admin_key"),
        ("admin: {allow: []}", "deployment: {admin: {allow_admin: ['::1']}}", "deployment.admin.allow_admin"),
        (
            "admin: {tls: {cert: a, key: b}}",
            "deployment: {admin: {admin_api_mtls: {admin_ssl_cert: a}}}",
            "deployment.admin.admin_api_mtls",
        ),
        (
            "access_log: {path: '-'}",
            "nginx_config: {stream: {enable_access_log: false}}",
            "nginx_config.stream.enable_access_log",
        ),
        ("control: {listen: 127.0.0.1:1}", "apisix: {control: {port: 2}}", "apisix.control"),
        ("status: {listen: 127.0.0.1:1}", "apisix: {status: {port: 2}}", "apisix.status"),
        (
            "proxy_protocol: {trusted: ['::1']}",
            "nginx_config: {stream: {real_ip_from: ['::1']}}",
            "nginx_config.stream.real_ip_from",
        ),
        ("resolver: {servers: ['::1']}", "apisix: {dns_resolver: ['::1']}", "apisix.dns_resolver"),
        ("resolver: {valid: 1}", "apisix: {dns_resolver_valid: 1}", "apisix.dns_resolver_valid"),
        ("resolver: {timeout: 1}", "apisix: {resolver_timeout: 1}", "apisix.resolver_timeout"),
        ("resolver: {ipv6: true}", "apisix: {enable_ipv6: true}", "apisix.enable_ipv6"),
        (
            "limits: {shutdown_timeout: 1}",
            "nginx_config: {worker_shutdown_timeout: 1}",
            "nginx_config.worker_shutdown_timeout",
        ),
        (
            "metrics: {listen: 127.0.0.1:1}",
            "plugin_attr: {prometheus: {export_addr: {}}}",
            "plugin_attr.prometheus.export_addr",
        ),
    ],
)
def test_the_same_is_not_said_twice(ours: str, theirs: str, path: str) -> None:
    assert codes(f"{ours}\n{theirs}") == {path: "conflict"}


def test_both_places_can_complete_each_other() -> None:
    text = """
        admin: {listen: 127.0.0.1:9280, clients: [{id: a, secret: hushhush, role: admin}]}
        deployment: {admin: {admin_key: [{name: b, key: hush-hush, role: admin}]}}
    """

    assert config(text).admin == AdminSettings(
        Address("127.0.0.1", 9280),
        keys=(AdminKey("b", Secret("hush-hush"), Role.ADMIN),),
        clients=config(text.replace("deployment", "plugins")).admin.clients,  # type: ignore[union-attr]
        allow=LOCAL,
        cors=True,
    )


def test_the_keyring() -> None:
    text = "apisix: {data_encryption: {keyring: [qeddd145sfvddff3, '0123456789abcdefFEDCBA9876543210']}}"

    assert config(text).keyring == (Secret("qeddd145sfvddff3"), Secret("0123456789abcdefFEDCBA9876543210"))
    assert config("apisix: {data_encryption: {enable_encrypt_fields: true}}").keyring == ()
    assert config("{}").keyring == ()


def test_a_keyring_that_opens_nothing() -> None:
    assert problems("apisix: {data_encryption: {keyring: []}}") == [
        "apisix.data_encryption.keyring: expected one key at least"
    ]
    assert problems("apisix: {data_encryption: {keyring: [short, ä123456789abcdef]}}") == [
        "apisix.data_encryption.keyring[0]: expected 16 or 32 ASCII characters, got 5 characters",
        "apisix.data_encryption.keyring[1]: expected 16 or 32 ASCII characters, got 16 characters",
    ]
