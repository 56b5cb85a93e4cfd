"""The job that sends a mail (shell), and what keeps the list of mails short."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from acd.core.ids import TenantId
from api.config import Mail as MailSettings
from api.db import Databases, Unit
from api.kit.jobs import Again, Became, Definition, Done, Held, Inside, Outcome, Outside, Places, Retry
from api.kit.jobs.rules import error_text
from api.kit.mail import store
from api.kit.mail.compose import message_id, octets
from api.kit.mail.store import SEND
from api.kit.mail.submit import NotSent, Submission

log = logging.getLogger(__name__)

RETRIES = Retry((60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 57_600, 86_400))
"""Seconds. Half an hour and more after the first ones, and given up after two days and a half (RFC 5321 §4.5.4.1 has four to five days
for relays; whoever waits for our mail waits less)."""
PLACES = Places(of_tenant=4, own=1, in_all=16)
"""All mails go to one server, the operator's: no more connections at once than it likes to see."""
FORGET = "mail.forget"
FORGET_EVERY_S = 3600.0
FORGET_BATCH, FORGET_MOST = 500, 20_000


class Sending(msgspec.Struct):
    """Argument of the job."""

    mail: str


class Mail:
    """Of all tenants of one process."""

    def __init__(self, settings: MailSettings, databases: Databases, submission: Submission) -> None:
        self._settings = settings
        self._databases = databases
        self._submission = submission
        self.counters: Counter[tuple[str, TenantId]] = Counter()
        """(what became of a try, tenant) -> how often."""

    @property
    def jobs(self) -> tuple[Definition, ...]:
        """To send, and to forget."""
        return (
            Outside(SEND, Sending, self._send, RETRIES, limit_s=self._settings.timeout_s * 2 + 15, places=PLACES),
            Inside(FORGET, type(None), self._forget, every_s=FORGET_EVERY_S),
        )

    async def _send(self, tenant: str, given: Sending, held: Held) -> Outcome:
        sender = self._settings.sender
        async with self._databases.unit(TenantId(tenant)) as unit:
            row = await store.get(unit.session, given.mail)
            if row is None or row.state != "pending":
                return Done()
            # Written down before the first try: a change of the sender's domain makes no second mail of it.
            row.message_id = row.message_id or message_id(row.id, sender)
            to = row.recipient
            message = octets(sender, self._settings.sender_name, to, row.subject, row.text, row.message_id, row.created_at)
        error, for_ever = None, False
        try:
            await self._submission(sender, to, message)
        except NotSent as failed:
            error, for_ever = error_text(str(failed)), failed.for_ever
        is_dead = error is not None and (for_ever or held.last)

        async def note(unit: Unit, _became: Became) -> None:
            await _note(unit, given.mail, held, error, is_dead=is_dead)

        self.counters["sent" if error is None else "dead" if is_dead else "failed", TenantId(tenant)] += 1
        return Done(note) if error is None or is_dead else Again(error, note)

    async def _forget(self, unit: Unit, _argument: None, held: Held) -> None:
        gone = 0
        while gone < FORGET_MOST:
            some = await store.forget(unit.session, held.now - timedelta(days=self._settings.days), FORGET_BATCH)
            gone += some
            if some < FORGET_BATCH:
                break

    def figures(self) -> Mapping[str, float]:
        """For /metrics."""
        return {
            f'fernamt_mail_tries_total{{tenant="{tenant}",outcome="{outcome}"}}': number
            for (outcome, tenant), number in self.counters.items()
        }


async def _note(unit: Unit, mail: str, held: Held, error: str | None, *, is_dead: bool) -> None:
    row = await store.get(unit.session, mail)
    if row is None:
        return
    row.tries, row.tried_at, row.error = held.attempt, held.now, error
    row.state = "sent" if error is None else "dead" if is_dead else "pending"
    if error is None:
        row.sent_at, row.text = held.now, ""
    await unit.session.flush()
