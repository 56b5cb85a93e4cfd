"""A foreign tenant at every door of the API: whatever it asks, it gets its own view or a refusal, and never a byte of another's.

Three tenants live in one service. Zirbelhof has one object of every kind, a record with charge and decisions, a call that is talked and one
that waits. Buche has nothing of the like. Eibe is Zirbelhof's namesake: all that a tenant names itself has the same id there.

What is asked comes from the service's own `/openapi.json`, so that a new operation is walked by itself: one whose parameters or body nobody
can fill here fails by its name. Everything Zirbelhof has is called by a word that occurs nowhere else; what an answer may hold of them
is what was just sent. What a tenant or the operator writes is in the audit, or the slice says why not.
"""

import asyncio
import contextlib
import functools
import http.client
import json
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio
import websockets
from sqlalchemy import Table
from websockets.typing import Subprotocol

from api.kit.permissions import Role
from api.slices import NAMES, SLICES
from load.api_client import ApiClient
from load.phones import PhoneCall, SyntheticPhone
from tests import slices as of_slices
from tests.journeys.service import OPERATOR, ServiceProcess, service
from tests.media.test_sound_file import pcm16, sine

pytestmark = [pytest.mark.journey, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("foreign-tenant")]

SOUND = "a sound"
"""The one body that is no document."""
METHODS = ("get", "post", "put", "patch", "delete")
REFUSED = {401, 403, 404}
ROLES = ("agent", "supervisor", "billing", "admin")

PUBLIC = ("/healthz", "/readyz", "/api/v1/login", "/api/v1/demo")
OWN = ("/api/v1/me", "/api/v1/me/password", "/api/v1/logout")

DESK = tuple(
    f"/api/v1/agents/{{agent}}/{what}"
    for what in (
        *("log-on", "log-off", "ready", "not-ready", "end-acw", "end-after-call-work", "dial", "answer", "decline", "pick"),
        *("calls", "contacts", "line-check"),
    )
)


UNRECORDED = frozenset(one for of in SLICES.slices for one in of.unrecorded or {})
"""Operations whose slice says why the audit has no entry of them."""
NEVER_DONE = UNRECORDED | {
    *("logIn", "changePassword", "logOut", "rerate"),  # with a wrong password; last; to the same prices, which is a read
    *(
        "createQueue",
        "createMenu",
        "createNumber",
        "createSchedule",
        "createSite",
        "createTrunk",
        "createAgent",
        "createTariff",
    ),  # are there
    *("deleteQueue", "deleteMenu", "deleteSchedule", "deleteSite", "deleteTrunk", "deleteAgent"),  # others name them
    *("sendMailAgain", "dropJob"),  # nothing is dead by then
}
"""Operations of a tenant that need not succeed as its namesake's."""
MADE = frozenset({"queue", "menu", "number", "schedule", "site", "trunk", "agent", "tariff"})
"""Kinds of what is there before and cannot be made again."""

PATH_LESS = {
    *("/api/v1/billing/months/{month}", "/api/v1/billing/invoices/{month}", "/api/v1/billing/invoices/{month}/export"),
    "/api/v1/tariffs/house",
}
"""A path parameter that names nobody's object: the answer is the own view."""

MOVES = {
    *("at", "waited_s", "longest_wait_s", "estimated_wait_s", "occupancy", "service_level", "service_level_of_answered"),
    *("idle_today_s", "busy_today_s"),
    "used_at",  # of a source: seen with the first call, written some seconds later
    *("tries", "tried_at", "error", "message_id"),
    *("service_level_with_abandons", "average_speed_of_answer_s", "average_handle_time_s", "abandon_rate"),
}
"""Of the live state, and of mails that nobody takes: what time alone changes."""
NOT_STATE = ("/api/v1/audit", "/api/v1/jobs", "/debug/state", *PUBLIC)


# ---------------------------------------------------------------------------------------------------------------- tenants


@dataclass
class Tenant:
    """One tenant with all it has: what names its objects is in `keys`, by the segment of the path before it."""

    id: str
    word: str
    """In every name and note of it, and nowhere else."""
    digits: str
    """In every number of it, and nowhere else."""
    source: str
    keys: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    """Ids that the service made up."""
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[PhoneCall] = field(default_factory=list)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(15))
    """Of its administrator and the roles."""

    @property
    def domain(self) -> str:
        return f"telefonie.{self.id}.example"

    @property
    def number(self) -> str:
        return f"+49{self.digits}01"

    @property
    def second_number(self) -> str:
        return f"+49{self.digits}02"

    @property
    def device(self) -> str:
        return self.keys["device"]

    def is_told_by(self, answer: str, *, ids: bool) -> list[str]:
        """What an answer tells of it; ids: also what it may have in common with a namesake."""
        words = ["zirbel" if ids else f"{self.id}|{self.word}", self.digits, re.escape(self.source), *map(re.escape, self.drawn)]
        return [f"…{answer[max(0, at.start() - 30) : at.end() + 30]}…" for at in re.finditer("|".join(words), answer, re.IGNORECASE)]


def chosen_keys(prefix: str, word: str) -> dict[str, str]:
    """Ids that a tenant chooses for itself."""
    kinds = ("queues", "menus", "schedules", "sites", "trunks", "reasons", "agents", "users", "device", "extension")
    return {kind: f"{prefix}-{kind}" for kind in kinds} | {
        "word": word,
        "sounds": "de",
        "{folder}": f"{prefix}-sound",
        "skill": f"{prefix}-skill",
        "plan": f"{prefix}-plan",
        "extension": "47",
    }


def password() -> str:
    return secrets.token_urlsafe(15)


