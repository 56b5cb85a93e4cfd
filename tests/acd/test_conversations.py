"""Consultation, conference and supervision over real phones: by the desk, by keys, by feature code; what each leaves in the record.

What is heard is measured for two in conversation; who hears whom of more is looked at in what the core declares.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import AgentId, CallId, LegId
from acd.errors import DialRefused, NoSuchNumber, PriceRefused
from acd.journal import read
from acd.ledger import instant
from acd.service import DialRules
from load.phones import PhoneCall, SyntheticPhone
from tests.acd.voice import TENANT, Running, agent, running, setup

pytestmark = pytest.mark.slow
ANNA, BEN, SOPHIE = AgentId("anna"), AgentId("ben"), AgentId("sophie")
KEY_MS = 40
"""RFC 4733 has no shortest; ITU-T Q.24 takes 40 ms for a key."""
QUICK_S = 8.0


class House:
    """Anna takes what comes to 601; ben and sophie have phones and no skills, sophie may supervise."""

    def __init__(self, service: Running, **phones: SyntheticPhone) -> None:
        self.service = service
        self.phones = phones
        self.events: list[ev.Event] = []

    async def keep(self) -> None:
        """What happens, in order."""
        async for live in self.service.stream(TENANT):
            self.events.append(live.event)  # type: ignore[arg-type]

    async def until(self, kind: type, times: int = 1, **having: object) -> list:
        """Wait until something has happened so often; what is looked for may have happened already."""
        async with asyncio.timeout(QUICK_S):
            while len(found := [one for one in self.events if isinstance(one, kind) and _has(one, having)]) < times:
                await asyncio.sleep(0.01)
        return found

    async def do(self, kind: type[inp.Command], **given: object) -> tuple[ev.Event, ...]:
        return await self.service.voice.command(TENANT, kind(**{"agent": ANNA, "call": self.call} | given))

    @property
    def call(self) -> CallId:
        return next(one.id for one in self.service.voice.live(TENANT).calls if one.direction == "inbound")

    def doing(self) -> dict[str, str]:
        (call,) = self.service.voice.live(TENANT).calls
        return {party.agent or "caller": party.doing for party in call.parties}

    async def talks(self) -> tuple[PhoneCall, PhoneCall]:
        """Somebody has called, and anna has answered: the caller's call and anna's."""
        self.events.clear()
        caller = await (await self.service.caller()).call("601")
        anna = await self.phones["anna"].incoming()
        await anna.answer()
        await self.until(ev.CallEstablished)
        return caller, anna

    async def over(self, caller: PhoneCall) -> None:
        caller.hang_up()
        await self.until(ev.CallCleared)


def _has(event: object, having: dict[str, object]) -> bool:
    return all(getattr(event, name) == value for name, value in having.items())


@contextlib.asynccontextmanager
async def house(directory, **changes) -> AsyncIterator[House]:
    people = (agent("anna", "11"), agent("ben", "12", skills={}), agent("sophie", "13", skills={}, may_supervise=True))
    async with running(directory, setup(agents=people, **changes)) as service:
        phones = {name: await service.phone(name) for name in ("anna", "ben", "sophie")}
        await service.voice.command(TENANT, inp.LogOn(agent=ANNA, ready=True))
        made = House(service, **phones)
        keeping = asyncio.create_task(made.keep())
        await asyncio.sleep(0)
        try:
            yield made
        finally:
            keeping.cancel()


TO_BEN = conf.ToAgent(agent=BEN)


async def hear_each_other(a: PhoneCall, b: PhoneCall, hz: tuple[int, int], seconds: float = 0.3) -> None:
    await asyncio.gather(a.hears_tone(hz[1], 5), b.hears_tone(hz[0], 5), a.send_tone(hz[0], seconds), b.send_tone(hz[1], seconds))


def by_hand(directory, call: CallId) -> tuple[int, int]:
    """Talk and hold of a conversation in ms, from the journal: from a consultation to its end it is on hold."""
    talk = hold = 0
    since, holds, is_up = None, False, False
    for entry in read(directory):
        at = instant(entry.now)
        for event in entry.events:
            before = (is_up, holds)
            match event:
                case ev.CallEstablished(call=one) if one == call:
                    is_up = True
                case ev.CallConsulted(call=one) if one == call:
                    holds = True
                case ev.ConsultationEnded(call=one) if one == call:
                    holds = False
                case ev.CallCleared(call=one) if one == call:
                    is_up = False
            if before != (is_up, holds):
                spent = round((at - since).total_seconds() * 1000) if since is not None and before[0] else 0
                talk, hold = (talk, hold + spent) if before[1] else (talk + spent, hold)
                since = at
    return talk, hold


async def test_attended_transfer_and_back_by_desk_and_by_keys_and_the_record_says_so(tmp_path):
    async with house(tmp_path) as here:
        # By the desk: asked, answered, handed over.
        caller, anna = await here.talks()
        first = here.call
        await here.do(inp.Consult, target=TO_BEN)
        asked = await here.phones["ben"].incoming()
        assert (asked.calling, here.doing()) == ("+498955555", {"caller": "held", "anna": "consulting", "ben": "asked"})
        await asked.answer()
        await here.until(ev.LegConnected, times=3)
        await hear_each_other(anna, asked, (600, 900))
        await here.do(inp.CompleteTransfer)
        await anna.ended()
        await hear_each_other(caller, asked, (700, 1100))
        assert here.doing() == {"caller": "talking", "ben": "talking"}
        assert set(here.service.voice.parts(TENANT)[first]) == {"anna", "ben"}  # she had one, which who connects now is told too
        await here.over(caller)
        await asked.ended()

        # By the keys: asked, back to the caller, asked again, conference, who made it hangs up.
        caller, anna = await here.talks()
        second = here.call
        await anna.press("**212#", KEY_MS)
        asked = await here.phones["ben"].incoming()
        await asked.answer()
        await here.until(ev.LegConnected, times=3)
        await anna.press("**1", KEY_MS)
        await asked.ended()
        await here.until(ev.ConsultationEnded, then="returned")
        assert here.doing() == {"caller": "talking", "anna": "talking"}
        await here.do(inp.Consult, target=TO_BEN)
        asked = await here.phones["ben"].incoming()
        await asked.answer()
        await here.until(ev.LegConnected, times=4)
        await anna.press("**3", KEY_MS)
        await here.until(ev.ConsultationEnded, then="conference")
        assert set(here.doing().values()) == {"talking"}
        anna.hang_up()
        await here.until(ev.LegCleared, times=2)
        assert here.doing() == {"caller": "talking", "ben": "talking"}
        asked.hang_up()
        await caller.ended()
        await here.until(ev.CallCleared)

        records = {entry.cdr.id: entry.cdr for entry in await here.service.cdrs(2)}
        journal = tmp_path / "journal"
        attended = records[first]
        assert (attended.talk_ms, attended.hold_ms) == by_hand(journal, first)
        assert attended.hold_ms > 300
        assert (attended.agent, attended.queue, attended.transferred_by) == ("anna", "support", ("agent:anna",))
        kinds = {name: [one.kind for one in attended.segments if one.leg == leg.leg] for name, leg in _legs(attended).items()}
        assert [kind for kind in kinds["caller"] if kind in {"talk", "hold"}] == ["talk", "hold", "talk"]
        assert "consult" in kinds["anna"]
        assert [kind for kind in kinds["ben"] if kind != "ring"] == ["consult", "talk"]
        for cdr in records.values():
            assert cdr.talk_ms + cdr.hold_ms + cdr.ring_ms + cdr.wait_ms + cdr.treatment_ms + cdr.setup_ms == cdr.duration_ms
        assert records[second].transferred_by == ()


def _legs(cdr) -> dict[str, object]:
    return {leg.agent or "caller": leg for leg in cdr.legs}


@dataclass(frozen=True)
class Asking:
    """Anna has put the caller on hold, and ben's phone rings."""

    here: House
    caller: PhoneCall
    anna: PhoneCall
    asked: PhoneCall


