"""The errors of billing, one tree: whoever catches `BillingError` has them all (house).

BillingError
├── LedgerError        the facts of a conversation contradict each other; names every contradiction
├── NumberError        a dialled string is no telephone number
├── TariffError        a tariff document is wrong; names the place and what is expected there
├── CurrencyMismatch   two currencies met in one sum
├── UnratedError       somebody wants to invoice a conversation whose price is unknown
└── StoreConflict      a stored plan version would change its content

`Unreachable` stands beside it: no fault of billing, the database is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from billing_cdr.cdr import Cdr


class BillingError(Exception):
    """Root of every error this package raises on purpose."""


class LedgerError(BillingError):
    """The facts of one conversation do not close.

    `problems` names each contradiction. `draft` is the record as far as it could be built, if the conversation is over: it carries
    the problems, may be stored like any other so that no call is missing, and has no price.
    """

    def __init__(self, conversation: str, problems: Sequence[str], draft: Cdr | None = None) -> None:
        super().__init__(f"conversation {conversation}: " + "; ".join(problems))
        self.conversation = conversation
        self.problems = tuple(problems)
        self.draft = draft


class NumberError(BillingError, ValueError):
    """A dialled string that cannot be read as a telephone number."""


class TariffError(BillingError, ValueError):
    """A tariff document with something wrong in it; `place` says where."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


class CurrencyMismatch(BillingError, ValueError):
    """Two currencies met in one sum."""


class UnratedError(BillingError):
    """A conversation without a known price is about to be invoiced."""


class StoreConflict(BillingError):
    """A plan version that is stored already would get another content."""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a database from working."""

    reason: str
    """In the database's own words, one line."""
    writes_only: bool = False
    of_one_database: bool = False


class Unreachable(Exception):
    """No connection to a database could be made; the text names the database and says why, without secrets."""

    def __init__(self, place: str, outage: Outage) -> None:
        super().__init__(f"{place}: {outage.reason}")
        self.place = place
        self.outage = outage
