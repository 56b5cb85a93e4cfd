"""The SIP user agent, pure: five methods drive it, commands ask of it, events tell (RFC 3261 §8, §9.2, §10, §11, §12.2.2, §18).

Drive rule: one input (`receive`, `handle_timeout`, `transport_failed`, or a command), then drain `datagrams_to_send()` and `events()`.
It never awaits, sleeps, reads a clock or draws a random number: `now` is monotonic seconds, tokens come from the injected `ids`.

This is the engine: it reads, matches transactions and dialogs, keeps floods and the banned out, and hands a request to the usage of its
method (`sip.usage`). The commands are in `sip.commands`, what it holds in `sip.core`.
"""

from typing import Any, Final

from msgspec.structs import replace

from sip.commands import Commands
from sip.config import UserAgentConfig
from sip.dialog import Dialog
from sip.digest import Authenticator, Outcome
from sip.errors import ParseError
from sip.events import Event, MessageDropped
from sip.flow import Flow, IdSource
from sip.message import Request, Response, answer_to_malformed
from sip.parser import is_keep_alive, parse_datagram
from sip.session import Session
from sip.share import Share
from sip.timers import RFC3261, TimerValues
from sip.transaction.invite_server import State as InviteServerState
from sip.transaction.layer import ServerTransaction
from sip.usage.table import Usages

# What a banned source sends needs reading only where it can belong to a call that was let in.
NEVER_WITHIN = (b"REGISTER ", b"OPTIONS ")
SIPS_NOT_ALLOWED: Final = 380
"""Warning code (RFC 5630 §6.3)."""
# Whatever tag their To has.
PARTS_OF_AN_INVITE = frozenset({"ACK", "CANCEL"})


