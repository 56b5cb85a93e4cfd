"""Session timers: RFC 4028, as rules and as whole calls in virtual time."""

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import ReInviteAnswered, ReInviteReceived, SessionAccepted, SessionEnded, SessionFailed
from sip.message import Request, Response
from sip.parser import parse_datagram
from sip.session.refresh import MAX_RAISES
from sip.session_timer import (
    Agreement,
    SessionTimerPolicy,
    agree_as_uac,
    agree_as_uas,
    ask_again_after_s,
    is_too_brief,
    min_se,
)
from sip.timers import Timer
from sip.uri import Uri
from tests.sip.user_agent.network import ANSWER, SDP, answering, pair

POLICY = SessionTimerPolicy()


def invite(*fields):
    return Request.build("INVITE", Uri.parse("sip:b@192.0.2.2"), fields)


def ok(*fields):
    return Response.build(200, None, fields)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1800", (1800, None)),
        ("1800;refresher=uac", (1800, "uac")),
        ("1800 ; Refresher = UAS ; x=y", (1800, "uas")),
        ("1800;refresher=nobody", (1800, None)),
        ("99999999999999999999", (86400, None)),
        ("soon", None),
        ("", None),
    ],
)
def test_session_expires_is_read_or_ignored(value, expected):
    interval = invite(("Session-Expires", value)).session_expires
    assert (interval and (interval.seconds, interval.refresher)) == expected


def test_min_se_is_never_below_90():
    """RFC 4028 §5."""
    assert [min_se(invite(("Min-SE", value))) for value in ("10", "90", "3600", "x")] == [90, 90, 3600, 90]
    assert min_se(invite()) == 90


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), None),
        ((("Session-Expires", "1800"), ("Supported", "timer")), Agreement(1800, we_refresh=False)),
        ((("Session-Expires", "1800;refresher=uas"), ("Supported", "timer")), Agreement(1800, we_refresh=True)),
        ((("Session-Expires", "1800;refresher=uac"), ("Supported", "timer")), Agreement(1800, we_refresh=False)),
        ((("Session-Expires", "1800"),), Agreement(1800, we_refresh=True)),  # Table 2: put in by a proxy, the caller cannot refresh
        ((("Session-Expires", "100"), ("Min-SE", "600"), ("Supported", "timer")), Agreement(600, we_refresh=False)),
    ],
)
def test_what_a_uas_agrees_to(fields, expected):
    assert agree_as_uas(invite(*fields), POLICY) == expected


def test_what_a_uac_has_been_granted():
    assert agree_as_uac(ok()) is None
    assert agree_as_uac(ok(("Session-Expires", "600;refresher=uas"))) == Agreement(600, we_refresh=False)
    assert agree_as_uac(ok(("Session-Expires", "600;refresher=uac"))) == Agreement(600, we_refresh=True)


def test_a_brief_interval_is_only_refused_to_who_understands_the_refusal():
    brief = ("Session-Expires", "30")
    assert is_too_brief(invite(brief, ("Supported", "timer")), POLICY)
    assert not is_too_brief(invite(brief), POLICY)


def test_bye_is_due_32_s_or_a_third_before_the_end():
    """RFC 4028 §10."""
    assert Agreement(1800, we_refresh=True).expire_after_s == 1768
    assert Agreement(90, we_refresh=True).expire_after_s == 60
    assert Agreement(1800, we_refresh=True).refresh_after_s == 900


def refreshed(network, a, b):
    """Both applications accept every re-INVITE with what they said before."""
    for node, sdp in ((a, SDP), (b, ANSWER)):
        previous = node.react

        def react(event, node=node, sdp=sdp, previous=previous):
            previous(event)
            if isinstance(event, ReInviteReceived):
                node.agent.accept_reinvite(event.session, sdp, node.now)

        node.react = react
    a.call(b)
    network.run(1)
    assert a.one(SessionAccepted)


def test_the_caller_refreshes_at_half_of_the_interval_and_its_application_hears_nothing():
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    network.run(3000)
    at = [round(time - 1000) for time, _ in network.sent("INVITE", by=a.host)]
    assert at == [0, 900, 1800, 2700]
    assert all(parse_datagram(data).body == SDP for _, data in network.sent("INVITE", by=a.host))
    assert a.of(ReInviteAnswered) == []
    assert a.endings == b.endings == []
    a.agent.cancel_or_bye("call", a.now)
    network.run(100)
    assert a.agent.describe(a.now)["timers"] == b.agent.describe(b.now)["timers"] == 0


