"""One subscription a tenant for all who look and listen: each event is written once, and goes to those sockets whose people may see it.

An index says who that is (`rules.Audience`), kept for the tenant and not for the socket, however many desks and walls there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from acd.client import VoiceClient
from acd.core.ids import AgentId, ContactId, TenantId
from acd.core.live import LiveState
from acd.errors import StreamOverrun, VoiceServiceError
from acd.service import LiveEvent, ScreenPop, TenantState
from api.telephony.rules import Audience, Seen, told_live

log = logging.getLogger(__name__)

DEPTH = 10_000
"""Messages a socket may be behind: about ten seconds of a very busy tenant."""


class _Telling:
    """A screen pop on its way to the desks of its agent; the voice service is told when all know."""

    def __init__(self, voice: VoiceClient, tenant: TenantId, agent: AgentId, contact: ContactId, desks: int) -> None:
        self._voice = voice
        self._pop = tenant, agent, contact
        self._left = desks

    async def told(self) -> None:
        """One desk more knows, or has gone."""
        self._left -= 1
        if self._left <= 0:
            with contextlib.suppress(VoiceServiceError):  # the phone then waits for its patience to end
                await self._voice.shown(*self._pop)


class Outbox:
    """What is to be sent to one socket."""

    def __init__(self, agent: AgentId | None, *, sees_all: bool) -> None:
        self.agent = agent
        self.sees_all = sees_all
        self.since = 0
        """Events up to this entry are in the state that the socket was told first."""
        self._messages: deque[tuple[int, str, _Telling | None]] = deque()
        self._wake = asyncio.Event()
        self._sending: _Telling | None = None
        self._overrun = False
        self._ended = False
        self._silence: asyncio.TimerHandle | None = None
        self._last = 0.0
        """When something was given out, on the clock of the loop."""
        self._is_silent = False

    def put(self, seq: int, text: str, telling: _Telling | None = None) -> None:
        """Something that its person may see."""
        if self._overrun:
            return
        if len(self._messages) >= DEPTH:
            self.overrun()
        else:
            self._messages.append((seq, text, telling))
            self._wake.set()

    def overrun(self) -> None:
        """Too much was missed."""
        self._overrun = True
        self._wake.set()

    def end(self) -> None:
        """The exchange has closed the stream."""
        self._ended = True
        self._wake.set()

    async def get(self, silence_s: float) -> str | None:
        """The next message; None: nothing happened for so long. To ask for it says that the one before was sent.

        Raises: StreamOverrun; EOFError: it has ended.
        """
        loop = asyncio.get_running_loop()
        self._last = self._last or loop.time()
        if self._sending is not None:
            telling, self._sending = self._sending, None
            await telling.told()
        while True:
            if self._overrun:
                raise StreamOverrun(f"more than {DEPTH} events behind")
            while self._messages:
                seq, text, telling_of = self._messages.popleft()
                self._sending = telling_of
                if telling_of is not None or seq > self.since:
                    self._last, self._is_silent = loop.time(), False
                    return text
            if self._ended:
                raise EOFError
            if self._is_silent:
                self._is_silent, self._last = False, loop.time()
                return None
            if self._silence is None:
                self._silence = loop.call_at(self._last + silence_s, self._on_silence, silence_s)
            self._wake.clear()
            await self._wake.wait()

    def _on_silence(self, silence_s: float) -> None:
        """One timer a socket, which is not moved with each message: whether it was silent shows when it comes."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._last < silence_s:
            self._silence = loop.call_at(self._last + silence_s, self._on_silence, silence_s)
            return
        self._silence, self._is_silent = None, True
        self._wake.set()

    async def close(self) -> None:
        """The socket has gone: nobody waits for what it was not told."""
        if self._silence is not None:
            self._silence.cancel()
        left = [telling for _, _, telling in self._messages] + [self._sending]
        self._messages.clear()
        self._sending = None
        for telling in left:
            if telling is not None:
                await telling.told()


