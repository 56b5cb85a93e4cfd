"""Octets to messages: one datagram (RFC 3261 §18.3, §7) or a stream framed by Content-Length (§18.3, keep-alives RFC 5626 §3.5.1).

Strict where leniency would let one message mean two things (framing, start lines, line ends, single-valued headers), lenient where a
real phone was written by somebody who read the ABNF less closely; each leniency is marked "Deviation" at its pattern. The verdicts of
RFC 4475 and RFC 5118 draw the line.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from sip.errors import ParseError
from sip.grammar import IS_SIP_VERSION, IS_TOKEN, STATUS_LINE, number
from sip.headers.names import KNOWN_NAMES, header_name
from sip.message import KNOWN_METHODS, MANDATORY_HEADERS, Headers, Message, Request, Response
from sip.uri import Uri


@dataclass(frozen=True, slots=True)
class Limits:
    """What we are willing to hold in memory for one message; beyond it the peer is broken or hostile."""

    message_octets: int = 65_535
    """The largest UDP payload there can be, kept for streams too: the largest message seen from a real device is under 16 kB."""
    header_octets: int = 32_768
    """Start line and headers together."""
    header_count: int = 256
    """RFC 4475 §3.1.1.7 has 44 fields; Max-Forwards 70 bounds the honest Via and Record-Route fields at 140."""
    line_octets: int = 8_192
    """One header field; an Identity or a PASSporT chain takes 2-3 kB, RFC 4475 §3.1.1.7 has one of 0.6 kB."""
    start_line_octets: int = 4_096
    """Method, URI, version."""
    leading_blank_octets: int = 64
    """RFC 3261 §7.5 allows CRLFs before a start line without a bound; a keep-alive is four octets."""


DEFAULT_LIMITS: Final = Limits()


class KeepAlive(enum.Enum):
    """RFC 5626 §3.5.1: what stands between messages on a stream, and alone in a datagram."""

    PING = b"\r\n\r\n"
    """To be answered with a PONG on the same connection."""
    PONG = b"\r\n"


# RFC 3261 §7.3.1: "Header field values can be folded onto multiple lines if the continuation line begins with a space or horizontal tab."
_FOLD: Final = re.compile(r"[ \t]*+\r\n[ \t]++")
_BLANK: Final = re.compile(rb"(?:\r\n)*+")


def is_keep_alive(datagram: bytes) -> bool:
    """True for a datagram that only keeps a NAT binding open: CRLFs (RFC 5626 §3.5.1 and common practice), zero octets, or nothing at
    all.
    """
    return len(datagram) <= DEFAULT_LIMITS.leading_blank_octets and not datagram.strip(b"\r\n\0")


def parse_datagram(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Read the one message of a datagram.

    Octets beyond Content-Length are ignored, and without a Content-Length the body ends with the datagram (RFC 3261 §18.3).
    Raises: ParseError: with `partial` and `method` set where an answer is possible, see `sip.message.answer_to_malformed`.
    """
    if len(data) > limits.message_octets:
        raise ParseError("message too large", 513, "datagram")
    if data[:2] == b"\r\n":
        data = data[_BLANK.match(data).end() :]  # type: ignore[union-attr]  # it matches nothing at least
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return _message(_read_head(data, limits), None)
    return _message(_read_head(data[:end], limits), data[end + 4 :])


class _Head(NamedTuple):
    """Start line and headers, read as far as they can be."""

    start_line: str
    headers: Headers
    fault: ParseError | None


def _read_head(head: bytes, limits: Limits) -> _Head:
    if not head:
        raise ParseError("nothing there", where="start line")
    return _plain_head(head, limits) or _any_head(head, limits)


def _any_head(head: bytes, limits: Limits) -> _Head:
    try:
        start_line, lines = _head_lines(head, limits)
    except ParseError as error:
        _find_whom_to_answer(error, head, limits)
        raise
    headers, fault = _fields(lines)
    return _Head(start_line, headers, fault)


def _plain_head(head: bytes, limits: Limits) -> _Head | None:
    """As `_any_head`, for the form that nearly every head has: UTF-8, nothing folded, nothing wrong, nothing large. None for any other."""
    octets = len(head)
    if octets > limits.start_line_octets or octets > limits.line_octets or octets > limits.header_octets:
        return None
    try:
        start_line, *lines = head.decode("utf-8").split("\r\n")
        if len(lines) > limits.header_count or "\r" in start_line or "\n" in start_line:
            return None
        return _Head(start_line, Headers.from_wire([*map(_plain_field, lines)]), None)
    except (ParseError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=2048)
def _plain_field(line: str) -> tuple[str, str]:
    """Name and value of one line. Most lines of a message were in the one before it, or are in every message of that peer.

    Raises: ParseError: no line that can be read without the others, whatever is wrong with it.
    """
    name, colon, value = line.partition(":")
    if not colon or "\r" in value or "\n" in value:
        raise ParseError("not plain", where="header section")
    return KNOWN_NAMES.get(name) or header_name(name), value.strip(" \t")


