"""SDP on one side, stream parameters of the media plane on the other: the only place that knows both (RFC 3264, RFC 4733, RFC 4568)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from acd.core.inputs import AudioProtection
from media.codecs.base import AudioCodec
from media.codecs.registry import CODECS, CONVERSIONS, USUAL, of_rtpmap
from media.control import Codec, DescribeLeg, LegOpened
from media.frame import sent_ptime
from media.transport.keys import SrtpKeys, Suite
from media.wire_cost import SRTP_OF, ChannelShape, IpVersion, Srtp, channel_kbits
from sip.errors import OfferRefused, ParseError
from sip.sdp.crypto import AgreedKeys, KeySource, SrtpTerms, SrtpUse, fresh, lines
from sip.sdp.description import Direction, PayloadType, SessionDescription
from sip.sdp.offer_answer import (
    DEFAULT_PTIME_MS,
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
        codec = _codec_of(self.audio.codec)
        assert codec is not None, "only what is in the registry is offered and answered"
        return codec.name

    @property
    def is_hold(self) -> bool:
        """The far end put us on hold (RFC 3264 §8.4)."""
        return self.audio.is_held_by_remote

    @property
    def takes_events(self) -> bool:
        """The far end takes keys as RFC 4733 events."""
        return self.audio.telephone_event is not None

    @property
    def is_protected(self) -> bool:
        """It has keys."""
        return self.audio.srtp is not None

    @property
    def protection(self) -> tuple[AudioProtection, str | None]:
        """What protects the audio, and the suite where the descriptions name it: a handshake of DTLS chooses its own."""
        if self.audio.dtls is not None:
            return "dtls", None
        return ("none", None) if self.audio.srtp is None else ("sdes", self.audio.srtp.suite)

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
            receive_payload_type=None if audio.receive_payload_type == audio.codec.number else audio.receive_payload_type,
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
            srtp=_keys(audio.srtp),
        )


def _keys(agreed: AgreedKeys | None) -> SrtpKeys | None:
    return None if agreed is None else SrtpKeys(suite=Suite(agreed.suite), send=agreed.send, receive=agreed.receive)


def _payload_type(codec: Codec) -> PayloadType:
    listed = CODECS[codec]
    return PayloadType(listed.payload_type, listed.name, listed.clock_rate)


@lru_cache(maxsize=64)
def capabilities(codecs: tuple[Codec, ...]) -> Capabilities:
    """What to offer, in this order.

    Raises: KeyError: a name that is not in the registry.
    """
    return Capabilities(codecs=tuple(_payload_type(codec) for codec in codecs))


def preferred(codecs: Iterable[Codec], own: Codec | None, spoken: Codec | None, likely: Codec | None = None) -> tuple[Codec, ...]:
    """The codecs of one side in the order they are offered in.

    Args:
        own: what this side speaks already: a session keeps its codec.
        spoken: what the other party speaks: first that, then what a table makes of it, last what must be decoded for it.
        likely: what it will speak, while it speaks nothing: only what must be decoded for that goes to the end.
    """
    beside = spoken or likely
    return tuple(
        sorted(codecs, key=lambda codec: (codec != own, codec != spoken, beside is not None and (beside, codec) not in CONVERSIONS))
    )


def _codec_of(one: PayloadType) -> AudioCodec | None:
    return of_rtpmap(one.encoding, one.clock_rate, one.channels)


def likely(offered: SessionDescription, codecs: tuple[Codec, ...]) -> Codec | None:
    """What this offer will be answered with by a side that has these codecs, if nothing else comes to be known."""
    slot = audio_slot(offered)
    known = () if slot is None else (_codec_of(one) for one in offered.media[slot].payload_types)
    return next((codec.name for codec in known if codec is not None and codec.name in (*codecs, *USUAL)), None)


def _able(
    offered: SessionDescription,
    address: str,
    codecs: tuple[Codec, ...],
    own: Codec | None,
    spoken: Codec | None,
    srtp: SrtpTerms | None,
) -> Capabilities:
    """What the offer is answered from. First what the session has; then what the other party speaks, then what a table makes of it; then
    the codecs of this side, G.711 always among them; and rather than refuse a call, whatever the house knows.
    """
    listed = tuple(dict.fromkeys((*codecs, *USUAL)))
    same = tuple(one for one in listed if one == spoken)
    near = tuple(one for one in listed if (spoken, one) in CONVERSIONS)
    for choice in ((own,) if own else (), same, near, listed):
        if choice and _is_in(offered, address, capabilities(choice), srtp):
            return capabilities(choice)
    return capabilities(tuple(CODECS))


def _is_in(offered: SessionDescription, address: str, able: Capabilities, srtp: SrtpTerms | None) -> bool:
    try:
        check_offer(offered, address, capabilities=able, srtp=srtp)
    except OfferRefused:
        return False
    return True


def _local(media: LegOpened) -> LocalMedia:
    return LocalMedia(media.address, media.rtp_port, media.rtcp_port)


def offer(
    media: LegOpened,
    codecs: tuple[Codec, ...],
    session_id: int,
    previous: SessionDescription | None = None,
    *,
    srtp: SrtpTerms | None = None,
) -> SessionDescription:
    """Our offer for a leg; with `previous`, the next one in the same session, under the same key if it has one."""
    able = capabilities(codecs)
    if previous is not None:
        return reoffer(previous, _local(media), capabilities=able, agreed=srtp.agreed if srtp is not None else None)
    if srtp is None or not srtp.use.offers_keys:
        return audio_offer(_local(media), session_id=session_id, capabilities=able)
    is_secure = srtp.use is SrtpUse.REQUIRED
    return audio_offer(_local(media), session_id=session_id, capabilities=able, crypto=fresh(srtp.draw), is_secure=is_secure)


def moved(
    previous: SessionDescription, media: LegOpened, codec: Codec, *, agreed: AgreedKeys | None = None, draw: KeySource | None = None
) -> SessionDescription:
    """The offer that our side of a session is elsewhere now (RFC 3264 §8.3.1): codec and directions stay as they were agreed on.

    Args:
        agreed: what protects it; our key is drawn anew, since what libsrtp knew of the streams under the old one is lost.
    """
    slot = audio_slot(previous)
    direction = Direction.SENDRECV if slot is None else previous.direction_of(previous.media[slot])
    renewed = draw(len(agreed.send)) if agreed is not None and draw is not None else None
    return reoffer(previous, _local(media), capabilities=capabilities((codec,)), direction=direction, agreed=agreed, renewed=renewed)


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
    *,
    own: Codec | None = None,
    spoken: Codec | None = None,
    srtp: SrtpTerms | None = None,
) -> tuple[SessionDescription, MediaPlan]:
    """Our answer to the far end's offer, and what it amounts to.

    Args:
        codecs: of this side. Of them the first of the offer is taken (RFC 3264 §6.1), unless one of the next two says otherwise.
        own: what this session speaks already: it stays with that where the offer still has it.
        spoken: what the other party speaks: rather the same, else what a table makes of it, than what must be decoded.
        srtp: None: no keys are taken.
    Raises: NoCommonMedia: nothing in it that we can carry.
    """
    try:
        able = _able(offered, media.address, codecs, own, spoken, srtp)
        answered = answer_offer(offered, _local(media), session_id=session_id, previous=previous, capabilities=able, srtp=srtp)
    except OfferRefused as error:
        raise NoCommonMedia(str(error), error.warning_code) from error
    return answered.description, MediaPlan(answered.audio, answered.description)


def agreed(ours: SessionDescription, answered: bytes | None, *, is_protected: bool = False) -> MediaPlan:
    """What the far end's answer to our offer amounts to.

    Args:
        is_protected: the session has keys, which are not given up.
    Raises: NoCommonMedia: it does not fit the offer, or there is none.
    """
    if answered is None:
        raise NoCommonMedia("the answer has no session description")
    try:
        return MediaPlan(read_answer(ours, parse_sdp(answered), is_protected=is_protected), ours)
    except (OfferRefused, ParseError) as error:
        raise NoCommonMedia(str(error), getattr(error, "warning_code", 399)) from error


def read(offered: bytes, address: str, *, srtp: SrtpTerms | None = None) -> SessionDescription:
    """The far end's offer, which we can answer from this address of ours: known before ports are taken for it.

    Raises: NoCommonMedia: it cannot be read, there is no audio stream that we can carry, or nothing of ours gets to where it is.
    """
    try:
        description = parse_sdp(offered)
        check_offer(description, address, capabilities=capabilities(tuple(CODECS)), srtp=srtp)
    except ParseError as error:
        raise NoCommonMedia(str(error), 399) from error
    except OfferRefused as error:
        raise NoCommonMedia(str(error), error.warning_code) from error
    return description


def offered_kbits(offered: SessionDescription, use: SrtpUse = SrtpUse.OFF) -> int:
    """Wire cost of one direction of the offered channel at its packet time and IP version, never below the floor (R9): of the dearest
    codec that it may come to, with the tag of the keys that will be taken.
    """
    audio = next(media for media in offered.media if media.media == "audio" and media.port)
    connection = offered.connection_of(audio)
    version = IpVersion.V6 if connection is not None and connection.address_type == "IP6" else IpVersion.V4
    ptime_ms = audio.ptime or DEFAULT_PTIME_MS
    known = [codec.name for one in audio.payload_types if (codec := _codec_of(one)) is not None]
    line = next(iter(lines(audio)), None) if use.takes_keys else None
    tag = Srtp.NONE if line is None else SRTP_OF[Suite(line.suite)]
    return max((channel_kbits(ChannelShape(codec, ptime_ms, version, tag)) for codec in known), default=channel_kbits(ChannelShape()))
