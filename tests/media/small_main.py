"""A main process to be killed: `python -m tests.media.small_main JSON` adopts what is there, opens legs, gives orders, waits.

At SIGTERM it leaves its worker to the next one, with a last word.
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
from pathlib import Path

import uvloop

from media import framing
from media.client import MediaPlane


async def main(control, base, orphan_s, legs, orders, notes, lock):
    """Args:
    legs: names of those to open, all of one call.
    orders: of the control protocol, framed, in hexadecimal; sent once all legs are open.
    notes: pairs of leg and text, in order.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(descriptor, True)  # a careless main process: its worker closes what it inherits
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    plane = await MediaPlane.start(
        workers=1,
        address="127.0.0.1",
        ports=(base, base + 19),
        on_report=lambda _: None,
        control=Path(control),
        orphan_s=orphan_s,
    )
    claimed = [plane.claim("call", held.leg) for held in plane.held]
    kept = [type(report).__name__ for report in plane.take_kept()]
    ports = {opened.leg: opened.rtp_port for opened in claimed + [await plane.open_leg("call", leg) for leg in legs]}
    for order in framing.request_reader().feed(bytes.fromhex(orders)):
        plane.send("call", order)
    for leg, text in notes:
        plane.note("call", leg, text.encode())
    await plane.status()
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    sys.stdout.write(json.dumps({"ports": ports, "worker": plane.worker_pids()[0], "kept": kept}) + "\n")
    sys.stdout.flush()
    await terminated.wait()
    plane.note("call", next(iter(ports)), b"the last word")
    await plane.leave()


if __name__ == "__main__":
    uvloop.run(main(**json.loads(sys.argv[1])))
