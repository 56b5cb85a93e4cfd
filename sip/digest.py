"""Digest authentication, both sides: RFC 7616 as profiled for SIP by RFC 3261 §22 and RFC 8760 (SHA-256 beside MD5).

The server side keeps no user table and no password: it asks for HA1, one per algorithm. Its nonces are self-made tickets
(time, serial, HMAC over both, the realm and the source), so that only the nonce counts seen need remembering.

A nonce serves the source it was issued to (RFC 7616 §3.3 names the client's address as part of it). So whoever presents one has
received what was sent to that address: nobody can guess, or be counted as guessing, from an address that is not his.
"""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Sequence
from enum import StrEnum, auto
from typing import Literal

import msgspec

from sip.errors import ParseError
from sip.grammar import quote
from sip.guard import Guard
from sip.headers.auth import Challenge, Credentials, parse_authentication_info, parse_challenge, parse_credentials
from sip.message import Request, Response
from sip.uri import Uri

Algorithm = Literal["MD5", "SHA-256"]
# RFC 8760 §2.4: "in the order of preference", strongest first; MD5 because most desk phones know nothing else.
ALGORITHMS: tuple[Algorithm, ...] = ("SHA-256", "MD5")

# User-Agents that cannot bear a challenge with SHA-256 beside the one with MD5.
MD5_ONLY = re.compile(r"baresip v[01]\.").match
_IS_COUNT = re.compile(r"[0-9a-fA-F]{8}").fullmatch


class Account(msgspec.Struct, frozen=True):
    """A user as whoever keeps the users calls it, and what its digests are made of."""

    name: str
    ha1: str
    """In lower-case hex, for the user name of the request."""
    is_for_own_flow: bool = False
    """It is known over flows only that it has itself opened (`Flow.opened_by`)."""
    is_over: bool = False
    """It was valid, and is no more: whoever knows its password is refused, and has not guessed."""

    def __repr__(self) -> str:
        """Never shows HA1, which is as good as the password."""
        return f"Account({self.name!r})"


AccountLookup = Callable[[Request, str, str, str], Account | None]
"""(request, username, realm, algorithm) -> the account, or None for a user there is not."""


def _hash(algorithm: str, text: str) -> str:
    octets = text.encode()
    # MD5 is what RFC 3261 §22.4 makes mandatory; RFC 8760 keeps it for interworking.
    return hashlib.sha256(octets).hexdigest() if algorithm == "SHA-256" else hashlib.md5(octets, usedforsecurity=False).hexdigest()


def ha1(username: str, realm: str, password: str, algorithm: Algorithm) -> str:
    """H(username:realm:password): RFC 7616 §3.4.2; this is what may be stored."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def digest_response(
    ha1_hex: str,
    method: str,
    uri: str,
    nonce: str,
    algorithm: str,
    *,
    qop: str | None = None,
    nc: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """The request-digest: RFC 7616 §3.4.1; without qop as RFC 2069 had it (§3.4.1 of RFC 2617)."""
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 += ":" + (hashlib.sha256(body).hexdigest() if algorithm == "SHA-256" else hashlib.md5(body, usedforsecurity=False).hexdigest())
    ha2 = _hash(algorithm, a2)
    return _hash(algorithm, f"{ha1_hex}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}" if qop else f"{ha1_hex}:{nonce}:{ha2}")


# --- server side


class Outcome(StrEnum):
    """What became of a request's credentials."""

    ACCEPTED = auto()
    MISSING = auto()  # none for our realm
    STALE = auto()  # with a nonce that is used up, or another source's: not judged
    REFUSED = auto()  # wrong, whatever the reason: the answer is the same
    THROTTLED = auto()  # not judged: too many wrong ones


class Verdict(msgspec.Struct, frozen=True):
    """The outcome, and whose account it was when accepted."""

    outcome: Outcome
    account: str | None = None
    realm: str = ""
    wait_s: int = 0
    """When throttled: after so many seconds it would be judged."""


