"""Phones that shake hands: what the media worker is told of them, and what each use offers."""

import pytest

from acd.switch import media_plan
from acd.switch.channel_costs import of_their_offer
from acd.switch.media_plan import NoCommonMedia
from media.control import Browser, LegOpened
from media.wire_cost import ChannelShape, IpVersion, Srtp, channel_kbits
from sip.sdp.crypto import SrtpTerms, SrtpUse

DIGEST, THEIRS, MOVED = (f"sha-256 {':'.join([octet] * 32)}" for octet in ("0A", "B1", "C2"))
OURS = LegOpened(request=1, leg="l", address="127.0.0.1", rtp_port=30000, rtcp_port=30001, fingerprint=DIGEST)
ELSEWHERE = LegOpened(request=2, leg="l", address="127.0.0.1", rtp_port=30010, rtcp_port=30011, fingerprint=MOVED)
USUAL = ("PCMA", "PCMU")


def sdp(proto="UDP/TLS/RTP/SAVP", *lines, setup="actpass", fingerprint=THEIRS):
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.9", "s=-", "c=IN IP4 127.0.0.9", "t=0 0", f"m=audio 40000 {proto} 8 0"]
    return "\r\n".join([*head, f"a=fingerprint:{fingerprint}", f"a=setup:{setup}", *lines, ""]).encode()


def terms(use, plan=None, **more):
    audio = plan.audio if plan is not None else None
    return SrtpTerms(use, bytes, audio.srtp if audio else None, audio.dtls if audio else None, **more)


def answered(offered, use=SrtpUse.ACCEPTED, previous=None, plan=None):
    srtp = terms(use, plan)
    return media_plan.answer(media_plan.read(offered, OURS.address, srtp=srtp), OURS, USUAL, 1, previous, srtp=srtp)


def test_the_worker_is_told_whose_handshake_it_is():
    local, plan = answered(sdp())
    told = plan.describe("l", 60.0)
    assert told.browser == Browser(fingerprints=(THEIRS,), has_ice=False)
    assert (told.remote_address, told.remote_port, told.remote_rtcp_port, told.srtp) == ("127.0.0.9", 40000, 40001, None)
    assert plan.is_protected
    assert local.media[0].attribute("fingerprint") == DIGEST
    _, plan = answered(sdp("UDP/TLS/RTP/SAVP", "a=rtcp-mux", setup="passive"))
    told = plan.describe("l", 60.0)
    assert (told.browser.is_client, told.remote_rtcp_port) == (True, 40000)


def test_a_hold_keeps_role_and_association_and_nothing_else_is_taken():
    local, plan = answered(sdp(setup="passive"))
    local, held = answered(sdp("UDP/TLS/RTP/SAVP", "a=sendonly"), previous=local, plan=plan)
    assert local.media[0].attribute("setup") == "active"
    assert held.describe("l", 60.0).browser == plan.describe("l", 60.0).browser
    with pytest.raises(NoCommonMedia) as caught:
        answered(b"\r\n".join(line for line in sdp("RTP/AVP").split(b"\r\n") if not line.startswith(b"a=")), previous=local, plan=held)
    assert caught.value.warning == 302


@pytest.mark.parametrize(
    ("use", "offers_both", "proto", "has_print", "lines"),
    [
        (SrtpUse.ACCEPTED, True, "RTP/AVP", False, 0),
        (SrtpUse.WISHED, True, "RTP/AVP", True, 2),
        (SrtpUse.REQUIRED, True, "RTP/SAVP", True, 2),
        (SrtpUse.REQUIRED, False, "RTP/SAVP", False, 2),
        (SrtpUse.DTLS, False, "UDP/TLS/RTP/SAVP", True, 0),
    ],
)
def test_what_each_use_offers(use, offers_both, proto, has_print, lines):
    (media,) = media_plan.offer(OURS, USUAL, 1, srtp=terms(use, offers_both=offers_both)).media
    found = sum(attribute.name == "crypto" for attribute in media.attributes)
    assert (media.proto, media.attribute("fingerprint") is not None, found) == (proto, has_print, lines)


@pytest.mark.parametrize("use", [SrtpUse.REQUIRED, SrtpUse.DTLS])
def test_what_is_offered_next_is_the_same_handshake_and_elsewhere_another(use):
    local = media_plan.offer(OURS, USUAL, 1, srtp=terms(use, offers_both=True))
    plan = media_plan.agreed(local, sdp(local.media[0].proto, setup="active"))
    again = media_plan.offer(OURS, USUAL, 1, local, srtp=terms(use, plan, offers_both=True))
    (media,) = again.media
    assert (media.attribute("fingerprint"), media.attribute("crypto"), media.proto) == (DIGEST, None, local.media[0].proto)
    (media,) = media_plan.moved(again, ELSEWHERE, "PCMA", agreed=plan.audio.srtp, draw=bytes, shaken=plan.audio.dtls).media
    assert (media.attribute("fingerprint"), media.attribute("crypto"), media.port) == (MOVED, None, 30010)


def test_a_handshake_costs_the_longer_tag_on_the_wire():
    offered = media_plan.read(sdp(), OURS.address, srtp=terms(SrtpUse.ACCEPTED))
    assert of_their_offer(offered, SrtpUse.ACCEPTED, USUAL).kbits == channel_kbits(ChannelShape("PCMA", 20, IpVersion.V4, Srtp.AES_GCM))
