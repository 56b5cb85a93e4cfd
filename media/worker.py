"""The media worker: `python -m media.worker --control <path or host:port> --ports 20000-20998 --sounds DIR` (DESIGN.md §2, §4).

One process, one plain epoll loop, no asyncio: sockets that are readable, the 20 ms ticks of what plays, timers, the control connection.
It listens on the control address, prints `ready` on standard output, and serves one connection at a time, which it opens with a `Greeting`.
A second thread writes recordings.

A connection that ends without `Shutdown` or `TakeOver` leaves an orphan: the main process is gone, the callers are not. Whatever is
bridged, plays or is recorded goes on for `--orphan-s`, reports are kept, and the next connection is taken. An `Adopt` on it gets everything
that was kept, and the worker is an orphan no more; a `TakeOver` gets the same and ends it; so does time. A worker that holds nothing ends
at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import gc
import logging
import math
import os
import resource
import secrets
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import assert_never, get_args

from msgspec import structs

from media import framing
from media.channel import Channel
from media.codecs.registry import CODECS
from media.control import (
    VERSION,
    Adopt,
    ArrangeAudio,
    AskHeld,
    AskStatus,
    BrowserChanged,
    CloseLeg,
    DescribeLeg,
    FromWorker,
    Greeting,
    Held,
    HeldLeg,
    HeldRoom,
    LegClosed,
    LegOpened,
    LegQuality,
    NoteLeg,
    OpenLeg,
    PauseRecording,
    Play,
    PlayEnded,
    RecordingEnded,
    RecordLeg,
    Refused,
    Reply,
    Report,
    Request,
    SendDigits,
    Shutdown,
    StartRecording,
    Status,
    Stop,
    StopRecording,
    TakenOver,
    TakeOver,
)
from media.errors import ParseError, PortsExhausted
from media.frame import SAMPLE_RATE
from media.io.control_socket import listening
from media.io.descriptors import close_inherited
from media.io.pacer import PAUSE_S, PHASES, Moderation, Ticks, Timer, TimerHeap, phases_of
from media.legs.host import Ticking
from media.legs.leg import Leg
from media.legs.playback import Playback
from media.log_lines import Form, write_to_stderr
from media.ports import PortPool
from media.prompts import PACKAGED_SOUNDS, SoundLibrary
from media.recordings import Recordings
from media.room import Room
from media.rtp.latch import is_unspecified
from media.transport.base import Transport
from media.transport.dtls import Fingerprint, Identity
from media.transport.dtls_srtp import DtlsSrtpTransport
from media.transport.ice import Credentials
from media.transport.ice_dtls import Event, IceDtlsTransport, News
from media.transport.srtp import SrtpProtection
from media.transport.udp import MTU_OCTETS, address_of, ip_version, open_udp

log = logging.getLogger("media.worker")

_EVENTS_A_ROUND = 64
"""Packets handled before timers are looked at again: below a millisecond, so no tick waits for a burst. epoll rotates: nobody starves."""
_BIND_TRIES = 16
_CONTROL_OCTETS = 1 << 16
_MAX_UNSENT_OCTETS = 16 << 20
"""Reports the main process did not read: at 200 octets each it has been standing for some 80 000 of them, and is as good as gone."""
BEHIND = "/behind"
"""Behind the name of a play: what follows it while there is no main process."""
MAX_KEPT = 50_000
"""Reports an orphan keeps: a minute in which 400 callers press a key a second (two reports each), some 20 MB. Ends of legs and recordings
do not count, there is one for each."""
ORPHAN_S = 60.0
CONNECT_S = 30.0
"""Nobody connected for so long after the start: whoever started us is gone."""
_HELD_PART_OCTETS = 1 << 20
"""A quarter of the longest message."""
_HELD_LEG_OCTETS = 256
"""As much as one leg takes in `Held`, but for its note."""
_FINISH_S = 5.0
UMASK = 0o077
"""Recordings and the control socket are nobody else's, whoever starts the worker."""
_NICENESS = -10
_SWITCH_INTERVAL_S = 0.0005
"""The writer thread may hold the interpreter this long against the packet loop; Python's own 5 ms would be heard."""


