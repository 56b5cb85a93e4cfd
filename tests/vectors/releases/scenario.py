"""The calls that make a vector: two houses with made-up people, played with real phones against the service of a release.

Imported by `make_release` only, with the release's own code on the path. Every number is from the ranges the Bundesnetzagentur keeps
for fiction (+49 30 23125 xxx, +49 171 39200 xx).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import given

from load.api_client import ApiClient, ApiError
from load.phone_bank import PhoneBank
from load.phones import CallFailed, PhoneCall, SyntheticPhone
from tests.journeys.service import ADMIN, OPERATOR, ServiceProcess
from tests.ports import HOST, free_port

DEVICE = "device-secret-0815"
USER = "user-secret-0815"
PIN = "4719"
LIMIT_S = 20.0
BERLIN = "+493023125"
MOBILE = "+4917139200"
CARRIER = f"{BERLIN}900"
"""Answers every call that goes outside."""
UNPRICED = "+4911861"
"""A directory enquiry service: the house plan has no price for it."""
ALWAYS = [{"weekday": day, "opens": "00:00", "closes": "24:00"} for day in range(7)]
KINDS = ("queues", "menus", "numbers", "schedules", "sites", "trunks", "reasons", "agents")


class Stage:
    """A running house and who plays in it: callers in the network, the carrier, the tenant's own PBX."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self.callers = PhoneBank(HOST)
        self.carrier_port, self.pbx_port, self.backup_port = free_port(), free_port(), free_port()
        self.carrier = PhoneBank(HOST, self.carrier_port)
        self.pbx = PhoneBank(HOST, self.pbx_port)
        self.desks: dict[str, Desk] = {}
        self._numbers = itertools.cycle(range(700, 800))
        self._open: list[SyntheticPhone] = []

    async def start(self) -> None:
        for bank in (self.callers, self.carrier, self.pbx):
            await bank.start()
        self.far = await self._phone("carrier", self.carrier, takes_all=True)
        self.extension = await self._phone("pbx", self.pbx, takes_all=True)
        await self.operator()

    async def operator(self) -> None:
        await self.service.call(self.service.api.log_in, "operator", OPERATOR)

    async def _phone(self, user: str, bank: PhoneBank | None, **options: Any) -> SyntheticPhone:
        phone = SyntheticPhone(self.service.sip, user=user, bank=bank, **options)
        await phone.start()
        self._open.append(phone)
        return phone

    async def caller(self, number: str | None = None) -> SyntheticPhone:
        """Somebody in the telephone network."""
        return await self._phone(number or f"{BERLIN}{next(self._numbers)}", self.callers)

    async def device(self, username: str) -> SyntheticPhone:
        """An agent's phone, on a port of its own."""
        return await self._phone(username, None, password=DEVICE)

    async def tenant(self, name: str, title: str, language: str = "de") -> Desk:
        given = {"id": name, "name": title, "language": language, "admin": {"username": "admin", "name": "Adele Admin", "password": ADMIN}}
        await self.service.call(self.service.api.post, "/api/v1/tenants", given)
        # What an operator gives: numbers to claim, lines of the tenant's own, calls from all of this machine, numbers that calls show.
        place = f"/api/v1/tenants/{name}"
        await self.service.call(self.service.api.put, f"{place}/assignments", {"may_claim_numbers": True, "may_have_internal_trunks": True})
        await self.service.call(self.service.api.post, f"{place}/sources", {"network": "127.0.0.0/8", "note": "this machine"})
        for shown in (f"{BERLIN}100", f"{BERLIN}122", f"{BERLIN}200"):
            await self.service.call(self.service.api.post, f"{place}/caller-ids", {"number": shown})
        desk = self.desks[name] = Desk(self, name)
        await desk.log_in()
        return desk

    async def close(self) -> None:
        for phone in self._open:
            await phone.close()
        for bank in (self.callers, self.carrier, self.pbx):
            await bank.close()
        for desk in self.desks.values():
            desk.api.close()


