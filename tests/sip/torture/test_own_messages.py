"""A message of our own for every case of RFC 4475 and RFC 5118: same trait, other text (tests/vectors/sip); always run."""

from collections.abc import Callable

import pytest

from sip.errors import ParseError
from sip.headers.auth import parse_credentials
from sip.headers.contact import contact_q
from sip.message import Response, answer_to_malformed
from sip.parser import StreamParser, parse_datagram
from sip.sdp.parser import parse_sdp
from sip.uri import equivalent
from tests.sip.torture.corpus import OWN

READABLE: dict[str, tuple[str, Callable]] = {}
"""Our file -> (the published message whose trait it has, what must be read from it)."""

# Our file -> (the published message, the method or None for a response, the status of the answer, where the fault is)
UNREADABLE = {
    "via_of_nothing_but_separators": ("badinv01", "INVITE", 400, "header Via"),
    "length_beyond_datagram": ("clerr", "INVITE", 400, "header Content-Length"),
    "length_negative": ("ncl", "INVITE", 400, "header Content-Length"),
    "cseq_overlarge": ("scalar02", "REGISTER", 400, "header CSeq"),
    "response_cseq_overlarge": ("scalarlg", None, 400, "header CSeq"),
    "quote_never_closed": ("quotbal", "INVITE", 400, "header To"),
    "request_uri_in_brackets": ("ltgtruri", "INVITE", 400, "URI"),
    "request_uri_with_space": ("lwsruri", "INVITE", 400, "request line"),
    "request_line_double_space": ("lwsstart", "INVITE", 400, "request line"),
    "request_line_trailing_space": ("trws", "OPTIONS", 400, "request line"),
    "request_uri_with_headers": ("escruri", "INVITE", 400, "request line"),
    "addr_spec_spaced_in_brackets": ("badaspec", "OPTIONS", 400, "header To"),
    "display_name_with_comma": ("baddn", "OPTIONS", 400, "header From"),
    "version_from_the_future": ("badvers", "OPTIONS", 505, "request line"),
    "cseq_method_differs": ("mismatch01", "OPTIONS", 400, "header CSeq"),
    "cseq_method_differs_unknown": ("mismatch02", "TELEGRAPH", 501, "header CSeq"),
    "status_code_of_nine_digits": ("bigcode", None, 400, "status line"),
    "single_headers_doubled": ("multi01", "INVITE", 400, "header CSeq"),
    "two_content_lengths": ("mcl01", "OPTIONS", 400, "header Content-Length"),
    "ipv6_without_brackets": ("ipv6-bad", "REGISTER", 400, "URI"),
}


def trait_of(published: str):
    def register(check: Callable) -> Callable:
        READABLE[check.__name__] = (published, check)
        return check

    return register


def octets(name: str) -> bytes:
    return (OWN / f"{name}.msg").read_bytes()


@trait_of("wsinv")
def folded_and_spaced(message):
    assert message.uri.param("x-line") == ""
    assert message.to.tag == "t7"
    assert message.from_.display_name == 'Erika "M" \\ Mustermann'
    assert (message.max_forwards, message.cseq.number, message.cseq.method) == (17, 42, "INVITE")
    assert [(via.transport, via.host, via.port, via.branch) for via in message.vias] == [
        ("UDP", "198.51.100.7", 5062, "z9hG4bKa"),
        ("TCP", "edge.example.de", None, "z9hG4bKb"),
        ("TLS", "first.example.de", None, "z9hG4bKc"),
    ]
    assert message.headers.get("Subject") == ""
    assert message.headers.get("x-odd") == ",,;;=,"
    assert message.headers.get("X-Long") == "one two three"
    assert message.contacts[0].display_name == 'Ring "me"'
    assert contact_q(message.contacts[0]) == pytest.approx(0.5)
    assert message.contacts[0].param("flag") == ""
    assert parse_sdp(message.body).media[0].port == 30000


