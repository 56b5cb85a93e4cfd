"""A session description as frozen values, and its exact text: RFC 8866 §5 and §6, RTP mappings §6.6, RTCP port RFC 3605, rtcp-mux RFC
5761.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec

NULL_IPV4: Final = "0.0.0.0"  # the hold address of RFC 2543 §B.5, nothing is bound to it
NULL_IPV6: Final = "::"


class Direction(StrEnum):
    """RFC 8866 §6.7: who may send, seen from whoever wrote the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in _SENDING

    @property
    def receives(self) -> bool:
        return self in _RECEIVING

    @property
    def reversed(self) -> Direction:
        """The same fact seen from the other end."""
        return direction_of(sends=self.receives, receives=self.sends)


_SENDRECV: Final = Direction.SENDRECV
_SENDING: Final = frozenset((Direction.SENDRECV, Direction.SENDONLY))
_RECEIVING: Final = frozenset((Direction.SENDRECV, Direction.RECVONLY))
_BY_WHAT_IT_DOES: Final = {(direction in _SENDING, direction in _RECEIVING): direction for direction in Direction}


def direction_of(*, sends: bool, receives: bool) -> Direction:
    return _BY_WHAT_IT_DOES[sends, receives]


class Origin(msgspec.Struct, frozen=True):
    """o= (§5.2): the version grows by one with every change of the description (RFC 3264 §8)."""

    username: str
    session_id: int
    session_version: int
    network_type: str
    address_type: str
    address: str

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.session_version} {self.network_type} {self.address_type} {self.address}"


class Connection(msgspec.Struct, frozen=True):
    """c= (§5.7). The address may carry the /ttl of multicast."""

    address: str
    address_type: str = "IP4"
    network_type: str = "IN"

    @property
    def is_null(self) -> bool:
        """The hold address of RFC 2543 and its IPv6 form: nothing is to be sent there."""
        return self.address in {NULL_IPV4, NULL_IPV6}

    def __str__(self) -> str:
        return f"{self.network_type} {self.address_type} {self.address}"


def connection_to(address: str) -> Connection:
    """The connection line for a literal address."""
    return Connection(address, "IP6" if ":" in address else "IP4")


class Timing(msgspec.Struct, frozen=True):
    """t= (§5.9), with the r= lines under it kept as text."""

    start: int = 0
    stop: int = 0
    repeats: tuple[str, ...] = ()


class Attribute(msgspec.Struct, frozen=True, cache_hash=True):
    """a=name or a=name:value (§5.13)."""

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"

    def __repr__(self) -> str:
        """Without a key (RFC 4568)."""
        shown, inline, _ = (self.value or "").partition("inline:")
        return f"Attribute({self.name!r}, {self.value if not inline else f'{shown}{inline}***'!r})"


@lru_cache(maxsize=1024)
def known_attribute(name: str, value: str | None) -> Attribute:
    """The attribute, the same object each time: what is remembered by its attributes is then found without comparing their texts."""
    return Attribute(name, value)


class PayloadType(msgspec.Struct, frozen=True, cache_hash=True):
    """One format of an RTP stream: its number, its rtpmap (§6.6) and its fmtp (§6.15)."""

    number: int
    encoding: str
    clock_rate: int
    channels: int = 1
    fmtp: str | None = None

    @property
    def is_telephone_event(self) -> bool:
        """RFC 4733."""
        return self.encoding.lower() == "telephone-event"

    @property
    def is_comfort_noise(self) -> bool:
        """RFC 3389."""
        return self.encoding.upper() == "CN"

    def same_format(self, other: PayloadType) -> bool:
        """Encoding names are case-insensitive (§6.6); the number says nothing about the format."""
        return (
            self.clock_rate == other.clock_rate
            and self.channels == other.channels
            and (self.encoding == other.encoding or self.encoding.lower() == other.encoding.lower())
        )

    @property
    def rtpmap(self) -> str:
        channels = f"/{self.channels}" if self.channels != 1 else ""
        return f"{self.number} {self.encoding}/{self.clock_rate}{channels}"


# RFC 3551 §6, Tables 4 and 5: what a static number means when there is no rtpmap. G722's clock rate is 8000 by an error that stays
# (§4.5.2).
STATIC_PAYLOAD_TYPES: Final = {
    0: PayloadType(0, "PCMU", 8000),
    3: PayloadType(3, "GSM", 8000),
    4: PayloadType(4, "G723", 8000),
    5: PayloadType(5, "DVI4", 8000),
    6: PayloadType(6, "DVI4", 16000),
    7: PayloadType(7, "LPC", 8000),
    8: PayloadType(8, "PCMA", 8000),
    9: PayloadType(9, "G722", 8000),
    10: PayloadType(10, "L16", 44100, 2),
    11: PayloadType(11, "L16", 44100),
    12: PayloadType(12, "QCELP", 8000),
    13: PayloadType(13, "CN", 8000),
    14: PayloadType(14, "MPA", 90000),
    15: PayloadType(15, "G728", 8000),
    16: PayloadType(16, "DVI4", 11025),
    17: PayloadType(17, "DVI4", 22050),
    18: PayloadType(18, "G729", 8000),
    25: PayloadType(25, "CelB", 90000),
    26: PayloadType(26, "JPEG", 90000),
    28: PayloadType(28, "nv", 90000),
    31: PayloadType(31, "H261", 90000),
    32: PayloadType(32, "MPV", 90000),
    33: PayloadType(33, "MP2T", 90000),
    34: PayloadType(34, "H263", 90000),
}

