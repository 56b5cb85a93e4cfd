"""What a codec is to the media plane: a name, its clocks, and what makes encoders and decoders (RFC 3551 §4.5, table 4)."""

from __future__ import annotations

from typing import Protocol, TypeGuard, runtime_checkable

from media.frame import PTIMES_MS, SAMPLE_RATE, Samples
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


@runtime_checkable
class AdaptiveEncoder(Encoder, Protocol):
    """An encoder that is told what the far end likes, and how much of what is sent gets there."""

    def take_terms(self, fmtp: str) -> None:
        """From now on what the far end's `a=fmtp` says, without the payload type."""
        ...

    def take_rate(self, rate: int) -> None:
        """What is encoded comes from audio of this rate, samples a second, whatever it was brought to."""
        ...

    def expect_loss(self, fraction: float) -> None:
        """Share of our packets that is lost on the way, 0 to 1."""
        ...


class RecoveringDecoder(Decoder, Protocol):
    """A decoder that knows best what to make up."""

    def lost(self, samples: int, following: bytes | None = None) -> Samples:
        """In place of so many samples that never came; `following` is the packet behind them, which is decoded next."""
        ...


class AudioCodec(Protocol):
    """One encoding; the registry (`media.codecs.registry`) is where all are listed, in our order of preference."""

    name: str
    """Encoding name as in SDP (RFC 3551 §6)."""
    payload_type: int
    """The static one (RFC 3551 table 4), else the dynamic one that we offer it by."""
    clock_rate: int
    """Of its RTP timestamps, ticks a second, a multiple of 8000; of G.722 not the sampling rate (RFC 3551 §4.5.2). Keys run on the same
    clock (RFC 4733 §2.1): `media.rtp.outgoing` keeps one time line for both."""
    channels: int = 1
    """As the rtpmap says (RFC 8866 §6.6); we send one whatever it says."""
    fmtp: str = ""
    """What we say of ourselves in `a=fmtp`; empty: nothing."""
    ptimes_ms: tuple[int, ...] = PTIMES_MS
    """Packet times that it can be sent in."""
    is_uneven: bool = False
    """It is an `UnevenCodec`: ask `is_uneven`."""
    rate: int
    """Samples a second of its linear audio."""
    octets_a_second: int
    """Of its payload; whole octets a tick, each packet of them can be decoded after the one before. Of an `UnevenCodec` what it is set
    to."""
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


class UnevenCodec(AudioCodec, Protocol):
    """One whose packets are of any length, each whole in itself: they cannot be cut or joined, and tell themselves how long they last."""

    is_uneven: bool = True

    def decoder_at(self, rate: int) -> RecoveringDecoder:
        """A new stream whose linear audio has this rate.

        Raises: ValueError: a rate that it has not.
        """
        ...

    def ticks(self, payload: bytes | bytearray | memoryview) -> int:
        """What a packet lasts, in ticks of the RTP clock; 0: it is none."""
        ...

    def is_silence(self, payload: bytes) -> bool:
        """Whether after this packet nothing comes until somebody speaks, or for a while (DTX)."""
        ...


def is_uneven(codec: AudioCodec) -> TypeGuard[UnevenCodec]:
    """Whether its packets tell themselves how long they last."""
    return codec.is_uneven


def clock_scale(codec: AudioCodec) -> int:
    """Ticks of its RTP clock in one of 8 kHz, in which we reckon."""
    return codec.clock_rate // SAMPLE_RATE


def ticks_of(codec: AudioCodec, payload: bytes | bytearray | memoryview) -> int:
    """Ticks of the RTP clock that a packet lasts."""
    return codec.ticks(payload) if is_uneven(codec) else ticks_in(codec, len(payload))


def octets_in(codec: AudioCodec, ticks: int) -> int:
    """Octets of payload that last so many ticks of the RTP clock."""
    return ticks * codec.octets_a_second // codec.clock_rate


def ticks_in(codec: AudioCodec, octets: int) -> int:
    """Ticks of the RTP clock that so much payload lasts."""
    return octets * codec.clock_rate // codec.octets_a_second
