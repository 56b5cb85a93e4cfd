"""Against SIPp, a client nobody here wrote: its own uac and uas, and our scenarios; loopback, a bounded number of calls."""

import asyncio
import secrets
import shutil
import socket
from pathlib import Path

import pytest

from sip.classified import CHALLENGE, TRUNK
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, ha1
from sip.events import IncomingInvite, InfoReceived, Registered, ReInviteReceived, SessionAccepted, SessionEnded, SessionFailed
from sip.headers.name_addr import NameAddr
from sip.io.driver import SipEndpoint
from sip.registrar import Registrar
from sip.uri import Uri
from sip.user_agent import UserAgent

SCENARIOS = Path(__file__).parent / "scenarios"
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.skipif(shutil.which("sipp") is None, reason="no sipp here")]


def free_port(host="127.0.0.1", kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class App:
    """A tiny telephone: rings and answers everything, except that `ring` is only rung."""

    def __init__(self, *, challenge=False, host="127.0.0.1"):
        def lookup(_request, username, realm, algorithm):
            return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "anna" else None

        self.registrar = Registrar(lambda uri, who: f"{uri.user}@house" if who == f"{uri.user}@house" else None)
        # SIPp 3.6 answers only MD5; a challenge of SHA-256 beside it would be its undoing.
        authenticator = Authenticator("house", lookup, secrets.token_bytes(16), algorithms=("MD5",))
        config = UserAgentConfig(
            classify=lambda _r, _f: CHALLENGE if challenge else TRUNK, authenticator=authenticator, registrar=self.registrar
        )
        self.agent = UserAgent(config, lambda: secrets.token_hex(8))
        self.host = host
        self.endpoint = SipEndpoint(self.agent, [("udp", host, 0), ("tcp", host, 0)], self.on_event)
        self.events = []
        self.over = asyncio.Event()
        self.wanted = 0

    async def __aenter__(self):
        await self.endpoint.start()
        self.ports = {transport: port for transport, _, port in self.endpoint.addresses}
        return self

    async def __aexit__(self, *_):
        await self.endpoint.close()

    def on_event(self, event):
        self.events.append(event)
        now = self.endpoint.now()
        match event:
            case IncomingInvite():
                self.agent.ring(event.session, now)
                if event.request.uri.user != "ring":
                    self.agent.accept(event.session, SDP, now)
            case ReInviteReceived():
                self.agent.accept_reinvite(event.session, SDP, now)
            case SessionAccepted():
                self.agent.cancel_or_bye(event.session, now)
            case SessionEnded() | SessionFailed():
                if len(self.of(SessionEnded) + self.of(SessionFailed)) >= self.wanted > 0:
                    self.over.set()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def unexpected(self):
        return dict(self.agent.layer.counters) | {
            name: count for name, count in self.agent.counters.items() if name not in {"digest_missing", "transport_failed"}
        }


class Sipp:
    """One bounded run of sipp, ended by its own pid if need be."""

    def __init__(self, tmp_path, *arguments):
        self.tmp_path, self.arguments = tmp_path, arguments

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            "sipp", *map(str, self.arguments), "-nostdin", "-trace_err", "-error_file", str(self.tmp_path / "errors"),
            cwd=self.tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        return self

    async def wait(self):
        async with asyncio.timeout(30):
            output, _ = await self.process.communicate()
        errors = (self.tmp_path / "errors").read_text() if (self.tmp_path / "errors").exists() else ""
        return self.process.returncode, output.decode(errors="replace")[-3000:] + errors[-3000:]

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


TRANSPORTS = {"udp": "u1", "tcp": "t1"}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_sipp_uac_calls_us_and_hangs_up(tmp_path, transport, host):
    target = f"[{host}]" if ":" in host else host
    async with App(host=host) as app:
        arguments = ("-sn", "uac", f"{target}:{app.ports[transport]}", "-i", host, "-p", free_port(host), "-t", TRANSPORTS[transport])
        async with Sipp(tmp_path, *arguments, "-m", 20, "-r", 50, "-d", 5, "-timeout", "20s") as sipp:
            code, output = await sipp.wait()
        assert code == 0, output
        assert len(app.of(SessionEnded)) == 20
        assert app.agent.live_sessions == 0
        assert app.unexpected == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_we_call_sipp_uas_and_hang_up(tmp_path, transport):
    port = free_port()
    async with (
        App() as app,
        Sipp(tmp_path, "-sn", "uas", "-i", "127.0.0.1", "-p", port, "-t", TRANSPORTS[transport], "-m", 10, "-timeout", "20s"),
    ):
        target = Uri.parse(f"sip:service@127.0.0.1:{port};transport={transport}")
        probe_kind = socket.SOCK_STREAM if transport == "tcp" else None
        await listening(port, probe_kind)
        app.wanted = 10
        for number in range(10):
            flow = app.endpoint.flow_to("127.0.0.1", port, transport)
            app.agent.invite(
                session=f"call{number}",
                target=target,
                flow=flow,
                from_=NameAddr(Uri.parse("sip:us@127.0.0.1")),
                to=NameAddr(target),
                sdp=SDP,
                now=app.endpoint.now(),
            )
        app.endpoint.flush()
        async with asyncio.timeout(20):
            await app.over.wait()
        # SIPp's uas stays for 4 s more to absorb retransmissions; every BYE has been sent and the test need not wait for it.
        assert len(app.of(SessionAccepted)) == 10
        assert app.of(SessionFailed) == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_phone_registers_calls_holds_sends_dtmf_and_hangs_up(tmp_path, transport):
    async with App(challenge=True) as app:
        arguments = (
            f"127.0.0.1:{app.ports[transport]}",
            "-sf",
            SCENARIOS / "uac_register_and_call.xml",
            "-i",
            "127.0.0.1",
            "-p",
            free_port(),
        )
        async with Sipp(tmp_path, *arguments, "-t", TRANSPORTS[transport], "-m", 3, "-r", 10, "-timeout", "20s") as sipp:
            code, output = await sipp.wait()
        assert code == 0, output
        assert len(app.of(SessionEnded)) == 3
        assert len(app.of(ReInviteReceived)) == 3
        assert [event.body for event in app.of(InfoReceived)] == [b"Signal=5\r\nDuration=160\r\n"] * 3
        assert {event.authenticated_as for event in app.of(IncomingInvite)} == {"anna@house"}
        assert [event.refreshed for event in app.of(Registered)] == [False, True, True]


async def test_sipp_cancels_a_ringing_call(tmp_path):
    async with App() as app:
        arguments = (f"127.0.0.1:{app.ports['udp']}", "-sf", SCENARIOS / "uac_cancel.xml", "-i", "127.0.0.1", "-p", free_port())
        async with Sipp(tmp_path, *arguments, "-m", 5, "-r", 20, "-timeout", "20s") as sipp:
            code, output = await sipp.wait()
        assert code == 0, output
        assert {(event.by, event.status) for event in app.of(SessionEnded)} == {("remote", 487)}
        assert app.agent.live_sessions == 0


def is_listening(port):
    """Asked of the kernel: a connection on trial would be a call's to sipp."""
    states = [line.split()[1:4:2] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [f"0100007F:{port:04X}", "0A"] in states  # 127.0.0.1, TCP_LISTEN


async def listening(port, kind):
    """Wait until sipp has bound its port: a bind of our own fails from then on. A TCP port that is bound does not listen yet."""
    async with asyncio.timeout(10):
        while kind is socket.SOCK_STREAM:
            if is_listening(port):
                return
            await asyncio.sleep(0.01)
        while True:
            with socket.socket(socket.AF_INET, kind or socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return
            await asyncio.sleep(0.01)
