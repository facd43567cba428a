"""
The HTTP API by which a running proxy is looked at and changed. Importing it imports Klein, and that the reactor: do it
late.
"""

from .app import AdminApp

__all__ = ["AdminApp"]
