"""The SIP user agent, pure: five methods drive it, commands ask of it, events tell (RFC 3261 §8, §9.2, §10, §11, §12.2.2, §18).

Drive rule: one input (`receive`, `handle_timeout`, `transport_failed`, or a command), then drain `datagrams_to_send()` and `events()`.
It never awaits, sleeps, reads a clock or draws a random number: `now` is monotonic seconds, tokens come from the injected `ids`.
A command for a session that has ended meanwhile is counted and otherwise ignored: the application learns of the end by its event.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from sip import dtmf_info, refer
from sip import kept as keeping
from sip.dialog import Dialog, DialogKey
from sip.digest import Authenticator, ClientDigest, DigestCredentials, Outcome
from sip.errors import LocalMisuse, ParseError
from sip.events import Event, IncomingInvite, InfoReceived, MessageDropped, OptionsAnswered, TalkRequested
from sip.flow import Flow, HostPort, IdSource, Way, format_host_port
from sip.guard import Guard
from sip.headers.cseq import CSeq
from sip.headers.media_type import parse_media_type
from sip.headers.name_addr import NameAddr
from sip.headers.reason import Reason
from sip.headers.via import parse_vias
from sip.headers.warning import Warning as WarningValue
from sip.message import KNOWN_METHODS, MAX_FORWARDS, Headers, Request, Response, answer_to_malformed
from sip.multipart import ACCEPTED
from sip.overload import Overload, OverloadPolicy, Verdict
from sip.parser import DEFAULT_LIMITS, Limits, is_keep_alive, parse_datagram
from sip.registrar import Registrar
from sip.registration import Registration, RegistrationPlan
from sip.session import SDP_TYPE, Fields, Input, Session, State, reinvite
from sip.session_timer import SessionTimerPolicy, headers_of_request, is_too_brief
from sip.share import EVERYBODY, Share
from sip.timers import RFC3261, Timer, TimerTable, TimerValues
from sip.transaction.base import ClientUser, Transaction
from sip.transaction.invite_server import State as InviteServerState
from sip.transaction.layer import ClientTransaction, ServerTransaction, TransactionLayer
from sip.uri import Uri

Classify = Callable[[Request, Flow], Literal["trunk", "challenge", "reject"]]
"""Who sends this INVITE: a trunk known by its address, a user who must prove himself, or nobody we talk to (403)."""

ShareOf = Callable[[Request, Flow, str | None], Share | None]
"""Whose a request is when room is short, with user@realm of whoever has proved himself; None: a stranger's."""

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER, REFER"
ALLOW_EVENTS = ("Allow-Events", refer.EVENT)
METHODS = frozenset(ALLOW.split(", "))
UNSERVED_RETRY_S = "30"
MISCELLANEOUS = 399
# What a banned source sends needs reading only where it can belong to a call that was let in.
NEVER_WITHIN = (b"REGISTER ", b"OPTIONS ")
INFO_TYPES = dtmf_info.TYPES
# RFC 3261 §8.2.2.3: option tags we understand when a request requires them: RFC 4028's and 4488's. 100rel (RFC 3262) is answered 420.
TIMER = "timer"
DESCRIPTION = parse_media_type(SDP_TYPE)
SUPPORTED: frozenset[str] = frozenset({TIMER, refer.OPTION_TAG})


def _challenge_everybody(_request: Request, _flow: Flow) -> Literal["trunk", "challenge", "reject"]:
    return "challenge"


def _nobody_asks(_flow: Flow) -> None:
    pass


def _never(_request: Request) -> bool:
    return False


def _never_over(_request: Request, _flow: Flow) -> bool:
    return False


def _everybody(_authenticated_as: str | None) -> bool:
    return True


def _one_share(_request: Request, _flow: Flow, _authenticated_as: str | None) -> Share | None:
    return EVERYBODY


def _can_be_called(uri: Uri) -> bool:
    """A SIP URI, a telephone number (RFC 3966; carriers with IMS send them), or a call for help (RFC 5031)."""
    return uri.is_sip or uri.scheme == "tel" or (uri.scheme == "urn" and (uri.opaque or "").lower().startswith("service:"))


