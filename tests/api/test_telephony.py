"""The desk: commands at the real core engine, the live board, decision records, quotes."""

from __future__ import annotations

from typing import get_args

import pytest

from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.events import Event
from acd.core.ids import TenantId
from acd.errors import PhoneRefused
from tests.api.conftest import ACME, Service


class TestAvailability:
    async def test_agent_goes_ready_and_the_board_shows_it(self, staffed: Service) -> None:
        await staffed.voice.register(ACME, "anna")
        done = await staffed.made("agents/me/log-on", {}, "anna")
        assert [event["type"] for event in done["events"]] == ["AgentLoggedOn"]
        done = await staffed.made("agents/me/ready", {}, "anna")
        assert [event["type"] for event in done["events"]] == ["AgentReady"]
        live = await staffed.got("live", "anna")
        assert {agent["id"]: agent["category"] for agent in live["agents"]} == {"anna": "free", "ben": "logged_off"}

    async def test_agent_cannot_act_for_a_colleague(self, staffed: Service) -> None:
        answer = await staffed.call("POST", "agents/ben/log-on", "anna", json={})
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"

    async def test_supervisor_acts_for_an_agent(self, staffed: Service) -> None:
        await staffed.made("agents/ben/log-on", {"ready": True}, "supervisor")
        live = await staffed.got("live", "supervisor")
        assert next(agent for agent in live["agents"] if agent["id"] == "ben")["state"].lower() == "ready"

    async def test_supervisor_without_a_desk_is_told_to_name_one(self, staffed: Service) -> None:
        assert (await staffed.call("POST", "agents/me/ready", "supervisor")).status_code == 409

    async def test_command_that_does_not_fit_is_409_and_changes_nothing(self, staffed: Service) -> None:
        before = staffed.voice.engines[ACME].state_hash()
        answer = await staffed.call("POST", "agents/me/answer", "anna")
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:fernamt:problem:illegal-transition"
        assert staffed.voice.engines[ACME].state_hash() == before

    async def test_a_phone_that_does_not_take_the_call_is_409_with_what_it_said(
        self, staffed: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refused(*_: object) -> None:
            raise PhoneRefused("the phone refused: 489 Bad Event")

        monkeypatch.setattr(staffed.voice, "command", refused)
        answer = await staffed.call("POST", "agents/me/answer", "anna")
        assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
        told = answer.json()
        assert (told["type"], told["detail"]) == ("urn:fernamt:problem:phone-refused", "the phone refused: 489 Bad Event")

    async def test_unknown_agent_is_404(self, staffed: Service) -> None:
        assert (await staffed.call("POST", "agents/nobody/ready", "supervisor")).status_code == 404


class TestQueueCall:
    async def _offered(self, service: Service, calling: str = "+4930111111") -> str:
        for agent in ("anna", "ben"):
            await service.voice.register(ACME, agent)
            await service.made(f"agents/{agent}/log-on", {"ready": True}, "supervisor")
        return await service.voice.arrive(ACME, "601", calling)

    async def test_best_skilled_agent_rings_and_the_record_says_why(self, staffed: Service) -> None:
        call = await self._offered(staffed)
        rung = [effect for effect in staffed.voice.effects[ACME] if isinstance(effect, ef.OriginateToAgent)]
        assert [effect.agent for effect in rung] == ["anna"]
        told = await staffed.got(f"calls/{call}/decisions", "supervisor")
        assert told["decisions"][0]["decision"]["chosen"] == ["anna"]

    async def test_agent_holds_retrieves_and_hangs_up(self, staffed: Service) -> None:
        call = await self._offered(staffed)
        await staffed.voice.answer_agent(ACME, "anna")
        for verb in ("hold", "retrieve", "hang-up"):
            answer = await staffed.call("POST", f"agents/me/calls/{call}/{verb}", "anna")
            assert answer.status_code == 200, answer.text
        assert (await staffed.got("live", "supervisor"))["calls"] == []

    async def test_agent_whose_page_was_lost_takes_the_call_back(self, staffed: Service) -> None:
        call = await self._offered(staffed)
        await staffed.voice.answer_agent(ACME, "anna")
        assert (await staffed.call("POST", f"agents/me/calls/{call}/take-back", "anna")).status_code == 409
        leg = next(one.leg for one in staffed.voice.effects[ACME] if isinstance(one, ef.OriginateToAgent))
        await staffed.voice.fact(ACME, inp.PageLost(leg=leg, why="closed"))
        parties = (await staffed.got("live", "anna"))["calls"][0]["parties"]
        assert [party["doing"] for party in parties] == ["held", "lost"]
        await staffed.made(f"agents/me/calls/{call}/take-back", {}, "anna")
        await staffed.voice.answer_agent(ACME, "anna")
        parties = (await staffed.got("live", "anna"))["calls"][0]["parties"]
        assert [(party["doing"], party["lost_until"]) for party in parties] == [("talking", None), ("talking", None)]

    async def test_who_waits_for_an_agent_on_a_bad_line_is_told_so_with_the_figures(self, staffed: Service) -> None:
        await staffed.made("agents/anna/log-on", {"ready": True}, "supervisor")
        registered = inp.DeviceRegistered(agent="anna", contact="sip:anna@p", expires_at=staffed.voice._now() + 60, is_page=True)
        await staffed.voice.fact(ACME, registered)
        await staffed.voice.fact(ACME, inp.LineMeasured(agent="anna", source="check", upload_kbits=40.0))
        call = await staffed.voice.arrive(ACME, "601", "+4930111111")
        why = await staffed.got(f"calls/{call}/why-waiting", "supervisor")
        assert why["removed"]["technically_not_ready"] == ["anna"]
        assert [(one["agent"], one["reason"], one["figures"]) for one in why["technical"]] == [("anna", "line", {"upload_kbits": 40.0})]

    async def test_transfer_to_an_unknown_queue_changes_nothing(self, staffed: Service) -> None:
        call = await self._offered(staffed)
        await staffed.voice.answer_agent(ACME, "anna")
        body = {"target": {"to": "queue", "queue": "nowhere"}}
        answer = await staffed.call("POST", f"agents/me/calls/{call}/transfer", "anna", json=body)
        assert answer.status_code in {404, 409}

    async def test_colleague_sees_the_call_without_the_number(self, staffed: Service) -> None:
        await self._offered(staffed, "+4930111111")
        await staffed.voice.answer_agent(ACME, "anna")
        own, others = (await staffed.got("live", "anna"))["calls"][0], (await staffed.got("live", "ben"))["calls"][0]
        assert own["calling"] == "+4930111111"
        assert others["calling"] is None
        assert all(party["number"] is None for party in others["parties"])

    async def test_supervisor_ends_a_call(self, staffed: Service) -> None:
        call = await self._offered(staffed)
        answer = await staffed.call("DELETE", f"calls/{call}", "supervisor")
        assert "CallCleared" in {event["type"] for event in answer.json()["events"]}

    async def test_what_a_supervisor_does_at_a_desk_bears_the_supervisors_name(self, staffed: Service) -> None:
        call = await self._offered(staffed)
        await staffed.voice.answer_agent(ACME, "anna")
        told = []
        for who in ("supervisor", "anna"):
            for verb in ("hold", "retrieve"):
                done = await staffed.made(f"agents/anna/calls/{call}/{verb}", {}, who)
                told += [event.get("supervisor") for event in done["events"] if event["type"] in {"LegHeld", "LegRetrieved"}]
        assert told == ["supervisor", "supervisor", None, None]
        done = await staffed.made(f"agents/anna/calls/{call}/hang-up", {}, "supervisor")
        assert [event["cause"] for event in done["events"] if event["type"] == "CallCleared"] == ["supervisor"]

    async def test_every_desk_command_says_who_acted_if_it_was_not_the_agent(self, staffed: Service) -> None:
        given: list[inp.Command] = []

        async def taken(_tenant: TenantId, command: inp.Command) -> tuple[Event, ...]:
            given.append(command)
            return ()

        staffed.voice.command = taken  # type: ignore[method-assign]
        bodies = {"not-ready": {"reason": "break"}, "dial": {"number": "601"}, "disposition": {"code": "sold"}, "log-on": {}}
        bodies |= {"transfer": {"target": {"to": "hang_up"}}, "consult": {"target": {"to": "agent", "agent": "ben"}}}
        bodies["announce"] = {"sounds": ["hold.thanks"]}
        verbs = ["log-on", "log-off", "ready", "not-ready", "end-acw", "end-after-call-work", "dial", "answer", "decline", "pick"]
        verbs += [f"calls/c/{verb}" for verb in ("hold", "retrieve", "take-back", "hang-up", "transfer", "disposition")]
        verbs += [f"calls/c/{verb}" for verb in ("consult", "alternate", "reconnect", "conference", "complete", "announce")]
        verbs += [f"contacts/message:1/{verb}" for verb in ("close", "disposition")]
        for verb in verbs:
            body = bodies.get(verb.rpartition("/")[2])
            for who in ("supervisor", "anna"):
                answer = await staffed.call("POST", f"agents/anna/{verb}", who, json=body)
                assert answer.status_code == 200, answer.text
        desk = {one for one in get_args(inp.Command) if issubclass(one, inp._AtDesk)}
        assert {type(one) for one in given} == desk - {inp.Supervise}  # that is done with the own phone alone
        assert {getattr(one, "by") for one in given[::2]} == {"supervisor"}  # noqa: B009 - of a union
        assert {getattr(one, "by") for one in given[1::2]} == {None}  # noqa: B009

    async def test_decisions_of_an_unknown_call_are_404(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "calls/none/decisions", "supervisor")).status_code == 404