def bodies(of: Tenant) -> dict[str, Any]:
    """A body for every schema, that names what the tenant has."""
    keys = of.keys
    to_queue = {"to": "queue", "queue": keys["queues"]}
    return {
        SOUND: pcm16(sine(700, 8000, 1.0)),
        "LoginGiven": {"tenant": of.id, "username": keys["users"], "password": "not-the-password-0815"},
        "PasswordChange": {"old": "not-the-password-0815", "new": password()},
        "UserGiven": {"id": keys["users"], "name": "Taken", "role": "agent", "agent": keys["agents"]},
        "UserChange": {"name": "Taken"},
        "KeyGiven": {"name": "Taken", "role": "admin"},
        "TenantGiven": {"id": of.id, "name": "Taken", "telephony_domain": of.domain},
        "RightsGiven": {"may_claim_numbers": True},
        "NumbersGiven": {"numbers": [of.number]},
        "SourceGiven": {"network": of.source, "note": "taken"},
        "CallerIdGiven": {"number": of.second_number},
        "PaymentGiven": {"amount": "-1000.00", "note": "taken"},
        "Dialling": {"classes": [], "per_hour": "0.00", "agents": {keys["agents"]: {"per_hour": "0.00"}}},
        "Queue": {"id": keys["queues"], "name": "Taken", "members": [keys["agents"]], "schedule": keys["schedules"]},
        "Menu": {"id": keys["menus"], "sounds": ["menu"], "options": {"1": to_queue}, "schedule": keys["schedules"]},
        "Number": {"number": of.number, "target": to_queue, "language": "en"},
        "Schedule": {"id": keys["schedules"], "openings": [{"weekday": 1, "opens": "01:00", "closes": "02:00"}]},
        "Site": {"id": keys["sites"], "upload_kbits": 100},
        "Trunk": {
            "id": keys["trunks"],
            "name": "Taken",
            "peer": "192.0.2.99",
            "sources": [of.source],
            "caller_id": of.number,
            "probe_every_s": 0,
        },
        "Reason": {"code": keys["reasons"], "name": "Taken"},
        "Agent": {"id": keys["agents"], "name": "Taken", "site": keys["sites"], "outbound_caller_id": of.number},
        "AgentGiven": {"id": keys["agents"], "name": "Taken", "device_username": keys["device"], "extension": keys["extension"]},
        "DeviceGiven": {"username": keys["device"], "password": password()},
        "PinGiven": {"pin": "8305172"},
        "General": {"language": "en"},
        "LogOnGiven": {"ready": True},
        "NotReadyGiven": {"reason": keys["reasons"]},
        "DialGiven": {"number": of.number},
        "TransferGiven": {"target": {"to": "agent", "agent": keys["agents"]}},
        "LineCheckGiven": {"offers": ["v=0"]},
        "ConsultGiven": {"target": {"to": "agent", "agent": keys["agents"]}},
        "AnnounceGiven": {"sounds": ["hold.thanks"]},
        "SuperviseGiven": {"agent": keys["agents"], "mode": "barge"},
        "DispositionGiven": {"code": keys["reasons"]},
        "OfContact": {"contact": keys["messages"]},
        "MessageGiven": {"queue": keys["queues"], "customer": of.number, "personal": keys["agents"], "text": "Taken"},
        "CallbackGiven": {"queue": keys["queues"], "number": of.number, "personal": keys["agents"]},
        "MoveGiven": {"queue": keys["queues"]},
        "PrioritiseGiven": {"priority_s": 1},
        "ReskillGiven": {"requirements": [{"skill": keys["skill"], "level": 1}]},
        "AssignGiven": {"agent": keys["agents"]},
        "TariffGiven": {"trunk": keys["trunks"], "document": plan(keys["plan"], "Taken")},
        "ReratingGiven": {"cdr": keys["cdrs"]},
        "ContactGiven": {"name": "Taken", "numbers": [of.number]},
        "TicketGiven": {"subject": "Taken", "contact": keys["contacts"]},
        "TicketChange": {"subject": "Taken", "contact": keys["contacts"]},
        **of_slices.merged("bodies", keys),
    }


def queries(of: Tenant) -> dict[str, str]:
    """A value for every query parameter, that names what the tenant has. `after` is asked with the tenant's own cursor."""
    keys = of.keys
    return {
        "limit": "500",
        "unused": "true",
        "number": of.number,
        "text": keys["word"][:-2],
        "contact": keys["contacts"],
        "kind": "queue",
        "subject": keys["queues"],
        "who": keys["users"],
        "act": "created",
        "about": "all",
        "state": "open",
        "began_from": "2020-01-01T00:00:00Z",
        "began_before": "2099-01-01T00:00:00Z",
        "direction": "inbound",
        "outcome": "answered",
        "queue": keys["queues"],
        "call": keys["cdrs"],
        "agent": keys["agents"],
        "trunk": keys["trunks"],
        "status": "rated",
        "format": "json",
        "name": keys["{folder}"],
        "normalise": "true",
        "language": "de",
        "for_customer": "true",
        **of_slices.merged("queries", keys),
    }


def plan(name: str, word: str) -> dict[str, Any]:
    rate = {"class": "geographic", "name": {"de": word, "en": word}, "per_minute": "0.01", "prefix": "49"}
    head = {"id": name, "version": "2026-1", "currency": "EUR", "valid_from": "2026-01-01T00:00:00+01:00"}
    return head | {"vat_included": False, "vat_rate": "0.19", "rate": [rate]}


# ------------------------------------------------------------------------------------------------------------- operations