def test_a_caller_that_vanished_is_hung_up_32_s_before_the_interval_ends():
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    network.drop = lambda _data: True
    del network.nodes[a.host]
    network.run(1760)
    assert b.endings == []
    network.run(10)
    assert b.one(SessionEnded).by == "timeout"
    assert len({data for _, data in network.sent("BYE", by=b.host)}) == 1


def test_a_callee_that_vanished_is_found_at_the_refresh():
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    network.drop = lambda _data: True
    network.run(940)
    assert a.of(ReInviteAnswered) == []  # the application did not ask; it hears of the end
    assert a.one(SessionEnded).by == "timeout"


def test_a_refresh_whose_answer_has_changed_is_reported():
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    b.react = lambda event: b.agent.accept_reinvite(event.session, SDP, b.now) if isinstance(event, ReInviteReceived) else None
    network.run(901)
    assert a.one(ReInviteAnswered) == ReInviteAnswered("call", SDP, 200)


def test_a_reinvite_of_the_application_puts_the_refresh_off():
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    network.run(800)
    hold = SDP + b"a=sendonly\r\n"
    a.agent.reinvite("call", hold, a.now)
    network.run(800)
    assert len(network.sent("INVITE")) == 2
    network.run(200)
    assert parse_datagram(network.sent("INVITE")[-1][1]).body == hold
    assert len(network.sent("INVITE")) == 3


def test_a_reinvite_of_the_application_during_a_refresh_is_told_that_it_must_wait():
    """RFC 3261 §14.1: "MUST NOT initiate a new INVITE transaction within a dialog while another INVITE transaction is in progress"."""
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    b.react = lambda _event: None
    network.run(900)
    assert b.of(ReInviteReceived)
    a.agent.reinvite("call", SDP + b"a=recvonly\r\n", a.now)
    network.run(1)
    assert a.one(ReInviteAnswered).status == 491
    b.agent.accept_reinvite(b.session, ANSWER, b.now)
    network.run(1)
    assert a.one(ReInviteAnswered).status == 491  # the refresh went its way and changed nothing: no news


def test_an_interval_too_brief_is_refused_with_422_and_raised_by_the_caller():
    brief = UserAgentConfig(classify=lambda _r, _f: TRUNK, session_timer=SessionTimerPolicy(interval_s=100))
    strict = UserAgentConfig(classify=lambda _r, _f: TRUNK, session_timer=SessionTimerPolicy(min_se_s=600))
    network, a, b = pair(a=brief, b=strict)
    answering(b)
    a.call(b)
    network.run(1)
    assert a.one(SessionAccepted).response.headers.get("Session-Expires") == "600;refresher=uac"
    assert [parse_datagram(data).headers.get("Session-Expires") for _, data in network.sent("INVITE")] == ["100", "600"]


def test_a_second_422_is_the_end():
    network, a, b = pair()
    b.react = lambda event: b.agent.reject(event.session, 422, b.now, headers=[("Min-SE", "9999")])
    a.call(b)
    network.run(1)
    assert a.one(SessionFailed).status == 422
    assert len(network.sent("INVITE")) == 2


def test_without_a_policy_nothing_is_said_of_timers():
    plain = UserAgentConfig(classify=lambda _r, _f: TRUNK, session_timer=None)
    network, a, b = pair(a=plain, b=plain)
    answering(b)
    a.call(b)
    network.run(1)
    for _, _, _, data in network.wire:
        assert b"Session-Expires" not in data
        assert b"timer" not in data


# ---------------------------------------------------------------------- refreshes that are refused: RFC 4028 §7.4, §10


