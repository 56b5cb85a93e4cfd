"""Whatever comes in: a value or a ParseError, nothing else, and what was read can be written and read again."""

import inspect
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.errors import ParseError
from sip.headers.accessor import Every, One
from sip.headers.auth import parse_authentication_info, parse_challenge, parse_credentials
from sip.headers.contact import contact_expires_s, contact_q, parse_contacts
from sip.headers.cseq import parse_cseq
from sip.headers.event import parse_event
from sip.headers.identity import parse_identities
from sip.headers.media_type import parse_media_ranges, parse_media_type
from sip.headers.name_addr import parse_name_addr, parse_name_addrs
from sip.headers.privacy import parse_privacy
from sip.headers.reason import parse_reasons
from sip.headers.refer import parse_refer_sub, parse_refer_to
from sip.headers.retry_after import parse_retry_after
from sip.headers.route import parse_routes
from sip.headers.session_expires import parse_session_interval
from sip.headers.tokens import parse_tokens
from sip.headers.via import parse_via, parse_vias
from sip.message import Request, Response, answer_to_malformed
from sip.parser import KeepAlive, StreamParser, is_keep_alive, parse_datagram
from sip.sdp.parser import parse_sdp
from sip.uri import Uri, equivalent
from tests.sip.messages.strategies import FUZZ, SEEDS, mutated

pytestmark = pytest.mark.slow

ROWS = (property, One, Every)
ACCESSORS = {
    kind: tuple(name for name in dir(kind) if not name.startswith("_") and isinstance(inspect.getattr_static(kind, name), ROWS))
    for kind in (Request, Response)
}
"""Whatever a message gives as a value."""

HEADER_PARSERS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    # parser -> sound values to start from
    "authorization": (
        parse_credentials,
        ('Digest realm="a b", nonce="n\\"x", qop="auth,auth-int", algorithm=MD5, stale=TRUE', "Basic QWxhZGRpbg=="),
    ),
    "challenge": (parse_challenge, ('Digest realm="a", nonce="b", opaque="", stale=false',)),
    "credentials": (
        parse_credentials,
        ('Digest username="u", realm="r", nonce="n", uri="sip:h", response="0a", nc=00000001, qop=auth, cnonce="c"',),
    ),
    "authentication_info": (parse_authentication_info, ('nextnonce="n", rspauth="00", qop=auth, nc=00000001',)),
    "contacts": (lambda text: parse_contacts([text]), ('"A" <sip:a@b:5060;ob>;q=0.5;expires=60, <sip:c@d>', "*")),
    "cseq": (parse_cseq, ("1 INVITE",)),
    "event": (parse_event, ("presence.winfo;id=7",)),
    "media_type": (parse_media_type, ('multipart/mixed;boundary="a;b"',)),
    "name_addr": (
        parse_name_addr,
        ('"Ü \\"x" <sip:%C3%BC:pw@[::1]:5060;transport=tcp?Subject=a%20b>;tag=1;x="y z"', "sip:a@b;tag=1", "tel:+4989;a=b"),
    ),
    "name_addrs": (lambda text: parse_name_addrs(text, "x"), ('"a,b" <sip:a@b>, c <sip:d,e@f>',)),
    "reasons": (lambda text: parse_reasons([text]), ('SIP;cause=200;text="ok, then", Q.850;cause=16',)),
    "retry_after": (parse_retry_after, ("18000 (busy) ;duration=3600",)),
    "refer_to": (parse_refer_to, ("<sip:b@c;method=INVITE>, sip:d@e",)),
    "refer_sub": (parse_refer_sub, ("false;x=y",)),
    "privacy": (parse_privacy, ("id;critical, user",)),
    "identities": (parse_identities, ('"A" <sip:1@a>, <tel:+2>;party=calling',)),
    "tokens": (lambda text: parse_tokens(text, "Require"), ("timer, 100rel",)),
    "media_ranges": (parse_media_ranges, ("application/sdp, text/*;q=0.5",)),
    "routes": (lambda text: parse_routes(text, "Route"), ("<sip:a;lr>, <sip:b;lr>;x=y",)),
    "session_interval": (parse_session_interval, ("1800;refresher=uac",)),
    "via": (parse_via, ("SIP/2.0/UDP [::1]:5060;branch=z9hG4bKa;received=::2;rport=9",)),
    "vias": (parse_vias, ("SIP/2.0/UDP a;branch=b, SIP / 2.0 / TCP c : 5",)),
    "uri": (
        Uri.parse,
        ("sips:a%20b:pw@host.example:5061;transport=tcp;lr?Subject=x&To=y", "tel:+49-89-1;phone-context=x", "http://[::1]/a?b=c#d"),
    ),
}


def value_or_error(parse: Callable, text: bytes | str):
    """What parsing gives, the only two ways it may end; any other exception ends the test."""
    try:
        return parse(text)
    except ParseError as error:
        return error


def exercise(message: Request | Response) -> None:
    """Ask for everything a message can say."""
    for name in ACCESSORS[type(message)]:
        try:
            getattr(message, name)
        except ParseError:
            continue
        if name == "contacts":
            for contact in message.contacts:
                assert 0 <= contact_q(contact) <= 1
                assert contact_expires_s(contact) is None or contact_expires_s(contact) >= 0
    again = parse_datagram(message.to_bytes())
    assert again.to_bytes() == message.to_bytes()
    if message.headers.get("Content-Length") == str(len(message.body)):
        assert again == message


