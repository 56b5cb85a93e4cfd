"""Text to session description: RFC 8866 §5 and §9 (the ABNF), read the way offers of real devices need it.

Deviation: lines may end in LF (§5 itself asks for that), s= and t= may be missing, and the lines of one section may come in any order:
several gateways put b= or i= out of turn. An unknown type letter is refused, as §5 demands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from sip.errors import ParseError
from sip.sdp.description import Attribute, Connection, MediaDescription, Origin, SessionDescription, Timing

MAX_OCTETS: Final = 32_768
"""Half a datagram; an offer of a browser with every codec has 6 kB."""
MAX_LINES: Final = 1_024
MAX_MEDIA: Final = 32
"""A browser in a conference offers one m= line for each stream; a telephone call has one to three."""
MAX_FORMATS: Final = 128
"""One for each RTP payload type."""

# origin-field  =  %s"o" "=" username SP sess-id SP sess-version SP nettype SP addrtype SP unicast-address CRLF
# sess-id and sess-version are 1*DIGIT; Deviation: runs of spaces are taken for one, and a "-" in front of a number is refused.
_NUMBER: Final = re.compile(r"[0-9]{1,32}").fullmatch
_WORD: Final = re.compile(r"[!-~\u0080-\U0010ffff]++").fullmatch
# media-field   =  %s"m" "=" media SP port ["/" integer] SP proto 1*(SP fmt) CRLF
_PORT: Final = re.compile(r"([0-9]{1,5})(?:/([0-9]{1,5}))?").fullmatch
# attribute     =  (attribute-name ":" attribute-value) / attribute-name        attribute-name = token
_ATTRIBUTE_NAME: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++").fullmatch


def _number(text: str, where: str, what: str) -> int:
    if not _NUMBER(text):
        raise ParseError(f"{what} is no number: {text[:40]!r}", where=where)
    return int(text)


def _origin(value: str, where: str) -> Origin:
    words = value.split()
    if len(words) != 6 or not all(_WORD(word) for word in words):
        raise ParseError("o= has not six words", where=where)
    return Origin(words[0], _number(words[1], where, "sess-id"), _number(words[2], where, "sess-version"), words[3], words[4], words[5])


def _connection(value: str, where: str) -> Connection:
    words = value.split()
    if len(words) != 3 or not all(_WORD(word) for word in words):
        raise ParseError("c= has not three words", where=where)
    return Connection(words[2], words[1], words[0])


def _timing(value: str, where: str) -> Timing:
    words = value.split()
    if len(words) != 2:
        raise ParseError("t= has not two words", where=where)
    return Timing(_number(words[0], where, "start-time"), _number(words[1], where, "stop-time"))


def _attribute(value: str, where: str) -> Attribute:
    name, colon, text = value.partition(":")
    name = name.strip(" \t")
    if not _ATTRIBUTE_NAME(name):
        raise ParseError(f"no attribute name: {name[:40]!r}", where=where)
    return Attribute(name, text if colon else None)


def _media(value: str, where: str) -> MediaDescription:
    words = value.split()
    if len(words) < 4 or not all(_WORD(word) for word in words):
        raise ParseError("m= has fewer than four words", where=where)
    if len(words) > 3 + MAX_FORMATS:
        raise ParseError("too many formats", 513, where)
    port = _PORT(words[1])
    if port is None or int(port[1]) > 65535 or port[2] == "0":
        raise ParseError(f"no port: {words[1][:40]!r}", where=where)
    return MediaDescription(words[0], int(port[1]), words[2], tuple(words[3:]), port_count=int(port[2] or 1))


@dataclass(slots=True)
class _Section:
    """What the session level and each media section collect alike."""

    title: str | None = None
    connections: list[Connection] = field(default_factory=list)
    bandwidths: list[str] = field(default_factory=list)
    key: str | None = None
    attributes: list[Attribute] = field(default_factory=list)

    def take(self, letter: str, value: str, where: str) -> bool:
        """Keep a line that may stand in every section; False for any other."""
        match letter:
            case "a":
                self.attributes.append(_attribute(value, where))
            case "c":
                self.connections.append(_connection(value, where))
            case "b":
                self.bandwidths.append(value)
            case "i":
                self.title = value
            case "k":
                self.key = value
            case _:
                return False
        return True


@dataclass(slots=True)
class _Session:
    """The lines that only the session level has."""

    version: bool = False
    origin: Origin | None = None
    name: str = "-"
    uri: str | None = None
    emails: list[str] = field(default_factory=list)
    phones: list[str] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    zones: str | None = None

    def take(self, letter: str, value: str, where: str) -> bool:
        match letter:
            case "v":
                if value.strip() != "0" or self.version:
                    raise ParseError(f"version {value[:40]!r}", where=where)
                self.version = True
            case "o":
                if self.origin is not None:
                    raise ParseError("o= more than once", where=where)
                self.origin = _origin(value, where)
            case "s":
                self.name = value
            case "u":
                self.uri = value
            case "e":
                self.emails.append(value)
            case "p":
                self.phones.append(value)
            case "t":
                self.timings.append(_timing(value, where))
            case "r":
                if not self.timings:
                    raise ParseError("r= without t=", where=where)
                last = self.timings[-1]
                self.timings[-1] = Timing(last.start, last.stop, (*last.repeats, value))
            case "z":
                self.zones = value
            case _:
                return False
        return True


def _decoded(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")  # as in sip.parser: an umlaut in s= must not cost a call


def _lines(text: bytes | str) -> list[str]:
    if len(text) > MAX_OCTETS:
        raise ParseError("description too large", 513, "sdp")
    lines = (text if isinstance(text, str) else _decoded(text)).replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > MAX_LINES:
        raise ParseError("too many lines", 513, "sdp")
    return lines


def parse_sdp(text: bytes | str) -> SessionDescription:
    """Read a session description.

    Raises: ParseError: `where` names the line; the status hint is 400 (RFC 3261 §21.4.1), or 513 beyond the limits.
    """
    session, common = _Session(), _Section()
    media: list[tuple[MediaDescription, _Section]] = []
    section = common
    for index, line in enumerate(_lines(text), 1):
        where = f"sdp line {index}"
        if line[1:2] != "=" or "\r" in line or "\0" in line:
            # byte-string  =  1*(%x01-09/%x0B-0C/%x0E-FF)
            raise ParseError(f"not of the form x=: {line[:40]!r}", where=where)
        letter, value = line[0], line[2:]
        if letter == "m":
            if len(media) == MAX_MEDIA:
                raise ParseError("too many m= lines", 513, where)
            section = _Section()
            media.append((_media(value, where), section))
        elif not section.take(letter, value, where) and (media or not session.take(letter, value, where)):
            raise ParseError(f"{letter!r} has no place here", where=where)
    if not session.version or session.origin is None:
        raise ParseError("v= or o= missing", where="sdp")
    if len(common.connections) > 1:
        raise ParseError("c= more than once at session level", where="sdp")
    return SessionDescription(
        origin=session.origin,
        session_name=session.name,
        information=common.title,
        uri=session.uri,
        emails=tuple(session.emails),
        phones=tuple(session.phones),
        connection=common.connections[0] if common.connections else None,
        bandwidths=tuple(common.bandwidths),
        timings=tuple(session.timings) or (Timing(),),
        zones=session.zones,
        key=common.key,
        attributes=tuple(common.attributes),
        media=tuple(_finished(description, part) for description, part in media),
    )


def _finished(media: MediaDescription, section: _Section) -> MediaDescription:
    return MediaDescription(
        media.media,
        media.port,
        media.proto,
        media.formats,
        media.port_count,
        section.title,
        tuple(section.connections),
        tuple(section.bandwidths),
        section.key,
        tuple(section.attributes),
    )
