"""
Real servers: processes of their own, each on a free port of loopback, in a directory that goes when they go.

A program that is not installed skips the tests that need it; with ``STREAMPROXY_REQUIRE_SERVERS=1`` it fails them.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.tls.pki import Issued

from .harness import PATIENCE, free_port, until

REQUIRE = "STREAMPROXY_REQUIRE_SERVERS"
NOT_INSTALLED = "is not installed"

# How long a client that is given some work may take (seconds).
ERRAND = 120.0

POSTGRES_USER = "tester"
MARIADB_USER, MARIADB_PASSWORD = "tester", "a password"
DNS_ZONE = "example.test"
DNS_ADDRESS = "192.0.2.10"
# Longer than what goes into one answer over UDP unless the client says that it may.
DNS_LONG_TEXT = tuple(f"{number:03d}" * 80 for number in range(12))


@frozen
class Running:
    """A server that listens on ``port`` of 127.0.0.1, with its keys and files in ``directory``."""

    port: int
    directory: Path


def program(name: str) -> str:
    """Where a program is, also one that only root usually finds."""
    of_postgres = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0,
        reverse=True,
    )
    places = [*map(str, of_postgres), os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        say = pytest.fail if os.environ.get(REQUIRE) == "1" else pytest.skip
        say(f"{name} {NOT_INSTALLED}")
    return found


def run(name: str, *arguments: str | Path, stdin: bytes = b"") -> str:
    """What a program answers on its standard output, once it has ended well."""
    done = subprocess.run([program(name), *map(str, arguments)], input=stdin, capture_output=True, timeout=ERRAND)
    errors = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{name} ended with status {done.returncode}: {errors}"
    return done.stdout.decode(errors="replace")


@contextlib.contextmanager
def postgres(name: str = "postgres", issued: Issued | None = None) -> Iterator[Running]:
    """
    PostgreSQL; :data:`POSTGRES_USER` owns everything and needs no password. ``name`` is its ``cluster_name``; it speaks
    TLS with what was ``issued`` to it.
    """
    initdb, server = program("initdb"), program("postgres")
    user = _other_user("postgres")
    with _directory("postgres", user) as directory:
        data, port = directory / "data", free_port()
        made = subprocess.run(
            [initdb, "-D", data, "-U", POSTGRES_USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=directory,
            user=user,
            group=_group(user),
            extra_groups=None if user is None else (),
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        command = [server, "-D", str(data), "-p", str(port), "-k", str(directory)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", f"cluster_name={name}"]
        if issued is not None:
            for file, content in (("server.crt", issued.chain_pem), ("server.key", issued.key_pem)):
                (data / file).write_bytes(content)
                (data / file).chmod(0o600)
                if user is not None:
                    shutil.chown(data / file, user)
            command += ["-c", "ssl=on"]

        def ready() -> bool:
            return run("psql", *postgres_at(port), "-Atc", "select 1") == "1\n"

        # An interrupt is what it calls a fast shutdown: it does not wait for clients.
        with _process(command, directory, ready, user=user, stop=signal.SIGINT):
            yield Running(port, directory)


@contextlib.contextmanager
def mariadb(issued: Issued) -> Iterator[Running]:
    """MariaDB, which speaks TLS with what was ``issued`` to it. :data:`MARIADB_USER` logs in over TLS only."""
    install, server, client = program("mariadb-install-db"), program("mariadbd"), program("mariadb")
    user = _other_user("mysql")
    with _directory("mariadb", user) as directory:
        data, port, local = directory / "data", free_port(), directory / "socket"
        made = subprocess.run(
            [
                *(install, "--no-defaults", f"--datadir={data}", "--skip-test-db", "--skip-name-resolve"),
                "--auth-root-authentication-method=normal",
            ],
            cwd=directory,
            user=user,
            group=_group(user),
            extra_groups=None if user is None else (),
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        for file, content in (("server.crt", issued.chain_pem), ("server.key", issued.key_pem)):
            (directory / file).write_bytes(content)
            (directory / file).chmod(0o600)
            if user is not None:
                shutil.chown(directory / file, user)
        command = [server, "--no-defaults", f"--datadir={data}", f"--socket={local}", f"--pid-file={directory}/pid"]
        command += [f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=8M"]
        command += [f"--ssl-cert={directory}/server.crt", f"--ssl-key={directory}/server.key"]

        def ready() -> bool:
            return (
                subprocess.run(
                    [client, "--no-defaults", f"--socket={local}", "-u", "root", "-e", "select 1"],
                    capture_output=True,
                ).returncode
                == 0
            )

        with _process(command, directory, ready, user=user):
            grant = f"grant all on *.* to '{MARIADB_USER}'@'%' identified by '{MARIADB_PASSWORD}' require ssl"
            run("mariadb", "--no-defaults", f"--socket={local}", "-u", "root", "-e", grant)
            yield Running(port, directory)


def postgres_at(port: int) -> list[str]:
    """How its clients are told where it is."""
    return ["-h", "127.0.0.1", "-p", str(port), "-U", POSTGRES_USER, "postgres"]


@contextlib.contextmanager
def redis() -> Iterator[Running]:
    """Redis, which keeps nothing on disk."""
    command = [program("redis-server"), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _directory("redis") as directory:
        port = free_port()
        command += ["--port", str(port), "--dir", str(directory)]
        with _process(command, directory, lambda: _answers(port, b"PING\r\n", b"+PONG")):
            yield Running(port, directory)


@contextlib.contextmanager
def ssh() -> Iterator[Running]:
    """
    OpenSSH's server. In its directory: ``host`` and ``host.pub``, and ``client``, a key that the user who runs the
    tests may log in with.
    """
    server = program("sshd")
    if os.geteuid() == 0:
        # Where it locks up the process that talks to strangers; Debian makes it when the service starts.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with _directory("sshd") as directory:
        for key in ("host", "client"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", directory / key)
        port = free_port()
        config = directory / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{port}\n"
            f"HostKey {directory}/host\n"
            f"AuthorizedKeysFile {directory}/client.pub\n"
            f"PidFile {directory}/sshd.pid\n"
            "PermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\n"
            "StrictModes no\n"
            "UsePAM no\n"
        )
        command = [server, "-D", "-e", "-f", str(config)]
        with _process(command, directory, lambda: _answers(port, b"", b"SSH-2.0-")):
            yield Running(port, directory)


@contextlib.contextmanager
def dns() -> Iterator[Running]:
    """Knot DNS with the zone :data:`DNS_ZONE`, over UDP and TCP: ``www`` is a host, ``long`` a text."""
    server = program("knotd")
    with _directory("knot") as directory:
        port = _port_of_both()
        (directory / "zone").write_text(
            f"$ORIGIN {DNS_ZONE}.\n"
            "$TTL 60\n"
            "@ SOA ns hostmaster 1 3600 600 86400 60\n"
            "@ NS ns\n"
            "ns A 127.0.0.1\n"
            f"www A {DNS_ADDRESS}\n" + "".join(f'long TXT "{text}"\n' for text in DNS_LONG_TEXT)
        )
        config = directory / "knot.conf"
        config.write_text(
            "server:\n"
            f'    rundir: "{directory}"\n'
            f"    listen: 127.0.0.1@{port}\n"
            "    udp-max-payload: 4096\n"
            "    udp-workers: 1\n"
            "    tcp-workers: 1\n"
            "    background-workers: 1\n"
            "database:\n"
            f'    storage: "{directory}"\n'
            "control:\n"
            f'    listen: "{directory}/control"\n'
            "log:\n"
            "  - target: stderr\n"
            "    any: info\n"
            "zone:\n"
            f"  - domain: {DNS_ZONE}\n"
            f'    file: "{directory}/zone"\n'
            "    zonefile-load: whole\n"
            "    journal-content: none\n"
        )
        with _process([server, "-c", str(config)], directory, lambda: DNS_ADDRESS in _lookup(port)):
            yield Running(port, directory)


def _lookup(port: int) -> str:
    return run("kdig", "@127.0.0.1", "-p", str(port), "+retry=0", "+timeout=1", "+short", f"www.{DNS_ZONE}")


@contextlib.contextmanager
def syslog() -> Iterator[Running]:
    """
    rsyslog, for messages over TCP and UDP. What it understood of each is a line of the file ``messages``: facility,
    severity, host, program, process, and the text, with a blank between any two.
    """
    server = program("rsyslogd")
    with _directory("rsyslog") as directory:
        port = _port_of_both()
        fields = ("syslogfacility-text", "syslogseverity-text", "hostname", "programname", "procid", "msg")
        config = directory / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{directory}")\n'
            'module(load="imtcp")\n'
            'module(load="imudp")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{port}")\n'
            f'input(type="imudp" address="127.0.0.1" port="{port}")\n'
            f'template(name="understood" type="string" string="{" ".join(f"%{field}%" for field in fields)}\\n")\n'
            f'action(type="omfile" file="{directory}/messages" template="understood")\n'
        )
        command = [server, "-n", "-f", str(config), "-i", str(directory / "rsyslogd.pid")]
        with _process(command, directory, lambda: _answers(port, b"", b"")):
            yield Running(port, directory)


@contextlib.contextmanager
def mqtt() -> Iterator[Running]:
    """Mosquitto, a broker of MQTT, which lets everybody in."""
    server = program("mosquitto")
    # It leaves root's rights behind; its directory is its new owner's then.
    user = _other_user("mosquitto")
    with _directory("mosquitto", user) as directory:
        port = free_port()
        config = directory / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
            "log_dest stderr\nlog_type all\n"
        )
        with _process([server, "-c", str(config)], directory, lambda: _answers(port, b"", b""), user=user):
            yield Running(port, directory)


@contextlib.contextmanager
def tls(name: str) -> Iterator[Running]:
    """``openssl s_server`` with a certificate of its own for ``name``; it answers each line with the line reversed."""
    openssl = program("openssl")
    with _directory("tls") as directory:
        certificate(directory / "server.pem", name)
        port = free_port()
        command = [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(directory / "server.pem"), "-rev"]
        with _process(command, directory, lambda: _answers(port, b"", b"")):
            yield Running(port, directory)


def certificate(path: Path, name: str) -> None:
    """A self-signed certificate for a name, and its key, in one file."""
    key, signed = path.with_suffix(".key"), path.with_suffix(".crt")
    asked = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "10"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *curve, *asked, "-keyout", key, "-out", signed)
    path.write_text(signed.read_text() + key.read_text())


@contextlib.contextmanager
def http(name: str) -> Iterator[Running]:
    """The web server of Python; its one page says ``name``."""
    with _directory("http") as directory:
        pages, port = directory / "pages", free_port()
        pages.mkdir()
        (pages / "index.html").write_text(name)
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(pages), str(port)]
        with _process(command, directory, lambda: _answers(port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200")):
            yield Running(port, directory)


# How a server is started, asked and ended


@contextlib.contextmanager
def _process(
    command: list[str],
    directory: Path,
    ready: Callable[[], bool],
    *,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            user=user,
            group=_group(user),
            extra_groups=None if user is None else (),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_ready() -> bool:
        if process.poll() is not None:
            said = log.read_text(errors="replace")
            raise RuntimeError(f"{command[0]} ended with status {process.returncode}: {said}")
        return ready()

    try:
        try:
            until(is_ready, f"{command[0]} answered")
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{log.read_text(errors='replace')}") from None
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def haproxy(config: str, port: int) -> Iterator[Running]:
    """HAProxy in TCP mode with the sections of ``config``, which have it listen on ``port``."""
    defaults = "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
    server = program("haproxy")
    with scratch("haproxy") as directory:
        path = directory / "haproxy.cfg"
        path.write_text(defaults + config)
        with _process([server, "-db", "-f", str(path)], directory, lambda: _listens(port)):
            yield Running(port, directory)


@contextlib.contextmanager
def nginx(stream: str, port: int) -> Iterator[Running]:
    """nginx with this ``stream`` block, which has it listen on ``port``."""
    module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    server = program("nginx")
    with scratch("nginx") as directory:
        load = f"load_module {module};\n" if module.exists() else ""
        path, errors = directory / "nginx.conf", directory / "error.log"
        path.write_text(
            f"{load}daemon off; master_process off; pid {directory}/pid; error_log {errors};\n"
            f"events {{}}\nstream {{\n{stream}\n}}\n"
        )
        command = [server, "-p", str(directory), "-e", str(errors), "-c", str(path)]
        with _process(command, directory, lambda: _listens(port)):
            yield Running(port, directory)


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A directory of its own for whoever needs one."""
    with _directory(name) as path:
        yield path


@contextlib.contextmanager
def _directory(name: str, user: str | None = None) -> Iterator[Path]:
    """Outside pytest's directories, into which only their owner may look."""
    path = Path(tempfile.mkdtemp(prefix=f"streamproxy-{name}-"))
    try:
        if user is not None:
            shutil.chown(path, user, _group(user))
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _other_user(name: str) -> str | None:
    """Whom a server that does not work for root works for, where root runs the tests."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return "nobody"


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def _answers(port: int, question: bytes, beginning: bytes) -> bool:
    """Does a server on this port answer so? An empty ``beginning`` is for one that need only accept."""
    with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
        sock.sendall(question)
        return not beginning or sock.recv(4096).startswith(beginning)


def _port_of_both() -> int:
    """A port that is free for TCP and for UDP."""

    def found() -> int:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", port))
        return port

    return int(until(found, "a port was free for both TCP and UDP"))