class Hub:
    """Of one tenant, while somebody listens or looks."""

    def __init__(self, voice: VoiceClient, tenant: TenantId) -> None:
        self._voice = voice
        self._tenant = tenant
        self._audience = Audience()
        self._all: set[Outbox] = set()
        """Of those who see everything of their tenant."""
        self._agents: set[Outbox] = set()
        """Of all others."""
        self._of_agent: dict[AgentId, set[Outbox]] = {}
        self.watchers: set[Callable[[], None]] = set()
        """Told that something has changed, whatever it is."""
        self.ended = False
        self.users = 0
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._routing = asyncio.create_task(self._route(), name=f"events of {tenant}")

    async def begun(self) -> None:
        """Until it hears. Raises: UnknownName: the tenant is not open."""
        await asyncio.shield(self._begun)

    async def _route(self) -> None:
        try:
            while True:
                heard = self._voice.events(self._tenant)
                try:
                    parts = await self._voice.parts(self._tenant)
                    at = await self._voice.live_at(self._tenant)
                    self._audience = Audience()
                    self._audience.begins_at(at.live, parts)
                    if not self._begun.done():
                        self._begun.set_result(None)
                    async for event in heard:
                        if isinstance(event, LiveEvent):
                            if event.seq > at.seq or isinstance(event.event, ScreenPop):
                                await self._take(event)
                        elif isinstance(event, TenantState) and not event.is_open:
                            return
                except StreamOverrun:
                    for outbox in (*self._all, *self._agents):
                        outbox.overrun()
                    self._changed()  # a board has missed nothing that its next snapshot does not show
                finally:
                    heard.close()
        except Exception as error:
            if self._begun.done():
                log.exception("! the live events of tenant %s stumbled", self._tenant)
            else:
                self._begun.set_exception(error)
        finally:
            self.ended = True
            for outbox in (*self._all, *self._agents):
                outbox.end()
            self._changed()

    def _changed(self) -> None:
        for told in self.watchers:
            told()

    async def _take(self, live: LiveEvent) -> None:
        self._changed()
        seen = self._audience.of(live)
        if isinstance(live.event, ScreenPop):
            await self._pop(live, live.event)
            return
        outboxes = self._outboxes(seen)
        if outboxes:
            text = told_live(live)
            for outbox in outboxes:
                outbox.put(live.seq, text)

    def _outboxes(self, seen: Seen) -> set[Outbox]:
        if seen.public:
            return self._all | self._agents
        found = set(self._all) if seen.supervisors else set()
        for agent in seen.agents:
            found |= self._of_agent.get(agent, set())
        return found

    async def _pop(self, live: LiveEvent, pop: ScreenPop) -> None:
        desks = self._of_agent.get(pop.agent, set())
        telling = _Telling(self._voice, self._tenant, pop.agent, pop.call, len(desks))
        if not desks:
            await telling.told()
            return
        text = told_live(live)
        for outbox in desks:
            outbox.put(live.seq, text, telling)

    def add(self, outbox: Outbox) -> None:
        """A socket was opened."""
        (self._all if outbox.sees_all else self._agents).add(outbox)
        if outbox.agent is not None:
            self._of_agent.setdefault(outbox.agent, set()).add(outbox)

    def remove(self, outbox: Outbox) -> None:
        """A socket has gone."""
        self._all.discard(outbox)
        self._agents.discard(outbox)
        if outbox.agent is not None:
            of_agent = self._of_agent.get(outbox.agent, set())
            of_agent.discard(outbox)
            if not of_agent:
                self._of_agent.pop(outbox.agent, None)

    async def close(self) -> None:
        """Nobody listens any more."""
        self._routing.cancel()
        await asyncio.gather(self._routing, return_exceptions=True)
        if self._begun.done() and not self._begun.cancelled():
            self._begun.exception()  # whoever waited for it has gone


class Hubs:
    """Those of the tenants of which somebody listens or looks."""

    def __init__(self) -> None:
        self._hubs: dict[TenantId, Hub] = {}

    @asynccontextmanager
    async def use(self, voice: VoiceClient, tenant: TenantId) -> AsyncIterator[Hub]:
        """The tenant's hub, which lasts as long as somebody uses it. Raises: UnknownName."""
        hub = self._hubs.get(tenant)
        if hub is None or hub.ended:
            hub = self._hubs[tenant] = Hub(voice, tenant)
        hub.users += 1
        try:
            await hub.begun()
            yield hub
        finally:
            hub.users -= 1
            if not hub.users:
                if self._hubs.get(tenant) is hub:
                    del self._hubs[tenant]
                await hub.close()

    @asynccontextmanager
    async def listen(
        self, voice: VoiceClient, tenant: TenantId, agent: AgentId | None, *, sees_all: bool
    ) -> AsyncIterator[tuple[Outbox, LiveState]]:
        """Open a socket's outbox: the live state at this moment, and every event after it that its person may see."""
        async with self.use(voice, tenant) as hub:
            outbox = Outbox(agent, sees_all=sees_all)
            hub.add(outbox)
            try:
                at = await voice.live_at(tenant)
                outbox.since = at.seq
                yield outbox, at.live
            finally:
                hub.remove(outbox)
                await outbox.close()
