"""SRTP by libsrtp: published packets, a second implementation, and everything that must not get through (RFC 3711, RFC 7714)."""

import random

import pytest

from media.errors import NotAuthentic
from media.rtp import packet as rtp
from media.transport.keys import LENGTHS, SrtpKeys, Suite
from media.transport.protected import ProtectedTransport
from media.transport.srtp import OLD_KEY_S, REPLAY_WINDOW, SEARCHES, Copying, InPlace, SrtpProtection
from tests.media.transport import reference

CM, GCM = Suite.AES_CM_128_HMAC_SHA1_80, Suite.AEAD_AES_128_GCM
suites = pytest.mark.parametrize("suite", Suite)
contexts = pytest.mark.parametrize("context", [InPlace, Copying])

PLAIN = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
PLAIN_RTCP = bytes.fromhex("81c8000bcafebabe") + b"\xab" * 16


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def master(suite, number):
    return bytes((number + 16 * index) % 256 for index in range(LENGTHS[suite].master))


def keys(suite, send=1, receive=2):
    return SrtpKeys(suite=suite, send=master(suite, send), receive=master(suite, receive))


def pair(suite, context=InPlace, clock=None):
    """Ours, and the far end's."""
    return SrtpProtection(keys(suite, 1, 2), clock or Clock(), context), SrtpProtection(keys(suite, 2, 1), Clock(), context)


def done(work, packet, room=64):
    """What becomes of a packet in a buffer."""
    buffer = bytearray(packet) + bytes(room)
    return bytes(buffer[: work(buffer, len(packet))])


def packet(number, ssrc=7, payload=b"speech"):
    return rtp.HEADER.pack(0x80, 8, number & 0xFFFF, number * 160 & 0xFFFFFFFF, ssrc) + payload


# ---------------------------------------------------------------------- what others have computed


