"""Callers and agents of a load run: as little as a call needs, many on one port; what happened leaves a record (RFC 3261 §13, RFC 3264).

They speak to each other only through the `Floor`: an agent that answers tells who it answered, a caller whose talk is over asks the
agent to hang up when that is what its fate says. Everything else they learn from the service, as people do.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any, Literal, Protocol

from acd.switch.media_plan import capabilities
from load.phone_bank import PhoneBank, new_id
from load.profiles import AgentProfile, PlannedCall
from load.records import AgentAccount, AgentRecord, CallerRecord
from load.rtp_process import RtpClient
from load.voice import Voices
from sip.digest import DigestCredentials
from sip.errors import OfferRefused, ParseError
from sip.events import (
    Event,
    IncomingInvite,
    RegistrationDown,
    RegistrationUp,
    ReInviteReceived,
    SessionAccepted,
    SessionEnded,
    SessionFailed,
)
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.registration import RegistrationPlan
from sip.sdp.description import SessionDescription
from sip.sdp.offer_answer import Capabilities, LocalMedia, NegotiatedAudio, answer, audio_offer, read_answer
from sip.sdp.parser import parse_sdp
from sip.uri import Uri

LOG = logging.getLogger("load.parties")
KEY_DIGITS = 7
NUMBER_PREFIX = "+49301"
"""Callers show Berlin numbers of eight digits, the last seven of them their key."""
REGISTRATION_EXPIRES_S = 3600
STUCK_S = 3.0
"""A call still up so long after its talk was over will not end by itself; UDP's retransmissions had their time."""


def number_of(key: str) -> str:
    """The number a caller shows."""
    return NUMBER_PREFIX + key


def key_of(number: str | None) -> str:
    """The key in a number the service shows, however it writes it; empty: not one of ours."""
    digits = "".join(letter for letter in number or "" if letter.isdecimal())
    return digits[-KEY_DIGITS:] if len(digits) > KEY_DIGITS else ""


def is_sampled(key: str, share: float) -> bool:
    """Whether the call with this key carries RTP: both sides come to the same answer (Knuth's multiplicative hash)."""
    return (int(key or 0) * 2654435761 & 0xFFFFFFFF) < share * 0x100000000


class Floor(Protocol):
    """What a party needs of the place it is in."""

    bank: PhoneBank
    rtp: RtpClient | None
    rtp_sample: float
    voices: Voices | None
    """Those of the demonstration: words instead of counted packets."""
    sink_port: int
    """Where audio nobody listens to may be sent: bound, so that nobody gets an error, and never read."""
    flow: Flow
    capabilities: Capabilities


class CallerFloor(Floor, Protocol):
    """... and what a caller tells there."""

    def caller_answered(self, caller: Caller) -> None: ...
    def caller_ended(self, caller: Caller) -> None: ...
    def please_hang_up(self, key: str) -> None: ...


class AgentFloor(Floor, Protocol):
    """... and what an agent tells there."""

    def offer_ended(self, offer: Offer) -> None: ...
    def agent_connected(self, offer: Offer) -> None: ...


