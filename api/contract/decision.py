"""Why each offer of a contact went where it went: enough to compute the winner again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from acd.core.ids import VOICE, CallId, ContactId, channel_of
from api.contract.kit import Public, told
from api.contract.words import MissReason, OfferOutcome, Saving


class Candidate(Public, frozen=True, kw_only=True, omit_defaults=True):
    """One agent who could have been chosen, and the terms it was ordered by, most significant first, smaller wins."""

    agent: str
    terms: tuple[float, ...]


class TechnicallyNotReady(Public, frozen=True, kw_only=True, omit_defaults=True):
    """Why an agent could not be asked though it wished to be."""

    agent: str
    reason: Literal["page_not_answering", "line"]
    """The code of its browser's page does not answer; the line that the page is on is too bad for a call."""
    since: float
    """Epoch seconds."""
    bad: tuple[str, ...] = ()
    """Of a line: the figures that are no good."""
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    """What was measured last, where anything was: upload_kbits, loss (0 to 1), jitter_ms, round_trip_ms, mos."""
    measured_at: dict[str, float] = msgspec.field(default_factory=dict)
    """And when: epoch seconds."""


class Decision(Public, frozen=True, kw_only=True, omit_defaults=True):
    """Why this contact went to this agent at this moment: enough to compute the winner again."""

    rule: str
    """Name and version of the rule, e.g. `longest_idle/1`."""
    term_names: tuple[str, ...]
    entry_terms: dict[str, float]
    """Order of the contact among those waiting: waited_s, priority_s, capped score ..."""
    ahead: tuple[str, ...] = ()
    """Contacts with a better score that no free agent could take, or that hear the recording notice: the best twenty of `ahead_count`."""
    ahead_count: int = 0
    requirements: tuple[tuple[str, int], ...]
    """Skills and levels asked for at this moment (after relaxation)."""
    relaxation: int = 0
    """How many relaxations were in force."""
    candidates: tuple[Candidate, ...]
    """The best 32, best first."""
    ranked_lower: tuple[str, ...] = ()
    """Candidates beyond those, best first."""
    removed: dict[str, tuple[str, ...]]
    """Filter -> agents it removed, in the order of the filters: not_member, skill, language, mode, then logged_off, not_ready, busy,
    technically_not_ready (`technical` says why), unregistered, already_tried, awaited (kept free for a better contact of another channel),
    no_bandwidth. What can never change stands first: who lacks the skill is told so, logged on or not."""
    tie_break: str
    chosen: tuple[str, ...]
    """One agent; several with ring_all."""
    by: str | None = None
    """Whoever chose, where no rule did: an agent who picked the contact (`agent:anna`), or the supervisor who gave it away."""
    technical: tuple[TechnicallyNotReady, ...] = ()
    """Of the first 32 that `technically_not_ready` removed."""
    degraded: dict[Saving, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Of those chosen: whose lines are too full for a speech channel as usual, by the step of the line's plan."""


class OutcomeRecord(Public, frozen=True, kw_only=True, tag="OfferEnded", omit_defaults=True):
    """What became of an offer at one agent."""

    offer: str
    contact: str
    call: str | None = None
    """The same, of a call."""
    agent: str
    outcome: OfferOutcome
    detail: str | None = None
    reason: MissReason | None = None
    """Of `no_answer`, `declined` and `failed`: what the phone, or the person, made of it."""
    at: float
    """Epoch seconds."""


class DecisionRecord(Public, frozen=True, kw_only=True, tag="OfferMade", omit_defaults=True):
    """One offer, why it was made to whom, and what became of it."""

    offer: str
    contact: str
    call: str | None = None
    """The same, of a call."""
    entry: str
    queue: str
    decision: Decision
    at: float
    """Epoch seconds."""
    outcomes: tuple[OutcomeRecord, ...]
    """One for each agent whose part of the offer is over."""


def call_of(contact: str) -> CallId | None:
    """The call that a contact is; None: it came by another channel."""
    return CallId(ContactId(contact)) if channel_of(ContactId(contact)) == VOICE else None


def decision_of(record: Mapping[str, Any]) -> DecisionRecord:
    """A record of the exchange as it is told: of a call `call` stands beside `contact`."""
    found = told(DecisionRecord, record)
    call = call_of(found.contact)
    if call is None:
        return found
    outcomes = tuple(msgspec.structs.replace(one, call=call) for one in found.outcomes)
    return msgspec.structs.replace(found, call=call, outcomes=outcomes)
