"""A real mail server (aiosmtpd) in the loop of a test: with TLS, AUTH, and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import email
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from email.policy import default
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = b"fernamt", b"a secret of the mail server"


@dataclass
class MailServer:
    """What came; what is answered next to MAIL, RCPT and DATA, else 250. `cut`: the connection ends instead of the answer."""

    port: int = 0
    received: list[Message] = field(default_factory=list)
    envelopes: list[tuple[str, list[str], bool]] = field(default_factory=list)
    """Sender, recipients, whether it came over TLS."""
    senders: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    connections: int = 0
    slow_s: float = 0.0
    """How long an answer to DATA takes that is on its way while the sender is killed."""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        if self.senders:
            return self.senders.pop(0)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:  # noqa: N802
        if self.recipients:
            return self.recipients.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        reply = self.data.pop(0) if self.data else "250 OK"
        if reply == "cut before":
            server.transport.abort()
            return "250 nobody hears this"
        if reply in {"250 OK", "cut"}:
            message = email.message_from_bytes(cast("bytes", envelope.content), policy=default)
            async with self.arrived:
                self.received.append(message)
                self.envelopes.append(
                    (
                        str(envelope.mail_from),
                        envelope.rcpt_tos,
                        session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None,
                    )
                )
                self.arrived.notify_all()
        if reply == "cut":
            server.transport.abort()
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        return reply

    async def has(self, number: int) -> list[EmailMessage]:
        async with asyncio.timeout(10), self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= number)
        return cast("list[EmailMessage]", self.received)


def _authenticated(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(handled=False, success=isinstance(data, LoginPassword) and (data.login, data.password) == (USER, PASSWORD))


@contextlib.asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None, *, implicit: bool = False, auth: bool = False) -> AsyncIterator[MailServer]:
    """Listen on a free port of 127.0.0.1.

    Args:
        tls: with STARTTLS, which is required; `implicit`: from the first octet.
        auth: who sends must log in.
    """
    found, protocols = MailServer(), list[SMTP]()
    starttls = tls if not implicit else None

    def protocol() -> SMTP:
        found.connections += 1
        made = SMTP(
            found,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=auth,
            auth_require_tls=auth,
            authenticator=_authenticated if auth else None,
        )
        protocols.append(made)
        return made

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls if implicit else None)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        await server.wait_closed()
        for one in protocols:
            if one.transport is not None:
                one.transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
