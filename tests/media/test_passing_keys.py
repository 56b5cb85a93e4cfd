"""One press is one key for whoever hears it, whatever is arranged anew between any two of its packets; in virtual time."""

import itertools
import os
from collections import Counter, deque

import pytest

from media import tones
from media.codecs import CODECS
from media.control import DescribeLeg, DigitBegan, DigitReceived
from media.dtmf import DIGITS, EventReceiver, ToneDetector, event_packets, parse_event
from media.frame import FRAME_S
from media.io.pacer import TimerHeap
from media.legs import receiver as receiver_module
from media.legs.leg import Leg
from media.legs.playback import Playback
from media.room import Room
from media.rtp import packet as rtp
from media.rtp.packet import RtpPacket

EVENT = 101
AUDIO = bytes(range(160))


class House:
    """What legs need of a worker, its clock, one room."""

    def __init__(self):
        self.now = 1000.0
        self.buffer = bytearray(2048)
        self.view = memoryview(self.buffer)
        self.timers = TimerHeap()
        self.packets_received = self.packets_sent = self.packets_of_unknown_type = 0
        self.reports = []
        self.report = self.reports.append
        self.room = Room(self, "room")
        self._ticking = {}

    def want_ticks(self, ticking, now):
        self._ticking.setdefault(ticking, now + FRAME_S / 4)

    def tick_anew(self, ticking, now):
        pass

    def end_ticking(self, ticking):
        self._ticking.pop(ticking, None)

    def record(self, *_):
        raise AssertionError("nothing is recorded here")

    def let_pass(self, seconds):
        end = self.now + seconds
        while True:
            due = min([*self._ticking.values(), self.timers.next_deadline() or end], default=end)
            self.now = max(self.now, min(due, end))
            if due >= end:
                return
            for ticking, at in list(self._ticking.items()):
                if at <= self.now:
                    self._ticking[ticking] = at + FRAME_S
                    if not ticking.tick(self.now):
                        self.end_ticking(ticking)
            for action in self.timers.due(self.now):
                action(self.now)

    def arrange(self, *pairs):
        self.room.arrange(frozenset((listener.leg, speaker.leg) for listener, speaker in pairs), self.now)


class Phone:
    """A far end with its leg: what it sends, what it hears, which keys it finds in that."""

    is_v6 = False
    rejected = 0

    def __init__(self, house, name, port):
        self.house, self.address = house, ("192.0.2.1", port)
        self.descriptors = (os.POSIX_FADV_NORMAL, os.POSIX_FADV_NORMAL)  # nobody waits on them
        self.coming = deque()
        self.heard = []
        self.keys = ""
        self._events, self._tones = EventReceiver(), ToneDetector()
        self.number, self.timestamp, self.ssrc = 65_530, 4_294_960_000, port
        self.said = {}
        self.leg = Leg(house, name, "192.0.2.9", port, self, loss_concealment=True)
        self.describe()

    def describe(self, **fields):
        self.said |= fields
        codec = self.said.get("codec", "PCMA")
        values = {"remote_address": self.address[0], "remote_port": self.address[1], "remote_rtcp_port": self.address[1] + 1}
        values |= {"codec": codec, "payload_type": CODECS[codec].payload_type, "telephone_event": EVENT}
        self.leg.describe(DescribeLeg(leg=self.leg.name, **(values | self.said)), self.house.now)
        self.house.room.fit(self.house.now)

    # what the leg sees of it

    def receive(self, buffer):
        if not self.coming:
            raise BlockingIOError
        datagram = self.coming.popleft()
        buffer[: len(datagram)] = datagram
        return len(datagram), self.address

    def send(self, view, address):
        del address
        packet = rtp.parse(bytes(view))
        self.heard.append(packet)
        keys = self._events.expire(self.house.now)
        if packet.payload_type == EVENT:
            event = parse_event(packet.payload)
            keys += self._events.receive(packet.timestamp, event, self.house.now, number=packet.sequence_number, marker=packet.marker)
        elif packet.payload_type == CODECS["PCMA"].payload_type:
            keys += self._tones.receive(CODECS["PCMA"].decoder().decode(packet.payload))
        self.keys += "".join(key.digit for key in keys)
        return len(view)

    def send_reports(self, datagram, address, *, at_rtp_port):
        pass

    def drops(self):
        return 0

    def close(self):
        pass

    # what it does

    def send_packet(self, payload, payload_type, timestamp, *, marker=False):
        packet = RtpPacket(payload_type, self.number & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc, payload, marker)
        self.number += 1
        self.coming.append(bytes(packet))
        self.leg.receiver.receive_rtp()

    def speak(self):
        self.send_packet(AUDIO, CODECS[self.leg.codec].payload_type, self.timestamp)
        self.timestamp += 160

    def press(self, key, duration_ms, between):
        """`between(n)` is called before packet n, and behind the last."""
        packets = event_packets(key, duration_ms)
        for number, packet in enumerate(packets):
            between(number)
            self.send_packet(packet.payload, EVENT, self.timestamp, marker=packet.marker)
            self.house.let_pass(FRAME_S)
        between(len(packets))
        self.timestamp += 160 * len(packets)

    @property
    def events(self):
        return [(packet, parse_event(packet.payload)) for packet in self.heard if packet.payload_type == EVENT]

    def hangs_on(self):
        self.house.let_pass(EventReceiver.QUIET_S)
        self.keys += "".join(key.digit for key in self._events.expire(self.house.now))
        return self.keys


