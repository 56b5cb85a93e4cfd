"""A phone of another make over TLS: it verifies our certificate, registers, and is called over the connection it opened."""

import asyncio

import pytest

from acd.config import Listen, TlsFiles
from acd.core import inputs as inp
from acd.core.ids import AgentId
from tests.acd.voice import HOST, TENANT, free_port, running
from tests.certificates import Authority
from tests.interop.linphone import Linphone, needs_linphone

NAME = f"dns:{HOST}"
"""Linphone's library looks for names alone in a certificate, and for an address among these."""

pytestmark = [pytest.mark.interop, pytest.mark.slow]


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.05)


def with_tls(authority: Authority, port: int, udp: int | None = None) -> dict:
    return {
        "listen": (Listen(transport="udp", host=HOST, port=udp or free_port()), Listen(transport="tls", host=HOST, port=port)),
        "tls": TlsFiles(certificate=authority.issue(HOST, NAME)),
    }


async def test_a_linphone_is_called_and_one_that_does_not_trust_our_certificate_is_not_registered(tmp_path):
    needs_linphone()
    authority, port, udp = Authority(tmp_path), free_port(), free_port()
    stranger = Authority(tmp_path, "stranger")
    async with running(tmp_path, **with_tls(authority, port, udp)) as house:
        house.address = (HOST, udp)
        register = f"register sip:ben@{HOST}:{port};transport=tls sip:{HOST}:{port};transport=tls ben-secret"
        async with Linphone(tmp_path / "wary", free_port(), free_port(), 440, authority=stranger.file) as wary:
            await wary.do(register)
            await wary.says("SSL handshake failed")
        assert not house.voice.sip.bindings("ben@demo")
        await until(lambda: house.voice.figures()['fernamt_sip_tls_handshake_failures_total{reason="certificate"}'])
        async with Linphone(tmp_path / "agent", free_port(), free_port(), 1000, authority=authority.file) as agent:
            await agent.do(register)
            await until(lambda: house.voice.sip.bindings("ben@demo"))
            await house.voice.command(TENANT, inp.LogOn(agent=AgentId("ben"), ready=True))
            caller = await house.caller("+498912345")
            call = await caller.call("601")
            await call.hears_tone(1000, 20)
            call.hang_up()
            (entry,) = await house.cdrs()
    assert entry.cdr.agent == "ben"
