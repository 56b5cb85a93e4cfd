"""Keys of SRTP in a description: `a=crypto` (SDES, RFC 4568; suites §6.2 and RFC 7714 §14), those of a handshake (`a=fingerprint`, RFC
5763), and both beside plain RTP (RFC 8643).

What one side of a call does with them, by `SrtpUse`; "keys" are lines of a=crypto, and a fingerprint where `webrtc.Ours` is given:

| use      | we offer         | offered with keys       | offered RTP/AVP with keys | offered RTP/AVP |
|----------|------------------|-------------------------|---------------------------|-----------------|
| off      | RTP/AVP          | refused (302)           | plain                     | plain           |
| accepted | RTP/AVP          | encrypted               | encrypted                 | plain           |
| wished   | RTP/AVP and keys | encrypted               | encrypted                 | plain           |
| required | RTP/SAVP         | encrypted               | encrypted                 | refused (302)   |
| dtls     | UDP/TLS/RTP/SAVP | encrypted               | encrypted                 | refused (302)   |

"With keys" are RTP/SAVP and, by a handshake alone, UDP/TLS/RTP/SAVP (RFC 5764 §8). Where a line of a=crypto stands beside a fingerprint the
line is taken: it costs no round trip. The last use is for phones that take no other offer; those with a=crypto alone refuse that one.

A line that we cannot do is as if it were not there; RTP/SAVP without any other is refused (306). A session that has keys does not give them
up, nor those of a handshake for others: what would have that is refused whatever the use, and the session goes on as it was.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from sip.sdp.description import Attribute, MediaDescription
from sip.sdp.webrtc import Agreed

PLAIN_PROTOS: Final = frozenset(("RTP/AVP", "RTP/AVPF"))
"""RFC 4585 §4: an AVPF offer can be answered without using any feedback message."""
SECURE_PROTOS: Final = frozenset(("RTP/SAVP", "RTP/SAVPF"))
"""RFC 3711 §12, RFC 5124."""

MASTER_OCTETS: Final = {"AEAD_AES_128_GCM": 16 + 12, "AES_CM_128_HMAC_SHA1_80": 16 + 14}
"""Suite -> key and salt; best first, as they are offered. RFC 4568 §6.2 demands the second of everybody."""

LEAST_LIFETIME: Final = 1 << 20
"""Packets, 5.8 h of 20 ms; we change no key in the middle of a call, so a line that wants it sooner is none for us. Snom and Cisco say
2^20, most say 2^31 or nothing (RFC 4568 §6.1: then it is what the suite bears)."""

KeySource: TypeAlias = Callable[[int], bytes]
"""So many octets that nobody can guess."""


class SrtpUse(StrEnum):
    """See the table above."""

    OFF = "off"
    ACCEPTED = "accepted"
    WISHED = "wished"
    REQUIRED = "required"
    DTLS = "dtls"

    @property
    def takes_keys(self) -> bool:
        return self is not SrtpUse.OFF

    @property
    def takes_plain(self) -> bool:
        return self not in {SrtpUse.REQUIRED, SrtpUse.DTLS}

    @property
    def offers_keys(self) -> bool:
        return self in {SrtpUse.WISHED, SrtpUse.REQUIRED, SrtpUse.DTLS}


class Crypto(msgspec.Struct, frozen=True):
    """One a=crypto line: the key that its writer sends under (RFC 4568 §5.1.1). Its repr shows no key."""

    tag: int
    suite: str
    key: bytes
    """And the salt behind it."""

    def __repr__(self) -> str:
        return f"Crypto({self.tag} {self.suite})"

    def attribute(self) -> Attribute:
        return Attribute("crypto", f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}")


class AgreedKeys(msgspec.Struct, frozen=True):
    """What protects both directions of a stream, seen from us. Its repr shows no key."""

    suite: str
    send: bytes
    receive: bytes

    def __repr__(self) -> str:
        return f"AgreedKeys({self.suite})"


class SrtpTerms(msgspec.Struct, frozen=True):
    """How an offer is answered.

    Attributes:
        draw: keys of ours.
        agreed: what protects this session already.
        shaken: the association that protects this session already.
        offers_both: our offers to who is wished or required to have keys name a handshake beside the lines.
    """

    use: SrtpUse
    draw: KeySource
    agreed: AgreedKeys | None = None
    shaken: Agreed | None = None
    offers_both: bool = False

    @property
    def takes_plain(self) -> bool:
        return self.use.takes_plain and self.agreed is None and self.shaken is None

    def answers(self, offered: Crypto) -> Crypto:
        """Our line to one of an offer. While the far end's key stays, so does ours: a hold or a refresh changes no key."""
        agreed = self.agreed
        if agreed is not None and (agreed.suite, agreed.receive) == (offered.suite, offered.key):
            return Crypto(offered.tag, offered.suite, agreed.send)
        return Crypto(offered.tag, offered.suite, self.draw(MASTER_OCTETS[offered.suite]))


