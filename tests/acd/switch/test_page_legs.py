"""A leg to a browser in descriptions and in what its worker is told: the same of ourselves until it restarts ICE or we are elsewhere."""

import msgspec
import pytest

from acd.switch import media_plan
from acd.switch.addresses import LocalAddresses
from acd.switch.channel_costs import of_their_offer
from media.control import Browser, LegOpened
from media.transport.ice import Credentials
from media.transport.keys import Suite
from media.wire_cost import SRTP_OF, ChannelShape, channel_kbits
from sip.sdp.crypto import SrtpTerms, SrtpUse
from sip.sdp.parser import parse_sdp
from tests.sip.sdp.test_webrtc import FOLDER

OURS = LegOpened(request=1, leg="l", address="127.0.0.1", rtp_port=30000, rtcp_port=30001, fingerprint="sha-256 AA:AA")
ELSEWHERE = msgspec.structs.replace(OURS, rtp_port=30010, rtcp_port=30011, fingerprint="sha-256 BB:BB")
ICE = Credentials("ourufrag", "p" * 24)
CODECS = ("PCMA", "PCMU")
OFFERS = {path.stem: path.read_bytes() for path in sorted(FOLDER.glob("*.sdp"))}


def draw(octets):
    return bytes(range(octets))


def offered(name):
    return media_plan.read(OFFERS[name], OURS.address, srtp=SrtpTerms(SrtpUse.OFF, draw))


def answered(name="chromium_audio", media=OURS, ice=ICE, **more):
    return media_plan.answer(offered(name), media, CODECS, 1, dtls=media_plan.to_page(media, ice, **more))


def of(description, name):
    return description.media[0].attribute(name)


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_a_browser_is_answered_in_pcma_whatever_the_rules_for_keys_and_its_worker_told_who_it_is(name):
    description, plan = answered(name)
    assert (plan.codec, plan.is_page, plan.is_protected) == ("PCMA", True, True)
    told = plan.describe("l", 60.0, ice=ICE)
    assert told.srtp is None
    assert told.browser == Browser(fingerprints=tuple(map(str, plan.audio.dtls.peer.fingerprints)), is_client=False, ice=ICE)
    assert told.telephone_event == {"chromium": 126, "firefox": 101}[name.partition("_")[0]]
    assert (of(description, "ice-ufrag"), of(description, "setup")) == (ICE.ufrag, "passive")


def test_it_is_told_the_addresses_that_lead_to_us_from_outside():
    description, _ = answered(addresses=("203.0.113.5", "2001:db8::5"))
    found = [one.value.split()[4] for one in description.media[0].attributes if one.name == "candidate"]
    assert found == ["203.0.113.5", "2001:db8::5"]
    assert media_plan.names(description, OURS)


def test_the_codec_another_party_speaks_is_rather_taken_than_ours():
    _, plan = media_plan.answer(offered("chromium_audio"), OURS, CODECS, 1, spoken="PCMU", dtls=media_plan.to_page(OURS, ICE))
    assert plan.codec == "PCMU"


def test_a_hold_changes_nothing_of_us_and_another_ufrag_of_theirs_is_an_ice_restart():
    description, plan = answered()
    held = OFFERS["chromium_audio"].replace(b"a=sendrecv", b"a=sendonly")
    again, changed = media_plan.answer(
        media_plan.read(held, OURS.address), OURS, CODECS, 1, description, dtls=media_plan.to_page(OURS, ICE, before=plan)
    )
    assert changed.is_hold
    for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid"):
        assert of(again, name) == of(description, name)
    assert not media_plan.restarts_ice(media_plan.read(held, OURS.address), plan)
    ufrag = plan.audio.dtls.peer.ufrag.encode()
    assert media_plan.restarts_ice(media_plan.read(held.replace(b"a=ice-ufrag:" + ufrag, b"a=ice-ufrag:anotherone"), OURS.address), plan)


def test_a_page_is_a_page_for_ever():
    description, plan = answered()
    plain = media_plan.read(
        b"v=0\r\no=- 1 2 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n", OURS.address
    )
    with pytest.raises(media_plan.NoCommonMedia) as refused:
        media_plan.answer(plain, OURS, CODECS, 1, description, dtls=media_plan.to_page(OURS, ICE, before=plan))
    assert refused.value.warning == 302
    assert not media_plan.restarts_ice(plain, plan)


def test_from_another_worker_it_is_offered_other_credentials_and_another_certificate():
    description, plan = answered()
    assert not media_plan.names(description, ELSEWHERE)
    fresh = media_plan.draw_ice(draw)
    offer = media_plan.moved(description, ELSEWHERE, plan.codec, dtls=media_plan.to_page(ELSEWHERE, fresh, before=plan))
    assert media_plan.names(offer, ELSEWHERE)
    assert (of(offer, "ice-ufrag"), of(offer, "fingerprint"), of(offer, "setup")) == (fresh.ufrag, ELSEWHERE.fingerprint, "actpass")
    assert of(offer, "mid") == of(description, "mid")
    assert offer.origin.session_version == description.origin.session_version + 1


def test_drawn_credentials_are_as_long_as_the_rfc_wants_and_others_each_time():
    first = media_plan.draw_ice(draw)
    assert (len(first.ufrag), len(first.pwd)) == (8, 24)
    assert first != media_plan.draw_ice(lambda octets: b"\xff" * octets)


def test_its_channel_costs_what_gcm_adds():
    cost = channel_kbits(ChannelShape(srtp=SRTP_OF[Suite.AEAD_AES_128_GCM]))
    assert of_their_offer(parse_sdp(OFFERS["chromium_audio"]), SrtpUse.OFF, CODECS).kbits >= cost > channel_kbits(ChannelShape())


def test_a_page_on_this_machine_is_met_where_the_default_route_begins_unless_loopback_is_what_pages_are_told():
    at_large = LocalAddresses(None).reaching("192.0.2.1")
    assert LocalAddresses(None).of_page("127.0.0.1") == at_large
    assert LocalAddresses(None, ("127.0.0.1",)).of_page("127.0.0.1") == "127.0.0.1"
    assert LocalAddresses("203.0.113.5").page_addresses == ("203.0.113.5",)
    assert LocalAddresses("sip.example.net").page_addresses == ()
    assert LocalAddresses("203.0.113.5", ("127.0.0.1",)).page_addresses == ("127.0.0.1",)


def test_a_socket_is_bound_where_packets_leave_and_peers_are_told_the_public_address():
    """Behind 1:1 NAT the public address is nobody's that could be bound."""
    ours = LocalAddresses("203.0.113.5")
    assert (ours.leaving("127.0.0.9"), ours.told("127.0.0.1"), ours.reaching("127.0.0.9")) == ("127.0.0.1", "203.0.113.5", "203.0.113.5")
    assert LocalAddresses(None).told("127.0.0.1") == "127.0.0.1"
