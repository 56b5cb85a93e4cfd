"""What a speech channel costs, in the words that the core is told it in: as we would offer it, as it was offered, as it was agreed on (R9,
U10, ADR 0004; pure).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

import msgspec

from acd.core.channel_costs import ChannelCosts, Cost, Saving
from acd.core.configuration import TenantConfiguration
from acd.directory import Directory
from acd.switch.media_plan import MediaPlan, codec_of
from media.codecs.registry import CODECS
from media.transport.keys import Suite
from media.wire_cost import FLOOR_KBITS, SRTP_OF, ChannelShape, IpVersion, Srtp, channel_kbits
from sip.sdp import webrtc
from sip.sdp.crypto import SrtpUse, lines
from sip.sdp.description import SessionDescription
from sip.sdp.offer_answer import DEFAULT_PTIME_MS, audio_slot

LONGER_PTIME_MS: Final = 40
"""What `longer_ptime` asks for: G.711 takes 84 kbit/s instead of 100. At 60 ms it were 79, and a lost packet would be heard as a gap."""
OPUS: Final = "opus"
"""Name of the codec that `opus` is; without it in the registry no far end has that step."""
_NAMES: Final = {
    Srtp.NONE: "",
    Srtp.HMAC_SHA1_32: " SRTP HMAC-SHA1-32",
    Srtp.HMAC_SHA1_80: " SRTP HMAC-SHA1-80",
    Srtp.AES_GCM: " SRTP GCM",
}


def _cost(shape: ChannelShape) -> Cost:
    """Without the floor, which is the core's."""
    text = f"{shape.codec} {shape.ptime_ms} ms IP{shape.ip.name.lower()}{_NAMES[shape.srtp]}"
    return Cost(kbits=channel_kbits(shape, floor_kbits=0), shape=text)


def _worst(codecs: Iterable[str], ptime_ms: int, version: IpVersion, srtp: Srtp) -> Cost:
    return max((_cost(ChannelShape(codec, ptime_ms, version, srtp)) for codec in codecs), key=lambda cost: cost.kbits)


@lru_cache(maxsize=1024)
def _costs(codecs: tuple[str, ...], ptime_ms: int, version: IpVersion, srtp: Srtp, *, may_wait: bool, has_opus: bool) -> ChannelCosts:
    """Args:
    may_wait: packets of `LONGER_PTIME_MS` may be sent to the far end.
    has_opus: it has it, and so have we.
    """
    usual = _worst(codecs, ptime_ms, version, srtp)
    degraded: dict[Saving, Cost] = {}
    if may_wait and ptime_ms < LONGER_PTIME_MS:
        degraded["longer_ptime"] = _worst(codecs, LONGER_PTIME_MS, version, srtp)
    if has_opus:
        degraded["opus"] = _cost(ChannelShape(OPUS, ptime_ms, version, srtp))
    return ChannelCosts(kbits=usual.kbits, shape=usual.shape, degraded=degraded)


def version_of(host: str) -> IpVersion:
    """Of an address; of a name IPv4, until it is seen where its packets go."""
    try:
        return IpVersion.V6 if ipaddress.ip_address(host.partition("%")[0]).version == 6 else IpVersion.V4
    except ValueError:
        return IpVersion.V4


def of_our_offer(codecs: tuple[str, ...], use: SrtpUse, host: str, *, is_page: bool = False, has_opus: bool = False) -> ChannelCosts:
    """A channel that we offer, at worst of what the far end can answer.

    Args:
        codecs: that are offered.
        host: where the far end is.
        has_opus: it is known to have Opus: a page (RFC 7874 §3), and a trunk for which the codec is configured.
    """
    srtp = SRTP_OF[Suite.AEAD_AES_128_GCM] if is_page else Srtp.NONE
    if not is_page and use.offers_keys:
        srtp = max(SRTP_OF.values(), key=lambda one: one.value)
    offers_opus = OPUS in CODECS and OPUS in codecs
    return _costs(codecs, DEFAULT_PTIME_MS, version_of(host), srtp, may_wait=True, has_opus=offers_opus and (is_page or has_opus))


def of_their_offer(offered: SessionDescription, use: SrtpUse, listed: tuple[str, ...]) -> ChannelCosts:
    """A channel as it was offered: the dearest codec that it may come to, with the tag of the keys that will be taken.

    Args:
        listed: the codecs of this side.
    """
    audio = next(media for media in offered.media if media.media == "audio" and media.port)
    connection = offered.connection_of(audio)
    version = IpVersion.V6 if connection is not None and connection.address_type == "IP6" else IpVersion.V4
    known = tuple(dict.fromkeys(codec.name for one in audio.payload_types if (codec := codec_of(one)) is not None))
    line = next(iter(lines(audio)), None) if use.takes_keys else None
    srtp = Srtp.NONE if line is None else SRTP_OF[Suite(line.suite)]
    if line is None and (webrtc.is_of_page(offered) or (use.takes_keys and webrtc.has_fingerprint(offered, audio))):
        srtp = SRTP_OF[Suite.AEAD_AES_128_GCM]  # which our side of a handshake prefers
    may_wait = audio.maxptime is None or audio.maxptime >= LONGER_PTIME_MS
    has_opus = OPUS in known and OPUS in listed
    return _costs(known or (ChannelShape().codec,), audio.ptime or DEFAULT_PTIME_MS, version, srtp, may_wait=may_wait, has_opus=has_opus)


def as_agreed(plan: MediaPlan, address: str) -> Cost:
    """What is on the line now, in the dearer direction: each side sends packets as long as the other asks for.

    Args:
        address: ours, where the leg's ports are.
    """
    audio = plan.audio
    srtp = Srtp.NONE if audio.srtp is None else SRTP_OF[Suite(audio.srtp.suite)]
    if audio.dtls is not None:
        srtp = SRTP_OF[Suite.AEAD_AES_128_GCM]
    slot = audio_slot(plan.local)
    asked = plan.local.media[slot].ptime if slot is not None else None
    return _cost(ChannelShape(plan.codec, min(audio.ptime_ms, asked or DEFAULT_PTIME_MS), version_of(address), srtp))


def ptime_of(step: Saving | None) -> int | None:
    """Of the packets that are asked for and sent; None: as the other side asks."""
    return LONGER_PTIME_MS if step == "longer_ptime" else None


def counted(cost: Cost | ChannelCosts, step: Saving | None) -> int:
    """What the core reckons such a channel at, as far as the shell knows."""
    return cost.kbits if step is not None else max(cost.kbits, FLOOR_KBITS)


def with_costs(configuration: TenantConfiguration, directory: Directory, host_of: Callable[[str], str]) -> TenantConfiguration:
    """The configuration with what a channel over each trunk costs at worst; the trunks' lines are in the directory.

    Args:
        host_of: the host of a peer as operators write it.
    """
    tenant = configuration.tenant
    trunks = []
    for trunk in configuration.trunks:
        line = directory.trunk(tenant, trunk.id)
        if line is None:
            trunks.append(trunk)
            continue
        use = SrtpUse(directory.srtp_of(tenant, line))
        costs = of_our_offer(line.codecs, use, host_of(line.peer), has_opus=True)
        trunks.append(msgspec.structs.replace(trunk, channel=costs))
    return msgspec.structs.replace(configuration, trunks=tuple(trunks))
