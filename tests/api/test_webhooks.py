"""Webhooks: what happens arrives signed and in order, under an id that stays; what fails is tried for days; nobody inside is reached."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import shutil
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from acd.core.ids import CallId
from acd.core.inputs import ClearCall
from acd.networks import EVERYTHING, Reach
from api import stored_secrets
from api.config import Operator, Settings, Webhooks
from api.kit import reaching
from api.kit.outbox import Event
from api.kit.outbox import put as outbox_put
from api.kit.reaching import PRIVATE, NotAllowed, NotBegun, NotReached, Reaching
from api.kit.sealing import Key, Keys
from api.shared import shared_in
from api.slices import SLICES
from api.telephony import CallEvents, outgoing
from api.webhooks import rules
from api.webhooks.deliver import OF_TENANT
from billing_cdr import store
from billing_cdr.house_plan import house_plan
from billing_cdr.rating import PlanBook, rate
from tests.api.conftest import ACME, ALLOWED, CHEAP, PASSWORD, Clock, Service, add_tenant
from tests.api.receiver import Received, Receiver, answer, certified, receiving
from tests.api.records import outbound
from tests.releases.vectors import vectors
from tests.schemas import check

CONTACT = {"name": "Erika Muster", "numbers": ["+49891234567"]}
WEBHOOKS = Path(__file__).resolve().parents[2] / "docs/webhooks.md"


@pytest.fixture
def jobs_run() -> bool:
    return True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    hooks = Webhooks(allow=("127.0.0.0/8",), plain_http=True)
    return Settings(data=tmp_path / "data", login=CHEAP, operator=Operator(password=SecretStr(PASSWORD)), tenants=ALLOWED, webhooks=hooks)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def hook(acme: Service, receiver: Receiver, *events: str, who: str = "admin", **more: Any) -> dict[str, Any]:
    return await acme.made("webhooks", {"url": receiver.url(), "events": list(events), **more}, who)


async def settled(acme: Service, tenant: Any = ACME) -> None:
    await shared_in(acme.app).services.jobs.settled(tenant)


async def turn(acme: Service, **by: float) -> None:
    acme.clock.turn(**by)
    shared_in(acme.app).services.jobs.wake(ACME)
    await settled(acme)
    acme.tokens["admin"] = await acme.log_in("admin")  # the one before may have ended


async def deliveries(acme: Service, key: str, *, dead: bool = False) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await acme.got(f"webhooks/{key}/deliveries{'?dead=true' if dead else ''}"))["items"]
    return found


def is_signed(request: Received, secret: str) -> bool:
    """As a receiver checks it, by the words of Standard Webhooks."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    wanted = base64.b64encode(hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in request.headers["webhook-signature"].split(" ")


class TestRules:
    def test_the_signature_is_that_of_the_standard(self) -> None:
        """Of the examples of Standard Webhooks."""
        body = '{"test": 2432232314}'
        made = rules.signature(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
        assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("http://example.org/", "begins with https"),
            ("ftp://example.org/", "begins with https"),
            ("https://user:pw@example.org/", "user and password"),
            ("https://example.org/#x", "what begins with #"),
            ("https:///x", "no address"),
            ("https://example.org:0/", "no address"),
            ("https://example.org:99999/", "no address"),
            ("https://bücher.example/", "in ASCII"),
            ("https://example.org/a b", "in ASCII"),
            ("https://example.org/\r\nX: y", "in ASCII"),
            ("https://-example.org/", "neither an IP address nor a host name"),
            ("https://1.2.3.4.5/", "neither an IP address nor a host name"),
        ],
    )
    def test_an_address_that_cannot_be_sent_to_is_named(self, url: str, why: str) -> None:
        with pytest.raises(ValueError, match=why):
            rules.checked_url(url, plain=False)

    def test_which_schemes_there_are_is_said(self) -> None:
        with pytest.raises(ValueError, match=r"begins with https://$"):
            rules.checked_url("ftp://example.org/", plain=False)
        with pytest.raises(ValueError, match=r"begins with https:// or http://$"):
            rules.checked_url("ftp://example.org/", plain=True)

    def test_a_retry_after_is_believed_up_to_a_day(self) -> None:
        now = Clock().now
        assert rules.retry_after_s("120", now) == 120
        assert rules.retry_after_s("999999999", now) == 86_400
        assert rules.retry_after_s("Mon, 02 Mar 2026 09:01:00 GMT", now) == 60
        assert rules.retry_after_s("Mon, 02 Mar 2020 09:01:00 GMT", now) == 0
        assert [rules.retry_after_s(one, now) for one in (None, "", "soon", "-5", "Mon, 02 Mar 2026 09:01:00")] == [None] * 5

    def test_an_endpoint_is_disabled_only_when_a_delivery_could_have_been_given_up(self) -> None:
        assert timedelta(seconds=sum(rules.RETRIES.delays_s) * 1.1) < rules.DISABLED_AFTER

    def test_every_kind_of_event_has_a_name_a_sentence_and_no_person_in_it(self) -> None:
        for kind in SLICES.events:
            assert kind.description.endswith("."), kind.name
            assert kind.named_by in kind.payload.model_fields
            personal = {"name", "calling", "called", "number", "email", "text", "subject", "title", "note"} - {"number"}
            assert not personal & kind.payload.model_fields.keys(), kind.name
            assert kind.shown_by.endswith(":read"), kind.name
        assert SLICES.events.names == tuple(dict.fromkeys(SLICES.events.names))

    def test_the_docs_say_what_shows_each_kind(self) -> None:
        rows = re.findall(r"^\| (`[a-z]+\.[^|]+) \| `([a-z]+:read)` \|", WEBHOOKS.read_text(encoding="utf-8"), re.MULTILINE)
        said = {pattern: permission for patterns, permission in rows for pattern in re.findall(r"`([^`]+)`", patterns)}
        for kind in SLICES.events:
            of_all = f"{kind.name.partition('.')[0]}.*"
            assert said.get(kind.name, said.get(of_all)) == kind.shown_by, kind.name


