"""Offer and answer for one audio stream: RFC 3264, with telephone-event (RFC 4733 §2.4), comfort noise (RFC 3389), RTCP ports (RFC 3605,
RFC 5761), both kinds of hold, and keys (`sip.sdp.crypto`).

Who calls what:

    offerer   audio_offer(...) -> offer          later  read_answer(offer, answer) -> NegotiatedAudio
    answerer  answer(offer, ...) -> Answered(description, audio)
    re-offer  reoffer(previous, ...) -> offer    hold, resume, moved media: same m= lines, version + 1 (§8)

To a browser, and to a phone that shakes hands for its keys, the same is said with `LocalMedia.dtls`: see `webrtc`.

`OfferAnswer` keeps the turn: RFC 3264 names no states, ours follow JSEP (RFC 8829 §3.2). An input that its table does not have is
refused with the status in `REFUSALS` when it came from the peer, and is our own bug (`IllegalTransition`) when it came from us.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

from sip.errors import IllegalTransition, LocalMisuse, OfferRefused, RemoteFault
from sip.machine import Edge, to
from sip.sdp import webrtc
from sip.sdp.crypto import PLAIN_PROTOS, SECURE_PROTOS, AgreedKeys, Crypto, SrtpTerms, has_lines
from sip.sdp.crypto import lines as crypto_lines
from sip.sdp.description import (
    MAX_PAYLOAD_TYPE,
    STATIC_PAYLOAD_TYPES,
    Attribute,
    Connection,
    Direction,
    MediaDescription,
    Origin,
    PayloadType,
    SessionDescription,
    connection_to,
    direction_of,
    known_attribute,
)

PCMU: Final = STATIC_PAYLOAD_TYPES[0]
PCMA: Final = STATIC_PAYLOAD_TYPES[8]
G711: Final = (PCMA, PCMU)
"""What is offered and taken by who says nothing else; whoever has more says so by `Capabilities`."""
TELEPHONE_EVENT: Final = PayloadType(101, "telephone-event", 8000, fmtp="0-16")
"""101 is what nearly every device uses; 0-16 are the keys and the hook flash (RFC 4733 §3.2)."""
TELEPHONE_EVENT_48K: Final = PayloadType(110, "telephone-event", 48_000, fmtp="0-16")
"""Beside what has that clock (RFC 4733 §2.1), which is Opus; 110 is Chromium's."""
COMFORT_NOISE: Final = STATIC_PAYLOAD_TYPES[13]
"""RFC 3389 §4: beside what has a clock of 8000."""

FIRST_DYNAMIC: Final = 96
"""RFC 3551 §6: payload types from here to 127 mean what a description says."""

_SENDRECV: Final = Direction.SENDRECV

DEFAULT_PTIME_MS: Final = 20
"""RFC 3551 §4.2: "default packetization interval of 20 ms"."""

# RFC 3261 §20.43, the warn-codes that speak of a session description.
WARNING_NETWORK_PROTOCOL: Final = 300
WARNING_NETWORK_ADDRESS: Final = 301
WARNING_TRANSPORT: Final = 302
WARNING_BANDWIDTH_UNITS: Final = 303
WARNING_MEDIA_TYPE: Final = 304
WARNING_MEDIA_FORMAT: Final = 305
WARNING_ATTRIBUTE: Final = 306
WARNING_PARAMETER: Final = 307
WARNING_MULTICAST: Final = 330
WARNING_UNICAST: Final = 331
WARNING_BANDWIDTH: Final = 370
WARNING_MISCELLANEOUS: Final = 399
WARNINGS: Final[dict[int, str]] = {
    WARNING_NETWORK_PROTOCOL: "Incompatible network protocol",
    WARNING_NETWORK_ADDRESS: "Incompatible network address formats",
    WARNING_TRANSPORT: "Incompatible transport protocol",
    WARNING_BANDWIDTH_UNITS: "Incompatible bandwidth units",
    WARNING_MEDIA_TYPE: "Media type not available",
    WARNING_MEDIA_FORMAT: "Incompatible media format",
    WARNING_ATTRIBUTE: "Attribute not understood",
    WARNING_PARAMETER: "Session description parameter not understood",
    WARNING_MULTICAST: "Multicast not available",
    WARNING_UNICAST: "Unicast not available",
    WARNING_BANDWIDTH: "Insufficient bandwidth",
    WARNING_MISCELLANEOUS: "Miscellaneous warning",
}
"""Warn-code -> what the standard calls it."""


