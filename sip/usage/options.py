"""OPTIONS: what we can, and whether somebody is there (RFC 3261 §11)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sip.dialog import Dialog
from sip.events import OptionsAnswered
from sip.flow import Flow
from sip.message import MAX_FORWARDS, Request, Response
from sip.multipart import SDP
from sip.session import Session
from sip.transaction.base import Transaction
from sip.transaction.layer import ServerTransaction
from sip.uri import Uri
from sip.usage.usage import Usage

if TYPE_CHECKING:
    from sip.user_agent import UserAgent


class OptionsUsage(Usage):
    """Probes, both ways."""

    METHODS = ("OPTIONS",)

    def __init__(self, agent: UserAgent) -> None:
        super().__init__(agent)
        self.outside = {"OPTIONS": self._asked}
        self.within = {"OPTIONS": self._asked_within}

    def _asked(self, transaction: ServerTransaction, now: float) -> None:
        # §11.2: Allow, Accept, Accept-Encoding, Accept-Language and Supported SHOULD be present; no SDP, since we answer for nobody yet.
        usages = self.agent.usages
        fields = [
            usages.allow,
            *usages.allow_events,
            usages.accept,
            ("Accept-Encoding", "identity"),
            ("Accept-Language", "en, de"),
            usages.supported,
        ]
        self.agent.answer(transaction, 200, now, fields)

    def _asked_within(self, _session: Session, _dialog: Dialog, transaction: ServerTransaction, now: float) -> None:
        self._asked(transaction, now)

    def ask(self, probe: str, target: Uri, flow: Flow, now: float, *, patience_s: float | None, route: Sequence[Uri]) -> None:
        """See `UserAgent.options`."""
        agent = self.agent
        ours = agent.contact(flow, is_sips="sips" in {target.scheme, *(uri.scheme for uri in route[:1])})
        fields = [
            ("Via", agent.via(flow)),
            *[("Route", f"<{uri}>") for uri in route],
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", f"{ours};tag={agent.new_token()}"),
            ("To", f"<{target}>"),
            ("Call-ID", agent.new_token()),
            ("CSeq", "1 OPTIONS"),
            ("Contact", ours),
            ("Accept", SDP),
            *agent.plain_headers,
        ]
        agent.request(Request.build("OPTIONS", target, fields), flow, _Probe(agent, probe), now, patience_s=patience_s)


class _Probe:
    """The user of one OPTIONS of ours."""

    __slots__ = ("_agent", "_probe")

    def __init__(self, agent: UserAgent, probe: str) -> None:
        self._agent = agent
        self._probe = probe

    def on_response(self, _transaction: Transaction, response: Response, _now: float) -> None:
        if response.status >= 200:
            self._agent.emit(OptionsAnswered(self._probe, response.status))

    def on_timeout(self, _transaction: Transaction, _now: float) -> None:
        self._agent.emit(OptionsAnswered(self._probe, None))

    def on_transport_error(self, transaction: Transaction, now: float) -> None:
        self.on_timeout(transaction, now)
