"""The exception tree of sip/: what went wrong, and whose fault it is (house rule: local misuse against remote fault).

SipError
├── LocalMisuse            our own code asked for something the standard forbids; a bug, never an answer on the wire
│   └── IllegalTransition  a state machine was given an input its table does not allow for us
└── RemoteFault            the peer sent something we cannot accept; `status_hint` is what to answer
    ├── ParseError         octets that are no message, header, URI or SDP
    └── OfferRefused       a well-formed offer or answer without anything in common with us (RFC 3264 §6)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sip.message import Headers


class SipError(Exception):
    """Root of everything sip/ raises on purpose."""


class LocalMisuse(SipError):
    """Our own code broke a rule of the standard; fix the caller."""


class IllegalTransition(LocalMisuse):
    """A machine was driven along an edge that its table does not have."""


class RemoteFault(SipError):
    """The peer sent what we cannot accept.

    Attributes:
        status_hint: the status code to answer with, if there is a request to answer.
    """

    def __init__(self, message: str, status_hint: int = 400) -> None:
        super().__init__(message)
        self.status_hint = status_hint


class ParseError(RemoteFault):
    """Octets that are no SIP message, header, URI or session description.

    Attributes:
        where: the place that could not be read: "header Via", "request line", "sdp line 3".
        method: the request's method where it could be read; None for a response and for noise, and then nothing may be answered.
        partial: the header fields, when Via, From, To, Call-ID and CSeq are all there, so that a stateless answer can be built
            (`sip.message.answer_to_malformed`); None when there is nothing to answer.
        fatal: on a stream, the framing is lost and the connection must be closed (RFC 3261 §18.3).
    """

    def __init__(
        self,
        message: str,
        status_hint: int = 400,
        where: str = "",
        *,
        method: str | None = None,
        partial: Headers | None = None,
        fatal: bool = False,
    ) -> None:
        super().__init__(message, status_hint)
        self.where = where
        self.method = method
        self.partial = partial
        self.fatal = fatal

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.where}: {text}" if self.where else text


class OfferRefused(RemoteFault):
    """No common ground in offer/answer: becomes 488 with a Warning header (RFC 3261 §20.43, §21.4.26).

    Attributes:
        warning_code: 300 incompatible network protocol .. 305 incompatible media format, 304 media type not available.
    """

    def __init__(self, message: str, warning_code: int = 305, status_hint: int = 488) -> None:
        super().__init__(message, status_hint)
        self.warning_code = warning_code

    def warning(self, agent: str) -> str:
        """The value of the Warning header: code, our name, quoted text."""
        text = str(self).replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.warning_code} {agent} "{text}"'
