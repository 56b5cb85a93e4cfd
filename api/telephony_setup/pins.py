"""PINs of agents, for hot desks: set by an administrator, kept as passwords are, judged for the voice service (docs/handsets.md)."""

from __future__ import annotations

import logging

from fastapi import FastAPI

from acd.core.ids import AgentId, TenantId
from acd.outage import outage_of
from acd.service import PinCheck, PinVerdict
from api.audit import By, record, record_refusal
from api.identity import Asker, Passwords, TooManyHashes
from api.services import Services
from api.shared import shared_in
from api.telephony_setup import repository, service
from api.telephony_setup.errors import Unknown
from api.telephony_setup.models import PinRow

log = logging.getLogger(__name__)


async def set_pin(author: service.Author, passwords: Passwords, agent: str, pin: str) -> None:
    """Give the agent another PIN.

    Raises: Unknown, TooManyHashes
    """
    await service.one(author.session, "agent", agent)
    await author.unit.rest()  # before the set-up is held
    kept = await passwords.hash(pin, Asker(author.source or "", author.who, is_known=True))
    await service.hold(author)
    await service.one(author.session, "agent", agent, anew=True)
    row = await repository.pin(author.session, agent)
    if row is None:
        author.session.add(PinRow(agent=agent, pin_hash=kept, changed_at=author.now))
    else:
        row.pin_hash, row.changed_at = kept, author.now
    await author.session.flush()
    record(author.session, author.now, By(author.who, author.source), "password_changed", "pin", agent)


async def delete_pin(author: service.Author, agent: str) -> None:
    """Take the agent's PIN away.

    Raises: Unknown: there is none
    """
    await service.hold(author)
    row = await repository.pin(author.session, agent)
    if row is None:
        raise Unknown("PIN of agent", agent)
    await author.session.delete(row)
    await author.session.flush()
    record(author.session, author.now, By(author.who, author.source), "deleted", "pin", agent)


def pins_of(app: FastAPI) -> PinCheck:
    """Judges PINs for the voice service; asked for each, so that a new one holds at once."""
    ours = shared_in(app)
    services = ours.services

    async def check(tenant: TenantId, agent: AgentId, at: AgentId, pin: str) -> PinVerdict:
        guard = services.guard
        guess = guard.pin_attempt(tenant, agent, at, guard.now())
        if guess.wait_s is not None:
            return "wait"
        try:
            is_right = await _judge(services, ours.part(Passwords), tenant, agent, at, pin)
        except Exception as error:
            guess.abandoned(guard.now())
            if not isinstance(error, TooManyHashes) and outage_of(error) is None:
                log.exception("! tenant %s: a PIN of agent %s could not be judged", tenant, agent)
            return "failed"
        (guess.succeeded if is_right else guess.failed)(guard.now())
        return "right" if is_right else "wrong"

    return check


async def _judge(services: Services, passwords: Passwords, tenant: TenantId, agent: AgentId, at: AgentId, pin: str) -> bool:
    """Whether it is the PIN; either stands in the audit. Who has none is refused after the same time."""
    async with services.databases.unit(tenant) as unit:
        row = await repository.pin(unit.session, agent)
        kept = row.pin_hash if row is not None else None
    is_right = await passwords.matches(kept, pin, Asker(f"phones of {tenant}", at))
    async with services.databases.unit(tenant) as unit:
        details = {"phone_of": at}
        if is_right:
            record(unit.session, services.clock(), By(agent), "logged_in", "hot_desk", agent, details=details)
        else:
            await record_refusal(unit.session, services.clock(), By(agent), "hot_desk", agent, details)
    return is_right