class Capabilities(msgspec.Struct, frozen=True, cache_hash=True):
    """What we can do with audio.

    Attributes:
        codecs: in our order of preference.
        telephone_event: RFC 4733, at the clock of most codecs; None switches events off at every clock.
        other_events: the same at other clocks, for codecs that have those.
        offers_noise: comfort noise is in our offers; in answers it is wherever it is offered, but by a browser.
        ptime_ms: what we ask for.
        insists_on_ptime: the other side's wish for shorter packets is not heeded, as far as it takes longer ones (`a=maxptime`).
        offerer_chooses: True takes the first codec of the offer that we know, as RFC 3264 §6.1 recommends; False our own first.
    """

    codecs: tuple[PayloadType, ...] = G711
    telephone_event: PayloadType | None = TELEPHONE_EVENT
    other_events: tuple[PayloadType, ...] = (TELEPHONE_EVENT_48K,)
    offers_noise: bool = False
    ptime_ms: int = DEFAULT_PTIME_MS
    insists_on_ptime: bool = False
    offerer_chooses: bool = True

    @property
    def beside(self) -> tuple[PayloadType, ...]:
        """What is offered beside the codecs: noise and events at each clock that one of them has."""
        clocks = {codec.clock_rate for codec in self.codecs}
        noise = (COMFORT_NOISE,) if self.offers_noise else ()
        events = () if self.telephone_event is None else (self.telephone_event, *self.other_events)
        return tuple(one for one in (*noise, *events) if one.clock_rate in clocks)


class LocalMedia(msgspec.Struct, frozen=True):
    """Where we receive.

    Attributes:
        dtls: what we say of ourselves where keys come of a handshake. With ICE: to a browser, the stream goes over DTLS, and RTCP over the
            port of RTP. Without: to a phone, which may shake hands or not.
    """

    address: str
    port: int
    rtcp_port: int | None = None
    dtls: webrtc.Ours | None = None

    @property
    def is_for_browser(self) -> bool:
        return self.dtls is not None and self.dtls.has_ice

    @property
    def connection(self) -> Connection:
        """Where we say that we receive: for a browser the first address we advertise."""
        return connection_to(self.address if self.dtls is None or not self.dtls.addresses else self.dtls.addresses[0])

    def attributes(self) -> tuple[Attribute, ...]:
        """a=rtcp where RTCP is not on the port above (RFC 3605)."""
        return () if self.rtcp_port in {None, self.port + 1} else (Attribute("rtcp", str(self.rtcp_port)),)


class NegotiatedAudio(msgspec.Struct, frozen=True):
    """The stream both sides agreed on, seen from us.

    Attributes:
        codec: encoding, clock rate and the number to put into the packets we send.
        receive_payload_type: the number in the packets we get; differs when the answerer chose another number for its direction (§6.1).
        telephone_event: the number for the events we send; None when the peer takes none.
        receive_telephone_event: the number of the events we get.
        comfort_noise: the number of the noise we send (RFC 3389); None when the peer takes none.
        receive_comfort_noise: the number of the noise we get.
        renumbered_telephone_event: the peer's own number for events, where ours is another and its own means nothing else: by RFC 3264 §5.1
            and §6.1 it sends by ours, and there are devices that do not.
        ptime_ms: milliseconds in the packets we send: what the peer asks for.
        asks_ptime: it said so itself, or we insist on ours; else it is the default.
        maxptime_ms: the longest packets it takes, if it says so.
        remote_address, remote_port, remote_rtcp_address, remote_rtcp_port: where the peer receives; after latching only a first guess.
        rtcp_mux: RTCP goes to the RTP port.
        direction: what we do: SENDONLY means that we send and do not receive.
        dtls: the keys come of a handshake; with ICE that finds where to, and the remote addresses mean nothing.
        srtp: what protects it; None: it is plain.
    """

    codec: PayloadType
    receive_payload_type: int
    telephone_event: int | None
    receive_telephone_event: int | None
    ptime_ms: int
    remote_address: str
    remote_port: int
    remote_rtcp_address: str
    remote_rtcp_port: int
    rtcp_mux: bool
    direction: Direction
    asks_ptime: bool = False
    maxptime_ms: int | None = None
    renumbered_telephone_event: int | None = None
    comfort_noise: int | None = None
    receive_comfort_noise: int | None = None
    dtls: webrtc.Agreed | None = None
    srtp: AgreedKeys | None = None

    @property
    def is_held_by_remote(self) -> bool:
        """The peer does not want to hear us."""
        return not self.direction.sends


class Answered(msgspec.Struct, frozen=True):
    description: SessionDescription
    audio: NegotiatedAudio


@lru_cache(maxsize=256)
def _formats(
    codecs: tuple[PayloadType, ...],
    beside: tuple[PayloadType, ...],
    ptime_ms: int,
    direction: Direction,
    maxptime_ms: int | None = None,
) -> tuple[tuple[str, ...], tuple[Attribute, ...]]:
    """The fmt list of an m= line and the attributes that explain it, direction last.

    Remembered, as are the choices below: the same few phones offer and answer the same formats in every call.
    """
    listed = (*codecs, *beside)
    attributes = []
    for payload_type in listed:
        attributes.append(known_attribute("rtpmap", payload_type.rtpmap))
        if payload_type.fmtp is not None:
            attributes.append(known_attribute("fmtp", f"{payload_type.number} {payload_type.fmtp}"))
    attributes.append(known_attribute("ptime", str(ptime_ms)))
    if maxptime_ms is not None:
        attributes.append(known_attribute("maxptime", str(maxptime_ms)))
    attributes.append(known_attribute(direction.value, None))
    return tuple(str(payload_type.number) for payload_type in listed), tuple(attributes)