class UserAgentConfig(msgspec.Struct, frozen=True):
    """Everything a user agent is told about its surroundings."""

    agent_name: str = "Fernamt"
    """User-Agent and Server header; names the product, not its version (RFC 3261 §20.35 warns of that)."""
    contact_user: str = "fernamt"
    """User part of our Contact in calls."""
    advertise: Callable[[Flow], HostPort] | None = None
    """The address to put into Via and Contact; None takes the flow's local one."""
    classify: Classify = _challenge_everybody
    authenticator: Authenticator | None = None
    """None: nobody can prove himself, so "challenge" lets everybody in unproved. For closed networks and tests only."""
    guard: Guard | None = None
    """Whose requests are not heard at all; None: everybody is."""
    is_emergency: Callable[[Request], bool] = _never
    """Whether an INVITE calls for help: it passes bans, and is judged from an allowance of its own."""
    registrar: Registrar | None = None
    """None: REGISTER is answered 405."""
    serves: Callable[[str | None], bool] = _everybody
    """Whether an account can be served at the moment; if not, REGISTER is answered 503 with Retry-After."""
    share: ShareOf = _one_share
    """For fairness among those who have nothing to do with each other."""
    forces_rport: Callable[[Request, Flow], bool] = _never_over
    """Whether a sender that asks for no `rport` (RFC 3581 §3) is answered and reached at the port it sends from all the same: behind a NAT
    a phone that leaves it out would never get an answer at the port it names. Asked only where the two ports differ."""
    overload: OverloadPolicy = OverloadPolicy()
    limits: Limits = DEFAULT_LIMITS
    info_types: frozenset[str] = INFO_TYPES
    session_timer: SessionTimerPolicy | None = SessionTimerPolicy()
    """RFC 4028: how sessions are kept refreshed, so that a peer that vanished is noticed; None: not at all."""
    timed_out_reason: str = str(Reason("Q.850", 102, "Recovery on timer expiry"))
    """Reason (RFC 3326) of a BYE or CANCEL that nobody asked for: no ACK, no refresh, no answer, or the peer has lost the dialog."""
    forked_reason: str = str(Reason("SIP", 200, "Call completed elsewhere"))
    """The same towards a second callee that has answered (RFC 3261 §13.2.2.4, RFC 3326 §3.1)."""


