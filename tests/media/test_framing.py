"""The control protocol on a stream of octets."""

from types import UnionType
from typing import get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import control, framing
from media.codecs import CODECS
from media.control import (
    MAX_NOTE_OCTETS,
    VERSION,
    ArrangeAudio,
    Browser,
    DescribeLeg,
    DigitReceived,
    Greeting,
    HeldLeg,
    HeldRecording,
    HeldRoom,
    NoteLeg,
    OpenLeg,
    Play,
    Quality,
    Refused,
    StartRecording,
    Status,
)
from media.errors import OtherVersion, ParseError
from media.transport.ice import Credentials
from media.transport.keys import LENGTHS, SrtpKeys, Suite

ORDERS = [
    OpenLeg(request=1, leg="a", address="127.0.0.1"),
    DescribeLeg(leg="a", remote_address="::1", remote_port=4000, remote_rtcp_port=4001, codec="PCMA", payload_type=8, telephone_event=None),
    ArrangeAudio(room="call", hears=(("a", "b"), ("b", "a"))),
    Play(leg="a", play="p", sounds=("de/greeting", "de/menu"), loop=True),
    StartRecording(recording="r", path="/x/ä.wav", legs=("a", "b")),
]


@given(st.lists(st.sampled_from(ORDERS), max_size=10), st.lists(st.integers(1, 40), min_size=1))
def test_orders_arrive_whole_and_in_order_in_whatever_cut(orders, cuts):
    octets = b"".join(framing.encode(order) for order in orders)
    reader = framing.request_reader()
    received = []
    at = 0
    turn = 0
    while at < len(octets):
        step = cuts[turn % len(cuts)]
        received += reader.feed(octets[at : at + step])
        at, turn = at + step, turn + 1
    assert received == orders


REQUESTS = get_args(control.Request)
WORDS_OF_A_WORKER = get_args(control.FromWorker)
EVERY_WORD = [pytest.param(framing.request_reader, word, id=word.__name__) for word in REQUESTS] + [
    pytest.param(framing.report_reader, word, id=word.__name__) for word in WORDS_OF_A_WORKER
]


PARTS = {Browser, Quality, HeldLeg, HeldRoom, HeldRecording}
"""Of words."""


def any_value(hint):
    """MessagePack integers have 64 bits, and a NaN is not equal to itself."""
    if hint is int:
        return st.integers(-(1 << 63), (1 << 64) - 1)
    if hint is float:
        return st.floats(allow_nan=False)
    if isinstance(hint, UnionType):
        return st.one_of([any_value(each) for each in get_args(hint)])
    if get_origin(hint) is tuple:
        first, *others = get_args(hint)
        if others == [...]:
            return st.lists(any_value(first), max_size=3).map(tuple)
        return st.tuples(any_value(first), *map(any_value, others))
    if hint is Credentials:
        return st.builds(
            Credentials, st.from_regex("[A-Za-z0-9+/]{4,8}", fullmatch=True), st.from_regex("[A-Za-z0-9+/]{22,24}", fullmatch=True)
        )
    if hint is SrtpKeys:
        return any_keys()
    return any_message(hint) if hint in PARTS else st.from_type(hint)


@st.composite
def any_keys(draw):
    """As long as their suite wants them."""
    suite = draw(st.sampled_from(Suite))
    octets = st.binary(min_size=LENGTHS[suite].master, max_size=LENGTHS[suite].master)
    return SrtpKeys(suite=suite, send=draw(octets), receive=draw(octets))


def any_message(word):
    """Every field from its type; the version is ours, since another one ends all reading, and a codec one that is listed."""
    fields = {name: any_value(hint) for name, hint in get_type_hints(word).items()}
    ours = {Greeting: {"version": st.just(VERSION)}, DescribeLeg: {"codec": st.sampled_from(list(CODECS))}}
    return st.builds(word, **(fields | ours.get(word, {})))


@pytest.mark.parametrize(("reader", "word"), EVERY_WORD)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_every_word_survives_the_wire_and_a_field_that_nobody_knows_is_refused_by_name(reader, word, data):
    message = data.draw(any_message(word))
    assert reader().feed(framing.encode(message)) == [message]
    document = msgspec.msgpack.decode(framing.encode(message)[4:])
    with pytest.raises(ParseError, match="unknown field `colour`"):
        reader().feed(framed(document | {"colour": "blue"}))