@trait_of("intmeth")
def every_token_character(message):
    assert message.method == message.cseq.method == "-Call.Me!%*_+`'~"
    assert message.uri.user == "a-b_c.d!e~f*g'h(i)&j=k+l$m,n;o?p/q"
    assert message.uri.password == "r&s=t+u$v,w"
    assert message.from_.display_name == "a-b.c!d%e* f_g+h`i'j~"
    assert message.from_.param("p-.!%*_+`'~") == "Grüße, Jürgen; 你好"
    assert message.from_.tag == "-.!%*_+`'~"
    assert message.to.display_name == "bell \a tab \t nul \0 del \x7f"
    assert message.call_id == "w0rd-.!%*_+`'~()<>:\\\"/[]?{}@other-.!%*_+`'~()<>:\\\"/[]?{}"
    assert message.headers.get("x-.!%*_+`'~") == "ждите ответа"


@trait_of("esc01")
def escapes_in_uris(message):
    assert message.uri.user == "sip:erika@example.de"
    assert message.to.uri.user == "601"
    assert message.contacts[0].uri.user == "erika m"
    assert message.contacts[0].uri.params == (("lr", None), ("path", "%42"))
    assert str(message.uri) == "sip:sip%3Aerika%40example.de@fernamt.example"


@trait_of("escnull")
def escaped_nul_in_contacts(message):
    first, second = (contact.uri for contact in message.contacts)
    assert (first.user, second.user) == ("a\0", "a\0\0b")
    assert not equivalent(first, second)


@trait_of("esc02")
def escapes_outside_uris(message):
    assert message.method == "%49NVITE"
    assert len(message.vias) == 1
    assert message.top_via.branch == "z9hG4bK%41%zz"
    assert message.headers.get("%56ia") == "SIP/2.0/UDP nobody.example.de"
    assert message.from_.display_name == "%41%ZZ"


@trait_of("lwsdisp")
def no_space_before_bracket(message):
    assert (message.from_.display_name, message.from_.tag) == ("erika", "f1")


@trait_of("longreq")
def long_lines_many_vias(message):
    assert [via.host for via in message.vias] == [f"hop{number}.example.de" for number in range(41, 1, -1)]
    assert message.from_.tag == "9" * 300
    assert message.from_.uri.user == "e" * 400
    assert message.headers.get("x-" + "name" * 40) == ("value " * 200).strip()


@trait_of("dblreq")
def second_message_behind(message):
    assert (message.method, message.body) == ("OPTIONS", b"")
    stream = StreamParser().feed(octets("second_message_behind"))
    assert [(item.method, item.body) for item in stream] == [("OPTIONS", b""), ("INVITE", b"body")]


@trait_of("semiuri")
def semicolon_in_user(message):
    assert (message.uri.user, message.uri.params) == ("601;line=a@b", ())
    assert [str(media_range) for media_range in message.accept] == ["application/sdp;level=1", "text/plain"]


@trait_of("transports")
def five_transports(message):
    assert [via.transport for via in message.vias] == ["UDP", "SCTP", "TLS", "WSS", "PIGEON"]


@trait_of("mpart01")
def binary_multipart(message):
    assert message.body == octets("binary_multipart").partition(b"\r\n\r\n")[2]
    assert b"\x00\x01\r\x02\n\xff\xfe\x00" in message.body
    assert message.content_type.param("boundary") == "cut"


@trait_of("unreason")
def reason_in_cyrillic(message):
    assert (message.status, message.reason) == (200, "соединяю, 20 €")


@trait_of("noreason")
def reason_empty(message):
    assert (message.status, message.reason) == (180, "")


@trait_of("bcast")
def broadcast_in_second_via(message):
    assert [via.host for via in message.vias] == ["phone.example.de", "255.255.255.255"]


@trait_of("baddate")
def date_in_wrong_zone(message):
    assert message.headers.get("Date") == "Sat, 21 Nov 2026 18:50:00 MEZ"