def _message(head: _Head, body: bytes | None) -> Message:
    """The message of a head and the octets that follow it; None says that the blank line never came."""
    start_line, headers, fault = head
    method: str | None = None
    message: Message
    try:
        if start_line[:4].upper() == "SIP/":
            status, reason = _status_line(start_line)
            if fault is not None:
                raise fault
            message = Response(status, reason, headers, _content(headers, body))
            message.validate()
        else:
            method = _method(start_line)
            uri = _request_uri(start_line)
            if fault is not None:
                raise fault
            message = Request(method, uri, headers, _content(headers, body))
            message.validate()
            _check_method(message)
    except ParseError as error:
        _complete(error, method, headers)
        raise
    return message


def _complete(error: ParseError, method: str | None, headers: Headers) -> None:
    """Put into the error what an answer needs, where there is enough for one."""
    error.method = method
    if method is not None and all(name in headers for name in MANDATORY_HEADERS):
        error.partial = headers


_TOO_LARGE: Final = frozenset((413, 414, 513))
_MANDATORY_NAMES: Final = frozenset(MANDATORY_HEADERS)


def _find_whom_to_answer(error: ParseError, head: bytes, limits: Limits) -> None:
    """Put into the error what an answer needs, of a head that is too large to be read as a whole: its sender must learn why nothing comes.

    Only what fits the limits itself is looked at. What is folded, or has a line break of its own, is left out: it goes back to the sender.
    """
    if error.status_hint not in _TOO_LARGE:
        return
    lines = head[: limits.header_octets].split(b"\r\n", 2 * limits.header_count)
    if len(head) > limits.header_octets or len(lines) > 2 * limits.header_count:
        lines.pop()  # cut off, or the rest
    if not lines:
        return
    method = _decode_line(lines[0][: limits.start_line_octets]).partition(" ")[0]
    fields: list[tuple[str, str]] = []
    for line, following in pairwise([*lines[1:], b""]):
        if len(line) > limits.line_octets or following[:1] in {b" ", b"\t"}:
            continue
        try:
            name, value = _plain_field(_decode_line(line))
        except ParseError:
            continue
        if name in _MANDATORY_NAMES:
            fields.append((name, value))
    if IS_TOKEN(method):
        _complete(error, method, Headers.from_wire(fields))


def _head_lines(head: bytes, limits: Limits) -> tuple[str, list[str]]:
    """The start line and the unfolded header lines, decoded."""
    if len(head) > limits.header_octets:
        raise ParseError("header section too large", 513, "header section")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        # Deviation: RFC 3261 §7 wants UTF-8; German phones of some age put Latin-1 umlauts into display names. Decided line by line, and
        # written back as UTF-8.
        text = "\r\n".join(_decode_line(line) for line in head.split(b"\r\n"))
    text = text.removesuffix("\r\n")
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        raise ParseError("CR or LF alone", where="header section")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
        lines = text.split("\r\n")
    if len(lines) - 1 > limits.header_count:
        raise ParseError("too many header fields", 513, "header section")
    if len(lines[0]) > limits.start_line_octets:
        raise ParseError("start line too long", 414, "start line")
    if len(text) > limits.line_octets and max(map(len, lines)) > limits.line_octets:
        raise ParseError("header field too long", 513, "header section")
    return lines[0], lines[1:]


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _method(start_line: str) -> str:
    method = start_line.partition(" ")[0]
    if method not in KNOWN_METHODS and not IS_TOKEN(method):
        raise ParseError(f"no method: {method[:40]!r}", where="request line")
    return method


@lru_cache(maxsize=1024)
def _request_uri(start_line: str) -> Uri:
    # Request-Line  =  Method SP Request-URI SP SIP-Version CRLF: single SPs, none at the end (RFC 4475 §3.1.2.8 to §3.1.2.10).
    parts = start_line.split(" ")
    if len(parts) != 3:
        raise ParseError("not of three parts with single spaces", where="request line")
    version = IS_SIP_VERSION(parts[2])
    if version is None:
        raise ParseError(f"no SIP version: {parts[2][:40]!r}", where="request line")
    if (version[1], version[2]) != ("2", "0"):
        raise ParseError(f"SIP version {version[1]}.{version[2]}", 505, "request line")
    uri = Uri.parse(parts[1])
    if uri.headers:
        # RFC 4475 §3.1.2.11: headers in a Request-URI must never become header fields; refusing is the safe reading.
        raise ParseError("headers in the Request-URI", where="request line")
    return uri


@lru_cache(maxsize=256)
def _status_line(start_line: str) -> tuple[int, str]:
    match = STATUS_LINE(start_line)
    if match is None:
        raise ParseError("no status line", where="status line")
    version = IS_SIP_VERSION(match[1])
    if version is None or (version[1], version[2]) != ("2", "0"):
        raise ParseError(f"no SIP version 2.0: {match[1][:40]!r}", where="status line")
    status = int(match[2])
    if not 100 <= status <= 699:
        raise ParseError(f"status code {status}", where="status line")
    return status, match[3] or ""


