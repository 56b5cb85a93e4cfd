"""Capacity, languages and what people decide out of turn, for contacts of every channel (docs/tenants.md has the tables)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.channel_kinds import CHANNELS, ChannelKind
from acd.core.channels import BY_NAME
from acd.core.channels.desk_only import DeskOnly
from acd.core.configuration import (
    ChannelCapacity,
    Menu,
    Number,
    Overflow,
    Relaxation,
    Schedule,
    SkillRequirement,
    ToAgent,
    ToAnnouncement,
    ToMenu,
    ToQueue,
)
from acd.core.configuration_changes import difference
from acd.core.errors import IllegalTransition, UnknownName
from acd.core.ids import AgentId
from acd.core.routing.decision import winner
from acd.core.state import values as s
from acd.core.steps import queueing
from acd.core.steps.step import Step
from acd.resolve import resolved
from tests.acd.core.shell import SOUND_S, T0, Phone, Shell, agent, call, house, open_house, queue

NEVER = Phone(answers_after_s=None)
OTHER = tuple(channel for channel in CHANNELS if channel not in {"voice", "callback"})
"""Channels of which one can be had without a phone that rings."""
_names = count(1000)
"""All of one length: at one instant the order is that of letters, and a test shall not depend on how many ran before it."""


def come(shell: Shell, channel: str = "mail", queue: str = "support", name: str | None = None, **more: Any) -> str:
    """A contact that is no call comes in, and goes to a queue."""
    contact = f"{channel}:{name or next(_names)}"
    shell.send(inp.OpenContact(contact=contact, channel=channel, queue=queue, **more))
    return contact


def taken(shell: Shell, channel: str = "mail", by: str = "anna", **more: Any) -> str:
    """One that is offered to the agent at once, who takes it."""
    contact = come(shell, channel, **more)
    shell.send(inp.Answer(agent=by, contact=contact))
    return contact


def talk(shell: Shell, name: str, called: str = "601") -> str:
    """A call that is taken."""
    call(shell, called, name)
    shell.run(2)
    assert shell.of(ev.CallEstablished)[-1].call == name
    return name


def works(shell: Shell, of: str = "anna") -> dict[str, str]:
    """Contact -> how far the agent's work at it is."""
    return {work.contact: str(work.state) for work in shell.engine.state.agents[of].works.values()}


def offered(shell: Shell) -> list[tuple[str, str]]:
    """Every offer so far: contact, agent."""
    return [(one.contact, agent) for one in shell.of(ev.OfferMade) for agent in one.decision.chosen]


def last(shell: Shell) -> ev.Decision:
    """The record of the last offer; its winner is computed again from it alone."""
    decision: ev.Decision = shell.of(ev.OfferMade)[-1].decision
    assert winner(decision) == decision.chosen
    return decision


def change(shell: Shell, **settings: Any) -> None:
    """The configuration with these instead."""
    old = shell.engine.state.configuration
    assert old is not None
    fields = {name: getattr(old, name) for name in old.__struct_fields__ if name not in {"tenant", "zone"}} | settings
    queues, agents = fields.pop("queues"), fields.pop("agents")
    numbers = tuple(one for one in fields.pop("numbers") if not one.number.startswith("60"))
    new = house(queues=queues, agents=agents, numbers=numbers, **fields)
    shell.send(inp.Reconfigured(changes=difference(old, resolved(new, shell.now, old))))


def can(channel: str, at_once: int, *not_during: str) -> ChannelCapacity:
    return ChannelCapacity(channel=channel, at_once=at_once, not_during=not_during)


# ---------------------------------------------------------------------- capacity


def test_every_channel_has_a_behaviour() -> None:
    assert BY_NAME.keys() == CHANNELS.keys()


class Handed(DeskOnly):
    """Asks nobody: whom it is given to has it."""

    def reserved(self, x: Step, contact: s.Contact, offer: s.Offer, agents: Sequence[AgentId]) -> None:
        """The first has it."""
        queueing.taken(x, contact, offer, agents[0])


def test_a_channel_may_have_a_meaning_of_its_own_without_a_word_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHANNELS, "dossier", ChannelKind("dossier", at_once=2))  # type: ignore[misc]
    monkeypatch.setitem(BY_NAME, "dossier", Handed())  # type: ignore[misc]
    shell = open_house(house(capacity=(can("dossier", 2, "voice"),)))
    had = [come(shell, "dossier") for _ in range(2)]
    waits = come(shell, "dossier")
    assert works(shell) == dict.fromkeys(had, "connected")
    assert shell.engine.why_waiting(waits, shell.now).removed["busy"] == ("anna",)
    shell.send(inp.CloseContact(agent="anna", contact=had[0]))
    shell.send(inp.EndAfterCallWork(agent="anna", contact=had[0]))
    assert shell.of(ev.WorkConnected)[-1].contact == waits
    assert shell.of(ev.OfferEnded)[-1].outcome == "answered"


@pytest.mark.parametrize(("channel", "at_once"), [("message", 3), ("chat", 3), ("mail", 5), ("callback", 1)])
def test_unless_configured_otherwise_so_many_of_a_channel(channel: str, at_once: int) -> None:
    shell = open_house()
    for _ in range(at_once):
        taken(shell, channel)
    waits = come(shell, channel)
    assert list(works(shell).values()) == ["connected"] * at_once
    assert shell.engine.why_waiting(waits, shell.now).removed["busy"] == ("anna",)


