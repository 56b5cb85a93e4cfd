"""Connections of those who have not said who they are: how many a source and all sources together may hold (house).

Pure. A source is an IPv4 address or an IPv6 /64, which is what one site is given (RFC 6177 §2). The oldest connection that nobody works
with makes room for a new one: whoever holds connections open and says nothing loses those, and keeps nobody of the same address out.
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
        self.refused = 0
        """Connections that found no room."""
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
            goes = next((one for one in self._of if may_go(one)), None)
        else:
            self._add(connection, source)
            return True, None
        if goes is None:
            self.refused += 1
            return False, None
        self.displaced += 1
        self.leave(goes)
        self._add(connection, source)
        return True, goes

    def _add(self, connection: T, source: str) -> None:
        self._of[connection] = source
        self._by_source.setdefault(source, {})[connection] = None

    def leave(self, connection: T) -> None:
        """It has gone, or is no stranger's any more."""
        source = self._of.pop(connection, None)
        if source is None:
            return
        own = self._by_source[source]
        del own[connection]
        if not own:
            del self._by_source[source]

    def __contains__(self, connection: T) -> bool:
        return connection in self._of

    def __len__(self) -> int:
        return len(self._of)
