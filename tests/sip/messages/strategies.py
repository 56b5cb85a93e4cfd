"""Hypothesis strategies for SIP values, and the octets that fuzzing starts from."""

import os

from hypothesis import settings
from hypothesis import strategies as st

from sip.headers.auth import AuthenticationInfo, Challenge, Credentials
from sip.headers.cseq import CSeq
from sip.headers.media_type import MediaType
from sip.headers.name_addr import NameAddr
from sip.headers.via import Via
from sip.message import Request, Response
from sip.uri import Uri
from tests.sip.torture.corpus import OWN

# The suite always runs the same examples; FERNAMT_FUZZ_EXAMPLES=100000 looks for new ones.
_EXAMPLES = int(os.environ.get("FERNAMT_FUZZ_EXAMPLES", "0"))
FUZZ = settings(max_examples=_EXAMPLES or 80, derandomize=not _EXAMPLES, deadline=None)

TOKEN_CHARACTERS = "abcXYZ019-.!%*_+`'~"
tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=12)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
lines = texts.filter(lambda text: "\r" not in text and "\n" not in text)
hosts = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9\-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)
ports = st.none() | st.integers(1, 65535)
uri_params = st.lists(st.tuples(texts.filter(bool), st.none() | texts.filter(bool)), max_size=3).map(tuple)
_userinfo = st.tuples(texts.filter(bool), st.none() | texts) | st.just((None, None))


def _uri(userinfo, **parts):
    return Uri(user=userinfo[0], password=userinfo[1], **parts)


uris = st.builds(
    _uri,
    _userinfo,
    scheme=st.sampled_from(("sip", "sips")),
    host=hosts,
    port=ports,
    params=uri_params,
    headers=st.lists(st.tuples(texts.filter(bool), texts), max_size=2).map(tuple),
)
params = st.lists(st.tuples(tokens, st.none() | lines), max_size=3).map(tuple)
name_addrs = st.builds(NameAddr, uri=uris, display_name=lines, params=params)
vias = st.builds(Via, transport=st.sampled_from(("UDP", "TCP", "TLS", "WSS")), host=hosts, port=ports, params=params)
cseqs = st.builds(CSeq, number=st.integers(0, 2**31 - 1), method=tokens)
media_types = st.builds(MediaType, type=tokens.map(str.lower), subtype=tokens.map(str.lower), params=params)
auth_params = st.lists(st.tuples(tokens, lines), min_size=1, max_size=4, unique_by=lambda pair: pair[0].lower()).map(tuple)
challenges = st.builds(Challenge, scheme=tokens, params=auth_params)
credentials = st.builds(Credentials, scheme=tokens, params=auth_params)
authentication_infos = st.builds(AuthenticationInfo, params=auth_params)

_values = lines.map(lambda text: text.strip(" \t"))
_names = tokens.map(lambda name: f"X-{name}")


@st.composite
def _headers(draw, method):
    fields = [("Via", str(via)) for via in draw(st.lists(vias, min_size=1, max_size=3))]
    fields += [("From", str(draw(name_addrs))), ("To", str(draw(name_addrs)))]
    fields += [("Call-ID", draw(tokens)), ("CSeq", f"{draw(st.integers(0, 2**31 - 1))} {method}")]
    fields += draw(st.lists(st.tuples(_names, _values), max_size=3))
    return draw(st.permutations(fields))


@st.composite
def requests(draw):
    method = draw(tokens)
    uri = draw(uris).without_headers()
    return Request.build(method, uri, draw(_headers(method)), draw(st.binary(max_size=64)))


@st.composite
def responses(draw):
    fields = draw(_headers(draw(tokens)))
    return Response.build(draw(st.integers(100, 699)), draw(lines), fields, draw(st.binary(max_size=64)))


SEEDS = [path.read_bytes() for path in sorted(OWN.glob("*.msg"))]
SPICES = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\r\n ",
        b"\r\n\r\n",
        b"\0",
        b'"',
        b"\\",
        b"<",
        b">",
        b";",
        b",",
        b":",
        b"@",
        b"%",
        b"%0",
        b"%ff",
        b"[",
        b"]",
        b"=",
        b"?",
    ),
    *(
        b"SIP/2.0",
        b"9" * 40,
        b"-1",
        b"\xff\xfe",
        "ü".encode(),
        "ü".encode("latin-1"),
        b"Content-Length: 3\r\n",
        b"Via:",
        b"*",
        b" ",
        b"\t",
        b"&",
        b"/",
    ),
]


@st.composite
def mutated(draw, seeds):
    """A sound text with a few wounds: cut, doubled, overwritten, spiced."""
    octets = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(octets)))
        end = min(len(octets), at + draw(st.integers(0, 20)))
        match draw(st.integers(0, 3)):
            case 0:
                del octets[at:end]
            case 1:
                octets[at:at] = octets[at:end]
            case 2:
                octets[at:end] = draw(st.sampled_from(SPICES))
            case _:
                octets[at:at] = draw(st.binary(max_size=6))
    return bytes(octets)
