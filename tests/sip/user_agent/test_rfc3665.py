"""The basic call flows of RFC 3665 as ladders: who sends what, in which order (§3; §2 registration)."""

import pytest

from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, DigestCredentials, ha1
from sip.events import IncomingInvite, ReInviteReceived
from sip.registrar import Registrar
from sip.registration import RegistrationPlan
from sip.uri import Uri

from .network import ANSWER, OPEN, SDP, LossyLink, Network, answering, pair, ringing

A, B = "192.0.2.1", "192.0.2.2"


def lookup(_request, username, realm, algorithm):
    return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "phone" else None


def guarded():
    authenticator = Authenticator("house", lookup, b"0123456789abcdef")
    return UserAgentConfig(authenticator=authenticator, registrar=Registrar(lambda uri, _who: f"{uri.user}@house"))


def registering(password="geheim"):
    network = Network()
    a, b = network.node(A, OPEN), network.node(B, guarded())
    plan = RegistrationPlan(
        aor=Uri.parse(f"sip:phone@{B}"), registrar=Uri.parse(f"sip:{B}"), flow=a.flow(b), credentials=DigestCredentials("phone", password)
    )
    a.agent.register("r", plan, a.now)
    network.run(1)
    return network, a, b


def test_2_1_successful_new_registration():
    network, _, _ = registering()
    assert network.ladder() == [(A, "REGISTER"), (B, "401"), (A, "REGISTER"), (B, "200")]


def test_2_2_update_of_the_contact_list():
    network, _, b = registering()
    network.wire.clear()
    network.run(3400)
    assert network.ladder()[-2:] == [(A, "REGISTER"), (B, "200")]
    assert len(b.agent.config.registrar) == 1


def test_2_4_cancellation_of_registration():
    network, a, b = registering()
    network.wire.clear()
    a.agent.unregister("r", a.now)
    network.run(1)
    assert network.ladder() == [(A, "REGISTER"), (B, "200")]
    assert len(b.agent.config.registrar) == 0


def test_2_5_unsuccessful_registration():
    network, _, b = registering("falsch")
    assert network.ladder() == [(A, "REGISTER"), (B, "401"), (A, "REGISTER"), (B, "401")]
    assert len(b.agent.config.registrar) == 0


def test_3_1_session_establishment():
    network, a, b = pair()
    answering(b)
    a.call(b)
    network.run(1)
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "180"), (B, "200"), (A, "ACK"), (B, "BYE"), (A, "200")]


def test_3_2_session_establishment_through_authentication():
    network, a, b = pair(b=guarded())
    answering(b)
    a.call(b, credentials=DigestCredentials("phone", "geheim"))
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "401"), (A, "ACK"), (A, "INVITE"), (B, "180"), (B, "200"), (A, "ACK")]
    assert b.one(IncomingInvite).authenticated_as == "phone@house"


def test_3_7_session_with_reinvite():
    network, a, b = pair()
    answering(b)
    a.call(b)
    network.run(1)
    network.wire.clear()
    a.react = lambda event: a.agent.accept_reinvite(event.session, ANSWER, a.now) if isinstance(event, ReInviteReceived) else None
    b.agent.reinvite(b.session, SDP, b.now)
    network.run(1)
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert network.ladder() == [(B, "INVITE"), (A, "200"), (B, "ACK"), (B, "BYE"), (A, "200")]


def test_3_8_unsuccessful_no_answer():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(30)
    a.agent.cancel_or_bye("call", a.now)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "180"), (A, "CANCEL"), (B, "200"), (B, "487"), (A, "ACK")]


@pytest.mark.parametrize("status", [486, 480, 603, 404])
def test_3_9_unsuccessful_busy_and_its_like(status):
    network, a, b = pair()
    b.react = lambda event: b.agent.reject(event.session, status, b.now) if isinstance(event, IncomingInvite) else None
    a.call(b)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, str(status)), (A, "ACK")]


def test_3_10_unsuccessful_no_response_from_the_user_agent():
    network, a, b = pair(LossyLink(loss=1.0))
    a.call(b)
    network.run(40)
    assert network.ladder() == [(A, "INVITE")] * 7


def test_3_11_unsuccessful_temporarily_unavailable_after_ringing():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(5)
    b.agent.reject(b.session, 480, b.now)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "180"), (B, "480"), (A, "ACK")]
