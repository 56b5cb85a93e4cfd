"""If-Match (RFC 9110 §13.1.1): a change holds only for the document that whoever makes it has seen."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from api.errors import Outdated

IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=1000, description="ETags of the versions that are meant, or `*`; 412 for another one.")
]
IfVersion = Annotated[
    str | None, Header(alias="If-Match", pattern=r'^"[0-9]{1,9}"$', description='ETag of the version that is meant, `"3"`.')
]
"""Of what counts its versions."""
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def version_of(if_match: str | None) -> int | None:
    """The version that an `IfVersion` names; None: whichever there is."""
    return None if if_match is None else int(if_match.strip('"'))


def etag_of(told: BaseModel) -> str:
    """The strong validator of a document that counts no versions: what it says, in short."""
    return f'"{hashlib.sha256(told.model_dump_json().encode()).hexdigest()[:16]}"'


def tags(listed: str, *, strong: bool) -> list[str]:
    """The entity tags of a list, with their quotation marks; `strong`: without the weak ones."""
    return [found[2] for found in _TAG.finditer(listed) if not (strong and found[1])]


def is_matched(wanted: str, etag: str) -> bool:
    """Whether an If-Match lets a document with this ETag be changed; weak tags match nothing here."""
    return wanted.strip() == "*" or etag in tags(wanted, strong=True)


def require_match(if_match: str | None, told: BaseModel) -> None:
    """Let a document be changed as it is now.

    Raises: Outdated
    """
    if if_match is not None and not is_matched(if_match, etag_of(told)):
        raise Outdated("It is not what If-Match names any more; fetch it again.")


async def hold_row(session: AsyncSession, key: InstrumentedAttribute[Any], value: str | int) -> None:
    """Let nobody else change a row until the transaction ends: what is read after this is what is going to be changed.

    An UPDATE, not SELECT … FOR UPDATE: SQLite knows none, and begins its transaction at the first write.
    """
    await session.execute(update(key.class_).where(key == value).values({key.key: key}), execution_options={"synchronize_session": False})
