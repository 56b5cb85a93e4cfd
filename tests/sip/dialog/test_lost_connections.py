"""A peer that is no phone of ours and whose connection is gone: its dialog goes on where the dialog says, over a new connection.

RFC 3261 §12.2.1.1 (the route set, else the remote target), §18.1.1; that requests go back over the peer's own connection is RFC 5923's
shortcut, which ends with it. The exchange's engine alone; the test is the peer, message by message.
"""

import itertools

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.dialog import uas_dialog
from sip.events import IncomingInvite, InfoAnswered, ReInviteAnswered, SessionEnded
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.message import Request
from sip.parser import parse_datagram
from sip.registrar import Registrar
from sip.uri import Uri
from sip.user_agent import UserAgent

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
OURS = ("192.0.2.2", 5060)
CONTACT = "<sip:gw@192.0.2.1:5070;transport=tcp>"


def connection(port, host="192.0.2.1", transport="tcp"):
    return Flow(transport, OURS, (host, port))


OLD, LISTENING = connection(40000), connection(5070)


class House:
    """Our engine with one call in, answered and acknowledged."""

    def __init__(self, contact=CONTACT, routes=(), flow=OLD):
        serial = itertools.count()
        self.agent = UserAgent(
            UserAgentConfig(classify=lambda *_: TRUNK, registrar=Registrar(lambda uri, _who: f"{uri.user}@house")),
            lambda: f"token{next(serial):06d}",
        )
        self.now = 0.0
        self.let_in = []
        self.agent.let_in = self.let_in.append
        self.fields = [("From", "<sip:+49301@carrier.example>;tag=f"), ("Call-ID", "in")]
        self.contact = contact
        more = [("Contact", contact), ("Content-Type", "application/sdp"), *(("Record-Route", route) for route in routes)]
        self.receive("INVITE", 1, flow, more, SDP, to="<sip:601@house>")
        [event] = self.of(IncomingInvite)
        self.session = event.session
        self.agent.accept(self.session, SDP, self.now)
        self.to = next(str(ok.to) for _, ok in self.sent())
        self.receive("ACK", 1, flow)
        self.of(object)

    def receive(self, method, number, flow, more=(), body=b"", to=None):
        via = ("Via", f"SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bK{method}{number}")
        fields = [via, *self.fields, ("To", to or self.to), ("CSeq", f"{number} {method}"), *more]
        self.agent.receive(Request.build(method, Uri.parse("sip:601@house"), fields, body).to_bytes(), flow, self.now)

    def answer(self, request, flow, status=200):
        headers = [("Contact", self.contact)] if request.method == "INVITE" else []
        body = SDP if request.method == "INVITE" and status < 300 else b""
        answer = request.response(status, headers=headers, body=body, content_type="application/sdp" if body else None)
        self.agent.receive(answer.to_bytes(), flow, self.now)

    def lose(self, flow=OLD):
        self.agent.transport_failed(flow, self.now)

    def hang_up(self):
        self.agent.cancel_or_bye(self.session, self.now)
        return self.sent()

    def sent(self):
        return [(flow, parse_datagram(data)) for flow, data in self.agent.datagrams_to_send()]

    def of(self, kind):
        return [event for event in self.agent.events() if isinstance(event, kind)]


def ways(sent):
    return [(flow.transport, flow.remote, message.method) for flow, message in sent]


def test_while_the_connection_is_up_requests_go_back_over_it():
    """RFC 5923 §8."""
    assert ways(House().hang_up()) == [("tcp", OLD.remote, "BYE")]


def test_when_it_is_gone_they_go_to_the_remote_target():
    house = House()
    house.lose()
    [(flow, bye)] = house.hang_up()
    assert (flow, bye.method, str(bye.uri)) == (LISTENING, "BYE", CONTACT.strip("<>"))
    assert bye.top_via.transport == "TCP"


def test_re_invite_its_ack_and_info_go_there_too():
    house = House()
    house.lose()
    house.agent.info(house.session, "application/dtmf-relay", b"Signal=1\r\n", house.now)
    [(flow, info)] = house.sent()
    house.answer(info, flow)
    house.agent.reinvite(house.session, SDP, house.now)
    [(flow, reinvite)] = house.sent()
    house.answer(reinvite, flow)
    [(_, ack)] = acked = house.sent()
    assert [info.method, reinvite.method, ack.method] == ["INFO", "INVITE", "ACK"]
    assert ways(acked) == [("tcp", LISTENING.remote, "ACK")]
    assert flow == LISTENING


@pytest.mark.parametrize(
    ("contact", "way"),
    [
        ("<sip:gw@192.0.2.1:5071>", ("udp", ("192.0.2.1", 5071))),
        ("<sip:gw@192.0.2.1;transport=tcp>", ("tcp", ("192.0.2.1", 5060))),
        ("<sip:gw@192.0.2.9:5070;transport=tcp>", ("tcp", ("192.0.2.9", 5070))),
        ("<sip:gw@sbc.example;transport=tcp>", ("tcp", ("sbc.example", 5060))),
    ],
)
def test_the_target_says_transport_host_and_port(contact, way):
    """RFC 3263 §4."""
    house = House(contact)
    house.lose()
    [(flow, _)] = house.hang_up()
    assert (flow.transport, flow.remote) == way
    assert flow.said is (way[1][0] != "192.0.2.1")  # another host is asked about before anything is sent there


