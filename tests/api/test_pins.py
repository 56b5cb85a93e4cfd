"""PINs of agents: set and taken away, told to nobody, judged as passwords are, and limited by agent and by phone."""

import pytest
from sqlalchemy import text

from acd.core.ids import AgentId
from api.telephony_setup import pins_of
from tests.api.conftest import ACME, Service

PIN = "8305172"


async def kept(acme: Service, what: str) -> list[tuple]:
    async with acme.databases.tenant(ACME).connect() as connection:
        return [tuple(row) for row in (await connection.execute(text(what))).all()]


async def with_pin(acme: Service, pin: str = PIN) -> None:
    for name in ("anna", "ben"):
        await acme.made("agents", {"id": name, "name": name.title(), "extension": "11" if name == "anna" else "12"})
    assert (await acme.call("PUT", "agents/ben/pin", json={"pin": pin})).status_code == 204


def judge(acme: Service, pin: str, agent: str = "ben", at: str = "anna"):
    return pins_of(acme.app)(ACME, AgentId(agent), AgentId(at), pin)


async def test_it_is_kept_as_a_hash_and_stands_in_no_answer_and_no_audit(acme: Service) -> None:
    await with_pin(acme)
    ((hashed,),) = await kept(acme, "SELECT pin_hash FROM setup_pin")
    assert hashed.startswith("$argon2id$")
    told = str(await kept(acme, "SELECT * FROM audit")) + str(await acme.got("agents/ben"))
    assert PIN not in told
    assert hashed not in told


@pytest.mark.parametrize("pin", ["123", "123456789", "1234", "9876", "0000", "12a4", "4711 "])
async def test_what_is_guessed_first_or_is_no_pin_is_refused_without_being_told_back(acme: Service, pin: str) -> None:
    await acme.made("agents", {"id": "ben", "name": "Ben"})
    answer = await acme.call("PUT", "agents/ben/pin", json={"pin": pin})
    assert answer.status_code == 422
    assert f'"{pin}"' not in answer.text
    assert await kept(acme, "SELECT * FROM setup_pin") == []


async def test_right_and_wrong_stand_in_the_audit_and_the_next_pin_holds_at_once(acme: Service) -> None:
    await with_pin(acme)
    assert [await judge(acme, PIN), await judge(acme, "9999999")] == ["right", "wrong"]
    await acme.call("PUT", "agents/ben/pin", json={"pin": "2718281"})
    assert [await judge(acme, PIN), await judge(acme, "2718281")] == ["wrong", "right"]
    entries = (await acme.got("audit?kind=hot_desk"))["items"]
    assert {(one["act"], one["subject"], one["details"]["phone_of"]) for one in entries} == {
        ("logged_in", "ben", "anna"),
        ("refused", "ben", "anna"),
    }


async def test_without_a_pin_nobody_comes_in(acme: Service) -> None:
    await with_pin(acme)
    assert await judge(acme, PIN, agent="anna", at="ben") == "wrong"
    assert (await acme.call("DELETE", "agents/ben/pin")).status_code == 204
    assert await judge(acme, PIN) == "wrong"
    assert (await acme.call("DELETE", "agents/ben/pin")).status_code == 404


async def test_it_goes_with_the_agent(acme: Service) -> None:
    await with_pin(acme)
    await acme.call("DELETE", "agents/ben")
    assert await kept(acme, "SELECT * FROM setup_pin") == []


async def test_five_wrong_ones_stop_the_agent_s_at_every_phone_and_nobody_else_s(acme: Service) -> None:
    await with_pin(acme)
    await acme.call("PUT", "agents/anna/pin", json={"pin": "2718281"})
    assert [await judge(acme, "9999999", at=phone) for phone in ("anna", "ben", "cem", "dora", "emil")] == ["wrong"] * 5
    assert await judge(acme, PIN, at="fritz") == "wait"
    assert await judge(acme, "2718281", agent="anna", at="fritz") == "right"
    assert await judge(acme, "2718281", agent="anna", at="anna") == "right"


async def test_five_wrong_ones_stop_a_phone_for_whichever_agents(acme: Service) -> None:
    await with_pin(acme)
    assert [await judge(acme, "9999999", agent=one) for one in ("a", "b", "c", "d", "e")] == ["wrong"] * 5
    assert [await judge(acme, PIN), await judge(acme, PIN, at="ben")] == ["wait", "right"]
