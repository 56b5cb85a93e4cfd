"""Settings of the voice service, as plain values; `api.config` reads them from file and environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

from acd import networks
from acd.codecs import USUAL
from acd.logs import Logging

InfoDigits = Literal["allowed", "shown", "never"]


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """One SIP socket."""

    transport: Literal["udp", "tcp", "tls"]
    host: str = "0.0.0.0"
    port: int = 5060
    asks: bool = False
    """Of TLS: clients are asked for certificates."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What SIP over TLS proves itself with, and whom it believes; files in PEM."""

    certificate: Path | None = None
    """Ours, and behind it those that lead to its authority; None: one of our own is made in the data directory."""
    key: Path | None = None
    """Its private key; None: in the same file."""
    ca: Path | None = None
    """Authorities whose word about servers we connect to, and about clients that are asked, is believed beside those of the system."""


class VoiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    listen: tuple[Listen, ...] = (Listen(transport="udp"), Listen(transport="tcp"))
    advertised_address: str | None = None
    """Address put into Contact, Via and SDP; None: the one the peer reaches us at, found by a connected UDP socket."""
    realm: str = "fernamt"
    """Digest realm of all phones (RFC 7616 §3.4); changing it invalidates every stored device credential."""
    data: Path = Path("data")
    media_workers: int = max(1, (os.cpu_count() or 2) // 2)
    """Processes that carry RTP. One core in two is left to signalling by default."""
    media_ports: tuple[int, int] = (20000, 29998)
    """First and last RTP port (even); each leg takes two."""
    calls_per_second: float = 120.0
    """New INVITEs above this rate are answered 503 with Retry-After.

    A queue call costs the main process about 4 ms (load/README.md): at 500 a second offered, these 120 are served at half a core.
    """
    burst: int = 240
    """INVITEs admitted at once after a pause."""
    max_sessions: int = 8000
    """Live SIP sessions (two a call) above which new ones are answered 503."""
    strangers_per_second: float = 200.0
    """Requests of senders we do not know, and of those who have not proved who they are, that are answered; the rest is dropped.

    Each costs the main process about 0.25 ms: at any flood, strangers take a twentieth of a core beside the reading of what they send.
    """
    strangers_burst: int = 400
    tenant_weights: dict[str, float] = {}
    """Tenant -> weight of its share of calls, sessions and ports; 1 for who is not named."""
    guaranteed: float = 0.5
    """The part of ports and sessions that is kept for tenants and trunks which use less than their share; the rest is lent."""
    emergency_pairs: int = 8
    """RTP port pairs, of the range above, that only emergency calls get: four calls when nothing else is free."""
    probe_trunks: bool = True
    phone_answer_within_s: float = 2.5
    """A registered phone that gives no answer at all for so long, not even 100, is unreachable, and its caller goes on. A phone answers
    within milliseconds, and in this time the request has gone out three times (RFC 3261 §17.1.1.2)."""
    probe_phones_every_s: float = 60.0
    """How often registered phones are asked whether they are there; 0 never. A site may say otherwise."""
    probe_phone_misses: int = 2
    """So many probes without any answer, one at once after the other, and a phone is not rung. A site may say otherwise."""
    ping_pages_every_s: float = 5.0
    """How often pages that are phones are asked whether their code runs; 0: only before offers."""
    ping_page_misses: int = 2
    """So many without an answer, and the agent is technically not ready until the page answers."""
    force_rport: bool = False
    """Phones that ask for no `rport` (RFC 3581 §3) are answered and reached at the port they send from. A site may say otherwise."""
    tls: TlsFiles = TlsFiles()
    tls_of_https: TlsFiles = TlsFiles()
    """The certificate of HTTPS: that of SIP too, where `tls` has none, from when it is there."""
    contacts_per_device: int = 10
    """Contacts that one device may have bound; one more replaces the one that would expire first."""
    tcp_strangers_per_source: int = 256
    """TCP connections from one address on which nobody has registered or called yet; as many over TLS."""
    tcp_stranger_idle_s: float = 60.0
    """Such a connection is closed after so long without a message."""
    phone_shows: str = "{queue} · {caller}"
    """Display name in calls to agents' phones: `{queue}`, `{caller}` (a name, not the number, which stands beside it), `{called}`."""
    phone_codecs: tuple[str, ...] = USUAL
    """What phones are offered, in this order; what they offer is answered with one of these or G.711, else with what there is."""
    answer_within_s: float = 5.0
    """How long a desk waits for the phone that it has asked to take a call."""
    phone_pass_s: int = 3600
    """How long a page may register and call with what it was given for it (`acd.passes`)."""
    session_refresh_s: int = 1800
    """Session timers (RFC 4028): a peer that vanished is noticed within this time; 0 off, else at least 90."""
    media_silence_s: float = 60.0
    """A connected leg without RTP and RTCP for so long is asked by SIP whether it is there, and cleared if it does not answer; 0 never."""
    media_info_digits: InfoDigits = "allowed"
    """To whom keys of the other party are told by SIP INFO, where it takes no RFC 4733: who lists INFO among its methods, only who has
    told of keys by INFO itself, or nobody: then it is a tone."""
    accept_clock: bool = False
    """Open journals that are more than a day ahead of the clock, and go on from the present time."""
    media_addresses: tuple[str, ...] = ()
    """IP addresses under which browsers reach our media ports, best first; none: the one that packets to the page leave from."""
    media_orphan_s: float = 60.0
    """How long media workers keep their legs when the main process is gone; 0 not at all."""
    registration_min_s: int = 30
    registration_max_s: int = 3600
    log: Logging = Logging()
    """What is written of calls, and how the media workers write."""
    reach_allow: tuple[str, ...] = networks.EVERYTHING
    """Networks that addresses of tenants' settings and of messages may lie in; see `acd.networks`."""
    reach_deny: tuple[str, ...] = ()
    """Networks in them that they may not."""
