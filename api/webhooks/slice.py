"""What webhooks are made of."""

from __future__ import annotations

from collections.abc import Mapping

from acd.networks import EVERYTHING, Reach
from acd.own_addresses import OwnAddresses
from api.kit.outbox import models as outbox
from api.kit.reaching import PRIVATE, Reaching
from api.kit.slices import Slice
from api.services import Services
from api.shared import Shared
from api.webhooks import models
from api.webhooks.deliver import Webhooks
from api.webhooks.events import EVENTS
from api.webhooks.permissions import PERMISSIONS
from api.webhooks.routes import router


def _webhooks(services: Services) -> Webhooks:
    """They reach what the operator lets them, and never ourselves."""
    settings, own = services.settings.webhooks, OwnAddresses(services.settings.sip.advertised)
    allowed, forbidden = (*EVERYTHING, *settings.allow), (*PRIVATE, *settings.deny)
    rule = Reach(allowed, forbidden, own.__contains__)
    return Webhooks(settings, services.databases, Reaching(rule))


def _figures(this: Shared) -> Mapping[str, float]:
    return this.part(Webhooks).figures()


SLICE = Slice(
    tag="webhooks",
    says="Events sent to the tenant's own servers, signed; the catalogue of events.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models, outbox),
    impersonal=frozenset(
        {
            *("listEventTypes", "listWebhooks", "getWebhook"),  # servers
            "listDeliveries",  # what became of them, not what was in them
        }
    ),
    unanswered=frozenset(
        {
            *("createWebhook", "replaceWebhook", "deleteWebhook", "rotateWebhookSecret"),
            *("testWebhook", "replayDelivery", "replayDeadDeliveries"),
        }
    ),
    parts=(_webhooks,),
    events=EVENTS,
    jobs=(lambda this: this.part(Webhooks).jobs,),
    subscribers=(lambda this: this.part(Webhooks),),
    figures=(_figures,),
    metrics={
        "fernamt_webhook_tries_total": "Tries to deliver to a tenant's webhooks, by outcome: taken, failed (tried again), dead (given up).",
    },
)
