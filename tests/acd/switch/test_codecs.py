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