@dataclass(frozen=True)
class Operation:
    """One of `/openapi.json`."""

    method: str
    path: str
    parameters: tuple[tuple[str, bool], ...]
    """Of the query: name, and whether it has to be there."""
    schema: str | None
    permission: str | None
    """None: it is public."""
    id: str
    tag: str

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def names_an_object(self) -> bool:
        return "{" in self.path and self.path not in PATH_LESS

    @property
    def slice(self) -> str:
        """Its name; what operations are of no slice is the application's."""
        return next((name for name, of in zip(NAMES, SLICES.slices, strict=True) if of.tag == self.tag), "")

    @property
    def where(self) -> str:
        """Where the walk learns what it has of a slice."""
        file = f"tests/slices/{self.slice}.py"
        return f"teach it one in {file if self.slice not in of_slices.IN_THE_WALKS else 'tests/journeys/test_foreign_tenant.py'}"

    @property
    def comes_last(self) -> tuple[bool, bool, tuple[int, int, int], str]:
        """What ends a call, and what removes things: in an order in which nothing goes with another."""
        is_removal = self.method == "delete"
        return is_removal, self.path.endswith("/hang-up"), removal_order(self) if is_removal else (0, 0, 0), self.path if is_removal else ""

    def is_for(self, role: Role) -> bool:
        """What the table of permissions says (docs/security.md)."""
        return self.permission is not None and role in SLICES.permissions[self.permission].roles

    @property
    def is_operators(self) -> bool:
        """Only the operator's, and figures, which judge for themselves."""
        return self.path == "/metrics" or (self.is_for(Role.OPERATOR) and not self.is_for(Role.ADMIN))

    @property
    def is_list(self) -> bool:
        return ("after", False) in self.parameters

    def under(self, paths: Iterable[str]) -> bool:
        return any(self.path == one or self.path.startswith(f"{one}/") for one in paths)

    @property
    def segments(self) -> list[str]:
        """The segment before each parameter: it tells what the parameter names."""
        return re.findall(r"([^/]+)/(?=\{)", self.path)

    def key(self, of: Tenant, segment: str) -> str:
        """Of a call there are three kinds: one is offered and over, one is talked at the desk that the path names, one waits."""
        if segment in {"calls", "waiting"} and self.path.endswith("/decisions"):
            segment = "cdrs"
        elif segment == "waiting":
            segment = "calls"
        elif segment == "contacts" and "agents" in self.segments:
            segment = "messages"
        elif segment == "calls" and "agents" in self.segments:
            segment = "talked"
        assert segment in of.keys, f"{self.name}: the walk has no object of /{segment}; {self.where}: `names`, `set_up`"
        return of.keys[segment]

    def target(self, of: Tenant, *, query: dict[str, str] | None = None) -> str:
        """Path and query that name objects of the tenant."""
        filled = []
        before = ""
        for part in self.path.split("/"):
            if not part.startswith("{"):
                filled.append(part)
                before = part
                continue
            filled.append(quote(self.key(of, before), safe="+:@"))
            before = part
        asked = {name: queries(of)[name] for name, is_required in self.parameters if is_required} | (query or {})
        return "/".join(filled) + (f"?{urlencode(asked)}" if asked else "")

    def body(self, of: Tenant) -> Any:
        if self.schema is None:
            return None
        known = bodies(of)
        assert self.schema in known, f"{self.name}: the walk has no {self.schema}; {self.where}: `bodies`"
        return known[self.schema]


def removal_order(of: Operation) -> tuple[int, int, int]:
    """Children before parents, as the database has them: it may remove them with what they are of (ondelete=CASCADE).

    Slices whose tables refer to tables of others come first, then within a slice tables that refer to others, then what lies deeper.
    """
    tables = tables_of(of.slice)
    names = [part.replace("-", "_") for part in of.path.split("/") if part and not part.startswith("{")]
    own = tables.get(names[-1].removesuffix("s"))
    return -depth_of_slice(of.slice), 0 if own is None else -depth_of_table(own), -len(names)


@functools.cache
def tables_of(name: str) -> dict[str, Table]:
    if not name:
        return {}
    models = [vars(module).values() for module in SLICES.slices[NAMES.index(name)].models]
    found = [one.__table__ for some in models for one in some if isinstance(getattr(one, "__table__", None), Table)]
    return {one.name: one for one in found}


def referred(table: Table) -> list[Table]:
    """Tables that its foreign keys lead to, itself left out."""
    return [key.column.table for key in table.foreign_keys if key.column.table is not table]


@functools.cache
def depth_of_table(table: Table) -> int:
    """How many tables are above it."""
    return max((1 + depth_of_table(one) for one in referred(table)), default=0)


@functools.cache
def depth_of_slice(name: str) -> int:
    """How many slices are above it."""
    above = {one.name for table in tables_of(name).values() for one in referred(table)} - tables_of(name).keys()
    return max((1 + depth_of_slice(other) for other in NAMES if above & tables_of(other).keys()), default=0)


def operations(document: dict[str, Any]) -> list[Operation]:
    """All of them; what names an object of its own path first, removals last, and what ends the own log-in after everything."""
    found = []
    for path, methods in document["paths"].items():
        for method, what in methods.items():
            if method not in METHODS:
                continue
            parameters = tuple((one["name"], one.get("required", False)) for one in what.get("parameters", []) if one["in"] == "query")
            content = what.get("requestBody", {}).get("content", {})
            schema = None
            if content:
                schema = SOUND if "audio/wav" in content else content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            of = what.get("operationId", ""), what.get("tags", [""])[0]
            found.append(Operation(method, path, parameters, schema, what.get("x-permission"), *of))
    return sorted(
        found,
        key=lambda one: (one.method != "get", one.path == "/api/v1/logout", not one.names_an_object, *one.comes_last),
    )