class _Media:
    """A party's share of the RTP fleet, or its voice, or the sink."""

    def __init__(self, floor: Floor, key: str, *, is_agent: bool) -> None:
        self._floor = floor
        self._key = key
        self._is_agent = is_agent
        self._seat: int | None = None
        port = floor.sink_port if floor.voices is None else floor.voices.port
        if floor.rtp is not None and is_sampled(key, floor.rtp_sample):
            taken = floor.rtp.take()
            if taken is None:
                LOG.warning("! no seat for the voice of %s: it will look like one-way audio", key)
            else:
                self._seat, port = taken
        self.local = LocalMedia(floor.bank.address, port)
        self.description: SessionDescription | None = None

    @property
    def has_voice(self) -> bool:
        """It sends and counts."""
        return self._seat is not None

    def offer(self) -> bytes:
        """The SDP of our INVITE."""
        self.description = audio_offer(self.local, session_id=self.local.port, capabilities=self._floor.capabilities)
        return self.description.to_bytes()

    def answer(self, offer: bytes) -> bytes:
        """The SDP of our 200, and the audio goes on as it says.

        Raises: ParseError, OfferRefused
        """
        agreed = answer(
            parse_sdp(offer), self.local, session_id=self.local.port, previous=self.description, capabilities=self._floor.capabilities
        )
        self.description = agreed.description
        self._talk_to(agreed.audio)
        return agreed.description.to_bytes()

    def read(self, sdp: bytes) -> None:
        """The service's answer to our offer.

        Raises: ParseError, OfferRefused
        """
        assert self.description is not None
        audio = read_answer(self.description, parse_sdp(sdp))
        self._talk_to(audio)

    def _talk_to(self, audio: NegotiatedAudio) -> None:
        if self._seat is not None and self._floor.rtp is not None:
            self._floor.rtp.start(self._seat, int(self._key or 0), (audio.remote_address, audio.remote_port), is_agent=self._is_agent)
        if self._floor.voices is None:
            return
        if audio.direction.sends:
            # A caller speaks while it waits, too: that a real phone has taken the call, nobody tells it.
            self._floor.voices.speak(self, "agent" if self._is_agent else "caller", (audio.remote_address, audio.remote_port))
        else:  # held (RFC 3264 §8.4)
            self._floor.voices.stop(self)

    def close(self, connected_s: float) -> None:
        """Fall silent."""
        if self._floor.voices is not None:
            self._floor.voices.stop(self)
        if self._seat is not None and self._floor.rtp is not None:
            self._floor.rtp.stop(self._seat, connected_s)
            self._seat = None


class Caller:
    """One call from INVITE to the end."""

    def __init__(self, floor: CallerFloor, key: str, planned: PlannedCall) -> None:
        self._floor = floor
        self.key = key
        self.planned = planned
        self.session = f"c{key}-{new_id()}"
        self._media = _Media(floor, key, is_agent=False)
        self._timer: asyncio.TimerHandle | None = None
        self.invited_at = 0.0
        self.answered_at: float | None = None
        self.connected_at: float | None = None
        self.ended_at: float | None = None
        self._gave_up = False
        self._cut = False
        self._stuck = False
        self._status: int | None = None
        self._ended_by: Literal["here", "far_end", "timeout", "transport"] = "far_end"

    def call(self, dial: str) -> None:
        """Send the INVITE."""
        floor, bank = self._floor, self._floor.bank
        remote = floor.flow.remote
        target = Uri("sip", dial, remote[0], remote[1])
        bank.attach(self.session, self)
        self.invited_at = bank.clock()
        bank.user_agent.invite(
            session=self.session,
            target=target,
            flow=floor.flow,
            from_=NameAddr(Uri("sip", number_of(self.key), bank.address)),
            to=NameAddr(Uri("sip", dial, remote[0])),
            sdp=self._media.offer(),
            now=bank.now(),
        )
        bank.flush()
        if self.planned.patience_s < 1e9:
            self._timer = asyncio.get_running_loop().call_later(self.planned.patience_s, self._give_up)

    def connected(self, at: float) -> None:
        """An agent answered: no more waiting, the talk begins."""
        if self.ended_at is not None or self.connected_at is not None:
            return
        self.connected_at = at
        self._set_timer(self.planned.talk_s, self._talked)

    def _talked(self) -> None:
        if self.planned.ended_by == "agent":
            self._floor.please_hang_up(self.key)
        else:
            self._hang_up()

    def _give_up(self) -> None:
        self._gave_up = True
        self._hang_up()

    def cut(self) -> None:
        """The run is over."""
        self._cut = True
        if self.connected_at is not None:
            self._stuck = self._floor.bank.clock() > self.connected_at + self.planned.talk_s + STUCK_S
        self._hang_up()

    def abandoned(self) -> CallerRecord:
        """Not even the goodbye was answered."""
        self._stuck = True
        return self.record()

    def _hang_up(self) -> None:
        self._ended_by = "here"
        if self.ended_at is None:
            # For the line, its place is free from the moment the caller hangs up, not from when the BYE is answered.
            self.ended_at = self._floor.bank.clock()
        self._floor.bank.user_agent.cancel_or_bye(self.session, self._floor.bank.now())
        self._floor.bank.flush()

    def _set_timer(self, delay_s: float, action: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), action)

    def on_event(self, event: Event) -> None:
        """What the engine says of this call."""
        bank = self._floor.bank
        match event:
            case SessionAccepted(sdp=sdp):
                self.answered_at = bank.clock()
                self._floor.caller_answered(self)
                try:
                    self._media.read(sdp or b"")
                except (ParseError, OfferRefused):
                    self._status = 488
                    bank.user_agent.cancel_or_bye(self.session, bank.now())
            case ReInviteReceived(sdp=sdp):
                _take_reinvite(bank, self.session, self._media, sdp)
            case SessionFailed(status=status):
                if self._ended_by != "here":
                    self._status = status
                self._over()
            case SessionEnded(by=by):
                if self._ended_by != "here" and by in {"timeout", "transport"}:
                    self._ended_by = "timeout" if by == "timeout" else "transport"
                    self._status = 408 if by == "timeout" else 503
                self._over()
            case _:
                pass

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.ended_at is None:
            self.ended_at = self._floor.bank.clock()
        self._media.close(0.0 if self.connected_at is None else self.ended_at - self.connected_at)
        self._floor.bank.detach(self.session)
        self._floor.caller_ended(self)

    def record(self) -> CallerRecord:
        """What it leaves behind."""
        return CallerRecord(
            key=self.key,
            invited_at=self.invited_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            status=self._status,
            gave_up=self._gave_up,
            cut_by_run=self._cut and self.connected_at is None,
            stuck=self._stuck,
            ended_by=self._ended_by,
        )


