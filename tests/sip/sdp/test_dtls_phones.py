"""DTLS-SRTP without ICE: what phones of two makes offer and answer, beside a=crypto and instead of it (RFC 5763, RFC 5764 §8, RFC 8643)."""

import pytest

from sip.errors import OfferRefused
from sip.sdp import crypto
from sip.sdp.crypto import MASTER_OCTETS, AgreedKeys, Crypto, SrtpTerms, SrtpUse, fresh
from sip.sdp.description import Direction
from sip.sdp.offer_answer import LocalMedia, answer, audio_offer, check_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from sip.sdp.webrtc import Agreed, Fingerprint, Ours, Peer, Setup

DIGEST, THEIRS = ":".join(["0A"] * 32), ":".join(["B1"] * 32)
OURS = Ours("", "", Fingerprint("sha-256", DIGEST))
HERE = LocalMedia("192.0.2.1", 20000, 20001, dtls=OURS)
PLAIN = LocalMedia("192.0.2.1", 20000, 20001)
(_, CM) = MASTER_OCTETS
KEY = bytes(30)
LINE = f"a=crypto:{Crypto(1, CM, KEY).attribute().value}"
PRINT = f"a=fingerprint:SHA-256 {THEIRS}"
SHAKEN = Agreed(Peer("", (Fingerprint("sha-256", THEIRS),), Setup.ACTIVE), is_client=False)

BARESIP = (
    "v=0\r\no=- 2842153641 1300010564 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=tool:baresip 1.0.0\r\na=setup:actpass\r\n"
    f"{PRINT}\r\nm=audio 31902 UDP/TLS/RTP/SAVPF 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=label:1\r\na=rtcp-rsize\r\na=ptime:20\r\n"
)
LINPHONE = (
    "v=0\r\no=linphone 1589 3671 IN IP4 192.0.2.9\r\ns=Talk\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\nm=audio 10241 UDP/TLS/RTP/SAVP 8 96\r\n"
    f"a=rtpmap:96 telephone-event/8000\r\na=setup:actpass\r\n{PRINT}\r\na=rtcp-fb:* trr-int 5000\r\na=rtcp-fb:* ccm tmmbr\r\n"
)


def terms(use=SrtpUse.ACCEPTED, **more):
    return SrtpTerms(use, bytes, **more)


def described(proto, *lines):
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0", f"m=audio 40000 {proto} 8 0", *lines, "")
    return parse_sdp("\r\n".join(head))


def answered(offer, use=SrtpUse.ACCEPTED, local=HERE, **more):
    return answer(offer, local, session_id=7, srtp=terms(use, **more))


def named(description):
    return {attribute.name for attribute in (*description.attributes, *description.media[0].attributes)}


@pytest.mark.parametrize(("text", "proto"), [(BARESIP, "UDP/TLS/RTP/SAVPF"), (LINPHONE, "UDP/TLS/RTP/SAVP")])
def test_what_phones_offer_is_answered_and_nothing_is_said_of_ice(text, proto):
    offer = parse_sdp(text)
    assert check_offer(offer, HERE.address, srtp=terms(), shakes_hands=True) == 0
    both = answered(offer)
    (media,), audio = both.description.media, both.audio
    assert (media.proto, media.attribute("fingerprint"), media.attribute("setup")) == (proto, str(OURS.fingerprint), "passive")
    assert named(both.description).isdisjoint({"ice-lite", "ice-ufrag", "candidate", "group", "msid", "crypto", "rtcp-mux"})
    assert (audio.remote_address, audio.remote_rtcp_port - audio.remote_port, audio.rtcp_mux) == ("192.0.2.9", 1, False)
    assert audio.dtls == Agreed(Peer("", (Fingerprint("sha-256", THEIRS),), Setup.ACTPASS), is_client=False)
    assert (audio.srtp, audio.dtls.has_ice) == (None, False)


def test_one_port_is_used_where_it_is_offered():
    both = answered(parse_sdp(LINPHONE + "a=rtcp-mux\r\n"))
    assert both.description.media[0].rtcp_mux
    assert (both.audio.rtcp_mux, both.audio.remote_rtcp_port) == (True, 10241)


@pytest.mark.parametrize(("setup", "ours", "is_client"), [("active", "passive", False), ("passive", "active", True)])
def test_who_begins_is_what_the_offer_leaves(setup, ours, is_client):
    both = answered(described("UDP/TLS/RTP/SAVP", PRINT, f"a=setup:{setup}"))
    assert (both.description.media[0].attribute("setup"), both.audio.dtls.is_client) == (ours, is_client)


def test_a_phone_that_does_ice_is_answered_without():
    both = answered(
        described("UDP/TLS/RTP/SAVP", PRINT, "a=setup:actpass", "a=ice-ufrag:abcd", f"a=ice-pwd:{'x' * 22}", "a=mid:7", "a=rtcp-mux")
    )
    assert named(both.description).isdisjoint({"ice-ufrag", "candidate"})
    assert (both.description.media[0].attribute("mid"), both.audio.dtls.has_ice) == ("7", False)


def test_it_holds_as_every_phone_does():
    offer = parse_sdp(LINPHONE.replace("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0"))
    assert answered(offer).audio.direction is Direction.RECVONLY


