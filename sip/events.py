"""What the user agent reports to its application: one frozen value per fact, in the past tense (house; the words are RFC 3261's).

Every session ends with exactly one SessionEnded or SessionFailed, and nothing about it is reported after that; only of one that was
restored after a restart, EndingFailed may follow.
"""

from typing import Literal

import msgspec

from sip.dtmf_info import InfoKey
from sip.flow import Flow
from sip.message import Request, Response
from sip.uri import Uri

EndedBy = Literal["remote", "local", "timeout", "transport"]


class IncomingInvite(msgspec.Struct, frozen=True):
    """A new session is offered; answer with ring, accept or reject (100 Trying goes out by itself after 200 ms)."""

    session: str
    """The id minted for it; every later event and call uses it."""
    request: Request
    """The INVITE as received, with `received` and `rport` filled in."""
    flow: Flow
    """Where it came from, and where its responses go."""
    offer: bytes | None
    """The SDP offer; None when the caller wants ours in the 2xx (RFC 3261 §13.2.1)."""
    authenticated_as: str | None
    """The account that was proved by digest; None for a trunk known by its address."""
    source: str
    """What `classify` called it: "trunk" or "challenge"."""
    found: object = None
    """What `classify` found, as it gave it."""


class SessionProgress(msgspec.Struct, frozen=True):
    """A 101-199 arrived for our INVITE."""

    session: str
    status: int
    sdp: bytes | None
    """Early media, when there is any."""
    response: Response
    fork: str
    """The To tag: which branch of a forked INVITE this is."""
    came_from: str = ""
    """Host that the response came from."""


class SessionAccepted(msgspec.Struct, frozen=True):
    """A 2xx arrived for our INVITE; it has been ACKed already (unless the INVITE was sent without an offer: then `acknowledge`)."""

    session: str
    sdp: bytes | None
    response: Response
    came_from: str = ""
    """Host that the response came from."""


class SessionConfirmed(msgspec.Struct, frozen=True):
    """The ACK for our 2xx arrived."""

    session: str
    sdp: bytes | None
    """The answer, when our 2xx carried the offer."""


class SessionEnded(msgspec.Struct, frozen=True):
    """A session is over (cancelled, rejected by us, hung up, or given up)."""

    session: str
    by: EndedBy
    status: int | None
    """The final status of the INVITE when it never was established."""
    reason_header: str | None
    """The peer's Reason header (RFC 3326), verbatim; several as one list."""


class AnsweredLate(msgspec.Struct, frozen=True):
    """A callee answered although we had taken the INVITE back or given it up (RFC 3261 §9.1: the 2xx crossed the CANCEL), or a second one
    of a forked INVITE did (§13.2.2.4). It was thanked and let go at once (ACK, BYE); for whoever bills, it was a call.
    """

    session: str


class EndingFailed(msgspec.Struct, frozen=True):
    """What was to end a restored session (BYE, CANCEL, refusal) was refused, not answered, or could not be sent; once a session."""

    session: str
    why: str


class SessionFailed(msgspec.Struct, frozen=True):
    """Our INVITE was refused (3xx-6xx), or not answered at all (408), or could not be sent (503)."""

    session: str
    status: int
    reason: str
    response: Response | None
    """None when the failure was found here."""
    contacts: tuple[Uri, ...]
    """Where a 3xx points, best first."""


class ReInviteReceived(msgspec.Struct, frozen=True):
    """The peer wants to change the session; answer with accept_reinvite or reject_reinvite."""

    session: str
    sdp: bytes | None
    """The new offer; None when the peer wants ours."""
    request: Request


class ReInviteConfirmed(msgspec.Struct, frozen=True):
    """The ACK for our 2xx to a re-INVITE arrived."""

    session: str
    sdp: bytes | None


class ReInviteAnswered(msgspec.Struct, frozen=True):
    """Our re-INVITE was answered; below 300 the session has changed, otherwise it stays as it was."""

    session: str
    sdp: bytes | None
    status: int


