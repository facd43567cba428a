"""The page that Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from streamproxy.observe.metrics import Metrics, Page, is_zero
from streamproxy.observe.metrics_merge import Plain

from . import incoming

# Runs a function where it keeps nobody waiting.
Aside = Callable[[Callable[[], Page]], "Deferred[Page]"]

_SHORT = "/metrics"


class MetricsPage(Resource):
    """
    Answers at ``path`` and at ``/metrics``, and nowhere else. The numbers are read at once; making text of thousands
    of them takes a while, so ``aside`` does that. ``others`` asks further processes for theirs, which are added.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self, metrics: Metrics, path: str, aside: Aside, others: Callable[[], Deferred[list[Plain]]] | None = None
    ) -> None:
        super().__init__()
        self._others = others
        self._metrics = metrics
        self._paths = frozenset({path.encode("ascii"), _SHORT.encode("ascii")})
        self._aside = aside

    def render_GET(self, request: Request) -> bytes | int:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        if request.path not in self._paths:
            request.setResponseCode(404)
            return b"there is nothing here\n"
        accept = incoming.header(request, "Accept") or ""
        compress = _accepts_gzip(incoming.header(request, "Accept-Encoding") or "")
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            scrape = self._metrics.scrape()
        except Exception:  # noqa: BLE001 - a plugin's metrics are anybody's code
            return self._failed(request, Failure())
        if self._others is None:
            answered = self._aside(lambda: scrape.page(accept, compress=compress))
        else:
            answered = self._others().addCallback(
                lambda others: self._aside(lambda: scrape.plus(others).page(accept, compress=compress))
            )
        answered.addCallback(_send, request, compress, gone)
        answered.addErrback(self._broken, request, gone)
        return NOT_DONE_YET

    def _broken(self, failure: Failure, request: Request, gone: list[object]) -> None:
        body = self._failed(request, failure)
        if not gone:
            request.write(body)
            request.finish()

    def _failed(self, request: Request, failure: Failure) -> bytes:
        self._log.failure("the metrics could not be read", failure=failure)
        request.setResponseCode(500)
        return b"the metrics could not be read: the log says why\n"


def _send(page: Page, request: Request, compressed: bool, gone: list[object]) -> None:
    if gone:
        return
    request.setHeader("Content-Type", page.content_type)
    request.setHeader("Content-Length", str(len(page.body)))
    request.setHeader("Vary", "Accept, Accept-Encoding")
    if compressed:
        request.setHeader("Content-Encoding", "gzip")
    request.write(page.body)
    request.finish()


def _accepts_gzip(value: str) -> bool:
    for item in value.split(","):
        coding, *parameters = (part.strip().lower() for part in item.split(";"))
        if coding == "gzip":
            return not any(is_zero(parameter) for parameter in parameters)
    return False
