"""The ``streamproxy`` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamproxy import __version__
from streamproxy.cli import main

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


def test_check_says_that_there_is_no_file(file: Path, capsys: Output) -> None:
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err == f"{file} cannot be read: No such file or directory\n"


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
