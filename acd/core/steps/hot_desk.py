"""Hot desk: an agent logs on at any phone of the tenant by code, extension and PIN: the phone is its own until it logs off (house).

| what                                   | then                                                                                   |
|----------------------------------------|----------------------------------------------------------------------------------------|
| the code with an extension, right PIN  | the agent is logged on, and the phone is its: rung for it, dialled from on its account |
| the same at the agent's own phone      | the own phone is its again, whoever had come there                                     |
| the same at another phone              | the phone before is its regular agent's again                                          |
| another agent logs on at the phone     | the first one stays logged on, and has its own phone again                             |
| the agent logs off, however            | the phone is its regular agent's again                                                 |

An agent has one phone: while it sits elsewhere its own device is not rung for it, and one at whose phone another sits has none. Nobody is
moved out of a call. What the PIN is, and whether it is right, the exchange never learns: the shell takes the keys and reports `PinJudged`.
"""

from __future__ import annotations

from acd.core.configuration import Agent
from acd.core.effects import JudgePin
from acd.core.events import AgentLoggedOn, HotDeskBegan, HotDeskEnded, HotDeskRefused, PinAwaited, WorkReserved
from acd.core.ids import AgentId
from acd.core.inputs import PinJudged
from acd.core.machines import agent as agents
from acd.core.machines import work as works
from acd.core.state import values as s
from acd.core.steps import treatment
from acd.core.steps.step import Step
from acd.core.steps.working import calls_at, end_wrap_up, log_off, work_done

CAUSE = "feature_code"
REFUSED = ("invalid_choice",)
UNKNOWN = "?"
"""Stands in the called number for what follows the code and is no extension: it may be a PIN."""
PATIENCE_S = 30.0
"""For the prompt, eight keys and the verdict; as long as most systems wait for a PIN of a mailbox."""

_SAYS = {"wrong": ("agent.pin_wrong",), "wait": ("agent.pin_wait",), "failed": ("error",), "no_pin": ("no_choice",), "busy": REFUSED}


def carry_out(x: Step, call: s.Call, user: s.Agent, owner: Agent, extension: str, *, has_pin: bool) -> None:
    """Somebody has dialled the code at the phone of `owner`, which `user` has at the moment."""
    if not extension:
        _leave(x, call, user, owner)
        return
    wanted = x.fold.index.extensions.get(extension)
    party = treatment.answer_party(x, call)
    if wanted is None or party is None or _in_a_call(user) or _in_a_call(x.state.agents[wanted]):
        treatment.announce(x, call, REFUSED, CAUSE)
        return
    end_wrap_up(x, user)
    x.emit(WorkReserved(agent=user.id, contact=call.id, kind="feature_code"))
    x.emit(PinAwaited(call=call.id, leg=party.id, agent=wanted, at=owner.id, until=x.now + PATIENCE_S))
    if not has_pin:
        x.play(party, ("agent.pin",), "pin")
    x.do(JudgePin(leg=party.id, agent=wanted, at=owner.id))


def _leave(x: Step, call: s.Call, user: s.Agent, owner: Agent) -> None:
    if user.id == owner.id or _in_a_call(user):
        treatment.announce(x, call, REFUSED, CAUSE)
        return
    log_off(x, user)
    treatment.announce(x, call, ("agent.logged_off",), CAUSE)


def _in_a_call(agent: s.Agent, besides: s.Call | None = None) -> bool:
    return any(work.state not in works.WRAPPING for work in calls_at(agent) if besides is None or work.contact != besides.id)


def judged(x: Step, fact: PinJudged) -> None:
    """The PIN was right, and the phone changes hands; or it was not."""
    leg = x.state.legs.get(fact.leg)
    call = x.state.calls[leg.call] if leg is not None else None
    if leg is None or call is None or call.desk_log_in is None or call.desk_log_in.agent != fact.agent:
        x.drop(fact)
        return
    agent, user = x.state.agents.get(fact.agent), x.state.agents.get(x.fold.index.user_of(call.desk_log_in.at))
    if fact.outcome != "right":
        _refuse(x, call, fact.outcome)
    elif agent is None or user is None or not _are_configured(x, call.desk_log_in) or _in_a_call(agent, call) or _in_a_call(user, call):
        _refuse(x, call, "busy")
    else:
        _sit(x, call, leg, agent, call.desk_log_in.at, user)
        treatment.announce(x, call, ("agent.logged_on",), CAUSE)


def nothing_keyed(x: Step, call: s.Call) -> None:
    """No PIN has come."""
    _refuse(x, call, "no_pin")


def _refuse(x: Step, call: s.Call, why: str) -> None:
    if call.desk_log_in is not None:
        x.emit(HotDeskRefused(call=call.id, agent=call.desk_log_in.agent, at=call.desk_log_in.at, why=why))  # type: ignore[arg-type]
        treatment.announce(x, call, _SAYS[why], CAUSE)


def _are_configured(x: Step, log_in: s.DeskLogIn) -> bool:
    return log_in.agent in x.fold.index.agents and log_in.at in x.fold.index.agents


def _sit(x: Step, call: s.Call, leg: s.Leg, agent: s.Agent, at: AgentId, user: s.Agent) -> None:
    """The phone goes from `user` to `agent`, and with it the call that asked for that: who has the phone in hand is busy."""
    for one in (agent, user):
        end_wrap_up(x, one)
    # Who had the phone when the code was dialled may have lost it since: the shift ended with the after-call work.
    holder = x.state.agents.get(leg.agent) if leg.agent is not None else None
    if holder is not None and holder is not agent and call.id in holder.works:
        work_done(x, holder.id, call.id, "handled")
    if user is not agent and user.at == at:
        x.emit(HotDeskEnded(agent=user.id, at=at, why="taken"))
    if agents.Input.LOG_ON in agents.TRANSITIONS[agent.state]:
        x.emit(AgentLoggedOn(agent=agent.id))
    x.emit(HotDeskBegan(agent=agent.id, at=at, call=call.id, leg=leg.id))
    if not calls_at(agent):
        x.emit(WorkReserved(agent=agent.id, contact=call.id, kind="feature_code"))