def refusing(answers, **policy):
    """A talk whose caller refreshes, and whose callee answers refreshes with these statuses (and headers), then with 200."""
    config = UserAgentConfig(classify=lambda _r, _f: TRUNK, session_timer=SessionTimerPolicy(**policy))
    network, a, b = pair(a=config, b=config)
    answering(b)
    a.call(b)
    network.run(1)
    answers = iter(answers)

    def react(event):
        if isinstance(event, ReInviteReceived):
            status, *headers = next(answers, (200,))
            if status == 200:
                b.agent.accept_reinvite(event.session, ANSWER, b.now)
            elif status:
                b.agent.reject_reinvite(event.session, status, b.now, headers=headers)

    b.react = react
    return network, a, b


def refreshes(network, a):
    """When re-INVITEs were sent, in seconds from the start of the call."""
    return [round(at - 1000) for at, _ in network.sent("INVITE", by=a.host)][1:]


@pytest.mark.parametrize(
    ("refusals", "left_s", "retry_after_s", "expected"),
    [
        (1, 868.0, None, 2.0),
        (2, 868.0, None, 4.0),
        (5, 868.0, None, 32.0),
        (20, 868.0, None, 434.0),  # half of what is left
        (1, 868.0, 30.0, 30.0),
        (1, 15.0, 30.0, 7.5),
        (1, 868.0, 0.0, 2.0),
        (9, 0.0, None, 2.0),
    ],
)
def test_when_a_refused_refresh_is_tried_again(refusals, left_s, retry_after_s, expected):
    assert ask_again_after_s(refusals, left_s, retry_after_s) == expected


@pytest.mark.parametrize("status", [403, 488, 500, 503, 603])
def test_a_refused_refresh_is_tried_again_in_the_time_that_is_left(status):
    network, a, b = refusing([(status,)])
    network.run(1795)
    assert refreshes(network, a) == [900, 902]
    network.run(900)
    assert refreshes(network, a) == [900, 902, 1802]
    assert a.endings == b.endings == []
    assert a.of(ReInviteAnswered) == []


def test_the_peer_says_when():
    """RFC 3261 §20.33."""
    network, a, _ = refusing([(503, ("Retry-After", "40 (soon)"))])
    network.run(1000)
    assert refreshes(network, a) == [900, 940]


def test_one_that_asks_for_more_time_than_is_left_is_asked_in_it():
    network, a, b = refusing([(503, ("Retry-After", "3600"))], interval_s=90)
    network.run(100)
    assert refreshes(network, a) == [45, 53, 98]
    assert a.endings == b.endings == []


def test_a_talk_whose_every_refresh_is_refused_goes_on_while_the_peer_answers():
    network, a, _ = refusing([(488,)] * 10_000, interval_s=90)
    network.nodes["192.0.2.2"].agent.session_timer = None
    [there] = network.nodes["192.0.2.2"].agent._sessions.values()
    there.stop(Timer.SESSION_EXPIRES)  # it does not watch for refreshes, or it would end the talk by itself
    network.run(3600)
    assert a.endings == []
    assert len(refreshes(network, a)) < 3600 / 5
    network.drop = lambda _data: True
    network.run(100)
    assert a.one(SessionEnded).by == "timeout"


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_knows_of_no_session_has_lost_it(status):
    """RFC 3261 §12.2.1.2."""
    network, a, _ = refusing([(status,)])
    network.run(910)
    assert a.one(SessionEnded).by == "timeout"


def test_one_that_refused_and_then_says_nothing_is_gone():
    network, a, _ = refusing([(503,), (0,)])
    network.run(901)
    network.drop = lambda _data: True
    network.run(40)
    assert a.one(SessionEnded).by == "timeout"


def test_a_refresh_that_a_422_finds_too_brief_is_sent_again_at_once_with_its_min_se():
    network, a, b = refusing([(422, ("Min-SE", "3000"))])
    network.run(950)
    sent = [parse_datagram(data).headers for _, data in network.sent("INVITE", by=a.host)]
    assert [(one.get("Session-Expires"), one.get("Min-SE")) for one in sent[1:]] == [
        ("1800;refresher=uac", "90"),
        ("3000;refresher=uac", "3000"),
    ]
    network.run(1600)
    assert refreshes(network, a) == [900, 900, 2400]
    assert a.endings == b.endings == []
    last = parse_datagram(network.sent("INVITE", by=a.host)[-1][1])
    assert last.headers.get("Min-SE") == "3000"  # §7.4


