"""Routes of security, for the platform's operator."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, status

from acd.guard import source_of
from api.audit import record
from api.errors import NotFound, responses
from api.kit.paging import Page
from api.kit.schema import Limit
from api.security.errors import NotBanned
from api.security.permissions import LiftsBans, ReadsBans
from api.security.schemas import AttemptTold, BanTold

router = APIRouter(prefix="/api/v1/security", tags=["security"])
Source = Annotated[str, Path(max_length=64, pattern=r"^[0-9a-fA-F.:]{2,45}(/64)?$", description="An address, or the /64 of the list.")]
Before = Annotated[int | None, Query(ge=1, description="`next` of the page before.")]


@router.get("/bans", operation_id="listBans")
async def list_bans(
    access: ReadsBans, limit: Annotated[Limit, Query()] = 50, after: Annotated[Source | None, Query()] = None
) -> Page[BanTold]:
    """The sources that are not heard at present."""
    found = [ban for ban in access.services.guard.bans() if after is None or ban.source > after]
    items = [
        BanTold(
            source=ban.source,
            since=datetime.fromtimestamp(ban.since, UTC),
            until=datetime.fromtimestamp(ban.until, UTC),
            count=ban.count,
            why=ban.why,
            spares_known=access.services.guard.spares_known(ban.source),
        )
        for ban in found[:limit]
    ]
    return Page(items=items, next=items[-1].source if len(found) > limit else None)


@router.delete("/bans/{source:path}", operation_id="liftBan", status_code=status.HTTP_204_NO_CONTENT, responses=responses(NotFound))
async def lift_ban(access: LiftsBans, source: Source) -> None:
    """Hear a source again at once; its next ban is a first one."""
    if not access.services.guard.lift(source, by=access.principal.name):
        raise NotBanned(source_of(source.removesuffix("/64")))
    record(access.session, access.now, access.by, "deleted", "ban", source)


@router.get("/attempts", operation_id="listAttempts")
async def list_attempts(access: ReadsBans, limit: Annotated[Limit, Query()] = 50, after: Before = None) -> Page[AttemptTold]:
    """The latest attempts that were wrong, made to wait, or right after wrong ones; newest first. The security log has them all."""
    found = [seen for seen in reversed(access.services.guard.recent) if after is None or seen.serial < after]
    items = [
        AttemptTold.model_validate(
            {
                "serial": seen.serial,
                "at": datetime.fromtimestamp(seen.at, UTC),
                "outcome": seen.outcome,
                "protocol": seen.protocol,
                "address": seen.address,
                "user": seen.user,
                "tenant": seen.tenant,
            }
        )
        for seen in found[:limit]
    ]
    return Page(items=items, next=str(items[-1].serial) if len(found) > limit else None)
