"""The switch: carries out the core's effects through SIP and media, and tells it what happened (B2BUA, RFC 7092 §3.1 "signalling + media").

One method an effect, one a SIP event, one a media report; no decision is taken here that a caller or an agent could notice. The two
sides of a call never see each other's SIP: every leg is a dialog of its own, with our Contact, Call-ID and SDP (hidden topology).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from acd.clock import Clock
from acd.config import VoiceSettings
from acd.core import effects as do
from acd.core import inputs
from acd.core.ids import AgentId, CallId, LegId, PlayId, RecordingId, TenantId, TrunkId
from acd.core.inputs import Input
from acd.directory import Directory, Nobodys, device_aor
from acd.errors import DialRefused, PriceRefused
from acd.networks import Reach
from acd.numbers import calling_number, is_emergency, is_private, may_be_shown, normalise
from acd.service import Lookup, ScreenContext, ScreenPop, TrunkLine
from acd.switch import causes, media_plan
from acd.switch.addresses import LocalAddresses, host_port, reach
from acd.switch.callers import arrival
from acd.switch.legs import Phase, Recording, SwitchLeg
from acd.switch.lines import credentials
from acd.switch.port_shares import PortShares
from acd.switch.referrals import MayTransfer, Referrals
from acd.switch.relocation import Relocation
from acd.switch.shares import Shares
from acd.switch.sip_port import SipPort
from acd.wire_text import LONGEST_LINE, LONGEST_NAME, fit_or_none
from media import control
from media.client import MediaPlane, PlaneReport, WorkerLost, WorkerRestarted, count_pairs
from media.recorder import salvage
from sip import events as sip_events
from sip.errors import ParseError
from sip.fair_rate import FairRate
from sip.grammar import quote
from sip.headers.name_addr import NameAddr, parse_name_addr
from sip.message import MAX_FORWARDS
from sip.share import Share
from sip.source import address_of
from sip.uri import Uri

log = logging.getLogger(__name__)

INSUFFICIENT_BANDWIDTH, MISCELLANEOUS = 370, 399
POP_PATIENCE_S = 0.25
"""How long a phone may wait for its screen pop: a slow database must not keep a caller waiting."""

RETRY_AFTER = ("Retry-After", "30")
"""Seconds; a full disk or a failed one needs a person."""

WARNING = "warning"
"""The tone that tells that the end is near, and how its play is called."""
AUDIO_WAITS = (
    "= %s: audio begins when some comes from the far end: its description names %s, which is not sent to unasked; it signals from %s"
    " (docs/operating.md, Where calls of tenants may go)"
)
NO_PORTS = "This line's share of media ports is used up."
NOWHERE_PER_S, NOWHERE_BURST = 10.0, 200.0
"""Calls to numbers that do not exist which are written down, of all tenants together and shared fairly: what a flood of them leaves behind
lies on the disk that all tenants have in common. A call is 3.8 kB, 1.1 of it journal; at the 120 a second that admission lets pass it
would be 39 GB a day, so it is 3.3.
"""
MOST_TURNED_AWAY = 1000
"""Calls without ports whose late effects are told from others': each is remembered for a few milliseconds, a flood for longer."""

MOST_GIVEN_UP = 10_000
"""Each is remembered for a round trip; a carrier that answers no CANCEL for half a minute."""

AUTO_ANSWER = (("Call-Info", "<sip:fernamt>;answer-after=0"), ("Alert-Info", "<http://localhost>;info=alert-autoanswer"))
"""No RFC's, but what most desk phones heed between them."""

Report = Callable[[TenantId, Input], None]
Fund = Callable[[TenantId, LegId, str, TrunkId, AgentId | None], Mapping[str, Any]]


@dataclass(slots=True)
class _Screen:
    """What was asked about a caller when the call arrived."""

    context: ScreenContext | None = None
    asking: asyncio.Task[None] | None = None