@pytest.mark.parametrize("there", OTHER)
@pytest.mark.parametrize("channel", CHANNELS)
def test_unless_configured_otherwise_none_of_another_channel_beside(there: str, channel: str) -> None:
    shell = open_house(anna=NEVER)
    mine = taken(shell, there)
    comes = call(shell) if channel == "voice" else come(shell, channel)
    assert works(shell) == ({mine: "connected", comes: "reserved"} if channel == there else {mine: "connected"})


@pytest.mark.parametrize("channel", [one for one in CHANNELS if one != "voice"])
def test_unless_configured_otherwise_nothing_during_a_call(channel: str) -> None:
    shell = open_house()
    mine = talk(shell, "c")
    come(shell, channel)
    assert works(shell) == {mine: "connected"}


MAILS_GIVE_WAY = (can("voice", 1, "chat", "message", "callback"), can("mail", 5, "voice", "chat"))
"""Calls come in while mails are open; a mail waits until the call ends."""


@pytest.mark.parametrize(
    ("capacity", "there", "comes", "is_offered"),
    [
        (MAILS_GIVE_WAY, "mail", "voice", True),
        (MAILS_GIVE_WAY, "voice", "mail", False),
        (MAILS_GIVE_WAY, "chat", "voice", False),
        (MAILS_GIVE_WAY, "chat", "mail", False),
        (MAILS_GIVE_WAY, "mail", "chat", False),  # of chat nothing is said: nothing beside it
        ((can("chat", 2, "voice"),), "mail", "chat", True),
        ((can("chat", 2, "voice"),), "chat", "mail", False),
        ((can("chat", 2),), "voice", "chat", True),  # beside everything
        ((ChannelCapacity(channel="chat", at_once=2),), "mail", "chat", False),  # None: beside nothing
        ((can("chat", 0),), None, "chat", False),
        ((can("voice", 0),), None, "voice", False),
    ],
)
@pytest.mark.parametrize("of", ["the tenant", "the agent"])
def test_what_is_offered_beside_what(
    capacity: tuple[ChannelCapacity, ...], there: str | None, comes: str, is_offered: bool, of: str
) -> None:
    mine = {"capacity": capacity} if of == "the agent" else {}
    shell = open_house(house(agents=(agent("anna", **mine),), **({} if mine else {"capacity": capacity})))
    if there is not None:
        talk(shell, "c") if there == "voice" else taken(shell, there)
    contact = call(shell) if comes == "voice" else come(shell, comes)
    assert (contact in works(shell)) is is_offered


def test_what_an_agent_has_of_its_own_stands_over_what_everybody_has_channel_by_channel() -> None:
    people = (agent("anna", capacity=(can("mail", 2, "voice"),)), agent("ben"))
    shell = open_house(house(agents=people, capacity=(can("mail", 1, "voice"), can("chat", 1, "voice"))))
    mails = [come(shell, "mail") for _ in range(4)]
    assert [len([one for one in works(shell, who) if one in mails]) for who in ("anna", "ben")] == [2, 1]
    chats = [come(shell, "chat") for _ in range(3)]
    assert [len([one for one in works(shell, who) if one in chats]) for who in ("anna", "ben")] == [1, 1]


def test_a_change_takes_nothing_away_and_holds_for_what_comes() -> None:
    shell = open_house()
    mails = [taken(shell) for _ in range(3)]
    change(shell, capacity=(can("mail", 1, "voice"),))
    assert works(shell) == dict.fromkeys(mails, "connected")
    waits = come(shell)
    for mail in mails[:2]:
        shell.send(inp.CloseContact(agent="anna", contact=mail), inp.EndAfterCallWork(agent="anna", contact=mail))
    assert waits not in works(shell)
    change(shell, capacity=(can("mail", 2, "voice"),))
    assert works(shell)[waits] == "reserved"


def test_who_has_mails_all_day_is_awaited_by_the_call_that_waits_longest() -> None:
    """Mails go on coming in, and each would keep her from the call: she is given none that came after it."""
    shell = open_house()
    mails = [taken(shell) for _ in range(2)]
    shell.run(1)
    caller = call(shell)
    later = come(shell)
    assert later not in works(shell)
    assert shell.engine.why_waiting(later, shell.now).removed["awaited"] == ("anna",)
    for mail in mails:
        shell.send(inp.CloseContact(agent="anna", contact=mail), inp.EndAfterCallWork(agent="anna", contact=mail))
    assert works(shell) == {caller: "reserved"}


def test_who_was_kept_for_a_call_is_given_what_waits_once_the_caller_has_gone() -> None:
    shell = open_house()
    first = taken(shell, "chat")
    shell.run(1)
    caller = call(shell)
    second = come(shell, "chat")
    assert second not in works(shell)
    shell.send(inp.LegReleased(leg=f"{caller}-in"))
    assert works(shell) == {first: "connected", second: "reserved"}


def test_who_becomes_ready_is_offered_as_many_as_there_is_room_for() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), ready=False)
    chats = [come(shell, "chat", name=f"{n}") for n in range(7)]
    shell.send(inp.LogOn(agent="anna", ready=True))
    assert works(shell) == dict.fromkeys(chats[:3], "reserved")
    shell.send(inp.LogOn(agent="ben", ready=True))
    assert works(shell, "ben") == dict.fromkeys(chats[3:6], "reserved")
    change(shell, capacity=(can("chat", 4, "voice"),))
    assert works(shell)[chats[6]] == "reserved"


