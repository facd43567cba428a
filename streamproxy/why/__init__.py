"""Why a connection goes where it goes: decided again, step by step, for people and for programs. All of it pure."""

from .connection import Connection, connection_of
from .decide import World, explain_connection, explain_session
from .shape import shaped
from .text import text_of
from .values import Source, Why

__all__ = [
    "Connection",
    "Source",
    "Why",
    "World",
    "connection_of",
    "explain_connection",
    "explain_session",
    "shaped",
    "text_of",
]
