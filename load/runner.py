"""One load run from outside: starts the processes, passes news between them, watches the service, collects everything (house protocol)."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from load.api_client import ApiClient, ApiError
from load.profiles import Scenario, agent_range
from load.records import (
    AgentAccount,
    AgentConnected,
    AgentRecord,
    AllQuiet,
    Begin,
    CallerRecord,
    EndNow,
    Finished,
    Order,
    PleaseHangUp,
    Quiet,
    Ready,
    Snapshot,
    ToChild,
    ToParent,
)
from load.report import Observed, Report, Thresholds, assemble
from load.server_process import CpuWatch

LOG = logging.getLogger("load.runner")
READY_TIMEOUT_S = 60.0
FINISH_TIMEOUT_S = 30.0
START_IN_S = 0.2
MAX_PROCESSES = 9
"""The first digit of a key names the process; 0 to 8."""


class RunFailed(Exception):
    """The run could not be made: a process died, a device was refused, the API said no."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run against what."""

    scenario: Scenario
    server: tuple[str, int]
    dial: tuple[str, ...]
    """Numbers, in turn."""
    agents: tuple[AgentAccount, ...] = ()
    seed: int = 1
    processes: int = 1
    local_address: str = "127.0.0.1"
    with_rtp: bool = False
    rtp_sample: float = 1.0
    with_voices: bool = False
    codec: str = "PCMA"
    drain_s: float = 10.0
    service_level_s: float = 20.0
    server_pid: int | None = None
    away_reason: str = "break"


class _Child:
    """One load process."""

    def __init__(self, index: int, process: asyncio.subprocess.Process) -> None:
        self.index = index
        self.process = process

    def tell(self, message: ToChild | Order) -> None:
        assert self.process.stdin is not None
        if not self.process.stdin.is_closing():
            self.process.stdin.write(msgspec.json.encode(message) + b"\n")


