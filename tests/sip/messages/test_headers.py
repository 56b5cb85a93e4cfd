"""Header values, one by one: what is read from them, what is refused, what is written."""

import pytest

from sip.errors import LocalMisuse, ParseError
from sip.grammar import quote, split_list, unquote
from sip.headers.auth import Challenge, parse_challenge, parse_credentials
from sip.headers.contact import contact_expires_s, contact_q, parse_contacts, parse_min_expires
from sip.headers.cseq import parse_cseq
from sip.headers.event import parse_event
from sip.headers.fields import Headers
from sip.headers.media_type import parse_media_type
from sip.headers.name_addr import NameAddr, parse_name_addr
from sip.headers.privacy import parse_privacy
from sip.headers.reason import Reason, parse_reasons
from sip.headers.refer import parse_refer_sub, parse_refer_to
from sip.headers.retry_after import parse_retry_after
from sip.headers.route import parse_routes
from sip.headers.session_expires import parse_session_interval
from sip.headers.via import parse_via, parse_vias
from sip.headers.warning import Warning as WarningValue
from sip.message import Response
from sip.uri import Uri


class TestNameAddr:
    @pytest.mark.parametrize(
        ("text", "name", "uri", "tag"),
        [
            ("<sip:a@b>", "", "sip:a@b", None),
            ("sip:a@b;tag=1", "", "sip:a@b", "1"),
            ("sip:a@b ; tag = 1 ; x", "", "sip:a@b", "1"),
            ("<sip:a@b;user=phone>;tag=1", "", "sip:a@b;user=phone", "1"),
            ("Anna Bolika <sip:a@b>;TAG=1", "Anna Bolika", "sip:a@b", "1"),
            ('"Anna \\"B\\" <x>" <sip:a@b>', 'Anna "B" <x>', "sip:a@b", None),
            ('""<sip:a@b>', "", "sip:a@b", None),
            ("Jürgen Weiß (Büro) <sip:a@b>", "Jürgen Weiß (Büro)", "sip:a@b", None),
            ("tel:+49891;tag=1", "", "tel:+49891", "1"),
        ],
    )
    def test_forms(self, text, name, uri, tag):
        value = parse_name_addr(text)
        assert (value.display_name, str(value.uri), value.tag) == (name, uri, tag)
        assert parse_name_addr(str(value)) == value

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "",
                "<>",
                "<sip:a@b",
                "sip:a@b>",
                '"a <sip:a@b>',
                "a, b <sip:a@b>",
                "sip:a@b?x=y",
                "sip:a@b,sip:c@d",
                "<sip:a@b>;",
                "<sip:a@b>;;a",
            ),
            *(
                "<sip:a@b> x",
                "<sip:a@b>;a=b c",
                "<sip:a@b>;a=",
                '<sip:a@b>;a="b',
                "a <b> <sip:a@b>",
                "<sip:a@b>;a=<b>",
                "< sip:a@b>",
                "a@b",
            ),
        ],
    )
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(ParseError) as caught:
            parse_name_addr(text, "header To")
        assert caught.value.where == "header To"

    def test_tag_replaces_a_tag(self):
        value = NameAddr(Uri.parse("sip:a@b"), "A", (("x", None), ("tag", "1"), ("y", "2")))
        assert str(value.with_tag("9")) == "A <sip:a@b>;x;tag=9;y=2"
        assert value.without_params() == NameAddr(Uri.parse("sip:a@b"), "A")

    def test_line_breaks_cannot_leave_through_a_display_name(self):
        hostile = NameAddr(Uri("sip", user="a\r\nVia: x", host="b"), "a\r\nVia: x")
        assert str(hostile) == '"a  Via: x" <sip:a%0D%0AVia%3A%20x@b>'


