"""Sessions that live under encryption alone: what comes in plain is refused, nothing of ours goes out in plain (house; RFC 3261 §26)."""

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite
from sip.flow import Flow
from sip.message import Request
from sip.parser import parse_datagram
from sip.uri import Uri
from sip.user_agent import UserAgent

from .network import ANSWER
from .test_uas import request

TLS = Flow("tls", ("192.0.2.2", 5061), ("192.0.2.1", 40001), id="one")
UDP = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060))
PROXIED = Flow("ws", ("127.0.0.1", 8088), ("127.0.0.1", 40002), id="two")
PAGE = Flow("ws", ("192.0.2.2", 8088), ("192.0.2.1", 40003), id="three")


def house():
    serial = iter(range(10**6))
    config = UserAgentConfig(classify=lambda _r, _f: TRUNK, must_be_encrypted=lambda _r, _f, _a, _c: True)
    return UserAgent(config, lambda: f"token{next(serial):06d}")


def over_tls(message):
    """The Via of whoever has opened a connection; its Contact asks for UDP in so many words."""
    return Request.build(
        message.method,
        message.uri,
        [
            (
                name,
                f"{value};transport=udp".replace(">;transport=udp", ";transport=udp>")
                if name == "Contact"
                else value.replace("UDP", "TLS"),
            )
            for name, value in message.headers
            if name not in {"Content-Length", "Content-Type"}
        ],
        message.body,
        "application/sdp" if message.body else None,
    )


def say(agent, message, flow, now=0.0):
    """What we send for it: each with the transport it goes over."""
    agent.receive(message.to_bytes(), flow, now)
    return sent(agent)


def sent(agent):
    return [(flow.transport, parse_datagram(octets)) for flow, octets in agent.datagrams_to_send()]


def statuses(found):
    return [message.status for _, message in found if not isinstance(message, Request)]


def established():
    """A sealed session whose far end opened the connection: the agent, the session's id, our tag."""
    agent = house()
    say(agent, over_tls(request()), TLS)
    [invited] = [one for one in agent.events() if isinstance(one, IncomingInvite)]
    agent.accept(invited.session, ANSWER, 0.0)
    [(_, ok)] = [one for one in sent(agent) if one[1].status == 200]
    say(agent, over_tls(request("ACK", branch="ack", to=f"<sip:bob@192.0.2.2>;tag={ok.to_tag}")), TLS)
    return agent, invited.session, ok.to_tag


@pytest.mark.parametrize("flow", [TLS, PROXIED], ids=["tls", "a proxy of this machine"])
def test_who_must_speak_under_encryption_is_heard_over_what_is_encrypted(flow):
    agent = house()
    say(agent, request(), flow)
    assert [one.flow.transport for one in agent.events() if isinstance(one, IncomingInvite)] == [flow.transport]


@pytest.mark.parametrize("flow", [UDP, PAGE], ids=["udp", "plain ws"])
def test_who_must_speak_under_encryption_is_told_so_and_makes_no_session(flow):
    agent = house()
    [(transport, answered)] = say(agent, request(), flow)
    assert (transport, answered.status) == (flow.transport, 403)
    assert answered.headers.get("Warning") == '399 Fernamt "SIP over TLS is required here"'
    assert agent.counters["refused_in_plain"] == 1
    assert not agent.live_sessions


def test_what_belongs_to_its_dialog_is_refused_in_plain_and_changes_nothing():
    agent, session, tag = established()
    for number, method in enumerate(("INVITE", "BYE", "INFO"), 2):
        found = say(agent, request(method, branch=method, cseq=number, to=f"<sip:bob@192.0.2.2>;tag={tag}"), UDP)
        assert statuses(found) == [403]
    assert agent.is_alive(session)
    found = say(agent, over_tls(request("BYE", branch="over", cseq=9, to=f"<sip:bob@192.0.2.2>;tag={tag}")), TLS)
    assert statuses(found) == [200]
    assert not agent.is_alive(session)


def test_a_cancel_in_plain_takes_nothing_back_and_an_ack_in_plain_confirms_nothing():
    agent = house()
    say(agent, over_tls(request()), TLS)
    [invited] = [one for one in agent.events() if isinstance(one, IncomingInvite)]
    assert statuses(say(agent, over_tls(request("CANCEL")), UDP)) == [403]
    assert agent.is_alive(invited.session)
    agent.accept(invited.session, ANSWER, 0.0)
    [(_, ok)] = [one for one in sent(agent) if one[1].status == 200]
    agent.receive(request("ACK", branch="ack", to=f"<sip:bob@192.0.2.2>;tag={ok.to_tag}").to_bytes(), UDP, 0.0)
    agent.handle_timeout(1.0)
    assert statuses(sent(agent)) == [200]  # said again, since nobody has confirmed it
    assert agent.counters["refused_in_plain"] == 2


def test_when_its_connection_is_gone_nothing_goes_where_a_contact_asks_for_udp():
    agent, session, _ = established()
    agent.transport_failed(TLS, 1.0)
    agent.cancel_or_bye(session, 1.0)
    assert {transport for transport, _ in sent(agent)} == {"tls"}


@pytest.mark.parametrize("how", ["a crash", "a restart"])
def test_the_seal_outlives_the_process(how):
    agent, session, _ = established()
    noted = agent.keep_living(session) if how == "a restart" else agent.kept(session)
    again = house()
    if how == "a restart":
        again.resume(session, noted, 1.0, credentials=None)
    else:
        again.restore(session, noted, 1.0, credentials=None, answered=True)
    again.cancel_or_bye(session, 1.0)
    assert {transport for transport, _ in sent(again)} == {"tls"}


def test_a_call_that_we_make_under_a_seal_stays_under_it_whatever_the_answer_says():
    agent = house()
    flow = Flow("tls", ("192.0.2.2", 5061), ("carrier.example.com", 5061), said=True, sealed=True)
    from_, to = (request().from_, request().to)
    agent.invite(
        session="out", target=Uri("sip", "1", "carrier.example.com"), flow=flow, from_=from_.without_params(), to=to, sdp=ANSWER, now=0.0
    )
    [(_, invite)] = sent(agent)
    ok = invite.response(
        200,
        to_tag="theirs",
        headers=[
            ("Contact", "<sip:1@198.51.100.7:5060;transport=udp>"),
            ("Record-Route", "<sip:198.51.100.8;transport=tcp;lr>"),
        ],
        body=ANSWER,
        content_type="application/sdp",
    )
    agent.receive(ok.to_bytes(), flow, 1.0)
    agent.cancel_or_bye("out", 2.0)
    found = sent(agent)
    assert [message.method for _, message in found] == ["ACK", "BYE"]
    assert {transport for transport, _ in found} == {"tls"}
