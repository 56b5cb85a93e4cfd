"""Certificate and key in PEM: what the files hold, and whether it can be used (shell; RFC 5280, RFC 7468)."""

from __future__ import annotations

import datetime as dt
import os
import ssl
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from sip.io.tls import listening_context


class Unusable(Exception):
    """No certificate can be had of these files; the text names setting and file."""


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """Files in PEM, and what the settings call them."""

    certificate: Path
    """Ours, and behind it those that lead to its authority."""
    key: Path | None = None
    """Its private key; None: in the same file."""
    ca: Path | None = None
    """Authorities that are believed beside those of the system."""
    settings: str = "sip.tls_"
    """What stands before `certificate` and `key` in the settings' names."""
    is_awaited: bool = False
    """The certificate may not be there yet."""


class Judged(msgspec.Struct, frozen=True):
    """What a certificate says of itself."""

    names: str
    """All of them, for people."""
    dns_names: tuple[str, ...]
    issuer: str
    begins_at: float
    expires_at: float
    """Unix seconds, as the other."""
    is_for_clients: bool
    """It may be shown to servers, too (RFC 5280 §4.2.1.12)."""


def judge(files: Files) -> Judged:
    """Read certificate and key, and see that they can be used together.

    Raises: Unusable: with setting, file and reason.
    """
    chain_path, key_path = files.certificate, files.key or files.certificate
    chain, key = octets(files, "certificate", chain_path), octets(files, "key" if files.key else "certificate", key_path)
    try:
        certificate = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise Unusable(f"{files.settings}certificate: {chain_path} holds no certificate in PEM") from None
    whose = f"{files.settings}key: {key_path}" if files.key else f"{files.settings}certificate: {chain_path}"
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError:
        raise Unusable(f"{whose}: the key has a password; take it off (`openssl pkey`)") from None
    except (ValueError, UnsupportedAlgorithm):
        hint = "" if files.key else f"; where it is in a file of its own, `{files.settings}key` names that"
        raise Unusable(f"{whose} holds no private key in PEM{hint}") from None
    spki = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*spki) != certificate.public_key().public_bytes(*spki):
        raise Unusable(f"{files.settings}key: {key_path} is not the key of {chain_path}")
    try:
        listening_context(chain_path, files.key)
    except ssl.SSLError as error:
        raise Unusable(f"{files.settings}certificate: {chain_path} cannot be used: {error.reason or error}") from error
    names = _names(certificate)
    return Judged(
        names=", ".join(names)[:200] if names else certificate.subject.rfc4514_string()[:200],
        dns_names=_dns_names(certificate),
        issuer=certificate.issuer.rfc4514_string()[:200],
        begins_at=certificate.not_valid_before_utc.timestamp(),
        expires_at=certificate.not_valid_after_utc.timestamp(),
        is_for_clients=_is_for_clients(certificate),
    )


def octets(files: Files, setting: str, path: Path) -> bytes:
    """Raises: Unusable: it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{files.settings}{setting}: {path}: {error.strerror}") from error


def _alternative(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _names(certificate: x509.Certificate) -> list[str]:
    names = _alternative(certificate)
    if names is None:
        return []
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return [*uris, *names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    names = _alternative(certificate)
    return () if names is None else tuple(one.lower() for one in names.get_values_for_type(x509.DNSName))


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return any(one in {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} for one in usages)


def state_of(files: Files) -> object:
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


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only we may read: wholly, or not at all, also where the machine loses its power.

    Raises: OSError
    """
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def day(at: float) -> str:
    """Unix seconds as `2026-11-29`."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d")
