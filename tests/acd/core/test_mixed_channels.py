"""One router for several channels: what is awaited, what is free again, and that no channel starves (house; DESIGN.md §3)."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import ChannelCapacity, Overflow, Queue, SkillRequirement, ToHangUp
from acd.core.configuration_changes import difference
from acd.core.ids import channel_of
from acd.core.replay import restore, snapshot
from acd.core.routing import pick as routing
from acd.resolve import resolved
from tests.acd.core.shell import T0, Phone, Shell, agent, call, house, open_house, queue
from tests.reference.router import has_room, must_get

AT_ONCE = Phone(answers_after_s=0.0)
MAILS_BESIDE_CALLS = (ChannelCapacity(channel="voice", at_once=1, not_during=("message", "chat", "callback")),)


def plain(name: str = "support", **more: Any) -> Queue:
    """Nothing is played before somebody can be offered, and nothing is left to do after."""
    return queue(name, **({"greeting": (), "announce_position": False, "after_call_work_s": 0.0} | more))


def opened(shell: Shell, contact: str, queue: str = "support", **more: Any) -> str:
    shell.send(inp.OpenContact(contact=contact, channel=channel_of(contact), queue=queue, **more))
    return contact


def offers(shell: Shell) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.contact, one.decision.chosen) for one in shell.of(ev.OfferMade)]


# ---------------------------------------------------------------------- no channel starves


class Load:
    """Chats come so fast that nobody who works at them is ever without one; now and then somebody calls, or writes a mail."""

    EVERY_S: ClassVar = {"chat": 10, "voice": 100, "mail": 130}
    TAKES_S: ClassVar = {"chat": 40, "voice": 20, "mail": 30}
    SECONDS = 3000

    def __init__(self) -> None:
        self.shell = open_house(house(agents=(agent("anna"), agent("ben")), queues=(plain(),)), anna=AT_ONCE, ben=AT_ONCE)
        self.came: dict[str, float] = {}
        self.waited: dict[str, float] = {}

    def run(self) -> None:
        for second in range(0, self.SECONDS, 2):
            for channel, every in self.EVERY_S.items():
                if second % every < 2:
                    name = f"{channel}:{second}" if channel != "voice" else f"c{second}"
                    self.came[name] = self.shell.now
                    call(self.shell, name=name) if channel == "voice" else opened(self.shell, name)
            self.work()
            self.shell.run(2)

    def work(self) -> None:
        shell = self.shell
        for person in list(shell.engine.state.agents.values()):
            for work in list(person.works.values()):
                if work.state == "reserved" and work.channel != "voice":
                    shell.send(inp.Answer(agent=person.id, contact=work.contact))
                if work.state in ("reserved", "connected"):
                    self.waited.setdefault(work.contact, shell.now - self.came[work.contact])
                if work.state == "connected" and shell.now - work.since >= self.TAKES_S[work.channel]:
                    over = inp.HangUp(agent=person.id, call=work.contact) if work.channel == "voice" else None
                    shell.send(over or inp.CloseContact(agent=person.id, contact=work.contact))

    def longest(self) -> dict[str, float]:
        """Seconds, by channel; of those who wait still, so far."""
        found: dict[str, float] = {}
        for name, came in self.came.items():
            waited = self.waited.get(name, self.shell.now - came)
            found[channel_of(name)] = max(found.get(channel_of(name), 0.0), waited)
        return found


def test_no_channel_starves_beside_one_that_never_ends() -> None:
    """Whoever is awaited ends the chats there are and is given no more: a wait is that of the chats, a call and a mail, not of the day."""
    load = Load()
    load.run()
    assert Counter(channel_of(one) for one in load.waited)["voice"] >= load.SECONDS // load.EVERY_S["voice"]
    longest = load.longest()
    assert longest["voice"] <= 2 * load.TAKES_S["chat"] + load.TAKES_S["mail"]
    assert longest["mail"] <= 2 * load.TAKES_S["chat"] + load.TAKES_S["mail"] + load.TAKES_S["voice"]
    assert longest["chat"] <= 2 * load.TAKES_S["chat"] + load.TAKES_S["mail"] + load.TAKES_S["voice"]


def test_the_others_would_starve_if_nobody_were_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing._Round, "await_one", lambda *_: False)
    load = Load()
    load.run()
    assert load.longest()["voice"] > load.SECONDS / 2


# ---------------------------------------------------------------------- nobody overtaken

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("call", "callback", "chat", "done", "done", "wait")),
        st.sampled_from((0.0, 1.0, 7.0, 40.0)),
        st.sampled_from((None, 0.0, 30.0, 1000.0)),
    ),
    min_size=8,
    max_size=40,
)


class Book:
    """Who waits and who has what, kept by the events alone."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.place: dict[str, tuple[float, float, str]] = {}
        self.waiting: set[str] = set()
        self.works: dict[str, list[str]] = {"anna": [], "ben": []}
        self.read = len(shell.journal)
        self.offers = 0

    def note(self) -> None:
        for entry in self.shell.journal[self.read :]:
            for event in entry.events:
                self._note(event)
        self.read = len(self.shell.journal)

    def _note(self, event: ev.Event) -> None:
        match event:
            case ev.Queued():
                self.waiting.add(event.contact)
            case ev.QueueLeft():
                self.waiting.discard(event.contact)
            case ev.OfferMade():
                self.waiting.remove(event.contact)
                self.nobody_overtaken(event.contact)
                self.offers += 1
            case ev.WorkReserved():
                self.works[event.agent].append(channel_of(event.contact))
            case ev.WorkDone():
                self.works[event.agent].remove(channel_of(event.contact))
            case _:
                assert not isinstance(event, ev.AgentNotReady)

    def nobody_overtaken(self, contact: str) -> None:
        configuration = self.shell.engine.state.configuration
        assert configuration is not None
        for better in [one for one in self.waiting if self.place[one] < self.place[contact]]:
            for person in configuration.agents:
                assert not has_room(configuration, person, channel_of(better), self.works[person.id]), f"{contact} overtook {better}"


