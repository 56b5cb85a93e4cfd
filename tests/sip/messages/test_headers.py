"""Header values, one by one: what is read from them, what is refused, what is written."""

import pytest

from sip.errors import LocalMisuse, ParseError
from sip.grammar import quote, split_list, unquote
from sip.headers.auth import Challenge, Credentials, parse_auth, parse_challenge, parse_credentials
from sip.headers.contact import contact_expires_s, contact_q, parse_contacts
from sip.headers.cseq import parse_cseq
from sip.headers.event import parse_event, parse_subscription_state
from sip.headers.fields import Headers
from sip.headers.media_type import parse_media_type
from sip.headers.name_addr import NameAddr, parse_name_addr
from sip.headers.rack import RAck, parse_rack, parse_rseq
from sip.headers.reason import Reason, parse_reasons
from sip.headers.replaces import Replaces, parse_replaces
from sip.headers.retry_after import parse_retry_after
from sip.headers.route import parse_routes
from sip.headers.session_expires import parse_session_interval
from sip.headers.via import parse_via, parse_vias
from sip.headers.warning import parse_warnings
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
        assert str(value.without_param("Tag")) == "A <sip:a@b>;x;y=2"
        assert value.without_params() == NameAddr(Uri.parse("sip:a@b"), "A")

    def test_line_breaks_cannot_leave_through_a_display_name(self):
        hostile = NameAddr(Uri("sip", user="a\r\nVia: x", host="b"), "a\r\nVia: x")
        assert str(hostile) == '"a  Via: x" <sip:a%0D%0AVia%3A%20x@b>'


class TestVia:
    def test_parts(self):
        via = parse_via("SIP/2.0/udp [2001:db8::1]:5070;branch=z9hG4bKa;rport;maddr=x")
        assert (via.transport, via.host, via.port, via.sent_by) == ("UDP", "2001:db8::1", 5070, "[2001:db8::1]:5070")
        assert (via.branch, via.has_rfc3261_branch, via.wants_rport, via.rport, via.maddr) == ("z9hG4bKa", True, True, None, "x")
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
        assert (credentials.cnonce, credentials.nc, credentials.nonce_count, credentials.is_digest) == ("c", "0000000a", 10, True)
        assert str(credentials) == text

    def test_defaults(self):
        assert Challenge("Digest").algorithm == "MD5"
        assert Challenge("Digest").qop == ()
        assert not Challenge("Digest").stale
        assert Credentials("Digest", (("nc", "1"),)).nonce_count is None

    def test_token68(self):
        assert parse_auth("Basic YTpi==").token68 == "YTpi=="
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
    assert [route.uri.host for route in parse_routes(["<sip:a;lr>, <sip:b;lr>", "<sip:c>"], "Route")] == ["a", "b", "c"]
    with pytest.raises(ParseError):
        parse_routes(["sip:a;lr"], "Route")


def test_media_ranges():
    sdp = parse_media_type("Application/SDP; level=1")
    assert (sdp.essence, sdp.param("level")) == ("application/sdp", "1")
    assert all(parse_media_type(text).accepts(sdp) for text in ("*/*", "application/*", "application/sdp"))
    assert not parse_media_type("text/*").accepts(sdp)
    for text in ("", "application", "application/", "/sdp", "a/b c"):
        with pytest.raises(ParseError):
            parse_media_type(text)


def test_event_and_subscription_state():
    assert (parse_event("refer;id=7").package, parse_event("refer;id=7").id) == ("refer", "7")
    state = parse_subscription_state("Terminated ; reason=noresource;expires=5;retry-after=x")
    assert (state.is_terminated, state.reason, state.expires_s, state.retry_after_s) == (True, "noresource", 5, None)
    with pytest.raises(ParseError):
        parse_event(";id=7")


def test_session_interval():
    interval = parse_session_interval("1800;refresher=UAS")
    assert (interval.seconds, interval.refresher, str(interval)) == (1800, "uas", "1800;refresher=UAS")
    assert parse_session_interval("90").refresher is None
    for text in ("", "x", "90 s", "99999999999"):
        with pytest.raises(ParseError):
            parse_session_interval(text)


def test_replaces_needs_both_tags_once():
    assert parse_replaces("a@b;from-tag=f;to-tag=t;early-only") == Replaces("a@b", "t", "f", early_only=True)
    assert str(Replaces("a@b", "t", "f")) == "a@b;to-tag=t;from-tag=f"
    for text in ("", "a@b", "a@b;to-tag=t", "a@b;to-tag=t;from-tag=f;from-tag=g", "a b;to-tag=t;from-tag=f", ";to-tag=t;from-tag=f"):
        with pytest.raises(ParseError):
            parse_replaces(text)


def test_reasons():
    reasons = parse_reasons(['SIP ;cause=200 ;text="Call completed, elsewhere"', "Q.850;cause=16, preemption"])
    assert reasons == (Reason("SIP", 200, "Call completed, elsewhere"), Reason("Q.850", 16), Reason("preemption"))
    assert parse_reasons([", ".join(map(str, reasons))]) == reasons


def test_retry_after():
    value = parse_retry_after("18000 (in a meeting) ;duration=3600")
    assert (value.seconds, value.duration_s) == (18000, 3600)
    assert parse_retry_after("949302838503028349304023988").seconds == 2**32 - 1
    with pytest.raises(ParseError):
        parse_retry_after("soon")


def test_warnings():
    (warning,) = parse_warnings(['305 fernamt.example "no \\"G.711\\", sorry"'])
    assert (warning.code, warning.agent, warning.text) == (305, "fernamt.example", 'no "G.711", sorry')
    with pytest.raises(ParseError):
        parse_warnings(['1812 overture "In Progress"'])


def test_rack_and_rseq():
    assert parse_rack("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    assert parse_rseq("4294967295") == 2**32 - 1
    for text in ("0", "4294967296", "x"):
        with pytest.raises(ParseError):
            parse_rseq(text)


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
        headers.prepend("Via", "0")
        headers.add("Route", "3")
        headers.set("to", "4")
        headers.set("Max-Forwards", 70)
        headers.replace_first("v", "9")
        assert list(headers) == [("Via", "9"), ("Via", "1"), ("To", "4"), ("Route", "3"), ("Max-Forwards", "70")]
        headers.set("Via", "5")
        headers.remove("Route")
        headers.remove("Route")
        assert list(headers) == [("Via", "5"), ("To", "4"), ("Max-Forwards", "70")]
        assert (headers.get_all("Via"), headers.get_all("Route"), headers.count("Via"), len(headers)) == (["5"], [], 1, 3)

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
