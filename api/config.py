"""Settings of the service from a TOML file and `FERNAMT_*` variables: house format, docs/settings.md; a wrong one is named with its place.

`Settings.load` reads the file, lets the variables win (nested names by `__`: `FERNAMT_HTTP__PORT=8081`), validates, and raises one
`SettingsError` that holds every problem, each with `file:line` or the variable's name.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from acd import networks
from acd.codecs import USUAL
from acd.logs import without_secrets
from acd.strangers import Network
from api.edge.origin import origin
from api.kit.codecs import Codecs

PREFIX = "FERNAMT_"
DELIMITER = "__"
DEFAULT_FILE = Path("fernamt.toml")
OUTSIDE_THE_SCHEMA = ("FERNAMT_CONFIG", "FERNAMT_TEST_")
"""Variables that are ours but no settings: the path of the file, and switches of the test-suite."""

_SECRET = {"control", "tenant_url"}
"""Settings whose values are not repeated: a password may stand in the address of a database."""
LOOPBACK = "127.0.0.1"

Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsError(Exception):
    """The settings are wrong; `problems` holds one sentence for each wrong place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _listed(value: Any) -> Any:
    """A list may stand in a variable as `a, b`, or as JSON."""
    if isinstance(value, str):
        if value.lstrip().startswith('["') or value.strip() == "[]":
            try:
                return json.loads(value)
            except json.JSONDecodeError:
                raise ValueError("a list in a variable is written with commas, `a, b`, or as JSON, and this is neither") from None
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


