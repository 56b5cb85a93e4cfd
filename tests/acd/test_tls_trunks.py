"""Trunks over TLS: the carrier has to prove its name before anything is said to it (RFC 5922 §7), and is called and calls over TLS."""

import asyncio
import contextlib

import msgspec
import pytest

from acd.config import Listen, TlsFiles
from acd.core import configuration as conf
from acd.core.ids import TrunkId
from acd.service import TrunkLine
from load.phone_bank import PhoneBank
from load.phones import SyntheticPhone
from sip.io.tls import dialling_context, listening_context
from sip.io.transport import Contexts
from tests.acd.voice import HOST, TENANT, free_port, running, setup
from tests.certificates import Authority

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@contextlib.asynccontextmanager
async def house_and_carrier(tmp_path, *, proves, peer="localhost", trusts=True):
    """The exchange with a trunk to a carrier that shows a certificate of these names."""
    authority, carrier_port, udp = Authority(tmp_path), free_port(), free_port()
    shown = authority.issue(*proves, file="carrier.pem")
    bank = PhoneBank(HOST, carrier_port, "tls", tls=Contexts(listening_context(shown, None), dialling_context(authority.file)))
    tenant = setup(
        trunks=(conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False), conf.Trunk(id=TrunkId("carrier"), name="Carrier"))
    )
    lines = (
        tenant.trunks[0],
        TrunkLine(id=TrunkId("carrier"), peer=f"{peer}:{carrier_port}", transport="tls", probe_every_s=60, caller_id="+4989123456"),
    )
    files = TlsFiles(certificate=authority.issue(HOST, file="ours.pem"), ca=authority.file if trusts else None)
    listen = (Listen(transport="udp", host=HOST, port=udp), Listen(transport="tls", host=HOST, port=free_port()))
    await bank.start()
    try:
        async with running(tmp_path, msgspec.structs.replace(tenant, trunks=lines), listen=listen, tls=files) as house:
            house.address = (HOST, udp)
            async with SyntheticPhone((HOST, listen[1].port), user="+491711234567", bank=bank) as carrier:
                yield house, carrier
    finally:
        await bank.close()


async def stands(house, *, up):
    async with asyncio.timeout(10):
        while True:
            [trunk] = [one for one in house.voice.live(TENANT).trunks if one.id == "carrier"]
            if trunk.up is up and (up or trunk.detail):
                return trunk
            await asyncio.sleep(0.02)


async def test_calls_go_to_a_carrier_that_has_proved_its_name(tmp_path):
    async with house_and_carrier(tmp_path, proves=("localhost",)) as (house, carrier):
        await stands(house, up=True)
        caller = await house.caller()
        call = await caller.call("602")
        outside = await carrier.incoming()
        await outside.answer()
        await call.answered()
        call.start_tone(440, 2.0)
        await outside.hears_tone(440)
        call.hang_up()
        assert await outside.ended() == "remote"
        assert house.voice.figures()["fernamt_sip_tls_handshakes_total"] == 1
        (entry,) = await house.cdrs()
    assert entry.cdr.outcome == "answered"


@pytest.mark.parametrize(
    ("proves", "peer", "trusts", "words"),
    [
        (("carrier.example.com",), "localhost", True, "TLS: the certificate is not that of localhost, but of carrier.example.com"),
        (("localhost",), "localhost", False, "TLS: the certificate is not accepted: unable to get local issuer certificate"),
    ],
)
async def test_a_carrier_that_does_not_prove_its_name_is_down_and_the_tenant_is_told_why(tmp_path, proves, peer, trusts, words):
    async with house_and_carrier(tmp_path, proves=proves, peer=peer, trusts=trusts) as (house, carrier):
        assert (await stands(house, up=False)).detail == words
        assert not carrier.calls
