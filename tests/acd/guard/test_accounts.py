"""Who may guess how often: the owner is never locked out by a stranger, and a stranger never guesses faster by more addresses or names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.guard import GuardPolicy, source_of
from acd.guard.accounts import Accounts
from acd.guard.allowance import Allowance
from acd.guard.source import is_within, networks

POLICY = GuardPolicy()
HOME, CAFE = "192.0.2.1", "198.51.100.1"


def attempts(accounts, user, source, now, *, is_urgent=False):
    """Guess wrong until one has to wait. Returns: how many were judged."""
    judged = 0
    while judged < 10_000:
        taken = accounts.buckets(user, source, now, is_urgent=is_urgent)
        if accounts.wait_s(taken, now) > 0:
            return judged
        accounts.take(taken, now)
        judged += 1
    return judged


def at_home(accounts, user="anna", source=HOME):
    taken = accounts.buckets(user, source, 0.0)
    accounts.take(taken, 0.0)
    accounts.give_back(taken, 0.0)
    accounts.known.learn(user, source, 0.0)


class TestAllowance:
    def test_gives_its_size_at_once_and_then_one_an_interval(self):
        allowance = Allowance(3, 10.0, 100)
        for _ in range(3):
            assert allowance.wait_s("a", 0.0) == 0
            allowance.take("a", 0.0)
        assert allowance.wait_s("a", 0.0) == 10
        assert allowance.wait_s("a", 9.0) == 1
        assert allowance.wait_s("a", 10.0) == 0
        assert allowance.wait_s("b", 0.0) == 0

    def test_what_is_given_back_can_be_taken_again(self):
        allowance = Allowance(1, 10.0, 100)
        allowance.take("a", 0.0)
        allowance.give_back("a", 0.0)
        assert allowance.wait_s("a", 0.0) == 0
        assert len(allowance) == 0

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=200))
    def test_no_key_ever_gets_more_than_its_size_and_what_time_gives(self, steps):
        """Against a plain bucket that forgets nothing: the two generations lose nothing."""
        allowance, now = Allowance(3, 10.0, 100), 0.0
        plain: dict[str, tuple[float, float]] = {}
        for key, pause in steps:
            now += pause
            tokens, at = plain.get(key, (3.0, now))
            tokens = min(3.0, tokens + (now - at) / 10.0)
            is_free = tokens >= 1 - 1e-6
            assert (allowance.wait_s(key, now) <= 1e-5) == is_free
            if is_free:
                allowance.take(key, now)
                tokens -= 1
            plain[key] = (tokens, now)

    def test_a_flood_of_keys_drops_no_bucket_in_use_and_takes_no_more_room(self):
        allowance = Allowance(2, 10.0, 50)
        for _ in range(2):
            allowance.take("mine", 0.0)
        for number in range(5000):
            if allowance.wait_s(number, 1.0) == 0:
                allowance.take(number, 1.0)
        assert allowance.wait_s("mine", 1.0) == 9
        assert len(allowance) <= 51

    def test_when_the_flood_is_over_there_is_room_again(self):
        allowance = Allowance(2, 10.0, 50)
        for number in range(5000):
            allowance.take(number, 1.0)
        for _ in range(2):
            allowance.take("late", 50.0)
        assert allowance.wait_s("late", 50.0) == 10
        assert allowance.wait_s("later", 50.0) == 0
        assert len(allowance) < 50


class TestOwner:
    def test_a_thousand_strangers_never_slow_the_owner_at_home(self):
        accounts = Accounts(POLICY)
        at_home(accounts)
        for number in range(1000):
            attempts(accounts, "anna", f"203.0.113.{number}", 1.0)
        assert accounts.wait_s(accounts.buckets("anna", HOME, 1.0), 1.0) == 0
        assert attempts(accounts, "anna", HOME, 1.0) == 20

    def test_two_strangers_leave_room_for_the_owner_at_a_new_address(self):
        accounts = Accounts(POLICY)
        for stranger in ("203.0.113.1", "203.0.113.2"):
            assert attempts(accounts, "anna", stranger, 0.0) == 10
        assert attempts(accounts, "anna", CAFE, 0.0) == 10

    def test_under_attack_from_many_addresses_the_owner_at_a_new_one_waits_ten_seconds_for_a_turn(self):
        accounts = Accounts(POLICY)
        for number in range(100):
            attempts(accounts, "anna", f"203.0.113.{number}", 0.0)
        assert accounts.wait_s(accounts.buckets("anna", CAFE, 0.0), 0.0) == 10

    def test_a_second_phone_with_an_old_password_does_not_throttle_the_first(self):
        """It asks every 30 s from the same address, for a day."""
        accounts = Accounts(POLICY)
        at_home(accounts)
        for step in range(2880):
            now = step * 30.0
            taken = accounts.buckets("anna", HOME, now)
            assert accounts.wait_s(taken, now) == 0
            accounts.take(taken, now)

    def test_one_desk_of_two_hundred_behind_one_address_mistypes_alone(self):
        accounts = Accounts(POLICY)
        for desk in range(200):
            at_home(accounts, f"desk{desk}")
        attempts(accounts, "desk0", HOME, 0.0)
        for newcomer in range(50):
            attempts(accounts, f"nobody{newcomer}", HOME, 0.0)
        assert all(accounts.wait_s(accounts.buckets(f"desk{desk}", HOME, 0.0), 0.0) == 0 for desk in range(1, 200))

    def test_who_has_got_in_once_does_not_guess_at_all_who_are_known_there(self):
        """One malicious desk among two hundred, for a day: what it may guess is bounded for the source, and next to nothing by name."""
        accounts, judged = Accounts(POLICY), 0
        for desk in range(200):
            at_home(accounts, f"desk{desk}")
        for now in range(0, 86_400, 60):
            judged += sum(attempts(accounts, f"desk{desk}", HOME, float(now)) for desk in range(200))
        assert judged <= 100 + 28_800 + 200 * 145

    def test_who_has_the_right_password_never_meets_what_others_have_wrong_at_the_same_address(self):
        accounts = Accounts(POLICY)
        for desk in range(200):
            at_home(accounts, f"desk{desk}")
        for now in range(0, 3600, 30):
            for wrong in range(20):  # ten are what the address has room for
                attempts(accounts, f"desk{wrong}", HOME, float(now))
            for right in range(20, 200):
                taken = accounts.buckets(f"desk{right}", HOME, float(now))
                assert accounts.wait_s(taken, float(now)) == 0
                accounts.take(taken, float(now))
                assert not accounts.give_back(taken, float(now))

    def test_who_is_throttled_can_still_call_for_help(self):
        accounts = Accounts(POLICY)
        attempts(accounts, "anna", CAFE, 0.0)
        assert accounts.wait_s(accounts.buckets("anna", CAFE, 0.0, is_urgent=True), 0.0) == 0
        at_home(accounts)
        assert attempts(accounts, "anna", CAFE, 0.0, is_urgent=True) == 3
        assert accounts.wait_s(accounts.buckets("anna", HOME, 0.0, is_urgent=True), 0.0) == 0

    def test_strangers_who_use_up_their_emergency_calls_do_not_keep_the_owner_at_a_new_address_from_calling_for_help(self):
        accounts = Accounts(POLICY)
        for number in range(9):
            assert attempts(accounts, "anna", f"203.0.113.{number}", 0.0, is_urgent=True) == 3
        assert attempts(accounts, "anna", CAFE, 0.0, is_urgent=True) == 3
        # Ten of them are more than anybody can tell apart: then one waits a little.
        assert accounts.wait_s(accounts.buckets("anna", "198.51.100.2", 0.0, is_urgent=True), 0.0) == 6

    def test_nobodys_emergency_calls_take_from_those_of_the_owner_at_home(self):
        accounts = Accounts(GuardPolicy(max_buckets=200))
        at_home(accounts)
        for number in range(1000):
            attempts(accounts, "anna", f"203.0.{number // 250}.{number % 250}", 0.0, is_urgent=True)
            attempts(accounts, f"user{number}", f"198.51.{number // 250}.{number % 250}", 0.0, is_urgent=True)
        for number in range(50):
            attempts(accounts, f"user{number}", HOME, 0.0, is_urgent=True)
        assert attempts(accounts, "anna", HOME, 0.0, is_urgent=True) == 3

    def test_a_right_password_takes_no_emergency_call(self):
        accounts = Accounts(POLICY)
        for phone in range(50):
            taken = accounts.buckets(f"phone{phone}", CAFE, 0.0, is_urgent=True)
            assert accounts.wait_s(taken, 0.0) == 0
            accounts.take(taken, 0.0)
            assert not accounts.give_back(taken, 0.0)

    def test_a_source_is_known_for_thirty_days(self):
        accounts = Accounts(POLICY)
        at_home(accounts)
        assert accounts.known.is_known("anna", HOME, 29 * 86_400.0)
        assert not accounts.known.is_known("anna", HOME, 31 * 86_400.0)
        assert not accounts.known.is_home(HOME, 31 * 86_400.0)

    def test_only_the_latest_sources_of_a_user_are_known(self):
        accounts = Accounts(POLICY)
        for number in range(20):
            accounts.known.learn("anna", f"192.0.2.{number}", float(number))
        assert not accounts.known.is_known("anna", "192.0.2.3", 20.0)
        assert accounts.known.is_known("anna", "192.0.2.4", 20.0)
        assert not accounts.known.is_home("192.0.2.3", 20.0)
        assert len(accounts.known) == 16


class TestStranger:
    @pytest.mark.parametrize("sources", [3, 1000])
    def test_more_addresses_than_three_guess_no_faster(self, sources):
        accounts, judged = Accounts(POLICY), 0
        for second in range(3600):
            for number in range(sources if second < 3 else 3):
                judged += attempts(accounts, "anna", f"203.0.113.{number}", float(second))
        assert judged <= 30 + 3600 / 10

    def test_one_address_over_many_names_is_stopped_too(self):
        accounts = Accounts(POLICY)
        assert sum(attempts(accounts, f"user{number}", CAFE, 0.0) for number in range(500)) == 100

    def test_nor_does_calling_for_help_under_many_names_get_one_address_further(self):
        accounts = Accounts(POLICY)
        assert sum(attempts(accounts, f"user{number}", CAFE, 0.0, is_urgent=True) for number in range(400)) == 10
        assert sum(attempts(accounts, f"more{number}", CAFE, 300.0, is_urgent=True) for number in range(400)) == 10
        assert sum(attempts(accounts, f"late{number}", CAFE, 330.0, is_urgent=True) for number in range(400)) == 1

    def test_nor_do_more_addresses_guess_faster_by_calling_for_help(self):
        accounts, judged = Accounts(POLICY), 0
        for second in range(0, 3600, 2):
            for number in range(40):
                judged += attempts(accounts, "anna", f"203.0.113.{number}", float(second), is_urgent=True)
        assert 30 < judged <= 30 + 3600 / 6

    def test_names_nobody_has_flush_nothing(self):
        accounts = Accounts(GuardPolicy(max_buckets=200))
        attempts(accounts, "anna", CAFE, 0.0)
        for number in range(1000):
            attempts(accounts, f"user{number}", f"198.51.100.{number}", 1.0)
        assert accounts.wait_s(accounts.buckets("anna", CAFE, 1.0), 1.0) > 0
        assert max(accounts.sizes().values()) <= 201

    def test_a_flood_that_fills_the_memory_does_not_reach_the_owner_at_home(self):
        accounts = Accounts(GuardPolicy(max_buckets=200))
        at_home(accounts)
        for number in range(1000):
            attempts(accounts, f"user{number}", f"198.51.100.{number}", 1.0)
        assert accounts.wait_s(accounts.buckets("anna", HOME, 1.0), 1.0) == 0

    def test_all_of_an_ipv6_network_is_one_source(self):
        assert source_of("2001:db8:1:2::1") == source_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
        assert source_of("2001:db8:1:3::1") != source_of("2001:db8:1:2::1")
        assert source_of("fe80::1%eth0") == "fe80::/64"


def test_the_allow_list_takes_networks_of_both_families():
    allowed = networks(["192.0.2.0/24", "2001:db8::/32"])
    assert is_within("192.0.2.9", allowed)
    assert is_within("2001:db8:1:2::/64", allowed)
    assert not is_within("198.51.100.1", allowed)
    assert not is_within("testclient", allowed)
