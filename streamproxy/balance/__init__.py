"""Choosing a node. What chooses is pure; the pool is the one thing here that changes."""

from .pool import Pool, Pools
from .roundrobin import RoundRobin

__all__ = ["Pool", "Pools", "RoundRobin"]