MAX_PAYLOAD_TYPE: Final = 127
"""Seven bits in the RTP header."""


def _digits(text: str | None, maximum: int) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 10:
        return None
    value = int(text)
    return value if value <= maximum else None


MAX_REMEMBERED: Final = 64
"""Attributes of one stream beyond which nothing made from them is remembered: phones write the same dozen each time, and what a browser
writes differs each time.
"""


@lru_cache(maxsize=256)
def _payload_types(formats: tuple[str, ...], attributes: tuple[Attribute, ...]) -> tuple[PayloadType, ...]:
    mapped: dict[int, PayloadType] = {}
    parameters: dict[str, str] = {}
    for attribute in attributes:
        if attribute.name == "rtpmap":
            payload_type = _read_rtpmap(attribute.value or "")
            if payload_type is not None:
                mapped.setdefault(payload_type.number, payload_type)
        elif attribute.name == "fmtp":
            fmt, _, text = (attribute.value or "").partition(" ")
            parameters.setdefault(fmt, text.strip())
    found = []
    for fmt in formats:
        number = _digits(fmt, MAX_PAYLOAD_TYPE)
        payload_type = None if number is None else mapped.get(number) or STATIC_PAYLOAD_TYPES.get(number)
        if payload_type is not None:
            fmtp = parameters.get(fmt)
            found.append(payload_type if fmtp is None else msgspec.structs.replace(payload_type, fmtp=fmtp))
    return tuple(found)


class _Said(msgspec.Struct, frozen=True):
    """What the attributes of a stream say about it, other than its formats."""

    ptime: int | None
    maxptime: int | None
    direction: Direction | None
    rtcp_mux: bool
    rtcp_port: int | None
    rtcp_address: str | None


@lru_cache(maxsize=256)
def _said(attributes: tuple[Attribute, ...]) -> _Said:
    first: dict[str, str] = {}
    for attribute in attributes:
        first.setdefault(attribute.name, attribute.value or "")
    # rtcp-attribute  =  "a=rtcp:" port [nettype space addrtype space connection-address]
    words = first.get("rtcp", "").split()
    return _Said(
        ptime=_digits(first.get("ptime", "").partition(".")[0], 1000) or None,
        maxptime=_digits(first.get("maxptime", "").partition(".")[0], 1000) or None,
        direction=_direction(attributes),
        rtcp_mux="rtcp-mux" in first,
        rtcp_port=_digits(words[0], 65535) if words else None,
        rtcp_address=words[3] if len(words) == 4 else None,
    )


def _without_keys(attributes: tuple[Attribute, ...]) -> tuple[Attribute, ...]:
    """Those that are alike in each call of a phone; the same object where there are no keys. Nothing that is remembered holds a key."""
    for attribute in attributes:
        if attribute.name == "crypto":
            return tuple([one for one in attributes if one.name != "crypto"])
    return attributes


@lru_cache(maxsize=256)
def _attributes_text(attributes: tuple[Attribute, ...]) -> str:
    """The lines of these attributes, each with the line end before it."""
    return "".join([f"\r\na={attribute}" for attribute in attributes])