def test_a_direct_call_to_who_has_chats_is_busy_and_rings_where_calls_come_beside_them() -> None:
    person = agent("anna", extension="21")
    numbers = (Number(number="700", target=ToAgent(agent="anna")),)
    shell = open_house(house(agents=(person,), numbers=numbers), anna=NEVER)
    chat = taken(shell, "chat")
    first = call(shell, "700")
    assert [one.cause for one in shell.of(ev.CallCleared) if one.call == first] == ["busy"]
    change(shell, capacity=(can("voice", 1),))
    second = call(shell, "700")
    assert works(shell) == {chat: "connected", second: "reserved"}
    third = call(shell, "700")  # a phone is off the hook once
    assert [one.cause for one in shell.of(ev.CallCleared) if one.call == third] == ["busy"]


# ---------------------------------------------------------------------- after-call work


def test_after_call_work_is_work_of_its_channel() -> None:
    shell = open_house(house(capacity=(can("chat", 1, "voice"),)))
    talk(shell, "c")
    come(shell, "chat")
    shell.send(inp.LegReleased(leg="c-in"))
    assert works(shell) == {"c": "after_call_work"}
    shell.run(9.9)
    assert len(offered(shell)) == 1
    shell.run(0.2)
    assert list(works(shell).values()) == ["reserved"]


def test_two_after_call_works_have_an_end_each_and_ending_one_leaves_the_other() -> None:
    queues = (queue("support", after_call_work_s=10.0), queue("letters", after_call_work_s=60.0))
    shell = open_house(house(queues=queues, capacity=(can("voice", 1), can("mail", 5, "voice"))))
    mail = taken(shell, queue="letters")
    letter = taken(shell, queue="letters")
    talk(shell, "c")
    shell.send(inp.CloseContact(agent="anna", contact=mail))  # until 60 s from now
    shell.run(4)
    shell.send(inp.LegReleased(leg="c-in"))  # until 10 s from now
    shell.send(inp.CloseContact(agent="anna", contact=letter))
    assert works(shell) == dict.fromkeys((mail, letter, "c"), "after_call_work")
    shell.send(inp.EndAfterCallWork(agent="anna", contact=letter))
    assert works(shell) == dict.fromkeys((mail, "c"), "after_call_work")
    shell.run(10)
    assert works(shell) == {mail: "after_call_work"}
    shell.run(45.9)
    assert works(shell) == {mail: "after_call_work"}
    shell.run(0.2)
    assert works(shell) == {}
    assert [one.contact for one in shell.of(ev.WorkDone)] == [letter, "c", mail]


def test_without_a_name_all_after_call_work_ends_and_a_contact_without_any_is_refused() -> None:
    shell = open_house()
    mails = [taken(shell) for _ in range(3)]
    for mail in mails[:2]:
        shell.send(inp.CloseContact(agent="anna", contact=mail))
    with pytest.raises(IllegalTransition, match="no after-call work"):
        shell.send(inp.EndAfterCallWork(agent="anna", contact=mails[2]))
    shell.send(inp.EndAfterCallWork(agent="anna"))
    assert works(shell) == {mails[2]: "connected"}


def test_who_asks_to_leave_with_three_mails_leaves_after_the_last() -> None:
    shell = open_house(house(queues=(queue(after_call_work_s=0.0),)))
    mails = [taken(shell) for _ in range(3)]
    shell.send(inp.LogOff(agent="anna"))
    for mail in mails:
        assert shell.engine.state.agents["anna"].state == "not_ready"
        shell.send(inp.CloseContact(agent="anna", contact=mail))
    assert shell.engine.state.agents["anna"].state == "logged_off"


# ---------------------------------------------------------------------- who comes first


def test_a_personal_agent_comes_first_where_free_and_the_record_says_why() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))))
    come(shell, personal="ben")
    decision = last(shell)
    assert (decision.chosen, decision.term_names) == (("ben",), ("not_personal", "at_hand", "idle_since"))
    assert [(one.agent, one.terms[0]) for one in decision.candidates] == [("ben", 0.0), ("anna", 1.0)]
    talk(shell, "c")
    shell.send(inp.GoNotReady(agent="ben", reason="break"))
    shell.send(inp.LegReleased(leg="c-in"), inp.EndAfterCallWork(agent="anna"))
    come(shell, personal="ben")
    assert last(shell).chosen == ("anna",)
    assert last(shell).term_names == ("at_hand", "idle_since")


def test_a_contact_with_a_place_it_has_kept_is_before_who_came_later() -> None:
    shell = open_house(ready=False)
    shell.run(100)
    caller = call(shell)
    shell.run(1)
    kept = come(shell, "callback", since=T0 + 50)
    shell.send(inp.LogOn(agent="anna", ready=True))
    assert offered(shell) == [(kept, "anna")]
    assert [one.position for one in shell.of(ev.Queued)] == [1, 1]
    assert caller in shell.engine.state.calls


