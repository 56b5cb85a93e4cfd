"""DTLS-SRTP of one leg: RFC 5763, RFC 5764 (`use_srtp`, the exporter), RFC 6347 and RFC 8122 (fingerprints), by OpenSSL over memory.

Nothing is sent from here: what comes goes in, what is to leave comes out in datagrams. Any certificate passes the TLS layer; whether it is
the one of the session description is our verdict, given when both are known: a browser begins the handshake before its description has
come. OpenSSL's retransmission timer reads its own clock; `next_timeout` says when it wants to be asked.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from media.errors import ParseError
from media.machine import Edge, to
from media.transport.keys import LENGTHS, SrtpKeys, Suite

MAX_DATAGRAM_OCTETS: Final = 1200
"""What browsers keep to: fits every path (IPv6's least is 1280) with room for a tunnel."""
HANDSHAKE_S: Final = 30.0
"""As long as consent lasts (RFC 7675 §5.1); OpenSSL alone would try for minutes."""
EXPORTER_LABEL: Final = b"EXTRACTOR-dtls_srtp"
"""RFC 5764 §4.2."""
_DTLS_1_2: Final = 0xFEFD
_VALIDITY: Final = timedelta(days=3650)
"""A worker may run for years; browsers look at the fingerprint alone (RFC 8827 §6.5)."""
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
    b":ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
)
"""RFC 8827 §6.5 demands the first, for a P-256 certificate as ours is; the second line is for phones with an RSA one, where we are the
client."""
_PROFILES: Final = {
    b"SRTP_AEAD_AES_128_GCM": Suite.AEAD_AES_128_GCM,
    b"SRTP_AES128_CM_SHA1_80": Suite.AES_CM_128_HMAC_SHA1_80,
}
"""OpenSSL's names, best first: the server's order decides."""
_DIGESTS: Final = {"sha-512": "sha512", "sha-384": "sha384", "sha-256": "sha256"}
"""Hash functions of RFC 8122 §5 that prove something, strongest first, by OpenSSL's names."""
_RECEIVE_OCTETS: Final = 16_384


class State(StrEnum):
    NEW = "new"
    HANDSHAKING = "handshaking"
    AWAITING_FINGERPRINT = "awaiting fingerprint"
    """The handshake is done; whether the peer is who it should be is not known yet. No keys are given, nothing is to be sent."""
    ESTABLISHED = "established"
    CLOSED = "closed"
    FAILED = "failed"


class Input(StrEnum):
    BEGUN = "begun"
    FINISHED = "finished"
    VERIFIED = "verified"
    REFUSED = "refused"
    """By us."""
    FAULT = "fault"
    """OpenSSL gave up: a fatal alert of the peer, or one that it sent."""
    CLOSE_NOTIFY = "close notify"
    CLOSE = "close"


class Do(StrEnum):
    """The value is the name of the method that does it."""

    SAY_GOODBYE = "say_goodbye"


# fmt: off
TRANSITIONS: Final[dict[State, dict[Input, Edge[State, Do]]]] = {
    State.NEW: {
        Input.BEGUN:         to(State.HANDSHAKING),
        Input.CLOSE:         to(State.CLOSED),
    },
    State.HANDSHAKING: {
        Input.FINISHED:      to(State.AWAITING_FINGERPRINT),
        Input.REFUSED:       to(State.FAILED, Do.SAY_GOODBYE),
        Input.FAULT:         to(State.FAILED),
        Input.CLOSE_NOTIFY:  to(State.CLOSED),
        Input.CLOSE:         to(State.CLOSED),
    },
    State.AWAITING_FINGERPRINT: {
        Input.VERIFIED:      to(State.ESTABLISHED),
        Input.REFUSED:       to(State.FAILED, Do.SAY_GOODBYE),
        Input.FAULT:         to(State.FAILED),
        Input.CLOSE_NOTIFY:  to(State.CLOSED, Do.SAY_GOODBYE),
        Input.CLOSE:         to(State.CLOSED, Do.SAY_GOODBYE),
    },
    State.ESTABLISHED: {
        Input.FAULT:         to(State.FAILED),
        # RFC 5246 §7.2.1: "The other party MUST respond with a close_notify alert of its own".
        Input.CLOSE_NOTIFY:  to(State.CLOSED, Do.SAY_GOODBYE),
        Input.CLOSE:         to(State.CLOSED, Do.SAY_GOODBYE),
    },
    State.CLOSED: {},
    State.FAILED: {},
}
# fmt: on

_ENDED: Final = frozenset((State.CLOSED, State.FAILED))


