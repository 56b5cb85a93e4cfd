"""The ICE-lite agent of one leg: RFC 8445 §2.5 and §7.3, with what RFC 7675 asks of consent; pure.

It gathers nothing and checks nothing: it answers the peer's checks and learns from them where the peer is. The peer is the controlling
agent (RFC 8445 §6.1.1), so a check with USE-CANDIDATE says where to send, and the latest of them holds: a browser with two interfaces moves
from one pair to another. Consent is the peer's affair, as it is the one who checks; what we see of it is that checks and packets come.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from media.errors import ParseError
from media.machine import Edge, to
from media.rtp.latch import Address
from media.transport import stun
from media.transport.stun import AttributeType, MessageClass, StunMessage

SUSPECT_S: Final = 8.0
"""Three checks of Chromium (one every 2.7 s), nearly two of Firefox (4.4 s), and 400 packets."""
GONE_S: Final = 30.0
"""RFC 7675 §5.1: "Consent expires after 30 seconds"."""
MIN_UFRAG: Final = 4
MIN_PWD: Final = 22
MAX_CREDENTIAL: Final = 256
"""RFC 8839 §5.4: characters of each."""
_ICE_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

_UNDERSTOOD: Final = frozenset(
    (AttributeType.USERNAME, AttributeType.MESSAGE_INTEGRITY, AttributeType.PRIORITY, AttributeType.USE_CANDIDATE),
)
"""Of those that must be (RFC 8489 §14). MESSAGE-INTEGRITY-SHA256 is not: RFC 8445 knows the older one, and so do browsers."""

BAD_REQUEST: Final = (400, "Bad Request")
UNAUTHENTICATED: Final = (401, "Unauthenticated")
UNKNOWN_ATTRIBUTE: Final = (420, "Unknown Attribute")
ROLE_CONFLICT: Final = (487, "Role Conflict")


class State(StrEnum):
    """Whether the peer is there."""

    WAITING = "waiting"
    """No check was good yet."""
    CONNECTED = "connected"
    SUSPECT = "suspect"
    """Neither packet nor check for `SUSPECT_S`: a browser that lives is never as quiet."""
    GONE = "gone"
    """Nor for `GONE_S`: its consent is over, nothing is sent any more."""


class Input(StrEnum):
    CHECKED = "checked"
    """A check that was answered with success."""
    HEARD = "heard"
    """An authentic packet, after a silence."""
    QUIET = "quiet"
    EXPIRED = "expired"


class Do(StrEnum):
    """Nothing: who holds the agent reads the state."""


# fmt: off
TRANSITIONS: Final[dict[State, dict[Input, Edge[State, Do]]]] = {
    State.WAITING: {
        Input.CHECKED:  to(State.CONNECTED),
    },
    State.CONNECTED: {
        Input.CHECKED:  to(State.CONNECTED),
        Input.HEARD:    to(State.CONNECTED),
        Input.QUIET:    to(State.SUSPECT),
        Input.EXPIRED:  to(State.GONE),
    },
    State.SUSPECT: {
        Input.CHECKED:  to(State.CONNECTED),
        Input.HEARD:    to(State.CONNECTED),
        Input.EXPIRED:  to(State.GONE),
    },
    # A packet revives nobody, a check does: after an ICE restart (RFC 8445 §9) the peer is there again.
    State.GONE: {
        Input.CHECKED:  to(State.CONNECTED),
    },
}
# fmt: on


# CPython 3.11 asks a descriptor for each member of an enumeration: too slow for what is done with each packet.
_SUSPECT: Final = State.SUSPECT


class Credentials(msgspec.Struct, frozen=True):
    """A ufrag and its password (RFC 8445 §5.3); the password shows in no repr."""

    ufrag: str
    pwd: str

    def __post_init__(self) -> None:
        """Raises: ValueError: not what RFC 8839 §5.4 lets stand in a description; who reads a message gets a `msgspec.ValidationError`."""
        for name, text, least in (("ufrag", self.ufrag, MIN_UFRAG), ("pwd", self.pwd, MIN_PWD)):
            if not least <= len(text) <= MAX_CREDENTIAL or not _ICE_CHARACTERS.issuperset(text):
                raise ValueError(f"an ICE {name} has {least} to {MAX_CREDENTIAL} ice-chars, not {len(text)} characters")

    def __repr__(self) -> str:
        return f"Credentials({self.ufrag})"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one datagram led to.

    Attributes:
        answer: to be sent where the datagram came from.
        moved_to: the selected remote address, where it is another than before.
        state: the new one, where it is another than before.
        why_not: why nothing was answered, or with an error: for the log, and for who counts.
    """

    answer: bytes | None = None
    moved_to: Address | None = None
    state: State | None = None
    why_not: str | None = None


