"""What is done beside requests, composed: jobs, the outbox and who is told of it, webhooks, what calls tell of."""

from __future__ import annotations

from dataclasses import dataclass

from acd.networks import EVERYTHING, Reach
from api.calendar.events import EVENTS as CALENDAR
from api.crm.events import EVENTS as CRM
from api.identity.events import EVENTS as IDENTITY
from api.kit.blobs import Blobs
from api.kit.mail import Mail
from api.kit.mail.submit import Smtp
from api.kit.outbox import Catalogue, Outbox
from api.kit.reaching import PRIVATE, Reaching
from api.services import Services
from api.telephony.events import EVENTS as TELEPHONY
from api.telephony.outgoing import CallEvents
from api.telephony_setup.events import EVENTS as TELEPHONY_SETUP
from api.tickets.events import EVENTS as TICKETS
from api.webhooks import Webhooks
from api.webhooks.events import EVENTS as WEBHOOKS

CATALOGUE = Catalogue(
    (
        *CRM,
        *TICKETS,
        *CALENDAR,
        *IDENTITY,
        *TELEPHONY_SETUP,
        *TELEPHONY,
        *WEBHOOKS,
    )
)


@dataclass(frozen=True, slots=True)
class Work:
    """Made once by the composition root."""

    catalogue: Catalogue
    outbox: Outbox
    webhooks: Webhooks
    calls: CallEvents
    mail: Mail
    blobs: Blobs

    def figures(self) -> dict[str, float]:
        """For /metrics."""
        return {**self.outbox.figures(), **self.webhooks.figures(), **self.mail.figures(), **self.blobs.figures()}

    async def close(self) -> None:
        """When jobs have ended."""
        await self.webhooks.close()


def work_of(this: Services) -> Work:
    """Everything that has jobs, or is told of events."""
    settings = this.settings.webhooks
    allowed, forbidden = (*EVERYTHING, *settings.allow), (*PRIVATE, *settings.deny)
    rule = Reach(allowed, forbidden, lambda address: this.voice.is_own(str(address)))
    webhooks = Webhooks(settings, CATALOGUE, this.databases, this.jobs, Reaching(rule, settings.at_once))
    outbox = Outbox(this.jobs, (webhooks,), settings.days)
    calls = CallEvents(this.voice, this.databases, this.jobs, outbox, this.settings.data)
    mail = Mail(this.settings.mail, this.databases, this.jobs, Smtp(this.settings.mail))
    blobs = Blobs(this.settings, this.databases, this.jobs)
    return Work(CATALOGUE, outbox, webhooks, calls, mail, blobs)