class Switch:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange; never raises.
        fund: reserves what a leg to a number over a trunk will owe, on the account of an agent or of nobody, and returns its quote; raises
            PriceRefused, DialRefused.
        pop: publishes a screen pop to one agent's desks; done when they have been told.
        silent: told of a trunk whose peer answered nothing at all.
        may_transfer: looks at what a transfer by a phone would cost, as at one by the desk; raises PriceRefused, DialRefused.
        rule: which addresses may be reached; None: as the settings say.
    """

    def __init__(
        self,
        settings: VoiceSettings,
        directory: Directory,
        clock: Clock,
        media: MediaPlane,
        *,
        report: Report,
        fund: Fund,
        pop: Callable[[TenantId, ScreenPop], list[asyncio.Future[None]]],
        lookup: Lookup | None,
        silent: Callable[[TenantId, TrunkId], None],
        may_transfer: MayTransfer,
        rule: Reach | None = None,
    ) -> None:
        self._settings = settings
        self._reach = rule or reach(settings)
        self._directory = directory
        self._clock = clock
        self._media = media
        self._report = report
        self._fund = fund
        self._pop = pop
        self._lookup = lookup
        self._silent = silent
        self._sip: SipPort | None = None
        self._addresses = LocalAddresses(settings.advertised_address)
        self._legs: dict[LegId, SwitchLeg] = {}
        self._by_session: dict[str, SwitchLeg] = {}
        self._calls: Counter[CallId] = Counter()
        self._recordings: dict[str, Recording] = {}
        self._measuring: dict[str, SwitchLeg] = {}
        self._given_up: dict[str, tuple[TenantId, LegId, CallId]] = {}
        """Sessions of legs that cost something, which were taken back and have not ended yet."""
        self._screens: dict[CallId, _Screen] = {}
        self._gates: dict[CallId, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()
        self._referrals = Referrals(report, may_transfer, self.counters)
        self._relocation = Relocation(media, self._addresses, self.counters, self)
        self.shares = Shares(directory, settings.tenant_weights)
        self.ports = PortShares(count_pairs(settings.media_ports, settings.media_workers), settings.emergency_pairs, settings.guaranteed)
        self._turned_away: dict[CallId, None] = {}
        self._nowhere = FairRate(NOWHERE_PER_S, NOWHERE_BURST)
        self.unrecorded: Counter[TenantId] = Counter()
        """Calls to nowhere that were refused without a record."""
        self._ids = 0
        self._of_tenant: Mapping[type, Callable[[TenantId, Any], None]] = {
            do.OriginateToAgent: self._originate,
            do.OriginateToOutside: self._originate,
            do.PopScreen: self._pop_screen,
            do.ConnectLegs: self._connect,
            do.BeginRecording: self._begin_recording,
            do.EndRecording: self._end_recording,
            do.EndDialog: self._end_dialog,
        }
        self._of_leg: Mapping[type, Callable[[SwitchLeg, Any], None]] = {
            do.RingCaller: self._ring,
            do.AnswerCaller: self._answer_caller,
            do.RefuseCaller: self._refuse,
            do.ReleaseLeg: self._release_leg,
            do.PlaySounds: self._play,
            do.StopSounds: self._stop_sounds,
            do.WarnLeg: self._warn,
            do.DisconnectLegs: self._disconnect,
            do.AskToAnswer: self._ask_to_answer,
            do.AnswerReferrer: lambda leg, effect: self._referrals.answer(self.sip, leg, effect),
            do.NotifyReferrer: lambda leg, effect: self._referrals.notify(self.sip, leg, effect),
        }
        self._of_media: Mapping[type, Callable[[Any], None]] = {
            control.DigitReceived: self._digit,
            control.PlayEnded: self._played,
            control.LegClosed: self._measured,
            control.LegSilent: self._silent_leg,
            control.RecordingEnded: self._recorded,
            control.LegLatched: self._latched,
            WorkerLost: self._worker_lost,
            WorkerRestarted: self._worker_restarted,
        }
        self.hears: Mapping[type, Callable[[Any], None]] = {
            sip_events.IncomingInvite: self._incoming,
            sip_events.SessionProgress: self._progress,
            sip_events.SessionAccepted: self._accepted,
            sip_events.SessionConfirmed: self._confirmed,
            sip_events.SessionFailed: self._failed,
            sip_events.SessionEnded: self._ended,
            sip_events.AnsweredLate: self._answered_late,
            sip_events.ReInviteReceived: self._reinvited,
            sip_events.ReInviteAnswered: self._refreshed,
            sip_events.ReInviteCancelled: self._taken_back,
            sip_events.InfoReceived: self._info,
            sip_events.ReferReceived: lambda event: self._referrals.received(self.sip, self._by_session.get(event.session), event),
            sip_events.EndingFailed: self._not_ended,
        }
        """What of the SIP engine's events is ours."""

    def attach(self, port: SipPort) -> None:
        self._sip = port

    @property
    def sip(self) -> SipPort:
        assert self._sip is not None, "the switch was used before its SIP port was attached"
        return self._sip

    # ------------------------------------------------------------------ effects of the core

    def carry_out(self, tenant: TenantId, effect: do.Effect) -> None:
        """One effect. An effect for a leg that is gone does nothing: the fact that it went is on its way."""
        act = self._of_tenant.get(type(effect))
        if act is not None:
            act(tenant, effect)
            return
        leg = self._legs.get(effect.leg)  # type: ignore[union-attr]  # all others have one
        if leg is not None and not leg.is_gone:
            self._of_leg[type(effect)](leg, effect)

    def _ring(self, leg: SwitchLeg, _effect: do.RingCaller) -> None:
        if leg.session is not None and leg.phase is Phase.ARRIVED:
            self.sip.ring(leg.session)

    def _answer_caller(self, leg: SwitchLeg, _effect: do.AnswerCaller) -> None:
        if not leg.takes_ports:  # the directory knew nothing of the number, but a change was under way
            self._open_media(leg, self._arrived_share(leg.tenant, leg.trunk))
        leg.when_media_is_open(lambda: self._answer(leg))

    def _play(self, leg: SwitchLeg, effect: do.PlaySounds) -> None:
        sounds = tuple([name if "/" in name else f"{effect.language}/{name}" for name in effect.sounds])
        leg.playing = control.Play(leg=leg.leg, play=effect.play, sounds=sounds, loop=effect.loop)
        self._order(leg, leg.playing)

    def _stop_sounds(self, leg: SwitchLeg, _effect: do.StopSounds) -> None:
        leg.playing = None
        self._order(leg, control.Stop(leg=leg.leg))

    def _warn(self, leg: SwitchLeg, _effect: do.WarnLeg) -> None:
        """What is relayed is silent meanwhile and goes on by itself; what plays goes on when the tone has ended, see `_played`."""
        self._order(leg, control.Play(leg=leg.leg, play=f"{leg.leg}/{WARNING}", sounds=(f"tone/{WARNING}",)))

    def _disconnect(self, leg: SwitchLeg, _effect: do.DisconnectLegs) -> None:
        leg.part()
        self._order(leg, control.Unbridge(leg=leg.leg))

    def _order(self, leg: SwitchLeg, order: control.Request) -> None:
        """Tell the worker. A leg without ports hears what is in force when it has some."""
        if leg.media is not None:
            self._media.send(leg.call, order)

    def _connect(self, _tenant: TenantId, effect: do.ConnectLegs) -> None:
        a, b = self._legs.get(effect.a), self._legs.get(effect.b)
        if a is None or b is None or a.is_gone or b.is_gone:
            return
        a.join(b)
        if b.media is not None:
            self._order(a, control.Bridge(a=a.leg, b=b.leg))

    def _answer(self, leg: SwitchLeg) -> None:
        if leg.phase is not Phase.ARRIVED or leg.session is None or leg.media is None:
            return
        if leg.offer is None:  # the caller wants our offer in the 2xx; its answer comes with the ACK
            leg.local = media_plan.offer(leg.media, self._codecs(leg), leg.sdp_session)
        else:
            try:
                leg.local, leg.plan = media_plan.answer(leg.offer, leg.media, self._codecs(leg), leg.sdp_session)
            except media_plan.NoCommonMedia as error:
                self.sip.reject(leg.session, 488, headers=[_warning(error.warning, str(error))])
                self._gone(leg)
                self._report(leg.tenant, inputs.LegReleased(leg=leg.leg, cause="error"))
                return
            self.describe_media(leg)
        leg.phase = Phase.ANSWERED
        self.sip.accept(leg.session, leg.local.to_bytes())

    def _refuse(self, leg: SwitchLeg, effect: do.RefuseCaller) -> None:
        headers = [_warning(INSUFFICIENT_BANDWIDTH if effect.no_bandwidth else MISCELLANEOUS, effect.reason)]
        if effect.retry_after_s is not None:
            headers.append(("Retry-After", str(effect.retry_after_s)))
        told = causes.reason_header(effect.cause) if effect.cause is not None else None
        if told is not None:
            headers.append(("Reason", told))
        if leg.session is not None:
            self.sip.reject(leg.session, effect.status, headers=headers)
        self._gone(leg)

    def _release_leg(self, leg: SwitchLeg, effect: do.ReleaseLeg) -> None:
        self._release(leg, effect.cause)

    def _release(self, leg: SwitchLeg, cause: str, *, refusing: Sequence[tuple[str, str]] = ()) -> None:
        sessions = [leg.session] if leg.session is not None else list(leg.branches)
        arrived = leg.phase is Phase.ARRIVED
        self._gone(leg)
        for session in sessions:
            if arrived:
                self.sip.reject(session, causes.release_status(cause), headers=refusing)
            else:
                self.sip.cancel_or_bye(session, reason_header=causes.reason_header(cause))

    def _ask_to_answer(self, leg: SwitchLeg, _effect: do.AskToAnswer) -> None:
        for session in leg.branches:
            self.sip.ask_to_answer(session)

    # ------------------------------------------------------------------ legs of an earlier run

    def _end_dialog(self, tenant: TenantId, effect: do.EndDialog) -> None:
        """What a crash has left up is ended by what was told of it: BYE, CANCEL of every phone that rings, or a refusal."""
        line = self._directory.trunk(tenant, effect.trunk) if effect.trunk is not None else None
        proof = credentials(line) if line is not None else None
        reason = causes.reason_header(effect.cause)
        for index, kept in enumerate(effect.dialog.split("\n"), 1):
            session = f"{effect.leg}/{effect.cause}{index}"
            try:
                self.sip.restore(session, kept, credentials=proof, answered=effect.status is None)
            except ParseError as error:
                self._not_ended(sip_events.EndingFailed(session, str(error)))
                continue
            self.counters["dialogs_ended_after_restart"] += 1
            if effect.status is None:
                self.sip.cancel_or_bye(session, reason_header=reason)
            else:
                headers = [("Reason", reason)] if reason is not None else []
                if effect.retry_after_s is not None:
                    headers.append(("Retry-After", str(effect.retry_after_s)))
                self.sip.reject(session, effect.status, headers=headers)

    def _not_ended(self, event: sip_events.EndingFailed) -> None:
        self.counters["dialogs_ended_after_restart_failed"] += 1
        log.warning("! %s: the far end could not be told that its call is over: %s", event.session, event.why)

    def _kept(self, leg: SwitchLeg) -> str | None:
        """All that rings for the leg, a line each."""
        return "\n".join([kept for session in leg.branches if (kept := self.sip.kept(session)) is not None]) or None

    # ------------------------------------------------------------------ legs we call

    def _originate(self, tenant: TenantId, effect: do.OriginateToAgent | do.OriginateToOutside) -> None:
        if effect.call in self._turned_away:
            return  # the fact that it is over is on its way
        leg = self._new_leg(SwitchLeg(effect.leg, effect.call, tenant, Phase.ORIGINATING, peer=""))
        if isinstance(effect, do.OriginateToOutside):
            leg.trunk = effect.trunk
            self._call_outside(leg, effect)
            return
        leg.agent, leg.trunk = effect.agent, effect.trunk
        ring = self._ring_agent if effect.trunk is None else self._ring_behind_trunk
        gate = self._gates.pop(effect.call, None)
        if gate is None or gate.done():
            ring(leg, effect)
        else:
            gate.add_done_callback(lambda _: ring(leg, effect))

    def _ring_agent(self, leg: SwitchLeg, effect: do.OriginateToAgent) -> None:
        if leg.is_gone:
            return
        device = self._directory.device_of(leg.tenant, effect.agent)
        bindings = self.sip.bindings(device_aor(leg.tenant, device.username)) if device is not None else []
        if not bindings:
            self._fail(leg, "unregistered", detail=f"{effect.device} has no contact registered")
            return
        leg.peer = bindings[0].flow.remote[0]
        leg.heard_at = frozenset(binding.flow.remote[0] for binding in bindings)
        headers = AUTO_ANSWER if effect.auto_answer else ()

        def invite() -> None:
            assert leg.media is not None
            offer = self._offer(leg)
            for index, binding in enumerate(bindings, 1):
                local = self._addresses.reaching(binding.flow.remote[0])
                session = f"{leg.leg}/{index}"
                self._by_session[session] = leg
                leg.branches[session] = False
                self.sip.invite(
                    session=session,
                    target=binding.contact,
                    flow=binding.flow,
                    from_=NameAddr(Uri("sip", effect.calling or "anonymous", local), effect.calling_name or ""),
                    to=NameAddr(Uri("sip", binding.contact.user, local)),
                    sdp=offer,
                    headers=headers,
                    max_forwards=self._max_forwards(leg),
                )

        if self._open_media(leg, self.shares.of_phones(leg.tenant, urgent=is_emergency(effect.called))):
            leg.when_media_is_open(invite)

    def _ring_behind_trunk(self, leg: SwitchLeg, effect: do.OriginateToAgent) -> None:
        """The agent's phone is a number behind a trunk: an extension of a foreign PBX, or a number outside (R1)."""
        assert effect.trunk is not None
        if leg.is_gone:
            return
        line = self._priced_line(leg, effect.trunk, effect.number or "")
        if line is None:
            return
        # A phone on the own PBX shows who calls; what no caller can be (110) is nobody there either.
        known = effect.calling or ""
        caller, shown = known if may_be_shown(known) or is_private(known) else "anonymous", ""
        if not self._directory.is_internal(leg.tenant, effect.trunk):
            # A carrier lets us show our own numbers; whose call it is goes beside it, as with a forwarded one.
            caller = self._directory.shown(leg.tenant, line.id, effect.number or "", line.caller_id)
            shown = known if self._may_assert(leg.tenant, known) else ""
        domain = self._domain(line)
        headers = [("P-Asserted-Identity", f"<sip:{shown}@{domain}>")] if shown else []
        headers += AUTO_ANSWER if effect.auto_answer else ()
        self._call_over(line, leg, effect.number or "", NameAddr(Uri("sip", caller, domain), effect.calling_name or ""), headers)

    def _call_outside(self, leg: SwitchLeg, effect: do.OriginateToOutside) -> None:
        line = self._priced_line(leg, effect.trunk, effect.number, effect.on_account_of)
        if line is None:
            return
        caller = self._directory.shown(leg.tenant, line.id, effect.number, effect.caller_id, line.caller_id)
        domain = self._domain(line)
        headers = []
        if effect.forwarded_from and self._may_assert(leg.tenant, effect.forwarded_from):
            # § 120 TKG: a forwarded call may show its caller; RFC 5806 says for whom it was meant.
            headers = [
                ("P-Asserted-Identity", f"<sip:{effect.forwarded_from}@{domain}>"),
                ("Diversion", f"<sip:{caller}@{domain}>;reason=unconditional"),
            ]
        self._call_over(line, leg, effect.number, NameAddr(Uri("sip", caller, domain)), headers)

    def _may_assert(self, tenant: TenantId, number: str) -> bool:
        """Whether a caller's number may stand beside one of ours: not that of another tenant, which its caller may have made up."""
        return may_be_shown(number) and not self._directory.is_anothers(tenant, number)

    def _priced_line(self, leg: SwitchLeg, trunk: TrunkId, number: str, agent: AgentId | None = None) -> TrunkLine | None:
        """The trunk, once the price of a call over it is known, reserved and told (a line of the tenant's own has none); None: the leg has
        failed.
        """
        line = self._directory.trunk(leg.tenant, trunk)
        if line is None:
            self._fail(leg, "unreachable", detail=f"trunk {trunk} is not set up")
            return None
        if not self._directory.is_internal(leg.tenant, trunk):
            try:
                quote = self._fund(leg.tenant, leg.leg, number, trunk, agent)
            except PriceRefused as refusal:
                self._fail(leg, "price_refused", detail=str(refusal))
                return None
            except DialRefused as refusal:
                self._fail(leg, refusal.cause, detail=str(refusal))
                return None
            self._report(leg.tenant, inputs.LegPriced(leg=leg.leg, quote=dict(quote)))
        return line

    def _domain(self, line: TrunkLine) -> str:
        """Whose numbers ours are at this peer: the carrier's where we have an account, else our own."""
        if line.registration is not None:
            return host_port(line.registration.registrar)[0]
        return self._addresses.reaching(host_port(line.peer)[0])

    def _call_over(self, line: TrunkLine, leg: SwitchLeg, number: str, from_: NameAddr, headers: Sequence[tuple[str, str]]) -> None:
        host, port = host_port(line.peer)
        leg.peer = host
        try:
            flow = self.sip.flow_to(line.transport, (host, port or 5060), leg.tenant)
        except LookupError as error:
            self._fail(leg, "unreachable", detail=str(error))
            return

        def invite() -> None:
            session = f"{leg.leg}/1"
            self._by_session[session] = leg
            leg.branches[session] = False
            self.sip.invite(
                session=session,
                target=Uri("sip", number, host, port),
                flow=flow,
                from_=from_,
                to=NameAddr(Uri("sip", number, host)),
                sdp=self._offer(leg, line),
                headers=headers,
                credentials=credentials(line),
                max_forwards=self._max_forwards(leg),
                patience_s=line.answer_within_s,
            )

        if self._open_media(leg, self.shares.of_phones(leg.tenant, urgent=is_emergency(number))):
            leg.when_media_is_open(invite)

    def _offer(self, leg: SwitchLeg, line: TrunkLine | None = None) -> bytes:
        assert leg.media is not None
        codecs = self._codecs(leg) if line is None else tuple(sorted(line.codecs, key=lambda codec: codec != self._spoken(leg)))
        leg.local = media_plan.offer(leg.media, codecs, leg.sdp_session)
        return leg.local.to_bytes()

    def _max_forwards(self, leg: SwitchLeg) -> int:
        """What a leg is sent with: one less than the call that it is originated for came with, so that a loop through others ends
        (RFC 7332 §5).
        """
        first = self._legs.get(LegId(f"{leg.call}.0"))
        left = first.max_forwards if first is not None else None
        return MAX_FORWARDS if left is None else min(left - 1, MAX_FORWARDS)

    def _spoken(self, leg: SwitchLeg) -> control.Codec | None:
        """What the first party of this call speaks already."""
        first = self._legs.get(LegId(f"{leg.call}.0"))
        return first.plan.codec if first is not None and first.plan is not None else None

    def _codecs(self, leg: SwitchLeg) -> tuple[control.Codec, ...]:
        """Our codecs in order of preference: the one a party of this call already speaks first, so that nothing is converted."""
        return ("PCMU", "PCMA") if self._spoken(leg) == "PCMU" else ("PCMA", "PCMU")

    def _fail(self, leg: SwitchLeg, cause: inputs.FailureCause, *, status: int | None = None, detail: str | None = None) -> None:
        self._gone(leg)
        self._report(leg.tenant, inputs.LegFailed(leg=leg.leg, cause=cause, status=status, detail=detail))

    # ------------------------------------------------------------------ media

    def _open_media(self, leg: SwitchLeg, share: Share) -> bool:
        """Ask for ports; if there are none for this call, the leg is over.

        Args:
            share: what the call takes them from; a call that has a leg already goes on with the one it has.
        """
        if not self._takes_ports(leg, share):
            self._without_ports(leg)
        return leg.takes_ports

    def _takes_ports(self, leg: SwitchLeg, share: Share) -> bool:
        leg.takes_ports = self.ports.open_leg(leg.call, share, monotonic())
        if leg.takes_ports:
            self._relocation.open(leg)
        return leg.takes_ports

    def _without_ports(self, leg: SwitchLeg) -> None:
        log.info("= %s: tenant %s has used up its share of media ports", leg.leg, leg.tenant)
        if leg.phase is Phase.ARRIVED:
            self._turned_away[leg.call] = None
            if len(self._turned_away) > MOST_TURNED_AWAY:
                del self._turned_away[next(iter(self._turned_away))]
        self.without_media(leg, NO_PORTS)

    def _arrived_share(self, tenant: TenantId, trunk: TrunkId | None, called: str = "") -> Share:
        """Whose an arrived call is; 110 and 112 from our own people are urgent, from a carrier they are not."""
        urgent = is_emergency(called) and (trunk is None or self._directory.is_internal(tenant, trunk))
        return self.shares.of_phones(tenant, urgent=urgent) if trunk is None else self.shares.of_trunk(tenant, trunk, urgent=urgent)

    def without_media(self, leg: SwitchLeg, reason: str) -> None:
        """No ports are to be had for a leg."""
        if leg.phase is Phase.ANSWERED:
            self.lose(leg, "error")
        elif leg.phase is Phase.ARRIVED and leg.session is not None:
            self.sip.reject(leg.session, 503, headers=[_warning(MISCELLANEOUS, reason), ("Retry-After", "10")])
            self._gone(leg)
            self._report(leg.tenant, inputs.LegReleased(leg=leg.leg, cause="error"))
        else:
            for session in list(leg.branches):
                self.sip.cancel_or_bye(session)
            self._fail(leg, "congestion", detail=reason)

    def describe_media(self, leg: SwitchLeg) -> None:
        """Tell the worker what was agreed on; a leg without ports is described when it has some."""
        if leg.media is None:
            return
        assert leg.plan is not None
        silence = 0.0 if leg.holding or leg.is_moving else self._settings.media_silence_s
        until_heard = not self._may_send_audio(leg, leg.plan)
        known = self._known_hosts(leg, leg.plan.audio.remote_address)
        self._media.send(leg.call, leg.plan.describe(leg.leg, silence, signals_from=known, until_heard=until_heard))

    def _known_hosts(self, leg: SwitchLeg, described: str) -> frozenset[str]:
        """Where the far end is, whatever its packets say: where it was heard, where a trunk's calls go, and what it describes, if its
        carrier is known to send from there.
        """
        if leg.trunk is None:
            return leg.heard_at
        hosts = leg.heard_at | self._directory.peers_of(leg.tenant, leg.trunk)
        address = address_of(described)
        if address is not None and self._directory.is_source_of(leg.tenant, leg.trunk, described):
            hosts |= {str(address)}
        return hosts

    def _may_send_audio(self, leg: SwitchLeg, plan: media_plan.MediaPlan) -> bool:
        """Whether audio may go to the address in the far end's description at once; else it goes where its packets come from.

        Phones and PBXs that write 127.0.0.1 there exist and can be talked to like that, since all of them send. To refuse them (488) would
        cost them their calls and protect nobody more.
        """
        address = plan.audio.remote_address
        if plan.is_hold or address in leg.heard_at or self._reach.allows(address):
            return True
        # A phone on this machine that writes the machine's address in the network.
        if leg.heard_at and all(map(self._reach.is_own, leg.heard_at)) and self._reach.allows_from_here(address):
            return True
        if leg.denied_audio != address:
            leg.denied_audio = address
            self.counters["audio_addresses_denied"] += 1
            # Common and harmless where it is an address of ours: one that is written behind a NAT or a tunnel, or a loopback address.
            level = logging.INFO if self._reach.is_own(address) else logging.WARNING
            log.log(level, AUDIO_WAITS, leg.leg, address, ", ".join(sorted(leg.heard_at)))
        return False

    def on_media(self, report: PlaneReport) -> None:
        """One report of a media worker."""
        act = self._of_media.get(type(report))
        if act is not None:
            act(report)

    def _digit(self, report: control.DigitReceived) -> None:
        self._with(report.leg, lambda leg: self._report(leg.tenant, inputs.DigitPressed(leg=leg.leg, digit=report.digit)))

    def _played(self, report: control.PlayEnded) -> None:
        outcome = report.outcome
        if outcome == "stopped":
            return
        known = self._legs.get(LegId(report.leg))
        if report.play == f"{report.leg}/{WARNING}":  # nobody in the core waits for it
            if known is not None and known.playing is not None:
                self._order(known, known.playing)
            return
        if known is not None and known.playing is not None and known.playing.play == report.play:
            known.playing = None
        if outcome == "unknown_sound":
            self.counters["unknown_sounds"] += 1
            log.warning("! %s: a sound of play %s is not there", report.leg, report.play)
        ended = inputs.SoundsEnded(leg=LegId(report.leg), play=PlayId(report.play), outcome=outcome)
        self._with(report.leg, lambda leg: self._report(leg.tenant, ended))

    def _measured(self, report: control.LegClosed) -> None:
        leg = self._measuring.pop(report.leg, None)
        if leg is not None:
            self._report(leg.tenant, inputs.QualityMeasured(leg=leg.leg, quality=msgspec.structs.asdict(report.quality)))

    def _silent_leg(self, report: control.LegSilent) -> None:
        self._with(report.leg, lambda leg: self.lose(leg, "media_silent"))

    def _recorded(self, report: control.RecordingEnded) -> None:
        recording = self._recordings.pop(report.recording, None)
        if recording is not None:
            ended = inputs.RecordingEnded(
                recording=recording.recording, path=report.path, duration_ms=report.duration_ms, error=report.error
            )
            self._report(recording.tenant, ended)

    def _latched(self, _report: control.LegLatched) -> None:
        self.counters["legs_latched"] += 1

    def _worker_lost(self, report: WorkerLost) -> None:
        self.counters["workers_lost"] += 1
        for name in report.legs:
            self._measuring.pop(name, None)
            self._with(name, self._relocation.move)
        lost = set(report.legs)
        for recording in list(self._recordings.values()):
            if recording.is_begun and not lost.isdisjoint(recording.legs):
                del self._recordings[recording.recording]
                self._spawn(self._break_off(recording))

    def _worker_restarted(self, _report: WorkerRestarted) -> None:
        self._relocation.worker_restarted()

    async def _break_off(self, recording: Recording) -> None:
        """Its worker ended: what is in the file is all there will be. Whether another one is begun is the core's to say."""
        error = "its media worker ended"
        duration_ms = 0
        try:
            duration_ms = await asyncio.to_thread(salvage, recording.path)
        except OSError as fault:
            error = f"{error}, and the file cannot be read: {fault}"
        log.warning("! %s: recording %s broke off after %d ms: %s", recording.call, recording.recording, duration_ms, error)
        ended = inputs.RecordingEnded(
            recording=recording.recording, path=recording.path, duration_ms=duration_ms, error=error, broke_off=True
        )
        self._report(recording.tenant, ended)

    def _with(self, name: str, act: Callable[[SwitchLeg], None]) -> None:
        leg = self._legs.get(LegId(name))
        if leg is not None and not leg.is_gone:
            act(leg)

    def lose(self, leg: SwitchLeg, cause: str) -> None:
        """End a leg from here because its media died, and say so to the core."""
        self._release(leg, cause)
        self._report(leg.tenant, inputs.LegReleased(leg=leg.leg, cause="media_silent" if cause == "media_silent" else "error"))

    def _recording_path(self, tenant: TenantId, recording: RecordingId) -> Path:
        return (self._settings.data / "tenants" / tenant / "recordings" / f"{recording.replace('/', '-')}.wav").resolve()

    def recording_left_behind(self, tenant: TenantId, recording: RecordingId) -> inputs.RecordingEnded | None:
        """What an earlier run left of a recording whose end nobody reported; None: there is no file."""
        path = self._recording_path(tenant, recording)
        try:
            duration_ms = salvage(str(path))
        except FileNotFoundError:
            return None
        except OSError as fault:
            return inputs.RecordingEnded(recording=recording, path=str(path), duration_ms=0, error=f"the file cannot be read: {fault}")
        error = "the exchange was gone when it ended"
        return inputs.RecordingEnded(recording=recording, path=str(path), duration_ms=duration_ms, error=error)

    def _begin_recording(self, tenant: TenantId, effect: do.BeginRecording) -> None:
        recording_path = self._recording_path(tenant, effect.recording)
        recording_path.parent.mkdir(parents=True, exist_ok=True)
        path = str(recording_path)
        recording = self._recordings[effect.recording] = Recording(tenant, effect.recording, effect.call, path, effect.legs)

        def begin() -> None:
            if self._recordings.get(effect.recording) is not recording:
                return  # its end was ordered before its legs had ports
            recording.is_begun = True
            self._media.send(effect.call, control.StartRecording(recording=effect.recording, path=path, legs=tuple(effect.legs)))

        for name in reversed(effect.legs):  # when the last of them is open
            begin = partial(self._when_open, name, begin)
        begin()

    def _when_open(self, name: LegId, act: Callable[[], None]) -> None:
        self._with(name, lambda leg: leg.when_media_is_open(act))

    def _end_recording(self, _tenant: TenantId, effect: do.EndRecording) -> None:
        recording = self._recordings.get(effect.recording)
        if recording is None:
            return
        if recording.is_begun:
            self._media.send(recording.call, control.StopRecording(recording=effect.recording))
            return
        del self._recordings[effect.recording]
        never = inputs.RecordingEnded(recording=effect.recording, path=recording.path, duration_ms=0, error="its legs never had ports")
        self._report(recording.tenant, never)

    # ------------------------------------------------------------------ screen pop

    def _ask_who(self, tenant: TenantId, call: CallId, number: str | None) -> None:
        if self._lookup is None or number is None:
            return
        screen = self._screens[call] = _Screen()
        lookup = self._lookup

        async def ask() -> None:
            try:
                screen.context = await lookup(tenant, number)
            except Exception:
                self.counters["lookups_failed"] += 1
                log.exception("! %s: looking up the caller failed", call)

        screen.asking = self._spawn(ask())

    def _pop_screen(self, tenant: TenantId, effect: do.PopScreen) -> None:
        """Tell the desk first; the phone is rung when it has been told, or after `POP_PATIENCE_S`."""
        if effect.call in self._turned_away:
            return
        if effect.call not in self._screens:
            self._ask_who(tenant, effect.call, effect.calling)
        screen = self._screens.get(effect.call)
        if screen is None or screen.asking is None or screen.asking.done():
            desks = self._show(tenant, effect, screen)
            if desks:
                self._gates[effect.call] = self._spawn(_within(POP_PATIENCE_S, desks))
            return
        asking = screen.asking

        async def ask_and_show() -> None:
            await asyncio.wait([asking], timeout=POP_PATIENCE_S)
            await _within(POP_PATIENCE_S, self._show(tenant, effect, screen))

        self._gates[effect.call] = self._spawn(ask_and_show())

    def _show(self, tenant: TenantId, effect: do.PopScreen, screen: _Screen | None) -> list[asyncio.Future[None]]:
        context = (screen.context if screen is not None else None) or ScreenContext()
        return self._pop(
            tenant,
            ScreenPop(
                agent=effect.agent,
                call=effect.call,
                queue=effect.queue,
                number=effect.calling,
                called=effect.called,
                waited_s=effect.waited_s,
                contact=context.contact,
                tickets=context.tickets,
                appointment=context.appointment,
            ),
        )

    # ------------------------------------------------------------------ SIP events

    def _incoming(self, event: sip_events.IncomingInvite) -> None:
        request = event.request
        host = event.flow.remote[0]
        called = normalise(request.uri.user or "")
        call = self.mint_call()
        source: tuple[TenantId, TrunkLine | None, AgentId | None] | None = None
        if event.authenticated_as is not None:
            found = self._directory.device_at(event.authenticated_as)
            if found is not None:
                source = (found[0], None, found[1].agent)
        else:
            came = arrival(self._directory, request, event.flow)
            if isinstance(came, Nobodys):
                self.counters["invites_to_nobodys_number"] += 1
                self.sip.reject(event.session, 404)
                return
            if came is not None:
                source, called = (came.tenant, came.line, None), came.called
        if source is None:
            self.sip.reject(event.session, 403)
            return
        tenant, trunk, agent = source
        if tenant in self._directory.suspended:
            self.counters["invites_refused_without_journal"] += 1
            self.sip.reject(event.session, 503, headers=[_warning(MISCELLANEOUS, "The exchange cannot take calls."), RETRY_AFTER])
            return
        share = self._arrived_share(tenant, trunk.id if trunk is not None else None, called)
        # A call from outside to nowhere will be refused: it takes no ports, asks nobody, and a flood of them leaves no records.
        leads_somewhere = agent is not None or share.urgent or self._directory.has_number(tenant, called)
        if not leads_somewhere and not self._nowhere.take(share, monotonic()):
            self.unrecorded[tenant] += 1
            self.sip.reject(event.session, 404, headers=[_warning(MISCELLANEOUS, "The number does not exist here.")])
            return
        try:
            offer = media_plan.read(event.offer) if event.offer is not None else None
        except media_plan.NoCommonMedia as error:
            self.counters["unsupported_media"] += 1
            self.sip.reject(event.session, 488, headers=[_warning(error.warning, str(error))])
            return
        leg = SwitchLeg(LegId(f"{call}.0"), call, tenant, Phase.ARRIVED, peer=host, session=event.session, offer=offer)
        leg.heard_at = frozenset({host})
        leg.agent, leg.trunk = agent, trunk.id if trunk is not None else None
        leg.max_forwards = request.max_forwards
        if trunk is not None:
            self._directory.saw_call(tenant, host)
        self._new_leg(leg)
        self._by_session[event.session] = leg
        if leads_somewhere:
            self._takes_ports(leg, share)
        asserted = request.headers.get("P-Asserted-Identity") if trunk is not None else None
        party = _name_addr(asserted) or request.from_
        calling, name = calling_number(party.uri.user), fit_or_none(party.display_name, LONGEST_NAME)
        if agent is None:
            if leg.takes_ports:
                self._ask_who(tenant, call, calling)
        elif (person := self._directory.agent(tenant, agent)) is not None:
            # Who was proved by digest is known better than what the phone writes into From.
            calling, name = person.extension or calling, person.name
        self._report(
            tenant,
            inputs.CallArrived(
                call=call,
                leg=leg.leg,
                trunk=leg.trunk,
                agent=agent,
                calling=calling,
                calling_name=name,
                called=called,
                channel_kbits=media_plan.offered_kbits(offer) if offer is not None else None,
                dialog=self.sip.kept(event.session),
            ),
        )
        if leads_somewhere and not leg.takes_ports:
            self._without_ports(leg)  # after it was written down that there was a call

    def _progress(self, event: sip_events.SessionProgress) -> None:
        leg = self._by_session.get(event.session)
        if leg is not None and event.session in leg.branches and event.status in {180, 183} and not any(leg.branches.values()):
            leg.branches[event.session] = True
            self._report(leg.tenant, inputs.LegAlerting(leg=leg.leg, dialog=self._kept(leg)))

    def _accepted(self, event: sip_events.SessionAccepted) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone or leg.session is not None:
            self.sip.cancel_or_bye(event.session, reason_header=causes.reason_header("answered_elsewhere"))
            return
        try:
            assert leg.local is not None
            leg.plan = media_plan.agreed(leg.local, event.sdp)
        except media_plan.NoCommonMedia as error:
            self.sip.cancel_or_bye(event.session)
            self._fail(leg, "unsupported_media", status=488, detail=str(error))
            return
        leg.session = event.session
        leg.phase = Phase.ANSWERED
        if leg.trunk is not None:
            if address_of(event.came_from) is not None:
                leg.heard_at |= {event.came_from}
            self._directory.saw_answer(leg.tenant, leg.trunk, event.came_from)
        for session in list(leg.branches):
            if session != event.session:
                self._by_session.pop(session, None)
                self.sip.cancel_or_bye(session, reason_header=causes.reason_header("answered_elsewhere"))
        leg.branches.clear()
        leg.is_confirmed = True
        self.describe_media(leg)
        self._report(leg.tenant, inputs.LegAnswered(leg=leg.leg, dialog=self.sip.kept(event.session)))
        self._relocation.settle(leg)

    def _confirmed(self, event: sip_events.SessionConfirmed) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone:
            return
        if leg.plan is None:
            try:
                assert leg.local is not None
                leg.plan = media_plan.agreed(leg.local, event.sdp)
            except media_plan.NoCommonMedia:
                self.lose(leg, "error")
                return
            self.describe_media(leg)
        leg.is_confirmed = True
        self._report(leg.tenant, inputs.LegAnswered(leg=leg.leg))
        self._relocation.settle(leg)

    def _failed(self, event: sip_events.SessionFailed) -> None:
        leg = self._by_session.pop(event.session, None)
        if leg is None or leg.is_gone:
            return
        leg.branches.pop(event.session, None)
        leg.failures.append(event.status)
        if not leg.branches and leg.session is None:
            status = causes.worst_of(leg.failures)
            if leg.trunk is not None and event.response is None:
                # Nobody there (RFC 3261 §8.1.3.1), which is the trunk's fault and says nothing about the number.
                self._silent(leg.tenant, leg.trunk)
                self._fail(leg, "unreachable", status=status, detail="the trunk gave no answer")
                return
            self._fail(leg, causes.failure_cause(status), status=status, detail=fit_or_none(event.reason, LONGEST_LINE))

    def _answered_late(self, event: sip_events.AnsweredLate) -> None:
        """Whoever bills us for it is right: the record says so too."""
        found = self._given_up.pop(event.session, None)
        if found is None:
            self.counters["forks_answered"] += 1
            log.warning("! %s: a second callee has answered, and was let go; its carrier may bill it", event.session)
            return
        tenant, leg, call = found
        self.counters["legs_answered_late"] += 1
        log.warning("! %s: it was answered when it had been taken back; it is charged as what it is", leg)
        self._report(tenant, inputs.LegAnsweredLate(leg=leg, call=call))

    def _ended(self, event: sip_events.SessionEnded) -> None:
        self._given_up.pop(event.session, None)
        leg = self._by_session.pop(event.session, None)
        if leg is None or leg.is_gone:
            return
        if event.session in leg.branches:  # a branch we cancelled ourselves
            leg.branches.pop(event.session)
            return
        before_answer = leg.phase is Phase.ARRIVED
        self._gone(leg)
        cause: Any = {"timeout": "timeout", "transport": "transport"}.get(event.by, "cancelled" if before_answer else "hang_up")
        self._report(leg.tenant, inputs.LegReleased(leg=leg.leg, cause=cause))

    def _reinvited(self, event: sip_events.ReInviteReceived) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone:
            self.sip.reject_reinvite(event.session, 481)
            return
        leg.asked = event
        leg.when_media_is_open(lambda: self._answer_reinvite(leg, event))

    def _taken_back(self, event: sip_events.ReInviteCancelled) -> None:
        leg = self._by_session.get(event.session)
        if leg is not None:
            leg.asked = None

    def _answer_reinvite(self, leg: SwitchLeg, event: sip_events.ReInviteReceived) -> None:
        if leg.asked is not event:
            return
        leg.asked = None
        assert leg.media is not None
        if event.sdp is None:  # a refresh or an offerless re-INVITE: our offer goes back unchanged
            leg.local = media_plan.offer(leg.media, self._codecs(leg), leg.sdp_session, leg.local)
            self.sip.accept_reinvite(event.session, leg.local.to_bytes())
            self._relocation.settle(leg)
            return
        try:
            leg.local, plan = media_plan.answer(media_plan.read(event.sdp), leg.media, self._codecs(leg), leg.sdp_session, leg.local)
        except media_plan.NoCommonMedia as error:
            self.sip.reject_reinvite(event.session, 488)
            log.info("= %s: re-INVITE without common media: %s", leg.leg, error)
            return
        self.sip.accept_reinvite(event.session, leg.local.to_bytes())
        self.adopt(leg, plan)
        self._relocation.settle(leg)

    def adopt(self, leg: SwitchLeg, plan: media_plan.MediaPlan) -> None:
        """A change of the session was agreed on, whoever offered it: the media follow, and the core hears of a hold."""
        previous, leg.plan = leg.plan, plan
        was_held = leg.holding
        if previous is None or plan.is_hold != previous.is_hold:
            leg.holding = plan.is_hold
        self.describe_media(leg)
        if leg.holding and not was_held:
            self._report(leg.tenant, inputs.LegHeldByParty(leg=leg.leg))
        elif was_held and not leg.holding:
            self._report(leg.tenant, inputs.LegRetrievedByParty(leg=leg.leg))

    def _refreshed(self, event: sip_events.ReInviteAnswered) -> None:
        """Our session refresh was answered with another description than before (RFC 4028 §7.4): the media may have moved."""
        leg = self._by_session.get(event.session)
        if leg is not None and leg.offered is not None:  # it was no refresh
            self._relocation.answered(leg, event)
            return
        if leg is None or leg.is_gone or leg.local is None or event.status >= 300 or event.sdp is None:
            return
        try:
            plan = media_plan.agreed(leg.local, event.sdp)
        except media_plan.NoCommonMedia as error:
            log.warning("! %s: the answer to our refresh cannot be used, media stay as they are: %s", leg.leg, error)
            return
        self.adopt(leg, plan)

    def _info(self, event: sip_events.InfoReceived) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone:
            return
        digit = media_plan.dtmf_relay_digit(event.content_type, event.body)
        if digit is not None:
            self._report(leg.tenant, inputs.DigitPressed(leg=leg.leg, digit=digit))

    # ------------------------------------------------------------------ a tenant whose exchange stopped

    def give_up(self, tenant: TenantId) -> int:
        """End every leg of a suspended tenant: nothing that happens could be written down. Returns how many there were."""
        legs = [leg for leg in self._legs.values() if leg.tenant == tenant and not leg.is_gone]
        for leg in legs:
            self._release(leg, "journal_stopped", refusing=(RETRY_AFTER,))
            self._measuring.pop(leg.leg, None)
        return len(legs)

    # ------------------------------------------------------------------ bookkeeping

    def mint_call(self) -> CallId:
        """A conversation id: sortable by time (seconds, 8 hexadecimal digits), unguessable behind it."""
        return CallId(f"{int(self._clock()):08x}-{secrets.token_hex(6)}")

    def _new_leg(self, leg: SwitchLeg) -> SwitchLeg:
        self._ids += 1
        leg.sdp_session = self._ids
        self._legs[leg.leg] = leg
        self._calls[leg.call] += 1
        return leg

    def _gone(self, leg: SwitchLeg) -> None:
        """The leg is over for the switch: close its media, forget its names."""
        if leg.is_gone:
            return
        leg.is_gone = True
        leg.part()
        if leg.media is not None:
            self._measuring[leg.leg] = leg
            self._media.send(leg.call, control.CloseLeg(leg=leg.leg))
        if leg.session is not None:
            self._by_session.pop(leg.session, None)
        for session in leg.branches:
            self._by_session.pop(session, None)
            if leg.phase is Phase.ORIGINATING and leg.trunk is not None and not self._directory.is_internal(leg.tenant, leg.trunk):
                self._given_up[session] = leg.tenant, leg.leg, leg.call
        while len(self._given_up) > MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]
        self._legs.pop(leg.leg, None)
        if leg.takes_ports:
            self.ports.leg_gone(leg.call, monotonic())
        self._calls[leg.call] -= 1
        if self._calls[leg.call] <= 0:
            del self._calls[leg.call]
            self._screens.pop(leg.call, None)
            self._gates.pop(leg.call, None)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def live_legs(self) -> int:
        return len(self._legs)

    def describe(self, tenant: TenantId) -> dict[str, Any]:
        """The tenant's legs, recordings and SIP sessions: what other tenants do is not its business."""
        own = [leg for leg in self._legs.values() if leg.tenant == tenant]
        return {
            "legs": {
                leg.leg: {
                    "phase": leg.phase.value,
                    "call": leg.call,
                    "session": leg.session,
                    "branches": list(leg.branches),
                    "media": leg.media is not None,
                    "moving": leg.is_moving,
                }
                for leg in own
            },
            "recordings": [name for name, one in self._recordings.items() if one.tenant == tenant],
            "sip": self.sip.describe({session for leg in own for session in (leg.session, *leg.branches) if session is not None}),
        }


def _warning(code: int, text: str) -> tuple[str, str]:
    """A Warning header (RFC 3261 §20.43); the text may hold what a peer wrote, so it is quoted as the grammar has it."""
    return "Warning", f"{code} fernamt {quote(text)}"


async def _within(seconds: float, futures: list[asyncio.Future[None]]) -> None:
    if futures:
        await asyncio.wait(futures, timeout=seconds)


def _name_addr(text: str | None) -> NameAddr | None:
    if text is None:
        return None
    try:
        return parse_name_addr(text)
    except ParseError:
        return None
