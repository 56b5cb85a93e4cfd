"""Two tenants behind one SIP door, over real sockets: no name, number or source that one sets up takes what is the other's."""

import msgspec
import pytest

from acd.core import configuration as conf
from acd.core import inputs as inp
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.service import Device, Sighting, TenantSetup, TrunkLine
from load.phones import CallFailed, RegistrationFailed, SyntheticPhone
from sip.digest import ha1
from tests.acd.voice import HOST, REALM, TENANT, agent, carrier_phone, running, setup
from tests.ports import free_port

OTHER = TenantId("other")
MINE, THEIRS = "+4989100100", "+4989200200"


def named(agent_id: str, username: str, *, domain: str, bare: bool = True) -> Device:
    """A device with the digests of its short and its long name; its password is `<agent>-<domain>`."""
    password, long = f"{agent_id}-{domain}", f"{username}@{domain}"
    return Device(
        agent=AgentId(agent_id),
        username=username,
        ha1_md5=ha1(username, REALM, password, "MD5"),
        ha1_sha256=ha1(username, REALM, password, "SHA-256"),
        bare=bare,
        long_md5=ha1(long, REALM, password, "MD5"),
        long_sha256=ha1(long, REALM, password, "SHA-256"),
    )


def other(*devices: Device, sources: tuple[str, ...] = (), numbers: tuple[str, ...] = ()) -> TenantSetup:
    """A second tenant, whose numbers hang up at once."""
    return TenantSetup(
        configuration=conf.TenantConfiguration(
            tenant=OTHER,
            agents=tuple(agent(device.agent, str(31 + index)) for index, device in enumerate(devices)),
            numbers=tuple(conf.Number(number=one, target=conf.ToHangUp()) for one in numbers),
            trunks=(conf.Trunk(id=TrunkId("line"), name="Line", outbound=False),),
        ),
        devices=devices,
        trunks=(TrunkLine(id=TrunkId("line"), peer="", sources=sources, probe_every_s=0),),
        domain="other.fernamt",
        assigned=frozenset(one for one in numbers if one.startswith("+")),
    )


def mine(*numbers: str, **changes) -> TenantSetup:
    """The tenant of the other tests, with numbers of the world that reach the menu."""
    found = setup()
    configured = (*found.configuration.numbers, *(conf.Number(number=one, target=conf.ToMenu(menu="main")) for one in numbers))
    configuration = msgspec.structs.replace(found.configuration, numbers=configured)
    return msgspec.structs.replace(found, configuration=configuration, domain="demo.fernamt", assigned=frozenset(numbers), **changes)


@pytest.mark.parametrize("shown", ["anonymous", "+498955555", "carl"])
async def test_a_device_named_like_a_caller_of_another_tenant_challenges_nobody(tmp_path, shown):
    """An administrator of another tenant names a device like whoever calls: the calls come in as before."""
    async with running(tmp_path) as service:
        await service.open_tenant(other(named("carl", shown, domain="other.fernamt")), service.database, tmp_path / "other")
        call = await (await service.caller(shown)).call("600")
        await call.answered()
        call.hang_up()
        await call.ended()
        (entry,) = await service.cdrs()
        assert entry.cdr.trunk == "callers"


async def test_another_tenant_that_names_the_address_of_our_phones_as_its_source_gets_none_of_their_calls(tmp_path):
    """Its trunk would take every call of theirs, 112 among them: whoever has registered from that very flow is a phone."""
    office = "127.201.0.7"
    async with (
        running(tmp_path) as service,
        SyntheticPhone(service.address, user="anna", password="anna-secret", address=office) as anna,
    ):
        await anna.register()
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna")))
        theirs = other(named("carl", "carl", domain="other.fernamt"), sources=(f"{office}/32",), numbers=("600",))
        await service.open_tenant(theirs, service.database, tmp_path / "other")
        assert service.voice.registered_in("127.201.0.0/24") == {TENANT}
        assert service.voice.registered_in("127.202.0.0/24") == frozenset()
        call = await anna.call("600")
        await call.answered()
        assert [(one.calling, one.called) for one in service.voice.live(TENANT).calls] == [("11", "600")]
        assert service.voice.live(OTHER).calls == ()
        call.hang_up()
        await call.ended()


