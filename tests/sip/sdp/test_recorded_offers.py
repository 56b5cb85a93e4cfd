"""What Chromium and Firefox offered (`tests.interop.record_offers`), replayed: the answer is made of the parsed offer, and a session
stays the same through hold and ICE restart. The browser itself took such answers when the offers were recorded."""

import json
from pathlib import Path

import msgspec
import pytest

from sip.sdp import webrtc
from sip.sdp.description import Direction
from sip.sdp.offer_answer import LocalMedia, answer, check_offer
from sip.sdp.parser import parse_sdp
from sip.sdp.webrtc import Fingerprint, Ours, Setup

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "sdp"
BROWSERS = ("chromium", "firefox")
FIRST = ("audio", "audio_and_video", "without_candidates", "only_listening", "pcma_preferred")
AGAIN = ("audio_held", "audio_inactive", "audio_restarted")
HERE = LocalMedia("192.0.2.1", 20000, dtls=Ours("ours", "p" * 24, Fingerprint("sha-256", ":".join(f"{octet:02X}" for octet in range(32)))))
RESTARTED = msgspec.structs.replace(HERE, dtls=msgspec.structs.replace(HERE.dtls, ufrag="anew", pwd="q" * 24))

each_browser = pytest.mark.parametrize("browser", BROWSERS)


def recorded(browser, scene):
    octets = (FOLDER / f"{browser}_{scene}.sdp").read_bytes()
    return octets, parse_sdp(octets)


def lines_of(description, at, *names):
    media = description.media[at]
    return [(one.name, one.value) for one in media.attributes if one.name in names]


def test_of_each_browser_there_are_five_offers_and_three_that_follow_and_it_is_known_which_it_was():
    names = {path.stem for path in FOLDER.glob("*.sdp")}
    assert names == {f"{browser}_{scene}" for browser in BROWSERS for scene in (*FIRST, *AGAIN)}
    told = json.loads((FOLDER / "browsers.json").read_text())
    assert "Chrome/" in told["chromium"]
    assert "Firefox/" in told["firefox"]


@each_browser
@pytest.mark.parametrize("scene", FIRST)
def test_an_offer_is_answered_stream_by_stream(browser, scene):
    octets, offer = recorded(browser, scene)
    assert webrtc.is_of_page(offer)
    assert check_offer(offer, HERE.address, is_browser=True) == 0
    both = answer(offer, HERE, session_id=7)
    answered = parse_sdp(both.description.to_bytes())
    # RFC 3264 §6: as many streams as were offered, in their order; RFC 8829 §5.3.1: each with its mid, the refused ones at port 0.
    assert [(one.media, one.proto, one.attribute("mid")) for one in answered.media] == [
        (one.media, one.proto, one.attribute("mid")) for one in offer.media
    ]
    assert [one.port for one in answered.media] == [20000] + [0] * (len(offer.media) - 1)
    # RFC 9143 §7.3.1: a refused stream is in no group.
    assert answered.attribute("group") == f"BUNDLE {offer.media[0].attribute('mid')}"
    # PCMA though it stands behind Opus, and telephone-event on its clock.
    audio = answered.media[0]
    event = {"chromium": 126, "firefox": 101}[browser]
    assert [(one.number, one.encoding, one.clock_rate) for one in audio.payload_types] == [
        (8, "PCMA", 8000),
        (event, "telephone-event", 8000),
    ]
    assert (both.audio.codec.number, both.audio.telephone_event) == (8, event)
    assert audio.rtcp_mux
    # RFC 5763 §5 leaves it to us, and nothing of the peer's stands in ours.
    assert offer.media[0].attribute("setup") == "actpass"
    assert (audio.attribute("setup"), audio.attribute("ice-ufrag"), audio.attribute("ice-pwd")) == ("passive", "ours", "p" * 24)
    assert audio.attribute("fingerprint") == str(HERE.dtls.fingerprint)
    assert audio.direction is (Direction.SENDONLY if scene == "only_listening" else Direction.SENDRECV)
    assert lines_of(answered, 0, "extmap", "rtcp-fb", "extmap-allow-mixed") == []
    # Of the peer all is known that the worker needs.
    peer = both.audio.dtls.peer
    assert f"a=ice-ufrag:{peer.ufrag}\r\n".encode() in octets
    assert [(one.algorithm, f" {one.digest}\r\n".encode() in octets) for one in peer.fingerprints] == [("sha-256", True)]
    assert (peer.setup, peer.is_bundled, both.audio.dtls.is_client) == (Setup.ACTPASS, True, False)
    assert bool(peer.candidates) is (scene != "without_candidates")


@each_browser
def test_a_session_stays_the_same_through_hold_and_ice_restart(browser):
    _, offer = recorded(browser, "audio")
    first = before = answer(offer, HERE, session_id=7)
    local = HERE
    for scene in AGAIN:
        _, offer = recorded(browser, scene)
        peer = webrtc.read(offer, offer.media[0])
        is_restart = peer.restarts_ice(before.audio.dtls.peer)
        assert is_restart is (scene == "audio_restarted")
        assert peer.is_same_association(first.audio.dtls.peer)
        local = RESTARTED if is_restart else local
        again = answer(offer, local, session_id=7, previous=before.description)
        old, new = before.description, again.description
        assert new.origin.session_version == old.origin.session_version + 1
        # RFC 8842 §5.3, RFC 8839 §4.4.1.1.1: role, fingerprint, port and mid stay; ufrag and pwd change with the peer's and never alone.
        for at, was in enumerate(old.media):
            assert new.media[at].port == was.port
            same = ("mid", "fingerprint", "setup") if is_restart else ("mid", "fingerprint", "setup", "ice-ufrag", "ice-pwd")
            assert lines_of(new, at, *same) == lines_of(old, at, *same)
        assert again.audio.codec.number == before.audio.codec.number
        assert again.audio.telephone_event == before.audio.telephone_event
        before = again
    assert before.description.media[0].attribute("ice-ufrag") == "anew"


@each_browser
@pytest.mark.parametrize(
    ("scene", "direction", "is_held"),
    [
        ("audio_held", Direction.RECVONLY, True),
        ("audio_inactive", Direction.INACTIVE, True),
        ("audio_restarted", Direction.SENDRECV, False),
    ],
)
def test_hold_is_what_the_direction_says_and_not_the_null_address(browser, scene, direction, is_held):
    """Both browsers write `c=IN IP4 0.0.0.0` before they know better (RFC 8829 §5.2.1); Firefox has a=sendrecv above a stream on hold."""
    _, offer = recorded(browser, scene)
    both = answer(offer, HERE, session_id=7)
    assert (both.description.media[0].direction, both.audio.is_held_by_remote) == (direction, is_held)


@each_browser
@pytest.mark.parametrize("scene", [*FIRST, *AGAIN])
def test_what_was_recorded_is_written_again_as_it_was_read(browser, scene):
    _, offer = recorded(browser, scene)
    assert parse_sdp(offer.to_bytes()) == offer
