"""A day over SIP by hand: `make day`; prints what agreed, and ends with 1 if anything did not."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from load.day import Where, day_of, read
from load.day_calls import KINDS
from load.private_instance import private_instance
from tests.reference.recomputed import compared, unchanged

RTP_PORTS = 4000


async def run(calls: int, cells: int, seed: int) -> int:
    """Play, read, compare, restart, compare."""
    async with private_instance(rtp_ports=RTP_PORTS) as instance:
        where = Where(sip=instance.sip, url=instance.url, operator_password=instance.operator_password)
        async with day_of(where, cells, seed) as day:
            began = time.monotonic()
            await day.play(calls)
            await day.until_written()
            _say(f"{len(day.book.pages)} conversations of {len(KINDS)} kinds in {time.monotonic() - began:.1f} s")
            before = await asyncio.to_thread(read, day.api)
            agreement = compared(day.book, before)
            day.api.close()
            await instance.restart()
            changed = unchanged(before, await asyncio.to_thread(read, day.api))
    _say(agreement.summary())
    _say(f"after a restart: {', '.join(changed) + ' differ' if changed else 'the same'}")
    return 1 if agreement.wrong or changed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--cells", type=int, default=16, help="calls at once (16)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    return asyncio.run(run(args.calls, args.cells, args.seed))


if __name__ == "__main__":
    sys.exit(main())
