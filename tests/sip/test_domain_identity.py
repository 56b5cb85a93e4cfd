"""RFC 5922 §7.1 (which identities a certificate has) and §7.2 (whether one of them was asked for), a row a rule."""

import pytest

from sip.domain_identity import identities, is_of, named_as


def certificate(*names, common_name=None):
    found = {}
    if names:
        found["subjectAltName"] = names
    if common_name is not None:
        found["subject"] = ((("countryName", "DE"),), (("commonName", common_name),))
    return found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        # §7.1: "If the scheme of the URI is not 'sip', then the implementation MUST NOT accept the value"
        (certificate(("URI", "https://example.com"), ("URI", "sips:example.com")), set()),
        # "URI scheme tokens are always case insensitive."
        (certificate(("URI", "SIP:Example.com")), {"example.com"}),
        # "a value with a userpart identifies an individual user, not a domain"
        (certificate(("URI", "sip:alice@example.com")), set()),
        (certificate(("URI", "sip:@example.com"), ("URI", "sip:")), set()),
        (certificate(("URI", "sip:example.com"), ("URI", "sip:example.net")), {"example.com", "example.net"}),
        # DNS "if and only if no other identity is found that matches the 'sip' URI type"
        (certificate(("DNS", "example.com")), {"example.com"}),
        (certificate(("URI", "sip:example.com"), ("DNS", "host.example.com")), {"example.com"}),
        (certificate(("URI", "sip:bob@example.com"), ("DNS", "example.com")), {"example.com"}),
        # CN "if and only if the subjectAltName does not appear in the certificate"
        (certificate(common_name="example.com"), {"example.com"}),
        (certificate(("DNS", "example.net"), common_name="example.com"), {"example.net"}),
        (certificate(("email", "a@example.com"), common_name="example.com"), set()),
        ({}, set()),
    ],
)
def test_identities_of_a_certificate(given, found):
    assert identities(given) == found


@pytest.mark.parametrize(
    ("named", "asked", "same"),
    [
        ("example.com", "EXAMPLE.com", True),
        ("example.com", "example.com.", True),
        # "Implementations MUST NOT match suffixes": foo.example.com does not match example.com
        ("example.com", "foo.example.com", False),
        ("foo.example.com", "example.com", False),
        # "Implementations MUST NOT match any form of wildcard"
        ("*.example.com", "foo.example.com", False),
        ("*.example.com", "*.example.com", True),
        (".example.com", "foo.example.com", False),
        ("example.com", "", False),
    ],
)
@pytest.mark.parametrize("kind", ["DNS", "URI"])
def test_domains_are_compared_as_a_whole(named, asked, same, kind):
    if kind == "URI" and named[0] in "*.":
        same = False  # no host of a SIP URI
    given = certificate((kind, f"sip:{named}" if kind == "URI" else named))
    assert is_of(given, asked) is same


@pytest.mark.parametrize(
    ("names", "asked", "same"),
    [
        ((("IP Address", "192.0.2.1"),), "192.0.2.1", True),
        ((("IP Address", "192.0.2.2"),), "192.0.2.1", False),
        ((("IP Address", "2001:DB8:0:0:0:0:0:1\n"),), "2001:db8::1", True),
        ((("DNS", "192.0.2.1"),), "192.0.2.1", False),
        ((), "192.0.2.1", False),
    ],
)
def test_an_address_is_looked_for_among_addresses(names, asked, same):
    """RFC 9525 §6.4."""
    assert is_of(certificate(*names), asked) is same


@pytest.mark.parametrize(
    ("named", "asked", "told"),
    [
        ((("DNS", "example.com"),), "example.net", {"example.com"}),
        ((("IP Address", "192.0.2.31"), ("DNS", "example.com")), "192.0.2.30", {"192.0.2.31"}),
        # A name that reads as the address is a name all the same.
        ((("DNS", "192.0.2.30"),), "192.0.2.30", {"the name 192.0.2.30"}),
        ((), "192.0.2.30", set()),
    ],
)
def test_what_is_told_of_a_certificate_is_of_the_kind_that_was_asked_for(named, asked, told):
    assert named_as(certificate(*named), asked) == told
