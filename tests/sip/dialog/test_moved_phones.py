"""A phone whose connection was lost in mid-call and that registers over another: its call goes on there (RFC 5626 §5.3, RFC 5923 §8).

The exchange's engine alone; the test is the phone, message by message.
"""

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite, InfoAnswered, ReInviteAnswered, SessionAccepted, SessionEnded
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.message import Request
from sip.parser import parse_datagram
from sip.registrar import Registrar
from sip.uri import Uri
from sip.user_agent import UserAgent

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
OURS = ("192.0.2.2", 5060)
AOR = "anna@house"


def connection(port, host="192.0.2.1"):
    return Flow("tcp", OURS, (host, port))


class House:
    def __init__(self):
        serial = iter(range(10**6))
        self.registrar = Registrar(lambda uri, _who: f"{uri.user}@house")
        self.agent = UserAgent(UserAgentConfig(registrar=self.registrar, classify=lambda *_: TRUNK), lambda: f"token{next(serial):06d}")
        self.now = 0.0
        self.cseq = 0

    def register(self, flow, contact="<sip:anna@192.0.2.1:5061;transport=tcp>", call_id="reg"):
        self.cseq += 1
        fields = [
            ("Via", f"SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKr{self.cseq}"),
            ("From", "<sip:anna@house>;tag=f"),
            ("To", "<sip:anna@house>"),
            ("Call-ID", call_id),
            ("CSeq", f"{self.cseq} REGISTER"),
            ("Contact", contact),
        ]
        self.receive(Request.build("REGISTER", Uri.parse("sip:house"), fields), flow)
        return self.sent()

    def receive(self, message, flow):
        self.agent.receive(message.to_bytes(), flow, self.now)

    def sent(self):
        return [(flow, parse_datagram(data)) for flow, data in self.agent.datagrams_to_send()]

    def called(self):
        """A call to the registered phone, answered."""
        [binding] = self.registrar.to_ring(AOR, self.now)
        whom = NameAddr(Uri.parse("sip:anna@house"))
        self.agent.invite(
            session="call", target=binding.contact, flow=binding.flow, from_=whom, to=whom, sdp=SDP, now=self.now, account=AOR
        )  # fmt: skip
        [(flow, invite)] = self.sent()
        contact = ("Contact", "<sip:anna@192.0.2.1:5061;transport=tcp>")
        self.receive(invite.response(200, to_tag="p", headers=[contact], body=SDP, content_type="application/sdp"), flow)
        self.sent()
        return invite

    def of(self, kind):
        return [event for event in self.agent.events() if isinstance(event, kind)]

    def wait(self, seconds):
        until = self.now + seconds
        while (due := self.agent.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.agent.handle_timeout(self.now)
        self.now = until


@pytest.fixture
def house():
    house = House()
    house.register(connection(40000))
    house.called()
    assert len(house.of(SessionAccepted)) == 1
    house.agent.transport_failed(connection(40000), house.now)
    return house


BOOTED = {
    "the same contact": "<sip:anna@192.0.2.1:5061;transport=tcp>",
    "another port of the same host": "<sip:anna@192.0.2.1:5099;transport=tcp>",
}


@pytest.mark.parametrize("contact", BOOTED.values(), ids=BOOTED)
def test_what_is_sent_within_the_call_goes_over_the_new_connection(house, contact):
    """INFO, re-INVITE with its ACK, BYE; the Request-URI stays what the dialog says."""
    house.register(connection(40001), contact)
    house.agent.info("call", "application/dtmf-relay", b"Signal=1\r\n", house.now)
    [(flow, info)] = house.sent()
    assert (flow, info.method) == (connection(40001), "INFO")
    house.receive(info.response(200), flow)
    house.agent.reinvite("call", SDP, house.now)
    [(flow, reinvite)] = house.sent()
    assert (flow, reinvite.method) == (connection(40001), "INVITE")
    house.receive(reinvite.response(200, headers=[("Contact", contact)], body=SDP, content_type="application/sdp"), flow)
    [(flow, ack)] = house.sent()
    assert (flow, ack.method) == (connection(40001), "ACK")
    house.agent.cancel_or_bye("call", house.now)
    [(flow, bye)] = house.sent()
    assert (flow, bye.method) == (connection(40001), "BYE")


def test_a_bye_that_finds_the_connection_gone_is_said_again_when_the_phone_is_back(house):
    house.agent.cancel_or_bye("call", house.now)
    house.sent()
    assert [event.by for event in house.of(SessionEnded)] == ["local"]  # who called waits for nobody
    house.agent.transport_failed(Flow("tcp", OURS, ("192.0.2.1", 40000)), house.now)
    house.wait(5.0)
    sent = [(flow, message.method) for flow, message in house.register(connection(40001)) if isinstance(message, Request)]
    assert sent == [(connection(40001), "BYE")]


def test_a_phone_that_never_comes_back_is_waited_for_as_long_as_for_an_answer(house):
    house.agent.cancel_or_bye("call", house.now)
    house.agent.transport_failed(connection(40000), house.now)
    house.wait(31.0)
    assert house.agent.is_alive("call")
    house.wait(2.0)
    assert not house.agent.is_alive("call")
    assert house.agent._of_account == {}


def test_a_change_that_finds_the_connection_gone_ends_no_call(house):
    """§12.2.1.2 ends a dialog for 481 and 408; a transport error is as 503 (§8.1.3.1)."""
    house.agent.reinvite("call", SDP, house.now)
    house.agent.transport_failed(connection(40000), house.now)
    assert [event.status for event in house.of(ReInviteAnswered)] == [503]
    assert house.agent.is_alive("call")
    house.agent.info("call", "application/dtmf-relay", b"Signal=1\r\n", house.now)
    house.agent.transport_failed(connection(40000), house.now)
    assert [event.status for event in house.of(InfoAnswered)] == [408]
    assert house.agent.is_alive("call")


def test_a_request_of_the_phone_over_the_new_connection_says_where_it_is(house):
    """It may go on before it has registered again."""
    dialog = house.agent._sessions["call"].dialog
    fields = [
        ("Via", "SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKinfo"),
        ("From", dialog.remote),
        ("To", dialog.local),
        ("Call-ID", dialog.call_id),
        ("CSeq", "7 OPTIONS"),
    ]
    house.receive(Request.build("OPTIONS", Uri.parse("sip:fernamt@192.0.2.2"), fields), connection(40001))
    house.sent()
    house.agent.cancel_or_bye("call", house.now)
    assert [flow for flow, _ in house.sent()] == [connection(40001)]


def test_another_phone_of_the_same_person_takes_no_call_over(house):
    house.register(connection(40001, "192.0.2.77"), "<sip:anna@192.0.2.77:5061;transport=tcp>", "other")
    house.agent.cancel_or_bye("call", house.now)
    [(flow, _)] = house.sent()
    assert flow.remote != ("192.0.2.77", 40001)


def test_a_phone_behind_a_nat_that_gave_it_another_port_is_told_there():
    """UDP: the mapping of an idle phone is another one after a while; the registration says so."""
    house = House()
    nat = [Flow("udp", OURS, ("198.51.100.1", port)) for port in (40000, 40001)]
    house.register(nat[0], "<sip:anna@10.0.0.9:5060>")
    house.called()
    house.register(nat[1], "<sip:anna@10.0.0.9:5060>")
    house.agent.cancel_or_bye("call", house.now)
    [(flow, bye)] = house.sent()
    assert (bye.method, flow) == ("BYE", nat[1])


def test_a_call_that_the_phone_placed_goes_on_over_the_new_connection_too():
    house = House()
    house.register(connection(40000))
    fields = [
        ("Via", "SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKcall"),
        ("From", "<sip:anna@house>;tag=f"),
        ("To", "<sip:601@house>"),
        ("Call-ID", "out"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:anna@192.0.2.1:5061;transport=tcp>"),
        ("Content-Type", "application/sdp"),
    ]
    house.receive(Request.build("INVITE", Uri.parse("sip:601@house"), fields, SDP), connection(40000))
    [event] = house.of(IncomingInvite)
    house.agent.enter_session(house.agent._sessions[event.session], AOR)
    house.agent.accept(event.session, SDP, house.now)
    [(_, ok)] = house.sent()
    ack = [("Via", "SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKack"), *fields[1:2], ("To", str(ok.to)), ("Call-ID", "out"), ("CSeq", "1 ACK")]
    house.receive(Request.build("ACK", Uri.parse("sip:601@house"), ack), connection(40000))
    house.agent.transport_failed(connection(40000), house.now)
    house.register(connection(40001))
    house.agent.cancel_or_bye(event.session, house.now)
    assert [(flow, message.method) for flow, message in house.sent()] == [(connection(40001), "BYE")]