async def test_no_call_of_one_tenant_goes_to_where_anothers_calls_come_from(tmp_path):
    """A carrier that knows its customer by our address would bill it to the other one, whose carrier it is."""
    port = free_port()
    tenant = mine(MINE)
    trunks = tuple(msgspec.structs.replace(one, peer=f"127.200.0.9:{port}") if one.id == "carrier" else one for one in tenant.trunks)
    theirs = other(named("carl", "carl", domain="other.fernamt"), sources=("127.200.0.0/16",))
    async with running(tmp_path, msgspec.structs.replace(tenant, trunks=trunks)) as service:
        await service.open_tenant(theirs, service.database, tmp_path / "other")
        assert service.voice.owners_of("127.200.0.9", TENANT) == {OTHER}
        # Nor by an address that a translator or a tunnel makes that one of.
        assert [service.voice.owners_of(one, TENANT) for one in ("64:ff9b::7fc8:9", "2002:7fc8:9::1", "::ffff:127.200.0.9")] == [
            {OTHER}
        ] * 3
        assert service.voice.owners_of("127.200.0.9", OTHER) == frozenset()
        await service.phone("anna")
        for command in (inp.LogOn(agent=AgentId("anna")), inp.GoReady(agent=AgentId("anna"))):
            await service.voice.command(TENANT, command)
        call = await (await service.caller()).call("602")  # forwarded outside
        with pytest.raises(CallFailed):
            await call.answered()
        assert service.voice.figures()["fernamt_switch_requests_denied_total"] >= 1
        # The platform is told, for the audit of both: a name tells as much as an address would.
        assert Sighting(tenant=TENANT, address="127.200.0.9", what="refused") in service.voice.sightings()
        # The operator's grant is what two tenants at one carrier have.
        await service.voice.configure(msgspec.structs.replace(tenant, trunks=trunks, granted=("127.200.0.0/16",)))
        assert service.voice.owners_of("127.200.0.9", TENANT) == frozenset()


async def test_a_carrier_that_answered_a_tenants_call_is_its_though_it_names_no_source(tmp_path):
    """So nobody can claim it and cut the tenant off; a host that was only named is nobody's; and it is no more when the trunk is gone."""
    port = free_port()
    tenant = mine(MINE)
    trunks = tuple(msgspec.structs.replace(one, peer=f"localhost:{port}") if one.id == "carrier" else one for one in tenant.trunks)
    seen = Sighting(tenant=TENANT, address=HOST, what="answered")
    async with running(tmp_path, msgspec.structs.replace(tenant, trunks=trunks)) as service, carrier_phone(service, port) as carrier:
        phone = await service.phone("anna")
        for command in (inp.LogOn(agent=AgentId("anna")), inp.GoReady(agent=AgentId("anna"))):
            await service.voice.command(TENANT, command)
        assert service.voice.sends_to("127.0.0.1/32") == frozenset()
        for answers in (False, True):
            dial = inp.Dial(agent=AgentId("anna"), call=service.voice.mint_call(), number="+491711234567")
            await service.voice.command(TENANT, dial)
            mine_now = await phone.incoming()
            await mine_now.answer()
            outside = await carrier.incoming()
            if answers:
                await outside.answer()
                outside.hang_up()
            else:
                outside.decline()
            await mine_now.ended()
            assert service.voice.sends_to("127.0.0.0/24") == ({TENANT} if answers else frozenset())
            assert (seen in service.voice.sightings()) is answers
            await service.voice.command(TENANT, inp.GoReady(agent=AgentId("anna")))
        await service.voice.configure(mine(MINE, trunks=tuple(one for one in trunks if one.id != "carrier")))
        assert service.voice.sends_to("127.0.0.1/32") == frozenset()


async def test_what_answered_before_a_restart_is_remembered_for_the_trunks_that_still_go_there(tmp_path):
    tenant = mine(MINE)
    trunks = tuple(msgspec.structs.replace(one, peer="127.200.0.9:5070") if one.id == "carrier" else one for one in tenant.trunks)
    async with running(tmp_path, msgspec.structs.replace(tenant, trunks=trunks)) as service:
        assert service.voice.sends_to("127.200.0.0/24") == frozenset()
        service.voice.remember_customers([(TENANT, "127.200.0.9"), (TENANT, "127.201.0.9"), (OTHER, "127.200.0.9")])
        assert service.voice.sends_to("127.200.0.0/24") == {TENANT}
        assert service.voice.sends_to("127.201.0.0/24") == frozenset()