def fresh(draw: KeySource) -> tuple[Crypto, ...]:
    """The lines of a first offer: each suite, each with a key of its own (RFC 4568 §5.1.1)."""
    return tuple(Crypto(tag, suite, draw(octets)) for tag, (suite, octets) in enumerate(MASTER_OCTETS.items(), 1))


# crypto-attribute   =  tag 1*WSP crypto-suite 1*WSP key-params *(1*WSP session-param)
# tag                =  1*9DIGIT
_LINE: Final = re.compile(r"([0-9]{1,9})[ \t]+([A-Za-z0-9_]{1,64})[ \t]+(\S+)((?:[ \t]+\S+)*)[ \t]*").fullmatch
# key-param  =  key-method ":" key-info         srtp-key-info  =  key-salt ["|" lifetime] ["|" mki]
# lifetime   =  ["2^"] 1*(DIGIT)                mki  =  mki-value ":" mki-length
# Two keys, behind a ";", are told apart by an MKI (§6.1), as is one that has it: it stands in each packet then, and we write and read none.
_KEY: Final = re.compile(r"inline:([A-Za-z0-9+/]{1,128}={0,2})(?:\|(2\^)?([0-9]{1,15}))?", re.IGNORECASE).fullmatch
_MOST_EXPONENT: Final = 48
"""RFC 3711 §9.2: packets that one key may protect."""
_HINT: Final = re.compile(r"WSH=[0-9]+", re.IGNORECASE).fullmatch
"""§6.3.6: a window to use, "a hint"; ours is as large as it is."""


def read(value: str) -> Crypto | None:
    """A line that we can do; None: it is malformed, of another suite, or wants what we do not do.

    Session parameters (§6.3) change what is on the line, so each that is not known makes the line useless, unless its writer says by a `-`
    in front that it need not be heeded (§6.3.7).
    """
    line = _LINE(value)
    key = _KEY(line[3]) if line is not None else None
    if line is None or key is None:
        return None
    suite = line[2].upper()
    octets = MASTER_OCTETS.get(suite)
    if octets is None or not _lasts(key[2], key[3]):
        return None
    if not all(parameter.startswith("-") or _HINT(parameter) for parameter in line[4].split()):
        return None
    given = _decoded(key[1])
    return Crypto(int(line[1]), suite, given) if len(given) == octets else None


def _lasts(power: str | None, number: str | None) -> bool:
    if number is None:
        return True
    if power is None:
        return int(number) >= LEAST_LIFETIME
    return LEAST_LIFETIME.bit_length() - 1 <= int(number) <= _MOST_EXPONENT


def _decoded(text: str) -> bytes:
    """Base 64. Deviation: the padding may be missing, as some write it."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return b""


def lines(media: MediaDescription) -> tuple[Crypto, ...]:
    """Those that we can do, in the order of preference that they stand in; of a tag that is there twice (§5.1: it must not) the first."""
    found: dict[int, Crypto] = {}
    for attribute in media.attributes:
        if attribute.name == "crypto" and (crypto := read(attribute.value or "")) is not None:
            found.setdefault(crypto.tag, crypto)
    return tuple(found.values())


def has_lines(media: MediaDescription) -> bool:
    """Whether keys are offered at all, of use to us or not."""
    return any(attribute.name == "crypto" for attribute in media.attributes)
