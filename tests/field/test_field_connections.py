"""Carriers whose TCP connection goes while the talk goes on: they hear of its end all the same (RFC 3261 §12.2.1.1, §18.1.1, RFC 5923)."""

import contextlib

import pytest

from tests.acd.test_voice import ready
from tests.acd.voice import running
from tests.field.desk_phone import until
from tests.field.tcp_carrier import tcp_carrier

pytestmark = pytest.mark.slow


@contextlib.asynccontextmanager
async def called_over_tcp(directory, *headers):
    """(service, carrier, Anna's call): she has taken a call that came over TCP."""
    async with running(directory) as service, tcp_carrier(service.address) as carrier:
        anna = await ready(service, "anna")
        await carrier.call("601", *headers)
        hers = await anna.incoming()
        await hers.answer()
        await carrier.up()
        switch = service.voice.switch
        await until(lambda: len(switch._legs) == 2 and all(switch.rooms.listeners(leg) for leg in switch._legs.values()))
        yield service, carrier, hers


def sweep(service):
    """The service closes what is idle, as if all had been so for ten minutes."""
    [table] = service.voice._endpoint.transports.of("tcp").values()
    usual, table._idle_s = table._idle_s, -1.0
    table._sweep.cancel()
    table._close_idle()
    table._idle_s = usual


def connections(service):
    return service.voice.figures()["fernamt_sip_tcp_connections"]


@pytest.mark.parametrize("with_reset", [False, True], ids=["FIN", "RST"])
async def test_a_carrier_that_has_closed_its_connection_hears_the_bye_at_its_contact(tmp_path, with_reset):
    async with called_over_tcp(tmp_path) as (service, carrier, hers):
        carrier.cut(with_reset=with_reset)
        await until(lambda: connections(service) == 0)
        hers.hang_up()
        bye = await carrier.hears("BYE")
        assert bye in carrier.at_contact
        assert str(bye.uri) == carrier.contact.strip("<>")
        assert bye.headers.get("Reason") == 'Q.850;cause=16;text="Normal call clearing"'
        (entry,) = await service.cdrs()
        assert (entry.cdr.outcome, entry.cdr.cause, entry.cdr.ended_by) == ("answered", "hang_up", "agent:anna")


async def test_the_service_closes_no_connection_that_a_talk_goes_by(tmp_path):
    """Nothing is said on it for longer than the ten minutes after which others are closed."""
    async with called_over_tcp(tmp_path) as (service, carrier, hers):
        sweep(service)
        hers.hang_up()
        bye = await carrier.hears("BYE")
        assert bye in carrier.on_own
        assert not carrier.is_cut
        await service.cdrs()
        await until(lambda: not service.voice.sip.user_agent.connections_in_use())
        sweep(service)
        await until(lambda: carrier.is_cut)
