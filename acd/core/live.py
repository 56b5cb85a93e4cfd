"""The live board as values: what wall, desk and API show at this moment, computed from the state (R-rows of the wall; house)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from acd.core.channel_costs import Saving
from acd.core.events import TechnicallyNotReady
from acd.core.ids import VOICE, AgentId, CallId, ContactId, EntryId, LegId, QueueId, TrunkId, channel_of
from acd.core.inputs import SupervisionMode
from acd.core.machines import leg as legs
from acd.core.routing import estimates
from acd.core.state import bandwidth, statistics
from acd.core.state import values as s
from acd.core.state.fold import Fold
from acd.core.state.fold.kit import FREE
from acd.core.state.line import Line, line_of
from acd.core.state.values import Agent, Call, Contact, Leg, State, Work


class _Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base: frozen, by keyword, every field always written."""


class LiveEntry(_Value, frozen=True, kw_only=True):
    """Somebody in a queue."""

    entry: EntryId
    contact: ContactId
    channel: str
    call: CallId | None
    """None: it is no call."""
    calling: str | None
    """The caller's number, or what else the customer can be reached at."""
    position: int
    since: float
    """Epoch seconds of entering."""
    waited_s: float
    state: str
    relaxation: int
    estimated_wait_s: float | None


class LiveQueue(_Value, frozen=True, kw_only=True):
    id: QueueId
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


class LiveWork(_Value, frozen=True, kw_only=True):
    contact: ContactId
    channel: str
    call: CallId | None
    """None: it is no call."""
    kind: str
    queue: QueueId | None
    state: str
    since: float
    until: float | None


class LiveAgent(_Value, frozen=True, kw_only=True):
    id: AgentId
    name: str
    state: str
    reason: str | None
    since: float
    """Since when the wish, `state`, is what it is."""
    category: str
    """logged_off, not_ready, busy, technically_not_ready, unregistered or free; with work always busy, whatever the agent wishes to be
    afterwards (`state`)."""
    category_since: float | None
    """With work: since it is in its state; else since the last work ended or the wish changed, whichever is later. None for who is
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
    at: AgentId | None = None
    """It sits at the phone of this agent (hot desk); None: at its own."""
    asked_for: ContactId | None = None
    """Its phone is a page, which is asked whether it is there before this contact is offered to it: it counts as busy for that moment."""
    technically_not_ready: TechnicallyNotReady | None = None
    """Why it is offered no calls, whatever it wishes: its phone is nothing but pages, whose code does not answer, or whose line is too bad.
    None: it is not so. It ends by itself."""
    line: dict[str, float] | None = None
    """What its page has measured last of the line it is on: upload_kbits, loss (0 to 1), jitter_ms, round_trip_ms, mos; None: nothing."""


class LiveParty(_Value, frozen=True, kw_only=True):
    leg: LegId
    role: str
    state: str
    agent: AgentId | None
    number: str | None
    trunk: TrunkId | None
    since: float
    doing: str = "talking"
    """What it does in the conversation: ringing, served (a menu, a queue, ring-back), talking, holding, held (it hears music, or others
    who are held), consulting, asked (by who consults), leaving (its caller is on the way to somebody else), supervising, lost (its page is
    gone, and the agent may take the call back).
    """
    supervises: AgentId | None = None
    """Whose conversation a supervisor hears."""
    mode: SupervisionMode | None = None
    """And how: listen, whisper, barge; so too while the supervisor's phone rings."""
    lost_until: float | None = None
    """Epoch seconds until which the agent may take the call back; None: its page is not lost."""
    one_way: str | None = None
    """`unheard`: nothing had come from it five seconds after its conversation began; None: nothing of that kind is known."""


class LiveCall(_Value, frozen=True, kw_only=True):
    id: CallId
    direction: str
    state: str
    calling: str | None
    called: str
    queue: QueueId | None
    began_at: float
    since: float
    parties: tuple[LiveParty, ...]


class LiveContact(_Value, frozen=True, kw_only=True):
    """A contact that is no call, while it is open."""

    id: ContactId
    channel: str
    customer: str | None
    subject: str | None
    language: str
    queue: QueueId | None
    """The queue it waits in or was taken from; None: it was left without one, and waits for a supervisor to move it."""
    agents: tuple[AgentId, ...]
    """Who is offered it, or has it."""
    state: str
    """waiting, offered, taken; open: it is in no queue."""
    began_at: float


class WholeContact(_Value, frozen=True, kw_only=True):
    """All there is to know of one open contact, for who may read it."""

    contact: LiveContact
    text: str | None
    """What the customer has written."""
    personal: AgentId | None
    """The agent whose customer it is."""
    priority_s: float | None
    """Its own advantage; None: its queue's."""


