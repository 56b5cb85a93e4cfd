"""What a codec is to the media plane: a name, its clocks, and what makes encoders and decoders (RFC 3551 §4.5, table 4)."""

from __future__ import annotations

from typing import Protocol

from media.frame import Samples
from media.quality import Impairments


class Encoder(Protocol):
    """One direction of one stream: what it gives depends on what it got before."""

    def encode(self, audio: Samples) -> bytes:
        """Linear, at the codec's `rate`, to wire; whole packets of any length that the codec can cut."""
        ...


class Decoder(Protocol):
    """The other direction."""

    def decode(self, payload: bytes) -> Samples:
        """Wire to linear, at the codec's `rate`; any octets of any number, of which a torn end is left out: they come from outside."""
        ...


class AudioCodec(Protocol):
    """One encoding; the registry (`media.codecs.registry`) is where all are listed, in our order of preference."""

    name: str
    """Encoding name as in SDP (RFC 3551 §6)."""
    payload_type: int
    """The static one (RFC 3551 table 4), else the dynamic one that we offer it by."""
    clock_rate: int
    """Of its RTP timestamps, ticks a second; of G.722 not the sampling rate (RFC 3551 §4.5.2). All that is listed runs at 8000, the clock
    of telephone-event: `media.rtp.outgoing` keeps one time line for audio and keys."""
    rate: int
    """Samples a second of its linear audio."""
    octets_a_second: int
    """Of its payload; whole octets a tick, each packet of them can be decoded after the one before."""
    silence: int
    """The octet that decodes nearest to zero, where every octet is a sample; elsewhere that of a stream of encoded zeros."""
    impairments: Impairments | None
    """For the E-model (`media.quality`); None: no figures are published on its scale, and no score is told."""

    def encoder(self) -> Encoder:
        """A new stream."""
        ...

    def decoder(self) -> Decoder:
        """A new stream."""
        ...


class SampleCodec(AudioCodec, Encoder, Decoder, Protocol):
    """Stateless, an octet a sample: any cut of the stream can be decoded alone, and it is its own encoder and decoder."""


def octets_in(codec: AudioCodec, ticks: int) -> int:
    """Octets of payload that last so many ticks of the RTP clock."""
    return ticks * codec.octets_a_second // codec.clock_rate


def ticks_in(codec: AudioCodec, octets: int) -> int:
    """Ticks of the RTP clock that so much payload lasts."""
    return octets * codec.clock_rate // codec.octets_a_second
