"""The public contract: what clients may see, apart from the words of the journal, the core and billing (HOUSE §7, docs/adr/0021).

`kit` (what every document is, and how OpenAPI names it) · `words` (lists of words) · `events` (`FROM_JOURNAL`: each word of the journal) ·
`decision` · `cdr` · `charge` · `quote` · `board` · `pop` · `sockets` (messages, close codes) · `openapi` and `asyncapi` (the documents) ·
`catalogue` (every event: name, schema, description). Pure: values in, values out.
"""

from api.contract.board import board_of
from api.contract.catalogue import Entry, catalogue
from api.contract.cdr import Cdr, cdr_of
from api.contract.charge import Charge, charge_of
from api.contract.decision import DecisionRecord, call_of, decision_of
from api.contract.events import Event, event_of, leaves
from api.contract.pop import KnownAppointment, KnownContact, KnownTicket, ScreenPop
from api.contract.quote import NothingCharged, Quote, quote_of
from api.contract.sockets import SUBPROTOCOL, VERSION, Heartbeat, LiveEvent, LiveMessage, live_message, message_of, written

__all__ = [
    "SUBPROTOCOL",
    "VERSION",
    "Cdr",
    "Charge",
    "DecisionRecord",
    "Entry",
    "Event",
    "Heartbeat",
    "KnownAppointment",
    "KnownContact",
    "KnownTicket",
    "LiveEvent",
    "LiveMessage",
    "NothingCharged",
    "Quote",
    "ScreenPop",
    "board_of",
    "call_of",
    "catalogue",
    "cdr_of",
    "charge_of",
    "decision_of",
    "event_of",
    "leaves",
    "live_message",
    "message_of",
    "quote_of",
    "written",
]
