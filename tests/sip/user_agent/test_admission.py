"""Floods at a user agent: whose they are decides who feels them, and strangers leave no state."""

import itertools

import pytest

from sip.classified import CHALLENGE, TRUNK, Classified
from sip.config import UserAgentConfig
from sip.digest import Authenticator
from sip.events import IncomingInvite, SessionAccepted, SessionFailed
from sip.flow import Flow
from sip.message import Request, Response
from sip.overload import OverloadPolicy
from sip.parser import parse_datagram
from sip.registrar import Binding, Registrar
from sip.share import Share
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.user_agent.network import SDP, answering, pair

SERVER = ("192.0.2.9", 5060)
TENANTS = {"192.0.2.1": "acme", "192.0.2.2": "bolt", "192.0.2.3": "core"}
SERIAL = itertools.count()


def share_of(_request, flow, authenticated_as, _classified):
    tenant = TENANTS.get(flow.remote[0]) if authenticated_as is None else "acme"
    return Share(tenant, "trunk", 1.0, 1 / len(TENANTS)) if tenant is not None else None


def classify(_request, flow):
    return TRUNK if flow.remote[0] in TENANTS else CHALLENGE


@pytest.fixture
def agent() -> UserAgent:
    serial = itertools.count()
    config = UserAgentConfig(
        classify=classify,
        share=share_of,
        authenticator=Authenticator("here", lambda *_: None, b"0123456789abcdef"),
        registrar=Registrar(lambda _uri, _who: None),
        is_emergency=lambda request: request.headers.get("Priority") == "emergency",
        overload=OverloadPolicy(invites_per_s=120.0, burst=60, strangers_per_s=20.0, strangers_burst=40),
    )
    return UserAgent(config, lambda: f"id{next(serial)}")


def sent(
    agent: UserAgent, method: str, source: str, now: float, transport: str = "udp", *, is_taken: bool = False, **fields: str
) -> list[Response]:
    """One request, and what was answered at once; a call is refused, or taken."""
    serial = next(SERIAL)
    headers = {
        "Via": f"SIP/2.0/{transport.upper()} {source}:5060;branch=z9hG4bK{serial};rport",
        "Max-Forwards": "70",
        "From": f"<sip:x@{source}>;tag={serial}",
        "To": "<sip:y@192.0.2.9>",
        "Call-ID": f"call-{serial}",
        "CSeq": f"1 {method}",
        "Contact": f"<sip:x@{source}>",
    } | fields
    body = (SDP, "application/sdp") if method == "INVITE" else (b"", None)
    request = Request.build(method, Uri("sip", "nowhere", "192.0.2.9"), list(headers.items()), *body)
    agent.receive(request.to_bytes(), Flow(transport, SERVER, (source, 5060)), now)
    for event in agent.events():
        if isinstance(event, IncomingInvite):
            if is_taken:
                agent.accept(event.session, SDP, now)
            else:
                agent.reject(event.session, 404, now)
    return [parse_datagram(data) for _, data in agent.datagrams_to_send()]


def statuses(answers: list[Response]) -> set[int]:
    return {answer.status for answer in answers}


def test_300_calls_a_second_of_one_tenant_to_nowhere_cost_another_not_one_call(agent):
    refusals = []
    for tick in range(300 * 12):
        now = tick / 300
        refusals += [answer for answer in sent(agent, "INVITE", "192.0.2.1", now) if answer.status == 503]
        agent.handle_timeout(now)
        if now >= 6 and tick % 6 == 0:  # 50 a second, of the 60 that are its part while two ask
            assert statuses(sent(agent, "INVITE", "192.0.2.2", now)) == {404}
        if now >= 9 and tick % 300 == 0:
            assert statuses(sent(agent, "INVITE", "192.0.2.3", now)) == {404}
    assert 300 * 12 - 120 * 12 - 60 <= len(refusals) <= 300 * 12 - 70 * 12
    assert refusals[-1].headers.get("Retry-After") == "5"
    warning = refusals[-1].headers.get("Warning")
    assert warning == '399 Fernamt "Your share of new calls is used up."'
    assert not any(name in warning for name in ("bolt", "core"))


STRAY = {"To": "<sip:y@192.0.2.9>;tag=forged"}


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("REGISTER", {}, 401),
        ("INVITE", {}, 401),
        ("INVITE", STRAY, 481),
        ("OPTIONS", {}, 200),
        ("SUBSCRIBE", {}, 405),
        ("NONSENSE", {}, 501),
        ("BYE", STRAY, 481),
        ("CANCEL", {}, 481),
        ("OPTIONS", {"Max-Forwards": "many"}, 400),
        ("REGISTER", {"Authorization": 'Digest username="x", realm="here", nonce="a", uri="sip:nowhere@192.0.2.9", response="b"'}, 401),
    ],
)
def test_a_flood_of_strangers_is_answered_for_a_moment_only_and_leaves_next_to_no_state(agent, method, fields, status):
    answered = [answers for _ in range(1000) if (answers := sent(agent, method, "198.51.100.7", 0.0, **fields))]
    assert len(answered) == 30
    assert {one.status for answers in answered for one in answers} == {status}
    assert len(agent.layer) <= 30
    assert agent.overload.strangers_refused == 970
    assert statuses(sent(agent, method, "198.51.100.8", 0.0, **fields)) == {status}  # a stranger elsewhere
    assert statuses(sent(agent, "INVITE", "192.0.2.2", 0.0)) == {404}
    assert statuses(sent(agent, "OPTIONS", "192.0.2.2", 0.0)) == {200}