class Worker:
    """All legs of one process and the loop that serves them."""

    def __init__(
        self,
        ports: PortPool,
        sounds: SoundLibrary,
        *,
        orphan_s: float = ORPHAN_S,
        connect_s: float = CONNECT_S,
        open_transport: Callable[[str, int], Transport] = open_udp,
    ) -> None:
        self.buffer = bytearray(MTU_OCTETS)
        self.view = memoryview(self.buffer)
        self.timers = TimerHeap()
        self.packets_received = 0
        self.packets_of_unknown_type = 0
        self.packets_of_noise = 0
        self.packets_sent = 0
        self._ports = ports
        self._open_transport = open_transport
        self._identity = Identity(datetime.fromtimestamp(time.time(), UTC))
        self._sounds = sounds
        self._ticks = Ticks()
        self._ticking: tuple[dict[Ticking, None], ...] = tuple({} for _ in range(PHASES))
        self._phase_of = count()
        self._legs: dict[str, Leg] = {}
        self._rooms: dict[str, Room] = {}
        self._room_of: dict[Leg, Room] = {}
        self._notes: dict[str, bytes] = {}
        """Of legs that are open."""
        self._dropped_by_closed = 0
        self._concealed_by_closed = 0
        self._rejected_by_closed = 0
        self._failures = 0
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._recordings = Recordings(self.timers, self.report, self._wake)
        self._watch(self._wake_descriptor, self._woken)
        self._listener: socket.socket
        self._control: socket.socket | None = None
        self._reader = framing.request_reader()
        self._unsent = bytearray()
        self._on_the_way: deque[tuple[int, FromWorker]] = deque()
        """Messages in `_unsent` with their octets; of the first some may be sent already."""
        self._owed_octets = 0
        """Of these, what a successor got at once by its own wish."""
        self._wants_to_write = False
        self._orphan_s = orphan_s
        self._connect_s = connect_s
        self._is_orphan = False
        self._behind: dict[str, Play] = {}
        """What plays to legs that are to hear something behind it, by leg."""
        self._expiry: Timer | None = None
        self._kept: list[Report] = []
        self._lost = 0
        self._request_to_end: int | None = None
        self._is_left_alone = False
        self._ends = False
        self._ended = False

    # ---------------------------------------------------------------- the loop

    def serve(self, listener: socket.socket) -> bool:
        """Serve whoever connects to `listener`, one after the other, until told to end or left alone for too long.

        Returns: False when nobody ever connected.
        """
        listener.setblocking(False)
        self._listener = listener
        self._await_main(self._connect_s)
        poll, handlers, monotonic, sleep = self._epoll.poll, self._handlers, time.monotonic, time.sleep
        moderation = Moderation()
        timers, ticks = self.timers, self._ticks
        try:
            while not self._ends:
                deadline = timers.next_deadline()
                tick = ticks.next_deadline
                if deadline is None or (tick is not None and tick < deadline):
                    deadline = tick
                ready = poll(-1 if deadline is None else max(0.0, deadline - monotonic()), _EVENTS_A_ROUND)
                for descriptor, _ in ready:
                    handler = handlers.get(descriptor)
                    if handler is not None:
                        try:
                            handler()
                        except Exception as error:
                            self._failed(f"handler of descriptor {descriptor}", error)
                now = monotonic()
                for phase in ticks.due(now):
                    self._tick(phase, now)
                for action in timers.due(now):
                    try:
                        action(now)
                    except Exception as error:
                        self._failed("timer", error)
                if self._unsent:
                    self._flush()
                if moderation.pauses(len(ready), now):
                    sleep(PAUSE_S)
        finally:
            self._finish()
        return not self._is_left_alone

    def _failed(self, where: str, error: Exception) -> None:
        """A fault of ours on one leg must not silence the others: say it, count it, go on."""
        self._failures += 1
        log.error("! %s failed (%d so far)", where, self._failures, exc_info=error)

    def _tick(self, phase: int, now: float) -> None:
        ticking = self._ticking[phase]
        for each in list(ticking):
            try:
                goes_on = each.tick(now)
            except Exception as error:
                self._failed(f"{each.name} tick", error)
                goes_on = each.failed(now)
            if not goes_on:
                self.end_ticking(each)
        if not any(self._ticking):
            self._ticks.rest()

    def want_ticks(self, ticking: Ticking, now: float) -> None:
        """Call its `tick` once a packet time from now on."""
        if not self._is_ticking(ticking):
            for phase in phases_of(ticking.ptime_ms, next(self._phase_of)):
                self._ticking[phase][ticking] = None
        self._ticks.resume(now)

    def _is_ticking(self, ticking: Ticking) -> bool:
        return any(ticking in phase for phase in self._ticking)

    def tick_anew(self, ticking: Ticking, now: float) -> None:
        """Its packet time is another."""
        if self._is_ticking(ticking):
            self.end_ticking(ticking)
            self.want_ticks(ticking, now)

    def end_ticking(self, ticking: Ticking) -> None:
        """It is gone, or has nothing more to do."""
        for phase in self._ticking:
            phase.pop(ticking, None)

    def _watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._handlers[descriptor] = handler
        self._epoll.register(descriptor, select.EPOLLIN)

    def _unwatch(self, descriptor: int) -> None:
        if self._handlers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _wake(self) -> None:
        os.eventfd_write(self._wake_descriptor, 1)

    def end(self) -> None:
        """End the loop soon; may be called from a signal handler, at any time."""
        self._ends = True
        if not self._ended:
            self._wake()

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_descriptor)
        self._recordings.report_ended()

    # ---------------------------------------------------------------- control connection

    def report(self, message: Report) -> None:
        """Send a report after this round of the loop; an orphan keeps it for whoever takes over."""
        if not self._is_orphan:
            self._send(message)
            return
        if isinstance(message, LegQuality):
            return
        if isinstance(message, PlayEnded) and message.outcome == "finished":
            self.timers.at(time.monotonic(), lambda now: self._go_on_behind(message, now))
        if isinstance(message, LegClosed | RecordingEnded) or len(self._kept) < MAX_KEPT:
            self._kept.append(message)
        else:
            self._lost += 1

    def _go_on_behind(self, ended: PlayEnded, now: float) -> None:
        """Nobody is there to say what comes next: whoever waits hears on what it was given for that."""
        behind, leg = self._behind.get(ended.leg), self._legs.get(ended.leg)
        if behind is not None and behind.play == ended.play and self._is_orphan and leg is not None and leg.sender.playback is None:
            self._play(Play(leg=ended.leg, play=f"{ended.play}{BEHIND}", sounds=behind.behind, folder=behind.folder, loop=True), now)

    def _send(self, message: Report | Reply | Greeting) -> None:
        octets = framing.encode(message)
        self._unsent += octets
        self._on_the_way.append((len(octets), message))

    def _await_main(self, patience_s: float) -> None:
        """Take the next connection; end when none comes that takes over."""
        self._watch(self._listener.fileno(), self._accept)
        if self._expiry is None:
            self._expiry = self.timers.at(time.monotonic() + patience_s, self._expire)

    def _expire(self, _now: float) -> None:
        if self._is_orphan:
            log.warning("x orphan pid=%d: nobody took over, %d legs end", os.getpid(), len(self._legs))
        else:
            log.error("! no main process connected within %g s", self._connect_s)
            self._is_left_alone = True
        self._ends = True

    def _accept(self) -> None:
        try:
            control, _ = self._listener.accept()
        except OSError as error:  # whoever it was has gone again
            log.info("! accept: %s", error)
            return
        self._unwatch(self._listener.fileno())
        control.setblocking(False)
        self._control = control
        self._reader = framing.request_reader()
        self._watch(control.fileno(), self._receive_control)
        if self._expiry is not None and not self._is_orphan:  # a visitor who does not take over gives an orphan no time
            self._expiry.cancel()
            self._expiry = None
        recordings = tuple(self._recordings.running)
        self._send(Greeting(version=VERSION, pid=os.getpid(), legs=tuple(self._legs), recordings=recordings, ports=self._ports.range))

    def _receive_control(self) -> None:
        if self._wants_to_write:
            self._flush()
        if self._control is None:
            return
        try:
            why = self._obey_what_came(self._control)
        except BlockingIOError:
            return
        if why is not None:
            self._disconnect(why)

    def _obey_what_came(self, control: socket.socket) -> str | None:
        """Read once and do it; why nothing more will come, None when more may.

        Raises: BlockingIOError: nothing is there now.
        """
        try:
            octets = control.recv(_CONTROL_OCTETS)
        except BlockingIOError:
            raise
        except OSError as error:
            return str(error)
        if not octets:
            return "ended"
        try:
            requests = self._reader.feed(octets)
        except ParseError as error:
            return str(error)
        for request in requests:
            try:
                self._obey(request)
            except Exception as error:
                self._failed(f"request {request}", error)
        return None

    def _obey_the_last(self, control: socket.socket) -> None:
        """The main process takes nothing more from us; what it had ordered by then is there to be read."""
        with contextlib.suppress(BlockingIOError):
            while self._obey_what_came(control) is None:
                pass

    def _flush(self) -> None:
        if self._control is None:
            return
        try:
            sent = self._control.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._obey_the_last(self._control)
            self._disconnect(str(error))
            return
        del self._unsent[:sent]
        while self._on_the_way and (first := self._on_the_way[0])[0] <= sent:
            sent -= first[0]
            self._on_the_way.popleft()
        if sent:
            octets, message = self._on_the_way[0]
            self._on_the_way[0] = (octets - sent, message)
        if not self._unsent:
            self._owed_octets = 0
        if len(self._unsent) > _MAX_UNSENT_OCTETS + self._owed_octets:
            self._disconnect("the main process does not read its reports")
            return
        if bool(self._unsent) != self._wants_to_write:
            self._wants_to_write = bool(self._unsent)
            wanted = select.EPOLLIN | (select.EPOLLOUT if self._wants_to_write else 0)
            self._epoll.modify(self._control.fileno(), wanted)

    def _disconnect(self, why: str) -> None:
        """The connection is gone and with it, as far as we know, the main process: keep what is there, wait for the next."""
        assert self._control is not None
        self._unwatch(self._control.fileno())
        self._control.close()
        self._control = None
        unread = [message for _, message in self._on_the_way]
        self._unsent.clear()
        self._owed_octets = 0
        self._on_the_way.clear()
        self._wants_to_write = False
        if self._ends:
            return
        log.warning("x control connection: %s", why)
        begins, self._is_orphan = not self._is_orphan, True
        for message in unread:
            if isinstance(message, Report):
                self.report(message)
        if begins and not self._holds_something():
            self._ends = True
            return
        if begins:
            log.warning("= worker pid=%d orphaned, keeps %d legs for %g s", os.getpid(), len(self._legs), self._orphan_s)
        self._await_main(self._orphan_s)

    def _holds_something(self) -> bool:
        return bool(self._legs or self._recordings.running or any(isinstance(each, LegClosed | RecordingEnded) for each in self._kept))

    # ---------------------------------------------------------------- requests

    def _obey(self, request: Request) -> None:
        now = time.monotonic()
        match request:
            case OpenLeg():
                self._open_leg(request, now)
            case DescribeLeg():
                self._describe_leg(request, now)
            case Play():
                self._play(request, now)
            case Stop():
                leg = self._leg(request.leg)
                if leg is not None:
                    leg.sender.stop("stopped")
            case ArrangeAudio():
                self._arrange(request, now)
            case RecordLeg():
                leg = self._leg(request.leg)
                if leg is not None:
                    self._recordings.add(request.recording, leg)
            case SendDigits():
                leg = self._leg(request.leg)
                if leg is not None:
                    leg.sender.send_digits(request.digits, request.duration_ms, request.gap_ms, now)
            case StartRecording():
                self._recordings.start(request, [self._legs[name] for name in request.legs if name in self._legs], now)
            case StopRecording():
                self._recordings.stop(request.recording, now)
            case PauseRecording():
                self._recordings.pause(request)
            case CloseLeg():
                leg = self._leg(request.leg)
                if leg is not None:
                    self._close_leg(leg, now)
            case NoteLeg():
                if request.leg in self._legs:
                    self._notes[request.leg] = request.note
            case AskStatus():
                self._send(self._status(request.request, now))
            case AskHeld():
                self._tell_held(request.request, {})
            case Adopt():
                self._be_adopted(request.request)
            case TakeOver():
                self._be_taken_over(request.request)
            case Shutdown():
                self._ends = True
            case _:
                assert_never(request)

    def _leg(self, name: str) -> Leg | None:
        leg = self._legs.get(name)
        if leg is None:  # it closed while the order was on its way: nothing to do, worth a line
            log.info("! leg=%s is not open", name)
        return leg

    def _open_leg(self, request: OpenLeg, now: float) -> None:
        if request.leg in self._legs:
            self._send(Refused(request=request.request, reason=f"leg {request.leg} is open already"))
            return
        if ip_version(request.address) is None:
            self._send(Refused(request=request.request, reason=f"{request.address!r} is no IP address"))
            return
        try:
            port, transport = self._bind(request.address, now)
        except (PortsExhausted, OSError) as error:
            log.warning("! leg=%s not opened: %s", request.leg, error)
            self._send(Refused(request=request.request, reason=f"no RTP ports on {request.address}: {error}"))
            return
        rtp, rtcp = transport.descriptors
        if request.ice is not None:
            transport = self._for_browser(request.leg, transport, request.ice)
        leg = Leg(self, request.leg, request.address, port, transport, loss_concealment=request.loss_concealment, ice=request.ice)
        self._legs[request.leg] = leg
        self._watch(rtp, leg.receiver.receive_rtp)
        self._watch(rtcp, leg.receive_rtcp)
        self._send(
            LegOpened(
                request=request.request,
                leg=request.leg,
                address=request.address,
                rtp_port=port,
                rtcp_port=port + 1,
                fingerprint=str(self._identity.fingerprint),
            )
        )

    def _for_browser(self, name: str, line: Transport, credentials: Credentials) -> IceDtlsTransport:
        """What answers a browser, over the ports of its leg."""
        return IceDtlsTransport(
            line,
            self._identity,
            credentials,
            protect=lambda keys: SrtpProtection(keys, time.monotonic),
            at=self.timers.at,
            clock=time.monotonic,
            tell=lambda event: self._browser_changed(name, event),
        )

    def _for_phone(self, name: str, line: Transport) -> DtlsSrtpTransport:
        """What shakes hands without ICE."""
        return DtlsSrtpTransport(
            line,
            self._identity,
            protect=lambda keys: SrtpProtection(keys, time.monotonic),
            at=self.timers.at,
            clock=time.monotonic,
            tell=lambda event: self._browser_changed(name, event),
        )

    def _browser_changed(self, name: str, event: Event) -> None:
        log.info("= leg=%s browser %s %s", name, event.news, event.reason)
        leg = self._legs.get(name)
        # A description that is being obeyed sees for itself that there are keys by now.
        if event.news is News.CONNECTED and leg is not None and leg.ordered is not None and leg.described is not None:
            is_news = leg.described.until_heard or isinstance(leg.transport, DtlsSrtpTransport)
            if is_news:
                self._describe_with_handshake(leg, leg.ordered, time.monotonic())
        self.report(BrowserChanged(leg=name, state=event.news.value, reason=event.reason))

    def _bind(self, address: str, now: float) -> tuple[int, Transport]:
        """A pair that binds: somebody else may hold a port of ours, so try some before giving up."""
        tries = _BIND_TRIES
        while True:
            port = self._ports.take(now)
            try:
                return port, self._open_transport(address, port)
            except OSError as error:
                self._ports.give_back(port, now)
                tries -= 1
                if error.errno != errno.EADDRINUSE or not tries:
                    raise
                log.warning("! port %d: %s", port, error)

    def _describe_leg(self, request: DescribeLeg, now: float) -> None:
        leg = self._leg(request.leg)
        if leg is None:
            return
        if request.browser is not None and request.browser.has_ice and leg.ice is None:
            log.error("! leg=%s is described as a browser's and was not opened for one", request.leg)
            return
        is_anywhere = request.until_heard or (request.browser is not None and request.browser.has_ice)
        if not is_anywhere and ip_version(request.remote_address) != ip_version(leg.address):
            log.error("! leg=%s at %s cannot speak with %r", request.leg, leg.address, request.remote_address)
            return
        leg.ordered = request
        self._make_transport(leg, request)
        if not self._describe_with_handshake(leg, request, now):
            leg.describe(request, now)
        room = self._room_of.get(leg)
        if room is not None:
            room.fit(now)

    def _make_transport(self, leg: Leg, request: DescribeLeg) -> None:
        """What is between the leg and its ports from now on. Where there is a handshake there is one for ever: nothing said later lets
        anything leave in plain.
        """
        present, browser, credentials = leg.transport, request.browser, leg.ice
        if isinstance(present, DtlsSrtpTransport) or (isinstance(present, IceDtlsTransport) and present.is_expecting):
            return
        if isinstance(present, IceDtlsTransport):
            if browser is not None and browser.has_ice:
                return
            leg.use(lambda _: present.bare())
        if browser is None:
            return
        if browser.has_ice and credentials is not None:
            leg.use(lambda line: self._for_browser(leg.name, line, credentials))
        else:
            leg.use(lambda line: self._for_phone(leg.name, line))

    def _describe_with_handshake(self, leg: Leg, request: DescribeLeg, now: float) -> bool:
        """Returns: False: there is none on this leg."""
        transport = leg.transport
        if isinstance(transport, IceDtlsTransport):
            fitted = _described_browser(transport, request)
        elif isinstance(transport, DtlsSrtpTransport):
            fitted = _described_phone(transport, request)
            hello, leg.receiver.hello = leg.receiver.hello, None
            if hello is not None:
                transport.hear(*hello)
                fitted = _described_phone(transport, request)
        else:
            return False
        leg.describe(fitted, now)
        return True

    def _arrange(self, request: ArrangeAudio, now: float) -> None:
        """Declared: what is not in it is over; a leg is in one room at a time."""
        legs = self._legs
        hears = frozenset((legs[listener], legs[speaker]) for listener, speaker in request.hears if listener in legs and speaker in legs)
        wanted = {leg for pair in hears for leg in pair}
        room = self._rooms.setdefault(request.room, Room(self, request.room))
        for leg in sorted(wanted, key=lambda leg: leg.name):
            if self._room_of.get(leg) not in {None, room}:
                self._leave_room(leg, now)
        gone = room.legs - wanted
        room.arrange(hears, now)
        for leg in gone:
            del self._room_of[leg]
        for leg in wanted:
            self._room_of[leg] = room
        if not hears:
            del self._rooms[request.room]

    def _leave_room(self, leg: Leg, now: float) -> None:
        """It hears nobody; who is alone by that is in no room either."""
        room = self._room_of.get(leg)
        if room is None:
            return
        before = room.legs
        room.leave(leg, now)
        for each in before - room.legs:
            del self._room_of[each]
        if not room.hears:
            del self._rooms[room.name]

    def _play(self, request: Play, now: float) -> None:
        leg = self._leg(request.leg)
        if leg is None:
            self.report(PlayEnded(leg=request.leg, play=request.play, outcome="stopped"))
            return
        if leg.sender.playback is not None and leg.sender.playback.play == request.play:
            return
        self._behind.pop(request.leg, None)
        if request.behind:
            self._behind[request.leg] = request
        audio, left_out = self._sounds.play(request.sounds, leg.sender.sounds_in, request.folder)
        for name, why in left_out.items():
            log.error("! leg=%s play=%s sound=%s is left out: %s", request.leg, request.play, name, why)
        if left_out and not audio:
            leg.sender.stop("stopped")
            self.report(PlayEnded(leg=request.leg, play=request.play, outcome="unknown_sound", left_out=tuple(left_out)))
            return
        playback = Playback(request.play, request.sounds, audio, loop=request.loop, stop_on_digit=request.stop_on_digit)
        playback.left_out = tuple(left_out)
        leg.sender.play(playback, now)

    def _close_leg(self, leg: Leg, now: float) -> None:
        for descriptor in leg.transport.descriptors:
            self._unwatch(descriptor)
        self.end_ticking(leg.sender)
        self._recordings.release(leg, now)
        self._behind.pop(leg.name, None)
        self._dropped_by_closed += leg.packets_dropped()
        self._leave_room(leg, now)
        closed = leg.close(now)
        self._concealed_by_closed += leg.jitter.concealed
        self._rejected_by_closed += leg.transport.rejected
        del self._legs[leg.name]
        self._notes.pop(leg.name, None)
        self._ports.give_back(leg.port, now)
        log.debug("x leg=%s mos=%s lost=%d/%d", leg.name, closed.quality.mos, closed.quality.packets_lost, closed.quality.packets_received)
        self.report(closed)

    def _status(self, request: int, now: float) -> Status:
        legs = self._legs.values()
        mixes = [mix for room in self._rooms.values() for mix in room.mixes]
        depths = [depth for mix in mixes for depth in mix.depths_s]
        return Status(
            request=request,
            legs=len(self._legs),
            bridges=sum(len(room.bridges) for room in self._rooms.values()),
            recordings=len(self._recordings.running),
            packets_received=self.packets_received,
            packets_sent=self.packets_sent,
            packets_dropped=self._dropped_by_closed + sum(leg.packets_dropped() for leg in legs),
            late_ticks=self._ticks.late,
            cpu_s=round(time.process_time(), 6),
            ports_free=self._ports.free(now),
            packets_of_unknown_type=self.packets_of_unknown_type,
            packets_rejected=self._rejected_by_closed + sum(leg.transport.rejected for leg in legs),
            legs_protected=sum(leg.is_protected for leg in legs),
            legs_opus=sum(CODECS[leg.codec].is_uneven for leg in legs),
            packets_of_noise=self.packets_of_noise,
            mixes=len(mixes),
            jitter_buffer_s=round(sum(depths) / len(depths), 6) if depths else 0.0,
            jitter_buffer_max_s=max(depths, default=0.0),
            concealed_frames=self._concealed_by_closed + sum(leg.jitter.concealed for leg in legs),
        )

    # ---------------------------------------------------------------- recordings

    def record(self, channels: tuple[Channel, ...], timestamp: int, payload: memoryview, now: float) -> None:
        """Lay one packet into every recording its leg is in."""
        for channel in channels:
            channel.place(timestamp, payload, int((now - channel.began_at) * SAMPLE_RATE))

    def record_noise(self, channels: tuple[Channel, ...], timestamp: int, level: int, now: float) -> None:
        """From that time on noise until the next packet."""
        for channel in channels:
            channel.hush(timestamp, level, int((now - channel.began_at) * SAMPLE_RATE))

    # ---------------------------------------------------------------- who comes after

    def _be_adopted(self, request: int) -> None:
        """The next main process goes on where the last one ended."""
        if self._is_orphan:
            log.warning("= worker pid=%d adopted with %d legs, %d reports were kept", os.getpid(), len(self._legs), len(self._kept))
        self._tell_kept()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._tell_held(request, self._notes)
        self._owed_octets = len(self._unsent)
        self._lost = 0

    def _tell_kept(self) -> None:
        """What was kept, in the order it happened; from now on somebody listens."""
        self._is_orphan = False
        kept, self._kept = self._kept, []
        for report in kept:
            self._send(report)

    def _tell_held(self, request: int, notes: Mapping[str, bytes]) -> None:
        """What is open, who hears whom, what is recorded. Parts, so that no message is too long for its reader."""
        parts: list[list[HeldLeg]] = [[]]
        octets = 0
        for leg in self._legs.values():
            note = notes.get(leg.name, b"")
            octets += _HELD_LEG_OCTETS + len(note)
            if octets > _HELD_PART_OCTETS:
                parts.append([])
                octets = _HELD_LEG_OCTETS + len(note)
            parts[-1].append(self._held(leg, note))
        for part in parts[:-1]:
            self._send(Held(request=request, legs=tuple(part), ports=self._ports.range, goes_on=True))
        rooms = tuple(
            HeldRoom(room=room.name, hears=tuple(sorted((listener.name, speaker.name) for listener, speaker in room.hears)))
            for room in self._rooms.values()
        )
        legs, recordings = tuple(parts[-1]), self._recordings.held()
        self._send(Held(request=request, legs=legs, rooms=rooms, recordings=recordings, ports=self._ports.range, lost=self._lost))

    def _held(self, leg: Leg, note: bytes) -> HeldLeg:
        playback = leg.sender.playback
        return HeldLeg(
            leg=leg.name,
            address=leg.address,
            rtp_port=leg.port,
            rtcp_port=leg.port + 1,
            is_described=leg.described is not None,
            play=None if playback is None else playback.play,
            note=note,
            fingerprint=str(self._identity.fingerprint),
        )

    # ---------------------------------------------------------------- the end

    def _be_taken_over(self, request: int) -> None:
        """What the end brings follows what was kept."""
        self._tell_kept()
        self._request_to_end = request
        self._ends = True

    def _finish(self) -> None:
        now = time.monotonic()
        legs, recordings = len(self._legs), len(self._recordings.running)
        for leg in list(self._legs.values()):
            self._close_leg(leg, now)
        if not self._recordings.finish(_FINISH_S, now):
            log.error("! the disk did not finish the recordings in %.0f s", _FINISH_S)
        self._woken()
        if self._request_to_end is not None:
            self._send(TakenOver(request=self._request_to_end, legs=legs, recordings=recordings, lost=self._lost))
        if self._control is not None:
            self._control.setblocking(True)
            self._control.settimeout(_FINISH_S)
            try:
                self._control.sendall(self._unsent)
            except OSError as error:
                log.info("x last reports were not read: %s", error)
            self._control.close()
        self._epoll.close()
        self._ended = True
        os.close(self._wake_descriptor)