class TestVia:
    def test_parts(self):
        via = parse_via("SIP/2.0/udp [2001:db8::1]:5070;branch=z9hG4bKa;rport;maddr=x")
        assert (via.transport, via.host, via.port, via.sent_by) == ("UDP", "2001:db8::1", 5070, "[2001:db8::1]:5070")
        assert (via.branch, via.has_rfc3261_branch, via.wants_rport, via.rport, via.param("maddr")) == ("z9hG4bKa", True, True, None, "x")
        stamped = via.with_param("received", "192.0.2.1").with_param("rport", "40000")
        assert (stamped.received, stamped.rport) == ("192.0.2.1", 40000)
        assert str(stamped) == "SIP/2.0/UDP [2001:db8::1]:5070;branch=z9hG4bKa;rport=40000;maddr=x;received=192.0.2.1"

    @pytest.mark.parametrize(
        "text",
        ["", "SIP/2.0/UDP", "SIP/2.0 a", "SIP/2.0/UDP a:0", "SIP/2.0/UDP a:99999", "SIP/2.0/UDP a:123456", "SIP/2.0/UDP a b", "UDP a"],
    )
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(ParseError):
            parse_via(text)

    def test_other_version_is_505(self):
        with pytest.raises(ParseError) as caught:
            parse_via("SIP/3.0/UDP a")
        assert caught.value.status_hint == 505

    @pytest.mark.parametrize("rport", ["", "x", "999999", "\N{SUPERSCRIPT TWO}"])
    def test_malformed_rport_is_none(self, rport):
        assert parse_via(f"SIP/2.0/UDP a;rport={rport}" if rport else "SIP/2.0/UDP a;rport").rport is None

    def test_list(self):
        assert [via.host for via in parse_vias('SIP/2.0/UDP a;x=",", SIP/2.0/TCP b')] == ["a", "b"]


class TestLists:
    @pytest.mark.parametrize(
        ("text", "elements"),
        [("a", ["a"]), ("a , b", ["a", "b"]), ('"a,b" <c,d>, e', ['"a,b" <c,d>', "e"]), ('"a\\",b",c', ['"a\\",b"', "c"])],
    )
    def test_commas_in_quotes_and_brackets_do_not_separate(self, text, elements):
        assert split_list(text, "x") == elements

    @pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a,,b", '"a,b', "<a,b", "a, "])
    def test_empty_and_unbalanced_are_refused(self, text):
        with pytest.raises(ParseError):
            split_list(text, "x")

    def test_lists_and_parameters_are_bounded(self):
        assert len(split_list("a" + ",a" * 255, "x")) == 256
        assert len(parse_name_addr("<sip:a@b>" + ";p" * 64).params) == 64
        for parse, text in ((split_list, "a" + ",a" * 256), (parse_name_addr, "<sip:a@b>" + ";p" * 65)):
            with pytest.raises(ParseError) as caught:
                parse(text, "x")
            assert caught.value.status_hint == 513

    def test_quoting_is_undone_by_unquoting(self):
        for text in ("", "a", 'a"b', "a\\b", '\\"', "ü"):
            assert unquote(quote(text)) == text


class TestContact:
    def test_star_stands_alone(self):
        assert parse_contacts(["*"]) == ((), True)
        for values in (["*", "<sip:a@b>"], ["*", "*"], ["<sip:a@b>, *"]):
            with pytest.raises(ParseError):
                parse_contacts(values)

    @pytest.mark.parametrize(
        ("param", "seconds"), [("", None), (";expires=0", 0), (";expires=99", 99), (";expires=9999999999", 2**32 - 1), (";expires=x", 3600)]
    )
    def test_expires(self, param, seconds):
        assert contact_expires_s(parse_name_addr(f"<sip:a@b>{param}")) == seconds

    @pytest.mark.parametrize(
        ("param", "q"), [("", 1), (";q=0.25", 0.25), (";q=1", 1), (";q=0", 0), (";q=7", 1), (";q=x", 1), (";q=.", 1), (";q=1e3", 1)]
    )
    def test_q(self, param, q):
        assert contact_q(parse_name_addr(f"<sip:a@b>{param}")) == pytest.approx(q)


class TestCSeq:
    def test_boundary_is_two_to_the_31(self):
        assert parse_cseq("2147483647 INVITE").number == 2**31 - 1
        with pytest.raises(ParseError):
            parse_cseq("2147483648 INVITE")

    def test_leading_zeros_do_not_count(self):
        assert parse_cseq("0" * 60 + "7 INVITE").number == 7

    @pytest.mark.parametrize(
        "text",
        ["", "1", "INVITE", "-1 INVITE", "1INVITE", "1 INV ITE", "1 INV@TE", "\N{ARABIC-INDIC DIGIT ONE} INVITE", "1" * 5000 + " INVITE"],
    )
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(ParseError):
            parse_cseq(text)


