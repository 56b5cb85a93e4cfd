"""Keys in offers and answers: RFC 4568, RFC 8643, and that no session loses them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.errors import OfferRefused
from sip.sdp import crypto
from sip.sdp.crypto import MASTER_OCTETS, AgreedKeys, Crypto, SrtpTerms, SrtpUse
from sip.sdp.description import Attribute, Direction, known_attribute
from sip.sdp.offer_answer import LocalMedia, answer, audio_offer, check_offer, read_answer, reoffer
from sip.sdp.parser import parse_sdp
from sip.trace import without_secrets

LOCAL = LocalMedia("192.0.2.1", 30000)
GCM, CM = MASTER_OCTETS
KEY = bytes(range(30))
INLINE = base64.b64encode(KEY).decode()
THEIRS = Crypto(1, CM, KEY)


class Draw:
    """Keys that are told apart."""

    def __init__(self):
        self.drawn = 0

    def __call__(self, octets):
        self.drawn += 1
        return bytes([0x80 + self.drawn]) * octets


def terms(use=SrtpUse.ACCEPTED, agreed=None):
    return SrtpTerms(use, Draw(), agreed)


def offered(*lines, proto="RTP/SAVP", more=""):
    text = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
        f"m=audio 40000 {proto} 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n" + "".join(f"a=crypto:{line}\r\n" for line in lines) + more
    )
    return parse_sdp(text)


def line(tag=1, suite=CM, key=KEY, rest=""):
    return f"{tag} {suite} inline:{base64.b64encode(key).decode()}{rest}"


def own_line(description, slot=0):
    (found,) = crypto.lines(description.media[slot])
    return found


class TestLine:
    """RFC 4568 §9."""

    def test_it_has_a_tag_a_suite_and_key_and_salt_in_base_64(self):
        assert crypto.read(f"1 {CM} inline:{INLINE}") == THEIRS

    def test_the_example_of_section_10_1_is_read(self):
        """RFC 4568 §10.1, the line that has no MKI."""
        assert crypto.read("1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20") == Crypto(
            1, CM, b"YS___semctl () {\t220;}\n}\nunles"
        )

    @pytest.mark.parametrize(
        "rest", ["|2^20", "|2^31", "|2^48", "|1048576", " WSH=128", " wsh=64", " -X_EXTRA", " -KDR=1 WSH=64", "  ", "\t-A"]
    )
    def test_what_changes_nothing_for_us_is_borne(self, rest):
        assert crypto.read(f"1 {CM} inline:{INLINE}{rest}") == THEIRS

    @pytest.mark.parametrize(
        "rest",
        [
            "|2^20|1:4",  # an MKI would stand in each packet
            "|1:4",
            "|2^19",  # the key would have to be changed in the middle of a call
            "|1000",
            "|2^49",
            f";inline:{INLINE}|2^20|2:4",
            " KDR=1",
            " UNENCRYPTED_SRTP",
            " UNENCRYPTED_SRTCP",
            " UNAUTHENTICATED_SRTP",
            " FEC_ORDER=FEC_SRTP",
            f" FEC_KEY=inline:{INLINE}",
            " WSH=64 X_EXTRA",
        ],
    )
    def test_what_would_be_otherwise_on_the_wire_makes_it_useless(self, rest):
        assert crypto.read(f"1 {CM} inline:{INLINE}{rest}") is None

    @pytest.mark.parametrize(
        "value",
        [
            "",
            f"{CM} inline:{INLINE}",
            f"x {CM} inline:{INLINE}",
            f"1234567890 {CM} inline:{INLINE}",
            f"1 F8_128_HMAC_SHA1_80 inline:{INLINE}",
            f"1 AES_CM_128_HMAC_SHA1_32 inline:{INLINE}",
            f"1 {CM} {INLINE}",
            f"1 {CM} uri:{INLINE}",
            f"1 {CM} inline:{INLINE[:-4]}",
            f"1 {CM} inline:{INLINE}AAAA",
            f"1 {CM} inline:{INLINE[:-1]}!",
            f"1 {CM} inline:=",
            f"1 {GCM} inline:{INLINE}",
        ],
    )
    def test_what_is_malformed_of_another_suite_or_length_is_useless(self, value):
        assert crypto.read(value) is None

    def test_padding_that_was_left_out_is_no_reason_to_talk_in_plain(self):
        key = bytes(range(28))
        bare = base64.b64encode(key).decode().rstrip("=")
        assert crypto.read(f"2 {GCM} inline:{bare}") == Crypto(2, GCM, key)

    @given(st.integers(0, 999_999_999), st.sampled_from(sorted(MASTER_OCTETS)), st.data())
    def test_what_is_written_is_read(self, tag, suite, data):
        written = Crypto(tag, suite, data.draw(st.binary(min_size=MASTER_OCTETS[suite], max_size=MASTER_OCTETS[suite])))
        assert crypto.read(written.attribute().value) == written

    @given(st.text())
    def test_any_text_is_a_line_or_none(self, value):
        assert crypto.read(value) is None or value


class TestAnswer:
    """RFC 4568 §5.1.2."""

    def test_the_first_line_that_we_can_do_is_answered_with_its_tag_and_a_key_of_ours(self):
        offer = offered(line(3, "AES_256_CM_HMAC_SHA1_80"), line(4), line(5, GCM, bytes(28)))
        made = answer(offer, LOCAL, session_id=1, srtp=terms())
        (media,) = made.description.media
        ours = own_line(made.description)
        assert (media.proto, ours.tag, ours.suite) == ("RTP/SAVP", 4, CM)
        assert ours.key not in {KEY, bytes(30)}
        assert made.audio.srtp == AgreedKeys(CM, send=ours.key, receive=KEY)
        assert str(made.description).count("a=crypto:") == 1

    @pytest.mark.parametrize("proto", ["RTP/SAVP", "RTP/SAVPF"])
    def test_the_transport_of_the_offer_is_that_of_the_answer(self, proto):
        assert answer(offered(line(), proto=proto), LOCAL, session_id=1, srtp=terms()).description.media[0].proto == proto

    @pytest.mark.parametrize("use", [SrtpUse.ACCEPTED, SrtpUse.WISHED, SrtpUse.REQUIRED])
    def test_keys_beside_plain_rtp_are_taken(self, use):
        """RFC 8643 §3.2: the answer is RTP/AVP with a=crypto, and what flows is encrypted."""
        made = answer(offered(line(), proto="RTP/AVP"), LOCAL, session_id=1, srtp=terms(use))
        assert made.description.media[0].proto == "RTP/AVP"
        assert made.audio.srtp is not None
        assert own_line(made.description).key == made.audio.srtp.send

    @pytest.mark.parametrize("use", [SrtpUse.OFF, SrtpUse.ACCEPTED, SrtpUse.WISHED])
    def test_keys_that_we_cannot_use_beside_plain_rtp_leave_it_plain(self, use):
        made = answer(offered(line(rest="|2^20|1:4"), proto="RTP/AVP"), LOCAL, session_id=1, srtp=terms(use))
        assert made.audio.srtp is None
        assert "crypto" not in str(made.description)

    @pytest.mark.parametrize("srtp", [None, terms(SrtpUse.OFF)])
    def test_who_takes_no_keys_leaves_them_aside_and_refuses_where_they_are_a_condition(self, srtp):
        assert answer(offered(line(), proto="RTP/AVP"), LOCAL, session_id=1, srtp=srtp).audio.srtp is None
        with pytest.raises(OfferRefused) as refused:
            check_offer(offered(line()), LOCAL.address, srtp=srtp)
        assert refused.value.warning_code == 302

    @pytest.mark.parametrize("lines", [(), (line(rest=" UNENCRYPTED_SRTP"),), (line(suite="F8_128_HMAC_SHA1_80"),)])
    def test_a_condition_without_a_line_that_we_can_do_is_refused_with_306(self, lines):
        with pytest.raises(OfferRefused) as refused:
            answer(offered(*lines), LOCAL, session_id=1, srtp=terms())
        assert refused.value.warning_code == 306

    def test_plain_is_refused_where_keys_are_required(self):
        for lines in ((), (line(rest=" KDR=1"),)):
            with pytest.raises(OfferRefused) as refused:
                answer(offered(*lines, proto="RTP/AVP"), LOCAL, session_id=1, srtp=terms(SrtpUse.REQUIRED))
            assert refused.value.warning_code == 302

    @pytest.mark.parametrize(("use", "slot"), [(SrtpUse.OFF, 1), (SrtpUse.ACCEPTED, 0), (SrtpUse.REQUIRED, 0)])
    def test_of_a_stream_with_keys_and_the_same_without_one_is_taken(self, use, slot):
        """As phones offer it that know no RFC 8643."""
        offer = offered(line(), more="m=audio 40002 RTP/AVP 0 8\r\n")
        made = answer(offer, LOCAL, session_id=1, srtp=terms(use))
        assert [media.port for media in made.description.media] == [30000 if index == slot else 0 for index in range(2)]
        assert (made.audio.srtp is not None) == (slot == 0)
        assert "crypto" not in str(made.description.media[1 - slot])

    def test_of_two_lines_of_one_tag_the_first_counts(self):
        """RFC 4568 §5.1.1: a tag MUST be unique."""
        made = answer(offered(line(1), line(1, key=bytes(30))), LOCAL, session_id=1, srtp=terms())
        assert made.audio.srtp.receive == KEY


class TestAnswerWithinASession:
    """A re-INVITE: hold, a refresh, another codec."""

    def agreed(self):
        made = answer(offered(line()), LOCAL, session_id=1, srtp=terms())
        return made.description, made.audio.srtp

    def test_our_key_stays_while_theirs_does_and_so_does_the_description(self):
        description, keys = self.agreed()
        again = answer(offered(line()), LOCAL, session_id=1, previous=description, srtp=terms(agreed=keys))
        assert again.audio.srtp == keys
        assert again.description == description

    def test_a_hold_changes_no_key(self):
        description, keys = self.agreed()
        held = answer(offered(line(), more="a=sendonly\r\n"), LOCAL, session_id=1, previous=description, srtp=terms(agreed=keys))
        assert held.audio.direction is Direction.RECVONLY
        assert held.audio.srtp == keys

    def test_a_new_key_of_theirs_brings_a_new_one_of_ours(self):
        description, keys = self.agreed()
        draw = Draw()
        draw(1)
        renewed = answer(
            offered(line(2, key=bytes(30))), LOCAL, session_id=1, previous=description, srtp=SrtpTerms(SrtpUse.ACCEPTED, draw, keys)
        )
        assert renewed.audio.srtp.receive == bytes(30)
        assert renewed.audio.srtp.send != keys.send
        assert own_line(renewed.description) == Crypto(2, CM, renewed.audio.srtp.send)
        assert renewed.description.origin.session_version == description.origin.session_version + 1

    @pytest.mark.parametrize("use", SrtpUse)
    def test_a_session_that_has_keys_is_not_made_plain(self, use):
        _, keys = self.agreed()
        with pytest.raises(OfferRefused) as refused:
            answer(offered(proto="RTP/AVP"), LOCAL, session_id=1, srtp=terms(use, keys))
        assert refused.value.warning_code == 302


class TestOffer:
    """RFC 4568 §5.1.1, §5.1.3."""

    def offer(self, *, is_secure):
        return audio_offer(LOCAL, session_id=1, crypto=crypto.fresh(Draw()), is_secure=is_secure)

    def test_every_suite_is_offered_with_a_key_of_its_own_best_first(self):
        media = self.offer(is_secure=True).media[0]
        found = crypto.lines(media)
        assert media.proto == "RTP/SAVP"
        assert [(one.tag, one.suite) for one in found] == [(1, GCM), (2, CM)]
        assert len({one.key for one in found}) == 2
        assert self.offer(is_secure=False).media[0].proto == "RTP/AVP"
        assert parse_sdp(str(self.offer(is_secure=True))) == self.offer(is_secure=True)

    @pytest.mark.parametrize("is_secure", [True, False])
    def test_the_answer_chooses_one_of_them_by_its_tag(self, is_secure):
        offer = self.offer(is_secure=is_secure)
        proto = offer.media[0].proto
        audio = read_answer(offer, offered(line(2), proto=proto))
        assert audio.srtp == AgreedKeys(CM, send=crypto.lines(offer.media[0])[1].key, receive=KEY)

    def test_keys_that_were_wished_for_may_be_left_aside(self):
        """RFC 8643 §3.1."""
        assert read_answer(self.offer(is_secure=False), offered(proto="RTP/AVP")).srtp is None

    @pytest.mark.parametrize(
        ("is_secure", "answered", "warning"),
        [
            (True, offered(proto="RTP/AVP"), 302),
            (True, offered(), 302),
            (True, offered(line(7)), 306),
            (True, offered(line(1)), 306),  # the tag of one suite, the name of another
            (True, offered(line(2, rest=" UNENCRYPTED_SRTP")), 306),
            (False, offered(line(7), proto="RTP/AVP"), 306),
            (False, offered(), 302),
        ],
    )
    def test_an_answer_that_chooses_none_of_ours_is_refused(self, is_secure, answered, warning):
        with pytest.raises(OfferRefused) as refused:
            read_answer(self.offer(is_secure=is_secure), answered)
        assert refused.value.warning_code == warning

    def test_keys_that_nobody_offered_are_no_keys(self):
        offer = audio_offer(LOCAL, session_id=1)
        assert read_answer(offer, offered(line(), proto="RTP/AVP")).srtp is None
        with pytest.raises(OfferRefused):
            read_answer(offer, offered(line()))

    def test_an_answer_within_a_session_that_has_keys_is_not_plain(self):
        with pytest.raises(OfferRefused):
            read_answer(self.offer(is_secure=False), offered(proto="RTP/AVP"), is_protected=True)

    def test_a_next_offer_has_the_one_line_that_is_in_force_as_it_is(self):
        offer = self.offer(is_secure=True)
        keys = read_answer(offer, offered(line(2))).srtp
        again = reoffer(offer, LOCAL, agreed=keys, direction=Direction.SENDONLY)
        assert crypto.lines(again.media[0]) == (Crypto(2, CM, keys.send),)
        assert again.media[0].proto == "RTP/SAVP"
        assert reoffer(again, LOCAL, agreed=keys, direction=Direction.SENDONLY) == again

    def test_a_next_offer_may_renew_our_key_under_its_tag(self):
        description, keys = TestAnswerWithinASession().agreed()
        moved = reoffer(description, LocalMedia("192.0.2.1", 30010), agreed=keys, renewed=bytes(30))
        assert crypto.lines(moved.media[0]) == (Crypto(1, CM, bytes(30)),)

    def test_where_keys_were_left_aside_the_next_offer_has_none(self):
        assert "crypto" not in str(reoffer(self.offer(is_secure=False), LOCAL))


class TestSecrecy:
    def test_no_repr_shows_a_key(self):
        made = answer(offered(line()), LOCAL, session_id=1, srtp=terms())
        shown = f"{made.audio!r} {THEIRS!r} {made.audio.srtp!r} {terms(agreed=made.audio.srtp)!r} {made.description!r}"
        for secret in (KEY, made.audio.srtp.send):
            assert repr(secret)[2:12] not in shown
            assert base64.b64encode(secret).decode() not in shown

    @pytest.mark.parametrize("form", [str, repr, lambda made: str(made).replace(f"{CM} ", f"{CM}  \t")])
    def test_whatever_is_written_of_a_description_is_logged_without_keys(self, form):
        told = without_secrets(form(offered(line(rest="|2^31 WSH=64"), line(2, GCM, bytes(28)))))
        assert INLINE not in told
        assert base64.b64encode(bytes(28)).decode() not in told
        assert "AES_CM_128_HMAC_SHA1_80" in told

    def test_nothing_that_is_remembered_of_descriptions_holds_a_key(self):
        before = known_attribute.cache_info().currsize
        for number in range(40):
            made = offered(line(key=bytes([number]) * 30, rest=f" -X{number}"))
            assert [one.number for one in made.media[0].payload_types] == [0, 8, 101]
            assert made.media[0].direction is None
            assert made.media[0].attribute("crypto").startswith("1 AES")
            str(made)
        assert known_attribute.cache_info().currsize - before <= 1
        assert Attribute("crypto", line()) in offered(line()).media[0].attributes