class Desk:
    """One tenant: its administrator at the API, its agents' phones."""

    def __init__(self, stage: Stage, tenant: str) -> None:
        self.stage = stage
        self.tenant = tenant
        self.api = ApiClient(f"http://{HOST}:{stage.service.http}")
        self.phones: dict[str, SyntheticPhone] = {}
        self.devices: dict[str, str] = {}
        self.calls = 0
        """How many conversations it has had; as many records are to be there in the end."""
        self.api_key: str | None = None

    # ------------------------------------------------------------------ API

    async def log_in(self) -> None:
        await self.stage.service.call(self.api.log_in, "admin", ADMIN, self.tenant)

    async def get(self, path: str) -> Any:
        return await self.stage.service.call(self.api.get, f"/api/v1/{path}")

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.stage.service.call(self.api.post, f"/api/v1/{path}", body)

    async def put(self, path: str, body: Any) -> Any:
        return await self.stage.service.call(self.api.put, f"/api/v1/{path}", body)

    async def delete(self, path: str) -> None:
        await self.stage.service.call(self.api.request, "DELETE", f"/api/v1/{path}")

    async def pages(self, path: str) -> list[Any]:
        found: list[Any] = []
        after = ""
        while True:
            page = await self.get(f"{path}?limit=100{after}")
            found += page["items"]
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    async def live(self) -> Any:
        return await self.get("live")

    async def until(self, holds: Callable[[Any], bool]) -> Any:
        """Wait until the live board says so."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not holds(live := await self.live()):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"{self.tenant}: {live}") from None
        return live

    async def quiet(self) -> None:
        """Wait until nobody talks, rings, waits or wraps up."""
        await self.until(lambda live: not live["calls"] and not any(one["work"] for one in live["agents"]))

    async def records(self) -> list[Any]:
        """Wait until every conversation has its record."""
        async with asyncio.timeout(LIMIT_S):
            while len(found := await self.pages("cdrs")) < self.calls:
                await asyncio.sleep(0.1)
        if len(found) != self.calls:
            raise AssertionError(f"{self.tenant}: {len(found)} records of {self.calls} calls")
        return found

    async def call_at(self, agent: str) -> str:
        """The call that is at an agent."""
        live = await self.until(lambda live: any(one["id"] == agent and one["work"] for one in live["agents"]))
        return str(next(one["work"][0]["call"] for one in live["agents"] if one["id"] == agent))

    # ------------------------------------------------------------------ configuration

    async def add(self, kind: str, **document: Any) -> None:
        await self.post(kind, document)

    async def agent(self, name: str, title: str, extension: str, **document: Any) -> None:
        created = await self.post("agents", {"id": name, "name": title, "extension": extension, "device_password": DEVICE} | document)
        self.devices[name] = created["device"]["username"]

    async def lines(self, **own: Any) -> None:
        """The network the callers come from, and the carrier."""
        from_outside = {"peer": "127.0.0.1:9", "sources": ["127.0.0.0/8"], "probe_every_s": 0, "outbound": False, "trusted": True}
        await self.add("trunks", id="callers", name="Anrufer", order=9, **from_outside)
        carrier = {"peer": f"{HOST}:{self.stage.carrier_port}", "probe_every_s": 0, "caller_id": f"{BERLIN}100", "order": 2}
        await self.add("trunks", id="carrier", name="Netzbetreiber", **carrier | own)

    async def queue(self, name: str, *members: str, **document: Any) -> None:
        plain = {"members": list(members), "after_call_work_s": 0, "ring_timeout_s": 10, "greeting": [], "announce_position": False}
        await self.add("queues", **{"id": name, "name": name.title()} | plain | document)

    async def number(self, number: str, to: str, key: str | None = None, **more: Any) -> None:
        field = {"outside": "number"}.get(to, to)
        await self.add("numbers", number=number, target={"to": to} | ({field: key} if key is not None else {}), **more)

    async def people(self) -> None:
        """Users, a key, contacts, appointments, tickets."""
        for user, title, role in (("sabine", "Sabine Schicht", "supervisor"), ("bruno", "Bruno Buchhalter", "billing")):
            await self.post("users", {"id": user, "name": title, "role": role, "password": USER})
        self.api_key = (await self.post("api-keys", {"name": "Anbindung der Kundenkartei", "role": "admin"}))["token"]
        await self.post("users", {"id": "ehemals", "name": "Egon Ehemals", "role": "billing", "password": USER})
        await self.stage.service.call(self.api.request, "PATCH", "/api/v1/users/ehemals", {"active": False})
        await self.post("api-keys", {"name": "Wandanzeige", "role": "supervisor", "expires_at": "2099-12-31T23:59:59+01:00"})
        contact = await self.post(
            "contacts",
            {
                "name": "Erika Muster",
                "company": "Muster & Söhne KG",
                "email": "erika@muster.example",
                "numbers": [f"{BERLIN}701", f"{MOBILE}01"],
                "note": "Ruft gern früh an.\nÄußerst freundlich 📞",
            },
        )
        other = await self.post("contacts", {"name": "Max Mustermann", "numbers": [f"{BERLIN}702"]})
        gone = await self.post("contacts", {"name": "Niemand Mehr"})
        await self.delete(f"contacts/{gone['id']}")
        times = {"starts_at": "2030-03-04T09:00:00+01:00", "ends_at": "2030-03-04T09:30:00.250000+01:00"}
        await self.post("appointments", {"contact": contact["id"], "title": "Rückruf zum Angebot", **times})
        ticket = await self.post("tickets", {"subject": "Kein Freizeichen", "text": "Seit heute früh.", "contact": contact["id"]})
        await self.post("tickets", {"subject": "Rechnung über 12,50 €", "contact": other["id"]})
        await self.post("tickets", {"subject": "Ohne Kontakt"})
        body = {"state": "solved", "text": "Stecker steckte nicht."}
        await self.stage.service.call(self.api.request, "PATCH", f"/api/v1/tickets/{ticket['number']}", body)

    # ------------------------------------------------------------------ agents

    async def at_work(self, *names: str) -> None:
        """Phones registered, logged on, ready."""
        for name in names:
            phone = self.phones[name] = await self.stage.device(self.devices[name])
            await phone.register(expires_s=3600)
            await self.until(lambda live, name=name: any(one["id"] == name and one["registered"] for one in live["agents"]))  # type: ignore[misc]
            await self.do(name, "log-on")
            await self.do(name, "ready")

    async def do(self, agent: str, what: str, **body: Any) -> None:
        await self.post(f"agents/{agent}/{what}", body or None)

    async def away(self, *names: str, reason: str = "errand") -> None:
        for name in names:
            await self.do(name, "not-ready", reason=reason)

    async def back(self, *names: str) -> None:
        for name in names:
            await self.do(name, "ready")

    # ------------------------------------------------------------------ calls

    async def rings(self, number: str, calling: str | None = None) -> PhoneCall:
        """Somebody calls."""
        self.calls += 1
        return await (await self.stage.caller(calling)).call(number)

    async def connected(self, number: str, agent: str, calling: str | None = None) -> tuple[PhoneCall, PhoneCall]:
        """Somebody calls, the agent takes it."""
        theirs = await self.rings(number, calling)
        mine = await self.takes(self.phones[agent])
        await theirs.answered()
        return theirs, mine

    @staticmethod
    async def takes(phone: SyntheticPhone) -> PhoneCall:
        """The next call at this phone that can still be taken."""
        while True:
            call = await phone.incoming()
            if call.ended_at is not None:
                continue
            with contextlib.suppress(CallFailed):
                await call.answer()
                return call

    async def conversation(self, number: str, agent: str, calling: str | None = None) -> None:
        """Taken, talked, hung up by the caller."""
        theirs, mine = await self.connected(number, agent, calling)
        await talk(theirs, mine)
        theirs.hang_up()
        await mine.ended()
        await self.quiet()

    async def refused(self, number: str) -> None:
        call = await self.rings(number)
        await call.ended()
        await self.quiet()

    async def told(self, number: str) -> None:
        """Answered by the exchange, told something, cleared by it."""
        call = await self.rings(number)
        await call.answered()
        await call.ended()
        await self.quiet()

    async def outside(self, call: PhoneCall, seconds: float = 0.3) -> None:
        """The carrier's side of a call that goes outside; hung up by who called."""
        theirs = await self.takes(self.stage.far)
        await call.answered()
        await talk(call, theirs, seconds)
        call.hang_up()
        await theirs.ended()
        await self.quiet()

    async def dials(self, agent: str, number: str) -> PhoneCall:
        """Click-to-dial: the agent's own phone is taken."""
        self.calls += 1
        await self.do(agent, "dial", number=number)
        return await self.takes(self.phones[agent])

    async def dials_code(self, agent: str, code: str, keys: str = "") -> None:
        """A call to the exchange itself: it says something and is over."""
        self.calls += 1
        call = await self.phones[agent].call(code)
        await call.answered()
        if keys:
            await call.press(keys)
        await call.ended()
        await self.quiet()


