"""parse(str(value)) == value, for every value that can be built."""

import pytest
from hypothesis import given

from sip.grammar import split_list
from sip.headers.auth import parse_authentication_info, parse_challenge, parse_credentials
from sip.headers.cseq import parse_cseq
from sip.headers.media_type import parse_media_type
from sip.headers.name_addr import parse_name_addr, parse_name_addrs
from sip.headers.via import parse_via, parse_vias
from sip.parser import StreamParser, parse_datagram
from sip.uri import Uri, equivalent
from tests.sip.messages import strategies

pytestmark = pytest.mark.slow


@strategies.FUZZ
@given(strategies.uris)
def test_uri(uri):
    assert Uri.parse(str(uri)) == uri
    assert equivalent(Uri.parse(str(uri)), uri)
    assert Uri.parse(str(uri.aor())).params == ()


@strategies.FUZZ
@given(strategies.name_addrs, strategies.name_addrs)
def test_name_addr(first, second):
    assert parse_name_addr(str(first)) == first
    assert parse_name_addrs(f"{first}, {second}", "test") == [first, second]
    assert len(split_list(f"{first} ,\t{second}", "test")) == 2


@strategies.FUZZ
@given(strategies.vias, strategies.vias)
def test_via(first, second):
    assert parse_via(str(first)) == first
    assert parse_vias(f"{first},{second}") == (first, second)


@strategies.FUZZ
@given(strategies.cseqs)
def test_cseq(cseq):
    assert parse_cseq(str(cseq)) == cseq


@strategies.FUZZ
@given(strategies.media_types)
def test_media_type(media_type):
    assert parse_media_type(str(media_type)) == media_type


@strategies.FUZZ
@given(strategies.challenges, strategies.credentials, strategies.authentication_infos)
def test_authentication(challenge, credentials, info):
    assert parse_challenge(str(challenge)) == challenge
    assert parse_credentials(str(credentials)) == credentials
    assert parse_authentication_info(str(info)) == info


@strategies.FUZZ
@given(strategies.requests())
def test_request(request):
    wire = request.to_bytes()
    assert parse_datagram(wire) == request
    assert StreamParser().feed(wire) == [request]
    assert parse_datagram(wire).to_bytes() == wire


@strategies.FUZZ
@given(strategies.responses())
def test_response(response):
    wire = response.to_bytes()
    assert parse_datagram(wire) == response
    assert StreamParser().feed(wire * 2) == [response, response]


@strategies.FUZZ
@given(strategies.requests())
def test_response_to_a_request_carries_its_via_from_to_call_id_and_cseq(request):
    response = parse_datagram(request.response(180, to_tag="fresh").to_bytes())
    assert response.vias == request.vias
    assert response.from_ == request.from_
    assert (response.call_id, response.cseq) == (request.call_id, request.cseq)
    assert response.to.uri == request.to.uri
    assert response.to.tag == (request.to.tag or "fresh")
