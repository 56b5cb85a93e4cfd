"""Offer and answer (RFC 3264) for one audio stream, and whose turn it is."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.errors import IllegalTransition, LocalMisuse, OfferRefused, RemoteFault
from sip.sdp.description import Direction, PayloadType
from sip.sdp.offer_answer import (
    PCMA,
    PCMU,
    REFUSALS,
    TRANSITIONS,
    WARNINGS,
    Capabilities,
    Input,
    LocalMedia,
    OfferAnswer,
    State,
    answer,
    audio_offer,
    read_answer,
    reoffer,
    revised,
)
from sip.sdp.parser import parse_sdp
from tests.sip.messages.strategies import FUZZ

HERE = LocalMedia("192.0.2.1", 4000)
THERE = LocalMedia("198.51.100.9", 5000, 5005)
WISHES = list(Direction)


def offer_of(*lines: str) -> str:
    return "\r\n".join(("v=0", "o=- 1 1 IN IP4 198.51.100.7", "s=-", "c=IN IP4 198.51.100.7", "t=0 0", *lines, ""))


def test_offer_text():
    offer = audio_offer(LocalMedia("192.0.2.1", 4000, 4003), session_id=7, direction=Direction.SENDONLY)
    assert str(offer).split("\r\n") == [
        "v=0",
        "o=- 7 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 4000 RTP/AVP 8 0 101",
        "a=rtcp:4003",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendonly",
        "",
    ]


def test_offer_needs_codecs_with_different_numbers():
    for codecs in ((), (PCMA, PCMA), (PCMA, PayloadType(101, "X", 8000))):
        with pytest.raises(LocalMisuse):
            audio_offer(HERE, session_id=1, capabilities=Capabilities(codecs))


def test_both_sides_see_the_same_session():
    offer = audio_offer(HERE, session_id=7)
    answered = answer(offer, THERE, session_id=8)
    offerer, answerer = read_answer(offer, parse_sdp(str(answered.description))), answered.audio
    assert offerer.codec.same_format(answerer.codec)
    assert (offerer.codec.number, offerer.telephone_event, offerer.ptime_ms) == (8, 101, 20)
    assert (answerer.remote_address, answerer.remote_port, answerer.remote_rtcp_port) == ("192.0.2.1", 4000, 4001)
    assert (offerer.remote_address, offerer.remote_port, offerer.remote_rtcp_port) == ("198.51.100.9", 5000, 5005)
    assert answered.description.connection.address_type == "IP4"
    assert answered.description.timings == offer.timings


@pytest.mark.parametrize(("wished_by_offerer", "wished_by_answerer"), list(itertools.product(WISHES, WISHES)))
def test_media_flows_where_one_wants_to_send_and_the_other_to_receive(wished_by_offerer, wished_by_answerer):
    """RFC 3264 §6.1: a sendonly offer may only be answered recvonly or inactive, and so on."""
    offer = audio_offer(HERE, session_id=1, direction=wished_by_offerer)
    answered = answer(offer, THERE, session_id=2, direction=wished_by_answerer)
    offerer, answerer = read_answer(offer, answered.description), answered.audio
    assert answerer.direction is offerer.direction.reversed
    assert answerer.direction.sends == (wished_by_answerer.sends and wished_by_offerer.receives)
    assert answerer.direction.receives == (wished_by_answerer.receives and wished_by_offerer.sends)
    assert answered.description.media[0].direction is answerer.direction


class TestCodecs:
    def test_first_of_the_offer_wins(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 9 0 8"))
        assert answer(offer, HERE, session_id=1).audio.codec.encoding == "PCMU"
        ours_first = Capabilities(offerer_chooses=False)
        assert answer(offer, HERE, session_id=1, capabilities=ours_first).audio.codec.encoding == "PCMA"

    def test_dynamic_number_of_the_offer_is_used(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 96 97", "a=rtpmap:96 pcma/8000/1", "a=rtpmap:97 TELEPHONE-EVENT/8000"))
        answered = answer(offer, HERE, session_id=1)
        assert (answered.audio.codec.number, answered.audio.receive_payload_type, answered.audio.telephone_event) == (96, 96, 97)
        assert answered.description.media[0].formats == ("96", "97")
        assert "a=fmtp:97 0-16" in str(answered.description)

    def test_number_that_means_something_else_is_no_g711(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", "a=rtpmap:8 opus/48000/2"))
        with pytest.raises(OfferRefused) as caught:
            answer(offer, HERE, session_id=1)
        assert (caught.value.status_hint, caught.value.warning_code) == (488, 305)

    def test_events_need_the_clock_of_the_audio(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/48000"))
        answered = answer(offer, HERE, session_id=1)
        assert answered.audio.telephone_event is None
        assert answered.description.media[0].formats == ("8",)

    def test_events_can_be_switched_off(self):
        able = Capabilities((PCMU,), telephone_event=None)
        offer = audio_offer(HERE, session_id=1)
        assert answer(offer, THERE, session_id=2, capabilities=able).audio.telephone_event is None
        assert read_answer(offer, answer(offer, THERE, session_id=2, capabilities=able).description).telephone_event is None
        assert audio_offer(HERE, session_id=1, capabilities=able).media[0].formats == ("0",)

    def test_answerer_may_number_its_own_direction(self):
        """RFC 3264 §6.1: the answer's numbers are those that the answerer wants to receive."""
        offer = audio_offer(HERE, session_id=1)
        other = parse_sdp(
            offer_of(
                "m=audio 9000 RTP/AVP 99 0 110", "a=rtpmap:99 PCMA/8000", "a=rtpmap:110 telephone-event/8000", "a=ptime:30", "a=maxptime:20"
            )
        )
        audio = read_answer(offer, other)
        assert (audio.codec.number, audio.receive_payload_type) == (99, 8)
        assert (audio.telephone_event, audio.receive_telephone_event) == (110, 101)
        assert audio.ptime_ms == 20  # never above what the peer can take

    @pytest.mark.parametrize(
        ("lines", "taken"),
        [
            (("m=audio 9000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000"), 96),
            (("m=audio 9000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"), None),  # it is ours anyway
            (("m=audio 9000 RTP/AVP 8 0", "a=rtpmap:0 telephone-event/8000"), None),  # G.711 in our offer
            (("m=audio 9000 RTP/AVP 8 13", "a=rtpmap:13 telephone-event/8000"), None),  # comfort noise, whoever says something else
            (("m=audio 9000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/16000"), None),
            (("m=audio 9000 RTP/AVP 8 96 97", "a=rtpmap:96 telephone-event/16000", "a=rtpmap:97 telephone-event/8000"), 97),
            (("m=audio 9000 RTP/AVP 8",), None),
        ],
    )
    def test_the_peers_own_number_for_events_is_known_where_it_means_nothing_else(self, lines, taken):
        audio = read_answer(audio_offer(HERE, session_id=1), parse_sdp(offer_of(*lines)))
        assert audio.renumbered_telephone_event == taken

    def test_an_answer_of_ours_leaves_one_number_for_both(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8 96", "a=rtpmap:96 telephone-event/8000"))
        audio = answer(offer, HERE, session_id=1).audio
        assert (audio.receive_telephone_event, audio.renumbered_telephone_event) == (96, None)

    def test_events_are_never_taken_for_the_codec(self):
        answered = parse_sdp(offer_of("m=audio 9000 RTP/AVP 101 8", "a=rtpmap:101 telephone-event/8000"))
        audio = read_answer(audio_offer(HERE, session_id=1), answered)
        assert (audio.codec.encoding, audio.receive_payload_type, audio.telephone_event) == ("PCMA", 8, 101)

    def test_ptime_of_the_offer_is_kept(self):
        answered = answer(parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", "a=ptime:30")), HERE, session_id=1)
        assert answered.audio.ptime_ms == 30
        assert answered.description.media[0].ptime == 30


class TestStreams:
    def test_every_other_stream_is_refused_in_its_place(self):
        offer = parse_sdp(
            offer_of(
                "m=video 6000 RTP/AVP 31",
                "m=audio 4000 RTP/SAVP 8",
                "m=audio 4002 RTP/AVP 9",
                "m=audio 0 RTP/AVP 8",
                "m=audio 4004 RTP/AVPF 8",
                "m=audio 4006 RTP/AVP 8",
                "m=image 4008 udptl t38",
            )
        )
        answered = answer(offer, HERE, session_id=1)
        assert [(media.media, media.port, media.proto, media.formats) for media in answered.description.media] == [
            ("video", 0, "RTP/AVP", ("31",)),
            ("audio", 0, "RTP/SAVP", ("8",)),
            ("audio", 0, "RTP/AVP", ("9",)),
            ("audio", 0, "RTP/AVP", ("8",)),
            ("audio", 4000, "RTP/AVPF", ("8",)),
            ("audio", 0, "RTP/AVP", ("8",)),
            ("image", 0, "udptl", ("t38",)),
        ]
        assert answered.audio.remote_port == 4004

    @pytest.mark.parametrize(
        ("lines", "warning"),
        [
            ((), 304),
            (("m=video 6000 RTP/AVP 31",), 304),
            (("m=audio 0 RTP/AVP 8",), 304),
            (("m=audio 4000 RTP/SAVP 8",), 302),
            (("m=audio 4000 RTP/AVP 9 18",), 305),
            (("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), 305),
            (("m=audio 4000 RTP/SAVP 8", "m=audio 4002 RTP/AVP 9"), 305),
        ],
    )
    def test_nothing_in_common_is_488_with_its_warning(self, lines, warning):
        with pytest.raises(OfferRefused) as caught:
            answer(parse_sdp(offer_of(*lines)), HERE, session_id=1)
        assert (caught.value.status_hint, caught.value.warning_code) == (488, warning)

    def test_no_address_is_488(self):
        text = offer_of("m=audio 4000 RTP/AVP 8").replace("c=IN IP4 198.51.100.7\r\n", "")
        with pytest.raises(OfferRefused) as caught:
            answer(parse_sdp(text), HERE, session_id=1)
        assert caught.value.warning_code == 301

    def test_address_of_the_stream_goes_before_that_of_the_session(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", "c=IN IP6 2001:db8::5", "a=rtcp:4009 IN IP6 2001:db8::6"))
        audio = answer(offer, LocalMedia("2001:db8::9", 5000), session_id=1).audio
        assert (audio.remote_address, audio.remote_rtcp_address, audio.remote_rtcp_port) == ("2001:db8::5", "2001:db8::6", 4009)

    def test_rtcp_mux_only_when_both_want_it(self):
        offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", "a=rtcp-mux"))
        muxed = answer(offer, LocalMedia("192.0.2.1", 4000, 4000), session_id=1)
        assert (muxed.audio.rtcp_mux, muxed.audio.remote_rtcp_port, muxed.description.media[0].rtcp_mux) == (True, 4000, True)
        plain = answer(offer, HERE, session_id=1)
        assert (plain.audio.rtcp_mux, plain.description.media[0].rtcp_mux) == (False, False)

    @pytest.mark.parametrize(
        ("lines", "warning"),
        [
            (("m=audio 0 RTP/AVP 8",), 304),
            (("m=video 5000 RTP/AVP 8",), 304),
            ((), 304),
            (("m=audio 5000 RTP/AVP 8", "m=video 0 RTP/AVP 31"), 304),
            (("m=audio 5000 RTP/AVP 18",), 305),
        ],
    )
    def test_answer_that_does_not_fit_is_refused(self, lines, warning):
        with pytest.raises(OfferRefused) as caught:
            read_answer(audio_offer(HERE, session_id=1), parse_sdp(offer_of(*lines)))
        assert caught.value.warning_code == warning

    def test_answer_to_an_offer_without_audio_is_our_mistake(self):
        offer = parse_sdp(offer_of("m=video 6000 RTP/AVP 31"))
        with pytest.raises(LocalMisuse):
            read_answer(offer, offer)


class TestHold:
    @pytest.mark.parametrize(
        ("lines", "direction"),
        [
            (("m=audio 4000 RTP/AVP 8", "a=sendonly"), Direction.RECVONLY),
            (("a=sendonly", "m=audio 4000 RTP/AVP 8"), Direction.RECVONLY),
            (("m=audio 4000 RTP/AVP 8", "a=inactive"), Direction.INACTIVE),
            (("m=audio 4000 RTP/AVP 8", "c=IN IP4 0.0.0.0"), Direction.RECVONLY),
            (("m=audio 4000 RTP/AVP 8", "c=IN IP6 ::"), Direction.RECVONLY),
            (("m=audio 4000 RTP/AVP 8", "c=IN IP4 0.0.0.0", "a=recvonly"), Direction.INACTIVE),
        ],
    )
    def test_both_kinds_of_hold_stop_our_sending(self, lines, direction):
        answered = answer(parse_sdp(offer_of(*lines)), HERE, session_id=1)
        assert answered.audio.direction is direction
        assert answered.audio.is_held_by_remote
        assert answered.description.media[0].direction is direction

    def test_hold_and_resume_count_up_the_version(self):
        first = audio_offer(HERE, session_id=7)
        held = reoffer(first, HERE, direction=Direction.SENDONLY)
        resumed = reoffer(held, HERE)
        assert [sdp.origin.session_version for sdp in (first, held, resumed)] == [1, 2, 3]
        assert resumed.media == first.media
        assert reoffer(resumed, HERE) == resumed  # nothing changed: the same version (RFC 3264 §8)

    def test_answerer_counts_up_only_when_its_answer_changes(self):
        offer = audio_offer(HERE, session_id=7)
        first = answer(offer, THERE, session_id=8).description
        assert answer(offer, THERE, session_id=8, previous=first).description == first
        second = answer(reoffer(offer, HERE, direction=Direction.SENDONLY), THERE, session_id=8, previous=first).description
        assert (second.origin.session_id, second.origin.session_version) == (8, 2)

    def test_reoffer_keeps_the_streams_and_numbers_of_the_session(self):
        """RFC 3264 §8: as many m= lines, in their order; §8.3.2: numbers keep their meaning."""
        theirs = parse_sdp(offer_of("m=video 6000 RTP/AVP 31", "m=audio 4000 RTP/AVPF 8 96", "a=rtpmap:96 telephone-event/8000"))
        ours = answer(theirs, HERE, session_id=1).description
        again = reoffer(ours, LocalMedia("192.0.2.1", 4100), direction=Direction.INACTIVE)
        assert [(media.media, media.port, media.proto) for media in again.media] == [("video", 0, "RTP/AVP"), ("audio", 4100, "RTP/AVPF")]
        assert again.media[1].formats == ("8", "0", "96")
        assert again.origin.session_version == 2

    def test_reoffer_after_everything_was_refused_adds_a_stream(self):
        refused = audio_offer(HERE, session_id=1)
        refused = msgspec.structs.replace(refused, media=tuple(media.refused() for media in refused.media))
        assert [media.port for media in reoffer(refused, HERE).media] == [0, 4000]

    def test_revised_without_a_change_is_the_same(self):
        offer = audio_offer(HERE, session_id=1)
        assert revised(offer, audio_offer(HERE, session_id=99, session_version=5)) is offer


class TestTurns:
    @pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Input)))
    def test_every_pair_leads_somewhere_or_is_refused(self, state, event):
        sdp = audio_offer(HERE, session_id=1)
        machine = OfferAnswer(state, pending=None if state is State.STABLE else sdp)
        description = None if event is Input.REFUSED else sdp
        if event in TRANSITIONS[state]:
            assert machine.after(event, description).state is TRANSITIONS[state][event].state
        elif (state, event) in REFUSALS:
            with pytest.raises(RemoteFault) as caught:
                machine.after(event, description)
            assert caught.value.status_hint == REFUSALS[state, event]
        else:
            with pytest.raises(IllegalTransition):
                machine.after(event, description)
        assert machine.state is state

    def test_peer_out_of_turn_is_never_our_bug(self):
        for state in State:
            for event in (Input.OFFER_RECEIVED, Input.ANSWER_RECEIVED):
                assert (event in TRANSITIONS[state]) != ((state, event) in REFUSALS)

    def test_glare_is_491(self):
        offer = audio_offer(HERE, session_id=1)
        with pytest.raises(RemoteFault) as caught:
            OfferAnswer().after(Input.OFFER_SENT, offer).after(Input.OFFER_RECEIVED, offer)
        assert caught.value.status_hint == 491

    def test_descriptions_come_into_force_with_the_answer(self):
        ours, theirs = audio_offer(HERE, session_id=1), audio_offer(THERE, session_id=2)
        machine = OfferAnswer().after(Input.OFFER_SENT, ours)
        assert (machine.local, machine.remote, machine.pending) == (None, None, ours)
        machine = machine.after(Input.ANSWER_RECEIVED, theirs)
        assert (machine.local, machine.remote, machine.pending) == (ours, theirs, None)
        held = reoffer(ours, HERE, direction=Direction.INACTIVE)
        refused = machine.after(Input.OFFER_SENT, held).after(Input.REFUSED)
        assert refused == machine  # RFC 3264 §8: the previous session goes on
        machine = machine.after(Input.OFFER_RECEIVED, held).after(Input.ANSWER_SENT, theirs)
        assert (machine.local, machine.remote) == (theirs, held)

    def test_offer_needs_a_description_and_a_refusal_none(self):
        with pytest.raises(LocalMisuse):
            OfferAnswer().after(Input.OFFER_SENT)
        with pytest.raises(LocalMisuse):
            OfferAnswer().after(Input.OFFER_SENT, audio_offer(HERE, session_id=1)).after(Input.REFUSED, audio_offer(HERE, session_id=1))


@FUZZ
@given(
    st.permutations([PCMA, PCMU, PayloadType(9, "G722", 8000), PayloadType(96, "opus", 48000, 2)]),
    st.integers(1, 4),
    st.sampled_from(Direction),
    st.integers(1, 65535),
)
def test_whatever_is_offered_the_answer_fits_it(codecs, count, direction, port):
    able = Capabilities(tuple(codecs[:count]))
    offer = audio_offer(LocalMedia("192.0.2.1", port), session_id=1, capabilities=able, direction=direction)
    if not {codec.encoding for codec in able.codecs} & {"PCMA", "PCMU"}:
        with pytest.raises(OfferRefused):
            answer(offer, HERE, session_id=2)
        return
    answered = answer(offer, HERE, session_id=2)
    audio = read_answer(offer, parse_sdp(str(answered.description)))
    assert audio.codec.encoding == next(codec.encoding for codec in able.codecs if codec.encoding in {"PCMA", "PCMU"})
    assert audio.direction is answered.audio.direction.reversed
    assert len(answered.description.media) == len(offer.media)


@pytest.mark.parametrize(
    ("lines", "port"),
    [
        ("a=rtcp-mux\n", 4001),
        ("a=rtcp-mux\na=rtcp:4000\n", 4001),
        ("a=rtcp-mux\na=rtcp:5000\n", 5000),
        ("a=rtcp:5000 IN IP4 192.0.2.9\n", 5000),
        ("", 4001),
    ],
)
def test_reports_have_a_port_of_their_own_where_mux_was_offered_and_not_answered(lines, port):
    """RFC 5761 §5.1.1: "if the answer does not contain an "a=rtcp-mux" attribute, the offerer MUST NOT multiplex"."""
    text = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 8\n" + lines
    answered = answer(parse_sdp(text.replace("\n", "\r\n").encode()), LocalMedia("192.0.2.2", 6000), session_id=1)
    assert answered.audio.remote_rtcp_port == port
    assert not answered.audio.rtcp_mux
    assert "rtcp-mux" not in answered.description.to_bytes().decode()


@pytest.mark.parametrize(
    ("connection", "warning"),
    [
        ("IN IP6 2001:db8::5", 301),
        ("IN IP4 phone.example.de", 301),
        ("IN IP4 2001:db8::5", 301),
        ("IN IP4 0.1.2.3", 301),
        ("IN IP4 255.255.255.255", 301),
        ("IN IP5 192.0.2.9", 301),
        ("IN IP4 239.1.2.3/127", 330),
        ("ATM NSAP 47.0005", 300),
    ],
)
def test_where_no_packet_gets_to_is_488_with_what_is_wrong(connection, warning):
    """RFC 3261 §20.43. They were answered 200, and nobody heard anything."""
    offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", f"c={connection}"))
    with pytest.raises(OfferRefused) as caught:
        answer(offer, HERE, session_id=1)
    assert (caught.value.status_hint, caught.value.warning_code) == (488, warning)
    assert str(caught.value).startswith(WARNINGS[warning])
    ours = audio_offer(HERE, session_id=1)
    with pytest.raises(OfferRefused):
        read_answer(ours, offer)


@pytest.mark.parametrize("connection", ["IN IP4 0.0.0.0", "IN IP6 ::"])
def test_the_null_address_is_a_hold_and_nothing_unreachable(connection):
    """RFC 3264 §8.4, in either version."""
    offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", f"c={connection}"))
    assert answer(offer, HERE, session_id=1).audio.is_held_by_remote


def test_of_two_streams_the_one_that_we_reach_is_taken():
    """RFC 5118 §4.9: one stream over IPv6, one over IPv4."""
    offer = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8", "c=IN IP6 2001:db8::5", "m=audio 4002 RTP/AVP 8", "c=IN IP4 198.51.100.7"))
    answered = answer(offer, HERE, session_id=1)
    assert [media.port for media in answered.description.media] == [0, HERE.port]
    assert (answered.audio.remote_address, answered.audio.remote_port) == ("198.51.100.7", 4002)


@pytest.mark.parametrize(
    ("line", "name"), [("o=Anna Maria Muster 1 2 IN IP4 h", "Anna Maria Muster"), ("o= 1 2 IN IP4 h", "-"), ("o=-  1  2 IN IP4 h ", "-")]
)
def test_blanks_in_the_origin_are_the_name_of_a_person(line, name):
    origin = parse_sdp(offer_of("m=audio 4000 RTP/AVP 8").replace("o=- 1 1 IN IP4 198.51.100.7", line)).origin
    assert (origin.username, origin.session_id, origin.session_version, origin.address) == (name, 1, 2, "h")