class TestAuthentication:
    def test_challenge_is_read_and_written_with_the_quotes_of_rfc_7616(self):
        text = 'Digest realm="fernamt", nonce="a\\"b", opaque="", algorithm=SHA-256, qop="auth,auth-int", stale=true'
        challenge = parse_challenge(text)
        assert (challenge.realm, challenge.nonce, challenge.opaque) == ("fernamt", 'a"b', "")
        assert (challenge.algorithm, challenge.qop, challenge.stale) == ("SHA-256", ("auth", "auth-int"), True)
        assert str(challenge) == text

    def test_credentials_are_read_and_written_with_the_quotes_of_rfc_7616(self):
        text = (
            'Digest username="601", realm="f", nonce="n", uri="sip:f", response="00ff", algorithm=MD5, '
            'cnonce="c", opaque="o", qop=auth, nc=0000000a'
        )
        credentials = parse_credentials(text)
        assert (credentials.username, credentials.uri, credentials.response, credentials.qop) == ("601", "sip:f", "00ff", "auth")
        assert (credentials.cnonce, credentials.nc, credentials.is_digest) == ("c", "0000000a", True)
        assert str(credentials) == text

    def test_defaults(self):
        assert Challenge("Digest").algorithm == "MD5"
        assert Challenge("Digest").qop == ()
        assert not Challenge("Digest").stale

    def test_token68(self):
        assert parse_credentials("Basic YTpi==").token68 == "YTpi=="
        assert str(parse_credentials("Bearer abc.def")) == "Bearer abc.def"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            ",",
            "Digest realm",
            "Digest realm=",
            'Digest realm="x',
            'Digest a="b" c="d"',
            "Digest a=b,",
            "Digest a=b, A=c",
            "Digest a=b,,c=d",
        ],
    )
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(ParseError):
            parse_challenge(text)


def test_routes_need_brackets():
    assert [route.uri.host for route in parse_routes("<sip:a;lr>, <sip:b;lr>", "Route")] == ["a", "b"]
    with pytest.raises(ParseError):
        parse_routes("sip:a;lr", "Route")


def test_media_ranges():
    sdp = parse_media_type("Application/SDP; level=1")
    assert (sdp.essence, sdp.param("level")) == ("application/sdp", "1")
    assert all(parse_media_type(text).accepts(sdp) for text in ("*/*", "application/*", "application/sdp"))
    assert not parse_media_type("text/*").accepts(sdp)
    for text in ("", "application", "application/", "/sdp", "a/b c"):
        with pytest.raises(ParseError):
            parse_media_type(text)


def test_event():
    event = parse_event("Refer ;id=7")
    assert (event.package, event.params, str(event)) == ("refer", (("id", "7"),), "refer;id=7")
    for text in ("", ";id=7", "a b"):
        with pytest.raises(ParseError):
            parse_event(text)


def test_session_interval():
    interval = parse_session_interval("1800;refresher=UAS")
    assert (interval.seconds, interval.refresher, str(interval)) == (1800, "uas", "1800;refresher=UAS")
    assert parse_session_interval("90").refresher is None
    assert parse_session_interval("99999999999").seconds == 86_400
    for text in ("", "x", "90 s"):
        with pytest.raises(ParseError):
            parse_session_interval(text)


def test_reasons():
    reasons = parse_reasons(['SIP ;cause=200 ;text="Call completed, elsewhere"', "Q.850;cause=16, preemption"])
    assert reasons == (Reason("SIP", 200, "Call completed, elsewhere"), Reason("Q.850", 16), Reason("preemption"))
    assert parse_reasons([", ".join(map(str, reasons))]) == reasons


def test_retry_after():
    value = parse_retry_after("18000 (in a meeting) ;duration=3600")
    assert (value.seconds, value.params) == (18000, (("duration", "3600"),))
    assert parse_retry_after("949302838503028349304023988").seconds == 2**32 - 1
    with pytest.raises(ParseError):
        parse_retry_after("soon")


def test_warning_quotes_what_a_peer_wrote():
    assert str(WarningValue(305, "fernamt.example", 'no "G.711", sorry')) == r'305 fernamt.example "no \"G.711\", sorry"'


def test_refer_to_and_refer_sub():
    assert [str(one.uri) for one in parse_refer_to("<sip:a@b>, Bert <tel:1>")] == ["sip:a@b", "tel:1"]
    assert [parse_refer_sub(text) for text in ("true", "False ; x=y")] == [True, False]
    for text in ("", "no", "false x"):
        with pytest.raises(ParseError):
            parse_refer_sub(text)


def test_privacy():
    assert parse_privacy("id; Critical,user ;") == ["id", "critical", "user"]