class Call:
    def __init__(self):
        self.house = House()
        self.a, self.b, self.c = (Phone(self.house, name, port) for name, port in (("a", 4000), ("b", 4100), ("c", 4200)))
        self.bridge()

    def bridge(self):
        self.house.arrange((self.a, self.b), (self.b, self.a))

    def mix(self):
        self.house.arrange(*((one, other) for one in (self.a, self.b, self.c) for other in (self.a, self.b, self.c) if one is not other))

    def play(self):
        self.b.leg.sender.play(Playback("p", ("music",), b"\xd5" * 80_000, loop=True, stop_on_digit=False), self.house.now)

    def stop(self):
        self.b.leg.sender.stop("stopped")


# Each begins before the key; the first `yield` lets the packets of the key pass that come before the split, every other one packet more.


def nothing(call):
    del call
    yield


def the_same_again(call):
    yield
    for phone in (call.a, call.b):
        phone.describe()
    call.bridge()


def a_bridge_that_ends_and_begins(call):
    yield
    call.house.arrange()
    call.bridge()


def a_bridge_that_is_away_for_two_packets(call):
    yield
    call.house.arrange()
    yield
    yield
    call.bridge()


def a_hold_of_the_listener(call):
    yield
    call.b.describe(sends=False)
    yield
    call.b.describe(sends=True)
    call.bridge()


def a_long_hold_of_the_listener(call):
    yield
    call.b.describe(sends=False)
    for _ in range(14):
        yield
    call.b.describe(sends=True)


def a_hold_of_who_presses(call):
    yield
    call.a.describe(receives=False)
    yield
    call.a.describe(receives=True)


def a_retrieve_in_steps(call):
    yield
    call.house.arrange()
    call.play()
    yield
    call.b.describe()
    call.stop()
    call.bridge()
    yield
    call.a.describe()
    call.bridge()


def another_codec_of_the_listener(call):
    yield
    call.b.describe(codec="PCMU")


def another_codec_of_who_presses(call):
    yield
    call.a.describe(codec="PCMU")


def a_codec_without_a_table(call):
    yield
    call.b.describe(codec="G722")


def a_codec_without_a_table_for_a_moment(call):
    yield
    call.b.describe(codec="G722")
    yield
    call.b.describe(codec="PCMA")


def a_codec_with_a_table_at_last(call):
    call.b.describe(codec="G722")
    yield
    call.b.describe(codec="PCMA")


def a_third_that_joins(call):
    yield
    call.mix()


def a_third_that_joins_and_leaves(call):
    yield
    call.mix()
    yield
    call.bridge()


def a_third_that_leaves(call):
    call.mix()
    yield
    call.bridge()


def a_third_that_leaves_and_joins(call):
    call.mix()
    yield
    call.bridge()
    yield
    call.mix()


def a_play_that_begins(call):
    yield
    call.play()


def a_play_that_begins_and_ends(call):
    yield
    call.play()
    yield
    yield
    call.stop()


def a_play_that_ends_at_once(call):
    yield
    call.play()
    call.stop()


def another_port_of_the_listener(call):
    yield
    call.b.describe(remote_port=4998)


def another_number_of_events(call):
    """The same in the end, so that the far end of this test knows it."""
    yield
    call.b.describe(telephone_event=None)
    call.b.describe(telephone_event=EVENT)


def another_source_of_the_same_time(call):
    yield
    call.a.ssrc += 1


def a_far_end_that_takes_events_at_last(call):
    call.b.describe(telephone_event=None)
    yield
    call.b.describe(telephone_event=EVENT)


def an_end(call):
    yield
    call.house.arrange()


def a_goodbye(call):
    yield
    call.house.arrange()
    call.a.leg.close(call.house.now)