@given(actions=ACTIONS)
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_callers_and_callbacks_and_chats_are_offered_in_one_order(actions: list[tuple[str, float, float | None]]) -> None:
    """Equal agents, one line: whoever has the higher score is before, whatever the channel, but for whom nobody who is free has room."""
    line = plain(priority_cap_s=60.0, ring_timeout_s=10_000.0)
    shell = open_house(house(agents=(agent("anna"), agent("ben")), queues=(line,)), anna=AT_ONCE, ben=AT_ONCE)
    book = Book(shell)
    for number, (action, seconds, own) in enumerate(actions):
        name = f"c{number}" if action == "call" else f"{action}:{number}"
        if action == "call":
            book.place[name] = (shell.now, shell.now, f"{name}/q1")
            call(shell, name=name)
        elif action in ("callback", "chat"):
            since = shell.now - seconds
            book.place[name] = (since - min(own or 0.0, 60.0), since, f"{name}/q1")
            opened(shell, name, since=since, priority_s=own)
        elif action == "wait":
            shell.run(seconds)
        else:
            _done_with_one(shell)
        book.note()
    assert book.offers or not book.place


def _done_with_one(shell: Shell) -> None:
    for person in list(shell.engine.state.agents.values()):
        for work in list(person.works.values()):
            if work.channel == "voice":
                shell.run(0.1)
                shell.send(inp.HangUp(agent=person.id, call=work.contact))
                return
            if work.state == "reserved":
                shell.send(inp.Answer(agent=person.id, contact=work.contact))
            shell.send(inp.CloseContact(agent=person.id, contact=work.contact))
            return


# ---------------------------------------------------------------------- what is free again is given


def test_who_has_room_for_several_is_offered_them_in_the_same_step() -> None:
    shell = open_house(house(queues=(plain(),)), ready=False)
    for contact in ("chat:1", "chat:2", "chat:3", "chat:4"):
        opened(shell, contact)
    shell.send(inp.LogOn(agent="anna", ready=True))
    assert offers(shell) == [(f"chat:{n}", ("anna",)) for n in (1, 2, 3)]


