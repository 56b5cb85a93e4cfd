"""SDP on one side, stream parameters of the media plane on the other: the only place that knows both (RFC 3264, RFC 4733)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from media.control import Codec, DescribeLeg, LegOpened
from media.frame import sent_ptime
from media.wire_cost import ChannelShape, IpVersion, channel_kbits
from sip.errors import OfferRefused, ParseError
from sip.sdp.description import Direction, SessionDescription
from sip.sdp.offer_answer import (
    DEFAULT_PTIME_MS,
    PCMA,
    PCMU,
    Capabilities,
    LocalMedia,
    NegotiatedAudio,
    audio_offer,
    audio_slot,
    check_offer,
    read_answer,
    reoffer,
)
from sip.sdp.offer_answer import answer as answer_offer
from sip.sdp.parser import parse_sdp

_PAYLOAD_TYPES = {"PCMA": PCMA, "PCMU": PCMU}


class NoCommonMedia(Exception):
    """Offer or answer cannot be used; `warning` is the warn-code of RFC 3261 §20.43 to answer with."""

    def __init__(self, text: str, warning: int = 305) -> None:
        super().__init__(text)
        self.warning = warning


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """What was agreed on for one leg, and our description that led there."""

    audio: NegotiatedAudio
    local: SessionDescription

    @property
    def codec(self) -> Codec:
        return "PCMU" if self.audio.codec.encoding.upper() == "PCMU" else "PCMA"

    @property
    def is_hold(self) -> bool:
        """The far end put us on hold (RFC 3264 §8.4)."""
        return self.audio.is_held_by_remote

    @property
    def takes_events(self) -> bool:
        """The far end takes keys as RFC 4733 events."""
        return self.audio.telephone_event is not None

    def describe(
        self,
        leg: str,
        silence_timeout_s: float,
        *,
        signals_from: Iterable[str] = (),
        until_heard: bool = False,
        digits_by_info: bool = False,
    ) -> DescribeLeg:
        audio = self.audio
        return DescribeLeg(
            leg=leg,
            remote_address=audio.remote_address,
            remote_port=audio.remote_port,
            remote_rtcp_port=audio.remote_rtcp_port,
            codec=self.codec,
            payload_type=audio.codec.number,
            ptime_ms=sent_ptime(audio.ptime_ms),
            asks_ptime=audio.asks_ptime,
            maxptime_ms=audio.maxptime_ms,
            digits_by_info=digits_by_info,
            telephone_event=audio.telephone_event,
            receive_telephone_event=audio.receive_telephone_event,
            renumbered_telephone_event=audio.renumbered_telephone_event,
            sends=audio.direction.sends,
            receives=audio.direction.receives,
            silence_timeout_s=silence_timeout_s,
            signals_from=tuple(sorted(signals_from)),
            until_heard=until_heard,
        )


@lru_cache(maxsize=16)
def _capabilities(codecs: tuple[Codec, ...]) -> Capabilities:
    return Capabilities(codecs=tuple(_PAYLOAD_TYPES[codec] for codec in codecs))


def _local(media: LegOpened) -> LocalMedia:
    return LocalMedia(media.address, media.rtp_port, media.rtcp_port)


def offer(media: LegOpened, codecs: tuple[Codec, ...], session_id: int, previous: SessionDescription | None = None) -> SessionDescription:
    """Our offer for a leg; with `previous`, the next one in the same session."""
    if previous is not None:
        return reoffer(previous, _local(media), capabilities=_capabilities(codecs))
    return audio_offer(_local(media), session_id=session_id, capabilities=_capabilities(codecs))


def moved(previous: SessionDescription, media: LegOpened, codec: Codec) -> SessionDescription:
    """The offer that our side of a session is elsewhere now (RFC 3264 §8.3.1): codec and directions stay as they were agreed on."""
    slot = audio_slot(previous)
    direction = Direction.SENDRECV if slot is None else previous.direction_of(previous.media[slot])
    return reoffer(previous, _local(media), capabilities=_capabilities((codec,)), direction=direction)


def names(description: SessionDescription, media: LegOpened) -> bool:
    """Whether the far end that has this description sends to these ports."""
    slot = audio_slot(description)
    if slot is None:
        return False
    connection = description.connection_of(description.media[slot])
    return connection is not None and (connection.address, description.media[slot].port) == (media.address, media.rtp_port)


def answer(
    offered: SessionDescription,
    media: LegOpened,
    codecs: tuple[Codec, ...],
    session_id: int,
    previous: SessionDescription | None = None,
) -> tuple[SessionDescription, MediaPlan]:
    """Our answer to the far end's offer, and what it amounts to.

    Raises: NoCommonMedia: nothing in it that we can carry.
    """
    try:
        answered = answer_offer(offered, _local(media), session_id=session_id, previous=previous, capabilities=_capabilities(codecs))
    except OfferRefused as error:
        raise NoCommonMedia(str(error), error.warning_code) from error
    return answered.description, MediaPlan(answered.audio, answered.description)


def agreed(ours: SessionDescription, answered: bytes | None) -> MediaPlan:
    """What the far end's answer to our offer amounts to.

    Raises: NoCommonMedia: it does not fit the offer, or there is none.
    """
    if answered is None:
        raise NoCommonMedia("the answer has no session description")
    try:
        return MediaPlan(read_answer(ours, parse_sdp(answered)), ours)
    except (OfferRefused, ParseError) as error:
        raise NoCommonMedia(str(error), getattr(error, "warning_code", 399)) from error


def read(offered: bytes, address: str) -> SessionDescription:
    """The far end's offer, which we can answer from this address of ours: known before ports are taken for it.

    Raises: NoCommonMedia: it cannot be read, there is no audio stream that we can carry, or nothing of ours gets to where it is.
    """
    try:
        description = parse_sdp(offered)
        check_offer(description, address)
    except ParseError as error:
        raise NoCommonMedia(str(error), 399) from error
    except OfferRefused as error:
        raise NoCommonMedia(str(error), error.warning_code) from error
    return description


def offered_kbits(offered: SessionDescription) -> int:
    """Wire cost of one direction of the offered channel at its packet time and IP version, never below the floor (R9)."""
    audio = next(media for media in offered.media if media.media == "audio" and media.port)
    connection = offered.connection_of(audio)
    version = IpVersion.V6 if connection is not None and connection.address_type == "IP6" else IpVersion.V4
    return channel_kbits(ChannelShape(ptime_ms=audio.ptime or DEFAULT_PTIME_MS, ip=version))
