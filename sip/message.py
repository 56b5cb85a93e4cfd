"""Requests and responses: RFC 3261 §7, with the typed header fields of §20; responses built from requests by §8.2.6."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from operator import itemgetter
from typing import Final

import msgspec

from sip.errors import LocalMisuse, ParseError
from sip.grammar import IS_TOKEN, saturated_number
from sip.headers.accessor import Every, One, OneIfAny, Readable
from sip.headers.contact import parse_contacts, parse_expires, parse_min_expires
from sip.headers.cseq import CSeq, parse_cseq
from sip.headers.event import parse_event
from sip.headers.fields import Headers, Index, Value
from sip.headers.identity import parse_called_party, parse_identities
from sip.headers.media_type import MediaType, parse_media_ranges, parse_media_type
from sip.headers.name_addr import NameAddr, parse_name_addr
from sip.headers.privacy import parse_privacy
from sip.headers.refer import parse_refer_sub, parse_refer_to
from sip.headers.retry_after import parse_retry_after
from sip.headers.route import parse_routes
from sip.headers.session_expires import parse_session_interval
from sip.headers.tokens import parse_tokens
from sip.headers.via import Via, parse_vias
from sip.multipart import SDP, Found, description_in, is_optional
from sip.status import reason_phrase
from sip.uri import Uri

KNOWN_METHODS: Final = frozenset(
    (
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "OPTIONS",
        "REGISTER",
        "INFO",
        "MESSAGE",
        "NOTIFY",
        "PRACK",
        "PUBLISH",
        "REFER",
        "SUBSCRIBE",
        "UPDATE",
    )
)
"""Methods of IANA's registry. Another one is answered 501, not 400 (RFC 4475 §3.1.2.18)."""

MANDATORY_HEADERS: Final = ("Via", "From", "To", "Call-ID", "CSeq")
"""RFC 3261 §8.1.1 without Max-Forwards, which RFC 2543 did not know (RFC 4475 §3.4.1)."""

MAX_FORWARDS: Final = 70
"""RFC 3261 §8.1.1.6: what a request begins with."""
MAX_MAX_FORWARDS: Final = 255
"""RFC 3261 §20.22: "an integer in the range 0-255"."""


_MANDATORY: Final = frozenset(MANDATORY_HEADERS)
_ECHOED_IN_100: Final = _MANDATORY | {"Timestamp"}  # RFC 3261 §8.2.6.1


def _one(index: Index, name: str) -> str:
    value = index.first.get(name)
    if value is None:
        raise ParseError("missing", where=f"header {name}")
    if name in index.repeated:
        raise ParseError("more than once", where=f"header {name}")
    return value


def _vias(headers: Headers) -> tuple[Via, ...]:
    index = headers.index()
    value = index.first.get("Via")
    if value is None:
        raise ParseError("missing", where="header Via")
    if "Via" not in index.repeated:
        return parse_vias(value)
    return tuple([via for value in index.repeated["Via"] for via in parse_vias(value)])


def _top_via(headers: Headers) -> Via:
    value = headers.index().first.get("Via")
    if value is None:
        raise ParseError("missing", where="header Via")
    return parse_vias(value)[0]


def _from(headers: Headers) -> NameAddr:
    return parse_name_addr(_one(headers.index(), "From"), "header From")


def _to(headers: Headers) -> NameAddr:
    return parse_name_addr(_one(headers.index(), "To"), "header To")


def _call_id(headers: Headers) -> str:
    value = _one(headers.index(), "Call-ID")
    # callid = word [ "@" word ]; a word has neither SP nor control characters. More is not asked: it is compared octet by octet.
    if not value or " " in value or "\t" in value:
        raise ParseError(f"no callid: {value[:40]!r}", where="header Call-ID")
    return value


def _cseq(headers: Headers) -> CSeq:
    return parse_cseq(_one(headers.index(), "CSeq"))


def _contacts(headers: Headers) -> tuple[tuple[NameAddr, ...], bool]:
    return parse_contacts(headers.get_all("Contact"))


def _max_forwards(headers: Headers) -> int | None:
    return _hops(_one(headers.index(), "Max-Forwards")) if "Max-Forwards" in headers else None


@lru_cache(maxsize=256)
def _hops(text: str) -> int:
    value = saturated_number(text, MAX_MAX_FORWARDS)
    if value is None:
        raise ParseError("no number", where="header Max-Forwards")
    return value


