"""kbit/s of a channel per direction: the table of 50 packets a second."""

import pytest

from media.wire_cost import FLOOR_KBITS, ChannelShape, IpVersion, Layer, Srtp, channel_cost_kbits, channel_kbits, stream_kbits


@pytest.mark.parametrize(
    ("shape", "ip", "ethernet", "wire"),
    [
        (ChannelShape("PCMA"), 80.0, 87.2, 95.2),
        (ChannelShape("PCMU"), 80.0, 87.2, 95.2),
        (ChannelShape("G722"), 80.0, 87.2, 95.2),
        (ChannelShape("PCMA", srtp=Srtp.HMAC_SHA1_80), 84.0, 91.2, 99.2),
        (ChannelShape("PCMA", srtp=Srtp.AES_GCM), 86.4, 93.6, 101.6),
        (ChannelShape("PCMA", ip=IpVersion.V6), 88.0, 95.2, 103.2),
        (ChannelShape("PCMA", ip=IpVersion.V6, srtp=Srtp.HMAC_SHA1_80), 92.0, 99.2, 107.2),
        (ChannelShape("opus-24"), 40.0, 47.2, 55.2),
        (ChannelShape("opus-32"), 48.0, 55.2, 63.2),
        (ChannelShape("opus-32", srtp=Srtp.HMAC_SHA1_80), 52.0, 59.2, 67.2),
    ],
)
def test_cost_by_layer(shape, ip, ethernet, wire):
    assert [stream_kbits(shape, layer) for layer in (Layer.IP, Layer.ETHERNET, Layer.WIRE)] == pytest.approx([ip, ethernet, wire])


def test_g711_with_rtcp_is_the_guaranteed_hundred():
    assert channel_cost_kbits(ChannelShape()) == pytest.approx(99.96)
    assert channel_kbits(ChannelShape()) == FLOOR_KBITS == 100


@pytest.mark.parametrize(
    ("shape", "reserved"),
    [
        (ChannelShape("opus-24"), 100),  # cheaper than the floor: the floor is guaranteed all the same
        (ChannelShape("G729"), 100),
        (ChannelShape(srtp=Srtp.HMAC_SHA1_80), 105),  # 104.16
        (ChannelShape(ip=IpVersion.V6), 109),  # 108.36
        (ChannelShape(ip=IpVersion.V6, srtp=Srtp.HMAC_SHA1_80), 113),  # 112.56
        (ChannelShape(ptime_ms=10), 133),  # 126.4 * 1.05 = 132.72
        (ChannelShape(ptime_ms=40), 100),  # 79.6 * 1.05
    ],
)
def test_reservation_is_the_rounded_up_cost_and_never_below_the_floor(shape, reserved):
    assert channel_kbits(shape) == reserved


def test_lower_floor_shows_the_true_cost():
    assert channel_kbits(ChannelShape("opus-24"), floor_kbits=0) == 58  # 57.96


def test_ten_channels_fit_a_megabit_and_nine_fit_999():
    assert 1000 // channel_kbits(ChannelShape()) == 10
    assert 999 // channel_kbits(ChannelShape()) == 9


def test_frames_below_the_ethernet_minimum_are_filled_up():
    """G.729 at 10 ms: 50 octets of IP, 68 with Ethernet; no padding. Nothing shorter than 64 leaves a card."""
    assert stream_kbits(ChannelShape("G729", ptime_ms=10), Layer.ETHERNET) == pytest.approx(68 * 8 / 10)
    assert stream_kbits(ChannelShape("G729", ptime_ms=5), Layer.ETHERNET) == pytest.approx(64 * 8 / 5, rel=0.02)


def test_unknown_codec_and_impossible_ptime_are_refused():
    with pytest.raises(ValueError, match="bit rate"):
        stream_kbits(ChannelShape("SPEEX"))
    with pytest.raises(ValueError, match="ptime"):
        stream_kbits(ChannelShape(ptime_ms=0))
