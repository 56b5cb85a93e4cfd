"""Guesses at the web's doors, bans by API, and what is kept over a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from acd.clock import Clock as ExchangeClock
from acd.config import VoiceSettings
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
from acd.guard.line import read
from acd.outage import Outage, Unreachable
from acd.switch.phones import Phones
from api.app import create_app
from api.config import Operator
from api.db import Databases
from api.security import Keeper, open_log
from api.services import Services
from tests.api.conftest import ACME, PASSWORD, Clock, Service

STRANGER, OWNER = "203.0.113.9", "192.0.2.1"


@asynccontextmanager
async def at(service: Service, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client somewhere."""
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False, client=(address, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def log_in(client: httpx.AsyncClient, username: str = "admin", password: str = "guess guess", tenant: str = "acme") -> httpx.Response:
    return await client.post("/api/v1/login", json={"tenant": tenant, "username": username, "password": password})


def guard_of(service: Service) -> Guard:
    found = service.shared.services.guard
    assert isinstance(found, Guard)
    return found


class TestLogIn:
    async def test_a_stranger_is_throttled_and_the_owner_is_not(self, acme: Service) -> None:
        async with at(acme, STRANGER) as stranger, at(acme, OWNER) as owner:
            statuses = [(await log_in(stranger)).status_code for _ in range(12)]
            assert statuses == [401] * 10 + [429] * 2
            assert (await log_in(owner, password=PASSWORD)).status_code == 200

    @pytest.mark.parametrize(("username", "password"), [("admin", PASSWORD), ("admin", "guess guess"), ("nobody", "guess guess")])
    async def test_the_answer_to_who_is_throttled_tells_nothing(self, acme: Service, username: str, password: str) -> None:
        async with at(acme, STRANGER) as stranger:
            for _ in range(10):
                assert (await log_in(stranger, username)).status_code == 401
            answer = await log_in(stranger, username, password)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) == 30
        assert answer.json()["detail"] == "Too many wrong passwords from here; try again in 30 s."

    async def test_spellings_that_a_database_takes_for_the_same_name_share_a_bucket(self, acme: Service) -> None:
        async with at(acme, STRANGER) as stranger:
            for number in range(10):
                await log_in(stranger, "admin" + " " * number)
            assert (await log_in(stranger, "Admin")).status_code == 429

    async def test_guesses_at_the_same_moment_are_no_way_around(self, acme: Service) -> None:
        async with at(acme, STRANGER) as stranger:
            answers = await asyncio.gather(*(log_in(stranger) for _ in range(40)))
        assert sorted(one.status_code for one in answers) == [401] * 10 + [429] * 30

    async def test_a_known_place_has_a_bucket_of_its_own(self, acme: Service) -> None:
        async with at(acme, OWNER) as owner:
            assert (await log_in(owner, password=PASSWORD)).status_code == 200
        for number in range(10):
            async with at(acme, f"203.0.113.{number}") as stranger:
                for _ in range(10):
                    await log_in(stranger)
        async with at(acme, "198.51.100.1") as elsewhere, at(acme, OWNER) as owner:
            assert (await log_in(elsewhere, password=PASSWORD)).status_code == 429
            assert (await log_in(owner, password=PASSWORD)).status_code == 200

    async def test_the_old_password_is_guessed_no_faster_than_at_the_door(self, acme: Service) -> None:
        token = {"Authorization": f"Bearer {acme.tokens['admin']}"}
        async with at(acme, STRANGER) as thief:
            statuses = [
                (await thief.post("/api/v1/me/password", headers=token, json={"old": "guess guess", "new": PASSWORD})).status_code
                for _ in range(12)
            ]
        assert statuses == [401] * 10 + [429] * 2

    async def test_a_database_that_is_away_costs_nobody_an_attempt(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object) -> None:
            raise Unreachable("the server", Outage(reason="it is away"))

        async with at(acme, OWNER) as owner:
            with monkeypatch.context() as patched:
                patched.setattr(acme.databases, "unit", away)
                assert {(await log_in(owner, password=PASSWORD)).status_code for _ in range(30)} == {503}
            assert (await log_in(owner, password=PASSWORD)).status_code == 200


