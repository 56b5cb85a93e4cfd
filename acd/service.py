"""What the voice service and the platform say to each other: house interface between `api` and `acd` (DESIGN.md §1, "cmds" and "events").

Every word is a typed message that can travel as octets: a request with its reply, or an event. `acd.client` asks, `acd.serving` answers, a
bus carries it (`acd.bus`); errors cross as refusals and are raised again as what they are (`acd.refusals`). Configuration comes from above
as values, telephony facts from below; whoever asks never sees SIP or RTP, nor how calls and journals are kept.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, Self

import msgspec

from acd.bus.codec import Codec
from acd.bus.protocol import Request
from acd.codecs import USUAL
from acd.core.configuration import TenantConfiguration
from acd.core.effects import PopScreen
from acd.core.events import Event
from acd.core.ids import VOICE, AgentId, CallId, ContactId, SiteId, TenantId, TrunkId, channel_of
from acd.core.inputs import Command
from acd.core.live import LiveState, WholeContact
from billing_cdr.numbers import Format

Srtp = Literal["off", "accepted", "wished", "required", "dtls"]
"""What one side of calls does with keys for its audio (RFC 4568, RFC 5763, RFC 8643): takes and offers none, takes them, offers them
besides, takes and offers nothing else, the same with an offer of a handshake alone."""


Signalling = Literal["any", "encrypted"]
"""Over what one side speaks SIP with us: whatever is listened on, or TLS (and a page's wss) alone. Of several rules that hold the strictest
does: a tenant's, a site's, a phone's; a tenant's and a trunk's."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A SIP device an agent registers with. The password is never kept, only the digests of RFC 7616 §3.4.2."""

    agent: AgentId
    username: str
    """Unique in its tenant. A phone that says the tenant's telephony domain, or proves itself as `username@domain`, is never taken for
    another tenant's."""
    ha1_md5: str
    ha1_sha256: str
    bare: bool = True
    """The name alone is this device's too, whatever domain the phone says: it was the first of that name in the installation."""
    long_md5: str | None = None
    """Digest of the user name `username@domain`; None: its password is older than the tenant's domain."""
    long_sha256: str | None = None

    def __repr__(self) -> str:
        """Without the digests: they are as good as the password."""
        return f"Device(agent={self.agent!r}, username={self.username!r})"


class TrunkRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """We register at the customer's own carrier (R5)."""

    registrar: str
    """`host` or `host:port`."""
    username: str
    password: str
    auth_username: str | None = None
    outbound_proxy: str | None = None
    """`host` or `host:port` that REGISTER and calls are sent to first (RFC 3261 §8.1.2); a Service-Route follows behind it."""
    from_user: str | None = None
    """User part of From in calls, where the carrier wants its account there; the number shown then stands in P-Preferred-Identity."""
    from_domain: str | None = None
    """Domain of our address of record and of From in calls; None: the registrar's host."""
    expires_s: int = 300
    retry_s: float = 30.0
    """After a refusal or silence it is tried again so much later, then in doubled steps up to ten minutes (RFC 5626 §4.5)."""

    def __repr__(self) -> str:
        """Never shows the password: lines stand in setups that are logged."""
        return f"TrunkRegistration(registrar={self.registrar!r}, username={self.username!r})"


class TrunkLine(msgspec.Struct, frozen=True, kw_only=True):
    """How a trunk is reached and recognised; the routing side is `acd.core.configuration.Trunk` with the same id."""

    id: TrunkId
    peer: str
    """`host[:port]` of the carrier or PBX that outbound calls go to."""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    sources: tuple[str, ...] = ()
    """IP networks its calls come from (IP authentication), e.g. `203.0.113.0/28`. None given and registered: the Contact we registered,
    or the addresses of registrar and peer."""
    registration: TrunkRegistration | None = None
    probe_every_s: float = 30.0
    """OPTIONS keep-alive; 0 never. A line with a registration is not probed: the registration tells."""
    answer_within_s: float = 4.0
    """A request that got no answer at all for so long, not even 100, has failed, and the call goes to the next trunk. RFC 3261's own
    patience (timers B and F, 32 s) is longer than that of any caller."""
    caller_id: str | None = None
    codecs: tuple[str, ...] = USUAL
    """What it is offered, in this order; names of the registry. What it offers is answered with one of them or G.711, else with what there
    is."""
    numbers_in: Format = "auto"
    """How the peer writes numbers of calls to us; it decides about digits with neither `+` nor 0 in front."""
    numbers_out: Format = "auto"
    """How it wants them in calls from us: Request-URI, To, From, P-Asserted-Identity, Diversion."""
    trusted: bool = False
    """Of our trust domain (RFC 3325 §3): it is told the number of callers who withhold it, with the Privacy that binds it."""
    default_number: str | None = None
    """The number of ours that a call means which names none of ours: of an account with a single number."""
    srtp: Srtp | None = None
    """None: the tenant's."""
    signalling: Signalling = "any"
    """`encrypted`: its calls come over TLS, and nothing goes to it in plain; `transport` is `tls` then."""
    tls_identity: str | None = None
    """What the peer's certificate must prove: a SIP domain (RFC 5922 §7.1), or `sha256:` and the certificate's fingerprint. Who does is
    this trunk from whatever address; who does not is nobody of it, whatever its address."""
    early_media: Literal["pass", "ringback"] = "pass"
    """What the carrier says before a call is answered (183 with a description): heard by the caller, or replaced by our own ring-back."""


class AgentDialRules(msgspec.Struct, frozen=True, kw_only=True):
    """What differs for one agent."""

    classes: frozenset[str] | None = None
    """None: the tenant's."""
    per_hour: Decimal | None = None
    """None: that of each agent."""


class DialRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may dial what, and for how much. Amounts are with VAT."""

    classes: frozenset[str] | None = None
    """`billing_cdr.destination.DialClass`es that are allowed; None: all."""
    currency: str = "EUR"
    per_hour: Decimal | None = None
    """What all calls of the tenant together may cost in sixty minutes; None: no limit."""
    agent_per_hour: Decimal | None = None
    """The same of each agent."""
    agents: dict[AgentId, AgentDialRules] = {}
    paid_in: Decimal | None = None
    """Set: the tenant has paid so much since `since`, and its calls may cost no more in all."""
    since: datetime | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands."""

    account: str
    """`tenant`, `agent:<id>`, `balance`."""
    limit: Decimal | None
    reserved: Decimal
    """Used up in the last hour (of a balance: since it was opened), with what running calls and attempts have reserved."""
    running: Decimal
    """That part of it."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """How all budgets of a tenant stand."""

    currency: str
    accounts: tuple[Account, ...]


class TenantSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the voice service needs of one tenant."""

    configuration: TenantConfiguration
    devices: tuple[Device, ...] = ()
    trunks: tuple[TrunkLine, ...] = ()
    domain: str = ""
    """The tenant's telephony domain, which no other tenant has; empty: it has none, and its devices are known by bare names."""
    assigned: frozenset[str] = frozenset()
    """E.164 numbers that are this tenant's and nobody else's: they decide whose a call is where a source is shared."""
    granted: tuple[str, ...] = ()
    """Networks that the operator lets it take calls from and call, whoever else has them."""
    caller_ids: frozenset[str] | None = None
    """Further numbers that it may show to those it calls; None: nobody keeps a list, and it shows any number that may be shown at all."""
    plans: tuple[bytes, ...] = ()
    """The tenant's own tariff plan versions, JSON documents of `billing_cdr.tariff`; none: the house plan."""
    trunk_plans: dict[TrunkId, tuple[bytes, ...]] = {}
    """Plan versions of the tenant's own carriers, by trunk (R15)."""
    dialling: DialRules = DialRules()
    own_sounds: dict[str, str] = {}
    """`de/queue.greeting` -> id of the audio, a file of the tenant's folder of sounds; another recording has another id (ADR 0018)."""
    srtp: Srtp = "accepted"
    """Of trunks and phones that say nothing else."""
    phones_srtp: dict[AgentId, Srtp] = {}
    """Of the phones that do."""
    sites_srtp: dict[SiteId, Srtp] = {}
    """Of the phones at a site that say nothing themselves."""
    signalling: Signalling = "any"
    """Of all trunks and phones."""
    encrypted_phones: frozenset[AgentId] = frozenset()
    """Agents whose phones signal under encryption alone."""
    encrypted_sites: frozenset[SiteId] = frozenset()
    """The same of every phone at a site."""


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing on the live stream: a journal event after it is on disk, or a screen pop."""

    tenant: TenantId
    seq: int
    at: float
    """Epoch seconds, UTC."""
    event: Event | ScreenPop
    only_agent: AgentId | None = None
    """Set: for this agent's desk and nobody else's."""


class ScreenContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform knows of a number."""

    contact: dict[str, Any] | None = None
    tickets: tuple[dict[str, Any], ...] = ()
    appointment: dict[str, Any] | None = None


class ScreenPop(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Who it is, for the one agent about to be rung or offered a message (U25)."""

    agent: AgentId
    call: ContactId
    """The call, or the contact of another channel; `contact` is whom the platform knows under the number."""
    channel: str = VOICE
    queue: str | None
    number: str | None
    """Caller in E.164; None withheld, or the customer is known by something else than a number."""
    customer: str | None = None
    """Of what is no call: where the customer can be answered."""
    subject: str | None = None
    """Of what is no call."""
    called: str
    """Of what is no call: nothing."""
    waited_s: float
    contact: dict[str, Any] | None = None
    tickets: tuple[dict[str, Any], ...] = ()
    appointment: dict[str, Any] | None = None

    @classmethod
    def of(cls, effect: PopScreen, known: ScreenContext) -> Self:
        """What the desk is told of an offer."""
        channel = channel_of(effect.contact)
        is_call = channel == VOICE
        return cls(
            agent=effect.agent,
            call=effect.contact,
            channel=channel,
            queue=effect.queue,
            number=number_to_look_up(effect),
            customer=None if is_call else effect.calling,
            subject=None if is_call else effect.called or None,
            called=effect.called if is_call else "",
            waited_s=effect.waited_s,
            contact=known.contact,
            tickets=known.tickets,
            appointment=known.appointment,
        )


_NUMBER = re.compile(r"\+?[0-9]{2,15}")


def number_to_look_up(effect: PopScreen) -> str | None:
    """The number that a caller, or a customer of another channel, is known by; None: by none."""
    customer = effect.calling
    if customer is None or channel_of(effect.contact) == VOICE:
        return customer
    return customer if _NUMBER.fullmatch(customer) else None


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was seen of a tenant's lines, for the platform to write down."""

    tenant: TenantId
    address: str
    what: Literal["answered", "called", "refused"]
    """A carrier there took a registration or answered a call; a call came from there; a name leads there, where others' calls come from."""


MOST_STREAMS: Final = 12
"""Of one line check: on 1 Mbit/s there is room for nine."""


class LineCheckBegun(msgspec.Struct, frozen=True, kw_only=True):
    """A line check is under way."""

    check: str
    answers: tuple[bytes, ...]
    """A description for each offer, in their order."""
    lasts_s: float
    """From when all streams are up."""


class StreamFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one stream of a line check; up is from the page to us, as we have counted it."""

    upload_kbits: float
    """What came, as it is on the wire, RTCP included."""
    loss: float
    """Of the packets that were sent up, 0..1 (RFC 3550 A.3)."""
    download_loss: float | None
    """Of those that were sent down, as the page reports; None: it has not."""
    jitter_ms: float
    round_trip_ms: float | None
    mos: float | None
    """Of what came up (ITU-T G.107)."""


class LineCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a line check."""

    check: str
    failure: str | None = None
    """Why it did not come to its end, one sentence."""
    upload_kbits: float | None = None
    """What each of the streams had at least; 0: some never came up, or ended in silence; None: it says nothing about the line."""
    streams: tuple[StreamFigures, ...] = ()


class LiveAt(msgspec.Struct, frozen=True, kw_only=True):
    """The live board, and where it stands in the events."""

    seq: int
    """Events up to this entry are in it; of later ones some may be."""
    live: LiveState


class TenantState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a tenant's calls are decided here; the last word is retained."""

    tenant: TenantId
    is_open: bool
    trouble: str | None = None
    """Why it cannot go on, one sentence with the path; nothing is decided for it."""


# ---------------------------------------------------------------------- asked of the voice service, for the whole installation


class OpenTenant(Request[None], frozen=True):
    """Recover the tenant's journal, then route its calls.

    Refused: ValueError: it is open, or `acd.resolve.problems` of the configuration is not empty; OSError, JournalDamaged, JournalAhead,
    JournalStopped, Unreachable: journal or database cannot be used.
    """

    setup: TenantSetup


class MayReach(Request[bool], frozen=True):
    """Whether the operator lets calls of tenants go to this host, as far as can be told without asking DNS."""

    host: str


class IsOwn(Request[bool], frozen=True):
    """Whether this IP address is this machine's, whatever the operator lets tenants reach."""

    host: str


class OwnersOf(Request[frozenset[TenantId]], frozen=True):
    """The tenants whose calls come from this IP address, because of which no call of this tenant goes there; of a name: none."""

    host: str
    tenant: TenantId


class RegisteredIn(Request[frozenset[TenantId]], frozen=True):
    """The tenants of which phones are registered from there."""

    network: str


class SendsTo(Request[frozenset[TenantId]], frozen=True):
    """The tenants whose trunks' calls or registrations go there, as the names of the trunks were last asked for, and were answered."""

    network: str


class RememberCustomers(Request[None], frozen=True):
    """Tenants, and addresses of carriers that have answered them before this process began."""

    known: tuple[tuple[TenantId, str], ...]


class TakeSightings(Request[tuple[Sighting, ...]], frozen=True):
    """What was seen since the last question."""


class Troubles(Request[dict[TenantId, str]], frozen=True):
    """Tenants that cannot go on, and why, one sentence each with the path; nothing is decided for them."""


class Figures(Request[dict[str, float]], frozen=True):
    """Counters and gauges of the whole service for /metrics: name -> value (labels in the name as Prometheus writes them)."""


# ---------------------------------------------------------------------- asked of the voice service, about one tenant that is open


class Configure(Request[None], frozen=True):
    """Let a changed setup take effect at the next event.

    Refused: ValueError: `acd.resolve.problems` of the configuration is not empty; the text holds them all, one a line.
    """

    setup: TenantSetup


class CloseTenant(Request[None], frozen=True):
    """Clear its calls, sync its journal, forget it; not `for_good`: its callers and phones are told to come again (503).

    Refused: UnknownName: it is neither open nor closed for a while; RuntimeError: CDRs cannot be saved now, and are in the journal.
    """

    tenant: TenantId
    for_good: bool


class CarryOut(Request[tuple[Event, ...]], frozen=True):
    """A desk command; the reply is its events, once they are on disk. That of `Answer` comes when the phone has taken the call.

    Refused: IllegalTransition (409), UnknownName (404) of `acd.core.errors`; NoSuchNumber (404), PriceRefused (409), DialRefused (403,
    409), PhoneRefused (409), JournalStopped (503) of `acd.errors`.
    """

    tenant: TenantId
    command: Command


class ContactOf(Request[WholeContact], frozen=True):
    """A contact that is open, with what was written; refused: UnknownName."""

    tenant: TenantId
    contact: ContactId


class OpenContacts(Request[int], frozen=True):
    """How many contacts are open that are no calls."""

    tenant: TenantId


class QuoteOf(Request[dict[str, Any]], frozen=True):
    """Price of a call to `number` from now, before it is placed; refused: NoSuchNumber, or PriceRefused with the reason."""

    tenant: TenantId
    number: str


class SpendingOf(Request[Spending], frozen=True):
    """How the tenant's budgets stand at this moment."""

    tenant: TenantId


class Recount(Request[None], frozen=True):
    """Charges were changed: what was spent is added up again from the records."""

    tenant: TenantId


class Live(Request[LiveAt], frozen=True):
    """The live board at this moment."""

    tenant: TenantId


class Parts(Request[dict[CallId, tuple[AgentId, ...]]], frozen=True):
    """Of calls that are up: whose phone rang in them until now, whether or not they still have a part."""

    tenant: TenantId


class Describe(Request[dict[str, Any]], frozen=True):
    """Everything of the tenant for /debug/state: core, switch legs, SIP sessions."""

    tenant: TenantId


class WhyWaits(Request[dict[str, Any]], frozen=True):
    """What stands between it and every agent now; refused: UnknownName when it waits in no queue."""

    tenant: TenantId
    contact: ContactId


class Decisions(Request[list[dict[str, Any]]], frozen=True):
    """Decision records of a call or another contact, each with `offer`, `at` and the outcomes, from the journal."""

    tenant: TenantId
    contact: ContactId


class BeginLineCheck(Request[LineCheckBegun], frozen=True):
    """Take as many streams as there are offers from a page, echo them, and count what comes (U7).

    Refused: CheckRefused: one is under way for this agent, an offer is no browser's, or there is no room.
    """

    tenant: TenantId
    agent: AgentId
    host: str
    """Where the page is: an IP address."""
    offers: tuple[bytes, ...]


class LineCheckOf(Request[LineCheck | None], frozen=True):
    """What came of an agent's latest line check, once it is over; None: none was begun in the last two minutes.

    Refused: UnknownName: there is no such agent.
    """

    tenant: TenantId
    agent: AgentId


class PhonePass(msgspec.Struct, frozen=True, kw_only=True):
    """What a page logs an agent's phone in with, over a WebSocket that this agent has opened."""

    uri: str
    """Address of record, `sip:anna@acme.example`: what it registers, and calls from."""
    login: str
    """User name of the digest (RFC 7616 §3.4)."""
    password: str
    realm: str
    expires_at: int
    """Epoch seconds: from then on it is refused; what is registered stays."""

    def __repr__(self) -> str:
        """Without the password."""
        return f"PhonePass(uri={self.uri!r}, login={self.login!r})"


class PassOf(Request[PhonePass], frozen=True):
    """A new pass for the phone of an agent; refused: UnknownName: the agent has none."""

    tenant: TenantId
    agent: AgentId


class Shown(Request[None], frozen=True):
    """Every desk of the agent has been told who it is (`ScreenPop`), or there is none: the phone may ring."""

    tenant: TenantId
    agent: AgentId
    contact: ContactId


# ---------------------------------------------------------------------- asked of the platform


class WhoIs(Request[ScreenContext], frozen=True):
    """What is known of an E.164 number; asked when a call arrives, so that the pop itself waits for nothing."""

    tenant: TenantId
    number: str


PinVerdict = Literal["right", "wrong", "wait", "failed"]


class CheckPin(Request[PinVerdict], frozen=True):
    """What becomes of a PIN (`acd.core.inputs.PinJudged`)."""

    tenant: TenantId
    agent: AgentId
    at: AgentId
    """Whose phone it was keyed on."""
    pin: str

    def __repr__(self) -> str:
        """Without the PIN."""
        return f"CheckPin(tenant={self.tenant!r}, agent={self.agent!r}, at={self.at!r})"


# ---------------------------------------------------------------------- topics, and what may be said

VOICE_TOPIC = "fernamt/voice"
PLATFORM_TOPIC = "fernamt/platform"


def of_tenant(tenant: str) -> str:
    """Where a tenant's requests go: to the node that has it."""
    return f"{VOICE_TOPIC}/{tenant}"


def events_of(tenant: str) -> str:
    """`LiveEvent`s of a tenant."""
    return f"fernamt/events/{tenant}"


def state_of(tenant: str) -> str:
    """`TenantState`, retained."""
    return f"fernamt/state/{tenant}"


Requests = (
    OpenTenant
    | MayReach
    | IsOwn
    | OwnersOf
    | RegisteredIn
    | SendsTo
    | RememberCustomers
    | TakeSightings
    | Troubles
    | Figures
    | Configure
    | CloseTenant
    | CarryOut
    | ContactOf
    | OpenContacts
    | QuoteOf
    | SpendingOf
    | Recount
    | Live
    | Parts
    | Describe
    | WhyWaits
    | Decisions
    | BeginLineCheck
    | LineCheckOf
    | PassOf
    | Shown
    | WhoIs
    | CheckPin
)


def codec() -> Codec:
    """Of all that is said here."""
    return Codec(Requests, (LiveEvent, TenantState))
