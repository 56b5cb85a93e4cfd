"""What a usage is: the methods it serves, and what it adds to what we say of ourselves (RFC 3261 §8.2; the word is RFC 5057's)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from sip.dialog import Dialog
from sip.flow import Flow
from sip.message import Request
from sip.session import Session
from sip.transaction.layer import ServerTransaction

if TYPE_CHECKING:
    from sip.user_agent import UserAgent

Early = Callable[[Request, Flow, Flow, float], None]
"""Takes a request before there is any state for it, to open its transaction or not: the request, the flow it came over, the flow for its
answers, now. It asks by itself whether the source is banned and whether there is room."""

Outside = Callable[[ServerTransaction, float], None]
"""Answers a request outside of all dialogs; its Request-URI is one of SIP, what it requires is supported, and there was room."""

Within = Callable[[Session, Dialog, ServerTransaction, float], None]
"""Answers a request within a dialog of a session; it is in order, what it requires is supported, and there was room."""


class Usage:
    """One usage of a user agent. What it has nothing to say to is left as it is here.

    A method that stands in METHODS and has no handler where a request of it comes is answered 481 outside of dialogs, 405 within.
    """

    METHODS: ClassVar[tuple[str, ...]] = ()
    """What Allow names."""
    PACKAGES: ClassVar[tuple[str, ...]] = ()
    """Event packages that Allow-Events names (RFC 6665 §8.2.2)."""
    ACCEPTS: ClassVar[tuple[str, ...]] = ()
    """Media types that Accept names when we say what we can (RFC 3261 §11.2)."""

    def __init__(self, agent: UserAgent) -> None:
        self.agent = agent
        self.option_tags: tuple[str, ...] = ()
        """What Supported names, and Require may (RFC 3261 §19.2)."""
        self.early: Mapping[str, Early] = {}
        """By method: outside of dialogs; ACK and CANCEL, which belong to an INVITE, wherever they say they do."""
        self.outside: Mapping[str, Outside] = {}
        """By method."""
        self.within: Mapping[str, Within] = {}
        """By method."""
        self.notified: Mapping[str, Within] = {}
        """By event package: a NOTIFY within a dialog."""

    def holds_back_bye(self, _session: Session, _now: float) -> bool:
        """Whether the BYE of ours has to wait for something of this usage, which sends it then."""
        return False

    def session_ended(self, _session: Session, _now: float) -> None:
        """A session is over: whatever is kept of it may go."""

    def wait_no_longer(self, _now: float) -> None:
        """The sockets are about to be closed: what waits for an answer alone is to end now."""
