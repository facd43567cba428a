"""Two ends of a handshake in memory, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from streamproxy.tls import reason
from streamproxy.tls.openssl import is_resumed

from .pki import Issued

_CHUNK = 1 << 16


@define
class End:
    """One side: ``why`` it broke, if it did, and what it ``read`` once it was through."""

    connection: SSL.Connection
    finished: bool = False
    why: str = ""
    error: SSL.Error | None = None
    read: bytes = b""

    def step(self) -> None:
        if self.error is not None:
            return
        try:
            if self.finished:
                self.read += self.connection.recv(_CHUNK)
            else:
                self.connection.do_handshake()
                self.finished = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error, self.why = error, reason(error)

    def sent(self) -> bytes:
        try:
            return self.connection.bio_read(_CHUNK)
        except SSL.Error:
            return b""


@define
class Talk:
    """A handshake and, where it worked, a greeting each way."""

    client: End
    server: End

    @property
    def worked(self) -> bool:
        """Only what arrived counts: a client of TLS 1.3 is through before the server has looked at its certificate."""
        return self.client.read == b"from the server" and self.server.read == b"from the client"

    @property
    def resumed(self) -> bool:
        return is_resumed(self.server.connection)

    @property
    def session(self) -> SSL.Session:
        """To offer again, as long as this is around: OpenSSL spoils the session of a connection that just goes away."""
        session = self.client.connection.get_session()
        assert session is not None, "there is no session to resume"
        return session

    def shown(self) -> list[bytes]:
        """The certificates (DER) that the server showed."""
        chain = self.client.connection.get_peer_cert_chain(as_cryptography=True) or []
        return [certificate.public_bytes(Encoding.DER) for certificate in chain]


def client_context(*, version: int | None = None, alpn: Sequence[bytes] = (), ciphers: bytes = b"") -> SSL.Context:
    """A client that trusts everybody: what it is refused it is refused by the server."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version is not None:
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    if alpn:
        context.set_alpn_protos(list(alpn))
    if ciphers:
        context.set_cipher_list(ciphers)
    return context


def client_of(
    context: SSL.Context | None = None, issued: Issued | None = None, session: SSL.Session | None = None
) -> SSL.Connection:
    """A client that shows ``issued``, with what is above it, and offers to resume ``session``."""
    if context is None:
        context = client_context()
    if issued is not None and issued.above:
        for above in issued.above:
            context.add_extra_chain_cert(above)
    connection = SSL.Connection(context, None)
    if issued is not None:
        connection.use_certificate(issued.certificate)
        connection.use_privatekey(issued.key)
    connection.set_connect_state()
    if session is not None:
        connection.set_session(session)
    return connection


def talk(server: SSL.Context, client: SSL.Connection, *, piece: int = _CHUNK) -> Talk:
    """Let ``client`` talk to a server of that context, ``piece`` bytes at a time."""
    connection = SSL.Connection(server, None)
    connection.set_accept_state()
    both = Talk(End(client), End(connection))
    _shuttle(both, piece)
    if both.client.finished and both.server.finished:
        for end, greeting in ((both.client, b"from the client"), (both.server, b"from the server")):
            if end.error is None:
                end.connection.send(greeting)
        _shuttle(both, piece)
    return both


def _shuttle(both: Talk, piece: int) -> None:
    quiet = False
    while not quiet:
        both.client.step()
        both.server.step()
        quiet = True
        for sender, receiver in ((both.client, both.server), (both.server, both.client)):
            data = sender.sent()
            for start in range(0, len(data), piece):
                quiet = False
                receiver.connection.bio_write(data[start : start + piece])
                receiver.step()
