"""The demonstration: a tenant `demo` with queues, a menu, agents, numbers of six countries, contacts; made once, then kept (R7, R23)."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from acd.core.errors import IllegalTransition
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import LogOn
from api import assignments, calendar, crm, tickets
from api.audit import By
from api.db import UnknownTenant
from api.identity import Passwords, UserGiven, create_user
from api.kit.ids import drawn_password
from api.kit.schema import Given, Told
from api.services import Services
from api.telephony_setup import Author, create, dialling, schemas, set_device, take_effect
from api.tenants import AdminGiven, TenantGiven, create_tenant

TENANT = TenantId("demo")
FILE = "demo-credentials.json"
LOOPBACK = ("127.0.0.1/32", "::1/128")
"""Where callers on this machine come from who say nothing else; `fernamt load` has an address of its own."""

AGENTS = (
    ("anna", "Anna Amsel", {"support": 9, "accounting": 4}, ("de", "en")),
    ("ben", "Ben Birke", {"support": 7, "sales": 3}, ("de", "en")),
    ("clara", "Clara Dohle", {"support": 6}, ("de",)),
    ("dmitri", "Dmitri Falk", {"support": 5, "sales": 5, "accounting": 5}, ("de", "en")),
    ("elif", "Elif Erle", {"sales": 9}, ("de", "en")),
    ("felix", "Felix Fink", {"sales": 6, "support": 3}, ("de",)),
    ("greta", "Greta Gans", {"accounting": 9}, ("de", "en")),
    ("henry", "Henry Heron", {"support": 8, "sales": 8}, ("en",)),
    ("ida", "Ida Igel", {"accounting": 6, "support": 4}, ("de",)),
    ("jonas", "Jonas Krähe", {"support": 3, "sales": 3, "accounting": 3}, ("de", "en")),
)
VISITOR = ("phone", "Visitor")
"""Logged on and never ready: the device `demo-phone` that a visitor registers to call in with."""

NUMBERS = (
    ("600", {"to": "menu", "menu": "main"}, "de", None),
    ("601", {"to": "queue", "queue": "support"}, "de", None),
    ("602", {"to": "queue", "queue": "sales"}, "de", None),
    ("603", {"to": "queue", "queue": "accounting"}, "de", None),
    # One queue, six countries (R23). Numbers set aside for fiction, where the country has such.
    ("+493023125600", {"to": "queue", "queue": "support"}, "de", "DE"),
    ("+4312052600", {"to": "queue", "queue": "support"}, "de", "AT"),
    ("+41445555600", {"to": "queue", "queue": "support"}, "de", "CH"),
    ("+61255505600", {"to": "queue", "queue": "support"}, "en", "AU"),
    ("+12125550160", {"to": "queue", "queue": "support"}, "en", "US"),
    ("+442079460600", {"to": "queue", "queue": "support"}, "en", "GB"),
)
QUEUES: tuple[tuple[str, str, list[dict[str, Any]], int], ...] = (
    ("support", "Support", [{"after_s": 30, "requirements": [{"skill": "support", "level": 1}]}], 5),
    ("sales", "Sales", [], 1),
    ("accounting", "Accounting", [], 1),
)
CALLERS = (
    ("Erika Muster", "Muster AG", "+493023125010", "Kein Freizeichen im Lager"),
    ("John Sample", "Sample Ltd", "+442079460010", "Invoice 2041 has a wrong address"),
    ("Maria Beispiel", "Beispiel KG", "+4312052010", None),
    ("Lotte Lastprobe", "Prüfstand GmbH", "+493010000001", "Erster Anrufer von fernamt load"),
)


class DemoTold(Told):
    """Whether this is the demonstration; what is not for the asker is left out."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    demo: bool
    tenant: str | None = None
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Demo:
    """Credentials of the demonstration."""

    tenant: str
    users: dict[str, str] = field(repr=False)
    """User name -> password of the page and the API."""
    devices: dict[str, str] = field(repr=False)
    """Device user name -> password of the phone."""
    realm: str

    def table(self) -> str:
        """What is printed at the start."""
        lines = [f"  page and API, tenant {self.tenant}:"]
        lines += [f"    {name:<12} {password}" for name, password in self.users.items()]
        lines += [f"  phones, domain {self.realm}:"]
        lines += [f"    {name:<12} {password}" for name, password in self.devices.items()]
        lines += [f"  demo-{VISITOR[0]} is for dialling in: its agent is logged on already and never ready, so no queue rings it"]
        return "\n".join(lines)


async def ensure(services: Services, passwords: Passwords) -> Demo:
    """Make the demonstration where there is none yet; a second start finds it and tells the same credentials.

    Who is cancelled meanwhile goes when it is whole, a second or two later: half of one would be taken for it by every later start.
    """
    path = services.settings.data / FILE
    try:
        services.databases.tenant(TENANT)
    except UnknownTenant:
        making = asyncio.ensure_future(_make_and_keep(services, passwords, path))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            await making
            raise
    await _let_the_visitor_dial(services)
    return await asyncio.to_thread(_kept, path, services.settings.sip.realm)


async def _let_the_visitor_dial(services: Services) -> None:
    """Who is logged off dials emergency numbers only."""
    with suppress(IllegalTransition):  # it is logged on, since an earlier start
        await services.voice.command(TENANT, LogOn(agent=AgentId(VISITOR[0])))


async def _make_and_keep(services: Services, passwords: Passwords, path: Path) -> Demo:
    demo = await _make(services, passwords)
    await _let_the_visitor_dial(services)
    await asyncio.to_thread(_keep, path, demo)
    return demo


