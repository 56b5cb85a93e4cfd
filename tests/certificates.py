"""Certificates for tests of TLS, made on the spot: an authority, and what it issues; files in PEM."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """One that signs."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def own(self, *names: str, file: str) -> Path:
        """A certificate that it has signed for itself, with its key: nobody else vouches for it."""
        made = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + 30 * DAY)
            .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self.folder / file
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
        return path

    def issue(
        self,
        *names: str,
        file: str = "server.pem",
        common_name: str = "a server",
        days: float = 30,
        key_file: str = "",
        begins: float = -10,
    ) -> Path:
        """A certificate with its key, in one file, or two.

        Args:
            names: `sip:…` is a URI, what reads as an address an address, all else, and what stands behind `dns:`, a name; none: no
                subjectAltName.
            days: until it has expired; negative: since.
            begins: in so many days it holds; negative: since.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + begins * DAY)
            .not_valid_after(NOW + days * DAY)
        )
        if names:
            made = made.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        certificate = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self.folder / file
        if key_file:
            (self.folder / key_file).write_bytes(secret)
            path.write_bytes(certificate)
        else:
            path.write_bytes(certificate + secret)
        return path


def _general(text: str) -> x509.GeneralName:
    if text.partition(":")[0].lower() in {"sip", "sips", "https"}:
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text.removeprefix("dns:"))
