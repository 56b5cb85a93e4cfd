"""Session descriptions: the text of RFC 8866, exactly, and what of it matters to a call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.errors import ParseError
from sip.sdp.description import (
    Attribute,
    Connection,
    Direction,
    MediaDescription,
    Origin,
    PayloadType,
    SessionDescription,
    Timing,
)
from sip.sdp.parser import MAX_MEDIA, parse_sdp
from tests.sip.messages.strategies import FUZZ

RFC_8866_EXAMPLE = """v=0
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
s=Call to John Smith
i=SDP Offer #1
u=http://www.jdoe.example.com/home.html
e=Jane Doe <jane@jdoe.example.com>
p=+1 617 555-6011
c=IN IP4 198.51.100.1
t=0 0
m=audio 49170 RTP/AVP 0
m=audio 49180 RTP/AVP 0
m=video 51372 RTP/AVP 99
c=IN IP6 2001:db8::2
a=rtpmap:99 h263-1998/90000
""".replace("\n", "\r\n")

PHONE = """v=0
o=- 20518 0 IN IP4 203.0.113.1
s= 
c=IN IP4 203.0.113.1
t=0 0
a=sendonly
m=audio 54400 RTP/AVP 0 96 9 97 33 x
a=ptime:20.0
a=maxptime:150
a=rtcp:53020 IN IP4 126.16.64.4
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:97 Telephone-Event/8000
a=fmtp:97 0-15
a=rtpmap:98
"""  # noqa: W291  # a space is the usual empty session name


def test_example_of_the_rfc_is_read_and_written_unchanged():
    description = parse_sdp(RFC_8866_EXAMPLE)
    assert str(description) == RFC_8866_EXAMPLE
    assert description.origin == Origin("jdoe", 3724394400, 3724394405, "IN", "IP4", "198.51.100.1")
    assert [media.port for media in description.media] == [49170, 49180, 51372]
    assert [description.connection_of(media).address for media in description.media] == ["198.51.100.1", "198.51.100.1", "2001:db8::2"]
    assert description.media[0].payload_types == (PayloadType(0, "PCMU", 8000),)


def test_what_matters_of_a_phone():
    description = parse_sdp(PHONE)  # LF line ends, too
    (audio,) = description.media
    assert audio.payload_types == (
        PayloadType(0, "PCMU", 8000),
        PayloadType(96, "opus", 48000, 2, "useinbandfec=1"),
        PayloadType(9, "G722", 8000),
        PayloadType(97, "Telephone-Event", 8000, 1, "0-15"),
        PayloadType(33, "MP2T", 90000),
    )
    assert [payload_type.is_telephone_event for payload_type in audio.payload_types] == [False, False, False, True, False]
    assert (audio.ptime, audio.maxptime) == (20, 150)
    assert audio.direction is None
    assert description.direction_of(audio) is Direction.SENDONLY
    assert audio.rtcp == (53020, "126.16.64.4")


@pytest.mark.parametrize(
    ("attributes", "rtcp"),
    [
        ("", (4001, None)),
        ("a=rtcp:5000\n", (5000, None)),
        ("a=rtcp:5000 IN IP6 2001:db8::1\n", (5000, "2001:db8::1")),
        ("a=rtcp:x\n", (4001, None)),
        ("a=rtcp:\n", (4001, None)),
        ("a=rtcp:70000\n", (4001, None)),
        ("a=rtcp:5000\na=rtcp-mux\n", (4000, None)),
    ],
)
def test_rtcp_port(attributes, rtcp):
    text = "v=0\no=- 1 1 IN IP4 h\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 8\n" + attributes
    assert parse_sdp(text).media[0].rtcp == rtcp


def test_missing_name_and_time_are_tolerated():
    description = parse_sdp("v=0\r\no=- 1 1 IN IP4 h\r\n")
    assert (description.session_name, description.timings, description.media) == ("-", (Timing(),), ())


def test_latin_1_in_a_session_name_does_not_cost_a_call():
    assert parse_sdp("v=0\no=- 1 1 IN IP4 h\ns=Büro\n".encode("latin-1")).session_name == "Büro"


SOUND = "v=0\no=- 1 1 IN IP4 h\ns=-\nt=0 0\n"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "sdp line 1"),
        ("v=1\no=- 1 1 IN IP4 h\n", "sdp line 1"),
        ("o=- 1 1 IN IP4 h\n", "sdp"),
        ("v=0\n", "sdp"),
        ("v=0\nv=0\n", "sdp line 2"),
        ("v=0\no=- 1 1 IN IP4\n", "sdp line 2"),
        ("v=0\no=- x 1 IN IP4 h\n", "sdp line 2"),
        ("v=0\no=- 1 -1 IN IP4 h\n", "sdp line 2"),
        ("v=0\no=- 1 " + "9" * 5000 + " IN IP4 h\n", "sdp line 2"),
        (SOUND + "o=- 1 1 IN IP4 h\n", "sdp line 5"),
        (SOUND + "c=IN IP4\n", "sdp line 5"),
        (SOUND + "c=IN IP4 a\nc=IN IP4 b\n", "sdp"),
        (SOUND + "t=0\n", "sdp line 5"),
        ("v=0\no=- 1 1 IN IP4 h\nr=1\n", "sdp line 3"),
        (SOUND + "m=audio 4000 RTP/AVP\n", "sdp line 5"),
        (SOUND + "m=audio 65536 RTP/AVP 0\n", "sdp line 5"),
        (SOUND + "m=audio -1 RTP/AVP 0\n", "sdp line 5"),
        (SOUND + "m=audio 4000/0 RTP/AVP 0\n", "sdp line 5"),
        (SOUND + "m=audio 4000 RTP/AVP 0\nt=0 0\n", "sdp line 6"),
        (SOUND + "q=x\n", "sdp line 5"),
        (SOUND + "m =audio 4000 RTP/AVP 0\n", "sdp line 5"),
        (SOUND + "a\n", "sdp line 5"),
        (SOUND + "a=\n", "sdp line 5"),
        (SOUND + "a=x\0y\n", "sdp line 5"),
        (SOUND + "\na=x\n", "sdp line 5"),
        (SOUND + "a=x\ry\n", "sdp line 5"),
        (SOUND + "m=audio 0 RTP/AVP 0\n" * (MAX_MEDIA + 1), f"sdp line {5 + MAX_MEDIA}"),
        (SOUND + "m=audio 4000 RTP/AVP" + " 8" * 129 + "\n", "sdp line 5"),
        (SOUND + "a=x\n" * 2000, "sdp"),
        (SOUND + "a=x:" + "y" * 40_000, "sdp"),
    ],
)
def test_what_is_no_description_is_refused_with_its_line(text, where):
    with pytest.raises(ParseError) as caught:
        parse_sdp(text)
    assert caught.value.where == where
    assert caught.value.status_hint in {400, 513}


@pytest.mark.parametrize(
    ("direction", "sends", "receives", "reverse"),
    [
        (Direction.SENDRECV, True, True, Direction.SENDRECV),
        (Direction.SENDONLY, True, False, Direction.RECVONLY),
        (Direction.RECVONLY, False, True, Direction.SENDONLY),
        (Direction.INACTIVE, False, False, Direction.INACTIVE),
    ],
)
def test_directions(direction, sends, receives, reverse):
    assert (direction.sends, direction.receives, direction.reversed) == (sends, receives, reverse)


@pytest.mark.parametrize(("address", "is_null"), [("0.0.0.0", True), ("::", True), ("192.0.2.1", False)])
def test_null_address(address, is_null):
    assert Connection(address).is_null is is_null


words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), max_size=12)
numbers = st.integers(0, 10**20)
connections = st.builds(Connection, address=words, address_type=st.sampled_from(("IP4", "IP6")), network_type=st.just("IN"))
attributes = st.lists(
    st.builds(Attribute, name=st.from_regex(r"[a-z][a-z0-9\-]{0,7}", fullmatch=True), value=st.none() | texts), max_size=3
).map(tuple)
medias = st.builds(
    MediaDescription,
    media=words,
    port=st.integers(0, 65535),
    proto=words,
    formats=st.lists(words, min_size=1, max_size=4).map(tuple),
    port_count=st.integers(1, 99999),
    title=st.none() | texts,
    connections=st.lists(connections, max_size=2).map(tuple),
    bandwidths=st.lists(texts, max_size=2).map(tuple),
    key=st.none() | texts,
    attributes=attributes,
)
descriptions = st.builds(
    SessionDescription,
    origin=st.builds(Origin, words, numbers, numbers, st.just("IN"), st.sampled_from(("IP4", "IP6")), words),
    session_name=texts,
    information=st.none() | texts,
    uri=st.none() | texts,
    emails=st.lists(texts, max_size=2).map(tuple),
    phones=st.lists(texts, max_size=2).map(tuple),
    connection=st.none() | connections,
    bandwidths=st.lists(texts, max_size=2).map(tuple),
    timings=st.lists(st.builds(Timing, numbers, numbers, st.lists(texts, max_size=2).map(tuple)), min_size=1, max_size=2).map(tuple),
    zones=st.none() | texts,
    key=st.none() | texts,
    attributes=attributes,
    media=st.lists(medias, max_size=2).map(tuple),
)


@pytest.mark.slow
@FUZZ
@given(descriptions)
def test_every_description_survives_being_written_and_read(description):
    assert parse_sdp(str(description)) == description
    assert parse_sdp(description.to_bytes()) == description
    assert parse_sdp(str(description).replace("\r\n", "\n")) == description
