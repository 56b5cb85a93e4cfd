"""Record what real browsers offer: `python -m tests.interop.record_offers` writes `tests/vectors/sdp` anew (root: `tests.namespace`).

Each offer is answered by us, the browser must take the answer, and goes on from there: the second and third offers of a session are those
of a browser that is connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sip.sdp.offer_answer import answer
from sip.sdp.parser import parse_sdp
from tests import browser, firefox
from tests.interop.echo import Echo
from tests.namespace import namespace

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "sdp"

SPEECH = {
    "chromium": "Promise.resolve(new AudioContext().createMediaStreamDestination().stream)",
    "firefox": "navigator.mediaDevices.getUserMedia({audio: true})",
}
OPEN = """(async () => {
  window.speech = await %s;
  window.connection = () => { window.pc = new RTCPeerConnection({bundlePolicy: "max-bundle"}); };
  window.gathered = () => new Promise(done => {
    const look = () => { if (pc.iceGatheringState === "complete") done(); };
    pc.addEventListener("icegatheringstatechange", look);
    look();
  });
  window.offer = async (options, first) => {
    const made = await pc.createOffer(options);
    await pc.setLocalDescription(made);
    if (first) return made.sdp;
    await gathered();
    return pc.localDescription.sdp;
  };
  window.speak = () => pc.addTrack(speech.getAudioTracks()[0], speech);
  window.prefer = names => pc.getTransceivers()[0].setCodecPreferences(RTCRtpReceiver.getCapabilities("audio").codecs
    .filter(codec => names.includes(codec.mimeType.split("/")[1]))
    .sort((one, other) => names.indexOf(one.mimeType.split("/")[1]) - names.indexOf(other.mimeType.split("/")[1])));
})()"""

FIRST = {
    "audio": ("speak()", "offer()"),
    "audio_and_video": ("speak(), pc.addTransceiver('video')", "offer()"),
    "without_candidates": ("speak()", "offer({}, true)"),
    "only_listening": ("pc.addTransceiver('audio', {direction: 'recvonly'})", "offer()"),
    "pcma_preferred": ("speak(), prefer(['PCMA', 'opus', 'telephone-event'])", "offer()"),
}
"""Name -> what the page does before its first offer, and how it makes that."""
AGAIN = {
    "held": ("pc.getTransceivers()[0].direction = 'sendonly'", "offer()"),
    "inactive": ("pc.getTransceivers()[0].direction = 'inactive'", "offer()"),
    "restarted": ("pc.getTransceivers()[0].direction = 'sendrecv'", "offer({iceRestart: true})"),
}
"""What follows on `audio`, one after the other."""


@contextlib.asynccontextmanager
async def pages(name: str, folder: Path) -> AsyncIterator[tuple[Any, str]]:
    """A page, and the address at which it finds us."""
    if name == "firefox":
        async with namespace() as network, firefox.page(network, folder / name) as page:
            yield page, network.here
    else:
        async with browser.page("about:blank", folder / name) as page:
            yield page, "127.0.0.1"


async def record(name: str, folder: Path) -> str:
    """All offers of one browser; returns which it is."""
    async with pages(name, folder) as (page, address):
        await page.says(OPEN % SPEECH[name])
        for scene, (prepare, offer) in FIRST.items():
            echo = Echo(address)
            try:
                await page.says("connection()")
                await page.says(f"void ({prepare})")
                text = await page.says(offer)
                both = await answered(page, echo, text)
                write(f"{name}_{scene}", text)
                if scene == "audio":
                    await page.until("pc.connectionState === 'connected'")
                    for again, (change, next_offer) in AGAIN.items():
                        await page.says(f"void ({change})")
                        text = await page.says(next_offer)
                        both = await answered(page, echo, text, both)
                        write(f"{name}_{scene}_{again}", text)
            finally:
                await page.says("pc.close()")
                echo.close()
        return str(await page.says("navigator.userAgent"))


async def answered(page: Any, echo: Echo, text: str, previous: Any = None) -> Any:
    """What we answer is taken."""
    offer = parse_sdp(text)
    local = echo.local
    if previous is not None:
        changed = answer(offer, local, session_id=1, previous=previous.description).audio.dtls.peer
        local = echo.renewed() if changed.restarts_ice(previous.audio.dtls.peer) else local
    both = answer(offer, local, session_id=1, previous=None if previous is None else previous.description)
    echo.expect(both.audio.dtls)
    await page.says(f"pc.setRemoteDescription({{type: 'answer', sdp: {json.dumps(str(both.description))}}})")
    assert await page.says("pc.signalingState") == "stable"
    return both


def write(name: str, text: str) -> None:
    (FOLDER / f"{name}.sdp").write_bytes(text.encode())


async def main() -> None:
    told = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name in SPEECH:
            told[name] = await record(name, Path(folder))
    await asyncio.to_thread((FOLDER / "browsers.json").write_text, json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
