"""Dialogs as phones and carriers in the field have them, over real sockets: what is heard at the far RTP port, said at the phone, and
written into the record.

The inputs of ../shared/cases/telephony are played from there where they are present; a case of our own stands beside each kind.
"""

import asyncio
import random
import re
import socket

import msgspec
import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.errors import PhoneRefused
from acd.numbers import normalise
from load.phone_audio import PhoneAudio, probe_tone
from load.phones import CallFailed, SyntheticPhone
from media.rtp.packet import RtpPacket, parse
from sip.events import ReInviteAnswered
from sip.headers.reason import parse_reasons
from sip.message import Response
from sip.parser import parse_datagram
from sip.sdp.offer_answer import answer
from sip.sdp.parser import parse_sdp
from tests.acd.carrier import carrier_at, gateway
from tests.acd.test_trunks import OUTSIDE, callers, destinations, house, line, trunk
from tests.acd.test_voice import ready
from tests.acd.voice import TENANT, free_port, running
from tests.field.cases import message

pytestmark = pytest.mark.slow
HIGH, LOW = 1000, 440

OWN_MULTIPART = """\
INVITE sip:{DID}@{SERVER} SIP/2.0
Via: SIP/2.0/UDP {IP}:{PORT};rport;branch=z9hG4bK{RANDOM}
Max-Forwards: 70
From: <sip:+491711234567@carrier.example>;tag={RANDOM}
To: <sip:{DID}@{SERVER}>
Call-ID: {RANDOM}
CSeq: 1 INVITE
Contact: <sip:gw@{IP}:{PORT}>
Content-Type: multipart/mixed; boundary="a b"
Content-Length: {LENGTH}

--a b
Content-Type: application/isup; version=itu-t92+
Content-Disposition: signal; handling=optional

XX
--a b
Content-Type: multipart/alternative;boundary=in

--in
Content-Type: application/sdp

v=0
o=Anna Maria 4711 1 IN IP4 {IP}
s=-
c=IN IP4 {IP}
t=0 0
m=audio {RTP} RTP/AVP 8
a=ptime:20

--in--
--a b--
"""


class Wire:
    """A carrier of bare sockets: one for SIP, one for RTP."""

    def __init__(self, address) -> None:
        self.sip, self.rtp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self.sip, self.rtp):
            one.bind(("127.0.0.1", 0))
            one.settimeout(5)
        self.address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sip.close()
        self.rtp.close()

    def play(self, text: str, number: str) -> Response:
        """Send a case; returns the final response, and hangs a call that was taken up again."""
        head, _, body = text.strip("\n").partition("\n\n")
        fill = {
            "SERVER": f"{self.address[0]}:{self.address[1]}",
            "IP": "127.0.0.1",
            "PORT": str(self.sip.getsockname()[1]),
            "RTP": str(self.rtp.getsockname()[1]),
            "DID": number,
        }
        head, body = (re.sub("{(SERVER|IP|PORT|RTP|DID)}", lambda found: fill[found[1]], part) for part in (head, body))
        head, body = re.sub("{RANDOM}", lambda _: random.randbytes(6).hex(), head).replace("\n", "\r\n"), body.replace("\n", "\r\n")
        octets = head.replace("{LENGTH}", str(len(body))).encode() + b"\r\n\r\n" + body.encode()
        self.sip.sendto(octets, self.address)
        while (response := parse_datagram(self.sip.recv(65535))).status < 200:
            pass
        for method in ("ACK", "BYE") if response.status < 300 else ("ACK",):
            lines = [f"{method} sip:fernamt@{fill['SERVER']} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{fill['PORT']};branch=z9hG4bK{method}"]
            lines += [f"{name}: {response.headers.get(name)}" for name in ("From", "To", "Call-ID")]
            lines += [f"CSeq: {1 if method == 'ACK' else 2} {method}", "Max-Forwards: 70", "Content-Length: 0", "", ""]
            if method == "BYE":
                self.heard()
            self.sip.sendto("\r\n".join(lines).encode(), self.address)
        return response

    def heard(self) -> RtpPacket:
        """The next packet at the RTP port."""
        return parse(self.rtp.recv(2048))


