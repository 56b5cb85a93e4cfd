"""Descriptions of browsers: offers as Chromium and Firefox write them, our answers and offers to them, and what is refused."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.errors import OfferRefused
from sip.sdp import webrtc
from sip.sdp.description import Direction, PayloadType
from sip.sdp.offer_answer import G711, PCMA, PCMU, Capabilities, LocalMedia, answer, audio_offer, check_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from sip.sdp.webrtc import Candidate, Fingerprint, Ours, Setup

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "sdp"
OFFERS = [
    f"{browser}_{scene}"
    for browser in ("chromium", "firefox")
    for scene in ("audio", "audio_and_video", "without_candidates", "pcma_preferred")
]
"""Recorded (`tests.interop.record_offers`); all that were are replayed in `test_recorded_offers`."""
DIGEST = ":".join(f"{octet:02X}" for octet in range(32))
OURS = Ours("abcd", "p" * 24, Fingerprint("sha-256", DIGEST))
HERE = LocalMedia("192.0.2.1", 20000, 20001, dtls=OURS)
OPUS = PayloadType(111, "opus", 48000, 2)
G722 = PayloadType(9, "G722", 8000)


def offer_of(name, *changes):
    text = (FOLDER / f"{name}.sdp").read_bytes().decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_sdp(text)


def without(*names, name="chromium_audio"):
    text = (FOLDER / f"{name}.sdp").read_bytes().decode()
    return parse_sdp("\r\n".join(line for line in text.split("\r\n") if not line.startswith(tuple(f"a={each}" for each in names))))


def answered(offer, **more):
    return answer(offer, HERE, session_id=7, **more)


@pytest.mark.parametrize("name", OFFERS)
def test_each_offer_is_answered_with_pcma_and_its_telephone_event(name):
    offer = offer_of(name)
    assert webrtc.is_of_page(offer)
    assert check_offer(offer, HERE.address, is_browser=True) == 0
    both = answered(offer)
    audio = both.audio
    event = {"chromium": 126, "firefox": 101}[name.partition("_")[0]]
    assert (audio.codec.number, audio.telephone_event, audio.receive_telephone_event) == (8, event, event)
    assert (audio.direction, audio.rtcp_mux, audio.is_held_by_remote) == (Direction.SENDRECV, True, False)
    assert audio.dtls.is_client is False
    peer = audio.dtls.peer
    assert (peer.mid, peer.is_bundled, peer.setup) == ("0", True, Setup.ACTPASS)
    assert peer.fingerprints[0].algorithm == "sha-256"
    assert f"a=ice-ufrag:{peer.ufrag}\r\n" in str(offer)
    # It is the same when it is read again, and fits the offer line by line.
    again = parse_sdp(both.description.to_bytes())
    assert again == both.description
    assert [media.media for media in again.media] == [media.media for media in offer.media]
    assert [media.attribute("mid") for media in again.media] == [media.attribute("mid") for media in offer.media]
    assert [media.port for media in again.media[1:]] == [0] * (len(offer.media) - 1)


def test_the_answer_octet_by_octet():
    """What Chromium and Firefox were found to take; header extensions and feedback are not answered, so packets stay plain."""
    assert str(answered(offer_of("chromium_audio_and_video")).description) == "\r\n".join(
        (
            "v=0",
            "o=- 7 1 IN IP4 192.0.2.1",
            "s=-",
            "c=IN IP4 192.0.2.1",
            "t=0 0",
            "a=group:BUNDLE 0",
            "a=ice-lite",
            "a=ice-options:ice2",
            "m=audio 20000 UDP/TLS/RTP/SAVPF 8 126",
            "a=mid:0",
            "a=ice-ufrag:abcd",
            f"a=ice-pwd:{'p' * 24}",
            f"a=fingerprint:sha-256 {DIGEST}",
            "a=setup:passive",
            "a=rtcp-mux",
            "a=candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host",
            "a=end-of-candidates",
            "a=msid:call audio",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:126 telephone-event/8000",
            "a=fmtp:126 0-16",
            "a=ptime:20",
            "a=sendrecv",
            "m=video 0 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 108 109 114 115 116 117 39 40 45 46 98 99 100 101 118 119 120",
            "a=mid:1",
            "",
        )
    )


@pytest.mark.parametrize(
    ("codecs", "name", "number", "event"),
    [
        ((PCMU, PCMA), "chromium_audio", 0, 126),
        ((G722, *G711), "chromium_audio", 9, 126),
        ((OPUS, *G711), "chromium_audio", 111, 110),
        ((OPUS, *G711), "firefox_audio", 109, None),
        ((G722,), "firefox_audio", 9, 101),
        (G711, "firefox_without_candidates", 8, 101),
    ],
)
def test_our_order_of_codecs_decides_and_events_run_on_the_codecs_clock(codecs, name, number, event):
    """Firefox's `G722/8000/1`, and at times `telephone-event/8000/1`, are what others write without the channel."""
    audio = answered(offer_of(name), capabilities=Capabilities(codecs=codecs)).audio
    assert (audio.codec.number, audio.telephone_event) == (number, event)


