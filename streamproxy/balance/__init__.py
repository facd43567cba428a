"""Choosing a node. What chooses is pure; the pools are the one thing here that changes."""

from .pool import Means, Pool
from .pools import Closer, Pools, Watcher

__all__ = ["Closer", "Means", "Pool", "Pools", "Watcher"]
