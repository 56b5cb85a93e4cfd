"""All codecs of the house, in our order of preference, and the tables that turn one wire form into another (RFC 3551 §6).

Nothing else lists codecs: what SDP offers, what a worker takes, what an API accepts, what a channel costs and how it scores is read from
here. A codec more is its own file and one row.
"""

from __future__ import annotations

from media.codecs.base import AudioCodec
from media.codecs.g711 import ALAW_TO_ULAW, PCMA, PCMU, ULAW_TO_ALAW
from media.codecs.g722 import G722
from media.codecs.linear import LINEAR
from media.codecs.opus import OPUS

_LISTED: tuple[AudioCodec, ...] = (
    PCMA,
    PCMU,
    G722,
    OPUS,
)

CODECS: dict[str, AudioCodec] = {codec.name: codec for codec in _LISTED}
"""By name."""

USUAL = ("PCMA", "PCMU")
"""What is offered where nobody has said otherwise: what every telephone has, and what costs a relay nothing."""

CONVERSIONS: dict[tuple[str, str], bytes | None] = {(name, name): None for name in CODECS} | {
    ("PCMA", "PCMU"): ALAW_TO_ULAW,
    ("PCMU", "PCMA"): ULAW_TO_ALAW,
}
"""(from, to) -> table for `bytes.translate`; None: the payload passes as it is. A pair that is not here is transcoded: `transcoder`."""

FIRST_DYNAMIC = 96
"""RFC 3551 §6: payload types from here to 127 mean what a description says, and nothing by themselves."""


def kept_as(name: str) -> str:
    """What audio of a codec is kept in on a time line of octets: that codec, or linear where its packets cannot be laid on one."""
    return LINEAR.name if CODECS[name].is_uneven else name


def kept(name: str) -> AudioCodec:
    """The codec of what is kept."""
    return LINEAR if name == LINEAR.name else CODECS[name]


def of_rtpmap(name: str, clock_rate: int, channels: int = 1) -> AudioCodec | None:
    """The codec of an `a=rtpmap` (RFC 8866 §6.6): the name in whatever case, at its rate and with its channels. PCMA at 16 kHz or in stereo
    is none of ours, and Opus without its two (RFC 7587 §7) is none at all.
    """
    codec = CODECS.get(name) or next((codec for codec in CODECS.values() if codec.name.upper() == name.upper()), None)
    return codec if codec is not None and (codec.clock_rate, codec.channels) == (clock_rate, channels) else None


def of_payload_type(number: int) -> AudioCodec | None:
    """What a static payload type means without a word about it."""
    return next((codec for codec in CODECS.values() if codec.payload_type == number < FIRST_DYNAMIC), None)
