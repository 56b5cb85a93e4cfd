"""Who calls and who was called, in the words of the network: P-Asserted-Identity (RFC 3325 §9.1), P-Called-Party-ID (RFC 7315 §4.2),
Remote-Party-ID (draft-ietf-sip-privacy-04, which carriers still speak).
"""

from __future__ import annotations

from sip.headers.name_addr import NameAddr, parse_name_addr, parse_name_addrs

# PAssertedID        =  "P-Asserted-Identity" HCOLON PAssertedID-value *(COMMA PAssertedID-value)
# PAssertedID-value  =  name-addr / addr-spec
# P-Called-Party-ID  =  "P-Called-Party-ID" HCOLON name-addr *(SEMI cpid-param)
# Remote-Party-ID    =  "Remote-Party-ID" HCOLON [display-name] LAQUOT addr-spec RAQUOT *(SEMI rpi-token)


def parse_identities(text: str) -> list[NameAddr]:
    """The elements of one P-Asserted-Identity or Remote-Party-ID.

    Raises: ParseError: one of them is neither name-addr nor addr-spec.
    """
    return parse_name_addrs(text, "identity of the network")


def parse_called_party(text: str) -> NameAddr:
    """The value of P-Called-Party-ID.

    Raises: ParseError: neither name-addr nor addr-spec.
    """
    return parse_name_addr(text, "header P-Called-Party-ID")