async def talk(one: PhoneCall, other: PhoneCall, seconds: float = 0.3) -> None:
    """Both say something; over when it is out."""
    await asyncio.gather(one.send_tone(440, seconds), other.send_tone(1000, seconds))


# ---------------------------------------------------------------------- the house that was stopped in order


async def orderly(stage: Stage) -> None:
    """Tenants `muster` (every kind of call), `kanzlei` (own plans), `praxis` (nearly nothing), `laden` (closed), `werbung`."""
    muster = await stage.tenant("muster", "Muster Versand GmbH")
    await _provision_muster(muster, stage)
    await muster.at_work("erika", "max", "ida", "otto", "nora", "paul", "lukas")
    await muster.do("rosa", "log-on", ready=True)
    await _muster_queues(muster)
    await _muster_menus_and_numbers(muster)
    await _muster_outside(muster, stage)
    await _muster_conversations(muster)
    await _kanzlei(await stage.tenant("kanzlei", "Kanzlei Beispiel & Partner", "en"), stage)
    praxis = await stage.tenant("praxis", "Praxis Dr. Probe")
    await praxis.lines()
    await praxis.queue(
        "anmeldung", strategy="fewest_calls", overflow=[{"target": {"to": "announcement", "sounds": ["all_busy"]}, "no_agents": True}]
    )
    await praxis.number(f"{BERLIN}301", "queue", "anmeldung")
    await praxis.told(f"{BERLIN}301")
    laden = await stage.tenant("laden", "Laden zum Schluss")
    await laden.lines()
    await laden.number(f"{BERLIN}401", "hang_up")
    await laden.refused(f"{BERLIN}401")
    await laden.records()
    await stage.service.call(stage.service.api.request, "DELETE", "/api/v1/tenants/laden")
    del stage.desks["laden"]
    laden.api.close()
    await _killed_in_mid_call(muster, stage)
    await _werbung(await stage.tenant("werbung", "Werbung & Umfrage"), stage)
    await _werkstatt(await stage.tenant("werkstatt", "Werkstatt am Apparat"), stage)