async def refuses(at: Asking) -> None:
    at.asked.decline(486)


async def asked_hangs_up(at: Asking) -> None:
    await at.asked.answer()
    await at.here.until(ev.LegConnected, times=3)
    at.asked.hang_up()


async def reconnects(at: Asking) -> None:
    await at.here.do(inp.Reconnect)
    await at.asked.ended()


async def caller_hangs_up(at: Asking) -> None:
    await at.asked.answer()
    await at.here.until(ev.LegConnected, times=3)
    at.caller.hang_up()


async def consulting_hangs_up(at: Asking) -> None:
    at.anna.hang_up()
    await at.here.until(ev.ConsultationEnded, then="handed_on")
    await at.asked.answer()


async def completes_before_the_answer(at: Asking) -> None:
    await at.here.do(inp.CompleteTransfer)
    await at.asked.answer()
    await at.anna.ended()


Turn = Callable[[Asking], Awaitable[None]]


async def test_whatever_becomes_of_a_consultation_two_are_left_who_hear_each_other(tmp_path):
    """Each row: what happens while ben's phone rings, and who is left."""
    rows: list[tuple[Turn, set[str]]] = [
        (refuses, {"caller", "anna"}),
        (asked_hangs_up, {"caller", "anna"}),
        (reconnects, {"caller", "anna"}),
        (caller_hangs_up, {"anna", "ben"}),
        (consulting_hangs_up, {"caller", "ben"}),
        (completes_before_the_answer, {"caller", "ben"}),
    ]
    async with house(tmp_path) as here:
        for turn, left in rows:
            caller, anna = await here.talks()
            await here.do(inp.Consult, target=TO_BEN)
            asked = await here.phones["ben"].incoming()
            await turn(Asking(here, caller, anna, asked))
            async with asyncio.timeout(QUICK_S):
                while here.doing() != dict.fromkeys(left, "talking"):
                    await asyncio.sleep(0.01)
            calls = {"caller": caller, "anna": anna, "ben": asked}
            a, b = (calls[name] for name in sorted(left))
            assert {name for name, one in calls.items() if one.is_up} == left
            a.hang_up()
            await b.ended()
            await here.until(ev.CallCleared)
        assert len(await here.service.cdrs(len(rows))) == len(rows)