@pytest.mark.parametrize("min_se", ["60", "x", ""])
def test_a_422_that_asks_for_nothing_longer_is_a_refusal_like_any_other(min_se):
    network, a, _ = refusing([(422, ("Min-SE", min_se))])
    network.run(910)
    assert refreshes(network, a) == [900, 902]


def test_a_peer_that_raises_for_ever_is_not_followed():
    network, a, _ = refusing([(422, ("Min-SE", str(2000 + n))) for n in range(100)])
    network.run(901)
    assert len(refreshes(network, a)) == 1 + MAX_RAISES


def test_a_change_of_ours_that_is_too_brief_is_sent_again_too():
    network, a, _ = refusing([(422, ("Min-SE", "3000"))])
    a.agent.reinvite("call", SDP + b"a=sendonly\r\n", a.now)
    network.run(1)
    assert a.one(ReInviteAnswered).status == 200
    assert len(refreshes(network, a)) == 2


def test_glare_that_never_ends_is_no_silence():
    """RFC 3261 §14.1: 491 again and again; the peer answers."""
    network, a, _ = refusing([(491,)] * 30, interval_s=90)
    [there] = network.nodes["192.0.2.2"].agent._sessions.values()
    there.stop(Timer.SESSION_EXPIRES)
    network.run(120)
    assert a.endings == []
    assert a.agent.counters["sessions_kept_unrefreshed"] == 2


def test_a_change_of_theirs_that_was_in_the_way_and_refused_refreshes_nothing():
    network, a, b = refusing([(491,)])
    network.run(899)
    a.react = lambda event: a.agent.reject_reinvite(event.session, 488, a.now) if isinstance(event, ReInviteReceived) else None
    network.run(1.5)  # ours has met a 491 and waits
    b.agent.reinvite(b.session, ANSWER, b.now)
    network.run(60)
    assert refreshes(network, a)[:2] == [900, 912]
    network.run(800)
    assert a.endings == b.endings == []


# ---------------------------------------------------------------------- why, to whoever is told: RFC 3326


def reason(data):
    return parse_datagram(data).headers.get("Reason")


TIMED_OUT = 'Q.850;cause=102;text="Recovery on timer expiry"'


def test_the_bye_after_an_expiry_says_so():
    network, a, b = pair()
    answering(b)
    refreshed(network, a, b)
    network.drop = lambda _data: True
    del network.nodes[a.host]
    network.run(1800)
    assert reason(network.sent("BYE", by=b.host)[0][1]) == TIMED_OUT


def test_the_bye_after_a_missing_ack_says_so():
    network, a, b = pair()
    answering(b)
    network.drop = lambda data: data.startswith(b"ACK")
    a.call(b)
    network.run(40)
    assert reason(network.sent("BYE", by=b.host)[0][1]) == TIMED_OUT


def test_the_cancel_of_who_has_waited_long_enough_says_so():
    network, a, b = pair()
    network.drop = lambda data: data.startswith(b"SIP/2.0 100")
    a.call(b, patience_s=3.0)
    network.run(4)
    b.agent.ring(b.session, b.now)
    network.run(1)
    assert reason(network.sent("CANCEL", by=a.host)[0][1]) == TIMED_OUT


def test_the_bye_to_a_second_callee_says_who_has_the_call():
    """RFC 3261 §13.2.2.4, RFC 3326 §3.1."""
    network, a, b = pair()
    answering(b, ring_first=False)
    a.call(b)
    network.run(1)
    ok = parse_datagram(network.sent("SIP/2.0 200", by=b.host)[0][1])
    headers = ok.headers.copy()
    headers.set("To", str(ok.to.with_tag("another")))
    a.agent.receive(ok.with_headers(headers).to_bytes(), a.flow(b), a.now)
    byes = [data for _, data in a.agent.datagrams_to_send() if data.startswith(b"BYE")]
    assert [reason(data) for data in byes] == ['SIP;cause=200;text="Call completed elsewhere"']


def test_a_bye_that_the_application_asks_for_says_what_the_application_says():
    network, a, b = pair()
    answering(b)
    a.call(b)
    network.run(1)
    a.agent.cancel_or_bye("call", a.now)
    network.run(1)
    assert reason(network.sent("BYE", by=a.host)[0][1]) is None
