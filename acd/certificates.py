"""The certificate of SIP over TLS: read, judged, replaced without a connection being dropped (shell; RFC 5280, RFC 5922 §4).

It is the operator's, or one of our own that nobody has vouched for: encryption against who listens, none against who pretends to be us.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from acd.config import TlsFiles, VoiceSettings
from acd.errors import CannotStart
from acd.switch.addresses import ELSEWHERE, LocalAddresses
from sip.io.tls import asking_context, dialling_context, listening_context
from sip.io.transport import Contexts

log = logging.getLogger(__name__)

OWN: Final = "sip-tls.pem"
"""Our own, in the data directory: key and certificate."""
OWN_DAYS: Final = 3650
"""A phone that was told to trust it is not to be told again; nothing is lost by an old one that nobody vouches for."""
LOOK_S: Final = 30.0
WARN_DAYS: Final = 14
DAY_S: Final = 86_400.0
_CLOCKS_APART: Final = dt.timedelta(days=1)


class Unusable(Exception):
    """No certificate can be had of these files; the text names setting and file."""


class Loaded(msgspec.Struct, frozen=True):
    """A certificate that can be used, expired or not."""

    contexts: Contexts
    names: str
    begins_at: float
    expires_at: float
    """Unix seconds, as the others."""


class SipCertificate:
    """See the module. Read by `start`, looked after by `look`."""

    def __init__(self, settings: VoiceSettings) -> None:
        self._settings = settings
        self._files = settings.tls
        self.is_own = settings.tls.certificate is None
        """Nobody has given us one."""
        self.reloads = 0
        self.is_refused = False
        """What the files hold now cannot be used; what was read before is in force."""
        self._seen: object = None
        self._warned_at = float("-inf")
        self._again_at = float("inf")
        """When what the files hold can be used, which it cannot yet."""

    def start(self, now: float) -> Contexts:
        """Read it, or make our own; one line of the log says which.

        Args:
            now: Unix seconds.
        Returns: what handshakes are made with, now and after every change.
        Raises: CannotStart: it cannot be used.
        """
        try:
            if self.is_own:
                self._files = TlsFiles(certificate=_own(self._settings, now), ca=self._settings.tls.ca)
            self._seen = _state_of(self._files)
            self._loaded = read(self._files, is_shown=not self.is_own)
        except (OSError, Unusable) as error:
            raise CannotStart(str(error)) from error
        self.contexts = self._loaded.contexts
        if self.is_own:
            log.warning("= SIP over TLS with a certificate of its own, %s: no `sip.tls_certificate` is set", self._files.certificate)
        else:
            log.info("= SIP over TLS as %s, until %s", self._loaded.names, _day(self.expires_at))
        self._regard_dates(now)
        return self.contexts

    @property
    def expires_at(self) -> float:
        """Unix seconds."""
        return self._loaded.expires_at

    def look(self, now: float, *, is_asked: bool = False) -> None:
        """Read it again if its files have changed; what cannot be used leaves the one before in force. Blocks for the disk's time.

        Args:
            is_asked: somebody wants it read in any case.
        """
        state = _state_of(self._files)
        if is_asked or state != self._seen or now >= self._again_at:
            self._seen, self._again_at = state, float("inf")
            self._reload(now)
        self._regard_dates(now)

    def _reload(self, now: float) -> None:
        try:
            loaded = read(self._files, is_shown=not self.is_own)
            if self._holds(now):
                if loaded.expires_at <= now:
                    raise Unusable(f"the new certificate has expired on {_day(loaded.expires_at)}")
                if loaded.begins_at > now:
                    self._again_at = loaded.begins_at
                    raise Unusable(f"the new certificate holds only from {_day(loaded.begins_at)} on, and is taken then")
        except (OSError, Unusable) as error:
            self.is_refused = True
            log.error("! SIP over TLS goes on with the certificate it has, until %s: %s", _day(self.expires_at), error)  # noqa: TRY400
            return
        self._loaded = loaded
        self.contexts.listening, self.contexts.dialling = loaded.contexts.listening, loaded.contexts.dialling
        self.contexts.asking = loaded.contexts.asking
        self.is_refused = False
        self.reloads += 1
        self._warned_at = float("-inf")
        log.info("= SIP over TLS as %s from now on, until %s", loaded.names, _day(loaded.expires_at))

    def _holds(self, now: float) -> bool:
        """Whether phones that look at the dates are content with the one in force."""
        return self._loaded.begins_at <= now < self.expires_at

    def _regard_dates(self, now: float) -> None:
        """Once a day while there is something to say."""
        left_s = self.expires_at - now
        if (left_s >= WARN_DAYS * DAY_S and self._loaded.begins_at <= now) or now - self._warned_at < DAY_S:
            return
        self._warned_at = now
        if self._loaded.begins_at > now:
            log.error("! the certificate of SIP over TLS, %s, holds only from %s on", self._files.certificate, _day(self._loaded.begins_at))
        elif left_s <= 0:
            log.error("! the certificate of SIP over TLS, %s, has expired on %s", self._files.certificate, _day(self.expires_at))
        else:
            log.warning("! the certificate of SIP over TLS, %s, expires in %d days", self._files.certificate, left_s // DAY_S)

    def figures(self) -> Mapping[str, float]:
        """By name."""
        return {
            "tls_certificate_expires_timestamp_seconds": self.expires_at,
            "tls_certificate_refused": float(self.is_refused),
            "tls_certificate_reloads_total": self.reloads,
        }


def check(settings: VoiceSettings) -> None:
    """See that the operator's files can be used, where they are needed.

    Raises: CannotStart: they cannot.
    """
    if settings.tls.certificate is not None and any(one.transport == "tls" for one in settings.listen):
        try:
            read(settings.tls, is_shown=True)
        except (OSError, Unusable) as error:
            raise CannotStart(str(error)) from error


def read(files: TlsFiles, *, is_shown: bool) -> Loaded:
    """Read certificate, key and authorities.

    Args:
        is_shown: our certificate is shown to servers that ask who we are: some want it to be of an authority they know, or none.
    Raises: Unusable: with setting, file and reason.
    """
    assert files.certificate is not None
    chain_path, key_path = files.certificate, files.key or files.certificate
    chain, key = _octets("certificate", chain_path), _octets("key" if files.key else "certificate", key_path)
    try:
        certificate = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise Unusable(f"sip.tls_certificate: {chain_path} holds no certificate in PEM") from None
    whose = f"sip.tls_key: {key_path}" if files.key else f"sip.tls_certificate: {chain_path}"
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError:
        raise Unusable(f"{whose}: the key has a password; take it off (`openssl pkey`)") from None
    except (ValueError, UnsupportedAlgorithm):
        hint = "" if files.key else "; where it is in a file of its own, `sip.tls_key` names that"
        raise Unusable(f"{whose} holds no private key in PEM{hint}") from None
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise Unusable(f"sip.tls_key: {key_path} is not the key of {chain_path}")
    try:
        listening = listening_context(chain_path, files.key)
    except ssl.SSLError as error:
        raise Unusable(f"sip.tls_certificate: {chain_path} cannot be used: {error.reason or error}") from error
    if files.ca is not None:
        _octets("ca", files.ca)
    try:
        dialling = dialling_context(files.ca, chain_path if is_shown else None, files.key if is_shown else None)
        asking = asking_context(chain_path, files.key, files.ca)
    except ssl.SSLError as error:
        raise Unusable(f"sip.tls_ca: {files.ca} holds no certificates in PEM: {error.reason or error}") from error
    return Loaded(
        Contexts(listening, dialling, asking),
        _names(certificate),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def _octets(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"sip.tls_{setting}: {path}: {error.strerror}") from error


def _names(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return certificate.subject.rfc4514_string()[:200]
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return ", ".join([*uris, *names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))])[:200]


def _state_of(files: TlsFiles) -> object:
    """Another one when a file was written, replaced or taken away."""
    found = []
    for path in (files.certificate, files.key, files.ca):
        try:
            stat = path.stat() if path is not None else None
        except OSError as error:
            found.append((error.errno, 0, 0))
        else:
            found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size) if stat is not None else (0, 0, 0))
    return found


def _day(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d")


# --- our own


def _own(settings: VoiceSettings, now: float) -> Path:
    """The file of our own certificate, made where there is none, or one that has expired.

    Raises: OSError, Unusable: it cannot be read, or be made.
    """
    path = settings.data / OWN
    if path.exists() and read(TlsFiles(certificate=path), is_shown=False).expires_at > now:
        return path
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(_made(_own_names(settings), dt.datetime.fromtimestamp(now, dt.UTC)))
    draft.replace(path)
    return path


def _own_names(settings: VoiceSettings) -> list[str]:
    """What phones may know us by."""
    hosts = [one.host for one in settings.listen if one.transport == "tls" and one.host not in {"0.0.0.0", "::"}]
    around = settings.advertised_address or LocalAddresses(None).reaching(ELSEWHERE)
    return list(dict.fromkeys([around, *hosts, socket.gethostname()]))


def _made(names: Sequence[str], now: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + dt.timedelta(days=OWN_DAYS))
        .add_extension(x509.SubjectAlternativeName([one for name in names for one in _general(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM) + secret


def _general(name: str) -> tuple[x509.GeneralName, ...]:
    """An address stands as a name besides: there are phones that compare with names alone."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name)), x509.DNSName(name)
    except ValueError:
        return (x509.DNSName(name),)
