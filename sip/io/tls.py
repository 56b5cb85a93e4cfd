"""SIP over TLS: the connections of `sip.io.tcp`, each behind a handshake (RFC 3261 §18, §26.2.1; RFC 5922 §7; RFC 8446, RFC 5246).

Records are taken apart here, in memory, and not by the loop: so a connection counts among its source's strangers before its handshake,
which has a deadline, and why one has failed can be told. Who connects to us proves nothing by that: phones prove themselves by digest,
trunks by what they are known by. Whom we connect to proves that it is the domain that was asked for.

At an address of its own clients are asked for certificates, which phones are not, since those of their makers are of authorities that
nobody here knows. Who shows none is as at the other addresses; one that is not believed ends the handshake; what a believed one proves
stands in the flow (`Flow.proven`), and what that means is the application's to say.

A connection opened from here is found by the name that was asked for, since another name at the same address is another's to prove.
"""

import asyncio
import contextlib
import math
import ssl
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, cast

from msgspec.structs import replace

from sip import trace
from sip.domain_identity import Certificate, is_of, named_as, proofs
from sip.errors import LocalMisuse
from sip.flow import Flow, HostPort, TransportName
from sip.io.handshakes import REASONS, TOO_LATE, Telling, reason_of, words_of
from sip.io.resolver import is_numeric
from sip.io.tcp import FIRST_MESSAGE_PART, MAX_UNSENT_OCTETS, Connection, TcpConnections, figures_of
from sip.io.transport import Contexts, Shell
from sip.parser import Limits

# The authenticated ciphers of TLS 1.2 with forward secrecy (RFC 9325 §4.2); those of TLS 1.3 are all so.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
# What keys are agreed on with. Every TLS 1.3 has it (RFC 8446 §9.1), and this Python can name just one. Of all that OpenSSL would take,
# ffdhe8192 costs who answers 20 ms of the loop and who asks nothing: fifty handshakes a second would be a core.
CURVE: Final = "prime256v1"
# A record's plain text is no longer (RFC 8446 §5.1).
RECORD_OCTETS: Final = 16_384
# Addresses of which it is known by which name they proved themselves.
MAX_PROVEN: Final = 1_000
NOBODY: Final[HostPort] = ("", 0)

FAILURES: Final = {reason: f'tls_handshake_failures_total{{reason="{reason}"}}' for reason in REASONS}
FIGURES: Final = (*figures_of("tls"), "tls_handshakes_total", "tls_clients_proven_total", *FAILURES.values())


def listening_context(chain: Path, key: Path | None) -> ssl.SSLContext:
    """What we answer handshakes with.

    Args:
        chain: our certificate in PEM, those that lead to its authority behind it.
        key: its private key, without a password; None: it is in the same file.
    Raises: OSError: a file cannot be read; ssl.SSLError, which is one: it cannot be used.
    """
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.set_ecdh_curve(CURVE)
    context.load_cert_chain(chain, key, password=_no_password)
    return context


