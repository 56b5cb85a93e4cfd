"""The control protocol on a stream of octets."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import framing
from media.control import Bridge, DescribeLeg, DigitReceived, OpenLeg, Play, Quality, Refused, StartRecording, Status
from media.errors import ParseError

ORDERS = [
    OpenLeg(request=1, leg="a", address="127.0.0.1"),
    DescribeLeg(leg="a", remote_address="::1", remote_port=4000, remote_rtcp_port=4001, codec="PCMA", payload_type=8, telephone_event=None),
    Bridge(a="a", b="b"),
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
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(quality), type=Quality) == quality
    assert framing.report_reader().feed(framing.encode(status) + framing.encode(Refused(request=1, reason="no"))) == [
        status,
        Refused(request=1, reason="no"),
    ]
