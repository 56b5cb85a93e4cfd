"""The messages of RFC 4475: the parser's verdict and the point that each of them makes, one function a message."""

from collections.abc import Callable

import pytest

from sip.errors import ParseError
from sip.headers.auth import parse_credentials
from sip.headers.contact import contact_expires_s, contact_q
from sip.message import Message, Request, Response, answer_to_malformed
from sip.parser import StreamParser, parse_datagram
from sip.sdp.parser import parse_sdp
from sip.uri import equivalent
from tests.sip.torture.corpus import cases, rfc4475_octets

CASES = cases("rfc4475")

ACCEPTED: dict[str, Callable[[Message], None]] = {}
REFUSED: dict[str, Callable[[ParseError], None]] = {}


def accepted(check: Callable[[Message], None]) -> Callable[[Message], None]:
    ACCEPTED[check.__name__] = check
    return check


def refused(check: Callable[[ParseError], None]) -> Callable[[ParseError], None]:
    REFUSED[check.__name__] = check
    return check


def request(message: Message) -> Request:
    assert isinstance(message, Request)
    return message


@accepted
def wsinv(message):
    invite = request(message)
    assert invite.max_forwards == 68
    assert (invite.cseq.number, invite.cseq.method) == (9, "INVITE")
    assert len(invite.body) == 150
    assert [via.transport for via in invite.vias] == ["UDP", "TCP", "UDP"]
    assert [via.branch for via in invite.vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    assert [via.host for via in invite.vias] == ["192.0.2.2", "spindle.example.com", "192.168.255.111"]
    assert invite.uri.param("unknownparam") == ""
    assert invite.to.tag == "1918181833n"
    assert invite.from_.display_name == 'J Rosenberg \\"'
    assert invite.from_.tag == "98asjd8"
    assert invite.headers.get("Subject") == ""
    assert invite.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert invite.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert ("UnknownHeaderWithUnusualValue", ";;,,;;,;") in list(invite.headers)
    assert invite.routes[0].uri.is_loose_router
    assert invite.routes[0].uri.param("unknownwith") == "value"
    assert invite.contact is not None
    assert invite.contact.display_name == 'Quoted string ""'
    assert invite.contact.param("newparam") == "newvalue"
    assert invite.contact.param("secondparam") == ""
    assert contact_q(invite.contact) == pytest.approx(0.33)


@accepted
def intmeth(message):
    call = request(message)
    assert call.method == "!interesting-Method0123456789_*+`.%indeed'~" == call.cseq.method
    assert call.to.display_name == "BEL:\a NUL:\0 DEL:\x7f"
    assert call.to.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert call.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert call.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert call.from_.param("fromParam''~+*_!.-%") == "работающий"
    assert call.from_.tag == "_token~1'+`*%!-."
    assert call.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert call.top_via.branch == "z9hG4bK-.!%66*_+`'~"
    assert call.headers.get("extensionHeader-!.%*+_`'~") == "\N{ZERO WIDTH NO-BREAK SPACE}大停電"
    assert call.max_forwards == 255


@accepted
def esc01(message):
    invite = request(message)
    assert invite.uri.user == "sips:user@example.com"
    assert invite.uri.host == "example.net"
    assert str(invite.uri) == "sip:sips%3Auser%40example.com@example.net"
    assert invite.to.uri.user == "user"
    assert invite.from_.uri.user == "I have spaces"
    assert invite.contact is not None
    assert invite.contact.uri.user == "caller"
    assert invite.contact.uri.params == (("lr", None), ("name", "value%41"))


@accepted
def escnull(message):
    register = request(message)
    assert register.to.uri.user == "null-\0-null"
    first, second = register.contacts
    assert (first.uri.user, second.uri.user) == ("\0", "\0\0")
    assert first.uri.host == second.uri.host == "host5.example.com"
    assert first.uri != second.uri
    assert not equivalent(first.uri, second.uri)


@accepted
def esc02(message):
    unknown = request(message)
    assert unknown.method == "RE%47IST%45R" == unknown.cseq.method
    assert [contact.uri.user for contact in unknown.contacts] == ["alias1", "alias3"]
    assert unknown.headers.get("C%6Fntact") == "<sip:alias2@host2.example.com>"
    assert unknown.to.display_name == unknown.from_.display_name == "%Z%45"
    assert unknown.top_via.branch == "z9hG4bK209%fzsnel234"


@accepted
def lwsdisp(message):
    assert message.from_.display_name == "caller"
    assert str(message.from_.uri) == "sip:caller@example.com"
    assert message.from_.tag == "323"


@accepted
def longreq(message):
    invite = request(message)
    assert len(invite.vias) == 34
    assert [via.host for via in invite.vias[:33]] == [f"sip{number}.example.com" for number in range(33, 0, -1)]
    assert (invite.vias[33].host, invite.vias[33].received) == ("host.example.com", "192.0.2.5")
    assert invite.from_.tag is not None
    assert invite.from_.tag.endswith("982424")
    assert invite.to.uri.port == 6000
    assert len(invite.body) == 150


@accepted
def dblreq(message):
    register = request(message)
    assert register.method == "REGISTER"
    assert register.body == b""
    # On a stream the same octets are two messages, and the second is an INVITE with its own body.
    stream = [item for item in StreamParser().feed(rfc4475_octets("dblreq")) if isinstance(item, Request)]
    assert [item.method for item in stream] == ["REGISTER", "INVITE"]
    assert len(stream[1].body) == 150


@accepted
def semiuri(message):
    options = request(message)
    assert options.uri.user == "user;par=u@example.net"
    assert (options.uri.host, options.uri.params) == ("example.com", ())
    assert options.accept is not None
    assert [str(media_range) for media_range in options.accept] == [
        "application/sdp",
        "application/pkcs7-mime",
        "multipart/mixed",
        "multipart/signed",
        "message/sip",
        "message/sipfrag",
    ]


@accepted
def transports(message):
    assert [via.transport for via in message.vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


@accepted
def mpart01(message):
    assert len(message.body) == 553
    assert message.body == rfc4475_octets("mpart01").partition(b"\r\n\r\n")[2]
    assert b"\0" in message.body
    assert b"\r" in message.body.replace(b"\r\n", b"")
    assert message.content_type is not None
    assert message.content_type.param("boundary") == "7a9cbec02ceef655"
    assert message.top_via.wants_rport
    assert message.top_via.rport is None


@accepted
def unreason(message):
    assert isinstance(message, Response)
    assert message.status == 200
    assert message.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"


@accepted
def noreason(message):
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (100, "")


@accepted
def baddate(message):
    # Date is kept as text and never read: the zone does no harm.
    assert message.headers.get("Date") == "Fri, 01 Jan 2010 16:00:00 EST"


@accepted
def regbadct(message):
    # The binding cannot be read: the registrar, which asks for it, has to answer 400; nothing else in the message suffers.
    with pytest.raises(ParseError) as caught:
        _ = message.contacts
    assert caught.value.status_hint == 400
    assert message.routes == ()


@accepted
def badbranch(message):
    assert message.top_via.branch == "z9hG4bK"
    assert not message.top_via.has_rfc3261_branch


@accepted
def insuf(message):
    assert message.missing_headers == ("From", "To", "Call-ID")
    for name in ("from_", "to", "call_id"):
        with pytest.raises(ParseError):
            getattr(message, name)


@accepted
def unkscm(message):
    assert (request(message).uri.scheme, request(message).uri.opaque) == ("nobodyknowsthisscheme", "totallyopaquecontent")
    assert not request(message).uri.is_sip


@accepted
def novelsc(message):
    assert (request(message).uri.scheme, request(message).uri.opaque) == ("soap.beep", "//192.0.2.103:3002")


@accepted
def unksm2(message):
    assert (message.to.uri.scheme, message.to.uri.opaque) == ("isbn", "2983792873")
    assert (message.from_.uri.scheme, message.from_.tag) == ("http", "3234233")
    assert str(message.contacts[0].uri) == "name:John_Smith"


@accepted
def bext01(message):
    assert message.require == ("nothingSupportsThis", "nothingSupportsThisEither")
    assert message.headers.get_all("Proxy-Require") == ["noProxiesSupportThis, norDoAnyProxiesSupportThis"]


@accepted
def invut(message):
    assert str(message.content_type) == "application/unknownformat"
    assert not message.has_sdp


@accepted
def regaut01(message):
    credentials = parse_credentials(message.headers.get("Authorization") or "")
    assert credentials.scheme == "NoOneKnowsThisScheme"
    assert credentials.params == (("opaque-data", "here"),)
    assert not credentials.is_digest


@accepted
def bcast(message):
    assert [via.host for via in message.vias] == ["192.0.2.198", "255.255.255.255"]


@accepted
def zeromf(message):
    assert message.max_forwards == 0


@accepted
def cparam01(message):
    (contact,) = message.contacts
    assert contact.uri.params == ()
    assert contact.param("unknownparam") == ""


@accepted
def cparam02(message):
    (contact,) = message.contacts
    assert contact.uri.param("unknownparam") == ""
    assert contact.params == ()


@accepted
def regescrt(message):
    (contact,) = message.contacts
    assert contact.uri.headers == (("Route", "<sip:sip.example.com>"),)
    assert message.routes == ()


@accepted
def sdp01(message):
    assert [str(media_range) for media_range in message.accept or ()] == ["text/nobodyknowsthis"]
    assert message.has_sdp
    assert [media.media for media in parse_sdp(message.body).media] == ["audio", "video"]


@accepted
def inv2543(message):
    assert message.top_via.branch is None
    assert message.from_.tag is None
    assert message.max_forwards is None
    assert message.headers.get("Content-Length") is None
    assert message.body == rfc4475_octets("inv2543").partition(b"\r\n\r\n")[2]
    assert message.record_routes[0].uri.param("maddr") == "ss1.example.com"


def answerable(error, method, status=400):
    """The request gets this answer, built from what could be copied."""
    assert (error.method, error.status_hint) == (method, status)
    response = answer_to_malformed(error, to_tag="ours")
    assert response is not None
    assert response.status == status
    assert response.missing_headers == ()
    assert response.to_bytes().startswith(f"SIP/2.0 {status} ".encode())


def dropped(error):
    """Nothing goes back: it was a response."""
    assert error.method is None
    assert answer_to_malformed(error) is None


@refused
def badinv01(error):
    assert error.where == "header Via"
    answerable(error, "INVITE")


@refused
def clerr(error):
    assert error.where == "header Content-Length"
    answerable(error, "INVITE")
    stream = StreamParser()
    assert stream.feed(rfc4475_octets("clerr")) == []  # the rest may still come
    assert not stream.closed
    assert len(stream._buffer) > 0


@refused
def ncl(error):
    assert error.where == "header Content-Length"
    answerable(error, "INVITE")
    stream = StreamParser()
    (fault,) = stream.feed(rfc4475_octets("ncl"))
    assert isinstance(fault, ParseError)
    assert fault.fatal
    assert stream.closed


@refused
def scalar02(error):
    assert error.where == "header CSeq"
    answerable(error, "REGISTER")
    # With a sane CSeq, the other overlarge numbers do no harm.
    message = parse_datagram(rfc4475_octets("scalar02").replace(b"36893488147419103232", b"1"))
    assert message.max_forwards == 255
    assert message.expires == 2**32 - 1
    assert contact_expires_s(message.contacts[0]) == 2**32 - 1


@refused
def scalarlg(error):
    assert error.where == "header CSeq"
    dropped(error)


@refused
def quotbal(error):
    assert error.where == "header To"
    answerable(error, "INVITE")


@refused
def ltgtruri(error):
    answerable(error, "INVITE")


@refused
def lwsruri(error):
    answerable(error, "INVITE")


@refused
def lwsstart(error):
    answerable(error, "INVITE")


@refused
def trws(error):
    answerable(error, "OPTIONS")


@refused
def escruri(error):
    answerable(error, "INVITE")


@refused
def badaspec(error):
    assert error.where == "header To"
    answerable(error, "OPTIONS")


@refused
def baddn(error):
    answerable(error, "OPTIONS")
    # The file lacks its blank line; with it, the comma in the display name is what is refused.
    with pytest.raises(ParseError) as caught:
        parse_datagram(rfc4475_octets("baddn") + b"\r\n")
    assert caught.value.where == "header From"


@refused
def badvers(error):
    answerable(error, "OPTIONS", 505)


@refused
def mismatch01(error):
    answerable(error, "OPTIONS")


@refused
def mismatch02(error):
    answerable(error, "NEWMETHOD", 501)


@refused
def bigcode(error):
    assert error.where == "status line"
    dropped(error)


@refused
def multi01(error):
    answerable(error, "INVITE")
    response = answer_to_malformed(error)
    assert response is not None
    assert [len(response.headers.get_all(name)) for name in ("Call-ID", "CSeq", "From", "To")] == [1, 1, 1, 1]


@refused
def mcl01(error):
    assert error.where == "header Content-Length"
    answerable(error, "OPTIONS")
    (fault,) = StreamParser().feed(rfc4475_octets("mcl01"))
    assert isinstance(fault, ParseError)
    assert fault.fatal


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_message_gets_the_verdict_and_makes_its_point(case):
    octets = rfc4475_octets(case.name)
    if case.name in ACCEPTED:
        assert case.verdict in {"ok", "either"}
        message = parse_datagram(octets)
        ACCEPTED[case.name](message)
        again = parse_datagram(message.to_bytes())
        written = [pair for pair in again.headers if pair[0] != "Content-Length"]
        assert written == [pair for pair in message.headers if pair[0] != "Content-Length"]
        assert again.body == message.body
    else:
        assert case.verdict in {"err", "either"}
        with pytest.raises(ParseError) as caught:
            parse_datagram(octets)
        REFUSED[case.name](caught.value)


def test_every_published_message_has_its_point_written_down():
    assert {case.name for case in CASES} == ACCEPTED.keys() | REFUSED.keys()
    assert not ACCEPTED.keys() & REFUSED.keys()
