"""Who must speak SIP under encryption is refused in plain; trunks are known by certificates; what protects a call stands in its record."""

import asyncio
import contextlib
import hashlib
import ssl

import msgspec
import pytest

from acd.config import Listen, TlsFiles
from acd.core import inputs as inp
from acd.core.ids import AgentId, SiteId
from load.phone_bank import PhoneBank
from load.phones import CallFailed, RegistrationFailed, SyntheticPhone
from sip.io.tls import dialling_context, listening_context
from sip.io.transport import Contexts
from sip.sdp.crypto import SrtpUse
from tests.acd.voice import HOST, TENANT, agent, free_port, running, setup
from tests.certificates import Authority

pytestmark = [pytest.mark.interop, pytest.mark.slow]
CARRIER = "carrier.example.com"
SOURCE = "127.0.0.9"
"""Where the trunk for callers is known to be; phones of the tests are elsewhere."""


class Place:
    """A service that is reached over UDP, over TLS, and over TLS where certificates are asked for."""

    def __init__(self, house, authority, doors):
        self.house, self.authority = house, authority
        self.doors = doors
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self._stack.aclose()

    async def phone(self, user, door="udp", *, password=None, address=HOST, shows=None, **more):
        """A phone that speaks to one of the doors; over TLS perhaps with a certificate."""
        if door == "udp":
            bank = PhoneBank(address)
        else:
            ours = self.authority.issue(HOST, address, file=f"{user}.pem")
            contexts = Contexts(listening_context(ours, None), dialling_context(self.authority.file, shows))
            bank = PhoneBank(address, free_port(), "tls", tls=contexts)
        await bank.start()
        self._stack.push_async_callback(bank.close)
        password = f"{user}-secret" if password is None and user in {"anna", "ben"} else password
        phone = SyntheticPhone((HOST, self.doors[door]), user=user, password=password, bank=bank, **more)
        return await self._stack.enter_async_context(phone)

    def figure(self, name):
        return self.house.voice.figures()[name]


@contextlib.asynccontextmanager
async def place(tmp_path, tenant=None, *, callers=None):
    """Args:
    tenant: members of the setup.
    callers: members of the trunk for callers.
    """
    authority = Authority(tmp_path)
    doors = {"udp": free_port(), "tls": free_port(), "asks": free_port()}
    made = setup()
    lines = (
        msgspec.structs.replace(made.trunks[0], **({"sources": (f"{SOURCE}/32",)} | (callers or {}))),
        msgspec.structs.replace(made.trunks[1], answer_within_s=0.5),
    )
    made = msgspec.structs.replace(made, **({"trunks": lines} | (tenant or {})))
    listen = (
        Listen(transport="udp", host=HOST, port=doors["udp"]),
        Listen(transport="tls", host=HOST, port=doors["tls"]),
        Listen(transport="tls", host=HOST, port=doors["asks"], asks=True),
    )
    files = TlsFiles(certificate=authority.issue(HOST, file="ours.pem"), ca=authority.file)
    async with running(tmp_path, made, listen=listen, tls=files) as house, Place(house, authority, doors) as found:
        yield found


ANNA = {"encrypted_phones": frozenset({AgentId("anna")})}


async def unregistered(found, name):
    async with asyncio.timeout(10):
        while next(one for one in found.house.voice.live(TENANT).agents if one.id == name).registered:
            await asyncio.sleep(0.02)


async def configured(found, **members):
    """The setup of the moment, with other members."""
    await found.house.voice.configure(msgspec.structs.replace(found.house.voice._directory.setups[TENANT], **members))


async def refused_with(phone):
    with pytest.raises(RegistrationFailed) as refused:
        await phone.register()
    return refused.value.status


async def call_refused_with(phone, number):
    call = await phone.call(number)
    with pytest.raises(CallFailed) as refused:
        await call.answered()
    return refused.value.status


async def test_phone_site_or_tenant_may_want_encryption_and_the_strictest_holds(tmp_path):
    known = setup().configuration
    agents = (agent("anna", "11", site=SiteId("office")), agent("ben", "12"))
    async with place(tmp_path, {"configuration": msgspec.structs.replace(known, agents=agents)}) as found:
        plain, secure, ben = await found.phone("anna"), await found.phone("anna", "tls"), await found.phone("ben")
        lax = {"encrypted_phones": frozenset(), "encrypted_sites": frozenset(), "signalling": "any"}
        for rule in (ANNA, {"encrypted_sites": frozenset({SiteId("office")})}):
            await configured(found, **(lax | rule))
            assert await refused_with(plain) == 403
            await secure.register()
            await ben.register()
        carrier = msgspec.structs.replace(found.house.voice._directory.setups[TENANT].trunks[1], transport="tls")
        await configured(found, **(lax | {"signalling": "encrypted", "trunks": (carrier,)}))
        assert await refused_with(ben) == await refused_with(plain) == 403
        await secure.register()
        await configured(found, **lax)
        await plain.register()