async def test_from_an_address_that_is_one_tenants_peer_and_anothers_source_nobody_gets_the_firsts_numbers(tmp_path):
    """The other one has it by the operator's grant: what comes from there to the first one's number leads nowhere, and is written down as
    a call of the other to a number that it has not.
    """
    tenant = mine(MINE)
    trunks = tuple(msgspec.structs.replace(one, peer="127.200.0.9:5070") if one.id == "carrier" else one for one in tenant.trunks)
    theirs = other(named("carl", "carl", domain="other.fernamt"), sources=("127.200.0.9/32",), numbers=(THEIRS,))
    granted = msgspec.structs.replace(tenant, trunks=trunks, granted=("127.200.0.9/32",))
    narrow = tuple(msgspec.structs.replace(one, sources=("127.0.0.0/24",)) if one.id == "callers" else one for one in granted.trunks)
    async with (
        running(tmp_path, msgspec.structs.replace(granted, trunks=narrow)) as service,
        SyntheticPhone(service.address, user="+4989777", address="127.200.0.9") as carrier,
    ):
        await service.open_tenant(theirs, service.database, tmp_path / "other")
        assert service.voice.owners_of("127.200.0.9", TENANT) == frozenset()  # both are granted: it still calls out
        call = await carrier.call(MINE)
        with pytest.raises(CallFailed, match="404"):
            await call.answered()
        (entry,) = await service.cdrs()
        assert (entry.cdr.tenant, entry.cdr.called) == (OTHER, MINE)
        assert service.voice.live(TENANT).calls == service.voice.live(OTHER).calls == ()


async def test_an_own_device_at_the_trunks_address_goes_on_proving_itself(tmp_path):
    """The desk of an office whose PBX has the same address: who registered from there is an agent, not a caller over the trunk."""
    async with running(tmp_path) as service:
        anna = await service.phone("anna")
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId("anna")))
        call = await anna.call("600")
        await call.answered()
        call.hang_up()
        await call.ended()
        (entry,) = await service.cdrs()
        assert (entry.cdr.calling, entry.cdr.trunk) == ("11", None)  # her extension, not what the phone writes into From


async def test_namesakes_of_two_tenants_are_told_apart_by_the_domain_and_the_first_keeps_the_bare_name(tmp_path):
    first, second = named("anna", "anna", domain="demo.fernamt"), named("anna", "anna", domain="other.fernamt", bare=False)
    ben = named("ben", "ben", domain="demo.fernamt")
    async with running(tmp_path, mine(devices=(first, ben))) as service:
        await service.open_tenant(other(second), service.database, tmp_path / "other")
        ways = [
            (TENANT, {"password": "anna-demo.fernamt"}),
            (TENANT, {"password": "anna-demo.fernamt", "domain": "demo.fernamt"}),
            (TENANT, {"password": "anna-demo.fernamt", "auth_username": "anna@demo.fernamt"}),
            (OTHER, {"password": "anna-other.fernamt", "domain": "other.fernamt"}),
            (OTHER, {"password": "anna-other.fernamt", "auth_username": "anna@other.fernamt"}),
            (OTHER, {"password": "anna-other.fernamt", "auth_username": "anna@other.fernamt", "domain": "OTHER.fernamt"}),
        ]
        for tenant, way in ways:
            async with SyntheticPhone(service.address, user="anna", **way) as phone:
                await phone.register()
                here = {one: service.voice.live(one).agents[0].registered for one in (TENANT, OTHER)}
                assert here == {one: one == tenant for one in (TENANT, OTHER)}, way
                await phone.unregister()
        for way in (
            {"password": "anna-other.fernamt"},  # the bare name is the first one's
            {"password": "anna-demo.fernamt", "domain": "other.fernamt"},
            {"password": "anna-other.fernamt", "auth_username": "anna@demo.fernamt"},
            {"password": "anna-other.fernamt", "auth_username": "anna@nowhere.fernamt"},
        ):
            async with SyntheticPhone(service.address, user="anna", **way) as phone:
                with pytest.raises(RegistrationFailed, match="401"):
                    await phone.register()
        # Who has proved to be of one tenant cannot register what is another's.
        async with SyntheticPhone(
            service.address, user="anna", password="anna-other.fernamt", auth_username="anna@other.fernamt", domain="demo.fernamt"
        ) as phone:
            with pytest.raises(RegistrationFailed, match="403"):
                await phone.register()


