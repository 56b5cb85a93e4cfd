"""What is seen of mails is made of; they are sent from here too."""

from __future__ import annotations

from collections.abc import Mapping

from api.kit.mail import Mail, models
from api.kit.mail.submit import Smtp
from api.kit.slices import Slice
from api.mails.permissions import PERMISSIONS
from api.mails.routes import router
from api.services import Services
from api.shared import Shared


def _mail(services: Services) -> Mail:
    settings = services.settings.mail
    return Mail(settings, services.databases, Smtp(settings))


def _figures(this: Shared) -> Mapping[str, float]:
    return this.part(Mail).figures()


SLICE = Slice(
    tag="mails",
    says="Mails that were sent, and those that were given up.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    personal={"listMails": "mail"},
    answered={"testMail": "mail", "sendMailAgain": "mail"},
    parts=(_mail,),
    jobs=(lambda this: this.part(Mail).jobs,),
    figures=(_figures,),
    metrics={
        "fernamt_mail_tries_total": "Tries to send mails of a tenant, by outcome: sent, failed (tried again), dead (given up).",
    },
)