class LiveReservation(_Value, frozen=True, kw_only=True):
    leg: LegId
    kbits: int
    shape: str = ""
    """What it is made of."""
    step: Saving | None = None
    """By which step of the line's plan it is not as usual."""


class LiveLine(_Value, frozen=True, kw_only=True):
    """The ledger of a site or trunk (R9)."""

    line: str
    """`site:<id>` or `trunk:<id>`."""
    upload_kbits: int | None
    reserved_kbits: int
    reservations: tuple[LiveReservation, ...]


class LiveTrunk(_Value, frozen=True, kw_only=True):
    id: TrunkId
    name: str
    up: bool
    since: float
    detail: str | None


class LiveRegistration(_Value, frozen=True, kw_only=True):
    agent: AgentId
    contact: str
    expires_at: float
    flow: str
    user_agent: str | None
    unreachable_since: float | None = None
    """Since when nobody answers there; None: as far as is known, somebody does."""
    detail: str | None = None


class LiveState(_Value, frozen=True, kw_only=True):
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


def _expected_waits(fold: Fold, now: float, tallies: Mapping[QueueId, statistics.QueueTally]) -> dict[EntryId, float | None]:
    """The wait still ahead of everybody who waits, over all queues at once: they may share agents."""
    lines = {key: fold.index.eligibility(key).agents for key in fold.buckets if key.queue in fold.index.queues}
    places = sorted(place for key in lines for place in fold.buckets[key])
    if not places:
        return {}
    free = _free(fold, fold.availability)
    serving = free | fold.categories["busy"]
    people: dict[tuple[Line, ...], list[AgentId]] = {}
    for agent in sorted(serving):
        able = tuple([key for key, agents in lines.items() if agent in agents])
        if able:
            people.setdefault(able, []).append(agent)
    teams = [
        estimates.Team(len(members), len(free.intersection(members)), _handle_s({line.queue for line in able}, tallies))
        for able, members in people.items()
    ]
    teams_of = {key: tuple([at for at, able in enumerate(people) if key in able]) for key in lines}
    entries = [fold.state.entries[place[2]] for place in places]
    waited: dict[QueueId, float] = {}
    for entry in entries:
        waited[entry.queue] = waited.get(entry.queue, 0.0) + now - entry.queued_at
    leaves = {queue: statistics.leaves_per_s(tallies.get(queue) or statistics.QueueTally(), spent) for queue, spent in waited.items()}
    line = [estimates.Waiter(teams_of[line_of(entry)], leaves[entry.queue]) for entry in entries]
    return {entry.id: wait for entry, wait in zip(entries, estimates.expected_waits_s(line, teams), strict=True)}


def _free(fold: Fold, channels: Iterable[str]) -> set[AgentId]:
    """Who could be given something now by one of these channels."""
    return set[AgentId]().union(*(fold.free_for(channel) for channel in channels))


def _handle_s(queues: set[QueueId], tallies: Mapping[QueueId, statistics.QueueTally]) -> float:
    """How long people of these queues are busy with a contact, on average of what was handled today."""
    known = [tallies[queue] for queue in sorted(queues) if queue in tallies and tallies[queue].handled]
    handled = sum([tally.handled for tally in known])
    if not handled:
        return estimates.DEFAULT_HANDLE_S
    return max(1.0, sum([tally.talk_s + tally.hold_s + tally.wrap_s for tally in known]) / handled)


