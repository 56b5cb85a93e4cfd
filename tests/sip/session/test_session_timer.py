"""Session timers: RFC 4028, as rules and as whole calls in virtual time."""

import pytest

from sip.events import ReInviteAnswered, ReInviteReceived, SessionAccepted, SessionEnded, SessionFailed
from sip.message import Request, Response
from sip.parser import parse_datagram
from sip.session_timer import Agreement, SessionTimerPolicy, agree_as_uac, agree_as_uas, is_too_brief, min_se, session_expires
from sip.uri import Uri
from sip.user_agent import UserAgentConfig
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
    assert session_expires(invite(("Session-Expires", value))) == expected


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
    brief = UserAgentConfig(classify=lambda _r, _f: "trunk", session_timer=SessionTimerPolicy(interval_s=100))
    strict = UserAgentConfig(classify=lambda _r, _f: "trunk", session_timer=SessionTimerPolicy(min_se_s=600))
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
    plain = UserAgentConfig(classify=lambda _r, _f: "trunk", session_timer=None)
    network, a, b = pair(a=plain, b=plain)
    answering(b)
    a.call(b)
    network.run(1)
    for _, _, _, data in network.wire:
        assert b"Session-Expires" not in data
        assert b"timer" not in data