def test_who_was_awaited_for_a_caller_that_is_gone_is_free_again() -> None:
    shell = open_house(house(queues=(plain(),)))
    opened(shell, "chat:1")
    call(shell, name="c")
    opened(shell, "chat:2")
    assert offers(shell) == [("chat:1", ("anna",))]
    assert shell.engine.why_waiting("chat:2", shell.now).removed == {"awaited": ("anna",)}
    shell.send(inp.LegReleased(leg="c-in"))
    assert offers(shell) == [("chat:1", ("anna",)), ("chat:2", ("anna",))]


def test_who_has_no_phone_is_not_awaited_for_a_call() -> None:
    """Whoever only writes would be given one chat at a time as long as anybody is on the line."""
    shell = open_house(house(queues=(plain(),)))
    shell.send(inp.DeviceUnregistered(agent="anna", contact="sip:anna@127.0.0.1"))
    opened(shell, "chat:1")
    call(shell, name="c")
    opened(shell, "chat:2")
    assert offers(shell) == [("chat:1", ("anna",)), ("chat:2", ("anna",))]
    shell.send(inp.DeviceRegistered(agent="anna", contact="sip:anna@127.0.0.1", expires_at=T0 + 1000))
    opened(shell, "chat:3")
    assert len(offers(shell)) == 2
    shell.send(inp.DeviceUnregistered(agent="anna", contact="sip:anna@127.0.0.1"))
    assert offers(shell)[2] == ("chat:3", ("anna",))


def test_nobody_is_awaited_for_who_hears_the_recording_notice() -> None:
    shell = open_house(house(queues=(plain(record=True),)))
    opened(shell, "chat:1")
    call(shell, name="c")
    shell.run(0.5)
    assert shell.engine.state.contacts["c"].not_yet
    opened(shell, "chat:2")
    assert offers(shell) == [("chat:1", ("anna",)), ("chat:2", ("anna",))]
    shell.run(5)
    opened(shell, "chat:3")
    assert len(offers(shell)) == 2


def test_what_is_moved_from_an_agent_may_come_back_to_the_same() -> None:
    """What was left to do on it is over when it is there again."""
    queues = (plain(after_call_work_s=10.0), plain("sales", requirements=(SkillRequirement(skill="support"),)))
    shell = open_house(house(queues=queues))
    opened(shell, "chat:1")
    shell.send(inp.Answer(agent="anna"), inp.MoveContact(contact="chat:1", queue="sales", by="boss"))
    assert offers(shell) == [("chat:1", ("anna",)), ("chat:1", ("anna",))]
    assert shell.of(ev.WorkDone) == [ev.WorkDone(agent="anna", contact="chat:1", outcome="handled")]
    shell.send(inp.Answer(agent="anna"))
    shell.run(11)  # the time of the after-call work that is no more
    assert [work.state for work in shell.engine.state.agents["anna"].works.values()] == ["connected"]


def test_fewest_calls_counts_what_who_goes_on_being_free_has_taken() -> None:
    shell = open_house(house(agents=(agent("anna"), agent("ben")), queues=(plain(strategy="fewest_calls"),)))
    for contact in ("chat:1", "chat:2"):
        opened(shell, contact)
        (_, (who,)) = offers(shell)[-1]
        shell.send(inp.Answer(agent=who, contact=contact))
    assert [who for _, (who,) in offers(shell)] == ["anna", "ben"]
    opened(shell, "chat:3")
    assert [one.terms[0] for one in shell.of(ev.OfferMade)[-1].decision.candidates] == [1.0, 1.0]
    assert must_get(shell.engine.state, shell.now) == []


def test_what_came_while_the_service_ended_is_offered_when_it_runs_again() -> None:
    shell = open_house(house(queues=(plain(),)))
    shell.send(inp.ServiceStopping())
    opened(shell, "chat:1")
    assert offers(shell) == []
    shell.send(inp.ServiceStarted())
    assert offers(shell) == [("chat:1", ("anna",))]


