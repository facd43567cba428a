"""``streamproxy explain``: where a connection would go, and why, by a configuration file or by a running proxy."""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from .dialects.assemble import Vault, assemble
from .dialects.native import Catalogue, load_config
from .dialects.native.standalone import Documents
from .errors import InvalidConfiguration, Problem
from .model import Certificate, CertificateCandidate, CertificateChoice, CertificateStatus, Config, Snapshot
from .sniff.pcap import Captured, CaptureError, first_words
from .tls import CertificateIndex
from .why import Source, World, connection_of, explain_connection, shaped

DESCRIPTION = """\
Says where a connection would go and why: every rule in order with what it saw, the plugins, the node. It is decided by
the configuration FILE (and the documents beside it), which is only read, or by the proxy whose Admin API is at URL, by
what runs there. Nothing is connected to. The exit status is 0 when the connection would be relayed, 1 when it would be
refused, 2 when that could not be found out."""

MOST_CAPTURE = 64 * 1024 * 1024
TIMEOUT = 30.0
KEY = "STREAMPROXY_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may stand behind ``explain``."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-c", "--config", metavar="FILE", help="the configuration file to ask")
    where.add_argument("--url", metavar="URL", help="the Admin API to ask: http://127.0.0.1:9180")
    parser.add_argument("--key", help=f"the key for it (X-API-KEY); by default, what {KEY} says in the environment")
    parser.add_argument(
        "--session",
        metavar="ID",
        help="explain this session, which the proxy at URL has or had; nothing is made up then",
    )
    parser.add_argument("--listener", metavar="ADDRESS", help="where it connects to: 127.0.0.1:443, or a port")
    parser.add_argument("--udp", action="store_true", help="it is of datagrams")
    parser.add_argument("--peer", metavar="ADDRESS", help="the client's address, perhaps with a port")
    parser.add_argument("--local", metavar="ADDRESS", help="the address it reaches, where the listener has several")
    parser.add_argument("--sni", metavar="NAME", help="the name in its TLS handshake")
    parser.add_argument("--alpn", metavar="PROTOCOL", action="append", default=[], help="a protocol it offers there")
    parser.add_argument("--http-host", metavar="NAME", help="the host in its HTTP request")
    parser.add_argument("--tls", action="store_true", help="it speaks TLS, with no name unless --sni gives one")
    parser.add_argument("--client-subject", metavar="DN", help="the subject of the certificate it shows: CN=a")
    parser.add_argument("--hello", metavar="FILE", help="a file with its first bytes, for one a ClientHello")
    parser.add_argument(
        "--pcap", metavar="FILE", help="a capture (pcap, pcapng): its first connection says who, where to, and what"
    )
    parser.add_argument("--json", action="store_true", help="answer with JSON")


DocumentsOf: TypeAlias = Callable[[Config, Catalogue], Documents]


class _FailedError(Exception):
    """It could not be found out; the text says why."""


def explain(arguments: argparse.Namespace, documents_of: DocumentsOf) -> int:
    """
    Run the command; the exit status. ``documents_of`` reads the documents that stand in a file beside a configuration.
    """
    try:
        answer = _answer(arguments, documents_of)
    except InvalidConfiguration as error:
        for problem in error.problems:
            print(_printable(str(problem)), file=sys.stderr)
        return 2
    except (_FailedError, CaptureError) as error:
        print(_printable(str(error)), file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(answer, indent=2, ensure_ascii=True))
    else:
        print(answer.get("text", ""), end="")
    return 0 if str(answer.get("ending", {}).get("ending")) == "relayed" or arguments.session else 1


def _answer(arguments: argparse.Namespace, documents_of: DocumentsOf) -> Mapping[str, Any]:
    if arguments.session is not None:
        if arguments.url is None:
            raise _FailedError("a session is known to the proxy that has or had it: give its --url")
        return _called(arguments, f"/streamproxy/v1/sessions/{quote(arguments.session, safe='')}/why")
    question = question_of(arguments)
    if arguments.url is not None:
        return _called(arguments, "/streamproxy/v1/explain", question)
    connection = connection_of(question)
    world = _world(arguments.config, documents_of)
    return shaped(explain_connection(world, connection))


