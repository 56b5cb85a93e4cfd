"""Callers and agents with the habits of devices in the field, on the voice service of the tests, and what was seen at their far ends."""

import asyncio
import contextlib

import msgspec

from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.ids import AgentId, MenuId
from acd.journal import read
from load.phones import PhoneCall
from media.codecs.registry import CODECS
from media.codecs.transcoder import decoder_at
from media.dtmf import ToneDetector
from media.rtp.packet import DatagramKind, kind_of
from sip.events import InfoAnswered, InfoReceived
from tests.acd.voice import TENANT, running, setup

PAUSE_S = 0.01
PATIENCE_S = 10.0


async def until(holds, *, within_s=PATIENCE_S):
    """Wait until something is true."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(PAUSE_S)


def with_menu(*keys):
    """Number 600 leads to a menu in which each of these keys leads to a second menu, and there every key hangs up."""
    second = conf.Menu(id=MenuId("second"), sounds=("menu",), options={key: conf.ToHangUp() for key in "0123456789*#"})
    first = conf.Menu(id=MenuId("main"), sounds=("menu",), options={key: conf.ToMenu(menu=MenuId("second")) for key in keys})
    return setup(menus=(first, second))


async def ready(service, name, **able):
    """A registered phone of an agent who takes calls; `able`: its capabilities, where they are not the usual ones."""
    phone = await service.phone(name)
    if able:
        phone.capabilities = msgspec.structs.replace(phone.capabilities, **able)
    await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name), ready=True))
    return phone


@contextlib.asynccontextmanager
async def talk(directory, *, caller=None, agent=None, **settings):
    """(service, caller's call, agent's call): both up and hearing each other; `caller` and `agent` are capabilities."""
    async with running(directory, **settings) as service:
        anna = await ready(service, "anna", **(agent or {}))
        phone = await service.caller()
        phone.capabilities = msgspec.structs.replace(phone.capabilities, **(caller or {}))
        there = Far(await phone.call("601"))
        offered = await anna.incoming()
        here = Far(offered)
        await offered.answer()
        await there.call.answered()
        await service_connects(service, there.call, here.call)
        yield service, there, here


async def service_connects(service, a: PhoneCall, b: PhoneCall):
    """Until audio passes both ways."""
    legs = service.voice.switch._legs
    await until(lambda: len(legs) == 2 and all(service.voice.switch.rooms.listeners(leg) for leg in legs.values()))
    a.start_tone(700, 0.3)
    b.start_tone(900, 0.3)
    await asyncio.gather(a.hears_tone(900), b.hears_tone(700))


class _Watched:
    """A socket of RTP that keeps what is none."""

    def __init__(self, inner, foreign) -> None:
        self._inner = inner
        self._foreign = foreign

    def recv(self, octets):
        datagram = self._inner.recv(octets)
        if kind_of(datagram) is not DatagramKind.RTP:
            self._foreign.append(datagram)
        return datagram

    def __getattr__(self, name):
        return getattr(self._inner, name)


class Far:
    """One party's end of its call: what it does, and all that came to it."""

    def __init__(self, call: PhoneCall) -> None:
        self.call = call
        self.infos: list[InfoReceived] = []
        self.answers: list[int] = []
        self.packets = []
        self.foreign: list[bytes] = []
        """What came to its RTP port and is no RTP."""
        self._on_event, call.on_event = call.on_event, self._event
        self._hear, call.audio._hear = call.audio._hear, self._packet
        call.audio._rtp = _Watched(call.audio._rtp, self.foreign)

    def _event(self, event):
        if isinstance(event, InfoReceived):
            self.infos.append(event)
        elif isinstance(event, InfoAnswered):
            self.answers.append(event.status)
        self._on_event(event)

    def _packet(self, packet):
        self.packets.append(packet)
        self._hear(packet)

    async def info(self, content_type, body):
        """Send an INFO; the status it was answered with."""
        bank, before = self.call.phone.bank, len(self.answers)
        bank.user_agent.info(self.call.session, content_type, body, bank.now())
        bank.flush()
        await until(lambda: len(self.answers) > before)
        return self.answers[-1]

    def event(self, code, timestamp, duration, *, end=False, marker=False):
        """One packet of an RFC 4733 event, with the next sequence number."""
        audio = self.call.audio
        payload = bytes([code, end << 7 | 10]) + duration.to_bytes(2, "big")
        audio._send(audio._audio, audio._audio.telephone_event, timestamp, payload, marker=marker)

    def mute(self):
        """It sends nothing from now on: neither audio nor comfort noise nor reports."""
        self.call.audio.is_muted = True
        self.call.audio._report = lambda *_: None

    def audio_packets(self):
        """Those that are audio."""
        number = self.call.negotiated.codec.number
        return [packet for packet in self.packets if packet.payload_type == number]

    def tones(self):
        """Keys heard as tones in band."""
        detector = ToneDetector()
        decoder = decoder_at(CODECS[self.call.negotiated.codec.encoding], 8000)
        found = ""
        for packet in self.audio_packets():
            found += "".join(one.digit for one in detector.receive(decoder.decode(packet.payload)))
        return found


def pressed(directory):
    """All keys that counted in menus, as the journal has them; those of a conversation are the parties' own."""
    return [entry.input.digit for entry in read(directory / "journal") if isinstance(entry.input, inp.DigitPressed)]


NO_EVENTS = {"telephone_event": None}
"""Capabilities of who knows no RFC 4733."""
