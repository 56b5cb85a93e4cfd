"""Requests and responses: building, answering (RFC 3261 §8.2.6), writing."""

import pytest

from sip.errors import LocalMisuse, OfferRefused, ParseError
from sip.headers.fields import Headers
from sip.message import Request, Response, answer_to_malformed
from sip.parser import parse_datagram
from sip.status import REASON_PHRASES, reason_phrase
from sip.uri import Uri

URI = Uri.parse("sip:601@fernamt.example")
FIELDS = [
    ("Via", "SIP/2.0/UDP edge.example.org;branch=z9hG4bK2"),
    ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
    ("Record-Route", "<sip:edge.example.org;lr>"),
    ("From", '"Erika" <sip:erika@example.org>;tag=f'),
    ("To", "<sip:601@fernamt.example>"),
    ("Call-ID", "c1"),
    ("CSeq", "7 INVITE"),
    ("Timestamp", "54"),
    ("Supported", "timer, replaces"),
]


@pytest.fixture
def invite() -> Request:
    return Request.build("INVITE", URI, FIELDS, b"v=0\r\n", "application/sdp")


def test_request_is_written_with_its_length(invite):
    text = invite.to_bytes().decode()
    assert text.startswith("INVITE sip:601@fernamt.example SIP/2.0\r\nVia: SIP/2.0/UDP edge.example.org;branch=z9hG4bK2\r\n")
    assert text.endswith("Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n")
    assert invite.has_sdp


def test_content_length_of_a_relayed_message_is_put_right():
    message = Request("INVITE", URI, Headers([("Content-Length", "99"), ("Via", "x"), ("l", "3")]), b"four")
    assert message.to_bytes() == b"INVITE sip:601@fernamt.example SIP/2.0\r\nContent-Length: 4\r\nVia: x\r\n\r\nfour"


def test_response_copies_what_the_rfc_names_and_adds_the_tag(invite):
    response = invite.response(180, to_tag="t", headers=[("Contact", "<sip:b@c>")])
    assert list(response.headers) == [
        FIELDS[0],
        FIELDS[1],
        FIELDS[3],
        ("To", "<sip:601@fernamt.example>;tag=t"),
        FIELDS[5],
        FIELDS[6],
        ("Contact", "<sip:b@c>"),
        ("Content-Length", "0"),
    ]
    assert (response.status, response.reason) == (180, "Ringing")


def test_trying_has_no_tag_and_repeats_the_timestamp(invite):
    response = invite.response(100, to_tag="t")
    assert response.to.tag is None
    assert response.headers.get("Timestamp") == "54"
    assert invite.response(200).headers.get("Timestamp") is None


def test_tag_that_is_there_stays(invite):
    headers = invite.headers.copy()
    headers.set("To", "<sip:601@fernamt.example>;tag=old")
    assert invite.with_headers(headers).response(200, to_tag="new").to.tag == "old"


def test_response_with_own_reason_and_body(invite):
    response = invite.response(200, "Jawohl", to_tag="t", body=b"x", content_type="text/plain")
    assert response.to_bytes().startswith(b"SIP/2.0 200 Jawohl\r\n")
    assert response.content_type.essence == "text/plain"
    assert parse_datagram(response.to_bytes()) == response


def test_typed_values_follow_the_builder(invite):
    assert len(invite.vias) == 2
    invite.headers.add("Via", "SIP/2.0/UDP third.example.org;branch=z9hG4bK3")
    assert [via.host for via in invite.vias] == ["edge.example.org", "192.0.2.1", "third.example.org"]
    invite.headers.replace_first("Via", invite.top_via.with_param("received", "192.0.2.9"))
    assert invite.top_via.received == "192.0.2.9"
    assert invite.supported == ("timer", "replaces")
    assert invite.record_routes[0].uri.is_loose_router


def test_top_via_is_the_first_element_of_the_first_field(invite):
    invite.headers.replace_first("Via", "SIP/2.0/UDP a.example.org;branch=z9hG4bKa, SIP/2.0/UDP b.example.org;branch=z9hG4bKb")
    assert invite.top_via.host == "a.example.org"
    assert [via.host for via in invite.vias] == ["a.example.org", "b.example.org", "192.0.2.1"]


def test_typed_accessors_for_what_is_not_there(invite):
    assert (invite.contacts, invite.contact, invite.has_star_contact, invite.routes) == ((), None, False, ())
    assert (invite.max_forwards, invite.expires, invite.accept, invite.require) == (None, None, None, ())


@pytest.mark.parametrize(("value", "seconds"), [("60", 60), ("0", 0), ("9" * 30, 2**32 - 1), ("soon", 3600), ("-1", 3600)])
def test_expires(invite, value, seconds):
    invite.headers.set("Expires", value)
    assert invite.expires == seconds


def test_asserted_identities(invite):
    invite.headers.set("P-Asserted-Identity", '"Erika" <sip:+49891@trunk.example>, <tel:+49891>')
    assert [str(identity.uri) for identity in invite.asserted_identities] == ["sip:+49891@trunk.example", "tel:+49891"]


def test_empty_supported_header_lists_nothing(invite):
    invite.headers.set("Supported", "")
    assert invite.supported == ()
    invite.headers.set("Supported", "timer,,x")
    with pytest.raises(ParseError):
        _ = invite.supported


@pytest.mark.parametrize("value", ["x\r\nVia: evil", "x\nVia: evil", "x\rVia: evil", "x\r\n\r\nbody"])
def test_line_break_in_a_value_never_reaches_the_wire(invite, value):
    invite.headers.set("Subject", value)
    with pytest.raises(LocalMisuse):
        invite.to_bytes()


def test_local_misuse_is_refused():
    with pytest.raises(LocalMisuse):
        Request.build("IN VITE", URI, [])
    with pytest.raises(LocalMisuse):
        Request.build("INVITE", Uri.parse("sip:a@b?Subject=x"), [])
    with pytest.raises(LocalMisuse):
        Response.build(99, None, [])


def test_answer_to_malformed_leaves_an_unreadable_to_alone(invite):
    octets = invite.to_bytes().replace(b"To: <sip:601@fernamt.example>", b'To: "x <sip:601@fernamt.example>')
    with pytest.raises(ParseError) as caught:
        parse_datagram(octets)
    answer = answer_to_malformed(caught.value, to_tag="t")
    assert answer.headers.get("To") == '"x <sip:601@fernamt.example>'
    assert answer.headers.get_all("Via") == [FIELDS[0][1], FIELDS[1][1]]


def test_answer_to_malformed_adds_a_tag_where_it_can(invite):
    octets = invite.to_bytes().replace(b"CSeq: 7", b"CSeq: x")
    with pytest.raises(ParseError) as caught:
        parse_datagram(octets)
    assert answer_to_malformed(caught.value, to_tag="t").to.tag == "t"


def test_reason_phrases():
    assert reason_phrase(486) == "Busy Here"
    assert reason_phrase(499) == "Bad Request"
    assert all(100 <= status < 700 and phrase for status, phrase in REASON_PHRASES.items())


def test_refused_offer_becomes_a_warning():
    refusal = OfferRefused('no "codec"', 305)
    assert (refusal.status_hint, refusal.warning("fernamt.example")) == (488, '305 fernamt.example "no \\"codec\\""')