def rewriting(bank, start: bytes, change) -> None:
    """What a phone sends and begins so goes out changed: for phones that no engine of ours would be."""
    original = bank.user_agent.datagrams_to_send
    bank.user_agent.datagrams_to_send = lambda: [(flow, change(data) if data.startswith(start) else data) for flow, data in original()]


def without_body(data: bytes) -> bytes:
    lines = [
        one for one in data.partition(b"\r\n\r\n")[0].split(b"\r\n") if not one.lower().startswith((b"content-type", b"content-length"))
    ]
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


def with_body(data: bytes, sdp: bytes) -> bytes:
    head = data.partition(b"\r\n\r\n")[0].replace(b"Content-Length: 0", b"Content-Type: application/sdp\r\nContent-Length: %d" % len(sdp))
    return head + b"\r\n\r\n" + sdp


async def talking(service, *, change=None):
    """A caller of 601 and Anna, who has taken the call; both calls."""
    anna = await ready(service, "anna")
    if change is not None:
        change(anna)
    caller = await (await service.caller()).call("601")
    hers = await anna.incoming()
    await hers.answer()
    await caller.answered()
    return caller, hers


# ---------------------------------------------------------------------- the answer, wherever it comes


async def test_the_answer_in_the_ack_of_a_reinvite_moves_the_audio(tmp_path):
    """f07: RFC 3264 §4, RFC 3261 §14.1. The old port hears nothing any more, which shows that it was not the latch."""
    async with running(tmp_path) as service:
        caller, hers = await talking(service)
        bank, old = hers.phone.bank, hers.audio
        moved = PhoneAudio(bank.address, random.Random(7))
        answers = {}

        def take_the_offer(event):
            if isinstance(event, ReInviteAnswered):
                answers["status"] = event.status

        def with_the_answer(data):
            return with_body(data, answers["sdp"]) if "sdp" in answers else data

        receive = bank.user_agent.receive_message

        def look(message, flow, now):
            if isinstance(message, Response) and message.cseq.method == "INVITE" and message.sdp is not None:
                agreed = answer(parse_sdp(message.sdp), moved.local, session_id=9, capabilities=hers.phone.capabilities)
                answers["sdp"] = agreed.description.to_bytes()
                moved.talk_to(agreed.audio)
            receive(message, flow, now)

        bank.user_agent.receive_message = look
        rewriting(bank, b"ACK", with_the_answer)
        old.close()
        hers.audio = moved
        on_event = hers.on_event
        hers.on_event = lambda event: (take_the_offer(event), on_event(event))
        bank.user_agent.reinvite(hers.session, None, bank.now())
        bank.flush()
        caller.start_tone(HIGH, 5.0)
        await moved.wait_for_tone(HIGH, 5.0)
        assert answers["status"] == 200
        moved.say(probe_tone(LOW, 3.0))
        await caller.hears_tone(LOW)
        hers.hang_up()
        await caller.ended()
        (entry,) = await service.cdrs()
        assert entry.cdr.outcome == "answered"


async def test_hold_in_the_ack_of_a_reinvite_is_a_hold_and_ends_as_one(tmp_path):
    """A sibling: the direction stands in the same answer."""
    async with running(tmp_path) as service:
        caller, hers = await talking(service)
        bank = hers.phone.bank
        wish = {"direction": b"sendonly"}
        receive = bank.user_agent.receive_message
        ready_answer = {}

        def look(message, flow, now):
            if isinstance(message, Response) and message.cseq.method == "INVITE" and message.sdp is not None:
                agreed = answer(parse_sdp(message.sdp), hers.audio.local, session_id=9, capabilities=hers.phone.capabilities)
                ready_answer["sdp"] = agreed.description.to_bytes().replace(b"a=sendrecv", b"a=" + wish["direction"])
            receive(message, flow, now)

        bank.user_agent.receive_message = look
        rewriting(bank, b"ACK", lambda data: with_body(data, ready_answer["sdp"]))

        async def state(wanted):
            async with asyncio.timeout(5):
                while not any(party.state == wanted for call in service.voice.live(TENANT).calls for party in call.parties):
                    await asyncio.sleep(0.01)

        bank.user_agent.reinvite(hers.session, None, bank.now())
        bank.flush()
        await state("held_by_phone")
        wish["direction"] = b"sendrecv"
        bank.user_agent.reinvite(hers.session, None, bank.now())
        bank.flush()
        await state("connected")
        hers.hang_up()
        await caller.ended()