def audio_offer(
    local: LocalMedia,
    *,
    session_id: int,
    session_version: int = 1,
    capabilities: Capabilities | None = None,
    direction: Direction = Direction.SENDRECV,
    username: str = "-",
    crypto: tuple[Crypto, ...] = (),
    is_secure: bool = False,
) -> SessionDescription:
    """The offer of one audio stream (RFC 3264 §5.1).

    Args:
        crypto: keys that we may send under, best first: the answerer takes one (RFC 4568 §5.1.1), or shakes hands where there is a phone's
            `local.dtls`. With that and no keys it has to (RFC 5764 §8).
        is_secure: they are a condition (RTP/SAVP); else they may be left aside (RFC 8643 §3.1).
    Raises: LocalMisuse: no codec, or a number twice.
    """
    able = capabilities or Capabilities()
    longest = able.ptime_ms if able.insists_on_ptime else None
    formats, attributes = _formats(able.codecs, able.beside, able.ptime_ms, direction, longest)
    if not able.codecs or len(set(formats)) != len(formats):
        raise LocalMisuse(f"an offer needs codecs with different payload types, not {[int(number) for number in formats]}")
    connection = local.connection
    ours = local.dtls
    common: tuple[Attribute, ...] = ()
    if ours is not None and ours.has_ice:
        proto, common = webrtc.PROTO, webrtc.session_attributes(ours.mid)
        own = webrtc.stream_attributes(ours, webrtc.Setup.ACTPASS, ours.mid, local.address, local.port)
    else:
        proto, own = "RTP/SAVP" if is_secure else "RTP/AVP", local.attributes()
        if ours is not None:
            own += webrtc.phone_attributes(ours, webrtc.Setup.ACTPASS)
            if not crypto:
                proto, own = webrtc.PHONES_PROTO, (*own, Attribute("rtcp-mux"))
    return SessionDescription(
        origin=Origin(username, session_id, session_version, "IN", connection.address_type, connection.address),
        connection=connection,
        attributes=common,
        media=(
            MediaDescription("audio", local.port, proto, formats, attributes=(*own, *attributes, *[line.attribute() for line in crypto])),
        ),
    )


def revised(previous: SessionDescription, changed: SessionDescription) -> SessionDescription:
    """The changed description under the previous origin: the version grows by one if anything changed, and stays if not (§8)."""
    same_origin = msgspec.structs.replace(changed, origin=previous.origin)
    if same_origin == previous:
        return previous
    origin = msgspec.structs.replace(previous.origin, session_version=previous.origin.session_version + 1)
    return msgspec.structs.replace(changed, origin=origin)


def reoffer(
    previous: SessionDescription,
    local: LocalMedia,
    *,
    capabilities: Capabilities | None = None,
    direction: Direction = Direction.SENDRECV,
    agreed: AgreedKeys | None = None,
    renewed: bytes | None = None,
) -> SessionDescription:
    """A new offer in a session: hold, resume, other codecs, moved media.

    Args:
        previous: our own last description, offer or answer. Its m= lines keep their number and order; those refused stay refused (§8).
        local: with `dtls` where a handshake protects the session: it is offered again, and no line beside it.
        agreed: what protects the session: our line of it is offered again, as it is.
        renewed: the key that we shall send under from now on in place of that.
    """
    able = capabilities or Capabilities()
    slot = audio_slot(previous)
    if slot is not None:
        able = _numbered_as(previous.media[slot].payload_types, able)
    mid = None if slot is None else previous.media[slot].attribute("mid")
    if local.dtls is not None and local.dtls.has_ice and mid is not None:
        # RFC 8829 §5.2.2: the stream keeps its mid, whoever gave it.
        local = msgspec.structs.replace(local, dtls=msgspec.structs.replace(local.dtls, mid=mid))
    crypto = () if slot is None or local.dtls is not None else _kept_lines(previous.media[slot], agreed, renewed)
    fresh = audio_offer(local, session_id=previous.origin.session_id, capabilities=able, direction=direction, crypto=crypto)
    lines = [_turned_down(media, local) for media in previous.media]
    if slot is None:
        lines.append(fresh.media[0])
    else:
        lines[slot] = msgspec.structs.replace(fresh.media[0], proto=previous.media[slot].proto)
    return revised(previous, msgspec.structs.replace(fresh, media=tuple(lines)))