class TestTokens:
    async def test_wrong_ones_are_counted_by_source_and_right_ones_never_wait(self, acme: Service) -> None:
        async with at(acme, STRANGER) as client:
            for number in range(50):
                wrong = {"Authorization": f"Bearer fa1.acme.{number:043d}"}
                assert (await client.get("/api/v1/me", headers=wrong)).status_code == 401
            right = {"Authorization": f"Bearer {acme.tokens['admin']}"}
            assert (await client.get("/api/v1/me", headers=right)).status_code == 200
        assert guard_of(acme).counters["token", "failed"] == 50

    async def test_one_that_has_expired_is_no_guess(self, acme: Service) -> None:
        acme.clock.turn(hours=13)
        assert (await acme.call("GET", "me")).status_code == 401
        assert guard_of(acme).counters["token", "failed"] == 0


async def ban(service: Service, address: str = STRANGER) -> None:
    async with at(service, address) as stranger:
        for number in range(10):
            await log_in(stranger, f"user{number}")


class TestBans:
    async def test_who_is_banned_gets_429_before_anything_else(self, acme: Service) -> None:
        await ban(acme)
        async with at(acme, STRANGER) as stranger:
            for path in ("/", "/healthz", "/api/v1/me", "/nowhere"):
                answer = await stranger.get(path)
                assert (answer.status_code, answer.headers["content-type"]) == (429, "application/problem+json")
                assert 590 < int(answer.headers["retry-after"]) <= 600
        async with at(acme, OWNER) as owner:
            assert (await owner.get("/healthz")).status_code == 200

    @pytest.mark.parametrize("is_first", ["trunk", "ban"])
    async def test_a_tenants_trunk_at_the_place_neither_lifts_it_nor_keeps_it_away(self, acme: Service, is_first: str) -> None:
        if is_first == "ban":
            await ban(acme)
        await acme.made("trunks", {"id": "mine", "name": "Mine", "peer": STRANGER, "sources": [STRANGER]})
        directory = Directory()
        directory.put(acme.voice.setups[ACME])
        assert directory.tenants_at(STRANGER) == {ACME}
        Phones(VoiceSettings(), directory, ExchangeClock(), lambda *_: None, guard_of(acme)).user_agent(b"0123456789abcdef")
        if is_first == "trunk":
            await ban(acme)
        assert [one.source for one in guard_of(acme).bans()] == [STRANGER]
        async with at(acme, STRANGER) as stranger:
            assert (await log_in(stranger, password=PASSWORD)).status_code == 429

    async def test_the_operator_sees_and_undoes_it(self, acme: Service) -> None:
        await ban(acme)
        [told] = (await acme.got("security/bans", "operator"))["items"]
        assert (told["source"], told["count"], told["why"]) == (STRANGER, 1, "10 user names tried")
        assert (await acme.call("DELETE", f"security/bans/{STRANGER}", "operator")).status_code == 204
        assert (await acme.call("DELETE", f"security/bans/{STRANGER}", "operator")).status_code == 404
        async with at(acme, STRANGER) as stranger:
            assert (await stranger.get("/healthz")).status_code == 200

    async def test_an_ipv6_network_is_named_as_the_list_names_it(self, acme: Service) -> None:
        await ban(acme, "2001:db8::1")
        [told] = (await acme.got("security/bans", "operator"))["items"]
        assert told["source"] == "2001:db8::/64"
        assert (await acme.call("DELETE", "security/bans/2001:db8::/64", "operator")).status_code == 204

    async def test_it_is_for_operators(self, staffed: Service) -> None:
        for who in ("admin", "supervisor", "anna"):
            assert (await staffed.call("GET", "security/bans", who)).status_code == 403
            assert (await staffed.call("GET", "security/attempts", who)).status_code == 403

    async def test_attempts_are_listed_newest_first_in_pages(self, acme: Service) -> None:
        await ban(acme)
        first = await acme.got("security/attempts?limit=4", "operator")
        second = await acme.got(f"security/attempts?limit=4&after={first['next']}", "operator")
        assert [one["user"] for one in first["items"] + second["items"]] == [f"acme/user{number}" for number in range(9, 1, -1)]
        assert {(one["outcome"], one["protocol"], one["address"], one["tenant"]) for one in first["items"]} == {
            ("failed", "web", STRANGER, "acme")
        }

    async def test_metrics_count_attempts_and_bans(self, acme: Service) -> None:
        await ban(acme)
        page = (await acme.client.get("/metrics")).text
        assert 'fernamt_security_attempts_total{outcome="failed",protocol="web"} 10.0' in page
        assert "fernamt_security_bans 1.0" in page


