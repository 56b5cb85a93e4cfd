"""SIP statuses become the core's causes; of several failed contacts the one that says most speaks."""

import pytest

from acd.switch.causes import failure_cause, reason_header, worst_of


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (486, "busy"),
        (600, "busy"),
        (480, "no_answer"),
        (408, "no_answer"),
        (603, "rejected"),
        (404, "not_found"),
        (503, "congestion"),
        (488, "unsupported_media"),
        (502, "unreachable"),
        (499, "error"),
    ],
)
def test_a_final_status_means_a_cause(status, cause):
    assert failure_cause(status) == cause


@pytest.mark.parametrize(
    ("statuses", "speaks"),
    [([408, 486], 486), ([503, 486], 486), ([603, 486], 603), ([500, 404], 404), ([480, 404], 404), ([487, 302], 302)],
)
def test_the_best_response_speaks_for_all_contacts(statuses, speaks):
    """RFC 3261 §16.7 step 6."""
    assert worst_of(statuses) == speaks


def test_a_phone_is_told_that_a_colleague_answered():
    """RFC 3326 §3.1: no missed call is shown."""
    assert reason_header("answered_elsewhere") == 'SIP;cause=200;text="Call completed elsewhere"'