def _numbered_as(before: tuple[PayloadType, ...], able: Capabilities) -> Capabilities:
    """RFC 3264 §8.3.2: the number of a dynamic payload type must not come to mean something else within a session. What had one keeps it;
    what is new and would have one that is taken gets another.
    """
    taken = {one.number: one for one in before}

    def kept(one: PayloadType) -> PayloadType:
        if one.number < FIRST_DYNAMIC:
            return one
        same = next((other for other in before if other.same_format(one)), None)
        number = same.number if same is not None else one.number
        if same is None and number in taken:
            number = next(free for free in range(MAX_PAYLOAD_TYPE, FIRST_DYNAMIC - 1, -1) if free not in taken)
        taken[number] = one
        return msgspec.structs.replace(one, number=number)

    return msgspec.structs.replace(
        able,
        codecs=tuple(kept(one) for one in able.codecs),
        telephone_event=None if able.telephone_event is None else kept(able.telephone_event),
        other_events=tuple(kept(one) for one in able.other_events),
    )


def _turned_down(media: MediaDescription, local: LocalMedia) -> MediaDescription:
    return media.refused() if local.dtls is None else webrtc.refused(media)


def _kept_lines(ours: MediaDescription, agreed: AgreedKeys | None, renewed: bytes | None) -> tuple[Crypto, ...]:
    """Of the keys in our last description the one that is in force; all, where none is yet and there must be one."""
    had = crypto_lines(ours)
    if agreed is None:
        return had if ours.proto in SECURE_PROTOS else ()
    tag = next((line.tag for line in had if line.key == agreed.send), 1)
    return (Crypto(tag, agreed.suite, renewed or agreed.send),)


def audio_slot(description: SessionDescription) -> int | None:
    """The index of the first audio stream that is not refused."""
    for index, media in enumerate(description.media):
        if media.media == "audio" and media.port:
            return index
    return None


@lru_cache(maxsize=256)
def _common(offered: tuple[PayloadType, ...], able: Capabilities) -> tuple[PayloadType, PayloadType] | None:
    """The codec to use, as (theirs, ours)."""
    pairs = [(theirs, ours) for theirs in offered for ours in able.codecs if theirs.same_format(ours)]
    if not pairs:
        return None
    return pairs[0] if able.offerer_chooses else min(pairs, key=lambda pair: able.codecs.index(pair[1]))


@lru_cache(maxsize=256)
def _telephone_event(offered: tuple[PayloadType, ...], clock_rate: int) -> PayloadType | None:
    """RFC 4733 §2.1: events run on the clock of the audio stream they belong to."""
    for payload_type in offered:
        if payload_type.is_telephone_event and payload_type.clock_rate == clock_rate:
            return payload_type
    return None


@lru_cache(maxsize=256)
def _comfort_noise(offered: tuple[PayloadType, ...], clock_rate: int) -> PayloadType | None:
    """RFC 3389 §4: noise runs on the clock of the codec that it stands in for."""
    return next((one for one in offered if one.is_comfort_noise and one.clock_rate == clock_rate), None)


_ADDRESS_VERSIONS: Final = {"IP4": 4, "IP6": 6}


def _refused(code: int, what: str) -> OfferRefused:
    return OfferRefused(f"{WARNINGS[code]}: {what}", code)


@lru_cache(maxsize=1024)
def _check_reachable(connection: Connection, ours: str) -> None:
    """Whether packets can go from the socket with our address to where the peer says it receives.

    Raises: OfferRefused: 300 it is not of the internet, 330 a group, 301 a name (nobody asks DNS for media), an address of the other IP
        version, or one that no host has.
    """
    if connection.network_type != "IN":
        raise _refused(WARNING_NETWORK_PROTOCOL, f"network type {connection.network_type[:20]}")
    version = _ADDRESS_VERSIONS.get(connection.address_type)
    if version is None:
        raise _refused(WARNING_NETWORK_ADDRESS, f"address type {connection.address_type[:20]}")
    text = connection.address.partition("/")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise _refused(WARNING_NETWORK_ADDRESS, f"{text[:60]} is no literal address") from None
    if address.is_multicast:
        raise _refused(WARNING_MULTICAST, text)
    if connection.is_null:
        return  # hold (RFC 3264 §8.4), in whichever version
    if address.version != version or address.version != ipaddress.ip_address(ours).version:
        raise _refused(WARNING_NETWORK_ADDRESS, f"{text} cannot be reached from {ours}")
    # RFC 1122 §3.2.1.3: 0/8 and 240/4, the limited broadcast with it; RFC 4291 §2.5.6: a link-local one needs a zone, which SDP has not.
    if text.startswith("0.") or (address.is_reserved if version == 4 else address.is_link_local):
        raise _refused(WARNING_NETWORK_ADDRESS, f"{text} is the address of no host")