class Reason(StrEnum):
    """Why it failed."""

    NO_CERTIFICATE = "the peer showed no certificate"
    NO_COMMON_PROFILE = "no SRTP protection profile in common"
    WRONG_FINGERPRINT = "the certificate is not the one of the session description"
    HANDSHAKE = "the handshake failed"
    TIMED_OUT = "the handshake took too long"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One `a=fingerprint` (RFC 8122 §5): the hash function's name in small letters, and the digest, in large ones with colons."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Fingerprint:
        """Raises: ParseError: not a name and octets in hexadecimal with colons."""
        algorithm, _, digest = text.strip().partition(" ")
        octets = digest.strip().upper().split(":")
        if not algorithm or not all(len(octet) == 2 and set(octet) <= set("0123456789ABCDEF") for octet in octets):
            raise ParseError(f"no fingerprint: {text[:40]!r}")
        return cls(algorithm.lower(), ":".join(octets))

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest}"


class Identity:
    """The certificate that one worker shows in all its handshakes, and the SSL context they share."""

    __slots__ = ("context", "fingerprint")

    def __init__(self, now: datetime) -> None:
        """Make a key on P-256 and sign a certificate with it, 0.3 ms; the key stays inside the context.

        Args:
            now: civil time, aware; the certificate holds from the day before.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        # RFC 8827 §6.5 wants nothing to be told by the name.
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "WebRTC")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _VALIDITY)
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = Fingerprint("sha-256", certificate.fingerprint(hashes.SHA256()).hex(":").upper())
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # RFC 5763 §5: both sides show a certificate; whose it is, is told by its fingerprint.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_cipher_list(_CIPHERS)
        context.set_tlsext_use_srtp(b":".join(_PROFILES))
        self.context = context


class Dtls:
    """One association; each method that may have something to send returns it as datagrams."""

    def __init__(self, identity: Identity, *, is_client: bool = False) -> None:
        """Args: is_client: we are the active one (RFC 5763 §5) and begin; `start` does."""
        self._ssl = SSL.Connection(identity.context, None)
        self._ssl.set_ciphertext_mtu(MAX_DATAGRAM_OCTETS)
        self._is_client = is_client
        if is_client:
            self._ssl.set_connect_state()
        else:
            self._ssl.set_accept_state()
        self._expected: tuple[Fingerprint, ...] | None = None
        self._begun_at: float | None = None
        self.state = State.NEW
        self.reason: Reason | None = None
        """Why it failed; None as long as it did not."""
        self.detail = ""
        """What OpenSSL says to it: for the log."""

    def start(self, now: float) -> list[bytes]:
        """Send the first flight of a client; what of it is lost is sent again."""
        if not self._is_client or self.state is not State.NEW:
            return []
        self._begin(now)
        self._shake_hands()
        return self._outgoing()

    def receive(self, datagram: bytes, now: float) -> list[bytes]:
        """One datagram that looks like DTLS (RFC 7983); never raises for what is in it."""
        if self.state in _ENDED or not datagram:
            return []
        self._begin(now)
        self._ssl.bio_write(datagram)
        if self.state is State.HANDSHAKING:
            self._shake_hands()
        if self.state in {State.AWAITING_FINGERPRINT, State.ESTABLISHED}:
            # The peer's last flight may come again, when ours was lost; OpenSSL sees to it while it reads.
            self._read()
        return self._outgoing()

    def expect(self, fingerprints: tuple[Fingerprint, ...]) -> list[bytes]:
        """What the peer's description says of its certificate; said once, before or after the handshake."""
        if self._expected is None:
            self._expected = fingerprints
            self._judge()
        return self._outgoing()

    def next_timeout(self, now: float) -> float | None:
        """When to call `handle_timeout`; to be asked again after each call of this class."""
        if self.state in _ENDED or self.state is State.NEW:
            return None
        left = self._ssl.DTLSv1_get_timeout()
        again = None if left is None else now + left
        if self.state is not State.HANDSHAKING or self._begun_at is None:
            return again
        end = self._begun_at + HANDSHAKE_S
        return end if again is None else min(again, end)

    def handle_timeout(self, now: float) -> list[bytes]:
        """Send the last flight again, if OpenSSL finds that it is time; give up, when too much of it passed."""
        if self.state in _ENDED or self.state is State.NEW:
            return []
        if self.state is State.HANDSHAKING and self._begun_at is not None and now >= self._begun_at + HANDSHAKE_S:
            self._fail(Input.REFUSED, Reason.TIMED_OUT)
            return self._outgoing()
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(Input.FAULT, Reason.TIMED_OUT, error)
        return self._outgoing()

    def close(self) -> list[bytes]:
        """We end: close_notify, where there is anybody to hear it."""
        self._step(Input.CLOSE)
        return self._outgoing()

    def keys(self) -> SrtpKeys:
        """What SRTP is keyed with (RFC 5764 §4.2): the client writes with the first key and salt, the server with the second.

        Raises: RuntimeError: not established; there are no keys for a peer that is not known to be the right one.
        """
        suite = _PROFILES.get(self._ssl.get_selected_srtp_profile())
        if self.state is not State.ESTABLISHED or suite is None:
            raise RuntimeError(f"no keys while {self.state}")
        lengths = LENGTHS[suite]
        material = memoryview(self._ssl.export_keying_material(EXPORTER_LABEL, 2 * lengths.master))
        salts = 2 * lengths.key
        client = bytes(material[: lengths.key]) + bytes(material[salts : salts + lengths.salt])
        server = bytes(material[lengths.key : salts]) + bytes(material[salts + lengths.salt :])
        return SrtpKeys(suite=suite, send=client if self._is_client else server, receive=server if self._is_client else client)

    def _begin(self, now: float) -> None:
        if self.state is State.NEW:
            self._begun_at = now
            self._step(Input.BEGUN)

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self._step(Input.CLOSE_NOTIFY)
            return
        except SSL.Error as error:
            is_bare = any("peer did not return a certificate" in text for text in _texts(error))
            self._fail(Input.FAULT, Reason.NO_CERTIFICATE if is_bare else Reason.HANDSHAKE, error)
            return
        if self._ssl.get_selected_srtp_profile() not in _PROFILES:
            self._fail(Input.REFUSED, Reason.NO_COMMON_PROFILE)
            return
        self._step(Input.FINISHED)
        self._judge()

    def _judge(self) -> None:
        """Give the verdict when certificate and fingerprints are there."""
        if self.state is not State.AWAITING_FINGERPRINT or self._expected is None:
            return
        if self._is_expected(self._expected):
            self._step(Input.VERIFIED)
        else:
            self._fail(Input.REFUSED, Reason.WRONG_FINGERPRINT)

    def _is_expected(self, fingerprints: tuple[Fingerprint, ...]) -> bool:
        # RFC 8122 §5: of several hash functions the most preferred one that we know counts, and of its fingerprints any may match.
        certificate = self._ssl.get_peer_certificate()
        for algorithm, name in _DIGESTS.items():
            given = [one.digest for one in fingerprints if one.algorithm == algorithm]
            if given and certificate is not None:
                digest = certificate.digest(name)
                return any(hmac.compare_digest(digest, one.encode()) for one in given)
        return False

    def _read(self) -> None:
        """Take what came after the handshake: alerts, what came again; data is nothing to us, there are no data channels."""
        try:
            while True:
                self._ssl.recv(_RECEIVE_OCTETS)
        except SSL.WantReadError:
            return
        except SSL.ZeroReturnError:
            self._step(Input.CLOSE_NOTIFY)
        except SSL.Error as error:
            self._fail(Input.FAULT, Reason.HANDSHAKE, error)

    def _fail(self, event: Input, reason: Reason, error: SSL.Error | None = None) -> None:
        if self._step(event):
            self.reason = reason
            self.detail = "; ".join(_texts(error)) if error is not None else ""

    def _step(self, event: Input) -> bool:
        edge = TRANSITIONS[self.state].get(event)
        if edge is None:
            return False
        self.state = edge.state
        for action in edge.actions:
            _ACTIONS[action](self)
        return True

    def say_goodbye(self) -> None:
        """Put a close_notify into what is to be sent."""
        with contextlib.suppress(SSL.Error):  # in the middle of a handshake there is nothing to be closed
            self._ssl.shutdown()

    def _outgoing(self) -> list[bytes]:
        parts = []
        while True:
            try:
                parts.append(self._ssl.bio_read(_RECEIVE_OCTETS))
            except SSL.Error:  # WantReadError: nothing more is there
                return list(datagrams(b"".join(parts)))

    def describe(self) -> dict[str, object]:
        """For who looks from outside; no key is in it."""
        return {"state": self.state.value, "reason": self.reason, "detail": self.detail, "is_client": self._is_client}


