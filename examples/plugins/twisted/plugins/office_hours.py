"""A connection plugin: a route takes sessions in some hours of the day (UTC) and in no others."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from streamproxy.errors import Problem
from streamproxy.plugins import GO, Host, Place, Reject, Verdict, Visit
from streamproxy.plugins.base import BaseGate, BasePlugin, with_defaults

SCHEMA = {
    "type": "object",
    "properties": {
        "from": {"type": "integer", "minimum": 0, "maximum": 23, "default": 8},
        "until": {"type": "integer", "minimum": 1, "maximum": 24, "default": 18},
    },
    "additionalProperties": False,
}


class Door(BaseGate):
    """The plugin at one route."""

    def __init__(self, hours: range, host: Host) -> None:
        self.hours = hours
        self.host = host

    def admit(self, visit: Visit) -> Verdict:
        hour = time.gmtime(self.host.now()).tm_hour
        if hour in self.hours:
            return GO
        self.host.log("info", f"{visit.variable('remote_addr')} came at {hour} o'clock")
        return Reject(403, "come back in office hours")


class OfficeHours(BasePlugin):
    name = "office-hours"
    priority = 2900
    schema = SCHEMA

    def problems(self, conf: Mapping[str, Any]) -> Iterator[Problem]:
        filled = with_defaults(conf, SCHEMA)
        if filled["from"] >= filled["until"]:
            yield Problem("until", "bad_value", f"it has to be later than {filled['from']}")

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> Door:
        filled = with_defaults(conf, SCHEMA)
        return Door(range(filled["from"], filled["until"]), host)


# What Twisted's plugin system finds: an object in a module of twisted.plugins that says that it is a plugin.
office_hours = OfficeHours()