@pytest.mark.parametrize("strategy", ["longest_idle", "best_skill", "round_robin", "fewest_calls"])
def test_every_strategy_asks_who_speaks_a_preferred_language_first(strategy: str) -> None:
    """anna is the one whom every strategy would choose; ben speaks English."""
    people = (agent("anna", skills={"support": 9}), agent("ben", languages=("de", "en-GB")))
    shell = open_house(house(agents=people, queues=(queue(strategy=strategy, languages="preferred"),)))
    come(shell, language="de")
    assert last(shell).chosen == ("anna",)
    shell.send(inp.Answer(agent="anna"), inp.CloseContact(agent="anna", contact=offered(shell)[0][0]), inp.EndAfterCallWork(agent="anna"))
    shell.send(inp.GoReady(agent="ben"))
    come(shell, language="EN-us")
    decision = last(shell)
    assert decision.chosen == ("ben",)
    assert decision.term_names[0] == "other_language"
    assert {one.agent: one.terms[0] for one in decision.candidates} == {"ben": 0.0, "anna": 1.0}
    come(shell, language="en")
    assert last(shell).chosen == ("ben",)  # who has one mail can have another
    shell.send(inp.GoNotReady(agent="ben", reason="break"))
    come(shell, language="en")
    assert last(shell).chosen == ("anna",)
    assert {one.agent: one.terms[0] for one in last(shell).candidates} == {"anna": 1.0}


def test_together_all_ring_whatever_they_speak() -> None:
    people = (agent("anna"), agent("ben", languages=("en",)))
    shell = open_house(house(agents=people, queues=(queue(strategy="ring_all", languages="preferred"),)), anna=NEVER, ben=NEVER)
    come(shell, language="en")
    assert set(last(shell).chosen) == {"anna", "ben"}


def test_a_required_language_waits_for_who_speaks_it_until_it_is_relaxed() -> None:
    eased = (
        Relaxation(after_s=10.0, requirements=()),
        Relaxation(after_s=20.0, requirements=(), any_language=True),
        Relaxation(after_s=30.0, requirements=()),
    )
    shell = open_house(house(queues=(queue(languages="required", relaxations=eased),)))
    first = come(shell, "chat", language="en")
    assert shell.engine.why_waiting(first, shell.now).removed == {"language": ("anna",)}
    shell.run(19.9)
    assert offered(shell) == []
    shell.run(0.2)
    assert offered(shell) == [(first, "anna")]
    assert last(shell).relaxation == 2
    assert last(shell).removed == {}
    shell.send(inp.Decline(agent="anna"))
    shell.run(10)  # offered again after 5 s; the next relaxation comes into force meanwhile
    shell.send(inp.Decline(agent="anna"))
    shell.run(5)
    assert [one.decision.relaxation for one in shell.of(ev.OfferMade)] == [2, 2, 3]


def test_ignored_is_the_default_and_a_german_gets_no_other_line_than_an_englishman() -> None:
    shell = open_house(ready=False)
    for language in ("de", "en", None):
        come(shell, "chat", language=language)
    assert len(shell.engine._step.fold.buckets) == 1


@pytest.mark.parametrize(("key", "chosen"), [("1", "anna"), ("2", "ben")])
@pytest.mark.parametrize("languages", ["preferred", "required"])
def test_a_caller_gets_who_speaks_the_language_of_the_key_it_pressed(key: str, chosen: str, languages: Any) -> None:
    people = (agent("anna"), agent("ben", languages=("en",)))
    menu = Menu(id="main", sounds=("menu",), options=dict.fromkeys("12", ToQueue(queue="support")), languages={"2": "en"})
    numbers = (Number(number="700", target=ToMenu(menu="main")),)
    shell = open_house(house(agents=people, queues=(queue(languages=languages),), menus=(menu,), numbers=numbers))
    caller = call(shell, "700")
    shell.send(inp.DigitPressed(leg=f"{caller}-in", digit=key))
    assert last(shell).chosen == (chosen,)
    assert shell.done(ef.PlaySounds)[-1].language == ("en" if key == "2" else "de")  # and is spoken to in it


def test_a_caller_speaks_the_language_of_the_number_it_called() -> None:
    people = (agent("anna"), agent("ben", languages=("en",)))
    numbers = (Number(number="+442079460600", target=ToQueue(queue="support"), language="en", country="GB"),)
    shell = open_house(house(agents=people, queues=(queue(languages="required"),), numbers=numbers))
    call(shell, "+442079460600")
    assert last(shell).chosen == ("ben",)


def test_where_nobody_logged_on_speaks_the_required_language_the_rule_for_no_agents_holds() -> None:
    people = (agent("anna"), agent("ben", languages=("en",)))
    rule = Overflow(target=ToQueue(queue="other"), no_agents=True)
    queues = (queue(languages="required", overflow=(rule,)), queue("other", requirements=(SkillRequirement(skill="x"),)))
    shell = open_house(house(agents=people, queues=queues), ready=False)
    shell.send(inp.LogOn(agent="anna"), inp.LogOn(agent="ben"))
    english, german = (come(shell, "chat", language=one) for one in ("en", "de"))
    shell.send(inp.LogOff(agent="ben"))  # the last who could have served the one, not the other
    at_entry = come(shell, "chat", language="en")
    where = {one.contact: one.queue for one in shell.engine.state.entries.values()}
    assert where == {english: "other", german: "support", at_entry: "other"}


# ---------------------------------------------------------------------- out of turn


