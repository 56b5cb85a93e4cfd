"""A certificate that nobody has vouched for, made where none was given (shell; RFC 5280)."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from acd.certificates.pem import Files, judge, write_secret

_CLOCKS_APART: Final = dt.timedelta(days=1)


class Own:
    """The file of one."""

    def __init__(
        self, path: Path, names: Callable[[], Sequence[str]], days: int, anew_days: float = 0.0, settings: str = "sip.tls_"
    ) -> None:
        """Args:
        names: what we are known by, at least one; asked when it is made.
        days: for how long it is made.
        anew_days: so long before its end another one is made.
        settings: what stands before the names of its settings, for what is wrong with it.
        """
        self.path = path
        self._names = names
        self._days = days
        self._settings = settings
        self._anew_s = anew_days * 86_400.0

    def file(self, now: float) -> Files:
        """It, made where there is none, or one that ends.

        Raises: OSError, Unusable: it cannot be read, or be made.
        """
        files = Files(certificate=self.path, settings=self._settings)
        if not self.path.exists() or judge(files).expires_at <= now + self._anew_s:
            write_secret(self.path, _made(self._names(), self._days, dt.datetime.fromtimestamp(now, dt.UTC)))
        return files


def _made(names: Sequence[str], days: int, now: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + dt.timedelta(days=days))
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