def split_address(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` -> host, port.

    Raises: ValueError: not of that form.
    """
    match = re.fullmatch(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[^:\[\]]+)):(?P<port>\d{1,5})", text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is no address; write `0.0.0.0:5060` or `[::]:5060`")
    host = match["six"] or match["four"]
    if match["six"] is not None:
        ipaddress.IPv6Address(host)
    return host_name(host), int(match["port"])


_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
# Deviation: "_" is let through, as `sip.grammar.HOST` does: names of containers carry it.
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_LIKE_IPV4 = re.compile(r"[0-9.]+")


def host_name(text: str) -> str:
    """An IP address, or a host name (RFC 1123 §2.1). It is not asked whether the name resolves: the service may start before the resolver.

    Raises: ValueError: it is neither.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if _LIKE_IPV4.fullmatch(text) or not _HOST_NAME.fullmatch(text):
            raise ValueError(f"{text!r} is neither an IP address nor a host name") from None
    return text


def is_nobodys(host: str) -> bool:
    """Whether it is an address that one listens on, or a group of hosts: `0.0.0.0`, `::`, 224.0.0.0/4."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_unspecified or address.is_multicast


def is_address(host: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def mail_address(text: str) -> str:
    """A mail address.

    Raises: ValueError
    """
    if not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,180}", text):
        raise ValueError("this is no mail address; write one like `telefon@example.org`")
    return text


SECRET_NAMES = ("password", "secret", "token", "key")
"""A setting with such a word in its name is never shown, however wrong it is."""


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks, `192.0.2.7` or `2001:db8::/32`.

    Raises: ValueError: one is neither.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Sip(_Group):
    """Where phones and trunks reach us."""

    listen: Listed = ("0.0.0.0:5060",)
    """Addresses; each is opened for UDP and TCP, as far as `transports` has them."""
    transports: Annotated[tuple[Literal["udp", "tcp", "tls"], ...], NoDecode, BeforeValidator(_listed)] = ("udp", "tcp")
    """`tls` listens at `tls_listen`."""
    tls_listen: Listed = ()
    """Addresses for TLS; none: the hosts of `listen`, each a port above (5061 beside 5060)."""
    tls_carriers_listen: Listed = ()
    """Further addresses for TLS, where whoever connects is asked for a certificate: for trunks that prove themselves by one."""
    tls_certificate: Path | None = None
    """Our certificate in PEM, those that lead to its authority behind it, read again when it changes; None: one of our own is made."""
    tls_key: Path | None = None
    """Its private key in PEM, without a password; None: in the same file."""
    tls_ca: Path | None = None
    """Authorities in PEM that servers we connect to, and trunks that connect to us, may be certified by, beside those of the system."""
    advertised: str | None = None
    """Address that phones and trunks see in Contact, Via and SDP; None: the one the peer reaches us at."""
    realm: str = Field(default="fernamt", pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$")
    """Digest realm and domain of the devices. A change makes every device password invalid: the digests are computed with it."""

    @field_validator("advertised")
    @classmethod
    def _advertised(cls, value: str | None) -> str | None:
        if value is not None and is_nobodys(host_name(value)):  # without a port: each transport has its own
            raise ValueError(f"nobody is reached at {value}; it is the one address that peers send to")
        return value

    probe_trunks: bool = True
    """Send OPTIONS to trunks that ask for it."""
    probe_phones_every_s: float = Field(default=60.0, ge=0, le=3600, allow_inf_nan=False)
    """How often registered phones are asked whether they are there (OPTIONS); 0 never. A site may say otherwise."""
    probe_phone_misses: int = Field(default=2, ge=1, le=20)
    """So many probes without any answer, and a phone is shown unreachable and not rung, until it answers or registers again."""
    ping_pages_every_s: float = Field(default=5.0, ge=0, le=600, allow_inf_nan=False)
    """How often browsers' pages are asked whether their code runs; 0: only before offers."""
    ping_page_misses: int = Field(default=2, ge=1, le=20)
    """So many without an answer, and the agent is technically not ready until the page answers."""
    phone_answer_within_s: float = Field(default=2.5, ge=0.5, le=32, allow_inf_nan=False)
    """A phone that gives no answer at all to a call or a probe for so long, not even 100, is unreachable."""
    force_rport: bool = False
    """Phones that ask for no `rport` (RFC 3581) are answered and reached at the port they send from. A site may say otherwise."""
    contacts_per_device: int = Field(default=10, ge=1, le=100)
    """Contacts that one device may have registered; one more replaces the one that would expire first."""
    strangers_per_source: int = Field(default=256, ge=1)
    """TCP connections from one IPv4 address or IPv6 /64 on which nobody has registered or called yet; beyond, the oldest makes room."""
    stranger_idle_s: float = Field(default=60.0, ge=1)
    """Such a connection is closed after so long without a message; without a first one after a sixth of it."""

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("at least one address is needed")
        for one in value:
            split_address(one)
        return value

    @field_validator("tls_listen", "tls_carriers_listen")
    @classmethod
    def _tls_listen(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            split_address(one)
        return value

    @model_validator(mode="after")
    def _tls(self) -> Sip:
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("`tls_key` is the key of a certificate, and `tls_certificate` names none")
        if "tls" in self.transports and not self.tls_listen and any(split_address(one)[1] == 65535 for one in self.listen):
            raise ValueError("there is no port above 65535 for TLS; `tls_listen` names another")
        if {"tcp", "tls"} <= set(self.transports):
            for host, port in self.addresses("tls"):
                if port and (host, port) in self.addresses("tcp"):
                    raise ValueError(f"{host}:{port} would be listened on for TCP and for TLS; `tls_listen` names another")
        if self.tls_carriers_listen:
            self._carriers()
        return self

    def _carriers(self) -> None:
        if "tls" not in self.transports:
            raise ValueError("`tls_carriers_listen` is of TLS, which `transports` does not name")
        others = {one for transport in {"tcp", "tls"} & set(self.transports) for one in self.addresses(transport)}
        for host, port in self.carriers_addresses:
            if port and (host, port) in others:
                raise ValueError(f"{host}:{port} of `tls_carriers_listen` is listened on for phones; it needs another port")

    @property
    def carriers_addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of every socket at which whoever connects is asked for a certificate."""
        return tuple(split_address(one) for one in self.tls_carriers_listen)

    def addresses(self, transport: str) -> tuple[tuple[str, int], ...]:
        """Host and port of every socket for a transport; port 0 is any that is free."""
        if transport != "tls":
            return tuple(split_address(one) for one in self.listen)
        if self.tls_listen:
            return tuple(split_address(one) for one in self.tls_listen)
        return tuple((host, port and port + 1) for host, port in map(split_address, self.listen))


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(origin, value))


class Http(_Group):
    """Where browsers and clients of the API reach us."""

    host: Annotated[str, AfterValidator(host_name)] = "0.0.0.0"
    port: Port = 8080
    tls: Literal["off", "files", "self-made", "acme"] = "off"
    """HTTPS at `port`: with the operator's certificate, one of our own that nobody vouches for, or one that ACME gives (RFC 8555)."""
    certificate: Path | None = None
    """Of `files`: in PEM, those that lead to its authority behind it, read again when it changes."""
    key: Path | None = None
    """Its private key in PEM, without a password; None: in the same file."""
    redirect_port: Port | None = None
    """A port beside it without TLS: it answers ACME, and sends browsers on to HTTPS; None: none, and 80 for `acme`."""
    https_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port that browsers are sent on to, where something forwards it to `port`; None: `port`."""
    acme_directory: str = Field(default="https://acme-v02.api.letsencrypt.org/directory", pattern=r"^https://[!-~]{1,500}$")
    """The authority that is asked for certificates. Naming domains for it is agreeing to its terms of service."""
    acme_domains: Listed = ()
    """Names that the certificate is for; each leads to this machine, port 80 to `redirect_port`."""
    acme_email: str | None = None
    """Whom the authority may write to."""
    acme_ca: Path | None = None
    """Authorities in PEM that the server of `acme_directory` is certified by, in place of those of the system."""
    proxies: Listed = ("127.0.0.1", "::1")
    """Addresses or networks of reverse proxies: their X-Forwarded-For is believed, and their connections are not counted by address."""
    strangers_per_source: int = Field(default=256, ge=1)
    """Connections without a log-in from one IPv4 address or IPv6 /64; beyond, the oldest that does nothing makes room."""
    strangers: int = Field(default=2000, ge=1)
    """Connections without a log-in from everywhere."""
    connections_per_user: int = Field(default=100, ge=1)
    """Connections of one user or API key, WebSockets among them; beyond: 429."""
    connections_per_tenant: int = Field(default=5000, ge=1)
    """Connections of all users and keys of one tenant, WebSockets among them; beyond: 429."""
    requests_per_tenant: int = Field(default=3, ge=1)
    """Requests of one tenant that are served at once; the others wait for their turn, user by user. No more than twice `database.pool`.
    Three: one works, one waits for the database, one takes long; with more a tenant gets no more done, and others wait longer. Who waits
    for the exchange has left its place."""
    waiting_per_tenant: int = Field(default=1000, ge=1)
    """Requests of one tenant that wait for their turn; beyond: 429."""
    wait_s: float = Field(default=10.0, gt=0)
    """Whose turn does not come within so long is told to come again: 429."""
    streams_per_tenant: int = Field(default=4, ge=1)
    """Exports of one tenant under way at once; beyond: 429."""
    head_s: float = Field(default=10.0, gt=0)
    """A request's head is whole so long after its first octet."""
    body_s: float = Field(default=60.0, gt=0)
    """A request's body is whole so long after its head."""
    keep_alive_s: int = Field(default=5, ge=1)
    """A connection is kept so long for another request."""
    stalled_s: float = Field(default=60.0, gt=0)
    """A client that takes nothing of its answer for so long is cut off."""
    origins: Annotated[Listed, AfterValidator(_origins)] = ()
    """Origins of pages elsewhere, `https://desk.example`, that may open the WebSocket of a phone; those of our own address always may."""
    token_in_query: bool = False
    """Let WebSockets bring their token as `?token=`, for clients of 0.1.0 that cannot yet do otherwise: it ends in the logs of proxies."""

    @field_validator("proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(value)
        return value

    @field_validator("acme_domains")
    @classmethod
    def _domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if one.startswith("*."):
                raise ValueError(f"{one}: a wildcard is proved by DNS alone, which is not done here; name the hosts, or use `files`")
            if is_address(host_name(one)) or "." not in one:
                raise ValueError(f"{one!r} is no domain name that an authority would certify")
        return tuple(dict.fromkeys(one.lower() for one in value))

    @field_validator("acme_email")
    @classmethod
    def _email(cls, value: str | None) -> str | None:
        return None if value is None else mail_address(value)

    @model_validator(mode="after")
    def _https(self) -> Http:
        if self.tls == "files" and self.certificate is None:
            raise ValueError('`tls` is "files", and `certificate` names none')
        if self.certificate is not None and self.tls != "files":
            raise ValueError(f'`certificate` is for `tls` "files", and `tls` is "{self.tls}"')
        if self.key is not None and self.certificate is None:
            raise ValueError("`key` is the key of a certificate, and `certificate` names none")
        if self.tls == "acme" and not self.acme_domains:
            raise ValueError('`tls` is "acme", and `acme_domains` names no domain')
        if self.tls == "off" and self.redirect_port is not None:
            raise ValueError('there is no HTTPS that `redirect_port` could send anybody on to: `tls` is "off"')
        if self.plain_port and self.plain_port == self.port:
            raise ValueError(f"{self.port} would be the port of HTTPS and of what is beside it; `redirect_port` names another")
        return self

    @property
    def plain_port(self) -> int | None:
        """Beside HTTPS, without TLS; None: none."""
        return 80 if self.redirect_port is None and self.tls == "acme" else self.redirect_port


class Monitoring(_Group):
    """Who sees /metrics and the details of /readyz, besides the operator."""

    token: SecretStr | None = Field(default=None, min_length=16)
    """Sent as `Authorization: Bearer …`; None: by network only."""
    sources: Listed = ("127.0.0.0/8", "::1")
    """Networks that need no token, when the request was not passed on by a proxy."""

    @field_validator("sources")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(value)
        return value

    @property
    def networks(self) -> tuple[Network, ...]:
        """`sources` as networks."""
        return networks_of(self.sources)


class Media(_Group):
    """Where the media workers take RTP."""

    first_port: int = Field(default=20000, ge=1024, le=65534)
    last_port: int = Field(default=29998, ge=1025, le=65535)
    """Even ports from the first to the last; each leg takes a pair."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Worker processes; None: one for every two cores."""
    addresses: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = ()
    """IP addresses under which browsers reach these ports; none: `sip.advertised`, or the one that packets to the page leave from."""
    silence_s: float = Field(default=60.0, ge=0)
    """A connected leg without RTP and RTCP for so long is asked by SIP whether it is there, and cleared if it does not answer; 0 never."""
    info_digits: Literal["allowed", "shown", "never"] = "allowed"
    """To whom keys are told by SIP INFO, where it takes no RFC 4733: who allows INFO, only who has shown it, or nobody (a tone)."""
    orphan_s: float = Field(default=60.0, ge=0, le=3600)
    """How long audio and recordings go on when the main process is gone; 0 not at all."""

    @field_validator("addresses")
    @classmethod
    def _reachable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                address = ipaddress.ip_address(each)
            except ValueError:
                raise ValueError(f"{each!r} is no IP address; browsers are told addresses, not names, and no port") from None
            if address.is_unspecified or address.is_multicast:
                raise ValueError(f"nobody is reached at {each}")
        return value

    @model_validator(mode="after")
    def _range(self) -> Media:
        if self.first_port > self.last_port:
            raise ValueError(
                f"ports {self.first_port}-{self.last_port}: the first is above the last; set first_port and last_port together"
            )
        if self.first_port % 2 or self.last_port - self.first_port < 6:
            raise ValueError(f"ports {self.first_port}-{self.last_port}: the first is even, and a bridged call needs four pairs")
        return self


class Database(_Group):
    """Where tenants and their data are kept."""

    control: str | None = Field(default=None, repr=False)
    """SQLAlchemy address of the control database; None: `control.sqlite` in the data folder."""
    tenant_url: str | None = Field(default=None, repr=False)
    """Address of a tenant's own database with `{tenant}` in it; None: `tenants/<tenant>/tenant.sqlite` in the data folder."""
    pool: int = Field(default=5, ge=1, le=100)
    """Connections kept for each database."""

    @field_validator("control", "tenant_url")
    @classmethod
    def _driver(cls, value: str | None) -> str | None:
        known = ("sqlite+aiosqlite", "postgresql+asyncpg", "mysql+asyncmy", "mariadb+asyncmy")
        if value is not None and value.partition("://")[0] not in known:
            raise ValueError(f"the address begins with one of {', '.join(k + '://' for k in known)}")
        if value is not None:
            try:
                make_url(value)
            except (ArgumentError, ValueError):  # a port that is no number
                raise ValueError("this is no address of a database; write one like `postgresql+asyncpg://user@host:5432/name`") from None
        return value

    @field_validator("tenant_url")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None and "{tenant}" not in value:
            raise ValueError("the address needs `{tenant}` where the tenant's name goes")
        return value


class Overload(_Group):
    """When new calls are answered with 503 and Retry-After, before anything breaks."""

    calls_per_second: float = Field(default=120.0, gt=0)
    """New calls above this rate are refused."""
    burst: int = Field(default=240, ge=1)
    """New calls admitted at once after a pause."""
    max_sessions: int = Field(default=8000, ge=2)
    """Live SIP sessions (two a call) above which new calls are refused."""


class Fairness(_Group):
    """What keeps one tenant from taking all there is: docs/operating.md, "Fair shares"."""

    weights: dict[str, Annotated[float, Field(gt=0, le=1000)]] = {}
    """Tenant -> weight of its share of calls, sessions and ports; 1 for who is not named."""
    guaranteed: float = Field(default=0.5, ge=0, le=1)
    """The part of ports and sessions that is kept for who uses less than its share; the rest is lent."""
    emergency_pairs: int = Field(default=8, ge=0, le=1000)
    """RTP port pairs that only emergency calls get, two a call."""
    strangers_per_second: float = Field(default=200.0, gt=0)
    """SIP requests of senders nobody knows, or who have not proved who they are, that are answered; the rest is dropped."""
    strangers_burst: int = Field(default=400, ge=1)


class Reach(_Group):
    """Where the calls of tenants may go: peers and registrars of their trunks, and addresses in Contact, Record-Route and SDP."""

    allow: Listed = networks.EVERYTHING
    """Networks; loopback, link-local, multicast and reserved ones, metadata services and this machine's own addresses only where listed."""
    deny: Listed = ()
    """Networks in `allow` that are not: the narrowest network that holds an address decides, of two equal ones `allow`."""

    @field_validator("allow", "deny")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(networks.network(one)) for one in value)


class Phones(_Group):
    """What agents' phones are told, and asked for."""

    shows: str = Field(default="{queue} · {caller}", max_length=60)
    """Display name of a call that rings: `{queue}`, `{called}` (the number dialled), `{caller}` (a name). What is not known is left
    out, with the signs around it; the caller's number stands beside it in any case."""
    codecs: Annotated[Codecs, NoDecode, BeforeValidator(_listed)] = USUAL
    """What phones are offered, in this order. What they offer is answered with the first of their own that stands here, or is G.711; with
    another that the house knows only where the call would be refused else."""
    answer_within_s: float = Field(default=5.0, ge=0.5, le=30)
    """How long `POST …/answer` waits for what the phone does; it is refused with 409 then."""
    pass_s: int = Field(default=3600, ge=60, le=86_400)
    """How long a page may register and call with what `POST /api/v1/desk/phone` has given it."""

    @field_validator("shows")
    @classmethod
    def _places(cls, value: str) -> str:
        places = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
        if not places <= {"queue", "caller", "called"}:
            raise ValueError("only {queue}, {caller} and {called} can be shown")
        return value


class Timers(_Group):
    """Registrations (RFC 3261 §10) and sessions (RFC 4028)."""

    session_refresh_s: int = Field(default=1800, ge=0, le=86_400)
    """Session timer; 0 off."""
    registration_min_s: int = Field(default=30, ge=1, le=3600)
    registration_max_s: int = Field(default=3600, ge=60, le=86_400)

    @model_validator(mode="after")
    def _registrations(self) -> Timers:
        if self.registration_min_s > self.registration_max_s:
            raise ValueError(f"registration_min_s {self.registration_min_s} is more than registration_max_s {self.registration_max_s}")
        if 0 < self.session_refresh_s < 90:
            raise ValueError("RFC 4028 knows no session timer below 90 s")
        return self


class Login(_Group):
    """Who may come in, and how often one may try."""

    session_hours: float = Field(default=12.0, gt=0, le=24 * 31)
    failures: int = Field(default=10, ge=1, le=1000)
    """Wrong passwords of one user from one source at once, at the page, the API and the phones; as many are given back over `window_s`."""
    window_s: float = Field(default=300.0, ge=1)
    password_score: int = Field(default=3, ge=0, le=4)
    """What zxcvbn must say of a new password: 3 is 10^8 guesses, 4 is 10^10; 0 asks for eight characters only."""
    key_days: int = Field(default=365, ge=1, le=36_500)
    """An API key that is made without an end ends after so many days."""
    key_days_max: int = Field(default=0, ge=0, le=36_500)
    """The longest a new API key can hold; 0: as long as it likes, for ever too where that is asked for in so many words."""
    argon2_memory_kib: int = Field(default=19_456, ge=8)
    """OWASP password storage: 19 MiB, 2 passes, 1 lane."""
    argon2_passes: int = Field(default=2, ge=1)
    hashes_at_once: int = Field(default=2, ge=1, le=64)
    """Passwords that are computed at the same time, each with a core and the memory above; the others wait for their turn, those of known
    sources first."""


class Tenants(_Group):
    """What tenants may do by themselves."""

    claim_numbers: bool = False
    """Whether administrators of new tenants may take numbers that are free; else numbers are assigned by the operator."""
    dial_classes: Annotated[
        tuple[Literal["national", "mobile", "international", "premium", "satellite"], ...], NoDecode, BeforeValidator(_listed)
    ] = ("national", "mobile")
    """What agents and rules of new tenants may dial, until the tenant says otherwise (`PUT /api/v1/dialling`)."""
    internal_trunks: bool = False
    """Whether administrators of new tenants may call a trunk their own PBX (`internal`): calls over it have no price, show any number, and
    those to 110 and 112 from it pass every limit; else the operator allows it, a tenant at a time."""
    claim_networks: int = Field(default=10, ge=0, le=10_000)
    """How many networks that calls come from a tenant may claim without a grant."""
    claim_addresses: int = Field(default=512, ge=0, le=10_000_000)
    """How many addresses they may have together; of IPv6 a /64 is one. So two /24 or /56, or some carriers with a few addresses each."""
    bare_device_names: bool = False
    """Whether devices of new tenants that are not called `<tenant>-…` are known by their names alone, if nobody has the name; else phones
    say the tenant's domain, and the operator allows it, a tenant at a time."""


Rows = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Limits(_Group):
    """How much one tenant may store: docs/tenants.md, "Limits". The operator may say otherwise of each tenant."""

    contacts: Rows = 1_000_000
    tickets: Rows = 10_000_000
    """They are never deleted: two thousand a working day for twenty years."""
    appointments: Rows = 1_000_000
    users: Rows = 100_000
    api_keys: Rows = 10_000
    tariffs: Rows = 2_000
    """Versions. All of them are kept in memory, and a change of prices a month for each of sixteen carriers is as many in ten years."""
    agents: Rows = 100_000
    queues: Rows = 10_000
    menus: Rows = 10_000
    numbers: Rows = 100_000
    schedules: Rows = 10_000
    sites: Rows = 10_000
    trunks: Rows = 1_000
    """Each is asked every half minute whether it is there, and looked through for every address that calls."""
    reasons: Rows = 10_000
    sounds: Rows = 5_000
    """Its own announcements and music, each language by itself."""
    sounds_mib: Rows = 500
    """What they take as they are stored: a minute is half a MiB, so sixteen hours."""
    webhooks: Rows = 20
    """Each event is sent to all of them that want it."""
    blobs: Rows = 1_000_000
    """Files that are kept outside of the database."""
    blobs_mib: Rows = 20_480
    """What they take."""
    others: Rows = 1_000_000
    """Of each kind of rows that stands in no line here."""
    open_contacts: Rows = 10_000
    """Messages and callbacks that are not done with: up to some 20 KiB each in memory, and they are many who wait for one team."""
    database_mib: Rows = 20_480
    """Of the tenant's whole database: a million contacts with a page of notes are 4 GiB, ten million CDRs 10. Beyond, nothing is added or
    changed by people; calls and their charges are still written."""


class Audit(_Group):
    """How long the audit keeps what."""

    changes_days: int = Field(default=3650, ge=0, le=36_500)
    """Changes of users, keys, tariffs and set-up; 0: for ever. Ten years: tariffs are part of what bills are made of (§ 147 AO)."""
    access_days: int = Field(default=365, ge=0, le=36_500)
    """Log-ins, failed ones too, and reads of personal data: personal data themselves; 0: for ever."""


class Recordings(_Group):
    """How long recordings are kept, and how many are heard at once (docs/recordings.md)."""

    days: int = Field(default=0, ge=0, le=36_500)
    """So many days after it began a recording is deleted; 0: never by itself."""
    streams_per_tenant: int = Field(default=16, ge=1)
    """Recordings of one tenant that are sent at once; beyond: 429."""


class Sounds(_Group):
    """What tenants may send to be played (docs/sounds.md)."""

    longest_s: float = Field(default=120.0, ge=1, le=3600, allow_inf_nan=False)
    """How long an announcement may play; nobody listens to one for two minutes, and what is on the line is known then."""
    longest_music_s: float = Field(default=300.0, ge=1, le=3600, allow_inf_nan=False)
    """How long music may play; it begins anew when it ends."""


class Webhooks(_Group):
    """Where tenants may have events sent, and how long what was sent is kept (docs/webhooks.md)."""

    allow: Listed = ()
    """Networks that may be sent to beside public ones: private ones, this machine's own addresses."""
    deny: Listed = ()
    """Public networks that may not; as in `[reach]` the narrowest network decides, of two equal ones `allow`."""
    plain_http: bool = False
    """Let tenants name `http` addresses, not `https` alone: whoever is between reads what is sent."""
    days: int = Field(default=7, ge=1, le=3650)
    """So long events that were told, and deliveries that are over, are kept."""
    at_once: int = Field(default=256, ge=1, le=4096)
    """Connections of all tenants together, beyond the four that each may have in any case."""

    @field_validator("allow", "deny")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(networks.network(one)) for one in value)