async def _provision_muster(desk: Desk, stage: Stage) -> None:
    await desk.put("setup", {"language": "de", "recording_notice": True})
    await desk.add("sites", id="office", upload_kbits=10_000)
    await desk.add("sites", id="attic", upload_kbits=100)
    await desk.add("schedules", id="always", openings=ALWAYS)
    never = [{"date": "2030-12-24", "openings": [{"opens": "09:00", "closes": "12:00"}]}]
    await desk.add("schedules", id="never", openings=[], holiday_region="DE-BE", exceptions=never)
    for code, title in (("errand", "Botengang"), ("parcel", "Paketannahme")):
        await desk.add("reasons", code=code, name=title)
    await desk.lines()
    backup = {"peer": f"{HOST}:{stage.backup_port}", "probe_every_s": 0.2, "answer_within_s": 0.5}
    await desk.add("trunks", id="backup", name="Ausweichleitung", order=0, **backup)
    narrow = {"peer": f"{HOST}:{stage.carrier_port}", "probe_every_s": 0, "upload_kbits": 50}
    await desk.add("trunks", id="narrow", name="Schmale Leitung", order=1, **narrow)
    pbx = {"peer": f"{HOST}:{stage.pbx_port}", "probe_every_s": 0, "internal": True, "outbound": False, "order": 8}
    await desk.add("trunks", id="pbx", name="Telefonanlage im Lager", **pbx)
    await desk.agent("erika", "Erika Muster", "21", site="office", skills={"support": 8, "sales": 2}, languages=["de", "en"])
    await desk.agent("max", "Max Mustermann", "22", site="office", skills={"support": 5}, outbound_caller_id=f"{BERLIN}122")
    await desk.agent("ida", "Ida Beispiel", "23", site="office", skills={"sales": 6})
    await desk.agent("otto", "Otto Probe", "24", site="office", skills={"sales": 3}, after_call_work_s=1)
    await desk.agent("nora", "Nora Niemand", "27", site="attic")
    await desk.agent("paul", "Paul Platzhalter", "28", site="attic")
    away = {"always": f"{MOBILE}22"}
    await desk.agent("lukas", "Lukas Unterwegs", "26", forwarding=away, mode="inbound")
    later = {"busy": f"{MOBILE}23", "no_answer": f"{MOBILE}23", "unregistered": f"{MOBILE}23"}
    await desk.agent("vera", "Vera Vertretung", "29", forwarding=later)
    await desk.agent("rosa", "Rosa Rampe", "25", trunk="pbx", reached_at="4025")
    await desk.post("users", {"id": "erika", "name": "Erika Muster", "role": "agent", "agent": "erika", "password": USER})
    await desk.people()
    skilled: dict[str, Any] = {"members": None, "requirements": [{"skill": "support", "level": 1}]}
    await desk.queue("support", strategy="best_skill", **skilled)
    await desk.queue("sales", "ida", "otto", strategy="ring_all", requirements=[{"skill": "sales", "level": 3}])
    await desk.queue("hasty", "max", ring_timeout_s=1, priority_s=60)
    await desk.queue("brief", "vera", overflow=[{"target": {"to": "outside", "number": f"{MOBILE}33"}, "max_wait_s": 0.5}])
    await desk.queue("full", "vera", overflow=[{"target": {"to": "queue", "queue": "brief"}, "max_length": 0}])
    await desk.queue("recorded", "erika", record=True, after_call_work_s=60)
    leave = {"exit_key": "0", "exit_target": {"to": "agent", "agent": "max"}}
    await desk.queue("exits", "vera", greeting=["queue.greeting"], announce_position=True, **leave)
    await desk.queue("night", "vera", schedule="never", closed={"to": "announcement", "sounds": ["closed"]})
    expert = {"requirements": [{"skill": "support", "level": 10}]}
    await desk.queue("expert", members=None, relaxations=[{"after_s": 0.5, "requirements": [{"skill": "support", "level": 5}]}], **expert)
    await desk.queue("attic", "nora", "paul", strategy="round_robin")
    await desk.queue("depot", "rosa")
    await desk.queue("bench", "vera", overflow=[{"target": {"to": "hang_up"}, "max_length": 1}])
    await desk.queue("unused", "vera")
    await desk.delete("queues/unused")
    options = {
        "1": {"to": "queue", "queue": "support"},
        "2": {"to": "agent", "agent": "max"},
        "3": {"to": "outside", "number": f"{MOBILE}44"},
        "9": {"to": "hang_up"},
    }
    fallback = {"to": "announcement", "sounds": ["no_choice"]}
    await desk.add(
        "menus", id="main", sounds=["tone/beep"], invalid_sounds=["tone/beep"], options=options, timeout_s=0.5, repeats=1, fallback=fallback
    )
    await desk.number(f"{BERLIN}101", "menu", "main", country="DE")
    for last, queue in enumerate(
        ("support", "sales", "hasty", "brief", "full", "recorded", "exits", "night", "expert", "attic", "depot", "bench"), 102
    ):
        await desk.number(f"{BERLIN}{last}", "queue", queue)
    for last, agent in enumerate(("erika", "lukas", "vera", "paul"), 121):
        await desk.number(f"{BERLIN}{last}", "agent", agent)
    await desk.number(f"{BERLIN}131", "outside", f"{MOBILE}11")
    await desk.add("numbers", number=f"{BERLIN}132", target={"to": "announcement", "sounds": ["goodbye"]}, language="en", geographic=False)
    await desk.number(f"{BERLIN}133", "hang_up")
    await desk.number(f"{BERLIN}134", "outside", UNPRICED)
    await desk.number("600", "menu", "main")
    await desk.number("601", "queue", "support")


async def _muster_queues(desk: Desk) -> None:
    await desk.conversation(f"{BERLIN}102", "erika", f"{BERLIN}701")
    # Abandoned while waiting, and while it rings.
    await desk.away("erika", "max")
    waiting = await desk.rings(f"{BERLIN}102")
    await waiting.answered()
    waiting.hang_up()
    await desk.quiet()
    await desk.back("erika")
    ringing = await desk.rings(f"{BERLIN}102")
    await desk.call_at("erika")
    ringing.hang_up()
    await desk.quiet()
    await desk.back("max")
    # Declined at the desk: the caller keeps the place and comes to the next.
    call = await desk.rings(f"{BERLIN}102")
    await desk.call_at("erika")
    await desk.do("erika", "decline")
    mine = await desk.takes(desk.phones["max"])
    await call.answered()
    mine.hang_up()
    await call.ended()
    await desk.quiet()
    # Not answered: max is made not ready (RONA); the caller waits on until those who were tried could be tried again (5 s), and gives up.
    call = await desk.rings(f"{BERLIN}104")
    await desk.until(lambda live: any(one["id"] == "max" and one["reason"] == "no_answer" for one in live["agents"]))
    await desk.until(lambda live: any(one["id"] == "hasty" and one["longest_wait_s"] > 7 for one in live["queues"]))
    call.hang_up()
    await desk.quiet()
    await desk.back("max")
    # Both phones ring; the first that is taken has it.
    await desk.conversation(f"{BERLIN}103", "ida")
    # Taken at the desk: the phone is asked to answer. The agent asks to log off meanwhile, and is when the call is over.
    await desk.away("erika")
    call = await desk.rings(f"{BERLIN}102", "anonymous")
    await desk.until(
        lambda live: any(leg["agent"] == "max" and leg["state"] == "alerting" for one in live["calls"] for leg in one["parties"])
    )
    await desk.do("max", "answer")
    await call.answered()
    await desk.until(lambda live: any(one["work"] and one["work"][0]["state"] == "connected" for one in live["agents"]))
    await desk.do("max", "log-off")
    call.hang_up()
    await desk.quiet()
    await desk.do("max", "log-on", ready=True)
    await desk.back("erika")
    # One place in line: the second is turned away.
    call = await desk.rings(f"{BERLIN}113")
    await call.answered()
    second = await desk.rings(f"{BERLIN}113")
    await second.ended()
    call.hang_up()
    await desk.quiet()
    # Overflow by time to a number outside, and by length to that queue.
    for last in (105, 106):
        await desk.outside(await desk.rings(f"{BERLIN}{last}"))
    # Left by its key, to an agent.
    call = await desk.rings(f"{BERLIN}108")
    await call.answered()
    await call.press("0")
    mine = await desk.takes(desk.phones["max"])
    mine.hang_up()
    await call.ended()
    await desk.quiet()
    await desk.told(f"{BERLIN}109")
    await desk.conversation(f"{BERLIN}110", "erika")
    await _recorded(desk)
    await _no_bandwidth(desk)


