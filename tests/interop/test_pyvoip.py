"""pyVoIP, a SIP client nobody here wrote, finds its way through the menu by DTMF and reaches the agent."""

import asyncio
import select
import sys
import threading
import time
import warnings

import pytest

from tests.journeys.service import service
from tests.ports import HOST, free_port

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,
    # pyVoIP leaves threads and sockets behind when it stops; that is its way, not ours.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class _Patient:
    """A socket whose recv waits a moment where pyVoIP forgot that it set it non-blocking."""

    def __init__(self, wrapped) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str):
        return getattr(self._wrapped, name)

    def recv(self, size: int) -> bytes:
        if sys._getframe(1).f_code.co_name == "invite":
            select.select([self._wrapped], [], [], 5)
        return self._wrapped.recv(size)


class Caller:
    """A pyVoIP phone; its calls block, so they run in threads."""

    def __init__(self, server: tuple[str, int], username: str, password: str, sip: int, rtp: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its source has invalid escapes, which newer Pythons tell
            from pyVoIP.VoIP import CallState, VoIPPhone

        self.states = CallState
        self.phone = VoIPPhone(*server, username, password, myIP=HOST, sipPort=sip, rtpPortLow=rtp, rtpPortHigh=rtp + 20)

    def start(self) -> None:
        self.phone.start()

    def call(self, number: str):
        """Its invite() reads a socket that its receiving thread may just have made non-blocking; then the answer is there in a moment."""
        self.phone.sip.s = _Patient(self.phone.sip.s)
        return self.phone.call(number)

    def wait_for(self, call, state, timeout_s: float = 10.0) -> None:
        end = time.monotonic() + timeout_s
        while call.state is not state:
            if time.monotonic() > end:
                raise TimeoutError(f"the call is {call.state}, not {state}")
            time.sleep(0.02)

    @staticmethod
    def press(call, event: int) -> None:
        """pyVoIP reads telephone-events but cannot send them: its own RTP socket sends one for it (RFC 4733 §2.3)."""
        (client,) = call.RTPClients
        stamp = client.outTimestamp
        for index in range(8):
            end, duration = index >= 5, min(160 * (index + 1), 960)
            header = bytes([0x80, 101 | (0x80 if index == 0 else 0)]) + client.outSequence.to_bytes(2, "big")
            client.outSequence += 1
            packet = header + stamp.to_bytes(4, "big") + client.outSSRC.to_bytes(4, "big")
            packet += bytes([event, (0x80 if end else 0) | 10]) + duration.to_bytes(2, "big")
            client.sout.sendto(packet, (client.outIP, client.outPort))
            time.sleep(0.02)


async def test_a_foreign_client_goes_through_the_menu_to_the_agent(tmp_path):
    async with service(tmp_path) as house:
        devices = await house.provision(("anna", "pyvoip"))
        async with house.phone(devices["anna"], "anna") as anna:
            await anna.register()
            await house.ready("anna")
            await house.call(house.api.post, "/api/v1/agents/pyvoip/log-on")
            caller = Caller(house.sip, devices["pyvoip"]["username"], "pyvoip-secret-0815", free_port(), 47000)
            await asyncio.to_thread(caller.start)
            try:
                call = await asyncio.to_thread(caller.call, "600")
                await asyncio.to_thread(caller.wait_for, call, caller.states.ANSWERED)
                await asyncio.to_thread(caller.press, call, 1)
                offered = await anna.incoming()
                await offered.answer()
                heard: list[bytes] = []
                listening = threading.Event()

                def listen() -> None:
                    while not listening.is_set():
                        heard.append(call.read_audio(160, blocking=True))

                ear = threading.Thread(target=listen, daemon=True)
                ear.start()
                await offered.send_tone(440, 2.0)
                listening.set()
                await asyncio.to_thread(call.hangup)
                await offered.ended()
                (told,) = await house.cdrs(1)
            finally:
                await asyncio.to_thread(caller.phone.stop)
    assert told["cdr"]["outcome"] == "answered"
    assert [segment["kind"] for segment in told["cdr"]["segments"]].count("menu") == 1
    loud = b"".join(heard)[-8000:]
    assert len(set(loud)) > 8, "nothing but silence was heard"