class Mail(_Group):
    """The mail server of the operator's that takes our mails (docs/mail.md)."""

    host: Annotated[str, AfterValidator(host_name)] | None = None
    """None: no mail is sent; what is to be waits, and is given up in the end."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`tls` from the first octet (port 465); `starttls` is asked for and must be had; `none` for a server on this machine."""
    ca_file: Path | None = None
    """Certificates that are trusted, where the server's own is of none that this system trusts."""
    username: str | None = None
    password: SecretStr | None = None
    sender: Annotated[str, AfterValidator(mail_address)] = "fernamt@localhost.localdomain"
    """From whom mails are, and where the server sends what cannot be delivered."""
    sender_name: str = Field(default="Fernamt", max_length=100)
    timeout_s: float = Field(default=30.0, gt=0, le=300, allow_inf_nan=False)
    """For each step of the conversation with the server."""
    days: int = Field(default=30, ge=1, le=3650)
    """So long it is kept to whom a mail went; its text goes when it is sent."""

    @model_validator(mode="after")
    def _both(self) -> Mail:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.username is not None and self.security == "none" and self.host not in {"localhost", LOOPBACK, "::1"}:
            raise ValueError("a password is sent in clear to this machine alone; set security to starttls or tls")
        return self


class Log(_Group):
    """How the log looks; how much is in it says `log_level`."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or an object a line for machines."""
    numbers: Literal["masked", "full"] = "masked"
    """Telephone numbers in the lines of calls: the last three digits (of a name the first three characters), or all. SIP messages at DEBUG
    are whole either way."""


