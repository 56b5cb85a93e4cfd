"""State + event -> state: the only place where the exchange changes (DESIGN.md §3); live, recovery and replay alike.

`HANDLERS` and `LEAVE_THE_STATE` together name every event (`tests/acd/core/test_tables.py`): a new one without a row in either is seen.
"""

from __future__ import annotations

from typing import Final

from acd.core import events as ev
from acd.core.errors import BrokenHistory
from acd.core.state import moved, statistics
from acd.core.state.fold import agents, calls, configuration, contacts, lines, queues
from acd.core.state.fold.kit import Handlers, Indexes
from acd.core.state.statistics import COUNTED

HANDLERS: Final[Handlers] = {
    **configuration.HANDLERS,
    **contacts.HANDLERS,
    **calls.HANDLERS,
    **queues.HANDLERS,
    **agents.HANDLERS,
    **lines.HANDLERS,
}

LEAVE_THE_STATE: Final = frozenset(
    {
        ev.SignOfLifeGiven,  # that it came is all there is to it: the clock of the state says when
        ev.LegAnsweredLate,  # for the record
        ev.DispositionSet,  # for the record
        ev.ChannelRefused,  # for ledgers and reports: nothing was reserved
    }
)
"""Events that ledgers, reports and figures read and the state does not."""


class Fold(Indexes):
    """One tenant's state, its indexes, and the way events change them."""

    def apply(self, event: ev.Event, now: float) -> None:
        """Fold one event.

        Raises: BrokenHistory: the event does not fit the state.
        """
        kind, state = type(event), self.state
        if kind is ev.Started and state.clock:
            # Nobody talked, waited or was idle while the exchange was not there: as in the records, all that lasted until the last event.
            away_s = max(0.0, now - state.clock)
            if isinstance(event, ev.Started) and event.kept:
                moved.move_statistics_of_cut(state, frozenset(event.kept), away_s)
            else:
                moved.move_statistics(state.statistics, away_s)
        state.clock = now
        try:
            if kind in HANDLERS:
                HANDLERS[kind](self, event, now)
            if kind in COUNTED:  # as `statistics.apply`, without a call for every event
                figures = state.statistics
                if now >= figures.day_ends_at:
                    statistics.turn_day(figures, event, now)
                COUNTED[kind](figures, event, now)
        except KeyError as missing:
            raise BrokenHistory(f"{type(event).__name__} speaks of {missing}, which is not there: {event}") from missing
