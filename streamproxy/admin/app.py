"""The Admin API, composed: every dialect's part of it behind one gate."""

from __future__ import annotations

from collections.abc import Callable

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request

from streamproxy import __version__
from streamproxy.interfaces import Configuration, Runtime
from streamproxy.model import AdminSettings

from . import incoming
from .gate import Gate
from .native import NativeApi
from .otoroshi import OtoroshiApi
from .otoroshi_certificates import Certificates
from .otoroshi_generic import GenericApi
from .respond import Answer, answer, json_answer, router
from .site import REQUEST_TIMEOUT, AdminSite
from .tcp_services import TcpServices
from .writer import Writer

_LINKS = {
    "/api/tcp/services": "Otoroshi's TCP services",
    "/api/certificates": "the certificates that are served, as Otoroshi shows them",
    "/apis/proxy.otoroshi.io/v1/tcp-services": "the same through Otoroshi's generic API",
    "/streamproxy/v1/status": "version, revision, counts; needs no credentials",
    "/streamproxy/v1/live": "does the process answer? Needs no credentials",
    "/streamproxy/v1/ready": "is the configuration in force? Needs no credentials",
    "/streamproxy/v1/listeners": "what listens where, and what does not and why",
    "/streamproxy/v1/certificates": "the certificates that are served; /for?name=... says which one a client gets",
    "/streamproxy/v1/problems": "what is wrong with the configuration",
    "/streamproxy/v1/sessions/recent": "how the last sessions ended",
}


class AdminApp:
    """
    ``uuid`` makes ids, ``clock`` gives seconds since the epoch, ``ready`` says whether the configuration has been
    applied once. ``env_prod`` is whether Otoroshi's ids are spelled as in production (``tcp-service_...``) or
    (``tcp-service_dev_...``) as in its development mode.
    """

    app: Klein = router()

    def __init__(
        self,
        configuration: Configuration,
        runtime: Runtime,
        settings: AdminSettings,
        *,
        uuid: Callable[[], str],
        clock: Callable[[], float],
        ready: Callable[[], bool] = lambda: True,
        env_prod: bool = True,
    ) -> None:
        self._settings = settings
        writer = Writer(configuration)
        services = [
            TcpServices(configuration, writer, uuid, clock, env_prod=env_prod, dated=dated) for dated in (False, True)
        ]
        self._api = OtoroshiApi(services[0], Certificates(runtime, clock))
        self._generic = GenericApi(services[1])
        self._native = NativeApi(configuration, runtime, clock, ready, lambda: self.failed_logins)
        self._gate = Gate(self.app.resource(), settings, clock)

    @property
    def failed_logins(self) -> int:
        """How many callers were turned away for their credentials."""
        return self._gate.failed_logins.count

    def resource(self) -> IResource:
        """The whole API, for a site of your own (which then has to bound the bodies)."""
        return self._gate

    def site(self, reactor: IReactorTime, *, timeout: float = REQUEST_TIMEOUT) -> AdminSite:
        """The whole API as a factory to listen with. ``timeout`` is for one request to arrive, in seconds."""
        return AdminSite(
            self._gate,
            reactor,
            max_body=self._settings.max_body,
            wants_body=self._gate.wants_body,
            too_large=self._gate.too_large,
            timeout=timeout,
        )

    @app.route("/", methods=["GET"])
    def index(self, request: Request) -> Answer:
        if "text/html" not in incoming.accepted(request):
            return json_answer({"name": "streamproxy", "version": __version__, "links": _LINKS})
        items = "".join(f'<li><a href="{path}">{path}</a>: {what}</li>' for path, what in _LINKS.items())
        page = f'<!doctype html><html lang="en"><title>streamproxy</title><h1>streamproxy</h1><ul>{items}</ul></html>'
        return answer(page.encode(), "text/html; charset=utf-8")

    @app.route("/api/", branch=True)
    def api(self, _request: IRequest) -> IResource:
        return self._api.app.resource()

    @app.route("/apis/", branch=True)
    def generic(self, _request: IRequest) -> IResource:
        return self._generic.app.resource()

    @app.route("/streamproxy/v1/", branch=True)
    def native(self, _request: IRequest) -> IResource:
        return self._native.app.resource()
