"""A description that would have less protection than there was, or than browsers have, is refused: recorded offers, changed on the way."""

from pathlib import Path

import pytest

from sip.errors import OfferRefused
from sip.sdp.crypto import SrtpTerms, SrtpUse
from sip.sdp.offer_answer import LocalMedia, answer, audio_offer, check_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from sip.sdp.webrtc import Fingerprint, Ours, Setup

FOLDER = Path(__file__).resolve().parents[2] / "vectors" / "sdp"
DIGEST = ":".join(f"{octet:02X}" for octet in range(32))
HERE = LocalMedia("192.0.2.1", 20000, dtls=Ours("ours", "p" * 24, Fingerprint("sha-256", DIGEST)))
THERE = LocalMedia("192.0.2.77", 5000, dtls=Ours("wxyz", "q" * 24, Fingerprint("sha-256", DIGEST.replace("00", "FF"))))
SDES = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
REACHABLE = ("c=IN IP4 0.0.0.0", "c=IN IP4 192.0.2.77")

each_browser = pytest.mark.parametrize("browser", ["chromium", "firefox"])


def lines_of(text):
    return text.split("\r\n")


def over(proto, *more):
    """The audio stream over another transport, at an address that can be reached, with lines behind it."""

    def change(text):
        text = text.replace("UDP/TLS/RTP/SAVPF", proto).replace(*REACHABLE).replace("m=audio 9 ", "m=audio 5000 ")
        return text + "".join(f"{line}\r\n" for line in more)

    return change


def without(*names):
    return lambda text: "\r\n".join(line for line in lines_of(text) if not line.startswith(tuple(f"a={name}" for name in names)))


def by(algorithm, octets):
    """Fingerprints by another hash function."""
    digest = ":".join(["AB"] * octets)
    return lambda text: "\r\n".join(
        f"a=fingerprint:{algorithm} {digest}" if line.startswith("a=fingerprint") else line for line in lines_of(text)
    )


DOWNGRADES = {
    "plain": (over("RTP/AVP"), 302),
    "plain with feedback": (over("RTP/AVPF"), 302),
    "plain, all of WebRTC taken out": (lambda text: over("RTP/AVP")(without("fingerprint", "setup", "ice-")(text)), 302),
    "keys in the description": (over("RTP/SAVP", SDES), 302),
    "keys in the description, with feedback": (over("RTP/SAVPF", SDES), 302),
    "keys beside plain": (over("RTP/AVP", SDES), 302),
    "no fingerprint": (without("fingerprint"), 306),
    "SHA-1 alone": (by("sha-1", 20), 306),
    "MD5 alone": (by("md5", 16), 306),
    "a function that nobody knows": (by("sha-999", 32), 306),
    "no ICE": (without("ice-ufrag", "ice-pwd"), 306),
    "reports in the open at a port of their own": (without("rtcp-mux"), 306),
}


def recorded(browser):
    return (FOLDER / f"{browser}_audio.sdp").read_bytes().decode()


@each_browser
@pytest.mark.parametrize("name", DOWNGRADES)
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("use", SrtpUse)
def test_an_offer_with_less_than_a_browsers_is_refused_as_the_first_and_in_a_session(browser, name, is_first, use):
    """Whatever the line may do with keys otherwise: a browser's leg has those of its handshake."""
    change, warning = DOWNGRADES[name]
    before = answer(parse_sdp(recorded(browser)), HERE, session_id=7)
    offer = parse_sdp(change(recorded(browser)))
    terms = SrtpTerms(use, bytes)
    with pytest.raises(OfferRefused) as refusal:
        answer(offer, HERE, session_id=7, previous=None if is_first else before.description, srtp=terms)
    assert (refusal.value.warning_code, refusal.value.status_hint) == (warning, 488)
    with pytest.raises(OfferRefused):
        check_offer(offer, HERE.address, srtp=terms, is_browser=True)


@each_browser
def test_a_plain_stream_beside_the_encrypted_one_is_not_taken_in_its_place(browser):
    """Nor where the encrypted one is turned off: what is left is refused."""
    plain = "m=audio 5000 RTP/AVP 8\r\nc=IN IP4 192.0.2.77\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
    both = answer(parse_sdp(recorded(browser) + plain), HERE, session_id=7)
    assert [(media.proto, media.port != 0) for media in both.description.media] == [("UDP/TLS/RTP/SAVPF", True), ("RTP/AVP", False)]
    port = parse_sdp(recorded(browser)).media[0].port
    gone = recorded(browser).replace(f"m=audio {port} UDP", "m=audio 0 UDP")
    assert gone != recorded(browser)
    with pytest.raises(OfferRefused) as refusal:
        answer(parse_sdp(gone + plain), HERE, session_id=7, previous=both.description)
    assert refusal.value.warning_code == 302


@each_browser
def test_a_weak_fingerprint_beside_a_strong_one_changes_nothing(browser):
    """The worker looks at the strongest (`media.transport.dtls`)."""
    strong = parse_sdp(recorded(browser))
    weak = f"a=fingerprint:sha-1 {':'.join(['AB'] * 20)}\r\na=fingerprint:sha-256"
    peer = answer(parse_sdp(recorded(browser).replace("a=fingerprint:sha-256", weak)), HERE, session_id=7).audio.dtls.peer
    alone = answer(strong, HERE, session_id=7).audio.dtls.peer
    assert [one.algorithm for one in peer.fingerprints] == ["sha-1", "sha-256"]
    assert peer.fingerprints[1:] == alone.fingerprints


ANSWERS = {
    "nobody begins": (("a=setup:active", "a=setup:actpass"), 306),
    "the connection is held": (("a=setup:active", "a=setup:holdconn"), 306),
    "SHA-1 alone": (("a=fingerprint:sha-256", "a=fingerprint:sha-1"), 306),
    "MD5 alone": (("a=fingerprint:sha-256", "a=fingerprint:md5"), 306),
    "no fingerprint": (("a=fingerprint:", "a=nothing:"), 306),
    "reports at a port of their own": (("a=rtcp-mux\r\n", ""), 306),
    "plain": (("UDP/TLS/RTP/SAVPF", "RTP/AVP"), 302),
    "keys in the description": (("UDP/TLS/RTP/SAVPF", "RTP/SAVP"), 302),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("is_first", [True, False])
def test_an_answer_with_less_than_was_offered_is_refused(name, is_first):
    """Also in the middle of a session: RFC 5763 §5 has `actpass` in offers alone."""
    offer = audio_offer(HERE, session_id=7)
    offer = offer if is_first else reoffer(offer, HERE)
    full = str(answer(parse_sdp(str(offer).replace("a=ice-lite\r\n", "")), THERE, session_id=9).description).replace("a=ice-lite\r\n", "")
    full = full.replace("a=setup:passive", "a=setup:active")
    assert read_answer(offer, parse_sdp(full)).dtls.peer.setup is Setup.ACTIVE
    (old, new), warning = ANSWERS[name]
    assert old in full
    with pytest.raises(OfferRefused) as refusal:
        read_answer(offer, parse_sdp(full.replace(old, new)))
    assert refusal.value.warning_code == warning
