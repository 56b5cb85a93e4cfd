"""The main process's side of the media plane: starts workers, places legs, sends orders, takes reports (DESIGN.md §2; asyncio shell).

Both legs of a call must be in one worker, so everything is addressed by `call_key`, the exchange's name for what may ever be bridged.
A key is placed at its first leg, on the worker with the fewest calls, and forgotten when its last leg is closed. Orders to one worker
arrive in the order they were sent.

Workers outlive a main process that is killed, or that leaves them (`MediaPlane.leave`). `MediaPlane.start` adopts those that hold legs:
they go on as this plane's workers. What they hold is in `held`, `held_rooms`, `held_recordings`; what was reported while nobody listened is
in `kept`, and so is everything that is reported until `take_kept`. Whoever restores a call says so of each of its legs (`claim`), and may
then order as ever; a leg that nobody claims is closed by `abandon`. An adopted worker whose ports are not those of today's settings is
retiring: it keeps its calls, is given no new ones, and ends with its last leg.
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
from typing import Final, TypeAlias, TypeVar

import msgspec

from media import framing, takeover
from media.control import (
    Adopt,
    AskHeld,
    AskStatus,
    CloseLeg,
    FromWorker,
    Greeting,
    Held,
    HeldLeg,
    HeldRecording,
    HeldRoom,
    LegClosed,
    LegOpened,
    NoteLeg,
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
from media.control_connection import ControlConnection
from media.errors import MediaError, WorkerGone
from media.errors import Refused as RefusedError
from media.io import control_socket
from media.log_lines import Form
from media.processes import UNKNOWN_STATUS, Child, Process
from media.takeover import Visit
from media.transport.ice import Credentials

log = logging.getLogger("media.client")

ORPHAN_S: Final = 60.0
"""How long workers keep their legs when we are gone."""
START_TIMEOUT_S: Final = 20.0
SETTINGS: Final = "FERNAMT_"
"""Variables that are the main process's alone begin so."""
ANSWER_TIMEOUT_S: Final = 5.0
STATUS_TIMEOUT_S: Final = 2.5
"""A worker that does not say how it is for so long, twice in a row, hangs. Once may be our own stop (SIGSTOP, a machine that slept)."""
STOP_TIMEOUT_S: Final = 8.0
STOPPING_S: Final = 0.5
"""A service manager tells all processes to end at once (`KillMode=control-group` of systemd.kill(5)): so long a worker that ended when it
was asked to is not missed, since the same order may be on its way to us."""
ENDED_S: Final = 0.1
"""How long a process may take to be gone once its connection is."""
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
_Answer: TypeAlias = LegOpened | Refused | Status | Held
_AnswerT = TypeVar("_AnswerT", Status, Held)
_ANSWERS: Final = frozenset((LegOpened, Refused, Status, Held))


@dataclass(frozen=True, slots=True)
class HeldAt:
    """A leg that an adopted worker holds; the other fields as in `media.control.HeldLeg`."""

    worker: int
    """Its index."""
    leg: str
    address: str
    rtp_port: int
    rtcp_port: int
    is_described: bool
    play: str | None
    note: bytes


