"""Bodies of several parts: RFC 2046 §5.1, RFC 5621, RFC 3204 (ISUP beside SDP), RFC 3261 §20.11 (handling)."""

import base64

import pytest

from sip.errors import ParseError
from sip.headers.media_type import parse_media_type
from sip.multipart import MAX_PARTS, description_in

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
OPTIONAL = "Content-Disposition: signal; handling=optional"


def body(*parts, boundary="b1", end="\r\n"):
    """Each part: its header lines, and its octets."""
    out = b""
    for headers, content in parts:
        out += b"--%s%s" % (boundary.encode(), end.encode())
        out += "".join(f"{line}{end}" for line in headers).encode() + end.encode() + content + end.encode()
    return out + f"--{boundary}--{end}".encode()


def found(octets, kind="multipart/mixed;boundary=b1"):
    return description_in(parse_media_type(kind), octets)


SDP_PART = (["Content-Type: application/sdp"], SDP)
ISUP_PART = (["Content-Type: application/isup; version=itu-t92+; base=itu-t92+", OPTIONAL], b"\x01\x00\x20\r\n--b2\r\n\xff")


@pytest.mark.parametrize("parts", [(SDP_PART, ISUP_PART), (ISUP_PART, SDP_PART), (SDP_PART,)])
def test_the_description_is_the_part_that_is_one_wherever_it_stands(parts):
    assert found(body(*parts)) == (SDP, None)


@pytest.mark.parametrize("kind", ['multipart/mixed; boundary="b 1=?"', 'Multipart/Mixed; charset=x; BOUNDARY="b 1=?"'])
def test_a_boundary_may_be_quoted(kind):
    assert found(body(SDP_PART, boundary="b 1=?"), kind).sdp == SDP


def test_lines_may_end_in_lf_and_a_preamble_and_an_epilogue_are_nobodys():
    assert found(b"for old mail readers\n" + body(SDP_PART, end="\n") + b"\nbye\n").sdp == SDP


def test_a_part_that_is_required_and_not_understood_is_named():
    """RFC 3261 §20.11: "If the handling parameter is missing, the value "required" SHOULD be assumed"."""
    for extra in ([], ["Content-Disposition: signal"], ['Content-Disposition: render;handling="required"']):
        told = found(body(SDP_PART, (["Content-Type: application/x-new", *extra], b"?")))
        assert told.not_understood is not None
        assert told.not_understood.essence == "application/x-new"


@pytest.mark.parametrize(
    "disposition", [OPTIONAL, 'Content-Disposition: x;HANDLING="optional"', "content-disposition : signal ;\r\n handling = optional"]
)
def test_a_part_that_is_optional_is_passed_over(disposition):
    assert found(body(SDP_PART, (["Content-Type: application/x-new", disposition], b"?"))) == (SDP, None)


@pytest.mark.parametrize("essence", ["application/isup", "application/qsig"])
def test_isup_and_qsig_are_optional_unless_they_say_otherwise(essence):
    """RFC 3204 §4."""
    assert found(body((["Content-Type: " + essence], b"?"), SDP_PART)) == (SDP, None)


def test_without_a_description_the_caller_wants_our_offer():
    assert found(body(ISUP_PART)) == (None, None)


def test_parts_may_have_parts():
    inner = body(SDP_PART, ISUP_PART, boundary="in")
    assert found(body(ISUP_PART, (["Content-Type: multipart/mixed;boundary=in"], inner))) == (SDP, None)


def test_of_alternatives_the_last_that_is_understood_holds():
    """RFC 2046 §5.1.4."""
    later = SDP.replace(b"- 1", b"- 2")
    octets = body(SDP_PART, (["Content-Type: application/sdp"], later), (["Content-Type: application/x-new"], b"?"))
    assert found(octets, "multipart/alternative;boundary=b1") == (later, None)


@pytest.mark.parametrize(
    ("encoding", "octets"),
    [("base64", base64.encodebytes(SDP)), ("quoted-printable", SDP.replace(b"=", b"=3D")), ("8bit", SDP), ("BINARY", SDP)],
)
def test_a_part_may_be_encoded_for_mail(encoding, octets):
    part = (["Content-Type: application/sdp", f"Content-Transfer-Encoding: {encoding}"], octets)
    assert found(body(part)).sdp.rstrip() == SDP.rstrip()


@pytest.mark.parametrize(
    ("kind", "octets"),
    [
        ("multipart/mixed", body(SDP_PART)),
        ("multipart/mixed;boundary=other", body(SDP_PART)),
        ("multipart/mixed;boundary=b1", b""),
        ("multipart/mixed;boundary=b1", b"--b1--\r\n"),
        ("multipart/mixed;boundary=b1", body(SDP_PART).removesuffix(b"--b1--\r\n")),
        ("multipart/mixed;boundary=b1", b"--b1\r\nno colon\r\n\r\nx\r\n--b1--"),
        ("multipart/mixed;boundary=b1", b"--b1\r\nContent-Type: application/sdp\r\n--b1--"),
        ("multipart/mixed;boundary=b1", b"--b1\r\nContent-Type: nonsense\r\n\r\nx\r\n--b1--"),
    ],
)
def test_what_cannot_be_told_apart_is_broken(kind, octets):
    with pytest.raises(ParseError) as caught:
        found(octets, kind)
    assert caught.value.status_hint == 400


def test_a_flood_of_parts_and_a_tower_of_them_are_too_large():
    deep = body(SDP_PART)
    for _ in range(4):
        deep = body((["Content-Type: multipart/mixed;boundary=b1"], deep.replace(b"b1", b"b1x")))
    for octets in (body(*[ISUP_PART] * (MAX_PARTS + 1)), deep):
        with pytest.raises(ParseError) as caught:
            found(octets)
        assert caught.value.status_hint in {400, 513}
