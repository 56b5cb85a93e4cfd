"""What a page's line bears: as many streams as it asks for, as in calls, echoed and counted at the media worker (U7, U11; RFC 3550 §6.4).

    offers of the page -> a leg each, described, that hears itself -> all connected -> CHECK_S of audio -> closed, measured -> what it bears

An upload over HTTP proves nothing of voice: it waits where voice is late, and sends again what voice has lost. So the streams are
what calls have: PCMA under SRTP, 20 ms, from the page's own connections. What comes up is counted by the worker; what goes down, and the
round trip, the page tells in its RTCP.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, TypeVar

from acd.core.ids import AgentId, TenantId
from acd.errors import CheckRefused
from acd.service import MOST_STREAMS, LineCheck, LineCheckBegun, StreamFigures
from acd.switch import media_plan
from acd.switch.addresses import LocalAddresses
from acd.switch.port_shares import PortShares
from acd.switch.shares import Shares
from media import control
from media.client import MediaPlane, PlaneReport, WorkerLost
from media.errors import MediaError
from media.transport.keys import Suite
from media.wire_cost import RTCP_SHARE, SRTP_OF, ChannelShape, IpVersion, stream_kbits
from sip.sdp import webrtc
from sip.sdp.crypto import KeySource
from sip.sdp.description import SessionDescription

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_S: Final = 10.0
CONNECT_S: Final = 10.0
"""Until all streams are up: a page needs a second."""
MEASURED_S: Final = 5.0
"""Until the worker has told what it counted; it tells at once."""
KEPT_S: Final = 120.0
"""How long what came of a check can be asked for."""
MOST_AT_ONCE: Final = 48
"""Streams of all checks: an echo costs the worker what a mixed leg does, and calls come first."""
PREFIX: Final = "check:"
"""Of the names of legs and calls; those of calls begin with an id of the exchange."""
CODEC: Final = "PCMA"


@dataclass(slots=True, eq=False)
class _Stream:
    leg: str
    opened: control.LegOpened | None = None
    connected_at: float | None = None
    closed_at: float = 0.0
    quality: control.Quality | None = None
    is_v6: bool = False


@dataclass(slots=True, eq=False)
class _Check:
    name: str
    tenant: TenantId
    agent: AgentId
    streams: list[_Stream]
    done: asyncio.Future[LineCheck]
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Something came from the worker."""
    failure: str | None = None
    is_of_line: bool = False
    """The failure is what a bad line looks like: what did not come up bears nothing."""