def judge(octets: bytes) -> None:
    message = value_or_error(parse_datagram, octets)
    if not isinstance(message, ParseError):
        exercise(message)
        return
    assert 400 <= message.status_hint < 600
    answer = answer_to_malformed(message, to_tag="t")
    assert (answer is None) == (message.partial is None or message.method in {None, "ACK"})
    if answer is not None:
        assert answer.to_bytes().startswith(b"SIP/2.0 ")


@FUZZ
@given(st.binary(max_size=300))
def test_any_octets_give_a_message_or_a_parse_error(octets):
    judge(octets)
    is_keep_alive(octets)


@FUZZ
@given(mutated(SEEDS))
def test_wounded_messages_give_a_message_or_a_parse_error(octets):
    judge(octets)


@FUZZ
@given(st.lists(mutated(SEEDS) | st.sampled_from(SEEDS) | st.sampled_from((b"\r\n\r\n", b"\r\n", b"\r")), max_size=4), st.data())
def test_any_stream_gives_messages_keep_alives_and_parse_errors_only(parts, data):
    wire, parser, items = b"".join(parts), StreamParser(), []
    while wire:
        size = data.draw(st.integers(1, max(1, len(wire))))
        items += parser.feed(wire[:size])
        wire = wire[size:]
        assert len(parser._buffer) <= 65_535 + 32_768
    for item in items:
        assert isinstance(item, Request | Response | KeepAlive | ParseError)
        if isinstance(item, Request | Response):
            exercise(item)
    assert all(not item.fatal for item in items[:-1] if isinstance(item, ParseError))
    if parser.closed:
        assert isinstance(items[-1], ParseError)
        assert items[-1].fatal
        assert parser.feed(b"OPTIONS") == []


@FUZZ
@given(st.lists(st.sampled_from(SEEDS[:8]), min_size=1, max_size=3), st.lists(st.integers(1, 200), max_size=20))
def test_stream_gives_the_same_however_it_is_cut(parts, sizes):
    wire = b"".join(parts)
    whole = StreamParser().feed(wire)
    parser, pieces = StreamParser(), []
    for size in (*sizes, len(wire)):
        pieces += parser.feed(wire[:size])
        wire = wire[size:]
    assert [str(item) for item in pieces] == [str(item) for item in whole]


@pytest.mark.parametrize("name", HEADER_PARSERS)
@FUZZ
@given(data=st.data())
def test_header_parser_gives_a_value_or_a_parse_error(name, data):
    parse, seeds = HEADER_PARSERS[name]
    octets = data.draw(st.one_of(mutated([seed.encode() for seed in seeds]), st.binary(max_size=40)))
    text = octets.decode("utf-8", "replace").replace("\r", "").replace("\n", "")
    value = value_or_error(parse, text)
    if isinstance(value, ParseError):
        assert value.status_hint in {400, 505, 513}
    elif not isinstance(value, tuple | list):
        assert parse(str(value)) == value


@pytest.mark.parametrize("name", HEADER_PARSERS)
def test_sound_values_survive_being_written_and_read(name):
    parse, seeds = HEADER_PARSERS[name]
    for seed in seeds:
        value = parse(seed)
        if not isinstance(value, tuple | list):
            assert parse(str(value)) == value


@FUZZ
@given(st.text(max_size=60))
def test_any_text_is_a_uri_or_a_parse_error(text):
    for candidate in (text, f"sip:{text}", f"sip:a@b;{text}", f"sip:{text}@b"):
        try:
            uri = Uri.parse(candidate)
        except ParseError:
            continue
        assert str(uri) == candidate
        assert Uri.parse(str(uri.replaced())) == uri  # written anew, not from memory
        assert equivalent(uri, uri)


SDP_SEEDS = [
    b"""v=0
o=- 1 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=audio 4000/2 RTP/AVP 8 0 101
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:40
a=rtcp:4001 IN IP4 192.0.2.2
a=sendonly
""",
    b"""v=0
o=- 1 1 IN IP6 ::1
s=
i=x
u=http://x
e=a@b
p=+1
b=AS:64
t=1 2
r=7d 1h 0 25h
z=1 -1h
k=clear:x
a=recvonly
m=video 0 UDP/TLS/RTP/SAVPF 96
i=y
c=IN IP6 ::2
c=IN IP6 ::3
b=TIAS:1
k=prompt
a=rtcp-mux
a=rtpmap:96 VP8/90000
""",
]


@FUZZ
@given(mutated(SDP_SEEDS) | st.binary(max_size=200).map(lambda octets: b"v=0\no=- 1 1 IN IP4 a\n" + octets))
def test_any_description_is_read_or_refused(octets):
    try:
        description = parse_sdp(octets)
    except ParseError:
        return
    assert parse_sdp(str(description)) == description
    assert parse_sdp(description.to_bytes()) == description
    for media in description.media:
        assert all(payload_type.clock_rate > 0 for payload_type in media.payload_types)
        assert media.ptime is None or media.ptime > 0
        assert 0 <= media.rtcp[0] <= 65535
        assert description.direction_of(media).reversed.reversed == description.direction_of(media)
        assert media.refused().is_rejected
