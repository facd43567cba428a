"""The ``streamproxy`` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamproxy import __version__
from streamproxy.cli import main

from .tls.pki import self_signed

Output = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_check_says_what_a_good_file_is_about(file: Path, capsys: Output) -> None:
    file.write_text(
        """
        admin:
          keys: [{name: a, key: hushhush, role: admin}, {name: b, key: hush-hush, role: viewer}]
        stream_proxy: {tcp: ["9100-9102"], udp: [9200]}
        resources:
          tcp_services:
            - {id: a, name: a, description: a, port: 1000, enabled: true, rules: [{targets: [{host: a}]}]}
            - {id: b, name: a, description: a, port: 1001}
          upstreams: [{type: roundrobin, nodes: {"10.0.0.1:80": 1}}]
        plugins: []
        """
    )

    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file} is fine",
        "  listeners  tcp 4, udp 1",
        "  documents  tcp-services 2, upstreams 1",
        f"  store      sqlite in {file.parent}/streamproxy.db",
        "  admin      http://127.0.0.1:9180/, keys 2, clients 0",
        "  ignored    plugins",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("admin: false", ["  listeners  none", "  documents  none", "  admin      off"]),
        ("store: {type: memory}", ["  store      memory"]),
        (
            "admin: {keys: [{name: a, key: hushhush, role: viewer}], tls: {cert: a, key: b}}",
            ["  admin      https://127.0.0.1:9180/, keys 1, clients 0; an admin key is made up at the start"],
        ),
        (
            "deployment: {admin: {admin_key_required: false}}",
            ["  admin      http://127.0.0.1:9180/, open to everybody"],
        ),
    ],
)
def test_check_tells_what_matters(file: Path, capsys: Output, text: str, lines: list[str]) -> None:
    own = self_signed("localhost")
    (file.parent / "a").write_bytes(own.pem)
    (file.parent / "b").write_bytes(own.key_pem)
    file.write_text(text)

    assert main(["check", str(file)]) == 0
    assert set(lines) <= set(capsys.readouterr().out.splitlines())


def test_check_says_everything_that_is_wrong(file: Path, capsys: Output) -> None:
    file.write_text("admin: {listen: 9180}\nstream_proxy: {tcp: [0]}\nlimit: {}")

    assert main(["check", str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "limit: is not known here: did you mean limits?",
        "admin.listen: expected a string, got an integer",
        "stream_proxy.tcp[0]: invalid stream_proxy.tcp entry: port out of range (1-65535): 0",
    ]


def test_check_says_what_no_proxy_would_start_with(file: Path, capsys: Output) -> None:
    file.write_text("admin: {tls: {cert: a, key: b}}\naccess_log: {path: 'syslog:to=here', format: '$nobody'}")

    assert main(["check", str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    path, form, admin = output.err.splitlines()
    assert path == "access_log.path: 'to' is no option of syslog's, or is there twice"
    assert form.startswith("access_log.format: no variable $nobody; there are $")
    assert admin.startswith(f"admin.tls: cannot be used ({file.parent}/a, {file.parent}/b): ")
    assert "No such file or directory" in admin


def test_check_says_that_there_is_no_file(file: Path, capsys: Output) -> None:
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err == f"{file} cannot be read: No such file or directory\n"


DATA_PLANE = "deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}"
ROUTE = "{server_port: 1985, upstream: {nodes: {'127.0.0.1:1995': 1}, type: roundrobin}, plugins: {%s: {}}}"


def test_check_looks_at_the_file_of_documents_too(file: Path, capsys: Output) -> None:
    file.write_text(f"{DATA_PLANE}\nstream_proxy: {{tcp: [1985]}}\ncontrol: {{listen: 127.0.0.1:9090}}")
    documents = file.with_name("apisix.yaml")
    documents.write_text(f"routes: []\nplugins: [{{name: syslog, stream: true}}]\nstream_routes: [{ROUTE % 'nosuch'}]")

    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err == f"missing valid end flag in file {documents}\n"

    documents.write_text(f"{documents.read_text()}\n#END")
    assert main(["check", str(file)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("failed to check item data of [stream_routes] err:unknown plugin [nosuch]")

    documents.write_text("routes: []\nplugins: []\nupstreams: [{id: u, nodes: {'127.0.0.1:1': 1}}]\n#END")
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file} is fine",
        "  listeners  tcp 1",
        "  documents  upstreams 1",
        f"  follows    {documents}",
        "  plugins    none",
        "  store      memory",
        "  admin      off",
        "  control    http://127.0.0.1:9090/",
        "  ignored    routes",
    ]


def test_check_knows_the_plugins(file: Path, capsys: Output) -> None:
    plugins = "{ip-restriction: {whitelist: ['::1']}}"
    route = f"{{upstream: {{nodes: {{'127.0.0.1:1995': 1}}, type: roundrobin}}, plugins: {plugins}}}"
    file.write_text(f"resources: {{stream_routes: [{route}]}}")
    assert main(["check", str(file)]) == 0
    capsys.readouterr()

    file.write_text(f"stream_plugins: [syslog]\nresources: {{stream_routes: [{route}]}}")
    assert main(["check", str(file)]) == 1
    assert "stream_routes[0].plugins.ip-restriction: unknown plugin [ip-restriction]" in capsys.readouterr().err

    file.write_text("stream_plugins: [syslog, nosuch]")
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err.startswith("stream_plugins[1]: unknown plugin [nosuch]: there are ")


def test_check_knows_the_listeners_that_are_documents(file: Path, capsys: Output) -> None:
    file.write_text("resources: {listeners: [{addr: 9100-9102}, {id: b, transport: udp, addr: 9100}]}")
    assert main(["check", str(file)]) == 0
    assert {"  listeners  tcp 3, udp 1", "  documents  listeners 2"} <= set(capsys.readouterr().out.splitlines())

    file.write_text("resources: {listeners: [{addr: 9180}, {addr: 9101}, {addr: 9101}, {adr: 1, addr: 9102}]}")
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "resources.listeners[3].adr: is not known here: did you mean addr?",
        "resources.listeners[2].addr: port 9101 on 0.0.0.0 is already taken by native:listeners/arr_2",
        "resources.listeners[0].addr: port 9180 on 0.0.0.0 is already taken by admin.listen",
    ]


def test_check_reads_the_environment(file: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN", "127.0.0.1:9280")
    file.write_text("admin: {listen: '${LISTEN}'}")

    assert main(["check", str(file)]) == 0
    assert "http://127.0.0.1:9280/" in capsys.readouterr().out


def test_a_file_does_not_steer_the_terminal(file: Path, capsys: Output) -> None:
    file.write_text(r'"\e[2J\x9b": 1')

    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err == '["\\u001b[2J\\x9b"]: is not known here\n'


def test_the_version(capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"streamproxy {__version__}\n"


def test_the_help_leads_on(capsys: Output) -> None:
    for arguments, words in (
        (["--help"], ("twistd -n streamproxy --config FILE", "check", "--version")),
        (["check", "--help"], ("FILE", "path: what", "exit status is 1")),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        output = capsys.readouterr().out
        assert [word for word in words if word not in output] == []


@pytest.mark.parametrize("arguments", [[], ["check"], ["chek", "a"], ["check", "a", "b"]])
def test_what_makes_no_sense_is_told_with_the_usage(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: streamproxy" in capsys.readouterr().err


def test_asking_needs_no_reactor() -> None:
    program = "import sys, streamproxy.cli; sys.exit(any(name.startswith('twisted') for name in sys.modules))"

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
