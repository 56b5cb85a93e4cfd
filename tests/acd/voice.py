"""A whole voice service in this process on free ports, with a small tenant: what the tests of the shell stand on.

Every test that uses `running` ends with a restart: what is on disk is read, and must lead to the state that the exchange ended in.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from acd.bus import Bus, MemoryBus
from acd.cdr_feed import CdrFeed
from acd.client import VoiceClient
from acd.config import Listen, VoiceSettings
from acd.core import configuration as conf
from acd.core.ids import AgentId, MenuId, QueueId, SiteId, TenantId, TrunkId
from acd.core.replay import fold, restore
from acd.exchange import TenantExchange, _Kept
from acd.journal import read
from acd.networks import EVERYTHING, LOOPBACK
from acd.platform import Lookup, Platform, serve_platform
from acd.runtime import Given, Voice
from acd.service import Device, LiveEvent, ScreenPop, TenantSetup, TenantState, TrunkLine, codec, events_of, state_of
from acd.serving import serve
from acd.sink import Home
from acd.switch.pins import nobodys_pin
from billing_cdr import store
from billing_cdr.sink import SqlSink
from load.phone_bank import PhoneBank
from load.phones import SyntheticPhone
from sip.digest import ha1
from tests.ports import HOST, free_port, rtp_range
from tests.words import same_when_read

TENANT = TenantId("demo")
REALM = "fernamt"


def device(agent: str) -> Device:
    return Device(
        agent=AgentId(agent),
        username=agent,
        ha1_md5=ha1(agent, REALM, f"{agent}-secret", "MD5"),
        ha1_sha256=ha1(agent, REALM, f"{agent}-secret", "SHA-256"),
    )


def agent(name: str, extension: str, **fields) -> conf.Agent:
    return conf.Agent(
        **{"id": AgentId(name), "name": name.title(), "extension": extension, "device": f"{name}@demo", "skills": {"support": 5}} | fields
    )


def setup(carrier_port: int = 5999, **changes) -> TenantSetup:
    """Menu on 600, support queue on 601, two agents, a trunk for callers and one to a carrier."""
    fields = {
        "tenant": TENANT,
        "agents": (agent("anna", "11"), agent("ben", "12", skills={"support": 3})),
        "queues": (
            conf.Queue(
                id=QueueId("support"),
                name="Support",
                requirements=(conf.SkillRequirement(skill="support"),),
                strategy="best_skill",
                after_call_work_s=0.0,
                ring_timeout_s=5.0,
                overflow=(),
            ),
        ),
        "menus": (
            conf.Menu(id=MenuId("main"), sounds=("menu",), options={"1": conf.ToQueue(queue=QueueId("support")), "9": conf.ToHangUp()}),
        ),
        "numbers": (
            conf.Number(number="600", target=conf.ToMenu(menu=MenuId("main"))),
            conf.Number(number="601", target=conf.ToQueue(queue=QueueId("support"))),
            conf.Number(number="602", target=conf.ToOutside(number="+491711234567")),
            conf.Number(number="+4989123456", target=conf.ToQueue(queue=QueueId("support")), language="de", country="DE"),
        ),
        "sites": (conf.Site(id=SiteId("office"), upload_kbits=1000),),
        "trunks": (
            conf.Trunk(id=TrunkId("callers"), name="Callers", outbound=False),
            conf.Trunk(id=TrunkId("carrier"), name="Carrier"),
        ),
    } | changes
    return TenantSetup(
        configuration=conf.TenantConfiguration(**fields),
        devices=tuple(device(one.id) for one in fields["agents"]),
        trunks=(
            TrunkLine(id=TrunkId("callers"), peer="", sources=("127.0.0.0/9",), probe_every_s=0),
            TrunkLine(id=TrunkId("carrier"), peer=f"{HOST}:{carrier_port}", probe_every_s=0, caller_id="+4989123456"),
        ),
    )


class Running:
    """What a test gets: the service, its address, its database, and phones."""

    def __init__(
        self, voice: Voice, port: int, database: AsyncEngine, stack: contextlib.AsyncExitStack, homes: dict[TenantId, Home], bus: Bus
    ) -> None:
        self.voice = voice
        """What is behind the messages."""
        self.bus = bus
        """On which everything is written as octets and read again."""
        self.client = VoiceClient(bus)
        self._homes = homes
        self.address = (HOST, port)
        self.database = database
        self._stack = stack

    async def open_tenant(self, setup: TenantSetup, database: AsyncEngine, directory: Path) -> None:
        """Open a tenant whose journal is in `directory` and whose records go to `database`."""
        tenant = setup.configuration.tenant
        self._homes[tenant] = Home(SqlSink(database, tenant, "the database"), directory)
        await self.voice.open_tenant(setup)

    async def stream(self, tenant: TenantId, *, agent: AgentId | None = None) -> AsyncIterator[LiveEvent]:
        """Live events, and the private ones of an agent, of whose desks this is the one."""
        heard = self.bus.subscribe(events_of(tenant), state_of(tenant))
        try:
            async for event in heard:
                if isinstance(event, TenantState):
                    if not event.is_open:
                        return
                    continue
                is_pop = isinstance(event.event, ScreenPop)
                if event.only_agent in {None, agent}:
                    yield event
                if is_pop:  # it came back for the next, or has no desk
                    self.voice.shown(tenant, event.event.agent, event.event.call)
        finally:
            heard.close()

    async def phone(self, name: str) -> SyntheticPhone:
        """A registered phone of an agent, logged on and ready."""
        phone = await self._stack.enter_async_context(SyntheticPhone(self.address, user=name, password=f"{name}-secret"))
        await phone.register()
        return phone

    async def caller(self, number: str = "+498955555", address: str = HOST) -> SyntheticPhone:
        return await self._stack.enter_async_context(SyntheticPhone(self.address, user=number, address=address))

    async def cdrs(self, count: int = 1) -> list[store.Entry]:
        """Waits until so many CDRs are in the database."""
        async with asyncio.timeout(8):
            while True:
                async with self.database.connect() as connection:
                    found = await store.find(connection, store.Filter())
                if len(found.entries) >= count:
                    return list(found.entries)
                await asyncio.sleep(0.05)


def what_was_written_is_read(exchange: TenantExchange) -> None:
    """Open what a closed exchange left behind: the journal from its first entry, and the snapshot with what follows it."""
    entries = list(read(exchange.directory))
    for entry in entries:
        same_when_read(entry)
    ended = exchange.engine.state_hash()
    assert fold(entries, exchange.tenant).state_hash() == ended
    kept = msgspec.msgpack.decode((exchange.directory / "snapshot").read_bytes()[4:], type=_Kept)
    assert fold(read(exchange.directory, after=kept.seq), engine=restore(kept.engine)).state_hash() == ended
    feed = CdrFeed(exchange.tenant, exchange.feed._rate, exchange.feed._save)
    feed.restore(kept.feed)
    same_when_read(feed.ledger._folded)
    assert feed.ledger._folded == exchange.feed.ledger._folded
    assert same_when_read(feed.ledger._assembler._state) == exchange.feed.ledger._assembler._state


@contextlib.asynccontextmanager
async def running(directory: Path, tenant: TenantSetup | None = None, lookup: Lookup | None = None, **settings) -> AsyncIterator[Running]:
    port = free_port()
    homes: dict[TenantId, Home] = {}
    bus = MemoryBus(codec())
    asked = None
    if lookup is not None:
        serve_platform(bus, lookup, nobodys_pin)
        asked = Platform(bus).who_is
    database = create_async_engine(f"sqlite+aiosqlite:///{directory / 'tenant.sqlite'}")
    async with database.begin() as connection:
        await connection.run_sync(store.metadata.create_all)
    voice = await Voice.start(
        VoiceSettings(
            **{
                "listen": (Listen(transport="udp", host=HOST, port=port), Listen(transport="tcp", host=HOST, port=port)),
                "data": directory,
                "media_workers": 1,
                "media_ports": rtp_range(),
                "registration_min_s": 1,
                "reach_allow": EVERYTHING + LOOPBACK,
            }
            | settings
        ),
        Given(homes=homes.__getitem__, bus=bus, lookup=asked),
    )
    try:
        async with contextlib.AsyncExitStack() as stack:
            serve(voice, bus)
            service = Running(voice, port, database, stack, homes, bus)
            await service.open_tenant(tenant or setup(), database, directory / "journal")
            yield service
    finally:
        ended = voice._exchanges.get(TENANT)  # None: the test closed it
        await voice.close()
        await database.dispose()
    if ended is not None and ended.trouble is None:  # what stopped has decided something that is not on the disk
        what_was_written_is_read(ended)


@contextlib.asynccontextmanager
async def carrier_phone(service: Running, port: int, user: str = "+491711234567") -> AsyncIterator[SyntheticPhone]:
    """The carrier at the far end of the outbound trunk: a phone on a port known beforehand."""
    bank = PhoneBank(HOST, port)
    await bank.start()
    try:
        async with SyntheticPhone(service.address, user=user, bank=bank) as phone:
            yield phone
    finally:
        await bank.close()