def waiting_house(**more: Any) -> Shell:
    """Nobody is ready; anna may pick, ben may not and lacks the skill."""
    people = (agent("anna", extension="21", may_pick=True), agent("ben", extension="22", skills={}))
    shell = open_house(house(agents=people, queues=(queue("support"), queue("sales")), **more), ready=False, anna=NEVER, ben=NEVER)
    shell.send(inp.LogOn(agent="anna"), inp.LogOn(agent="ben"))
    return shell


def _contact(shell: Shell, channel: str) -> str:
    return call(shell) if channel == "voice" else come(shell, channel)


@pytest.mark.parametrize("channel", CHANNELS)
class TestOutOfTurn:
    """Calls and messages alike."""

    def test_picked_by_name(self, channel: str) -> None:
        shell = waiting_house()
        _contact(shell, channel)
        shell.run(1)
        second = _contact(shell, channel)
        shell.send(inp.Pick(agent="anna", contact=second))
        assert works(shell) == {second: "reserved"}
        assert (last(shell).rule, last(shell).by, last(shell).ahead_count) == ("picked/1", "agent:anna", 1)

    def test_picked_without_a_name_is_the_first(self, channel: str) -> None:
        shell = waiting_house()
        first = _contact(shell, channel)
        shell.run(1)
        _contact(shell, channel)
        shell.send(inp.Pick(agent="anna", by="supervisor:sophie"))
        assert works(shell) == {first: "reserved"}
        assert last(shell).by == "supervisor:sophie"

    def test_picked_by_the_phone_s_code(self, channel: str) -> None:
        shell = waiting_house()
        first = _contact(shell, channel)
        shell.send(inp.CallArrived(call="code", leg="code-in", agent="anna", calling="21", called="*26"))
        assert shell.done(ef.PlaySounds)[-1].sounds == ("agent.picked",)
        assert first not in works(shell)  # her phone is off the hook
        shell.run(until=T0 + SOUND_S)
        assert works(shell) == {first: "reserved"}
        assert last(shell).rule == "picked/1"

    def test_refused_to_who_may_not_or_lacks_the_skill(self, channel: str) -> None:
        shell = waiting_house()
        contact = _contact(shell, channel)
        with pytest.raises(IllegalTransition, match="may not pick"):
            shell.send(inp.Pick(agent="ben", contact=contact))
        with pytest.raises(IllegalTransition, match="has not what it asks for"):
            shell.send(inp.Pick(agent="ben", contact=contact, by="supervisor:sophie"))
        shell.send(inp.CallArrived(call="code", leg="code-in", agent="ben", calling="22", called="*26"))
        assert shell.done(ef.PlaySounds)[-1].sounds == ("invalid_choice",)

    def test_assigned_by_a_supervisor_whatever_the_skills(self, channel: str) -> None:
        shell = waiting_house()
        contact = _contact(shell, channel)
        shell.send(inp.AssignContact(agent="ben", contact=contact, by="supervisor:sophie"))
        assert works(shell, "ben") == {contact: "reserved"}
        assert (last(shell).rule, last(shell).by) == ("assigned/1", "supervisor:sophie")
        with pytest.raises(IllegalTransition):  # it is offered to somebody
            shell.send(inp.AssignContact(agent="anna", contact=contact, by="supervisor:sophie"))

    def test_moved_with_the_place_it_had(self, channel: str) -> None:
        shell = waiting_house()
        contact = _contact(shell, channel)
        shell.run(60)
        other = call(shell, "602")
        shell.send(inp.MoveContact(contact=contact, queue="sales", by="supervisor:sophie"))
        waiting = {one.contact: one for one in shell.engine.state.entries.values()}
        assert waiting[contact].queue == "sales"
        assert waiting[contact].queued_at == T0
        shell.send(inp.LogOff(agent="ben"), inp.GoReady(agent="anna"))
        assert offered(shell) == [(contact, "anna")]
        assert other not in works(shell)
        with pytest.raises(IllegalTransition, match="already"):
            shell.send(inp.MoveContact(contact=contact, queue="sales", by="supervisor:sophie"))
        with pytest.raises(UnknownName):
            shell.send(inp.MoveContact(contact=contact, queue="nowhere", by="supervisor:sophie"))

    def test_moved_while_it_is_offered(self, channel: str) -> None:
        shell = waiting_house()
        contact = _contact(shell, channel)
        shell.send(inp.GoReady(agent="anna"))
        shell.send(inp.MoveContact(contact=contact, queue="sales", by="supervisor:sophie"))
        assert [one.outcome for one in shell.of(ev.OfferEnded)] == ["withdrawn"]
        assert works(shell) == {contact: "reserved"}  # who is free for the other queue too
        assert shell.of(ev.OfferMade)[-1].queue == "sales"

    def test_prioritised_goes_before_who_came_earlier_up_to_the_queue_s_cap(self, channel: str) -> None:
        shell = waiting_house()
        first = _contact(shell, channel)
        shell.run(100)
        second = _contact(shell, channel)
        shell.send(inp.PrioritiseContact(contact=second, priority_s=10_000.0, by="supervisor:sophie"))
        entry = next(one for one in shell.engine.state.entries.values() if one.contact == second)
        assert entry.priority_s == 300.0
        shell.send(inp.GoReady(agent="anna"))
        assert offered(shell)[0] == (second, "anna")
        shell.send(inp.PrioritiseContact(contact=second, priority_s=0.0, by="supervisor:sophie"))
        assert [shell.engine.live().queues[0].waiting[at].contact for at in (0, 1)] == [first, second]

    @pytest.mark.parametrize("priority_s", [-1.0, float("inf"), float("nan")])
    def test_an_advantage_is_a_number_of_seconds(self, channel: str, priority_s: float) -> None:
        shell = waiting_house()
        contact = _contact(shell, channel)
        with pytest.raises(IllegalTransition, match="0 s or more"):
            shell.engine.handle(inp.PrioritiseContact(contact=contact, priority_s=priority_s, by="x"), shell.now)

    def test_asked_for_otherwise_goes_to_who_has_that(self, channel: str) -> None:
        shell = waiting_house()
        contact = _contact(shell, channel)
        shell.send(inp.GoReady(agent="ben"))
        assert offered(shell) == []
        shell.send(inp.ReskillContact(contact=contact, requirements=(), by="supervisor:sophie"))
        assert offered(shell) == [(contact, "ben")]
        shell.send(inp.Decline(agent="ben"))
        shell.send(inp.ReskillContact(contact=contact, requirements=None, by="supervisor:sophie"))
        shell.run(60)
        assert len(offered(shell)) == 1


