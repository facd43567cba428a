"""The checksum of PROXY protocol headers: CRC-32C (Castagnoli), RFC 4960 appendix B."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's polynomial, lowest bit first."""


def _divide(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_divide(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """The checksum of ``data``, from 0 to 2**32 - 1."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ byte) & 0xFF]
    return remainder ^ 0xFFFFFFFF
