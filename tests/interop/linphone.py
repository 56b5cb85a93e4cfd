"""Debian's linphonec as a phone: a configuration of its own, led by its own command line, speaking a file and writing what it hears."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Self

import pytest

from tests.interop.tones import tone_file

CONFIG = """\
[sip]
sip_port={sip}
sip_tcp_port={sip}
sip_tls_port={tls}
{trust}
guess_hostname=0
media_encryption={encryption}
media_encryption_mandatory={mandatory}
[rtp]
audio_rtp_port={rtp}
[net]
firewall_policy=none
stun_server=
[video]
enabled=0
capture=0
display=0
"""
SAYS_REGISTERED = "registered, identity="


def needs_linphone() -> None:
    if shutil.which("linphonec") is None:
        if os.environ.get("CI"):
            pytest.fail("linphonec is not installed, and in CI nothing is skipped")
        pytest.skip("linphonec is not installed")


class Linphone:
    """One running linphonec that takes calls by itself; `async with` it."""

    def __init__(
        self,
        folder: Path,
        sip: int,
        rtp: int,
        frequency: float,
        *,
        authority: Path | None = None,
        encryption: str = "none",
        mandatory: bool = False,
    ) -> None:
        """Args:
        authority: in PEM: whose word about servers it takes; given, it has TLS too.
        encryption, mandatory: of its audio.
        """
        needs_linphone()
        (folder / ".local" / "share" / "linphone").mkdir(parents=True)
        self.folder = folder
        tone_file(folder / "tone.wav", frequency)
        tls, trust = (-1, "") if authority is None else (-2, f"root_ca={authority}\nverify_server_certs=1\nverify_server_cn=1")
        written = CONFIG.format(sip=sip, rtp=rtp, tls=tls, trust=trust, encryption=encryption, mandatory=int(mandatory))
        (folder / "rc").write_text(written)
        self.said = ""
        self._heard = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *("linphonec", "-a", "-c", str(self.folder / "rc"), "-d", "0"),
            env=os.environ | {"HOME": str(self.folder)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._listener = asyncio.create_task(self._listen())
        await self.says("linphonec> ")
        await self.do("ipv6 disable")  # on a machine that has it, its descriptions would name that, whatever it calls
        await self.do("soundcard use files")
        await self.do(f"play {self.folder / 'tone.wav'}")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)  # at SIGTERM it waits for its console
        await self._process.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while text := await self._process.stdout.read(4096):
            async with self._heard:
                self.said += text.decode(errors="replace")
                self._heard.notify_all()

    async def do(self, command: str) -> None:
        """One line at its console."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")
        await self._process.stdin.drain()

    async def use_codecs(self, *names: str) -> None:
        """Of all that it has, these alone."""
        await self.do("codec disable all")
        await self.do("codec list")
        await self.says("L16 (44100) disabled")
        listed = dict.fromkeys(re.findall(r"(\d+): (\S+) \(\d+\)", self.said))
        for number, name in listed:
            if name in names:
                await self.do(f"codec enable {number}")

    async def says(self, words: str, timeout_s: float = 20.0) -> None:
        """Until its console has said so."""
        async with asyncio.timeout(timeout_s), self._heard:
            await self._heard.wait_for(lambda: words in self.said)
