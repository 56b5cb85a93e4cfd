"""A process that is killed with SIGKILL, again and again: every job takes effect once, every mail and webhook arrives, and what arrives
twice does so under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.api.mail_server import MailServer, mail_server
from tests.api.receiver import Receiver, receiving

log = logging.getLogger(__name__)

OF_EFFECTS = ("counted", "done", "sent")
BOUNDARIES = ("claimed", "told", *OF_EFFECTS)
"""The claim is committed; events became deliveries; the effect inside the database is not committed; the receiver has it; the mail server
has it.
"""


@dataclass
class Killed:
    """One folder, and the processes that follow each other on it."""

    folder: Path
    receiver: Receiver
    mails: MailServer
    nursery: asyncio.subprocess.Process
    kills: int = 0
    asked: list[str] = field(default_factory=list)

    async def run(self, names: Sequence[str] = (), *, boundary: str = "", after_s: float | None = None) -> None:
        """Start a process, give it names, and wait until it has killed itself, or kill it after so long from when it is ready."""
        pid = await self._start(names, boundary)
        if after_s is not None:
            await self._hears("ready")
            await asyncio.sleep(after_s)
            os.kill(pid, signal.SIGKILL)
        await self._hears("ended")
        self.kills += 1
        self.asked += names

    async def finish(self) -> None:
        """A process that is not killed until everything is done; it is given again what may not have been committed."""
        pid = await self._start(self.asked, "")
        await self._hears("all")
        async with asyncio.timeout(60):
            while self._left():
                await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        await self._hears("ended")

    async def _start(self, names: Sequence[str], boundary: str) -> int:
        assert self.nursery.stdin is not None
        ports = {"http": self.receiver.port, "smtp": self.mails.port}
        asked = {"folder": str(self.folder), "names": list(names), "kill_at": boundary, **ports}
        self.nursery.stdin.write(f"{json.dumps(asked)}\n".encode())
        return int((await self._hears("pid")).split()[1])

    async def _hears(self, word: str) -> str:
        """A line that begins so; what comes before it is passed over, but for an end that is too early."""
        assert self.nursery.stdout is not None
        async with asyncio.timeout(30):
            while not (line := (await self.nursery.stdout.readline()).decode()).startswith(word):
                assert line, "there is no process any more"
                assert word == "ended" or not line.startswith("ended"), f"it ended before {word}"
        return line

    def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.folder / "tenant.sqlite", timeout=10)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def _left(self) -> bool:
        jobs = self.rows("SELECT name FROM job WHERE name NOT LIKE '%.forget'")
        return bool(jobs or self.rows("SELECT id FROM outbox WHERE told_at IS NULL"))

    def judge(self) -> dict[str, int]:
        """What every one of them has come to; returns how many came twice."""
        wanted = Counter(dict.fromkeys(self.asked, 1))
        assert Counter(str(name) for (name,) in self.rows("SELECT name FROM counted")) == wanted
        hooks = Counter((one.told["data"]["id"], one.headers["webhook-id"]) for one in self.receiver.received)
        assert Counter(name for name, _ in hooks) == wanted, "each once, or again under its id"
        assert len({key for _, key in hooks}) == len(wanted)
        mails = Counter((str(one["Subject"]), str(one["Message-ID"])) for one in self.mails.received)
        assert Counter(name for name, _ in mails) == wanted
        assert len({key for _, key in mails}) == len(wanted)
        assert {state for (state,) in self.rows("SELECT state FROM mail")} <= {"sent"}
        assert {state for (state,) in self.rows("SELECT state FROM webhook_delivery")} <= {"delivered"}
        again = {"webhooks": hooks.total() - len(hooks), "mails": mails.total() - len(mails)}
        tried = self.rows("SELECT (SELECT SUM(tries - 1) FROM webhook_delivery), (SELECT SUM(tries - 1) FROM mail)")
        # What came twice says so: it counts more than one try.
        assert [int(str(number)) for number in tried[0]] >= [again["webhooks"] > 0, again["mails"] > 0]
        return again


@contextlib.asynccontextmanager
async def killing(folder: Path) -> AsyncIterator[Killed]:
    pipe = asyncio.subprocess.PIPE
    words = [sys.executable, "-m", "tests.api.worker"]
    nursery = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with receiving() as receiver, mail_server() as mails:
            yield Killed(folder, receiver, mails, nursery)
    finally:
        assert nursery.stdin is not None
        nursery.stdin.close()
        await nursery.wait()


@pytest.mark.journey
@pytest.mark.parametrize("boundaries", [OF_EFFECTS, pytest.param((*BOUNDARIES, ""), marks=pytest.mark.storm)], ids=["effects", "all"])
async def test_a_job_a_mail_and_a_webhook_are_killed_at_every_boundary(tmp_path: Path, boundaries: tuple[str, ...]) -> None:
    """Right after an effect outside there is a second one, under the same id; and never one inside."""
    async with killing(tmp_path) as one:
        for number, boundary in enumerate(boundaries):
            await one.run([f"n{number}"], boundary=boundary, after_s=None if boundary else 0.0)
        await one.finish()
        again = one.judge()
        assert one.kills == len(boundaries)
    assert again["webhooks"] >= 1
    assert again["mails"] >= 1


@pytest.mark.storm
async def test_a_job_a_mail_and_a_webhook_are_killed_at_fifty_random_moments(tmp_path: Path) -> None:
    chance = random.Random(20260302)
    async with killing(tmp_path) as one:
        one.receiver.slow_s = one.mails.slow_s = 0.02
        for number in range(50):
            await one.run([f"n{number}a", f"n{number}b", f"n{number}c"], after_s=chance.uniform(0.0, 1.0))
        before = len(one.receiver.received), len(one.mails.received)
        await one.finish()
        log.warning("%d kills, %d of each; %s came before the last process; twice: %s", one.kills, len(one.asked), before, one.judge())
