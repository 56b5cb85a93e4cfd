"""A number that its caller withholds is shown to nobody on any way; it stays in the journal, and goes on in the trust domain alone."""

import json
import logging

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core.inputs import CallArrived
from acd.journal import care, read
from acd.switch.identities import Caller, who_calls
from sip import trace
from sip.flow import Flow
from tests.acd.carrier import carrier_at, gateway
from tests.acd.voice import free_port, running, setup
from tests.field.cases import message
from tests.field.stories import DID, Seen, desk, invite, peer
from tests.field.test_field_numbers import house, request

pytestmark = pytest.mark.slow
DIGITS = "1719999999"
NUMBER = f"+49{DIGITS}"
NOBODY = '"Anonymous" <sip:anonymous@anonymous.invalid>'
SHOWN_IN_FROM = f'"Max Muster" <sip:{NUMBER}@carrier.example>'


def asks(*headers: str, from_: str = NOBODY) -> str:
    return invite("sip:{DID}@{SERVER}", *headers, from_=from_)


WITHHELD = {
    "Privacy: id": asks(f"P-Asserted-Identity: <sip:{NUMBER}@c.example>", "Privacy: id"),
    "Privacy: id, number in From": asks("Privacy: id", from_=SHOWN_IN_FROM),
    "Privacy: user": asks("Privacy: user", from_=SHOWN_IN_FROM),
    "Privacy: header": asks(f'P-Asserted-Identity: "Max Muster" <tel:{NUMBER}>', "Privacy: header", from_=SHOWN_IN_FROM),
    "several values": asks(f"P-Asserted-Identity: <sip:{NUMBER}@c.example>", "Privacy: critical; id"),
    "anonymous.invalid alone": asks(f'P-Asserted-Identity: "Max Muster" <sip:{NUMBER}@c.example>, <tel:{NUMBER}>'),
    "anonymous elsewhere": asks(f"P-Asserted-Identity: <tel:0049{DIGITS}>", from_="<sip:Anonymous@carrier.example>"),
    "Remote-Party-ID": asks(
        f'Remote-Party-ID: "Max Muster" <sip:{NUMBER}@c.example>;party=calling;privacy=full', from_="<sip:acct77@c.example>"
    ),
    "Remote-Party-ID of the network": asks(
        f"Remote-Party-ID: <sip:{NUMBER}@c.example>;privacy=full-network;screen=yes", from_=SHOWN_IN_FROM
    ),
}


def is_nobody(seen: Seen) -> None:
    assert (seen.phone, seen.name) == ("anonymous", "")
    assert set(seen.board) == {None}
    assert {(pop.number, pop.contact, pop.tickets) for pop in seen.pops} == {(None, None, ())}
    assert seen.looked_up == []
    assert seen.record.calling == "anonymous"
    assert DIGITS not in seen.told
    assert "Muster" not in seen.told


def journalled(directory) -> list[str | None]:
    return [entry.input.withheld for entry in read(directory / "journal") if isinstance(entry.input, CallArrived)]


@pytest.mark.parametrize("told", [WITHHELD["Privacy: id"], *filter(None, [message("f01-clir-shown")])])
async def test_a_caller_who_hides_behind_the_carrier_is_nobody(tmp_path, told):
    async with desk(tmp_path, house()) as anna:
        is_nobody(await anna.takes(told))
    assert journalled(tmp_path) == [NUMBER]


@pytest.mark.parametrize("asked", WITHHELD)
def test_whatever_asks_for_it_number_and_name_are_withheld(asked):
    assert who_calls(request(WITHHELD[asked])) == Caller(None, None, NUMBER)


