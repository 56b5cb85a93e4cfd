"""What a description says of a stream to a browser: ICE (RFC 8839), DTLS (RFC 5763, RFC 8122, RFC 8842), mid and BUNDLE (RFC 5888, RFC
9143), as JSEP puts them together (RFC 8829).

We are ICE-lite: nothing is gathered and nothing is checked from here, so the peer's candidates are read and not needed, and its password is
not kept. Our own line names every address that is advertised, and that there are no more.

Phones do the same without ICE (RFC 5763 as it was written): to who has no credentials of ours nothing is said of ICE, whatever it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from sip.errors import OfferRefused
from sip.sdp.description import Attribute, MediaDescription, SessionDescription

PROTO: Final = "UDP/TLS/RTP/SAVPF"
PHONES_PROTO: Final = "UDP/TLS/RTP/SAVP"
PROTOS: Final = frozenset((PROTO, PHONES_PROTO))
"""RFC 5764 §8 and its form with feedback, which can be answered without using any (RFC 4585 §4)."""
HASHES: Final = frozenset(("sha-256", "sha-384", "sha-512"))
"""Of RFC 8122 §5 those that prove something still; the media worker reckons with no other."""
WARNING_ATTRIBUTE: Final = 306
STREAM_ID: Final = "call"
TRACK_ID: Final = "audio"
"""RFC 8830: by these a page's `ontrack` gets a stream; there is one of each."""
FIRST_MID: Final = "0"
HOST_TYPE_PREFERENCE: Final = 126
"""RFC 8445 §5.1.2.2."""
MAX_CANDIDATES: Final = 64
"""Read of one stream; a host with more interfaces is known by the first."""

# ice-ufrag = 4*256ice-char, ice-pwd = 22*256ice-char, ice-char = ALPHA / DIGIT / "+" / "/"   (RFC 8839 §5.4)
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}").fullmatch
_PWD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}").fullmatch
# fingerprint-attribute = "fingerprint" ":" hash-func SP fingerprint, 2UHEX *(":" 2UHEX)   (RFC 8122 §5); small letters are seen as well
_FINGERPRINT: Final = re.compile(r"([!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*)").fullmatch
# candidate-attribute = foundation SP component-id SP transport SP priority SP connection-address SP port SP "typ" SP candidate-type ...
_CANDIDATE: Final = re.compile(
    r"([A-Za-z0-9+/]{1,32}) ([0-9]{1,3}) ([!-~]+) ([0-9]{1,10}) ([!-~]+) ([0-9]{1,5}) typ ([!-~]+)(?: .*)?"
).fullmatch
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+").fullmatch


class Setup(StrEnum):
    """RFC 4145 §4, in the meaning of RFC 5763 §5: who begins the DTLS handshake."""

    ACTIVE = "active"
    PASSIVE = "passive"
    ACTPASS = "actpass"
    HOLDCONN = "holdconn"


_SETUPS: Final = {setup.value: setup for setup in Setup}


class Fingerprint(msgspec.Struct, frozen=True):
    """The hash function's name in small letters, and the digest in large ones with colons."""

    algorithm: str
    digest: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest}"


