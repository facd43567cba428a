"""
Otoroshi's ``TcpService``: the document, decoded and written again.

Fields, defaults and write order are Otoroshi's. Where Otoroshi stores something other than what it was given (a target
without host empties its rule, a port that is a string becomes 8080, an unknown ``tls`` becomes ``Disabled``), the
document is refused. ``null`` counts as not given; keys that nobody knows are dropped, as Otoroshi drops them.

What is ours is written only where it says something: ``starttls``, ``access``, ``limits`` and ``checks`` of a service,
``httpHost`` of its ``sni``, ``tlsConfig`` of a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from attrs import evolve, field, frozen

from streamproxy.errors import Problem
from streamproxy.model import STARTTLS, ClientAuth, Json, NamePattern, TlsMode, TlsVersion, canonical_interface
from streamproxy.tls import certificates

from ..codec import Port, Via, bounded, shown, structure
from ..healthchecks import UNCHECKED, ChecksText
from ..hostname import canonical_host
from ..restrictions import NOT_WRITTEN, WrittenAccess, WrittenLimits
from .domain import name_pattern

MOST_ID_CHARACTERS = 256

_TLS_MODES = {spelling: mode for mode in TlsMode for spelling in (mode.value, mode.value.lower())}
_CLIENT_AUTHS = {auth.value.lower(): auth for auth in ClientAuth}
_VERSIONS = {"TLSv1.2": TlsVersion.TLS1_2, "TLSv1.3": TlsVersion.TLS1_3}
# Whoever lacks one of these gets one fixed answer from Otoroshi's API.
_MANDATORY = frozenset({"name", "description", "port"})


def _id(text: str) -> str:
    if not text or len(text) > MOST_ID_CHARACTERS or not text.isprintable():
        raise ValueError(f"expected 1 to {MOST_ID_CHARACTERS} printable characters, got {shown(text)}")
    return text


def _tls_mode(text: str) -> TlsMode:
    mode = _TLS_MODES.get(text)
    if mode is None:
        raise ValueError(f"expected Disabled, PassThrough or Enabled, got {shown(text)}")
    return mode


def _client_auth(text: str) -> ClientAuth:
    auth = _CLIENT_AUTHS.get(text.lower())
    if auth is None:
        raise ValueError(f"expected None, Want or Need, got {shown(text)}")
    return auth


def _interface(text: str) -> str:
    try:
        canonical_interface(text)
    except ValueError:
        raise ValueError(f"expected an IP address or localhost, got {shown(text)}") from None
    return text or "0.0.0.0"


def _host(text: str) -> str:
    canonical_host(text)
    return text


def _ip(text: str) -> str | None:
    return _host(text) if text else None


def _starttls(text: str) -> str:
    if text and text not in STARTTLS:
        raise ValueError(f"expected one of {', '.join(STARTTLS)}, got {shown(text)}")
    return text


def _minimum(text: str) -> TlsVersion:
    version = _VERSIONS.get(text)
    if version is None:
        raise ValueError(f"expected {' or '.join(_VERSIONS)}, got {shown(text)}")
    return version


@frozen
class Authorities:
    """Certificates (DER), and the PEM they were written in."""

    der: tuple[bytes, ...] = ()
    source: str = field(default="", repr=False)


NO_AUTHORITIES = Authorities()


def _authorities(text: str) -> Authorities:
    return Authorities(certificates(text.encode()), text) if text else NO_AUTHORITIES


def _server_name(text: str) -> str:
    return _host(text) if text else ""


def _tenant(text: str) -> str:
    return text.lower().strip()


def _teams(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_tenant, texts)))


@frozen
class Location:
    tenant: Annotated[str, Via(str, _tenant)] = "default"
    teams: Annotated[tuple[str, ...], Via(tuple[str, ...], _teams)] = ("default",)


@frozen
class TlsConfig:
    """
    Ours: how TLS to a target is done where the defaults do not do. ``server_name`` is sent and verified in place of the
    host, ``ca`` trusted in place of the system's authorities.
    """

    verify: bool = True
    server_name: Annotated[str, Via(str, _server_name)] = field(default="", alias="serverName")
    ca: Annotated[Authorities, Via(str, _authorities)] = field(default=NO_AUTHORITIES)
    minimum: Annotated[TlsVersion, Via(str, _minimum)] = field(default=TlsVersion.TLS1_2, alias="minVersion")


@frozen
class Target:
    """``ip``, where given, is connected to in place of ``host``."""

    host: Annotated[str, Via(str, _host)]
    ip: Annotated[str | None, Via(str, _ip)] = None
    port: Port = 8080
    tls: bool = False
    tls_config: TlsConfig = field(default=TlsConfig(), alias="tlsConfig")


@frozen
class Rule:
    domain: Annotated[NamePattern, Via(str, name_pattern)] = name_pattern("*")
    targets: tuple[Target, ...] = ()


@frozen
class Sni:
    """``http_host`` is ours: where TLS ends here, a client that sends no name may say it in an HTTP request."""

    enabled: bool = False
    forward_if_no_match: bool = field(default=False, alias="forwardIfNoMatch")
    forwards_to: Target = field(default=Target("127.0.0.1"), alias="forwardsTo")
    http_host: bool = field(default=False, alias="httpHost")


@frozen
class TcpService:
    """Every string is as it was written, except where Otoroshi itself writes one of several spellings."""

    id: Annotated[str, Via(str, _id)]
    name: str
    description: str
    port: Port
    location: Location = field(default=Location(), alias="_loc")
    enabled: bool = False
    tls: Annotated[TlsMode, Via(str, _tls_mode)] = TlsMode.DISABLED
    sni: Sni = Sni()
    client_auth: Annotated[ClientAuth, Via(str, _client_auth)] = field(default=ClientAuth.NONE, alias="clientAuth")
    interface: Annotated[str, Via(str, _interface)] = "0.0.0.0"
    rules: tuple[Rule, ...] = ()
    metadata: Mapping[str, str] = field(factory=dict)
    tags: tuple[str, ...] = ()
    starttls: Annotated[str, Via(str, _starttls)] = ""
    access: WrittenAccess = NOT_WRITTEN
    limits: WrittenLimits = NOT_WRITTEN
    checks: ChecksText = UNCHECKED

    @property
    def routes_by_name(self) -> bool:
        """Otoroshi looks at ``sni`` and at the domains only where there is TLS."""
        return self.sni.enabled and self.tls is not TlsMode.DISABLED


def decode(body: object, *, id: str) -> tuple[TcpService | None, tuple[Problem, ...]]:  # noqa: A002
    """
    The service ``body`` describes, under ``id`` whatever the body says of its own, or what is wrong with it. A
    missing ``name``, ``description`` or ``port``, or one of the wrong type, has the code ``bad_format``.
    """
    if isinstance(body, Mapping):
        body = {**body, "id": id}
    service, problems = structure(body, TcpService, null_is_absent=True)
    if service is not None and (impossible := bounded(_impossible(service))):
        return None, impossible
    return service, tuple(map(_bad_format, problems))


def _impossible(service: TcpService) -> Iterator[Problem]:
    """MySQL's greeting is one target's own, so the target is chosen, and dialled, before the client says a name."""
    if service.starttls != "mysql" or service.tls is TlsMode.DISABLED:
        return
    if service.sni.enabled:
        yield Problem("sni.enabled", "bad_value", "with starttls mysql no name is known when the target is chosen")
    if service.tls is TlsMode.TERMINATE:
        for at, rule in enumerate(service.rules):
            for index, target in enumerate(rule.targets):
                if not target.tls:
                    path = f"rules[{at}].targets[{index}].tls"
                    yield Problem(path, "bad_value", "with starttls mysql and tls Enabled a target needs TLS, too")


def _bad_format(problem: Problem) -> Problem:
    mandatory = not problem.path or problem.path in _MANDATORY
    return evolve(problem, code="bad_format") if mandatory and problem.code in ("missing", "wrong_type") else problem


def canonical(body: object, *, id: str) -> tuple[dict[str, Json] | None, tuple[Problem, ...]]:  # noqa: A002
    """The document as Otoroshi would store it: all defaults filled in, in its order. Problems as of :func:`decode`."""
    service, problems = decode(body, id=id)
    return (None if service is None else encode(service)), problems


def encode(service: TcpService) -> dict[str, Json]:
    """The document of ``service``, complete and in Otoroshi's order."""
    document: dict[str, Json] = {
        "_loc": {"tenant": service.location.tenant, "teams": list(service.location.teams)},
        "id": service.id,
        "name": service.name,
        "description": service.description,
        "enabled": service.enabled,
        "tls": service.tls.value,
        "sni": _sni(service.sni),
        "clientAuth": service.client_auth.value,
        "port": service.port,
        "interface": service.interface,
        "rules": [
            {"domain": rule.domain.source, "targets": [_target(target) for target in rule.targets]}
            for rule in service.rules
        ],
        "metadata": dict(service.metadata),
        "tags": list(service.tags),
    }
    if service.starttls:
        document["starttls"] = service.starttls
    if service.access.source:
        document["access"] = service.access.source
    if service.limits.source:
        document["limits"] = service.limits.source
    if service.checks.source:
        document["checks"] = service.checks.source
    return document


def _sni(sni: Sni) -> dict[str, Json]:
    document: dict[str, Json] = {
        "enabled": sni.enabled,
        "forwardIfNoMatch": sni.forward_if_no_match,
        "forwardsTo": _target(sni.forwards_to),
    }
    if sni.http_host:
        document["httpHost"] = True
    return document


def _target(target: Target) -> dict[str, Json]:
    document: dict[str, Json] = {"host": target.host, "ip": target.ip, "port": target.port, "tls": target.tls}
    ours = _tls_config(target.tls_config)
    if ours:
        document["tlsConfig"] = ours
    return document


def _tls_config(config: TlsConfig) -> dict[str, Json]:
    """What is not as it is by default."""
    document: dict[str, Json] = {}
    if not config.verify:
        document["verify"] = False
    if config.server_name:
        document["serverName"] = config.server_name
    if config.ca.source:
        document["ca"] = config.ca.source
    if config.minimum is not TlsVersion.TLS1_2:
        document["minVersion"] = next(name for name, version in _VERSIONS.items() if version is config.minimum)
    return document
