"""URIs: the examples of RFC 3261 §19.1.3 and §19.1.4, RFC 5954 §4.2, and what phones write."""

import pytest

from sip.errors import ParseError
from sip.uri import Uri, equivalent

EXAMPLES = [  # RFC 3261 §19.1.3
    "sip:alice@atlanta.com",
    "sip:alice:secretword@atlanta.com;transport=tcp",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
    "sip:+1-212-555-1212:1234@gateway.com;user=phone",
    "sips:1212@gateway.com",
    "sip:alice@192.0.2.4",
    "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
    "sip:alice;day=tuesday@atlanta.com",
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_rfc_are_read_and_written_unchanged(text):
    uri = Uri.parse(text)
    assert str(uri) == text
    assert str(uri.replaced()) == text


def test_parts_of_a_full_uri():
    uri = Uri.parse("SIPS:Al%69ce:s%3Acret@Example.ORG:5071;Transport=TCP;lr?Subject=a%20b&x=")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sips", "Alice", "s:cret", "example.org", 5071)
    assert uri.params == (("Transport", "TCP"), ("lr", None))
    assert (uri.transport, uri.is_loose_router, uri.param("maddr")) == ("tcp", True, None)
    assert uri.headers == (("Subject", "a b"), ("x", ""))
    assert str(uri) == "SIPS:Al%69ce:s%3Acret@Example.ORG:5071;Transport=TCP;lr?Subject=a%20b&x="
    assert str(uri.aor()) == "sips:Alice@example.org"
    assert uri.without_headers().headers == ()


def test_changed_uri_is_written_anew():
    uri = Uri.parse("sip:%61lice@example.org;lr")
    assert str(uri.replaced(host="2001:db8::1", port=5070)) == "sip:alice@[2001:db8::1]:5070;lr"
    assert str(uri.with_param("transport", "tcp")) == "sip:alice@example.org;lr;transport=tcp"
    assert str(uri.with_param("LR", "on")) == "sip:alice@example.org;LR=on"


def test_empty_password_is_not_none():
    uri = Uri.parse("sip:a:@example.org")
    assert uri.password == ""
    assert str(uri.replaced()) == "sip:a:@example.org"
    assert not equivalent(uri, Uri.parse("sip:a@example.org"))


def test_reserved_characters_are_escaped_when_written():
    assert str(Uri("sip", user="a@b c%#ü", host="h")) == "sip:a%40b%20c%25%23%C3%BC@h"
    assert str(Uri("sip", user="u", host="h", params=(("a b", "c;d=e"),))) == "sip:u@h;a%20b=c%3Bd%3De"


def test_empty_user_is_not_written():
    assert str(Uri("sip", user="", host="h")) == "sip:h"


def test_hash_of_a_service_code_may_come_unescaped_and_goes_out_escaped():
    uri = Uri.parse("sip:*21*0891234#@example.org")
    assert uri.user == "*21*0891234#"
    assert str(uri.aor()) == "sip:*21*0891234%23@example.org"


@pytest.mark.parametrize(
    ("text", "scheme", "opaque"),
    [
        ("tel:+49-89-1234;phone-context=example.org", "tel", "+49-89-1234;phone-context=example.org"),
        ("urn:service:sos", "urn", "service:sos"),
        ("http://[2001:db8::1]/a?b=c#d", "http", "//[2001:db8::1]/a?b=c#d"),
    ],
)
def test_other_schemes_are_opaque(text, scheme, opaque):
    uri = Uri.parse(text)
    assert (uri.scheme, uri.opaque, uri.is_sip, str(uri)) == (scheme, opaque, False, text)
    assert uri.aor() == uri


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "sip:",
            "sip:@host",
            "alice@example.org",
            "sip:a@",
            "sip:a b@host",
            "sip:a@host;",
            "sip:a@host;;lr",
            "sip:a@host;=x",
            "sip:a@host;x=",
        ),
        *("sip:a@host?", "sip:a@host?x", "sip:a@host:", "sip:a@host:0", "sip:a@host:65536", "sip:a@host:123456", "sip:a@[::1", "sip:a@::1"),
        *(
            "sip:a%4@host",
            "sip:a%zz@host",
            "sip:%ff@host",
            "sip:a@ho st",
            "sip:a@host\0",
            "sip:ü@host",
            "1sip:a",
            ":a",
            "sip:a@host\r\nVia: x",
            "sip:<a@b>",
        ),
    ],
)
def test_what_is_no_uri_is_refused(text):
    with pytest.raises(ParseError) as caught:
        Uri.parse(text)
    assert caught.value.status_hint == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [  # RFC 3261 §19.1.4: "The URIs within each of the following sets are equivalent"
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        ("sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x"),
        ("sip:[2001:db8::9:01]", "sip:[2001:DB8:0:0:0:0:9:1]"),  # RFC 5954 §4.2
        ("tel:+49891", "TEL:+49891"),
    ],
)
def test_equivalent_uris(one, other):
    assert equivalent(Uri.parse(one), Uri.parse(other))
    assert equivalent(Uri.parse(other), Uri.parse(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [  # RFC 3261 §19.1.4: "The URIs within each of the following sets are not equivalent"
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;user=phone"),
        ("sip:bob@biloxi.com", "sip:biloxi.com"),
        ("sip:a@[2001:db8:::1]", "sip:a@[2001:db8::1]"),
        ("tel:+49891", "tel:+49892"),
    ],
)
def test_uris_that_are_not_equivalent(one, other):
    assert not equivalent(Uri.parse(one), Uri.parse(other))
    assert not equivalent(Uri.parse(other), Uri.parse(one))