class Candidate(msgspec.Struct, frozen=True):
    """RFC 8839 §5.1; the address may be a name of mDNS, which nobody asks for here."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    kind: str = "host"

    def __str__(self) -> str:
        fields = (self.foundation, self.component, self.transport, self.priority, self.address, self.port)
        return f"{' '.join(map(str, fields))} typ {self.kind}"


class Peer(msgspec.Struct, frozen=True):
    """What the peer says of itself.

    Attributes:
        ufrag: another than before is an ICE restart (RFC 8839 §4.4.1.1.1); empty where there is no ICE between us.
        fingerprints: others than before are another DTLS association (RFC 8842 §5.1).
        mid: of the stream; None where the peer names none.
        is_bundled: its offer has the stream in a BUNDLE group.
    """

    ufrag: str
    fingerprints: tuple[Fingerprint, ...]
    setup: Setup
    mid: str | None = None
    is_bundled: bool = False
    options: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def restarts_ice(self, before: Peer) -> bool:
        return self.ufrag != before.ufrag

    def is_same_association(self, before: Peer) -> bool:
        """Whether the keys that were made go on: the DTLS session is not touched by a re-INVITE, nor by an ICE restart alone."""
        return set(self.fingerprints) == set(before.fingerprints)


class Ours(msgspec.Struct, frozen=True):
    """What we say of ourselves: the same in each description of a session, until the peer restarts ICE or shows another fingerprint.

    Attributes:
        ufrag, pwd: as the media worker answers checks; 4 and 22 characters at least. Both empty: to a phone, without ICE.
        addresses: which we advertise, best first; none: where the stream is received. Behind 1:1 NAT it is the one outside.
        mid: of the stream in an offer of ours; an answer has the peer's.
        role: ours in the handshake where the peer leaves it to us: the one we had, as long as the association lasts (RFC 8842 §5.3).
    """

    ufrag: str
    pwd: str
    fingerprint: Fingerprint
    addresses: tuple[str, ...] = ()
    mid: str = FIRST_MID
    role: Setup = Setup.PASSIVE

    def __post_init__(self) -> None:
        """Raises: ValueError: ufrag or pwd is not what may stand in a description."""
        if (self.ufrag or self.pwd) and not (_UFRAG(self.ufrag) and _PWD(self.pwd)):
            raise ValueError("an ICE ufrag has 4 to 256 ice-chars, a pwd 22 to 256")

    @property
    def has_ice(self) -> bool:
        return bool(self.ufrag)

    def __repr__(self) -> str:
        return f"Ours(ufrag={self.ufrag!r}, fingerprint={self.fingerprint!r}, addresses={self.addresses!r}, mid={self.mid!r})"


class Agreed(msgspec.Struct, frozen=True):
    """What offer and answer amount to: who the peer is, and whether we begin the handshake."""

    peer: Peer
    is_client: bool

    @property
    def has_ice(self) -> bool:
        return bool(self.peer.ufrag)

    @property
    def role(self) -> Setup:
        """Ours."""
        return Setup.ACTIVE if self.is_client else Setup.PASSIVE


def is_of_page(description: SessionDescription) -> bool:
    """Whether there is an audio stream over DTLS that ICE finds, over one port: a browser's, whatever its offer came over."""
    return any(
        media.media == "audio"
        and media.port
        and media.proto in PROTOS
        and media.rtcp_mux
        and _own_or_common(description, media, "ice-ufrag") is not None
        for media in description.media
    )


def _refused(what: str) -> OfferRefused:
    return OfferRefused(f"Attribute not understood: {what}", WARNING_ATTRIBUTE)


def _values(owner: SessionDescription | MediaDescription, name: str) -> Iterator[str]:
    return (attribute.value or "" for attribute in owner.attributes if attribute.name == name)


def _own_or_common(description: SessionDescription, media: MediaDescription, name: str) -> str | None:
    """The stream's own attribute, or the session's."""
    own = media.attribute(name)
    return description.attribute(name) if own is None else own


def _fingerprints(description: SessionDescription, media: MediaDescription) -> tuple[Fingerprint, ...]:
    texts = list(_values(media, "fingerprint")) or list(_values(description, "fingerprint"))
    found = (_FINGERPRINT(text.strip()) for text in texts)
    return tuple(Fingerprint(match[1].lower(), match[2].upper()) for match in found if match)


def _candidates(media: MediaDescription) -> tuple[Candidate, ...]:
    """Those that can be read; RFC 8839 §5.1: others are to be ignored."""
    found: list[Candidate] = []
    for text in _values(media, "candidate"):
        match = _CANDIDATE(text)
        if match is not None and int(match[6]) <= 65535 and len(found) < MAX_CANDIDATES:
            found.append(Candidate(match[1], int(match[2]), match[3].lower(), int(match[4]), match[5], int(match[6]), match[7]))
    return tuple(found)


def _bundled(description: SessionDescription) -> set[str]:
    groups = (value.split() for value in _values(description, "group"))
    return {mid for words in groups if words and words[0] == "BUNDLE" for mid in words[1:]}


def _ice_of(description: SessionDescription, media: MediaDescription) -> str:
    """The peer's ufrag."""
    ufrag, pwd = (_own_or_common(description, media, name) or "" for name in ("ice-ufrag", "ice-pwd"))
    if not _UFRAG(ufrag) or not _PWD(pwd):
        raise _refused("ice-ufrag and ice-pwd are missing or malformed")
    if description.attribute("ice-lite") is not None:
        raise _refused("ice-lite on both sides")
    if not media.rtcp_mux:
        raise _refused("rtcp-mux is missing")
    return ufrag


def has_fingerprint(description: SessionDescription, media: MediaDescription) -> bool:
    """Whether a handshake is offered at all, of use to us or not."""
    return _own_or_common(description, media, "fingerprint") is not None


