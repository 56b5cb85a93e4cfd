"""One stream for the far end whatever feeds it: continuity of SSRC, numbers and clock (RFC 3550 §5.1, RFC 3551 §4.1, RFC 4733 §2.5.1)."""

from hypothesis import given
from hypothesis import strategies as st

from media.rtp.outgoing import OutgoingStream
from media.rtp.packet import HEADER, parse


class Sent:
    """Drives a stream and keeps what it sent."""

    def __init__(self, sequence_number=1000, timestamp=5000):
        self.stream = OutgoingStream(0xABCD, sequence_number, timestamp)
        self.packets = []
        self.buffer = bytearray(172)

    def keep(self):
        self.packets.append(parse(bytes(self.buffer)))
        return self.packets[-1]

    def relay(self, number, timestamp, ssrc, now, payload_type=8):
        HEADER.pack_into(self.buffer, 0, 0x80, payload_type, number, timestamp, ssrc)
        if not self.stream.relay(self.buffer, payload_type, number, timestamp, ssrc, 160, now):
            return None
        return self.keep()

    def audio(self, now, *, begins):
        self.stream.audio(self.buffer, 8, 160, now, begins=begins)
        return self.keep()


def test_relayed_packets_keep_their_distances_and_carry_our_ssrc():
    sent = Sent()
    for step in (0, 1, 2, 5):
        sent.relay(65534 + step & 0xFFFF, step * 160, 7, step * 0.02)
    assert [packet.sequence_number - 1001 for packet in sent.packets] == [0, 1, 2, 5]
    assert [packet.timestamp - 5000 for packet in sent.packets] == [0, 160, 320, 800]
    assert {packet.ssrc for packet in sent.packets} == {0xABCD}
    assert [packet.marker for packet in sent.packets] == [True, False, False, False]


def test_reordered_packet_stays_reordered():
    sent = Sent()
    for number in (10, 12, 11):
        sent.relay(number, number * 160, 7, 0.0)
    assert [packet.sequence_number for packet in sent.packets] == [1001, 1003, 1002]


def test_prompt_then_partner_is_one_stream():
    """The partner's packet comes 130 ms after the last frame of the prompt: six frames and a half pass on the clock."""
    sent = Sent()
    sent.audio(0.0, begins=True)
    sent.audio(0.02, begins=False)
    sent.stream.break_off()
    packet = sent.relay(40000, 999_999, 7, 0.15)
    assert packet.sequence_number == sent.packets[1].sequence_number + 1
    assert packet.timestamp == sent.packets[1].timestamp + 160 * 6
    assert packet.marker


def test_partner_then_another_partner_then_prompt_never_steps_back():
    sent = Sent()
    now = 0.0
    for ssrc, base in ((7, 100), (8, 60000)):
        sent.stream.break_off()
        for step in range(5):
            sent.relay(base + step, step * 160, ssrc, now)
            now += 0.02
    sent.stream.break_off()
    for step in range(5):
        sent.audio(now, begins=step == 0)
        now += 0.02
    numbers = [packet.sequence_number for packet in sent.packets]
    assert numbers == list(range(1001, 1016))
    assert [packet.timestamp for packet in sent.packets] == list(range(5000, 5000 + 15 * 160, 160))
    assert [index for index, packet in enumerate(sent.packets) if packet.marker] == [0, 5, 10]


def test_packet_older_than_the_switch_is_not_sent():
    """Its number was given to something else already; sending it would be a duplicate to the far end."""
    sent = Sent()
    sent.audio(0.0, begins=True)
    sent.stream.break_off()
    assert sent.relay(500, 0, 7, 0.02) is not None
    assert sent.relay(499, 0, 7, 0.02) is None


def test_event_between_relayed_packets_keeps_the_time_base():
    """Numbers are used up by the event, timestamps of the partner go on as if nothing had been."""
    sent = Sent()
    sent.relay(1, 160, 7, 0.00)
    sent.relay(2, 320, 7, 0.02)
    timestamp = sent.stream.begin_event(0.04)
    for step in range(3):
        sent.stream.event(sent.buffer, 101 | (step == 0) << 7, timestamp, 4)
        sent.keep()
    after = sent.relay(6, 960, 7, 0.10)
    assert [packet.sequence_number for packet in sent.packets] == [1001, 1002, 1003, 1004, 1005, 1006]
    assert {packet.timestamp for packet in sent.packets[2:5]} == {5000 + 2 * 160}
    assert after.timestamp == 5000 + 5 * 160
    assert not after.marker


def test_new_ssrc_of_the_partner_is_a_new_talk_spurt_without_a_step():
    sent = Sent()
    sent.relay(1, 0, 7, 0.0)
    packet = sent.relay(9000, 123456, 8, 0.02)
    assert (packet.sequence_number, packet.timestamp, packet.marker) == (1002, 5160, True)


def test_sender_report_counts_what_was_sent():
    sent = Sent()
    sent.audio(0.0, begins=True)
    sent.audio(0.02, begins=False)
    assert (sent.stream.packets_sent, sent.stream.octets_sent) == (2, 320)
    assert sent.stream.timestamp_now(0.03) == sent.stream.timestamp + 80


def test_by_another_clock_time_goes_on_in_its_ticks():
    """Opus (RFC 7587 §4.1): a pause of 100 ms is 4800 ticks, and 10 ms after the newest packet the report says 480 more than it."""
    sent = Sent()
    sent.audio(0.0, begins=True)
    sent.stream.run_at(48_000)
    before = sent.stream.timestamp
    sent.stream.audio(sent.buffer, 111, 960, 0.1, begins=True)
    assert (sent.stream.timestamp - before) & 0xFFFFFFFF == 4800
    assert sent.stream.timestamp_now(0.11) == sent.stream.timestamp + 480


steps = st.lists(st.sampled_from(["relay_a", "relay_b", "prompt", "digit", "break"]), max_size=60)


@given(steps, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_far_end_never_sees_a_number_twice_nor_time_run_back(plan, first_number, first_timestamp):
    sent = Sent(first_number, first_timestamp)
    clocks = {"relay_a": [65000, 4_294_960_000], "relay_b": [17, 99]}
    now = 0.0
    begins = True
    for step in plan:
        now += 0.02
        for clock in clocks.values():
            clock[0] = (clock[0] + 1) & 0xFFFF
            clock[1] = (clock[1] + 160) & 0xFFFFFFFF
        match step:
            case "prompt":
                sent.audio(now, begins=begins)
                begins = False
            case "digit":
                timestamp = sent.stream.begin_event(now)
                sent.stream.event(sent.buffer, 101, timestamp, 4)
                sent.keep()
                begins = True
            case "break":
                sent.stream.break_off()
            case _:
                sent.relay(*clocks[step], ssrc=1 if step == "relay_a" else 2, now=now)
                begins = True
    for earlier, later in zip(sent.packets, sent.packets[1:], strict=False):
        assert 0 < (later.sequence_number - earlier.sequence_number) & 0xFFFF < 0x8000
        assert (later.timestamp - earlier.timestamp) & 0xFFFFFFFF < 0x80000000
