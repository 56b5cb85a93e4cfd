"""The live board: what wall and desk show at this moment. Every field is always written."""

from __future__ import annotations

from acd.core import live
from api.contract.decision import TechnicallyNotReady
from api.contract.kit import Public, told
from api.contract.words import Saving, SupervisionMode


class LiveEntry(Public, frozen=True, kw_only=True):
    """Somebody in a queue."""

    entry: str
    contact: str
    channel: str
    call: str | None
    """Null: it is no call."""
    calling: str | None
    """The caller's number, or what else the customer can be reached at."""
    position: int
    since: float
    """Epoch seconds of entering."""
    waited_s: float
    state: str
    relaxation: int
    estimated_wait_s: float | None


class LiveQueue(Public, frozen=True, kw_only=True):
    """A queue, who waits in it, and its figures of the day (docs/figures.md)."""

    id: str
    name: str
    state: str
    waiting: tuple[LiveEntry, ...]
    waiting_count: int
    longest_wait_s: float
    ready: int
    """Free this moment for a call, or for what waits here, of those who could ever take a contact from here."""
    busy: int
    not_ready: int
    logged_on: int
    offered_today: int
    """Arrived on this day; so did those of the counts that follow."""
    answered_today: int
    abandoned_today: int
    answered_this_day: int
    """The other attribution: taken on this day, whenever they arrived."""
    abandoned_this_day: int
    short_abandoned_today: int
    overflowed_today: int
    exited_today: int
    """Left by the exit key."""
    closed_today: int
    """Came outside the hours."""
    withdrawn_today: int
    """Taken out by the house: a supervisor, a stop or a crash, a queue that was removed."""
    service_level: float | None
    service_level_of_answered: float | None
    service_level_with_abandons: float | None
    average_speed_of_answer_s: float | None
    average_handle_time_s: float | None
    abandon_rate: float | None


class LiveWork(Public, frozen=True, kw_only=True):
    """Something an agent is offered, has, or has after-call work of."""

    contact: str
    channel: str
    call: str | None
    """Null: it is no call."""
    kind: str
    queue: str | None
    state: str
    since: float
    until: float | None


class LiveAgent(Public, frozen=True, kw_only=True):
    """An agent, what it wishes to be and what it does."""

    id: str
    name: str
    state: str
    reason: str | None
    since: float
    """Since when the wish, `state`, is what it is."""
    category: str
    """logged_off, not_ready, busy, technically_not_ready, unregistered or free; with work always busy, whatever the agent wishes to be
    afterwards (`state`)."""
    category_since: float | None
    """With work: since it is in its state; else since the last work ended or the wish changed, whichever is later. Null for who is
    unregistered: when the phone went is not kept."""
    registered: bool
    """Its phone can be rung."""
    work: tuple[LiveWork, ...]
    answered_today: int
    occupancy: float | None
    """Busy / (busy and idle) of this day until now."""
    idle_today_s: float
    """Ready without work, on this day until now."""
    busy_today_s: float
    unreachable: bool = False
    """Its phone is registered and gives no sign of life; the category is `unregistered` then too, since nothing rings there."""
    at: str | None = None
    """It sits at the phone of this agent (hot desk); Null: at its own."""
    asked_for: str | None = None
    """Its phone is a page, which is asked whether it is there before this contact is offered to it: it counts as busy for that moment."""
    technically_not_ready: TechnicallyNotReady | None = None
    """Why it is offered no calls, whatever it wishes: its phone is nothing but pages, whose code does not answer, or whose line is too bad.
    Null: it is not so. It ends by itself."""
    line: dict[str, float] | None = None
    """What its page has measured last of the line it is on: upload_kbits, loss (0 to 1), jitter_ms, round_trip_ms, mos; Null: nothing."""


class LiveParty(Public, frozen=True, kw_only=True):
    """One party of a call."""

    leg: str
    role: str
    state: str
    agent: str | None
    number: str | None
    trunk: str | None
    since: float
    doing: str = "talking"
    """What it does in the conversation: ringing, served (a menu, a queue, ring-back), talking, holding, held (it hears music, or others
    who are held), consulting, asked (by who consults), leaving (its caller is on the way to somebody else), supervising, lost (its page is
    gone, and the agent may take the call back).
    """
    supervises: str | None = None
    """Whose conversation a supervisor hears."""
    mode: SupervisionMode | None = None
    """And how: listen, whisper, barge; so too while the supervisor's phone rings."""
    lost_until: float | None = None
    """Epoch seconds until which the agent may take the call back; Null: its page is not lost."""
    one_way: str | None = None
    """`unheard`: nothing had come from it five seconds after its conversation began; Null: nothing of that kind is known."""


class LiveCall(Public, frozen=True, kw_only=True):
    """A call that is not over."""

    id: str
    direction: str
    state: str
    calling: str | None
    called: str
    queue: str | None
    began_at: float
    since: float
    parties: tuple[LiveParty, ...]


class LiveContact(Public, frozen=True, kw_only=True):
    """A contact that is no call, while it is open."""

    id: str
    channel: str
    customer: str | None
    subject: str | None
    language: str
    queue: str | None
    """The queue it waits in or was taken from; Null: it was left without one, and waits for a supervisor to move it."""
    agents: tuple[str, ...]
    """Who is offered it, or has it."""
    state: str
    """waiting, offered, taken; open: it is in no queue."""
    began_at: float


class LiveReservation(Public, frozen=True, kw_only=True):
    """The speech channel of one leg."""

    leg: str
    kbits: int
    shape: str = ""
    """What it is made of: codec, packet time, IP version, protection. Empty: not known."""
    step: Saving | None = None
    """By which step of the line's plan it was made cheaper; null: it is as usual."""


class LiveLine(Public, frozen=True, kw_only=True):
    """The ledger of a site or trunk."""

    line: str
    """`site:<id>` or `trunk:<id>`."""
    upload_kbits: int | None
    reserved_kbits: int
    reservations: tuple[LiveReservation, ...]


class LiveTrunk(Public, frozen=True, kw_only=True):
    """A carrier, and whether it answers."""

    id: str
    name: str
    up: bool
    since: float
    detail: str | None


class LiveRegistration(Public, frozen=True, kw_only=True):
    """A phone that is registered."""

    agent: str
    contact: str
    expires_at: float
    flow: str
    user_agent: str | None
    unreachable_since: float | None = None
    """Since when nobody answers there; Null: as far as is known, somebody does."""
    detail: str | None = None


class LiveState(Public, frozen=True, kw_only=True):
    """The live board: everything at one moment."""

    at: float
    day_ends_at: float
    """Epoch seconds of the next midnight of the tenant: from then on what is told here of a day is of the day before."""
    queues: tuple[LiveQueue, ...]
    agents: tuple[LiveAgent, ...]
    calls: tuple[LiveCall, ...]
    contacts: tuple[LiveContact, ...]
    """Of all channels but calls."""
    lines: tuple[LiveLine, ...]
    trunks: tuple[LiveTrunk, ...]
    registrations: tuple[LiveRegistration, ...]


def board_of(state: live.LiveState) -> LiveState:
    """The board of the exchange as it is told."""
    return told(LiveState, state)