@dataclass(slots=True)
class _Worker:
    """One worker process as the main process sees it."""

    index: int
    ports: tuple[int, int]
    process: Process | None = None
    control: ControlConnection | None = None
    """None: it is not running."""
    is_retiring: bool = False
    """It was adopted with ports that are not those of today: it ends with its last leg, and nobody takes its place."""
    is_dismissed: bool = False
    """It is retiring, had nothing more, and was told to end."""
    task: asyncio.Task[None] | None = None
    legs: dict[str, int] = field(default_factory=dict)
    """Those that are open -> their RTP port."""
    avoid: tuple[int, ...] = ()
    """Ports of its predecessor's legs: far ends go on sending there until they are told better."""
    waiting: dict[int, Callable[[_Answer | WorkerGone], None]] = field(default_factory=dict)
    restarts: int = 0
    silences: int = 0
    """How often in a row it has not answered."""
    silent_at: float = 0.0
    """When that was noticed last: what was asked before belongs to the same silence."""
    told: list[Held] = field(default_factory=list)
    """Parts of an answer that goes on."""
    calls: int = 0

    @property
    def is_up(self) -> bool:
        """It serves, and will."""
        return self.control is not None and not self.is_dismissed

    def join(self, part: Held) -> Held | None:
        """The whole answer once its last part is here."""
        self.told.append(part)
        if part.goes_on:
            return None
        told, self.told = self.told, []
        return msgspec.structs.replace(part, legs=tuple(leg for each in told for leg in each.legs))


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
        """What workers of a main process before us that were ended reported of legs and recordings."""
        self.held: tuple[HeldAt, ...] = ()
        """Legs of the workers that were adopted, as they were then."""
        self.held_rooms: tuple[HeldRoom, ...] = ()
        self.held_recordings: tuple[HeldRecording, ...] = ()
        self.kept: list[PlaneReport] = []
        """What adopted workers kept while nobody listened, each in its order, and everything that was reported since: see `take_kept`."""
        self._keeps = False
        self._unclaimed: dict[str, tuple[_Worker, HeldLeg]] = {}
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
        self._has_left = False

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
        """Adopt the workers of a main process that is gone, start those that are missing of `workers`, and wait until all serve.

        Args:
            address: IP address legs are bound to unless `open_leg` says another.
            ports: first and last RTP port; divided evenly among the workers.
            on_report: called in the event loop with every report; must not block, may send orders.
            control: folder of the workers' control sockets, one for each main process; made when it is missing.
            orphan_s: how long workers keep their legs when this process is gone; adopted ones keep to what they were started with.
            sounds: folders of sounds in front of the packaged ones.
        Raises: MediaError: a worker did not come up, or one of another main process cannot be ended; those that hold legs wait for the next
            start. OSError: the folder cannot be used.
        """
        shares = divide_ports(ports, workers)
        plane = cls(address, (sounds,) if isinstance(sounds, Path) else sounds, on_report, log_level, log_form, control, orphan_s)
        takeover.prepare(control)
        met = await takeover.meet(control)
        plane.taken_over = met.reports
        plane._keeps = bool(met.visits)
        try:
            adopted = plane._man(shares, met.visits)
            await asyncio.gather(*(plane._spawn(worker) for worker in plane._workers if worker.process is None))
        except BaseException:
            for visit in met.visits:
                visit.end()
            plane._workers = [worker for worker in plane._workers if worker.index not in {visit.index for visit in met.visits}]
            await plane.close()
            raise
        try:
            await asyncio.gather(*(plane._adopt(worker, visit) for worker, visit in adopted))
        except BaseException:
            await plane.leave()
            raise
        for worker in list(plane._workers):
            plane._retire_if_idle(worker)
        return plane

    def _man(self, shares: list[tuple[int, int]], visits: list[Visit]) -> list[tuple[_Worker, Visit]]:
        """One worker for each share of ports, adopted where one has just these; the other adopted ones retire beside them."""
        left = list(shares)
        adopted: list[tuple[_Worker, Visit]] = []
        for visit in visits:
            worker = _Worker(visit.index, visit.greeting.ports, process=visit.process)
            if worker.ports in left:
                left.remove(worker.ports)
            else:
                worker.is_retiring = True
            adopted.append((worker, visit))
        used = {visit.index for visit in visits}
        indices = (index for index in count() if index not in used)
        missing = [_Worker(index, share) for index, share in zip(indices, left, strict=False)]
        self._workers = sorted([worker for worker, _ in adopted] + missing, key=lambda worker: worker.index)
        return adopted

    async def _adopt(self, worker: _Worker, visit: Visit) -> None:
        """Make it ours. One that ended meanwhile, or does not answer and is killed, is a lost worker like any other."""
        _, control = await asyncio.get_running_loop().create_unix_connection(
            lambda: self._connection(worker, visit.reader), sock=visit.connection
        )
        worker.control = control
        worker.task = asyncio.create_task(self._serve(worker, control), name=f"media-worker-{worker.index}")
        try:
            held = await self._ask(
                worker, lambda request: Adopt(request=request), Held, ANSWER_TIMEOUT_S, lambda held: self._take_in(worker, held)
            )
        except WorkerGone as error:
            log.error("! worker=%d pid=%d was not adopted: %s", worker.index, visit.process.pid, error)  # noqa: TRY400 - expected
            visit.process.kill()
            return
        retiring = ", retiring" if worker.is_retiring else ""
        legs, recordings = len(held.legs), len(held.recordings)
        log.warning("= adopted worker=%d pid=%d: %d legs, %d recordings%s", worker.index, visit.process.pid, legs, recordings, retiring)
        if held.lost:
            log.warning("! worker=%d had no room for %d reports", worker.index, held.lost)

    def _take_in(self, worker: _Worker, held: Held) -> None:
        """What an adopted worker holds is to be claimed. In the moment it is told: the next message may close one of the legs."""
        worker.legs = {leg.leg: leg.rtp_port for leg in held.legs}
        self._unclaimed |= {leg.leg: (worker, leg) for leg in held.legs}
        at = [
            HeldAt(worker.index, leg.leg, leg.address, leg.rtp_port, leg.rtcp_port, leg.is_described, leg.play, leg.note)
            for leg in held.legs
        ]
        self.held += tuple(at)
        self.held_rooms += held.rooms
        self.held_recordings += held.recordings

    # ---------------------------------------------------------------- what was adopted

    def take_kept(self) -> list[PlaneReport]:
        """What was reported so far, in order, once; from now on `on_report` is told. Where nobody was adopted it always was."""
        kept, self.kept = self.kept, []
        self._keeps = False
        return kept

    def claim(self, call_key: str, leg: str) -> LegOpened | None:
        """A held leg is the call's from now on, and the call is placed at its worker.

        Returns: what `open_leg` had returned, with request 0; None: no such leg is held (any more), or the call is at another worker.
        """
        worker, held = self._unclaimed.get(leg, (None, None))
        if worker is None or held is None:
            return None
        placed = self._call_workers.get(call_key)
        if placed is not None and placed is not worker:
            log.error("! call=%s is at worker=%d, its leg=%s at worker=%d", call_key, placed.index, leg, worker.index)
            return None
        del self._unclaimed[leg]
        if placed is None:
            self._place_at(call_key, worker)
        self._call_legs[call_key].add(leg)
        self._leg_calls[leg] = call_key
        return LegOpened(
            request=0, leg=leg, address=held.address, rtp_port=held.rtp_port, rtcp_port=held.rtcp_port, fingerprint=held.fingerprint
        )

    def unclaimed(self) -> tuple[str, ...]:
        """Held legs that are no call's yet, in order of names."""
        return tuple(sorted(self._unclaimed))

    def is_unclaimed(self, leg: str) -> bool:
        """Whether a leg was adopted and is no call's yet."""
        return leg in self._unclaimed

    def forget_leg(self, leg: str) -> None:
        """A leg that its worker turned out not to hold: it may be opened again."""
        for worker in self._workers:
            worker.legs.pop(leg, None)
        self._drop_leg(leg)

    def close_leg(self, leg: str) -> None:
        """Close a leg by its name alone, whosever it is; `LegClosed` follows if it is open."""
        for worker in self._workers:
            if worker.control is not None:
                self._write(worker, CloseLeg(leg=leg))

    def abandon(self, leg: str) -> None:
        """Close a held leg that nobody claims; `LegClosed` follows. Nothing happens when there is none."""
        worker, _ = self._unclaimed.pop(leg, (None, None))
        if worker is not None:
            self._write(worker, CloseLeg(leg=leg))

    # ---------------------------------------------------------------- placing and orders

    def place(self, call_key: str) -> int:
        """The index of the worker that serves `call_key`; decided now if it was not."""
        return self._placed(call_key).index

    def _placed(self, call_key: str) -> _Worker:
        worker = self._call_workers.get(call_key)
        if worker is None:
            staying = [worker for worker in self._workers if not worker.is_retiring]
            up = [worker for worker in staying if worker.control is not None] or staying
            worker = up[0] if len(up) == 1 else min(up, key=lambda each: (each.calls, each.index))
            self._place_at(call_key, worker)
        return worker

    def _place_at(self, call_key: str, worker: _Worker) -> None:
        worker.calls += 1
        self._call_workers[call_key] = worker
        self._call_legs[call_key] = set()

    @property
    def is_up(self) -> bool:
        """Whether there is a worker that takes legs; when not, `WorkerRestarted` tells of the next."""
        return any(worker.control is not None and not worker.is_retiring for worker in self._workers)

    @property
    def is_whole(self) -> bool:
        """Whether every worker is there."""
        return all(worker.control is not None for worker in self._workers)

    def forget(self, call_key: str) -> None:
        """A call that was placed and never opened a leg, or whose legs are none of our business any more."""
        worker = self._call_workers.pop(call_key, None)
        if worker is None:
            return
        worker.calls -= 1
        for leg in self._call_legs.pop(call_key):
            self._leg_calls.pop(leg, None)
        self._retire_if_idle(worker)

    def _forget_unless_used(self, call_key: str) -> None:
        if not self._call_legs.get(call_key):
            self.forget(call_key)

    async def open_leg(
        self, call_key: str, leg: str, address: str | None = None, *, loss_concealment: bool = True, ice: Credentials | None = None
    ) -> LegOpened:
        """Bind a port pair for `leg`, or one port for a browser.

        Args:
            ice: see `OpenLeg`.
        Raises: Refused: the worker says why. WorkerGone: it ended or did not answer in time.
        """
        opened: asyncio.Future[LegOpened | MediaError] = asyncio.get_running_loop().create_future()

        def tell(answer: LegOpened | MediaError) -> None:
            if not opened.done():
                opened.set_result(answer)

        withdraw = self.request_leg(call_key, leg, address or self._address, tell, loss_concealment=loss_concealment, ice=ice)
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
        self,
        call_key: str,
        leg: str,
        address: str,
        on_answer: Callable[[LegOpened | MediaError], None],
        *,
        loss_concealment: bool = True,
        ice: Credentials | None = None,
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
        worker.control.write(OpenLeg(request=request, leg=leg, address=address, loss_concealment=loss_concealment, ice=ice), at_once=True)
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

    def note(self, call_key: str, leg: str, note: bytes) -> None:
        """Have a note kept with a leg of the call, in place of the one before; nothing happens when no leg of the call is open.

        Notes written one after the other within `GATHER_S` are sent once.
        Raises: ValueError: longer than `media.control.MAX_NOTE_OCTETS`.
        """
        worker = self._call_workers.get(call_key)
        if worker is not None and worker.control is not None:
            worker.control.note(NoteLeg(leg=leg, note=note))

    async def status(self) -> list[Status]:
        """Figures of every worker that is up, in order of their indices.

        Raises: WorkerGone: one ended or did not answer in time.
        """
        asked = [worker for worker in self._workers if worker.is_up]
        answers = (self._ask(worker, lambda request: AskStatus(request=request), Status, STATUS_TIMEOUT_S) for worker in asked)
        return list(await asyncio.gather(*answers))

    async def ask_held(self) -> dict[int, Held]:
        """What every worker that is up holds now, without notes, by the worker's index.

        Asked in one breath with `status` (`asyncio.gather`) it costs no further exchange.
        Raises: WorkerGone: one ended or did not answer in time.
        """
        asked = [worker for worker in self._workers if worker.is_up]
        answers = (self._ask(worker, lambda request: AskHeld(request=request), Held, STATUS_TIMEOUT_S) for worker in asked)
        return {worker.index: answer for worker, answer in zip(asked, await asyncio.gather(*answers), strict=True)}

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that are up, for those who measure or watch them."""
        return [worker.process.pid for worker in self._workers if worker.control is not None and worker.process is not None]

    async def _ask(
        self,
        worker: _Worker,
        question: Callable[[int], Request],
        kind: type[_AnswerT],
        timeout_s: float,
        on_answer: Callable[[_AnswerT], None] | None = None,
    ) -> _AnswerT:
        """Ask one thing.

        Args:
            on_answer: called with it before anything that comes behind it.
        Raises: WorkerGone: it ended, or did not answer in time; one that does so twice in a row hangs, and is killed.
        """
        if worker.control is None:
            raise WorkerGone(f"media worker {worker.index} is not running")
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[_Answer | WorkerGone] = loop.create_future()

        def tell(answer: _Answer | WorkerGone) -> None:
            if on_answer is not None and isinstance(answer, kind):
                on_answer(answer)
            if not answered.done():
                answered.set_result(answer)

        request, asked_at = next(self._requests), loop.time()
        worker.waiting[request] = tell
        worker.control.write(question(request))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await answered
        except TimeoutError as error:
            if asked_at >= worker.silent_at:
                worker.silences, worker.silent_at = worker.silences + 1, loop.time()
            if worker.silences > 1:
                self._hangs(worker)
            raise WorkerGone(f"media worker {worker.index} did not answer within {timeout_s:g} s") from error
        finally:
            worker.waiting.pop(request, None)
        if not isinstance(answer, kind):
            raise answer if isinstance(answer, WorkerGone) else WorkerGone(f"media worker {worker.index} gave another answer")
        worker.silences = 0
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

    async def _start_and_connect(self, worker: _Worker) -> tuple[Process, ControlConnection]:
        path = takeover.socket_path(self._control, worker.index)
        takeover.remove(path)  # of an earlier one that was killed: every worker that lives was taken over, or is ours and gone
        folders = [argument for folder in self._sounds for argument in ("--sounds", str(folder))]
        avoid = ["--avoid-ports", ",".join(map(str, worker.avoid))] if worker.avoid else []
        command = (
            sys.executable, "-m", "media.worker",
            "--control", str(path), "--ports", f"{worker.ports[0]}-{worker.ports[1]}",
            "--parent", str(os.getpid()), "--orphan-s", str(self._orphan_s), "--log-level", self._log_level,
            "--log-format", self._log_form, *folders, *avoid,
        )  # fmt: skip
        try:
            worker.process = process = Child(command, _worker_environment())
        except OSError as error:
            raise MediaError(f"media worker {worker.index} did not start: {error}") from error
        control: ControlConnection | None = None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.first_line()
                if line != b"ready\n":
                    raise MediaError(f"media worker {worker.index} did not start (exit status {await process.wait()})")
                _, control = await asyncio.get_running_loop().create_unix_connection(
                    lambda: self._connection(worker), sock=control_socket.connect(path)
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

    def _connection(self, worker: _Worker, reader: framing.MessageReader[FromWorker] | None = None) -> ControlConnection:
        return ControlConnection(lambda message: self._receive(worker, message), lambda: self._hangs(worker), MAX_UNREAD_OCTETS, reader)

    async def _serve(self, worker: _Worker, control: ControlConnection) -> None:
        """Wait until the connection ends; then start another worker, unless we are closing or it was to end."""
        await control.ended
        if self._has_left:
            return
        if not worker.is_dismissed and worker.process is not None and not self._closing.is_set() and await _ended_in_order(worker):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), STOPPING_S)
        self._lose(worker)
        if worker.process is not None:
            # One that lives takes us for dead and would keep its legs for whoever comes.
            await _end(worker.process, at_once=not self._closing.is_set() and not worker.is_dismissed)
        if worker.is_retiring:
            log.info("= worker=%d retired", worker.index)
            takeover.remove(takeover.socket_path(self._control, worker.index))
            self._workers.remove(worker)
        elif not self._closing.is_set():
            await self._restart(worker)

    def _receive(self, worker: _Worker, message: FromWorker) -> None:
        if type(message) in _ANSWERS:
            assert isinstance(message, LegOpened | Refused | Status | Held)
            if isinstance(message, Held):
                whole = worker.join(message)
                if whole is None:
                    return
                message = whole
            if isinstance(message, LegOpened):
                worker.legs[message.leg] = message.rtp_port
            tell = worker.waiting.pop(message.request, None)
            if tell is not None:
                self._answer(tell, message)
            elif isinstance(message, LegOpened):  # whoever asked gave up: nobody would ever close it
                self._write(worker, CloseLeg(leg=message.leg))
            return
        if isinstance(message, Greeting | TakenOver | LegOpened | Refused | Status | Held):
            return  # of a conversation that is not ours
        if isinstance(message, LegClosed):
            worker.legs.pop(message.leg, None)
            self._unclaimed.pop(message.leg, None)
            self._drop_leg(message.leg)
            self._retire_if_idle(worker)
        self._tell(message)

    @staticmethod
    def _answer(tell: Callable[[_Answer | WorkerGone], None], answer: _Answer | WorkerGone) -> None:
        try:
            tell(answer)
        except Exception:
            log.exception("! answer %s was not taken", type(answer).__name__)

    def _tell(self, report: PlaneReport) -> None:
        if self._keeps:
            self.kept.append(report)
            return
        try:
            self._on_report(report)
        except Exception:
            log.exception("! report %s was not taken", type(report).__name__)

    def _drop_leg(self, leg: str) -> None:
        call_key = self._leg_calls.pop(leg, None)
        if call_key is not None:
            self._call_legs[call_key].discard(leg)
            self._forget_unless_used(call_key)

    def _retire_if_idle(self, worker: _Worker) -> None:
        """One that was to keep what it had has nothing more."""
        if worker.is_retiring and worker.is_up and not worker.legs and not worker.calls and not self._closing.is_set():
            worker.is_dismissed = True
            self._write_shutdown(worker)

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
        worker.told.clear()
        for leg in legs:
            self._unclaimed.pop(leg, None)
        for call_key in [key for key, serving in self._call_workers.items() if serving is worker]:
            self.forget(call_key)
        # After that, so that who asks again at once is placed on a worker that lives.
        waiting, worker.waiting = worker.waiting, {}
        for tell in waiting.values():
            self._answer(tell, WorkerGone(f"media worker {worker.index} ended"))
        if not worker.is_dismissed and not self._closing.is_set():
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

    async def leave(self) -> None:
        """Leave every worker with its legs to the next main process: what waits is sent, and the connections end without a word.

        No report is lost: what a worker has sent by then is told to `on_report` meanwhile, and it keeps the rest. Workers that were still
        starting are ended, and so does, by itself, one that holds nothing.
        """
        self._has_left = True
        self._closing.set()
        left = [(worker, worker.control) for worker in self._workers if worker.control is not None]
        for _, control in left:
            control.finish()
        if left:
            await asyncio.wait([control.ended for _, control in left], timeout=STOP_TIMEOUT_S)
        for worker, control in left:
            if not control.ended.done():
                log.error("! worker=%d does not read its last orders", worker.index)
                control.abort()
            if worker.process is not None:
                worker.process.leave()
            worker.control = worker.process = None
        await self.close()

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


async def _ended_in_order(worker: _Worker) -> bool:
    """Whether a process whose connection is gone has ended because it was asked to, not by a fault or a kill.

    How one that is no child of ours ended is not told to us: in order it has closed its legs before.
    """
    if worker.process is None:
        return False
    try:
        async with asyncio.timeout(ENDED_S):
            status = await worker.process.wait()
    except TimeoutError:
        return False
    return status in {0, -signal.SIGTERM} or (status == UNKNOWN_STATUS and not worker.legs)


async def _end(process: Process, *, at_once: bool = False) -> None:
    """Wait a moment for a process whose connection is closed, then kill it.

    Args:
        at_once: ask it to end, which closes its recordings; else it was asked already.
    """
    if at_once:
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
    (the start takes half the CPU time). Our settings are no business of a process that reads what strangers send, nor are the passwords
    among them.
    """
    path = str(Path(__file__).resolve().parent.parent)
    given = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    earlier = os.environ.get("PYTHONPATH")
    return {"OPENBLAS_NUM_THREADS": "1"} | given | {"PYTHONPATH": path if not earlier else f"{path}{os.pathsep}{earlier}"}


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