def test_min_expires():
    assert [parse_min_expires(text) for text in ("7200", "9" * 20)] == [7200, 2**32 - 1]
    with pytest.raises(ParseError):
        parse_min_expires("soon")


class TestAccessors:
    """The rows of `sip.message`: what is read when it is asked for, and what becomes of what cannot be read."""

    @staticmethod
    def message(*fields):
        return Response.build(200, None, fields)

    def test_missing_headers_have_no_value(self):
        message = self.message()
        assert (message.event, message.retry_after, message.refer_to, message.asserted_identities, message.accept) == (
            None,
            None,
            (),
            (),
            None,
        )

    def test_lists_of_several_fields_are_one(self):
        message = self.message(("Record-Route", "<sip:a;lr>, <sip:b;lr>"), ("Record-Route", "<sip:c;lr>"), ("Supported", "timer,path"))
        assert [route.uri.host for route in message.record_routes] == ["a", "b", "c"]
        assert (message.supported, message.require) == (("timer", "path"), ())

    def test_what_the_answer_hangs_on_raises(self):
        for name in ("Event", "Route", "Require", "Refer-To", "Content-Type", "Accept"):
            message = self.message((name, "(,"))
            with pytest.raises(ParseError):
                _ = (message.event, message.routes, message.require, message.refer_to, message.content_type, message.accept)

    def test_what_is_a_wish_alone_is_passed_over(self):
        names = ("Retry-After", "Session-Expires", "Min-SE", "Min-Expires", "Refer-Sub", "P-Called-Party-ID")
        message = self.message(*((name, "?") for name in names))
        wishes = (
            message.retry_after,
            message.session_expires,
            message.min_se,
            message.min_expires,
            message.refer_sub,
            message.called_party,
        )
        assert wishes == (None,) * 6

    def test_an_identity_that_cannot_be_read_hides_no_other(self):
        message = self.message(("P-Asserted-Identity", "<sip:"), ("P-Asserted-Identity", "<sip:1@a>, <tel:2>"))
        assert [str(one.uri) for one in message.asserted_identities] == ["sip:1@a", "tel:2"]

    def test_a_value_is_read_again_after_a_change(self):
        message = self.message(("Retry-After", "5"))
        assert message.retry_after.seconds == 5
        message.headers.set("Retry-After", "6")
        assert message.retry_after.seconds == 6


class TestHeaders:
    def test_names_are_case_insensitive_and_compact_forms_are_expanded(self):
        headers = Headers([("v", "1"), ("X-Own", "2"), ("VIA", "3")])
        assert list(headers) == [("Via", "1"), ("X-Own", "2"), ("Via", "3")]
        assert headers.get_all("via") == ["1", "3"]
        assert headers.get("x-own") == "2"
        assert "V" in headers
        assert headers.get("From") is None

    def test_building(self):
        headers = Headers([("Via", "1"), ("To", "2")])
        headers.add("Via", "0")
        headers.add("Route", "3")
        headers.set("to", "4")
        headers.set("Max-Forwards", 70)
        headers.replace_first("v", "9")
        assert list(headers) == [("Via", "9"), ("To", "4"), ("Via", "0"), ("Route", "3"), ("Max-Forwards", "70")]
        headers.set("Via", "5")
        headers.remove("Route")
        headers.remove("Route")
        assert list(headers) == [("Via", "5"), ("To", "4"), ("Max-Forwards", "70")]
        assert (headers.get_all("Via"), headers.get_all("Route"), len(headers)) == (["5"], [], 3)

    def test_copy_is_independent(self):
        headers = Headers([("Via", "1")])
        other = headers.copy()
        other.add("Via", "2")
        assert headers.get_all("Via") == ["1"]
        assert headers != other
        assert headers == Headers([("v", "1")])

    def test_typed_value_is_read_again_after_a_change(self):
        headers = Headers([("Call-ID", "1")])
        for value in ("1", "2"):
            headers.set("Call-ID", value)
            assert headers.typed("call-id", lambda found: found.get("Call-ID")) == value

    @pytest.mark.parametrize("name", ["", "a b", "a:", "ü", "a\r\nb"])
    def test_name_that_is_none_is_our_own_mistake(self, name):
        with pytest.raises(LocalMisuse):
            Headers().add(name, "x")

    def test_nothing_to_replace_is_our_own_mistake(self):
        with pytest.raises(LocalMisuse):
            Headers().replace_first("Via", "x")