def test_keys_are_derived_as_in_appendix_b_3():
    """RFC 3711 B.3, of the second implementation; below libsrtp is held against it."""
    given = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6")
    assert reference.derived(given, reference.ENCRYPTION, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert reference.derived(given, reference.SALT, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert reference.derived(given, reference.AUTHENTICATION, 20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_the_key_stream_is_that_of_appendix_b_2():
    """RFC 3711 B.2: the first three blocks, and those about the wrap of the counter's octet."""
    key, iv = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C"), bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000")
    blocks = reference.counter_mode(key, iv, bytes(0xFF02 * 16)).hex().upper()
    assert blocks[:96] == "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    assert blocks[0xFEFF * 32 :] == "EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44"


def test_a_packet_is_sealed_as_in_rfc_7714_16_1_1():
    """Of the second implementation; its keys are session keys, which libsrtp takes from nobody."""
    plain = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
    assert reference.gcm(bytes(range(16)), b"Quid pro quo", plain).hex() == (
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833"
        "899d7f27beb16a9152cf765ee4390cce"
    )


def test_a_report_is_sealed_as_in_rfc_7714_17_1():
    """Of the second implementation. The packet printed in §17 itself is another one than those of §17.1 to §17.4, which agree."""
    plain = bytes.fromhex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef")
    assert reference.gcm_report(bytes(range(16)), b"Quid pro quo", plain, 0x5D4).hex() == (
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b"
        "c84aa45896cf4d2fc5abf87245d9eade800005d4"
    )


REFERENCE_PACKETS = [
    (
        CM,
        "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
        "4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
        "7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798",
    ),
    (
        GCM,
        "000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab",
        "c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
        "c98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001",
    ),
]


@contexts
@pytest.mark.parametrize(("suite", "key", "sealed", "sealed_report"), REFERENCE_PACKETS)
def test_the_packets_that_libsrtp_publishes_are_made_and_read(suite, key, sealed, sealed_report, context):
    """`srtp_validate` and `srtp_validate_gcm` of `test/srtp_driver.c` (github.com/cisco/libsrtp, v2)."""
    given = bytes.fromhex(key)
    there = SrtpProtection(SrtpKeys(suite=suite, send=given, receive=given), Clock(), context)
    made = done(there.protect_rtp, PLAIN)
    assert made[:12] == PLAIN[:12]
    assert made[12:].hex() == sealed
    assert len(made) == len(PLAIN) + LENGTHS[suite].rtp_tag
    assert done(there.unprotect_rtp, made, room=0) == PLAIN
    assert reference.protected(suite, given, PLAIN) == made
    report = done(there.protect_rtcp, PLAIN_RTCP)
    assert report[:8] == PLAIN_RTCP[:8]
    assert report[8:].hex() == sealed_report
    assert done(there.unprotect_rtcp, report, room=0) == PLAIN_RTCP
    assert reference.protected_report(suite, given, PLAIN_RTCP, 1) == report


@contexts
@suites
def test_every_packet_of_a_stream_is_what_the_standard_says_over_the_wrap_of_its_number(suite, context):
    """RFC 3711 §3.3.1: the rollover counter grows where the number wraps."""
    ours, theirs = pair(suite, context)
    for number in range(0xFFF0, 0x10010):
        sealed = done(ours.protect_rtp, packet(number))
        assert sealed == reference.protected(suite, master(suite, 1), packet(number), number >> 16)
        assert done(theirs.unprotect_rtp, sealed) == packet(number)


@contexts
@suites
def test_reports_are_protected_with_index_and_tag(suite, context):
    """RFC 3711 §3.4: each has another index, so the same compound is another one on the line."""
    ours, theirs = pair(suite, context)
    first, second = done(ours.protect_rtcp, PLAIN_RTCP), done(ours.protect_rtcp, PLAIN_RTCP)
    assert first != second
    assert len(first) == len(PLAIN_RTCP) + LENGTHS[suite].rtcp_overhead
    assert PLAIN_RTCP[8:] not in first
    assert [done(theirs.unprotect_rtcp, one) for one in (first, second)] == [PLAIN_RTCP, PLAIN_RTCP]
    with pytest.raises(NotAuthentic):
        done(theirs.unprotect_rtcp, first)  # replayed
    with pytest.raises(NotAuthentic):
        done(theirs.unprotect_rtcp, PLAIN_RTCP)


# ---------------------------------------------------------------------- what does not get through


@contexts
@suites
@pytest.mark.parametrize("at", [1, 3, 11, 12, -1])
def test_a_packet_that_was_touched_anywhere_is_not_authentic(suite, context, at):
    ours, theirs = pair(suite, context)
    sealed = bytearray(done(ours.protect_rtp, PLAIN))
    sealed[at] ^= 1
    with pytest.raises(NotAuthentic):
        done(theirs.unprotect_rtp, sealed)


@contexts
@suites
def test_a_packet_is_taken_once_and_in_any_order_within_the_window(suite, context):
    """RFC 3711 §3.3.2."""
    ours, theirs = pair(suite, context)
    sealed = [done(ours.protect_rtp, packet(number)) for number in range(REPLAY_WINDOW + 2)]
    assert done(theirs.unprotect_rtp, sealed[-1]) == packet(REPLAY_WINDOW + 1)
    for number in (REPLAY_WINDOW, 500, 2):
        assert done(theirs.unprotect_rtp, sealed[number]) == packet(number)
        with pytest.raises(NotAuthentic, match="replay"):
            done(theirs.unprotect_rtp, sealed[number])
    with pytest.raises(NotAuthentic, match="replay"):
        done(theirs.unprotect_rtp, sealed[0])  # too old to be known for new


@contexts
@suites
def test_another_key_a_plain_packet_and_noise_are_not_authentic(suite, context):
    ours, theirs = pair(suite, context)
    stranger = SrtpProtection(keys(suite, 9, 9), Clock(), context)
    for datagram in (done(stranger.protect_rtp, PLAIN), PLAIN, b"\x80", b""):
        with pytest.raises(NotAuthentic):
            done(theirs.unprotect_rtp, datagram)
    assert done(theirs.unprotect_rtp, done(ours.protect_rtp, PLAIN)) == PLAIN


@contexts
@suites
def test_random_octets_of_any_length_are_refused_and_write_nowhere_else(suite, context):
    ours, _ = pair(suite, context)
    draw = random.Random(1)
    for octets in range(120):
        datagram = bytearray(draw.randbytes(octets))
        datagram[:2] = bytes((0x80 | draw.randrange(64), draw.randrange(256)))[:octets]
        for work in (ours.unprotect_rtp, ours.unprotect_rtcp):
            buffer = datagram[:octets] + b"\x55" * 32
            with pytest.raises(NotAuthentic):
                work(buffer, octets)
            assert buffer[octets:] == b"\x55" * 32


@contexts
@suites
def test_a_packet_without_room_for_its_tag_does_not_leave(suite, context):
    ours, _ = pair(suite, context)
    tag, overhead = LENGTHS[suite].rtp_tag, LENGTHS[suite].rtcp_overhead
    with pytest.raises(OSError, match="no room"):
        done(ours.protect_rtp, PLAIN, room=tag - 1)
    with pytest.raises(OSError, match="no room"):
        done(ours.protect_rtcp, PLAIN_RTCP, room=overhead - 1)
    assert len(done(ours.protect_rtp, packet(1), room=tag)) == len(packet(1)) + tag


@contexts
def test_what_cannot_be_protected_does_not_leave(context):
    ours, _ = pair(CM, context)
    done(ours.protect_rtp, packet(1))
    for datagram in (packet(1), b"\x80\x08"):  # a number twice under one key would show both texts; half a header
        with pytest.raises(OSError, match="not sent"):
            done(ours.protect_rtp, datagram)


# ---------------------------------------------------------------------- new keys


@contexts
@suites
def test_any_source_begins_with_a_rollover_counter_of_its_own(suite, context):
    ours, theirs = pair(suite, context)
    for ssrc in (1, 2, 0xFFFFFFFF):
        for number in (0xFFFF, 0x10000):
            assert done(theirs.unprotect_rtp, done(ours.protect_rtp, packet(number, ssrc))) == packet(number, ssrc)


@contexts
@suites
def test_packets_under_the_old_key_are_taken_until_one_comes_under_the_new(suite, context):
    clock = Clock()
    ours, theirs = pair(suite, context, clock)
    late = [done(theirs.protect_rtp, packet(number)) for number in range(3)]
    report = done(theirs.protect_rtcp, PLAIN_RTCP)
    assert done(ours.unprotect_rtp, late[0]) == packet(0)
    assert not ours.renew(keys(suite, 1, 3))
    assert theirs.renew(keys(suite, 3, 1))
    assert done(ours.unprotect_rtp, late[1]) == packet(1)
    assert done(ours.unprotect_rtcp, report) == PLAIN_RTCP
    with pytest.raises(NotAuthentic):
        done(ours.unprotect_rtp, late[0])  # replayed; the old window is still there
    assert done(ours.unprotect_rtp, done(theirs.protect_rtp, packet(3))) == packet(3)
    with pytest.raises(NotAuthentic):
        done(ours.unprotect_rtp, late[2])
    assert done(ours.unprotect_rtp, done(theirs.protect_rtp, packet(4))) == packet(4)


@contexts
@suites
def test_the_old_key_is_taken_for_a_second_at_most(suite, context):
    clock = Clock()
    ours, theirs = pair(suite, context, clock)
    late = [done(theirs.protect_rtp, packet(number)) for number in range(3)]
    ours.renew(keys(suite, 1, 3))
    clock.now += OLD_KEY_S * 0.99
    assert done(ours.unprotect_rtp, late[0]) == packet(0)
    clock.now += OLD_KEY_S * 0.02
    with pytest.raises(NotAuthentic):
        done(ours.unprotect_rtp, late[1])
    clock.now -= OLD_KEY_S
    with pytest.raises(NotAuthentic):
        done(ours.unprotect_rtp, late[2])  # once forgotten, for good


@contexts
def test_a_direction_whose_key_stays_goes_on_with_its_window_and_its_counter(context):
    ours, theirs = pair(CM, context)
    for number in (0xFFFE, 0xFFFF, 0x10000):
        sealed = done(ours.protect_rtp, packet(number))
        done(theirs.unprotect_rtp, sealed)
    assert not ours.renew(keys(CM, 1, 3))
    theirs.renew(keys(CM, 3, 1))
    assert done(ours.protect_rtp, packet(0x10001)) == reference.protected(CM, master(CM, 1), packet(0x10001), 1)
    with pytest.raises(NotAuthentic, match="replay"):
        done(theirs.unprotect_rtp, sealed)


def test_another_suite_is_another_key_both_ways():
    ours, theirs = pair(CM)
    assert ours.renew(keys(GCM, 1, 2))
    theirs.renew(keys(GCM, 2, 1))
    assert done(theirs.unprotect_rtp, done(ours.protect_rtp, PLAIN)) == PLAIN
    assert done(ours.unprotect_rtp, done(theirs.protect_rtp, PLAIN)) == PLAIN


# ---------------------------------------------------------------------- as a transport


class Line:
    """A transport in memory."""

    def __init__(self, *datagrams):
        self.datagrams = list(datagrams)
        self.sent = []
        self.rejected = 3

    def receive(self, buffer):
        datagram = self.datagrams.pop(0)
        buffer[: len(datagram)] = datagram
        return len(datagram), ("192.0.2.1", 4000)

    def send(self, packet, _address):
        self.sent.append(bytes(packet))
        return len(packet)


@suites
def test_a_transport_protects_and_unprotects_in_the_buffer_of_the_worker(suite):
    ours, theirs = pair(suite)
    line = Line(done(theirs.protect_rtp, packet(1)), packet(2), done(theirs.protect_rtcp, PLAIN_RTCP))
    transport = ProtectedTransport(line, ours)
    buffer = bytearray(2048)
    view = memoryview(buffer)
    octets, address = transport.receive(buffer)
    assert (bytes(buffer[:octets]), address) == (packet(1), ("192.0.2.1", 4000))
    with pytest.raises(BlockingIOError):
        transport.receive(buffer)
    octets, _ = transport.receive(buffer)
    assert bytes(buffer[:octets]) == PLAIN_RTCP
    buffer[: len(PLAIN)] = PLAIN
    transport.send(view[: len(PLAIN)], ("192.0.2.1", 4000))
    (sent,) = line.sent
    assert done(theirs.unprotect_rtp, sent) == PLAIN
    assert transport.rejected == 4
    assert transport.bare() is line
    assert line.rejected == 4


def test_no_text_of_anything_shows_a_key():
    ours, _ = pair(CM)
    shown = f"{keys(CM)!r} {keys(CM)} {ours!r}"
    assert repr(master(CM, 1))[2:12] not in shown
    assert master(CM, 1).hex()[:8] not in shown
    assert "AES_CM_128_HMAC_SHA1_80" in shown


# ---------------------------------------------------------------------- a stream that is met in its middle


@contexts
@suites
@pytest.mark.parametrize("number", [0x10000, 0x17FFF, 0x18000, 0x1FFFF, 0x2A123, 0xFF000])
def test_a_stream_whose_number_has_wrapped_before_we_knew_of_it_is_found(suite, context, number):
    """A worker has ended in a call of an hour: the far end's counter is where it was, and its key the same."""
    sealed = [reference.protected(suite, master(suite, 2), packet(at), at >> 16) for at in range(number, number + 4)]
    ours, _ = pair(suite, context)
    assert [done(ours.unprotect_rtp, one) for one in sealed] == [packet(at) for at in range(number, number + 4)]
    with pytest.raises(NotAuthentic, match="replay"):
        done(ours.unprotect_rtp, sealed[0])


@suites
def test_a_far_end_that_counts_on_under_its_new_key_is_found(suite):
    """RFC 3711 §3.3.1: "it MUST NOT be reset to zero"."""
    ours, theirs = pair(suite)
    assert done(ours.unprotect_rtp, done(theirs.protect_rtp, packet(0xFFFF))) == packet(0xFFFF)
    late = done(theirs.protect_rtp, packet(0x10000))
    ours.renew(keys(suite, 1, 3))
    assert done(ours.unprotect_rtp, late) == packet(0x10000)
    fresh = reference.protected(suite, master(suite, 3), packet(0x10001), 1)
    assert done(ours.unprotect_rtp, fresh) == packet(0x10001)
    assert done(ours.unprotect_rtp, reference.protected(suite, master(suite, 3), packet(0x10002), 1)) == packet(0x10002)


@suites
def test_nothing_is_looked_for_once_a_packet_has_come_nor_for_ever(suite):
    ours, _ = pair(suite)
    done(ours.unprotect_rtp, reference.protected(suite, master(suite, 2), packet(1)))
    with pytest.raises(NotAuthentic):
        done(ours.unprotect_rtp, reference.protected(suite, master(suite, 2), packet(0x30002), 3))
    flooded, _ = pair(suite)
    for number in range(SEARCHES):
        with pytest.raises(NotAuthentic):
            done(flooded.unprotect_rtp, reference.protected(suite, master(suite, 9), packet(number)))
    with pytest.raises(NotAuthentic):
        done(flooded.unprotect_rtp, reference.protected(suite, master(suite, 2), packet(0x10002), 1))
    assert done(flooded.unprotect_rtp, reference.protected(suite, master(suite, 2), packet(5))) == packet(5)
