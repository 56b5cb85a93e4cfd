"""After a restart every connection is dead: a phone of ours is reached over its next one, any other peer where its dialog says.

The exchange's engine alone; the test is the far end, message by message (RFC 5626 §5.3, RFC 5923 §8, RFC 3261 §12.2.1.1).
"""

import itertools

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite, InfoAnswered, ReInviteAnswered, SessionAccepted, SessionConfirmed, SessionEnded, SessionFailed
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
CONTACT = "<sip:anna@192.0.2.1:5061;transport=tcp>"
GENERATION = itertools.count()


def connection(port, host="192.0.2.1"):
    return Flow("tcp", OURS, (host, port), id=f"flow{port}")


OLD, NEW = connection(40000), connection(40001)


class House:
    """The exchange; `restart` is another process with the bindings and notes of the last."""

    def __init__(self):
        self.now, self.cseq = 0.0, 0
        self.begin()

    def begin(self):
        serial, generation = itertools.count(), next(GENERATION)
        self.registrar = Registrar(lambda uri, _who: f"{uri.user}@house")
        config = UserAgentConfig(registrar=self.registrar, classify=lambda *_: TRUNK)
        self.agent = UserAgent(config, lambda: f"g{generation}token{next(serial):06d}")

    def restart(self):
        notes = {one: self.agent.keep_living(one) for one in self.agent._sessions}
        bindings = self.registrar.lookup(AOR, self.now)
        self.begin()
        self.registrar.restore(bindings, self.now)
        for session, note in notes.items():
            self.agent.resume(session, note, self.now)

    def receive(self, message, flow):
        self.agent.receive(message.to_bytes(), flow, self.now)

    def sent(self):
        return [(flow.remote[1], parse_datagram(data)) for flow, data in self.agent.datagrams_to_send()]

    def of(self, kind):
        return [event for event in self.agent.events() if isinstance(event, kind)]

    def wait(self, seconds):
        until = self.now + seconds
        while (due := self.agent.next_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.agent.handle_timeout(self.now)
        self.now = until

    def register(self, flow, contact=CONTACT):
        self.cseq += 1
        fields = [
            ("Via", f"SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bKr{self.cseq}"),
            ("From", "<sip:anna@house>;tag=f"),
            ("To", "<sip:anna@house>"),
            ("Call-ID", "reg"),
            ("CSeq", f"{self.cseq} REGISTER"),
            ("Contact", contact),
        ]
        self.receive(Request.build("REGISTER", Uri.parse("sip:house"), fields), flow)
        return [(port, message) for port, message in self.sent() if isinstance(message, Request)]

    # --- the phone is called

    def ringing(self):
        self.register(OLD)
        [binding] = self.registrar.to_ring(AOR, self.now)
        whom = NameAddr(Uri.parse("sip:anna@house"))
        self.agent.invite(
            session="call", target=binding.contact, flow=binding.flow, from_=whom, to=whom, sdp=SDP, now=self.now, account=AOR
        )  # fmt: skip
        [(_, self.invite)] = self.sent()
        self.receive(self.invite.response(180, to_tag="p", headers=[("Contact", CONTACT)]), OLD)
        self.of(object)
        return self

    def ok(self):
        return self.invite.response(200, to_tag="p", headers=[("Contact", CONTACT)], body=SDP, content_type="application/sdp")

    def talking(self):
        self.ringing().receive(self.ok(), OLD)
        self.sent()
        self.of(object)
        return self

    # --- the phone calls

    def calling(self, account=AOR):
        self.register(OLD)
        self.fields = [("From", "<sip:anna@house>;tag=f"), ("Call-ID", "out")]
        self.say("INVITE", 1, OLD, [("Contact", CONTACT), ("Content-Type", "application/sdp")], SDP)
        [event] = self.of(IncomingInvite)
        self.session = event.session
        self.agent.enter_session(self.agent._sessions[self.session], account)
        self.agent.ring(self.session, self.now)
        self.to = next(str(message.to) for _, message in self.sent())
        return self

    def say(self, method, number, flow, more=(), body=b"", branch="", to=None):
        via = ("Via", f"SIP/2.0/TCP 192.0.2.1:5061;branch=z9hG4bK{branch or method}{number}")
        to = to or getattr(self, "to", "<sip:601@house>")
        fields = [via, *self.fields, ("To", to), ("CSeq", f"{number} {method}"), *more]
        self.receive(Request.build(method, Uri.parse("sip:601@house"), fields, body), flow)


def ways(sent):
    return [(port, message.method if isinstance(message, Request) else message.status) for port, message in sent]


OTHER_PORT = CONTACT.replace("5061", "5099")


@pytest.mark.parametrize("contact", [CONTACT, OTHER_PORT])
def test_what_is_sent_within_a_call_goes_over_the_next_connection(contact):
    house = House().talking()
    house.restart()
    assert house.sent() == []
    house.register(NEW, contact)
    house.agent.info("call", "application/dtmf-relay", b"Signal=1\r\n", house.now)
    house.agent.reinvite("call", SDP, house.now)
    house.agent.cancel_or_bye("call", house.now)
    assert ways(house.sent()) == [(40001, "INFO"), (40001, "INVITE"), (40001, "BYE")]


def test_nobody_is_rung_over_a_connection_that_died_with_the_process():
    house = House().talking()
    house.restart()
    assert house.registrar.to_ring(AOR, house.now) == []
    assert house.agent.may_come_back(AOR)
    house.register(NEW)
    assert [binding.flow for binding in house.registrar.to_ring(AOR, house.now)] == [NEW]


def test_a_bye_waits_for_the_phone_and_a_change_ends_no_call():
    house = House().talking()
    house.restart()
    house.agent.reinvite("call", SDP, house.now)
    [(flow, _)] = house.agent.datagrams_to_send()
    house.agent.transport_failed(flow, house.now)
    assert [event.status for event in house.of(ReInviteAnswered)] == [503]
    house.agent.info("call", "application/dtmf-relay", b"Signal=1\r\n", house.now)
    house.agent.transport_failed(flow, house.now)
    assert [event.status for event in house.of(InfoAnswered)] == [408]
    house.agent.cancel_or_bye("call", house.now)
    house.sent()
    house.agent.transport_failed(flow, house.now)
    house.wait(5)
    house.restart()  # and waits on
    assert ways(house.register(NEW)) == [(40001, "BYE")]


def test_a_request_of_the_phone_says_where_it_is_before_it_has_registered():
    house = House().talking()
    house.restart()
    dialog = house.agent._sessions["call"].dialog
    house.fields = [("From", dialog.remote), ("Call-ID", dialog.call_id)]
    house.say("OPTIONS", 7, NEW, to=dialog.local)
    house.sent()
    house.agent.cancel_or_bye("call", house.now)
    assert ways(house.sent()) == [(40001, "BYE")]


def test_a_phone_that_rings_and_comes_back_is_cancelled_there():
    house = House().ringing()
    house.restart()
    house.register(NEW)
    house.agent.cancel_or_bye("call", house.now)
    [(port, cancel)] = house.sent()
    assert (port, cancel.method) == (40001, "CANCEL")
    house.receive(cancel.response(200), NEW)
    house.receive(house.invite.response(487, to_tag="p"), NEW)
    assert ways(house.sent()) == [(40001, "ACK")]
    assert [event.status for event in house.of(SessionEnded)] == [487]


def test_a_phone_that_is_taken_answers_over_its_next_connection_and_is_acknowledged_there():
    house = House().ringing()
    house.restart()
    house.receive(house.ok(), NEW)
    assert ways(house.sent()) == [(40001, "ACK")]
    assert len(house.of(SessionAccepted)) == 1
    house.receive(house.ok(), NEW)
    assert ways(house.sent()) == [(40001, "ACK")]
    house.agent.cancel_or_bye("call", house.now)
    assert ways(house.sent()) == [(40001, "BYE")]


def test_an_invite_of_which_nothing_was_heard_goes_to_the_phone_when_it_is_back():
    house = House().ringing()
    house.agent._sessions["call"].state = type(house.agent._sessions["call"].state).CALLING
    house.agent._sessions["call"].forks.clear()
    house.restart()
    assert house.sent() == []
    [(port, again)] = house.register(NEW)
    assert (port, again.to_bytes()) == (40001, house.invite.to_bytes())
    house.receive(house.invite.response(486, to_tag="p"), NEW)
    assert ways(house.sent()) == [(40001, "ACK")]
    assert [event.status for event in house.of(SessionFailed)] == [486]


@pytest.mark.parametrize("is_back", [False, True])
def test_a_phone_that_waits_for_an_answer_gets_it(is_back):
    """§18.2.2: over its next connection, else where its Via says that it listens."""
    house = House().calling()
    house.restart()
    if is_back:
        house.register(NEW)
    house.agent.accept(house.session, SDP, house.now)
    assert ways(house.sent()) == [(40001 if is_back else 5061, 200)]
    house.wait(1)
    house.register(NEW)
    house.wait(5)
    assert {port for port, message in house.sent() if not isinstance(message, Request)} >= {40001}
    house.say("ACK", 1, NEW)
    assert len(house.of(SessionConfirmed)) == 1
    house.agent.cancel_or_bye(house.session, house.now)
    assert ways(house.sent()) == [(40001, "BYE")]


def test_a_provisional_response_that_cannot_be_sent_ends_no_call():
    house = House().calling()
    house.restart()
    house.agent.ring(house.session, house.now, status=183, sdp=SDP)
    assert house.sent() == []
    house.register(NEW)
    house.agent.ring(house.session, house.now, status=183, sdp=SDP)
    assert ways(house.sent()) == [(40001, 183)]


def test_a_caller_cancels_over_its_next_connection():
    house = House().calling()
    house.restart()
    house.say("CANCEL", 1, NEW, branch="INVITE", to="<sip:601@house>")
    assert ways(house.sent()) == [(40001, 200), (40001, 487)]
    assert [event.by for event in house.of(SessionEnded)] == ["remote"]


def test_a_peer_that_is_no_phone_of_ours_is_reached_where_its_dialog_says():
    house = House().calling(account=None)
    house.agent.accept(house.session, SDP, house.now)
    house.say("ACK", 1, OLD)
    house.sent()
    house.agent._sessions[house.session].account = None
    house.restart()
    house.agent.cancel_or_bye(house.session, house.now)
    assert ways(house.sent()) == [(5061, "BYE")]


def test_a_trunk_that_we_called_is_called_again_where_it_was():
    house = House()
    whom, trunk = NameAddr(Uri.parse("sip:1@carrier.example")), Flow("tcp", OURS, ("carrier.example", 5060), said=True)
    house.agent.invite(session="call", target=whom.uri, flow=trunk, from_=whom, to=whom, sdp=SDP, now=0.0)
    [(_, house.invite)] = house.sent()
    house.receive(house.ok(), trunk)
    house.sent()
    house.restart()
    house.agent.info("call", "application/dtmf-relay", b"Signal=1\r\n", house.now)
    [(flow, _)] = house.agent.datagrams_to_send()
    assert flow == trunk
