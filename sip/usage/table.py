"""The usages there are, in the order in which Allow names their methods. A new method is a file beside this one and a row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from sip.errors import LocalMisuse
from sip.session import Session
from sip.usage.info import InfoUsage
from sip.usage.invite import InviteUsage
from sip.usage.options import OptionsUsage
from sip.usage.refer import ReferUsage
from sip.usage.register import RegisterUsage
from sip.usage.reinvite import ReInviteUsage
from sip.usage.subscription import SubscriptionUsage
from sip.usage.talk import TalkUsage
from sip.usage.usage import Early, Outside, Usage, Within

if TYPE_CHECKING:
    from sip.user_agent import UserAgent

USAGES: Final[tuple[type[Usage], ...]] = (
    InviteUsage,
    ReInviteUsage,
    OptionsUsage,
    InfoUsage,
    RegisterUsage,
    ReferUsage,
    SubscriptionUsage,
    TalkUsage,
)

U = TypeVar("U", bound=Usage)


def _of_those_that_care(usages: Sequence[Usage], what: str) -> tuple[Callable[[Session, float], bool | None], ...]:
    """The method of that name of all usages that have one of their own: they are asked with every call."""
    return tuple([getattr(usage, what) for usage in usages if getattr(type(usage), what) is not getattr(Usage, what)])


class Usages:
    """The usages of one user agent, and what they come to together."""

    def __init__(self, agent: UserAgent, kinds: Sequence[type[Usage]]) -> None:
        """Raises: LocalMisuse: two of them want the same."""
        self._by_kind = {kind: kind(agent) for kind in kinds}
        self.every: tuple[Usage, ...] = tuple(self._by_kind.values())
        self.early: dict[str, Early] = {}
        self.outside: dict[str, Outside] = {}
        self.within: dict[str, Within] = {}
        self.notified: dict[str, Within] = {}
        for usage in self.every:
            for all_of_them, own in (
                (self.early, usage.early),
                (self.outside, usage.outside),
                (self.within, usage.within),
                (self.notified, usage.notified),
            ):
                if twice := all_of_them.keys() & own.keys():
                    raise LocalMisuse(f"served twice: {', '.join(sorted(twice))}")
                all_of_them.update(own)  # type: ignore[arg-type]  # pairs of the same kind
        self.ending = _of_those_that_care(self.every, "session_ended")
        self.holding_back = _of_those_that_care(self.every, "holds_back_bye")
        self.methods = tuple(dict.fromkeys(method for usage in self.every for method in usage.METHODS))
        self.option_tags = frozenset(tag for usage in self.every for tag in usage.option_tags)
        packages = dict.fromkeys(package for usage in self.every for package in usage.PACKAGES)
        accepted = dict.fromkeys(kind for usage in self.every for kind in usage.ACCEPTS)
        self.allow = ("Allow", ", ".join(self.methods))
        self.supported = ("Supported", ", ".join(sorted(self.option_tags)))
        self.allow_events = (("Allow-Events", ", ".join(packages)),) if packages else ()
        """Nothing where there is no package: the header has no empty form (RFC 6665 §8.4)."""
        self.accept = ("Accept", ", ".join(accepted))

    def of(self, kind: type[U]) -> U:
        """The usage of a kind.

        Raises: LocalMisuse: this user agent has none.
        """
        found = self.find(kind)
        if found is None:
            raise LocalMisuse(f"no {kind.__name__} here")
        return found

    def find(self, kind: type[U]) -> U | None:
        """The usage of a kind; None: this user agent has none."""
        found = self._by_kind.get(kind)
        return found if isinstance(found, kind) else None