def test_with_a_route_set_they_go_to_its_first():
    """§12.2.1.1: nothing changes by it: a connection to the proxy is opened when there is none."""
    house = House(routes=["<sip:192.0.2.50:5060;transport=tcp;lr>"], flow=connection(41000, "192.0.2.50"))
    house.lose(connection(41000, "192.0.2.50"))
    [(flow, bye)] = house.hang_up()
    assert flow.remote == ("192.0.2.50", 5060)
    assert str(bye.uri) == CONTACT.strip("<>")


def test_another_connection_that_is_lost_changes_nothing():
    house = House()
    house.lose(connection(40001))
    assert ways(house.hang_up()) == [("tcp", OLD.remote, "BYE")]


def test_a_bye_that_the_connection_fails_is_said_once_more_where_the_dialog_says():
    house = House()
    [(_, first)] = house.hang_up()
    assert [event.by for event in house.of(SessionEnded)] == ["local"]
    house.lose()
    [(flow, again)] = house.sent()
    assert (flow, again.method) == (LISTENING, "BYE")
    assert again.cseq.number > first.cseq.number
    assert house.agent.is_alive(house.session)
    house.answer(again, flow)
    assert not house.agent.is_alive(house.session)


def test_it_is_said_once_more_and_then_has_failed():
    house = House()
    house.hang_up()
    house.lose()
    house.sent()
    house.lose(LISTENING)
    assert house.sent() == []
    assert not house.agent.is_alive(house.session)
    assert house.agent._on_connection == {}


def test_a_change_and_a_key_are_said_once_more_too():
    house = House()
    house.agent.reinvite(house.session, SDP, house.now)
    house.agent.info(house.session, "application/dtmf-relay", b"Signal=1\r\n", house.now)
    house.sent()
    house.lose()
    again = house.sent()
    assert ways(again) == [("tcp", LISTENING.remote, "INVITE"), ("tcp", LISTENING.remote, "INFO")]
    for flow, request in again:
        house.answer(request, flow)
    assert [message.method for _, message in house.sent()] == ["ACK"]
    assert [event.status for event in house.of(ReInviteAnswered | InfoAnswered)] == [200, 200]


def test_a_change_that_fails_there_too_is_no_answer_and_ends_the_session():
    """§8.1.3.1, §12.2.1.2: as if nobody had answered."""
    house = House()
    house.agent.reinvite(house.session, SDP, house.now)
    house.sent()
    house.lose()
    house.sent()
    house.lose(LISTENING)
    assert [event.by for event in house.of(SessionEnded)] == ["timeout"]


def test_a_peer_that_speaks_over_a_new_connection_is_answered_and_asked_there():
    house = House()
    house.lose()
    house.receive("OPTIONS", 2, connection(40001))
    assert house.let_in[-1] == connection(40001)  # it is no stranger's
    house.sent()
    assert ways(house.hang_up()) == [("tcp", ("192.0.2.1", 40001), "BYE")]


def test_and_when_that_one_is_gone_it_is_reached_at_its_target_again():
    house = House()
    house.lose()
    house.receive("OPTIONS", 2, connection(40001))
    house.sent()
    house.lose(connection(40001))
    assert ways(house.hang_up()) == [("tcp", LISTENING.remote, "BYE")]


def test_where_we_have_called_somebody_listens():
    """The carrier closes a connection that we have opened: it is opened again, whatever the Contact of the 200 says."""
    house = House()
    there = Flow("tcp", OURS, ("192.0.2.77", 5060), said=True)
    whom = NameAddr(Uri.parse("sip:+49302@192.0.2.77"))
    house.agent.invite(session="out", target=whom.uri, flow=there, from_=whom, to=whom, sdp=SDP, now=0.0)
    [(_, invite)] = house.sent()
    headers = [("Contact", "<sip:b@192.0.2.78:5080>")]
    house.agent.receive(
        invite.response(200, to_tag="t", headers=headers, body=SDP, content_type="application/sdp").to_bytes(), there, house.now
    )
    house.sent()
    house.lose(Flow("tcp", OURS, ("192.0.2.77", 5060)))
    house.agent.cancel_or_bye("out", house.now)
    [(flow, _)] = house.sent()
    assert flow == there
    house.lose(flow)  # nobody listens there any more
    assert ways(house.sent()) == [("udp", ("192.0.2.78", 5080), "BYE")]


def test_what_goes_by_a_connection_is_said_and_forgotten_with_it():
    house = House()
    assert house.agent.connections_in_use() == {OLD.remote}
    house.lose()
    [(flow, bye)] = house.hang_up()
    house.answer(bye, flow)
    assert house.agent.connections_in_use() == set()
    assert house.agent._on_connection == {}


def test_a_dialog_over_udp_has_no_connection_to_lose():
    flow = connection(5070, transport="udp")
    via = ("Via", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKu")
    fields = [
        via,
        ("From", "<sip:a@x>;tag=f"),
        ("To", "<sip:b@x>"),
        ("Call-ID", "u"),
        ("CSeq", "1 INVITE"),
        ("Contact", "<sip:a@192.0.2.1:5099>"),
    ]
    dialog = uas_dialog(Request.build("INVITE", Uri.parse("sip:b@x"), fields), "t", flow)
    assert not dialog.lose_connection(flow)
    assert dialog.send_flow.remote == ("192.0.2.1", 5099)
