"""Hot desk over real sockets: Ben comes to Anna's phone with his PIN, is rung there, dials on his account, and leaves it as it was."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from load.phone_bank import PhoneBank
from load.phones import SyntheticPhone
from tests.journeys.service import ApiError
from tests.journeys.service import service as process
from tests.ports import HOST, free_port

pytestmark = pytest.mark.slow

PIN = "8305172"
WRONG = "9416283"
CARRIER = "+491711234567"


class House:
    """A service with Anna (11) and Ben (12), of whom Ben has a PIN; a carrier; everything is logged."""

    def __init__(self, running, devices, stack) -> None:
        self.running, self.devices, self._stack = running, devices, stack

    async def phone(self, name: str) -> SyntheticPhone:
        phone = await self._stack.enter_async_context(self.running.phone(self.devices[name], name))
        await phone.register()
        return phone

    async def caller(self) -> SyntheticPhone:
        return await self._stack.enter_async_context(SyntheticPhone(self.running.sip, user="+498912345"))

    async def get(self, path: str):
        return await self.running.call(self.running.api.get, path)

    async def put(self, path: str, document):
        return await self.running.call(self.running.api.put, path, document)

    async def agent(self, name: str) -> dict:
        (found,) = [one for one in (await self.get("/api/v1/live"))["agents"] if one["id"] == name]
        return found

    async def until(self, name: str, **wanted: object) -> None:
        """Waits until the live state says so of the agent."""
        async with asyncio.timeout(10):
            while {key: (await self.agent(name))[key] for key in wanted} != wanted:
                await asyncio.sleep(0.05)

    async def refused(self, count: int) -> None:
        """Waits until so many PINs have been refused."""
        async with asyncio.timeout(10):
            while (await self.running.call(self.running.api.metrics))["fernamt_switch_pins_refused_total"] != count:
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def house(tmp_path, **settings):
    carrier = free_port()
    async with process(tmp_path, FERNAMT_LOG_LEVEL="debug", **settings) as running, contextlib.AsyncExitStack() as stack:
        devices = await running.provision(("anna", "ben"), peer=f"{HOST}:{carrier}")
        this = House(running, devices, stack)
        for name, extension in (("anna", "11"), ("ben", "12")):
            known = await this.get(f"/api/v1/agents/{name}")
            document = {key: value for key, value in known.items() if key not in {"version", "changed_at"}}
            await this.put(f"/api/v1/agents/{name}", document | {"extension": extension})
        await this.put("/api/v1/agents/ben/pin", {"pin": PIN})
        bank = PhoneBank(HOST, carrier)
        await bank.start()
        stack.push_async_callback(bank.close)
        this.carrier = await stack.enter_async_context(SyntheticPhone(running.sip, user=CARRIER, bank=bank))
        yield this


def nowhere(folder: Path, *secrets: str) -> None:
    """Not one of them stands in a file of the service: database, journal, snapshot, log."""
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        octets = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in octets, path


async def dial(phone: SyntheticPhone, code: str, keys: str = "", *, whole: bool = True) -> None:
    """Dial, key something when it is answered, and hear it out; `whole` False: hang up as soon as it speaks."""
    call = await phone.call(code)
    await call.answered()
    if not whole:
        await call.audio.wait_for(2_000, 10)
        call.hang_up()
    if keys:
        await call.audio.wait_for(4_000, 5)  # the prompt speaks
        await call.press(keys)
    await call.ended(25)


async def test_ben_is_at_anna_s_phone_until_he_logs_off(tmp_path):
    async with house(tmp_path) as this:
        anna, bens = await this.phone("anna"), await this.phone("ben")
        await dial(anna, "*2512", f"{PIN}#")
        assert (await this.agent("ben"))["at"] == "anna"
        assert ((await this.agent("ben"))["registered"], (await this.agent("anna"))["registered"]) == (True, False)
        await this.running.cdrs(1)
        await this.running.restart()
        assert (await this.agent("ben"))["at"] == "anna"
        await this.running.call(this.running.api.post, "/api/v1/agents/ben/ready")

        customer = await this.caller()
        call = await customer.call("601")
        rung = await anna.incoming()
        await rung.answer()
        await call.answered()
        rung.hang_up()
        await call.ended()
        await this.until("ben", category="free")

        out = await anna.call(CARRIER)
        at_carrier = await this.carrier.incoming()
        await at_carrier.answer()
        await out.answered()
        out.hang_up()
        await at_carrier.ended()
        await this.until("ben", category="free")

        await dial(anna, "*25")
        assert [(await this.agent(one))["at"] for one in ("anna", "ben")] == [None, None]
        assert (await this.agent("ben"))["state"] == "logged_off"
        await this.running.ready("anna")
        again = await customer.call("601")
        rung = await anna.incoming()
        await rung.answer()
        await again.answered()
        again.hang_up()
        await rung.ended()
        records = await this.running.cdrs(5)
        with pytest.raises(TimeoutError):
            await bens.incoming(0)  # his own phone never rang
        audit = (await this.get("/api/v1/audit?limit=100"))["items"]
    by = {(one["cdr"]["direction"], one["cdr"]["called"]): one["cdr"] for one in records}
    assert by["outbound", CARRIER]["agent"] == "ben"
    assert by["internal", "*2512"]["cause"] == "feature_code"
    assert sorted(one["cdr"]["agent"] for one in records if one["cdr"]["direction"] == "inbound") == ["anna", "ben"]
    assert {("logged_in", "hot_desk", "ben"), ("password_changed", "pin", "ben")} <= {
        (one["act"], one["kind"], one["subject"]) for one in audit
    }
    nowhere(tmp_path, PIN)


async def test_five_wrong_pins_are_stopped_at_whichever_phone(tmp_path):
    async with house(tmp_path) as this:
        anna, bens = await this.phone("anna"), await this.phone("ben")
        for attempt in range(5):
            await dial(anna if attempt % 2 else bens, f"*2512*{WRONG}", whole=False)
            await this.refused(attempt + 1)
        await dial(anna, f"*2512*{PIN}", whole=False)  # right, and too late
        await this.refused(6)
        assert (await this.agent("ben"))["at"] is None
        await dial(anna, f"*2599*{PIN}", whole=False)  # nobody's extension
        await dial(anna, f"*25{PIN}", whole=False)
        records = await this.running.cdrs(8)
        with pytest.raises(ApiError, match="422"):
            await this.put("/api/v1/agents/ben/pin", {"pin": "1234"})
    assert {one["cdr"]["called"] for one in records} == {"*2512", "*25?"}
    assert "protocol=pin" in this.running.log
    nowhere(tmp_path, PIN, WRONG)