def _described_browser(transport: IceDtlsTransport, request: DescribeLeg) -> DescribeLeg:
    """Tell the transport who is expected. Returns: the order with the one address that the browser has for the leg, without other keys than
    its handshake's; nothing is sent there before there are some.
    """
    browser = request.browser
    if browser is not None:
        if browser.ice is not None:
            transport.restart(browser.ice)
        transport.expect(_fingerprints(request.leg, browser.fingerprints), is_client=browser.is_client)
    host, port = transport.peer[:2]
    return structs.replace(
        request,
        remote_address=host,
        remote_port=port,
        remote_rtcp_port=port,
        signals_from=(),
        until_heard=not transport.is_open,
        srtp=None,
    )


def _described_phone(transport: DtlsSrtpTransport, request: DescribeLeg) -> DescribeLeg:
    """Tell the transport who is expected. Returns: the order with the place at which the phone proved to be, without other keys than its
    handshake's; nothing is sent anywhere before there are some.
    """
    browser = request.browser
    host, port, rtcp_port = request.remote_address, request.remote_port, request.remote_rtcp_port
    # A phone that holds with 0.0.0.0 (RFC 3264 §8.4) is where it was.
    is_somewhere = not request.until_heard and port != 0 and not is_unspecified(host)
    if is_somewhere:
        transport.place(address_of(host, port, is_v6=transport.is_v6), address_of(host, rtcp_port, is_v6=transport.is_v6))
    if browser is not None:
        transport.expect(_fingerprints(request.leg, browser.fingerprints), is_client=browser.is_client)
    peer = transport.peer
    if peer is not None and (is_somewhere or request.until_heard):
        rtcp_port = peer[1] if rtcp_port == port else rtcp_port if host == peer[0] else peer[1] + 1
        host, port = peer[:2]
    return structs.replace(
        request,
        remote_address=host,
        remote_port=port,
        remote_rtcp_port=rtcp_port,
        until_heard=not transport.is_open or (request.until_heard and peer is None),
        srtp=None,
    )