def _fields(lines: list[str]) -> tuple[Headers, ParseError | None]:
    """The header fields in their order, and the first thing that was wrong with them."""
    fields: list[tuple[str, str]] = []
    fault: ParseError | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        try:
            if not colon:
                raise ParseError(f"no colon: {line[:40]!r}", where="header section")
            fields.append((header_name(name), value.strip(" \t")))
        except ParseError as error:
            fault = fault or error
    return Headers.from_wire(fields), fault


def _content_length(headers: Headers) -> int | None:
    """The announced length of the body.

    Raises: ParseError: no number, or said twice: two readers could then disagree where the message ends (RFC 4475 §3.3.9).
    """
    index = headers.index()
    value = index.first.get("Content-Length")
    if value is None:
        return None
    if "Content-Length" in index.repeated:
        raise ParseError("more than once", where="header Content-Length")
    return number(value, "header Content-Length", 2**32 - 1)


def _content(headers: Headers, body: bytes | None) -> bytes:
    """What of the octets behind the blank line is the body."""
    if body is None:
        raise ParseError("ends inside the header section", where="datagram")
    length = _content_length(headers)
    if length is None or length == len(body):
        return body
    if length > len(body):
        # RFC 3261 §18.3: "If the transport packet ends before the end of the message body, this is considered an error."
        raise ParseError(f"{length} octets announced, {len(body)} there", where="header Content-Length")
    return body[:length]


def _check_method(request: Request) -> None:
    """RFC 3261 §8.1.1.5: "The method MUST match that of the request"; 501 where we do not know the method anyway (RFC 4475 §3.1.2.18)."""
    if "CSeq" in request.headers.index().first and request.cseq.method != request.method:
        status = 400 if request.method in KNOWN_METHODS else 501
        raise ParseError(f"method {request.cseq.method} under {request.method}", status, "header CSeq")


Received = Message | KeepAlive | ParseError


class StreamParser:
    """Cuts a TCP or TLS stream into messages (a WebSocket frames them itself: RFC 7118 §5).

    A message that is malformed inside sound framing comes out as a ParseError in its place in the order; with `fatal` set the framing is
    lost, the connection must be closed, and nothing more is read (RFC 4475 §3.1.2.2, §3.1.2.3, §3.3.9).
    """

    __slots__ = ("_buffer", "_head", "_limits", "_searched", "_wanted", "closed")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._wanted = 0
        self._searched = 0
        self.closed = False

    def feed(self, data: bytes) -> list[Received]:
        """Take what the connection gave, return what is complete now."""
        if self.closed:
            return []
        self._buffer += data
        out: list[Received] = []
        while self._buffer or self._head is not None:
            try:
                item = self._next()
            except ParseError as error:
                out.append(error)
                if error.fatal:
                    self.closed = True
                    self._buffer.clear()
                continue
            if item is None:
                break
            out.append(item)
        return out

    def _next(self) -> Message | KeepAlive | None:
        """Cut one item off the front of the buffer; None while it is not complete."""
        buffer = self._buffer
        if self._head is None:
            if buffer[:1] == b"\r":
                return self._keep_alive()
            end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
            if end < 0:
                self._searched = len(buffer)
                if len(buffer) > self._limits.header_octets:
                    error = ParseError("header section too large", 513, "stream", fatal=True)
                    _find_whom_to_answer(error, bytes(buffer), self._limits)
                    raise error
                return None
            self._head = self._framed(bytes(buffer[:end]), end + 4)
            del buffer[: end + 4]
            self._searched = 0
        if len(buffer) < self._wanted:
            return None
        head, body = self._head, bytes(buffer[: self._wanted])
        del buffer[: self._wanted]
        self._head, self._wanted = None, 0
        return _message(head, body)

    def _framed(self, octets: bytes, body_at: int) -> _Head:
        """The head, once it is known how long the body is: on a stream Content-Length is mandatory (RFC 3261 §18.3)."""
        try:
            head = _read_head(octets, self._limits)
        except ParseError as error:
            error.fatal = True
            raise
        try:
            length = _content_length(head.headers)
            if length is None:
                raise ParseError("missing on a stream", where="header Content-Length")
            if body_at + length > self._limits.message_octets:
                raise ParseError("message too large", 513, "header Content-Length")
        except ParseError as error:
            error.fatal = True
            method = head.start_line.partition(" ")[0]
            _complete(error, method if IS_TOKEN(method) else None, head.headers)
            raise
        self._wanted = length
        return head

    def _keep_alive(self) -> KeepAlive | None:
        buffer = self._buffer
        if buffer[:4] == b"\r\n\r\n":
            del buffer[:4]
            return KeepAlive.PING
        if b"\r\n\r\n".startswith(buffer):
            # A PONG, or the first half of a PING: RFC 5626 §3.5.1 tells them apart by what follows, so wait for a whole message or PING.
            return None
        if buffer[:2] != b"\r\n":
            raise ParseError("CR alone", where="stream", fatal=True)
        del buffer[:2]
        return KeepAlive.PONG
