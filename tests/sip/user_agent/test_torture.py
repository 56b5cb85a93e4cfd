"""RFC 4475 and RFC 5118 at a user agent: what must come back for each torture message over UDP (RFC 4475 §3).

Every case is there as a message of our own (`tests/vectors/sip`: the same trait, another text), which is always judged, and as it was
published, which is judged where that folder is (FERNAMT_CONFORMANCE, or beside this checkout).
"""

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite, Registered
from sip.flow import Flow
from sip.headers.tokens import parse_tokens
from sip.parser import parse_datagram
from sip.registrar import Registrar
from sip.user_agent import UserAgent
from tests.sip.torture.corpus import OWN, cases, rfc4475_octets, rfc5118_octets
from tests.sip.torture.test_own_messages import READABLE, UNREADABLE

FLOW = Flow("udp", ("192.0.2.200", 5060), ("192.0.2.50", 5060))

NOTHING, INVITED = "nothing", "invited"
# name -> the statuses that are right; INVITED: handed to the application; NOTHING: dropped without an answer.
OUTCOMES = {
    "wsinv": {481}, "intmeth": {501}, "esc01": {INVITED}, "escnull": {200}, "esc02": {501}, "lwsdisp": {200}, "longreq": {INVITED},
    "dblreq": {200}, "semiuri": {200}, "transports": {200}, "mpart01": {405}, "unreason": {NOTHING}, "noreason": {NOTHING},
    "badinv01": {400}, "clerr": {400}, "ncl": {400, NOTHING}, "scalar02": {400}, "scalarlg": {NOTHING}, "quotbal": {400}, "ltgtruri": {400},
    "lwsruri": {400}, "lwsstart": {400}, "trws": {400, 200}, "escruri": {400}, "baddate": {400, INVITED}, "regbadct": {400, 200},
    "badaspec": {400, 200}, "baddn": {400, 200}, "badvers": {505}, "mismatch01": {400}, "mismatch02": {501, 400}, "bigcode": {NOTHING},
    "badbranch": {400, 200}, "insuf": {400, NOTHING}, "unkscm": {416}, "novelsc": {416}, "unksm2": {400}, "bext01": {420}, "invut": {415},
    "regaut01": {200}, "multi01": {400}, "mcl01": {400}, "bcast": {NOTHING}, "zeromf": {200}, "cparam01": {200}, "cparam02": {200},
    "regescrt": {200}, "sdp01": {406, 488, 400}, "inv2543": {INVITED},
    "ipv6-good": {200}, "ipv6-bad": {400}, "port-ambiguous": {200}, "port-unambiguous": {200}, "via-received-param-with-delim": {200, 481},
    "via-received-param-no-delim": {200, 481}, "ipv6-in-sdp": {INVITED}, "mult-ip-in-header": {481, 200}, "mult-ip-in-sdp": {INVITED},
    "ipv4-mapped-ipv6": {INVITED}, "ipv6-bug-abnf-3-colons": {200}, "ipv6-correct-abnf-2-colons": {200},
}  # fmt: skip


OWN_NAMES = {published: name for name, (published, *_) in (READABLE | UNREADABLE).items()}
PUBLISHED = {case.name: rfc4475_octets for case in cases("rfc4475")} | {case.name: rfc5118_octets for case in cases("rfc5118")}
MESSAGES = [(name, "own") for name in sorted(OUTCOMES)] + [(name, "published") for name in sorted(PUBLISHED)]


def octets(name, source):
    return PUBLISHED[name](name) if source == "published" else (OWN / f"{OWN_NAMES[name]}.msg").read_bytes()


def judge(name, source="own"):
    registrar = Registrar(lambda uri, _who: f"{uri.user}@house")
    serial = iter(range(10**6))
    agent = UserAgent(UserAgentConfig(classify=lambda _r, _f: TRUNK, registrar=registrar), lambda: f"token{next(serial):06d}")
    agent.receive(octets(name, source), FLOW, 0.0)
    return agent, [data for _, data in agent.datagrams_to_send()], agent.events()


def test_every_message_has_an_outcome_here():
    assert OWN_NAMES.keys() == OUTCOMES.keys()
    assert not PUBLISHED or PUBLISHED.keys() == OUTCOMES.keys()


@pytest.mark.parametrize(("name", "source"), MESSAGES)
def test_the_outcome_over_udp_is_the_one_the_rfc_wants(name, source):
    _, answers, events = judge(name, source)
    assert len(answers) <= 1
    if answers:
        outcome = int(answers[0].split(b" ", 2)[1])  # what is echoed of a malformed request may itself be malformed
    else:
        outcome = INVITED if any(isinstance(event, IncomingInvite) for event in events) else NOTHING
    assert outcome in OUTCOMES[name]


SOURCES = ["own", "published"] if PUBLISHED else ["own"]


@pytest.mark.parametrize("source", SOURCES)
def test_escnull_binds_two_distinct_contacts(source):
    _, answers, events = judge("escnull", source)
    assert len({event.contact for event in events if isinstance(event, Registered)}) == 2
    assert len(parse_datagram(answers[0]).contacts) == 2


@pytest.mark.parametrize("source", SOURCES)
def test_bext01_names_every_extension_it_does_not_support(source):
    _, [answer], _ = judge("bext01", source)
    assert (
        parse_tokens(parse_datagram(answer).headers.get("Unsupported"), "Unsupported") == parse_datagram(octets("bext01", source)).require
    )


@pytest.mark.parametrize("source", SOURCES)
def test_invut_says_what_would_be_accepted(source):
    _, [answer], _ = judge("invut", source)
    assert parse_datagram(answer).headers.get("Accept") == "application/sdp, multipart/mixed"


@pytest.mark.parametrize(("source", "parameter"), list(zip(SOURCES, ["mood", "unknownparam"], strict=False)))
def test_cparam01_and_02_differ_in_whether_the_parameter_is_the_uris(source, parameter):
    outside, inside = [judge(name, source)[2][0].contact.param(parameter) for name in ("cparam01", "cparam02")]
    assert outside is None
    assert inside is not None


@pytest.mark.parametrize("source", SOURCES)
def test_escaped_headers_of_a_contact_are_stored_and_not_applied(source):
    _, _, [registered] = judge("regescrt", source)
    assert registered.contact.headers == parse_datagram(octets("regescrt", source)).contacts[0].uri.headers
    assert registered.contact.headers[0][0] == "Route"


@pytest.mark.parametrize(("name", "source"), MESSAGES)
def test_afterwards_the_engine_still_serves(name, source):
    agent, _, _ = judge(name, source)
    agent.receive(octets("lwsdisp", "own").replace(b"z9hG4bK", b"z9hG4bKlater"), FLOW, 1.0)
    [(_, data)] = agent.datagrams_to_send()
    assert data.startswith(b"SIP/2.0 200")
