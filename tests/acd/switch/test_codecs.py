"""Which codec a call has: by what is listed, what the other party speaks, what the session has. All codecs come from the registry."""

import msgspec
import pytest
from pydantic import BaseModel, ValidationError

from acd import codecs
from acd.switch import channel_costs, media_plan
from api.kit.codecs import Codecs
from media import framing
from media.control import LegOpened
from media.wire_cost import ChannelShape, stream_kbits
from sip.sdp.crypto import SrtpUse
from sip.sdp.parser import parse_sdp
from tests.media.codecs.made_up import MADE_UP, ROWS

OURS = LegOpened(request=1, leg="l", address="127.0.0.1", rtp_port=30000, rtcp_port=30001)
USUAL = ("PCMA", "PCMU")
WIDE = ("PCMA", "PCMU", "G722")
PHONE = "audio 40000 RTP/AVP 9 8 0 101"
"""What a desk phone offers: wide-band first."""


def described(media, *lines):
    text = ["v=0", "o=- 1 1 IN IP4 127.0.0.9", "s=-", "c=IN IP4 127.0.0.9", "t=0 0", f"m={media}", *lines]
    return media_plan.read(("\r\n".join(text) + "\r\n").encode(), OURS.address)


def answered(media, listed, *lines, **known):
    return media_plan.answer(described(media, *lines), OURS, listed, 1, **known)[1].codec


def formats(description):
    return description.media[0].formats


class TestOffers:
    def test_the_usual_offer_is_what_it_was(self):
        assert media_plan.offer(OURS, codecs.USUAL, 7).to_bytes() == (
            b"v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 8 0 101\r\n"
            b"a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
            b"a=sendrecv\r\n"
        )

    def test_g722_is_offered_where_it_is_listed_at_the_clock_of_rfc_3551(self):
        offer = media_plan.offer(OURS, ("G722", "PCMA"), 7)
        assert formats(offer) == ("9", "8", "101")
        assert b"a=rtpmap:9 G722/8000\r\n" in offer.to_bytes()

    @pytest.mark.parametrize(
        ("listed", "own", "spoken", "order"),
        [
            (USUAL, None, None, "PCMA PCMU"),
            (USUAL, None, "PCMU", "PCMU PCMA"),
            (USUAL, None, "G722", "PCMA PCMU"),
            (WIDE, None, "G722", "G722 PCMA PCMU"),
            (("G722", "PCMA", "PCMU"), None, None, "G722 PCMA PCMU"),
            (("G722", "PCMA", "PCMU"), None, "PCMU", "PCMU PCMA G722"),  # the A-law that a table makes of it goes before
            (("G722", "PCMU"), None, "PCMA", "PCMU G722"),
            (WIDE, "PCMU", "G722", "PCMU G722 PCMA"),  # a session keeps its codec
        ],
    )
    def test_first_what_needs_no_decoding_for_the_other_party(self, listed, own, spoken, order):
        assert " ".join(media_plan.preferred(listed, own, spoken)) == order

    @pytest.mark.parametrize(
        ("likely", "order"), [("G722", "G722 PCMU PCMA"), ("PCMA", "PCMU PCMA G722"), ("PCMU", "PCMU PCMA G722"), (None, "G722 PCMU PCMA")]
    )
    def test_what_a_caller_will_speak_moves_only_what_would_have_to_be_decoded(self, likely, order):
        assert " ".join(media_plan.preferred(("G722", "PCMU", "PCMA"), None, None, likely)) == order

    @pytest.mark.parametrize(
        ("media", "listed", "codec"),
        [(PHONE, WIDE, "G722"), (PHONE, USUAL, "PCMA"), ("audio 40000 RTP/AVP 9", USUAL, None), ("audio 0 RTP/AVP 8", USUAL, None)]
        + [(f"audio 40000 RTP/AVP 96 8\r\na=rtpmap:96 {other}", WIDE, "PCMA") for other in ("G722/16000", "PCMU/8000/2", "PCMU/16000")],
    )
    def test_what_a_caller_will_speak_is_read_from_its_offer(self, media, listed, codec):
        text = f"v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm={media}\r\n"
        assert media_plan.likely(parse_sdp(text.encode()), listed) == codec


