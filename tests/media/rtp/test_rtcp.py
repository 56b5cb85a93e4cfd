"""RTCP: RFC 3550 §6.4-6.6, validity A.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.errors import ParseError
from media.rtp.rtcp import (
    ExtendedBlock,
    ExtendedReport,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    Unknown,
    VoipMetrics,
    compound,
    parse,
)

BLOCK = ReportBlock(7, 64, -2, 70000, 33, 0x11112222, 0x3333)
SENDER = SenderReport(1, 0x1122334455667788, 160, 50, 8000, (BLOCK,))
NAMES = SourceDescription(((1, ((1, b"cname"),)), (2, ())))


def test_sender_report_octet_by_octet():
    assert bytes(SENDER).hex(" ", 4) == (
        "81c8000c 00000001 11223344 55667788 000000a0 00000032 00001f40 00000007 40fffffe 00011170 00000021 11112222 00003333"
    )


def test_compound_of_report_names_and_goodbye_comes_back_whole():
    packets = (SENDER, NAMES, Goodbye((1, 2), b"done"))
    assert parse(compound(*packets)) == packets


def test_padding_of_the_last_packet_is_taken_off():
    datagram = compound(ReceiverReport(1)) + bytes.fromhex("a0cb0001 00000004")
    assert parse(datagram) == (ReceiverReport(1), Goodbye(()))


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "empty"),
        (b"\x80\xc9", "cut off"),
        (bytes(NAMES), "begins with"),
        (b"\x40" + bytes(SENDER)[1:], "version"),
        (bytes(SENDER)[:-4], "longer"),
        (bytes.fromhex("81c90001") + bytes(4), "cut off"),
        (bytes.fromhex("80c80001") + bytes(4), "cut off"),
        (bytes(ReceiverReport(1)) + bytes.fromhex("81ca0001 00000001"), "no end"),
        (bytes(ReceiverReport(1)) + bytes.fromhex("81ca0002 00000001 01ff4142"), "cut off"),
        (bytes(ReceiverReport(1)) + bytes.fromhex("82cb0001 00000001"), "cut off"),
        (bytes(ReceiverReport(1)) + bytes.fromhex("81cb0002 00000001 09000000"), "cut off"),
        (bytes.fromhex("a0c90001 00000001") + bytes(ReceiverReport(1)), "padding"),
        (bytes.fromhex("a0c90001 00000003"), "padding"),
    ],
)
def test_malformed_compounds_are_refused_with_the_reason(datagram, reason):
    with pytest.raises(ParseError, match=reason):
        parse(datagram)


def test_voip_metrics_octet_by_octet():
    """RFC 3611 §4.7: 32 octets behind a block header of type 7 and length 8."""
    metrics = VoipMetrics(7, 13, 2, 64, 1, 300, 9000, 120, 60, -20, -70, 40, 16, 78, 127, 39, 38, 0x86, 0, 60, 90, 200)
    report = ExtendedReport(2, (ExtendedBlock(4, 0, bytes(8)), metrics))
    assert bytes(report).hex(" ", 4) == (
        "80cf000d 00000002 04000002 00000000 00000000 07000008 00000007 0d024001 012c2328 0078003c ecba2810 4e7f2726 8600003c 005a00c8"
    )
    assert parse(compound(ReceiverReport(2), report)) == (ReceiverReport(2), report)


@pytest.mark.parametrize("body", ["", "00000002 07000002", "00000002 07000009 00000007"])
def test_an_extended_report_that_cannot_be_read_does_not_cost_the_report_before_it(body):
    octets = bytes.fromhex(body)
    octets += bytes(-len(octets) % 4)
    broken = Unknown(207, 0, octets)
    assert parse(compound(ReceiverReport(2, (BLOCK,)), broken)) == (ReceiverReport(2, (BLOCK,)), broken)


words = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(ReportBlock, words, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), words, words, words, words), max_size=4
).map(tuple)
extensions = st.binary(max_size=3).map(lambda octets: octets * 4)
reports = st.builds(SenderReport, words, st.integers(0, 2**64 - 1), words, words, words, blocks, extensions) | st.builds(
    ReceiverReport, words, blocks, extensions
)
items = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=20)), max_size=4).map(tuple)
others = (
    st.builds(SourceDescription, st.lists(st.tuples(words, items), max_size=3).map(tuple))
    | st.builds(Goodbye, st.lists(words, max_size=5).map(tuple), st.binary(max_size=30))
    | st.builds(Unknown, st.integers(208, 223), st.integers(0, 31), extensions)
)


@given(reports, st.lists(others, max_size=3))
def test_parsing_what_was_serialised_gives_the_packets_back(report, rest):
    datagram = compound(report, *rest)
    assert parse(datagram) == (report, *rest)
    assert compound(*parse(datagram)) == datagram


mutations = st.tuples(reports, st.lists(others, max_size=2)).flatmap(
    lambda parts: st.builds(
        lambda cut, at, value: bytearray(compound(parts[0], *parts[1]))[:cut] + bytes((value,)) * (at % 3),
        st.integers(0, 200),
        st.integers(0, 200),
        st.integers(0, 255),
    )
)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda octets: b"\x80\xc9\0\1\0\0\0\1" + octets) | mutations.map(bytes))
def test_any_octets_give_packets_or_a_parse_error(datagram):
    try:
        packets = parse(datagram)
    except ParseError:
        return
    assert packets