class IceLite:
    """The agent; hand it the datagrams that look like STUN (RFC 7983), and call `handle_timeout` when `next_timeout` says so."""

    def __init__(self, credentials: Credentials) -> None:
        self._current = credentials
        self._previous: Credentials | None = None
        self.state = State.WAITING
        self.selected: Address | None = None
        """Where the peer wants to be sent to; None before it nominated a pair."""
        self.last_check_at: float | None = None
        self.last_heard_at: float | None = None
        self.remote: Address | None = None
        """Where to send: the selected address or, as long as none is, where the last good check came from: DTLS may begin before."""

    @property
    def ufrag(self) -> str:
        return self._current.ufrag

    @property
    def ufrags(self) -> tuple[str, ...]:
        """Those that are answered: what a datagram at a shared port is told by."""
        return (self._current.ufrag,) if self._previous is None else (self._current.ufrag, self._previous.ufrag)

    def restart(self, credentials: Credentials) -> None:
        """Take new credentials (RFC 8445 §9): the old ones go on being answered until the first good check with the new."""
        if credentials != self._current:
            self._previous, self._current = self._current, credentials

    def receive(self, datagram: bytes, source: Address, now: float) -> Reaction:
        """One datagram that came from `source`; never raises for what is in it."""
        try:
            message = stun.parse(datagram)
        except ParseError as error:
            return Reaction(why_not=str(error))
        # RFC 8489 §6.3: what is of an unknown method, or lacks the FINGERPRINT that ICE always has, is silently discarded. Indications
        # keep a NAT's binding open, and want no answer; we asked nobody, so whatever answers us answers nothing.
        if message.method != stun.BINDING or message.message_class is not MessageClass.REQUEST or not message.has_fingerprint:
            return Reaction(why_not=f"method {message.method:#05x}, class {message.message_class.name}")
        return self._check(message, source, now)

    def _check(self, message: StunMessage, source: Address, now: float) -> Reaction:
        username = message.attribute(AttributeType.USERNAME)
        if username is None or not message.signed:
            return _refused(message, BAD_REQUEST)
        credentials = self._addressed(username)
        if credentials is None or not message.is_signed_with(credentials.pwd):
            return _refused(message, UNAUTHENTICATED)
        unknown = [kind for kind, _ in message.attributes if kind < stun.COMPREHENSION_OPTIONAL and kind not in _UNDERSTOOD]
        if unknown:
            listed = (AttributeType.UNKNOWN_ATTRIBUTES, stun.unknown_attributes(dict.fromkeys(unknown)))
            return _refused(message, UNKNOWN_ATTRIBUTE, listed, password=credentials.pwd)
        # RFC 8445 §7.3.1.1: we stay the controlled one, whatever the tie-breakers say, as a lite agent has to (§6.1.1).
        if message.attribute(AttributeType.ICE_CONTROLLED) is not None:
            return _refused(message, ROLE_CONFLICT, password=credentials.pwd)
        if credentials is self._current and self._previous is not None:
            self._previous = None
        return self._accept(message, credentials, source, now)

    def _addressed(self, username: bytes) -> Credentials | None:
        """Whose ufrag stands left of the colon: RFC 8445 §7.3 asks for no more, the right one may not be known yet."""
        ours, colon, _ = username.partition(b":")
        if not colon:
            return None
        for credentials in (self._current, self._previous):
            if credentials is not None and ours == credentials.ufrag.encode():
                return credentials
        return None

    def _accept(self, message: StunMessage, credentials: Credentials, source: Address, now: float) -> Reaction:
        self.last_check_at = self.last_heard_at = now
        moved_to = None
        # What was checked with the credentials from before a restart nominates nothing any more.
        nominates = message.attribute(AttributeType.USE_CANDIDATE) is not None and credentials is self._current
        if nominates and source != self.selected:
            self.selected = moved_to = source
        self.remote = self.selected or source
        mapped = stun.xor_mapped_address(source[0], source[1], message.transaction_id)
        attributes = ((AttributeType.XOR_MAPPED_ADDRESS, mapped),)
        answer = stun.compose(MessageClass.SUCCESS, message.transaction_id, attributes, password=credentials.pwd)
        return Reaction(answer, moved_to, self._step(Input.CHECKED))

    def heard(self, now: float) -> State | None:
        """An authentic packet came; the new state, where it is another."""
        self.last_heard_at = now
        return self._step(Input.HEARD) if self.state is _SUSPECT else None

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; packets that come meanwhile move it, so ask again then."""
        if self.last_heard_at is None:
            return None
        match self.state:
            case State.CONNECTED:
                return self.last_heard_at + SUSPECT_S
            case State.SUSPECT:
                return self.last_heard_at + GONE_S
            case _:
                return None

    def handle_timeout(self, now: float) -> State | None:
        """Look whether the peer is still there; the new state, where it is another."""
        if self.last_heard_at is None:
            return None
        quiet = now - self.last_heard_at
        if quiet >= GONE_S:
            return self._step(Input.EXPIRED)
        return self._step(Input.QUIET) if quiet >= SUSPECT_S else None

    def _step(self, event: Input) -> State | None:
        edge = TRANSITIONS[self.state].get(event)
        if edge is None or edge.state is self.state:
            return None
        self.state = edge.state
        return edge.state

    def describe(self) -> dict[str, object]:
        """For who looks from outside."""
        return {"state": self.state.value, "ufrags": self.ufrags, "selected": self.selected, "last_check_at": self.last_check_at}


def _refused(message: StunMessage, error: tuple[int, str], *more: tuple[int, bytes], password: str | None = None) -> Reaction:
    # RFC 8489 §9.1.3: who did not prove to know the password gets an answer that is not signed with it.
    attributes = ((AttributeType.ERROR_CODE, stun.error_code(*error)), *more)
    answer = stun.compose(MessageClass.ERROR, message.transaction_id, attributes, password=password)
    return Reaction(answer, why_not=f"{error[0]} {error[1]}")
