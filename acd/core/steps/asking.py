"""A page is asked before a call is offered to it (house): a frozen, blocked, crashed or half-open one keeps its registration, and would let
the caller wait for a phone that rings nowhere.

Who is asked: an agent that routing, or a person, has chosen for a call, and whose phone is nothing but pages, none of which has just
answered for this very contact: what it has answered before, for another one or to a ping, says nothing of whether it has died since. An
agent with a desk phone beside is offered calls as ever; direct calls ring without a question.

| what happens                          | the contact                                         | the agent                                  |
|---------------------------------------|-----------------------------------------------------|--------------------------------------------|
| a page of it answers                  | is routed anew in this step, as a rule to this agent | is free; its page is known to be there    |
| none does in time                     | is routed anew, to the next                         | technically not ready until a page answers |
| the contact leaves, or goes elsewhere | is gone                                             | is free                                    |
| a person had chosen (`Question.rule`) | is offered to this agent if its page answers        | as above                                   |
| a restart                             | is routed anew                                      | is free, and asked anew                    |

Meanwhile the contact stands at its place and is offered to nobody else, its limits run on; the agent is kept for it, and counts as busy in
routing and idle in the figures. Where several ring together all their pages are asked together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from acd.core.effects import AskPage
from acd.core.events import DeviceReachable, DeviceUnreachable, PageAskedEnded, PagesAsked, QuestionOutcome
from acd.core.ids import VOICE, AgentId, ContactId, QuestionId
from acd.core.state import values as s
from acd.core.steps.step import Step

FRESH_S: Final = 1.0
"""Nobody is asked again for the same contact so soon. Longer where the patience is, or of several some would be asked without end."""
NO_ANSWER: Final = "no answer before an offer"


def needed(x: Step, agents: Sequence[AgentId], entry: s.Entry) -> tuple[AgentId, ...]:
    """Whom of these to ask before they are offered this contact."""
    if entry.channel != VOICE or (configuration := x.state.configuration) is None or not configuration.pages.answer_within_s:
        return ()
    since = x.now - max(FRESH_S, 1.5 * configuration.pages.answer_within_s)
    return tuple([one for one in agents if _is_unsure(x, x.state.agents[one], entry.contact, since)])


def _is_unsure(x: Step, agent: s.Agent, contact: ContactId, since: float) -> bool:
    pages = x.fold.pages_of(agent)
    return bool(pages) and not any(one.answered_for == contact and (one.answered_at or 0.0) >= since for one in pages)


def ask(x: Step, entry: s.Entry, agents: tuple[AgentId, ...], rule: str | None = None, by: str | None = None) -> None:
    """Ask them; the contact keeps its place, and they are kept for it.

    Args:
        rule: of a choice that a person (`by`) has made.
    """
    assert x.state.configuration is not None  # there are agents
    contact, within_s = x.state.contacts[entry.contact], x.state.configuration.pages.answer_within_s
    question = QuestionId(f"{contact.id}/a{contact.questions_made + 1}")
    x.emit(
        PagesAsked(
            question=question,
            contact=contact.id,
            entry=entry.id,
            queue=entry.queue,
            agents=agents,
            until=x.now + within_s,
            rule=rule,
            by=by,
        )
    )
    for agent in agents:
        x.do(AskPage(question=question, agent=agent, within_s=within_s, at=x.state.agents[agent].at))


def answered(x: Step, question: s.Question, agent: AgentId, page: str | None, round_trip_ms: float | None) -> None:
    """One page is there."""
    _end(x, question, agent, "answered", page=page, round_trip_ms=round_trip_ms)


def unanswered(x: Step, question: s.Question, agent: AgentId) -> None:
    """None of its pages is: nothing rings there until one says otherwise."""
    _end(x, question, agent, "unanswered")
    person = x.state.agents.get(agent)
    owner = person.at or person.id if person is not None else agent
    for page in x.fold.pages_of(person) if person is not None else ():
        if page.unreachable_since is None:
            x.emit(DeviceUnreachable(agent=owner, contact=page.contact, detail=NO_ANSWER))


def withdrawn(x: Step, question: s.Question) -> None:
    """Nobody needs to know any more."""
    for agent in list(question.open):
        _end(x, question, agent, "withdrawn")


def _end(
    x: Step, question: s.Question, agent: AgentId, outcome: QuestionOutcome, *, page: str | None = None, round_trip_ms: float | None = None
) -> None:
    x.emit(
        PageAskedEnded(question=question.id, contact=question.contact, agent=agent, outcome=outcome, page=page, round_trip_ms=round_trip_ms)
    )


def answered_late(x: Step, agent: s.Agent, page: str) -> bool:
    """An answer to a question that is over: the page is there all the same.

    Returns: whether that was news.
    """
    owner = agent.at or agent.id
    binding = x.fold.bindings_of(agent).get(page)
    if binding is None or binding.unreachable_since is None:
        return False
    x.emit(DeviceReachable(agent=owner, contact=page))
    return True
