"""RFC 4475 at a user agent: what must come back for each torture message over UDP (§3, column udp_outcome of VERDICTS.tsv).

The messages stand outside this repository; FERNAMT_CONFORMANCE names their folder. Without them these tests are skipped, and
`test_uas.py` holds messages of our own for the same rules.
"""

import os
from pathlib import Path

import pytest

from sip.events import IncomingInvite, Registered
from sip.flow import Flow
from sip.parser import parse_datagram
from sip.registrar import Registrar
from sip.user_agent import UserAgent, UserAgentConfig

FOLDER = Path(os.environ.get("FERNAMT_CONFORMANCE") or Path(__file__).resolve().parents[4] / "shared" / "conformance") / "rfc4475"
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
}  # fmt: skip

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="no RFC 4475 messages here (FERNAMT_CONFORMANCE)")


def judge(name):
    registrar = Registrar(lambda uri, _who: f"{uri.user}@house")
    serial = iter(range(10**6))
    agent = UserAgent(UserAgentConfig(classify=lambda _r, _f: "trunk", registrar=registrar), lambda: f"token{next(serial):06d}")
    agent.receive((FOLDER / f"{name}.dat").read_bytes(), FLOW, 0.0)
    return agent, [data for _, data in agent.datagrams_to_send()], agent.events()


def test_every_message_of_the_folder_has_an_outcome_here():
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(OUTCOMES)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_the_outcome_over_udp_is_the_one_rfc_4475_wants(name):
    _, answers, events = judge(name)
    assert len(answers) <= 1
    if answers:
        outcome = int(answers[0].split(b" ", 2)[1])  # what is echoed of a malformed request may itself be malformed
    else:
        outcome = INVITED if any(isinstance(event, IncomingInvite) for event in events) else NOTHING
    assert outcome in OUTCOMES[name]


def test_escnull_binds_two_distinct_contacts():
    _, answers, events = judge("escnull")
    assert len({event.contact for event in events if isinstance(event, Registered)}) == 2
    assert len(parse_datagram(answers[0]).contacts) == 2


def test_bext01_names_every_extension_it_does_not_support():
    _, [answer], _ = judge("bext01")
    assert parse_datagram(answer).tokens("Unsupported") == ("nothingSupportsThis", "nothingSupportsThisEither")


def test_invut_says_what_would_be_accepted():
    _, [answer], _ = judge("invut")
    assert parse_datagram(answer).headers.get("Accept") == "application/sdp"


def test_cparam01_and_02_differ_in_whether_the_parameter_is_the_uris():
    stored = [judge(name)[2][0].contact.param("unknownparam") for name in ("cparam01", "cparam02")]
    assert stored == [None, ""]


def test_escaped_headers_of_a_contact_are_stored_and_not_applied():
    _, _, [registered] = judge("regescrt")
    assert registered.contact.headers == (("Route", "<sip:sip.example.com>"),)


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_afterwards_the_engine_still_serves(name):
    agent, _, _ = judge(name)
    agent.receive((FOLDER / "lwsdisp.dat").read_bytes(), FLOW, 1.0)
    [(_, data)] = agent.datagrams_to_send()
    assert data.startswith(b"SIP/2.0 200")
