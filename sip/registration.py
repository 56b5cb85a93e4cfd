"""Our own registration at a carrier: RFC 3261 §10.2 (constructing, refreshing, removing), §22.2 (digest), §21.4.17 (423); RFC 3608.

A registrar that cannot take a refresh at the moment (5xx) has taken nothing back: what it granted holds until its time is over, and the
refresh is tried again when the registrar says (Retry-After, RFC 3261 §20.33), else soon enough to come before the end.

A pair (state, input) missing from the table is dropped and counted.
"""

from enum import StrEnum, auto
from typing import Any, Protocol

import msgspec

from sip.digest import ClientDigest, DigestCredentials
from sip.events import Event, RegistrationDown, RegistrationUp
from sip.flow import Flow
from sip.headers.contact import contact_expires_s
from sip.machine import Edge, bind, to
from sip.message import MAX_FORWARDS, Request, Response
from sip.status import reason_phrase
from sip.timers import Timer, TimerTable, TimerValues
from sip.transaction.base import ClientUser, Transaction
from sip.transaction.layer import ClientTransaction
from sip.uri import Uri, equivalent

MAX_CHALLENGE_ROUNDS = 3
LONGEST_EXPIRES_S = 86_400
"""House: a registrar that wants more than a day is asked for a day."""


class RegistrationPlan(msgspec.Struct, frozen=True):
    """What is to be registered where."""

    aor: Uri
    registrar: Uri
    """The Request-URI: the carrier's domain, without user (§10.2)."""
    flow: Flow
    credentials: DigestCredentials | None = None
    contact_user: str | None = None
    """User part of our Contact, by which the carrier's calls are recognised; None takes the AOR's."""
    expires_s: int = 3600
    refresh_share: float = 0.9  # of what was granted; the carrier's clock and one retransmission fit into the rest
    backoff_s: float = 30.0  # RFC 5626 §4.5's base time
    max_backoff_s: float = 600.0
    route: tuple[Uri, ...] = ()
    """An outbound proxy: REGISTER is sent along it (§8.1.2), top first."""
    patience_s: float | None = None  # how long a REGISTER may stay without answer; None: timer F, 32 s


class State(StrEnum):
    """Where it stands."""

    REGISTERING = auto()
    REGISTERED = auto()
    REFRESHING = auto()
    HOLDING = auto()  # a refresh could not be taken, and what was granted before still holds
    BACKING_OFF = auto()
    UNREGISTERING = auto()
    GONE = auto()


class Input(StrEnum):
    """What can happen to it."""

    GRANTED = auto()
    CHALLENGE = auto()
    TOO_BRIEF = auto()  # 423
    NOT_NOW = auto()  # 5xx: the registrar's trouble, not ours
    REFUSED = auto()
    UNANSWERED = auto()
    DUE = auto()
    LAPSED = auto()  # the granted time is over
    STOP = auto()


class Do(StrEnum):
    """What it does then; each value names a method."""

    SEND = auto()
    SEND_REMOVAL = auto()
    RAISE_EXPIRES = auto()
    START_REFRESH = auto()
    START_BACKOFF = auto()
    START_RETRY = auto()
    STOP_LAPSE = auto()
    STOP_TIMER = auto()
    REPORT_UP = auto()
    REPORT_DOWN = auto()
    REPORT_REMOVED = auto()
    RELEASE = auto()


