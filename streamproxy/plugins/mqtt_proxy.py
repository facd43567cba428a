"""``mqtt-proxy``: nothing but MQTT, and the client id as a variable to balance by (APISIX 3.18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen

from ..sniff.mqtt import sniff_mqtt_connect
from ..sniff.verdict import Miss, Need
from .base import BaseGate, BasePlugin, with_defaults
from .printable import printable
from .seam import GO, Go, Host, More, Place, Reject, Verdict, Visit

CLIENT_ID: Final = "mqtt_client_id"
"""The variable."""

_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "protocol_name": {"type": "string", "default": "MQTT"},
        "protocol_level": {"type": "integer"},
    },
    "required": ["protocol_level"],
}


@frozen(eq=False)
class _Broker(BaseGate):
    """Lets clients pass that open with a CONNECT of this protocol and level."""

    _protocol: str
    _level: int
    _log: Callable[[str, str], None]

    def admit(self, visit: Visit) -> Verdict:
        found = sniff_mqtt_connect(visit.window)
        if isinstance(found, Need):
            if not visit.complete:
                return More(found.at_least)
            return self._refuse(f"failed to read the Connect Command: the client said {len(visit.window)} bytes of it")
        if isinstance(found, Miss):
            return self._refuse(f"failed to parse the Connect Command: {found.why}")
        connect = found.value
        if connect.protocol != self._protocol:
            got = printable(connect.protocol)
            return self._refuse(f"expect protocol name: {self._protocol}, but got {got}")
        if connect.level != self._level:
            return self._refuse(f"expect protocol level: {self._level}, but got {connect.level}")
        self._log("info", f"mqtt client id: {printable(connect.client_id)}")
        return Go(variables={CLIENT_ID: connect.client_id}) if connect.client_id else GO

    def _refuse(self, why: str) -> Reject:
        self._log("error", why)
        return Reject(503, why)


class MqttProxy(BasePlugin):
    name = "mqtt-proxy"
    priority = 1000
    pure = True
    schema = _SCHEMA

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> _Broker:
        conf = with_defaults(conf, _SCHEMA)
        return _Broker(conf["protocol_name"], conf["protocol_level"], host.log)


mqtt_proxy = MqttProxy()
