"""The configuration file: our own keys, APISIX's static ones, and documents of every dialect."""

from .load import load_config

__all__ = ["load_config"]
