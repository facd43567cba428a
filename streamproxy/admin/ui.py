"""
The web UI, ``/ui/``: plain files, which anybody may read. What they show comes from the APIs, with the credentials of
whoever looks at them.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from attrs import frozen
from klein import Klein
from twisted.web.http import CACHED
from twisted.web.server import Request

from . import incoming
from .respond import Answer, RefusedError, answer, empty_answer, json_answer, router

PATH: Final = b"/ui/"

# A page may use what this server has and nothing else, and no page may be made of text (innerHTML and its like).
POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)

_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "LICENSE": "text/plain; charset=utf-8",
}
_FOLDER: Final = Path(__file__).with_name("static")
# What gets no smaller.
_PACKED: Final = ("woff2",)


@frozen
class Asset:
    """One file, as it is sent; ``packed`` with gzip, where that is worth it."""

    type: str
    body: bytes
    packed: bytes | None
    tag: str

    @classmethod
    def of(cls, name: str, body: bytes) -> Asset:
        suffix = name.rpartition(".")[2].rpartition("/")[2]
        packed = None if suffix in _PACKED else gzip.compress(body, mtime=0)
        return cls(_TYPES[suffix], body, packed, hashlib.sha256(body).hexdigest()[:32])


def assets() -> Mapping[str, Asset]:
    """Every file of the UI by its path below ``/ui/``."""
    return {name: Asset.of(name, found.read_bytes()) for name, found in _walk(_FOLDER, "")}


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for found in folder.iterdir():
        name = prefix + found.name
        if found.is_dir():
            yield from _walk(found, f"{name}/")
        elif found.name.rpartition(".")[2] in _TYPES:
            yield name, found


class Ui:
    """
    Everything under ``/ui/``. The files are read once: nothing that a request says ever becomes a path on disk.
    ``require_key``: does the API ask for credentials?
    """

    app: Klein = router()

    def __init__(self, require_key: bool = True) -> None:
        self._assets = assets()
        self._require_key = require_key

    @app.route("/", methods=["GET"])
    def index(self, request: Request) -> Answer:
        return self._sent(request, "index.html")

    @app.route("/config.json", methods=["GET"])
    def config(self, _request: Request) -> Answer:
        """What has to be known before anybody logged in: to try and see would be a failed login."""
        return json_answer({"credentials_required": self._require_key})

    @app.route("/<path:name>", methods=["GET"])
    def file(self, request: Request, name: str) -> Answer:
        return self._sent(request, name)

    def _sent(self, request: Request, name: str) -> Answer:
        asset = self._assets.get(name)
        if asset is None:
            raise RefusedError(404, "not_found", "there is nothing here: the web UI is at /ui/")
        packs = asset.packed is not None and _takes_gzip(request)
        body = asset.packed if packs and asset.packed is not None else asset.body
        tag = f"{asset.tag}{'-gzip' if packs else ''}"
        headers = {
            "Content-Security-Policy": POLICY,
            # It may be kept, and is asked for every time: a new version is seen at once.
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
        }
        for header, value in headers.items():
            request.setHeader(header, value)
        if request.setETag(f'"{tag}"'.encode()) is CACHED:
            return empty_answer(304)
        return answer(body, asset.type, headers={"Content-Encoding": "gzip"} if packs else {})


def _takes_gzip(request: Request) -> bool:
    offered = (incoming.header(request, "Accept-Encoding") or "").lower().split(",")
    return any(each.strip() in ("gzip", "gzip;q=1.0", "gzip;q=1") for each in offered)
