"""A main process to be killed: `python -m tests.media.small_main JSON` bridges and records two legs, says where they are, waits."""

import asyncio
import fcntl
import json
import os
import sys
from pathlib import Path

import uvloop

from media.client import MediaPlane
from media.control import ArrangeAudio, DescribeLeg, StartRecording


async def main(control, base, orphan_s, remotes, recording, lock):
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(descriptor, True)  # a careless main process: its worker closes what it inherits
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    plane = await MediaPlane.start(
        workers=1,
        address="127.0.0.1",
        ports=(base, base + 9),
        on_report=lambda _: None,
        control=Path(control),
        orphan_s=orphan_s,
    )
    ports = {}
    for leg, (rtp, rtcp) in remotes.items():
        ports[leg] = (await plane.open_leg("call", leg)).rtp_port
        plane.send(
            "call",
            DescribeLeg(
                leg=leg,
                remote_address="127.0.0.1",
                remote_port=rtp,
                remote_rtcp_port=rtcp,
                codec="PCMA",
                payload_type=8,
                telephone_event=101,
            ),
        )
    plane.send("call", ArrangeAudio(room="call", hears=(("a", "b"), ("b", "a"))))
    plane.send("call", StartRecording(recording="r", path=recording, legs=("a", "b")))
    await plane.status()
    sys.stdout.write(json.dumps({"ports": ports, "worker": plane.worker_pids()[0]}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(**json.loads(sys.argv[1])))
