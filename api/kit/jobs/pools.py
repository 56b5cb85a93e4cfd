"""Which tenant may begin a job (pure): each kind that waits for others' machines has places of its own, all others share some.

Beyond what is its own a tenant stands in a queue: it may begin while fewer stand before it than places are free. So what one tenant keeps
is never what another waits for, and nobody who asks often is served before who asked first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from acd.core.ids import TenantId


@dataclass(frozen=True, slots=True)
class Places:
    """Of jobs that wait for others' machines: no other kind waits for these places, nor do these jobs wait for those of other kinds.

    Nobody can hang long enough to keep them from somebody else: `own` are a tenant's whatever others do.
    """

    of_tenant: int
    """At once, for one tenant."""
    own: int
    """Of those, so many it never waits for."""
    in_all: int
    """What all tenants together have beyond."""
    of_machine: int | None = None
    """Jobs whose lines begin alike, up to the first `/`, go to one machine: so many at once while it does well, one until it has and after
    it has failed, and one while the tenant uses half of its places. None: lines say nothing of machines."""


SHARED = Places(of_tenant=4, own=0, in_all=16)
"""Of what is done inside: it waits for nobody, and loads the databases."""


def machine_of(line: str | None) -> str:
    """What lines begin with that go to one machine."""
    return (line or "").partition("/")[0]


class Pool:
    """The places of one kind of jobs.

    Args:
        names: of the jobs; with `but` of those that are not in it, whatever they are called.
    """

    def __init__(self, places: Places, names: Sequence[str], *, but: bool = False) -> None:
        self.places = places
        self.names = names
        self.but = but
        self._taken: Counter[TenantId] = Counter()
        self._queue: dict[TenantId, None] = {}

    def _beyond(self) -> int:
        return sum(max(0, number - self.places.own) for number in self._taken.values())

    def has_all(self, tenant: TenantId) -> bool:
        """Whether it runs as many as one tenant may."""
        return self._taken[tenant] >= self.places.of_tenant

    def ask(self, tenant: TenantId) -> bool:
        """Take a place; False: there is none, and the tenant stands in the queue unless it has all it may have."""
        if self.has_all(tenant):
            return False
        if self._taken[tenant] >= self.places.own:
            self._queue.setdefault(tenant)
            if tenant not in self.first():
                return False
        self._queue.pop(tenant, None)
        self._taken[tenant] += 1
        return True

    def give(self, tenant: TenantId) -> None:
        """A place is free again."""
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]

    def leave(self, tenant: TenantId) -> None:
        """It asks no more: it is closed, or its database is away."""
        self._queue.pop(tenant, None)

    def first(self) -> Sequence[TenantId]:
        """Who waits and finds a place now."""
        return tuple(self._queue)[: max(0, self.places.in_all - self._beyond())]


class Machines:
    """Where a tenant's jobs of one pool go, and how those machines do: one that hangs holds one place."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._running: Counter[str] = Counter()
        self._well: set[str] = set()
        self._had_a_turn: set[str] = set()

    def began(self, line: str | None) -> None:
        machine = machine_of(line)
        self._running[machine] += 1
        if machine and self._places.of_machine is not None:
            self._had_a_turn.add(machine)

    @property
    def turns(self) -> Sequence[str]:
        """Those that had a job since the last round began: the others come first, however much waits for these."""
        return sorted(self._had_a_turn)

    def next_round(self) -> None:
        """Nothing waits for any other."""
        self._had_a_turn.clear()

    def ended(self, line: str | None) -> None:
        machine = machine_of(line)
        self._running[machine] -= 1
        if not self._running[machine]:
            del self._running[machine]

    def judge(self, line: str | None, *, is_well: bool) -> None:
        """What came of a try."""
        (self._well.add if is_well else self._well.discard)(machine_of(line))

    def busy(self) -> Sequence[str]:
        """Those to which nothing more may go at this moment."""
        if self._places.of_machine is None:
            return ()
        is_wide = 2 * self._running.total() < self._places.of_tenant
        return sorted(
            machine
            for machine, number in self._running.items()
            if machine and number >= (self._places.of_machine if is_wide and machine in self._well else 1)
        )
