"""What a user agent is told about its surroundings: policies as functions, and bounds (RFC 3261 §8.2, §18.1, §26)."""

from collections.abc import Callable

import msgspec

from sip import dtmf_info
from sip.classified import CHALLENGE, Classified
from sip.digest import Authenticator
from sip.flow import Flow, HostPort
from sip.guard import Guard
from sip.headers.reason import Reason
from sip.message import Request
from sip.overload import OverloadPolicy
from sip.parser import DEFAULT_LIMITS, Limits
from sip.registrar import Registrar
from sip.session_timer import SessionTimerPolicy
from sip.share import EVERYBODY, Share
from sip.usage.table import USAGES
from sip.usage.usage import Usage

Classify = Callable[[Request, Flow], Classified]
"""Who sends this INVITE."""

ShareOf = Callable[[Request, Flow, str | None, Classified | None], Share | None]
"""Whose a request is when room is short, with user@realm of whoever has proved himself, and what an INVITE was classified as; None: a
stranger's."""

MustBeEncrypted = Callable[[Request, Flow, str | None, Classified | None], bool]
"""Asked with the same, of who has proved himself or was classified as a trunk."""


def _challenge_everybody(_request: Request, _flow: Flow) -> Classified:
    return CHALLENGE


def _never(_request: Request) -> bool:
    return False


def _never_over(_request: Request, _flow: Flow) -> bool:
    return False


def _whatever_way(_request: Request, _flow: Flow, _authenticated_as: str | None, _classified: Classified | None) -> bool:
    return False


def _everybody(_authenticated_as: str | None) -> bool:
    return True


def _one_share(_request: Request, _flow: Flow, _authenticated_as: str | None, _classified: Classified | None) -> Share | None:
    return EVERYBODY


class UserAgentConfig(msgspec.Struct, frozen=True):
    """Everything a user agent is told about its surroundings."""

    agent_name: str = "Fernamt"
    """User-Agent and Server header; names the product, not its version (RFC 3261 §20.35 warns of that)."""
    contact_user: str = "fernamt"
    """User part of our Contact in calls."""
    advertise: Callable[[Flow], HostPort] | None = None
    """The address to put into Via and Contact; None takes the flow's local one."""
    classify: Classify = _challenge_everybody
    authenticator: Authenticator | None = None
    """None: nobody can prove himself, so "challenge" lets everybody in unproved. For closed networks and tests only."""
    guard: Guard | None = None
    """Whose requests are not heard at all; None: everybody is."""
    is_emergency: Callable[[Request], bool] = _never
    """Whether an INVITE calls for help: it passes bans, and is judged from an allowance of its own."""
    registrar: Registrar | None = None
    """None: REGISTER is answered 405."""
    usages: tuple[type[Usage], ...] = USAGES
    """What is done with which method."""
    serves: Callable[[str | None], bool] = _everybody
    """Whether an account can be served at the moment; if not, REGISTER is answered 503 with Retry-After."""
    share: ShareOf = _one_share
    """For fairness among those who have nothing to do with each other."""
    forces_rport: Callable[[Request, Flow], bool] = _never_over
    """Whether a sender that asks for no `rport` (RFC 3581 §3) is answered and reached at the port it sends from all the same: behind a NAT
    a phone that leaves it out would never get an answer at the port it names. Asked only where the two ports differ."""
    must_be_encrypted: MustBeEncrypted = _whatever_way
    """Whether a sender is heard under encryption alone: a REGISTER or INVITE of it that came in plain is refused (403), and so is what
    belongs to its calls."""
    overload: OverloadPolicy = OverloadPolicy()
    limits: Limits = DEFAULT_LIMITS
    info_types: frozenset[str] = dtmf_info.TYPES
    session_timer: SessionTimerPolicy | None = SessionTimerPolicy()
    """RFC 4028: how sessions are kept refreshed, so that a peer that vanished is noticed; None: not at all."""
    timed_out_reason: str = str(Reason("Q.850", 102, "Recovery on timer expiry"))
    """Reason (RFC 3326) of a BYE or CANCEL that nobody asked for: no ACK, no refresh, no answer, or the peer has lost the dialog."""
    forked_reason: str = str(Reason("SIP", 200, "Call completed elsewhere"))
    """The same towards a second callee that has answered (RFC 3261 §13.2.2.4, RFC 3326 §3.1)."""
