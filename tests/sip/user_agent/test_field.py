"""What phones and carriers in the field do inside the standard, or nearly: one test a kind, at the SIP layer."""

from itertools import pairwise

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite, ReInviteConfirmed, SessionAccepted, SessionFailed, SessionProgress
from sip.flow import Flow
from sip.message import Request
from sip.parser import DEFAULT_LIMITS, StreamParser, parse_datagram
from sip.user_agent import UserAgent
from tests.sip.user_agent.network import ANSWER, OPEN, SDP, answering, pair

FLOW = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060))
OTHER = SDP.replace(b"4000", b"6000")


def agent():
    serial = iter(range(10**6))
    return UserAgent(UserAgentConfig(classify=lambda _request, _flow: TRUNK), lambda: f"token{next(serial):06d}")


def invite(*, contact="<sip:gw@192.0.2.1>", kind="application/sdp", body=SDP, branch="z9hG4bKone", extra=()):
    headers = [
        f"Via: SIP/2.0/UDP 192.0.2.1{f';branch={branch}' if branch else ''}",
        "Max-Forwards: 70",
        "From: <sip:+491711234567@192.0.2.1>;tag=a",
        "To: <sip:601@192.0.2.2>",
        "Call-ID: one",
        "CSeq: 1 INVITE",
        *([f"Contact: {contact}"] if contact else []),
        *extra,
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(["INVITE sip:601@192.0.2.2 SIP/2.0", *headers, "", ""]).encode() + body


def taken(octets):
    """The engine, the one final answer or None, what the application got."""
    made = agent()
    made.receive(octets, FLOW, 0.0)
    answers = [parse_datagram(data) for _, data in made.datagrams_to_send()]
    return answers[0] if answers else None, [event for event in made.events() if isinstance(event, IncomingInvite)]


# ---------------------------------------------------------------------- RFC 3261 §13.2.1: the answer before the 2xx


def late(b, *provisionals, final):
    """Bob rings with these (status, sdp), then accepts."""

    def react(event):
        if isinstance(event, IncomingInvite):
            for status, sdp in provisionals:
                b.agent.ring(event.session, b.now, status=status, sdp=sdp)
            b.agent.accept(event.session, final, b.now)

    b.react = react


def without_body(data):
    head, _, _ = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-type", b"content-length"))]
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


def with_answer(data):
    head = data.partition(b"\r\n\r\n")[0]
    return head.replace(b"Content-Length: 0", b"Content-Type: application/sdp\r\nContent-Length: %d" % len(OTHER)) + b"\r\n\r\n" + OTHER


def rewriting(node, start, change):
    """What the node sends and begins so goes out changed."""
    original = node.agent.datagrams_to_send
    node.agent.datagrams_to_send = lambda: [(flow, change(data) if data.startswith(start) else data) for flow, data in original()]


def played(*provisionals):
    """Alice calls, Bob rings with these (status, sdp), and answers 200 without a body."""
    network, a, b = pair()
    late(b, *provisionals, final=ANSWER)
    rewriting(b, b"SIP/2.0 200", without_body)
    a.call(b)
    network.run(1.0)
    return network, a


def test_the_description_of_a_183_is_the_answer_when_the_200_has_none():
    """§13.2.1: "The UAC MUST treat the first session description it receives as the answer"."""
    network, a = played((183, OTHER))
    assert a.one(SessionAccepted).sdp == OTHER
    assert not network.sent("BYE")


def test_a_180_behind_the_183_does_not_take_its_answer_away():
    _, a = played((183, OTHER), (180, None))
    assert a.one(SessionAccepted).sdp == OTHER
    assert [event.status for event in a.of(SessionProgress)] == [183, 180]


def test_without_any_description_there_is_no_answer():
    _, a = played((180, None))
    assert a.one(SessionAccepted).sdp is None


def test_the_description_of_the_200_holds_where_it_has_one():
    network, a, b = pair()
    late(b, (183, OTHER), final=ANSWER)
    a.call(b)
    network.run(1.0)
    assert a.one(SessionAccepted).sdp == ANSWER


# ---------------------------------------------------------------------- RFC 3264 §4: the answer in the ACK of a re-INVITE


def test_a_reinvite_without_offer_is_answered_in_its_ack():
    network, a, b = pair()
    answering(b)
    a.call(b)
    network.run(1.0)
    a.react = lambda event: a.agent.accept_reinvite(event.session, SDP, a.now) if type(event).__name__ == "ReInviteReceived" else None
    b.agent.reinvite(b.session, None, b.now)
    rewriting(b, b"ACK", with_answer)
    network.run(1.0)
    assert a.one(ReInviteConfirmed).sdp == OTHER


# ---------------------------------------------------------------------- RFC 5621: several parts


ISUP = (
    b"--b1\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--b1\r\nContent-Type: application/isup; version=itu-t92+\r\n"
    b"Content-Disposition: signal; handling=optional\r\n\r\n\x01\x02\r\n--b1--\r\n"
)


def test_an_invite_of_a_sip_i_carrier_offers_what_its_sdp_part_says():
    answer, [event] = taken(invite(kind="multipart/mixed;boundary=b1", body=ISUP))
    assert answer is None
    assert event.offer == SDP


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/mixed;boundary=b1", ISUP.replace(b"optional", b"required"), 415),
        ("multipart/mixed;boundary=b2", ISUP, 400),
        ("multipart/mixed", ISUP, 400),
        ("multipart/mixed;boundary=b1", ISUP[:-8], 400),
    ],
)
def test_a_required_part_nobody_knows_is_415_and_broken_parts_are_400(kind, body, status):
    answer, events = taken(invite(kind=kind, body=body))
    assert not events
    assert answer.status == status
    if status == 415:
        assert answer.headers.get("Accept") == "application/sdp, multipart/mixed"
    else:
        assert answer.headers.get("Warning").startswith("399 ")