async def _recorded(desk: Desk) -> None:
    """With the notice, dispositions during the call and in the work after it."""
    call, mine = await desk.connected(f"{BERLIN}107", "erika")
    number = await desk.call_at("erika")
    await desk.until(lambda live: any(one["work"] and one["work"][0]["state"] == "connected" for one in live["agents"]))
    await talk(call, mine, 0.5)
    await desk.do("erika", f"calls/{number}/disposition", code="offer")
    call.hang_up()
    await mine.ended()
    await desk.until(lambda live: any(one["work"] and one["work"][0]["state"] == "after_call_work" for one in live["agents"]))
    await desk.do("erika", f"calls/{number}/disposition", code="order")
    await desk.do("erika", "end-acw")
    await desk.quiet()


async def _no_bandwidth(desk: Desk) -> None:
    """One channel at the attic: a second caller waits although Paul is free, a third is refused when calling him by number."""
    first = await desk.rings(f"{BERLIN}111")
    for name in ("nora", "paul"):  # round robin: whoever it is
        with contextlib.suppress(TimeoutError):
            mine = await desk.phones[name].incoming(1.0)
            break
    await mine.answer()
    second = await desk.rings(f"{BERLIN}111")
    await second.answered()
    await (await desk.rings(f"{BERLIN}124")).ended()
    second.hang_up()
    first.hang_up()
    await desk.quiet()


async def _muster_menus_and_numbers(desk: Desk) -> None:
    call = await desk.rings(f"{BERLIN}101")
    await call.answered()
    await call.press("1")
    mine = await desk.takes(desk.phones["erika"])
    call.hang_up()
    await mine.ended()
    await desk.quiet()
    call = await desk.rings(f"{BERLIN}101")  # a wrong key, then silence to the end
    await call.answered()
    await call.press("7")
    await call.ended()
    call = await desk.rings(f"{BERLIN}101")
    await call.answered()
    await call.press("9")
    await call.ended()
    await desk.quiet()
    await desk.conversation(f"{BERLIN}121", "erika")
    await desk.told(f"{BERLIN}132")
    await desk.refused(f"{BERLIN}133")
    await desk.refused(f"{BERLIN}199")
    # A phone behind the tenant's own PBX.
    call = await desk.rings(f"{BERLIN}112")
    mine = await desk.takes(desk.stage.extension)
    await call.answered()
    call.hang_up()
    await mine.ended()
    await desk.quiet()


async def _muster_outside(desk: Desk, stage: Stage) -> None:
    """Forwarded and dialled; the first trunk is silent, the second too small."""
    await desk.outside(await desk.rings(f"{BERLIN}131"), 1.0)
    await desk.outside(await desk.rings(f"{BERLIN}122"))
    await desk.outside(await desk.rings(f"{BERLIN}123"))
    call = await desk.rings(f"{BERLIN}101")
    await call.answered()
    await call.press("3")
    await desk.outside(call)
    await desk.refused(f"{BERLIN}134")
    await desk.until(lambda live: any(one["id"] == "backup" and not one["up"] for one in live["trunks"]))
    bank = PhoneBank(HOST, stage.backup_port)
    await bank.start()
    await desk.until(lambda live: any(one["id"] == "backup" and one["up"] for one in live["trunks"]))
    await bank.close()
    await desk.until(lambda live: any(one["id"] == "backup" and not one["up"] for one in live["trunks"]))
    for number in (CARRIER, f"{MOBILE}55", "112"):
        desk.calls += 1
        await desk.outside(await desk.phones["erika"].call(number), 0.5)
    desk.calls += 1
    busy = await desk.phones["erika"].call(CARRIER)
    (await stage.far.incoming()).decline(486)
    await busy.ended()
    desk.calls += 1
    await (await desk.phones["lukas"].call(CARRIER)).ended()  # takes calls and makes none: 403
    await desk.quiet()


async def _muster_conversations(desk: Desk) -> None:
    # Inside, from a phone and by click.
    desk.calls += 1
    mine = await desk.phones["ida"].call("21")
    theirs = await desk.takes(desk.phones["erika"])
    await mine.answered()
    mine.hang_up()
    await theirs.ended()
    await desk.quiet()
    mine = await desk.dials("erika", "22")
    theirs = await desk.takes(desk.phones["max"])
    await talk(mine, theirs)
    mine.hang_up()
    await theirs.ended()
    await desk.quiet()
    # Held and taken back by the desk, then by the phone; passed on to an agent.
    call, mine = await desk.connected(f"{BERLIN}102", "erika")
    number = await desk.call_at("erika")
    for what in ("hold", "retrieve"):
        await desk.do("erika", f"calls/{number}/{what}")
    await mine.hold()
    await call.send_tone(440, 0.2)
    await mine.retrieve()
    await call.hold()
    await call.retrieve()
    await desk.do("erika", f"calls/{number}/transfer", target={"to": "agent", "agent": "max"})
    theirs = await desk.takes(desk.phones["max"])
    await desk.do("max", f"calls/{number}/disposition", code="passed_on")
    await talk(call, theirs)
    # ... from there to a queue, from there outside.
    await desk.do("max", f"calls/{number}/transfer", target={"to": "queue", "queue": "sales"})
    third = await desk.takes(desk.phones["otto"])
    await desk.until(
        lambda live: any(one["id"] == "otto" and one["work"] and one["work"][0]["state"] == "connected" for one in live["agents"])
    )
    await desk.do("otto", f"calls/{number}/transfer", target={"to": "outside", "number": f"{MOBILE}66"})
    await third.ended()
    await desk.outside(call, 0.5)
    # Ended by the desk, and by a supervisor.
    call, mine = await desk.connected(f"{BERLIN}102", "erika")
    await desk.do("erika", f"calls/{await desk.call_at('erika')}/hang-up")
    await call.ended()
    await desk.quiet()
    call, mine = await desk.connected(f"{BERLIN}102", "erika")
    await desk.delete(f"calls/{await desk.call_at('erika')}")
    await call.ended()
    await desk.quiet()


