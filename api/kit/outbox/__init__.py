"""Domain events of a tenant: written by the transaction that made them true, told afterwards at least once, in order (ADR 0022).

`catalogue` (kinds of events; pure) · `models` · `store` (all SQL) · `dispatch` (the shell). A slice defines its kinds in `events.py` and
publishes in one line; a subscriber is told of each event once, in a transaction, and leaves jobs there for what it does elsewhere.
"""

from api.kit.outbox.catalogue import Catalogue, Event, EventType, Payload, row_of
from api.kit.outbox.dispatch import Outbox, Subscriber
from api.kit.outbox.store import publish, put

__all__ = ["Catalogue", "Event", "EventType", "Outbox", "Payload", "Subscriber", "publish", "put", "row_of"]