class TestDelivery:
    async def test_what_happens_arrives_signed_in_order_and_only_where_it_is_wanted(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "contact.created", "contact.changed")
        contact = (await acme.made("contacts", CONTACT))["id"]
        await acme.call("PUT", f"contacts/{contact}", json={"name": "Erika M."})
        await acme.call("DELETE", f"contacts/{contact}")
        first, second = await receiver.has(2)
        await settled(acme)
        assert [one.told["type"] for one in receiver.received] == ["contact.created", "contact.changed"]
        assert first.told["data"] == {"id": contact}
        assert first.head == "POST /hooks HTTP/1.1"
        assert first.headers["content-type"] == "application/json"
        assert is_signed(first, made["secret"])
        assert is_signed(second, made["secret"])
        assert first.headers["webhook-id"] != second.headers["webhook-id"]
        rows = await deliveries(acme, made["id"])
        assert [(row["state"], row["kind"], row["status"], row["tries"]) for row in rows] == [
            ("delivered", "contact.changed", 204, 1),
            ("delivered", "contact.created", 204, 1),
        ]
        assert "Erika" not in repr(receiver.received)

    async def test_everything_that_a_tenant_changes_is_told_in_one_line_each(self, staffed: Service, receiver: Receiver) -> None:
        await hook(staffed, receiver, "*")
        contact = (await staffed.made("contacts", CONTACT))["id"]
        ticket = (await staffed.made("tickets", {"subject": "x", "contact": contact}))["number"]
        await staffed.call("PATCH", f"tickets/{ticket}", json={"state": "solved"})
        times = {"starts_at": "2026-03-03T09:00:00Z", "ends_at": "2026-03-03T10:00:00Z"}
        date = (await staffed.made("appointments", {"contact": contact, "title": "x", **times}))["id"]
        await staffed.call("PUT", f"appointments/{date}", json={"contact": contact, "title": "y", **times})
        await staffed.call("DELETE", f"appointments/{date}")
        await staffed.made("users", {"id": "new", "name": "New", "role": "billing", "password": PASSWORD})
        await staffed.call("PATCH", "users/new", json={"role": "supervisor"})
        await staffed.call("DELETE", "users/new")
        await staffed.made("queues", {"id": "sales", "name": "Sales"})
        await staffed.call("DELETE", "queues/sales")
        await staffed.call("DELETE", f"contacts/{contact}")
        await receiver.has(12)
        await settled(staffed)
        assert sorted(one.told["type"] for one in receiver.received) == sorted(
            f"{noun}.{verb}"
            for noun, verbs in {
                "contact": ("created", "deleted"),
                "ticket": ("created", "changed"),
                "appointment": ("created", "changed", "deleted"),
                "user": ("created", "changed", "deleted"),
                "setup": ("created", "deleted"),
            }.items()
            for verb in verbs
        )

    async def test_an_endpoint_that_is_removed_takes_along_what_waits_for_it(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(500)] * 3
        for _ in range(3):
            await acme.made("contacts", CONTACT)
        await settled(acme)
        assert {row["state"] for row in await deliveries(acme, made["id"])} == {"pending"}
        assert len((await acme.got("jobs?name=webhooks.deliver"))["items"]) == 3
        assert (await acme.call("DELETE", f"webhooks/{made['id']}")).status_code == 204
        assert (await acme.got("jobs?name=webhooks.deliver"))["items"] == []

    async def test_what_fails_is_tried_again_under_the_same_id_and_what_comes_after_it_waits(
        self, acme: Service, receiver: Receiver
    ) -> None:
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(500, b"<b>broken\x00\x1b[31m</b>\n" + b"x" * 9000), None]
        contact = (await acme.made("contacts", CONTACT))["id"]
        await acme.call("PUT", f"contacts/{contact}", json={"name": "Erika M."})
        await settled(acme)
        (later, failed) = await deliveries(acme, made["id"])
        assert (failed["state"], failed["status"], failed["error"]) == ("pending", 500, "It answered 500.")
        assert failed["excerpt"].startswith("<b>broken\ufffd\ufffd[31m</b> xxx")
        assert len(failed["excerpt"]) == rules.EXCERPT
        assert (later["tries"], later["state"]) == (0, "pending")
        assert failed["next_try_at"] > acme.clock().isoformat().replace("+00:00", "Z")
        await turn(acme, seconds=6)
        await turn(acme, seconds=331)
        assert [one.told["type"] for one in receiver.received] == ["contact.created"] * 3 + ["contact.changed"]
        assert len({one.headers["webhook-id"] for one in receiver.received}) == 2
        assert len({one.headers["webhook-timestamp"] for one in receiver.received[:3]}) == 3
        assert all(is_signed(one, made["secret"]) for one in receiver.received)
        assert {row["state"] for row in await deliveries(acme, made["id"])} == {"delivered"}

    async def test_what_is_given_up_is_listed_and_sent_again_by_hand(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(500)] * rules.RETRIES.most
        await acme.made("contacts", CONTACT)
        await settled(acme)
        for delay in rules.RETRIES.delays_s:
            await turn(acme, seconds=delay * 1.1)
        (dead,) = await deliveries(acme, made["id"], dead=True)
        assert (dead["tries"], dead["error"]) == (rules.RETRIES.most, "It answered 500.")
        again = await acme.call("POST", f"webhooks/{made['id']}/deliveries/{dead['id']}/replay")
        assert (again.status_code, again.json()["state"]) == (202, "pending")
        await settled(acme)
        assert await deliveries(acme, made["id"], dead=True) == []
        assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
        receiver.answers = [answer(410)]
        await acme.made("contacts", CONTACT)
        await settled(acme)
        told = await acme.got(f"webhooks/{made['id']}")
        assert (told["active"], told["disabled_because"]) == (False, "It answered 410: it wants nothing more.")
        await turn(acme, seconds=6)
        row = (await deliveries(acme, made["id"]))[0]
        assert (row["state"], row["status"], row["tries"]) == ("dead", 410, 1)
        assert row["error"] == "The webhook is not active. The last try: It answered 410."
        assert (await acme.call("POST", f"webhooks/{made['id']}/replay")).status_code == 409
        await acme.call("PUT", f"webhooks/{made['id']}", json={"url": receiver.url(), "events": ["*"]})
        await acme.call("POST", f"webhooks/{made['id']}/replay")
        await settled(acme)
        assert {row["state"] for row in await deliveries(acme, made["id"])} == {"delivered"}

    async def test_one_that_fails_for_days_is_disabled_and_says_why(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(302, b"", "Location: http://127.0.0.1:1/elsewhere")] * 100
        await acme.made("contacts", CONTACT)
        await settled(acme)
        await turn(acme, days=5)
        await turn(acme, seconds=331)
        told = await acme.got(f"webhooks/{made['id']}")
        assert told["active"] is False
        assert told["disabled_because"] == (
            "It has taken nothing since 2026-03-02T09:00:00+00:00. At last: It answered 302, and redirects are not followed."
        )
        count = len(receiver.received)
        assert {row["state"] for row in await deliveries(acme, made["id"])} == {"dead"}
        await acme.made("contacts", CONTACT)
        await settled(acme)
        assert len(receiver.received) == count
        receiver.answers = []
        await acme.call("PUT", f"webhooks/{made['id']}", json={"url": receiver.url(), "events": ["*"]})
        replayed = await acme.call("POST", f"webhooks/{made['id']}/replay")
        dead = replayed.json()["deliveries"]
        await settled(acme)
        assert (dead > 0, len(receiver.received)) == (True, count + dead)

    async def test_a_server_that_asks_for_time_gets_it(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(503, b"", "Retry-After: 3600")]
        await acme.made("contacts", CONTACT)
        await settled(acme)
        await turn(acme, seconds=3599)
        assert len(receiver.received) == 1
        await turn(acme, seconds=1)
        assert [row["state"] for row in await deliveries(acme, made["id"])] == ["delivered"]

    async def test_after_a_change_of_the_secret_both_sign_for_a_day(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        new = (await acme.call("POST", f"webhooks/{made['id']}/secret")).json()["secret"]
        assert (await acme.call("POST", f"webhooks/{made['id']}/test")).status_code == 202
        (both,) = await receiver.has(1)
        assert (is_signed(both, made["secret"]), is_signed(both, new)) == (True, True)
        acme.clock.turn(hours=1)
        between, new = new, (await acme.call("POST", f"webhooks/{made['id']}/secret")).json()["secret"]
        await acme.call("POST", f"webhooks/{made['id']}/test")
        (_, again) = await receiver.has(2)
        assert [is_signed(again, one) for one in (made["secret"], between, new)] == [True, False, True]
        acme.clock.turn(hours=23)
        acme.tokens["admin"] = await acme.log_in("admin")
        await acme.call("POST", f"webhooks/{made['id']}/test")
        (_, _, one) = await receiver.has(3)
        assert (is_signed(one, made["secret"]), is_signed(one, new)) == (False, True)
        assert one.told["type"] == "webhook.test"
        async with acme.databases.unit(ACME) as unit:
            kept = (await unit.session.execute(text("SELECT secret, old_secret FROM webhook"))).one()
        assert all(one.startswith("sealed:1:") for one in kept)
        assert new not in (await acme.call("GET", f"webhooks/{made['id']}")).text

    async def test_what_could_not_begin_is_no_try_and_is_made_a_little_later(
        self, acme: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = await hook(acme, receiver, "*")
        monkeypatch.setattr(reaching, "LOOKUPS_OF_ONE", 0)
        await acme.made("contacts", CONTACT)
        await settled(acme)
        assert [(row["state"], row["tries"]) for row in await deliveries(acme, made["id"])] == [("pending", 0)]
        monkeypatch.undo()
        await turn(acme, seconds=5)
        assert [(row["state"], row["tries"]) for row in await deliveries(acme, made["id"])] == [("delivered", 1)]

    async def test_an_endpoint_that_hangs_keeps_neither_the_tenants_others_nor_other_tenants_waiting(
        self, acme: Service, receiver: Receiver
    ) -> None:
        await add_tenant(acme, "other")
        held, arrived = asyncio.Event(), asyncio.Event()

        async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await held.wait()
            writer.write(answer(204))
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            await acme.made("webhooks", {"url": url, "events": ["*"]})
            for _ in range(OF_TENANT):
                await acme.made("contacts", CONTACT)
            await arrived.wait()
            await hook(acme, receiver, "*")
            await hook(acme, receiver, "*", who="other-admin")
            for _ in range(3):
                await acme.made("contacts", CONTACT)
            await acme.made("contacts", CONTACT, "other-admin")
            await receiver.has(4)
            held.set()
            await settled(acme)

    async def test_another_tenant_is_told_nothing(self, acme: Service, receiver: Receiver) -> None:
        await add_tenant(acme, "other")
        await settled(acme, "other")
        made = await hook(acme, receiver, "*", who="other-admin")
        await acme.made("contacts", CONTACT)
        await settled(acme)
        assert (receiver.received, (await acme.call("GET", f"webhooks/{made['id']}")).status_code) == ([], 404)
        await acme.made("contacts", CONTACT, "other-admin")
        await receiver.has(1)

    async def test_when_one_is_removed_nothing_more_is_sent(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(500)]
        await acme.made("contacts", CONTACT)
        await settled(acme)
        assert (await acme.call("DELETE", f"webhooks/{made['id']}")).status_code == 204
        await turn(acme, days=1)
        assert len(receiver.received) == 1
        assert (await acme.got("jobs?name=webhooks.deliver"))["items"] == []

    async def test_events_and_deliveries_are_forgotten_by_age(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        await acme.made("contacts", CONTACT)
        await settled(acme)
        await turn(acme, days=8)
        async with acme.databases.unit(ACME) as unit:
            assert await unit.session.scalar(text("SELECT COUNT(*) FROM outbox")) == 0
        assert await deliveries(acme, made["id"]) == []


class TestCalls:
    """What calls tell of, from the journal's side."""

    async def test_a_call_is_told_step_by_step_while_somebody_wants_to_know(self, staffed: Service, receiver: Receiver) -> None:
        hooked = await hook(staffed, receiver, "call.offered", "call.queued", "call.alerted", "call.cleared")
        await staffed.voice.register(ACME, "anna")
        await staffed.made("agents/anna/log-on", {"ready": True}, "supervisor")
        call = await staffed.voice.arrive(ACME, "601", "+49301111110")
        await staffed.voice.command(ACME, ClearCall(call=CallId(call), by="test"))
        await receiver.has(4)
        assert [one.told["type"] for one in receiver.received] == ["call.offered", "call.queued", "call.alerted", "call.cleared"]
        assert {one.told["data"]["call"] for one in receiver.received} == {call}
        assert receiver.received[2].told["data"]["agents"] == ["anna"]
        assert "301111110" not in repr(receiver.received)
        await staffed.call("DELETE", f"webhooks/{hooked['id']}")
        assert await store.position(staffed.databases.tenant(ACME), outgoing.FEED) is None
        await staffed.voice.arrive(ACME, "601", "+49301111110")
        await settled(staffed)
        assert len(receiver.received) == 4

    async def test_what_came_while_nobody_read_is_read_from_the_journal_once(self, acme: Service, receiver: Receiver) -> None:
        """As after a kill: the place says where to go on, and an event that is there already has the same id."""
        directory = acme.settings.data / "tenants" / "acme"
        vector = vectors("0.2.0")[0]
        for file in vector.journal(vector.unpack(acme.settings.data / "released"), vector.tenants[0]).glob("journal*"):
            shutil.copy(file, directory)
        last, rows = outgoing._some_of_journal(directory, 0)
        while (more := outgoing._some_of_journal(directory, last))[0] != last:
            last, rows = more[0], rows + more[1]
        assert len({row["id"] for row in rows}) == len(rows) > 10
        engine = acme.databases.tenant(ACME)
        await store.save(engine, (), (), outgoing.FEED, 0)
        async with engine.begin() as connection:
            await outbox_put(connection, rows[:5])  # written, and then the process was killed before the place was
        await hook(acme, receiver, "*")
        async with asyncio.timeout(10):
            while await store.position(engine, outgoing.FEED) != last:
                await asyncio.sleep(0.01)
        async with acme.databases.unit(ACME) as unit:
            found = (await unit.session.execute(text("SELECT id FROM outbox WHERE kind LIKE 'call.%' ORDER BY seq"))).scalars().all()
        assert found == [row["id"] for row in rows]

    async def test_a_record_is_told_in_the_transaction_that_stores_it_and_once(self, acme: Service, receiver: Receiver) -> None:
        await hook(acme, receiver, "cdr.rated")
        cdr = outbound("c1", "+491711234567", 61, acme.clock(), ACME)
        charge = rate(cdr, PlanBook(house=(house_plan(),), tenants={}, trunks={}))
        calls, engine = shared_in(acme.app).part(CallEvents), acme.databases.tenant(ACME)

        async def saved(*, fails: bool) -> None:
            async with engine.begin() as connection:
                await store.save(connection, [cdr], [charge], "test", 1, lambda at, new: calls.rated(ACME, at, new, {charge.cdr: charge}))
                if fails:
                    raise RuntimeError

        with pytest.raises(RuntimeError):
            await saved(fails=True)
        for _ in range(2):
            await saved(fails=False)
            calls.stored(ACME)
        (told,) = await receiver.has(1)
        await settled(acme)
        assert len(receiver.received) == 1
        validator = jsonschema_rs.Draft202012Validator({"$ref": "#/components/schemas/WebhookEvent", **acme.app.openapi()})
        check(validator, told.told)
        data = told.told["data"]
        assert (data["id"], data["status"], data["currency"], Decimal(data["gross"])) == ("c1", "rated", "EUR", charge.gross.amount)
        assert "171123" not in repr(told)


def test_the_document_has_every_kind_with_named_components_and_sums_are_decimal_text(application: FastAPI) -> None:
    document = application.openapi()
    schemas = document["components"]["schemas"]
    assert document["webhooks"].keys() == schemas["WebhookEvent"]["discriminator"]["mapping"].keys() == set(SLICES.events.names)
    for name, reference in schemas["WebhookEvent"]["discriminator"]["mapping"].items():
        body = schemas[reference.rpartition("/")[2]]
        data = schemas[body["properties"]["data"]["$ref"].rpartition("/")[2]]
        assert body["properties"]["type"]["const"] == name
        assert set(data["required"]) == set(data["properties"])
        assert "additionalProperties" not in data  # members may come
    rated = schemas["CdrRatedData"]["properties"]
    assert {one["type"] for one in rated["gross"]["anyOf"]} == {"string", "null"}
    for name in ("direction", "outcome"):
        assert set(rated[name]["enum"]) == set(schemas["Cdr"]["properties"][name]["enum"])


class TestEndpoints:
    async def test_what_is_wrong_is_named_with_its_place(self, acme: Service, receiver: Receiver) -> None:
        for body, pointer, why in (
            ({"url": receiver.url(), "events": ["contact.create"]}, "#/events/0", "did you mean `contact.created`?"),
            ({"url": "https://10.0.0.1/x", "events": ["*"]}, "#/url", "The operator does not allow this address."),
            ({"url": "https://[::ffff:10.0.0.1]/x", "events": ["*"]}, "#/url", "The operator does not allow this address."),
            ({"url": "https://0xa000001/x", "events": ["*"]}, "#/url", "The operator does not allow this address."),
            ({"url": "gopher://x/", "events": ["*"]}, "#/url", "begins with https"),
            ({"url": receiver.url(), "events": []}, "#/events", "there must be at least 1 item, and there are 0"),
            ({"url": receiver.url(), "events": ["*"] * 101}, "#/events", "there must be at most 100 items, and there are 101"),
            ({"url": receiver.url(), "events": ["*"], "active": "yes"}, "#/active", "boolean"),
        ):
            told = await acme.call("POST", "webhooks", json=body)
            assert told.status_code == 422, body
            assert told.json()["errors"][0]["pointer"] == pointer
            assert why in told.text

    async def test_the_audit_has_them_before_and_after_and_no_token(self, acme: Service, receiver: Receiver) -> None:
        url = receiver.url()
        made = await hook(acme, receiver, "ticket.created")
        body = {"url": f"{url}?token=geheim", "events": ["*"], "active": False}
        assert (await acme.call("PUT", f"webhooks/{made['id']}", json=body)).status_code == 200
        assert (await acme.call("DELETE", f"webhooks/{made['id']}")).status_code == 204
        deleted, changed, created = (await acme.got("audit?kind=webhook"))["items"]
        first = {"url": url, "description": "", "events": ["ticket.created"], "active": True}
        second = {"url": f"{url}?***", "description": "", "events": ["*"], "active": False}
        assert (created["act"], created["before"], created["after"]) == ("created", None, first)
        assert (changed["act"], changed["before"], changed["after"]) == ("changed", first, second)
        assert (deleted["act"], deleted["before"], deleted["after"]) == ("deleted", second, None)

    async def test_a_key_has_nothing_told_to_it_that_it_may_not_read(self, staffed: Service, receiver: Receiver) -> None:
        made = await hook(staffed, receiver, "*")
        body = {"name": "x", "role": "admin", "permissions": ["webhooks:read", "webhooks:write", "tickets:read"]}
        staffed.tokens["key"] = (await staffed.made("api-keys", body))["token"]
        for events, kind, permission in (
            (["ticket.created", "contact.created"], "contact.created", "contacts:read"),
            (["ticket.created", "cdr.rated"], "cdr.rated", "cdrs:read"),
            (["ticket.created", "setup.changed"], "setup.changed", "setup:read"),
        ):
            told = await staffed.call("POST", "webhooks", "key", json={"url": receiver.url(), "events": events})
            assert (told.status_code, told.json()["errors"][0]["pointer"]) == (403, "#/events/1"), told.text
            assert f"{kind} tells of" in told.json()["detail"]
            assert f"needs the permission {permission}, and this API key has only: tickets:read" in told.json()["detail"]
        assert (await staffed.call("POST", "webhooks", "key", json={"url": receiver.url(), "events": ["*"]})).status_code == 403
        own = await hook(staffed, receiver, "ticket.created", who="key")
        for webhook, events in ((own["id"], ["*"]), (made["id"], ["ticket.created"])):  # what is on its way would go to the other address
            told = await staffed.call("PUT", f"webhooks/{webhook}", "key", json={"url": receiver.url(), "events": events})
            assert told.status_code == 403, told.text
        kept = {one["id"]: one["events"] for one in (await staffed.got("webhooks"))["items"]}
        assert kept == {made["id"]: ["*"], own["id"]: ["ticket.created"]}
        everything = {"name": "x", "role": "admin", "permissions": sorted({kind.shown_by for kind in SLICES.events} | {"webhooks:write"})}
        staffed.tokens["key"] = (await staffed.made("api-keys", everything))["token"]
        await hook(staffed, receiver, "*", who="key")

    async def test_a_key_sends_nothing_again_that_it_may_not_read(self, acme: Service, receiver: Receiver) -> None:
        """An administrator has narrowed the endpoint since; what it was told then is kept for days."""
        made = await hook(acme, receiver, "*")
        receiver.answers = [answer(410)]
        await acme.made("contacts", CONTACT)
        await receiver.has(1)
        await settled(acme)
        await turn(acme, minutes=10)  # it is given up: the endpoint is disabled
        body = {"url": receiver.url(), "events": ["ticket.created"]}
        assert (await acme.call("PUT", f"webhooks/{made['id']}", json=body)).status_code == 200
        (dead,) = await deliveries(acme, made["id"])
        assert dead["state"] == "dead"
        for permissions, status in ((["tickets:read"], 403), (["tickets:read", "contacts:read"], 202)):
            key = {"name": "x", "role": "admin", "permissions": ["webhooks:write", *permissions]}
            acme.tokens["key"] = (await acme.made("api-keys", key))["token"]
            for path in (f"deliveries/{dead['id']}/replay", "replay"):
                answered = await acme.call("POST", f"webhooks/{made['id']}/{path}", "key")
                assert answered.status_code == status, answered.text

    async def test_only_administrators_see_and_change_them(self, staffed: Service, receiver: Receiver) -> None:
        made = await hook(staffed, receiver, "*")
        for who in ("supervisor", "anna", "billing", "operator"):
            assert (await staffed.call("GET", "webhooks", who)).status_code == 403
            assert (await staffed.call("DELETE", f"webhooks/{made['id']}", who)).status_code == 403
        kinds = (await staffed.got("event-types"))["items"]
        assert {one["name"] for one in kinds} == set(SLICES.events.names)
        assert next(one for one in kinds if one["name"] == "ticket.created")["payload"]["required"] == ["number", "state", "contact"]

    async def test_a_change_holds_for_the_version_that_was_seen(self, acme: Service, receiver: Receiver) -> None:
        made = await hook(acme, receiver, "*")
        body = {"url": receiver.url("/new"), "events": ["ticket.created", "ticket.created"]}
        assert (await acme.call("PUT", f"webhooks/{made['id']}", json=body, headers={"If-Match": '"other"'})).status_code == 412
        changed = await acme.call("PUT", f"webhooks/{made['id']}", json=body)
        assert changed.json()["events"] == ["ticket.created"]
        same = await acme.call("PUT", f"webhooks/{made['id']}", json=body, headers={"If-Match": changed.headers["ETag"]})
        assert (same.status_code, same.headers["ETag"]) == (200, changed.headers["ETag"])


class TestReaching:
    """The operator's rule at each try."""

    @pytest.fixture
    def names(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[list[str]]]]:
        """What each name stands for, the next time it is asked."""
        known: dict[str, list[list[str]]] = {}
        monkeypatch.setattr(reaching, "_addresses", lambda host, _port: known[host].pop(0))
        yield known
        assert all(not left for left in known.values()), "a name was asked for less often than it should"

    @staticmethod
    def over(*allowed: str, own: tuple[str, ...] = (), tls: ssl.SSLContext | None = None) -> Reaching:
        return Reaching(Reach((*EVERYTHING, *allowed), PRIVATE, lambda address: str(address) in own), tls)

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "::1"),
            *("fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::", "8.8.4.4"),
            *("192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "198.18.0.1", "::ffff:192.0.2.1", "2002:c000:201::"),
            *("2001:db8::1", "2001:10::1", "2001:20::1", "2001:2::1", "3fff::1", "5f00::1", "::ffff:0:7f00:1", "::2", "1::1"),
        ],
    )
    async def test_nobody_inside_is_reached_by_address_or_by_name(self, address: str, names: dict[str, list[list[str]]]) -> None:
        names["inside.example"] = [["8.8.8.8", address]]
        with pytest.raises(NotAllowed):
            await self.over(own=("8.8.4.4",)).post("http://inside.example/", {}, b"", 5)
        names["again.example"] = []
        host = f"[{address}]" if ":" in address else address
        with pytest.raises(NotAllowed):
            await self.over(own=("8.8.4.4",)).post(f"http://{host}/", {}, b"", 5)

    def test_what_is_public_is_allowed_and_so_is_what_the_operator_lists(self) -> None:
        for address in ("8.8.8.8", "2a00:1450::1", "2002:808:808::1", "::ffff:8.8.8.8", "2001:30::1"):
            assert self.over().rule.allows(address), address
        for network, address in (("64:ff9b::/96", "64:ff9b::808:808"), ("192.0.2.0/24", "192.0.2.1"), ("2001:db8::/32", "2001:db8::1")):
            assert self.over(network).rule.allows(address), address
        assert not self.over("64:ff9b::/96").rule.allows("64:ff9b::7f00:1")

    async def test_what_was_checked_is_what_is_connected_to_and_the_name_is_asked_each_time(
        self, receiver: Receiver, names: dict[str, list[list[str]]]
    ) -> None:
        names["moves.example"] = [["127.0.0.1"], ["127.0.0.1", "10.0.0.1"]]
        over = self.over("127.0.0.0/8")
        assert (await over.post(f"http://moves.example:{receiver.port}/x", {"a": "b"}, b"body", 5)).status == 204
        with pytest.raises(NotAllowed):
            await over.post(f"http://moves.example:{receiver.port}/x", {}, b"", 5)
        assert [one.headers["host"] for one in receiver.received] == [f"moves.example:{receiver.port}"]

    async def test_names_that_hang_keep_neither_addresses_nor_other_tenants_from_being_reached(
        self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked, over, go_on = list[str](), self.over("127.0.0.0/8"), threading.Event()

        def addresses(host: str, _port: int) -> list[str]:
            asked.append(host)
            if host.startswith("hangs"):
                go_on.wait()
            return ["127.0.0.1"]

        monkeypatch.setattr(reaching, "_addresses", addresses)
        await over.post(receiver.url(host="127.0.0.1"), {}, b"", 5)  # the certificates are read
        hang = [asyncio.create_task(over.post(receiver.url(host=f"hangs{one % 4}"), {}, b"", 5, "slow")) for one in range(8)]
        async with asyncio.timeout(10):
            while len(asked) < reaching.LOOKUPS_OF_ONE:
                await asyncio.sleep(0)
        with pytest.raises(NotBegun):
            await over.post(receiver.url(host="more"), {}, b"", 5, "slow")
        assert (await over.post(receiver.url(host="127.0.0.1"), {}, b"", 5, "slow")).status == 204
        monkeypatch.setattr(reaching, "LOOKUPS", reaching.LOOKUPS_OF_ONE)  # as if all were taken
        assert (await over.post(receiver.url(host="well"), {}, b"", 5, "other")).status == 204
        go_on.set()
        assert {one.status for one in await asyncio.gather(*hang)} == {204}
        assert sorted(asked) == ["hangs0", "hangs1", "hangs2", "hangs3", "well"]
        assert (await over.post(receiver.url(host="more"), {}, b"", 5, "slow")).status == 204

    @pytest.mark.parametrize(
        ("error", "why"),
        [
            (socket.gaierror(socket.EAI_NONAME, ""), "The name has no address."),
            (socket.gaierror(socket.EAI_AGAIN, ""), "The name service does not answer."),
            (None, "The name service did not answer within 0 s."),
        ],
    )
    async def test_why_a_name_leads_nowhere_is_said_as_it_is(
        self, error: Exception | None, why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on = threading.Event()

        def addresses(_host: str, _port: int) -> list[str]:
            if error is not None:
                raise error
            go_on.wait()
            return []

        monkeypatch.setattr(reaching, "_addresses", addresses)
        if error is None:
            monkeypatch.setattr(reaching, "RESOLVED_WITHIN_S", 0.0)
        with pytest.raises(NotReached, match=f"^{re.escape(why)}$"):
            await self.over().post("http://x.example/", {}, b"", 5)
        go_on.set()

    async def test_the_certificate_must_be_that_of_the_name(self, tmp_path: Path, names: dict[str, list[list[str]]]) -> None:
        server, client, _ = certified(tmp_path, "right.example")
        names["right.example"], names["wrong.example"] = [["127.0.0.1"]], [["127.0.0.1"]]
        over = self.over("127.0.0.0/8", tls=client)
        async with receiving(server) as receiver:
            assert (await over.post(f"https://right.example:{receiver.port}/", {}, b"", 5)).status == 204
            with pytest.raises(NotReached, match="TLS could not be agreed on"):
                await over.post(f"https://wrong.example:{receiver.port}/", {}, b"", 5)
            assert len(receiver.received) == 1

    async def test_an_answer_is_read_only_so_far_and_only_so_long(self, names: dict[str, list[list[str]]]) -> None:
        over, ended = self.over("127.0.0.0/8"), asyncio.Semaphore(0)

        async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(b"x" * 65_536)
                    await writer.drain()
            except ConnectionError:
                writer.close()
                ended.release()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            ended.release()

        names["x.example"] = [["127.0.0.1"], ["127.0.0.1"]]
        async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
            found = await over.post(f"http://x.example:{server.sockets[0].getsockname()[1]}/", {}, b"", 10)
            await ended.acquire()
        assert (found.status, len(found.body)) == (200, reaching.MOST_OCTETS)
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            with pytest.raises(NotReached, match=r"no (whole )?answer"):
                await over.post(f"http://x.example:{server.sockets[0].getsockname()[1]}/", {}, b"", 0.05)
            await ended.acquire()


async def test_a_batch_at_which_a_subscriber_fails_is_told_to_the_others_and_kept_in_order_for_that_one(acme: Service) -> None:
    """A defect of one must not keep the others from being told, nor lose anything for itself."""

    class Touchy:
        name = "touchy"
        fails = True

        def __init__(self) -> None:
            self.heard: list[str] = []

        async def wants(self, _session: Any, _kinds: Any) -> frozenset[str]:
            return frozenset(("*",))

        async def take(self, session: Any, event: Event, now: Any) -> None:
            del session, now
            if self.fails and event.kind == "contact.created":
                raise ValueError(event.kind)
            self.heard.append(event.kind)

    touchy = Touchy()
    shared_in(acme.app).services.outbox.subscribe(touchy)
    contact = (await acme.made("contacts", CONTACT))["id"]
    await settled(acme)
    await acme.call("PUT", f"contacts/{contact}", json={"name": "Erika M."})
    await acme.made("tickets", {"subject": "x"})
    await settled(acme)
    assert touchy.heard == ["ticket.created"]
    touchy.fails = False
    await turn(acme, seconds=6)
    assert touchy.heard == ["ticket.created", "contact.created", "contact.changed"]


async def test_secrets_of_webhooks_are_counted_checked_and_sealed_anew_with_all_others(acme: Service, receiver: Receiver) -> None:
    made = await hook(acme, receiver, "*")
    await acme.call("POST", f"webhooks/{made['id']}/secret")
    old = acme.databases.keys
    new = Key(bytes(range(32)))
    acme.databases._keys = Keys((new, *old.every), "a test")
    async with acme.databases.unit(ACME) as unit:
        assert (await stored_secrets.sealed_values(unit.session))[0] == {old.first.id: 2}
        assert await stored_secrets.reseal(unit.session) == 2
        assert await stored_secrets.reseal(unit.session) == 0
    acme.databases._keys = Keys((new,), "a test")
    async with acme.databases.unit(ACME) as unit:
        assert await stored_secrets.sealed_values(unit.session) == ({new.id: 2}, [])
        await unit.session.execute(text("UPDATE webhook SET old_secret = secret"))
        _, (trouble,) = await stored_secrets.sealed_values(unit.session)
    assert trouble.startswith(f"the old_secret of '{made['id']}' in webhook of tenant acme does not open")
