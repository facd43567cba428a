"""
The client id of an MQTT client, read from the CONNECT packet it opens with.

MQTT 3.1.1, section 3.1 (https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/mqtt-v3.1.1.html) and MQTT 5, section 3.1
(https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html), which put it in the same place but for the properties.
"""

from __future__ import annotations

from typing import Final

from attrs import define, frozen

from .verdict import Hit, Miss, Need, Verdict, Window

MAX_CONNECT: Final = 73_728
"""
Bytes of a packet up to the end of the client id: that may have 64 KiB, and the properties before it, which are a few
hundred bytes in practice, have as good as 8 KiB.
"""

_CONNECT = 1
_WITH_PROPERTIES = 5


@frozen
class MqttConnect:
    """``level`` is 4 for MQTT 3.1.1 and 5 for MQTT 5. ``client_id`` is empty where the server is to make one up."""

    protocol: str
    level: int
    client_id: str


def sniff_mqtt_connect(window: Window) -> Verdict[MqttConnect]:
    """
    Read a CONNECT packet up to the client id; what follows it (the will, the user's name) is the server's business, and
    so is every check that finding the client id does not need.
    """
    data = bytes(window[:MAX_CONNECT])
    if data and data[0] >> 4 != _CONNECT:
        return Miss(f"Received unexpected MQTT packet type+flags: {data[0]}")
    if len(data) < 2:
        return Need(2)
    cursor = _Cursor(data)
    try:
        length = cursor.variable_length()
        cursor.end = cursor.position + length
        protocol = cursor.text("protocol name")
        level = cursor.take(1)[0]
        cursor.take(3)  # connect flags, keep alive
        if level == _WITH_PROPERTIES:
            cursor.take(cursor.variable_length())
        client_id = cursor.text("client id")
    except _DecidedError as decided:
        return decided.verdict
    return Hit(MqttConnect(protocol, level, client_id), cursor.position)


class _DecidedError(Exception):
    """There is no reading on."""

    def __init__(self, verdict: Need | Miss) -> None:
        super().__init__(verdict)
        self.verdict = verdict


@define
class _Cursor:
    """Reads on from ``position``. The packet ends at ``end``, whether or not ``data`` reaches so far."""

    data: bytes
    position: int = 1
    end: int = 5

    def take(self, count: int) -> bytes:
        stop = self.position + count
        if stop > self.end:
            raise _DecidedError(Miss("the CONNECT packet is shorter than what it holds"))
        if stop > MAX_CONNECT:
            raise _DecidedError(Miss(f"the client id does not end in the first {MAX_CONNECT} bytes"))
        if stop > len(self.data):
            raise _DecidedError(Need(stop))
        taken = self.data[self.position : stop]
        self.position = stop
        return taken

    def variable_length(self) -> int:
        """A variable byte integer: seven bits a byte, the lowest first, four bytes at most."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise _DecidedError(Miss("a length has more than four bytes"))

    def text(self, name: str) -> str:
        """A string with two bytes of length before it. Servers close connections over one that is no text."""
        data = self.take(int.from_bytes(self.take(2), "big"))
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise _DecidedError(Miss(f"the {name} is not UTF-8")) from None
        if "\0" in text:
            raise _DecidedError(Miss(f"the {name} has a NUL in it"))
        return text
