"""The house `given`: one tenant whose inputs no telephone sent. They are given to the release's engine and written by its journal.

Here is what real phones can hardly be made to do at a known moment: clocks that step, budgets that run out, answers that cross a CANCEL,
media workers that break off. Imported by `scenario`, with the release's own code on the path; what phones, trunks and the media plane do
there is the shell of the release's own tests (`tests/acd/core/shell.py`), in virtual time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import msgspec

from acd.core import inputs as i
from acd.core.configuration import (
    Agent,
    Exception_,
    FeatureCodes,
    Forwarding,
    Menu,
    MissLimits,
    Number,
    Opening,
    Overflow,
    Queue,
    Reason,
    Relaxation,
    Schedule,
    Site,
    SkillRequirement,
    TenantConfiguration,
    ToAgent,
    ToAnnouncement,
    ToHangUp,
    ToMenu,
    ToOutside,
    ToQueue,
    Trunk,
)
from acd.core.configuration_changes import difference
from acd.core.engine import Engine
from acd.journal import Journal
from tests.acd.core.shell import QUALITY, QUOTE, Phone, Shell

TENANT = "pruefstand"
BERLIN = "+493023125"
MOBILE = "+4917139200"
SUPPORT = f"{BERLIN}001"
FORWARDED = f"{BERLIN}002"
BLEAK = f"{BERLIN}003"
NEVER = Phone(answers_after_s=None)
PEOPLE = (
    Agent(id="anna", name="Anna Prüfer", extension="11", device="anna@pruefstand.example", skills={"support": 9}, site="hall"),
    Agent(id="ben", name="Ben Prüfer", extension="12", device="ben@pruefstand.example", skills={"support": 5}, site="hall"),
    Agent(id="cem", name="Cem Prüfer", extension="13", device="cem@pruefstand.example", forwarding=Forwarding(busy=f"{MOBILE}13")),
    Agent(
        id="dora",
        name="Dora Prüfer",
        extension="14",
        device="dora@pruefstand.example",
        mode="inbound",
        languages=("de", "en"),
        auto_answer=True,
        after_call_work_s=3.0,
        channel_kbits=130,
        outbound_caller_id=f"{BERLIN}014",
        forwarding=Forwarding(always="", no_answer=f"{MOBILE}14", unregistered=f"{MOBILE}14"),
    ),
    Agent(id="emil", name="Emil Prüfer", extension="15", device="emil@pruefstand.example", trunk="pbx", reached_at="4015"),
)
CROWD = tuple(
    Agent(id=f"crowd{at}", name=f"Helfer {at}", device=f"crowd{at}@pruefstand.example", trunk="pbx", reached_at=f"41{at:02}")
    for at in range(1, 35)
)
"""More than a decision lists in full."""


def configuration() -> TenantConfiguration:
    """Every kind of value there is."""
    morning = tuple(Opening(weekday=day, opens=480, closes=720) for day in range(5))
    return TenantConfiguration(
        tenant=TENANT,
        agents=PEOPLE + CROWD,
        language="en",
        recording_notice=False,
        sites=(Site(id="hall", upload_kbits=1_000, probe_phones_every_s=30.0, probe_misses=2, force_rport=True),),
        trunks=(
            Trunk(id="carrier", name="Netzbetreiber", redirects=2, upload_kbits=4_000),
            Trunk(id="narrow", name="Schmale Leitung", order=1, upload_kbits=50),
            Trunk(id="second", name="Ausweichleitung", order=2, own_carrier=True),
            Trunk(id="pbx", name="Telefonanlage", order=8, outbound=False, internal=True, channel_kbits=80),
        ),
        schedules=(
            Schedule(
                id="mornings",
                openings=morning,
                holiday_region="DE-BE",
                exceptions=(Exception_(date=dt.date(2025, 6, 16), openings=((540, 600),)),),
            ),
        ),
        queues=(
            Queue(
                id="support",
                name="Hilfe",
                requirements=(SkillRequirement(skill="support", level=7),),
                relaxations=(Relaxation(after_s=8.0, requirements=(SkillRequirement(skill="support", level=3),)),),
                record=True,
                overflow=(Overflow(target=ToAnnouncement(sounds=("all_busy",)), max_length=1),),
                miss_limits=MissLimits(no_answer=2, busy=1),
                exit_key="0",
                exit_target=ToAgent(agent="cem"),
            ),
            Queue(id="mornings", name="Vormittags", members=("cem", "dora"), schedule="mornings", strategy="ring_all", closed=ToHangUp()),
            Queue(id="crowd", name="Alle", members=tuple(one.id for one in CROWD)),
            Queue(
                id="own",
                name="Ganz eigen",
                members=("ben",),
                strategy="best_skill",
                priority_s=30.0,
                priority_cap_s=60.0,
                ring_timeout_s=4.0,
                redirect_on_no_answer="stay_ready",
                miss_limits=MissLimits(unreachable=2, failed=3, declined=4, forwarded=5),
                after_call_work_s=1.0,
                short_abandon_s=2.0,
                service_level_s=10.0,
                overflow=(
                    Overflow(target=ToQueue(queue="crowd"), no_agents=True),
                    Overflow(target=ToOutside(number=f"{MOBILE}09"), max_wait_s=300.0),
                ),
                greeting=(),
                music="music/own",
                announce_position=False,
                announce_every_s=60.0,
                country_languages=False,
            ),
        ),
        menus=(
            Menu(
                id="main",
                sounds=("menu",),
                options={"1": ToQueue(queue="support"), "3": ToOutside(number=f"{MOBILE}03")},
                timeout_s=5.0,
                repeats=1,
                invalid_sounds=("other",),
                fallback=ToQueue(queue="own"),
                schedule="mornings",
                closed=ToHangUp(),
            ),
            Menu(id="open", sounds=("menu",), options={"1": ToQueue(queue="support"), "3": ToOutside(number=f"{MOBILE}03")}),
        ),
        numbers=(
            Number(number=SUPPORT, target=ToQueue(queue="support"), language="en", country="GB", geographic=False),
            Number(number=FORWARDED, target=ToOutside(number=f"{MOBILE}01")),
            Number(number=BLEAK, target=ToHangUp()),
            Number(number="600", target=ToMenu(menu="open")),
            Number(number="602", target=ToQueue(queue="crowd")),
            Number(number="603", target=ToQueue(queue="own")),
            Number(number="604", target=ToMenu(menu="main")),
            Number(number="601", target=ToQueue(queue="mornings")),
            Number(number="611", target=ToAgent(agent="anna")),
        ),
        reasons=(Reason(code="break", name="Pause"), Reason(code="errand", name="Botengang")),
        feature_codes=FeatureCodes(waiting="*29"),
    )


class Bench:
    """The tenant, its calls by name."""

    def __init__(self) -> None:
        self.shell = Shell(Engine(TENANT))
        self.send = self.shell.send
        self.run = self.shell.run

    def call(self, name: str, called: str, calling: str | None = f"{BERLIN}700", **more: Any) -> None:
        self.send(i.CallArrived(call=name, leg=f"{name}-in", trunk="carrier", calling=calling, called=called, dialog=f"d-{name}", **more))

    def dials(self, name: str, agent: str, called: str, **more: Any) -> None:
        self.send(i.CallArrived(call=name, leg=f"{name}-in", agent=agent, calling=agent, called=called, dialog=f"d-{name}", **more))

    def hangs_up(self, leg: str, **more: Any) -> None:
        self.send(i.LegReleased(leg=leg, **more))
        self.run(1)

    def change(self, **new: Any) -> None:
        """A change of the set-up, told as what differs."""
        before = self.shell.engine.state.configuration
        assert before is not None
        self.send(i.Reconfigured(changes=difference(before, msgspec.structs.replace(before, **new))))

    def everybody(self, **told: Any) -> None:
        """Phones that answer after two seconds, unless told otherwise."""
        self.shell.phones = dict(told)

    def talking(self, name: str, **told: Any) -> None:
        """A caller who talks to anna on `<name>.1`."""
        self.everybody(**told)
        self.call(name, SUPPORT)
        self.run(7)
        assert self.shell.engine.state.calls[name].parties == [f"{name}-in", f"{name}.1"], name


def play(bench: Bench) -> None:
    """Everything, one after the other."""
    bench.send(i.ServiceStarted(), i.Reconfigured(changes=difference(None, configuration())))
    for one in PEOPLE[:4]:
        contact = f"sip:{one.id}@192.0.2.1"
        bench.send(i.DeviceRegistered(agent=one.id, contact=contact, expires_at=bench.shell.now + 1e6, flow="udp", user_agent="Prüf/1"))
        bench.send(i.LogOn(agent=one.id, ready=one.id == "anna", by=None if one.id == "anna" else "sabine"))
    bench.send(i.TrunkChanged(trunk="pbx", up=False, detail="408"), i.TrunkChanged(trunk="pbx", up=True))
    _queue(bench)
    _conversation(bench)
    _referrals(bench)
    _outside(bench)
    _codes(bench)
    _house(bench)
    _restart(bench)
    _left_up(bench)


def _queue(bench: Bench) -> None:
    bench.everybody(anna=NEVER)
    bench.call("missed", SUPPORT, withheld=f"{BERLIN}799", calling_name="Erika Muster")
    bench.run(4)
    bench.call("turned-away", SUPPORT, None)
    bench.send(i.GoReady(agent="ben"))
    bench.run(30)  # anna's phone rings out; the relaxation brings ben
    bench.hangs_up("missed-in")
    bench.run(15)
    bench.everybody()
    for one in CROWD:
        bench.send(i.LogOn(agent=one.id, ready=True))
    bench.send(i.GoNotReady(agent="ben", reason="break"))
    bench.call("ahead", "603")  # more urgent than the next one, and nobody is free for it
    bench.run(1)
    bench.call("crowded", "602")
    bench.run(8)
    bench.send(i.GoReady(agent="ben", by="sabine"))
    bench.run(5)
    for name in ("crowded", "ahead"):
        bench.hangs_up(f"{name}-in")
    bench.everybody(anna=Phone(fails="busy"))
    bench.send(i.GoReady(agent="anna"), i.GoNotReady(agent="ben", reason="break", by="sabine"))
    bench.call("busy", SUPPORT)
    bench.run(6)
    bench.hangs_up("busy-in", cause="cancelled")
    bench.send(i.GoReady(agent="anna"))
    bench.call("leaves", SUPPORT)
    bench.send(i.DigitPressed(leg="leaves-in", digit="0"))
    bench.run(4)
    bench.hangs_up("leaves-in", q850=16)
    bench.call("morning", "601")
    bench.run(1)
    bench.call("own-hours", "604")
    bench.run(1)
    bench.call("voiceless", "600")
    bench.run(0.5)
    bench.send(i.SoundsEnded(leg="voiceless-in", play=bench.shell.plays["voiceless-in"].play, outcome="unknown_sound"))
    bench.hangs_up("voiceless-in")
    bench.call("wide", "611", channel_kbits=5_000)
    bench.run(1)


def _conversation(bench: Bench) -> None:
    bench.send(i.GoReady(agent="anna"))
    bench.talking("long")
    leg = "long.1"
    bench.send(i.SignOfLife(), i.LegHeldByParty(leg=leg), i.Hold(agent="anna", call="long", by="sabine"))
    bench.send(i.LegRetrievedByParty(leg=leg), i.Retrieve(agent="anna", call="long", by="sabine"))
    bench.send(i.SetDisposition(agent="anna", call="long", code="1", by="sabine"), i.DigitPressed(leg="long-in", digit="4"))
    bench.shell.break_off("long/r1")
    bench.run(3)
    bench.send(i.LogOff(agent="anna", by="sabine"), i.HangUp(agent="anna", call="long", by="sabine"), i.SignOfLife())
    bench.run(30)
    bench.send(i.LogOn(agent="anna", ready=True))
    bench.talking("cleared")
    bench.send(i.ClearCall(call="cleared", by="sabine"), i.EndAfterCallWork(agent="anna", by="sabine"))
    bench.everybody(anna=NEVER)
    bench.call("desk", SUPPORT)
    bench.run(5)
    bench.send(i.Answer(agent="anna", by="sabine"))
    bench.run(1)
    bench.send(i.Transfer(agent="anna", call="desk", target=ToQueue(queue="support"), by="sabine"), i.EndAfterCallWork(agent="anna"))
    bench.run(1)
    bench.send(i.Decline(agent="anna", by="sabine"))
    bench.hangs_up("desk-in")
    bench.send(i.GoReady(agent="anna"))
    bench.talking("sent-out")
    bench.send(i.Transfer(agent="anna", call="sent-out", target=ToOutside(number=f"{MOBILE}06"), by="sabine"))
    bench.run(5)
    bench.hangs_up("sent-out-in")
    bench.run(15)


def _referrals(bench: Bench) -> None:
    for name, target, told in (("refer-12", "12", Phone()), ("refer-busy", "12", Phone(fails="busy")), ("refer-600", "600", Phone())):
        bench.send(i.GoReady(agent="anna"))
        bench.talking(name, ben=told)
        bench.send(i.LegReferred(leg=f"{name}.1", number=target, colleague="ben" if target == "12" else None))
        bench.run(5)
        bench.hangs_up(f"{name}-in")
        bench.run(15)


def _outside(bench: Bench) -> None:
    bench.everybody(carrier=Phone(alerts=False, answers_after_s=None))
    bench.call("early", FORWARDED)
    bench.send(i.EarlyMediaArrived(leg="early.1", dialog="d-early.1"), i.LegAnswered(leg="early.1", dialog="d-early.1"))
    bench.send(i.CreditEnds(leg="early.1", at=bench.shell.now + 60.0, reason="The budget of 5.00 EUR is used up then."))
    bench.send(i.CreditEnds(leg="early.1", at=None, reason="There is more again."))
    bench.send(i.CreditEnds(leg="early.1", at=bench.shell.now + 40.0, reason="The budget of 5.00 EUR is used up then."))
    bench.run(45)
    bench.call("moved", FORWARDED)
    bench.send(i.LegFailed(leg="moved.1", cause="redirected", status=302, moved_to=f"{MOBILE}02", q850=22))
    bench.run(1)
    bench.hangs_up("moved-in")
    bench.send(i.LegAnsweredLate(leg="moved.2", call="moved"))
    bench.everybody(carrier=NEVER, second=NEVER)
    for number in range(11):
        bench.call(f"round{number}", FORWARDED)
    bench.send(i.LegFailed(leg="round9.1", cause="congestion", status=503, detail="as busy as can be"))
    for number in range(11):
        bench.hangs_up(f"round{number}-in", cause="cancelled")
    bench.everybody()
    bench.send(i.Dial(agent="anna", call="click", number=f"{MOBILE}05", quote=QUOTE, by="sabine"))
    bench.run(8)
    bench.hangs_up("click.1")
    bench.dials("stranger", "anna", "frieda", unknown="nobody")
    bench.dials("colleague", "anna", "15", colleague="emil")
    bench.run(3)
    bench.hangs_up("colleague-in")
    bench.dials("help", "anna", "112")
    bench.run(3)
    bench.hangs_up("help-in")
    bench.run(15)


def _codes(bench: Bench) -> None:
    for name, code in (
        ("break", "*21"),
        ("errand", "*212"),
        ("ready", "*20"),
        ("tag", "*234"),
        ("waits", "*29"),
        ("off", "*22"),
        ("on", "*22"),
    ):
        bench.dials(f"code-{name}", "dora", code)
        bench.run(20)
    for name, who, outcome in (("wrong", "ben", "wrong"), ("wait", "ben", "wait"), ("right", "ben", "right"), ("taken", "cem", "right")):
        bench.dials(f"seat-{name}", "dora", f"*25{'12' if who == 'ben' else '13'}", has_pin=outcome == "wait")
        bench.run(3)
        bench.send(i.PinJudged(leg=f"seat-{name}-in", agent=who, outcome=outcome))
        bench.run(20)
    bench.dials("seat-silent", "anna", "*2512")
    bench.run(60)
    bench.dials("seat-strange", "anna", "*25?")
    bench.run(20)
    bench.dials("seat-left", "dora", "*25")
    bench.run(20)
    bench.dials("seat-again", "dora", "*2512", has_pin=True)
    bench.send(i.PinJudged(leg="seat-again-in", agent="ben", outcome="right"))
    bench.run(20)


def _house(bench: Bench) -> None:
    """Changes, one collection after the other; a phone that is away; clocks."""
    for answers in (False, True):
        bench.send(i.DeviceProbed(agent="anna", contact="sip:anna@192.0.2.1", answers=answers, detail=None if answers else "408"))
    bench.send(i.DeviceUnregistered(agent="cem", contact="sip:cem@192.0.2.1", why="expired"))
    bench.send(i.LegAlerting(leg="nobody"), i.QualityMeasured(leg="nobody", quality=QUALITY), i.LegPriced(leg="nobody", quote=QUOTE))
    now = bench.shell.engine.state.configuration
    assert now is not None
    whole = (
        Schedule(id="always", timezone="America/New_York", openings=tuple(Opening(weekday=d, opens=0, closes=1440) for d in range(7))),
    )
    codes = FeatureCodes(ready="*70", not_ready="*71", log_on_or_off="*72", tag="*73", waiting="*74", hot_desk="*75")
    bench.change(language="de", recording_notice=True, feature_codes=codes)
    bench.change(schedules=whole + now.schedules)
    bench.change(agents=(*now.agents[:-1], msgspec.structs.replace(now.agents[-1], skills={"support": 2})))
    bench.change(sites=(*now.sites, Site(id="attic", upload_kbits=100)), reasons=(*now.reasons[::-1], Reason(code="lunch", name="Mittag")))
    bench.change(
        trunks=(*now.trunks, Trunk(id="third", name="Dritte", order=3)), menus=(*now.menus, Menu(id="more", sounds=(), options={}))
    )
    opened, others = msgspec.structs.replace(now.queues[1], schedule="always"), now.queues[2:]
    bench.change(queues=(now.queues[0], opened, *others), numbers=(*now.numbers, Number(number="605", target=ToMenu(menu="more"))))
    left = msgspec.structs.replace(opened, members=("cem",))
    bench.change(agents=tuple(one for one in now.agents if one.id != "dora"), queues=(now.queues[0], left, *others))
    bench.change(numbers=now.numbers, menus=now.menus)
    whole_again = bench.shell.engine.state.configuration
    assert whole_again is not None
    bench.send(i.Configured(configuration=msgspec.structs.replace(whole_again, recording_notice=False)))
    bench.send(i.GoReady(agent="anna"))
    bench.talking("stepped")
    for by_s in (7200.0, -3599.5):
        bench.shell.now += by_s
        bench.send(i.ClockStepped(by_s=by_s))
        bench.run(5)
    bench.hangs_up("stepped-in", cause="media_silent")
    bench.run(20)
    bench.change(queues=(now.queues[0], msgspec.structs.replace(left, schedule="mornings"), *others), schedules=now.schedules)
    bench.run(43_200)  # a midnight, and business hours


def _restart(bench: Bench) -> None:
    """Cut in mid-call with a recording; what the media worker kept comes with the start. Then stopped in order with a call up, and a caller
    who comes too late."""
    bench.send(i.GoReady(agent="anna"))
    bench.talking("cut")
    bench.send(i.SignOfLife())
    bench.shell.now += 600.0
    kept = i.RecordingEnded(recording="cut/r1", path="/var/lib/fernamt/cut.wav", duration_ms=2_000, error="cut short", broke_off=True)
    bench.send(i.ServiceStarted(measured=(i.QualityMeasured(leg="cut.1", quality=QUALITY),), recordings=(kept,)))
    bench.run(1)
    bench.send(i.GoReady(agent="anna"))
    bench.talking("stopped")
    bench.send(i.ServiceStopping())
    bench.call("late", SUPPORT)
    bench.run(1)


def _left_up(bench: Bench) -> None:
    """Under way at the last entry: a budget that runs out and a hold, a transfer by REFER, early media, a PIN that is awaited."""
    bench.shell.now += 60.0
    bench.send(i.ServiceStarted())
    bench.send(i.EndAfterCallWork(agent="anna"), i.GoReady(agent="ben"))
    bench.everybody(carrier=Phone(alerts=False, answers_after_s=None))
    bench.call("limited", FORWARDED)
    bench.send(i.LegAnswered(leg="limited.1", dialog="d-limited.1"), i.LegHeldByParty(leg="limited-in"))
    bench.send(i.CreditEnds(leg="limited.1", at=bench.shell.now + 3_600.0, reason="The budget of 5.00 EUR is used up then."))
    bench.call("heard-early", FORWARDED)
    bench.send(i.EarlyMediaArrived(leg="heard-early.1", dialog="d-heard-early.1"))
    bench.talking("sent-on", ben=NEVER)
    bench.send(i.LegReferred(leg="sent-on.1", number="12", colleague="ben"))
    bench.dials("pin", "cem", "*7513")
    bench.run(1)
    bench.send(i.SignOfLife())


async def written(folder: Path) -> None:
    """Play it, and have the journal written in `folder`."""
    bench = Bench()
    play(bench)
    failures: list[OSError] = []
    journal = Journal(folder, asyncio.get_running_loop(), failures.append)
    for seq, entry in enumerate(bench.shell.journal, 1):
        journal.append(msgspec.structs.replace(entry, seq=seq, input=i.to_journal(entry.input)), lambda: None)
    await journal.close()
    assert not failures