def test_out_of_turn_nobody_has_more_than_there_is_room_for() -> None:
    shell = waiting_house()
    taken_one = _picked(shell, "chat")
    mail = come(shell)
    with pytest.raises(IllegalTransition, match="no room for one more by mail"):
        shell.send(inp.Pick(agent="anna", contact=mail))
    with pytest.raises(IllegalTransition, match="nobody waits whom the agent could take now"):
        shell.send(inp.Pick(agent="anna"))
    with pytest.raises(IllegalTransition, match="no room for one more by mail"):
        shell.send(inp.AssignContact(agent="anna", contact=mail, by="supervisor:sophie"))
    shell.send(inp.CallArrived(call="code", leg="code-in", agent="anna", calling="21", called="*26"))
    assert shell.done(ef.PlaySounds)[-1].sounds == ("invalid_choice",)
    assert works(shell)[taken_one] == "connected"


def _picked(shell: Shell, channel: str) -> str:
    contact = come(shell, channel)
    shell.send(inp.Pick(agent="anna", contact=contact), inp.Answer(agent="anna", contact=contact))
    return contact


def test_a_call_that_hears_the_recording_notice_is_neither_picked_nor_assigned_and_may_be_moved() -> None:
    people = (agent("anna", may_pick=True),)
    queues = (queue("support", record=True), queue("sales"))
    shell = open_house(house(agents=people, queues=queues), anna=NEVER)
    caller = call(shell)
    with pytest.raises(IllegalTransition, match="it is being told something first"):
        shell.send(inp.Pick(agent="anna", contact=caller))
    with pytest.raises(IllegalTransition, match="it is being told something first"):
        shell.send(inp.AssignContact(agent="anna", contact=caller, by="supervisor:sophie"))
    shell.send(inp.MoveContact(contact=caller, queue="sales", by="supervisor:sophie"))
    assert offered(shell) == [(caller, "anna")]  # there nobody is recorded


def test_a_contact_is_moved_from_the_agent_who_has_it_and_a_call_is_not() -> None:
    shell = open_house(house(queues=(queue("support"), queue("sales", requirements=(SkillRequirement(skill="sales"),)))))
    mail = taken(shell)
    shell.send(inp.MoveContact(contact=mail, queue="sales", by="supervisor:sophie"))
    assert works(shell) == {mail: "after_call_work"}
    assert [one.queue for one in shell.engine.state.entries.values()] == ["sales"]
    shell.send(inp.EndAfterCallWork(agent="anna"))
    talk(shell, "c")
    with pytest.raises(IllegalTransition, match="in no queue"):
        shell.send(inp.MoveContact(contact="c", queue="sales", by="supervisor:sophie"))


# ---------------------------------------------------------------------- what happens around it

CLOSED = Schedule(id="never")


def test_a_message_waits_in_a_closed_queue_and_is_offered_there_a_call_goes_where_the_queue_says() -> None:
    closed = queue(schedule="never", closed=ToAnnouncement(sounds=("closed",)))
    shell = open_house(house(queues=(closed,), schedules=(CLOSED,)))
    caller = call(shell)
    assert [one.outcome for one in shell.of(ev.QueueLeft) if one.contact == caller] == ["closed"]
    mail = come(shell)
    assert works(shell) == {mail: "reserved"}


def test_a_queue_that_is_removed_leaves_its_messages_open_without_a_queue_and_its_callers_told() -> None:
    shell = open_house(house(queues=(queue("support"), queue("sales"))), ready=False, anna=NEVER)
    mail = come(shell)
    shell.run(1)
    caller = call(shell)
    shell.run(4)
    shell.send(inp.LogOn(agent="anna", ready=True))
    assert works(shell) == {mail: "reserved"}
    assert shell.engine.state.configuration is not None
    change(shell, queues=(queue("sales"),), numbers=())
    assert works(shell) == {}
    assert not shell.engine.state.entries
    assert shell.done(ef.PlaySounds)[-1].leg == f"{caller}-in"
    shell.run(10)
    assert [one.cause for one in shell.of(ev.CallCleared)] == ["not_found"]
    assert shell.engine.state.contacts.keys() == {mail}
    shell.send(inp.MoveContact(contact=mail, queue="sales", by="supervisor:sophie"))
    assert works(shell) == {mail: "reserved"}
    entry = shell.engine.state.entries[shell.engine.state.contacts[mail].entry]  # type: ignore[index]
    assert entry.queued_at == T0  # when it came


