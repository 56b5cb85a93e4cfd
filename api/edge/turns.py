"""How many requests of one tenant are served at once: the others wait for their turn, user by user, and hold nothing meanwhile (house).

All tenants share one loop, so whoever keeps a hundred requests going makes every other tenant's wait behind them. What is bounded is how
many are in flight, not how many a second: who asks one after the other never waits here. Within a tenant the turn goes round the users and
keys, so that a script does not keep the desks waiting. Who waits `wait_s`, or finds `most_waiting` before, is told to come again (429).

Whose a request is, is known for sure only when its token was looked at, in a transaction. So a token that was right before is counted for
its tenant, and any other for where it comes from: nobody can name a tenant and take its places.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from api.errors import TooMany

KNOWN_TOKENS = 100_000
"""Digests of tokens that were right lately; the one longest unused goes first."""


class TooBusy(TooMany):
    """So many requests of this tenant wait already, or for so long."""

    def __init__(self, what: str, retry_after_s: int) -> None:
        super().__init__(f"Too many {what} of this tenant are going on at once; come again, or do less at the same time.", retry_after_s)


class _Group:
    __slots__ = ("running", "turns", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting = 0
        self.turns: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Holder -> those of its requests that wait; the first holder is next."""

    def next(self) -> asyncio.Future[None] | None:
        """Whose turn it is; the holder's next one comes after those of all others."""
        while self.turns:
            holder, queue = self.turns.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self.turns[holder] = queue
            if not turn.done():
                return turn
        return None


class Place:
    """Where one request is served, until it is done or waits for something that is not ours."""

    __slots__ = ("_leave",)

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def leave(self) -> None:
        """Let the next one be served; a second time changes nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Turns:
    """Of a process."""

    def __init__(self, places: int, most_waiting: int, wait_s: float, streams: int) -> None:
        self._places, self._most_waiting, self._wait_s = places, most_waiting, wait_s
        self._most_streams = streams
        self._groups: dict[str, _Group] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._streams: Counter[tuple[str, str]] = Counter()
        self.waited: Counter[str] = Counter()
        """Requests that did not come at once, by tenant."""
        self.refused: Counter[tuple[str, str]] = Counter()

    # ---------------------------------------------------------------- whose a token is

    def is_known(self, token_hash: str) -> bool:
        """Whether the token was right lately."""
        if token_hash not in self._known:
            return False
        self._known.move_to_end(token_hash)
        return True

    def learn(self, token_hash: str) -> None:
        """It is right."""
        self._known[token_hash] = None
        if len(self._known) > KNOWN_TOKENS:
            self._known.popitem(last=False)

    def unlearn(self, token_hash: str) -> None:
        """It is not, or no more."""
        self._known.pop(token_hash, None)

    # ---------------------------------------------------------------- turns

    @asynccontextmanager
    async def turn(self, group: str, holder: str) -> AsyncIterator[Place]:
        """Be served inside, when it is this one's turn.

        Args:
            group: the tenant; what begins with a blank is no tenant and is counted together.
        Returns: the place, which may be left before.
        Raises: TooBusy
        """
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = _Group()
        if found.running < self._places:
            found.running += 1
        else:
            await self._wait(group, found, holder)
        place = Place(lambda: self._end(group, found))
        try:
            yield place
        finally:
            place.leave()

    async def _wait(self, name: str, group: _Group, holder: str) -> None:
        if group.waiting >= self._most_waiting:
            self._refuse(name, "requests")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.turns.setdefault(holder, deque()).append(turn)
        group.waiting += 1
        self.waited[_label(name)] += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came at the very moment
                self._end(name, group)
            if isinstance(error, TimeoutError):
                self._refuse(name, "requests")
            raise
        finally:
            group.waiting -= 1

    def _end(self, name: str, group: _Group) -> None:
        turn = group.next()
        if turn is not None:
            turn.set_result(None)  # the place goes on to it
            return
        group.running -= 1
        if not group.running and not group.waiting and self._groups.get(name) is group:
            del self._groups[name]

    # ---------------------------------------------------------------- streams

    @contextmanager
    def stream(self, tenant: str, what: str = "exports", most: int | None = None) -> Iterator[None]:
        """An answer that goes on for long: it is not waited for.

        Args:
            what: each kind is counted for itself.
            most: of this kind; None: as many as exports.
        Raises: TooBusy
        """
        key = (tenant, what)
        if self._streams[key] >= (self._most_streams if most is None else most):
            self._refuse(tenant, what)
        self._streams[key] += 1
        try:
            yield
        finally:
            self._streams[key] -= 1
            if not self._streams[key]:
                del self._streams[key]

    def _refuse(self, name: str, what: str) -> None:
        self.refused[_label(name), what] += 1
        raise TooBusy(what, max(1, math.ceil(self._wait_s / 5)))

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        running, waiting = Counter[str](), Counter[str]()
        for name, group in self._groups.items():
            running[_label(name)] += group.running
            waiting[_label(name)] += group.waiting
        found: dict[str, float] = {}
        for name in running:
            found[f'fernamt_http_tenant_requests{{tenant="{name}",state="running"}}'] = running[name]
            found[f'fernamt_http_tenant_requests{{tenant="{name}",state="waiting"}}'] = waiting[name]
        for (name, what), count in self._streams.items():
            found[f'fernamt_http_tenant_streams{{tenant="{name}",what="{what}"}}'] = count
        for name, count in self.waited.items():
            found[f'fernamt_http_tenant_waited_total{{tenant="{name}"}}'] = count
        for (name, what), count in self.refused.items():
            found[f'fernamt_http_tenant_refused_total{{tenant="{name}",what="{what}"}}'] = count
        return found


class Lane:
    """Long answers, a piece at a time for the whole process: a piece is worked on the loop, where everybody's calls are.

    The turn goes round the tenants. After each piece the lane rests as long as the piece took: all exports together have half of the loop,
    however many there are. How long a tenant's took is counted.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._turns = Turns(places=1, most_waiting=1_000_000, wait_s=86_400.0, streams=0)  # who may have how many is asked elsewhere
        self._now = now
        self.spent_s: defaultdict[str, float] = defaultdict(float)

    @asynccontextmanager
    async def piece(self, tenant: str) -> AsyncIterator[None]:
        """Work inside, when it is this tenant's turn; a piece is short: a hundred records."""
        async with self._turns.turn("", tenant):
            began = self._now()
            yield
            spent = self._now() - began
            self.spent_s[tenant] += spent
            await asyncio.sleep(spent)

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        return {f'fernamt_export_seconds_total{{tenant="{tenant}"}}': spent for tenant, spent in self.spent_s.items()}


def of_source(source: str) -> str:
    """The group of requests from one source of which nobody knows yet whose they are."""
    return f" {source}"


def _label(name: str) -> str:
    """Addresses are no label: there are too many."""
    return "" if name.startswith(" ") else name
