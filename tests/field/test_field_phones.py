"""Phones as they come: started anew, dead, refusing, behind connections that break; seen at the phones, the board and the record."""

import asyncio
import contextlib

import msgspec
import pytest

from acd.config import VoiceSettings
from acd.core import configuration as conf
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.ids import AgentId, QueueId
from tests.acd.core.shell import Phone, house, open_house
from tests.acd.core.shell import agent as core_agent
from tests.acd.core.shell import call as core_call
from tests.acd.voice import TENANT, agent, running, setup
from tests.field.desk_phone import contact_params, desk_phone, until
from tests.ports import free_port

NAMES = ("anna", "ben", "cem", "dora")
STILL = 0.3
"""Seconds without an answer in these tests; what is shipped is tried in virtual time."""


def people(*, miss_limits=None, site=None, **fields):
    """Four agents in one queue; who is longest idle comes first, by name at the start."""
    line = conf.Queue(
        id=QueueId("support"),
        name="Support",
        after_call_work_s=0.0,
        ring_timeout_s=20.0,
        miss_limits=miss_limits or conf.MissLimits(),
        **fields,
    )
    sites = (conf.Site(id="office", upload_kbits=1000, **(site or {})),)
    agents = tuple(agent(name, str(at), site="office") for at, name in enumerate(NAMES, 11))
    return setup(agents=agents, queues=(line,), sites=sites)


@contextlib.asynccontextmanager
async def service_of(tmp_path, tenant=None, **settings):
    options = {"phone_answer_within_s": STILL, "probe_phones_every_s": 0.0} | settings
    async with running(tmp_path, tenant or people(), **options) as service:
        yield service


async def ready(service, *names):
    for name in names:
        await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name), ready=True))


def shown(service, name):
    return next(one for one in service.voice.live(TENANT).agents if one.id == name)


def registrations(service, name):
    return [one for one in service.voice.live(TENANT).registrations if one.agent == name]


def ended_offers(service):
    """(agent, outcome, reason) of each, from the journal."""
    from acd.journal import read  # only here

    entries = read(service.voice._exchanges[TENANT].directory)
    return [(one.agent, one.outcome, one.reason) for entry in entries for one in entry.events if isinstance(one, ev.OfferEnded)]


# ---------------------------------------------------------------------- twins


@pytest.mark.parametrize("outbound", [True, False], ids=["reg-id", "instance alone"])
async def test_a_phone_that_boots_leaves_no_twin_and_only_its_new_contact_is_rung(tmp_path, outbound):
    """Case f11."""
    which = contact_params("f11-stale-twin", 0, ';+sip.instance="<urn:uuid:1>";reg-id=1') if outbound else ';+sip.instance="<urn:uuid:1>"'
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as before, desk_phone(service.address, "anna") as after:
        assert (await before.register(which)).status == 200
        ok = await after.register(which)
        assert [one.uri.port for one in ok.contacts] == [after.port]
        await until(lambda: len(registrations(service, "anna")) == 1)
        assert str(after.port) in registrations(service, "anna")[0].contact
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await after.hears("INVITE")
        assert before.of("INVITE") == []
        call.hang_up()
        await call.ended()
        assert shown(service, "anna").registered


async def test_a_phone_without_an_instance_is_asked_whether_its_twin_lives_and_a_dead_one_goes(tmp_path):
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as before, desk_phone(service.address, "anna") as after:
        await before.register()
        before.close()
        await after.register()
        await until(lambda: [str(after.port) in one.contact for one in registrations(service, "anna")] == [True])
        assert after.of("OPTIONS") == []  # who has just registered is there


async def test_two_phones_of_one_person_behind_one_address_stay(tmp_path):
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as one, desk_phone(service.address, "anna") as other:
        await one.register()
        await other.register()
        await one.hears("OPTIONS")
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await one.hears("INVITE")
        await other.hears("INVITE")
        call.hang_up()
        await call.ended()
        assert len(registrations(service, "anna")) == 2


async def test_a_phone_that_clears_all_with_a_star_before_it_registers_is_bound_once(tmp_path):
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as before, desk_phone(service.address, "anna") as after:
        await before.register()
        assert (await after.register(contact="*", expires=0)).status == 200
        await until(lambda: not registrations(service, "anna"))
        await after.register()
        await until(lambda: len(registrations(service, "anna")) == 1)