@trait_of("regbadct")
def contact_with_headers_unbracketed(message):
    with pytest.raises(ParseError):
        _ = message.contacts
    assert message.routes == ()


@trait_of("badbranch")
def branch_is_only_the_cookie(message):
    assert not message.top_via.has_rfc3261_branch


@trait_of("insuf")
def mandatory_headers_missing(message):
    assert message.missing_headers == ("From", "To", "Call-ID")


@trait_of("unkscm")
def unknown_uri_scheme(message):
    assert (message.uri.scheme, message.uri.opaque, message.uri.is_sip) == ("fernschreiber", "0815-heinrich", False)


@trait_of("novelsc")
def known_scheme_that_is_not_sip(message):
    assert (message.uri.scheme, message.uri.opaque) == ("ldap", "//198.51.100.3:389/cn=erika")


@trait_of("unksm2")
def foreign_schemes_in_headers(message):
    assert [message.to.uri.scheme, message.from_.uri.scheme, message.contacts[0].uri.scheme] == ["urn", "https", "mailto"]
    assert message.from_.tag == "f1"


@trait_of("bext01")
def extensions_required(message):
    assert message.require == ("sprechfunk", "brieftaube", "100rel")
    assert message.headers.get("Proxy-Require") == "semaphor"


@trait_of("invut")
def body_of_unknown_type(message):
    assert message.content_type.essence == "application/morse"
    assert message.content_type.param("speed") == "20"
    assert message.body == b"-.-. --.-"
    assert not message.has_sdp


@trait_of("regaut01")
def unknown_authorization_scheme(message):
    credentials = parse_credentials(message.headers.get("Authorization"))
    assert (credentials.scheme, credentials.get("word"), credentials.get("Reply")) == ("Parole", "edelweiss", "rose, red")


@trait_of("zeromf")
def max_forwards_zero(message):
    assert message.max_forwards == 0


@trait_of("cparam01")
def contact_param_outside(message):
    assert (message.contacts[0].param("mood"), message.contacts[0].uri.params) == ("good", ())


@trait_of("cparam02")
def contact_param_inside(message):
    assert (message.contacts[0].params, message.contacts[0].uri.param("mood")) == ((), "good")


@trait_of("regescrt")
def contact_with_escaped_header(message):
    assert message.contacts[0].uri.headers == (("Route", "<sip:edge.example.de;lr>"), ("Subject", "hallo"))
    assert "Route" not in message.headers
    assert "Subject" not in message.headers


@trait_of("sdp01")
def accept_without_sdp(message):
    assert [media_range.essence for media_range in message.accept] == ["text/vnd.telegraph"]
    assert message.has_sdp


@trait_of("inv2543")
def as_in_rfc2543(message):
    assert (message.top_via.branch, message.from_.tag, message.max_forwards) == (None, None, None)
    assert message.to.param("user") == "phone"
    assert message.from_.uri.param("user") == "phone"
    assert len(parse_sdp(message.body).media) == 1
    assert parse_datagram(message.to_bytes()).headers.get("Content-Length") == str(len(message.body))


@trait_of("ipv6-good")
def ipv6_reference(message):
    assert (message.uri.host, message.top_via.host) == ("2001:db8:1::10", "2001:db8:1::7")
    assert message.contacts[0].uri.host == "2001:db8:1::7"


@trait_of("port-ambiguous")
def ipv6_port_inside(message):
    assert (message.uri.host, message.uri.port) == ("2001:db8:1::10:5062", None)


@trait_of("port-unambiguous")
def ipv6_port_outside(message):
    assert (message.uri.host, message.uri.port) == ("2001:db8:1::10", 5062)


@trait_of("via-received-param-with-delim")
def ipv6_received_bracketed(message):
    assert (message.top_via.received, message.top_via.rport, message.top_via.port) == ("2001:db8:1::99", 40000, 5062)


