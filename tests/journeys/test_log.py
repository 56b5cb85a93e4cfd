"""The whole log of a running service at DEBUG: it holds calls and messages, and of everything that opens a door, nothing."""

import asyncio
import re

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from load.api_client import ApiClient, ApiError
from sip.digest import ha1
from tests.acd.carrier import carrier_at
from tests.journeys.service import ADMIN, OPERATOR, TENANT, service
from tests.ports import free_port

pytestmark = [pytest.mark.journey, pytest.mark.slow]

TRUNK_PASSWORD = "carrier-pa55word-0815"
WRONG_PASSWORD = "mistyped-0815-secret"
PRESSED = "7391#"
"""As RFC 4733 events, each after another: no line may tell one of them."""
A_KEY = re.compile(r"(?i)\b(?:digits?|signal|keys?)\b\W{1,4}[0-9*#A-D]\b")
AUTHENTICATION = re.compile(r"(?i)\b(?:nonce|cnonce|nextnonce|response|rspauth|opaque)\s*=\s*(?!\*)\S")


async def a_day(house):
    """Registrations, wrong and right log-ins, a call with pressed keys of both kinds, a carrier with a password, a live stream."""
    devices = await house.provision()
    async with carrier_at(free_port(), {"account": TRUNK_PASSWORD}) as carrier:
        registration = {"registrar": f"127.0.0.1:{carrier.port}", "username": "account", "password": TRUNK_PASSWORD}
        trunk = {"id": "carrier", "name": "Carrier", "peer": f"127.0.0.1:{carrier.port}", "registration": registration}
        await house.call(house.api.post, "/api/v1/trunks", trunk)
        async with asyncio.timeout(10):
            while not carrier.bindings("account"):
                await asyncio.sleep(0.05)
        with pytest.raises(ApiError):
            await asyncio.to_thread(_log_in_wrongly, house)
        async with house.phone(devices["anna"], "anna") as anna:
            await anna.register()
            await house.ready("anna")
            stream, bearer = f"ws://127.0.0.1:{house.http}/api/v1/events", {"Authorization": f"Bearer {house.api.token}"}
            # An old client's token in the address is refused, and does not stand in the log either.
            async with connect(f"{stream}?token={house.api.token}") as old:
                with pytest.raises(ConnectionClosed):
                    await old.recv()
            async with connect(stream, additional_headers=bearer), house.phone({"username": "+4989555501"}, "x") as caller:
                caller.credentials = None
                call = await caller.call("601")
                await call.answered()
                offered = await anna.incoming()
                await offered.answer()
                await call.press(PRESSED)
                bank = caller.bank
                bank.user_agent.info(call.session, "application/dtmf-relay", b"Signal=7\r\nDuration=160\r\n", bank.now())
                bank.user_agent.info(call.session, "application/dtmf", b"3", bank.now())
                bank.flush()
                async with asyncio.timeout(10):
                    while len(offered.digits) < len(PRESSED):
                        await asyncio.sleep(0.05)
                call.hang_up()
                await offered.ended()
            await house.cdrs(1)
    return devices


def _log_in_wrongly(house):
    with ApiClient(f"http://127.0.0.1:{house.http}") as stranger:
        stranger.log_in("admin", WRONG_PASSWORD, TENANT)


async def test_complete_log_at_debug_holds_no_secret_and_no_pressed_key(tmp_path):
    async with service(tmp_path, FERNAMT_LOG_LEVEL="debug") as house:
        devices = await a_day(house)
        tokens = [house.api.token]
    log = house.log
    ha1s = [
        ha1(devices[name]["username"], "fernamt", f"{name}-secret-0815", algorithm)
        for name in ("anna", "ben")
        for algorithm in ("MD5", "SHA-256")
    ]
    assert log.count("REGISTER sip:") > 4
    assert "event=begin direction=inbound from=*501" in log
    assert log.count("event=begin") == log.count("event=answer") == log.count("event=end") == 1
    assert "a key for" in log  # the workers write too, and of a key only that there was one
    for secret in (OPERATOR, ADMIN, TRUNK_PASSWORD, WRONG_PASSWORD, "anna-secret-0815", "ben-secret-0815", *tokens, *ha1s):
        assert secret not in log
    assert AUTHENTICATION.search(log) is None
    assert A_KEY.search(log) is None
    assert all(text not in log for text in ("aiosqlite", "sqlalchemy", "alembic"))
