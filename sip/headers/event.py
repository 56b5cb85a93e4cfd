"""Event and Subscription-State: what a subscription is about and how it stands (RFC 6665 §8.2.1, §8.2.3, §8.4)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.grammar import SWS, TOKEN, Params, param, params_text, parse_params, saturated_number
from sip.headers.contact import MAX_EXPIRES_S

# Event               =  ( "Event" / "o" ) HCOLON event-type *( SEMI event-param )
# event-type          =  event-package *( "." event-template )
# Subscription-State  =  "Subscription-State" HCOLON substate-value *( SEMI subexp-params )
_TOKEN_FIRST: Final = re.compile(rf"({TOKEN}){SWS}(?=;|\Z)").match


def _read(text: str, where: str) -> tuple[str, Params]:
    match = _TOKEN_FIRST(text)
    if match is None:
        raise ParseError(f"no token: {text[:40]!r}", where=where)
    rest = text[match.end() :]
    return match[1], parse_params(rest, where) if rest else ()


class Event(msgspec.Struct, frozen=True):
    """The event package (with its templates) and the id that tells apart several subscriptions in one dialog."""

    package: str
    params: Params = ()

    @property
    def id(self) -> str | None:
        return param(self.params, "id") or None

    def __str__(self) -> str:
        return self.package + params_text(self.params)


class SubscriptionState(msgspec.Struct, frozen=True):
    """active, pending, terminated, or what the notifier invented."""

    state: str
    params: Params = ()

    @property
    def is_terminated(self) -> bool:
        return self.state.lower() == "terminated"

    @property
    def reason(self) -> str | None:
        """Why it ended: deactivated, probation, rejected, timeout, giveup, noresource, invariant."""
        return param(self.params, "reason") or None

    @property
    def expires_s(self) -> int | None:
        return saturated_number(param(self.params, "expires") or "", MAX_EXPIRES_S)

    @property
    def retry_after_s(self) -> int | None:
        return saturated_number(param(self.params, "retry-after") or "", MAX_EXPIRES_S)

    def __str__(self) -> str:
        return self.state + params_text(self.params)


def parse_event(text: str) -> Event:
    """Read the value of Event.

    Raises: ParseError: no event-type.
    """
    return Event(*_read(text, "header Event"))


def parse_subscription_state(text: str) -> SubscriptionState:
    """Read the value of Subscription-State.

    Raises: ParseError: no substate-value.
    """
    return SubscriptionState(*_read(text, "header Subscription-State"))
