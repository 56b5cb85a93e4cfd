"""SIP statuses become the core's causes; of several failed contacts the one that says most speaks."""

import pytest

from acd.switch.causes import (
    FORKED,
    Q850_TEXTS,
    STATUS_OF_Q850,
    TELLINGS,
    TIMED_OUT,
    failure_cause,
    meant_by,
    q850_told,
    reason_header,
    refusal_reason,
    worst_of,
)
from sip.headers.reason import parse_reasons


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
    sip, q850 = parse_reasons([reason_header("answered_elsewhere")])
    assert (sip.protocol, sip.cause, sip.text) == ("SIP", 200, "Call completed elsewhere")
    assert (q850.protocol, q850.cause) == ("Q.850", 26)


@pytest.mark.parametrize("cause", TELLINGS)
def test_every_bye_and_cancel_says_why_in_both_languages(cause):
    """RFC 3326 §2; the status is the one a caller would be refused with, and none where a call was cleared normally."""
    told = parse_reasons([reason_header(cause)])
    row = TELLINGS[cause]
    assert (told[-1].protocol, told[-1].cause, told[-1].text) == ("Q.850", row.q850, Q850_TEXTS[row.q850])
    wanted = [] if row.q850 == 16 else [200 if cause == "answered_elsewhere" else row.status]
    assert [one.cause for one in told[:-1]] == wanted
    assert parse_reasons([refusal_reason(cause)]) == told[-1:]  # RFC 6432: of a response Q.850 alone


@pytest.mark.parametrize(
    ("status", "reason", "cause"),
    [
        (500, "Q.850;cause=17", "busy"),
        (503, 'SIP;cause=503, Q.850;cause=17;text="User busy"', "busy"),
        (480, "q.850 ;cause=17", "busy"),
        (500, "Q.850;cause=34", "congestion"),
        (480, 'Q.850;cause=34;text="No circuit available"', "congestion"),
        (500, "Q.850;cause=1", "not_found"),
        (500, "Q.850;cause=28", "incomplete"),
        (503, "Q.850;cause=19", "no_answer"),
        (500, "Q.850;cause=55", "forbidden"),
        (500, "Q.850;cause=88", "congestion"),
        (480, "Q.850;cause=16", "no_answer"),
        (486, "Q.850;cause=34", "busy"),
        (603, "Q.850;cause=17", "rejected"),
        (500, "SIP;cause=486", "congestion"),
        (500, "Q.850;cause=999", "congestion"),
        (500, ";;", "congestion"),
    ],
)
def test_a_status_that_says_little_means_what_the_network_behind_it_says(status, reason, cause):
    """RFC 6432, RFC 3398 §7.2.4.1; what the gateway said for certain stays."""
    assert failure_cause(meant_by(status, [reason])) == cause


def test_every_status_of_a_q_850_cause_is_a_refusal():
    assert all(400 <= status < 700 for status in STATUS_OF_Q850.values())
    assert all(1 <= cause <= 127 for cause in STATUS_OF_Q850)
    assert 16 not in STATUS_OF_Q850


@pytest.mark.parametrize(("status", "told"), [(484, 484), (403, 403), (487, 480), (302, 480), (486, 486), (404, 404)])
def test_what_a_carrier_refuses_with_is_what_our_caller_is_told(status, told):
    assert TELLINGS[failure_cause(status)].status == told


def test_a_phone_that_forbids_declines():
    """A carrier's 403 is of the call; a phone has nothing to forbid its person."""
    assert failure_cause(403, of_phone=True) == "rejected"


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        ('Q.850;cause=38;text="Network out of order"', 38),
        ("q.850 ; cause=41", 41),
        ('SIP;cause=503;text="x, y", Q.850;cause=47', 47),
        ("Q.850;cause=16", 16),
        ("Q.850;cause=0", None),
        ("Q.850;cause=128", None),
        ("Q.850;cause=x", None),
        ("Q.850", None),
        ("SIP;cause=38", None),
        ("\x80", None),
    ],
)
def test_what_the_network_says_is_a_number_of_q850_or_nothing(told, cause):
    assert q850_told([told]) == cause


@pytest.mark.parametrize(("number", "header"), [(38, 'Q.850;cause=38;text="Network out of order"'), (99, "Q.850;cause=99"), (None, None)])
def test_what_one_network_said_is_said_to_the_other_without_a_status(number, header):
    assert reason_header("hang_up", number) == (header or reason_header("hang_up"))


def test_what_the_sip_engine_ends_by_itself_says_why_in_the_words_of_the_same_table():
    assert parse_reasons([TIMED_OUT])[-1].cause == TELLINGS["timeout"].q850 == 102
    assert parse_reasons([FORKED])[0].text == "Call completed elsewhere"