def _remote(description: SessionDescription, media: MediaDescription, ours: str, *, is_browser: bool) -> tuple[Connection, Direction]:
    """Where the peer receives, and its direction with the old hold understood (RFC 3264 §8.4: c=0.0.0.0 says "do not send to me").

    Args:
        ours: the address our packets come from.
        is_browser: ICE finds the peer.
    """
    connection = description.connection_of(media)
    if connection is None:
        raise _refused(WARNING_NETWORK_ADDRESS, "no connection address")
    if is_browser:
        # RFC 8839 §4.3.1: the null address says here that ICE will find one, and is no hold.
        return connection, description.direction_of(media)
    _check_reachable(connection, ours)
    direction = description.direction_of(media)
    if connection.is_null:
        direction = direction_of(sends=direction.sends, receives=False)
    return connection, direction


def check_offer(
    offer: SessionDescription,
    address: str,
    *,
    capabilities: Capabilities | None = None,
    srtp: SrtpTerms | None = None,
    is_browser: bool = False,
    shakes_hands: bool = False,
) -> int:
    """The index of the stream that `answer` would accept from a socket with this address: known before ports are taken for it.

    Args:
        is_browser: the stream is to go over DTLS, and no other.
        shakes_hands: it may, with a phone: there will be a `LocalMedia.dtls`.
    Raises: OfferRefused: as `answer`.
    """
    return _select(offer, capabilities or Capabilities(), address, srtp, is_browser=is_browser, shakes_hands=shakes_hands)[0]


def _protection(
    offer: SessionDescription, media: MediaDescription, srtp: SrtpTerms | None, *, shakes_hands: bool
) -> tuple[int, Crypto | webrtc.Peer | None]:
    """Whether a phone's stream can be taken: 0, or the warning to refuse it with; and what protects it: the first line that we can do
    (RFC 4568 §5.1.2), else a handshake.

    Raises: OfferRefused: as `webrtc.read`, where there is nothing but a handshake.
    """
    takes_keys = srtp is not None and srtp.use.takes_keys
    takes_plain = srtp is None or srtp.takes_plain
    if media.proto in webrtc.PROTOS:
        return (0, webrtc.read(offer, media, has_ice=False)) if takes_keys and shakes_hands else (WARNING_TRANSPORT, None)
    is_plain = media.proto in PLAIN_PROTOS
    if not is_plain and (media.proto not in SECURE_PROTOS or not takes_keys):
        return WARNING_TRANSPORT, None
    if srtp is not None and takes_keys:
        line = next(iter(crypto_lines(media)), None) if srtp.shaken is None else None
        if line is not None:
            return 0, line
        if shakes_hands and webrtc.has_fingerprint(offer, media):
            try:
                return 0, webrtc.read(offer, media, has_ice=False)
            except OfferRefused:
                if not takes_plain or not is_plain:
                    raise
    if not is_plain:
        return WARNING_ATTRIBUTE, None
    return (0 if takes_plain else WARNING_TRANSPORT), None


def _select(
    offer: SessionDescription, able: Capabilities, ours: str, srtp: SrtpTerms | None, *, is_browser: bool, shakes_hands: bool
) -> tuple[int, tuple[PayloadType, PayloadType], Crypto | webrtc.Peer | None]:
    """The stream to accept, its codec as (theirs, ours), and its keys or with whom they are made. One over each IP version may be offered
    (RFC 5118 §4.9), and one plain beside one with keys: the first that we reach and may take is taken.

    Raises: OfferRefused: 304 no audio stream is offered, 302 none over a transport that we may take, 306 none with keys of use, 305 none
        with a codec of ours, or as `_check_reachable` or `webrtc.read`.
    """
    warning = WARNING_MEDIA_TYPE
    unreachable: OfferRefused | None = None
    for index, media in enumerate(offer.media):
        if media.media != "audio" or not media.port:
            continue
        keys: Crypto | webrtc.Peer | None = None
        try:
            if is_browser:
                unfit = 0 if media.proto in webrtc.PROTOS else WARNING_TRANSPORT
            else:
                unfit, keys = _protection(offer, media, srtp, shakes_hands=shakes_hands)
            if unfit:
                if warning == WARNING_MEDIA_TYPE:
                    warning = unfit
                continue
            warning = WARNING_MEDIA_FORMAT
            pair = _common(media.payload_types, able)
            if pair is None:
                continue
            _remote(offer, media, ours, is_browser=is_browser)
            if is_browser:
                keys = webrtc.read(offer, media)
        except OfferRefused as refusal:
            unreachable = unreachable or refusal
        else:
            return index, pair, keys
    raise unreachable or OfferRefused(WARNINGS[warning], warning)