class ReInviteCancelled(msgspec.Struct, frozen=True):
    """The peer took its re-INVITE back before we answered; the session stays as it was."""

    session: str


class InfoReceived(msgspec.Struct, frozen=True):
    """An INFO of an accepted type arrived inside the dialog and was answered 200 (e.g. application/dtmf-relay)."""

    session: str
    content_type: str
    body: bytes
    pressed: InfoKey | None = None
    """The key it tells of."""


class InfoAnswered(msgspec.Struct, frozen=True):
    """Our INFO was answered (408 when it was not)."""

    session: str
    status: int


class TalkAnswered(msgspec.Struct, frozen=True):
    """What the phone said to our wish that it takes the call (NOTIFY, Event: talk)."""

    session: str
    status: int | None
    """408 when it said nothing; None: it could not be asked, since it has not said that it rings."""


class ReferReceived(msgspec.Struct, frozen=True):
    """The peer asks us to call somebody (REFER, blind); answer with `answer_refer`, then tell how it goes with `notify_referrer`."""

    session: str
    target: Uri
    """Refer-To: sip, sips or tel."""
    referred_by: str | None
    """RFC 3892, verbatim; nothing is proved of it."""


class ReferAnswered(msgspec.Struct, frozen=True):
    """Our REFER was answered (408 when it was not)."""

    session: str
    status: int


class ReferProgress(msgspec.Struct, frozen=True):
    """How it goes with what we have asked the peer to call (NOTIFY, Event: refer)."""

    session: str
    status: int
    subscription_state: str
    """`active;expires=60`, `terminated;reason=noresource`."""


class TalkRequested(msgspec.Struct, frozen=True):
    """The peer asks us to take its call (NOTIFY, Event: talk), or to resume a held one."""

    session: str


class Registered(msgspec.Struct, frozen=True):
    """A contact was bound to an address of record, or refreshed."""

    aor: str
    contact: Uri
    flow: Flow
    """Where its REGISTER came from: requests for it go there (NAT)."""
    expires: int
    """Seconds granted."""
    user_agent: str | None
    call_id: str
    cseq: int
    q: float
    refreshed: bool
    """True when the same contact was bound already."""
    instance: str | None = None
    reg_id: int | None = None
    path: tuple[str, ...] = ()
    """URIs of the proxies on the way to it, nearest first (RFC 3327)."""


class Unregistered(msgspec.Struct, frozen=True):
    """A contact is bound no longer."""

    aor: str
    contact: Uri
    why: Literal["expired", "removed", "replaced"]


class RegistrationUp(msgspec.Struct, frozen=True):
    """Our registration at a carrier is in force (reported when it comes up, not at each refresh)."""

    registration: str
    expires: int
    came_from: str = ""
    """Host that the registrar's answer came from."""


class RegistrationDown(msgspec.Struct, frozen=True):
    """Our registration at a carrier failed or was taken back; it is tried again by itself unless `final`."""

    registration: str
    status: int
    reason: str
    retry_in: float | None
    """Seconds until the next attempt; None when it was taken down on purpose."""


class OptionsAnswered(msgspec.Struct, frozen=True):
    """A keep-alive probe came back."""

    probe: str
    status: int | None
    """None when nothing answered within 64*T1 or the transport failed."""


class MessageDropped(msgspec.Struct, frozen=True):
    """Something arrived that could neither be used nor answered."""

    why: str
    flow: Flow


Event = (
    IncomingInvite
    | SessionProgress
    | SessionAccepted
    | SessionConfirmed
    | SessionEnded
    | AnsweredLate
    | EndingFailed
    | SessionFailed
    | ReInviteReceived
    | ReInviteConfirmed
    | ReInviteAnswered
    | ReInviteCancelled
    | InfoReceived
    | InfoAnswered
    | TalkAnswered
    | ReferReceived
    | ReferAnswered
    | ReferProgress
    | TalkRequested
    | Registered
    | Unregistered
    | RegistrationUp
    | RegistrationDown
    | OptionsAnswered
    | MessageDropped
)
