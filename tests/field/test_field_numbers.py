"""Numbers and identities as carriers send them, seen at the agent's phone, on the board, in the pop and in the record."""

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core.ids import QueueId
from acd.directory import Directory
from acd.switch.callers import Arrival, arrival
from acd.switch.identities import Caller, who_calls
from load.phones import CallFailed
from sip.flow import Flow
from sip.message import Request
from sip.parser import parse_datagram
from tests.acd.voice import setup
from tests.field.cases import message
from tests.field.stories import DID, Seen, desk, filled, invite

CALLER = "+491711234567"
SUPPORT = conf.ToQueue(queue=QueueId("support"))


def house(*numbers: str, **line):
    """The small tenant, with these numbers leading to its queue; callers come over a trunk like this."""
    made = setup(numbers=tuple(conf.Number(number=number, target=SUPPORT, language="de", country="DE") for number in (DID, *numbers)))
    callers, carrier = made.trunks
    return msgspec.structs.replace(made, trunks=(msgspec.structs.replace(callers, **line), carrier))


def request(message: str) -> Request:
    """The message as a service on loopback would get it."""
    found = parse_datagram(filled(message, SERVER="127.0.0.1:5060", IP="127.0.0.1", PORT=5099, RTP=40000, DID=DID))
    assert isinstance(found, Request)
    return found


def is_seen(seen: Seen, number: str = CALLER, name: str = "", called: str = DID) -> None:
    """Everywhere the same caller, and its customer; the same number called."""
    assert (seen.phone, seen.name) == (number, name)
    assert set(seen.board) == {number}
    assert {(pop.number, pop.called, pop.contact["name"]) for pop in seen.pops} == {(number, called, f"Customer {number}")}
    assert (seen.record.calling, seen.record.called) == (number, called)


KEPT = {
    "f02-pai-tel": ("", DID),
    "f03-pai-two-values": ("Muster, Max", DID),
    "f04-npdi": ("", DID),
    "f04d-phone-context": ("", "+4930555101"),
    "f05-e164-without-plus": ("", DID),
    "f06-tel-ruri": ("", DID),
}


@pytest.mark.slow
async def test_kept_cases_show_who_calls_whom(tmp_path):
    messages = {case: message(case) for case in KEPT}
    async with desk(tmp_path, house("+4930555101")) as anna:
        for case, (name, called) in KEPT.items():
            told = messages[case]
            if told is not None:
                is_seen(await anna.takes(told), name=name, called=called)


ACCOUNT = "<sip:acct77@carrier.example>"
CALLERS = {
    "tel in From": (invite(from_="<tel:+49-171-1234567>"), ""),
    "00": (invite(from_='"Max" <sip:00491711234567@carrier.example;user=phone>'), "Max"),
    "bare E.164": (invite(from_="<sip:491711234567@carrier.example>"), ""),
    "verstat and cpc": (invite(from_="<sip:+491711234567;verstat=TN-Validation-Passed;cpc=ordinary@carrier.example>"), ""),
    "phone-context": (invite(from_="<sip:01711234567;phone-context=+49@carrier.example>"), ""),
    "tel in PAI": (invite("sip:{DID}@{SERVER}", "P-Asserted-Identity: <tel:+491711234567>", from_=ACCOUNT), ""),
    "local tel in PAI": (invite("sip:{DID}@{SERVER}", "P-Asserted-Identity: <tel:0171-1234567;phone-context=+49>", from_=ACCOUNT), ""),
    "two values in PAI": (
        invite("sip:{DID}@{SERVER}", 'P-Asserted-Identity: "Muster, Max" <sip:acct77@c.example>, <tel:+491711234567>', from_=ACCOUNT),
        "Muster, Max",
    ),
    "two PAI lines": (
        invite("sip:{DID}@{SERVER}", "P-Asserted-Identity: <sip:acct77@c.example>", "P-Asserted-Identity: <tel:+491711234567>"),
        "",
    ),
    "broken PAI": (invite("sip:{DID}@{SERVER}", "P-Asserted-Identity: <<", from_=f'"Max" <sip:{CALLER}@c.example>'), "Max"),
    "RPID": (
        invite("sip:{DID}@{SERVER}", 'Remote-Party-ID: "Max" <sip:491711234567@c.example>;party=calling;screen=yes', from_=ACCOUNT),
        "Max",
    ),
    "RPID of the called": (invite("sip:{DID}@{SERVER}", "Remote-Party-ID: <sip:+4930999@c.example>;party=called"), ""),
    "RPID that hides the name": (
        invite("sip:{DID}@{SERVER}", 'Remote-Party-ID: "Max" <sip:+491711234567@c.example>;privacy=name', from_=ACCOUNT),
        "",
    ),
}


