"""Refusals of the voice service as problems."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from acd.core.errors import IllegalTransition, UnknownName
from acd.errors import CheckRefused, DialRefused, NoSuchNumber, PhoneRefused, PriceRefused
from api.errors import Conflict, Forbidden, NotFound


class DoesNotFit(Conflict):
    """The command does not fit the state; nothing changed."""

    kind, title = "illegal-transition", "Does not fit the state"


class NoPrice(Conflict):
    """The number has no price, or the plan refuses it."""

    kind, title = "price-refused", "No price for this number"


class NotAllowedToDial(Forbidden):
    """Numbers of this class are not dialled from here."""

    kind, title = "destination-not-allowed", "This number may not be dialled"


class NoBudget(Conflict):
    """What the call costs at first is more than is left of a budget or a prepaid balance."""

    kind, title = "budget-used-up", "The budget is used up"


class PhoneDidNot(Conflict):
    """The phone was asked to take the call, and did not; it goes on ringing where the detail does not say otherwise."""

    kind, title = "phone-refused", "The phone did not take the call"


class NoLineCheck(Conflict):
    """The line cannot be checked now, or not with these descriptions."""

    kind, title = "line-check-refused", "The line is not checked"


class NotYourDesk(Forbidden):
    """An agent acts for another."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"Only {agent} and supervisors may do this at {agent}'s desk.")


class NoDesk(Conflict):
    """`me` is no agent."""

    def __init__(self) -> None:
        super().__init__("You are no agent; name one in the path.")


class NoPhone(Conflict):
    """Who would supervise is no agent: there is no phone to be rung."""

    def __init__(self) -> None:
        super().__init__("You are no agent, so that no phone of yours can be rung: let your user have an agent.")


@contextmanager
def told() -> Iterator[None]:
    """Let refusals of the voice service leave as problems."""
    try:
        yield
    except IllegalTransition as error:
        raise DoesNotFit(str(error)) from error
    except UnknownName as error:
        raise NotFound(str(error)) from error
    except NoSuchNumber as error:
        raise NotFound(str(error)) from error
    except CheckRefused as error:
        raise NoLineCheck(str(error)) from error
    except PhoneRefused as error:
        raise PhoneDidNot(str(error)) from error
    except PriceRefused as error:
        raise NoPrice(str(error)) from error
    except DialRefused as error:
        raise (NoBudget if error.cause == "budget" else NotAllowedToDial)(str(error)) from error