class TestAnswers:
    @pytest.mark.parametrize(
        ("media", "listed", "codec"),
        [
            (PHONE, USUAL, "PCMA"),
            ("audio 40000 RTP/AVP 9 0 8", USUAL, "PCMU"),
            (PHONE, WIDE, "G722"),
            ("audio 40000 RTP/AVP 8 9", WIDE, "PCMA"),
            ("audio 40000 RTP/AVP 0 8", ("PCMA",), "PCMU"),  # G.711 is never refused
            ("audio 40000 RTP/AVP 9 101", USUAL, "G722"),  # nor is a call that has nothing else
        ],
    )
    def test_the_offerers_first_of_those_listed_is_taken(self, media, listed, codec):
        assert answered(media, listed) == codec

    def test_an_answer_in_g722_keeps_the_keys(self):
        description, plan = media_plan.answer(described(PHONE, "a=rtpmap:101 telephone-event/8000"), OURS, WIDE, 1)
        assert formats(description) == ("9", "101")
        assert (plan.describe("l", 0.0).payload_type, plan.describe("l", 0.0).telephone_event) == (9, 101)

    def test_a_caller_is_not_given_wide_band_beside_who_speaks_narrow_band(self):
        assert answered(PHONE, WIDE, spoken="PCMA") == "PCMA"
        assert answered("audio 40000 RTP/AVP 9 0 8", WIDE, spoken="PCMA") == "PCMA"
        assert answered("audio 40000 RTP/AVP 9 0", WIDE, spoken="PCMA") == "PCMU"  # by a table
        assert answered(PHONE, WIDE, spoken="G722") == "G722"
        assert answered("audio 40000 RTP/AVP 8 9", WIDE, spoken="G722") == "G722"
        assert answered("audio 40000 RTP/AVP 9", USUAL, spoken="PCMA") == "G722"

    def test_a_session_keeps_its_codec_where_the_next_offer_still_has_it(self):
        assert answered("audio 40000 RTP/AVP 9 8 0", WIDE, own="PCMU") == "PCMU"
        assert answered("audio 40000 RTP/AVP 8 0 9", WIDE, own="G722") == "G722"
        assert answered("audio 40000 RTP/AVP 8 0", WIDE, own="G722") == "PCMA"

    def test_an_answer_under_another_number_is_sent_by_theirs_and_heard_by_ours(self):
        """RFC 3264 §6.1."""
        theirs = described("audio 40000 RTP/AVP 96", "a=rtpmap:96 g722/8000/1").to_bytes()
        told = media_plan.agreed(media_plan.offer(OURS, WIDE, 7), theirs).describe("l", 0.0)
        assert (told.codec, told.payload_type, told.receive_payload_type) == ("G722", 96, 9)

    @pytest.mark.parametrize("media", ["audio 40000 RTP/AVP 18 3", "audio 40000 RTP/AVP 101"])
    def test_what_the_house_does_not_know_is_refused(self, media):
        with pytest.raises(media_plan.NoCommonMedia) as refused:
            described(media, "a=rtpmap:101 telephone-event/8000")
        assert refused.value.warning == 305


CHROMIUM = "audio 40000 RTP/AVP 111 63 9 0 8 13 110 126"
"""What a browser lists, in its order: Opus first, noise, and events at both clocks."""
CHROMIUM_LINES = (
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:63 red/48000/2",
    "a=rtpmap:13 CN/8000",
    "a=rtpmap:110 telephone-event/48000",
    "a=rtpmap:126 telephone-event/8000",
)
OPUS_ALONE = (
    "audio 40000 RTP/AVP 96 97",
    "a=rtpmap:96 opus/48000/2",
    "a=fmtp:96 useinbandfec=1;usedtx=1",
    "a=rtpmap:97 telephone-event/8000",
)