# fmt: off
TRANSITIONS: dict[State, dict[Input, Edge[State, Do]]] = {
    State.REGISTERING: {
        Input.GRANTED:    to(State.REGISTERED, Do.START_REFRESH, Do.REPORT_UP),
        Input.CHALLENGE:  to(State.REGISTERING, Do.SEND),
        Input.TOO_BRIEF:  to(State.REGISTERING, Do.RAISE_EXPIRES, Do.SEND),
        Input.NOT_NOW:    to(State.BACKING_OFF, Do.START_BACKOFF, Do.REPORT_DOWN),
        Input.REFUSED:    to(State.BACKING_OFF, Do.START_BACKOFF, Do.REPORT_DOWN),
        Input.UNANSWERED: to(State.BACKING_OFF, Do.START_BACKOFF, Do.REPORT_DOWN),
        Input.STOP:       to(State.UNREGISTERING, Do.SEND_REMOVAL),
    },
    State.REGISTERED: {
        Input.DUE:        to(State.REFRESHING, Do.SEND),
        Input.STOP:       to(State.UNREGISTERING, Do.STOP_TIMER, Do.SEND_REMOVAL),
    },
    State.REFRESHING: {
        Input.GRANTED:    to(State.REGISTERED, Do.START_REFRESH),
        Input.CHALLENGE:  to(State.REFRESHING, Do.SEND),
        Input.TOO_BRIEF:  to(State.REFRESHING, Do.RAISE_EXPIRES, Do.SEND),
        Input.NOT_NOW:    to(State.HOLDING, Do.START_RETRY),
        Input.REFUSED:    to(State.BACKING_OFF, Do.STOP_LAPSE, Do.START_BACKOFF, Do.REPORT_DOWN),
        Input.UNANSWERED: to(State.BACKING_OFF, Do.STOP_LAPSE, Do.START_BACKOFF, Do.REPORT_DOWN),
        Input.LAPSED:     to(State.REGISTERING, Do.REPORT_DOWN),
        Input.STOP:       to(State.UNREGISTERING, Do.STOP_LAPSE, Do.SEND_REMOVAL),
    },
    State.HOLDING: {
        Input.DUE:        to(State.REFRESHING, Do.SEND),
        Input.LAPSED:     to(State.BACKING_OFF, Do.REPORT_DOWN),  # it is tried again when it would have been
        Input.STOP:       to(State.UNREGISTERING, Do.STOP_TIMER, Do.SEND_REMOVAL),
    },
    State.BACKING_OFF: {
        Input.DUE:        to(State.REGISTERING, Do.SEND),
        Input.STOP:       to(State.GONE, Do.STOP_TIMER, Do.REPORT_REMOVED, Do.RELEASE),
    },
    State.UNREGISTERING: {
        Input.GRANTED:    to(State.GONE, Do.REPORT_REMOVED, Do.RELEASE),
        Input.CHALLENGE:  to(State.UNREGISTERING, Do.SEND_REMOVAL),
        Input.TOO_BRIEF:  to(State.GONE, Do.REPORT_REMOVED, Do.RELEASE),
        Input.NOT_NOW:    to(State.GONE, Do.REPORT_REMOVED, Do.RELEASE),
        Input.REFUSED:    to(State.GONE, Do.REPORT_REMOVED, Do.RELEASE),
        Input.UNANSWERED: to(State.GONE, Do.REPORT_REMOVED, Do.RELEASE),
    },
    State.GONE: {},
}
# fmt: on


class Agent(Protocol):
    """What a registration needs from its user agent."""

    timers: TimerTable
    answered_from: str

    @property
    def values(self) -> TimerValues: ...
    @property
    def plain_headers(self) -> list[tuple[str, str]]: ...
    def emit(self, event: Event) -> None: ...
    def count(self, what: str) -> None: ...
    def new_token(self) -> str: ...
    def random_share(self) -> float: ...
    def via(self, flow: Flow) -> str: ...
    def contact(self, flow: Flow, user: str | None = None, *, is_sips: bool = False) -> str: ...
    def request(
        self, request: Request, flow: Flow, user: ClientUser, now: float, *, patience_s: float | None = None
    ) -> ClientTransaction: ...
    def release_registration(self, registration: "Registration") -> None: ...


