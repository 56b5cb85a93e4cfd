"""Who must send what when."""

import pytest

from acd.switch.silence import ANSWER_WITHIN_S, cause_of_end, watched_s


@pytest.mark.parametrize(
    ("receives", "holding", "is_moving", "watched"),
    [(True, False, False, 60.0), (False, False, False, 0.0), (True, True, False, 0.0), (True, False, True, 0.0)],
)
def test_only_who_could_send_is_watched(receives, holding, is_moving, watched):
    assert watched_s(60.0, receives=receives, holding=holding, is_moving=is_moving) == watched


def test_nobody_is_watched_where_the_operator_says_so():
    assert watched_s(0.0, receives=True, holding=False, is_moving=False) == 0.0


@pytest.mark.parametrize(
    ("by", "asked_at", "cause"),
    [
        ("timeout", 70.0, "media_silent"),
        ("timeout", 100.0 - ANSWER_WITHIN_S - 1, "timeout"),  # a session timer, long after a question that was answered
        ("timeout", None, "timeout"),
        ("transport", 70.0, "transport"),
        ("remote", 70.0, None),
    ],
)
def test_the_record_says_why_a_leg_ended(by, asked_at, cause):
    assert cause_of_end(by, asked_at, 100.0) == cause
