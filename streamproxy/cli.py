"""The ``streamproxy`` command: what can be asked about a configuration without running it."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from . import __version__, cli_explain
from .dialects.assemble import Vault, assemble, canonical
from .dialects.native import Catalogue, load_config
from .dialects.native.standalone import Check, Documents, load_documents
from .errors import InvalidConfiguration, Problem, StoreError
from .model import AdminSettings, Config, Role, StoreType

_DESCRIPTION = """\
Asks about configurations of streamproxy, a proxy for TCP, UDP and TLS, without running it.
The proxy itself is started with `twistd -n streamproxy --config FILE`."""

_CHECK = """\
Reads the configuration FILE (YAML, or JSON where the name ends in .json), with ${NAME} replaced from the environment,
as the proxy would. Every problem is printed on standard error as `path: what`, and the exit status is 1. Without
problems the status is 0, and a summary says what the proxy would do. Nothing is started and nothing is written."""

_UPGRADE = """\
Replaces the process that runs with the configuration FILE by a new one, of the program as it is installed now and with
the configuration as it is written now. The new process takes over the listening sockets; the old one ends when its last
session has, at the latest after limits.shutdown_timeout. No connection is refused and none is broken meanwhile. If the
new process cannot start, the old one goes on, the exit status is 1, and standard error says why. To be called by the
user that the process runs as, or by root, on its machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (default: that of the process) and answer its exit status."""
    arguments = _parser().parse_args(argv)
    return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="streamproxy", description=_DESCRIPTION, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"streamproxy {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = commands.add_parser(
        "check", help="say everything that is wrong with a configuration file", description=_CHECK, formatter_class=raw
    )
    check.set_defaults(run=_check)
    check.add_argument("file", metavar="FILE", help="the configuration file")
    explain = commands.add_parser(
        "explain",
        help="say where a connection would go, and why",
        description=cli_explain.DESCRIPTION,
        formatter_class=raw,
    )
    explain.set_defaults(run=lambda given: cli_explain.explain(given, _documents))
    cli_explain.add_arguments(explain)
    upgrade = commands.add_parser(
        "upgrade",
        help="replace the running process without losing a connection",
        description=_UPGRADE,
        formatter_class=raw,
    )
    upgrade.set_defaults(run=_upgrade)
    upgrade.add_argument("-c", "--config", metavar="FILE", default="streamproxy.yaml", help="the configuration file")
    return parser


def _check(arguments: argparse.Namespace) -> int:
    file: str = arguments.file
    # Finding plugins takes Twisted, and saying what is to be typed does not.
    from .plugins.discovery import catalogue

    try:
        config = load_config(file, os.environ, catalogue)
        documents = _documents(config, catalogue)
    except InvalidConfiguration as error:
        for problem in error.problems:
            print(_printable(str(problem)), file=sys.stderr)
        return 1
    wrong = (*_unusable(config), *documents.dropped)
    for item in wrong:
        print(_printable(str(item)), file=sys.stderr)
    if wrong:
        return 1
    print(f"{_printable(file)} is fine")
    for name, value in _summary(config, documents, catalogue):
        print(f"  {name:<10} {_printable(value)}")
    return 0


def _unusable(config: Config) -> Iterator[Problem]:
    """What no proxy would start with, though as a configuration it is right."""
    log = config.access_log
    if log is not None:
        from .observe.logformat import compile_format
        from .observe.logtarget import log_target

        try:
            log_target(log.path)
        except ValueError as error:
            yield Problem("access_log.path", "bad_value", str(error))
        try:
            compile_format(log.format, lambda record: None, log.escape)
        except ValueError as error:
            yield Problem("access_log.format", "bad_value", str(error))
    if config.admin is not None and config.admin.tls is not None:
        from .control.adminport import tls_context

        try:
            tls_context(config.admin.tls)
        except StoreError as error:
            yield Problem("admin.tls", "bad_value", str(error).removeprefix("admin.tls "))


def _upgrade(arguments: argparse.Namespace) -> int:
    from .control.heir import handover_path
    from .control.upgrade import upgrade
    from .plugins.discovery import catalogue

    try:
        pid = upgrade(handover_path(load_config(arguments.config, os.environ, catalogue)))
    except InvalidConfiguration as error:
        for problem in error.problems:
            print(_printable(str(problem)), file=sys.stderr)
        print("not upgraded: the running process goes on", file=sys.stderr)
        return 1
    except StoreError as error:
        for line in str(error).splitlines():
            print(_printable(line), file=sys.stderr)
        print("not upgraded: the running process goes on", file=sys.stderr)
        return 1
    print(f"process {pid} serves now; the one before it ends with its last session")
    return 0


def _documents(config: Config, catalogue: Catalogue) -> Documents:
    """What the file of documents beside the configuration holds, where there is to be one."""
    if config.documents_path is None:
        return Documents()
    vault = Vault.of(config.keyring, os.environ)

    def checking(names: tuple[str, ...] | None) -> Check:
        plugins = catalogue(config.stream_plugins if names is None else names)
        return lambda key, body: canonical(key, body, vault=vault, plugins=plugins)

    return load_documents(config.documents_path, os.environ, checking)


def _summary(config: Config, documents: Documents, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    everything = (*config.resources, *documents.documents)
    names = config.stream_plugins if documents.stream_plugins is None else documents.stream_plugins
    snapshot = assemble(
        everything,
        static=config.stream_proxy,
        limits=config.limits,
        access=config.access,
        vault=Vault.of(config.keyring, os.environ),
        plugins=catalogue(names),
        trusted_proxies=config.trusted_proxies,
        client_ca=config.tls.client_ca is not None,
    ).snapshot
    transports = Counter(listener.address.transport.value for listener in snapshot.listeners)
    yield "listeners", _counted(transports) or "none"
    yield "documents", _counted(Counter(document.key.kind for document in everything)) or "none"
    if config.documents_path is not None:
        yield "follows", config.documents_path
    if names is not None:
        yield "plugins", ", ".join(names) or "none"
    store = config.store
    yield "store", "memory" if store.type is StoreType.MEMORY else f"{store.type.value} in {store.path}"
    yield "admin", "off" if config.admin is None else _admin(config.admin)
    for name, address in (("control", config.control), ("status", config.status)):
        if address is not None:
            yield name, f"http://{address}/"
    if config.ignored or documents.ignored:
        yield "ignored", ", ".join((*config.ignored, *documents.ignored))


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {number}" for what, number in numbers.items())


def _admin(admin: AdminSettings) -> str:
    where = f"{'https' if admin.tls else 'http'}://{admin.listen}/"
    if not admin.require_key:
        return f"{where}, open to everybody"
    known = _counted({"keys": len(admin.keys), "clients": len(admin.clients)})
    if Role.ADMIN in (*(key.role for key in admin.keys), *(client.role for client in admin.clients)):
        return f"{where}, {known}"
    return f"{where}, {known}; an admin key is made up at the start"


def _printable(text: str) -> str:
    """What a file says may not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
