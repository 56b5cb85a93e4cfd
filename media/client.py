"""The main process's side of the media plane: starts workers, places legs, sends orders, takes reports (DESIGN.md §2; asyncio shell).

Both legs of a call must be in one worker, so everything is addressed by `call_key`, the exchange's name for what may ever be bridged.
A key is placed at its first leg, on the worker with the fewest calls, and forgotten when its last leg is closed. Orders to one worker
arrive in the order they were sent; those of one turn of the event loop leave in one write.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias

from media import framing
from media.control import (
    AskStatus,
    CloseLeg,
    FromWorker,
    LegClosed,
    LegOpened,
    OpenLeg,
    Refused,
    Report,
    Request,
    Shutdown,
    Status,
)
from media.errors import MediaError, ParseError, WorkerGone
from media.errors import Refused as RefusedError

log = logging.getLogger("media.client")

START_TIMEOUT_S: Final = 20.0
ANSWER_TIMEOUT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 8.0
MAX_UNREAD_OCTETS = 8 << 20
"""Some 80 000 orders a worker did not read: it hangs, and its calls with it; better another one takes its place."""
_RESTART_WAITS_S = (0.0, 0.5, 1.0, 2.0, 5.0)
_READ_OCTETS = 1 << 16


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker ended by itself; these legs are gone with their audio. Another one takes its place."""

    worker: int
    legs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerRestarted:
    """The lost worker's successor serves."""

    worker: int


PlaneReport: TypeAlias = Report | WorkerLost | WorkerRestarted
_Answer: TypeAlias = LegOpened | Refused | Status


@dataclass(slots=True)
class _Worker:
    """One worker process as the main process sees it."""

    index: int
    ports: tuple[int, int]
    process: asyncio.subprocess.Process | None = None
    writer: asyncio.StreamWriter | None = None
    task: asyncio.Task[None] | None = None
    legs: set[str] = field(default_factory=set)
    waiting: dict[int, asyncio.Future[_Answer]] = field(default_factory=dict)
    unsent: bytearray = field(default_factory=bytearray)
    restarts: int = 0
    calls: int = 0