def test_a_limit_that_has_passed_without_effect_is_not_met_again() -> None:
    """A chat cannot be sent to a hang-up: it waits on. Told the same configuration once more, nothing is due."""
    rule = Overflow(target=ToHangUp(), max_wait_s=30.0)
    shell = open_house(house(queues=(plain(overflow=(rule,)), plain("sales"))), ready=False)
    opened(shell, "chat:1")
    shell.run(31)
    configuration = shell.engine.state.configuration
    assert configuration is not None
    for changed in (inp.Configured(configuration=configuration), inp.Reconfigured(changes=())):
        before = len(shell.of(ev.DeadlinePassed))
        shell.send(changed)
        assert shell.engine.next_timeout() is None or shell.engine.next_timeout() > shell.now  # type: ignore[operator]
        assert len(shell.of(ev.DeadlinePassed)) == before


def test_who_is_taken_out_together_with_a_change_of_capacity_is_in_no_roster() -> None:

    people = (agent("anna"), agent("ben"))
    shell = open_house(house(agents=people, queues=(plain(),)))
    opened(shell, "chat:1")
    shell.send(inp.Answer(agent="anna"))
    old = shell.engine.state.configuration
    assert old is not None
    new = resolved(house(agents=people[1:], queues=(plain(),), capacity=MAILS_BESIDE_CALLS), T0)
    shell.send(inp.Reconfigured(changes=difference(old, new)))
    again = restore(snapshot(shell.engine))
    for channel in ("voice", "chat"):
        assert "anna" not in {one for members in shell.engine._step.fold.availability[channel].members.values() for one in members}
    assert again.state_hash() == shell.engine.state_hash()


def test_a_phone_is_in_one_call_at_a_time() -> None:
    twice = (ChannelCapacity(channel="voice", at_once=2),)
    (problem,) = replace(house(), capacity=twice).problems()
    assert problem.startswith("the tenant has the capacity 2 for voice; ")
    assert replace(house(), capacity=(ChannelCapacity(channel="voice", at_once=0),)).problems() == []


@pytest.mark.parametrize("strategy", ["longest_idle", "best_skill", "fewest_calls"])
def test_chats_are_spread_over_those_who_are_equally_good(strategy: str) -> None:
    """Whoever is idle is before whoever has a chat, however long that one was idle before it."""
    people = tuple(agent(name) for name in ("anna", "ben", "carl"))
    shell = open_house(house(agents=people, queues=(plain(strategy=strategy),)))
    for number in range(6):
        opened(shell, f"chat:{number}")
    assert [chosen for _, (chosen,) in offers(shell)] == ["anna", "ben", "carl"] * 2
    first, last = shell.of(ev.OfferMade)[0].decision, shell.of(ev.OfferMade)[3].decision
    assert "at_hand" in first.term_names
    at = first.term_names.index("at_hand")
    assert [[one.terms[at] for one in decision.candidates] for decision in (first, last)] == [[0.0] * 3, [1.0] * 3]


def test_a_call_goes_to_who_has_no_mail_open_and_where_calls_stand_alone_nothing_is_said_of_it() -> None:
    people = (agent("anna"), agent("ben"))
    beside = open_house(house(agents=people, queues=(plain(),), capacity=MAILS_BESIDE_CALLS))
    opened(beside, "mail:1")
    call(beside, name="c")
    assert [chosen for _, (chosen,) in offers(beside)] == ["anna", "ben"]
    alone = open_house(house(agents=people, queues=(plain(),)))
    call(alone, name="c")
    assert alone.of(ev.OfferMade)[0].decision.term_names == ("idle_since",)
    alone.send(inp.Configured(configuration=replace(beside.engine.state.configuration, capacity=MAILS_BESIDE_CALLS)))
    call(alone, name="d")
    assert alone.of(ev.OfferMade)[1].decision.term_names == ("at_hand", "idle_since")
