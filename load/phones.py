"""SyntheticPhone: a phone a program can use, with real SIP and real RTP; for the self-test, for tests, and for trying things by hand.

    async with SyntheticPhone(("127.0.0.1", 5060), user="anna", password="...") as phone:
        await phone.register()
        call = await phone.call("601")
        await call.answered(timeout_s=5)
        await call.send_tone(440, 1.0)
        print(dominant_hz(call.heard()))
        call.hang_up()

Every wait has a deadline and raises TimeoutError; what the other side refuses raises `CallFailed` with its SIP status (RFC 3261 §21).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from acd.switch.media_plan import capabilities
from load.phone_audio import PhoneAudio, probe_tone
from load.phone_bank import PhoneBank, new_id
from media.codecs.registry import USUAL
from media.frame import Samples
from sip.digest import DigestCredentials
from sip.errors import OfferRefused, ParseError
from sip.events import (
    Event,
    IncomingInvite,
    ReferAnswered,
    ReferProgress,
    RegistrationDown,
    RegistrationUp,
    ReInviteAnswered,
    ReInviteReceived,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
    SessionProgress,
    TalkRequested,
)
from sip.flow import HostPort, TransportName
from sip.headers.name_addr import NameAddr
from sip.message import MAX_FORWARDS, Request
from sip.registration import RegistrationPlan
from sip.sdp.crypto import SrtpTerms, SrtpUse, fresh
from sip.sdp.description import Direction, SessionDescription
from sip.sdp.offer_answer import Answered, NegotiatedAudio, answer, audio_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from sip.uri import Uri

DEFAULT_TIMEOUT_S = 10.0


class CallFailed(Exception):
    """The call did not come about, or ended before what was waited for."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class RegistrationFailed(Exception):
    """The registrar refused, or did not answer (408)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class PhoneCall:
    """One call of one phone, placed or received."""

    def __init__(self, phone: SyntheticPhone, session: str, *, is_incoming: bool, request: Request | None = None) -> None:
        self.phone = phone
        self.session = session
        self.is_incoming = is_incoming
        self.request = request
        """The INVITE, for a call that came in."""
        self.call_id = request.call_id if request is not None else new_id()
        """Call-ID of its dialog."""
        self.audio = PhoneAudio(phone.bank.address, phone.rng)
        self.negotiated: NegotiatedAudio | None = None
        self.response_status: int | None = None
        self.invited_at = phone.bank.clock()
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.ended_by: str | None = None
        self.reason_header: str | None = None
        self.is_held_by_peer = False
        self._local: SessionDescription | None = None
        self._offered: SessionDescription | None = None
        loop = asyncio.get_running_loop()
        self._ringing, self._answered, self._ended = loop.create_future(), loop.create_future(), loop.create_future()
        self._modified: asyncio.Future[int] | None = None
        self._referred: asyncio.Future[int] | None = None
        self.told: list[tuple[int, str]] = []
        """Of a transfer that we have asked for: status and Subscription-State of each NOTIFY."""
        self.on_told: Callable[[int, str], None] | None = None
        """Called with each."""
        self._news: asyncio.Future[None] | None = None
        for future in (self._ringing, self._answered):
            future.add_done_callback(_retrieve)

    # ------------------------------------------------------------------ who

    @property
    def calling(self) -> str | None:
        """The caller's number or name as the INVITE shows it."""
        return self.request.from_.uri.user if self.request is not None else self.phone.user

    # ------------------------------------------------------------------ waiting

    async def ringing(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Until the other side rings (180, 183) or has answered."""
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(self._ringing)

    async def answered(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Until the call is up: our 2xx confirmed, or theirs received.

        Raises: CallFailed: refused, or hung up before.
        """
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(self._answered)

    async def ended(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> str:
        """Until the call is over; who ended it: `remote`, `local`, `timeout`, `transport` or `failed`."""
        async with asyncio.timeout(timeout_s):
            return str(await asyncio.shield(self._ended))

    @property
    def is_up(self) -> bool:
        """Answered and not over."""
        return self.answered_at is not None and self.ended_at is None

    # ------------------------------------------------------------------ doing

    def ring(self, status: int = 180) -> None:
        """Say that the phone rings (done by itself when the call comes in)."""
        self.phone.bank.user_agent.ring(self.session, self.phone.bank.now(), status=status)
        self.phone.bank.flush()

    def speak_early(self) -> None:
        """Say 183 with a description: what is said from now on can be heard before the call is taken."""
        assert self.request is not None
        agreed = self._answer(self.request.sdp or b"")
        self._agree(agreed.audio)
        bank = self.phone.bank
        bank.user_agent.ring(self.session, bank.now(), status=183, sdp=agreed.description.to_bytes())
        bank.flush()

    async def answer(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Take the call and wait until it is up."""
        self.take()
        await self.answered(timeout_s)

    def take(self) -> None:
        """Take the call; `answered` tells when the caller has confirmed it. An offer with nothing in common is refused with 488."""
        bank = self.phone.bank
        offer = self.request.sdp if self.request is not None else None
        if offer is not None:
            try:
                agreed = self._answer(offer)
            except (ParseError, OfferRefused):
                self.decline(488)
                return
            self._agree(agreed.audio)
            sdp = agreed.description.to_bytes()
        else:
            self._local = self._offered = self._offer()
            sdp = self._local.to_bytes()
        bank.user_agent.accept(self.session, sdp, bank.now())
        bank.flush()

    def decline(self, status: int = 486) -> None:
        """Refuse a call that came in."""
        self.phone.bank.user_agent.reject(self.session, status, self.phone.bank.now())
        self.phone.bank.flush()

    def hang_up(self, reason: str | None = None) -> None:
        """End it in whatever state it is: CANCEL, BYE or refusal; with this Reason header (RFC 3326)."""
        self.phone.bank.user_agent.cancel_or_bye(self.session, self.phone.bank.now(), reason_header=reason)
        self.phone.bank.flush()

    async def hold(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Put the other side on hold by re-INVITE (RFC 3264 §8.4)."""
        await self._modify(Direction.SENDONLY, timeout_s)

    async def refer(self, number: str, timeout_s: float = DEFAULT_TIMEOUT_S, *, headers: tuple[tuple[str, str], ...] = ()) -> int:
        """Ask for a blind transfer (RFC 5589 §6.1); the final status of the REFER. What becomes of it is in `told`.

        Args:
            number: `12`, or a whole Refer-To.
        """
        server = self.phone.server
        target = number if ":" in number else str(NameAddr(Uri("sip", number, server[0], server[1])))
        self._referred = asyncio.get_running_loop().create_future()
        self.phone.bank.user_agent.refer(self.session, target, self.phone.bank.now(), headers=headers)
        self.phone.bank.flush()
        async with asyncio.timeout(timeout_s):
            return await self._referred

    async def was_told(self, status: int, timeout_s: float = DEFAULT_TIMEOUT_S) -> str:
        """Until a NOTIFY says this of the transfer; its Subscription-State."""
        async with asyncio.timeout(timeout_s):
            while True:
                for told, state in self.told:
                    if told == status:
                        return state
                self._news = asyncio.get_running_loop().create_future()
                await self._news

    async def retrieve(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Take it back."""
        await self._modify(Direction.SENDRECV, timeout_s)

    async def send_tone(self, frequency_hz: float, seconds: float) -> None:
        """Send a tone; returns when its last packet is out."""
        self.audio.say(probe_tone(frequency_hz, seconds))
        await self.audio.silence()

    def start_tone(self, frequency_hz: float, seconds: float) -> None:
        """Send a tone and do not wait."""
        self.audio.say(probe_tone(frequency_hz, seconds))

    async def press(self, digits: str, duration_ms: int = 100) -> None:
        """Press keys (RFC 4733); returns when the last is up."""
        self.audio.press(digits, duration_ms)
        await self.audio.silence()

    # ------------------------------------------------------------------ hearing

    def heard(self, since: int = 0) -> Samples:
        """Everything heard so far, int16 at 8 kHz, from sample `since` on."""
        return self.audio.heard(since)

    async def hears_tone(self, frequency_hz: float, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Until the tone has sounded for 0.2 s.

        Raises: TimeoutError: it did not.
        """
        await self.audio.wait_for_tone(frequency_hz, timeout_s)

    @property
    def digits(self) -> str:
        """Keys the other side pressed."""
        return self.audio.digits

    # ------------------------------------------------------------------ SDP

    def _offer(self) -> SessionDescription:
        use = self.phone.srtp
        return audio_offer(
            self.audio.local,
            session_id=self.phone.rng.getrandbits(31),
            capabilities=self.phone.capabilities,
            crypto=fresh(self.phone.rng.randbytes) if use.offers_keys else (),
            is_secure=use is SrtpUse.REQUIRED,
        )

    def _reoffer(self, direction: Direction = Direction.SENDRECV) -> SessionDescription:
        assert self._local is not None
        agreed = self.negotiated.srtp if self.negotiated is not None else None
        renewed = self.phone.rng.randbytes(len(agreed.send)) if agreed is not None and self.phone.renews_keys else None
        offer = reoffer(
            self._local, self.audio.local, capabilities=self.phone.capabilities, direction=direction, agreed=agreed, renewed=renewed
        )
        return offer if agreed is None or not self.phone.gives_up_keys else _without_keys(offer)

    def _answer(self, offer: bytes) -> Answered:
        agreed = answer(
            parse_sdp(offer),
            self.audio.local,
            session_id=self.phone.rng.getrandbits(31),
            previous=self._local,
            capabilities=self.phone.capabilities,
            srtp=SrtpTerms(self.phone.srtp, self.phone.rng.randbytes, self.negotiated.srtp if self.negotiated is not None else None),
        )
        self._local = agreed.description
        return agreed

    def _agree(self, audio: NegotiatedAudio) -> None:
        self.negotiated = audio
        self.is_held_by_peer = audio.is_held_by_remote
        self.audio.talk_to(audio)

    def place(self, target: Uri, from_: NameAddr, to: NameAddr, headers: tuple[tuple[str, str], ...]) -> None:
        """Send the INVITE; the phone does this."""
        bank = self.phone.bank
        self._local = self._offered = self._offer()
        bank.attach(self.session, self)
        bank.user_agent.invite(
            session=self.session,
            target=target,
            flow=bank.flow_to(self.phone.server),
            from_=from_,
            to=to,
            sdp=self._local.to_bytes(),
            now=bank.now(),
            headers=headers,
            credentials=self.phone.credentials,
            contact_user=self.phone.user,
            call_id=self.call_id,
            max_forwards=self.phone.max_forwards,
        )
        bank.flush()

    async def _modify(self, direction: Direction, timeout_s: float) -> None:
        assert self._local is not None, "a call that is not up cannot be held"
        bank = self.phone.bank
        self._offered = self._reoffer(direction)
        self._modified = asyncio.get_running_loop().create_future()
        bank.user_agent.reinvite(self.session, self._offered.to_bytes(), bank.now())
        bank.flush()
        async with asyncio.timeout(timeout_s):
            status = await self._modified
        if status >= 300:
            raise CallFailed(status, "the other side refused the change")

    # ------------------------------------------------------------------ events

    def on_event(self, event: Event) -> None:
        """What the engine says of this session."""
        match event:
            case SessionProgress(status=status, sdp=sdp):
                self.response_status = status
                if sdp is not None and self._local is not None:  # early media
                    self._agree(read_answer(self._local, parse_sdp(sdp)))
                self.ringing_at = self.ringing_at or self.phone.bank.clock()
                _settle(self._ringing)
            case SessionAccepted(sdp=sdp):
                self._accepted(sdp)
            case SessionConfirmed(sdp=sdp):
                if sdp is not None and self._offered is not None:
                    self._agree(read_answer(self._offered, parse_sdp(sdp)))
                self._is_up()
            case SessionFailed(status=status, reason=reason, response=response):
                self.reason_header = response.headers.get("Reason") if response is not None else None
                self._over("failed", status, reason)
            case SessionEnded(by=by, status=status, reason_header=reason_header):
                self.reason_header = reason_header
                self._over(by, status or 487, f"ended by {by}")
            case ReInviteReceived(sdp=sdp):
                self._reinvited(sdp)
            case ReferAnswered(status=status):
                if self._referred is not None:
                    _settle(self._referred, status)
            case ReferProgress(status=status, subscription_state=state):
                self.told.append((status, state))
                if self._news is not None:
                    _settle(self._news)
                if self.on_told is not None:
                    self.on_told(status, state)
            case TalkRequested() if self.is_incoming and not self.is_up:
                self.take()
            case ReInviteAnswered(sdp=sdp, status=status):
                if status < 300 and sdp is not None and self._offered is not None:
                    self._local = self._offered
                    self._agree(read_answer(self._offered, parse_sdp(sdp)))
                if self._modified is not None and not self._modified.done():
                    self._modified.set_result(status)
            case _:
                pass

    def _accepted(self, sdp: bytes | None) -> None:
        bank = self.phone.bank
        assert self._local is not None
        try:
            self._agree(read_answer(self._local, parse_sdp(sdp or b"")))
        except (ParseError, OfferRefused) as fault:
            bank.user_agent.cancel_or_bye(self.session, bank.now())
            self._over("failed", 488, f"the answer cannot be used: {fault}")
            return
        self._is_up()

    def _is_up(self) -> None:
        self.response_status = 200
        self.answered_at = self.answered_at or self.phone.bank.clock()
        _settle(self._ringing)
        _settle(self._answered)

    def _reinvited(self, sdp: bytes | None) -> None:
        bank = self.phone.bank
        if self.phone.refuses_changes_with is not None:
            bank.user_agent.reject_reinvite(self.session, self.phone.refuses_changes_with, bank.now())
            return
        if sdp is None:
            assert self._local is not None
            self._offered = self._reoffer()
            bank.user_agent.accept_reinvite(self.session, self._offered.to_bytes(), bank.now())
            return
        try:
            agreed = self._answer(sdp)
        except (ParseError, OfferRefused):
            bank.user_agent.reject_reinvite(self.session, 488, bank.now())
            return
        self._agree(agreed.audio)
        bank.user_agent.accept_reinvite(self.session, agreed.description.to_bytes(), bank.now())

    def _over(self, by: str, status: int, reason: str) -> None:
        if self.ended_at is not None:
            return
        self.ended_at, self.ended_by, self.response_status = self.phone.bank.clock(), by, status
        self.audio.close()
        self.phone.bank.detach(self.session)
        self.phone.forget(self)
        for future in (self._ringing, self._answered):
            if not future.done():
                future.set_exception(CallFailed(status, reason))
        if self._modified is not None and not self._modified.done():
            self._modified.set_exception(CallFailed(status, reason))
            _ = self._modified.exception()
        _settle(self._ended, by)


class SyntheticPhone:
    """One phone: one line, any number of calls."""

    def __init__(
        self,
        server: HostPort,
        user: str = "phone",
        *,
        password: str | None = None,
        domain: str | None = None,
        auth_username: str | None = None,
        display_name: str = "",
        address: str = "127.0.0.1",
        transport: TransportName = "udp",
        codecs: tuple[str, ...] = USUAL,
        srtp: SrtpUse = SrtpUse.OFF,
        auto_answer_s: float | None = None,
        takes_all: bool = False,
        seed: int = 0,
        bank: PhoneBank | None = None,
    ) -> None:
        """Args:
        server: where requests go.
        domain: of the address of record; None: the server's address.
        srtp: what it does with keys; they are drawn as all else of it, from the seed, and keep no secret.
        password: for digest; None: the phone is known by its address, as a trunk is.
        auto_answer_s: take calls after so many seconds by itself; None: the program does it.
        takes_all: it answers for every number, as a gateway does.
        bank: a port shared with other phones; None: one of its own.
        """
        self.server = server
        self.user = user
        self.domain = domain or server[0]
        self.display_name = display_name
        self.credentials = DigestCredentials(auth_username or user, password) if password is not None else None
        self.capabilities = capabilities(codecs)
        self.srtp = srtp
        self.renews_keys = False
        """Each re-INVITE of it brings a new key."""
        self.gives_up_keys = False
        """Each re-INVITE of it offers plain RTP."""
        self.auto_answer_s = auto_answer_s
        self.rng = random.Random(f"{seed}/{user}")
        self.bank = bank or PhoneBank(address, transport=transport)
        self.calls: list[PhoneCall] = []
        """Those that are not over."""
        self.on_incoming: Callable[[PhoneCall], None] | None = None
        """Called in the very moment of an INVITE, before any of its responses is out."""
        self.refuses_changes_with: int | None = None
        """A status for every re-INVITE it gets; None: it agrees to what it can."""
        self.max_forwards = MAX_FORWARDS
        """Hops its calls may take."""
        self._takes_all = takes_all
        self._owns_bank = bank is None
        self._incoming: asyncio.Queue[PhoneCall] = asyncio.Queue()
        self._registered: asyncio.Future[int] | None = None
        self._registration: str | None = None
        self._unregistered: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the port.

        Raises: OSError: it cannot be bound.
        """
        if self._owns_bank:
            await self.bank.start()
        self.bank.answer_for("" if self._takes_all else self.user, self._taker)

    async def close(self) -> None:
        """Hang up what is up and close the port. Does not unregister: a phone that loses power does not either."""
        for call in list(self.calls):
            call.hang_up()
            call.audio.close()
        if self._owns_bank:
            await self.bank.close()

    @property
    def aor(self) -> Uri:
        """Address of record."""
        return Uri("sip", self.user, self.domain)

    # ------------------------------------------------------------------ registering

    async def register(self, timeout_s: float = DEFAULT_TIMEOUT_S, *, expires_s: int = 300) -> int:
        """Register and stay registered; the seconds granted.

        Raises: RegistrationFailed: refused or unanswered.
        """
        self._registration = f"reg-{new_id()}"
        self._registered = asyncio.get_running_loop().create_future()
        plan = RegistrationPlan(
            aor=self.aor,
            registrar=Uri("sip", None, self.domain),
            flow=self.bank.flow_to(self.server),
            credentials=self.credentials,
            contact_user=self.user,
            expires_s=expires_s,
        )
        self.bank.register(self._registration, plan, self)
        async with asyncio.timeout(timeout_s):
            return await self._registered

    async def unregister(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Take the registration back and wait until it is."""
        if self._registration is None:
            return
        self._unregistered = asyncio.get_running_loop().create_future()
        self.bank.user_agent.unregister(self._registration, self.bank.now())
        self.bank.flush()
        async with asyncio.timeout(timeout_s):
            await self._unregistered
        self.bank.detach(self._registration)
        self._registration = None

    # ------------------------------------------------------------------ calling

    async def call(self, number: str, *, calling: str | None = None, headers: tuple[tuple[str, str], ...] = ()) -> PhoneCall:
        """Send the INVITE; `answered`, `ringing`, `ended` of the call tell what becomes of it.

        Args:
            number: `601`, or a whole SIP URI.
            calling: another number to show in From (trunks do); None: the phone's own.
        """
        target = Uri.parse(number) if ":" in number else Uri("sip", number, self.server[0], self.server[1])
        call = PhoneCall(self, f"out-{new_id()}", is_incoming=False)
        self.calls.append(call)
        shown = self.aor if calling is None else Uri("sip", calling, self.domain)
        call.place(
            target,
            NameAddr(shown, self.display_name),
            NameAddr(target.aor() if ":" in number else Uri("sip", number, self.domain)),
            headers,
        )
        return call

    async def incoming(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> PhoneCall:
        """The next call that comes in."""
        async with asyncio.timeout(timeout_s):
            return await self._incoming.get()

    def forget(self, call: PhoneCall) -> None:
        """A call is over."""
        if call in self.calls:
            self.calls.remove(call)

    def _taker(self, event: IncomingInvite) -> PhoneCall:
        call = PhoneCall(self, event.session, is_incoming=True, request=event.request)
        self.calls.append(call)
        if self.on_incoming is not None:
            self.on_incoming(call)
        if call.ended_at is None:
            self.bank.user_agent.ring(event.session, self.bank.now())
        self._incoming.put_nowait(call)
        if self.auto_answer_s is not None:
            asyncio.get_running_loop().call_later(self.auto_answer_s, self._auto_answer, call)
        return call

    @staticmethod
    def _auto_answer(call: PhoneCall) -> None:
        if call.ended_at is None and call.answered_at is None:
            call.take()

    def on_event(self, event: Event) -> None:
        """What becomes of the registration."""
        match event:
            case RegistrationUp(expires=expires):
                if self._registered is not None and not self._registered.done():
                    self._registered.set_result(expires)
            case RegistrationDown(status=status, reason=reason, retry_in=retry_in):
                if retry_in is None and self._unregistered is not None:
                    _settle(self._unregistered)
                elif self._registered is not None and not self._registered.done():
                    self._registered.set_exception(RegistrationFailed(status, reason))
            case _:
                pass


def _without_keys(offer: SessionDescription) -> SessionDescription:
    """The same in plain: what a session with keys must not come to."""
    (media,) = offer.media
    attributes = tuple(attribute for attribute in media.attributes if attribute.name != "crypto")
    return msgspec.structs.replace(offer, media=(msgspec.structs.replace(media, proto="RTP/AVP", attributes=attributes),))


def _settle(future: asyncio.Future[Any], value: object = None) -> None:
    if not future.done():
        future.set_result(value)


def _retrieve(future: asyncio.Future[Any]) -> None:
    """A call nobody waited for may fail in silence: its `ended_by` tells."""
    if not future.cancelled():
        _ = future.exception()
