"""Conversations of more than two by API: consultation, conference, announcement to one side, supervision, and who is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.configuration import Pages
from acd.core.ids import AgentId, LegId
from acd.core.live import LiveState
from acd.service import LiveEvent
from api.telephony.rules import Audience, live_for
from tests.api.conftest import ACME, PASSWORD, Service

CALLER = "+4930111111"


@pytest.fixture
async def house(staffed: Service) -> Service:
    """With cleo, who has a phone and no skills, and sophie, a supervisor with a phone; all logged on."""
    for name in ("cleo", "sophie"):
        await staffed.made("agents", {"id": name, "name": name.title(), "extension": {"cleo": "41", "sophie": "42"}[name]})
    await staffed.made("users", {"id": "cleo", "name": "Cleo", "role": "agent", "password": PASSWORD, "agent": "cleo"})
    await staffed.made("users", {"id": "sophie", "name": "Sophie", "role": "supervisor", "password": PASSWORD, "agent": "sophie"})
    for name in ("cleo", "sophie"):
        staffed.tokens[name] = await staffed.log_in(name)
    for name in ("anna", "ben", "cleo", "sophie"):
        await staffed.voice.register(ACME, name)
    await staffed.made("agents/anna/log-on", {"ready": True}, "supervisor")
    await staffed.made("agents/ben/log-on", {}, "supervisor")
    return staffed


async def talks(house: Service, *, told: bool = False) -> str:
    """Anna talks with a caller, who was told that somebody may listen, or not."""
    if told:
        queue = {"name": "Support", "requirements": [{"skill": "support"}], "strategy": "best_skill", "supervised": True}
        version = (await house.call("GET", "queues/support")).headers["etag"]
        answer = await house.call("PUT", "queues/support", json=queue, headers={"If-Match": version})
        assert answer.status_code == 200, answer.text
    call = await house.voice.arrive(ACME, "601", CALLER)
    if told:
        notice = next(
            one for one in house.voice.effects[ACME] if isinstance(one, ef.PlaySounds) and "supervision.notice" in str(one.sounds)
        )
        await house.voice.fact(ACME, inp.SoundsEnded(leg=notice.leg, play=notice.play, outcome="finished"))
    await house.voice.answer_agent(ACME, "anna")
    return call


def hears(house: Service) -> set[tuple[str, str]]:
    """Who hears whom by the last order: the ends of the legs' names."""
    last = next(one for one in reversed(house.voice.effects[ACME]) if isinstance(one, ef.ArrangeAudio))
    return {(a.rpartition(".")[2], b.rpartition(".")[2]) for a, b in last.hears}


async def doing(house: Service, who: str = "supervisor") -> dict[str, str]:
    """What each party does, by its agent; the caller has none."""
    (call,) = (await house.got("live", who))["calls"]
    return {party["agent"] or "caller": party["doing"] for party in call["parties"]}