async def test_a_shared_source_is_told_apart_by_the_assigned_number_and_a_number_of_nobody_is_404(tmp_path):
    async with running(tmp_path, mine(MINE)) as service:
        theirs = other(named("carl", "carl", domain="other.fernamt"), sources=("127.0.0.1/32",), numbers=(THEIRS, "600"))
        await service.open_tenant(theirs, service.database, tmp_path / "other")
        caller = await service.caller()
        call = await caller.call(MINE)
        await call.answered()
        assert [one.called for one in service.voice.live(TENANT).calls] == [MINE]
        call.hang_up()
        await call.ended()
        there = await caller.call(THEIRS)  # answered and hung up, or refused: by the other tenant's word in either case
        await there.ended()
        assert service.voice.live(TENANT).calls == ()
        # The narrower network is the other tenant's, the short number both have: neither takes the call.
        for nobodys in ("600", "601", "+4989300300"):
            with pytest.raises(CallFailed) as refused:
                await (await caller.call(nobodys)).answered()
            assert refused.value.status == 404
        assert service.voice.figures()["fernamt_switch_invites_to_nobodys_number_total"] == 3


@pytest.mark.parametrize(
    ("wished", "shown"),
    [(MINE, MINE), ("+442079460600", "+442079460600"), ("+493099999999", "+4989123456"), ("+49110", "+4989123456")],
)
async def test_a_call_out_shows_what_is_assigned_or_granted_and_else_the_trunks_number(tmp_path, wished, shown):
    port = free_port()
    found = mine(MINE)
    anna = msgspec.structs.replace(found.configuration.agents[0], outbound_caller_id=wished)
    configuration = msgspec.structs.replace(found.configuration, agents=(anna, *found.configuration.agents[1:]))
    trunks = tuple(msgspec.structs.replace(one, peer=f"{HOST}:{port}") if one.id == "carrier" else one for one in found.trunks)
    allowed = frozenset({"+4989123456", "+442079460600", "+49110"})
    tenant = msgspec.structs.replace(found, configuration=configuration, trunks=trunks, caller_ids=allowed)
    async with running(tmp_path, tenant) as service, carrier_phone(service, port) as carrier:
        phone = await service.phone("anna")
        for command in (inp.LogOn(agent=AgentId("anna")), inp.GoReady(agent=AgentId("anna"))):
            await service.voice.command(TENANT, command)
        dial = inp.Dial(agent=AgentId("anna"), call=service.voice.mint_call(), number="+491711234567")
        await service.voice.command(TENANT, dial)
        await (await phone.incoming()).answer()
        outside = await carrier.incoming()
        assert outside.calling == shown
        outside.decline()


@pytest.mark.parametrize("called", ["110", "+491711234567"])
async def test_a_call_out_of_a_trunk_without_a_number_shows_the_tenants_own(tmp_path, called):
    """Whoever answers 110 can call back (§ 164 TKG), though nobody set a caller id up."""
    port = free_port()
    found = mine(MINE)
    trunks = tuple(msgspec.structs.replace(one, peer=f"{HOST}:{port}", caller_id=None) for one in found.trunks if one.id == "carrier")
    carriers = tuple(one for one in found.configuration.trunks if one.id == "carrier")
    configuration = msgspec.structs.replace(found.configuration, trunks=carriers)
    tenant = msgspec.structs.replace(found, configuration=configuration, trunks=trunks, caller_ids=frozenset())
    async with running(tmp_path, tenant) as service, carrier_phone(service, port, called) as carrier:
        phone = await service.phone("anna")
        for command in (inp.LogOn(agent=AgentId("anna")), inp.GoReady(agent=AgentId("anna"))):
            await service.voice.command(TENANT, command)
        dial = inp.Dial(agent=AgentId("anna"), call=service.voice.mint_call(), number=called)
        await service.voice.command(TENANT, dial)
        await (await phone.incoming()).answer()
        outside = await carrier.incoming()
        assert outside.calling == MINE
        outside.decline()