def _fingerprints(leg: str, texts: tuple[str, ...]) -> list[Fingerprint]:
    """Those that can be read; with none the browser is refused, whoever it is."""
    found = []
    for text in texts:
        try:
            found.append(Fingerprint.parse(text))
        except ParseError as error:
            log.warning("! leg=%s %s", leg, error)
    return found


@contextlib.contextmanager
def listen(control: str) -> Iterator[socket.socket]:
    """A listening socket on a path or on host:port. TCP has no authentication: loopback or a private link only."""
    host, colon, port = control.rpartition(":")
    if not colon or not port.isdigit() or "/" in control:
        with listening(Path(control)) as listener:
            yield listener
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
        listener.listen()
        yield listener


def claim_resources() -> None:
    """Two descriptors a leg need more than the usual 1024; voice goes before everything else on the machine, where we may ask for that."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    except PermissionError:
        log.info("= no permission for niceness %d; late ticks will tell whether it matters", _NICENESS)


def port_range(text: str) -> tuple[int, int]:
    """`20000-20998` to two numbers, for argparse."""
    first, dash, last = text.partition("-")
    if not dash or not first.isdigit() or not last.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no range of ports like 20000-20998")
    return int(first), int(last)


def seconds(text: str) -> float:
    """A time that is not negative, for argparse."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 up")
    return value