class AgentPhone:
    """One agent's device: registered, takes offers as its profile says."""

    def __init__(self, floor: AgentFloor, account: AgentAccount, profile: AgentProfile, rng: random.Random) -> None:
        self.floor = floor
        self.account = account
        self.profile = profile
        self.rng = rng
        self.is_registered = False
        self.refusal: str | None = None
        self.offers: list[Offer] = []
        """Those not over; more than one is the service's fault and shows in the records."""
        self.aor = Uri.parse(account.aor)
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def register(self, timeout_s: float) -> None:
        """Register; `is_registered` or `refusal` tells how it went."""
        bank = self.floor.bank
        bank.answer_for(self.aor.user or "", self._taker)
        plan = RegistrationPlan(
            aor=self.aor,
            registrar=Uri("sip", None, self.aor.host),
            flow=self.floor.flow,
            credentials=DigestCredentials(self.account.username, self.account.password),
            contact_user=self.aor.user,
            expires_s=REGISTRATION_EXPIRES_S,
        )
        bank.register(self._registration, plan, self)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._settled)
        except TimeoutError:
            self.refusal = "no answer"

    @property
    def _registration(self) -> str:
        return f"reg-{self.account.agent}"

    def unregister(self) -> None:
        """Take the registration back; nobody waits for the answer."""
        self.floor.bank.user_agent.unregister(self._registration, self.floor.bank.now())
        self.floor.bank.flush()

    def on_event(self, event: Event) -> None:
        """What becomes of the registration."""
        match event:
            case RegistrationUp():
                self.is_registered, self.refusal = True, None
            case RegistrationDown(status=status, reason=reason):
                self.is_registered, self.refusal = False, f"{status} {reason}"
            case _:
                return
        if not self._settled.done():
            self._settled.set_result(None)

    def _taker(self, event: IncomingInvite) -> Offer:
        offer = Offer(self, event)
        self.offers.append(offer)
        return offer


