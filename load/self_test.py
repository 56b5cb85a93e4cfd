"""`fernamt check`: a private instance, one real call in, one out, a restart, and what must be true of them (house).

Nothing is mocked and nothing of the running installation is touched: free ports, a temporary directory, a SQLite database, synthetic
phones. Each step prints `ok` or `FAILED` with its name; a step that needs a failed one is skipped and counts as failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import websockets

from acd.core.events import Decision
from acd.core.routing.decision import winner
from billing_cdr.charge import Charge, recompute
from load.api_client import ApiClient, ApiError
from load.hearing import has_sound
from load.phones import CallFailed, PhoneCall, RegistrationFailed, SyntheticPhone
from load.private_instance import InstanceFailed, PrivateInstance, private_instance
from media.frame import SAMPLE_RATE

LIMIT_S = 30.0
TENANT = "check"
CALLER = "+4930231250123"
"""A Berlin number of the block kept free for fiction (Bundesnetzagentur, Mitteilung 148/2021)."""
OUTSIDE = "+493023125099"
CALLER_HZ, AGENT_HZ, OUTSIDE_HZ = 440.0, 620.0, 820.0
TONE_S = 0.6
STEP_TIMEOUT_S = 5.0
SAME_MOMENT_MS = 5.0
"""The service sends the pop, waits until it is written, then sends the INVITE (tests/acd/test_voice.py holds it to that order). Here they
come in on two sockets, and which of them this process reads first when both are ready is chance."""
POLL_S = 0.05
KEPT = {
    "agents": ("state", "reason", "registered"),
    "queues": ("state", "waiting_count"),
    "trunks": ("up",),
    "calls": ("state",),
}
"""Part of the live state -> what of it a restart leaves as it is. Not the figures of the day: it may end meanwhile."""


class StepFailed(Exception):
    """What was to be verified is not so; the text says what is instead."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the result."""

    name: str
    ok: bool
    ms: int
    detail: str = ""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result, as --json prints it."""

    ok: bool
    seconds: float
    steps: list[Step]


class Steps:
    """Runs steps by name and writes down how each went."""

    def __init__(self, tell: Callable[[Step], None]) -> None:
        self._tell = tell
        self.done: list[Step] = []
        self._failed: set[str] = set()

    async def run(self, name: str, work: Callable[[], Awaitable[str | None]], *, needs: tuple[str, ...] = ()) -> None:
        """Carry out one step; a fault of the service is its failure, a fault of ours too, but with its type."""
        missing = [need for need in needs if need in self._failed]
        began = time.monotonic()
        if missing:
            self._note(Step(name=name, ok=False, ms=0, detail=f"skipped: needs {', '.join(missing)}"))
            return
        try:
            detail = await work()
            ok = True
        except TimeoutError as fault:
            detail, ok = str(fault) or "nothing came within the time", False
        except (StepFailed, InstanceFailed, CallFailed, RegistrationFailed, ApiError, OSError, websockets.WebSocketException) as fault:
            detail, ok = str(fault), False
        except Exception as fault:
            logging.getLogger("load.check").debug("! %s", name, exc_info=True)
            detail, ok = f"{type(fault).__name__}: {fault}", False
        self._note(Step(name=name, ok=ok, ms=round((time.monotonic() - began) * 1000), detail=detail or ""))

    def _note(self, step: Step) -> None:
        if not step.ok:
            self._failed.add(step.name)
        self.done.append(step)
        self._tell(step)

    @property
    def ok(self) -> bool:
        """All of them."""
        return bool(self.done) and not self._failed


def expect(truth: object, otherwise: str) -> None:
    """Raise StepFailed unless so."""
    if not truth:
        raise StepFailed(otherwise)


class SelfTest:
    """The phones, the desk and the steps."""

    def __init__(self, instance: PrivateInstance, steps: Steps) -> None:
        self.instance = instance
        self.steps = steps
        self.admin = ApiClient(instance.url)
        self.desk = ApiClient(instance.url)
        self.device: dict[str, str] = {}
        self.agent_phone: SyntheticPhone
        self.outside_phone: SyntheticPhone
        self.call: PhoneCall
        self.agent_call: PhoneCall
        self.pops: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
        self.socket_task: asyncio.Task[None] | None = None
        self.conversation = ""
        self.outbound = ""
        self.menu_heard = 0
        self._password = secrets.token_urlsafe(18)

    async def run(self) -> None:
        """All steps in order."""
        run = self.steps.run
        async with self._phones():
            await run("setup", self.set_up)
            await run("agent registers", self.register, needs=("setup",))
            await run("desk connects", self.connect_desk, needs=("setup",))
            await run("agent ready", self.go_ready, needs=("agent registers", "desk connects"))
            await run("call answered", self.place_call, needs=("setup",))
            await run("menu heard", self.hear_menu, needs=("call answered",))
            await run("menu key reaches queue", self.press_key, needs=("call answered", "agent ready"))
            await run("queue heard", self.hear_queue, needs=("menu key reaches queue",))
            await run("screen pop before ring", self.check_pop, needs=("menu key reaches queue",))
            await run("agent answers", self.agent_answers, needs=("menu key reaches queue",))
            await run("audio both ways", self.exchange_tones, needs=("agent answers",))
            await run("hang-up", self.hang_up, needs=("agent answers",))
            await run("cdr", self.check_cdr, needs=("hang-up",))
            await run("inbound is free", self.check_free, needs=("cdr",))
            await run("decision record", self.check_decision, needs=("cdr",))
            await run("click to dial", self.dial_out, needs=("agent ready", "hang-up"))
            await run("outbound is priced", self.check_price, needs=("click to dial",))
            await run("metrics", self.check_metrics)
            await run("same after a restart", self.check_restart, needs=("decision record", "outbound is priced"))

    @contextlib.asynccontextmanager
    async def _phones(self) -> AsyncIterator[None]:
        server = self.instance.sip
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self.admin.close)
            stack.callback(self.desk.close)
            # The outside world: a carrier's gateway from which the caller comes and to which calls go out.
            self.outside_phone = await stack.enter_async_context(SyntheticPhone(server, "outside", takes_all=True))
            stack.push_async_callback(self._close_desk)
            stack.push_async_callback(self._close_agent_phone)
            yield

    async def _close_desk(self) -> None:
        if self.socket_task is not None:
            self.socket_task.cancel()
            await asyncio.gather(self.socket_task, return_exceptions=True)

    async def _close_agent_phone(self) -> None:
        if hasattr(self, "agent_phone"):
            await self.agent_phone.close()

    # ------------------------------------------------------------------ set-up

    async def set_up(self) -> str:
        """Tenant, trunk, agent, queue, menu, contact: everything through the API."""
        return await asyncio.to_thread(self._set_up)

    def _set_up(self) -> str:
        operator = self.instance.operator()
        password, desk_password = self._password, secrets.token_urlsafe(18)
        operator.post(
            "/api/v1/tenants", {"id": TENANT, "name": "Self-test", "language": "en", "admin": {"username": "boss", "password": password}}
        )
        operator.put(f"/api/v1/tenants/{TENANT}/assignments", {"may_claim_numbers": True})
        operator.post(f"/api/v1/tenants/{TENANT}/numbers", {"numbers": ["+493023125000"]})
        operator.post(f"/api/v1/tenants/{TENANT}/sources", {"network": "127.0.0.1/32", "note": "the carrier of the self-test"})
        operator.close()
        api = self.admin
        api.log_in("boss", password, TENANT)
        carrier = {"id": "carrier", "name": "Loopback carrier", "sources": ["127.0.0.1/32"], "probe_every_s": 0, "upload_kbits": 1000}
        api.post("/api/v1/trunks", {**carrier, "peer": f"127.0.0.1:{self.outside_phone.bank.port}", "caller_id": "+493023125000"})
        api.post("/api/v1/sites", {"id": "main", "upload_kbits": 1000})
        agent = {"id": "anna", "name": "Anna Amsel", "skills": {"support": 7}, "site": "main", "languages": ["en"]}
        self.device = api.post("/api/v1/agents", agent)["device"]
        api.post("/api/v1/users", {"id": "anna", "name": "Anna Amsel", "role": "agent", "agent": "anna", "password": desk_password})
        requirements = [{"skill": "support", "level": 5}]
        api.post("/api/v1/queues", {"id": "support", "name": "Support", "requirements": requirements, "after_call_work_s": 0})
        options = {"1": {"to": "queue", "queue": "support"}, "2": {"to": "hang_up"}}
        api.post("/api/v1/menus", {"id": "main", "sounds": ["greeting", "menu"], "options": options})
        api.post("/api/v1/numbers", {"number": "600", "target": {"to": "menu", "menu": "main"}, "language": "en"})
        contact = api.post("/api/v1/contacts", {"name": "Carla Caller", "company": "Example Ltd", "numbers": [CALLER]})
        api.post("/api/v1/tickets", {"subject": "No dial tone", "contact": contact["id"]})
        tomorrow = datetime.fromtimestamp(time.time(), UTC) + timedelta(days=1)
        api.post(
            "/api/v1/appointments",
            {
                "contact": contact["id"],
                "title": "Callback",
                "starts_at": tomorrow.isoformat(),
                "ends_at": (tomorrow + timedelta(minutes=30)).isoformat(),
            },
        )
        self.desk.log_in("anna", desk_password, TENANT)
        return f"tenant {TENANT} on {self.instance.url}"

    async def register(self) -> str:
        """The agent's phone registers with digest."""
        device = self.device
        self.agent_phone = SyntheticPhone(self.instance.sip, device["username"], password=device["password"], domain=device["domain"])
        await self.agent_phone.start()
        granted = await self.agent_phone.register(STEP_TIMEOUT_S)
        return f"{device['username']} for {granted} s"

    async def connect_desk(self) -> str:
        """The agent's desk listens to the live stream."""
        url = f"{self.instance.url.replace('http', 'ws', 1)}/api/v1/events"
        socket = await websockets.connect(
            url, additional_headers={"Authorization": f"Bearer {self.desk.token}"}, open_timeout=STEP_TIMEOUT_S
        )
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                first = msgspec.json.decode(await socket.recv())
            expect(first.get("type") == "live", f"the stream began with {first.get('type')!r}, not with the live state")
        except BaseException:
            await socket.close()
            raise
        self.socket_task = asyncio.get_running_loop().create_task(self._listen(socket))
        return ""

    async def _listen(self, socket: websockets.ClientConnection) -> None:
        try:
            async for message in socket:
                event = msgspec.json.decode(message).get("event") or {}
                if event.get("type") == "ScreenPop":
                    self.pops.put_nowait((time.monotonic(), event))
        finally:
            await socket.close()

    async def go_ready(self) -> str:
        """The agent logs on, ready."""
        await asyncio.to_thread(self.desk.post, "/api/v1/agents/me/log-on", {"ready": True})
        return ""

    # ------------------------------------------------------------------ the call in

    async def place_call(self) -> str:
        """An outside caller dials 600 and is answered."""
        self.call = await self.outside_phone.call("600", calling=CALLER)
        await self.call.answered(STEP_TIMEOUT_S)
        assert self.call.answered_at is not None
        return f"after {(self.call.answered_at - self.call.invited_at) * 1000:.0f} ms"

    async def hear_menu(self) -> str:
        """Half a second of the greeting is heard, and it is no silence."""
        heard = await self.call.audio.wait_for(SAMPLE_RATE // 2, STEP_TIMEOUT_S, since=0)
        expect(has_sound(heard), "the caller hears silence")
        return ""

    async def press_key(self) -> str:
        """Key 1 brings the call to the queue, and the agent's phone rings with the caller's number."""
        pressed = time.monotonic()
        self.menu_heard = self.call.audio.position
        await self.call.press("1")
        self.agent_call = await self.agent_phone.incoming(STEP_TIMEOUT_S)
        shown = self.agent_call.calling
        expect(shown == CALLER, f"the agent's phone shows {shown}, the caller is {CALLER}")
        return f"rang {(self.agent_call.invited_at - pressed) * 1000:.0f} ms after the key"

    async def hear_queue(self) -> str:
        """The queue's greeting is heard while the agent's phone rings."""
        heard = await self.call.audio.wait_for(SAMPLE_RATE // 2, STEP_TIMEOUT_S)
        expect(has_sound(heard), "the waiting caller hears silence")
        return ""

    async def check_pop(self) -> str:
        """The desk knows who calls before the phone rings."""
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                at, pop = await self.pops.get()
        except TimeoutError:
            raise StepFailed("no screen pop came") from None
        expect(pop.get("number") == CALLER, f"the pop shows {pop.get('number')}, the caller is {CALLER}")
        expect((pop.get("contact") or {}).get("name") == "Carla Caller", f"the pop names {pop.get('contact')}")
        expect(len(pop.get("tickets") or ()) == 1, f"the pop holds {len(pop.get('tickets') or ())} tickets, one is open")
        expect(pop.get("appointment"), "the pop lacks the next appointment")
        lead_ms = (self.agent_call.invited_at - at) * 1000
        expect(lead_ms >= -SAME_MOMENT_MS, f"the pop came {-lead_ms:.1f} ms after the phone's INVITE")
        return f"{abs(lead_ms):.1f} ms {'before' if lead_ms >= 0 else 'after'} the INVITE"

    async def agent_answers(self) -> str:
        """The agent takes the call."""
        await self.agent_call.answer(STEP_TIMEOUT_S)
        return ""

    async def exchange_tones(self) -> str:
        """Each side hears the other's tone, and not its own."""
        await _exchange(self.call, CALLER_HZ, self.agent_call, AGENT_HZ)
        return f"{CALLER_HZ:.0f} Hz and {AGENT_HZ:.0f} Hz"

    async def hang_up(self) -> str:
        """The caller hangs up; the agent's phone is released."""
        self.call.hang_up()
        by = await self.agent_call.ended(STEP_TIMEOUT_S)
        expect(by == "remote", f"the agent's leg ended by {by}")
        lost = self.call.audio.lost + self.agent_call.audio.lost
        expect(lost == 0, f"{lost} RTP packets lost on loopback")
        return ""

    # ------------------------------------------------------------------ what is left of it

    async def check_cdr(self) -> str:
        """One record, answered, with durations that fit."""
        record = await self._cdr("inbound")
        self.conversation = str(record["id"])
        for field, wanted in (("outcome", "answered"), ("agent", "anna"), ("queue", "support"), ("calling", CALLER)):
            expect(record.get(field) == wanted, f"{field} is {record.get(field)}, not {wanted}")
        assert self.agent_call.answered_at is not None
        assert self.agent_call.ended_at is not None
        talked_ms = (self.agent_call.ended_at - self.agent_call.answered_at) * 1000
        expect(abs(record["talk_ms"] - talked_ms) < 300, f"talk_ms is {record['talk_ms']}, the agent's phone measured {talked_ms:.0f}")
        expect(record["queue_ms"] > 0, "queue_ms is 0, though the caller waited")
        return f"talk {record['talk_ms']} ms, queue {record['queue_ms']} ms"

    async def check_free(self) -> str:
        """The charge is 0.00 and says why."""
        told = await asyncio.to_thread(self.admin.get, f"/api/v1/cdrs/{self.conversation}/charge")
        total = told["charge"]["totals"][0]
        expect(Decimal(total["gross"]) == 0, f"an inbound call costs {total['gross']} {total['currency']}")
        expect(told["sentences"], "the charge does not say why")
        _recomputed(told["charge"])
        return str(told["sentences"][0])

    async def check_decision(self) -> str:
        """The winner follows from the decision record alone."""
        told = await asyncio.to_thread(self.admin.get, f"/api/v1/calls/{self.conversation}/decisions")
        expect(told["decisions"], "no decision record")
        decision = msgspec.convert(told["decisions"][0]["decision"], Decision)
        recomputed = winner(decision)
        expect(recomputed == decision.chosen == ("anna",), f"recomputed {recomputed}, recorded {decision.chosen}, rang anna")
        return f"{decision.rule}: {', '.join(recomputed)}"

    # ------------------------------------------------------------------ the call out

    async def dial_out(self) -> str:
        """Click-to-dial: the agent's phone first, then the number; both hear each other."""
        done = await asyncio.to_thread(self.desk.post, "/api/v1/agents/me/dial", {"number": OUTSIDE})
        self.outbound = str(done["call"])
        first = await self.agent_phone.incoming(STEP_TIMEOUT_S)
        await first.answer(STEP_TIMEOUT_S)
        reached = await self.outside_phone.incoming(STEP_TIMEOUT_S)
        dialled = reached.request.uri.user if reached.request is not None else None
        expect(dialled is not None and dialled.lstrip("+") == OUTSIDE.lstrip("+"), f"the carrier was asked for {dialled}")
        await reached.answer(STEP_TIMEOUT_S)
        await _exchange(first, AGENT_HZ, reached, OUTSIDE_HZ)
        first.hang_up()
        await reached.ended(STEP_TIMEOUT_S)
        return f"to {dialled}"

    async def check_price(self) -> str:
        """The call out costs something, and the price follows from its trace alone."""
        record = await self._cdr("outbound")
        expect(record["id"] == self.outbound, f"the record is of {record['id']}, dialled was {self.outbound}")
        expect(record["outcome"] == "answered", f"outcome is {record['outcome']}")
        told = await asyncio.to_thread(self.admin.get, f"/api/v1/cdrs/{record['id']}/charge")
        gross = Decimal(told["charge"]["totals"][0]["gross"])
        expect(gross > 0, f"an answered call out costs {gross}")
        _recomputed(told["charge"])
        return f"{gross} {told['charge']['totals'][0]['currency']}"

    async def check_metrics(self) -> str:
        """/metrics answers with figures of the voice service."""
        figures = await asyncio.to_thread(self.admin.metrics)
        expect(any(name.startswith("fernamt_") for name in figures), "no figure of the service in /metrics")
        return f"{len(figures)} figures"

    # ------------------------------------------------------------------ the restart

    async def check_restart(self) -> str:
        """Stopped in order and started on the same data, the service tells what it told: states, records, charges and decisions."""
        before = await asyncio.to_thread(self._told)
        await self._close_desk()
        began = time.monotonic()
        await self.instance.restart()
        took_s = time.monotonic() - began
        try:
            await asyncio.to_thread(self.admin.log_in, "boss", self._password, TENANT)
        except ApiError as fault:
            raise StepFailed(f"tenant {TENANT} did not open again: {fault}") from fault
        differing = differences(before, await asyncio.to_thread(self._told))
        expect(not differing, "; ".join(differing))
        return f"{len(before)} answers, back after {took_s:.1f} s"

    def _told(self) -> dict[str, Any]:
        """What a restart must not change, each under the name it has when it differs."""
        api = self.admin
        live = api.get("/api/v1/live")
        told: dict[str, Any] = {}
        for kind, fields in KEPT.items():
            told |= {f"{kind[:-1]} {one['id']}": {field: one[field] for field in fields} for one in live[kind]}
        records = {one["cdr"]["id"]: one for one in api.get("/api/v1/cdrs?limit=100")["items"]}
        told |= {f"record {id_}": one["cdr"] for id_, one in records.items()}
        told |= {f"charge of {id_}": one["charge"] for id_, one in records.items()}
        told[f"decisions of {self.conversation}"] = api.get(f"/api/v1/calls/{self.conversation}/decisions")["decisions"]
        return told

    async def _cdr(self, direction: str) -> dict[str, Any]:
        deadline = time.monotonic() + STEP_TIMEOUT_S
        while True:
            page = await asyncio.to_thread(self.admin.get, f"/api/v1/cdrs?direction={direction}&limit=2")
            if page["items"] and page["items"][0]["charge"] is not None:
                expect(len(page["items"]) == 1, f"{len(page['items'])} {direction} records of one call")
                found: dict[str, Any] = page["items"][0]["cdr"]
                return found
            if time.monotonic() > deadline:
                raise StepFailed(f"no rated {direction} record within {STEP_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)


async def _exchange(one: PhoneCall, one_hz: float, other: PhoneCall, other_hz: float) -> None:
    """Both speak at once; each must hear the other's tone.

    Raises: StepFailed: naming the side that hears nothing.
    """
    one.start_tone(one_hz, TONE_S)
    other.start_tone(other_hz, TONE_S)
    for listener, frequency, who in ((one, other_hz, "the first party"), (other, one_hz, "the second party")):
        try:
            await listener.hears_tone(frequency, STEP_TIMEOUT_S)
        except TimeoutError:
            raise StepFailed(f"{who} does not hear {frequency:.0f} Hz") from None


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a restart changed, one sentence each."""
    return [f"{name} was {before.get(name)} and is {after.get(name)}" for name in before | after if before.get(name) != after.get(name)]


def _recomputed(document: dict[str, Any]) -> None:
    charge = msgspec.convert(document, Charge, strict=False)
    again, told = recompute(charge).amount, Decimal(document["totals"][0]["gross"])
    expect(again == told, f"the trace gives {again}, the charge says {told}")


async def check(tell: Callable[[Step], None], limit_s: float = LIMIT_S) -> CheckResult:
    """The whole self-test; not finished within `limit_s` is a failure too."""
    began = time.monotonic()
    steps = Steps(tell)
    try:
        async with asyncio.timeout(limit_s), private_instance() as instance:
            steps.done.append(started := Step(name="service starts", ok=True, ms=round((time.monotonic() - began) * 1000)))
            tell(started)
            await SelfTest(instance, steps).run()
            if not steps.ok and (tail := instance.log_tail()):
                print(tail, file=sys.stderr)
    except InstanceFailed as fault:
        await steps.run("service starts", _raiser(StepFailed(str(fault))))
    except TimeoutError:
        await steps.run("in time", _raiser(StepFailed(f"not finished within {limit_s:.0f} s")))
    return CheckResult(ok=steps.ok, seconds=round(time.monotonic() - began, 3), steps=steps.done)


def _raiser(fault: Exception) -> Callable[[], Awaitable[str | None]]:
    async def work() -> str | None:
        raise fault

    return work


class CheckCommand:
    """The subcommand."""

    help = "test this installation: a private instance, a real call through menu, queue and agent, its record and price, a restart"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--json", action="store_true", help="the result as one JSON object")
        parser.add_argument("--verbose", action="store_true", help="with the log of the phones")

    def run(self, args: argparse.Namespace) -> int:
        """Do it: 0 all well, 1 something failed."""
        logging.basicConfig(level=logging.DEBUG if args.verbose else logging.ERROR, stream=sys.stderr, format="%(name)s %(message)s")
        result = asyncio.run(check(lambda _step: None if args.json else print_step(_step)))
        if args.json:
            print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
        else:
            failed = [step.name for step in result.steps if not step.ok]
            print(f"{'all well' if result.ok else 'FAILED: ' + ', '.join(failed)} ({result.seconds:.1f} s)")
        return 0 if result.ok else 1


def print_step(step: Step) -> None:
    """One line."""
    print(f"{'ok    ' if step.ok else 'FAILED'} {step.name:<24}{step.ms:6d} ms  {step.detail}", flush=True)


command = CheckCommand()
