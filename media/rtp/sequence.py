"""Arithmetic of numbers that wrap round: 16-bit sequence numbers and 32-bit timestamps (RFC 3550 §5.1, RFC 1982)."""

from __future__ import annotations

SEQUENCE_MODULUS = 1 << 16
TIMESTAMP_MODULUS = 1 << 32


def sequence_distance(newer: int, older: int) -> int:
    """Signed steps from `older` to `newer`, -32768..32767."""
    return ((newer - older + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(newer: int, older: int) -> int:
    """Signed ticks from `older` to `newer`, -2^31..2^31-1."""
    return ((newer - older + 0x80000000) & 0xFFFFFFFF) - 0x80000000