async def test_an_answer_before_the_200_is_the_answer(tmp_path):
    """f08: RFC 3261 §13.2.1. It was hung up on."""
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        rewriting(anna.bank, b"SIP/2.0 200", lambda data: without_body(data) if b"CSeq: 1 INVITE" in data else data)
        caller = await (await service.caller()).call("601")
        hers = await anna.incoming()
        hers.speak_early()
        await hers.answer()
        await caller.answered()
        caller.start_tone(HIGH, 3.0)
        hers.start_tone(LOW, 3.0)
        await hers.hears_tone(HIGH)
        await caller.hears_tone(LOW)
        caller.hang_up()
        assert await hers.ended() == "remote"


# ---------------------------------------------------------------------- what is offered


@pytest.mark.parametrize("text", [OWN_MULTIPART, *filter(None, [message("f09-multipart")])])
async def test_a_call_with_isup_beside_its_description_is_taken_and_heard(tmp_path, text):
    """f09: RFC 5621; `play` waits for a packet at the port that the part describes."""
    async with running(tmp_path) as service:
        with Wire(service.address) as wire:
            response = await asyncio.to_thread(wire.play, text, "600")
        assert response.status == 200
        (entry,) = await service.cdrs()
        assert entry.cdr.calling == "+491711234567"


PLAIN = OWN_MULTIPART.partition("Content-Type")[0] + "Content-Type: application/sdp\nContent-Length: {LENGTH}\n\n"
SDP = "v=0\no=- 1 1 IN IP4 {IP}\ns=-\nc=%s\nt=0 0\nm=audio {RTP} RTP/AVP 8\n"


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (PLAIN + SDP % "IN IP6 2001:db8::7", 488, 301),
        (PLAIN + SDP % "IN IP4 phone.example.de", 488, 301),
        (PLAIN + SDP % "IN IP4 233.252.0.1/127", 488, 330),
        (PLAIN + SDP % "IN IP4 255.255.255.255", 488, 301),
        (PLAIN.replace("Contact: <sip:gw@{IP}:{PORT}>\n", "") + SDP % "IN IP4 {IP}", 400, 399),
        (PLAIN.replace("Content-Type", f"X-Token: {'y' * 9000}\nContent-Type") + SDP % "IN IP4 {IP}", 513, 399),
        (OWN_MULTIPART.replace("handling=optional", "handling=required"), 415, None),
        (OWN_MULTIPART.replace("--a b--\n", ""), 400, 399),
    ],
)
async def test_what_would_be_dead_air_or_silence_is_refused_with_the_reason(tmp_path, text, status, code):
    """RFC 3261 §20.43, §8.1.1.8, §21.4.13; the next call is taken."""
    async with running(tmp_path) as service:
        with Wire(service.address) as wire:
            response = await asyncio.to_thread(wire.play, text, "600")
            assert response.status == status
            assert [one[:3] for one in response.headers.get_all("Warning")] == ([] if code is None else [str(code)])
            assert (await asyncio.to_thread(wire.play, PLAIN + SDP % "IN IP4 {IP}", "600")).status == 200


# ---------------------------------------------------------------------- early media


def outside(*lines, trunks=None):
    """A house whose calls go out over these lines."""
    return house([*(trunks or [trunk(one.id, at) for at, one in enumerate(lines)]), callers()[0]], [*lines, callers()[1]])


async def test_what_a_carrier_says_before_it_answers_is_heard_both_ways(tmp_path):
    """RFC 3960 §2: the caller was not answered, gets 183 and hears the announcement; who asks for digits there hears the caller."""
    port = free_port()
    async with carrier_at(port) as carrier, running(tmp_path, outside(line("own", port))) as service, gateway(carrier, service) as theirs:
        anna = await ready(service, "anna")
        hers = await anna.call(OUTSIDE)
        far = await theirs.incoming()  # it has said 180 already
        far.speak_early()
        far.ring()  # 180 behind the 183 takes nothing away
        far.start_tone(HIGH, 3.0)
        await hers.hears_tone(HIGH)
        assert (hers.response_status, hers.answered_at) == (183, None)
        hers.start_tone(LOW, 3.0)
        await far.hears_tone(LOW)
        await far.answer()
        await hers.answered()
        at = hers.audio.position
        far.start_tone(LOW, 2.0)
        async with asyncio.timeout(5):
            await hers.audio.wait_for(1600, 5, at)
        hers.hang_up()
        await far.ended()
        (entry,) = await service.cdrs()
        assert entry.cdr.outcome == "answered"
        assert service.voice.figures()["fernamt_switch_legs_heard_early_total"] == 1


