"""The access log's JSON: everything that is known of an ended session, one object a line."""

from __future__ import annotations

import time
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted

from ..model import Ended, PeerIdentity, TlsFacts


def json_line(record: Ended) -> str:
    """
    The record as one line of JSON in ASCII, without the line's end. ``started`` is UTC; durations are in seconds.

    It is spelled out because a log line is written for each session: the general encoder takes twice as long.
    """
    facts = record.facts
    listener, peer, local = facts.listener, facts.peer, facts.local
    return (
        f'{{"started":"{utc(record.started)}","duration":{record.duration:.6f},"id":{quoted(record.id)}'
        f',"ending":"{record.ending._value_}","detail":{quoted(record.detail)}'
        f',"transport":"{listener.transport._value_}","listen_address":{quoted(listener.interface)}'
        f',"listen_port":{listener.port},"client_address":{quoted(peer.host)},"client_port":{peer.port}'
        f',"local_address":{quoted(local.host)},"local_port":{local.port}'
        f',"tls":{"true" if facts.tls else "false"},"sni":{_text(facts.sni)}'
        f',"alpn":[{",".join(map(quoted, facts.alpn))}],"http_host":{_text(facts.http_host)}'
        f',"owner":{quoted(record.owner)},"revision":{record.revision},"route":{_text(record.route)}'
        f',"upstream":{_text(record.upstream)},"node":{_text(record.node)},"attempts":{record.attempts}'
        f',"sniff_time":{_seconds(record.sniff_time)},"connect_time":{_seconds(record.connect_time)}'
        f',"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out}'
        f',"handshake":{_handshake(facts.handshake)}}}'
    )


def utc(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, in UTC, with milliseconds."""
    milliseconds = int(seconds * 1000)
    return f"{_utc_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _utc_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _handshake(facts: TlsFacts | None) -> str:
    if facts is None:
        return "null"
    return (
        f'{{"version":{quoted(facts.version)},"cipher":{quoted(facts.cipher)},"alpn":{_text(facts.alpn)}'
        f',"resumed":{"true" if facts.resumed else "false"},"client":{_client(facts.client)}}}'
    )


def _client(client: PeerIdentity | None) -> str:
    if client is None:
        return "null"
    # A serial number may have 160 bits, more than readers of JSON take for a number.
    return (
        f'{{"subject":{quoted(client.subject)},"sans":[{",".join(map(quoted, client.sans))}]'
        f',"fingerprint":{quoted(client.fingerprint)},"serial":"{client.serial:x}"}}'
    )


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _seconds(value: float | None) -> str:
    return "null" if value is None else f"{value:.6f}"