@pytest.mark.parametrize("as_a_whole", [True, False])
def test_what_a_removed_agent_had_in_work_waits_again_with_its_place(as_a_whole: bool) -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))))
    shell.send(inp.GoNotReady(agent="ben", reason="break"))
    mail, done = taken(shell), taken(shell)
    shell.send(inp.CloseContact(agent="anna", contact=done))
    shell.run(5)
    later = come(shell, "chat")
    shell.run(1)
    if as_a_whole:
        shell.send(inp.Configured(configuration=house(agents=(agent("ben"),))))
    else:
        change(shell, agents=(agent("ben"),))
    assert works(shell) == {done: "after_call_work"}
    shell.run(10)
    assert "anna" not in shell.engine.state.agents
    shell.send(inp.GoReady(agent="ben"))
    assert works(shell, "ben") == {mail: "reserved"}  # before the chat that came after it
    assert later in shell.engine.state.contacts


def test_what_a_removed_agent_had_from_a_queue_that_is_gone_too_stays_open_and_can_be_moved() -> None:
    """As what waited in such a queue does: a supervisor sees it."""
    shell = open_house(house(agents=(agent("anna"), agent("ben")), queues=(queue("support"), queue("sales"))))
    mail = taken(shell)
    change(shell, agents=(agent("ben"),), queues=(queue("sales"),), numbers=())
    assert not shell.engine.state.entries
    assert shell.engine.state.contacts.keys() == {mail}
    shell.send(inp.MoveContact(contact=mail, queue="sales", by="supervisor:sophie"))
    assert works(shell, "ben") == {mail: "reserved"}


def test_a_queue_that_comes_to_ask_for_the_language_does_so_of_who_waits_already() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben", languages=("en",)))), ready=False)
    chat = come(shell, "chat", language="en")
    change(shell, queues=(queue(languages="required"),))
    shell.send(inp.LogOn(agent="anna", ready=True))
    assert offered(shell) == []
    change(shell, queues=(queue(languages="preferred"),))
    assert offered(shell) == [(chat, "anna")]


def test_a_message_that_overflows_goes_to_the_other_queue_and_stays_where_nothing_can_be_played_to_it() -> None:
    announced = Overflow(target=ToAnnouncement(sounds=("all_busy",)), max_wait_s=10.0)
    onward = Overflow(target=ToQueue(queue="support"), max_wait_s=10.0)
    shell = open_house(house(queues=(queue("support", overflow=(announced,)), queue("sales", overflow=(onward,)))), ready=False)
    mail = come(shell, queue="sales")
    shell.run(100)
    (entry,) = shell.engine.state.entries.values()
    assert (entry.contact, entry.queue) == (mail, "support")
    assert not shell.plays


def test_a_restart_keeps_messages_offers_and_work_with_the_time_that_was_left() -> None:
    people = (agent("anna"), agent("ben"))
    queues = (queue("support", after_call_work_s=30.0, ring_timeout_s=20.0),)
    shell = open_house(house(agents=people, queues=queues, capacity=(can("mail", 2),)), ben=NEVER)
    worked, wrapped = taken(shell), None
    shell.send(inp.GoNotReady(agent="ben", reason="break"))
    wrapped = taken(shell)
    shell.send(inp.CloseContact(agent="anna", contact=wrapped))
    shell.run(5)
    shell.send(inp.GoReady(agent="ben"))
    rings = come(shell)
    waits = come(shell, language="en")
    third = come(shell)
    caller = call(shell)
    assert works(shell, "ben") == {rings: "reserved", waits: "reserved"}
    shell.run(8)
    shell.send(inp.SignOfLife())
    left = shell.now
    shell.now += 1000.0  # nobody is there
    shell.send(inp.ServiceStarted())
    assert works(shell) == {worked: "connected", wrapped: "after_call_work"}
    assert works(shell, "ben") == {rings: "reserved", waits: "reserved"}
    assert [(one.call, one.cause) for one in shell.of(ev.CallCleared)] == [(caller, "restart")]
    assert [one.contact for one in shell.engine.state.entries.values()] == [rings, waits, third]
    queued = {one.contact: one.queued_at for one in shell.engine.state.entries.values()}
    assert queued[third] == T0 + 5  # it has waited all the while
    started = shell.now
    assert left == T0 + 13
    shell.run(until=started + 11.9)  # of the ring's 20 s 12 are left
    assert shell.of(ev.OfferEnded)[2:] == []
    shell.run(until=started + 12.1)
    assert [(one.contact, one.outcome) for one in shell.of(ev.OfferEnded)[2:]] == [(rings, "no_answer"), (waits, "no_answer")]
    shell.run(until=started + 16.9)  # and of the after-call work's 30 s 17
    assert wrapped in works(shell)
    shell.run(until=started + 17.1)
    assert wrapped not in works(shell)
    assert works(shell)[worked] == "connected"


