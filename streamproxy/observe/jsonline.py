"""The access log's JSON: everything that is known of an ended session, one object a line."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from ..model import Address, Ended, PeerIdentity, TlsFacts

# So much of what somebody said is enough to recognise it by.
TLV_BYTES: Final = 256


def json_line(record: Ended) -> str:
    """
    The record as one line of JSON in ASCII, without the line's end. ``started`` is UTC; durations are in seconds. Of
    each of a PROXY header's ``tlvs`` there are the first :data:`TLV_BYTES` bytes, in hex.

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
        f',"assumed":{_text(facts.assumed)}'
        f',"owner":{quoted(record.owner)},"revision":{record.revision},"route":{_text(record.route)}'
        f',"upstream":{_text(record.upstream)},"node":{_text(record.node)},"attempts":{record.attempts}'
        f',"earlier":[{",".join(map(quoted, record.earlier))}]'
        f',"sniff_time":{_seconds(record.sniff_time)},"connect_time":{_seconds(record.connect_time)}'
        f',"bytes_in":{record.bytes_in},"bytes_out":{record.bytes_out}'
        f',"handshake":{_handshake(facts.handshake)},"claimed":{_address(facts.claimed)},"via":{_address(facts.via)}'
        f',"arrived":{_address(facts.arrived)}'
        f',"tlvs":{_tlvs(facts.tlvs) if facts.tlvs else "[]"},"code":{"null" if record.code is None else record.code}'
        f',"variables":{_variables(record.variables) if record.variables else "{}"}}}'
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


def _address(address: Address | None) -> str:
    return "null" if address is None else quoted(str(address))


def _tlvs(tlvs: Iterable[tuple[int, bytes]]) -> str:
    return f"[{','.join(f'[{kind},{quoted(value[:TLV_BYTES].hex())}]' for kind, value in tlvs)}]"


def _variables(variables: Mapping[str, str]) -> str:
    return f"{{{','.join(f'{quoted(name)}:{quoted(value)}' for name, value in variables.items())}}}"


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _seconds(value: float | None) -> str:
    return "null" if value is None else f"{value:.6f}"