KEPT = [
    nothing,
    the_same_again,
    a_bridge_that_ends_and_begins,
    a_bridge_that_is_away_for_two_packets,
    a_hold_of_the_listener,
    a_long_hold_of_the_listener,
    a_hold_of_who_presses,
    a_retrieve_in_steps,
    another_codec_of_the_listener,
    another_codec_of_who_presses,
    a_codec_without_a_table_for_a_moment,
    a_third_that_joins_and_leaves,
    a_play_that_begins,
    a_play_that_begins_and_ends,
    a_play_that_ends_at_once,
    another_port_of_the_listener,
    another_number_of_events,
    another_source_of_the_same_time,
]
"""The event goes on."""
LEFT = [a_codec_without_a_table, a_third_that_joins, an_end, a_goodbye]
"""Nothing carries it on: its end is made up."""
TOLD = [a_third_that_leaves, a_third_that_leaves_and_joins, a_codec_with_a_table_at_last, a_far_end_that_takes_events_at_last]
"""The listener was told of the key in another way by then."""
SPLITS = [(100, split) for split in range(len(event_packets("4", 100)) + 1)]
SPLITS += [(400, split) for split in range(1, len(event_packets("4", 400)) + 1, 4)]


@pytest.fixture
def call(monkeypatch):
    made = Call()
    monkeypatch.setattr(receiver_module, "_monotonic", lambda: made.house.now)
    return made


def run(call, kind, duration_ms, split):
    """One press with the re-arrangement before packet `split`, audio before and behind."""
    steps = kind(call)
    next(steps)
    for _ in range(5):
        call.a.speak()
        call.house.let_pass(FRAME_S)
    call.a.press("4", duration_ms, lambda number: next(steps, None) if number >= split else None)
    for _ in steps:
        call.house.let_pass(FRAME_S)
    for _ in range(15):
        call.a.speak()
        call.house.let_pass(FRAME_S)


def is_one_stream(packets):
    """No number twice or left out, and the audio's time never runs back."""
    numbers = [packet.sequence_number for packet in packets]
    audio = [packet.timestamp for packet in packets if packet.payload_type != EVENT]
    in_time = all((later - earlier) & 0xFFFFFFFF < 0x80000000 for earlier, later in itertools.pairwise(audio))
    return in_time and numbers == [(numbers[0] + place) & 0xFFFF for place in range(len(numbers))]


@pytest.mark.parametrize(("duration_ms", "split"), [each for each in SPLITS if each[1]])
@pytest.mark.parametrize("kind", KEPT)
def test_an_event_under_way_keeps_its_timestamp_and_is_one_key(call, kind, duration_ms, split):
    run(call, kind, duration_ms, split)
    assert call.b.hangs_on() == "4"
    assert len({packet.timestamp for packet, _ in call.b.events}) == 1
    assert sum(packet.marker for packet, _ in call.b.events) == 1
    assert is_one_stream(call.b.heard)


@pytest.mark.parametrize(("duration_ms", "split"), [each for each in SPLITS if each[1]])
@pytest.mark.parametrize("kind", LEFT)
def test_an_event_that_nothing_carries_on_ends_where_it_came_to_and_is_one_key(call, kind, duration_ms, split):
    steps = kind(call)
    next(steps)
    call.a.speak()
    call.house.let_pass(FRAME_S)

    def between(number):
        if number == split:
            next(steps, None)

    call.a.press("4", duration_ms, between)
    assert call.b.hangs_on() == "4"
    packets, events = zip(*call.b.events, strict=True)
    assert len({packet.timestamp for packet in packets}) == 1
    assert [event.is_end for event in events[-1:]] == [True]
    assert max(event.duration for event in events) == min(split * 160, duration_ms * 8)


@pytest.mark.parametrize(("duration_ms", "split"), SPLITS)
@pytest.mark.parametrize("kind", TOLD)
def test_a_key_that_was_told_in_another_way_is_not_told_again_as_an_event(call, kind, duration_ms, split):
    run(call, kind, duration_ms, split)
    assert call.b.hangs_on() == "4"
    assert is_one_stream(call.b.heard)


@pytest.mark.parametrize("kind", [*KEPT, *TOLD])
def test_what_is_arranged_before_the_key_or_behind_it_changes_nothing(call, kind):
    run(call, kind, 100, 0)
    if kind not in (a_play_that_begins, a_hold_of_who_presses, a_long_hold_of_the_listener):  # which may last longer than the key
        assert call.b.hangs_on() == "4"
    call.b.keys, call.b.heard = "", []
    call.stop()
    call.a.press("4", 100, lambda _number: None)
    call.a.press("4", 100, lambda _number: None)
    assert call.b.hangs_on() == "44"


@pytest.mark.parametrize("split", range(1, 8))
def test_a_key_of_ours_between_ends_the_one_that_passes_and_neither_comes_twice(call, split):
    call.a.speak()
    call.house.let_pass(FRAME_S)
    call.a.press("4", 100, lambda number: call.b.leg.sender.send_digits("7", 60, 0, call.house.now) if number == split else None)
    assert Counter(call.b.hangs_on()) == Counter("47")


