"""Records and charges as the CDR feed would save them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from acd.core.ids import TenantId
from billing_cdr import facts, store
from billing_cdr.assemble import fold
from billing_cdr.cdr import Cdr, Recording, Segment
from billing_cdr.house_plan import house_plan
from billing_cdr.rating import PlanBook, rate
from media.wave_file import pcm_header
from tests.api.conftest import ACME, Service
from tests.billing_cdr.stories import Story


def outbound(call: str, to: str, seconds: float, at: datetime, tenant: str = "acme") -> Cdr:
    """Anna dials somebody and talks for a while."""
    answered = at + timedelta(seconds=5)
    ended = answered + timedelta(seconds=seconds)
    told: list[facts.Fact] = [
        facts.ConversationBegan(conversation=call, at=at, tenant=tenant, direction="outbound", calling="21", called=to),
    ]
    for leg, role, party, number in ((f"{call}.1", "agent", "anna", None), (f"{call}.2", "destination", to, to)):
        told += [
            facts.LegBegan(
                conversation=call,
                at=at,
                leg=leg,
                role=role,
                party=party,
                number=number,
                agent=party if role == "agent" else None,
                dialled=True,
            ),  # type: ignore[arg-type]
            facts.SegmentBegan(conversation=call, at=at, segment=f"{leg}/1", leg=leg, kind="ring", party=party),
        ]
    for leg in (f"{call}.1", f"{call}.2"):
        told += [
            facts.LegAnswered(conversation=call, at=answered, leg=leg),
            facts.SegmentEnded(conversation=call, at=answered, segment=f"{leg}/1", outcome="answered"),
            facts.SegmentBegan(conversation=call, at=answered, segment=f"{leg}/2", leg=leg, kind="talk", party=to),
        ]
    for leg in (f"{call}.1", f"{call}.2"):
        told += [
            facts.SegmentEnded(conversation=call, at=ended, segment=f"{leg}/2", outcome="hang_up"),
            facts.LegEnded(conversation=call, at=ended, leg=leg, cause="hang_up"),
        ]
    told.append(facts.ConversationEnded(conversation=call, at=ended, cause="hang_up"))
    return fold(told)


async def talk(service: Service, call: str, to: str, seconds: float, at: datetime | None = None, tenant: TenantId = ACME) -> Cdr:
    """Save the record and the charge of such a call in the tenant's database."""
    cdr = outbound(call, to, seconds, at or service.clock(), tenant)
    charge = rate(cdr, PlanBook(house=(house_plan(),), tenants={}, trunks={}))
    async with service.databases.tenant(tenant).begin() as connection:
        await store.save(connection, [cdr], [charge], "test", int(cdr.began_at.timestamp()))
    return cdr


def twice_recorded(call: str, at: datetime = datetime(2026, 3, 2, 9, tzinfo=UTC)) -> Cdr:
    """Anna takes a caller from `support` and sends her to `sales`, where ben takes her; both talks are recorded."""
    told = Story(call, at=at).leg(0, "c", "caller", "queue", with_="support").answers(0, "c")
    for start, leg, agent in ((0, "a1", "anna"), (60_000, "a2", "ben")):
        told.leg(start + 1_000, leg, "agent", "offer", with_="caller", party=agent)
        told.answers(start + 5_000, leg, "talk", with_="caller").moves(start + 5_000, "c", "talk", with_=agent)
        if leg == "a1":
            told.ends(50_000, leg, "transferred").moves(50_000, "c", "ring").moves(50_000, "c", "queue", with_="sales")
    told.ends(99_000, "c").ends(99_000, "a2")
    for number, leg in enumerate(("a1", "a2"), 1):
        told.tells(99_000, facts.RecordingMade, legs=("c", leg), path=f"/somewhere/{call}-{number}.wav", duration_ms=30_000)
    return told.over(99_000).cdr()


def folder_of(service: Service, tenant: TenantId = ACME) -> Path:
    """Where the media workers would write."""
    folder = service.settings.data / "tenants" / tenant / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(path: Path, at: datetime, seconds: float = 1.0) -> bytes:
    """A file of two channels, of which no two octets in a row of 256 are alike; last written to at that time."""
    audio = bytes(range(256)) * int(seconds * 125)
    whole = pcm_header(2, len(audio)) + audio
    path.write_bytes(whole)
    os.utime(path, (at.timestamp(), at.timestamp()))
    return whole


def _waited(cdr: Cdr, queue: str | None) -> tuple[Segment, ...]:
    """Its segments, the last leg's ringing turned into a stay in the queue."""
    return tuple(
        [
            msgspec.structs.replace(one, kind="queue", party=queue) if queue is not None and one.segment == f"{cdr.id}.2/1" else one
            for one in cdr.segments
        ]
    )


async def recorded_talk(
    service: Service,
    call: str,
    to: str = "+491711234567",
    at: datetime | None = None,
    *,
    tenant: TenantId = ACME,
    agent: str = "anna",
    queue: str | None = None,
) -> bytes:
    """Such a call with its recording, `<call>-r1.wav`; returns the file."""
    plain = outbound(call, to, 61, at or service.clock(), tenant)
    legs = tuple(msgspec.structs.replace(leg, party=agent, agent=agent) if leg.role == "agent" else leg for leg in plain.legs)
    path = folder_of(service, tenant) / f"{call}-r1.wav"
    made = Recording(legs=tuple(leg.leg for leg in legs), path=str(path), duration_ms=1000)
    cdr = msgspec.structs.replace(plain, legs=legs, segments=_waited(plain, queue), recordings=(made,), agent=agent, queue=queue)
    async with service.databases.tenant(tenant).begin() as connection:
        await store.save(connection, [cdr], [], "test", int(cdr.began_at.timestamp()))
    return write(path, cdr.ended_at)
