"""Header field names: their registered spelling and their compact forms (RFC 3261 §7.3.3, §20, and IANA's "Header Fields")."""

from __future__ import annotations

from typing import Final

from sip.errors import ParseError
from sip.grammar import IS_TOKEN

COMPACT_FORMS: Final = {
    "a": "Accept-Contact",  # RFC 3841
    "b": "Referred-By",  # RFC 3892
    "c": "Content-Type",
    "d": "Request-Disposition",  # RFC 3841
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",  # RFC 3841
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",  # RFC 4474
    "o": "Event",  # RFC 6665
    "r": "Refer-To",  # RFC 3515
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",  # RFC 6665
    "v": "Via",
    "x": "Session-Expires",  # RFC 4028
    "y": "Identity",  # RFC 8224
}

_REGISTERED: Final = """
Accept Accept-Contact Accept-Encoding Accept-Language Accept-Resource-Priority Alert-Info Allow Allow-Events Answer-Mode Authentication-Info
Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-ID Content-Language Content-Length Content-Type CSeq
Date Error-Info Event Expires Feature-Caps Flow-Timer From Geolocation Geolocation-Error Geolocation-Routing History-Info Identity
Identity-Info In-Reply-To Info-Package Join Max-Breadth Max-Forwards MIME-Version Min-Expires Min-SE Organization P-Access-Network-Info
P-Asserted-Identity P-Associated-URI P-Called-Party-ID P-Charging-Vector P-Early-Media P-Preferred-Identity Path Permission-Missing Priority
Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck Reason Record-Route Recv-Info Refer-Events-At Refer-Sub Refer-To
Referred-By Reject-Contact Remote-Party-ID Replaces Reply-To Request-Disposition Require Resource-Priority Retry-After Route RSeq
Security-Client Security-Server Security-Verify Server Service-Route Session-Expires Session-ID SIP-ETag SIP-If-Match Subject
Subscription-State Supported Target-Dialog Timestamp To Trigger-Consent Unsupported User-Agent User-to-User Via Warning WWW-Authenticate
""".split()  # noqa: SIM905  # a hundred quotation marks would say less


def _known_spellings() -> dict[str, str]:
    table: dict[str, str] = {}
    for name in _REGISTERED:
        for spelling in (name, name.lower(), name.upper(), name.title()):
            table[spelling] = name
    for short, name in COMPACT_FORMS.items():
        table[short] = table[short.upper()] = name
    return table


REGISTERED_NAMES: Final = frozenset(_REGISTERED)

KNOWN_NAMES: Final = _known_spellings()
"""Usual spelling -> registered spelling. A fixed table: names that a peer invents never enter it."""


def header_name(raw: str) -> str:
    """The spelling to write of a header name as it was received: the registered long form; unknown names keep their own.

    Raises: ParseError: the name is no token.
    """
    name = raw.rstrip(" \t")  # header = field-name HCOLON; HCOLON = *( SP / HTAB ) ":" SWS
    known = KNOWN_NAMES.get(name) or KNOWN_NAMES.get(name.lower())
    if known is not None:
        return known
    if not IS_TOKEN(name):
        raise ParseError(f"no header name: {raw[:40]!r}", where="header section")
    return name
