"""Text to session description: RFC 8866 §5 and §9 (the ABNF), read the way offers of real devices need it.

Deviation: lines may end in LF (§5 itself asks for that), s= and t= may be missing, and the lines of one section may come in any order:
several gateways put b= or i= out of turn. An unknown type letter is refused, as §5 demands.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from sip.errors import ParseError
from sip.sdp.description import Attribute, Connection, MediaDescription, Origin, SessionDescription, Timing, known_attribute

MAX_OCTETS: Final = 32_768
"""Half a datagram; an offer of a browser with every codec has 6 kB."""
MAX_LINES: Final = 1_024
MAX_MEDIA: Final = 32
"""A browser in a conference offers one m= line for each stream; a telephone call has one to three."""
MAX_FORMATS: Final = 128
"""One for each RTP payload type."""

# origin-field  =  %s"o" "=" username SP sess-id SP sess-version SP nettype SP addrtype SP unicast-address CRLF
# sess-id and sess-version are 1*DIGIT; Deviation: runs of spaces are taken for one, and a "-" in front of a number is refused.
_MAX_NUMBER_DIGITS: Final = 32
_WORD: Final = re.compile(r"[!-~\u0080-\U0010ffff]++").fullmatch
# media-field   =  %s"m" "=" media SP port ["/" integer] SP proto 1*(SP fmt) CRLF
_PORT: Final = re.compile(r"([0-9]{1,5})(?:/([0-9]{1,5}))?").fullmatch
# attribute     =  (attribute-name ":" attribute-value) / attribute-name        attribute-name = token
_ATTRIBUTE_NAME: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]++").fullmatch


def _number(text: str, where: str, what: str) -> int:
    if len(text) > _MAX_NUMBER_DIGITS or not text.isascii() or not text.isdigit():
        raise ParseError(f"{what} is no number: {text[:40]!r}", where=where)
    return int(text)


def _are_words(value: str, words: list[str]) -> bool:
    """Whether the words that the value was split into hold nothing that may not stand in a word."""
    return (value.isascii() and value.isprintable()) or all(_WORD(word) for word in words)


def _origin(value: str, where: str) -> Origin:
    # Deviation: the user name MUST NOT contain spaces, but is the name of a person at some soft phones, and nothing at others: the last
    # five words are what counts, and nobody looks at the first.
    words = value.split()
    if len(words) < 5 or not _are_words(value, words):
        raise ParseError("o= has not six words", where=where)
    *name, number, version, network, kind, address = words
    return Origin(" ".join(name) or "-", _number(number, where, "sess-id"), _number(version, where, "sess-version"), network, kind, address)


def _connection(value: str, where: str) -> Connection:
    words = value.split()
    if len(words) != 3 or not _are_words(value, words):
        raise ParseError("c= has not three words", where=where)
    return Connection(words[2], words[1], words[0])


def _timing(value: str, where: str) -> Timing:
    words = value.split()
    if len(words) != 2:
        raise ParseError("t= has not two words", where=where)
    return Timing(_number(words[0], where, "start-time"), _number(words[1], where, "stop-time"))


_MAX_KNOWN_ATTRIBUTE: Final = 128
"""What is longer is a key, a candidate or a fingerprint: no two calls have the same."""


def _attribute(value: str, where: str) -> Attribute:
    name, colon, text = value.partition(":")
    name = name.strip(" \t")
    if not _ATTRIBUTE_NAME(name):
        raise ParseError(f"no attribute name: {name[:40]!r}", where=where)
    made = known_attribute if len(value) <= _MAX_KNOWN_ATTRIBUTE and name != "crypto" else Attribute
    return made(name, text if colon else None)


def _media(value: str, where: str) -> MediaDescription:
    words = value.split()
    if len(words) < 4 or not _are_words(value, words):
        raise ParseError("m= has fewer than four words", where=where)
    if len(words) > 3 + MAX_FORMATS:
        raise ParseError("too many formats", 513, where)
    port = _PORT(words[1])
    if port is None or int(port[1]) > 65535 or port[2] == "0":
        raise ParseError(f"no port: {words[1][:40]!r}", where=where)
    return MediaDescription(words[0], int(port[1]), words[2], tuple(words[3:]), port_count=int(port[2] or 1))


class _Section(msgspec.Struct):
    """What the session level and each media section collect alike."""

    title: str | None = None
    connections: list[Connection] = []
    bandwidths: list[str] = []
    key: str | None = None
    attributes: list[Attribute] = []

    def take(self, letter: str, value: str, where: str) -> bool:
        """Keep a line that may stand in every section; False for any other."""
        if letter == "a":
            self.attributes.append(_attribute(value, where))
        elif letter == "c":
            self.connections.append(_connection(value, where))
        elif letter == "b":
            self.bandwidths.append(value)
        elif letter == "i":
            self.title = value
        elif letter == "k":
            self.key = value
        else:
            return False
        return True


class _Session(msgspec.Struct):
    """The lines that only the session level has."""

    version: bool = False
    origin: Origin | None = None
    name: str = "-"
    uri: str | None = None
    emails: list[str] = []
    phones: list[str] = []
    timings: list[Timing] = []
    zones: str | None = None

    def take(self, letter: str, value: str, where: str) -> bool:
        if letter == "v":
            if value.strip() != "0" or self.version:
                raise ParseError(f"version {value[:40]!r}", where=where)
            self.version = True
        elif letter == "o":
            if self.origin is not None:
                raise ParseError("o= more than once", where=where)
            self.origin = _origin(value, where)
        elif letter == "s":
            self.name = value
        elif letter == "t":
            self.timings.append(_timing(value, where))
        elif letter == "u":
            self.uri = value
        elif letter == "e":
            self.emails.append(value)
        elif letter == "p":
            self.phones.append(value)
        elif letter == "r":
            if not self.timings:
                raise ParseError("r= without t=", where=where)
            last = self.timings[-1]
            self.timings[-1] = Timing(last.start, last.stop, (*last.repeats, value))
        elif letter == "z":
            self.zones = value
        else:
            return False
        return True


def _decoded(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")  # as in sip.parser: an umlaut in s= must not cost a call


def _text(text: bytes | str) -> str:
    if len(text) > MAX_OCTETS:
        raise ParseError("description too large", 513, "sdp")
    found = (text if isinstance(text, str) else _decoded(text)).replace("\r\n", "\n").rstrip("\n")
    if found.count("\n") >= MAX_LINES:
        raise ParseError("too many lines", 513, "sdp")
    return found


def _checked(line: str, where: str) -> str:
    if line[1:2] != "=" or "\r" in line or "\0" in line:
        # byte-string  =  1*(%x01-09/%x0B-0C/%x0E-FF)
        raise ParseError(f"not of the form x=: {line[:40]!r}", where=where)
    return line


def _stream(text: str, number: int) -> MediaDescription:
    """What stands behind an m=, up to the next; its first line has this number."""
    first, *lines = text.split("\n")
    where = f"sdp line {number}"
    _checked(f"m={first}", where)
    media, section = _media(first, where), _Section()
    for index, line in enumerate(lines, number + 1):
        where = f"sdp line {index}"
        _checked(line, where)
        if not section.take(line[0], line[2:], where):
            raise ParseError(f"{line[0]!r} has no place here", where=where)
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


_known_stream: Final = lru_cache(maxsize=256)(_stream)
_MAX_KNOWN: Final = 1_024


def _media_description(text: str, number: int) -> MediaDescription:
    """As `_stream`. A phone writes the same stream in each call, up to its port; what is longer comes from a browser, and differs, as does
    what holds keys, which nothing shall remember.
    """
    media, _, rest = text.partition(" ")
    port, _, rest = rest.partition(" ")
    if len(text) <= _MAX_KNOWN and "crypto" not in text and len(port) <= 5 and port.isascii() and port.isdigit() and int(port) <= 65535:
        try:
            return msgspec.structs.replace(_known_stream(f"{media} 0 {rest}", number), port=int(port))
        except ParseError:
            pass  # raised again below, with the words as they came
    return _stream(text, number)


# The session level that nearly every phone writes, and the two numbers of t=.
_PLAIN_SESSION: Final = re.compile(
    r"v=0\no=([!-~]++) ([0-9]{1,32}) ([0-9]{1,32}) ([!-~]++) ([!-~]++) ([!-~]++)\ns=([ -~]++)\n"
    r"c=([!-~]++) ([!-~]++) ([!-~]++)\nt=([0-9]{1,32}) ([0-9]{1,32})"
).fullmatch


def _plain_session(text: str) -> tuple[_Session, _Section] | None:
    match = _PLAIN_SESSION(text)
    if match is None:
        return None
    user, number, version, network, kind, address, name, c_network, c_kind, c_address, start, stop = match.groups()
    origin = Origin(user, int(number), int(version), network, kind, address)
    session = _Session(version=True, origin=origin, name=name, timings=[Timing(int(start), int(stop))])
    return session, _Section(connections=[Connection(c_address, c_kind, c_network)])


def _session(text: str) -> tuple[_Session, _Section]:
    """The lines of the session level."""
    session, common = _Session(), _Section()
    for index, line in enumerate(text.split("\n"), 1):
        where = f"sdp line {index}"
        _checked(line, where)
        letter, value = line[0], line[2:]
        if not common.take(letter, value, where) and not session.take(letter, value, where):
            raise ParseError(f"{letter!r} has no place here", where=where)
    return session, common


def parse_sdp(text: bytes | str) -> SessionDescription:
    """Read a session description.

    Raises: ParseError: `where` names the line; the status hint is 400 (RFC 3261 §21.4.1), or 513 beyond the limits.
    """
    head, *streams = f"\n{_text(text)}".split("\nm=")
    session, common = (_plain_session(head[1:]) or _session(head[1:])) if head else (_Session(), _Section())
    number = head.count("\n")
    media: list[MediaDescription] = []
    for stream in streams:
        number += 1
        if len(media) == MAX_MEDIA:
            where = f"sdp line {number}"
            _checked(f"m={stream}".partition("\n")[0], where)
            raise ParseError("too many m= lines", 513, where)
        media.append(_media_description(stream, number))
        number += stream.count("\n")
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
        media=tuple(media),
    )
