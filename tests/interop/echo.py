"""A browser's leg without a worker around it: sends back what it hears, on the event loop of the test."""

import asyncio
import contextlib
import datetime as dt

import msgspec

from media.io.pacer import Timer
from media.rtp import packet as rtp
from media.transport.dtls import Fingerprint, Identity
from media.transport.ice import Credentials
from media.transport.ice_dtls import IceDtlsTransport
from media.transport.srtp import SrtpProtection
from media.transport.udp import open_udp
from sip.sdp import webrtc
from sip.sdp.offer_answer import LocalMedia
from tests.media.rig import free_ports

CREDENTIALS = Credentials("ourufrag", "passwordof24characters00")
RENEWED = Credentials("newufrag", "passwordof24characters11")
IDENTITY = Identity(dt.datetime(2026, 11, 29, tzinfo=dt.UTC))


class Echo:
    """A browser's leg that sends back what it hears, on the event loop of the test."""

    ssrc = None
    """To send it back under, where it is not to be as it came."""

    def __init__(self, address="127.0.0.1"):
        self.loop = asyncio.get_running_loop()
        self.port = free_ports(1)
        self.line = open_udp(address, self.port)
        self.events = asyncio.Queue()
        self.transport = IceDtlsTransport(
            self.line,
            IDENTITY,
            CREDENTIALS,
            protect=lambda keys: SrtpProtection(keys, self.loop.time),
            at=self._at,
            clock=self.loop.time,
            tell=self.events.put_nowait,
        )
        self.heard = []
        self.buffer = bytearray(2048)
        self.loop.add_reader(self.transport.descriptors[0], self._readable)
        self.local = LocalMedia(
            address,
            self.port,
            dtls=webrtc.Ours(CREDENTIALS.ufrag, CREDENTIALS.pwd, webrtc.Fingerprint("sha-256", IDENTITY.fingerprint.digest)),
        )

    def _at(self, deadline, action):
        timer = Timer(deadline, action)
        self.loop.call_at(deadline, lambda: timer.action and timer.action(self.loop.time()))
        return timer

    def _readable(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                octets, address = self.transport.receive(self.buffer)
                datagram = bytes(self.buffer[:octets])
                assert address == self.transport.peer
                if rtp.kind_of(datagram) is rtp.DatagramKind.RTP:
                    self.heard.append(rtp.parse(datagram))
                    if self.ssrc is not None:
                        self.buffer[8:12] = self.ssrc.to_bytes(4, "big")
                    self.transport.send(memoryview(self.buffer)[:octets], address)

    def renewed(self):
        """ICE restarts: what we say of ourselves from now on."""
        self.transport.restart(RENEWED)
        return msgspec.structs.replace(self.local, dtls=msgspec.structs.replace(self.local.dtls, ufrag=RENEWED.ufrag, pwd=RENEWED.pwd))

    def expect(self, agreed):
        self.transport.expect([Fingerprint.parse(str(each)) for each in agreed.peer.fingerprints], is_client=agreed.is_client)

    async def news(self):
        async with asyncio.timeout(20):
            return (await self.events.get()).news

    def close(self):
        self.loop.remove_reader(self.transport.descriptors[0])
        self.transport.close()
