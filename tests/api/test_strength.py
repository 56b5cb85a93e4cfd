"""Passwords that are too easy to guess: by estimate, by the list of common ones, by the own words; for users and for devices."""

from __future__ import annotations

import pytest

from api.config import Login
from api.identity import Passwords
from api.identity.strength import WeakPassword, weakness
from api.kit.ids import drawn_password
from tests.api.conftest import PASSWORD, Service


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "12345678",
        "qwertzui1",
        "Passw0rd!",
        "Sommer2024!",
        "geheim123",
        "annaamsel2024",
        "Anna.Amsel1",
        "acme-acme-acme",
        "aaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabc",
        "fernamt2026",
    ],
)
def test_what_a_program_tries_first_is_refused_with_a_sentence(password: str) -> None:
    why = weakness(password, ("anna", "Anna Amsel", "acme"), 3)
    assert why is not None
    assert why.startswith("This password is too easy to guess. ")
    assert why.endswith(".")


@pytest.mark.parametrize("password", ["correct horse battery staple", "tulpe-kran-walfisch-dose", "k7m2xq9w3hfj8t5n", "Wx8#qPz2!mKv"])
def test_what_no_program_tries_soon_is_taken(password: str) -> None:
    assert weakness(password, ("anna", "Anna Amsel", "acme"), 3) is None


def test_what_we_draw_is_taken() -> None:
    assert [weakness(drawn_password(), ("anna",), 4) for _ in range(50)] == [None] * 50


def test_the_longest_password_there_can_be_is_estimated_by_its_beginning() -> None:
    """zxcvbn refuses more than 72 characters, and needs a time that grows with their cube."""
    assert weakness("tulpe-kran-walfisch-dose " * 8, (), 3) is None
    assert weakness("a" * 200, (), 3) is not None


async def test_a_score_of_nothing_takes_everything() -> None:
    await Passwords(Login(argon2_memory_kib=8, argon2_passes=1, password_score=0)).accept("password", (), "#/password")
    with pytest.raises(WeakPassword):
        await Passwords(Login(argon2_memory_kib=8, argon2_passes=1)).accept("password", (), "#/password")


@pytest.mark.parametrize(
    ("method", "path", "body", "who", "pointer"),
    [
        ("POST", "users", {"id": "carl", "name": "Carl", "role": "agent", "password": "password1"}, "admin", "#/password"),
        ("POST", "users", {"id": "carl", "name": "Carl Cardinal", "role": "agent", "password": "cardinal99"}, "admin", "#/password"),
        ("PATCH", "users/anna", {"password": "12345678"}, "admin", "#/password"),
        ("POST", "me/password", {"old": PASSWORD, "new": "acme12345"}, "anna", "#/new"),
        ("POST", "agents", {"id": "carl", "name": "Carl", "skills": {}, "device_password": "12345678"}, "admin", "#/device_password"),
        ("PUT", "agents/anna/device", {"password": "anna1234"}, "admin", "#/password"),
        ("POST", "tenants", {"id": "blue", "name": "Blue", "admin": {"password": "blueblue1"}}, "operator", "#/admin/password"),
    ],
)
async def test_it_is_refused_wherever_it_is_set(
    staffed: Service, method: str, path: str, body: dict[str, object], who: str, pointer: str
) -> None:
    answer = await staffed.call(method, path, who, json=body)
    told = answer.json()
    assert (answer.status_code, told["type"]) == (422, "urn:fernamt:problem:weak-password"), told
    assert [one["pointer"] for one in told["errors"]] == [pointer]
    assert told["errors"][0]["detail"] == told["detail"]


async def test_a_refused_agent_has_not_been_made(staffed: Service) -> None:
    body = {"id": "carl", "name": "Carl", "skills": {}, "device_password": "12345678"}
    await staffed.call("POST", "agents", json=body)
    assert (await staffed.call("GET", "agents/carl")).status_code == 404


async def test_a_weak_password_that_is_stored_goes_on_working(acme: Service) -> None:
    passwords = acme.shared.part(Passwords)
    async with acme.databases.unit(acme.shared.services.databases.opened[0]) as unit:
        from api.identity import user

        (await user(unit.session, "admin")).password_hash = await passwords.hash("password")
    assert await acme.log_in("admin", "password")


async def test_device_passwords_are_drawn_when_left_out(staffed: Service) -> None:
    created = await staffed.made("agents", {"id": "carl", "name": "Carl", "skills": {}})
    first = created["device"]["password"]
    again = (await staffed.call("PUT", "agents/carl/device", json={})).json()["password"]
    assert len(first) == len(again) == 16
    assert first != again
