"""What a service may say that is not served yet. It is refused rather than served as something else."""

from __future__ import annotations

from collections.abc import Iterator

from streamproxy.errors import Problem
from streamproxy.model import TlsMode

from .service import TcpService


def unserved(service: TcpService) -> Iterator[Problem]:
    """Where it stands and what to do. A service that is not enabled may say anything: nothing is served for it."""
    if not service.enabled:
        return
    if service.tls is TlsMode.TERMINATE:
        yield Problem("tls", "unsupported", "terminating TLS is not served yet: use PassThrough, or disable it")
    for number, rule in enumerate(service.rules):
        for place, target in enumerate(rule.targets):
            if target.tls:
                yield _target_tls(f"rules[{number}].targets[{place}].tls")
    if service.sni.forward_if_no_match and service.sni.forwards_to.tls:
        yield _target_tls("sni.forwardsTo.tls")


def _target_tls(path: str) -> Problem:
    return Problem(path, "unsupported", "TLS to a target is not served yet: pass the client's own TLS through instead")