class TestOpus:
    """RFC 7587: never by default, and rather than refuse a call."""

    def test_it_is_in_no_offer_and_no_answer_that_nobody_listed_it_for(self):
        assert b"opus" not in media_plan.offer(OURS, (*WIDE,), 7).to_bytes()
        assert answered(CHROMIUM, USUAL, *CHROMIUM_LINES) == "PCMU"  # their first of what is listed
        assert answered(CHROMIUM, WIDE, *CHROMIUM_LINES) == "G722"

    def test_what_has_nothing_else_is_answered_with_it_and_with_what_we_like(self):
        description, plan = media_plan.answer(described(*OPUS_ALONE), OURS, USUAL, 1)
        assert description.to_bytes().endswith(
            b"m=audio 30000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:96 minptime=10;useinbandfec=1\r\na=ptime:20\r\na=sendrecv\r\n"
        )
        told = plan.describe("l", 0.0)
        assert (told.codec, told.payload_type, told.fmtp) == ("opus", 96, "useinbandfec=1;usedtx=1")
        assert told.telephone_event is None  # RFC 4733 §2.1: the one that is there has another clock
        assert framing.request_reader().feed(framing.encode(told)) == [told]

    @pytest.mark.parametrize(("listed", "events"), [(("opus",), 110), (USUAL, 126)])
    def test_of_two_telephone_events_the_one_with_the_codecs_clock_is_answered(self, listed, events):
        offered = described(CHROMIUM, *CHROMIUM_LINES) if listed == USUAL else described(CHROMIUM.replace(" 0 8", ""), *CHROMIUM_LINES)
        plan = media_plan.answer(offered, OURS, listed, 1)[1]
        assert plan.describe("l", 0.0).telephone_event == events

    def test_it_is_offered_where_it_is_listed_with_events_of_both_clocks(self):
        offer = media_plan.offer(OURS, ("opus", "PCMA"), 7)
        assert formats(offer) == ("111", "8", "101", "110")
        for line in ("rtpmap:111 opus/48000/2", "fmtp:111 minptime=10;useinbandfec=1", "rtpmap:110 telephone-event/48000", "fmtp:110 0-16"):
            assert f"a={line}\r\n".encode() in offer.to_bytes()
        assert formats(media_plan.offer(OURS, ("opus",), 7)) == ("111", "110")

    def test_an_answer_in_it_has_the_events_of_its_clock(self):
        offer = media_plan.offer(OURS, ("opus", "PCMA"), 7)
        lines = (
            "a=rtpmap:111 opus/48000/2",
            "a=fmtp:111 maxplaybackrate=8000",
            "a=rtpmap:110 telephone-event/48000",
            "a=rtpmap:101 telephone-event/8000",
        )
        told = media_plan.agreed(offer, described("audio 40000 RTP/AVP 111 101 110", *lines).to_bytes()).describe("l", 0.0)
        assert (told.codec, told.telephone_event, told.fmtp) == ("opus", 110, "maxplaybackrate=8000")

    @pytest.mark.parametrize(
        ("fmtp", "asked", "sent"), [("minptime=10", 10, 10), ("minptime=40; usedtx=1", 20, 40), ("minptime=x", 20, 20), ("", 60, 60)]
    )
    def test_packets_are_no_shorter_than_it_bears(self, fmtp, asked, sent):
        lines = (*OPUS_ALONE[1:2], *([f"a=fmtp:96 {fmtp}"] if fmtp else []), f"a=ptime:{asked}")
        assert media_plan.answer(described("audio 40000 RTP/AVP 96", *lines), OURS, USUAL, 1)[1].describe("l", 0.0).ptime_ms == sent

    def test_a_number_keeps_its_meaning_within_a_session(self):
        """RFC 3264 §8.3.2: they have Opus at 96, and at 111 events, where ours would be Opus."""
        lines = ("a=rtpmap:96 opus/48000/2", "a=rtpmap:111 telephone-event/48000")
        ours, _ = media_plan.answer(described("audio 40000 RTP/AVP 96 111", *lines), OURS, ("opus",), 1)
        again = media_plan.offer(OURS, ("opus", "PCMA"), 7, ours)
        assert formats(again) == ("96", "8", "101", "111")
        lines = ("a=rtpmap:0 PCMU/8000", "a=rtpmap:111 telephone-event/8000")
        ours, _ = media_plan.answer(described("audio 40000 RTP/AVP 0 111", *lines), OURS, USUAL, 1)
        assert formats(media_plan.offer(OURS, ("opus", "PCMU"), 7, ours)) == ("127", "0", "111", "110")


