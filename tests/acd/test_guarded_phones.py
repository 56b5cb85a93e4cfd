"""The guard at the SIP door of a whole voice service: who is spared a ban, and whose device an attempt was at."""

import pytest

from acd.clock import Clock
from acd.config import VoiceSettings
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
from acd.service import TrunkLine
from acd.switch.phones import Phones
from load.phones import RegistrationFailed, SyntheticPhone
from tests.acd.voice import device, running, setup


def phones_with(guard, **changes):
    directory = Directory()
    made = setup()
    directory.put(type(made)(configuration=made.configuration, devices=(device("anna"),), **changes))
    phones = Phones(VoiceSettings(), directory, Clock(), lambda *_: None, guard)
    phones.user_agent(b"0123456789abcdef")
    return phones


def fail(guard, host, count=10):
    for number in range(count):
        attempt = guard.attempt("sip", f"user{number}", host, 0.0)
        if attempt.wait_s is None:
            attempt.failed(0.0)


def test_a_trunk_is_spared_and_a_stranger_is_not():
    guard = Guard(GuardPolicy(), now=lambda: 0.0)
    phones_with(guard, trunks=(TrunkLine(id="callers", peer="203.0.113.1", sources=("203.0.113.0/28",)),))
    fail(guard, "203.0.113.9")
    fail(guard, "203.0.113.99")
    assert [ban.source for ban in guard.bans()] == ["203.0.113.99"]


@pytest.mark.slow
async def test_a_wrong_password_is_an_attempt_at_the_tenants_device_and_the_right_one_makes_the_place_known(tmp_path):
    async with running(tmp_path) as service:
        guard = service.voice.phones._guard
        async with SyntheticPhone(service.address, user="anna", password="wrong") as phone:
            with pytest.raises(RegistrationFailed):
                await phone.register()
        [seen] = guard.recent
        assert (seen.outcome, seen.protocol, seen.user, seen.tenant, seen.address) == ("failed", "sip", "anna@demo", "demo", "127.0.0.1")
        await service.phone("anna")
        assert guard.accounts.known.is_known("sip anna@demo", "127.0.0.1", guard.now())
        assert guard.recent[-1].outcome == "succeeded"
