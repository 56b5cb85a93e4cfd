"""The service and its callers at the two ends of a real line of so many kbit/s: two network namespaces, a veth pair, tbf at each end.

    unshare -n python -m tests.acd.narrow_line <folder> <kbit/s> <ms of queue> <upload that admission knows> <calls> <4|6> <plain|srtp>

Calls are made one after the other and all talk for some seconds; what was measured is written as JSON. tbf counts a packet with its
Ethernet header and without check sequence, preamble and gap: these 24 are its `overhead`. Needs root, `ip` and `tc`.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import msgspec

from acd.config import Listen
from acd.core import configuration as conf
from acd.core.events import ChannelRefused, LegMeasured
from acd.core.ids import TrunkId
from acd.journal import read
from load.phones import CallFailed, SyntheticPhone
from sip.sdp.crypto import SrtpUse
from tests.acd.voice import running, setup

PORT = 5060
TALK_S = 8.0
NET = {"4": ("10.99.0.1", "10.99.0.2", "24"), "6": ("fd99::1", "fd99::2", "64")}
UNSEEN_OCTETS = 4 + 8 + 12


def say(line: str) -> None:
    """To whoever started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(*words: str) -> None:
    subprocess.run(words, check=True)


def shape(device: str, address: str, length: str, kbits: str, queue_ms: str) -> None:
    """Give our end its address and its rate."""
    run("ip", "addr", "add", f"{address}/{length}", "dev", device, *(("nodad",) if ":" in address else ()))
    run("ip", "link", "set", device, "up")
    run("ip", "link", "set", "lo", "up")
    run(
        "tc", "qdisc", "add", "dev", device, "root", "tbf",
        "rate", f"{kbits}kbit", "burst", "3000", "latency", f"{queue_ms}ms", "overhead", str(UNSEEN_OCTETS),
    )  # fmt: skip


async def talk(calls: int, version: str, srtp: str) -> dict[str, object]:
    """The far end: calls until one is refused or there are enough; then all talk."""
    service, address, _ = NET[version]
    found: dict[str, object] = {"refused": None}
    async with SyntheticPhone(
        (service, PORT), user="+498955555", address=address, srtp=SrtpUse.REQUIRED if srtp == "srtp" else SrtpUse.OFF
    ) as phone:
        up = []
        for _ in range(calls):
            call = await phone.call("601")
            try:
                await call.answered()
            except CallFailed as refusal:
                found["refused"] = refusal.status
                break
            call.start_tone(440, TALK_S)
            up.append(call)
        await asyncio.sleep(TALK_S)  # measured over it: nothing is waited for
        found["heard"] = [call.audio.received for call in up]
        found["lost"] = [call.audio.lost for call in up]
        for call in up:
            call.hang_up()
            await call.ended()
    return found


async def serve(folder: Path, upload: int, version: str, far: "subprocess.Popen[bytes]") -> dict[str, object]:
    """The near end: the service, until the callers are done."""
    service, _, _ = NET[version]
    line = conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False, upload_kbits=upload)
    made = setup(trunks=(line, conf.Trunk(id=TrunkId("carrier"), name="Carrier")))
    sources = ("10.99.0.0/24", "fd99::/64")
    trunks = tuple(msgspec.structs.replace(one, sources=sources) if one.id == "callers" else one for one in made.trunks)
    whole = msgspec.structs.replace(made, trunks=trunks)
    async with running(folder, whole, listen=(Listen(transport="udp", host=service, port=PORT),)):
        assert far.stdin is not None
        far.stdin.write(b"go\n")
        far.stdin.flush()
        assert far.stdout is not None
        told = await asyncio.to_thread(far.stdout.readline)
        found: dict[str, object] = json.loads(told)
    events = [event for entry in read(folder / "journal") for event in entry.events]
    found["measured"] = [one.quality for one in events if isinstance(one, LegMeasured) and one.quality["packets_sent"]]
    found["reasons"] = [one.reason for one in events if isinstance(one, ChannelRefused)]
    return found


def near(folder: str, kbits: str, queue_ms: str, upload: str, calls: str, version: str, srtp: str) -> None:
    here, _, length = NET[version]
    words = ("unshare", "-n", sys.executable, "-m", "tests.acd.narrow_line", "far", kbits, queue_ms, calls, version, srtp)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as far:
        assert far.stdout is not None
        assert far.stdin is not None
        far.stdout.readline()  # it is in a namespace of its own
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(far.pid))
        shape("near", here, length, kbits, queue_ms)
        far.stdin.write(b"shape\n")
        far.stdin.flush()
        far.stdout.readline()
        found = asyncio.run(serve(Path(folder), int(upload), version, far))
        far.stdin.close()
        assert far.wait() == 0
    say(json.dumps(found))


def far_end(kbits: str, queue_ms: str, calls: str, version: str, srtp: str) -> None:
    say("there")
    sys.stdin.readline()
    _, here, length = NET[version]
    shape("far", here, length, kbits, queue_ms)
    say("shaped")
    sys.stdin.readline()
    say(json.dumps(asyncio.run(talk(int(calls), version, srtp))))


if __name__ == "__main__":
    if sys.argv[1] == "far":
        far_end(*sys.argv[2:])
    else:
        near(*sys.argv[1:])
