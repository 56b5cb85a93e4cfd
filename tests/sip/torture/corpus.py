"""Where the published torture messages lie, and how their files become octets on the wire."""

import os
import re
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[3]
CONFORMANCE = Path(os.environ.get("FERNAMT_CONFORMANCE", REPOSITORY.parent / "shared" / "conformance"))
OWN = REPOSITORY / "tests" / "vectors" / "sip"


class Case(NamedTuple):
    name: str
    section: str
    verdict: str  # ok, err, either: what the parser must say


def cases(rfc: str) -> list[Case]:
    """The rows of the verdict table; none where the folder is not there."""
    table = CONFORMANCE / rfc / "VERDICTS.tsv"
    if not table.is_file():
        return []
    rows = [line.split("\t") for line in table.read_text("utf-8").splitlines()[1:] if line.strip()]
    return [Case(row[0], row[1], row[2]) for row in rows]


def rfc4475_octets(name: str) -> bytes:
    return (CONFORMANCE / "rfc4475" / f"{name}.dat").read_bytes()


def rfc5118_octets(name: str) -> bytes:
    """RFC 5118's archive ends lines in LF and leaves two heads open: put that right, nothing else.

    Content-Length counts the body as some other file had it (ipv6-in-sdp says 268 for 251 octets), so it is set to the body that is there.
    """
    octets = (CONFORMANCE / "rfc5118" / name).read_bytes().replace(b"\n", b"\r\n")
    if b"\r\n\r\n" not in octets:
        octets += b"\r\n"
    head, blank, body = octets.partition(b"\r\n\r\n")
    head = re.sub(rb"(?m)^(Content-Length: *)\d+", lambda match: match[1] + str(len(body)).encode(), head)
    return head + blank + body