async def test_an_announcement_in_the_place_of_an_answer_is_heard_and_costs_nothing(tmp_path):
    port = free_port()
    async with carrier_at(port) as carrier, running(tmp_path, outside(line("own", port))) as service, gateway(carrier, service) as theirs:
        anna = await ready(service, "anna")
        hers = await anna.call(OUTSIDE)
        far = await theirs.incoming()
        far.speak_early()
        far.start_tone(HIGH, 2.0)
        await hers.hears_tone(HIGH)
        far.decline(404)
        with pytest.raises(CallFailed) as failed:
            await hers.answered()
        assert failed.value.status == 404
        (entry,) = await service.cdrs()
        assert destinations(entry) == [("own", "not_found")]


async def test_a_trunk_may_have_our_own_ring_back_in_its_place(tmp_path):
    port = free_port()
    own = line("own", port, early_media="ringback")
    async with carrier_at(port) as carrier, running(tmp_path, outside(own)) as service, gateway(carrier, service) as theirs:
        anna = await ready(service, "anna")
        hers = await anna.call(OUTSIDE)
        far = await theirs.incoming()
        far.speak_early()
        far.start_tone(HIGH, 1.0)
        await far.audio.silence()
        assert (hers.response_status, hers.audio.received) == (180, 0)
        await far.answer()
        await hers.answered()
        hers.hang_up()
        await far.ended()


# ---------------------------------------------------------------------- codes


def refusing(phone: SyntheticPhone, status: int, *headers):
    """Every call at the carrier is refused so."""
    bank = phone.bank

    def refuse(call):
        bank.user_agent.reject(call.session, status, bank.now(), headers=headers)
        bank.flush()

    phone.on_incoming = refuse


REASON_17 = ("Reason", 'Q.850;cause=17;text="User busy"')


@pytest.mark.parametrize(
    ("status", "headers", "told", "cause", "tried"),
    [
        (484, (), 484, "incomplete", 1),
        (403, (), 403, "forbidden", 1),
        (487, (), 480, "no_answer", 1),
        (302, (("Contact", "<sip:+4930111222@elsewhere.example>"),), 480, "redirected", 1),
        (500, (REASON_17,), 486, "busy", 1),  # f18
        (503, (REASON_17,), 486, "busy", 1),
        (480, (("Reason", "Q.850;cause=34"),), 503, "congestion", 2),
        (500, (), 503, "congestion", 2),
    ],
)
async def test_what_a_carrier_refuses_with_is_told_to_our_caller(tmp_path, status, headers, told, cause, tried):
    """RFC 6432, RFC 3398 §7.2.4.1: a cause of the number ends the call, one of the trunk has the next one tried."""
    first, second = free_port(), free_port()
    tenant = outside(line("one", first), line("two", second))
    async with carrier_at(first) as a, carrier_at(second) as b, running(tmp_path, tenant) as service:
        async with gateway(a, service) as ones, gateway(b, service) as twos:
            for phone in (ones, twos):
                refusing(phone, status, *headers)
            hers = await (await ready(service, "anna")).call(OUTSIDE)
            with pytest.raises(CallFailed) as failed:
                await hers.answered()
        assert failed.value.status == told
        (entry,) = await service.cdrs()
        assert destinations(entry) == [(name, cause) for name in ("one", "two")[:tried]]


