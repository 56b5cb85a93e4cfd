"""The IPv6 messages of RFC 5118: the parser's verdict and the point that each of them makes."""

from collections.abc import Callable

import pytest

from sip.errors import ParseError
from sip.message import Message, Request, answer_to_malformed
from sip.parser import parse_datagram
from sip.sdp.parser import parse_sdp
from tests.sip.torture.corpus import cases, rfc5118_octets

CASES = cases("rfc5118")

POINTS: dict[str, Callable[[Message], None]] = {}


def point(check: Callable[[Message], None]) -> Callable[[Message], None]:
    POINTS[check.__name__.replace("_", "-")] = check
    return check


def uri(message: Message):
    assert isinstance(message, Request)
    return message.uri


@point
def ipv6_good(message):
    assert (uri(message).host, uri(message).port) == ("2001:db8::10", None)
    assert message.top_via.host == "2001:db8::9:1"
    assert message.contacts[0].uri.host == "2001:db8::1"
    assert str(uri(message)) == "sip:[2001:db8::10]"


@point
def port_ambiguous(message):
    assert (uri(message).host, uri(message).port) == ("2001:db8::10:5070", None)


@point
def port_unambiguous(message):
    assert (uri(message).host, uri(message).port) == ("2001:db8::10", 5070)
    assert uri(message).host_port == "[2001:db8::10]:5070"


@point
def via_received_param_with_delim(message):
    assert message.top_via.received == "2001:db8::9:255"
    assert str(message.top_via) == message.headers.get("Via")


@point
def via_received_param_no_delim(message):
    assert message.top_via.received == "2001:db8::9:255"
    assert str(message.top_via) == message.headers.get("Via")


@point
def ipv6_in_sdp(message):
    description = parse_sdp(message.body)
    assert (description.origin.address_type, description.origin.address) == ("IP6", "2001:db8::20")
    assert description.connection is not None
    assert (description.connection.address_type, description.connection.address) == ("IP6", "2001:db8::20")
    assert str(description).encode() == message.body


@point
def mult_ip_in_header(message):
    assert [(via.transport, via.host, via.port) for via in message.vias] == [
        ("UDP", "2001:db8::9:1", 6050),
        ("UDP", "192.0.2.1", None),
        ("TCP", "2001:db8::9:255", None),
    ]
    assert message.vias[2].received == "192.0.2.200"


@point
def mult_ip_in_sdp(message):
    description = parse_sdp(message.body)
    assert description.connection is None
    assert [str(description.connection_of(media)) for media in description.media] == ["IN IP4 192.0.2.1", "IN IP6 2001:db8::1"]
    assert str(description).encode() == message.body


@point
def ipv4_mapped_ipv6(message):
    assert [(via.host, via.port) for via in message.vias] == [("::ffff:192.0.2.10", 19823), ("::ffff:192.0.2.2", None)]
    assert message.contacts[0].uri.host == "::ffff:192.0.2.2"
    assert parse_sdp(message.body).connection == parse_sdp(message.body).connection_of(parse_sdp(message.body).media[0])
    assert parse_sdp(message.body).origin.address == "::ffff:192.0.2.2"


@point
def ipv6_bug_abnf_3_colons(message):
    assert uri(message).host == message.to.uri.host == "2001:db8:::192.0.2.1"


@point
def ipv6_correct_abnf_2_colons(message):
    assert uri(message).host == message.to.uri.host == "2001:db8::192.0.2.1"


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_message_gets_the_verdict_and_makes_its_point(case):
    octets = rfc5118_octets(case.name)
    if case.verdict == "err":
        with pytest.raises(ParseError) as caught:
            parse_datagram(octets)
        response = answer_to_malformed(caught.value)
        assert response is not None
        assert response.status == 400
        return
    message = parse_datagram(octets)
    POINTS[case.name](message)
    assert parse_datagram(message.to_bytes()) == message


def test_every_published_message_has_its_point_written_down():
    assert {case.name for case in CASES if case.verdict != "err"} == POINTS.keys()
