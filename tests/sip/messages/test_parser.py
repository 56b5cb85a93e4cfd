"""Datagrams and streams: framing, limits, keep-alives, character sets, and the errors that can be answered."""

import pytest

from sip.errors import ParseError
from sip.message import Request, Response, answer_to_malformed
from sip.parser import KeepAlive, Limits, StreamParser, is_keep_alive, parse_datagram


def wire(*extra: str, start: str = "OPTIONS sip:601@fernamt.example SIP/2.0", body: bytes = b"", length: int | None = None) -> bytes:
    method = start.split(" ", maxsplit=1)[0]
    lines = [
        start,
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
        "From: <sip:a@example.org>;tag=1",
        "To: <sip:601@fernamt.example>",
        "Call-ID: c1",
        f"CSeq: 1 {method}",
        *extra,
        f"Content-Length: {len(body) if length is None else length}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


RESPONSE = wire().replace(b"OPTIONS sip:601@fernamt.example SIP/2.0", b"SIP/2.0 200 OK").replace(b"1 SIP/2.0 200 OK", b"1 OPTIONS")


def refused(octets: bytes, limits: Limits | None = None) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_datagram(octets, limits or Limits())
    return caught.value


class TestDatagram:
    def test_request_and_response_are_told_apart(self):
        request = parse_datagram(wire(body=b"hello"))
        assert isinstance(request, Request)
        assert (request.method, str(request.uri), request.body) == ("OPTIONS", "sip:601@fernamt.example", b"hello")
        response = parse_datagram(RESPONSE)
        assert isinstance(response, Response)
        assert (response.status, response.reason) == (200, "OK")

    def test_blank_lines_before_the_start_line_are_skipped(self):
        assert parse_datagram(b"\r\n\r\n\r\n" + wire()) == parse_datagram(wire())

    def test_version_is_case_insensitive(self):
        assert (
            parse_datagram(wire(start="OPTIONS sip:601@fernamt.example sip/2.0"))
            .to_bytes()
            .startswith(b"OPTIONS sip:601@fernamt.example SIP/2.0\r\n")
        )

    @pytest.mark.parametrize("start", ["SIP/2.0 200", "SIP/2.0 200 ", "sip/2.0 200 OK", "SIP/2.0 699 x  y "])
    def test_status_lines(self, start):
        assert isinstance(parse_datagram(RESPONSE.replace(b"SIP/2.0 200 OK", start.encode(), 1)), Response)

    @pytest.mark.parametrize(
        "start", ["SIP/2.0 099 x", "SIP/2.0 700 x", "SIP/2.0 20 x", "SIP/2.0  200 x", "SIP/3.0 200 x", "SIP/ 200 x", "SIP/2.0"]
    )
    def test_malformed_responses_are_never_answered(self, start):
        error = refused(RESPONSE.replace(b"SIP/2.0 200 OK", start.encode(), 1))
        assert error.method is None
        assert answer_to_malformed(error) is None

    @pytest.mark.parametrize(
        "start",
        ["OPTIONS", "OPTIONS sip:a@b", "OPTIONS sip:a@b SIP/2", "OPTIONS sip:a@b HTTP/1.1", "OPTIONS a@b SIP/2.0", "OPT@ sip:a@b SIP/2.0"],
    )
    def test_malformed_request_lines(self, start):
        assert refused(wire(start=start)).status_hint == 400

    def test_octets_behind_the_announced_length_are_ignored(self):
        assert parse_datagram(wire(body=b"hello", length=2)).body == b"he"

    def test_announced_length_must_be_there(self):
        assert refused(wire(body=b"hello", length=6)).where == "header Content-Length"

    def test_without_content_length_the_body_ends_with_the_datagram(self):
        assert parse_datagram(wire(body=b"hello").replace(b"Content-Length: 5\r\n", b"")).body == b"hello"

    @pytest.mark.parametrize("line", ["X", "To", "X Y: 1", ": 1", "Ü: 1", "X\tY: 1"])
    def test_line_without_a_header_name_is_refused(self, line):
        assert refused(wire(line)).status_hint == 400

    @pytest.mark.parametrize("wound", [b"X: a\nY: b", b"X: a\rY: b", b"X: a\n\r\nY: b", b"X: a\r\r\nY: b"])
    def test_line_ends_other_than_crlf_are_refused(self, wound):
        assert refused(wire("X-Here: 1").replace(b"X-Here: 1", wound)).where == "header section"

    @pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
    def test_missing_mandatory_header_is_left_to_the_user_agent(self, name):
        octets = b"\r\n".join(line for line in wire().split(b"\r\n") if not line.startswith(name.encode() + b":"))
        message = parse_datagram(octets)
        assert message.missing_headers == (name,)
        with pytest.raises(ParseError):
            getattr(message, {"Via": "top_via", "From": "from_", "To": "to", "Call-ID": "call_id", "CSeq": "cseq"}[name])

    @pytest.mark.parametrize(
        "header", ["From: <sip:a@b>", "To: <sip:a@b>", "Call-ID: 2", "CSeq: 2 OPTIONS", "Content-Length: 0", "i: 2", "l: 0"]
    )
    def test_single_header_twice_is_refused(self, header):
        error = refused(wire(header))
        assert error.status_hint == 400
        assert error.partial is not None

    @pytest.mark.parametrize("value", ["", "x", "-1", "7 0"])
    def test_malformed_max_forwards_is_refused(self, value):
        assert refused(wire(f"Max-Forwards: {value}")).where == "header Max-Forwards"

    def test_latin_1_is_understood_line_by_line_and_written_as_utf_8(self):
        octets = wire("Subject: Grüße", "X-Old: GRUSS").replace(b"GRUSS", "Grüße".encode("latin-1"))
        message = parse_datagram(octets)
        assert (message.headers.get("Subject"), message.headers.get("X-Old")) == ("Grüße", "Grüße")
        assert "X-Old: Grüße\r\n".encode() in message.to_bytes()

    def test_keep_alives_are_no_messages(self):
        for octets in (b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0"):
            assert is_keep_alive(octets)
            assert refused(octets).method is None
        assert not is_keep_alive(wire())
        assert not is_keep_alive(b"\r\n" * 100)


class TestLimits:
    def test_message_octets(self):
        assert refused(wire(body=b"x" * 100), Limits(message_octets=200)).status_hint == 513

    def test_header_octets(self):
        assert refused(wire("X: " + "x" * 500), Limits(header_octets=400)).status_hint == 513

    def test_header_count(self):
        parse_datagram(wire(), Limits(header_count=6))
        assert refused(wire(), Limits(header_count=5)).status_hint == 513

    def test_line_octets(self):
        limits = Limits(line_octets=600)
        parse_datagram(wire("X: " + "x" * 597), limits)
        assert refused(wire("X: " + "x" * 598), limits).status_hint == 513

    def test_folding_does_not_get_round_the_line_limit(self):
        assert refused(wire("X: " + "\r\n ".join("x" * 50 for _ in range(20))), Limits(line_octets=600)).status_hint == 513

    def test_start_line_octets(self):
        assert refused(wire(start=f"OPTIONS sip:{'a' * 300}@b SIP/2.0"), Limits(start_line_octets=300)).status_hint == 414


class TestStream:
    def test_messages_come_out_in_order_one_octet_at_a_time(self):
        octets = wire(body=b"one") + RESPONSE + wire(body=b"\r\n\r\n")
        parser = StreamParser()
        items = [item for at in range(len(octets)) for item in parser.feed(octets[at : at + 1])]
        assert items == [parse_datagram(wire(body=b"one")), parse_datagram(RESPONSE), parse_datagram(wire(body=b"\r\n\r\n"))]
        assert not parser._buffer

    def test_ping_is_told_from_pong(self):
        parser = StreamParser()
        assert parser.feed(b"\r\n\r\n") == [KeepAlive.PING]
        assert parser.feed(b"\r\n") == []
        assert parser.feed(wire()) == [KeepAlive.PONG, parse_datagram(wire())]
        assert parser.feed(b"\r\n\r") == []
        assert parser.feed(b"\n") == [KeepAlive.PING]

    def test_malformed_message_in_sound_framing_does_not_stop_the_stream(self):
        parser = StreamParser()
        bad, good = parser.feed(wire("From: <sip:x@y>") + wire())
        assert isinstance(bad, ParseError)
        assert not bad.fatal
        answer = answer_to_malformed(bad, to_tag="t")
        assert answer is not None
        assert answer.status == 400
        assert good == parse_datagram(wire())

    @pytest.mark.parametrize(
        ("octets", "status"),
        [
            (wire().replace(b"Content-Length: 0\r\n", b""), 400),
            (wire("Content-Length: 5"), 400),
            (wire(length=70_000), 513),
            (wire().replace(b"Content-Length: 0", b"Content-Length: -1"), 400),
        ],
    )
    def test_lost_framing_is_answered_and_fatal(self, octets, status):
        parser = StreamParser()
        (error,) = parser.feed(octets + wire())
        assert isinstance(error, ParseError)
        assert (error.fatal, error.status_hint, parser.closed) == (True, status, True)
        assert answer_to_malformed(error) is not None
        assert parser.feed(wire()) == []

    @pytest.mark.parametrize("octets", [b"\rX", b"x" * 40_000, b"\r\nX\n\r\n\r\n"])
    def test_noise_is_fatal_and_bounded(self, octets):
        parser = StreamParser()
        error = parser.feed(octets)[-1]
        assert isinstance(error, ParseError)
        assert error.fatal
        assert len(parser._buffer) == 0

    def test_endless_head_is_cut_off_at_the_limit(self):
        parser = StreamParser(Limits(header_octets=1_000))
        items = []
        for _ in range(100):
            items += parser.feed(b"X: " + b"x" * 30)
            if parser.closed:
                break
        assert [item.fatal for item in items] == [True]
        assert len(parser._buffer) == 0
