"""DTLS at one port of a far end that does no ICE: RFC 5763 §5 and RFC 5764; pure, but that OpenSSL reads its own clock.

Where the far end is, is not known before it has shown who it is: behind NAT its handshake comes from elsewhere than it describes. So
whoever begins one is answered, each address by an association of its own and few at a time, and whose certificate is the described one is
the far end. It may begin again at any time, from the same address or another (RFC 8842 §5.1); what stood before holds until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.rtp.latch import Address
from media.transport.dtls import Dtls, Fingerprint, Identity, State

MOST: Final = 4
"""Handshakes at a time that others began: the far end's, its next one, and strangers'. Of more, the oldest is forgotten."""
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_EPOCH: Final = slice(3, 5)
_FRAGMENT_OFFSET: Final = slice(19, 22)
_RANDOM: Final = slice(27, 59)
"""Behind the headers of the record (RFC 6347 §4.1) and of the message (§4.2.2), and the version."""

Datagram = tuple[bytes, Address]
"""What is to be sent, and where."""


@dataclass(slots=True, eq=False)
class _Running:
    association: Dtls
    address: Address
    random: bytes | None
    """By which the far end's begin is told from another one; None: we began."""


class Handshakes:
    """Each method that may have something to send returns it."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._expected: tuple[Fingerprint, ...] = ()
        self._ours: _Running | None = None
        self._theirs: dict[Address, _Running] = {}
        """The newest last."""
        self.association: Dtls | None = None
        """The one that stands, or stood last."""
        self.peer: Address | None = None
        """Where the far end proved to be."""
        self.failed: Dtls | None = None
        """The last one that came to nothing."""

    @property
    def is_running(self) -> bool:
        """Some handshake is not over."""
        return any(each.association.state is State.HANDSHAKING for each in self._all())

    def expect(self, fingerprints: tuple[Fingerprint, ...]) -> None:
        """Whose certificate is the right one from now on; what is going on for others is forgotten."""
        self._expected = fingerprints
        self._ours = None
        self._theirs.clear()

    def begin(self, remote: Address, now: float) -> list[Datagram]:
        """We are the active one (RFC 5763 §5)."""
        self._ours = _Running(Dtls(self._identity, is_client=True), remote, None)
        self._ours.association.expect(self._expected)
        return _to(remote, self._ours.association.start(now))

    def receive(self, datagram: bytes, address: Address, now: float) -> list[Datagram]:
        """One datagram that looks like DTLS (RFC 7983); never raises for what is in it."""
        random = random_of(datagram)
        running = self._theirs.get(address)
        if random is not None and (running is None or running.random != random):
            running = self._admit(address, random)
        elif running is None and self._ours is not None and self._ours.address == address:
            running = self._ours
        if running is None:
            return []
        flight = running.association.receive(datagram, now)
        self._look()
        return _to(address, flight)

    def _admit(self, address: Address, random: bytes) -> _Running:
        running = _Running(Dtls(self._identity), address, random)
        running.association.expect(self._expected)
        self._theirs.pop(address, None)
        self._theirs[address] = running
        if len(self._theirs) > MOST:
            del self._theirs[next(each for each in self._theirs if self._theirs[each].association is not self.association)]
        return running

    def _all(self) -> list[_Running]:
        return [*self._theirs.values(), *([] if self._ours is None else [self._ours])]

    def _look(self) -> None:
        """See what became of them."""
        for each in self._all():
            if each.association.state is State.ESTABLISHED and each.association is not self.association:
                self._stand(each)
                return
        for each in self._all():
            if each.association.state in {State.FAILED, State.CLOSED}:
                self._forget(each)
                if each.association is not self.association:
                    self.failed = each.association

    def _stand(self, running: _Running) -> None:
        """It is the one: the others are strangers, or over."""
        self.association, self.peer = running.association, running.address
        for each in self._all():
            if each is not running:
                self._forget(each)

    def _forget(self, running: _Running) -> None:
        if running is self._ours:
            self._ours = None
        else:
            self._theirs.pop(running.address, None)

    def next_timeout(self, now: float) -> float | None:
        """When to call `handle_timeout`; to be asked again after each call of this class."""
        wanted = [at for each in self._all() if (at := each.association.next_timeout(now)) is not None]
        return min(wanted, default=None)

    def handle_timeout(self, now: float) -> list[Datagram]:
        """Send again what was lost; give up what takes too long."""
        flights = [one for each in self._all() for one in _to(each.address, each.association.handle_timeout(now))]
        self._look()
        return flights

    def close(self) -> list[Datagram]:
        """Say goodbye to whoever stands."""
        flights = [one for each in self._all() for one in _to(each.address, each.association.close())]
        self._ours = None
        self._theirs.clear()
        return flights


def _to(address: Address, flight: list[bytes]) -> list[Datagram]:
    return [(datagram, address) for datagram in flight]


def random_of(datagram: bytes) -> bytes | None:
    """Of a ClientHello with which an association begins, the client's random; None: it is something else, or what is left of a long one
    (Chromium's has two fragments, RFC 6347 §4.2.3).
    """
    is_hello = len(datagram) >= _RANDOM.stop and datagram[0] == _HANDSHAKE and datagram[13] == _CLIENT_HELLO
    is_begin = not any(datagram[_EPOCH]) and not any(datagram[_FRAGMENT_OFFSET])
    return datagram[_RANDOM] if is_hello and is_begin else None