def answer(
    offer: SessionDescription,
    local: LocalMedia,
    *,
    session_id: int,
    previous: SessionDescription | None = None,
    capabilities: Capabilities | None = None,
    direction: Direction = Direction.SENDRECV,
    username: str = "-",
    srtp: SrtpTerms | None = None,
) -> Answered:
    """The answer to an offer (§6): the first audio stream with a codec of ours, every other stream refused with port 0.

    Args:
        previous: our own last description in this session, whose origin goes on (§8).
        direction: what we would like to do; what the offer does not allow is taken off.
        srtp: None: no keys are taken.
    Raises: OfferRefused: nothing in common: 488 with one of `WARNINGS`.
    """
    able = capabilities or Capabilities()
    if local.is_for_browser:
        # Deviation: a browser's order is its maker's, not its user's (Opus, G.722, PCMU), so RFC 3264 §6.1 gains nobody anything.
        able = msgspec.structs.replace(able, offerer_chooses=False)
    is_browser = local.is_for_browser
    slot, (codec, our_codec), theirs = _select(offer, able, local.address, srtp, is_browser=is_browser, shakes_hands=local.dtls is not None)
    offered = offer.media[slot]
    remote, remote_direction = _remote(offer, offered, local.address, is_browser=is_browser)
    ours = direction_of(
        sends=direction.sends and remote_direction.receives,
        receives=direction.receives and remote_direction.sends,
    )
    event = _telephone_event(offered.payload_types, codec.clock_rate) if able.telephone_event else None
    if event is not None and able.telephone_event is not None:
        event = msgspec.structs.replace(event, fmtp=able.telephone_event.fmtp)
    # Not with a browser: every Chromium offers noise and would fall silent for it, where nobody asked that of it, and beside a party that
    # takes none, noise would have to be made of what could have been passed on.
    noise = None if is_browser else _comfort_noise(offered.payload_types, codec.clock_rate)
    insists = able.insists_on_ptime and (offered.maxptime is None or offered.maxptime >= able.ptime_ms)
    ptime = max(offered.ptime or 0, able.ptime_ms) if insists else offered.ptime or able.ptime_ms
    # What we say of a codec is ours: RFC 7587 §7.1 declares, it does not negotiate.
    beside = tuple(one for one in (noise, event) if one is not None)
    longest = ptime if insists else None
    formats, attributes = _formats((msgspec.structs.replace(codec, fmtp=our_codec.fmtp),), beside, ptime, ours, longest)
    dtls: webrtc.Agreed | None = None
    common: tuple[Attribute, ...] = ()
    is_shaken = isinstance(theirs, webrtc.Peer)
    is_muxed = is_browser or (offered.rtcp_mux and (is_shaken or local.rtcp_port == local.port))
    own = (Attribute("rtcp-mux"),) if is_muxed else local.attributes()
    if isinstance(theirs, webrtc.Peer) and local.dtls is not None:
        dtls = webrtc.agreed_by_offer(theirs, local.dtls)
        if is_browser:
            common = webrtc.session_attributes(theirs.mid if theirs.is_bundled else None)
            own = webrtc.stream_attributes(local.dtls, dtls.role, theirs.mid, local.address, local.port)
        else:
            own += webrtc.phone_attributes(local.dtls, dtls.role, theirs.mid)
    lines = [_turned_down(media, local) for media in offer.media]
    keys: AgreedKeys | None = None
    if isinstance(theirs, Crypto) and srtp is not None:
        our_line = srtp.answers(theirs)
        attributes = (*attributes, our_line.attribute())
        keys = AgreedKeys(our_line.suite, our_line.key, theirs.key)
    lines[slot] = MediaDescription("audio", local.port, offered.proto, formats, attributes=own + attributes)
    connection = local.connection
    description = SessionDescription(
        origin=Origin(username, session_id, 1, "IN", connection.address_type, connection.address),
        connection=connection,
        attributes=common,
        # RFC 3264 §6: "the "t=" line in the answer MUST be exactly the same as that of the offer".
        timings=offer.timings,
        media=tuple(lines),
    )
    if previous is not None:
        description = revised(previous, description)
    number = event.number if event else None
    hush = noise.number if noise else None
    audio = _negotiated(
        offered,
        remote,
        ours,
        codec,
        codec.number,
        (number, number),
        (hush, hush),
        ptime,
        mux=is_muxed,
        srtp=keys,
        dtls=dtls,
        insists=insists,
    )
    return Answered(description, audio)


@lru_cache(maxsize=256)
def _chosen(offered: tuple[PayloadType, ...], answered: tuple[PayloadType, ...]) -> tuple[PayloadType, PayloadType] | None:
    """The first format of an answer that we offered, as (theirs, ours)."""
    for theirs in answered:
        for ours in offered:
            if ours.same_format(theirs) and not ours.is_telephone_event and not ours.is_comfort_noise:
                return theirs, ours
    return None


def _keys_of(ours: MediaDescription, theirs: MediaDescription, *, is_protected: bool) -> AgreedKeys | None:
    """What an answer chose of the keys that we offered (RFC 4568 §5.1.3); None: none, and it need not.

    Raises: OfferRefused: 306 it chose none of ours, or what we cannot do; 302 it is plain, which our offer or the session does not bear, or
        it is not, and no key was offered.
    """
    offered = {(line.tag, line.suite): line for line in crypto_lines(ours)}
    for line in crypto_lines(theirs):
        chosen = offered.get((line.tag, line.suite))
        if chosen is not None:
            return AgreedKeys(chosen.suite, chosen.key, line.key)
    if offered and has_lines(theirs):
        raise _refused(WARNING_ATTRIBUTE, "crypto: none of the offered")
    if theirs.proto not in PLAIN_PROTOS or ours.proto in SECURE_PROTOS or is_protected:
        raise _refused(WARNING_TRANSPORT, f"{theirs.proto[:20]} without keys, where {'there are' if is_protected else 'we offered'} some")
    return None


