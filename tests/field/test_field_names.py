"""Addresses as directories and keys of phones hold them, dialled and transferred to: a colleague, nobody, or somebody elsewhere."""

import re
from pathlib import Path

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core.ids import AgentId
from acd.service import TenantSetup
from load.phones import CallFailed
from sip.uri import Uri
from tests.acd.test_voice import ready
from tests.acd.voice import TENANT, agent, running, setup
from tests.field.test_field_refer import HZ_ANNA, hear_each_other, in_conversation

pytestmark = pytest.mark.slow
HANDSETS = Path(__file__).parents[2] / "docs" / "handsets.md"
OTHER = "other"


def tenant(**changes):
    return msgspec.structs.replace(setup(**changes), domain="demo.fernamt")


def another():
    """A tenant with a domain of its own choice and a phone named zoe."""
    zoe = agent("zoe", "31")
    device = setup(agents=(zoe,)).devices
    return TenantSetup(configuration=conf.TenantConfiguration(tenant=OTHER, agents=(zoe,)), devices=device, domain="other.fernamt")


def at(service, address):
    return address.format(host="{}:{}".format(*service.address))


BEN = [
    "sip:ben@demo.fernamt",
    "sip:ben@DEMO.Fernamt;transport=UDP",
    "sip:ben%40demo.fernamt@demo.fernamt",
    "sip:ben@{host}",
    "sip:ben@fernamt",
    "sip:ben;x=y@demo.fernamt",
]
NOBODY = ["sip:nobody@demo.fernamt", "sip:nobody@{host}", "sip:zoe@demo.fernamt", "sip:zoe@other.fernamt", "sip:nobody@other.fernamt"]
NOBODY += ["sip:nobody@no-such-tenant.fernamt", "sip:anonymous@demo.fernamt", "sip:demo.fernamt", "sip:ben%40other.fernamt@demo.fernamt"]
ELSEWHERE = ["sip:ben@example.com", "sip:nobody@example.com", "sip:zoe@203.0.113.7"]


@pytest.mark.parametrize("address", BEN)
async def test_the_address_of_a_colleagues_phone_is_the_colleague(tmp_path, address):
    async with running(tmp_path, tenant()) as service:
        anna, ben = await ready(service, "anna"), await ready(service, "ben")
        call = await anna.call(at(service, address))
        hers = await ben.incoming()
        await hers.answer()
        await call.answered()
        call.hang_up()
        await hers.ended()
        (entry,) = await service.cdrs()
    assert (entry.cdr.direction, entry.cdr.called, entry.cdr.outcome) == ("internal", "12", "answered")
    assert entry.charge is None or entry.charge.gross.amount == 0


async def test_a_colleague_without_an_extension_is_reached_by_the_address_of_her_phone(tmp_path):
    people = (agent("anna", "11"), agent("ben", None))
    async with running(tmp_path, tenant(agents=people)) as service:
        anna, ben = await ready(service, "anna"), await ready(service, "ben")
        call = await anna.call("sip:ben@demo.fernamt")
        await (await ben.incoming()).answer()
        await call.answered()
        call.hang_up()
        (entry,) = await service.cdrs()
    assert entry.cdr.called == "ben"


@pytest.mark.parametrize(("addresses", "status", "cause"), [(NOBODY, 404, "not_found"), (ELSEWHERE, 403, "not_allowed")])
async def test_who_is_nobody_here_is_not_found_and_other_domains_are_not_called(tmp_path, addresses, status, cause):
    async with running(tmp_path, tenant()) as service:
        await service.open_tenant(another(), service.database, tmp_path / "other-journal")
        anna = await ready(service, "anna")
        for number, address in enumerate(addresses, 1):
            call = await anna.call(at(service, address))
            with pytest.raises(CallFailed) as refused:
                await call.answered()
            assert refused.value.status == status, address
            entries = await service.cdrs(number)
            assert {entry.cdr.cause for entry in entries} == {cause}


@pytest.mark.parametrize("address", BEN)
async def test_a_transfer_to_the_address_of_a_colleagues_phone_is_one_to_the_colleague(tmp_path, address):
    async with running(tmp_path, tenant()) as service:
        call, at_anna, ben = await in_conversation(service)
        assert await at_anna.refer(f"<{at(service, address)}>") == 202
        at_ben = await ben.incoming()
        await at_ben.answer()
        await at_anna.ended()
        await hear_each_other(call, at_ben)
        call.hang_up()
        (entry,) = await service.cdrs()
    assert entry.cdr.transferred_by == ("agent:anna",)


async def test_transfers_are_answered_as_the_page_says(tmp_path):
    """docs/handsets.md, "Refused, and the call goes on as before"."""
    told = dict(re.findall(r"^\| (.+?) \| (\d{3}) \|$", HANDSETS.read_text(), re.MULTILINE))
    nobody = told["a number or a name at the own domain that is nobody's here; an address without a number or name"]
    elsewhere = told["no price, a class that is not allowed, a name at any other domain"]
    async with running(tmp_path, tenant()) as service:
        call, at_anna, _ben = await in_conversation(service)
        for addresses, status in ((NOBODY, nobody), (["sip:999@{host}", "sip:77@example.com"], nobody), (ELSEWHERE, elsewhere)):
            for address in addresses:
                assert await at_anna.refer(f"<{at(service, address)}>") == int(status), address
        await hear_each_other(call, at_anna, b_hz=HZ_ANNA)
        assert at_anna.told == []


async def test_a_number_stays_a_number_though_a_phone_is_called_like_it(tmp_path):
    """Device names of digits: an extension that somebody has comes before, any other at home is the phone."""
    carl = agent("carl", "13")
    first = tenant(agents=(agent("anna", "11"), agent("ben", "12"), carl))
    devices = [msgspec.structs.replace(one, username={"ben": "11", "carl": "700"}.get(one.agent, one.username)) for one in first.devices]
    async with running(tmp_path, msgspec.structs.replace(first, devices=tuple(devices))) as service:
        meant = service.voice.switch._dialling.meant
        assert meant(TENANT, Uri.parse("sip:11@demo.fernamt")).colleague is None
        assert meant(TENANT, Uri.parse("sip:700@demo.fernamt")) == ("13", AgentId("carl"), None)
        assert meant(TENANT, Uri.parse("sip:700@example.com")) == ("700", None, None)
        assert meant(TENANT, Uri.parse("sip:112@demo.fernamt")) == ("112", None, None)
        assert meant(TENANT, Uri.parse("sip:*20@example.com")).number == "*20"
        assert meant(TENANT, Uri.parse("sip:anna@pbx.example"), at_home="pbx.example").colleague == AgentId("anna")


async def test_names_are_the_pbxs_own_affair_where_calls_go_out_over_one(tmp_path):
    trunks = (conf.Trunk(id="callers", name="Callers", outbound=False), conf.Trunk(id="carrier", name="PBX", internal=True))
    async with running(tmp_path, tenant(trunks=trunks)) as service:
        found = service.voice.switch._dialling.meant(TENANT, Uri.parse("sip:conference@demo.fernamt"))
        assert found == ("conference", None, None)
