"""Contacts, tickets, appointments, and what they tell when somebody calls."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from acd.service import ScreenContext
from api.screen import lookup_in
from tests.api.conftest import ACME, Service


class TestContacts:
    async def test_numbers_are_kept_in_e164_and_found_in_any_notation(self, acme: Service) -> None:
        created = await acme.made("contacts", {"name": "Erika Muster", "numbers": ["089 / 123 45-67", "+49891234567", "+43 1 2052010"]})
        assert created["numbers"] == ["+4312052010", "+49891234567"]
        found = await acme.call("GET", "contacts", params={"number": "0049 89 1234567"})
        assert [contact["id"] for contact in found.json()["items"]] == [created["id"]]

    async def test_found_by_part_of_name_or_company(self, acme: Service) -> None:
        await acme.made("contacts", {"name": "Erika Muster", "company": "100% Muster_AG"})
        await acme.made("contacts", {"name": "John Sample"})
        for text, count in (("erika", 1), ("muster_", 1), ("100%", 1), ("_x", 0), ("%", 1)):
            found = await acme.call("GET", "contacts", params={"text": text})
            assert len(found.json()["items"]) == count, text

    async def test_change_replaces_the_numbers(self, acme: Service) -> None:
        created = await acme.made("contacts", {"name": "Erika", "numbers": ["+49891234567"]})
        changed = await acme.call("PUT", f"contacts/{created['id']}", json={"name": "Erika M.", "numbers": ["+49891234568"]})
        assert changed.json()["numbers"] == ["+49891234568"]
        found = await acme.call("GET", "contacts", params={"number": "+49891234567"})
        assert found.json()["items"] == []

    async def test_deleted_contact_leaves_its_tickets_but_not_its_appointments(self, acme: Service) -> None:
        contact = await acme.made("contacts", {"name": "Erika"})
        ticket = await acme.made("tickets", {"subject": "x", "contact": contact["id"]})
        body = {"contact": contact["id"], "title": "x", "starts_at": "2026-03-03T09:00:00Z", "ends_at": "2026-03-03T10:00:00Z"}
        await acme.made("appointments", body)
        assert (await acme.call("DELETE", f"contacts/{contact['id']}")).status_code == 204
        assert (await acme.got(f"tickets/{ticket['number']}"))["contact"] is None
        assert (await acme.got("appointments"))["items"] == []

    async def test_letters_no_database_can_keep_are_422(self, acme: Service) -> None:
        for name in ("a\x00b", "\ud800"):
            answer = await acme.call("POST", "contacts", content=f'{{"name": "{name!s}"}}'.encode("utf-8", "surrogatepass"))
            assert answer.status_code == 422
        escaped = await acme.call("POST", "contacts", content=b'{"name": "a\\u0000b"}', headers={"Content-Type": "application/json"})
        assert escaped.status_code == 422


class TestTickets:
    async def test_numbers_have_no_gap_under_parallel_intake(self, acme: Service) -> None:
        wrong = {"subject": "x", "contact": "nobody"}
        bodies = [{"subject": f"ticket {number}"} if number % 5 else wrong for number in range(40)]
        answers = await asyncio.gather(*(acme.call("POST", "tickets", json=body) for body in bodies))
        made = sorted(answer.json()["number"] for answer in answers if answer.status_code == 201)
        assert made == list(range(1, 33))
        assert {answer.status_code for answer in answers} == {201, 422}

    async def test_ticket_cannot_be_deleted(self, acme: Service) -> None:
        ticket = await acme.made("tickets", {"subject": "x"})
        assert (await acme.call("DELETE", f"tickets/{ticket['number']}")).status_code == 405

    async def test_solved_ones_are_filtered(self, acme: Service) -> None:
        first, second = [await acme.made("tickets", {"subject": name}) for name in ("a", "b")]
        changed = await acme.call("PATCH", f"tickets/{first['number']}", json={"state": "solved"})
        assert changed.json()["state"] == "solved"
        assert [one["number"] for one in (await acme.got("tickets?state=open"))["items"]] == [second["number"]]

    async def test_list_goes_in_pages_newest_first(self, acme: Service) -> None:
        for number in range(5):
            await acme.made("tickets", {"subject": str(number)})
        first = await acme.got("tickets?limit=3")
        rest = await acme.got(f"tickets?limit=3&after={first['next']}")
        assert [one["number"] for one in first["items"] + rest["items"]] == [5, 4, 3, 2, 1]
        assert rest["next"] is None


class TestAppointments:
    BODY = {"title": "Callback", "starts_at": "2026-03-03T10:00:00+01:00", "ends_at": "2026-03-03T10:30:00+01:00"}  # noqa: RUF012

    async def test_times_are_answered_in_utc(self, acme: Service) -> None:
        contact = await acme.made("contacts", {"name": "Erika"})
        made = await acme.made("appointments", {**self.BODY, "contact": contact["id"]})
        assert (made["starts_at"], made["ends_at"]) == ("2026-03-03T09:00:00Z", "2026-03-03T09:30:00Z")

    async def test_it_ends_after_it_starts(self, acme: Service) -> None:
        contact = await acme.made("contacts", {"name": "Erika"})
        body = {**self.BODY, "contact": contact["id"], "ends_at": self.BODY["starts_at"]}
        assert (await acme.call("POST", "appointments", json=body)).status_code == 422

    async def test_naive_time_is_422(self, acme: Service) -> None:
        contact = await acme.made("contacts", {"name": "Erika"})
        body = {**self.BODY, "contact": contact["id"], "starts_at": "2026-03-03T10:00:00"}
        assert (await acme.call("POST", "appointments", json=body)).status_code == 422

    async def test_changed_and_called_off(self, acme: Service) -> None:
        contact = await acme.made("contacts", {"name": "Erika"})
        made = await acme.made("appointments", {**self.BODY, "contact": contact["id"]})
        changed = await acme.call("PUT", f"appointments/{made['id']}", json={**self.BODY, "contact": contact["id"], "title": "New"})
        assert changed.json()["title"] == "New"
        assert (await acme.call("DELETE", f"appointments/{made['id']}")).status_code == 204
        assert (await acme.call("GET", f"appointments/{made['id']}")).status_code == 404

    async def test_with_somebody_who_is_not_there_is_422(self, acme: Service) -> None:
        answer = await acme.call("POST", "appointments", json={**self.BODY, "contact": "nobody"})
        assert answer.json()["errors"] == [{"detail": "no such contact", "pointer": "#/contact"}]


class TestScreen:
    async def test_number_tells_contact_unsolved_tickets_and_next_appointment(self, acme: Service) -> None:
        contact = await acme.made("contacts", {"name": "Erika", "numbers": ["+49891234567"]})
        for subject in ("solved", "open"):
            ticket = await acme.made("tickets", {"subject": subject, "contact": contact["id"]})
            if subject == "solved":
                await acme.call("PATCH", f"tickets/{ticket['number']}", json={"state": "solved"})
        now = acme.clock()
        for days in (-1, 2, 1):
            starts_at = now + timedelta(days=days)
            times = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + timedelta(hours=1)).isoformat()}
            await acme.made("appointments", {"contact": contact["id"], "title": f"in {days}", **times})
        context = await lookup_in(acme.databases, acme.clock)(ACME, "+49891234567")
        assert context.contact is not None
        assert context.contact["name"] == "Erika"
        assert [ticket["subject"] for ticket in context.tickets] == ["open"]
        assert context.appointment is not None
        assert context.appointment["title"] == "in 1"

    async def test_contact_that_is_made_while_the_numbers_are_read_is_known_afterwards(self, acme: Service) -> None:
        lookup = lookup_in(acme.databases, acme.clock)
        for number in range(10):
            dialled = f"+4989123450{number}"
            body = {"name": "Erika", "numbers": [dialled]}
            await asyncio.gather(acme.made("contacts", body), *(lookup(ACME, dialled) for _ in range(3)))
            assert (await lookup(ACME, dialled)).contact is not None

    async def test_direct_dial_of_a_company_is_that_company(self, acme: Service) -> None:
        """Behind its line, or in place of the switchboard's 0; a person's number has nothing behind it, and its neighbour is a stranger."""
        await acme.made("contacts", {"name": "Zentrale", "company": "Muster AG", "numbers": ["089 123456-0"]})
        await acme.made("contacts", {"name": "Empfang", "company": "Beispiel KG", "numbers": ["+43 1 20520"]})
        await acme.made("contacts", {"name": "Erika", "numbers": ["0761 88660"]})
        lookup = lookup_in(acme.databases, acme.clock)
        for number, company in (
            ("+49891234560", "Muster AG"),
            ("+498912345612", "Muster AG"),
            ("+4989123456789", "Muster AG"),
            ("+498912345601", "Muster AG"),
            ("+4312052067", "Beispiel KG"),
            ("+49891234561", None),
            ("+498912345", None),
            ("+497618866012", None),
            ("+441205206712", None),
        ):
            contact = (await lookup(ACME, number)).contact
            assert (contact["company"] if contact is not None else None) == company, number

    async def test_unknown_number_tells_nothing(self, acme: Service) -> None:
        assert await lookup_in(acme.databases, acme.clock)(ACME, "+49891234567") == ScreenContext()
