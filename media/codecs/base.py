"""What a codec is to the media plane: a name, a static payload type and two functions on whole buffers (RFC 3551 table 4)."""

from __future__ import annotations

from typing import Protocol

from media.frame import Samples


class AudioCodec(Protocol):
    """Stateless sample codec: any cut of the stream can be decoded alone."""

    name: str
    """Encoding name as in SDP (RFC 3551 §6)."""
    payload_type: int
    clock_rate: int
    silence: int
    """The octet that decodes nearest to zero."""

    def encode(self, audio: Samples) -> bytes:
        """Linear to wire."""
        ...

    def decode(self, payload: bytes) -> Samples:
        """Wire to linear."""
        ...