@trait_of("via-received-param-no-delim")
def ipv6_received_bare(message):
    assert message.top_via.received == "2001:db8:1::99"


@trait_of("ipv6-in-sdp")
def ipv6_in_description(message):
    description = parse_sdp(message.body)
    assert (description.connection.address_type, description.connection.address) == ("IP6", "2001:db8:1::7")


@trait_of("mult-ip-in-header")
def ipv6_and_ipv4_vias(message):
    assert [via.sent_by for via in message.vias] == ["[2001:db8:1::8]:5070", "198.51.100.7"]
    assert message.top_via.received == "198.51.100.200"


@trait_of("mult-ip-in-sdp")
def ipv6_and_ipv4_streams(message):
    description = parse_sdp(message.body)
    assert description.connection is None
    assert [media.connection.address for media in description.media] == ["2001:db8:1::7", "198.51.100.7"]


@trait_of("ipv4-mapped-ipv6")
def ipv4_mapped(message):
    assert message.top_via.sent_by == "[::ffff:198.51.100.7]:5070"
    assert message.contacts[0].uri.host == parse_sdp(message.body).connection.address == "::ffff:198.51.100.7"


@trait_of("ipv6-bug-abnf-3-colons")
def ipv6_three_colons(message):
    assert message.uri.host == message.to.uri.host == "2001:db8:::198.51.100.1"
    assert equivalent(message.uri, message.to.uri)


@trait_of("ipv6-correct-abnf-2-colons")
def ipv6_two_colons(message):
    assert message.uri.host == message.to.uri.host == "2001:db8::198.51.100.1"


@pytest.mark.parametrize("name", READABLE)
def test_odd_message_is_read_right(name):
    message = parse_datagram(octets(name))
    READABLE[name][1](message)
    rewritten = parse_datagram(message.to_bytes())
    if "Content-Length" in message.headers:
        assert rewritten == message
    READABLE[name][1](rewritten)


@pytest.mark.parametrize("name", UNREADABLE)
def test_malformed_message_is_refused_with_the_right_answer(name):
    _, method, status, where = UNREADABLE[name]
    with pytest.raises(ParseError) as caught:
        parse_datagram(octets(name))
    error = caught.value
    assert (error.method, error.status_hint, error.where) == (method, status, where)
    response = answer_to_malformed(error, to_tag="ours")
    assert (response is None) == (method is None)
    if response is not None:
        assert isinstance(response, Response)
        assert response.status == status
        assert response.missing_headers == ()
        assert len(response.headers.get_all("CSeq")) == 1


@pytest.mark.parametrize("name", [name for name in (*READABLE, *UNREADABLE) if name != "as_in_rfc2543"])
def test_stream_gives_the_same_as_the_datagram_however_it_is_cut(name):
    wire = octets(name)
    stream = StreamParser()
    items = [item for at in range(0, len(wire), 7) for item in stream.feed(wire[at : at + 7])]
    if name == "length_beyond_datagram":
        assert items == []
    elif name in UNREADABLE:
        assert isinstance(items[0], ParseError)
        assert items[0].where == UNREADABLE[name][3]
    elif "Content-Length" in parse_datagram(wire).headers:
        assert items[0] == parse_datagram(wire)
    else:
        assert isinstance(items[0], ParseError)
        assert items[0].fatal


def test_every_published_trait_has_a_message_of_our_own():
    traits = [trait for trait, *_ in (*READABLE.values(), *UNREADABLE.values())]
    assert len(traits) == len(set(traits)) == 61  # 49 of RFC 4475, 12 of RFC 5118
    assert {path.stem for path in OWN.glob("*.msg")} == READABLE.keys() | UNREADABLE.keys()


def test_ack_that_cannot_be_read_is_never_answered():
    with pytest.raises(ParseError) as caught:
        parse_datagram(octets("quote_never_closed").replace(b"INVITE", b"ACK"))
    assert caught.value.method == "ACK"
    assert answer_to_malformed(caught.value) is None
