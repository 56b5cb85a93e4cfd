"""One mail to the operator's server by SMTP submission (shell; RFC 6409, RFC 5321, RFC 3207, RFC 4954, RFC 8314), over aiosmtplib.

A connection for each mail: they are few, and one that was kept may be dead. A refusal of the recipient or of the message (5yz) is for ever;
one of the log-in or the sender is the settings' fault and is mended there, so it passes, as all else does. Where the connection is cut
after the last dot nobody knows whether it was taken: it is sent again under the same Message-ID.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import aiosmtplib

from api.config import Mail as MailSettings


class NotSent(Exception):
    """The mail was not taken, or nobody knows; one sentence."""

    def __init__(self, text: str, *, for_ever: bool) -> None:
        super().__init__(text)
        self.for_ever = for_ever


class Submission(Protocol):
    """Takes a mail."""

    async def __call__(self, sender: str, to: str, message: bytes) -> None:
        """Raises: NotSent."""


class Smtp:
    """The server of the settings."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            ca_file = self._settings.ca_file
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=None if ca_file is None else str(ca_file))
        return self._tls

    async def __call__(self, sender: str, to: str, message: bytes) -> None:
        """Submit it.

        Raises: NotSent
        """
        settings = self._settings
        if settings.host is None:
            raise NotSent("There is no mail server in the settings ([mail] host).", for_ever=False)
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            timeout=settings.timeout_s,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=await self._context() if settings.security != "none" else None,
        )
        try:
            await client.connect()
            if settings.username is not None and settings.password is not None:
                await client.login(settings.username, settings.password.get_secret_value())
            await client.sendmail(sender, [to], message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refused(error.recipients[0].code, "the recipient", error.recipients[0].message) from error
        except aiosmtplib.SMTPSenderRefused as error:
            raise NotSent(_text(error.code, "the sender", error.message), for_ever=False) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            raise NotSent(f"The server refused the log-in ({error.code}).", for_ever=False) from error
        except aiosmtplib.SMTPDataError as error:
            raise _refused(error.code, "the message", error.message) from error
        except aiosmtplib.SMTPResponseException as error:
            raise NotSent(_text(error.code, "us", error.message), for_ever=False) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise NotSent(f"The server was not reached, or cut the connection: {_first_line(error)}", for_ever=False) from error
        finally:
            client.close()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _text(code: int, what: str, said: str) -> str:
    return f"The server refused {what}: {code} {said}"


def _refused(code: int, what: str, said: str) -> NotSent:
    return NotSent(_text(code, what, said), for_ever=code >= 500)