def test_the_null_address_is_no_hold_and_a_direction_is():
    assert offer_of("chromium_audio").media[0].connection.is_null
    assert answered(offer_of("chromium_audio")).audio.direction is Direction.SENDRECV
    held = answered(offer_of("chromium_audio", ("a=sendrecv", "a=sendonly")))
    assert held.audio.is_held_by_remote
    assert held.description.media[0].direction is Direction.RECVONLY


def test_every_advertised_address_is_a_candidate_the_first_best():
    far = LocalMedia("10.0.0.5", 20000, dtls=Ours("abcd", "p" * 24, OURS.fingerprint, ("203.0.113.9", "2001:db8::9")))
    media = answer(offer_of("firefox_audio"), far, session_id=7).description
    assert media.connection.address == media.origin.address == "203.0.113.9"
    candidates = webrtc._candidates(media.media[0])
    assert [(each.address, each.port, each.foundation) for each in candidates] == [
        ("203.0.113.9", 20000, "1"),
        ("2001:db8::9", 20000, "2"),
    ]
    assert candidates[0].priority > candidates[1].priority
    assert "10.0.0.5" not in str(media)


class TestReading:
    def test_candidates_are_read_and_what_is_none_is_passed_over(self):
        offer = offer_of("firefox_audio", ("a=end-of-candidates", "a=candidate:7 1 udp 1 h 70000 typ host\r\na=candidate:x"))
        peer = webrtc.read(offer, offer.media[0])
        host, port = peer.candidates[0].address, peer.candidates[0].port
        assert host.endswith(".local")
        assert peer.candidates[:2] == (
            Candidate("0", 1, "udp", 2122252543, host, port, "host"),
            Candidate("1", 1, "tcp", 2105524479, host, 9, "host"),
        )
        assert [(each.component, each.transport, each.address) for each in peer.candidates[2:]] == [(2, "udp", host), (2, "tcp", host)]
        assert str(peer.candidates[0]) == f"0 1 udp 2122252543 {host} {port} typ host"
        assert peer.options == ("trickle",)

    def test_what_stands_at_the_session_level_holds_for_the_stream(self):
        offer = offer_of("firefox_audio")
        assert offer.media[0].attribute("fingerprint") is None
        raised = [one for one in offer.media[0].attributes if one.name in {"ice-ufrag", "ice-pwd", "setup"}]
        lower = tuple(one for one in offer.media[0].attributes if one not in raised)
        moved = msgspec.structs.replace(
            offer,
            attributes=(*offer.attributes, *raised),
            media=(msgspec.structs.replace(offer.media[0], attributes=lower),),
        )
        assert webrtc.read(moved, moved.media[0]) == webrtc.read(offer, offer.media[0])

    def test_a_stream_without_mid_or_group_is_answered_without(self):
        both = answered(without("mid", "group"))
        assert both.audio.dtls.peer.mid is None
        text = str(both.description)
        assert "a=mid" not in text
        assert "BUNDLE" not in text
        both = answered(without("group"))
        assert "a=mid:0" in str(both.description)
        assert "BUNDLE" not in str(both.description)

    def test_several_fingerprints_are_all_read(self):
        more = f"a=setup:actpass\r\na=fingerprint:SHA-512 {DIGEST.lower()}\r\na=fingerprint:nonsense"
        offer = offer_of("chromium_audio", ("a=setup:actpass", more))
        assert webrtc.read(offer, offer.media[0]).fingerprints[1] == Fingerprint("sha-512", DIGEST)
        assert len(webrtc.read(offer, offer.media[0]).fingerprints) == 2

    @pytest.mark.parametrize(
        "offer",
        [
            without("ice-ufrag"),
            without("ice-pwd"),
            without("fingerprint"),
            without("rtcp-mux"),
            offer_of("chromium_audio", ("a=ice-ufrag:", "a=ice-ufrag:!")),
            offer_of("chromium_audio", ("a=ice-pwd:", "a=ice-pwd:x\r\na=x:")),
            offer_of("chromium_audio", ("a=setup:actpass", "a=setup:holdconn")),
            offer_of("chromium_audio", ("a=setup:actpass", "a=setup:whatever")),
            offer_of("chromium_audio", ("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 XX:")),
            offer_of("chromium_audio", ("t=0 0", "t=0 0\r\na=ice-lite")),
            offer_of("chromium_audio", ("a=mid:0", "a=mid:0 1")),
        ],
    )
    def test_what_cannot_be_carried_is_refused_with_a_warning(self, offer):
        with pytest.raises(OfferRefused) as refusal:
            answered(offer)
        assert (refusal.value.warning_code, refusal.value.status_hint) == (306, 488)
        with pytest.raises(OfferRefused):
            check_offer(offer, HERE.address, is_browser=True)

    @pytest.mark.parametrize("name", OFFERS)
    def test_without_dtls_of_our_own_it_is_refused_as_ever(self, name):
        with pytest.raises(OfferRefused) as refusal:
            answer(offer_of(name), LocalMedia("192.0.2.1", 20000), session_id=7)
        assert refusal.value.warning_code == 302

    def test_a_plain_offer_is_not_answered_as_a_browsers(self):
        plain = audio_offer(LocalMedia("192.0.2.9", 4000), session_id=1)
        assert not webrtc.is_of_page(plain)
        with pytest.raises(OfferRefused) as refusal:
            answered(plain)
        assert refusal.value.warning_code == 302

    def test_savp_without_feedback_is_answered_in_kind(self):
        offer = offer_of("chromium_audio", ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"))
        assert answered(offer).description.media[0].proto == "UDP/TLS/RTP/SAVP"

    @given(st.lists(st.sampled_from(["ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid", "candidate", "group", "rtcp-mux"])), st.text())
    @settings(max_examples=40, deadline=None)
    def test_no_value_gives_anything_but_an_answer_or_a_refusal(self, names, value):
        text = (FOLDER / "chromium_audio.sdp").read_bytes().decode()
        odd = "".join(character for character in value if character not in "\r\n\0")
        lines = [
            f"a={name}:{odd}" if any(line.startswith(f"a={name}") for name in names) else line
            for line in text.split("\r\n")
            for name in [line[2:].partition(":")[0]]
        ]
        try:
            answered(parse_sdp("\r\n".join(lines)))
        except OfferRefused as refusal:
            assert refusal.warning_code in {305, 306}  # noqa: PT017 - both outcomes are right


class TestSetup:
    @pytest.mark.parametrize(
        ("theirs", "role", "ours"),
        [
            ("actpass", Setup.PASSIVE, "passive"),
            ("actpass", Setup.ACTIVE, "active"),
            ("active", Setup.ACTIVE, "passive"),
            ("passive", Setup.PASSIVE, "active"),
        ],
    )
    def test_the_answer_takes_the_role_that_is_left(self, theirs, role, ours):
        offer = offer_of("chromium_audio", ("a=setup:actpass", f"a=setup:{theirs}"))
        local = LocalMedia("192.0.2.1", 20000, dtls=Ours("abcd", "p" * 24, OURS.fingerprint, role=role))
        both = answer(offer, local, session_id=7)
        assert both.description.media[0].attribute("setup") == ours
        assert both.audio.dtls.is_client is (ours == "active")

    def test_an_offer_that_does_not_say_is_taken_for_active(self):
        assert answered(without("setup")).description.media[0].attribute("setup") == "passive"


def browser_answer(offer, *, setup="active", ufrag="wxyz"):
    """As a browser would answer our offer."""
    there = LocalMedia("192.0.2.77", 5000, dtls=Ours(ufrag, "q" * 24, Fingerprint("sha-256", DIGEST.replace("00", "FF"))))
    text = str(answer(without_ice_lite(offer), there, session_id=9).description)
    return parse_sdp(text.replace("a=setup:passive", f"a=setup:{setup}").replace("a=ice-lite\r\n", ""))


def without_ice_lite(description):
    return parse_sdp(str(description).replace("a=ice-lite\r\n", ""))


class TestOffer:
    def test_our_offer_octet_by_octet(self):
        assert str(audio_offer(HERE, session_id=7)) == "\r\n".join(
            (
                "v=0",
                "o=- 7 1 IN IP4 192.0.2.1",
                "s=-",
                "c=IN IP4 192.0.2.1",
                "t=0 0",
                "a=group:BUNDLE 0",
                "a=ice-lite",
                "a=ice-options:ice2",
                "m=audio 20000 UDP/TLS/RTP/SAVPF 8 0 101",
                "a=mid:0",
                "a=ice-ufrag:abcd",
                f"a=ice-pwd:{'p' * 24}",
                f"a=fingerprint:sha-256 {DIGEST}",
                "a=setup:actpass",
                "a=rtcp-mux",
                "a=candidate:1 1 udp 2130706431 192.0.2.1 20000 typ host",
                "a=end-of-candidates",
                "a=msid:call audio",
                "a=rtpmap:8 PCMA/8000",
                "a=rtpmap:0 PCMU/8000",
                "a=rtpmap:101 telephone-event/8000",
                "a=fmtp:101 0-16",
                "a=ptime:20",
                "a=sendrecv",
                "",
            )
        )

    @pytest.mark.parametrize(("setup", "is_client"), [("active", False), ("passive", True)])
    def test_the_answer_says_who_begins(self, setup, is_client):
        offer = audio_offer(HERE, session_id=7)
        audio = read_answer(offer, browser_answer(offer, setup=setup))
        assert audio.dtls.is_client is is_client
        assert audio.dtls.peer.ufrag == "wxyz"
        assert (audio.codec.number, audio.telephone_event, audio.rtcp_mux) == (8, 101, True)

    @pytest.mark.parametrize(
        "change",
        [
            ("a=setup:active", "a=setup:actpass"),
            ("a=setup:active", "a=setup:holdconn"),
            ("a=rtcp-mux\r\n", ""),
            ("a=ice-ufrag:wxyz\r\n", ""),
            ("a=fingerprint:", "a=nothing:"),
            ("a=group", "a=ice-lite\r\na=group"),
            ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ],
    )
    def test_an_answer_that_leaves_something_open_is_refused(self, change):
        offer = audio_offer(HERE, session_id=7)
        text = str(browser_answer(offer))
        assert change[0] in text
        with pytest.raises(OfferRefused):
            read_answer(offer, parse_sdp(text.replace(*change)))


class TestAgain:
    def test_a_re_invite_is_answered_with_the_same_words_but_for_the_direction(self):
        first = answered(offer_of("chromium_audio"))
        same = answered(offer_of("chromium_audio"), previous=first.description)
        assert same.description == first.description
        held = answered(offer_of("chromium_audio", ("a=sendrecv", "a=sendonly")), previous=first.description)
        assert str(held.description) == str(first.description).replace("o=- 7 1", "o=- 7 2").replace("a=sendrecv", "a=recvonly")

    def test_another_ufrag_is_a_restart_and_another_fingerprint_another_association(self):
        before = answered(offer_of("firefox_audio")).audio.dtls.peer
        same = answered(offer_of("firefox_audio", ("a=sendrecv", "a=inactive"))).audio.dtls.peer
        assert (same.restarts_ice(before), same.is_same_association(before)) == (False, True)
        restarted = answered(offer_of("firefox_audio", (before.ufrag, "another1"))).audio.dtls.peer
        assert (restarted.restarts_ice(before), restarted.is_same_association(before)) == (True, True)
        digest = before.fingerprints[0].digest
        other = answered(offer_of("firefox_audio", (digest, DIGEST))).audio.dtls.peer
        assert (other.restarts_ice(before), other.is_same_association(before)) == (False, False)

    def test_our_next_offer_keeps_mid_events_and_the_refused_streams(self):
        answered_first = answered(offer_of("chromium_audio_and_video", ("a=mid:0", "a=mid:a0"), ("BUNDLE 0", "BUNDLE a0")))
        again = reoffer(answered_first.description, HERE, direction=Direction.SENDONLY)
        assert again.attribute("group") == "BUNDLE a0"
        audio, video = again.media
        assert (audio.attribute("mid"), audio.attribute("setup"), audio.proto) == ("a0", "actpass", webrtc.PROTO)
        assert (video.port, video.attribute("mid")) == (0, "1")
        assert [one.number for one in audio.payload_types if one.is_telephone_event] == [126]
        assert again.origin.session_version == 2
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            assert audio.attribute(name) == answered_first.description.media[0].attribute(name)


def test_a_plain_offer_is_not_answered_with_dtls():
    plain = audio_offer(LocalMedia("192.0.2.1", 4000), session_id=7)
    text = str(answer(plain, LocalMedia("192.0.2.2", 5000), session_id=8).description)
    with pytest.raises(OfferRefused) as refusal:
        read_answer(plain, parse_sdp(text.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF")))
    assert refusal.value.warning_code == 302


def test_plain_descriptions_have_nothing_of_it():
    offer = audio_offer(LocalMedia("192.0.2.1", 4000), session_id=7)
    text = str(answer(offer, LocalMedia("192.0.2.2", 5000), session_id=8).description)
    assert text == (
        "v=0\r\no=- 8 1 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )


@pytest.mark.parametrize(("ufrag", "pwd"), [("abc", "p" * 22), ("abcd", "p" * 21), ("ab-d", "p" * 22)])
def test_what_may_not_stand_in_a_description_is_not_taken_for_ours(ufrag, pwd):
    with pytest.raises(ValueError, match="ice-chars"):
        Ours(ufrag, pwd, OURS.fingerprint)


def test_no_repr_shows_our_password():
    assert OURS.pwd not in repr(OURS)
    assert OURS.pwd not in repr(HERE)
    offer = offer_of("chromium_audio")
    assert offer.media[0].attribute("ice-pwd") not in repr(answered(offer).audio)
