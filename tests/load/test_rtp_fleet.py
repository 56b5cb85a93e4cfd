"""The fleet against a small echo that swaps two parties' packets, on loopback; nothing waits for the wall clock."""

import select
import socket

import pytest

from load.rtp_fleet import SEATS_PER_SOCKET, Seats, fleet
from load.rtp_watch import AGENT_SIDE


class Relay:
    """Two sockets; what comes to one goes on to the last sender of the other, unless `drops` says its number is lost."""

    def __init__(self, drops=()):
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for one in self.sockets:
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
        self.ports = [one.getsockname()[1] for one in self.sockets]
        self.drops = set(drops)
        self.seen = 0
        self.senders = {}
        self.first_payloads = []

    def pump(self):
        for side, one in enumerate(self.sockets):
            while select.select([one], [], [], 0)[0]:
                packet, sender = one.recvfrom(2048)
                self.senders[side] = sender
                self.first_payloads.append(packet)
                if side == 0:
                    self.seen += 1
                if (1 - side) in self.senders and not (side == 0 and self.seen in self.drops):
                    self.sockets[1 - side].sendto(packet, self.senders[1 - side])

    def close(self):
        for one in self.sockets:
            one.close()


@pytest.fixture
def relay():
    made = []

    def make(drops=()):
        made.append(Relay(drops))
        return made[-1]

    yield make
    for one in made:
        one.close()


def frames(opened, relay, count):
    """`count` frames of every active party, without waiting for the clock: a frame is due whenever the test says so."""
    for _ in range(count):
        for group in opened._groups:
            if len(group.active):
                opened._send(group)
        relay.pump()
    opened.receive()


def test_two_parties_hear_each_other_and_lose_nothing(relay):
    middle = relay()
    with fleet("127.0.0.1", 2, seed=3) as opened:
        opened.start(0, key=42, is_agent=False, remote=("127.0.0.1", middle.ports[0]))
        opened.start(1, key=42, is_agent=True, remote=("127.0.0.1", middle.ports[1]))
        frames(opened, middle, 60)
        caller, agent = opened.stop(0, connected_s=1.0), opened.stop(1, connected_s=1.0)
        assert (caller.sent, agent.sent) == (60, 60)
        # The caller's first packet came before the relay knew where the agent is.
        assert (caller.marked_received, agent.marked_received) == (60, 59)
        assert (caller.lost, caller.crossed, caller.silent_streams, agent.lost) == (0, 0, 0, 0)
        assert sum(caller.latency_ms) == 60
        assert opened.figures().sent == 120
        assert opened.figures().own_drops == 0


def test_injected_loss_is_found_at_the_party_that_missed_it(relay):
    middle = relay(drops={10, 11, 30})
    with fleet("127.0.0.1", 2) as opened:
        opened.start(0, key=1, is_agent=False, remote=("127.0.0.1", middle.ports[0]))
        opened.start(1, key=1, is_agent=True, remote=("127.0.0.1", middle.ports[1]))
        frames(opened, middle, 50)
        assert opened.stop(1, connected_s=1.0).marked_lost == 3
        assert opened.stop(0, connected_s=1.0).marked_lost == 0


def test_audio_of_another_call_is_crossed(relay):
    middle = relay()
    with fleet("127.0.0.1", 2) as opened:
        opened.start(0, key=1, is_agent=False, remote=("127.0.0.1", middle.ports[0]))
        opened.start(1, key=2, is_agent=True, remote=("127.0.0.1", middle.ports[1]))
        frames(opened, middle, 10)
        assert opened.stop(0, connected_s=1.0).crossed == 10


def test_party_that_hears_nothing_has_one_way_audio(relay):
    middle = relay()
    with fleet("127.0.0.1", 1) as opened:
        opened.start(0, key=1, is_agent=False, remote=("127.0.0.1", middle.ports[0]))
        frames(opened, middle, 10)
        figures = opened.stop(0, connected_s=2.0)
        assert (figures.sent, figures.received, figures.silent_streams) == (10, 0, 1)


def test_packets_are_rtp_with_continuous_numbers_and_timestamps(relay):
    middle = relay()
    with fleet("127.0.0.1", 1, codec="PCMU") as opened:
        opened.start(0, key=9, is_agent=True, remote=("127.0.0.1", middle.ports[0]))
        frames(opened, middle, 3)
        packets = middle.first_payloads
        assert [len(packet) for packet in packets] == [172] * 3
        assert {packet[:2] for packet in packets} == {b"\x80\x00"}
        numbers = [int.from_bytes(packet[2:4], "big") for packet in packets]
        stamps = [int.from_bytes(packet[4:8], "big") for packet in packets]
        assert [number - numbers[0] for number in numbers] == [0, 1, 2]
        assert [stamp - stamps[0] for stamp in stamps] == [0, 160, 320]
        assert int.from_bytes(packets[0][16:20], "big") == 9 | AGENT_SIDE


def test_seat_can_be_used_for_another_call_after_it_was_stopped(relay):
    first, second = relay(), relay()
    with fleet("127.0.0.1", 2) as opened:
        for middle, key in ((first, 1), (second, 2)):
            opened.start(0, key=key, is_agent=False, remote=("127.0.0.1", middle.ports[0]))
            opened.start(1, key=key, is_agent=True, remote=("127.0.0.1", middle.ports[1]))
            frames(opened, middle, 20)
            figures = [opened.stop(seat, connected_s=1.0) for seat in (0, 1)]
            assert [one.lost for one in figures] == [0, 0]
            assert [one.crossed for one in figures] == [0, 0]
        assert opened.stop(0, connected_s=0.0) is None


def test_turn_sends_each_party_one_packet_a_frame_on_absolute_deadlines(relay, monkeypatch):
    clock = [1_000_000_000]
    monkeypatch.setattr("load.rtp_fleet.time.monotonic_ns", lambda: clock[0])
    middle = relay()
    with fleet("127.0.0.1", 2 * SEATS_PER_SOCKET) as opened:
        opened.start(0, key=1, is_agent=False, remote=("127.0.0.1", middle.ports[0]))
        opened.start(SEATS_PER_SOCKET, key=2, is_agent=False, remote=("127.0.0.1", middle.ports[1]))
        end = clock[0] + 1_000_000_000
        while clock[0] < end:
            clock[0] = opened.turn()
        assert opened.sent == 100
        assert opened.late_ticks == 0
        clock[0] += 8_000_000
        opened.turn()
        assert opened.late_ticks == 1


def test_seats_are_given_in_turn_over_the_sockets_and_come_back_last():
    seats = Seats([100] * SEATS_PER_SOCKET + [200] * SEATS_PER_SOCKET)
    assert [seats.take()[1] for _ in range(4)] == [100, 200, 100, 200]
    seats.give_back(0)
    rest = [seats.take()[0] for _ in range(2 * SEATS_PER_SOCKET - 3)]
    assert rest[-1] == 0
    assert seats.take() is None
