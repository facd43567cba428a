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
    Role,
    Secret,
    Snapshot,
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
    )
    assert read.tls == TlsSettings(fallback_sni="a.test.com")
    assert read.access_log == AccessLogSettings("/dev/stdout", "$remote_addr $protocol test")
    assert read.metrics == Address("127.0.0.1", 9092)


def test_what_has_no_meaning_here_is_named() -> None:
    assert config(PASTED).ignored == (
        "apisix.node_listen",
        "apisix.enable_ipv6",
        "apisix.stream_proxy.only",
        "apisix.proxy_protocol.listen_http_port",
        "apisix.ssl.enable",
        "apisix.ssl.listen",
        "nginx_config.error_log",
        "nginx_config.stream.access_log_format_escape",
        "nginx_config.http",
        "deployment.role",
        "deployment.role_traditional",
        "deployment.admin.enable_admin_cors",
        "deployment.admin.admin_api_version",
        "deployment.etcd",
        "plugins",
        "stream_plugins",
        "plugin_attr.log-rotate",
        "plugin_attr.prometheus.export_uri",
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
    read = config("apisix: {proxy_mode: http, stream_proxy: {tcp: [9100]}}")

    assert read.stream_proxy == ()
    assert read.ignored == ("apisix.stream_proxy",)


def test_the_mode_stream_has_no_admin_api_but_one_that_is_asked_for() -> None:
    assert config("apisix: {proxy_mode: stream, stream_proxy: {tcp: [9100]}}").admin is None
    assert config("{apisix: {proxy_mode: stream}, admin: {listen: 127.0.0.1:1}}").admin == AdminSettings(
        Address("127.0.0.1", 1)
    )


def test_without_a_mode_everything_is_served() -> None:
    read = config("apisix: {stream_proxy: {tcp: [9100]}}")

    assert len(read.stream_proxy) == 1
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
        Address("0.0.0.0", 9180), (AdminKey("a", Secret("hushhush"), Role.VIEWER),), allow=LOCAL
    )


@pytest.mark.parametrize("key", ["{name: admin, key: '', role: admin}", "{name: admin, key: ~}", "{name: admin}"])
def test_an_empty_key_is_made_up_and_good_for_this_machine(key: str) -> None:
    assert config(f"deployment: {{admin: {{admin_key: [{key}]}}}}").admin == AdminSettings(allow=LOCAL)


def test_no_list_of_keys_does_not_let_everybody_in() -> None:
    assert config("deployment: {admin: {admin_key: ~, allow_admin: ~}}").admin == AdminSettings(allow=LOCAL)


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


# The rest


def test_the_access_log_is_off_unless_it_is_on() -> None:
    assert config("nginx_config: {stream: {access_log: a.log}}").access_log is None
    assert config("nginx_config: {stream: {enable_access_log: true}}").access_log == AccessLogSettings(
        "/etc/streamproxy/logs/access_stream.log",
        "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time",
    )


def test_metrics_are_exported_where_an_address_is_given() -> None:
    assert config("plugin_attr: {prometheus: {export_addr: {ip: 0.0.0.0}}}").metrics == Address("0.0.0.0", 9091)
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
