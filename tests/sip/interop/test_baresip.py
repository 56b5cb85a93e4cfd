"""Against baresip, a softphone nobody here wrote: it registers with digest, is called, answers by itself, and hangs up or is hung up."""

import asyncio
import secrets
import shutil
import socket

import pytest

from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, ha1
from sip.events import IncomingInvite, Registered, ReInviteReceived, SessionAccepted, SessionEnded, SessionFailed
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.uri import Uri
from sip.user_agent import UserAgent

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.skipif(shutil.which("baresip") is None, reason="no baresip here")]

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"

CONFIG = """\
net_interface 127.0.0.1
sip_listen 127.0.0.1:{port}
audio_source aubridge,pseudo
audio_player aubridge,pseudo
audio_alert aubridge,pseudo
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
module_path /usr/lib/baresip/modules
module g711.so
module aubridge.so
module_tmp account.so
module_app menu.so
"""


class House:
    """A registrar that calls whoever registers."""

    def __init__(self):
        def lookup(_request, username, realm, algorithm):
            return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "anna" else None

        self.registrar = Registrar(lambda uri, who: f"{uri.user}@house" if who == f"{uri.user}@house" else None)
        config = UserAgentConfig(authenticator=Authenticator("house", lookup, secrets.token_bytes(16)), registrar=self.registrar)
        self.agent = UserAgent(config, lambda: secrets.token_hex(8))
        self.endpoint = SipEndpoint(self.agent, [("udp", "127.0.0.1", 0), ("tcp", "127.0.0.1", 0)], self.on_event)
        self.events = []
        self.news = asyncio.Event()

    def on_event(self, event):
        self.events.append(event)
        self.news.set()
        now = self.endpoint.now()
        if isinstance(event, IncomingInvite):
            self.agent.ring(event.session, now)
            self.agent.accept(event.session, SDP, now)
        elif isinstance(event, ReInviteReceived):
            self.agent.accept_reinvite(event.session, SDP, now)

    async def wait(self, kind):
        async with asyncio.timeout(15):
            while True:
                found = [event for event in self.events if isinstance(event, kind)]
                if found:
                    return found[-1]
                self.news.clear()
                await self.news.wait()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_baresip_registers_answers_our_call_and_is_hung_up(tmp_path, transport):
    house = House()
    await house.endpoint.start()
    ports = {name: port for name, _, port in house.endpoint.addresses}
    (tmp_path / "config").write_text(CONFIG.format(port=free_port()))
    account = f"<sip:anna@127.0.0.1:{ports[transport]};transport={transport}>;auth_user=anna;auth_pass=geheim;answermode=auto;regint=60"
    (tmp_path / "accounts").write_text(account + "\n")
    process = await asyncio.create_subprocess_exec(
        "baresip", "-f", str(tmp_path), "-t", "25",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        registered = await house.wait(Registered)
        assert registered.aor == "anna@house"
        assert registered.flow.transport == transport
        aor = Uri.parse(f"sip:anna@127.0.0.1:{ports[transport]}")
        house.agent.invite(
            session="call",
            target=registered.contact,
            flow=registered.flow,
            from_=NameAddr(Uri.parse("sip:600@127.0.0.1"), "Fernamt"),
            to=NameAddr(aor),
            sdp=SDP,
            now=house.endpoint.now(),
        )
        house.endpoint.flush()
        accepted = await house.wait(SessionAccepted | SessionFailed)
        assert isinstance(accepted, SessionAccepted)
        assert accepted.sdp
        assert b"m=audio" in accepted.sdp
        house.agent.cancel_or_bye("call", house.endpoint.now())
        house.endpoint.flush()
        assert (await house.wait(SessionEnded)).by == "local"
        await answered_bye(house)
        assert house.endpoint.failures == 0
        unexpected = {name for name in house.agent.counters if name not in {"digest_missing", "keep_alive"}}
        assert unexpected == set()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        await house.endpoint.close()


async def answered_bye(house):
    """Until the BYE's transaction has left the dialog table, which its answer does."""
    async with asyncio.timeout(5):
        while house.agent.live_sessions:  # no event tells of it: the application is not concerned
            await asyncio.sleep(0.01)
