"""Routes of the configuration: the same five for every kind, and devices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response, status
from pydantic import BaseModel, Field, create_model

from api.assignments import held
from api.errors import Conflict, NotFound, Outdated, Place, Unprocessable, responses
from api.identity import Access, Passwords, user_of_agent
from api.kit.paging import Page, Paged, paged
from api.kit.preconditions import IfVersion, version_of
from api.kit.schema import STORED, Given, Told
from api.shared import shared
from api.telephony_setup import pins, schemas, service
from api.telephony_setup.errors import StillInUse
from api.telephony_setup.models import DeviceRow, Row
from api.telephony_setup.permissions import ReadsDevices, ReadsNames, ReadsSetup, ReadsSpending, WritesDevices, WritesSetup
from api.telephony_setup.rules import FIRST_LANGUAGE, long_name

router = APIRouter(prefix="/api/v1", tags=["telephony setup"])

Key = Annotated[str, Path(max_length=64, pattern=r"^[+]?[a-z0-9][a-z0-9_.-]{0,62}$")]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of configuration."""

    name: str
    plural: str
    schema: type[Given]
    key: str = "id"
    reads: Any = ReadsSetup


KINDS = (
    Kind("queue", "queues", schemas.Queue, reads=ReadsNames),
    Kind("menu", "menus", schemas.Menu),
    Kind("number", "numbers", schemas.Number, key="number"),
    Kind("schedule", "schedules", schemas.Schedule),
    Kind("site", "sites", schemas.Site),
    Kind("trunk", "trunks", schemas.Trunk),
    Kind("reason", "reasons", schemas.Reason, key="code", reads=ReadsNames),
    Kind("agent", "agents", schemas.Agent),
)


def _told_schema(kind: Kind) -> type[BaseModel]:
    return create_model(
        f"{kind.schema.__name__}Told",
        __base__=kind.schema,
        version=(int, Field(description="Counts changes; also the ETag.")),
        changed_at=(datetime, Field()),
    )