async def test_consultation_outside_is_looked_at_before_anybody_is_held(tmp_path):
    async with house(tmp_path) as here:
        caller, anna = await here.talks()
        allowed = msgspec.structs.replace(
            here.service.voice._directory.setups[TENANT], dialling=DialRules(classes=frozenset({"geographic"}))
        )
        await here.service.voice.configure(allowed)
        for number, refusal in (("+33142345678", DialRefused), ("+499009123456", PriceRefused), ("77", NoSuchNumber)):
            with pytest.raises(refusal):
                await here.do(inp.Consult, target=conf.ToOutside(number=number))
        assert await here.until(ev.CallConsulted, times=0) == []
        await anna.press("**277#", KEY_MS)  # by keys the call is placed and refused: the caller is back
        await here.until(ev.ConsultationEnded, then="returned")
        assert here.doing() == {"caller": "talking", "anna": "talking"}
        await anna.press("**20331421#", KEY_MS)  # written as the house writes every number
        await here.until(ev.ConsultationEnded, times=2)
        assert [one.to for one in await here.until(ev.CallConsulted, times=2)] == ["77", "+49331421"]
        await here.over(caller)


async def test_supervision_by_desk_and_by_feature_code_with_the_keys_of_its_modes(tmp_path):
    async with house(tmp_path, supervision_notice=False) as here:
        caller, anna = await here.talks()
        call = here.call
        await here.do(inp.Supervise, agent=SOPHIE, mode="listen")
        phone = await here.phones["sophie"].incoming()
        await phone.answer()
        await here.until(ev.LegConnected, times=3)
        (leg,) = [one.leg for one in here.events if isinstance(one, ev.SupervisionBegan)]
        assert here.doing() == {"caller": "talking", "anna": "talking", "sophie": "supervising"}
        assert declared(here, call) == {("0", "1"), ("1", "0"), ("2", "0"), ("2", "1")}
        await here.do(inp.HangUp, agent=SOPHIE)
        await phone.ended()
        await here.until(ev.LegCleared, leg=LegId(leg))
        await hear_each_other(caller, anna, (700, 1100), 0.8)  # anna's tone of being heard is over by then

        dialled = await here.phones["sophie"].call("*2711")
        await dialled.answered()
        dialled.hang_up()
        phone = await here.phones["sophie"].incoming()
        await phone.answer()
        for key, mode, more in (
            ("6", "barge", {("0", "3"), ("1", "3"), ("3", "0"), ("3", "1")}),
            ("4", "listen", {("3", "0"), ("3", "1")}),
            ("5", "whisper", {("3", "0"), ("3", "1"), ("1", "3")}),
        ):
            await phone.press(key, KEY_MS)
            await here.until(ev.SupervisionChanged, mode=mode)
            assert declared(here, call) == {("0", "1"), ("1", "0")} | more
        phone.hang_up()
        await phone.ended()
        await here.over(caller)
        records = [entry.cdr for entry in await here.service.cdrs(2)]
        (record,) = [one for one in records if one.direction == "inbound"]
        assert (record.talk_ms, record.hold_ms) == by_hand(tmp_path / "journal", call)
        listened = [leg for leg in record.legs if leg.role == "supervisor"]
        assert len(listened) == 2
        for one in listened:
            kinds = {segment.kind for segment in record.segments if segment.leg == one.leg}
            assert "supervise" in kinds
        figures = here.service.voice.figures()
        assert figures['fernamt_conversations_total{tenant="demo",kind="supervision"}'] == 2


def declared(here: House, call: CallId) -> set[tuple[str, str]]:
    """Who hears whom, as the media worker was told."""
    return {(a.rpartition(".")[2], b.rpartition(".")[2]) for a, b in here.service.voice.switch.rooms._declared[call]}
