"""The keys that a party presses, on their way: to the core, to whoever hears the party, into a command or a PIN (`digits` has the rules).

What comes by packets is told by the media worker, what comes by INFO by SIP; a key that came by both counts once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol

from acd.config import VoiceSettings
from acd.core import effects as ef
from acd.core import inputs as inp
from acd.core.ids import LegId, TenantId
from acd.core.inputs import Input
from acd.directory import Directory
from acd.platform import PinCheck
from acd.service import PinVerdict
from acd.switch.digits import CARRY_AFTER_S, Press
from acd.switch.keyed import with_number
from acd.switch.legs import SwitchLeg
from acd.switch.pins import PinEntry
from acd.switch.rooms import Rooms
from acd.switch.sip_port import SipPort
from media import control
from sip import dtmf_info
from sip import events as sip_events

log = logging.getLogger(__name__)


class Hands(Protocol):
    """What of the switch is needed here."""

    @property
    def sip(self) -> SipPort: ...
    @property
    def rooms(self) -> Rooms: ...
    def describe_media(self, leg: SwitchLeg) -> None: ...
    def order(self, leg: SwitchLeg, order: control.Request) -> None: ...
    def leg_of(self, session: str) -> SwitchLeg | None: ...
    def living(self, leg: LegId) -> SwitchLeg | None: ...
    def spawn(self, work: Awaitable[None]) -> Any: ...


class Keys:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange.
        check_pin: judges a PIN.
    """

    def __init__(
        self,
        settings: VoiceSettings,
        directory: Directory,
        hands: Hands,
        counters: Counter[str],
        *,
        report: Callable[[TenantId, Input], None],
        check_pin: PinCheck,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._hands = hands
        self._counters = counters
        self._report = report
        self._check_pin = check_pin

    def began(self, report: control.DigitBegan) -> None:
        """A key went down."""
        leg = self._hands.living(LegId(report.leg))
        if leg is not None:
            leg.presses.down(report.digit, report.means, monotonic())

    def ended(self, report: control.DigitReceived) -> None:
        """A key is up: it counts, and is told by signalling to who hears the party and takes no events."""
        leg = self._hands.living(LegId(report.leg))
        if leg is None:
            return
        press = leg.presses.up(report.digit, report.means, monotonic())
        self._pressed(leg, press)
        if report.means == "event" and not press.is_carried:
            for listener in self._hands.rooms.listeners(leg):
                if self.takes_info(listener):
                    self._carry(listener, press, report.duration_ms)

    def info(self, event: sip_events.InfoReceived) -> None:
        """A key, told by signalling."""
        leg = self._hands.leg_of(event.session)
        if leg is None or leg.is_gone or event.pressed is None:
            return
        if not leg.shows_info:
            leg.shows_info = True
            if leg.plan is not None and not leg.plan.takes_events:
                self._hands.describe_media(leg)
        press = leg.presses.info(event.pressed.key, monotonic())
        self._pressed(leg, press)
        listeners = self._hands.rooms.listeners(leg)
        if listeners:
            asyncio.get_running_loop().call_later(CARRY_AFTER_S, self._carry_info, leg, listeners, press, event.pressed.duration_ms)

    def _pressed(self, leg: SwitchLeg, press: Press) -> None:
        if not press.tell():
            self._counters["digits_told_twice"] += 1
        elif leg.pin is None:
            self._report(leg.tenant, inp.DigitPressed(leg=leg.leg, digit=press.key))
            self._keyed(leg, press.key)
        elif (pin := leg.pin.pressed(press.key)) is not None:
            self._hands.spawn(self._ask_about_pin(leg, leg.pin, pin))

    def _keyed(self, leg: SwitchLeg, key: str) -> None:
        """Whether an agent's key ends a command to the exchange."""
        if leg.agent is None:
            return
        prefix = self._directory.setups[leg.tenant].configuration.conversation_keys
        command = leg.keyed.pressed(key, prefix, monotonic())
        if command is not None:
            self._report(leg.tenant, inp.KeysPressed(leg=leg.leg, keys=with_number(command)))

    def judge_pin(self, leg: SwitchLeg, effect: ef.JudgePin) -> None:
        """What is keyed on this leg from now on is a PIN."""
        leg.pin = leg.pin or PinEntry()
        if (pin := leg.pin.wanted_of(effect.agent, effect.at)) is not None:
            self._hands.spawn(self._ask_about_pin(leg, leg.pin, pin))

    async def _ask_about_pin(self, leg: SwitchLeg, entry: PinEntry, pin: str) -> None:
        assert entry.of is not None
        agent, at = entry.of
        outcome: PinVerdict = "failed"
        try:
            outcome = await self._check_pin(leg.tenant, agent, at, pin)
        except Exception:
            log.exception("! %s: a PIN could not be judged", leg.leg)
        if outcome in {"wrong", "wait"}:
            self._counters["pins_refused"] += 1
        self._report(leg.tenant, inp.PinJudged(leg=leg.leg, agent=agent, outcome=outcome))

    def _carry_info(self, leg: SwitchLeg, listeners: list[SwitchLeg], press: Press, duration_ms: int) -> None:
        """A key that came by INFO goes on, unless the worker has heard it too: then it passes, as a packet or as what it sounds like."""
        if press.is_carried or "event" in press.means:
            return
        still = self._hands.rooms.listeners(leg)
        for one in listeners:
            if one in still and one.plan is not None and ("tone" not in press.means or one.plan.takes_events):
                self._carry(one, press, duration_ms)

    def _carry(self, leg: SwitchLeg, press: Press, duration_ms: int) -> None:
        """Tell a party of its partner's key, in the way it understands."""
        press.is_carried = True
        self._counters["digits_carried"] += 1
        key = dtmf_info.InfoKey(press.key, duration_ms)
        if leg.session is not None and self.takes_info(leg):
            leg.info_keys.append(key)
            self._hands.sip.info(leg.session, *dtmf_info.write(key.key, key.duration_ms))
        else:
            self._press_for(leg, key)

    def _press_for(self, leg: SwitchLeg, key: dtmf_info.InfoKey) -> None:
        self._hands.order(leg, control.SendDigits(leg=leg.leg, digits=key.key, duration_ms=key.duration_ms))

    def takes_info(self, leg: SwitchLeg) -> bool:
        """Whether keys are told to it by INFO."""
        if leg.plan is None or leg.plan.takes_events or leg.refuses_info:
            return False
        rule = self._settings.media_info_digits
        return rule != "never" and (leg.shows_info or (rule == "allowed" and leg.allows_info))

    def info_answered(self, event: sip_events.InfoAnswered) -> None:
        """Who lists INFO may still know nothing of keys (415): it gets the tone, from now on always."""
        leg = self._hands.leg_of(event.session)
        if leg is None or leg.is_gone or not leg.info_keys:
            return
        key = leg.info_keys.popleft()
        if event.status < 300 or leg.plan is None:
            return
        if not leg.refuses_info:
            log.info("= %s: takes no keys by INFO (%d), and gets tones", leg.leg, event.status)
            leg.refuses_info = True
            self._hands.describe_media(leg)
        self._press_for(leg, key)
