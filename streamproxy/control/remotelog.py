"""The access log, sent to a server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IConsumer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from ..model import Ended
from ..observe.logformat import Line
from ..observe.logtarget import SyslogTarget, Target
from ..plugins.batch import Batches, BatchSettings, Transmitter
from ..plugins.datagram_transmitter import DatagramTransmitter
from ..plugins.stream_transmitter import StreamTransmitter

# What waits for a server longer than these is lost, as is what is more than AccessLog keeps for a disk. Seconds.
SETTINGS: Final = BatchSettings(
    name="access log", size=1000, inactive=1.0, duration=1.0, retries=10, retry_delay=2.0, most_bytes=1_048_576
)
# Seconds for a server to answer.
PATIENCE: Final = 10.0

# So much of what a web server answers is read: a connection that is read to its end can be used again.
_MOST_ANSWER: Final = 65_536
_JSON: Final = ("json", "otoroshi")


class PostError(Exception):
    """Lines could not be posted; the text says why."""


class RemoteLog:
    """
    Sends the ``line`` of each ended session to ``target``, many at a time; ``format`` is what it is written in.
    ``now`` is seconds since the epoch. A server that does not take them delays nobody: ``lost`` counts the lines that
    there was no room for.
    """

    _log = Logger()

    def __init__(self, reactor: Any, target: Target, line: Line, format: str, now: Callable[[], float]) -> None:  # noqa: A002
        self._line = line
        self._framed: Callable[[str], bytes]
        if isinstance(target, SyslogTarget):
            syslog = target
            self._framed = lambda text: syslog.framed(text, now())
        else:
            self._framed = lambda text: text.encode("utf-8", "backslashreplace")
        self._batches = Batches(reactor, _transmitter(reactor, target, format, self._tell), SETTINGS, self._tell)

    @property
    def lost(self) -> int:
        return self._batches.dropped

    def start(self) -> None:
        """The first line opens the connection."""

    def write(self, record: Ended) -> None:
        """Log an ended session."""
        self._batches.push(self._framed(self._line(record)))

    def reopen(self) -> None:
        """Nothing was moved away."""

    def stop(self) -> None:
        """Send what waits; what its server does not take at once is lost."""
        self._batches.close()

    def _tell(self, level: str, text: str) -> None:
        self._log.emit(LogLevel.lookupByName(level), "{text}", text=text)


def _transmitter(reactor: Any, target: Target, format: str, tell: Callable[[str, str], None]) -> Transmitter:  # noqa: A002
    if not isinstance(target, SyslogTarget):
        return HttpTransmitter(Agent(reactor, connectTimeout=PATIENCE), reactor, target.url, format in _JSON)
    if target.transport == "udp":
        return DatagramTransmitter(reactor, target.host, target.port, PATIENCE, tell)
    return StreamTransmitter(reactor, target.host, target.port, PATIENCE, target.transport == "tls")


@define(eq=False)
class HttpTransmitter:
    """Posts lines to ``url`` with ``agent``: as a JSON array where they ``are_json``, else as lines of text."""

    _agent: Any
    _reactor: Any
    _url: str
    _are_json: bool

    def send(self, lines: deque[bytes]) -> Deferred[None]:
        """All of them, or fails with :class:`PostError` or what the connection failed with."""
        return Deferred.fromCoroutine(self._send(lines))

    def close(self) -> None:
        """Each request has a connection of its own."""

    async def _send(self, lines: deque[bytes]) -> None:
        body = b"[%b]" % b",".join(lines) if self._are_json else b"".join(line + b"\n" for line in lines)
        content_type = "application/json" if self._are_json else "text/plain; charset=utf-8"
        headers = Headers({"Content-Type": [content_type], "User-Agent": ["streamproxy"]})
        posting = self._agent.request(b"POST", self._url.encode("ascii"), headers, _Body(body))
        posting.addTimeout(PATIENCE, self._reactor)
        response = await posting
        if response.length is UNKNOWN_LENGTH or response.length:
            response.deliverBody(_Discard())
        if response.code // 100 != 2:
            raise PostError(f"the server answered {response.code}")
        lines.clear()


@implementer(IBodyProducer)
class _Body:
    """What is posted, at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is all written."""

    resumeProducing = stopProducing = pauseProducing


class _Discard(Protocol):
    """Reads what nobody wants to know, and not too much of it."""

    _size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > _MOST_ANSWER and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