async def test_a_call_in_plain_of_such_a_phone_is_refused_but_to_112_and_nobody_else_learns_of_the_rule(tmp_path):
    async with place(tmp_path, ANNA) as found:
        assert await refused_with(await found.phone("anna", password="guessed")) == 401
        assert found.figure("fernamt_sip_refused_in_plain_total") == 0
        plain = await found.phone("anna")
        assert await call_refused_with(plain, "601") == 403
        assert await call_refused_with(plain, "112") != 403  # nobody is at the carrier of this test: it was tried
        assert found.figure("fernamt_sip_refused_in_plain_total") == 1
        (entry,) = await found.house.cdrs()
        assert entry.cdr.called == "112"


async def test_a_rule_that_is_set_ends_the_registrations_in_plain_and_rings_nobody_there(tmp_path):
    async with place(tmp_path) as found:
        plain, secure = await found.phone("anna"), await found.phone("anna", "tls")
        await plain.register()
        await secure.register()
        await found.house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        await configured(found, **ANNA)
        caller = await found.phone("+498955555", address=SOURCE)
        call = await caller.call("601")
        offered = await secure.incoming()
        await offered.answer()
        await call.answered()
        assert not plain.calls
        assert [one.flow.transport for one in found.house.voice.sip.bindings("anna@demo")] == ["tls"]
        call.hang_up()
        await secure.unregister()
        await unregistered(found, "anna")


async def test_a_trunk_that_must_be_encrypted_is_heard_over_tls_alone(tmp_path):
    async with place(tmp_path, callers={"sources": ("127.0.0.0/28",), "signalling": "encrypted", "transport": "tls"}) as found:
        assert await call_refused_with(await found.phone("+498955555", address=SOURCE), "601") == 403
        secure = await found.phone("+498955556", "tls", address=SOURCE)
        call = await secure.call("601")
        await call.answered()
        call.hang_up()
        assert await call.ended()


async def test_who_proves_the_name_of_a_trunk_is_it_from_wherever_he_calls(tmp_path):
    async with place(tmp_path) as found:
        shown = found.authority.issue(f"sip:{CARRIER}", file="carrier.pem")
        carrier = await found.phone("+498955555", "asks", shows=shown)
        line, other = found.house.voice._directory.setups[TENANT].trunks
        for identity in (CARRIER, fingerprint(shown)):
            line = msgspec.structs.replace(line, sources=(), transport="tls", tls_identity=identity)
            await configured(found, trunks=(line, other))
            call = await carrier.call("601")
            await call.answered()
            call.hang_up()
            assert await call.ended()
        for entry in await found.house.cdrs(2):
            assert entry.cdr.trunk == "callers"
            assert [(leg.audio, leg.signalling) for leg in entry.cdr.legs] == [("none", "tls")]
        assert found.figure("fernamt_sip_tls_clients_proven_total") == 1


async def test_who_does_not_prove_it_is_a_stranger_whatever_his_address(tmp_path):
    async with place(tmp_path, callers={"sources": ("127.0.0.0/28",), "transport": "tls", "tls_identity": CARRIER}) as found:
        other = found.authority.issue("another.example.com", file="another.pem")
        for door, shows in (("udp", None), ("tls", None), ("asks", None), ("asks", other)):
            caller = await found.phone("+498955555", door, address=SOURCE, shows=shows)
            assert await call_refused_with(caller, "601") == 401


async def test_the_record_and_the_log_say_what_protected_either_side(tmp_path, caplog):
    caplog.set_level("INFO", "acd.calls")
    async with place(tmp_path, {"srtp": "wished"}) as found:
        anna = await found.phone("anna", "tls", srtp=SrtpUse.ACCEPTED)
        await anna.register()
        await found.house.voice.command(TENANT, inp.LogOn(agent=AgentId("anna"), ready=True))
        caller = await found.phone("+498955555", address=SOURCE)
        call = await caller.call("601")
        await call.answered()
        offered = await anna.incoming()
        await offered.answer()
        await offered.answered()
        async with asyncio.timeout(10):
            while "event=answer" not in caplog.text:
                await asyncio.sleep(0.02)
        call.hang_up()
        (entry,) = await found.house.cdrs()
        figure = found.figure("fernamt_switch_legs_sdes_total")
    assert {leg.leg.rpartition(".")[2]: (leg.audio, leg.suite is not None, leg.signalling) for leg in entry.cdr.legs} == {
        "0": ("none", False, None),
        "1": ("sdes", True, "tls"),
    }
    (line,) = [one.getMessage() for one in caplog.records if "event=answer" in one.getMessage()]
    assert line.endswith("b_audio=sdes b_signalling=tls")
    assert "a_audio" not in line
    assert figure == 1


def fingerprint(shown):
    return "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.read_text().partition("-----BEGIN PRIVATE")[0])).hexdigest()
