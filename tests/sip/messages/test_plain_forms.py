"""What nearly every message looks like is read by a shorter way; whatever that way takes, the general one reads alike."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip import grammar, parser
from sip.errors import ParseError
from sip.headers import name_addr as name_addr_header
from sip.headers import via as via_header
from sip.sdp import parser as sdp_parser
from tests.sip.messages.strategies import FUZZ, SEEDS, mutated, name_addrs, vias

SDP = (
    (
        b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\n"
        b"a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\nm=video 0 RTP/AVP 96\r\n"
    ),
    b"v=0\no=a 1 2 IN IP6 ::1\ns= \nc=IN IP6 ::1\nt=1 2\nm=audio 65535 RTP/AVP 0\nc=IN IP6 ::2\nb=AS:64\ni=x\nk=prompt\n",
)


def outcome(read, *arguments):
    """The value, or the error's text, place and status."""
    try:
        return read(*arguments)
    except ParseError as error:
        return (str(error), error.where, error.status_hint)


@FUZZ
@given(mutated(SEEDS) | st.sampled_from(SEEDS))
def test_plain_head(octets):
    head = octets.partition(b"\r\n\r\n")[0]
    plain = parser._plain_head(head, parser.DEFAULT_LIMITS)
    if plain is not None:
        general = parser._any_head(head, parser.DEFAULT_LIMITS)
        assert (plain.start_line, list(plain.headers), general.fault) == (general.start_line, list(general.headers), None)


@pytest.mark.parametrize(
    "line",
    ["", " folded: x", "no colon", "Via x", "Bad Name: x", "Subject: a\nb", "Subject: a\rb", "X\u00fc: 1", ": x"],
)
def test_a_line_that_cannot_be_read_alone_makes_no_plain_head(line):
    head = f"OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n{line}\r\nFrom: <sip:a@b>".encode()
    assert parser._plain_head(head, parser.DEFAULT_LIMITS) is None


def test_what_is_beyond_a_limit_makes_no_plain_head():
    head = b"OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\nFrom: <sip:a@b>"
    for limits in ({"header_count": 1}, {"header_octets": 20}, {"line_octets": 20}, {"start_line_octets": 20}):
        assert parser._plain_head(head, parser.Limits(**limits)) is None


@FUZZ
@given(vias.map(str) | st.text('SIP/2.0UDTCLW; =:.,z9hG4bKbranchrport[]"', max_size=40).map(lambda text: "SIP/2.0/UDP a" + text))
def test_plain_via(text):
    plain = outcome(via_header._plain_via, text)
    if plain is not None:
        assert plain == outcome(via_header._any_via, text)


@FUZZ
@given(name_addrs.map(str) | st.text('sip:ab@h<>;tag=1." ,%?', max_size=30).map(lambda text: f"<sip:a@b{text}"))
def test_plain_name_addr(text):
    plain = name_addr_header._plain_name_addr(text)
    if plain is not None:
        assert plain == outcome(name_addr_header._any_name_addr, text, "x")


@FUZZ
@given(st.text(';ab=. \t,"[]', max_size=30).map(lambda text: ";" + text) | st.integers(60, 70).map(lambda count: ";a=1" * count))
def test_plain_params(text):
    assert outcome(grammar.parse_params, text, "x") == outcome(grammar._any_params, text, "x")


@FUZZ
@given(mutated(SDP) | st.sampled_from(SDP))
def test_plain_session_level_and_remembered_streams(octets):
    session, *streams = sdp_parser._text(octets).split("\nm=")
    plain = sdp_parser._plain_session(session)
    if plain is not None:
        assert list(map(msgspec.structs.astuple, plain)) == list(map(msgspec.structs.astuple, sdp_parser._session(session)))
    for stream in streams:
        assert outcome(sdp_parser._media_description, stream, 7) == outcome(sdp_parser._stream, stream, 7)