class Secrets(_Group):
    """Under which keys carrier passwords and device digests are stored (docs/secrets.md)."""

    key_file: Path | None = None
    """A file of keys; None: the systemd credential `fernamt.key` where there is one, else `secret.key` in the data folder, made at the
    first start."""


class Security(_Group):
    """Who is not heard at all, and where that is written down."""

    allow: Listed = ("127.0.0.0/8", "::1/128")
    """Networks that are never banned: administrators, a proxy in front. They are throttled like others."""
    ban_minutes: float = Field(default=10.0, ge=0, le=1440)
    """The first ban of a source; each further one is twice as long, up to a day. 0: nobody is banned, only throttled."""
    ban_users: int = Field(default=10, ge=2, le=1000)
    """Different user names tried from one source within an hour that get it banned."""
    ban_attempts: int = Field(default=1000, ge=10)
    """Attempts from one source within an hour that get it banned, whatever the names."""
    log: Path | None = None
    """A file of its own for the security log, which is in the normal log too."""

    @field_validator("allow")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            ipaddress.ip_network(one, strict=False)
        return value


class Operator(_Group):
    """The platform's operator: creates tenants."""

    username: str = Field(default="operator", pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")
    password: SecretStr | None = None
    """None: a random one, printed once at the first start."""


class Settings(BaseSettings):
    """Everything the service can be told from outside. Frozen; read once at the start."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, env_prefix=PREFIX, env_nested_delimiter=DELIMITER
    )

    sip: Sip = Sip()
    http: Http = Http()
    monitoring: Monitoring = Monitoring()
    media: Media = Media()
    database: Database = Database()
    overload: Overload = Overload()
    fairness: Fairness = Fairness()
    reach: Reach = Reach()
    phones: Phones = Phones()
    timers: Timers = Timers()
    login: Login = Login()
    tenants: Tenants = Tenants()
    limits: Limits = Limits()
    audit: Audit = Audit()
    recordings: Recordings = Recordings()
    sounds: Sounds = Sounds()
    webhooks: Webhooks = Webhooks()
    mail: Mail = Mail()
    log: Log = Log()
    security: Security = Security()
    operator: Operator = Operator()
    secrets: Secrets = Secrets()
    data: Path = Path("data")
    """Folder of journals, recordings and SQLite files."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    demo: bool = False
    """Create the demo tenant at the start, and say so on the page."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands over: a value made in a test never depends on the environment of the test."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def load(cls, path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """Read file and variables.

        Args:
            path: the file; None: `FERNAMT_CONFIG`, else `./fernamt.toml` where there is one.
            environ: the variables; None: those of the process.
        Raises: SettingsError: with all problems at once.
        """
        environ = os.environ if environ is None else environ
        problems: list[str] = []
        if path is None and (named := environ.get("FERNAMT_CONFIG")):
            path = Path(named)
        if path is None and DEFAULT_FILE.exists():
            path = DEFAULT_FILE
        document: dict[str, Any] = {}
        places: dict[tuple[str, ...], int] = {}
        if path is not None:
            try:
                text = path.read_text(encoding="utf-8")
                document = tomllib.loads(text)
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError([f"{path}: cannot be read: {error}"]) from error
            except tomllib.TOMLDecodeError as error:
                raise SettingsError([_syntax_problem(path, error)]) from error
            places = positions(text)
        variables = {name: value for name, value in environ.items() if name.startswith(PREFIX) and not name.startswith(OUTSIDE_THE_SCHEMA)}
        problems.extend(_unknown_variables(variables))
        try:
            from_environ = _Variables(cls, {name.lower(): value for name, value in variables.items()})()
            settings = cls.model_validate(_merged(document, from_environ))
        except ValidationError as error:
            found = (_problem(detail, path, places, variables) for detail in error.errors())
            unknown = {problem.partition(":")[0] for problem in problems}
            problems.extend(problem for problem in found if problem.partition(":")[0] not in unknown)
        except ValueError as error:  # a variable that should hold JSON and does not
            problems.append(f"{PREFIX}*: {error}; a table in a variable is JSON: {PREFIX}FAIRNESS{DELIMITER}WEIGHTS='{{\"acme\": 4}}'")
        if problems:
            raise SettingsError(problems)
        return settings


def for_demo(settings: Settings) -> Settings:
    """The settings of a demonstration: it tells passwords, so it listens on this machine alone, unless it was told where."""
    given = settings.sip.model_fields_set, settings.http.model_fields_set
    sip = settings.sip if "listen" in given[0] else settings.sip.model_copy(update={"listen": (f"{LOOPBACK}:5060",)})
    http = settings.http if "host" in given[1] else settings.http.model_copy(update={"host": LOOPBACK})
    return settings.model_copy(update={"sip": sip, "http": http, "demo": True})


class _Variables(EnvSettingsSource):
    """The variables of `load`, not those of the process."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str]) -> None:
        self._given = variables
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return dict(self._given)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _syntax_problem(path: Path, error: tomllib.TOMLDecodeError) -> str:
    text = str(error)
    found = re.search(r"at line (\d+)", text)
    return f"{path}:{found[1] if found else 1}: {re.sub(r' ?[(]at line .*', '', text)}"


def _groups() -> dict[str, type[BaseModel] | None]:
    return {
        name: field.annotation if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) else None
        for name, field in Settings.model_fields.items()
    }


