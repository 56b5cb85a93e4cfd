"""Whose a certificate is: the SIP domains it names, and whether one of them was asked for (RFC 5922 §7.1, §7.2)."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any

from sip.errors import ParseError
from sip.uri import Uri

Certificate = Mapping[str, Any]
"""As `ssl.SSLObject.getpeercert` gives it: `subjectAltName` is pairs of kind and text, `subject` names of attributes in sequences."""


def identities(certificate: Certificate) -> frozenset[str]:
    """The SIP domains that a certificate names, in small letters (§7.1).

    `sip:` URIs without a user; DNS names where there is none of these; the subject's common name only where there is no subjectAltName.
    """
    names = certificate.get("subjectAltName")
    if names is None:
        # §7.1 step 2: "If and only if the subjectAltName does not appear in the certificate, the implementation MAY examine the CN".
        return frozenset(_plain(text) for part in certificate.get("subject", ()) for kind, text in part if kind == "commonName")
    domains = {domain for kind, text in names if kind == "URI" and (domain := _domain_of(text)) is not None}
    return frozenset(domains or {_plain(text) for kind, text in names if kind == "DNS"})


FINGERPRINT = "sha256:"
"""What stands before a fingerprint, in hexadecimal digits."""


def proofs(certificate: Certificate, octets: bytes | None) -> tuple[str, ...]:
    """All that a certificate which is believed proves of who shows it: the domains it names, in order, and which certificate it is.

    Args:
        octets: the certificate in DER (RFC 4572 §5 takes a fingerprint of that); None: there is none.
    """
    if octets is None or not certificate:
        return ()
    return (*sorted(identities(certificate)), FINGERPRINT + hashlib.sha256(octets).hexdigest())


def named_as(certificate: Certificate, asked: str) -> frozenset[str]:
    """What it names of the kind that was asked for, addresses or domains, to be told to people."""
    if _address(asked) is None:
        return identities(certificate)
    names = certificate.get("subjectAltName", ())
    return frozenset(str(found) for kind, text in names if kind == "IP Address" and (found := _address(text)) is not None) or frozenset(
        f"the name {one}" for one in identities(certificate)
    )


def is_of(certificate: Certificate, asked: str) -> bool:
    """Whether it is that domain's: compared as a whole, without wildcards (§7.2).

    Args:
        asked: the domain name that was to be reached; an IP address where nothing else was given. RFC 5922 has domains alone: an address is
            looked for among the certificate's own, as RFC 9525 §6.4 does.
    """
    address = _address(asked)
    if address is not None:
        return any(kind == "IP Address" and _address(text) == address for kind, text in certificate.get("subjectAltName", ()))
    return bool(asked) and _plain(asked) in identities(certificate)


def _domain_of(text: str) -> str | None:
    """The domain of a `sip:` URI; None: it is another's, or a user's ("MUST NOT accept the value as a SIP domain identity")."""
    try:
        uri = Uri.parse(text)
    except ParseError:
        return None
    return _plain(uri.host) if uri.scheme == "sip" and uri.user is None else None


def _plain(name: str) -> str:
    """RFC 4343: case says nothing; RFC 1034 §3.1: nor does the dot of the root at the end."""
    return name.lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]\n"))
    except ValueError:
        return None