def test_a_call_for_help_from_where_a_phone_is_registered_gets_its_challenge_whatever_strangers_send(agent):
    """The address of one phone is one of many that a flood can forge; the call for help is not to be lost in it."""
    home, contact = "198.51.100.7", Uri("sip", "anna", "198.51.100.7")
    binding = Binding("anna@acme", contact, Flow("udp", SERVER, (home, 5060)), 60.0, 1.0, "c", 1, None)
    agent.config.registrar.restore([binding], 0.0)
    while sent(agent, "INVITE", home, 0.0):
        pass
    assert statuses(sent(agent, "INVITE", home, 0.0, Priority="emergency")) == {401}
    agent.config.registrar.remove("anna@acme")
    assert sent(agent, "INVITE", home, 0.0, Priority="emergency") == []


def test_over_a_connection_a_stranger_is_told_to_come_again_since_nothing_repeats_its_request(agent):
    answers = [sent(agent, "REGISTER", "198.51.100.7", 0.0, transport="tcp")[0] for _ in range(31)]
    assert [answer.status for answer in answers] == [401] * 30 + [503]
    assert answers[-1].headers.get("Retry-After") == "5"


def test_requests_of_a_tenant_take_from_its_calls_and_from_nobody_elses(agent):
    answered = [answers for _ in range(1000) if (answers := sent(agent, "OPTIONS", "192.0.2.1", 0.0))]
    assert len(answered) == 40 * 20
    assert statuses(sent(agent, "INVITE", "192.0.2.1", 0.0)) == {503}
    assert statuses(sent(agent, "INVITE", "192.0.2.2", 0.0)) == {404}


def test_a_session_that_ended_makes_room_for_the_next():
    overload = OverloadPolicy(live_sessions=2)
    network, a, b = pair(b=UserAgentConfig(classify=lambda _r, _f: TRUNK, overload=overload))
    answering(b)
    for session in ("one", "two", "three"):
        a.call(b, session=session)
        network.run(0.3)
        a.agent.cancel_or_bye(session, a.now)
        network.run(0.3)
    assert (len(a.of(SessionAccepted)), a.of(SessionFailed)) == (3, [])


def test_a_flood_within_one_call_costs_no_more_than_a_phone_may_send_and_the_call_can_be_ended(agent):
    """20 a second, 40 at once: beyond it a request leaves no state, and BYE is always heard."""
    caller = "<sip:x@192.0.2.1>;tag=caller"
    taken = sent(agent, "INVITE", "192.0.2.1", 0.0, is_taken=True, From=caller, **{"Call-ID": "one"})[-1]
    assert taken.status == 200
    dialog = {"From": caller, "To": str(taken.headers.get("To")), "Call-ID": "one"}
    before = len(agent.layer)
    answers = [sent(agent, "OPTIONS", "192.0.2.1", 1.0, **dialog, CSeq=f"{number} OPTIONS") for number in range(2, 1002)]
    told = [answer.status for answer, *_ in answers]
    assert (told.count(200), told.count(503)) == (40, 960)
    assert len(agent.layer) <= before + 40
    assert statuses(sent(agent, "OPTIONS", "192.0.2.1", 2.0, **dialog, CSeq="1003 OPTIONS")) == {200}
    flooded = [sent(agent, "INVITE", "192.0.2.1", 2.0, **dialog, CSeq=f"{number} INVITE") for number in range(1004, 1104)]
    assert [503 in statuses(answers) for answers in flooded].count(True) == 100 - 19
    assert 200 in statuses(sent(agent, "BYE", "192.0.2.1", 2.0, **dialog, CSeq="1200 BYE"))


def test_what_classified_an_invite_is_found_once_and_goes_with_it():
    asked, shares = [], []

    def found(_request, flow):
        asked.append(flow.remote[0])
        return Classified("trunk", {"trunk": "carrier"})

    def share(_request, _flow, _authenticated_as, classified):
        shares.append(classified)
        return Share("acme", "trunk")

    network, a, b = pair(b=UserAgentConfig(classify=found, share=share))
    answering(b)
    a.call(b)
    network.run(1)
    [offered] = b.of(IncomingInvite)
    assert (asked, offered.source, offered.found) == (["192.0.2.1"], "trunk", {"trunk": "carrier"})
    assert [classified.found for classified in shares] == [offered.found]
    a.agent.options("probe", b.uri, a.flow(b), a.now)
    network.run(1)
    assert shares[1:] == [None]  # whatever else comes was not classified