@pytest.mark.parametrize("written", CALLERS)
def test_who_calls_is_read_from_any_header_in_any_notation(written):
    message, name = CALLERS[written]
    assert who_calls(request(message)) == Caller(CALLER, name or None)


CALLED = {
    "tel": invite("tel:{DID}", to="<tel:{DID}>"),
    "local tel": invite("tel:089-123456;phone-context=+49", to="<tel:089-123456;phone-context=+49>"),
    "bare E.164": invite("sip:4989123456@{SERVER}"),
    "npdi": invite("sip:004989123456;npdi;rn=+4930000@{SERVER};user=phone"),
    "account": invite("sip:acct77@{SERVER}"),
    "no user": invite("sip:{SERVER}"),
    "number of the account, DID in To": invite("sip:+4930999999@{SERVER}"),
    "P-Called-Party-ID": invite("sip:acct77@{SERVER}", "P-Called-Party-ID: <tel:+49-89-123456>", to="<sip:acct77@{SERVER}>"),
    "tel in To": invite("sip:acct77@{SERVER}", to="<tel:089123456;phone-context=+49>"),
}


@pytest.mark.parametrize("written", CALLED)
def test_the_number_called_is_read_from_wherever_the_carrier_has_it(written):
    known = Directory()
    known.put(house())
    found = arrival(known, request(CALLED[written]), Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 5099)))
    assert isinstance(found, Arrival)
    assert found.called == DID


SIDE_BY_SIDE = {
    "tel: everywhere": (invite("tel:{DID}", "P-Asserted-Identity: <tel:+491711234567>", from_=ACCOUNT, to="<tel:{DID}>"), ""),
    "npdi, two values": (
        invite(
            "sip:{DID};npdi;rn=+4930000@{SERVER};user=phone",
            'P-Asserted-Identity: "Muster, Max" <sip:+491711234567@c.example>, <tel:+491711234567>',
            from_=ACCOUNT,
        ),
        "Muster, Max",
    ),
    "phone-context, RPID": (
        invite(
            "sip:089123456;phone-context=+49@{SERVER};user=phone",
            'Remote-Party-ID: "Max" <sip:491711234567@c.example>;party=calling;screen=yes',
            from_=ACCOUNT,
        ),
        "Max",
    ),
    "DID in P-Called-Party-ID, verstat and cpc": (
        invite(
            "sip:acct77@{SERVER}",
            "P-Called-Party-ID: <tel:+49-89-123456>",
            from_="<sip:+491711234567;verstat=TN-Validation-Passed;cpc=ordinary@carrier.example>",
            to="<sip:acct77@{SERVER}>",
        ),
        "",
    ),
    "DID in To, E.164 without plus": (invite("sip:acct77@{SERVER}", from_="<sip:491711234567@carrier.example>"), ""),
}


@pytest.mark.slow
async def test_every_kind_of_identity_is_seen_by_everybody_alike(tmp_path):
    async with desk(tmp_path, house()) as anna:
        for message, name in SIDE_BY_SIDE.values():
            is_seen(await anna.takes(message), name=name)


@pytest.mark.slow
async def test_an_account_with_a_single_number_is_called_by_any_name(tmp_path):
    async with desk(tmp_path, house(default_number=DID)) as anna:
        is_seen(await anna.takes(invite("sip:acct77@{SERVER}", to="<sip:acct77@{SERVER}>")))
        is_seen(await anna.takes(invite("sip:+4930999999@{SERVER}", to="<sip:+4930999999@{SERVER}>")))


@pytest.mark.parametrize(
    ("form", "called", "calling", "caller"),
    [("national", "89123456", "1711234567", CALLER), ("e164", "4989123456", "41446681800", "+41446681800")],
)
@pytest.mark.slow
async def test_bare_digits_are_what_the_format_of_the_trunk_says(tmp_path, form, called, calling, caller):
    async with desk(tmp_path, house(numbers_in=form)) as anna:
        uri = f"sip:{called}@{{SERVER}}"
        is_seen(await anna.takes(invite(uri, from_=f"<sip:{calling}@carrier.example>", to=f"<{uri}>")), caller)


@pytest.mark.slow
async def test_an_extension_that_nobody_has_does_not_exist(tmp_path):
    """It was 403 for want of a price; a number of the public's without a price is 403 still."""
    async with desk(tmp_path, house()) as anna:
        for number, status in (("19", 404), ("4711", 404), ("+4910012345", 403)):
            call = await anna.phone.call(number)
            with pytest.raises(CallFailed) as refused:
                await call.answered()
            assert refused.value.status == status
