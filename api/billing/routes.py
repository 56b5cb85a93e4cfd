"""Routes of billing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, status
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from acd.core.ids import TenantId
from api.assignments import held
from api.audit import record
from api.billing import service
from api.billing.errors import PricesOfTheHouse
from api.billing.permissions import ReadsBilling, ReadsCdrs, WritesBilling
from api.billing.schemas import (
    CdrTold,
    Explained,
    HouseTariff,
    InvoiceTold,
    Language,
    Month,
    RateTold,
    Rerating,
    ReratingGiven,
    TariffGiven,
    TariffTold,
    TariffWhole,
)
from api.errors import Conflict, NotFound, responses
from api.identity import Access
from api.kit.ids import Slug
from api.kit.numbers import Callable_
from api.kit.paging import Page, Paged, paged
from api.kit.period import Period
from api.kit.schema import Text
from api.shared import shared_of
from api.telephony_setup import Author, hold, own_carriers, take_effect
from billing_cdr import export
from billing_cdr.store import Filter

router = APIRouter(prefix="/api/v1", tags=["billing"])

CdrKey = Annotated[str, Path(max_length=120, pattern=r"^[A-Za-z0-9_.:-]+$")]
TariffKey = Annotated[Text, Path(max_length=200)]
MonthKey = Annotated[str, Path(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-03"])]
Word = Annotated[str | None, Query(max_length=16, pattern="^[a-z_]+$")]


def _wanted(
    began: Period,
    direction: Annotated[Literal["inbound", "outbound", "internal"] | None, Query()] = None,
    outcome: Word = None,
    queue: Annotated[Slug | None, Query(description="Of the first talk; where nobody talked, waited in last.")] = None,
    agent: Annotated[Slug | None, Query(description="Had a leg in it, whether the agent talked first, later, or not at all.")] = None,
    trunk: Annotated[Slug | None, Query()] = None,
    number: Annotated[Callable_ | None, Query(description="Calling, called, or dialled on any leg; in any notation.")] = None,
    status: Annotated[Literal["rated", "unrated"] | None, Query()] = None,
) -> Filter:
    return Filter(
        began_from=began.first,
        began_before=began.before,
        direction=direction,
        outcome=outcome,
        queue=queue,
        agent=agent,
        trunk=trunk,
        number=number,
        status=status,
    )


Wanted = Annotated[Filter, Depends(_wanted)]
Format = Annotated[Literal["csv", "json"], Query(description="CSV (RFC 4180) or JSON lines.")]
PLAN_OCTETS = 4 << 20
"""A carrier's price list: a million letters as JSON, where an umlaut or a quotation mark takes several octets."""
_STREAMS = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}
_EXPORT_CONTENT: dict[int | str, dict[str, object]] = {
    200: {
        "description": "A stream.",
        "content": {"text/csv": {"schema": {"type": "string"}}, "application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


@router.get("/tariffs", operation_id="listTariffs")
async def list_tariffs(access: ReadsBilling, page: Paged) -> Page[TariffTold]:
    """The tenant's own plan versions, by carrier and plan, the newest last (`10` is newer than `9`); without any, the house plan holds."""
    rows = await service.tariffs(access.session, page)
    items, following = paged([TariffTold.model_validate(row) for row in rows], [row.key for row in rows], page)
    return Page(items=items, next=following)


@router.post(
    "/tariffs",
    operation_id="createTariff",
    status_code=status.HTTP_201_CREATED,
    responses=responses(Conflict),
    max_body_size=PLAN_OCTETS,
)
async def create_tariff(access: WritesBilling, given: TariffGiven) -> TariffTold:
    """Add a plan version; a version never changes. It holds for calls that begin at its `valid_from` or later."""
    if not held(access.services, access.tenant).prices_itself:
        raise PricesOfTheHouse
    await access.rest()
    plan, document = await service.read(given)  # before anything is held
    by = Author.of(access)
    await hold(by)
    row = await service.add_tariff(access.session, plan, document, given.trunk, access.principal.name, access.now)
    await take_effect(by, tariffs=True)
    told = TariffTold.model_validate(row)
    kept = told.model_dump(mode="json", include={"trunk", "plan", "version", "currency", "valid_from", "fingerprint"})
    record(access.session, access.now, access.by, "created", "tariff", row.key, after=kept)
    return told


@router.get("/tariffs/house", operation_id="getHouseTariff")
async def get_house_tariff(_access: ReadsBilling) -> HouseTariff:
    """The plan of the house with its document: it holds where neither the tenant nor its own carrier has a plan."""
    return service.house_tariff()


@router.get("/tariffs/{key}/rates", operation_id="listRates", responses=responses(NotFound))
async def list_rates(access: ReadsBilling, key: TariffKey, page: Paged) -> Page[RateTold]:
    """The rates of a plan version, by prefix; `house` is the plan of the house."""
    items, following = await service.rates(access.session, key, page)
    return Page(items=items, next=following)


@router.get("/tariffs/{key}", operation_id="getTariff", responses=responses(NotFound))
async def get_tariff(access: ReadsBilling, key: TariffKey) -> TariffWhole:
    """One plan version with its document."""
    return TariffWhole.model_validate(await service.tariff(access.session, key))


@router.get("/cdrs", operation_id="listCdrs")
async def list_cdrs(access: ReadsCdrs, wanted: Wanted, page: Paged) -> Page[CdrTold]:
    """Records of conversations with their charges, the newest first."""
    items, following = await service.cdrs(access.session, wanted, page)
    access.gave(len(items))
    return Page(items=items, next=following)


@router.get("/cdrs/export", operation_id="exportCdrs", responses=_EXPORT_CONTENT, response_class=StreamingResponse)
async def export_cdrs(access: ReadsCdrs, wanted: Wanted, format: Format = "csv") -> StreamingResponse:  # noqa: A002 - the query's name
    """All records a filter lets through, as a stream."""
    sent = _sent(access, "cdr", wanted)
    return _download(access, "cdrs", sent, service.export_cdrs_csv(sent) if format == "csv" else service.export_cdrs_json(sent), format)


@router.get("/charges/export", operation_id="exportCharges", responses=_EXPORT_CONTENT, response_class=StreamingResponse)
async def export_charges(
    access: ReadsBilling,
    wanted: Wanted,
    format: Format = "csv",  # noqa: A002 - the query's name
    language: Annotated[Language, Query()] = "en",
) -> StreamingResponse:
    """All charges a filter lets through, line by line, as a stream."""
    sent = _sent(access, "charge", wanted)
    return _download(
        access,
        "charges",
        sent,
        service.export_charges_csv(sent, language) if format == "csv" else service.export_charges_json(sent),
        format,
    )


def _sent(access: Access, kind: str, wanted: Filter) -> service.Sent:
    """An export that begins: how far it came is known only when the request is long over."""
    access.gave(0)
    return service.Sent(access.services, access.tenant, access.by, kind, wanted)


class _Export(StreamingResponse):
    """A stream that takes one of its tenant's places for as long as it goes on, also when the client goes before it begins."""

    def __init__(self, tenant: TenantId, stream: AsyncIterator[bytes], headers: dict[str, str], media_type: str) -> None:
        super().__init__(stream, headers=headers, media_type=media_type)
        self._tenant = tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises: TooBusy: nothing was sent yet."""
        with shared_of(scope).turns.stream(self._tenant):
            await super().__call__(scope, receive, send)


def _download(access: Access, name: str, sent: service.Sent, stream: AsyncIterator[bytes], kind: str) -> StreamingResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}.{"csv" if kind == "csv" else "jsonl"}"'}
    return _Export(access.tenant, sent.watched(stream), headers, _STREAMS[kind])


@router.get("/cdrs/{cdr}", operation_id="getCdr", responses=responses(NotFound))
async def get_cdr(access: ReadsCdrs, cdr: CdrKey) -> CdrTold:
    """One record with its ledger, legs and charge."""
    return await service.cdr(access.session, cdr)


@router.get("/cdrs/{cdr}/charge", operation_id="getCharge", responses=responses(NotFound))
async def get_charge(access: ReadsCdrs, cdr: CdrKey, language: Annotated[Language, Query()] = "en") -> Explained:
    """The charge with its trace, and why it is what it is, in sentences."""
    return await service.charge(access.session, cdr, language)


@router.get("/cdrs/{cdr}/charges", operation_id="listCharges", responses=responses(NotFound))
async def list_charges(access: ReadsCdrs, cdr: CdrKey, language: Annotated[Language, Query()] = "en") -> Page[Explained]:
    """Every charge the conversation ever had: re-rating adds a revision. The last one holds."""
    items = await service.charges(access.session, cdr, language)
    access.gave(len(items))
    return Page(items=items)


@router.get("/billing/months/{month}", operation_id="getMonth")
async def get_month(access: ReadsBilling, month: MonthKey) -> Month:
    """Net, VAT and gross of the conversations that began in a month, VAT worked out once for each rate."""
    await access.rest()
    return await service.month(access.services, access.tenant, month)


@router.get("/billing/invoices/{month}", operation_id="getInvoice", responses=responses(Conflict))
async def get_invoice(access: ReadsBilling, month: MonthKey) -> InvoiceTold:
    """The month line by line, with totals for each VAT rate. 409 while a conversation of the month has no price."""
    await access.rest()
    return service.told_invoice(await service.invoice(access.services, access.tenant, month))


@router.get(
    "/billing/invoices/{month}/export",
    operation_id="exportInvoice",
    responses={200: {"description": "CSV (RFC 4180).", "content": {"text/csv": {"schema": {"type": "string"}}}}, **responses(Conflict)},
    response_class=Response,
)
async def export_invoice(access: ReadsBilling, month: MonthKey, language: Annotated[Language, Query()] = "en") -> Response:
    """The same as CSV: `row` is a `line`, the `vat` of one rate, or the `sum` of one currency."""
    await access.rest()
    bill = await service.invoice(access.services, access.tenant, month)
    headers = {"Content-Disposition": f'attachment; filename="invoice-{month}.csv"'}
    return Response("".join(export.invoice_to_csv(bill, language)), headers=headers, media_type=_STREAMS["csv"])


@router.post("/billing/rerating", operation_id="rerate", responses=responses(NotFound, Conflict))
async def rerate(access: WritesBilling, given: ReratingGiven) -> Rerating:
    """Work charges out anew: what would change, and with the `digest` of that as `carry_out` exactly these changes.

    What was promised before a call holds. The old charge stays as an earlier revision.
    """
    own = await own_carriers(access.session)
    found = await service.rerate(access.session, access.services, access.tenant, given, access.by, access.now, own)
    if found.carried_out:
        access.unit.then(lambda: access.services.voice.recount(access.tenant))
    return found