async def test_more_contacts_than_a_device_may_have_replace_the_oldest(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(service_of(tmp_path, contacts_per_device=2))
        phones = [await stack.enter_async_context(desk_phone(service.address, "anna")) for _ in range(3)]
        for number, phone in enumerate(phones):
            await phone.register(f';+sip.instance="<urn:uuid:{number}>"', expires=100 + number)
        await until(
            lambda: {one.contact.rpartition(":")[2] for one in registrations(service, "anna")} == {str(one.port) for one in phones[1:]}
        )


async def test_a_tcp_phone_whose_connection_closed_is_registered_no_more(tmp_path):
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna", transport="tcp") as phone:
        phone.contact_host = "10.9.8.7"  # behind a NAT: nobody can connect there
        await phone.register()
        await until(lambda: shown(service, "anna").registered)
        phone.close()
        await until(lambda: not shown(service, "anna").registered)


# ---------------------------------------------------------------------- dead phones


async def test_three_dead_phones_cost_the_caller_moments_and_each_is_told_apart(tmp_path):
    """Case f12."""
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(service_of(tmp_path))
        phones = {name: await stack.enter_async_context(desk_phone(service.address, name)) for name in NAMES}
        for name, phone in phones.items():
            await phone.register()
            if name != "dora":
                phone.close()
        phones["dora"].invited = (180, 200)
        await ready(service, *NAMES)
        call = await (await service.caller()).call("601")
        await phones["dora"].hears("INVITE")
        await until(lambda: shown(service, "dora").work)
        assert [(shown(service, name).state, shown(service, name).reason) for name in NAMES[:3]] == [("not_ready", "unreachable")] * 3
        assert ended_offers(service)[:3] == [(name, "failed", "unreachable") for name in NAMES[:3]]
        await until(lambda: shown(service, "dora").category == "busy" and service.voice.live(TENANT).calls[0].state == "established")
        call.hang_up()
        await call.ended()
        (entry,) = await service.cdrs()
        legs = {leg.agent: leg for leg in entry.cdr.legs if leg.role == "agent"}
        assert {name: legs[name].cause for name in NAMES} == dict.fromkeys(NAMES[:3], "unreachable") | {"dora": "hang_up"}
        assert [legs[name].alerting_ms for name in NAMES[:3]] == [0, 0, 0]


def test_as_shipped_three_dead_phones_and_a_free_colleague_cost_less_than_ten_seconds() -> None:
    """In virtual time, with the patience that is shipped."""
    dead = Phone(fails="unreachable", fails_after_s=VoiceSettings().phone_answer_within_s)
    shell = open_house(house(agents=tuple(map(core_agent, NAMES))), anna=dead, ben=dead, cem=dead)
    core_call(shell)
    shell.run(10.0)
    assert [one.decision.chosen for one in shell.of(ev.OfferMade)] == [(name,) for name in NAMES]
    assert len(shell.of(ev.LegAlerted)) == 1
    assert [shell.engine.state.agents[name].reason for name in NAMES[:3]] == ["unreachable"] * 3


async def test_a_dead_phone_beside_a_living_one_of_the_same_person_holds_nothing_up(tmp_path):
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as dead, desk_phone(service.address, "anna") as alive:
        await dead.register(';+sip.instance="<urn:uuid:1>"')
        await alive.register(';+sip.instance="<urn:uuid:2>"')
        dead.close()
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await alive.hears("INVITE")
        await asyncio.sleep(2 * STILL)  # the dead branch has ended meanwhile
        assert service.voice.live(TENANT).calls[0].state == "delivered" or shown(service, "anna").work
        alive.say(alive.invite, 200)
        await until(lambda: service.voice.live(TENANT).calls[0].state == "established")
        call.hang_up()
        await call.ended()


async def test_phones_that_answer_probes_with_anything_are_alive(tmp_path):
    statuses = {"anna": 200, "ben": 404, "cem": 405, "dora": 481}
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(service_of(tmp_path, probe_phones_every_s=0.1))
        phones = {name: await stack.enter_async_context(desk_phone(service.address, name)) for name in statuses}
        for name, phone in phones.items():
            phone.asked = statuses[name]
            await phone.register()
        await until(lambda: all(len(phone.of("OPTIONS")) >= 3 for phone in phones.values()))
        phones["anna"].asked = 501
        await until(lambda: len(phones["anna"].of("OPTIONS")) >= 7)
        assert [shown(service, name).registered for name in statuses] == [True] * 4
        assert [registrations(service, name)[0].unreachable_since for name in statuses] == [None] * 4


async def test_a_phone_that_answers_no_probe_is_shown_and_not_rung_until_it_answers_again(tmp_path):
    tenant = people(site={"probe_phones_every_s": 0.2, "probe_misses": 2})
    async with (
        service_of(tmp_path, tenant) as service,
        desk_phone(service.address, "anna") as phone,
        desk_phone(service.address, "ben") as colleague,
    ):
        phone.asked = None
        await phone.register()
        await colleague.register()
        await ready(service, "anna", "ben")
        await until(lambda: shown(service, "anna").unreachable)
        (known,) = registrations(service, "anna")
        assert known.unreachable_since is not None
        assert known.detail == "no answer to OPTIONS"
        assert (shown(service, "anna").category, shown(service, "anna").registered) == ("unregistered", False)
        assert service.voice.figures()["fernamt_phones_unreachable"] == 1
        call = await (await service.caller()).call("601")
        await colleague.hears("INVITE")
        assert phone.of("INVITE") == []
        phone.asked = 405
        await until(lambda: shown(service, "anna").category == "free")
        assert not shown(service, "anna").unreachable
        phone.asked = None
        await until(lambda: shown(service, "anna").unreachable)
        await phone.register()  # who registers is there
        await until(lambda: shown(service, "anna").category == "free")
        call.hang_up()
        await call.ended()


async def test_a_restart_knows_who_was_away(tmp_path):
    """`running` ends every test with a restart of the state; what is rung after one is the registrar's to know."""
    tenant = people(site={"probe_phones_every_s": 0.2})
    async with service_of(tmp_path, tenant) as service, desk_phone(service.address, "anna") as phone:
        phone.asked = None
        await phone.register()
        await until(lambda: shown(service, "anna").unreachable)
        await service.voice.close_tenant(TENANT, for_good=False)
        await service.open_tenant(tenant, service.database, tmp_path / "journal")
        assert shown(service, "anna").unreachable
        phone.asked = 200
        await until(lambda: shown(service, "anna").registered)


# ---------------------------------------------------------------------- refusing


@pytest.mark.parametrize(("status", "reason"), [(603, "declined"), (600, "busy")])
async def test_a_refusal_for_all_ends_the_other_phone_at_once_and_the_caller_goes_on(tmp_path, status, reason):
    """Case f10, RFC 3261 §16.7 step 5."""
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(service_of(tmp_path))
        one, other, colleague = [await stack.enter_async_context(desk_phone(service.address, name)) for name in ("anna", "anna", "ben")]
        await one.register(';+sip.instance="<urn:uuid:1>"')
        await other.register(';+sip.instance="<urn:uuid:2>"')
        await colleague.register()
        await ready(service, "anna", "ben")
        call = await (await service.caller()).call("601")
        await one.hears("INVITE")
        await other.hears("INVITE")
        one.say(one.invite, status)
        cancel = await other.hears("CANCEL")
        assert cancel.headers.get("Reason").startswith(f"SIP;cause={status};")
        await colleague.hears("INVITE")
        assert ended_offers(service) == [("anna", "declined", reason)]
        assert shown(service, "anna").state == "ready"
        call.hang_up()
        await call.ended()
        (entry,) = await service.cdrs()
        leg = next(leg for leg in entry.cdr.legs if leg.agent == "anna")
        assert (leg.cause, leg.sip_status) == ("rejected" if status == 603 else "busy", status)


async def test_busy_on_one_phone_leaves_the_other_ringing(tmp_path):
    """486 speaks of one phone (RFC 3261 §21.4.24)."""
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as one, desk_phone(service.address, "anna") as other:
        await one.register(';+sip.instance="<urn:uuid:1>"')
        await other.register(';+sip.instance="<urn:uuid:2>"')
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await other.hears("INVITE")
        one.say(await one.hears("INVITE"), 486)
        await one.hears("ACK")
        other.say(other.invite, 200)
        await until(lambda: service.voice.live(TENANT).calls[0].state == "established")
        assert other.of("CANCEL") == []
        call.hang_up()
        await call.ended()


LIMITS = conf.MissLimits(declined=2, busy=3, forwarded=1)


@pytest.mark.parametrize(
    ("status", "headers", "reason", "calls"),
    [
        (603, (), "declined", 2),
        (486, (), "busy", 3),
        (302, (("Contact", "<sip:elsewhere@127.0.0.1>"),), "forwarded", 1),
        (488, (), "failed", 1),
    ],
)
async def test_each_way_of_not_taking_a_call_has_a_limit_of_its_own(tmp_path, status, headers, reason, calls):
    async with service_of(tmp_path, people(miss_limits=LIMITS)) as service, desk_phone(service.address, "anna") as phone:
        phone.invited = ()
        await phone.register()
        await ready(service, "anna")
        for number in range(1, calls + 1):
            call = await (await service.caller()).call("601")
            await until(lambda number=number: len(phone.of("INVITE")) == number)
            assert shown(service, "anna").state == "ready"
            phone.say(phone.invite, status, *headers)
            await until(lambda number=number: len(ended_offers(service)) == number)
            call.hang_up()
            await call.ended()
        assert {one[2] for one in ended_offers(service)} == {reason}
        told = "device_failed" if reason == "failed" else reason
        assert (shown(service, "anna").state, shown(service, "anna").reason) == ("not_ready", told)
        entries = await service.cdrs(calls)
        leg = next(leg for leg in entries[0].cdr.legs if leg.agent == "anna")
        assert leg.sip_status == status


def test_the_count_begins_anew_with_a_call_that_is_taken_and_where_nobody_sets_a_limit_there_is_none() -> None:
    phones = {"anna": Phone(fails="busy")}
    queue = msgspec.structs.replace(house().queues[0], miss_limits=conf.MissLimits(busy=2), after_call_work_s=0.0)
    shell = open_house(house(agents=(core_agent("anna"),), queues=(queue,)), **phones)
    core_call(shell, name="c1")
    shell.run(1)
    assert shell.engine.state.agents["anna"].misses == {"busy": 1}
    shell.phones["anna"] = Phone(answers_after_s=0.0)
    shell.run(60)
    assert shell.engine.state.agents["anna"].misses == {}


# ---------------------------------------------------------------------- connections that break


async def test_a_phone_that_reconnects_in_a_call_is_told_of_its_end_over_the_new_connection(tmp_path):
    """Case f20, RFC 5626 §5.3."""
    async with (
        service_of(tmp_path) as service,
        desk_phone(service.address, "anna", transport="tcp") as before,
        desk_phone(service.address, "anna", transport="tcp") as after,
    ):
        before.invited = (180, 200)
        await before.register()
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await call.answered()
        await until(lambda: [one.state for one in service.voice.live(TENANT).calls] == ["established"])
        await before.hears("ACK")
        before.close()
        await after.register()
        await until(lambda: shown(service, "anna").registered)
        call.hang_up()
        bye = await after.hears("BYE")
        assert bye.call_id == before.invite.call_id
        (entry,) = await service.cdrs()
        assert entry.cdr.cause == "hang_up"


async def test_a_caller_who_hangs_up_before_the_phone_is_back_is_heard_of_then(tmp_path):
    async with (
        service_of(tmp_path) as service,
        desk_phone(service.address, "anna", transport="tcp") as before,
        desk_phone(service.address, "anna", transport="tcp") as after,
    ):
        before.invited = (180, 200)
        await before.register()
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await until(lambda: [one.state for one in service.voice.live(TENANT).calls] == ["established"])
        await before.hears("ACK")
        before.close()
        call.hang_up()
        await call.ended()
        await service.cdrs()  # nobody waits for a phone
        await after.register()
        assert (await after.hears("BYE")).call_id == before.invite.call_id


async def test_a_phone_whose_contact_is_no_name_ends_no_service(tmp_path, caplog):
    """The answer's Contact is where the BYE goes; what cannot be sent fails at once, without a traceback."""
    async with service_of(tmp_path) as service, desk_phone(service.address, "anna") as phone:
        await phone.register()
        phone.invited = (180, 200)
        await ready(service, "anna")
        for number, host in enumerate(("a..b", "x" * 64 + ".example", "xn--" + "a" * 60), 1):
            phone.contact_host = host
            call = await (await service.caller()).call("601")
            await until(lambda: [one.state for one in service.voice.live(TENANT).calls] == ["established"])
            call.hang_up()
            await call.ended()
            await service.cdrs(number)
            await until(lambda: service.voice.sip.user_agent.live_sessions == 0)
        assert service.voice._endpoint.failures == 0
        assert not [record for record in caplog.records if record.exc_info]


# ---------------------------------------------------------------------- NAT, and proxies in between


@pytest.mark.parametrize("forced", [True, False])
async def test_a_phone_that_leaves_rport_out_behind_a_nat_is_reached_if_its_site_says_so(tmp_path, forced):
    """RFC 3581: it names the port behind the NAT, where nobody hears us."""
    tenant = people(site={"force_rport": forced})
    async with service_of(tmp_path, tenant) as service, desk_phone(service.address, "anna") as phone:
        phone.via_port = free_port()
        if not forced:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await phone.register()
            return
        assert (await phone.register()).status == 200
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        await phone.hears("INVITE")
        call.hang_up()
        await call.ended()


async def test_a_phone_behind_a_proxy_is_rung_along_its_path(tmp_path):
    """RFC 3327 §5.3; the proxy's own answer that nobody is there (430) is no sign of life."""
    tenant = people(site={"probe_phones_every_s": 0.2})
    async with service_of(tmp_path, tenant) as service, desk_phone(service.address, "anna") as edge:
        path = f"<sip:127.0.0.1:{edge.port};lr>"
        ok = await edge.register(contact="<sip:anna@10.9.8.7:5060>", headers=(("Path", path), ("Supported", "path")))
        assert (ok.status, ok.headers.get("Path")) == (200, path)
        await ready(service, "anna")
        call = await (await service.caller()).call("601")
        invite = await edge.hears("INVITE")
        assert (str(invite.uri), invite.headers.get("Route")) == ("sip:anna@10.9.8.7:5060", path)
        call.hang_up()
        await call.ended()
        edge.asked = 430
        await until(lambda: shown(service, "anna").unreachable)
