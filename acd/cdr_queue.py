"""What of a tenant's records lingers, waits to be saved, and when it is tried again (pure; `now` is any clock that only moves forward).

A conversation that is over lingers until its legs are measured and its recordings closed, at most `LINGER_S`: the CDR then holds them.
Nothing leaves before it is saved or put aside: what is tried twice is harmless, since records are known by their ids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from acd.ledger import Late
from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge

LINGER_S = 3.0
"""A worker reports a closed leg within milliseconds; after this the CDR goes without its quality."""
FLUSH_S = 0.5
"""CDRs are saved at most this often, and together what came meanwhile: a transaction a call would cost more than the call."""
RETRY_LAST_S = 10.0
"""While the database is away they are tried again after twice the time, up to this."""
BATCH = 500
"""CDRs in one transaction: what an outage gathered is saved in pieces, so that calls and requests get in between."""

Done = tuple[Cdr, Charge | None]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Done)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What is saved in one transaction: the first that wait."""

    records: tuple[Done, ...]
    is_last: bool
    """Nothing waits behind it."""

    @property
    def cdrs(self) -> list[Cdr]:
        """The records."""
        return [cdr for cdr, _ in self.records]

    @property
    def charges(self) -> list[Charge]:
        """Their prices, where there are any."""
        return [charge for _, charge in self.records if charge is not None]

    def single(self) -> Iterator[Batch]:
        """One by one, for a database that refuses them together."""
        last = len(self.records) - 1
        for at, one in enumerate(self.records):
            yield Batch(records=(one,), is_last=self.is_last and at == last)


class CdrQueue:
    """See the module."""

    def __init__(self) -> None:
        self._finished: list[Done | bytes] = []
        """Saved from the front. A record of a queue call with its charge takes 7.8 kB as objects and 2.3 kB as octets, so what comes while
        the database is away is kept as octets: an hour of 10 calls a second is 83 MB. There is no bound: dropping any would save
        nothing, as every record is folded from the journal again at the next start, and the exchange's own memory ends first."""
        self.late: list[tuple[str, Late]] = []
        """What was told of conversations that were over, in order."""
        self._lingering: dict[str, float] = {}
        """Until when; in the order in which it comes."""
        self._pause_s = FLUSH_S
        self._tried_at = -math.inf
        self._away_since: float | None = None
        self._saved = 0
        """Since the database went away."""
        self.seq = 0
        """The last entry that was folded."""
        self.saved_seq = 0
        """The entry up to which the database is known to hold everything that follows from the journal."""
        self.refused = 0

    # ------------------------------------------------------------------ lingering

    def linger(self, calls: Iterable[str], now: float) -> None:
        """They are over, and something of them is still to come."""
        self._lingering |= dict.fromkeys(calls, now + LINGER_S)

    def next_timeout(self) -> float | None:
        """When the next of those that linger is due."""
        return next(iter(self._lingering.values()), None)

    def due(self, now: float) -> list[str]:
        """Whose time is up: they linger no longer."""
        due = [call for call, until in self._lingering.items() if until <= now]
        for call in due:
            del self._lingering[call]
        return due

    def rest(self) -> list[str]:
        """All that linger, which do no longer."""
        return self.due(math.inf)

    @property
    def lingering(self) -> frozenset[str]:
        """Conversations that are over, and whose records wait for what is still to come."""
        return frozenset(self._lingering)

    # ------------------------------------------------------------------ waiting to be saved

    def put(self, cdr: Cdr, charge: Charge | None) -> None:
        """A record is finished."""
        self._lingering.pop(cdr.id, None)
        self._finished.append((cdr, charge) if self._away_since is None else _ENCODER.encode((cdr, charge)))

    def __len__(self) -> int:
        return len(self._finished)

    @property
    def is_empty(self) -> bool:
        """Nothing waits to be written."""
        return not self._finished and not self.late

    @property
    def is_settled(self) -> bool:
        """Whether every conversation that is over has been saved: only then may a snapshot say "complete to here"."""
        return self.is_empty and not self.refused and not self._lingering

    def first(self) -> Batch | None:
        """What is saved next; None: nothing waits."""
        records = tuple(one if isinstance(one, tuple) else _DECODER.decode(one) for one in self._finished[:BATCH])
        return Batch(records=records, is_last=len(records) == len(self._finished)) if records else None

    def position(self, batch: Batch) -> int:
        """The entry to save with it; 0 moves nothing. "Complete to here" is true only of the last, and never when one was refused."""
        return self.seq if batch.is_last and not self.refused else 0

    def saved(self, batch: Batch, seq: int) -> None:
        """The first are saved."""
        self._saved += len(batch.records)
        self.saved_seq = max(self.saved_seq, seq)
        del self._finished[: len(batch.records)]

    def put_aside(self, batch: Batch) -> None:
        """A fault of ours, or the data's: it must not keep the others from being saved. It stays in the journal, and as nothing counts as
        settled after it, no snapshot hides it there: it is folded and tried again at the next start, by a version that may know better.
        """
        self.refused += 1
        del self._finished[: len(batch.records)]

    def notes(self, waits: Callable[[str], bool]) -> list[Sequence[tuple[str, Late]]]:
        """What came late and can be noted now, in batches; of a conversation that has no record yet (`waits`) it is kept, at the end."""
        later = [one for one in self.late if waits(one[0])]
        now = [one for one in self.late if not waits(one[0])]
        self.late = now + later
        return [now[at : at + BATCH] for at in range(0, len(now), BATCH)]

    def noted(self, notes: Sequence[tuple[str, Late]]) -> None:
        """The first are noted, or put aside."""
        del self.late[: len(notes)]

    # ------------------------------------------------------------------ when

    def pause_s(self, now: float) -> float:
        """How long until the next try; 0 or less where nothing was saved lately: a single call's record is there when its caller has
        hung up.
        """
        return self._tried_at + self._pause_s - now

    def tried(self, now: float) -> None:
        """It was tried."""
        self._tried_at = now

    def went_away(self, now: float) -> bool:
        """The database is away; whether that is news."""
        self._pause_s = min(self._pause_s * 2, RETRY_LAST_S)
        if self._away_since is not None:
            return False
        self._away_since, self._saved = now, 0
        return True

    def came_back(self, now: float) -> tuple[float, int] | None:
        """All is saved: how long the database was away, and how many records were saved since; None: it was not."""
        if self._away_since is None:
            return None
        away_s, self._away_since, self._pause_s = now - self._away_since, None, FLUSH_S
        return away_s, self._saved

    def clear(self) -> None:
        """Nothing is to be saved."""
        self._finished.clear()
        self.late.clear()