async def test_a_moved_party_is_followed_as_often_as_the_trunk_allows(tmp_path):
    """RFC 3261 §8.1.3.4: two carriers that send a call back and forth are let go; each number is priced and written down for itself."""
    port = free_port()
    own = line("own", port)
    there = msgspec.structs.replace(trunk("own"), redirects=2)
    async with carrier_at(port) as carrier, running(tmp_path, outside(own, trunks=[there])) as service, gateway(carrier, service) as theirs:
        called = []
        numbers = ["+4930111222", "+4930111333"]

        def send_on(call):
            called.append(call.request.uri.user)
            target = numbers[len(called) % 2]
            carrier.user_agent.reject(call.session, 302, carrier.now(), headers=(("Contact", f"<sip:{target}@else.example>"),))
            carrier.flush()

        theirs.on_incoming = send_on
        hers = await (await ready(service, "anna")).call(OUTSIDE)
        with pytest.raises(CallFailed) as failed:
            await hers.answered()
        assert failed.value.status == 480
        assert called == [normalise(OUTSIDE), numbers[1], numbers[0]]
        (entry,) = await service.cdrs()
        assert [leg.number for leg in entry.cdr.legs if leg.role == "destination"] == called


async def test_a_cancelled_phone_and_one_that_is_hung_up_are_told_why(tmp_path):
    """RFC 3326: CANCEL for who did not take the call, BYE for who did."""
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        caller = await (await service.caller()).call("601")
        hers = await anna.incoming()
        caller.hang_up()
        await hers.ended()
        assert [(one.protocol, one.cause) for one in parse_reasons([hers.reason_header])] == [("Q.850", 16)]


# ---------------------------------------------------------------------- the desk and its phone


async def take(service):
    return await service.voice.command(TENANT, inp.Answer(agent=AgentId("anna")))


async def test_answer_at_the_desk_returns_when_the_phone_has_taken_the_call(tmp_path):
    async with running(tmp_path) as service:
        anna = await ready(service, "anna")
        caller = await (await service.caller()).call("601")
        hers = await anna.incoming()
        await caller.answered()
        await asyncio.sleep(0)
        await rings(service)
        await take(service)
        assert hers.answered_at is not None
        caller.hang_up()
        await hers.ended()


async def rings(service):
    """Until the service knows that Anna's phone rings."""
    async with asyncio.timeout(5):
        while not any(party.state == "alerting" for call in service.voice.live(TENANT).calls for party in call.parties):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("status", "why"), [(489, "489 Bad Event"), (481, "481"), (405, "405"), (200, "within 0.5 s")])
async def test_answer_at_the_desk_says_what_the_phone_said_in_its_place(tmp_path, status, why):
    """It was told 200 although the phone had refused; a phone that only nods is waited for so long and no longer."""
    async with running(tmp_path, answer_within_s=0.5) as service:
        anna = await ready(service, "anna")

        def without_talk(call):
            call.on_event = lambda event, told=call.on_event: None if type(event).__name__ == "TalkRequested" else told(event)

        anna.on_incoming = without_talk
        rewriting(anna.bank, b"SIP/2.0 200", lambda data: data.replace(b"200 OK", b"%d No" % status) if b" NOTIFY" in data else data)
        caller = await (await service.caller()).call("601")
        hers = await anna.incoming()
        await rings(service)
        with pytest.raises(PhoneRefused, match=why):
            await take(service)
        assert hers.answered_at is None
        await hers.answer()  # it goes on ringing, and can still be taken
        caller.hang_up()
        await hers.ended()


@pytest.mark.parametrize(
    ("shows", "name"),
    [
        ("{queue} · {caller}", "Support · Max Muster"),
        ("{caller}", "Max Muster"),
        ("{queue} ({called}) {caller}", "Support (601) Max Muster"),
    ],
)
async def test_the_phone_is_told_queue_and_called_number(tmp_path, shows, name):
    """What desk phones show is the display name of From; P-Called-Party-ID (RFC 7315 §4.2) has the number that was dialled."""
    async with running(tmp_path, phone_shows=shows) as service:
        anna = await ready(service, "anna")
        async with SyntheticPhone(service.address, user="+498955555", display_name="Max Muster") as max_:
            caller = await max_.call("601")
            hers = await anna.incoming()
            assert (hers.request.from_.display_name, hers.calling) == (name, "+498955555")
            assert "sip:601@" in hers.request.headers.get("P-Called-Party-ID")
            caller.hang_up()
            await hers.ended()