def _names(group: tuple[str, ...]) -> list[str]:
    """What may stand in the group."""
    if not group:
        return list(Settings.model_fields)
    model = _groups().get(group[0])
    return list(model.model_fields) if model is not None and len(group) == 1 else []


def _suggestion(loc: tuple[str, ...]) -> str:
    homes = [group for group, model in _groups().items() if model is not None and loc[-1] in model.model_fields]
    if homes:
        return f"; `{loc[-1]}` belongs to [{homes[0]}]"
    close = difflib.get_close_matches(loc[-1], _names(loc[:-1]), n=1, cutoff=0.5)
    return f"; did you mean `{close[0]}`?" if close else ""


def _unknown_variables(variables: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(variables):
        loc = tuple(name[len(PREFIX) :].lower().split(DELIMITER))
        known = next((length for length in range(1, len(loc) + 1) if loc[length - 1] not in _names(loc[: length - 1])), None)
        if known is not None:
            yield f"{name}: there is no such setting{_apart(loc) or _suggestion(loc[:known])}"


def _apart(loc: tuple[str, ...]) -> str:
    """One underscore where two belong is the commonest slip: `FERNAMT_SIP_LISTEN`."""
    group, _, rest = loc[0].partition("_")
    if len(loc) == 1 and _groups().get(group) is not None and rest in _names((group,)):
        return f"; did you mean `{PREFIX}{group.upper()}{DELIMITER}{rest.upper()}`?"
    return ""


def _is_secret(loc: tuple[str, ...]) -> bool:
    return any(part in _SECRET or any(word in part.lower() for word in SECRET_NAMES) for part in loc)


def _problem(detail: Any, path: Path | None, places: Mapping[tuple[str, ...], int], variables: Mapping[str, str]) -> str:
    """One sentence with the place of the value: the variable where one was given, else file and line."""
    loc = tuple(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = f"there is no setting `{'.'.join(loc)}`{_suggestion(loc)}"
    elif "input" in detail and isinstance(detail["input"], (str, int, float, bool)) and not _is_secret(loc):
        given_as = detail["input"]
        message += f" (it is {without_secrets(given_as) if isinstance(given_as, str) else given_as!r})"
    given = {tuple(name[len(PREFIX) :].lower().split(DELIMITER)): name for name in variables}
    for length in range(len(loc), 0, -1):
        if loc[:length] in given:
            return f"{given[loc[:length]]}: {message}"
        if loc[:length] in places:
            return f"{path}:{places[loc[:length]]}: {'.'.join(loc)}: {message}"
    return f"{path or 'settings'}: {'.'.join(loc)}: {message}"


_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_INLINE_KEY = re.compile(r"""[{,]\s*([A-Za-z0-9_-]+)\s*=""")


def positions(text: str) -> dict[tuple[str, ...], int]:
    """Line (from 1) of every table and key of a TOML text that parses (TOML 1.0: headers, dotted keys, multi-line values)."""
    places: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    open_quote: str | None = None
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        rest = line
        if open_quote is None and depth == 0:
            if (header := _HEADER.match(line)) is not None:
                table = _parts(header[1])
                places.setdefault(table, number)
                continue
            if (key := _KEY.match(line)) is None:
                continue
            path = table + _parts(key[1])
            for length in range(len(table) + 1, len(path) + 1):
                places.setdefault(path[:length], number)
            rest = key[2]
            if rest.lstrip().startswith("{"):
                for inline in _INLINE_KEY.finditer(rest):
                    places.setdefault((*path, inline[1]), number)
        open_quote, depth = _carried_over(rest, open_quote, depth)
    return places


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def _carried_over(text: str, quote: str | None, depth: int) -> tuple[str | None, int]:
    """Whether a multi-line string or array is still open at the end of the line."""
    position = 0
    while position < len(text):
        if quote is not None:
            if quote.startswith('"') and text[position] == "\\":
                position += 2
            elif text.startswith(quote, position):
                position += len(quote)
                quote = None
            else:
                position += 1
            continue
        here = text[position]
        if here == "#":
            break
        triple = text[position : position + 3]
        if triple in {'"""', "'''"}:
            quote, position = triple, position + 3
            continue
        if here in "\"'":
            quote = here
        depth += (here in "[{") - (here in "]}")
        position += 1
    return (quote if quote is not None and len(quote) == 3 else None), max(depth, 0)


LOG_LEVELS: tuple[str, ...] = get_args(Settings.model_fields["log_level"].annotation)
