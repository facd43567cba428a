"""The Admin API, composed: every dialect's part of it behind one gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from klein import Klein
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.server import Request

from streamproxy import __version__
from streamproxy.dialects.apisix import Vault
from streamproxy.interfaces import Configuration, Runtime
from streamproxy.model import AdminSettings
from streamproxy.plugins.seam import Plugin

from . import incoming
from .apisix import ApisixApi
from .apisix_openapi import apisix_paths
from .apisix_resource import Resources
from .auth import is_loopback
from .gate import Gate
from .native import NativeApi
from .native_access import AccessApi
from .native_explain import ExplainApi
from .native_listeners import ListenersApi
from .native_openapi import PREFIX, OpenApi, Part
from .native_revisions import RevisionsApi
from .native_sessions import SessionsApi
from .otoroshi import OtoroshiApi
from .otoroshi_certificates import Certificates
from .otoroshi_generic import GenericApi
from .respond import Answer, answer, json_answer, router
from .site import REQUEST_TIMEOUT, AdminSite
from .tcp_services import TcpServices
from .ui import Ui
from .writer import Writer

_LINKS = {
    "/ui/": "the web UI, for people",
    "/api/tcp/services": "Otoroshi's TCP services",
    "/api/certificates": "the certificates that are served, as Otoroshi shows them",
    "/apis/proxy.otoroshi.io/v1/tcp-services": "the same through Otoroshi's generic API",
    "/apisix/admin/stream_routes": "APISIX's stream routes",
    "/apisix/admin/upstreams": "APISIX's upstreams; beside them services, ssls, plugin_metadata",
    "/apisix/admin/plugins/list": "the plugins that stream routes may use",
    "/streamproxy/v1/status": "version, revision, counts; needs no credentials",
    "/streamproxy/v1/live": "does the process answer? Needs no credentials",
    "/streamproxy/v1/ready": "is the configuration in force? Needs no credentials",
    "/streamproxy/v1/listeners": "what listens where, and what does not and why; POST opens a listener",
    "/streamproxy/v1/certificates": "the certificates that are served; /for?name=... says which one a client gets",
    "/streamproxy/v1/problems": "what is wrong with the configuration",
    "/streamproxy/v1/sessions": "the live sessions and the last that ended; each can say why it went where it did",
    "/streamproxy/v1/revisions": "every write: by whom, when and why; what it changed, and the way back",
    "/streamproxy/v1/openapi.json": "this API, described",
}

PARTS = (
    Part(PREFIX, NativeApi),
    Part(PREFIX, AccessApi),
    Part(f"{PREFIX}/listeners", ListenersApi),
    Part(f"{PREFIX}/sessions", SessionsApi),
    Part(f"{PREFIX}/revisions", RevisionsApi),
    Part(f"{PREFIX}/explain", ExplainApi),
)
"""Our own API, as it is put together here."""

_log = Logger()


class AdminApp:
    """
    ``uuid`` makes ids, ``clock`` gives seconds since the epoch, ``ready`` says whether the configuration has been
    applied once. ``env_prod`` is whether Otoroshi's ids are spelled as in production (``tcp-service_...``) or
    (``tcp-service_dev_...``) as in its development mode. ``plugins`` gives those that APISIX's stream routes may
    use, ``vault`` what secrets in documents are read with. Without ``stream_enabled`` APISIX's API has no stream
    routes; ``is_standalone``: it is written to as a whole, through ``/configs``. ``call_later`` is a reactor's, for the
    heartbeat of event streams.
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
        plugins: Callable[[], Mapping[str, Plugin]] = dict,
        vault: Callable[[], Vault] = Vault,
        stream_enabled: bool = True,
        is_standalone: bool = False,
        call_later: Callable[..., IDelayedCall] | None = None,
    ) -> None:
        self._settings = settings
        _warn(settings)
        writer = Writer(configuration, lambda: {name: plugin.encrypted for name, plugin in plugins().items()})
        self._apisix = ApisixApi(
            Resources(configuration, writer, plugins, vault, clock),
            version=settings.api_version,
            stream_enabled=stream_enabled,
            is_standalone=is_standalone,
        )
        services = [
            TcpServices(configuration, writer, uuid, clock, env_prod=env_prod, dated=dated) for dated in (False, True)
        ]
        self._api = OtoroshiApi(services[0], Certificates(runtime, clock))
        self._generic = GenericApi(services[1])
        self._listeners = ListenersApi(configuration, runtime, writer, uuid)
        self._native = NativeApi(configuration, runtime, clock, ready, lambda: self.failed_logins)
        self._access = AccessApi(settings)
        self._ui = Ui(settings.require_key)
        self._sessions = SessionsApi(runtime, call_later)
        self._explain = ExplainApi(runtime)
        self._revisions = RevisionsApi(configuration, writer, writer.encrypted)
        self._openapi = OpenApi(PARTS, apisix_paths())
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
        return _to_the_ui()

    @app.route("/ui", methods=["GET"])
    def ui_without_slash(self, _request: Request) -> Answer:
        return _to_the_ui()

    @app.route("/ui/", branch=True)
    def ui(self, request: Request) -> IResource:
        # What is left of the path is nothing, which is no path to Klein.
        request.postpath = request.postpath or [b""]
        return self._ui.app.resource()

    @app.route("/streamproxy/v1/me", branch=True)
    @app.route("/streamproxy/v1/access", branch=True)
    @app.route("/streamproxy/v1/convert", branch=True)
    def access(self, request: Request) -> IResource:
        request.postpath = [request.path.rpartition(b"/")[2]]
        return self._access.app.resource()

    @app.route("/api/", branch=True)
    def api(self, _request: IRequest) -> IResource:
        return self._api.app.resource()

    @app.route("/apis/", branch=True)
    def generic(self, _request: IRequest) -> IResource:
        return self._generic.app.resource()

    @app.route("/streamproxy/v1/listeners", branch=True)
    def listeners(self, request: Request) -> IResource:
        # What is left of the path is nothing, which is no path to Klein.
        request.postpath = request.postpath or [b""]
        return self._listeners.app.resource()

    @app.route("/streamproxy/v1/sessions", branch=True)
    def sessions(self, request: Request) -> IResource:
        request.postpath = request.postpath or [b""]
        return self._sessions.app.resource()

    @app.route("/streamproxy/v1/revisions", branch=True)
    def revisions(self, request: Request) -> IResource:
        request.postpath = request.postpath or [b""]
        return self._revisions.app.resource()

    @app.route("/streamproxy/v1/explain", branch=True)
    def explain(self, request: Request) -> IResource:
        request.postpath = request.postpath or [b""]
        return self._explain.app.resource()

    @app.route("/streamproxy/v1/openapi.json", branch=True)
    def openapi(self, request: Request) -> IResource:
        request.postpath = [b"openapi.json", *(request.postpath or ())]
        return self._openapi.app.resource()

    @app.route("/apisix/", branch=True)
    def apisix(self, _request: IRequest) -> IResource:
        return self._apisix.app.resource()

    @app.route("/streamproxy/v1/", branch=True)
    def native(self, _request: IRequest) -> IResource:
        return self._native.app.resource()


def _to_the_ui() -> Answer:
    # Relative: whoever stands in front of this may have put it somewhere else.
    return answer(b"", "text/plain; charset=utf-8", 303, {"Location": "ui/"})


def _warn(settings: AdminSettings) -> None:
    if settings.require_key:
        return
    _log.warn("Admin key is bypassed! Whoever reaches {listen} may change everything", listen=str(settings.listen))
    if not is_loopback(settings.listen.host):
        _log.critical(
            "{listen} IS OPEN TO THE NETWORK and asks nobody for a key: set admin_key_required to true, or listen on"
            " loopback",
            listen=str(settings.listen),
        )
