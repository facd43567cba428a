"""``twistd streamproxy`` and ``twist streamproxy``: the one place that constructs everything."""

from .options import Options
from .service import makeService

__all__ = ["Options", "makeService"]
