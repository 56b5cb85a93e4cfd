"""Phones in pages against the service as an operator runs it: pass, WebSocket, calls both ways, broken networks, a restart in a call."""

import asyncio
import signal

import pytest

from load.phones import PhoneCall, SyntheticPhone
from sip.events import IncomingInvite, SessionAccepted, SessionConfirmed, SessionEnded
from sip.headers.name_addr import NameAddr
from sip.uri import Uri
from tests.journeys.pages import PagePhone, page_phone
from tests.journeys.service import ServiceProcess, service
from tests.ports import HOST

pytestmark = [pytest.mark.journey, pytest.mark.slow]


def sdp() -> bytes:
    """As a browser says it, offering or answering; nobody is there."""
    lines = (
        *(
            "v=0",
            f"o=- 1 1 IN IP4 {HOST}",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            "m=audio 9 UDP/TLS/RTP/SAVPF 8",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
        ),
        *("a=ice-ufrag:page", f"a=ice-pwd:{'p' * 24}", f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}", "a=setup:active", "a=rtcp-mux"),
        "a=rtpmap:8 PCMA/8000",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


async def called(house: ServiceProcess, anna: PagePhone, caller: SyntheticPhone) -> PhoneCall:
    """The queue is called, and the page has answered."""
    await house.registered("anna")
    await house.call(house.api.post, "/api/v1/agents/anna/ready")
    call = await caller.call("601")
    await call.answered(timeout_s=10)
    await anna.page.has(SessionConfirmed)
    return call


async def calls_out(anna: PagePhone) -> None:
    """The page calls, loses its network, and hangs up over the next before it has registered there."""
    await anna.house.registered("anna")
    await anna.house.call(anna.house.api.post, "/api/v1/agents/anna/log-on")
    page, uri = anna.page, Uri.parse(anna.pass_["uri"])
    menu = Uri("sip", user="600", host=uri.host)
    page.agent.invite(
        session="out",
        target=menu,
        flow=page.flow,
        from_=NameAddr(uri),
        to=NameAddr(menu),
        sdp=page.sdp,
        now=page.loop.time(),
        credentials=anna.credentials,
    )
    page.drain()
    await page.has(SessionAccepted)
    await page.wire.break_off()
    await anna.come_again(registers=False)
    page.agent.cancel_or_bye("out", page.loop.time())
    page.drain()
    assert (await page.has(SessionEnded)).by == "local"
    assert await live(anna.house, "calls") == []
    page.events.clear()
    page.register(anna.credentials)


async def live(house: ServiceProcess, what: str) -> list[dict]:
    return (await house.call(house.api.get, "/api/v1/live"))[what]


async def gone(house: ServiceProcess) -> None:
    """Until the exchange knows of no contact."""
    async with asyncio.timeout(10):
        while any(one["registered"] for one in await live(house, "agents")):
            await asyncio.sleep(0.02)


async def test_a_page_registers_is_called_goes_on_over_another_websocket_and_over_a_restart(tmp_path):
    async with service(tmp_path, FERNAMT_LOG_LEVEL="debug") as house:
        await house.provision(("anna",))
        async with page_phone(house) as anna, SyntheticPhone(house.sip, user="+498955555") as caller:
            await anna.begin(sdp())
            await calls_out(anna)
            call = await called(house, anna, caller)
            offered = (await anna.page.has(IncomingInvite)).request
            assert offered.headers.get("Via").startswith(f"SIP/2.0/WS {HOST}:{house.http};")
            assert offered.headers.get("Contact") == f"<sip:fernamt@{HOST}:{house.http};transport=ws>"

            await anna.page.wire.break_off()
            await gone(house)
            assert [one["state"] for one in await live(house, "calls")] == ["established"]
            await anna.come_again()
            await house.registered("anna")

            for stop in (signal.SIGKILL, signal.SIGTERM):
                await house._end(stop)
                await anna.page.wire.has_closed()
                await house.start()
                await anna.come_again()
                await house.registered("anna")
                assert [one["state"] for one in await live(house, "calls")] == ["established"]

            call.hang_up()
            assert (await anna.page.has(SessionEnded)).by == "remote"

            anna.page.events.clear()
            await called(house, anna, caller)
            house._process.send_signal(signal.SIGINT)  # who ends calls ends those of pages too, while there is a way to them
            assert (await anna.page.has(SessionEnded)).by == "remote"
            await house._end(signal.SIGINT)
            records = (await house.told_by_disk()).records.values()
            assert sorted((cdr.direction, cdr.outcome) for cdr, _ in records if cdr.direction == "inbound") == [("inbound", "answered")] * 2
            assert "REGISTER sip:" in house.log
            assert not [secret for secret in (str(anna.api.token), anna.pass_["password"]) if secret in house.log]