class Runner:
    """Carries out one `Run`."""

    def __init__(
        self, run: Run, api: ApiClient | None = None, on_second: Callable[[Sequence[Snapshot], Runner], None] | None = None
    ) -> None:
        if not 1 <= run.processes <= MAX_PROCESSES:
            raise ValueError(f"{run.processes} processes: 1 to {MAX_PROCESSES} can be told apart")
        self.order = run
        self._api = api
        self._on_second = on_second
        self._children: list[_Child] = []
        self._ready: dict[int, Ready] = {}
        self._finished: dict[int, Finished] = {}
        self._quiet: set[int] = set()
        self._readers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Condition()
        self._agent_process: dict[str, int] = {}
        self._is_ending = False
        self.callers: list[CallerRecord] = []
        self.offers: list[AgentRecord] = []
        self.snapshots: list[Snapshot] = []
        self.latest: dict[int, Snapshot] = {}

    async def run(self, thresholds: Thresholds | None = None) -> Report:
        """Do it; the processes are gone when this returns, however it returns.

        Raises: RunFailed
        """
        try:
            return await self._run(thresholds)
        finally:
            await self._end()

    async def _run(self, thresholds: Thresholds | None) -> Report:
        run = self.order
        for index in range(run.processes):
            self._children.append(await self._start(index))
        await self._until(lambda: len(self._ready) == run.processes, READY_TIMEOUT_S, "not every process came up")
        refused = {agent: why for ready in self._ready.values() for agent, why in ready.refused.items()}
        if refused:
            shown = ", ".join(f"{agent}: {why}" for agent, why in list(refused.items())[:5])
            raise RunFailed(f"{len(refused)} of {len(run.agents)} devices could not register ({shown})")
        if self._api is not None:
            await self._all_ready(self._api)
        watch = CpuWatch(run.server_pid) if run.server_pid is not None else None
        before = await self._metrics()
        began_at = time.monotonic() + START_IN_S
        for child in self._children:
            child.tell(Begin(at=began_at))
        await asyncio.sleep(START_IN_S)
        if watch is not None:
            watch.sample()
        ticking = asyncio.get_running_loop().create_task(self._tick(watch))
        length = run.scenario.duration_s + run.drain_s + FINISH_TIMEOUT_S
        try:
            await self._until(lambda: len(self._finished) == run.processes, length, "not every process finished")
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
        ended_at = max([began_at, *(record.ended_at for record in self.callers if record.ended_at is not None)])
        if watch is not None:
            watch.sample()
        return assemble(
            Observed(
                scenario=run.scenario.name,
                seed=run.seed,
                began_at=began_at,
                ended_at=ended_at,
                callers=self.callers,
                agents=self.offers,
                snapshots=self.snapshots,
                rtp=[one.rtp for one in self._finished.values()],
                cpu=watch.samples if watch is not None else (),
                counters_before=before,
                counters_after=await self._metrics(),
                generator_cpu_s=sum(one.cpu_s for one in self._finished.values()),
                dropped_messages=sum(one.dropped_messages for one in self._finished.values()),
                service_level_s=run.service_level_s,
                after_call_work_s=run.scenario.after_call_work_s,
                agents_stay=run.scenario.agent.works_for is None,
            ),
            thresholds,
        )

    def end_now(self) -> None:
        """No more calls: hang up, and report what there is."""
        self._is_ending = True
        for child in self._children:
            child.tell(EndNow())

    # ------------------------------------------------------------------ processes

    async def _start(self, index: int) -> _Child:
        run = self.order
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "load.process", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24
        )
        child = _Child(index, process)
        first, last = agent_range(len(run.agents), index, run.processes)
        for account in run.agents[first:last]:
            self._agent_process[account.agent] = index
        order = Order(
            process=index,
            processes=run.processes,
            seed=run.seed,
            scenario=msgspec.structs.replace(run.scenario.share(index, run.processes), agents=last - first),
            server=run.server,
            local_address=run.local_address,
            dial=run.dial,
            agents=run.agents[first:last],
            with_rtp=run.with_rtp,
            rtp_sample=run.rtp_sample,
            with_voices=run.with_voices,
            codec=run.codec,
            drain_s=run.drain_s,
            api=self._api.url if self._api is not None else None,
            away_reason=run.away_reason,
        )
        child.tell(order)
        self._readers.append(asyncio.get_running_loop().create_task(self._read(child)))
        return child

    async def _read(self, child: _Child) -> None:
        assert child.process.stdout is not None
        decoder = msgspec.json.Decoder(ToParent)
        while line := await child.process.stdout.readline():
            self._take(decoder.decode(line), child)
            if line.startswith((b'{"type":"Ready"', b'{"type":"Finished"')):
                async with self._changed:
                    self._changed.notify_all()
        if child.index not in self._finished:
            await child.process.wait()
        async with self._changed:
            self._changed.notify_all()

    def _take(self, message: ToParent, child: _Child) -> None:
        match message:
            case CallerRecord():
                self.callers.append(message)
            case AgentRecord():
                self.offers.append(message)
            case Snapshot():
                self.snapshots.append(message)
                self.latest[message.process] = message
            case Ready():
                self._ready[message.process] = message
            case Quiet():
                self._quiet.add(message.process)
                if len(self._quiet) == len(self._children):
                    for one in self._children:
                        one.tell(AllQuiet())
            case Finished():
                self._finished[message.process] = message
            case AgentConnected(key=key):
                index = int(key[0])
                if index < len(self._children) and index != child.index:
                    self._children[index].tell(message)
            case PleaseHangUp():
                for other in self._children:
                    if other is not child:
                        other.tell(message)

    async def _until(self, condition: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while not condition():
                    self._raise_for_the_dead()
                    await self._changed.wait()
        except TimeoutError:
            raise RunFailed(f"{otherwise} within {timeout_s:.0f} s") from None

    def _raise_for_the_dead(self) -> None:
        for child, reader in zip(self._children, self._readers, strict=False):
            if reader.done() and child.index not in self._finished:
                fault = reader.exception() if not reader.cancelled() else None
                raise RunFailed(
                    f"load process {child.index} ended with status {child.process.returncode}" + (f": {fault!r}" if fault else "")
                )

    async def _end(self) -> None:
        """Close the inputs, which ends them; those that do not hear it are killed, by their own ids."""
        for child in self._children:
            if child.process.stdin is not None:
                child.process.stdin.close()
        for child in self._children:
            try:
                async with asyncio.timeout(5):
                    await child.process.wait()
            except TimeoutError:
                child.process.kill()
                await child.process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    # ------------------------------------------------------------------ the service

    async def _all_ready(self, api: ApiClient) -> None:
        gate = asyncio.Semaphore(8)

        async def ready(account: AgentAccount) -> None:
            async with gate:
                try:
                    await asyncio.to_thread(log_on_ready, api, account.agent)
                except ApiError as fault:
                    raise RunFailed(f"agent {account.agent} cannot go ready: {fault}") from fault

        await asyncio.gather(*(ready(account) for account in self.order.agents))

    async def _metrics(self) -> dict[str, float] | None:
        if self._api is None:
            return None
        try:
            return await asyncio.to_thread(self._api.metrics)
        except (ApiError, ValueError) as fault:
            # Ctrl-C in a terminal ends the service as well, and it may be gone before us.
            LOG.log(logging.DEBUG if self._is_ending else logging.WARNING, "! no metrics: %s", fault)
            return None

    async def _tick(self, watch: CpuWatch | None) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1.0
            await asyncio.sleep(max(0.0, due - loop.time()))
            if watch is not None:
                watch.sample()
            if self._on_second is not None:
                self._on_second(list(self.latest.values()), self)


def log_on_ready(api: ApiClient, agent: str) -> None:
    """Log an agent on and ready; one who is logged on already goes ready."""
    try:
        api.post(f"/api/v1/agents/{agent}/log-on", {"ready": True})
    except ApiError as fault:
        if fault.status != 409:
            raise
        try:
            api.post(f"/api/v1/agents/{agent}/ready")
        except ApiError as second:
            if second.status != 409:  # ready already
                raise