async def act(house: Service, verb: str, body: dict[str, Any] | None = None, who: str = "anna", status: int = 200) -> Any:
    call = next(iter(house.voice.engines[ACME].state.calls))
    answer = await house.call("POST", f"agents/me/calls/{call}/{verb}", who, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


TO_CLEO = {"target": {"to": "agent", "agent": "cleo"}}


class TestConsultation:
    async def test_each_step_of_a_consultation_is_seen_and_heard(self, house: Service) -> None:
        await talks(house)
        assert await doing(house) == {"caller": "talking", "anna": "talking"}
        done = await act(house, "consult", TO_CLEO)
        assert "CallConsulted" in {event["type"] for event in done["events"]}
        assert await doing(house) == {"caller": "held", "anna": "consulting", "cleo": "asked"}
        assert hears(house) == set()
        await house.voice.answer_agent(ACME, "cleo")
        assert hears(house) == {("1", "2"), ("2", "1")}
        await act(house, "alternate")
        assert await doing(house) == {"caller": "talking", "anna": "consulting", "cleo": "held"}
        assert hears(house) == {("0", "1"), ("1", "0")}
        await act(house, "alternate")
        await act(house, "conference")
        assert await doing(house) == {"caller": "talking", "anna": "talking", "cleo": "talking"}
        assert hears(house) == {(a, b) for a in "012" for b in "012" if a != b}
        await act(house, "hang-up")
        assert await doing(house) == {"caller": "talking", "cleo": "talking"}

    async def test_completed_and_returned_consultations_leave_two(self, house: Service) -> None:
        await talks(house)
        await act(house, "consult", TO_CLEO)
        await act(house, "reconnect")
        assert await doing(house) == {"caller": "talking", "anna": "talking"}
        await act(house, "consult", TO_CLEO)
        await house.voice.answer_agent(ACME, "cleo")
        await act(house, "complete")
        assert await doing(house) == {"caller": "talking", "cleo": "talking"}

    async def test_semi_attended_the_agent_leaves_when_somebody_has_answered(self, house: Service) -> None:
        await talks(house)
        await act(house, "consult", TO_CLEO)
        await act(house, "complete")
        assert await doing(house) == {"caller": "served", "anna": "leaving", "cleo": "ringing"}
        await house.voice.answer_agent(ACME, "cleo")
        assert await doing(house) == {"caller": "talking", "cleo": "talking"}

    @pytest.mark.parametrize("verb", ["alternate", "reconnect", "conference", "complete"])
    async def test_what_needs_a_consultation_is_409_without_one_and_changes_nothing(self, house: Service, verb: str) -> None:
        await talks(house)
        before = house.voice.engines[ACME].state_hash()
        told = await act(house, verb, status=409)
        assert told["type"] == "urn:fernamt:problem:illegal-transition"
        assert "agent anna consults nobody there" in told["detail"]
        assert house.voice.engines[ACME].state_hash() == before

    async def test_names_that_are_unknown_are_404_and_numbers_are_spelled_as_in_a_transfer(self, house: Service) -> None:
        call = await talks(house)
        for target in ({"to": "agent", "agent": "nobody"}, {"to": "queue", "queue": "nowhere"}, {"to": "menu", "menu": "nowhere"}):
            await act(house, "consult", {"target": target}, status=404)
        assert (await house.call("POST", "agents/me/calls/none/consult", "anna", json=TO_CLEO)).status_code == 404
        await act(house, "consult", {"target": {"to": "outside", "number": "call me"}}, status=422)
        assert (await house.call("POST", f"agents/anna/calls/{call}/consult", "ben", json=TO_CLEO)).status_code == 403
        await act(house, "consult", TO_CLEO, who="cleo", status=409)  # it is not cleo's call

    async def test_supervisor_at_the_agents_desk_is_named(self, house: Service) -> None:
        call = await talks(house)
        done = await house.made(f"agents/anna/calls/{call}/consult", TO_CLEO, "supervisor")
        assert [event["supervisor"] for event in done["events"] if event["type"] == "CallConsulted"] == ["supervisor"]


class TestAnnouncement:
    @pytest.mark.parametrize(("to", "leg"), [("others", "0"), ("agent", "1")])
    async def test_one_side_hears_it(self, house: Service, to: str, leg: str) -> None:
        call = await talks(house)
        before = len(house.voice.effects[ACME])
        await act(house, "announce", {"to": to, "sounds": ["hold.thanks"]})
        played = [one for one in house.voice.effects[ACME][before:] if isinstance(one, ef.PlaySounds)]
        assert [one.leg for one in played] == [f"{call}.{leg}"]
        assert "hold.thanks" in played[0].sounds[0]

    async def test_sound_that_is_not_there_is_422(self, house: Service) -> None:
        await talks(house)
        await act(house, "announce", {"sounds": ["no.such_sound"]}, status=422)
        await act(house, "announce", {"sounds": []}, status=422)

    @pytest.mark.parametrize("verb", ["consult", "transfer"])
    async def test_nor_is_anybody_sent_to_one(self, house: Service, verb: str) -> None:
        call = await talks(house)
        told = await act(house, verb, {"target": {"to": "announcement", "sounds": ["closed", "no.such_sound"]}}, status=422)
        assert [place["pointer"] for place in told["errors"]] == ["#/target/sounds/1"]
        assert await doing(house) == {"caller": "talking", "anna": "talking"}
        await act(house, verb, {"target": {"to": "announcement", "sounds": ["closed"]}})
        assert call in house.voice.engines[ACME].state.calls


class TestSupervision:
    async def supervise(self, house: Service, mode: str, who: str = "sophie", status: int = 200, agent: str | None = None) -> Any:
        call = next(iter(house.voice.engines[ACME].state.calls))
        answer = await house.call("POST", f"calls/{call}/supervise", who, json={"mode": mode, "agent": agent})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def test_listen_whisper_barge_and_stop(self, house: Service) -> None:
        call = await talks(house, told=True)
        await self.supervise(house, "listen")
        assert await doing(house) == {"caller": "talking", "anna": "talking", "sophie": "ringing"}
        await house.voice.answer_agent(ACME, "sophie")
        assert [one.tone for one in house.voice.effects[ACME] if isinstance(one, ef.WarnLeg)] == ["supervised"]
        pair = {("0", "1"), ("1", "0")}
        assert hears(house) == pair | {("2", "0"), ("2", "1")}
        await self.supervise(house, "whisper")
        assert hears(house) == pair | {("2", "0"), ("2", "1"), ("1", "2")}
        (party,) = [one for one in (await house.got("live", "sophie"))["calls"][0]["parties"] if one["agent"] == "sophie"]
        assert (party["role"], party["supervises"], party["mode"]) == ("supervisor", "anna", "whisper")
        await self.supervise(house, "barge")
        assert hears(house) == {(a, b) for a in "012" for b in "012" if a != b}
        await house.made(f"agents/me/calls/{call}/hang-up", {}, "sophie")
        assert await doing(house) == {"caller": "talking", "anna": "talking"}
        assert hears(house) == pair

    async def test_supervisors_phone_that_rings_is_declined_and_nobody_misses_it(self, house: Service) -> None:
        call = await talks(house, told=True)
        await self.supervise(house, "listen")
        await house.made("agents/me/decline", {"contact": call}, "sophie")
        assert await doing(house) == {"caller": "talking", "anna": "talking"}

    async def test_caller_who_was_not_told_is_not_listened_to(self, house: Service) -> None:
        await talks(house)
        for mode in ("listen", "whisper"):
            assert "the caller was not told" in (await self.supervise(house, mode, status=409))["detail"]
        await self.supervise(house, "barge")
        assert (await house.call("PUT", "setup", json={"supervision_notice": False})).status_code == 200
        await self.supervise(house, "listen")

    async def test_who_may(self, house: Service) -> None:
        call = await talks(house, told=True)
        assert "You are no agent" in (await self.supervise(house, "listen", who="supervisor", status=409))["detail"]
        for who in ("anna", "cleo", "billing"):
            await self.supervise(house, "listen", who=who, status=403)
        assert "nobody" in (await self.supervise(house, "listen", agent="nobody", status=404))["detail"]
        assert "agent cleo is in no conversation there" in (await self.supervise(house, "listen", agent="cleo", status=409))["detail"]
        for who in ("sophie", "supervisor"):
            assert (await house.call("POST", "calls/none/supervise", who, json={})).status_code == 404
        assert (await house.call("POST", f"calls/{call}/supervise", "sophie", json={"mode": "spy"})).status_code == 422

    async def test_only_the_supervised_agent_the_supervisor_and_walls_are_told(self, house: Service) -> None:
        """Cleo is in the same call, and ben is a colleague: neither sees anything of it, on the stream or on the board."""
        names = ("anna", "ben", "cleo", "sophie")
        everybody, late = Audience(), Audience()
        seen: dict[str, list[str]] = {name: [] for name in (*names, "late cleo")}
        stream = house.voice.client.events(ACME)
        is_late = False

        async def read() -> None:
            async for event in stream:
                if not isinstance(event, LiveEvent):
                    continue
                told = str(msgspec.to_builtins(event.event))
                who = everybody.of(event)
                for name in names:
                    if who.public or name in who.agents:
                        seen[name].append(told)
                if is_late and ((also := late.of(event)).public or "cleo" in also.agents):
                    seen["late cleo"].append(told)

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        call = await talks(house, told=True)
        await act(house, "consult", TO_CLEO)
        await house.voice.answer_agent(ACME, "cleo")
        await act(house, "conference")
        await self.supervise(house, "listen", agent="anna")
        late.begins_at(house.voice.live(ACME), house.voice.parts(ACME))
        is_late = True
        await house.voice.answer_agent(ACME, "sophie")
        await self.supervise(house, "whisper")
        await self.supervise(house, "barge")
        boards: dict[str, LiveState] = {name: live_for(house.voice.live(ACME), AgentId(name)) for name in names}
        await house.made(f"agents/me/calls/{call}/hang-up", {}, "sophie")
        await asyncio.sleep(0)
        reading.cancel()

        for name in ("anna", "sophie"):
            assert [one for one in seen[name] if "SupervisionBegan" in one], name
            assert len([one for one in seen[name] if "SupervisionChanged" in one]) == 2
            assert [party.mode for party in boards[name].calls[0].parties if party.agent == "sophie"] == ["barge"]
        for name in ("ben", "cleo", "late cleo"):
            told = [one for one in seen[name] if "Supervision" in one or "supervis" in one or f"{call}.3" in one or "'sophie'" in one]
            assert told == [], name
        for name in ("ben", "cleo"):
            assert "sophie" not in str(boards[name].calls)
            assert [one.work for one in boards[name].agents if one.id == "sophie"] == [()]
        assert any("CallEstablished" in one or "LegConnected" in one for one in seen["cleo"])  # its own call it does see


class TestLateDesks:
    async def test_who_connects_at_any_moment_sees_what_it_would_have_seen_had_it_always_listened(self, house: Service) -> None:
        """A queue call with a consultation, a conference, a supervision, a transfer, after-call work, and a chat: at each of its steps
        somebody begins to listen who knows the live state alone, and from there on misses nothing and is told nothing more.
        """
        voice = house.voice
        always, seen = Audience(), []
        heard = voice.client.events(ACME)
        assert not (await anext(heard)).trouble  # the state of the tenant
        late: list[tuple[int, Audience]] = []
        wrong: list[str] = []
        queue = {"name": "Support", "requirements": [{"skill": "support"}], "strategy": "best_skill", "supervised": True}
        queue |= {"after_call_work_s": 30.0}
        version = (await house.call("GET", "queues/support")).headers["etag"]
        assert (await house.call("PUT", "queues/support", json=queue, headers={"If-Match": version})).status_code == 200

        def plain(who: Any) -> tuple[bool, bool, set[str]]:
            return who.public, who.supervisors, set(who.agents)

        async def step() -> None:
            """What has happened by now is seen, and somebody connects."""
            while heard._events:
                event = await anext(heard)
                seen.append((event, always.of(event)))
                wanted = plain(seen[-1][1])
                for begun, audience in late:
                    if (found := plain(audience.of(event))) != wanted:
                        wrong.append(f"connected after {begun} events: {event}: {found}, not {wanted}")
            audience = Audience()
            audience.begins_at(voice.live(ACME), voice.parts(ACME))
            late.append((len(seen), audience))

        told_fact = voice.fact

        async def fact(*given: Any) -> Any:
            events = await told_fact(*given)
            await step()
            return events

        voice.fact = fact  # type: ignore[method-assign]
        call = await voice.arrive(ACME, "601", CALLER)
        notice = next(one for one in voice.effects[ACME] if isinstance(one, ef.PlaySounds) and "supervision.notice" in str(one.sounds))
        await voice.fact(ACME, inp.SoundsEnded(leg=notice.leg, play=notice.play, outcome="finished"))
        await voice.answer_agent(ACME, "anna")
        await act(house, "consult", TO_CLEO)
        await voice.answer_agent(ACME, "cleo")
        await act(house, "conference")
        given = {"agent": "anna", "mode": "listen"}
        assert (await house.call("POST", f"calls/{call}/supervise", "sophie", json=given)).status_code == 200
        await voice.answer_agent(ACME, "sophie")
        await house.made(f"agents/me/calls/{call}/hang-up", {}, "sophie")
        await house.made(f"agents/me/calls/{call}/hang-up", {}, "anna")  # she has after-call work, and had a part in what goes on
        body = {"target": {"to": "agent", "agent": "ben"}}
        assert (await house.call("POST", f"agents/me/calls/{call}/transfer", "cleo", json=body)).status_code == 200
        await voice.answer_agent(ACME, "ben")
        await house.made("agents/anna/end-after-call-work", {}, "supervisor")
        await house.made(f"agents/me/calls/{call}/hang-up", {}, "ben")
        await house.made("messages", {"channel": "chat", "queue": "support", "customer": "x@example.com", "text": "Hello"}, "supervisor")
        await voice.command(ACME, inp.GoReady(agent=AgentId("anna")))
        heard.close()
        assert not wrong, "\n".join(map(str, wrong))
        kinds = {type(event.event).__name__ for event, _ in seen}
        wanted = {
            "CallConsulted",
            "ConsultationEnded",
            "SupervisionBegan",
            "AfterCallWorkBegan",
            "CallTransferred",
            "CallCleared",
            "WorkDone",
        }
        assert wanted <= kinds
        of_anna = [type(event.event).__name__ for event, who in seen if "anna" in who.agents]
        assert "CallTransferred" in of_anna  # of the call that she had


class TestSettings:
    async def test_settings_are_kept_and_reach_the_exchange(self, house: Service) -> None:
        given = {"supervision_notice": False, "supervision_tone": False, "conversation_keys": "##", "feature_codes": {"supervise": "*88"}}
        assert (await house.call("PUT", "setup", json=given)).status_code == 200
        configuration = house.voice.setups[ACME].configuration
        assert (configuration.supervision_notice, configuration.supervision_tone) == (False, False)
        assert (configuration.conversation_keys, configuration.feature_codes.supervise) == ("##", "*88")
        told = await house.got("setup")
        assert {name: told[name] for name in ("supervision_notice", "supervision_tone", "conversation_keys")} == {
            name: given[name] for name in ("supervision_notice", "supervision_tone", "conversation_keys")
        }
        for wrong in ("*", "12", "*****"):
            assert (await house.call("PUT", "setup", json={"conversation_keys": wrong})).status_code == 422

    async def test_what_is_expected_of_pages_is_kept_and_reaches_the_exchange(self, house: Service) -> None:
        given = {"answer_within_s": 0.5, "take_back_s": 30.0, "min_upload_kbits": 120.0, "max_loss": 0.1, "min_mos": 0.0}
        assert (await house.call("PUT", "setup", json={"pages": given})).status_code == 200
        assert house.voice.setups[ACME].configuration.pages == Pages(**given)
        assert (await house.got("setup"))["pages"] == given
        for wrong in ({"answer_within_s": 6}, {"take_back_s": -1}, {"max_loss": 2}, {"more": 1}):
            assert (await house.call("PUT", "setup", json={"pages": wrong})).status_code == 422

    async def test_nothing_is_supervised_and_nobody_may_unless_it_is_set(self, house: Service) -> None:
        configuration = house.voice.setups[ACME].configuration
        assert not any(queue.supervised for queue in configuration.queues)
        assert not any(agent.may_supervise for agent in configuration.agents)
        assert (configuration.supervision_notice, configuration.supervision_tone, configuration.conversation_keys) == (True, True, "**")

    async def test_who_may_supervise_does_so_by_code_and_the_keys_change_how(self, house: Service) -> None:
        await talks(house, told=True)
        anna = await house.got("agents/anna")
        for name in ("anna", "sophie"):
            answer = await house.call("GET", f"agents/{name}")
            body = {key: value for key, value in answer.json().items() if key in {"name", "extension", "skills"}}
            more = {"extension": "31"} if name == "anna" else {"may_supervise": True}
            changed = await house.call("PUT", f"agents/{name}", json=body | more, headers={"If-Match": answer.headers["etag"]})
            assert changed.status_code == 200, changed.text
        assert anna["may_supervise"] is False
        code = house.voice.mint_call()
        leg = LegId(f"{code}.0")
        await house.voice.fact(ACME, inp.CallArrived(call=code, leg=leg, agent=AgentId("sophie"), calling="42", called="*2731"))
        await house.voice.fact(ACME, inp.LegAnswered(leg=leg))
        await house.voice.fact(ACME, inp.LegReleased(leg=leg))
        await house.voice.answer_agent(ACME, "sophie")
        modes = []
        for key in "5647":
            (party,) = [one for one in (await house.got("live"))["calls"][0]["parties"] if one["role"] == "supervisor"]
            modes.append(party["mode"])
            await house.voice.fact(ACME, inp.DigitPressed(leg=LegId(party["leg"]), digit=key))
        assert modes == ["listen", "whisper", "barge", "listen"]
