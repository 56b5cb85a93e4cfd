"""The user agent core (RFC 3261 §5): what it holds, and what sessions, usages, registrations and probes need of it."""

import hashlib
from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace

from sip.config import UserAgentConfig
from sip.dialog import Dialog, DialogKey
from sip.events import Event
from sip.flow import DEFAULT_PORT, Flow, HostPort, IdSource, Way, format_host_port
from sip.headers.via import parse_vias
from sip.headers.warning import Warning as WarningValue
from sip.message import KNOWN_METHODS, Headers, Request
from sip.overload import Overload
from sip.registration import Registration
from sip.session import Fields, Session
from sip.timers import RFC3261, TimerTable, TimerValues
from sip.transaction.base import ClientUser, Transaction
from sip.transaction.layer import ClientTransaction, ServerTransaction, TransactionLayer
from sip.usage.table import Usages

MISCELLANEOUS = 399
ENCRYPTION_WANTED = "SIP over TLS is required here"
"""The text of a Warning."""


def _nobody_asks(_flow: Flow) -> None:
    pass


def _as_named(flow: Flow) -> HostPort | None:
    return flow.local


def _nobody_notes(_session: str) -> None:
    pass


class UserAgentCore:
    """State and answers; commands are `sip.commands`, what is received is `sip.user_agent`."""

    usages: Usages

    def __init__(self, config: UserAgentConfig, ids: IdSource, *, timers: TimerValues = RFC3261) -> None:
        self.config = config
        self.values = timers
        self.timers = TimerTable(timers.t1 / 2)
        self.layer = TransactionLayer(self.timers, timers, self.send)
        self.overload = Overload(config.overload)
        self.counters: Counter[str] = Counter()
        self.let_in: Callable[[Flow], None] = _nobody_asks
        """Told the flow of every registration and call that was let in, as proved or by its source; the shell's to set."""
        self.bound: Callable[[Flow], HostPort | None] = _as_named
        """Our address where messages of that flow leave; None: nothing listens on its transport. The shell's to set."""
        self.answered_from = ""
        """Host of the response that is being taken."""
        self.answered_over: Flow | None = None
        """The flow it came over."""
        self.changed: Callable[[str], None] = _nobody_notes
        """Told the id of a session whose note (`keep_living`) says something else from now on and of which no event need tell: it was
        refreshed, moved, called again. The application's to set; what it does there is to be done after the drain."""
        self._ids = ids
        self._stateless_secret = ids().encode()
        self._outbox: list[tuple[Flow, bytes]] = []
        self._events: list[Event] = []
        self._sessions: dict[str, Session] = {}
        self._dialogs: dict[DialogKey, Session] = {}
        self._on_connection: dict[Way, dict[DialogKey, Session]] = {}
        """The dialogs of each connection: thousands may be lost at once, and each concerns its own only."""
        self._registrations: dict[str, Registration] = {}
        self._advertised: dict[Flow, tuple[str, str, str]] = {}
        self._of_account: dict[str, dict[Session, None]] = {}
        """Sessions of who has proved himself, or is called at an address of record."""
        self.session_timer = config.session_timer
        self.timed_out_reason, self.forked_reason = config.timed_out_reason, config.forked_reason
        self.plain_headers: list[tuple[str, str]] = [("User-Agent", config.agent_name)]
        self.invite_headers: Fields = self.plain_headers
        """What an INVITE and its answers say of us; complete as soon as the usages are there."""
        if config.registrar is not None:
            config.registrar.attach(self.timers, self.emit, self._phone_moved)

    @property
    def live_sessions(self) -> int:
        """How many sessions are not over."""
        return len(self._sessions)

    def emit(self, event: Event) -> None:
        """Put a fact in the queue."""
        self._events.append(event)

    def count(self, what: str) -> None:
        """Count something odd."""
        self.counters[what] += 1

    def new_token(self) -> str:
        """An unpredictable token."""
        return self._ids()

    def random_share(self) -> float:
        """A number in [0, 1), drawn from the id source."""
        return int.from_bytes(hashlib.blake2s(self._ids().encode(), digest_size=4).digest()) / 2**32

    def _addresses(self, flow: Flow) -> tuple[str, str, str]:
        found = self._advertised.get(flow)
        if found is None:
            bound = replace(flow, local=self.bound(flow) or flow.local)
            ours = format_host_port(self.config.advertise(bound) if self.config.advertise else bound.local)
            suffix = "" if flow.transport == "udp" else f";transport={flow.uri_transport}"
            # rport (RFC 3581 §3) is always asked for: we send from the port we listen on, and want to be answered there.
            # RFC 5630 §3.1.4: a SIPS URI has no use for ;transport=tls.
            found = (f"SIP/2.0/{flow.transport.upper()} {ours};rport;branch=z9hG4bK", f"@{ours}{suffix}>", f"@{ours}>")
            if len(self._advertised) > 10_000:  # one entry a peer; a flood of peers must not stay in memory
                self._advertised.clear()
            self._advertised[flow] = found
        return found

    def reply_flow(self, request: Request, flow: Flow) -> Flow:
        """§18.2.1 and RFC 3581 §4: note in the top Via where the request came from. Returns: the flow for the responses (§18.2.2)."""
        via = request.top_via
        host, port = flow.remote
        stamped = via.stamped(host, port)
        if stamped is not via:
            headers, vias = request.headers, request.vias
            if len(vias) == 1:
                headers.stamp_top_via(str(stamped), top_via=stamped, vias=(stamped,))
            else:
                in_line = len(parse_vias(headers.get("Via") or ""))  # a comma may also stand in a quoted parameter
                headers.stamp_top_via(", ".join([str(stamped), *map(str, vias[1:in_line])]))
        if flow.transport == "udp" and not via.wants_rport:
            reply_port = via.port or DEFAULT_PORT
            if reply_port != port and not self.config.forces_rport(request, flow):
                return Flow(flow.transport, flow.local, (host, reply_port))
        return flow

    def via(self, flow: Flow) -> str:
        """A fresh Via for a request on this flow."""
        return self._addresses(flow)[0] + self._ids()

    def contact(self, flow: Flow, user: str | None = None, *, is_sips: bool = False) -> str:
        """Our Contact towards this flow's peer.

        Args:
            is_sips: what it stands in, or answers, has a SIPS URI for its target or first hop: then it is one (RFC 3261 §8.1.1.8, §12.1.1).
        """
        if is_sips:
            return f"<sips:{user or self.config.contact_user}{self._addresses(flow)[2]}"
        return f"<sip:{user or self.config.contact_user}{self._addresses(flow)[1]}"

    def send(self, flow: Flow, octets: bytes) -> None:
        """Put octets in the outbox."""
        self._outbox.append((flow, octets))

    def request(self, request: Request, flow: Flow, user: ClientUser, now: float, *, patience_s: float | None = None) -> ClientTransaction:
        """Send a request in a transaction of its own."""
        return self.layer.request(request, flow, user, now, patience_s=patience_s)

    def move_transaction(self, transaction: Transaction, flow: Flow) -> None:
        """What it sends goes over another flow from now on."""
        self.layer.move(transaction, flow)

    def enter_dialog(self, dialog: Dialog, session: Session) -> None:
        """Requests of this dialog belong to that session."""
        self._dialogs[dialog.key] = session
        if dialog.flow.is_reliable:
            self._on_connection.setdefault(dialog.flow.way, {})[dialog.key] = session

    def session_of(self, request: Request) -> Session | None:
        """The session in whose dialog a request was received (§12.2.2)."""
        return self._dialogs.get((request.call_id, request.to_tag or "", request.from_tag or ""))

    def leave_dialog(self, dialog: Dialog) -> None:
        """No more."""
        self._dialogs.pop(dialog.key, None)
        if (beside := self._on_connection.get(dialog.flow.way)) is not None:
            beside.pop(dialog.key, None)
            if not beside:
                del self._on_connection[dialog.flow.way]

    def may_come_back(self, account: str | None) -> bool:
        """Whether that is a phone of ours, which registers again when its connection is lost."""
        return account is not None and self.config.registrar is not None and self.config.registrar.may_come_back(account)

    def connections_in_use(self) -> set[HostPort]:
        """The far ends of all connections that a call, a phone's registration here, or ours at a carrier goes by; names as they were given.

        It walks through all of them: to be asked now and then.
        """
        flows: list[Flow] = [one.plan.flow for one in self._registrations.values()]
        for session in self._sessions.values():
            flows += [session.flow] if session.dialog is None else [session.dialog.flow, session.dialog.send_flow]
        if self.config.registrar is not None:
            flows += self.config.registrar.connections()
        return {flow.remote for flow in flows if flow.is_reliable}

    def release(self, session: Session, now: float) -> None:
        """A session is over; what retransmits still knows it."""
        self._sessions.pop(session.id, None)
        if session.account is not None and (own := self._of_account.get(session.account)) is not None:
            own.pop(session, None)
            if not own:
                del self._of_account[session.account]
        self.overload.ended(session.id)
        for tell in self.usages.ending:
            tell(session, now)

    def enter_session(self, session: Session, account: str | None) -> None:
        """A session has begun, with a phone of that account or with anybody."""
        self._sessions[session.id] = session
        session.account = account
        if account is not None:
            self._of_account.setdefault(account, {})[session] = None

    def _phone_moved(self, aor: str, before: Flow, after: Flow, now: float) -> None:
        """A phone has registered over another flow: its calls go on there."""
        for session in list(self._of_account.get(aor, ())):
            if session.move(before, after, now):
                self.counters["dialogs_moved"] += 1

    def release_registration(self, registration: Registration) -> None:
        """A registration is gone."""
        self._registrations.pop(registration.id, None)

    # --- answers

    def warning(self, text: str, code: int = MISCELLANEOUS) -> tuple[str, str]:
        """Why, in words (§20.43: 399 is the miscellaneous warning)."""
        # warn-agent  =  hostport / pseudonym, which is a token
        return "Warning", str(WarningValue(code, self.config.agent_name.replace(" ", "-"), text[:200]))

    def answer(self, transaction: ServerTransaction, status: int, now: float, headers: Fields = ()) -> None:
        """A final response of the core itself, with a To tag of its own where the request had none."""
        response = transaction.request.response(status, to_tag=self._ids(), headers=[*headers, *self.plain_headers])
        transaction.respond(response, now)

    def refuse_plain(self, request: Request, flow: Flow) -> None:
        """403 to who must speak under encryption and does not (§21.4.4): trying again in the same way is of no use."""
        self.counters["refused_in_plain"] += 1
        self.answer_stateless(request, 403, flow, [self.warning(ENCRYPTION_WANTED)])

    def answer_unknown_method(self, transaction: ServerTransaction, now: float) -> None:
        """§8.2.1: 405 for a method we recognise; 501 (§21.5.2) for one we do not."""
        method, usages = transaction.request.method, self.usages
        is_recognised = method in KNOWN_METHODS or method in usages.methods
        self.answer(transaction, 405 if is_recognised else 501, now, [usages.allow])

    def answer_stateless(self, request: Request, status: int, flow: Flow, headers: Fields = ()) -> None:
        """§8.2.7: no transaction; the tag is computed, so that a retransmission gets the same answer."""
        response = request.response(status, to_tag=self._stateless_tag(request.headers), headers=[*headers, *self.plain_headers])
        self.send(flow, response.to_bytes())

    def _stateless_tag(self, headers: Headers | None) -> str:
        seen = b"" if headers is None else f"{headers.get('Via')}|{headers.get('Call-ID')}|{headers.get('CSeq')}".encode()
        return hashlib.blake2s(seen, key=self._stateless_secret[:32], digest_size=8).hexdigest()
