"""Debian's baresip as a phone: a configuration of its own, driven over its control socket, its ears written to a file."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from load.hearing import dominant_hz
from media.frame import level_dbfs
from tests.interop.tones import tone_file
from tests.ports import free_port

MODULES = "/usr/lib/baresip/modules"
CONFIG = """\
net_interface 127.0.0.1
sip_listen 127.0.0.1:{sip}
audio_source aufile,{folder}/tone.wav
audio_player aubridge,pseudo
audio_alert aubridge,pseudo
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
rtp_timeout 60
jitter_buffer_delay 1-5
module_path {modules}
module g711.so
module g722.so
module srtp.so
module dtls_srtp.so
{more}module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
rtcp_mux {mux}
"""


def needs_baresip() -> None:
    if shutil.which("baresip") is None:
        if os.environ.get("CI"):
            pytest.fail("baresip is not installed, and in CI nothing is skipped")
        pytest.skip("baresip is not installed")


def ports() -> tuple[int, int]:
    """For SIP and for control; baresip takes the port above the first for TLS."""
    sip, _tls, control = free_port(), free_port(), free_port()
    return sip, control


class Baresip:
    """One running baresip; `async with` it."""

    def __init__(
        self,
        folder: Path,
        sip: int,
        control: int,
        account: str,
        frequency: float,
        *,
        modules: tuple[str, ...] = (),
        is_muxed: bool = False,
    ) -> None:
        """Args: is_muxed: it offers and takes one port for RTP and RTCP."""
        needs_baresip()
        folder.mkdir(parents=True)
        self.folder = folder
        self._control = control
        tone_file(folder / "tone.wav", frequency)
        more = "".join(f"module {each}\n" for each in modules)
        (folder / "config").write_text(
            CONFIG.format(sip=sip, control=control, folder=folder, modules=MODULES, more=more, mux="yes" if is_muxed else "no")
        )
        (folder / "accounts").write_text(account + "\n")
        (folder / "contacts").write_text("")
        self._events: list[dict] = []
        self._forgotten = 0
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._log = (self.folder / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-4", "-f", str(self.folder), stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        async with asyncio.timeout(10):
            while True:
                try:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        self._log.close()

    async def _listen(self) -> None:
        """Netstrings of JSON: `<length>:<json>,`."""
        while True:
            length = int((await self._reader.readuntil(b":"))[:-1])
            message = json.loads(await self._reader.readexactly(length))
            await self._reader.readexactly(1)
            async with self._arrived:
                self._events.append(message)
                self._arrived.notify_all()

    async def do(self, command: str, params: str = "") -> None:
        text = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        await self._writer.drain()

    async def event(self, kind: str, timeout_s: float = 15.0) -> dict:
        """The first event of this kind, past or to come."""
        async with asyncio.timeout(timeout_s), self._arrived:
            while True:
                for event in self._events:
                    if event.get("type") == kind:
                        self._events.remove(event)
                        return event
                await self._arrived.wait()

    def forget_heard(self) -> None:
        """What was heard so far counts no more."""
        self._forgotten = len(self._heard())

    def _heard(self) -> bytes:
        """Nothing before it has keys, where it makes them."""
        return self._file("dec")[44:] if any(self.folder.glob("dump-*-dec.wav")) else b""

    def _file(self, direction: str) -> bytes:
        (file,) = self.folder.glob(f"dump-*-{direction}.wav")
        return file.read_bytes()

    def spoken_dbfs(self) -> float:
        """The level of its second second as it encodes it: its own resampler makes the tone 0.8 dB louder for G.722."""
        octets = self._file("enc")
        rate = int.from_bytes(octets[24:28], "little")
        return level_dbfs(np.frombuffer(octets[44 + 2 * rate : 44 + 4 * rate], dtype="<i2"))

    def _samples(self) -> np.ndarray:
        """What it heard, of two channels the left one."""
        octets = self._heard()
        if not octets:
            return np.zeros(0, dtype="<i2")
        channels = int.from_bytes(self._file("dec")[22:24], "little")
        return np.frombuffer(octets[self._forgotten : len(octets) // (2 * channels) * 2 * channels], dtype="<i2")[::channels]

    def heard_hz(self) -> float | None:
        """The strongest frequency in the last second that this phone heard."""
        samples = self._samples()
        if not len(samples):
            return None
        rate = self.heard_rate()
        found = dominant_hz(samples[-rate:])  # which reckons with 8 kHz
        return None if found is None else found * rate / 8000

    def heard_dbfs(self) -> float:
        """How loud that was."""
        return level_dbfs(self._samples()[-self.heard_rate() :])

    def heard_rate(self) -> int:
        """Samples a second of what this phone writes down: 16 000 in G.722, 48 000 in Opus."""
        return int.from_bytes(self._file("dec")[24:28], "little")
