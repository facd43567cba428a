"""The configuration file as a whole."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import AttrsInstance, fields
from hypothesis import given
from hypothesis import strategies as st

from streamproxy.dialects.native import load_config, settings
from streamproxy.dialects.native.load import Sections, decode
from streamproxy.dialects.native.resources import Resources
from streamproxy.dialects.native.source import parse
from streamproxy.errors import InvalidConfiguration, Problem
from streamproxy.model import Address, Config, ListenAddress, MetricsSettings, StaticListener, StoreSettings, Transport

from .reading import FILE, codes, config, patient, problems

EXAMPLES = Path(__file__).parents[3] / "examples"


def refusal(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(InvalidConfiguration) as caught:
        load_config(path, {})
    return caught.value.problems


# Files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "metrics: {listen: '127.0.0.1:${PORT}'}"),
        ("a.conf", "metrics: {listen: '127.0.0.1:${PORT}'}"),
        ("a.json", '{"metrics":\t{"listen": "127.0.0.1:${PORT}"}}'),
    ],
)
def test_a_file_is_yaml_or_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    read = load_config(str(tmp_path / name), {"PORT": "9091"})

    assert read.path == str(tmp_path / name)
    assert read.metrics == MetricsSettings(Address("127.0.0.1", 9091))
    assert read.store == StoreSettings(path=str(tmp_path / "streamproxy.db"))


def test_paths_start_where_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text("{}")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real" / "a.yaml")
    monkeypatch.chdir(tmp_path)

    read = load_config("link.yaml", {})

    assert read.path == str(tmp_path / "link.yaml")
    assert read.store.path == str(tmp_path / "streamproxy.db")


def test_a_file_that_cannot_be_read_or_understood(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("admin: [")
    (tmp_path / "a.json").write_text("{,}")

    assert [problem.path for problem in refusal(tmp_path / "none.yaml")] == [""]
    assert refusal(tmp_path / "a.yaml")[0].message.startswith("line 2, column 1: this is no YAML")
    assert refusal(tmp_path / "a.json")[0].message.startswith("line 1, column 2: this is no JSON")


@pytest.mark.parametrize(
    ("text", "kind"), [("", "null"), ("- admin", "a list"), ("admin", "a string"), ("~", "null"), ("1", "an integer")]
)
def test_the_top_of_a_file_is_an_object(text: str, kind: str) -> None:
    assert problems(text) == [f"expected an object at the top, got {kind}"]


# Everything at once


def test_every_problem_is_told() -> None:
    text = """
        admin: {listen: "0.0.0.0:9180"}
        stores: {}
        stream_proxy: {tcp: [0, {addr: 1, tsl: true}], sctp: []}
        tls: {fallback_sni: "${GONE}"}
        tls: {}
        resources: {tcp_services: [{}]}
        metrics: {listen: "${PORT}"}
        limits: {idle_timeout: "${GONE}", connect_timeout: -1}
        apisix: {proxy_mode: x}
    """

    assert [problem.partition(": ")[0] for problem in problems(text, {"PORT": "9091"})] == [
        "admin.listen",
        "apisix.proxy_mode",
        "limits.connect_timeout",
        "limits.idle_timeout",
        "metrics.listen",
        "resources.tcp_services[0].id",
        "stores",
        "stream_proxy.sctp",
        "stream_proxy.tcp[0]",
        "stream_proxy.tcp[1].tsl",
        "tls.fallback_sni",
        "tls",
    ]


def test_a_reference_that_cannot_be_replaced_is_told_once() -> None:
    assert problems("limits: {max_sessions: '${GONE}'}") == [
        "limits.max_sessions: the environment variable GONE is not set (${GONE:=...} gives it a default)"
    ]


def test_problems_are_bounded() -> None:
    found = problems(f"stream_proxy: {{tcp: {[0] * 1000}}}")

    assert len(found) == 201
    assert "more than 200 problems: the rest is not shown" in found


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("stores", "store"),
        ("stream-proxy", "stream_proxy"),
        ("resource", "resources"),
        ("limit", "limits"),
        ("stream_routes", "resources.stream_routes"),
        ("upstreams", "resources.upstreams"),
    ],
)
def test_a_key_that_is_not_known_is_told_with_the_one_that_was_meant(key: str, meant: str) -> None:
    assert problems(f"{key}: {{}}") == [f"{key}: is not known here: did you mean {meant}?"]


def test_a_key_that_is_not_known_at_all() -> None:
    assert problems("quux: 1") == ["quux: is not known here"]


# Listeners and who has which port


def test_listeners() -> None:
    read = config("stream_proxy: {tcp: [9100], udp: ['127.0.0.1:9100']}")

    assert read.stream_proxy == (
        StaticListener(ListenAddress(Transport.TCP, "0.0.0.0", 9100), "stream_proxy.tcp[0]"),
        StaticListener(ListenAddress(Transport.UDP, "127.0.0.1", 9100), "stream_proxy.udp[0]"),
    )
    assert config("stream_proxy: {tcp: , udp: }").stream_proxy == ()


def test_what_is_proxied_does_not_take_the_ports_of_the_apis() -> None:
    text = """
        admin: {listen: 127.0.0.1:9180}
        metrics: {listen: 127.0.0.1:9091}
        stream_proxy: {tcp: ["9090-9092", "127.0.0.2:9180", "[::]:9180"], udp: [9180]}
        resources:
          tcp_services:
            - {id: a, name: a, description: a, port: 9180, enabled: true}
            - {id: b, name: b, description: b, port: 9180, enabled: true, interface: 127.0.0.3}
            - {id: c, name: c, description: c, port: 9180, interface: 127.0.0.1}
    """

    assert problems(text.replace("9180, enabled: true}", "9180, enabled: true, interface: 127.0.0.1}")) == [
        "resources.tcp_services[0].port: port 9180 on 127.0.0.1 is already taken by admin.listen",
        "stream_proxy.tcp[0]: port 9091 on 0.0.0.0 is already taken by metrics.listen",
    ]


def test_the_apis_do_not_take_each_others_ports() -> None:
    assert problems("metrics: {listen: '0.0.0.0:9180'}") == [
        "metrics.listen: 0.0.0.0:9180 is already taken by admin.listen"
    ]
    config("{admin: {listen: '127.0.0.1:0'}, metrics: {listen: '127.0.0.1:0'}}")
    config("{admin: false, metrics: {listen: '127.0.0.1:9180'}}")


def test_two_documents_do_not_take_one_port() -> None:
    service = "{id: %s, name: a, description: a, port: 1000, enabled: true}"

    assert codes(f"resources: {{tcp_services: [{service % 'a'}, {service % 'b'}]}}") == {
        "resources.tcp_services[1].port": "conflict"
    }


def test_a_document_does_not_take_the_port_of_a_listener() -> None:
    text = """
        stream_proxy: {tcp: [1000]}
        resources: {tcp_services: [{id: a, name: a, description: a, port: 1000, enabled: true}]}
    """

    assert problems(text) == [
        "resources.tcp_services[0].port: port 1000 on 0.0.0.0 is already taken by stream_proxy.tcp[0]"
    ]


# The examples


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_an_example_can_be_loaded(path: Path) -> None:
    assert load_config(path, {}).path == str(path)


def test_the_reference_says_what_the_defaults_are() -> None:
    path = EXAMPLES / "config-reference.yaml"

    assert load_config(path, {}) == Config(path=str(path), store=StoreSettings(path=str(EXAMPLES / "streamproxy.db")))


@pytest.mark.parametrize(
    "section",
    [
        Sections,
        settings.AdminSection,
        settings.KeyEntry,
        settings.ClientEntry,
        settings.AdminTlsSection,
        settings.StoreSection,
        settings.StreamProxySection,
        settings.TlsSection,
        settings.AccessLogSection,
        settings.MetricsSection,
        settings.LimitsSection,
        settings.ListenSection,
        settings.ProxyProtocolSection,
        settings.ResolverSection,
        Resources,
    ],
)
def test_the_reference_names_every_key(section: type[AttrsInstance]) -> None:
    text = (EXAMPLES / "config-reference.yaml").read_text()

    assert [name for name in _keys(section) if not re.search(rf"^[# ]*([-{{] |.*, )?{name}:", text, re.MULTILINE)] == []


def test_the_reference_is_right_about_what_has_no_default() -> None:
    """Its examples are in comments, each after the empty list or object that it would be in."""
    lines: list[str] = []
    for line in (EXAMPLES / "config-reference.yaml").read_text().splitlines():
        example = re.fullmatch(r"( *)# ( *(?:- |[a-z_]+:(?: |$)).*)", line)
        if example is not None:
            lines[-1] = re.sub(r": (\[\]|\{\})( #.*)?$", ":", lines[-1])
        lines.append(line if example is None else example[1] + example[2])
    environ = {"ADMIN_KEY": "hush-hush-1", "OPS_KEY": "hush-hush-2", "CLIENT_SECRET": "hush-hush-3"}

    tree, found = parse("\n".join(lines), is_json=False)

    assert found == ()
    try:
        decode(tree, FILE, environ)
    except InvalidConfiguration as error:
        assert {problem.code for problem in error.problems} == {"unsupported"}, str(error)  # noqa: PT017


def _keys(section: type[AttrsInstance]) -> list[str]:
    return [field.name for field in fields(section)]


# Whatever is in it

words = st.sampled_from(
    [
        *_keys(Sections),
        *("listen", "keys", "key", "name", "role", "clients", "id", "secret", "allow", "cert", "type", "path", "tcp"),
        *("udp", "addr", "tcp_services", "stream_routes", "upstreams", "services", "rules", "targets", "host", "port"),
        *("idle_timeout", "format", "apisix", "deployment", "plugin_attr", "nginx_config", "plugins", "stream_proxy"),
        *("ssl", "proxy_mode", "admin_key", "allow_admin", "admin_listen", "prometheus", "export_addr", "stream"),
        *("enable_access_log", "access_log", "nodes", "upstream", "upstream_id", "domain", "${A}", "$${A}", "<<"),
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | words
    | st.sampled_from(["127.0.0.1:80", "9100-9200", "sqlite", "admin", "${B:=1}", "${{A}}", "10.0.0.0/8", "3s", "*.a"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(), inner, max_size=5),
    max_leaves=25,
)


@patient
@given(st.dictionaries(words | st.text(), values, max_size=6))
def test_any_values_are_a_configuration_or_refused(tree: dict[str, Any]) -> None:
    with suppress(InvalidConfiguration):
        assert isinstance(decode(tree, FILE, {"A": "1"}), Config)


@pytest.mark.parametrize("is_json", [False, True])
@patient
@given(tree=st.dictionaries(words | st.text(), values, max_size=6))
def test_any_file_is_a_configuration_or_refused(tree: dict[str, Any], is_json: bool) -> None:
    text = json.dumps(tree) if is_json else yaml.safe_dump(tree)
    with suppress(InvalidConfiguration):
        value, found = parse(text, is_json=is_json)
        assert isinstance(decode(value, FILE, {}, found), Config)


@patient
@given(content=st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_configuration_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with suppress(InvalidConfiguration):
        assert isinstance(load_config(path, {}), Config)


def test_how_many_processes_serve() -> None:
    assert config("{}").workers == 1
    assert config("workers: 4").workers == 4
    for wrong in ("workers: 0", "workers: many", "workers: 65"):
        (problem,) = problems(wrong)
        assert problem.startswith("workers")