def _queues(fold: Fold, now: float, today: bool) -> tuple[LiveQueue, ...]:
    found = []
    waits = _expected_waits(fold, now, fold.state.statistics.queues if today else {})
    channels: dict[QueueId, set[str]] = {}
    for line in fold.buckets:
        channels.setdefault(line.queue, {VOICE}).add(line.channel)
    for queue in fold.index.queues.values():
        fit = fold.index.eligibility(Line(queue.id)).agents
        tally = (fold.state.statistics.queues.get(queue.id) if today else None) or statistics.QueueTally()
        free = _free(fold, channels.get(queue.id, {VOICE}))
        ready = len(fit & free)
        occupied = sum(bool(fold.state.agents[agent].works) for agent in fit & fold.categories["not_ready"])
        busy = len(fit & fold.categories["busy"] - free) + occupied
        not_ready = len(fit & fold.categories["not_ready"]) - occupied
        unregistered = len(fit & (fold.categories["unregistered"] | fold.categories["technically_not_ready"]) - free)
        handle_s = statistics.average_handle_time(tally)
        waiting = []
        for position, place in enumerate(fold.order.get(queue.id, ()), 1):
            entry = fold.state.entries[place[2]]
            waiting.append(
                LiveEntry(
                    entry=entry.id,
                    contact=entry.contact,
                    channel=entry.channel,
                    call=_call_of(entry.contact),
                    calling=fold.state.contacts[entry.contact].customer,
                    position=position,
                    since=entry.queued_at,
                    waited_s=now - entry.queued_at,
                    state=entry.state,
                    relaxation=entry.relaxation,
                    estimated_wait_s=waits.get(entry.id),
                )
            )
        found.append(
            LiveQueue(
                id=queue.id,
                name=queue.name,
                state=fold.state.queues[queue.id].state,
                waiting=tuple(waiting),
                waiting_count=len(waiting),
                longest_wait_s=max((one.waited_s for one in waiting), default=0.0),
                ready=ready,
                busy=busy,
                not_ready=not_ready,
                logged_on=ready + busy + not_ready + unregistered,
                offered_today=tally.offered,
                answered_today=tally.answered,
                abandoned_today=tally.abandoned,
                answered_this_day=tally.answered_this_day,
                abandoned_this_day=tally.abandoned_this_day,
                short_abandoned_today=tally.short_abandoned,
                overflowed_today=tally.overflowed,
                exited_today=tally.exited,
                closed_today=tally.closed,
                withdrawn_today=tally.withdrawn,
                service_level=statistics.service_level(tally),
                service_level_of_answered=statistics.service_level_of_answered(tally),
                service_level_with_abandons=statistics.service_level_with_abandons(tally),
                average_speed_of_answer_s=statistics.average_speed_of_answer(tally),
                average_handle_time_s=handle_s,
                abandon_rate=statistics.abandon_rate(tally),
            )
        )
    return tuple(found)


def _call_of(contact: ContactId) -> CallId | None:
    return CallId(contact) if channel_of(contact) == VOICE else None


def _work(work: Work) -> LiveWork:
    return LiveWork(
        contact=work.contact,
        channel=work.channel,
        call=_call_of(work.contact),
        kind=work.kind,
        queue=work.queue,
        state=work.state,
        since=work.since,
        until=work.until,
    )


def _category_since(agent: Agent, category: str) -> float | None:
    if agent.works:
        return max([work.since for work in agent.works.values()])
    if category == "unregistered":
        return None
    # Who says again to be ready stays free: that sets `since`, and not the idle clock.
    return agent.idle_since if category == FREE else max(agent.since, agent.idle_since)


def _is_silent(fold: Fold, agent: Agent) -> bool:
    """The device it is reached at is registered, and gives no sign of life."""
    configured = fold.index.agents.get(agent.id)
    phone = fold.index.phone_of(configured) if configured is not None else None
    return bool(fold.bindings_of(agent)) and not fold.is_reachable(agent) and (phone is None or phone.trunk is None)


def _agents(fold: Fold, now: float) -> tuple[LiveAgent, ...]:
    category_of = {agent: category for category, members in fold.categories.items() for agent in members}
    found = []
    for agent in fold.state.agents.values():
        configured = fold.index.agents.get(agent.id)
        tally = statistics.agent_at(fold.state.statistics, agent.id, now)
        # A wish to be not ready, or to leave, holds after the call: whoever has work is busy.
        category = "busy" if agent.works else category_of.get(agent.id, "logged_off")
        found.append(
            LiveAgent(
                id=agent.id,
                name=configured.name if configured is not None else agent.id,
                state=agent.state,
                reason=agent.reason,
                since=agent.since,
                category=category,
                category_since=_category_since(agent, category),
                registered=fold.is_reachable(agent),
                work=tuple(_work(one) for one in agent.works.values()),
                answered_today=tally.answered,
                occupancy=statistics.occupancy(tally),
                idle_today_s=tally.idle_s,
                busy_today_s=tally.busy_s,
                unreachable=_is_silent(fold, agent),
                at=agent.at,
                technically_not_ready=fold.technically(agent),
                line=dict(agent.line.figures) if agent.line is not None else None,
                asked_for=fold.state.questions[agent.question].contact if agent.question is not None else None,
            )
        )
    return tuple(found)


def _contacts(fold: Fold) -> tuple[LiveContact, ...]:
    at: dict[ContactId, list[AgentId]] = {}
    for agent in fold.state.agents.values():
        for contact in agent.works:
            at.setdefault(contact, []).append(agent.id)
    return tuple([_contact(fold, one, at.get(one.id, ())) for one in fold.state.contacts.values() if one.channel != VOICE])


