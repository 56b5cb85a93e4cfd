"""SDP in, stream parameters out: codec, events, hold, and what cannot be carried."""

import pytest

from acd.switch import channel_costs, media_plan
from media.control import LegOpened
from sip.sdp.crypto import SrtpUse

OURS = LegOpened(request=1, leg="l", address="127.0.0.1", rtp_port=30000, rtcp_port=30001)


HERE = OURS.address


def sdp(*lines: str, connection: str = "127.0.0.9", media: str = "audio 40000 RTP/AVP 0 8 96") -> bytes:
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.9", "s=-", f"c=IN IP4 {connection}", "t=0 0", f"m={media}"]
    return ("\r\n".join([*head, *lines]) + "\r\n").encode()


def described(*lines: str, **changes: str):
    return media_plan.read(sdp(*lines, **changes), HERE)


def test_the_offerers_first_codec_is_taken_and_its_event_number_kept():
    """RFC 3264 §6.1."""
    answered, plan = media_plan.answer(described("a=rtpmap:96 telephone-event/8000"), OURS, ("PCMA", "PCMU"), 1)
    told = plan.describe("l", 60.0)
    assert (told.codec, told.payload_type, told.telephone_event) == ("PCMU", 0, 96)
    assert (told.remote_address, told.remote_port, told.remote_rtcp_port) == ("127.0.0.9", 40000, 40001)
    assert b"m=audio 30000 RTP/AVP 0 96" in answered.to_bytes()


@pytest.mark.parametrize("hold", [{"lines": ["a=sendonly"]}, {"lines": ["a=inactive"]}, {"lines": [], "connection": "0.0.0.0"}])
def test_hold_old_and_new_is_understood(hold):
    """RFC 3264 §8.4: sendonly, inactive, and the c=0.0.0.0 of RFC 2543."""
    _, plan = media_plan.answer(described(*hold.pop("lines"), **hold), OURS, ("PCMA", "PCMU"), 1)
    assert plan.is_hold
    assert not plan.describe("l", 60.0).sends


@pytest.mark.parametrize(
    ("lines", "connection", "kbits"),
    [
        ((), "IP4 127.0.0.9", 100),
        (("a=ptime:20",), "IP4 127.0.0.9", 100),
        (("a=ptime:10",), "IP4 127.0.0.9", 133),
        ((), "IP6 ::1", 109),
        (("a=ptime:0",), "IP4 127.0.0.9", 100),
    ],
)
def test_a_channel_costs_what_its_packets_cost_on_the_wire(lines, connection, kbits):
    """R9: G.711 at 20 ms over IPv4 is 99.96 kbit/s with RTCP; shorter packets and longer headers cost more."""
    text = sdp(*lines).replace(b"IP4 127.0.0.9\r\nt=", connection.encode() + b"\r\nt=")
    costs = channel_costs.of_their_offer(media_plan.read(text, "::1" if "IP6" in connection else HERE), SrtpUse.OFF, ("PCMA",))
    assert channel_costs.counted(costs, None) == kbits


def test_an_offer_without_a_codec_of_ours_has_warning_305():
    with pytest.raises(media_plan.NoCommonMedia) as refused:
        media_plan.read(sdp("a=rtpmap:97 iLBC/8000", media="audio 40000 RTP/AVP 97"), HERE)
    assert refused.value.warning == 305


def test_noise_instead_of_sdp_is_refused_not_raised_through():
    with pytest.raises(media_plan.NoCommonMedia):
        media_plan.read(b"\x00\xff nonsense", HERE)


def test_our_offer_and_the_answer_to_it_amount_to_a_plan():
    ours = media_plan.offer(OURS, ("PCMA", "PCMU"), 7)
    plan = media_plan.agreed(ours, sdp("a=rtpmap:101 telephone-event/8000", media="audio 40000 RTP/AVP 8 101"))
    assert plan.codec == "PCMA"
    assert plan.describe("l", 0.0).telephone_event == 101


def test_an_answer_with_another_number_for_events_leaves_ours_for_what_we_get():
    """RFC 3264 §6.1."""
    ours = media_plan.offer(OURS, ("PCMA", "PCMU"), 7)
    plan = media_plan.agreed(ours, sdp("a=rtpmap:96 telephone-event/8000", media="audio 40000 RTP/AVP 8 96"))
    told = plan.describe("l", 0.0)
    assert (told.telephone_event, told.receive_telephone_event, told.renumbered_telephone_event) == (96, 101, 96)


def test_the_next_description_of_a_leg_has_the_next_version():
    first, _ = media_plan.answer(described(), OURS, ("PCMA", "PCMU"), 7)
    second, plan = media_plan.answer(described("a=sendonly"), OURS, ("PCMA", "PCMU"), 7, first)
    assert second.origin.session_version == first.origin.session_version + 1
    assert plan.is_hold