class _TypedHeaders:
    """What requests and responses have in common: the header fields as values, a row each; a new header is its file and a row here.

    Each is read when first asked for. Those with code of their own below are the ones that every message has, read when it is parsed; if
    one of these is missing altogether, ParseError is raised (`missing_headers` says so beforehand).
    """

    __slots__ = ()
    headers: Headers
    body: bytes

    # fmt: off
    routes              = Every("Route", partial(parse_routes, header="Route"))
    record_routes       = Every("Record-Route", partial(parse_routes, header="Record-Route"))
    path                = Every("Path", partial(parse_routes, header="Path"))  # the proxies of a registering phone, nearest to us first
    service_routes      = Every("Service-Route", partial(parse_routes, header="Service-Route"))  # what new requests are to pass (RFC 3608)
    require             = Every("Require", partial(parse_tokens, header="Require"))
    supported           = Every("Supported", partial(parse_tokens, header="Supported"))
    allow               = Every("Allow", partial(parse_tokens, header="Allow"))
    _accept             = Every("Accept", parse_media_ranges)
    content_type        = One("Content-Type", parse_media_type)
    event               = One("Event", parse_event)
    refer_to            = Every("Refer-To", parse_refer_to)
    refer_sub           = OneIfAny("Refer-Sub", parse_refer_sub)
    expires             = One("Expires", parse_expires)  # seconds
    min_expires         = OneIfAny("Min-Expires", parse_min_expires)  # seconds
    retry_after         = OneIfAny("Retry-After", parse_retry_after)
    session_expires     = OneIfAny("Session-Expires", parse_session_interval)
    min_se              = OneIfAny("Min-SE", partial(parse_session_interval, where="header Min-SE"))
    asserted_identities = Readable("P-Asserted-Identity", parse_identities)  # who calls, said by a trusted trunk
    remote_parties      = Readable("Remote-Party-ID", parse_identities)
    called_party        = OneIfAny("P-Called-Party-ID", parse_called_party)
    privacy             = Every("Privacy", parse_privacy)
    # fmt: on

    @property
    def vias(self) -> tuple[Via, ...]:
        try:
            vias: tuple[Via, ...] = self.headers.values_read["vias"]
        except KeyError:
            return self.headers.typed("vias", _vias)
        return vias

    @property
    def top_via(self) -> Via:
        try:
            via: Via = self.headers.values_read["top_via"]
        except KeyError:
            return self.headers.typed("top_via", _top_via)
        return via

    @property
    def from_(self) -> NameAddr:
        try:
            address: NameAddr = self.headers.values_read["from"]
        except KeyError:
            return self.headers.typed("from", _from)
        return address

    @property
    def to(self) -> NameAddr:
        try:
            address: NameAddr = self.headers.values_read["to"]
        except KeyError:
            return self.headers.typed("to", _to)
        return address

    @property
    def from_tag(self) -> str | None:
        return self.from_.tag

    @property
    def to_tag(self) -> str | None:
        return self.to.tag

    @property
    def call_id(self) -> str:
        try:
            call_id: str = self.headers.values_read["call-id"]
        except KeyError:
            return self.headers.typed("call-id", _call_id)
        return call_id

    @property
    def cseq(self) -> CSeq:
        try:
            cseq: CSeq = self.headers.values_read["cseq"]
        except KeyError:
            return self.headers.typed("cseq", _cseq)
        return cseq

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """All contacts; empty for none and for the star."""
        return self.headers.typed("contacts", _contacts)[0]

    @property
    def has_star_contact(self) -> bool:
        """Contact: * (RFC 3261 §10.2.2: every binding is to go)."""
        return self.headers.typed("contacts", _contacts)[1]

    @property
    def contact(self) -> NameAddr | None:
        """The first contact: in a dialog there is exactly one."""
        contacts = self.contacts
        return contacts[0] if contacts else None

    @property
    def max_forwards(self) -> int | None:
        """None where it is missing; above 255 it counts as 255."""
        return self.headers.typed("max-forwards", _max_forwards)

    @property
    def accept(self) -> tuple[MediaType, ...] | None:
        """The media ranges of Accept; None where it is missing (which means application/sdp, RFC 3261 §20.1)."""
        return self._accept if "Accept" in self.headers.index().first else None

    @property
    def has_sdp(self) -> bool:
        """True when the body is a session description, or has one among its parts."""
        return self.sdp is not None

    @property
    def sdp(self) -> bytes | None:
        """The session description: the body, or the part of a multipart body (RFC 5621) that is one; None where there is none.

        A multipart body that cannot be read has none either: `described` says what is wrong with it.
        """
        if not self.body:
            return None
        try:
            return self.described.sdp
        except ParseError:
            return None

    @property
    def described(self) -> Found:
        """What the body holds for a call.

        Raises: ParseError: it has several parts that cannot be read.
        """
        return self.headers.typed("described", lambda _: self._description())

    def _description(self) -> Found:
        content_type = self.content_type
        if not self.body or content_type is None:
            return Found(None, None)
        if content_type.essence == SDP:
            return Found(self.body, None)
        if content_type.type == "multipart":
            return description_in(content_type, self.body)
        return Found(None, None if is_optional(self.headers.get("Content-Disposition"), content_type.essence) else content_type)

    @property
    def missing_headers(self) -> tuple[str, ...]:
        """The mandatory headers that are not there; a request with any is answered 400 (RFC 4475 §3.3.1)."""
        first = self.headers.index().first
        return () if first.keys() >= _MANDATORY else tuple([name for name in MANDATORY_HEADERS if name not in first])

    def validate(self) -> None:
        """Read every header that a transaction stands on, so that its accessor cannot raise later.

        Raises: ParseError: one of them is malformed or there twice. A missing one is not an error here.
        """
        headers = self.headers
        read = headers.values_read
        index = headers.index()
        first, repeated = index
        # Every message received comes through here: each value is taken out of the index once, without the detour of its accessor.
        if "Via" in first:
            vias = read["vias"] = _vias(headers) if repeated else parse_vias(first["Via"])
            read["top_via"] = vias[0]
        if "CSeq" in first:
            read["cseq"] = parse_cseq(_one(index, "CSeq") if repeated else first["CSeq"])
        if "Call-ID" in first:
            read["call-id"] = _call_id(headers)
        if "From" in first:
            read["from"] = parse_name_addr(_one(index, "From") if repeated else first["From"], "header From")
        if "To" in first:
            read["to"] = parse_name_addr(_one(index, "To") if repeated else first["To"], "header To")
        if "Max-Forwards" in first:
            read["max-forwards"] = _hops(_one(index, "Max-Forwards") if repeated else first["Max-Forwards"])