class LineChecks:
    """See the module. All calls come from the loop.

    Args:
        draw: ICE credentials.
        measured: told of each check that came to its end.
    """

    def __init__(
        self,
        media: MediaPlane,
        addresses: LocalAddresses,
        ports: PortShares,
        shares: Shares,
        counters: Counter[str],
        *,
        draw: KeySource,
        measured: Callable[[TenantId, AgentId, LineCheck], None],
    ) -> None:
        self._media = media
        self._addresses = addresses
        self._ports = ports
        self._shares = shares
        self._counters = counters
        self._draw = draw
        self._measured = measured
        self._checks: dict[str, _Check] = {}
        self._by_leg: dict[str, tuple[_Check, _Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def has(self, leg: str) -> bool:
        """Whether a leg at a media worker is a check's."""
        return leg in self._by_leg

    @property
    def streams(self) -> int:
        """How many are up now."""
        return len(self._by_leg)

    # ------------------------------------------------------------------ what is asked

    async def begin(self, tenant: TenantId, agent: AgentId, host: str, offers: tuple[bytes, ...]) -> LineCheckBegun:
        """Take a page's offers, one for each stream, and count from when all are up.

        Args:
            host: where the page is.
        Raises: CheckRefused: one is under way for this agent, too many are, an offer is no browser's, or there are no ports.
        """
        if any(one.agent == agent and one.tenant == tenant and not one.done.done() for one in self._checks.values()):
            raise CheckRefused("a line check of this agent is under way")
        if not 1 <= len(offers) <= MOST_STREAMS:
            raise CheckRefused(f"a line check has 1 to {MOST_STREAMS} streams, not {len(offers)}")
        if len(self._by_leg) + len(offers) > MOST_AT_ONCE:
            raise CheckRefused("too many lines are being checked now; try again in a few seconds")
        address = self._addresses.of_page(host)
        described = [_read(offer, address, number) for number, offer in enumerate(offers, 1)]
        name = f"{PREFIX}{self._draw(9).hex()}"
        check = _Check(name, tenant, agent, [_Stream(f"{name}.{number}") for number in range(len(offers))], _future())
        self._checks[name] = check
        try:
            answers = tuple([await self._open(check, *pair, address) for pair in zip(check.streams, described, strict=True)])
        except BaseException:
            self._end(check)
            self._checks.pop(name, None)
            raise
        self._counters["line_checks"] += 1
        task = asyncio.ensure_future(self._run(check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return LineCheckBegun(check=name.removeprefix(PREFIX), answers=answers, lasts_s=CHECK_S)

    async def outcome(self, tenant: TenantId, agent: AgentId) -> LineCheck | None:
        """What came of the agent's latest, once it is over; None: there was none lately."""
        own = [one for one in self._checks.values() if (one.tenant, one.agent) == (tenant, agent)]
        return await asyncio.shield(own[-1].done) if own else None

    async def close(self) -> None:
        """Nobody is told any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ its legs

    async def _open(self, check: _Check, stream: _Stream, offered: SessionDescription, address: str) -> bytes:
        if not self._ports.open_leg(check.name, self._shares.of_phones(check.tenant), monotonic()):
            raise CheckRefused("this line's share of media ports is used up")
        ice = media_plan.draw_ice(self._draw)
        opening: asyncio.Future[control.LegOpened | MediaError] = asyncio.get_running_loop().create_future()
        self._by_leg[stream.leg] = check, stream
        withdraw = self._media.request_leg(check.name, stream.leg, address, lambda answer: _settle(opening, answer), ice=ice)
        try:
            opened = await opening
        except asyncio.CancelledError:
            withdraw()
            raise
        if isinstance(opened, MediaError):
            raise CheckRefused(f"no media: {opened}")
        stream.opened, stream.is_v6 = opened, ":" in address
        ours = media_plan.to_page(opened, ice, self._addresses.page_addresses)
        try:
            description, plan = media_plan.answer(offered, opened, (CODEC,), 1, dtls=ours)
        except media_plan.NoCommonMedia as error:
            raise CheckRefused(f"an offer cannot be answered: {error}") from error
        self._media.send(check.name, plan.describe(stream.leg, 0.0, ice=ice))
        self._media.send(check.name, control.ArrangeAudio(room=stream.leg, hears=((stream.leg, stream.leg),)))
        return description.to_bytes()

    def on_media(self, report: PlaneReport) -> bool:
        """Returns: whether the report was of a check's leg alone."""
        if isinstance(report, WorkerLost):
            for leg in report.legs:
                self._lost(leg, "its media worker ended")
            return False
        found = self._by_leg.get(getattr(report, "leg", ""))
        if found is None:
            return False
        check, stream = found
        if isinstance(report, control.BrowserChanged):
            if report.state == "connected":
                stream.connected_at = stream.connected_at or monotonic()
            else:
                check.is_of_line |= report.state in {"suspect", "gone"}
                self._lost(stream.leg, f"the page's connection is {report.state}{': ' if report.reason else ''}{report.reason}")
        elif isinstance(report, control.LegClosed):
            stream.quality = report.quality
            del self._by_leg[stream.leg]
            self._ports.leg_gone(check.name, monotonic())
        check.news.set()
        return True

    def _lost(self, leg: str, why: str) -> None:
        check, stream = self._by_leg.get(leg, (None, None))
        if check is None or stream is None:
            return
        check.failure = check.failure or why
        check.news.set()

    def _end(self, check: _Check) -> None:
        """Its legs close, opened or not."""
        for stream in check.streams:
            stream.closed_at = stream.closed_at or monotonic()
            if stream.opened is not None:
                self._media.send(check.name, control.CloseLeg(leg=stream.leg))
            elif self._by_leg.pop(stream.leg, None) is not None:
                self._ports.leg_gone(check.name, monotonic())

    # ------------------------------------------------------------------ its course

    async def _run(self, check: _Check) -> None:
        try:
            is_up = await _until(check, lambda: all(one.connected_at is not None for one in check.streams), CONNECT_S)
            if is_up:
                await _until(check, lambda: False, CHECK_S)
            elif check.failure is None:
                missing = sum(one.connected_at is None for one in check.streams)
                check.failure = f"{missing} of {len(check.streams)} streams did not come up within {CONNECT_S:g} s"
                check.is_of_line = True
            self._end(check)
            failure, check.failure = check.failure, None
            await _until(check, lambda: all(one.quality is not None for one in check.streams), MEASURED_S)
            streams = tuple([_figures(one) for one in check.streams if one.quality is not None and one.connected_at is not None])
            is_whole = len(streams) == len(check.streams)
            upload = min(one.upload_kbits for one in streams) if failure is None and is_whole else 0.0 if check.is_of_line else None
            told = LineCheck(check=check.name.removeprefix(PREFIX), failure=failure, upload_kbits=upload, streams=streams)
            self._counters["line_checks_failed"] += failure is not None
            if upload is not None:
                self._measured(check.tenant, check.agent, told)
            _settle(check.done, told)
        finally:
            for stream in check.streams:
                if self._by_leg.pop(stream.leg, None) is not None:
                    self._ports.leg_gone(check.name, monotonic())
            _settle(check.done, LineCheck(check=check.name.removeprefix(PREFIX), failure="the service ends"))
        asyncio.get_running_loop().call_later(KEPT_S, self._checks.pop, check.name, None)


async def _until(check: _Check, holds: Callable[[], bool], within_s: float) -> bool:
    """Whether it came to hold before a failure, and in time."""
    try:
        async with asyncio.timeout(within_s):
            while not holds():
                if check.failure is not None:
                    return False
                check.news.clear()
                await check.news.wait()
    except TimeoutError:
        return holds()
    return True


def _read(offer: bytes, address: str, number: int) -> SessionDescription:
    try:
        found = media_plan.read(offer, address)
    except media_plan.NoCommonMedia as error:
        raise CheckRefused(f"offer {number} cannot be used: {error}") from error
    if not webrtc.is_of_page(found):
        raise CheckRefused(f"offer {number} is none of a browser: it names no stream over {webrtc.PROTO}")
    return found


def _figures(stream: _Stream) -> StreamFigures:
    """What one stream came to. Its rate is what came on the wire, RTCP's share added, as channels are counted (`media.wire_cost`)."""
    quality = stream.quality
    assert quality is not None
    assert stream.connected_at is not None
    seconds = max(stream.closed_at - stream.connected_at, 0.02)
    shape = ChannelShape(CODEC, 20, IpVersion.V6 if stream.is_v6 else IpVersion.V4, SRTP_OF[Suite.AEAD_AES_128_GCM])
    packet_kbit = stream_kbits(shape) * shape.ptime_ms / 1000
    expected = quality.packets_received + quality.packets_lost
    return StreamFigures(
        upload_kbits=round(quality.packets_received * packet_kbit * (1 + RTCP_SHARE) / seconds, 1),
        loss=round(quality.packets_lost / expected, 4) if expected else 1.0,
        download_loss=quality.remote_loss_fraction,
        jitter_ms=round(quality.jitter_ms, 1),
        round_trip_ms=quality.round_trip_ms,
        mos=quality.mos,
    )


def _future() -> asyncio.Future[LineCheck]:
    return asyncio.get_running_loop().create_future()


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)
