"""Which codecs a configuration may name: what the media plane has, for whoever may not ask it itself."""

from __future__ import annotations

from media.codecs.registry import CODECS, USUAL

__all__ = ["COMFORT_NOISE", "USUAL", "check", "names"]

COMFORT_NOISE = "CN"
"""No codec, but named beside them: noise in place of silence (RFC 3389) is offered. Whoever offers it gets it without that."""


def names() -> tuple[str, ...]:
    """All of them, in the house's order of preference, and comfort noise."""
    return (*CODECS, COMFORT_NOISE)


def check(codecs: tuple[str, ...]) -> tuple[str, ...]:
    """The list as it is.

    Raises: ValueError: none, one that we have not, or one twice: an offer names each once (RFC 3264 §5.1).
    """
    for codec in codecs:
        if codec not in names():
            raise ValueError(f"there is no codec {codec[:20]!r}; there are {', '.join(names())}")
    if not set(codecs) - {COMFORT_NOISE} or len(set(codecs)) != len(codecs):
        raise ValueError("codecs are named at least one, and each once")
    return codecs
