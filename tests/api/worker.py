"""Small processes that can be killed: jobs, mail and webhooks of one tenant on a SQLite file, and nothing else.

`python -m tests.api.worker` has loaded everything, and forks a process for each line of its input: a JSON object with `folder`, `http`,
`smtp` (ports), `names` and `kill_at`. That one puts a job, a mail and an event for each name, each of the three in one transaction, unless
they were put before, and works until it is killed. At the boundary `kill_at` it kills itself: `claimed` (the claim is committed),
`counted` (the effect is in the transaction, which is not committed), `done` and `sent` (the receiver or the mail server has it, and that is
not written down), `told` (events became deliveries). Said are `pid …`, `ready`, `all` (the names are committed) and `ended`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import make_url, text

from acd.core.ids import TenantId
from acd.networks import EVERYTHING, LOOPBACK, Reach
from api.config import Mail as MailSettings
from api.config import Settings
from api.config import Webhooks as WebhookSettings
from api.crm import events as crm
from api.db import Databases, Unit, make_engine
from api.kit.clock import utc_now
from api.kit.columns import TenantBase
from api.kit.jobs import Held, Inside, Jobs, Retry, put, store
from api.kit.mail import Mail, sender
from api.kit.mail import put as put_mail
from api.kit.mail.submit import Smtp
from api.kit.outbox import Outbox, publish
from api.kit.reaching import Reaching
from api.slices import SLICES
from api.webhooks import Webhooks, deliver, service
from api.webhooks.schemas import WebhookGiven

ACME = TenantId("acme")
SOON = Retry((0.05,) * 200)
"""A test does not wait for days."""
kill_at = ""


class Counted(msgspec.Struct):
    """Argument of the job whose effect is a row."""

    name: str


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def die(boundary: str) -> None:
    if boundary == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


def dying(before: Callable[..., Awaitable[Any]], boundary: str) -> Callable[..., Awaitable[Any]]:
    """The function, with a death after it."""

    async def run(*given: Any, **named: Any) -> Any:
        found = await before(*given, **named)
        die(boundary)
        return found

    return run


async def count(unit: Unit, given: Counted, _held: Held) -> None:
    """The effect: in the tenant's database, as the completion."""
    await unit.session.execute(text("INSERT INTO counted (name) VALUES (:name)"), {"name": given.name})
    await unit.session.flush()
    die("counted")


async def main(folder: Path, http_port: int, smtp_port: int, names: Sequence[str]) -> None:
    assert SLICES
    deliver.RETRIES = sender.RETRIES = SOON  # type: ignore[misc]
    databases = Databases(Settings(data=folder))
    await databases.read_keys()
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{folder / 'tenant.sqlite'}"), 5)
    async with engine.begin() as connection:
        await connection.run_sync(TenantBase.metadata.create_all)
        await connection.execute(text("CREATE TABLE IF NOT EXISTS counted (name VARCHAR(40))"))
    databases._tenants[ACME] = engine
    jobs = Jobs(databases, utc_now, (Inside("count", Counted, count, SOON),))
    reaching = Reaching(Reach((*EVERYTHING, *LOOPBACK)))
    reaching.post = dying(reaching.post, "done")  # type: ignore[method-assign]
    webhooks = Webhooks(WebhookSettings(plain_http=True), databases, reaching)
    outbox = Outbox(jobs, kept_days=7)
    outbox.kinds = SLICES.events
    outbox.subscribe(webhooks)
    jobs.define(webhooks.jobs)
    jobs.chores[:] = [telling(outbox)]
    settings = MailSettings(host="127.0.0.1", port=smtp_port, security="none", sender="t@fernamt.example")
    jobs.define(Mail(settings, databases, dying(Smtp(settings), "sent")).jobs)
    store.claim = claiming  # type: ignore[assignment]
    async with databases.unit(ACME) as unit:
        if await unit.session.scalar(text("SELECT COUNT(*) FROM webhook")) == 0:
            given = WebhookGiven(url=f"http://127.0.0.1:{http_port}/", events=("*",))
            await service.create(unit.session, given, utc_now())
    jobs.begin(ACME)
    say("ready")
    for name in names:
        async with databases.unit(ACME) as unit:
            await order(unit, name)
    say("all")
    await asyncio.Event().wait()


async def order(unit: Unit, name: str) -> None:
    """A job, a mail and an event of this name, if they are not there yet."""
    session, now = unit.session, utc_now()
    if await session.scalar(text("SELECT COUNT(*) FROM outbox WHERE subject = :one"), {"one": f"contact:{name}"}) == 0:
        await put(session, "count", Counted(name), now, key=f"count:{name}")
        await put_mail(session, now, f"{name}@example.org", name, "Text")
        publish(session, now, crm.CREATED, crm.ContactRef(id=name))


def telling(outbox: Outbox) -> Callable[..., Awaitable[None]]:
    """Events become deliveries; a death after some did."""

    async def tell(tenant: TenantId, now: datetime) -> None:
        before = outbox.counters["told", tenant]
        await outbox.tell(tenant, now)
        if outbox.counters["told", tenant] > before:
            die("told")

    return tell


async def claiming(session: Any, *given: Any) -> Any:
    """A claim, and a death a moment after its commit."""
    found = await _claim(session, *given)
    if found is not None:
        asyncio.get_running_loop().call_later(0.005, die, "claimed")
    return found


_claim = store.claim


def nursery() -> None:
    """See the module."""
    global kill_at  # noqa: PLW0603 - the forked process's
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            kill_at = asked["kill_at"]
            asyncio.run(main(Path(asked["folder"]), asked["http"], asked["smtp"], asked["names"]))
        say(f"pid {pid}")
        os.waitpid(pid, 0)
        say("ended")


if __name__ == "__main__":
    nursery()