class Authenticator:
    """Challenges and verifies; pure: `now` and the secret arrive as arguments."""

    # More nonces than this in use at once (each with its count) would be a flood: the oldest are then forgotten and become stale.
    MAX_COUNTED_NONCES = 100_000
    # Call-IDs whose first challenge is remembered, to notice a client that could not read it.
    MAX_OFFERS_REMEMBERED = 10_000

    def __init__(
        self,
        realm: str | Callable[[Request], str],
        lookup: AccountLookup,
        secret: bytes,
        *,
        nonce_lifetime_s: float = 300.0,
        algorithms: Sequence[Algorithm] = ALGORITHMS,
        guard: Guard | None = None,
    ) -> None:
        """Args:
        realm: one realm, or a function of the request where several domains are served.
        secret: at least 16 unpredictable octets; a new one at each start only makes old nonces stale.
        guard: asked before credentials are judged, and told what came of it; None: whoever likes may guess.
        """
        if len(secret) < 16:
            raise ValueError("a nonce secret has at least 16 octets")
        self._realm = realm
        self._lookup = lookup
        self._secret = secret
        self._guard = guard
        self.nonce_lifetime_s = nonce_lifetime_s
        self.algorithms = tuple(algorithms)
        self._serial = 0
        self._counts: dict[str, tuple[int, int]] = {}
        self._forgotten_up_to = 0
        self._offered: dict[str, int] = {}
        self._dummy = {name: Account("", _hash(name, secret.hex())) for name in self.algorithms}

    def realm_for(self, request: Request) -> str:
        """The protection domain this request falls into."""
        return self._realm if isinstance(self._realm, str) else self._realm(request)

    def challenge_headers(self, request: Request, now: float, *, source: str, stale: bool = False) -> list[tuple[str, str]]:
        """One WWW-Authenticate per algorithm, best first (RFC 8760 §2.4).

        Args:
            source: the address that will be answered, without its port: a phone's port changes with its router's mood.
        """
        realm = self.realm_for(request)
        nonce = self._mint(realm, source, now)
        flag = ", stale=true" if stale else ""
        return [
            ("WWW-Authenticate", f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={name}, qop="auth"{flag}')
            for name in self._algorithms_for(request)
        ]

    def _algorithms_for(self, request: Request) -> tuple[Algorithm, ...]:
        """Deviation: RFC 8760 §2.4 has a client skip the challenge it does not know; baresip 1.0 (libre) drops the whole 401 for it.

        So MD5 alone is offered to clients known for that, and to one that comes again, with a new CSeq, without having answered.
        """
        if "MD5" not in self.algorithms or len(self.algorithms) == 1:
            return self.algorithms
        if MD5_ONLY(request.headers.get("User-Agent") or ""):
            return ("MD5",)
        call_id, number = request.call_id, request.cseq.number
        first = self._offered.setdefault(call_id, number)
        if len(self._offered) > self.MAX_OFFERS_REMEMBERED:
            del self._offered[next(iter(self._offered))]
        has_answered = any("algorithm=SHA-256" in value for value in request.headers.get_all("Authorization"))
        if number <= first or has_answered:
            return self.algorithms
        return ("MD5",)

    def verify(
        self,
        request: Request,
        now: float,
        *,
        source: str,
        header: str = "Authorization",
        is_urgent: bool = False,
        opened_by: str = "",
    ) -> Verdict:
        """Judge a request's credentials for our realm; a nonce count is used up by being accepted.

        Args:
            source: the address the request came from.
            is_urgent: an emergency call, for which the guard has an allowance of its own.
            opened_by: whose the flow is that the request came over.
        """
        realm = self.realm_for(request)
        for value in request.headers.get_all(header):
            try:
                credentials = parse_credentials(value)
            except ParseError:
                continue
            if credentials.is_digest and credentials.get("realm") == realm:
                return self._judge(request, credentials, realm, source, now, is_urgent=is_urgent, opened_by=opened_by)
        return Verdict(Outcome.MISSING, realm=realm)

    def _judge(
        self,
        request: Request,
        credentials: Credentials,
        realm: str,
        source: str,
        now: float,
        *,
        is_urgent: bool,
        opened_by: str,
    ) -> Verdict:
        algorithm = next((name for name in self.algorithms if name.lower() == (credentials.get("algorithm") or "MD5").lower()), None)
        username, nonce = credentials.get("username") or "", credentials.get("nonce") or ""
        nc, cnonce, qop = credentials.get("nc") or "", credentials.get("cnonce") or "", credentials.get("qop")
        # Deviation: qop is always offered, and RFC 7616 wants it answered; RFC 3261 §22.4 has servers take the form of RFC 2069 too, and
        # pyVoIP knows no other. It could be replayed, so its nonce is good for one request only: the count of 1 is used up.
        if qop is None:
            nc, cnonce = "00000001", ""
        if algorithm is None or (qop is not None and (qop != "auth" or not cnonce)) or not _IS_COUNT(nc):
            return Verdict(Outcome.REFUSED, realm=realm)  # cannot be judged: no guess
        # Deviation: RFC 7616 §3.3 has "stale" said only to who knows the password. To find that out is what must not be had for nothing:
        # so a nonce that does not serve this source, now, is stale whatever comes with it, and costs its owner one more round trip.
        serial, count = self._serial_if_fresh(nonce, realm, source, now), int(nc, 16)
        if serial is None or not self._is_next(nonce, serial, count):
            return Verdict(Outcome.STALE, realm=realm)
        known = self._lookup(request, username, realm, algorithm)
        if known is not None and known.is_for_own_flow and opened_by != known.name:
            known = None
        # Guesses at one account count together, by whichever of its names.
        who = known.name if known is not None else username
        attempt = self._guard.attempt(who, source, now, is_urgent=is_urgent) if self._guard is not None else None
        if attempt is not None and attempt.wait_s is not None:
            return Verdict(Outcome.THROTTLED, realm=realm, wait_s=attempt.wait_s)
        if known is None or not self._is_right(request, credentials, known, algorithm, qop, nc, cnonce):
            if known is None:  # an unknown user costs the same work and gets the same answer as a wrong password
                self._is_right(request, credentials, self._dummy[algorithm], algorithm, qop, nc, cnonce)
            if attempt is not None:
                attempt.failed(now)
            return Verdict(Outcome.REFUSED, realm=realm)
        if known.is_over:
            if attempt is not None:
                attempt.abandoned(now)
            return Verdict(Outcome.REFUSED, realm=realm)
        if attempt is not None:
            attempt.succeeded(now)
        self._count(nonce, serial, count)
        return Verdict(Outcome.ACCEPTED, known.name, realm)

    @staticmethod
    def _is_right(
        request: Request, credentials: Credentials, account: Account, algorithm: Algorithm, qop: str | None, nc: str, cnonce: str
    ) -> bool:
        uri, nonce = credentials.get("uri") or "", credentials.get("nonce") or ""
        expected = digest_response(account.ha1, request.method, uri, nonce, algorithm, qop=qop, nc=nc, cnonce=cnonce)
        is_equal = hmac.compare_digest(expected.encode(), (credentials.get("response") or "").lower().encode())
        return is_equal and _same_resource(uri, request.uri)

    # --- nonces: base64url(time in ms, serial, HMAC over both, the realm and the source)

    def _mint(self, realm: str, source: str, now: float) -> str:
        self._serial += 1
        ticket = struct.pack(">QI", int(now * 1000) & (2**64 - 1), self._serial & 0xFFFFFFFF)
        return base64.urlsafe_b64encode(ticket + self._seal(ticket, realm, source)).decode().rstrip("=")

    def _seal(self, ticket: bytes, realm: str, source: str) -> bytes:
        return hmac.digest(self._secret, ticket + f"{realm}\0{source}".encode(), "sha256")[:18]

    def _serial_if_fresh(self, nonce: str, realm: str, source: str, now: float) -> int | None:
        try:
            octets = base64.urlsafe_b64decode(nonce.encode("ascii") + b"=" * (-len(nonce) % 4))
        except ValueError:
            return None
        ticket, seal = octets[:12], octets[12:]
        if len(ticket) != 12 or not hmac.compare_digest(seal, self._seal(ticket, realm, source)):
            return None
        minted_ms, serial = struct.unpack(">QI", ticket)
        return serial if 0 <= now - minted_ms / 1000 + 0.001 <= self.nonce_lifetime_s else None

    def _is_next(self, nonce: str, serial: int, count: int) -> bool:
        """RFC 7616 §3.4: the count must grow, or the request is a replay."""
        last = self._counts.get(nonce)
        if last is None:
            # Its count may have been forgotten below: a fresh nonce costs one round trip, a replay costs a call.
            return serial > self._forgotten_up_to
        return count > last[0]

    def _count(self, nonce: str, serial: int, count: int) -> None:
        self._counts.pop(nonce, None)
        self._counts[nonce] = (count, serial)  # put in last again: the first key is the one longest unused
        if len(self._counts) > self.MAX_COUNTED_NONCES:
            oldest = next(iter(self._counts))
            self._forgotten_up_to = max(self._forgotten_up_to, self._counts.pop(oldest)[1])


def _same_resource(uri: str, request_uri: Uri) -> bool:
    """RFC 7616 §3.4.6: the digest's uri must name the request's resource.

    Deviation: only user and host are compared, and the user may be missing: some phones leave port or parameters out, SIPp the user.
    """
    try:
        named = Uri.parse(uri)
    except ParseError:
        return False
    same_user = named.user in {None, request_uri.user}
    return same_user and (named.scheme, named.host, named.opaque) == (request_uri.scheme, request_uri.host, request_uri.opaque)


# --- client side


class DigestCredentials(msgspec.Struct, frozen=True):
    """What we log in with elsewhere."""

    username: str
    password: str
    realm: str | None = None
    """Only for this realm; None for whichever asks."""

    def __repr__(self) -> str:
        """Never shows the password: credentials stand in configurations that are logged."""
        return f"DigestCredentials({self.username!r}, realm={self.realm!r})"


CLIENT_ALGORITHMS = ("SHA-256", "SHA-256-SESS", "MD5", "MD5-SESS")
"""Hash functions and their session variants (RFC 7616 §3.3), best first. Whoever challenges chooses; ours offer `ALGORITHMS` alone."""
CLIENT_QOPS = ("auth", "auth-int")
MOST_REALMS = 4
"""One proxy after the other may ask; more are no telephone network."""


def session_key(ha1_hex: str, nonce: str, cnonce: str, algorithm: str) -> str:
    """A1 of a session variant, hashed: H(H(username:realm:password):nonce:cnonce) (RFC 7616 §3.4.2)."""
    return _hash(algorithm, f"{ha1_hex}:{nonce}:{cnonce}")


class _Held:
    """A challenge that we keep answering, and how often we have."""

    __slots__ = ("algorithm", "challenge", "cnonce", "count", "is_session", "name", "nonce", "qop", "rank")

    def __init__(self, challenge: Challenge, name: str, qop: str | None) -> None:
        self.challenge = challenge
        self.name = name
        self.algorithm, self.is_session = name.removesuffix("-SESS"), name.endswith("-SESS")
        self.qop = qop
        self.nonce = challenge.nonce
        self.rank = CLIENT_ALGORITHMS.index(name)
        self.count = 0
        self.cnonce = ""
        """Of the first answer: a session key is made once of it (RFC 7616 §3.4.2), so that all answers name it."""

    def renew(self, nonce: str) -> None:
        """The server wants the next answers under another nonce (RFC 7616 §3.5)."""
        self.nonce, self.count, self.cnonce = nonce, 0, ""


class ClientDigest:
    """Answers the challenges of a peer and of the proxies before it, and keeps doing so unasked while a nonce lasts (RFC 7616 §3.6)."""

    def __init__(self, credentials: DigestCredentials) -> None:
        self.credentials = credentials
        self._held: dict[tuple[str, str], _Held] = {}
        """By the header that answers, and the realm: each proxy on the way may have its own (RFC 3261 §22.3)."""

    def learn(self, response: Response) -> bool:
        """Take the challenges of a 401 or 407, the best of each realm.

        Returns: whether another attempt makes sense: there is a challenge we can answer, and it is not the rejection of a first answer
        (RFC 3261 §22.2: the UAC "MUST NOT re-attempt requests with the credentials that have just been rejected").
        """
        header, answer = ("WWW-Authenticate", "Authorization") if response.status == 401 else ("Proxy-Authenticate", "Proxy-Authorization")
        makes_sense = False
        for best in self._best(response.headers.get_all(header)):
            key = answer, best.challenge.realm
            held = self._held.get(key)
            # A nonce that has served may run out without "stale" being said; one that failed at its first use means a wrong password.
            if held is not None and held.count == 1 and not best.challenge.stale:
                continue
            if held is None and len(self._held) >= MOST_REALMS:
                continue
            self._held[key] = best
            makes_sense = True
        return makes_sense

    def _best(self, values: list[str]) -> list[_Held]:
        best: dict[str, _Held] = {}
        for value in values:
            try:
                challenge = parse_challenge(value)
            except ParseError:
                continue
            algorithm = (challenge.get("algorithm") or "MD5").upper()
            if not challenge.is_digest or algorithm not in CLIENT_ALGORITHMS or not challenge.nonce:
                continue
            qop = next((qop for qop in CLIENT_QOPS if qop in challenge.qop), None)
            if self.credentials.realm not in {None, challenge.realm} or (challenge.qop and qop is None):
                continue
            made = _Held(challenge, algorithm, qop)
            known = best.get(challenge.realm)
            if known is None or made.rank < known.rank:
                best[challenge.realm] = made
        return list(best.values())

    def heard(self, response: Response) -> None:
        """Take what a 2xx says of the answers to come: its next nonce (RFC 7616 §3.5)."""
        for header, answer in (("Authentication-Info", "Authorization"), ("Proxy-Authentication-Info", "Proxy-Authorization")):
            value = response.headers.get(header)
            if value is None:
                continue
            try:
                nonce = parse_authentication_info(value).nextnonce
            except ParseError:
                continue
            asking = [held for key, held in self._held.items() if key[0] == answer]
            if nonce and len(asking) == 1:  # it names no realm
                asking[0].renew(nonce)

    def headers(self, method: str, uri: Uri, cnonce: str, body: bytes = b"") -> list[tuple[str, str]]:
        """The credentials for one request; empty while nobody has asked."""
        return [(header, self._answer(held, method, str(uri), cnonce, body)) for (header, _), held in self._held.items()]

    def _answer(self, held: _Held, method: str, uri: str, cnonce: str, body: bytes) -> str:
        held.count += 1
        challenge, algorithm, nc, qop = held.challenge, held.algorithm, f"{held.count:08x}", held.qop
        if held.is_session:
            cnonce = held.cnonce = held.cnonce or cnonce
        username, realm = self.credentials.username, challenge.realm
        secret = _hash(algorithm, f"{username}:{realm}:{self.credentials.password}")
        if held.is_session:
            secret = session_key(secret, held.nonce, cnonce, algorithm)
        response = digest_response(secret, method, uri, held.nonce, algorithm, qop=qop, nc=nc, cnonce=cnonce, body=body)
        parts = [
            f"username={quote(username)}, realm={quote(realm)}, nonce={quote(held.nonce)}, uri={quote(uri)}",
            f'response="{response}"',
        ]
        # RFC 7616 §3.4: algorithm and opaque go back exactly when they came.
        named = challenge.get("algorithm")
        if named is not None:
            parts.append(f"algorithm={held.name.replace('-SESS', '-sess')}")
        if challenge.opaque is not None:
            parts.append(f"opaque={quote(challenge.opaque)}")
        if qop:
            parts.append(f'qop={qop}, nc={nc}, cnonce="{cnonce}"')
        elif held.is_session:
            parts.append(f'cnonce="{cnonce}"')  # without it nobody could make the key
        return "Digest " + ", ".join(parts)
