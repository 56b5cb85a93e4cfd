"""What a waiting contact asks for: those who ask for the same stand in one line, and what is found for its first holds for all of it."""

from __future__ import annotations

import msgspec

from acd.core.configuration import Queue
from acd.core.ids import VOICE, QueueId
from acd.core.state import values as s


class Line(msgspec.Struct, frozen=True, gc=False):
    """One queue at one relaxation for one channel; language and skills where they are the contact's own."""

    queue: QueueId
    relaxation: int = 0
    channel: str = VOICE
    language: str | None = None
    """Who speaks it is asked first or alone, as the queue says; None: it does not matter."""
    skills: tuple[tuple[str, int], ...] | None = None
    """Asked for instead of what the queue says at this relaxation."""


def line_of(entry: s.Entry) -> Line:
    """Where an entry stands."""
    return Line(entry.queue, entry.relaxation, entry.channel, entry.language, entry.skills)


def own_skills(contact: s.Contact) -> tuple[tuple[str, int], ...] | None:
    """What the contact asks for itself; None: what its queue says."""
    return None if contact.requirements is None else tuple((one.skill, one.level) for one in contact.requirements)


def lines_ever(queue: Queue, contact: s.Contact) -> tuple[Line, ...]:
    """Where the contact comes to stand in this queue, as what is asked for is relaxed."""
    own = own_skills(contact)
    levels = range(len(queue.relaxations) + 1)
    return tuple([Line(queue.id, level, contact.channel, language_asked(queue, level, contact.language), own) for level in levels])


def language_asked(queue: Queue, relaxation: int, language: str) -> str | None:
    """The language that matters for a contact of this queue, without its region (`de` of `de-AT`); None: none does."""
    if queue.languages == "ignored" or any(one.any_language for one in queue.relaxations[:relaxation]):
        return None
    return language.partition("-")[0].lower()


def relaxation_at(queue: Queue, entry: s.Entry, now: float) -> int:
    """How many relaxations of the queue are in force for a contact that has waited since it came."""
    return sum(entry.queued_at + one.after_s <= now for one in queue.relaxations)