def dialling_context(authorities: Path | None, chain: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """What we begin handshakes with.

    Args:
        authorities: certificates in PEM that are believed beside those of the system.
        chain, key: what a server that asks who we are is shown, as above; None: nothing.
    Raises: OSError: as above.
    """
    context = _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False  # whose a certificate is, is RFC 5922's to say: `TlsConnection`
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if authorities is not None:
        context.load_verify_locations(authorities)
    if chain is not None:
        context.load_cert_chain(chain, key, password=_no_password)
    return context


def asking_context(chain: Path, key: Path | None, authorities: Path | None) -> ssl.SSLContext:
    """What we answer handshakes with where clients are asked who they are.

    Nothing of an earlier session is taken up again: what was proved then may not hold any more.

    Args: as above.
    Raises: OSError: as above.
    """
    context = listening_context(chain, key)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if authorities is not None:
        context.load_verify_locations(authorities)
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _hardened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _no_password() -> str:
    """Instead of OpenSSL's question at the terminal."""
    return ""


async def open_tls(shell: Shell, address: HostPort) -> "TlsConnections":
    """A row of the registry."""
    if shell.tls is None:
        raise LocalMisuse("TLS is to be listened on, and no certificate was given")
    if address in shell.asks_at and shell.tls.asking is None:
        raise LocalMisuse("clients are to be asked for certificates, and nothing was given to judge them by")
    made = TlsConnections(shell, shell.tls, asks=address in shell.asks_at)
    await made.listen(address)
    return made


class NoHandshakeError(OSError):
    """Somebody is there, and has not proved to be who was asked for, or does not speak to us."""


class TlsConnection(Connection):
    """One connection, whoever opened it: octets go through `ssl.SSLObject` between the loop and the parser."""

    def __init__(
        self,
        owner: "TlsConnections",
        local: HostPort,
        limits: Limits,
        remote: HostPort | None = None,
        key: HostPort = NOBODY,
        asked: str = "",
    ) -> None:
        """Args:
        remote: where it is opened to, from here; None: it was opened at the far end.
        key: what that peer is called by who sends.
        asked: name or address that it is to prove.
        """
        super().__init__(owner, local, limits, remote)
        self._tls_owner = owner
        self._key = key
        self.asked = asked
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        contexts = owner.contexts
        answering = contexts.asking if owner.asks and contexts.asking is not None else contexts.listening
        context = answering if remote is None else contexts.dialling
        # RFC 6066 §3: "Literal IPv4 and IPv6 addresses are not permitted in 'HostName'."
        name = asked if asked and not is_numeric(asked) else None
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=remote is None, server_hostname=name)
        self._is_shaken = self._has_failed = False
        self._is_given_up = False
        """By us, for another's sake or at the end."""
        self._deadline: asyncio.TimerHandle | None = None
        self.shaken: asyncio.Future[None] | None = None if remote is None else asyncio.get_running_loop().create_future()
        """Of one opened from here: done with its handshake, or why there is none (NoHandshakeError)."""

    @property
    def key(self) -> HostPort:
        """What it is found by: what was asked for, else the peer's address."""
        return self._key if self.is_ours else self.flow.remote

    @property
    def _certificate(self) -> Certificate:
        return self._tls.getpeercert() or {}

    @property
    def is_shaking(self) -> bool:
        """Whether its handshake is under way."""
        return not (self._is_shaken or self._has_failed)

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is open; nothing can be said yet."""
        self._deadline = asyncio.get_running_loop().call_later(self._tls_owner.handshake_s, self.fail, *TOO_LATE)
        if self.is_ours:
            self._transport = cast("asyncio.Transport", transport)
            self._shake()
        else:
            super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: octets have come."""
        if self._has_failed:
            return
        self._incoming.write(data)
        if not self._is_shaken and not self._shake():
            return
        while self.is_open:
            try:
                plain = self._tls.read(RECORD_OCTETS)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                trace.trouble(self.flow, f"TLS: {words_of(error)}")
                self.close()
                return
            if not plain:  # the far end says goodbye
                self.close()
                return
            super().data_received(plain)
        self._send_out()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is gone."""
        if not self._is_shaken and not self._is_given_up:
            self.fail("closed", "the far end closed in the handshake")
        self._stop_waiting()
        if self.shaken is not None and not self.shaken.done():
            self.shaken.set_exception(NoHandshakeError("the connection was given up"))
            self.shaken.exception()
        super().connection_lost(exc)

    # --- the handshake

    def _shake(self) -> bool:
        """Go on with the handshake. Returns: whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_out()
            return False
        except ssl.SSLError as error:
            self.fail(reason_of(error), words_of(error))
            return False
        if self.is_ours and not is_of(self._certificate, self.asked):
            named = ", ".join(sorted(named_as(self._certificate, self.asked))) or "nobody"
            what = "that of the address" if is_numeric(self.asked) else "that of"
            self.fail("identity", f"the certificate is not {what} {self.asked}, but of {named}"[:300])
            return False
        self._is_shaken = True
        proven = proofs(self._certificate, self._tls.getpeercert(binary_form=True))
        if proven:
            self.flow = replace(self.flow, proven=proven)
        self._send_out()
        self._stop_waiting()
        self._tls_owner.shook(self)
        if self.shaken is not None and not self.shaken.done():
            self.shaken.set_result(None)
        return True

    def fail(self, reason: str, words: str) -> None:
        """There will be no handshake; the far end is told by an alert, where OpenSSL has one for it."""
        if self._has_failed:
            return
        self._has_failed = True
        self._stop_waiting()
        self._tls_owner.failures[reason] += 1
        if self.shaken is None:
            self._tls_owner.tell_failed(self.flow, words)
        elif not self.shaken.done():
            self.shaken.set_exception(NoHandshakeError(words))
            self.shaken.exception()  # seen: whoever opened it may be gone
        self._send_out()
        super().close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # --- out

    def write(self, octets: bytes) -> None:
        """Send; a peer that stopped reading is cut off."""
        if self._transport is None or not self._is_shaken:
            return
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            trace.trouble(self.flow, f"TLS: {words_of(error)}")
            self.abort()
            return
        super().write(self._outgoing.read())

    def _send_out(self) -> None:
        """What the protocol itself has to say: handshake, alerts, new keys."""
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())
            if self._transport.get_write_buffer_size() > MAX_UNSENT_OCTETS:
                self._transport.abort()

    def close(self) -> None:
        """Say goodbye (RFC 8446 §6.1: close_notify), and close after what is buffered has been sent."""
        if not self._is_shaken:
            self._is_given_up = True
            self.abort()
            return
        if self.is_open:
            with contextlib.suppress(ssl.SSLError):  # the far end has not said so too, or the connection is broken: it is not waited for
                self._tls.unwrap()
            self._send_out()
        super().close()