async def _killed_in_mid_call(desk: Desk, stage: Stage) -> None:
    """Talking, ringing, waiting and held at the moment of the kill; a restart follows, and the day goes on."""
    await desk.connected(f"{BERLIN}102", "erika")
    _held, _ = await desk.connected(f"{BERLIN}102", "max")
    await desk.do("max", f"calls/{await desk.call_at('max')}/hold")
    await desk.rings(f"{BERLIN}103")
    await desk.call_at("ida")
    await (await desk.rings(f"{BERLIN}102")).answered()
    await desk.until(lambda live: len(live["calls"]) == 4)
    await stage.service.stop(signal.SIGKILL)
    await stage.service.start()
    await stage.operator()
    await desk.until(lambda live: not live["calls"])
    await desk.records()
    await desk.conversation(f"{BERLIN}102", "erika")
    # How they stand in the end.
    await desk.away("max", reason="parcel")
    await desk.do("otto", "log-off")
    night = {"id": "never", "openings": ALWAYS, "holiday_region": "DE-BE", "exceptions": []}
    await desk.put("schedules/never", night)  # the queue `night` opens
    async with SyntheticPhone(stage.service.sip, user=desk.devices["vera"], password=DEVICE) as short:
        await short.register(expires_s=1)
        await desk.until(lambda live: any(one["id"] == "vera" and one["registered"] for one in live["agents"]))
    await desk.until(lambda live: not any(one["id"] == "vera" and one["registered"] for one in live["agents"]))
    await desk.phones["nora"].unregister()
    await desk.until(lambda live: not any(one["id"] == "nora" and one["registered"] for one in live["agents"]))


OWN_PLAN: dict[str, Any] = {
    "id": "kanzlei",
    "version": "2026-1",
    "currency": "EUR",
    "valid_from": "2026-01-01T00:00:00+01:00",
    "zone": "Europe/Berlin",
    "vat_rate": "0.19",
    "vat_included": False,
    "increment": "60/1",
    "rest_band": "rest",
    "band": [{"name": "day", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "to": "23:00"}],
    "rate": [
        {
            "prefix": "49",
            "name": {"de": "Inland", "en": "Domestic"},
            "class": "geographic",
            "per_minute": {"day": "0.0125", "rest": "0.009"},
        },
        {"prefix": "4917", "name": {"de": "Mobil", "en": "Mobile"}, "class": "mobile", "per_minute": "0.123456", "setup": "0.05"},
    ],
}


async def _kanzlei(desk: Desk, stage: Stage) -> None:
    """A plan of its own, and one for its own carrier; English spoken; hours and holidays."""
    await desk.add("schedules", id="office", openings=ALWAYS, holiday_region="DE-BY")
    await desk.lines()
    own = {"peer": f"{HOST}:{stage.carrier_port}", "probe_every_s": 0, "own_carrier": True, "order": 0, "caller_id": f"{BERLIN}200"}
    await desk.add("trunks", id="own", name="Own carrier", **own)
    await desk.post("tariffs", {"document": OWN_PLAN})
    rates = [{"prefix": "49", "name": {"de": "Inland", "en": "Domestic"}, "class": "geographic", "per_minute": "0.006"}]
    await desk.post("tariffs", {"trunk": "own", "document": OWN_PLAN | {"id": "own", "increment": "1/1", "band": [], "rate": rates}})
    await desk.agent("petra", "Petra Paragraph", "31", skills={"law": 9})
    await desk.agent("jonas", "Jonas Jurist", "32", skills={"law": 4}, auto_answer=True)
    await desk.people()
    await desk.queue("mandate", requirements=[{"skill": "law", "level": 3}], members=None, schedule="office", after_call_work_s=0.5)
    await desk.number(f"{BERLIN}201", "queue", "mandate", language="en", country="GB")
    await desk.number(f"{BERLIN}202", "outside", f"{MOBILE}77", language="en")
    await desk.at_work("petra", "jonas")
    await desk.conversation(f"{BERLIN}201", "petra", f"{BERLIN}702")
    await desk.conversation(f"{BERLIN}201", "jonas")
    await desk.outside(await desk.rings(f"{BERLIN}202"), 1.2)
    for number in (CARRIER, f"{MOBILE}88"):
        desk.calls += 1
        await desk.outside(await desk.phones["petra"].call(number), 1.2)
    await desk.put("agents/jonas", {"id": "jonas", "name": "Jonas Jurist-Neu", "extension": "33", "skills": {"law": 5, "tax": 2}})
    await desk.conversation(f"{BERLIN}201", "jonas")


async def _werbung(desk: Desk, stage: Stage) -> None:
    """Click-to-dial to numbers outside: 0.1.0 writes the price into `CallOffered.quote` and refuses to read it again."""
    await desk.lines()
    await desk.agent("klara", "Klara Klingel", "41")
    await desk.queue("rueckruf", "klara")
    await desk.number(f"{BERLIN}501", "queue", "rueckruf")
    await desk.people()
    await desk.at_work("klara")
    await desk.conversation(f"{BERLIN}501", "klara")
    await desk.outside(await desk.dials("klara", CARRIER), 1.0)
    await desk.outside(await desk.dials("klara", f"{MOBILE}99"), 1.0)
    mine = await desk.dials("klara", CARRIER)
    (await stage.far.incoming()).decline(486)
    await mine.ended()
    await desk.quiet()
    await desk.conversation(f"{BERLIN}501", "klara", f"{BERLIN}701")