def read(description: SessionDescription, media: MediaDescription, *, has_ice: bool = True) -> Peer:
    """What a stream over DTLS says of its end.

    Args:
        has_ice: between us and the peer; else nothing is read of it.
    Raises: OfferRefused: 306 no ICE, or ICE-lite like ours, so that nobody would check, or with it no rtcp-mux, as there is one port then;
        no fingerprint that can be read; or a=setup is none of RFC 4145's.
    """
    ufrag = _ice_of(description, media) if has_ice else ""
    fingerprints = _fingerprints(description, media)
    if not fingerprints:
        raise _refused("fingerprint is missing or malformed")
    if not any(each.algorithm in HASHES for each in fingerprints):
        raise _refused(f"fingerprint of {fingerprints[0].algorithm[:20]}")
    # Deviation: RFC 5763 §5 wants it said; where it is not, RFC 4145 §4.1 has the offerer active, and every answerer we know is as well.
    setup = _SETUPS.get((_own_or_common(description, media, "setup") or Setup.ACTIVE).strip().lower())
    if setup is None or setup is Setup.HOLDCONN:
        raise _refused("setup")
    mid = media.attribute("mid")
    if mid is not None and not _TOKEN(mid):
        raise _refused("mid")
    return Peer(
        ufrag,
        fingerprints,
        setup,
        mid=mid,
        is_bundled=mid in _bundled(description),
        options=tuple((_own_or_common(description, media, "ice-options") or "").split()) if has_ice else (),
        candidates=_candidates(media) if has_ice else (),
    )


def agreed_by_offer(offered: Peer, ours: Ours) -> Agreed:
    """Who begins the handshake: the offerer, or who is not, as it said; else as `ours` has it (RFC 5763 §5)."""
    if offered.setup is Setup.ACTPASS:
        return Agreed(offered, is_client=ours.role is Setup.ACTIVE)
    return Agreed(offered, is_client=offered.setup is Setup.PASSIVE)


def agreed_by_answer(answered: Peer) -> Agreed:
    """Our offers say `actpass`: the answer says who begins.

    Raises: OfferRefused: it does not.
    """
    # Deviation: baresip 1.0 says in every answer of a session what it said in its own first offer; it begins, where anything does.
    if answered.setup is Setup.ACTPASS and answered.ufrag:
        raise _refused("setup:actpass in an answer")
    return Agreed(answered, is_client=answered.setup is Setup.PASSIVE)


def session_attributes(mid: str | None) -> tuple[Attribute, ...]:
    """Of the session level.

    Args:
        mid: of the one stream that is taken, if it is in a BUNDLE group; Chromium refuses a description without one under max-bundle.
    """
    group = () if mid is None else (Attribute("group", f"BUNDLE {mid}"),)
    # RFC 8445 §10: "ice2" says that we know that document; RFC 8839 §5.3: "ice-lite" is of the whole session.
    return (*group, Attribute("ice-lite"), Attribute("ice-options", "ice2"))


def stream_attributes(ours: Ours, setup: Setup, mid: str | None, address: str, port: int) -> tuple[Attribute, ...]:
    """Of the stream, but for its formats.

    Args:
        address, port: where it is received; the port is the same at every address that we advertise.
    """
    named = () if mid is None else (Attribute("mid", mid),)
    candidates = tuple(Attribute("candidate", str(each)) for each in _host_candidates(ours.addresses or (address,), port))
    return (
        *named,
        Attribute("ice-ufrag", ours.ufrag),
        Attribute("ice-pwd", ours.pwd),
        Attribute("fingerprint", str(ours.fingerprint)),
        Attribute("setup", setup.value),
        Attribute("rtcp-mux"),
        *candidates,
        Attribute("end-of-candidates"),
        Attribute("msid", f"{STREAM_ID} {TRACK_ID}"),
    )


def phone_attributes(ours: Ours, setup: Setup, mid: str | None = None) -> tuple[Attribute, ...]:
    """Of a stream without ICE, but for its formats and its port for RTCP."""
    named = () if mid is None else (Attribute("mid", mid),)
    return (*named, Attribute("fingerprint", str(ours.fingerprint)), Attribute("setup", setup.value))


def _host_candidates(addresses: tuple[str, ...], port: int) -> Iterator[Candidate]:
    for index, address in enumerate(addresses):
        # priority = (2^24)*(type preference) + (2^8)*(local preference) + (2^0)*(256 - component ID)   (RFC 8445 §5.1.2.1)
        priority = (HOST_TYPE_PREFERENCE << 24) + ((65535 - index) << 8) + 255
        yield Candidate(str(index + 1), 1, "udp", priority, address, port)


def refused(media: MediaDescription) -> MediaDescription:
    """A stream turned down keeps its mid (RFC 8829 §5.3.1), by which the browser knows it."""
    mid = media.attribute("mid")
    plain = media.refused()
    return plain if mid is None or not _TOKEN(mid) else msgspec.structs.replace(plain, attributes=(Attribute("mid", mid),))
