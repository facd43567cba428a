"""
Protocols that begin in plain text and go on in TLS, up to the point where TLS begins; without doing any I/O.

A ``Preamble`` answers a client in its server's place, so that its ClientHello can be read before a target is chosen. An
``Ask`` brings a target to where the client is then:

* TLS is passed through, or ended here and begun anew towards a target that wants to be asked for it: ask with the
  client's ``introduction``;
* TLS is ended here, and the target has none, or has it from the first byte on: ask (inside that) with
  ``upgrade=False``, which takes from the target the greeting that the client has had from us;
* the client goes on without TLS (``Plain``): ask with ``upgrade=False`` and the client's ``introduction``.

===========  ======================  =======================  ==========================================
name         client asks by          who speaks first         source
===========  ======================  =======================  ==========================================
postgres     SSLRequest, or at once  client                   PostgreSQL's documentation, "Message Flow"
smtp         STARTTLS                server                   RFC 3207
imap         STARTTLS                server                   RFC 9051, 6.2.1
pop3         STLS                    server                   RFC 2595, 4
ldap         StartTLS                client                   RFC 4511, 4.14
mysql        SSLRequest              server, only itself      its documentation, "Connection Phase"
===========  ======================  =======================  ==========================================

MySQL needs its target first, and is by itself (``TARGET_FIRST``): see :mod:`.mysql`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from .detect import detect
from .imap import ImapAsk, ImapPreamble
from .ldap import LdapAsk, LdapPreamble
from .machine import (
    MAX_COMMANDS,
    MAX_LINE,
    MAX_PREAMBLE,
    Answering,
    Ask,
    Asking,
    Done,
    NothingToAsk,
    Plain,
    Preamble,
    Refuse,
    Reply,
    Upgrade,
)
from .mysql import MysqlAsk, MysqlGreeting, MysqlPreamble, sniff_mysql_greeting
from .pop3 import Pop3Ask, Pop3Preamble
from .postgres import PostgresAsk, PostgresPreamble
from .smtp import SmtpAsk, SmtpPreamble


class MakePreamble(Protocol):
    """
    ``host`` is the name we go by where a server says its own; ``optional``: a client may go on without TLS. Raises
    ``ValueError`` for a ``host`` that is no name.
    """

    def __call__(self, *, host: str, optional: bool = False) -> Preamble: ...


class MakeAsk(Protocol):
    """
    ``introduction`` is that of the client's ``Upgrade`` or ``Plain``. ``upgrade``: ask for TLS. Without it the target
    is taken to where the client is after its ``Plain``; or, without introduction too, to where the client begins anew
    after the handshake with us.
    """

    def __call__(self, *, introduction: bytes = b"", upgrade: bool = True) -> Ask: ...


PREAMBLES: Mapping[str, MakePreamble] = MappingProxyType(
    {
        "postgres": lambda *, host, optional=False: PostgresPreamble(optional=optional),
        "smtp": SmtpPreamble,
        "imap": lambda *, host, optional=False: ImapPreamble(optional=optional),
        "pop3": lambda *, host, optional=False: Pop3Preamble(optional=optional),
        "ldap": lambda *, host, optional=False: LdapPreamble(optional=optional),
    }
)
"""How to answer the clients of a protocol."""

ASKS: Mapping[str, MakeAsk] = MappingProxyType(
    {
        "postgres": lambda *, introduction=b"", upgrade=True: PostgresAsk() if upgrade else NothingToAsk(),
        "smtp": SmtpAsk,
        "imap": lambda *, introduction=b"", upgrade=True: ImapAsk(upgrade=upgrade),
        "pop3": lambda *, introduction=b"", upgrade=True: Pop3Ask(upgrade=upgrade),
        "ldap": lambda *, introduction=b"", upgrade=True: LdapAsk() if upgrade else NothingToAsk(),
    }
)
"""How to ask the targets of a protocol."""

TARGET_FIRST = ("mysql",)
"""Protocols whose greeting only the target can say: it is reached before its client is spoken to."""

__all__ = [
    "PREAMBLES",
    "ASKS",
    "TARGET_FIRST",
    "MakePreamble",
    "MakeAsk",
    "detect",
    "Preamble",
    "Ask",
    "Answering",
    "Asking",
    "Reply",
    "Upgrade",
    "Plain",
    "Done",
    "Refuse",
    "MAX_PREAMBLE",
    "MAX_COMMANDS",
    "MAX_LINE",
    "MysqlGreeting",
    "MysqlPreamble",
    "MysqlAsk",
    "sniff_mysql_greeting",
]
