"""Otoroshi's TCP services."""

from .listeners import Exposure, compose, expose
from .service import TcpService, canonical, decode, encode
from .template import new_id, template

__all__ = [
    "Exposure",
    "TcpService",
    "canonical",
    "compose",
    "decode",
    "encode",
    "expose",
    "new_id",
    "template",
]
