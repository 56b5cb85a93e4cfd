"""The switch: carries out the core's effects through SIP and media, and tells it what happened (B2BUA, RFC 7092 §3.1 "signalling + media").

One method an effect, one a SIP event, one a media report; no decision is taken here that a caller or an agent could notice. The two
sides of a call never see each other's SIP: every leg is a dialog of its own, with our Contact, Call-ID and SDP (hidden topology).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from acd import sounds
from acd.clock import Clock
from acd.codecs import USUAL
from acd.comparison import SwitchView
from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import AgentId, CallId, LegId, PlayId, TenantId, TrunkId
from acd.core.inputs import Input
from acd.data_modes import SOUNDS
from acd.directory import Directory, Nobodys, device_aor
from acd.errors import DialRefused, PhoneRefused, PriceRefused
from acd.minting import mint
from acd.networks import Reach
from acd.numbers import hears_who_calls, is_emergency, is_private, may_be_shown
from acd.platform import Lookup, PinCheck
from acd.service import LineCheck, ScreenPop, TrunkLine
from acd.switch import causes, channel_costs, media_plan
from acd.switch.addresses import LocalAddresses, host_port, reach
from acd.switch.adoption import Adoption
from acd.switch.callers import Arrival
from acd.switch.dialled import Dialled, Dialling
from acd.switch.identities import ANONYMOUS, number_in, who_calls
from acd.switch.keys import Keys
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.line_checks import LineChecks
from acd.switch.lines import credentials
from acd.switch.noting import Noting
from acd.switch.pages import is_poor, line_of_call, line_of_check, line_of_late
from acd.switch.pins import PinEntry, nobodys_pin, parted
from acd.switch.port_shares import PortShares
from acd.switch.recordings import Recordings
from acd.switch.referrals import MayTransfer, Referrals
from acd.switch.relocation import Relocation
from acd.switch.rooms import Rooms
from acd.switch.screens import Screens
from acd.switch.shares import Shares
from acd.switch.silence import cause_of_end, watched_s
from acd.switch.sip_port import SipPort
from acd.wire_text import LONGEST_LINE, LONGEST_NAME, fit, fit_or_none
from billing_cdr.numbers import Format, write
from media import control
from media.client import MediaPlane, PlaneReport, WorkerLost, WorkerRestarted, count_pairs
from media.codecs.registry import CODECS
from media.prompts import OWN
from sip import events as sip_events
from sip.errors import ParseError
from sip.fair_rate import FairRate
from sip.flow import default_port
from sip.grammar import quote
from sip.headers.name_addr import NameAddr
from sip.message import MAX_FORWARDS, Request, Response
from sip.sdp import webrtc
from sip.sdp.crypto import KeySource, SrtpTerms, SrtpUse
from sip.sdp.description import SessionDescription
from sip.share import Share
from sip.source import address_of
from sip.status import reason_phrase
from sip.uri import Uri

log = logging.getLogger(__name__)

INSUFFICIENT_BANDWIDTH, MISCELLANEOUS = 370, 399
RETRY_AFTER = ("Retry-After", "30")
"""Seconds; a full disk or a failed one needs a person."""

TONE = "/tone"
"""How the play of a tone over what a leg hears is called, behind the leg's name."""
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
GONE_S = 60.0
"""So long an own sound whose file is not there is not asked for again; the operator who brings the folder back waits no longer."""
MOST_TURNED_AWAY = 1000
"""Calls without ports whose late effects are told from others': each is remembered for a few milliseconds, a flood for longer."""

MOST_GIVEN_UP = 10_000
"""Each is remembered for a round trip; a carrier that answers no CANCEL for half a minute."""

SEPARATORS = " ·-|/:,"
"""Left over in a display name where nothing is known to stand beside them."""

AUTO_ANSWER = (("Call-Info", "<sip:fernamt>;answer-after=0"), ("Alert-Info", "<http://localhost>;info=alert-autoanswer"))
"""No RFC's, but what most desk phones heed between them."""

Report = Callable[[TenantId, Input], None]
Fund = Callable[[TenantId, LegId, str, TrunkId, AgentId | None], Mapping[str, Any]]


