"""Phones in pages at the exchange: what a pass lets in, over which flow, as whom and until when; and that a page is never a trunk."""

import itertools
from dataclasses import dataclass, field

import pytest

from acd.config import VoiceSettings
from acd.core.errors import UnknownName
from acd.core.ids import AgentId
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
from acd.service import TrunkLine
from acd.switch.phones import Phones
from sip.digest import ClientDigest, DigestCredentials
from sip.events import IncomingInvite, Registered
from sip.flow import Flow
from sip.headers.auth import parse_challenge
from sip.message import Response
from sip.parser import parse_datagram
from sip.uri import Uri
from tests.acd.voice import TENANT, device, setup
from tests.sip.user_agent.test_uas import request

SERVER, CLIENT = ("192.0.2.2", 8080), ("203.0.113.9", 40_000)
ANNAS = Flow("wss", SERVER, CLIENT, id="annas", opened_by="anna@demo")
BENS = Flow("wss", SERVER, ("203.0.113.9", 40_001), id="bens", opened_by="ben@demo")
NOBODYS = Flow("wss", SERVER, CLIENT, id="nobodys")
UDP = Flow("udp", ("192.0.2.2", 5060), CLIENT)
TRUNK = TrunkLine(id="callers", peer="203.0.113.1", sources=("203.0.113.0/28",))


@dataclass
class House:
    """The SIP engine with the exchange's policies, and a clock to turn."""

    now: float = 1_790_000_000.0
    trunks: tuple[TrunkLine, ...] = ()
    domain: str = ""
    serial: itertools.count = field(default_factory=itertools.count)

    def __post_init__(self):
        directory, made = Directory(), setup()
        directory.put(
            type(made)(configuration=made.configuration, devices=(device("anna"), device("ben")), trunks=self.trunks, domain=self.domain)
        )
        self.guard = Guard(GuardPolicy(), now=lambda: 0.0)
        self.phones = Phones(VoiceSettings(), directory, lambda: self.now, lambda *_: None, self.guard)
        self.agent = self.phones.user_agent(b"0123456789abcdef")

    def pass_of(self, agent="anna"):
        made = self.phones.pass_of(TENANT, AgentId(agent))
        return DigestCredentials(made.login, made.password, made.realm)

    def asks(self, flow, credentials, *, algorithm=None, method="REGISTER", user="anna", host="demo"):
        """The status of what comes after the challenge, and the event that it made."""
        number = next(self.serial)
        uri = f"sip:{host}" if method == "REGISTER" else f"sip:600@{host}"
        aor = f"<sip:{user}@{host}>"
        fields = {"call_id": f"c{number}", "to": aor if method == "REGISTER" else f"<{uri}>", "from_": f"{aor};tag=1"}
        if method == "REGISTER":
            fields["Contact"] = "<sip:x@x.invalid;transport=ws>;expires=600"
        [challenge] = self._answers(request(method, f"a{number}", uri, **fields), flow)
        assert challenge.status == 401
        digest = ClientDigest(credentials)
        assert digest.learn(_only(challenge, algorithm))
        headers = dict(digest.headers(method, Uri.parse(uri), "c0ffee"))
        answers = self._answers(request(method, f"b{number}", uri, 2, **fields, **headers), flow)
        events = [one for one in self.agent.events() if isinstance(one, Registered | IncomingInvite)]
        return [one.status for one in answers if one.status != 100], events

    def _answers(self, message, flow):
        self.agent.receive(message.to_bytes(), flow, 0.0)
        return [parse_datagram(octets) for _, octets in self.agent.datagrams_to_send()]


def _only(challenge: Response, algorithm: str | None) -> Response:
    if algorithm is None:
        return challenge
    kept = [value for value in challenge.headers.get_all("WWW-Authenticate") if parse_challenge(value).get("algorithm") == algorithm]
    challenge.headers.remove("WWW-Authenticate")
    for value in kept:
        challenge.headers.add("WWW-Authenticate", value)
    return challenge


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_pass_registers_its_phone_over_the_websocket_of_its_agent_and_calls_from_it(algorithm):
    house = House()
    statuses, [registered] = house.asks(ANNAS, house.pass_of(), algorithm=algorithm)
    assert (statuses, registered.aor, registered.flow) == ([200], "anna@demo", ANNAS)
    statuses, [invited] = house.asks(ANNAS, house.pass_of(), algorithm=algorithm, method="INVITE")
    assert (statuses, invited.authenticated_as) == ([], "anna@demo")


def test_sha_256_is_asked_for_first_since_pages_answer_the_last_that_they_are_asked_for():
    house = House()
    [challenge] = house._answers(request("REGISTER", "one", "sip:demo", to="<sip:anna@demo>"), ANNAS)
    asked = [parse_challenge(value).get("algorithm") for value in challenge.headers.get_all("WWW-Authenticate")]
    assert asked == ["SHA-256", "MD5"]


def test_it_is_the_same_after_a_restart():
    given = House().pass_of()
    assert House(now=1_790_000_100.0).asks(ANNAS, given)[0] == [200]


@pytest.mark.parametrize("flow", [BENS, NOBODYS, UDP], ids=["another's", "nobody's", "UDP"])
def test_over_any_other_flow_it_is_a_wrong_password(flow):
    house = House()
    assert house.asks(flow, house.pass_of()) == ([401], [])
    assert [one.outcome for one in house.guard.recent] == ["failed"]


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_it_speaks_for_no_other_phone(method):
    house = House()
    assert house.asks(ANNAS, house.pass_of(), user="ben", method=method) == ([401], [])
    assert house.asks(ANNAS, house.pass_of("ben"), method=method) == ([401], [])


def test_when_its_time_is_over_it_is_refused_and_nobody_has_guessed():
    house = House()
    given = house.pass_of()
    house.now += 3599
    assert house.asks(ANNAS, given)[0] == [200]
    house.now += 1
    assert house.asks(ANNAS, given) == ([401], [])
    assert house.guard.counters["sip", "failed"] == 0
    assert house.asks(ANNAS, house.pass_of())[0] == [200]


def test_one_whose_end_was_moved_is_no_pass():
    house = House()
    given = house.pass_of()
    moved = DigestCredentials(given.username.replace(".1790003600.", ".1799999999."), given.password, given.realm)
    assert moved.username != given.username
    assert house.asks(ANNAS, moved) == ([401], [])
    assert [one.outcome for one in house.guard.recent] == ["failed"]


@pytest.mark.parametrize("flow", [ANNAS, BENS, NOBODYS, UDP], ids=["own", "another's", "nobody's", "UDP"])
def test_the_password_of_the_phone_itself_is_good_over_every_flow(flow):
    assert House().asks(flow, DigestCredentials("anna", "anna-secret"))[0] == [200]


def test_a_page_is_no_trunk_wherever_it_comes_from():
    house = House(trunks=(TRUNK,))
    assert house.agent.config.classify(request(), UDP).sender == "trunk"
    assert house.agent.config.classify(request(), ANNAS).sender == "challenge"
    assert house.agent.config.share(request(), ANNAS, None, None) is None


def test_a_phone_is_known_by_the_domain_of_its_tenant():
    house = House(domain="acme.example")
    assert house.phones.pass_of(TENANT, AgentId("anna")).uri == "sip:anna@acme.example"
    assert house.asks(ANNAS, house.pass_of(), host="acme.example")[0] == [200]


def test_who_has_no_phone_has_no_pass():
    with pytest.raises(UnknownName, match="no phone of agent nobody"):
        House().pass_of("nobody")
