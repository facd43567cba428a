"""Where a made-up connection would go: ``/streamproxy/v1/explain``."""

from __future__ import annotations

from klein import Klein
from twisted.web.server import Request

from streamproxy.interfaces import Runtime

from . import incoming
from .bodies import parse_json
from .native_openapi import FLAG, NUMBER, OBJECT, TEXT, Operation, described, several
from .respond import Answer, answer, json_answer, router

_LISTS = ("tcp_services", "stream_routes", "upstreams", "services", "ssls", "plugin_metadata", "listeners")
_QUESTION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "listener": {"type": ["string", "integer"], "description": "Where it connects to: 127.0.0.1:443, or a port."},
        "port": NUMBER,
        "transport": {"type": "string", "enum": ["tcp", "udp"]},
        "peer": {**TEXT, "description": "The client's address, perhaps with a port."},
        "local": {**TEXT, "description": "The address it reached, where the listener has more than one."},
        "sni": TEXT,
        "http_host": TEXT,
        "alpn": several(TEXT),
        "tls": {
            "anyOf": [FLAG, OBJECT],
            "description": "Does it speak TLS? Or what was agreed on: version, cipher, alpn, client {subject, sans}.",
        },
        "client_hello": {**TEXT, "description": "Its ClientHello, in Base64."},
        "first_bytes": {**TEXT, "description": "Whatever it says first, in Base64."},
        "configuration": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: several() for name in _LISTS},
            "description": "Documents that are thought of as put beside what there is.",
        },
    },
}


class ExplainApi:
    """It is asked with POST because of what may have to be sent, and changes nothing: viewers may ask."""

    app: Klein = router()

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @app.route("/", methods=["POST"])
    @described(
        Operation(
            "Where a made-up connection would go, and why, by the configuration that runs or by another one. As text"
            " for `Accept: text/plain`.",
            body=_QUESTION,
            answers={200: OBJECT},
        )
    )
    async def explain(self, request: Request) -> Answer:
        explained = await self._runtime.explain(parse_json(incoming.body(request)))
        if "text/plain" in incoming.accepted(request):
            return answer(explained.text.encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8")
        return json_answer(explained.answer)
