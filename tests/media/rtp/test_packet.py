"""RTP packets: RFC 3550 §5, A.1; demultiplexing RFC 5761, RFC 7983."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.errors import ParseError
from media.rtp.packet import DatagramKind, HeaderExtension, RtpPacket, kind_of, parse

PLAIN = bytes.fromhex("80 88 1234 000000a0 deadbeef") + b"\xd5" * 160


def test_plain_packet_is_read_field_by_field():
    packet = parse(PLAIN)
    assert (packet.payload_type, packet.marker, packet.sequence_number, packet.timestamp, packet.ssrc) == (8, True, 0x1234, 160, 0xDEADBEEF)
    assert packet.payload == b"\xd5" * 160


def test_packet_with_everything_gives_its_octets_back():
    """RFC 3550 §5.1: two CSRCs, an extension of two words, four octets of padding."""
    datagram = bytes.fromhex("b2 60 0001 00000002 00000003 0000000a 0000000b bede 0002 1122334455667788 cafe 00000004".replace(" ", ""))
    packet = parse(datagram)
    assert packet.csrcs == (10, 11)
    assert packet.extension == HeaderExtension(0xBEDE, bytes.fromhex("1122334455667788"))
    assert packet.payload == b"\xca\xfe"
    assert packet.padding == b"\0\0\0\4"
    assert bytes(packet) == datagram


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "too few"),
        (PLAIN[:11], "too few"),
        (b"\x40" + PLAIN[1:], "version"),
        (b"\x8f" + PLAIN[1:20], "CSRC"),
        (b"\x90" + PLAIN[1:14], "extension"),
        (b"\x90" + PLAIN[1:12] + b"\xbe\xde\x00\x09", "extension"),
        (b"\xa0" + PLAIN[1:12] + b"\x00", "padding"),
        (b"\xa0" + PLAIN[1:12] + b"\x05", "padding"),
        (b"\xa0" + PLAIN[1:12], "padding"),
        (b"\x80\xc8" + PLAIN[2:], "RTCP"),
    ],
)
def test_malformed_packets_are_refused_with_the_reason(datagram, reason):
    with pytest.raises(ParseError, match=reason):
        parse(datagram)


packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 63) | st.integers(96, 127),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=64),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none() | st.builds(HeaderExtension, st.integers(0, 0xFFFF), st.binary(max_size=8).map(lambda octets: octets * 4)),
    padding=st.just(b"") | st.integers(1, 20).map(lambda count: bytes(count - 1) + bytes((count,))),
)


@given(packets)
def test_parsing_what_was_serialised_gives_the_packet_back(packet):
    assert parse(bytes(packet)) == packet


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda octets: b"\x80" + octets))
def test_any_octets_give_a_packet_or_a_parse_error(datagram):
    kind_of(datagram)
    try:
        packet = parse(datagram)
    except ParseError:
        return
    assert bytes(packet) == datagram


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (PLAIN, DatagramKind.RTP),
        (bytes.fromhex("80c80006") + bytes(24), DatagramKind.RTCP),
        (bytes.fromhex("81c90007") + bytes(28), DatagramKind.RTCP),
        (bytes.fromhex("80cd0002") + bytes(8), DatagramKind.RTCP),
        (bytes.fromhex("000100002112a442") + bytes(12), DatagramKind.STUN),
        (bytes.fromhex("000100002112a443") + bytes(12), DatagramKind.UNKNOWN),
        (bytes.fromhex("16fefd0000") + bytes(20), DatagramKind.DTLS),
        (b"\x80", DatagramKind.UNKNOWN),
        (b"", DatagramKind.UNKNOWN),
    ],
)
def test_rtp_rtcp_and_stun_on_one_port_are_told_apart(datagram, kind):
    """RFC 5761 §4, RFC 7983 §7."""
    assert kind_of(datagram) is kind


@pytest.mark.parametrize("first", range(256))
def test_the_first_octet_says_what_it_is(first):
    """RFC 7983 §7, figure 3; what is nothing of ours is unknown."""
    if first <= 3:
        kind = DatagramKind.STUN
    elif 20 <= first <= 63:
        kind = DatagramKind.DTLS
    elif 128 <= first <= 191:
        kind = DatagramKind.RTP
    else:
        kind = DatagramKind.UNKNOWN
    assert kind_of(bytes((first,)) + bytes.fromhex("0801002112a442") + bytes(12)) is kind


@given(st.binary(max_size=80))
def test_stun_shaped_input_is_never_taken_for_rtp(rest):
    datagram = bytes.fromhex("000100002112a442") + rest
    assert kind_of(datagram) in {DatagramKind.STUN, DatagramKind.UNKNOWN}
    with pytest.raises(ParseError):
        parse(datagram)