class TestRestart:
    async def test_bans_and_known_places_outlive_it(self, acme: Service) -> None:
        await ban(acme)
        async with at(acme, OWNER) as owner:
            await log_in(owner, password=PASSWORD)
        await acme.shared.part(Keeper).close()
        async with _again(acme) as guard:
            assert [one.source for one in guard.bans()] == [STRANGER]
            assert guard.ban_of(STRANGER, guard.now()) is not None
            assert guard.accounts.known.is_known("web acme/admin", OWNER, guard.now())
            guard.lift(STRANGER, by="operator")
        async with _again(acme) as guard:
            assert guard.bans() == []

    async def test_what_is_too_old_is_forgotten(self, acme: Service) -> None:
        await ban(acme)
        await acme.shared.part(Keeper).close()
        async with acme.databases.control.begin() as connection:
            await connection.execute(text("UPDATE source_ban SET until = '2020-01-01 00:00:00.000000'"))
            await connection.execute(text("UPDATE known_source SET seen_at = '2020-01-01 00:00:00.000000'"))
        async with _again(acme) as guard:
            assert (guard.bans(), len(guard.accounts.known)) == ([], 0)
        async with acme.databases.control.connect() as connection:
            assert await connection.scalar(text("SELECT count(*) FROM source_ban")) == 0


@asynccontextmanager
async def _again(acme: Service) -> AsyncIterator[Guard]:
    """The next process on the same data."""
    from api.security import Keeper

    databases = Databases(acme.settings)
    await databases.open()
    services = Services(acme.settings, databases, acme.voice, Clock())
    keeper = Keeper(services)
    try:
        await keeper.start()
        yield services.guard
        await keeper.close()
    finally:
        await databases.close()


class TestLog:
    async def test_it_stands_in_a_file_of_its_own_that_only_we_read(self, acme: Service, tmp_path: Path) -> None:
        path = tmp_path / "logs" / "security.log"
        with open_log(path):
            await ban(acme)
            async with at(acme, STRANGER) as stranger:
                await log_in(stranger, "x\nfernamt.security failed source=192.0.2.1")  # is banned, so not even heard
        written = path.read_text(encoding="utf-8").splitlines()
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(written) == 11
        told = read(written[0].partition("fernamt.security ")[2])
        assert told == {"outcome": "failed", "source": STRANGER, "protocol": "web", "tenant": "acme", "user": "acme/user0"}
        assert "banned source=203.0.113.9 seconds=600 count=1" in written[-1]

    async def test_it_is_begun_anew_when_it_was_moved_away(self, acme: Service, tmp_path: Path) -> None:
        path = tmp_path / "security.log"
        with open_log(path):
            await ban(acme)
            path.rename(tmp_path / "security.log.1")
            await ban(acme, "203.0.113.10")
        assert len(path.read_text().splitlines()) == 11

    async def test_no_password_is_in_it(self, acme: Service, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with at(acme, STRANGER) as stranger:
            await log_in(stranger, password="a telling secret")
        assert "a telling secret" not in caplog.text
        assert "failed source=203.0.113.9" in caplog.text


async def test_a_weak_password_of_the_operator_is_told_at_the_start(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    settings = service.settings.model_copy(update={"operator": Operator(password=SecretStr("password"))})
    app = create_app(settings, service.voice, service.databases, service.clock, Guard(GuardPolicy()))
    async with app.router.lifespan_context(app):
        assert "the operator's password in the settings: This password is too easy to guess" in caplog.text