class Offer:
    """One INVITE at an agent."""

    def __init__(self, phone: AgentPhone, event: IncomingInvite) -> None:
        self.phone = phone
        self.session = event.session
        self._floor = phone.floor
        asserted = (identity.uri.user or str(identity.uri) for identity in event.request.asserted_identities)
        self.key = key_of(event.request.from_.uri.user) or key_of(next(asserted, ""))
        self._sdp = event.offer
        self._media: _Media | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.invited_at = self._floor.bank.clock()
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self._status: int | None = None
        self._is_ended_here = False
        self._is_cut = False

    def on_event(self, event: Event) -> None:
        """What the engine says of this session."""
        match event:
            case IncomingInvite():
                self._offered()
            case ReInviteReceived(sdp=sdp) if self._media is not None:
                _take_reinvite(self._floor.bank, self.session, self._media, sdp)
            case SessionEnded(status=status) | SessionFailed(status=status):
                self._status = None if self.answered_at is not None else status
                self._over()
            case _:
                pass

    def _offered(self) -> None:
        bank, profile, rng = self._floor.bank, self.phone.profile, self.phone.rng
        luck, delay_s = rng.random(), profile.ring.draw(rng)
        if luck < profile.declines:
            self._is_ended_here = True
            bank.user_agent.reject(self.session, 486, bank.now())
            return
        bank.user_agent.ring(self.session, bank.now())
        if luck >= profile.declines + profile.misses:
            if delay_s > 0:
                self._timer = asyncio.get_running_loop().call_later(delay_s, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        bank = self._floor.bank
        if self.ended_at is not None:
            return
        self._media = _Media(self._floor, self.key, is_agent=True)
        try:
            sdp = self._media.answer(self._sdp or b"")
        except (ParseError, OfferRefused):
            bank.user_agent.reject(self.session, 488, bank.now())
            bank.flush()
            return
        self.answered_at = bank.clock()
        bank.user_agent.accept(self.session, sdp, bank.now())
        bank.flush()
        if self.key:
            self._floor.agent_connected(self)

    def hang_up(self, *, cut: bool = False) -> None:
        """The agent ends the call."""
        bank = self._floor.bank
        self._is_ended_here, self._is_cut = True, cut
        self.ended_at = self.ended_at or bank.clock()
        bank.user_agent.cancel_or_bye(self.session, bank.now())
        bank.flush()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.ended_at = self.ended_at or self._floor.bank.clock()
        if self._media is not None:
            # A caller that is none of ours puts no stamps into its audio, and must not be missed.
            self._media.close(self.ended_at - (self.answered_at or self.ended_at) if self.key else 0.0)
        self._floor.bank.detach(self.session)
        if self in self.phone.offers:
            self.phone.offers.remove(self)
        self._floor.offer_ended(self)

    def record(self) -> AgentRecord:
        """What it leaves behind."""
        return AgentRecord(
            key=self.key,
            agent=self.phone.account.agent,
            invited_at=self.invited_at,
            answered_at=self.answered_at,
            ended_at=self.ended_at,
            ended_by="here" if self._is_ended_here else "far_end",
            status=self._status,
            cut_by_run=self._is_cut,
        )


def _take_reinvite(bank: PhoneBank, session: str, media: _Media, sdp: bytes | None) -> None:
    """The service changes the session: follow it; without an offer, offer what is."""
    try:
        answered = media.answer(sdp) if sdp is not None else media.offer()
    except (ParseError, OfferRefused):
        bank.user_agent.reject_reinvite(session, 488, bank.now())
        return
    bank.user_agent.accept_reinvite(session, answered, bank.now())


def abilities(codec: str) -> Capabilities:
    """One codec on both sides, so that stamps in the payload pass unconverted."""
    return capabilities((codec,))