class Asker:
    """Requests of one person, on one connection that is kept."""

    def __init__(self, port: int, token: str | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.token = token

    def ask(self, method: str, target: str, body: Any = None) -> tuple[int, str]:
        """Status, and the answer with its head."""
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        payload: str | bytes | None = None
        if isinstance(body, bytes):
            payload, headers["Content-Type"] = body, "audio/wav"
        elif body is not None:
            payload, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            self._connection.request(method.upper(), target, payload, headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()
            self._connection.request(method.upper(), target, payload, headers)
            response = self._connection.getresponse()
        head = "\n".join(f"{name}: {value}" for name, value in response.getheaders())
        return response.status, f"{head}\n\n{response.read().decode(errors='replace')}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()


def words(body: Any) -> Iterator[str]:
    """Every string of a document, names of members too."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield name
            yield from words(value)
    elif isinstance(body, list):
        for value in body:
            yield from words(value)
    elif isinstance(body, str):
        yield body


def without(answer: str, sent: Iterable[str]) -> str:
    """An answer without whole words that were sent."""
    return whole_words(frozenset(sent)).sub("…", answer)


@functools.lru_cache(maxsize=64)
def whole_words(sent: frozenset[str]) -> re.Pattern[str]:
    """Any of the words, a number with its plus and without."""
    forms = sorted({form for one in sent if one for form in (one, one.removeprefix("+"))}, key=len, reverse=True)
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, forms))})(?![\w-])")


def sent_by(operation: Operation, of: Tenant, query: dict[str, str] | None = None) -> set[str]:
    keys = {operation.key(of, segment) for segment in operation.segments}
    whole = operation.target(of, query=query)
    return keys | {
        whole,
        whole.partition("?")[0],
        *(query or {}).values(),
        *(queries(of)[name] for name, needed in operation.parameters if needed),
    }


# ------------------------------------------------------------------------------------------------------------------ world


@dataclass
class World:
    running: ServiceProcess
    zirbelhof: Tenant
    eibe: Tenant
    buche: Tenant
    operator: str
    operations: list[Operation]

    def asker(self, token: str | None) -> Asker:
        return Asker(self.running.http, token)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The service with its tenants, their calls up."""
    zirbelhof = Tenant("zirbelhof", "Zirbelkiefer", "301985", "127.10.0.0/24", chosen_keys("zirbel", "Zirbelkiefer"))
    eibe = Tenant("eibe", "Eibenholz", "301986", "127.20.0.0/24", chosen_keys("zirbel", "Eibenholz"))
    buche = Tenant("buche", "Buchenblatt", "301987", "127.30.0.0/24", chosen_keys("buche", "Buchenblatt"))
    folder = tmp_path_factory.mktemp("foreign")
    # Who asks for figures comes from this machine too, and must not see them by that.
    async with service(folder, FERNAMT_MONITORING__SOURCES="192.0.2.1/32") as running, contextlib.AsyncExitStack() as stack:
        operator = await running.call(found_tenants, running, (zirbelhof, eibe, buche))
        for tenant in (zirbelhof, eibe):
            await running.call(set_up, running, tenant)
        await asyncio.gather(*(talk(running, tenant, stack) for tenant in (zirbelhof, eibe)))
        document = await running.call(running.api.get, "/openapi.json")
        yield World(running, zirbelhof, eibe, buche, operator, operations(document))


def found_tenants(running: ServiceProcess, tenants: Iterable[Tenant]) -> str:
    """Tenants, their people and keys; returns the operator's token."""
    api = running.api
    operator = str(api.log_in("operator", OPERATOR)["token"])
    for tenant in tenants:
        api.token = operator
        word, secret = tenant.word, tenant.password
        given = {"id": tenant.id, "name": f"{tenant.id.title()} GmbH", "telephony_domain": tenant.domain}
        api.post("/api/v1/tenants", given | {"admin": {"username": "admin", "name": f"{word} Verwaltung", "password": secret}})
        api.post(f"/api/v1/tenants/{tenant.id}/numbers", {"numbers": [tenant.number, tenant.second_number]})
        api.post(f"/api/v1/tenants/{tenant.id}/caller-ids", {"number": f"+49{tenant.digits}09"})
        grant = api.post(
            f"/api/v1/tenants/{tenant.id}/sources", {"network": f"127.{tenant.source.split('.')[1]}.1.0/24", "note": f"{word} note"}
        )
        api.post(f"/api/v1/tenants/{tenant.id}/sources", {"network": tenant.source, "note": f"{word} note"})  # loopback is nobody's else
        tenant.keys |= {"tenants": tenant.id, "sources": grant["id"], "caller-ids": f"+49{tenant.digits}09", "bans": "192.0.2.77"}
        tenant.keys |= {
            "numbers": tenant.number,
            "months": "2026-01",
            "invoices": "2026-01",
            "calls": f"{tenant.id}-2",
            "talked": f"{tenant.id}-3",
            "cdrs": f"{tenant.id}-1",
            "recordings": f"{tenant.id}-1-r1.wav",
            "messages": f"message:{tenant.id}-1",
            "callbacks": f"callback:{tenant.id}-1",
        }
        tenant.keys |= {
            "contacts": f"{tenant.id}-contact",
            **of_slices.merged("names", tenant.id),
            "tickets": "1000",
            "api-keys": f"{tenant.id}-key",
        }
        tenant.keys["tariffs"] = f"{tenant.id}-tariff"
        api.log_in("admin", secret, tenant.id)
        tenant.tokens["admin"] = str(api.token)
        key = api.post("/api/v1/api-keys", {"name": f"{word} key", "role": "admin"})
        tenant.tokens["key"] = key["token"]
        doomed = api.post("/api/v1/api-keys", {"name": f"{word} other key", "role": "agent"})
        tenant.keys["api-keys"] = doomed["id"]
        tenant.drawn |= {grant["id"], key["id"], key["token"], doomed["id"]}
        for role in () if tenant.id == "eibe" else ROLES[:3]:
            person = {"id": f"{tenant.id}-{role}", "name": f"{word} {role}", "role": role, "password": secret}
            if role == "agent":  # who is an agent at the desk is one that exists
                api.post("/api/v1/agents", {"id": f"{tenant.id}-desk", "name": f"{word} Desk", "device_username": f"{tenant.id}-desk"})
                person["agent"] = f"{tenant.id}-desk"
            api.post("/api/v1/users", person)
        for role in () if tenant.id == "eibe" else ROLES[:3]:
            api.log_in(f"{tenant.id}-{role}", secret, tenant.id)
            tenant.tokens[role] = str(api.token)
    api.token = operator
    return operator


def set_up(running: ServiceProcess, tenant: Tenant) -> None:
    """One object of every kind, and a second where there are pages."""
    api, keys, word = running.api, tenant.keys, tenant.word
    api.token = tenant.tokens["admin"]
    opening = {"weekday": 0, "opens": "08:00", "closes": "18:00"}
    api.post("/api/v1/schedules", {"id": keys["schedules"], "openings": [opening]})
    api.post("/api/v1/sites", {"id": keys["sites"], "upload_kbits": 98_500})
    api.post("/api/v1/reasons", {"code": keys["reasons"], "name": f"{word} Pause"})
    trunk = {"id": keys["trunks"], "name": f"{word} Trunk", "peer": "127.0.0.1:9", "sources": [tenant.source], "probe_every_s": 0}
    api.post("/api/v1/trunks", trunk | {"caller_id": tenant.number})
    secret = password()
    agent = {"id": keys["agents"], "name": f"{word} Anna", "skills": {keys["skill"]: 5}, "extension": keys["extension"]}
    told = api.post("/api/v1/agents", agent | {"device_username": keys["device"], "device_password": secret})
    tenant.devices["anna"] = told["device"] | {"password": secret}
    queue = {"id": keys["queues"], "name": f"{word} Queue", "requirements": [{"skill": keys["skill"], "level": 1}], "after_call_work_s": 0}
    api.post("/api/v1/queues", queue | {"announce_position": False, "record": True})
    api.put("/api/v1/setup", {"recording_notice": False})  # nobody here waits for it
    to_queue = {"to": "queue", "queue": keys["queues"]}
    api.post("/api/v1/menus", {"id": keys["menus"], "sounds": ["menu"], "options": {"1": to_queue}})
    for name in (keys["{folder}"], f"{keys['{folder}']}.second"):
        sound = pcm16(sine(int(tenant.digits[-3:]), 8000, 0.5))
        api.request("POST", f"/api/v1/sounds?language=de&name={name}", sound, {"Content-Type": "audio/wav"})
    api.post("/api/v1/numbers", {"number": tenant.number, "target": to_queue})
    api.post("/api/v1/numbers", {"number": tenant.second_number, "target": {"to": "menu", "menu": keys["menus"]}})
    api.post(
        "/api/v1/users", {"id": keys["users"], "name": f"{word} User", "role": "agent", "agent": keys["agents"], "password": password()}
    )
    keys["tariffs"] = api.post("/api/v1/tariffs", {"trunk": keys["trunks"], "document": plan(keys["plan"], f"{word} Tarif")})["key"]
    for count in (1, 2):
        contact = {
            "name": f"{word} Contact {count}",
            "company": f"{word} AG",
            "numbers": [f"+49{tenant.digits}7{count}"],
            "note": f"{word} note",
        }
        found = api.post("/api/v1/contacts", contact)["id"]
        if count == 1:
            keys["contacts"] = found
        ticket = {"subject": f"{word} ticket {count}", "text": f"{word} text", "contact": found}
        keys["tickets"] = str(api.post("/api/v1/tickets", ticket)["number"])
        tenant.drawn.add(found)
    for one in of_slices.all_of_them():
        if hasattr(one, "set_up"):
            tenant.drawn |= one.set_up(api, keys, word)


async def talk(running: ServiceProcess, tenant: Tenant, stack: contextlib.AsyncExitStack) -> None:
    """A call that is over, with its record; then one that is talked, and one that waits behind it."""
    net = tenant.source.rpartition(".")[0]
    device = tenant.devices["anna"]
    desk = SyntheticPhone(
        running.sip,
        user=device["username"],
        password=device["password"],
        domain=device["domain"],
        address=f"{net.rpartition('.')[0]}.9.1",
        auto_answer_s=0,
    )
    carrier = SyntheticPhone(running.sip, user=f"+49{tenant.digits}55", address=f"{net}.1")
    for phone in (desk, carrier):
        await stack.enter_async_context(phone)
    await desk.register()
    api = stack.enter_context(ApiClient(running.api.url, tenant.tokens["admin"]))
    await asyncio.to_thread(api.post, f"/api/v1/agents/{tenant.keys['agents']}/log-on", {"ready": True})
    call = await carrier.call(tenant.number)
    await call.answered()
    await (await desk.incoming()).answered()
    async with asyncio.timeout(10):
        while not list(running.folder.glob(f"data/tenants/{tenant.id}/recordings/*.wav")):
            await asyncio.sleep(0.02)
    call.hang_up()
    async with asyncio.timeout(10):
        while not (found := (await asyncio.to_thread(api.get, "/api/v1/cdrs"))["items"]):
            await asyncio.sleep(0.02)
    tenant.keys["cdrs"] = found[0]["cdr"]["id"]
    (recording,) = found[0]["cdr"]["recordings"]
    tenant.keys["recordings"] = recording["path"]
    for _ in range(2):
        call = await carrier.call(tenant.number)
        await call.answered()
        if not tenant.calls:
            await (await desk.incoming()).answered()
        tenant.calls.append(call)
    async with asyncio.timeout(10):
        while len(calls := (await asyncio.to_thread(api.get, "/api/v1/live"))["calls"]) < 2:
            await asyncio.sleep(0.02)
    is_talked = {one["id"]: any(party["agent"] for party in one["parties"]) for one in calls}
    (tenant.keys["talked"],) = [call_id for call_id, talked in is_talked.items() if talked]
    (tenant.keys["calls"],) = [call_id for call_id, talked in is_talked.items() if not talked]
    tenant.drawn |= {one["id"] for one in calls} | {tenant.keys["cdrs"], tenant.keys["recordings"]}
    waiting = {"queue": tenant.keys["queues"], "subject": f"{tenant.word} subject"}
    message = waiting | {"customer": f"+49{tenant.digits}57", "text": f"{tenant.word} text"}
    for kind, body in (("messages", message), ("callbacks", waiting | {"number": f"+49{tenant.digits}58"})):
        tenant.keys[kind] = (await asyncio.to_thread(api.post, f"/api/v1/{kind}", body))["contact"]
        tenant.drawn.add(tenant.keys[kind])


def told_of(world: World, tenant: Tenant) -> dict[str, Any]:
    """All the tenant has, as its administrator reads it."""
    with world.asker(tenant.tokens["admin"]) as asker:
        state: dict[str, Any] = {}
        for operation in world.operations:
            if operation.method != "get" or operation.is_operators or operation.under(NOT_STATE):
                continue
            target = operation.target(tenant, query={"limit": "500"} if operation.is_list else None)
            status, answer = asker.ask("get", target)
            body = answer.partition("\n\n")[2]
            assert status == 200, f"{operation.name}: the tenant itself is answered {status} for {target}: {body}"
            state[operation.name] = still(json.loads(body)) if "application/json" in answer else body
        _, answer = asker.ask("get", "/api/v1/audit?about=changes&limit=500")
        changes = json.loads(answer.partition("\n\n")[2])["items"]
        state["changes"] = [one for one in changes if one["act"] not in {"claimed", "granted", "refused"}]
    return state


def still(document: Any) -> Any:
    """A document without what time alone changes."""
    if isinstance(document, dict):
        return {name: still(value) for name, value in document.items() if name not in MOVES}
    if isinstance(document, list):
        return [still(one) for one in document]
    return document


def cursors(world: World, tenant: Tenant) -> dict[str, str]:
    """`next` of the first page of every list of the tenant: a place in it, which another may try to go on from."""
    with world.asker(tenant.tokens["admin"]) as asker:
        found = {}
        for operation in world.operations:
            if operation.is_list and not operation.is_operators:
                status, answer = asker.ask("get", operation.target(tenant, query={"limit": "1"}))
                assert status == 200, operation.name
                found[operation.path] = json.loads(answer.partition("\n\n")[2])["next"]
    return {path: str(after) for path, after in found.items() if after is not None}


@dataclass
class Walk:
    """One person's way through all operations, with names of another's objects."""

    world: World
    who: str
    token: str | None
    of: Tenant
    ids: bool = True
    own: Tenant | None = None
    """For a namesake: what it has itself."""
    asked: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    everything: list[Operation] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    """Operations that succeeded."""

    def reads(self, places: dict[str, str], *, filters: bool = True) -> None:
        """Every GET: as it is, from the other's place in the list, and with every filter."""
        # The own audit tells what was read, and how.
        of_audit = {one for operation in self.world.operations for one in sent_by(operation, self.of)}
        of_audit |= {*queries(self.of).values(), *places.values()}
        with self.world.asker(self.token) as asker:
            for operation in self.world.operations:
                if operation.method != "get":
                    continue
                for query in self._queries(operation, places, filters=filters):
                    target = operation.target(self.of, query=query)
                    status, answer = asker.ask("get", target)
                    sent = sent_by(operation, self.of, query)
                    self._judge(operation, target, status, answer, of_audit if operation.under(["/api/v1/audit"]) else sent)

    def writes(self, *, objects: bool) -> None:
        """Everything else, with bodies that name the other's things too; objects: what names one in its path."""
        # What was sent before may be told: things that were made of it are there.
        sent = {one for operation in self.world.operations for one in (*sent_by(operation, self.of), *words(operation.body(self.of)))}
        with self.world.asker(self.token) as asker:
            trail = Trail(asker, "audit", "admin") if self.own is not None else None
            for operation in self.world.operations:
                if operation.method == "get" or operation.names_an_object is not objects:
                    continue
                target, body = operation.target(self.of), operation.body(self.of)
                status, answer = asker.ask(operation.method, target, body)
                self._judge(operation, target, status, answer, sent)
                if trail is not None:
                    self.findings += trail.lacks(operation, status)
                if self.own is None or not objects or operation.is_operators:
                    continue
                # The same with names of its own must reach what they name, or a refusal proves nothing.
                own_target = operation.target(self.own)
                if own_target != target or status in {*REFUSED, 422}:  # 422: the body names what only the other has
                    if own_target != target and status not in {*REFUSED, 409}:
                        self.findings.append(f"{self.who}: {operation.method.upper()} {target} → {status}: not refused: {answer[-300:]}")
                    status, answer = asker.ask(operation.method, own_target, operation.body(self.own))
                    self._judge(operation, own_target, status, answer, sent)
                    self.findings += trail.lacks(operation, status) if trail is not None else ()
                if status in REFUSED and not operation.path.endswith("/hang-up"):  # the call may have ended with what was before
                    self.findings.append(
                        f"{self.who}: {operation.method.upper()} {own_target} → {status}, though it is its own (did it go with what "
                        f"was removed before? `removal_order` looks at the foreign keys): {answer[-300:]}"
                    )
            self.done |= set() if trail is None else trail.done

    def makes(self) -> None:
        """What somebody makes of the own things while they are there: each leaves an entry in the audit."""
        assert self.own is not None
        with self.world.asker(self.token) as asker:
            trail = Trail(asker, "audit", "admin")
            for operation in self.world.operations:
                if operation.method != "post" or operation.names_an_object or operation.is_operators or operation.under((*OWN, *PUBLIC)):
                    continue
                if operation.id == "rerate":  # rates as before here, which is a read
                    continue
                target, body = operation.target(self.own), operation.body(self.own)
                status, answer = asker.ask(operation.method, target, body)
                self._judge(operation, target, status, answer, {*sent_by(operation, self.own), *words(body)})
                self.findings += trail.lacks(operation, status)
            self.done |= trail.done

    def _queries(self, operation: Operation, places: dict[str, str], *, filters: bool) -> list[dict[str, str]]:
        known = queries(self.of)
        unknown = [name for name, _ in operation.parameters if name not in known and name != "after"]
        assert not unknown, f"{operation.name}: the walk has no value for {', '.join(unknown)}; {operation.where}: `queries`"
        # One filter at a time: two together may find nothing because of each other.
        asked: list[dict[str, str]] = [{}]
        if filters:
            asked += [{name: known[name]} for name, is_required in operation.parameters if not is_required and name != "after"]
        if operation.path in places:
            asked.append({"after": places[operation.path]})
        return asked

    def _judge(self, operation: Operation, target: str, status: int, answer: str, sent: set[str]) -> None:
        self.asked[status] += 1
        self.everything.append(operation)
        said = f"{self.who}: {operation.method.upper()} {target} → {status}"
        if status >= 500:
            self.findings.append(f"{said}: {answer[-300:]}")
        if self.ids and operation.names_an_object and status not in REFUSED:
            self.findings.append(f"{said}: it names another's object, and is not refused: {answer[-300:]}")
        if self.token is None and not operation.under(PUBLIC) and status != 401:
            self.findings.append(f"{said}: nobody is let in: {answer[-300:]}")
        if told := self.of.is_told_by(without(answer, sent), ids=self.ids):
            self.findings.append(f"{said}: tells {told[:3]}")


class Trail:
    """The audit of who asks: whether each write that succeeds leaves an entry there."""

    def __init__(self, asker: Asker, path: str, who: str) -> None:
        self._asker, self._target = asker, f"/api/v1/{path}?limit=20&who={who}"
        self._newest = self._read()
        self.done: set[str] = set()
        """Operations that succeeded."""

    def _read(self) -> str:
        """The newest entry that is of no read; that of a write is among the first, whatever was read."""
        status, answer = self._asker.ask("get", self._target)
        if status != 200:
            return ""
        items = json.loads(answer.partition("\n\n")[2])["items"]
        return next((one["id"] for one in items if one["act"] not in {"read", "refused"}), "")

    def lacks(self, operation: Operation, status: int) -> list[str]:
        """A sentence, if the write left none, and its slice does not say why."""
        if status >= 300 or operation.path == "/api/v1/logout":  # whose token is over then
            return []
        self.done.add(operation.id)
        before, self._newest = self._newest, self._read()
        is_recorded = self._newest not in {"", before}
        if is_recorded is not (operation.id in UNRECORDED):
            return []
        if is_recorded:
            return [f"{operation.name} → {status}: the audit has an entry of it; api/{operation.slice}/slice.py says there is none"]
        where = f"api/{operation.slice}/slice.py ({operation.id})"
        return [f"{operation.name} → {status}: the audit has no entry of it; `record` it, or say why not in `unrecorded` of {where}"]


# ------------------------------------------------------------------------------------------------------------------ tests


async def test_a_foreign_token_hears_nothing_of_the_tenant_over_websockets(world: World) -> None:
    """While Zirbelhof is called, its own sockets tell it; those of another tell of that tenant alone, and nobody is let in."""
    running, theirs, others = world.running, world.zirbelhof, world.buche
    base = f"ws://127.0.0.1:{running.http}/api/v1"
    async with contextlib.AsyncExitStack() as stack:

        async def opened(path: str, token: str, how: str) -> websockets.ClientConnection:
            match how:
                case "header":
                    one = websockets.connect(f"{base}/{path}", additional_headers={"Authorization": f"Bearer {token}"})
                case _:
                    one = websockets.connect(f"{base}/{path}", subprotocols=[Subprotocol("fernamt.v1"), Subprotocol(f"bearer.{token}")])
            socket = await stack.enter_async_context(one)
            first.append(str(await socket.recv()))  # it listens from now on
            return socket

        first: list[str] = []
        tokens = {"key": others.tokens["key"]}
        for role, user in (("admin", "admin"), ("supervisor", f"{others.id}-supervisor")):
            tokens[role] = (await running.call(running.api.log_in, user, others.password, others.id))["token"]
        foreign = {
            (path, how, role): await opened(path, tokens[role], how)
            for path in ("events", "board")
            for how, role in (("header", "admin"), ("subprotocol", "supervisor"), ("subprotocol", "key"))
        }
        assert not theirs.is_told_by("".join(first), ids=True)
        own = await opened("events", theirs.tokens["admin"], "header")
        carrier = await stack.enter_async_context(SyntheticPhone(running.sip, user=f"+49{theirs.digits}56", address="127.10.0.2"))
        call = await carrier.call(theirs.number)
        await call.answered()
        call.hang_up()
        await call.ended()
        async with asyncio.timeout(10):
            heard = ""
            while "CallCleared" not in heard:
                heard += str(await own.recv())
        assert f"{theirs.digits}56" in heard
        # What is heard of the own tenant after it is the end of what has to be looked at.
        with world.asker(tokens["admin"]) as asker:
            status, _ = await asyncio.to_thread(asker.ask, "post", f"/api/v1/agents/{others.id}-desk/log-on", {"ready": False})
            assert status == 200
            for (path, how, role), socket in foreign.items():
                told = ""
                async with asyncio.timeout(10):
                    while True:
                        message = str(await socket.recv())
                        told += message
                        if path == "events" and "AgentLoggedOn" in message:
                            break
                        if path == "board" and any(one["state"] != "logged_off" for one in agents_of(message)):
                            break
                assert not theirs.is_told_by(told, ids=True), f"/{path} as {role}, token by {how}"
            await asyncio.to_thread(asker.ask, "post", f"/api/v1/agents/{others.id}-desk/log-off")

    for path in ("events", "board"):
        for token in ("", "?token=nobodys-token", f"?token={tokens['admin']}"):
            with pytest.raises((websockets.ConnectionClosed, websockets.InvalidStatus)):
                async with websockets.connect(f"{base}/{path}{token}") as socket:
                    await socket.recv()


async def test_whoever_is_not_of_the_tenant_reads_nothing_of_it_and_changes_nothing_in_it(world: World) -> None:
    """Nobody, and every role and an API key of another tenant, at every operation with names of Zirbelhof's objects."""
    before = await asyncio.to_thread(told_of, world, world.zirbelhof)
    people = {"nobody": None} | {f"buche's {role}": token for role, token in world.buche.tokens.items()}
    walks = [Walk(world, who, token, world.zirbelhof) for who, token in people.items()]

    places = await asyncio.to_thread(cursors, world, world.zirbelhof)
    # All reads before the first write: a list holds nothing then that came from here.
    await asyncio.gather(*(asyncio.to_thread(walk.reads, places, filters=walk.who.endswith("admin")) for walk in walks))
    told = await asyncio.to_thread(told_apart, world, world.buche.tokens["admin"], world.zirbelhof)
    for objects in (True, False):
        for walk in walks:
            await asyncio.to_thread(walk.writes, objects=objects)

    for walk in walks:
        assert {one.name for one in walk.everything} == {one.name for one in world.operations}
    findings = [finding for walk in walks for finding in walk.findings]
    assert not findings, "\n".join(findings)
    assert not told, "\n".join(told)
    assert await asyncio.to_thread(told_of, world, world.zirbelhof) == before
    assert all(call.is_up for call in world.zirbelhof.calls)


async def test_a_namesake_sees_and_changes_its_own(world: World) -> None:
    """Eibe calls all its things as Zirbelhof does: the same paths are answered with Eibe's, and what Eibe removes stays at Zirbelhof."""
    before = await asyncio.to_thread(told_of, world, world.zirbelhof)
    walk = Walk(world, "eibe's admin", world.eibe.tokens["admin"], world.zirbelhof, ids=False, own=world.eibe)

    await asyncio.to_thread(walk.reads, await asyncio.to_thread(cursors, world, world.zirbelhof), filters=False)
    its_own = await asyncio.to_thread(told_of, world, world.eibe)
    await asyncio.to_thread(walk.makes)
    for objects in (True, False):
        await asyncio.to_thread(walk.writes, objects=objects)

    never = [one for one in world.operations if one.method != "get" and not one.is_operators and one.id not in walk.done | NEVER_DONE]
    assert not never, "\n".join(
        f"{one.name} never succeeds here, so that nothing shows that its object was reached and the audit has it: {one.where}"
        for one in never
    )
    assert not walk.findings, "\n".join(walk.findings)
    assert world.eibe.word in json.dumps(its_own)
    assert {one["kind"] for one in its_own["changes"] if one["act"] == "created"} >= MADE
    assert all(call.is_up for call in world.zirbelhof.calls)
    assert await asyncio.to_thread(told_of, world, world.zirbelhof) == before


def told_apart(world: World, token: str, theirs: Tenant) -> list[str]:
    """Where a name that a tenant has is answered in other words than a name that nobody has."""
    invented = Tenant("ahorn", "Ahornblatt", "301989", "127.90.0.0/24")
    invented.keys = {kind: re.sub("zirbel(hof)?", "ahorn", key) for kind, key in theirs.keys.items()}
    invented.keys |= {kind: scrambled(key) for kind, key in theirs.keys.items() if key in theirs.drawn}
    invented.keys |= {"numbers": invented.number, "caller-ids": f"+49{invented.digits}09", "tickets": str(int(theirs.keys["tickets"]) + 7)}
    with world.asker(token) as asker:
        found = []
        for operation in world.operations:
            if not operation.names_an_object and operation.schema not in {"Number", "LoginGiven"}:
                continue
            answers = []
            for of in (theirs, invented):
                body = operation.body(of)
                status, answer = asker.ask(operation.method, operation.target(of), body)
                text = without(answer.partition("\n\n")[2], sent_by(operation, of) | set(words(body)))
                answers.append((status, text))
            if answers[0] != answers[1]:
                found.append(f"{operation.name}: {answers[0]} of a name that another has, {answers[1]} of one that nobody has")
    return found


def scrambled(key: str) -> str:
    """Another key of the same shape."""
    return "".join(digit if digit not in "0123456789abcdef" else "fedcba9876543210"["0123456789abcdef".index(digit)] for digit in key)


async def test_the_operator_sees_nothing_inside_a_tenant(world: World) -> None:
    """Outside of what is the operator's own (tenants, assignments, bans) all is refused. What the operator reads there names nobody."""
    before = await asyncio.to_thread(told_of, world, world.zirbelhof)

    def walk() -> list[str]:
        with world.asker(world.operator) as asker:
            trail = Trail(asker, "operator/audit", "operator")
            found = []
            for operation in world.operations:
                is_operators = operation.is_operators or operation.under((*OWN, *PUBLIC))
                # What the operator may do to a tenant is done to one that nobody needs.
                of = world.buche if operation.method != "get" and is_operators else world.zirbelhof
                body = operation.body(of)
                if operation.name in {"POST /api/v1/logout", "DELETE /api/v1/tenants/{tenant}"}:
                    continue  # the operator goes on, and so do tenants
                status, answer = asker.ask(operation.method, operation.target(of), body)
                if operation.method != "get":
                    found += trail.lacks(operation, status)
                text = without(answer, sent_by(operation, of) | set(words(body)))
                if status >= 500 and operation.path != "/readyz":
                    found.append(f"{operation.name} → {status}: {answer[-300:]}")
                if not is_operators and status not in REFUSED:
                    found.append(f"{operation.name} → {status}: not refused: {answer[-300:]}")
                inside = re.findall(r".{0,30}Zirbelkiefer (?!note).{0,30}", text)
                if inside:
                    found.append(f"{operation.name} → {status}: tells {inside[:3]}")
        return found

    findings = await asyncio.to_thread(walk)
    assert not findings, "\n".join(findings)
    assert await asyncio.to_thread(told_of, world, world.zirbelhof) == before


OFFERED = ("/api/v1/messages", "/api/v1/callbacks", "/api/v1/recordings")
"""An agent reads those that it is offered or has; here it has none. Recordings it hears where its tenant lets it."""


@pytest.mark.parametrize("role", ["agent", "supervisor", "billing"])
async def test_a_role_of_the_tenant_itself_reaches_what_the_table_says(world: World, role: str) -> None:
    """What is not in the table of roles is 403 at home too, and changes nothing; what may be read is read."""
    before = await asyncio.to_thread(told_of, world, world.zirbelhof)
    tenant = world.zirbelhof

    def walk() -> list[str]:
        with world.asker(tenant.tokens[role]) as asker:
            found = []
            for operation in world.operations:
                if operation.under((*PUBLIC, *OWN, "/metrics")):
                    continue
                may = operation.is_for(Role(role))
                if role == "agent" and operation.under((*DESK, *OFFERED)):  # it is another agent's desk
                    may = False
                if may and operation.method != "get":
                    continue
                status, answer = asker.ask(operation.method, operation.target(tenant), operation.body(tenant))
                if may and status != 200:
                    found.append(f"{role}: {operation.name} → {status}: {answer[-200:]}")
                if not may and status not in {403, 404}:
                    found.append(f"{role}: {operation.name} → {status}, which is not this role's: {answer[-200:]}")
        return found

    findings = await asyncio.to_thread(walk)
    assert not findings, "\n".join(findings)
    assert await asyncio.to_thread(told_of, world, world.zirbelhof) == before


def agents_of(message: str) -> list[dict[str, Any]]:
    document = json.loads(message)
    found = document.get("agents") or document.get("live", {}).get("agents") or document.get("state", {}).get("agents")
    return found if isinstance(found, list) else []
