"""What cannot be meant is refused with a sentence that says where; what is stored already and breaks a younger rule opens and is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from acd.core.configuration import (
    Agent,
    Forwarding,
    Menu,
    Number,
    Overflow,
    Queue,
    TenantConfiguration,
    ToAgent,
    ToMenu,
    ToOutside,
    ToQueue,
)
from acd.core.ids import AgentId, MenuId, QueueId, ScheduleId, TenantId
from api.kit.numbers import not_geographic
from api.telephony_setup.rules import circles
from api.telephony_setup.schemas import _countries
from tests.api.conftest import ACME, Clock, Service, started

QUEUE_601 = {"to": "queue", "queue": "support"}


async def refused(service: Service, path: str, body: dict[str, Any]) -> str:
    method = "PUT" if "/" in path else "POST"
    answer = await service.call(method, path, json=body)
    assert answer.status_code == 422, answer.text
    return str(answer.json()["detail"])


class TestCountry:
    @pytest.mark.parametrize("country", ["ZZ", "XX", "UK", "EU"])
    async def test_code_that_is_assigned_to_no_country_is_refused(self, staffed: Service, country: str) -> None:
        told = await refused(staffed, "numbers", {"number": "+4989111222", "target": QUEUE_601, "country": country})
        assert told == f"#/country: {country} is no country of ISO 3166-1; write one like `DE`"

    def test_every_country_is_one(self) -> None:
        assert len(_countries()) == 250
        assert {"DE", "AT", "CH", "AU", "US", "GB", "XK", "AQ"} <= _countries()


class TestHours:
    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            (
                {"openings": [(0, "09:00", "12:00"), (1, "09:00", "12:00"), (0, "11:59", "17:00")]},
                "on Monday 09:00-12:00 and 11:59-17:00 overlap",
            ),
            ({"openings": [(6, "00:00", "24:00"), (6, "08:00", "09:00")]}, "on Sunday 00:00-24:00 and 08:00-09:00 overlap"),
            (
                {"exceptions": [("2026-12-24", ["09:00", "12:00"]), ("2026-12-24", [])]},
                "exceptions: 2026-12-24 is there twice; write all its hours into one",
            ),
            ({"exceptions": [("2026-12-24", ["09:00", "12:00", "10:00", "11:00"])]}, "on 2026-12-24 09:00-12:00 and 10:00-11:00 overlap"),
        ],
    )
    async def test_hours_at_the_same_time_are_refused(self, acme: Service, document: dict[str, Any], sentence: str) -> None:
        assert (await refused(acme, "schedules", _schedule(**document))).endswith(sentence)

    async def test_hours_that_follow_each_other_are_right(self, acme: Service) -> None:
        given = _schedule(openings=[(0, "13:00", "17:00"), (0, "09:00", "12:00"), (0, "12:00", "13:00")])
        assert (await acme.call("POST", "schedules", json=given)).status_code == 201


def _schedule(openings: Any = (), exceptions: Any = ()) -> dict[str, Any]:
    return {
        "id": "office",
        "openings": [{"weekday": day, "opens": opens, "closes": closes} for day, opens, closes in openings],
        "exceptions": [
            {"date": date, "openings": [{"opens": o, "closes": c} for o, c in zip(hours[::2], hours[1::2], strict=True)]}
            for date, hours in exceptions
        ],
    }


class TestCircles:
    async def test_menu_whose_fallback_is_itself_is_refused(self, staffed: Service) -> None:
        menu = {"id": "main", "sounds": ["menu"], "options": {"1": QUEUE_601}, "fallback": {"to": "menu", "menu": "main"}}
        told = await refused(staffed, "menus", menu)
        assert told == "a caller who presses nothing goes in a circle: menu main by fallback, and is at menu main again"

    async def test_key_that_plays_the_menu_again_is_right(self, staffed: Service) -> None:
        menu = {"id": "main", "sounds": ["menu"], "options": {"*": {"to": "menu", "menu": "main"}}, "fallback": QUEUE_601}
        assert (await staffed.call("POST", "menus", json=menu)).status_code == 201

    async def test_queues_that_overflow_into_each_other_are_refused_at_the_one_that_closes_the_circle(self, staffed: Service) -> None:
        sales = {"id": "sales", "name": "Sales", "overflow": [{"target": QUEUE_601, "max_wait_s": 60}]}
        await staffed.made("queues", sales)
        support = await staffed.got("queues/support")
        body = {name: value for name, value in support.items() if name not in {"version", "changed_at"}}
        body["overflow"] = [{"target": {"to": "queue", "queue": "sales"}, "no_agents": True}]
        told = await refused(staffed, "queues/support", body)
        assert "queue support by overflow, queue sales by overflow, and is at queue support again" in told
        assert (await staffed.call("PUT", "queues/support", json={**body, "overflow": []})).status_code == 200

    def test_closed_leads_anywhere_only_where_there_are_hours(self) -> None:
        menu = Menu(id=MenuId("m"), sounds=(), options={}, closed=ToQueue(queue=QueueId("q")), fallback=ToQueue(queue=QueueId("q")))
        queue = Queue(id=QueueId("q"), name="Q", closed=ToMenu(menu=MenuId("m")))
        without = TenantConfiguration(tenant=TenantId("t"), menus=(menu,), queues=(queue,))
        assert circles(without, [("menu", "m"), ("queue", "q")]) == []
        kept = Queue(id=QueueId("q"), name="Q", closed=ToMenu(menu=MenuId("m")), schedule=ScheduleId("s"))
        assert circles(TenantConfiguration(tenant=TenantId("t"), menus=(menu,), queues=(kept,)), [("queue", "q")]) == [
            "a caller who presses nothing goes in a circle: queue q by closed, menu m by fallback, and is at queue q again"
        ]

    def test_number_that_is_forwarded_to_itself_outside_is_refused(self) -> None:
        number = Number(number="+4930555100", target=ToOutside(number="+4930555100"))
        assert circles(TenantConfiguration(tenant=TenantId("t"), numbers=(number,)), [("number", "+4930555100")]) == [
            "a caller who presses nothing goes in a circle: number +4930555100 by target, and is at number +4930555100 again"
        ]

    @pytest.mark.parametrize("reason", ["always", "busy", "no_answer", "unregistered"])
    def test_colleagues_who_forward_to_each_other_for_one_reason_are_refused(self, reason: str) -> None:
        anna = Agent(id=AgentId("anna"), name="Anna", device="anna@x", extension="21", forwarding=Forwarding(**{reason: "+4930555102"}))
        ben = Agent(id=AgentId("ben"), name="Ben", device="ben@x", forwarding=Forwarding(**{reason: "21"}))
        number = Number(number="+4930555102", target=ToAgent(agent=AgentId("ben")))
        assert circles(TenantConfiguration(tenant=TenantId("t"), agents=(anna, ben), numbers=(number,)), [("agent", "ben")]) == [
            (
                f"a caller who presses nothing goes in a circle: agent ben by forwarding {reason}, agent anna by forwarding {reason}, "
                f"number {number.number} by target, and is at agent ben again"
            )
        ]

    def test_head_and_deputy_who_stand_in_for_each_other_for_different_reasons_may(self) -> None:
        head = Agent(id=AgentId("head"), name="H", device="h@x", extension="21", forwarding=Forwarding(busy="22"))
        deputy = Agent(id=AgentId("deputy"), name="D", device="d@x", extension="22", forwarding=Forwarding(no_answer="21"))
        configuration = TenantConfiguration(tenant=TenantId("t"), agents=(head, deputy))
        assert circles(configuration, [("agent", "head"), ("agent", "deputy")]) == []

    def test_a_circle_elsewhere_is_not_reported_for_what_only_leads_to_it_and_a_long_one_once(self) -> None:
        count = 200
        queues = tuple(
            Queue(id=QueueId(f"q{n}"), name="Q", overflow=(Overflow(target=ToQueue(queue=QueueId(f"q{(n + 1) % count}")), no_agents=True),))
            for n in range(count)
        )
        menu = Menu(id=MenuId("m"), sounds=(), options={}, fallback=ToQueue(queue=QueueId("q7")))
        configuration = TenantConfiguration(tenant=TenantId("t"), queues=queues, menus=(menu,))
        assert circles(configuration, [("menu", "m")]) == []
        assert len(circles(configuration, [("queue", f"q{n}") for n in range(count)])) == 1


class TestGeographic:
    @pytest.mark.parametrize(
        ("number", "found"),
        [
            ("0900 5 123456", "premium"),
            ("0137 7 123456", "mass"),
            ("0180 2 1234", "shared_cost"),
            ("0700 1234567", "personal"),
            ("032 123456", "national"),
            ("0800 1234567", "freephone"),
            ("0171 2345678", "mobile"),
            ("+49 101 0123456", "unassigned"),
            ("11833", "directory"),
            ("116116", "harmonised"),
            ("116117", "emergency"),
            ("+44 7911 123456", "mobile"),
            ("+43 900 123456", "premium"),
        ],
    )
    def test_numbers_that_belong_to_no_place_are_known(self, number: str, found: str) -> None:
        assert not_geographic(number) == found

    @pytest.mark.parametrize(
        "number", ["089 1234567", "+49 30 23125600", "600", "21", "+43 1 2052600", "+1 212 555 0160", "+61 2 5550 5600"]
    )
    def test_others_are_taken_for_what_they_are_called(self, number: str) -> None:
        assert not_geographic(number) is None

    async def test_such_a_number_called_geographic_is_refused(self, staffed: Service) -> None:
        told = await refused(staffed, "numbers", {"number": "0900 5 123456", "target": QUEUE_601, "geographic": True})
        assert told.endswith("geographic: +499005123456 is of the class premium, no number of a place")

    async def test_left_out_it_is_what_the_number_says(self, staffed: Service) -> None:
        assert (await staffed.made("numbers", {"number": "0900 5 123456", "target": QUEUE_601}))["geographic"] is False
        assert (await staffed.made("numbers", {"number": "089 1234567", "target": QUEUE_601}))["geographic"] is True


class TestText:
    @pytest.mark.parametrize("letter", ["\n", "\t", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\ufeff", "\U000e0041"])
    async def test_name_is_one_line_of_what_can_be_seen(self, acme: Service, letter: str) -> None:
        told = await refused(acme, "contacts", {"name": f"Erika{letter}Muster"})
        assert told == f"#/name: character 6 is U+{ord(letter):04X}, which cannot be seen; leave it out"

    async def test_half_a_surrogate_pair_is_refused(self, acme: Service) -> None:
        answer = await acme.call("POST", "contacts", content=b'{"name": "a\\ud800"}', headers={"Content-Type": "application/json"})
        assert answer.status_code == 422

    @pytest.mark.parametrize("name", ["Søren Müller", "نور", "नमस्ते", "👩\u200d💻", "Ωμέγα"])
    async def test_names_of_people_are_taken(self, acme: Service, name: str) -> None:
        assert (await acme.made("contacts", {"name": name}))["name"] == name

    async def test_text_of_many_lines_has_lines_and_nothing_else_of_the_kind(self, acme: Service) -> None:
        note = "first\r\nsecond\tthird"
        assert (await acme.made("contacts", {"name": "Erika", "note": note}))["note"] == note
        assert "U+202E" in await refused(acme, "contacts", {"name": "Erika", "note": "a\n\u202eb"})

    async def test_password_of_before_the_rule_still_opens(self, acme: Service) -> None:
        body = {"tenant": "acme", "username": "admin", "password": "a\tb"}
        assert (await acme.client.post("/api/v1/login", json=body)).status_code == 401  # wrong, not invalid

    @pytest.mark.parametrize("change", [{"id": "x" * 65}, {"version": "1" * 65}, {"id": "a\u202eb"}])
    async def test_tariff_names_fit_their_columns_and_a_line(self, staffed: Service, change: dict[str, str]) -> None:
        rate = {"prefix": "49", "name": {"de": "D", "en": "D"}, "class": "geographic", "per_minute": "0.01"}
        plan = {"id": "own", "version": "1", "currency": "EUR", "valid_from": "2026-01-01T00:00:00+01:00", "vat_rate": "0.19"}
        await refused(staffed, "tariffs", {"document": {**plan, "vat_included": False, "rate": [rate], **change}})

    async def test_tariff_with_half_a_surrogate_pair_is_refused(self, staffed: Service) -> None:
        content = b'{"document": {"id": "own", "version": "\\ud800"}}'
        answer = await staffed.call("POST", "tariffs", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422


class TestStoredBefore:
    """A rule holds for what comes in. What an older release took is opened, told, and in nobody's way until it is changed itself."""

    async def test_bad_documents_open_are_told_and_stop_no_other_change(self, staffed: Service, clock: Clock, application: FastAPI) -> None:
        await staffed.made("schedules", _schedule())
        menu = {"id": "loop", "sounds": ["menu"], "options": {}, "fallback": {"to": "hang_up"}}
        await staffed.made("menus", menu)
        await staffed.made("numbers", {"number": "0900 5 123456", "target": QUEUE_601})
        for table, key, change in (
            ("schedule", "office", {"openings": [{"weekday": 0, "opens": "09:00", "closes": "12:00"}] * 2}),
            ("menu", "loop", {"fallback": {"to": "menu", "menu": "loop"}}),
            ("number", "+499005123456", {"geographic": True, "country": "ZZ"}),
            ("queue", "support", {"name": "Sup\u202eport"}),
        ):
            await _store(staffed, table, key, change)
        await staffed.databases.close()
        async with started(staffed.settings, clock, application) as again:
            again.tokens.update(staffed.tokens)
            assert again.shared.services.failed == {}
            assert [menu.id for menu in again.voice.setups[ACME].configuration.menus] == ["loop"]
            told = [await again.got(path) for path in ("numbers/+499005123456", "menus/loop", "schedules/office", "queues/support")]
            assert (told[0]["country"], told[0]["geographic"]) == ("ZZ", True)
            assert (len(told[2]["openings"]), told[3]["name"]) == (2, "Sup\u202eport")
            assert len((await again.got("numbers"))["items"]) == 2
            # The first change of a run reads every row again; another document's fault is not its own.
            await again.made("sites", {"id": "main", "upload_kbits": 1000})
            assert (await again.call("PUT", "menus/loop", json={**menu, "sounds": ["menu"]})).status_code == 200
            bad = {"number": "+499005123456", "target": QUEUE_601, "country": "ZZ"}
            assert "ZZ is no country" in await refused(again, "numbers/+499005123456", bad)
            await refused(again, "menus/loop", {**menu, "fallback": {"to": "menu", "menu": "loop"}})


async def _store(service: Service, table: str, key: str, change: dict[str, Any]) -> None:
    async with service.databases.tenant(ACME).begin() as connection:
        document = json.loads(await connection.scalar(text(f"SELECT document FROM setup_{table} WHERE id = :id"), {"id": key}) or "{}")
        changed = json.dumps(document | change)
        await connection.execute(text(f"UPDATE setup_{table} SET document = :document WHERE id = :id"), {"document": changed, "id": key})