class MediaPlane:
    """All media workers of one main process. Make one with `start`; every method belongs to the event loop that made it."""

    def __init__(self, address: str, sounds: Iterable[Path], on_report: Callable[[PlaneReport], None], log_level: str) -> None:
        self._address = address
        self._sounds = tuple(sounds)
        self._on_report = on_report
        self._log_level = log_level
        self._folder = tempfile.TemporaryDirectory(prefix="fernamt-media-")
        self._workers: list[_Worker] = []
        self._call_workers: dict[str, _Worker] = {}
        self._call_legs: dict[str, set[str]] = {}
        self._leg_calls: dict[str, str] = {}
        self._requests = count(1)
        self._generation = count(1)
        self._closing = asyncio.Event()

    @classmethod
    async def start(
        cls,
        *,
        workers: int,
        address: str,
        ports: tuple[int, int],
        on_report: Callable[[PlaneReport], None],
        sounds: Path | Iterable[Path] = (),
        log_level: str = "WARNING",
    ) -> MediaPlane:
        """Start `workers` processes and wait until all serve.

        Args:
            address: IP address legs are bound to unless `open_leg` says another.
            ports: first and last RTP port; divided evenly among the workers.
            on_report: called in the event loop with every report; must not block, may send orders.
            sounds: folders of sounds in front of the packaged ones.
        Raises: MediaError: a worker did not come up.
        """
        plane = cls(address, (sounds,) if isinstance(sounds, Path) else sounds, on_report, log_level)
        try:
            plane._workers = [_Worker(index, share) for index, share in enumerate(divide_ports(ports, workers))]
            await asyncio.gather(*(plane._spawn(worker) for worker in plane._workers))
        except BaseException:
            await plane.close()
            raise
        return plane

    # ---------------------------------------------------------------- placing and orders

    def place(self, call_key: str) -> int:
        """The index of the worker that serves `call_key`; decided now if it was not."""
        return self._placed(call_key).index

    def _placed(self, call_key: str) -> _Worker:
        worker = self._call_workers.get(call_key)
        if worker is None:
            up = [worker for worker in self._workers if worker.writer is not None] or self._workers
            worker = min(up, key=lambda each: (each.calls, each.index))
            worker.calls += 1
            self._call_workers[call_key] = worker
            self._call_legs[call_key] = set()
        return worker

    def forget(self, call_key: str) -> None:
        """A call that was placed and never opened a leg, or whose legs are none of our business any more."""
        worker = self._call_workers.pop(call_key, None)
        if worker is None:
            return
        worker.calls -= 1
        for leg in self._call_legs.pop(call_key):
            self._leg_calls.pop(leg, None)

    def _forget_unless_used(self, call_key: str) -> None:
        if not self._call_legs.get(call_key):
            self.forget(call_key)

    async def open_leg(self, call_key: str, leg: str, address: str | None = None, *, loss_concealment: bool = True) -> LegOpened:
        """Bind a port pair for `leg`.

        Raises: Refused: the worker says why. WorkerGone: it ended or did not answer in time.
        """
        worker = self._placed(call_key)
        request = next(self._requests)
        order = OpenLeg(request=request, leg=leg, address=address or self._address, loss_concealment=loss_concealment)
        if leg in self._leg_calls:
            raise RefusedError(f"leg {leg} is open already")
        self._call_legs[call_key].add(leg)
        self._leg_calls[leg] = call_key
        try:
            answer = await self._ask(worker, request, order)
            if isinstance(answer, LegOpened):
                return answer
            if isinstance(answer, Refused):
                raise RefusedError(answer.reason)
            raise WorkerGone(f"media worker {worker.index} answered OpenLeg with {type(answer).__name__}")
        except BaseException:
            self._drop_leg(leg)
            raise

    def request_leg(self, call_key: str, leg: str, address: str, on_answer: Callable[[LegOpened | MediaError], None]) -> None:
        """As `open_leg`, for the hot path: no task and no deadline of its own.

        A worker that hangs is replaced, and everybody who waits for it is told then.
        """
        worker = self._placed(call_key)
        if worker.writer is None or leg in self._leg_calls:
            self._forget_unless_used(call_key)
            down = worker.writer is None
            on_answer(WorkerGone(f"media worker {worker.index} is not running") if down else RefusedError(f"leg {leg} is open already"))
            return
        self._call_legs[call_key].add(leg)
        self._leg_calls[leg] = call_key
        request = next(self._requests)
        answered: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        worker.waiting[request] = answered

        def tell(done: asyncio.Future[_Answer]) -> None:
            worker.waiting.pop(request, None)
            failure = done.exception()
            answer = done.result() if failure is None else None
            if isinstance(answer, LegOpened):
                on_answer(answer)
                return
            self._drop_leg(leg)
            on_answer(RefusedError(answer.reason) if isinstance(answer, Refused) else WorkerGone(str(failure)))

        answered.add_done_callback(tell)
        self._write(worker, OpenLeg(request=request, leg=leg, address=address))

    def send(self, call_key: str, order: Request) -> None:
        """Send an order that has no answer; what comes of it is reported. Dropped with a log line when no leg of the call is open."""
        worker = self._call_workers.get(call_key)
        if worker is None:
            log.warning("! call=%s has no worker: %s", call_key, type(order).__name__)
            return
        self._write(worker, order)

    async def status(self) -> list[Status]:
        """Figures of every worker that is up, in order of their indices."""
        asked = [worker for worker in self._workers if worker.writer is not None]
        answers = await asyncio.gather(*(self._ask_status(worker) for worker in asked))
        return [answer for answer in answers if isinstance(answer, Status)]

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that are up, for those who measure or watch them."""
        return [worker.process.pid for worker in self._workers if worker.writer is not None and worker.process is not None]

    async def _ask_status(self, worker: _Worker) -> _Answer:
        request = next(self._requests)
        return await self._ask(worker, request, AskStatus(request=request))

    async def _ask(self, worker: _Worker, request: int, order: Request) -> _Answer:
        if worker.writer is None:
            raise WorkerGone(f"media worker {worker.index} is not running")
        answered: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        worker.waiting[request] = answered
        self._write(worker, order)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await answered
        except TimeoutError as error:
            raise WorkerGone(f"media worker {worker.index} did not answer within {ANSWER_TIMEOUT_S:.0f} s") from error
        finally:
            worker.waiting.pop(request, None)

    def _write(self, worker: _Worker, order: Request) -> None:
        if worker.writer is None:
            log.warning("! worker=%d is down: %s", worker.index, type(order).__name__)
            return
        if not worker.unsent:
            asyncio.get_running_loop().call_soon(self._flush, worker)
        worker.unsent += framing.encode(order)

    @staticmethod
    def _flush(worker: _Worker) -> None:
        octets, worker.unsent = worker.unsent, bytearray()
        if worker.writer is None or not octets:
            return
        worker.writer.write(octets)
        if worker.writer.transport.get_write_buffer_size() > MAX_UNREAD_OCTETS and worker.process is not None:
            log.error("! worker=%d pid=%d does not read its orders: killed", worker.index, worker.process.pid)
            worker.process.kill()

    # ---------------------------------------------------------------- processes

    async def _spawn(self, worker: _Worker) -> None:
        # A path of its own for every start: the old socket may still lie there.
        control = Path(self._folder.name) / f"worker-{worker.index}-{next(self._generation)}.sock"
        folders = [argument for folder in self._sounds for argument in ("--sounds", str(folder))]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "media.worker",
            "--control", str(control), "--ports", f"{worker.ports[0]}-{worker.ports[1]}",
            "--parent", str(os.getpid()), "--log-level", self._log_level, *folders,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=_worker_environment(),
        )  # fmt: skip
        worker.process = process
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline() if process.stdout is not None else b""
                if line != b"ready\n":
                    raise MediaError(f"media worker {worker.index} did not start (exit status {await process.wait()})")
                reader, worker.writer = await asyncio.open_unix_connection(str(control))
        except (TimeoutError, OSError) as error:
            await _end(process)
            raise MediaError(f"media worker {worker.index} did not start: {error!r}") from error
        worker.task = asyncio.create_task(self._serve(worker, reader), name=f"media-worker-{worker.index}")
        log.info("= worker=%d pid=%d ports=%d-%d", worker.index, process.pid, *worker.ports)

    async def _serve(self, worker: _Worker, reader: asyncio.StreamReader) -> None:
        """Read reports until the connection ends; then start another worker, unless we are closing."""
        messages = framing.report_reader()
        try:
            while octets := await reader.read(_READ_OCTETS):
                for message in messages.feed(octets):
                    self._receive(worker, message)
        except (OSError, ParseError):
            log.exception("! worker=%d control connection", worker.index)
        self._lose(worker)
        if worker.process is not None:
            await _end(worker.process)
        if not self._closing.is_set():
            await self._restart(worker)

    def _receive(self, worker: _Worker, message: FromWorker) -> None:
        match message:
            case LegOpened() | Refused() | Status():
                if isinstance(message, LegOpened):
                    worker.legs.add(message.leg)
                answered = worker.waiting.get(message.request)
                if answered is not None and not answered.done():
                    answered.set_result(message)
                elif isinstance(message, LegOpened):  # whoever asked gave up: nobody would ever close it
                    self._write(worker, CloseLeg(leg=message.leg))
            case _:
                if isinstance(message, LegClosed):
                    worker.legs.discard(message.leg)
                    self._drop_leg(message.leg)
                self._tell(message)

    def _tell(self, report: PlaneReport) -> None:
        try:
            self._on_report(report)
        except Exception:
            log.exception("! report %s was not taken", type(report).__name__)

    def _drop_leg(self, leg: str) -> None:
        call_key = self._leg_calls.pop(leg, None)
        if call_key is not None:
            self._call_legs[call_key].discard(leg)
            self._forget_unless_used(call_key)

    def _lose(self, worker: _Worker) -> None:
        """The connection is gone: whoever waits is told, and so is the exchange."""
        if worker.writer is not None:
            worker.writer.close()
        worker.writer = None
        worker.unsent.clear()
        for answered in worker.waiting.values():
            if not answered.done():
                answered.set_exception(WorkerGone(f"media worker {worker.index} ended"))
        legs = tuple(sorted(worker.legs))
        worker.legs.clear()
        for call_key in [key for key, serving in self._call_workers.items() if serving is worker]:
            self.forget(call_key)
        if not self._closing.is_set():
            log.error("! worker=%d lost with %d legs", worker.index, len(legs))
            self._tell(WorkerLost(worker.index, legs))

    async def _restart(self, worker: _Worker) -> None:
        """Start again, at growing distances when it does not stay up."""
        while not self._closing.is_set():
            wait = _RESTART_WAITS_S[min(worker.restarts, len(_RESTART_WAITS_S) - 1)]
            worker.restarts += 1
            try:
                await asyncio.wait_for(self._closing.wait(), wait)
            except TimeoutError:
                pass
            else:
                return
            try:
                await self._spawn(worker)
            except MediaError:
                log.exception("! worker=%d restart", worker.index)
            else:
                if self._closing.is_set():
                    self._write_shutdown(worker)
                else:
                    self._tell(WorkerRestarted(worker.index))
                return

    async def close(self) -> None:
        """End every worker: recordings are closed, reports still arrive meanwhile; whoever does not end is killed by its pid."""
        self._closing.set()
        for worker in self._workers:
            self._write_shutdown(worker)
        # Twice, since a restart that was under way leaves a task of its own.
        for _ in range(2):
            tasks = [worker.task for worker in self._workers if worker.task is not None and not worker.task.done()]
            if tasks:
                await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)
        slow = [worker.task for worker in self._workers if worker.task is not None and not worker.task.done()]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        for worker in self._workers:
            if worker.process is not None:
                await _end(worker.process)
            if worker.writer is not None:
                worker.writer.close()
        self._folder.cleanup()

    def _write_shutdown(self, worker: _Worker) -> None:
        if worker.writer is not None:
            self._write(worker, Shutdown())


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait a moment for a process whose connection is closed, then kill it."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        log.error("! media worker pid=%d does not end: killed", process.pid)  # noqa: TRY400 - the trace says nothing more
        process.kill()
        await process.wait()


def _worker_environment() -> dict[str, str]:
    """Ours, with our import path in front: the worker is the same code wherever the main process was started."""
    path = str(Path(__file__).resolve().parent.parent)
    earlier = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": path if not earlier else f"{path}{os.pathsep}{earlier}"}


def divide_ports(ports: tuple[int, int], workers: int) -> list[tuple[int, int]]:
    """Equal shares of whole pairs.

    Raises: ValueError: fewer pairs than workers.
    """
    first = ports[0] + (ports[0] & 1)
    pairs = (ports[1] + 1 - first) // 2
    if workers < 1 or pairs < workers:
        raise ValueError(f"ports {ports[0]}-{ports[1]} hold {max(0, pairs)} pairs, too few for {workers} workers")
    each = pairs // workers
    return [(first + 2 * each * index, first + 2 * each * (index + 1) - 1) for index in range(workers)]