def _keep(path: Path, demo: Demo) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"tenant": demo.tenant, "realm": demo.realm, "users": demo.users, "devices": demo.devices}, file, indent=2)


def _kept(path: Path, realm: str) -> Demo:
    """As written at the first start; without the file, the names without passwords."""
    if not path.exists():
        unknown = f"({FILE} is gone; see what the first start printed)"
        return Demo(TENANT, {"supervisor": unknown}, {f"demo-{VISITOR[0]}": unknown}, realm)
    found = json.loads(path.read_text(encoding="utf-8"))
    return Demo(found["tenant"], found["users"], found["devices"], found["realm"])


async def _make(services: Services, passwords: Passwords) -> Demo:
    now = services.clock()
    users = {"admin": drawn_password(), "supervisor": drawn_password(), "billing": drawn_password()}
    users |= {agent: drawn_password() for agent, *_ in AGENTS}
    devices: dict[str, str] = {}
    given = TenantGiven(id=TENANT, name="Demo", language="de", admin=AdminGiven(password=users["admin"]))
    async with services.databases.unit(None) as control:
        await create_tenant(control, services, passwords, given, By("demo", of_platform=True), now)
    await assignments.allow(services, TENANT, claim_numbers=True)  # the numbers it shows
    for network in LOOPBACK:  # what comes from this machine is nobody's without a grant
        await assignments.give_source(services, TENANT, network, "calls of this machine", now)
    async with services.databases.unit(TENANT) as unit:
        author = Author(unit, services, TENANT, "demo", now)
        people: list[tuple[str, str, str, str | None]] = [
            ("supervisor", "Sophie Specht", "supervisor", None),
            ("billing", "Bruno Buchfink", "billing", None),
        ]
        people += [(agent, name, "agent", agent) for agent, name, *_ in AGENTS]
        for user, name, role, agent_id in people:
            person = UserGiven.model_validate({"id": user, "name": name, "role": role, "agent": agent_id, "password": users[user]})
            await create_user(unit.session, passwords, person, By("demo"), now)
        budgets = schemas.Dialling(classes=("national", "mobile", "international"), per_hour=Decimal(20), agent_per_hour=Decimal(5))
        await dialling(author, budgets.model_dump(mode="json"), None)
        for kind, key, document in _documents():
            await create(author, kind, key, document)
        for agent in (*(one[0] for one in AGENTS), VISITOR[0]):
            device, password = await set_device(author, agent, None, None)
            devices[device.username] = password
        await take_effect(author)
        await _callers(unit.session, now)
    return Demo(TENANT, users, devices, services.settings.sip.realm)


def _documents() -> list[tuple[str, str, dict[str, Any]]]:
    """Every document, through the schemas: what the demonstration has, a client could have sent."""
    openings = [{"weekday": weekday, "opens": "00:00", "closes": "24:00"} for weekday in range(7)]
    trunk = {
        "id": "demo",
        "name": "This machine",
        "peer": "127.0.0.1:5090",
        "sources": list(LOOPBACK),
        "probe_every_s": 0,
        "caller_id": "+493023125600",
        "numbers_in": "auto",
        "numbers_out": "plus",
    }
    menu = {
        "id": "main",
        "options": {str(digit): {"to": "queue", "queue": queue[0]} for digit, queue in enumerate(QUEUES, 1)},
        "fallback": {"to": "queue", "queue": "support"},
    }
    given: list[tuple[str, type[Given], dict[str, Any]]] = [
        ("site", schemas.Site, {"id": "main", "upload_kbits": 10_000}),
        ("schedule", schemas.Schedule, {"id": "always", "openings": openings}),
    ]
    for number, (agent, name, skills, languages) in enumerate(AGENTS, 21):
        person = {"id": agent, "name": name, "extension": str(number), "skills": skills, "languages": languages, "site": "main"}
        given.append(("agent", schemas.Agent, person))
    given.append(("agent", schemas.Agent, {"id": VISITOR[0], "name": VISITOR[1], "extension": "20", "mode": "outbound"}))
    for queue, name, relaxations, level in QUEUES:
        document: dict[str, Any] = {"id": queue, "name": name, "schedule": "always", "relaxations": relaxations}
        document["languages"] = "preferred" if queue == "support" else "ignored"  # it has the numbers of six countries
        given.append(("queue", schemas.Queue, {**document, "requirements": [{"skill": queue, "level": level}]}))
    given.append(("menu", schemas.Menu, menu))
    for called, target, language, country in NUMBERS:
        given.append(("number", schemas.Number, {"number": called, "target": target, "language": language, "country": country}))
    given.append(("trunk", schemas.Trunk, trunk))  # after the numbers, of which it shows one
    documents = [(kind, schema.model_validate(document).model_dump(mode="json")) for kind, schema, document in given]
    return [(kind, str(document.get("id") or document["number"]), document) for kind, document in documents]


async def _callers(session: Any, now: datetime) -> None:
    for name, company, number, subject in CALLERS:
        contact = await crm.create(session, crm.ContactGiven(name=name, company=company, numbers=(number,)), now)
        if subject is not None:
            await tickets.create(session, tickets.TicketGiven(subject=subject, contact=contact.id), "demo", now)
        starts_at = (now + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
        appointment = calendar.AppointmentGiven(
            contact=contact.id, title="Rückruf / callback", starts_at=starts_at, ends_at=starts_at + timedelta(minutes=15)
        )
        await calendar.create(session, appointment, now)