# ---------------------------------------------------------------------- §8.1.1.8: Contact


@pytest.mark.parametrize("contact", [None, "*", "<tel:+491711234567>"])
def test_an_invite_without_a_sip_contact_is_400(contact):
    """ "The Contact header field MUST be present and contain exactly one SIP or SIPS URI": its BYE would go nowhere."""
    answer, events = taken(invite(contact=contact))
    assert (answer.status, events) == (400, [])
    assert "Contact" in answer.headers.get("Warning")


def test_a_caller_of_rfc_2543_may_leave_it_out():
    """RFC 4475 §3.4.1; known by a branch without the cookie."""
    answer, events = taken(invite(contact=None, branch=""))
    assert (answer, len(events)) == (None, 1)


# ---------------------------------------------------------------------- limits


TOO_LONG = f"X-Token: {'y' * DEFAULT_LIMITS.line_octets}"


@pytest.mark.parametrize("extra", [[TOO_LONG], ["X: y"] * (DEFAULT_LIMITS.header_count + 1), [f"X{i}: {'y' * 4000}" for i in range(9)]])
def test_a_head_over_the_limits_is_answered_513_with_the_reason(extra):
    """It was dropped in silence, and its sender tried for 32 s."""
    answer, events = taken(invite(extra=extra))
    assert (answer.status, events) == (513, [])
    assert answer.call_id == "one"
    assert answer.to_tag
    assert "too" in answer.headers.get("Warning")


def test_what_is_over_the_limit_is_not_sent_back():
    """The mandatory headers are echoed as they came, those that are too long are none."""
    answer, events = taken(invite().replace(b"Call-ID: one", b"Call-ID: " + b"y" * DEFAULT_LIMITS.line_octets))
    assert (answer, events) == (None, [])


def test_an_ack_over_the_limits_gets_no_answer():
    """§17: an ACK is never answered."""
    answer, _ = taken(invite(extra=[TOO_LONG]).replace(b"INVITE", b"ACK"))
    assert answer is None


def test_on_a_stream_the_answer_is_known_before_it_is_closed():
    octets = invite(extra=[f"X{i}: {'y' * 4000}" for i in range(9)])
    [error] = StreamParser().feed(octets.partition(b"\r\n\r\n")[0])
    assert (error.fatal, error.status_hint, error.method) == (True, 513, "INVITE")
    assert error.partial is not None
    assert error.partial.get("Call-ID") == "one"


def test_requests_stay_requests():
    """What the tests above send is otherwise right."""
    assert isinstance(parse_datagram(invite()), Request)
    assert OPEN.agent_name


# ---------------------------------------------------------------------- §14.1: 491


@pytest.mark.parametrize("times", [1, 2])
def test_an_invite_answered_491_is_tried_again_after_two_to_four_seconds(times):
    """ "T is set to a randomly chosen value between 2.1 and 4 seconds" for the owner of the Call-ID."""
    network, a, b = pair()
    left = iter([491] * times)

    def react(event):
        if isinstance(event, IncomingInvite):
            status = next(left, None)
            if status is None:
                b.agent.accept(event.session, ANSWER, b.now)
            else:
                b.agent.reject(event.session, status, b.now)

    b.react = react
    a.call(b)
    network.run(10.0)
    assert a.one(SessionAccepted).sdp == ANSWER
    invites = network.sent("INVITE")
    assert [parse_datagram(data).cseq.number for _, data in invites] == list(range(1, times + 2))
    for (before, _), (after, _) in pairwise(invites):
        assert 2.1 <= after - before <= 4.1


def test_a_far_end_that_is_always_busy_with_itself_is_believed_at_last():
    network, a, b = pair()
    b.react = lambda event: b.agent.reject(event.session, 491, b.now) if isinstance(event, IncomingInvite) else None
    a.call(b)
    network.run(20.0)
    assert a.one(SessionFailed).status == 491
    assert len(network.sent("INVITE")) == 3


def test_who_hangs_up_between_two_tries_is_not_called_again():
    network, a, b = pair()
    b.react = lambda event: b.agent.reject(event.session, 491, b.now) if isinstance(event, IncomingInvite) else None
    a.call(b)
    network.run(1.0)
    a.agent.cancel_or_bye("call", a.now)
    network.run(10.0)
    assert [event.by for event in a.endings] == ["local"]
    assert len(network.sent("INVITE")) == 1
