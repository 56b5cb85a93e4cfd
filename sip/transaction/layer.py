"""The transaction layer: the dictionaries of live transactions, and the matching that feeds them (RFC 3261 §17, §18.1.2, §18.2.1)."""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from sip.flow import Flow, Way
from sip.message import Request, Response
from sip.timers import TimerTable, TimerValues
from sip.transaction.base import NOBODY, ClientUser, ServerUser, Transaction
from sip.transaction.invite_client import InviteClient
from sip.transaction.invite_client import State as InviteClientState
from sip.transaction.invite_server import InviteServer
from sip.transaction.invite_server import State as InviteServerState
from sip.transaction.key import Key, client_key, merge_key, own_branch, response_key, server_key
from sip.transaction.non_invite_client import NonInviteClient
from sip.transaction.non_invite_server import NonInviteServer

ClientTransaction = InviteClient | NonInviteClient
ServerTransaction = InviteServer | NonInviteServer


class TransactionLayer:
    """Owns every live transaction and is their host."""

    def __init__(self, timers: TimerTable, values: TimerValues, send: Callable[[Flow, bytes], None]) -> None:
        self.timers = timers
        self.values = values
        self.send = send
        self.counters: Counter[str] = Counter()
        self._clients: dict[Key, ClientTransaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._merge: dict[Key, Key] = {}
        self._on_connection: dict[Way, dict[Transaction, None]] = {}
        """By connection: thousands may be lost at once, and each concerns its own transactions only."""

    # --- client side

    def request(self, request: Request, flow: Flow, user: ClientUser, now: float, *, patience_s: float | None = None) -> ClientTransaction:
        """Send a request (never an ACK) in a new client transaction.

        Args:
            patience_s: timer F, where the peer is known to answer sooner than the 64*T1 that RFC 3261 Table 4 allows any path; not for an
                INVITE, whose late answer must still be met with a CANCEL or BYE (the session sees to that).
        """
        key = client_key(own_branch(request), request.method)
        transaction: ClientTransaction
        if request.method == "INVITE":
            transaction = InviteClient(self, key, request, flow, user, now)
        else:
            transaction = NonInviteClient(self, key, request, flow, user, now, patience_s)
        self._clients[key] = transaction
        self._note(transaction)
        return transaction

    def resume_invite(
        self, request: Request, flow: Flow, user: ClientUser, state: InviteClientState = InviteClientState.PROCEEDING
    ) -> InviteClient:
        """Take up the client transaction of an INVITE that was sent before a restart; its timers are the caller's to start."""
        key = client_key(own_branch(request), request.method)
        transaction = self._clients[key] = InviteClient.resumed(self, key, request, flow, user, state)
        self._note(transaction)
        return transaction

    def receive_response(self, response: Response, now: float) -> bool:
        """Hand a response to its transaction. Returns: False when there is none."""
        transaction = self._clients.get(response_key(response))
        if transaction is None:
            return False
        transaction.receive(response, now)
        return True

    # --- server side

    def match(self, request: Request) -> ServerTransaction | None:
        """The transaction that this request repeats or, for ACK, concludes."""
        return self._servers.get(server_key(request))

    def invite_to_cancel(self, cancel: Request) -> InviteServer | None:
        """§9.2: the transaction that a CANCEL means."""
        found = self._servers.get(server_key(cancel, "INVITE"))
        return found if isinstance(found, InviteServer) else None

    def is_merged(self, request: Request) -> bool:
        """§8.2.2.2: whether this tagless request came here already by another path."""
        return merge_key(request) in self._merge

    def serve_invite(self, request: Request, flow: Flow, user: ServerUser | None, now: float) -> InviteServer:
        """Open the server transaction of a new INVITE."""
        transaction = InviteServer(self, server_key(request), request, flow, user, now)
        self._enter(transaction)
        return transaction

    def serve(self, request: Request, flow: Flow) -> NonInviteServer:
        """Open the server transaction of any other new request."""
        transaction = NonInviteServer(self, server_key(request), request, flow)
        self._enter(transaction)
        return transaction

    def _enter(self, transaction: ServerTransaction) -> None:
        self._servers[transaction.key] = transaction
        self._note(transaction)
        if transaction.request.to.tag is None:
            transaction.merge_key = merge_key(transaction.request)
            self._merge.setdefault(transaction.merge_key, transaction.key)

    # --- both

    def transport_failed(self, flow: Flow, now: float) -> None:
        """Tell every transaction on that flow. What waits in ACCEPTED or COMPLETED on a dead connection ends by its timers anyway."""
        if flow.is_reliable:
            concerned: list[Transaction] = list(self._on_connection.get(flow.way, ()))
        else:
            concerned = [one for one in (*self._clients.values(), *self._servers.values()) if one.flow.way == flow.way]
        for transaction in concerned:
            transaction.transport_failed(now)

    def _note(self, transaction: Transaction) -> None:
        if transaction.flow.is_reliable:
            self._on_connection.setdefault(transaction.flow.way, {})[transaction] = None

    def move(self, transaction: Transaction, flow: Flow) -> None:
        """What it sends goes over another flow from now on; nothing happens when it is over."""
        if self._clients.get(transaction.key) is not transaction and self._servers.get(transaction.key) is not transaction:
            return
        self._leave_connection(transaction)
        transaction.flow = flow
        self._note(transaction)

    def _leave_connection(self, transaction: Transaction) -> None:
        if (beside := self._on_connection.get(transaction.flow.way)) is not None:
            beside.pop(transaction, None)
            if not beside:
                del self._on_connection[transaction.flow.way]

    def forget(self, transaction: Transaction) -> None:
        """A transaction has terminated: it has nothing more to say, and session and transaction stop keeping each other alive."""
        self._leave_connection(transaction)
        if isinstance(transaction, (InviteServer, NonInviteServer)):
            self._servers.pop(transaction.key, None)
            if isinstance(transaction, InviteServer):
                transaction.user = None
            if transaction.merge_key is not None and self._merge.get(transaction.merge_key) == transaction.key:
                del self._merge[transaction.merge_key]
        elif isinstance(transaction, (InviteClient, NonInviteClient)):
            self._clients.pop(transaction.key, None)
            transaction.user = NOBODY

    def unexpected(self, transaction: Transaction, event: StrEnum) -> None:
        """An input that the table has no edge for: dropped and counted."""
        self.counters[f"{type(transaction).__name__}.{transaction.state.value}.{event.value}"] += 1

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def describe(self, now: float) -> dict[str, Any]:
        """All live transactions."""
        return {
            "client": [one.describe(now) for one in self._clients.values()],
            "server": [one.describe(now) for one in self._servers.values()],
            "unexpected": dict(self.counters),
        }


__all__ = ["ClientTransaction", "InviteServerState", "ServerTransaction", "TransactionLayer"]