def _wire(start_line: str, headers: Headers, body: bytes) -> bytes:
    """The octets of a message; Content-Length is always there, and always right."""
    announced = f"Content-Length: {len(body)}"
    lines = [start_line, *map(": ".join, headers.fields)]
    head = "\r\n".join(lines)
    if lines[-1] != announced or head.count("\r\nContent-Length: ") != 1:
        kept = [line for line in lines if not line.startswith("Content-Length: ")]
        at = next((at for at, line in enumerate(lines) if line.startswith("Content-Length: ")), len(lines))
        lines = [*kept[:at], announced, *kept[at:]]
        head = "\r\n".join(lines)
    # A line break in a value would start a header field of its own: the classic injection, so it is looked for where nothing can get past.
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise LocalMisuse(f"line break inside a header of: {start_line}")
    return f"{head}\r\n\r\n".encode() + body


def _built(headers: Iterable[tuple[str, Value]], body: bytes, content_type: Value | None) -> Headers:
    built = headers.copy() if isinstance(headers, Headers) else Headers(headers)
    fields = built.fields
    if _ABOUT_THE_BODY.isdisjoint(map(_name_of, fields)):
        if content_type is not None:
            fields.append(("Content-Type", str(content_type)))
        fields.append(("Content-Length", str(len(body))))
    else:
        if content_type is not None:
            built.set("Content-Type", content_type)
        built.set("Content-Length", len(body))
    return built


_name_of: Final = itemgetter(0)
_ABOUT_THE_BODY: Final = frozenset(("Content-Type", "Content-Length"))