async def _werkstatt(desk: Desk, stage: Stage) -> None:
    """What came with 0.2.0: codes and hot desks at phones, transfers by REFER, early media, redirects, loops, phones that are away."""
    await desk.lines(redirects=1)
    await desk.add("sites", id="hall", upload_kbits=10_000)
    await desk.add("sites", id="yard", upload_kbits=10_000, probe_phones_every_s=0.3, probe_misses=1)
    for code, title in (("errand", "Botengang"), ("parcel", "Paketannahme")):
        await desk.add("reasons", code=code, name=title)
    await desk.agent("udo", "Udo Umlauf", "51", site="hall")
    await desk.agent("vroni", "Vroni Ventil", "52", site="hall")
    await desk.agent("willi", "Willi Werkbank", "53", site="yard")
    await desk.put("agents/vroni/pin", {"pin": PIN})
    await desk.queue("annahme", "udo", after_call_work_s=1)
    await desk.add("menus", id="main", sounds=["tone/beep"], options={"1": {"to": "queue", "queue": "annahme"}}, timeout_s=60)
    await desk.number(f"{BERLIN}510", "queue", "annahme")
    await desk.number(f"{BERLIN}511", "outside", f"{MOBILE}51")
    await desk.number("620", "menu", "main")
    await desk.people()
    await desk.at_work("udo", "vroni", "willi")
    await _phone_away(desk)
    await _codes_and_desks(desk)
    await _referred(desk)
    await _carrier_says(desk, stage)


async def _phone_away(desk: Desk) -> None:
    """Willi's phone does not answer any more, and does again."""
    phone = desk.phones["willi"]
    port = phone.bank.port
    await phone.close()
    await desk.until(lambda live: any(one["id"] == "willi" and one["unreachable"] for one in live["agents"]))
    again = PhoneBank(HOST, port)
    await again.start()
    await desk.until(lambda live: any(one["id"] == "willi" and not one["unreachable"] for one in live["agents"]))
    await again.close()


async def _codes_and_desks(desk: Desk) -> None:
    """Vroni logs on at Udo's phone, Udo takes it back."""
    await desk.put("agents/udo/pin", {"pin": PIN})
    for code in ("*21", "*212", "*20", "*231", "*24", "*22"):
        await desk.dials_code("vroni", code)
    await desk.dials_code("udo", "*2552", keys="1379#")
    await desk.dials_code("udo", "*2552", keys=f"{PIN}#")
    await desk.dials_code("udo", f"*2551*{PIN}")
    await desk.back("udo")


async def _referred(desk: Desk) -> None:
    """By Udo's phone to Vroni, who takes it; who does not; to a machine."""
    await desk.back("vroni")
    _, mine = await desk.connected(f"{BERLIN}510", "udo")
    await mine.refer("52")
    theirs = await desk.takes(desk.phones["vroni"])
    await mine.was_told(200)
    await talk(theirs, theirs, 0.2)
    theirs.hang_up()
    await desk.quiet()
    call, mine = await desk.connected(f"{BERLIN}510", "udo")
    await mine.refer("52")
    (await desk.phones["vroni"].incoming()).decline(486)
    await mine.was_told(486)
    await mine.refer("620")
    await mine.was_told(200)
    call.hang_up()
    await desk.quiet()


async def _carrier_says(desk: Desk, stage: Stage) -> None:
    """The carrier speaks before it answers, says that a number is elsewhere, and leads calls round."""
    withheld = (("P-Asserted-Identity", f"<sip:{BERLIN}703@{HOST}>"), ("Privacy", "id"))
    desk.calls += 1
    call = await (await stage.caller("anonymous")).call(f"{BERLIN}511", headers=withheld)
    far = await stage.far.incoming()
    far.speak_early()
    await far.send_tone(440, 0.3)
    await far.answer()
    await call.answered()
    call.hang_up()
    await desk.quiet()
    call = await desk.rings(f"{BERLIN}511")
    far = await stage.far.incoming()
    moved = (("Contact", f"<sip:{MOBILE}52@{HOST}>"),)
    far.phone.bank.user_agent.reject(far.session, 302, far.phone.bank.now(), headers=moved)
    far.phone.bank.flush()
    await desk.outside(call)
    caller = await stage.caller()
    rounds = [await caller.call(f"{BERLIN}511") for _ in range(11)]
    desk.calls += len(rounds)
    await desk.until(lambda live: len(live["calls"]) == len(rounds) - 1)
    for one in rounds:
        if one.ended_at is None:
            one.hang_up()
    await desk.quiet()


# ---------------------------------------------------------------------- the house that was killed


