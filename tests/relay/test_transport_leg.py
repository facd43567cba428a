"""The factory on Twisted's own endpoints and transports, over a running reactor."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from twisted.internet import endpoints, reactor, ssl
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from streamproxy.embed import Embedded, stream_proxy
from streamproxy.errors import InvalidConfiguration
from streamproxy.model import Ended, Ending, Limits
from streamproxy.relay import transport_leg
from streamproxy.relay.transport_leg import TransportLeg

from .loop import Loop


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """One end that the test plays."""

    def __init__(self) -> None:
        self.answers_after_the_end = False
        self.got = bytearray()
        self.wanted: list[tuple[int, Deferred[bytes]]] = []
        self.made: Deferred[Peer] = Deferred()
        self.read_ended: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(self)

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        for entry in tuple(self.wanted):
            if len(self.got) >= entry[0]:
                self.wanted.remove(entry)
                entry[1].callback(bytes(self.got))

    def read(self, size: int) -> Deferred[bytes]:
        done: Deferred[bytes] = Deferred()
        if len(self.got) >= size:
            done.callback(bytes(self.got))
        else:
            self.wanted.append((size, done))
        return done

    def readConnectionLost(self) -> None:
        if not self.read_ended.called:
            self.read_ended.callback(None)
        if not self.answers_after_the_end and self.transport is not None:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class Targets(ServerFactory):
    """A server that hands its connections to the test."""

    noisy = False

    def __init__(self) -> None:
        self.next: Deferred[Peer] = Deferred()

    def buildProtocol(self, addr: Any) -> Protocol:
        peer = Peer()
        peer.made.addCallback(self.next.callback)
        return peer


class Only(Factory):
    """One connection, for this protocol."""

    noisy = False

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def buildProtocol(self, addr: Any) -> Protocol:
        return self._peer


class EndpointTests(TestCase):
    timeout = 20

    @inlineCallbacks
    def start(self, listen: Any, connect: Any, **options: Any) -> Any:
        """A target, a proxy to it on the endpoint ``listen``, and a client through ``connect(port)``."""
        targets = Targets()
        server = yield endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(targets)
        self.addCleanup(server.stopListening)
        self.proxy: Embedded = stream_proxy(reactor, f"127.0.0.1:{server.getHost().port}", **options)
        port = yield listen.listen(self.proxy)
        self.addCleanup(port.stopListening)
        self.addCleanup(self.all_ended)
        client = Peer()
        yield connect(port).connect(Only(client))
        target = yield targets.next
        return client, target

    @inlineCallbacks
    def all_ended(self) -> Any:
        while len(self.proxy.engine.table):
            yield deferLater(reactor, 0.01)

    def ended(self) -> Deferred[Ended]:
        done: Deferred[Ended] = Deferred()
        for record in self.proxy.recent:
            done.callback(record)
            return done

        def tell(record: Ended) -> None:
            if not done.called:
                done.callback(record)

        self.proxy.engine.table.observe(tell)
        return done

    def tcp(self, **options: Any) -> Deferred[Any]:
        listen = endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        return self.start(
            listen,
            lambda port: endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port),
            **options,
        )

    @inlineCallbacks
    def test_a_tcp_endpoint(self) -> Any:
        client, target = yield self.tcp()
        target.answers_after_the_end = True
        client.transport.write(b"hello")
        self.assertEqual((yield target.read(5)), b"hello")
        client.transport.loseWriteConnection()
        yield target.read_ended
        target.transport.write(b"an answer after the end")
        self.assertEqual((yield client.read(23)), b"an answer after the end")
        target.transport.loseConnection()
        yield client.gone
        record = yield self.ended()
        self.assertEqual(record.ending, Ending.CLIENT_CLOSED)
        self.assertEqual((record.bytes_in, record.bytes_out), (5, 23))

    @inlineCallbacks
    def unix(self, **options: Any) -> Any:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, "s")  # noqa: PTH118
        both = yield self.start(
            endpoints.UNIXServerEndpoint(reactor, path),
            lambda port: endpoints.UNIXClientEndpoint(reactor, path),
            **options,
        )
        return both

    @inlineCallbacks
    def test_a_unix_endpoint_in_bulk_both_ways(self) -> Any:
        client, target = yield self.unix()
        data = os.urandom(3_000_000)
        client.transport.write(data)
        target.transport.write(data[::-1])
        self.assertEqual((yield target.read(len(data))), data)
        self.assertEqual((yield client.read(len(data))), data[::-1])
        target.transport.loseConnection()
        yield client.gone
        self.assertEqual((yield self.ended()).ending, Ending.TARGET_CLOSED)

    @inlineCallbacks
    def test_a_unix_client_that_is_slow_pauses_the_target(self) -> Any:
        client, target = yield self.unix()
        client.transport.pauseProducing()
        data = bytes(8_000_000)
        target.transport.write(data)
        yield self.stuck()
        self.assertLess(self.moved(), len(data), "the proxy took all that the client has not read")
        client.transport.resumeProducing()
        yield client.read(len(data))
        client.transport.loseConnection()
        yield target.gone

    def moved(self) -> int:
        (session,) = self.proxy.engine.table
        return session._pump.moved  # type: ignore[attr-defined, no-any-return]

    @inlineCallbacks
    def stuck(self) -> Any:
        """Wait until nothing moves any more."""
        last = -1
        while self.moved() != last:
            last = self.moved()
            yield deferLater(reactor, 0.2)

    @inlineCallbacks
    def test_a_reset_of_the_target_aborts_a_unix_client(self) -> Any:
        client, target = yield self.unix()
        target.transport.abortConnection()
        yield client.gone
        self.assertEqual((yield self.ended()).ending, Ending.TARGET_RESET)

    @inlineCallbacks
    def test_twisteds_tls_in_front(self) -> Any:
        certificate = self_signed()
        listen = endpoints.SSL4ServerEndpoint(reactor, 0, certificate.options(), interface="127.0.0.1")
        trust = ssl.Certificate.loadPEM(certificate.dumpPEM().split(b"-----BEGIN PRIV")[0])
        client, target = yield self.start(
            listen,
            lambda port: endpoints.wrapClientTLS(
                ssl.optionsForClientTLS("localhost", trustRoot=trust),
                endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port),
            ),
        )
        data = os.urandom(500_000)
        client.transport.write(data)
        self.assertEqual((yield target.read(len(data))), data)
        target.transport.write(b"secret")
        self.assertEqual((yield client.read(6)), b"secret")
        target.transport.loseConnection()
        yield client.gone
        self.assertEqual((yield self.ended()).ending, Ending.TARGET_CLOSED)

    @inlineCallbacks
    def test_a_cap_refuses_before_there_is_a_transport(self) -> Any:
        client, target = yield self.tcp(limits=Limits(max_sessions=1))
        second: Any = Peer()
        port = client.transport.getPeer().port
        yield endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(Only(second))
        yield second.gone
        self.assertEqual(self.proxy.ended(), (("refused:max_sessions", 1),))
        client.transport.loseConnection()
        yield target.gone

    @inlineCallbacks
    def test_it_can_be_told_something_else_live(self) -> Any:
        client, target = yield self.tcp()
        other = Targets()
        server = yield endpoints.TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(other)
        self.addCleanup(server.stopListening)
        self.proxy.use([f"127.0.0.1:{server.getHost().port}"])
        second: Any = Peer()
        port = client.transport.getPeer().port
        yield endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(Only(second))
        new = yield other.next
        for peer in (client, second):
            peer.transport.loseConnection()
        yield target.gone
        yield new.gone


def self_signed() -> ssl.PrivateCertificate:
    """A certificate for localhost."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    loaded: ssl.PrivateCertificate = ssl.PrivateCertificate.loadPEM(pem)
    return loaded