class TestDial:
    async def test_outside_call_is_priced_before_it_is_placed(self, staffed: Service) -> None:
        await staffed.voice.register(ACME, "anna")
        await staffed.made("agents/me/log-on", {"ready": True}, "anna")
        done = await staffed.made("agents/me/dial", {"number": "0171 1234567"}, "anna")
        assert done["call"]
        assert any(isinstance(effect, ef.OriginateToAgent) for effect in staffed.voice.effects[ACME])

    async def test_unknown_special_number_is_refused_with_its_reason(self, staffed: Service) -> None:
        answer = await staffed.call("POST", "agents/me/dial", "anna", json={"number": "0900 9 123456"})
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:fernamt:problem:price-refused"

    async def test_an_extension_that_nobody_has_is_not_found_and_rings_nothing(self, staffed: Service) -> None:
        for answer in (
            await staffed.call("POST", "agents/me/dial", "anna", json={"number": "77"}),
            await staffed.call("GET", "quote?number=77", "anna"),
        ):
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:fernamt:problem:not-found")
            assert answer.json()["detail"] == "The number 77 does not exist here."
        assert not any(isinstance(effect, ef.OriginateToAgent) for effect in staffed.voice.effects[ACME])


class TestQuote:
    async def test_german_mobile(self, staffed: Service) -> None:
        told = await staffed.got("quote?number=0171%201234567", "anna")
        assert told["number"] == "+491711234567"
        assert told["quote"]["per_minute"] == "0.099"

    async def test_number_inside_the_house_costs_nothing(self, staffed: Service) -> None:
        assert (await staffed.got("quote?number=601", "anna"))["quote"] == {}

    async def test_unknown_special_number_has_no_price(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "quote?number=09009123456", "anna")).status_code == 409
