"""REGISTER at our registrar (RFC 3261 §10.3; the location service is `sip.registrar`). Without one it is answered 405."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sip.flow import Flow
from sip.message import Request
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent

UNSERVED_RETRY_S = "30"


class RegisterUsage(Usage):
    """Phones that say where they are."""

    METHODS = ("REGISTER",)

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.early = {"REGISTER": self._registered}

    def _registered(self, request: Request, source: Flow, flow: Flow, now: float) -> None:
        agent, config = self.agent, self.agent.config
        if agent.is_banned(source, now, is_challenged=True):
            return
        authenticated_as: str | None = None
        if config.registrar is not None and config.authenticator is not None and request.uri.is_sip:
            authenticated_as = agent.authenticate(config.authenticator, request, flow, now)
            if authenticated_as is None:
                return
        if not agent.has_room(request, flow, now, config.share(request, source, authenticated_as, None)):
            return
        if authenticated_as is not None and not source.is_encrypted and config.must_be_encrypted(request, source, authenticated_as, None):
            agent.refuse_plain(request, flow)
            return
        transaction = agent.layer.serve(request, flow)
        if config.registrar is None:
            agent.answer_unknown_method(transaction, now)
            return
        if not request.uri.is_sip:
            agent.answer(transaction, 416, now)
            return
        if not config.serves(authenticated_as):
            agent.answer(transaction, 503, now, (("Retry-After", UNSERVED_RETRY_S),))
            return
        if agent.is_unsupported(transaction, now):
            return
        is_forced = flow.transport == "udp" and not request.top_via.wants_rport and config.forces_rport(request, source)
        response = config.registrar.register(request, authenticated_as, source, now, keeps_flow=is_forced)
        if response.status < 300:
            agent.let_in(source)
        headers = response.headers
        for name, value in agent.plain_headers:
            headers.add(name, value)
        if not response.to_tag:
            headers.set("To", str(response.to.with_tag(agent.new_token())))
        transaction.respond(response, now)
