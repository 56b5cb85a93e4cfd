"""Which columns of the configuration are secrets, and how they stand there: sealed (`api.kit.sealing`). In memory they are in clear.

| table | column | in clear (0.1.0) | sealed |
|---|---|---|---|
| `setup_trunk` | `document`, in it `registration.password` | a string | `{"sealed": "sealed:1:…"}`: no string is taken for it |
| `setup_device` | `ha1_md5`, `ha1_sha256`, `long_md5`, `long_sha256` | hexadecimal digits | `sealed:1:…` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.ids import AgentId
from acd.service import Device
from api.db import sealer_of
from api.kit.sealing import PREFIX, SealBroken, Sealer, SealError, is_sealed, needs_resealing, sealed_under
from api.telephony_setup import repository
from api.telephony_setup.models import DeviceRow, Row
from api.telephony_setup.repository import Named

Document = dict[str, Any]

_PASSWORD = ("setup_trunk", "registration.password")
_DIGESTS = ("ha1_md5", "ha1_sha256")
_LONG_DIGESTS = ("long_md5", "long_sha256")
"""Of the user name with the tenant's domain; a device whose password is older has none."""


def seal_document(session: AsyncSession, kind: str, key: str, document: Document) -> Document:
    """As it is stored; what is sealed already stays as it is."""
    kept = _kept(kind, document)
    if not isinstance(kept, str):
        return document
    table, column = _PASSWORD
    return _with_password(document, {"sealed": sealer_of(session).seal(kept, table, key, column)})


def open_document(session: AsyncSession, kind: str, key: str, document: Document) -> Document:
    """As the exchange takes it.

    Raises: SealError
    """
    kept = _kept(kind, document)
    if kept is None or isinstance(kept, str):
        return document
    return _with_password(document, _opened(sealer_of(session), key, kept))


def seal_device(session: AsyncSession, row: DeviceRow, device: Device) -> None:
    """Put the digests into the row."""
    sealer = sealer_of(session)
    for column in (*_DIGESTS, *_LONG_DIGESTS):
        digest = getattr(device, column)
        setattr(row, column, None if digest is None else sealer.seal(digest, DeviceRow.__tablename__, row.agent, column))


def open_device(session: AsyncSession, row: DeviceRow) -> Device:
    """As the exchange takes it.

    Raises: SealError
    """
    sealer = sealer_of(session)
    digests = {column: _digest(sealer, row, column) for column in (*_DIGESTS, *_LONG_DIGESTS) if getattr(row, column) is not None}
    return Device(agent=AgentId(row.agent), username=row.username, bare=row.bare, **digests)


def _digest(sealer: Sealer, row: DeviceRow, column: str) -> str:
    kept: str = getattr(row, column)
    return sealer.open(kept, DeviceRow.__tablename__, row.agent, column) if is_sealed(kept) else kept


def _kept(kind: str, document: Document) -> str | Document | None:
    """The password as it stands in a document; None: there is none in it."""
    registration = document.get("registration") if kind == "trunk" else None
    return None if registration is None else registration["password"]


def _with_password(document: Document, password: str | Document) -> Document:
    return {**document, "registration": {**document["registration"], "password": password}}


def _opened(sealer: Sealer, key: str, kept: Document) -> str:
    table, column = _PASSWORD
    token = kept.get("sealed")
    if not isinstance(token, str):
        raise SealBroken(f"the {column} of {key!r} in {table} of tenant {sealer.tenant} is no sealed value")
    return sealer.open(token, table, key, column)


def in_clear(trunks: Sequence[Named], devices: Sequence[DeviceRow]) -> bool:
    """Whether something of them is not sealed."""
    return not all(is_sealed(value.kept) for value in _values(trunks, devices))


async def seal_rows(session: AsyncSession, *, anew: bool = False) -> int:
    """Seal what stands in clear, as 0.1.0 left it. Nothing is changed unless everything that is sealed opens.

    Args:
        anew: also what is sealed under another key than the first.
    Returns: how many values were sealed.
    Raises: SealError
    """
    sealer = sealer_of(session)
    trunks, devices = await repository.rows(session, "trunk"), await repository.devices(session)
    due: set[tuple[str, str]] = set()
    values = list(_values(trunks, devices))
    for value in values:
        if needs_resealing(value.kept, sealer.keys) if anew else not is_sealed(value.kept):
            due.add((value.table, value.row))
    if not due:
        return 0
    for value in values:
        value.check(sealer)
    for trunk in trunks:
        if (_PASSWORD[0], trunk.id) in due:
            trunk.document = seal_document(session, "trunk", trunk.id, open_document(session, "trunk", trunk.id, trunk.document))
    for device in devices:
        if (device.__tablename__, device.agent) in due:
            seal_device(session, device, open_device(session, device))
    await session.flush()
    return sum((value.table, value.row) in due for value in values)


async def sealed_values(session: AsyncSession) -> tuple[Counter[str | None], list[str]]:
    """Id of the key (None: in clear) -> how many values are under it; one sentence for each that does not open."""
    sealer, under, troubles = sealer_of(session), Counter[str | None](), list[str]()
    devices = await repository.digests_as_they_are(session, (*_DIGESTS, *_LONG_DIGESTS))
    for value in _values(await repository.rows(session, "trunk"), devices):
        under[sealed_under(value.kept)] += 1
        try:
            value.check(sealer)
        except SealError as error:
            troubles.append(str(error))
    return under, troubles


@dataclass(frozen=True, slots=True)
class _Value:
    """A secret where it stands."""

    table: str
    row: str
    column: str
    kept: str = field(repr=False)
    """Sealed as it is, in clear whatever is no sealed value: a password may look like one."""

    def check(self, sealer: Sealer) -> None:
        """Raises: SealError: it is sealed and does not open."""
        if is_sealed(self.kept):
            sealer.open(self.kept, self.table, self.row, self.column)


def _values(trunks: Sequence[Row | Named], devices: Sequence[Any]) -> Iterator[_Value]:
    table, column = _PASSWORD
    for trunk in trunks:
        kept = _kept("trunk", trunk.document)
        if kept is not None:
            yield _Value(table, trunk.id, column, str(kept.get("sealed", PREFIX)) if isinstance(kept, dict) else "")
    for device in devices:
        for one in (*_DIGESTS, *_LONG_DIGESTS):
            if (digest := getattr(device, one, None)) is not None:
                yield _Value(DeviceRow.__tablename__, device.agent, one, digest)
