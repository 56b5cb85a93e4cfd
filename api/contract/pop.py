"""The screen pop: who it is, for the one agent about to be rung or offered a message."""

from __future__ import annotations

from datetime import datetime

from acd import service as inner
from acd.core.ids import VOICE
from api.contract.kit import Public, told


class KnownContact(Public, frozen=True, kw_only=True):
    """Whom the platform knows under the number."""

    id: str
    name: str
    company: str | None
    email: str | None
    numbers: tuple[str, ...]


class KnownTicket(Public, frozen=True, kw_only=True):
    """A ticket of that contact that is not solved."""

    number: int
    subject: str
    state: str
    created_at: datetime


class KnownAppointment(Public, frozen=True, kw_only=True):
    """The contact's next appointment."""

    id: str
    title: str
    starts_at: datetime
    ends_at: datetime


class ScreenPop(Public, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Who it is, before the phone rings; sent to the desk of that agent alone."""

    agent: str
    call: str
    """The call, or the contact of another channel; `contact` is whom the platform knows under the number."""
    channel: str = VOICE
    """Left out: a call."""
    queue: str | None
    number: str | None
    """The caller in E.164; null: withheld, or the customer is known by something else than a number."""
    customer: str | None = None
    """Of what is no call: where the customer can be answered."""
    subject: str | None = None
    """Of what is no call."""
    called: str
    """Of what is no call: empty."""
    waited_s: float
    contact: KnownContact | None = None
    tickets: tuple[KnownTicket, ...] = ()
    appointment: KnownAppointment | None = None


def pop_of(pop: inner.ScreenPop) -> ScreenPop:
    """A screen pop as it is told."""
    return told(ScreenPop, pop)
