"""Codecs by name and the tables that turn one wire form into another (RFC 3551 §6)."""

from __future__ import annotations

from media.codecs.base import SampleCodec
from media.codecs.g711 import ALAW_TO_ULAW, PCMA, PCMU, ULAW_TO_ALAW

CODECS: dict[str, SampleCodec] = {PCMA.name: PCMA, PCMU.name: PCMU}

CONVERSIONS: dict[tuple[str, str], bytes | None] = {
    ("PCMA", "PCMA"): None,
    ("PCMU", "PCMU"): None,
    ("PCMA", "PCMU"): ALAW_TO_ULAW,
    ("PCMU", "PCMA"): ULAW_TO_ALAW,
}
"""(from, to) -> table for `bytes.translate`; None: the payload passes as it is."""
