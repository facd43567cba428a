"""How APISIX's Admin API lets in and turns away, where that is not how the others do it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from attrs import evolve, frozen
from klein import Response
from twisted.web.server import Request

from streamproxy.model import AdminSettings

from . import incoming
from .apisix_answer import TEXT, VERSION, ApisixError, ApisixPage, no_such_page, refused
from .respond import RefusedError, ViewerError, answer

PATH = b"/apisix/admin"

_MAX_AGE = "3600"
_METHODS = "POST, GET, PUT, OPTIONS, DELETE, PATCH"


@frozen
class ApisixDoor:
    """Of requests under :data:`PATH`; the gate still decides who may pass."""

    settings: AdminSettings

    @staticmethod
    def covers(request: Request) -> bool:
        return bool(request.path == PATH or request.path.startswith(PATH + b"/"))

    def headers(self) -> Mapping[str, str]:
        """What every answer says. Nobody's credentials but a key in the request can be used from another site."""
        headers = {"Server": f"APISIX/{VERSION}" if self.settings.server_tokens else "APISIX"}
        if self._is_for_all_sites:
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Access-Control-Expose-Headers"] = "*"
            headers["Access-Control-Max-Age"] = _MAX_AGE
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return headers

    def unasked(self, request: Request) -> Response | None:
        """The answer to what everybody may ask: is somebody there, and may a page of another site ask?"""
        if not self.covers(request):
            return None
        if request.method == b"HEAD" and request.path in (PATH, PATH + b"/"):
            return answer(b"", TEXT)
        if request.method == b"OPTIONS" and self._is_for_all_sites:
            allowed = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Allow-Headers": "*"}
            return answer(b"", TEXT, headers=allowed)
        return None

    @staticmethod
    def offered(request: Request) -> str | None:
        """The key that came with the request: the query's before the header's before the cookie's."""
        found = _argument(request, b"api_key")
        if found is None:
            header = incoming.header(request, "X-API-KEY")
            if header is not None:
                return header
            found = request.getCookie(b"x_api_key")
        return None if found is None else found.decode("utf-8", "surrogateescape")

    def refused(self, request: Request, error: RefusedError) -> RefusedError:
        """``error`` in APISIX's words."""
        return evolve(self._worded(request, error), headers={**self.headers(), **error.headers})

    def _worded(self, request: Request, error: RefusedError) -> RefusedError:
        if isinstance(error, ViewerError):
            return _unproven("invalid method for role viewer")
        if error.code == 401:
            return _unproven("missing apikey" if self.offered(request) is None else "wrong apikey")
        if error.code == 405:
            return no_such_page()
        if error.code == 413:
            size, most = getattr(request, "size", 0), self.settings.max_body
            return refused(f"invalid request body: request size {size} is greater than the maximum size {most} allowed")
        if error.code == 403:
            return ApisixPage(403, "403 Forbidden", error.description)
        return ApisixError(error.code, error.error, error.description)

    @property
    def _is_for_all_sites(self) -> bool:
        # Where no key is asked for, every page that somebody here looks at could read everything.
        return self.settings.cors and self.settings.require_key


def _unproven(why: str) -> RefusedError:
    return refused("failed to check token", 401, description=why)


def _argument(request: Request, name: bytes) -> bytes | None:
    """The first of this name in the query, however malformed the rest of it is."""
    for part in request.uri.partition(b"?")[2].split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name:
            return unquote_to_bytes(value.replace(b"+", b" "))
    return None
