"""Registrations at carriers as they really answer: maintenance, NATs that rewrite, proxies in between; seen at the board and the wire."""

import asyncio
import contextlib
import re

import pytest

from acd.core import inputs as inp
from acd.core.ids import AgentId, TrunkId
from acd.service import TrunkRegistration
from tests.acd.test_trunks import DID, OUTSIDE, callers, house, line, state_of, trunk
from tests.acd.voice import TENANT, running
from tests.field.cases import story
from tests.field.desk_phone import DeskPhone, desk_phone, until
from tests.ports import HOST, free_port


class Carrier(DeskPhone):
    """Says to each REGISTER what the test has laid down for it; the last answer goes on."""

    def __init__(self, port):
        super().__init__((HOST, 0), "carrier", port=port)
        self.is_carrier = True
        self.said = [(200, ())]
        self.at = []
        self.registrar = self._next

    def _next(self, request):
        if (request.call_id, request.cseq.number) not in self.at:
            self.at.append((request.call_id, request.cseq.number))
        status, headers = self.said[min(len(self.at), len(self.said)) - 1]
        ours = request.contacts[0].uri
        return status, tuple((name, value.replace("{OUR-USER}", ours.user or "")) for name, value in headers)


@contextlib.asynccontextmanager
async def at_carrier(tmp_path, said, *, outbound=None, **registration):
    port = free_port()
    carrier = await Carrier(port).open()
    carrier.said = said
    plan = TrunkRegistration(**{"registrar": f"{HOST}:{port}", "username": "account", "password": "secret", "expires_s": 60} | registration)
    lines = [callers(), (trunk("own"), line("own", outbound or port, registration=plan))]
    try:
        async with running(tmp_path, house([one for one, _ in lines], [one for _, one in lines])) as service:
            yield carrier, service
    finally:
        carrier.close()


def expires(seconds):
    return (("Contact", "<sip:{OUR-USER}@127.0.0.1>"), ("Expires", str(seconds)))


async def test_a_line_stays_up_while_what_was_granted_lasts(tmp_path):
    """Case f16, with a grant of two seconds; Retry-After, which counts in whole ones, is tried in virtual time."""
    said = [(200, expires(2)), (503, ()), (500, ()), (200, expires(3600))]
    async with at_carrier(tmp_path, said, retry_s=0.05) as (carrier, service):
        await until(lambda: state_of(service, "own").up)
        since = state_of(service, "own").since
        await until(lambda: len(carrier.at) == 4)
        await until(lambda: service.voice.sip.user_agent.describe(service.voice.sip.now)["registrations"][0]["state"] == "registered")
        assert (state_of(service, "own").up, state_of(service, "own").since) == (True, since)  # it never was down


async def test_a_line_whose_grant_is_over_is_down_and_says_why(tmp_path):
    said = [(200, expires(1)), (503, (("Retry-After", "1"),)), (503, (("Retry-After", "30"),))]
    async with at_carrier(tmp_path, said) as (_, service):
        await until(lambda: state_of(service, "own").up)
        await until(lambda: not state_of(service, "own").up)
        assert "503" in state_of(service, "own").detail


async def test_a_contact_that_was_rewritten_is_known_by_our_user_name(tmp_path):
    """Case f17: it is refreshed before the ten seconds are over."""
    told = story("f17-contact-rewritten")
    contacts = re.search(r"Contact (.*)", told["steps"][0])[1] if told is not None else None
    contacts = contacts or (
        "<sip:old@10.0.0.9>;expires=0, <sip:other@10.0.0.8>;expires=3600, <sip:{OUR-USER}@203.0.113.9:62001>;expires=10"
    )
    async with at_carrier(tmp_path, [(200, (("Contact", contacts),))], expires_s=3600) as (_, service):
        await until(lambda: state_of(service, "own").up)
        (found,) = service.voice.sip.user_agent.describe(service.voice.sip.now)["registrations"]
        assert 0 < found["timers"]["refresh"] <= 10


async def place_a_call(service, name="anna"):
    """The agent's phone is taken, and the number outside is called."""
    phone = await service.phone(name)
    await service.voice.command(TENANT, inp.LogOn(agent=AgentId(name), ready=False))
    await service.voice.command(TENANT, inp.Dial(agent=AgentId(name), call=service.voice.mint_call(), number=OUTSIDE))
    mine = await phone.incoming()
    await mine.answer()
    return mine


async def test_a_call_goes_by_the_proxy_and_the_service_route_and_says_who_we_are_as_the_carrier_wants(tmp_path):
    """RFC 3608 §6.1; RFC 3325 §9.2: the account in From, the number beside it."""
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(desk_phone((HOST, 0), "proxy"))
        proxy.is_carrier, proxy.invited = True, (180,)
        routed = []

        def registrar(request):
            routed.append(request)
            return 200, (
                ("Contact", f"<{request.contacts[0].uri}>;expires=3600"),
                ("Service-Route", "<sip:orig@core.example;lr>, <sip:second.example;lr>"),
            )

        proxy.registrar = registrar
        options = {"outbound_proxy": f"{HOST}:{proxy.port}", "from_user": "account-77", "from_domain": "ims.example"}
        carrier, service = await stack.enter_async_context(at_carrier(tmp_path, [(200, ())], **options))
        await until(lambda: state_of(service, "own").up)
        assert carrier.at == []  # all by the proxy
        register = routed[0]
        assert (str(register.uri), str(register.from_.uri)) == (f"sip:{HOST}:{carrier.port}", "sip:account@ims.example")
        assert register.headers.get("Route") == f"<sip:{HOST}:{proxy.port};lr>"
        assert "path" in register.supported
        mine = await place_a_call(service)
        invite = await proxy.hears("INVITE")
        assert [str(route.uri) for route in invite.routes] == [
            f"sip:{HOST}:{proxy.port};lr", "sip:orig@core.example;lr", "sip:second.example;lr",
        ]  # fmt: skip
        assert (invite.from_.uri.user, invite.from_.uri.host) == ("account-77", "ims.example")
        assert invite.headers.get("P-Preferred-Identity") == f"<sip:{DID}@ims.example>"
        mine.hang_up()
        await mine.ended()


async def test_without_these_fields_nothing_of_them_is_on_the_wire(tmp_path):
    async with at_carrier(tmp_path, [(200, expires(3600))]) as (carrier, service):
        await until(lambda: state_of(service, "own").up)
        assert service.voice.lines.route(TENANT, TrunkId("own")) == ()
        mine = await place_a_call(service)
        invite = await carrier.hears("INVITE")
        assert (invite.routes, invite.from_.uri.user) == ((), DID)
        assert "P-Preferred-Identity" not in invite.headers
        mine.hang_up()
        await mine.ended()


@pytest.mark.parametrize("registrar", ["a..b", "x" * 64 + ".example"])
async def test_a_registrar_whose_name_is_none_is_a_line_that_is_down(tmp_path, registrar, caplog):
    async with at_carrier(tmp_path, [(200, ())], registrar=registrar) as (_, service):
        await until(lambda: "has no address" in (state_of(service, "own").detail or ""))
        await asyncio.sleep(0)  # what fails in the background has failed by now
        assert not [record for record in caplog.records if record.exc_info]