def port_list(text: str) -> tuple[int, ...]:
    """`20000,20002` to numbers, for argparse."""
    try:
        return tuple([int(port) for port in text.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of ports like 20000,20002") from error


def main(arguments: list[str] | None = None) -> int:
    """Run one worker until it is told to end, or until its main process is gone and nobody took over."""
    close_inherited()
    os.umask(UMASK)
    parser = argparse.ArgumentParser(prog="media.worker", description="Serves RTP for one main process.")
    parser.add_argument("--control", required=True, help="path of a unix socket, or host:port")
    parser.add_argument("--ports", type=port_range, default=(20000, 20998), help="RTP ports, as 20000-20998")
    parser.add_argument("--avoid-ports", type=port_list, default=(), help="RTP ports to be used after all others, as 20000,20002")
    parser.add_argument("--sounds", type=Path, action="append", default=[], help="folder of sounds; stands in front of the packaged ones")
    parser.add_argument("--parent", type=int, help="the process that starts it; nothing is served when it is gone by then")
    parser.add_argument("--orphan-s", type=seconds, default=ORPHAN_S, help="how long legs are kept when the main process is gone (60)")
    parser.add_argument("--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="WARNING")
    parser.add_argument("--log-format", choices=get_args(Form), default="text")
    options = parser.parse_args(arguments)
    write_to_stderr(options.log_level, options.log_format)
    claim_resources()
    sounds = SoundLibrary(*options.sounds, PACKAGED_SOUNDS)
    sounds.preload()
    worker = Worker(
        PortPool(options.ports[0], options.ports[1], avoid=options.avoid_ports, draw=secrets.randbelow), sounds, orphan_s=options.orphan_s
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.end())
    # Ctrl-C and a terminal that closes reach every process in it; the main process decides what they mean and tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    if options.parent is not None and os.getppid() != options.parent:
        log.error("! the main process is gone")
        return 1
    with listen(options.control) as listener:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        # What was made so far lives for ever: the collector need not look at it while packets wait.
        gc.collect()
        gc.freeze()
        return 0 if worker.serve(listener) else 1


if __name__ == "__main__":
    raise SystemExit(main())
