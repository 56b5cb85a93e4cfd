"""Connections of those who have not said who they are: how many a source and all sources together may hold (house).

Pure. A source is an IPv4 address or an IPv6 /64, which is what one site is given (RFC 6177 §2). The oldest connection that nobody works
with makes room for a new one: whoever holds connections open and says nothing loses those, and keeps nobody of the same address out.
Where all places are taken, a source that has most gives one up, at work or not: being at work is cheap to pretend (an octet of a body),
so it must not be what keeps others out. However many sources fill the house, one that has fewer than each of them gets in.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from sip.source import Network, is_within, source_of

T = TypeVar("T")


class Strangers(Generic[T]):
    """The connections that count against their source, the oldest first."""

    def __init__(self, per_source: int, total: int, exempt: Iterable[Network] = ()) -> None:
        """Args:
        exempt: networks whose connections are not counted: proxies, behind which everybody has the same address.
        """
        self._per_source = per_source
        self._total = total
        self._exempt = tuple(exempt)
        self._of: dict[T, str] = {}
        self._by_source: dict[str, dict[T, None]] = {}
        self._having: dict[int, dict[str, None]] = {}
        """The sources by how many connections they have; who has had so many for longest comes first."""
        self._most = 0
        """What the largest source has: it moves by one, as every count does, so nobody ever looks through all sources."""
        self.refused = 0
        """Connections that found no room beside others of their source."""
        self.refused_when_full = 0
        """Connections that found no room since all places were taken, and no source had more than theirs."""
        self.displaced = 0
        """Connections that made room."""

    def enter(self, connection: T, host: str, may_go: Callable[[T], bool]) -> tuple[bool, T | None]:
        """A connection has come.

        Returns: whether it may stay, and the connection that is to be closed for it.
        """
        if is_within(host, self._exempt):
            return True, None
        source = source_of(host)
        own = self._by_source.get(source, {})
        goes: T | None = None
        if len(own) >= self._per_source:
            goes = next((one for one in own if may_go(one)), None)
        elif len(self._of) >= self._total:
            goes = self._of_the_largest(len(own), own, may_go)
        else:
            self._add(connection, source)
            return True, None
        if goes is None:
            if len(own) >= self._per_source:
                self.refused += 1
            else:
                self.refused_when_full += 1
            return False, None
        self.displaced += 1
        self.leave(goes)
        self._add(connection, source)
        return True, goes

    def _of_the_largest(self, has: int, own: dict[T, None], may_go: Callable[[T], bool]) -> T | None:
        """Who makes room where all places are taken; a source that is itself as large as any takes from nobody but itself."""
        if has >= self._most:
            return next((one for one in own if may_go(one)), None)
        theirs = self._by_source[next(iter(self._having[self._most]))]
        return next((one for one in theirs if may_go(one)), next(iter(theirs)))

    def is_full(self, host: str) -> bool:
        """Whether that source has all it may have; when not, and yet there is no room, all sources together are too many."""
        return len(self._by_source.get(source_of(host), ())) >= self._per_source

    def _add(self, connection: T, source: str) -> None:
        self._of[connection] = source
        own = self._by_source.setdefault(source, {})
        own[connection] = None
        self._count(source, len(own) - 1, len(own))

    def _count(self, source: str, before: int, now: int) -> None:
        if before:
            del self._having[before][source]
            if not self._having[before]:
                del self._having[before]
        if now:
            self._having.setdefault(now, {})[source] = None
        if now > self._most or self._most not in self._having:
            self._most = now

    def leave(self, connection: T) -> None:
        """It has gone, or is no stranger's any more."""
        source = self._of.pop(connection, None)
        if source is None:
            return
        own = self._by_source[source]
        del own[connection]
        self._count(source, len(own) + 1, len(own))
        if not own:
            del self._by_source[source]

    def __contains__(self, connection: T) -> bool:
        return connection in self._of

    def __len__(self) -> int:
        return len(self._of)