def _contact(fold: Fold, contact: Contact, agents: Iterable[AgentId]) -> LiveContact:
    at = tuple(sorted(agents))
    entry = fold.state.entries.get(contact.entry) if contact.entry is not None else None
    return LiveContact(
        id=contact.id,
        channel=contact.channel,
        customer=contact.customer,
        subject=contact.subject,
        language=contact.language,
        queue=contact.queue,
        agents=at,
        state=entry.state if entry is not None else "taken" if at else "open",
        began_at=contact.began_at,
    )


def whole_contact(fold: Fold, contact: Contact) -> WholeContact:
    """One contact with what was written."""
    at = [agent.id for agent in fold.state.agents.values() if contact.id in agent.works]
    return WholeContact(contact=_contact(fold, contact, at), text=contact.text, personal=contact.personal, priority_s=contact.priority_s)


def _party(state: State, call: Call, leg: Leg) -> LiveParty:
    supervision = call.supervisions.get(leg.id)
    return LiveParty(
        leg=leg.id,
        role=leg.role,
        state=leg.state,
        agent=leg.agent,
        number=leg.number,
        trunk=leg.trunk,
        since=leg.since,
        doing=_doing(state, call, leg),
        supervises=supervision.agent if supervision is not None else None,
        mode=supervision.mode if supervision is not None else None,
        one_way=leg.one_way,
        lost_until=leg.lost.until if leg.lost is not None else None,
    )


def _doing(state: State, call: Call, leg: Leg) -> str:
    consultation = call.consultation
    if leg.lost is not None:
        return "lost"
    if leg.id in call.supervisions:
        return "supervising" if call.supervisions[leg.id].joined else "ringing"
    if call.referral is not None and call.referral.leg == leg.id:
        return "leaving"
    if consultation is not None:
        if leg.id == consultation.leg:
            return "consulting"
        if leg.id in consultation.held:
            return "talking" if consultation.alternated else "held"
        return "held" if consultation.alternated else "asked"
    if leg.id not in call.parties:
        return "served" if leg.id == call.party else "ringing"
    if leg.state in legs.ON_HOLD:
        return "holding"
    return "held" if all(state.legs[one].state in legs.ON_HOLD for one in call.parties if one != leg.id) else "talking"


def _reservations(line: s.Line) -> tuple[LiveReservation, ...]:
    return tuple(
        LiveReservation(leg=leg, kbits=kbits, shape=line.shapes.get(leg, ""), step=line.degraded.get(leg))
        for leg, kbits in line.channels.items()
    )


def live(fold: Fold, now: float) -> LiveState:
    """The board at `now`."""
    state = fold.state
    today = now < state.statistics.day_ends_at
    lines = [bandwidth.site_line(site) for site in fold.index.sites] + [bandwidth.trunk_line(trunk) for trunk in fold.index.trunks]
    lines += [line for line in state.lines if line not in lines]
    return LiveState(
        at=now,
        day_ends_at=statistics.day_ends_at(state.statistics, now),
        queues=_queues(fold, now, today),
        agents=_agents(fold, now),
        calls=tuple(
            LiveCall(
                id=call.id,
                direction=call.direction,
                state=call.state,
                calling=call.calling,
                called=call.called,
                queue=state.contacts[call.id].queue,
                began_at=call.began_at,
                since=call.since,
                parties=tuple(_party(state, call, state.legs[one]) for one in call.legs),
            )
            for call in state.calls.values()
        ),
        contacts=_contacts(fold),
        lines=tuple(
            LiveLine(
                line=line,
                upload_kbits=bandwidth.upload_of(state.configuration, line),
                reserved_kbits=state.lines[line].reserved_kbits if line in state.lines else 0,
                reservations=_reservations(state.lines[line]) if line in state.lines else (),
            )
            for line in lines
        ),
        trunks=tuple(
            LiveTrunk(
                id=trunk.id,
                name=trunk.name,
                up=state.trunks[trunk.id].up if trunk.id in state.trunks else True,
                since=state.trunks[trunk.id].since if trunk.id in state.trunks else 0.0,
                detail=state.trunks[trunk.id].detail if trunk.id in state.trunks else None,
            )
            for trunk in fold.index.trunks.values()
        ),
        registrations=tuple(
            LiveRegistration(
                agent=agent.id,
                contact=one.contact,
                expires_at=one.expires_at,
                flow=one.flow,
                user_agent=one.user_agent,
                unreachable_since=one.unreachable_since,
                detail=one.detail,
            )
            for agent in state.agents.values()
            for one in agent.bindings.values()
        ),
    )
