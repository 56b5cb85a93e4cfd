"""INVITE outside of dialogs, and what belongs to it: ACK, CANCEL, BYE (RFC 3261 §8.2, §9.2, §13.3, §15.1.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from sip.dialog import Dialog
from sip.errors import ParseError
from sip.events import IncomingInvite
from sip.flow import Flow
from sip.headers.media_type import parse_media_type
from sip.message import Request
from sip.multipart import SDP
from sip.overload import Verdict
from sip.session import Input, Session, reinvite
from sip.session_timer import OPTION_TAG, is_too_brief
from sip.share import EVERYBODY
from sip.transaction.layer import ServerTransaction
from sip.uri import Uri
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent

ACCEPTS = (SDP, "multipart/mixed")
_ACCEPT = ("Accept", ", ".join(ACCEPTS))  # §21.4.13
_DESCRIPTION = parse_media_type(SDP)


class InviteUsage(Usage):
    """Sessions that are offered to us."""

    METHODS = ("INVITE", "ACK", "CANCEL", "BYE")
    ACCEPTS = ACCEPTS

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.early = {"INVITE": self._invited, "ACK": self._acknowledged, "CANCEL": self._cancelled}
        self.within = {"BYE": self._hung_up}
        self.option_tags = (OPTION_TAG,) if agent.session_timer is not None else ()

    def _invited(self, request: Request, source: Flow, flow: Flow, now: float) -> None:
        agent, config = self.agent, self.agent.config
        # Before any state is made (§26.3.2.4): who it is, and only then whether there is room. A flood of strangers gets its 401 or 403
        # and takes nothing from the allowance of those who may call. An emergency call passes bans.
        classified = config.classify(request, source)
        sender = classified.sender
        is_emergency = config.is_emergency(request)
        if sender != "trunk" and not is_emergency and agent.is_banned(source, now, is_challenged=True):
            return
        if sender == "reject":
            agent.counters["rejected_source"] += 1
            if agent.has_room(request, flow, now, None):
                agent.answer_stateless(request, 403, flow)
            return
        authenticated_as: str | None = None
        if sender == "challenge" and config.authenticator is not None:
            authenticated_as = agent.authenticate(config.authenticator, request, flow, now, is_urgent=is_emergency)
            if authenticated_as is None:
                return
        is_sealed = config.must_be_encrypted(request, source, authenticated_as, classified)
        if is_sealed and not source.is_encrypted:
            if agent.has_room(request, flow, now, config.share(request, source, authenticated_as, classified)):
                agent.refuse_plain(request, flow)
            return
        share = config.share(request, source, authenticated_as, classified) or EVERYBODY
        verdict = agent.overload.admit(share, agent.live_sessions, now)
        if verdict is not Verdict.ADMITTED:
            agent.counters["overloaded"] += 1
            warning = agent.warning(verdict.reason)
            agent.answer_stateless(request, 503, flow, [("Retry-After", str(config.overload.retry_after_s)), warning])
            return
        merged = agent.layer.is_merged(request)
        transaction = agent.layer.serve_invite(request, flow, None, now)
        if merged:
            agent.answer(transaction, 482, now)
        elif not _can_be_called(request.uri):
            agent.answer(transaction, 416, now)
        elif agent.is_unsupported(transaction, now) or is_unreadable(agent, transaction, now):
            return
        elif not _has_target(request):
            agent.answer(transaction, 400, now, [agent.warning("header Contact: no SIP URI to reach the caller at")])
        elif request.max_forwards == 0:
            # We would call on: a back-to-back user agent ends loops as a proxy does (§16.3 step 3, RFC 7332 §2).
            agent.answer(transaction, 483, now)
        else:
            heard = replace(source, sealed=True) if is_sealed else source
            session = Session(agent, agent.new_token(), request, heard, is_caller=False)
            transaction.user = session
            session.be_offered(transaction, agent.new_token())
            agent.enter_session(session, authenticated_as)
            agent.overload.began(session.id, share)
            agent.let_in(source)
            agent.emit(IncomingInvite(session.id, request, source, request.sdp, authenticated_as, sender, classified.found))

    def _acknowledged(self, ack: Request, source: Flow, _flow: Flow, now: float) -> None:
        session = self.agent.session_of(ack)
        if session is None:
            # The ACK to a stateless answer of ours (401, 503), or a stray one: §17: never answered.
            self.agent.counters["ack_without_dialog"] += 1
        elif session.is_in_plain(source):
            self.agent.counters["refused_in_plain"] += 1
        else:
            if session.gone is not None:
                session.heard_over(source, now)
            session.receive_ack(ack, now)

    def _cancelled(self, cancel: Request, source: Flow, flow: Flow, now: float) -> None:
        agent = self.agent
        invite = agent.layer.invite_to_cancel(cancel)
        if invite is not None and isinstance(invite.user, Session) and invite.user.is_in_plain(source):
            agent.refuse_plain(cancel, flow)
            return
        if invite is None and (agent.is_banned(source, now, is_challenged=False) or not agent.has_room(cancel, flow, now, None)):
            return
        transaction = agent.layer.serve(cancel, flow)
        if invite is None:
            agent.answer(transaction, 481, now)
            return
        session = invite.user if isinstance(invite.user, Session) else None
        if session is not None and session.gone is not None:
            session.heard_over(source, now)
        # §9.2: "the To tag of the response to the CANCEL and the To tag in the response to the original request SHOULD be the same".
        to_tag = session.local_tag if session else agent.new_token()
        transaction.respond(cancel.response(200, to_tag=to_tag, headers=agent.plain_headers), now)
        if session is None or invite.is_answered:
            return
        if invite is session.uas:
            session.fire(Input.CANCEL, now, transaction)
        else:
            session.modification.fire(reinvite.Input.CANCEL, now)

    def _hung_up(self, session: Session, dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        if session.dialog is dialog:
            session.fire(Input.BYE, now, transaction)
        if transaction.last == b"":  # an early dialog of a fork, or a session that has no use for it
            self.agent.answer(transaction, 200 if session.dialog is dialog else 481, now)


def is_unreadable(agent: UserAgent, transaction: ServerTransaction, now: float) -> bool:
    """Whether an INVITE was refused for its body, which we cannot use (415), a session interval we do not bear (422), or since it does not
    want the answer we give (406).
    """
    request = transaction.request
    try:
        is_understood = not request.body or (request.content_type is not None and request.described.not_understood is None)
    except ParseError as error:
        agent.answer(transaction, error.status_hint, now, [agent.warning(str(error))])
        return True
    if not is_understood:
        agent.answer(transaction, 415, now, [_ACCEPT])
        return True
    if request.headers.get("Content-Encoding") not in {None, "", "identity"}:
        agent.answer(transaction, 415, now, [_ACCEPT, ("Accept-Encoding", "identity")])
        return True
    if agent.session_timer is not None and is_too_brief(request, agent.session_timer):
        agent.answer(transaction, 422, now, [("Min-SE", str(agent.session_timer.min_se_s))])
        return True
    accept = request.accept
    if accept is not None and not any(one.accepts(_DESCRIPTION) for one in accept):
        agent.answer(transaction, 406, now)
        return True
    return False


def _can_be_called(uri: Uri) -> bool:
    """A SIP URI, a telephone number (RFC 3966; carriers with IMS send them), or a call for help (RFC 5031)."""
    return uri.is_sip or uri.scheme == "tel" or (uri.scheme == "urn" and (uri.opaque or "").lower().startswith("service:"))


def _has_target(invite: Request) -> bool:
    """Whether requests in the dialog find their way. §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or
    SIPS URI". An RFC 2543 caller, known by its branch without the cookie, may leave it out, and is then where From says (RFC 4475 §3.4.1).
    """
    contact = invite.contact
    if contact is None:
        return not invite.has_star_contact and not invite.top_via.has_rfc3261_branch
    return contact.uri.is_sip