class MediaDescription(msgspec.Struct, frozen=True):
    """An m= line and everything under it (§5.14)."""

    media: str
    port: int
    proto: str
    formats: tuple[str, ...]
    port_count: int = 1
    title: str | None = None
    connections: tuple[Connection, ...] = ()
    bandwidths: tuple[str, ...] = ()
    key: str | None = None
    attributes: tuple[Attribute, ...] = ()

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of that name, "" for a flag, None where there is none."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None

    @property
    def is_rejected(self) -> bool:
        """Port 0: refused in an answer, disabled in an offer (RFC 3264 §6, §8.2)."""
        return self.port == 0

    @property
    def connection(self) -> Connection | None:
        return self.connections[0] if self.connections else None

    @property
    def payload_types(self) -> tuple[PayloadType, ...]:
        """The formats of an RTP stream, most preferred first (§5.14); formats that nothing explains are left out."""
        if len(self.attributes) > MAX_REMEMBERED:
            return _payload_types.__wrapped__(self.formats, self.attributes)
        return _payload_types(self.formats, _without_keys(self.attributes))

    @property
    def _said(self) -> _Said:
        return _said(_without_keys(self.attributes)) if len(self.attributes) <= MAX_REMEMBERED else _said.__wrapped__(self.attributes)

    @property
    def ptime(self) -> int | None:
        """Milliseconds of audio in a packet (§6.4); None where missing or unusable. A fraction, as Skype sent it, is cut."""
        return self._said.ptime

    @property
    def maxptime(self) -> int | None:
        return self._said.maxptime

    @property
    def direction(self) -> Direction | None:
        """The media-level direction; None where the session level, or sendrecv, holds."""
        return self._said.direction

    @property
    def rtcp_mux(self) -> bool:
        """RFC 5761: RTCP shares the RTP port."""
        return self._said.rtcp_mux

    @property
    def rtcp(self) -> tuple[int, str | None]:
        """The RTCP port and, if it differs, its address (RFC 3605 §2.1); without the attribute the port above RTP (RFC 3550 §11)."""
        said = self._said
        return (self.port, None) if said.rtcp_mux else self.rtcp_apart

    @property
    def rtcp_apart(self) -> tuple[int, str | None]:
        """The same where `rtcp-mux` is not in force: offered, but not answered, it binds nobody (RFC 5761 §5.1.1)."""
        said = self._said
        # The RTP port itself is what an offerer of rtcp-mux writes here (RFC 5761 §5.1.3); apart from RTP it means the usual one.
        if not said.rtcp_port or said.rtcp_port == self.port:
            return (self.port + 1 if 0 < self.port < 65535 else 0), None
        return said.rtcp_port, said.rtcp_address

    def __str__(self) -> str:
        port = f"{self.port}/{self.port_count}" if self.port_count != 1 else str(self.port)
        text = f"m={self.media} {port} {self.proto} {' '.join(self.formats)}"
        if self.title is not None:
            text += f"\r\ni={self.title}"
        for connection in self.connections:
            text += f"\r\nc={connection}"
        for bandwidth in self.bandwidths:
            text += f"\r\nb={bandwidth}"
        if self.key is not None:
            text += f"\r\nk={self.key}"
        attributes = self.attributes
        is_known = len(attributes) <= MAX_REMEMBERED and _without_keys(attributes) is attributes
        known = _attributes_text if is_known else _attributes_text.__wrapped__
        return text + known(attributes) if attributes else text

    def refused(self) -> MediaDescription:
        """The same stream turned down: same media, transport and formats, port 0 (RFC 3264 §6)."""
        return MediaDescription(self.media, 0, self.proto, self.formats)


def _read_rtpmap(value: str) -> PayloadType | None:
    # rtpmap-value   =  payload-type SP encoding-name "/" clock-rate [ "/" encoding-params ]
    number_text, _, rest = value.partition(" ")
    parts = rest.strip().split("/")
    number = _digits(number_text, MAX_PAYLOAD_TYPE)
    if number is None or len(parts) not in {2, 3} or not parts[0]:
        return None
    clock_rate = _digits(parts[1], 10_000_000)
    channels = _digits(parts[2], 255) if len(parts) == 3 else 1
    if not clock_rate:
        return None
    return PayloadType(number, parts[0], clock_rate, channels or 1)


def _direction(attributes: tuple[Attribute, ...]) -> Direction | None:
    for attribute in attributes:
        if attribute.value is None and attribute.name in _DIRECTIONS:
            return _DIRECTIONS[attribute.name]
    return None


_DIRECTIONS: Final = {direction.value: direction for direction in Direction}


class SessionDescription(msgspec.Struct, frozen=True):
    """A whole description (§5); `str()` gives its text with CRLF line ends."""

    origin: Origin
    session_name: str = "-"
    information: str | None = None
    uri: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    connection: Connection | None = None
    bandwidths: tuple[str, ...] = ()
    timings: tuple[Timing, ...] = (Timing(),)
    zones: str | None = None
    key: str | None = None
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaDescription, ...] = ()

    def attribute(self, name: str) -> str | None:
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """Where a stream is received: its own c=, or the session's (§5.7)."""
        return media.connection or self.connection

    def direction_of(self, media: MediaDescription) -> Direction:
        """The direction of a stream: its own, the session's, or sendrecv (§6.7)."""
        return media.direction or _direction(self.attributes) or _SENDRECV

    def __str__(self) -> str:
        out = [f"v=0\r\no={self.origin}\r\ns={self.session_name}"]
        if self.information is not None:
            out.append(f"i={self.information}")
        if self.uri is not None:
            out.append(f"u={self.uri}")
        if self.emails:
            out += [f"e={email}" for email in self.emails]
        if self.phones:
            out += [f"p={phone}" for phone in self.phones]
        if self.connection is not None:
            out.append(f"c={self.connection}")
        if self.bandwidths:
            out += [f"b={bandwidth}" for bandwidth in self.bandwidths]
        for timing in self.timings:
            out.append(f"t={timing.start} {timing.stop}")
            if timing.repeats:
                out += [f"r={repeat}" for repeat in timing.repeats]
        if self.zones is not None:
            out.append(f"z={self.zones}")
        if self.key is not None:
            out.append(f"k={self.key}")
        if self.attributes:
            out += [f"a={attribute}" for attribute in self.attributes]
        out += map(str, self.media)
        return "\r\n".join(out) + "\r\n"

    def to_bytes(self) -> bytes:
        return str(self).encode()