def test_without_a_worker_that_shakes_hands_or_a_use_that_takes_keys_it_is_refused():
    offer = parse_sdp(LINPHONE)
    for refused in (lambda: answered(offer, SrtpUse.OFF), lambda: answered(offer, local=PLAIN), lambda: answer(offer, HERE, session_id=1)):
        with pytest.raises(OfferRefused) as caught:
            refused()
        assert caught.value.warning_code == 302


@pytest.mark.parametrize("lines", [(), ("a=fingerprint:sha-1 0A:0B",), ("a=fingerprint:rubbish",), (PRINT, "a=setup:holdconn")])
def test_what_proves_nothing_is_refused_where_there_is_nothing_else(lines):
    for proto, use in (("UDP/TLS/RTP/SAVP", SrtpUse.ACCEPTED), ("RTP/SAVP", SrtpUse.ACCEPTED)):
        with pytest.raises(OfferRefused) as caught:
            answered(described(proto, *lines), use)
        assert caught.value.warning_code == 306
    beside = described("RTP/AVP", *lines)
    assert answered(beside).audio.dtls is None
    with pytest.raises(OfferRefused):
        answered(beside, SrtpUse.REQUIRED)


@pytest.mark.parametrize("proto", ["RTP/SAVP", "RTP/AVP"])
def test_beside_a_line_the_line_is_taken_and_without_one_the_handshake(proto):
    both = answered(described(proto, LINE, PRINT, "a=setup:actpass"))
    assert both.audio.srtp.receive == KEY
    assert (both.audio.dtls, named(both.description) & {"fingerprint", "crypto"}) == (None, {"crypto"})
    other = answered(described(proto, PRINT, "a=setup:actpass"))
    assert (other.audio.srtp, other.audio.dtls.role, other.description.media[0].proto) == (None, Setup.PASSIVE, proto)
    assert named(other.description) & {"fingerprint", "crypto"} == {"fingerprint"}


def test_a_session_that_shook_hands_takes_nothing_else():
    role = Agreed(SHAKEN.peer, is_client=True)
    again = answer(
        described("RTP/SAVP", LINE, PRINT, "a=setup:actpass"),
        LocalMedia("192.0.2.1", 20000, 20001, dtls=Ours("", "", OURS.fingerprint, role=role.role)),
        session_id=7,
        srtp=terms(shaken=role),
    )
    assert (again.audio.srtp, again.audio.dtls.is_client, again.description.media[0].attribute("setup")) == (None, True, "active")
    for offer, warning in ((described("RTP/SAVP", LINE), 306), (described("RTP/AVP", LINE), 302), (described("RTP/AVP"), 302)):
        with pytest.raises(OfferRefused) as caught:
            answered(offer, shaken=SHAKEN)
        assert caught.value.warning_code == warning


def offer_of_both(*, is_secure):
    return audio_offer(HERE, session_id=1, crypto=fresh(bytes), is_secure=is_secure)


def test_our_offer_of_a_handshake_alone():
    (media,) = audio_offer(HERE, session_id=1).media
    assert (media.proto, media.attribute("setup"), media.rtcp_mux) == ("UDP/TLS/RTP/SAVP", "actpass", True)
    assert media.attribute("fingerprint") == f"sha-256 {DIGEST}"
    assert media.attribute("crypto") is None


@pytest.mark.parametrize(("is_secure", "proto"), [(True, "RTP/SAVP"), (False, "RTP/AVP")])
def test_of_our_offer_of_both_the_phone_takes_one(is_secure, proto):
    offer = offer_of_both(is_secure=is_secure)
    (media,) = offer.media
    assert (media.proto, media.rtcp_mux, len(crypto.lines(media))) == (proto, False, 2)
    by_line = read_answer(offer, described(proto, f"a=crypto:{Crypto(2, CM, KEY).attribute().value}"))
    assert (by_line.srtp.receive, by_line.dtls) == (KEY, None)
    by_hand = read_answer(offer, described(proto, PRINT, "a=setup:active"))
    assert (by_hand.srtp, by_hand.dtls, by_hand.rtcp_mux) == (None, SHAKEN, False)
    if is_secure:
        with pytest.raises(OfferRefused):
            read_answer(offer, described(proto))
    else:
        assert read_answer(offer, described(proto)).dtls is None


def test_an_answer_of_baresip_says_of_its_role_what_its_offer_had_said():
    offer = audio_offer(HERE, session_id=1)
    audio = read_answer(offer, described("UDP/TLS/RTP/SAVP", PRINT, "a=setup:actpass"))
    assert (audio.dtls.is_client, audio.rtcp_mux) == (False, False)
    with pytest.raises(OfferRefused):
        read_answer(offer, described("RTP/SAVP", LINE))


def test_what_is_offered_again_is_the_handshake_and_no_plain_answer_is_taken():
    before = offer_of_both(is_secure=False)
    offer = reoffer(before, HERE)
    (media,) = offer.media
    assert (media.proto, media.attribute("setup"), media.attribute("crypto")) == ("RTP/AVP", "actpass", None)
    assert read_answer(offer, described("RTP/AVP", PRINT, "a=setup:active"), is_protected=True).dtls == SHAKEN
    with pytest.raises(OfferRefused):
        read_answer(offer, described("RTP/AVP"), is_protected=True)


def test_a_session_with_lines_offers_its_line_alone():
    agreed = AgreedKeys(CM, KEY, KEY)
    (media,) = reoffer(offer_of_both(is_secure=True), PLAIN, agreed=agreed).media
    assert (len(crypto.lines(media)), media.attribute("fingerprint")) == (1, None)
