"""SIP over TLS in the service as an operator runs it: its certificate, what a start refuses, and calls that go on after a kill."""

import asyncio
import re
import signal
import ssl
import stat

import pytest

from tests.certificates import Authority
from tests.interop.baresip import Baresip, needs_baresip, ports
from tests.interop.linphone import Linphone, needs_linphone
from tests.journeys.service import ServiceProcess, service
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.journey, pytest.mark.slow]
NAME = f"dns:{HOST}"
"""Linphone's library looks for names alone in a certificate, and for an address among these."""


def with_tls(port: int, **settings: object) -> dict[str, str]:
    return {
        "FERNAMT_SIP__TRANSPORTS": "udp,tcp,tls",
        "FERNAMT_SIP__TLS_LISTEN": f"{HOST}:{port}",
        **{f"FERNAMT_SIP__TLS_{name.upper()}": str(value) for name, value in settings.items()},
    }


async def hears(phone: Baresip, hz: float) -> None:
    async with asyncio.timeout(15):
        while abs((phone.heard_hz() or 0) - hz) > 20:
            await asyncio.sleep(0.05)


async def again(house: ServiceProcess) -> None:
    await house.stop(signal.SIGKILL)
    await house.start()
    await house.log_in()


async def held(house: ServiceProcess, is_held: bool) -> None:
    """Until the board says of a call that it is held, or of none."""
    async with asyncio.timeout(10):
        while any(one["state"] == "held" for one in (await house.call(house.api.get, "/api/v1/live"))["calls"]) is not is_held:
            await asyncio.sleep(0.05)


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Somebody who looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await asyncio.open_connection(HOST, port, ssl=context)


async def shown(port: int) -> bytes:
    """The certificate that whoever connects is shown."""
    _, writer = await connected(port)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def test_a_call_of_two_phones_on_tls_goes_on_when_the_service_was_killed(tmp_path):
    needs_baresip()
    needs_linphone()
    authority, port = Authority(tmp_path), free_port()
    async with service(tmp_path, **with_tls(port, certificate=authority.issue(HOST, NAME))) as house:
        user = (await house.provision(("anna",)))["anna"]["username"]
        account = f"<sip:{user}@{HOST}:{port};transport=tls>;auth_user={user};auth_pass=anna-secret-0815;regint=60;answermode=auto"
        async with (
            Baresip(tmp_path / "agent", *ports(), account, 1000) as anna,
            Linphone(tmp_path / "caller", free_port(), free_port(), 440, authority=authority.file) as caller,
        ):
            await house.registered("anna")
            await house.ready("anna")
            await caller.do(f"call sip:601@{HOST}:{port};transport=tls")
            await anna.event("CALL_ESTABLISHED")
            await hears(anna, 440)
            await again(house)
            anna.forget_heard()
            await hears(anna, 440)
            # Over a connection of its own: by itself it registers when that is due.
            await anna.do("hold")
            await held(house, True)
            await anna.do("resume")
            await held(house, False)
            await caller.do("terminate")
            await anna.event("CALL_CLOSED")
            (record,) = await house.cdrs(1)
    assert (record["cdr"]["agent"], record["cdr"]["outcome"]) == ("anna", "answered")


async def test_without_a_certificate_one_is_made_and_kept(tmp_path):
    port = free_port()
    async with service(tmp_path, **with_tls(port)) as house:
        before = await shown(port)
        assert re.search(r"SIP over TLS with a certificate of its own, \S*sip-tls\.pem", house.log)
        file = house.folder / "data" / "sip-tls.pem"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "PRIVATE KEY" not in house.log
        await house.stop()
        said = await house.start()
        assert f"{HOST}:{port} (TLS)" in said
        assert await shown(port) == before


async def test_sighup_has_the_certificate_read_again_at_once_and_ends_nothing(tmp_path):
    authority, port, asking = Authority(tmp_path), free_port(), free_port()
    certificate = authority.issue(NAME)
    settings = with_tls(port, certificate=certificate, ca=authority.file, carriers_listen=f"{HOST}:{asking}")
    async with service(tmp_path, **settings, FERNAMT_SIP__STRANGER_IDLE_S="600") as house:
        before = await shown(port)
        reader, writer = await connected(port)
        authority.issue(NAME)
        house._process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(25):  # less than what the look at the files waits for
            while (after := await shown(port)) == before:
                await asyncio.sleep(0.05)
        assert await shown(asking) == after
        writer.write(b"\r\n\r\n")
        async with asyncio.timeout(10):
            assert await reader.readexactly(2) == b"\r\n"  # RFC 5626 §3.5.1: the connection from before answers
        writer.close()


@pytest.mark.parametrize("broken", ["missing", "foreign key", "no PEM"])
async def test_a_certificate_that_cannot_be_used_ends_the_start_in_a_sentence(tmp_path, broken):
    authority = Authority(tmp_path)
    certificate = authority.issue(NAME, key_file="key.pem")
    key = tmp_path / "key.pem"
    match broken:
        case "missing":
            key.unlink()
            told = f"sip.tls_key: {key}: No such file or directory"
        case "foreign key":
            authority.issue(NAME, file="other.pem", key_file="key.pem")
            told = f"sip.tls_key: {key} is not the key of {certificate}"
        case _:
            certificate.write_text("no certificate")
            told = f"sip.tls_certificate: {certificate} holds no certificate in PEM"
    house = ServiceProcess(tmp_path, **with_tls(free_port(), certificate=certificate, key=key))
    try:
        with pytest.raises(AssertionError, match="the service did not start"):
            await house.start()
        assert f"cannot start: {told}" in house.log
        assert not (tmp_path / "data").exists()
    finally:
        if house.is_running:
            await house._end(signal.SIGTERM)
        house.close()