class TlsConnections(TcpConnections):
    """The connections of one listening socket."""

    name: ClassVar[TransportName] = "tls"

    @property
    def handshake_s(self) -> float:
        """How long a handshake may take: as long as a stranger has for his first message."""
        return self._stranger_idle_s * FIRST_MESSAGE_PART

    def __init__(self, shell: Shell, contexts: Contexts, *, asks: bool = False) -> None:
        """Args:
        asks: clients are asked for certificates.
        """
        super().__init__(shell)
        self.contexts = contexts
        self.asks = asks
        self.clients_proven = 0
        self._on_unproven = shell.on_unproven
        self.failures: Counter[str] = Counter()
        """Handshakes that came to nothing, by reason."""
        self.handshakes = 0
        self._telling = Telling()
        self._at: dict[HostPort, TlsConnection] = {}
        """Connections opened from here, by the address they go to."""
        self._proven: dict[HostPort, str] = {}
        """Addresses, and the name they last proved theirs: in a Record-Route or a Contact they stand without it."""

    def send(self, octets: bytes, remote: HostPort, flow: Flow) -> None:
        """Send over a connection to that peer, opening it if there is none; failure comes back as a lost flow.

        Args:
            flow: what the sender calls that peer. A name must be proven; an address goes over what has been opened there, whatever it is
                called, else it must prove to be what it proved before, or itself.
        """
        name = flow.remote[0]
        if is_numeric(name):
            connection: Connection | None = self._at.get(remote) or (None if flow.said else self._open.get(remote))
        else:
            connection = self._open.get(flow.remote)
        if connection is not None and connection.is_open:
            connection.is_called(flow.remote)
            connection.write(octets)
        else:
            self._send_when_open(octets, remote, flow, flow.remote)

    def _accepted(self) -> Connection:
        return TlsConnection(self, self.address, self._limits)

    async def _dial(self, remote: HostPort, key: HostPort) -> Connection:
        asked = self._proven.get(remote, key[0]) if is_numeric(key[0]) else key[0]
        try:
            connection = TlsConnection(self, self.address, self._limits, remote, key, asked)
        except ValueError as error:  # it cannot be asked for: an empty label, or one too long
            raise NoHandshakeError(f"{asked[:80]!r} is no name: {error}") from error
        await self._loop.create_connection(lambda: connection, *remote)
        assert connection.shaken is not None
        try:
            await connection.shaken
        finally:
            if not connection.shaken.done() or connection.shaken.cancelled():
                connection.fail(*TOO_LATE)
        return connection

    def _tell_unopened(self, flow: Flow, error: OSError) -> None:
        if isinstance(error, NoHandshakeError):
            self._on_unproven(flow, str(error))
        super()._tell_unopened(flow, error)

    def tell_failed(self, flow: Flow, words: str) -> None:
        """The log has them, but not the whole of a flood."""
        for line in self._telling.failed(words, self.now()):
            trace.trouble(flow, line)

    def shook(self, connection: TlsConnection) -> None:
        """A handshake is done."""
        self.handshakes += 1
        if not connection.is_ours:
            self.clients_proven += bool(connection.flow.proven)
            return
        remote = connection.flow.remote
        self._at[remote] = connection
        if len(self._proven) >= MAX_PROVEN:
            self._proven.clear()
        self._proven[remote] = connection.asked
        self.opened(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is gone: what waits for answers on it must know."""
        if self._at.get(connection.flow.remote) is connection:
            del self._at[connection.flow.remote]
        super().lost(connection)

    def _tell_lost(self, connection: Connection) -> None:
        """By every name it was called: who asked for a name waits for that."""
        super()._tell_lost(connection)
        for remote in connection.called:
            self._on_lost(Flow(self.name, connection.flow.local, remote))

    def _patience_s(self, connection: Connection) -> float:
        """A handshake has its own deadline, which tells what it was."""
        is_shaking = isinstance(connection, TlsConnection) and connection.is_shaking
        return math.inf if is_shaking else super()._patience_s(connection)

    def figures(self) -> Mapping[str, float]:
        """See FIGURES."""
        failures = {name: self.failures[reason] for reason, name in FAILURES.items()}
        handshakes = {"tls_handshakes_total": self.handshakes, "tls_clients_proven_total": self.clients_proven}
        return {**super().figures(), **handshakes, **failures}