def question_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was asked, as the API would be asked."""
    question: dict[str, Any] = {}
    if arguments.pcap is not None:
        question.update(_captured(first_words(_read(arguments.pcap))))
    if arguments.hello is not None:
        question["first_bytes"] = base64.b64encode(_read(arguments.hello)).decode()
    for name in ("listener", "peer", "local", "sni", "http_host"):
        value = getattr(arguments, name)
        if value is not None:
            question[name] = value
            if name == "listener":
                question.pop("port", None)
    if arguments.udp:
        question["transport"] = "udp"
    if arguments.alpn:
        question["alpn"] = arguments.alpn
    if arguments.client_subject is not None:
        question["tls"] = {"client": {"subject": arguments.client_subject}}
    elif arguments.tls:
        question["tls"] = True
    return question


def _captured(captured: Captured) -> dict[str, Any]:
    return {
        "transport": captured.transport.value,
        "peer": str(captured.peer),
        "local": str(captured.local),
        "port": captured.local.port,
        "first_bytes": base64.b64encode(captured.data[: 80 * 1024]).decode(),
    }


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_CAPTURE + 1)
    except OSError as error:
        raise _FailedError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_CAPTURE:
        raise _FailedError(f"{path}: it is larger than {MOST_CAPTURE >> 20} MiB")
    return data


# By a running proxy


def _called(arguments: argparse.Namespace, path: str, question: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    base = arguments.url.rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise _FailedError("--url is the address of an Admin API: http://127.0.0.1:9180")
    key = arguments.key or os.environ.get(KEY, "")
    headers = {"Accept": "application/json", **({"X-API-KEY": key} if key else {})}
    data = None
    if question is not None:
        data = json.dumps(question).encode()
        headers["Content-Type"] = "application/json"
    try:
        request = urllib.request.Request(base + path, data=data, headers=headers)  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            found = json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            raise _FailedError(_refusal(error.code, error.read())) from None
    except (OSError, ValueError) as error:
        raise _FailedError(f"{base} does not answer: {getattr(error, 'reason', error)}") from None
    return found if isinstance(found, dict) else {}


def _refusal(code: int, body: bytes) -> str:
    try:
        found = json.loads(body)
        problems = found.get("problems") or []
        words = "; ".join(f"{each['path']}: {each['message']}" for each in problems) or found["error_description"]
    except (ValueError, KeyError, TypeError, AttributeError):
        words = "it does not say why"
    hint = f" (give a key: --key, or {KEY} in the environment)" if code == 401 else ""
    return f"the proxy answers {code}: {words}{hint}"


# By a file


def _world(path: str, documents_of: DocumentsOf) -> World:
    # Finding plugins takes Twisted, and asking a running proxy does not.
    from .plugins.discovery import catalogue

    config = load_config(path, os.environ, catalogue)
    documents = documents_of(config, catalogue)
    names = config.stream_plugins if documents.stream_plugins is None else documents.stream_plugins
    plugins = catalogue(names)
    assembled = assemble(
        (*config.resources, *documents.documents),
        static=config.stream_proxy,
        limits=config.limits,
        vault=Vault.of(config.keyring, os.environ),
        plugins=plugins,
        trusted_proxies=config.trusted_proxies,
        client_ca=config.tls.client_ca is not None,
    )
    _tell(problem.problem.under("" if problem.key is None else str(problem.key)) for problem in assembled.problems)
    choose = _Chooser(config, assembled.snapshot)
    return World(assembled.snapshot, Source.CURRENT, certificate_for=choose, plugins=plugins)


def _tell(problems: Iterable[Problem]) -> None:
    for problem in problems:
        print(_printable(f"not served: {problem}"), file=sys.stderr)


class _Chooser:
    """Which certificate a name gets."""

    def __init__(self, config: Config, snapshot: Snapshot) -> None:
        files: tuple[Certificate, ...] = ()
        if config.tls.certificates is not None:
            from .control.certdir import CertificateDirectory

            nobody: Any = None
            directory = CertificateDirectory(Path(config.tls.certificates), nobody, lambda: None)
            directory.load()
            files = directory.certificates
        self._index = CertificateIndex((*snapshot.certificates, *files), fallback=config.tls.fallback_sni)

    def __call__(self, name: str | None) -> CertificateChoice:
        now = time.time()
        found = self._index.select(name, now)
        certificate = found.certificate
        status = None
        if certificate is not None:
            status = CertificateStatus(
                certificate.id, certificate.names, (), certificate.not_before, certificate.not_after
            )
        candidates = tuple(
            CertificateCandidate(each.certificate.id, each.name, each.won, each.why)
            for each in self._index.explain(name, now)
        )
        return CertificateChoice(status, found.why, candidates)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
