"""Keeps books over the events: what is opened is closed, once, and nothing happens to what is closed (U6, U13)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from acd.core import events as ev
from acd.core.configuration import TenantConfiguration
from acd.core.ids import VOICE, channel_of
from acd.core.routing.decision import winner
from tests.reference.router import has_room

AFTER_THE_END = (ev.LegMeasured, ev.RecordingKept, ev.WorkDone, ev.DispositionSet)
"""May speak of a call that is cleared."""


@dataclass
class Ledger:
    calls: set[str] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    legs: dict[str, str] = field(default_factory=dict)
    all_legs: set[str] = field(default_factory=set)
    entries: dict[str, str] = field(default_factory=dict)
    menus: dict[str, str] = field(default_factory=dict)
    offers: dict[str, set[str]] = field(default_factory=dict)
    contacts: set[str] = field(default_factory=set)
    """Open ones that are no calls."""
    taken: dict[str, str] = field(default_factory=dict)
    """Those of them that an agent works at."""
    without_queue: set[str] = field(default_factory=set)
    """Their queue was removed while they waited in it, or before the agent who had them was."""
    queue_of: dict[str, str] = field(default_factory=dict)
    """The queue that each was in last."""
    works: dict[str, set[str]] = field(default_factory=dict)
    channels: dict[tuple[str, str], int] = field(default_factory=dict)
    recordings: dict[str, str] = field(default_factory=dict)
    established: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    count: int = 0
    configuration: TenantConfiguration | None = None
    """That holds for what is noted."""

    def note(self, event: ev.Event) -> None:
        self.count += 1
        call = getattr(event, "call", None)
        if call is not None and not isinstance(event, (ev.CallOffered, *AFTER_THE_END)):
            assert call in self.calls, f"{event} after the end of the call"
        match event:
            case ev.CallOffered():
                assert event.call not in self.calls
                assert event.call not in self.ended
                self.calls.add(event.call)
            case ev.LegInitiated():
                assert event.leg not in self.all_legs
                self.legs[event.leg] = event.call
                self.all_legs.add(event.leg)
            case ev.LegCleared():
                del self.legs[event.leg]
            case ev.LegAlerted() | ev.LegConnected() | ev.LegHeld() | ev.LegRetrieved() | ev.SoundsStarted():
                assert event.leg in self.legs
            case ev.CallEstablished():
                assert self.legs[event.a] == self.legs[event.b] == event.call
                self.established[event.call] += 1
            case ev.MenuEntered():
                assert event.call not in self.menus
                self.menus[event.call] = event.menu
            case ev.MenuLeft():
                assert self.menus.pop(event.call) == event.menu
            case ev.ContactOpened():
                assert event.contact not in self.contacts
                assert event.contact not in self.ended
                self.contacts.add(event.contact)
            case ev.ContactClosed():
                self.contacts.remove(event.contact)
                self.taken.pop(event.contact, None)
                self.without_queue.discard(event.contact)
                self.ended[event.contact] += 1
                assert event.contact not in self.entries
                assert not any(offer.startswith(f"{event.contact}/") for offer in self.offers)
            case ev.Queued():
                assert event.position >= 1
                assert event.contact in self.calls | self.contacts
                assert event.contact not in self.entries
                self.entries[event.contact] = event.entry
                self.queue_of[event.contact] = event.queue
                self.without_queue.discard(event.contact)
            case ev.QueueLeft():
                assert self.entries.pop(event.contact) == event.entry
                self.outcomes[event.outcome] += 1
                if event.detail == "queue_removed" and event.contact in self.contacts:
                    self.without_queue.add(event.contact)
            case ev.OfferMade():
                assert winner(event.decision) == event.decision.chosen
                assert self.entries[event.contact] == event.entry
                assert not any(offer.startswith(f"{event.contact}/") for offer in self.offers if self.offers[offer]), "two offers at once"
                self.offers[event.offer] = set(event.decision.chosen)
                self.outcomes[f"by {event.decision.rule}"] += 1
                self.outcomes[f"offers of {channel_of(event.contact)}"] += 1
                for agent in event.decision.chosen:
                    self.has_room(agent, channel_of(event.contact))
            case ev.OfferEnded():
                self.offers[event.offer].remove(event.agent)
                if not self.offers[event.offer]:
                    del self.offers[event.offer]
                self.outcomes[f"offer {event.outcome}"] += 1
            case ev.WorkReserved():
                mine = self.works.setdefault(event.agent, set())
                assert event.contact not in mine, f"{event.agent} has {event.contact} twice"
                assert channel_of(event.contact) != VOICE or not any(channel_of(one) == VOICE for one in mine), (
                    f"{event.agent} has two calls"
                )
                mine.add(event.contact)
            case ev.WorkConnected() | ev.AfterCallWorkBegan():
                assert event.contact in self.works[event.agent]
                if isinstance(event, ev.WorkConnected) and event.contact in self.contacts:
                    assert event.contact not in self.taken, f"{event.contact} is given twice"
                    self.taken[event.contact] = event.agent
                if isinstance(event, ev.AfterCallWorkBegan):
                    self.taken.pop(event.contact, None)
            case ev.WorkDone():
                self.works[event.agent].remove(event.contact)
                if self.taken.get(event.contact) == event.agent:
                    del self.taken[event.contact]
                    if event.outcome == "withdrawn" and not self.has_queue(self.queue_of[event.contact]):
                        self.without_queue.add(event.contact)
                if not self.works[event.agent]:
                    del self.works[event.agent]
            case ev.ChannelReserved():
                assert (event.leg, event.line) not in self.channels
                assert event.upload_kbits == 0 or event.reserved_kbits <= event.upload_kbits
                self.channels[event.leg, event.line] = event.kbits
                assert event.reserved_kbits == self.reserved(event.line)
                self.outcomes[f"channels by {event.step}"] += 1
            case ev.ChannelAdjusted():
                assert self.channels[event.leg, event.line] != event.kbits
                self.channels[event.leg, event.line] = event.kbits
                assert event.reserved_kbits == self.reserved(event.line)
                self.outcomes["channels adjusted"] += 1
            case ev.ChannelReleased():
                assert self.channels.pop((event.leg, event.line)) == event.kbits
            case ev.RecordingBegan():
                self.recordings[event.recording] = event.call
            case ev.RecordingKept():
                assert self.recordings.pop(event.recording) == event.call
            case ev.CallCleared():
                self.calls.remove(event.call)
                self.ended[event.call] += 1
                assert event.call not in self.legs.values(), f"{event.call} is cleared with a leg left"
                assert event.call not in self.entries
                assert event.call not in self.menus
                assert not any(offer.startswith(f"{event.call}/") for offer in self.offers)
            case _:
                pass

    def has_room(self, agent: str, channel: str) -> None:
        """Nobody is offered more than the agent can do, whoever chose."""
        if self.configuration is not None:
            person = next(one for one in self.configuration.agents if one.id == agent)
            works = [channel_of(one) for one in self.works.get(agent, ())]
            assert has_room(self.configuration, person, channel, works), f"{agent} is offered a {channel} beside {works}"

    def reserved(self, line: str) -> int:
        """Of a line, by the events."""
        return sum(kbits for (_, of), kbits in self.channels.items() if of == line)

    def has_queue(self, queue: str) -> bool:
        """Whether it is configured."""
        return self.configuration is not None and any(one.id == queue for one in self.configuration.queues)

    def lost(self) -> set[str]:
        """Open contacts that are no calls and neither in a queue nor at an agent, though no queue was taken from them."""
        return self.contacts - self.entries.keys() - self.taken.keys() - self.without_queue

    def closed(self) -> None:
        """At the end of the day nothing is open."""
        assert not self.calls
        assert not self.legs
        assert not self.entries
        assert not self.menus
        assert not self.offers
        assert not self.works
        assert not self.contacts
        assert not self.channels
        assert set(self.ended.values()) <= {1}
