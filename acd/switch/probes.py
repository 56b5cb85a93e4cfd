"""Whether registered phones are there: OPTIONS to each (RFC 3261 §11), as often as its site says, and at once where a call found nobody.

A registration outlives its phone by up to an hour. A phone that left several of these without any answer is not rung, until it answers or
registers again. Whatever it answers, it is alive: 200, 404, 405, 481 and 501 all come from somebody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from acd.config import VoiceSettings
from acd.core import inputs as inp
from acd.core.ids import AgentId, TenantId
from acd.core.inputs import Input
from acd.directory import Directory
from acd.switch.sip_port import SipPort
from sip import events as sip_events
from sip.uri import Uri

SPREAD = 0.2
"""The part of an interval that chance takes off: phones that registered together are not asked together."""
OF_THE_EDGE = frozenset({408, 430, 480, 502, 503, 504})
"""What a proxy that stands before a phone (Path) says when nobody is behind it; 430 is RFC 5626 §11.5."""
NO_ANSWER = "no answer to OPTIONS"


@dataclass(slots=True, eq=False)
class _Phone:
    """One registered contact."""

    tenant: TenantId
    agent: AgentId
    aor: str
    contact: Uri
    name: str
    """Of its probes."""
    misses: int = 0
    is_unreachable: bool = False
    may_be_twin: bool = False
    """Another contact has come that may be the same phone, started anew: if nobody answers here, it is."""
    is_asked: bool = False
    timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.aor, str(self.contact)


class Probes:
    """See the module.

    Args:
        report: hands a fact to the tenant's exchange; never raises.
    """

    def __init__(self, settings: VoiceSettings, directory: Directory, report: Callable[[TenantId, Input], None]) -> None:
        self._settings = settings
        self._directory = directory
        self._report = report
        self._phones: dict[tuple[str, str], _Phone] = {}
        self._by_name: dict[str, _Phone] = {}
        self._port: SipPort | None = None
        self._serial = 0
        self.sent = 0
        """Probes that were sent."""

    def attach(self, port: SipPort) -> None:
        self._port = port

    @property
    def _sip(self) -> SipPort:
        assert self._port is not None, "a phone was to be asked before the SIP port was attached"
        return self._port

    @property
    def unreachable(self) -> int:
        """How many registered contacts give no sign of life."""
        return sum(one.is_unreachable for one in self._phones.values())

    # ------------------------------------------------------------------ what happens to phones

    def registered(self, aor: str, contact: Uri, *, is_new: bool = False, is_unreachable: bool = False) -> None:
        """A contact was bound, or bound again: somebody is there, unless it is what the journal knows of an earlier run.

        Args:
            is_new: it was not bound before, so that it may be another one started anew.
        """
        found = self._directory.device_at(aor)
        if found is None:
            return
        phone = self._phones.get((aor, str(contact)))
        if phone is None:
            self._serial += 1
            phone = _Phone(found[0], found[1].agent, aor, contact, f"phone#{self._serial}")
            self._phones[phone.key] = self._by_name[phone.name] = phone
        phone.misses, phone.is_unreachable = 0, is_unreachable
        if is_unreachable:
            self._sip.mark(aor, contact, is_unreachable=True)
        self._regard(phone)
        for twin in self._sip.possible_twins(aor, contact) if is_new else ():
            other = self._phones.get((aor, str(twin)))
            if other is not None:
                other.may_be_twin = True
                self._ask(other)

    def unregistered(self, aor: str, contact: Uri) -> None:
        """It is bound no longer."""
        phone = self._phones.pop((aor, str(contact)), None)
        if phone is not None:
            self._by_name.pop(phone.name, None)
            self._stop(phone)

    def silent(self, aor: str, contact: Uri) -> None:
        """A call to it got no answer at all: that is one, and it is asked at once."""
        phone = self._phones.get((aor, str(contact)))
        if phone is not None and self._interval_s(phone) and not phone.is_unreachable:
            phone.misses += 1
            self._ask(phone)

    def setup_changed(self, tenant: TenantId) -> None:
        """Begin and end asking as the sites of the tenant now say."""
        for phone in [one for one in self._phones.values() if one.tenant == tenant]:
            self._regard(phone)

    # ------------------------------------------------------------------ asking

    def _interval_s(self, phone: _Phone) -> float:
        site = self._directory.site_of(phone.tenant, phone.agent)
        own = site.probe_phones_every_s if site is not None else None
        return self._settings.probe_phones_every_s if own is None else own

    def _limit(self, phone: _Phone) -> int:
        site = self._directory.site_of(phone.tenant, phone.agent)
        own = site.probe_misses if site is not None else None
        return self._settings.probe_phone_misses if own is None else own

    def _regard(self, phone: _Phone) -> None:
        """Whether it is to be asked at all; who is not asked cannot be known to be away."""
        if self._interval_s(phone):
            if phone.timer is None and not phone.is_asked:
                self._later(phone)
            return
        self._stop(phone)
        if phone.is_unreachable:
            self._say(phone, answers=True)

    def _later(self, phone: _Phone) -> None:
        interval = self._interval_s(phone)
        self._stop(phone)
        if interval:
            wait = interval * (1 - SPREAD * random.random())
            phone.timer = asyncio.get_running_loop().call_later(wait, self._ask, phone)

    @staticmethod
    def _stop(phone: _Phone) -> None:
        if phone.timer is not None:
            phone.timer.cancel()
            phone.timer = None

    def _ask(self, phone: _Phone) -> None:
        self._stop(phone)
        binding = self._sip.binding(phone.aor, phone.contact)
        if phone.is_asked or binding is None:
            return
        phone.is_asked = True
        self.sent += 1
        self._sip.options(phone.name, binding.contact, binding.flow, patience_s=self._settings.phone_answer_within_s, route=binding.routes)

    def answered(self, event: sip_events.OptionsAnswered) -> None:
        """One of ours came back, or did not; others are not ours."""
        phone = self._by_name.get(event.probe)
        if phone is None:
            return
        phone.is_asked = False
        binding = self._sip.binding(phone.aor, phone.contact)
        if binding is None:
            return
        if event.status is not None and not (binding.path and event.status in OF_THE_EDGE):
            phone.misses, phone.may_be_twin = 0, False
            if phone.is_unreachable:
                self._say(phone, answers=True)
            self._later(phone)
            return
        phone.misses += 1
        if phone.misses < self._limit(phone):
            self._ask(phone)  # the second opinion is asked for at once
        elif phone.may_be_twin:
            self._sip.forget_contact(phone.aor, phone.contact)
        else:
            if not phone.is_unreachable:
                self._say(phone, answers=False)
            self._later(phone)

    def _say(self, phone: _Phone, *, answers: bool) -> None:
        phone.is_unreachable = not answers
        self._sip.mark(phone.aor, phone.contact, is_unreachable=not answers)
        detail = None if answers else NO_ANSWER
        self._report(phone.tenant, inp.DeviceProbed(agent=phone.agent, contact=str(phone.contact), answers=answers, detail=detail))

    def close(self) -> None:
        """Ask nobody any more."""
        for phone in self._phones.values():
            self._stop(phone)
        self._phones.clear()
        self._by_name.clear()