class UserAgent:
    """One user agent core over one transaction layer; see the module's first lines for how to drive it."""

    def __init__(self, config: UserAgentConfig, ids: IdSource, *, timers: TimerValues = RFC3261) -> None:
        self.config = config
        self.values = timers
        self.timers = TimerTable(timers.t1 / 2)
        self.layer = TransactionLayer(self.timers, timers, self.send)
        self.overload = Overload(config.overload)
        self.counters: Counter[str] = Counter()
        self.let_in: Callable[[Flow], None] = _nobody_asks
        """Told the flow of every registration and call that was let in, as proved or by its source; the shell's to set."""
        self.answered_from = ""
        """Host of the response that is being taken."""
        self._ids = ids
        self._stateless_secret = ids().encode()
        self._outbox: list[tuple[Flow, bytes]] = []
        self._events: list[Event] = []
        self._sessions: dict[str, Session] = {}
        self._dialogs: dict[DialogKey, Session] = {}
        self._on_connection: dict[Way, dict[DialogKey, Session]] = {}
        """The dialogs of each connection: thousands may be lost at once, and each concerns its own only."""
        self._registrations: dict[str, Registration] = {}
        self._advertised: dict[Flow, tuple[str, str]] = {}
        self.session_timer = config.session_timer
        self.timed_out_reason, self.forked_reason = config.timed_out_reason, config.forked_reason
        self._supports = SUPPORTED if config.session_timer else SUPPORTED - {TIMER}
        self._supported = ", ".join(sorted(self._supports))
        self.referrals: dict[str, refer.Referral] = {}
        """Session -> the last REFER it has brought."""
        self.referring: set[str] = set()
        """Sessions in which we have sent one."""
        self.invite_headers: Fields = (("Allow", ALLOW), ALLOW_EVENTS, ("Supported", self._supported), ("User-Agent", config.agent_name))
        self.plain_headers: list[tuple[str, str]] = [("User-Agent", config.agent_name)]
        self._of_account: dict[str, dict[Session, None]] = {}
        """Sessions of who has proved himself, or is called at an address of record."""
        if config.registrar is not None:
            config.registrar.attach(self.timers, self.emit, self._phone_moved)

    # --- the five methods, and the sixth for bad news

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take a datagram, or one framed message of a stream."""
        if data.startswith(NEVER_WITHIN) and self._is_banned(flow, now, data.startswith(b"REGISTER ")):  # before any work
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
                    self._answer(transaction, error.status_hint, now)
                    return
                error.method, error.partial = message.method, message.headers
            self.receive_malformed(error, flow, now)

    def receive_malformed(self, error: ParseError, flow: Flow, now: float) -> None:
        """Take what could not be read: answer it without state where that is possible, count it in any case.

        Whoever it is from, who sends such things has no more answers to expect than a stranger.
        """
        self.counters["malformed"] += 1
        if self._is_banned(flow, now, error.method == "REGISTER"):
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

    # --- commands: UAS side

    def ring(self, session: str, now: float, *, status: int = 180, sdp: bytes | None = None, headers: Fields = ()) -> None:
        """Send a provisional response 101-199, with early media if an SDP is given."""
        if not 100 < status < 200:
            raise LocalMisuse(f"{status} is no provisional response with a tag")
        self._command(session, Input.RING, now, (status, sdp, headers))

    def accept(self, session: str, sdp: bytes, now: float, *, headers: Fields = ()) -> None:
        """Send 200 with the answer (or the offer, if the INVITE had none)."""
        self._command(session, Input.ACCEPT, now, (sdp, headers))

    def reject(self, session: str, status: int, now: float, *, reason: str | None = None, headers: Fields = ()) -> None:
        """Send a final refusal 300-699."""
        if not 300 <= status < 700:
            raise LocalMisuse(f"{status} is no refusal")
        self._command(session, Input.REJECT, now, (status, reason, headers))

    # --- commands: UAC side

    def invite(
        self,
        *,
        session: str,
        target: Uri,
        flow: Flow,
        from_: NameAddr,
        to: NameAddr,
        sdp: bytes | None,
        now: float,
        headers: Fields = (),
        credentials: DigestCredentials | None = None,
        route: Sequence[Uri] = (),
        max_forwards: int = MAX_FORWARDS,
        call_id: str | None = None,
        contact_user: str | None = None,
        patience_s: float | None = None,
        account: str | None = None,
    ) -> None:
        """Call `target` over `flow`.

        Args:
            session: a fresh id chosen by the application; all events carry it.
            sdp: the offer; None asks the callee for one, and SessionAccepted's sdp must then be answered with `acknowledge`.
            route: a pre-loaded route set (an outbound proxy), top first.
            max_forwards: for a back-to-back user agent, one less than what came in, so that loops end.
            patience_s: how long there may be no answer at all, not even 100; None: timer B, 32 s. SessionFailed 408 follows, and whatever
                is heard later is cancelled or hung up without another word.
            account: the address of record that is called: when its phone registers over another connection, the dialog goes on over that.
        """
        if session in self._sessions:
            raise LocalMisuse(f"session id {session} is in use")
        tag = self._ids()
        from_ = from_.with_tag(tag)
        via = self.via(flow)
        call_id = call_id or self._ids()
        fields: list[tuple[str, str]] = [
            ("Via", via),
            *[("Route", f"<{uri}>") for uri in route],
            ("Max-Forwards", str(max_forwards)),
            ("From", str(from_)),
            ("To", str(to.without_params())),
            ("Call-ID", call_id),
            ("CSeq", "1 INVITE"),
            ("Contact", self.contact(flow, contact_user)),
            *self.invite_headers,
            *(headers_of_request(self.session_timer, None) if self.session_timer else ()),
            *headers,
        ]
        request = Request.build(
            "INVITE", target.without_headers() if target.headers else target, fields, sdp or b"", SDP_TYPE if sdp else None
        )
        # What the dialog is made of is known: it need not be read out of the text again.
        request.headers.put_read(**{"call-id": call_id, "cseq": CSeq(1, "INVITE"), "from": from_})
        call = Session(self, session, request, flow, is_caller=True)
        call.local_tag = tag
        call.delayed_offer = sdp is None
        call.local_sdp = sdp
        call.patience_s = patience_s
        if credentials is not None:
            call.digest = ClientDigest(credentials)
        self._sessions[session] = call
        self._belongs_to(call, account)
        call.call(now)

    def acknowledge(self, session: str, sdp: bytes, now: float) -> None:
        """Answer, in the ACK, the offer that came in the 2xx to an INVITE without one."""
        del now
        found = self._find(session)
        if found is not None:
            found.acknowledge(sdp)

    def cancel_or_bye(self, session: str, now: float, *, reason_header: str | None = None) -> None:
        """End a session in whatever state it is: CANCEL, BYE, or refusal with 480; races are the engine's affair.

        Behind the last NOTIFY of a REFER the BYE waits for its answer, `sip.refer.LAST_NOTIFY_S` at most.
        """
        found = self._find(session)
        if found is None:
            return
        found.bye_reason = reason_header
        referral = self.referrals.get(session)
        if found.state is State.ESTABLISHED and referral is not None and referral.holds_back_bye(now):
            return
        found.fire(Input.HANG_UP, now)

    def wait_no_longer(self, now: float) -> None:
        """End now what was to be ended and waits for an answer alone: the sockets are about to be closed."""
        for referral in [one for one in self.referrals.values() if one.is_leaving]:
            referral.fire(refer.Input.SUBSCRIBER_GONE, now)

    # --- commands: both sides

    def reinvite(self, session: str, sdp: bytes | None, now: float) -> None:
        """Offer a change of the session; ReInviteAnswered follows (491 when the peer's offer is in the way)."""
        found = self._find(session)
        if found is not None and found.state is State.ESTABLISHED:
            found.modification.fire(reinvite.Input.SEND, now, sdp)
        elif found is not None:
            self.count(f"session.{found.state.value}.reinvite")

    def accept_reinvite(self, session: str, sdp: bytes, now: float) -> None:
        """Agree to the peer's change, with the answer (or our offer, if it had none)."""
        found = self._find(session)
        if found is not None:
            found.modification.fire(reinvite.Input.ACCEPT, now, sdp)

    def reject_reinvite(self, session: str, status: int, now: float, *, headers: Fields = ()) -> None:
        """Refuse the peer's change (488 as a rule); the session goes on unchanged."""
        found = self._find(session)
        if found is not None:
            found.modification.fire(reinvite.Input.REJECT, now, (status, headers))

    def info(self, session: str, content_type: str, body: bytes, now: float) -> None:
        """Send an INFO inside the session; InfoAnswered follows."""
        found = self._find(session)
        if found is not None:
            found.send_info(content_type, body, now)

    def talk(self, session: str, now: float) -> None:
        """Ask the phone we call to take the call by itself; it answers or goes on ringing."""
        found = self._find(session)
        if found is not None:
            found.send_talk(now)

    def ask_whether_there(self, session: str, now: float) -> None:
        """Offer again what is in force; SessionEnded follows when the peer does not answer, ReInviteAnswered only when it answers anew."""
        found = self._find(session)
        if found is not None:
            found.ask_whether_there(now)

    def answer_refer(self, session: str, status: int, now: float, *, reason: str = "") -> None:
        """Accept the peer's REFER (below 300), or refuse it with a sentence; after a refusal the session is as it was."""
        found = self.referrals.get(session)
        if found is not None:
            found.answer(status, reason, now)

    def notify_referrer(self, session: str, status: int, now: float, *, final: bool = False) -> None:
        """Tell the peer whose REFER was accepted how its target fares; `final`: for the last time."""
        found = self.referrals.get(session)
        if found is not None:
            found.notify(status, now, final=final)

    def refer(self, session: str, refer_to: NameAddr | str, now: float, *, headers: Fields = ()) -> None:
        """Ask the peer to call somebody; ReferAnswered follows, then ReferProgress."""
        found = self._find(session)
        if found is not None:
            refer.send(self, found, refer_to, now, headers)

    # --- over a restart

    def kept(self, session: str) -> str | None:
        """What it takes to end this session after a restart, as one line of text without secrets; None: there is no such session.

        It holds as of now: write it down when the session begins, when it rings and when it is answered.
        """
        found = self._sessions.get(session)
        return None if found is None else keeping.keep(found)

    def restore(self, session: str, kept: str, now: float, *, credentials: DigestCredentials | None = None, answered: bool = False) -> None:
        """Take a session up again that was written down before a restart, in order to end it: `cancel_or_bye`, or `reject` where it waits
        for our answer. SessionEnded follows at once, EndingFailed when the peer could not be told.

        Args:
            session: a fresh id.
            credentials: for a peer that challenges; they are not in `kept`.
            answered: an INVITE of theirs was answered after it was written down. Whether the 200 was still sent nobody knows: if the BYE
                finds no dialog (481), the INVITE is refused.

        Raises: ParseError: that is no session written down.
        """
        if session in self._sessions:
            raise LocalMisuse(f"session id {session} is in use")
        self._sessions[session] = keeping.restore(self, session, kept, now, credentials=credentials, answered=answered)

    def options(
        self, probe: str, target: Uri, flow: Flow, now: float, *, patience_s: float | None = None, route: Sequence[Uri] = ()
    ) -> None:
        """Ask whether a peer is alive; OptionsAnswered follows, always exactly one (after `patience_s` without answer; None: 32 s)."""
        ours = self.contact(flow)
        fields = [
            ("Via", self.via(flow)),
            *[("Route", f"<{uri}>") for uri in route],
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", f"{ours};tag={self._ids()}"),
            ("To", f"<{target}>"),
            ("Call-ID", self._ids()),
            ("CSeq", "1 OPTIONS"),
            ("Contact", ours),
            ("Accept", SDP_TYPE),
            *self.plain_headers,
        ]
        self.request(Request.build("OPTIONS", target, fields), flow, _Probe(self, probe), now, patience_s=patience_s)

    def register(self, registration: str, plan: RegistrationPlan, now: float) -> None:
        """Register at a carrier and keep it so; RegistrationUp and RegistrationDown tell how it stands."""
        if registration in self._registrations:
            raise LocalMisuse(f"registration id {registration} is in use")
        self._registrations[registration] = made = Registration(self, registration, plan)
        made.begin(now)

    def unregister(self, registration: str, now: float) -> None:
        """Take a registration at a carrier back."""
        found = self._registrations.get(registration)
        if found is not None:
            found.stop(now)

    def service_route(self, registration: str) -> tuple[Uri, ...]:
        """What the registrar said that new requests have to pass, as of its last 200 (RFC 3608)."""
        found = self._registrations.get(registration)
        return () if found is None else found.service_route

    @property
    def live_sessions(self) -> int:
        """How many sessions are not over."""
        return len(self._sessions)

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

    # --- receiving: responses

    def _receive_response(self, response: Response, flow: Flow, now: float) -> None:
        # §18.1.2: the sent-by of the top Via must be ours; a response with foreign or several Vias was not for us (RFC 4475 §3.3.10).
        missing = response.missing_headers
        if not missing:
            _read_ahead(response, response.cseq.method)
            self.answered_from = flow.remote[0]
        if missing or len(response.vias) != 1 or not self.layer.receive_response(response, now):
            self.counters["stray_response"] += 1
            self.emit(MessageDropped(f"stray response {response.status}", flow))

    # --- receiving: requests

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
        elif method == "ACK":
            self._receive_ack(request, now)
        elif method == "INVITE" and request.to_tag is None:
            self._receive_invite(request, source, flow, now)  # it may be an emergency call, which passes bans
        elif not self._belongs(request) and self._is_banned(source, now, method == "REGISTER"):
            return
        elif method == "CANCEL":
            self._receive_cancel(request, flow, now)
        elif request.to_tag is not None:
            self._receive_within(request, flow, now)
        else:
            self._receive_outside(request, source, flow, now)

    def _belongs(self, request: Request) -> bool:
        """Whether a request is part of what we have let in: that goes on in spite of a ban, and can be hung up."""
        if request.method == "CANCEL":
            return self.layer.invite_to_cancel(request) is not None
        return (request.call_id, request.to_tag or "", request.from_tag or "") in self._dialogs

    def _is_banned(self, flow: Flow, now: float, is_challenged: bool) -> bool:
        """Whether the source is banned: then its request gets no answer, and is counted. A password has to prove what is challenged."""
        guard = self.config.guard
        if guard is None or not guard.is_banned(flow.remote[0], now, is_challenged=is_challenged):
            return False
        self.counters["banned"] += 1
        return True

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
            reply_port = via.port or 5060
            if reply_port != port and not self.config.forces_rport(request, flow):
                return Flow(flow.transport, flow.local, (host, reply_port))
        return flow

    def _receive_ack(self, ack: Request, now: float) -> None:
        session = self._dialogs.get((ack.call_id, ack.to_tag or "", ack.from_tag or ""))
        if session is None:
            # The ACK to a stateless answer of ours (401, 503), or a stray one: §17: never answered.
            self.counters["ack_without_dialog"] += 1
        else:
            session.receive_ack(ack, now)

    def _receive_cancel(self, cancel: Request, flow: Flow, now: float) -> None:
        invite = self.layer.invite_to_cancel(cancel)
        if invite is None and not self._has_room(cancel, flow, now, None):
            return
        transaction = self.layer.serve(cancel, flow)
        if invite is None:
            self._answer(transaction, 481, now)
            return
        session = invite.user if isinstance(invite.user, Session) else None
        # §9.2: "the To tag of the response to the CANCEL and the To tag in the response to the original request SHOULD be the same".
        transaction.respond(cancel.response(200, to_tag=session.local_tag if session else self._ids(), headers=self.plain_headers), now)
        if session is None or invite.is_answered:
            return
        if invite is session.uas:
            session.fire(Input.CANCEL, now, transaction)
        else:
            session.modification.fire(reinvite.Input.CANCEL, now)

    # --- within a dialog: §12.2.2

    def _receive_within(self, request: Request, flow: Flow, now: float) -> None:
        method = request.method
        session = self._dialogs.get((request.call_id, request.to_tag or "", request.from_tag or ""))
        if session is not None and method != "BYE" and not session.has_room(now):
            # What belongs to a session is served; what no phone sends so often is a flood, and leaves no state.
            self.counters["overloaded_in_dialog"] += 1
            self._answer_stateless(request, 503, flow, [("Retry-After", "1")])
            return
        if method == "INVITE":
            self._receive_reinvite(request, session, flow, now)
            return
        if session is None and not self._has_room(request, flow, now, None):
            return
        transaction = self.layer.serve(request, flow)
        if session is None:
            # §12.2.2: no such dialog: 481; OPTIONS outside, aimed at a lost dialog, likewise.
            self._answer(transaction, 481, now)
            return
        dialog = self._dialog_of(session, request)
        if not dialog.takes(request):
            self._answer(transaction, 500, now)
            return
        if session.heard_over(flow, now):
            self.let_in(flow)
        event = request.event if method == "NOTIFY" else None
        if event is not None and event.package == "talk":
            self._answer(transaction, 200, now)
            self.emit(TalkRequested(session.id))
        elif event is not None and event.package == refer.EVENT:
            refer.notified(self, session, transaction, now)
        elif method not in METHODS:
            self._answer_unknown_method(transaction, now)
        elif self._is_unsupported(transaction, now):
            return
        elif method == "REFER":
            refer.receive(self, session, transaction, now)
        elif method == "BYE":
            if session.dialog is dialog:
                session.fire(Input.BYE, now, transaction)
            if transaction.last == b"":  # an early dialog of a fork, or a session that has no use for it
                self._answer(transaction, 200 if session.dialog is dialog else 481, now)
        elif method == "INFO":
            self._receive_info(request, session, transaction, now)
        elif method == "OPTIONS":
            self._answer_options(transaction, now)
        else:
            self._answer(transaction, 405, now, [("Allow", ALLOW)])  # REGISTER inside a dialog

    @staticmethod
    def _dialog_of(session: Session, request: Request) -> Dialog:
        tag = request.from_tag or ""
        if session.dialog is not None and session.dialog.remote_tag == tag:
            return session.dialog
        return session.forks[tag]

    def _receive_reinvite(self, request: Request, session: Session | None, flow: Flow, now: float) -> None:
        if session is None:
            # Without state: a forged re-INVITE must not make us repeat a 481 for 32 s at whoever it was forged for.
            if self._has_room(request, flow, now, None):
                self._answer_stateless(request, 481, flow)
            return
        transaction = self.layer.serve_invite(request, flow, session, now)
        if not self._dialog_of(session, request).takes(request):
            self._answer(transaction, 500, now)
            return
        if session.heard_over(flow, now):
            self.let_in(flow)
        if self._is_unsupported(transaction, now) or self._is_unreadable(transaction, now):
            return
        if session.state is State.ESTABLISHED:
            session.modification.fire(reinvite.Input.INVITE, now, transaction)
        elif session.state in {State.ENDING, State.ENDED, State.HANG_UP_PENDING}:
            self._answer(transaction, 481, now)
        else:
            # §14.2: while the first INVITE is not settled: 491 if it was ours, 500 with Retry-After if theirs.
            self._answer(transaction, 491 if session.is_caller else 500, now, [] if session.is_caller else [("Retry-After", "1")])

    def _receive_info(self, request: Request, session: Session, transaction: ServerTransaction, now: float) -> None:
        content_type = request.content_type
        essence = "" if content_type is None else content_type.essence
        if request.body and essence not in self.config.info_types:
            self._answer(transaction, 415, now, [("Accept", ", ".join(sorted(self.config.info_types)))])
            return
        pressed: dtmf_info.InfoKey | None = None
        if request.body and essence in dtmf_info.TYPES:
            try:
                pressed = dtmf_info.read(request.body)
            except ParseError as error:
                self.counters["info_unreadable"] += 1
                self._answer(transaction, 400, now, [self.warning(str(error))])
                return
        self._answer(transaction, 200, now)
        if request.body:
            self.emit(InfoReceived(session.id, essence, request.body, pressed))

    # --- outside of dialogs: §8.2

    def _receive_outside(self, request: Request, source: Flow, flow: Flow, now: float) -> None:
        method = request.method
        if method == "REGISTER" and self.config.registrar is not None:
            self._receive_register(request, source, flow, now)
            return
        if not self._has_room(request, flow, now, self.config.share(request, source, None)):
            return
        transaction = self.layer.serve(request, flow)
        if method not in METHODS or (method == "REGISTER"):
            self._answer_unknown_method(transaction, now)
        elif not request.uri.is_sip:
            self._answer(transaction, 416, now)
        elif self._is_unsupported(transaction, now):
            return
        elif method == "OPTIONS":
            self._answer_options(transaction, now)
        elif method == "REFER":
            self._answer(transaction, 403, now)  # whom nobody talks to has nobody to transfer; a click-to-dial is the desk's
        else:
            self._answer(transaction, 481, now)  # BYE, INFO: only inside a dialog

    def _receive_invite(self, request: Request, source: Flow, flow: Flow, now: float) -> None:
        config = self.config
        # Before any state is made (§26.3.2.4): who it is, and only then whether there is room. A flood of strangers gets its 401 or 403
        # and takes nothing from the allowance of those who may call.
        kind = config.classify(request, source)
        is_emergency = config.is_emergency(request)
        if kind != "trunk" and not is_emergency and self._is_banned(source, now, True):
            return
        if kind == "reject":
            self.counters["rejected_source"] += 1
            if self._has_room(request, flow, now, None):
                self._answer_stateless(request, 403, flow)
            return
        authenticated_as: str | None = None
        if kind == "challenge" and config.authenticator is not None:
            authenticated_as = self._authenticate(config.authenticator, request, flow, now, is_urgent=is_emergency)
            if authenticated_as is None:
                return
        share = config.share(request, source, authenticated_as) or EVERYBODY
        verdict = self.overload.admit(share, len(self._sessions), now)
        if verdict is not Verdict.ADMITTED:
            self.counters["overloaded"] += 1
            warning = self.warning(verdict.reason)
            self._answer_stateless(request, 503, flow, [("Retry-After", str(config.overload.retry_after_s)), warning])
            return
        merged = self.layer.is_merged(request)
        transaction = self.layer.serve_invite(request, flow, None, now)
        if merged:
            self._answer(transaction, 482, now)
        elif not _can_be_called(request.uri):
            self._answer(transaction, 416, now)
        elif self._is_unsupported(transaction, now) or self._is_unreadable(transaction, now):
            return
        elif not _has_target(request):
            self._answer(transaction, 400, now, [self.warning("header Contact: no SIP URI to reach the caller at")])
        elif request.max_forwards == 0:
            # We would call on: a back-to-back user agent ends loops as a proxy does (§16.3 step 3, RFC 7332 §2).
            self._answer(transaction, 483, now)
        else:
            session = Session(self, self._ids(), request, source, is_caller=False)
            transaction.user = session
            session.be_offered(transaction, self._ids())
            self._sessions[session.id] = session
            self._belongs_to(session, authenticated_as)
            self.overload.began(session.id, share)
            self.let_in(source)
            offer = request.sdp
            self.emit(IncomingInvite(session.id, request, source, offer, authenticated_as, kind))

    def _receive_register(self, request: Request, source: Flow, flow: Flow, now: float) -> None:
        config = self.config
        assert config.registrar is not None
        authenticated_as: str | None = None
        if config.authenticator is not None and request.uri.is_sip:
            authenticated_as = self._authenticate(config.authenticator, request, flow, now)
            if authenticated_as is None:
                return
        if not self._has_room(request, flow, now, config.share(request, source, authenticated_as)):
            return
        transaction = self.layer.serve(request, flow)
        if not request.uri.is_sip:
            self._answer(transaction, 416, now)
            return
        if not config.serves(authenticated_as):
            self._answer(transaction, 503, now, (("Retry-After", UNSERVED_RETRY_S),))
            return
        if self._is_unsupported(transaction, now):
            return
        is_forced = flow.transport == "udp" and not request.top_via.wants_rport and config.forces_rport(request, source)
        response = config.registrar.register(request, authenticated_as, source, now, keeps_flow=is_forced)
        if response.status < 300:
            self.let_in(source)
        headers = response.headers
        for name, value in self.plain_headers:
            headers.add(name, value)
        if not response.to_tag:
            headers.set("To", str(response.to.with_tag(self._ids())))
        transaction.respond(response, now)

    def _authenticate(
        self, authenticator: Authenticator, request: Request, flow: Flow, now: float, *, is_urgent: bool = False
    ) -> str | None:
        """Returns: the account, or None after the request has been answered 401 or 503 without state."""
        source = flow.remote[0]
        verdict = authenticator.verify(request, now, source=source, is_urgent=is_urgent)
        if verdict.outcome is Outcome.ACCEPTED:
            return verdict.account
        self.counters[f"digest_{verdict.outcome.value}"] += 1
        # Whoever calls for help from where a phone of ours is gets the challenge, whatever strangers send.
        is_home = is_urgent and self.config.registrar is not None and self.config.registrar.is_home(source)
        if not is_home and not self._has_room(request, flow, now, None):
            return None
        if verdict.outcome is Outcome.THROTTLED:
            # Not 403, after which phones give the account up, and not 401, which they answer at once or take for a wrong password: 503
            # with Retry-After is what RFC 3261 §21.5.4 has for "come again then", and says nothing of the credentials.
            self._answer_stateless(request, 503, flow, [("Retry-After", str(verdict.wait_s))])
            return None
        # Wrong credentials get a new challenge, the same for a wrong password and for a user there is not.
        headers = authenticator.challenge_headers(request, now, source=source, stale=verdict.outcome is Outcome.STALE)
        self._answer_stateless(request, 401, flow, headers)
        return None

    def _has_room(self, request: Request, flow: Flow, now: float, share: Share | None) -> bool:
        """Whether a request that opens no session can be served. If not: over a connection it is answered 503; a datagram is dropped,
        since a client sends it again after a while (§17.1.2) and a forged one must bring nothing to whoever it was forged for.
        """
        if self.overload.serve(share, flow.remote[0], now):
            return True
        self.counters["overloaded_requests"] += 1
        if flow.is_reliable:
            self._answer_stateless(request, 503, flow, [("Retry-After", str(self.config.overload.retry_after_s))])
        return False

    # --- checks that answer by themselves: §8.2.2.3, §8.2.3

    def _is_unsupported(self, transaction: ServerTransaction, now: float) -> bool:
        request = transaction.request
        # Proxy-Require is none of a UAS's business (§20.29; RFC 4475 §3.3.5 wants only the tags of Require back).
        wanted = [tag for tag in request.require if tag not in self._supports]
        if wanted:
            self._answer(transaction, 420, now, [("Unsupported", ", ".join(wanted))])
        return bool(wanted)

    def _is_unreadable(self, transaction: ServerTransaction, now: float) -> bool:
        """An INVITE with a body we cannot use (415), a session interval we do not bear (422), or no wish for the answer we give (406)."""
        request = transaction.request
        try:
            is_understood = not request.body or (request.content_type is not None and request.described.not_understood is None)
        except ParseError as error:
            self._answer(transaction, error.status_hint, now, [self.warning(str(error))])
            return True
        if not is_understood:
            self._answer(transaction, 415, now, [("Accept", ACCEPTED)])
            return True
        if request.headers.get("Content-Encoding") not in {None, "", "identity"}:
            self._answer(transaction, 415, now, [("Accept", ACCEPTED), ("Accept-Encoding", "identity")])
            return True
        if self.session_timer is not None and is_too_brief(request, self.session_timer):
            self._answer(transaction, 422, now, [("Min-SE", str(self.session_timer.min_se_s))])
            return True
        accept = request.accept
        if accept is not None and not any(one.accepts(DESCRIPTION) for one in accept):
            self._answer(transaction, 406, now)
            return True
        return False

    # --- answers

    def warning(self, text: str) -> tuple[str, str]:
        """Why, in words (§20.43: 399 is the miscellaneous warning)."""
        # warn-agent  =  hostport / pseudonym, which is a token
        return "Warning", str(WarningValue(MISCELLANEOUS, self.config.agent_name.replace(" ", "-"), text[:200]))

    def _answer(self, transaction: ServerTransaction, status: int, now: float, headers: Fields = ()) -> None:
        """A final response of the core itself, with a To tag of its own where the request had none."""
        response = transaction.request.response(status, to_tag=self._ids(), headers=[*headers, *self.plain_headers])
        transaction.respond(response, now)

    def _answer_unknown_method(self, transaction: ServerTransaction, now: float) -> None:
        # §8.2.1: 405 for a method we recognise; 501 (§21.5.2) for one we do not.
        self._answer(transaction, 405 if transaction.request.method in KNOWN_METHODS else 501, now, [("Allow", ALLOW)])

    def _answer_options(self, transaction: ServerTransaction, now: float) -> None:
        # §11.2: Allow, Accept, Accept-Encoding, Accept-Language and Supported SHOULD be present; no SDP, since we answer for nobody yet.
        fields = [
            ("Allow", ALLOW),
            ALLOW_EVENTS,
            ("Accept", ACCEPTED),
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en, de"),
            ("Supported", self._supported),
        ]
        self._answer(transaction, 200, now, fields)

    def _answer_stateless(self, request: Request, status: int, flow: Flow, headers: Fields = ()) -> None:
        """§8.2.7: no transaction; the tag is computed, so that a retransmission gets the same answer."""
        response = request.response(status, to_tag=self._stateless_tag(request.headers), headers=[*headers, *self.plain_headers])
        self.send(flow, response.to_bytes())

    def _stateless_tag(self, headers: Headers | None) -> str:
        seen = b"" if headers is None else f"{headers.get('Via')}|{headers.get('Call-ID')}|{headers.get('CSeq')}".encode()
        return hashlib.blake2s(seen, key=self._stateless_secret[:32], digest_size=8).hexdigest()

    # --- what sessions, registrations and probes need (their Agent)

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

    def _addresses(self, flow: Flow) -> tuple[str, str]:
        found = self._advertised.get(flow)
        if found is None:
            ours = format_host_port(self.config.advertise(flow) if self.config.advertise else flow.local)
            suffix = ";transport=tcp" if flow.transport == "tcp" else ""
            # rport (RFC 3581 §3) is always asked for: we send from the port we listen on, and want to be answered there.
            found = (f"SIP/2.0/{flow.transport.upper()} {ours};rport;branch=z9hG4bK", f"@{ours}{suffix}>")
            if len(self._advertised) > 10_000:  # one entry a peer; a flood of peers must not stay in memory
                self._advertised.clear()
            self._advertised[flow] = found
        return found

    def via(self, flow: Flow) -> str:
        """A fresh Via for a request on this flow."""
        return self._addresses(flow)[0] + self._ids()

    def contact(self, flow: Flow, user: str | None = None) -> str:
        """Our Contact towards this flow's peer."""
        return f"<sip:{user or self.config.contact_user}{self._addresses(flow)[1]}"

    def send(self, flow: Flow, octets: bytes) -> None:
        """Put octets in the outbox."""
        self._outbox.append((flow, octets))

    def request(self, request: Request, flow: Flow, user: ClientUser, now: float, *, patience_s: float | None = None) -> ClientTransaction:
        """Send a request in a transaction of its own."""
        return self.layer.request(request, flow, user, now, patience_s=patience_s)

    def enter_dialog(self, dialog: Dialog, session: Session) -> None:
        """Requests of this dialog belong to that session."""
        self._dialogs[dialog.key] = session
        if dialog.flow.is_reliable:
            self._on_connection.setdefault(dialog.flow.way, {})[dialog.key] = session

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
        self.referring.discard(session.id)
        referral = self.referrals.pop(session.id, None)
        if referral is not None:
            referral.fire(refer.Input.SESSION_ENDED, now)

    def _belongs_to(self, session: Session, account: str | None) -> None:
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

    def _find(self, session: str) -> Session | None:
        found = self._sessions.get(session)
        if found is None:
            self.counters["stale_command"] += 1
        return found

    def _command(self, session: str, event: Input, now: float, argument: Any) -> None:
        found = self._find(session)
        if found is not None:
            found.fire(event, now, argument)


def _has_target(invite: Request) -> bool:
    """Whether requests in the dialog find their way. §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or
    SIPS URI". An RFC 2543 caller, known by its branch without the cookie, may leave it out, and is then where From says (RFC 4475 §3.4.1).
    """
    contact = invite.contact
    if contact is None:
        return not invite.has_star_contact and not invite.top_via.has_rfc3261_branch
    return contact.uri.is_sip


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


class _Probe:
    """The user of one keep-alive OPTIONS."""

    __slots__ = ("_agent", "_probe")

    def __init__(self, agent: UserAgent, probe: str) -> None:
        self._agent = agent
        self._probe = probe

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        del transaction, now
        if response.status >= 200:
            self._agent.emit(OptionsAnswered(self._probe, response.status))

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        del transaction, now
        self._agent.emit(OptionsAnswered(self._probe, None))

    def on_transport_error(self, transaction: Transaction, now: float) -> None:
        self.on_timeout(transaction, now)


__all__ = ["Timer", "UserAgent", "UserAgentConfig"]