def test_a_codec_that_is_not_listed_is_refused_by_name_on_both_sides():
    with pytest.raises(ValueError, match="no codec is called 'G729'"):
        DescribeLeg(leg="a", remote_address="::1", remote_port=4000, remote_rtcp_port=4001, codec="G729", payload_type=18)
    document = msgspec.to_builtins(ORDERS[1]) | {"codec": "G729"}
    with pytest.raises(ParseError, match="no codec is called 'G729'"):
        framing.request_reader().feed(framed(document))


def test_a_note_that_is_too_long_is_refused_with_its_leg_on_both_sides():
    assert len(NoteLeg(leg="a", note=bytes(MAX_NOTE_OCTETS)).note) == MAX_NOTE_OCTETS
    words = "a note of 65537 octets, more than 65536, about leg 'a'"
    with pytest.raises(ValueError, match=words):
        NoteLeg(leg="a", note=bytes(MAX_NOTE_OCTETS + 1))
    with pytest.raises(ParseError, match=words):
        framing.request_reader().feed(framed({"type": "NoteLeg", "leg": "a", "note": bytes(MAX_NOTE_OCTETS + 1)}))


def framed(document):
    body = msgspec.msgpack.encode(document)
    return len(body).to_bytes(4, "big") + body


def test_no_word_is_missing_from_its_union():
    words = {word for word in vars(control).values() if isinstance(word, type) and issubclass(word, control._Message)}
    assert words - {control._Message} - PARTS == {*REQUESTS, *WORDS_OF_A_WORKER}


@pytest.mark.parametrize("reader", [framing.request_reader, framing.report_reader])
def test_word_that_nobody_knows_is_refused_by_name(reader):
    with pytest.raises(ParseError, match="'Dance'"):
        reader().feed(framed({"type": "Dance", "request": 1}))


@pytest.mark.parametrize("more", [{}, {"pid": 7}, {"pid": "seven", "colour": {"deep": ["x"]}}])
def test_greeting_of_another_version_is_known_whatever_else_it_says(more):
    with pytest.raises(OtherVersion) as caught:
        framing.report_reader().feed(framed({"type": "Greeting", "version": VERSION + 1} | more))
    assert caught.value.version == VERSION + 1


def test_word_for_ending_a_worker_is_the_same_in_every_version():
    """A main process says this, and nothing else, to a worker of a version it does not know: it must never change."""
    assert framing.encode(control.TakeOver(request=1)) == framed({"type": "TakeOver", "request": 1})


def test_reports_are_told_from_requests():
    report = DigitReceived(leg="a", digit="1", duration_ms=100)
    assert framing.report_reader().feed(framing.encode(report)) == [report]
    with pytest.raises(ParseError):
        framing.request_reader().feed(framing.encode(report))


@pytest.mark.parametrize("octets", [b"\x7f\xff\xff\xff", b"\0\0\0\1\xc1", b"\0\0\0\2\x81\xa1", b"\0\0\0\1\xc0"])
def test_what_is_no_message_is_refused(octets):
    with pytest.raises(ParseError):
        framing.request_reader().feed(octets)


@given(st.binary(max_size=80))
def test_any_octets_give_messages_or_a_parse_error(octets):
    try:
        framing.request_reader().feed(octets)
    except ParseError:
        return


def test_every_field_of_the_answers_survives():
    quality = Quality(
        packets_sent=1, packets_received=2, packets_lost=3, packets_late_or_duplicate=4, jitter_ms=0.5, round_trip_ms=None,
        remote_loss_fraction=0.1, mos=4.4, r_factor=93.2, codec="PCMA",
    )  # fmt: skip
    status = Status(
        request=9,
        legs=1,
        bridges=0,
        recordings=0,
        packets_received=1,
        packets_sent=1,
        packets_dropped=0,
        late_ticks=0,
        cpu_s=1.5,
        ports_free=7,
        packets_of_unknown_type=2,
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(quality), type=Quality) == quality
    assert framing.report_reader().feed(framing.encode(status) + framing.encode(Refused(request=1, reason="no"))) == [
        status,
        Refused(request=1, reason="no"),
    ]