def _told(row: Row, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{row.version}"'
    return _plain(row)


def _plain(row: Row) -> dict[str, Any]:
    document = dict(row.document)
    if document.get("registration") is not None:  # a carrier's password is written, never read
        document["registration"] = {**document["registration"], "password": None}
    return {**document, "version": row.version, "changed_at": row.changed_at}


def _stored(
    told: type[BaseModel], what: Mapping[str, Any], code: int = status.HTTP_200_OK, headers: Mapping[str, str] | None = None
) -> Response:
    """What is kept, as its schema has it, but for rules that are younger than it: FastAPI would hold it to them and answer 500."""
    body = told.model_validate(what, context=STORED).model_dump_json()
    return Response(body, code, dict(headers or {}), "application/json")


def _add(kind: Kind) -> None:
    """The five routes of one kind. The payload's type is the kind's schema, which only a value at run time can say."""
    told = _told_schema(kind)
    title = kind.schema.__name__

    page_of = Page[told]  # type: ignore[valid-type]

    def shown(row: Row, code: int = status.HTTP_200_OK, headers: Mapping[str, str] | None = None) -> Response:
        return _stored(told, _plain(row), code, {"ETag": f'"{row.version}"', **(headers or {})})

    async def list_(access: Access, page: Paged) -> Response:
        rows = await service.some(access.session, kind.name, page)
        items, following = paged([_plain(row) for row in rows], [row.id for row in rows], page)
        access.gave(len(items))
        return _stored(page_of, {"items": items, "next": following})

    async def get(access: Access, key: Key) -> Response:
        return shown(await service.one(access.session, kind.name, key))

    async def create(access: WritesSetup, given: Given) -> Response:
        key, document = _document(kind, given)
        _check_password(document)
        row = await service.create(service.Author.of(access), kind.name, key, document)
        await service.take_effect(service.Author.of(access))
        return shown(row, status.HTTP_201_CREATED, {"Location": f"/api/v1/{kind.plural}/{key}"})

    async def replace(access: WritesSetup, key: Key, given: Given, if_match: IfVersion = None) -> Response:
        given_key, document = _document(kind, given)
        if given_key != key:
            raise Unprocessable(
                f"The {kind.key} in the body is {given_key}, in the path {key}.",
                [Place(detail="not that of the path", pointer=f"#/{kind.key}")],
            )
        if kind.name == "trunk":
            document = _with_old_password(document, (await service.one(access.session, kind.name, key)).document)
            _check_password(document)
        row = await service.replace(service.Author.of(access), kind.name, key, document, version_of(if_match))
        await service.take_effect(service.Author.of(access))
        return shown(row)

    async def delete(access: WritesSetup, key: Key, if_match: IfVersion = None) -> None:
        await _check_users(access, kind, key)
        await service.delete(service.Author.of(access), kind.name, key, version_of(if_match))
        await service.take_effect(service.Author.of(access), deleting=True)

    list_.__annotations__["access"] = kind.reads
    get.__annotations__["access"] = kind.reads
    create.__annotations__["given"] = kind.schema
    replace.__annotations__["given"] = kind.schema

    def route(path: str, method: str, verb: str, act: Callable[..., Awaitable[Any]], summary: str, **more: Any) -> None:
        router.add_api_route(
            path, act, methods=[method], operation_id=verb + (title + "s" if verb == "list" else title), summary=summary, **more
        )

    path, item = f"/{kind.plural}", f"/{kind.plural}/{{key}}"
    missing = responses(NotFound)
    route(path, "GET", "list", list_, f"All {kind.plural}, in pages", response_model=page_of)
    if kind.name != "agent":
        route(path, "POST", "create", create, f"Add a {kind.name}", response_model=told, status_code=201, responses=responses(Conflict))
    route(item, "GET", "get", get, f"One {kind.name}", response_model=told, responses=missing)
    route(item, "PUT", "replace", replace, f"Replace a {kind.name}", response_model=told, responses=responses(NotFound, Conflict, Outdated))
    route(
        item,
        "DELETE",
        "delete",
        delete,
        f"Remove a {kind.name}",
        status_code=status.HTTP_204_NO_CONTENT,
        responses=responses(NotFound, Conflict, Outdated),
    )


async def _check_users(access: Access, kind: Kind, key: str) -> None:
    """An agent whom a user is at the desk stays: the user's next log-in would be at nobody's.

    Raises: StillInUse
    """
    if kind.name != "agent":
        return
    await service.hold(service.Author.of(access))
    holder = await user_of_agent(access.session, key)
    if holder is not None:
        raise StillInUse([f"user {holder.id} is the agent {key}"])


def _document(kind: Kind, given: Given) -> tuple[str, dict[str, Any]]:
    document = given.model_dump(mode="json")
    return str(document[kind.key]), document


def _with_old_password(document: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    new, kept = document.get("registration"), old.get("registration")
    if new is not None and new["password"] is None and kept is not None:
        return {**document, "registration": {**new, "password": kept["password"]}}
    return document


def _check_password(document: dict[str, Any]) -> None:
    registration = document.get("registration")
    if registration is not None and registration["password"] is None:
        place = Place(detail="needed the first time", pointer="#/registration/password")
        raise Unprocessable("A registration at a carrier needs its password.", [place])


for _kind in KINDS:
    _add(_kind)


# ---------------------------------------------------------------------- agents and their devices


class AgentCreated(_told_schema(KINDS[-1])):  # type: ignore[misc]
    """An agent, and what is typed into the agent's phone."""

    device: schemas.DeviceTold


@router.post("/agents", operation_id="createAgent", status_code=status.HTTP_201_CREATED, responses=responses(Conflict))
async def create_agent(access: WritesSetup, given: schemas.AgentGiven, response: Response) -> AgentCreated:
    """Add an agent. The device's password is told in this answer only."""
    document = given.model_dump(mode="json", exclude={"device_username", "device_password"})
    by = service.Author.of(access)
    row = await service.create(by, "agent", given.id, document)
    device, password = await service.set_device(by, given.id, given.device_username, given.device_password, pointer="#/device_password")
    await service.take_effect(by)
    response.headers["Location"] = f"/api/v1/agents/{given.id}"
    return AgentCreated(**_told(row, response), device=_told_device(access, device, password))


def _told_device(access: Access, device: DeviceRow, password: str | None = None) -> schemas.DeviceTold:
    domain = held(access.services, access.tenant).domain
    login = long_name(device.username, domain) if device.long_md5 is not None else device.username
    return schemas.DeviceTold(
        agent=device.agent, username=device.username, login=login, realm=device.realm, domain=domain, password=password
    )


@router.get("/agents/{key}/device", operation_id="getDevice", responses=responses(NotFound))
async def get_device(access: ReadsDevices, key: Key) -> schemas.DeviceTold:
    """User name and realm of the agent's device; the password is kept nowhere."""
    device = await service.device(access.session, key)
    return _told_device(access, device)


@router.put("/agents/{key}/device", operation_id="setDevice", responses=responses(NotFound, Conflict))
async def set_device(access: WritesDevices, key: Key, given: schemas.DeviceGiven) -> schemas.DeviceTold:
    """New credentials for the agent's device; the password is told in this answer only."""
    by = service.Author.of(access)
    device, password = await service.set_device(by, key, given.username, given.password)
    await service.take_effect(by)
    return _told_device(access, device, password)


@router.put("/agents/{key}/pin", operation_id="setPin", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound))
async def set_pin(access: WritesDevices, key: Key, given: schemas.PinGiven, request: Request) -> None:
    """The PIN by which the agent logs on at another's phone (hot desk). It is kept as passwords are and told to nobody."""
    await pins.set_pin(service.Author.of(access), shared(request).part(Passwords), key, given.pin)


@router.delete("/agents/{key}/pin", operation_id="deletePin", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound))
async def delete_pin(access: WritesDevices, key: Key) -> None:
    """The agent logs on at no other phone any more; where it sits, it stays until it logs off."""
    await pins.delete_pin(service.Author.of(access), key)


