"""The configuration file: our own keys, APISIX's static ones, and documents of every dialect."""

from .load import Catalogue, load_config

__all__ = ["Catalogue", "load_config"]
