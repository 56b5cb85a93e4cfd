"""What telephony is made of: no table, no call state."""

from __future__ import annotations

from api.kit.slices import Slice
from api.services import Services
from api.telephony.boards import Boards
from api.telephony.contacts import router as contacts
from api.telephony.events import EVENTS
from api.telephony.hub import Hubs
from api.telephony.line_checks import router as line_checks
from api.telephony.outgoing import CallEvents
from api.telephony.permissions import PERMISSIONS
from api.telephony.phone import PATH
from api.telephony.phone import router as phone
from api.telephony.routes import router as desk
from api.telephony.stream import router as stream


def _events(services: Services) -> CallEvents:
    return CallEvents(services.voice, services.databases, services.jobs, services.outbox, services.settings.data)


_COMMANDS = frozenset(
    {
        # events of a call at the desk that is meant, which the journal keeps with the command
        *("logOn", "logOff", "goReady", "goNotReady", "endAfterCallWork", "endAcw"),
        *(
            "dial",
            "answer",
            "decline",
            "hold",
            "retrieve",
            "takeBack",
            "hangUp",
            "transfer",
            "consult",
            "alternate",
            "reconnect",
            "conference",
        ),
        *("completeTransfer", "announce", "supervise", "setDisposition", "clearCall", "pick", "closeContact"),
        *("setDispositionOfContact", "moveContact", "prioritiseContact", "reskillContact", "assignContact"),
        # what the asker has just told, or what it takes away
        *("createMessage", "createCallback", "deleteMessage", "deleteCallback"),
    }
)

SLICE = Slice(
    tag="telephony",
    says="The desk's commands, the live board, decision records, live events.",
    routers=(desk, contacts, line_checks, stream, phone),
    permissions=PERMISSIONS,
    personal={
        "getLive": "live",
        "getDecisions": "decision",
        "getWhyWaiting": "decision",
        "getDecisionsOfContact": "decision",
        "getWhyContactWaits": "decision",
        "getMessage": "message",
        "getCallback": "callback",
    },
    impersonal=frozenset({"getQuote", "getLineCheck"}),  # a price, the number is the asker's own; figures of a line
    answered={"givePhonePass": "phone"},
    unanswered=_COMMANDS | {"beginLineCheck"},
    unrecorded={
        **dict.fromkeys(_COMMANDS, "A command to the exchange: its journal keeps it, with what became of it."),
        "givePhonePass": "Nothing changes: a pass is computed, and that it was given out stands there as a read.",
        "beginLineCheck": "It measures, and changes nothing.",
    },
    sockets={"/api/v1/events": "live", "/api/v1/board": "live", PATH: "phone"},
    parts=(lambda _: Boards(Hubs()), _events),
    events=EVENTS,
)