def read_answer(offer: SessionDescription, answered: SessionDescription, *, is_protected: bool = False) -> NegotiatedAudio:
    """What our offer and the peer's answer amount to (§7).

    Args:
        is_protected: the session has keys, which are not given up.
    Raises: OfferRefused: the answer does not fit the offer (§6: as many m= lines, in the same order), or refuses the audio.
    """
    slot = audio_slot(offer)
    if slot is None:
        raise LocalMisuse("the offer had no audio")
    if len(answered.media) != len(offer.media):
        raise OfferRefused(f"{len(answered.media)} streams answered, {len(offer.media)} offered", WARNING_MEDIA_TYPE)
    ours, theirs = offer.media[slot], answered.media[slot]
    if theirs.media != "audio" or not theirs.port:
        raise OfferRefused("audio refused", WARNING_MEDIA_TYPE)
    if (ours.proto in webrtc.PROTOS) != (theirs.proto in webrtc.PROTOS):
        raise _refused(WARNING_TRANSPORT, f"{theirs.proto[:20]} answered, {ours.proto} offered")
    is_browser = ours.attribute("ice-ufrag") is not None
    keys, peer = None, None
    if ours.proto in webrtc.PROTOS or _has_chosen_handshake(ours, answered, theirs):
        peer = webrtc.read(answered, theirs, has_ice=is_browser)
    else:
        keys = _keys_of(ours, theirs, is_protected=is_protected)
    own = offer.connection_of(ours)
    remote, remote_direction = _remote(answered, theirs, own.address if own is not None else offer.origin.address, is_browser=is_browser)
    offered = ours.payload_types
    chosen = _chosen(offered, theirs.payload_types)
    if chosen is None:
        raise OfferRefused("answer has none of the offered formats", WARNING_MEDIA_FORMAT)
    send, receive = chosen
    asked = ours.direction or _SENDRECV
    direction = direction_of(
        sends=asked.sends and remote_direction.receives,
        receives=asked.receives and remote_direction.sends,
    )
    own_event = _telephone_event(offered, send.clock_rate)
    their_event = _telephone_event(theirs.payload_types, send.clock_rate) if own_event else None
    own_noise = _comfort_noise(offered, send.clock_rate)
    their_noise = _comfort_noise(theirs.payload_types, send.clock_rate) if own_noise else None
    audio = _negotiated(
        theirs,
        remote,
        direction,
        send,
        receive.number,
        (their_event.number if their_event else None, own_event.number if own_event and their_event else None),
        (their_noise.number if their_noise else None, own_noise.number if own_noise and their_noise else None),
        theirs.ptime or ours.ptime or DEFAULT_PTIME_MS,
        mux=theirs.rtcp_mux and ours.rtcp_mux,
        srtp=keys,
        dtls=None if peer is None else webrtc.agreed_by_answer(peer),
        insists=ours.maxptime is not None,
    )
    if their_event is None or not _is_free(their_event.number, offered):
        return audio
    return msgspec.structs.replace(audio, renumbered_telephone_event=their_event.number)


def _has_chosen_handshake(ours: MediaDescription, answered: SessionDescription, theirs: MediaDescription) -> bool:
    """Of the two that an offer of ours to a phone may name."""
    return ours.attribute("fingerprint") is not None and not has_lines(theirs) and webrtc.has_fingerprint(answered, theirs)


def _is_free(number: int, described: tuple[PayloadType, ...]) -> bool:
    """Whether a payload type means nothing by itself (RFC 3551 §6: 96-127 are dynamic), and nothing in this description."""
    return number >= FIRST_DYNAMIC and all(one.number != number for one in described)


def _negotiated(
    theirs: MediaDescription,
    remote: Connection,
    direction: Direction,
    codec: PayloadType,
    receive_payload_type: int,
    events: tuple[int | None, int | None],
    noise: tuple[int | None, int | None],
    ptime_ms: int,
    *,
    mux: bool,
    srtp: AgreedKeys | None,
    dtls: webrtc.Agreed | None = None,
    insists: bool = False,
) -> NegotiatedAudio:
    rtcp_port, rtcp_address = (theirs.port, None) if mux else theirs.rtcp_apart
    address = remote.address.partition("/")[0]
    return NegotiatedAudio(
        codec=codec,
        receive_payload_type=receive_payload_type,
        telephone_event=events[0],
        receive_telephone_event=events[1],
        comfort_noise=noise[0],
        receive_comfort_noise=noise[1],
        ptime_ms=min(ptime_ms, theirs.maxptime or ptime_ms),
        remote_address=address,
        remote_port=theirs.port,
        remote_rtcp_address=rtcp_address or address,
        remote_rtcp_port=rtcp_port,
        rtcp_mux=mux,
        direction=direction,
        asks_ptime=theirs.ptime is not None or insists,
        maxptime_ms=theirs.maxptime,
        srtp=srtp,
        dtls=dtls,
    )


