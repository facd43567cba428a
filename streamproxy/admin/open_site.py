"""Sites that anybody who can reach them may read: metrics, APISIX's Control API, its status server."""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import IReactorTime
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from . import incoming
from .auth import is_cross_site, names_us, split_host
from .respond import SECURITY_HEADERS, RefusedError, to_json
from .site import AdminSite

_READING = (b"GET", b"HEAD")


class OpenDoor(Resource):
    """
    Lets no page of another site in: behind loopback only names of this machine are answered (``listen_host`` is where
    the site listens), and nothing but reading may come from elsewhere.
    """

    isLeaf = True

    def __init__(self, inner: IResource, listen_host: str) -> None:
        super().__init__()
        self._inner = inner
        self._listen_host = listen_host

    def render(self, request: Request) -> bytes | int:
        for name, value in SECURITY_HEADERS.items():
            request.setHeader(name, value)
        try:
            self._check(request)
            return cast("bytes | int", self._inner.render(request))
        except UnsupportedMethod as error:
            # Twisted's own answer is a page of HTML.
            allowed = b", ".join(sorted(error.allowedMethods)).decode()
            request.setHeader("Allow", allowed)
            return _refuse(request, 405, f"only {allowed} here")
        except RefusedError as error:
            return _refuse(request, error.code, error.description)

    def _check(self, request: Request) -> None:
        if getattr(request, "too_large", False):
            raise _too_large(request)
        value = incoming.header(request, "Host")
        if value is not None:
            host = split_host(value)
            if host is None:
                raise RefusedError(400, "bad_request", "the Host header is malformed")
            if not names_us(host[0], self._listen_host):
                raise RefusedError(403, "forbidden", "this listens on loopback: ask for localhost or an address")
        if request.method not in _READING and is_cross_site(request.requestHeaders, value):
            raise RefusedError(403, "forbidden", "a page of another site may not change anything here")


def _refuse(request: Request, code: int, why: str) -> bytes:
    request.setResponseCode(code)
    request.setHeader("Content-Type", "application/json")
    return to_json({"error_msg": why})


def open_site(resource: IResource, reactor: IReactorTime, listen_host: str) -> AdminSite:
    """``resource`` as a factory to listen with at ``listen_host``. It is not sent any body."""
    return AdminSite(
        OpenDoor(resource, listen_host), reactor, max_body=0, wants_body=lambda _: False, too_large=_too_large
    )


def _too_large(_: Request) -> RefusedError:
    return RefusedError(413, "too_large", "no body is wanted here")