class Switch:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange; never raises.
        fund: reserves what a leg to a number over a trunk will owe, on the account of an agent or of nobody, and returns its quote; raises
            PriceRefused, DialRefused.
        pop: publishes a screen pop to one agent's desks; says whether anybody may hear it.
        silent: told of a trunk whose peer answered nothing at all.
        ask_page: asks the pages of an agent's phone whether their code runs.
        silent_phone: the same of a registered contact, by address of record and URI.
        route: what requests over a trunk have to pass, nearest first: an outbound proxy, a Service-Route.
        user_of: who uses an agent's phone at the moment (hot desk).
        check_pin: judges a PIN.
        may_transfer: looks at what a transfer by a phone would cost, as at one by the desk; raises PriceRefused, DialRefused.
        rule: which addresses may be reached; None: as the settings say.
        draw_key: keys of ours for SRTP: so many octets that nobody can guess.
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
        pop: Callable[[TenantId, ScreenPop], bool],
        lookup: Lookup | None,
        silent: Callable[[TenantId, TrunkId], None],
        silent_phone: Callable[[str, Uri], None] = lambda _aor, _contact: None,
        ask_page: Callable[[TenantId, ef.AskPage], None] = lambda _tenant, _effect: None,
        route: Callable[[TenantId, TrunkId], tuple[Uri, ...]] = lambda _tenant, _trunk: (),
        may_transfer: MayTransfer = lambda _tenant, _agent, _number: None,
        user_of: Callable[[TenantId, AgentId], AgentId] = lambda _tenant, agent: agent,
        check_pin: PinCheck = nobodys_pin,
        rule: Reach | None = None,
        draw_key: KeySource = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._draw_key = draw_key
        self._reach = rule or reach(settings)
        self._directory = directory
        self._clock = clock
        self._media = media
        self._report = report
        self._fund = fund
        self._silent = silent
        self._silent_phone = silent_phone
        self._route = route
        self._user_of = user_of
        self._sip: SipPort | None = None
        self._addresses = LocalAddresses(settings.advertised_address, settings.media_addresses)
        self._legs: dict[LegId, SwitchLeg] = {}
        self._by_session: dict[str, SwitchLeg] = {}
        self._calls: Counter[CallId] = Counter()
        self._measuring: dict[str, SwitchLeg] = {}
        self._given_up: dict[str, tuple[TenantId, LegId, CallId]] = {}
        """Sessions of legs that cost something, which were taken back and have not ended yet."""
        self._billed: dict[str, None] = {}
        """Sessions that went out over a carrier's trunk, the latest `MOST_GIVEN_UP`: a second callee of theirs may cost."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()
        self._dialling = Dialling(directory, settings.realm, self._reach.is_own)
        self._referrals = Referrals(report, self._dialling, may_transfer, self.counters)
        self.screens = Screens(pop, lookup, self.counters, self.spawn)
        self.rooms = Rooms(media, self._legs)
        self.recordings = Recordings(settings.data, media, when_open=self._when_open, report=report, spawn=self.spawn)
        self._noting = Noting(media, self)
        self.adoption = Adoption(media, directory, self.counters, self)
        self._keys = Keys(settings, directory, self, self.counters, report=report, check_pin=check_pin)
        self._relocation = Relocation(media, self._addresses, self.counters, self, draw_key)
        self.shares = Shares(directory, settings.tenant_weights)
        self.ports = PortShares(count_pairs(settings.media_ports, settings.media_workers), settings.emergency_pairs, settings.guaranteed)
        self.line_checks = LineChecks(
            media, self._addresses, self.ports, self.shares, self.counters, draw=draw_key, measured=self._line_measured
        )
        self._turned_away: dict[CallId, None] = {}
        self._gone_sounds: dict[tuple[TenantId, str], float] = {}
        """Own sounds whose files a worker did not find, and until when what is packaged is heard instead; as many as there are, at most."""
        self._nowhere = FairRate(NOWHERE_PER_S, NOWHERE_BURST)
        self.unrecorded: Counter[TenantId] = Counter()
        """Calls to nowhere that were refused without a record."""
        self._ids = 0
        self._of_tenant: Mapping[type, Callable[[TenantId, Any], None]] = {
            ef.OriginateToAgent: self._originate,
            ef.OriginateToOutside: self._originate,
            ef.PopScreen: self._pop_screen,
            ef.ArrangeAudio: lambda _tenant, effect: self.rooms.declare(effect),
            ef.PassEarlyMedia: self._pass_early_media,
            ef.BeginRecording: self.recordings.begin,
            ef.RecordLeg: self.recordings.join,
            ef.RecordParties: self.recordings.declare,
            ef.EndRecording: self.recordings.end,
            ef.EndDialog: self._end_dialog,
            ef.AskPage: ask_page,
        }
        self._of_leg: Mapping[type, Callable[[SwitchLeg, Any], None]] = {
            ef.RingCaller: self._ring,
            ef.ShapeChannel: self._shape,
            ef.AnswerCaller: self._answer_caller,
            ef.RefuseCaller: self._refuse,
            ef.ReleaseLeg: self._release_leg,
            ef.PlaySounds: self._play,
            ef.StopSounds: self._stop_sounds,
            ef.JudgePin: self._keys.judge_pin,
            ef.WarnLeg: self._warn,
            ef.AskToAnswer: self._ask_to_answer,
            ef.AnswerReferrer: lambda leg, effect: self._referrals.answer(self.sip, leg, effect),
            ef.NotifyReferrer: lambda leg, effect: self._referrals.notify(self.sip, leg, effect),
        }
        self._of_media: Mapping[type, Callable[[Any], None]] = {
            control.DigitBegan: self._keys.began,
            control.DigitReceived: self._keys.ended,
            control.PlayEnded: self._played,
            control.LegClosed: self._measured,
            control.LegSilent: self._silent_leg,
            control.LegUnheard: self._unheard,
            control.RecordingEnded: self.recordings.ended,
            control.LegLatched: self._latched,
            control.LegQuality: self._heard_of_late,
            control.BrowserChanged: self._browser_changed,
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
            sip_events.ReInviteConfirmed: self._change_confirmed,
            sip_events.ReInviteAnswered: self._refreshed,
            sip_events.ReInviteCancelled: self._taken_back,
            sip_events.InfoReceived: self._keys.info,
            sip_events.InfoAnswered: self._keys.info_answered,
            sip_events.TalkAnswered: self._talk_answered,
            sip_events.ReferReceived: lambda event: self._referrals.received(self.sip, self._by_session.get(event.session), event),
            sip_events.EndingFailed: self._not_ended,
        }
        """What of the SIP engine's events is ours."""

    def attach(self, port: SipPort) -> None:
        self._sip = port
        port.tell_changes(self.session_changed)

    def session_changed(self, session: str) -> None:
        """Something has happened to a session: whoever comes after us is to know."""
        leg = self._by_session.get(session)
        if leg is not None:
            self._noting.note(leg)

    def note(self, leg: SwitchLeg) -> None:
        """The same of a leg."""
        self._noting.note(leg)

    def write_notes(self) -> None:
        """What is to be noted is on its way now."""
        self._noting.write()

    @property
    def sip(self) -> SipPort:
        assert self._sip is not None, "the switch was used before its SIP port was attached"
        return self._sip

    # ------------------------------------------------------------------ effects of the core

    def carry_out(self, tenant: TenantId, effect: ef.Effect) -> None:
        """One effect. An effect for a leg that is gone does nothing: the fact that it went is on its way."""
        act = self._of_tenant.get(type(effect))
        if act is not None:
            act(tenant, effect)
            return
        leg = self._legs.get(effect.leg)  # type: ignore[union-attr]  # all others have one
        if leg is not None and not leg.is_gone:
            self._of_leg[type(effect)](leg, effect)

    def _shape(self, leg: SwitchLeg, effect: ef.ShapeChannel) -> None:
        """Its line is full: it is answered like this."""
        leg.step = effect.step
        if leg.costs is not None:
            leg.counted_kbits = leg.costs.degraded[effect.step].kbits

    def _ring(self, leg: SwitchLeg, _effect: ef.RingCaller) -> None:
        if leg.session is not None and leg.phase is Phase.ARRIVED and not leg.speaks_early:
            self.sip.ring(leg.session)  # behind a 183, a 180 would have some phones ring back over what they hear

    def _answer_caller(self, leg: SwitchLeg, _effect: ef.AnswerCaller) -> None:
        if not leg.takes_ports:  # the directory knew nothing of the number, but a change was under way
            self._open_media(leg, self._arrived_share(leg.tenant, leg.trunk))
        leg.when_media_is_open(lambda: self._answer(leg))

    def _play(self, leg: SwitchLeg, effect: ef.PlaySounds) -> None:
        setup = self._directory.setups[leg.tenant]
        own = setup.own_sounds
        if self._gone_sounds:
            own = {name: audio for name, audio in own.items() if self._gone_sounds.get((leg.tenant, audio), 0.0) < monotonic()}
        names = sounds.played(effect.sounds, effect.language, setup.configuration.language, own)
        folder = str(self._settings.data.absolute() / "tenants" / leg.tenant / SOUNDS) if setup.own_sounds else ""
        behind = sounds.played(effect.behind, effect.language, setup.configuration.language, own) if effect.behind else ()
        leg.playing = control.Play(leg=leg.leg, play=effect.play, sounds=names, folder=folder, loop=effect.loop, behind=behind)
        self.order(leg, leg.playing)

    def _stop_sounds(self, leg: SwitchLeg, _effect: ef.StopSounds) -> None:
        leg.playing = None
        self.order(leg, control.Stop(leg=leg.leg))

    def _warn(self, leg: SwitchLeg, effect: ef.WarnLeg) -> None:
        """What is heard is silent meanwhile and goes on by itself; what plays goes on when the tone has ended, see `_played`."""
        self.order(leg, control.Play(leg=leg.leg, play=f"{leg.leg}{TONE}", sounds=(f"tone/{effect.tone}",)))

    def order(self, leg: SwitchLeg, order: control.Request) -> None:
        """Tell the worker. A leg without ports hears what is in force when it has some."""
        if leg.media is not None:
            self._media.send(leg.call, order)

    def _answer(self, leg: SwitchLeg) -> None:
        if leg.phase is not Phase.ARRIVED or leg.session is None or leg.media is None:
            return
        if leg.offer is None:  # the caller wants our offer in the 2xx; its answer comes with the ACK
            ptime_ms = channel_costs.ptime_of(leg.step)
            leg.local = media_plan.offer(
                leg.media, self._codecs(leg), leg.sdp_session, srtp=self._srtp(leg), dtls=self.to_page(leg), ptime_ms=ptime_ms
            )
        elif not self._agree_with_caller(leg):
            return
        leg.phase = Phase.ANSWERED
        if leg.plan is not None:
            self.describe_media(leg)
        assert leg.local is not None
        self.sip.accept(leg.session, leg.local.to_bytes())

    def _agree_with_caller(self, leg: SwitchLeg) -> bool:
        """Our answer to the caller's offer; what a 183 said already is said again (RFC 3261 §13.2.1: "that same exact answer").

        Returns: False: it cannot be answered, and the leg is over.
        """
        assert leg.session is not None
        assert leg.offer is not None
        assert leg.media is not None
        if leg.local is not None and media_plan.names(leg.local, leg.media):
            return True
        try:
            codecs, spoken = self._codecs(leg), self._spoken_beside(leg)
            leg.local, leg.plan = media_plan.answer(
                leg.offer,
                leg.media,
                codecs,
                leg.sdp_session,
                leg.local,
                own=self._only(leg),
                spoken=spoken,
                srtp=self._srtp(leg),
                dtls=self.to_page(leg),
                ptime_ms=channel_costs.ptime_of(leg.step),
            )
        except media_plan.NoCommonMedia as error:
            self.sip.reject(leg.session, 488, headers=[_warning(error.warning, str(error))])
            self._gone(leg)
            self._report(leg.tenant, inp.LegReleased(leg=leg.leg, cause="error"))
            return False
        return True

    # ------------------------------------------------------------------ early media: RFC 3960 §2, RFC 3261 §13.2.1

    def _pass_early_media(self, _tenant: TenantId, effect: ef.PassEarlyMedia) -> None:
        party, leg = self._legs.get(effect.party), self._legs.get(effect.leg)
        if party is None or leg is None or party.is_gone or leg.is_gone:
            return
        if party.phase is not Phase.ARRIVED:
            return
        if not party.takes_ports:
            self._open_media(party, self._arrived_share(party.tenant, party.trunk))
        party.when_media_is_open(lambda: self._let_hear(party, leg))

    def _let_hear(self, party: SwitchLeg, leg: SwitchLeg) -> None:
        """A caller that was not answered hears the far end; what it says goes there too, since who asks for digits before the answer wants
        them.
        """
        if party.phase is not Phase.ARRIVED or party.session is None or leg.is_gone:
            return
        if party.offer is None:
            self.sip.ring(party.session)  # our offer may not go out in a response that is not acknowledged (RFC 3262 §5)
            return
        if not self._agree_with_caller(party):
            return
        assert party.local is not None
        self.describe_media(party)
        self.sip.ring(party.session, status=183, sdp=party.local.to_bytes())
        party.speaks_early = True

    def _speaks_early(self, leg: SwitchLeg, event: sip_events.SessionProgress) -> bool:
        """The far end of a leg over a trunk describes where it speaks before it answers. Of the branches of a forked INVITE the last one
        is heard; a 180 without a description behind it changes nothing.

        Returns: whether its trunk lets that through, and it can be used.
        """
        line = self._directory.trunk(leg.tenant, leg.trunk) if leg.trunk is not None else None
        if event.sdp is None or line is None or line.early_media != "pass" or leg.local is None:
            return False
        try:
            leg.plan = media_plan.agreed(leg.local, event.sdp)
        except media_plan.NoCommonMedia as error:
            log.info("= %s: early media cannot be used: %s", leg.leg, error)
            return False
        if address_of(event.came_from) is not None:
            leg.heard_at |= {event.came_from}
        self.describe_media(leg)
        return True

    def _refuse(self, leg: SwitchLeg, effect: ef.RefuseCaller) -> None:
        told = causes.telling(effect.cause)
        headers = [_warning(INSUFFICIENT_BANDWIDTH if effect.cause == "no_bandwidth" else MISCELLANEOUS, effect.reason)]
        if told.retry_after_s is not None:
            headers.append(("Retry-After", str(told.retry_after_s)))
        why = causes.refusal_reason(effect.cause)
        if why is not None:
            headers.append(("Reason", why))
        if leg.session is not None:
            self.sip.reject(leg.session, told.status, headers=headers)
        self._gone(leg)

    def _release_leg(self, leg: SwitchLeg, effect: ef.ReleaseLeg) -> None:
        self._release(leg, effect.cause, q850=effect.q850)

    def _release(self, leg: SwitchLeg, cause: str, *, q850: int | None = None, refusing: Sequence[tuple[str, str]] = ()) -> None:
        sessions = [leg.session] if leg.session is not None else list(leg.branches)
        arrived = leg.phase is Phase.ARRIVED
        self._gone(leg)
        for session in sessions:
            if arrived:
                told = causes.refusal_reason(cause)
                headers = [*refusing, *([("Reason", told)] if told is not None else [])]
                self.sip.reject(session, causes.release_status(cause), headers=headers)
            else:
                self.sip.cancel_or_bye(session, reason_header=causes.reason_header(cause, q850))

    def _ask_to_answer(self, leg: SwitchLeg, _effect: ef.AskToAnswer) -> None:
        if leg.asked_to_answer is None or leg.asked_to_answer.done():
            leg.asked_to_answer = asyncio.get_running_loop().create_future()
        for session in leg.branches:
            self.sip.ask_to_answer(session)

    def _talk_answered(self, event: sip_events.TalkAnswered) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or (event.status is not None and event.status < 300):
            return  # it has understood: now it answers, or does not
        if event.status is None:
            self._tell_asker(leg, "the phone has not said yet that it rings")
        elif event.status == 408:
            self._tell_asker(leg, "the phone said nothing")
        else:
            self._tell_asker(leg, f"the phone refused: {event.status} {reason_phrase(event.status)}")

    @staticmethod
    def _tell_asker(leg: SwitchLeg, why: str | None) -> None:
        if leg.asked_to_answer is not None and not leg.asked_to_answer.done():
            leg.asked_to_answer.set_result(why)

    async def until_taken(self, tenant: TenantId, agent: AgentId) -> None:
        """Until the agent's phone has taken the call that it was asked to take.

        Raises: PhoneRefused: it said that it does not, the call ended, or nothing came of it in `answer_within_s`.
        """
        asked = [
            leg.asked_to_answer
            for leg in self._legs.values()
            if leg.tenant == tenant and leg.agent == agent and leg.asked_to_answer is not None and leg.phase is not Phase.ARRIVED
        ]
        if not asked:
            return
        try:
            async with asyncio.timeout(self._settings.answer_within_s):
                why = await asyncio.shield(asked[-1])
        except TimeoutError:
            why = f"it rings on: the phone did not take the call within {self._settings.answer_within_s:g} s"
        if why is not None:
            self.counters["phones_refused_to_answer"] += 1
            raise PhoneRefused(why)

    # ------------------------------------------------------------------ legs of an earlier run

    def enter_again(self, leg: SwitchLeg) -> None:
        """A leg of an earlier run goes on: its sessions and ports are ours."""
        self._ids = max(self._ids, leg.sdp_session)
        self._legs[leg.leg] = leg
        self._calls[leg.call] += 1
        for session in (leg.session,) if leg.session is not None else leg.branches:
            self._by_session[session] = leg
            if self._costs(leg) and leg.phase is not Phase.ARRIVED:
                self._billed[session] = None
        has_arrived = leg.leg == f"{leg.call}.0"
        share = self._arrived_share(leg.tenant, leg.trunk) if has_arrived else self.shares.of_phones(leg.tenant)
        leg.takes_ports = self.ports.open_leg(leg.call, share, monotonic())
        self._relocation.go_on(leg)

    def await_quality(self, leg: SwitchLeg) -> None:
        """A leg that is over gives its ports back, and tells how it was."""
        leg.is_gone = True
        self._measuring[leg.leg] = leg
        self._media.send(leg.call, control.CloseLeg(leg=leg.leg))

    def _end_dialog(self, tenant: TenantId, effect: ef.EndDialog) -> None:
        """What a crash has left up is ended by what was told of it: BYE, CANCEL of every phone that rings, or a refusal."""
        line = self._directory.trunk(tenant, effect.trunk) if effect.trunk is not None else None
        proof = credentials(line) if line is not None else None
        told = causes.telling(effect.cause)
        reason = causes.refusal_reason(effect.cause) if effect.waits else causes.reason_header(effect.cause)
        for index, kept in enumerate(effect.dialog.split("\n"), 1):
            session = f"{effect.leg}/{effect.cause}{index}"
            try:
                self.sip.restore(session, kept, credentials=proof, answered=not effect.waits)
            except ParseError as error:
                self._not_ended(sip_events.EndingFailed(session, str(error)))
                continue
            self.counters["dialogs_ended_after_restart"] += 1
            if not effect.waits:
                self.sip.cancel_or_bye(session, reason_header=reason)
            else:
                headers = [("Reason", reason)] if reason is not None else []
                if told.retry_after_s is not None:
                    headers.append(("Retry-After", str(told.retry_after_s)))
                self.sip.reject(session, told.status, headers=headers)

    def _not_ended(self, event: sip_events.EndingFailed) -> None:
        self.counters["dialogs_ended_after_restart_failed"] += 1
        log.warning("! %s: the far end could not be told that its call is over: %s", event.session, event.why)

    def _kept(self, leg: SwitchLeg) -> str | None:
        """All that rings for the leg, a line each."""
        return "\n".join([kept for session in leg.branches if (kept := self.sip.kept(session)) is not None]) or None

    # ------------------------------------------------------------------ legs we call

    def _originate(self, tenant: TenantId, effect: ef.OriginateToAgent | ef.OriginateToOutside) -> None:
        if effect.call in self._turned_away:
            return  # the fact that it is over is on its way
        leg = self._new_leg(SwitchLeg(effect.leg, effect.call, tenant, Phase.ORIGINATING, peer=""))
        leg.step, leg.counted_kbits = effect.step, effect.kbits
        if isinstance(effect, ef.OriginateToOutside):
            leg.trunk = effect.trunk
            self._call_outside(leg, effect)
            return
        leg.agent, leg.trunk = effect.agent, effect.trunk
        ring = self._ring_agent if effect.trunk is None else self._ring_behind_trunk
        self.screens.when_released(effect.call, effect.agent, lambda: ring(leg, effect))

    def _ring_agent(self, leg: SwitchLeg, effect: ef.OriginateToAgent) -> None:
        if leg.is_gone:
            return
        device = self._directory.device_of(leg.tenant, effect.at or effect.agent)
        leg.srtp = SrtpUse(self._directory.srtp_of_phone(leg.tenant, effect.at or effect.agent))
        aor = device_aor(leg.tenant, device.username) if device is not None else ""
        is_sealed = device is not None and self._directory.phone_is_encrypted(leg.tenant, device.agent)
        bindings = [one for one in self.sip.to_ring(aor) if one.flow.is_encrypted or not is_sealed]
        if not bindings:
            if self.sip.bindings(aor):
                self._fail(leg, "unreachable", detail=f"{effect.device} gives no sign of life")
            else:
                self._fail(leg, "unregistered", detail=f"{effect.device} has no contact registered")
            return
        leg.peer = bindings[0].flow.remote[0]
        leg.heard_at = frozenset(binding.flow.remote[0] for binding in bindings)
        if any(binding.flow.is_websocket for binding in bindings):
            leg.ice = media_plan.draw_ice(self._draw_key)
        headers = AUTO_ANSWER if effect.auto_answer else ()
        shown = self._shown_at_phone(leg.tenant, effect)

        def invite() -> None:
            assert leg.media is not None
            offer = self._offer(leg)
            if leg.ice is not None:
                leg.to_page = self._offer_to_page(leg)
            for index, binding in enumerate(bindings, 1):
                local = self._addresses.reaching(binding.flow.remote[0])
                session = f"{leg.leg}/{index}"
                self._by_session[session] = leg
                leg.branches[session] = False
                leg.contacts[session] = aor, binding.contact
                if binding.flow.is_websocket:
                    leg.pages.add(session)
                self.sip.invite(
                    session=session,
                    target=binding.contact,
                    flow=replace(binding.flow, sealed=True) if is_sealed else binding.flow,
                    from_=NameAddr(Uri("sip", effect.calling or ANONYMOUS, local), shown),
                    to=NameAddr(Uri("sip", binding.contact.user, local)),
                    sdp=leg.to_page.to_bytes() if leg.to_page is not None and session in leg.pages else offer,
                    # RFC 7315 §4.2: which of the numbers of this phone was called.
                    headers=(*headers, ("P-Called-Party-ID", str(NameAddr(Uri("sip", effect.called, local))))),
                    max_forwards=self._max_forwards(leg),
                    patience_s=self._settings.phone_answer_within_s,
                    route=binding.routes,
                    account=aor,
                )

        if self._open_media(leg, self.shares.of_phones(leg.tenant, urgent=is_emergency(effect.called))):
            leg.when_media_is_open(invite)

    def _shown_at_phone(self, tenant: TenantId, effect: ef.OriginateToAgent) -> str:
        """The display name of a call: the queue it waits in, and who calls. What most desk phones show is the name in From, and nothing
        else; the dialplans of other exchanges put the queue's name in front of it likewise.
        """
        queues = self._directory.setups[tenant].configuration.queues if effect.queue is not None else ()
        queue = next((one.name for one in queues if one.id == effect.queue), "")
        if not queue:
            return effect.calling_name or ""
        shown = self._settings.phone_shows.format(queue=queue, caller=effect.calling_name or "", called=effect.called)
        return fit(shown.strip(SEPARATORS), LONGEST_NAME)

    def _ring_behind_trunk(self, leg: SwitchLeg, effect: ef.OriginateToAgent) -> None:
        """The agent's phone is a number behind a trunk: an extension of a foreign PBX, or a number outside (R1)."""
        assert effect.trunk is not None
        if leg.is_gone:
            return
        line = self._priced_line(leg, effect.trunk, effect.number or "")
        if line is None:
            return
        # A phone on the own PBX shows who calls; what no caller can be (110) is nobody there either.
        known = effect.calling or ""
        caller, shown = known if may_be_shown(known) or is_private(known) else ANONYMOUS, ""
        if not self._directory.is_internal(leg.tenant, effect.trunk):
            # A carrier lets us show our own numbers; whose call it is goes beside it, as with a forwarded one.
            caller = self._directory.shown(leg.tenant, line.id, effect.number or "", line.caller_id)
            shown = known if self._may_assert(leg.tenant, known) else ""
        headers = [*self._asserts(leg, line, effect.number or "", shown), *(AUTO_ANSWER if effect.auto_answer else ())]
        self._call_over(line, leg, effect.number or "", caller, effect.calling_name or "", headers)

    def _call_outside(self, leg: SwitchLeg, effect: ef.OriginateToOutside) -> None:
        line = self._priced_line(leg, effect.trunk, effect.number, effect.on_account_of)
        if line is None:
            return
        caller = self._directory.shown(leg.tenant, line.id, effect.number, effect.caller_id, line.caller_id)
        # § 120 TKG: a forwarded call may show its caller; RFC 5806 says for whom it was meant.
        source = effect.forwarded_from or ""
        headers = self._asserts(leg, line, effect.number, source if self._may_assert(leg.tenant, source) else "")
        if headers:
            headers.append(("Diversion", f"<sip:{write(caller, line.numbers_out)}@{self._domain(line)}>;reason=unconditional"))
        self._call_over(line, leg, effect.number, caller, "", headers)

    def _asserts(self, leg: SwitchLeg, line: TrunkLine, called: str, number: str) -> list[tuple[str, str]]:
        """Who calls, beside the number of ours that From shows. A number that is withheld is told inside the trust domain alone, with
        the Privacy that came with it (RFC 3325 §5, §7), and to emergency services, whom nobody hides from (§ 15 TDDDG).
        """
        first = self._legs.get(LegId(f"{leg.call}.0"))
        withheld = first.withheld if first is not None else None
        if withheld is not None and self._may_assert(leg.tenant, withheld):
            hides = not hears_who_calls(called)
            number = withheld if line.trusted or not hides else ""
        else:
            hides = False
        if not number:
            return []
        identity = ("P-Asserted-Identity", f"<sip:{write(number, line.numbers_out)}@{self._domain(line)}>")
        return [identity, ("Privacy", "id")] if hides else [identity]

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
            self._report(leg.tenant, inp.LegPriced(leg=leg.leg, quote=dict(quote)))
        return line

    def _costs(self, leg: SwitchLeg) -> bool:
        """Whether a carrier may bill it: it is over a trunk that is not the tenant's own."""
        return leg.trunk is not None and not self._directory.is_internal(leg.tenant, leg.trunk)

    def _domain(self, line: TrunkLine) -> str:
        """Whose numbers ours are at this peer: the carrier's where we have an account, else our own."""
        if line.registration is not None:
            return line.registration.from_domain or host_port(line.registration.registrar)[0]
        return self._addresses.reaching(host_port(line.peer)[0])

    def _call_over(self, line: TrunkLine, leg: SwitchLeg, number: str, caller: str, name: str, headers: Sequence[tuple[str, str]]) -> None:
        """Send the INVITE, with all numbers as the peer wants them written.

        Args:
            caller: of ours, or `anonymous`.
        """
        leg.srtp = SrtpUse(self._directory.srtp_of(leg.tenant, line))
        host, port = host_port(line.peer)
        from_ = NameAddr(Uri("sip", write(caller, line.numbers_out), self._domain(line)), name)
        dialled = write(number, line.numbers_out)
        route = self._route(leg.tenant, line.id)
        next_hop = (route[0].host, route[0].port) if route else (host, port)
        leg.peer = next_hop[0]
        if line.registration is not None and line.registration.from_user is not None:
            # The carrier knows its customer by From; whose number is shown stands beside it (RFC 3325 §9.2).
            is_told = caller == ANONYMOUS or any(field == "P-Asserted-Identity" for field, _ in headers)
            if from_.uri.user != line.registration.from_user and not is_told:
                headers = [*headers, ("P-Preferred-Identity", f"<{from_.uri}>")]
            from_ = NameAddr(from_.uri.replaced(user=line.registration.from_user), from_.display_name)
        try:
            remote = next_hop[0], next_hop[1] or default_port(line.transport)
            flow = self.sip.flow_to(line.transport, remote, leg.tenant, asks=line.tls_identity is not None)
        except LookupError as error:
            self._fail(leg, "unreachable", detail=str(error))
            return
        if self._directory.line_is_encrypted(leg.tenant, line):
            if not flow.is_encrypted:
                self._fail(leg, "unreachable", detail=f"trunk {line.id} may be spoken to under encryption alone, and has {line.transport}")
                return
            flow = replace(flow, sealed=True)

        def invite() -> None:
            session = f"{leg.leg}/1"
            self._by_session[session] = leg
            leg.branches[session] = False
            if self._costs(leg):
                self._billed[session] = None
                if len(self._billed) > MOST_GIVEN_UP:
                    del self._billed[next(iter(self._billed))]
            self.sip.invite(
                session=session,
                target=Uri("sip", dialled, host, port),
                flow=flow,
                from_=from_,
                to=NameAddr(Uri("sip", dialled, host)),
                sdp=self._offer(leg, line),
                headers=headers,
                credentials=credentials(line),
                max_forwards=self._max_forwards(leg),
                patience_s=line.answer_within_s,
                route=route,
            )

        if self._open_media(leg, self.shares.of_phones(leg.tenant, urgent=is_emergency(number))):
            leg.when_media_is_open(invite)

    def _offer(self, leg: SwitchLeg, line: TrunkLine | None = None) -> bytes:
        assert leg.media is not None
        ptime_ms = channel_costs.ptime_of(leg.step)
        leg.local = media_plan.offer(leg.media, self._codecs(leg, line), leg.sdp_session, srtp=self._srtp(leg), ptime_ms=ptime_ms)
        return leg.local.to_bytes()

    def _offer_to_page(self, leg: SwitchLeg) -> SessionDescription:
        assert leg.media is not None
        assert leg.ice is not None
        ours = media_plan.to_page(leg.media, leg.ice, self._addresses.page_addresses)
        ptime_ms = channel_costs.ptime_of(leg.step)
        return media_plan.offer(leg.media, self._codecs(leg), leg.sdp_session, dtls=ours, ptime_ms=ptime_ms)

    def to_page(self, leg: SwitchLeg) -> webrtc.Ours | None:
        """What is said of ourselves to the browser at the far end; None: it is none."""
        if not leg.is_page or leg.media is None:
            return None
        assert leg.ice is not None
        return media_plan.to_page(leg.media, leg.ice, self._addresses.page_addresses, leg.plan)

    def told(self, opened: control.LegOpened) -> control.LegOpened:
        """Ports, under the address that stands in our descriptions."""
        return msgspec.structs.replace(opened, address=self._addresses.told(opened.address))

    def _srtp(self, leg: SwitchLeg) -> SrtpTerms:
        """How this leg deals with keys now."""
        audio = leg.plan.audio if leg.plan is not None else None
        keys, shaken = (audio.srtp, audio.dtls) if audio is not None else (None, None)
        return SrtpTerms(leg.srtp, self._draw_key, keys, shaken, offers_both=leg.trunk is None)

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

    def _spoken_beside(self, leg: SwitchLeg) -> control.Codec | None:
        """What another party of this call speaks. Nobody is looked for where the answer depends on nobody: a table leads between all that
        is usual.
        """
        if set(self._listed(leg)) <= set(USUAL):
            return None
        others = (other for other in self._legs.values() if other.call == leg.call and other is not leg and not other.is_gone)
        return next((other.plan.codec for other in others if other.plan is not None), None)

    def _listed(self, leg: SwitchLeg, line: TrunkLine | None = None) -> tuple[control.Codec, ...]:
        """Codecs of this side as they are configured."""
        if line is None and leg.trunk is not None:
            line = self._directory.trunk(leg.tenant, leg.trunk)
        return self._settings.phone_codecs if line is None else line.codecs

    def _only(self, leg: SwitchLeg) -> control.Codec | None:
        """The one codec that a leg on a full line is to have; None: its line leaves it the choice."""
        return channel_costs.OPUS if leg.step == "opus" and channel_costs.OPUS in CODECS else None

    def _codecs(self, leg: SwitchLeg, line: TrunkLine | None = None) -> tuple[control.Codec, ...]:
        """The same in order of preference: the one a party of this call already speaks first, so that nothing is converted."""
        only = self._only(leg)
        if only is not None:
            return (only,)
        first = self._legs.get(LegId(f"{leg.call}.0"))
        own = leg.plan.codec if leg.plan is not None else None
        likely = None
        if first is not None and first is not leg and first.plan is None and first.offer is not None:
            likely = media_plan.likely(first.offer, self._listed(first))
        return media_plan.preferred(self._listed(leg, line), own, self._spoken(leg), likely)

    def _fail(
        self,
        leg: SwitchLeg,
        cause: inp.FailureCause,
        *,
        status: int | None = None,
        detail: str | None = None,
        moved_to: str | None = None,
        q850: int | None = None,
    ) -> None:
        self._gone(leg)
        fact = inp.LegFailed(leg=leg.leg, cause=cause, status=status, detail=detail, moved_to=moved_to, q850=q850)
        self._report(leg.tenant, fact)

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
            self._report(leg.tenant, inp.LegReleased(leg=leg.leg, cause="error"))
        else:
            for session in list(leg.branches):
                self.sip.cancel_or_bye(session, reason_header=causes.reason_header("congestion"))
            self._fail(leg, "congestion", detail=reason)

    def describe_media(self, leg: SwitchLeg) -> None:
        """Tell the worker what was agreed on; a leg without ports is described when it has some. The core hears what protects it."""
        assert leg.plan is not None
        self._tell_protection(leg, leg.plan)
        if leg.media is None:
            return
        self._tell_shape(leg, leg.plan, leg.media)
        silence = watched_s(
            self._settings.media_silence_s,
            is_answered=leg.phase is Phase.ANSWERED,
            receives=leg.plan.audio.direction.receives,
            holding=leg.holding,
            is_moving=leg.is_moving,
        )
        by_info = self._keys.takes_info(leg)
        if leg.plan.is_page:  # where it is, ICE finds, and nobody else is believed
            self._media.send(leg.call, leg.plan.describe(leg.leg, silence, digits_by_info=by_info, ice=leg.ice))
            return
        until_heard = not self._may_send_audio(leg, leg.plan)
        known = self._known_hosts(leg, leg.plan.audio.remote_address)
        self._media.send(leg.call, leg.plan.describe(leg.leg, silence, signals_from=known, until_heard=until_heard, digits_by_info=by_info))

    def _tell_protection(self, leg: SwitchLeg, plan: media_plan.MediaPlan) -> None:
        """Once, and again when it is another; a leg that never had any is not told of."""
        flow = self.sip.flow_of(leg.session) if leg.session is not None else None
        signalling = flow.transport if flow is not None and flow.is_encrypted else None
        known, (audio, suite) = leg.protection, plan.protection
        if known == (audio, suite, signalling):
            return
        if audio not in {"none", known[0]}:
            self.counters[f"legs_{audio}"] += 1
        leg.protection = audio, suite, signalling
        self._report(leg.tenant, inp.ProtectionAgreed(leg=leg.leg, audio=audio, suite=suite, signalling=signalling))

    def _tell_shape(self, leg: SwitchLeg, plan: media_plan.MediaPlan, media: control.LegOpened) -> None:
        """The ledger hears when the channel takes something else than it was told."""
        if leg.counted_kbits is None:
            return
        cost = channel_costs.as_agreed(plan, media.address)
        kbits = channel_costs.counted(cost, leg.step)
        if kbits != leg.counted_kbits:
            leg.counted_kbits = kbits
            self.counters["channels_adjusted"] += 1
            self._report(leg.tenant, inp.LegShaped(leg=leg.leg, cost=cost))

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
        if not self.line_checks.on_media(report) and act is not None:
            act(report)

    def _played(self, report: control.PlayEnded) -> None:
        outcome = report.outcome
        known = self._legs.get(LegId(report.leg))
        left_out = self._left_out(known, report)
        if outcome == "stopped":
            return
        if report.play == f"{report.leg}{TONE}":  # nobody in the core waits for it
            if known is not None and known.playing is not None:
                self.order(known, known.playing)
            return
        if known is not None and known.playing is not None and known.playing.play == report.play:
            known.playing = None
        ended = inp.SoundsEnded(leg=LegId(report.leg), play=PlayId(report.play), outcome=outcome, left_out=left_out)
        self._with(report.leg, lambda leg: self._report(leg.tenant, ended))

    def _left_out(self, leg: SwitchLeg | None, report: control.PlayEnded) -> tuple[str, ...]:
        """What of a play was not there, by the names that people know; it stands in the log, and is counted."""
        setup = self._directory.setups.get(leg.tenant) if leg is not None else None
        if leg is not None:
            own = (name.removeprefix(OWN) for name in report.left_out if name.startswith(OWN))
            self._gone_sounds.update({(leg.tenant, audio): monotonic() + GONE_S for audio in own})
        names = tuple(sounds.configured(name, setup.own_sounds if setup is not None else {}) for name in report.left_out)
        self.counters["unknown_sounds"] += len(names)
        for name in names:
            log.warning("! %s: the sound %s of play %s is not there, and was left out", report.leg, name, report.play)
        return names

    def _measured(self, report: control.LegClosed) -> None:
        leg = self._measuring.pop(report.leg, None)
        if leg is not None:
            self._report(leg.tenant, inp.QualityMeasured(leg=leg.leg, quality=msgspec.structs.asdict(report.quality)))
            line = line_of_call(leg.agent, report.quality) if self._is_page(leg) else None
            if line is not None:
                self._report(leg.tenant, line)

    def _is_page(self, leg: SwitchLeg) -> bool:
        """Whether the contact that took the call is a browser's page, as far as it is still registered."""
        aor, contact = leg.contacts.get(leg.session or "", (None, None))
        binding = self.sip.binding(aor, contact) if aor is not None and contact is not None else None
        return binding is not None and binding.flow.is_websocket

    def _silent_leg(self, report: control.LegSilent) -> None:
        self._with(report.leg, self._ask_whether_there)

    def _unheard(self, report: control.LegUnheard) -> None:
        self.counters["legs_unheard"] += 1
        self._with(report.leg, lambda leg: self._report(leg.tenant, inp.OneWayAudio(leg=leg.leg)))

    def _ask_whether_there(self, leg: SwitchLeg) -> None:
        """Silence proves nothing: who waits, is muted or suppresses silence sends no packet. Who does not answer is gone."""
        if leg.session is None or not leg.is_confirmed or leg.is_moving:
            return  # what is under way finds it out as well
        leg.asked_at = monotonic()
        self.counters["silent_legs_asked"] += 1
        self.sip.ask_whether_there(leg.session)

    def _line_measured(self, tenant: TenantId, agent: AgentId, check: LineCheck) -> None:
        """What an agent's line bears is known: the worst of its streams, since a call may be any of them."""
        self._report(tenant, line_of_check(agent, check))

    def _heard_of_late(self, report: control.LegQuality) -> None:
        """A page that is heard badly while it talks has a bad line; that it is heard well is news after that alone."""
        self._with(report.leg, lambda leg: self._regard_line(leg, report))

    def _regard_line(self, leg: SwitchLeg, report: control.LegQuality) -> None:
        measured = line_of_late(leg.agent, report) if leg.is_page else None
        if measured is None:
            return
        was_poor, leg.was_poor = leg.was_poor, is_poor(measured)
        if leg.was_poor or was_poor:
            self.counters["lines_poor_in_calls"] += leg.was_poor
            self._report(leg.tenant, measured)

    def _latched(self, _report: control.LegLatched) -> None:
        self.counters["legs_latched"] += 1

    def _browser_changed(self, report: control.BrowserChanged) -> None:
        """A page that is no more says nothing by SIP either; one that lost its network may come again by itself. Of an agent's the exchange
        decides what that means for the others; anybody else's is asked for.
        """
        self.counters[f"browsers_{report.state}"] += 1
        self._with(report.leg, lambda leg: self._regard_page(leg, report.state))

    def _regard_page(self, leg: SwitchLeg, state: Literal["connected", "suspect", "gone", "closed", "failed"]) -> None:
        if state == "connected":
            if leg.page_is_lost:
                self._report(leg.tenant, inp.PageBack(leg=leg.leg))
            leg.page_is_lost = False
        elif leg.agent is None:
            self._ask_whether_there(leg)
        else:
            leg.page_is_lost = True
            self._report(leg.tenant, inp.PageLost(leg=leg.leg, why=state))

    def _worker_lost(self, report: WorkerLost) -> None:
        self.counters["workers_lost"] += 1
        for name in report.legs:
            self._measuring.pop(name, None)
            self._with(name, self._relocation.move)
        self.recordings.worker_lost(set(report.legs))

    def _worker_restarted(self, _report: WorkerRestarted) -> None:
        self._relocation.worker_restarted()

    def living(self, name: LegId) -> SwitchLeg | None:
        """A leg that is not gone."""
        leg = self._legs.get(name)
        return leg if leg is not None and not leg.is_gone else None

    def leg_of(self, session: str) -> SwitchLeg | None:
        """The leg that a SIP session carries, or rings for."""
        return self._by_session.get(session)

    def _when_open(self, name: LegId, act: Callable[[], None]) -> None:
        self._with(name, lambda leg: leg.when_media_is_open(act))

    def _with(self, name: str, act: Callable[[SwitchLeg], None]) -> None:
        leg = self.living(LegId(name))
        if leg is not None:
            act(leg)

    def lose(self, leg: SwitchLeg, cause: str) -> None:
        """End a leg from here because its media died, and say so to the core."""
        self._release(leg, cause)
        self._report(leg.tenant, inp.LegReleased(leg=leg.leg, cause="media_silent" if cause == "media_silent" else "error"))

    # ------------------------------------------------------------------ screen pop

    def _pop_screen(self, tenant: TenantId, effect: ef.PopScreen) -> None:
        if effect.contact not in self._turned_away:
            self.screens.wanted(tenant, effect)

    # ------------------------------------------------------------------ SIP events

    def _incoming(self, event: sip_events.IncomingInvite) -> None:
        request = event.request
        host = event.flow.remote[0]
        meant = Dialled(number_in(request.uri))
        call = self.mint_call()
        source: tuple[TenantId, TrunkLine | None, AgentId | None] | None = None
        if event.authenticated_as is not None:
            found = self._directory.device_at(event.authenticated_as)
            if found is not None:
                source = (found[0], None, found[1].agent)
                meant = self._dialling.meant(found[0], request.uri, at_home=request.from_.uri.host)
        else:
            came = event.found
            if isinstance(came, Nobodys):
                self.counters["invites_to_nobodys_number"] += 1
                self.sip.reject(event.session, 404)
                return
            if isinstance(came, Arrival):
                source, meant = (came.tenant, came.line, None), Dialled(came.called)
        if source is None:
            self.sip.reject(event.session, 403)
            return
        (tenant, trunk, agent), called = source, meant.number
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
        use = SrtpUse(self._directory.srtp_of(tenant, trunk) if trunk is not None else self._directory.srtp_of_phone(tenant, agent))
        if share.urgent and use is SrtpUse.REQUIRED:
            use = SrtpUse.WISHED  # nobody who calls for help is refused for want of keys
        try:
            offered, terms = event.offer, SrtpTerms(use, self._draw_key)
            offer = media_plan.read(offered, self._addresses.reaching(host), srtp=terms) if offered is not None else None
        except media_plan.NoCommonMedia as error:
            self.counters["unsupported_media"] += 1
            self.sip.reject(event.session, 488, headers=[_warning(error.warning, str(error))])
            return
        pin: str | None = None
        if agent is not None:
            called, pin = parted(self._directory.setups[tenant].configuration, called)
        leg = SwitchLeg(LegId(f"{call}.0"), call, tenant, Phase.ARRIVED, peer=host, session=event.session, offer=offer)
        leg.pin = PinEntry(pin) if pin is not None else None
        leg.srtp = use
        leg.is_page = event.flow.is_websocket if offer is None else webrtc.is_of_page(offer)
        leg.ice = media_plan.draw_ice(self._draw_key) if leg.is_page else None
        leg.heard_at = frozenset({host})
        leg.allows_info = _allows_info(request)
        leg.agent = self._user_of(tenant, agent) if agent is not None else None
        leg.trunk = trunk.id if trunk is not None else None
        leg.max_forwards = request.max_forwards
        listed = self._listed(leg)
        if offer is not None:
            leg.costs = channel_costs.of_their_offer(offer, use, listed)
        else:  # it is for us to offer, in the 2xx
            leg.costs = channel_costs.of_our_offer(listed, use, host, is_page=leg.is_page)
        leg.counted_kbits = channel_costs.counted(leg.costs, None)
        if trunk is not None:
            self._directory.saw_call(tenant, host)
        self._new_leg(leg)
        self._by_session[event.session] = leg
        if leads_somewhere:
            self._takes_ports(leg, share)
        calling, name, leg.withheld = who_calls(request, trunk.numbers_in if trunk is not None else "auto", is_trusted=trunk is not None)
        if agent is None:
            if leg.takes_ports:
                self.screens.arrived(tenant, call, calling)
        elif (person := self._directory.agent(tenant, agent)) is not None:
            # Who was proved by digest is known better than what the phone writes into From.
            calling, name, leg.withheld = person.extension or calling, person.name, None
        self._report(
            tenant,
            inp.CallArrived(
                call=call,
                leg=leg.leg,
                trunk=leg.trunk,
                agent=agent,
                calling=calling,
                calling_name=name,
                withheld=leg.withheld,
                called=called,
                colleague=meant.colleague,
                unknown=meant.unknown,
                channel=leg.costs,
                # It holds what was dialled; who has a PIN in there hangs up by itself if we are gone.
                dialog=self.sip.kept(event.session) if pin is None else None,
                has_pin=bool(pin),
            ),
        )
        if leads_somewhere and not leg.takes_ports:
            self._without_ports(leg)  # after it was written down that there was a call

    def _progress(self, event: sip_events.SessionProgress) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone or event.session not in leg.branches:
            return
        if self._speaks_early(leg, event):
            leg.branches[event.session] = True
            if not leg.speaks_early:
                leg.speaks_early = True
                self.counters["legs_heard_early"] += 1
                self._report(leg.tenant, inp.EarlyMediaArrived(leg=leg.leg, dialog=self._kept(leg)))
        elif event.status in {180, 183} and not any(leg.branches.values()):
            leg.branches[event.session] = True
            self._report(leg.tenant, inp.LegAlerting(leg=leg.leg, dialog=self._kept(leg)))

    def _accepted(self, event: sip_events.SessionAccepted) -> None:
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone or leg.session is not None:
            self.sip.cancel_or_bye(event.session, reason_header=causes.reason_header("answered_elsewhere"))
            return
        leg.is_page = event.session in leg.pages
        if leg.is_page:
            leg.local = leg.to_page
        try:
            assert leg.local is not None
            leg.plan = media_plan.agreed(leg.local, event.sdp)
        except media_plan.NoCommonMedia as error:
            self.sip.cancel_or_bye(event.session, reason_header=causes.reason_header("unsupported_media"))
            self._fail(leg, "unsupported_media", status=488, detail=str(error))
            return
        leg.session = event.session
        leg.phase = Phase.ANSWERED
        leg.allows_info = _allows_info(event.response)
        self._tell_asker(leg, None)
        if leg.trunk is not None:
            if address_of(event.came_from) is not None:
                leg.heard_at |= {event.came_from}
            self._directory.saw_answer(leg.tenant, leg.trunk, event.came_from)
        for session in list(leg.branches):
            if session != event.session:
                self._by_session.pop(session, None)
                self.sip.cancel_or_bye(session, reason_header=causes.reason_header("answered_elsewhere"))
        leg.branches.clear()
        leg.pages.clear()
        leg.to_page = None
        leg.is_confirmed = True
        self.describe_media(leg)
        self._report(leg.tenant, inp.LegAnswered(leg=leg.leg, dialog=self.sip.kept(event.session)))
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
        self._report(leg.tenant, inp.LegAnswered(leg=leg.leg))
        self._relocation.settle(leg)

    def _failed(self, event: sip_events.SessionFailed) -> None:
        leg = self._by_session.pop(event.session, None)
        if leg is None or leg.is_gone:
            return
        leg.branches.pop(event.session, None)
        told = event.response.headers.get_all("Reason") if event.response is not None else []
        if event.response is not None:
            leg.failures.setdefault(causes.meant_by(event.status, told), event.status)
        elif event.session in leg.contacts:
            self._silent_phone(*leg.contacts[event.session])
        if event.status >= 600 and leg.session is None:
            # RFC 3261 §16.7 step 5: "If any 6xx response is received [...] it SHOULD cancel all pending client transactions".
            for session in list(leg.branches):
                self._by_session.pop(session, None)
                self.sip.cancel_or_bye(session, reason_header=causes.ended_all(event.status, event.reason))
            leg.branches.clear()
        if leg.branches or leg.session is not None:
            return
        if not leg.failures:
            # Nobody there (RFC 3261 §8.1.3.1): a fault of the trunk or the phone, which says nothing about the number or the person.
            if leg.trunk is not None:
                self._silent(leg.tenant, leg.trunk)
            detail = "the trunk gave no answer" if leg.trunk is not None else "the phone gave no answer"
            self._fail(leg, "unreachable", status=event.status, detail=detail)
            return
        meant = causes.worst_of(list(leg.failures))
        cause = causes.failure_cause(meant, of_phone=leg.agent is not None)
        line = self._directory.trunk(leg.tenant, leg.trunk) if leg.trunk is not None else None
        moved_to = _moved_to(event, line.numbers_in if line is not None else "auto") if cause == "redirected" else None
        said = fit_or_none(", ".join([event.reason, *told]), LONGEST_LINE)
        q850 = causes.q850_told(told) if leg.trunk is not None else None  # a phone rings at several places, and has no network behind it
        self._fail(leg, cause, status=leg.failures[meant], detail=said, moved_to=moved_to, q850=q850)

    def _answered_late(self, event: sip_events.AnsweredLate) -> None:
        """Whoever bills us for it is right: the record says so too."""
        found = self._given_up.pop(event.session, None)
        if found is None and event.session not in self._billed:
            log.info("= %s: a callee has answered too late, and was let go; no carrier bills it", event.session)
            return
        if found is None:
            self.counters["forks_answered"] += 1
            log.warning("! %s: a second callee has answered, and was let go; its carrier may bill it", event.session)
            return
        tenant, leg, call = found
        self.counters["legs_answered_late"] += 1
        log.warning("! %s: it was answered when it had been taken back; it is charged as what it is", leg)
        self._report(tenant, inp.LegAnsweredLate(leg=leg, call=call))

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
        cause: Any = cause_of_end(event.by, leg.asked_at, monotonic()) or ("cancelled" if before_answer else "hang_up")
        q850 = causes.q850_told([event.reason_header]) if event.reason_header is not None else None
        self._report(leg.tenant, inp.LegReleased(leg=leg.leg, cause=cause, q850=q850))

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
        if event.sdp is None:  # our offer goes back; its answer comes with the ACK: `_change_confirmed`
            leg.local = media_plan.offer(
                leg.media,
                self._codecs(leg),
                leg.sdp_session,
                leg.local,
                srtp=self._srtp(leg),
                dtls=self.to_page(leg),
                ptime_ms=channel_costs.ptime_of(leg.step),
            )
            self.sip.accept_reinvite(event.session, leg.local.to_bytes())
            self._relocation.settle(leg)
            return
        try:
            srtp = self._srtp(leg)
            offered = media_plan.read(event.sdp, leg.media.address, srtp=srtp)
            own = leg.plan.codec if leg.plan is not None else None
            ice = leg.ice
            if media_plan.restarts_ice(offered, leg.plan):
                leg.ice = media_plan.draw_ice(self._draw_key)
            try:
                leg.local, plan = media_plan.answer(
                    offered,
                    leg.media,
                    self._codecs(leg),
                    leg.sdp_session,
                    leg.local,
                    own=own,
                    srtp=srtp,
                    dtls=self.to_page(leg),
                    ptime_ms=channel_costs.ptime_of(leg.step),
                )
            except media_plan.NoCommonMedia:
                leg.ice = ice
                raise
        except media_plan.NoCommonMedia as error:
            self.sip.reject_reinvite(event.session, 488, headers=[_warning(error.warning, str(error))])
            log.info("= %s: re-INVITE without common media: %s", leg.leg, error)
            return
        self.sip.accept_reinvite(event.session, leg.local.to_bytes())
        self.adopt(leg, plan)
        self._relocation.settle(leg)

    def _change_confirmed(self, event: sip_events.ReInviteConfirmed) -> None:
        """The ACK to our answer, or to our offer when they had none: then it has theirs (RFC 3261 §14.2, RFC 3264 §8)."""
        leg = self._by_session.get(event.session)
        if leg is None or leg.is_gone or leg.local is None or event.sdp is None:
            return
        try:
            plan = media_plan.agreed(leg.local, event.sdp, is_protected=leg.plan is not None and leg.plan.is_protected)
        except media_plan.NoCommonMedia as error:
            log.warning("! %s: the answer in the ACK cannot be used, media stay as they are: %s", leg.leg, error)
            return
        self.adopt(leg, plan)

    def adopt(self, leg: SwitchLeg, plan: media_plan.MediaPlan) -> None:
        """A change of the session was agreed on, whoever offered it: the media follow, and the core hears of a hold."""
        previous, leg.plan = leg.plan, plan
        was_held = leg.holding
        if previous is None or plan.is_hold != previous.is_hold:
            leg.holding = plan.is_hold
        self.describe_media(leg)
        if leg.holding and not was_held:
            self._report(leg.tenant, inp.LegHeldByParty(leg=leg.leg))
        elif was_held and not leg.holding:
            self._report(leg.tenant, inp.LegRetrievedByParty(leg=leg.leg))

    def _refreshed(self, event: sip_events.ReInviteAnswered) -> None:
        """Our session refresh was answered with another description than before (RFC 4028 §7.4): the media may have moved."""
        leg = self._by_session.get(event.session)
        if leg is not None and leg.offered is not None:  # it was no refresh
            self._relocation.answered(leg, event)
            return
        if leg is None or leg.is_gone or leg.local is None or event.status >= 300 or event.sdp is None:
            return
        try:
            plan = media_plan.agreed(leg.local, event.sdp, is_protected=leg.plan is not None and leg.plan.is_protected)
        except media_plan.NoCommonMedia as error:
            log.warning("! %s: the answer to our refresh cannot be used, media stay as they are: %s", leg.leg, error)
            return
        self.adopt(leg, plan)

    # ------------------------------------------------------------------ what the watchdog compares, and has done

    def views(self, tenant: TenantId) -> dict[LegId, SwitchView]:
        """The tenant's legs, to be compared with what the core and the media workers have."""
        alive = self.sip.user_agent.is_alive
        return {
            leg.leg: SwitchView(
                call=leg.call,
                is_answered=leg.phase is Phase.ANSWERED,
                waits=leg.phase is Phase.ARRIVED and leg.media is not None,
                has_session=leg.session is None or alive(leg.session),
                has_ports=leg.media is not None and not leg.is_moving,
            )
            for leg in self._legs.values()
            if leg.tenant == tenant and not leg.is_gone
        }

    def is_held(self, leg: str) -> bool:
        """Whether a leg at a media worker is known here: it lives, or its figures are awaited."""
        return leg in self._legs or leg in self._measuring or self._media.is_unclaimed(leg) or self.line_checks.has(leg)

    def end_unknown(self, leg: LegId) -> None:
        """End a leg that the core does not know."""
        self._with(leg, lambda one: self._release(one, "error"))

    def move(self, leg: LegId) -> None:
        """Open other ports for a leg that its media worker does not hold."""
        self._media.forget_leg(leg)
        self._with(leg, self._relocation.move)

    def forget_audio(self, call: CallId) -> None:
        """What is declared next is told to the media worker, whatever it was told."""
        self.rooms.lost(call)

    def close_unknown(self, legs: Iterable[str]) -> None:
        """Close legs at the media workers that nobody has."""
        for leg in legs:
            self._media.close_leg(leg)

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
        """A conversation id."""
        return mint(self._clock())

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
        self._tell_asker(leg, "the call is over")
        if leg.media is not None:
            self._measuring[leg.leg] = leg
            self._media.send(leg.call, control.CloseLeg(leg=leg.leg))
        if leg.session is not None:
            self._by_session.pop(leg.session, None)
        for session in leg.branches:
            self._by_session.pop(session, None)
            if leg.phase is Phase.ORIGINATING and self._costs(leg):
                self._given_up[session] = leg.tenant, leg.leg, leg.call
        while len(self._given_up) > MOST_GIVEN_UP:
            del self._given_up[next(iter(self._given_up))]
        self._legs.pop(leg.leg, None)
        if leg.takes_ports:
            self.ports.leg_gone(leg.call, monotonic())
        self._calls[leg.call] -= 1
        if self._calls[leg.call] <= 0:
            del self._calls[leg.call]
            self.rooms.over(leg.call)
            self.screens.over(leg.call)

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
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
            "recordings": self.recordings.of_tenant(tenant),
            "sip": self.sip.describe({session for leg in own for session in (leg.session, *leg.branches) if session is not None}),
        }


def _warning(code: int, text: str) -> tuple[str, str]:
    """A Warning header (RFC 3261 §20.43); the text may hold what a peer wrote, so it is quoted as the grammar has it."""
    return "Warning", f"{code} fernamt {quote(text)}"


def _moved_to(event: sip_events.SessionFailed, form: Format) -> str | None:
    """The number that a 3xx points at, best first (RFC 3261 §8.1.3.4). Only its user part counts: it is called over our own trunks."""
    for contact in event.contacts:
        number = number_in(contact, form)
        if number.startswith("+") and number[1:].isdigit():
            return number
    return None


def _allows_info(message: Request | Response) -> bool:
    """Whether its sender lists INFO among its methods (RFC 3261 §20.5)."""
    try:
        return "INFO" in message.allow
    except ParseError:
        return False