class Request(_TypedHeaders, msgspec.Struct, frozen=True):
    """A request (RFC 3261 §7.1). Immutable from the moment it is sent or delivered."""

    method: str
    uri: Uri
    headers: Headers
    body: bytes = b""

    @property
    def is_sips(self) -> bool:
        """Whether it came to, or first to, a SIPS URI: then the Contact of its answers is one (RFC 3261 §12.1.1)."""
        hops = self.record_routes
        return self.uri.scheme == "sips" or bool(hops and hops[0].uri.scheme == "sips")

    @classmethod
    def build(
        cls, method: str, uri: Uri, headers: Iterable[tuple[str, Value]], body: bytes = b"", content_type: Value | None = None
    ) -> Request:
        """A request of ours; Content-Length is added.

        Raises: LocalMisuse: the method is no token, or the URI has headers, which a request line must not carry.
        """
        if method not in KNOWN_METHODS and not IS_TOKEN(method):
            raise LocalMisuse(f"no method: {method!r}")
        if uri.headers:
            raise LocalMisuse(f"headers in a Request-URI: {uri}")
        return cls(method, uri, _built(headers, body, content_type), body)

    def response(
        self,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, Value]] = (),
        body: bytes = b"",
        content_type: Value | None = None,
    ) -> Response:
        """The response to this request: Via, From, To, Call-ID and CSeq copied as they came (RFC 3261 §8.2.6.2).

        Args:
            to_tag: added to To unless the request already carries one; a 100 never gets one from here (§8.2.6.1 leaves it optional).
        """
        if status == 100 or ("To" in self.headers and self.to.tag):
            to_tag = None
        fields = [*_echo(self.headers, status, to_tag), *headers]
        return Response.build(status, reason, fields, body, content_type)

    def with_headers(self, headers: Headers) -> Request:
        return Request(self.method, self.uri, headers, self.body)

    def to_bytes(self) -> bytes:
        return _wire(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)

    def __str__(self) -> str:
        return self.to_bytes().decode("utf-8", "replace")


class Response(_TypedHeaders, msgspec.Struct, frozen=True):
    """A response (RFC 3261 §7.2)."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""

    @classmethod
    def build(
        cls,
        status: int,
        reason: str | None,
        headers: Iterable[tuple[str, Value]],
        body: bytes = b"",
        content_type: Value | None = None,
    ) -> Response:
        """A response from its parts; Content-Length is added, the registered phrase stands in for a missing one.

        Raises: LocalMisuse: the status is no SIP status code.
        """
        if not 100 <= status <= 699:
            raise LocalMisuse(f"no status code: {status}")
        return cls(status, reason_phrase(status) if reason is None else reason, _built(headers, body, content_type), body)

    def with_headers(self, headers: Headers) -> Response:
        return Response(self.status, self.reason, headers, self.body)

    def to_bytes(self) -> bytes:
        return _wire(f"SIP/2.0 {self.status} {self.reason}", self.headers, self.body)

    def __str__(self) -> str:
        return self.to_bytes().decode("utf-8", "replace")


Message = Request | Response


def _echo(headers: Headers, status: int, to_tag: str | None) -> list[tuple[str, Value]]:
    """The fields that a response takes over from its request, in their order."""
    wanted = _ECHOED_IN_100 if status == 100 else _MANDATORY
    fields: list[tuple[str, Value]] = [field for field in headers.fields if field[0] in wanted]
    if to_tag:
        fields = [(name, f"{value};tag={to_tag}") if name == "To" else (name, value) for name, value in fields]
    return fields


def answer_to_malformed(error: ParseError, to_tag: str | None = None, headers: Iterable[tuple[str, Value]] = ()) -> Response | None:
    """The stateless answer to a request that could not be read, or None where none may be given.

    None for responses, for ACK (RFC 3261 §17: an ACK is never answered) and where Via, From, To, Call-ID or CSeq was not there to be
    copied. The copied fields may be the malformed ones themselves: they go back as they came, and the answer goes to where the datagram
    came from.
    """
    if error.partial is None or error.method is None or error.method == "ACK":
        return None
    tag = None
    if to_tag:
        try:
            tag = None if parse_name_addr(error.partial.get("To") or "").tag else to_tag
        except ParseError:
            tag = None  # a tag behind something unreadable would change its meaning
    seen: set[str] = set()
    fields: list[tuple[str, Value]] = []
    for name, value in _echo(error.partial, error.status_hint, tag):
        if name == "Via" or name not in seen:  # RFC 4475 §3.3.8: the first of a header that must be single
            fields.append((name, value))
        seen.add(name)
    return Response.build(error.status_hint, None, [*fields, *headers])


__all__ = [
    "KNOWN_METHODS",
    "MANDATORY_HEADERS",
    "CSeq",
    "Headers",
    "Message",
    "NameAddr",
    "Request",
    "Response",
    "Uri",
    "Value",
    "Via",
    "answer_to_malformed",
]
