"""What a speech channel costs on the line, in kbit/s per direction: G.711 at 20 ms is 95.2 on the wire (RFC 3550, RFC 3711, IEEE 802.3).

Of everything a packet carries: payload, RTP 12, UDP 8, IPv4 20 or IPv6 40, SRTP tag, Ethernet header and check sequence 18, preamble 8,
inter-frame gap 12; then RTCP's share of 5 % on top (RFC 3550 §6.2). A channel is never reckoned below the guaranteed 100 kbit/s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from media.codecs.registry import CODECS
from media.transport.keys import Suite

FLOOR_KBITS = 100
"""The upload guaranteed to each speech channel: 99.96 kbit/s of G.711 over IPv4 with RTCP, rounded up."""
RTCP_SHARE = 0.05
_RTP_OCTETS = 12
_UDP_OCTETS = 8
_ETHERNET_OCTETS = 14 + 4
_PREAMBLE_OCTETS = 8
_INTER_FRAME_GAP_OCTETS = 12
_MINIMUM_FRAME_OCTETS = 64
"""IEEE 802.3 §4A.4.2 minFrameSize, header and check sequence included; G.729 at 10 ms meets it."""


class IpVersion(Enum):
    """Octets of the IP header without options."""

    V4 = 20
    V6 = 40


class Srtp(Enum):
    """Octets SRTP adds to a packet."""

    NONE = 0
    HMAC_SHA1_32 = 4
    HMAC_SHA1_80 = 10
    """RFC 3711 §4.2, RFC 4568."""
    AES_GCM = 16
    """RFC 7714."""


SRTP_OF: dict[Suite, Srtp] = {
    Suite.AES_CM_128_HMAC_SHA1_80: Srtp.HMAC_SHA1_80,
    Suite.AEAD_AES_128_GCM: Srtp.AES_GCM,
}
"""What a leg with such keys pays."""


class Layer(Enum):
    """Up to where a packet is counted."""

    IP = 0
    ETHERNET = _ETHERNET_OCTETS
    WIRE = _ETHERNET_OCTETS + _PREAMBLE_OCTETS + _INTER_FRAME_GAP_OCTETS


OTHERS_KBITS: dict[str, float] = {"G729": 8.0, "opus-24": 24.0, "opus-32": 32.0}
"""Payload bit rates of what others carry and we do not (RFC 3551 §4.5; Opus by its configured rate, RFC 7587 §3.1.1)."""


@dataclass(frozen=True, slots=True)
class ChannelShape:
    """What decides the cost of one direction of one call."""

    codec: str = "PCMA"
    ptime_ms: int = 20
    ip: IpVersion = IpVersion.V4
    srtp: Srtp = Srtp.NONE


def stream_kbits(shape: ChannelShape, layer: Layer = Layer.WIRE) -> float:
    """RTP alone, counted up to `layer`.

    Raises: ValueError: unknown codec or a packet of no length.
    """
    codec = CODECS.get(shape.codec)
    rate = OTHERS_KBITS.get(shape.codec) if codec is None else codec.octets_a_second * 8 / 1000
    if rate is None:
        raise ValueError(f"no bit rate is known for codec {shape.codec!r}")
    if shape.ptime_ms <= 0:
        raise ValueError(f"ptime {shape.ptime_ms} ms")
    octets = math.ceil(rate * shape.ptime_ms / 8) + _RTP_OCTETS + _UDP_OCTETS + shape.ip.value + shape.srtp.value
    if layer is not Layer.IP:
        octets = max(_MINIMUM_FRAME_OCTETS, octets + _ETHERNET_OCTETS) - _ETHERNET_OCTETS + layer.value
    return octets * 8 / shape.ptime_ms


def channel_cost_kbits(shape: ChannelShape) -> float:
    """On the wire, RTCP included."""
    return stream_kbits(shape) * (1 + RTCP_SHARE)


def channel_kbits(shape: ChannelShape, floor_kbits: int = FLOOR_KBITS) -> int:
    """What is reserved for a channel: its cost in whole kbit/s, never below the floor."""
    # Rounded to nanobits first, so that a binary fraction does not turn 110 into 111.
    return max(floor_kbits, math.ceil(round(channel_cost_kbits(shape), 6)))