class Registration:
    """One AOR kept registered at one carrier."""

    def __init__(self, agent: Agent, registration: str, plan: RegistrationPlan) -> None:
        self.agent = agent
        self.id = registration
        self.plan = plan
        self.state = State.REGISTERING
        self.timers: dict[Timer, list[Any]] = {}
        self._digest = ClientDigest(plan.credentials) if plan.credentials else None
        self._rounds = 0
        self._call_id = agent.new_token()  # §10.2: one Call-ID and a growing CSeq for all registrations to one registrar
        self._tag = agent.new_token()
        self._sequence_number = 0
        self._expires_s = plan.expires_s
        self._failures = 0
        self._backoff_s = plan.backoff_s
        self._granted_s = 0
        self._lapses_at = 0.0
        self._refused: Response | None = None
        """What the registrar said when it last took no refresh."""
        self._transaction: Transaction | None = None
        self.service_route: tuple[Uri, ...] = ()
        """What new requests to this carrier have to pass, behind the outbound proxy (RFC 3608 §5); each 200 says it anew."""

    def begin(self, now: float) -> None:
        """Send the first REGISTER."""
        self.send(now, None)

    def stop(self, now: float) -> None:
        """Take the registration back."""
        self.fire(Input.STOP, now)

    def fire(self, event: Input, now: float, argument: Any = None) -> None:
        """Take one input."""
        edge = EDGES[self.state].get(event)
        if edge is None:
            self.agent.count(f"registration.{self.state.value}.{event.value}")
            return
        self.state = edge[0]
        for act in edge[1]:
            act(self, now, argument)

    def on_timer(self, timer: Timer, now: float) -> None:
        """Refresh or retry is due, or what was granted is over."""
        if timer is Timer.BINDING:
            self.fire(Input.LAPSED, now, self._refused)
        else:
            self.fire(Input.DUE, now)

    # --- what the transactions say

    def on_response(self, transaction: Transaction, response: Response, now: float) -> None:
        """A response to our REGISTER."""
        if response.status < 200 or transaction is not self._transaction:
            return
        if response.status < 300:
            self._rounds = 0
            self.service_route = tuple([route.uri for route in response.service_routes if route.uri.is_sip])
            if self._digest is not None:
                self._digest.heard(response)
            self.fire(Input.GRANTED, now, response)
        elif (
            response.status in {401, 407}
            and self._digest is not None
            and self._rounds < MAX_CHALLENGE_ROUNDS
            and self._digest.learn(response)
        ):
            self._rounds += 1
            self.fire(Input.CHALLENGE, now, response)
        elif response.status == 423 and self._min_expires(response) > self._expires_s:
            self.fire(Input.TOO_BRIEF, now, response)
        else:
            self._rounds = 0
            self._refused = response
            self.fire(Input.NOT_NOW if 500 <= response.status < 600 else Input.REFUSED, now, response)

    def on_timeout(self, transaction: Transaction, now: float) -> None:
        """Nothing came back within 64*T1, or the plan's patience."""
        if transaction is self._transaction:
            self._rounds = 0
            self.fire(Input.UNANSWERED, now)

    def on_transport_error(self, transaction: Transaction, now: float) -> None:
        """Could not be sent: the same as no answer."""
        self.on_timeout(transaction, now)

    # --- actions

    def send(self, now: float, _argument: Any) -> None:
        self._register(now, self._expires_s)

    def send_removal(self, now: float, _argument: Any) -> None:
        self._register(now, 0)

    def _register(self, now: float, expires_s: int) -> None:
        plan = self.plan
        self._sequence_number += 1
        contact = self._contact()
        fields = [
            ("Via", self.agent.via(plan.flow)),
            *[("Route", f"<{uri}>") for uri in plan.route],
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", f"<{plan.aor}>;tag={self._tag}"),
            ("To", f"<{plan.aor}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._sequence_number} REGISTER"),
            ("Contact", f"{contact};expires={expires_s}"),
            ("Expires", str(expires_s)),
            ("Supported", "path"),  # RFC 3327 §5.1: proxies on the way may ask to stay in it
            *self.agent.plain_headers,
        ]
        if self._digest is not None:
            fields += self._digest.headers("REGISTER", plan.registrar, self.agent.new_token())
        request = Request.build("REGISTER", plan.registrar, fields)
        self._transaction = self.agent.request(request, plan.flow, self, now, patience_s=plan.patience_s)

    def _contact(self) -> str:
        plan = self.plan
        first = plan.route[0] if plan.route else plan.registrar
        is_sips = "sips" in {first.scheme, plan.registrar.scheme}
        return self.agent.contact(plan.flow, plan.contact_user or plan.aor.user, is_sips=is_sips)

    def raise_expires(self, _now: float, response: Response) -> None:
        self._expires_s = self._min_expires(response)

    @staticmethod
    def _min_expires(response: Response) -> int:
        return min(response.min_expires or 0, LONGEST_EXPIRES_S)

    def _granted(self, response: Response) -> int:
        """§10.2.4: the response lists all bindings; ours tells what we were granted, else the Expires header, else what we asked for.

        A NAT or the registrar may have written another address into our Contact: then its user part tells which is ours. Of several the one
        that ends first holds, so that a stale one can only make us come sooner; one with 0 is gone already.
        """
        ours = Uri.parse(self._contact().strip("<>"))
        rewritten: list[int] = []
        for contact in response.contacts:
            seconds = contact_expires_s(contact)
            if not seconds or contact.uri.user != ours.user:
                continue
            if (contact.uri.host, contact.uri.port) == (ours.host, ours.port) or equivalent(contact.uri, ours):
                return seconds
            rewritten.append(seconds)
        if rewritten:
            return min(rewritten)
        return self._expires_s if response.expires is None else response.expires

    def start_refresh(self, now: float, response: Response) -> None:
        self._failures = 0
        self._granted_s = max(1, self._granted(response))
        # A little earlier each time, by chance: a thousand trunks restarted together must not refresh together.
        wait = self._granted_s * (self.plan.refresh_share - 0.1 * self.agent.random_share())
        self.agent.timers.start(self, Timer.REFRESH, now + wait)
        self._refused = None
        self._lapses_at = now + self._granted_s
        self.agent.timers.start(self, Timer.BINDING, self._lapses_at)

    def start_backoff(self, now: float, response: Response | None) -> None:
        self._backoff_s = max(_retry_after_s(response, self.plan), min(self.plan.max_backoff_s, self.plan.backoff_s * 2**self._failures))
        self._failures = min(self._failures + 1, 16)
        self.agent.timers.start(self, Timer.REFRESH, now + self._backoff_s)

    def start_retry(self, now: float, response: Response) -> None:
        # As it asks; where it does not say, so that there is time for another attempt before the end.
        left = max(0.0, self._lapses_at - now)
        self._backoff_s = _retry_after_s(response, self.plan) or min(self.plan.backoff_s, max(1.0, left / 2))
        self.agent.timers.start(self, Timer.REFRESH, now + self._backoff_s)

    def stop_lapse(self, _now: float, _argument: Any) -> None:
        self.agent.timers.stop(self, Timer.BINDING)

    def stop_timer(self, _now: float, _argument: Any) -> None:
        self.agent.timers.stop_all(self)

    def report_up(self, _now: float, _argument: Any) -> None:
        self.agent.emit(RegistrationUp(self.id, self._granted_s, self.agent.answered_from))

    def report_down(self, _now: float, response: Response | None) -> None:
        status, reason = (408, reason_phrase(408)) if response is None else (response.status, response.reason)
        self.agent.emit(RegistrationDown(self.id, status, reason, self._backoff_s))

    def report_removed(self, _now: float, _argument: Any) -> None:
        self.agent.emit(RegistrationDown(self.id, 200, "Unregistered", None))

    def release(self, _now: float, _argument: Any) -> None:
        self.agent.release_registration(self)

    def describe(self, now: float) -> dict[str, Any]:
        """State and seconds left."""
        return {
            "registration": self.id,
            "aor": str(self.plan.aor),
            "state": self.state.value,
            "flow": str(self.plan.flow),
            "failures": self._failures,
            "timers": self.agent.timers.running(self, now),
        }


def _retry_after_s(response: Response | None, plan: RegistrationPlan) -> float:
    """When the registrar wants us back, within what we would wait at most; 0: it does not say."""
    asked = None if response is None else response.retry_after
    return 0.0 if asked is None else min(float(asked.seconds), plan.max_backoff_s)


EDGES = bind(TRANSITIONS, Registration)
