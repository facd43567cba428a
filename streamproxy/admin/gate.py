"""The one door of the Admin API: nothing reaches a handler that was not let in here."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import cast

from attrs import define, field
from klein import Response
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from streamproxy.model import AdminSettings, Role

from . import incoming
from .apisix_door import ApisixDoor
from .auth import HOW_TO, Credentials, Identity, allowed, is_cross_site, names_us, split_host
from .incoming import Caller
from .respond import SECURITY_HEADERS, RefusedError, ViewerError, refusal
from .terms import TERMS, Terms, terms_of
from .ui import PATH as UI

# These tell nothing that a caller of the proxy could not find out.
PUBLIC_PATHS = frozenset({b"/", b"/ui", b"/streamproxy/v1/status", b"/streamproxy/v1/live", b"/streamproxy/v1/ready"})

# What is sent there is a question, and changes nothing.
QUESTIONS = frozenset({b"/streamproxy/v1/explain", b"/streamproxy/v1/convert"})

_READING = (b"GET", b"HEAD")
_METHODS = (*_READING, b"POST", b"PUT", b"PATCH", b"DELETE")
# Somebody who tries keys must not be able to fill the disk with lines about it. Seconds.
_QUIET = 60.0

_log = Logger()


@define
class FailedLogins:
    """Counts them, and tells the log at most once a minute."""

    _clock: Callable[[], float]
    count: int = 0
    _told: float | None = field(default=None, init=False)

    def add(self, peer: str) -> None:
        self.count += 1
        now = self._clock()
        if self._told is None or now - self._told >= _QUIET:
            self._told = now
            _log.warn(
                "failed login to the admin API from {peer} ({count} since the start)", peer=peer, count=self.count
            )


class Gate(Resource):
    """
    Decides whether a request may go on to ``inner``: the caller's address, the ``Host`` it asked for, cross-site
    writes, credentials, role, and the size of the body, in this order. Writes a line to the log for every write. Under
    APISIX's path it asks and answers as APISIX does.
    """

    isLeaf = True

    def __init__(self, inner: IResource, settings: AdminSettings, clock: Callable[[], float]) -> None:
        super().__init__()
        self._inner = inner
        self._settings = settings
        self._credentials = Credentials(settings.keys, settings.clients)
        self._apisix = ApisixDoor(settings)
        self.failed_logins = FailedLogins(clock)

    def render(self, request: Request) -> bytes | int:
        headers = {**SECURITY_HEADERS, **(self._apisix.headers() if self._apisix.covers(request) else {})}
        for name, value in headers.items():
            request.setHeader(name, value)
        try:
            self._check_address(request)
            unasked = self._apisix.unasked(request)
            if unasked is not None:
                return _send(request, unasked)
            request.setComponent(Caller, self._admitted(request))
            self._fit(request)
            terms = Terms() if request.method in _READING else terms_of(request)
        except RefusedError as error:
            return _send(request, refusal(self._worded(request, error)))
        # The host was for the checks above; nothing further in may be led astray by it.
        request.requestHeaders.setRawHeaders(b"Host", [b"localhost"])
        if not _is_read(request):
            request.notifyFinish().addBoth(_audit, request, incoming.caller(request), incoming.path(request))
        context = copy_context()
        context.run(TERMS.set, terms)
        return cast("bytes | int", context.run(self._inner.render, request))

    def wants_body(self, request: Request) -> bool:
        """Is there a caller behind the headers of ``request`` for whom its body is worth keeping?"""
        return allowed(_peer(request), self._settings.allow) and self._identity(request) is not None

    def too_large(self, request: Request) -> RefusedError:
        """What to answer before the body has come, because it is too much for this caller."""
        return self._worded(request, self._too_large(request))

    def _too_large(self, request: Request) -> RefusedError:
        peer = _peer(request)
        if not allowed(peer, self._settings.allow):
            return _from_elsewhere(peer)
        if self._identity(request) is not None:
            return _too_large(self._settings.max_body)
        self.failed_logins.add(peer)
        return _unauthorized(request)

    def _worded(self, request: Request, error: RefusedError) -> RefusedError:
        return self._apisix.refused(request, error) if self._apisix.covers(request) else error

    def _identity(self, request: Request) -> Identity | None:
        key = self._apisix.offered(request) if self._apisix.covers(request) else None
        identity = self._credentials.identify(request.requestHeaders, key)
        if self._settings.require_key:
            return identity
        return Identity("anonymous" if identity is None else identity.name, Role.ADMIN)

    def _check_address(self, request: Request) -> None:
        peer = _peer(request)
        if not allowed(peer, self._settings.allow):
            raise _from_elsewhere(peer)
        self._check_host(request)

    def _admitted(self, request: Request) -> Caller:
        peer = _peer(request)
        if request.method not in _READING and is_cross_site(request.requestHeaders, incoming.header(request, "Host")):
            raise RefusedError(403, "forbidden", "a page of another site may not change anything here")
        identity = self._identity(request)
        if identity is None:
            if request.method in _READING and _is_public(request.path):
                return Caller("", Role.VIEWER, peer)
            self.failed_logins.add(peer)
            raise _unauthorized(request)
        self._check_method(request, identity, peer)
        return Caller(identity.name, identity.role, peer)

    def _check_host(self, request: Request) -> None:
        value = incoming.header(request, "Host")
        if value is not None:
            host = split_host(value)
            if host is None:
                raise RefusedError(400, "bad_request", "the Host header is malformed")
            if not names_us(host[0], self._settings.listen.host):
                raise RefusedError(403, "forbidden", "this API listens on loopback: ask for localhost or an address")

    @staticmethod
    def _check_method(request: Request, identity: Identity, peer: str) -> None:
        if request.method not in _METHODS:
            allow = b", ".join(_METHODS).decode()
            raise RefusedError(405, "method_not_allowed", f"only {allow} here", headers={"Allow": allow})
        if identity.role is Role.VIEWER and not _is_read(request):
            _log.info(
                "audit: {author} from {peer} may not {method} {path}",
                author=identity.name,
                peer=peer,
                method=request.method.decode(),
                path=incoming.path(request),
            )
            raise ViewerError(403, "forbidden", "You're not allowed to do this !")

    def _fit(self, request: Request) -> None:
        if getattr(request, "too_large", False):
            raise _too_large(self._settings.max_body)
        try:
            b"/".join(request.postpath or ()).decode()
        except UnicodeDecodeError:
            raise RefusedError(400, "bad_request", "the path is not UTF-8") from None


def _is_public(path: bytes) -> bool:
    # The files of the UI are the same for everybody; what they show is asked for like anything else.
    return path in PUBLIC_PATHS or path.startswith(UI)


def _is_read(request: Request) -> bool:
    """Does it only ask? What is asked may be too much for a path."""
    return request.method in _READING or (request.method == b"POST" and request.path in QUESTIONS)


def _peer(request: Request) -> str:
    """The caller's IP address; empty where it has none (a UNIX socket)."""
    return str(getattr(request.getClientAddress(), "host", ""))


def _from_elsewhere(peer: str) -> RefusedError:
    return RefusedError(403, "forbidden", f"{peer} is not among the addresses that may call this API")


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, "too_large", f"a body may have {most} bytes")


def _unauthorized(request: Request) -> RefusedError:
    # A browser asks its user for a password where it is sent this, which nobody wants from a script's request.
    from_script = incoming.header(request, "Sec-Fetch-Mode") not in (None, "navigate")
    challenge = {} if from_script else {"WWW-Authenticate": 'Basic realm="streamproxy", charset="UTF-8"'}
    return RefusedError(401, "unauthorized", f"no or wrong credentials: {HOW_TO}", headers=challenge)


def _send(request: Request, response: Response) -> bytes:
    request.setResponseCode(response.code)
    for name, value in response.headers.items():
        request.setHeader(name, value)
    return cast("bytes", response.body)


def _audit(result: Failure | None, request: Request, caller: Caller, path: str) -> None:
    outcome = "left before the answer" if isinstance(result, Failure) else request.code
    _log.info(
        "audit: {author} from {peer}: {method} {path}: {outcome}",
        author=caller.name,
        peer=caller.peer,
        method=request.method.decode(),
        path=path,
        outcome=outcome,
    )
