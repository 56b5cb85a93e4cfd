"""SDP on one side, stream parameters of the media plane on the other (RFC 3264, RFC 4568, RFC 4733, RFC 5763, RFC 8829).

The only place that knows both.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from msgspec import structs

from acd.codecs import COMFORT_NOISE
from acd.core.inputs import AudioProtection
from media.codecs.base import AudioCodec
from media.codecs.registry import CODECS, CONVERSIONS, USUAL, of_rtpmap
from media.control import Browser, Codec, DescribeLeg, LegOpened
from media.frame import sent_ptime
from media.transport.ice import Credentials
from media.transport.keys import SrtpKeys, Suite
from sip.errors import OfferRefused, ParseError
from sip.sdp import webrtc
from sip.sdp.crypto import AgreedKeys, KeySource, SrtpTerms, SrtpUse, fresh
from sip.sdp.description import Direction, PayloadType, SessionDescription
from sip.sdp.offer_answer import (
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

_MINPTIME = re.compile(r"(?:^|;)\s*minptime=(\d{1,3})\s*(?:;|$)", re.ASCII)


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
        codec = codec_of(self.audio.codec)
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
        """It has keys, or makes them with a handshake."""
        return self.audio.srtp is not None or self.audio.dtls is not None

    @property
    def is_page(self) -> bool:
        """The far end is a browser."""
        return self.audio.dtls is not None and self.audio.dtls.has_ice

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
        ice: Credentials | None = None,
    ) -> DescribeLeg:
        """Args:
        ice: ours, which a browser has been told last.
        """
        audio = self.audio
        return DescribeLeg(
            leg=leg,
            remote_address=audio.remote_address,
            remote_port=audio.remote_port,
            remote_rtcp_port=audio.remote_rtcp_port,
            codec=self.codec,
            payload_type=audio.codec.number,
            receive_payload_type=None if audio.receive_payload_type == audio.codec.number else audio.receive_payload_type,
            ptime_ms=_ptime(audio),
            asks_ptime=audio.asks_ptime,
            fmtp=audio.codec.fmtp or "",
            maxptime_ms=audio.maxptime_ms,
            digits_by_info=digits_by_info,
            telephone_event=audio.telephone_event,
            receive_telephone_event=audio.receive_telephone_event,
            renumbered_telephone_event=audio.renumbered_telephone_event,
            comfort_noise=audio.comfort_noise,
            receive_comfort_noise=audio.receive_comfort_noise,
            sends=audio.direction.sends,
            receives=audio.direction.receives,
            silence_timeout_s=silence_timeout_s,
            signals_from=tuple(sorted(signals_from)),
            until_heard=until_heard,
            browser=_browser(audio.dtls, ice),
            srtp=_keys(audio.srtp),
        )


def _ptime(audio: NegotiatedAudio) -> int:
    """What we send in, as the peer asks; of Opus no less than its `minptime` (RFC 7587 §6.1)."""
    least = _MINPTIME.search(audio.codec.fmtp or "")
    return sent_ptime(max(audio.ptime_ms, int(least[1])) if least is not None else audio.ptime_ms)


def _keys(agreed: AgreedKeys | None) -> SrtpKeys | None:
    return None if agreed is None else SrtpKeys(suite=Suite(agreed.suite), send=agreed.send, receive=agreed.receive)


def _browser(agreed: webrtc.Agreed | None, ice: Credentials | None) -> Browser | None:
    if agreed is None:
        return None
    return Browser(
        fingerprints=tuple(map(str, agreed.peer.fingerprints)),
        is_client=agreed.is_client,
        ice=ice if agreed.has_ice else None,
        has_ice=agreed.has_ice,
    )


def draw_ice(draw: KeySource) -> Credentials:
    """New ones, of 48 and 144 bits (RFC 8445 §5.3: at least 24 and 128)."""
    return Credentials(base64.b64encode(draw(6)).decode(), base64.b64encode(draw(18)).decode())


def to_page(media: LegOpened, ice: Credentials, addresses: tuple[str, ...] = (), before: MediaPlan | None = None) -> webrtc.Ours:
    """What is said of a leg to a browser.

    Args:
        addresses: where it is reached from outside, best first; none: where its ports are.
        before: what was agreed on with that browser: who began the handshake stays who begins it (RFC 8842 §5.3).
    """
    algorithm, _, digest = media.fingerprint.partition(" ")
    is_client = before is not None and before.audio.dtls is not None and before.audio.dtls.is_client
    return webrtc.Ours(
        ice.ufrag,
        ice.pwd,
        webrtc.Fingerprint(algorithm, digest),
        addresses=addresses,
        role=webrtc.Setup.ACTIVE if is_client else webrtc.Setup.PASSIVE,
    )


def restarts_ice(offered: SessionDescription, before: MediaPlan | None) -> bool:
    """Whether a browser's new offer begins ICE anew: then it is answered with new credentials (RFC 8839 §4.4.1.1.1).

    Raises: NoCommonMedia: what it says of itself cannot be used.
    """
    slot = audio_slot(offered)
    if before is None or before.audio.dtls is None or slot is None or not (before.is_page and webrtc.is_of_page(offered)):
        return False
    try:
        return webrtc.read(offered, offered.media[slot]).restarts_ice(before.audio.dtls.peer)
    except OfferRefused as error:
        raise NoCommonMedia(str(error), error.warning_code) from error


def _payload_type(codec: Codec) -> PayloadType:
    listed = CODECS[codec]
    return PayloadType(listed.payload_type, listed.name, listed.clock_rate, listed.channels, listed.fmtp or None)


@lru_cache(maxsize=64)
def capabilities(codecs: tuple[Codec, ...], ptime_ms: int | None = None) -> Capabilities:
    """What to offer, in this order; `acd.codecs.COMFORT_NOISE` among them stands beside whatever has its clock.

    Args:
        ptime_ms: packets are to be as long, in both directions; None: as the other side asks.
    Raises: KeyError: a name that is not in the registry.
    """
    offered, noise = tuple(_payload_type(codec) for codec in codecs if codec != COMFORT_NOISE), COMFORT_NOISE in codecs
    if ptime_ms is None:
        return Capabilities(codecs=offered, offers_noise=noise)
    return Capabilities(codecs=offered, offers_noise=noise, ptime_ms=ptime_ms, insists_on_ptime=True)


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


def codec_of(one: PayloadType) -> AudioCodec | None:
    """The codec of the house that a payload type stands for."""
    return of_rtpmap(one.encoding, one.clock_rate, one.channels)


def likely(offered: SessionDescription, codecs: tuple[Codec, ...]) -> Codec | None:
    """What this offer will be answered with by a side that has these codecs, if nothing else comes to be known."""
    slot = audio_slot(offered)
    known = () if slot is None else (codec_of(one) for one in offered.media[slot].payload_types)
    return next((codec.name for codec in known if codec is not None and codec.name in (*codecs, *USUAL)), None)


def _able(
    offered: SessionDescription,
    address: str,
    codecs: tuple[Codec, ...],
    own: Codec | None,
    spoken: Codec | None,
    srtp: SrtpTerms | None,
    ptime_ms: int | None,
    *,
    is_page: bool,
) -> Capabilities:
    """What the offer is answered from. First what the session has; then what the other party speaks, then what a table makes of it; then
    the codecs of this side, G.711 always among them; and rather than refuse a call, whatever the house knows.
    """
    listed = tuple(dict.fromkeys((*codecs, *USUAL)))
    same = tuple(one for one in listed if one == spoken)
    near = tuple(one for one in listed if (spoken, one) in CONVERSIONS)
    for choice in ((own,) if own else (), same, near, listed):
        if choice and _is_in(offered, address, capabilities(choice), srtp, is_page=is_page):
            return capabilities(choice, ptime_ms)
    return capabilities(tuple(CODECS), ptime_ms)


def _is_in(offered: SessionDescription, address: str, able: Capabilities, srtp: SrtpTerms | None, *, is_page: bool) -> bool:
    try:
        check_offer(offered, address, capabilities=able, srtp=srtp, is_browser=is_page, shakes_hands=True)
    except OfferRefused:
        return False
    return True


def _local(media: LegOpened, dtls: webrtc.Ours | None = None) -> LocalMedia:
    return LocalMedia(media.address, media.rtp_port, media.rtcp_port, dtls)


def _shaking(media: LegOpened, shaken: webrtc.Agreed | None = None) -> LocalMedia:
    """The same with what we say to a phone that shakes hands; the worker's certificate is told when the leg is opened.

    Args:
        shaken: whose association it is: our role in it stays as it was (RFC 8842 §5.3).
    """
    local = _local(media)
    if not media.fingerprint:
        return local
    role = webrtc.Setup.PASSIVE if shaken is None else shaken.role
    return structs.replace(local, dtls=webrtc.Ours("", "", webrtc.Fingerprint(*media.fingerprint.split(" ", 1)), role=role))


def offer(
    media: LegOpened,
    codecs: tuple[Codec, ...],
    session_id: int,
    previous: SessionDescription | None = None,
    *,
    srtp: SrtpTerms | None = None,
    dtls: webrtc.Ours | None = None,
    ptime_ms: int | None = None,
) -> SessionDescription:
    """Our offer for a leg; with `previous`, the next one in the same session, under the same key if it has one.

    Args:
        dtls: it is for a browser.
        ptime_ms: as for `capabilities`.
    """
    able, local = capabilities(codecs, ptime_ms), _local(media, dtls)
    if previous is not None:
        shaken = srtp.shaken if srtp is not None else None
        local = local if dtls is not None or shaken is None else _shaking(media, shaken)
        return reoffer(previous, local, capabilities=able, agreed=srtp.agreed if srtp is not None else None)
    if dtls is not None or srtp is None or not srtp.use.offers_keys:
        return audio_offer(local, session_id=session_id, capabilities=able)
    if srtp.use is SrtpUse.DTLS:
        return audio_offer(_shaking(media), session_id=session_id, capabilities=able)
    local = _shaking(media) if srtp.offers_both else local
    is_secure = srtp.use is SrtpUse.REQUIRED
    return audio_offer(local, session_id=session_id, capabilities=able, crypto=fresh(srtp.draw), is_secure=is_secure)


def moved(
    previous: SessionDescription,
    media: LegOpened,
    codec: Codec,
    *,
    agreed: AgreedKeys | None = None,
    draw: KeySource | None = None,
    dtls: webrtc.Ours | None = None,
    shaken: webrtc.Agreed | None = None,
    ptime_ms: int | None = None,
) -> SessionDescription:
    """The offer that our side of a session is elsewhere now (RFC 3264 §8.3.1): codec and directions stay as they were agreed on.

    Args:
        agreed: what protects it; our key is drawn anew, since what libsrtp knew of the streams under the old one is lost.
        dtls: as a browser is to know us there: another fingerprint, which begins another association, and ICE anew.
        shaken: the association that protects it; the other worker has another certificate, and so another one begins.
        ptime_ms: as for `capabilities`.
    """
    slot = audio_slot(previous)
    direction = Direction.SENDRECV if slot is None else previous.direction_of(previous.media[slot])
    has_noise = slot is not None and any(one.is_comfort_noise for one in previous.media[slot].payload_types)
    codecs = (codec, COMFORT_NOISE) if has_noise else (codec,)
    renewed = draw(len(agreed.send)) if agreed is not None and draw is not None else None
    able = capabilities(codecs, ptime_ms)
    local = _local(media, dtls) if dtls is not None or shaken is None else _shaking(media)
    return reoffer(previous, local, capabilities=able, direction=direction, agreed=agreed, renewed=renewed)


def names(description: SessionDescription, media: LegOpened) -> bool:
    """Whether the far end that has this description sends to these ports."""
    slot = audio_slot(description)
    if slot is None:
        return False
    ours = description.media[slot]
    if ours.proto in webrtc.PROTOS:  # under whatever address it was told of
        return (ours.attribute("fingerprint"), ours.port) == (media.fingerprint, media.rtp_port)
    connection = description.connection_of(ours)
    return connection is not None and (connection.address, ours.port) == (media.address, media.rtp_port)


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
    dtls: webrtc.Ours | None = None,
    ptime_ms: int | None = None,
) -> tuple[SessionDescription, MediaPlan]:
    """Our answer to the far end's offer, and what it amounts to.

    Args:
        codecs: of this side. Of them the first of the offer is taken (RFC 3264 §6.1), unless one of the next two says otherwise.
        own: what this session speaks already: it stays with that where the offer still has it.
        spoken: what the other party speaks: rather the same, else what a table makes of it, than what must be decoded.
        srtp: None: no keys are taken.
        dtls: it is a browser's, and a stream over DTLS is taken and no other.
        ptime_ms: as for `capabilities`.
    Raises: NoCommonMedia: nothing in it that we can carry.
    """
    try:
        able = _able(offered, media.address, codecs, own, spoken, srtp, ptime_ms, is_page=dtls is not None)
        local = _shaking(media, srtp.shaken) if srtp is not None and dtls is None else _local(media, dtls)
        answered = answer_offer(offered, local, session_id=session_id, previous=previous, capabilities=able, srtp=srtp)
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
        is_page = webrtc.is_of_page(description)
        check_offer(description, address, capabilities=capabilities(tuple(CODECS)), srtp=srtp, is_browser=is_page, shakes_hands=True)
    except ParseError as error:
        raise NoCommonMedia(str(error), 399) from error
    except OfferRefused as error:
        raise NoCommonMedia(str(error), error.warning_code) from error
    return description
