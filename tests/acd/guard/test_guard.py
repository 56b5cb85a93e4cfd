"""Bans, what is told and what is kept: the guard with a clock to turn."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.guard import Guard, GuardPolicy, SipGuard
from acd.guard import line as lines

OFFICE, STRANGER = "192.0.2.1", "203.0.113.9"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def guard(clock):
    return made(clock)


def made(clock, **policy):
    return Guard(GuardPolicy(**policy), now=clock, epoch=lambda: clock() + 1_700_000_000)


def fail(guard, user, host, now=1000.0):
    attempt = guard.attempt("sip", user, host, now)
    if attempt.wait_s is None:
        attempt.failed(now)
    return attempt.wait_s


def succeed(guard, user, host, now=1000.0):
    attempt = guard.attempt("sip", user, host, now)
    assert attempt.wait_s is None
    attempt.succeeded(now)


class TestBans:
    def test_many_names_from_one_source_are_a_ban(self, guard, clock):
        for number in range(9):
            fail(guard, f"user{number}", STRANGER)
        assert guard.ban_of(STRANGER, clock()) is None
        fail(guard, "user9", STRANGER)
        assert guard.ban_of(STRANGER, clock()).why == "10 user names tried"
        assert guard.ban_of("203.0.113.10", clock()) is None

    def test_one_name_is_throttled_for_long_before_it_is_a_ban(self, guard, clock):
        for _ in range(999):
            fail(guard, "anna", STRANGER)
        assert guard.ban_of(STRANGER, clock()) is None
        fail(guard, "anna", STRANGER)
        assert guard.ban_of(STRANGER, clock()) is not None

    def test_attempts_spread_over_days_are_no_ban(self, guard):
        for number in range(100):
            fail(guard, f"user{number}", STRANGER, 1000.0 + number * 600)
        assert guard.bans() == []

    def test_each_ban_is_twice_as_long_up_to_a_day(self, guard, clock):
        lengths = []
        for _ in range(9):
            for number in range(10):
                fail(guard, f"user{number}", STRANGER, clock())
            ban = guard.ban_of(STRANGER, clock())
            lengths.append(round(ban.until - clock()))
            clock.now = ban.until + 400
        assert lengths == [600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 86400]
        clock.now += 8 * 86_400
        for number in range(10):
            fail(guard, f"user{number}", STRANGER, clock())
        assert guard.ban_of(STRANGER, clock()).count == 1

    def test_one_right_password_buys_no_guesses_at_the_names_of_others(self, guard, clock):
        """An attacker with one account of the own, for a week: without it, or with it, ten names and then bans that double."""
        succeed(guard, "weak", OFFICE)
        judged = 0
        for minute in range(7 * 1440):
            clock.now = 1000.0 + minute * 60
            judged += sum(fail(guard, f"user{(minute * 20 + number) % 1000}", OFFICE, clock()) is None for number in range(20))
        assert judged < 200
        assert fail(guard, "user1", OFFICE, clock()) == round(guard.bans()[0].until - guard.epoch())

    def test_a_ban_where_somebody_is_at_home_is_for_those_who_are_not(self, guard, clock):
        succeed(guard, "anna", OFFICE)
        for number in range(10):
            fail(guard, f"user{number}", OFFICE)
        assert [ban.source for ban in guard.bans()] == [OFFICE]
        assert guard.spares_known(OFFICE)
        assert guard.ban_of(OFFICE, clock()) is None  # the door is open for anna, and for keys
        succeed(guard, "anna", OFFICE)
        assert fail(guard, "newcomer", OFFICE) == 600
        assert guard.attempt("sip", "newcomer", OFFICE, clock(), is_urgent=True).wait_s is None
        clock.now += 31 * 86_400
        assert not guard.spares_known(OFFICE)

    def test_two_hundred_desks_behind_one_address_do_not_notice_the_one_that_mistypes(self, guard, clock):
        """It asks every ten seconds for a day, whether it has ever been right or not; ten more mistype at the beginning of the shift."""
        for desk in range(200):
            succeed(guard, f"desk{desk}", OFFICE)
        for second in range(0, 86_400, 10):
            clock.now = 1000.0 + second
            fail(guard, "desk0", OFFICE, clock())
            fail(guard, "desk-never-right", OFFICE, clock())
            if second == 0:
                for desk in range(1, 12):
                    fail(guard, f"desk{desk}", OFFICE, clock())
            if second % 3600 == 0:
                for desk in range(1, 200):
                    succeed(guard, f"desk{desk}", OFFICE, clock())
        succeed(guard, "a new desk", OFFICE, clock())
        assert guard.bans() == []

    def test_a_mad_phone_at_home_is_told_in_the_log_and_bans_nobody(self, guard, caplog):
        succeed(guard, "anna", OFFICE)
        for _ in range(1000):
            fail(guard, "user", OFFICE)
        assert guard.bans() == []
        assert any(record.message.startswith('spared source=192.0.2.1 why="1000 attempts"') for record in caplog.records)

    def test_the_allow_list_is_never_banned(self, clock):
        guard = made(clock, allow=("203.0.113.0/24",))
        for number in range(50):
            fail(guard, f"user{number}", STRANGER)
        assert guard.bans() == []

    def test_who_has_no_address_cannot_be_banned(self, guard):
        for number in range(50):
            fail(guard, f"user{number}", "")
        assert guard.bans() == []

    def test_a_trunk_that_is_added_at_a_banned_source_lifts_nothing_and_is_heard_where_no_password_is_asked(self, guard, clock):
        for number in range(10):
            fail(guard, f"user{number}", STRANGER)
        door = SipGuard(guard, lambda _user: None, lambda host: host == STRANGER)
        assert guard.ban_of(STRANGER, clock()) is not None
        assert door.is_banned(STRANGER, clock(), is_challenged=True)
        assert not door.is_banned(STRANGER, clock(), is_challenged=False)
        assert SipGuard(guard, lambda _user: None).is_banned(STRANGER, clock(), is_challenged=False)

    def test_without_a_length_there_are_no_bans(self, clock):
        guard = made(clock, ban_s=0.0)
        for number in range(50):
            fail(guard, f"user{number}", STRANGER)
        assert guard.bans() == []

    def test_one_token_that_is_asked_with_again_and_again_is_one_attempt(self, clock):
        guard = made(clock, ban_attempts=10)
        for _ in range(1000):
            guard.wrong_token("old", STRANGER, clock())
        assert guard.counters["token", "failed"] == 1
        for number in range(9):
            guard.wrong_token(f"guess{number}", STRANGER, clock())
        assert guard.ban_of(STRANGER, clock()) is not None

    def test_memory_is_bounded(self, clock):
        guard = made(clock, max_bans=20, max_buckets=100)
        for source in range(2000):
            for number in range(10):
                guard._offenders.note(f"203.0.{source // 250}.{source % 250}", f"user{number}", clock()) and guard._ban(
                    str(source), "x", clock()
                )
            guard.wrong_token("x", f"203.0.{source}", clock())
        assert len(guard._bans) == 20
        assert len(guard._offenders) <= 100

    def test_a_person_lets_a_source_in_again_and_nothing_is_remembered(self, guard, clock):
        for number in range(10):
            fail(guard, f"user{number}", "2001:db8::1")
        assert guard.lift("2001:db8::/64", by="operator")
        assert not guard.lift("2001:db8::/64", by="operator")
        assert guard.ban_of("2001:db8::1", clock()) is None


class TestKeeping:
    def test_what_changed_is_told_once_and_taken_up_by_the_next_process(self, guard, clock):
        succeed(guard, "anna", OFFICE)
        for number in range(10):
            fail(guard, f"user{number}", STRANGER)
        changes = guard.changes()
        assert [ban.source for ban in changes.bans] == [STRANGER]
        assert [(row.user, row.source) for row in changes.known] == [("sip anna", OFFICE)]
        assert guard.changes() == type(changes)()
        later = Clock()
        later.now = 5.0
        again = Guard(now=later, epoch=lambda: clock() + 1_700_000_000 + 60)
        again.restore(changes.bans, changes.known)
        assert again.ban_of(STRANGER, later()).until == later() + 540
        assert again.accounts.known.is_known("sip anna", OFFICE, later())

    def test_what_could_not_be_written_is_told_again(self, guard):
        for number in range(10):
            fail(guard, f"user{number}", STRANGER)
        changes = guard.changes()
        guard.unwritten(changes)
        assert guard.changes() == changes

    def test_a_success_is_written_once_a_day(self, guard):
        told = []
        guard.on_change = lambda: told.append(1)
        for hour in range(49):
            succeed(guard, "anna", OFFICE, 1000.0 + hour * 3600)
        assert len(told) == 3


class TestLines:
    def test_each_attempt_is_a_line(self, guard, caplog):
        caplog.set_level(logging.WARNING, "fernamt.security")
        fail(guard, "anna", STRANGER)
        for _ in range(10):
            fail(guard, "anna", OFFICE)
        succeed(guard, "anna", STRANGER)
        told = [lines.read(record.message) for record in caplog.records]
        assert told[0] == {"outcome": "failed", "source": STRANGER, "protocol": "sip", "user": "anna"}
        assert [one["outcome"] for one in told] == ["failed"] * 11 + ["succeeded"]

    def test_a_flood_is_added_up_and_no_attempt_is_lost(self, guard, caplog):
        caplog.set_level(logging.WARNING, "fernamt.security")
        for number in range(10_000):
            fail(guard, "anna", STRANGER, 1000.0 + number / 5000)
        guard.tell_sums()
        told = [lines.read(record.message) for record in caplog.records]
        attempts = [one for one in told if one["outcome"] in {"failed", "throttled"}]
        assert sum(int(one.get("attempts", 1)) for one in attempts) == 10_000
        assert len(attempts) < 2500

    @given(st.text(min_size=1, max_size=200))
    def test_no_name_can_end_its_line_or_begin_another(self, name):
        written = lines.line("failed", STRANGER, protocol="sip", user=lines.quoted(name))
        assert written.isascii()
        assert written.isprintable()
        assert lines.read(written) == {"outcome": "failed", "source": STRANGER, "protocol": "sip", "user": name[: lines.NAME_LENGTH]}

    def test_an_address_is_only_what_an_address_can_be(self):
        assert lines.line("failed", 'x" source=1.2.3.4\n') == "failed source=x??source?1.2.3.4?"

    def test_the_figures_count_what_was_told(self, guard):
        for number in range(10):
            fail(guard, f"user{number}", STRANGER)
        figures = guard.figures()
        assert figures['fernamt_security_attempts_total{protocol="sip",outcome="failed"}'] == 10
        assert (figures["fernamt_security_bans"], figures["fernamt_security_bans_total"]) == (1, 1)


def test_pins_come_back_with_time_and_ban_nobody(guard, clock):
    for _ in range(5):
        guard.pin_attempt("acme", "ben", "anna", clock()).failed(clock())
    held = guard.pin_attempt("acme", "ben", "cem", clock())
    assert held.wait_s == 720
    assert guard.pin_attempt("other", "ben", "anna", clock()).wait_s is None
    clock.now += 720
    again = guard.pin_attempt("acme", "ben", "cem", clock())
    assert again.wait_s is None
    again.abandoned(clock())  # nobody could tell: it may be tried again
    right = guard.pin_attempt("acme", "ben", "cem", clock())
    assert right.wait_s is None
    right.succeeded(clock())
    assert guard.bans() == []
    assert {outcome: count for (protocol, outcome), count in guard.counters.items() if protocol == "pin"} == {
        "failed": 5,
        "throttled": 1,
        "succeeded": 1,
    }