class Heard:
    def __init__(self) -> None:
        self.log: list[object] = []

    def received(self, data: bytes) -> None:
        self.log.append(data)

    def ended(self) -> None:
        self.log.append("ended")

    def drained(self) -> None:
        self.log.append("drained")

    def lost(self, why: str, *, reset: bool) -> None:
        self.log.append(("lost", reset))


class LegTests(SynchronousTestCase):
    """What no endpoint does at the moment a test would like."""

    def setUp(self) -> None:
        self.loop = Loop()
        self.addCleanup(self.loop.close)
        self.transport: Any = StringTransport()
        self.leg = TransportLeg(self.loop)
        self.heard = Heard()
        self.leg.receiver = self.heard

    def test_what_came_before_the_start_is_told_at_the_start(self) -> None:
        del self.leg.receiver
        self.leg.makeConnection(self.transport)
        self.leg.dataReceived(b"early")
        self.leg.dataReceived(b"birds")
        self.leg.receiver = self.heard
        self.leg.start()
        self.leg.dataReceived(b"late")
        self.assertEqual(self.heard.log, [b"early", b"birds", b"late"])

    def test_congestion_holds_the_end_back(self) -> None:
        self.leg.makeConnection(self.transport)
        self.leg.start()
        self.leg.pauseProducing()
        self.assertFalse(self.leg.write(b"x"))
        self.assertFalse(self.leg.finish())
        self.assertFalse(self.transport.disconnecting)
        self.leg.resumeProducing()
        self.leg.resumeProducing()
        self.assertEqual(self.heard.log, ["drained"])
        self.assertTrue(self.transport.disconnecting)
        self.assertTrue(self.leg.finish())

    def test_a_peer_that_never_answers_the_end_is_aborted(self) -> None:
        self.leg.makeConnection(self.transport)
        self.leg.start()
        self.leg.finish()
        self.loop.advance(transport_leg.FINISH_TIMEOUT)
        self.assertTrue(self.transport.disconnected)
        self.assertTrue(self.leg.write(b"nothing happens"))
        self.leg.abort()
        self.leg.dataReceived(b"late")
        self.leg.connectionLost(None)
        self.assertEqual(self.heard.log, [])

    def test_a_connection_that_goes_is_an_end_or_a_loss(self) -> None:
        from twisted.internet.error import ConnectionDone, ConnectionLost

        self.leg.makeConnection(self.transport)
        self.leg.start()
        self.leg.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.heard.log, ["ended"])
        other = TransportLeg(self.loop)
        other.receiver = self.heard
        other.makeConnection(StringTransport())
        other.start()
        other.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.heard.log, ["ended", ("lost", True)])

    def test_a_connection_that_goes_before_anybody_listens(self) -> None:
        del self.leg.receiver
        self.leg.makeConnection(self.transport)
        self.leg.connectionLost(None)
        self.assertEqual(self.heard.log, [])

    def test_pause_and_resume(self) -> None:
        self.leg.makeConnection(self.transport)
        self.leg.start()
        self.leg.pause()
        self.leg.pause()
        self.assertEqual(self.transport.producerState, "paused")
        self.leg.resume()
        self.assertEqual(self.transport.producerState, "producing")
        self.leg.stopProducing()
        self.leg.writeConnectionLost()
        self.leg.close()
        self.assertTrue(self.transport.disconnecting)


class EmbedTests(SynchronousTestCase):
    def problems(self, service: Any) -> list[str]:
        with self.assertRaises(InvalidConfiguration) as caught:
            stream_proxy(Loop(), service)
        return [str(problem) for problem in caught.exception.problems]

    def test_what_is_wrong_is_all_said(self) -> None:
        found = self.problems({"tls": "Nonsense", "rules": [{"domain": "["}]})
        self.assertTrue(any(problem.startswith("tls") for problem in found), found)
        self.assertTrue(any(problem.startswith("rules[0].domain") for problem in found), found)

    def test_terminating_tls_is_the_endpoints_business(self) -> None:
        self.assertTrue(self.problems({"tls": "Enabled"})[0].startswith("tls: let your endpoint"))

    def test_targets_in_short(self) -> None:
        proxy = stream_proxy(Loop(), ["[::1]:80", "db:5432"])
        (upstream,) = proxy.serving.upstreams.values()
        self.assertEqual([(node.host, node.port) for node in upstream.nodes], [("::1", 80), ("db", 5432)])
        for bad in ("nothing", "host:", "host:port", ":", "a:99999"):
            self.problems(bad)