@pytest.mark.parametrize("split", range(1, 8))
def test_a_press_that_ends_while_it_is_not_carried_is_followed_by_another_of_the_same_key(call, split):
    run(call, a_third_that_joins_and_leaves, 100, split)
    call.a.press("4", 100, lambda _number: None)
    assert call.b.hangs_on() == "44"


@pytest.mark.parametrize(("duration_ms", "split"), SPLITS)
@pytest.mark.parametrize("kind", [*KEPT, *TOLD])
def test_the_exchange_is_told_of_the_press_once(call, kind, duration_ms, split):
    run(call, kind, duration_ms, split)
    call.b.hangs_on()
    assert [report.digit for report in call.house.reports if isinstance(report, DigitReceived)] == ["4"]


def test_a_hook_flash_keeps_its_timestamp_too(call):
    for packet in event_packets("4", 100):
        call.a.send_packet(bytes((16,)) + packet.payload[1:], EVENT, call.a.timestamp, marker=packet.marker)
        call.house.let_pass(FRAME_S)
        call.house.arrange()
        call.bridge()
    packets, events = zip(*call.b.events, strict=True)
    assert {event.code for event in events} == {16}
    assert len(DIGITS) == 16
    assert len({packet.timestamp for packet in packets}) == 1


# ------------------------------------------------------------------ beside it


def test_cut_audio_has_no_seam_where_the_same_is_declared_again(call):
    call.b.describe(asks_ptime=True)
    call.bridge()
    spoken = b""
    for number in range(12):
        said = bytes((number,)) * 240
        spoken += said
        call.a.send_packet(said, CODECS["PCMA"].payload_type, call.a.timestamp)
        call.a.timestamp += 240
        call.house.let_pass(0.03)
        next(steps := the_same_again(call))
        next(steps, None)
    call.house.let_pass(0.1)
    assert b"".join(packet.payload for packet in call.b.heard) == spoken
    assert sum(packet.marker for packet in call.b.heard) == 1
    assert is_one_stream(call.b.heard)


def test_a_key_is_known_although_its_source_numbers_its_packets_anew(call):
    call.a.press("4", 100, lambda _number: None)
    call.a.number -= 20_000
    for _ in range(5):
        call.a.speak()
        call.house.let_pass(FRAME_S)
    call.a.press("5", 100, lambda _number: None)
    assert call.b.hangs_on() == "45"
    assert [report.digit for report in call.house.reports if isinstance(report, DigitReceived)] == ["4", "5"]


@pytest.mark.parametrize("split", range(1, 7))
def test_a_tone_that_sounds_while_its_leg_is_described_again_is_one_key(call, split):
    call.a.describe(telephone_event=None)
    tone = CODECS["PCMA"].encoder().encode(tones.dtmf("4", 100))
    for number, at in enumerate(range(0, len(tone), 160)):
        if number == split:
            call.a.describe()
        call.a.send_packet(tone[at : at + 160], CODECS["PCMA"].payload_type, call.a.timestamp)
        call.a.timestamp += 160
        call.house.let_pass(FRAME_S)
    for _ in range(5):
        call.a.speak()
    assert [report.digit for report in call.house.reports if isinstance(report, DigitBegan)] == ["4"]
    assert [report.digit for report in call.house.reports if isinstance(report, DigitReceived)] == ["4"]


def test_a_tone_is_over_where_events_are_agreed_on_meanwhile(call):
    call.a.describe(telephone_event=None)
    tone = CODECS["PCMA"].encoder().encode(tones.dtmf("4", 60))
    for at in range(0, len(tone), 160):
        call.a.send_packet(tone[at : at + 160], CODECS["PCMA"].payload_type, call.a.timestamp)
        call.a.timestamp += 160
    call.a.describe(telephone_event=EVENT)
    assert [(report.digit, report.duration_ms) for report in call.house.reports if isinstance(report, DigitReceived)] == [("4", 60)]


@pytest.mark.parametrize("first", ["4", "5"])
def test_a_key_of_ours_whose_beginning_was_held_back_is_not_taken_for_the_one_before(call, first):
    call.b.leg.sender.send_digits(first, 100, 0, call.house.now)
    call.house.let_pass(0.5)
    call.b.describe(sends=False)
    call.b.leg.sender.send_digits("4", 100, 0, call.house.now)
    call.house.let_pass(2 * FRAME_S)
    call.b.describe(sends=True)
    assert call.b.hangs_on() == first + "4"


def test_a_key_of_ours_goes_no_further_where_events_are_taken_no_more(call):
    call.b.leg.sender.send_digits("4", 200, 0, call.house.now)
    call.house.let_pass(3 * FRAME_S)
    call.b.describe(telephone_event=None)
    assert call.b.hangs_on() == "4"
    call.a.speak()
    assert is_one_stream(call.b.heard)