class State(StrEnum):
    """Whose offer is open."""

    STABLE = "stable"
    LOCAL_OFFER = "local offer"
    REMOTE_OFFER = "remote offer"


class Input(StrEnum):
    OFFER_SENT = "offer sent"
    OFFER_RECEIVED = "offer received"
    ANSWER_SENT = "answer sent"
    ANSWER_RECEIVED = "answer received"
    REFUSED = "refused"
    """The open offer came to nothing: a non-2xx final response, or the end of the transaction (RFC 6337 §2.2)."""


class Do(StrEnum):
    """The value is the name of the method that does it."""

    KEEP_OFFER = "keep_offer"
    ADOPT_THEIR_ANSWER = "adopt_their_answer"
    ADOPT_OUR_ANSWER = "adopt_our_answer"
    DROP_OFFER = "drop_offer"


# fmt: off
TRANSITIONS: Final[dict[State, dict[Input, Edge[State, Do]]]] = {
    State.STABLE: {
        Input.OFFER_SENT:      to(State.LOCAL_OFFER, Do.KEEP_OFFER),
        Input.OFFER_RECEIVED:  to(State.REMOTE_OFFER, Do.KEEP_OFFER),
    },
    State.LOCAL_OFFER: {
        Input.ANSWER_RECEIVED: to(State.STABLE, Do.ADOPT_THEIR_ANSWER),
        Input.REFUSED:         to(State.STABLE, Do.DROP_OFFER),
    },
    State.REMOTE_OFFER: {
        Input.ANSWER_SENT:     to(State.STABLE, Do.ADOPT_OUR_ANSWER),
        Input.REFUSED:         to(State.STABLE, Do.DROP_OFFER),
    },
}
# fmt: on

REFUSALS: Final[dict[tuple[State, Input], int]] = {
    # RFC 3261 §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST return a
    # 491".
    (State.LOCAL_OFFER, Input.OFFER_RECEIVED): 491,
    # RFC 3261 §14.2: "... before it sends the final response to a first INVITE ... MUST return a 500 (Server Internal Error)".
    (State.REMOTE_OFFER, Input.OFFER_RECEIVED): 500,
    # An answer that nobody asked for: RFC 3264 §4 knows no such thing.
    (State.STABLE, Input.ANSWER_RECEIVED): 400,
    (State.REMOTE_OFFER, Input.ANSWER_RECEIVED): 400,
}


class OfferAnswer(msgspec.Struct, frozen=True):
    """The negotiation of one dialog: each input gives the next value, this one stays as it is.

    Attributes:
        local, remote: the descriptions in force; None before the first exchange is complete.
        pending: the open offer, of whichever side.
    """

    state: State = State.STABLE
    local: SessionDescription | None = None
    remote: SessionDescription | None = None
    pending: SessionDescription | None = None

    def after(self, event: Input, description: SessionDescription | None = None) -> OfferAnswer:
        """The negotiation after this input.

        Raises: RemoteFault: the peer is out of turn, answer with its status hint. IllegalTransition: we are.
        """
        edge = TRANSITIONS[self.state].get(event)
        if edge is None:
            status = REFUSALS.get((self.state, event))
            if status is not None:
                raise RemoteFault(f"{event} in {self.state}", status)
            raise IllegalTransition(f"{event} in {self.state}")
        if event is Input.REFUSED:
            if description is not None:
                raise LocalMisuse("a refusal takes no description")
        elif description is None:
            raise LocalMisuse(f"{event} takes a description")
        (action,) = edge.actions
        return _ACTIONS[action](self, edge.state, description)

    def keep_offer(self, state: State, offer: SessionDescription | None) -> OfferAnswer:
        return OfferAnswer(state, self.local, self.remote, offer)

    def adopt_their_answer(self, state: State, answered: SessionDescription | None) -> OfferAnswer:
        return OfferAnswer(state, self.pending, answered)

    def adopt_our_answer(self, state: State, answered: SessionDescription | None) -> OfferAnswer:
        return OfferAnswer(state, answered, self.pending)

    def drop_offer(self, state: State, _: SessionDescription | None) -> OfferAnswer:
        """The session goes on as it was before the offer (RFC 3264 §8)."""
        return OfferAnswer(state, self.local, self.remote)


_ACTIONS: Final[dict[Do, Callable[[OfferAnswer, State, SessionDescription | None], OfferAnswer]]] = {
    do: getattr(OfferAnswer, do.value) for do in Do
}
