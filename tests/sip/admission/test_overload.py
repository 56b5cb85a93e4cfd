"""Admission of sessions and of other requests: each by its own share, strangers by theirs."""

import pytest

from sip.overload import EMERGENCIES, Overload, OverloadPolicy, Verdict
from sip.share import Share
from sip.source import source_of


def policy(**fields) -> OverloadPolicy:
    return OverloadPolicy(**{"invites_per_s": 100.0, "burst": 100, "live_sessions": 10_000} | fields)


A, B = Share("a", part=0.5), Share("b", part=0.5)


def flood(overload: Overload, share: Share, now: float = 0.0, calls: int = 1000) -> set[Verdict]:
    return {overload.admit(share, 0, now) for _ in range(calls)}


def test_the_verdict_tells_whose_limit_it_was():
    overload = Overload(policy())
    assert flood(overload, A) == {Verdict.ADMITTED, Verdict.BY_RATE}
    assert overload.admit(B, 0, 0.0) is Verdict.ADMITTED
    assert flood(overload, A, calls=1) == {Verdict.BY_SHARE}
    assert overload.verdicts["a", Verdict.BY_SHARE] == 1
    assert overload.describe()["refused_by_share"] == 1


def test_live_sessions_are_shared_and_given_back():
    overload = Overload(policy(burst=10_000, live_sessions=160))
    sessions = [f"s{number}" for number in range(100)]
    began = []
    for session in sessions:
        if overload.admit(A, 0, 0.0) is Verdict.ADMITTED:
            overload.began(session, A)
            began.append(session)
    assert len(began) == 20 + 32  # of 80 calls: its half of the half that is promised, four fifths of what is lent
    assert overload.admit(A, 0, 0.0) is Verdict.BY_CEILING
    assert overload.admit(B, 0, 0.0) is Verdict.ADMITTED
    overload.ended(began[0])
    overload.ended("never there")
    assert overload.admit(A, 0, 0.0) is Verdict.ADMITTED


def test_an_emergency_call_asks_for_no_share_as_long_as_nobody_makes_a_flood_of_them():
    overload = Overload(policy(live_sessions=2))
    urgent = A._replace(urgent=True)
    flood(overload, A)
    granted = [overload.admit(urgent, 5, 0.0) is Verdict.ADMITTED for _ in range(300)]
    assert sum(granted) == EMERGENCIES
    assert overload.admit(B._replace(urgent=True), 5, 0.0) is Verdict.ADMITTED
    assert overload.admit(urgent, 5, 1.0) is Verdict.ADMITTED  # one a second goes on
    assert overload.emergencies["a"] == EMERGENCIES + 1


def test_a_stranger_takes_nothing_from_who_is_known_nor_from_a_stranger_elsewhere():
    overload = Overload(policy(strangers_per_s=20.0, strangers_burst=40))
    assert sum(overload.serve(None, "192.0.2.1", 0.0) for _ in range(1000)) == 30  # its own 10, and the spare 20
    assert overload.strangers_refused == 970
    assert all(overload.serve(None, "192.0.2.2", 0.0) for _ in range(10))
    assert overload.admit(A, 0, 0.0) is Verdict.ADMITTED
    assert overload.serve(A, "192.0.2.1", 0.0)


def test_other_requests_of_a_tenant_cost_a_twentieth_of_a_call():
    overload = Overload(policy())
    assert sum(overload.serve(A, "192.0.2.1", 0.0) for _ in range(5000)) == pytest.approx(20 * 75, abs=1)
    assert overload.requests_refused["a"] == pytest.approx(3500, abs=1)
    assert overload.serve(B, "192.0.2.1", 0.0)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("2001:db8:1:2:a:b:c:d", "2001:db8:1:2::9", True),
        ("2001:db8:1:2::9", "2001:db8:1:3::9", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_hosts_of_one_ipv6_network_are_one_stranger(one, other, alike):
    assert (source_of(one) == source_of(other)) is alike