_ACTIONS: Final[dict[Do, Callable[[Dtls], None]]] = {do: getattr(Dtls, do.value) for do in Do}


def _texts(error: SSL.Error) -> list[str]:
    """OpenSSL's own words: triples of library, function and reason, or what a system call says."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else [error.args]
    return [str(entry[-1]) for entry in queue if entry]


def datagrams(flight: bytes, most: int = MAX_DATAGRAM_OCTETS) -> Iterator[bytes]:
    """Cut what OpenSSL wrote into datagrams on the bounds of records: as many in each as it holds.

    A record is never cut (RFC 6347 §4.1.1), so one that is longer goes alone.
    """
    begin = at = 0
    while at < len(flight):
        end = at + _record_octets(flight, at)
        if end - begin > most and at > begin:
            yield flight[begin:at]
            begin = at
        at = end
    if begin < len(flight):
        yield flight[begin:]


def _record_octets(flight: bytes, at: int) -> int:
    """Of the record that begins there: RFC 6347 §4.1, and the unified header of RFC 9147 §4."""
    first = flight[at]
    if first >> 5 != 0b001:
        return 13 + int.from_bytes(flight[at + 11 : at + 13], "big")
    length_at = at + (3 if first & 0b1000 else 2)
    if not first & 0b100:
        return len(flight) - at  # no length: it fills the datagram
    return length_at + 2 - at + int.from_bytes(flight[length_at : length_at + 2], "big")
