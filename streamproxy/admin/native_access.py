"""What a caller may know of who may call, and a translator: the parts of ``/streamproxy/v1`` that the web UI needs."""

from __future__ import annotations

from typing import Any

from klein import Klein
from twisted.web.server import Request

from streamproxy.model import AdminSettings

from . import incoming
from .bodies import parse_json, parse_yaml
from .native_openapi import FLAG, NUMBER, OBJECT, TEXT, Operation, described, several, shape
from .respond import Answer, answer, json_answer, router, to_yaml

YAML = ("application/yaml", "application/x-yaml", "text/yaml")


class AccessApi:
    """Who may do what, without any secret; and JSON of YAML and the other way round, by this program's rules."""

    app: Klein = router()

    def __init__(self, settings: AdminSettings) -> None:
        self._settings = settings

    @app.route("/me", methods=["GET"])
    @described(Operation("Whom the credentials prove.", answers={200: shape(name=TEXT, role=TEXT)}))
    def me(self, request: Request) -> Answer:
        """Whom the credentials prove."""
        caller = incoming.caller(request)
        return json_answer({"name": caller.name, "role": caller.role.value, "address": caller.peer or None})

    @app.route("/access", methods=["GET"])
    @described(
        Operation(
            "Who may call this API: names and roles, no secrets.",
            answers={
                200: shape(listen=TEXT, tls=FLAG, credentials_required=FLAG, largest_body=NUMBER, credentials=several())
            },
        )
    )
    def access(self, _request: Request) -> Answer:
        """Every key and client by name. The secrets themselves are shown to nobody."""
        settings = self._settings
        keys = [{"kind": "key", "name": key.name, "role": key.role.value} for key in settings.keys]
        clients = [{"kind": "client", "name": client.id, "role": client.role.value} for client in settings.clients]
        return json_answer(
            {
                "listen": str(settings.listen),
                "tls": settings.tls is not None,
                "credentials_required": settings.require_key,
                "allowed_addresses": [str(network) for network in settings.allow] or None,
                "largest_body": settings.max_body,
                "credentials": [*keys, *clients],
            }
        )

    @app.route("/convert", methods=["POST"])
    @described(
        Operation(
            "JSON of YAML, or YAML of JSON: by `Content-Type` and `Accept`. Nothing is stored.",
            body={},
            answers={200: OBJECT},
        )
    )
    def convert(self, request: Request) -> Answer:
        """A body of JSON or YAML, by its ``Content-Type``, as the one of them that is accepted. Nothing is stored."""
        data = incoming.body(request)
        value: Any = parse_yaml(data) if incoming.content_type(request) in YAML else parse_json(data)
        wanted = next((type_ for type_ in incoming.accepted(request) if type_ in YAML), None)
        return json_answer(value, pretty=True) if wanted is None else answer(to_yaml(value), wanted)
