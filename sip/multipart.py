"""Bodies of several parts and the session description among them: RFC 2046 §5.1 (the grammar), RFC 5621 (what a UA does with them).

Carriers of SIP-I put an ISUP message beside the SDP (ITU-T Q.1912.5), emergency calls a location (RFC 6442). A part that nobody understands
is passed over where its `handling` says optional, and costs the request 415 where it says required (RFC 3261 §20.11).
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from sip.errors import ParseError
from sip.headers.media_type import MediaType, parse_media_type

SDP: Final = "application/sdp"

MAX_PARTS: Final = 16
"""SIP-I has two or three; each costs a pass over the body."""
MAX_DEPTH: Final = 3
"""RFC 5621 §3.1 allows multiparts in multiparts; more than mixed in alternative in related has not been seen."""

_WHERE: Final = "multipart body"
# boundary := 0*69<bchars> bcharsnospace
_IS_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_HANDLING: Final = re.compile(r";\s*handling\s*=\s*\"?([A-Za-z0-9-]+)", re.IGNORECASE).search

OPTIONAL_BY_DEFAULT: Final = frozenset(("application/isup", "application/qsig"))
"""RFC 3204 §4: without a Content-Disposition they are `signal;handling=optional`. For all others RFC 3261 §20.11 assumes `required`."""


class Part(NamedTuple):
    """One body part: its type (text/plain where none is said, RFC 2046 §5.1), whether it must be understood, its octets."""

    content_type: MediaType
    is_required: bool
    content: bytes


class Found(NamedTuple):
    """What a body amounts to for a call."""

    sdp: bytes | None
    not_understood: MediaType | None
    """A required part that is no session description."""


def is_optional(disposition: str | None, essence: str) -> bool:
    """Whether a body may be ignored (RFC 3261 §20.11, RFC 5621 §5)."""
    if disposition is None:
        return essence in OPTIONAL_BY_DEFAULT
    handling = _HANDLING(disposition)
    return handling is not None and handling[1].lower() == "optional"


def description_in(content_type: MediaType, body: bytes) -> Found:
    """The session description of a multipart body.

    Raises: ParseError: the parts cannot be told apart, or one of them cannot be read; 513 where there are too many.
    """
    return _look_into(content_type, body, MAX_DEPTH)


def _look_into(content_type: MediaType, body: bytes, depth: int) -> Found:
    if not depth:
        raise ParseError("nested too deep", 513, _WHERE)
    looked_at = [_look_at(part, depth) for part in parts(content_type, body)]
    if content_type.subtype == "alternative":
        # RFC 2046 §5.1.4: "the best choice is the LAST part of a type supported"; those that are no choice need not be understood.
        usable = [found for found in looked_at if found.not_understood is None and found.sdp is not None]
        return usable[-1] if usable else Found(None, next((found.not_understood for found in looked_at if found.not_understood), None))
    sdp = next((found.sdp for found in looked_at if found.sdp is not None), None)
    return Found(sdp, next((found.not_understood for found in looked_at if found.not_understood is not None), None))


def _look_at(part: Part, depth: int) -> Found:
    if part.content_type.essence == SDP:
        return Found(part.content, None)
    if part.content_type.type == "multipart":
        found = _look_into(part.content_type, part.content, depth - 1)
        return found if part.is_required else found._replace(not_understood=None)
    return Found(None, part.content_type if part.is_required else None)


def parts(content_type: MediaType, body: bytes) -> Iterator[Part]:
    """The parts of a multipart body in their order.

    Raises: ParseError: no boundary is named, its lines are not there, the last of them is missing, or the headers of a part are broken.
    """
    boundary = content_type.param("boundary") or ""
    if boundary[:1] == '"':
        boundary = boundary[1:-1]
    if not _IS_BOUNDARY(boundary):
        raise ParseError(f"no boundary: {boundary[:40]!r}", where=_WHERE)
    # dash-boundary := "--" boundary; delimiter := CRLF dash-boundary; close-delimiter := delimiter "--"
    # Deviation: lines may end in LF alone, as in SDP itself; gateways write the parts by other hands than the message.
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary.encode("ascii")) + rb"(--)?[ \t]*(?:\r?\n|\Z)")
    at, count = None, 0
    position = 0
    while (match := delimiter.search(body, position)) is not None:
        if at is not None:
            count += 1
            if count > MAX_PARTS:
                raise ParseError("too many parts", 513, _WHERE)
            yield _part(body[at : match.start()])
        if match[1] is not None:
            if at is None:
                break
            return
        at = match.end()
        # The line end behind a delimiter is also the one before the next.
        position = at - 1 if body[at - 1 : at] == b"\n" else at
        if body[at - 2 : at] == b"\r\n":
            position = at - 2
    raise ParseError("its parts cannot be told apart", where=_WHERE)


def _part(octets: bytes) -> Part:
    if octets[:1] == b"\n" or octets[:2] == b"\r\n":  # no headers at all
        head, content = b"", octets.split(b"\n", 1)[1]
    else:
        blank = _BLANK_LINE.search(octets)
        if blank is None:
            raise ParseError("a part without a blank line", where=_WHERE)
        head, content = octets[: blank.start()], octets[blank.end() :]
    fields: dict[str, str] = {}
    for line in _FOLD.sub(b" ", head).decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            raise ParseError(f"no header of a part: {line[:40]!r}", where=_WHERE)
        fields.setdefault(name.strip().lower(), value.strip())
    content_type = parse_media_type(fields.get("content-type", "text/plain"), _WHERE)
    required = not is_optional(fields.get("content-disposition"), content_type.essence)
    return Part(content_type, required, _decoded(content, fields.get("content-transfer-encoding", "binary").lower()))


def _decoded(content: bytes, encoding: str) -> bytes:
    # RFC 5621 §3.2 has SIP use binary; mail software behind a gateway does not.
    if encoding == "base64":
        try:
            return base64.b64decode(content, validate=False)
        except (binascii.Error, ValueError) as error:
            raise ParseError("base64 that is none", where=_WHERE) from error
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    return content
