"""Feature codes: what an agent whose only desk is a telephone dials to be ready, to have a break, to tag a call, to hear who waits (house).

A code is a call to the exchange itself: it is answered, something is said, and it ends with the cause `feature_code`. It costs nothing and
is no conversation of the agent's, who is busy meanwhile, so that no caller is sent to a phone that is off the hook.
"""

from __future__ import annotations

from collections.abc import Callable

from acd.core.configuration import FeatureCodes
from acd.core.events import AgentLoggedOn, AgentNotReady, AgentReady, DispositionSet, PickRequested, WorkReserved
from acd.core.machines import agent as agents
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.steps import hot_desk, queueing, supervision, treatment
from acd.core.steps.step import Step
from acd.core.steps.working import calls_at, end_wrap_up, log_off

CAUSE = "feature_code"
REFUSED = ("invalid_choice",)
AT_THE_HANDSET = "handset"
"""The reason of who has dialled the code alone, where the tenant keeps no list of reasons."""
LONGEST_SPOKEN_MIN = 999


def find(codes: FeatureCodes, called: str) -> tuple[str, str] | None:
    """Which code was dialled, and the digits behind it; None: none.

    The longest code that fits is meant; digits may follow `not_ready`, `tag` and `hot_desk` alone.
    """
    best: tuple[str, str] | None = None
    hidden = called.endswith(hot_desk.UNKNOWN)  # what stood there may have been a PIN
    called = called.removesuffix(hot_desk.UNKNOWN)
    for name, code in codes.dialled().items():
        rest = called.removeprefix(code)
        fits = called.startswith(code) and (rest == "" or (name in codes.WITH_DIGITS and rest.isascii() and rest.isdigit()))
        if fits and (best is None or len(rest) < len(best[1])):
            best = name, rest
    if best is not None and hidden:
        return (best[0], hot_desk.UNKNOWN) if best[0] == "hot_desk" else None
    return best


def carry_out(x: Step, call: s.Call, agent: s.Agent, code: str, digits: str) -> None:
    """Do what the code says, say so, and end the call."""
    sounds = _DO[code](x, agent, digits)
    if not calls_at(agent) and call.party is not None:
        x.emit(WorkReserved(agent=agent.id, contact=call.id, kind="feature_code"))
    treatment.announce(x, call, sounds, CAUSE)


def _ready(x: Step, agent: s.Agent, _digits: str) -> tuple[str, ...]:
    end_wrap_up(x, agent)  # first: who had asked to leave after the work leaves by that
    if agents.Input.GO_READY not in agents.TRANSITIONS[agent.state]:
        x.emit(AgentLoggedOn(agent=agent.id))
    x.emit(AgentReady(agent=agent.id))
    return ("agent.ready",)


def _not_ready(x: Step, agent: s.Agent, digits: str) -> tuple[str, ...]:
    reason = _reason(x, digits)
    if reason is None or agents.Input.GO_NOT_READY not in agents.TRANSITIONS[agent.state]:
        return REFUSED
    x.emit(AgentNotReady(agent=agent.id, reason=reason))
    return ("agent.not_ready",)


def _reason(x: Step, digits: str) -> str | None:
    """The reason that is called so, else the one that stands so far down in the tenant's list; without digits, the first."""
    configuration = x.state.configuration
    known = [one.code for one in configuration.reasons] if configuration is not None else []
    if not known:
        return digits or AT_THE_HANDSET
    if digits in known:
        return digits
    place = int(digits[:6]) if digits else 1
    return known[place - 1] if 1 <= place <= len(known) else None


def _log(x: Step, agent: s.Agent, _digits: str) -> tuple[str, ...]:
    if agent.state in agents.LOGGED_ON:
        log_off(x, agent)
        return ("agent.logged_off",)
    x.emit(AgentLoggedOn(agent=agent.id))
    return ("agent.logged_on",)


def _tag(x: Step, agent: s.Agent, digits: str) -> tuple[str, ...]:
    """The call the agent talks in, else the last one it talked in."""
    going_on = next((work.contact for work in agent.works.values() if work.state not in works.RINGING), None)
    contact = going_on or agent.last_contact
    if contact is None or not digits:
        return REFUSED
    x.emit(DispositionSet(contact=contact, agent=agent.id, code=digits))
    return ("agent.tagged", *(f"number.{digit}" for digit in digits[:12]))


def _waiting(x: Step, agent: s.Agent, _digits: str) -> tuple[str, ...]:
    """How many wait in the queues that the agent could serve, at whatever relaxation, and how many minutes the first has waited."""
    since = [
        x.state.entries[place[2]].queued_at
        for queue, line in x.fold.order.items()
        if (found := x.fold.index.queues.get(queue)) is not None and any(agent.id in team for team in x.fold.index.team(found.id))
        for place in line
    ]
    if not since:
        return ("agent.waiting", "number.0")
    minutes = min(int((x.now - min(since)) // 60), LONGEST_SPOKEN_MIN)
    return ("agent.waiting", f"number.{len(since)}", "agent.longest_wait", f"number.{minutes}")


def _pick(x: Step, agent: s.Agent, _digits: str) -> tuple[str, ...]:
    """Its phone rings with the contact when this call is over."""
    configured = x.fold.index.agents[agent.id]
    if not configured.may_pick or agent.state not in agents.LOGGED_ON or queueing.first_to_pick(x, agent) is None:
        return REFUSED
    x.emit(PickRequested(agent=agent.id))
    return ("agent.picked",)


def _supervise(x: Step, agent: s.Agent, digits: str) -> tuple[str, ...]:
    """Its phone rings with the conversation when this call is over."""
    supervised = x.fold.index.extensions.get(digits)
    configured = x.fold.index.agents[agent.id]
    if not configured.may_supervise or supervised is None or supervised == agent.id:
        return REFUSED
    if supervision.conversation_of(x, supervised) is None:
        return REFUSED
    supervision.request(x, agent.id, supervised)
    return ("agent.picked",)


_DO: dict[str, Callable[[Step, s.Agent, str], tuple[str, ...]]] = {
    "ready": _ready,
    "not_ready": _not_ready,
    "log_on_or_off": _log,
    "tag": _tag,
    "waiting": _waiting,
    "pick": _pick,
    "supervise": _supervise,
}
