"""What has come and is not to be read yet, in order and within bounds: a process that is still taking up its calls (house)."""

from collections import deque
from collections.abc import Callable
from typing import Final

MOST: Final = 4_000
MOST_OCTETS: Final = 8 * 1024 * 1024
"""As much as a UDP socket's buffer holds (`sip.io.udp`), twice: two seconds of 2,000 messages. Beyond it a datagram is lost as the network
would lose it, and is sent again (RFC 3261 §17.1)."""


class Aside:
    """A queue of things to be done when reading begins."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._octets = 0

    def put(self, octets: int, take: Callable[[], None]) -> bool:
        """Returns: False when there is no room; what has no octets (a connection is lost) always has some."""
        if octets and (len(self._waiting) >= MOST or self._octets + octets > MOST_OCTETS):
            return False
        self._octets += octets
        self._waiting.append((octets, take))
        return True

    def take(self) -> Callable[[], None] | None:
        """What has waited longest; None: nothing waits."""
        if not self._waiting:
            return None
        octets, take = self._waiting.popleft()
        self._octets -= octets
        return take

    def __len__(self) -> int:
        return len(self._waiting)
