"""``ip-restriction``: who may connect, by address (APISIX 3.18)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from ..errors import Problem
from ..rules.networkset import NetworkSet, parse_network
from .base import BaseGate, BasePlugin, with_defaults
from .seam import GO, Host, Place, Reject, Verdict, Visit

_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_V4: Final = rf"({_OCTET}\.){{3}}{_OCTET}"
_V6: Final = "[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){1,8}"
_LIST: Final[Mapping[str, Any]] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "anyOf": [
            {"title": "IPv4", "type": "string", "pattern": f"^{_V4}$"},
            {"title": "IPv4/CIDR", "type": "string", "pattern": f"^{_V4}/(3[0-2]|[12]?[0-9])$"},
            {"title": "IPv6", "type": "string", "pattern": rf"^{_V6}({_V4})?$"},
            {"title": "IPv6/CIDR", "type": "string", "pattern": rf"^{_V6}({_V4})?/[0-9]{{1,3}}$"},
        ]
    },
}
_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "message": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "default": "Your IP address is not allowed",
        },
        "response_code": {"type": "integer", "minimum": 403, "maximum": 404, "default": 403},
        "whitelist": _LIST,
        "blacklist": _LIST,
    },
    "oneOf": [{"required": ["whitelist"]}, {"required": ["blacklist"]}],
}


@frozen(eq=False)
class _Restriction(BaseGate):
    """Lets those in ``networks`` pass, or those who are not."""

    _networks: NetworkSet
    _inside: bool
    _rejection: Reject

    def admit(self, visit: Visit) -> Verdict:
        return GO if (visit.facts.peer.host in self._networks) is self._inside else self._rejection


class IpRestriction(BasePlugin):
    name = "ip-restriction"
    priority = 3000
    pure = True
    schema = _SCHEMA

    def problems(self, conf: Mapping[str, Any]) -> Iterator[Problem]:
        for kind in ("whitelist", "blacklist"):
            networks = conf.get(kind)
            for index, text in enumerate(networks if isinstance(networks, list) else ()):
                try:
                    parse_network(str(text))
                except ValueError as error:
                    yield Problem(f"{kind}[{index}]", "bad_value", str(error))

    def gate(self, conf: Mapping[str, Any], place: Place, host: Host) -> _Restriction:
        conf = with_defaults(conf, _SCHEMA)
        inside = "whitelist" in conf
        networks = NetworkSet.of(map(parse_network, conf["whitelist" if inside else "blacklist"]))
        return _Restriction(networks, inside, Reject(conf["response_code"], conf["message"]))


ip_restriction = IpRestriction()