async def test_a_withheld_number_is_shown_to_nobody_and_stays_in_the_journal(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    asked = ("Privacy: id, number in From", "Privacy: header", "anonymous.invalid alone", "Remote-Party-ID")
    async with desk(tmp_path, house()) as anna:
        for one in asked:
            is_nobody(await anna.takes(WITHHELD[one]))
    assert journalled(tmp_path) == [NUMBER] * len(asked)
    exported = [json.dumps(document) for document in care.export(tmp_path / "journal")]
    assert sum('"withheld": "***"' in line for line in exported) == len(asked)
    for line in (*exported, *caplog.messages):
        assert DIGITS not in line
        assert "Muster" not in line


def forwarding(port: int, target: str, **line):
    """DID leads to a number outside over the carrier; its trunk is as given."""
    made = setup(port, numbers=(conf.Number(number=DID, target=conf.ToOutside(number=target)),))
    callers, carrier = made.trunks
    return msgspec.structs.replace(made, trunks=(callers, msgspec.structs.replace(carrier, **line)))


async def forwarded(tmp_path, message: str, target: str = "+4930555101", **line):
    """The INVITE that the carrier gets of a call that is forwarded outside."""
    port = free_port()
    async with (
        carrier_at(port) as carrier,
        running(tmp_path, forwarding(port, target, **line)) as service,
        gateway(carrier, service) as far,
    ):
        async with peer(service.address) as (here, rtp):
            here.play(message, rtp)
            there = await far.incoming()
            await there.answer()
            here.hang_up(await here.response())
            await service.cdrs()
        return there.request


PLAIN = asks(f"P-Asserted-Identity: <sip:{NUMBER}@c.example>", from_="<sip:acct77@c.example>")


async def test_a_forward_tells_a_withheld_number_to_no_carrier_outside_the_trust_domain(tmp_path):
    asked = await forwarded(tmp_path, WITHHELD["Privacy: id"])
    assert DIGITS not in asked.to_bytes().decode()
    assert asked.headers.get("P-Asserted-Identity") is None


async def test_inside_the_trust_domain_it_goes_on_with_its_privacy(tmp_path):
    asked = await forwarded(tmp_path, WITHHELD["Privacy: user"], trusted=True)
    (identity,) = asked.asserted_identities
    assert identity.uri.user == NUMBER
    assert asked.headers.get("Privacy") == "id"
    assert DIGITS not in (asked.headers.get("From") or "") + (asked.headers.get("Diversion") or "")


async def test_emergency_services_are_told_whoever_hides(tmp_path):
    """§ 15 TDDDG: nobody's number is kept from 110 and 112, whatever the trunk."""
    asked = await forwarded(tmp_path, WITHHELD["Privacy: id"], "112")
    assert [identity.uri.user for identity in asked.asserted_identities] == [NUMBER]
    assert asked.headers.get("Privacy") is None


@pytest.mark.parametrize(
    ("form", "dialled", "shown", "caller"),
    [
        ("e164", "4930555101", DID[1:], NUMBER[1:]),
        ("national", "030555101", "089123456", "0" + DIGITS),
    ],
)
async def test_a_carrier_is_sent_all_numbers_in_the_format_of_its_trunk(tmp_path, form, dialled, shown, caller):
    asked = await forwarded(tmp_path, PLAIN, numbers_out=form)
    assert (asked.uri.user, asked.to.uri.user, asked.from_.uri.user) == (dialled, dialled, shown)
    assert [identity.uri.user for identity in asked.asserted_identities] == [caller]
    assert f"<sip:{shown}@" in (asked.headers.get("Diversion") or "")
    assert asked.headers.get("Privacy") is None


def test_the_trace_tells_nothing_of_who_withholds_a_number_in_later_messages_either(caplog):
    caplog.set_level(logging.DEBUG)
    flow = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
    head = f"From: <sip:{NUMBER}@c.example>;tag=t1\r\nCall-ID: hidden-1\r\n"
    trace.received(flow, f"INVITE sip:1@x SIP/2.0\r\n{head}Privacy: user\r\nContact: <sip:{NUMBER}@192.0.2.2>\r\n\r\n".encode())
    trace.sent(flow, f"SIP/2.0 200 OK\r\n{head}\r\n".encode())
    assert DIGITS not in caplog.text
    assert caplog.text.count("From: ***;tag=t1") == 2
    trace.received(flow, f"INVITE sip:1@x SIP/2.0\r\n{head.replace('hidden-1', 'shown-1')}\r\n".encode())
    assert DIGITS in caplog.text
