"""One process of a load run: its share of the callers and agents on two SIP ports, its RTP beside it (house protocol, load/records.py).

`python -m load.process` reads an `Order`, then `Begin` and news of the other processes, one JSON object a line; it writes records, a
`Snapshot` a second, and `Finished`. It ends when its input closes, whatever it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import os
import random
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from load.api_client import ApiClient, ApiError
from load.parties import AgentPhone, Caller, Offer, abilities
from load.phone_bank import PhoneBank
from load.profiles import Burst, Concurrent, Poisson, plan, plan_call
from load.records import (
    AgentConnected,
    AllQuiet,
    Begin,
    EndNow,
    Finished,
    Order,
    PleaseHangUp,
    Quiet,
    Ready,
    RtpFigures,
    Snapshot,
    ToChild,
    ToParent,
)
from load.report import percentile
from load.rtp_process import RtpClient
from load.voice import Voices
from media.io.descriptors import close_inherited
from sip.flow import Flow

LOG = logging.getLogger("load.process")
REGISTER_TIMEOUT_S = 20.0
REGISTER_AT_ONCE = 50
GOODBYE_S = 2.0
CALLS_PER_PROCESS = 1_000_000
MAX_SEATS = 8192


class Part:
    """The floor its callers and agents are on."""

    def __init__(self, order: Order, tell: Callable[[ToParent], None]) -> None:
        self.order = order
        self._tell = tell
        self.bank = PhoneBank(order.local_address)
        self._agent_bank = PhoneBank(order.local_address)
        self.rtp_sample = order.rtp_sample
        self.capabilities = abilities(order.codec)
        self.rtp: RtpClient | None = None
        self.voices: Voices | None = None
        self._sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sink_port = 0
        self.flow: Flow
        self.phones: list[AgentPhone] = []
        self.callers: dict[str, Caller] = {}
        self._talking_to: dict[str, Offer] = {}
        self._serial = 0
        self._begun = self._failed = self._connected = 0
        self._setups_ms: list[float] = []
        self._is_over = False
        self._rng = random.Random(f"{order.seed}/{order.process}")
        self._closed_loops = any(isinstance(one, Concurrent) for one in order.scenario.arrivals)
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._all_quiet = False

    async def open(self) -> None:
        """Open ports, start the RTP process, register the agents."""
        order = self.order
        await self.bank.start()
        await self._agent_bank.start()
        self.flow = self.bank.flow_to(order.server)
        self._sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._sink.bind((order.local_address, 0))
        self.sink_port = self._sink.getsockname()[1]
        if order.with_rtp:
            self.rtp = RtpClient(order.local_address, self._seats(), codec=order.codec, seed=order.seed * 1000 + order.process)
            await self.rtp.open()
        if order.with_voices:
            self.voices = Voices(order.local_address, codec=order.codec, seed=order.seed)
        port = _AgentPort(self, self._agent_bank)
        profile = order.scenario.agent
        self.phones = [AgentPhone(port, account, profile, random.Random(f"{order.seed}/{account.agent}")) for account in order.agents]
        gate = asyncio.Semaphore(REGISTER_AT_ONCE)

        async def register(phone: AgentPhone) -> None:
            async with gate:
                await phone.register(REGISTER_TIMEOUT_S)

        await asyncio.gather(*(register(phone) for phone in self.phones))
        refused = {phone.account.agent: phone.refusal for phone in self.phones if phone.refusal is not None}
        self._tell(Ready(process=order.process, registered=sum(phone.is_registered for phone in self.phones), refused=refused))

    def _seats(self) -> int:
        """Seats of the RTP fleet: calls that can be up by Little's law, twice over, and two for every agent."""
        scenario = self.order.scenario
        patience_s, talk_s = scenario.caller.patience.mean_s, scenario.caller.talk.mean_s
        calls = 0.0
        for one in scenario.arrivals:
            match one:
                case Concurrent(calls=level):
                    calls += 2 * level
                case Burst(calls=size, every_s=every_s):
                    calls += size * math.ceil(scenario.duration_s / every_s)
                case Poisson(rate=rate):
                    all_of_them = rate * scenario.duration_s
                    calls += min(all_of_them, 2 * rate * (patience_s + talk_s)) if patience_s > 0 else all_of_them
        return min(MAX_SEATS, math.ceil(calls) + 2 * len(self.order.agents) + 64)

    # ------------------------------------------------------------------ the run

    async def run(self, begin_at: float) -> None:
        """Place the calls, wait for their ends, cut what is left."""
        order, loop = self.order, asyncio.get_running_loop()
        scenario = order.scenario
        end_at = begin_at + scenario.duration_s
        churn = [loop.create_task(self._churn(phone, end_at)) for phone in self.phones] if scenario.agent.works_for is not None else []
        for planned in plan(scenario, self._rng):
            if await self._is_stopped_before(begin_at + planned.at_s):
                break
            self._call(planned)
        await self._is_stopped_before(end_at)
        self._is_over = True
        for task in churn:
            task.cancel()
        await asyncio.gather(*churn, return_exceptions=True)
        if not self._stop.is_set():
            left_until = loop.time() + order.drain_s
            if await self._until(lambda: not self.callers or self._stop.is_set(), order.drain_s):
                self._tell(Quiet(process=order.process))
                await self._until(lambda: self._all_quiet or self._stop.is_set(), left_until - loop.time())
        for caller in list(self.callers.values()):
            caller.cut()
        await self._until(lambda: not self.callers and not self._offers(), GOODBYE_S)
        for offer in self._offers():
            offer.hang_up(cut=True)
        await self._until(lambda: not self._offers(), GOODBYE_S)
        for phone in self.phones:
            phone.unregister()
        for caller in list(self.callers.values()):
            self._tell(caller.abandoned())

    async def _is_stopped_before(self, at: float) -> bool:
        """Sleep until `at`; True: the run was told to end before."""
        delay = at - asyncio.get_running_loop().time()
        if delay > 0 and not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stop.wait()
        return self._stop.is_set()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until it holds, at most so long; whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, timeout_s)):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    def _offers(self) -> list[Offer]:
        return [offer for phone in self.phones for offer in phone.offers]

    def _call(self, planned: Any) -> None:
        key = f"{self.order.process}{self._serial % CALLS_PER_PROCESS:06d}"
        dial = self.order.dial
        self._serial += 1
        self._begun += 1
        caller = self.callers[key] = Caller(self, key, planned)
        caller.call(dial[self._begun % len(dial)])

    async def _churn(self, phone: AgentPhone, end_at: float) -> None:
        """Ready for a while, away for a while, through the API as a desk would."""
        profile, account, loop = phone.profile, phone.account, asyncio.get_running_loop()
        assert profile.works_for is not None
        if self.order.api is None or account.token is None:
            LOG.warning("! agent %s cannot go away: no API given", account.agent)
            return
        path = f"/api/v1/agents/{account.agent}"
        with ApiClient(self.order.api, account.token) as desk:
            while loop.time() < end_at:
                await asyncio.sleep(profile.works_for.draw(phone.rng))
                try:
                    await asyncio.to_thread(desk.post, f"{path}/not-ready", {"reason": self.order.away_reason})
                    await asyncio.sleep(profile.away_for.draw(phone.rng))
                    await asyncio.to_thread(desk.post, f"{path}/ready")
                except ApiError as fault:
                    LOG.warning("! agent %s: %s", account.agent, fault)

    # ------------------------------------------------------------------ what its parties tell

    def caller_answered(self, caller: Caller) -> None:
        """Remember how long it took, for the line a second."""
        assert caller.answered_at is not None
        self._setups_ms.append((caller.answered_at - caller.invited_at) * 1000)

    def caller_ended(self, caller: Caller) -> None:
        """Write it down; in a closed loop the next one comes."""
        self.callers.pop(caller.key, None)
        record = caller.record()
        self._failed += record.status is not None
        self._connected -= caller.connected_at is not None
        self._tell(record)
        self._changed.set()
        if self._closed_loops and not self._is_over:
            asyncio.get_running_loop().call_soon(self._replace)

    def _replace(self) -> None:
        if not self._is_over:
            self._call(plan_call(self._serial, 0.0, self.order.scenario.caller, self._rng))

    def offer_ended(self, offer: Offer) -> None:
        """Write it down."""
        if self._talking_to.get(offer.key) is offer:
            del self._talking_to[offer.key]
        self._tell(offer.record())
        self._changed.set()

    def agent_connected(self, offer: Offer) -> None:
        """Tell the caller, here or in another process."""
        assert offer.answered_at is not None
        self._talking_to[offer.key] = offer
        caller = self.callers.get(offer.key)
        if caller is not None:
            self._connect(caller, offer.answered_at)
        elif offer.key[0] != str(self.order.process):
            self._tell(AgentConnected(key=offer.key, at=offer.answered_at))

    def _connect(self, caller: Caller, at: float) -> None:
        if caller.connected_at is None and caller.ended_at is None:
            self._connected += 1
            caller.connected(at)

    def please_hang_up(self, key: str) -> None:
        """Tell the agent, here or in another process."""
        offer = self._talking_to.get(key)
        if offer is not None:
            offer.hang_up()
        elif self.order.processes > 1:
            self._tell(PleaseHangUp(key=key))

    def hear(self, message: ToChild) -> None:
        """News from another process."""
        match message:
            case AgentConnected(key=key, at=at):
                if (caller := self.callers.get(key)) is not None:
                    self._connect(caller, at)
            case PleaseHangUp(key=key):
                if (offer := self._talking_to.get(key)) is not None:
                    offer.hang_up()
            case AllQuiet():
                self._all_quiet = True
                self._changed.set()
            case EndNow():
                self._stop.set()
                self._changed.set()
            case Begin():
                pass

    # ------------------------------------------------------------------ figures

    def snapshot(self) -> Snapshot:
        """How it stands."""
        progress = self.rtp.progress if self.rtp is not None else None
        setups_ms, self._setups_ms = self._setups_ms, []
        return Snapshot(
            at=self.bank.clock(),
            process=self.order.process,
            calls_begun=self._begun,
            calls_up=len(self.callers),
            calls_connected=self._connected,
            failed=self._failed,
            agents_busy=sum(bool(phone.offers) for phone in self.phones),
            agents_registered=sum(phone.is_registered for phone in self.phones),
            setup_p50_ms=percentile(setups_ms, 0.5),
            rtp_sent=progress.sent if progress else 0,
            rtp_received=progress.received if progress else 0,
            cpu_s=own_cpu_s() + (progress.cpu_s if progress else 0.0),
        )

    async def close(self) -> None:
        """The sum of the RTP, then everything shut."""
        figures, rtp_cpu_s = RtpFigures(), 0.0
        if self.rtp is not None:
            last = await self.rtp.finish()
            figures, rtp_cpu_s = last.figures, last.cpu_s
        self._shut_audio()
        await self.bank.close()
        await self._agent_bank.close()
        dropped = self.bank.dropped + self._agent_bank.dropped
        for why in dropped[:10]:
            LOG.warning("! %s", why)
        self._tell(Finished(process=self.order.process, rtp=figures, cpu_s=own_cpu_s() + rtp_cpu_s, dropped_messages=len(dropped)))

    def abandon(self) -> None:
        """Hang up without waiting for an answer, and shut what must not be left behind."""
        for caller in list(self.callers.values()):
            caller.cut()
        for offer in self._offers():
            offer.hang_up(cut=True)
        if self.rtp is not None:
            self.rtp.close()
        self._shut_audio()

    def _shut_audio(self) -> None:
        if self.voices is not None:
            self.voices.close()
        self._sink.close()


