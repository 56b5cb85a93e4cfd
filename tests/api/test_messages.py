"""Messages and callbacks: they come in, are offered, taken, closed; agents pick; supervisors act on who waits; who may read what."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from acd.core import events as ev
from acd.core.channel_kinds import CHANNELS
from acd.core.ids import AgentId, CallId, ContactId, EntryId, LegId, OfferId, QueueId, TenantId
from acd.core.live import LiveContact
from acd.service import LiveEvent
from api.contract import decision_of, event_of
from api.telephony.rules import AgentView, told_live
from tests.api.conftest import ACME, Service
from tests.api.sockets import Socket

EVENTS = "/api/v1/events"
MESSAGE = {"queue": "support", "customer": "erika@example.com", "subject": "My order", "text": "Where is it?\nErika"}


async def ready(service: Service, *agents: str) -> None:
    for agent in agents:
        await service.voice.register(ACME, agent)
        await service.made(f"agents/{agent}/log-on", {"ready": True}, "supervisor")


async def posted(service: Service, **other: Any) -> str:
    return str((await service.made("messages", MESSAGE | other, "supervisor"))["contact"])


async def at(service: Service, contact: str) -> LiveContact | None:
    live = service.voice.live(ACME)
    return next((one for one in live.contacts if one.id == contact), None)


def kinds(done: dict[str, Any]) -> list[str]:
    return [event["type"] for event in done["events"]]


class TestMessages:
    async def test_message_is_offered_taken_worked_and_closed_and_a_call_is_next(self, staffed: Service) -> None:
        answer = await staffed.call("POST", "messages", "supervisor", json=MESSAGE)
        assert answer.status_code == 201
        contact = answer.json()["contact"]
        assert answer.headers["Location"] == f"/api/v1/messages/{contact}"
        assert contact.startswith("message:")
        waiting = await staffed.got(f"messages/{contact}", "supervisor")
        assert (waiting["state"], waiting["agents"], waiting["text"]) == ("waiting", [], "Where is it?\nErika")
        await ready(staffed, "anna")
        assert (await staffed.got(f"messages/{contact}", "anna"))["state"] == "offered"
        assert kinds(await staffed.made("agents/me/answer", {}, "anna")) == ["OfferEnded", "QueueLeft", "WorkConnected"]
        assert (await staffed.got(f"messages/{contact}", "anna"))["state"] == "taken"
        call = await staffed.voice.arrive(ACME, "601", "+4930111111")
        assert (await staffed.got(f"waiting/{call}/why", "anna"))["removed"]["busy"] == ["anna"]  # no call during a message
        await staffed.made(f"agents/me/contacts/{contact}/disposition", {"code": "sold"}, "anna")
        done = await staffed.made(f"agents/me/contacts/{contact}/close", {}, "anna")
        assert kinds(done) == ["ContactClosed", "AfterCallWorkBegan"]
        assert kinds(await staffed.made("agents/me/end-after-call-work", {}, "anna"))[:2] == ["WorkDone", "OfferMade"]  # of the call
        assert (await staffed.call("GET", f"messages/{contact}", "anna")).status_code == 404
        assert (await staffed.got(f"waiting/{contact}/decisions", "supervisor"))["decisions"][0]["outcomes"][0]["outcome"] == "answered"

    async def test_which_one_is_meant_where_several_are_offered(self, staffed: Service) -> None:
        await ready(staffed, "anna")
        first, second = await posted(staffed), await posted(staffed)
        assert [(await at(staffed, one)).agents for one in (first, second)] == [("anna",), ("anna",)]
        await staffed.made("agents/me/decline", {"contact": first}, "anna")
        done = await staffed.made("agents/me/answer", {"contact": second}, "anna")
        assert {event["contact"] for event in done["events"]} == {second}
        answer = await staffed.call("POST", "agents/me/answer", "anna", json={"contact": "message:none"})
        assert (answer.status_code, answer.json()["detail"].endswith("message:none is not offered")) == (409, True)

    async def test_after_call_work_of_one_message_ends_and_that_of_the_other_goes_on(self, staffed: Service) -> None:
        await ready(staffed, "anna")
        contacts = [await posted(staffed), await posted(staffed)]
        for contact in contacts:
            await staffed.made("agents/me/answer", {"contact": contact}, "anna")
            await staffed.made(f"agents/me/contacts/{contact}/close", {}, "anna")
        await staffed.made("agents/me/end-after-call-work", {"contact": contacts[0]}, "anna")
        (anna,) = [one for one in staffed.voice.live(ACME).agents if one.id == "anna"]
        assert [(work.contact, work.state) for work in anna.work] == [(contacts[1], "after_call_work")]
        await staffed.made("agents/me/end-acw", {}, "anna")
        (anna,) = [one for one in staffed.voice.live(ACME).agents if one.id == "anna"]
        assert anna.work == ()

    @pytest.mark.parametrize("channel", sorted(CHANNELS))
    async def test_channels_by_which_somebody_writes_are_taken_and_no_other(self, staffed: Service, channel: str) -> None:
        answer = await staffed.call("POST", "messages", "supervisor", json=MESSAGE | {"channel": channel})
        written = CHANNELS[channel].behaviour == "message"
        assert answer.status_code == (201 if written else 422)
        if written:
            assert answer.json()["contact"].startswith(f"{channel}:")
        else:
            assert "message, chat, mail" in answer.text

    async def test_what_cannot_be_seen_is_replaced_and_what_is_too_long_is_refused(self, staffed: Service) -> None:
        contact = await posted(staffed, subject="in\u202evoice\x07", text="one\r\ntwo\x00\tthree", customer=" Erika\u200e\u202e ")
        told = await staffed.got(f"messages/{contact}", "supervisor")
        assert (told["subject"], told["text"], told["customer"]) == ("in\ufffdvoice\ufffd", "one\ntwo\ufffd\tthree", "Erika\u200e\ufffd")
        for wrong in ({"text": "x" * 4001}, {"subject": "x" * 201}, {"customer": ""}, {"priority_s": -1}, {"language": "german"}):
            assert (await staffed.call("POST", "messages", "supervisor", json=MESSAGE | wrong)).status_code == 422, wrong

    async def test_no_more_are_open_at_once_than_the_operator_allows(self, staffed: Service) -> None:
        limits = {"limits": {"open_contacts": 2}}
        assert (await staffed.call("PUT", "tenants/acme/assignments", "operator", json=limits)).status_code == 200
        await staffed.voice.arrive(ACME, "601", "+4930111111")  # a call is none of them
        first, _ = await posted(staffed), await posted(staffed)
        answer = await staffed.call("POST", "callbacks", "supervisor", json={"queue": "support", "number": "089 123456"})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:fernamt:problem:limit-reached")
        assert answer.json()["detail"].startswith("This tenant may have 2 open contacts, and there are 2.")
        await staffed.call("DELETE", f"messages/{first}", "supervisor")
        await posted(staffed)

    async def test_unknown_queue_and_agent_are_404(self, staffed: Service) -> None:
        for wrong in ({"queue": "nowhere"}, {"personal": "nobody"}):
            assert (await staffed.call("POST", "messages", "supervisor", json=MESSAGE | wrong)).status_code == 404

    @pytest.mark.parametrize(
        ("query", "cause", "counted"), [("", "supervisor", "withdrawn"), ("?for_customer=true", "withdrawn", "abandoned")]
    )
    async def test_message_is_taken_back(self, staffed: Service, query: str, cause: str, counted: str) -> None:
        await ready(staffed, "anna")
        contact = await posted(staffed)
        done = (await staffed.call("DELETE", f"messages/{contact}{query}", "supervisor")).json()
        assert [event["cause"] for event in done["events"] if event["type"] == "ContactClosed"] == [cause]
        (queue,) = staffed.voice.live(ACME).queues
        assert getattr(queue, f"{counted}_today") == 1
        assert (await staffed.call("DELETE", f"messages/{contact}", "supervisor")).status_code == 404

    async def test_calls_and_callbacks_are_no_messages(self, staffed: Service) -> None:
        call = await staffed.voice.arrive(ACME, "601", "+4930111111")
        callback = (await staffed.made("callbacks", {"queue": "support", "number": "030 111112"}, "supervisor"))["contact"]
        for contact in (call, callback, "pigeon:1", "message:none"):
            assert (await staffed.call("GET", f"messages/{contact}", "supervisor")).status_code == 404
            assert (await staffed.call("DELETE", f"messages/{contact}", "supervisor")).status_code == 404


class TestCallbacks:
    async def test_number_is_normalised_and_the_place_kept(self, staffed: Service) -> None:
        call = await staffed.voice.arrive(ACME, "601", "+4930111111")
        body = {"queue": "support", "number": "089 / 123456", "since": "2026-03-02T08:59:00Z"}  # a minute before the call
        contact = (await staffed.made("callbacks", body, "supervisor"))["contact"]
        assert (await staffed.got(f"callbacks/{contact}", "supervisor"))["customer"] == "+4989123456"
        (queue,) = staffed.voice.live(ACME).queues
        assert [one.contact for one in queue.waiting] == [contact, call]
        assert (await staffed.call("DELETE", f"callbacks/{contact}", "supervisor")).status_code == 200

    async def test_a_place_that_nobody_would_have_kept_so_long_is_a_mistake(self, staffed: Service) -> None:
        body = {"queue": "support", "number": "089 / 123456", "since": "1970-01-01T00:00:00Z"}
        answer = await staffed.call("POST", "callbacks", "supervisor", json=body)
        assert (answer.status_code, "7 days" in answer.json()["detail"]) == (422, True)

    async def test_who_takes_it_dials_beside_it_and_says_when_it_is_done(self, staffed: Service) -> None:
        await ready(staffed, "anna")
        contact = (await staffed.made("callbacks", {"queue": "support", "number": "089 123456"}, "supervisor"))["contact"]
        await staffed.made("agents/me/answer", {}, "anna")
        done = await staffed.made("agents/me/dial", {"number": "089 123456"}, "anna")
        assert "CallOffered" in kinds(done)
        assert "ContactClosed" in kinds(await staffed.made(f"agents/me/contacts/{contact}/close", {}, "anna"))

    @pytest.mark.parametrize("number", ["112", "+49110", "nonsense"])
    async def test_emergency_numbers_and_what_is_no_number_are_refused(self, staffed: Service, number: str) -> None:
        answer = await staffed.call("POST", "callbacks", "supervisor", json={"queue": "support", "number": number})
        assert answer.status_code == 422


class TestOutOfTurn:
    async def test_agent_who_may_picks_and_another_does_not(self, staffed: Service) -> None:
        for agent in ("anna", "ben"):
            await staffed.made(f"agents/{agent}/log-on", {}, "supervisor")  # not ready
        contact, other = await posted(staffed), await posted(staffed)
        assert (await staffed.call("POST", "agents/me/pick", "anna")).status_code == 409
        configuration = staffed.voice.setups[ACME].configuration
        may = tuple(msgspec.structs.replace(one, may_pick=one.id == "anna") for one in configuration.agents)
        setup = msgspec.structs.replace(staffed.voice.setups[ACME], configuration=msgspec.structs.replace(configuration, agents=may))
        before, staffed.voice.setups[ACME] = staffed.voice.setups[ACME], setup
        await staffed.voice.configure(setup)
        done = await staffed.made("agents/me/pick", {"contact": other}, "anna")
        (made,) = [event for event in done["events"] if event["type"] == "OfferMade"]
        assert (made["contact"], made["decision"]["by"], made["decision"]["chosen"]) == (other, "agent:anna", ["anna"])
        assert (await staffed.call("POST", "agents/me/pick", "ben")).status_code == 409
        assert "OfferMade" in kinds(await staffed.made("agents/ben/pick", {}, "supervisor"))  # the supervisor may
        assert (await at(staffed, contact)).agents == ("ben",)
        await staffed.voice.configure(before)

    async def test_supervisor_moves_prioritises_reskills_and_assigns(self, staffed: Service) -> None:
        await staffed.made("queues", {"id": "sales", "name": "Sales", "requirements": [{"skill": "sales"}]})
        first, second = await posted(staffed), await posted(staffed)
        await staffed.made(f"waiting/{second}/prioritise", {"priority_s": 300}, "supervisor")
        queue = next(one for one in staffed.voice.live(ACME).queues if one.id == "support")
        assert [one.contact for one in queue.waiting] == [second, first]
        await staffed.made(f"waiting/{first}/reskill", {"requirements": [{"skill": "billing", "level": 3}]}, "supervisor")
        assert (await staffed.got(f"waiting/{first}/why", "supervisor"))["requirements"] == [["billing", 3]]
        await staffed.made(f"waiting/{first}/reskill", {"requirements": None}, "supervisor")
        assert (await staffed.got(f"waiting/{first}/why", "supervisor"))["requirements"] == [["support", 1]]
        await staffed.made(f"waiting/{first}/move", {"queue": "sales"}, "supervisor")
        assert (await staffed.got(f"messages/{first}", "supervisor"))["queue"] == "sales"
        await staffed.made("agents/ben/log-on", {}, "supervisor")
        done = await staffed.made(f"waiting/{first}/assign", {"agent": "ben"}, "supervisor")  # who has not the skill
        (made,) = [event for event in done["events"] if event["type"] == "OfferMade"]
        assert (made["decision"]["by"], made["decision"]["chosen"]) == ("supervisor", ["ben"])

    async def test_a_waiting_call_can_be_moved_too(self, staffed: Service) -> None:
        await staffed.made("queues", {"id": "sales", "name": "Sales"})
        call = await staffed.voice.arrive(ACME, "601", "+4930111111")
        done = await staffed.made(f"waiting/{call}/move", {"queue": "sales"}, "supervisor")
        assert {event["call"] for event in done["events"] if event["type"] in {"ContactMoved", "QueueLeft", "Queued"}} == {call}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("waiting/{}/move", {"queue": "support"}),
            ("waiting/{}/prioritise", {"priority_s": 1}),
            ("waiting/{}/reskill", {"requirements": None}),
            ("waiting/{}/assign", {"agent": "anna"}),
            ("messages", MESSAGE),
            ("callbacks", {"queue": "support", "number": "089 123456"}),
        ],
    )
    async def test_these_are_a_supervisor_s(self, staffed: Service, path: str, body: dict[str, Any]) -> None:
        contact = await posted(staffed)
        before = staffed.voice.engines[ACME].state_hash()
        assert (await staffed.call("POST", path.format(contact), "anna", json=body)).status_code == 403
        assert staffed.voice.engines[ACME].state_hash() == before


class TestWhoReadsWhat:
    async def test_agent_is_popped_what_is_offered_and_reads_it_and_a_colleague_reads_nothing(self, staffed: Service) -> None:
        await ready(staffed, "anna")
        ben = staffed.tokens["ben"]
        async with (
            Socket(staffed.app, EVENTS, staffed.tokens["anna"]) as own,
            Socket(staffed.app, EVENTS, ben) as others,
            Socket(staffed.app, EVENTS, staffed.tokens["supervisor"]) as supervisor,
        ):
            _, *told, _ = [await socket.receive() for socket in (own, others, supervisor)]
            contact = await posted(staffed)
            pop, before = await own.until("ScreenPop")
            assert (pop["event"]["channel"], pop["event"]["call"]) == ("message", contact)
            assert (pop["event"]["customer"], pop["event"]["subject"]) == ("erika@example.com", "My order")
            assert (pop["event"]["number"], pop["event"]["called"]) == (None, "")
            assert before == ["Queued", "OfferMade", "WorkReserved"]
            opened, _ = await supervisor.until("ContactOpened")
            assert opened["event"]["text"] == MESSAGE["text"]
            await staffed.made("agents/me/answer", {}, "anna")
            await staffed.made(f"agents/me/contacts/{contact}/close", {}, "anna")
            await staffed.made("agents/me/end-after-call-work", {}, "anna")
            _, seen = await own.until("WorkDone")
            assert seen == ["OfferEnded", "QueueLeft", "WorkConnected", "ContactClosed", "AfterCallWorkBegan"]
            second = await posted(staffed)
            await staffed.call("DELETE", f"messages/{second}", "supervisor")
            for _ in range(4):  # Queued and QueueLeft of both
                told.append(await others.receive())
            assert {message["event"]["type"] for message in told[1:]} == {"Queued", "QueueLeft"}
            third = await posted(staffed)
            told.append((await staffed.call("GET", "live", "ben")).json())
            told.append((await staffed.call("GET", f"messages/{third}", "ben")).json())
            assert told[-1]["status"] == 404
            assert not re.search("erika|My order|Where is it", str(told))
            mine = await staffed.got("live", "anna")
            assert [one["subject"] for one in mine["contacts"]] == ["My order"]

    async def test_number_of_a_customer_who_wrote_is_looked_up(self, staffed: Service) -> None:
        known = await staffed.made("contacts", {"name": "Erika Muster", "numbers": ["030 1111110"]})
        await ready(staffed, "anna")
        async with Socket(staffed.app, EVENTS, staffed.tokens["anna"]) as own:
            await own.receive()
            await posted(staffed, customer="+49301111110", channel="chat")
            pop, _ = await own.until("ScreenPop")
        assert (pop["event"]["number"], pop["event"]["contact"]["id"]) == ("+49301111110", known["id"])

    async def test_a_desk_that_comes_again_knows_what_it_has(self, staffed: Service) -> None:
        """After a restart of browser or service: what becomes of the message that it has is told, that of others is not."""
        await ready(staffed, "anna")
        contact = await posted(staffed)
        await staffed.made("agents/me/answer", {}, "anna")
        async with Socket(staffed.app, EVENTS, staffed.tokens["anna"]) as own:
            await own.receive()
            await staffed.call("DELETE", f"messages/{contact}", "supervisor")
            closed, _ = await own.until("ContactClosed")
        assert closed["event"]["contact"] == contact


CALL = CallId(ContactId("acme-7"))
WRITTEN = ContactId("message:acme-8")


def live_event(event: ev.Event) -> LiveEvent:
    return LiveEvent(tenant=TenantId("acme"), seq=1, at=0.0, event=event)


def offer(contact: ContactId) -> dict[str, Any]:
    """A decision record as the exchange gives it, with its outcome."""
    decision = ev.Decision(
        rule="longest_idle/1",
        term_names=("idle_since",),
        entry_terms={"waited_s": 1.0},
        requirements=(),
        candidates=(ev.Candidate(agent=AgentId("anna"), terms=(0.0,)),),
        removed={},
        tie_break="id",
        chosen=(AgentId("anna"),),
    )
    made = ev.OfferMade(offer=OfferId("o1"), contact=contact, entry=EntryId("e1"), queue=QueueId("support"), decision=decision)
    ended = ev.OfferEnded(offer=OfferId("o1"), contact=contact, agent=AgentId("anna"), outcome="answered")
    return {**msgspec.to_builtins(made), "at": 1.0, "outcomes": [{**msgspec.to_builtins(ended), "at": 2.0}]}


class TestOlderNames:
    @pytest.mark.parametrize(("contact", "call"), [(CALL, CALL), (WRITTEN, None)])
    def test_what_tells_of_a_call_has_the_name_it_had_until_0_2(self, contact: ContactId, call: CallId | None) -> None:
        queued = ev.Queued(contact=contact, entry=EntryId(f"{contact}/q1"), queue=QueueId("support"), position=1)
        for told in (msgspec.to_builtins(event_of(queued)), msgspec.json.decode(told_live(live_event(queued)))["event"]):
            assert (told["type"], told["contact"], told.get("call")) == ("Queued", contact, call)
        told = msgspec.to_builtins(decision_of(offer(contact)))
        assert (told.get("call"), told["outcomes"][0].get("call"), told["offer"]) == (call, call, "o1")

    def test_address_of_a_phone_is_no_contact_of_ours(self) -> None:
        bound = ev.DeviceBound(agent=AgentId("anna"), contact="sip:anna@192.0.2.1", expires_at=1.0, flow="")
        assert "call" not in msgspec.to_builtins(event_of(bound))
        view = AgentView(AgentId("ben"))
        assert not view.admits(live_event(bound))


class TestAgentView:
    def test_message_that_went_on_to_somebody_else_is_no_more_the_agent_s(self) -> None:
        view = AgentView(AgentId("anna"))
        reserved = ev.WorkReserved(agent=AgentId("anna"), contact=WRITTEN, kind="queue")
        ended = ev.OfferEnded(offer=OfferId("o1"), contact=WRITTEN, agent=AgentId("anna"), outcome="declined")
        done = ev.WorkDone(agent=AgentId("anna"), contact=WRITTEN, outcome="declined")
        assert [view.admits(live_event(event)) for event in (reserved, ended, done)] == [True, True, True]
        later = ev.ContactReskilled(contact=WRITTEN, requirements=None, by="supervisor")
        assert not view.admits(live_event(later))

    def test_nothing_is_kept_of_what_is_over(self) -> None:
        """A stream stays open for a shift, and after-call work ends when the call has long been over."""
        view, anna = AgentView(AgentId("anna")), AgentId("anna")
        for contact in (CALL, WRITTEN):
            closed: ev.Event = ev.ContactClosed(contact=contact, cause="handled")
            if contact == CALL:
                assert view.admits(live_event(ev.LegInitiated(leg=LegId("l1"), call=CALL, role="agent", agent=anna)))
                closed = ev.CallCleared(call=CALL, cause="hang_up")
            for event in (
                ev.WorkReserved(agent=anna, contact=contact, kind="queue"),
                closed,
                ev.AfterCallWorkBegan(agent=anna, contact=contact, until=None),
                ev.DispositionSet(agent=anna, contact=contact, code="sold"),
                ev.WorkDone(agent=anna, contact=contact, outcome="handled"),
            ):
                assert view.admits(live_event(event)), event
        assert (view._contacts, view._legs) == (set(), {})
