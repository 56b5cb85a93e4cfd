"""Mutated messages, of the published corpora and of real flows, against the whole service: nothing raises, nothing is left, and all is
answered or dropped with a counted reason.

The service runs as it is, media and journal included; messages are handed to its user agent as its sockets do, and what it sends is taken
from it in the same place, so that for each message it can be said what became of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter

import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId
from acd.core.state.fold import calls
from sip.flow import Flow
from sip.message import Request, Response
from sip.parser import is_keep_alive, parse_datagram
from sip.transaction.layer import ServerTransaction
from tests.acd.voice import TENANT, Running, running
from tests.field.mutator import mutated
from tests.sip.torture.corpus import OWN, cases, rfc4475_octets, rfc5118_octets

CALLER, PHONE = ("127.0.0.1", 40404), ("127.0.0.1", 40405)
SDP = (
    "v=0\r\no=- 4711 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40400 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
)
BODIES = {
    "INVITE": ("application/sdp", SDP),
    "ACK": ("application/sdp", SDP),
    "UPDATE": ("application/sdp", SDP),
    "INFO": ("application/dtmf-relay", "Signal=1\r\nDuration=160\r\n"),
    "NOTIFY": ("message/sipfrag", "SIP/2.0 100 Trying\r\n"),
    "MESSAGE": ("text/plain", "hello"),
}
INSIDE = ("ACK", "INVITE", "INFO", "OPTIONS", "BYE", "CANCEL", "REFER", "NOTIFY", "UPDATE", "PRACK", "SUBSCRIBE", "MESSAGE", "XYZZY")
OUTSIDE = ("INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "REFER", "NOTIFY", "PUBLISH", "BYE", "CANCEL")
STATUSES = (
    "100 Trying",
    "180 Ringing",
    "183 Session Progress",
    "200 OK",
    "302 Moved",
    "401 No",
    "407 No",
    "422 Brief",
    "486 Busy",
    "491 Later",
)
FOR_EVER_S = 40
"""More than timers B, F, H and J (64 x T1 = 32 s, RFC 3261 §17)."""


def corpus() -> list[bytes]:
    """Torture messages of RFC 4475 and RFC 5118 where they are there, and our own always."""
    found = [file.read_bytes() for file in sorted(OWN.rglob("*")) if file.is_file()]
    found += [rfc4475_octets(case.name) for case in cases("rfc4475")]
    found += [rfc5118_octets(case.name) for case in cases("rfc5118")]
    return found


class Wire:
    """Between the driver and the user agent of a running service."""

    def __init__(self, service: Running, seed: int) -> None:
        self.endpoint = service.voice._endpoint
        self.user_agent = self.endpoint.user_agent
        self.local = service.address
        self.rng = random.Random(seed)
        self.sent: list[bytes] = []
        self.became: Counter[str] = Counter()
        self.dialogs: dict[tuple[str, str], bytes] = {}
        """Call-ID and our tag of INVITEs of ours that were answered 2xx -> the answer."""
        self.refused: set[str] = set()
        """Call-IDs that were answered 503."""
        self.rings: list[bytes] = []
        """INVITEs to the phone."""
        self.undecided: list[tuple[ServerTransaction, bytes]] = []
        self._token = 0
        self._registers = True
        self.endpoint._send = self._capture  # type: ignore[method-assign]

    def _capture(self, _flow: Flow, octets: bytes) -> None:
        self.sent.append(octets)
        if octets.startswith(b"SIP/2.0 2") and b" INVITE\r\n" in octets:
            answer = parse_datagram(octets)
            self.dialogs[answer.call_id, answer.from_tag or ""] = octets
        elif octets.startswith(b"SIP/2.0 503"):
            self.refused.add(parse_datagram(octets).call_id)
        elif octets.startswith(b"INVITE "):
            self.rings.append(octets)

    def token(self) -> str:
        self._token += 1
        return f"t{self._token:x}x{self.rng.getrandbits(32):x}"

    def give(self, octets: bytes, remote: tuple[str, int] = CALLER) -> list[bytes]:
        """Hand octets over; returns: what was sent at once."""
        del self.sent[:]
        self.user_agent.receive(octets, Flow("udp", self.local, remote), self.endpoint._now())
        self.endpoint.flush()
        return list(self.sent)

    def judged(self, octets: bytes, remote: tuple[str, int] = CALLER) -> None:
        """Hand over what must be answered, absorbed, or dropped with a counted reason."""
        before = self.user_agent.counters + self.user_agent.layer.counters
        sent = self.give(octets, remote)
        answers = [one for one in sent if one.startswith(b"SIP/2.0 ")]
        if answers:
            self.became[answers[-1][8:11].decode()] += 1
            return
        counted = (self.user_agent.counters + self.user_agent.layer.counters) - before
        if counted:
            self.became[next(iter(counted))] += 1
            return
        self.became[self._silent_on(octets)] += 1

    def _silent_on(self, octets: bytes) -> str:
        """Why nothing was said at once: nothing is asked for, or the exchange is deciding, and will be looked at again."""
        if is_keep_alive(octets):
            return "keep_alive"
        message = parse_datagram(octets, self.user_agent.config.limits)  # what cannot be parsed is counted
        if isinstance(message, Response) or message.method == "ACK":
            return "absorbed"
        transaction = self.user_agent.layer.match(message)
        assert transaction is not None, f"neither answered nor counted: {octets!r}"
        self.undecided.append((transaction, octets))
        return "decided later"

    async def decided(self) -> None:
        """All that the exchange had to think about has an answer."""
        async with asyncio.timeout(5):
            for transaction, _ in self.undecided:
                while not (transaction.last or transaction.is_answered):
                    await asyncio.sleep(0.001)
        del self.undecided[:]

    # ------------------------------------------------------------------ messages

    def request(self, method: str, call_id: str, tag: str, *, to: str = "", cseq: int = 1, branch: str = "", called: str = "601") -> bytes:
        content, body = BODIES.get(method, ("", ""))
        lines = [
            f"{method} sip:{called}@{self.local[0]}:{self.local[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {CALLER[0]}:{CALLER[1]};rport;branch=z9hG4bK{branch or self.token()}",
            "Max-Forwards: 70",
            f'From: "Muster, Max" <sip:+491711234567@carrier.example>;tag={tag}',
            f"To: <sip:{called}@fernamt>{to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:gw@{CALLER[0]}:{CALLER[1]}>",
        ]
        if method == "REFER":
            lines.append("Refer-To: <sip:12@fernamt>")
        if method in {"NOTIFY", "SUBSCRIBE"}:
            lines += ["Event: refer", "Subscription-State: active"]
        if content:
            lines.append(f"Content-Type: {content}")
        return ("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]) + body).encode()

    def response(self, invite: bytes, status: str) -> bytes:
        asked = parse_datagram(invite)
        assert isinstance(asked, Request)
        body = SDP if status[:3] in {"183", "200"} else ""
        lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in asked.headers.get_all("Via"))]
        lines += [f"From: {asked.headers.get('From')}", f"To: {asked.headers.get('To')};tag=phone", f"Call-ID: {asked.call_id}"]
        lines += [f"CSeq: {asked.headers.get('CSeq')}", f"Contact: <sip:anna@{PHONE[0]}:{PHONE[1]}>"]
        if body:
            lines.append("Content-Type: application/sdp")
        return ("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]) + body).encode()

    def bye(self, answer: bytes, cseq: int) -> bytes:
        """Ends the dialog of a 2xx, whatever mutation it came from."""
        read = parse_datagram(answer)
        return self.request("BYE", read.call_id, read.from_tag or "", to=f";tag={read.to_tag}", cseq=cseq)

    async def calls(self) -> tuple[str, str, str]:
        """A caller who waits in the queue: Call-ID, tag, and To with ours. Ports of calls that are over rest: it may have to try again."""
        async with asyncio.timeout(20):
            while True:
                call_id, tag = self.token(), self.token()
                self.give(self.request("INVITE", call_id, tag))
                while (call_id, tag) not in self.dialogs and call_id not in self.refused:
                    await asyncio.sleep(0.001)
                if call_id not in self.refused:
                    return call_id, tag, f";tag={parse_datagram(self.dialogs[call_id, tag]).to_tag}"
                await asyncio.sleep(0.05)


async def a_round(wire: Wire, messages: list[bytes]) -> None:
    """A caller waits in a queue, a phone is rung, and both lines garble what is sent; then the caller hangs up."""
    rng = wire.rng
    call_id, tag, to = await wire.calls()
    if rng.random() < 0.8:
        wire.give(wire.request("ACK", call_id, tag, to=to))
    for step in range(8):
        method = rng.choice(INSIDE)
        wire.judged(mutated(wire.request(method, call_id, tag, to=to, cseq=2 + step), rng))
    for _ in range(8):
        wire.judged(
            mutated(wire.request(rng.choice(OUTSIDE), wire.token(), wire.token(), called=rng.choice(("601", "600", "602", "11"))), rng)
        )
    for _ in range(4):
        wire.judged(mutated(rng.choice(messages), rng))
    for invite in wire.rings[-2:]:
        for status in rng.sample(STATUSES, 2):
            wire.judged(mutated(wire.response(invite, status), rng), PHONE)
    await wire.decided()
    for answer in list(wire.dialogs.values()):
        wire.give(wire.bye(answer, 4_000_000))
    wire.dialogs.clear()
    del wire.rings[:-2]


async def come_to_rest(service: Running, wire: Wire) -> None:
    """All timers of the standard run out, whoever was answered is hung up, and what the exchange decides then is carried out."""
    passed = 0
    async with asyncio.timeout(20):
        while service.voice.live(TENANT).calls or wire.user_agent.describe(wire.endpoint._now())["sessions"]:
            await wire.decided()
            for answer in list(wire.dialogs.values()):
                wire.give(wire.bye(answer, 5_000_000 + passed))
            wire.dialogs.clear()
            passed += 1
            wire.user_agent.handle_timeout(wire.endpoint._now() + passed * FOR_EVER_S)
            wire.endpoint.flush()
            await asyncio.sleep(0.01)


async def garble(tmp_path, caplog, monkeypatch, *, count: int, seed: int) -> Counter[str]:
    for ringing in ("AGENT_RING_S", "OUTSIDE_RING_S"):  # the only waits of the exchange that end by its own clock
        monkeypatch.setattr(calls, ringing, 1.0)
    messages = corpus()
    assert len(messages) > 10
    with caplog.at_level(logging.ERROR):
        async with running(tmp_path, registration_min_s=60) as service:
            await service.phone("anna")
            await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
            wire = Wire(service, seed)
            while sum(wire.became.values()) < count:
                await a_round(wire, messages)
                if service.voice.live(TENANT).agents[0].state == "not_ready":  # her phone was said not to answer
                    await service.voice.command(TENANT, inp.GoReady(agent=AgentId("anna")))
            await come_to_rest(service, wire)
            assert wire.endpoint.failures == 0
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    return wire.became


@pytest.mark.slow
async def test_mutated_messages_are_answered_or_counted_and_leave_nothing(tmp_path, caplog, monkeypatch):
    became = await garble(tmp_path, caplog, monkeypatch, count=2_000, seed=20261)
    assert sum(number for status, number in became.items() if status.isdigit()) > 800
    assert len(became) > 12


@pytest.mark.storm
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
async def test_a_hundred_thousand_mutated_messages(tmp_path, caplog, monkeypatch, seed):
    became = await garble(tmp_path, caplog, monkeypatch, count=25_000, seed=seed)
    assert len(became) > 20