async def killed(stage: Stage) -> None:
    """Tenants `hotel` (a snapshot, and entries behind it), `verein` (killed, restarted, no snapshot), `cafe` (killed, never restarted)."""
    hotel = await stage.tenant("hotel", "Hotel Zum Muster")
    await _small(hotel, "6", "gisela", "Gisela Gast", "hugo", "Hugo Halle")
    await hotel.conversation(f"{BERLIN}601", "gisela")
    await hotel.connected(f"{BERLIN}601", "gisela")  # up at the orderly stop: cleared with cause `shutdown`
    await (await hotel.rings(f"{BERLIN}601")).ringing()
    await hotel.call_at("hugo")
    await stage.service.stop()
    await stage.service.start()
    await stage.operator()
    await hotel.records()
    await hotel.conversation(f"{BERLIN}601", "gisela")

    verein = await stage.tenant("verein", "Musterverein e. V.")
    await _small(verein, "8", "wilma", "Wilma Wart", "theo", "Theo Trainer")
    await verein.outside(await verein.rings(f"{BERLIN}803"))
    for desk, name, number in ((hotel, "gisela", f"{BERLIN}601"), (verein, "wilma", f"{BERLIN}801")):
        await desk.connected(number, name)
        await (await desk.rings(number)).ringing()
    await verein.call_at("theo")
    await hotel.call_at("hugo")
    await stage.service.stop(signal.SIGKILL)
    await stage.service.start()
    await stage.operator()
    for desk, name, number in ((hotel, "gisela", f"{BERLIN}601"), (verein, "wilma", f"{BERLIN}801")):
        await desk.until(lambda live: not live["calls"])
        await desk.records()
        await desk.conversation(number, name)
    await verein.away("theo", reason="break")

    cafe = await stage.tenant("cafe", "Café Beispiel")
    await _small(cafe, "9", "carla", "Carla Kanne", "emil", "Emil Espresso")
    await cafe.conversation(f"{BERLIN}951", "carla")
    await hotel.connected(f"{BERLIN}601", "gisela")
    await cafe.connected(f"{BERLIN}951", "carla")
    _held, _ = await cafe.connected(f"{BERLIN}951", "emil")
    await cafe.do("emil", f"calls/{await cafe.call_at('emil')}/hold")
    await (await cafe.rings(f"{BERLIN}951")).answered()
    in_menu = await cafe.rings(f"{BERLIN}952")
    await in_menu.answered()
    forwarded = await cafe.rings(f"{BERLIN}953")
    await cafe.takes(stage.far)
    await forwarded.answered()
    await cafe.until(lambda live: len(live["calls"]) == 5)
    hotel.calls -= 1
    cafe.calls -= 5


async def _small(desk: Desk, digit: str, first: str, first_name: str, second: str, second_name: str) -> None:
    """Two agents, a queue, a menu, a number that is forwarded outside."""
    block = f"{BERLIN}{digit}{5 if digit == '9' else 0}"
    await desk.lines()
    await desk.add("sites", id="main", upload_kbits=1_000)
    await desk.agent(first, first_name, "11", site="main", skills={"counter": 9})
    await desk.agent(second, second_name, "12", site="main", skills={"counter": 3})
    await desk.people()
    await desk.queue("counter", first, second, strategy="best_skill", requirements=[{"skill": "counter", "level": 1}])
    await desk.add("menus", id="main", sounds=["menu"], options={"1": {"to": "queue", "queue": "counter"}}, timeout_s=60)
    await desk.number(f"{block}1", "queue", "counter")
    await desk.number(f"{block}2", "menu", "main")
    await desk.number(f"{block}3", "outside", f"{MOBILE}02")
    await desk.at_work(first, second)


HOUSES: dict[str, Callable[[Stage], Any]] = {"orderly": orderly, "killed": killed}


# ---------------------------------------------------------------------- what the service says


async def said(desk: Desk) -> dict[str, Any]:
    """Everything the API tells of a tenant."""
    records = await desk.records()
    charges: dict[str, Any] = {}
    decisions: dict[str, Any] = {}
    for record in records:
        call = record["cdr"]["id"]
        with contextlib.suppress(ApiError):  # 404: nothing to pay, nobody was offered it
            charges[call] = {language: await desk.get(f"cdrs/{call}/charge?language={language}") for language in ("de", "en")}
        with contextlib.suppress(ApiError):
            decisions[call] = (await desk.get(f"calls/{call}/decisions"))["decisions"]
    agents = await desk.pages("agents")
    tariffs = await desk.pages("tariffs")
    month = records[0]["cdr"]["began_at"][:7] if records else None
    return {
        "cdrs": records,
        "charges": charges,
        "decisions": decisions,
        "live": await desk.live(),
        "configuration": {kind: await desk.pages(kind) for kind in KINDS} | {"setup": await desk.get("setup")},
        "devices": {one["id"]: await desk.get(f"agents/{one['id']}/device") for one in agents},
        "users": await desk.pages("users"),
        "api_keys": await desk.pages("api-keys"),
        "contacts": await desk.pages("contacts"),
        "appointments": await desk.pages("appointments"),
        "tickets": await desk.pages("tickets"),
        "tariffs": [await desk.get(f"tariffs/{one['key']}") for one in tariffs],
        "audit": await desk.pages("audit"),
        "months": {month: await desk.get(f"billing/months/{month}")} if month is not None else {},
        "log_in": {"username": "admin", "password": ADMIN, "api_key": desk.api_key, "device_password": DEVICE, "user_password": USER},
    }


@contextlib.asynccontextmanager
async def played(house: str, folder: Path, settings: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Play a house; gives what the service says while it still runs, then ends it as the house does."""
    if house == "given":
        await given.written(folder / "data" / "tenants" / given.TENANT)
        yield {"house": house, "operator": None, "tenants": [{"id": given.TENANT}], "said": {}}
        return
    more = settings | {"FERNAMT_TIMERS__REGISTRATION_MIN_S": "1"}
    service = ServiceProcess(folder, FERNAMT_LOGIN__ARGON2_MEMORY_KIB="64", FERNAMT_LOGIN__ARGON2_PASSES="1", **more)
    await service.start()
    stage = Stage(service)
    try:
        await stage.start()
        await HOUSES[house](stage)
        tenants = await service.call(service.api.get, "/api/v1/tenants")
        yield {
            "house": house,
            "operator": {"username": "operator", "password": OPERATOR},
            "tenants": tenants["items"],
            "said": {name: await said(desk) for name, desk in stage.desks.items()},
        }
        await service.stop(signal.SIGTERM if house == "orderly" else signal.SIGKILL)
    finally:
        if service.is_running:
            await service.stop(signal.SIGKILL)
        service.close()
        await stage.close()