# ---------------------------------------------------------------------- the rest


class DiallingTold(schemas.Dialling):
    version: int


class AccountTold(Told):
    account: str = Field(description="`tenant`, `agent:<id>`, or `balance` (prepaid).")
    limit: Decimal | None = Field(description="A month has no limit here: this is of sixty minutes, or what was paid in.")
    reserved: Decimal = Field(description="Spent in the last hour (of a balance: ever), and reserved by what runs.")
    running: Decimal = Field(description="What of it running calls and attempts have reserved: they give back what they do not use.")


class SpendingTold(Told):
    currency: str
    accounts: list[AccountTold]


def _dialling_told(row: Row, response: Response) -> DiallingTold:
    return DiallingTold(**{key: value for key, value in _told(row, response).items() if key != "changed_at"})


@router.get("/dialling", operation_id="getDialling")
async def get_dialling(access: ReadsSetup, response: Response) -> DiallingTold:
    """Who may dial what, and for how much within an hour."""
    try:
        row = await service.one(access.session, service.DIALLING, service.DIALLING)
    except NotFound:
        return DiallingTold(version=0)
    return _dialling_told(row, response)


@router.put("/dialling", operation_id="setDialling", responses=responses(Conflict, Outdated))
async def set_dialling(access: WritesSetup, given: schemas.Dialling, response: Response, if_match: IfVersion = None) -> DiallingTold:
    """Change who may dial what, and for how much. It holds for the next call; a running one ends when its money does."""
    row = await service.dialling(service.Author.of(access), given.model_dump(mode="json"), version_of(if_match))
    await service.take_effect(service.Author.of(access))
    return _dialling_told(row, response)


@router.get("/dialling/spending", operation_id="getSpending")
async def get_spending(access: ReadsSpending) -> SpendingTold:
    """How the budgets stand now: of the tenant, of each agent who has spent something or has a limit, and the prepaid balance."""
    async with access.outside() as voice:
        spending = voice.spending(access.tenant)
    return SpendingTold.model_validate(spending, from_attributes=True)


class GeneralTold(schemas.General):
    version: int


def _general_told(row: Row) -> Response:
    told = {key: value for key, value in _plain(row).items() if key != "changed_at"}
    return _stored(GeneralTold, told, headers={"ETag": f'"{row.version}"'})


@router.get("/setup", operation_id="getSetup", response_model=GeneralTold)
async def get_general(access: ReadsSetup) -> Response:
    """What belongs to no kind."""
    try:
        row = await service.one(access.session, service.GENERAL, service.GENERAL)
    except NotFound:
        return _stored(GeneralTold, {"language": FIRST_LANGUAGE, "version": 0})
    return _general_told(row)


@router.put("/setup", operation_id="setSetup", response_model=GeneralTold, responses=responses(Outdated))
async def set_general(access: WritesSetup, given: schemas.General, if_match: IfVersion = None) -> Response:
    """Change what belongs to no kind."""
    row = await service.general(service.Author.of(access), given.model_dump(mode="json"), version_of(if_match))
    await service.take_effect(service.Author.of(access))
    return _general_told(row)