class UserAgent(Commands):
    """One user agent core over one transaction layer; see the module's first lines for how to drive it."""

    def __init__(self, config: UserAgentConfig, ids: IdSource, *, timers: TimerValues = RFC3261) -> None:
        super().__init__(config, ids, timers=timers)
        self.usages = usages = Usages(self, config.usages)
        self.invite_headers = (usages.allow, *usages.allow_events, usages.supported, *self.plain_headers)

    # --- the five methods, and the sixth for bad news

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take a datagram, or one framed message of a stream."""
        if data.startswith(NEVER_WITHIN) and self.is_banned(flow, now, is_challenged=data.startswith(b"REGISTER ")):  # before any work
            return
        try:
            message = parse_datagram(data, self.config.limits)
        except ParseError as error:
            if is_keep_alive(data):
                self.counters["keep_alive"] += 1
            else:
                self.receive_malformed(error, flow, now)
            return
        self.receive_message(message, flow, now)

    def receive_message(self, message: Request | Response, flow: Flow, now: float) -> None:
        """Take a message that a stream parser has read already."""
        try:
            if isinstance(message, Response):
                self._receive_response(message, flow, now)
            else:
                self._receive_request(message, flow, now)
        except ParseError as error:
            # A header read only on the way (Contact, Record-Route, Require, ...) turned out to be malformed.
            if isinstance(message, Request) and not message.missing_headers:
                transaction = self.layer.match(message)
                if transaction is not None and not transaction.is_answered:
                    self.counters["malformed"] += 1
                    self.answer(transaction, error.status_hint, now)
                    return
                error.method, error.partial = message.method, message.headers
            self.receive_malformed(error, flow, now)

    def receive_malformed(self, error: ParseError, flow: Flow, now: float) -> None:
        """Take what could not be read: answer it without state where that is possible, count it in any case.

        Whoever it is from, who sends such things has no more answers to expect than a stranger.
        """
        self.counters["malformed"] += 1
        if self.is_banned(flow, now, is_challenged=error.method == "REGISTER"):
            return
        response = answer_to_malformed(error, self._stateless_tag(error.partial), [self.warning(str(error))])
        if response is None or not self.overload.serve(None, flow.remote[0], now):
            self.emit(MessageDropped(f"malformed: {error}"[:200], flow))
        else:
            self.send(flow, response.to_bytes())

    def datagrams_to_send(self) -> list[tuple[Flow, bytes]]:
        """Hand over, once, what is to be sent, in order."""
        if not self._outbox:
            return []
        out, self._outbox = self._outbox, []
        return out

    def events(self) -> list[Event]:
        """Hand over, once, what has happened, in order."""
        if not self._events:
            return []
        out, self._events = self._events, []
        return out

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due; None when nothing is awaited."""
        return self.timers.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Serve all timers due by now."""
        self.timers.fire_due(now)

    def transport_failed(self, flow: Flow, now: float) -> None:
        """A message could not be sent on this flow (ICMP, connection refused or lost, name not found)."""
        self.counters["transport_failed"] += 1
        if flow.is_reliable:
            for session in {id(one): one for one in self._on_connection.get(flow.way, {}).values()}.values():
                session.lose_connection(flow)
        self.layer.transport_failed(flow, now)
        if flow.is_reliable and self.config.registrar is not None:
            self.config.registrar.flow_failed(flow)

    def is_alive(self, session: str) -> bool:
        """Whether a session is known and not over."""
        return session in self._sessions

    def describe(self, now: float) -> dict[str, Any]:
        """Everything the engine holds, with seconds left on every timer."""
        registrar = self.config.registrar
        return {
            "sessions": [one.describe(now) for one in self._sessions.values()],
            "transactions": self.layer.describe(now),
            "registrations": [one.describe(now) for one in self._registrations.values()],
            "bindings": {} if registrar is None else registrar.describe(now),
            "counters": dict(self.counters),
            "overload": self.overload.describe(),
            "dialogs": len(self._dialogs),
            "timers": len(self.timers),
        }

    # --- receiving

    def _receive_response(self, response: Response, flow: Flow, now: float) -> None:
        # §18.1.2: the sent-by of the top Via must be ours; a response with foreign or several Vias was not for us (RFC 4475 §3.3.10).
        missing = response.missing_headers
        if not missing:
            _read_ahead(response, response.cseq.method)
            self.answered_from, self.answered_over = flow.remote[0], flow
        if (
            missing
            or len(response.vias) != 1
            or not (self.layer.receive_response(response, now) or self._answers_earlier_run(response, now))
        ):
            self.counters["stray_response"] += 1
            self.emit(MessageDropped(f"stray response {response.status}", flow))

    def _answers_earlier_run(self, response: Response, now: float) -> bool:
        """Whether it answers an INVITE that was sent within one of our dialogs before a restart; then it has been acknowledged."""
        if response.cseq.method != "INVITE" or response.status < 200:
            return False
        session = self._dialogs.get((response.call_id, response.from_tag or "", response.to_tag or ""))
        if session is None or not session.acknowledge_stray(response, now):
            return False
        self.counters["answers_to_earlier_run"] += 1
        return True

    def _receive_request(self, request: Request, flow: Flow, now: float) -> None:
        missing = request.missing_headers
        if missing:
            # RFC 4475 §3.3.1: without the five there is nothing to build an answer from.
            self.counters["malformed"] += 1
            self.emit(MessageDropped("missing " + ", ".join(missing), flow))
            return
        method, source = request.method, flow
        if method != "ACK":  # never answered
            flow = self.reply_flow(request, flow)
        _read_ahead(request, method)
        transaction = self.layer.match(request)
        if transaction is not None and not (method == "ACK" and transaction.state is InviteServerState.ACCEPTED):
            transaction.receive(request, now)
            return
        is_within = request.to_tag is not None
        if request.uri.scheme == "sips" and not source.is_protected and method != "ACK":
            self._refuse_sips(request, flow, now)
            return
        take = self.usages.early.get(method) if not is_within or method in PARTS_OF_AN_INVITE else None
        if take is not None:
            take(request, source, flow, now)
        elif self.session_of(request) is None and self.is_banned(source, now, is_challenged=method == "REGISTER"):
            return
        elif is_within:
            self._receive_within(request, flow, now)
        else:
            self._receive_outside(request, source, flow, now)

    def _refuse_sips(self, request: Request, flow: Flow, now: float) -> None:
        """RFC 5630 §4, §6.3: a SIPS URI that came without TLS is refused: 416 where nothing of ours listens under TLS, else 480 with
        warning 380, since the same request will do over another hop.
        """
        if self.is_banned(flow, now, is_challenged=request.method == "REGISTER") or not self.has_room(request, flow, now, None):
            return
        self.counters["sips_unprotected"] += 1
        if self.bound(replace(flow, transport="tls")) is None:
            self.answer_stateless(request, 416, flow)
        else:
            self.answer_stateless(request, 480, flow, [self.warning("SIPS Not Allowed", SIPS_NOT_ALLOWED)])

    # --- within a dialog: §12.2.2

    def _receive_within(self, request: Request, flow: Flow, now: float) -> None:
        method = request.method
        session = self.session_of(request)
        if session is None:
            self._receive_astray(request, flow, now)
            return
        if session.is_in_plain(flow):
            self.refuse_plain(request, flow)
            return
        if method != "BYE" and not session.has_room(now):
            # What belongs to a session is served; what no phone sends so often is a flood, and leaves no state.
            self.counters["overloaded_in_dialog"] += 1
            self.answer_stateless(request, 503, flow, [("Retry-After", "1")])
            return
        layer = self.layer
        transaction = layer.serve_invite(request, flow, session, now) if method == "INVITE" else layer.serve(request, flow)
        dialog = self._dialog_of(session, request)
        if not dialog.takes(request):
            self.answer(transaction, 500, now)
            return
        if session.heard_over(flow, now):
            self.let_in(flow)
        take = self.usages.within.get(method)
        if take is None and method not in self.usages.methods:
            self.answer_unknown_method(transaction, now)
        elif self.is_unsupported(transaction, now):
            return
        elif take is None:
            self.answer_unknown_method(transaction, now)  # REGISTER inside a dialog
        else:
            take(session, dialog, transaction, now)

    def _receive_astray(self, request: Request, flow: Flow, now: float) -> None:
        """§12.2.2: no such dialog: 481; OPTIONS outside, aimed at a lost dialog, likewise."""
        if not self.has_room(request, flow, now, None):
            return
        if request.method == "INVITE":
            # Without state: a forged re-INVITE must not make us repeat a 481 for 32 s at whoever it was forged for.
            self.answer_stateless(request, 481, flow)
        else:
            self.answer(self.layer.serve(request, flow), 481, now)

    @staticmethod
    def _dialog_of(session: Session, request: Request) -> Dialog:
        tag = request.from_tag or ""
        if session.dialog is not None and session.dialog.remote_tag == tag:
            return session.dialog
        return session.forks[tag]

    # --- outside of dialogs: §8.2

    def _receive_outside(self, request: Request, source: Flow, flow: Flow, now: float) -> None:
        method, usages = request.method, self.usages
        if not self.has_room(request, flow, now, self.config.share(request, source, None, None)):
            return
        transaction = self.layer.serve(request, flow)
        take = usages.outside.get(method)
        if take is None and method not in usages.methods:
            self.answer_unknown_method(transaction, now)
        elif not request.uri.is_sip:
            self.answer(transaction, 416, now)
        elif self.is_unsupported(transaction, now):
            return
        elif take is None:
            self.answer(transaction, 481, now)  # BYE, INFO: only inside a dialog
        else:
            take(transaction, now)

    # --- guards: whom to hear, and what there is room for

    def is_banned(self, flow: Flow, now: float, *, is_challenged: bool) -> bool:
        """Whether the source is banned: then its request gets no answer, and is counted. A password has to prove what is challenged."""
        guard = self.config.guard
        if guard is None or not guard.is_banned(flow.remote[0], now, is_challenged=is_challenged):
            return False
        self.counters["banned"] += 1
        return True

    def authenticate(
        self, authenticator: Authenticator, request: Request, flow: Flow, now: float, *, is_urgent: bool = False
    ) -> str | None:
        """Returns: the account, or None after the request has been answered 401 or 503 without state."""
        source = flow.remote[0]
        verdict = authenticator.verify(request, now, source=source, is_urgent=is_urgent, opened_by=flow.opened_by)
        if verdict.outcome is Outcome.ACCEPTED:
            return verdict.account
        self.counters[f"digest_{verdict.outcome.value}"] += 1
        # Whoever calls for help from where a phone of ours is gets the challenge, whatever strangers send.
        is_home = is_urgent and self.config.registrar is not None and self.config.registrar.is_home(source)
        if not is_home and not self.has_room(request, flow, now, None):
            return None
        if verdict.outcome is Outcome.THROTTLED:
            # Not 403, after which phones give the account up, and not 401, which they answer at once or take for a wrong password: 503
            # with Retry-After is what RFC 3261 §21.5.4 has for "come again then", and says nothing of the credentials.
            self.answer_stateless(request, 503, flow, [("Retry-After", str(verdict.wait_s))])
            return None
        # Wrong credentials get a new challenge, the same for a wrong password and for a user there is not.
        headers = authenticator.challenge_headers(request, now, source=source, stale=verdict.outcome is Outcome.STALE)
        self.answer_stateless(request, 401, flow, headers)
        return None

    def has_room(self, request: Request, flow: Flow, now: float, share: Share | None) -> bool:
        """Whether a request that opens no session can be served. If not: over a connection it is answered 503; a datagram is dropped,
        since a client sends it again after a while (§17.1.2) and a forged one must bring nothing to whoever it was forged for.
        """
        if self.overload.serve(share, flow.remote[0], now):
            return True
        self.counters["overloaded_requests"] += 1
        if flow.is_reliable:
            self.answer_stateless(request, 503, flow, [("Retry-After", str(self.config.overload.retry_after_s))])
        return False

    def is_unsupported(self, transaction: ServerTransaction, now: float) -> bool:
        """§8.2.2.3: whether the request was refused for an option tag that nobody here brings."""
        request = transaction.request
        # Proxy-Require is none of a UAS's business (§20.29; RFC 4475 §3.3.5 wants only the tags of Require back).
        wanted = [tag for tag in request.require if tag not in self.usages.option_tags]
        if wanted:
            self.answer(transaction, 420, now, [("Unsupported", ", ".join(wanted))])
        return bool(wanted)


def _read_ahead(message: Request | Response, method: str) -> None:
    """Read every header that a machine will ask for before any machine moves: what is malformed is then refused (or, as a response,
    discarded: RFC 3261 §8.1.3) with all states as they were, and not found out halfway through an edge.

    Raises: ParseError: one of them cannot be read.
    """
    first = message.headers.index().first
    has_contact = method in {"INVITE", "REGISTER", "ACK"}
    if has_contact:
        if "Contact" in first:
            _ = message.contacts
        if "Record-Route" in first:
            _ = message.record_routes
        if "Path" in first:
            _ = message.path
        if "Service-Route" in first:
            _ = message.service_routes
        if "Content-Type" in first:
            _ = message.content_type
    if isinstance(message, Request):
        if "Require" in first:
            _ = message.require
        if "Supported" in first:
            _ = message.supported
        if "Content-Type" in first and not has_contact:
            _ = message.content_type
        if "Event" in first:
            _ = message.event
        if "Accept" in first:
            _ = message.accept
