"""Capacity, languages and picking as administrators set them, down to what the exchange offers by them (docs/tenants.md)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from acd.core.channel_kinds import CHANNELS
from acd.core.errors import IllegalTransition
from acd.core.ids import AgentId, ContactId, LegId
from acd.core.inputs import (
    Answer,
    CallArrived,
    CloseContact,
    DigitPressed,
    EndAfterCallWork,
    GoReady,
    LegReleased,
    LogOn,
    OpenContact,
    Pick,
)
from acd.core.strategies import STRATEGIES
from tests.api.conftest import ACME, Service

ANNA, BEN = AgentId("anna"), AgentId("ben")
QUEUE_601 = {"to": "queue", "queue": "support"}
ONE_AFTER_THE_OTHER = [
    {"channel": "voice", "at_once": 1},
    {"channel": "chat", "at_once": 3, "not_during": ["voice", "mail"]},
    {"channel": "mail", "at_once": 5, "not_during": ["voice", "chat"]},
]
"""One call, or three chats, or five mails; no chat during a call; a mail waits until the call ends."""


IMPOSSIBLE: tuple[tuple[list[dict[str, Any]], str, str], ...] = (
    ([{"channel": "fax", "at_once": 1}], "/0/channel", "there is no channel 'fax'; known are callback, chat, mail, message, voice"),
    ([{"channel": "chatt", "at_once": 1}], "/0/channel", "there is no channel 'chatt'; did you mean `chat`?"),
    ([{"channel": "chat", "at_once": -1}], "/0/at_once", "Input should be greater than or equal to 0"),
    ([{"channel": "voice", "at_once": 2}], "/0", "at_once: of voice an agent has 1 at once, or none"),
    ([{"channel": "mail", "at_once": 2, "not_during": ["call"]}], "/0/not_during/0", "there is no channel 'call'"),
    ([{"channel": "mail", "at_once": 2, "not_during": ["mail"]}], "/0", "not_during names mail itself"),
    ([{"channel": "mail", "at_once": 2, "not_during": ["chat", "chat"]}], "/0", "not_during names chat twice"),
    ([{"channel": "mail", "at_once": 2}] * 2, "", "the channel mail is there twice; say all of it in one"),
)
"""What is given, where it is wrong, and what is said."""


async def refused(service: Service, path: str, body: dict[str, Any], pointer: str) -> str:
    """What is said of the one thing that is wrong, at this place."""
    answer = await service.call("PUT", path, json=body)
    assert answer.status_code == 422, body
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    return str(error["detail"])


async def put(service: Service, path: str, change: dict[str, Any]) -> dict[str, Any]:
    """A document of the configuration with these members instead."""
    there = await service.got(path)
    body = {name: value for name, value in there.items() if name not in {"version", "changed_at"}} | change
    answer = await service.call("PUT", path, json=body)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def at_work(service: Service, *agents: AgentId) -> None:
    for agent in agents:
        await service.voice.register(ACME, agent)
        await service.voice.command(ACME, LogOn(agent=agent, ready=True))


async def opened(service: Service, channel: str, **more: Any) -> ContactId:
    contact = service.voice.client.mint_contact(channel)
    queue = service.voice.setups[ACME].configuration.queues[0].id
    await service.voice.command(ACME, OpenContact(contact=contact, channel=channel, queue=queue, **more))
    return contact


async def taken(service: Service, channel: str, **more: Any) -> ContactId:
    """It is offered to anna at once, and she takes it."""
    contact = await opened(service, channel, **more)
    await service.voice.command(ACME, Answer(agent=ANNA, contact=contact))
    return contact


def has(service: Service, agent: AgentId = ANNA) -> dict[ContactId, str]:
    """What the agent is offered, or works at, and how far that is."""
    return {work.contact: str(work.state) for work in service.voice.engines[ACME].state.agents[agent].works.values()}


async def closed(service: Service, contact: ContactId) -> None:
    """Done, with the after-call work."""
    await service.voice.command(ACME, CloseContact(agent=ANNA, contact=contact))
    await service.voice.command(ACME, EndAfterCallWork(agent=ANNA, contact=contact))


@pytest.fixture
async def desk(staffed: Service) -> Service:
    """anna alone is at work, and what an agent can have is said."""
    await put(staffed, "setup", {"capacity": ONE_AFTER_THE_OTHER})
    await at_work(staffed, ANNA)
    return staffed


class TestCapacity:
    async def test_three_chats_and_the_fourth_waits_until_one_is_done(self, desk: Service) -> None:
        chats = [await taken(desk, "chat") for _ in range(3)]
        fourth = await opened(desk, "chat")
        assert has(desk) == dict.fromkeys(chats, "connected")
        assert desk.voice.why_waiting(ACME, fourth)["removed"]["busy"] == ("anna",)
        await closed(desk, chats[1])
        assert has(desk)[fourth] == "reserved"

    async def test_five_mails_and_the_sixth_waits(self, desk: Service) -> None:
        mails = [await taken(desk, "mail") for _ in range(5)]
        await opened(desk, "mail")
        assert has(desk) == dict.fromkeys(mails, "connected")

    async def test_during_a_call_neither_chat_nor_mail_is_offered_and_both_come_when_it_is_over(self, desk: Service) -> None:
        call = await desk.voice.arrive(ACME, "601", "+4930111111")
        await desk.voice.answer_agent(ACME, "anna")
        mail = await opened(desk, "mail")
        assert has(desk) == {call: "connected"}
        await desk.voice.fact(ACME, LegReleased(leg=LegId(f"{call}.0")))
        assert has(desk) == {call: "after_call_work"}  # which is work
        await desk.voice.command(ACME, EndAfterCallWork(agent=ANNA))
        assert has(desk) == {mail: "reserved"}

    async def test_a_call_waits_while_mails_are_open_until_the_configuration_says_otherwise(self, desk: Service) -> None:
        mails = [await taken(desk, "mail") for _ in range(2)]
        call = await desk.voice.arrive(ACME, "601", "+4930111111")
        assert has(desk) == dict.fromkeys(mails, "connected")
        # For anna alone; and what she has been given stays hers.
        await put(desk, "agents/anna", {"capacity": [{"channel": "voice", "at_once": 1, "not_during": ["chat", "callback", "message"]}]})
        assert has(desk) == {**dict.fromkeys(mails, "connected"), call: "reserved"}
        await desk.voice.answer_agent(ACME, "anna")
        assert has(desk)[call] == "connected"
        await opened(desk, "mail")
        assert len(has(desk)) == 3  # "a mail waits until the call ends" holds as before

    async def test_what_is_said_for_all_holds_for_who_has_nothing_of_its_own(self, desk: Service) -> None:
        await put(desk, "agents/anna", {"capacity": [{"channel": "mail", "at_once": 1}]})
        first = await taken(desk, "mail")
        second = await opened(desk, "mail")
        assert second not in has(desk)
        await at_work(desk, BEN)
        assert has(desk, BEN) == {second: "reserved"}
        await put(desk, "agents/anna", {"capacity": []})
        third = await opened(desk, "mail")
        assert {first, third} == has(desk).keys()

    async def test_nothing_of_a_channel_is_for_nobody_until_somebody_may(self, desk: Service) -> None:
        await put(desk, "setup", {"capacity": [{"channel": "chat", "at_once": 0}]})
        chat = await opened(desk, "chat")
        assert has(desk) == {}
        await put(desk, "setup", {"capacity": []})
        assert has(desk) == {chat: "reserved"}

    async def test_it_is_told_as_it_was_set_and_stands_in_the_audit(self, desk: Service) -> None:
        told = (await desk.got("setup"))["capacity"]
        assert told == [{"not_during": None} | one for one in ONE_AFTER_THE_OTHER]
        change = (await desk.got("audit?kind=general"))["items"][0]
        assert change["after"]["capacity"] == told

    @pytest.mark.parametrize("path", ["setup", "agents/anna"])
    async def test_what_cannot_be_meant_is_refused_at_its_place(self, staffed: Service, path: str) -> None:
        for capacity, pointer, sentence in IMPOSSIBLE:
            body = {"capacity": capacity} | ({"id": "anna", "name": "Anna"} if "/" in path else {})
            assert sentence in await refused(staffed, path, body, f"#/capacity{pointer}")


class TestLanguages:
    """A menu asks: 1 German, 2 English. anna speaks German; ben is less skilled and speaks English too."""

    @pytest.fixture
    async def menu(self, staffed: Service) -> Service:
        await put(staffed, "agents/anna", {"languages": ["de"]})
        await put(staffed, "agents/ben", {"languages": ["de", "en"]})
        menu = {"id": "main", "sounds": ["menu"], "options": {"1": QUEUE_601, "2": QUEUE_601}, "languages": {"2": "en"}}
        await staffed.made("menus", menu)
        await staffed.made("numbers", {"number": "600", "target": {"to": "menu", "menu": "main"}})
        return staffed

    async def presses(self, service: Service, key: str) -> ContactId:
        call = await service.voice.arrive(ACME, "600", "+4930111111")
        await service.voice.fact(ACME, DigitPressed(leg=LegId(f"{call}.0"), digit=key))
        return call

    @pytest.mark.parametrize(
        ("rule", "key", "chosen"),
        [("ignored", "2", ANNA), ("preferred", "1", ANNA), ("preferred", "2", BEN), ("required", "1", ANNA), ("required", "2", BEN)],
    )
    async def test_who_presses_2_gets_who_speaks_english(self, menu: Service, rule: str, key: str, chosen: AgentId) -> None:
        await put(menu, "queues/support", {"languages": rule})
        await at_work(menu, ANNA, BEN)
        call = await self.presses(menu, key)
        assert has(menu, chosen) == {call: "reserved"}

    async def test_required_waits_for_who_speaks_it_and_says_so(self, menu: Service) -> None:
        await put(menu, "queues/support", {"languages": "required"})
        await at_work(menu, ANNA)
        call = await self.presses(menu, "2")
        assert has(menu) == {}
        assert menu.voice.why_waiting(ACME, call)["removed"] == {"language": ("anna",), "logged_off": ("ben",)}
        await at_work(menu, BEN)
        assert has(menu, BEN) == {call: "reserved"}

    async def test_preferred_takes_anybody_where_nobody_speaks_it(self, menu: Service) -> None:
        await put(menu, "queues/support", {"languages": "preferred"})
        await at_work(menu, ANNA)
        call = await self.presses(menu, "2")
        assert has(menu) == {call: "reserved"}

    async def test_once_relaxed_anybody_will_do(self, menu: Service) -> None:
        relaxed = [{"after_s": 30, "requirements": [{"skill": "support"}], "any_language": True}]
        await put(menu, "queues/support", {"languages": "required", "relaxations": relaxed})
        await at_work(menu, ANNA)
        call = await self.presses(menu, "2")
        menu.clock.turn(seconds=29)
        await menu.voice.fact(ACME, GoReady(agent=ANNA))
        assert has(menu) == {}
        menu.clock.turn(seconds=1)
        await menu.voice.time_passed(ACME)
        assert has(menu) == {call: "reserved"}

    async def test_an_agent_who_learns_the_language_gets_who_waits(self, menu: Service) -> None:
        await put(menu, "queues/support", {"languages": "required"})
        await at_work(menu, ANNA)
        call = await self.presses(menu, "2")
        await put(menu, "agents/anna", {"languages": ["de", "en"]})
        assert has(menu) == {call: "reserved"}

    async def test_what_cannot_be_meant_is_refused_at_its_place(self, menu: Service) -> None:
        for path, change, pointer, sentence in (
            ("queues/support", {"languages": "wanted"}, "#/languages", "'ignored', 'preferred' or 'required'"),
            ("menus/main", {"languages": {"3": "en"}}, "#", "languages: 3 is no key of the menu"),
            ("menus/main", {"languages": {"2": "english"}}, "#/languages/2", "pattern"),
        ):
            body = {name: value for name, value in (await menu.got(path)).items() if name not in {"version", "changed_at"}}
            assert sentence in await refused(menu, path, body | change, pointer)


class TestPicking:
    """Two chats wait, and anna is logged on without being ready."""

    @pytest.fixture
    async def waiting(self, staffed: Service) -> list[ContactId]:
        await staffed.voice.register(ACME, ANNA)
        await staffed.voice.command(ACME, LogOn(agent=ANNA))
        return sorted([await opened(staffed, "chat") for _ in range(2)])  # at one instant: the id decides

    async def test_who_may_takes_a_contact_out_of_its_turn(self, staffed: Service, waiting: list[ContactId]) -> None:
        with pytest.raises(IllegalTransition, match="the agent may not pick"):
            await staffed.voice.command(ACME, Pick(agent=ANNA, contact=waiting[1]))
        await put(staffed, "agents/anna", {"may_pick": True})
        await staffed.voice.command(ACME, Pick(agent=ANNA, contact=waiting[1]))
        assert has(staffed) == {waiting[1]: "reserved"}

    @pytest.mark.parametrize(("code", "dialled"), [({}, "*26"), ({"pick": "*77"}, "*77")])
    async def test_the_code_gets_the_first_once_the_phone_is_free_again(
        self, staffed: Service, waiting: list[ContactId], code: dict[str, str], dialled: str
    ) -> None:
        await put(staffed, "setup", {"feature_codes": code})
        await put(staffed, "agents/anna", {"may_pick": True})
        call = staffed.voice.mint_call()
        leg = LegId(f"{call}.0")
        await staffed.voice.fact(ACME, CallArrived(call=call, leg=leg, agent=ANNA, calling="21", called=dialled))
        await staffed.voice.fact(ACME, LegReleased(leg=leg))
        assert has(staffed) == {waiting[0]: "reserved"}

    async def test_the_code_can_be_changed_and_taken_away(self, staffed: Service) -> None:
        assert (await staffed.got("setup"))["feature_codes"]["pick"] == "*26"
        await put(staffed, "setup", {"feature_codes": {"pick": "*77"}})
        assert staffed.voice.setups[ACME].configuration.feature_codes.pick == "*77"
        clash = await staffed.call("PUT", "setup", json={"feature_codes": {"pick": "*20"}})
        assert clash.status_code == 422
        assert clash.json()["errors"][0]["detail"] == "the feature code *20 is there twice"


class TestNamesOfTheCore:
    """A strategy, or a channel, is added in one table: the contract has it by itself."""

    async def test_strategies_and_channels_in_the_contract_are_those_of_the_tables(self, service: Service) -> None:
        schemas = service.app.openapi()["components"]["schemas"]
        assert schemas["Queue"]["properties"]["strategy"]["enum"] == list(STRATEGIES)
        capacity = schemas["ChannelCapacity"]["properties"]
        assert capacity["channel"]["enum"] == list(CHANNELS)
        assert capacity["not_during"]["anyOf"][0]["items"]["enum"] == list(CHANNELS)

    def test_the_tables_of_the_documentation_name_them_with_what_holds_by_default(self) -> None:
        """Kept by hand, since each row says more than the table of the core does."""
        text = (Path(__file__).parents[2] / "docs" / "tenants.md").read_text(encoding="utf-8")
        section = text[text.index("| channel | at once |") : text.index("So it is one call")]
        rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in section.splitlines()[2:] if line]
        channels = {name: (most, phone) for name, most, phone, _ in rows}
        assert channels == {
            name: (f"{kind.at_once}{', never more' if kind.most == kind.at_once else ''}", "must ring" if kind.needs_phone else "need not")
            for name, kind in CHANNELS.items()
        }
        section = text[text.index("## Strategies") : text.index("## Picking")]
        assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == STRATEGIES.keys()

    async def test_what_the_documentation_says_can_be_set(self, staffed: Service) -> None:
        text = (Path(__file__).parents[2] / "docs" / "tenants.md").read_text(encoding="utf-8")
        section = text[text.index("| wanted | said |") : text.index("The rule is `not_during`")]
        said = [json.loads(line.split("|")[2].split("`")[-2]) for line in section.splitlines()[2:] if line.startswith("|")]
        assert len(said) == 4
        for capacity in said:
            told = (await put(staffed, "setup", {"capacity": capacity}))["capacity"]
            assert told == [{"not_during": None} | one for one in capacity]

    async def test_a_strategy_nobody_knows_is_refused_with_what_may_be_meant(self, acme: Service) -> None:
        answer = await acme.call("POST", "queues", json={"id": "x", "name": "X", "strategy": "ring_al"})
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "#/strategy"
        assert error["detail"].endswith("there is no strategy 'ring_al'; did you mean `ring_all`?")

    async def test_every_strategy_can_be_set(self, staffed: Service) -> None:
        for strategy in STRATEGIES:
            assert (await put(staffed, "queues/support", {"strategy": strategy}))["strategy"] == strategy
            assert staffed.voice.setups[ACME].configuration.queues[0].strategy == strategy