class TestComfortNoise:
    """RFC 3389: taken from whoever offers it, offered where it is listed."""

    def test_it_is_answered_where_it_is_offered_and_told_to_the_worker(self):
        description, plan = media_plan.answer(
            described("audio 40000 RTP/AVP 8 13 101", "a=rtpmap:101 telephone-event/8000"), OURS, USUAL, 1
        )
        assert formats(description) == ("8", "13", "101")
        assert b"a=rtpmap:13 CN/8000\r\n" in description.to_bytes()
        told = plan.describe("l", 0.0)
        assert (told.comfort_noise, told.receive_comfort_noise) == (13, 13)
        assert framing.request_reader().feed(framing.encode(told)) == [told]

    def test_it_is_the_one_with_the_codecs_clock(self):
        lines = ("a=rtpmap:105 CN/16000", "a=rtpmap:106 CN/8000")
        _, plan = media_plan.answer(described("audio 40000 RTP/AVP 9 105 106", *lines), OURS, WIDE, 1)
        assert plan.describe("l", 0.0).comfort_noise == 106
        _, plan = media_plan.answer(described("audio 40000 RTP/AVP 9 105", *lines), OURS, WIDE, 1)
        assert plan.describe("l", 0.0).comfort_noise is None

    def test_it_is_offered_where_it_is_listed_and_may_be_left_out_of_the_answer(self):
        offer = media_plan.offer(OURS, ("PCMA", "CN"), 7)
        assert formats(offer) == ("8", "13", "101")
        taken = media_plan.agreed(offer, described("audio 40000 RTP/AVP 8 13").to_bytes()).describe("l", 0.0)
        assert (taken.codec, taken.comfort_noise) == ("PCMA", 13)
        assert media_plan.agreed(offer, described("audio 40000 RTP/AVP 8").to_bytes()).describe("l", 0.0).comfort_noise is None
        assert formats(media_plan.offer(OURS, ("opus", "CN"), 7)) == ("111", "110")  # which has no use for it
        assert formats(media_plan.moved(offer, OURS, "PCMA")) == ("8", "13", "101")

    def test_it_is_no_codec(self):
        offer = media_plan.offer(OURS, ("PCMA", "CN"), 7)
        with pytest.raises(media_plan.NoCommonMedia):
            media_plan.agreed(
                offer, b"v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 40000 RTP/AVP 13\r\n"
            )
        with pytest.raises(ValueError, match="at least one"):
            codecs.check(("CN",))
        assert codecs.check(("PCMA", "CN")) == ("PCMA", "CN")


class TestOneRowMore:
    """A codec is its file and one row of the registry: everything between SDP and the worker knows it then."""

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch):
        for table, key, value in ROWS:
            monkeypatch.setitem(table, key, value)

    def test_it_is_offered_negotiated_and_told_to_the_worker(self):
        offer = media_plan.offer(OURS, (MADE_UP.name, *USUAL), 7)
        assert formats(offer) == ("118", "8", "0", "101")
        assert b"a=rtpmap:118 X-TWO/8000\r\n" in offer.to_bytes()
        description, plan = media_plan.answer(described("audio 40000 RTP/AVP 99 8", "a=rtpmap:99 x-two/8000"), OURS, (MADE_UP.name,), 1)
        assert formats(description) == ("99",)
        told = plan.describe("l", 0.0)
        assert (told.codec, told.payload_type) == (MADE_UP.name, 99)
        assert framing.request_reader().feed(framing.encode(told)) == [told]

    def test_it_is_taken_rather_than_a_call_refused_and_costs_what_it_costs(self):
        offered = described("audio 40000 RTP/AVP 99", "a=rtpmap:99 X-TWO/8000")
        assert media_plan.answer(offered, OURS, USUAL, 1)[1].codec == MADE_UP.name
        assert stream_kbits(ChannelShape(MADE_UP.name)) == pytest.approx(159.2)  # 320 octets instead of 160: 64 kbit/s more than 95.2
        assert channel_costs.of_their_offer(offered, SrtpUse.OFF, USUAL).kbits == 168

    def test_a_configuration_may_name_it(self):
        assert codecs.check((MADE_UP.name, "PCMA")) == (MADE_UP.name, "PCMA")
        assert MADE_UP.name in codecs.names()


class _Line(BaseModel):
    codecs: Codecs


@pytest.mark.parametrize("listed", [[], ["G729"], ["PCMA", "PCMA"], ["pcma"]])
def test_a_list_has_one_codec_at_least_each_once_and_none_that_is_not_there(listed):
    with pytest.raises(ValidationError, match=r"codec"):
        _Line(codecs=listed)


def test_the_schema_tells_which_there_are():
    told = _Line.model_json_schema()["properties"]["codecs"]
    assert told["items"]["enum"] == list(codecs.names())
    assert {"PCMA", "PCMU", "G722"} <= set(codecs.names())
    assert msgspec.json.decode(msgspec.json.encode(_Line(codecs=WIDE).codecs)) == list(WIDE)