def test_who_stops_offers_nothing_and_takes_messages_in() -> None:
    shell = waiting_house()
    first = come(shell)
    shell.send(inp.ServiceStopping())
    shell.send(inp.GoReady(agent="anna"))
    second = come(shell)
    assert offered(shell) == []
    for command in (inp.Pick(agent="anna"), inp.Pick(agent="anna", contact=second), inp.AssignContact(agent="ben", contact=first, by="x")):
        with pytest.raises(IllegalTransition, match="shutting down"):
            shell.send(command)
    shell.send(inp.ServiceStarted())
    assert offered(shell) == [(first, "anna"), (second, "anna")]


# ---------------------------------------------------------------------- callbacks, and desks that are left


def outside_house(**more: Any) -> Shell:
    """Somebody who can be called back, over a trunk."""
    return open_house(house(agents=(agent("anna", **more),)), anna=NEVER)


def test_who_has_a_callback_at_hand_dials_it_though_a_caller_waits() -> None:
    """The caller could not be given to her: a callback keeps her from calls."""
    shell = outside_house()
    taken(shell, "callback", customer="+498912345")
    call(shell, name="waits")
    shell.send(inp.Dial(agent="anna", call="d", number="+498912345"))
    assert works(shell)["d"] == "reserved"
    shell.send(inp.CloseContact(agent="anna", contact=next(iter(works(shell)))))


def test_who_could_take_the_waiting_call_still_dials_nobody_else() -> None:
    shell = outside_house(capacity=(ChannelCapacity(channel="voice", at_once=1, not_during=()),))
    shell.send(inp.GoNotReady(agent="anna", reason="break"))
    call(shell, name="waits")
    with pytest.raises(IllegalTransition, match="A call is waiting"):
        shell.send(inp.Dial(agent="anna", call="d", number="+498912345"))


@pytest.mark.parametrize(
    ("mode", "channel", "is_offered"),
    [
        ("outbound", "voice", False),
        ("outbound", "callback", True),
        ("outbound", "mail", True),
        ("inbound", "voice", True),
        ("inbound", "callback", False),
        ("inbound", "mail", True),
        ("blended", "voice", True),
        ("blended", "callback", True),
    ],
)
def test_the_mode_speaks_of_calls(mode: str, channel: str, *, is_offered: bool) -> None:
    shell = outside_house(mode=mode)
    contact = call(shell, name="c") if channel == "voice" else come(shell, channel, customer="+498912345")
    assert (contact in works(shell)) is is_offered
    if not is_offered:
        assert shell.engine.why_waiting(contact, shell.now).removed["mode"] == ("anna",)


def test_a_callback_by_order_of_a_supervisor_may_be_dialled_by_who_makes_no_calls() -> None:
    shell = outside_house(mode="inbound")
    contact = come(shell, "callback", customer="+498912345")
    shell.send(inp.AssignContact(agent="anna", contact=contact, by="supervisor:sophie"), inp.Answer(agent="anna", contact=contact))
    with pytest.raises(IllegalTransition, match="makes none"):
        shell.send(inp.Dial(agent="anna", call="d", number="+491709999"))
    shell.send(inp.Dial(agent="anna", call="d", number="+498912345"))
    assert works(shell)["d"] == "reserved"


@pytest.mark.parametrize(
    "leaves",
    [
        inp.GoNotReady(agent="anna", reason="break"),
        inp.LogOff(agent="anna"),
        inp.Configured(configuration=resolved(house(agents=(agent("ben"),)), T0)),
    ],
    ids=["not ready", "logged off", "removed"],
)
def test_what_is_offered_at_a_desk_that_is_left_is_offered_to_the_next_at_once(leaves: inp.Input) -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))))
    shell.send(inp.GoNotReady(agent="ben", reason="break"))
    mail = come(shell)
    shell.send(inp.GoReady(agent="ben"))
    assert offered(shell) == [(mail, "anna")]
    shell.send(leaves)
    assert offered(shell) == [(mail, "anna"), (mail, "ben")]
    assert [one.outcome for one in shell.of(ev.OfferEnded)] == ["withdrawn"]
    if "anna" in shell.engine.state.agents:
        assert works(shell) == {}
        assert shell.engine.state.agents["anna"].misses == {}
    else:
        shell.send(inp.Configured(configuration=resolved(house(agents=(agent("anna"), agent("ben"))), T0)))
        assert str(shell.engine.state.agents["anna"].state) == "logged_off"


def test_a_phone_that_rings_may_still_be_taken_by_who_said_to_be_away() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben"))), anna=NEVER, ben=NEVER)
    call(shell, name="c")
    (asked,) = last(shell).chosen
    shell.send(inp.GoNotReady(agent=asked, reason="break"))
    assert works(shell, asked) == {"c": "reserved"}


def test_what_comes_in_beside_everything_is_held_back_for_nothing() -> None:
    """An administrator who lets calls in beside whatever there is does not lose them to a mail that waits."""
    beside = tuple(ChannelCapacity(channel=one, at_once=3 if one == "chat" else 1, not_during=()) for one in ("voice", "chat"))
    shell = open_house(house(agents=(agent("anna", capacity=beside),)), anna=NEVER)
    taken(shell, "chat")
    mail = come(shell, "mail")
    assert mail not in works(shell)
    call(shell, name="c")
    assert works(shell)["c"] == "reserved"
