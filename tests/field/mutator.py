"""What lines, broken devices and attackers make of SIP messages: octets to octets, by a seed (pure).

Each operator stands for something seen in the field; `mutated` applies a few of them in a row. It knows nothing of our parser.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

FIELDS: Final = tuple(
    text.encode("latin-1")
    for text in (
        "Via: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bKq;rport",
        "Via: x",
        "v: SIP/2.0/UDP [::1]:99999;branch=z9hG4bK;received=a..b",
        "Route: <sip:127.0.0.9;lr>",
        "Route: nonsense",
        "Record-Route: <sip:a..b;lr>",
        "Contact: *",
        "Contact: <tel:110>",
        "Contact: <sip:anna@" + "x" * 64 + ".example>",
        "Contact: <sip:%00@127.0.0.9:0>;expires=-1;q=7",
        "Max-Forwards: 0",
        "Max-Forwards: 99999999999999999999",
        "Max-Forwards: -1",
        "CSeq: 4294967296 INVITE",
        "CSeq: 1",
        "CSeq: 2 BYE",
        "Content-Length: 0",
        "Content-Length: 99999",
        "Content-Length: -3",
        "l: 1, 2",
        "Content-Type: multipart/mixed;boundary=",
        'Content-Type: multipart/mixed;boundary="--"',
        "Content-Type: application/dtmf-relay",
        "Content-Type: message/sipfrag",
        "Content-Encoding: gzip",
        "Require: 100rel, timer, replaces, x",
        "Supported: 100rel, timer, path, outbound, gruu",
        "Session-Expires: 1;refresher=uac",
        "Session-Expires: 999999999999",
        "Min-SE: x",
        "Expires: 0",
        "Expires: 4294967296",
        "Refer-To: <sip:601@127.0.0.1?Replaces=%22%00>",
        "Refer-To: <mailto:x>",
        "Replaces: x;to-tag=1;from-tag=",
        "Event: talk",
        "Event: refer;id=x",
        "Subscription-State: terminated;reason=;expires=x",
        "P-Asserted-Identity: <tel:+49 (0)30>, <sip:;;@>",
        "P-Asserted-Identity: \x00\xff",
        "Remote-Party-ID: <sip:110@x>;privacy=full;screen=maybe",
        "Privacy: id;user;header;critical",
        "P-Called-Party-ID: <tel:112>",
        "Diversion: <sip:+4930@x>;counter=999999",
        "History-Info: <sip:x?Reason=SIP%3Bcause%3D302>;index=1.1.1",
        'Authorization: Digest realm="fernamt", username="anna", nonce="!", uri="sip:x", response="", nc=zzzzzzzz, cnonce="c", qop=auth',
        "Authorization: Digest",
        'WWW-Authenticate: Digest realm="\\"", nonce="", qop="auth-int", algorithm=MD5-sess',
        "Proxy-Authenticate: Basic x",
        "Reason: Q.850;cause=999;text=\x80",
        'Reason: SIP;cause=200;text="unfinished',
        "Warning: 399",
        "Retry-After: 9999999999 (soon);duration=x",
        "User-Agent: " + "A" * 9000,
        "Date: Sat, 31 Feb 2026 25:61:61 GMT",
        "Subject: =?utf-8?q?",
        ": no name",
        "No colon at all",
        "X" * 300 + ": y",
    )
)
"""Header fields put in or put in the place of another."""

SDP_LINES: Final = tuple(
    text.encode("latin-1")
    for text in (
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 ::1",
        "c=IN IP4 host.invalid",
        "c=IN IP4 224.2.1.1/127",
        "c=",
        "m=audio 0 RTP/AVP 8",
        "m=audio 99999 RTP/AVP 8",
        "m=audio -1 RTP/AVP 8",
        "m=video 5000 RTP/AVP 96",
        "m=audio 5000 RTP/SAVPF 111",
        "m=audio 5000 RTP/AVP 300 -7 x",
        "m=image 5000 udptl t38",
        "a=rtpmap:8 PCMA/0",
        "a=rtpmap:101 telephone-event/8000/9",
        "a=rtpmap:x",
        "a=fmtp:101 0-999999",
        "a=ptime:0",
        "a=ptime:99999",
        "a=maxptime:1",
        "a=sendonly",
        "a=inactive",
        "a=rtcp:1 IN IP4 127.0.0.1",
        "a=rtcp-mux",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
        "o=- x y IN IP4 z",
        "o=   ",
        "t=9999999999999999999999 0",
        "s=",
        "v=1",
        "b=AS:-1",
        "\x00=\x00",
        "no equals sign",
    )
)
NUMBERS: Final = (b"0", b"-1", b"1", b"65536", b"4294967295", b"4294967296", b"99999999999999999999", b"1e9", b"0x10", b"")


def _flip(octets: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 4)):
        if octets:
            octets[rng.randrange(len(octets))] = rng.randrange(256)


def _cut_out(octets: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(octets) + 1)
    del octets[start : start + rng.choice((1, 2, 8, 64))]


def _end_early(octets: bytearray, rng: random.Random) -> None:
    del octets[rng.randrange(len(octets) + 1) :]


def _put_in(octets: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(octets) + 1)
    octets[at:at] = rng.choice(
        (b"\x00", b"\r\n", b"\n", b"\r", b";", b",", b'"', b"<", b">", b"%", b"%zz", b"\xff\xfe", b"\xc3\x28", b" " * 200)
    )


def _change_number(octets: bytearray, rng: random.Random) -> None:
    starts = [at for at, octet in enumerate(octets) if chr(octet).isdigit() and (at == 0 or not chr(octets[at - 1]).isdigit())]
    if starts:
        start = end = rng.choice(starts)
        while end < len(octets) and chr(octets[end]).isdigit():
            end += 1
        octets[start:end] = rng.choice(NUMBERS)


def _lines(octets: bytearray, change: Callable[[list[bytes]], None]) -> None:
    lines = bytes(octets).split(b"\r\n")
    change(lines)
    octets[:] = b"\r\n".join(lines)


def _drop_line(octets: bytearray, rng: random.Random) -> None:
    _lines(octets, lambda lines: lines.__delitem__(rng.randrange(len(lines))))


def _double_line(octets: bytearray, rng: random.Random) -> None:
    _lines(octets, lambda lines: lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines)))


def _swap_lines(octets: bytearray, rng: random.Random) -> None:
    def swap(lines: list[bytes]) -> None:
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]

    _lines(octets, swap)


def _fold_line(octets: bytearray, rng: random.Random) -> None:
    def fold(lines: list[bytes]) -> None:
        at = rng.randrange(len(lines))
        lines[at] = lines[at].replace(b" ", b"\r\n\t ", 1)

    _lines(octets, fold)


def _foreign_field(octets: bytearray, rng: random.Random) -> None:
    def put(lines: list[bytes]) -> None:
        head = lines.index(b"") if b"" in lines else len(lines)
        at = rng.randint(1, max(1, head))
        if rng.random() < 0.4 and at < head:
            lines[at] = rng.choice(FIELDS)
        else:
            lines.insert(at, rng.choice(FIELDS))

    _lines(octets, put)


def _foreign_sdp(octets: bytearray, rng: random.Random) -> None:
    def put(lines: list[bytes]) -> None:
        body = [at for at, line in enumerate(lines) if line[1:2] == b"="]
        if body and rng.random() < 0.6:
            lines[rng.choice(body)] = rng.choice(SDP_LINES)
        elif body:
            lines.insert(rng.choice(body), rng.choice(SDP_LINES))

    _lines(octets, put)


def _bare_newlines(octets: bytearray, _rng: random.Random) -> None:
    octets[:] = bytes(octets).replace(b"\r\n", b"\n")


def _another_case(octets: bytearray, rng: random.Random) -> None:
    def change(lines: list[bytes]) -> None:
        at = rng.randrange(len(lines))
        lines[at] = rng.choice((bytes.upper, bytes.lower, bytes.swapcase))(lines[at])

    _lines(octets, change)


OPERATORS: Final[Sequence[Callable[[bytearray, random.Random], None]]] = (
    _flip, _cut_out, _end_early, _put_in, _change_number, _drop_line, _double_line, _swap_lines, _fold_line, _foreign_field, _foreign_field,
    _foreign_field, _foreign_sdp, _foreign_sdp, _bare_newlines, _another_case,
)  # fmt: skip


def mutated(octets: bytes, rng: random.Random) -> bytes:
    """The message after one to three operators; Content-Length is mostly put right again, so that the rest is looked at."""
    changed = bytearray(octets)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(OPERATORS)(changed, rng)
    head, blank, body = bytes(changed).partition(b"\r\n\r\n")
    if blank and rng.random() < 0.8:
        lines = [b"Content-Length: %d" % len(body) if line.lower().startswith(b"content-length:") else line for line in head.split(b"\r\n")]
        return b"\r\n".join(lines) + blank + body
    return bytes(changed)
