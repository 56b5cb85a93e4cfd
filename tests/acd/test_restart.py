"""kill -9 in the middle of calls, seen from the phones: the next run ends every call that was up, and says why (ADR 0008)."""

import asyncio
import contextlib
import shutil

from acd.config import Listen, VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.core.replay import encode, redrive
from acd.directory import Directory
from acd.journal import read
from acd.networks import EVERYTHING, LOOPBACK
from acd.runtime import Voice
from acd.service import TrunkLine, TrunkRegistration
from acd.switch.switch import Switch
from load.phones import PhoneCall, SyntheticPhone
from sip.digest import DigestCredentials
from sip.errors import ParseError
from sip.events import SessionFailed
from tests.acd.voice import TENANT, carrier_phone, running, setup
from tests.ports import free_port, rtp_range

REASON = 'Q.850;cause=41;text="Temporary failure"'
ENDED = f'SIP;cause=503;text="Service Unavailable", {REASON}'
"""Of a BYE or CANCEL, which may name a status too (RFC 3326); of a response it is Q.850 alone (RFC 6432)."""


def noting(call: PhoneCall) -> list:
    """All that its engine says of the call from now on."""
    told: list = []
    hear = call.on_event

    def note(event):
        told.append(event)
        hear(event)

    call.on_event = note
    return told


@contextlib.asynccontextmanager
async def another_run(service, tenant, directory):
    """The journal as the kill leaves it, the sockets gone without a word; then a new process on the same address."""
    shutil.copytree(directory / "before", directory / "after", ignore=shutil.ignore_patterns("media"))
    await service.voice._endpoint.close()
    host, port = service.address
    listen = tuple(Listen(transport=transport, host=host, port=port) for transport in ("udp", "tcp"))
    data = directory / "after"
    voice = await Voice.start(
        VoiceSettings(
            listen=listen,
            data=data,
            media_workers=1,
            media_ports=rtp_range(),
            registration_min_s=1,
            reach_allow=EVERYTHING + LOOPBACK,
        )
    )
    try:
        await voice.open_tenant(tenant, service.database, data / "journal")
        yield voice
    finally:
        await voice.close()


def dialogs(journal) -> list[str]:
    """All that were written down, in order."""
    return [event.dialog for entry in read(journal) for event in entry.events if getattr(event, "dialog", None) is not None]


async def until(true) -> None:
    async with asyncio.timeout(8):
        while not true():
            await asyncio.sleep(0.01)


async def test_every_party_of_every_call_is_told(tmp_path):
    port = free_port()
    tenant = setup(port)
    (tmp_path / "before").mkdir()
    async with (
        running(tmp_path / "before", tenant) as service,
        carrier_phone(service, port) as carrier,
        contextlib.AsyncExitStack() as stack,
    ):
        anna, ben = await service.phone("anna"), await service.phone("ben")
        for name in ("anna", "ben"):
            await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name), ready=True))
        callers = [await service.caller(f"+49895555{number}") for number in range(3)]
        by_tcp, gone = [
            await stack.enter_async_context(SyntheticPhone(service.address, user=f"+49896666{number}", transport="tcp"))
            for number in range(2)
        ]
        talking = await callers[0].call("601")
        at_anna = await anna.incoming()
        await at_anna.answer()
        waiting = await callers[1].call("601")
        at_ben = await ben.incoming()
        forwarded = await callers[2].call("602")
        at_carrier = await carrier.incoming()
        await forwarded.ringing()
        over_tcp, lost = await by_tcp.call("601"), await gone.call("601")
        for call in (talking, waiting, over_tcp, lost):
            await call.answered()
        # On disk: five callers, two phones that ring, and anna's that rang and was answered.
        await until(lambda: len(dialogs(tmp_path / "before" / "journal")) == 9)
        assert len([leg for leg in service.voice._exchanges[TENANT].engine.state.legs.values() if leg.dialog]) == 8
        refusal = noting(forwarded)

        await gone.bank.close()
        async with another_run(service, tenant, tmp_path) as again:
            ends = {
                "talking": talking, "anna": at_anna, "waiting": waiting, "ben": at_ben, "carrier": at_carrier, "over tcp": over_tcp,
            }  # fmt: skip
            assert {name: await call.ended() for name, call in ends.items()} == dict.fromkeys(ends, "remote")
            assert {name: call.reason_header for name, call in ends.items()} == dict.fromkeys(ends, ENDED)
            # Ringing phones were cancelled, not hung up.
            assert (at_ben.response_status, at_carrier.response_status) == (487, 487)

            assert await forwarded.ended() == "failed"
            [failed] = [event for event in refusal if isinstance(event, SessionFailed)]
            assert failed.status == 503
            assert (failed.response.headers.get("Retry-After"), failed.response.headers.get("Reason")) == ("10", REASON)

            await until(lambda: again.switch.counters["dialogs_ended_after_restart_failed"])
            figures = again.figures()
            assert figures["fernamt_switch_dialogs_ended_after_restart_total"] == 8
            assert figures["fernamt_switch_dialogs_ended_after_restart_failed_total"] == 1
            await until(lambda: again.sip.user_agent.live_sessions == 0)

            # Decisions are the same without the dialogs, which stand in the journal once, and no secret with them.
            entries = list(read(tmp_path / "after" / "journal"))
            assert redrive(entries, TENANT) is None
            assert not [entry for entry in entries if getattr(entry.input, "dialog", None) is not None]
            assert len(dialogs(tmp_path / "after" / "journal")) == 9
            assert b"secret" not in b"".join(map(encode, entries))

            # The next call rings on a phone that has been told already.
            await callers[0].call("601")
            at_anna = await anna.incoming()
            assert len(anna.calls) == 1
            await at_anna.answer()


class _Port:
    """What the switch asks of the SIP engine."""

    def __init__(self) -> None:
        self.asked: list = []

    def tell_changes(self, tell):
        """Nothing changes."""

    def restore(self, session, kept, *, credentials, answered):
        if kept == "noise":
            raise ParseError("no session", where="kept session")
        self.asked.append(("restore", session, kept, credentials, answered))

    def cancel_or_bye(self, session, *, reason_header):
        self.asked.append(("end", session, reason_header))


def test_a_trunk_that_challenges_gets_its_credentials_and_what_cannot_be_read_is_counted():
    directory, told = Directory(), lambda *_: None
    registration = TrunkRegistration(registrar="carrier.example", username="4989", password="geheim")
    tenant = setup()
    line = TrunkLine(id=tenant.trunks[1].id, peer="carrier.example", registration=registration)
    directory.put(type(tenant)(configuration=tenant.configuration, devices=tenant.devices, trunks=(tenant.trunks[0], line)))
    switch = Switch(VoiceSettings(), directory, told, None, report=told, fund=told, pop=told, lookup=None, silent=told, may_transfer=told)
    port = _Port()
    switch.attach(port)
    switch.carry_out(TENANT, ef.EndDialog(leg="c.1", dialog="one\x85\nnoise\nthree", cause="restart", trunk=line.id))
    proof = DigestCredentials("4989", "geheim")
    assert port.asked == [
        ("restore", "c.1/restart1", "one\x85", proof, True),
        ("end", "c.1/restart1", ENDED),
        ("restore", "c.1/restart3", "three", proof, True),
        ("end", "c.1/restart3", ENDED),
    ]
    assert switch.counters == {"dialogs_ended_after_restart": 2, "dialogs_ended_after_restart_failed": 1}
