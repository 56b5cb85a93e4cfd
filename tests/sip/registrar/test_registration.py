"""Our registration against what registrars really answer: written-out responses, in virtual time (RFC 3261 §10.2; RFC 3608; RFC 3327)."""

import pytest

from sip.config import UserAgentConfig
from sip.events import RegistrationDown, RegistrationUp
from sip.flow import Flow
from sip.parser import parse_datagram
from sip.registration import RegistrationPlan
from sip.uri import Uri
from sip.user_agent import UserAgent

FLOW = Flow("udp", ("10.0.0.9", 5060), ("192.0.2.9", 5060))


class Line:
    """Our side; the test is the registrar."""

    def __init__(self, **plan):
        serial = iter(range(10**6))
        self.agent = UserAgent(UserAgentConfig(), lambda: f"token{next(serial):06d}")
        self.now = 0.0
        fields = {"contact_user": "line-7", "expires_s": 60, "backoff_s": 30.0} | plan
        self.agent.register(
            "main", RegistrationPlan(aor=Uri.parse("sip:trunk@carrier"), registrar=Uri.parse("sip:carrier"), flow=FLOW, **fields), 0.0
        )

    def sent(self):
        """The one REGISTER that is out."""
        [(_, data)] = self.agent.datagrams_to_send()
        return parse_datagram(data)

    def answer(self, status, *headers):
        register = self.sent()
        self.agent.receive(register.response(status, to_tag="r", headers=list(headers)).to_bytes(), FLOW, self.now)
        return register

    def pass_until(self, at):
        """Let time pass; REGISTERs that become due meanwhile are left in the outbox. Returns: when the first of them was sent."""
        while (due := self.agent.next_timeout()) is not None and due <= at:
            self.now = max(self.now, due)
            self.agent.handle_timeout(self.now)
            if self.agent._outbox:
                return self.now
        self.now = at
        return None

    def said(self):
        return [event for event in self.agent.events() if isinstance(event, RegistrationUp | RegistrationDown)]


def granted(seconds):
    return ("Contact", f"<sip:line-7@10.0.0.9:5060>;expires={seconds}")


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_refresh_that_cannot_be_taken_now_takes_nothing_down_and_is_tried_when_the_registrar_says(status):
    line = Line()
    line.answer(200, granted(60))
    assert [type(one) for one in line.said()] == [RegistrationUp]
    refreshed_at = line.pass_until(60.0)
    line.answer(status, ("Retry-After", "2"))
    assert line.said() == []
    assert line.pass_until(60.0) == pytest.approx(refreshed_at + 2)
    line.answer(200, granted(60))
    assert line.said() == []  # it never was down
    assert line.pass_until(line.now + 60.0) is not None


def test_the_line_is_down_when_the_granted_time_is_over_and_not_before():
    line = Line()
    line.answer(200, granted(60))
    line.said()
    while line.pass_until(59.99) is not None:
        line.answer(503, ("Retry-After", "3"))
        assert line.said() == []
    line.pass_until(60.0)
    [down] = line.said()
    assert (type(down), down.status) == (RegistrationDown, 503)
    line.pass_until(70.0)
    line.answer(200, granted(60))
    assert [type(one) for one in line.said()] == [RegistrationUp]


def test_without_retry_after_there_is_another_attempt_before_the_end():
    line = Line(backoff_s=300.0)
    line.answer(200, granted(60))
    line.pass_until(60.0)
    line.answer(503)
    assert line.pass_until(60.0) is not None


def test_a_registrar_that_wants_us_later_is_not_asked_before():
    line = Line(backoff_s=1.0)
    line.answer(503, ("Retry-After", "40 (maintenance)"))
    assert line.said()[0].retry_in == 40
    assert line.pass_until(39.9) is None
    assert line.pass_until(40.0) is not None


def test_a_refusal_of_us_takes_the_line_down_at_once():
    line = Line()
    line.answer(200, granted(60))
    line.said()
    line.pass_until(60.0)
    line.answer(403)
    assert line.said()[0].status == 403


@pytest.mark.parametrize(
    ("contacts", "refresh_within"),
    [
        # Written anew by a NAT or the registrar: the user part is ours.
        ("<sip:old@10.0.0.9>;expires=0, <sip:other@10.0.0.8>;expires=3600, <sip:line-7@203.0.113.9:62001>;expires=10", 10),
        ("<sip:line-7@203.0.113.9:62000>;expires=0, <sip:line-7@203.0.113.9:62001>;expires=20", 20),
        # A stale one of ours makes us come sooner, never later.
        ("<sip:line-7@203.0.113.9:62000>;expires=7, <sip:line-7@203.0.113.9:62001>;expires=40", 7),
        # Where ours stands as it is, it holds.
        ("<sip:line-7@203.0.113.9:62000>;expires=7, <sip:line-7@10.0.0.9:5060>;expires=40", 40),
        # Nothing of ours: what was asked for.
        ("<sip:other@10.0.0.8>;expires=3600", 60),
    ],
)
def test_what_was_granted_is_read_at_our_own_contact(contacts, refresh_within):
    line = Line()
    line.answer(200, ("Contact", contacts))
    assert 0.7 * refresh_within <= line.pass_until(4000.0) <= refresh_within


def test_the_service_route_of_the_last_answer_holds_and_path_is_supported():
    line = Line(route=(Uri.parse("sip:proxy.example;lr"),))
    register = line.answer(200, granted(60), ("Service-Route", "<sip:orig@scscf.example;lr>, <sip:second.example;lr>"))
    assert (register.headers.get("Route"), register.headers.get("Supported")) == ("<sip:proxy.example;lr>", "path")
    assert [str(one) for one in line.agent.service_route("main")] == ["sip:orig@scscf.example;lr", "sip:second.example;lr"]
    line.pass_until(60.0)
    line.answer(200, granted(60))
    assert line.agent.service_route("main") == ()


def test_an_answer_with_a_service_route_that_cannot_be_read_is_none():
    """RFC 3261 §8.1.3: it is discarded, and every state is as it was."""
    line = Line()
    line.answer(200, granted(60), ("Service-Route", "sip:no-brackets"))
    assert line.said() == []
