"""The guard at the SIP door of a whole voice service: who is spared a ban, and whose device an attempt was at."""

from collections import Counter

import pytest

from acd.clock import Clock
from acd.config import VoiceSettings
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
from acd.service import TrunkLine
from acd.switch.phones import Phones
from load.phones import RegistrationFailed, SyntheticPhone
from sip.digest import ClientDigest, DigestCredentials
from sip.events import IncomingInvite
from sip.flow import Flow
from sip.parser import parse_datagram
from sip.uri import Uri
from tests.acd.voice import device, running, setup
from tests.sip.user_agent.test_uas import request


def phones_with(guard, **changes):
    directory = Directory()
    made = setup()
    directory.put(type(made)(configuration=made.configuration, devices=(device("anna"),), **changes))
    phones = Phones(VoiceSettings(), directory, Clock(), lambda *_: None, guard)
    return phones.user_agent(b"0123456789abcdef")


def fail(guard, host, count=10):
    for number in range(count):
        attempt = guard.attempt("sip", f"user{number}", host, 0.0)
        if attempt.wait_s is None:
            attempt.failed(0.0)


TRUNK = TrunkLine(id="callers", peer="203.0.113.1", sources=("203.0.113.0/28",))
GUESSER = Flow("udp", ("192.0.2.2", 5060), ("203.0.113.9", 5060))


def answered(agent, message):
    """The statuses of what is sent in answer."""
    agent.receive(message.to_bytes(), GUESSER, 0.0)
    return [parse_datagram(octets).status for _, octets in agent.datagrams_to_send()]


def test_that_a_tenant_calls_a_place_a_trunks_spares_it_no_ban():
    guard = Guard(GuardPolicy(), now=lambda: 0.0)
    phones_with(guard, trunks=(TRUNK,))
    fail(guard, "203.0.113.9")
    assert [ban.source for ban in guard.bans()] == ["203.0.113.9"]


@pytest.mark.parametrize("is_trunk", [False, True])
def test_a_trunk_named_at_a_banned_place_gets_its_calls_and_probes_and_opens_no_door_for_guesses(is_trunk):
    guard = Guard(GuardPolicy(), now=lambda: 0.0)
    fail(guard, "203.0.113.9")
    agent = phones_with(guard, trunks=(TRUNK,) if is_trunk else ())
    register = request("REGISTER", "reg", "sip:demo", to="<sip:anna@demo>", Contact="<sip:anna@203.0.113.9>")
    assert answered(agent, register) == []
    assert answered(agent, request("OPTIONS", "probe")) == ([200] if is_trunk else [])
    answered(agent, request("INVITE", "call", call_id="call"))
    assert [type(event) for event in agent.events()] == ([IncomingInvite] if is_trunk else [])
    assert guard.ban_of("203.0.113.9", 0.0) is not None


def test_a_list_of_names_is_not_tried_by_calling_for_help():
    """Emergency calls pass bans, so the source must be held by its own bucket: 400 names, ten guesses."""
    guard = Guard(GuardPolicy(), now=lambda: 0.0)
    agent = phones_with(guard)
    judged = Counter()
    for number in range(400):
        uri, call = "sip:112@192.0.2.2", f"help{number}"
        agent.receive(request("INVITE", f"a{number}", uri, call_id=call).to_bytes(), GUESSER, 0.0)
        sent = [parse_datagram(octets) for _, octets in agent.datagrams_to_send()]
        digest = ClientDigest(DigestCredentials(f"user{number}", "wrong"))
        if not sent or not digest.learn(sent[0]):
            continue
        headers = dict(digest.headers("INVITE", Uri.parse(uri), "c0ffee"))
        judged.update(answered(agent, request("INVITE", f"b{number}", uri, 2, call_id=call, **headers)))
    outcomes = {outcome: count for (_, outcome), count in guard.counters.items()}
    assert outcomes["failed"] == 10
    assert judged[503] > 0


def test_the_owner_at_a_new_place_calls_for_help_though_a_stranger_guesses_by_it():
    guard = Guard(GuardPolicy(), now=lambda: 0.0)
    for _ in range(5):
        guard.attempt("sip", "anna@demo", "203.0.113.9", 0.0, is_urgent=True)
    assert guard.attempt("sip", "anna@demo", "203.0.113.9", 0.0, is_urgent=True).wait_s == 60
    assert guard.attempt("sip", "anna@demo", "198.51.100.1", 0.0, is_urgent=True).wait_s is None


@pytest.mark.slow
async def test_a_wrong_password_is_an_attempt_at_the_tenants_device_and_the_right_one_makes_the_place_known(tmp_path):
    async with running(tmp_path) as service:
        guard = service.voice.phones._guard
        async with SyntheticPhone(service.address, user="anna", password="wrong") as phone:
            with pytest.raises(RegistrationFailed):
                await phone.register()
        [seen] = guard.recent
        assert (seen.outcome, seen.protocol, seen.user, seen.tenant, seen.address) == ("failed", "sip", "anna", "demo", "127.0.0.1")
        await service.phone("anna")
        assert guard.accounts.known.is_known("sip anna@demo", "127.0.0.1", guard.now())
        assert guard.recent[-1].outcome == "succeeded"
