"""Contacts in /metrics: opened, closed and waiting, by channel, of a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from acd.core import inputs as inp
from acd.core.channel_kinds import CHANNELS
from acd.core.ids import QueueId
from tests.acd.voice import TENANT, Running, running


def figures(service: Running, channel: str) -> list[float]:
    told = service.voice.figures()
    return [
        told[f'fernamt_contacts_{name}{{tenant="{TENANT}",channel="{channel}"}}'] for name in ("opened_total", "closed_total", "waiting")
    ]


@pytest.mark.slow
async def test_contacts_are_counted_by_what_they_came_by(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        assert {channel: figures(service, channel) for channel in CHANNELS} == {channel: [0, 0, 0] for channel in CHANNELS}
        mails = [service.client.mint_contact("mail") for _ in range(2)]
        for mail in mails:
            await service.voice.command(TENANT, inp.OpenContact(contact=mail, channel="mail", queue=QueueId("support")))
        caller = await service.caller("+498912345")
        call = await caller.call("601")
        await call.answered()
        assert figures(service, "mail") == [2, 0, 2]
        assert figures(service, "voice") == [1, 0, 1]
        await service.voice.command(TENANT, inp.WithdrawContact(contact=mails[0]))
        call.hang_up()
        await service.cdrs(1)
        assert figures(service, "mail") == [2, 1, 1]
        assert figures(service, "voice") == [1, 1, 0]
        assert figures(service, "chat") == [0, 0, 0]
