"""
Twisted's web server with bounds on what a caller can make it hold: bytes of a body, seconds, connections.

Without them it keeps whatever is sent, for as long as a byte arrives now and then.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from .respond import SECURITY_HEADERS, RefusedError

# A request has to be here this many seconds after its first byte, and a connection may idle as long.
REQUEST_TIMEOUT = 60
# An answer has to be taken this many seconds after its connection should have closed.
CLOSE_TIMEOUT = 15.0
# Far more than people and programs that administrate need, and few enough not to starve what is proxied.
MOST_CONNECTIONS = 256
# So much of a body that will not be kept is read all the same, because most clients read no answer before they have
# sent everything.
MOST_DISCARDED = 4 * 1024 * 1024


class AdminRequest(Request):
    """Keeps no more of its body than the site says. ``size`` is how many bytes it has, as far as that is known."""

    too_large = False
    size = 0
    _limit = 0
    _received = 0
    _closed = False
    channel: AdminChannel
    content: io.BytesIO

    def gotLength(self, length: int | None) -> None:
        self.content = io.BytesIO()
        # Nothing of the first line is here yet, though what is asked for may decide about the body.
        self.method, self.uri = self.channel.method, self.channel.target
        self.path = self.uri.partition(b"?")[0]
        self.size = length or 0
        self._limit = self.channel.site.body_limit(self)
        if length is None or length <= self._limit:
            return
        self.too_large = True
        # Who asks before sending the body gets the answer at once, and who announces that much should not send it.
        if self.requestHeaders.hasHeader(b"Expect") or length > self._limit + MOST_DISCARDED:
            self.requestHeaders.removeHeader(b"Expect")
            self._close()

    def handleContentChunk(self, data: bytes) -> None:
        self._received += len(data)
        self.size = max(self.size, self._received)
        if self._received <= self._limit:
            self.content.write(data)
            return
        self.too_large = True
        self.content = io.BytesIO()
        if self._received > self._limit + MOST_DISCARDED:
            self._close()

    def process(self) -> None:
        if not self._closed:
            super().process()

    def _close(self) -> None:
        """Answer in the middle of the request, and hear no more of it."""
        if self._closed:
            return
        self._closed = True
        self.channel.answer_and_close(self.channel.site.too_large(self))


class AdminChannel(HTTPChannel):
    """One connection. A request has to arrive in time as a whole, and an answer has to be taken in time."""

    site: AdminSite
    transport: ITCPTransport
    callLater: Callable[..., IDelayedCall]
    _closing: IDelayedCall | None = None
    _answered = 0

    @property
    def is_writing(self) -> bool:
        """May it be about to change something? So may everybody who has not said yet what he wants."""
        if not self.requests:
            return not self._answered
        return any(request.method not in (b"GET", b"HEAD") for request in self.requests)

    def hush(self) -> None:
        """Answer what is being asked, and no more than that."""
        if self.requests:
            self.persistent = False
        elif self._answered:
            self.loseConnection()

    @property
    def method(self) -> bytes:
        """Of the request whose headers have come."""
        return self._command

    @property
    def target(self) -> bytes:
        """Its path and query."""
        return self._path

    def connectionMade(self) -> None:
        self.site.connections += 1
        self.site.channels.add(self)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        # Not HTTPChannel's: there each byte buys the caller another minute.
        LineReceiver.dataReceived(self, data)

    def lineReceived(self, line: bytes) -> None:
        if not self.requests:
            self.resetTimeout()
        super().lineReceived(line)

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        return super().checkPersistence(request, version) and not self.site.hushed

    def requestDone(self, request: Request) -> None:
        self._answered += 1
        super().requestDone(request)
        self.site.settle()

    def answer_and_close(self, refused: RefusedError) -> None:
        body, content_type = refused.content()
        headers = {
            **SECURITY_HEADERS,
            **refused.headers,
            "Connection": "close",
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
        }
        lines = [f"HTTP/1.1 {refused.code} {RESPONSES[refused.code].decode()}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.loseConnection()

    def loseConnection(self) -> None:
        if self._closing is None:
            self._closing = self.callLater(CLOSE_TIMEOUT, self.transport.abortConnection)
            super().loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connections -= 1
        self.site.channels.discard(self)
        self.site.settle()
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)


class AdminSite(Site):
    """
    ``wants_body`` says, of a request of which only the headers are known, whether its body will be looked at;
    ``too_large`` how to answer one whose body is too much. ``max_body`` is in bytes.
    """

    protocol: Any = AdminChannel
    requestFactory = AdminRequest
    displayTracebacks = False
    noisy = False

    def __init__(
        self,
        resource: IResource,
        reactor: IReactorTime,
        *,
        max_body: int,
        wants_body: Callable[[Request], bool],
        too_large: Callable[[Request], RefusedError],
        timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        super().__init__(resource, timeout=timeout, reactor=reactor, parsePOSTFormSubmission=False)
        self.connections = 0
        self.channels: set[AdminChannel] = set()
        self.hushed = False
        self._settled: list[Deferred[None]] = []
        self.too_large = too_large
        self._max_body = max_body
        self._wants_body = wants_body

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return None if self.connections >= MOST_CONNECTIONS else super().buildProtocol(addr)

    def body_limit(self, request: Request) -> int:
        """How many bytes of the body are kept: none of a stranger's."""
        return self._max_body if self._wants_body(request) else 0

    def hush(self) -> Deferred[None]:
        """Let what is being written be finished, and hear nobody after that: the Deferred fires when it is so."""
        self.hushed = True
        for channel in tuple(self.channels):
            channel.hush()
        settled: Deferred[None] = Deferred()
        self._settled.append(settled)
        self.settle()
        return settled

    def stir(self) -> None:
        """Undo it."""
        self.hushed = False
        self._settled.clear()

    def settle(self) -> None:
        """Tell whoever waits for it that nobody writes, if so."""
        if self._settled and not any(channel.is_writing for channel in self.channels):
            settled, self._settled = self._settled, []
            for each in settled:
                each.callback(None)

    def log(self, request: object) -> None:
        """No access log: writes are audited, and reads of a page that refreshes itself would bury them."""

    def startFactory(self) -> None:
        """Twisted's opens the access log and wakes up each second to format the time for it."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def acceptableProtocols(self) -> list[bytes]:
        # Twisted's would offer HTTP/2 where that is installed, which knows none of these bounds.
        return [b"http/1.1"]
