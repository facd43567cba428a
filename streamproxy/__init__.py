"""A programmable layer-4 proxy for TCP, UDP and TLS, built on Twisted."""

__version__ = "0.1.0.dev0"