class _AgentPort:
    """The same floor seen from the agents' port: a phone that rings is another address than one that calls."""

    def __init__(self, part: Part, bank: PhoneBank) -> None:
        self.bank = bank
        self.rtp = part.rtp
        self.rtp_sample = part.rtp_sample
        self.voices = part.voices
        self.sink_port = part.sink_port
        self.flow = bank.flow_to(part.order.server)
        self.capabilities = part.capabilities
        self.offer_ended = part.offer_ended
        self.agent_connected = part.agent_connected


def own_cpu_s() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def serve(lines: asyncio.StreamReader, tell: Callable[[ToParent], None]) -> None:
    """Read the order, do it, report."""
    order = msgspec.json.decode(await lines.readline(), type=Order)
    part = Part(order, tell)
    decoder = msgspec.json.Decoder(ToChild)
    loop = asyncio.get_running_loop()
    begin: asyncio.Future[float] = loop.create_future()

    async def listen() -> None:
        while line := await lines.readline():
            message = decoder.decode(line)
            if isinstance(message, Begin):
                begin.set_result(message.at)
            else:
                part.hear(message)
        raise ConnectionError("the parent has gone")

    async def report() -> None:
        while True:
            await asyncio.sleep(1.0)
            tell(part.snapshot())

    async def work() -> None:
        await part.open()
        gc.freeze()
        await part.run(await begin)
        await part.close()

    listening, reporting, working = loop.create_task(listen()), loop.create_task(report()), loop.create_task(work())
    try:
        await asyncio.wait({listening, working}, return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, reporting, working):
            if not task.done():
                task.cancel()
        results = await asyncio.gather(listening, reporting, working, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ConnectionError):
                raise result
    finally:
        part.abandon()


class Writer:
    """Lines to the parent, a whole line at a time."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._out = sys.stdout.buffer
        self._is_heard = True

    def __call__(self, message: ToParent) -> None:
        if not self._is_heard:
            return
        try:
            self._out.write(self._encode(message) + b"\n")
            self._out.flush()
        except BrokenPipeError:
            # The parent went without a word; our input ends too, and with it the calls. Nobody is left to be told.
            self._is_heard = False
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - so that the interpreter does not flush into the broken pipe at its end


async def _main() -> None:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await serve(reader, Writer())


def main() -> int:
    """The child process; uvloop where it is installed, since it halves what a datagram costs."""
    close_inherited()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear; it closes our input
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(_main())
    else:
        uvloop.run(_main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
