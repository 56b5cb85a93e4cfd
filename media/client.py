"""The main process's side of the media plane: starts workers, places legs, sends orders, takes reports (DESIGN.md §2; asyncio shell).

Both legs of a call must be in one worker, so everything is addressed by `call_key`, the exchange's name for what may ever be bridged.
A key is placed at its first leg, on the worker with the fewest calls, and forgotten when its last leg is closed. Orders to one worker
arrive in the order they were sent. Workers outlive a main process that is killed; `MediaPlane.start` takes them over first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, TypeAlias, cast

from media import framing, takeover
from media.control import (
    AskStatus,
    CloseLeg,
    FromWorker,
    Greeting,
    LegClosed,
    LegOpened,
    OpenLeg,
    PauseRecording,
    Refused,
    Report,
    Request,
    Shutdown,
    Status,
    StopRecording,
    TakenOver,
)
from media.errors import MediaError, ParseError, WorkerGone
from media.errors import Refused as RefusedError
from media.io import control_socket
from media.log_lines import Form

log = logging.getLogger("media.client")

ORPHAN_S: Final = 60.0
"""How long workers keep their legs when we are gone."""
START_TIMEOUT_S: Final = 20.0
ANSWER_TIMEOUT_S: Final = 5.0
STATUS_TIMEOUT_S: Final = 2.5
"""A worker that does not say how it is for so long, twice in a row, hangs. Once may be our own stop (SIGSTOP, a machine that slept)."""
STOP_TIMEOUT_S: Final = 8.0
STOPPING_S: Final = 0.5
"""A service manager tells all processes to end at once (`KillMode=control-group` of systemd.kill(5)): so long a worker that ended when it
was asked to is not missed, since the same order may be on its way to us."""
ENDED_S: Final = 0.1
"""How long a process may take to be gone once its connection is."""
GATHER_S: Final = 0.003
"""How long an order without an answer waits for company, a seventh of a packet: the end of a call is four of them."""
MAX_UNREAD_OCTETS = 8 << 20
"""Some 80 000 orders a worker did not read: it hangs, and its calls with it; better another one takes its place."""
_RESTART_WAITS_S = (0.0, 0.5, 1.0, 2.0, 5.0)


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
_ANSWERS: Final = frozenset((LegOpened, Refused, Status))


class _Control(asyncio.Protocol):
    """The control connection to one worker: whole messages in, orders out. Without streams, whose reader is a task to be woken."""

    def __init__(self, on_message: Callable[[FromWorker], None], on_unread: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_unread = on_unread
        self._messages = framing.report_reader()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._unsent: list[bytes] = []
        self._gathering: asyncio.TimerHandle | None = None
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.broken_by: Exception | None = None
        """What the connection ended by, where it was not closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from it
        self._transport.set_write_buffer_limits(high=MAX_UNREAD_OCTETS)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._messages.feed(data):
                if isinstance(message, Greeting):
                    self._greet()
                else:
                    self._on_message(message)
        except ParseError:
            log.exception("! control connection")
            self._transport.abort()

    def _greet(self) -> None:
        if not self.greeted.done():
            self.greeted.set_result(None)

    def pause_writing(self) -> None:
        self._on_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken_by = exc
        if not self.ended.done():
            self.ended.set_result(None)

    def write(self, order: Request, *, at_once: bool = False) -> None:
        """Send one order: `at_once` with all that wait, or a little later together with others."""
        self._unsent.append(framing.encode(order))
        if at_once:
            self._flush()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHER_S, self._flush)

    def _flush(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        unsent, self._unsent = self._unsent, []
        if unsent and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def close(self) -> None:
        """Send what waits, and close."""
        self._flush()
        self._transport.close()


@dataclass(slots=True)
class _Worker:
    """One worker process as the main process sees it."""

    index: int
    ports: tuple[int, int]
    process: asyncio.subprocess.Process | None = None
    control: _Control | None = None
    """None: it is not running."""
    task: asyncio.Task[None] | None = None
    legs: dict[str, int] = field(default_factory=dict)
    """Those that are open -> their RTP port."""
    avoid: tuple[int, ...] = ()
    """Ports of its predecessor's legs: far ends go on sending there until they are told better."""
    waiting: dict[int, Callable[[_Answer | WorkerGone], None]] = field(default_factory=dict)
    restarts: int = 0
    silences: int = 0
    """How often in a row it has not answered."""
    calls: int = 0


class MediaPlane:
    """All media workers of one main process. Make one with `start`; every method belongs to the event loop that made it."""

    def __init__(
        self,
        address: str,
        sounds: Iterable[Path],
        on_report: Callable[[PlaneReport], None],
        log_level: str,
        log_form: Form,
        control: Path,
        orphan_s: float = ORPHAN_S,
    ) -> None:
        self.taken_over: list[takeover.Last] = []
        """What workers of a main process before us reported of legs and recordings when they were taken over."""
        self._control = control
        self._orphan_s = orphan_s
        self._address = address
        self._sounds = tuple(sounds)
        self._on_report = on_report
        self._log_level = log_level
        self._log_form = log_form
        self._workers: list[_Worker] = []
        self._call_workers: dict[str, _Worker] = {}
        self._call_legs: dict[str, set[str]] = {}
        self._leg_calls: dict[str, str] = {}
        self._requests = count(1)
        self._closing = asyncio.Event()

    @classmethod
    async def start(
        cls,
        *,
        workers: int,
        address: str,
        ports: tuple[int, int],
        on_report: Callable[[PlaneReport], None],
        control: Path,
        orphan_s: float = ORPHAN_S,
        sounds: Path | Iterable[Path] = (),
        log_level: str = "WARNING",
        log_form: Form = "text",
    ) -> MediaPlane:
        """Take over the workers of a main process that is gone, start `workers` processes, and wait until all serve.

        Args:
            address: IP address legs are bound to unless `open_leg` says another.
            ports: first and last RTP port; divided evenly among the workers.
            on_report: called in the event loop with every report; must not block, may send orders.
            control: folder of the workers' control sockets, one for each main process; made when it is missing.
            orphan_s: how long workers keep their legs when this process is gone.
            sounds: folders of sounds in front of the packaged ones.
        Raises: MediaError: a worker did not come up, or one of another main process cannot be ended. OSError: the folder cannot be used.
        """
        plane = cls(address, (sounds,) if isinstance(sounds, Path) else sounds, on_report, log_level, log_form, control, orphan_s)
        takeover.prepare(control)
        plane.taken_over = await takeover.take_over(control)
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
            up = [worker for worker in self._workers if worker.control is not None] or self._workers
            worker = up[0] if len(up) == 1 else min(up, key=lambda each: (each.calls, each.index))
            worker.calls += 1
            self._call_workers[call_key] = worker
            self._call_legs[call_key] = set()
        return worker

    @property
    def is_up(self) -> bool:
        """Whether there is a worker that takes legs; when not, `WorkerRestarted` tells of the next."""
        return any(worker.control is not None for worker in self._workers)

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
        opened: asyncio.Future[LegOpened | MediaError] = asyncio.get_running_loop().create_future()

        def tell(answer: LegOpened | MediaError) -> None:
            if not opened.done():
                opened.set_result(answer)

        withdraw = self.request_leg(call_key, leg, address or self._address, tell, loss_concealment=loss_concealment)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                answer = await opened
        except TimeoutError as error:
            raise WorkerGone(f"the media worker did not answer within {ANSWER_TIMEOUT_S:.0f} s") from error
        finally:
            withdraw()  # nothing, once it was answered
        if isinstance(answer, MediaError):
            raise answer
        return answer

    def request_leg(
        self, call_key: str, leg: str, address: str, on_answer: Callable[[LegOpened | MediaError], None], *, loss_concealment: bool = True
    ) -> Callable[[], None]:
        """As `open_leg`, for the hot path: no task and no deadline of its own.

        A worker that hangs is replaced, and everybody who waits for it is told then.
        Returns: withdraws the request; ports that are bound later are given back unseen.
        """
        worker = self._placed(call_key)
        if worker.control is None or leg in self._leg_calls:
            self._forget_unless_used(call_key)
            down = worker.control is None
            on_answer(WorkerGone(f"media worker {worker.index} is not running") if down else RefusedError(f"leg {leg} is open already"))
            return _nothing
        self._call_legs[call_key].add(leg)
        self._leg_calls[leg] = call_key
        request = next(self._requests)

        def tell(answer: _Answer | WorkerGone) -> None:
            if isinstance(answer, LegOpened):
                on_answer(answer)
                return
            self._drop_leg(leg)
            on_answer(answer if isinstance(answer, WorkerGone) else RefusedError(getattr(answer, "reason", "not understood")))

        def withdraw() -> None:
            if worker.waiting.pop(request, None) is not None:
                self._drop_leg(leg)

        worker.waiting[request] = tell
        worker.control.write(OpenLeg(request=request, leg=leg, address=address, loss_concealment=loss_concealment), at_once=True)
        return withdraw

    def send(self, call_key: str, order: Request) -> None:
        """Send an order that has no answer; what comes of it is reported. Dropped with a log line when no leg of the call is open."""
        worker = self._call_workers.get(call_key)
        if worker is None and self._closing.is_set():
            return
        if worker is None:
            # A recording ends with its last leg, whether it is told to or not: phones that hang up at once are no fault.
            level = logging.DEBUG if isinstance(order, PauseRecording | StopRecording) else logging.WARNING
            log.log(level, "! call=%s has no worker: %s", call_key, type(order).__name__)
            return
        self._write(worker, order)

    async def status(self) -> list[Status]:
        """Figures of every worker that is up, in order of their indices."""
        asked = [worker for worker in self._workers if worker.control is not None]
        answers = await asyncio.gather(*(self._ask_status(worker) for worker in asked))
        return [answer for answer in answers if isinstance(answer, Status)]

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that are up, for those who measure or watch them."""
        return [worker.process.pid for worker in self._workers if worker.control is not None and worker.process is not None]

    async def _ask_status(self, worker: _Worker) -> _Answer:
        if worker.control is None:
            raise WorkerGone(f"media worker {worker.index} is not running")
        answered: asyncio.Future[_Answer | WorkerGone] = asyncio.get_running_loop().create_future()

        def tell(answer: _Answer | WorkerGone) -> None:
            if not answered.done():
                answered.set_result(answer)

        request = next(self._requests)
        worker.waiting[request] = tell
        worker.control.write(AskStatus(request=request), at_once=True)
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                answer = await answered
        except TimeoutError as error:
            worker.silences += 1
            if worker.silences > 1:
                self._hangs(worker)
            raise WorkerGone(f"media worker {worker.index} did not answer within {STATUS_TIMEOUT_S:g} s") from error
        finally:
            worker.waiting.pop(request, None)
        worker.silences = 0
        if isinstance(answer, WorkerGone):
            raise answer
        return answer

    def _write(self, worker: _Worker, order: Request) -> None:
        if worker.control is not None:
            worker.control.write(order)
        elif not self._closing.is_set():
            log.warning("! worker=%d is down: %s", worker.index, type(order).__name__)

    @staticmethod
    def _hangs(worker: _Worker) -> None:
        if worker.process is not None and worker.process.returncode is None:
            worker.silences = 0
            log.error("! worker=%d pid=%d hangs: killed", worker.index, worker.process.pid)
            worker.process.kill()

    # ---------------------------------------------------------------- processes

    async def _spawn(self, worker: _Worker) -> None:
        process, control = await self._start_and_connect(worker)
        worker.control = control
        worker.task = asyncio.create_task(self._serve(worker, control), name=f"media-worker-{worker.index}")
        log.info("= worker=%d pid=%d ports=%d-%d", worker.index, process.pid, *worker.ports)

    async def _start_and_connect(self, worker: _Worker) -> tuple[asyncio.subprocess.Process, _Control]:
        path = takeover.socket_path(self._control, worker.index)
        takeover.remove(path)  # of an earlier one that was killed: every worker that lives was taken over, or is ours and gone
        folders = [argument for folder in self._sounds for argument in ("--sounds", str(folder))]
        avoid = ["--avoid-ports", ",".join(map(str, worker.avoid))] if worker.avoid else []
        starting = asyncio.ensure_future(asyncio.create_subprocess_exec(
            sys.executable, "-m", "media.worker",
            "--control", str(path), "--ports", f"{worker.ports[0]}-{worker.ports[1]}",
            "--parent", str(os.getpid()), "--orphan-s", str(self._orphan_s), "--log-level", self._log_level,
            "--log-format", self._log_form, *folders, *avoid,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=_worker_environment(),
            start_new_session=True,  # a terminal's Ctrl-C is for the main process, also while the worker cannot ignore it yet
        ))  # fmt: skip
        try:
            worker.process = process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            worker.process = await starting  # it comes into being in any case, and only who knows it can end it
            raise
        control: _Control | None = None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline() if process.stdout is not None else b""
                if line != b"ready\n":
                    raise MediaError(f"media worker {worker.index} did not start (exit status {await process.wait()})")
                _, control = await asyncio.get_running_loop().create_unix_connection(
                    lambda: _Control(lambda message: self._receive(worker, message), lambda: self._hangs(worker)),
                    sock=control_socket.connect(path),
                )
                await asyncio.wait({control.greeted, control.ended}, return_when=asyncio.FIRST_COMPLETED)
                if not control.greeted.done():
                    await _end(process, at_once=True)
                    raise MediaError(f"media worker {worker.index} did not start: its words are not ours, or it ended")
        except (TimeoutError, OSError) as error:
            if control is not None:
                control.close()
            await _end(process, at_once=True)
            raise MediaError(f"media worker {worker.index} did not start: {error!r}") from error
        return process, control

    async def _serve(self, worker: _Worker, control: _Control) -> None:
        """Wait until the connection ends; then start another worker, unless we are closing."""
        await control.ended
        if worker.process is not None and not self._closing.is_set() and await _ended_in_order(worker.process):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), STOPPING_S)
        self._lose(worker)
        if worker.process is not None:
            # One that lives takes us for dead and would keep its legs for whoever comes.
            await _end(worker.process, at_once=not self._closing.is_set())
        if not self._closing.is_set():
            await self._restart(worker)

    def _receive(self, worker: _Worker, message: FromWorker) -> None:
        if type(message) in _ANSWERS:
            assert isinstance(message, LegOpened | Refused | Status)
            if isinstance(message, LegOpened):
                worker.legs[message.leg] = message.rtp_port
            tell = worker.waiting.pop(message.request, None)
            if tell is not None:
                self._answer(tell, message)
            elif isinstance(message, LegOpened):  # whoever asked gave up: nobody would ever close it
                self._write(worker, CloseLeg(leg=message.leg))
            return
        if isinstance(message, Greeting | TakenOver | LegOpened | Refused | Status):
            return  # of a conversation that is not ours
        if isinstance(message, LegClosed):
            worker.legs.pop(message.leg, None)
            self._drop_leg(message.leg)
        self._tell(message)

    @staticmethod
    def _answer(tell: Callable[[_Answer | WorkerGone], None], answer: _Answer | WorkerGone) -> None:
        try:
            tell(answer)
        except Exception:
            log.exception("! answer %s was not taken", type(answer).__name__)

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
        broken_by = None
        if worker.control is not None:
            worker.control.close()
            broken_by = worker.control.broken_by
        worker.control = None
        legs = tuple(sorted(worker.legs))
        worker.avoid = tuple(sorted(worker.legs.values())) or worker.avoid
        worker.legs.clear()
        for call_key in [key for key, serving in self._call_workers.items() if serving is worker]:
            self.forget(call_key)
        # After that, so that who asks again at once is placed on a worker that lives.
        waiting, worker.waiting = worker.waiting, {}
        for tell in waiting.values():
            self._answer(tell, WorkerGone(f"media worker {worker.index} ended"))
        if not self._closing.is_set():
            log.error("! worker=%d lost with %d legs%s", worker.index, len(legs), f": {broken_by}" if broken_by is not None else "")
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

    def stopping(self) -> None:
        """`close` will come: a worker that ends from now on is neither missed nor replaced."""
        self._closing.set()

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
        await asyncio.gather(*(self._end_worker(worker) for worker in self._workers))

    async def _end_worker(self, worker: _Worker) -> None:
        if worker.process is not None:
            # Who was still starting has no connection over which it could have been told.
            await _end(worker.process, at_once=worker.task is None)
            takeover.remove(takeover.socket_path(self._control, worker.index))
        if worker.control is not None:
            worker.control.close()

    @staticmethod
    def _write_shutdown(worker: _Worker) -> None:
        if worker.control is not None:
            worker.control.write(Shutdown(), at_once=True)


def _nothing() -> None: ...


async def _ended_in_order(process: asyncio.subprocess.Process) -> bool:
    """Whether a process whose connection is gone has ended because it was asked to, not by a fault or a kill."""
    try:
        async with asyncio.timeout(ENDED_S):
            return await process.wait() in {0, -signal.SIGTERM}
    except TimeoutError:
        return False


async def _end(process: asyncio.subprocess.Process, *, at_once: bool = False) -> None:
    """Wait a moment for a process whose connection is closed, then kill it.

    Args:
        at_once: ask it to end, which closes its recordings; else it was asked already.
    """
    if at_once and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        log.error("! media worker pid=%d does not end: killed", process.pid)  # noqa: TRY400 - the trace says nothing more
        process.kill()
        await process.wait()


def _worker_environment() -> dict[str, str]:
    """Ours, with our import path in front: the worker is the same code wherever the main process was started.

    Its matrices have a few hundred numbers: OpenBLAS, which starts a thread for every core and lets it wait busily, is told to do without
    (the start takes half the CPU time).
    """
    path = str(Path(__file__).resolve().parent.parent)
    earlier = os.environ.get("PYTHONPATH")
    return {"OPENBLAS_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": path if not earlier else f"{path}{os.pathsep}{earlier}"}


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


def count_pairs(ports: tuple[int, int], workers: int) -> int:
    """How many port pairs all workers have together.

    Raises: ValueError: as `divide_ports`.
    """
    return sum((last + 1 - first) // 2 for first, last in divide_ports(ports, workers))
